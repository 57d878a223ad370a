"""Go's text/template, the part that --format needs.

Fields and chains, pipelines, variables, if / else if / else, with, range (with else, break, continue), define,
template, block, comments, trim markers, and the functions of podman and docker. Values print the way Go's fmt
prints them: map[k:v], [a b], <no value>, <nil>, true.

How Python values stand for Go's: dict is a map (a missing key is <no value>); Struct is a struct (an unknown field
is an error); View is a row with computed fields; list, str, int, float, bool, None are themselves; a callable
field is a method (`{{.Label "x"}}`).

Source: pkg.go.dev/text/template, pkg.go.dev/fmt.
"""

import re

from podlike.spec.govalues import FUNCTIONS, NO_VALUE, Struct, TemplateError, View, go_string, go_type, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


# Names that podman's templates take for fields whose JSON key differs (.ID and .Id are the same field).
_FIELD_ALIASES = {"ID": "Id", "Src": "Source", "Dst": "Destination", "ImageID": "Image",
                  "CgroupsVersion": "cgroupVersion", "Healthcheck": "Health", "HealthMaxLogCount": "HealthcheckMaxLogCount",
                  "HealthMaxLogSize": "HealthcheckMaxLogSize"}


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


# --- lexing ---------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"""
    (?P<space>\s+)
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<raw>`[^`]*`)
  | (?P<char>'(?:[^'\\\n]|\\.[^']*)')
  | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+ | 0[oO][0-7_]+ | 0[bB][01_]+
      | (?:\d[\d_]*)?\.\d+(?:[eE][+-]?\d+)? | \d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?))
  | (?P<field>\.[^\W\d]\w*)
  | (?P<variable>\$\w*)
  | (?P<name>[^\W\d]\w*)
  | (?P<op>:=|=|\||\(|\)|,|\.)
""", re.X)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}


def _unescape(body: str) -> str:
    if "\\" not in body:
        return body

    def one(m: "re.Match[str]") -> str:
        text = m.group(0)[1:]
        if text[0] in "xuU":
            return chr(int(text[1:], 16))
        if text[0] in "01234567":
            return chr(int(text, 8))
        if text not in _ESCAPES:
            raise ValueError("invalid syntax")
        return _ESCAPES[text]

    return re.sub(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", one, body)


class _Token:
    __slots__ = ("kind", "text", "spaced", "pos")

    def __init__(self, kind: str, text: str, spaced: bool, pos: int) -> None:
        self.kind = kind
        self.text = text
        self.spaced = spaced  # blank in front
        self.pos = pos


class _Action:
    """The inside of one {{ }}: its tokens, read from left to right."""

    def __init__(self, template: "Template", body: str, offset: int) -> None:
        self.template = template
        self.offset = offset
        self.tokens: list[_Token] = []
        self.at = 0
        spaced = False
        pos = 0
        while pos < len(body):
            m = _TOKEN.match(body, pos)
            if m is None:
                template.parse_error(offset, _bad_character(body[pos]))
            kind = m.lastgroup or ""
            if kind == "space":
                spaced = True
            else:
                self.tokens.append(_Token(kind, m.group(), spaced, offset + pos))
                spaced = False
            pos = m.end()

    def peek(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def next(self) -> _Token | None:
        token = self.peek()
        self.at += 1
        return token

    def accept(self, text: str) -> bool:
        token = self.peek()
        if token is not None and token.text == text and token.kind in ("op", "name"):
            self.at += 1
            return True
        return False

    def fail(self, why: str) -> "NoReturn":
        self.template.parse_error(self.offset, why)

    def finish(self, what: str) -> None:
        token = self.peek()
        if token is not None:
            self.fail(f"unexpected {_quoted(token)} in {what}")


def _bad_character(ch: str) -> str:
    if ch in "\"`":
        return "unterminated quoted string" if ch == '"' else "unterminated raw quoted string"
    return f"unexpected bad character U+{ord(ch):04X} '{ch}' in command"


def _quoted(token: _Token) -> str:
    return f'"{token.text}"' if token.kind != "field" else f"<{token.text}>"


# --- nodes ----------------------------------------------------------------------------------------------------
# A node is a function of the running state and dot; expression nodes return a value, statement nodes write.

class _State:
    __slots__ = ("out", "variables", "template", "root", "depth")

    def __init__(self, template: "Template", root: "Any") -> None:
        self.out: list[str] = []
        self.variables: "list[tuple[str, Any]]" = [("$", root)]
        self.template = template
        self.root = root
        self.depth = 0

    def get(self, name: str) -> "Any":
        for known, value in reversed(self.variables):
            if known == name:
                return value
        raise AssertionError(name)  # the parser has checked

    def set(self, name: str, value: "Any") -> None:
        for i in range(len(self.variables) - 1, -1, -1):
            if self.variables[i][0] == name:
                self.variables[i] = (name, value)
                return


if TYPE_CHECKING:
    Expr = Callable[[_State, Any], Any]
    Stmt = Callable[[_State, Any], None]


class Template:
    """A parsed template; execute it as often as needed.

    name: shown in errors, usually the command. functions: more functions, or replacements.
    Raises: TemplateError.
    """

    def __init__(self, text: str, *, name: str = "format",
                 functions: "dict[str, Callable[..., Any]] | None" = None) -> None:
        self.name = name
        self.text = text
        self.functions = FUNCTIONS if functions is None else {**FUNCTIONS, **functions}
        self.definitions: "dict[str, list[Stmt]]" = {}
        self._known: list[str] = ["$"]
        self._loops = 0
        self._pieces = _split(self, text)
        self._at = 0
        self._body, end = self._block(())
        assert end is None

    def execute(self, data: "Any") -> str:
        state = _State(self, data)
        _run(self._body, state, data)
        return "".join(state.out)

    def parse_error(self, offset: int, why: str) -> "NoReturn":
        line = self.text.count("\n", 0, offset) + 1
        raise TemplateError(f"template: {self.name}:{line}: {why}",
                            hint="See the --format section of the manual, or try --format json.")

    def exec_error(self, offset: int, shown: str, why: str) -> "NoReturn":
        line = self.text.count("\n", 0, offset) + 1
        column = offset - (self.text.rfind("\n", 0, offset) + 1)
        raise TemplateError(f'template: {self.name}:{line}:{column}: executing "{self.name}" at <{shown}>: {why}')

    # statements

    def _block(self, ends: "tuple[str, ...]") -> "tuple[list[Stmt], _Action | None]":
        """Statements up to one of the words in ends (or the end of the text)."""
        body: "list[Stmt]" = []
        depth = len(self._known)
        while self._at < len(self._pieces):
            kind, text, offset = self._pieces[self._at]
            self._at += 1
            if kind == "text":
                body.append(_text(text))
                continue
            action = _Action(self, text, offset)
            token = action.peek()
            if token is None:
                action.fail("missing value for command")
            word = token.text if token.kind == "name" else ""
            if word in ("end", "else"):
                if word not in ends:
                    action.fail(f"unexpected {{{{{word}}}}}")
                if word == "end":
                    action.next()
                    action.finish("end")
                del self._known[depth:]
                return body, action
            statement = self._statement(action, word)
            if statement is not None:
                body.append(statement)
        if ends:
            self.parse_error(len(self.text), "unexpected EOF")
        return body, None

    def _statement(self, action: _Action, word: str) -> "Stmt | None":
        if word in ("if", "with"):
            action.next()
            return self._conditional(action, word)
        if word == "range":
            action.next()
            return self._range(action)
        if word in ("define", "block"):
            action.next()
            return self._define(action, word)
        if word == "template":
            action.next()
            name = self._string(action, word)
            argument = None if action.peek() is None else self._pipeline(action, "template clause")
            return _call_template(name, argument, action.offset)
        if word in ("break", "continue"):
            action.next()
            action.finish(word)
            if not self._loops:
                action.fail(f"{{{{{word}}}}} outside {{{{range}}}}")
            return _raise(_Break if word == "break" else _Continue)
        first, second = action.peek(), action.tokens[1] if len(action.tokens) > 1 else None
        assigns = first is not None and first.kind == "variable" and second is not None and second.text in (":=", "=")
        value = self._pipeline(action, "command", declare=True)
        return _evaluate(value) if assigns else _print(value)

    def _conditional(self, action: _Action, word: str) -> "Stmt":
        depth = len(self._known)
        condition = self._pipeline(action, word, declare=True)
        then, end = self._block(("end", "else"))
        otherwise: "list[Stmt]" = []
        assert end is not None
        if end.accept("else"):
            if end.peek() is not None:  # {{else if ...}}, {{else with ...}}
                token = end.next()
                assert token is not None
                if token.text != word:
                    end.fail(f"unexpected {_quoted(token)} in else")
                otherwise = [self._conditional(end, word)]
            else:
                otherwise, _ = self._block(("end",))
        del self._known[depth:]
        return _branch(condition, then, otherwise, rebind=word == "with")

    def _range(self, action: _Action) -> "Stmt":
        depth = len(self._known)
        names: list[str] = []
        save = action.at
        token = action.next()
        while token is not None and token.kind == "variable" and len(names) < 2:
            names.append(token.text)
            if action.accept(","):
                token = action.next()
                continue
            break
        if names and not (declared := action.accept(":=")) and not action.accept("="):
            names, action.at = [], save
        elif not names:
            action.at = save
        values = self._pipeline(action, "range")
        if names and declared:
            self._known.extend(names)
        self._loops += 1
        body, end = self._block(("end", "else"))
        self._loops -= 1
        otherwise: "list[Stmt]" = []
        assert end is not None
        if end.accept("else"):
            end.finish("else")
            otherwise, _ = self._block(("end",))
        del self._known[depth:]
        return _loop(values, names, bool(names) and declared, body, otherwise, action.offset)

    def _define(self, action: _Action, word: str) -> "Stmt | None":
        name = self._string(action, word)
        argument = self._pipeline(action, "block clause") if word == "block" else None
        action.finish(word)
        known, self._known = self._known, ["$"]
        self.definitions[name], _ = self._block(("end",))
        self._known = known
        return _call_template(name, argument, action.offset) if word == "block" else None

    def _string(self, action: _Action, word: str) -> str:
        token = action.next()
        if token is None or token.kind not in ("string", "raw"):
            action.fail(f"unexpected {_quoted(token) if token else 'end'} in {word} clause")
        return token.text[1:-1] if token.kind == "raw" else _unescape(token.text[1:-1])

    # expressions

    def _pipeline(self, action: _Action, context: str, *, declare: bool = False, nested: bool = False) -> "Expr":
        name, operator = "", ""
        first, second = action.peek(), action.tokens[action.at + 1] if action.at + 1 < len(action.tokens) else None
        if declare and first and first.kind == "variable" and second and second.text in (":=", "="):
            name, operator = first.text, second.text
            action.at += 2
            if operator == "=" and name not in self._known:
                action.fail(f'undefined variable "{name}"')
        commands = [self._command(action, context, last=None)]
        while action.accept("|"):
            commands.append(self._command(action, context, last=commands[-1]))
        if nested:
            if not action.accept(")"):
                action.fail("unclosed left paren")
        else:
            action.finish(context)
        value = commands[-1]
        if operator:
            if operator == ":=":
                self._known.append(name)
            return _assign(name, value, new=operator == ":=")
        return value

    def _command(self, action: _Action, context: str, *, last: "Expr | None") -> "Expr":
        """Operands up to | or ) or the end; the first may be a function or method, the rest its arguments."""
        operands: "list[_Operand]" = []
        while True:
            token = action.peek()
            if token is None or token.text in ("|", ")") and token.kind == "op":
                break
            operands.append(self._operand(action, context))
        if not operands:
            action.fail(f"missing value for {context}")
        head = operands[0]
        arguments = [o.value for o in operands[1:]]
        if last is not None:
            arguments.append(last)
        if head.function:
            return self._call(head, arguments)
        if not arguments:
            return head.value
        if head.method is None:
            action.fail(f"unexpected <{operands[-1].shown}> in operand" if last is None
                        else "non executable command in pipeline stage 2")
        return head.method(arguments)

    def _call(self, head: "_Operand", arguments: "list[Expr]") -> "Expr":
        name, offset, template = head.function, head.pos, self
        if name in ("and", "or"):
            return _short_circuit(name, arguments)
        function = self.functions[name]

        def call(state: _State, dot: "Any") -> "Any":
            values = [a(state, dot) for a in arguments]
            try:
                return function(*values)
            except TemplateError:
                raise
            except Exception as e:
                why = _wrong_count(name, len(values)) if isinstance(e, TypeError) and "argument" in str(e) else str(e)
                template.exec_error(offset, head.shown, f"error calling {name}: {why}")
        return call

    def _operand(self, action: _Action, context: str) -> "_Operand":
        token = action.next()
        assert token is not None
        kind, text = token.kind, token.text
        operand: _Operand
        if kind in ("string", "raw", "char", "number"):
            operand = _Operand(_constant(self._literal(action, token)), text, token.pos)
        elif kind == "name":
            operand = self._name(action, token)
        elif kind == "field":
            operand = self._field(_dot, token, base="")
        elif kind == "variable":
            if text not in self._known:
                action.fail(f'undefined variable "{text}"')
            operand = _Operand(_variable(text), text, token.pos)
        elif text == ".":
            operand = _Operand(_dot, ".", token.pos)
        elif text == "(":
            operand = _Operand(self._pipeline(action, "parenthesized pipeline", nested=True), "(...)", token.pos)
        else:
            action.fail(f"unexpected {_quoted(token)} in {context}")
        following = action.peek()
        while following is not None and following.kind == "field" and not following.spaced:
            if kind in ("string", "raw", "char", "number"):
                action.fail(f"unexpected . after term {text}")
            action.next()
            value = self._call(operand, []) if operand.function else operand.value
            operand = self._field(value, following, base="" if operand.shown == "(...)" else operand.shown)
            following = action.peek()
        return operand

    def _literal(self, action: _Action, token: _Token) -> "Any":
        text = token.text
        try:
            if token.kind == "raw":
                return text[1:-1]
            if token.kind == "string":
                return _unescape(text[1:-1])
            if token.kind == "char":
                return ord(_unescape(text[1:-1]))
            return int(text, 0) if re.fullmatch(r"[+-]?(0[xXoObB][\da-fA-F_]+|[1-9][\d_]*|0)", text) else float(text)
        except (ValueError, TypeError):
            action.fail(f"bad {'number' if token.kind == 'number' else 'character constant'} syntax: {text}")

    def _name(self, action: _Action, token: _Token) -> "_Operand":
        text = token.text
        if text in ("true", "false"):
            return _Operand(_constant(text == "true"), text, token.pos)
        if text == "nil":
            return _Operand(_constant(None), text, token.pos)
        if text not in self.functions and text not in ("and", "or"):
            action.fail(f'function "{text}" not defined')
        return _Operand(_constant(None), text, token.pos, function=text)

    def _field(self, base_value: "Expr", token: _Token, *, base: str) -> "_Operand":
        name, offset, shown, template = token.text[1:], token.pos, f"{base}{token.text}", self

        def get(state: _State, dot: "Any") -> "Any":
            value = lookup(template, base_value(state, dot), name, offset, shown)
            return value() if callable(value) else value

        def method(arguments: "list[Expr]") -> "Expr":
            def call(state: _State, dot: "Any") -> "Any":
                found = lookup(template, base_value(state, dot), name, offset, shown)
                if not callable(found):
                    template.exec_error(offset, shown, f"{name} has arguments but cannot be invoked as function")
                values = [a(state, dot) for a in arguments]
                try:
                    return found(*values)
                except TypeError as e:
                    template.exec_error(offset, shown, f"wrong number of args for {name}: {e}")
            return call

        return _Operand(get, shown, offset, method=method)


class _Operand:
    __slots__ = ("value", "shown", "pos", "function", "method")

    def __init__(self, value: "Expr", shown: str, pos: int, *, function: str = "",
                 method: "Callable[[list[Expr]], Expr] | None" = None) -> None:
        self.value = value
        self.shown = shown
        self.pos = pos
        self.function = function
        self.method = method


def _split(template: Template, text: str) -> "list[tuple[str, str, int]]":
    """Text and actions in order: ("text" | "action", body, offset of body). Comments are gone, blanks trimmed."""
    pieces: "list[tuple[str, str, int]]" = []
    pos, trim = 0, False
    while True:
        start = text.find("{{", pos)
        plain = text[pos:] if start < 0 else text[pos:start]
        if trim:
            plain = plain.lstrip(" \t\r\n")
        if start < 0:
            pieces.append(("text", plain, pos))
            return [p for p in pieces if p[0] == "action" or p[1]]
        inside = start + 2
        if text[inside:inside + 1] == "-" and text[inside + 1:inside + 2].isspace():
            plain = plain.rstrip(" \t\r\n")
            inside += 1
        pieces.append(("text", plain, pos))
        body_start = inside + (len(text[inside:]) - len(text[inside:].lstrip()))
        if text.startswith("/*", body_start):
            close = text.find("*/", body_start)
            if close < 0:
                template.parse_error(start, "unclosed comment")
            end = text.find("}}", close)
            if end < 0 or text[close + 2:end].strip() not in ("", "-"):
                template.parse_error(start, "comment ends before closing delimiter")
        else:
            end = _action_end(text, inside)
            if end < 0:
                template.parse_error(start, "unclosed action")
            body = text[inside:end]
            if len(body) > 1 and body[-1] == "-" and body[-2].isspace():
                body = body[:-1]
            pieces.append(("action", body, inside))
        trim = text[end - 1] == "-" and text[end - 2].isspace()
        pos = end + 2


def _action_end(text: str, pos: int) -> int:
    """Where the }} of an action stands, which may hold "}}" in a string; -1: nowhere."""
    while pos < len(text):
        ch = text[pos]
        if ch == '"':
            m = re.compile(r'"(?:[^"\\\n]|\\.)*"').match(text, pos)
            if m is None:
                return text.find("}}", pos)
            pos = m.end()
        elif ch == "`":
            close = text.find("`", pos + 1)
            if close < 0:
                return text.find("}}", pos)
            pos = close + 1
        elif text.startswith("}}", pos):
            return pos
        else:
            pos += 1
    return -1


def lookup(template: Template, value: "Any", name: str, offset: int, shown: str) -> "Any":
    """The field, method or map entry of a value."""
    if isinstance(value, View):
        if name in value.fields:
            return value.fields[name]
        return template.exec_error(offset, shown, f"can't evaluate field {name} in type row")
    if isinstance(value, Struct):
        for key in (name, _FIELD_ALIASES.get(name, name)):
            if key in value:
                return value[key]
        folded = name.casefold()
        for key in value:
            if key.casefold() == folded:
                return value[key]
        return template.exec_error(offset, shown, f"can't evaluate field {name} in type struct")
    if isinstance(value, dict):
        return value.get(name, NO_VALUE)
    if value is None or value is NO_VALUE:
        return template.exec_error(offset, shown, f"nil pointer evaluating interface {{}}.{name}")
    return template.exec_error(offset, shown, f"can't evaluate field {name} in type {go_type(value)}")


def _run(body: "list[Stmt]", state: _State, dot: "Any") -> None:
    for statement in body:
        statement(state, dot)


def _dot(state: _State, dot: "Any") -> "Any":
    return dot


def _constant(value: "Any") -> "Expr":
    return lambda state, dot: value


def _variable(name: str) -> "Expr":
    return lambda state, dot: state.get(name)


def _text(text: str) -> "Stmt":
    return lambda state, dot: state.out.append(text)


def _print(value: "Expr") -> "Stmt":
    return lambda state, dot: state.out.append(go_string(value(state, dot)))


def _evaluate(value: "Expr") -> "Stmt":
    def run(state: _State, dot: "Any") -> None:
        value(state, dot)
    return run


def _raise(what: "type[Exception]") -> "Stmt":
    def run(state: _State, dot: "Any") -> None:
        raise what
    return run


def _assign(name: str, value: "Expr", *, new: bool) -> "Expr":
    def run(state: _State, dot: "Any") -> "Any":
        result = value(state, dot)
        if new:
            state.variables.append((name, result))
        else:
            state.set(name, result)
        return result
    return run


def _branch(condition: "Expr", then: "list[Stmt]", otherwise: "list[Stmt]", *, rebind: bool) -> "Stmt":
    def run(state: _State, dot: "Any") -> None:
        mark = len(state.variables)
        value = condition(state, dot)
        if truth(value):
            _run(then, state, value if rebind else dot)
        else:
            _run(otherwise, state, dot)
        del state.variables[mark:]
    return run


def _items(value: "Any") -> "list[tuple[Any, Any]] | None":
    if value is None or value is NO_VALUE:
        return []
    if isinstance(value, Struct):
        return None
    if isinstance(value, dict):
        return [(k, value[k]) for k in sorted(value, key=str)]
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(i, i) for i in range(value)]
    return None


def _loop(values: "Expr", names: list[str], declared: bool, body: "list[Stmt]", otherwise: "list[Stmt]",
          offset: int) -> "Stmt":
    def bind(state: _State, key: "Any", item: "Any") -> None:
        bound = [item] if len(names) == 1 else [key, item]
        for name, value in zip(names, bound, strict=False):
            if declared:
                state.variables.append((name, value))
            else:
                state.set(name, value)

    def run(state: _State, dot: "Any") -> None:
        value = values(state, dot)
        items = _items(value)
        if items is None:
            state.template.exec_error(offset, "range", f"range can't iterate over {go_string(value)}")
        if not items:
            _run(otherwise, state, dot)
        mark = len(state.variables)
        for key, item in items:
            bind(state, key, item)
            try:
                _run(body, state, item)
            except _Continue:
                pass
            except _Break:
                break
            finally:
                del state.variables[mark:]
    return run


def _call_template(name: str, argument: "Expr | None", offset: int) -> "Stmt":
    def run(state: _State, dot: "Any") -> None:
        body = state.template.definitions.get(name)
        if body is None:
            state.template.exec_error(offset, f'{{{{template "{name}"}}}}', f'template "{name}" not defined')
        if state.depth >= 200:  # Go stops at 100000; a format that nests so deep never ends
            state.template.exec_error(offset, f'{{{{template "{name}"}}}}', "exceeded maximum template depth")
        value = argument(state, dot) if argument else None
        outer, state.variables = state.variables, [("$", value)]
        state.depth += 1
        _run(body, state, value)
        state.depth -= 1
        state.variables = outer
    return run


def _short_circuit(name: str, arguments: "list[Expr]") -> "Expr":
    wanted = name == "or"

    def run(state: _State, dot: "Any") -> "Any":
        value: Any = None
        for argument in arguments:
            value = argument(state, dot)
            if truth(value) is wanted:
                break
        return value
    return run


def _wrong_count(name: str, got: int) -> str:
    return f"wrong number of args for {name}: got {got}"
