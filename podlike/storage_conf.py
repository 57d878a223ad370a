"""storage.conf -> StorageConfig: the first file found. Source: containers-storage.conf(5)."""

import os

from podlike.toml_plain import read_toml, typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class StorageConfig:
    """What storage.conf says that has a meaning here.

    options: of [storage.options] and its tables, by their key; lists as words between commas.
    The roots belong to podman's store, which has another format: they are shown, never used as ours.
    """

    __slots__ = ("driver", "graphroot", "options", "path", "rootless_storage_path", "runroot")

    def __init__(self) -> None:
        self.driver = ""
        self.graphroot = ""
        self.runroot = ""
        self.rootless_storage_path = ""
        self.options: "dict[str, str]" = {}
        self.path = ""  # the file that was read, "" for none


def load_storage(user: str, etc: str, usr: str) -> StorageConfig:
    """The first storage.conf found. CONTAINERS_STORAGE_CONF: only this. STORAGE_DRIVER beats its driver."""
    out = StorageConfig()
    only = os.environ.get("CONTAINERS_STORAGE_CONF")
    paths = [only] if only else [f"{user}/storage.conf"] if user else []
    if not only:
        paths += [f"{etc}/storage.conf", f"{usr}/storage.conf"]
    for path in paths:
        doc = read_toml(path, must_exist=bool(only))
        if doc is None:
            continue
        out.path = path
        table = typed(doc.get("storage", {}), dict, path, "storage", "a table")
        for key in ("driver", "graphroot", "runroot", "rootless_storage_path"):
            if key in table:
                setattr(out, key, typed(table[key], str, path, f"storage.{key}", "a string"))
        options = typed(table.get("options", {}), dict, path, "storage.options", "a table")
        out.options = _storage_options(options, out.driver or "overlay")
        break
    out.driver = os.environ.get("STORAGE_DRIVER") or out.driver
    return out


def _storage_options(table: "dict[str, Any]", driver: str) -> "dict[str, str]":
    """The driver's own table over the common keys. Values that are no word are another version's business."""
    out = {key: _option_word(value) for key, value in table.items() if not isinstance(value, dict)}
    for name in (driver, "podlike"):
        own = table.get(name)
        if isinstance(own, dict):
            out |= {key: _option_word(value) for key, value in own.items()}
    return out


def _option_word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
