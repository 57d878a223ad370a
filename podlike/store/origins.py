"""What is known about a blob besides its bytes: in which repositories it lies, and what it becomes compressed.

Both are kept as extended attributes of the blob's file, so that they go with it and need no cleaning up. They are
hints: where a file system has no attributes, or a hint is wrong, a push sends what it could have left out.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

_ORIGINS: "Final" = "user.podlike.origins"  # lines of HOST/PATH or HOST/PATH@DIGEST (of a variant), newest first
_VARIANTS: "Final" = "user.podlike.variants"  # lines of FORMAT DIGEST SIZE
# ext4 keeps the attributes of a file in one block of 4 KiB.
_MAX_BYTES: "Final" = 1500
_MAX_LINES: "Final" = 8


class Variant(NamedTuple):
    """The same layer in another compression. how: "gzip", "zstd-19" ..."""

    how: str
    digest: str
    size: int


def remember_origin(path: str, repository: str, variant: str = "") -> None:
    """The registry repository (HOST/PATH) holds the blob in this file, or a variant of it (its digest)."""
    known = _lines(path, _ORIGINS)
    line = f"{repository}@{variant}" if variant else repository
    if known[:1] != [line]:
        _store(path, _ORIGINS, [line, *(other for other in known if other != line)])


def origins(path: str, host: str, variant: str = "") -> list[str]:
    """Paths of the repositories of one registry that hold the blob, or that variant of it, newest first."""
    found = (line.partition("@") for line in _lines(path, _ORIGINS))
    return [place[len(host) + 1:] for place, _, digest in found if place.startswith(f"{host}/") and digest == variant]


def remember_variant(path: str, variant: Variant) -> None:
    """Compressing the blob in this file so gives that blob."""
    line = f"{variant.how} {variant.digest} {variant.size}"
    _store(path, _VARIANTS, [line, *(known for known in _lines(path, _VARIANTS) if known.split()[:1] != [variant.how])])


def variant(path: str, how: str) -> Variant | None:
    """What compressing the blob in this file so has given before."""
    for line in _lines(path, _VARIANTS):
        words = line.split()
        if len(words) == 3 and words[0] == how and words[2].isdigit():
            return Variant(how, words[1], int(words[2]))
    return None


def _lines(path: str, name: str) -> list[str]:
    try:
        return [line for line in os.getxattr(path, name).decode().split("\n") if line]
    except (OSError, UnicodeDecodeError):
        return []


def _store(path: str, name: str, lines: list[str]) -> None:
    value = ""
    for line in lines[:_MAX_LINES]:
        if len(value) + len(line) >= _MAX_BYTES:
            break
        value += line + "\n"
    try:
        os.setxattr(path, name, value.encode())
    except OSError:
        pass  # only a hint
