"""Reading the output of a container from the systemd journal, through journalctl.

Source: journalctl(1), systemd.journal-fields(7), systemd's "Native Journal Protocol".
"""

import os
import time

from podlike.engine.core import Engine
from podlike.engine.journalctl import SOCKET, Journalctl
from podlike.engine.logseek import Tail
from podlike.errors import NotFoundError
from podlike.runtime.idmap import host_uid
from podlike.spec.loglines import LogLine
from podlike.spec.logopts import extra_labels, passthrough_unit
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from podlike.engine.logs import Request

_MARK: "Final" = "PODLIKE_LOGS_MARK"  # field of the entry by which a reader learns that it has read all before it
_MARK_WAIT: "Final" = 10.0  # seconds; a journal that is behind by more than this ends the reading
_LOOK_AGAIN_MS: "Final" = 200
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
        for entry in _reader(container, request):
            if _in_time(request, entry):
                yield _line(container, entry)


def _last_lines(container: Container, request: "Request") -> "tuple[list[LogLine], str]":
    """The last lines that are asked for, oldest first, and the cursor of the newest entry."""
    tail, found, cursor = Tail(request.tail), [], ""
    reader = _reader(container, request, "--reverse")
    for entry in reader:
        cursor = cursor or str(entry["__CURSOR"])
        if tail.done:
            break
        if not _in_time(request, entry):
            continue
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
    reader = _reader(container, request, *how, "--no-tail", mark=mark)
    deadline = 0.0
    while not deadline or time.monotonic() < deadline:
        entries = reader.ready(_LOOK_AGAIN_MS)
        if entries is None:
            raise reader.ended()
        for entry in entries:
            if entry.get(_MARK) == mark:
                reader.stop()
                return
            if _MARK not in entry and _in_time(request, entry):
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
            s.sendto(text.encode(), SOCKET)
        except OSError:
            pass  # the journal is gone: the time limit ends the reading


def _reader(container: Container, request: "Request", *args: str, mark: str = "") -> Journalctl:
    """journalctl on the entries of a container. mark: also on the entry that carries it."""
    if not os.path.exists(SOCKET):
        raise NotFoundError(f"read logs of {container.name}: they are in the systemd journal, and there is none here",
                            hint="Start systemd-journald, or create the container with another --log-driver.")
    match = matches(container, host_uid(), mark=mark)
    fields = [*_FIELDS, *container.spec.log_labels, *extra_labels(container.spec)]
    # A unit may have had other containers before.
    since = max(request.since, container.created) if passthrough_unit(container.spec) else request.since
    span = [f"--since=@{since:.6f}"] if since else []
    if request.until and not mark:
        span.append(f"--until=@{request.until:.6f}")
    return Journalctl(f"logs of {container.name}", [f"--output-fields={','.join(fields)}", *span, *args, *match])


def matches(container: Container, uid: int, *, mark: str = "") -> list[str]:
    """journalctl's words for the entries of a container of this user, and for the one that carries the mark.

    The output of a passthrough container is that of its unit. The journal goes by the cgroup of who writes: it is the unit's
    (--cgroups=split) or a scope of the container's own.
    """
    own = f"_UID={uid}"
    unit = passthrough_unit(container.spec)
    if unit:
        owner = own if uid == 0 else f"_SYSTEMD_OWNER_UID={uid}"  # a process of the container's may have any uid
        field = "_SYSTEMD_UNIT" if uid == 0 else "_SYSTEMD_USER_UNIT"
        words = [f"{field}={unit}", f"{field}=libpod-{container.id}.scope", owner, "_TRANSPORT=stdout"]
        if uid:
            words += ["+", f"_SYSTEMD_UNIT={unit}", own, "_TRANSPORT=stdout"]  # a unit of the system's, with User=
    else:
        words = [f"CONTAINER_ID_FULL={container.id}", own]
    return [*words, *(["+", f"{_MARK}={mark}", own] if mark else [])]


def _in_time(request: "Request", entry: "dict[str, Any]") -> bool:
    return not request.until or int(entry["__REALTIME_TIMESTAMP"]) <= request.until * 1e6


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
