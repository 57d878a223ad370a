"""The media type of a file by how it begins. Source: mimesniff.spec.whatwg.org, sections 6 and 7.

The names are those of Go's net/http.DetectContentType, which podman labels artifacts with.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

SNIFFED: "Final" = 512  # bytes that are looked at
_BLANK: "Final" = b"\t\n\x0c\r "
_HTML: "Final" = (b"<!DOCTYPE HTML", b"<HTML", b"<HEAD", b"<SCRIPT", b"<IFRAME", b"<H1", b"<DIV", b"<FONT", b"<TABLE",
                  b"<A", b"<STYLE", b"<TITLE", b"<B", b"<BODY", b"<BR", b"<P", b"<!--")
_STARTS: "Final" = (
    (b"%PDF-", "application/pdf"), (b"%!PS-Adobe-", "application/postscript"),
    (b"\xfe\xff", "text/plain; charset=utf-16be"), (b"\xff\xfe", "text/plain; charset=utf-16le"),
    (b"\xef\xbb\xbf", "text/plain; charset=utf-8"),
    (b"\x00\x00\x01\x00", "image/x-icon"), (b"\x00\x00\x02\x00", "image/x-icon"), (b"BM", "image/bmp"),
    (b"GIF87a", "image/gif"), (b"GIF89a", "image/gif"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"),
    (b"ID3", "audio/mpeg"), (b"OggS\x00", "application/ogg"), (b"MThd\x00\x00\x00\x06", "audio/midi"),
    (b"\x1aE\xdf\xa3", "video/webm"), (b"\x00\x01\x00\x00", "font/ttf"), (b"OTTO", "font/otf"), (b"ttcf", "font/collection"),
    (b"wOFF", "font/woff"), (b"wOF2", "font/woff2"), (b"\x1f\x8b\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"), (b"Rar!\x1a\x07\x00", "application/x-rar-compressed"),
    (b"Rar!\x1a\x07\x01\x00", "application/x-rar-compressed"), (b"\x00asm", "application/wasm"))
# (first four bytes, bytes 8 to 12): chunked formats
_FORMS: "Final" = {(b"RIFF", b"AVI "): "video/avi", (b"RIFF", b"WAVE"): "audio/wave", (b"FORM", b"AIFF"): "audio/aiff"}
_BINARY: "Final" = frozenset((*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)))


def sniff(head: bytes) -> str:
    """The type of a file that begins so."""
    head = head[:SNIFFED]
    text = head.lstrip(_BLANK)
    for tag in _HTML:
        if text[:len(tag)].upper() == tag and text[len(tag):len(tag) + 1] in (b" ", b">"):
            return "text/html; charset=utf-8"
    if text.startswith(b"<?xml"):
        return "text/xml; charset=utf-8"
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:14] == b"WEBPVP":
        return "image/webp"
    if (head[:4], head[8:12]) in _FORMS:
        return _FORMS[head[:4], head[8:12]]
    if head[4:8] == b"ftyp" and b"mp4" in (head[8:11], *(head[i:i + 3] for i in range(16, _box(head), 4))):
        return "video/mp4"
    return "application/octet-stream" if not _BINARY.isdisjoint(head) else "text/plain; charset=utf-8"


def _box(head: bytes) -> int:
    """Where the first box of an MP4 ends, if it is complete."""
    size = int.from_bytes(head[:4], "big")
    return size if size % 4 == 0 and size <= len(head) else 0
