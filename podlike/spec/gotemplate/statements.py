"""What a template consists of: text, actions, if, with, range, template."""

from abc import ABC, abstractmethod

from podlike.spec.gotemplate.nodes import Place
from podlike.spec.gotemplate.running import MAX_DEPTH
from podlike.spec.govalues import NO_VALUE, Struct, go_string, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from podlike.spec.gotemplate.nodes import Pipeline
    from podlike.spec.gotemplate.running import State


class Statement(ABC):
    __slots__ = ()

    @abstractmethod
    def write(self, state: "State", dot: "Any") -> None: ...


class Break(Exception):
    pass


class Continue(Exception):
    pass


class Text(Statement):
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def write(self, state: "State", dot: "Any") -> None:
        state.out.append(self.text)


class Action(Statement):
    """A pipeline whose value is printed, unless a variable gets it."""

    __slots__ = ("pipeline",)

    def __init__(self, pipeline: "Pipeline") -> None:
        self.pipeline = pipeline

    def write(self, state: "State", dot: "Any") -> None:
        value = self.pipeline.value(state, dot)
        if not self.pipeline.names:
            state.out.append(go_string(value))


class Leave(Statement):
    """break and continue."""

    __slots__ = ("how",)

    def __init__(self, how: "type[Exception]") -> None:
        self.how = how

    def write(self, state: "State", dot: "Any") -> None:
        raise self.how


class Branch(Statement):
    """if, and with, where dot becomes the value."""

    __slots__ = ("otherwise", "pipeline", "rebinds", "then")

    def __init__(self, pipeline: "Pipeline", then: "list[Statement]", otherwise: "list[Statement]", *, rebinds: bool) -> None:
        self.pipeline = pipeline
        self.then = then
        self.otherwise = otherwise
        self.rebinds = rebinds

    def write(self, state: "State", dot: "Any") -> None:
        mark = len(state.variables)
        value = self.pipeline.value(state, dot)
        if truth(value):
            write_all(self.then, state, value if self.rebinds else dot)
        else:
            write_all(self.otherwise, state, dot)
        del state.variables[mark:]


class Range(Statement):
    __slots__ = ("body", "otherwise", "pipeline")

    def __init__(self, pipeline: "Pipeline", body: "list[Statement]", otherwise: "list[Statement]") -> None:
        self.pipeline = pipeline
        self.body = body
        self.otherwise = otherwise

    def write(self, state: "State", dot: "Any") -> None:
        mark = len(state.variables)
        value = self.pipeline.undeclared(state, dot)
        items = _items(value)
        if items is None:
            state.fail(f"range can't iterate over {go_string(value)}")
        if not items:
            write_all(self.otherwise, state, dot)
        for key, item in items:
            self._bind(state, key, item)
            try:
                write_all(self.body, state, item)
            except Continue:
                pass
            except Break:
                break
            finally:
                del state.variables[mark:]
        del state.variables[mark:]

    def _bind(self, state: "State", key: "Any", item: "Any") -> None:
        names = self.pipeline.names
        for name, value in zip(names, (item,) if len(names) == 1 else (key, item), strict=False):
            if self.pipeline.assigns:
                state.set(name, value)
            else:
                state.variables.append((name, value))


def _items(value: "Any") -> "list[tuple[Any, Any]] | None":
    if value is None or value is NO_VALUE:
        return []
    if isinstance(value, Struct):
        return None
    if isinstance(value, dict):
        return [(k, _shown(value[k])) for k in sorted(value, key=str)]
    if isinstance(value, (list, tuple)):
        return [(i, _shown(v)) for i, v in enumerate(value)]
    if isinstance(value, int) and not isinstance(value, bool):
        return [(i, i) for i in range(value)]
    return None


def _shown(value: "Any") -> "Any":
    return NO_VALUE if value is None else value


class Call(Place, Statement):
    """{{template "name" pipeline}}"""

    __slots__ = ("called", "pipeline")

    def __init__(self, pos: int, called: str, quoted: str, pipeline: "Pipeline | None") -> None:
        super().__init__(pos, f"{{{{template {quoted}{f' {pipeline}' if pipeline else ''}}}}}")
        self.called = called
        self.pipeline = pipeline

    def write(self, state: "State", dot: "Any") -> None:
        state.node = self
        body = state.definitions.get(self.called)
        if body is None:
            state.fail(f'template "{self.called}" not defined')
        if state.depth >= MAX_DEPTH:
            state.fail(f"exceeded maximum template depth ({MAX_DEPTH})")
        value = self.pipeline.value(state, dot) if self.pipeline else NO_VALUE
        outer = state.variables, state.name
        state.variables, state.name = [("$", value)], self.called
        state.depth += 1
        write_all(body, state, value)
        state.depth -= 1
        state.variables, state.name = outer


def write_all(body: "Iterable[Statement]", state: "State", dot: "Any") -> None:
    for statement in body:
        statement.write(state, dot)
