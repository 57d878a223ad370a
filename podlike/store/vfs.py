"""A root file system as plain files, for hosts where nothing can be mounted: the vfs driver.

Layers stay as they are unpacked; a container gets a copy of all of them, laid over each other. Where the file system can
share the blocks of two files (reflink: btrfs, xfs), a copy takes no space.
"""

import errno
import fcntl
import os
import stat

from podlike.store.trees import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_FICLONE: "Final" = 0x40049409  # ioctl_ficlone(2)
_OPAQUE: "Final" = ("user.overlay.opaque", "trusted.overlay.opaque")


def flatten(lower: "Sequence[str]", target: str) -> None:
    """Make target, a new directory, what an overlay of lower would show.

    lower: topmost first, as for overlay. Whiteouts and opaque directories delete; they are not copied.
    No symbolic link is followed: every directory on the way is one that was made or checked here.
    Raises: OSError.
    """
    os.mkdir(target, 0o755)
    copy = _Flatten()
    for layer in reversed(lower):
        copy.links.clear()  # names of one file are within one layer
        copy.into(layer, target)


class _Flatten:
    def __init__(self) -> None:
        self.links: dict[tuple[int, int], str] = {}
        self._reflink = True

    def into(self, source: str, target: str) -> None:
        """The entries of directory source into the existing directory target."""
        for entry in sorted(os.scandir(source), key=lambda e: e.name):
            to = f"{target}/{entry.name}"
            st = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(st.st_mode):
                self._directory(entry.path, to, st)
                continue
            remove_tree(to)
            if not (stat.S_ISCHR(st.st_mode) and st.st_rdev == 0):
                self._entry(entry.path, to, st)

    def _directory(self, source: str, to: str, st: os.stat_result) -> None:
        if _is_opaque(source) or not _is_real_dir(to):
            remove_tree(to)
            os.mkdir(to, 0o700)
        self.into(source, to)
        _metadata(source, to, st)

    def _entry(self, source: str, to: str, st: os.stat_result) -> None:
        if st.st_nlink > 1:
            first = self.links.setdefault((st.st_dev, st.st_ino), to)
            if first != to:
                os.link(first, to, follow_symlinks=False)
                return
        if stat.S_ISREG(st.st_mode):
            self._file(source, to)
        elif stat.S_ISLNK(st.st_mode):
            os.symlink(os.readlink(source), to)
        elif stat.S_ISSOCK(st.st_mode):
            return
        else:
            os.mknod(to, stat.S_IFMT(st.st_mode) | 0o600, st.st_rdev)
        _metadata(source, to, st)

    def _file(self, source: str, to: str) -> None:
        with open(source, "rb", buffering=0) as f, open(to, "xb", buffering=0) as out:
            if self._reflink:
                try:
                    fcntl.ioctl(out.fileno(), _FICLONE, f.fileno())
                    return
                except OSError as e:
                    if e.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV, errno.ENOTTY):
                        raise
                    self._reflink = False
            _copy_data(f.fileno(), out.fileno())


def _copy_data(source: int, target: int) -> None:
    """With its holes."""
    size, at = os.fstat(source).st_size, 0
    os.ftruncate(target, size)
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as e:
            if e.errno == errno.ENXIO:
                return  # a hole up to the end
            raise
        end = os.lseek(source, at, os.SEEK_HOLE)
        os.lseek(target, at, os.SEEK_SET)
        while at < end:
            sent = os.sendfile(target, source, at, end - at)
            if sent == 0:
                return
            at += sent


def _metadata(source: str, to: str, st: os.stat_result) -> None:
    os.chown(to, st.st_uid, st.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(st.st_mode):
        os.chmod(to, stat.S_IMODE(st.st_mode))
        for name in os.listxattr(source):
            if not name.startswith(("user.overlay.", "trusted.overlay.", "security.selinux")):
                os.setxattr(to, name, os.getxattr(source, name))
    os.utime(to, ns=(st.st_atime_ns, st.st_mtime_ns), follow_symlinks=False)


def _is_opaque(path: str) -> bool:
    for name in _OPAQUE:
        try:
            if os.getxattr(path, name) == b"y":
                return True
        except OSError:
            continue
    return False


def _is_real_dir(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False
