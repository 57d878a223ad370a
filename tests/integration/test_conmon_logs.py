"""The monitor's protocol: what the monitor logs, and how."""

import json
import os
import re
import stat
import subprocess
from typing import Any

from tests.support.conmon import OURS, WAIT, New, ours_only, read_text, since_2_2, texts

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d\d:\d\d (stdout|stderr) ([FP]) (.*)")


@since_2_2("makes the file with mode 0600")
def test_log_lines(new: New) -> None:
    m = new("sh", "-c", "echo out; echo err >&2; sleep 0.05; echo; printf 'no end'")
    m.run()
    m.exit_file()
    m.gone()
    found = [STAMP.fullmatch(line) for line in m.lines()]
    assert all(found), m.lines()
    parts = [f.groups() for f in found if f]
    assert ("stderr", "F", "err") in parts
    assert [p for p in parts if p[0] == "stdout"] == [
        ("stdout", "F", "out"),
        ("stdout", "F", ""),
        ("stdout", "P", "no end"),
    ]
    assert stat.S_IMODE(os.stat(m.log).st_mode) == 0o640


def test_log_has_the_local_zone(new: New) -> None:
    m = new("echo", "x")
    m.run(env={"TZ": "XXX-05:45"})
    m.exit_file()
    m.gone()
    assert "+05:45 stdout F x" in m.lines()[0]


def test_log_keeps_every_byte(new: New, tmp_path: Any) -> None:
    text = "".join(f"{i} {'x' * (i % 300)}\n" for i in range(5000)) + "y" * 70000 + "\n"
    (tmp_path / "data").write_text(text)
    m = new("cat", str(tmp_path / "data"))
    m.run()
    m.exit_file()
    m.gone()
    assert texts(m) == text.splitlines()
    assert max(len(line) for line in m.lines()) < 8192 + 100


def test_log_appends(new: New) -> None:
    m = new("echo", "new")
    with open(m.log, "w") as f:
        f.write("old\n")
    m.run()
    m.exit_file()
    m.gone()
    assert m.lines()[0] == "old"
    assert m.lines()[1].endswith(" F new")


def test_log_size_max_keeps_the_newest(new: New) -> None:
    m = new("sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done")
    m.run("--log-size-max", "4096")
    m.exit_file()
    m.gone()
    assert 0 < os.path.getsize(m.log) <= 4096
    assert m.lines()[-1].endswith(" F line 2999")
    numbers = [int(line.rsplit(" ", 1)[1]) for line in m.lines()]
    assert numbers == list(range(numbers[0], 3000))


@since_2_2("has no --log-rotate")
def test_log_rotate(new: New) -> None:
    m = new("sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done")
    m.run("--log-size-max", "8192", "--log-rotate", "--log-max-files", "2")
    m.exit_file()
    m.gone()
    files = [f"{m.log}.2", f"{m.log}.1", m.log]
    assert not os.path.exists(f"{m.log}.3")
    numbers = [int(line.rsplit(" ", 1)[1]) for f in files for line in (read_text(f) or "").splitlines()]
    assert numbers == list(range(numbers[0], 3000)), "in order, nothing lost, nothing twice"
    for f in files:
        assert 0 < os.path.getsize(f) <= 8192
        assert stat.S_IMODE(os.stat(f).st_mode) == 0o640


@since_2_2("has no --log-rotate")
def test_log_rotate_does_not_follow_symlinks(new: New, tmp_path: Any) -> None:
    m = new("sh", "-c", "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done")
    target = tmp_path / "target"
    target.write_text("")
    os.symlink(target, m.log)
    m.run("--log-size-max", "4096", "--log-rotate")
    m.exit_file()
    m.gone()
    assert os.path.islink(m.log)
    assert not os.path.lexists(f"{m.log}.1")
    if m.conmon == OURS:  # conmon lets it grow
        assert target.stat().st_size <= 4096, "the limit holds all the same"


def test_log_global_size_max(new: New) -> None:
    m = new("sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; exit 3")
    m.run("--log-global-size-max", "5000")
    assert m.exit_file() == "3"
    m.gone()
    assert 4900 < os.path.getsize(m.log) <= 5100, (
        "conmon looks before it writes, and so may go over it by a line"
    )
    assert m.lines()[0].endswith("line 0")


def test_several_logs(new: New, tmp_path: Any) -> None:
    m = new("echo", "both")
    m.run("-l", "none", "-l", "journald")
    m.exit_file()
    m.gone()
    assert texts(m) == ["both"]


def test_log_none(new: New) -> None:
    m = new("echo", "nothing")
    m.run(log="none")
    assert m.exit_file() == "0"
    assert not os.path.exists(m.log)


@ours_only("has no json-file")
def test_json_file(new: New) -> None:
    m = new("sh", "-c", r"""printf 'a\tb "q" \\ ü \377\n'; printf rest >&2""")
    m.run(log=f"json-file:{m.log}")
    m.exit_file()
    m.gone()
    entries = [json.loads(line) for line in m.lines()]
    assert {(e["stream"], e["log"]) for e in entries} == {("stdout", 'a\tb "q" \\ ü �\n'), ("stderr", "rest")}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", e["time"]) for e in entries)


def test_full_disk_does_not_stop_the_container(new: New) -> None:
    m = new("sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' '\\n'; exit 4")
    m.run(log="k8s-file:/dev/full")
    assert m.exit_file() == "4"


@ours_only("replaces the device by a file")
def test_log_size_max_leaves_devices_alone(new: New, tmp_path: Any) -> None:
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    fd = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    m = new("sh", "-c", "for i in 1 2 3 4 5; do echo line $i; done")
    m.run("--log-size-max", "60", log=f"k8s-file:{fifo}")
    m.exit_file()
    m.gone()
    assert stat.S_ISFIFO(os.lstat(fifo).st_mode)
    assert os.read(fd, 4096).count(b"\n") == 5
    os.close(fd)


def test_passthrough(new: New, tmp_path: Any) -> None:
    m = new("sh", "-c", "echo out; echo err >&2; exit 5")
    args = [*m.args(log="passthrough"), "--sync"]
    r = subprocess.run(args, capture_output=True, timeout=WAIT, stdin=subprocess.DEVNULL)
    assert r.returncode == 5
    assert r.stdout == b"out\n"
    assert r.stderr == b"err\n"
    assert not os.path.exists(f"{m.bundle}/attach")
    assert not os.path.exists(f"{m.bundle}/ctl")
