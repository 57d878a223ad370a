"""Volumes: directories below the data root that outlive containers."""

import os
import re
import time

from podlike.engine import events
from podlike.engine.core import Engine
from podlike.errors import NotFoundError, StoreError, UsageError
from podlike.spec.events import Event
from podlike.store.containers import Container
from podlike.store.trees import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# What docker and podman take as names.
_NAME: "Final" = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")


def volume_path(engine: Engine, name: str) -> str:
    """Directory with the volume's contents."""
    return f"{engine.roots.data}/volumes/{name}/_data"


def ensure_volume(engine: Engine, name: str, *, anonymous: bool = False) -> str:
    """Make the volume if it is not there; return its directory. Raises: UsageError, StoreError."""
    if not _NAME.match(name):
        raise UsageError(f"create volume {name!r}: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument")
    path = volume_path(engine, name)
    try:
        os.makedirs(path, mode=0o755, exist_ok=True)
    except OSError as e:
        raise StoreError(f"create volume {name}: {e.strerror}", hint="Check free space and permissions.") from e
    if engine.db.execute("INSERT OR IGNORE INTO volumes (name, created, anonymous) VALUES (?,?,?)",
                         (name, time.time(), int(anonymous))):
        events.emit(engine, Event("volume", "create", name=name))
    return path


def anonymous_name() -> str:
    return os.urandom(32).hex()


def remove_anonymous(engine: Engine, container: Container) -> None:
    """Remove the anonymous volumes of a container, except those that another container uses."""
    names = {m.source for m in container.spec.mounts if m.type == "volume"}
    anonymous = {row[0] for row in engine.db.query("SELECT name FROM volumes WHERE anonymous=1")} & names
    if not anonymous:
        return
    used = {m.source for c in engine.containers.all() if c.id != container.id for m in c.spec.mounts}
    for name in anonymous - used:
        remove_volume(engine, name)


def remove_volume(engine: Engine, name: str) -> None:
    """Remove a volume with its contents. Raises: NotFoundError."""
    if not engine.db.execute("DELETE FROM volumes WHERE name=?", (name,)):
        raise NotFoundError(f"no volume with name {name!r} found: no such volume")
    remove_tree(f"{engine.roots.data}/volumes/{name}")
    events.emit(engine, Event("volume", "remove", name=name))
