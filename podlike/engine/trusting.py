"""The trust policy at work: what is pulled or loaded is checked before anything of it is used."""

import os

from podlike import log
from podlike.errors import ConfigError
from podlike.trust.policy import load_policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from podlike.registry.client import Client
    from podlike.spec.reference import Reference
    from podlike.transports.found import Source
    from podlike.trust.check import Signature
    from podlike.trust.policy import Policy

_SIGNATURE_MAX: "Final" = 4 * 1024 * 1024
# How policies call what a source of podlike/transports reads; OciLayout is one of two.
_TRANSPORTS: "Final" = {"DockerArchive": "docker-archive", "PlainDir": "dir", "ContainerStorage": "containers-storage"}


class Trust:
    """One command's policy; read once, and first when it is needed."""

    def __init__(self, signature_policy: str | None = None) -> None:
        """signature_policy: --signature-policy."""
        self._named = signature_policy
        self._policy: Policy | None = None

    @property
    def policy(self) -> "Policy":
        """Raises: ConfigError."""
        if self._policy is None:
            self._policy = load_policy(self._named)
        return self._policy

    def check_pulled(self, client: "Client", path: str, reference: "Reference", manifest: bytes, digest: str) -> None:
        """manifest, digest: those that will be used. path: where the registry has it; reference: what was asked for.

        Raises: RejectedError, ConfigError, RegistryError.
        """
        if self.policy.accepts_everything:
            return
        from podlike.trust.check import Candidate, check
        from podlike.trust.identity import scopes

        named = reference._replace(tag=None) if reference.digest else reference
        check(self.policy, Candidate("docker", f"docker://{named.familiar}", scopes(named), named, manifest,
                                     lambda: find_signatures(client, path, digest)))

    def check_source(self, source: "Source", place: str) -> None:
        """What is loaded from an archive, a directory or another store. place: its path as typed.

        Raises: RejectedError, ConfigError.
        """
        name = type(source).__name__
        self.check_local(_TRANSPORTS.get(name) or ("oci" if os.path.isdir(place) else "oci-archive"), place)

    def check_local(self, transport: str, place: str) -> None:
        """An archive or folder, which has no signatures. transport: docker-archive, oci, dir ...

        Raises: RejectedError, ConfigError.
        """
        if self.policy.accepts_everything:
            return
        from podlike.trust.check import Candidate, check

        scopes = []
        if transport in ("dir", "oci"):
            parts = os.path.realpath(place).split("/")
            scopes = ["/".join(parts[:n]) for n in range(len(parts), 1, -1)]
        check(self.policy, Candidate(transport, f"{transport}:{place}", scopes, None, b"", list))


def find_signatures(client: "Client", path: str, digest: str) -> "list[Signature]":
    """All signatures of a manifest: in the lookaside folder of its repository, and in the registry where registries.d
    says so. Raises: ConfigError, RegistryError.
    """
    from podlike.registry.signatures import read_attachments, read_lookaside
    from podlike.spec.reference import Reference
    from podlike.trust import sigstore
    from podlike.trust.check import Signature
    from podlike.trust.registries_d import load_registries_d, local_path

    # The mirror that serves the image serves its signatures too.
    place = Reference(client.host, path, None, digest)
    conf = load_registries_d()
    base = conf.lookaside(place)
    folder = local_path(base)
    blobs = read_lookaside(client, base, digest) if folder is None else _read_folder(folder, digest)
    found = [Signature(blob) for blob in blobs]
    if conf.attachments(place):
        found += [Signature(a.data, a.media_type, a.annotations.get(sigstore.SIGNATURE_KEY, ""))
                  for a in read_attachments(client, path, sigstore.attachment_tag(digest))]
    log.debug(f"found {len(found)} signatures of {digest} for {client.host}/{path}")
    return found


def _read_folder(base: str, digest: str) -> list[bytes]:
    from podlike.registry.signatures import MAX_SIGNATURES, lookaside_folder

    found: list[bytes] = []
    folder = lookaside_folder(base, digest)
    for number in range(1, MAX_SIGNATURES + 1):
        try:
            with open(f"{folder}/signature-{number}", "rb") as f:
                found.append(f.read(_SIGNATURE_MAX))
        except (FileNotFoundError, NotADirectoryError):
            break
        except OSError as e:
            raise ConfigError(f"read signature {folder}/signature-{number}: {(e.strerror or str(e)).lower()}",
                              hint="Correct its permissions.") from e
    return found
