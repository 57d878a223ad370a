"""Words of a setting in a unit file: splitting, C escapes, quoting; and fields of --mount.

Source: systemd.syntax(7) "Quoting", systemd.service(5) "Command lines".
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

BLANKS: "Final" = " \t\n\r"
_SIMPLE: "Final" = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"',
                    "'": "'", "s": " "}
_NAMES: "Final" = {"\a": "\\a", "\b": "\\b", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\f": "\\f",
                   "\\": "\\\\", " ": "\\x20", '"': '\\"'}
_HEX: "Final" = {"x": 2, "u": 4, "U": 8}  # digits behind the letter
# Characters that put a word in quotes. A ' needs no escape inside double quotes.
_QUOTED: "Final" = frozenset((*map(chr, range(33)), "\x7f", "\x80", '"', "'", "\\"))


class WordError(ValueError):
    """The text cannot be split; its argument says why."""


def split_words(text: str, *, unescape: bool) -> list[str]:
    """The words of text, their quotes taken off.

    unescape: as for a command line: C escapes are replaced, and a quote that is left open ends with the text. Else as for a
    list of names: a backslash is a character like any other. Raises: WordError.
    """
    if not ('"' in text or "'" in text or "\\" in text):
        for blank in "\t\n\r":
            text = text.replace(blank, " ")
        return [word for word in text.split(" ") if word]
    words: list[str] = []
    at = 0
    while True:
        while at < len(text) and text[at] in BLANKS:
            at += 1
        if at == len(text):
            return words
        word, at = _word(text, at, unescape)
        words.append(word)


def _word(text: str, at: int, unescape: bool) -> tuple[str, int]:
    """The word that begins at a position, and where it ends."""
    out: list[str] = []
    quote = ""
    while at < len(text):
        c = text[at]
        at += 1
        if c == "\\" and unescape:
            if at == len(text):
                break
            character, at = _unescape(text, at)
            out.append(character)
        elif quote:
            if c == quote:
                quote = ""
            else:
                out.append(c)
        elif c in "\"'":
            quote = c
        elif c in BLANKS:
            break
        else:
            out.append(c)
    if quote and not unescape:
        raise WordError("unbalanced quotes")
    return "".join(out), at


def _unescape(text: str, at: int) -> tuple[str, int]:
    """What stands behind a backslash at text[at - 1], and where the text goes on."""
    letter = text[at]
    if letter in _SIMPLE:
        return _SIMPLE[letter], at + 1
    digits, base, begin = _HEX.get(letter, 3), 16, at + 1
    if letter in "01234567":
        base, begin = 8, at
    elif letter not in _HEX:
        raise WordError("unsupported escape char")
    number = text[begin:begin + digits]
    legal = "01234567" if base == 8 else "0123456789abcdefABCDEF"
    if len(number) < digits or any(c not in legal for c in number):
        raise WordError("unsupported escape char")
    code = int(number, base)
    surrogate = 0xD800 <= code < 0xE000
    if not 0 < code <= (255 if base == 8 else 0x10FFFF) or surrogate:
        raise WordError("unsupported escape char")
    return chr(code), begin + digits


def quote_word(word: str) -> str:
    """The word as split_words(unescape=True) reads it back. % and $ keep their meaning for systemd."""
    if word and _QUOTED.isdisjoint(word):
        return word
    return '"' + "".join(_NAMES.get(c) or (f"\\x{ord(c):02x}" if c in _QUOTED and c != "'" else c) for c in word) + '"'


def quote_words(words: "Iterable[str]") -> str:
    return " ".join(map(quote_word, words))


def split_fields(text: str) -> list[str]:
    """The fields of --mount, separated by commas as in CSV. Raises: WordError."""
    if '"' not in text:
        return text.split(",")
    fields = []
    at = 0
    while True:
        if text[at:at + 1] == '"':
            field, at = _quoted_field(text, at + 1)
        else:
            end = text.find(",", at)
            field, at = (text[at:], len(text)) if end < 0 else (text[at:end], end)
            if '"' in field:
                raise WordError(f'a bare " in the field {field}')
        fields.append(field)
        if at == len(text):
            return fields
        at += 1


def _quoted_field(text: str, at: int) -> tuple[str, int]:
    """The field whose opening quote stands before a position, and where the comma behind it is."""
    out = []
    while True:
        end = text.find('"', at)
        if end < 0:
            raise WordError("unbalanced quotes")
        out.append(text[at:end])
        if text[end + 1:end + 2] != '"':
            break
        out.append('"')
        at = end + 2
    if text[end + 1:end + 2] not in ("", ","):
        raise WordError('text behind a closing "')
    return "".join(out), end + 1


def join_fields(fields: "Iterable[str]") -> str:
    """The reverse of split_fields."""
    return ",".join('"' + f.replace('"', '""') + '"' if any(c in f for c in ',"\r\n') or f[:1].isspace() or f == "\\." else f
                    for f in fields)
