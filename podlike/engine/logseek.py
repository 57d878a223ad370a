"""Where in a log to begin: at the last lines, or at a time. Found from the end backwards, or by halving."""

import os

from podlike.spec.loglines import kind_of, parse, unix_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from podlike.engine.logfiles import LogFile

# (index of the file, offset in it): positions are compared as they are.
Position = tuple[int, int]

_BLOCK: "Final" = 1 << 16
_BLOCK_MAX: "Final" = 1 << 22
# How far before the lines that are wanted the beginning of one of them is looked for, while the other stream went on.
_LOOK_BACK: "Final" = 16 << 20
_STREAMS: "Final" = ("stdout", "stderr")


class Tail:
    """Counts lines from the last one back, and says which records belong to the last `count`.

    Lines of both streams may lie in pieces between each other; a line is wanted whole.
    """

    __slots__ = ("_beyond", "_closed", "_count", "_lines", "_taken")

    def __init__(self, count: int) -> None:
        self._count = count
        self._lines = 0
        self._taken: set[str] = set()  # streams of which lines are wanted
        self._closed: set[str] = set()  # those whose wanted lines have been seen whole
        self._beyond = 0

    def wants(self, stream: str, ends: bool, size: int) -> bool:
        """The next record back. ends: it ends a line."""
        if self._lines == self._count:
            self._beyond += size
            if ends:
                self._closed.add(stream)
        elif ends or stream not in self._taken:  # the last piece of all ends a line too
            self._lines += 1
            self._taken.add(stream)
        return stream in self._taken and stream not in self._closed

    @property
    def done(self) -> bool:
        return self._lines == self._count and (self._taken <= self._closed or self._beyond > _LOOK_BACK)


def find_tail(files: "list[LogFile]", count: int) -> "dict[str, Position]":
    """For each stream, where the first of its lines that are among the last `count` begins."""
    end = (len(files) - 1, files[-1].end) if files else (0, 0)
    start = dict.fromkeys(_STREAMS, end)
    tail = Tail(count)
    for position, record in _backwards(files):
        if tail.done:
            break
        kind = kind_of(record)
        if kind is not None and tail.wants(*kind, len(record)):
            start[kind[0]] = position
    return start


def _backwards(files: "list[LogFile]") -> "Iterator[tuple[Position, bytes]]":
    """All records, last one first, with their positions."""
    for index in range(len(files) - 1, -1, -1):
        file = files[index]
        end, size, rest = file.end, _BLOCK, b""
        while end > 0:
            begin = max(0, end - size)
            block = os.pread(file.fd, end - begin, begin) + rest
            records = block.split(b"\n")
            at = begin + len(block)
            first = records[0]
            for record in records[:0:-1]:
                at -= len(record)
                if record:
                    yield (index, at), record
                at -= 1
            end, rest, size = begin, first, min(size * 4, _BLOCK_MAX)
        if rest:
            yield (index, 0), rest


def find_time(files: "list[LogFile]", since: float) -> Position:
    """Where the first record that is not older begins. Records are in the order of their times."""
    for index in range(len(files) - 1, -1, -1):
        first = _record_at(files[index], 0)
        if first is not None and first[1] < since:
            return index, _halve(files[index], since)
    return 0, 0


def _halve(file: "LogFile", since: float) -> int:
    low, high = 0, file.end  # the record at low is older, none at or behind high is
    while high - low > _BLOCK:
        middle = (low + high) // 2
        found = _record_at(file, middle)
        if found is None or found[0] >= high:
            break  # one record fills the rest
        low, high = (found[0], high) if found[1] < since else (low, found[0])
    return _first_since(file, low, since)


def _first_since(file: "LogFile", begin: int, since: float) -> int:
    """The same, one record after the other from a record's beginning on."""
    rest = b""
    at = begin
    while data := os.pread(file.fd, _BLOCK, at + len(rest)):
        *records, rest = (rest + data).split(b"\n")
        for record in records:
            when = _time_of(record)
            if when is not None and when >= since:
                return at
            at += len(record) + 1
    return at


def _time_of(record: bytes) -> float | None:
    line = parse(record)
    try:
        return unix_time(line.time) if line is not None else None
    except ValueError:
        return None


def _record_at(file: "LogFile", offset: int) -> tuple[int, float] | None:
    """(offset, time) of the first whole record that begins at offset or behind it."""
    begin = offset
    data = os.pread(file.fd, _BLOCK, max(0, offset - 1))
    if offset:
        skip = data.find(b"\n") + 1
        if not skip:
            return None
        begin, data = offset - 1 + skip, data[skip:]
    while True:
        end = data.find(b"\n")
        if end < 0:
            more = os.pread(file.fd, _BLOCK, begin + len(data))
            if not more:
                return None
            data += more
            continue
        when = _time_of(data[:end])
        if when is not None:
            return begin, when
        begin, data = begin + end + 1, data[end + 1:]
