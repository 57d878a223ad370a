"""What a name stands for that is put into a manifest list: an image or a list, here or in a registry.

podman asks the registry first and the store second. Here an image that never came from a registry, which is what a
build leaves, is taken from the store without asking; a pulled one may be one platform of many, so the registry is
asked, and the store is the fallback.
"""

from podlike.engine.core import Engine
from podlike.engine.images import find, read_manifest, repository_of
from podlike.engine.remote import Reach, Remote, open_remote
from podlike.errors import NotFoundError, RegistryError, UsageError
from podlike.spec import manifestlist
from podlike.spec.image import (
    DOCKER_CONFIG,
    MAX_MANIFEST,
    OCI_CONFIG,
    OCI_MANIFEST,
    choose_platform,
    host_platform,
    load_json,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, NamedTuple

    from podlike.spec.reference import Reference
    from podlike.store.images import Image
else:
    from podlike.spec.record import NamedTuple

_LOCAL: "Final" = "containers-storage:"
_OTHERS: "Final" = ("docker-archive:", "docker-daemon:", "oci-archive:", "oci:", "dir:", "ostree:", "sif:")


class Found(NamedTuple):
    """An entry for a list, and where its manifest is: {"image": ID} or {"registry": HOST/PATH}, or {} for the list's own."""

    entry: "dict[str, Any]"
    source: "dict[str, str]"


def entries_of(engine: Engine, name: str, *, every: bool, reach: Reach) -> list[Found]:
    """The entries that a name stands for: one, or all of a list with every.

    Raises: UsageError, NotFoundError, RegistryError, StoreError.
    """
    image, remote = _places(engine, name)
    if image is not None and not remote:
        return _local(engine, image, every=every)
    from podlike.spec.reference import parse_reference

    text = name.removeprefix("docker://")
    try:
        with open_remote(engine, parse_reference(text), reach._replace(retries=0) if image else reach) as source:
            return _remote(source, every=every)
    except (NotFoundError, RegistryError) as e:
        if image is not None:
            return _local(engine, image, every=every)
        kind = NotFoundError if isinstance(e, NotFoundError) else RegistryError
        local = "" if name.startswith("docker://") else f'; "{text}": {text}: image not known'
        raise kind(f'locating image to add to manifest list: "docker://{text}": {e.message}{local}', hint=e.hint) from e


def manifest_of(engine: Engine, name: str, *, reach: Reach) -> tuple[bytes, str, str]:
    """(bytes, media type, digest) of what a name stands for. Raises: as entries_of()."""
    image, remote = _places(engine, name)
    if image is not None:
        data = engine.blobs.read(image.manifest_digest, limit=MAX_MANIFEST)
        return data, load_json(data, "manifest", limit=MAX_MANIFEST).get("mediaType") or OCI_MANIFEST, image.manifest_digest
    from podlike.spec.reference import parse_reference

    assert remote
    with open_remote(engine, parse_reference(name.removeprefix("docker://")), reach) as source:
        return source.manifest.data, source.manifest.media_type, source.manifest.digest


def remote_candidates(name: str) -> "list[Reference]":
    """The full names that registries are asked for. Raises: UsageError."""
    from podlike.registries_conf import load_registries_conf
    from podlike.spec.reference import is_short, parse_reference, split_short

    name = name.removeprefix("docker://")
    if not is_short(name):
        return [parse_reference(name)]
    repository, tail = split_short(name)
    return [parse_reference(full + tail) for full in load_registries_conf().resolve_short(repository)[0]]


def _places(engine: Engine, name: str) -> "tuple[Image | None, bool]":
    """(the image here, whether to ask the registry first)."""
    if name.startswith("docker://"):
        return None, True
    if name.startswith(_OTHERS) and "/" in name.partition(":")[2][:2]:
        raise UsageError(f"add {name} to a manifest list: only images of the store and of registries can be added",
                         hint="Load it first: podlike load -i FILE.")
    try:
        image, full = find(engine, name.removeprefix(_LOCAL))
    except NotFoundError:
        if name.startswith(_LOCAL):
            raise
        return None, True
    came = full is not None and any(d.startswith(f"{repository_of(full)}@") for d in image.digests)
    return image, came and image.index is None and not name.startswith(_LOCAL)


def _local(engine: Engine, image: "Image", *, every: bool) -> list[Found]:
    if image.index is None:
        return [Found(_entry_of_image(engine, image), {"image": image.id})]
    doc = image.index
    entries = doc["manifests"] if every else [_chosen(doc)]
    return [Found(dict(e), doc["sources"].get(e["digest"], {})) for e in entries]


def _entry_of_image(engine: Engine, image: "Image") -> "dict[str, Any]":
    manifest = read_manifest(engine, image)
    size = engine.blobs.size(image.manifest_digest)
    return {"mediaType": manifest.media_type, "digest": image.manifest_digest, "size": size,
            "platform": _platform_of(image.config)}


def _platform_of(config: "dict[str, Any]") -> "dict[str, Any]":
    keys = ("architecture", "os", "os.version", "os.features", "variant")
    return {key: config[key] for key in keys if config.get(key)}


def _remote(source: Remote, *, every: bool) -> list[Found]:
    got = source.manifest
    where = {"registry": source.repository}
    document = load_json(got.data, "manifest", limit=MAX_MANIFEST)
    if "manifests" not in document:
        entry: "dict[str, Any]" = {"mediaType": got.media_type, "digest": got.digest, "size": len(got.data), "platform": {}}
        if document.get("artifactType"):
            entry["artifactType"] = document["artifactType"]
        entry["platform"] = _configured_platform(source, document)
        return [Found(entry, where)]
    doc = manifestlist.from_index(got.data, got.media_type)
    entries: "list[dict[str, Any]]" = doc["manifests"] if every else [_chosen(doc)]
    for entry in entries:
        platform = entry["platform"]
        if not (platform.get("os") and platform.get("architecture")) and not entry.get("artifactType"):
            below = load_json(source.other_manifest(entry["digest"]).data, "manifest", limit=MAX_MANIFEST)
            entry["platform"] = _configured_platform(source, below) | platform
    return [Found(entry, where) for entry in entries]


def _configured_platform(source: Remote, manifest: "dict[str, Any]") -> "dict[str, Any]":
    """The platform that an image's config names; nothing for an artifact."""
    config = manifest.get("config") or {}
    if manifest.get("artifactType") or config.get("mediaType") not in (DOCKER_CONFIG, OCI_CONFIG):
        return {}
    data = source.document(str(config.get("digest")), int(config.get("size") or 0))
    return _platform_of(load_json(data, "image config", limit=len(data)))


def _chosen(doc: "dict[str, Any]") -> "dict[str, Any]":
    """The entry for this machine. Raises: StoreError."""
    chosen = choose_platform(manifestlist.descriptors(doc), host_platform())
    return manifestlist.entry_of(doc, chosen.digest)


