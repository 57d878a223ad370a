"""Manifest lists: made, filled, annotated and looked at. A list is an image record whose `index` holds its document.

The record's id is random and stays; its manifest_digest follows the content. Artifacts are stored when they are added,
so that a list can be pushed after their files are gone.
"""

import json
import os

from podlike.engine.core import Engine
from podlike.engine.images import Garbage, collect_garbage, find, local_name
from podlike.errors import ConflictError, NotFoundError, PodlikeError, StoreError, UsageError
from podlike.spec import manifestlist as spec
from podlike.spec.image import MAX_MANIFEST, OCI_CONFIG, Index, load_json, parse_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NamedTuple

    from podlike.engine.remote import Reach
    from podlike.store.images import Image
else:
    from podlike.spec.record import NamedTuple


class Annotations(NamedTuple):
    """What `add` and `annotate` say about an entry, and about the list; empty ones change nothing."""

    annotations: "dict[str, str]" = {}
    arch: str = ""
    os: str = ""
    variant: str = ""
    os_version: str = ""
    features: "tuple[str, ...]" = ()
    os_features: "tuple[str, ...]" = ()
    index_annotations: "dict[str, str]" = {}
    subject: str = ""


def lookup(engine: Engine, name: str) -> "Image":
    """The list of that name or id. Raises: NotFoundError, StoreError for an image that is none."""
    image, full = find(engine, name.removeprefix("containers-storage:"))
    if image.index is None:
        raise StoreError(f"{full or image.id}: image is not a manifest list",
                         hint="Make one with `podlike manifest create`.")
    return image


def exists(engine: Engine, name: str) -> bool:
    """Raises: StoreError for an image that is no list."""
    try:
        lookup(engine, name)
    except NotFoundError:
        return False
    return True


def create(engine: Engine, name: str, *, amend: bool = False, annotations: "dict[str, str] | None" = None) -> "Image":
    """A new list; with amend one of that name is taken as it is. Raises: ConflictError, UsageError."""
    full = local_name(name)
    known = engine.images.lookup([full])
    if known is not None and (known.index is None or not amend):
        kind = "manifest list" if known.index is not None else "image"
        raise ConflictError(f"creating image to hold manifest list: that name is already in use: {full}",
                            hint=f"There is an {kind} of that name: use --amend to change a list, or another name."
                            if kind == "image" else "Use --amend to change the list that is there.")
    if known is None:
        image_id = os.urandom(32).hex()
        _write(engine, image_id, spec.new_list(), names=[full])
        known = engine.images.get(image_id)
        assert known is not None
    if annotations:
        change(engine, known, lambda doc: doc["annotations"].update(annotations))
    return known


def add(engine: Engine, image: "Image", name: str, *, every: bool = False, notes: Annotations | None = None,
        reach: "Reach | None" = None) -> None:
    """Add an image to a list: of a list that is added, this machine's image, or all with every.

    name: as typed, with docker:// or containers-storage: in front or without. Raises: NotFoundError, RegistryError,
    UsageError, StoreError.
    """
    from podlike.engine.listsources import entries_of
    from podlike.engine.remote import Reach

    found = entries_of(engine, name, every=every, reach=reach or Reach())
    described = _with_subject(engine, notes, reach)

    def enter(doc: "dict[str, Any]") -> None:
        for entry, source in found:
            spec.add_entry(doc, entry)
            if source:
                doc["sources"][entry["digest"]] = source
        if described is not None and found:
            _apply(doc, found[0].entry["digest"], described)

    change(engine, image, enter)


class Artifact(NamedTuple):
    """An artifact manifest that `manifest add --artifact` makes of files. type: None: the usual default."""

    type: str | None = None
    config: bytes | None = None
    config_type: str = ""
    layer_type: str = ""
    exclude_titles: bool = False
    subject: str = ""


def add_artifact(engine: Engine, image: "Image", files: "Iterable[str]", artifact: Artifact, *,
                 notes: Annotations | None = None, reach: "Reach | None" = None) -> None:
    """Add files as one artifact. Raises: StoreError, UsageError."""
    from podlike.engine.artifacts import store_config, store_file
    from podlike.store.locks import StoreLock

    paths = [os.path.abspath(path) for path in files]
    with StoreLock(engine.roots.tmp):
        layers = [store_file(engine, path, kind=artifact.layer_type, by_name=True,
                             annotations={} if artifact.exclude_titles else None) for path in paths]
        config = store_config(engine, artifact.config, artifact.config_type or (OCI_CONFIG if artifact.config else ""))
        kind = "application/vnd.unknown.artifact.v1" if artifact.type is None else artifact.type
        manifest: "dict[str, Any]" = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
        if kind:
            manifest["artifactType"] = kind
        manifest |= {"config": config, "layers": layers}
        if artifact.subject:
            manifest["subject"] = _descriptor_of(engine, artifact.subject, reach)
        data = json.dumps(manifest, separators=(",", ":")).encode()
        digest = engine.blobs.write(data)
        entry: "dict[str, Any]" = {"mediaType": manifest["mediaType"], "digest": digest, "size": len(data), "platform": {}}
        if kind:
            entry["artifactType"] = kind
        described = _with_subject(engine, notes, reach)

        def enter(doc: "dict[str, Any]") -> None:
            spec.add_entry(doc, entry)
            doc["files"][digest] = paths
            doc["blobs"] = list(dict.fromkeys([*doc["blobs"], digest, config["digest"], *(x["digest"] for x in layers)]))
            if described is not None:
                _apply(doc, digest, described)

        gone = _change(engine, image, enter)
    collect_garbage(engine, Garbage(set(), gone))


def annotate(engine: Engine, image: "Image", entry: str | None, notes: Annotations, *, reach: "Reach | None" = None) -> None:
    """entry: digest, file or image name of an entry; None: the list itself. Raises: NotFoundError, UsageError."""
    digest = None if entry is None else _digest_of(engine, image, entry, reach)
    described = _with_subject(engine, notes, reach) or notes
    change(engine, image, lambda doc: _apply(doc, digest, described))


def remove_entry(engine: Engine, image: "Image", digest: str) -> None:
    """Raises: NotFoundError, UsageError for what is no digest."""
    from podlike.spec.reference import check_digest

    try:
        check_digest(digest)
    except UsageError as e:
        raise UsageError(f'invalid image digest "{digest}": invalid checksum digest format',
                         hint="See the digests with `podlike manifest inspect`.") from e

    def drop(doc: "dict[str, Any]") -> None:
        spec.remove_entry(doc, digest)
        doc["blobs"] = sorted(set().union(*(_blobs_of_artifact(engine, e["digest"]) for e in doc["manifests"]
                                            if e["digest"] in doc["files"])))

    change(engine, image, drop)


def _blobs_of_artifact(engine: Engine, digest: str) -> set[str]:
    from podlike.engine.artifacts import blobs_of_manifest

    return blobs_of_manifest(engine, digest)


def change(engine: Engine, image: "Image", how: "Callable[[dict[str, Any]], Any]") -> None:
    """Apply a change to the newest content of a list, alone. What nothing needs afterwards is collected."""
    collect_garbage(engine, Garbage(set(), _change(engine, image, how)))


def _change(engine: Engine, image: "Image", how: "Callable[[dict[str, Any]], Any]") -> set[str]:
    """change() without the collection; the digests that the list needs no more."""
    from podlike.locks import Lock
    from podlike.store.locks import StoreLock

    with Lock(engine.roots, f"image-{image.id}"):
        fresh = engine.images.get(image.id)
        if fresh is None or fresh.index is None:
            raise NotFoundError(f"{image.id}: image not known", hint="The list was removed meanwhile.")
        doc = fresh.index
        before = {fresh.manifest_digest, *doc["blobs"]}
        how(doc)
        with StoreLock(engine.roots.tmp):
            _write(engine, image.id, doc)
    return before - {*doc["blobs"]}


def _write(engine: Engine, image_id: str, doc: "dict[str, Any]", *, names: "Iterable[str]" = ()) -> None:
    data = spec.serialize(doc)
    if len(data) > MAX_MANIFEST:
        raise StoreError(f"write manifest list: it would be larger than {MAX_MANIFEST} bytes",
                         hint="Registries take no larger ones: use fewer entries or annotations.")
    engine.images.put_list(image_id, manifest_digest=engine.blobs.write(data), document=doc, size=len(data), names=names)


# --- what is said about entries ---

def _apply(doc: "dict[str, Any]", digest: str | None, notes: Annotations) -> None:
    if digest is not None:
        entry = spec.entry_of(doc, digest)
        platform = entry["platform"]
        for key, value in (("os", notes.os), ("os.version", notes.os_version), ("features", list(notes.features)),
                           ("os.features", list(notes.os_features)), ("architecture", notes.arch)):
            if value:
                platform[key] = value
        if notes.arch or notes.variant:
            platform.pop("variant", None)
            if notes.variant:
                platform["variant"] = notes.variant
        if notes.annotations:
            entry["annotations"] = {**entry.get("annotations", {}), **notes.annotations}
    doc["annotations"].update(notes.index_annotations)
    if notes.subject:
        doc["subject"] = json.loads(notes.subject)


def _with_subject(engine: Engine, notes: Annotations | None, reach: "Reach | None") -> Annotations | None:
    """The notes with the subject's descriptor, as JSON, in the place of its name."""
    if notes is None or not notes.subject:
        return notes
    return notes._replace(subject=json.dumps(_descriptor_of(engine, notes.subject, reach)))


def _descriptor_of(engine: Engine, name: str, reach: "Reach | None") -> "dict[str, Any]":
    """The descriptor of an image, list or artifact, here or in a registry, that something refers to."""
    from podlike.engine.listsources import manifest_of
    from podlike.engine.remote import Reach

    data, media_type, digest = manifest_of(engine, name, reach=reach or Reach())
    out: "dict[str, Any]" = {"mediaType": media_type, "digest": digest, "size": len(data)}
    kind = load_json(data, "manifest", limit=MAX_MANIFEST).get("artifactType")
    return out | {"artifactType": kind} if kind else out


def _digest_of(engine: Engine, image: "Image", name: str, reach: "Reach | None") -> str:
    from podlike.engine.listsources import manifest_of
    from podlike.engine.remote import Reach
    from podlike.spec.reference import check_digest

    try:
        check_digest(name)
        return name
    except UsageError:
        pass
    assert image.index is not None
    for digest, files in image.index["files"].items():
        if name in files or os.path.basename(name) in map(os.path.basename, files):
            return str(digest)
    try:
        return manifest_of(engine, name, reach=reach or Reach())[2]
    except PodlikeError as e:
        raise NotFoundError(f'finding instance for "{name}": {e.message}', hint="Give the digest of an entry.") from e


# --- looking at them ---

def inspect(engine: Engine, name: str, *, reach: "Reach | None" = None) -> "tuple[dict[str, Any], str]":
    """(document of `manifest inspect`, words of a warning or ""): of a list here, else of what the registry has.

    Raises: RegistryError, NotFoundError, StoreError.
    """
    try:
        image = lookup(engine, name)
    except (NotFoundError, StoreError):
        return _inspect_remote(engine, name, reach)
    assert image.index is not None
    return spec.inspect_document(image.index), ""


def _inspect_remote(engine: Engine, name: str, reach: "Reach | None") -> "tuple[dict[str, Any], str]":
    from podlike.engine.listsources import remote_candidates
    from podlike.engine.remote import Reach, open_remote

    errors: list[PodlikeError] = []
    for reference in remote_candidates(name):
        try:
            with open_remote(engine, reference, reach or Reach()) as remote:
                got = remote.manifest
        except PodlikeError as e:
            e.message = f'reading image "docker://{reference.name}": {e.message}'
            e.args = (e.message,)
            errors.append(e)
            continue
        if isinstance(parse_manifest_or_artifact(got.data, got.media_type), Index):
            return spec.inspect_document(spec.from_index(got.data, got.media_type), got.media_type), ""
        return (load_json(got.data, "manifest", limit=MAX_MANIFEST),
                f"The manifest type {got.media_type} is not a manifest list but a single image.")
    raise errors[-1]


def inspect_each(engine: Engine, name: str, *, reach: "Reach | None" = None) -> "list[dict[str, Any]] | dict[str, Any]":
    """What docker's `manifest inspect --verbose` shows: the manifests of a list, or the one of an image.

    Raises: RegistryError, NotFoundError, StoreError.
    """
    from podlike.engine.listsources import manifest_of
    from podlike.engine.remote import Reach

    reach = reach or Reach()
    data, media_type, digest = manifest_of(engine, name, reach=reach)
    doc = load_json(data, "manifest", limit=MAX_MANIFEST)
    if "manifests" not in doc:
        return _shown(name, {"mediaType": media_type, "digest": digest, "size": len(data)}, doc)
    bare = name.partition("@")[0]
    head, slash, last = bare.rpartition("/")
    repository = f"{head}{slash}{last.partition(':')[0]}"
    shown = []
    for entry in doc["manifests"]:
        ref = f"{repository}@{entry['digest']}"
        if engine.blobs.has(entry["digest"]):
            below = engine.blobs.read(entry["digest"], limit=MAX_MANIFEST)
        else:
            below = manifest_of(engine, f"docker://{ref}", reach=reach)[0]
        shown.append(_shown(ref, entry, load_json(below, "manifest", limit=MAX_MANIFEST)))
    return shown


def _shown(ref: str, descriptor: "dict[str, Any]", manifest: "dict[str, Any]") -> "dict[str, Any]":
    key = "OCIManifest" if descriptor["mediaType"].startswith("application/vnd.oci.") else "SchemaV2Manifest"
    return {"Ref": ref, "Descriptor": descriptor, key: manifest}


def parse_manifest_or_artifact(data: bytes, media_type: str) -> "Any":
    """Like parse_manifest(); None for an artifact, whose layers are no layers."""
    doc = load_json(data, "image manifest", limit=MAX_MANIFEST)
    if "manifests" not in doc and (doc.get("artifactType") or (doc.get("config") or {}).get("mediaType") not in _CONFIGS):
        return None
    return parse_manifest(data, media_type)


_CONFIGS = (OCI_CONFIG, "application/vnd.docker.container.image.v1+json")
