"""One execution of a template."""

from podlike.spec.govalues import TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, NoReturn

    from podlike.spec.gotemplate.nodes import Place
    from podlike.spec.gotemplate.statements import Statement

MAX_DEPTH: "Final" = 200  # Go stops at 100000; a format that nests so deep never ends


class State:
    """What has been written, the variables, and the node that is being evaluated, for errors."""

    __slots__ = ("definitions", "depth", "name", "node", "out", "template", "text", "variables")

    def __init__(self, template: str, text: str, definitions: "dict[str, list[Statement]]", data: "Any") -> None:
        self.template = template
        self.name = template  # of the definition that runs
        self.text = text
        self.definitions = definitions
        self.out: list[str] = []
        self.variables: "list[tuple[str, Any]]" = [("$", data)]
        self.node: "Place | None" = None
        self.depth = 0

    def get(self, name: str) -> "Any":
        for known, value in reversed(self.variables):
            if known == name:
                return value
        return self.fail(f"undefined variable: {name}")

    def set(self, name: str, value: "Any") -> None:
        for i in range(len(self.variables) - 1, -1, -1):
            if self.variables[i][0] == name:
                self.variables[i] = (name, value)
                return
        self.fail(f"undefined variable: {name}")

    def fail(self, why: str) -> "NoReturn":
        """Raises: TemplateError with the place of the present node."""
        if self.node is None:
            raise TemplateError(f"template: {self.template}: {why}")
        pos = self.node.pos
        line = self.text.count("\n", 0, pos) + 1
        column = len(self.text[self.text.rfind("\n", 0, pos) + 1:pos].encode())
        raise TemplateError(f'template: {self.template}:{line}:{column}: executing "{self.name}" at <{self.node}>: {why}')
