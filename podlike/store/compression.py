"""Compressing and decompressing whole layers: gzip by isal (zlib where a level is asked for), zstd by zstandard.

A layer's decompression on its way into the store is podlike-layer's work; this here is for what leaves it.
"""

import os

from podlike.errors import StoreError, UsageError
from podlike.store.blobs import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

FORMATS: "Final" = ("gzip", "zstd")
_LEVELS: "Final" = {"gzip": (0, 9), "zstd": (1, 22)}
# isal's own levels are 0 to 3: 2 packs like zlib's 3 at five times its speed.
_ISAL_LEVEL: "Final" = 2
# What the zstd program and podman take by default.
_ZSTD_LEVEL: "Final" = 3


def check_level(format: str, level: int | None) -> None:
    """Raises: UsageError for a level that the format does not have."""
    low, high = _LEVELS[format]
    if level is not None and not low <= level <= high:
        raise UsageError(f"compress with {format}: invalid level {level}",
                         hint=f"{format} has levels {low} to {high}.")


def kind_of(path: str) -> str:
    """gzip, zstd or "" for a layer's file, by its first bytes."""
    with open(path, "rb", buffering=0) as f:
        head = f.read(4)
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    return "zstd" if head == b"\x28\xb5\x2f\xfd" or head[1:] == b"\x2a\x4d\x18" and head[0] & 0xf0 == 0x50 else ""


def decompressed(path: str) -> "Iterator[bytes]":
    """The layer in a file as the tar it is, in pieces. Raises: StoreError when it is damaged."""
    try:
        with _reader(path) as stream:
            while piece := stream.read(CHUNK):
                yield piece
    except (OSError, EOFError, ValueError) as e:
        raise StoreError(f"decompress {path}: {e}", hint="The blob is damaged: pull or load the image again.") from e


def compressor(format: str, level: int | None = None) -> "tuple[Callable[[bytes], bytes], Callable[[], bytes]]":
    """(feed, finish): each returns the compressed bytes that are ready.

    level: as the format counts; None: fast and good enough. The same bytes give the same result every time.
    """
    made: Any
    if format == "zstd":
        import zstandard

        made = zstandard.ZstdCompressor(level=level or _ZSTD_LEVEL, threads=os.cpu_count() or 1).compressobj()
    elif level is not None:
        import zlib

        made = zlib.compressobj(level, wbits=31)
    else:
        from isal import isal_zlib

        made = isal_zlib.compressobj(_ISAL_LEVEL, wbits=31)
    return made.compress, made.flush


def _reader(path: str) -> "Any":
    """A file object for `with`."""
    kind = kind_of(path)
    if kind == "gzip":
        from isal import igzip

        return igzip.IGzipFile(path, "rb")  # type: ignore[no-untyped-call]
    if kind == "zstd":
        import zstandard

        return zstandard.open(path, "rb", dctx=_dctx())
    return open(path, "rb", buffering=0)


def _dctx() -> "Any":
    import zstandard

    # 128 MiB: what RFC 8878 asks decoders to support at most, times sixteen, as the zstd program does.
    return zstandard.ZstdDecompressor(max_window_size=1 << 27)
