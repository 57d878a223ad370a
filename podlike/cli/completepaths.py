"""Paths inside of images and containers, for completion: layers are looked through one over the other, nothing is mounted."""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.cli.complete import Line

_MAX_LINKS = 40  # as the kernel's limit of links on the way to a file


def of_image(line: "Line", name: str, typed: str) -> "list[tuple[str, str]]":
    """What the typed path can become. Raises: NotFoundError."""
    from podlike.engine.diff import image_stack
    from podlike.engine.images import resolve

    engine = line.session.engine
    image = resolve(engine, name)
    return _complete(line, image_stack(engine, image.layers), typed)


def of_container(line: "Line", name: str, typed: str) -> "list[tuple[str, str]]":
    """Raises: NotFoundError."""
    from podlike.engine.diff import container_stack

    engine = line.session.engine
    container = engine.containers.find(name)
    stack = [container.spec.rootfs] if container.spec.rootfs else container_stack(engine, container)
    return _complete(line, stack, typed)


def _complete(line: "Line", stack: "list[str]", typed: str) -> "list[tuple[str, str]]":
    """Candidates keep what was typed in front of the last slash; a directory ends with a slash."""
    line.session.engine.enter_session()
    head, slash, start = typed.rpartition("/")
    tree = Tree(stack)
    out = []
    exact = tree.directory(typed) if typed and not typed.endswith("/") else None
    if exact is not None and start not in (".", ".."):
        out += [(f"{typed}/{name}", "") for name in tree.names(exact)]
        out.append((f"{typed}/", ""))
    here = tree.directory(head or "/")
    if here is None:
        return out
    for name, is_directory in tree.names(here).items():
        if name.startswith(start) and name != (start if exact is not None else None):
            full = f"{head}{slash}{name}"
            # Without a slash in front a path begins at the root, too; that is how it was typed.
            out.append((f"{full}/" if is_directory else full, ""))
            if not typed:
                out[-1] = (f"/{out[-1][0]}", "")
    return sorted(set(out))


class Tree:
    """Layers as the one tree that an overlay of them would show. stack: topmost first."""

    def __init__(self, stack: "list[str]") -> None:
        self._root = [path for path in stack if os.path.isdir(path)]

    def directory(self, path: str) -> "list[str] | None":
        """The directories that make it up, topmost first; None: there is none. ".." stops at the root."""
        return self._walk(path, [])

    def names(self, directory: "list[str]") -> "dict[str, bool]":
        """Name -> whether it is a directory, or a link to one."""
        out: "dict[str, bool]" = {}
        hidden: "set[str]" = set()
        for path in directory:
            try:
                with os.scandir(path) as entries:
                    for entry in entries:
                        if entry.name in out or entry.name in hidden:
                            continue
                        st = entry.stat(follow_symlinks=False)
                        if _is_whiteout(st):
                            hidden.add(entry.name)
                        else:
                            out[entry.name] = stat.S_ISDIR(st.st_mode)
            except OSError:
                continue
        return dict(sorted(out.items()))

    def _walk(self, path: str, trail: "list[list[str]]", links: int = 0) -> "list[str] | None":
        """trail: the directories from the root to where the path begins."""
        trail = [self._root] if path.startswith("/") or not trail else trail
        for name in path.split("/"):
            if name in ("", "."):
                continue
            if name == "..":
                trail = trail[:-1] or [self._root]
                continue
            found = self._enter(trail[-1], name)
            if isinstance(found, str):  # a link
                if links >= _MAX_LINKS:
                    return None
                target = self._walk(found, trail, links + 1)
                if target is None:
                    return None
                trail = [*trail, target]
            elif not found:
                return None
            else:
                trail = [*trail, found]
        return trail[-1]

    def _enter(self, directory: "list[str]", name: str) -> "list[str] | str":
        """The directories of that name, a link's target, or nothing for what is no directory."""
        found: "list[str]" = []
        for path in directory:
            full = f"{path}/{name}"
            try:
                st = os.lstat(full)
                if stat.S_ISLNK(st.st_mode):
                    return found if found else os.readlink(full)
            except OSError:
                continue
            if not stat.S_ISDIR(st.st_mode):
                break  # a whiteout, or a file that hides what is below
            found.append(full)
            if _is_opaque(full):
                break
        return found


def _is_whiteout(st: os.stat_result) -> bool:
    return stat.S_ISCHR(st.st_mode) and st.st_rdev == 0


def _is_opaque(path: str) -> bool:
    for name in ("user.overlay.opaque", "trusted.overlay.opaque"):
        try:
            if os.getxattr(path, name) == b"y":
                return True
        except OSError:
            continue
    return False
