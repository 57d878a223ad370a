"""Sockets and the service manager's patience: what systemd hands over to a command goes into the container."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine, wait_for
from tests.support.registry import RealRegistry

QUIET = ("--network", "none")
LOOK = "env | grep ^LISTEN | sort; echo pid $$; cd /proc/self/fd; for fd in 3 4 5; do readlink $fd || true; done"


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[list[socket.socket]]:
    made = []
    for n in range(2):
        s = socket.socket(socket.AF_UNIX)
        s.bind(f"{tmp_path}/{n}")
        s.listen()
        made.append(s)
    yield made
    for s in made:
        s.close()


def as_systemd(engine: Engine, sockets: list[socket.socket], *args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """The command with descriptors from 3 on and what sd_listen_fds(3) looks for."""
    def place() -> None:
        high = [os.dup2(s.fileno(), 50 + n) for n, s in enumerate(sockets)]
        for n, fd in enumerate(high):
            os.dup2(fd, 3 + n)
            os.close(fd)

    given = {**engine.env, "LISTEN_FDS": str(len(sockets)), "LISTEN_PID": "1", "LISTEN_FDNAMES": "web:admin", **env}
    return subprocess.run([engine.bin, *args], env=given, pass_fds=(3, 4), preexec_fn=place, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)


def links(sockets: list[socket.socket]) -> list[str]:
    return [f"socket:[{os.fstat(s.fileno()).st_ino}]" for s in sockets]


@pytest.mark.parametrize(("flags", "pid"), [((), "1"), (("--init",), "2"), (("--pid", "host"), "")], ids=["plain", "init", "pid"])
def test_run_passes_them_on(podlike: Engine, image: str, sockets: list[socket.socket], flags: tuple[str, ...], pid: str) -> None:
    done = as_systemd(podlike, sockets, "run", "--rm", *QUIET, *flags, image, "sh", "-c", LOOK)
    assert done.returncode == 0, done.stderr
    out = done.stdout.splitlines()
    own = out[3].removeprefix("pid ")
    assert out[:3] == ["LISTEN_FDNAMES=web:admin", "LISTEN_FDS=2", f"LISTEN_PID={own}"]
    assert not pid or own == pid
    assert out[4:] == links(sockets)


def test_start_passes_them_on_and_each_restart_has_them(podlike: Engine, image: str, sockets: list[socket.socket],
                                                        name: str) -> None:
    program = (f"{LOOK}; test -e /again && {{ grep -c LISTEN /env; exec sleep 1000; }}; "
               "until grep -q PATH /env; do sleep 0.2; done; touch /again; exit 1")
    podlike("create", "--name", name, *QUIET, "--restart=on-failure:1", "--health-cmd", "env > /env", "--health-interval=500ms",
            image, "sh", "-c", program)
    done = as_systemd(podlike, sockets, "start", name)
    assert done.returncode == 0, done.stderr
    form = "{{.RestartCount}} {{.State.Status}}"
    wait_for(lambda: podlike("inspect", "--format", form, name).line == "1 running", "its restart", timeout=20)
    seen = podlike("exec", name, "sh", "-c", LOOK.replace("echo pid $$;", "")).stdout
    assert "socket:" not in seen and "LISTEN" not in seen, "they are the first process's"
    once = ["LISTEN_FDNAMES=web:admin", "LISTEN_FDS=2", "LISTEN_PID=1", "pid 1", *links(sockets)]
    wait_for(lambda: podlike("logs", name).stdout.splitlines() == [*once, *once, "0"], "its output, and no variables for checks")


def test_what_is_not_there_is_not_passed_on(podlike: Engine, image: str, sockets: list[socket.socket]) -> None:
    """Variables that somebody has left in the environment, and descriptors that the user hands over himself."""
    stale = podlike("run", "--rm", *QUIET, image, "sh", "-c", LOOK, env={"LISTEN_FDS": "3", "LISTEN_PID": "7"})
    assert stale.line == "pid 1"
    own = as_systemd(podlike, sockets, "run", "--rm", *QUIET, "--preserve-fds", "1", image, "sh", "-c", LOOK)
    assert own.stdout.splitlines() == ["pid 1", *links(sockets[:1])]
    assert "Ignoring LISTEN_FDS to preserve custom user-specified FDs" in own.stderr


def test_nobody_else_keeps_them(podlike: Engine, image: str, sockets: list[socket.socket], name: str) -> None:
    """Neither the session nor the network's helper: the port of a unit that is gone must be free."""
    done = as_systemd(podlike, sockets, "run", "-d", "--name", name, image, "sleep", "1000")
    assert done.returncode == 0, done.stderr
    monitor, pid = podlike("inspect", "--format", "{{.State.ConmonPid}} {{.State.Pid}}", name).line.split()
    holders = set()
    for process in podlike.processes():
        try:
            if set(links(sockets)) & {os.readlink(f"/proc/{process}/fd/{fd}") for fd in os.listdir(f"/proc/{process}/fd")}:
                holders.add(process)
        except OSError:
            continue
    assert holders == {int(monitor)} or holders == {int(monitor), int(pid)}


def test_a_pull_asks_for_more_time(podlike: Engine, image: str, registry: RealRegistry, name: str, tmp_path: Path) -> None:
    remote = f"{registry.host}/{name}:1"
    podlike("push", image, remote)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        manager.settimeout(10)
        pulled = podlike("pull", remote, env={"NOTIFY_SOCKET": f"{tmp_path}/notify"})
        assert manager.recv(100) == b"EXTEND_TIMEOUT_USEC=30000000"
    lines = pulled.stderr.splitlines()
    assert lines[:2] == [f"Trying to pull {remote}...", f"Pulling image //{remote} inside systemd: setting pull timeout to 5m0s"]
    gone = podlike("pull", remote, env={"NOTIFY_SOCKET": f"{tmp_path}/gone"})
    assert "tell the service manager" in gone.stderr
