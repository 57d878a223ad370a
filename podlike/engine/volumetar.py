"""A volume's contents as a tar archive: `volume export`, `volume import`.

Out goes what podlike-layer packs. In comes anybody's archive, compressed or not: each name is resolved beneath the volume by
the kernel, so that no symbolic link, of the archive or of the volume, leads out of it.
"""

import os
import stat

from podlike import log
from podlike.engine import volumemount
from podlike.engine.core import Engine
from podlike.engine.volumes import lock_of
from podlike.errors import NotFoundError, StoreError
from podlike.runtime import spawn
from podlike.store.volumes import Volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator
    from typing import IO, Any, Final

_PIECE: "Final" = 1 << 20
_XATTR: "Final" = "SCHILY.xattr."  # how GNU tar, bsdtar and Go write extended attributes
_DIRECTORY: "Final" = os.O_RDONLY | os.O_DIRECTORY


def export(engine: Engine, volume: Volume, out: "int | str") -> None:
    """Write the contents as a plain tar to a descriptor, or to a file, which is there when it is complete.

    Raises: StoreError.
    """
    engine.enter_session()
    if isinstance(out, int):
        _write(engine, volume, out)
        return
    from podlike.transports.output import OutputFile

    with OutputFile(out) as fd:
        _write(engine, volume, fd)


def _write(engine: Engine, volume: Volume, out: int) -> None:
    from podlike.store.pack import LayerPack

    with _mounted(engine, volume) as path, LayerPack(path) as pack:
        while chunk := pack.stream.read(_PIECE):
            view = memoryview(chunk)
            while view:
                view = view[os.write(out, view):]
        pack.finish()


def load(engine: Engine, volume: Volume, source: "IO[bytes]", *, shown: str) -> None:
    """Add what a tar archive holds, over what is there. shown: whose archive it is, for errors.

    Raises: StoreError; what came before the mistake stays.
    """
    import tarfile

    from podlike.transports.codec import HEAD, decompress, detect

    head = source.read(HEAD)
    pieces = decompress(_pieces(head, source), detect(head), shown)
    engine.enter_session()
    with _mounted(engine, volume) as path:
        root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with tarfile.open(fileobj=_Reader(pieces), mode="r|", bufsize=_PIECE) as archive:  # type: ignore[call-overload]
                _Extraction(root).run(archive)
        except (tarfile.TarError, EOFError) as e:
            raise StoreError(f"import {shown} into volume {volume.name}: {e}", hint="It must be a tar archive.") from e
        except spawn.SpawnError as e:
            raise StoreError(f"import {shown} into volume {volume.name}: {e.message}") from e
        except OSError as e:
            where = f"{e.filename}: " if isinstance(e.filename, str) else ""
            raise StoreError(f"import {shown} into volume {volume.name}: {where}{(e.strerror or str(e)).lower()}",
                             hint="Check free space, and that its owners are ids that your user namespace has.") from e
        finally:
            os.close(root)


def _pieces(head: bytes, source: "IO[bytes]") -> "Iterator[bytes]":
    yield head
    while chunk := source.read(_PIECE):
        yield chunk


class _Reader:
    """Pieces as a file to read from."""

    __slots__ = ("_pieces", "_rest")

    def __init__(self, pieces: "Iterator[bytes]") -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, count: int) -> bytes:
        if not self._rest:
            self._rest = next((piece for piece in self._pieces if piece), b"")
        out, self._rest = self._rest[:count], self._rest[count:]
        return out


class _mounted:
    """For `with`: the directory of a volume, mounted meanwhile where it has to be."""

    __slots__ = ("_engine", "_volume")

    def __init__(self, engine: Engine, volume: Volume) -> None:
        self._engine = engine
        self._volume = volume

    def __enter__(self) -> str:
        with lock_of(self._engine, self._volume.name):
            if self._engine.volumes.get(self._volume.name) is None:
                raise NotFoundError(f'no volume with name "{self._volume.name}" found: no such volume')
            return volumemount.hold(self._engine, self._volume)

    def __exit__(self, *exc: object) -> None:
        volumemount.unmount(self._engine, self._volume)


class _Extraction:
    """Members of a tar archive, one after the other, beneath a directory.

    root: a descriptor of that directory, which stays the caller's.
    """

    __slots__ = ("_directories", "_root", "_skipped")

    def __init__(self, root: int) -> None:
        self._root = root
        self._directories: "list[tuple[str, tarfile.TarInfo]]" = []
        self._skipped = 0

    def run(self, archive: "tarfile.TarFile") -> None:
        for member in archive:
            self._take(archive, member)
        for path, member in reversed(self._directories):  # writing into a directory changes its time
            fd = self._open(path, _DIRECTORY)
            try:
                os.utime(fd, (member.mtime, member.mtime))
            finally:
                os.close(fd)
        if self._skipped:
            log.warning(f"{self._skipped} device nodes of the archive were left out: only root can make them")

    def _take(self, archive: "tarfile.TarFile", member: "tarfile.TarInfo") -> None:
        path = _clean(member.name)
        if path == "/":
            if member.isdir():
                self._dress(self._open(path, _DIRECTORY), member)
                self._directories.append((path, member))
            return
        parent, _, name = path.rpartition("/")
        fd = self._make_parents(parent)
        try:
            self._make(archive, member, path, fd, name)
        finally:
            os.close(fd)

    def _make(self, archive: "tarfile.TarFile", member: "tarfile.TarInfo", path: str, parent: int, name: str) -> None:
        if member.isdir():
            self._clear(parent, name, keep_directory=True)
            try:
                os.mkdir(name, 0o700, dir_fd=parent)
            except FileExistsError:
                pass
            self._dress(os.open(name, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent), member)
            self._directories.append((path, member))
            return
        self._clear(parent, name)
        if member.islnk():
            source, _, last = _clean(member.linkname).rpartition("/")
            fd = self._open(source or "/", os.O_PATH | os.O_DIRECTORY)
            try:
                os.link(last, name, src_dir_fd=fd, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(fd)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=parent)
            os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
            os.utime(name, (member.mtime, member.mtime), dir_fd=parent, follow_symlinks=False)
        elif member.isreg():
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
            self._dress(fd, member, archive)
        else:
            self._make_special(member, parent, name)

    def _make_special(self, member: "tarfile.TarInfo", parent: int, name: str) -> None:
        kind = stat.S_IFIFO if member.isfifo() else stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        try:
            os.mknod(name, kind | 0o600, os.makedev(member.devmajor, member.devminor), dir_fd=parent)
        except PermissionError:
            self._skipped += 1
            return
        os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        os.chmod(name, stat.S_IMODE(member.mode), dir_fd=parent)
        os.utime(name, (member.mtime, member.mtime), dir_fd=parent, follow_symlinks=False)

    def _dress(self, fd: int, member: "tarfile.TarInfo", archive: "tarfile.TarFile | None" = None) -> None:
        """Contents of a file; then owner, attributes, mode, time. Closes fd."""
        try:
            if archive is not None:
                _copy_contents(archive, member, fd)
            os.chown(fd, member.uid, member.gid)
            for key, value in member.pax_headers.items():
                if key.startswith(_XATTR):
                    _set_attribute(fd, key[len(_XATTR):], value)
            os.chmod(fd, stat.S_IMODE(member.mode))
            os.utime(fd, (member.mtime, member.mtime))
        finally:
            os.close(fd)

    def _clear(self, parent: int, name: str, *, keep_directory: bool = False) -> None:
        """What the archive has instead of something that is there; only an empty directory makes room for a file."""
        try:
            st = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(st.st_mode):
            if not keep_directory:
                os.rmdir(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)

    def _make_parents(self, path: str) -> int:
        """A descriptor of the directory, made with those above it where they are missing."""
        try:
            return self._open(path or "/", os.O_PATH | os.O_DIRECTORY)
        except spawn.SpawnError as e:
            if not isinstance(OSError(e.errno, ""), FileNotFoundError):
                raise
        above, _, name = path.rpartition("/")
        fd = self._make_parents(above)
        try:
            os.mkdir(name, 0o755, dir_fd=fd)
        except FileExistsError:
            pass  # a link that leads nowhere: opening it says so
        finally:
            os.close(fd)
        return self._open(path, os.O_PATH | os.O_DIRECTORY)

    def _open(self, path: str, flags: int) -> int:
        return spawn.open_in_root(self._root, path, flags)


def _clean(name: str) -> str:
    """The path beneath the volume, from "/" on. Raises: StoreError for one that climbs."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise StoreError(f"{name!r} in the archive leads out of the volume")
    return "/" + "/".join(parts)


def _copy_contents(archive: "tarfile.TarFile", member: "tarfile.TarInfo", fd: int) -> None:
    """Straight from the stream, which stands before the contents or on the way to them."""
    source: "Any" = archive.fileobj
    source.seek(member.offset_data)
    pieces: "Any" = member.sparse if member.sparse is not None else [(0, member.size)]
    for at, count in pieces:
        os.lseek(fd, at, os.SEEK_SET)
        _copy(source, fd, count)
    if member.sparse is not None:
        os.ftruncate(fd, member.size)


def _copy(source: "IO[bytes]", fd: int, count: int) -> None:
    while count:
        chunk = source.read(min(count, _PIECE))
        if not chunk:
            raise EOFError("the archive ends within a file")
        count -= len(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(fd, view):]


def _set_attribute(fd: int, name: str, value: str) -> None:
    try:
        os.setxattr(fd, name, value.encode("utf-8", "surrogateescape"))
    except OSError:
        pass  # of a namespace that is not ours to write, or a file system without them; podman leaves them out, too
