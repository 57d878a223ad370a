"""What every source of images gives: manifests, configs, and layers to read. See docs/ARCHITECTURE.md, "Transports"."""

import hashlib
from abc import ABC, abstractmethod

from podlike.errors import StoreError
from podlike.spec import image as spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final, NamedTuple, Protocol, Self

    class Bytes(Protocol):
        """A layer's bytes, for `with`.

        size: how many, where known. digest: of them, where known, else "".
        file: descriptor of a nameless file in the store's tmp/ that has them and nothing else, or -1.
        """

        size: int
        digest: str
        file: int

        def __enter__(self) -> Self: ...
        def __exit__(self, *exc: object) -> None: ...
        def pieces(self) -> Iterator[bytes]: ...

    class LayerSource(Protocol):
        def open_layer(self, layer: "Layer") -> Bytes:
            """May be called by several threads. Raises: StoreError."""

    class Source(LayerSource, Protocol):
        """Images of one archive, directory or store."""

        shown: str

        def images(self, platform: spec.Platform) -> "Iterator[Found]":
            """All of them, of this platform. Raises: StoreError."""

        def choose(self, reference: str, index: int | None, platform: spec.Platform) -> "Found":
            """The one that was named, at this position, or the only one. Raises: StoreError."""
else:
    from podlike.spec.record import NamedTuple

DAMAGED: "Final" = "The archive is damaged; get or make it again."
_MAX_INDEX_DEPTH: "Final" = 4


class Layer(NamedTuple):
    """member: what the source calls it."""

    descriptor: spec.Descriptor
    diff_id: str
    member: str


class Found(NamedTuple):
    """One image of one platform. document: its manifest as it is (to be) stored.

    names: full names (domain/path:tag) that the source gives it. digests: repository@digest that are known of it.
    """

    names: tuple[str, ...]
    document: bytes
    manifest: spec.Manifest
    config: bytes
    layers: tuple[Layer, ...]
    digests: tuple[str, ...] = ()


def found_image(names: "Sequence[str]", document: bytes, manifest: spec.Manifest, config: bytes,
                members: "Sequence[str]", digests: "Sequence[str]" = ()) -> Found:
    """Put an image together. Raises: StoreError when manifest and config do not fit."""
    try:
        config.decode()
    except UnicodeDecodeError as e:
        raise StoreError("read image config: it is not UTF-8", hint=DAMAGED) from e
    diff_ids = spec.parse_config(config).diff_ids
    if len(diff_ids) != len(manifest.layers):
        raise StoreError(f"read image config: rootfs.diff_ids has {len(diff_ids)} entries, the manifest "
                         f"{len(manifest.layers)} layers", hint=DAMAGED)
    layers = tuple(Layer(*row) for row in zip(manifest.layers, diff_ids, members, strict=True))
    return Found(tuple(names), document, manifest, config, layers, tuple(digests))


def check_document(data: bytes, descriptor: spec.Descriptor) -> bytes:
    """data, if it is what the descriptor says. Raises: StoreError."""
    algorithm, digits = spec.split_digest(descriptor.digest)
    if len(data) != descriptor.size:
        raise StoreError(f"verify {descriptor.digest}: it has {len(data)} bytes, expected {descriptor.size}", hint=DAMAGED)
    if hashlib.new(algorithm, data).hexdigest() != digits:
        raise StoreError(f"verify {descriptor.digest}: the archive has other content under this digest", hint=DAMAGED)
    return data


class Documents(ABC):
    """Small blobs of a source by digest, and the way from an index to a manifest. A base for sources that have them."""

    shown = ""

    @abstractmethod
    def document(self, descriptor: spec.Descriptor, limit: int) -> bytes:
        """A verified document. Raises: StoreError."""

    @abstractmethod
    def has_document(self, digest: str) -> bool:
        """Whether it is there."""

    def manifest_of(self, entry: spec.Descriptor, platform: spec.Platform) -> tuple[bytes, spec.Manifest]:
        """The manifest behind an entry of an index, of this platform."""
        data = self.document(entry, spec.MAX_MANIFEST)
        return self.follow(data, _of_its_type(data, entry), platform)

    def follow(self, data: bytes, manifest: "spec.Manifest | spec.Index",
               platform: spec.Platform) -> tuple[bytes, spec.Manifest]:
        for _ in range(_MAX_INDEX_DEPTH):
            if isinstance(manifest, spec.Manifest):
                return data, manifest
            # An archive need not hold all platforms that its index knows (docker save --platform).
            here = [e for e in manifest.manifests if self.has_document(e.digest)]
            entry = spec.choose_platform(here or manifest.manifests, platform)
            data = self.document(entry, spec.MAX_MANIFEST)
            manifest = _of_its_type(data, entry)
        raise StoreError(f"read {self.shown}: its indexes are nested too deep", hint=DAMAGED)


def _of_its_type(data: bytes, entry: spec.Descriptor) -> "spec.Manifest | spec.Index":
    """Raises: StoreError where an index is called a manifest or the other way round."""
    found = spec.parse_manifest(data, entry.media_type)
    if entry.media_type in (spec.MANIFEST_TYPES if isinstance(found, spec.Index) else spec.INDEX_TYPES):
        raise StoreError(f"read {entry.digest}: its media type {entry.media_type} does not fit its content", hint=DAMAGED)
    return found
