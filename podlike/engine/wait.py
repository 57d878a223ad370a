"""Waiting for containers to reach a state."""

import time

from podlike import procs
from podlike.engine import query
from podlike.engine.cleanup import await_exit_file
from podlike.engine.core import Engine
from podlike.errors import ConflictError, NotFoundError
from podlike.store.containers import Container

_STOPPED = ("stopped", "exited", "")
_HEALTH = ("healthy", "unhealthy")


def wait(engine: Engine, container: Container, *, conditions: "tuple[str, ...]" = ("stopped",),
         interval: float = 0.25, unstarted_ends: bool = False) -> int:
    """Block until one of the conditions holds; return the exit code, or -1 for a condition other than stopped.

    conditions: states as `ps` shows them, "stopped" for any end. interval: seconds between looks, used only for
    conditions that the kernel does not announce. A container that was removed meanwhile counts as stopped and as removing.
    unstarted_ends: one that was never started is not waited for; its code is 0, as with podman.
    Raises: NotFoundError when it was removed and that is not what is waited for; ConflictError for the health of one that
    has no check, or has stopped.
    """
    stopped = any(c in _STOPPED for c in conditions)
    others = [c for c in conditions if c not in _STOPPED]
    _need_health_check(container, others)
    seen: int | None = None  # restarts at the first look
    while True:
        try:
            now = query.find(engine, container.id)
        except NotFoundError:
            if not stopped and "removing" not in others:
                raise  # that state never comes
            code = engine.containers.exit_code(container.id)
            return -1 if code is None else code
        state = query.status(engine, now)
        seen = state.restarts if seen is None else seen
        if state.state in others or (state.health and state.health in others):
            return -1
        if "running" in others and state.restarts > seen:
            return -1  # it ran between two looks
        # An end that a restart follows is an end too.
        if stopped and (state.state in ("exited", "removing", "restarting") or state.restarts > seen):
            return state.exit_code
        if not stopped and others and set(others) <= set(_HEALTH) and state.state in ("exited", "removing"):
            raise ConflictError(f"wait for container {now.name} to be {' or '.join(others)}: container is stopped")
        if stopped and state.state == "created" and unstarted_ends:
            return state.exit_code
        if stopped and state.state == "created" and not others:
            time.sleep(interval)  # it was never started: somebody may start it
            continue
        _wait_for_change(engine, now, state, interval if others else None)


def _need_health_check(container: Container, conditions: "list[str]") -> None:
    for condition in conditions:
        if condition in _HEALTH and container.spec.health is None:
            raise ConflictError(f'cannot use condition "{condition}": container {container.id} has no healthcheck')


def _wait_for_change(engine: Engine, container: Container, now: query.Status, timeout: float | None) -> None:
    """Sleep until the container's process ends, or timeout seconds (None: for as long as it takes)."""
    pid, started = query.process_of(engine, container)
    if now.state == "restarting":
        time.sleep(timeout or 0.05)
    elif pid:
        procs.wait_gone(pid, started, timeout)
    else:
        await_exit_file(engine, container.id, container.state.conmon_pid, container.state.conmon_start_time)
        if timeout is not None or not now.conmon_pid:
            time.sleep(timeout or 0.05)
