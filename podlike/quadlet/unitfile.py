"""Unit files: groups of key=value lines with their comments, read with the place of each line, changed, written again.

Source: systemd.syntax(7). A group that occurs more than once is one group. A backslash at the end of a line joins the next
one to it, comments in between are left out.
"""

from podlike.quadlet.problems import ERROR, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

SPACE: "Final" = " \t\n\v\f\r\x85\xa0"


class Line:
    """key=value, or a comment (key ""; value: the whole line). path and number: where it was read, "" and 0 if nowhere."""

    __slots__ = ("key", "value", "path", "number")

    def __init__(self, key: str, value: str, path: str = "", number: int = 0) -> None:
        self.key = key
        self.value = value
        self.path = path
        self.number = number

    def text(self) -> str:
        return f"{self.key}={self.value}\n" if self.key else f"{self.value}\n"


class Group:
    __slots__ = ("name", "path", "number", "comments", "lines")

    def __init__(self, name: str, path: str = "", number: int = 0) -> None:
        self.name = name
        self.path = path
        self.number = number
        self.comments: list[Line] = []  # those above the heading
        self.lines: list[Line] = []

    def last(self, key: str) -> Line | None:
        for line in reversed(self.lines):
            if line.key == key:
                return line
        return None

    def merge(self, other: "Group") -> None:
        self.comments += other.comments
        self.lines += other.lines

    def text(self) -> str:
        head = "".join(c.text() for c in self.comments)
        return f"{head}[{self.name}]\n{''.join(line.text() for line in self.lines)}" if self.name else head


class UnitFile:
    """name: of the file; path: where it was read. Groups stay in the order of their first occurrence.

    A group named "" holds the comments of a file without any group.
    """

    __slots__ = ("name", "path", "groups")

    def __init__(self, name: str, path: str = "") -> None:
        self.name = name
        self.path = path
        self.groups: dict[str, Group] = {}

    # --- reading ---

    def group(self, name: str) -> Group:
        """The group, made at the end if it is not there."""
        found = self.groups.get(name)
        if found is None:
            found = self.groups[name] = Group(name)
        return found

    def last(self, group: str, key: str) -> Line | None:
        found = self.groups.get(group)
        return found.last(key) if found is not None else None

    def text(self, group: str, key: str) -> str | None:
        """The last value of a key, without blanks behind it and without a pair of double quotes around it."""
        line = self.last(group, key)
        return None if line is None else plain(line.value)

    def boolean(self, group: str, key: str, default: bool) -> bool:
        value = self.text(group, key)
        return default if value is None else is_true(value)

    def lines(self, group: str, *keys: str) -> list[Line]:
        """The lines of a key (or of several that mean the same); an empty value takes back those before it."""
        found: list[Line] = []
        for line in self.groups[group].lines if group in self.groups else ():
            if line.key in keys:
                found = [*found, line] if line.value else []
        return found

    def keys(self, group: str) -> "Iterator[Line]":
        """The first line of every key of a group."""
        seen = set()
        for line in self.groups[group].lines if group in self.groups else ():
            if line.key and line.key not in seen:
                seen.add(line.key)
                yield line

    # --- changing ---

    def add(self, group: str, key: str, value: str) -> None:
        self.group(group).lines.append(Line(key, value))

    def prepend(self, group: str, key: str, value: str) -> None:
        self.group(group).lines.insert(0, Line(key, value))

    def set(self, group: str, key: str, value: str) -> None:
        """Put it in place of the last line of that key, or at the end."""
        lines = self.group(group).lines
        for i in range(len(lines) - 1, -1, -1):
            if lines[i].key == key:
                lines[i] = Line(key, value, lines[i].path, lines[i].number)
                return
        lines.append(Line(key, value))

    def remove(self, group: str, key: str) -> None:
        if group in self.groups:
            self.groups[group].lines = [line for line in self.groups[group].lines if line.key != key]

    def rename(self, old: str, new: str) -> None:
        """Give a group another name in its place; where that is taken, the lines go to the group that has it."""
        group = self.groups.get(old)
        if group is None:
            return
        if new in self.groups:
            self.groups[new].merge(self.groups.pop(old))
            return
        group.name = new
        self.groups = {g.name: g for g in self.groups.values()}

    def merge(self, other: "UnitFile") -> None:
        """Add the lines of a drop-in."""
        for name, group in other.groups.items():
            if name not in self.groups:
                self.groups[name] = Group(name, group.path, group.number)
            self.groups[name].merge(group)

    def copy(self, name: str) -> "UnitFile":
        copied = UnitFile(name)
        copied.merge(self)
        return copied

    def comment_first(self, *texts: str) -> None:
        """Put comments at the head of the file."""
        group = next(iter(self.groups.values())) if self.groups else self.group("")
        group.comments[:0] = [Line("", f"# {text}") for text in texts]

    def to_text(self) -> str:
        return "\n".join(group.text() for group in self.groups.values())


def plain(value: str) -> str:
    """A value without blanks behind it and without a pair of double quotes around it."""
    value = value.rstrip(SPACE)
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def is_true(value: str) -> bool:
    return value.lower() in ("1", "yes", "true", "on")


def template_parts(name: str) -> tuple[str, str, bool]:
    """("web", "blue", True) for web@blue.container; ("web", "", True) for web@.container; ("web", "", False)."""
    base, at, instance = stem(name).partition("@")
    return base, instance, bool(at)


def stem(name: str) -> str:
    """A unit's name without its extension."""
    dot = name.rfind(".")
    return name[:dot] if dot > 0 else name


def parse(text: str, path: str, problems: list[Problem]) -> UnitFile:
    """Read the text of a file. What cannot be understood is added to problems, as errors, and left out."""
    unit = UnitFile(path.rpartition("/")[2], path)
    reader = _Parser(unit, problems)
    lines = text.removesuffix("\n").split("\n")
    joined, begin = "", 0  # of a line that goes on
    for number, line in enumerate(lines, 1):
        line = line.strip(SPACE)
        if not line or line[0] in "#;":
            if not joined:
                reader.comment(line, number)
            continue
        if line[-1] == "\\":
            line = line[:-1]
            if number < len(lines):
                joined, begin = joined + line, begin or number
                continue
        if joined or begin:
            line, number, joined, begin = joined + line, begin, "", 0
        reader.line(line, number)
    if joined:  # what followed was comments to the end of the file
        reader.line(joined, begin)
    reader.finish()
    return unit


class _Parser:
    """Puts lines into a unit; keeps comments until it is known to what they belong."""

    __slots__ = ("unit", "problems", "group", "pending", "homeless")

    def __init__(self, unit: UnitFile, problems: list[Problem]) -> None:
        self.unit = unit
        self.problems = problems
        self.group: Group | None = None
        self.pending: list[Line] = []
        self.homeless = False  # a line before the first group was told

    def comment(self, line: str, number: int) -> None:
        self.pending.append(Line("", line, self.unit.path, number))

    def line(self, line: str, number: int) -> None:
        head, bracket, rest = line.partition("]")
        if line[:1] == "[" and bracket and not rest.strip(" \t"):
            self._heading(head[1:], number)
            return
        key, equals, value = line.partition("=")
        if not equals or not key:
            self._wrong(number, f"file contains line {number}: “{line}” which is not a key-value pair, group, or comment")
            return
        key = key.rstrip(SPACE)
        if self.group is None:
            if not self.homeless:
                self._wrong(number, "key file does not start with a group")
            self.homeless = True
            return
        self.group.lines += self._comments()
        self.group.lines.append(Line(key, value.lstrip(SPACE), self.unit.path, number))

    def _heading(self, name: str, number: int) -> None:
        if not name or "[" in name or any(c < " " or "\x7f" <= c < "\xa0" for c in name):
            self._wrong(number, f"invalid group name: {name}")
            return
        group = self.unit.groups.get(name)
        if group is None:
            group = self.unit.groups[name] = Group(name, self.unit.path, number)
        if self.pending and not self.pending[0].value:  # the empty line between groups is written anyhow
            del self.pending[0]
        group.comments += self._comments()
        self.group = group

    def finish(self) -> None:
        group = self.group if self.group is not None else self.unit.group("")
        (group.lines if group.name else group.comments).extend(self._comments())

    def _comments(self) -> list[Line]:
        kept, self.pending = self.pending, []
        return kept

    def _wrong(self, number: int, text: str) -> None:
        self.problems.append(Problem(ERROR, self.unit.path, number, text, about_text=True))
