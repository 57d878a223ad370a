"""Signing images: while they are pushed, and `image sign`.

A signature is made before the manifest gets its name, so that a key that does not work leaves nothing behind, and put
down after it.
"""

import os

from podlike.engine.access import Access, open_client
from podlike.errors import ConfigError, NotFoundError, UsageError
from podlike.registries_conf import load_registries_conf
from podlike.spec.reference import Reference, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, NamedTuple

    from podlike.engine.core import Engine
    from podlike.registry.client import Client
    from podlike.registry.upload import Repository
else:
    from podlike.spec.record import NamedTuple

_PARAMETERS: "Final" = ("privateKeyFile", "privateKeyPassphraseFile", "fulcio", "rekorURL")
_INDEX_TYPES: "Final" = ("application/vnd.oci.image.index.v1+json",
                         "application/vnd.docker.distribution.manifest.list.v2+json")


class Made(NamedTuple):
    """One signature. payload: what was signed. value: base64 of sigstore's, "" where data is an OpenPGP message."""

    data: bytes
    value: str = ""


class Signer:
    """Who signs what is pushed, and with what."""

    def __init__(self, *, gpg_key: str = "", sigstore_key: str = "", passphrase_file: str = "", parameters: str = "",
                 ask: "Callable[[str], str] | None" = None) -> None:
        """gpg_key: --sign-by. sigstore_key: --sign-by-sigstore-private-key. parameters: --sign-by-sigstore.

        ask: asks the user for the pass phrase of a file. Raises: UsageError, ConfigError.
        """
        if sum(bool(x) for x in (gpg_key, sigstore_key, parameters)) > 1 and passphrase_file:
            raise UsageError("only one of --sign-by, --sign-by-sigstore and --sign-by-sigstore-private-key can be used with "
                             "--sign-passphrase-file", hint="Push once for each signature.")
        self.gpg_key = gpg_key
        self._passphrase = _first_line(passphrase_file) if passphrase_file else None
        if parameters:
            sigstore_key, phrase_file = _read_parameters(parameters)
            self._passphrase = _first_line(phrase_file) if phrase_file else self._passphrase
        self._key: Any = _load_key(sigstore_key, self._passphrase, ask) if sigstore_key else None
        if gpg_key:
            from podlike.trust.gpg import program

            program()

    def check(self, target: Reference) -> None:
        """Raises: ConfigError where the signatures could not be put down; nothing has been sent then."""
        from podlike.trust.registries_d import load_registries_d

        conf = load_registries_d()
        if self._key is not None and not conf.attachments(target):
            raise ConfigError(f"sign {target.name}: writing sigstore attachments is disabled by configuration",
                              hint="Set use-sigstore-attachments: true for the registry in registries.d.")
        if self.gpg_key:
            lookaside(target)

    def make(self, manifest: bytes, digest: str, name: str) -> list[Made]:
        """Raises: RegistryError, NotFoundError."""
        from podlike.trust import gpg, sigstore
        from podlike.trust.payload import COSIGN, SIMPLE, make_payload

        made = []
        if self.gpg_key:
            payload = make_payload(SIMPLE, digest=digest, name=name)
            made.append(Made(gpg.sign(payload, self.gpg_key, passphrase=self._passphrase)))
        if self._key is not None:
            payload = make_payload(COSIGN, digest=digest, name=name)
            made.append(Made(payload, sigstore.sign(payload, self._key)))
        return made

    def store(self, made: list[Made], client: "Client", path: str, repository: "Repository", target: Reference,
              digest: str) -> None:
        """Raises: ConfigError, RegistryError."""
        from podlike.registry.signatures import Attachment, attach
        from podlike.trust import sigstore

        for one in made:
            if not one.value:
                store_in_folder(lookaside(target), digest, one.data)
                continue
            attach(client, path, sigstore.attachment_tag(digest),
                   Attachment(sigstore.MEDIA_TYPE, one.data, {sigstore.SIGNATURE_KEY: one.value}),
                   put_blob=lambda data: _put_blob(repository, data), put_manifest=repository.put_manifest)


def sign_image(engine: "Engine", name: str, *, gpg_key: str, directory: str | None, every: bool, access: Access) -> None:
    """`image sign`: put OpenPGP signatures of one image into a folder.

    name: docker://NAME, or an image that is here. directory: instead of what registries.d says. every: sign all images of
    an index. Raises: NotFoundError, UsageError, ConfigError, RegistryError.
    """
    signer = Signer(gpg_key=gpg_key)
    reference, documents = _from_registry(name, every, access) if name.startswith("docker://") \
        else _from_store(engine, name, every)
    base = f"{os.path.abspath(directory)}/{reference.path}" if directory else lookaside(reference)
    for digest, manifest in documents.items():
        for made in signer.make(manifest, digest, reference.name):
            store_in_folder(base, digest, made.data)


def lookaside(target: Reference) -> str:
    """The folder for new signatures of a repository. Raises: ConfigError."""
    from podlike.trust.registries_d import load_registries_d, local_path

    url = load_registries_d().lookaside(target, write=True)
    folder = local_path(url)
    if folder is None:
        raise ConfigError(f"sign {target.name}: writing directly to the lookaside {url} is not supported",
                          hint="Set lookaside-staging: file:///FOLDER for it in registries.d.")
    return folder


def store_in_folder(base: str, digest: str, signature: bytes) -> str:
    """Write the next free signature-N beside the others; returns its path. Raises: ConfigError."""
    from podlike.registry.signatures import MAX_SIGNATURES, lookaside_folder

    folder = lookaside_folder(base, digest)
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        tmp = f"{folder}/.{os.getpid()}"
        with open(tmp, "wb") as f:
            f.write(signature)
        try:
            for number in range(1, MAX_SIGNATURES + 1):
                try:
                    os.link(tmp, f"{folder}/signature-{number}")
                except FileExistsError:
                    continue
                return f"{folder}/signature-{number}"
        finally:
            os.unlink(tmp)
    except OSError as e:
        raise ConfigError(f"write signature below {folder}: {(e.strerror or str(e)).lower()}",
                          hint="Make the folder writable, or name another one (--directory, registries.d).") from e
    raise ConfigError(f"write signature below {folder}: there are {MAX_SIGNATURES} already", hint="Remove old ones.")


def _from_registry(name: str, every: bool, access: Access) -> "tuple[Reference, dict[str, bytes]]":
    """(its reference, manifests by digest)"""
    reference = parse_reference(name.removeprefix("docker://"))
    conf = load_registries_conf()
    place = conf.pull_sources(reference.repository, by_digest=reference.digest is not None)[-1]
    client, path = open_client(conf, place.repository, access=access, insecure=place.insecure)
    try:
        got = client.manifest(path, reference.identifier)
        if not every:
            return reference, {got.digest: got.data}
        if got.media_type not in _INDEX_TYPES:
            raise UsageError(f"{name} is not a multi-architecture image (manifest type {got.media_type})",
                             hint="Leave --all out.")
        return reference, {d: client.manifest(path, d).data for d in _instances(got.data, got.media_type)}
    finally:
        client.close()


def _instances(data: bytes, media_type: str) -> list[str]:
    from podlike.spec.image import Index, parse_manifest

    index = parse_manifest(data, media_type)
    assert isinstance(index, Index)
    return [entry.digest for entry in index.manifests]


def _from_store(engine: "Engine", name: str, every: bool) -> "tuple[Reference, dict[str, bytes]]":
    from podlike.engine.images import find
    from podlike.spec.image import MAX_MANIFEST

    image, full = find(engine, name.removeprefix("containers-storage:"))
    if full is None:
        raise NotFoundError(f"sign {name}: cannot determine the name to be signed for an id",
                            hint="Name the image: REGISTRY/REPOSITORY:TAG.")
    if every:
        raise UsageError(f"{name} is not a multi-architecture image", hint="Leave --all out, or sign docker://NAME.")
    return parse_reference(full), {image.manifest_digest: engine.blobs.read(image.manifest_digest, limit=MAX_MANIFEST)}


def _put_blob(repository: "Repository", data: bytes) -> None:
    import hashlib

    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if not repository.has_blob(digest):
        repository.upload(digest, len(data), lambda offset: iter((data[offset:],)), sent=lambda count: None)


def _load_key(path: str, passphrase: str | None, ask: "Callable[[str], str] | None") -> "Any":
    from podlike.trust import sigstore

    if passphrase is None and ask is not None and sigstore.is_encrypted(path):
        passphrase = ask(path)
    return sigstore.load_private_key(path, passphrase)


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as f:
            return f.readline(4096).rstrip("\n")
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"read pass phrase {path}: {e}", hint="The file's first line is the pass phrase.") from e


def _read_parameters(path: str) -> tuple[str, str]:
    """(private key, file with its pass phrase) of a containers-sigstore-signing-params.yaml(5) file."""
    from podlike.trust.registries_d import read_yaml

    document = read_yaml(path)
    for key, value in document.items():
        if key not in _PARAMETERS:
            raise ConfigError(f"parsing {path}: {key} is an unknown key", hint=f"Known are {', '.join(_PARAMETERS)}.")
        if key in ("fulcio", "rekorURL"):
            raise ConfigError(f"sign with {path}: {key} is not supported: podlike signs with keys of your own only",
                              hint="Use privateKeyFile alone, or sign with cosign.")
        if not isinstance(value, str):
            raise ConfigError(f"parsing {path}: {key} must be a string", hint="Correct the file.")
    if not document.get("privateKeyFile"):
        raise ConfigError(f"parsing {path}: it names no privateKeyFile", hint="Add one.")
    return document["privateKeyFile"], document.get("privateKeyPassphraseFile", "")
