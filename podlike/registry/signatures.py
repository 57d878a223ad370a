"""Signatures of images: in lookaside folders beside a registry, and in it under tags of their own. Reading and writing.

Source: containers' signature protocols; cosign's signature specification.
"""

import hashlib
import json

from podlike.errors import NotFoundError, RegistryError
from podlike.registry.client import OCI_MANIFEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, NamedTuple

    from podlike.registry.client import Client
else:
    from podlike.spec.record import NamedTuple

# containers/image reads as many, as large ones.
MAX_SIGNATURES: "Final" = 128
_SIGNATURE_MAX: "Final" = 4 * 1024 * 1024
_CONFIG: "Final" = "application/vnd.oci.image.config.v1+json"


class Attachment(NamedTuple):
    """One layer of a signature manifest. annotations: texts; sigstore keeps its signature in one."""

    media_type: str
    data: bytes
    annotations: "dict[str, str]"


def lookaside_folder(base: str, digest: str) -> str:
    """The folder or URL with the signatures of one manifest; base: that of the repository."""
    return f"{base}@{digest.replace(':', '=', 1)}"


def read_lookaside(client: "Client", base: str, digest: str) -> list[bytes]:
    """The files signature-1, signature-2 ... at an http or https URL. Raises: RegistryError."""
    found: list[bytes] = []
    for number in range(1, MAX_SIGNATURES + 1):
        url = f"{lookaside_folder(base, digest)}/signature-{number}"
        data = client.fetch(url, f"reading signature from {url}", limit=_SIGNATURE_MAX)
        if data is None:
            return found
        found.append(data)
    raise RegistryError(f"reading signatures from {base}: there are more than {MAX_SIGNATURES}",
                        hint="Report this to the server's administrator.")


def read_attachments(client: "Client", path: str, tag: str) -> list[Attachment]:
    """The layers of the manifest under a tag; none where there is no such tag. Raises: RegistryError."""
    document = _manifest(client, path, tag)
    found = []
    for layer in _layers(document, tag)[:MAX_SIGNATURES]:
        annotations = layer.get("annotations") or {}
        data = client.small_blob(path, str(layer.get("digest")), _size(layer, tag), limit=_SIGNATURE_MAX)
        found.append(Attachment(str(layer.get("mediaType")), data, {
            str(k): str(v) for k, v in annotations.items()} if isinstance(annotations, dict) else {}))
    return found


def attach(client: "Client", path: str, tag: str, new: Attachment, *, put_blob: "Callable[[bytes], None]",
           put_manifest: "Callable[[str, bytes, str], object]") -> None:
    """Add one to the manifest under a tag, which is made if there is none.

    put_blob(data); put_manifest(tag, data, media type). Raises: RegistryError.
    """
    document = _manifest(client, path, tag)
    layers = _layers(document, tag)
    layer = {**_descriptor(new.data, new.media_type), "annotations": new.annotations}
    if layer in layers:
        return
    layers = [*layers, layer]
    config = json.dumps({"architecture": "", "os": "", "config": {}, "rootfs": {
        "type": "layers", "diff_ids": [one.get("digest") for one in layers]}}).encode()
    for data in (new.data, config):
        put_blob(data)
    put_manifest(tag, json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": _descriptor(config, _CONFIG),
                                  "layers": layers}).encode(), OCI_MANIFEST)


def _manifest(client: "Client", path: str, tag: str) -> "dict[str, Any]":
    try:
        got = client.manifest(path, tag)
    except NotFoundError:
        return {}
    if got.media_type != OCI_MANIFEST:
        raise RegistryError(f"reading signatures {tag} in {client.host}/{path}: unexpected media type {got.media_type}",
                            hint="Report this to the owner of the image.")
    document = json.loads(got.data)  # an object: the client has looked
    assert isinstance(document, dict)
    return document


def _layers(document: "dict[str, Any]", tag: str) -> "list[dict[str, Any]]":
    layers = document.get("layers") or []
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise RegistryError(f"reading signatures {tag}: its layers are not a list of objects",
                            hint="Report this to the owner of the image.")
    return layers


def _size(layer: "dict[str, Any]", tag: str) -> int:
    size = layer.get("size")
    if type(size) is not int:
        raise RegistryError(f"reading signatures {tag}: the size of a layer is not a number",
                            hint="Report this to the owner of the image.")
    return size


def _descriptor(data: bytes, media_type: str) -> "dict[str, Any]":
    return {"mediaType": media_type, "digest": "sha256:" + hashlib.sha256(data).hexdigest(), "size": len(data)}
