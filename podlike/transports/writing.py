"""Images out of the store: docker's archives, OCI layouts (in a tar or a directory), plain directories."""

import fcntl
import hashlib
import json
import os
import stat
import tarfile

from podlike.errors import StoreError
from podlike.spec import image as spec
from podlike.transports.oci_layout import REF_NAME, blob_name
from podlike.transports.output import OutputDir
from podlike.transports.plain_dir import VERSION
from podlike.transports.sending import nameless, packed, plain_size, read_fd, unpacked, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, Final

    from podlike.transports.sending import Item

    Advance = Callable[[str, int], None]  # (digest, bytes written)

LAYOUT: "Final" = b'{"imageLayoutVersion":"1.0.0"}'
_MAX_INDEX: "Final" = spec.MAX_MANIFEST


class TarOutput:
    """A tar being written to fd (the caller's): everything of time 0, so that equal content makes equal bytes."""

    def __init__(self, fd: int, shown: str, tmp: str) -> None:
        """tmp: for members whose size is not known before, where fd cannot seek."""
        self._fd = fd
        self._shown = shown
        self._tmp = tmp
        self._names: set[str] = set()
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self._seekable = regular and not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND

    def has(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str, data: bytes) -> None:
        self.add_pieces(name, [data], len(data))

    def add_pieces(self, name: str, pieces: "Iterable[bytes]", size: int | None) -> None:
        """size: None where only the end of pieces tells."""
        self._names.add(name)
        if size is None and not self._seekable:
            self._add_spooled(name, pieces)
            return
        at = os.lseek(self._fd, 0, os.SEEK_CUR) if size is None else 0
        write_all(self._fd, _header(name, size or 0), self._shown)
        written = 0
        for piece in pieces:
            written += len(piece)
            write_all(self._fd, piece, self._shown)
        if size is None:
            os.pwrite(self._fd, _header(name, written), at)
        elif written != size:
            raise StoreError(f"write {self._shown}: {name} has {written} bytes, expected {size}")
        write_all(self._fd, bytes(-written % tarfile.BLOCKSIZE), self._shown)

    def add_directory(self, name: str) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        write_all(self._fd, info.tobuf(tarfile.GNU_FORMAT), self._shown)

    def end(self) -> None:
        write_all(self._fd, bytes(2 * tarfile.BLOCKSIZE), self._shown)

    def _add_spooled(self, name: str, pieces: "Iterable[bytes]") -> None:
        fd = nameless(self._tmp)
        try:
            size = 0
            for piece in pieces:
                size += len(piece)
                write_all(fd, piece, self._shown)
            os.lseek(fd, 0, os.SEEK_SET)
        except BaseException:
            os.close(fd)
            raise
        self.add_pieces(name, read_fd(fd), size)


def _header(name: str, size: int) -> bytes:
    """One block, whatever the size (GNU's base-256 above 8 GiB), so that it can be written afterwards."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o444
    header = info.tobuf(tarfile.GNU_FORMAT)
    assert len(header) == tarfile.BLOCKSIZE
    return header


def _counted(pieces: "Iterable[bytes]", digest: str, advance: "Advance") -> "Iterator[bytes]":
    for piece in pieces:
        yield piece
        advance(digest, len(piece))


# --- docker save ---

def write_docker_archive(tar: TarOutput, items: "Sequence[Item]", advance: "Advance") -> None:
    """podman's form of it, with manifest.json in front: who reads a stream knows at once what the layers are."""
    listed = [{"Config": f"{_config_hex(item)}.json", "RepoTags": list(item.names),
               "Layers": [f"{spec.split_digest(layer.diff_id)[1]}.tar" for layer in item.layers]} for item in items]
    tar.add("manifest.json", json.dumps(listed, separators=(",", ":")).encode())
    for item in items:
        if not tar.has(f"{_config_hex(item)}.json"):
            tar.add(f"{_config_hex(item)}.json", item.config)
        for layer in item.layers:
            name = f"{spec.split_digest(layer.diff_id)[1]}.tar"
            if not tar.has(name):
                tar.add_pieces(name, _counted(unpacked(layer), layer.descriptor.digest, advance), plain_size(layer))
    tar.end()


def _config_hex(item: "Item") -> str:
    return hashlib.sha256(item.config).hexdigest()


# --- OCI layouts ---

def write_oci_archive(tar: TarOutput, items: "Sequence[Item]", advance: "Advance") -> None:
    tar.add("oci-layout", LAYOUT)
    for directory in ("blobs", "blobs/sha256"):  # skopeo without root unpacks no archive that leaves them out
        tar.add_directory(directory)
    tar.add("index.json", _index(_entries(items)))
    for item in items:
        for digest, data in _documents(item):
            if not tar.has(blob_name(digest)):
                tar.add(blob_name(digest), data)
        for layer in item.layers:
            d = layer.descriptor
            if not tar.has(blob_name(d.digest)):
                tar.add_pieces(blob_name(d.digest), _counted(packed(layer), d.digest, advance), d.size)
    tar.end()


def write_oci_dir(path: str, items: "Sequence[Item]", advance: "Advance") -> None:
    """A new layout, or further images in one that is there: an entry of the same name is replaced. Raises: StoreError."""
    if os.path.isdir(path) and os.listdir(path):
        if not os.path.exists(f"{path}/oci-layout") and not os.path.exists(f"{path}/index.json"):
            raise StoreError(f"write {path}: it is a directory with other content and no OCI layout",
                             hint="Name a new or empty directory.")
        _extend_layout(path, items, advance)
        return
    with OutputDir(path) as directory:
        _add_blobs(directory, items, advance, [])
        _write_file(f"{directory}/oci-layout", LAYOUT)
        _write_file(f"{directory}/index.json", _index(_entries(items)))


def _extend_layout(path: str, items: "Sequence[Item]", advance: "Advance") -> None:
    """Blobs first, the index by rename at the end; an error takes new blobs back."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as e:
        raise StoreError(f"write {path}: {e.strerror}") from e
    made: list[str] = []
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = _read_index(f"{path}/index.json")
        _add_blobs(path, items, advance, made)
        if not os.path.exists(f"{path}/oci-layout"):
            _write_file(f"{path}/oci-layout", LAYOUT)
        new = _entries(items)
        names = {e["annotations"][REF_NAME] for e in new if "annotations" in e}
        digests = {e["digest"] for e in new}
        entries = [e for e in entries if _name_of(e) not in names and (_name_of(e) or e.get("digest") not in digests)]
        _write_file(f"{path}/index.json", _index([*entries, *new]))
    except BaseException:
        for name in made:
            os.unlink(name)
        raise
    finally:
        os.close(lock)


def _read_index(path: str) -> "list[dict[str, Any]]":
    try:
        with open(path, "rb") as f:
            data = f.read(_MAX_INDEX + 1)
    except FileNotFoundError:
        return []
    except OSError as e:
        raise StoreError(f"read {path}: {e.strerror}") from e
    if not isinstance(spec.parse_manifest(data, spec.OCI_INDEX), spec.Index):
        raise StoreError(f"read {path}: it is no image index")
    entries: "list[dict[str, Any]]" = json.loads(data)["manifests"]
    return entries


def _name_of(entry: "dict[str, Any]") -> str:
    return str((entry.get("annotations") or {}).get(REF_NAME) or "")


def _add_blobs(directory: str, items: "Sequence[Item]", advance: "Advance", made: list[str]) -> None:
    """made: gets the paths of new blobs."""
    for item in items:
        for digest, data in _documents(item):
            _add_blob(f"{directory}/{blob_name(digest)}", [data], made)
        for layer in item.layers:
            digest = layer.descriptor.digest
            _add_blob(f"{directory}/{blob_name(digest)}", _counted(packed(layer), digest, advance), made)


def _add_blob(path: str, pieces: "Iterable[bytes]", made: list[str]) -> None:
    if os.path.exists(path):
        return
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except OSError as e:
        raise StoreError(f"write {os.path.dirname(path)}: {e.strerror}") from e
    _write_pieces(path, pieces)
    made.append(path)


def _documents(item: "Item") -> "list[tuple[str, bytes]]":
    return [(f"sha256:{hashlib.sha256(data).hexdigest()}", data) for data in (item.document, item.config)]


def _entries(items: "Sequence[Item]") -> "list[dict[str, Any]]":
    """One entry for each name of each image; what has none gets one all the same."""
    found: "list[dict[str, Any]]" = []
    for item in items:
        entry: "dict[str, Any]" = {"mediaType": item.manifest.media_type, "size": len(item.document),
                                   "digest": f"sha256:{hashlib.sha256(item.document).hexdigest()}"}
        found += [{**entry, "annotations": {REF_NAME: name}} for name in item.names] or [entry]
    return found


def _index(entries: "Sequence[dict[str, Any]]") -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": spec.OCI_INDEX, "manifests": list(entries)},
                      separators=(",", ":")).encode()


# --- dir ---

def write_dir(path: str, item: "Item", advance: "Advance") -> None:
    """One image in a directory of its own; one of the same kind that is there goes. Raises: StoreError."""
    if os.path.isdir(path) and os.listdir(path) and not _is_plain_dir(path):
        raise StoreError(f"write {path}: not a containers image directory, don't want to overwrite important data",
                         hint="Name a new or empty directory.")
    with OutputDir(path, replace=True) as directory:
        _write_file(f"{directory}/version", VERSION)
        for layer in item.layers:
            d = layer.descriptor
            name = f"{directory}/{spec.split_digest(d.digest)[1]}"
            if not os.path.exists(name):
                _write_pieces(name, _counted(packed(layer), d.digest, advance))
        _write_file(f"{directory}/{_config_hex(item)}", item.config)
        _write_file(f"{directory}/manifest.json", item.document)


def _is_plain_dir(path: str) -> bool:
    try:
        with open(f"{path}/version", "rb") as f:
            return f.read(len(VERSION) + 1) == VERSION
    except OSError:
        return False


def _write_file(path: str, data: bytes) -> None:
    _write_pieces(path, [data])


def _write_pieces(path: str, pieces: "Iterable[bytes]") -> None:
    """A complete file at path, or none."""
    tmp = f"{path}.{os.getpid()}.tmp"
    try:
        fd = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as e:
        raise StoreError(f"write {path}: {e.strerror}") from e
    try:
        for piece in pieces:
            write_all(fd, piece, path)
        os.rename(tmp, path)
    except BaseException:
        os.unlink(tmp)
        raise
    finally:
        os.close(fd)
