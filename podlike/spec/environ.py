"""Environment variables, labels and other KEY=VALUE lists, from arguments and files."""

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def add_variable(env: "dict[str, str]", text: str, host: "Mapping[str, str]") -> None:
    """KEY=VALUE; KEY takes the value from host, if it is set there; KEY* all whose names begin so.

    Raises: UsageError.
    """
    key, eq, value = text.partition("=")
    if not key:
        raise UsageError(f'invalid variable: "{text}"', hint="Write NAME=VALUE, or NAME to pass on your own.")
    if eq:
        env[key] = value
    elif key.endswith("*"):
        env.update((k, v) for k, v in host.items() if k.startswith(key[:-1]))
    elif key in host:
        env[key] = host[key]


def environment(variables: "Iterable[str]", files: "Iterable[str]", host: "Mapping[str, str]") -> "dict[str, str]":
    """--env and --env-file together; arguments win over files, later over earlier. Raises: UsageError."""
    env: dict[str, str] = {}
    for path in files:
        for line in _lines(path):
            add_variable(env, line, host)
    for text in variables:
        add_variable(env, text, host)
    return env


def key_values(items: "Iterable[str]", files: "Iterable[str]" = (), *, what: str = "label") -> "dict[str, str]":
    """--label and --label-file: KEY=VALUE, or KEY for an empty value. Raises: UsageError."""
    out: dict[str, str] = {}
    for text in (*(line for path in files for line in _lines(path)), *items):
        key, _, value = text.partition("=")
        if not key:
            raise UsageError(f'invalid {what} format: "{text}"', hint="Write KEY=VALUE.")
        out[key] = value
    return out


def strict_key_values(items: "Iterable[str]", message: str) -> "dict[str, str]":
    """KEY=VALUE, the equal sign required. message: of the error, {} is the bad item. Raises: UsageError."""
    out: dict[str, str] = {}
    for text in items:
        key, eq, value = text.partition("=")
        if not key or not eq:
            raise UsageError(message.format(text))
        out[key] = value
    return out


def expand(text: str, known: "Mapping[str, str]") -> str:
    """$NAME, ${NAME}, ${NAME:-INSTEAD} and ${NAME:+IF-SET} replaced by what is known; a name that is not gives nothing."""
    import re

    def value(match: "re.Match[str]") -> str:
        name, mark, word = match.group(1) or match.group(4), match.group(2), match.group(3)
        have = known.get(name, "")
        if mark == ":-":
            return have or word
        return (word if have else "") if mark == ":+" else have

    return re.sub(r"\$(?:\{(\w+)(?:(:[-+])([^}]*))?\}|(\w+))", value, text)


def _lines(path: str) -> "Iterable[str]":
    """The lines of a file without comments, empty lines and blanks in front."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as f:
            text = f.read()
    except OSError as e:
        raise UsageError(f"open {path}: {(e.strerror or '').lower()}") from None
    for line in text.split("\n"):
        line = line.lstrip(" \t\r").removesuffix("\r")
        if line and line[0] != "#":
            yield line
