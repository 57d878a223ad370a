"""Quadlets from files, with their drop-ins."""

import os
import stat

from podlike.quadlet.problems import ERROR, Problem
from podlike.quadlet.unitfile import UnitFile, parse, template_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from podlike.engine.quadlet.search import Directory

# Nobody writes such a unit; a mistake must not make the boot wait.
_LIMIT: "Final" = 1 << 20


def load_all(directories: "list[Directory]", problems: list[Problem],
             debug: "Callable[[str], None]") -> list[UnitFile]:
    """The Quadlets of all directories; what is wrong is added to problems, and a file with an error in it left out."""
    units: list[UnitFile] = []
    seen: set[str] = set()
    for directory in directories:
        for name in directory.quadlets():
            path = f"{directory.path}/{name}"
            if name in seen or os.path.isdir(path):
                continue
            debug(f"Loading source unit file {path}")
            unit = read_unit(path, problems)
            if unit is None:
                continue
            seen.add(name)
            if _merge_drop_ins(unit, directories, problems, debug):
                units.append(unit)
    return units


def read_unit(path: str, problems: list[Problem]) -> UnitFile | None:
    """One file without its drop-ins; None, and problems, if it cannot be read or has errors in it."""
    try:
        text = _read(path)
    except OSError as e:
        problems.append(Problem(ERROR, path, 1, str(e.strerror)))
        return None
    found: list[Problem] = []
    unit = parse(text, path, found)
    problems += found
    return None if found else unit


def _read(path: str) -> str:
    """Raises: OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it is not a regular file")
        if status.st_size > _LIMIT:
            raise OSError(0, f"it is larger than {_LIMIT} bytes")
        return os.read(fd, status.st_size).decode(errors="surrogateescape")
    finally:
        os.close(fd)


def _merge_drop_ins(unit: UnitFile, directories: "list[Directory]", problems: list[Problem],
                    debug: "Callable[[str], None]") -> bool:
    """Add the drop-ins of a unit, in the order of their names; False if one of them has an error."""
    paths: dict[str, str] = {}
    for folder in drop_in_directories(unit.name):
        for directory in directories:
            if folder in directory.names:
                for name in _listed(f"{directory.path}/{folder}", problems):
                    paths.setdefault(name, f"{directory.path}/{folder}/{name}")
    fine = True
    for name in sorted(paths):
        debug(f"Loading source drop-in file {paths[name]}")
        drop_in = read_unit(paths[name], problems)
        if drop_in is None:
            fine = False
        else:
            unit.merge(drop_in)
    return fine


def _listed(path: str, problems: list[Problem]) -> list[str]:
    try:
        return [name for name in os.listdir(path) if name.endswith(".conf")]
    except OSError as e:
        if not isinstance(e, (FileNotFoundError, NotADirectoryError)):
            problems.append(Problem(ERROR, path, 1, f"error reading directory: {e.strerror}"))
        return []


def drop_in_directories(name: str) -> list[str]:
    """Names of the directories whose files add to a unit, the most special first.

    web-front@blue.container: web-front@blue.container.d, web-front@.container.d, web-@.container.d, web-.container.d,
    container.d. Source: systemd.unit(5).
    """
    base, instance, template = template_parts(name)
    extension = name[name.rfind("."):] + ".d"
    found = [name + ".d"]
    if instance:
        found.append(f"{base}@{extension}")
    parts = base.split("-")
    for count in range(len(parts) - 1, 0, -1):
        shorter = "-".join(parts[:count]) + "-"
        found += [f"{shorter}@{extension}"] if template else []
        found.append(shorter + extension)
    return [*found, extension[1:]]
