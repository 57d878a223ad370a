"""The files of one log: PATH is the newest, PATH.1 the one before it, and so on; the monitor renames them as it goes on.

A reader holds what it has opened: a file that is renamed or deleted meanwhile is read to its end all the same. Each is
known by its inode, because its name changes.
"""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Self

CHUNK: "Final" = 1 << 18


class LogFile:
    """One open file. end: its size when it was opened; rest: what has been read of a record whose end is not there yet."""

    __slots__ = ("end", "fd", "id", "offset", "rest")

    def __init__(self, fd: int) -> None:
        st = os.fstat(fd)
        self.fd = fd
        self.id = (st.st_dev, st.st_ino)
        self.end = st.st_size
        self.offset = 0
        self.rest = b""

    def read(self) -> bytes:
        """The next whole records, b"" where there are none (yet); a file that was emptied is read from its start."""
        while True:
            data = os.pread(self.fd, CHUNK, self.offset)
            if not data:
                if os.fstat(self.fd).st_size < self.offset:
                    self.offset, self.rest = 0, b""
                    continue
                return b""
            self.offset += len(data)
            cut = data.rfind(b"\n") + 1
            if cut:
                block, self.rest = self.rest + data[:cut], data[cut:]
                return block
            self.rest += data

    def grown(self) -> bool:
        return os.fstat(self.fd).st_size != self.offset

    def seek(self, offset: int) -> None:
        self.offset = offset

    def close(self) -> None:
        os.close(self.fd)


class LogFiles:
    """The files as they are now, oldest first. count: how many there may be."""

    def __init__(self, path: str, count: int) -> None:
        self._path = path
        self._count = count
        self.files: list[LogFile] = _open_chain(path, count, stop_at=None)

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exc: object) -> None:
        for file in self.files:
            file.close()
        self.files = []

    def drop_oldest(self) -> None:
        self.files.pop(0).close()

    def look_for_newer(self) -> bool:
        """Whether the newest file that we have has been rotated away; the newer ones are appended then.

        It has its last byte by then: the monitor writes to it no more once it has another name.
        """
        newest = self.files[-1].id if self.files else None
        try:
            st = os.stat(self._path)
        except FileNotFoundError:
            return False
        if (st.st_dev, st.st_ino) == newest:
            return False
        newer = _open_chain(self._path, self._count, stop_at=newest)
        self.files += newer
        return bool(newer)


def _open_chain(path: str, count: int, *, stop_at: tuple[int, int] | None) -> list[LogFile]:
    """Open PATH, PATH.1 ... up to the file known as stop_at, which is left out; oldest first.

    From the newest to the oldest, because that is the way in which names move on: whatever is renamed meanwhile is met
    again under the next number, and known by its inode.
    """
    found: dict[tuple[int, int], LogFile] = {}
    for number in range(count):
        try:
            fd = os.open(f"{path}.{number}" if number else path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            continue  # just being renamed, or not there yet
        if not stat.S_ISREG(os.fstat(fd).st_mode):  # the user's own device or fifo: it gives nothing back
            os.close(fd)
            continue
        file = LogFile(fd)
        if file.id == stop_at:
            file.close()
            break
        if file.id in found:
            file.close()
        else:
            found[file.id] = file
    return list(found.values())[::-1]
