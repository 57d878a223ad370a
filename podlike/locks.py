"""Locks on names: flock(2) on a file of Roots.run/locks. The kernel drops them with the process.

| the holder | what happens |
|---|---|
| ends, crashes, is killed | the lock is free at once |
| forks | the child shares it; our fds are close-on-exec, so no program we start keeps one |
| is stopped (SIGSTOP) | others wait |
| reboot | the files are gone with the runtime directory |
"""

import fcntl
import os

from podlike.paths import Roots


class Lock:
    """`with Lock(roots, "container-ID"):` waits for the lock and holds it."""

    __slots__ = ("_fd", "_path")

    def __init__(self, roots: Roots, name: str) -> None:
        self._path = f"{roots.run}/locks/{name}"
        self._fd = -1

    def __enter__(self) -> "Lock":
        self.acquire(blocking=True)
        return self

    def acquire(self, *, blocking: bool) -> bool:
        """Take it; False only when not blocking and another process holds it."""
        while True:
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
            except BlockingIOError:
                os.close(fd)
                return False
            # Whoever removed the object has unlinked the file: ours must still be the one at the path.
            try:
                same = os.fstat(fd).st_ino == os.stat(self._path).st_ino
            except FileNotFoundError:
                same = False
            if same:
                self._fd = fd
                return True
            os.close(fd)

    def release(self, *, remove: bool = False) -> None:
        """remove: the named object is gone; its lock file goes too."""
        if self._fd >= 0:
            if remove:
                try:
                    os.unlink(self._path)
                except FileNotFoundError:
                    pass
            os.close(self._fd)
            self._fd = -1

    def __exit__(self, *exc: object) -> None:
        self.release()
