"""Manifests from Docker's schema 2 to OCI and back, and to layers in another compression.

What has no place in the other format (annotations, subject, artifactType in Docker's) is left out. The config's
bytes stay: OCI's config is Docker's without some keys, and an image keeps its ID.
"""

import json

from podlike.errors import StoreError
from podlike.spec.image import (
    DOCKER_CONFIG,
    DOCKER_FOREIGN_LAYER,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    MAX_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    load_json,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

_OCI_FOREIGN: "Final" = "application/vnd.oci.image.layer.nondistributable.v1.tar"
FORMATS: "Final" = {"oci": OCI_MANIFEST, "v2s2": DOCKER_MANIFEST}


class Recompressed(NamedTuple):
    """What a layer has become. compression: gzip, zstd or "" for none."""

    digest: str
    size: int
    compression: str


def compression_of(media_type: str) -> str:
    """What a layer's media type says: gzip, zstd or ""."""
    return next((c for c in ("gzip", "zstd") if media_type.endswith((f"+{c}", f".{c}"))), "")


def is_foreign(media_type: str) -> bool:
    """Whether a layer is one that registries are not to be given."""
    return media_type == DOCKER_FOREIGN_LAYER or media_type.startswith(_OCI_FOREIGN)


def layer_type(media_type: str, *, compression: str, oci: bool) -> str:
    """The media type of the same layer in another format and compression. Raises: StoreError where there is none."""
    if oci:
        base = _OCI_FOREIGN if is_foreign(media_type) else OCI_LAYER
        return f"{base}+{compression}" if compression else base
    if compression == "zstd":
        raise StoreError("convert image: Docker's manifest format has no zstd layers",
                         hint="Use --format oci, or --compression-format gzip.")
    if is_foreign(media_type):
        return DOCKER_FOREIGN_LAYER
    return DOCKER_LAYER_GZIP if compression else DOCKER_LAYER


def convert(raw: bytes, *, media_type: str, target: str, changed: "Mapping[str, Recompressed]") -> bytes:
    """The manifest in the format `target` (a media type) with some layers replaced, by their old digests.

    media_type: what raw is. Without any difference raw itself is returned, byte for byte.
    Raises: StoreError.
    """
    if target == media_type and not changed:
        return raw
    doc = load_json(raw, "image manifest", limit=MAX_MANIFEST)
    oci = target == OCI_MANIFEST
    same = target == media_type
    config = {**doc["config"], "mediaType": _config_type(doc["config"]["mediaType"], oci=oci)}
    out = {**doc} if same else {"schemaVersion": 2, "mediaType": target}
    out["config"] = config if oci else _plain(config)
    out["layers"] = [_layer(layer, changed.get(layer["digest"]), oci=oci, same=same) for layer in doc.get("layers") or []]
    if oci and not same and doc.get("annotations"):
        out["annotations"] = doc["annotations"]
    return json.dumps(out, separators=(",", ":")).encode()


def _layer(layer: "dict[str, Any]", new: Recompressed | None, *, oci: bool, same: bool) -> "dict[str, Any]":
    if new is None and same:
        return layer
    compression = new.compression if new else compression_of(layer["mediaType"])
    out = {**layer, "mediaType": layer_type(layer["mediaType"], compression=compression, oci=oci)}
    if new:
        out["digest"], out["size"] = new.digest, new.size
        out.pop("annotations", None)  # zstd:chunked's describe the old bytes
    return out if oci else _plain(out)


def _plain(descriptor: "dict[str, Any]") -> "dict[str, Any]":
    """A descriptor with the keys that schema 2 knows."""
    return {key: descriptor[key] for key in ("mediaType", "size", "digest", "urls") if key in descriptor}


def _config_type(media_type: str, *, oci: bool) -> str:
    if media_type not in (OCI_CONFIG, DOCKER_CONFIG):
        return media_type
    return OCI_CONFIG if oci else DOCKER_CONFIG
