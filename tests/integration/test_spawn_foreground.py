"""podlike-spawn run and exec in the foreground: the relay to a terminal, signals, streams, what is left behind."""

import os
import signal
import subprocess
import time

import pytest

from tests.support.box import Box, reap
from tests.support.pty import Terminal


def on_terminal(box: Box, *args: str, rows: int = 24, cols: int = 80) -> Terminal:
    """`run` of a container that has a terminal, on a terminal of ours."""
    box.spec["process"]["terminal"] = True
    box.write(*args)
    return Terminal(box.argv("run", "-b", box.bundle, "c"), rows=rows, cols=cols)


def test_keys_size_and_exit_code(box: Box) -> None:
    with on_terminal(box, "sh", rows=30, cols=100) as t:
        t.expect("# ")
        assert t.is_raw()
        t.send("stty size; tty\n")
        t.expect("30 100\r\n/dev/pts/0\r\n")
        t.resize(41, 77)
        t.send("while [ \"$(stty size)\" != '41 77' ]; do :; done; echo sized\n")
        t.expect("\r\nsized")
        t.expect("# ")
        t.send("echo up; cat; echo ended\n")
        t.expect("\r\nup\r\n")
        t.send("line\n\x04")  # the container's terminal makes an end of file of it
        t.expect("line\r\nline\r\nended")
        t.expect("# ")
        t.send("sh -c 'trap \"echo inter$((1))rupted; exit\" INT; echo a$((1))wake; while :; do sleep 0.05; done'\n")
        t.expect("\r\na1wake\r\n")
        t.send("\x03")  # and an interrupt of this
        t.expect("inter1rupted")
        t.expect("# ")
        t.send("exit 41\n")
        assert t.wait() == 41 and not t.is_raw()
    assert box.ids() == []


@pytest.mark.parametrize(
    ("script", "code"), [("kill -9 $$; exit 3", 3), ("exit 0", 0), ("sh -c 'kill -15 $$'; exit $?", 143)]
)
def test_terminal_is_restored(box: Box, script: str, code: int) -> None:
    with on_terminal(box, "sh", "-c", script) as t:
        assert t.wait() == code and not t.is_raw()


def test_terminal_is_restored_when_the_container_is_killed(box: Box) -> None:
    with on_terminal(box, "sh", "-c", "echo ready; sleep 100") as t:
        t.expect("ready")
        box.ok("kill", "c", "KILL")
        assert t.wait() == 137 and not t.is_raw()
    assert box.ids() == []


def test_terminal_is_untouched_when_nothing_could_run(box: Box) -> None:
    with on_terminal(box, "/no/such/program") as t:
        t.expect("executable file `/no/such/program` not found in $PATH")
        assert t.wait() == 127 and not t.is_raw()
    assert box.ids() == []


def test_signals_to_the_relay_reach_the_program(box: Box) -> None:
    script = "trap 'echo usr; trap_seen=1' USR1; trap 'exit 7' TERM; echo ready; while true; do sleep 0.01; done"
    with on_terminal(box, "sh", "-c", script) as t:
        t.expect("ready")
        os.kill(t.pid, signal.SIGUSR1)
        t.expect("usr")
        os.kill(t.pid, signal.SIGTERM)
        assert t.wait() == 7 and not t.is_raw()


def test_all_output_of_a_short_program(box: Box) -> None:
    with on_terminal(box, "sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done") as t:
        assert t.wait() == 0
        assert t.output.decode().split() == [str(i) for i in range(20000)]


def test_program_that_does_not_read_does_not_stop_the_relay(box: Box) -> None:
    """More input than its terminal holds, while it writes and is signalled."""
    script = "stty raw -echo; echo ready; while [ ! -e /tmp/go ]; do sleep 0.01; done; echo written; exec sleep 100"
    with on_terminal(box, "sh", "-c", script) as t:
        t.expect("ready")
        os.set_blocking(t.master, False)
        sent = 0
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            try:
                sent += os.write(t.master, b"x" * 4096)
            except BlockingIOError:
                time.sleep(0.01)
        os.set_blocking(t.master, True)
        assert sent > 8192
        with open(f"{box.rootfs}/tmp/go", "w"):
            pass
        t.expect("written")
        box.ok("kill", "c", "KILL")
        assert t.wait() == 137


def test_output_that_nobody_reads(box: Box) -> None:
    """The reader of our output has gone: the program goes on to its end."""
    box.spec["process"]["terminal"] = True
    box.write("sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done; exit 9")
    p = subprocess.Popen(box.argv("run", "-b", box.bundle, "c"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert p.stdout is not None
    p.stdout.read(10)
    p.stdout.close()
    assert p.wait(timeout=20) == 9


def test_exec_on_a_terminal(box: Box) -> None:
    box.start("sleep", "100")
    with Terminal(box.argv("exec", "-t", "c", "sh"), rows=20, cols=50) as t:
        t.expect("# ")
        t.send("stty size; [ -t 0 ] && tty; exit 3\n")
        t.expect("20 50\r\n/dev/pts/0")
        assert t.wait() == 3 and not t.is_raw()


def test_streams_without_a_terminal(box: Box) -> None:
    box.write("sh", "-c", "cat; echo problem >&2; exit 4")
    p = subprocess.run(
        box.argv("run", "-b", box.bundle, "c"), input="through\n" * 10000, capture_output=True, text=True, timeout=20
    )
    assert (p.returncode, p.stdout, p.stderr) == (4, "through\n" * 10000, "problem\n")


def test_closed_streams(box: Box) -> None:
    """With 0, 1 and 2 closed nothing that is opened on the way may end up there."""
    box.write("sh", "-c", "ls /proc/self/fd > /tmp/fds; exit 6")
    p = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *box.argv("run", "-b", box.bundle, "c")], timeout=20)
    assert p.returncode == 6
    with open(f"{box.rootfs}/tmp/fds") as f:
        fds = set(f.read().split())
    assert fds <= {"0", "1", "2", "3"}
    assert box.ids() == []


@pytest.mark.parametrize("number", [1, 2, 9, 12, 15, 34])
def test_exit_code_of_a_signal(box: Box, number: int) -> None:
    """The container's process is in the pid namespace of ours, where it dies of signals like any other."""
    spaces = box.spec["linux"]["namespaces"]
    box.spec["linux"]["namespaces"] = [n for n in spaces if n["type"] != "pid"]
    box.spec["mounts"] = [m for m in box.spec["mounts"] if m["type"] != "proc"]
    assert box.run("sh", "-c", f"kill -{number} $$; sleep 10").returncode == 128 + number


def test_keep(box: Box) -> None:
    box.write("sh", "-c", "exit 5")
    pid_file = f"{box.dir}/pid"
    assert box("run", "--keep", "--pid-file", pid_file, "-b", box.bundle, "c").returncode == 5
    assert (box.state()["status"], box.state()["pid"]) == ("stopped", 0) and os.path.getsize(pid_file) > 0
    p = box("run", "-b", box.bundle, "c")
    assert (p.returncode, p.stderr) == (1, "container with id `c` already exists\n")
    box.ok("delete", "c")


def test_detach(box: Box) -> None:
    box.write("sh", "-c", "sleep 0.1; exit 8")
    pid_file = f"{box.dir}/pid"
    argv = box.argv("run", "--detach", "--pid-file", pid_file, "-b", box.bundle, "c")
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    assert subprocess.run(argv, **streams).returncode == 0  # type: ignore[call-overload]
    with open(pid_file) as f:
        assert reap(int(f.read())) == 8
    assert box.state()["status"] == "stopped"
    box.ok("delete", "c")


def test_terminal_and_detach_need_a_socket(box: Box) -> None:
    box.spec["process"]["terminal"] = True
    box.write("true")
    p = box("run", "-d", "-b", box.bundle, "c")
    assert p.returncode == 1 and "--console-socket" in p.stderr and box.ids() == []
