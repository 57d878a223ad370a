"""The events log as a file: one JSON line an event, bounded by giving up its older half.

An event is one write(2) to a file opened for appending, which the kernel does as a whole. Rotation replaces the file by a
new one, under a lock, and nobody may write to the old one any more then:

| who | lock on the open log (flock) | why |
|---|---|---|
| appends | shared | the file at the path stays the one that was opened |
| rotates | exclusive, without waiting: who cannot have it appends instead | nobody is about to append to what is copied |
| waits for a rotation | a second at most, then appends as it is | a rotation that was stopped must not stop everybody |

podlike-conmon (conmon-c/src/eventlog.c) does the same. Rotation follows podman's: an event that says "begin", the younger
half, an event that says "end". A reader that was in the middle finds its place by the last line that it has read.
"""

import fcntl
import os
import time

from podlike.spec.events import ROTATE, ROTATE_MARK, Event, to_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_PATIENCE: "Final" = 1.0  # seconds to wait for a rotation; it takes a millisecond


def append(path: str, events: "Sequence[Event]", *, limit: int) -> None:
    """Write events as one block. limit: bytes that the file may have, 0: any. Raises: OSError."""
    block = "".join(f"{to_line(event)}\n" for event in events).encode(errors="surrogateescape")
    give_up = 0.0
    while True:
        fd = _open(path)
        try:
            if give_up and time.monotonic() > give_up:
                os.write(fd, block)
                return
            if _lock(fd, fcntl.LOCK_SH):
                size = _size_if_at(fd, path)
                if size < 0:
                    continue  # it was rotated between the two steps
                # podman counts so too: without the newline
                if not (limit and size and size + len(block) - 1 >= limit):
                    os.write(fd, block)
                    return
                if _lock(fd, fcntl.LOCK_EX) and _size_if_at(fd, path) >= 0:
                    _rotate(fd, path, block)
                    return
                # Somebody else is at it, and changing a lock may lose the one that there was: as from the beginning.
                limit = 0
            else:
                give_up = give_up or time.monotonic() + _PATIENCE
                time.sleep(0.002)
        finally:
            os.close(fd)


def _open(path: str) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        _make_private(os.path.dirname(path))
        return os.open(path, flags, 0o600)


def _make_private(path: str) -> None:
    """Unlike os.makedirs with the parents too: they may be the first that there is of the runtime directory."""
    if not os.path.isdir(path):
        _make_private(os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:  # somebody else was quicker
            pass


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _size_if_at(fd: int, path: str) -> int:
    """Bytes of an open file, -1 if it is not the one at the path any more."""
    have = os.fstat(fd)
    try:
        now = os.stat(path)
    except FileNotFoundError:
        return -1
    return have.st_size if (have.st_dev, have.st_ino) == (now.st_dev, now.st_ino) else -1


def _rotate(fd: int, path: str, block: bytes) -> None:
    """Under the exclusive lock: replace the file by its younger half and the block."""
    size = os.fstat(fd).st_size
    kept = os.pread(fd, size - size // 2, size // 2)
    kept = kept[kept.find(b"\n") + 1:] if b"\n" in kept else b""
    new = f"{path}.new"
    out = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        for piece in (_mark(path, "begin"), kept, _mark(path, "end"), block):
            view = memoryview(piece)
            while view:
                view = view[os.write(out, view):]
    except BaseException:
        os.unlink(new)
        raise
    finally:
        os.close(out)
    os.rename(new, path)


def _mark(path: str, word: str) -> bytes:
    return f"{to_line(Event('system', ROTATE, name=path, attributes={ROTATE_MARK: word}))}\n".encode(errors="surrogateescape")
