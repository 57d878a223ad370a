"""podlike-layer pack: trees as layers, the same bytes each time, readable by others."""

import io
import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podlike.paths import libexec
from tests.support.need import need
from tests.support.oci import EPOCH, Dir, Fifo, File, Hardlink, Opaque, Symlink, Whiteout, digest, layer

PROGRAM = libexec("podlike-layer")
Pack = Callable[..., bytes]


@pytest.fixture
def pack() -> Pack:
    need(os.access(PROGRAM, os.X_OK), "podlike-layer is not built")
    need(subprocess.run(["unshare", "-r", "true"]).returncode == 0, "no user namespaces for this user")

    def run(source: Path, *args: str, fails: str = "") -> bytes:
        done = subprocess.run(["unshare", "-r", PROGRAM, "pack", "--source", str(source), *args], capture_output=True, timeout=60)
        doc: dict[str, Any] = json.loads(done.stderr)
        if fails:
            assert done.returncode == 1 and fails in doc["error"], doc
        else:
            assert done.returncode == 0 and doc["diff_id"] == digest(done.stdout), doc
        return done.stdout

    return run


def unpack(raw: bytes, dest: Path) -> dict[str, Any]:
    dest.mkdir()
    done = subprocess.run(["unshare", "-r", PROGRAM, "unpack", "--dest", str(dest)], input=raw, stdout=subprocess.PIPE)
    doc: dict[str, Any] = json.loads(done.stdout)
    assert "error" not in doc, doc
    return doc


def members(raw: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(raw), errors="surrogateescape") as tar:
        return {m.name: m for m in tar}


def everything() -> bytes:
    return layer([
        Dir("./", 0o711), Dir("d", 0o1777, mtime=EPOCH - 5), File("d/f", b"data" * 1000, 0o4755), Hardlink("d/h", "d/f"),
        Symlink("d/s", "/x" * 120), File("n" * 120 + "/" + "m" * 200, b"l"), File("q" * 90 + "/" + "w" * 90, b"l"),
        Fifo("p", 0o620), Whiteout("gone"), Dir("o"), Opaque("o"), File("o/kept"), Whiteout("o/gone"),
        File("x", b"1", xattrs={"user.b": "2", "user.a": "1"}), File("caf\u00e9", b"1"), File("implied/x", b"")])


def test_packing_twice_gives_the_same_bytes(pack: Pack, tmp_path: Path) -> None:
    unpack(everything(), tmp_path / "1")
    first = pack(tmp_path / "1", "--root-entry")
    unpack(first, tmp_path / "2")
    os.utime(tmp_path / "2/d/f", ns=(1, os.stat(tmp_path / "2/d/f").st_mtime_ns))  # access times are no content
    assert pack(tmp_path / "2", "--root-entry") == first


def test_what_a_layer_says(pack: Pack, tmp_path: Path) -> None:
    unpack(everything(), tmp_path / "1")
    found = members(pack(tmp_path / "1"))
    names = list(found)
    assert [n for n in names if "/" not in n] == ["caf\u00e9", "d", ".wh.gone", "implied", "n" * 120, "o", "p", "q" * 90, "x"]
    assert "." not in found and names.index("d") < names.index("d/f") < names.index("d/h")
    assert found["d"].mode == 0o1777 and found["d"].mtime == EPOCH - 5 and found["d/f"].mode == 0o4755
    assert found["d/h"].islnk() and found["d/h"].linkname == "d/f" and found["d/s"].linkname == "/x" * 120
    assert found[".wh.gone"].isreg() and found[".wh.gone"].size == 0 and "o/.wh..wh..opq" in found and "o/.wh.gone" in found
    assert found["p"].isfifo() and found["n" * 120 + "/" + "m" * 200].size == 1
    assert found["x"].pax_headers == {"SCHILY.xattr.user.a": "1", "SCHILY.xattr.user.b": "2"}
    assert all(m.uname == "" and m.uid == 0 for m in found.values())
    assert members(pack(tmp_path / "1", "--root-entry"))["."].mode == 0o711


def test_order_does_not_depend_on_the_directory(pack: Pack, tmp_path: Path) -> None:
    names = [f"{n:x}" for n in range(300)]
    for directory, order in (("a", names), ("b", names[::-1])):
        (tmp_path / directory).mkdir()
        for name in order:
            (tmp_path / directory / name).write_text(name)
            os.utime(tmp_path / directory / name, (EPOCH, EPOCH))
    assert pack(tmp_path / "a") == pack(tmp_path / "b")
    assert list(members(pack(tmp_path / "a"))) == sorted(names)


def test_times_to_the_nanosecond(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    for name, ns in (("a", 1234567890123456789), ("b", -5_250_000_000), ("c", EPOCH * 10**9), ("d", 10**9 // 2)):
        (tmp_path / "1" / name).touch()
        os.utime(tmp_path / "1" / name, ns=(ns, ns))
    raw = pack(tmp_path / "1")
    unpack(raw, tmp_path / "2")
    for name in "abcd":
        assert os.stat(tmp_path / "2" / name).st_mtime_ns == os.stat(tmp_path / "1" / name).st_mtime_ns
    assert members(raw)["b"].pax_headers["mtime"] == "-5.25" and "mtime" not in members(raw)["c"].pax_headers


def test_holes_stay_holes(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    with open(tmp_path / "1/s", "wb") as f:
        f.write(b"head")
        f.seek(5_000_000)
        f.write(b"tail")
        f.truncate(9_000_000)
    with open(tmp_path / "1/nothing", "wb") as f:
        f.truncate(1 << 20)
    raw = pack(tmp_path / "1")
    assert len(raw) < 100_000 and len(pack(tmp_path / "1", "--no-holes")) > 10_000_000
    unpack(raw, tmp_path / "2")
    (tmp_path / "3").mkdir()
    subprocess.run(["tar", "-C", tmp_path / "3", "-x"], input=raw, check=True)  # GNU tar understands it too
    for other in ("2", "3"):
        assert (tmp_path / other / "s").read_bytes() == (tmp_path / "1/s").read_bytes()
        assert (tmp_path / other / "nothing").read_bytes() == bytes(1 << 20)
    assert os.lstat(tmp_path / "2/s").st_blocks * 512 < 100_000
    assert members(raw)["s"].size == 9_000_000 and pack(tmp_path / "2") == raw


def test_an_overlays_upper_directory(pack: Pack, tmp_path: Path) -> None:
    """What a container changes is a layer: deletions, replaced directories, no books of overlayfs."""
    script = """set -e
        cd "$1"; mkdir lower upper work merged; mkdir lower/dir lower/again
        for f in dir/f again/old gone changed; do echo x > lower/$f; done
        mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work,userxattr none merged
        rm merged/gone; rm -r merged/again; mkdir merged/again; echo y > merged/again/new; echo y > merged/changed
        rm merged/dir/f"""
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path)], capture_output=True)
    need(done.returncode == 0, f"no overlay in a user namespace here: {done.stderr.decode()}")
    raw = pack(tmp_path / "upper")
    assert list(members(raw)) == ["again", "again/.wh..wh..opq", "again/new", "changed", "dir", "dir/.wh.f", ".wh.gone"]
    assert not any(m.pax_headers.get("SCHILY.xattr.user.overlay.origin") for m in members(raw).values())
    unpack(raw, tmp_path / "again")
    assert os.getxattr(tmp_path / "again/again", "user.overlay.opaque") == b"y"
    assert stat.S_ISCHR(os.lstat(tmp_path / "again/gone").st_mode)
    subprocess.run(["unshare", "-r", "rm", "-rf", str(tmp_path / "work")])


def test_what_no_layer_can_hold(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/.wh.x").touch()
    pack(tmp_path / "a", fails=".wh.x: names that begin with .wh. mean deletions")
    pack(tmp_path / "nope", fails="No such file")
    import socket

    (tmp_path / "b").mkdir()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(os.path.relpath(tmp_path / "b/sock"))
    assert members(pack(tmp_path / "b")) == {}


def test_names_are_bytes(pack: Pack, tmp_path: Path) -> None:
    top = os.fsencode(tmp_path / "1")
    os.mkdir(top)
    names = sorted([b"bad-\xff\xfe", b"new\nline", "caf\u00e9".encode(), b"\xff" * 200])
    for name in names:
        open(top + b"/" + name, "wb").close()
    unpack(pack(tmp_path / "1"), tmp_path / "2")
    assert sorted(os.listdir(os.fsencode(tmp_path / "2"))) == names


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(os.urandom(3_000_000))
    child = subprocess.Popen([PROGRAM, "pack", "--source", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None and child.stderr is not None
    child.stdout.read(10)
    child.stdout.close()
    child.stderr.read()
    assert child.wait(timeout=10) != 0
    child.stderr.close()
