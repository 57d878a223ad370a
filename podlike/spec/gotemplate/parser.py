"""Tokens -> statements, with Go's rules about what may stand where and its words for what may not."""

import re

from podlike.spec.gotemplate.lexer import Token, tokens
from podlike.spec.gotemplate.nodes import Command, Constant, Dot, Field, Identifier, Nil, Node, Pipeline, Variable
from podlike.spec.gotemplate.statements import Action, Branch, Break, Call, Continue, Leave, Range, Text
from podlike.spec.govalues import TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, NoReturn

    from podlike.spec.gotemplate.statements import Statement

_OPERANDS: "Final" = frozenset(("bool", "char", "dot", "field", "identifier", "number", "raw", "string", "variable", "open"))
_ESCAPES: "Final" = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_ESCAPE: "Final" = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.S)


class Parser:
    """One pass over the tokens, with as much of a look ahead as the language needs.

    definitions: what {{define}} and {{block}} name, once parse() has returned.
    """

    def __init__(self, name: str, text: str, functions: "dict[str, Callable[..., Any]]") -> None:
        self.name = name
        self.definitions: "dict[str, list[Statement]]" = {}
        self._functions = functions
        self._tokens = list(tokens(text))
        self._at = 0
        self._variables = ["$"]
        self._loops = 0
        self._action_line = 0

    def parse(self) -> "list[Statement]":
        """Raises: TemplateError."""
        body: "list[Statement]" = []
        while self._peek().kind != "eof":
            if self._peek().kind == "left":
                save = self._at
                self._next()
                token = self._next_solid()
                if token.text == "define" and token.kind == "keyword":
                    self._definition()
                    continue
                self._at = save
            statement = self._text_or_action()
            if isinstance(statement, str):
                self._fail(f"unexpected {{{{{statement}}}}}")
            body.append(statement)
        return body

    # --- tokens

    def _next(self) -> Token:
        token = self._tokens[min(self._at, len(self._tokens) - 1)]
        self._at += 1
        return token

    def _peek(self) -> Token:
        return self._tokens[min(self._at, len(self._tokens) - 1)]

    def _next_solid(self) -> Token:
        token = self._next()
        while token.kind == "space":
            token = self._next()
        return token

    def _peek_solid(self) -> Token:
        while self._peek().kind == "space":
            self._at += 1
        return self._peek()

    def _fail(self, why: str) -> "NoReturn":
        line = self._tokens[min(max(self._at - 1, 0), len(self._tokens) - 1)].line
        raise TemplateError(f"template: {self.name}:{line}: {why}",
                            hint="See the --format section of the manual, or try --format json.")

    def _unexpected(self, token: Token, context: str) -> "NoReturn":
        if token.kind == "error":
            extra = ""
            if self._action_line not in (0, token.line):
                extra = f" in action started at {self.name}:{self._action_line}"
                if token.text.endswith(" action"):
                    extra = extra.removeprefix(" in action")
            self._fail(f"{token}{extra}")
        self._fail(f"unexpected {token} in {context}")

    def _expect(self, kind: str, context: str) -> Token:
        token = self._next_solid()
        if token.kind != kind:
            self._unexpected(token, context)
        return token

    # --- statements

    def _list(self) -> "tuple[list[Statement], str]":
        """Statements up to {{end}} or {{else}}, and which it was; behind an {{else}} the rest of it may follow."""
        body: "list[Statement]" = []
        while self._peek_solid().kind != "eof":
            statement = self._text_or_action()
            if isinstance(statement, str):
                return body, statement
            body.append(statement)
        self._at += 1
        return self._fail("unexpected EOF")

    def _text_or_action(self) -> "Statement | str":
        token = self._next_solid()
        if token.kind == "text":
            return Text(token.text)
        if token.kind != "left":
            self._unexpected(token, "input")
        self._action_line = token.line
        try:
            return self._action()
        finally:
            self._action_line = 0

    def _action(self) -> "Statement | str":
        token = self._next_solid()
        if token.kind == "keyword":
            word = token.text
            if word in ("if", "with", "range"):
                return self._control(word)
            if word == "end":
                self._expect("right", "end")
                return word
            if word == "else":
                if self._peek_solid().text not in ("if", "with") or self._peek().kind != "keyword":
                    self._expect("right", "else")
                return word
            if word in ("break", "continue"):
                return self._leave(word)
            if word == "template":
                return self._template()
            if word == "block":
                return self._block()
        self._at -= 1
        return Action(self._pipeline("command", "right"))

    def _control(self, word: str) -> "Statement":
        depth = len(self._variables)
        pipeline = self._pipeline(word, "right")
        self._loops += word == "range"
        body, end = self._list()
        self._loops -= word == "range"
        otherwise: "list[Statement]" = []
        if end == "else":
            if word != "range" and self._peek().text == word:  # {{else if ...}}, {{else with ...}}
                self._next()
                otherwise = [self._control(word)]
            else:
                otherwise, end = self._list()
                if end != "end":
                    self._fail(f"expected end; found {{{{{end}}}}}")
        del self._variables[depth:]
        if word == "range":
            return Range(pipeline, body, otherwise)
        return Branch(pipeline, body, otherwise, rebinds=word == "with")

    def _leave(self, word: str) -> "Statement":
        token = self._next_solid()
        if token.kind != "right":
            self._unexpected(token, f"{{{{{word}}}}}")
        if not self._loops:
            self._fail(f"{{{{{word}}}}} outside {{{{range}}}}")
        return Leave(Break if word == "break" else Continue)

    def _definition(self) -> None:
        name = self._template_name(self._next_solid(), "define clause")
        self._expect("right", "define clause")
        self._define(name, "define clause")

    def _define(self, name: str, context: str) -> None:
        """A body of its own, with no variable of those around it."""
        outer = self._variables, self._loops
        self._variables, self._loops = ["$"], 0
        body, end = self._list()
        if end != "end":
            self._fail(f"unexpected {{{{{end}}}}} in {context}")
        self._variables, self._loops = outer
        known, empty = self.definitions.get(name), _is_empty(body)
        if known is not None and not _is_empty(known):
            if not empty:
                self._fail(f'template: multiple definition of template "{name}"')
            return
        self.definitions[name] = body

    def _block(self) -> "Statement":
        token = self._next_solid()
        name = self._template_name(token, "block clause")
        pipeline = self._pipeline("block clause", "right")
        self._define(name, "block clause")
        return Call(token.pos, name, _quoted(name), pipeline)

    def _template(self) -> "Statement":
        token = self._next_solid()
        name = self._template_name(token, "template clause")
        pipeline = None
        if self._next_solid().kind != "right":
            self._at -= 1
            pipeline = self._pipeline("template clause", "right")
        return Call(token.pos, name, _quoted(name), pipeline)

    def _template_name(self, token: Token, context: str) -> str:
        if token.kind not in ("string", "raw"):
            self._unexpected(token, context)
        return self._unquoted(token)

    # --- expressions

    def _pipeline(self, context: str, end: str) -> Pipeline:
        first = self._peek_solid()
        names, assigns = self._declarations(context)
        commands: "list[Command]" = []
        while True:
            token = self._next_solid()
            if token.kind == end:
                break
            if token.kind not in _OPERANDS and not (token.kind == "keyword" and token.text == "nil"):
                self._unexpected(token, context)
            self._at -= 1
            commands.append(self._command())
        if not commands:
            self._fail(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if not command.head.executable:
                self._fail(f"non executable command in pipeline stage {stage}")
        return Pipeline(first.pos, commands, names, assigns=assigns)

    def _declarations(self, context: str) -> "tuple[list[str], bool]":
        """The variables in front of := or =, and whether it is =."""
        names: "list[str]" = []
        while self._peek_solid().kind == "variable":
            save = self._at
            token = self._next()
            following = self._peek_solid()
            if following.kind in ("assign", "declare"):
                self._next()
                names.append(token.text)
                self._variables.append(token.text)
                return names, following.kind == "assign"
            if following.kind == "punctuation" and following.text == ",":
                self._next()
                names.append(token.text)
                self._variables.append(token.text)
                if context == "range" and len(names) < 2:
                    if self._peek_solid().kind in ("variable", "right", "close"):
                        continue
                    self._fail("range can only initialize variables")
                self._fail(f"too many declarations in {context}")
            self._at = save
            break
        return names, False

    def _command(self) -> Command:
        operands: "list[Node]" = []
        while True:
            self._peek_solid()
            operand = self._operand()
            if operand is not None:
                operands.append(operand)
            token = self._next()
            if token.kind == "space":
                continue
            if token.kind in ("right", "close"):
                self._at -= 1
            elif token.kind != "pipe":
                self._unexpected(token, "operand")
            break
        if not operands:
            self._fail("empty command")
        return Command(operands)

    def _operand(self) -> "Node | None":
        """A term and the fields behind it."""
        node = self._term()
        if node is None or self._peek().kind != "field":
            return node
        pos, names = self._peek().pos, []
        while self._peek().kind == "field":
            names.append(self._next().text[1:])
        fields = "".join(f".{name}" for name in names)
        if isinstance(node, Field) and node.base is None:
            return Field(pos, f"{node}{fields}", None, [*node.names, *names])
        if isinstance(node, (Constant, Nil, Dot)):
            self._fail(f"unexpected . after term {_quoted(str(node))}")
        shown = f"({node})" if isinstance(node, Pipeline) else str(node)
        return Field(pos, f"{shown}{fields}", node, names)

    def _term(self) -> "Node | None":
        token = self._next_solid()
        kind, text, pos = token.kind, token.text, token.pos
        if kind == "identifier":
            if text not in self._functions:
                self._fail(f'function "{text}" not defined')
            return Identifier(pos, text, self._functions[text])
        if kind == "dot":
            return Dot(pos, ".")
        if kind == "keyword" and text == "nil":
            return Nil(pos, "nil")
        if kind == "variable":
            if text not in self._variables:
                self._fail(f'undefined variable "{text}"')
            return Variable(pos, text)
        if kind == "field":
            return Field(pos, text, None, [text[1:]])
        if kind == "bool":
            return Constant(pos, text, text == "true")
        if kind in ("number", "char"):
            return Constant(pos, text, self._number(kind, text))
        if kind == "open":
            return self._pipeline("parenthesized pipeline", "close")
        if kind in ("string", "raw"):
            return Constant(pos, text, self._unquoted(token))
        self._at -= 1
        return None

    def _number(self, kind: str, text: str) -> int | float:
        if kind == "char":
            body = _unescaped(text[1:-1])
            if body is None or len(body) != 1:
                self._fail(f"malformed character constant: {text}")
            return ord(body)
        digits = text.replace("_", "")
        try:
            if re.fullmatch(r"[+-]?0[0-7]+", digits):
                return int(digits, 8)
            if re.fullmatch(r"[+-]?(?:0[xXoObB][0-9a-fA-F]+|[1-9][0-9]*|0)", digits):
                value = int(digits, 0)
                if not -1 << 63 <= value < 1 << 64:
                    self._fail(f"integer overflow: {_quoted(text)}")
                return value
            number = float.fromhex(digits) if "x" in digits.lower() else float(digits)
        except (ValueError, OverflowError):
            self._fail(f"illegal number syntax: {_quoted(text)}")
        if number in (float("inf"), float("-inf")):
            self._fail(f"illegal number syntax: {_quoted(text)}")
        return number

    def _unquoted(self, token: Token) -> str:
        if token.kind == "raw":
            return token.text[1:-1].replace("\r", "")
        text = _unescaped(token.text[1:-1])
        if text is None:
            self._fail("invalid syntax")
        return text


def _unescaped(body: str) -> str | None:
    """None where an escape is none of Go's."""
    if "\\" not in body:
        return body
    good = True

    def one(m: "re.Match[str]") -> str:
        nonlocal good
        text = m.group(0)[1:]
        if text[0] in "xuU" and len(text) > 1:
            return chr(int(text[1:], 16))
        if text[0] in "01234567" and len(text) == 3:
            return chr(int(text, 8))
        good = good and text in _ESCAPES
        return _ESCAPES.get(text, "")

    out = _ESCAPE.sub(one, body)
    return out if good else None


def _is_empty(body: "list[Statement]") -> bool:
    return all(isinstance(s, Text) and not s.text.strip() for s in body)


def _quoted(text: str) -> str:
    from podlike.spec.gofmt import quote

    return quote(text)
