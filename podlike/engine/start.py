"""Bringing a container up: network, root file system, bundle, monitor, runtime; then following it.

What does not depend on each other overlaps: the network helper starts while the root file system is mounted and
the runtime makes the container; it is waited for only before the container's program starts.
"""

import os
import sys
import time

from podlike import log, procs
from podlike.engine import eventorders, events, limits, query
from podlike.engine.bundle import write_bundle, write_network_files
from podlike.engine.cleanup import (
    await_exit_file,
    cleanup,
    delete,
    forget_end,
    kill_now,
    lock_of,
    runtime_of,
    take_down,
    take_down_mount,
)
from podlike.engine.core import Engine
from podlike.engine.dependents import must_run
from podlike.engine.logconf import monitor_args
from podlike.engine.network import Network
from podlike.engine.rootfs import mount_rootfs
from podlike.engine.stop import sender
from podlike.engine.tending import has_policy, is_ours, needs_tending, refuse_without_our_monitor, start_program
from podlike.errors import ConflictError, NotFoundError
from podlike.locks import Lock
from podlike.paths import ensure_private_dir, libexec
from podlike.runtime import attach as attaching
from podlike.runtime.monitor import Monitor, MonitorRequest, launch
from podlike.runtime.oci import failure_from_words
from podlike.runtime.statefile import path_of
from podlike.spec.attach import Attach
from podlike.store.containers import Container, RunState
from podlike.store.trees import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from podlike.spec.container import ContainerSpec
    from podlike.spec.events import Event


class Started:
    """A container that was just started: its monitor, and the socket to it when somebody attaches."""

    __slots__ = ("container", "monitor", "relay", "socket")

    def __init__(self, container: Container, monitor: Monitor) -> None:
        self.container = container
        self.monitor = monitor
        self.socket: "socket.socket | None" = None
        self.relay: "attaching.Relay | None" = None

    def close(self) -> None:
        if self.relay is not None:
            self.relay.leave()
        if self.socket is not None:
            self.socket.close()
        self.monitor.close()


def start(engine: Engine, container: Container, *, attach: Attach | None = None, discard: bool = False,
          wait: bool = True) -> int | None:
    """Start a container, after those that it needs. With attach: follow it to its end and return its exit code, or None
    when the user detached; without: return None at once, or with --sdnotify=healthy and wait as soon as it is healthy.

    A container made with --rm is removed when it ends, or when it cannot start; with discard any container that
    cannot start is removed: `run` leaves nothing of a failure behind.
    Raises: ConflictError, NetworkError, RuntimeFailure (125, 126, 127).
    """
    engine.enter_session()
    lock = lock_of(engine, container.id)
    try:
        start_needed(engine, container, frozenset())
    except BaseException as e:
        if discard or container.spec.remove:
            lock.acquire(blocking=True)
            undo(engine, container, lock, str(e), discard=True)
        raise
    lock.acquire(blocking=True)
    try:
        fresh = ready_to_start(engine, container)
        if fresh is None:
            return None
        started, follow = None, None
        try:
            if fresh.state.phase == "initialized":
                from podlike.engine.init import go_on

                follow = go_on(engine, fresh, attach)
            elif fresh.spec.infra and _is_unwatched(fresh):
                _bring_up_unwatched(engine, fresh)
            else:
                started = bring_up(engine, fresh, attach)
        except BaseException as e:
            undo(engine, fresh, lock, str(e), discard=discard or fresh.spec.remove)
            raise
    finally:
        lock.release()
    if follow is not None:
        return follow()
    if started is None:
        return None
    try:
        if attach is not None:
            return _follow(engine, started)
    finally:
        started.close()
    if wait and container.spec.sdnotify == "healthy":
        _await_healthy(engine, container)
    return None


def start_needed(engine: Engine, container: Container, before: frozenset[str]) -> None:
    """Start the containers that it needs and that do not run, each after those that it needs itself."""
    for name in must_run(container.spec):
        other = query.find(engine, name)
        if other.id in before or query.process_of(engine, other)[0]:
            continue
        start_needed(engine, other, before | {container.id})
        start(engine, other)


def _await_healthy(engine: Engine, container: Container) -> None:
    """Raises: ConflictError when it ends first. The monitor tells the service manager by itself."""
    from podlike.engine.wait import wait

    gone = False
    try:
        wait(engine, container, conditions=("healthy",))
    except NotFoundError:
        gone = True
    except ConflictError as e:
        e.hint = f"It ended before it was. `podlike logs {container.name}` may say why."
        raise
    if gone or engine.containers.get(container.id) is None:
        raise ConflictError(f"wait for container {container.name} to be healthy: container is stopped",
                            hint="It ended before it was, and was removed then.")


def ready_to_start(engine: Engine, container: Container) -> Container | None:
    """The record as it is now, with an earlier run cleared away; None: it runs already. What `init` has made stays."""
    fresh = engine.containers.find(container.id)
    state = query.status(engine, fresh).state
    if state == "running":
        return None
    if state in ("paused", "stopping", "removing"):
        raise ConflictError(f"start container {fresh.name}: it is {state}: container state improper",
                            hint="Unpause it." if state == "paused" else "Wait until it has ended and try again.")
    if state == "initialized" and fresh.state.phase == "initialized":
        return fresh
    if state in ("initialized", "restarting"):
        kill_now(engine, fresh)
    take_down(engine, fresh)
    return fresh


def _is_unwatched(container: Container) -> bool:
    """Not in a systemd unit, which needs a process of its own to watch."""
    from podlike.engine.pods.pause import is_unwatched

    return is_unwatched(container.spec) and not os.environ.get("PODMAN_SYSTEMD_UNIT")


def _bring_up_unwatched(engine: Engine, container: Container) -> None:
    from podlike.engine.pods.pause import bring_up

    _prepare(engine, container)
    container.state.unwatched = True
    bring_up(engine, container)


def _prepare(engine: Engine, container: Container) -> str:
    """Record that the start has begun; make and return the bundle's directory."""
    bundle = engine.roots.bundle(container.id)
    os.makedirs(bundle, mode=0o700, exist_ok=True)
    ensure_private_dir(engine.roots.exits)
    forget_end(engine, container.id)  # of a run whose clean-up was killed on its last step
    container.state = _fresh_state(engine, container)
    engine.containers.save_state(container)
    return bundle


def bring_up(engine: Engine, container: Container, attach: Attach | None, *, begin: bool = True,
             restore: "Sequence[str]" = ()) -> Started:
    """Under the container's lock. On an exception the caller undoes what was done so far.

    begin: start the program too; else all is ready for that. restore: the directory of a checkpoint that the process comes
    from, and flags for the runtime's restore.
    """
    spec = container.spec
    bundle = _prepare(engine, container)
    container.state.tended &= not restore  # a monitor that restores does only that
    network = Network(engine, container)
    try:
        network.start()
        _write_bundle(engine, container, network)
        eventorders.write_for_monitor(engine, container)
        monitor = launch(_monitor_request(engine, container, attach, network, restore), pidfile=f"{bundle}/conmon.pid")
        started = Started(container, monitor)
        try:
            _go(engine, started, attach, network, begin=begin, restored=bool(restore))
        except BaseException:
            started.close()
            raise
    except BaseException:
        network.abort()
        raise
    finally:
        network.close()
    if spec.conmon_pidfile:
        _write_pid(spec.conmon_pidfile, container.state.conmon_pid)
    if spec.pidfile:
        _write_pid(spec.pidfile, container.state.pid)
    return started


def _write_bundle(engine: Engine, container: Container, network: Network) -> None:
    if container.spec.infra:
        from podlike.engine.pods import pause

        if pause.is_pause(container.spec):
            pause.write_bundle(engine, container, network)
            return
    take_down_mount(engine, container.id)
    write_bundle(engine, container, rootfs=mount_rootfs(engine, container), network=network)


def _fresh_state(engine: Engine, container: Container) -> RunState:
    parent, manager = _pod_cgroup(engine, container) if container.spec.pod else ("", "")
    where = limits.enter(engine, container, manager=manager, parent=parent)
    conmon = conmon_path(engine)
    refuse_without_our_monitor(container.spec, conmon)
    tended = is_ours(conmon) and needs_tending(container.spec)
    return RunState(phase="starting", boot_id=query.this_boot(), tended=tended, conmon="" if is_ours(conmon) else conmon,
                    restarts=0 if tended else container.state.restarts,
                    started_at=container.state.started_at, finished_at=container.state.finished_at,
                    exit_code=container.state.exit_code, cgroup=where, unit=os.environ.get("PODMAN_SYSTEMD_UNIT", ""),
                    warnings=container.state.warnings,
                    starter=container.state.starter)  # so that what a killed `run` had begun to start goes, too


def _pod_cgroup(engine: Engine, container: Container) -> tuple[str, str]:
    from podlike.engine.pods.members import cgroup_parent

    return cgroup_parent(engine, container.spec)


def _go(engine: Engine, started: Started, attach: Attach | None, network: Network, *, begin: bool, restored: bool) -> None:
    """From the monitor's start to the program's start."""
    container, state = started.container, started.container.state
    state.conmon_pid = started.monitor.pid
    state.conmon_start_time = procs.start_time(state.conmon_pid)
    state.pid = started.monitor.wait_created()
    state.start_time = procs.start_time(state.pid)
    told = [events.container_event(container, "restore" if restored else "init")]
    bundle = engine.roots.bundle(container.id)
    if attach is not None:
        passthrough = container.spec.log_driver.startswith("passthrough")
        started.socket = attaching.unconnected() if passthrough else attaching.connect(bundle)
        started.relay = attaching.Relay(started.socket, attach, bundle=bundle, on_signal=sender(engine, container))
        started.relay.enter()
    network.wait_ready()
    write_network_files(engine, container, network)
    if restored:
        state.phase, state.started_at, state.restored_at = "started", time.time(), time.time()
        engine.containers.save_state(container)
        events.emit(engine, *told)
        return
    if begin:
        begin_program(engine, container, told, attached=attach is not None)
        return
    state.phase = "initialized"
    engine.containers.save_state(container)
    events.emit(engine, *told)


def begin_program(engine: Engine, container: Container, told: "list[Event]", *, attached: bool) -> None:
    """Start the program of a container that was made, and tell of it. told: events that come first."""
    state = container.state
    state.phase, state.started_at = "started", time.time()
    # Recorded first: should we die now, everybody sees a process that runs, and the monitor knows its end.
    engine.containers.save_state(container)
    also = ("attach",) if attached else ()
    if state.tended:  # its monitor tells of the start itself, and of what comes next
        events.emit(engine, *told, *(events.container_event(container, word) for word in also))
        _start_program(engine, container)
        return
    _start_program(engine, container)
    # Now that the program runs: what is written here costs its start no time.
    events.emit(engine, *told, *(events.container_event(container, word) for word in ("start", *also)))


def _start_program(engine: Engine, container: Container) -> None:
    """Raises: RuntimeFailure and its kin."""
    runtime = runtime_of(engine, container)
    if not container.state.tended:
        runtime.start(container.id)
        return
    words = start_program(engine, container)
    if words is not None:
        raise failure_from_words(words, runtime=runtime.name)


def _monitor_request(engine: Engine, container: Container, attach: Attach | None, network: Network,
                     restore: "Sequence[str]") -> MonitorRequest:
    roots, spec, cid = engine.roots, container.spec, container.id
    bundle = roots.bundle(cid)
    args = ["-b", bundle, "-p", f"{bundle}/pidfile", "--exit-dir", roots.exits, "--persist-dir", bundle,
            "-n", container.name, "--full-attach", *monitor_args(engine, container)]
    if spec.terminal:
        args.append("-t")
    if not engine.config.containers.keyring:
        args.append("--no-new-keyring")
    if engine.config.engine.no_pivot_root:
        args.append("--no-pivot")
    if spec.stdin_open:
        args.append("-i")
    if is_ours(conmon_path(engine)):
        args += ["--state-file", path_of(roots, cid)]
    if container.state.tended:
        args += ["--orders", f"{bundle}/orders"]
    if spec.notify_socket and spec.sdnotify in ("", "container"):
        args += ["--sdnotify-socket", spec.notify_socket]
    if spec.timeout:
        args += ["-T", str(spec.timeout)]
    if restore:
        args += ["--restore", restore[0], *(word for flag in restore[1:] for word in ("--restore-arg", flag))]
    exit_command = [sys.executable, "-m", "podlike", "--root", roots.data, "--runroot", roots.run, "container", "cleanup"]
    if engine.events:
        exit_command[-2:-2] = ["--events-backend", engine.events]
    for path in engine.config.modules:
        exit_command[-2:-2] = ["--module", path]
    if spec.remove:
        exit_command.append("--rm")
    return MonitorRequest(conmon=conmon_path(engine), runtime=runtime_of(engine, container), cid=cid, args=args,
                          cwd=bundle, env=monitor_env(engine), exit_command=[*exit_command, cid], inherit=network.monitor_fds(),
                          preserved=[*range(3, 3 + (_listening(spec) or spec.preserve_fds)), *spec.preserve_fd],
                          owned=attach is not None, passthrough=spec.log_driver.startswith("passthrough"))


def monitor_env(engine: Engine) -> dict[str, str]:
    """conmon_env_vars of containers.conf."""
    return {name: value for name, equals, value in (t.partition("=") for t in engine.config.engine.conmon_env_vars) if equals}


def _listening(spec: "ContainerSpec") -> int:
    """How many sockets systemd has opened for it."""
    if "LISTEN_FDS" not in os.environ:  # spares the start of others the import
        return 0
    from podlike.engine.listening import count

    return count(spec)


def conmon_path(engine: Engine) -> str:
    """The monitor: ours, or the one that the user named."""
    named = (engine.conmon, *engine.config.engine.conmon_path)
    return next((p for p in named if p and os.access(p, os.X_OK)), libexec("podlike-conmon"))


def _follow(engine: Engine, started: Started) -> int | None:
    """Relay to the end, then clean up ourselves and spare the monitor its exit command."""
    assert started.relay is not None
    container = started.container
    # With passthrough only signals are relayed, until the end is known.
    if not container.spec.log_driver.startswith("passthrough") and not started.relay.run():
        return None
    code = started.monitor.wait_exit()
    started.relay.leave()
    if code is None:
        # conmon itself knows no owner pipe, but leaves the same exit file, some time after it closed the streams.
        state = container.state
        await_exit_file(engine, container.id, state.conmon_pid, state.conmon_start_time)
        ended = query.exit_file(engine, container.id)
        code = ended[0] if ended else None
    if code is None:
        log.warning(f"the monitor of {container.name} was killed: its exit code is unknown")
        code = query.UNWATCHED_EXIT
    if has_policy(container.spec) and not container.state.tended:
        return code  # conmon's: the monitor's exit command cleans up and starts it again
    cleanup(engine, container, remove=container.spec.remove)
    started.monitor.cleaned_up()
    return code


def undo(engine: Engine, container: Container, lock: Lock, why: str, *, discard: bool) -> None:
    """After a failed start: nothing runs, nothing is mounted; with discard nothing is left at all."""
    kill_now(engine, container)
    take_down(engine, container)
    remove_tree(engine.roots.bundle(container.id))
    if discard:
        delete(engine, container, volumes=True)
        lock.release(remove=True)
        return
    container.state.error = why
    engine.containers.save_state(container)


def _write_pid(path: str, pid: int) -> None:
    from podlike.files import replace_text

    replace_text(path, str(pid), mode=0o644)
