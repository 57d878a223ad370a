"""Volumes: directories below the data root that outlive containers. Making, finding and removing them.

A volume's record comes first and goes last: a directory that is not there is made by whoever needs it, and what a killed
`rm` has left lies under a name that no volume can have. Under the lock volume-NAME it is made, mounted, filled and removed;
who holds it takes no container's lock.
"""

import os
import re
import time

from podlike.engine import events
from podlike.engine.core import Engine
from podlike.errors import InUseError, NotFoundError, PodlikeError, StoreError, UsageError
from podlike.locks import Lock
from podlike.spec.events import Event
from podlike.store.containers import Container
from podlike.store.trees import remove_tree
from podlike.store.volumes import Volume, VolumeState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from podlike.spec.volumeopts import VolumeOptions

# What docker and podman take as names.
_NAME: "Final" = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
_TRASH: "Final" = ".removed-"


def driver_and_path(engine: Engine, name: str) -> tuple[str, str]:
    """The driver and the directory with the contents of the volume of that name, which need not be there."""
    volume = engine.volumes.get(name)
    return (volume.driver, data_path(engine, volume)) if volume is not None else ("local", f"{engine.volumes_root}/{name}/_data")


def data_path(engine: Engine, volume: Volume) -> str:
    """Directory with its contents."""
    return f"{base_path(engine, volume)}/_data"


def base_path(engine: Engine, volume: Volume) -> str:
    """All that is kept of it; a record from before volumes had a place of their own has the usual one."""
    return f"{volume.state.root or f'{engine.roots.data}/volumes'}/{volume.name}"


def lock_of(engine: Engine, name: str) -> Lock:
    return Lock(engine.roots, f"volume-{name}")


def create_volume(engine: Engine, name: str = "", *, driver: str = "local", labels: "dict[str, str] | None" = None,
                  options: "dict[str, str] | None" = None, uid: int | None = None, gid: int | None = None,
                  ignore: bool = False, anonymous: bool = False) -> Volume:
    """Make a volume. name "": a random one, which makes it anonymous. options: as after --opt. uid, gid: its owner, over
    what the options say. ignore: the one that is there is fine, as it is.

    Raises: UsageError, ConflictError, NotFoundError for the image of the image driver, StoreError.
    """
    from podlike.runtime.session import rootless
    from podlike.spec.volumeopts import check_options, parse_options

    anonymous = anonymous or not name
    name = name or anonymous_name()
    _check_name(name)
    if driver not in ("", "local", "image"):
        raise NotFoundError(f"volume {name} uses volume plugin {driver} but it could not be retrieved: no volume plugin with "
                            f"name {driver} available: required plugin missing",
                            hint="There are no volume plugins here. Use the driver local, which can bind any directory.")
    found = parse_options(options or {})
    if driver != "image":
        check_options("local", found, rootless=rootless())
        _check_device(found)
    else:
        check_options("image", found, rootless=rootless())
    state = VolumeState(root=_other_root(engine), uid=found.uid if uid is None else uid, gid=found.gid if gid is None else gid,
                        needs_chown=not found.owned and uid is None and gid is None, timeout=found.timeout)
    volume = Volume(name=name, driver=driver or "local", created=time.time(), anonymous=anonymous, labels=labels or {},
                    options=found.shown, state=state)
    with lock_of(engine, name):
        there = engine.volumes.get(name)
        if there is not None and ignore:
            return there
        _add(engine, volume)
    return volume


def ensure_volume(engine: Engine, name: str, *, anonymous: bool = False) -> Volume:
    """The volume of that name, made plain if there is none. Raises: UsageError, StoreError."""
    there = engine.volumes.get(name)
    if there is not None:
        return there
    _check_name(name)
    with lock_of(engine, name):
        return ensure_locked(engine, name, anonymous=anonymous)


def ensure_locked(engine: Engine, name: str, *, anonymous: bool = False) -> Volume:
    """ensure_volume() for who holds its lock."""
    there = engine.volumes.get(name)
    if there is not None:
        return there
    volume = Volume(name=name, created=time.time(), anonymous=anonymous, state=VolumeState(root=_other_root(engine)))
    _add(engine, volume)
    return volume


def anonymous_name() -> str:
    return os.urandom(32).hex()


def make_directory(engine: Engine, volume: Volume) -> str:
    """The directory of its contents, made if it is not there. Raises: StoreError."""
    path, state = data_path(engine, volume), volume.state
    if os.path.isdir(path):
        return path
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.mkdir(path, 0o755)
        if state.uid or state.gid:
            engine.enter_session()  # only there are these ids to be had
            os.chown(path, state.uid, state.gid)
    except OSError as e:
        hint = ("Use ids that your user namespace has: `podlike unshare cat /proc/self/uid_map`." if e.filename is None
                or state.uid or state.gid else "Check free space and permissions.")
        raise StoreError(f"create volume {volume.name}: {path}: {(e.strerror or str(e)).lower()}", hint=hint) from e
    return path


def _add(engine: Engine, volume: Volume) -> None:
    """Under its lock. What fails leaves nothing."""
    if volume.driver == "image":
        _add_of_image(engine, volume)
    else:
        engine.volumes.add(volume)
    try:
        make_directory(engine, volume)
    except BaseException:
        engine.volumes.delete(volume.name)
        try:
            remove_tree(base_path(engine, volume))
        except OSError:
            pass  # what made it fail
        raise
    events.emit(engine, Event("volume", "create", name=volume.name))


def _add_of_image(engine: Engine, volume: Volume) -> None:
    from podlike.engine.images import resolve
    from podlike.store.locks import StoreLock

    with StoreLock(engine.roots.tmp):  # its layers must not go before the record names them
        name = volume.options["image"]
        try:
            image = resolve(engine, name)
        except NotFoundError as e:
            raise NotFoundError(f"looking up image {name} to create volume failed: {e.message}",
                                hint=f"Pull it first: `podlike pull {name}`.") from None
        volume.state.image, volume.state.layers = image.id, list(image.layers)
        volume.state.needs_copy_up = volume.state.needs_chown = False
        engine.volumes.add(volume)


def _other_root(engine: Engine) -> str:
    root = engine.volumes_root
    return "" if root == f"{engine.roots.data}/volumes" else os.path.abspath(root)


def _check_name(name: str) -> None:
    if not _NAME.match(name) or len(name) > 255:
        raise UsageError(f"running volume create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: {name!r}: "
                         "invalid argument", hint="For a directory write its absolute path, or ./NAME with -v.")


def _check_device(options: "VolumeOptions") -> None:
    """A directory that is to be bound must be there."""
    from podlike.spec.volumeopts import mount_plan

    plan = mount_plan(options.shown)
    if plan is None or plan.type != "bind":
        return
    if "device" in options.shown:
        options.shown["device"] = plan.device  # a container may be started from anywhere
    try:
        os.stat(plan.device)
    except OSError as e:
        raise UsageError(f"invalid volume option device for driver 'local': faccessat {plan.device}: "
                         f"{(e.strerror or str(e)).lower()}") from None


# --- removing ---

def remove_volume(engine: Engine, volume: Volume, *, force: bool = False, timeout: int | None = None) -> None:
    """Remove a volume with its contents. force: the containers that mount it go first, stopped within timeout seconds.

    Raises: InUseError, NotFoundError when it is gone already, StoreError.
    """
    users = engine.volumes.users_of(volume.name)
    if users and force:
        _remove_users(engine, [cid for cid, _ in users], timeout)
    engine.enter_session()
    with lock_of(engine, volume.name) as lock:
        _refuse_in_use(engine, volume.name)
        remove_locked(engine, volume)
        lock.release(remove=True)


def remove_locked(engine: Engine, volume: Volume) -> None:
    """Under its lock, in the session: of a volume that nobody uses."""
    from podlike.engine.volumemount import unmount_all

    base = base_path(engine, volume)
    unmount_all(engine, volume)
    try:
        _throw_away(base)
    except OSError as e:
        raise StoreError(f"remove volume {volume.name}: {base}: {(e.strerror or str(e)).lower()}") from e
    if not engine.volumes.delete(volume.name):
        raise NotFoundError(f'no volume with name "{volume.name}" found: no such volume')
    empty_trash(os.path.dirname(base))
    if volume.driver == "image":
        _collect_layers(engine, volume)
    events.emit(engine, Event("volume", "remove", name=volume.name))


def remove_anonymous(engine: Engine, container: Container) -> None:
    """Remove the anonymous volumes that were made for a container, except those that another one uses."""
    for name in {m.source for m in container.spec.mounts if m.type == "volume" and "anonymous" in m.options}:
        with lock_of(engine, name) as lock:
            volume = engine.volumes.get(name)
            if volume is None or any(cid != container.id for cid, _ in engine.volumes.users_of(name)):
                continue
            remove_locked(engine, volume)
            lock.release(remove=True)


def empty_trash(root: str) -> int:
    """Remove what killed removals have left among the volumes of that directory; how many there were."""
    try:
        names = [name for name in os.listdir(root) if name.startswith(_TRASH)]
    except OSError:
        return 0
    for name in names:
        try:
            remove_tree(f"{root}/{name}")
        except OSError:
            continue  # the next one tries again
    return len(names)


def _refuse_in_use(engine: Engine, name: str) -> None:
    users = [cid for cid, _ in engine.volumes.users_of(name)]
    if users:
        raise InUseError(f"volume {name} is being used by the following container(s): {', '.join(users)}: "
                         "volume is being used")


def _remove_users(engine: Engine, ids: "Iterable[str]", timeout: int | None) -> None:
    from podlike.engine.dependents import dependents_first
    from podlike.engine.remove import remove

    found = [c for cid in ids if (c := engine.containers.get(cid)) is not None]
    for container in dependents_first(engine, found) if len(found) > 1 else found:
        try:
            remove(engine, container, force=True, timeout=timeout)
        except NotFoundError:
            continue


def _throw_away(base: str) -> None:
    """From one instant to the next it is no volume's any more; its files go afterwards."""
    try:
        os.rename(base, f"{os.path.dirname(base)}/{_TRASH}{os.urandom(8).hex()}")
    except FileNotFoundError:
        pass


def _collect_layers(engine: Engine, volume: Volume) -> None:
    from podlike.engine.images import Garbage, collect_garbage

    try:
        collect_garbage(engine, Garbage(set(volume.state.layers), set()))
    except PodlikeError:
        pass  # `image prune` comes back to it


