"""Images from a source (an archive, a directory, another store) into ours: layers side by side, all or nothing.

Each layer's thread reads a piece, hashes it, keeps it in the blob and hands it to podlike-layer, so that every byte is
read once and memory stays at a few pieces. A layer that the archive's reader had to copy anyway becomes the blob as it is.
"""

import hashlib
import threading
import time

from podlike.engine.fetch import Progress
from podlike.engine.images import Garbage, collect_garbage
from podlike.errors import PodlikeError, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from podlike.engine.core import Engine
    from podlike.store.images import Image
    from podlike.transports.found import Found, Layer, Source

# Reading, hashing and unpacking one layer keeps two processors busy; more only fight for the disk.
_PARALLEL: "Final" = 3
_PATIENCE_S: "Final" = 10.0  # how long ctrl-c waits for threads that are cleaning up


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

    def take(self, source: "Source", found: "Found", names: "Sequence[str]") -> "Image":
        """Store one image under these full names; the record comes last. Raises: StoreError."""
        engine = self._engine
        image_id = hashlib.sha256(found.config).hexdigest()
        diff_ids = [layer.diff_id for layer in found.layers]
        known = engine.images.get(image_id)
        if known is not None and all(engine.layers.has(d) for d in known.layers):
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
    """Each layer once, though an image may have one twice. Raises: StoreError for what no honest writer makes."""
    by_diff: "dict[str, Layer]" = {}
    by_digest: dict[str, str] = {}
    for layer in layers:
        digest = layer.descriptor.digest
        if by_digest.setdefault(digest, layer.diff_id) != layer.diff_id:
            raise StoreError(f"read image config: layer {digest} has two diff IDs",
                             hint="The archive is damaged; get or make it again.")
        if layer.diff_id in by_diff and by_diff[layer.diff_id].descriptor.digest != digest:
            raise StoreError(f"read image config: diff ID {layer.diff_id} has two layers",
                             hint="Make the archive again with equal compression of equal layers.")
        by_diff[layer.diff_id] = layer
    return list(by_diff.values())


class _Crew:
    """Threads that take the layers of one image. run() may be called once."""

    def __init__(self, engine: "Engine", source: "Source", progress: Progress, partial: set[str]) -> None:
        """partial: digests of blobs that are being written; an error leaves them in it."""
        self._blobs = engine.blobs
        self._layers = engine.layers
        self._source = source
        self._progress = progress
        self._partial = partial
        self._guard = threading.Lock()
        self._queue: "list[Layer]" = []
        self._error: BaseException | None = None
        self._ended = threading.Semaphore(0)

    def run(self, jobs: "Sequence[Layer]") -> None:
        """Raises: the first error, when all threads have cleaned up; KeyboardInterrupt."""
        # The largest first: the last thread at work is not the one with the most to do.
        self._queue = sorted(jobs, key=lambda layer: layer.descriptor.size)
        threads = [threading.Thread(target=self._work, name=f"layer-{n}", daemon=True)
                   for n in range(min(_PARALLEL, len(jobs)))]
        started = 0
        try:  # not Thread.join(): interrupted by ctrl-c, CPython 3.11's takes the thread for ended
            for thread in threads:
                thread.start()
                started += 1
            while started:
                self._ended.acquire()
                started -= 1
        except BaseException as e:
            self._error = self._error or e
            deadline = time.monotonic() + _PATIENCE_S
            while started > 0 and self._ended.acquire(timeout=max(0.0, deadline - time.monotonic())):
                started -= 1
            raise
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while True:
                with self._guard:
                    if self._error is not None or not self._queue:
                        return
                    layer = self._queue.pop()
                self._one(layer)
        except BaseException as e:
            with self._guard:
                self._error = self._error or e
        finally:
            self._ended.release()

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
        digest = layer.descriptor.digest
        with self._source.open_layer(layer) as data, self._blobs.partial(digest) as blob, \
                self._layers.unpack(layer.diff_id, blob=digest, media_type=layer.descriptor.media_type) as unpack:
            keep = not blob.done
            if keep:
                blob.reset()
            for piece in data.pieces():
                self._check()
                if keep:
                    blob.write(piece)
                unpack.write(piece)
                self._progress.advanced(digest, len(piece))
            if keep:
                blob.finish(layer.descriptor.size)
            unpack.finish()

    def _check(self) -> None:
        if self._error is not None:
            raise StoreError("another layer failed")  # never shown: the first error is

