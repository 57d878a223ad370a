"""TOML files, read without tomllib (2.4 ms) where they are as plain as those that distributions ship."""

from podlike.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read_toml(path: str, *, must_exist: bool = False) -> "dict[str, Any] | None":
    """A TOML file as dicts; None if it does not exist. Raises: ConfigError."""
    try:
        with open(path, "rb", buffering=0) as f:
            raw = f.read()
    except FileNotFoundError:
        if not must_exist:
            return None
        raise ConfigError(f"read {path}: no such file",
                          hint="Correct CONTAINERS_CONF or CONTAINERS_CONF_OVERRIDE, or unset it.") from None
    except OSError as e:
        raise ConfigError(f"read {path}: {e.strerror}", hint="Check the permissions of this file.") from e
    try:
        text = raw.decode()
    except UnicodeDecodeError as e:
        raise ConfigError(f"read {path}: byte {e.start} is not UTF-8",
                          hint="Save the file in UTF-8, which TOML demands.") from e
    doc = plain_toml(text)
    if doc is None:
        import tomllib

        try:
            doc = tomllib.loads(text)
        except tomllib.TOMLDecodeError as e:
            error = ConfigError(f"read {path}: {e}", hint="Correct the file; it must be TOML.")
            error.detail = _place(text, str(e))
            raise error from e
    return doc


def _place(text: str, words: str) -> str:
    """A mistake in the words that podman has for it, where tomllib names its place: line, last key, what stands there."""
    before, at, place = words.rpartition(" (at line ")
    numbers = place.rstrip(")").split(", column ")
    if not at or len(numbers) != 2 or not all(n.isdigit() for n in numbers):
        return f"toml: {words}"
    from podlike.toml_places import last_key

    line, column = int(numbers[0]), int(numbers[1])
    key = last_key(text, line)
    where = f'toml: line {line}' + (f' (last key "{key}")' if key else "")
    if before != "Invalid value":
        return f"{where}: {before[:1].lower()}{before[1:]}"
    rest = text.split("\n")[line - 1][column - 1:]
    found = repr(rest[0]) if rest else "'\\n'"
    return f"{where}: expected value but found {found} instead"


def wrong(source: str, dotted: str, what: str, value: object) -> ConfigError:
    shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return ConfigError(f"read {source}: {dotted} must be {what}, not {shown}",
                       hint="Correct the value; containers.conf(5) lists every key and its type.")


def typed(value: "Any", kind: type, source: str, dotted: str, what: str) -> "Any":
    if not isinstance(value, kind):
        raise wrong(source, dotted, what, value)
    return value


_BARE_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
# A string with one of these is no string of the plain subset.
_NOT_PLAIN = frozenset(chr(c) for c in range(32) if c != 9) | frozenset(('"', "\\", "\x7f"))


def plain_toml(text: str) -> "dict[str, Any] | None":
    """Parse the part of TOML that shipped files use; None: it needs the whole language, ask tomllib.

    The part: comments, [bare.headers], bare keys, "strings without escapes", whole numbers, booleans, and
    arrays of such strings over any number of lines. Whatever is read here, tomllib reads alike, which the
    tests check; whatever is wrong or repeated is left to tomllib, for its errors.
    """
    doc: "dict[str, Any]" = {}
    table = doc
    headers: set[str] = set()
    array: list[str] | None = None  # the one that is open
    state = _ITEM
    strings: list[str]
    # split("\n"), not splitlines(): TOML knows no other line ends than LF and CRLF.
    for line in text.split("\n"):
        if not line or line[0] == "#":
            continue
        line = line.strip(" \t\r")
        if not line or line[0] == "#":
            continue
        if array is not None:
            state = _plain_array(line, array, state)
            if state == _NOT_OURS:
                return None
            if state == _ENDED:
                array = None
            continue
        if line[0] == "[":
            header = line[1:-1]
            if line[-1] != "]" or header in headers:
                return None
            headers.add(header)
            table = doc
            for part in header.split("."):
                if not part or not _BARE_KEY.issuperset(part):
                    return None
                table = table.setdefault(part, {})
                if not isinstance(table, dict):
                    return None
            continue
        key, equals, value = line.partition("=")
        key = key.rstrip(" \t")
        value = value.lstrip(" \t")
        if not equals or not key or key in table or not _BARE_KEY.issuperset(key) or not value:
            return None
        if value[0] == "[":
            table[key] = strings = []
            state = _plain_array(value[1:], strings, _ITEM)
            if state == _NOT_OURS:
                return None
            if state != _ENDED:
                array = strings
            continue
        scalar = _plain_scalar(value)
        if scalar is None:
            return None
        table[key] = scalar
    return doc if array is None else None


def _plain_scalar(value: str) -> "str | int | bool | None":
    if value[0] == '"':
        body, quote, rest = value[1:].partition('"')
        rest = rest.lstrip(" \t")
        return body if quote and not (rest and rest[0] != "#") and _NOT_PLAIN.isdisjoint(body) else None
    value = value.partition("#")[0].rstrip(" \t")
    if value in ("true", "false"):
        return value == "true"
    # No leading zeros, signs or underscores here: those have rules of their own.
    if value.isascii() and value.isdigit() and (value[0] != "0" or value == "0") and len(value) < 19:
        return int(value)
    return None


# What may come next in an array that is open: a string or the end, only the end. Or: it has ended, not plain.
_ITEM, _END, _ENDED, _NOT_OURS = range(4)


def _plain_array(line: str, into: list[str], state: int) -> int:
    """Append the strings of one line of an array; return the state after it."""
    line = line.lstrip(" \t")
    while line and line[0] != "#":
        if line[0] == "]":
            rest = line[1:].lstrip(" \t")
            return _ENDED if not rest or rest[0] == "#" else _NOT_OURS
        if line[0] != '"' or state == _END:
            return _NOT_OURS
        body, quote, line = line[1:].partition('"')
        if not quote or not _NOT_PLAIN.isdisjoint(body):
            return _NOT_OURS
        into.append(body)
        line = line.lstrip(" \t")
        if line and line[0] == ",":
            line = line[1:].lstrip(" \t")
        else:
            state = _END
    return state
