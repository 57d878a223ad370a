"""Commands killed at random moments: no repair is needed, and nothing stays behind."""

import os
import random
import signal
import subprocess
import time

import pytest

from tests.support.engine import Engine


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("orders", [[], ["--health-cmd", "true", "--health-interval", "50ms", "--stop-timeout", "0"]],
                         ids=["plain", "tended"])
def test_run_killed_at_any_moment(podlike: Engine, image: str, seed: int, orders: list[str]) -> None:
    rng = random.Random(seed)
    names = [f"crash-{seed}-{n}" for n in range(8)]
    for n, name in enumerate(names):
        flags = [*orders, *(["--rm"] if n % 2 else []), *(["--network", "none"] if n % 3 else [])]
        with podlike.popen("run", "--name", name, *flags, image, "sleep", "0.05", stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL) as command:
            time.sleep(rng.random() * 0.3)
            command.kill()
    # Every state is one that a container can be in, whatever was half done.
    for row in podlike("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.splitlines():
        name, state = row.split()
        assert name in names
        assert state in ("created", "initialized", "running", "stopping", "exited"), row
    # What a killed `run` had only recorded goes with the next command that makes a container.
    podlike("run", "--rm", "--network", "none", image, "true")
    assert podlike("ps", "-a", "-q", "--filter", "status=created").stdout == ""
    # The names can be used again at once, and the next start is as good as the first.
    for name in names:
        assert podlike("run", "--rm", "--replace", "--name", name, "--network", "none", image, "echo", name).line == name
    assert podlike("ps", "-a", "-q").stdout == ""


def test_monitor_killed(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, "--network", "none", image, "sleep", "300")
    monitor = int(podlike("inspect", "-f", "{{.State.ConmonPid}}", name).line)
    os.kill(monitor, signal.SIGKILL)
    # The container lives on without its monitor, and can be stopped, started and removed.
    assert podlike("inspect", "-f", "{{.State.Running}}", name).line == "true"
    podlike("stop", "-t", "0", name)
    assert podlike("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name).line == "exited 255"
    podlike("start", name)
    assert podlike("exec", name, "echo", "alive").line == "alive"
    podlike("rm", "-f", "-t", "0", name)


def test_monitors_of_tended_containers_killed_at_any_moment(podlike: Engine, image: str, name: str) -> None:
    """Whatever it was about: the state is a true one, and the container can be started and removed."""
    rng = random.Random(7)
    for n in range(8):
        one = f"{name}-{n}"
        podlike("run", "-d", "--name", one, "--restart=always", "--network", "none", "--health-cmd", "true",
                "--health-interval", "20ms",
                image, "sh", "-c", "usleep 30000; exit 3")
        monitor = int(podlike("inspect", "-f", "{{.State.ConmonPid}}", one).line)
        time.sleep(rng.random() * 0.5)
        os.kill(monitor, signal.SIGKILL)
        state = podlike("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", one).line.split()
        assert state[0] in ("exited", "running", "initialized"), state
        if state[0] == "exited":
            assert state[1] in ("3", "255")
        podlike("start", one)
        podlike("stop", "-t", "0", one)
        assert podlike("inspect", "-f", "{{.State.Status}}", one).line == "exited"
        podlike("rm", one)
