"""What every destination takes: manifests, configs, and the bytes of layers."""

import hashlib
import os
import queue
import threading

from podlike.errors import StoreError
from podlike.spec.image import Descriptor, Manifest, split_digest
from podlike.transports.codec import HEAD, decompress, detect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

CHUNK: "Final" = 1 << 20
_AHEAD: "Final" = 4  # pieces between two threads
_DAMAGED: "Final" = "The store is damaged. Pull or load the image again after `podlike rmi --force`."

class Packed(NamedTuple):
    """A layer as it is kept. open: a new descriptor at the first byte, the caller's to close."""

    descriptor: Descriptor
    diff_id: str
    open: "Callable[[], int]"


class Item(NamedTuple):
    """An image to be written. names: what it is to be called there. document: its manifest."""

    names: tuple[str, ...]
    document: bytes
    manifest: Manifest
    config: bytes
    layers: tuple[Packed, ...]

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.document).hexdigest()}"


# --- bytes of layers ---

def packed(layer: Packed) -> "Iterator[bytes]":
    """The layer as it is kept, verified at the end. Raises: StoreError."""
    algorithm, digits = split_digest(layer.descriptor.digest)
    yield from verified(read_fd(layer.open()), hashlib.new(algorithm), digits, f"blob {layer.descriptor.digest}")


def unpacked(layer: Packed) -> "Iterator[bytes]":
    """The layer's tar, verified at the end; decompressed by a thread of its own. Raises: StoreError."""
    algorithm, digits = split_digest(layer.diff_id)
    what = f"layer {layer.diff_id}"
    pieces = read_fd(layer.open())
    head = next(pieces, b"")
    how = detect(head[:HEAD])
    whole = _chained(head, pieces)
    plain = ahead(decompress(whole, how, what)) if how else whole
    yield from verified(plain, hashlib.new(algorithm), digits, what)


def plain_size(layer: Packed) -> int | None:
    """Bytes of the layer's tar, if it is kept as one; by its content, for media types lie."""
    fd = layer.open()
    try:
        return None if detect(os.read(fd, HEAD)) else os.fstat(fd).st_size
    finally:
        os.close(fd)


def verified(pieces: "Iterable[bytes]", digest: "Any", digits: str, what: str) -> "Iterator[bytes]":
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != digits:
        raise StoreError(f"read {what}: its content has another digest, {digest.name}:{digest.hexdigest()}", hint=_DAMAGED)


def read_fd(fd: int) -> "Iterator[bytes]":
    """All of a file in pieces; closes fd."""
    try:
        while piece := os.read(fd, CHUNK):
            yield piece
    finally:
        os.close(fd)


def _chained(head: bytes, rest: "Iterator[bytes]") -> "Iterator[bytes]":
    if head:
        yield head
    yield from rest


def ahead(pieces: "Iterable[bytes]") -> "Iterator[bytes]":
    """The same pieces, made by another thread a few steps ahead, for work that is done outside the interpreter's lock."""
    line: "queue.Queue[bytes | BaseException | None]" = queue.Queue(_AHEAD)
    left = threading.Event()

    def put(value: bytes | BaseException | None) -> bool:
        while not left.is_set():
            try:
                line.put(value, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for piece in pieces:
                if not put(piece):
                    return
            put(None)
        except BaseException as e:
            put(e)

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while (value := line.get()) is not None:
            if isinstance(value, BaseException):
                raise value
            yield value
    finally:
        left.set()


def nameless(directory: str) -> int:
    """A new file without a name. Raises: StoreError."""
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise StoreError(f"write to {directory}: {e.strerror}") from e


def write_all(fd: int, data: "bytes | memoryview", shown: str) -> None:
    """Raises: StoreError; BrokenPipeError as it is, for the process edge knows it."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest):]
    except BrokenPipeError:
        raise
    except OSError as e:
        raise StoreError(f"write {shown}: {e.strerror}",
                         hint="Free space on its file system." if e.errno in (28, 122) else None) from e
