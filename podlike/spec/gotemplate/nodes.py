"""Expressions. str() of a node is its source in Go's usual spelling, which errors show."""

from abc import ABC, abstractmethod

from podlike.spec.gofunctions import Function
from podlike.spec.govalues import NO_VALUE, Struct, TemplateError, View, go_type, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

    from podlike.spec.gotemplate.running import State

# Names that podman's templates take for fields whose JSON key differs (.ID and .Id are the same field).
_FIELD_ALIASES: "Final" = {
    "ID": "Id", "Src": "Source", "Dst": "Destination", "ImageID": "Image", "CgroupsVersion": "cgroupVersion",
    "Healthcheck": "Health", "HealthMaxLogCount": "HealthcheckMaxLogCount", "HealthMaxLogSize": "HealthcheckMaxLogSize"}
_NOTHING: "Final" = object()  # no value comes through the pipe


class Place:
    """A part of a template that errors are shown at."""

    __slots__ = ("pos", "text")

    def __init__(self, pos: int, text: str) -> None:
        self.pos = pos
        self.text = text

    def __str__(self) -> str:
        return self.text


class Node(Place, ABC):
    """What has a value."""

    __slots__ = ()
    executable = True  # may stand behind a pipe

    def call(self, state: "State", dot: "Any", arguments: "Sequence[Node]", last: "Any") -> "Any":
        """The value of a command that begins with this node. last: what came through the pipe, or _NOTHING."""
        if arguments or last is not _NOTHING:
            state.node = self
            state.fail(f"can't give argument to non-function {self}")
        return self.value(state, dot)

    @abstractmethod
    def value(self, state: "State", dot: "Any") -> "Any": ...


class Constant(Node):
    """A number, a text, true or false."""

    __slots__ = ("constant",)
    executable = False

    def __init__(self, pos: int, text: str, constant: "Any") -> None:
        super().__init__(pos, text)
        self.constant = constant

    def value(self, state: "State", dot: "Any") -> "Any":
        state.node = self
        return self.constant


class Nil(Node):
    __slots__ = ()
    executable = False

    def call(self, state: "State", dot: "Any", arguments: "Sequence[Node]", last: "Any") -> "Any":
        state.node = self
        state.fail("nil is not a command")

    def value(self, state: "State", dot: "Any") -> "Any":
        return None


class Dot(Node):
    __slots__ = ()
    executable = False

    def value(self, state: "State", dot: "Any") -> "Any":
        state.node = self
        return dot


class Field(Node):
    """.A.B of dot, $x.A.B of a variable, (...).A.B of anything. base: None for dot."""

    __slots__ = ("base", "names")

    def __init__(self, pos: int, text: str, base: "Node | None", names: "list[str]") -> None:
        super().__init__(pos, text)
        self.base = base
        self.names = names

    def call(self, state: "State", dot: "Any", arguments: "Sequence[Node]", last: "Any") -> "Any":
        value = dot if self.base is None else self.base.value(state, dot)
        state.node = self
        for name in self.names[:-1]:
            value = _got(lookup(state, value, name), state, name)
        name = self.names[-1]
        found = lookup(state, value, name)
        if not arguments and last is _NOTHING:
            return _got(found, state, name)
        if not callable(found):
            state.fail(f"{name} has arguments but cannot be invoked as function")
        method = Function(found, _kinds_of(found))
        return invoke(state, dot, self, name, method, arguments, last)

    def value(self, state: "State", dot: "Any") -> "Any":
        return self.call(state, dot, (), _NOTHING)


class Variable(Node):
    __slots__ = ()

    def value(self, state: "State", dot: "Any") -> "Any":
        state.node = self
        return state.get(self.text)

    def call(self, state: "State", dot: "Any", arguments: "Sequence[Node]", last: "Any") -> "Any":
        if arguments or last is not _NOTHING:
            state.node = self
            state.fail(f"can't give argument to non-function {self}")
        return self.value(state, dot)


class Identifier(Node):
    """The name of a function."""

    __slots__ = ("function",)

    def __init__(self, pos: int, text: str, function: "Callable[..., Any]") -> None:
        super().__init__(pos, text)
        self.function = function if isinstance(function, Function) else Function(function, _kinds_of(function))

    def call(self, state: "State", dot: "Any", arguments: "Sequence[Node]", last: "Any") -> "Any":
        state.node = self
        if self.text in ("and", "or"):
            return self._short_circuit(state, dot, arguments, last)
        return invoke(state, dot, self, self.text, self.function, arguments, last)

    def value(self, state: "State", dot: "Any") -> "Any":
        return self.call(state, dot, (), _NOTHING)

    def _short_circuit(self, state: "State", dot: "Any", arguments: "Sequence[Node]", last: "Any") -> "Any":
        if not arguments and last is _NOTHING:
            state.fail(f"wrong number of args for {self}: want at least 1 got 0")
        value: "Any" = None
        for argument in arguments:
            value = argument.value(state, dot)
            if truth(value) is (self.text == "or"):
                return value
        return value if last is _NOTHING else last


class Command(Place):
    """A word and its arguments."""

    __slots__ = ("arguments", "head")

    def __init__(self, operands: "list[Node]") -> None:
        super().__init__(operands[0].pos, " ".join(f"({o})" if isinstance(o, Pipeline) else str(o) for o in operands))
        self.head = operands[0]
        self.arguments = operands[1:]

    def run(self, state: "State", dot: "Any", last: "Any") -> "Any":
        if isinstance(self.head, Identifier) and self.head.text not in ("and", "or"):
            state.node = self.head
            return invoke(state, dot, self, self.head.text, self.head.function, self.arguments, last)
        return self.head.call(state, dot, self.arguments, last)


class Pipeline(Node):
    """Commands, each given the value of the one before; and the variables that get the last one's."""

    __slots__ = ("assigns", "commands", "names")

    def __init__(self, pos: int, commands: "list[Command]", names: "list[str]", *, assigns: bool) -> None:
        text = " | ".join(map(str, commands))
        super().__init__(pos, f"{', '.join(names)} {'=' if assigns else ':='} {text}" if names else text)
        self.commands = commands
        self.names = names
        self.assigns = assigns

    def value(self, state: "State", dot: "Any") -> "Any":
        value: "Any" = _NOTHING
        for command in self.commands:
            value = command.run(state, dot, value)
        for name in self.names:
            if self.assigns:
                state.set(name, value)
            else:
                state.variables.append((name, value))
        return value

    def undeclared(self, state: "State", dot: "Any") -> "Any":
        """The value, for `range`, which sets its variables itself."""
        value: "Any" = _NOTHING
        for command in self.commands:
            value = command.run(state, dot, value)
        return value


# --- fields and calls -------------------------------------------------------------------------------------------

def lookup(state: "State", value: "Any", name: str) -> "Any":
    """The field, method or map entry of a value."""
    if isinstance(value, View):
        if name in value.fields:
            return value.fields[name]
        state.fail(f"can't evaluate field {name} in type {go_type(value)}")
    if isinstance(value, Struct):
        for key in (name, _FIELD_ALIASES.get(name, name)):
            if key in value:
                return value[key]
        folded = name.casefold()
        for key in value:
            if key.casefold() == folded:
                return value[key]
        state.fail(f"can't evaluate field {name} in type {go_type(value)}")
    if isinstance(value, dict):
        found = value.get(name)
        return NO_VALUE if found is None else found
    if value is NO_VALUE:
        return NO_VALUE
    if value is None:
        state.fail(f"nil pointer evaluating interface {{}}.{name}")
    return state.fail(f"can't evaluate field {name} in type {go_type(value)}")


def _got(found: "Any", state: "State", name: str) -> "Any":
    """A field's value; a method is called."""
    if not callable(found):
        return found
    wanted = _kinds_of(found)
    if isinstance(wanted, tuple) and wanted:
        state.fail(f"wrong number of args for {name}: want {len(wanted)} got 0")
    return found()


def _kinds_of(function: "Any") -> "tuple[str, ...] | None":
    """What a method of ours takes: texts; None: any number of anything."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & 0x04:  # *arguments
        return None
    required: int = code.co_argcount - len(function.__defaults__ or ())
    return ("string",) * required


def invoke(state: "State", dot: "Any", node: Place, name: str, function: Function, arguments: "Sequence[Node]",
           last: "Any") -> "Any":
    """Call a function or method. node: what errors of the call itself are shown at."""
    kinds, count = function.kinds, len(arguments) + (last is not _NOTHING)
    if kinds is not None:
        least = len(kinds) - function.variadic
        if count < least or (count > least and not function.variadic):
            state.fail(f"wrong number of args for {name}: want {'at least ' if function.variadic else ''}{least} got {count}")
    values = [_argument(state, dot, argument, _kind(kinds, i)) for i, argument in enumerate(arguments)]
    if last is not _NOTHING:
        values.append(_checked(state, last, _kind(kinds, len(values))))
    try:
        return function.run(*values)
    except TemplateError:
        raise
    except Exception as e:
        state.node = node
        state.fail(f"error calling {name}: {e}")


def _kind(kinds: "tuple[str, ...] | None", index: int) -> str:
    return "any" if not kinds else kinds[min(index, len(kinds) - 1)]


_GO_WORDS: "Final" = {"string": "string", "int": "integer"}


def _argument(state: "State", dot: "Any", node: Node, kind: str) -> "Any":
    """Raises: TemplateError where the function takes something else."""
    value = node.value(state, dot)
    if kind != "any" and isinstance(node, Constant) and not _fits(value, kind):
        state.node = node
        if kind == "strings":
            state.fail(f"can't handle {node} for arg of type []string")
        state.fail(f"expected {_GO_WORDS[kind]}; found {node}")
    return _checked(state, value, kind)


def _checked(state: "State", value: "Any", kind: str) -> "Any":
    if _fits(value, kind):
        return value
    wanted = "[]string" if kind == "strings" else kind
    if value is None or value is NO_VALUE:
        state.fail(f"invalid value; expected {wanted}")
    return state.fail(f"wrong type for value; expected {wanted}; got {go_type(value)}")


def _fits(value: "Any", kind: str) -> bool:
    if kind == "any":
        return True
    if kind == "strings":
        return isinstance(value, (list, tuple, dict)) or value is None or value is NO_VALUE
    return isinstance(value, str) if kind == "string" else isinstance(value, int) and not isinstance(value, bool)


