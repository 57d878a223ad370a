"""docker save's archives: manifest.json names configs, repository tags and layers (moby's image/spec/v1.2.md).

Writers differ: layers at ID/layer.tar (docker until 24), some of them links to equal ones; DIGEST.tar (podman);
blobs/sha256/DIGEST beside an OCI layout (docker since 25). They are plain tars by the letter, and gzip in what some
builders write.
"""

import hashlib
import json
import re

from podlike.errors import NotFoundError, PodlikeError, StoreError
from podlike.spec import image as spec
from podlike.spec.reference import parse_reference
from podlike.transports.codec import HEAD, detect
from podlike.transports.found import DAMAGED, Found, found_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final

    from podlike.transports.archive import Archive, Member
    from podlike.transports.found import Layer

_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_TYPES: "Final" = {"": spec.DOCKER_LAYER, "gzip": spec.DOCKER_LAYER_GZIP, "zstd": spec.DOCKER_LAYER + ".zstd"}
_MAX_IMAGES: "Final" = 10_000


class DockerArchive:
    """A source (see found.Source)."""

    def __init__(self, archive: "Archive") -> None:
        """Raises: StoreError when manifest.json is none."""
        self.shown = archive.shown
        self._archive = archive
        self._items = _read_items(archive)

    def images(self, platform: spec.Platform) -> "Iterator[Found]":
        for place, item in enumerate(self._items):
            yield self._image(item, place)

    def choose(self, reference: str, index: int | None, platform: spec.Platform) -> Found:
        if reference:
            for place, item in enumerate(self._items):
                if reference in map(full_name, item["RepoTags"]):
                    return self._image(item, place)._replace(names=(reference,))
            tags = [tag for item in self._items for tag in item["RepoTags"]]
            raise NotFoundError(f"read {self.shown}: Tag {json.dumps(reference)} not found",
                                hint=f"It has {', '.join(tags[:20]) or 'no tags: name an image by its position, @0'}.")
        if index is None:
            if len(self._items) != 1:
                raise StoreError(f"read {self.shown}: Unexpected tar manifest.json: expected 1 item, got {len(self._items)}",
                                 hint="Choose one: append :NAME, or :@NUMBER counted from 0.")
            index = 0
        if index >= len(self._items):
            raise NotFoundError(f"read {self.shown}: Invalid source index @{index}, only {len(self._items)} manifest items "
                                "available")
        return self._image(self._items[index], index)

    def open_layer(self, layer: "Layer") -> "Member":
        return self._archive.open(layer.member)

    def _image(self, item: "dict[str, Any]", place: int) -> Found:
        config = self._archive.read(item["Config"], limit=spec.MAX_CONFIG)
        diff_ids = spec.parse_config(config).diff_ids
        members = item["Layers"]
        if len(diff_ids) != len(members):
            raise StoreError(f"read {self.shown}: manifest.json: [{place}].Layers has {len(members)} entries, "
                             f"the config {len(diff_ids)}", hint=DAMAGED)
        layers = [self._describe(member, diff_id) for member, diff_id in zip(members, diff_ids, strict=True)]
        document = _manifest(config, layers)
        manifest = spec.parse_manifest(document)
        assert isinstance(manifest, spec.Manifest)
        return found_image([full_name(tag) for tag in item["RepoTags"]], document, manifest, config, members)

    def _describe(self, name: str, diff_id: str) -> spec.Descriptor:
        """The descriptor of a layer that the archive does not describe: a plain tar is its own diff ID."""
        with self._archive.open(name) as member:
            how = detect(member.read(HEAD))
            if how not in _TYPES:
                raise StoreError(f"read {self.shown}: {name[:200]} is compressed with {how}, which layers cannot be",
                                 hint=DAMAGED)
            member.rewind()
            digest = diff_id if not how else member.digest or _stated(name) or _hashed(member)
            return spec.Descriptor(_TYPES[how], digest, member.size, {})


def full_name(tag: str) -> str:
    """The full name of a repository tag; docker writes familiar ones. Raises: StoreError."""
    try:
        return parse_reference(tag).name
    except PodlikeError as e:
        raise StoreError(f"read archive: {e.message}") from e


def _read_items(archive: "Archive") -> "list[dict[str, Any]]":
    shown = f"{archive.shown}: manifest.json"
    try:
        items = json.loads(archive.read("manifest.json", limit=spec.MAX_MANIFEST))
    except (ValueError, RecursionError) as e:
        raise StoreError(f"read {shown}: it is no JSON ({e})", hint=DAMAGED) from e
    if not isinstance(items, list) or not items:
        raise StoreError(f"read {shown}: it names no image", hint=DAMAGED)
    if len(items) > _MAX_IMAGES:
        raise StoreError(f"read {shown}: it names more than {_MAX_IMAGES} images")
    for place, item in enumerate(items):
        if not isinstance(item, dict) or not isinstance(item.get("Config"), str):
            raise StoreError(f"read {shown}: [{place}].Config: expected a string", hint=DAMAGED)
        for key in ("Layers", "RepoTags"):
            item[key] = item.get(key) or []
            if not isinstance(item[key], list) or not all(isinstance(v, str) for v in item[key]):
                raise StoreError(f"read {shown}: [{place}].{key}: expected a list of strings", hint=DAMAGED)
    return items


def _stated(name: str) -> str:
    """The digest in a blob's name; whoever stores it verifies it."""
    match = _BLOB.fullmatch(name)
    return f"sha256:{match.group(1)}" if match else ""


def _hashed(member: "Member") -> str:
    digest = hashlib.sha256()
    for piece in member.pieces():
        digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def _manifest(config: bytes, layers: "Sequence[spec.Descriptor]") -> bytes:
    doc = {"schemaVersion": 2, "mediaType": spec.DOCKER_MANIFEST,
           "config": {"mediaType": spec.DOCKER_CONFIG, "size": len(config),
                      "digest": f"sha256:{hashlib.sha256(config).hexdigest()}"},
           "layers": [{"mediaType": d.media_type, "size": d.size, "digest": d.digest} for d in layers]}
    return json.dumps(doc, separators=(",", ":")).encode()
