"""Giving a container another name."""

from podlike.engine import eventorders, events
from podlike.engine.core import Engine
from podlike.engine.create import check_name
from podlike.errors import ConflictError
from podlike.store.containers import Container
from podlike.store.db import UniqueError


def rename(engine: Engine, container: Container, name: str) -> None:
    """Raises: UsageError for a name that cannot be, ConflictError for one that is taken."""
    check_name(name)
    container.name = container.spec.name = name
    try:
        engine.containers.save_spec(container)
    except UniqueError:
        raise ConflictError(f'name "{name}" is in use: container already exists',
                            hint="Choose another name, or remove or rename the container that has it.") from None
    if eventorders.monitor_tells(engine, container):
        eventorders.write_for_monitor(engine, container)
    events.container(engine, container, "rename")
