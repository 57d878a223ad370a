"""An image whose files belong to other ids: for containers with a user namespace of their own.

Without privileges in the initial user namespace no mount can shift ids, so the image's files are copied once for each
mapping; containers use the copy as their only lower directory. It lies in Roots.data/shifted/IMAGE-HASH and goes with
the image.
"""

import fcntl
import os
import stat

from podlike import log
from podlike.engine.core import Engine
from podlike.errors import CannotExecuteError
from podlike.spec.container import ContainerSpec
from podlike.spec.userns import outside
from podlike.store.trees import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def shifted_lower(engine: Engine, spec: ContainerSpec, mount: "Callable[[str], str]") -> str:
    """The directory for overlay's lowerdir, made when it is not there.

    mount: mounts the image's layers read-write below the directory it is given and returns the root.
    """
    import hashlib

    from podlike.locks import Lock

    what = repr((spec.layers, spec.uid_map, spec.gid_map)).encode()
    name = f"{spec.image_id}-{hashlib.sha256(what).hexdigest()[:16]}"
    path = f"{directory(engine)}/{name}"
    with Lock(engine.roots, f"shifted-{name}"):
        if not os.path.isdir(path):
            _make(engine, spec, path, mount)
    return path


def directory(engine: Engine) -> str:
    return f"{engine.roots.data}/shifted"


def remove_unused(engine: Engine, images: set[str]) -> None:
    """Delete the copies of images that are gone; images: ids of those that are left, in the store or in use."""
    try:
        names = os.listdir(directory(engine))
    except FileNotFoundError:
        return
    for name in names:
        if name.partition("-")[0] not in images:
            remove_tree(f"{directory(engine)}/{name}")


def _make(engine: Engine, spec: ContainerSpec, path: str, mount: "Callable[[str], str]") -> None:
    from podlike.runtime import spawn

    log.info(f"copying image {spec.image_name} for this mapping of ids; this is done once")
    os.makedirs(directory(engine), mode=0o700, exist_ok=True)
    work, partial = f"{engine.roots.tmp}/layer-shift-{os.getpid()}", f"{path}.partial"
    remove_tree(partial)
    os.makedirs(work, mode=0o700)
    fd = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(fd, fcntl.LOCK_EX)  # what is not locked there counts as left behind
    try:
        root = mount(work)
        try:
            _Copy(spec).tree(root, partial)
        finally:
            spawn.umount(root)
        os.rename(partial, path)
    except (OSError, RecursionError) as e:
        remove_tree(partial)
        raise CannotExecuteError(f"copy image {spec.image_name} for its user namespace: {e}",
                                 hint="Map more ids, or check the free space.") from e
    finally:
        remove_tree(work)
        os.close(fd)


class _Copy:
    def __init__(self, spec: ContainerSpec) -> None:
        self._spec = spec
        self._links: dict[tuple[int, int], str] = {}

    def tree(self, source: str, target: str) -> None:
        st = os.lstat(source)
        if stat.S_ISDIR(st.st_mode):
            os.mkdir(target, 0o700)
            for name in os.listdir(source):
                self.tree(f"{source}/{name}", f"{target}/{name}")
        elif stat.S_ISLNK(st.st_mode):
            os.symlink(os.readlink(source), target)
        elif self._linked(st, target):
            return
        elif stat.S_ISREG(st.st_mode):
            self._file(source, target)
        elif stat.S_ISFIFO(st.st_mode):
            os.mkfifo(target)
        else:
            return  # devices: a user namespace makes none
        self._metadata(source, target, st)

    def _linked(self, st: os.stat_result, target: str) -> bool:
        """A further name of a file that is copied already."""
        if st.st_nlink < 2:
            return False
        first = self._links.setdefault((st.st_dev, st.st_ino), target)
        if first != target:
            os.link(first, target)
        return first != target

    def _file(self, source: str, target: str) -> None:
        with open(source, "rb", buffering=0) as f, open(target, "xb", buffering=0) as out:
            while os.sendfile(out.fileno(), f.fileno(), None, 1 << 30):
                pass

    def _metadata(self, source: str, target: str, st: os.stat_result) -> None:
        uid, gid = outside(self._spec.uid_map, st.st_uid), outside(self._spec.gid_map, st.st_gid)
        if uid is None or gid is None:
            raise OSError(f"{source} belongs to {st.st_uid}:{st.st_gid}, which the mapping does not have")
        os.chown(target, uid, gid, follow_symlinks=False)
        if not stat.S_ISLNK(st.st_mode):
            os.chmod(target, stat.S_IMODE(st.st_mode))
            for name in os.listxattr(source):
                try:
                    os.setxattr(target, name, os.getxattr(source, name))
                except OSError:
                    pass  # the store's file system or the namespace does not take it, as when it was unpacked
        os.utime(target, ns=(st.st_atime_ns, st.st_mtime_ns), follow_symlinks=False)
