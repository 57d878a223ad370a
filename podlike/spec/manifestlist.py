"""Manifest lists as users make them: one document that holds what Docker's list and OCI's index can say.

    {"manifests": [ENTRY...], "annotations": {...}, "subject": DESCRIPTOR, "artifactType": "...",
     "blobs": [DIGEST...], "files": {DIGEST: [PATH...]}, "sources": {DIGEST: {"image": ID} | {"registry": HOST/PATH}}}

ENTRY: {"mediaType", "digest", "size", "platform": {"architecture", "os", "os.version", "os.features", "variant",
"features"}, "annotations", "artifactType", "urls"}, empty ones left out. blobs are what the store keeps for the list:
manifests, configs and files of its artifacts. sources tells where an entry's manifest is when it is not among them.

Which of the two forms a list is written in follows from what it holds, as in podman: OCI's unless it is empty or has
features of a CPU. Source: OCI image spec 1.1 (image-index.md), Docker image manifest v2 schema 2 (manifest list).
"""

import json

from podlike.errors import NotFoundError, StoreError
from podlike.spec.image import DOCKER_LIST, INDEX_TYPES, OCI_INDEX, Descriptor, Index, Platform, parse_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_PLATFORM_OCI: "Final" = ("architecture", "os", "os.version", "os.features", "variant")
_PLATFORM_DOCKER: "Final" = (*_PLATFORM_OCI, "features")
_DESCRIPTOR: "Final" = ("urls", "annotations", "data")


def new_list() -> "dict[str, Any]":
    return {"manifests": [], "annotations": {}, "blobs": [], "files": {}, "sources": {}}


def from_index(data: bytes, media_type: str = "") -> "dict[str, Any]":
    """The document of a list or an index as a registry sends it. Raises: StoreError for anything else."""
    if not isinstance(parse_manifest(data, media_type), Index):  # checks every part of it
        raise StoreError("read manifest list: it is the manifest of a single image")
    raw = json.loads(data)
    doc = new_list()
    doc["annotations"] = raw.get("annotations") or {}
    doc["mediaType"] = raw.get("mediaType") or media_type or OCI_INDEX
    for key in ("subject", "artifactType"):
        if raw.get(key):
            doc[key] = raw[key]
    doc["manifests"] = [_known_keys(entry) for entry in raw.get("manifests") or []]
    return doc


def _known_keys(entry: "dict[str, Any]") -> "dict[str, Any]":
    keys = ("mediaType", "digest", "size", *_DESCRIPTOR, "artifactType")
    found = {key: entry[key] for key in keys if entry.get(key) not in (None, "", [], {})}
    platform = entry.get("platform") or {}
    return found | {"size": entry["size"], "platform": {k: platform[k] for k in _PLATFORM_DOCKER if platform.get(k)}}


def descriptors(doc: "dict[str, Any]") -> list[Descriptor]:
    """The entries as spec.image.choose_platform takes them."""
    return [Descriptor(e["mediaType"], e["digest"], e["size"], e.get("annotations") or {}, _platform(e["platform"]))
            for e in doc["manifests"]]


def _platform(platform: "dict[str, Any]") -> Platform | None:
    if not platform:
        return None
    return Platform(platform.get("os", ""), platform.get("architecture", ""), platform.get("variant", ""))


def add_entry(doc: "dict[str, Any]", entry: "dict[str, Any]") -> None:
    """Append an entry; the one of the same digest goes first."""
    doc["manifests"] = [e for e in doc["manifests"] if e["digest"] != entry["digest"]] + [entry]


def entry_of(doc: "dict[str, Any]", digest: str) -> "dict[str, Any]":
    """Raises: NotFoundError."""
    for entry in doc["manifests"]:
        if entry["digest"] == digest:
            found: "dict[str, Any]" = entry
            return found
    raise NotFoundError(f"no instance matching digest {digest} found in manifest list: file does not exist",
                        hint="See its digests with `podlike manifest inspect`.")


def remove_entry(doc: "dict[str, Any]", digest: str) -> None:
    """Raises: NotFoundError."""
    doc["manifests"].remove(entry_of(doc, digest))
    doc["files"].pop(digest, None)
    doc["sources"].pop(digest, None)


def list_type(doc: "dict[str, Any]") -> str:
    """The media type that the list is written with when nobody asks for one."""
    if doc.get("artifactType") or doc.get("subject") or doc["annotations"]:
        return OCI_INDEX
    if any(e.get("artifactType") or e.get("annotations") or e.get("data") for e in doc["manifests"]):
        return OCI_INDEX
    if not doc["manifests"] or any(e["platform"].get("features") for e in doc["manifests"]):
        return DOCKER_LIST
    return OCI_INDEX


def serialize(doc: "dict[str, Any]", media_type: str = "") -> bytes:
    """The list as it is pushed. media_type: OCI_INDEX, DOCKER_LIST or "" for list_type()."""
    kind = media_type or list_type(doc)
    if kind not in INDEX_TYPES:
        raise StoreError(f"write manifest list: {kind} is the type of no list")
    oci = kind == OCI_INDEX
    out: "dict[str, Any]" = {"schemaVersion": 2, "mediaType": kind}
    if oci and doc.get("artifactType"):
        out["artifactType"] = doc["artifactType"]
    out["manifests"] = [_oci_entry(e) if oci else _docker_entry(e) for e in doc["manifests"]]
    if oci:
        out |= {key: doc[key] for key in ("subject", "annotations") if doc.get(key)}
    return json.dumps(out, separators=(",", ":"), ensure_ascii=False).encode()


def _oci_entry(entry: "dict[str, Any]") -> "dict[str, Any]":
    out = {"mediaType": entry["mediaType"], "digest": entry["digest"], "size": entry["size"],
           **{key: entry[key] for key in _DESCRIPTOR if entry.get(key)}}
    platform = {key: entry["platform"][key] for key in _PLATFORM_OCI if entry["platform"].get(key)}
    if platform:
        out["platform"] = {"architecture": "", "os": "", **platform}
    if entry.get("artifactType"):
        out["artifactType"] = entry["artifactType"]
    return out


def _docker_entry(entry: "dict[str, Any]") -> "dict[str, Any]":
    out = {"mediaType": entry["mediaType"], "size": entry["size"], "digest": entry["digest"]}
    if entry.get("urls"):
        out["urls"] = entry["urls"]
    platform = {key: entry["platform"][key] for key in _PLATFORM_DOCKER if entry["platform"].get(key)}
    return out | {"platform": {"architecture": "", "os": "", **platform}}


def inspect_document(doc: "dict[str, Any]", media_type: str = "") -> "dict[str, Any]":
    """What `manifest inspect` prints: the fields of both forms. media_type: of the list as it was received."""
    out: "dict[str, Any]" = {"schemaVersion": 2, "mediaType": media_type or list_type(doc)}
    if doc.get("artifactType"):
        out["artifactType"] = doc["artifactType"]
    out["manifests"] = []
    for entry in doc["manifests"]:
        shown = _docker_entry(entry) | {k: entry[k] for k in ("annotations", "artifactType", "data") if entry.get(k)}
        if doc["files"].get(entry["digest"]):
            shown["files"] = doc["files"][entry["digest"]]
        out["manifests"].append(shown)
    if doc.get("subject"):
        out["subject"] = {"platform": {"architecture": "", "os": ""}, **doc["subject"]}
    if doc["annotations"]:
        out["annotations"] = doc["annotations"]
    return out
