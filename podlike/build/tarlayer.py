"""A layer that is written entry by entry: what COPY, ADD and WORKDIR make, with no container and nothing mounted for writing."""

import hashlib
import json
import os
import tarfile

from podlike.errors import StoreError, UsageError
from podlike.transports.sending import nameless, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

_BLOCK: "Final" = 512  # pax(1)
_PIECE: "Final" = 1 << 20
_WHITEOUT: "Final" = ".wh."


class TarLayer:
    """The tar in a nameless file. close() it, or give fd away.

    content: digest of all that a file is but its times: what tells whether a step has to be done again.
    """

    def __init__(self, tmp: str) -> None:
        self.fd = nameless(tmp)
        self.size = 0
        self.entries = 0
        self.kinds: set[str] = set()  # "file", "dir" of what was copied, for the history
        self._tmp = tmp
        self._digest = hashlib.sha256()
        self._content = hashlib.sha256()
        self._made: set[str] = set()  # directories that are in it

    @property
    def diff_id(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"

    @property
    def content(self) -> str:
        return self._content.hexdigest()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def directory(self, path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0, mtime: int = 0,
                  xattrs: "dict[str, bytes] | None" = None) -> None:
        if path in self._made:
            return
        self._made.add(path)
        info = self._info(path + "/", tarfile.DIRTYPE, mode, uid, gid, mtime, xattrs)
        self._header(info)

    def file(self, path: str, source: int, size: int, *, mode: int, uid: int, gid: int, mtime: int,
             xattrs: "dict[str, bytes] | None" = None) -> None:
        """source: fd at the file's beginning. Raises: StoreError when it is not `size` bytes long."""
        info = self._info(path, tarfile.REGTYPE, mode, uid, gid, mtime, xattrs)
        info.size = size
        self._header(info)
        left = size
        while left:
            piece = os.read(source, min(_PIECE, left))
            if not piece:
                raise StoreError(f"copy {path}: it became shorter while it was read", hint="Build again.")
            self._content.update(piece)
            self._write(piece)
            left -= len(piece)
        self._pad(size)

    def data(self, path: str, data: bytes, *, mode: int, uid: int, gid: int, mtime: int) -> None:
        info = self._info(path, tarfile.REGTYPE, mode, uid, gid, mtime, None)
        info.size = len(data)
        self._header(info)
        self._content.update(data)
        self._write(data)
        self._pad(len(data))

    def stream(self, path: str, pieces: "Iterable[bytes]", like: tarfile.TarInfo, *, uid: int, gid: int) -> None:
        """A regular file of another archive."""
        info = self._info(path, tarfile.REGTYPE, like.mode & 0o7777, uid, gid, int(like.mtime), None)
        info.size = like.size
        self._header(info)
        for piece in pieces:
            self._content.update(piece)
            self._write(piece)
        self._pad(like.size)

    def link(self, path: str, target: str, *, uid: int, gid: int, mtime: int, hard: bool = False) -> None:
        """hard: target is a path of this layer."""
        info = self._info(path, tarfile.LNKTYPE if hard else tarfile.SYMTYPE, 0o777, uid, gid, mtime, None)
        info.linkname = target.lstrip("/") if hard else target
        self._header(info)

    def special(self, path: str, kind: bytes, *, mode: int, uid: int, gid: int, mtime: int, major: int = 0,
                minor: int = 0) -> None:
        """A fifo or a device."""
        info = self._info(path, kind, mode, uid, gid, mtime, None)
        info.devmajor, info.devminor = major, minor
        self._header(info)

    def finish(self) -> None:
        self._write(b"\0" * (2 * _BLOCK))

    def _info(self, path: str, kind: bytes, mode: int, uid: int, gid: int, mtime: int,
              xattrs: "dict[str, bytes] | None") -> tarfile.TarInfo:
        name = path.strip("/")
        last = name.rsplit("/", 1)[-1]
        if last.startswith(_WHITEOUT):
            raise UsageError(f"copy {path}: names that begin with {_WHITEOUT} mean deletions in images",
                             hint="Rename it, or leave it out with .containerignore.")
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid, info.mtime = kind, mode, uid, gid, mtime
        info.pax_headers = {f"SCHILY.xattr.{k}": v.decode("utf-8", "surrogateescape") for k, v in sorted((xattrs or {}).items())}
        return info

    def _header(self, info: tarfile.TarInfo) -> None:
        self.entries += 1
        said = [info.name, info.type.decode(), info.mode, info.uid, info.gid, info.size, info.linkname, info.pax_headers]
        self._content.update(json.dumps(said).encode("utf-8", "surrogateescape"))
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def _pad(self, size: int) -> None:
        self._write(b"\0" * (-size % _BLOCK))

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self.size += len(data)
        write_all(self.fd, data, f"to {self._tmp}")


def looks_like_tar(head: bytes) -> bool:
    """Whether a file begins as an archive does. head: its first 512 bytes."""
    try:
        tarfile.TarInfo.frombuf(head[:_BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
