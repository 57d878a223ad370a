"""What is known about a blob besides its bytes: in which repositories it lies, and what it becomes compressed.

Both are kept as extended attributes of the blob's file, so that they go with it and need no cleaning up. They are
hints: where a file system has no attributes, or a hint is wrong, a push sends what it could have left out.
"""

import os
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_ORIGINS: "Final" = "user.podlike.origins"  # lines of HOST/PATH, newest first
_VARIANTS: "Final" = "user.podlike.variants"  # lines of FORMAT DIGEST SIZE
# ext4 keeps the attributes of a file in one block of 4 KiB.
_MAX_BYTES: "Final" = 1500
_MAX_LINES: "Final" = 8


class Variant(NamedTuple):
    """The same layer in another compression. how: "gzip", "zstd-19" ..."""

    how: str
    digest: str
    size: int


def remember_origin(path: str, repository: str) -> None:
    """The registry repository (HOST/PATH) holds the blob in this file."""
    known = _lines(path, _ORIGINS)
    if known[:1] != [repository]:
        _store(path, _ORIGINS, [repository, *(line for line in known if line != repository)])


def origins(path: str, host: str) -> list[str]:
    """Paths of the repositories of one registry that hold the blob, newest first."""
    return [line[len(host) + 1:] for line in _lines(path, _ORIGINS) if line.startswith(f"{host}/")]


def remember_variant(path: str, variant: Variant) -> None:
    """Compressing the blob in this file so gives that blob."""
    line = f"{variant.how} {variant.digest} {variant.size}"
    _store(path, _VARIANTS, [line, *(known for known in _lines(path, _VARIANTS) if known.split()[0] != variant.how)])


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
