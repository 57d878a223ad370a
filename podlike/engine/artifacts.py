"""OCI artifacts: files kept as the layers of a manifest, under a name, never unpacked.

Made as podman 5.8 makes them: an empty config, the layers' titles and types in their descriptors, the time of creation
in the manifest's annotations. Source: OCI image spec 1.1, manifest.md ("Guidelines for Artifact Usage").
"""

import json
import os
import time

from podlike import log
from podlike.engine.core import Engine
from podlike.engine.images import Garbage, collect_garbage
from podlike.errors import ConflictError, NotFoundError, PodlikeError, StoreError, UsageError
from podlike.spec.image import MAX_LAYERS, MAX_MANIFEST, OCI_MANIFEST, load_json
from podlike.store.blobs import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Final, NamedTuple

    from podlike.store.artifacts import Artifact
else:
    from podlike.spec.record import NamedTuple

TITLE: "Final" = "org.opencontainers.image.title"
CREATED: "Final" = "org.opencontainers.image.created"
EMPTY: "Final" = b"{}"  # the content of a config that says nothing
EMPTY_TYPE: "Final" = "application/vnd.oci.empty.v1+json"


class Entry(NamedTuple):
    """An artifact of the store. raw: its manifest's bytes; manifest: the same, parsed."""

    name: str
    digest: str
    manifest: "dict[str, Any]"

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(layer["size"] for layer in self.manifest["layers"])


def list_artifacts(engine: Engine) -> list[Entry]:
    """In the order in which they came; a damaged one is a warning."""
    found = []
    for record in engine.artifacts.all():
        try:
            found.append(_read(engine, record))
        except StoreError as e:
            log.warning(f"artifact {record.name}: {e.message}; remove it with `podlike artifact rm {record.name}`")
    return found


def find(engine: Engine, name: str) -> Entry:
    """By name, or by the beginning of its digest (hex digits). Raises: NotFoundError, UsageError, StoreError."""
    return _read(engine, _record(engine, name))


def _record(engine: Engine, name: str) -> "Artifact":
    if not name:
        raise UsageError("artifact name cannot be empty")
    records = engine.artifacts.all()
    digits = name.removeprefix("sha256:")
    for record in records:
        if record.name == name:
            return record
    for record in records:
        if record.digest.partition(":")[2].startswith(digits):
            return record
    raise NotFoundError(f"{name}: artifact does not exist", hint="See `podlike artifact ls`.")


def add(engine: Engine, name: str, paths: "Sequence[str]", *, kind: str = "", file_kind: str = "",
        annotations: "dict[str, str] | None" = None, append: bool = False, replace: bool = False) -> str:
    """Make an artifact of files, or add files to one with append; return its manifest's digest.

    kind: artifactType. file_kind: media type of the files, "": by their content. replace: one of that name goes first.
    Raises: UsageError, ConflictError, NotFoundError, StoreError; nothing is kept then.
    """
    from podlike.store.locks import StoreLock

    _check(name, kind=kind, append=append)
    known = find(engine, name) if append else None
    if known is None and not replace and any(record.name == name for record in engine.artifacts.all()):
        raise ConflictError(f"{name}: artifact already exists", hint="Use --append or --replace.")
    notes = dict(annotations or {})
    manifest = known.manifest if known else _new_manifest(kind, notes)
    _check_titles(manifest, [os.path.basename(path) for path in paths], notes)
    old = _digests_of(known) if known else {r.digest for r in engine.artifacts.all() if r.name == name}
    made: set[str] = set()
    try:
        with StoreLock(engine.roots.tmp):
            for path in paths:
                layer = store_file(engine, path, kind=file_kind, annotations=notes)
                made.add(layer["digest"])
                manifest["layers"].append(layer)
            store_config(engine, None, "")
            data = json.dumps(manifest, separators=(",", ":"), ensure_ascii=False).encode()
            if len(data) > MAX_MANIFEST or len(manifest["layers"]) > MAX_LAYERS:
                raise StoreError(f"add to artifact {name}: its manifest would be too large for registries",
                                 hint="Pack the files together first.")
            digest = engine.blobs.write(data)
            made.add(digest)
            engine.artifacts.put(known.name if known else name, digest)
    except BaseException:
        collect_garbage(engine, Garbage(set(), made))
        raise
    collect_garbage(engine, Garbage(set(), old))
    return digest


def _check(name: str, *, kind: str, append: bool) -> None:
    from podlike.spec.reference import parse_reference

    if not name:
        raise UsageError("artifact name cannot be empty")
    if append and kind:
        raise UsageError("append option is not compatible with type option", hint="The type stays that of the artifact.")
    parse_reference(name)


def _new_manifest(kind: str, annotations: "dict[str, str]") -> "dict[str, Any]":
    nanos = time.time_ns()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanos // 10**9)) + f".{nanos % 10**9:09d}".rstrip("0").rstrip(".")
    config = {"mediaType": EMPTY_TYPE, "digest": _sha256(EMPTY), "size": len(EMPTY), "data": "e30="}
    manifest: "dict[str, Any]" = {"schemaVersion": 2, "mediaType": OCI_MANIFEST}
    if kind:
        manifest["artifactType"] = kind
    return manifest | {"config": config, "layers": [], "annotations": annotations | {CREATED: f"{stamp}Z"}}


def _check_titles(manifest: "dict[str, Any]", names: "Iterable[str]", annotations: "dict[str, str]") -> None:
    taken = {(layer.get("annotations") or {}).get(TITLE) for layer in manifest["layers"]}
    given = 0
    for name in names:
        if name in taken:
            raise ConflictError(f"{name}: file already exists in artifact", hint="Rename the file, or use --replace.")
        given += 1
        if TITLE not in annotations:
            taken.add(name)
    if TITLE in annotations and (annotations[TITLE] in taken or given > 1):
        raise ConflictError(f"duplicate layers {TITLE} labels within an artifact not allowed",
                            hint=f"Leave {TITLE} out: files are titled with their names.")


def remove(engine: Engine, name: str) -> str:
    """Forget an artifact and return its digest; blobs that nothing else needs go. Raises: NotFoundError."""
    record = _record(engine, name)  # also of one whose manifest is damaged
    blobs = blobs_of_manifest(engine, record.digest)
    engine.artifacts.remove(record.name)
    collect_garbage(engine, Garbage(set(), blobs))
    return record.digest


def extract(engine: Engine, name: str, target: str, *, digest: str = "", title: str = "") -> None:
    """Write the files of an artifact to a directory, or one of them to a file.

    Raises: UsageError, NotFoundError, StoreError; also for a title that is no plain file name.
    """
    if digest and title:
        raise UsageError("cannot specify both digest and title")
    entry = find(engine, name)
    layers = entry.manifest["layers"]
    if not layers:
        raise StoreError("the artifact has no blobs, nothing to extract")
    if digest or title:
        layers = [_selected(layers, digest, title)]
    if not os.path.isdir(target):
        if len(layers) > 1:
            raise UsageError(f'the artifact consists of several blobs and the target "{target}" is not a directory and '
                             "neither digest or title was specified to only copy a single blob",
                             hint="Make the directory first, or choose a file with --title.")
        _copy_out(engine, layers[0]["digest"], target)
        return
    named = [(_file_name("" if digest else (layer.get("annotations") or {}).get(TITLE, ""), layer["digest"]), layer["digest"])
             for layer in layers]
    for file_name, blob in named:
        _copy_out(engine, blob, os.path.join(target, file_name))


def blob_files(engine: Engine, name: str, *, digest: str = "", title: str = "") -> "list[tuple[str, str]]":
    """(file name, path of the blob in the store) of an artifact's files, or of one of them.

    Raises: UsageError, NotFoundError, StoreError; also for a title that is no plain file name.
    """
    if digest and title:
        raise UsageError("cannot specify both digest and title")
    layers = find(engine, name).manifest["layers"]
    if digest or title:
        layers = [_selected(layers, digest, title)]
    if not layers:
        raise StoreError(f"artifact {name} has no blobs, nothing to mount")
    return [(_file_name((layer.get("annotations") or {}).get(TITLE, ""), layer["digest"]), engine.blobs.path(layer["digest"]))
            for layer in layers]


def _selected(layers: "list[dict[str, Any]]", digest: str, title: str) -> "dict[str, Any]":
    if digest:
        found = [layer for layer in layers if layer["digest"] == digest]
    else:
        found = [layer for layer in layers if (layer.get("annotations") or {}).get(TITLE) == title]
    what = f'the digest "{digest}"' if digest else f'the title "{title}"'
    if len(found) > 1:
        raise UsageError(f"more than one match for {what}")
    if not found:
        raise NotFoundError(f"no blob with {what}", hint="See `podlike artifact inspect`.")
    return found[0]


def _file_name(title: str, digest: str) -> str:
    """The name in the directory. A title comes from strangers: it must not lead anywhere else. Raises: StoreError."""
    name = title or digest.replace(":", "-")
    if "/" in name or name in (".", "..") or "\0" in name:
        bad = "/" if "/" in name else repr(name)
        raise StoreError(f'invalid name: "{name}" cannot contain {bad}: artifact blob title invalid',
                         hint="Extract it alone, to a file name of your own.")
    return name


def _copy_out(engine: Engine, digest: str, path: str) -> None:
    source = engine.blobs.open(digest)
    try:
        try:
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as e:
            raise StoreError(f"failed to create target file: open {path}: {(e.strerror or '').lower()}") from e
        try:
            at = 0
            while count := os.copy_file_range(source, target, 1 << 30, at, at):
                at += count
        except OSError:
            _copy_by_hand(source, target, path)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_by_hand(source: int, target: int, path: str) -> None:
    """Between file systems, and to pipes and devices, the kernel copies nothing by itself."""
    os.lseek(source, 0, os.SEEK_SET)
    try:
        while piece := os.read(source, CHUNK):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(target, rest):]
    except OSError as e:
        raise StoreError(f"write {path}: {e.strerror}") from e


# --- storing and reading ---

def store_file(engine: Engine, path: str, *, kind: str = "", annotations: "dict[str, str] | None" = None,
               by_name: bool = False) -> "dict[str, Any]":
    """Copy a file into the blobs; its descriptor, titled with its name. The store's lock must be held.

    kind: media type, "": by its content, by_name: by its name first. annotations: of the descriptor; {}: no title
    either, if by_name. Raises: StoreError.
    """
    import hashlib

    from podlike.spec import filetypes

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        raise StoreError(f"open {path}: {(e.strerror or '').lower()}", hint="Check the path of the file.") from e
    try:
        head = b""
        digest, size = hashlib.sha256(), 0
        while piece := os.read(fd, CHUNK):
            head = head or piece[:filetypes.SNIFFED]
            digest.update(piece)
            size += len(piece)
        blob = f"sha256:{digest.hexdigest()}"
        os.lseek(fd, 0, os.SEEK_SET)
        _store_fd(engine, fd, blob, size, path)
    except OSError as e:
        raise StoreError(f"read {path}: {(e.strerror or '').lower()}", hint="Give regular files.") from e
    finally:
        os.close(fd)
    name = os.path.basename(path)
    found = kind or (_type_by_name(name, head) if by_name else filetypes.sniff(head))
    out: "dict[str, Any]" = {"mediaType": found, "digest": blob, "size": size}
    if by_name and annotations is not None:
        return out
    return out | {"annotations": {TITLE: name, **(annotations or {})}}


def _type_by_name(name: str, head: bytes) -> str:
    """By the extension where that says something, else by the content; without parameters."""
    import mimetypes

    from podlike.spec import filetypes

    by_name, encoding = mimetypes.guess_type(name)
    if by_name and not encoding:
        return by_name
    return filetypes.sniff(head).partition(";")[0]


def _store_fd(engine: Engine, fd: int, digest: str, size: int, path: str) -> None:
    with engine.blobs.partial(digest) as blob:
        if blob.done:
            return
        blob.reset()
        while piece := os.read(fd, CHUNK):
            blob.write(piece)
        try:
            blob.finish(size)
        except StoreError as e:
            raise StoreError(f"read {path}: it changed while it was read", hint="Try again.") from e


def store_config(engine: Engine, data: bytes | None, kind: str) -> "dict[str, Any]":
    """Store a config and return its descriptor; None or empty: the one that says nothing."""
    content = data or EMPTY
    import base64

    digest = engine.blobs.write(content)
    out: "dict[str, Any]" = {"mediaType": kind or EMPTY_TYPE, "digest": digest, "size": len(content)}
    if content == EMPTY:
        out["data"] = base64.b64encode(content).decode()
    return out


def blobs_in_use(engine: Engine) -> set[str]:
    """The digests that artifacts need."""
    return set().union(*({r.digest} | blobs_of_manifest(engine, r.digest) for r in engine.artifacts.all()))


def blobs_of_manifest(engine: Engine, digest: str) -> set[str]:
    """The manifest's digest and those it names; of a damaged one only its own."""
    try:
        doc = parse(engine.blobs.read(digest, limit=MAX_MANIFEST))
    except PodlikeError:
        return {digest}
    return {digest, doc["config"]["digest"], *(layer["digest"] for layer in doc["layers"])}


def parse(data: bytes) -> "dict[str, Any]":
    """The manifest of an artifact, with every descriptor checked. Raises: StoreError."""
    from podlike.spec.image import split_digest

    doc = load_json(data, "artifact manifest", limit=MAX_MANIFEST)
    if "manifests" in doc:
        raise StoreError("read artifact manifest: it is an index list", hint="Name one of its manifests by digest.")
    layers = doc.get("layers")
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        raise StoreError("read artifact manifest: layers: expected a list of descriptors")
    for place, descriptor in [("config", doc.get("config")), *((f"layers[{n}]", x) for n, x in enumerate(layers))]:
        size = descriptor.get("size") if isinstance(descriptor, dict) else None
        if not isinstance(descriptor, dict) or not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise StoreError(f"read artifact manifest: {place}: expected a descriptor")
        split_digest(str(descriptor.get("digest")))
        _check_strings(descriptor, place)
    _check_strings(doc, "")
    return doc


def _check_strings(doc: "dict[str, Any]", place: str) -> None:
    annotations = doc.get("annotations") or {}
    if not isinstance(annotations, dict) or not all(isinstance(v, str) for v in annotations.values()):
        raise StoreError(f"read artifact manifest: {place + '.' if place else ''}annotations: expected a map of strings")


def _read(engine: Engine, record: "Artifact") -> Entry:
    return Entry(record.name, record.digest, parse(engine.blobs.read(record.digest, limit=MAX_MANIFEST)))


def _digests_of(entry: Entry) -> set[str]:
    return {entry.digest, entry.manifest["config"]["digest"], *(layer["digest"] for layer in entry.manifest["layers"])}


def _sha256(data: bytes) -> str:
    import hashlib

    return f"sha256:{hashlib.sha256(data).hexdigest()}"
