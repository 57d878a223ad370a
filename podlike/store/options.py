"""How the store works: driver and options of storage.conf, STORAGE_DRIVER, STORAGE_OPTS, --storage-driver, --storage-opt.

Source: containers-storage.conf(5). The command line lies over the file. A store keeps the driver that it was made with.
"""

import os

from podlike.errors import ConfigError, StoreError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final, NamedTuple

    from podlike.storage_conf import StorageConfig
else:
    from podlike.spec.record import NamedTuple

DRIVERS: "Final" = ("overlay", "vfs")
_FUSE: "Final" = "fuse-overlayfs"
# Options that are taken, without the driver's name before them.
_KNOWN: "Final" = ("additionalimagestores", "ignore_chown_errors", "imagestore", "max_layer_entries", "max_layer_size",
                   "mount_program", "mountopt", "sync")
# What other engines' options would need; said instead of being ignored when somebody asks for it on the command line.
_REFUSED: "Final" = {
    "size": "podlike sets no quota on writable layers", "inodes": "podlike sets no quota on writable layers",
    "force_mask": "podlike keeps owners and modes in the files themselves",
    "use_composefs": "podlike mounts plain directories",
}


class StoreOptions(NamedTuple):
    """driver: overlay or vfs. mount_program: instead of the kernel's overlay, or "". sync: none or filesystem.

    max_layer_size: bytes of one layer unpacked, max_layer_entries: its files; -1: podlike-layer's own limits.
    additional: roots of read-only stores, asked after our own.
    """

    driver: str = "overlay"
    mount_program: str = ""
    ignore_chown_errors: bool = False
    sync: str = "none"
    max_layer_size: int = -1
    max_layer_entries: int = -1
    additional: "tuple[str, ...]" = ()

    def unpack_arguments(self) -> "list[str]":
        """For podlike-layer unpack."""
        args = ["--ignore-chown-errors"] if self.ignore_chown_errors else []
        if self.sync == "filesystem":
            args.append("--sync")
        if self.max_layer_size >= 0:
            args += ["--max-size", str(self.max_layer_size)]
        if self.max_layer_entries >= 0:
            args += ["--max-entries", str(self.max_layer_entries)]
        return args

    def shown(self) -> "dict[str, object]":
        """graphOptions of `info`."""
        out: "dict[str, object]" = {}
        if self.mount_program:
            out[f"{self.driver}.mount_program"] = {"Executable": self.mount_program, "Package": "Unknown",
                                                   "Version": os.path.basename(self.mount_program)}
        if self.ignore_chown_errors:
            out[f"{self.driver}.ignore_chown_errors"] = "true"
        if self.additional:
            out[f"{self.driver}.imagestore"] = ",".join(self.additional)
        return out


def choose(conf: "StorageConfig", data: str, *, driver: str = "", options: "Sequence[str]" = ()) -> StoreOptions:
    """What holds for the store at data. driver, options: as typed, over the file's.

    Raises: UsageError for what was typed, ConfigError for what is in the file, StoreError.
    """
    named = driver or os.environ.get("STORAGE_DRIVER", "")
    found = {} if options and "" in options else dict(_from_file(conf))
    for word in [*_split(os.environ.get("STORAGE_OPTS", "")), *options]:
        if word:
            key, value = _typed(word)
            found[key] = value
    if named == _FUSE:
        named = "overlay"
        found.setdefault("mount_program", _find_fuse())
    if named and named not in DRIVERS:
        raise UsageError(f"use storage driver {named}: podlike knows overlay, fuse-overlayfs and vfs",
                         hint="Leave out --storage-driver and STORAGE_DRIVER, or name one of these.")
    wanted = named or (conf.driver if conf.driver in DRIVERS else "")  # drivers of another engine's store are not ours
    return _build(_driver_of(data, wanted), found)


def record_driver(data: str, driver: str) -> None:
    """Remember what a new store is made with; overlay needs no mark."""
    if driver == "overlay" or os.path.exists(f"{data}/driver"):
        return
    try:
        with open(f"{data}/driver", "w", encoding="ascii") as f:
            f.write(driver + "\n")
    except OSError as e:
        raise StoreError(f"write {data}/driver: {e.strerror}") from e


def made_with(data: str) -> str:
    """The driver of the store at data, "" if there is none yet."""
    try:
        with open(f"{data}/driver", encoding="ascii", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return "overlay" if os.path.exists(f"{data}/db.sqlite") else ""


def _driver_of(data: str, wanted: str) -> str:
    made = made_with(data)
    if made and wanted and made != wanted:
        raise StoreError(f"open store {data}: it was made with the storage driver {made}, not with {wanted}",
                         hint=f"Use --storage-driver {made} (or driver in storage.conf), or another directory with --root.")
    return made or wanted or "overlay"


def _split(text: str) -> "list[str]":
    return [word for word in text.split(",") if word]


def _typed(word: str) -> "tuple[str, str]":
    """(option without its driver, value) of DRIVER.KEY=VALUE. Raises: UsageError."""
    key, equals, value = word.partition("=")
    name = key.rpartition(".")[2].lower()
    if not equals:
        raise UsageError(f"use storage option {word}: it has no value", hint="Write DRIVER.KEY=VALUE.")
    if name in _REFUSED:
        raise UsageError(f"use storage option {key}: {_REFUSED[name]}", hint="Leave the option out.")
    if name not in _KNOWN:
        raise UsageError(f"use storage option {key}: unknown option", hint=f"Known are {', '.join(_KNOWN)}.")
    return name, value


def _from_file(conf: "StorageConfig") -> "dict[str, str]":
    return {key: value for key, value in conf.options.items() if key in _KNOWN}


def _build(driver: str, found: "dict[str, str]") -> StoreOptions:
    program = found.get("mount_program", "")
    if program and not os.access(program, os.X_OK):
        raise ConfigError(f"use mount_program {program}: no such program",
                          hint="Install fuse-overlayfs, or take mount_program out of storage.conf.")
    stores = _split(found.get("additionalimagestores", "")) + _split(found.get("imagestore", ""))
    return StoreOptions(
        driver, program if driver == "overlay" else "", _flag(found, "ignore_chown_errors"), _sync(found.get("sync", "")),
        _number(found, "max_layer_size"), _number(found, "max_layer_entries"), tuple(dict.fromkeys(stores)))


def _flag(found: "dict[str, str]", key: str) -> bool:
    value = found.get(key, "false").lower()
    if value not in ("true", "false", "1", "0", ""):
        raise ConfigError(f"use storage option {key}: {value} is neither true nor false", hint="Write true or false.")
    return value in ("true", "1")


def _sync(value: str) -> str:
    if value not in ("", "none", "filesystem"):
        raise ConfigError(f"use storage option sync: {value} is neither none nor filesystem", hint="Write none or filesystem.")
    return value or "none"


def _number(found: "dict[str, str]", key: str) -> int:
    if key not in found:
        return -1
    from podlike.errors import PodlikeError
    from podlike.spec.sizes import parse_size

    try:
        return parse_size(found[key])
    except (PodlikeError, ValueError) as e:
        raise ConfigError(f"use storage option {key}: {found[key]} is no size",
                          hint="Write a number, or one with k, m or g.") from e


def _find_fuse() -> str:
    from podlike.paths import find_program

    found = find_program(_FUSE)
    if found is None:
        raise ConfigError("use storage driver fuse-overlayfs: the program is not installed", hint="Install fuse-overlayfs.")
    return found
