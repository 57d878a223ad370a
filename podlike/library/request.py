"""Keywords of `create` and `run` as a ContainerSpec."""

import os

from podlike.errors import UsageError
from podlike.spec.container import ContainerSpec, Mount, PortMapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

_SIZES = ("memory", "memory_swap", "memory_reservation", "shm_size")
# What the engine fills in by itself.
_INNER = frozenset(("args", "command", "create_command", "gid_map", "given", "image", "image_id", "image_name",
                    "image_volumes", "layers", "log_json_is_k8s", "uid_map", "workdir_given"))


def container_spec(image: str, command: "Sequence[str]", options: "Mapping[str, Any]") -> ContainerSpec:
    """image: its name, or a directory with rootfs=True. options: fields of ContainerSpec; see Containers.create.

    Raises: UsageError.
    """
    if isinstance(command, str):
        raise UsageError(f"run {command!r}: a command is a list of words, not one text",
                         hint='Write ["sh", "-c", TEXT] for a shell, or shlex.split(TEXT).')
    spec = ContainerSpec(image=image, command=list(command))
    for name, value in options.items():
        if name == "rootfs":
            if value:
                spec.rootfs, spec.image = os.path.abspath(image), ""
        elif name == "volumes":
            spec.mounts += [_mount(v) for v in value]
        elif name in _INNER or name not in ContainerSpec.__slots__:
            _unknown(name)
        elif name == "mounts":
            spec.mounts += list(value)
        else:
            setattr(spec, name, _value(name, value))
    return spec


def _value(name: str, value: "Any") -> "Any":
    if name == "ports":
        from podlike.spec.ports import parse_publish

        return [p if isinstance(p, PortMapping) else parse_publish(str(p)) for p in value]
    if name in _SIZES and isinstance(value, str):
        from podlike.spec.sizes import parse_size

        return parse_size(value)
    if name in ("env", "labels", "annotations", "sysctls"):
        return {str(k): str(v) for k, v in _pairs(name, value)}
    if name == "entrypoint" and isinstance(value, str):
        return [value]
    if isinstance(value, str) and isinstance(getattr(_DEFAULT, name), list):
        raise UsageError(f"{name}={value!r}: it takes a list")
    return list(value) if isinstance(value, tuple) else value


_DEFAULT = ContainerSpec()


def _pairs(name: str, value: "Any") -> "Iterable[tuple[Any, Any]]":
    if hasattr(value, "items"):
        pairs: "Iterable[tuple[Any, Any]]" = value.items()
        return pairs
    if isinstance(value, str):
        raise UsageError(f"{name}={value!r}: it takes a dict, or a list of KEY=VALUE")
    return [str(text).partition("=")[::2] for text in value]


def _mount(value: "Any") -> Mount:
    if isinstance(value, Mount):
        return value
    from podlike.spec.mounts import parse_volume

    return parse_volume(os.fspath(value), cwd=os.getcwd())


def _unknown(name: str) -> None:
    import difflib

    names = [n for n in ContainerSpec.__slots__ if n not in _INNER] + ["volumes"]
    near = difflib.get_close_matches(name, names, n=1)
    raise UsageError(f"{name}: there is no such option of a container",
                     hint=f"Did you mean {near[0]}?" if near else "See help(podlike.ContainerSpec) for their names.")
