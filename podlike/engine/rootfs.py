"""A container's root file system: its layers and its own writable layer, as one overlay; or a copy of the layers (vfs)."""

import errno
import os
import stat

from podlike.engine.core import Engine
from podlike.errors import StoreError
from podlike.runtime import spawn
from podlike.runtime.session import rootless
from podlike.store.containers import Container
from podlike.store.layers import NO_ROOT_ENTRY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.spec.container import ContainerSpec


def mount_rootfs(engine: Engine, container: Container) -> str:
    """Mount it and return its path; --rootfs directories are used as they are.

    Raises: StoreError when a layer is gone or the mount is refused.
    """
    spec = container.spec
    base = engine.roots.container(container.id)
    os.makedirs(base, mode=0o700, exist_ok=True)  # the log lies here too
    if spec.rootfs and not spec.rootfs_overlay:
        return spec.rootfs
    if spec.rootfs_overlay:
        from podlike.store.trees import remove_tree

        for part in ("upper", "work"):
            remove_tree(f"{base}/{part}")  # of an earlier run: what it changed went with it
        return stack(engine, [spec.rootfs], base, name=container.name, volatile=True)
    lower = mount_lower(engine, spec, base)
    return stack(engine, lower, base, name=container.name, volatile=spec.remove)


def open_rootfs(engine: Engine, container: Container) -> int:
    """An fd of the root of a container that does not run, which is the caller's; -1: it has to be mounted for that.

    Nothing is mounted anywhere: what was made for it goes with the last fd. Raises: StoreError.
    """
    base = engine.roots.container(container.id)
    if container.spec.rootfs or engine.storage.driver == "vfs":
        return os.open(mount_rootfs(engine, container), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if engine.storage.mount_program:
        return -1
    os.makedirs(base, mode=0o700, exist_ok=True)
    lower = mount_lower(engine, container.spec, base)
    _make_parts(lower, base)
    try:
        # Never volatile: such a layer could not be mounted again for the start.
        return spawn.overlay_open(lower=lower, upper=f"{base}/upper", work=f"{base}/work",
                                  options="userxattr" if rootless() else "")
    except spawn.SpawnError as e:
        if e.errno in (errno.ENOSYS, errno.EINVAL):
            return -1
        raise StoreError(f"mount root file system of {container.name}: {e.message}", hint=_hint(lower, e.errno)) from e


def mount_lower(engine: Engine, spec: "ContainerSpec", base: str) -> list[str]:
    """The directories of spec's image, topmost first, with owners as spec's user namespace wants them.

    base: where to make one for an image that has no layers.
    """
    # Builders repeat the empty layer; overlayfs takes a directory once (ELOOP), and the topmost counts.
    lower = [engine.layers.path(diff_id) for diff_id in dict.fromkeys(reversed(spec.layers))]
    if not lower:
        os.makedirs(f"{base}/empty", exist_ok=True)  # an image without layers: overlayfs wants one
        lower = [f"{base}/empty"]
    if spec.uid_map:
        from podlike.engine.shifted import shifted_lower

        plain = lower
        lower = [shifted_lower(engine, spec, lambda work: stack(engine, plain, work, name=spec.image_name, volatile=True))]
    return lower


def stack(engine: Engine, lower: list[str], base: str, *, name: str, volatile: bool) -> str:
    """The lower directories as one tree, in the way of the store's driver; its path below base.

    volatile: what goes with its container needs no sync at its end (overlayfs.rst, "Volatile mount").
    """
    if engine.storage.driver == "vfs":
        return _copied(lower, base, name=name)
    if engine.storage.mount_program:
        return _fuse_overlay(engine.storage.mount_program, lower, base, name=name)
    return _overlay(lower, base, name=name, volatile=volatile)


def _copied(lower: list[str], base: str, *, name: str) -> str:
    """Made once; a copy that was interrupted is made anew."""
    from podlike.store.trees import remove_tree
    from podlike.store.vfs import flatten

    root, partial = f"{base}/root", f"{base}/root.partial"
    if os.path.isdir(root):
        return root
    try:
        remove_tree(partial)
        flatten(lower, partial)
        copy_root_attributes(lower, partial)
        os.rename(partial, root)
    except OSError as e:
        raise StoreError(f"copy root file system of {name}: {e}", hint="Check the free space: vfs copies the whole image for "
                         "each container. Where overlay can be mounted, use it.") from e
    return root


def mount_read_only(engine: Engine, lower: list[str], base: str, *, name: str) -> str:
    """Layers as one tree that nobody writes to, in the way of the store's driver; its path below base.

    lower: topmost first. Raises: StoreError.
    """
    if engine.storage.driver == "vfs":
        os.makedirs(base, exist_ok=True)
        return _copied(lower, base, name=name)
    for part in ("top", "empty", "merged"):
        os.makedirs(f"{base}/{part}", exist_ok=True)
    # The top directory shows what the image says about "/"; overlayfs wants two lower directories where none is upper.
    copy_root_attributes(lower, f"{base}/top")
    stack = [f"{base}/top", *(lower or [f"{base}/empty"])]
    if engine.storage.mount_program:
        return _mount_fuse(engine.storage.mount_program, f"ro,lowerdir={':'.join(stack)}", base, name=name)
    try:
        spawn.overlay_mount(f"{base}/merged", lower=stack, upper=None, work=None, options="userxattr" if rootless() else "")
    except spawn.SpawnError as e:
        raise StoreError(f"mount {name}: {e.message}", hint=_hint(lower, e.errno)) from e
    return f"{base}/merged"


def _fuse_overlay(program: str, lower: list[str], base: str, *, name: str) -> str:
    _make_parts(lower, base)
    return _mount_fuse(program, f"lowerdir={':'.join(lower)},upperdir={base}/upper,workdir={base}/work", base, name=name)


def _mount_fuse(program: str, options: str, base: str, *, name: str) -> str:
    """The mount ends with its umount, as the kernel's; a process of ours that serves it ends then, too."""
    log_path = f"{base}/fuse.log"
    fd = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, fd, 1),
                   (os.POSIX_SPAWN_DUP2, fd, 2)]
        pid = os.posix_spawn(program, [program, "-o", options, f"{base}/merged"], os.environ, file_actions=actions, setsid=True)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(fd)
    if code:
        with open(log_path, errors="replace") as f:
            said = f.read(1000).strip().replace("\n", "; ")
        raise StoreError(f"mount root file system of {name} with {program}: {said or f'it ended with {code}'}",
                         hint="Check mount_program in storage.conf, and that /dev/fuse is there and may be used.")
    os.unlink(log_path)
    return f"{base}/merged"


def _make_parts(lower: list[str], base: str) -> None:
    """The writable directory begins with what the image says about "/"; from then on that is the container's to change."""
    for part in ("work", "merged"):
        os.makedirs(f"{base}/{part}", exist_ok=True)
    if not os.path.isdir(f"{base}/upper"):
        os.makedirs(f"{base}/upper.new", exist_ok=True)
        copy_root_attributes(lower, f"{base}/upper.new")
        os.rename(f"{base}/upper.new", f"{base}/upper")


def _overlay(lower: list[str], base: str, *, name: str, volatile: bool) -> str:
    """Mount upper, work and merged of base over the lower directories; the path of the result."""
    _make_parts(lower, base)
    options = ["userxattr"] if rootless() else []
    if volatile:
        options.append("volatile")
    try:
        spawn.overlay_mount(f"{base}/merged", lower=lower, upper=f"{base}/upper", work=f"{base}/work",
                            options=",".join(options))
    except spawn.SpawnError as e:
        raise StoreError(f"mount root file system of {name}: {e.message}", hint=_hint(lower, e.errno)) from e
    return f"{base}/merged"


def copy_root_attributes(lower: list[str], upper: str) -> None:
    """The merged root directory shows owner and mode of the writable layer's: they must be the image's."""
    try:
        uid, gid, mode = root_attributes(lower)
    except OSError:
        return  # the mount will say what is wrong
    os.chown(upper, uid, gid)
    os.chmod(upper, mode)


def root_attributes(lower: list[str]) -> tuple[int, int, int]:
    """(uid, gid, mode) of "/": those of the topmost layer that has an entry for it.

    An image without any gets root's 0555, as with every other engine. Raises: OSError.
    """
    for layer in lower:
        st = os.stat(layer)
        if stat.S_IMODE(st.st_mode) != NO_ROOT_ENTRY:
            return st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)
    return 0, 0, 0o555


def _hint(lower: list[str], code: int) -> str:
    missing = next((path for path in lower if not os.path.isdir(path)), None)
    if missing:
        return f"A layer is missing ({missing}): pull the image again."
    return ("Native overlay mounts in a user namespace need kernel 5.13 or later and a store on ext4, xfs, btrfs or "
            "tmpfs; set PODLIKE_ROOT to a directory on one of them, or use --storage-driver fuse-overlayfs or vfs with "
            "a new store.")
