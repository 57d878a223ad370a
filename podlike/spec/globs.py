"""Shell patterns as Go's path.Match reads them: * and ? stop at a slash. Source: pkg.go.dev/path#Match."""

import re
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_CLASS: "Final" = re.compile(r"\[\^?(?:\\.|[^\]\\])+\]")


def path_match(pattern: str, name: str) -> bool:
    """Whether the pattern matches the whole name; a malformed pattern matches nothing."""
    compiled = _compiled(pattern)
    return compiled is not None and compiled.fullmatch(name) is not None


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> "re.Pattern[str] | None":
    return compiled(pattern)


def compiled(pattern: str, *, deep: bool = False, below: str = "") -> "re.Pattern[str] | None":
    """For fullmatch(); None: malformed. deep: ** is any number of directories. below: what may follow, as an expression."""
    out, at = "", 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "*" and deep and pattern[at:at + 1] == "*":
            at += 1
            slash = pattern[at:at + 1] == "/"
            at += slash
            out += "(?:.*/)?" if slash else ".*"
        elif letter == "*":
            out += "[^/]*"
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
        return re.compile(f"(?:{out}){below}", re.S)
    except re.error:  # a range that runs backwards
        return None
