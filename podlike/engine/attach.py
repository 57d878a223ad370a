"""Connecting to a container that runs already."""

from podlike.engine import query
from podlike.engine.cleanup import await_exit_file
from podlike.engine.core import Engine
from podlike.errors import ConflictError
from podlike.runtime import attach as attaching
from podlike.runtime import procs
from podlike.spec.attach import Attach
from podlike.store.containers import Container


def attach(engine: Engine, container: Container, how: Attach) -> int | None:
    """Relay until the container ends; its exit code, or None when the user detached.

    Raises: ConflictError when it does not run.
    """
    pid, started = query.process_of(engine, container)
    if not pid or not query.status(engine, container).running:
        raise ConflictError("you can only attach to running containers",
                            hint=f"Start it with `podlike start --attach {container.name}`.")
    bundle = engine.roots.bundle(container.id)
    sock = attaching.connect(bundle)
    try:
        relay = attaching.Relay(sock, how, bundle=bundle, on_signal=lambda signum: procs.send_signal(pid, started, signum))
        if not relay.run():
            return None
    finally:
        sock.close()
    state = container.state
    await_exit_file(engine, container.id, state.conmon_pid, state.conmon_start_time)
    ended = query.exit_file(engine, container.id)
    if ended is not None:
        return ended[0]
    # cleaned up (and, with --rm, removed) before we could look
    code = engine.containers.exit_code(container.id)
    return query.UNWATCHED_EXIT if code is None else code
