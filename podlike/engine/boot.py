"""After a reboot: which containers come back, and bringing them up in an order that works."""

import os

from podlike.engine import query
from podlike.engine.core import Engine
from podlike.engine.dependents import must_run, needs
from podlike.errors import ConflictError, PodlikeError
from podlike.locks import Lock
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Final

POLICIES: "Final" = ("always", "unless-stopped")
_AT_ONCE: "Final" = 8  # containers that are stopped side by side: each costs a process of ours


def survives(policy: str) -> bool:
    """Whether containers with this restart policy come back after a reboot, as podman and docker have it."""
    return policy in POLICIES


def comes_back(container: Container) -> bool:
    """Whether it is started after a reboot: it has run, and the user has not stopped it, or it is wanted always. What a
    systemd unit has started is that unit's to start."""
    spec, state = container.spec, container.state
    if not survives(spec.restart_policy) or not state.started_at or state.unit:
        return False
    return spec.restart_policy == "always" or not state.stopped_by_user


def bring_up(engine: Engine, on_failure: "Callable[[Container, PodlikeError], None]",
             on_start: "Callable[[Container], None]") -> None:
    """Start what comes back and does not run, each after those that it needs. Whoever runs this at the same time waits.

    on_failure gets what could not be started; that holds up nobody but those who need it.
    """
    with Lock(engine.roots, "boot"):
        failed: set[str] = set()
        for container in in_order(filter(comes_back, query.all_containers(engine))):
            try:
                missing = _failed_need(engine, container, failed)
                if missing:
                    raise ConflictError(f"start container {container.name}: it needs {missing}, which could not be started")
                if _start(engine, container.id):
                    on_start(container)
            except (PodlikeError, OSError) as e:  # whatever it is, the others come up
                failed.add(container.id)
                told = e if isinstance(e, PodlikeError) else PodlikeError(f"start container {container.name}: {e}")
                on_failure(container, told)


def in_order(containers: "Iterable[Container]") -> list[Container]:
    """Each after those among them that it needs, otherwise as before."""
    everyone = list(containers)
    out: list[Container] = []
    visited: set[str] = set()

    def visit(one: Container) -> None:
        if one.id in visited:
            return
        visited.add(one.id)
        for other in everyone:
            if needs(one.spec, other):
                visit(other)
        out.append(one)

    for one in everyone:
        visit(one)
    return out


def _failed_need(engine: Engine, container: Container, failed: set[str]) -> str:
    needed = (engine.containers.find(name) for name in must_run(container.spec))
    return next((other.name for other in needed if other.id in failed), "")


def _start(engine: Engine, cid: str) -> bool:
    """False: it runs, or need not by now."""
    from podlike.engine.start import start

    now = engine.containers.get(cid)
    if now is None or not comes_back(now) or query.status(engine, now).running:
        return False
    start(engine, now, wait=False)
    return True


def stop_all(engine: Engine, on_failure: "Callable[[Container, PodlikeError], None]") -> None:
    """The machine goes down: stop everything that runs, in its own time, what depends on others first. None of it counts
    as stopped by the user. Containers of systemd units are left to these: stopped by somebody else, they would have failed."""
    running = [c for c in query.all_containers(engine) if not c.state.unit and query.status(engine, c).running]
    stop_in_waves(engine, running, on_failure)


def stop_in_waves(engine: Engine, running: list[Container], on_failure: "Callable[[Container, PodlikeError], None]", *,
                  timeout: int | None = None, by_user: bool = False, keep: bool = False) -> None:
    """Stop these, each after those among them that need it, those that do not side by side. timeout: seconds, None: each one's
    own. keep: those made with --rm stay.
    """
    how = {"timeout": timeout, "by_user": by_user, "keep": keep}
    waves: list[list[Container]] = []
    for one in reversed(in_order(running)):
        depth = max((n for n, wave in enumerate(waves) if any(needs(c.spec, one) for c in wave)), default=-1) + 1
        waves.extend([] for _ in range(depth + 1 - len(waves)))
        waves[depth].append(one)
    for wave in waves:
        for n in range(0, len(wave), _AT_ONCE):
            _stop_together(engine, wave[n:n + _AT_ONCE], on_failure, how)


def _stop_together(engine: Engine, containers: list[Container],
                   on_failure: "Callable[[Container, PodlikeError], None]", how: "dict[str, Any]") -> None:
    if len(containers) == 1:
        try:
            _stop(engine, containers[0], **how)
        except PodlikeError as e:
            on_failure(containers[0], e)
        return
    children = {_stop_in_child(engine, c, how): c for c in containers}
    for pid, container in children.items():
        _, status = os.waitpid(pid, 0)
        if status:
            on_failure(container, ConflictError(f"stop container {container.name}: it may still run"))


def _stop(engine: Engine, container: Container, *, timeout: int | None, by_user: bool, keep: bool) -> None:
    from podlike.engine.stop import stop

    fresh = engine.containers.get(container.id)
    if fresh is None:
        return
    fresh.spec.remove = fresh.spec.remove and not keep
    stop(engine, fresh, timeout=timeout, by_user=by_user)


def _stop_in_child(engine: Engine, container: Container, how: "dict[str, Any]") -> int:
    """Each waits for its container, so each is a process. Returns its pid; it ends with 0 when that is stopped."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        own = Engine(roots=engine.roots, conmon=engine.conmon)  # a database connection is not shared
        own.held_pod = engine.held_pod
        _stop(own, container, **how)
        code = 0
    except PodlikeError as e:
        from podlike import log

        log.warning(e.message)
    finally:
        os._exit(code)


__all__ = ["POLICIES", "bring_up", "comes_back", "in_order", "stop_all", "stop_in_waves", "survives"]
