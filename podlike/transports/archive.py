"""Image archives as files: a tar (plain or compressed), a directory, or a stream, read by member name.

What the members mean is known to the modules beside this one. Every archive can be read in any order and by several
threads: a plain tar and a directory where they lie; of what comes from a pipe or is compressed, small members are kept
in memory and large ones as nameless files in the store's tmp/, hashed while they are written. The store takes such a file over
as a blob, so that nothing is written twice.
"""

import errno
import os
import tarfile
from abc import ABC, abstractmethod

from podlike.errors import StoreError
from podlike.transports.codec import HEAD, decompress, detect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final, Protocol, Self

    class Archive(Protocol):
        """with open_archive(...) as archive."""

        shown: str

        def __enter__(self) -> Self: ...
        def __exit__(self, *exc: object) -> None: ...
        def names(self) -> list[str]: ...
        def has(self, name: str) -> bool: ...
        def open(self, name: str) -> "Member": ...
        def read(self, name: str, *, limit: int) -> bytes: ...

CHUNK: "Final" = 1 << 20
_MAX_MEMBERS: "Final" = 100_000  # an archive has a few members a layer
_MAX_EXTENSION: "Final" = 1 << 20  # bytes of a long name or of PAX records: paths have 4096, tarfile reads it all at once
_MAX_LINKS: "Final" = 8  # docker and podman write one; a chain is nobody's
_IN_MEMORY: "Final" = 256 << 10  # bytes of a member: manifests and configs, hardly a layer
_ALL_IN_MEMORY: "Final" = 16 << 20
_MAX_FILES: "Final" = 400  # nameless files at once, far below the usual limit of 1024 descriptors
_HINT: "Final" = "Give an archive made by `save` in OCI or Docker format, or an OCI layout."
_DAMAGED: "Final" = "The archive is damaged or incomplete; get or make it again."


class Member:
    """The bytes of one member, for `with`; reading moves nobody else's position.

    size: bytes. digest: sha256 of them where it is known already, else "".
    file: descriptor of a nameless file that has the member and nothing else, or -1.
    """

    __slots__ = ("_fd", "_position", "_start", "_what", "digest", "file", "size")

    def __init__(self, fd: int, start: int, size: int, what: str, *, digest: str = "", whole: bool = False) -> None:
        """fd: the member's own from now on. what: for errors."""
        self._fd = fd
        self._start = start
        self._position = 0
        self._what = what
        self.size = size
        self.digest = digest
        self.file = fd if whole else -1

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)

    def read(self, count: int) -> bytes:
        """The next bytes, at most count; none at the end. Raises: StoreError when the archive has been cut."""
        count = min(count, self.size - self._position)
        if count <= 0:
            return b""
        try:
            data = os.pread(self._fd, count, self._start + self._position)
        except OSError as e:
            raise StoreError(f"read {self._what}: {e.strerror}") from e
        if not data:
            raise StoreError(f"read {self._what}: it ends after {self._position} of {self.size} bytes", hint=_DAMAGED)
        self._position += len(data)
        return data

    def pieces(self) -> "Iterator[bytes]":
        while piece := self.read(CHUNK):
            yield piece

    def rewind(self) -> None:
        self._position = 0


def open_archive(path: str, *, tmp: str) -> "Archive":
    """Open a file, a directory, or standard input ("-").

    tmp: directory of the store for what cannot be read in place. Raises: StoreError.
    """
    if path == "-":
        return open_fd(0, "standard input", tmp=tmp)
    if os.path.isdir(path):
        return _Directory(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        raise StoreError(f"open {path}: {e.strerror}") from e
    try:
        return open_fd(fd, path, tmp=tmp)
    finally:
        os.close(fd)


def open_fd(fd: int, shown: str, *, tmp: str) -> "Archive":
    """The archive that begins where fd stands (fd stays the caller's)."""
    try:
        start: int | None = os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        start = None
    try:
        head = _read_exactly(fd, HEAD)
    except OSError as e:
        raise StoreError(f"read {shown}: {e.strerror}") from e
    if not head:
        raise StoreError(f"read {shown}: it is empty", hint="Give an image archive with -i, or pipe one into the command.")
    how = detect(head)
    if start is not None and not how:
        return _Tar(os.dup(fd), shown, start)
    return _Stream(decompress(_pieces(fd, head, shown), how, shown), shown, tmp)


class _Named(ABC):
    """Looking up members, shared by the two kinds of tar. A name may stand for a link to another."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self._links: dict[str, str] = {}
        self._twice: set[str] = set()
        self._count = 0

    @abstractmethod
    def _files(self) -> "dict[str, _Place]":
        """Members that are files, by name."""

    def names(self) -> list[str]:
        return [*self._files(), *self._links]

    def has(self, name: str) -> bool:
        name = os.path.normpath(name)
        return name in self._files() or name in self._links

    def note(self, info: tarfile.TarInfo) -> str | None:
        """File a header; the cleaned name of a regular file. Raises: StoreError."""
        name = os.path.normpath(info.name)
        self._count += 1
        if self._count > _MAX_MEMBERS:
            raise StoreError(f"read {self.shown}: it has more than {_MAX_MEMBERS} members and is no image archive")
        if not (info.isreg() or info.issym() or info.islnk()):
            return None
        if name in self._files() or name in self._links:
            self._twice.add(name)
        if info.issparse():
            raise StoreError(f"read {self.shown}: {name[:100]} is stored as a sparse file",
                             hint="Make the archive without tar's --sparse.")
        if info.isreg():
            return name
        target = info.linkname
        # a symbolic link is seen from its own directory, a hard link from the archive's
        target = os.path.normpath(os.path.join(os.path.dirname(name), target) if info.issym() else target)
        self._links[name] = target
        return None

    def _resolve(self, name: str) -> "_Place":
        asked = name
        name = os.path.normpath(_checked(name, self.shown))
        for _ in range(_MAX_LINKS):
            if name in self._twice:
                raise StoreError(f"read {self.shown}: {name[:200]} occurs twice in the archive", hint=_DAMAGED)
            place = self._files().get(name)
            if place is not None:
                return place
            if name not in self._links:
                raise StoreError(f"read {self.shown}: {asked[:200]}: there is no such file in the archive", hint=_DAMAGED)
            name = self._links[name]
            if name.startswith(("/", "../")) or name == "..":
                raise StoreError(f"read {self.shown}: {asked[:200]} is a link out of the archive")
        raise StoreError(f"read {self.shown}: {asked[:200]} is a link to links without end")

    def open(self, name: str) -> Member:
        return self._resolve(name).open(f"{self.shown}: {name[:200]}")

    def read(self, name: str, *, limit: int) -> bytes:
        return _read(self.open(name), name, limit)


class _Place:
    """Where a member's bytes are. data: in memory."""

    __slots__ = ("data", "digest", "fd", "size", "start", "whole")

    def __init__(self, fd: int, start: int, size: int, *, digest: str = "", whole: bool = False, data: bytes = b"") -> None:
        self.fd = fd
        self.start = start
        self.size = size
        self.digest = digest
        self.whole = whole
        self.data = data

    def open(self, what: str) -> Member:
        fd = os.dup(self.fd) if self.fd >= 0 else _memory_file(self.data)
        return Member(fd, self.start, self.size, what, digest=self.digest, whole=self.whole)


class _Tar(_Named):
    """A plain tar in a file that can be read anywhere; owns fd."""

    def __init__(self, fd: int, shown: str, start: int) -> None:
        super().__init__(shown)
        self._file = os.fdopen(fd, "rb")
        self._found: dict[str, _Place] = {}
        try:
            self._file.seek(start)
            size = os.fstat(fd).st_size
            with _reading(shown), tarfile.open(fileobj=self._file, mode="r:", tarinfo=_Info) as tar:
                for info in tar:
                    _forget_members(tar)
                    name = self.note(info)
                    if name is not None:
                        self._found[name] = _Place(fd, info.offset_data, info.size)
                        if info.offset_data + info.size > size:
                            raise StoreError(f"read {shown}: {name[:200]} is cut off", hint=_DAMAGED)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def _files(self) -> "dict[str, _Place]":
        return self._found


class _Stream(_Named):
    """A tar that can be read once only: each member is kept until the archive is closed."""

    def __init__(self, pieces: "Iterator[bytes]", shown: str, tmp: str) -> None:
        super().__init__(shown)
        self._found: dict[str, _Place] = {}
        self._fds: list[int] = []
        self._tmp = tmp
        self._in_memory = 0
        try:
            source: Any = _Pipe(pieces)
            with _reading(shown), tarfile.open(mode="r|", fileobj=source, tarinfo=_Info, bufsize=CHUNK) as tar:
                for info in tar:
                    _forget_members(tar)
                    name = self.note(info)
                    if name is not None:
                        self._found[name] = self._keep(tar, info)
            for _ in pieces:  # what follows the tar's end: a writer of a pipe must not die of a reader that has left
                pass
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()

    def _files(self) -> "dict[str, _Place]":
        return self._found

    def _close(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    def _keep(self, tar: tarfile.TarFile, info: tarfile.TarInfo) -> _Place:
        import hashlib

        source = tar.extractfile(info)
        assert source is not None
        if info.size <= _IN_MEMORY and self._in_memory + info.size <= _ALL_IN_MEMORY:
            data = source.read()
            self._in_memory += len(data)
            return _Place(-1, 0, len(data), data=data, digest=f"sha256:{hashlib.sha256(data).hexdigest()}")
        whole = len(self._fds) < _MAX_FILES
        fd = self._new_file() if whole else self._fds[-1]
        start = os.lseek(fd, 0, os.SEEK_END)
        digest = hashlib.sha256()
        while piece := source.read(CHUNK):
            digest.update(piece)
            _write(fd, piece, self.shown)
        if not whole and self._fds[-1] == fd:
            self._share(fd)
        return _Place(fd, start, info.size, digest=f"sha256:{digest.hexdigest()}", whole=whole)

    def _new_file(self) -> int:
        try:
            os.makedirs(self._tmp, mode=0o700, exist_ok=True)
            fd = os.open(self._tmp, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise _disk_error(self.shown, e) from e
        self._fds.append(fd)
        return fd

    def _share(self, fd: int) -> None:
        """The last file holds several members now: none of them is all of it."""
        for place in self._found.values():
            if place.fd == fd:
                place.whole = False


class _Directory:
    """An unpacked archive. Its own links are followed as far as they stay inside."""

    def __init__(self, path: str) -> None:
        self.shown = path
        self._path = path
        self._real = os.path.realpath(path)

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def names(self) -> list[str]:
        return sorted(os.listdir(self._path))

    def has(self, name: str) -> bool:
        return os.path.isfile(os.path.join(self._path, _checked(name, self.shown)))

    def open(self, name: str) -> Member:
        import stat

        path = os.path.realpath(os.path.join(self._path, _checked(name, self.shown)))
        what = f"{self.shown}: {name[:200]}"
        if os.path.commonpath((self._real, path)) != self._real:
            raise StoreError(f"read {what}: it is a link out of the directory")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError as e:
            raise StoreError(f"read {what}: {e.strerror}", hint=_DAMAGED if e.errno == errno.ENOENT else None) from e
        st = os.fstat(fd)
        if not stat.S_ISREG(st.st_mode):
            os.close(fd)
            raise StoreError(f"read {what}: it is no regular file")
        return Member(fd, 0, st.st_size, what)

    def read(self, name: str, *, limit: int) -> bytes:
        return _read(self.open(name), name, limit)


class _Info(tarfile.TarInfo):
    """Headers of strangers: the records behind one (names, PAX) are read into memory, so they must be short."""

    _LONG: "Final" = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
                      tarfile.GNUTYPE_LONGLINK)

    @classmethod
    def frombuf(cls, buf: "bytes | bytearray", encoding: str, errors: str) -> "Self":
        info = super().frombuf(buf, encoding, errors)
        if info.size < 0:
            raise tarfile.HeaderError("negative size")
        if info.type in cls._LONG and info.size > _MAX_EXTENSION:
            raise StoreError(f"read archive: a header of {info.size} bytes is larger than {_MAX_EXTENSION} bytes",
                             hint=_DAMAGED)
        return info


class _Pipe:
    """Pieces as the file object that tarfile's stream mode reads."""

    def __init__(self, pieces: "Iterator[bytes]") -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def read(self, count: int) -> bytes:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        data, self._rest = self._rest[:count], self._rest[count:]
        return bytes(data)


class _reading:
    """Turns what tarfile raises for damaged headers into a StoreError."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, e: BaseException | None, trace: object) -> None:
        # RecursionError, OverflowError: what hostile headers make of the standard library's reader
        if isinstance(e, (tarfile.TarError, OSError, ValueError, RecursionError, OverflowError, MemoryError, LookupError)):
            raise StoreError(f"read {self._shown}: payload does not match any of the supported image formats: "
                             f"it is no tar archive ({e})", hint=_HINT) from e


def _forget_members(tar: "Any") -> None:
    """tarfile keeps every header that it has read; they are not needed, and a hostile archive has many."""
    tar.members = []


def _checked(name: str, shown: str) -> str:
    if not name or name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise StoreError(f'read {shown}: "{name[:100]}" is no path inside the archive')
    return name


def _read(member: Member, name: str, limit: int) -> bytes:
    with member:
        if member.size > limit:
            raise StoreError(f"read archive: {name[:200]} is larger than {limit} bytes")
        return b"".join(member.pieces())


def _memory_file(data: bytes) -> int:
    fd = os.memfd_create("member", os.MFD_CLOEXEC)
    _write(fd, data, "memory")
    return fd


def _write(fd: int, data: "bytes | memoryview", shown: str) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest):]
    except OSError as e:
        raise _disk_error(shown, e) from e


def _disk_error(shown: str, error: OSError) -> StoreError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StoreError(f"copy {shown}: {error.strerror}", hint="Free space on the store's file system, for instance with "
                      "`podlike image prune --all`." if full else None)


def _pieces(fd: int, head: bytes, shown: str) -> "Iterator[bytes]":
    yield head
    try:
        while piece := os.read(fd, CHUNK):
            yield piece
    except OSError as e:
        raise StoreError(f"read {shown}: {e.strerror}") from e


def _read_exactly(fd: int, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := os.read(fd, count - len(data))):
        data += more
    return data
