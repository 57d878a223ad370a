"""The monitor's protocol: clients, stdin, the terminal, the control fifo."""

import contextlib
import os
import re
import signal
import socket
import stat
import time
from typing import Any

import pytest

from tests.support.conmon import (
    CID,
    WAIT,
    New,
    alive,
    ctl,
    ours_only,
    packets,
    read_text,
    since_2_2,
    stream,
    texts,
    until,
)

# --- attach ---


def test_attached_client_gets_every_byte_from_the_first(new: New) -> None:
    m = new("sh", "-c", "echo first; echo err >&2; head -c 300000 /dev/zero; echo last", wait=True)
    m.run()
    with m.attach() as s:
        m.go()
        found = packets(s)
    assert {p[0] for p in found} == {2, 3}
    assert max(map(len, found)) <= 8193, "podman reads with a buffer of 8193"
    assert stream(found, 2) == b"first\n" + bytes(300000) + b"last\n"
    assert stream(found, 3) == b"err\n"


def test_attach_socket_is_private_and_goes_away(new: New) -> None:
    m = new("sleep", "0.2")
    m.run()
    st = os.stat(f"{m.bundle}/attach")
    assert stat.S_ISSOCK(st.st_mode)
    assert stat.S_IMODE(st.st_mode) == 0o700
    for name in ("ctl", "winsz"):
        assert stat.S_ISFIFO(os.stat(f"{m.bundle}/{name}").st_mode)
    m.exit_file()
    m.gone()
    assert not os.path.exists(f"{m.bundle}/attach")


@since_2_2("leaves the symlink behind")
def test_attach_through_a_symlink(new: New, tmp_path: Any) -> None:
    m = new("sleep", "0.3")
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    os.symlink("/old", sockets / CID)
    args = [a for a in m.args("--socket-dir-path", str(sockets)) if a != "--full-attach"]
    m.start(args=args)
    m.report()
    assert os.readlink(sockets / CID) == m.bundle
    assert stat.S_ISSOCK(os.stat(sockets / CID / "attach").st_mode)
    m.exit_file()
    m.gone()
    assert not os.path.lexists(sockets / CID)


def test_long_bundle_path(new: New, tmp_path: Any) -> None:
    m = new()
    m.bundle = str(tmp_path / ("d" * 120))
    os.mkdir(m.bundle)
    m.spec("echo", "far", wait=True)
    m.run()
    with m.attach() as s:
        m.go()
        assert stream(packets(s), 2) == b"far\n"


def test_stdin_reaches_the_container_and_ends(new: New) -> None:
    m = new("cat")
    m.run("-i")
    with m.attach() as s:
        s.send(b"hello ")
        s.send(b"world\n")
        s.shutdown(socket.SHUT_WR)
        assert stream(packets(s), 2) == b"hello world\n"
    assert m.exit_file() == "0"


def test_no_stdin_is_dev_null(new: New) -> None:
    m = new("cat")
    m.run()
    assert m.exit_file() == "0"


def test_input_without_stdin_is_dropped(new: New) -> None:
    m = new("sleep", "0.3")
    m.run()
    with m.attach() as s:
        s.send(b"x" * 1000)
        assert packets(s) == []


def test_leave_stdin_open(new: New) -> None:
    m = new("sh", "-c", "read a; read b; echo $a $b")
    m.run("-i", "--leave-stdin-open")
    with m.attach() as s:
        s.send(b"one\n")
    time.sleep(0.1)
    with m.attach() as s:
        s.send(b"two\n")
        assert stream(packets(s), 2) == b"one two\n"


def test_many_clients(new: New) -> None:
    m = new("sh", "-c", "read x; echo got $x; seq 1 2000")
    m.run("-i")
    clients = [m.attach() for _ in range(20)]
    clients[7].send(b"it\n")
    wanted = b"got it\n" + b"".join(b"%d\n" % i for i in range(1, 2001))
    for s in clients:
        assert stream(packets(s), 2) == wanted
        s.close()


def test_large_input_to_a_slow_reader(new: New) -> None:
    m = new("sh", "-c", "sleep 0.5; wc -c")
    m.run("-i")
    size = 3_000_000
    with m.attach() as s:
        data = bytes(32768)
        sent = 0
        while sent < size:
            sent += s.send(data[: size - sent])
        s.shutdown(socket.SHUT_WR)
        assert stream(packets(s), 2).strip() == b"%d" % size


def test_input_of_a_client_that_is_gone_arrives(new: New) -> None:
    m = new("sh", "-c", "sleep 0.3; wc -c")
    m.run("-i")
    with m.attach() as s:
        for _ in range(10):
            s.send(bytes(16000))
    m.exit_file()
    m.gone()
    assert texts(m) == ["160000"]


@ours_only("cuts off a client whose input nobody reads")
def test_container_that_closes_its_stdin(new: New) -> None:
    m = new("sh", "-c", "exec 0<&-; sleep 0.3; echo done")
    m.run("-i")
    with m.attach() as s:
        for _ in range(40):
            s.send(bytes(32000))
        s.shutdown(socket.SHUT_WR)
        assert stream(packets(s), 2) == b"done\n"
    assert m.exit_file() == "0"


@ours_only("closes the socket with input unread, so that its client may see a reset")
def test_end_of_file_and_not_a_reset_when_input_is_unread(new: New) -> None:
    m = new("sleep", "0.3")
    m.run("-i")
    with m.attach() as s:
        s.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                s.send(bytes(32000))
        s.settimeout(WAIT)
        assert packets(s) == []


def test_slow_reader_loses_nothing(new: New) -> None:
    size = 1_000_000
    m = new("sh", "-c", f"head -c {size} /dev/zero", wait=True)
    m.run(env={"PODLIKE_ATTACH_PATIENCE_MS": "1000"})
    with m.attach() as s:
        m.go()
        time.sleep(0.5)
        got = 0
        while data := s.recv(65536):
            got += len(data) - 1
            if got < 400_000:
                time.sleep(0.03)
    assert got == size


@ours_only("a stuck client stalls the container for ever")
def test_stuck_client_does_not_stop_the_container(new: New) -> None:
    m = new("sh", "-c", "head -c 2000000 /dev/zero; exit 6", wait=True)
    m.run(env={"PODLIKE_ATTACH_PATIENCE_MS": "500"})
    with m.attach() as stuck, m.attach() as good:
        m.go()
        assert len(stream(packets(good), 2)) == 2_000_000
        assert m.exit_file() == "6"
        got = len(stream(packets(stuck), 2))
        assert 0 < got < 2_000_000


@ours_only("the exit file waits for its clients")
def test_stuck_client_does_not_hold_back_log_and_exit_code(new: New) -> None:
    # What the sockets' and the pipe's buffers do not hold together is still unsent when the container ends.
    m = new("sh", "-c", "head -c 330000 /dev/zero | tr '\\0' '\\n'; exit 6", wait=True)
    m.run(env={"PODLIKE_ATTACH_PATIENCE_MS": "0"})
    with m.attach() as s:
        m.go()
        time.sleep(0.3)
        if alive(m.pid or 0):
            # It still waits for room in the pipe: make some, then leave the rest alone.
            while alive(m.pid or 0):
                s.recv(65536)
                time.sleep(0.01)
        assert m.exit_file() == "6"
        assert alive(m.monitor_pid)
        assert len(m.lines()) == 330000
        packets(s)
    m.gone()


def test_client_that_vanishes_is_no_harm(new: New) -> None:
    m = new("sh", "-c", "seq 1 100000; sleep 0.2; seq 1 100000; exit 2", wait=True)
    m.run()
    s = m.attach()
    m.go()
    s.recv(100)
    s.close()
    assert m.exit_file() == "2"
    m.gone()
    assert len(texts(m)) == 200000


def test_grandchild_that_keeps_stdout_does_not_hold_back_the_exit(new: New) -> None:
    m = new("sh", "-c", "echo hi; sleep 30 & echo $! >&2; exit 3", wait=True)
    m.run()
    with m.attach() as s:
        m.go()
        packets(s)
    assert m.exit_file() == "3"
    m.gone()
    assert texts(m) == ["hi"]
    os.kill(int(texts(m, "stderr")[0]), signal.SIGKILL)


# --- terminal ---


def test_terminal(new: New) -> None:
    m = new("sh", "-c", "tty; echo two; stty size; read x; echo got $x", wait=True)
    m.run("-t", "-i")
    with m.attach() as s:
        m.go()
        s.send(b"abc\n")
        found = packets(s)
    text = stream(found, 2)
    assert {p[0] for p in found} == {2}
    assert text.startswith(b"/dev/pts/") or b"/dev/pts/" in text
    assert b"two\r\n" in text, "ONLCR is set, whatever the runtime left"
    assert b"0 0\r\n" in text, "the size is what the runtime left"
    assert b"got abc\r\n" in text
    assert m.exit_file() == "0"
    assert not [n for n in os.listdir(m.top) if n.startswith("conmon-term")]


def test_resize(new: New) -> None:
    m = new("sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done")
    m.run("-t")
    until(lambda: texts(m), "container runs")
    ctl(m, "1 24 8")
    ctl(m, "0\n")
    until(lambda: "24 80\r" in texts(m), "resized")
    ctl(m, "1 0010 0020 7\n")
    until(lambda: "10 20\r" in texts(m), "leading zeros are decimal, more numbers are no harm")


def test_resize_before_the_terminal_is_there(new: New) -> None:
    m = new("sh", "-c", "stty size", sleep=0.4)
    m.start("-t")
    until(lambda: os.path.exists(f"{m.bundle}/winsz"), "fifos")
    ctl(m, "1 33 44\n")
    m.report()
    m.exit_file()
    m.gone()
    assert texts(m) == ["33 44\r"]


@pytest.mark.parametrize("line", ["foo", "1", "1 2", "999 2 2", "1 x y", "1 10.5 20.3", "1 0x10 0x20"])
def test_bad_control_lines(new: New, line: str) -> None:
    m = new("sh", "-c", "sleep 0.2; stty size")
    m.run("-t")
    ctl(m, line + "\n")
    m.exit_file()
    m.gone()
    assert texts(m) == ["0 0\r"]


@ours_only("loses its place after a bad line: the next one is not understood")
@pytest.mark.parametrize(
    "line", ["1 -1 -1", "1 1001 5", "1 5 1001", "1 100000 100000", "1 2 2 " + "#" * 3000]
)
def test_bad_sizes(new: New, line: str) -> None:
    m = new("sh", "-c", "sleep 0.2; stty size; sleep 0.3; stty size")
    m.run("-t")
    ctl(m, line + "\n")
    until(lambda: texts(m), "first size")
    ctl(m, "1 5 6\n")
    m.exit_file()
    m.gone()
    assert texts(m) == ["0 0\r", "5 6\r"]


def test_reopen_log(new: New) -> None:
    m = new("sh", "-c", 'echo before; while [ ! -e "$1" ]; do sleep 0.02; done; echo after', "sh")
    flag = f"{m.top}/flag"
    m.spec("sh", "-c", f"echo before; while [ ! -e {flag} ]; do sleep 0.02; done; echo after")
    m.run()
    until(lambda: texts(m), "first line")
    os.rename(m.log, f"{m.log}.old")
    ctl(m, "2 0 0\n")
    until(lambda: os.path.exists(m.log), "new log")
    open(flag, "w").close()
    m.exit_file()
    m.gone()
    assert texts(m) == ["after"]
    assert "before" in (read_text(f"{m.log}.old") or "")


@ours_only("polls ten times a second")
def test_terminal_that_nobody_has_open_costs_nothing(new: New) -> None:
    m = new(
        "sh",
        "-c",
        "t=$(tty); echo one; exec 0<&- 1>&- 2>&-; sleep 1; echo two > $t; sleep 0.5; echo 3 > $t; sleep 0.2",
    )
    m.run("-t")
    until(lambda: texts(m), "first line")

    def ticks() -> int:
        with open(f"/proc/{m.monitor_pid}/status") as f:
            text = f.read()
        return sum(int(x) for x in re.findall(r"ctxt_switches:\s+(\d+)", text))

    time.sleep(0.2)
    before = ticks()
    time.sleep(0.5)
    assert ticks() - before <= 4
    m.exit_file()
    m.gone()
    assert texts(m) == ["one\r", "two\r", "3\r"]
