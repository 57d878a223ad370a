"""Values as Go's templates see them, and how Go prints them.

Source: pkg.go.dev/text/template, pkg.go.dev/fmt.
"""

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
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
        return go_float(value)
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


def go_float(value: float) -> str:
    """%v of a float64: the shortest form, with an exponent below 1e-4 and from 1e6 on."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(repr(value), "NaN")
    if value == 0:
        return "-0" if str(value)[0] == "-" else "0"
    digits, _, exponent = f"{value:.17e}".partition("e")
    for precision in range(17):
        text = f"{value:.{precision}e}"
        if float(text) == value:
            digits, _, exponent = text.partition("e")
            break
    power, count = int(exponent), len(digits.replace(".", "").lstrip("-"))
    if not -4 <= power < 6:
        return f"{digits}e{power:+03d}"
    return f"{value:.{max(count - 1 - power, 0)}f}"


def to_json(value: "Any") -> str:
    """The value as JSON in one line, as Go's encoder writes it (no blanks, HTML not escaped, the keys of maps sorted)."""
    import json

    text = json.dumps(_whole_numbers(value), default=json_default, separators=(",", ":"), ensure_ascii=False,
                      sort_keys=type(value) is dict and not _has_struct(value))
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _has_struct(value: "Any") -> bool:
    """A struct's fields keep their order."""
    if isinstance(value, (list, tuple)):
        return any(map(_has_struct, value))
    return isinstance(value, (Struct, View)) or isinstance(value, dict) and any(map(_has_struct, value.values()))


def _whole_numbers(value: "Any") -> "Any":
    """1.0 is written as 1."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, dict):
        return type(value)({k: _whole_numbers(v) for k, v in value.items()})
    return [_whole_numbers(v) for v in value] if isinstance(value, (list, tuple)) else value


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
    """As errors and %T name it."""
    if value is None:
        return "<nil>"
    if isinstance(value, View):
        return "row"
    if isinstance(value, Struct):
        return "struct"
    if isinstance(value, (list, tuple)):
        return "[]string" if value and all(isinstance(v, str) for v in value) else "[]interface {}"
    if isinstance(value, dict):
        return "map[string]string" if value and all(isinstance(v, str) for v in value.values()) else "map[string]interface {}"
    return {bool: "bool", int: "int", float: "float64", str: "string"}.get(type(value), "interface {}")
