"""Import: the files of a tar become an image of one layer.

The layer is kept as it came (plain, gzip or zstd; xz and bzip2, which layers cannot be, are unpacked), so that the same
file gives the same image on every machine: its time is the file's own.
"""

import hashlib
import json
import os
import time

from podlike.engine import events
from podlike.errors import StoreError
from podlike.spec import image as spec
from podlike.spec.changes import apply_changes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, Final

    from podlike.engine.core import Engine
    from podlike.engine.fetch import Progress
    from podlike.store.images import Image
    from podlike.transports.archive import Member
    from podlike.transports.found import Found, Layer

_TYPES: "Final" = {"": spec.OCI_LAYER, "gzip": spec.OCI_LAYER_GZIP, "zstd": spec.OCI_LAYER_ZSTD}


def import_tar(engine: "Engine", source: str, *, name: str = "", changes: "Sequence[str]" = (), message: str = "",
               platform: spec.Platform | None = None, progress: "Progress | None" = None) -> "Image":
    """Make an image of a tar.

    source: file, http(s) URL, or "-" for standard input. name: what it is called; "": nothing.
    changes: Dockerfile instructions. message: the comment in its history. platform: None: this machine's.
    Raises: UsageError, StoreError, RegistryError; nothing is left then.
    """
    from podlike.engine.download import download, is_url
    from podlike.engine.images import local_name

    run: "dict[str, Any]" = {}
    apply_changes(run, changes)
    names = [local_name(name)] if name else []
    if is_url(source):
        if progress is not None:
            progress.note(f'Downloading from "{source}"')
        fd = download(engine, source)
    else:
        fd = os.dup(0) if source == "-" else _open(source)
    try:
        image = _import_fd(engine, fd, "standard input" if source == "-" else source, names, run, message,
                           platform or spec.host_platform(), progress)
    finally:
        os.close(fd)
    events.image(engine, "import", id=image.id, name=names[0] if names else "")
    return image


def _open(path: str) -> int:
    try:
        if os.path.isdir(path):
            raise StoreError(f"open {path}: it is a directory", hint="Pack it first: tar -C DIR -c . | podlike import -")
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        raise StoreError(f"open {path}: {e.strerror}", hint="Give a tar file, a URL, or - for standard input.") from e


def _import_fd(engine: "Engine", fd: int, shown: str, names: "list[str]", run: "dict[str, Any]", message: str,
               platform: spec.Platform, progress: "Progress | None") -> "Image":
    from podlike.engine.intake import Intake
    from podlike.transports.sending import nameless

    engine.enter_session()
    with Intake(engine, progress) as intake:
        kept = nameless(engine.roots.tmp)
        try:
            layer = _KeptLayer(kept, fd, shown)
            created = _created(fd)
            config = _config(run, layer.diff_id, created, message, platform)
            found = layer.image(names, config)
            return intake.take(layer, found, names)
        finally:
            os.close(kept)


class _KeptLayer:
    """The tar in a nameless file; a LayerSource of one (transports/found.py)."""

    def __init__(self, kept: int, fd: int, shown: str) -> None:
        """Copy what can be read from fd into kept. Raises: StoreError."""
        from podlike.transports.codec import HEAD, decompress, detect
        from podlike.transports.sending import CHUNK, write_all

        self.shown = shown
        self._kept = kept
        blob, plain = hashlib.sha256(), hashlib.sha256()
        self.size = 0

        def incoming() -> "Iterator[bytes]":
            try:
                while piece := os.read(fd, CHUNK):
                    yield piece
            except OSError as e:
                raise StoreError(f"read {shown}: {e.strerror}") from e

        def keep(pieces: "Iterable[bytes]") -> "Iterator[bytes]":
            for piece in pieces:
                blob.update(piece)
                self.size += len(piece)
                write_all(kept, piece, shown)
                yield piece

        pieces = incoming()
        head = next(pieces, b"")
        while head and len(head) < HEAD and (more := next(pieces, b"")):
            head += more
        if not head:
            raise StoreError(f"import {shown}: it is empty", hint="Give a tar file, or pipe one into the command.")
        self.how = detect(head)
        chained = _chain(head, pieces)
        whole = keep(decompress(chained, self.how, shown)) if self.how not in _TYPES \
            else decompress(keep(chained), self.how, shown)
        self.how = self.how if self.how in _TYPES else ""
        for piece in whole:
            plain.update(piece)
        self.digest = f"sha256:{blob.hexdigest()}"
        self.diff_id = f"sha256:{plain.hexdigest()}"

    def image(self, names: "Sequence[str]", config: bytes) -> "Found":
        from podlike.transports.found import found_image

        doc = {"schemaVersion": 2, "mediaType": spec.OCI_MANIFEST,
               "config": {"mediaType": spec.OCI_CONFIG, "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
                          "size": len(config)},
               "layers": [{"mediaType": _TYPES[self.how], "digest": self.digest, "size": self.size}]}
        document = json.dumps(doc, separators=(",", ":")).encode()
        manifest = spec.parse_manifest(document)
        assert isinstance(manifest, spec.Manifest)
        return found_image(names, document, manifest, config, [""])

    def open_layer(self, layer: "Layer") -> "Member":
        from podlike.transports.archive import Member

        return Member(os.dup(self._kept), 0, self.size, self.shown, digest=self.digest, whole=True)


def _chain(head: bytes, rest: "Iterator[bytes]") -> "Iterator[bytes]":
    yield head
    yield from rest


def _created(fd: int) -> str:
    """When the file was made, or now for what is none (RFC 3339)."""
    import stat
    from datetime import UTC, datetime

    st = os.fstat(fd)
    when = st.st_mtime if stat.S_ISREG(st.st_mode) and st.st_nlink else time.time()
    return datetime.fromtimestamp(int(when), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _config(run: "dict[str, Any]", diff_id: str, created: str, message: str, platform: spec.Platform) -> bytes:
    history = {"created": created, "created_by": f"/bin/sh -c #(nop) ADD file:{diff_id[7:]} in /"}
    if message:
        history["comment"] = message
    doc: "dict[str, Any]" = {"created": created, "architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        doc["variant"] = platform.variant
    doc |= {"config": run, "rootfs": {"type": "layers", "diff_ids": [diff_id]}, "history": [history]}
    return json.dumps(doc, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
