"""Image archives as files: a tar (plain or compressed), or a directory, read by member name.

What the members mean is engine/load.py's knowledge. Every archive here can be read in any order; what comes from a
pipe or is compressed is first written to the store's tmp/.
"""

import os
import tarfile

from podlike.errors import StoreError
from podlike.store.blobs import CHUNK, disk_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Final, Protocol, Self

    class Archive(Protocol):
        """with open_archive(...) as archive."""

        def __enter__(self) -> Self: ...
        def __exit__(self, *exc: object) -> None: ...
        def names(self) -> list[str]: ...
        def has(self, name: str) -> bool: ...
        def open(self, name: str) -> IO[bytes]: ...
        def read(self, name: str, *, limit: int) -> bytes: ...

_MAX_MEMBERS: "Final" = 100_000  # an archive has a few members a layer


def open_archive(path: str, *, tmp: str) -> "Archive":
    """Open a file, a directory, or standard input ("-").

    tmp: directory for what must be spooled. Raises: StoreError.
    """
    if path != "-" and os.path.isdir(path):
        return _Directory(path)
    if path == "-":
        return _Tar(_spool(0, "standard input", tmp), "standard input")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        raise StoreError(f"open {path}: {e.strerror}") from e
    try:
        return _Tar(_spool(fd, path, tmp), path)
    finally:
        os.close(fd)


class _Directory:
    """An unpacked layout. Symbolic links are the user's own affair: the directory is theirs."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def names(self) -> list[str]:
        return sorted(os.listdir(self._path))

    def has(self, name: str) -> bool:
        return os.path.isfile(self._inside(name))

    def open(self, name: str) -> "IO[bytes]":
        try:
            return open(self._inside(name), "rb")
        except OSError as e:
            raise StoreError(f"read {self._path}: {name}: {e.strerror}") from e

    def read(self, name: str, *, limit: int) -> bytes:
        with self.open(name) as f:
            return _limited(f, name, limit)

    def _inside(self, name: str) -> str:
        return os.path.join(self._path, _checked(name))


class _Tar:
    """A seekable tar; owns fd."""

    def __init__(self, fd: int, shown: str) -> None:
        self._shown = shown
        self._file = os.fdopen(fd, "rb")
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            self._tar = tarfile.open(fileobj=self._file, mode="r:")
            for member in self._tar:
                self._members[os.path.normpath(member.name)] = member
                if len(self._members) > _MAX_MEMBERS:
                    raise StoreError(f"read {shown}: it has more than {_MAX_MEMBERS} members and is no image archive")
        except (tarfile.TarError, OSError, ValueError) as e:
            self._file.close()
            raise StoreError(f"read {shown}: payload does not match any of the supported image formats: "
                             f"it is no tar archive ({e})",
                             hint="Give an archive made by `save` in OCI or Docker format, or an OCI layout.") from e
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exc: object) -> None:
        self._tar.close()
        self._file.close()

    def names(self) -> list[str]:
        return list(self._members)

    def has(self, name: str) -> bool:
        return os.path.normpath(name) in self._members

    def open(self, name: str) -> "IO[bytes]":
        member = self._members.get(os.path.normpath(_checked(name)))
        try:
            # Docker's older archives share equal layers by symbolic links between members.
            stream = self._tar.extractfile(member) if member else None
        except (KeyError, RecursionError, tarfile.TarError, OSError) as e:
            raise StoreError(f"read {self._shown}: {name}: {e}") from e
        if stream is None:
            raise StoreError(f"read {self._shown}: {name}: there is no such file in the archive",
                             hint="The archive is incomplete; make it again.")
        return stream

    def read(self, name: str, *, limit: int) -> bytes:
        with self.open(name) as f:
            try:
                return _limited(f, name, limit)
            except (tarfile.TarError, OSError) as e:
                raise StoreError(f"read {self._shown}: {name}: {e}") from e


def _checked(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise StoreError(f'read archive: "{name[:100]}" is no path inside it')
    return name


def _limited(f: "IO[bytes]", name: str, limit: int) -> bytes:
    data = f.read(limit + 1)
    if len(data) > limit:
        raise StoreError(f"read archive: {name} is larger than {limit} bytes")
    return data


def _spool(fd: int, shown: str, tmp: str) -> int:
    """A seekable fd of the uncompressed archive: fd itself duplicated, or a nameless file in tmp."""
    try:
        seekable = os.lseek(fd, 0, os.SEEK_SET) == 0
    except OSError:
        seekable = False
    head = os.pread(fd, 6, 0) if seekable else _read_exactly(fd, 6)
    if not head:
        raise StoreError(f"read {shown}: it is empty",
                         hint="Give an image archive with -i, or pipe one into the command.")
    unpack = _decompressor(head, shown)
    if seekable and unpack is None:
        return os.dup(fd)
    if seekable:
        head = b""
    return _copy_to_tmp(fd, head, unpack, shown, tmp)


def _copy_to_tmp(fd: int, head: bytes, unpack: "Callable[[bytes], bytes] | None", shown: str, tmp: str) -> int:
    import lzma
    import zlib

    os.makedirs(tmp, mode=0o700, exist_ok=True)
    spool = os.open(tmp, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    chunk = head or os.read(fd, CHUNK)
    try:
        while chunk:
            data = memoryview(unpack(chunk) if unpack else chunk)
            while data:
                data = data[os.write(spool, data):]
            chunk = os.read(fd, CHUNK)
    except (zlib.error, lzma.LZMAError, EOFError) as e:
        os.close(spool)
        raise StoreError(f"decompress {shown}: {e}") from e
    except OSError as e:
        os.close(spool)
        raise disk_error("copy", shown, e) from e
    except BaseException:
        os.close(spool)
        raise
    os.lseek(spool, 0, os.SEEK_SET)
    return spool


def _read_exactly(fd: int, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := os.read(fd, count - len(data))):
        data += more
    return data


def _decompressor(head: bytes, shown: str) -> "Callable[[bytes], bytes] | None":
    """By magic number; None for what is not compressed."""
    if head.startswith(b"\x1f\x8b"):
        return _gunzip()
    if head.startswith(b"\xfd7zXZ\0"):
        import lzma

        return lzma.LZMADecompressor().decompress
    if head.startswith(b"BZh"):
        import bz2

        return bz2.BZ2Decompressor().decompress
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        raise StoreError(f"read {shown}: archives compressed with zstd as a whole cannot be read",
                         hint=f"Decompress it first: `zstd -dc {shown} | podlike load`.")
    return None


def _gunzip() -> "Callable[[bytes], bytes]":
    """A gzip file is one member or several, one after the other (RFC 1952, 2.2)."""
    import zlib

    member = zlib.decompressobj(31)

    def feed(chunk: bytes) -> bytes:
        nonlocal member
        data = member.decompress(chunk)
        while member.eof and member.unused_data.strip(b"\0"):
            rest = member.unused_data
            member = zlib.decompressobj(31)
            data += member.decompress(rest)
        return data

    return feed
