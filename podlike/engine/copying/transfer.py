"""`cp`: files between containers, and between a container and the host.

What goes where is podman's (podman-cp(1)): the last words of both paths decide, and what is there already. A source that
ends in "." is its contents. What does not exist at the destination gets the source's name in its directory, or the name that
was given; a directory is never put in the place of a file.
"""

import errno
import os
import stat
from contextlib import ExitStack

from podlike.engine.copying.tree import How, TreeCopy
from podlike.engine.copying.view import Place, View
from podlike.engine.core import Engine
from podlike.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Final, NamedTuple

    from podlike.engine.copying.tree import Owner
    from podlike.store.containers import Container
else:
    from podlike.spec.record import NamedTuple

# Of a container that runs: other file systems, without end or without meaning elsewhere.
_NOT_COPIED: "Final" = ("dev", "proc", "sys")


class Location(NamedTuple):
    """One side of a copy. container: None is the host. path: as typed; "-" of the host is a tar stream."""

    container: "Container | None"
    path: str
    shown: str = ""  # the container, as typed


class _Source(NamedTuple):
    """fd: O_PATH. name: what it is called if the destination has no name for it. contents: of a directory, not itself."""

    fd: int
    st: os.stat_result
    parent: int
    name: str
    contents: bool = False

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.st.st_mode)


class _Target(NamedTuple):
    """directory: the fd that something is made in; name: under this name, "": under the source's. shown: path of the directory.
    file: of what is mounted there and cannot be replaced, -1 for none."""

    directory: int
    name: str
    shown: str
    file: int = -1


def parse(text: str) -> tuple[str, str]:
    """(container or "", path) of one argument; what begins with a dot or a slash is a path."""
    if text[:1] in ("", ".", "/"):
        return "", text
    head, colon, tail = text.partition(":")
    return (head, tail) if colon else ("", text)


def copy(engine: Engine, source: Location, target: Location, *, chown: bool = True, overwrite: bool = False,
         follow: bool = True, stdin: "BinaryIO | None" = None, stdout: "BinaryIO | None" = None) -> int:
    """Copy files and directories; bytes of the files, 0 for a stream.

    chown: what comes into a container belongs to its user, else to whom it belonged. overwrite: a directory may take the
    place of something else, and the other way round. follow: a symbolic link as source is what it leads to (podman); else itself
    (docker). stdin, stdout: for a path "-". Raises: NotFoundError, UsageError, StoreError, ConflictError.
    """
    if source.container is None and target.container is None:
        raise UsageError(f'copy "{source.path}" to "{target.path}": neither is in a container',
                         hint="Write CONTAINER:PATH for one of them; cp(1) copies files of this machine.")
    engine.enter_session()
    with ExitStack() as stack:
        views = _open_views(engine, stack, source, target)
        return _Copy(stack, views, chown, overwrite, follow).run(source, target, stdin, stdout)


def _open_views(engine: Engine, stack: ExitStack, *sides: Location) -> "dict[str, View]":
    """By container id, in the order of ids: two copies in opposite directions must not wait for each other."""
    containers = {side.container.id: side.container for side in sides if side.container is not None}
    return {cid: stack.enter_context(View(engine, containers[cid])) for cid in sorted(containers)}


class _Copy:
    def __init__(self, stack: ExitStack, views: "dict[str, View]", chown: bool, overwrite: bool, follow: bool) -> None:
        self._stack = stack
        self._views = views
        self._chown = chown
        self._overwrite = overwrite
        self._follow = follow

    def run(self, source: Location, target: Location, stdin: "BinaryIO | None", stdout: "BinaryIO | None") -> int:
        if source.container is None and source.path == "-":
            assert stdin is not None and target.container is not None
            self._from_tar(target, self._views[target.container.id], stdin)
            return 0
        if source.container is None:
            found = self._host_source(source)
        else:
            found = self._container_source(source, self._views[source.container.id])
        if target.container is None and target.path == "-":
            assert stdout is not None and source.container is not None
            self._to_tar(found, self._views[source.container.id], stdout)
            return 0
        if target.container is None:
            where = self._host_target(target, found)
        else:
            where = self._container_target(target, self._views[target.container.id], found)
        return self._tree(source, target, found, where)

    def _view(self, side: Location) -> "View | None":
        return self._views[side.container.id] if side.container is not None else None

    # what is copied

    def _host_source(self, side: Location) -> _Source:
        path = side.path
        try:
            fd = self._open_host(path, follow=self._follow or path.endswith(("/", "/.")))
        except OSError as e:
            raise NotFoundError(f'"{path}" could not be found on the host: {_words(e, path)}') from e
        absolute = os.path.abspath(path)
        directory, name = os.path.split(absolute)
        parent = self._open_host(directory, directory_only=True)
        return _Source(fd, os.fstat(fd), parent, name, contents=_is_dot(path) or not name)

    def _container_source(self, side: Location, view: View) -> _Source:
        try:
            place = view.find(side.path) if self._follow else view.find_link(side.path)
        except NotFoundError as e:
            raise _lost(side, e.message) from e
        if place.st is None:
            raise _lost(side)
        return _Source(place.fd, place.st, place.parent, place.name, contents=_is_dot(side.path) or place.path == "/")

    # where it goes

    def _host_target(self, side: Location, source: _Source) -> _Target:
        path = side.path
        absolute = os.path.abspath(path)
        try:
            st = os.stat(path)
        except OSError as e:
            lost = NotFoundError(f'"{path}" could not be found on the host: {_words(e, path)}')
            if path.endswith("/"):
                raise lost from e
            try:
                directory = self._open_host(os.path.dirname(absolute), directory_only=True)
            except OSError:
                raise lost from e
            return _Target(directory, os.path.basename(absolute), "/")
        if stat.S_ISDIR(st.st_mode):
            return _Target(self._open_host(path, directory_only=True), "", "/")
        if not stat.S_ISREG(st.st_mode):
            raise UsageError(f'invalid destination: "{absolute}" must be a directory or a regular file')
        if source.is_dir:
            raise _needs_directory()
        return _Target(self._open_host(os.path.dirname(absolute), directory_only=True), os.path.basename(absolute), "/")

    def _container_target(self, side: Location, view: View, source: _Source) -> _Target:
        place = self._find_target(side, view)
        if place.is_dir:
            return _Target(place.fd, "", place.path)
        if source.is_dir and place.st is not None:
            raise _needs_directory()
        return _Target(place.parent, place.name, os.path.dirname(place.path), place.fd if place.mount else -1)

    def _find_target(self, side: Location, view: View) -> Place:
        try:
            place = view.find(side.path)
        except NotFoundError as e:
            raise _lost(side, e.message) from e
        if place.st is None and side.path.endswith(("/", "/.")):
            raise _lost(side)
        return place

    # the copy itself

    def _tree(self, source: Location, target: Location, found: _Source, where: _Target) -> int:
        view = self._view(target)
        from_view = self._view(source)
        how = How(self._owner(view), to="container" if view else "host", shown=where.shown, overwrite=self._overwrite,
                  devices=view is not None, unreadable=from_view is not None and from_view.running,
                  exclude=_excluded(found, from_view))
        job = TreeCopy(where.directory, how)
        name = where.name or found.name
        if found.is_dir:
            job.directory(found.fd, "" if found.contents and not where.name else name)
        elif stat.S_ISREG(found.st.st_mode):
            job.file(found.fd, name, into=where.file)
        else:
            job.special(found.parent, found.name, name)
        return job.size

    def _owner(self, view: "View | None") -> "Owner":
        """To the host everything is the caller's, who is 0 in the session."""
        if view is None:
            return lambda st: (0, 0)
        if self._chown:
            user = view.user()
            ids = view.outside(user.uid, user.gid)
            return lambda st: ids
        return lambda st: view.outside(st.st_uid, st.st_gid)

    # tar streams

    def _to_tar(self, found: _Source, view: View, stdout: "BinaryIO") -> None:
        from podlike.engine.copying import tarstream

        user = view.user()
        tarstream.write(found.fd, stdout, name="" if found.contents else found.name, owner=view.outside(user.uid, user.gid),
                        exclude=_excluded(found, view), live=view.running)

    def _from_tar(self, side: Location, view: View, stdin: "BinaryIO") -> None:
        from podlike.engine.copying import tarstream

        try:
            place = self._find_target(side, view)
        except NotFoundError as e:
            if side.path.endswith("/"):
                raise
            raise UsageError("destination must be a directory when copying from stdin") from e
        if not place.is_dir:
            raise UsageError("destination must be a directory when copying from stdin")
        owner = None
        if self._chown:
            user = view.user()
            owner = view.outside(user.uid, user.gid)
        spec = view.container.spec
        tarstream.read(stdin, place.fd, shown=place.path, owner=owner, uid_map=spec.uid_map, gid_map=spec.gid_map,
                       overwrite=self._overwrite)

    def _open_host(self, path: str, *, directory_only: bool = False, follow: bool = True) -> int:
        flags = os.O_PATH | os.O_CLOEXEC | (os.O_DIRECTORY if directory_only else 0) | (0 if follow else os.O_NOFOLLOW)
        fd = os.open(path, flags)
        self._stack.callback(os.close, fd)
        return fd


def _is_dot(path: str) -> bool:
    return os.path.basename(path.rstrip("/")) == "."


def _excluded(found: _Source, view: "View | None") -> tuple[str, ...]:
    """Only of the root: who asks for /proc/cpuinfo gets it."""
    if view is None or not view.running:
        return ()
    root = os.stat(".", dir_fd=view.root)
    return _NOT_COPIED if (root.st_dev, root.st_ino) == (found.st.st_dev, found.st.st_ino) else ()


def _lost(side: Location, why: str = "no such file or directory") -> NotFoundError:
    return NotFoundError(f'"{side.path}" could not be found on container {side.shown}: {why}')


def _needs_directory() -> UsageError:
    return UsageError("destination must be a directory when copying a directory")


def _words(e: OSError, path: str) -> str:
    if e.errno == errno.ENOENT:
        return "no such file or directory"
    return f"stat {path}: {(e.strerror or str(e)).lower()}"


