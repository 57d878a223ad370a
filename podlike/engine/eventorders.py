"""What the monitor is told for the events that it writes itself: those that happen while no command of ours runs.

    died, restart, init, start, health_status   of a tended container
    oom                                         of a container with a memory limit
    exec, exec_died                             of a process in a running container

A file of "KEY VALUE" lines with everything that does not change, ready to be copied. docs/ARCHITECTURE.md, "Events".
"""

import json
import os

from podlike.engine import events
from podlike.engine.core import Engine
from podlike.files import replace_text
from podlike.spec.events import Event
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def path_of(bundle: str) -> str:
    """Where the monitor looks for it."""
    return f"{bundle}/events"


def write_for_monitor(engine: Engine, container: Container) -> None:
    """For a container that is about to start, or whose name or health check has changed. Raises: OSError, UsageError."""
    if not container.state.conmon and (container.state.tended or container.spec.memory):
        write(engine, container, engine.roots.bundle(container.id))


def monitor_tells(engine: Engine, container: Container) -> bool:
    """Whether the monitor has such a file."""
    return os.path.exists(path_of(engine.roots.bundle(container.id)))


def write(engine: Engine, container: Container, bundle: str, *, exec_id: str = "") -> None:
    """Write the file into the bundle of a container or exec session. Raises: OSError, UsageError."""
    where = events.backend(engine)
    if where == "none":
        return
    event = events.container_event(container, "", attributes={"execID": exec_id} if exec_id else None)
    lines = _file_lines(engine, event) if where == "file" else _journal_lines(event)
    if container.spec.health is not None:
        told = "none" if not engine.config.engine.healthcheck_events else \
            "log" if container.spec.health_log_destination == "events_logger" else "status"
        lines.insert(0, f"health {told}")
    replace_text(path_of(bundle), "\n".join(lines) + "\n")


def _file_lines(engine: Engine, event: Event) -> list[str]:
    head = {"ID": event.id, "Image": event.image, "Name": event.name}
    if not event.image:
        del head["Image"]
    path = events.log_path(engine)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    return [f"file {path}", f"name {json.dumps(path, ensure_ascii=False)}", f"max-size {events.max_size(engine)}",
            f"head {_members(head)}",
            f"tail {_members({**({'PodID': event.pod} if event.pod else {}), 'Attributes': event.attributes})}"]


def _members(doc: "Mapping[str, object]") -> str:
    return json.dumps(doc, separators=(",", ":"), ensure_ascii=False)[1:-1]


def _journal_lines(event: Event) -> list[str]:
    from podlike.engine.eventjournal import fields
    from podlike.spec.eventview import words

    constant = {name: text for name, text in fields(event).items() if name not in ("SYSLOG_IDENTIFIER", "PODMAN_EVENT")}
    return ["journal yes", f"id {event.id}", f"words {words(event)}".replace("\n", " "),
            *(f"field {name}={text}".replace("\n", " ") for name, text in constant.items())]
