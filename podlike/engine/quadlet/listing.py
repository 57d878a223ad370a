"""The Quadlets of the caller: their files, services and states, what is wrong with them, and to what they belong."""

import os

from podlike import log
from podlike.engine.quadlet import systemctl
from podlike.engine.quadlet.load import load_all
from podlike.engine.quadlet.program import podlike_words
from podlike.engine.quadlet.search import Directory, find_directories, install_directory
from podlike.errors import NotFoundError, UsageError
from podlike.quadlet.keys import kind_of
from podlike.quadlet.problems import Problem
from podlike.quadlet.translate import Result, translate_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Quadlets:
    """All Quadlets of the caller, or those of given directories, as the generator would see them now.

    paths: every file with a Quadlet's name, those that count first where names are equal. results: by the path of the file.
    broken: problems of files that could not be read.
    """

    __slots__ = ("directories", "paths", "results", "broken")

    def __init__(self, directories: "list[Directory] | None" = None) -> None:
        uid = systemctl.caller()
        self.directories = find_directories(uid, log.warning) if directories is None else directories
        self.paths = [f"{d.path}/{name}" for d in self.directories for name in d.quadlets()
                      if not os.path.isdir(f"{d.path}/{name}")]
        self.broken: list[Problem] = []
        units = load_all(self.directories, self.broken, log.debug)
        results = translate_all(units, program=podlike_words(), user=uid is not None, exists=os.path.exists)
        self.results: dict[str, Result] = {r.entry.unit.path: r for r in results}

    def problems(self) -> list[Problem]:
        """Everything that is wrong, file by file, line by line."""
        found = [*self.broken, *(p for r in self.results.values() for p in r.problems)]
        return sorted(found, key=lambda p: (p.path, p.number))

    def text_problems(self, names: "Iterable[str] | None" = None) -> list[Problem]:
        """Those about what is written there: unknown keys, values that do not fit. names: of Quadlets, None for all."""
        wanted = None if names is None else set(names)
        found = [p for p in self.broken if p.about_text and (wanted is None or _owner(p.path) in wanted)]
        for result in self.results.values():
            if wanted is None or result.entry.unit.name in wanted:
                found += [p for p in result.problems if p.about_text]
        return found

    def service(self, path: str) -> str:
        """The name of the service that a file gives, "" if that cannot be told."""
        result = self.results.get(path)
        return "" if result is None else result.entry.service

    def find(self, name: str) -> str:
        """The path of a Quadlet by the name of its file. Raises: UsageError, NotFoundError."""
        if kind_of(name) is None:
            extension = f".{name.rpartition('.')[2]}" if "." in name else ""
            raise UsageError(f'"{extension}" is not a supported quadlet file type',
                             hint="Name the file, for example web.container; `podlike quadlet list` shows them all.")
        for path in self.paths:
            if path.rpartition("/")[2] == name:
                return path
        raise NotFoundError(f'could not locate quadlet "{name}" in any supported quadlet directory: no such quadlet',
                            hint="See `podlike quadlet list`.")


def _owner(path: str) -> str:
    """The Quadlet to which a file belongs: itself, or that of a drop-in's directory."""
    parts = path.split("/")
    return parts[-2].removesuffix(".d") if parts[-1].endswith(".conf") and len(parts) > 1 else parts[-1]


def warn(problems: "Iterable[Problem]") -> None:
    """On standard error, with file and line."""
    for problem in problems:
        log.warning(f"{problem.place}: {problem.sentence}")


class Apps:
    """Which files were installed together. In the directory where they are: .NAME.app, one file name a line; .NAME.asset
    has the files that came with the Quadlet NAME."""

    __slots__ = ("directory", "files", "app_of")

    def __init__(self, directory: "str | None" = None) -> None:
        self.directory = directory or install_directory(systemctl.caller())
        self.files: dict[str, list[str]] = {}  # .web.app, .web.container.asset -> names of files
        self.app_of: dict[str, str] = {}  # name of a file -> .web.app
        try:
            names = sorted(os.listdir(self.directory))
        except OSError:
            return
        for name in names:
            if name.startswith(".") and name.endswith((".app", ".asset")):
                self.files[name] = members = _read_names(f"{self.directory}/{name}")
                if name.endswith(".app"):
                    self.app_of.update(dict.fromkeys(members, name))


def _read_names(path: str) -> list[str]:
    """Names of files, one a line; what is no mere name is left out."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as f:
            names = [line.strip() for line in f]
    except OSError:
        return []
    return [name for name in names if name and "/" not in name and name not in (".", "..")]
