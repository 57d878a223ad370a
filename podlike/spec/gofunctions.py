"""The functions of templates: Go's own, and those that podman and docker add.

Source: pkg.go.dev/text/template (Functions), pkg.go.dev/strings; podman's and docker's manuals (--format).
"""

from podlike.spec.gofmt import sprintf
from podlike.spec.govalues import NO_VALUE, go_string, go_type, to_json, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Function:
    """kinds: of the arguments: any, string, int, strings; None: any number of anything. variadic: the last kind is that of
    any number of arguments, none too.
    """

    __slots__ = ("kinds", "run", "variadic")

    def __init__(self, run: "Callable[..., Any]", kinds: "tuple[str, ...] | None" = None, *, variadic: bool = False) -> None:
        self.run = run
        self.kinds = kinds
        self.variadic = variadic

    def __call__(self, *values: "Any") -> "Any":
        return self.run(*values)


# --- comparing

def _eq(first: "Any", *others: "Any") -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    for value in (first, *others):
        if isinstance(value, (list, tuple, dict)):
            raise ValueError(f"non-comparable type {go_string(value)}: {go_type(value)}")
    return any(_comparable(first, o) and first == o for o in others)


def _comparable(a: "Any", b: "Any") -> bool:
    if a is None or b is None or a is NO_VALUE or b is NO_VALUE:
        return a is b or not (truth(a) or truth(b)) and {a, b} <= {None, NO_VALUE}
    if _basic(a) != _basic(b):
        raise ValueError("incompatible types for comparison")
    return True


def _basic(value: "Any") -> str:
    return "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else go_type(value)


def _lt(a: "Any", b: "Any") -> bool:
    if not isinstance(a, (str, int, float)) or not isinstance(b, (str, int, float)):
        raise ValueError("invalid type for comparison")
    _comparable(a, b)
    if isinstance(a, bool):
        raise ValueError("invalid type for comparison")
    return bool(a < b)  # type: ignore[operator]


def _le(a: "Any", b: "Any") -> bool:
    return _lt(a, b) or bool(a == b)


# --- lists, maps, texts

def _length(value: "Any") -> int:
    if value is None:
        raise ValueError("len of nil pointer")
    if not isinstance(value, (str, list, tuple, dict)):
        raise ValueError(f"len of type {go_type(value)}")
    return len(value.encode()) if isinstance(value, str) else len(value)


def _index(value: "Any", *keys: "Any") -> "Any":
    for key in keys:
        value = _item(value, key)
    return value


def _item(value: "Any", key: "Any") -> "Any":
    if value is None:
        raise ValueError("index of nil pointer")
    if value is NO_VALUE:
        raise ValueError("index of untyped nil")
    if isinstance(value, dict):
        if not isinstance(key, str):
            raise ValueError(f"value has type {go_type(key)}; should be string")
        # a missing key gives the zero value of the map's element type
        zero = "" if all(isinstance(v, str) for v in value.values()) else NO_VALUE
        found = value.get(key, zero)
        return NO_VALUE if found is None else found
    if not isinstance(value, (list, tuple, str)):
        raise ValueError(f"can't index item of type {go_type(value)}")
    items = value.encode() if isinstance(value, str) else value
    found = items[_position(key, len(items) - 1)]
    return NO_VALUE if found is None else found


def _position(key: "Any", last: int) -> int:
    if not isinstance(key, int) or isinstance(key, bool):
        raise ValueError("cannot index slice/array with nil" if key is None
                         else f"cannot index slice/array with type {go_type(key)}")
    if not 0 <= key <= last:
        raise ValueError(f"index out of range: {key}")
    return key


def _slice(value: "Any", *bounds: "Any") -> "Any":
    if value is None or value is NO_VALUE:
        raise ValueError("slice of untyped nil")
    if len(bounds) > 3:
        raise ValueError(f"too many slice indexes: {len(bounds)}")
    if isinstance(value, str) and len(bounds) == 3:
        raise ValueError("cannot 3-index slice a string")
    if not isinstance(value, (str, list, tuple)):
        raise ValueError(f"can't slice item of type {go_type(value)}")
    items = value.encode() if isinstance(value, str) else value
    at = [_position(bound, len(items)) for bound in bounds]
    for low, high in zip(at, at[1:], strict=False):
        if low > high:
            raise ValueError(f"invalid slice index: {low} > {high}")
    part = items[at[0] if at else 0:at[1] if len(at) > 1 else len(items)]
    return part.decode(errors="replace") if isinstance(part, bytes) else part


def _join(values: "Any", separator: str = "") -> str:
    if isinstance(values, dict):
        values = [f"{k}={go_string(values[k])}" for k in sorted(values)]
    return separator.join(go_string(v) for v in values or ())


def _split(text: str, separator: str) -> "list[str]":
    return text.split(separator) if separator else list(text)


def _title(text: str) -> str:
    """strings.Title: the letter that begins a word in upper case."""
    out, begins = [], True
    for ch in text:
        out.append(ch.title() if begins else ch)
        begins = not (ch.isalnum() or ch == "_") if ch.isascii() else not ch.isalnum() and ch.isspace()
    return "".join(out)


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


# --- printing

def _print(*values: "Any") -> str:
    """fmt.Sprint: a blank between two operands when neither is a string."""
    out = ""
    for i, value in enumerate(values):
        if i and not isinstance(value, str) and not isinstance(values[i - 1], str):
            out += " "
        out += go_string(value)
    return out


def _plain(values: "tuple[Any, ...]") -> str:
    """The operands of the escaping functions, where nil is a missing value."""
    return _print(*(NO_VALUE if v is None else v for v in values))


def _html(*values: "Any") -> str:
    text = _plain(values)
    for old, new in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;"), ("\0", "\ufffd")):
        text = text.replace(old, new)
    return text


_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def _js(*values: "Any") -> str:
    return "".join(_JS.get(ch) or (ch if ch.isprintable() else f"\\u{ord(ch):04X}") for ch in _plain(values))


def _urlquery(*values: "Any") -> str:
    out = []
    for byte in _plain(values).encode():
        ch = chr(byte)
        out.append(ch if ch.isalnum() and byte < 128 or ch in "-_.~" else "+" if ch == " " else f"%{byte:02X}")
    return "".join(out)


def _call(function: "Any", *values: "Any") -> "Any":
    if function is None or function is NO_VALUE:
        raise ValueError("call of nil")
    if not callable(function):
        raise ValueError(f"non-function of type {go_type(function)}")
    return function(*values)


def _logic(*values: "Any") -> "Any":
    raise AssertionError  # and, or: nodes.py stops at the first argument that decides


_ONE, _TWO = ("any",), ("any", "any")

FUNCTIONS: "dict[str, Callable[..., Any]]" = {
    "and": Function(_logic, _TWO, variadic=True),
    "call": Function(_call, _TWO, variadic=True),
    "eq": Function(_eq, _TWO, variadic=True),
    "ge": Function(lambda a, b: not _lt(a, b), _TWO),
    "gt": Function(lambda a, b: not _le(a, b), _TWO),
    "html": Function(_html, _ONE, variadic=True),
    "index": Function(_index, _TWO, variadic=True),
    "join": Function(_join, ("strings", "string")),
    "js": Function(_js, _ONE, variadic=True),
    "json": Function(to_json, _ONE),
    "le": Function(_le, _TWO),
    "len": Function(_length, _ONE),
    "lower": Function(str.lower, ("string",)),
    "lt": Function(_lt, _TWO),
    "ne": Function(lambda a, b: not _eq(a, b), _TWO),
    "not": Function(lambda v: not truth(v), _ONE),
    "or": Function(_logic, _TWO, variadic=True),
    "pad": Function(_pad, ("string", "int", "int")),
    "print": Function(_print, _ONE, variadic=True),
    "printf": Function(sprintf, ("string", "any"), variadic=True),
    "println": Function(lambda *values: " ".join(go_string(v) for v in values) + "\n", _ONE, variadic=True),
    "slice": Function(_slice, _TWO, variadic=True),
    "split": Function(_split, ("string", "string")),
    "title": Function(_title, ("string",)),
    "trim": Function(str.strip, ("string",)),
    "truncate": Function(lambda text, length: text[:length], ("string", "int")),
    "upper": Function(str.upper, ("string",)),
    "urlquery": Function(_urlquery, _ONE, variadic=True),
}
