"""fmt.Sprintf: verbs, flags, width, precision, argument indexes, and what Go writes where they do not fit.

Source: pkg.go.dev/fmt.
"""

import re

from podlike.spec.govalues import NO_VALUE, Struct, View, go_float, go_string, go_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_SPEC: "Final" = re.compile(
    r"%(?P<flags>[-+# 0]*)(?:\[(?P<wi>[^\]]*)\](?=\*))?(?P<width>\d+|\*)?"
    r"(?P<dot>\.(?:\[(?P<pi>[^\]]*)\](?=\*))?(?P<precision>\d+|\*)?)?(?:\[(?P<index>[^\]]*)\])?(?P<verb>.)?", re.S)


def sprintf(template: str, *values: "Any") -> str:
    printer = _Printer(values)
    out = _SPEC.sub(printer.one, template)
    if not printer.reordered and printer.at < len(values):
        extra = ", ".join("<nil>" if v is None else f"{go_type(v)}={go_string(v)}" for v in values[printer.at:])
        out += f"%!(EXTRA {extra})"
    return out


class _Format:
    """One verb with its flags. width, precision: None where not given. names: %+v, fields with their names."""

    __slots__ = ("minus", "names", "plus", "precision", "sharp", "space", "verb", "width", "zero")

    def __init__(self, verb: str, flags: str, width: int | None, precision: int | None) -> None:
        self.verb = verb
        self.minus, self.sharp, self.space = "-" in flags, "#" in flags, " " in flags
        self.plus, self.names = "+" in flags and verb != "v", "+" in flags and verb == "v"
        self.zero = "0" in flags and not self.minus
        self.width = width
        self.precision = precision

    def padded(self, text: str, *, zeros: bool = False) -> str:
        if not self.width or len(text) >= self.width:
            return text
        if self.minus:
            return text.ljust(self.width)
        if zeros and self.zero:
            sign = text[:1] if text[:1] in ("+", "-", " ") else ""
            return sign + text[len(sign):].rjust(self.width - len(sign), "0")
        return text.rjust(self.width)


class _Printer:
    def __init__(self, values: "tuple[Any, ...]") -> None:
        self.values = values
        self.at = 0
        self.reordered = False

    def one(self, m: "re.Match[str]") -> str:
        verb = m["verb"]
        if verb is None:
            return "%!(NOVERB)"
        flags, width, precision = m["flags"], m["width"], None
        if m["wi"] is not None and not self._seek(m["wi"]) or m["pi"] is not None and not self._seek(m["pi"]):
            return f"%!{verb}(BADINDEX)"
        number: int | None = int(width) if width and width != "*" else None
        if width == "*":
            number = self._number()
            if number is None:
                return f"%!(BADWIDTH){self._verb(m, verb, flags, None, None)}"
            if number < 0:
                flags, number = flags + "-", -number
        if m["dot"] is not None:
            precision = self._number() if m["precision"] == "*" else int(m["precision"] or 0)
        return self._verb(m, verb, flags, number, precision)

    def _verb(self, m: "re.Match[str]", verb: str, flags: str, width: int | None, precision: int | None) -> str:
        if m["index"] is not None and not self._seek(m["index"]):
            return f"%!{verb}(BADINDEX)"
        if verb == "%":
            return "%"
        if self.at >= len(self.values):
            return f"%!{verb}({'BADINDEX' if self.reordered else 'MISSING'})"
        value = self.values[self.at]
        self.at += 1
        return formatted(value, _Format(verb, flags, width, precision))

    def _seek(self, text: str) -> bool:
        self.reordered = True
        if not text.isdigit() or not 1 <= int(text) <= len(self.values):
            return False
        self.at = int(text) - 1
        return True

    def _number(self) -> int | None:
        value = self.values[self.at] if self.at < len(self.values) else None
        self.at += 1
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def formatted(value: "Any", f: _Format) -> str:
    verb = f.verb
    if verb == "T":
        return f.padded(go_type(value))
    if value is None or value is NO_VALUE:
        return f.padded("<nil>") if verb == "v" else f"%!{verb}(<nil>)"
    if isinstance(value, View):
        value = Struct(value.doc) if isinstance(value.doc, dict) else value.doc
    if callable(value):
        value = value()
    if isinstance(value, bool):
        return f.padded(go_string(value)) if verb in "tv" else _bad(verb, value)
    if isinstance(value, int):
        return _integer(value, f)
    if isinstance(value, float):
        return _float(value, f)
    if isinstance(value, str):
        return _text(value, f)
    return _several(value, f)


def _bad(verb: str, value: "Any") -> str:
    return f"%!{verb}({go_type(value)}={go_string(value)})"


_BASES: "Final" = {"b": ("b", "0b"), "o": ("o", "0"), "x": ("x", "0x"), "X": ("X", "0X"), "O": ("o", "0o")}


def _integer(value: int, f: _Format) -> str:
    verb = f.verb
    if verb in "vs" and type(value) is not int:  # it has a text of its own: time.Duration
        return _text(go_string(value), f)
    if verb in ("v", "d"):
        digits = str(abs(value))
    elif verb in _BASES:
        kind, prefix = _BASES[verb]
        digits = format(abs(value), kind)
        if verb == "O" or f.sharp:
            digits = prefix + digits
    elif verb == "c":
        return f.padded(chr(value))
    elif verb == "q":
        return f.padded("'" + ("\\'" if value == 39 else quote(chr(value))[1:-1].replace('\\"', '"')) + "'")
    elif verb == "U":
        return f.padded(f"U+{value:04X}" + (f" '{chr(value)}'" if f.sharp else ""))
    else:
        return _bad(verb, value)
    if f.precision is not None:
        digits = digits.rjust(f.precision, "0")
    sign = "-" if value < 0 else "+" if f.plus else " " if f.space else ""
    return f.padded(sign + digits, zeros=f.precision is None)


def _float(value: float, f: _Format) -> str:
    verb = f.verb
    sign = "+" if f.plus else " " if f.space else ""
    if verb == "v" or verb in "gG" and f.precision is None:
        text = go_float(value)
        text = text.upper() if verb == "G" else text
    elif verb in "eEfFgG":
        precision = 6 if f.precision is None else f.precision
        text = format(value, f".{precision or (1 if verb in 'gG' else 0)}{verb}")
    elif verb in "xX":
        text = _hex_float(value)
        text = text.upper() if verb == "X" else text
    else:
        return _bad(verb, value)
    return f.padded(text if text[:1] in "+-" and not (text[:1] == "+" and not f.plus) else sign + text, zeros=True)


def _hex_float(value: float) -> str:
    """0x1.8p+00"""
    head, _, power = value.hex().partition("p")
    whole, _, part = head.partition(".")
    part = part.rstrip("0")
    return f"{whole}{f'.{part}' if part else ''}p{int(power):+03d}"


def _text(value: str, f: _Format) -> str:
    verb = f.verb
    if verb == "v" and f.sharp:
        return f.padded(quote(value))
    if verb in "vs":
        return f.padded(value if f.precision is None else value[:f.precision])
    if verb == "q":
        value = value if f.precision is None else value[:f.precision]
        return f.padded(f"`{value}`" if f.sharp and "`" not in value else quote(value, plus=f.plus))
    if verb in "xX":
        data = value.encode(errors="surrogateescape")[:f.precision]
        pairs = [format(byte, f"02{verb}") for byte in data]
        prefix = f"0{verb}" if f.sharp and pairs else ""
        return f.padded(" ".join(prefix + pair for pair in pairs) if f.space else prefix + "".join(pairs))
    return _bad(verb, value)


def _several(value: "Any", f: _Format) -> str:
    """Each element by itself."""
    def one(item: "Any") -> str:
        # An empty element of a list or map is shown as such, whatever the verb.
        return "<nil>" if item is None else formatted(item, f)

    if isinstance(value, (list, tuple)):
        return "[" + " ".join(map(one, value)) + "]"
    if isinstance(value, Struct):
        return "{" + " ".join(f"{k}:{one(v)}" if f.names else one(v) for k, v in value.items()) + "}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{one(k)}:{one(value[k])}" for k in sorted(value, key=str)) + "]"
    return f.padded(go_string(value))


_ESCAPES: "Final" = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\",
                     '"': '\\"'}


def quote(text: str, *, plus: bool = False) -> str:
    """strconv.Quote; plus: with nothing but ASCII."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(_quoted_character(ch, plus) for ch in text) + '"'


def _quoted_character(ch: str, plus: bool) -> str:
    if ch in _ESCAPES:
        return _ESCAPES[ch]
    if ch.isprintable() and (ch.isascii() or not plus):
        return ch
    code = ord(ch)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
