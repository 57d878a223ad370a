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


def _path(path: str | None) -> object:
    return ffi.NULL if path is None else os.fsencode(path)


def _idmap(ranges: list[tuple[int, int, int]]) -> object:
    return ffi.new("spawn_idmap[]", ranges)


def idmap_write(pid: int, *, uids: list[tuple[int, int, int]], gids: list[tuple[int, int, int]],
                newuidmap: str | None = "newuidmap", newgidmap: str | None = "newgidmap") -> None:
    """Give ids to the user namespace that process pid has just made.

    uids, gids: (first id inside, first id outside, count) each. The programs are used where the kernel refuses us
    (None: never). Source: user_namespaces(7).
    """
    err = ffi.new("spawn_error *")
    _check(lib.spawn_idmap_write(pid, _idmap(uids), len(uids), _idmap(gids), len(gids), _path(newuidmap),
                                 _path(newgidmap), err), err)


def userns_open(*, uids: list[tuple[int, int, int]], gids: list[tuple[int, int, int]]) -> int:
    """A user namespace with these ids, empty of processes. Returns an fd that the caller owns."""
    err = ffi.new("spawn_error *")
    return _check(lib.spawn_userns_open(_idmap(uids), len(uids), _idmap(gids), len(gids), err), err)


def ns_owner(fd: int) -> int:
    """Uid of the user who made the user namespace that fd refers to (ioctl_ns(2))."""
    err, uid = ffi.new("spawn_error *"), ffi.new("unsigned int *")
    _check(lib.spawn_ns_owner(fd, uid, err), err)
    return int(uid[0])


def session_create(*, uids: list[tuple[int, int, int]], gids: list[tuple[int, int, int]],
                   newuidmap: str | None = "newuidmap", newgidmap: str | None = "newgidmap") -> int:
    """Make a user and a mount namespace. Returns the pid of the child that holds them until SIGTERM."""
    err, pid = ffi.new("spawn_error *"), ffi.new("int *")
    _check(lib.spawn_session_create(_idmap(uids), len(uids), _idmap(gids), len(gids), _path(newuidmap),
                                    _path(newgidmap), pid, err), err)
    return int(pid[0])


def session_hold() -> int:
    """Returns the pid of a child that holds the caller's own namespaces until SIGTERM."""
    err, pid = ffi.new("spawn_error *"), ffi.new("int *")
    _check(lib.spawn_session_hold(pid, err), err)
    return int(pid[0])


def session_join(userns_fd: int, mntns_fd: int) -> None:
    """Enter both namespaces. The caller has one thread; its working directory becomes "/"."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_session_join(userns_fd, mntns_fd, err), err)


def overlay_mount(target: str, *, lower: list[str], upper: str | None, work: str | None, options: str) -> None:
    """Mount an overlay. lower: topmost layer first; upper None: read-only; options: comma-separated."""
    err = ffi.new("spawn_error *")
    keep = [ffi.new("char[]", os.fsencode(path)) for path in lower]
    _check(lib.spawn_overlay_mount(os.fsencode(target), ffi.new("char *[]", keep), len(keep),
                                   _path(upper), _path(work), options.encode(), err), err)


def overlay_open(*, lower: list[str], upper: str, work: str, options: str) -> int:
    """The same overlay without a place in the tree: an fd of its root that the caller owns; it goes with its last fd.

    Raises: SpawnError with ENOSYS or EINVAL on kernels before 6.5.
    """
    err = ffi.new("spawn_error *")
    keep = [ffi.new("char[]", os.fsencode(path)) for path in lower]
    return _check(lib.spawn_overlay_open(ffi.new("char *[]", keep), len(keep), _path(upper), _path(work), options.encode(),
                                         err), err)


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


def netns_enter(fd: int) -> None:
    """Put the calling thread into the network namespace that fd refers to."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_netns_enter(fd, err), err)


def netns_loopback_up() -> None:
    """Interface lo of the calling thread's network namespace."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_netns_loopback_up(err), err)


def netns_move_link(link: str, netns_fd: int, *, name: str | None = None) -> None:
    """Move a network interface to another namespace, there called name (None: as here). Source: rtnetlink(7)."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_netns_move_link(link.encode(), netns_fd, _path(name), err), err)


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open path as if root_fd were "/": no symbolic link leads out. Returns an fd that the caller owns."""
    err = ffi.new("spawn_error *")
    return _check(lib.spawn_open_in_root(root_fd, os.fsencode(path), flags, mode, err), err)


def cgroup_create(path: str) -> bool:
    """Make a cgroup v2 with those above it, handing controllers down. path: absolute. False: it was there."""
    err = ffi.new("spawn_error *")
    return _check(lib.spawn_cgroup_create(os.fsencode(path), err), err) == 1


def cgroup_add(path: str, pid: int) -> None:
    """Move a process."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_cgroup_add(os.fsencode(path), pid, err), err)


def cgroup_of(pid: int) -> str:
    """Absolute path of the cgroup that a process is in."""
    err, path = ffi.new("spawn_error *"), ffi.new("char[]", 4096)
    _check(lib.spawn_cgroup_of(pid, path, 4096, err), err)
    return os.fsdecode(ffi.string(path))


def cgroup_write(path: str, file: str, value: str) -> None:
    """Write one of its files: "memory.max", "1048576". Source: cgroups(7)."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_cgroup_write(os.fsencode(path), file.encode(), value.encode(), err), err)


def cgroup_freeze(path: str, freeze: bool) -> None:
    """Freeze or thaw everything in it and below, and wait for that."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_cgroup_freeze(os.fsencode(path), int(freeze), err), err)


def cgroup_kill(path: str) -> None:
    """SIGKILL to everything in it and below."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_cgroup_kill(os.fsencode(path), err), err)


def cgroup_remove(path: str) -> None:
    """Remove it with what is below, killing what is left in it. It may be gone already."""
    err = ffi.new("spawn_error *")
    _check(lib.spawn_cgroup_remove(os.fsencode(path), err), err)


def pidfd_open(pid: int) -> int:
    """Returns an fd that the caller owns."""
    err = ffi.new("spawn_error *")
    return _check(lib.spawn_pidfd_open(pid, err), err)


def pidfd_send_signal(pidfd: int, signal: int) -> None:
    err = ffi.new("spawn_error *")
    _check(lib.spawn_pidfd_send_signal(pidfd, signal, err), err)


def pidfd_wait(pidfd: int, *, timeout_ms: int = -1) -> bool:
    """Whether the process, which need not be a child, has ended within the time (-1: wait for ever)."""
    err = ffi.new("spawn_error *")
    return _check(lib.spawn_pidfd_wait(pidfd, timeout_ms, err), err) == 1


def pidfd_reap(pidfd: int) -> int:
    """Reap a child, waiting for its end. Returns its exit code, or 128 + signal."""
    err = ffi.new("spawn_error *")
    return _check(lib.spawn_pidfd_reap(pidfd, err), err)
