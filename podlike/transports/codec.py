"""Decompression of streams: layers and whole archives, told by their first bytes. For compressing see store/compression.py.

isal (the gzip of Intel's storage library, three times as fast as zlib) has builds for x86-64 and ARM64; elsewhere zlib does
the same. All of it works outside the interpreter's lock.
"""

from podlike.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Final

GZIP: "Final" = b"\x1f\x8b"
ZSTD: "Final" = b"\x28\xb5\x2f\xfd"
XZ: "Final" = b"\xfd7zXZ\0"
BZIP2: "Final" = b"BZh"
HEAD: "Final" = 6  # bytes that detect() wants to see
# What one call may give out: a bomb is unpacked in pieces and seen before it fills memory.
_PIECE: "Final" = 1 << 20
# The same limits as podlike-layer's: deflate cannot exceed 1032:1; small archives of zeros are no bombs.
_RATIO_FREE: "Final" = 4 << 30
_MAX_RATIO: "Final" = 1100


def detect(head: bytes) -> str:
    """"gzip", "zstd", "xz", "bzip2", or "" for what is not compressed."""
    for magic, name in ((GZIP, "gzip"), (ZSTD, "zstd"), (XZ, "xz"), (BZIP2, "bzip2")):
        if head.startswith(magic):
            return name
    if len(head) >= 4 and head[0] & 0xf0 == 0x50 and head[1:4] == b"\x2a\x4d\x18":
        return "zstd"  # a skippable frame in front (RFC 8878, 3.1.2)
    return ""


def decompress(pieces: "Iterable[bytes]", how: str, shown: str) -> "Iterator[bytes]":
    """What was compressed, in pieces of at most 1 MiB.

    how: as detect() says; "": pieces as they are. shown: whose content it is, for errors.
    Raises: StoreError for damaged, cut and exploding data.
    """
    if not how:
        yield from pieces
        return
    counted = _Counted(pieces)
    given = 0
    try:
        for piece in _DECODERS[how](counted):
            given += len(piece)
            if given > _RATIO_FREE and given // _MAX_RATIO > counted.taken:
                raise StoreError(f"decompress {shown}: it expands more than {_MAX_RATIO} times: a decompression bomb")
            yield piece
    except _errors(how) as e:
        raise StoreError(f"decompress {shown}: {how}: {e}", hint="The data is damaged; get or make it again.") from e


class _Counted:
    """The pieces, and how many bytes of them have been taken."""

    def __init__(self, pieces: "Iterable[bytes]") -> None:
        self._pieces = iter(pieces)
        self.taken = 0

    def __iter__(self) -> "Iterator[bytes]":
        for piece in self._pieces:
            self.taken += len(piece)
            yield piece


def _isal() -> "Any":
    try:
        from isal import isal_zlib
    except ImportError:  # no build for this processor
        return None
    return isal_zlib


def _errors(how: str) -> "tuple[type[Exception], ...]":
    import lzma
    import zlib

    found: "list[type[Exception]]" = [zlib.error, lzma.LZMAError, EOFError, OSError, ValueError]
    if how == "gzip" and (fast := _isal()):
        found.append(fast.error)
    if how == "zstd":
        import zstandard

        found.append(zstandard.ZstdError)
    return tuple(found)


def _gunzip(pieces: "Iterable[bytes]") -> "Iterator[bytes]":
    """A gzip file is one member or several, one after the other, perhaps with zeros behind them (RFC 1952, 2.2)."""
    import zlib

    make = (_isal() or zlib).decompressobj
    member: "Any" = None
    for piece in pieces:
        data = piece
        while data:
            if member is None:
                data = data.lstrip(b"\0")
                if not data:
                    break
                member = make(31)
            out = member.decompress(data, _PIECE)
            data = member.unconsumed_tail
            if out:
                yield out
            if member.eof:
                data, member = member.unused_data, None
        if member is not None:
            yield from _drain(member)
            if member.eof:
                member = None
    if member is not None:
        raise EOFError("the data ends too early")


def _drain(member: "Any") -> "Iterator[bytes]":
    """What the decoder could not give out yet because of the limit, though it has taken all input."""
    while out := member.decompress(b"", _PIECE):
        yield out
        if member.eof:
            return


def _unzstd(pieces: "Iterable[bytes]") -> "Iterator[bytes]":
    import zstandard

    # 128 MiB: what `zstd --long` makes at most without asking its reader. A cut frame ends here without a word: a tar
    # misses its end then, and a layer its digest.
    context = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    with context.stream_reader(_File(pieces), read_across_frames=True) as reader:  # type: ignore[arg-type]
        while out := reader.read(_PIECE):
            yield out


class _File:
    """Pieces as what the zstd library reads from."""

    def __init__(self, pieces: "Iterable[bytes]") -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def read(self, count: int) -> bytes:
        data = self._rest or next(self._pieces, b"")
        self._rest = data[count:]
        return data[:count]


def _unxz(pieces: "Iterable[bytes]") -> "Iterator[bytes]":
    import lzma

    return _plain(pieces, lambda: lzma.LZMADecompressor(memlimit=256 << 20))


def _bunzip(pieces: "Iterable[bytes]") -> "Iterator[bytes]":
    import bz2

    return _plain(pieces, bz2.BZ2Decompressor)


def _plain(pieces: "Iterable[bytes]", make: "Callable[[], Any]") -> "Iterator[bytes]":
    """For the standard library's decoders, which have one interface. Streams may follow each other."""
    decoder: "Any" = None
    for piece in pieces:
        data = piece
        while data or (decoder is not None and not decoder.needs_input):
            if decoder is None:
                data = data.lstrip(b"\0")  # padding between streams
                if not data:
                    break
                decoder = make()
            out = decoder.decompress(data, _PIECE)
            data = b""
            if out:
                yield out
            if decoder.eof:
                data, decoder = decoder.unused_data, None
    if decoder is not None:
        raise EOFError("the data ends too early")


_DECODERS: "Final" = {"gzip": _gunzip, "zstd": _unzstd, "xz": _unxz, "bzip2": _bunzip}
