"""Another name for a container."""

import re

from podlike.engine.core import Engine
from podlike.errors import ConflictError, UsageError
from podlike.store.containers import Container
from podlike.store.db import UniqueError


def rename(engine: Engine, container: Container, name: str) -> None:
    """Raises: UsageError for a bad name, ConflictError when it is taken."""
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", name):
        raise UsageError(f'rename container {container.name}: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: "{name}": '
                         "invalid argument")
    old = container.name
    container.name = container.spec.name = name
    try:
        engine.containers.save_spec(container)
    except UniqueError:
        container.name = container.spec.name = old
        raise ConflictError(f'rename container {old}: name "{name}" is in use: container already exists',
                            hint="Choose another name, or rename or remove the container that has it.") from None
