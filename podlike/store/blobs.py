"""Content-addressed blobs: manifests, configs and compressed layers, exactly as received.

A blob appears under its final name by rename(2) only, complete and verified. An unfinished download stays in
tmp/ as HEX.partial, so that the next attempt goes on where it ended; who writes it holds a flock on it.
"""

import fcntl
import os

from podlike.errors import StoreError
from podlike.spec.image import split_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _hashlib import HASH
    from collections.abc import Callable, Iterator
    from typing import Final, Self

# Bytes read or written at once: large enough that hashing dominates, small enough to stay in the L2 cache.
CHUNK: "Final" = 1 << 20

_FULL_HINT = "Free space on its file system, for instance with `podlike image prune --all`."


def disk_error(action: str, path: str, error: OSError) -> StoreError:
    """The StoreError for a failed write beneath the store, with a hint when the disk is full."""
    import errno

    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StoreError(f"{action} {path}: {error.strerror}", hint=_FULL_HINT if full else None)


class BlobStore:
    """blobs/ALGORITHM/HEX. Safe for many threads and processes at once."""

    __slots__ = ("_additional", "_root", "_tmp")

    def __init__(self, root: str, *, tmp: str, additional: "Callable[[], tuple[str, ...]]" = tuple) -> None:
        """additional: the blobs/ of read-only stores, asked for what is not here."""
        self._additional = additional
        self._root = root
        self._tmp = tmp

    def path(self, digest: str) -> str:
        """Where the blob is or would be. Raises: StoreError for anything that is not a digest."""
        algorithm, digits = split_digest(digest)
        return f"{self._root}/{algorithm}/{digits}"

    def has(self, digest: str) -> bool:
        return os.path.exists(self._found(digest))

    def _found(self, digest: str) -> str:
        """path(), or where an additional store has it."""
        own = self.path(digest)
        if os.path.exists(own):
            return own
        algorithm, digits = split_digest(digest)
        paths = (f"{root}/{algorithm}/{digits}" for root in self._additional())
        return next((path for path in paths if os.path.exists(path)), own)

    def size(self, digest: str) -> int:
        """Bytes. Raises: StoreError when the blob is not there."""
        try:
            return os.stat(self._found(digest)).st_size
        except OSError as e:
            raise _missing(digest, e) from e

    def open(self, digest: str) -> int:
        """A new read-only fd, the caller's to close."""
        try:
            return os.open(self._found(digest), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            raise _missing(digest, e) from e

    def read(self, digest: str, *, limit: int) -> bytes:
        """The content of a small blob, verified.

        limit: bytes; a larger blob is an error.
        Raises: StoreError when it is missing, larger, or not what its name says.
        """
        import hashlib

        fd = self.open(digest)
        try:
            with os.fdopen(fd, "rb", closefd=False) as f:
                data = f.read(limit + 1)
        finally:
            os.close(fd)
        if len(data) > limit:
            raise StoreError(f"read blob {digest}: it is larger than {limit} bytes")
        algorithm, digits = split_digest(digest)
        actual = hashlib.new(algorithm, data).hexdigest()
        if actual != digits:
            raise StoreError(f"read blob {digest}: its content has the digest {algorithm}:{actual}",
                             hint="The store is damaged. Pull the image again after `podlike rmi --force`.")
        return data

    def write(self, data: bytes) -> str:
        """Store a document; return its sha256 digest. Storing it twice is fine."""
        import hashlib

        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        with self.partial(digest) as blob:
            if not blob.done:
                blob.reset()
                blob.write(data)
                blob.finish(len(data))
        return digest

    def partial(self, digest: str) -> "PartialBlob":
        """For `with`: the right to write this blob. Waits while another process or thread writes it."""
        return PartialBlob(self, digest, f"{self._tmp}/{split_digest(digest)[1]}.partial")

    def adopt(self, fd: int, digest: str) -> None:
        """Give a nameless file of the same file system (O_TMPFILE in tmp/) its name as a blob.

        The caller has hashed its content. Raises: StoreError.
        """
        target = self.path(digest)
        try:
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            # With a directory's fd Python uses linkat(2), which follows the link in /proc; link(2) would not.
            here = os.open("/", os.O_PATH | os.O_CLOEXEC)
            try:
                os.link(f"/proc/self/fd/{fd}", target, src_dir_fd=here, follow_symlinks=True)
            finally:
                os.close(here)
        except FileExistsError:
            pass
        except OSError as e:
            raise disk_error("write blob", digest, e) from e

    def delete(self, digest: str) -> int:
        """Remove the blob if it is there; return the bytes this frees."""
        path = self.path(digest)
        try:
            size = os.stat(path).st_size
            os.unlink(path)
        except FileNotFoundError:
            return 0
        except OSError as e:
            raise disk_error("delete blob", digest, e) from e
        return size

    def all(self) -> "Iterator[str]":
        """The digests of all blobs."""
        for algorithm in ("sha256", "sha512"):
            try:
                names = os.listdir(f"{self._root}/{algorithm}")
            except FileNotFoundError:
                continue
            yield from (f"{algorithm}:{name}" for name in names)


class PartialBlob:
    """A blob being written; the holder of its lock.

    done: another writer has finished it in the meantime (or it was there): nothing is left to write.
    offset: bytes that are here already and need not be fetched again.
    Leaving the `with` block without finish() keeps what was written, for the next attempt.
    """

    __slots__ = ("_fd", "_hash", "_path", "_store", "digest", "done", "offset")

    def __init__(self, store: BlobStore, digest: str, path: str) -> None:
        self._store = store
        self._path = path
        self._fd = -1
        self._hash: "HASH | None" = None
        self.digest = digest
        self.done = False
        self.offset = 0

    def __enter__(self) -> "Self":
        try:
            self._lock()
            if self._store.has(self.digest):
                self.done = True
                self._discard()
            else:
                self._resume()
        except OSError as e:
            self._close()
            raise disk_error("open", self._path, e) from e
        return self

    def write(self, chunk: "bytes | memoryview") -> None:
        """Append. Raises: StoreError; what was written before stays."""
        assert self._hash is not None
        self._hash.update(chunk)
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest):]
        except OSError as e:
            raise disk_error("write blob", self.digest, e) from e
        self.offset += len(chunk)

    def reset(self) -> None:
        """Forget what is here: the sender cannot continue in the middle."""
        import hashlib

        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._hash = hashlib.new(split_digest(self.digest)[0])
        self.offset = 0

    def read_back(self) -> "Iterator[bytes]":
        """The bytes before offset in pieces, for a consumer that needs the blob from its beginning."""
        position = 0
        while position < self.offset:
            piece = os.pread(self._fd, min(CHUNK, self.offset - position), position)
            if not piece:
                return
            position += len(piece)
            yield piece

    def finish(self, expected_size: int | None = None) -> None:
        """Verify and give the blob its name.

        Raises: StoreError when size or digest differ; the data is deleted then.
        """
        assert self._hash is not None
        algorithm, digits = split_digest(self.digest)
        actual = self._hash.hexdigest()
        if expected_size is not None and self.offset != expected_size:
            got = self.offset
            self._discard()
            raise StoreError(f"verify blob {self.digest}: it has {got} bytes, expected {expected_size}",
                             hint="Try again; if it happens twice, the sender's copy is damaged.")
        if actual != digits:
            self._discard()
            raise StoreError(f"verify blob: it is {algorithm}:{actual}, expected {self.digest}",
                             hint="Try again; if it happens twice, the sender's copy is damaged.")
        target = self._store.path(self.digest)
        try:
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            os.rename(self._path, target)
        except OSError as e:
            raise disk_error("write blob", self.digest, e) from e
        self.done = True

    def __exit__(self, *exc: object) -> None:
        if not self.done and self.offset == 0 and self._fd >= 0:
            self._discard()
        self._close()

    def _lock(self) -> None:
        """Own the file that stands at the path now: a writer that finished has renamed it away."""
        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        while True:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                if os.fstat(self._fd).st_ino == os.stat(self._path).st_ino:
                    return
            except FileNotFoundError:
                pass
            self._close()

    def _resume(self) -> None:
        """Bring the hash to where the file ends."""
        import hashlib

        self._hash = hashlib.new(split_digest(self.digest)[0])
        self.offset = 0
        while chunk := os.read(self._fd, CHUNK):
            self._hash.update(chunk)
            self.offset += len(chunk)

    def _discard(self) -> None:
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        self.offset = 0

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _missing(digest: str, error: OSError) -> StoreError:
    return StoreError(f"read blob {digest}: {error.strerror}",
                      hint="The store is damaged. Pull the image again after `podlike rmi --force`.")
