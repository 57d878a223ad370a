"""COPY and ADD: files become a layer, without a container.

Source: docs.docker.com/reference/dockerfile, "COPY" and "ADD".
"""

import os
import stat
import tarfile
from contextlib import closing

from podlike.build.sourcetree import apply_chmod, parse_chmod
from podlike.build.tarlayer import TarLayer, looks_like_tar
from podlike.errors import StoreError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final, NamedTuple

    from podlike.build.rootview import RootView
    from podlike.build.sourcetree import Member, SourceTree
    from podlike.spec.ignorefile import Ignored
else:
    from podlike.spec.record import NamedTuple

_NO_XATTR: "Final" = ("user.overlay.", "trusted.", "user.fuseoverlayfs.", "user.containers.", "security.selinux", "security.ima",
                      "security.evm")
_SET_ID: "Final" = stat.S_ISUID | stat.S_ISGID


class Copying(NamedTuple):
    """One COPY or ADD with all its variables replaced.

    sources: words below tree. files: (name, content) of here-documents. downloads: (name, fd, mtime) of ADD's URLs.
    target: absolute path; a slash at its end says that it is a directory. owner: of everything; None: as it is in the
    source. unpack: archives become their contents (ADD). keep_set_id: from another stage or image.
    """

    sources: "Sequence[str]"
    target: str
    files: "Sequence[tuple[str, bytes]]" = ()
    downloads: "Sequence[tuple[str, int, int]]" = ()
    owner: tuple[int, int] | None = (0, 0)
    chmod: str = ""
    parents: bool = False
    excluded: "Ignored | None" = None
    unpack: bool = False
    keep_set_id: bool = False
    epoch: int | None = None  # no time is later


class CopyStep:
    """Writes the layer. Raises: UsageError, NotFoundError, StoreError."""

    def __init__(self, layer: TarLayer, view: "RootView", tree: "SourceTree", how: Copying) -> None:
        self._layer = layer
        self._view = view
        self._tree = tree
        self._how = how
        self._chmod = parse_chmod(how.chmod) if how.chmod else None
        self._links: "dict[tuple[int, int], str]" = {}
        self._known: set[str] = {"/"}  # directories that are there, in the image or in the layer

    def run(self) -> None:
        how = self._how
        found = [(word, path) for word in how.sources for path in self._tree.matches(word)]
        kinds = {path: stat.S_ISDIR(self._tree.stat(path).st_mode) for _, path in found}
        target, st = self._view.resolve(how.target)
        files = [path for _, path in found if not kinds[path]]
        several = len(found) + len(how.files) + len(how.downloads) > 1
        into = how.target.endswith(("/", "/.")) or how.parents or (st is not None and stat.S_ISDIR(st.st_mode))
        if several and files and not into and not all(kinds.values()):
            raise UsageError(f"copying more than one file to {how.target}: it is not a directory",
                             hint=f"Write {how.target}/ if it is to be one.")
        if (into or any(kinds.values())) and st is not None and not stat.S_ISDIR(st.st_mode):
            raise UsageError(f"copying to {how.target}: it is there already, and not a directory")
        for word, path in found:
            self._source(word, path, target, directory=kinds[path], into=into)
        for name, content in how.files:
            place = _below(target, name) if into else target
            self._above(place)
            self._layer.data(place, content, mode=self._mode(0o644, directory=False), uid=self._uid, gid=self._gid, mtime=0)
            self._layer.kinds.add("file")
        for name, fd, mtime in how.downloads:
            place = _below(target, name) if into else target
            self._above(place)
            self._layer.file(place, fd, os.fstat(fd).st_size, mode=self._mode(0o600, directory=False), uid=self._uid,
                             gid=self._gid, mtime=self._time(mtime))
            self._layer.kinds.add("file")
        self._layer.finish()

    @property
    def _uid(self) -> int:
        return self._how.owner[0] if self._how.owner else 0

    @property
    def _gid(self) -> int:
        return self._how.owner[1] if self._how.owner else 0

    def _source(self, word: str, path: str, target: str, *, directory: bool, into: bool) -> None:
        if self._how.parents:
            target = self._with_parents(word, path, target)
            self._copy(path, target)
        elif directory:
            self._copy(path, target)
        elif self._how.unpack and self._unpacked(path, target):
            return
        else:
            self._copy(path, _below(target, path.rsplit("/", 1)[-1]) if into else target)

    def _with_parents(self, word: str, path: str, target: str) -> str:
        """--parents: the path as it was written, from the pivot "/./" on."""
        skipped = word.partition("/./")[0].strip("/") if "/./" in word else ""
        kept = path.removeprefix(skipped).lstrip("/") if skipped and path.startswith(skipped) else path
        return _below(target, kept)

    def _copy(self, path: str, target: str) -> None:
        for member in self._tree.walk(path, self._how.excluded):
            place = _below(target, member.path) if member.path else target
            if member.path == "":
                self._layer.kinds.add("dir" if stat.S_ISDIR(member.st.st_mode) else "file")
                if stat.S_ISDIR(member.st.st_mode):
                    self._above(_below(target, "x"))  # what a directory is copied to has the mode of a new one
                    continue
            self._member(member, place)

    def _member(self, member: "Member", place: str) -> None:
        st = member.st
        kind = stat.S_IFMT(st.st_mode)
        uid, gid = self._how.owner or (st.st_uid, st.st_gid)
        mtime = self._time(int(st.st_mtime))
        if kind == stat.S_IFSOCK:
            return
        self._above(place)
        if kind == stat.S_IFDIR:
            mode = self._mode(stat.S_IMODE(st.st_mode), directory=True)
            self._layer.directory(place, mode=mode, uid=uid, gid=gid, mtime=mtime, xattrs=_xattrs(member.fd))
            self._known.add(place)
        elif kind == stat.S_IFLNK:
            self._layer.link(place, os.readlink("", dir_fd=member.fd), uid=uid, gid=gid, mtime=mtime)
        elif kind == stat.S_IFREG:
            self._file(member, place, uid, gid, mtime)
        else:
            what = {stat.S_IFIFO: tarfile.FIFOTYPE, stat.S_IFCHR: tarfile.CHRTYPE}.get(kind, tarfile.BLKTYPE)
            self._layer.special(place, what, mode=self._mode(stat.S_IMODE(st.st_mode), directory=False), uid=uid, gid=gid,
                                mtime=mtime, major=os.major(st.st_rdev), minor=os.minor(st.st_rdev))

    def _file(self, member: "Member", place: str, uid: int, gid: int, mtime: int) -> None:
        st = member.st
        if st.st_nlink > 1:
            first = self._links.setdefault((st.st_dev, st.st_ino), place)
            if first != place:
                self._layer.link(place, first, uid=uid, gid=gid, mtime=mtime, hard=True)
                return
        try:
            fd = os.open(f"/proc/self/fd/{member.fd}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            raise StoreError(f"copy {place}: open {member.path or place}: {(e.strerror or '').lower()}",
                             hint="Give yourself the right to read it, or leave it out with .containerignore.") from e
        try:
            mode = self._mode(stat.S_IMODE(st.st_mode), directory=False)
            self._layer.file(place, fd, os.fstat(fd).st_size, mode=mode, uid=uid, gid=gid, mtime=mtime, xattrs=_xattrs(fd))
        finally:
            os.close(fd)

    def _mode(self, mode: int, *, directory: bool) -> int:
        if not self._how.keep_set_id:
            mode &= ~_SET_ID
        return apply_chmod(self._chmod, mode, directory=directory) if self._chmod is not None else mode

    def _time(self, mtime: int) -> int:
        return mtime if self._how.epoch is None else min(mtime, self._how.epoch)

    def _above(self, place: str) -> None:
        """Make the directories above a path that are not there."""
        above = os.path.dirname(place)
        if above in self._known:
            return
        self._above(above)
        self._known.add(above)
        _, st = self._view.resolve(above)
        if st is None:
            self._layer.directory(above, uid=self._uid, gid=self._gid, mtime=self._how.epoch or 0)
        elif not stat.S_ISDIR(st.st_mode):
            raise UsageError(f"copying to {place}: {above} is there already, and not a directory")

    # --- ADD's archives ---

    def _unpacked(self, path: str, target: str) -> bool:
        """Put in what is in an archive; False: the file is none."""
        from podlike.transports.codec import HEAD, detect

        walk = self._tree.walk(path)  # as long as it is there, so is the member's fd
        member = next(walk)
        if not stat.S_ISREG(member.st.st_mode):
            return False
        with closing(walk), open(f"/proc/self/fd/{member.fd}", "rb") as f:
            head = f.read(max(HEAD, 512))
            how = detect(head[:HEAD])
            if not how and not looks_like_tar(head):
                return False
            f.seek(0)
            source: "Any" = _Reader(f, how, path)
            try:
                archive = tarfile.open(fileobj=source, mode="r|", errorlevel=2)
            except (tarfile.ReadError, StoreError):
                return False  # a packed file that is no archive is copied as it is
            try:
                with archive:
                    self._archive(archive, target)
            except tarfile.ReadError as e:
                raise StoreError(f"unpack {path}: {e}", hint="The archive is damaged; make it again, or use COPY.") from e
        self._layer.kinds.add("dir")
        return True

    def _archive(self, archive: tarfile.TarFile, target: str) -> None:
        for info in archive:
            name = os.path.normpath("/" + info.name)
            if name == "/":
                continue
            place = _below(target, name)
            uid, gid = self._how.owner or (info.uid, info.gid)
            mtime = self._time(int(info.mtime))
            mode = apply_chmod(self._chmod, info.mode & 0o7777, directory=info.isdir()) if self._chmod is not None \
                else info.mode & 0o7777
            self._above(place)
            if info.isdir():
                self._layer.directory(place, mode=mode, uid=uid, gid=gid, mtime=mtime)
                self._known.add(place)
            elif info.issym():
                self._layer.link(place, info.linkname, uid=uid, gid=gid, mtime=mtime)
            elif info.islnk():
                first = _below(target, os.path.normpath("/" + info.linkname))
                self._layer.link(place, first, uid=uid, gid=gid, mtime=mtime, hard=True)
            elif info.isreg():
                info.mode, info.mtime = mode, mtime
                self._layer.stream(place, _content(archive, info), info, uid=uid, gid=gid)
            else:
                self._layer.special(place, info.type, mode=mode, uid=uid, gid=gid, mtime=mtime, major=info.devmajor,
                                    minor=info.devminor)


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> "Iterator[bytes]":
    content = archive.extractfile(info)
    assert content is not None
    while piece := content.read(1 << 20):
        yield piece


class _Reader:
    """The decompressed bytes of a file, for tarfile."""

    def __init__(self, file: "Any", how: str, shown: str) -> None:
        from podlike.transports.codec import decompress

        self._pieces: "Iterator[bytes]" = iter(lambda: file.read(1 << 20), b"")
        if how:
            self._pieces = iter(decompress(self._pieces, how, shown))
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._rest += piece
        out, self._rest = self._rest[:size], self._rest[size:]
        return out


def _below(directory: str, path: str) -> str:
    """One absolute path of two, with one slash where they meet."""
    return os.path.normpath(f"{directory.rstrip('/')}/{path.strip('/')}")


def _xattrs(fd: int) -> "dict[str, bytes]":
    path = f"/proc/self/fd/{fd}"
    try:
        names = [n for n in os.listxattr(path) if not n.startswith(_NO_XATTR)]
        return {name: os.getxattr(path, name) for name in names}
    except OSError:
        return {}  # a file system without them
