"""The monitor's protocol: what the monitor logs, and how."""

import json
import os
import random
import re
import stat
import subprocess
from typing import Any

import pytest

from podlike.spec.loglines import parse
from tests.support.conmon import CID, OURS, WAIT, Monitor, New, alive, ours_only, read_text, since_2_2, texts, until
from tests.support.need import need

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


@ours_only("has no json-file")
def test_json_file_holds_a_line_until_it_ends(new: New) -> None:
    """As docker does: an entry a line, however many writes it took, and pieces of 16 KiB of a long one."""
    m = new("sh", "-c", "printf one; sleep 0.2; echo ' line'; head -c 40000 /dev/zero | tr '\\0' x; echo; printf rest")
    m.run(log=f"json-file:{m.log}")
    m.exit_file()
    m.gone()
    found = [json.loads(line)["log"] for line in m.lines()]
    assert found == ["one line\n", "x" * 16384, "x" * 16384, "x" * (40000 - 2 * 16384) + "\n", "rest"]


@ours_only("has no json-file")
def test_json_file_carries_tag_and_labels(new: New) -> None:
    m = new("echo", "x")
    m.run("--log-tag", "a tag", "--log-label", "com.example=1=2", log=f"json-file:{m.log}")
    m.exit_file()
    m.gone()
    assert json.loads(m.lines()[0])["attrs"] == {"com.example": "1=2", "tag": "a tag"}


@since_2_2("has no --log-label")
@pytest.mark.parametrize("more", [["--log-tag", "x"], ["--log-label", "A=x"]])
def test_k8s_file_has_no_place_for_labels(new: New, more: list[str]) -> None:
    m = new("true")
    m.start(*more, wait=False)
    assert m.process
    out, err = m.process.communicate(timeout=WAIT)
    assert m.process.returncode == 1
    assert b"k8s-file doesn't support --log-" in out + err


def test_log_keeps_binary_output(new: New, tmp_path: Any) -> None:
    data = random.Random(3).randbytes(300_000)
    (tmp_path / "data").write_bytes(data)
    m = new("cat", str(tmp_path / "data"))
    m.run()
    m.exit_file()
    m.gone()
    with open(m.log, "rb") as f:
        records = [line.split(b" ", 3) for line in f.read().split(b"\n")[:-1]]
    assert b"".join(text + (b"\n" if tag == b"F" else b"") for _, _, tag, text in records) == data


def test_log_of_a_line_of_ten_megabytes(new: New) -> None:
    size = 10_000_000
    m = new("sh", "-c", f"head -c {size} /dev/zero | tr '\\0' x; echo; echo after")
    m.run()
    m.exit_file()
    m.gone()
    assert [len(t) for t in texts(m)] == [size, 5]


@since_2_2("has no --log-rotate")
def test_rotation_of_a_gigabyte(new: New, tmp_path: Any) -> None:
    """The window is whole, whatever was written before it."""
    limit, count = 5_000_000, 1_000_000
    (tmp_path / "data").write_text("".join(f"{i:107d}\n" for i in range(count)))
    m = new("sh", "-c", f"for i in 1 2 3 4 5 6 7 8 9 10; do cat {tmp_path}/data; done")
    m.run("--log-size-max", str(limit), "--log-rotate", "--log-max-files", "2")
    assert until(lambda: read_text(f"{m.exits}/{CID}"), "exit file", 55) == "0"
    m.gone()
    text = ""
    for path in (f"{m.log}.2", f"{m.log}.1", m.log):
        assert os.path.getsize(path) <= limit
        for record in (read_text(path) or "").encode().split(b"\n")[:-1]:
            piece = parse(record)
            assert piece
            text += piece.text.decode() + ("" if piece.partial else "\n")
    numbers = [int(line) for line in text.splitlines()[1:]]  # the first may have lost its beginning
    assert numbers == list(range(numbers[0], count))
    assert len(numbers) > 2 * limit / 180


class Small:
    """A disk of its own for the log, in a user and mount namespace of the monitor's."""

    def __init__(self, m: Monitor, size: str) -> None:
        self.m, self.disk = m, f"{m.top}/disk"
        os.mkdir(self.disk)
        self.prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                       f"mount -t tmpfs -o size={size} disk {self.disk} && head -c 2150000 /dev/zero > {self.disk}/ballast"
                       ' && exec "$@"',
                       "sh"]

    def path(self, name: str) -> str:
        """As seen from here."""
        return f"/proc/{self.m.monitor_pid}/root{self.disk}/{name}"


@ours_only("leaves half a line, to which the next is joined")
@pytest.mark.parametrize("driver", ["k8s-file", "json-file"])
def test_full_disk_is_survived_and_told(new: New, driver: str) -> None:
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], capture_output=True)
    need(done.returncode == 0, "no user namespaces for ordinary users")
    m = new()
    small = Small(m, "2200k")
    script = (f"i=0; while [ $i -lt 3000 ]; do echo line $i of some length; i=$((i+1)); done; touch {m.top}/full; "
              f"while [ ! -e {m.top}/room ]; do sleep 0.02; done; echo there is room; sleep 30")
    m.spec("sh", "-c", script)
    m.start(args=[*small.prefix, *m.args(log=f"{driver}:{small.disk}/log")])
    m.pid = m.report()["data"]
    until(lambda: os.path.exists(f"{m.top}/full"), "more output than there is room for")
    until(lambda: "No space left" in (read_text(f"{m.persist}/log-error") or ""), "the error is recorded")
    assert alive(m.pid), "the container goes on"
    os.unlink(small.path("ballast"))
    open(f"{m.top}/room", "w").close()
    until(lambda: "there is room" in (read_text(small.path("log")) or ""), "logging is resumed")
    records = [parse(line.encode()) for line in (read_text(small.path("log")) or "").splitlines()]
    assert all(records), "no half lines"
    lines = [r.text.decode() for r in records if r]
    told = [line for line in lines if line.startswith("podlike-conmon: ")]
    assert told and "lines of output could not be logged: No space left on device" in told[-1]
    lost = sum(int(line.split()[1]) for line in told)
    kept = [line for line in lines if line.startswith("line ")]
    assert lost + len(kept) == 3000, "every line is there or counted"
    assert "lines of output could not be logged" in (read_text(f"{m.persist}/log-error") or "")
