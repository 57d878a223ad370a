"""Push: an image of the store to a registry, sending only what is not there.

    name -> image -> layers (compressed, where they are not) -> each: there already? to be mounted? to be sent?
         -> config -> manifest under its tag

A pulled image goes out as it came in: the same blobs, the same manifest, the same digest.
"""

import os
import tempfile

from podlike import log
from podlike.engine import events
from podlike.engine.connect import connect
from podlike.engine.fetch import DEFAULT_PARALLEL, Progress
from podlike.engine.images import choose_instance, find, read_manifest
from podlike.engine.parallel import run_all
from podlike.errors import ConfigError, NotFoundError, StoreError, UsageError
from podlike.registries_conf import load_registries_conf
from podlike.spec.events import Event
from podlike.spec.image import DOCKER_MANIFEST, MAX_MANIFEST, OCI_MANIFEST
from podlike.spec.imageconvert import FORMATS, Recompressed, compression_of, convert, is_foreign
from podlike.spec.reference import Reference, parse_reference
from podlike.store import compression, origins
from podlike.store.blobs import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import NamedTuple

    from podlike.engine.connect import RegistryOptions
    from podlike.engine.core import Engine
    from podlike.engine.signing import Signer
    from podlike.registry.client import Client
    from podlike.registry.upload import Repository
    from podlike.spec.image import Descriptor, Manifest
    from podlike.store.images import Image
else:
    from podlike.spec.record import NamedTuple


class PushOptions(NamedTuple):
    """How to push.

    format: oci or v2s2, None: the image's own, unless the layers or the registry ask for the other.
    compression: gzip or zstd for layers that are to be compressed, None: as containers.conf says.
    level: of that format, None: its default. force: layers in another compression are compressed anew.
    The others are as in PullOptions.
    """

    format: str | None = None
    compression: str | None = None
    level: int | None = None
    force: bool = False
    tls_verify: bool | None = None
    creds: str | None = None
    authfile: str | None = None
    cert_dir: str | None = None
    retries: int | None = None
    retry_delay: float | None = None
    signer: "Signer | None" = None


class Pushed(NamedTuple):
    """What the registry has now. name: domain/path:tag. size: bytes of the manifest."""

    name: str
    digest: str
    size: int
    media_type: str


def push(engine: "Engine", name: str, destination: str | None = None, *, options: PushOptions | None = None,
         progress: Progress | None = None) -> Pushed:
    """Send an image to a registry.

    name: of an image that is here. destination: where to, as typed; None: to where its name says.
    Raises: NotFoundError, UsageError, RegistryError, StoreError, ConfigError.
    """
    options = checked(options or PushOptions(), engine)
    image, full = find(engine, name)
    if image.index is not None:
        image = choose_instance(engine, image)
    if destination is None and full is None:
        raise UsageError(f"push {name}: an id does not say where to",
                         hint=f"Name the destination: podlike push {name} REGISTRY/REPOSITORY:TAG.")
    target = parse_reference((destination or full or "").removeprefix("docker://"))
    pushed = _Push(engine, options, progress or Progress(), target).send([(image, target)])[0]
    events.image(engine, "push", id=image.id, name=destination or target.name)
    return pushed


def push_all_tags(engine: "Engine", name: str, *, options: PushOptions | None = None,
                  progress: Progress | None = None) -> list[Pushed]:
    """Send all images of a repository under all their tags. Raises: as push()."""
    options = checked(options or PushOptions(), engine)
    reference = parse_reference(name)
    if reference.digest or ":" in name.rpartition("/")[2]:
        raise UsageError(f"tag can't be used with --all-tags/-a: {name}", hint="Leave the tag out, or --all-tags.")
    pairs = [(image, parse_reference(full)) for image in engine.images.all() for full in image.names
             if full.rpartition(":")[0] == reference.repository]
    if not pairs:
        raise NotFoundError(f"push all tags of {reference.repository}: no image here has such a name")
    pairs.sort(key=lambda pair: pair[1].name)
    pushed = _Push(engine, options, progress or Progress(), reference).send(pairs)
    events.emit(engine, *(Event("image", "push", id=image.id, name=target.name) for image, target in pairs))
    return pushed


def push_instance(engine: "Engine", client: "Client", repository: "Repository", image: "Image", target: Reference, *,
                  options: PushOptions, progress: Progress) -> Pushed:
    """Send an image of a list into a repository that is open, under its digest; target: what the list will be called.

    The store's lock is the caller's. Raises: as push().
    """
    return _Push(engine, checked(options, engine), progress, target, by_digest=True).one(client, repository, image, target)


def open_target(engine: "Engine", target: Reference, options: "RegistryOptions") -> "tuple[Client, Repository]":
    """The repository to push to; the client is the caller's to close. Raises: ConfigError when it is blocked."""
    from podlike.registry.upload import Repository

    registry = load_registries_conf().find(target.repository)
    if registry is not None and registry.blocked:
        raise ConfigError(f"registry {registry.prefix} is blocked in {registry.source}",
                          hint=f'Set "blocked = false" for it in {registry.source}, or use another registry.')
    client, path = connect(engine, target.repository, options,
                           insecure=registry is not None and registry.primary.insecure)
    return client, Repository(client, path)


def checked(options: PushOptions, engine: "Engine") -> PushOptions:
    """The options with what containers.conf adds. Raises: UsageError for what does not go together."""
    settings = engine.config.engine
    kind = options.compression or settings.compression_format or "gzip"
    if options.format not in (None, *FORMATS):
        raise UsageError(f"push as {options.format}: unknown format", hint=f"Use one of {', '.join(FORMATS)}.")
    if kind not in compression.FORMATS:
        if options.compression:
            raise UsageError(f"compress layers with {kind}: not supported", hint="Use gzip or zstd.")
        kind = "zstd" if kind.startswith("zstd") else "gzip"
    if kind == "zstd" and options.format == "v2s2" and options.compression:
        raise UsageError("push as v2s2 with zstd: Docker's manifest format has no zstd layers",
                         hint="Use --format oci, or --compression-format gzip.")
    level = options.level if options.level is not None else settings.compression_level
    compression.check_level(kind, level)
    return options._replace(compression="gzip" if options.format == "v2s2" else kind, level=level)


class _Push:
    """One call: images that go to one repository. by_digest: they get no tag, only their signatures name it."""

    def __init__(self, engine: "Engine", options: PushOptions, progress: Progress, target: Reference, *,
                 by_digest: bool = False) -> None:
        self._engine = engine
        self._options = options
        self._progress = progress
        self._target = target
        self._by_digest = by_digest
        self._present: set[str] = set()

    def send(self, pairs: "Sequence[tuple[Image, Reference]]") -> list[Pushed]:
        from podlike.store.locks import StoreLock

        if self._options.signer is not None:
            self._options.signer.check(self._target)
        client, repository = open_target(self._engine, self._target, self._options)
        self._progress.reading()
        try:
            with StoreLock(self._engine.roots.tmp):
                return [self.one(client, repository, image, target) for image, target in pairs]
        finally:
            client.close()

    def one(self, client: "Client", repository: "Repository", image: "Image", target: Reference) -> Pushed:
        engine = self._engine
        manifest: Manifest = read_manifest(engine, image)
        raw = engine.blobs.read(image.manifest_digest, limit=MAX_MANIFEST)
        layers = list({layer.digest: layer for layer in manifest.layers if not is_foreign(layer.media_type)}.values())
        changed: dict[str, Recompressed] = {}

        def send_layer(layer: "Descriptor") -> None:
            new = _Layer(self, client, repository, layer).send()
            if new is not None:
                changed[layer.digest] = new

        run_all(layers, send_layer, threads=engine.config.engine.image_parallel_copies or DEFAULT_PARALLEL,
                abort=client.abort)
        self._progress.config(manifest.config.digest)
        _Layer(self, client, repository, manifest.config).send_as_is(quiet=True)
        self._progress.writing()
        return self._manifest(client, repository, target, raw, manifest, changed)

    def _manifest(self, client: "Client", repository: "Repository", target: Reference, raw: bytes,
                  manifest: "Manifest", changed: "dict[str, Recompressed]") -> Pushed:
        """Send the manifest in the wanted format, or in the one that the registry takes."""
        from podlike.registry.upload import ManifestRefused

        kind = FORMATS.get(self._options.format or "", manifest.media_type)
        kinds = [manifest.layers[i].media_type if d not in changed else changed[d].compression
                 for i, d in enumerate(layer.digest for layer in manifest.layers)]
        zstd = any(word.endswith("zstd") for word in kinds)
        if zstd and self._options.format is None:
            kind = OCI_MANIFEST
        data = convert(raw, media_type=manifest.media_type, target=kind, changed=changed)
        identifier = "" if self._by_digest else _identifier(target, data)
        try:
            digest = self._put_signed(client, repository, target, identifier, data, kind)
        except ManifestRefused as e:
            if self._options.format is not None or kind != OCI_MANIFEST or zstd or target.digest:
                raise
            log.info(f"{e.message}; sending it in Docker's format")
            kind = DOCKER_MANIFEST
            data = convert(raw, media_type=manifest.media_type, target=kind, changed=changed)
            digest = self._put_signed(client, repository, target, identifier, data, kind)
        return Pushed(target.name, digest, len(data), kind)

    def _put_signed(self, client: "Client", repository: "Repository", target: Reference, identifier: str, data: bytes,
                    kind: str) -> str:
        import hashlib

        signer, digest = self._options.signer, f"sha256:{hashlib.sha256(data).hexdigest()}"
        made = signer.make(data, digest, target.name) if signer is not None else []
        repository.put_manifest(identifier or digest, data, kind)
        if signer is not None:
            signer.store(made, client, repository.path, repository, target, digest)
        return digest

    # What _Layer needs to know

    def target_compression(self, layer: "Descriptor", path: str) -> str | None:
        """What a layer is to be compressed with; None: it stays as it is."""
        have, options = compression_of(layer.media_type), self._options
        if not have and compression.kind_of(path):
            return None  # compressed all the same, and its digest is what the manifest says
        if have and not options.force and not (have == "zstd" and options.format == "v2s2"):
            return None
        return None if have == options.compression else options.compression


class _Layer:
    """One blob on its way."""

    def __init__(self, push: _Push, client: "Client", repository: "Repository", descriptor: "Descriptor") -> None:
        self._push = push
        self._client = client
        self._repository = repository
        self._descriptor = descriptor
        self._path = push._engine.blobs.path(descriptor.digest)
        self._progress = push._progress

    def send(self) -> Recompressed | None:
        """Bring the layer to the registry; what it has become, or None if it goes as it is."""
        if not os.path.exists(self._path):
            self._push._engine.blobs.size(self._descriptor.digest)  # says in words that it is missing
        how = self._push.target_compression(self._descriptor, self._path)
        if how is None:
            self.send_as_is()
            return None
        return self._send_compressed(how)

    def send_as_is(self, *, quiet: bool = False) -> None:
        self._send(self._descriptor.digest, self._push._engine.blobs.size(self._descriptor.digest), self._path,
                   quiet=quiet)

    def _send_compressed(self, how: str) -> Recompressed:
        """Compress into a file first: its digest may show that the registry has it, and a broken upload can go on."""
        level = self._push._options.level
        key = how if level is None else f"{how}-{level}"
        known = origins.variant(self._path, key)
        if known is not None and (self._is_there(known.digest) or self._mounted(known.digest)):
            self._progress.skipped(known.digest)
            self._remember(known.digest)
            return Recompressed(known.digest, known.size, how)
        tmp = self._push._engine.roots.tmp
        os.makedirs(tmp, mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=tmp) as f:
            digest, size = self._compress(how, level, f.fileno())
            origins.remember_variant(self._path, origins.Variant(key, digest, size))
            self._send(digest, size, f"/proc/self/fd/{f.fileno()}")
        return Recompressed(digest, size, how)

    def _compress(self, how: str, level: int | None, fd: int) -> tuple[str, int]:
        import hashlib

        feed, finish = compression.compressor(how, level)
        digest, size = hashlib.sha256(), 0

        def put(data: bytes) -> None:
            nonlocal size
            digest.update(data)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest):]
            size += len(data)

        try:
            for piece in compression.decompressed(self._path):
                put(feed(piece))
                self._client.check()
            put(finish())
        except OSError as e:
            raise StoreError(f"compress layer {self._descriptor.digest}: {e.strerror}",
                             hint="Free space on the file system of the store.") from e
        return f"sha256:{digest.hexdigest()}", size

    def _send(self, digest: str, size: int, path: str, *, quiet: bool = False) -> None:
        if self._is_there(digest) or self._mounted(digest):
            if not quiet:
                self._progress.skipped(digest)
        else:
            at = 0

            def sent(now: int) -> None:
                nonlocal at
                if not quiet:
                    self._progress.advanced(digest, now - at)
                at = now

            if not quiet:
                self._progress.started(digest, size)
            self._repository.upload(digest, size, lambda offset: _pieces(path, offset), sent=sent)
            if not quiet:
                self._progress.done(digest)
        self._remember(digest)

    def _remember(self, digest: str) -> None:
        self._push._present.add(digest)
        origins.remember_origin(self._path, self._push._target.repository, self._variant(digest))

    def _variant(self, digest: str) -> str:
        return "" if digest == self._descriptor.digest else digest

    def _is_there(self, digest: str) -> bool:
        return digest in self._push._present or self._repository.has_blob(digest)

    def _mounted(self, digest: str) -> bool:
        target = self._push._target
        known = origins.origins(self._path, target.domain, self._variant(digest))
        return any(self._repository.mount(digest, path) for path in known[:2] if path != target.path)


def _identifier(target: Reference, data: bytes) -> str:
    """What the manifest is put under. Raises: UsageError for a digest that is not its own."""
    import hashlib

    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if target.digest and target.digest != digest:
        raise UsageError(f"push to {target.name}: the image has the digest {digest}",
                         hint="Give a tag, or push without changing format and compression.")
    return target.tag or target.digest or "latest"


def _pieces(path: str, offset: int) -> "Iterator[bytes]":
    with open(path, "rb", buffering=0) as f:
        f.seek(offset)
        while piece := f.read(CHUNK):
            yield piece
