"""Manifest lists to a registry: first the manifests that they name, each under its digest, then the list itself.

Images of the store go as `push` sends them, so that format and compression can be changed; artifacts and what came from
another registry go as they are.
"""

import hashlib

from podlike.engine.core import Engine
from podlike.engine.fetch import Progress
from podlike.errors import NotFoundError, UsageError
from podlike.spec import manifestlist as spec
from podlike.spec.image import DOCKER_LIST, INDEX_TYPES, MAX_MANIFEST, OCI_INDEX, load_json
from podlike.spec.reference import Reference, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final, NamedTuple

    from podlike.engine.push import PushOptions
    from podlike.registry.client import Client
    from podlike.registry.upload import Repository
    from podlike.store.images import Image
else:
    from podlike.spec.record import NamedTuple

# Says that an instance of a list has zstd layers, so that clients that cannot read them take another.
ZSTD: "Final" = {"io.github.containers.compression.zstd": "true"}
LIST_TYPES: "Final" = {None: "", "oci": OCI_INDEX, "v2s2": DOCKER_LIST, "docker": DOCKER_LIST}


class PushedList(NamedTuple):
    """What the registry has now. name: domain/path:tag. digest: of the list."""

    name: str
    digest: str


def push_list(engine: Engine, image: "Image", destination: str, *, options: "PushOptions", every: bool = True,
              add_compression: "Sequence[str]" = (), progress: Progress | None = None) -> PushedList:
    """Send a list. every: also what it names; else only the list, which the registry takes if it has the rest.

    add_compression: every image is sent once more with its layers compressed so, as a further entry.
    Raises: UsageError, NotFoundError, RegistryError, StoreError.
    """
    from podlike.engine.push import open_target
    from podlike.store.locks import StoreLock

    assert image.index is not None
    target = parse_reference(_without_transport(destination))
    formats = _compressions(add_compression)
    if target.digest:
        raise UsageError(f"push to {destination}: a list gets a tag, its digest follows from its content")
    signer = options.signer
    if signer is not None:
        signer.check(target)
    client, repository = open_target(engine, target, options)
    sender = _Sender(engine, client, repository, target, options, progress or Progress())
    try:
        with StoreLock(engine.roots.tmp):
            doc = {**image.index, "manifests": sender.all(image.index, formats) if every else image.index["manifests"]}
            kind = LIST_TYPES[options.format] or spec.list_type(doc)
            data = spec.serialize(doc, kind)
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            made = signer.make(data, digest, target.name) if signer is not None else []
            repository.put_manifest(target.identifier, data, kind)
            if signer is not None:
                signer.store(made, client, repository.path, repository, target, digest)
            return PushedList(target.name, digest)
    finally:
        client.close()
        sender.clean_up()


def _without_transport(destination: str) -> str:
    """Raises: UsageError for a place that is no registry."""
    text = destination.removeprefix("docker://")
    transport, colon, rest = text.partition(":")
    if colon and transport in ("dir", "oci", "oci-archive", "docker-archive", "docker-daemon", "containers-storage") \
            and rest[:1] in ("/", ".", "["):
        raise UsageError(f"push to {destination}: manifest lists are pushed to registries only",
                         hint="Push it to a registry and copy it with `skopeo copy --all`.")
    return text


def _compressions(words: "Sequence[str]") -> list[str]:
    """gzip or zstd for each word. zstd:chunked is zstd with an index for partial pulls, which is left out."""
    found = []
    for word in words:
        if word not in ("gzip", "zstd", "zstd:chunked"):
            raise UsageError(f"add compression {word}: not supported", hint="Use gzip or zstd.")
        found.append(word.partition(":")[0])
    return list(dict.fromkeys(found))


class _Sender:
    """The entries of one list on their way."""

    def __init__(self, engine: Engine, client: "Client", repository: "Repository", target: Reference,
                 options: "PushOptions", progress: Progress) -> None:
        self._engine = engine
        self._client = client
        self._repository = repository
        self._target = target
        self._options = options
        self._progress = progress
        self._borrowed: set[str] = set()

    def all(self, doc: "dict[str, Any]", formats: list[str]) -> "list[dict[str, Any]]":
        """Send every entry; the entries as they are in the registry, and after them those of further compressions."""
        entries: "list[dict[str, Any]]" = []
        further: "list[dict[str, Any]]" = []
        for entry in doc["manifests"]:
            source = doc["sources"].get(entry["digest"], {})
            image = self._image(entry, source)
            if image is not None:
                entries.append(self._send_image(entry, image, self._options))
                for kind in formats:
                    new = self._send_image(entry, image, self._options._replace(compression=kind, force=True))
                    if new["digest"] not in {e["digest"] for e in (*entries, *further)}:
                        further.append(new)
            elif entry["digest"] in doc["files"]:
                self._send_as_is(entry)
                entries.append(entry)
            else:
                self._pass_on(entry, source)
                entries.append(entry)
        return entries + further

    def _image(self, entry: "dict[str, Any]", source: "dict[str, str]") -> "Image | None":
        """The image of the store that an entry is."""
        from podlike.engine.imagefilters import digests_of

        known = self._engine.images.get(source["image"]) if "image" in source else None
        if known is not None and known.manifest_digest == entry["digest"]:
            return known
        for other in self._engine.images.all():
            if other.index is None and entry["digest"] in digests_of(other):
                return other if other.manifest_digest == entry["digest"] else None
        return None

    def _send_image(self, entry: "dict[str, Any]", image: "Image", options: "PushOptions") -> "dict[str, Any]":
        from podlike.engine.push import push_instance

        format = "v2s2" if options.format == "docker" else options.format
        done = push_instance(self._engine, self._client, self._repository, image, self._target,
                             options=options._replace(format=format), progress=self._progress)
        new = {**entry, "mediaType": done.media_type, "digest": done.digest, "size": done.size}
        if options.compression == "zstd" and done.digest != image.manifest_digest:
            new["annotations"] = {**entry.get("annotations", {}), **ZSTD}
        return new

    def _send_as_is(self, entry: "dict[str, Any]") -> None:
        """A manifest of the store with its blobs."""
        from podlike.engine.send import send_blobs

        data = self._engine.blobs.read(entry["digest"], limit=MAX_MANIFEST)
        doc = load_json(data, "manifest", limit=MAX_MANIFEST)
        send_blobs(self._engine, self._repository, [doc["config"], *doc["layers"]], self._progress)
        self._repository.put_manifest(entry["digest"], data, entry["mediaType"])

    def _pass_on(self, entry: "dict[str, Any]", source: "dict[str, str]") -> None:
        """From the registry where the entry was found, through the store, unless it is there already."""
        where = source.get("registry", "")
        if where == self._target.repository:
            return
        if not where:
            raise NotFoundError(f"push {entry['digest']} of the list: its image is not in the store any more",
                                hint="Add the image again, or take the entry out with `podlike manifest remove`.")
        from podlike.engine.remote import Reach, open_remote

        o = self._options
        same = where.partition("/")[0] == self._target.domain  # --creds are for the registry that is pushed to
        reach = Reach(tls_verify=o.tls_verify, creds=o.creds if same else None, authfile=o.authfile,
                      cert_dir=o.cert_dir if same else None, retries=o.retries, retry_delay=o.retry_delay)
        reference = parse_reference(where)._replace(tag=None, digest=entry["digest"])
        with open_remote(self._engine, reference, reach) as remote:
            remote.check_trust(reference)
            doc = load_json(remote.manifest.data, "manifest", limit=MAX_MANIFEST)
            if remote.manifest.media_type in INDEX_TYPES:
                raise UsageError(f"push {entry['digest']} of the list: it is a list itself",
                                 hint="Add its images with --all instead.")
            for descriptor in (doc["config"], *(doc.get("layers") or [])):
                digest = str(descriptor["digest"])
                if not self._engine.blobs.has(digest) and not self._repository.has_blob(digest):
                    self._borrowed.add(digest)
                    remote.fetch_blob(digest, int(descriptor["size"]))
            self._borrowed.add(self._engine.blobs.write(remote.manifest.data))
        self._send_as_is(entry)

    def clean_up(self) -> None:
        """What was only passed on is nobody's here."""
        if self._borrowed:
            from podlike.engine.images import Garbage, collect_garbage

            collect_garbage(self._engine, Garbage(set(), self._borrowed))
