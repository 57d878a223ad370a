"""Where Quadlets lie. Source: podman-systemd.unit(5) "search path", and QUADLET_UNIT_DIRS for tests.

Of files with the same name the first one counts. Subdirectories are searched too, links are followed, *.d holds drop-ins.
"""

import os

from podlike.quadlet.keys import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_ADMIN: "Final" = "/etc/containers/systemd"
_VENDOR: "Final" = "/usr/share/containers/systemd"
_TEMPORARY: "Final" = "/run/containers/systemd"


class Directory:
    """One directory and the names in it, sorted; none if it cannot be read."""

    __slots__ = ("path", "names")

    def __init__(self, path: str, names: list[str]) -> None:
        self.path = path
        self.names = names

    def quadlets(self) -> list[str]:
        return [name for name in self.names if kind_of(name) is not None]


def install_directory(uid: int | None) -> str:
    """Where `quadlet install` puts files. uid: of a user, None for the system."""
    return _ADMIN if uid is None else f"{_config_home(uid)}/containers/systemd"


def _config_home(uid: int) -> str:
    home = os.environ.get("XDG_CONFIG_HOME", "")
    if home.startswith("/"):
        return home
    home = os.environ.get("HOME", "")
    if not home:
        import pwd

        try:
            home = pwd.getpwuid(uid).pw_dir
        except KeyError:
            return "/nonexistent"
    return f"{home}/.config"


def find_directories(uid: int | None, tell: "Callable[[str], None]") -> list[Directory]:
    """All directories to look in, most important first; those that are not there have no names.

    uid: of a user, None for the system's manager. tell: takes what could not be read, in words.
    """
    search = _Search(tell)
    given = os.environ.get("QUADLET_UNIT_DIRS", "")
    if given:
        for path in given.split(":"):
            if not path.startswith("/"):
                tell(f"{path} not a valid file path")
                break
            search.add(path)
        return search.found
    if uid is None:
        for path in (_TEMPORARY, _ADMIN, _VENDOR):
            search.add(path, skip=(os.path.realpath(f"{path}/users"),))
        return search.found
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        search.add(f"{runtime}/containers/systemd")
    search.add(f"{_config_home(uid)}/containers/systemd")
    for base in (_ADMIN, _VENDOR):
        search.add(f"{base}/users", numbers=False)
        search.add(f"{base}/users/{uid}")
    return search.found


def directories_of(paths: list[str]) -> list[Directory]:
    """Given directories and those below them. Raises: OSError."""
    search = _Search(lambda text: None)
    for path in paths:
        search.add(path)
    return search.found


class _Search:
    __slots__ = ("tell", "found", "seen")

    def __init__(self, tell: "Callable[[str], None]") -> None:
        self.tell = tell
        self.found: list[Directory] = []
        self.seen: set[str] = set()

    def add(self, path: str, *, skip: tuple[str, ...] = (), numbers: bool = True) -> None:
        """Add a directory and those below it. numbers: also those directly below it whose names are users' ids."""
        real = os.path.realpath(path)
        if real in self.seen or real in skip or real.endswith(".d"):
            return
        self.seen.add(real)
        try:
            with os.scandir(real) as entries:
                inside = sorted(((e.name, e) for e in entries), key=lambda pair: pair[0])
        except OSError as e:
            if not isinstance(e, (FileNotFoundError, NotADirectoryError)):
                self.tell(f"error reading directory {real!r}: {e.strerror}")
            self.found.append(Directory(path, []))
            return
        self.found.append(Directory(real, [name for name, _ in inside]))
        for name, entry in inside:
            if (numbers or not name.isdigit()) and _is_directory(entry):
                self.add(f"{real}/{name}", skip=skip)


def _is_directory(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
