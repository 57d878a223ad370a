"""Layers made with ill will: each is refused in words, or does no harm; the store keeps nothing of what was refused."""

import gzip
import os
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.integration.test_layer import Unpack, box, lstat, unpack
from tests.support.need import need
from tests.support.oci import CharDevice, Dir, Entry, File, Hardlink, Opaque, Symlink, Whiteout, layer

__all__ = ["box", "unpack"]  # fixtures


def raw_member(name: str, size: int, *, kind: bytes = b"0", link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info.tobuf(tarfile.GNU_FORMAT)


ESCAPES: dict[str, list[Entry]] = {
    "whiteout of ..": [Dir("d"), File("d/.wh...")],
    "whiteout through a link": [Symlink("l", "../victim"), Whiteout("l/file")],
    "opaque through a link": [Symlink("l", "../victim"), Opaque("l")],
    "device through a link": [Symlink("l", "../victim"), CharDevice("l/null", 1, 3)],
    "hard link through a link": [Symlink("l", "../victim"), Hardlink("mine", "l/file")],
    "link to a link": [Symlink("a", "b"), Symlink("b", "/../victim"), File("a/file", b"evil")],
    "links in a circle": [Symlink("a", "b"), Symlink("b", "a"), File("a/file", b"evil")],
    "directory becomes a link": [Dir("d"), File("d/x"), Symlink("d", "../victim"), File("d/file", b"evil")],
    "proc": [Symlink("l", "/proc/self/root"), File("l/etc/x", b"evil")],
    "dotdot behind a link": [Dir("a/b"), Symlink("l", "a/b"), File("l/../../victim/file", b"evil")],
    "hard link over the root": [File("f", b"x"), Hardlink(".", "f")],
    "file over the root": [File("./", b"x")],
}


@pytest.mark.parametrize("case", ESCAPES)
def test_escapes(unpack: Unpack, box: Path, case: str) -> None:
    """Refused with words; the fixture compares what lies beside the root."""
    assert len(unpack(ESCAPES[case], fails=True)["error"]) > 20


def test_a_device_is_left_out(unpack: Unpack, box: Path) -> None:
    assert unpack([CharDevice("mem", 1, 1), Dir("d"), CharDevice("d/null", 1, 3)])["skipped_devices"] == 2
    assert os.listdir(box / "root") == ["d"]


def test_too_many_entries(unpack: Unpack) -> None:
    many = [File(f"f{n}") for n in range(30)]
    assert "more than 20 entries" in unpack(many, "--max-entries", "20", fails=True)["error"]


def test_directories_that_no_entry_names_count(unpack: Unpack) -> None:
    """One entry of 1000 levels is 1000 directories: they are what fills the disk."""
    deep = [File("/".join([str(n)] + ["d"] * 100)) for n in range(3)]
    assert "too many" in unpack(deep, "--max-entries", "250", fails=True)["error"]


def test_depth_is_limited(unpack: Unpack) -> None:
    assert "too deep" in unpack([File("/".join("d" * 1100), b"")], fails=True)["error"]


def test_sizes_that_are_not_there(unpack: Unpack) -> None:
    """A header that promises 8 EB, with data and without."""
    for size in (1 << 62, (1 << 63) - 1, 8 << 30):
        assert "error" in unpack(raw_member("f", size) + b"x" * 5000, fails=True)


def test_a_sparse_file_larger_than_any_disk(unpack: Unpack, box: Path) -> None:
    pax = b"".join(_record(k, v) for k, v in (
        ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "huge"), ("GNU.sparse.realsize", str(1 << 61))))
    body = b"1\n0\n1\n".ljust(512, b"\0") + b"x".ljust(512, b"\0")
    raw = raw_member("pax", len(pax), kind=b"x") + pax.ljust(512, b"\0") + raw_member("huge", 513) + body + bytes(1024)
    assert "its files have more than" in unpack(raw, fails=True)["error"]
    assert "its files have more than 1000000 bytes" in unpack(
        raw.replace(str(1 << 61).encode(), b"2000000".rjust(19, b"0")), "--max-size", "1000000", fails=True)["error"]


def _record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n".encode()
    length = len(body) + 2
    return str(length if len(str(length)) == 2 else length + 1).encode() + body


def test_compression_bomb(unpack: Unpack) -> None:
    """20 MB of zeros in 20 kB stop at the limit, without being unpacked."""
    raw = layer([File("zeros", bytes(20_000_000))])
    assert "larger than 1000000 bytes" in unpack(gzip.compress(raw), "--max-size", "1000000", fails=True)["error"]


def test_beyond_deflate(unpack: Unpack, tmp_path: Path) -> None:
    """Above 4 GiB nothing honest expands more than 1100 times; zstd can be made to."""
    need(os.environ.get("PODLIKE_TEST_FULL"), "takes 15 s: with PODLIKE_TEST_FULL=1 only", optional=True)
    zeros = subprocess.Popen(["head", "-c", str((5 << 30) + 512), "/dev/zero"], stdout=subprocess.PIPE)
    packed = subprocess.run(["zstd", "-q", "-1", "-c"], stdin=zeros.stdout, stdout=subprocess.PIPE, check=True).stdout
    zeros.wait()
    assert zeros.stdout is not None
    zeros.stdout.close()
    assert "decompression bomb" in unpack(packed, fails=True)["error"]


def test_headers_without_end(unpack: Unpack) -> None:
    """Extended headers larger than any name or attribute, and one after the other without a member."""
    big = _big_pax(20_000_000)
    assert "error" in unpack(big, fails=True)
    small = raw_member("pax", 20, kind=b"x") + b"20 comment=xxxxxxxx\n".ljust(512, b"\0")
    assert "error" in unpack(small * 10_000 + bytes(1024), fails=True)


def _big_pax(size: int) -> bytes:
    record = f"{size} comment=".encode()
    body = record + b"x" * (size - len(record) - 1) + b"\n"
    return raw_member("pax", size, kind=b"x") + body + bytes(-size % 512) + bytes(1024)


def test_the_same_name_ten_thousand_times(unpack: Unpack, box: Path) -> None:
    unpack([File("f", str(n).encode()) for n in range(10_000)])
    assert (box / "root/f").read_bytes() == b"9999"


def test_set_id_bits_do_not_change_their_owner(unpack: Unpack, box: Path) -> None:
    """With --ignore-chown-errors a program of a strange user becomes root's, and no longer runs as its owner."""
    entries = [File("su", b"x", 0o6755, 70000, 70000), File("own", b"x", 0o4755), Dir("d", 0o2775, 70000, 5)]
    doc = unpack(entries, "--ignore-chown-errors")
    assert doc["skipped_owners"] == 2
    assert lstat(box / "root/su").st_mode & 0o7777 == 0o755 and lstat(box / "root/own").st_mode & 0o7777 == 0o4755
    assert lstat(box / "root/d").st_mode & 0o7777 == 0o775


def test_set_group_id_directories_do_not_leak_their_group(box: Path) -> None:
    """Files in such a directory are made with its group; the layer says another."""
    raw = layer([Dir("d", 0o2775, 0, 5), File("d/a", b"1"), File("d/b", b"2", 0o640), Dir("e"), File("e/c", b"3")])
    from podlike.paths import libexec

    argv = ["unshare", "-r", "--map-auto", libexec("podlike-layer"), "unpack", "--dest", str(box / "root")]
    done = subprocess.run(argv, input=raw, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stdout
    a, b = lstat(box / "root/d/a"), lstat(box / "root/d/b")
    assert a.st_gid == os.getgid() == b.st_gid and b.st_mode & 0o7777 == 0o640 and lstat(box / "root/d").st_gid != os.getgid()
    subprocess.run(["unshare", "-r", "--map-auto", "rm", "-rf", str(box / "root/d")], check=True)


def test_default_acls_of_the_store_are_not_inherited(unpack: Unpack, box: Path) -> None:
    # acl(5) as an attribute: owner, user 1, group, mask, others may do everything.
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, 7, who) for tag, who in (
        (1, 0xFFFFFFFF), (2, os.getuid()), (4, 0xFFFFFFFF), (0x10, 0xFFFFFFFF), (0x20, 0xFFFFFFFF)))
    os.setxattr(box / "root", "system.posix_acl_default", acl)
    unpack([File("f", b"", 0o640), Dir("d"), File("d/g", b"", 0o600)])
    assert lstat(box / "root/f").st_mode & 0o777 == 0o640 and "system.posix_acl_access" not in os.listxattr(box / "root/d/g")
