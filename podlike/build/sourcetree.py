"""Where COPY takes files from: the build context, another stage, an image. Nothing outside of it is ever read."""

import os
import re
import stat

from podlike.errors import NotFoundError, UsageError
from podlike.runtime import spawn
from podlike.spec.globs import path_match

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import NamedTuple

    from podlike.spec.ignorefile import Ignored
else:
    from podlike.spec.record import NamedTuple

_MAGIC = re.compile(r"[*?\[]")


class Member(NamedTuple):
    """path: below what was asked for, "" for itself. fd: O_PATH; open it through /proc/self/fd. Valid until the next one."""

    path: str
    fd: int
    st: os.stat_result


class SourceTree:
    """root: fd of the topmost directory, the caller's. shown: for messages. ignored: what is left out; None: nothing."""

    def __init__(self, root: int, shown: str, ignored: "Ignored | None" = None) -> None:
        self._root = root
        self._shown = shown
        self._ignored = ignored if ignored else None

    def matches(self, pattern: str) -> list[str]:
        """Paths below the root that a source word means, sorted. Raises: NotFoundError."""
        clean = os.path.normpath("/" + pattern).lstrip("/")
        if not _MAGIC.search(clean):
            if clean and self._leaves_out(clean) and not self._may_hold(clean):
                raise self._missing(pattern, "it is left out by the ignore file")
            self._open(clean or ".", pattern, close=True)
            return [clean]
        found = [path for path in self._glob("", clean.split("/")) if not self._leaves_out(path)]
        if not found:
            raise self._missing(pattern, "no file of that name")
        return sorted(found)

    def stat(self, path: str) -> os.stat_result:
        """Of what a path leads to, links followed beneath the root."""
        fd = self._open(path or ".", path)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def walk(self, path: str, excluded: "Ignored | None" = None) -> "Generator[Member, None, None]":
        """The file, or the directory and all in it, by name. excluded: more to leave out, by paths below it.

        Directories of which only something deeper is kept come, too.
        """
        fd = self._open(path or ".", path)
        try:
            st = os.fstat(fd)
            if not stat.S_ISDIR(st.st_mode):
                yield Member("", fd, st)
                return
            yield Member("", fd, st)
            yield from self._walk(fd, path, "", excluded if excluded else None)
        finally:
            os.close(fd)

    def _walk(self, directory: int, place: str, below: str, excluded: "Ignored | None") -> "Iterator[Member]":
        readable = os.open(f"/proc/self/fd/{directory}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            names = sorted(os.listdir(readable))
            for name in names:
                where, path = f"{place}/{name}" if place else name, f"{below}/{name}" if below else name
                out = self._leaves_out(where) or (excluded is not None and excluded.leaves_out(path))
                if out and not self._may_hold(where) and not (excluded is not None and excluded.may_keep_below(path)):
                    continue
                yield from self._one(readable, name, where, path, excluded, out=out)
        finally:
            os.close(readable)

    def _one(self, directory: int, name: str, where: str, path: str, excluded: "Ignored | None", *,
             out: bool) -> "Iterator[Member]":
        try:
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        except FileNotFoundError:
            return  # it went meanwhile
        try:
            st = os.fstat(fd)
            if not stat.S_ISDIR(st.st_mode):
                if not out:
                    yield Member(path, fd, st)
                return
            inside = self._walk(fd, where, path, excluded)
            if out:
                first = next(inside, None)
                if first is None:
                    return
                # A directory that is left out itself, but for something in it.
                yield Member(path, fd, st)
                yield first
            else:
                yield Member(path, fd, st)
            yield from inside
        finally:
            os.close(fd)

    def _glob(self, place: str, parts: "list[str]") -> "Iterator[str]":
        try:
            fd = self._open(place or ".", place)
        except NotFoundError:
            return
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                return
            readable = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                names = os.listdir(readable)
            finally:
                os.close(readable)
        finally:
            os.close(fd)
        for name in names:
            if path_match(parts[0], name):
                path = f"{place}/{name}" if place else name
                if len(parts) == 1:
                    yield path
                else:
                    yield from self._glob(path, parts[1:])

    def _leaves_out(self, path: str) -> bool:
        return self._ignored is not None and self._ignored.leaves_out(path)

    def _may_hold(self, path: str) -> bool:
        """Whether something below a path that is left out may be kept."""
        return self._ignored is not None and self._ignored.may_keep_below(path)

    def _open(self, path: str, typed: str, *, close: bool = False) -> int:
        try:
            fd = spawn.open_in_root(self._root, path, os.O_PATH)
        except spawn.SpawnError as e:
            raise self._missing(typed, os.strerror(e.errno).lower()) from e
        if close:
            os.close(fd)
        return fd

    def _missing(self, typed: str, why: str) -> NotFoundError:
        return NotFoundError(f'checking on sources under "{self._shown}": {typed}: {why}',
                             hint="Sources are looked up in the build context (the directory that `build` was given), "
                                  "without what its ignore file leaves out.")


def parse_chmod(text: str) -> "list[tuple[str, str, str]] | int":
    """A mode in octal, or chmod(1)'s letters as (who, how, what). Raises: UsageError."""
    if re.fullmatch(r"[0-7]{1,4}", text):
        return int(text, 8)
    out = []
    for part in text.split(","):
        found = re.fullmatch(r"([ugoa]*)([-+=])([rwxXst]*)", part)
        if found is None:
            raise UsageError(f"--chmod={text[:40]}: this is no mode", hint="Write it in octal (0755), or as u+x,go-w.")
        out.append((found.group(1), found.group(2), found.group(3)))
    return out


def apply_chmod(change: "list[tuple[str, str, str]] | int", mode: int, *, directory: bool) -> int:
    if isinstance(change, int):
        return change
    for who, how, what in change:
        mode = _changed(mode, who or "a", how, what, directory=directory)
    return mode


def _changed(mode: int, who: str, how: str, what: str, *, directory: bool) -> int:
    everyone = "a" in who
    bits = mask = 0
    for letter, shift in (("u", 6), ("g", 3), ("o", 0)):
        if not everyone and letter not in who:
            continue
        mask |= 7 << shift
        executable = "x" in what or ("X" in what and (directory or mode & 0o111))
        bits |= (4 * ("r" in what) + 2 * ("w" in what) + bool(executable)) << shift
    if "s" in what:
        bits |= (stat.S_ISUID if everyone or "u" in who else 0) | (stat.S_ISGID if everyone or "g" in who else 0)
    if "t" in what:
        bits |= stat.S_ISVTX
    if how == "+":
        return mode | bits
    return mode & ~bits if how == "-" else (mode & ~mask) | bits
