"""What is signed: a JSON document that binds a manifest's digest to a name.

Source: containers-signature(5); cosign's "simple signing", which has another type.
"""

import hashlib
import json
import time

from podlike import __version__
from podlike.errors import RegistryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

SIMPLE: "Final" = "atomic container signature"
COSIGN: "Final" = "cosign container image signature"
_ALGORITHMS: "Final" = ("sha256", "sha384", "sha512")


class Payload(NamedTuple):
    """digest: of the manifest. name: the image as its signer called it."""

    digest: str
    name: str


def make_payload(kind: str, *, digest: str, name: str) -> bytes:
    """kind: SIMPLE or COSIGN."""
    document = {"critical": {"identity": {"docker-reference": name}, "image": {"docker-manifest-digest": digest},
                             "type": kind},
                "optional": {"creator": f"podlike {__version__}", "timestamp": int(time.time())}}
    return json.dumps(document, separators=(",", ":")).encode()


def read_payload(data: bytes, kind: str) -> Payload:
    """Read strictly: two readers must never see two meanings. Raises: RegistryError."""
    try:
        document = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as e:
        raise RegistryError(f"invalid signature: its content is not understood: {e}") from e
    top = _exact(document, "signature", ("critical", "optional"))
    # cosign writes null.
    if not isinstance(top["optional"], dict) and (kind == SIMPLE or top["optional"] is not None):
        raise RegistryError("invalid signature: its field optional is not an object")
    critical = _exact(top["critical"], "critical", ("type", "image", "identity"))
    if critical["type"] != kind:
        raise RegistryError(f"invalid signature: unrecognized signature type {str(critical['type'])[:100]!r}")
    digest = _exact(critical["image"], "image", ("docker-manifest-digest",))["docker-manifest-digest"]
    name = _exact(critical["identity"], "identity", ("docker-reference",))["docker-reference"]
    if not isinstance(digest, str) or not isinstance(name, str):
        raise RegistryError("invalid signature: digest or name is not a string")
    return Payload(digest, name)


def digest_matches(manifest: bytes, digest: str) -> bool:
    algorithm, _, value = digest.partition(":")
    return algorithm in _ALGORITHMS and hashlib.new(algorithm, manifest).hexdigest() == value


def _unique(pairs: "list[tuple[str, Any]]") -> "dict[str, Any]":
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _exact(value: "Any", where: str, keys: tuple[str, ...]) -> "dict[str, Any]":
    if not isinstance(value, dict) or set(value) != set(keys):
        raise RegistryError(f"invalid signature: its {where} has not exactly the fields {', '.join(keys)}")
    return value
