"""Manifests and blobs of registries as they are, for lists and artifacts: nothing is unpacked.

    with open_remote(engine, parse_reference(name), reach) as remote:
        manifest = remote.manifest(); remote.fetch_blob(digest, size)
"""

from podlike.errors import NotFoundError, PodlikeError, RegistryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple, Self

    from podlike.engine.core import Engine
    from podlike.registry.client import Client, Manifest
    from podlike.spec.reference import Reference
else:
    from podlike.spec.record import NamedTuple


class Reach(NamedTuple):
    """How to reach registries: as in engine/pull.py's PullOptions."""

    tls_verify: bool | None = None
    creds: str | None = None
    authfile: str | None = None
    cert_dir: str | None = None
    retries: int | None = None
    retry_delay: float | None = None


def open_remote(engine: "Engine", reference: "Reference", reach: Reach) -> "Remote":
    """The first place (mirror, registry) that has the reference's manifest.

    Raises: NotFoundError, RegistryError, ConfigError for a blocked registry.
    """
    from podlike.engine.connect import connect
    from podlike.registries_conf import load_registries_conf

    places = load_registries_conf().pull_sources(reference.repository, by_digest=reference.digest is not None)
    primary = places[-1].repository.partition("/")[0]
    for n, place in enumerate(places):
        client, path = connect(engine, place.repository, reach, insecure=place.insecure, primary=primary)
        try:
            return Remote(engine, client, path, client.manifest(path, reference.identifier))
        except (NotFoundError, RegistryError):
            client.close()
            if n == len(places) - 1:
                raise
        except BaseException:
            client.close()
            raise
    raise NotFoundError(f"reading manifest of {reference.name}: no registry is configured for it")


class Remote:
    """One repository of a registry, and the manifest that was asked for."""

    def __init__(self, engine: "Engine", client: "Client", path: str, manifest: "Manifest") -> None:
        self._engine = engine
        self._client = client
        self._path = path
        self.manifest = manifest

    @property
    def repository(self) -> str:
        """host/path"""
        return f"{self._client.host}/{self._path}"

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.close()

    def check_trust(self, reference: "Reference") -> None:
        """Whether policy.json lets the manifest be copied. Raises: RejectedError, ConfigError."""
        from podlike.engine.trusting import Trust

        Trust().check_pulled(self._client, self._path, reference, self.manifest.data, self.manifest.digest)

    def other_manifest(self, digest: str) -> "Manifest":
        """A further manifest of the repository. Raises: NotFoundError, RegistryError."""
        return self._client.manifest(self._path, digest)

    def document(self, digest: str, size: int) -> bytes:
        """A small blob, verified, not stored."""
        from podlike.spec.image import MAX_CONFIG

        return self._client.small_blob(self._path, digest, size, limit=MAX_CONFIG)

    def fetch_blob(self, digest: str, size: int) -> None:
        """Bring a blob into the store; what an earlier try left is continued. Raises: RegistryError, StoreError."""
        with self._engine.blobs.partial(digest) as blob:
            if blob.done:
                return
            if blob.offset > size:
                blob.reset()
            for chunk in self._client.blob(self._path, digest, size=size, offset=blob.offset):
                blob.write(chunk)
            try:
                blob.finish(size)
            except PodlikeError as e:
                raise RegistryError(f"reading blob {digest} in {self.repository}: {e.message}", hint=e.hint) from e
