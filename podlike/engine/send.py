"""Manifests with blobs of the store into a repository, as they are: artifacts, and what a list has from elsewhere."""

import os

from podlike.errors import StoreError
from podlike.store.blobs import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from podlike.engine.core import Engine
    from podlike.engine.fetch import Progress
    from podlike.registry.upload import Repository


def send_blobs(engine: "Engine", repository: "Repository", descriptors: "Iterable[dict[str, Any]]",
               progress: "Progress") -> None:
    """Bring blobs to the registry that it has not. descriptors: with digest and size.

    Raises: StoreError for a blob that is missing here, RegistryError.
    """
    for digest, size in {d["digest"]: d["size"] for d in descriptors}.items():
        if repository.has_blob(digest):
            progress.skipped(digest)
            continue
        path = engine.blobs.path(digest)
        if not os.path.exists(path):
            raise StoreError(f"push blob {digest}: it is not in the store",
                             hint="The store is damaged, or the blob's image was removed: get it again.")
        _send(repository, digest, size, path, progress)


def _send(repository: "Repository", digest: str, size: int, path: str, progress: "Progress") -> None:
    at = 0

    def sent(now: int) -> None:
        nonlocal at
        progress.advanced(digest, now - at)
        at = now

    progress.started(digest, size)
    repository.upload(digest, size, lambda offset: _pieces(path, offset), sent=sent)
    progress.done(digest)


def _pieces(path: str, offset: int) -> "Iterator[bytes]":
    with open(path, "rb", buffering=0) as f:
        f.seek(offset)
        while piece := f.read(CHUNK):
            yield piece
