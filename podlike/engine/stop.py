"""Ending containers: stop (ask, then insist), kill, pause."""

import os
import signal

from podlike import procs
from podlike.engine import events, query
from podlike.engine.cleanup import await_exit_file, cleanup, kill_now, lock_of, runtime_of, take_down
from podlike.engine.core import Engine
from podlike.engine.tending import hold
from podlike.errors import ConflictError, PodlikeError
from podlike.spec import signals
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

# What the keyboard and an ending session send.
_ENDING: "Final" = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def stop(engine: Engine, container: Container, *, timeout: int | None = None, by_user: bool = True,
         signal_name: str = "") -> bool:
    """Send the stop signal, then SIGKILL after timeout seconds (None: the container's own, negative: never).

    signal_name: instead of the container's own.

    by_user: not by the machine that goes down; what a user stopped may have to stay down after a reboot.
    Returns whether it ran. A container that does not run is fine. It is cleaned up (and removed, with --rm)
    when this returns.
    """
    now = query.status(engine, container)
    if now.state == "initialized":
        _kill_unstarted(engine, container)
        return True
    if not now.running:
        return False
    container.state.stopped_by_user |= by_user
    container.state.stopper = [os.getpid(), procs.start_time(os.getpid())]
    engine.containers.save_state(container)
    hold(engine, container)
    pid, started = query.process_of(engine, container)
    limit = container.spec.stop_timeout if timeout is None else timeout
    number = signals.parse(signal_name or container.spec.stop_signal or "TERM")
    if pid and limit != 0:
        procs.send_signal(pid, started, number)
        if now.state == "paused":
            unpause(engine, container)
        gone = procs.wait_gone(pid, started, None if limit < 0 else float(limit))
    else:
        gone = not pid
    if not gone:
        from podlike import log

        if limit:
            log.warning(f"StopSignal {signals.name_of(number)} failed to stop container {container.name} in {limit} seconds, "
                        "resorting to SIGKILL")
        kill_now(engine, container)
    events.container(engine, container, "stop")
    await_exit_file(engine, container.id, container.state.conmon_pid, container.state.conmon_start_time)
    cleanup(engine, container, remove=container.spec.remove)
    return True


def _kill_unstarted(engine: Engine, container: Container) -> None:
    engine.enter_session()
    with lock_of(engine, container.id):
        kill_now(engine, container)
        take_down(engine, container)


def kill(engine: Engine, container: Container, signum: int) -> None:
    """Send one signal to the container's first process. Raises: ConflictError when it does not run."""
    state = query.status(engine, container).state
    if ends(container, signum) and state in ("running", "paused", "stopping", "restarting"):
        container.state.stopped_by_user = True
        engine.containers.save_state(container)
        hold(engine, container)
    pid, started = query.process_of(engine, container)
    if not pid and container.state.tended and container.state.stopped_by_user and state in ("restarting", "stopping"):
        return  # it had ended; that it comes up again was prevented
    if not pid or state == "initialized" or not procs.send_signal(pid, started, signum):
        raise ConflictError(f"can only kill running containers. {container.id} is in state {state}: "
                            "container state improper")
    events.container(engine, container, "kill")
    if signum == signal.SIGKILL:
        procs.wait_gone(pid, started, 10)


def ends(container: Container, signum: int) -> bool:
    """Whoever sends what `stop` sends wants it stopped: no restart policy brings it up again."""
    return signum in (signal.SIGKILL, signals.parse(container.spec.stop_signal or "TERM"))


def sender(engine: Engine, container: Container) -> "Callable[[int], None]":
    """A function that passes a signal of the user's on to the container's process, whichever that is by then."""
    if container.state.conmon:
        return procs.sender(container.state.pid, container.state.start_time)

    def send(signum: int) -> None:
        container.state.tended = container.state.tended or _tended_by_now(engine, container)
        if signum in _ENDING or ends(container, signum):
            hold(engine, container)  # who presses ctrl-c does not want to see it start again
        procs.send_signal(*query.process_of(engine, container), signum)

    return send


def _tended_by_now(engine: Engine, container: Container) -> bool:
    """Whether an `update` has given it a restart policy since."""
    now = engine.containers.get(container.id)
    return now is not None and now.state.tended


def pause(engine: Engine, container: Container) -> None:
    """Freeze the container's cgroup. Raises: ConflictError, RuntimeFailure."""
    _need_state(engine, container, "running", "pause")
    engine.enter_session()
    runtime_of(engine, container).run("pause", container.id)
    if query.status(engine, container).state != "paused":
        # It ended at that moment and was made anew, without the pause.
        _need_state(engine, container, "running", "pause")
        runtime_of(engine, container).run("pause", container.id)
    events.container(engine, container, "pause")


def unpause(engine: Engine, container: Container) -> None:
    """Thaw the container's cgroup. Raises: ConflictError, RuntimeFailure."""
    _need_state(engine, container, "paused", "unpause")
    engine.enter_session()
    try:
        runtime_of(engine, container).run("resume", container.id)
    except PodlikeError:
        if query.status(engine, container).state == "paused":
            raise
        # It went on, and had ended before the runtime could see that.
    events.container(engine, container, "unpause")


def _need_state(engine: Engine, container: Container, wanted: str, verb: str) -> None:
    state = query.status(engine, container).state
    if state != wanted:
        raise ConflictError(f'"{container.id}" is not {wanted}, can\'t {verb}: container state improper')
    if not container.state.cgroup:
        raise ConflictError(f"{verb} container {container.name}: it has no cgroup of its own to freeze",
                            hint="Run podlike where a cgroup v2 subtree is delegated to you "
                                 "(a systemd user session does that).")
