"""Volumes on their way into containers: mounted where they have to be, filled from the image, given to the user.

A volume with a file system of its own (--opt type, device, o; the image driver) is mounted on its directory, in the session's
mount namespace, while a container that mounts it runs or `volume mount` asks for it. How often that was asked for stands in
Roots.run/volumes/NAME; whether it is mounted is derived from the kernel, and who needs it from the containers' records.
"""

import os
import stat

from podlike.engine.core import Engine
from podlike.engine.volumes import base_path, data_path, ensure_locked, lock_of, make_directory
from podlike.errors import SessionError, StoreError, UsageError
from podlike.runtime import spawn
from podlike.runtime.session import rootless
from podlike.store.containers import Container
from podlike.store.volumes import Volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from podlike.spec.container import Mount

_LIVE = ("starting", "initialized", "started")


def prepare(engine: Engine, cid: str, mount: "Mount", *, root_fd: int, uid: int, gid: int) -> tuple[str, int]:
    """Make a volume ready for the container cid, which is about to start.

    Returns its directory and f_flag of statvfs(3): what a mount in the container must not allow again.

    root_fd: the container's root file system, whose directory at the mount point a new volume starts with. uid, gid: of the
    container's user, in the session's ids. In the session. Raises: StoreError, UsageError.
    """
    volume = engine.volumes.get(mount.source)
    if volume is not None and _is_ready(volume) and "U" not in mount.options:
        path = make_directory(engine, volume)
        return path, os.statvfs(path).f_flag if rootless() else 0
    with lock_of(engine, mount.source):
        volume = ensure_locked(engine, mount.source, anonymous="anonymous" in mount.options)
        path = _mount(engine, volume)
        try:
            if volume.state.copying:
                _forget_half_copy(engine, cid, volume, path)
            _fill(engine, volume, mount, path, root_fd=root_fd)
            if volume.state.needs_chown and volume.driver != "image":
                _give(engine, volume, mount, path, root_fd=root_fd, uid=uid, gid=gid)
            if "U" in mount.options:
                chown_source(path, uid, gid)
        except OSError as e:
            raise StoreError(f"prepare volume {volume.name}: {e.filename or path}: {(e.strerror or str(e)).lower()}",
                             hint="Check free space, and the owners of its files.") from e
    return path, os.statvfs(path).f_flag if rootless() or needs_mount(volume) else 0


def _is_ready(volume: Volume) -> bool:
    return not (volume.state.needs_copy_up or volume.state.needs_chown or volume.state.copying or needs_mount(volume))


def needs_mount(volume: Volume) -> bool:
    if volume.driver == "image":
        return True
    if not volume.options:
        return False
    from podlike.spec.volumeopts import mount_plan

    return mount_plan(volume.options) is not None


def _fill(engine: Engine, volume: Volume, mount: "Mount", path: str, *, root_fd: int) -> None:
    """The first container that has something at the mount point gives it to an empty volume."""
    state = volume.state
    if not state.needs_copy_up or "nocopy" in mount.options or "nocopy" in volume.options:
        return
    try:
        source = spawn.open_in_root(root_fd, mount.target, os.O_RDONLY | os.O_DIRECTORY)
    except spawn.SpawnError:
        return
    try:
        if next(os.scandir(source), None) is None or next(os.scandir(path), None) is not None:
            return
        from podlike.engine.copyup import copy_directory

        state.copying = True
        engine.volumes.save_state(volume)
        copy_directory(source, path)
        state.copying = state.needs_copy_up = state.needs_chown = False
        engine.volumes.save_state(volume)
    finally:
        os.close(source)


def _forget_half_copy(engine: Engine, cid: str, volume: Volume, path: str) -> None:
    """Who was filling it has been killed. Begin again, unless a container has it already and may have written to it."""
    state = volume.state
    state.copying = False
    if set(_live_users(engine, volume.name)) - {cid}:
        state.needs_copy_up = state.needs_chown = False
    else:
        from podlike.store.trees import remove_tree

        for name in os.listdir(path):
            remove_tree(f"{path}/{name}")
    engine.volumes.save_state(volume)


def _give(engine: Engine, volume: Volume, mount: "Mount", path: str, *, root_fd: int, uid: int, gid: int) -> None:
    """An empty volume belongs to the image's owner of the mount point, or to the container's user where there is none.

    As in podman: that goes on with every start until it has contents or belongs to root.
    """
    if next(os.scandir(path), None) is not None:
        volume.state.needs_chown = False
        engine.volumes.save_state(volume)
        return
    os.chown(path, uid, gid)
    if "U" in mount.options:
        return
    try:
        there = spawn.open_in_root(root_fd, mount.target, os.O_PATH)
    except spawn.SpawnError:
        return
    try:
        st = os.fstat(there)
    finally:
        os.close(there)
    os.chown(path, st.st_uid, st.st_gid)
    os.chmod(path, stat.S_IMODE(st.st_mode))
    if st.st_uid == st.st_gid == 0:
        volume.state.needs_chown = False
        engine.volumes.save_state(volume)


def chown_source(path: str, uid: int, gid: int) -> None:
    """The option U: give everything to a user, unless the top belongs to that user already. Raises: UsageError.

    The top comes last, so that what was interrupted is done again.
    """
    try:
        _chown_tree(path, uid, gid)
    except OSError as e:
        raise UsageError(f"chown {e.filename or path} for the mount option U: {(e.strerror or str(e)).lower()}",
                         hint="It gives files to the container's user: those of other users of this machine cannot be given.",
                         ) from e


def _chown_tree(path: str, uid: int, gid: int) -> None:
    st = os.lstat(path)
    if (st.st_uid, st.st_gid) == (uid, gid):
        return
    if stat.S_ISDIR(st.st_mode):
        for _, directories, files, fd in os.fwalk(path, topdown=False):
            for name in (*directories, *files):
                os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)
    os.chown(path, uid, gid, follow_symlinks=False)


# --- mounting ---

def mount(engine: Engine, volume: Volume) -> str:
    """Mount a volume because the user asks for it; returns its directory. Raises: SessionError, StoreError."""
    if rootless() and os.geteuid() != 0:
        raise SessionError('cannot run command "podman volume mount" in rootless mode, must execute `podman unshare` first',
                           hint="Run it inside your session: `podlike unshare podlike volume mount VOLUME`.")
    with lock_of(engine, volume.name):
        return hold(engine, volume)


def hold(engine: Engine, volume: Volume) -> str:
    """Under its lock, in the session: mount() for ourselves, until unmount()."""
    path = _mount(engine, volume)
    if needs_mount(volume):
        _write_count(engine, volume.name, asked(engine, volume.name) + 1)
    return path


def unmount(engine: Engine, volume: Volume) -> None:
    """Take one mount() back. Raises: SessionError, StoreError."""
    if not needs_mount(volume):
        return
    engine.enter_session()
    with lock_of(engine, volume.name):
        count = asked(engine, volume.name)
        if count:
            _write_count(engine, volume.name, count - 1)
        if count <= 1 and not _live_users(engine, volume.name):
            _unmount(data_path(engine, volume), volume.name)


def release(engine: Engine, container: Container) -> None:
    """Unmount the volumes of a container that has ended, where no other needs them. In the session."""
    for name in {m.source for m in container.spec.mounts if m.type == "volume"}:
        volume = engine.volumes.get(name)
        if volume is None or not needs_mount(volume):
            continue
        with lock_of(engine, name):
            if not asked(engine, name) and not set(_live_users(engine, name)) - {container.id}:
                _unmount(data_path(engine, volume), name)


def unmount_all(engine: Engine, volume: Volume) -> None:
    """Under its lock, before it is removed: whatever is mounted there must not be deleted. Raises: StoreError."""
    _unmount(data_path(engine, volume), volume.name)
    _write_count(engine, volume.name, 0)


def mount_count(engine: Engine, volume: Volume, users: "Iterable[str]") -> int:
    """Containers that run with it, and requests of `volume mount`; 0 for a plain directory. users: ids of containers."""
    if not needs_mount(volume):
        return 0
    live = [cid for cid in users if (c := engine.containers.get(cid)) is not None and c.state.phase in _LIVE]
    return len(live) + asked(engine, volume.name)


def _live_users(engine: Engine, name: str) -> list[str]:
    return [cid for cid, phase in engine.volumes.users_of(name) if phase in _LIVE]


def _mount(engine: Engine, volume: Volume) -> str:
    """Under its lock."""
    from podlike.engine.imagemount import is_mounted

    path = make_directory(engine, volume)
    if not needs_mount(volume) or is_mounted(path):
        return path
    if volume.driver == "image":
        return _mount_image(engine, volume, path)
    from podlike.spec.volumeopts import mount_plan

    plan = mount_plan(volume.options)
    assert plan is not None
    args = ["-o", ",".join(plan.options)] if plan.options else []
    if plan.type and plan.type != "bind":
        args += ["-t", plan.type]
    _run_mount([*args, plan.device, path], volume.name)
    return path


def _run_mount(args: "list[str]", name: str) -> None:
    """mount(8) knows what the kernel wants to hear: options of the mount and of the file system, helpers, loop devices."""
    import subprocess

    try:
        done = subprocess.run(["mount", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    except OSError as e:
        raise StoreError(f"mounting volume {name}: mount: {(e.strerror or str(e)).lower()}",
                         hint="Install util-linux; its mount(8) is used.") from e
    if done.returncode:
        said = "; ".join(line.strip() for line in done.stderr.splitlines() if "dmesg(1)" not in line)
        raise StoreError(f"mounting volume {name}: {said or f'mount ended with {done.returncode}'}",
                         hint=f"Check its options: `podlike volume inspect {name}`.")


def _mount_image(engine: Engine, volume: Volume, path: str) -> str:
    """The image's layers with a writable one of the volume's own on top, mounted on its directory."""
    from podlike.engine.rootfs import stack

    lower = [engine.layers.path(diff_id) for diff_id in dict.fromkeys(reversed(volume.state.layers))]
    base = base_path(engine, volume)
    if not lower:
        os.makedirs(f"{base}/empty", exist_ok=True)
        lower = [f"{base}/empty"]
    merged = stack(engine, lower, base, name=f"volume {volume.name}", volatile=False)
    try:
        spawn.bind_mount(merged, path)
    except spawn.SpawnError as e:
        raise StoreError(f"mounting volume {volume.name}: {e.message}") from e
    return path


def _unmount(path: str, name: str) -> None:
    """Everything that is mounted there, and what an image volume has beneath it. Raises: StoreError."""
    from podlike.engine.imagemount import is_mounted

    for place in (path, f"{os.path.dirname(path)}/merged"):
        for _ in range(64):  # several mounts may lie on each other; a bound that nothing real reaches
            if not is_mounted(place):
                break
            try:
                spawn.umount(place)
            except spawn.SpawnError as e:
                raise StoreError(f"unmounting volume {name}: {e.message}",
                                 hint="It was mounted by another user, or from outside; unmount it there.") from e
        else:
            raise StoreError(f"unmounting volume {name}: {place} is mounted again and again")


# --- how often `volume mount` asked ---

def asked(engine: Engine, name: str) -> int:
    try:
        with open(_count_path(engine, name)) as f:
            return int(f.read())
    except (FileNotFoundError, ValueError):
        return 0


def _write_count(engine: Engine, name: str, count: int) -> None:
    from podlike.files import replace_text

    path = _count_path(engine, name)
    if count > 0:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        replace_text(path, f"{count}\n")
        return
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _count_path(engine: Engine, name: str) -> str:
    return f"{engine.roots.run}/volumes/{name}"
