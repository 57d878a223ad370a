"""With the vfs driver a container has a whole copy of its image: what it changed, as the upper directory of an overlay.

Files are linked, not copied, so the directory costs as much as there are changes; what was deleted is a whiteout.
"""

import contextlib
import os
import stat

from podlike.engine.core import Engine
from podlike.engine.diff import container_stack, diff_stacks, image_stack
from podlike.errors import StoreError
from podlike.store.containers import Container
from podlike.store.trees import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def changes_as_upper(engine: Engine, container: Container) -> "Iterator[int]":
    """An fd of the directory, which goes at the end. Under the container's lock, or while nobody removes it.

    Raises: StoreError.
    """
    base = engine.roots.container(container.id)
    path = f"{base}/changes-{os.getpid()}"
    try:
        os.mkdir(path, 0o700)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _fill(engine, container, fd)
            yield fd
        finally:
            os.close(fd)
    except OSError as e:
        raise StoreError(f"find what changed in {container.name}: {e.strerror}") from e
    finally:
        remove_tree(path)


def _fill(engine: Engine, container: Container, upper: int) -> None:
    stack = container_stack(engine, container)
    root = os.open(stack[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _copy_directory_facts(os.fstat(root), root, upper)
        directories = []
        for change in diff_stacks(engine, stack, image_stack(engine, container.spec.layers)):  # sorted: parents first
            path = change.path.lstrip("/")
            if change.kind == "D":
                os.mknod(path, stat.S_IFCHR, 0, dir_fd=upper)
                continue
            st = os.stat(path, dir_fd=root, follow_symlinks=False)
            if not stat.S_ISDIR(st.st_mode):
                os.link(path, path, src_dir_fd=root, dst_dir_fd=upper, follow_symlinks=False)
                continue
            os.mkdir(path, 0o700, dir_fd=upper)
            directories.append((path, st))
        for path, st in reversed(directories):
            _finish(root, upper, path, st)
    finally:
        os.close(root)


def _finish(root: int, upper: int, path: str, st: os.stat_result) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    source = os.open(path, flags, dir_fd=root)
    try:
        made = os.open(path, flags, dir_fd=upper)
        try:
            _copy_directory_facts(st, source, made)
        finally:
            os.close(made)
    finally:
        os.close(source)


def _copy_directory_facts(st: os.stat_result, source: int, made: int) -> None:
    os.fchown(made, st.st_uid, st.st_gid)
    os.fchmod(made, stat.S_IMODE(st.st_mode))
    for name in os.listxattr(source):
        try:
            os.setxattr(made, name, os.getxattr(source, name))
        except OSError:
            pass  # the host's, such as SELinux's labels
    os.utime(made, ns=(st.st_atime_ns, st.st_mtime_ns))
