"""dir: a manifest and its blobs as files of one directory, for debugging and `save --format docker-dir`.

Source: containers-transports(5); what skopeo writes: version, manifest.json, HEX of each blob, HEX.manifest.json of the manifests
of a list.
"""

from podlike.errors import NotFoundError, StoreError
from podlike.spec import image as spec
from podlike.transports.found import DAMAGED, Documents, Found, check_document, found_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from podlike.transports.archive import Archive, Member
    from podlike.transports.found import Layer

VERSION: "Final" = b"Directory Transport Version: 1.1\n"


class PlainDir(Documents):
    """A source (see found.Source). Its one image has no name."""

    def __init__(self, archive: "Archive") -> None:
        self.shown = archive.shown
        self._archive = archive

    def images(self, platform: spec.Platform) -> "Iterator[Found]":
        yield self.choose("", None, platform)

    def choose(self, reference: str, index: int | None, platform: spec.Platform) -> Found:
        if reference or index:
            raise NotFoundError(f"read {self.shown}: a directory of this kind has one image without a name")
        data = self._archive.read("manifest.json", limit=spec.MAX_MANIFEST)
        data, manifest = self.follow(data, spec.parse_manifest(data), platform)
        config = check_document(self._archive.read(_hex(manifest.config.digest), limit=spec.MAX_CONFIG), manifest.config)
        return found_image([], data, manifest, config, [_hex(layer.digest) for layer in manifest.layers])

    def open_layer(self, layer: "Layer") -> "Member":
        return self._archive.open(layer.member)

    def document(self, descriptor: spec.Descriptor, limit: int) -> bytes:
        return check_document(self._archive.read(f"{_hex(descriptor.digest)}.manifest.json", limit=limit), descriptor)

    def has_document(self, digest: str) -> bool:
        return self._archive.has(f"{_hex(digest)}.manifest.json")


def check_version(archive: "Archive") -> None:
    """Raises: StoreError for a layout of another version."""
    if archive.has("version"):
        version = archive.read("version", limit=200)
        if not version.startswith(b"Directory Transport Version: 1."):
            raise StoreError(f"read {archive.shown}: its version is {version[:60]!r}, known is {VERSION!r}", hint=DAMAGED)


def _hex(digest: str) -> str:
    return spec.split_digest(digest)[1]
