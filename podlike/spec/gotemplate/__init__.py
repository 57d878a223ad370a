"""Go's text/template for --format: all of its language, podman's and docker's functions, and its words for mistakes.

    lexer.py       text -> tokens
    parser.py      tokens -> nodes
    nodes.py       expressions: fields, variables, calls, pipelines; each evaluates itself
    statements.py  what writes: text, if, with, range, template
    running.py     the state of one execution, and where an error is

How Python values stand for Go's: a dict is a map (a missing key is <no value>); Struct is a struct (an unknown field is an
error); View is a row with computed fields; list, str, int, float, bool, None are themselves; a callable field is a
method (`{{.Label "x"}}`). Values and functions: spec/govalues.py, spec/gofunctions.py, spec/gofmt.py.

Source: pkg.go.dev/text/template, pkg.go.dev/fmt. tests/unit/data/gotemplate.json has what Go 1.24 makes of 260 templates.
"""

from podlike.spec.gofunctions import FUNCTIONS
from podlike.spec.gotemplate.parser import Parser
from podlike.spec.gotemplate.running import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Template"]


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
        parser = Parser(name, text, self.functions)
        self._body = parser.parse()
        self._definitions = parser.definitions

    def execute(self, data: "Any") -> str:
        """Raises: TemplateError where the template does not fit the data."""
        state = State(self.name, self.text, self._definitions, data)
        for statement in self._body:
            statement.write(state, data)
        return "".join(state.out)
