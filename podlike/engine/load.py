"""Images from archives: Docker's (manifest.json) and OCI's (index.json), as a tar, a directory or a stream.

Every layer is read once: the same bytes are kept as a blob, hashed, and unpacked by podlike-layer at the same time.
"""

import json
import os

from podlike.engine import events
from podlike.engine.core import Engine
from podlike.engine.images import Garbage, collect_garbage, local_name
from podlike.errors import PodlikeError, StoreError
from podlike.spec import image as spec
from podlike.store.archives import open_archive
from podlike.store.blobs import CHUNK
from podlike.store.locks import StoreLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO, Any, Final

    from podlike.store.archives import Archive

_REF_NAME: "Final" = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME: "Final" = "io.containerd.image.name"  # the full name; ref.name is then only the tag
_MAX_INDEX_DEPTH: "Final" = 4
_HINT: "Final" = "Give an archive made by `save` in OCI or Docker format, or an OCI layout directory."


def load(engine: Engine, path: str, *, names: "Sequence[str]" = (), platform: spec.Platform | None = None) -> list[str]:
    """Load all images of an archive; return what they are called: full names, or sha256:ID without one.

    path: file, directory, or "-" for standard input. names: given instead of those in the archive.
    platform: of indexes in it; the machine's own when None.
    Raises: StoreError; images recorded before stay, nothing else does.
    """
    engine.enter_session()
    made = Garbage(set(), set())
    try:
        with StoreLock(engine.roots.tmp), open_archive(path, tmp=engine.roots.tmp) as archive:
            loader = _Loader(engine, archive, os.path.abspath(path) if path != "-" else "", names, made)
            if archive.has("index.json"):
                loaded = loader.load_oci(platform or spec.host_platform())
            elif archive.has("manifest.json"):
                loaded = loader.load_docker()
            else:
                raise StoreError(f"load {_shown(path)}: it has neither index.json nor manifest.json", hint=_HINT)
    except BaseException:
        _clean_up(engine, made)
        raise
    for image_id in () if names else loader.ids:  # with names: one of our own, on the way of another command
        events.image(engine, "loadfromarchive", id=image_id, name=path)
    return loaded


def _clean_up(engine: Engine, made: Garbage) -> None:
    """What was stored for an image that did not come about belongs to nobody now."""
    try:
        collect_garbage(engine, made)
    except PodlikeError:
        pass  # the first error is the one that matters; the next removal tries again


def _shown(path: str) -> str:
    return "standard input" if path == "-" else path


class _Loader:
    """made: filled with what is stored, before it is."""

    def __init__(self, engine: Engine, archive: "Archive", path: str, names: "Sequence[str]", made: Garbage) -> None:
        self._engine = engine
        self._archive = archive
        self._path = path
        self._names = names
        self._made = made
        self.ids: dict[str, None] = {}  # of the images that were loaded

    # --- OCI layout (image-layout.md) ---

    def load_oci(self, platform: spec.Platform) -> list[str]:
        index = spec.parse_manifest(self._archive.read("index.json", limit=spec.MAX_MANIFEST), spec.OCI_INDEX)
        if not isinstance(index, spec.Index):
            raise StoreError("read index.json: it is no image index", hint=_HINT)
        loaded: list[str] = []
        # Entries of one name are the platforms of one image.
        groups: "dict[str, list[spec.Descriptor]]" = {}
        for number, entry in enumerate(index.manifests):
            groups.setdefault(_entry_name(entry) or f"\0{number}", []).append(entry)
        for name, entries in groups.items():
            chosen = spec.choose_platform(entries, platform) if len(entries) > 1 else entries[0]
            loaded += self._load_oci_entry(chosen, name if name[0] != "\0" else "", platform, only=len(groups) == 1)
        if not loaded:
            raise StoreError("read index.json: it names no image", hint=_HINT)
        return loaded

    def _load_oci_entry(self, entry: spec.Descriptor, name: str, platform: spec.Platform, *, only: bool) -> list[str]:
        names = list(self._names) or [_local(name)] if name or self._names else []
        if not names and only and self._path and os.path.isdir(self._path):
            names = [_local(os.path.basename(self._path))]  # a directory without names lends its own
        data = self._document(entry)
        manifest = spec.parse_manifest(data, entry.media_type)
        for _ in range(_MAX_INDEX_DEPTH):
            if isinstance(manifest, spec.Manifest):
                break
            entry = spec.choose_platform(manifest.manifests, platform)
            data = self._document(entry)
            manifest = spec.parse_manifest(data, entry.media_type)
        if not isinstance(manifest, spec.Manifest):
            raise StoreError("read index.json: indexes are nested too deep")
        return self._store(manifest, data, self._document(manifest.config, limit=spec.MAX_CONFIG), names,
                           [_blob_name(layer.digest) for layer in manifest.layers])


    def _document(self, entry: spec.Descriptor, *, limit: int = spec.MAX_MANIFEST) -> bytes:
        """A small blob of the archive, verified."""
        import hashlib

        algorithm, digits = spec.split_digest(entry.digest)
        data = self._archive.read(_blob_name(entry.digest), limit=limit)
        if hashlib.new(algorithm, data).hexdigest() != digits:
            raise StoreError(f"verify {entry.digest}: the archive has other content under this digest",
                             hint="The archive is damaged; make it again.")
        return data

    # --- docker save ---

    def load_docker(self) -> list[str]:
        try:
            images = json.loads(self._archive.read("manifest.json", limit=spec.MAX_MANIFEST))
        except (ValueError, RecursionError) as e:
            raise StoreError(f"read manifest.json: it is no JSON ({e})", hint=_HINT) from e
        if not isinstance(images, list) or not images:
            raise StoreError("read manifest.json: it names no image", hint=_HINT)
        return [name for i, doc in enumerate(images) for name in self._load_docker_image(doc, f"[{i}]")]

    def _load_docker_image(self, doc: "Any", place: str) -> list[str]:
        if not isinstance(doc, dict) or not isinstance(doc.get("Config"), str):
            raise StoreError(f"read manifest.json: {place}.Config: expected a string", hint=_HINT)
        members = doc.get("Layers") or []
        tags = doc.get("RepoTags") or []
        for key, value in (("Layers", members), ("RepoTags", tags)):
            if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                raise StoreError(f"read manifest.json: {place}.{key}: expected a list of strings", hint=_HINT)
        data = self._archive.read(doc["Config"], limit=spec.MAX_CONFIG)
        config = spec.parse_config(data)
        if len(config.diff_ids) != len(members):
            raise StoreError(f"read manifest.json: {place}.Layers has {len(members)} entries, "
                             f"the config {len(config.diff_ids)}", hint="The archive is damaged; make it again.")
        layers = [self._describe(member, diff_id) for member, diff_id in zip(members, config.diff_ids, strict=True)]
        document = _docker_manifest(data, layers)
        manifest = spec.parse_manifest(document)
        assert isinstance(manifest, spec.Manifest)
        # docker writes familiar names
        names = list(self._names) or [spec_name(tag) for tag in tags]
        return self._store(manifest, document, data, names, members)

    def _describe(self, member: str, diff_id: str) -> spec.Descriptor:
        """The descriptor of a layer that the archive does not describe: a plain tar is its own diff ID."""
        import hashlib

        with self._archive.open(member) as stream:
            head = stream.read(4)
            media_type = _layer_type(head)
            if media_type == spec.DOCKER_LAYER:
                return spec.Descriptor(media_type, diff_id, _size(stream), {})
            digest, size = hashlib.sha256(head), len(head)
            for piece in _pieces(stream):
                digest.update(piece)
                size += len(piece)
        return spec.Descriptor(media_type, f"sha256:{digest.hexdigest()}", size, {})

    # --- both ---

    def _store(self, manifest: spec.Manifest, document: bytes, config: bytes, names: list[str],
               members: "Sequence[str]") -> list[str]:
        import hashlib

        engine = self._engine
        parsed = spec.parse_config(config)
        if len(parsed.diff_ids) != len(manifest.layers):
            raise StoreError(f"read image config: rootfs.diff_ids has {len(parsed.diff_ids)} entries, "
                             f"the manifest {len(manifest.layers)} layers", hint="The archive is damaged; make it again.")
        known = engine.images.get(hashlib.sha256(config).hexdigest())
        if known is not None and all(engine.layers.has(d) for d in known.layers):
            for name in names:  # the image as it was pulled stays: other compression makes no other image
                engine.images.tag(known.id, name)
            self.ids[known.id] = None
            return names or [f"sha256:{known.id}"]
        for layer, diff_id, member in zip(manifest.layers, parsed.diff_ids, members, strict=True):
            self._store_layer(layer, diff_id, member)
        digest = engine.blobs.write(document)
        image_id = engine.blobs.write(config).removeprefix("sha256:")
        self._made.blobs.update((digest, f"sha256:{image_id}"))
        self.ids[image_id] = None
        engine.images.add(image_id=image_id, manifest_digest=digest, config=config, layers=parsed.diff_ids, names=names,
                          size=sum(engine.layers.size(d) for d in parsed.diff_ids))
        return names or [f"sha256:{image_id}"]

    def _store_layer(self, layer: spec.Descriptor, diff_id: str, member: str) -> None:
        engine = self._engine
        unpacked = engine.layers.has(diff_id)
        if unpacked and engine.blobs.has(layer.digest):
            return
        self._made.layers.add(diff_id)
        self._made.blobs.add(layer.digest)
        with engine.blobs.partial(layer.digest) as blob:
            if blob.done and unpacked:
                return
            if unpacked:
                self._copy(member, layer, [blob])
                return
            with engine.layers.unpack(diff_id, blob=layer.digest, media_type=layer.media_type) as unpack:
                self._copy(member, layer, [unpack] if blob.done else [blob, unpack])
                unpack.finish()

    def _copy(self, member: str, layer: spec.Descriptor, sinks: "Sequence[Any]") -> None:
        """Read the member once into every sink; a blob among them is verified at its end, before it counts."""
        from podlike.store.blobs import PartialBlob

        blob = next((s for s in sinks if isinstance(s, PartialBlob)), None)
        if blob is not None:
            blob.reset()
        try:
            with self._archive.open(member) as stream:
                for piece in _pieces(stream):
                    for sink in sinks:
                        sink.write(piece)
        except BaseException:
            if blob is not None:
                blob.reset()  # the archive is at hand: nothing is won by keeping a part
            raise
        if blob is not None:
            blob.finish(layer.size)


def spec_name(tag: str) -> str:
    """The full name of a repository tag in docker's archives. Raises: StoreError."""
    from podlike.spec.reference import parse_reference

    try:
        return parse_reference(tag).name
    except PodlikeError as e:
        raise StoreError(f"read archive: {e.message}") from e


def _local(name: str) -> str:
    """The full name for an annotation or a directory: without a registry it is localhost's."""
    try:
        return local_name(name)
    except PodlikeError as e:
        raise StoreError(f"read archive: {e.message}") from e


def _entry_name(entry: spec.Descriptor) -> str:
    return entry.annotations.get(_CONTAINERD_NAME) or entry.annotations.get(_REF_NAME) or ""


def _blob_name(digest: str) -> str:
    algorithm, digits = spec.split_digest(digest)
    return f"blobs/{algorithm}/{digits}"


def _layer_type(head: bytes) -> str:
    if head.startswith(b"\x1f\x8b"):
        return spec.DOCKER_LAYER_GZIP
    if head == b"\x28\xb5\x2f\xfd":
        return spec.DOCKER_LAYER + ".zstd"
    return spec.DOCKER_LAYER


def _docker_manifest(config: bytes, layers: "Sequence[spec.Descriptor]") -> bytes:
    import hashlib

    doc = {"schemaVersion": 2, "mediaType": spec.DOCKER_MANIFEST,
           "config": {"mediaType": spec.DOCKER_CONFIG, "size": len(config),
                      "digest": f"sha256:{hashlib.sha256(config).hexdigest()}"},
           "layers": [{"mediaType": d.media_type, "size": d.size, "digest": d.digest} for d in layers]}
    return json.dumps(doc, separators=(",", ":")).encode()


def _pieces(stream: "IO[bytes]") -> "Iterator[bytes]":
    import tarfile

    try:
        while piece := stream.read(CHUNK):
            yield piece
    except (OSError, tarfile.TarError) as e:
        raise StoreError(f"read archive: {e}", hint="The archive is damaged; make it again.") from e


def _size(stream: "IO[bytes]") -> int:
    return stream.seek(0, os.SEEK_END)
