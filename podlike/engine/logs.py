"""Reading what a container wrote: the k8s-file log of the monitor.

Format of a line: RFC3339NANO STREAM TAG TEXT; TAG F ends a line, P says that more of it follows.
Source: the CRI logging format.
"""

import os
import select
import time

from podlike import procs
from podlike.engine import query
from podlike.engine.core import Engine
from podlike.errors import ConflictError
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_CHUNK: "Final" = 1 << 16
_LOOK_AGAIN_MS: "Final" = 100  # how long a following reader may lag behind a writer


class LogLine:
    """One piece of output. time: text as logged; stream: stdout or stderr; partial: no newline follows."""

    __slots__ = ("partial", "stream", "text", "time")

    def __init__(self, time: str, stream: str, partial: bool, text: bytes) -> None:
        self.time = time
        self.stream = stream
        self.partial = partial
        self.text = text


def log_path(engine: Engine, container: Container) -> str:
    return container.spec.log_options.get("path") or f"{engine.roots.container(container.id)}/ctr.log"


def logs(engine: Engine, container: Container, *, follow: bool = False, since: float = 0.0, until: float = 0.0,
         tail: int = -1) -> "Iterator[LogLine]":
    """The container's output, oldest first. since, until: Unix seconds, 0.0: no limit; tail: lines, -1: all.

    follow: goes on until the container has ended. Raises: ConflictError for log drivers that keep nothing.
    """
    driver = container.spec.log_driver
    if driver in ("none", "passthrough", "passthrough-tty"):
        raise ConflictError(f"read logs of {container.name}: this container is using the '{driver}' log driver, "
                            "cannot read logs: this container is not logging output",
                            hint="Create it with --log-driver k8s-file to keep its output.")
    path = log_path(engine, container)
    lines = _lines(engine, container, path, offset=_tail_offset(path, tail), follow=follow, until=until)
    for line in _select(lines, since):
        if until and _unix_time(line.time) > until:
            return
        yield line


def _select(lines: "Iterator[LogLine]", since: float) -> "Iterator[LogLine]":
    started = not since
    for line in lines:
        started = started or _unix_time(line.time) >= since
        if started:
            yield line


def _unix_time(text: str) -> float:
    import datetime

    head, dot, rest = text.partition(".")
    digits = rest[:9]
    zone = rest[9:] if dot else ""
    whole = datetime.datetime.fromisoformat((head + zone.replace("Z", "+00:00")) if dot else text)
    return whole.timestamp() + (int(digits) / 1e9 if digits.isdigit() else 0.0)


def _tail_offset(path: str, tail: int) -> int:
    """Where the last `tail` whole lines begin. A line is what ends with tag F; pieces before it belong to it."""
    if tail < 0:
        return 0
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        end = os.fstat(fd).st_size
        if tail == 0:
            return end
        return _find_tail(fd, end, tail)
    finally:
        os.close(fd)


def _find_tail(fd: int, end: int, tail: int) -> int:
    """Read back in growing blocks until the block holds more lines than wanted, or the whole file."""
    size = _CHUNK
    while True:
        begin = max(0, end - size)
        starts = _line_starts(os.pread(fd, end - begin, begin), begin)
        if begin == 0 or len(starts) > tail:
            return starts[-tail] if len(starts) >= tail else 0
        size *= 4


def _line_starts(block: bytes, begin: int) -> list[int]:
    """Offsets in the file at which lines begin; the first may lie inside a line if begin is not 0."""
    starts, at, fresh = [], begin, True
    for record in block.split(b"\n"):
        if record and fresh:
            starts.append(at)
        fresh = _is_full(record)
        at += len(record) + 1
    return starts


def _is_full(record: bytes) -> bool:
    return record.split(b" ", 3)[2:3] == [b"F"]


def _lines(engine: Engine, container: Container, path: str, *, offset: int, follow: bool,
           until: float) -> "Iterator[LogLine]":
    rest = b""
    fd = -1
    try:
        while True:
            # Looked at before reading: what was written up to the end is then surely read.
            over = not follow or bool(until and time.time() > until) or _ended(engine, container)
            if fd < 0:
                fd = _open(path, offset)
            data = os.read(fd, _CHUNK) if fd >= 0 else b""
            if data:
                records = (rest + data).split(b"\n")
                rest = records.pop()
                for record in records:
                    line = _parse(record)
                    if line is not None:
                        yield line
            elif over:
                return
            else:
                if _rotated(fd, path):
                    os.close(fd)
                    fd, offset = -1, 0
                _sleep(engine, container)
    finally:
        if fd >= 0:
            os.close(fd)


def _open(path: str, offset: int) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    os.lseek(fd, offset, os.SEEK_SET)
    return fd


def _rotated(fd: int, path: str) -> bool:
    try:
        return fd >= 0 and os.fstat(fd).st_ino != os.stat(path).st_ino
    except FileNotFoundError:
        return False


def _ended(engine: Engine, container: Container) -> bool:
    fresh = engine.containers.get(container.id)
    return fresh is None or not query.status(engine, fresh).running


def _sleep(engine: Engine, container: Container) -> None:
    """Until the container ends, or it is time to look for more."""
    fresh = engine.containers.get(container.id)
    pid, started = query.process_of(engine, fresh) if fresh else (0, 0)
    pidfd = procs.open_pidfd(pid, started)
    poller = select.poll()
    if pidfd is not None:
        poller.register(pidfd, select.POLLIN)
    poller.poll(_LOOK_AGAIN_MS if pidfd is not None else 10)
    if pidfd is not None:
        os.close(pidfd)


def _parse(record: bytes) -> LogLine | None:
    parts = record.split(b" ", 3)
    if len(parts) < 3:
        return None
    return LogLine(parts[0].decode(errors="replace"), parts[1].decode(errors="replace"), parts[2] == b"P",
                   parts[3] if len(parts) == 4 else b"")
