"""Images from a source (an archive, a directory, another store) into ours: layers side by side, all or nothing.

Each layer's thread reads a piece, hashes it, keeps it in the blob and hands it to podlike-layer, so that every byte is
read once and memory stays at a few pieces. A layer that the archive's reader had to copy anyway becomes the blob as it is.
"""

import hashlib
import os
import threading

from podlike.engine.fetch import Progress
from podlike.engine.images import Garbage, collect_garbage
from podlike.engine.parallel import run_all
from podlike.errors import PodlikeError, StoreError
from podlike.transports.sending import nameless, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from podlike.engine.core import Engine
    from podlike.store.blobs import PartialBlob
    from podlike.store.images import Image
    from podlike.transports.found import Bytes, Found, Layer, LayerSource

# Reading, hashing and unpacking one layer keeps two processors busy; more only fight for the disk.
_PARALLEL: "Final" = 3


class Intake:
    """`with Intake(engine) as intake:` holds the store; an error takes back what images that did not come about left.

    The session must have been entered.
    """

    def __init__(self, engine: "Engine", progress: Progress | None = None) -> None:
        from podlike.store.locks import StoreLock

        self._engine = engine
        self._progress = progress or Progress()
        self._made = Garbage(set(), set())
        self._partial: set[str] = set()
        self._lock = StoreLock(engine.roots.tmp)

    def __enter__(self) -> "Intake":
        self._lock.__enter__()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._lock.__exit__()
        if error is None:
            return
        try:
            for digest in self._partial:  # the source is at hand: nothing is won by keeping a part
                with self._engine.blobs.partial(digest) as blob:
                    if not blob.done:
                        blob.reset()
            collect_garbage(self._engine, self._made)
        except PodlikeError:
            pass  # the first error is the one that matters; the next removal tries again

    def take(self, source: "LayerSource", found: "Found", names: "Sequence[str]") -> "Image":
        """Store one image under these full names; the record comes last. Raises: StoreError."""
        engine = self._engine
        image_id = hashlib.sha256(found.config).hexdigest()
        diff_ids = [layer.diff_id for layer in found.layers]
        known = engine.images.get(image_id)
        if known is not None and not known.read_only and all(engine.layers.has(d) for d in known.layers):
            for name in names:  # the image as it was pulled stays: other compression makes no other image
                engine.images.tag(image_id, name)
            return engine.images.get(image_id) or known
        self._progress.reading()
        self._made.layers.update(d for d in diff_ids if not engine.layers.has(d))
        self._made.blobs.update(layer.descriptor.digest for layer in found.layers)
        jobs = _jobs(found.layers)
        _Crew(engine, source, self._progress, self._partial).run(jobs)
        for job in jobs:
            engine.layers.index(engine.layers.record(job.diff_id))
        digests = {"sha256:" + hashlib.sha256(data).hexdigest() for data in (found.document, found.config)}
        self._made.blobs.update(digests)
        self._progress.config(f"sha256:{image_id}")
        manifest_digest = engine.blobs.write(found.document)
        engine.blobs.write(found.config)
        self._progress.writing()
        return engine.images.add(image_id=image_id, manifest_digest=manifest_digest, config=found.config, layers=diff_ids,
                                 names=names, size=sum(engine.layers.size(d) for d in diff_ids), digests=found.digests)


def _jobs(layers: "Iterable[Layer]") -> "list[Layer]":
    """Each blob once, though an image may have one twice. Raises: StoreError for what no honest writer makes."""
    jobs: "dict[str, Layer]" = {}
    for layer in layers:
        if jobs.setdefault(layer.descriptor.digest, layer).diff_id != layer.diff_id:
            raise StoreError(f"read image config: layer {layer.descriptor.digest} has two diff IDs",
                             hint="The archive is damaged; get or make it again.")
    return list(jobs.values())


class _Crew:
    """Threads that take the layers of one image. run() may be called once."""

    def __init__(self, engine: "Engine", source: "LayerSource", progress: Progress, partial: set[str]) -> None:
        """partial: digests of blobs that are being written; an error leaves them in it."""
        self._blobs = engine.blobs
        self._layers = engine.layers
        self._tmp = engine.roots.tmp
        self._source = source
        self._progress = progress
        self._partial = partial
        self._stop = threading.Event()

    def run(self, jobs: "Sequence[Layer]") -> None:
        """Raises: the first error, when all threads have cleaned up; KeyboardInterrupt."""
        # The largest first: the last thread at work is not the one with the most to do.
        order = sorted(jobs, key=lambda layer: layer.descriptor.size, reverse=True)
        run_all(order, self._one, threads=_PARALLEL, abort=self._stop.set)

    def _one(self, layer: "Layer") -> None:
        digest = layer.descriptor.digest
        unpacked = self._layers.has(layer.diff_id)
        if unpacked and self._blobs.has(digest):
            self._progress.skipped(digest)
            return
        self._progress.started(digest, layer.descriptor.size)
        self._partial.add(digest)
        if unpacked:
            self._keep(layer)
        else:
            self._unpack(layer)
        self._partial.discard(digest)
        self._progress.done(digest)

    def _keep(self, layer: "Layer") -> None:
        """The tree is here, of the same layer in other compression: the blob alone."""
        with self._source.open_layer(layer) as data, self._blobs.partial(layer.descriptor.digest) as blob:
            if blob.done:
                return
            blob.reset()
            for piece in data.pieces():
                self._check()
                blob.write(piece)
            blob.finish(layer.descriptor.size)

    def _unpack(self, layer: "Layer") -> None:
        wanted = layer.descriptor
        with self._source.open_layer(layer) as data:
            if self._blobs.has(wanted.digest):
                self._feed(layer, data, None)
            elif data.file >= 0:
                self._unpack_file(layer, data)
            elif wanted.digest == layer.diff_id:
                self._unpack_plain(layer, data)
            else:
                with self._blobs.partial(wanted.digest) as blob:
                    if not blob.done:
                        blob.reset()
                    self._feed(layer, data, None if blob.done else blob)

    def _unpack_file(self, layer: "Layer", data: "Bytes") -> None:
        """The reader has made a file of the layer, which becomes the blob."""
        wanted = layer.descriptor
        if data.digest != wanted.digest or data.size != wanted.size:
            raise StoreError(f"verify blob: it is {data.digest} of {data.size} bytes, expected {wanted.digest} of {wanted.size}",
                             hint="The archive is damaged; get or make it again.")
        self._feed(layer, data, None)
        self._blobs.adopt(data.file, wanted.digest)

    def _unpack_plain(self, layer: "Layer", data: "Bytes") -> None:
        """A plain tar: its digest is the diff ID, which podlike-layer verifies; nobody hashes it twice."""
        fd = nameless(self._tmp)
        try:
            self._feed(layer, data, _Copy(fd, self._tmp))
            self._blobs.adopt(fd, layer.descriptor.digest)
        finally:
            os.close(fd)

    def _feed(self, layer: "Layer", data: "Bytes", copy: "PartialBlob | _Copy | None") -> None:
        """Unpack, and keep what is read."""
        wanted = layer.descriptor
        with self._layers.unpack(layer.diff_id, blob=wanted.digest, media_type=wanted.media_type) as unpack:
            for piece in data.pieces():
                self._check()
                if copy is not None:
                    copy.write(piece)
                unpack.write(piece)
                self._progress.advanced(wanted.digest, len(piece))
            if copy is not None:
                copy.finish(wanted.size)
            unpack.finish()

    def _check(self) -> None:
        if self._stop.is_set():
            raise StoreError("another layer failed")  # never shown: the first error is


class _Copy:
    """A nameless file that is to be like a blob under way."""

    def __init__(self, fd: int, where: str) -> None:
        self._fd = fd
        self._where = where
        self._size = 0

    def write(self, piece: bytes) -> None:
        write_all(self._fd, piece, f"to {self._where}")
        self._size += len(piece)

    def finish(self, size: int) -> None:
        if self._size != size:
            raise StoreError(f"verify layer: it has {self._size} bytes, expected {size}",
                             hint="The archive is damaged; get or make it again.")
