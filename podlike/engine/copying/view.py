"""A container's files as its own processes see them, for `cp`, `export` and whoever looks into one from outside.

Of a container with a process the root is /proc/PID/root: mounts, tmpfs and all. Of another one the layers are mounted
without a place in the tree, so that nothing is left of it whatever happens, and its volumes and bind mounts are found by
their targets, as podman does it.

A path is walked component by component, each opened by the kernel beneath the one before it and never followed: a symbolic
link is read and its words are walked from the container's root. Whoever swaps names meanwhile changes what is found in the
container, but leads nobody out of it. (One openat2(2) for the whole path would do where there is a process; it could
neither cross the mounts of a container that does not run nor say where a link to nothing leads.)
"""

import errno
import os
import stat

from podlike import procs
from podlike.engine import query
from podlike.engine.core import Engine
from podlike.errors import ConflictError, NotFoundError, PodlikeError, StoreError
from podlike.runtime import spawn
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NamedTuple, Protocol, Self

    from podlike.locks import Lock
    from podlike.spec.users import ResolvedUser

    class Rooted(Protocol):
        """Where paths are walked: root is the fd of "/"."""

        root: int

        def open_at(self, parent: int, name: str, where: str) -> tuple[int, bool]: ...
else:
    from podlike.spec.record import NamedTuple

# As the kernel counts them (path_resolution(7)).
_MAX_LINKS: "Final" = 40


class Place(NamedTuple):
    """Where a path leads. path: within the container, without links. fd: O_PATH, -1 if nothing is there; parent: of the
    directory that holds it, or would. Both belong to the View. mount: a mount of ours begins here."""

    path: str
    parent: int
    name: str
    fd: int = -1
    st: os.stat_result | None = None
    mount: bool = False

    @property
    def is_dir(self) -> bool:
        return self.st is not None and stat.S_ISDIR(self.st.st_mode)


class View:
    """For `with`. Every fd that it hands out is closed at its end.

    running: there is a process, which may change things meanwhile. own_files: the root file system alone, without what is
    mounted into it.
    Raises: StoreError, SessionError, ConflictError (a container that is being removed).
    """

    def __init__(self, engine: Engine, container: Container, *, own_files: bool = False) -> None:
        engine.enter_session()
        self.engine = engine
        self.container = container
        self.running = False
        self._own_files = own_files
        self.root = -1
        self._mounts: "dict[str, str]" = {}  # target -> path on the host
        self._fds: "list[int]" = []
        self._lock: "Lock | None" = None
        self._unmount = False
        self._volumes = False

    def __enter__(self) -> "Self":
        try:
            if not self._enter_process():
                self._enter_files()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        while self._fds:
            os.close(self._fds.pop())
        if self._lock is not None:
            try:
                if self._volumes:
                    from podlike.engine.volumemount import release

                    release(self.engine, self.container)
                if self._unmount:
                    from podlike.engine.containermount import forget

                    forget(self.engine, self.container.id)
            finally:
                self._lock.release()
                self._lock = None

    def _enter_process(self) -> bool:
        pid, started = query.process_of(self.engine, self.container)
        if not pid:
            return False
        try:
            root = self._own(os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        except (FileNotFoundError, ProcessLookupError):
            return False
        except OSError as e:
            raise StoreError(f"look into container {self.container.name}: /proc/{pid}/root: {e.strerror}",
                             hint="Its first process does not let itself be looked at; stop the container first.") from e
        if not procs.alive(pid, started):  # the pid was somebody else's by then
            return False
        if self._own_files:
            from podlike.engine.containermount import mounted

            path = mounted(self.engine, self.container)
            if not path:
                return False
            root = self._own(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        self.root, self.running = root, True
        return True

    def _enter_files(self) -> None:
        from podlike.engine.cleanup import lock_of
        from podlike.engine.containermount import mark, mounted
        from podlike.engine.rootfs import mount_rootfs, open_rootfs

        engine = self.engine
        self._lock = lock_of(engine, self.container.id)
        self._lock.acquire(blocking=True)
        fresh = engine.containers.get(self.container.id)
        if fresh is None or fresh.state.phase == "removing":
            raise ConflictError(f"look into container {self.container.name}: it is being removed: container state improper")
        self.container = fresh
        if self._enter_process():  # it was started while we waited
            lock, self._lock = self._lock, None
            lock.release()
            return
        path = mounted(engine, fresh)
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if path else open_rootfs(engine, fresh)
        if fd < 0:
            path = mount_rootfs(engine, fresh)
            mark(engine, fresh, path)
            self._unmount = True
            fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.root = self._own(fd)
        if not self._own_files:
            self._find_mounts()

    def _find_mounts(self) -> None:
        """Where the mounts of a container that does not run will be; volumes get what the image has there, as at a start."""
        from podlike.engine import volumemount

        self._volumes = True
        for mount in self.container.spec.mounts:
            source = mount.source
            if mount.type == "volume":
                uid, gid = self._owner()
                source, _ = volumemount.prepare(self.engine, self.container.id, mount, root_fd=self.root, uid=uid, gid=gid)
                source = self._subpath(source, mount.options)
            if mount.type in ("bind", "volume"):
                self._mounts[os.path.normpath(mount.target)] = source

    def _subpath(self, volume: str, options: "list[str]") -> str:
        """Its part that is mounted, found within the volume."""
        subpath = next((o.partition("=")[2] for o in options if o.startswith("subpath=")), "")
        if not subpath:
            return volume
        base = self._own(os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        try:
            return f"/proc/self/fd/{self._own(spawn.open_in_root(base, subpath, os.O_PATH))}"
        except spawn.SpawnError as e:
            raise StoreError(f"look into container {self.container.name}: the volume's subpath {subpath}: "
                             f"{os.strerror(e.errno).lower()}") from e

    def _owner(self) -> tuple[int, int]:
        """The container's user in the session's ids; root if there is no such user."""
        try:
            user = self.user()
        except PodlikeError:
            return self.outside(0, 0)
        return self.outside(user.uid, user.gid)

    def _own(self, fd: int) -> int:
        self._fds.append(fd)
        return fd

    def absolute(self, path: str) -> str:
        """From the container's working directory, where it does not begin at the root."""
        return path if path.startswith("/") else f"{self.container.spec.workdir or '/'}/{path}"

    def user(self) -> "ResolvedUser":
        """Whom the container runs as, by its own ids. Raises: UsageError."""
        from podlike.engine.users import lookup_user

        return lookup_user(self.root, self.container.spec.user, groups=[])

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """What the session calls these ids of the container. Raises: StoreError."""
        spec = self.container.spec
        if not spec.uid_map:
            return uid, gid
        from podlike.spec.userns import outside

        found = outside(spec.uid_map, uid), outside(spec.gid_map, gid)
        if found[0] is None or found[1] is None:
            raise StoreError(f"give files to {uid}:{gid} of container {self.container.name}: its user namespace has no such ids")
        return found[0], found[1]

    def find(self, path: str) -> Place:
        """Where a path leads, every symbolic link followed; what does not exist has no fd.

        Raises: NotFoundError when its directory does not exist, or it cannot be reached.
        """
        return Walk(self, self.absolute(path)).run()

    def find_link(self, path: str) -> Place:
        """The same, but a symbolic link at the end is found itself, unless the path ends with a slash or a dot."""
        return Walk(self, self.absolute(path), follow=path.endswith(("/", "/."))).run()

    def open_at(self, parent: int, name: str, where: str) -> tuple[int, bool]:
        """(O_PATH fd of one component that is not followed, whether a mount of ours begins there).

        where: its path in the container. Raises: OSError.
        """
        source = self._mounts.get(where)
        if source is not None:
            return self._own(os.open(source, os.O_PATH | os.O_CLOEXEC)), True
        try:
            return self._own(spawn.open_in_root(parent, name, os.O_PATH | os.O_NOFOLLOW)), False
        except spawn.SpawnError as e:
            if e.errno != errno.ENOENT or not any(t.startswith(f"{where}/") for t in self._mounts):
                raise OSError(e.errno, os.strerror(e.errno)) from e
        # On the way to a mount, which a start would have made.
        os.mkdir(name, 0o755, dir_fd=parent)
        return self.open_at(parent, name, where)


class Walk:
    """One path, resolved. Source: path_resolution(7)."""

    def __init__(self, view: "Rooted", path: str, *, follow: bool = True) -> None:
        self._view = view
        self._follow_last = follow
        self._left = _components(path)
        self._stack: "list[tuple[str, int, bool]]" = []  # (name, fd, a mount begins here) of the directories so far
        self._links = 0

    def run(self) -> Place:
        while self._left:
            name = self._left.pop()
            if name == "..":
                if self._stack:
                    self._stack.pop()
                continue
            place = self._step(name)
            if place is not None:
                return place
        if not self._stack:
            return Place("/", self._view.root, ".", self._view.root, os.stat(".", dir_fd=self._view.root))
        name, fd, mount = self._stack.pop()
        return Place(self._path(name), self._here(), name, fd, os.fstat(fd), mount)

    def _step(self, name: str) -> Place | None:
        """Go into one component; the end of the walk if it is no directory."""
        here = self._here()
        try:
            fd, mount = self._view.open_at(here, name, self._path(name))
        except FileNotFoundError:
            if self._left:
                raise self._lost("no such file or directory") from None
            return Place(self._path(name), here, name)
        except OSError as e:
            raise self._lost((e.strerror or str(e)).lower()) from e
        st = os.fstat(fd)
        if stat.S_ISLNK(st.st_mode) and (self._left or self._follow_last):
            self._follow(fd)
            return None
        if self._left and not stat.S_ISDIR(st.st_mode):
            raise self._lost("not a directory")
        if not stat.S_ISDIR(st.st_mode):
            return Place(self._path(name), here, name, fd, st, mount)
        self._stack.append((name, fd, mount))
        return None

    def _follow(self, fd: int) -> None:
        self._links += 1
        if self._links > _MAX_LINKS:
            raise self._lost("too many levels of symbolic links")
        target = os.readlink("", dir_fd=fd)
        if target.startswith("/"):
            self._stack.clear()
        self._left += _components(target)

    def _here(self) -> int:
        return self._stack[-1][1] if self._stack else self._view.root

    def _path(self, name: str) -> str:
        return "/" + "/".join([*(part for part, _, _ in self._stack), name])

    def _lost(self, why: str) -> NotFoundError:
        return NotFoundError(why)


def _components(path: str) -> list[str]:
    """The last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
