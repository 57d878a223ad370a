"""Which files of a build's context are left out: .containerignore, .dockerignore.

Source: docs.docker.com/build/concepts/context, ".dockerignore files". The last pattern that fits decides; "!" takes back.
"""

import posixpath

from podlike.errors import UsageError
from podlike.spec.globs import compiled

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable
    from typing import Final

_MAX_PATTERNS: "Final" = 10_000


class Ignored:
    """The patterns of one file, in order."""

    __slots__ = ("_rules", "_taken_back")

    def __init__(self, lines: "Iterable[str]", path: str = ".dockerignore") -> None:
        """Raises: UsageError with path and line."""
        self._rules: "list[tuple[bool, re.Pattern[str]]]" = []
        self._taken_back: list[str] = []
        for number, raw in enumerate(lines, 1):
            line = raw.removeprefix("\ufeff") if number == 1 else raw
            if line.startswith("#"):
                continue
            line = line.strip()
            keep = line.startswith("!")
            pattern = line.removeprefix("!").strip()
            if not pattern:
                if keep:
                    raise UsageError(f'{path}:{number}: "!" takes nothing back', hint="Put a pattern behind it.")
                continue
            pattern = posixpath.normpath("/" + pattern.replace("//", "/")).lstrip("/")
            if not pattern or pattern == ".":
                continue
            fitting = compiled(pattern, deep=True, below="(?:/.*)?")
            if fitting is None:
                raise UsageError(f"{path}:{number}: {line[:80]} is no pattern",
                                 hint="Close its [, or end it with something else than a backslash.")
            self._rules.append((keep, fitting))
            if keep:
                self._taken_back.append(f"{pattern}/")
            if len(self._rules) > _MAX_PATTERNS:
                raise UsageError(f"{path}:{number}: more than {_MAX_PATTERNS} patterns")

    def __bool__(self) -> bool:
        return bool(self._rules)

    def leaves_out(self, path: str) -> bool:
        """Whether this file goes. path: relative to the context. A pattern that fits a directory fits all that is in it."""
        out = False
        for keep, pattern in self._rules:
            if out == keep and pattern.fullmatch(path):
                out = not keep
        return out

    def may_keep_below(self, directory: str) -> bool:
        """Whether a directory that is left out is looked into: a pattern that takes back begins with its name, letter by
        letter, as podman and docker have it."""
        return any(pattern.startswith(f"{directory}/") for pattern in self._taken_back)
