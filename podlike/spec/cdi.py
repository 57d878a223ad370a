"""Devices by name: the Container Device Interface. Values and parsers; engine/cdi.py reads the files.

Source: the CDI specification 1.0, SPEC.md: a file describes devices of one kind (vendor/class) and what a container needs to
use each of them.
"""

import re

from podlike.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

_NAME: "Final" = r"[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
_QUALIFIED: "Final" = re.compile(rf"({_NAME})/({_NAME})=([A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?)")
HOOKS: "Final" = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


class Edits(NamedTuple):
    """What a container gets. nodes, mounts, hooks: as in the file, checked."""

    env: "list[str]"
    nodes: "list[dict[str, Any]]"
    mounts: "list[dict[str, Any]]"
    hooks: "list[dict[str, Any]]"
    gids: "list[int]"


class Kind(NamedTuple):
    """One file: its kind, its devices by name, and what each of them needs besides."""

    kind: str
    devices: "dict[str, Edits]"
    common: Edits


def is_qualified(text: str) -> bool:
    """Whether a --device names one: vendor.com/class=name."""
    return text[:1] != "/" and _QUALIFIED.fullmatch(text) is not None


def parse(doc: object, source: str) -> Kind:
    """A file's document. Raises: ConfigError that names the place in it."""
    table = _table(doc, source, "the file")
    kind = _text(table, "kind", source, "kind")
    if not re.fullmatch(f"{_NAME}/{_NAME}", kind):
        raise _wrong(source, "kind", "VENDOR/CLASS")
    _text(table, "cdiVersion", source, "cdiVersion")
    devices: "dict[str, Edits]" = {}
    for i, item in enumerate(_items(table, "devices", source, "devices")):
        place = f"devices[{i}]"
        device = _table(item, source, place)
        name = _text(device, "name", source, f"{place}.name")
        if not is_qualified(f"{kind}={name}"):
            raise _wrong(source, f"{place}.name", "made of letters, digits and _-.:")
        if name in devices:
            raise _wrong(source, f"{place}.name", f"unlike the others: {name} is there twice, but must be")
        devices[name] = _edits(device.get("containerEdits"), source, f"{place}.containerEdits")
    return Kind(kind, devices, _edits(table.get("containerEdits"), source, "containerEdits"))


def _edits(value: object, source: str, place: str) -> Edits:
    if value is None:
        return Edits([], [], [], [], [])
    table = _table(value, source, place)
    for key in ("intelRdt", "netDevices"):
        if table.get(key):
            raise ConfigError(f"read {source}: {place}.{key}: the OCI runtime has nothing of that kind",
                              hint="Use another device.")
    nodes, mounts, hooks = ([_table(v, source, f"{place}.{key}[{i}]") for i, v in enumerate(_items(table, key, source,
                                                                                                  f"{place}.{key}"))]
                            for key in ("deviceNodes", "mounts", "hooks"))
    for i, node in enumerate(nodes):
        _absolute(node, "path", source, f"{place}.deviceNodes[{i}]")
    for i, mount in enumerate(mounts):
        _absolute(mount, "hostPath", source, f"{place}.mounts[{i}]")
        _absolute(mount, "containerPath", source, f"{place}.mounts[{i}]")
    for i, hook in enumerate(hooks):
        _absolute(hook, "path", source, f"{place}.hooks[{i}]")
        if hook.get("hookName") not in HOOKS:
            raise _wrong(source, f"{place}.hooks[{i}].hookName", f"one of {', '.join(HOOKS)}")
    env = _items(table, "env", source, f"{place}.env")
    for i, text in enumerate(env):
        if not isinstance(text, str) or "=" not in text[1:]:
            raise _wrong(source, f"{place}.env[{i}]", "NAME=VALUE")
    gids = _items(table, "additionalGids", source, f"{place}.additionalGids")
    for i, gid in enumerate(gids):
        if type(gid) is not int or gid < 0:
            raise _wrong(source, f"{place}.additionalGids[{i}]", "a group number")
    return Edits(env, nodes, mounts, hooks, gids)


def _absolute(table: "dict[str, Any]", key: str, source: str, place: str) -> None:
    if not _text(table, key, source, f"{place}.{key}").startswith("/"):
        raise _wrong(source, f"{place}.{key}", "an absolute path")


def _table(value: object, source: str, place: str) -> "dict[str, Any]":
    if not isinstance(value, dict):
        raise _wrong(source, place, "an object")
    return value


def _items(table: "dict[str, Any]", key: str, source: str, place: str) -> "list[Any]":
    value = table.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(source, place, "a list")
    return value


def _text(table: "dict[str, Any]", key: str, source: str, place: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise _wrong(source, place, "a string")
    return value


def _wrong(source: str, place: str, what: str) -> ConfigError:
    return ConfigError(f"read {source}: {place} must be {what}", hint="Correct the file, or make it anew with its vendor's tool.")
