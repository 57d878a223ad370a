"""Signatures of cosign's kind with a key: verifying and making them, and its encrypted private keys.

`cryptography` is imported inside functions only: 28 ms, for those who have a policy that asks for it.
Source: cosign's signature specification; go-securesystemslib's encrypted keys.
"""

import base64
import binascii
import json

from podlike.errors import ConfigError, RegistryError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

MEDIA_TYPE: "Final" = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_KEY: "Final" = "dev.cosignproject.cosign/signature"
_ENCRYPTED: "Final" = ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY")
# The parameters of scrypt that the tools write; others could be made to take minutes and gigabytes.
_SCRYPT_N: "Final" = (32768, 65536, 131072)
_KEY_SIZE: "Final" = 32
_NONCE_SIZE: "Final" = 24


def attachment_tag(digest: str) -> str:
    """The tag under which the signatures of a manifest lie in its repository."""
    return digest.replace(":", "-", 1) + ".sig"


def load_public_keys(keys: "list[bytes]") -> "list[Any]":
    """Public keys in PEM form. Raises: ConfigError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = []
    for number, data in enumerate(keys, 1):
        try:
            key = load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm) as e:
            raise ConfigError(f"read public key {number} of the trust policy: it is no public key in PEM form",
                              hint="Correct keyPath or keyData: BEGIN PUBLIC KEY begins it.") from e
        if not isinstance(key, (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey, rsa.RSAPublicKey)):
            raise ConfigError(f"read public key {number} of the trust policy: {type(key).__name__} is not supported",
                              hint="Use an ECDSA, RSA or Ed25519 key.")
        found.append(key)
    return found


def verify(payload: bytes, signature: str, keys: "list[Any]") -> None:
    """signature: base64, of the payload by one of the keys. Raises: RegistryError."""
    from cryptography.exceptions import InvalidSignature

    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError) as e:
        raise RegistryError("invalid signature: it is not base64") from e
    for key in keys:
        try:
            _verify(key, raw, payload)
            return
        except InvalidSignature:
            continue
    raise RegistryError("cryptographic signature verification failed: it is by none of the keys that the policy names")


def _verify(key: "Any", signature: bytes, payload: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256

    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, payload, ec.ECDSA(SHA256()))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, payload, padding.PKCS1v15(), SHA256())
    else:
        key.verify(signature, payload)


def is_encrypted(path: str) -> bool:
    """Whether a private key asks for a pass phrase; False also where there is no such file."""
    try:
        with open(path, "rb") as f:
            return b"ENCRYPTED" in f.read(1 << 20)
    except OSError:
        return False


def load_private_key(path: str, passphrase: str | None) -> "Any":
    """A key as cosign and skopeo make it, or one in plain PKCS#8 form. Raises: UsageError, ConfigError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

    try:
        with open(path, "rb") as f:
            data = f.read(1 << 20)
    except OSError as e:
        raise UsageError(f"read private key {path}: {(e.strerror or str(e)).lower()}") from e
    try:
        box = _pem_body(data)
        if box is not None:
            key = load_der_private_key(_decrypt(box, path, passphrase), None)
        else:
            key = load_pem_private_key(data, passphrase.encode() if passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise ConfigError(f"read private key {path}: {e}", hint="It must be a key as cosign or skopeo "
                          "generate-sigstore-key make it; give its pass phrase with --sign-passphrase-file.") from e
    if not isinstance(key, (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey)):
        raise ConfigError(f"read private key {path}: {type(key).__name__} is not supported",
                          hint="Use an ECDSA, RSA or Ed25519 key.")
    return key


def sign(payload: bytes, key: "Any") -> str:
    """base64 of the payload's signature."""
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256

    if isinstance(key, ec.EllipticCurvePrivateKey):
        raw = key.sign(payload, ec.ECDSA(SHA256()))
    elif isinstance(key, rsa.RSAPrivateKey):
        raw = key.sign(payload, padding.PKCS1v15(), SHA256())
    else:
        raw = key.sign(payload)
    return base64.b64encode(raw).decode()


def _pem_body(data: bytes) -> bytes | None:
    """What an encrypted key of these tools has between its lines; None when it is another kind of PEM file."""
    text = data.decode("ascii", errors="replace")
    for kind in _ENCRYPTED:
        _, begin, rest = text.partition(f"-----BEGIN {kind}-----")
        body, end, _ = rest.partition(f"-----END {kind}-----")
        if begin and end:
            return base64.b64decode("".join(body.split()), validate=True)
    return None


def _decrypt(box: bytes, path: str, passphrase: str | None) -> bytes:
    """Raises: ConfigError, ValueError."""
    import hashlib

    if passphrase is None:
        raise ConfigError(f"read private key {path}: it is encrypted", hint="Give its pass phrase with "
                          "--sign-passphrase-file FILE.")
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    document = json.loads(box)
    try:
        kdf, cipher = document["kdf"], document["cipher"]
        params = kdf["params"]
        if kdf["name"] != "scrypt" or cipher["name"] != "nacl/secretbox" or params["N"] not in _SCRYPT_N \
                or (params["r"], params["p"]) != (8, 1):
            raise ValueError("its encryption is not supported")
        salt, nonce = base64.b64decode(kdf["salt"]), base64.b64decode(cipher["nonce"])
        sealed = base64.b64decode(document["ciphertext"])
    except (KeyError, TypeError) as e:
        raise ValueError(f"its encryption is not understood: {e}") from e
    if len(nonce) != _NONCE_SIZE:
        raise ValueError("its nonce has the wrong size")
    key = hashlib.scrypt(passphrase.encode(), salt=salt, n=params["N"], r=8, p=1, dklen=_KEY_SIZE,
                         maxmem=256 * 1024 * params["N"] // 64)
    try:
        return bytes(SecretBox(key).decrypt(sealed, nonce))
    except CryptoError as e:
        raise ConfigError(f"read private key {path}: decryption failed", hint="The pass phrase is not right.") from e
