"""Tended containers: what their monitor is ordered to do, and how it is talked to while they run.

A container is tended when there is something to do for it between its start and its end: a restart policy, a health
check, a service manager to notify. docs/ARCHITECTURE.md, "Tended containers", is the contract with podlike-conmon.
"""

import json
import os

from podlike import procs
from podlike.engine.core import Engine
from podlike.errors import ConflictError, UsageError
from podlike.files import read_text, replace_text
from podlike.runtime.control import ask
from podlike.spec.container import ContainerSpec, HealthCheck
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

# Longer than a runtime takes to make a container; a monitor that says nothing for so long is stopped or stuck.
_HOLD_SECONDS: "Final" = 10.0
_MS: "Final" = 1_000_000  # ns
_LOG_LIMIT: "Final" = 1 << 30  # bytes: with --health-max-log-count=0 it grows for ever


def is_ours(conmon: str) -> bool:
    """Whether this monitor takes orders; conmon does not know them."""
    return os.path.basename(conmon).startswith("podlike-conmon")


def has_policy(spec: ContainerSpec) -> bool:
    return spec.restart_policy not in ("", "no")


def needs_tending(spec: ContainerSpec) -> bool:
    return has_policy(spec) or spec.health is not None or bool(spec.notify_socket)


def refuse_without_our_monitor(spec: ContainerSpec, conmon: str) -> None:
    """Raises: UsageError. Restarts have a way with conmon too (engine/restart.py), health checks do not."""
    if spec.health is not None and not is_ours(conmon):
        raise UsageError(f"health checks need podlike-conmon as the monitor: {conmon} cannot run them",
                         hint="Leave --conmon away, or use --no-healthcheck.")


def health_log(engine: Engine, container: Container) -> str:
    """The file that the monitor writes, a document as podman's."""
    where = container.spec.health_log_destination
    if where in ("", "local", "events_logger"):
        return f"{engine.roots.container(container.id)}/healthcheck.log"
    return f"{where}/{container.id}-healthcheck.log"


def write_orders(engine: Engine, container: Container, config: "dict[str, Any]") -> None:
    """Write BUNDLE/orders and the processes of the checks, for a container whose config.json this is."""
    bundle, spec = engine.roots.bundle(container.id), container.spec
    lines = [f"restart {spec.restart_policy or 'no'}", f"stop-signal {_number(spec.stop_signal)}",
             f"stop-timeout {spec.stop_timeout}"]
    if spec.health is not None:
        lines += _health_lines(engine, container, spec.health, config)
    if spec.notify_socket:
        lines += [f"notify-socket {spec.notify_socket}", f"notify-mode {spec.sdnotify or 'container'}"]
    replace_text(f"{bundle}/orders", "\n".join(lines) + "\n")


def _number(stop_signal: str) -> int:
    from podlike.spec import signals

    return int(signals.parse(stop_signal or "TERM"))


def _health_lines(engine: Engine, container: Container, check: HealthCheck, config: "dict[str, Any]") -> list[str]:
    from podlike.spec.health import DEFAULT_LOG_COUNT, DEFAULT_LOG_SIZE

    bundle, spec = engine.roots.bundle(container.id), container.spec
    count, size = spec.health_log_count, spec.health_log_size
    out = [f"health {_process(bundle, 'health', check, config)}", *_check_lines("health", check),
           f"health-start-period {check.start_period // _MS}", f"health-start-interval {check.start_interval // _MS}",
           f"health-on-failure {spec.health_on_failure or 'none'}", f"health-log {health_log(engine, container)}",
           f"health-log-count {DEFAULT_LOG_COUNT if count is None else count}",
           f"health-log-size {DEFAULT_LOG_SIZE if size is None else size}"]
    startup = spec.startup_health
    if startup is not None:
        out += [f"startup {_process(bundle, 'startup', startup, config)}", *_check_lines("startup", startup),
                f"startup-success {startup.successes}"]
    return out


def _check_lines(word: str, check: HealthCheck) -> list[str]:
    # A time that was asked for is never none, however short.
    interval, timeout = (max(1, ns // _MS) if ns else 0 for ns in (check.interval, check.timeout))
    return [f"{word}-interval {interval}", f"{word}-timeout {timeout}", f"{word}-retries {check.retries}"]


def _process(bundle: str, word: str, check: HealthCheck, config: "dict[str, Any]") -> str:
    """Write the process of a check: the container's own with other arguments and no terminal."""
    from podlike.spec.health import argv

    process = {k: v for k, v in config["process"].items() if k != "consoleSize"}
    process |= {"args": argv(check), "terminal": False,
                "env": [text for text in process["env"] if not text.startswith("LISTEN_")]}
    path = f"{bundle}/{word}.json"
    replace_text(path, json.dumps(process))  # the monitor may be about to run a check
    return path


def start_program(engine: Engine, container: Container) -> str | None:
    """Have the monitor start the program of the container that it made. None: done; else the runtime's words."""
    answer = ask(engine.roots.bundle(container.id), "start")
    if answer == "ok":
        return None
    return answer.removeprefix("error ") if answer else "the monitor died without a word"


def reload(engine: Engine, container: Container, config: "dict[str, Any]") -> bool:
    """Have the monitor of a container that runs follow the orders of its spec as it is now, and tend it from now on if it
    did not. False: there is no monitor that could. config: the container's config.json.

    Raises: ConflictError when it refuses; then the old orders hold.
    """
    write_orders(engine, container, config)
    answer = ask(engine.roots.bundle(container.id), "reload")
    if answer is None or answer == "ok":
        return answer is not None
    raise ConflictError(f"update container {container.name}: {answer.removeprefix('error ')}",
                        hint="Stop it, update it, start it again.")


def hold(engine: Engine, container: Container) -> None:
    """No restart from now on. Returns when the container runs for the last time, or has ended for good.

    Without a monitor to tell there is none that could restart it.
    """
    if container.state.conmon:
        return  # conmon: no such thing
    # One that was stopped reads this before it goes on.
    limit = _HOLD_SECONDS if procs.state_of(container.state.conmon_pid) not in "Tt" else 0.0
    ask(engine.roots.bundle(container.id), "hold", timeout=limit)


def run_check(engine: Engine, container: Container) -> str:
    """Run the health check now; what came of it: healthy, unhealthy, starting, stopped. Raises: ConflictError."""
    from podlike.engine import query
    from podlike.spec.durations import format_duration

    spec = container.spec
    if query.status(engine, container).state != "running":
        raise ConflictError(f"container {container.id} is not running")
    if spec.health is None:
        raise ConflictError(f"container {container.id} has no defined healthcheck")
    answer = ask(engine.roots.bundle(container.id), "check")
    if answer == "timeout":
        raise ConflictError(f"healthcheck command exceeded timeout of {format_duration(spec.health.timeout / 1e9)}")
    if not answer or not answer.startswith("ok "):
        why = answer.removeprefix("error ") if answer else "its monitor is gone"
        raise ConflictError(f"run the health check of container {container.name}: {why}",
                            hint=f"Start it again: `podlike restart {container.name}`." if not answer else None)
    return answer[3:]


def read_log(engine: Engine, container: Container) -> "list[dict[str, Any]]":
    """The newest checks, oldest first, as many as the container keeps."""
    from podlike.spec.health import DEFAULT_LOG_COUNT

    count = container.spec.health_log_count
    count = DEFAULT_LOG_COUNT if count is None else count
    try:
        entries: "list[dict[str, Any]]" = json.loads(read_text(health_log(engine, container), limit=_LOG_LIMIT))["Log"] or []
    except (OSError, ValueError, KeyError, TypeError):
        return []  # none yet, or somebody else's file in the directory that the user named
    return entries[-count:]
