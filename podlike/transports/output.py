"""Files and directories that appear complete or not at all, whatever ends the writer.

A file is written without a name (O_TMPFILE) and gets it at the end, so that not even SIGKILL leaves a half one. A directory
grows beside its place under a hidden name, locked, and is renamed; what a killed writer left is removed by the next.
"""

import errno
import fcntl
import os
import stat

from podlike.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_NO_TMPFILE: "Final" = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)


def _failed(shown: str, e: OSError) -> StoreError:
    hint = "Free space there, or write to another file system." if e.errno in (errno.ENOSPC, errno.EDQUOT) else \
        "Give a path in a directory that exists and that you may write to."
    return StoreError(f"write {shown}: {e.strerror}", hint=hint)


class OutputFile:
    """`with OutputFile(path) as fd:`; without an error the file is there at the end, in place of an older one.

    What is no regular file (a pipe, a device) is written as it is.
    """

    def __init__(self, path: str) -> None:
        self._shown = path
        self._path = os.path.realpath(path)
        self._fd = -1
        self._name = ""  # of the file while it is written, where it needs one
        self._direct = False

    def __enter__(self) -> int:
        try:
            self._open()
        except OSError as e:
            raise _failed(self._shown, e) from e
        return self._fd

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if error is None and not self._direct:
                self._install()
        except OSError as e:
            raise _failed(self._shown, e) from e
        finally:
            if self._name:
                _unlink(self._name)
            os.close(self._fd)

    def _open(self) -> None:
        mode = 0o666
        try:
            st = os.stat(self._path)
        except FileNotFoundError:
            st = None
        if st is not None:
            if stat.S_ISDIR(st.st_mode):
                raise IsADirectoryError(errno.EISDIR, "it is a directory")
            if not stat.S_ISREG(st.st_mode):
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
                self._direct = True
                return
        directory = os.path.dirname(self._path)
        try:
            self._fd = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode)
        except OSError as e:
            if e.errno not in _NO_TMPFILE or not os.path.isdir(directory):
                raise
            self._name = _hidden(self._path)
            self._fd = os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        if st is not None:
            os.fchmod(self._fd, stat.S_IMODE(st.st_mode))

    def _install(self) -> None:
        if not self._name:
            name = _hidden(self._path)
            # With a directory's fd Python uses linkat(2), which follows the link in /proc; link(2) would not.
            here = os.open("/", os.O_PATH | os.O_CLOEXEC)
            try:
                os.link(f"/proc/self/fd/{self._fd}", name, src_dir_fd=here, follow_symlinks=True)
            finally:
                os.close(here)
            self._name = name
        os.rename(self._name, self._path)
        self._name = ""


class OutputDir:
    """`with OutputDir(path) as directory:` fill the directory given; it takes the place of path at the end.

    path may be missing or be an empty directory; with replace, a directory that goes away.
    """

    def __init__(self, path: str, *, replace: bool = False) -> None:
        self._shown = path
        self._path = os.path.realpath(path)
        self._replace = replace
        self._name = ""
        self._lock = -1

    def __enter__(self) -> str:
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            _sweep(self._path)
            self._name = _hidden(self._path)
            os.mkdir(self._name)
            self._lock = os.open(self._name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as e:
            raise _failed(self._shown, e) from e
        return self._name

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if error is None:
                self._install()
        except OSError as e:
            raise _failed(self._shown, e) from e
        finally:
            if self._name:
                _remove(self._name)
            if self._lock >= 0:
                os.close(self._lock)

    def _install(self) -> None:
        old = f"{self._name}.old"
        if self._replace and os.path.isdir(self._path) and os.listdir(self._path):
            os.rename(self._path, old)
        os.rename(self._name, self._path)
        self._name = old if os.path.isdir(old) else ""


def _hidden(path: str) -> str:
    directory, name = os.path.split(path)
    return f"{directory}/.{name[:200]}.podlike-{os.getpid()}"


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _sweep(path: str) -> None:
    """Remove what killed writers of this directory left: nobody holds its lock."""
    directory, name = os.path.split(path)
    prefix = f".{name[:200]}.podlike-"
    for found in os.listdir(directory):
        if not found.startswith(prefix):
            continue
        try:
            fd = os.open(f"{directory}/{found}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(f"{directory}/{found}")
        except OSError:
            pass
        finally:
            os.close(fd)


def _remove(path: str) -> None:
    import shutil

    shutil.rmtree(path, ignore_errors=True)
