"""`system reset`: everything of a store goes. `system migrate`: containers stop, and the session ends.

A reset that is killed leaves containers, volumes and images as they are removed anywhere; from one instant on the database is
gone, and with it all that it names. What remains then, .reset-* among it, is no record's: the next reset takes it along.
"""

import os
import signal
import time

from podlike import log, procs
from podlike.engine import query
from podlike.engine.core import Engine
from podlike.errors import ConflictError, NotFoundError, PodlikeError, StoreError
from podlike.store.trees import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from podlike.store.containers import Container
    from podlike.store.locks import StoreLock

_TRASH: "Final" = ".reset-"
_PATIENCE_S: "Final" = 10.0  # for pulls and the like that are under way; then the user is told


def reset(engine: Engine) -> None:
    """Remove all containers, volumes, images, the store's directories, and the session.

    Raises: ConflictError while another command builds on the store; StoreError for what cannot be removed.
    """
    _forget_startup(engine)
    engine.enter_session()
    lock = _alone(engine)
    try:
        _remove_containers(engine)
        _remove_volumes(engine)
        engine.close()
        _unmount_below(engine.roots.data, engine.roots.run)
        _empty(engine.roots.data)
    finally:
        lock.release()
    _end_session(engine)
    try:
        remove_tree(engine.roots.run)
    except OSError as e:
        raise StoreError(f"remove {engine.roots.run}: {(e.strerror or str(e)).lower()}") from e


def migrate(engine: Engine, *, runtime: str, stopped: "Callable[[str], None]") -> None:
    """Stop all containers and end the session, so that the next command makes one with the subordinate ids of now.

    runtime: what all containers run with from now on; "": what they do. stopped: is told the id of each that ran.
    Raises: UsageError for a runtime that is not there; PodlikeError for what cannot be stopped.
    """
    from podlike.engine.stop import stop

    if runtime:
        _check_runtime(engine, runtime)
    running = [c for c in query.all_containers(engine) if query.status(engine, c).state in ("running", "paused", "restarting")]
    monitors = [(c.state.conmon_pid, c.state.conmon_start_time) for c in running]
    for container in running:
        stop(engine, container)
        stopped(container.id)
    for pid, started in monitors:
        procs.wait_gone(pid, started, 10)  # its exit command would make a session again
    if runtime:
        for container in query.all_containers(engine):
            container.spec.runtime = runtime
            engine.containers.save_spec(container)
    _end_session(engine)


def _check_runtime(engine: Engine, name: str) -> None:
    from podlike.runtime.oci import find_runtime

    find_runtime(name, roots=engine.roots, runtimes=engine.config.engine.runtimes)


def _forget_startup(engine: Engine) -> None:
    """What would start containers after a reboot; before the session, in which crontab cannot work."""
    from podlike.engine.startup import Startup

    startup = Startup(engine.roots)
    if startup.enabled:
        try:
            startup.remove()
        except PodlikeError as e:
            log.warning(f"{e.message}; it will find nothing to start")


def _alone(engine: Engine) -> "StoreLock":
    from podlike.store.locks import StoreLock

    deadline = time.monotonic() + _PATIENCE_S
    lock = StoreLock(engine.roots.tmp)
    while not lock.try_exclusive():
        if time.monotonic() > deadline:
            raise ConflictError("reset the store: another command works on it",
                                hint="Wait for pulls, loads and builds to end, or end them.")
        time.sleep(0.1)
    return lock


def _remove_containers(engine: Engine) -> None:
    from podlike.engine.dependents import dependents_first
    from podlike.engine.remove import remove

    found: "list[Container]" = query.all_containers(engine)
    monitors = [(c.state.conmon_pid, c.state.conmon_start_time) for c in found if c.state.conmon_pid]
    for container in dependents_first(engine, found) if len(found) > 1 else found:
        try:
            remove(engine, container, force=True, volumes=True, timeout=0)
        except NotFoundError:
            continue
        except PodlikeError as e:
            log.warning(f"remove container {container.name}: {e.message}")
    for pid, started in monitors:
        procs.wait_gone(pid, started, 10)  # its exit command would make a store again


def _remove_volumes(engine: Engine) -> None:
    """One by one: they may lie in other places, and must not be followed into what is mounted there."""
    from podlike.engine.volumes import remove_volume

    for volume in engine.volumes.all():
        try:
            remove_volume(engine, volume, force=True, timeout=0)
        except NotFoundError:
            continue


def _unmount_below(*roots: str) -> None:
    """Whatever is still mounted there, the innermost first: nothing of it must be removed with the directories."""
    from podlike.runtime import spawn

    for path in reversed(list(_mounts())):
        if any(path.startswith(f"{root}/") for root in roots):
            spawn.umount(path)
    left = [path for path in _mounts() if any(path.startswith(f"{root}/") for root in roots)]
    if left:
        raise StoreError(f"reset the store: {left[0]} is still mounted", hint=f"Unmount it: `umount {left[0]}`.")


def _mounts() -> "Iterator[str]":
    """Mount points of this mount namespace, in the order in which they were mounted."""
    with open("/proc/self/mountinfo") as f:
        for line in f:
            yield line.split(" ", 5)[4].encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "surrogateescape")


def _empty(data: str) -> None:
    """First the database leaves, and with it everything; then the rest, by renaming; then all of it is deleted."""
    trash = f"{data}/{_TRASH}{os.urandom(8).hex()}"
    failures: "list[OSError]" = []
    try:
        os.mkdir(trash, 0o700)
        names = sorted(os.listdir(data), key=lambda name: not name.startswith("db.sqlite"))
        for name in names:
            if not name.startswith(_TRASH):
                os.rename(f"{data}/{name}", f"{trash}/{name}")
    except OSError as e:
        failures.append(e)  # a directory that somebody has mounted there: what is in it goes below
    for name in os.listdir(data):
        try:
            remove_tree(f"{data}/{name}")
        except OSError as e:
            failures.append(e)
    if failures and os.listdir(data):
        last = failures[-1]
        raise StoreError(f"remove {last.filename or data}: {(last.strerror or str(last)).lower()}",
                         hint="Run it again; what it names may be in use, or belong to somebody else.")
    try:
        os.rmdir(data)
    except OSError:
        pass  # its parent is not ours: an empty directory is no store


def _end_session(engine: Engine) -> None:
    """The holder of the namespaces; they live on as long as we do, and a container that could not be ended."""
    from podlike.runtime.session import holder

    pid, started = holder(engine.roots)
    if pid:
        procs.send_signal(pid, started, signal.SIGKILL)
        procs.wait_gone(pid, started, 10)
    try:
        os.unlink(f"{engine.roots.run}/session")
    except FileNotFoundError:
        pass
