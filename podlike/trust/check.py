"""Whether a policy lets an image be used.

Source: containers-policy.json(5).
"""

from podlike.errors import ConfigError, RegistryError
from podlike.trust import sigstore
from podlike.trust.payload import COSIGN, SIMPLE, Payload, digest_matches, read_payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, NamedTuple

    from podlike.spec.reference import Reference
    from podlike.trust.policy import Policy, Requirement
else:
    from podlike.spec.record import NamedTuple

# containers/image keeps other kinds of signatures in lookaside files behind this.
_TAGGED: "Final" = b"\0"


class Signature(NamedTuple):
    """One signature that was found with an image; nothing in it is verified.

    media_type: "" for an OpenPGP message, else sigstore's. value: base64 of sigstore's signature of data.
    """

    data: bytes
    media_type: str = ""
    value: str = ""


class Candidate(NamedTuple):
    """An image that is to be used.

    shown: for messages, "docker://NAME". scopes: the most specific first. reference: the name it was asked for by.
    manifest: the bytes that will be used. signatures: called once a requirement asks for them.
    """

    transport: str
    shown: str
    scopes: "list[str]"
    reference: "Reference | None"
    manifest: bytes
    signatures: "Callable[[], list[Signature]]"


class RejectedError(RegistryError):
    """The trust policy does not let the image be used."""


def check(policy: "Policy", image: Candidate) -> None:
    """Raises: RejectedError; ConfigError when a key of the policy cannot be read."""
    found: list[list[Signature]] = []

    def signatures() -> "list[Signature]":
        if not found:
            found.append(image.signatures())
        return found[0]

    for requirement in policy.requirements(image.transport, image.scopes):
        why = _refusal(requirement, image, signatures)
        if why:
            raise RejectedError(f"Source image rejected: {why}",
                                hint=f"podlike image trust show tells what {policy.path or 'the built-in policy'} asks for.")


def _refusal(requirement: "Requirement", image: Candidate, signatures: "Callable[[], list[Signature]]") -> str:
    """Why the image does not fulfil it, "" if it does."""
    if requirement.type == "insecureAcceptAnything":
        return ""
    if requirement.type == "reject":
        return f"Running image {image.shown} is rejected by policy."
    if requirement.unsupported:
        return (f"the policy asks for {requirement.type} with {requirement.unsupported}, which this version of podlike "
                "cannot check")
    wanted = [s for s in signatures() if (s.media_type == sigstore.MEDIA_TYPE) == (requirement.type == "sigstoreSigned")]
    if not wanted:
        kind = "sigstore signature" if requirement.type == "sigstoreSigned" else "signature"
        return f"A signature was required, but no {kind} exists"
    reasons = _by_gpg(requirement, image, wanted) if requirement.type == "signedBy" \
        else _by_sigstore(requirement, image, wanted)
    if not reasons:
        return ""
    return reasons[0] if len(reasons) == 1 else "None of the signatures were accepted, reasons: " + "; ".join(reasons)


def _by_gpg(requirement: "Requirement", image: Candidate, signatures: "list[Signature]") -> list[str]:
    """Nothing if one signature is good, else why each is not."""
    from podlike.trust.gpg import Keyring

    reasons = []
    with Keyring(read_keys(requirement)) as ring:
        if not ring.fingerprints:
            return ["No public keys imported"]
        for signature in signatures:
            try:
                if signature.media_type or signature.data.startswith(_TAGGED):
                    raise RegistryError("it is of another kind than the policy asks for")
                _accept(read_payload(ring.verify(signature.data).content, SIMPLE), requirement, image)
                return []
            except RegistryError as e:
                reasons.append(e.message)
    return reasons


def _by_sigstore(requirement: "Requirement", image: Candidate, signatures: "list[Signature]") -> list[str]:
    keys = sigstore.load_public_keys(read_keys(requirement))
    reasons = []
    for signature in signatures:
        try:
            sigstore.verify(signature.data, signature.value, keys)
            _accept(read_payload(signature.data, COSIGN), requirement, image)
            return []
        except RegistryError as e:
            reasons.append(e.message)
    return reasons


def _accept(payload: Payload, requirement: "Requirement", image: Candidate) -> None:
    """Raises: RegistryError unless it is this manifest and this name that was signed."""
    if not digest_matches(image.manifest, payload.digest):
        raise RegistryError(f"Signature for digest {_shown(payload.digest)} does not match")
    if not requirement.identity.accepts(image.reference, payload.name):
        raise RegistryError(f"Signature for identity {_shown(payload.name)} is not accepted")


def read_keys(requirement: "Requirement") -> list[bytes]:
    """Raises: ConfigError."""
    keys = list(requirement.keys)
    for path in requirement.key_paths:
        try:
            with open(path, "rb") as f:
                keys.append(f.read())
        except OSError as e:
            raise ConfigError(f"read a key of the trust policy: open {path}: {(e.strerror or str(e)).lower()}",
                              hint="Correct keyPath in the policy, or put the key there.") from e
    return keys


def _shown(text: str) -> str:
    return '"' + "".join(c if c.isprintable() else "?" for c in text)[:300] + '"'


