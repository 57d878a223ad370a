"""One Quadlet on its way to becoming a service: what its keys say, the service so far, the other Quadlets.

The modules named after kinds of Quadlets fill in the service with the functions of the class Translation.
Source: podman-systemd.unit(5) of podman 5.8; the words of errors are podman's.
"""

import os.path

from podlike.quadlet import keys, words
from podlike.quadlet.names import Entry
from podlike.quadlet.problems import ERROR, WARNING, Problem, RefusedUnit
from podlike.quadlet.unitfile import Line, UnitFile, is_true, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final, NoReturn

# The user manager cannot wait for the system's network-online.target; this is podman's name for a unit that does.
WAIT_UNIT: "Final" = "podman-user-wait-network-online.service"


class Surroundings:
    """What all units of one run share.

    entries: every Quadlet by the name of its file. program: the words that call podlike. user: for a user's manager, not
    the system's. exists: whether a path of this host is there.
    """

    __slots__ = ("entries", "program", "user", "exists")

    def __init__(self, *, entries: "dict[str, Entry]", program: "tuple[str, ...]", user: bool,
                 exists: "Callable[[str], bool]") -> None:
        self.entries = entries
        self.program = program
        self.user = user
        self.exists = exists


class Translation:
    """unit and group: what is read; service: what is made; problems: what is found on the way."""

    __slots__ = ("around", "entry", "unit", "group", "service", "problems")

    def __init__(self, around: Surroundings, entry: Entry) -> None:
        self.around = around
        self.entry = entry
        self.unit: UnitFile = entry.unit
        self.group = entry.kind.group
        self.service = entry.unit.copy(entry.service)
        self.problems: list[Problem] = []

    # --- what the Quadlet says ---

    def line(self, key: str) -> Line | None:
        return self.unit.last(self.group, key)

    def text(self, key: str) -> str:
        """The last value of a key, "" if there is none."""
        return self.unit.text(self.group, key) or ""

    def given(self, key: str) -> str | None:
        """The same, with None for a key that is not there."""
        return self.unit.text(self.group, key)

    def flag(self, key: str, default: bool = False) -> bool:
        return self.unit.boolean(self.group, key, default)

    def all(self, *names: str) -> list[str]:
        return [line.value for line in self.unit.lines(self.group, *names)]

    def names(self, key: str) -> list[str]:
        """The words of all values, as systemd splits lists of names."""
        return [word for _, word in self._split((key,), unescape=False)]

    def arguments(self, *names: str) -> list[str]:
        """The words of all values, as systemd splits command lines."""
        return [word for _, word in self._split(names, unescape=True)]

    def placed_arguments(self, *names: str) -> list[tuple[Line, str]]:
        return self._split(names, unescape=True)

    def last_arguments(self, key: str) -> list[str]:
        """The words of the last value."""
        line = self.line(key)
        return [] if line is None else self._words(line, unescape=True)

    def pairs(self, key: str) -> list[str]:
        """KEY=VALUE words of all values, sorted; of several for one KEY the last one."""
        found = {word.partition("=")[0]: word for word in self.arguments(key)}
        return [found[name] for name in sorted(found)]

    def _split(self, names: "tuple[str, ...]", *, unescape: bool) -> list[tuple[Line, str]]:
        return [(line, word) for line in self.unit.lines(self.group, *names) for word in self._words(line, unescape=unescape)]

    def _words(self, line: Line, *, unescape: bool) -> list[str]:
        try:
            return words.split_words(line.value, unescape=unescape)
        except words.WordError as e:
            self.problems.append(Problem(WARNING, line.path, line.number, f"{line.key}={line.value} has no effect: {e}",
                                         about_text=True))
            return []

    # --- what is wrong with it ---

    def refuse(self, text: str, *names: str, about_text: bool = False) -> "NoReturn":
        """End the translation; the place is the first of these keys that is there, else the group's heading."""
        for key in names:
            line = self.line(key)
            if line is not None:
                raise RefusedUnit(Problem(ERROR, line.path, line.number, text, about_text=about_text))
        group = self.unit.groups.get(self.group)
        raise RefusedUnit(Problem(ERROR, (group and group.path) or self.unit.path, group.number if group else 1, text))

    # --- the service ---

    def setting(self, key: str) -> str | None:
        """A setting of the group Service."""
        return self.service.text("Service", key)

    def set_default(self, key: str, value: str) -> None:
        if self.service.last("Service", key) is None:
            self.service.set("Service", key, value)

    def command(self, *arguments: str) -> list[str]:
        """podlike with the global options that the Quadlet wants, and arguments."""
        return [*self.around.program, *(f"--module={m}" for m in self.all("ContainersConfModule")),
                *self.arguments("GlobalArgs"), *arguments]

    def execute(self, key: str, command: list[str]) -> None:
        self.service.add("Service", key, words.quote_words(command))

    def need(self, service: str, key: str = "Requires") -> None:
        """Have the service of another Quadlet started before."""
        self.service.add("Unit", key, service)
        self.service.add("Unit", "After", service)

    def need_mount(self, path: str) -> None:
        self.service.add("Unit", "RequiresMountsFor", words.quote_word(path))

    def absolute(self, path: str) -> str:
        """A path as seen from the Quadlet's directory; one that begins with a specifier is left to systemd."""
        if path.startswith("/") or (path.startswith("%") and not path.startswith("%%")):
            return path
        directory = os.path.dirname(self.unit.path).replace("%", "%%")
        return os.path.normpath(f"{directory}/{path}")

    # --- options ---

    def strings(self, table: "Iterable[tuple[str, str]]") -> list[str]:
        """FLAG VALUE for the keys that have a value."""
        return [word for key, flag in table for value in (self.text(key),) if value for word in (flag, value)]

    def repeated(self, table: "Iterable[tuple[str, str]]") -> list[str]:
        """FLAG VALUE for each value of the keys."""
        return [word for key, flag in table for value in self.all(key) for word in (flag, value)]

    def repeated_names(self, table: "Iterable[tuple[str, str]]") -> list[str]:
        return [word for key, flag in table for value in self.names(key) for word in (flag, value)]

    def repeated_arguments(self, table: "Iterable[tuple[str, str]]") -> list[str]:
        return [word for key, flag in table for value in self.arguments(key) for word in (flag, value)]

    def repeated_pairs(self, table: "Iterable[tuple[str, str]]") -> list[str]:
        return [word for key, flag in table for value in self.pairs(key) for word in (flag, value)]

    def booleans(self, table: "Iterable[tuple[str, str]]") -> list[str]:
        return [flag if is_true(value) else f"{flag}=false" for key, flag in table
                for value in (self.given(key),) if value is not None]

    def extra(self) -> list[str]:
        """What the user adds to the command line."""
        return self.arguments("PodmanArgs", "PodlikeArgs")

    def other(self, name: str, missing: str, *names: str) -> Entry:
        """Another Quadlet. missing: the error's text if there is none of that name."""
        found = self.around.entries.get(name)
        if found is None:
            self.refuse(missing, *names, about_text=True)
        return found

    def resource(self, entry: Entry, *names: str) -> str:
        """The name of what another Quadlet makes."""
        if not entry.resource:  # a template's container, or a Quadlet that was refused
            self.refuse(f"cannot get the resource name of {entry.unit.name}", *names)
        return entry.resource


def begin(around: Surroundings, entry: Entry) -> Translation:
    """The service with what all kinds have in common. Raises: RefusedUnit."""
    t = Translation(around, entry)
    _translate_dependencies(t)
    service = t.service
    if service.boolean("Quadlet", "DefaultDependencies", True):
        online = WAIT_UNIT if around.user else "network-online.target"
        service.prepend("Unit", "After", online)
        service.prepend("Unit", "Wants", online)
    if t.unit.path:
        service.add("Unit", "SourcePath", t.unit.path.replace("%", "%%"))
    service.add("Unit", "RequiresMountsFor", "%t/containers")
    service.rename(t.group, f"X-{t.group}")
    service.rename("Quadlet", "X-Quadlet")
    return t


def _translate_dependencies(t: Translation) -> None:
    """Names of Quadlets in the group Unit become the names of their services."""
    for key in keys.DEPENDENCY_KEYS:
        lines = t.service.lines("Unit", key)
        found = []
        for line in lines:
            try:
                found += [(line, name) for name in words.split_words(line.value, unescape=False)]
            except words.WordError:
                continue  # systemd tells
        if not any(keys.kind_of(name) for _, name in found):
            continue
        translated = []
        for line, name in found:
            entry = t.around.entries.get(name)
            if entry is None and keys.kind_of(name):
                raise RefusedUnit(Problem(ERROR, line.path, line.number, f"unable to translate dependency for {name}",
                                          about_text=True))
            translated.append(entry.service if entry is not None else name)
        t.service.remove("Unit", key)
        t.service.add("Unit", key, " ".join(translated))


def oneshot(t: Translation, *, stays: bool) -> None:
    """What services have that make something and end. stays: they count as active afterwards."""
    t.set_default("SyslogIdentifier", "%N")
    t.set_default("Type", "oneshot")
    if stays:
        t.set_default("RemainAfterExit", "yes")


def check_kill_mode(t: Translation) -> None:
    """Only these two leave the monitor the time to clean up."""
    mode = t.setting("KillMode")
    if mode is None:
        t.service.set("Service", "KillMode", "mixed")
    elif mode not in ("mixed", "control-group"):
        line = t.unit.last("Service", "KillMode")
        assert line is not None
        raise RefusedUnit(Problem(ERROR, line.path, line.number, f"invalid KillMode '{mode}'", about_text=True))


def service_type(t: Translation) -> str:
    """notify or oneshot. Raises: RefusedUnit."""
    line = t.unit.last("Service", "Type")
    if line is None:
        return "notify"
    value = plain(line.value)
    if value not in ("notify", "oneshot"):
        raise RefusedUnit(Problem(ERROR, line.path, line.number, f"invalid service Type '{value}'", about_text=True))
    return value
