"""Which files of a build's context are left out: .containerignore, .dockerignore.

Source: docs.docker.com/build/concepts/context, ".dockerignore files". The last pattern that fits decides; "!" takes back.
"""

import posixpath
import re

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

_CLASS: "Final" = re.compile(r"\[\^?(?:\\.|[^\]\\])+\]")
_MAX_PATTERNS: "Final" = 10_000


class Ignored:
    """The patterns of one file, in order."""

    __slots__ = ("_rules", "_taken_back")

    def __init__(self, lines: "Iterable[str]", path: str = ".dockerignore") -> None:
        """Raises: UsageError with path and line."""
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
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
            compiled = compile_pattern(pattern)
            if compiled is None:
                raise UsageError(f"{path}:{number}: {line[:80]} is no pattern",
                                 hint="Close its [, or end it with something else than a backslash.")
            self._rules.append((keep, compiled))
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


def compile_pattern(pattern: str) -> "re.Pattern[str] | None":
    """Go's filepath.Match with ** for any number of directories; what fits a directory fits all below it. None: malformed."""
    out, at = "", 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "*":
            if pattern[at:at + 1] != "*":
                out += "[^/]*"
                continue
            at += 1
            if pattern[at:at + 1] == "/":
                at += 1
                out += "(?:.*/)?"
            else:
                out += ".*"
        elif letter == "?":
            out += "[^/]"
        elif letter == "[":
            found = _CLASS.match(pattern, at - 1)
            if found is None:
                return None
            out += found.group()
            at = found.end()
        elif letter == "\\":
            if at == len(pattern):
                return None
            out += re.escape(pattern[at])
            at += 1
        else:
            out += re.escape(letter)
    try:
        return re.compile(f"(?:{out})(?:/.*)?", re.S)
    except re.error:  # a range that runs backwards
        return None
