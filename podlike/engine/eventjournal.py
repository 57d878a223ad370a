"""Events in the systemd journal, under podman's field names, so that its readers and filters of journalctl find them.

Source: podman-events(1), systemd's "Native Journal Protocol", journalctl(1).
"""

import json
import os
import socket

from podlike.engine.journalctl import SOCKET, Journalctl
from podlike.errors import NotFoundError
from podlike.runtime.idmap import host_uid
from podlike.spec.events import Event, stamp
from podlike.spec.eventview import human, parse_stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

# Who reads podman's events looks for this name. States that podman has not are ours alone: its reader complains of them.
_IDENTIFIERS: "Final" = ("podman", "podlike")
_OURS: "Final" = frozenset(("oom",))
_MOST: "Final" = 150_000  # bytes that a datagram always takes; more goes through a file without a name


def fields(event: Event) -> "dict[str, str]":
    """The entry, but for its time: what the monitor keeps ready too."""
    out = {"SYSLOG_IDENTIFIER": _IDENTIFIERS[event.status in _OURS], "PODMAN_EVENT": event.status, "PODMAN_TYPE": event.type}
    if event.type in ("container", "pod"):
        out |= {"PODMAN_IMAGE": event.image, "PODMAN_NAME": event.name, "PODMAN_ID": event.id}
        if event.exit_code is not None:
            out["PODMAN_EXIT_CODE"] = str(event.exit_code)
        if event.pod:
            out["PODMAN_POD_ID"] = event.pod
        if event.inspect_data:
            out["PODMAN_CONTAINER_INSPECT_DATA"] = event.inspect_data
    elif event.type == "network":
        out |= {"PODMAN_ID": event.id, "PODMAN_NETWORK_NAME": event.network}
    else:
        out |= {"PODMAN_NAME": event.name, "PODMAN_ID": event.id}
        if event.error:
            out["ERROR"] = event.error
    if event.attributes:
        out["PODMAN_LABELS"] = json.dumps(event.attributes, separators=(",", ":"), ensure_ascii=False)
    return out


def send(event: Event) -> None:
    """Raises: OSError where there is no journal."""
    entry = {"MESSAGE": human(event), "PRIORITY": "6", "PODMAN_TIME": stamp(event.time), **fields(event)}
    data = b"".join(_field(name, value.encode(errors="surrogateescape")) for name, value in entry.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        if len(data) <= _MOST:
            s.sendto(data, SOCKET)
            return
        fd = os.memfd_create("event", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(fd, data)
            socket.send_fds(s, [b""], [fd], 0, SOCKET)
        finally:
            os.close(fd)


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name.encode() + b"=" + value + b"\n"


def read(*, since: float, follow: bool, from_start: bool, over: "Callable[[], bool]") -> "Iterator[Event]":
    """The events of this user, oldest first. over: asked now and then whether to stop following.

    Raises: NotFoundError without a journal.
    """
    if not os.path.exists(SOCKET):
        raise NotFoundError("read events: they are in the systemd journal, and there is none here",
                            hint='Start systemd-journald, or set events_logger = "file" in containers.conf.')
    args = [f"_UID={host_uid()}", *(f"SYSLOG_IDENTIFIER={name}" for name in _IDENTIFIERS)]
    if since:
        args.append(f"--since=@{max(since - 1, 0):.6f}")  # the journal's own time of an entry is a little later
    if follow:
        args += ["--follow", "--no-tail" if from_start else "--lines=0"]
    reader = Journalctl("events", args)
    try:
        while True:
            entries = reader.ready(200 if follow else -1)
            if entries is None:
                return
            for entry in entries:
                event = _event(entry)
                if event is not None:
                    yield event
            if follow and over():
                return
    finally:
        reader.stop()


def _event(entry: "dict[str, Any]") -> Event | None:
    """None for an entry that is no event, such as a message of podman's service."""
    text = {key: _text(value) for key, value in entry.items() if key.startswith("PODMAN_") or key == "ERROR"}
    try:
        when, zone = parse_stamp(text["PODMAN_TIME"])
        code = text.get("PODMAN_EXIT_CODE")
        labels = json.loads(text["PODMAN_LABELS"]) if "PODMAN_LABELS" in text else None
        return Event(text["PODMAN_TYPE"], text["PODMAN_EVENT"], id=text.get("PODMAN_ID", ""),
                     name=text.get("PODMAN_NAME", ""), image=text.get("PODMAN_IMAGE", ""),
                     network=text.get("PODMAN_NETWORK_NAME", ""), pod=text.get("PODMAN_POD_ID", ""),
                     exit_code=int(code) if code else None, error=text.get("ERROR", ""),
                     health_status=text.get("PODMAN_HEALTH_STATUS", ""), health_log=text.get("PODMAN_HEALTH_LOG", ""),
                     health_streak=int(text.get("PODMAN_HEALTH_FAILING_STREAK", 0)),
                     inspect_data=text.get("PODMAN_CONTAINER_INSPECT_DATA", ""), time=when, zone=zone,
                     attributes={str(k): str(v) for k, v in labels.items()} if isinstance(labels, dict) else None)
    except (KeyError, ValueError):
        return None


def _text(value: "Any") -> str:
    """A field's text: journalctl gives bytes that are no text as numbers."""
    return bytes(value).decode(errors="replace") if isinstance(value, list) else str(value or "")


