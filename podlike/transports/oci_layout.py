"""OCI image layouts: index.json and blobs/ALGORITHM/HEX, as a directory or in a tar (image-layout.md)."""

import os

from podlike.errors import NotFoundError, PodlikeError, StoreError
from podlike.spec import image as spec
from podlike.spec.reference import is_short, parse_reference
from podlike.transports.found import DAMAGED, Documents, Found, check_document, found_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from podlike.transports.archive import Archive, Member
    from podlike.transports.found import Layer

REF_NAME: "Final" = "org.opencontainers.image.ref.name"
CONTAINERD_NAME: "Final" = "io.containerd.image.name"  # the full name; ref.name is then only the tag


class OciLayout(Documents):
    """A source (see found.Source)."""

    def __init__(self, archive: "Archive", *, fallback_name: str = "") -> None:
        """fallback_name: what the only image is called when the index does not say. Raises: StoreError."""
        self.shown = archive.shown
        self._archive = archive
        self._fallback = fallback_name
        index = spec.parse_manifest(archive.read("index.json", limit=spec.MAX_MANIFEST), spec.OCI_INDEX)
        if not isinstance(index, spec.Index):
            raise StoreError(f"read {self.shown}: index.json is no image index", hint=DAMAGED)
        self._entries = index.manifests

    def images(self, platform: spec.Platform) -> "Iterator[Found]":
        groups: "dict[str, list[spec.Descriptor]]" = {}  # entries of one name are the platforms of one image
        for number, entry in enumerate(self._entries):
            groups.setdefault(_entry_name(entry) or f"\0{number}", []).append(entry)
        if not groups:
            raise StoreError(f"read {self.shown}: index.json names no image", hint=DAMAGED)
        for name, entries in groups.items():
            name = "" if name[0] == "\0" else name
            yield self._image(entries, name or (self._fallback if len(groups) == 1 else ""), platform)

    def choose(self, reference: str, index: int | None, platform: spec.Platform) -> Found:
        entries: "Sequence[spec.Descriptor]" = self._entries
        if reference:
            entries = [e for e in entries if reference in (e.annotations.get(REF_NAME), e.annotations.get(CONTAINERD_NAME))]
            if not entries:
                known = sorted({_entry_name(e) for e in self._entries} - {""})
                raise NotFoundError(f"read {self.shown}: no image found for reference {reference}",
                                    hint=f"It has {', '.join(known[:20]) or 'no names: choose by position, :@0'}.")
        elif index is not None:
            if index >= len(entries):
                raise NotFoundError(f"read {self.shown}: index {index} is too large, only {len(entries)} entries available")
            entries = entries[index:index + 1]
        elif len({_entry_name(e) or str(n) for n, e in enumerate(entries)}) != 1:
            raise StoreError(f"read {self.shown}: it has {len(entries)} images, choose one", hint="Append :NAME or :@NUMBER.")
        return self._image(entries, reference or _entry_name(entries[0]), platform)

    def open_layer(self, layer: "Layer") -> "Member":
        return self._archive.open(layer.member)

    def document(self, descriptor: spec.Descriptor, limit: int) -> bytes:
        return check_document(self._archive.read(blob_name(descriptor.digest), limit=limit), descriptor)

    def has_document(self, digest: str) -> bool:
        return self._archive.has(blob_name(digest))

    def _image(self, entries: "Sequence[spec.Descriptor]", name: str, platform: spec.Platform) -> Found:
        entry = spec.choose_platform(entries, platform) if len(entries) > 1 else entries[0]
        data, manifest = self.manifest_of(entry, platform)
        config = self.document(manifest.config, spec.MAX_CONFIG)
        return found_image([local_name(name)] if name else [], data, manifest, config,
                           [blob_name(layer.digest) for layer in manifest.layers])


def local_name(name: str) -> str:
    """The full name for an annotation or a directory: without a registry it is localhost's. Raises: StoreError."""
    try:
        return parse_reference(f"localhost/{name}" if is_short(name) else name).name
    except PodlikeError as e:
        raise StoreError(f"read archive: {e.message}") from e


def blob_name(digest: str) -> str:
    algorithm, digits = spec.split_digest(digest)
    return f"blobs/{algorithm}/{digits}"


def directory_name(path: str) -> str:
    """What a layout directory lends its only image; "" where it cannot be a name."""
    name = os.path.basename(os.path.abspath(path))
    try:
        local_name(name)
    except StoreError:
        return ""
    return name


def _entry_name(entry: spec.Descriptor) -> str:
    return entry.annotations.get(CONTAINERD_NAME) or entry.annotations.get(REF_NAME) or ""
