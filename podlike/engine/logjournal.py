"""Reading the output of a container from the systemd journal, through journalctl.

Source: journalctl(1), systemd.journal-fields(7), systemd's "Native Journal Protocol".
"""

import json
import os
import select
import signal
import time

from podlike import procs
from podlike.engine.core import Engine
from podlike.engine.logseek import Tail
from podlike.errors import NotFoundError, PodlikeError
from podlike.runtime.hostfacts import host_uid
from podlike.spec.loglines import LogLine
from podlike.spec.logopts import extra_labels
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from podlike.engine.logs import Request

_SOCKET: "Final" = "/run/systemd/journal/socket"
_MARK: "Final" = "PODLIKE_LOGS_MARK"  # field of the entry by which a reader learns that it has read all before it
_MARK_WAIT: "Final" = 10.0  # seconds; a journal that is behind by more than this ends the reading
_LOOK_AGAIN_MS: "Final" = 200
_CHUNK: "Final" = 1 << 16
_FIELDS: "Final" = ("MESSAGE", "PRIORITY", "CONTAINER_PARTIAL_MESSAGE", _MARK)


def journal(engine: Engine, container: Container, request: "Request") -> "Iterator[LogLine]":
    """Entries of the container as lines, oldest first. Raises: NotFoundError without a journal."""
    after = ""
    if request.tail >= 0:
        lines, after = _last_lines(container, request)
        yield from lines
    if request.follow:
        yield from _follow(engine, container, request, after=after)
    elif request.tail < 0:
        for entry in _Journalctl(container, request):
            yield _line(container, entry)


def _last_lines(container: Container, request: "Request") -> "tuple[list[LogLine], str]":
    """The last lines that are asked for, oldest first, and the cursor of the newest entry."""
    tail, found, cursor = Tail(request.tail), [], ""
    reader = _Journalctl(container, request, "--reverse")
    for entry in reader:
        cursor = cursor or str(entry["__CURSOR"])
        if tail.done:
            break
        line = _line(container, entry)
        if tail.wants(line.stream, not line.partial, len(line.text)):
            found.append(line)
    reader.stop()
    return found[::-1], cursor


def _follow(engine: Engine, container: Container, request: "Request", *, after: str) -> "Iterator[LogLine]":
    """Until the container has ended and all that it wrote has come.

    The journal takes entries in the order in which they are sent. So when the container has ended we send one too, and
    when that has come back there is nothing more to wait for.
    """
    from podlike.engine.logs import is_over

    mark = os.urandom(16).hex()
    how = ["--follow", f"--after-cursor={after}"] if after else ["--follow", "--lines=0"] if request.tail >= 0 else ["--follow"]
    reader = _Journalctl(container, request, *how, "--no-tail", mark=mark)
    deadline = 0.0
    while not deadline or time.monotonic() < deadline:
        for entry in reader.ready(_LOOK_AGAIN_MS):
            if entry.get(_MARK) == mark:
                reader.stop()
                return
            if _MARK not in entry:
                yield _line(container, entry)
        if not deadline and is_over(engine, container, request):
            deadline = time.monotonic() + _MARK_WAIT
            _send_mark(container, mark)
    reader.stop()


def _send_mark(container: Container, mark: str) -> None:
    import socket

    text = f"MESSAGE=podlike logs: all of {container.name} has been read\nPRIORITY=7\nSYSLOG_IDENTIFIER=podlike\n{_MARK}={mark}\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        try:
            s.sendto(text.encode(), _SOCKET)
        except OSError:
            pass  # the journal is gone: the time limit ends the reading


class _Journalctl:
    """A running journalctl: its entries as they come. Iterating reads to its end."""

    def __init__(self, container: Container, request: "Request", *args: str, mark: str = "") -> None:
        if not os.path.exists(_SOCKET):
            raise NotFoundError(f"read logs of {container.name}: they are in the systemd journal, and there is none here",
                                hint="Start systemd-journald, or create the container with another --log-driver.")
        own = f"_UID={host_uid()}"
        match = [f"CONTAINER_ID_FULL={container.id}", own, *(["+", f"{_MARK}={mark}", own] if mark else [])]
        fields = [*_FIELDS, *container.spec.log_labels, *extra_labels(container.spec)]
        span = [f"--since=@{request.since:.6f}"] if request.since else []
        if request.until and not mark:
            span.append(f"--until=@{request.until:.6f}")
        self._until = request.until
        self._name = container.name
        self._rest = b""
        self._fd, self._pid = _spawn(["journalctl", "--output=json", "--all", "--quiet", "--no-pager",
                                      f"--output-fields={','.join(fields)}", *span, *args, *match])

    def __iter__(self) -> "Iterator[dict[str, Any]]":
        while (entries := self._read()) is not None:
            yield from entries

    def ready(self, milliseconds: int) -> "list[dict[str, Any]]":
        """What has come, after a wait for it. Raises: PodlikeError if journalctl has ended."""
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        if not poller.poll(milliseconds):
            return []
        entries = self._read()
        if entries is None:
            raise PodlikeError(f"read logs of {self._name}: journalctl has ended",
                               hint="See what `journalctl --follow` says.")
        return entries

    def stop(self) -> None:
        """Before its end; it may be called after it too."""
        if self._pid:
            os.kill(self._pid, signal.SIGTERM)
            self._reap()

    def _read(self) -> "list[dict[str, Any]] | None":
        if not self._pid:
            return None
        data = os.read(self._fd, _CHUNK)
        if not data:
            code = self._reap()
            if code:
                raise PodlikeError(f"read logs of {self._name}: journalctl ended with {code}",
                                   hint="See what `journalctl -n1` says: you may need to be in the group systemd-journal.")
            return None
        *records, self._rest = (self._rest + data).split(b"\n")
        entries = [json.loads(record) for record in records if record]
        if self._until:
            entries = [e for e in entries if int(e["__REALTIME_TIMESTAMP"]) <= self._until * 1e6 or _MARK in e]
        return entries

    def _reap(self) -> int:
        os.close(self._fd)
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return os.waitstatus_to_exitcode(status)


def _spawn(argv: list[str]) -> tuple[int, int]:
    """(its stdout, its pid). The fd is the caller's."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.posix_spawnp(argv[0], argv, os.environ, setsigdef=procs.PYTHON_SIGNALS,
                              file_actions=[(os.POSIX_SPAWN_DUP2, theirs, 1)])
    except OSError as e:
        os.close(ours)
        raise NotFoundError(f"read the systemd journal: {argv[0]}: {e.strerror}",
                            hint="Install journalctl; it comes with systemd.") from e
    finally:
        os.close(theirs)
    return ours, pid


def _line(container: Container, entry: "dict[str, Any]") -> LogLine:
    message = entry.get("MESSAGE") or ""
    # Bytes that are no text come as numbers, and a field that is there twice as a list.
    text = bytes(message) if isinstance(message, list) else str(message).encode(errors="surrogateescape")
    priority = str(entry.get("PRIORITY", "6"))
    micros = int(entry["__REALTIME_TIMESTAMP"])
    labels = {**extra_labels(container.spec), **container.spec.log_labels}
    return LogLine(_stamp(micros), "stderr" if priority <= "3" else "stdout", "CONTAINER_PARTIAL_MESSAGE" in entry, text,
                   {name: str(entry[name]) for name in labels if name in entry})


def _stamp(micros: int) -> str:
    seconds, rest = divmod(micros, 1_000_000)
    broken = time.localtime(seconds)
    zone = time.strftime("%z", broken)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', broken)}.{rest:06d}000{zone[:3]}:{zone[3:]}"
