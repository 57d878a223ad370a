"""Files from one directory to another, by descriptors.

Nothing is ever reached by a path that somebody could bend meanwhile: each name is opened in the open directory that holds it
and not followed, and what was opened is looked at again. So neither side can be led elsewhere by swapping links, fifos or
devices in while the copy runs.
"""

import errno
import os
import stat

from podlike.errors import StoreError
from podlike.runtime import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Final, NamedTuple

    Owner = Callable[[os.stat_result], tuple[int, int]]
else:
    from podlike.spec.record import NamedTuple

_PIECE: "Final" = 1 << 30  # bytes that the kernel is asked to copy at once; it stops earlier
_BUFFER: "Final" = 1 << 20
# Less than this is no hole worth looking for (as in podlike-layer).
_HOLES: "Final" = 1 << 16
# What copy_file_range(2) says where it cannot, and sendfile(2) may.
_NOT_HERE: "Final" = frozenset((errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM))
# Attributes that belong to the file system or to the host: as podlike-layer leaves them out.
_NO_XATTR: "Final" = ("user.overlay.", "trusted.", "user.fuseoverlayfs.", "user.containers.", "security.selinux", "security.ima",
                      "security.evm")
_DIRECTORY: "Final" = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: "Final" = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE: "Final" = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class How(NamedTuple):
    """owner: whose a copy is, in the session's ids. to: "container" or "host", for messages. shown: path of the directory that
    is copied into. overwrite: a directory may take the place of something else, and the other way round. devices: device nodes
    are made, else left out. unreadable: what may not be read is left out. exclude: names in the topmost directory."""

    owner: "Owner"
    to: str
    shown: str = "/"
    overwrite: bool = False
    devices: bool = False
    unreadable: bool = False
    exclude: "Collection[str]" = ()


class _Frame:
    """A directory under way. st: None for one whose contents alone are copied."""

    __slots__ = ("names", "path", "source", "st", "target")

    def __init__(self, source: int, target: int, path: str, st: os.stat_result | None) -> None:
        self.source = source
        self.target = target
        self.path = path  # below the directory that is copied into
        self.st = st
        self.names = os.listdir(source)
        self.names.reverse()

    def close(self) -> None:
        os.close(self.source)
        os.close(self.target)


class TreeCopy:
    """One copy. target: fd of the directory that gets something; the caller's.

    Raises of all methods: StoreError.
    """

    def __init__(self, target: int, how: How) -> None:
        self._root = target
        self._how = how
        self._links: "dict[tuple[int, int], str]" = {}  # files with several names -> where the first one went
        self._own: tuple[int, int] | None = None  # the new top directory, should it lie in what is copied
        self._in_kernel = True
        self.size = 0  # bytes of files copied so far
        _allow_many_files()

    def special(self, parent: int, name: str, new_name: str) -> None:
        """Copy the fifo, or the like, that is called `name` in the directory `parent`."""
        try:
            self._one(parent, name, self._root, new_name, new_name)
        except OSError as e:
            raise self._failed(new_name, e) from e

    def file(self, fd: int, new_name: str, *, into: int = -1) -> None:
        """Copy the regular file behind an fd. into: fd of a file that only gets its content."""
        source = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if into >= 0:
                self._fill(source, into)
            else:
                self._regular(source, os.fstat(source), self._root, new_name, new_name)
        except OSError as e:
            raise self._failed(new_name, e) from e
        finally:
            os.close(source)

    def directory(self, fd: int, new_name: str) -> None:
        """Copy the directory behind an fd. new_name: "": what is in it, into the target itself."""
        try:
            source = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if new_name:
                frame = self._open_frame(source, os.fstat(source), self._root, new_name, new_name)
            else:
                frame = _Frame(source, os.open(".", _DIRECTORY, dir_fd=self._root), "", None)
            here = os.fstat(frame.target)
            self._own = here.st_dev, here.st_ino
            frame.names = [name for name in frame.names if name not in self._how.exclude]
            self._run(frame)
        except OSError as e:
            raise self._failed(new_name, e) from e

    def _run(self, first: _Frame) -> None:
        """Depth first, without recursion: trees may be deeper than Python's stack."""
        stack = [first]
        try:
            while stack:
                frame = stack[-1]
                if frame.names:
                    name = frame.names.pop()
                    path = f"{frame.path}/{name}" if frame.path else name
                    try:
                        below = self._one(frame.source, name, frame.target, name, path)
                    except OSError as e:
                        raise self._failed(path, e) from e
                    if below is not None:
                        stack.append(below)
                    continue
                if frame.st is not None:
                    self._finish(frame.source, frame.target, frame.st)
                stack.pop().close()
        finally:
            for frame in stack:
                frame.close()

    def _one(self, parent: int, name: str, target: int, new_name: str, path: str) -> _Frame | None:
        """Copy one thing; of a directory the beginning, whose rest is the frame."""
        try:
            st = os.stat(name, dir_fd=parent, follow_symlinks=False)
            kind = stat.S_IFMT(st.st_mode)
            if kind == stat.S_IFDIR:
                return self._directory(parent, name, st, target, new_name, path)
            if st.st_nlink > 1 and self._link(st, target, new_name, path):
                return None
            if kind != stat.S_IFREG:
                self._special(parent, name, st, target, new_name, path)
                return None
            source = os.open(name, _READ, dir_fd=parent)
        except FileNotFoundError:
            if _is_there(parent, name):
                raise
            return None  # removed meanwhile
        except PermissionError:
            if self._how.unreadable:
                return None
            raise
        try:
            self._regular(source, os.fstat(source), target, new_name, path)
        finally:
            os.close(source)
        return None

    def _directory(self, parent: int, name: str, st: os.stat_result, target: int, new_name: str, path: str) -> _Frame | None:
        source = os.open(name, _DIRECTORY, dir_fd=parent)
        if self._own is not None and (st.st_dev, st.st_ino) == self._own:
            os.close(source)
            return None
        return self._open_frame(source, os.fstat(source), target, new_name, path)

    def _open_frame(self, source: int, st: os.stat_result, target: int, new_name: str, path: str) -> _Frame:
        """Takes `source`."""
        try:
            try:
                os.mkdir(new_name, 0o700, dir_fd=target)
            except FileExistsError:
                if not stat.S_ISDIR(os.stat(new_name, dir_fd=target, follow_symlinks=False).st_mode):
                    if not self._how.overwrite:
                        raise self._exists(path, "mkdir") from None
                    os.unlink(new_name, dir_fd=target)
                    os.mkdir(new_name, 0o700, dir_fd=target)
            made = os.open(new_name, _DIRECTORY, dir_fd=target)
        except BaseException:
            os.close(source)
            raise
        return _Frame(source, made, path, st)

    def _regular(self, source: int, st: os.stat_result, target: int, new_name: str, path: str) -> None:
        if not stat.S_ISREG(st.st_mode):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        made, ours = self._create(target, new_name, path)
        try:
            self._data(source, made, st)
            self.size += st.st_size
            if ours:
                self._finish(source, made, st)
        finally:
            os.close(made)

    def _fill(self, source: int, into: int) -> None:
        st = os.fstat(source)
        made = os.open(f"/proc/self/fd/{into}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(made).st_mode):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            os.ftruncate(made, 0)
            self._data(source, made, st)
            self.size += st.st_size
        finally:
            os.close(made)

    def _create(self, target: int, name: str, path: str) -> tuple[int, bool]:
        """(fd of an empty file for writing, whether it is a new one)"""
        try:
            return os.open(name, _CREATE, 0o600, dir_fd=target), True
        except FileExistsError:
            pass
        if not self._clear(target, name, path):
            # A mount begins there (as on /etc/hosts): its file gets the content and stays what it is otherwise.
            fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=target)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            os.ftruncate(fd, 0)
            return fd, False
        return os.open(name, _CREATE, 0o600, dir_fd=target), True

    def _clear(self, target: int, name: str, path: str) -> bool:
        """Make room for something that is no directory; False: a mount is in the way."""
        try:
            if not stat.S_ISDIR(os.stat(name, dir_fd=target, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=target)
            elif not self._how.overwrite:
                raise self._exists(path, "open")
            else:
                import shutil

                shutil.rmtree(name, dir_fd=target)
        except FileNotFoundError:
            pass
        except OSError as e:
            if e.errno == errno.EBUSY:
                return False
            raise
        return True

    def _data(self, source: int, made: int, st: os.stat_result) -> None:
        if st.st_size > st.st_blocks * 512 + _HOLES:
            self._extents(source, made, st.st_size)
        elif st.st_size == 0:  # also what /proc shows, which has no size
            while piece := os.read(source, _BUFFER):
                _write_all(made, piece)
        else:
            self._range(source, made)

    def _extents(self, source: int, made: int, size: int) -> None:
        """A file with holes: they stay holes."""
        at = 0
        while at < size:
            try:
                data = os.lseek(source, at, os.SEEK_DATA)
            except OSError as e:
                if e.errno == errno.ENXIO:
                    break
                raise
            at = os.lseek(source, data, os.SEEK_HOLE)
            os.lseek(source, data, os.SEEK_SET)
            os.lseek(made, data, os.SEEK_SET)
            self._range(source, made, at - data)
        os.ftruncate(made, size)

    def _range(self, source: int, made: int, left: int = -1) -> None:
        """From here to the end, or `left` bytes."""
        while self._in_kernel and left:
            try:
                done = os.copy_file_range(source, made, min(_PIECE, left) if left > 0 else _PIECE)
            except OSError as e:
                if e.errno not in _NOT_HERE:
                    raise
                self._in_kernel = False
                break
            if not done:
                return
            left -= done if left > 0 else 0
        while left:
            piece = os.read(source, min(_BUFFER, left) if left > 0 else _BUFFER)
            if not piece:
                return
            _write_all(made, piece)
            left -= len(piece) if left > 0 else 0

    def _finish(self, source: int, made: int, st: os.stat_result) -> None:
        """Owner before mode, which it would strip of set-id bits, and before attributes; the time last."""
        uid, gid = self._how.owner(st)
        os.fchown(made, uid, gid)
        os.fchmod(made, stat.S_IMODE(st.st_mode))
        for name in os.listxattr(source):
            if not name.startswith(_NO_XATTR):
                try:
                    os.setxattr(made, name, os.getxattr(source, name))
                except OSError as e:
                    if e.errno not in (errno.ENOTSUP, errno.EPERM, errno.ENODATA):
                        raise
        os.utime(made, ns=(st.st_atime_ns, st.st_mtime_ns))

    def _link(self, st: os.stat_result, target: int, new_name: str, path: str) -> bool:
        """Make another name of a file that was copied already; False: this is the first one, or it cannot be linked."""
        first = self._links.setdefault((st.st_dev, st.st_ino), path)
        if first == path:
            return False
        try:
            fd = spawn.open_in_root(self._root, first, os.O_PATH | os.O_NOFOLLOW)
        except spawn.SpawnError:
            return False
        try:
            self._clear(target, new_name, path)
            os.link(f"/proc/self/fd/{fd}", new_name, dst_dir_fd=target, follow_symlinks=True)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True

    def _special(self, parent: int, name: str, st: os.stat_result, target: int, new_name: str, path: str) -> None:
        """Symbolic links, fifos, devices; a socket without its process is nothing."""
        kind = stat.S_IFMT(st.st_mode)
        if kind == stat.S_IFSOCK or (kind in (stat.S_IFCHR, stat.S_IFBLK) and not self._how.devices):
            return
        link = os.readlink(name, dir_fd=parent) if kind == stat.S_IFLNK else ""

        def make() -> None:
            if kind == stat.S_IFLNK:
                os.symlink(link, new_name, dir_fd=target)
            else:
                os.mknod(new_name, kind | 0o600, st.st_rdev if kind != stat.S_IFIFO else 0, dir_fd=target)

        try:
            make()
        except FileExistsError:
            self._clear(target, new_name, path)
            make()
        os.chown(new_name, *self._how.owner(st), dir_fd=target, follow_symlinks=False)
        if kind != stat.S_IFLNK:
            _set_mode(target, new_name, st)
        os.utime(new_name, ns=(st.st_atime_ns, st.st_mtime_ns), dir_fd=target, follow_symlinks=False)

    def _shown(self, path: str) -> str:
        return f"{self._how.shown.rstrip('/')}/{path}"

    def _exists(self, path: str, attempt: str) -> StoreError:
        shown = self._shown(path)
        return StoreError(f'copying to {self._how.to}: error creating "{shown}": {attempt} {shown}: file exists',
                          hint="Use --overwrite to let a directory take the place of something else, or the other way round.")

    def _failed(self, path: str, e: OSError) -> StoreError:
        return StoreError(f'copying to {self._how.to}: "{self._shown(path)}": {(e.strerror or str(e)).lower()}')


def _is_there(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return False
    return True


def _set_mode(target: int, name: str, st: os.stat_result) -> None:
    """chmod(2) follows links: only of what we have in hand."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target)
    try:
        if stat.S_IFMT(os.fstat(fd).st_mode) == stat.S_IFMT(st.st_mode):
            os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(st.st_mode))
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def _allow_many_files() -> None:
    """Two directories are open for each level of the tree."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):
            pass
