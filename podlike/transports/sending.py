"""What every destination takes: manifests, configs and layers of the store, brought into the form that the format wants."""

import hashlib
import json
import os
import queue
import threading
from typing import NamedTuple

from podlike.errors import StoreError
from podlike.spec import image as spec
from podlike.transports.codec import HEAD, Encoder, decompress, detect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, Final

CHUNK: "Final" = 1 << 20
_AHEAD: "Final" = 4  # pieces between two threads
_DAMAGED: "Final" = "The store is damaged. Pull or load the image again after `podlike rmi --force`."
# kind of a layer -> (plain, gzip, zstd) by family of media types
_OCI: "Final" = {"": spec.OCI_LAYER, "gzip": spec.OCI_LAYER_GZIP, "zstd": spec.OCI_LAYER_ZSTD}
_DOCKER: "Final" = {"": spec.DOCKER_LAYER, "gzip": spec.DOCKER_LAYER_GZIP}


class Packed(NamedTuple):
    """A layer as it is kept. open: a new descriptor at the first byte, the caller's to close."""

    descriptor: spec.Descriptor
    diff_id: str
    open: "Callable[[], int]"


class Item(NamedTuple):
    """An image to be written. names: what it is to be called there. document: its manifest."""

    names: tuple[str, ...]
    document: bytes
    manifest: spec.Manifest
    config: bytes
    layers: tuple[Packed, ...]


class Wanted(NamedTuple):
    """The form a destination wants.

    family: oci, docker, or "" for whatever the manifest is. compression: gzip, zstd, "none" (plain), or "" for the
    layers as they are kept. pack_plain: if the manifest must become another one anyway, plain layers are packed too.
    level: of the compression. force: also what is packed already.
    """

    family: str = ""
    compression: str = ""
    pack_plain: bool = False
    level: int | None = None
    force: bool = False


def shaped(item: Item, wanted: Wanted, tmp: str) -> Item:
    """The image in the wanted form; itself, byte for byte, where that is the form it has.

    tmp: directory for layers that must be packed anew (nameless files). Raises: StoreError.
    """
    family = _family(item.manifest)
    target = wanted.family or family
    hows = [_new_packing(layer, wanted, target, converts=target != family) for layer in item.layers]
    if target == family and all(how is None for how in hows):
        return item
    layers = _repack(item.layers, hows, wanted.level, tmp)
    return with_layers(item, layers, target)


def with_layers(item: Item, layers: "Sequence[Packed]", family: str = "") -> Item:
    """The image with a manifest of this family (its own if none is given) that describes these layers."""
    family = family or _family(item.manifest)
    document = _document(item, layers, family)
    manifest = spec.parse_manifest(document)
    assert isinstance(manifest, spec.Manifest)
    renamed = [p._replace(descriptor=d) for p, d in zip(layers, manifest.layers, strict=True)]
    return item._replace(document=document, manifest=manifest, layers=tuple(renamed))


def _family(manifest: spec.Manifest) -> str:
    return "docker" if manifest.media_type == spec.DOCKER_MANIFEST else "oci"


def packing(media_type: str) -> str:
    """"gzip", "zstd" or "" of a layer's media type."""
    return "gzip" if media_type.endswith("gzip") else "zstd" if media_type.endswith("zstd") else ""


def _new_packing(layer: Packed, wanted: Wanted, family: str, *, converts: bool) -> str | None:
    """How the layer must be packed anew ("": plain), or None if it stays."""
    now = packing(layer.descriptor.media_type)
    if wanted.compression == "none":
        return None if not now else ""
    if wanted.compression and (wanted.force or not now):
        return None if now == wanted.compression else wanted.compression
    if family == "docker" and now == "zstd":
        return "gzip"  # docker's manifests know no zstd
    if not now and wanted.pack_plain and converts:
        return "gzip"
    return None


def _repack(layers: "Sequence[Packed]", hows: "Sequence[str | None]", level: int | None, tmp: str) -> list[Packed]:
    """Two layers at once; every equal layer once."""
    done: dict[str, Packed] = {}
    todo: "queue.SimpleQueue[tuple[Packed, str]]" = queue.SimpleQueue()
    seen: set[str] = set()
    for layer, how in zip(layers, hows, strict=True):
        if how is not None and layer.descriptor.digest not in seen:
            seen.add(layer.descriptor.digest)
            todo.put((layer, how))
    errors: list[BaseException] = []

    def work() -> None:
        while not errors:
            try:
                layer, how = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done[layer.descriptor.digest] = _packed_anew(layer, how, level, tmp, lambda: bool(errors))
            except BaseException as e:
                errors.append(e)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(2, len(seen)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)
    except BaseException as e:
        errors.append(e)
        raise
    if errors:
        raise errors[0]
    return [done.get(layer.descriptor.digest, layer) if how is not None else layer
            for layer, how in zip(layers, hows, strict=True)]


def _packed_anew(layer: Packed, how: str, level: int | None, tmp: str, stopped: "Callable[[], bool]") -> Packed:
    fd = nameless(tmp)
    digest, size = hashlib.sha256(), 0
    encoder = Encoder(how, level) if how else None
    try:
        for piece in unpacked(layer):
            if stopped():
                raise StoreError("another layer failed")
            data = encoder.feed(piece) if encoder else piece
            digest.update(data)
            size += len(data)
            write_all(fd, data, "layer")
        if encoder:
            data = encoder.end()
            digest.update(data)
            size += len(data)
            write_all(fd, data, "layer")
    except BaseException:
        os.close(fd)
        raise
    kept = _Kept(fd)
    descriptor = layer.descriptor._replace(media_type=_OCI[how], digest=f"sha256:{digest.hexdigest()}", size=size)
    return layer._replace(descriptor=descriptor, open=kept.open)


class _Kept:
    """A nameless file that lives as long as the layer that is in it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def open(self) -> int:
        return os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        os.close(self._fd)


def _document(item: Item, layers: "Sequence[Packed]", family: str) -> bytes:
    types = _DOCKER if family == "docker" else _OCI
    old = json.loads(item.document)
    described: "list[dict[str, Any]]" = []
    for n, layer in enumerate(layers):
        d = layer.descriptor
        entry: "dict[str, Any]" = {"mediaType": types[packing(d.media_type)], "digest": d.digest, "size": d.size}
        if family == "oci" and d.annotations:
            entry["annotations"] = d.annotations
        if d.digest == item.manifest.layers[n].digest and isinstance(urls := old["layers"][n].get("urls"), list):
            entry["urls"] = urls
        described.append(entry)
    doc: "dict[str, Any]" = {
        "schemaVersion": 2, "mediaType": spec.DOCKER_MANIFEST if family == "docker" else spec.OCI_MANIFEST,
        "config": {"mediaType": spec.DOCKER_CONFIG if family == "docker" else spec.OCI_CONFIG,
                   "digest": f"sha256:{hashlib.sha256(item.config).hexdigest()}", "size": len(item.config)},
        "layers": described}
    if family == "oci" and item.manifest.annotations:
        doc["annotations"] = item.manifest.annotations
    return json.dumps(doc, separators=(",", ":")).encode()


# --- bytes of layers ---

def packed(layer: Packed) -> "Iterator[bytes]":
    """The layer as it is kept, verified at the end. Raises: StoreError."""
    algorithm, digits = spec.split_digest(layer.descriptor.digest)
    yield from verified(read_fd(layer.open()), hashlib.new(algorithm), digits, f"blob {layer.descriptor.digest}")


def unpacked(layer: Packed) -> "Iterator[bytes]":
    """The layer's tar, verified at the end; decompressed by a thread of its own. Raises: StoreError."""
    algorithm, digits = spec.split_digest(layer.diff_id)
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
