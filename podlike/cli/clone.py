"""podlike container clone: a copy of a container, as it was asked for."""

from podlike.cli.command import Call, Command, Flag, between
from podlike.cli.options import CREATE_TABLE, create_flags, one_container
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

# Flags of `create` that a clone takes, too.
_LIMITS: "Final" = ("blkio-weight", "blkio-weight-device", "cpu-period", "cpu-quota", "cpu-rt-period", "cpu-rt-runtime",
                    "cpu-shares", "cpus", "cpuset-cpus", "cpuset-mems", "device-read-bps", "device-write-bps", "memory",
                    "memory-reservation", "memory-swap", "memory-swappiness")
_ROWS: "Final" = tuple(row for row in CREATE_TABLE if row[0] in (*_LIMITS, "pod", "name"))


def clone(call: Call) -> None:
    from podlike.engine.clone import clone as make

    o = call.opts
    if o.force and not o.destroy:
        raise UsageError("cannot set --force without --destroy: invalid argument")
    container = one_container(call, call.args[0].removeprefix("/"))
    name = call.args[1] if len(call.args) > 1 else o.name
    image = call.args[2] if len(call.args) > 2 else ""
    changes = _changes(call)
    if image:
        _pull(call, image)
    call.out(make(call.engine, container, name=name, image=image, changes=changes, destroy=o.destroy, force=o.force,
                  run=o.run).id)


def _pull(call: Call, image: str) -> None:
    from podlike.cli.creating import LazyProgress
    from podlike.engine.create import find_image

    progress: "Any" = LazyProgress(quiet=False)
    try:
        find_image(call.engine, image, pull_policy="missing", progress=progress)
    finally:
        progress.close()


def _changes(call: Call) -> "dict[str, Any]":
    """Fields of the spec that flags change. Raises: UsageError."""
    from podlike.cli.fillspec import fill_limits
    from podlike.cli.refused import refuse
    from podlike.spec.container import ContainerSpec

    for first in ("cpu-period", "cpu-quota"):
        if call.changed(first) and call.changed("cpus"):
            raise UsageError(f"--{first} and --cpus cannot be set together")
    spec, default = ContainerSpec(), ContainerSpec()
    for name, _, _, _, how, _ in _ROWS:
        if name != "name" and call.changed(name):
            field = how if how not in ("*", "!", "-") else name.replace("-", "_")
            if how == "!" or (name == "pod" and not hasattr(spec, field)):
                refuse(name)
            if how != "*" or name == "pod":
                setattr(spec, field, getattr(call.opts, name.replace("-", "_")))
    fill_limits(call, spec)
    fields = (f for f in ContainerSpec.__dataclass_fields__ if getattr(spec, f) != getattr(default, f))
    return {field: getattr(spec, field) for field in fields}


command = Command(
    "clone", clone, usage="CONTAINER NAME IMAGE", args=between(1, 3), summary="Clone an existing container",
    description="Creates a copy of an existing container.",
    flags=(*create_flags(_ROWS), Flag("destroy", "", "bool", "destroy the original container"),
           Flag("force", "f", "bool", "force the existing container to be destroyed"),
           Flag("run", "", "bool", "run the new container")),
    examples=("container clone container_name new_name image_name",))
