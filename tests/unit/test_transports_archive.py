"""Archives: every container format gives the same members, and broken ones a clear error."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from podlike.errors import StoreError
from podlike.transports.archive import open_archive

FILES = {"index.json": b"{}", "blobs/sha256/aa": b"A" * 3_000_000}


def tarred(files: dict[str, bytes], *, links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return out.getvalue()


def two_members(data: bytes) -> bytes:
    return gzip.compress(data[:1000]) + gzip.compress(data[1000:])


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, two_members])
def test_tar_in_any_packing(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(pack(tarred(FILES)))
    with open_archive(str(path), tmp=str(tmp_path / "tmp")) as archive:
        assert sorted(archive.names()) == sorted(FILES)
        assert archive.has("index.json") and archive.has("./index.json") and not archive.has("x")
        assert archive.read("blobs/sha256/aa", limit=3_000_000) == FILES["blobs/sha256/aa"]
        with archive.open("index.json") as f:
            assert list(f.pieces()) == [b"{}"]
    assert not (tmp_path / "tmp").exists() or os.listdir(tmp_path / "tmp") == []


def test_directory(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/x").write_bytes(b"x")
    with open_archive(str(tmp_path), tmp=str(tmp_path / "tmp")) as archive:
        assert archive.read("blobs/x", limit=1) == b"x"
        for name in ("../etc/passwd", "/etc/passwd", "blobs/../../x"):
            with pytest.raises(StoreError):
                archive.read(name, limit=10)


def test_standard_input(tmp_path: Path) -> None:
    code = ("import sys; from podlike.transports.archive import open_archive\n"
            f"with open_archive('-', tmp={str(tmp_path / 'tmp')!r}) as a: print(sorted(a.names()))")
    for data in (tarred(FILES), gzip.compress(tarred(FILES))):
        done = subprocess.run([sys.executable, "-c", code], input=data, stdout=subprocess.PIPE, check=True)
        assert done.stdout.decode().strip() == str(sorted(FILES))


def test_links_between_members(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tarred({"a/layer.tar": b"L"}, links={"b/layer.tar": "../a/layer.tar", "out": "../../etc/passwd",
                                                          "loop": "loop"}))
    with open_archive(str(path), tmp=str(tmp_path)) as archive:
        assert archive.read("b/layer.tar", limit=10) == b"L"
        for name in ("out", "loop", "missing"):
            with pytest.raises(StoreError):
                archive.read(name, limit=10)


@pytest.mark.parametrize("data, words", [
    (b"", "empty"), (b"x" * 2000, "no tar archive"), (gzip.compress(tarred(FILES))[:-900], "no tar archive|decompress|read"),
    (b"\x1f\x8b" + b"x" * 100, "decompress"), (b"\x28\xb5\x2f\xfd" + b"x" * 10, "zstd"),
    (lzma.compress(b"x" * 99)[:40], "tar|xz|dec"),
])
def test_broken(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with pytest.raises(StoreError, match=words), open_archive(str(path), tmp=str(tmp_path / "tmp")) as archive:
        archive.read("blobs/sha256/aa", limit=3_000_000)


def test_missing_and_limits(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        open_archive(str(tmp_path / "nope"), tmp=str(tmp_path))
    path = tmp_path / "a.tar"
    path.write_bytes(tarred(FILES))
    with open_archive(str(path), tmp=str(tmp_path)) as archive, pytest.raises(StoreError, match="larger than 100"):
        archive.read("blobs/sha256/aa", limit=100)
