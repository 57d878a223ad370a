"""The events log: what podlike did to containers, images, volumes, networks and pods, for `events` and for podman's readers.

    container(engine, container, "start")
    image(engine, "pull", id=image.id, name=typed)
    emit(engine, Event("volume", "create", name=name))

Where it goes is containers.conf's events_logger: a file (eventfile.py), the systemd journal (eventjournal.py), or none.
A log that cannot be written is a warning, never a failure of what the event tells of. The monitor writes those events that
happen while no command runs: engine/eventorders.py.
"""

from podlike import log
from podlike.engine.core import Engine
from podlike.errors import PodlikeError, UsageError
from podlike.spec.events import Event
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

BACKENDS: "Final" = ("file", "journald", "none")


def backend(engine: Engine) -> str:
    """file, journald or none. Raises: UsageError for another name in containers.conf."""
    name = engine.events or engine.config.engine.events_logger
    if name not in BACKENDS:
        raise UsageError(f'use events_logger = "{name}" of containers.conf: unknown event logger type',
                         hint=f"Use one of {', '.join(BACKENDS)}.")
    return name


def log_path(engine: Engine) -> str:
    return engine.config.engine.events_logfile_path or f"{engine.roots.run}/events/events.log"


def max_size(engine: Engine) -> int:
    """Bytes that the file may grow to; 0: no limit. Raises: UsageError."""
    text = engine.config.engine.events_logfile_max_size
    if text.isdigit():
        return int(text)
    from podlike.spec.sizes import parse_decimal_size

    return 1_000_000 if text in ("1m", "") else parse_decimal_size(text)


def emit(engine: Engine, *events: Event) -> None:
    """Write events that happened just now, in this order and together."""
    try:
        where = backend(engine)
        if where == "file":
            from podlike.engine.eventfile import append

            append(log_path(engine), events, limit=max_size(engine))
        elif where == "journald":
            from podlike.engine.eventjournal import send

            for event in events:
                send(event)
    except (OSError, PodlikeError) as e:
        log.warning(f"Unable to write {events[0].type} event: {e}")


def container(engine: Engine, container: Container, status: str, *, exit_code: int | None = None) -> None:
    """Tell of a container; with exit_code how it, or a process in it, ended."""
    emit(engine, container_event(container, status, exit_code=exit_code))


def container_event(container: Container, status: str, *, exit_code: int | None = None, inspect_data: str = "",
                    attributes: "dict[str, str] | None" = None) -> Event:
    spec = container.spec
    return Event("container", status, id=container.id, name=container.name, image=spec.image_name, exit_code=exit_code,
                 pod=spec.pod, inspect_data=inspect_data, attributes={**spec.labels, **(attributes or {})})


def image(engine: Engine, status: str, *, id: str = "", name: str = "", error: str = "") -> None:
    """Tell of an image. name: as the user typed it, or the file or place that it went to or came from."""
    emit(engine, Event("image", status, id=id, name=name, error=error))


def created(engine: Engine, container: Container) -> Event:
    """The event of a new container, with the whole of its inspection where containers.conf asks for it."""
    if not engine.config.engine.events_container_create_inspect_data:
        return container_event(container, "create")
    from podlike.engine.inspect import inspect_container
    from podlike.spec.govalues import to_json

    return container_event(container, "create", inspect_data=to_json(inspect_container(engine, container, size=True)))
