"""podlike-layer: what it makes of good layers, and that bad ones get nowhere."""

import gzip
import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podlike.paths import libexec
from podlike.store.trees import remove_tree
from tests.support.need import need
from tests.support.oci import (
    EPOCH,
    CharDevice,
    Dir,
    Entry,
    Fifo,
    File,
    Hardlink,
    Opaque,
    Symlink,
    Whiteout,
    compress,
    digest,
    layer,
)

Unpack = Callable[..., dict[str, Any]]
PROGRAM = libexec("podlike-layer")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Path]:
    """A directory with a victim beside the layer's root; both are compared after the test."""
    need(os.access(PROGRAM, os.X_OK), "podlike-layer is not built")
    need(subprocess.run(["unshare", "-r", "true"]).returncode == 0, "no user namespaces for this user")
    (tmp_path / "root").mkdir()
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/file").write_text("untouched")
    yield tmp_path
    assert sorted(os.listdir(tmp_path)) == ["root", "victim"], "something was written beside the root"
    assert os.listdir(tmp_path / "victim") == ["file"]
    assert (tmp_path / "victim/file").read_text() == "untouched"
    remove_tree(str(tmp_path / "root"))


@pytest.fixture
def unpack(box: Path) -> Unpack:
    """Run podlike-layer in a user namespace that maps only this user (as 0)."""

    def run(data: bytes | list[Entry], *args: str, fails: bool = False) -> dict[str, Any]:
        raw = data if isinstance(data, bytes) else layer(data)
        done = subprocess.run(["unshare", "-r", PROGRAM, "unpack", "--dest", str(box / "root"), *args],
                              input=raw, stdout=subprocess.PIPE, timeout=60)
        doc: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (1 if fails else 0), doc
        assert ("error" in doc) == fails
        return doc

    return run


def lstat(path: Path) -> os.stat_result:
    return os.lstat(path)


def is_whiteout(path: Path) -> bool:
    st = os.lstat(path)
    return stat.S_ISCHR(st.st_mode) and st.st_rdev == 0


def is_opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, "user.overlay.opaque") == b"y"
    except OSError:
        return False


def test_everything_a_layer_can_hold(unpack: Unpack, box: Path) -> None:
    long = "n" * 120 + "/" + "m" * 200
    doc = unpack([
        Dir("d", 0o1777, mtime=EPOCH - 5), Dir("ro", 0o555), File("ro/inside", b"x"),
        File("d/f", b"data", 0o4755, mtime=EPOCH - 7),
        Symlink("d/s", "/absolute"), Hardlink("d/h", "d/f"), Fifo("d/p", 0o620), File("d/empty"),
        File(long, b"long"), File("x", b"1", xattrs={"user.note": "hi", "user.overlay.opaque": "y", "security.selinux": "s"}),
        File("no/parents/given", b"y"), CharDevice("null", 1, 3), CharDevice("zero", 0, 0)])
    root = box / "root"
    assert doc["entries"] == 13 and doc["size"] == 4 + 4 + 1 + 1 + 1 and doc["skipped_devices"] == 2
    assert stat.S_IMODE(lstat(root / "d").st_mode) == 0o1777 and lstat(root / "d").st_mtime == EPOCH - 5
    assert stat.S_IMODE(lstat(root / "ro").st_mode) == 0o555 and lstat(root / "ro").st_mtime == EPOCH
    assert stat.S_IMODE(lstat(root / "d/f").st_mode) == 0o4755 and lstat(root / "d/f").st_mtime == EPOCH - 7
    assert os.readlink(root / "d/s") == "/absolute"
    assert lstat(root / "d/h").st_ino == lstat(root / "d/f").st_ino
    assert stat.S_ISFIFO(lstat(root / "d/p").st_mode) and stat.S_IMODE(lstat(root / "d/p").st_mode) == 0o620
    assert (root / long).read_bytes() == b"long"
    assert os.getxattr(root / "x", "user.note") == b"hi"
    assert os.listxattr(root / "x") in (["user.note"], ["security.selinux", "user.note"])
    assert not is_opaque(root / "x")
    assert stat.S_IMODE(lstat(root / "no/parents").st_mode) == 0o755
    assert not (root / "null").exists()


def test_root_entry_sets_the_root(unpack: Unpack, box: Path) -> None:
    unpack([Dir("./", 0o711, mtime=EPOCH - 1), File("./a", b"")])
    st = lstat(box / "root")
    assert stat.S_IMODE(st.st_mode) == 0o711 and st.st_mtime == EPOCH - 1


def test_modes_and_times_to_the_nanosecond(unpack: Unpack, box: Path) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("f")
        info.pax_headers = {"mtime": "1234567890.123456789"}
        tar.addfile(info)
    unpack(raw.getvalue())
    assert lstat(box / "root/f").st_mtime_ns == 1234567890123456789


@pytest.mark.parametrize("name", ["../victim/file", "a/../../victim/file", "..", "/../victim/file", "./../victim/x"])
def test_dotdot_is_refused_by_name(unpack: Unpack, name: str) -> None:
    assert name in unpack([File(name, b"evil")], fails=True)["error"]


def test_absolute_names_are_below_the_root(unpack: Unpack, box: Path) -> None:
    unpack([File("/etc/x", b"1"), File(str(box) + "/victim/file", b"evil")])
    assert (box / "root/etc/x").read_bytes() == b"1"
    assert (box / "root" / str(box)[1:] / "victim/file").read_bytes() == b"evil"


@pytest.mark.parametrize("target", ["{box}/victim", "../victim", "../../../../../../../../{box}/victim", "/proc/self/cwd", "/"])
def test_symlinks_never_lead_out(unpack: Unpack, box: Path, target: str) -> None:
    """They lead where they would lead in the container, or to an error; the fixture checks the victim."""
    raw = layer([Symlink("link", target.format(box=box)), File("link/file", b"evil")])
    done = subprocess.run(["unshare", "-r", PROGRAM, "unpack", "--dest", str(box / "root")], input=raw, stdout=subprocess.PIPE)
    if target == "/":
        assert done.returncode == 0 and (box / "root/file").read_bytes() == b"evil"
    else:
        assert done.returncode == 1 and "link" in json.loads(done.stdout)["error"]


def test_a_file_over_a_symlink_replaces_it(unpack: Unpack, box: Path) -> None:
    unpack([Symlink("f", str(box / "victim/file")), File("f", b"mine"), Symlink("d", str(box / "victim")), Dir("d", 0o700)])
    assert (box / "root/f").read_bytes() == b"mine" and not (box / "root/f").is_symlink()
    assert (box / "root/d").is_dir() and not (box / "root/d").is_symlink()


def test_parents_through_symlinks_of_the_layer(unpack: Unpack, box: Path) -> None:
    unpack([Dir("usr/lib"), Symlink("lib", "usr/lib"), File("lib/a", b"1"),
            Symlink("usr/up", "../usr/lib"), File("usr/up/b", b"2"),
            Symlink("abs", "/usr/lib"), File("abs/new/c", b"3"), Hardlink("abs/d", "lib/a")])
    assert sorted(os.listdir(box / "root/usr/lib")) == ["a", "b", "d", "new"]
    assert (box / "root/usr/lib/new/c").read_bytes() == b"3"


@pytest.mark.parametrize("target", ["../victim/file", "a/../../victim/file"])
def test_hard_links_out_are_refused(unpack: Unpack, target: str) -> None:
    doc = unpack([Hardlink("h", target)], fails=True)
    assert "h" in doc["error"] and target in doc["error"] and "leads out" in doc["error"]


def test_hard_link_through_a_symlink_stays_in(unpack: Unpack, box: Path) -> None:
    unpack([Symlink("s", str(box / "victim")), Hardlink("h", "s/file")], fails=True)
    assert lstat(box / "victim/file").st_nlink == 1


def test_hard_link_to_nothing_is_named(unpack: Unpack) -> None:
    assert "missing" in unpack([Hardlink("h", "missing")], fails=True)["error"]


def test_whiteouts(unpack: Unpack, box: Path) -> None:
    unpack([Dir("d"), Whiteout("d/gone"), Whiteout("top"), Dir("o"), Opaque("o"), File("o/kept", b""), Whiteout("implied/x")])
    root = box / "root"
    assert is_whiteout(root / "d/gone") and is_whiteout(root / "top") and is_whiteout(root / "implied/x")
    assert is_opaque(root / "o") and os.listdir(root / "o") == ["kept"]
    assert not is_opaque(root / "d")


def test_whiteout_and_the_same_name_in_one_layer(unpack: Unpack, box: Path) -> None:
    """A whiteout hides lower layers only: a directory of this layer becomes opaque, a file stays."""
    unpack([Whiteout("before"), Dir("before"), Dir("after"), Whiteout("after"), File("f", b"1"), Whiteout("f"),
            Whiteout("g"), File("g", b"2"), Whiteout("i"), File("i/x", b"3"), Whiteout("deleted"), Whiteout("deleted/below")])
    root = box / "root"
    assert is_opaque(root / "before") and is_opaque(root / "after") and is_opaque(root / "i")
    assert (root / "f").read_bytes() == b"1" and (root / "g").read_bytes() == b"2" and (root / "i/x").read_bytes() == b"3"
    assert is_whiteout(root / "deleted")


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh...", "d/.wh.."])
def test_whiteout_of_nothing_is_refused(unpack: Unpack, name: str) -> None:
    assert "whiteout of nothing" in unpack([Dir("d"), File(name)], fails=True)["error"]


def test_aufs_files_are_no_content(unpack: Unpack, box: Path) -> None:
    unpack([File(".wh..wh.aufs"), Dir(".wh..wh.plnk"), File(".wh..wh.plnk/1.2"), File("a", b"")])
    assert os.listdir(box / "root") == ["a"]


def test_later_entries_win(unpack: Unpack, box: Path) -> None:
    unpack([File("a", b"1", 0o600), File("a", b"22", 0o644),
            Dir("b"), File("b/x/y", b""), File("b", b"file"),
            File("c", b""), Dir("c"), File("c/x", b"in"),
            Dir("e"), File("e/old", b""), Symlink("e", "c"), File("e/via", b""),
            Dir("m", 0o755), File("m/1", b""), Dir("m", 0o700), File("m/2", b"")])
    root = box / "root"
    assert (root / "a").read_bytes() == b"22" and stat.S_IMODE(lstat(root / "a").st_mode) == 0o644
    assert (root / "b").read_bytes() == b"file"
    assert sorted(os.listdir(root / "c")) == ["via", "x"]
    assert (root / "e").is_symlink()
    assert sorted(os.listdir(root / "m")) == ["1", "2"] and stat.S_IMODE(lstat(root / "m").st_mode) == 0o700


def test_names_are_bytes(unpack: Unpack, box: Path) -> None:
    """Neither normalized (libarchive does so in UTF-8 locales) nor refused when they are no UTF-8."""
    raw = io.BytesIO()
    names = ["caf\u00e9", "cafe\u0301", "bad-\udcff\udcfe", "new\nline", 'quo"te']
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    unpack(raw.getvalue())
    assert sorted(os.listdir(os.fsencode(box / "root"))) == sorted(os.fsencode(n) for n in names)


def test_error_text_is_valid_json_for_any_name(unpack: Unpack) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
        info = tarfile.TarInfo('h"\udcff\n')
        info.type, info.linkname = tarfile.LNKTYPE, "nowhere"
        tar.addfile(info)
    assert 'h"\ufffd?' in unpack(raw.getvalue(), fails=True)["error"]


@pytest.mark.parametrize("how", ["none", "gzip", "zstd"])
def test_compressions_and_diff_id(unpack: Unpack, box: Path, how: str) -> None:
    raw = layer([File("big", os.urandom(3_000_000)), File("small", b"s")])
    doc = unpack(compress(raw, how), "--diff-id", digest(raw))
    assert doc["diff_id"] == digest(raw) and doc["size"] == 3_000_001
    assert (box / "root/small").read_bytes() == b"s"


def test_gzip_members_and_padding(unpack: Unpack) -> None:
    raw = layer([File("a", os.urandom(100_000))])
    cut = len(raw) // 3
    packed = gzip.compress(raw[:cut]) + gzip.compress(raw[cut:]) + b"\0" * 1000
    assert unpack(packed, "--diff-id", digest(raw))["entries"] == 1


def test_zstd_frames(unpack: Unpack) -> None:
    raw = layer([File("a", os.urandom(100_000))])
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    packed = skippable + compress(raw[:5000], "zstd") + skippable + compress(raw[5000:], "zstd")
    assert unpack(packed, "--diff-id", digest(raw))["entries"] == 1


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_cut_short(unpack: Unpack, how: str) -> None:
    packed = compress(layer([File("a", os.urandom(300_000))]), how)
    assert "too early" in unpack(packed[:-20], fails=True)["error"]
    unpack(packed[:len(packed) // 2], fails=True)
    unpack(packed[:6], fails=True)


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_corrupt(unpack: Unpack, how: str) -> None:
    packed = bytearray(compress(layer([File("a", b"abc" * 100_000)]), how))
    packed[len(packed) // 2:len(packed) // 2 + 8] = b"\xff" * 8
    unpack(bytes(packed), fails=True)


def test_garbage_after_gzip(unpack: Unpack) -> None:
    unpack(gzip.compress(layer([File("a")])) + b"garbage", fails=True)


def test_no_tar(unpack: Unpack) -> None:
    assert "error" in unpack(b"this is not a tar archive at all" * 100, fails=True)
    plain = layer([File("a", b"x" * 5000)])
    unpack(plain[:1500], fails=True)


def test_empty_layers(unpack: Unpack) -> None:
    assert unpack(b"")["entries"] == 0
    assert unpack(b"\0" * 1024, "--diff-id", digest(b"\0" * 1024))["entries"] == 0


def test_bytes_after_the_end_count_for_the_digest(unpack: Unpack) -> None:
    raw = layer([File("a", b"1")]) + os.urandom(3_000_000)
    assert unpack(raw, "--diff-id", digest(raw))["entries"] == 1


def test_wrong_diff_id(unpack: Unpack) -> None:
    raw, other = layer([File("a")]), digest(b"other")
    doc = unpack(raw, "--diff-id", other, fails=True)
    assert digest(raw) in doc["error"] and other in doc["error"]


def test_unmapped_owner_is_named(unpack: Unpack) -> None:
    doc = unpack([File("some/file", b"", uid=70000, gid=5)], fails=True)
    assert "some/file" in doc["error"] and "70000:5" in doc["error"] and "subordinate" in doc["error"]


def test_max_size(unpack: Unpack) -> None:
    raw = layer([File("a", b"x" * 100_000)])
    assert "larger than 50000 bytes" in unpack(raw, "--max-size", "50000", fails=True)["error"]
    unpack(raw, "--max-size", str(len(raw)))


def test_sparse_files(unpack: Unpack, box: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """GNU sparse members: holes in the middle and at the end."""
    work = tmp_path_factory.mktemp("sparse")
    with open(work / "s", "wb") as f:
        f.write(b"head")
        f.seek(5_000_000)
        f.write(b"tail")
        f.truncate(9_000_000)
    content = (work / "s").read_bytes()
    for form in ("gnu", "pax"):
        raw = subprocess.run(["tar", "-C", work, "-S", "--owner=0", "--group=0", f"--format={form}", "-c", "s"],
                                 stdout=subprocess.PIPE, check=True).stdout
        assert len(raw) < 1_000_000
        assert unpack(raw, "--diff-id", digest(raw))["size"] == 9_000_000
        assert (box / "root/s").read_bytes() == content
        assert lstat(box / "root/s").st_blocks * 512 < 1_000_000


def test_full_disk_says_so(box: Path) -> None:
    raw = layer([File("a", os.urandom(2_000_000))])
    script = 'mount -t tmpfs -o size=1m none "$1" && exec "$0" unpack --dest "$1"'
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script, PROGRAM, str(box / "root")], input=raw, stdout=subprocess.PIPE)
    doc = json.loads(done.stdout)
    assert done.returncode == 1 and doc["errno"] == 28 and "write a: No space left" in doc["error"]


def test_too_deep_and_too_long(unpack: Unpack) -> None:
    unpack([File("/".join("d" * 1500), b"")], fails=True)
    unpack([File("x" * 300, b"")], fails=True)
    unpack([File("/".join(["y" * 200] * 30), b"")], fails=True)


def test_trees_deeper_than_a_path_can_be_replaced(unpack: Unpack, box: Path) -> None:
    """Symbolic links let a layer nest beyond every name's limit; replacing such a tree must end in an error or work."""
    chain = "/".join("d" * 500)
    entries = [File(f"{chain}/end", b""), Symlink("s", chain), File(f"s/{chain}/end", b""), Symlink("t", f"s/{chain}"),
               File(f"t/{chain}/end", b""), File("d", b"replaces all")]
    raw = layer(entries)
    done = subprocess.run(["unshare", "-r", PROGRAM, "unpack", "--dest", str(box / "root")], input=raw, stdout=subprocess.PIPE)
    assert done.returncode in (0, 1) and json.loads(done.stdout)


@pytest.mark.parametrize("args", [[], ["unpack"], ["unpack", "--dest"], ["unpack", "--dest", "/nope", "--diff-id", "x"],
                                  ["unpack", "--dest", "/tmp", "extra"], ["pack", "--dest", "/tmp"],
                                  ["unpack", "--dest", "/tmp", "--max-size", "-1"], ["unpack", "--dest", "/tmp", "--xattr", "x"]])
def test_usage(args: list[str]) -> None:
    done = subprocess.run([PROGRAM, *args], stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 2 and done.stdout == b"" and b"usage:" in done.stderr


def test_missing_destination() -> None:
    done = subprocess.run([PROGRAM, "unpack", "--dest", "/nope"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert done.returncode == 1 and json.loads(done.stdout)["errno"] == 2


def test_same_tree_as_tar(box: Path, unpack: Unpack, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A real tree: every name, type, mode, time, size and link as GNU tar makes it."""
    source = next(p for p in ("/usr/share/doc", "/usr/share") if os.path.isdir(p))
    raw = subprocess.run(["tar", "-C", source, "--owner=0", "--group=0", "--format=pax", "-c", "."], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL).stdout
    other = tmp_path_factory.mktemp("tar")
    subprocess.run(["tar", "-C", other, "-xp", "--no-same-owner"], input=raw, check=True)
    unpack(raw, "--diff-id", digest(raw))
    assert listing(box / "root") == listing(other)
    shutil.rmtree(other)


def listing(top: Path) -> list[tuple[object, ...]]:
    out = []
    for directory, _, files in os.walk(top):
        for name in [".", *files]:
            path = os.path.join(directory, name)
            st = os.lstat(path)
            link = os.readlink(path) if stat.S_ISLNK(st.st_mode) else ""
            size = 0 if stat.S_ISDIR(st.st_mode) else st.st_size
            out.append((os.path.relpath(path, top), st.st_mode, st.st_mtime_ns, size, link, st.st_nlink))
    return sorted(out)
