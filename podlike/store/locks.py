"""One lock between those who build on blobs and layers and the one who deletes what no image uses.

A pull sees that a layer is there, fetches the others, and records the image at the end. Between the two the
layer belongs to no image: whoever collects garbage must not run meanwhile.

| who | lock | if it is taken |
|---|---|---|
| pull, load, commit, build: from the first `has()` to the recorded image | shared | waits for the deletion |
| deletion of unused layers and blobs | exclusive, not waiting | leaves the garbage to the next one |

flock(2) on a file: a holder that crashes or is killed lets go by itself.
"""

import fcntl
import os

from podlike.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class StoreLock:
    """`with StoreLock(tmp):` keeps all that is in the store; try_exclusive() asks to delete from it."""

    __slots__ = ("_fd", "_path")

    def __init__(self, tmp: str) -> None:
        """tmp: Roots.tmp; created when missing."""
        self._path = f"{tmp}/.lock"
        self._fd = -1

    def __enter__(self) -> "Self":
        fcntl.flock(self._open(), fcntl.LOCK_SH)
        return self

    def try_exclusive(self) -> bool:
        """True: nobody else uses the store until release(). False: somebody does."""
        try:
            fcntl.flock(self._open(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return False
        return True

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _open(self) -> int:
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise StoreError(f"open {self._path}: {e.strerror}") from e
        return self._fd
