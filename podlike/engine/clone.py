"""`container clone`: another container that is asked to be what one is, with some limits or another image changed."""

import json

from podlike.engine import query
from podlike.engine.core import Engine
from podlike.engine.create import create
from podlike.errors import NotFoundError, PodlikeError
from podlike.spec.container import ContainerSpec
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def clone(engine: Engine, container: Container, *, name: str = "", image: str = "", changes: "Mapping[str, Any]",
          destroy: bool = False, force: bool = False, run: bool = False) -> Container:
    """Make it; what it shares with the original are volumes and bind mounts, not files of its own.

    name: "": the original's with -clone. image: another one, already here; "": the original's. changes: fields of the spec.
    destroy: remove the original then; force: even if it runs. run: start the new one.
    Raises: what create, remove and start raise; the new container stays if only one of the latter two fails.
    """
    if destroy and not force and query.status(engine, container).running:
        from podlike.engine.remove import remove

        remove(engine, container)  # says why not, before anything is made
    spec = copied(container.spec, changes)
    spec.name = name or free_name(engine, container.name)
    made = make_copy(engine, container, spec, image=image)
    if destroy:
        from podlike.engine.remove import remove

        remove(engine, container, force=force)
    if run:
        from podlike.engine.start import start

        start(engine, made)
    return made


def make_copy(engine: Engine, container: Container, spec: ContainerSpec, *, image: str = "") -> Container:
    """Create what the spec asks for, with the original's image unless another one is named. Raises: as create."""
    spec.image = "" if spec.rootfs else image or _own_image(engine, container)
    made = create(engine, spec, pull_policy="never")
    if container.spec.workdir_given != made.spec.workdir_given:  # it was the image's own: made where it is missing
        made.spec.workdir_given = container.spec.workdir_given
        engine.containers.save_spec(made)
    return made


def copied(old: ContainerSpec, changes: "Mapping[str, Any]") -> ContainerSpec:
    """A spec to create a copy with, some fields changed."""
    spec = ContainerSpec.from_dict(json.loads(json.dumps(old.to_dict())))
    # Files that tell of the original go on doing so.
    spec.cidfile = spec.pidfile = spec.conmon_pidfile = ""
    spec.volumes_from = []  # what came from others is among the mounts by now
    if "cpus" in changes:
        spec.cpu_period = spec.cpu_quota = 0
    elif "cpu_period" in changes or "cpu_quota" in changes:
        spec.cpus = 0.0
    for field, value in changes.items():
        setattr(spec, field, value)
    return spec


def _own_image(engine: Engine, container: Container) -> str:
    """Its image by the name that was typed, if that still is this image, else by id."""
    from podlike.engine.images import resolve

    for typed in (container.spec.image, container.spec.image_name):
        try:
            if typed and resolve(engine, typed).id == container.spec.image_id:
                return typed
        except PodlikeError:
            continue
    return container.spec.image_id


def free_name(engine: Engine, name: str) -> str:
    """NAME-clone, then NAME-clone1, NAME-clone2 and so on: the first that is free."""
    base, mark, number = name.rpartition("-clone")
    if not mark or (number and not number.isdigit()):
        base, number = name, ""
    found = f"{base}-clone"
    count = int(number or 0)
    while _taken(engine, found):
        count += 1
        found = f"{base}-clone{count}"
    return found


def _taken(engine: Engine, name: str) -> bool:
    if name in engine.pods.names().values():
        return True
    try:
        return query.find(engine, name).name == name
    except NotFoundError:
        return False
    except PodlikeError:
        return True
