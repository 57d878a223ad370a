"""Readers of archives and hostile bytes: only StoreError comes out, quickly, and nothing is left open or on disk."""

import gzip
import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from podlike.errors import NotFoundError, StoreError
from podlike.spec.image import host_platform
from podlike.transports.archive import open_archive
from podlike.transports.codec import decompress, detect
from podlike.transports.opening import OpenSource
from tests.support import oci

QUICK = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def member(name: str, data: bytes = b"", **header: Any) -> bytes:
    """One member; header: fields of TarInfo that say something else than the truth."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in header.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def archive(*members: bytes) -> bytes:
    return b"".join(members) + bytes(1024)


def docker_files(image: oci.Image, **manifest: Any) -> dict[str, bytes]:
    config = image.config_blob()
    layers = {f"{n}/layer.tar": data for n, data in enumerate(image.layers)}
    doc = [{"Config": "c.json", "RepoTags": ["x:1"], "Layers": list(layers), **manifest}]
    return {"manifest.json": json.dumps(doc).encode(), "c.json": config, **layers}


def tar_of(files: dict[str, bytes]) -> bytes:
    return archive(*(member(name, data) for name, data in files.items()))


IMAGE = oci.Image(layers=[oci.layer([oci.File("a", b"A" * 5000)]), oci.layer([oci.File("b", b"B")])])
OCI_FILES = oci.layout({"localhost/x:1": IMAGE})


def read_all(path: Path, tmp: Path) -> list[Any]:
    """Everything that loading reads, without storing it."""
    found = []
    with OpenSource(str(path), tmp=str(tmp)) as source:
        for image in source.images(host_platform()):
            for layer in image.layers:
                with source.open_layer(layer) as data:
                    found.append((image.names, hashlib.sha256(b"".join(data.pieces())).hexdigest()))
    return found


@pytest.fixture
def no_leaks(tmp_path: Path) -> Iterator[Path]:
    """The directory for spooling, which must be empty again; and no descriptor may stay open."""
    before = os.listdir("/proc/self/fd")
    tmp = tmp_path / "spool"
    yield tmp
    assert not tmp.exists() or os.listdir(tmp) == []
    assert len(os.listdir("/proc/self/fd")) <= len(before)


def refused(path: Path, tmp: Path, words: str) -> None:
    with pytest.raises((StoreError, NotFoundError), match=words) as error:
        read_all(path, tmp)
    assert len(error.value.message) < 2000


BIG = 1 << 40
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "one byte": (b"x", "no tar archive"),
    "text": (b"this is no archive at all\n" * 100, "supported image formats"),
    "zeros": (bytes(10240), "neither index.json nor manifest.json|empty|no tar"),
    "member of a terabyte": (member("manifest.json", b"[]", size=BIG), "cut off|unexpected end"),
    "manifest of a gigabyte": (member("manifest.json", b"[" * 512, size=1 << 30) , "cut off|larger than|unexpected end"),
    "path out": (tar_of(docker_files(IMAGE, Config="../c.json")), "no path inside"),
    "absolute path": (tar_of(docker_files(IMAGE, Config="/etc/passwd")), "no path inside"),
    "NUL in a path": (tar_of(docker_files(IMAGE, Config="a\0b")), "no path inside"),
    "empty path": (tar_of(docker_files(IMAGE, Config="")), "no path inside"),
    "link out": (archive(member("manifest.json", type=tarfile.SYMTYPE, linkname="../../etc/passwd")), "link out of"),
    "absolute link": (archive(member("manifest.json", type=tarfile.SYMTYPE, linkname="/etc/passwd")), "link out of"),
    "hard link out": (archive(member("manifest.json", type=tarfile.LNKTYPE, linkname="../x")), "link out of the archive"),
    "link to itself": (archive(member("manifest.json", type=tarfile.SYMTYPE, linkname="manifest.json")), "without end"),
    "links in a ring": (archive(member("manifest.json", type=tarfile.SYMTYPE, linkname="b"),
                                member("b", type=tarfile.SYMTYPE, linkname="manifest.json")), "without end"),
    "manifest twice": (archive(member("manifest.json", b"[]"), member("manifest.json", b"[{}]")), "occurs twice"),
    "layer twice": (tar_of(docker_files(IMAGE))[:-1024] + archive(member("0/layer.tar", b"other")), "occurs twice"),
    "device as manifest": (archive(member("manifest.json", type=tarfile.CHRTYPE)), "neither index.json"),
    "no JSON": (tar_of({"manifest.json": b"{"}), "no JSON"),
    "deep JSON": (tar_of({"manifest.json": b"[" * 100000 + b"]" * 100000}), "no JSON|expected"),
    "not UTF-8": (tar_of({"manifest.json": b'[{"Config":"\xff\xfe"}]'}), "no JSON"),
    "no list": (tar_of({"manifest.json": b"{}"}), "names no image"),
    "empty list": (tar_of({"manifest.json": b"[]"}), "names no image"),
    "list of numbers": (tar_of({"manifest.json": b"[1]"}), "expected a string"),
    "layers of numbers": (tar_of(docker_files(IMAGE, Layers=[1, 2])), "expected a list of strings"),
    "tags of dicts": (tar_of(docker_files(IMAGE, RepoTags=[{}])), "expected a list of strings"),
    "bad tag": (tar_of(docker_files(IMAGE, RepoTags=["UPPER case"])), "invalid reference|lowercase"),
    "too few layers": (tar_of(docker_files(IMAGE, Layers=["0/layer.tar"])), "1 entries, the config 2"),
    "missing layer": (tar_of(docker_files(IMAGE, Layers=["0/layer.tar", "9/layer.tar"])), "no such file in the archive"),
    "missing config": (tar_of(docker_files(IMAGE, Config="d.json")), "no such file in the archive"),
    "xz layer": (tar_of({**docker_files(IMAGE), "1/layer.tar": b"\xfd7zXZ\0" + bytes(99)}), "compressed with xz"),
    "long PAX header": (archive(member("x", b"9" * (2 << 20), type=tarfile.XHDTYPE), member("x")), "larger than 1048576"),
    "long GNU name": (archive(member("x", b"n" * (2 << 20), type=tarfile.GNUTYPE_LONGNAME), member("x")), "larger than 1048576"),
    "PAX size lies": (archive(member("x", b"22 size=-999999999999\n", type=tarfile.XHDTYPE), member("manifest.json")),
                      "no tar|neither|cut off|no JSON"),
    "sparse file": (archive(member("manifest.json", b"", type=tarfile.GNUTYPE_SPARSE)), "sparse|no tar"),
    "index and manifests": (tar_of({"index.json": b'{"schemaVersion":2,"manifests":[],"layers":[]}'}), "two ways"),
    "empty index": (tar_of({"index.json": b'{"schemaVersion":2,"manifests":[]}'}), "names no image"),
    "manifest as index": (tar_of({"index.json": IMAGE.blobs()[0]}), "no image index"),
    "digest with a path": (tar_of({"index.json": b'{"schemaVersion":2,"manifests":[{"mediaType":"x","size":1,"digest":'
                                                 b'"sha256:../../x"}]}'}), "digest"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_hostile_archives(tmp_path: Path, no_leaks: Path, name: str, packed: bool) -> None:
    data, words = HOSTILE[name]
    path = tmp_path / "a.tar"
    path.write_bytes(gzip.compress(data) if packed and data else data)
    started = time.monotonic()
    refused(path, no_leaks, words)
    assert time.monotonic() - started < 5


def changed_layout(**changes: Any) -> bytes:
    """The layout with the manifest's own descriptor changed in the index."""
    index = json.loads(OCI_FILES["index.json"])
    index["manifests"][0].update(changes)
    return tar_of({**OCI_FILES, "index.json": json.dumps(index).encode()})


@pytest.mark.parametrize(("changes", "words"), [
    ({"size": 3}, "bytes, expected 3"), ({"size": -1}, "not negative"), ({"size": "1"}, "not negative"),
    ({"digest": "sha256:" + 64 * "0"}, "no such file"), ({"digest": "md5:" + 32 * "0"}, "digest"),
    ({"mediaType": "application/vnd.oci.image.index.v1+json"}, "does not fit"), ({"digest": 5}, "string"),
])
def test_lying_descriptors(tmp_path: Path, no_leaks: Path, changes: dict[str, Any], words: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(changed_layout(**changes))
    refused(path, no_leaks, words)


def test_index_that_contains_itself_in_depth(tmp_path: Path, no_leaks: Path) -> None:
    files = dict(OCI_FILES)
    entry = json.loads(files["index.json"])["manifests"][0]
    for _ in range(8):
        data = json.dumps({"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": [entry]}).encode()
        files["blobs/" + oci.digest(data).replace(":", "/")] = data
        entry = {"mediaType": oci.INDEX, "digest": oci.digest(data), "size": len(data)}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(files))
    refused(path, no_leaks, "nested too deep")


def test_more_members_than_an_archive_has(tmp_path: Path, no_leaks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podlike.transports.archive._MAX_MEMBERS", 1000)
    path = tmp_path / "a.tar"
    one = tarfile.TarInfo("d")
    one.type = tarfile.DIRTYPE
    path.write_bytes(one.tobuf() * 1001 + bytes(1024))
    refused(path, no_leaks, "more than 1000 members")


def test_directory_with_links_and_a_fifo(tmp_path: Path, no_leaks: Path) -> None:
    d = tmp_path / "d"
    d.mkdir()
    (tmp_path / "secret").write_bytes(b"{}")
    os.symlink("../secret", d / "manifest.json")
    refused(d, no_leaks, "link out of the directory")
    os.unlink(d / "manifest.json")
    os.mkfifo(d / "index.json")
    refused(d, no_leaks, "neither index.json")


def test_docker_archive_whose_layers_are_links(tmp_path: Path, no_leaks: Path) -> None:
    """docker 1.10 to 24 wrote an equal layer once and links to it."""
    first = IMAGE.layers[0]
    image = oci.Image(layers=[first, first])
    files = docker_files(image)
    data = archive(member("manifest.json", files["manifest.json"]), member("c.json", files["c.json"]),
                   member("0/layer.tar", first), member("1/layer.tar", type=tarfile.SYMTYPE, linkname="../0/layer.tar"))
    for content in (data, gzip.compress(data)):
        path = tmp_path / "a.tar"
        path.write_bytes(content)
        assert read_all(path, no_leaks) == [(("docker.io/library/x:1",), hashlib.sha256(first).hexdigest())] * 2


def damaged(draw: Any, data: bytes) -> bytes:
    """data with some bytes changed, a piece cut out, or its end missing."""
    kind: str = draw(st.sampled_from(("flip", "cut", "end", "repeat", "insert")))
    at = draw(st.integers(0, len(data) - 1))
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1:]
    if kind == "end":
        return data[:at]
    length = draw(st.integers(1, 2000))
    if kind == "cut":
        return data[:at] + data[at + length:]
    if kind == "repeat":
        return data[:at] + data[at:at + length] * 2 + data[at + length:]
    new: bytes = draw(st.binary(min_size=1, max_size=600))
    return data[:at] + new + data[at:]


@st.composite
def damaged_archives(draw: Any) -> bytes:
    data = draw(st.sampled_from((tar_of(docker_files(IMAGE)), tar_of(OCI_FILES))))
    for _ in range(draw(st.integers(1, 3))):
        data = damaged(draw, data) or b"x"
    if draw(st.booleans()):
        data = gzip.compress(data, compresslevel=1)
        if draw(st.booleans()):
            data = damaged(draw, data) or b"x"
    return bytes(data)


@QUICK
@given(data=damaged_archives())
def test_damaged_archives(tmp_path: Path, data: bytes) -> None:
    """Whatever is damaged: all is read, or there is one clear error. Descriptors and spools do not pile up."""
    path, tmp = tmp_path / "a.tar", tmp_path / "spool"
    path.write_bytes(data)
    before = len(os.listdir("/proc/self/fd"))
    try:
        read_all(path, tmp)
    except (StoreError, NotFoundError) as e:
        assert e.message and "\n" not in e.message
    assert len(os.listdir("/proc/self/fd")) == before
    assert not tmp.exists() or os.listdir(tmp) == []


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300).filter(lambda s: s.strip("/."))


@QUICK
@given(files=st.dictionaries(NAMES, st.binary(max_size=2000), max_size=8), packed=st.booleans())
@example(files={"a" * 300: b"x", "b/" * 100 + "c": b""}, packed=True)
def test_what_was_packed_is_read(tmp_path: Path, files: dict[str, bytes], packed: bool) -> None:
    """Names of any length and kind; a file and a stream give the same members."""
    by_clean = {os.path.normpath(name): data for name, data in files.items()}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in by_clean.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    path = tmp_path / "a.tar"
    path.write_bytes(gzip.compress(out.getvalue()) if packed else out.getvalue())
    if not by_clean:
        return
    with open_archive(str(path), tmp=str(tmp_path / "spool")) as found:
        names = set(found.names())
        for name, data in by_clean.items():
            stored = os.path.normpath(name.rstrip("/"))
            assert stored in names
            if not name.startswith("/") and ".." not in name.split("/"):
                assert found.read(stored, limit=5000) == data


@QUICK
@given(data=st.binary(max_size=3000), how=st.sampled_from(("gzip", "zstd", "xz", "bzip2")), cut=st.integers(1, 700))
def test_any_bytes_as_compressed(data: bytes, how: str, cut: int) -> None:
    pieces = [data[i:i + cut] for i in range(0, len(data), cut)]
    try:
        for piece in decompress(pieces, how, "x"):
            assert len(piece) <= 1 << 20
    except StoreError as e:
        assert e.message.startswith("decompress x")


@QUICK
@given(data=st.binary(max_size=20000), how=st.sampled_from(("gzip", "zstd", "xz", "bzip2", "")), cut=st.integers(1, 3000),
       twice=st.booleans())
def test_compressed_and_back(data: bytes, how: str, cut: int, twice: bool) -> None:
    """In pieces of any size, one stream or two behind each other."""
    import bz2
    import lzma

    import zstandard

    pack: dict[str, Any] = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress, "xz": lzma.compress,
                            "bzip2": bz2.compress, "": bytes}
    packed = pack[how](data) * (2 if twice else 1)
    assert not how or detect(packed[:6]) == how
    pieces = [packed[i:i + cut] for i in range(0, len(packed), cut)]
    assert b"".join(decompress(pieces, how, "x")) == data * (2 if twice else 1)


@pytest.mark.parametrize("how", ["gzip", "zstd", "xz", "bzip2"])
def test_memory_of_a_bomb(how: str) -> None:
    """Zeros come in pieces of a megabyte."""
    import bz2
    import lzma

    import zstandard

    zeros = bytes(16 << 20)
    pack: dict[str, Any] = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress, "xz": lzma.compress,
                            "bzip2": bz2.compress}
    packed = pack[how](zeros)
    total = 0
    for piece in decompress([packed], how, "x"):
        assert len(piece) <= 1 << 20
        total += len(piece)
    assert total == len(zeros)
