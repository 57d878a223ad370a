"""podlike-conmon with orders, without an engine: what it answers, what it survives, two hundred at once."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from podlike.paths import libexec
from podlike.runtime import statefile
from podlike.runtime.control import ask
from tests.support.engine import wait_for
from tests.support.need import need

CONMON = libexec("podlike-conmon")
CROWD = 200

# BUNDLE/slow delays, BUNDLE/broken fails what is made after the first time.
RUNTIME = """#!/bin/sh
here=$(dirname "$0")
case $1 in
create) [ -e "$3/second" ] && [ -e "$3/slow" ] && sleep 1
        [ -e "$3/second" ] && [ -e "$3/broken" ] && { echo it is broken >&2; exit 1; }
        touch "$3/second"; rm -f "$3/go"; mkfifo "$3/go"
        setsid sh -c 'read word < "$1/go"; . "$1/program"' sh "$3" & echo $! > "$5" ;;
start)  if [ -e "$here/no-start" ]; then echo will not start >&2; exit 1; fi; echo > "$here/$2/go" ;;
exec)   setsid sh "$3" & echo $! > "$5" ;;
esac
"""


class Tended:
    """One monitor that was started; kill() ends it and what it started."""

    def __init__(self, top: Path, cid: str, orders: str, program: str = "exec sleep 1000") -> None:
        self.top = top
        self.cid = cid
        self.bundle = top / cid
        self.bundle.mkdir()
        (self.bundle / "program").write_text(program)
        # Longer than the runtime takes: a shell would reap it.
        (self.bundle / "check").write_text("sleep 0.5")
        (self.bundle / "orders").write_text(orders.replace("BUNDLE", str(self.bundle)))
        runtime = top / "runtime"
        if not runtime.exists():
            runtime.write_text(RUNTIME)
            runtime.chmod(0o755)
        (top / "exits").mkdir(exist_ok=True)
        b = str(self.bundle)
        self.argv = [CONMON, "--api-version", "1", "-c", cid, "-u", cid, "-r", str(runtime), "-b", b, "-p", f"{b}/pidfile",
                     "-P", f"{b}/conmon.pid", "--exit-dir", str(top / "exits"), "-l", "none", "--full-attach",
                     "--orders", f"{b}/orders", "--state-file", f"{b}/state"]

    def launch(self) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(self.argv, capture_output=True, text=True, timeout=20)

    def begin(self) -> None:
        assert self.launch().returncode == 0
        wait_for(lambda: self.phase() == "created", "the container")
        assert self.ask("start") == "ok"

    def ask(self, request: str) -> str | None:
        return ask(str(self.bundle), request, timeout=20)

    def told(self) -> statefile.Told:
        told = statefile.read(f"{self.bundle}/state")
        assert told is not None
        return told

    def phase(self) -> str:
        told = statefile.read(f"{self.bundle}/state")
        return told.phase if told else ""

    @property
    def pid(self) -> int:
        return int((self.bundle / "conmon.pid").read_text())

    def ended(self) -> bool:
        return (self.top / "exits" / self.cid).exists()

    def kill(self) -> None:
        for pid in (self.pid, self.told().pid):
            if pid > 0:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    need(os.access(CONMON, os.X_OK), f"{CONMON} is not built")
    yield tmp_path
    for path in tmp_path.glob("*/conmon.pid"):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(path.read_text()), signal.SIGKILL)
    for path in tmp_path.glob("*/pidfile"):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(path.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("orders", ["restart perhaps", "health-interval soon", "unheard of"])
def test_bad_orders_are_refused(top: Path, orders: str) -> None:
    done = Tended(top, "a", orders).launch()
    assert done.returncode == 1
    assert "Failed to read the orders" in done.stderr


def test_answers(top: Path) -> None:
    t = Tended(top, "a", "restart always\n")
    t.begin()
    assert t.ask("start") == "error it was started before"
    assert t.ask("check") == "error it has no health check"
    assert t.ask("sing") == "error unknown request"
    assert t.ask("hold") == "ok"
    os.kill(t.told().pid, signal.SIGTERM)
    wait_for(t.ended, "the end")
    assert (t.told().phase, t.told().end, t.told().exit_code) == ("ended", "signal 15", 143)


def test_start_that_fails(top: Path) -> None:
    t = Tended(top, "a", "restart always\n")
    (top / "no-start").touch()
    t.launch()
    wait_for(lambda: t.phase() == "created", "the container")
    assert t.ask("start") == "error will not start"
    os.kill(t.told().pid, signal.SIGKILL)
    wait_for(t.ended, "the end")
    assert t.told().restarts == 0, "what was never started is not started again"


def test_hold_while_the_container_is_made(top: Path) -> None:
    """The answer comes when it is settled: nothing runs, and nothing will."""
    t = Tended(top, "a", "restart always\nback-off 10 20 1000\n", program="sleep 0.2; exit 3")
    (t.bundle / "slow").touch()
    t.begin()
    wait_for(lambda: t.phase() == "creating", "a restart")
    assert t.ask("hold") == "ok"
    assert t.ended()
    assert (t.told().phase, t.told().exit_code) == ("ended", 3)
    wait_for(lambda: not os.path.exists(f"/proc/{t.pid}"), "the monitor's end")


def test_hold_of_somebody_who_has_gone(top: Path) -> None:
    t = Tended(top, "a", "restart always\nback-off 300 300 1000\n", program="exit 3")
    t.begin()
    wait_for(lambda: t.phase() == "waiting", "the back-off")
    os.kill(t.pid, signal.SIGSTOP)
    fd = os.open(t.bundle, os.O_PATH)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(f"/proc/self/fd/{fd}/control")
        sock.send(b"hold")
    os.close(fd)
    time.sleep(0.5)  # the back-off is over as well
    restarts = t.told().restarts
    os.kill(t.pid, signal.SIGCONT)
    wait_for(t.ended, "the end")
    assert t.told().restarts == restarts


def test_broken_restarts_are_counted_and_end(top: Path) -> None:
    t = Tended(top, "a", "restart on-failure:3\nback-off 10 20 1000\n", program="exit 3")
    t.begin()
    (t.bundle / "broken").touch()
    wait_for(t.ended, "the end")
    told = t.told()
    assert (told.restarts, told.exit_code) == (3, 3)


def test_crowd(top: Path) -> None:
    """Two hundred monitors with a check a second and a restart each: none is late for good, lost, or fat."""
    orders = ("restart always\nback-off 10 1000 1000\nhealth BUNDLE/check\nhealth-interval 2000\nhealth-timeout 20000\n"
              "health-retries 3\nhealth-log BUNDLE/health.log\nhealth-log-count 0\nhealth-log-size 100\n")
    crowd = [Tended(top, f"c{n}", orders) for n in range(CROWD)]
    for t in crowd:
        assert t.launch().returncode == 0
    for t in crowd:
        wait_for(lambda t=t: t.phase() == "created", "the container", timeout=30)
        assert t.ask("start") == "ok"
    wait_for(lambda: all(t.told().health == "healthy" for t in crowd), "everybody's health", timeout=30)
    for t in crowd:
        os.kill(t.told().pid, signal.SIGKILL)
    wait_for(lambda: all(t.told().restarts == 1 and t.told().health == "healthy" for t in crowd), "everybody's restart",
             timeout=30)
    pss = sorted(memory_of(t.pid) for t in crowd)
    assert pss[CROWD // 2] < 482, "half of conmon's KiB"
    for t in crowd:
        assert t.ask("hold") == "ok"
        os.kill(t.told().pid, signal.SIGKILL)
    wait_for(lambda: all(t.ended() for t in crowd), "everybody's end", timeout=30)
    assert {t.told().end for t in crowd} == {"signal 9"}
    assert {t.told().restarts for t in crowd} == {1}


def memory_of(pid: int) -> int:
    """KiB of proportional set size."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


# --- new orders ---


def reordered(t: Tended, orders: str) -> str | None:
    (t.bundle / "orders").write_text(orders.replace("BUNDLE", str(t.bundle)))
    return t.ask("reload")


def untended(top: Path, program: str = "exec sleep 1000") -> Tended:
    """Started as a container that needs no tending is: the runtime's start is the engine's."""
    t = Tended(top, "a", "", program)
    (t.bundle / "orders").unlink()
    t.argv = [word for n, word in enumerate(t.argv) if word != "--orders" and t.argv[n - 1] != "--orders"]
    assert t.launch().returncode == 0
    wait_for(lambda: (t.bundle / "go").exists(), "the container")
    (t.bundle / "go").open("w").write("\n")
    return t


def test_orders_for_one_that_had_none(top: Path) -> None:
    t = untended(top, program="sleep 0.7; exit 3")
    assert t.ask("start") == "error it was started before"
    assert t.ask("check") == "error it has no health check"
    assert reordered(t, "restart perhaps") == 'error order "restart": bad value "perhaps"'
    assert reordered(t, "restart on-failure:1\nback-off 10 20 1000\nhealth BUNDLE/check\nhealth-interval 100\n") == "ok"
    told = t.told()
    assert (told.phase, told.pid, told.restarts) == ("running", int((t.bundle / "pidfile").read_text()), 0)
    assert abs(told.started_at - time.time()) < 5
    wait_for(t.ended, "the end of the second run", 20)
    assert (t.told().restarts, t.told().exit_code) == (1, 3)


def test_hold_for_one_without_orders(top: Path) -> None:
    t = untended(top)
    assert t.ask("hold") == "ok"
    assert reordered(t, "restart always\n") == "ok"
    os.kill(t.told().pid, signal.SIGKILL)
    wait_for(t.ended, "the end: who asked for no restart gets none")
    assert t.told().restarts == 0


def test_bad_new_orders_change_nothing(top: Path) -> None:
    t = Tended(top, "a", "restart always\nback-off 10 20 1000\n", program="sleep 0.3; exit 3")
    t.begin()
    assert reordered(t, "restart no\ncolour blue\n") == 'error unknown order "colour"'
    (t.bundle / "orders").unlink()
    assert "No such file" in (t.ask("reload") or "")
    wait_for(lambda: t.told().restarts > 1, "restarts")


def test_new_orders_end_a_back_off(top: Path) -> None:
    t = Tended(top, "a", "restart always\nback-off 60000 60000 1000\n", program="exit 3")
    t.begin()
    wait_for(lambda: t.phase() == "waiting", "the wait for a restart")
    assert reordered(t, "restart no\n") == "ok"
    wait_for(t.ended, "the end", 3)


def test_checks_come_and_go(top: Path) -> None:
    t = Tended(top, "a", "restart no\n")
    t.begin()
    checks = "health BUNDLE/check\nhealth-log BUNDLE/log\nhealth-interval 100\n"
    assert reordered(t, checks + "startup BUNDLE/check\nstartup-interval 1\n") == "ok"
    assert t.told().health == "starting"
    wait_for(lambda: t.told().health == "healthy", "a check")
    (t.bundle / "check").write_text("sleep 0.3; exit 1")
    assert reordered(t, checks + "health-retries 1\nhealth-log BUNDLE/other\n") == "ok"
    wait_for(lambda: t.told().health == "unhealthy", "checks that fail")
    assert json.loads((t.bundle / "other").read_text())["Status"] == "unhealthy"
    assert reordered(t, "restart no\n") == "ok"
    assert t.told().health == ""
    assert t.ask("check") == "error it has no health check"
    assert t.told().phase == "running"
