"""The maps of a container's own user namespace."""

import os
from pathlib import Path

import pytest

from podlike.engine.shifted import _Copy
from podlike.errors import UsageError
from podlike.spec.container import ContainerSpec
from podlike.spec.userns import Caller, keep, outside, plan

ME = Caller(1000, 100, 65537, 65537)


@pytest.mark.parametrize(("number", "size", "ranges"), [
    (1000, 65537, [(0, 1, 1000), (1000, 0, 1), (1001, 1001, 64536)]),
    (0, 10, [(0, 0, 1), (1, 1, 9)]),
    (9, 10, [(0, 1, 9), (9, 0, 1)]),
    (500000, 10, [(0, 1, 9), (500000, 0, 1)]),
    (1, 2, [(0, 1, 1), (1, 0, 1)]),
])
def test_keep(number: int, size: int, ranges: list[tuple[int, int, int]]) -> None:
    assert keep(number, size) == ranges
    inside = [i + k for i, _, n in ranges for k in range(n)]
    session = [o + k for _, o, n in ranges for k in range(n)]
    assert len(set(inside)) == len(inside) and sorted(session) == list(range(size))
    assert outside(ranges, number) == 0 and outside(ranges, 10**6) is None


def test_plan() -> None:
    kept = plan("keep-id", (), (), ME)
    assert kept is not None and kept.user == "1000:100" and outside(kept.gids, 100) == 0
    other = plan("keep-id:uid=7,gid=8", (), (), ME)
    assert other is not None and other.user == "7:8" and outside(other.uids, 7) == 0 and outside(other.gids, 8) == 0
    given = plan("", ["0:1:5", "5:0:1"], (), ME)
    assert given is not None and given.uids == given.gids == [(0, 1, 5), (5, 0, 1)] and given.user == ""
    assert plan("", (), (), ME) is plan("private", (), (), ME) is plan("host", (), (), ME) is None


@pytest.mark.parametrize(("mode", "uidmap", "words"), [
    ("keep-id:size=3", [], 'unknown option "size=3"'), ("keep-id:uid=x", [], "not an id"), ("keep-id:uid=", [], "not an id"),
    ("keep-id", ["0:0:1"], "mutually exclusive"), ("", ["0:0"], None), ("", ["0:0:0"], "has the ids"),
    ("", ["0:0:70000"], "has the ids 0 to 65536"), ("", ["a:0:1"], "invalid mapping"), ("", ["0:@1:1"], "invalid mapping"),
    ("", ["0"], "invalid mapping"), ("", ["0:1:10"], "your own id, 0, is not in it"),
])
def test_bad_plans(mode: str, uidmap: list[str], words: str | None) -> None:
    if words is None:
        assert plan(mode, uidmap, (), ME) is not None
        return
    with pytest.raises(UsageError, match=words):
        plan(mode, uidmap, (), ME)


def test_copy_keeps_the_tree(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "dir/deep").mkdir(parents=True)
    (source / "dir/file").write_text("text")
    os.chmod(source / "dir/file", 0o4750)
    os.link(source / "dir/file", source / "again")
    os.symlink("/nowhere", source / "link")
    os.mkfifo(source / "pipe")
    os.utime(source / "dir", (5, 6))
    me = os.getuid()
    _Copy(ContainerSpec(uid_map=[(me, me, 1)], gid_map=[(os.getgid(), os.getgid(), 1)])).tree(str(source), str(tmp_path / "copy"))
    copy = tmp_path / "copy"
    assert (copy / "dir/file").read_text() == "text" and (copy / "dir/file").stat().st_mode & 0o7777 == 0o4750
    assert (copy / "again").stat().st_ino == (copy / "dir/file").stat().st_ino
    assert os.readlink(copy / "link") == "/nowhere" and (copy / "pipe").is_fifo() and (copy / "dir/deep").is_dir()
    assert (copy / "dir").stat().st_mtime == 6
    with pytest.raises(OSError, match="which the mapping does not have"):
        _Copy(ContainerSpec(uid_map=[(me + 1, me, 1)], gid_map=[])).tree(str(source), str(tmp_path / "other"))


def test_no_range_reaches_over_two_of_the_sessions() -> None:
    caller = Caller(1000, 1000, 65537, 65537, (0, 1, 40001), (0, 1))
    found = plan("", ["0:0:65537"], ["5:1:10", "0:0:2"], caller)
    assert found is not None
    assert found.uids == [(0, 0, 1), (1, 1, 40000), (40001, 40001, 25536)]
    assert found.gids == [(5, 1, 10), (0, 0, 1), (1, 1, 1)]
