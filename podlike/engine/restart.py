"""Restart policies where the monitor is conmon: applied by its exit command. podlike-conmon does it by itself."""

import time

from podlike.engine.core import Engine
from podlike.store.containers import Container

# Docker's: the wait doubles from 100 ms up to a minute, so that a program that dies at once costs little.
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 60.0


def wants_restart(container: Container) -> bool:
    """Whether the container, which has ended, is to be started again."""
    policy, _, limit = container.spec.restart_policy.partition(":")
    state = container.state
    if state.phase != "exited" or state.stopped_by_user or state.stopper:
        return False
    if policy == "on-failure":
        return state.exit_code != 0 and (not limit or state.restarts < int(limit))
    return policy in ("always", "unless-stopped")


def restart_if_wanted(engine: Engine, cid: str) -> None:
    """Wait, then start it again, unless somebody stopped, started or removed it meanwhile."""
    container = engine.containers.get(cid)
    if container is None or not wants_restart(container):
        return
    time.sleep(min(_FIRST_WAIT * 2 ** min(container.state.restarts, 10), _LONGEST_WAIT))
    fresh = engine.containers.get(cid)
    if fresh is None or not wants_restart(fresh):
        return
    engine.conmon = fresh.state.conmon  # the one that it had: podlike-conmon would begin to count anew
    fresh.state.restarts += 1
    engine.containers.save_state(fresh)
    from podlike.engine.start import start

    start(engine, fresh)
