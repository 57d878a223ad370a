"""`quadlet install`: files, directories and addresses into the directory of Quadlets.

What is installed together from a directory or a .quadlets file is an app: .NAME.app beside the files lists them, and they
are removed together. Files that are no Quadlets and come behind one on the command line belong to it (.NAME.asset).
"""

import os
import re

from podlike.engine.download import download, is_url
from podlike.engine.quadlet import systemctl
from podlike.engine.quadlet.listing import Apps
from podlike.engine.quadlet.search import install_directory
from podlike.engine.quadlet.write import write_unit
from podlike.errors import ConflictError, NotFoundError, PodlikeError, UsageError
from podlike.quadlet import sections
from podlike.quadlet.keys import kind_of
from podlike.quadlet.problems import RefusedUnit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.core import Engine

_LIMIT = 64 << 20  # of a file that comes along; it is read whole


class File:
    """One file to be written."""

    __slots__ = ("name", "content")

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self.content = content


class Installer:
    """One command's worth. replace: files that are there already are overwritten."""

    __slots__ = ("engine", "replace", "directory", "owner")

    def __init__(self, engine: "Engine", *, replace: bool) -> None:
        self.engine = engine
        self.replace = replace
        self.directory = install_directory(systemctl.caller())
        self.owner = ""  # .NAME.app or .NAME.asset that takes what follows on the command line

    def install(self, source: str) -> list[str]:
        """Install what a path or an address names, all of it or nothing; the paths written. Raises: PodlikeError."""
        if is_url(source):
            file = self._fetch(source)
            return self._put([file], "", whole=file.name.endswith(".quadlets"))
        if os.path.isdir(source):
            name = os.path.basename(os.path.abspath(source))
            files = [_read(f"{source}/{entry}") for entry in sorted(os.listdir(source))
                     if not os.path.isdir(f"{source}/{entry}")]
            if not files:
                raise NotFoundError(f"install {source}: there is no file in it", hint="Name a directory with Quadlets.")
            return self._put(files, f".{name}.app", whole=True)
        if not os.path.lexists(source):
            raise NotFoundError(f"stat {source}: no such file or directory", hint="Name a file, a directory or an address.")
        return self._put([_read(source)], "", whole=source.endswith(".quadlets"))

    def _put(self, files: list[File], app: str, *, whole: bool) -> list[str]:
        """whole: what is written belongs to one app. app: its name, "" to take that of the file."""
        app = app or f".{files[0].name.removesuffix('.quadlets')}.app"
        files = [part for file in files for part in _parts(file)]
        for file in files:
            if kind_of(file.name) is None and not whole and not self.owner:
                extension = os.path.splitext(file.name)[1]
                raise UsageError(f'"{extension}" is not a supported Quadlet file type',
                                 hint="Name the Quadlet to which it belongs before it.")
        written = self._write(files)
        if whole:
            self.owner = app
            self._record(app, [f.name for f in files])
        elif kind_of(files[0].name) is not None and not self.owner.endswith(".app"):
            self.owner = f".{files[0].name}.asset"
        else:
            self._record(self.owner, [f.name for f in files])
        return written

    def _write(self, files: list[File]) -> list[str]:
        """Raises: PodlikeError; then nothing has been written but what was replaced."""
        paths = [f"{self.directory}/{file.name}" for file in files]
        for path in paths:
            if not self.replace and os.path.lexists(path):
                raise ConflictError(f"a Quadlet with name {os.path.basename(path)} already exists, refusing to overwrite",
                                    hint="Install it with --replace, or remove the other one.")
        done: list[str] = []
        try:
            os.makedirs(self.directory, exist_ok=True)
            for path, file in zip(paths, files, strict=True):
                fresh = not os.path.lexists(path)
                write_unit(self.directory, file.name, file.content)
                done += [path] if fresh else []
        except OSError as e:
            for path in done:
                os.unlink(path)
            raise PodlikeError(f"write to {self.directory}: {(e.strerror or '').lower()}",
                               hint="Make room there, and see that the directory is yours to write.") from e
        return paths

    def _record(self, owner: str, names: list[str]) -> None:
        """Add names to the list of an app or of a Quadlet's assets."""
        known = Apps(self.directory).files.get(owner, [])
        lines = list(dict.fromkeys((*known, *names)))
        try:
            write_unit(self.directory, owner, "".join(f"{name}\n" for name in lines).encode(errors="surrogateescape"))
        except OSError as e:
            raise PodlikeError(f"write {self.directory}/{owner}: {(e.strerror or '').lower()}") from e

    def _fetch(self, url: str) -> File:
        headers: dict[str, str] = {}
        fd = download(self.engine, url, headers)
        with open(fd, "rb") as f:
            content = f.read(_LIMIT)
        match = re.search(r'filename="?([^";]+)', headers.get("Content-Disposition", ""))
        if match:
            name = match.group(1)
        else:
            from urllib.parse import unquote, urlsplit

            name = unquote(urlsplit(url).path)
        name = name.rpartition("/")[2]
        if kind_of(name) is None and not name.endswith(".quadlets") and not self.owner or name in ("", ".", ".."):
            raise UsageError(f'"{os.path.splitext(name)[1]}" is not a supported Quadlet file type',
                             hint=f"What {url[:200]} answers is named {name or 'nothing'}; download it and name it yourself.")
        return File(name, content)


def _read(path: str) -> File:
    """Raises: PodlikeError."""
    try:
        with open(path, "rb") as f:
            content = f.read(_LIMIT + 1)
    except OSError as e:
        raise PodlikeError(f"quadlet to install \"{path}\" does not exist or cannot be read: {(e.strerror or '').lower()}",
                           hint="Name a file that you may read.") from e
    if len(content) > _LIMIT:
        raise PodlikeError(f"install {path}: it is larger than {_LIMIT >> 20} MiB",
                           hint="Copy it yourself, and let the Quadlet name where it is.")
    return File(os.path.basename(path), content)


def _parts(file: File) -> list[File]:
    """The Quadlets of a .quadlets file; any other file is itself. Raises: UsageError."""
    if not file.name.endswith(".quadlets"):
        return [file]
    try:
        found = sections.split(file.content.decode(errors="surrogateescape"), file.name)
    except RefusedUnit as e:
        raise UsageError(e.message) from None
    return [File(name, text.encode(errors="surrogateescape")) for name, text in found]
