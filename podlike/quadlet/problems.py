"""What is wrong with a Quadlet, and where: file, line, what may have been meant."""

from podlike.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

ERROR: "Final" = "error"      # no unit is made
WARNING: "Final" = "warning"  # the unit is made, but this part of it has no effect, or another one than it seems
NOTE: "Final" = "note"        # it works, and there is a better way


class Problem:
    """One thing to tell. about_text: the file's own words are wrong (syntax, a key, a value), not what it lacks."""

    __slots__ = ("level", "path", "number", "text", "near", "about_text")

    def __init__(self, level: str, path: str, number: int, text: str, *, near: str = "", about_text: bool = False) -> None:
        self.level = level
        self.path = path
        self.number = number
        self.text = text
        self.near = near
        self.about_text = about_text

    @property
    def place(self) -> str:
        return f"{self.path}:{self.number}"

    @property
    def sentence(self) -> str:
        """The text with what may have been meant, without the place."""
        return f"{self.text}: did you mean {self.near}?" if self.near else self.text

    @property
    def line(self) -> str:
        """As compilers say it: "FILE:LINE: error: text"."""
        return f"{self.place}: {self.level}: {self.sentence}"


class RefusedUnit(ConfigError):
    """A Quadlet that no unit can be made of; `problem` says why and where."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.place}: {problem.sentence}")
        self.problem = problem


def nearest(word: str, known: "Iterable[str]") -> str:
    """The known word that was probably meant, "" when none is near: another case, or a few letters off."""
    lower = word.lower()
    best, least = "", max(1, len(word) // 3) + 1
    for candidate in known:
        distance = _distance(lower, candidate.lower(), least)
        if distance < least:
            best, least = candidate, distance
    return best


def _distance(a: str, b: str, limit: int) -> int:
    """Letters to add, drop, change or swap (Damerau-Levenshtein, adjacent swaps), or limit when there are that many."""
    if abs(len(a) - len(b)) >= limit:
        return limit
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row = row, [i]
        for j, y in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = last
        if min(row) >= limit:
            return limit
    return min(row[-1], limit)
