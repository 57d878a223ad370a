"""Unpacked layers, one directory each, keyed by diff ID.

layers/sha256/HEX/diff is the tree, layer.json beside it the record. podlike-layer unpacks in tmp/ and verifies
the diff ID; rename(2) makes the layer exist: has() is one stat, and a crash leaves only what sweep() takes.
"""

import errno
import fcntl
import json
import os
import stat

from podlike.errors import StoreError
from podlike.files import make_directory
from podlike.paths import libexec
from podlike.spec.image import split_digest
from podlike.store.blobs import disk_error
from podlike.store.trees import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from typing import Any, Final, Self

    from podlike.store.db import Database
    from podlike.store.options import StoreOptions

# Mode of a layer's directory until an entry for "/" says another: most layers have none. Sticky and not writable is
# a mode that means nothing, so nobody gives it to a root directory; a mode costs no read when a container starts.
NO_ROOT_ENTRY: "Final" = 0o1555
_HINTS: "Final" = {
    errno.ENOSPC: "Free space on its file system, for instance with `podlike image prune --all`.",
    errno.EDQUOT: "Your disk quota is used up. Free space, for instance with `podlike image prune --all`.",
    errno.ERANGE: "Give this user a larger range in /etc/subuid and /etc/subgid, for instance "
                  "`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`; or take all files as "
                  "your own with `--storage-opt overlay.ignore_chown_errors=true`.",
    errno.EFBIG: "If you trust the image, raise the limit: --storage-opt podlike.max_layer_size=SIZE, "
                 "podlike.max_layer_entries=NUMBER, or in storage.conf [storage.options.podlike].",
}


class LayerStore:
    """layers/sha256/HEX. Everything that writes needs the session's ids (Engine.enter_session) or root."""

    __slots__ = ("_db", "_options", "_root", "_thread", "_tmp")

    def __init__(self, root: str, *, tmp: str, db: "Database", options: "Callable[[], StoreOptions] | None" = None) -> None:
        """options: asked when they are needed; None: the defaults."""
        from _thread import get_ident

        self._root = root
        self._tmp = tmp
        self._db = db
        self._options = options
        self._thread = get_ident()

    def has(self, diff_id: str) -> bool:
        return os.path.exists(self._found(diff_id))

    def path(self, diff_id: str) -> str:
        """The tree's directory, for overlay's lowerdir."""
        return f"{self._found(diff_id)}/diff"

    def _found(self, diff_id: str) -> str:
        """The layer's directory here, or where an additional store has it."""
        own = self._dir(diff_id)
        if self._options is None or os.path.exists(own):
            return own
        algorithm, digits = split_digest(diff_id)
        paths = (f"{root}/layers/{algorithm}/{digits}" for root in self._options().additional)
        return next((path for path in paths if os.path.exists(path)), own)

    def record(self, diff_id: str) -> "dict[str, Any]":
        """layer.json: {"diff_id", "size", "blob", "media_type"}. Raises: StoreError."""
        path = f"{self._found(diff_id)}/layer.json"
        try:
            with open(path, "rb") as f:
                doc: "dict[str, Any]" = json.load(f)
        except (OSError, ValueError) as e:
            raise StoreError(f"read layer {diff_id}: {e}",
                             hint="Remove the image with `podlike rmi --force` and pull it again.") from e
        return doc

    def size(self, diff_id: str) -> int:
        """Bytes of its regular files."""
        return int(self.record(diff_id)["size"])

    def digest_tree(self, tree: str) -> str:
        """store.pack.tree_digest() of a layer's directory; the directory itself counts where the layer has an entry for it.

        Raises: StoreError.
        """
        from podlike.store.pack import tree_digest

        try:
            described = stat.S_IMODE(os.stat(tree).st_mode) != NO_ROOT_ENTRY
        except OSError as e:
            raise StoreError(f"read layer {tree}: {e.strerror}") from e
        return tree_digest(tree, root_entry=described)

    def known_tree(self, diff_id: str) -> str | None:
        """What digest_tree() gave when the layer was last known to be right; None: never asked."""
        try:
            with open(f"{self._dir(diff_id)}/tree", encoding="ascii", errors="replace") as f:
                return f.read().strip() or None
        except OSError:
            return None

    def remember_tree(self, diff_id: str, digest: str) -> None:
        path = f"{self._dir(diff_id)}/tree"
        if self.known_tree(diff_id) == digest:
            return
        try:
            with open(f"{path}.{os.getpid()}", "w", encoding="ascii") as f:
                f.write(digest + "\n")
            os.rename(f"{path}.{os.getpid()}", path)
        except OSError as e:
            raise disk_error("write", path, e) from e

    def unpack(self, diff_id: str, *, blob: str | None, media_type: str) -> "LayerUnpack":
        """For `with`: feed the (compressed) layer to write(), then call finish().

        diff_id: what its uncompressed tar must hash to. blob: digest of what is being fed, for the record.
        Works in any thread; the database row is written only in the thread that opened the database.
        """
        return LayerUnpack(self, diff_id, blob, media_type)

    def remove(self, diff_id: str) -> int:
        """Delete a layer that nothing uses; return the bytes its record gives."""
        try:
            size = self.size(diff_id)
        except StoreError:
            size = 0  # a damaged layer goes like any other
        self._db.execute("DELETE FROM layers WHERE diff_id=?", (diff_id,))
        trash = f"{self._tmp}/trash-{split_digest(diff_id)[1]}-{os.getpid()}"
        try:
            os.makedirs(self._tmp, mode=0o700, exist_ok=True)
            os.rename(self._dir(diff_id), trash)
            remove_tree(trash)
        except FileNotFoundError:
            return 0
        except OSError as e:
            raise disk_error("delete layer", diff_id, e) from e
        return size

    def all(self) -> "Iterator[str]":
        """The diff IDs of all layers."""
        try:
            names = os.listdir(f"{self._root}/sha256")
        except FileNotFoundError:
            return
        yield from (f"sha256:{name}" for name in names)

    def sweep(self, *, partial_age: float = 86400.0, everything: bool = False) -> "tuple[int, int]":
        """Remove what crashed commands left in tmp/; return how many entries went and their bytes.

        partial_age: seconds for which an unfinished blob is kept for the next pull to continue.
        everything: whatever nobody holds a lock on. Only under the exclusive store lock.
        """
        removed = freed = 0
        try:
            names = os.listdir(self._tmp)
        except FileNotFoundError:
            return 0, 0
        for name in names:
            partial = name.endswith(".partial")
            if name != ".lock" and (everything or partial or name.startswith(("layer-", "trash-"))):
                size = _sweep_one(f"{self._tmp}/{name}", partial_age if partial else 0.0)
                removed += size >= 0
                freed += max(size, 0)
        return removed, freed

    def unpack_arguments(self) -> "list[str]":
        return self._options().unpack_arguments() if self._options is not None else []

    def _dir(self, diff_id: str) -> str:
        algorithm, digits = split_digest(diff_id)
        return f"{self._root}/{algorithm}/{digits}"

    def _install(self, tmp: str, record: "dict[str, Any]") -> bool:
        """Give a verified layer its name. False: another process was faster."""
        from _thread import get_ident

        target = self._dir(record["diff_id"])
        with open(f"{tmp}/layer.json", "w", encoding="utf-8") as f:
            json.dump(record, f)
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        won = True
        try:
            os.rename(tmp, target)
        except OSError as e:
            if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            won = False
        if get_ident() == self._thread:
            self.index(record)
        return won

    def index(self, record: "dict[str, Any]") -> None:
        """Put a layer's record into the database, once."""
        self._db.execute("INSERT OR IGNORE INTO layers (diff_id, blob, media_type, size) VALUES (?,?,?,?)",
                         (record["diff_id"], record["blob"], record["media_type"], record["size"]))


class LayerUnpack:
    """One layer on its way from compressed bytes to a directory. Holds a flock on it while it lives.

    done: the layer is in the store.
    """

    __slots__ = ("_blob", "_child", "_diff_id", "_dir", "_lock", "_media_type", "_store", "_tmp_root", "done")

    def __init__(self, store: LayerStore, diff_id: str, blob: str | None, media_type: str) -> None:
        split_digest(diff_id)
        self._store = store
        self._tmp_root = store._tmp
        self._diff_id = diff_id
        self._blob = blob
        self._media_type = media_type
        self._dir = ""
        self._lock = -1
        self._child: "subprocess.Popen[bytes] | None" = None
        self.done = False

    def __enter__(self) -> "Self":
        import subprocess

        program = libexec("podlike-layer")
        try:
            os.makedirs(self._tmp_root, mode=0o700, exist_ok=True)
            self._dir = make_directory(self._tmp_root, "layer-")
            self._lock = os.open(self._dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            os.mkdir(f"{self._dir}/diff")
            os.chmod(f"{self._dir}/diff", NO_ROOT_ENTRY)
            self._child = subprocess.Popen(
                [program, "unpack", "--dest", f"{self._dir}/diff", "--diff-id", self._diff_id,
                 *self._store.unpack_arguments()],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as e:
            self.abort()
            raise disk_error("unpack layer with", e.filename or self._tmp_root, e) from e
        except BaseException:
            self.abort()
            raise
        return self

    def write(self, chunk: "bytes | memoryview") -> None:
        """Feed bytes. Raises: StoreError as soon as podlike-layer has given up."""
        assert self._child is not None and self._child.stdin is not None
        fd = self._child.stdin.fileno()
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[os.write(fd, rest):]
        except BrokenPipeError:
            self._result()
            raise StoreError(f"unpack layer {self._diff_id}: podlike-layer stopped reading") from None

    @property
    def tree(self) -> str:
        """The directory that is being made, until finish() gives it its name."""
        return f"{self._dir}/diff"

    def verify(self) -> "dict[str, Any]":
        """Wait for podlike-layer; what it says. The tree stays where it is and goes at the end of `with`.

        Raises: as finish().
        """
        return self._result()

    def finish(self) -> "dict[str, Any]":
        """Wait for podlike-layer, verify, give the layer its name; return its record.

        Raises: StoreError (digest, broken tar, escape, ids, disk full); nothing stays behind.
        """
        result = self._result()
        record = {"diff_id": self._diff_id, "size": result["size"], "blob": self._blob,
                  "media_type": self._media_type}
        try:
            won = self._store._install(self._dir, record)
        except OSError as e:
            raise disk_error("unpack layer", self._diff_id, e) from e
        if won:
            self._dir = ""
        self.done = True
        return record

    def abort(self) -> None:
        """Stop podlike-layer and remove what it has made. Called by `with`; does nothing after finish()."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
            child.wait()
        if self._dir:
            try:
                remove_tree(self._dir)
            except OSError:
                pass  # sweep() tries again
            self._dir = ""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __exit__(self, *exc: object) -> None:
        self.abort()

    def _result(self) -> "dict[str, Any]":
        """Close the pipe and read podlike-layer's verdict."""
        child = self._child
        assert child is not None and child.stdin is not None and child.stdout is not None
        child.stdin.close()
        output = child.stdout.read()
        status = child.wait()
        try:
            doc: "dict[str, Any]" = json.loads(output)
        except ValueError:
            raise StoreError(f"unpack layer {self._diff_id}: podlike-layer ended with {status}") from None
        if status != 0 or "error" in doc:
            raise StoreError(f"unpack layer {self._diff_id}: {doc.get('error', status)}",
                             hint=_HINTS.get(doc.get("errno", 0)))
        return doc


def _sweep_one(path: str, min_age: float) -> int:
    """Bytes that went; -1: it is in use, or not ours to remove now."""
    import time

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return -1
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        st = os.fstat(fd)
        if time.time() - st.st_mtime < min_age:
            return -1
        remove_tree(path)
    except OSError:
        return -1
    finally:
        os.close(fd)
    return st.st_size
