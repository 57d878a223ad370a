"""How much disk a container takes."""

import os

from podlike.engine.core import Engine
from podlike.errors import PodlikeError
from podlike.store.containers import Container


def container_size(engine: Engine, container: Container) -> tuple[int, int]:
    """(bytes in the writable layer, bytes of all layers together). Joins the session: files belong to its ids."""
    engine.enter_session()
    base = engine.roots.container(container.id)
    own, below = tree_size(f"{base}/upper"), 0
    for diff_id in container.spec.layers:
        try:
            below += engine.layers.size(diff_id)
        except (PodlikeError, OSError):
            continue  # a missing layer is the start's to report
    if os.path.isdir(f"{base}/root"):  # vfs: a copy of everything, changed files among them
        own = max(0, tree_size(f"{base}/root") - below)
    return own, own + below


def tree_size(path: str) -> int:
    """Sum of the sizes of the files below path; a file with several links counts once."""
    total, seen = 0, set()
    pending = [path]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    st = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif st.st_nlink < 2 or (st.st_dev, st.st_ino) not in seen:
                        seen.add((st.st_dev, st.st_ino))
                        total += st.st_size
        except OSError:
            continue  # gone while we looked, or not ours to read
    return total


def tree_directories(path: str) -> int:
    """Sum of what the directories themselves take, path among them."""
    return sum(os.lstat(directory).st_size for directory, _, _ in os.walk(path))
