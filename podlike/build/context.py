"""The files that a build may copy: a directory, an archive, a repository."""

import fcntl
import os
import subprocess
from contextlib import ExitStack

from podlike.build.sourcetree import SourceTree
from podlike.build.tarlayer import looks_like_tar
from podlike.engine.core import Engine
from podlike.errors import NotFoundError, PodlikeError, StoreError, UsageError
from podlike.spec.ignorefile import Ignored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Final

_NAMES: "Final" = ("Containerfile", "Dockerfile")
_IGNORE_NAMES: "Final" = (".containerignore", ".dockerignore")


class Context:
    """directory: absolute path, "" where there is none. dockerfile: text that came instead of a context (`build -`)."""

    def __init__(self, directory: str, *, dockerfile: str = "", ignored: Ignored | None = None) -> None:
        self.directory = directory
        self.dockerfile = dockerfile
        self.ignored = ignored

    def tree(self, stack: ExitStack) -> SourceTree:
        """Raises: NotFoundError when there is no context."""
        if not self.directory:
            raise NotFoundError("copy from the build context: this build has none", hint="Give `build` a directory.")
        fd = os.open(self.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        return SourceTree(fd, self.directory, self.ignored)


def open_context(engine: Engine, stack: ExitStack, place: str, *, ignore_file: str, files: "list[str]",
                 stdin: "BinaryIO | None") -> Context:
    """What was made for it goes with the stack. Raises: UsageError, NotFoundError, StoreError, RegistryError."""
    if place == "-":
        assert stdin is not None
        return _from_stdin(engine, stack, stdin)
    if not place:
        return Context("", ignored=None)
    if is_remote(place):
        directory = _fetched(engine, stack, place)
    else:
        directory = os.path.realpath(place)
        if not os.path.isdir(directory):
            why = "not a directory" if os.path.exists(directory) else "no such file or directory"
            raise UsageError(f"open build context {place}: {why}", hint="Give a directory; the Dockerfile's path goes to -f.")
    return Context(directory, ignored=_ignored(directory, ignore_file, files))


def find_dockerfiles(engine: Engine, context: Context, place: str, files: "list[str]") -> "list[tuple[str, str]]":
    """(path for messages, text) of each. Raises: UsageError, NotFoundError, RegistryError."""
    if context.dockerfile and not files:
        return [("standard input", context.dockerfile)]
    if not files:
        for name in _NAMES:
            path = f"{context.directory}/{name}"
            if os.path.isfile(path):
                return [(path, _read(path))]
        # No hint: scripts compare the line, which says what is missing where.
        raise NotFoundError(f"no Containerfile or Dockerfile specified or found in context directory, {place}: "
                            "no such file or directory")
    return [_one(engine, context, file) for file in files]


def _one(engine: Engine, context: Context, file: str) -> tuple[str, str]:
    if file == "-":
        return "standard input", _stdin_text()
    if file.startswith(("http://", "https://")):
        from podlike.engine.download import download

        with open(download(engine, file), "rb") as f:
            return file, _decoded(f.read(), file)
    inside = f"{context.directory}/{file}" if context.directory and not file.startswith("/") else ""
    path = file if not inside or (os.path.exists(file) and not os.path.exists(inside)) else inside
    return path, _read(path)


def _stdin_text() -> str:
    with open(0, "rb", closefd=False) as f:
        return _decoded(f.read(), "standard input")


def _read(path: str) -> str:
    try:
        with open(path, "rb") as f:
            return _decoded(f.read(), path)
    except OSError as e:
        raise NotFoundError(f"open {path}: {(e.strerror or str(e)).lower()}", hint="Name the Dockerfile with -f FILE.") from e


def _decoded(data: bytes, path: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        raise UsageError(f"read {path}: it is not UTF-8: byte {e.start}") from e


def _ignored(directory: str, ignore_file: str, files: "list[str]") -> Ignored | None:
    """The ignore file of the Dockerfile, else of the context."""
    own = [f"{files[0]}{name}" for name in _IGNORE_NAMES] if len(files) == 1 else []
    for path in [ignore_file] if ignore_file else [*own, *(f"{directory}/{name}" for name in _IGNORE_NAMES)]:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as f:
                return Ignored(f.read().splitlines(), path)
        except FileNotFoundError as e:
            if ignore_file:
                raise NotFoundError(f"open {path}: no such file or directory") from e
        except OSError as e:
            raise NotFoundError(f"open {path}: {(e.strerror or str(e)).lower()}") from e
    return None


# --- from elsewhere ---

def is_remote(place: str) -> bool:
    return place.startswith(("http://", "https://", "git://", "git@", "ssh://", "github.com/"))


def _is_git(place: str) -> bool:
    head = place.partition("#")[0]
    return place.startswith(("git://", "git@", "ssh://", "github.com/")) or head.endswith(".git")


def _scratch(engine: Engine, stack: ExitStack) -> str:
    """A directory in the store's tmp/, which a prune removes should we be killed."""
    from podlike.store.trees import remove_tree

    path = f"{engine.roots.tmp}/build-{os.getpid()}-{os.urandom(4).hex()}"
    os.makedirs(path, mode=0o700)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(fd, fcntl.LOCK_EX)
    stack.callback(os.close, fd)
    stack.callback(remove_tree, path)
    return path


def _fetched(engine: Engine, stack: ExitStack, place: str) -> str:
    scratch = _scratch(engine, stack)
    if _is_git(place):
        return _cloned(place, scratch)
    from podlike.engine.download import download

    fd = download(engine, place)
    with open(fd, "rb") as f:
        if not _unpack(f, scratch):
            f.seek(0)
            with open(f"{scratch}/Dockerfile", "wb") as out:
                out.write(f.read())
    return scratch


def _cloned(place: str, scratch: str) -> str:
    """URL[#REF[:DIRECTORY]]. Raises: UsageError."""
    url, _, fragment = place.partition("#")
    ref, _, below = fragment.partition(":")
    if url.startswith("github.com/"):
        url = f"https://{url}"
    if url.startswith("-") or ref.startswith("-"):
        raise UsageError(f"clone {place[:80]}: this is no repository")
    commands = [["git", "init", "-q", scratch], ["git", "-C", scratch, "fetch", "-q", "--depth=1", "--", url, ref or "HEAD"],
                ["git", "-C", scratch, "checkout", "-q", "FETCH_HEAD"]]
    for argv in commands:
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  check=False)
        except FileNotFoundError:
            raise UsageError(f"clone {place[:80]}: git is not installed", hint="Install git, or give a directory.") from None
        if done.returncode:
            raise NotFoundError(f"clone {place[:80]}: {' '.join(done.stderr.split())[-300:]}")
    root = os.path.realpath(f"{scratch}/{below}")
    if root != scratch and not root.startswith(scratch + "/") or not os.path.isdir(root):
        raise NotFoundError(f"clone {place[:80]}: there is no directory {below}")
    return root


def _from_stdin(engine: Engine, stack: ExitStack, stdin: "BinaryIO") -> Context:
    """An archive with the context, or a Dockerfile alone."""
    from podlike.transports.codec import HEAD, detect
    from podlike.transports.sending import nameless, write_all

    fd = nameless(engine.roots.tmp)
    with open(fd, "w+b") as kept:
        while piece := stdin.read(1 << 20):
            write_all(fd, piece, engine.roots.tmp)
        kept.seek(0)
        head = kept.read(max(HEAD, 512))
        kept.seek(0)
        if detect(head[:HEAD]) or looks_like_tar(head):
            scratch = _scratch(engine, stack)
            if not _unpack(kept, scratch):
                raise UsageError("read the build context from standard input: it is no archive")
            return Context(scratch, ignored=_ignored(scratch, "", []))
        return Context("", dockerfile=_decoded(kept.read(), "standard input"))


def _unpack(source: "BinaryIO", directory: str) -> bool:
    """False: it is no archive. Owners are not kept: what is copied becomes root's anyway."""
    from podlike.engine.copying.tarstream import read

    source.seek(0)
    os.lseek(source.fileno(), 0, os.SEEK_SET)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        read(source, fd, shown="the build context", owner=(os.geteuid(), os.getegid()), uid_map=(), gid_map=(), overwrite=True)
    except UsageError:
        return False
    except StoreError as e:
        raise PodlikeError(f"unpack the build context: {e.message}", hint=e.hint) from e
    finally:
        os.close(fd)
    return True
