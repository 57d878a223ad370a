"""An image of the store made of another one: its layers, perhaps one more on top, and a new config."""

import hashlib
import json
import os

from podlike.errors import StoreError
from podlike.spec import image as spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final, Self

    from podlike.engine.core import Engine
    from podlike.store.images import Image
    from podlike.transports.found import Found, Layer


_PIECE: "Final" = 1 << 20  # bytes read at once


class NewLayer:
    """A layer in a nameless file; the LayerSource of an image whose other layers are here.

    fd: of the uncompressed tar, the caller's. shown: for messages.
    """

    def __init__(self, fd: int, diff_id: str, shown: str) -> None:
        self.fd = fd
        self.digest = diff_id
        self.size = os.fstat(fd).st_size
        self._shown = shown

    def open_layer(self, layer: "Layer") -> "_Kept":
        if layer.descriptor.digest != self.digest:
            raise _lost(layer.descriptor.digest)
        return _Kept(self.fd, self.digest, self.size, self._shown)


class _Kept:
    """Its bytes (transports/found.py Bytes). The fd stays the layer's."""

    def __init__(self, fd: int, digest: str, size: int, shown: str) -> None:
        self.file, self.digest, self.size = fd, digest, size
        self._shown = shown

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def pieces(self) -> "Iterator[bytes]":
        at = 0
        while at < self.size:
            try:
                piece = os.pread(self.file, _PIECE, at)
            except OSError as e:
                raise StoreError(f"read {self._shown}: {e.strerror}") from e
            if not piece:
                raise StoreError(f"read {self._shown}: it ends after {at} of {self.size} bytes")
            at += len(piece)
            yield piece


class NoLayer:
    """The LayerSource of an image that adds none."""

    def open_layer(self, layer: "Layer") -> "_Kept":
        raise _lost(layer.descriptor.digest)


def _lost(digest: str) -> StoreError:
    return StoreError(f"read layer {digest}: it is no longer in the store",
                      hint="See `podlike system check --repair`, or pull the image that it belongs to again.")


def put_together(engine: "Engine", base: "Image | None", layer: NewLayer | None, config: "dict[str, Any]", *, oci: bool,
                 names: "Sequence[str]" = (), annotations: "dict[str, str] | None" = None) -> "Found":
    """The image as Intake takes it. base: whose layers lie below; None: nothing. config: the whole document, with all
    diff IDs. Raises: StoreError."""
    from podlike.engine.images import read_manifest
    from podlike.spec.imageconvert import compression_of, layer_type
    from podlike.transports.found import found_image

    below = list(read_manifest(engine, base).layers) if base is not None else []
    layers: "list[dict[str, Any]]" = [
        {"mediaType": layer_type(d.media_type, compression=compression_of(d.media_type), oci=oci), "digest": d.digest,
         "size": d.size} for d in below]
    if layer is not None:
        layers.append({"mediaType": spec.OCI_LAYER if oci else spec.DOCKER_LAYER, "digest": layer.digest, "size": layer.size})
    text = json.dumps(config, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    doc: "dict[str, Any]" = {
        "schemaVersion": 2, "mediaType": spec.OCI_MANIFEST if oci else spec.DOCKER_MANIFEST,
        "config": {"mediaType": spec.OCI_CONFIG if oci else spec.DOCKER_CONFIG,
                   "digest": f"sha256:{hashlib.sha256(text).hexdigest()}", "size": len(text)},
        "layers": layers}
    if annotations and oci:
        doc["annotations"] = annotations
    document = json.dumps(doc, separators=(",", ":")).encode()
    manifest = spec.parse_manifest(document)
    assert isinstance(manifest, spec.Manifest)
    return found_image(list(names), document, manifest, text, [""] * len(layers))
