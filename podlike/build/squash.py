"""Several layers as one: what --squash, --squash-all and --layers=false make of a stage."""

import os
import stat
import tarfile

from podlike.engine.core import Engine
from podlike.engine.newimage import NewLayer
from podlike.errors import StoreError
from podlike.transports.sending import nameless, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO, Final

_WHITEOUT: "Final" = ".wh."
_OPAQUE: "Final" = ".wh..wh..opq"
_BLOCK: "Final" = 512


def squashed(engine: Engine, layers: "Sequence[str]", *, whole: bool) -> NewLayer:
    """One layer that does what these do, one upon the other. layers: diff IDs, lowest first. whole: there is nothing below
    them, so that deletions need not be told. Its fd is the caller's. Raises: StoreError.
    """
    kept = nameless(engine.roots.tmp)
    try:
        merge = _Merge(engine, kept, whole=whole)
        plan = [merge.choose(diff_id) for diff_id in reversed(layers)]
        for diff_id, chosen in zip(layers, reversed(plan), strict=True):
            merge.write(diff_id, chosen)
        merge.finish()
        return NewLayer(kept, merge.diff_id, "squashed layer")
    except BaseException:
        os.close(kept)
        raise


class _Merge:
    """Two passes: from the top, which entries of each layer can still be seen; from the bottom, writing them."""

    def __init__(self, engine: Engine, kept: int, *, whole: bool) -> None:
        import hashlib

        self._engine = engine
        self._kept = kept
        self._whole = whole
        self._seen: set[str] = set()  # paths that a layer above has
        self._covered: set[str] = set()  # below them nothing of a layer further down is seen
        self._digest = hashlib.sha256()

    @property
    def diff_id(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"

    def choose(self, diff_id: str) -> set[str]:
        """Names of the layer's entries that are seen. The layers above were asked before."""
        chosen: set[str] = set()
        seen: set[str] = set()
        covered: set[str] = set()
        with _Tar(self._engine, diff_id) as archive:
            for info in archive:
                name = info.name.strip("/")
                place, covers = _meaning(name, directory=info.isdir())
                if self._is_covered(name):
                    continue
                if place not in self._seen or (name.endswith(_OPAQUE) and name not in self._seen):
                    chosen.add(name)
                    seen.add(name if name.endswith(_OPAQUE) else place)
                if covers:
                    covered.add(covers)
        self._seen |= seen
        self._covered |= covered
        return chosen

    def _is_covered(self, name: str) -> bool:
        parts = name.split("/")
        return any("/".join(parts[:n]) in self._covered for n in range(len(parts)))

    def write(self, diff_id: str, chosen: set[str]) -> None:
        links: "dict[str, str]" = {}  # file whose own entry is not seen -> its first other name that is
        with _Tar(self._engine, diff_id) as archive:
            for info in archive:
                name = info.name.strip("/")
                if name not in chosen or (self._whole and name.rsplit("/", 1)[-1].startswith(_WHITEOUT)):
                    continue
                first = info.linkname.strip("/")
                if info.islnk() and first not in chosen:
                    if first in links:
                        info.linkname = links[first]
                    else:
                        links[first] = name
                        self._materialize(diff_id, info, first)
                        continue
                info.name = name + "/" * info.isdir()
                self._put(info, archive.extractfile(info) if info.isreg() else None)

    def _materialize(self, diff_id: str, info: tarfile.TarInfo, first: str) -> None:
        """A second name whose first one is gone becomes the file itself."""
        from podlike.runtime import spawn

        root = os.open(self._engine.layers.path(diff_id), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = spawn.open_in_root(root, first, os.O_RDONLY | os.O_NOFOLLOW)
        except spawn.SpawnError as e:
            raise StoreError(f"squash layer {diff_id}: {first}: {os.strerror(e.errno)}") from e
        finally:
            os.close(root)
        with open(fd, "rb") as f:
            st = os.fstat(fd)
            info.type, info.linkname, info.size = tarfile.REGTYPE, "", st.st_size
            info.mode, info.uid, info.gid, info.mtime = stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, int(st.st_mtime)
            self._put(info, f)

    def _put(self, info: tarfile.TarInfo, content: "IO[bytes] | None") -> None:
        # Of the others tobuf() writes those that are still true.
        info.pax_headers = {k: v for k, v in info.pax_headers.items() if k.startswith("SCHILY.xattr.")}
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        if content is None:
            return
        size = 0
        while piece := content.read(1 << 20):
            size += len(piece)
            self._write(piece)
        if size != info.size:
            raise StoreError(f"squash: {info.name} has {size} bytes of {info.size}")
        self._write(b"\0" * (-size % _BLOCK))

    def finish(self) -> None:
        self._write(b"\0" * (2 * _BLOCK))

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        write_all(self._kept, data, f"to {self._engine.roots.tmp}")


def _meaning(name: str, *, directory: bool) -> tuple[str, str]:
    """(path that the entry is about, path whose contents in lower layers it hides, "" for none)."""
    above, _, last = name.rpartition("/")
    if last == _OPAQUE:
        return above, above or ""
    if last.startswith(_WHITEOUT):
        gone = f"{above}/{last[len(_WHITEOUT):]}".lstrip("/")
        return gone, gone
    return name, "" if directory else name


class _Tar:
    """A layer as its tar is written from what is unpacked; for `with`, gives the archive."""

    def __init__(self, engine: Engine, diff_id: str) -> None:
        from podlike.store.pack import LayerPack

        self._pack = LayerPack(engine.layers.path(diff_id), holes=False)
        self._archive: tarfile.TarFile | None = None

    def __enter__(self) -> tarfile.TarFile:
        self._pack.__enter__()
        try:
            self._archive = tarfile.open(fileobj=self._pack.stream, mode="r|")
        except BaseException:
            self._pack.__exit__()
            raise
        return self._archive

    def __exit__(self, *exc: object) -> None:
        assert self._archive is not None
        self._archive.close()
        self._pack.__exit__(*exc)
