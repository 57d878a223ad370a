"""Values as Go's templates see them, how Go prints them, and the functions of podman's and docker's templates.

Source: pkg.go.dev/text/template, pkg.go.dev/fmt.
"""

import re

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class TemplateError(UsageError):
    """The template cannot be parsed, or does not fit the data."""


class Struct(dict):  # type: ignore[type-arg]
    """A dict whose keys are fixed: asking for another field is an error, as for a Go struct."""


class Nanoseconds(int):
    """A time.Duration: a number in JSON, "1m30s" as text."""

    __slots__ = ()


class View:
    """A row of a table: fields by name, computed when used if callable.

    doc: what {{json .}} shows, or a function that makes it.
    """

    __slots__ = ("fields", "_doc")

    def __init__(self, fields: "dict[str, Any]", doc: "Any" = None) -> None:
        self.fields = fields
        self._doc = doc

    @property
    def doc(self) -> "Any":
        if callable(self._doc):
            self._doc = self._doc()
        return self._doc


class _NoValue:
    """A missing map entry."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "<no value>"


NO_VALUE = _NoValue()

# --- printing -------------------------------------------------------------------------------------------------

def go_string(value: "Any") -> str:
    """What fmt's %v writes."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, float):
        return _go_float(value)
    if isinstance(value, Nanoseconds):
        from podlike.spec.durations import format_duration

        return format_duration(value / 1e9)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(go_string(v) for v in value) + "]"
    if isinstance(value, Struct):
        return "{" + " ".join(go_string(v) for v in value.values()) + "}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{go_string(k)}:{go_string(value[k])}"
                                 for k in sorted(value, key=str)) + "]"
    if isinstance(value, View):
        return go_string(Struct(value.doc) if isinstance(value.doc, dict) else value.doc)
    if callable(value):
        return go_string(value())
    return str(value)


def _go_float(value: float) -> str:
    """%v of a float64: shortest form, an exponent below 1e-4 and from 1e21 on."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(repr(value), "NaN")
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e21:
        text = repr(value)
        if "e" in text:
            from decimal import Decimal

            text = format(Decimal(text), "f")
        return text[:-2] if text.endswith(".0") else text
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa}e{int(exponent):+03d}"


def to_json(value: "Any") -> str:
    """The value as JSON in one line, as Go's encoder writes it (no blanks, HTML not escaped)."""
    import json

    return json.dumps(value, default=json_default, separators=(",", ":"), ensure_ascii=False)


def json_default(value: "Any") -> "Any":
    if isinstance(value, View):
        return value.doc
    if isinstance(value, _NoValue):
        return None
    if callable(value):
        return value()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def truth(value: "Any") -> bool:
    """Whether `if` takes the value for true: false, 0, nil, and what is empty are not."""
    if isinstance(value, (Struct, View)):
        return True
    return bool(value)


def go_type(value: "Any") -> str:
    if value is None:
        return "<nil>"
    return {bool: "bool", int: "int", float: "float64", str: "string", list: "[]interface {}",
            dict: "map[string]interface {}"}.get(type(value), "interface {}")


# --- functions ------------------------------------------------------------------------------------------------

def _eq(first: "Any", *others: "Any") -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    return any(_comparable(first, o) and first == o for o in others)


def _comparable(a: "Any", b: "Any") -> bool:
    if a is None or b is None or a is NO_VALUE or b is NO_VALUE:
        return a is b
    numbers = (int, float)
    if isinstance(a, bool) != isinstance(b, bool) or isinstance(a, str) != isinstance(b, str):
        raise ValueError("incompatible types for comparison")
    if isinstance(a, numbers) != isinstance(b, numbers):
        raise ValueError("incompatible types for comparison")
    return True


def _lt(a: "Any", b: "Any") -> bool:
    if not isinstance(a, (str, int, float)) or isinstance(a, bool) or not _comparable(a, b):
        raise ValueError("invalid type for comparison")
    return bool(a < b)


def _le(a: "Any", b: "Any") -> bool:
    return a == b or _lt(a, b)


def _length(value: "Any") -> int:
    if not isinstance(value, (str, list, tuple, dict)):
        raise ValueError(f"len of type {go_type(value)}" if value is not None else "len of nil pointer")
    return len(value.encode()) if isinstance(value, str) else len(value)


def _index(value: "Any", *keys: "Any") -> "Any":
    for key in keys:
        if isinstance(value, dict):
            # a missing key gives the zero value of the map's element type
            zero = "" if all(isinstance(v, str) for v in value.values()) else NO_VALUE
            value = value.get(key, zero)
        elif isinstance(value, (list, tuple, str)):
            if not isinstance(key, int):
                raise ValueError(f"cannot index slice/array with type {go_type(key)}")
            if not 0 <= key < len(value):
                raise ValueError(f"index out of range: {key}")
            value = value.encode()[key] if isinstance(value, str) else value[key]
        elif value is None or value is NO_VALUE:
            raise ValueError("index of untyped nil")
        else:
            raise ValueError(f"can't index item of type {go_type(value)}")
    return value


def _slice(value: "Any", *bounds: int) -> "Any":
    if not isinstance(value, (str, list, tuple)):
        raise ValueError(f"can't slice item of type {go_type(value)}")
    low = bounds[0] if bounds else 0
    high = bounds[1] if len(bounds) > 1 else len(value)
    if not 0 <= low <= len(value) or not low <= high <= len(value):
        raise ValueError(f"index out of range: {high}")
    return value[low:high]


def _print_values(*values: "Any") -> str:
    """fmt.Sprint: a blank between two operands when neither is a string."""
    out = ""
    for i, value in enumerate(values):
        if i and not isinstance(value, str) and not isinstance(values[i - 1], str):
            out += " "
        out += go_string(value)
    return out


_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\d+|\*)?(?:\.(?P<precision>\d+))?(?P<verb>.)", re.S)


def _printf(template: str, *values: "Any") -> str:
    rest = list(values)

    def one(m: "re.Match[str]") -> str:
        verb = m.group("verb")
        if verb == "%":
            return "%"
        width = m.group("width")
        if width == "*":
            width = str(rest.pop(0)) if rest else ""
        if not rest:
            return f"%!{verb}(MISSING)"
        text = _format_verb(verb, rest.pop(0), m.group("flags"), m.group("precision"))
        if not width or len(text) >= int(width):
            return text
        if "-" in m.group("flags"):
            return text.ljust(int(width))
        return text.zfill(int(width)) if "0" in m.group("flags") else text.rjust(int(width))

    out = _VERB.sub(one, template)
    if rest:
        extra = ", ".join(f"{go_type(v)}={go_string(v)}" for v in rest)
        out += f"%!(EXTRA {extra})"
    return out


def _format_verb(verb: str, value: "Any", flags: str, precision: str | None) -> str:
    if verb in "vs":
        text = go_string(value)
        return text[:int(precision)] if precision is not None and verb == "s" else text
    if verb == "q":
        if isinstance(value, (list, tuple)):
            return "[" + " ".join(_quote(go_string(v)) for v in value) + "]"
        return _quote(go_string(value))
    if verb == "t" and isinstance(value, bool):
        return go_string(value)
    if verb == "T":
        return go_type(value)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if verb in "dboxXc" and isinstance(value, int) and number:
        if verb == "c":
            return chr(value)
        return format(value, ("+" if "+" in flags else "") + verb)
    if verb in "xX" and isinstance(value, str):
        return format(int.from_bytes(value.encode(), "big"), verb) if value else ""
    if verb in "feEgG" and isinstance(value, float):
        if verb in "gG" and precision is None:
            return _go_float(value)
        return format(value, ("+" if "+" in flags else "") + f".{precision or 6}{verb}")
    return f"%!{verb}({go_type(value)}={go_string(value)})"


def _quote(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)


def _html(*values: "Any") -> str:
    text = _print_values(*values)
    for old, new in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;")):
        text = text.replace(old, new)
    return text


def _js(*values: "Any") -> str:
    table = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D",
             "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "".join(table.get(ch, ch) for ch in _print_values(*values))


def _urlquery(*values: "Any") -> str:
    out = []
    for byte in _print_values(*values).encode():
        ch = chr(byte)
        out.append(ch if ch.isalnum() and byte < 128 or ch in "-_.~" else "+" if ch == " " else f"%{byte:02X}")
    return "".join(out)


def _join(values: "Any", separator: str = "") -> str:
    if isinstance(values, dict):
        values = [f"{k}={go_string(values[k])}" for k in sorted(values)]
    return separator.join(go_string(v) for v in values or ())


def _title(text: str) -> str:
    """Every letter that follows a non-letter in upper case (strings.Title)."""
    return re.sub(r"(?<![^\W_])[^\W\d_]", lambda m: m.group().upper(), text)


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


def _truncate(text: str, length: int) -> str:
    return text[:length]


def _call_function(function: "Any", *values: "Any") -> "Any":
    if not callable(function):
        raise ValueError(f"non-function of type {go_type(function)}")
    return function(*values)


FUNCTIONS: "dict[str, Callable[..., Any]]" = {
    "call": _call_function,
    "eq": _eq,
    "ge": lambda a, b: not _lt(a, b),
    "gt": lambda a, b: not _le(a, b),
    "html": _html,
    "index": _index,
    "join": _join,
    "js": _js,
    "json": to_json,
    "le": _le,
    "len": _length,
    "lower": lambda s: s.lower(),
    "lt": _lt,
    "ne": lambda a, b: not _eq(a, b),
    "not": lambda v: not truth(v),
    "pad": _pad,
    "print": _print_values,
    "printf": _printf,
    "println": lambda *values: " ".join(go_string(v) for v in values) + "\n",
    "slice": _slice,
    "split": lambda s, separator: s.split(separator) if separator else list(s),
    "title": _title,
    "trim": lambda s: s.strip(),
    "truncate": _truncate,
    "upper": lambda s: s.upper(),
    "urlquery": _urlquery,
}
