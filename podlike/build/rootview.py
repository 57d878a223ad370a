"""What a stage's files are so far: an image's layers, mounted for reading while a step looks at them."""

import os
import stat

from podlike.engine.copying.view import Walk
from podlike.engine.core import Engine
from podlike.errors import NotFoundError, StoreError, UsageError
from podlike.runtime import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class RootView:
    """For `with`. layers: diff IDs, lowest first; none: an empty root. root: fd of the root directory.

    Raises: StoreError, SessionError.
    """

    def __init__(self, engine: Engine, layers: "list[str]", *, name: str) -> None:
        self._engine = engine
        self._layers = layers
        self._name = name
        self._base = f"{engine.roots.run}/builds/{os.getpid()}-{os.urandom(4).hex()}"
        self._fds: list[int] = []
        self._mounted = ""
        self.root = -1

    @property
    def path(self) -> str:
        """Of the root, in the session."""
        return self._mounted

    def __enter__(self) -> "Self":
        from podlike.engine.rootfs import mount_read_only

        self._engine.enter_session()
        os.makedirs(self._base, mode=0o700)
        try:
            lower = [self._engine.layers.path(diff_id) for diff_id in dict.fromkeys(reversed(self._layers))]
            self._mounted = mount_read_only(self._engine, lower, self._base, name=self._name)
            self.root = os.open(self._mounted, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._fds.append(self.root)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        from podlike.store.trees import remove_tree

        while self._fds:
            os.close(self._fds.pop())
        if self._mounted.endswith("/merged"):
            try:
                spawn.umount(self._mounted)
            except spawn.SpawnError as e:
                raise StoreError(f"unmount {self._mounted}: {e.message}") from e
        remove_tree(self._base)

    def open_at(self, parent: int, name: str, where: str) -> tuple[int, bool]:
        """For Walk: (O_PATH fd of one component that is not followed, False). Raises: OSError."""
        try:
            fd = spawn.open_in_root(parent, name, os.O_PATH | os.O_NOFOLLOW)
        except spawn.SpawnError as e:
            raise OSError(e.errno, os.strerror(e.errno)) from e
        self._fds.append(fd)
        return fd, False

    def resolve(self, path: str) -> tuple[str, os.stat_result | None]:
        """(the path without links, what is there); links are followed as far as there is something.

        path: absolute. Raises: UsageError where a file is in the way.
        """
        try:
            place = Walk(self, path).run()
            return place.path, place.st
        except NotFoundError as e:
            parent, _, name = path.rstrip("/").rpartition("/")
            if "directory" in e.message and "no such" not in e.message or not name:
                raise UsageError(f"{path}: {e.message}") from e
        above, st = self.resolve(parent or "/")
        if st is not None and not stat.S_ISDIR(st.st_mode):
            raise UsageError(f"{path}: {above} is not a directory")
        return os.path.normpath(f"{above}/{name}"), None


def sweep(engine: Engine) -> None:
    """Take down what builds left that were killed; a name begins with the pid of its process."""
    from podlike.store.trees import remove_tree

    try:
        names = os.listdir(f"{engine.roots.run}/builds")
    except FileNotFoundError:
        return
    for name in names:
        pid = name.partition("-")[0]
        if pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):
            base = f"{engine.roots.run}/builds/{name}"
            try:
                spawn.umount(f"{base}/merged")
            except spawn.SpawnError:
                pass  # it was not mounted, or the session was another one
            remove_tree(base)
