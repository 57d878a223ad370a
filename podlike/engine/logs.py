"""Reading what a container wrote."""

import os
import select
import time

from podlike import procs
from podlike.engine import query
from podlike.engine.core import Engine
from podlike.engine.logconf import log_path
from podlike.engine.logfiles import LogFile, LogFiles
from podlike.engine.logseek import Position, find_tail, find_time
from podlike.errors import ConflictError
from podlike.spec.loglines import LogLine, parse, plain, unix_time
from podlike.spec.logopts import PASSTHROUGH, in_journal, max_files
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_LOOK_AGAIN_MS: "Final" = 50  # how long a following reader may lag behind a writer
_DECIDED_AFTER: "Final" = 1.5  # seconds after the end of a container with a policy
_LONGEST_WAIT: "Final" = 70.0  # seconds in which a restart policy has started it again, or never will


class Request:
    """Which part of a log. since, until: Unix seconds, 0.0: no limit; tail: lines, -1: all; follow: to the container's end."""

    __slots__ = ("follow", "since", "tail", "until")

    def __init__(self, *, follow: bool = False, since: float = 0.0, until: float = 0.0, tail: int = -1) -> None:
        self.follow = follow
        self.since = since
        self.until = until
        self.tail = tail


def logs(engine: Engine, container: Container, request: Request) -> "Iterator[LogLine]":
    """The container's output, oldest first, in the pieces in which it was logged.

    Raises: ConflictError for log drivers that keep nothing, NotFoundError where there is no journal.
    """
    _refuse_unreadable(container)
    if in_journal(container.spec):
        from podlike.engine.logjournal import journal

        yield from journal(engine, container, request)
        return
    with LogFiles(log_path(engine, container), max_files(container.spec)) as files:
        start = _start(files, request)
        for index, offset, block in _blocks(engine, container, files, request, first=min(start.values())):
            over = request.until and _is_past(block, request.until)
            if max(start.values()) > (index, offset):
                block = _drop(block, (index, offset), start)
            yield from _lines(block, request.until if over else 0.0)
            if over:
                return


def text(engine: Engine, container: Container, request: Request) -> "Iterator[tuple[str, bytes]]":
    """The same as (stream, bytes), much faster, for those who want nothing but the output."""
    _refuse_unreadable(container)
    if in_journal(container.spec) or request.until or request.tail >= 0:
        for line in logs(engine, container, request):
            yield line.stream, line.text if line.partial else line.text + b"\n"
        return
    with LogFiles(log_path(engine, container), max_files(container.spec)) as files:
        for _, _, block in _blocks(engine, container, files, request, first=min(_start(files, request).values())):
            whole = plain(block)
            if whole is not None:
                yield "stdout", whole
            else:
                yield from _by_stream(block)


def _by_stream(block: bytes) -> "Iterator[tuple[str, bytes]]":
    """Neighbours of one stream together."""
    stream = ""
    parts: list[bytes] = []
    for line in _lines(block, 0.0):
        if line.stream != stream and parts:
            yield stream, b"".join(parts)
            parts = []
        stream = line.stream
        parts.append(line.text)
        if not line.partial:
            parts.append(b"\n")
    if parts:
        yield stream, b"".join(parts)


def _refuse_unreadable(container: Container) -> None:
    driver = container.spec.log_driver
    if driver == "none" or driver in PASSTHROUGH and not in_journal(container.spec):
        raise ConflictError(f"read logs of {container.name}: this container is using the '{driver}' log driver, "
                            "cannot read logs: this container is not logging output",
                            hint="Create it with --log-driver k8s-file to keep its output.")


def _start(files: LogFiles, request: Request) -> "dict[str, Position]":
    """Where to begin, for each stream."""
    start: "dict[str, Position]" = {"stdout": (0, 0), "stderr": (0, 0)}
    if request.tail >= 0:
        start = find_tail(files.files, request.tail)
    if request.since:
        begin = find_time(files.files, request.since)
        start = {stream: max(position, begin) for stream, position in start.items()}
    return start


def _drop(block: bytes, at: Position, start: "dict[str, Position]") -> bytes:
    """A block without the records that come before the start of their stream."""
    from podlike.spec.loglines import kind_of

    kept = []
    index, offset = at
    for record in block.split(b"\n"):
        kind = kind_of(record)
        if kind is not None and (index, offset) >= start[kind[0]]:
            kept.append(record + b"\n")
        offset += len(record) + 1
    return b"".join(kept)


def _lines(block: bytes, until: float) -> "Iterator[LogLine]":
    for record in block.split(b"\n"):
        line = parse(record) if record else None
        if line is not None:
            if until and _time_of(line) > until:
                return
            yield line


def _time_of(line: LogLine) -> float:
    try:
        return unix_time(line.time)
    except ValueError:
        return 0.0


def _is_past(block: bytes, until: float) -> bool:
    last = parse(block[block.rfind(b"\n", 0, -1) + 1:].rstrip(b"\n"))
    return last is not None and _time_of(last) > until


def _blocks(engine: Engine, container: Container, files: LogFiles, request: Request, *,
            first: Position) -> "Iterator[tuple[int, int, bytes]]":
    """Whole records, with the number of the file and the offset in it at which they begin."""
    index, over = 0, not request.follow
    while index < first[0]:
        files.drop_oldest()
        index += 1
    if files.files:
        files.files[0].seek(first[1])
    while True:
        if files.files:
            file = files.files[0]
            offset = file.offset - len(file.rest)
            block = file.read()
            if block:
                yield index, offset, block
                continue
            if len(files.files) > 1 or over:
                if file.rest:
                    if _completed(file):
                        continue
                    yield index, offset, file.rest + b"\n"  # cut short: its writer was killed
                    file.rest = b""
                if len(files.files) > 1:
                    files.drop_oldest()
                    index += 1
                    continue
        # All has been read. A look for newer files first, then another round: what was written before it is read then.
        if request.follow and files.look_for_newer():
            continue
        if over:
            return
        over = is_over(engine, container, request)
        if not over:
            _wait_for_more(engine, container, files, request)


def _completed(file: LogFile) -> bool:
    """Whether the record at the end is just being written, and the rest of it is there now."""
    for _ in range(10):
        if file.grown():
            return True
        time.sleep(0.005)
    return False


def is_over(engine: Engine, container: Container, request: Request) -> bool:
    """Whether nothing more will come: the time is up, or the container has ended and stays so."""
    if request.until and time.time() > request.until:
        return True
    fresh = engine.containers.get(container.id)
    if fresh is None:
        return True
    status = query.status(engine, fresh)
    return not status.running and not comes_back(fresh, status)


def comes_back(container: Container, status: query.Status) -> bool:
    """Whether a container of conmon's that has ended will be started again; one that podlike-conmon tends is not over."""
    from podlike.engine.restart import wants_restart
    from podlike.engine.tending import has_policy

    state = container.state
    if state.tended or not has_policy(container.spec) or state.stopped_by_user or state.phase in ("created", "removing"):
        return False
    if time.time() - (status.finished_at or state.finished_at or time.time()) > _LONGEST_WAIT:
        return False
    # As long as its end is not recorded the policy has not been asked; "starting" is its answer. It counts the restart
    # some moments before it says so.
    return state.phase != "exited" or wants_restart(container) or time.time() - state.finished_at < _DECIDED_AFTER


def _wait_for_more(engine: Engine, container: Container, files: LogFiles, request: Request) -> None:
    """Until there is more to read, or the container has ended, or the time is up."""
    fresh = engine.containers.get(container.id)
    pid, started = query.process_of(engine, fresh) if fresh else (0, 0)
    pidfd = procs.open_pidfd(pid, started)
    if pidfd is None:
        time.sleep(_LOOK_AGAIN_MS / 1000)
        return
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        while not poller.poll(_LOOK_AGAIN_MS):
            if not files.files or files.files[-1].grown() or files.look_for_newer():
                return
            if request.until and time.time() > request.until:
                return
    finally:
        os.close(pidfd)
