"""`init`: a container made ready, network, mounts, runtime and all, with its program not yet begun; and its start later.

Its phase is "initialized". The monitor waits; whoever starts the program tells the runtime, as for any other start.
"""

from podlike.engine import query
from podlike.engine.cleanup import lock_of
from podlike.engine.core import Engine
from podlike.engine.start import begin_program, bring_up, ready_to_start, start_needed, undo
from podlike.engine.stop import sender
from podlike.errors import ConflictError
from podlike.runtime import attach as attaching
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from podlike.spec.attach import Attach


def init(engine: Engine, container: Container) -> None:
    """Raises: ConflictError for one that was made already, and what a start raises."""
    engine.enter_session()
    _refuse_made(engine, container)
    start_needed(engine, container, frozenset())
    lock = lock_of(engine, container.id)
    lock.acquire(blocking=True)
    try:
        _refuse_made(engine, engine.containers.find(container.id))
        fresh = ready_to_start(engine, container)
        if fresh is None:
            return
        try:
            bring_up(engine, fresh, None, begin=False).close()
        except BaseException as e:
            undo(engine, fresh, lock, str(e), discard=False)
            raise
    finally:
        lock.release()


def _refuse_made(engine: Engine, container: Container) -> None:
    if query.status(engine, container).state not in ("created", "exited"):
        raise ConflictError(f"container {container.id} has already been created in runtime: container state improper")


def go_on(engine: Engine, container: Container, attach: "Attach | None") -> "Callable[[], int | None]":
    """Under the container's lock: start the program of an initialized container. What is returned follows it to its end: the exit
    code, or None for one that runs on.
    """
    if attach is None:
        begin_program(engine, container, [], attached=False)
        return lambda: None
    bundle = engine.roots.bundle(container.id)
    passthrough = container.spec.log_driver.startswith("passthrough")
    sock = attaching.unconnected() if passthrough else attaching.connect(bundle)
    relay = attaching.Relay(sock, attach, bundle=bundle, on_signal=sender(engine, container))

    def follow() -> int | None:
        from podlike.engine.wait import wait

        with sock:
            return wait(engine, container) if relay.run() else None

    try:
        relay.enter()
        begin_program(engine, container, [], attached=True)
    except BaseException:
        relay.leave()
        sock.close()
        raise
    return follow
