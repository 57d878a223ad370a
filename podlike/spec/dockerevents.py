"""An event in docker's words: other names for what happened, and the shape of its API (docker-events(1), API 1.50)."""

import time

from podlike.spec.events import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_ACTIONS: "Final" = {"container": {"died": "die", "remove": "destroy", "exec": "exec_start", "exec_died": "exec_die"},
                     "image": {"remove": "delete", "loadfromarchive": "load"},
                     "volume": {"remove": "destroy"}, "network": {"remove": "destroy"}}
# What docker has no word for.
_HIDDEN: "Final" = {"container": frozenset(("init", "cleanup", "sync", "mount", "unmount"))}


def action(event: Event) -> str:
    """Docker's word for it; "" for what docker does not tell."""
    if event.status in _HIDDEN.get(event.type, ()):
        return ""
    if event.status == "health_status":
        return f"health_status: {event.health_status}"
    return _ACTIONS.get(event.type, {}).get(event.status, event.status)


def _attributes(event: Event) -> "dict[str, str]":
    out = dict(event.attributes or {})
    if event.image:
        out["image"] = event.image
    name = event.network if event.type == "network" else event.name
    if name:
        out["name"] = name
    if event.type == "network" and event.status in ("connect", "disconnect"):
        out["container"] = event.id
    if event.exit_code is not None and event.status in ("died", "exec_died"):
        out["exitCode"] = str(event.exit_code)
    if event.error:
        out["error"] = event.error
    return dict(sorted(out.items()))


def _actor(event: Event) -> str:
    """Images are known by their digest, volumes by their name."""
    if event.type == "image" and event.id:
        return f"sha256:{event.id}"
    return event.id or event.name


def document(event: Event) -> "dict[str, Any]":
    """What {{json .}} shows."""
    word, out = action(event), {}  # type: str, dict[str, Any]
    if event.type in ("container", "image"):  # members that the API keeps for old clients
        out = {"status": word, "id": _actor(event)}
        if event.image:
            out["from"] = event.image
    return out | {"Type": event.type, "Action": word, "Actor": {"ID": _actor(event), "Attributes": _attributes(event)},
                  "scope": "local", "time": event.time // 1_000_000_000, "timeNano": event.time}


def fields(event: Event) -> "dict[str, Any]":
    """What a template sees."""
    doc = document(event)
    return {"Type": doc["Type"], "Action": doc["Action"], "Actor": doc["Actor"], "Scope": "local", "Time": doc["time"],
            "TimeNano": event.time, "Status": doc.get("status", ""), "ID": doc.get("id", ""), "From": doc.get("from", "")}


def human(event: Event) -> str:
    seconds, nanos = divmod(event.time, 1_000_000_000)
    broken = time.localtime(seconds)
    zone = time.strftime("%z", broken)
    words = ", ".join(f"{key}={value}" for key, value in _attributes(event).items())
    tail = f" ({words})" if words else ""
    return (f"{time.strftime('%Y-%m-%dT%H:%M:%S', broken)}.{nanos:09d}{zone[:3]}:{zone[3:]} "
            f"{event.type} {action(event)} {_actor(event)}{tail}")
