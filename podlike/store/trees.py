"""Removing directory trees that a container or a layer may have shaped with ill will."""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Below this depth a directory is moved up and emptied later: no recursion limit and no fd limit can be hit.
_MAX_DEPTH: "Final" = 64


def remove_tree(path: str) -> None:
    """Delete path and everything in it; nothing happens when it is not there.

    Never follows a symbolic link. Directories without permissions are made passable.
    Raises: OSError of the first entry that cannot be removed, after all others have been tried.
    """
    job = _Removal(path)
    while job.pending:
        job.remove(job.pending.pop())
    if job.failures:
        raise job.failures[0]


class _Removal:
    __slots__ = ("_moved", "_path", "failures", "pending")

    def __init__(self, path: str) -> None:
        self._path = path
        self._moved = 0
        self.pending = [path]
        self.failures: list[OSError] = []

    def remove(self, top: str) -> None:
        try:
            if not stat.S_ISDIR(os.lstat(top).st_mode):
                os.unlink(top)
                return
            self._empty(top, None, 0)
            os.rmdir(top)
        except FileNotFoundError:
            pass
        except OSError as e:
            self.failures.append(e)

    def _empty(self, name: str, parent: int | None, depth: int) -> None:
        fd = _open_dir(name, parent)
        try:
            with os.scandir(fd) as entries:
                for entry in list(entries):
                    self._entry(entry, fd, depth)
        finally:
            os.close(fd)

    def _entry(self, entry: "os.DirEntry[str]", parent: int, depth: int) -> None:
        try:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=parent)
            elif depth >= _MAX_DEPTH:
                self._move_up(entry.name, parent)
            else:
                self._remove_dir(entry.name, parent, depth + 1)
        except FileNotFoundError:
            pass
        except OSError as e:
            self.failures.append(e)

    def _move_up(self, name: str, parent: int) -> None:
        self._moved += 1
        target = f"{self._path}.deep{self._moved}"
        try:
            os.rename(name, target, src_dir_fd=parent)
        except PermissionError:  # moving a directory writes its ".."
            os.chmod(name, 0o700, dir_fd=parent)
            os.rename(name, target, src_dir_fd=parent)
        self.pending.append(target)

    def _remove_dir(self, name: str, parent: int, depth: int) -> None:
        try:
            os.rmdir(name, dir_fd=parent)  # many directories are empty; one call less than looking
        except OSError:
            self._empty(name, parent, depth)
            os.rmdir(name, dir_fd=parent)


def _open_dir(name: str, parent: int | None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=parent)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=parent)
        fd = os.open(name, flags, dir_fd=parent)
    if os.fstat(fd).st_mode & 0o700 != 0o700:
        try:
            os.fchmod(fd, 0o700)
        except PermissionError:
            pass
    return fd
