"""Directories of RUN --mount=type=cache: they outlive their build, and a prune removes those that no build uses.

Roots.data/buildcache/NAME, and NAME.lock, which is flock'ed while a step uses it: shared, or exclusive for
sharing=private and locked.
"""

import fcntl
import os
from contextlib import ExitStack

from podlike.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from podlike.engine.core import Engine

_MOST: "Final" = 1000  # private ones of one cache, side by side


def claim(stack: ExitStack, engine: "Engine", name: str, sharing: str) -> str:
    """Path of the cache, which nobody removes while the stack lives. sharing: shared; locked: wait until we have it alone;
    private: where it is in use, a further one."""
    root = f"{engine.roots.data}/buildcache"
    os.makedirs(root, mode=0o700, exist_ok=True)
    how = fcntl.LOCK_SH if sharing == "shared" else fcntl.LOCK_EX
    for n in range(_MOST):
        path = f"{root}/{name}-{n}" if n else f"{root}/{name}"
        fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, fd)
        try:
            fcntl.flock(fd, how | (fcntl.LOCK_NB if sharing == "private" else 0))
        except BlockingIOError:
            continue
        return path
    raise StoreError(f"use a build cache: {_MOST} builds have it",
                     hint="Write sharing=shared, or build them one after the other.")


def prune(engine: "Engine") -> int:
    """Remove all that no build uses now; return the bytes that went."""
    from podlike.engine.sizes import tree_size
    from podlike.store.trees import remove_tree

    root = f"{engine.roots.data}/buildcache"
    try:
        names = [name for name in os.listdir(root) if not name.endswith(".lock")]
    except FileNotFoundError:
        return 0
    freed = 0
    for name in names:
        with ExitStack() as stack:
            fd = os.open(f"{root}/{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            freed += tree_size(f"{root}/{name}")
            remove_tree(f"{root}/{name}")
    return freed
