"""An existing store of podman's (containers/storage) as a source: read only, layers byte for byte as they came.

Its driver's directory has DRIVER-images/images.json with manifests and configs beside it, DRIVER-layers/layers.json, and for
each layer DRIVER-layers/ID.tar-split.gz: JSON lines that give a tar's headers and say which file's bytes come next
(github.com/vbatts/tar-split). The files are in overlay/ID/diff or vfs/dir/ID. podman keeps no compressed layers, so the
manifest is written anew with plain ones; the image's id, made of its config, stays.
"""

import base64
import binascii
import gzip
import hashlib
import json
import os
import stat
import zlib

from podlike.errors import NotFoundError, StoreError
from podlike.spec import image as spec
from podlike.transports.found import Found, Layer, found_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final, Self

DRIVERS: "Final" = {"overlay": "overlay/{}/diff", "vfs": "vfs/dir/{}"}
CHUNK: "Final" = 1 << 20
_MAX_JSON: "Final" = 256 << 20  # bytes of images.json and layers.json: some thousand images
_MAX_LINE: "Final" = 4 << 20  # bytes of one line of a tar-split: padding at a layer's end is one entry
_MAX_CHAIN: "Final" = spec.MAX_LAYERS
_SHORTEST_ID: "Final" = 3


class ContainerStorage:
    """A source (see found.Source). Files of subordinate ids can be read within the session only."""

    def __init__(self, root: str, driver: str = "") -> None:
        """root: the graph root. driver: "": the one that has images. Raises: StoreError, NotFoundError."""
        self.shown = root
        self._root = root
        self._driver = driver or _find_driver(root)
        if self._driver not in DRIVERS:
            raise StoreError(f"read store {root}: its driver is {self._driver}, known are {', '.join(DRIVERS)}")
        self._images = _load_list(f"{root}/{self._driver}-images/images.json")
        self._layers = {str(e.get("id")): e for e in _load_list(f"{root}/{self._driver}-layers/layers.json")}

    def images(self, platform: spec.Platform) -> "Iterator[Found]":
        for image in self._images:
            yield self._image(image, _strings(image.get("names")), platform)

    def choose(self, reference: str, index: int | None, platform: spec.Platform) -> Found:
        """reference: a name as the user typed it, an id or its beginning, or name@id."""
        name, at, image_id = reference.rpartition("@")
        if not at and _is_id(reference):
            image_id = reference
        elif not _is_id(image_id):
            name, image_id = reference, ""
        found = self._by_name(name or image_id) or (self._by_id(image_id) if image_id else None)
        if found is None:
            raise NotFoundError(f"read store {self._root}: {reference}: image not known",
                                hint="See `podman images` for what is there.")
        known = _strings(found.get("names"))
        full = next((n for n in _full_names(name) if n in known), "") if name else ""
        return self._image(found, [full] if full and "@" not in full else known, platform)

    def open_layer(self, layer: Layer) -> "_Rebuilt":
        directory = f"{self._root}/{DRIVERS[self._driver].format(layer.member)}"
        return _Rebuilt(f"{self._root}/{self._driver}-layers/{layer.member}.tar-split.gz", directory, layer.diff_id)

    def _by_name(self, name: str) -> "dict[str, Any] | None":
        for full in _full_names(name):
            for image in self._images:
                if full in _strings(image.get("names")):
                    return image
        return None

    def _by_id(self, prefix: str) -> "dict[str, Any] | None":
        found = [image for image in self._images if str(image.get("id")).startswith(prefix)]
        if len(found) > 1:
            raise StoreError(f"read store {self._root}: {prefix}: more than one image has an id that begins so",
                             hint="Give more digits of the id, or a name.")
        return found[0] if found else None

    def _image(self, image: "dict[str, Any]", names: list[str], platform: spec.Platform) -> Found:
        image_id = str(image.get("id"))
        if not _is_id(image_id) or len(image_id) != 64:
            raise StoreError(f"read store {self._root}: it has an image with the id {image_id[:80]!r}")
        raw = self._big_data(image_id, "manifest", spec.MAX_MANIFEST)
        manifest = spec.parse_manifest(raw)
        if isinstance(manifest, spec.Index):  # kept beside the manifest of the platform that was pulled
            entry = spec.choose_platform(manifest.manifests, platform)
            raw = self._big_data(image_id, f"manifest-{entry.digest}", spec.MAX_MANIFEST)
            manifest = spec.parse_manifest(raw)
            if isinstance(manifest, spec.Index):
                raise StoreError(f"read store {self._root}: {image_id[:12]}: its indexes are nested")
        config = self._big_data(image_id, manifest.config.digest, spec.MAX_CONFIG)
        if "sha256:" + hashlib.sha256(config).hexdigest() != manifest.config.digest:
            raise StoreError(f"read store {self._root}: config of {image_id[:12]} is damaged")
        chain = self._chain(image)
        diff_ids = spec.parse_config(config).diff_ids
        have = [str(layer.get("diff-digest") or layer.get("uncompressed-digest") or "") for layer in chain]
        if have != diff_ids:
            raise StoreError(f"read store {self._root}: layers of image {image_id[:12]} do not fit its config")
        document = _plain_manifest(manifest, config, chain, diff_ids)
        parsed = spec.parse_manifest(document)
        assert isinstance(parsed, spec.Manifest)
        digests = [f"{n.rpartition(':')[0]}@sha256:{hashlib.sha256(raw).hexdigest()}" for n in names if "@" not in n]
        return found_image([n for n in names if "@" not in n], document, parsed, config,
                           [str(layer["id"]) for layer in chain], list(dict.fromkeys(digests)))

    def _chain(self, image: "dict[str, Any]") -> "list[dict[str, Any]]":
        """The image's layers, lowest first."""
        chain: "list[dict[str, Any]]" = []
        layer_id = str(image.get("layer") or "")
        while layer_id:
            layer = self._layers.get(layer_id)
            if layer is None or not _is_id(layer_id) or len(chain) >= _MAX_CHAIN:
                raise StoreError(f"read store {self._root}: layer {layer_id[:64]} is missing or damaged")
            chain.append(layer)
            layer_id = str(layer.get("parent") or "")
        return chain[::-1]

    def _big_data(self, image_id: str, key: str, limit: int) -> bytes:
        name = key if key.isalnum() and key == key.lower() else "=" + base64.b64encode(key.encode()).decode()
        path = f"{self._root}/{self._driver}-images/{image_id}/{name}"
        try:
            with open(path, "rb") as f:
                data = f.read(limit + 1)
        except OSError as e:
            raise StoreError(f"read {path}: {e.strerror}") from e
        if len(data) > limit:
            raise StoreError(f"read {path}: it is larger than {limit} bytes")
        return data


class _Rebuilt:
    """The tar of one layer, made again from its tar-split and its files."""

    size = 0  # known at the end only
    digest = ""
    file = -1

    def __init__(self, split: str, directory: str, what: str) -> None:
        self._split = split
        self._what = what
        try:
            self._root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as e:
            raise StoreError(f"read layer {what}: {directory}: {e.strerror}") from e
        self._dir = ""  # the directory that was used last: entries come grouped
        self._dir_fd = -1

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exc: object) -> None:
        for fd in (self._root, self._dir_fd):
            if fd >= 0:
                os.close(fd)

    def pieces(self) -> "Iterator[bytes]":
        """Headers and small files are gathered into pieces of about 1 MiB. Raises: StoreError."""
        gathered = bytearray()
        for piece in self._parts():
            gathered += piece
            if len(gathered) >= CHUNK:
                yield bytes(gathered)
                gathered.clear()
        yield bytes(gathered)

    def _parts(self) -> "Iterator[bytes]":
        try:
            with gzip.open(self._split, "rb") as lines:
                while line := lines.readline(_MAX_LINE):
                    entry = json.loads(line)
                    if entry["type"] == 2:
                        yield base64.b64decode(entry.get("payload") or "")
                    elif size := int(entry.get("size") or 0):
                        raw = entry.get("name_raw")
                        yield from self._file(base64.b64decode(raw) if raw else str(entry["name"]).encode(), size)
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, binascii.Error) as e:
            raise StoreError(f"read layer {self._what}: {self._split}: {e}") from e

    def _file(self, name: bytes, size: int) -> "Iterator[bytes]":
        parts = [p for p in name.split(b"/") if p not in (b"", b".")]
        if not parts or b".." in parts:
            raise StoreError(f"read layer {self._what}: {name[:200]!r} is no path inside it")
        try:
            fd = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                         dir_fd=self._directory(parts[:-1]))
        except OSError as e:
            raise StoreError(f"read layer {self._what}: {name[:200]!r}: {e.strerror}",
                             hint="The store has changed since the image was pulled, or is damaged.") from e
        try:
            st = os.fstat(fd)
            if not stat.S_ISREG(st.st_mode) or st.st_size != size:
                raise StoreError(f"read layer {self._what}: {name[:200]!r} is no file of {size} bytes any more")
            while size > 0 and (piece := os.read(fd, CHUNK)):
                size -= len(piece)
                yield piece
        finally:
            os.close(fd)

    def _directory(self, parts: list[bytes]) -> int:
        """The directory's descriptor, reached without following a link. Raises: OSError."""
        path = b"/".join(parts).decode("utf-8", "surrogateescape")
        if path == self._dir:
            return self._dir_fd if path else self._root
        fd = os.dup(self._root)
        try:
            for part in parts:
                inner = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
                os.close(fd)
                fd = inner
        except BaseException:
            os.close(fd)
            raise
        if self._dir_fd >= 0:
            os.close(self._dir_fd)
        self._dir, self._dir_fd = path, fd
        return fd


def _plain_manifest(manifest: spec.Manifest, config: bytes, chain: "list[dict[str, Any]]", diff_ids: list[str]) -> bytes:
    docker = manifest.media_type == spec.DOCKER_MANIFEST
    doc: "dict[str, Any]" = {
        "schemaVersion": 2, "mediaType": manifest.media_type,
        "config": {"mediaType": manifest.config.media_type, "digest": manifest.config.digest, "size": len(config)},
        "layers": [{"mediaType": spec.DOCKER_LAYER if docker else spec.OCI_LAYER, "digest": diff_id,
                    "size": int(layer.get("diff-size") or 0)} for layer, diff_id in zip(chain, diff_ids, strict=True)]}
    if not docker and manifest.annotations:
        doc["annotations"] = manifest.annotations
    return json.dumps(doc, separators=(",", ":")).encode()


def _full_names(name: str) -> list[str]:
    """Names that a typed one may stand for there, best first; none for a full id. Raises: UsageError."""
    from podlike.spec.reference import candidates

    return candidates(name) if len(name) != 64 or not _is_id(name) else []


def _is_id(text: str) -> bool:
    return _SHORTEST_ID <= len(text) <= 64 and all(c in "0123456789abcdef" for c in text)


def _strings(value: object) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _find_driver(root: str) -> str:
    for driver in DRIVERS:
        if os.path.exists(f"{root}/{driver}-images/images.json"):
            return driver
    raise NotFoundError(f"read store {root}: it has no images of podman's",
                        hint="Name another one: containers-storage:[overlay@/path/to/storage]NAME.")


def _load_list(path: str) -> "list[dict[str, Any]]":
    try:
        with open(path, "rb") as f:
            data = f.read(_MAX_JSON + 1)
        if len(data) > _MAX_JSON:
            raise StoreError(f"read {path}: it is larger than {_MAX_JSON} bytes")
        doc = json.loads(data or b"[]")
    except OSError as e:
        raise StoreError(f"read {path}: {e.strerror}") from e
    except (ValueError, RecursionError) as e:
        raise StoreError(f"read {path}: it is no JSON ({e})") from e
    if not isinstance(doc, list) or not all(isinstance(e, dict) for e in doc):
        raise StoreError(f"read {path}: it is no list")
    return doc
