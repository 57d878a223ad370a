"""Artifacts from registries and to them: blobs and manifests as they are."""

from podlike.engine.artifacts import find, parse
from podlike.engine.core import Engine
from podlike.errors import UsageError
from podlike.spec.image import MAX_MANIFEST, OCI_MANIFEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.connect import RegistryOptions
    from podlike.engine.fetch import Progress
    from podlike.engine.remote import Reach
    from podlike.engine.signing import Signer


def pull(engine: Engine, name: str, *, reach: "Reach") -> str:
    """Bring an artifact of a registry into the store; return its digest. Raises: RegistryError, NotFoundError, ..."""
    from podlike.engine.remote import open_remote
    from podlike.spec.reference import parse_reference
    from podlike.store.locks import StoreLock

    if not name:
        raise UsageError("artifact name cannot be empty")
    reference = parse_reference(name.removeprefix("docker://"))
    with open_remote(engine, reference, reach) as remote:
        remote.check_trust(reference)
        got = remote.manifest
        doc = parse(got.data)
        with StoreLock(engine.roots.tmp):
            for descriptor in (doc["config"], *doc["layers"]):
                remote.fetch_blob(descriptor["digest"], descriptor["size"])
            engine.blobs.write(got.data)
            engine.artifacts.put(name, got.digest)
    return got.digest


def push(engine: Engine, name: str, *, options: "RegistryOptions", signer: "Signer | None" = None,
         progress: "Progress | None" = None) -> str:
    """Send an artifact to where its name says; return its digest. Raises: NotFoundError, RegistryError, StoreError."""
    from podlike.engine.fetch import Progress
    from podlike.engine.push import open_target
    from podlike.engine.send import send_blobs
    from podlike.spec.reference import parse_reference
    from podlike.store.locks import StoreLock

    entry = find(engine, name)
    target = parse_reference(entry.name)
    if signer is not None:
        signer.check(target)
    client, repository = open_target(engine, target, options)
    try:
        with StoreLock(engine.roots.tmp):
            send_blobs(engine, repository, [entry.manifest["config"], *entry.manifest["layers"]], progress or Progress())
            data = engine.blobs.read(entry.digest, limit=MAX_MANIFEST)
            made = signer.make(data, entry.digest, target.name) if signer is not None else []
            digest = repository.put_manifest(target.identifier, data, entry.manifest.get("mediaType") or OCI_MANIFEST)
            if signer is not None:
                signer.store(made, client, repository.path, repository, target, digest)
            return digest
    finally:
        client.close()
