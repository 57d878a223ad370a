"""`container checkpoint` and `restore`: a container's processes to disk and back, by the runtime and CRIU.

The images lie in the container's directory, so that they go with it: checkpoint/, and of --pre-checkpoint pre-checkpoint/.
CRIU needs root in the initial user namespace; what is missing is said before anything is touched.
"""

import os
import time

from podlike.engine import events, query
from podlike.engine.cleanup import await_exit_file, cleanup, lock_of, runtime_of
from podlike.engine.core import Engine
from podlike.errors import ConflictError, PodlikeError, StoreError, UsageError
from podlike.paths import find_program
from podlike.runtime.session import rootless
from podlike.store.containers import Container
from podlike.store.trees import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

IMAGES: "Final" = "checkpoint"
EARLIER: "Final" = "pre-checkpoint"


class Options(NamedTuple):
    """keep: CRIU's logs stay, and after a restore the images too. tcp_close: only of a restore."""

    keep: bool = False
    leave_running: bool = False
    tcp_established: bool = False
    tcp_close: bool = False
    file_locks: bool = False
    pre_checkpoint: bool = False
    with_previous: bool = False


def refuse_without_criu(what: str) -> None:
    """Raises: UsageError in words that name what is missing. what: checkpointing, restoring."""
    program = find_program("criu")
    if rootless():
        also = "" if program else ", and CRIU, which is not installed (Debian: `apt install criu`)"
        raise UsageError(f"{what} a container requires root", hint=f"CRIU needs all capabilities in the initial user namespace: "
                         f"run the container as root{also}.")
    if program is None:
        raise UsageError(f"{what} a container requires CRIU: the program criu is not installed",
                         hint="Install it (Debian: `apt install criu`; Fedora: `dnf install criu`).")


def checkpoint(engine: Engine, container: Container, options: Options) -> float:
    """Save a container that runs; it ends, unless it is to go on. Seconds that the runtime took.

    Raises: UsageError, ConflictError, RuntimeFailure with CRIU's reason; then the container runs on.
    """
    from podlike.engine.tending import hold

    refuse_without_criu("checkpointing")
    goes_on = options.leave_running or options.pre_checkpoint
    if query.status(engine, container).state not in ("running", "paused"):
        raise ConflictError(f'"{container.id}" is not running, cannot checkpoint: container state improper')
    if container.spec.remove and not goes_on:
        raise ConflictError("cannot checkpoint containers that have been started with '--rm': container state improper",
                            hint="Use --leave-running, or start the container without --rm.")
    engine.enter_session()
    with lock_of(engine, container.id):
        if not goes_on:
            hold(engine, container)
        took = _dump(engine, container, options)
    fresh = engine.containers.find(container.id)
    if not options.pre_checkpoint:
        fresh.state.checkpointed_at = time.time()
        engine.containers.save_state(fresh)
    events.container(engine, fresh, "checkpoint")
    if not goes_on:
        await_exit_file(engine, fresh.id, fresh.state.conmon_pid, fresh.state.conmon_start_time)
        cleanup(engine, fresh)
    return took


def _dump(engine: Engine, container: Container, options: Options) -> float:
    base = engine.roots.container(container.id)
    images = f"{base}/{EARLIER if options.pre_checkpoint else IMAGES}"
    if options.with_previous and not os.path.isdir(f"{base}/{EARLIER}"):
        raise ConflictError(f"checkpoint container {container.name}: there is no pre-checkpoint of it",
                            hint="Make one with --pre-checkpoint first.")
    remove_tree(images)
    os.makedirs(images, mode=0o700)
    words = ["--image-path", images, "--work-path", images, *_flags(options)]
    words += [word for wanted, word in ((options.leave_running, "--leave-running"), (options.pre_checkpoint, "--pre-dump"))
              if wanted]
    words += ["--parent-path", f"../{EARLIER}"] if options.with_previous else []
    started = time.monotonic()
    try:
        runtime_of(engine, container).run("checkpoint", *words, container.id)
    except PodlikeError as e:
        if not options.keep:
            remove_tree(images)
        raise StoreError(f"checkpoint container {container.name}: {e.message}",
                         hint="`criu check` tells whether CRIU knows this kernel; its log stays with --keep.") from e
    return time.monotonic() - started


def _flags(options: Options) -> list[str]:
    given = ((options.tcp_established, "--tcp-established"), (options.file_locks, "--file-locks"),
             (options.tcp_close, "--tcp-close"))
    return [flag for wanted, flag in given if wanted]


def has_checkpoint(engine: Engine, container: Container) -> bool:
    return os.path.exists(f"{engine.roots.container(container.id)}/{IMAGES}/inventory.img")


def restore(engine: Engine, container: Container, options: Options) -> float:
    """Bring the processes of a checkpoint back. Seconds that it took. Raises: UsageError, ConflictError, RuntimeFailure."""
    from podlike.engine.start import bring_up, ready_to_start, start_needed, undo

    refuse_without_criu("restoring")
    if query.status(engine, container).state not in ("created", "exited"):
        raise ConflictError(f"container {container.id} is running or paused, cannot restore: container state improper")
    if not has_checkpoint(engine, container):
        raise ConflictError("a checkpoint for this container cannot be found, cannot restore: container state improper",
                            hint=f"Make one: `podlike container checkpoint {container.name}`.")
    images = f"{engine.roots.container(container.id)}/{IMAGES}"
    engine.enter_session()
    start_needed(engine, container, frozenset())
    started = time.monotonic()
    lock = lock_of(engine, container.id)
    lock.acquire(blocking=True)
    try:
        fresh = ready_to_start(engine, container)
        if fresh is None:
            return 0.0
        try:
            bring_up(engine, fresh, None, restore=[images, *_flags(options)]).close()
        except BaseException as e:
            undo(engine, fresh, lock, str(e), discard=False)
            raise
    finally:
        lock.release()
    if not options.keep:
        remove_tree(images)
        remove_tree(f"{engine.roots.container(container.id)}/{EARLIER}")
    return time.monotonic() - started
