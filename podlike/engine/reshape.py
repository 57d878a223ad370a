"""Images on their way out, brought into the form that a destination wants: other manifests, layers in other compression."""

import hashlib
import os
import threading

from podlike.engine.parallel import run_all
from podlike.errors import StoreError
from podlike.spec.image import DOCKER_MANIFEST, OCI_MANIFEST, Manifest, parse_manifest
from podlike.spec.imageconvert import Recompressed, compression_of, convert, layer_type
from podlike.store.compression import compressor
from podlike.transports.sending import Item, Packed, nameless, unpacked, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import NamedTuple
else:
    from podlike.spec.record import NamedTuple


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
    target = item.manifest.media_type if not family else DOCKER_MANIFEST if family == "docker" else OCI_MANIFEST
    changed = {old.digest: Recompressed(new.descriptor.digest, new.descriptor.size, compression_of(new.descriptor.media_type))
               for old, new in zip(item.manifest.layers, layers, strict=True) if old.digest != new.descriptor.digest}
    document = convert(item.document, media_type=item.manifest.media_type, target=target, changed=changed)
    manifest = parse_manifest(document)
    assert isinstance(manifest, Manifest)
    renamed = [p._replace(descriptor=d) for p, d in zip(layers, manifest.layers, strict=True)]
    return item._replace(document=document, manifest=manifest, layers=tuple(renamed))


def _family(manifest: Manifest) -> str:
    return "docker" if manifest.media_type == DOCKER_MANIFEST else "oci"


def _new_packing(layer: Packed, wanted: Wanted, family: str, *, converts: bool) -> str | None:
    """How the layer must be packed anew ("": plain), or None if it stays."""
    now = compression_of(layer.descriptor.media_type)
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
    todo = {layer.descriptor.digest: (layer, how) for layer, how in zip(layers, hows, strict=True) if how is not None}
    done: dict[str, Packed] = {}
    stop = threading.Event()

    def work(job: "tuple[Packed, str]") -> None:
        layer, how = job
        done[layer.descriptor.digest] = _packed_anew(layer, how, level, tmp, stop)

    run_all(list(todo.values()), work, threads=2, abort=stop.set)
    return [done.get(layer.descriptor.digest, layer) if how is not None else layer
            for layer, how in zip(layers, hows, strict=True)]


def _packed_anew(layer: Packed, how: str, level: int | None, tmp: str, stop: threading.Event) -> Packed:
    fd = nameless(tmp)
    digest, size = hashlib.sha256(), 0
    try:
        for data in _encoded(unpacked(layer), how, level):
            if stop.is_set():
                raise StoreError("another layer failed")  # never shown: the first error is
            digest.update(data)
            size += len(data)
            write_all(fd, data, f"to {tmp}")
    except BaseException:
        os.close(fd)
        raise
    kept = _Kept(fd)
    descriptor = layer.descriptor._replace(media_type=layer_type(layer.descriptor.media_type, compression=how, oci=True),
                                           digest=f"sha256:{digest.hexdigest()}", size=size)
    return layer._replace(descriptor=descriptor, open=kept.open)


def _encoded(pieces: "Iterable[bytes]", how: str, level: int | None) -> "Iterator[bytes]":
    if not how:
        yield from pieces
        return
    feed, finish = compressor(how, level)
    for piece in pieces:
        yield feed(piece)
    yield finish()


class _Kept:
    """A nameless file that lives as long as the layer that is in it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def open(self) -> int:
        return os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        os.close(self._fd)
