"""Tokens of a template. A mistake becomes a token of kind "error", for the parser to complain about where it meets it."""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_SPACE: "Final" = " \t\r\n"
_KEYWORDS: "Final" = frozenset(("block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"))
_WORD: "Final" = re.compile(r"\w+")
_NUMBER: "Final" = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*|0[bB][01_]*"
                              r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?")
_QUOTED: "Final" = {'"': "unterminated quoted string", "'": "unterminated character constant"}


class Token:
    """kind: text, left, right, space, field, variable, identifier, bool, number, char (constant), string, raw, keyword, dot,
    assign (=), declare (:=), pipe, open, close, punctuation, error, eof. pos: offset in the template. line: from 1.
    """

    __slots__ = ("kind", "line", "pos", "text")

    def __init__(self, kind: str, text: str, pos: int, line: int) -> None:
        self.kind = kind
        self.text = text
        self.pos = pos
        self.line = line

    def __str__(self) -> str:
        """As messages name it."""
        if self.kind == "eof":
            return "EOF"
        if self.kind == "error":
            return self.text
        if self.kind in ("keyword", "dot"):
            return f"<{self.text}>"
        from podlike.spec.gofmt import quote

        return f"{quote(self.text[:10])}..." if len(self.text) > 10 else quote(self.text)


def tokens(text: str) -> "Iterator[Token]":
    """All tokens, the last of kind eof or error."""
    return _Lexer(text).run()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.line = 1  # at self.pos

    def token(self, kind: str, end: int) -> Token:
        """What lies between the present position and end."""
        made = Token(kind, self.text[self.pos:end], self.pos, self.line)
        self.line += made.text.count("\n")
        self.pos = end
        return made

    def error(self, message: str, end: int | None = None) -> Token:
        made = Token("error", message, self.pos, self.line)
        self.pos = len(self.text) if end is None else end
        return made

    def run(self) -> "Iterator[Token]":
        trim = False
        while True:
            start = self.text.find("{{", self.pos)
            end = len(self.text) if start < 0 else start
            body = self.text[self.pos:end]
            if trim:
                self.token("space", self.pos + len(body) - len(body.lstrip(_SPACE)))
                body = self.text[self.pos:end]
            trims_left = start >= 0 and self.text[start + 2:start + 3] == "-" and self.text[start + 3:start + 4] in tuple(_SPACE)
            kept = len(body.rstrip(_SPACE)) if trims_left else len(body)
            if kept:
                yield self.token("text", self.pos + kept)
            self.token("space", end)
            if start < 0:
                yield Token("eof", "", self.pos, self.line)
                return
            inside = start + (4 if trims_left else 2)
            if self.text.startswith("/*", inside):
                problem, trim = self.comment(inside)
                if problem is not None:
                    yield problem
                    return
                continue
            yield self.token("left", inside)
            depth = 0
            while True:
                made, trim = self.inside(depth)
                yield made
                if made.kind == "error":
                    return
                if made.kind == "right":
                    break
                depth += {"open": 1, "close": -1}.get(made.kind, 0)

    def comment(self, start: int) -> "tuple[Token | None, bool]":
        """(mistake, whether blanks behind it go)"""
        close = self.text.find("*/", start + 2)
        if close < 0:
            return self.error("unclosed comment"), False
        after = close + 2
        trim = self.trims_right(after)
        if not self.text.startswith("}}", after + (2 if trim else 0)):
            self.token("text", after)
            return self.error("comment ends before closing delimiter"), False
        self.token("text", after + (4 if trim else 2))
        return None, trim

    def trims_right(self, at: int) -> bool:
        return self.text[at:at + 1] in tuple(_SPACE) and self.text.startswith("-}}", at + 1)

    def inside(self, depth: int) -> tuple[Token, bool]:
        """The next token of an action, and of a closing delimiter whether blanks behind it go."""
        pos, text = self.pos, self.text
        if self.trims_right(pos) or text.startswith("}}", pos):
            if depth:
                return self.error("unclosed left paren"), False
            trim = not text.startswith("}}", pos)
            return self.token("right", pos + (4 if trim else 2)), trim
        if pos >= len(text):
            return self.error("unclosed action"), False
        ch = text[pos]
        if ch in _SPACE:
            end = pos
            while end < len(text) and text[end] in _SPACE and not self.trims_right(end):
                end += 1
            return self.token("space", end), False
        return self.element(ch, depth), False

    def element(self, ch: str, depth: int) -> Token:
        pos, text = self.pos, self.text
        if ch == "=":
            return self.token("assign", pos + 1)
        if ch == ":":
            return self.token("declare", pos + 2) if text.startswith(":=", pos) else self.error("expected :=")
        if ch == "|":
            return self.token("pipe", pos + 1)
        if ch in "\"'`":
            return self.quoted(ch)
        if ch == "(":
            return self.token("open", pos + 1)
        if ch == ")":
            return self.token("close", pos + 1) if depth else self.error("unexpected right paren")
        if ch in "+-" or ch.isascii() and ch.isdigit() or ch == "." and text[pos + 1:pos + 2].isdigit():
            return self.number()
        if ch in ".$":
            return self.name(ch)
        if ch.isalnum() or ch == "_":
            return self.word()
        if ch.isascii() and ch.isprintable():
            return self.token("punctuation", pos + 1)
        return self.error(f"unrecognized character in action: U+{ord(ch):04X}{f' {ch!r}' if ch.isprintable() else ''}")

    def quoted(self, quote: str) -> Token:
        if quote == "`":
            close = self.text.find("`", self.pos + 1)
            return self.token("raw", close + 1) if close >= 0 else self.error("unterminated raw quoted string")
        found = re.compile(rf"{quote}(?:[^{quote}\\\n]|\\.)*{quote}").match(self.text, self.pos)
        if found is None:
            return self.error(_QUOTED[quote])
        return self.token("string" if quote == '"' else "char", found.end())

    def number(self) -> Token:
        found = _NUMBER.match(self.text, self.pos)
        end = found.end() if found else self.pos
        following = self.text[end:end + 1]
        if following.isalnum() or following == "_":
            from podlike.spec.gofmt import quote

            return self.error(f"bad number syntax: {quote(self.text[self.pos:end + 1])}")
        return self.token("number", end)

    def name(self, mark: str) -> Token:
        """.Field, $variable, or the mark alone."""
        found = _WORD.match(self.text, self.pos + 1)
        end = found.end() if found else self.pos + 1
        if not self.at_end_of_word(end):
            return self.error(self.bad_character(end))
        return self.token("variable" if mark == "$" else "field" if found else "dot", end)

    def word(self) -> Token:
        found = _WORD.match(self.text, self.pos)
        assert found is not None
        if not self.at_end_of_word(found.end()):
            return self.error(self.bad_character(found.end()))
        word = found.group()
        kind = "keyword" if word in _KEYWORDS else "bool" if word in ("true", "false") else "identifier"
        return self.token(kind, found.end())

    def at_end_of_word(self, at: int) -> bool:
        return at >= len(self.text) or self.text[at] in " \t\r\n.,|:)(" or self.text.startswith("}}", at)

    def bad_character(self, at: int) -> str:
        ch = self.text[at]
        return f"bad character U+{ord(ch):04X}{f' {ch!r}' if ch.isprintable() else ''}"
