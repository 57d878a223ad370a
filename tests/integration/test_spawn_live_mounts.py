"""podlike-spawn mounts add and remove: mounts of a running container."""

import json
import os
from typing import Any

import pytest

from tests.support.box import Box


def mounts_file(box: Box, *mounts: dict[str, Any]) -> str:
    path = f"{box.dir}/mounts.json"
    with open(path, "w") as f:
        json.dump(mounts, f)
    return path


def volume(box: Box) -> str:
    path = f"{box.dir}/vol"
    os.makedirs(path)
    with open(f"{path}/f", "w") as f:
        f.write("hello")
    return path


def places(box: Box) -> dict[str, str]:
    """Mount points of the container with their options."""
    rows = [line.split() for line in box.ok("exec", "c", "cat", "/proc/self/mountinfo").splitlines()]
    return {r[4]: r[5] for r in rows}


def test_add_and_remove(any_box: Box) -> None:
    box = any_box
    box.start("sleep", "100")
    before = places(box)
    file = mounts_file(
        box,
        {"destination": "/new/dir", "type": "bind", "source": volume(box), "options": ["bind", "ro"]},
        {"destination": "/tmp/t", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=64k", "mode=700"]},
        {"destination": "/tmp/proc", "type": "proc", "source": "proc"},
    )
    assert box.ok("mounts", "add", "c", file) == ""
    after = places(box)
    assert set(after) - set(before) == {"/new/dir", "/tmp/t", "/tmp/proc"}
    assert "ro" in after["/new/dir"].split(",") and "nosuid" in after["/tmp/t"].split(",")
    script = "cat /new/dir/f; echo; stat -c %a:%u /tmp/t; cat /tmp/proc/1/comm"
    assert box.ok("exec", "c", "sh", "-c", script) == "hello\n700:0\nsleep\n"
    assert box.ok("mounts", "remove", "c", file) == ""
    assert places(box) == before


def test_all_or_nothing(any_box: Box) -> None:
    box = any_box
    box.start("sleep", "100")
    before = places(box)
    file = mounts_file(
        box,
        {"destination": "/tmp/a", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/tmp/b", "type": "tmpfs", "source": "tmpfs", "options": ["size=nonsense"]},
    )
    p = box("mounts", "add", "c", file)
    assert p.returncode == 1 and p.stderr.startswith("mounts[1]: mount `tmpfs` to `/tmp/b`: ")
    assert places(box) == before


def test_link_of_the_image_stays_inside(any_box: Box) -> None:
    box = any_box
    os.symlink("/../../../etc", f"{box.rootfs}/way")
    box.start("sleep", "100")
    file = mounts_file(box, {"destination": "/way/sub", "type": "tmpfs", "source": "tmpfs"})
    box.ok("mounts", "add", "c", file)
    assert "/etc/sub" in places(box) and not os.path.exists("/etc/sub")
    box.ok("mounts", "remove", "c", file)
    assert "/etc/sub" not in places(box)


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ({"type": "tmpfs"}, "mounts[0].destination: missing"),
        ({"destination": "/x"}, "mounts[0].type: missing"),
        ({"destination": "x", "type": "tmpfs"}, "is an absolute path"),
        ({"destination": "/", "type": "tmpfs"}, "not /"),
        ({"destination": "/x", "type": "bind", "source": "/nope"}, "No such file or directory"),
        ({"destination": "/x", "type": "bind", "source": "rel"}, "the source is not an absolute path"),
        ({"destination": "/proc", "type": "proc", "options": ["remount", "ro"]}, "not remounted"),
    ],
)
def test_refused(any_box: Box, mount: dict[str, Any], words: str) -> None:
    box = any_box
    box.start("sleep", "100")
    p = box("mounts", "add", "c", mounts_file(box, mount))
    assert p.returncode == 1 and words in p.stderr and p.stderr.count("\n") == 1


def test_wrong_words(any_box: Box) -> None:
    box = any_box
    file = mounts_file(box, {"destination": "/tmp/a", "type": "tmpfs"})
    assert "`c` does not exist" in box("mounts", "add", "c", file).stderr
    box.create("true")
    box.ok("start", "c")
    assert "is neither add nor remove" in box("mounts", "move", "c", file).stderr
    while box.state()["status"] != "stopped":
        pass
    assert "is not running" in box("mounts", "add", "c", file).stderr


def test_nothing_to_remove(any_box: Box) -> None:
    box = any_box
    box.start("sleep", "100")
    p = box("mounts", "remove", "c", mounts_file(box, {"destination": "/tmp", "type": "tmpfs"}))
    assert (p.returncode, p.stderr) == (1, "mounts[0]: nothing is mounted on `/tmp`\n")
    with open(f"{box.dir}/mounts.json", "w") as f:
        f.write('{"destination": "/x"}')
    p = box("mounts", "add", "c", f"{box.dir}/mounts.json")
    assert p.returncode == 1 and p.stderr == "mounts: expected a list, found object\n"
