"""What changed between a container or an image and what it was made from, or between any two of them.

Everything is a stack of directories as overlayfs sees them: a character device 0:0 is a whiteout, the attribute
overlay.opaque hides what lies below; fuse-overlayfs writes files .wh.NAME and .wh..wh..opq where it cannot make those. So
nothing has to be mounted. Source: overlayfs.rst, fuse-overlayfs(1).
"""

import os
import stat

from podlike.engine.core import Engine
from podlike.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final, NamedTuple

    from podlike.store.containers import Container
    from podlike.store.images import Image

    Thing = Container | Image
else:
    from podlike.spec.record import NamedTuple

_OPAQUE: "Final" = ("user.overlay.opaque", "trusted.overlay.opaque", "user.fuseoverlayfs.opaque")
_MARK: "Final" = ".wh."
_OPAQUE_MARK: "Final" = ".wh..wh..opq"
# What every container has because it runs, and nobody wrote.
_MADE_BY_US: "Final" = ("/dev", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/proc", "/run", "/run/notify",
                        "/run/.containerenv", "/run/secrets", "/sys")


class Change(NamedTuple):
    """kind: A added, C changed, D deleted. path: from the root of the container or image."""

    path: str
    kind: str


def changes_of(engine: Engine, things: "Sequence[Thing]") -> list[Change]:
    """Of one container or image since it was made, or from the second of two to the first; sorted by path."""
    from podlike.store.images import Image

    if len(things) == 1:
        only = things[0]
        return diff_image(engine, only) if isinstance(only, Image) else diff_container(engine, only)
    stacks = [image_stack(engine, thing.layers) if isinstance(thing, Image) else container_stack(engine, thing)
              for thing in things]
    return diff_stacks(engine, stacks[0], stacks[1])


def container_stack(engine: Engine, container: "Container") -> list[str]:
    """Its writable directory and those below it, topmost first; of a driver that copies only the copy."""
    base = engine.roots.container(container.id)
    if os.path.isdir(f"{base}/root"):
        return [f"{base}/root"]
    return [f"{base}/upper", *image_stack(engine, container.spec.layers)]


def image_stack(engine: Engine, layers: "Iterable[str]") -> list[str]:
    return [engine.layers.path(diff_id) for diff_id in dict.fromkeys(reversed(list(layers)))]


def diff_container(engine: Engine, container: "Container") -> list[Change]:
    """A container against its image. Raises: StoreError for a --rootfs container."""
    if container.spec.rootfs:
        raise StoreError(f"diff {container.name}: it has no image to be compared with",
                         hint="Its files are in the directory that was given with --rootfs.")
    engine.enter_session()
    hidden = {*_MADE_BY_US, *(m.target.rstrip("/") for m in container.spec.mounts), *container.spec.tmpfs}
    stack = container_stack(engine, container)
    if stack[0].endswith("/root"):  # a whole copy
        changes = diff_stacks(engine, stack, image_stack(engine, container.spec.layers))
    else:
        changes = _compare_top(stack)
    return [c for c in changes if c.path not in hidden]


def diff_image(engine: Engine, image: "Image") -> list[Change]:
    """An image's topmost layer against the layers below."""
    engine.enter_session()
    stack = image_stack(engine, image.layers)
    return _compare_top(stack) if stack else []


def diff_stacks(engine: Engine, new: list[str], old: list[str]) -> list[Change]:
    """All that is in new and not, or not so, in old."""
    engine.enter_session()
    changes: list[Change] = []
    _compare_trees(_View(new), _View(old), "", changes)
    return sorted(changes)


def _compare_top(stack: list[str]) -> list[Change]:
    """The topmost directory of a stack against the others."""
    changes: list[Change] = []
    below = _View(stack[1:])
    _walk_top(stack[0], "", below, changes)
    return sorted(changes)


def _walk_top(top: str, path: str, below: "_View", changes: list[Change]) -> bool:
    """Compare one directory of the top; True if something in it changed."""
    full = top + path
    try:
        names = sorted(os.listdir(full))
    except FileNotFoundError:
        return False
    changed = False
    if path and _is_opaque(full):
        for name in below.names(path):
            if name not in names:
                changes.append(Change(f"{path}/{name}", "D"))
                changed = True
    for name in names:
        if name.startswith(_MARK):
            hidden = f"{path}/{name.removeprefix(_MARK)}"
            if name != _OPAQUE_MARK and below.lstat(hidden) is not None:
                changes.append(Change(hidden, "D"))
                changed = True
            continue
        here = f"{path}/{name}"
        st = os.lstat(top + here)
        old = below.lstat(here)
        if _is_whiteout(st):
            if old is not None:
                changes.append(Change(here, "D"))
                changed = True
            continue
        inside = stat.S_ISDIR(st.st_mode) and _walk_top(top, here, below, changes)
        if old is None:
            changes.append(Change(here, "A"))
        elif not stat.S_ISDIR(st.st_mode) or inside or not _same_directory(st, old):
            changes.append(Change(here, "C"))
        else:
            continue
        changed = True
    return changed


def _compare_trees(new: "_View", old: "_View", path: str, changes: list[Change]) -> bool:
    names, before = set(new.names(path)), set(old.names(path))
    changed = bool(before - names)
    changes += [Change(f"{path}/{name}", "D") for name in before - names]
    for name in names:
        here = f"{path}/{name}"
        now, then = new.lstat(here), old.lstat(here)
        if now is None:
            continue
        inside = stat.S_ISDIR(now.st_mode) and _compare_trees(new, old, here, changes)
        if then is None:
            changes.append(Change(here, "A"))
        elif inside or not (_same_directory(now, then) if stat.S_ISDIR(now.st_mode) else _same_file(new, old, here, now, then)):
            changes.append(Change(here, "C"))
        else:
            continue
        changed = True
    return changed


def _same_directory(a: os.stat_result, b: os.stat_result) -> bool:
    return (a.st_mode, a.st_uid, a.st_gid) == (b.st_mode, b.st_uid, b.st_gid) and _same_time(a, b)


def _same_file(new: "_View", old: "_View", path: str, a: os.stat_result, b: os.stat_result) -> bool:
    if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino):
        return True
    if (a.st_mode, a.st_uid, a.st_gid, a.st_rdev) != (b.st_mode, b.st_uid, b.st_gid, b.st_rdev):
        return False
    if stat.S_ISLNK(a.st_mode):
        return os.readlink(new.path(path)) == os.readlink(old.path(path))
    return a.st_size == b.st_size and _same_time(a, b)


def _same_time(a: os.stat_result, b: os.stat_result) -> bool:
    """To the second where one of them has no fraction: archives keep none, file systems do."""
    if a.st_mtime_ns % 10**9 and b.st_mtime_ns % 10**9:
        return a.st_mtime_ns == b.st_mtime_ns
    return a.st_mtime_ns // 10**9 == b.st_mtime_ns // 10**9


def _is_whiteout(st: os.stat_result) -> bool:
    return stat.S_ISCHR(st.st_mode) and st.st_rdev == 0


def _is_opaque(path: str) -> bool:
    if os.path.lexists(f"{path}/{_OPAQUE_MARK}"):
        return True
    for name in _OPAQUE:
        try:
            if os.getxattr(path, name, follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False


class _View:
    """What a stack of directories shows, merged. Paths are those within, beginning with a slash, or "" for the root."""

    def __init__(self, stack: list[str]) -> None:
        self._stack = stack
        self._shown: "dict[str, list[str]]" = {"": stack}

    def lstat(self, path: str) -> os.stat_result | None:
        found = self._places(path)
        return os.lstat(found[0] + path) if found else None

    def path(self, path: str) -> str:
        """On the host. Only for what lstat() finds."""
        return self._places(path)[0] + path

    def names(self, path: str) -> list[str]:
        """What a directory shows; nothing for what is none."""
        names: "dict[str, bool]" = {}
        for layer in self._places(path):
            full = layer + path
            try:
                with os.scandir(full) as entries:
                    for entry in entries:
                        if entry.name.startswith(_MARK):
                            names.setdefault(entry.name.removeprefix(_MARK), False)
                        else:
                            names.setdefault(entry.name, not _is_whiteout(entry.stat(follow_symlinks=False)))
            except (NotADirectoryError, FileNotFoundError):
                break
        return [name for name, shown in names.items() if shown]

    def _places(self, path: str) -> list[str]:
        """The directories of the stack that take part in what stands at the path, topmost first; none: nothing is."""
        known = self._shown.get(path)
        if known is not None:
            return known
        parent = path.rpartition("/")[0]
        found: list[str] = []
        for layer in self._places(parent):
            if os.path.lexists(f"{layer}{parent}/{_MARK}{path.rpartition('/')[2]}"):
                break
            try:
                st = os.lstat(layer + path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if _is_whiteout(st) or (found and not stat.S_ISDIR(st.st_mode)):
                break
            found.append(layer)
            if not stat.S_ISDIR(st.st_mode) or _is_opaque(layer + path):
                break
        self._shown[path] = found
        return found
