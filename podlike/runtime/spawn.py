"""libspawn from Python: the only importer of the cffi module.

Every function raises SpawnError, which carries errno, the stage and the words of the C library.
"""

import os

from podlike.errors import RuntimeFailure
from podlike.runtime._libspawn import ffi, lib

MS_RDONLY, MS_REC, MS_PRIVATE = 1, 16384, 1 << 18  # mount(2)


class SpawnError(RuntimeFailure):
    """libspawn said no. errno: as the kernel gave it; stage: what was attempted."""

    def __init__(self, errno: int, stage: str, text: str) -> None:
        super().__init__(f"{stage}: {text}")
        self.errno = errno
        self.stage = stage


def _check(result: int, err: object) -> int:
    if result >= 0:
        return result
    e = ffi.cast("spawn_error *", err)
    raise SpawnError(e.code, ffi.string(e.stage).decode(), ffi.string(e.text).decode(errors="replace"))


def session_join(userns_fd: int, mntns_fd: int) -> None:
    """Enter both namespaces. The caller has one thread; its working directory becomes "/"."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_session_join(userns_fd, mntns_fd, err), err)


def ns_owner(fd: int) -> int:
    """Uid of the user who made the user namespace that fd refers to (ioctl_ns(2))."""
    err, uid = ffi.new("spawn_error *"), ffi.new("unsigned int *")
    _check(lib.spawn_ns_owner(fd, uid, err), err)
    return int(uid[0])


def overlay_mount(target: str, *, lower: list[str], upper: str | None, work: str | None, options: str) -> None:
    """Mount an overlay. lower: topmost layer first; upper None: read-only; options: comma-separated."""
    err = ffi.new("spawn_error *")
    keep = [ffi.new("char[]", os.fsencode(path)) for path in lower]
    _check(lib.spawn_overlay_mount(os.fsencode(target), ffi.new("char *[]", keep), len(keep),
                                   os.fsencode(upper) if upper else ffi.NULL,
                                   os.fsencode(work) if work else ffi.NULL, options.encode(), err), err)


def bind_mount(source: str, target: str, *, recursive: bool = False) -> None:
    err = ffi.new("spawn_error *")
    _check(lib.spawn_bind_mount(os.fsencode(source), os.fsencode(target), MS_REC if recursive else 0, err), err)


def tmpfs_mount(target: str, *, options: str) -> None:
    """options: tmpfs(5), e.g. "mode=1777,size=65536k"."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_tmpfs_mount(os.fsencode(target), options.encode(), err), err)


def umount(target: str, *, detach: bool = True) -> None:
    """Unmount; succeeds when nothing is mounted there."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_umount(os.fsencode(target), int(detach), err), err)


def netns_pin(path: str) -> None:
    """Make a network namespace with loopback up that lives until netns_unpin; path must not exist."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_netns_pin(os.fsencode(path), err), err)


def netns_unpin(path: str) -> None:
    """Undo netns_pin; succeeds when it is gone already."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_netns_unpin(os.fsencode(path), err), err)


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open path as if root_fd were "/": no symbolic link leads out. Returns an fd that the caller owns."""
    err = ffi.new("spawn_error *")
    return _check(lib.spawn_open_in_root(root_fd, os.fsencode(path), flags, mode, err), err)
