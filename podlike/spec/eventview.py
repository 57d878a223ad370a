"""Events as they are read and shown: out of a line of the log, for people, for templates, as JSON."""

import json
import time

from podlike.spec.events import Event, members, offset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def go_stamp(event: Event) -> str:
    """2026-01-02 03:04:05.123456789 +0100 CET (time.Time's String)."""
    seconds, nanos = divmod(event.time, 1_000_000_000)
    local = time.localtime(seconds)
    here = event.zone is None or event.zone == local.tm_gmtoff
    broken = local if here else time.gmtime(seconds + (event.zone or 0))
    east = (local.tm_gmtoff or 0) if here else event.zone or 0
    digits = f"{nanos:09d}".rstrip("0")
    text = time.strftime("%Y-%m-%d %H:%M:%S", broken) + (f".{digits}" if digits else "")
    number = offset(east, "")
    return f"{text} {number} {local.tm_zone if here else 'UTC' if not east else number}"


def parse_stamp(text: str) -> tuple[int, int]:
    """(ns since 1970, seconds east of Greenwich) of an RFC 3339 time. Raises: ValueError."""
    import calendar

    date, rest = text[:19], text[19:]
    broken = time.strptime(date, "%Y-%m-%dT%H:%M:%S")
    nanos = 0
    if rest[:1] == ".":
        digits = rest[1:].rstrip("Z").partition("+")[0].partition("-")[0]
        nanos = int(digits[:9].ljust(9, "0"))
        rest = rest[1 + len(digits):]
    east = 0
    if rest != "Z":
        if len(rest) != 6 or rest[0] not in "+-" or rest[3] != ":":
            raise ValueError(f"{text}: no zone")
        east = (int(rest[1:3]) * 60 + int(rest[4:])) * (-60 if rest[0] == "-" else 60)
    return (calendar.timegm(broken) - east) * 1_000_000_000 + nanos, east


def parse_line(line: "str | bytes") -> Event:
    """The event of a line of the log. Raises: ValueError for what is none."""
    doc = json.loads(line)
    if not isinstance(doc, dict) or not doc.get("Type") or not doc.get("Status"):
        raise ValueError("not an event")
    when, zone = parse_stamp(str(doc.get("Time", "")))
    code, attributes = doc.get("ContainerExitCode"), doc.get("Attributes")
    text = {key: str(doc.get(key) or "") for key in ("ID", "Name", "Image", "network", "PodID", "error", "health_status",
                                                     "health_log", "ContainerInspectData")}
    return Event(str(doc["Type"]), str(doc["Status"]), id=text["ID"], name=text["Name"], image=text["Image"],
                 network=text["network"], pod=text["PodID"], exit_code=code if isinstance(code, int) else None,
                 error=text["error"], health_status=text["health_status"], health_log=text["health_log"],
                 health_streak=int(doc.get("health_failing_streak") or 0), inspect_data=text["ContainerInspectData"],
                 attributes={str(k): str(v) for k, v in attributes.items()} if isinstance(attributes, dict) else None,
                 time=when, zone=zone)


def document(event: Event) -> "dict[str, Any]":
    """What --format json shows."""
    out = members(event)
    out["time"], out["timeNano"], out["Type"] = event.time // 1_000_000_000, event.time, event.type
    for key, value in (("health_status", event.health_status), ("Error", event.error),
                       ("ContainerInspectData", event.inspect_data), ("PodID", event.pod)):
        if value:
            out[key] = value
    out["Attributes"] = event.attributes
    return out


def fields(event: Event) -> "dict[str, Any]":
    """What a template sees."""
    return {"ContainerExitCode": event.exit_code, "ID": event.id, "Image": event.image, "Name": event.name,
            "Network": event.network, "Status": event.status, "Time": event.time // 1_000_000_000, "TimeNano": event.time,
            "Type": event.type, "HealthStatus": event.health_status, "Error": event.error,
            "ContainerInspectData": event.inspect_data, "PodID": event.pod, "Attributes": event.attributes or {}}


def human(event: Event, *, truncate: bool = False) -> str:
    """podman's line for people."""
    shown = event.id[:12] if truncate else event.id
    head = f"{go_stamp(event)} {event.type} {event.status}"
    attributes = event.attributes or {}
    if event.type in ("container", "pod"):
        return f"{head} {shown} ({words(event)})"
    if event.type == "network":
        if event.status in ("create", "remove"):
            return f"{head} {event.id} (name={event.network}, type={attributes.get('driver', '')})"
        return f"{head} {shown} (container={shown}, name={event.network})"
    if event.type == "image":
        return f"{head} {shown} {event.name}" + (f" {event.error}" if event.error else "")
    if event.type == "secret":
        return f"{head} {shown}"
    return f"{head} {event.name}" if event.name else head


def words(event: Event) -> str:
    """What stands in the parentheses behind a container or pod."""
    out = f"image={event.image}, name={event.name}"
    if event.pod:
        out += f", pod_id={event.pod}"
    if event.status == "health_status":
        out += (f", health_status={event.health_status}, health_failing_streak={event.health_streak}"
                f", health_log={event.health_log}")
    return out + "".join(f", {key}={value}" for key, value in (event.attributes or {}).items())
