"""Image documents: OCI and Docker (schema 2) manifests, indexes, image configs, platforms.

All of it comes from strangers. Every reader here checks what it takes; the error names the place in the
document by its dotted path (`layers[3].digest`). Unknown keys are ignored, as the specifications ask.

Source: OCI image spec 1.1 (manifest.md, image-index.md, config.md); Docker image manifest v2, schema 2.
"""

import json
import os

from podlike.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from dataclasses import dataclass as record
    from dataclasses import field
    from typing import Any, Final, NamedTuple, TypeVar

    T = TypeVar("T")
else:
    from podlike.spec.record import NamedTuple, field, record

OCI_MANIFEST: "Final" = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: "Final" = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG: "Final" = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: "Final" = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP: "Final" = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD: "Final" = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_MANIFEST: "Final" = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: "Final" = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: "Final" = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: "Final" = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP: "Final" = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN_LAYER: "Final" = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

# What a registry may be asked for; most wanted first.
MANIFEST_TYPES: "Final" = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES: "Final" = (OCI_INDEX, DOCKER_LIST)
ACCEPT: "Final" = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)

_OCI_FOREIGN_LAYER: "Final" = "application/vnd.oci.image.layer.nondistributable.v1.tar"
_LAYER_TYPES: "Final" = frozenset((
    OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_LAYER + ".zstd",
    DOCKER_FOREIGN_LAYER, _OCI_FOREIGN_LAYER, _OCI_FOREIGN_LAYER + "+gzip", _OCI_FOREIGN_LAYER + "+zstd"))

MAX_MANIFEST: "Final" = 4 << 20  # bytes; what registries must take (distribution spec, "Pushing Manifests")
MAX_CONFIG: "Final" = 8 << 20  # bytes; the config carries the history of every step
MAX_LAYERS: "Final" = 1000  # overlay stops at 500 lower directories; the kernel says so in its own words
MAX_DEPTH: "Final" = 32  # nested containers of a JSON document; the specifications need eight

_HEX: "Final" = frozenset("0123456789abcdef")
_DIGEST_LENGTHS: "Final" = {"sha256": 64, "sha512": 128}


def split_digest(digest: str) -> tuple[str, str]:
    """("sha256", "64 hex digits") of a digest; safe to use in a path afterwards.

    Raises: StoreError for anything but sha256 and sha512 in lower-case hex.
    """
    algorithm, _, digits = digest.partition(":")
    if len(digits) != _DIGEST_LENGTHS.get(algorithm, 0) or not digits or not _HEX.issuperset(digits):
        raise StoreError(f'read digest "{digest[:160]}": it is not sha256 or sha512 in lower-case hex')
    return algorithm, digits


class Platform(NamedTuple):
    """An operating system and a CPU, in Go's words (amd64, arm64); variant: "v7", "v8" or ""."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


class Descriptor(NamedTuple):
    """A reference to a blob (descriptor.md)."""

    media_type: str
    digest: str
    size: int
    annotations: "dict[str, str]"
    platform: "Platform | None" = None


class Manifest(NamedTuple):
    """One platform's image: its config and its layers, lowest first."""

    media_type: str
    config: Descriptor
    layers: "tuple[Descriptor, ...]"
    annotations: "dict[str, str]"


class Index(NamedTuple):
    """A list of manifests (or of further indexes), usually one a platform."""

    media_type: str
    manifests: "tuple[Descriptor, ...]"
    annotations: "dict[str, str]"


@record(slots=True, kw_only=True)
class History:
    created: str = ""
    created_by: str = ""
    comment: str = ""
    author: str = ""
    empty_layer: bool = False


@record(slots=True, kw_only=True)
class ImageConfig:
    """What an image says about itself (config.md). Lists and maps are empty where the document has null.

    entrypoint and cmd: None where the image gives none. healthcheck: as in Docker's config, durations in ns.
    """

    architecture: str
    os: str
    variant: str = ""
    created: str = ""  # RFC 3339, as written
    author: str = ""
    diff_ids: "list[str]" = field(default_factory=list)
    history: "list[History]" = field(default_factory=list)
    env: "list[str]" = field(default_factory=list)
    entrypoint: "list[str] | None" = None
    cmd: "list[str] | None" = None
    working_dir: str = ""
    user: str = ""
    exposed_ports: "list[str]" = field(default_factory=list)
    volumes: "list[str]" = field(default_factory=list)
    labels: "dict[str, str]" = field(default_factory=dict)
    stop_signal: str = ""
    healthcheck: "dict[str, Any] | None" = None
    shell: "list[str]" = field(default_factory=list)
    on_build: "list[str]" = field(default_factory=list)

    @classmethod
    def from_dict(cls, doc: "dict[str, Any]") -> "ImageConfig":
        """Read a parsed config document. Raises: StoreError with the dotted path."""
        run = _get(doc, "", "config", _map) or {}
        rootfs = _get(doc, "", "rootfs", _map) or {}
        diff_ids = _get(rootfs, "rootfs", "diff_ids", _strings) or []
        _check_count(diff_ids, "rootfs.diff_ids")
        for i, diff_id in enumerate(diff_ids):
            _digest(diff_id, f"rootfs.diff_ids[{i}]")
        return cls(
            architecture=_get(doc, "", "architecture", _string) or "",
            os=_get(doc, "", "os", _string) or "linux",
            variant=_get(doc, "", "variant", _string) or "",
            created=_get(doc, "", "created", _string) or "",
            author=_get(doc, "", "author", _string) or "",
            diff_ids=diff_ids,
            history=_history(doc),
            env=_get(run, "config", "Env", _strings) or [],
            entrypoint=_get(run, "config", "Entrypoint", _words),
            cmd=_get(run, "config", "Cmd", _words),
            working_dir=_get(run, "config", "WorkingDir", _string) or "",
            user=_get(run, "config", "User", _string) or "",
            exposed_ports=list(_get(run, "config", "ExposedPorts", _map) or {}),
            volumes=list(_get(run, "config", "Volumes", _map) or {}),
            labels=_get(run, "config", "Labels", _string_map) or {},
            stop_signal=_get(run, "config", "StopSignal", _string) or "",
            healthcheck=_healthcheck(run),
            shell=_get(run, "config", "Shell", _strings) or [],
            on_build=_get(run, "config", "OnBuild", _strings) or [],
        )


def parse_config(data: bytes) -> ImageConfig:
    """Read an image config. Raises: StoreError."""
    return ImageConfig.from_dict(load_json(data, "image config", limit=MAX_CONFIG))


def parse_manifest(data: bytes, media_type: str = "") -> "Manifest | Index":
    """Read a manifest or an index, whichever it is.

    media_type: what the sender called it; used where the document does not say.
    Raises: StoreError; also for a document that can be read as both (CVE-2021-41190) and for schema 1.
    """
    doc = load_json(data, "image manifest", limit=MAX_MANIFEST)
    version = doc.get("schemaVersion")
    if version == 1:
        raise StoreError("read image manifest: it is in Docker's schema 1, which has been withdrawn",
                         hint="Ask for the image to be pushed again with a current tool.")
    if version != 2:
        raise _wrong("schemaVersion", "2", version)
    stated = _get(doc, "", "mediaType", _string) or media_type.partition(";")[0].strip()
    is_index = "manifests" in doc
    if is_index and ("layers" in doc or "config" in doc):
        raise StoreError("read image manifest: it has layers and manifests: it could be read in two ways")
    if stated in (INDEX_TYPES if not is_index else MANIFEST_TYPES):
        raise StoreError(f"read image manifest: its media type {stated} does not fit its content")
    annotations = _get(doc, "", "annotations", _string_map) or {}
    if is_index:
        return Index(stated or OCI_INDEX, tuple(_descriptors(doc, "manifests")), annotations)
    config = _descriptor(_need(doc, "", "config", _map), "config")
    layers = tuple(_descriptors(doc, "layers"))
    for i, layer in enumerate(layers):
        if layer.media_type not in _LAYER_TYPES:
            raise StoreError(f"read image manifest: layers[{i}].mediaType: {layer.media_type[:99]}: no layer",
                             hint="This is an artifact and not a container image.")
    return Manifest(stated or OCI_MANIFEST, config, layers, annotations)


def load_json(data: bytes, what: str, *, limit: int) -> "dict[str, Any]":
    """Parse a JSON object of a stranger. what: for the message. limit: bytes."""
    if len(data) > limit:
        raise StoreError(f"read {what}: it is larger than {limit} bytes")
    try:
        doc = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise StoreError(f"read {what}: it is no JSON ({type(e).__name__}: {e})") from e
    if not isinstance(doc, dict):
        raise StoreError(f"read {what}: it is no JSON object")
    if _too_deep(doc):
        raise StoreError(f"read {what}: it is nested more than {MAX_DEPTH} levels deep")
    return doc


def parse_time(text: str) -> float:
    """Unix seconds of an RFC 3339 time; 0.0 for an empty, unreadable or zero (year 1) one."""
    from datetime import UTC, datetime

    head, dot, fraction = text.partition(".")
    if dot:
        digits = len(fraction) - len(fraction.lstrip("0123456789"))
        # fromisoformat takes microseconds, Go writes nanoseconds
        text = f"{head}.{fraction[:digits][:6]:0<6}{fraction[digits:]}"
    try:
        when = datetime.fromisoformat(text)
        return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return 0.0


# --- platforms ---

# uname -m and other spellings to Go's words
_ARCHITECTURES: "Final" = {
    "x86_64": ("amd64", ""), "x86-64": ("amd64", ""), "aarch64": ("arm64", "v8"), "arm64": ("arm64", "v8"),
    "armv8l": ("arm", "v8"), "armv7l": ("arm", "v7"), "armhf": ("arm", "v7"), "armv6l": ("arm", "v6"),
    "armel": ("arm", "v6"), "armv5tel": ("arm", "v5"), "arm": ("arm", "v7"), "i386": ("386", ""),
    "i486": ("386", ""), "i586": ("386", ""), "i686": ("386", ""), "loongarch64": ("loong64", ""),
    "mips64": ("mips64le", ""), "mips": ("mipsle", ""),
}


def host_platform() -> Platform:
    """The machine's own platform."""
    machine = os.uname().machine
    architecture, variant = _ARCHITECTURES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)


def parse_platform(text: str) -> Platform:
    """Read OS[/ARCH[/VARIANT]] or ARCH[/VARIANT] as typed after --platform. Raises: StoreError."""
    parts = text.lower().split("/")
    if not all(parts) or len(parts) > 3:
        raise StoreError(f'read platform "{text}": it is not OS/ARCH or OS/ARCH/VARIANT',
                         hint="Write for instance linux/amd64 or linux/arm64/v8.")
    if len(parts) == 1 and parts[0] in ("linux", "windows", "darwin", "freebsd"):
        return host_platform()._replace(os=parts[0])
    if parts[0] not in ("linux", "windows", "darwin", "freebsd", "wasip1") and len(parts) < 3:
        parts.insert(0, "linux")
    architecture, variant = _ARCHITECTURES.get(parts[1], (parts[1], ""))
    return Platform(parts[0], architecture, parts[2] if len(parts) == 3 else variant)


def platform_rank(wanted: Platform, offered: Platform) -> int | None:
    """How well an offered platform serves: 0 is exact, more is worse, None not at all.

    An ARM core runs older variants (v8 > v7 > v6 > v5); amd64 micro-architecture levels likewise.
    """
    if wanted.os != offered.os:
        return None
    want_arch, want_default = _ARCHITECTURES.get(wanted.architecture, (wanted.architecture, ""))
    have_arch, have_default = _ARCHITECTURES.get(offered.architecture, (offered.architecture, ""))
    if want_arch != have_arch:
        return None
    lowest = "v1" if want_arch == "amd64" else ""
    want = _variant_number(wanted.variant or want_default or lowest)
    have = _variant_number(offered.variant or have_default or lowest)
    return want - have if have <= want else None


def choose_platform(entries: "Iterable[Descriptor]", wanted: Platform) -> Descriptor:
    """The index entry for a platform; the first of equals. One that names none is taken if no other fits.

    Raises: StoreError that lists what there is.
    """
    best: tuple[int, Descriptor] | None = None
    offered = []
    for entry in entries:
        if entry.platform is None:
            rank: int | None = 1000
        else:
            rank = platform_rank(wanted, entry.platform)
            if entry.platform.os != "unknown":  # attestations travel as unknown/unknown
                offered.append(str(entry.platform))
        if rank is not None and (best is None or rank < best[0]):
            best = (rank, entry)
    if best is None:
        raise StoreError(f"choose image for platform {wanted}: it has {', '.join(offered) or 'none'}",
                         hint="Give one of these with --platform.")
    return best[1]


def _variant_number(variant: str) -> int:
    digits = variant.removeprefix("v")
    return int(digits) if digits.isdecimal() and len(digits) < 4 else 0


# --- reading ---

def _wrong(path: str, expected: str, value: object) -> StoreError:
    return StoreError(f"read image document: {path}: expected {expected}, found {json.dumps(value)[:80]}")


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _get(doc: "dict[str, Any]", path: str, key: str, read: "Callable[[Any, str], T]") -> "T | None":
    """The value of a key; None for null and absent (Go's encoder writes null for empty)."""
    value = doc.get(key)
    return None if value is None else read(value, _join(path, key))


def _need(doc: "dict[str, Any]", path: str, key: str, read: "Callable[[Any, str], T]") -> "T":
    if doc.get(key) is None:
        raise StoreError(f"read image document: {_join(path, key)}: it is missing")
    return read(doc[key], _join(path, key))


def _string(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, "a string", value)
    return value


def _count(value: object, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong(path, "a number that is not negative", value)
    return value


def _bool(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, "true or false", value)
    return value


def _map(value: object, path: str) -> "dict[str, Any]":
    if not isinstance(value, dict):
        raise _wrong(path, "an object", value)
    return value


def _list(value: object, path: str) -> "list[Any]":
    if not isinstance(value, list):
        raise _wrong(path, "a list", value)
    return value


def _strings(value: object, path: str) -> list[str]:
    return [_string(item, f"{path}[{i}]") for i, item in enumerate(_list(value, path))]


def _words(value: object, path: str) -> "list[str] | None":
    """A command: a list, or one string in configs of very old builders."""
    return [value] if isinstance(value, str) else _strings(value, path)


def _string_map(value: object, path: str) -> dict[str, str]:
    return {key: _string(item, _join(path, key)) for key, item in _map(value, path).items()}


def _digest(value: object, path: str) -> str:
    text = _string(value, path)
    try:
        split_digest(text)
    except StoreError:
        raise _wrong(path, "a sha256 or sha512 digest", text) from None
    return text


def _check_count(items: "list[Any]", path: str) -> None:
    if len(items) > MAX_LAYERS:
        raise StoreError(f"read image document: {path}: it has {len(items)} entries, more than {MAX_LAYERS}")


def _descriptors(doc: "dict[str, Any]", key: str) -> "list[Descriptor]":
    items = _get(doc, "", key, _list) or []
    _check_count(items, key)
    return [_descriptor(_map(item, f"{key}[{i}]"), f"{key}[{i}]") for i, item in enumerate(items)]


def _descriptor(doc: "dict[str, Any]", path: str) -> Descriptor:
    platform = _get(doc, path, "platform", _map) or {}
    place = f"{path}.platform"
    words = [_get(platform, place, key, _string) or "" for key in ("os", "architecture", "variant")]
    return Descriptor(
        media_type=_need(doc, path, "mediaType", _string),
        digest=_need(doc, path, "digest", _digest),
        size=_need(doc, path, "size", _count),
        annotations=_get(doc, path, "annotations", _string_map) or {},
        platform=Platform(*words) if platform else None)


def _history(doc: "dict[str, Any]") -> list[History]:
    out = []
    for i, item in enumerate(_get(doc, "", "history", _list) or []):
        place = f"history[{i}]"
        entry = _map(item, place)
        out.append(History(
            created=_get(entry, place, "created", _string) or "",
            created_by=_get(entry, place, "created_by", _string) or "",
            comment=_get(entry, place, "comment", _string) or "",
            author=_get(entry, place, "author", _string) or "",
            empty_layer=_get(entry, place, "empty_layer", _bool) or False))
    return out


def _healthcheck(run: "dict[str, Any]") -> "dict[str, Any] | None":
    doc = _get(run, "config", "Healthcheck", _map) or {}
    if not doc:
        return None
    place = "config.Healthcheck"
    out: "dict[str, Any]" = {"Test": _get(doc, place, "Test", _strings) or []}
    for key in ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"):
        if doc.get(key) is not None:
            out[key] = _count(doc[key], f"{place}.{key}")
    return out


def _too_deep(doc: "dict[str, Any]") -> bool:
    level: "list[Any]" = [doc]
    for _ in range(MAX_DEPTH):
        children = (c for item in level for c in (item.values() if isinstance(item, dict) else item))
        level = [c for c in children if isinstance(c, (dict, list))]
        if not level:
            return False
    return True
