"""Quadlets into services: all of a machine's or a user's at once, because they name each other."""

from podlike.quadlet import container, kube, makers, pod, values
from podlike.quadlet.names import Entry, entry_of
from podlike.quadlet.problems import ERROR, WARNING, Problem, RefusedUnit
from podlike.quadlet.translation import Surroundings, begin
from podlike.quadlet.unitfile import UnitFile, is_true

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final

    from podlike.quadlet.translation import Translation

_TRANSLATORS: "Final[dict[str, Callable[[Translation], None]]]" = {
    ".artifact": makers.artifact, ".build": makers.build, ".container": container.translate, ".image": makers.image,
    ".kube": kube.translate, ".network": makers.network, ".pod": pod.translate, ".volume": makers.volume}


class Result:
    """What became of one Quadlet. service: None if it was refused."""

    __slots__ = ("entry", "service", "problems")

    def __init__(self, entry: Entry, service: UnitFile | None, problems: list[Problem]) -> None:
        self.entry = entry
        self.service = service
        self.problems = problems


def translate_all(units: "Iterable[UnitFile]", *, program: "tuple[str, ...]", user: bool,
                  exists: "Callable[[str], bool]") -> list[Result]:
    """Translate them, those first that others name.

    program: the words that call podlike. user: for the manager of a user. exists: whether a path of the host is there.
    """
    entries = [entry for entry in map(entry_of, units) if entry is not None]
    around = Surroundings(entries={e.unit.name: e for e in entries}, program=program, user=user, exists=exists)
    made: dict[str, Entry] = {}
    return [_translate(around, entry, made) for entry in sorted(entries, key=lambda e: e.kind.order)]


def _translate(around: Surroundings, entry: Entry, made: dict[str, Entry]) -> Result:
    """made: the entries whose services are there already, by their names."""
    unit, group = entry.unit, entry.kind.group
    problems = values.check_groups(unit, group)
    if group in ("Container", "Volume", "Image"):
        problems += values.check_image_name(unit, group)
    problems += values.check_keys(unit, group)
    if any(p.level == ERROR for p in problems):
        return _refused(entry, problems)
    try:
        problems += _check_service_name(entry, made)
        t = begin(around, entry)
        try:
            _TRANSLATORS[entry.kind.extension](t)
        finally:
            problems += t.problems
    except RefusedUnit as e:
        return _refused(entry, [*problems, e.problem])
    made[entry.service] = entry
    return Result(entry, t.service, problems + _check_notify(t))


def _refused(entry: Entry, problems: list[Problem]) -> Result:
    if entry.kind.extension != ".pod":
        entry.resource = ""  # nobody can rely on it
    return Result(entry, None, problems)


def _check_service_name(entry: Entry, made: dict[str, Entry]) -> list[Problem]:
    """Raises: RefusedUnit."""
    line = entry.unit.last(entry.kind.group, "ServiceName")
    path, number = (line.path, line.number) if line is not None else (entry.unit.path, 1)
    if "/" in entry.service:
        raise RefusedUnit(Problem(ERROR, path, number, f"invalid ServiceName '{entry.service.removesuffix('.service')}': "
                                  "a name of a service has no slash", about_text=True))
    other = made.get(entry.service)
    if other is None:
        return []
    return [Problem(WARNING, path, number, f"{entry.service} takes the place of the one made of {other.unit.path}")]


def _check_notify(t: "Translation") -> list[Problem]:
    """A service that waits for health without a check of it never starts; unless the image brings one."""
    line = t.line("Notify") if t.group == "Container" else None
    if line is None or t.text("Notify").lower() != "healthy" or is_true(line.value):
        return []
    if t.text("HealthCmd").lower() == "none":
        return [Problem(WARNING, line.path, line.number, "Notify=healthy waits for a health check, and HealthCmd=none "
                        "switches it off", about_text=True)]
    return []
