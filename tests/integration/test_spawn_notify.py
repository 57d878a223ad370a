"""NOTIFY_SOCKET: a program that tells the service manager when it is ready."""

import signal
import socket
import subprocess
import time
from typing import Any

import pytest

from tests.support.box import Box


@pytest.fixture
def manager(any_box: Box) -> Any:
    """A service manager's socket, named in the environment of the runtime."""
    path = f"{any_box.dir}/manager.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(0.3)
        any_box.enter = ["env", f"NOTIFY_SOCKET={path}", *any_box.enter]
        yield s


READY = """
python3 -c "
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect('{path}')
s.send(b'{text}')"
"""


def say(box: Box, pid: int, text: str) -> None:
    """What sd_notify(3) does in the container: its root is our only way to the socket."""
    subprocess.run(
        [*box.enter, "sh", "-c", READY.format(path=f"/proc/{pid}/root{box.dir}/manager.sock/notify", text=text)], check=True
    )


def test_readiness_is_passed_on(any_box: Box, manager: socket.socket) -> None:
    pid = any_box.create("sh", "-c", "echo $NOTIFY_SOCKET; ls -l $NOTIFY_SOCKET; exec sleep 100")
    with subprocess.Popen(any_box.argv("start", "c")) as p:
        while f"{any_box.dir}/manager.sock/notify" not in any_box.output():
            time.sleep(0.01)
        say(any_box, pid, "STATUS=working\\nMAINPID=1")
        with pytest.raises(TimeoutError):
            manager.recv(1000)
        assert p.poll() is None, "start returns when the program is ready"
        say(any_box, pid, "STATUS=up\\nREADY=1\\nX=y")
        manager.settimeout(10)
        assert manager.recv(1000) == b"READY=1"
        assert p.wait(10) == 0
    assert "srwxrwxrwx" in any_box.output()


def test_program_that_ends_before_it_is_ready(any_box: Box, manager: socket.socket) -> None:
    any_box.create("true")
    assert any_box("start", "c").returncode == 0


def test_run_attends_to_the_container_meanwhile(any_box: Box, manager: socket.socket) -> None:
    any_box.write("sh", "-c", "trap 'exit 9' TERM; echo on; while true; do sleep 0.01; done")
    with subprocess.Popen(any_box.argv("run", "-b", any_box.bundle, "c"), stdout=subprocess.PIPE) as p:
        assert p.stdout is not None and p.stdout.readline() == b"on\n"
        p.send_signal(signal.SIGTERM)
        assert p.wait(10) == 9
