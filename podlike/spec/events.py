"""An event: what happened to which object and when, and the JSON line that it is kept as.

The names of types, states and members are podman's, in its order, so that whatever reads podman's log reads ours.
Source: podman-events(1), libpod/events of podman 5.8.
"""

import json
import time
from time import time_ns as _now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

# The attribute of a "log-rotation" event that marks what was kept of the old file: "begin" before it, "end" behind it.
ROTATE: "Final" = "log-rotation"
ROTATE_MARK: "Final" = "io.podman.event.rotate"


class Event:
    """type: container, image, pod, volume, network, secret, system. time: ns since 1970, 0: now.

    status: create, start, died ... exit_code: of died, exec_died, remove. image: name of a container's image.
    attributes: labels and the like; None is podman's null, for objects that have none.
    health_log: the check as a JSON object, where the container keeps its log in the events.
    """

    __slots__ = ("attributes", "error", "exit_code", "health_log", "health_status", "health_streak", "id", "image",
                 "inspect_data", "name", "network", "pod", "status", "time", "type", "zone")

    def __init__(self, type: str, status: str, *, id: str = "", name: str = "", image: str = "", network: str = "",
                 pod: str = "", exit_code: int | None = None, error: str = "", health_status: str = "",
                 health_streak: int = 0, health_log: str = "", inspect_data: str = "",
                 attributes: "dict[str, str] | None" = None, time: int = 0, zone: int | None = None) -> None:
        self.type = type
        self.status = status
        self.id = id
        self.name = name
        self.image = image
        self.network = network
        self.pod = pod
        self.exit_code = exit_code
        self.error = error
        self.health_status = health_status
        self.health_streak = health_streak
        self.health_log = health_log
        self.inspect_data = inspect_data
        self.attributes = attributes
        self.time = time or _now()
        self.zone = zone  # seconds east of Greenwich in the writer's words; None: as here


def members(event: Event) -> "dict[str, Any]":
    """Before the time, and after the type; what is empty is left out, as podman does."""
    out: "dict[str, Any]" = {}
    if event.exit_code is not None:
        out["ContainerExitCode"] = event.exit_code
    for key, value in (("ID", event.id), ("Image", event.image), ("Name", event.name), ("network", event.network)):
        if value:
            out[key] = value
    out["Status"] = event.status
    return out


def to_line(event: Event) -> str:
    """The line of the log file, without its newline."""
    out = members(event)
    out["Time"] = stamp(event.time)
    out["Type"] = event.type
    for key, value in (("health_status", event.health_status), ("health_log", event.health_log),
                       ("health_failing_streak", event.health_streak), ("error", event.error),
                       ("ContainerInspectData", event.inspect_data), ("PodID", event.pod)):
        if value:
            out[key] = value
    out["Attributes"] = event.attributes
    return json.dumps(out, separators=(",", ":"), ensure_ascii=False)


def stamp(when: int) -> str:
    """2026-01-02T03:04:05.123456789+01:00, or ...Z (Go's RFC3339Nano)."""
    seconds, nanos = divmod(when, 1_000_000_000)
    broken = time.localtime(seconds)
    digits = f"{nanos:09d}".rstrip("0")
    head = time.strftime("%Y-%m-%dT%H:%M:%S", broken) + (f".{digits}" if digits else "")
    return f"{head}{offset(broken.tm_gmtoff, ':')}" if broken.tm_gmtoff else f"{head}Z"


def offset(seconds: int, colon: str) -> str:
    """+01:00 or +0100."""
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02d}{colon}{minutes:02d}"
