"""`mount` and `unmount`: a container's files, reachable while it does not run.

A container that runs is mounted anyway. For one that does not, the same is done as for a start; the file `mounted` in its
directory, which holds the path, says that somebody asked for it. A start, an unmount or the removal takes it down again.
"""

import os

from podlike.engine import events, query
from podlike.engine.core import Engine
from podlike.engine.imagemount import is_mounted, require_inside
from podlike.errors import ConflictError
from podlike.store.containers import Container

_LIVE = ("running", "paused", "restarting", "stopping")


def mount(engine: Engine, container: Container) -> str:
    """Mount a container's root file system and return its path. Raises: StoreError, SessionError."""
    from podlike.engine.cleanup import lock_of
    from podlike.engine.rootfs import mount_rootfs

    require_inside()
    with lock_of(engine, container.id):
        path = mounted(engine, container)
        if not path:
            path = mount_rootfs(engine, container)
            mark(engine, container, path)
            events.container(engine, container, "mount")
        return path


def mounted(engine: Engine, container: Container) -> str:
    """Where it is mounted now, or ""."""
    if query.status(engine, container).state in _LIVE:
        merged = f"{engine.roots.container(container.id)}/merged"
        return merged if container.spec.rootfs_overlay else container.spec.rootfs or merged
    path = _asked(engine, container.id)
    # Directories of --rootfs and of drivers that copy are there without a mount.
    return path if path and (is_mounted(path) or not path.endswith("/merged")) else ""


def mark(engine: Engine, container: Container, path: str) -> None:
    """Under the container's lock: somebody wants it mounted at path."""
    with open(_marker(engine, container.id), "w") as f:
        f.write(path)


def unmount(engine: Engine, container: Container) -> bool:
    """Take back what mount() did; False: there was nothing to do. Raises: ConflictError for a container that runs."""
    from podlike.engine.cleanup import lock_of

    engine.enter_session()
    with lock_of(engine, container.id):
        if query.status(engine, container).state in _LIVE:
            raise ConflictError(f"cannot unmount storage for container {container.id} as it is running or paused: container "
                                "state improper", hint="Stop it first.")
        if not mounted(engine, container):
            return False
        forget(engine, container.id)
        events.container(engine, container, "unmount")
        return True


def forget(engine: Engine, cid: str) -> None:
    """Under the container's lock: unmount what `mount` has left, if anything."""
    path = _asked(engine, cid)
    if not path:
        return
    from podlike.runtime import spawn

    if is_mounted(path) and path.startswith(f"{engine.roots.container(cid)}/"):
        spawn.umount(path)
    os.unlink(_marker(engine, cid))


def _asked(engine: Engine, cid: str) -> str:
    try:
        with open(_marker(engine, cid)) as f:
            return f.read()
    except FileNotFoundError:
        return ""


def _marker(engine: Engine, cid: str) -> str:
    return f"{engine.roots.container(cid)}/mounted"
