"""Layers from a registry into the store: side by side, each unpacked while it arrives.

Every layer has one thread, which hashes, keeps and unpacks each piece before it reads the next, so that memory
stays at a few pieces however large the image is. The work that costs time (TLS, hashing, reading and writing)
happens in C outside the interpreter's lock, and decompression in podlike-layer, one process a layer.
"""

import errno
import os

from podlike import log
from podlike.engine.parallel import run_all
from podlike.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final, NamedTuple

    from podlike.registry.client import Client
    from podlike.store.blobs import BlobStore, PartialBlob
    from podlike.store.layers import LayerStore, LayerUnpack
else:
    from podlike.spec.record import NamedTuple

# As podman's: enough to fill a line from a registry that limits each connection, and few images have so many large
# layers that one is left over for the end. Each costs 6 MB.
DEFAULT_PARALLEL: "Final" = 6
_CHUNK: "Final" = 1 << 20
_FULL: "Final" = tuple(os.strerror(e) for e in (errno.ENOSPC, errno.EDQUOT))


class Job(NamedTuple):
    """A layer to fetch. urls: where a foreign layer may be had instead of the registry."""

    digest: str
    size: int
    diff_id: str
    media_type: str
    urls: tuple[str, ...] = ()


class Progress:
    """Told what a pull does. The methods for blobs are called from several threads; these here do nothing."""

    def trying(self, name: str) -> None:
        """A pull of this name begins."""

    def note(self, text: str) -> None:
        """Something the user should know about how the name was understood."""

    def reading(self) -> None:
        """The manifest is there; layers come next."""

    def started(self, digest: str, size: int) -> None:
        """A layer begins to arrive; advanced() calls follow, then done()."""

    def advanced(self, digest: str, count: int) -> None:
        """That many further bytes are here."""

    def done(self, digest: str) -> None:
        """The layer is verified and unpacked."""

    def skipped(self, digest: str) -> None:
        """The layer was in the store already."""

    def config(self, digest: str) -> None:
        """All layers are there; the config is being stored."""

    def writing(self) -> None:
        """The image is being recorded."""

    def close(self) -> None:
        """The pull has ended, well or not."""


class Fetcher:
    """Fetches the layers of one image. run() may be called once."""

    def __init__(self, client: "Client", path: str, *, blobs: "BlobStore", layers: "LayerStore",
                 progress: Progress, parallel: int = 0) -> None:
        """path: the repository at the client's registry. parallel: layers at once; 0: the default."""
        self._client = client
        self._path = path
        self._blobs = blobs
        self._layers = layers
        self._progress = progress
        self._parallel = parallel or DEFAULT_PARALLEL

    def run(self, jobs: "Sequence[Job]") -> None:
        """Bring all layers into the store; the first error stops the others and is raised.

        Layers and blobs that were complete by then stay, and unfinished blobs for the next attempt.
        Raises: RegistryError, StoreError, KeyboardInterrupt.
        """
        run_all(jobs, self._one, threads=self._parallel, abort=self._client.abort)

    def _one(self, job: Job) -> None:
        if self._layers.has(job.diff_id):
            self._without_unpacking(job)
            return
        if self._blobs.has(job.digest):
            self._progress.started(job.digest, job.size)
            self._unpack_stored(job)
        elif not self._download(job, fresh=False):
            log.debug(f"layer {job.digest}: what an earlier pull left was damaged, starting over")
            self._download(job, fresh=True)
        self._progress.done(job.digest)

    def _without_unpacking(self, job: Job) -> None:
        """The layer is there. It may have come in another compression: then its blob is fetched for a later push."""
        if self._blobs.has(job.digest) or job.urls:
            self._progress.skipped(job.digest)
            return
        with self._blobs.partial(job.digest) as part:
            if part.done:  # another pull was fetching it
                self._progress.skipped(job.digest)
                return
            if part.offset > job.size:
                part.reset()
            self._progress.started(job.digest, job.size)
            self._progress.advanced(job.digest, part.offset)
            self._receive(job, part, None)
            part.finish(job.size)
        self._progress.done(job.digest)

    def _download(self, job: Job, *, fresh: bool) -> bool:
        """False: it failed, and the bytes of an earlier attempt may be to blame. They are gone now."""
        with self._blobs.partial(job.digest) as part:
            if part.done:  # another pull was fetching it, and may have unpacked it too
                self._progress.started(job.digest, job.size)
                if not self._layers.has(job.diff_id):
                    self._unpack_stored(job)
                return True
            if fresh or part.offset > job.size:
                part.reset()
            resumed = part.offset
            self._progress.started(job.digest, job.size)
            try:
                with self._layers.unpack(job.diff_id, blob=job.digest, media_type=job.media_type) as unpack:
                    self._stream(job, part, unpack)
                    part.finish(job.size)
                    unpack.finish()
            except StoreError as e:
                if _disk_is_full(e):
                    raise  # what is here will be of use when there is space
                if self._blobs.has(job.digest):
                    self._blobs.delete(job.digest)
                elif part.offset:
                    part.reset()
                if resumed:
                    return False
                raise
        return True

    def _stream(self, job: Job, part: "PartialBlob", unpack: "LayerUnpack") -> None:
        for piece in part.read_back():
            unpack.write(piece)
            self._progress.advanced(job.digest, len(piece))
        self._receive(job, part, unpack)

    def _receive(self, job: Job, part: "PartialBlob", unpack: "LayerUnpack | None") -> None:
        """What is missing, from the registry into the blob and the layer."""
        for piece in self._client.blob(self._path, job.digest, size=job.size, offset=part.offset, urls=job.urls):
            part.write(piece)
            if unpack is not None:
                unpack.write(piece)
            self._progress.advanced(job.digest, len(piece))

    def _unpack_stored(self, job: Job) -> None:
        with self._layers.unpack(job.diff_id, blob=job.digest, media_type=job.media_type) as unpack:
            for piece in _pieces(self._blobs.path(job.digest)):
                unpack.write(piece)
                self._client.check()
                self._progress.advanced(job.digest, len(piece))
            unpack.finish()


def check_space(directory: str, needed: int, what: str) -> None:
    """Raises: StoreError that says how much is missing, before a download that cannot end well."""
    try:
        st = os.statvfs(directory)
    except OSError:
        return
    free = st.f_bavail * st.f_frsize
    if needed > free:
        raise StoreError(f"pull {what}: it needs at least {_size(needed)} in {directory}, "
                         f"which has {_size(free)} left: {_size(needed - free)} are missing",
                         hint="Free space on its file system, for instance with `podlike image prune --all`, or "
                              "set PODLIKE_ROOT to a directory on a larger one.")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def _pieces(path: str) -> "Iterator[bytes]":
    with open(path, "rb", buffering=0) as f:
        while piece := f.read(_CHUNK):
            yield piece


def _disk_is_full(error: BaseException) -> bool:
    """Whether the reason is ENOSPC or EDQUOT, here or in podlike-layer, which sends words."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT) \
        or any(words in str(error) for words in _FULL)
