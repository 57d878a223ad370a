"""Variables and quotes in the values of Dockerfile instructions.

Source: docs.docker.com/reference/dockerfile, "Environment replacement" and "Parser directives". It is not a shell's
language: no commands, no arithmetic, and a backslash (or the escape character that the file chose) quotes one letter.
"""

import re
from functools import lru_cache

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_NAME: "Final" = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-]", re.ASCII)
_BLANKS: "Final" = " \t\n\r\v\f"
_MAX_DEPTH: "Final" = 50  # of ${a:-${b:-...}}: nobody means more, and each level is a call


def expand(text: str, variables: "Mapping[str, str]", *, escape: str = "\\") -> str:
    """The text as one value: variables replaced, quotes and escapes taken away. Raises: UsageError."""
    return _Reader(text, variables, escape).value()


def expand_words(text: str, variables: "Mapping[str, str]", *, escape: str = "\\") -> list[str]:
    """The text as words: split at blanks that are not quoted, those in values of variables too. Raises: UsageError."""
    reader = _Reader(text, variables, escape)
    reader.value()
    return reader.words()


def split(text: str, *, escape: str = "\\") -> list[str]:
    """Words as they are written, with their quotes and escapes, split at blanks outside of quotes.

    Raises: UsageError for a quote that nothing closes.
    """
    words: list[str] = []
    at, begin, quote = 0, -1, ""
    while at < len(text):
        letter = text[at]
        if begin < 0:
            if letter in _BLANKS:
                at += 1
                continue
            begin = at
        if letter == escape and quote != "'" and at + 1 < len(text):
            at += 2
            continue
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in _BLANKS:
            words.append(text[begin:at])
            begin = -1
        at += 1
    if quote:
        raise UsageError(f"read {text[begin:begin + 60]}: a {quote} is not closed")
    return [*words, text[begin:]] if begin >= 0 else words


def pairs(text: str, *, escape: str = "\\") -> "list[tuple[str, str]]":
    """KEY=VALUE ... or the old KEY VALUE, with their quotes still on. Raises: UsageError."""
    words = split(text, escape=escape)
    if words and "=" not in words[0]:
        key = words[0]
        value = text.strip()[len(key):].strip()
        if not value:
            raise UsageError(f"read {key}: it has no value", hint=f"Write {key}=VALUE.")
        return [(key, value)]
    out = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"read {word[:60]}: it has no =",
                             hint=f"Put the value before it in quotes, or write {word[:60]}=VALUE.")
        out.append((key, value))
    return out


class _Reader:
    """One value, read from left to right."""

    def __init__(self, text: str, variables: "Mapping[str, str]", escape: str, depth: int = 0) -> None:
        self.text, self.variables, self.escape, self.depth = text, variables, escape, depth
        self.at = 0
        self._words: list[str] = []
        self._word: str | None = None  # None: between two words

    def words(self) -> list[str]:
        return [*self._words, self._word] if self._word is not None else self._words

    def value(self, stop: str = "") -> str:
        """Up to the letter stop, which stays, or the end."""
        out: list[str] = []
        while self.at < len(self.text):
            letter = self.text[self.at]
            if letter == stop:
                return "".join(out)
            if letter == "'":
                out.append(self._quoted(self._single()))
            elif letter == '"':
                out.append(self._quoted(self._double()))
            elif letter == "$":
                found = self._dollar()
                self._split(found)
                out.append(found)
            else:
                self.at += 1
                if letter == self.escape:
                    letter = self.text[self.at:self.at + 1]
                    self.at += 1
                    out.append(self._quoted(letter))
                else:
                    self._split(letter)
                    out.append(letter)
        if stop:
            raise UsageError(f"replace variables in {self.text[:60]}: a {{ is not closed", hint="Add the }, or quote the $.")
        return "".join(out)

    def _quoted(self, text: str) -> str:
        self._word = (self._word or "") + text
        return text

    def _split(self, text: str) -> None:
        for letter in text:
            if letter not in _BLANKS:
                self._word = (self._word or "") + letter
            elif self._word is not None:
                self._words.append(self._word)
                self._word = None

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise self._unclosed("'")
        inside = self.text[self.at + 1:end]
        self.at = end + 1
        return inside

    def _double(self) -> str:
        out: list[str] = []
        self.at += 1
        while self.at < len(self.text):
            letter = self.text[self.at]
            if letter == '"':
                self.at += 1
                return "".join(out)
            if letter == "$":
                out.append(self._dollar())
                continue
            self.at += 1
            follower = self.text[self.at:self.at + 1]
            if letter == self.escape and follower and follower in ('"', "$", self.escape):
                out.append(follower)
                self.at += 1
            else:
                out.append(letter)
        raise self._unclosed('"')

    def _unclosed(self, quote: str) -> UsageError:
        return UsageError(f"read {self.text[:60]}: a {quote} is not closed")

    def _dollar(self) -> str:
        self.at += 1
        if self.text[self.at:self.at + 1] == "{":
            self.at += 1
            return self._braces()
        name = self._name()
        return self.variables.get(name, "") if name else "$"

    def _name(self) -> str:
        found = _NAME.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found.group()

    def _braces(self) -> str:
        begin = self.at
        name = self._name()
        sign = self.text[self.at:self.at + 1]
        if not name or not sign:
            raise self._bad(begin)
        self.at += 1
        if sign == "}":
            return self.variables.get(name, "")
        known = self.variables.get(name)
        if sign == ":":
            sign = self.text[self.at:self.at + 1]
            self.at += 1
            known = known or None
            if not sign or sign not in "+-?":
                raise self._bad(begin)
        if sign in "+-?":
            return self._otherwise(name, sign, known, self._inner())
        if sign in "#%":
            longest = self.text[self.at:self.at + 1] == sign
            self.at += longest
            pattern = self._inner()
            cut = _cut_front if sign == "#" else _cut_end
            return cut(known or "", pattern, longest, self.escape)
        if sign == "/":
            everywhere = self.text[self.at:self.at + 1] == "/"
            self.at += everywhere
            pattern = self._inner("/")
            return _replace(known or "", pattern, self._inner(), everywhere, self.escape)
        raise self._bad(begin)

    def _otherwise(self, name: str, sign: str, known: str | None, words: str) -> str:
        if sign == "+":
            return words if known is not None else ""
        if known is not None:
            return known
        if sign == "-":
            return words
        raise UsageError(f"replace variables in {self.text[:60]}: {name}: {words or 'is not set'}",
                         hint=f"Set it with --build-arg {name}=VALUE, or give ARG {name} a default.")

    def _inner(self, stop: str = "}") -> str:
        """What stands up to the closing brace, its own variables replaced."""
        if self.depth >= _MAX_DEPTH:
            raise UsageError(f"replace variables in {self.text[:60]}: more than {_MAX_DEPTH} levels of braces")
        inner = _Reader(self.text, self.variables, self.escape, self.depth + 1)
        inner.at = self.at
        found = inner.value(stop)
        self.at = inner.at + 1
        return found

    def _bad(self, begin: int) -> UsageError:
        said = self.text[begin:begin + 20]
        return UsageError(f"replace variables in {self.text[:60]}: ${{{said} is no substitution known here",
                          hint="Use ${NAME}, ${NAME:-word}, ${NAME:+word}, ${NAME:?word}, ${NAME#pattern}, ${NAME%pattern} "
                               "or ${NAME/pattern/word}; write \\$ for a dollar sign.")


def _cut_front(value: str, pattern: str, longest: bool, escape: str) -> str:
    found = _compiled(pattern, longest, escape).match(value)
    return value[found.end():] if found else value


def _cut_end(value: str, pattern: str, longest: bool, escape: str) -> str:
    matches = _compiled(pattern, True, escape)
    starts = range(len(value) + 1) if longest else range(len(value), -1, -1)
    return next((value[:n] for n in starts if matches.fullmatch(value, n)), value)


def _replace(value: str, pattern: str, by: str, everywhere: bool, escape: str) -> str:
    if not pattern:
        return value
    return _compiled(pattern, True, escape).sub(lambda _: by, value, count=0 if everywhere else 1)


@lru_cache(maxsize=64)
def _compiled(pattern: str, greedy: bool, escape: str) -> "re.Pattern[str]":
    """* is any text, ? any letter; nothing else is special."""
    out, at = "", 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "*":
            out += ".*" if greedy else ".*?"
        elif letter == "?":
            out += "."
        elif letter == escape and at < len(pattern):
            out += re.escape(pattern[at])
            at += 1
        else:
            out += re.escape(letter)
    return re.compile(out, re.S)
