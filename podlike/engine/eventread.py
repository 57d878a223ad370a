"""Reading the events log, from where it is kept, and following it."""

import os
import time

from podlike import log
from podlike.engine import events as writing
from podlike.engine.core import Engine
from podlike.errors import UsageError
from podlike.spec.events import ROTATE, ROTATE_MARK, Event
from podlike.spec.eventview import parse_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

_LOOK_AGAIN: "Final" = 0.05  # seconds that a following reader may lag behind
_CHUNK: "Final" = 1 << 18


def read(engine: Engine, *, passes: "Callable[[Event], bool]", since: float = 0.0, until: float = 0.0,
         stream: bool = True) -> "Iterator[Event]":
    """Events that pass, oldest first. stream: go on with those to come, until the time `until` if that is given;
    without since and until only those. Times: Unix seconds, 0.0: none.

    Raises: UsageError where none are kept, NotFoundError for a journal that is not there.
    """
    where = writing.backend(engine)
    from_start = bool(since or until) or not stream

    def over() -> bool:
        return bool(until) and time.time() >= until

    if where == "none":
        raise UsageError('cannot read events with the "none" backend')
    if where == "journald":
        from podlike.engine.eventjournal import read as entries

        found = entries(since=since, follow=stream and not over(), from_start=from_start, over=over)
    else:
        found = _file(writing.log_path(engine), follow=stream, from_start=from_start, over=over)
    for event in found:
        if passes(event):
            yield event


def _file(path: str, *, follow: bool, from_start: bool, over: "Callable[[], bool]") -> "Iterator[Event]":
    reader = _LogFile(path)
    try:
        if not from_start:
            reader.to_end()
        while True:
            last_round = not follow or over()
            for line in reader.lines():
                event = _event(line, path)
                if event is not None:
                    yield event
            if last_round:
                return
            if not reader.grown():
                time.sleep(_LOOK_AGAIN)
    finally:
        reader.close()


def _event(line: bytes, path: str) -> Event | None:
    try:
        return parse_line(line)
    except ValueError:
        log.error(f"Failed to read event: event type is not valid in {path}")
        return None


class _LogFile:
    """The log as it is now, and after each rotation the new one, from the line behind the last that was read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._offset = 0
        self._rest = b""  # of a line whose end is not there yet
        self._last = b""  # line that was read

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def to_end(self) -> None:
        """Leave out what is there."""
        for _ in self.lines():
            pass

    def lines(self) -> "Iterator[bytes]":
        """Those that came since the last call."""
        while True:
            yield from self._read()
            if not self._renew():
                return

    def grown(self) -> bool:
        try:
            st = os.stat(self._path)
        except FileNotFoundError:
            return False
        return self._fd < 0 or st.st_ino != os.fstat(self._fd).st_ino or st.st_size != self._offset

    def _read(self) -> "Iterator[bytes]":
        while self._fd >= 0 and (data := os.pread(self._fd, _CHUNK, self._offset)):
            self._offset += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                if line:
                    self._last = line
                    yield line

    def _renew(self) -> bool:
        """Whether there is another file at the path, or the same was emptied; it is read from the right place then.

        Nobody writes to the old one once it has been replaced, so it has been read to its end.
        """
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        st = os.fstat(fd)
        if self._fd >= 0:
            old = os.fstat(self._fd)
            if (st.st_dev, st.st_ino) == (old.st_dev, old.st_ino):
                os.close(fd)
                if st.st_size < self._offset:
                    self._offset, self._rest = 0, b""
                    return True
                return False
            if os.pread(self._fd, 1, self._offset):
                os.close(fd)
                return True  # its last lines came after the look
            os.close(self._fd)
        self._fd, self._offset, self._rest = fd, 0, b""
        if self._last:
            self._offset = self._place(st.st_size)
        return True

    def _place(self, size: int) -> int:
        """Where to go on in a file that has taken the place of the one that was read: what it took over is known."""
        text = os.pread(self._fd, size, 0)
        at = (b"\n" + text).rfind(b"\n" + self._last + b"\n")
        if at >= 0:
            return at + len(self._last) + 1
        first = text[:text.find(b"\n") + 1]  # older than all of it: only the mark of the rotation is left out
        return len(first) if ROTATE.encode() in first and b'"' + ROTATE_MARK.encode() + b'":"begin"' in first else 0
