"""TOML documents whose mistakes are told with file and line.

tomllib keeps no positions. A scan of the lines finds them again, which costs nothing unless there is something to tell.
"""

import re

from podlike import log
from podlike.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*=""")
_AT = re.compile(r"(.*) \(at line (\d+), (column \d+)\)", re.DOTALL)


class Document:
    """One file. `where` below is a path in it: "registry[2].mirror[0].location"."""

    def __init__(self, path: str, manual: str, *, hint: str = "Correct the path or the file's permissions.") -> None:
        """manual: the page that hints name. hint: for a file that cannot be read. Raises: ConfigError."""
        import tomllib

        self.path = path
        self.manual = manual
        try:
            with open(path, "rb") as f:
                self.text = f.read().decode()
            self.tables: "dict[str, Any]" = tomllib.loads(self.text)
        except OSError as e:
            raise ConfigError(f"read {path}: {e.strerror}", hint=hint) from e
        except UnicodeDecodeError as e:
            raise ConfigError(f"read {path}: it is not UTF-8 ({e.reason} at byte {e.start})",
                              hint="Correct the file: it must be TOML.") from e
        except (tomllib.TOMLDecodeError, RecursionError) as e:
            match = _AT.fullmatch(str(e))
            place = f"{path}:{match.group(2)}: {match.group(1)} ({match.group(3)})" if match else f"{path}: {e}"
            raise ConfigError(f"read {place}", hint="Correct the file: it must be TOML.") from e

    def wrong(self, where: str, what: str) -> ConfigError:
        """The error for a value; what: a predicate, "must be a string"."""
        return ConfigError(f"read {self.place(where)}: {where} {what}", hint=f"Correct the file; see {self.manual}.")

    def place(self, where: str) -> str:
        """file:line"""
        line = line_of(self.text, where)
        return f"{self.path}:{line}" if line else self.path

    def string(self, table: "dict[str, Any]", key: str, where: str = "") -> str:
        """table[key], "" if it is not there; where: the table's path. Raises: ConfigError."""
        value = table.get(key, "")
        if not isinstance(value, str):
            raise self.wrong(_join(where, key), "must be a string")
        return value

    def boolean(self, table: "dict[str, Any]", key: str, where: str = "") -> bool:
        value = table.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(_join(where, key), "must be true or false")
        return value

    def strings(self, table: "dict[str, Any]", key: str, where: str = "") -> list[str]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self.wrong(_join(where, key), "must be a list of strings")
        return value

    def check_keys(self, table: "dict[str, Any]", known: "Collection[str]", where: str = "") -> None:
        """Warn of keys that mean nothing, with what may have been meant."""
        for key in table:
            if key in known:
                continue
            import difflib

            near = difflib.get_close_matches(key, known, n=1)
            log.warning(f"{self.place(_join(where, key))}: unknown key {_join(where, key)} has no effect"
                        + (f': did you mean "{near[0]}"?' if near else ""))


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def line_of(text: str, where: str) -> int:
    """The line on which a value or its table begins; 0 when it is not found."""
    spots: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.split("\n"), 1):
        header = _HEADER.match(line)
        if header:
            table = _table_path(header.group(2), header.group(1) == "[[", counts)
            spots.setdefault(table, number)
            spots.setdefault(table.partition(".")[0], number)
            continue
        key = _KEY.match(line)
        if key:
            spots.setdefault(_join(table, next(g for g in key.groups() if g is not None)), number)
    while where and where not in spots:
        where = where.rpartition(".")[0] if "." in where else ""
    return spots.get(where, 0)


def last_key(text: str, number: int) -> str:
    """The dotted key that was begun last, down to and with this line; "" when there is none."""
    counts: dict[str, int] = {}
    table = found = ""
    for line in text.split("\n")[:number]:
        header = _HEADER.match(line)
        if header:
            table = found = _table_path(header.group(2), header.group(1) == "[[", counts)
            continue
        key = _KEY.match(line)
        if key:
            found = _join(table, next(g for g in key.groups() if g is not None))
    return found


def _table_path(name: str, repeated: bool, counts: "dict[str, int]") -> str:
    """registry.mirror -> registry[1].mirror[0], by how often each header came before."""
    path = ""
    parts = [part.strip().strip("\"'") for part in name.split(".")]
    for depth, part in enumerate(parts, 1):
        path = _join(path, part)
        if repeated and depth == len(parts):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = f"{path}[{counts[path]}]"
    return path
