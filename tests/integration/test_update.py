"""podlike update: on containers that run, and on those that do not."""

import json
import os
import signal
from typing import Any

import pytest

from tests.support.engine import Engine, wait_for
from tests.support.need import need

QUIET = ("--network", "none")


def inspect(podlike: Engine, name: str) -> "dict[str, Any]":
    doc: dict[str, Any] = json.loads(podlike("container", "inspect", name).stdout)[0]
    return doc


def state(podlike: Engine, name: str) -> "dict[str, Any]":
    found: dict[str, Any] = inspect(podlike, name)["State"]
    return found


def restarted(podlike: Engine, name: str) -> "dict[str, Any]":
    """Kill its program from outside, and wait for the next one."""
    before = inspect(podlike, name)
    os.kill(before["State"]["Pid"], signal.SIGKILL)
    wait_for(lambda: inspect(podlike, name)["RestartCount"] == before["RestartCount"] + 1, "a restart")
    wait_for(lambda: state(podlike, name)["Status"] == "running", "the next run")
    return inspect(podlike, name)


def test_restart_policy_comes_and_goes(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, *QUIET, image, "sleep", "100")
    cid = inspect(podlike, name)["Id"]
    assert podlike("update", "--restart=on-failure:5", "--env", "NEW=1", name).line == cid
    now = restarted(podlike, name)
    assert now["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 5}
    with open(f"/proc/{now['State']['Pid']}/environ") as f:
        assert "NEW=1" in f.read().split("\0")
    podlike("update", "--restart=no", name)
    os.kill(state(podlike, name)["Pid"], signal.SIGKILL)
    wait_for(lambda: state(podlike, name)["Status"] == "exited", "the end")
    assert state(podlike, name)["ExitCode"] == 137
    podlike("update", "--restart=always", name)  # one that does not run
    podlike("start", name)
    restarted(podlike, name)
    podlike("stop", "-t", "0", name)
    assert state(podlike, name)["Status"] == "exited"


def test_an_attached_client_stays(podlike: Engine, image: str, name: str) -> None:
    """The client that began without a policy follows the container through its restarts, and its ctrl-c ends it."""
    with podlike.popen("run", "--name", name, *QUIET, image, "sh", "-c", "echo run; trap 'exit 4' INT; sleep 100 & wait") as p:
        assert p.stdout is not None
        assert p.stdout.readline() == b"run\n"
        podlike("update", "--restart=always", name)
        restarted(podlike, name)
        assert p.stdout.readline() == b"run\n"
        p.send_signal(signal.SIGINT)
        assert p.wait(20) == 4
    assert state(podlike, name)["Status"] == "exited"


def test_health_check_comes_changes_and_goes(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, *QUIET, image, "sleep", "100")
    podlike("update", "--health-cmd", "test -e /well", "--health-interval=100ms", "--health-retries=1", name)
    wait_for(lambda: state(podlike, name)["Health"]["Status"] == "unhealthy", "the check")
    podlike("exec", name, "touch", "/well")
    wait_for(lambda: state(podlike, name)["Health"]["Status"] == "healthy", "the check")
    podlike("update", "--health-timeout=3s", "--health-max-log-count=2", "--health-on-failure=kill", name)
    config = inspect(podlike, name)["Config"]
    assert config["Healthcheck"]["Test"] == ["CMD-SHELL", "test -e /well"]
    assert (config["Healthcheck"]["Timeout"], config["Healthcheck"]["Interval"]) == (3_000_000_000, 100_000_000)
    assert podlike("inspect", "--format", "{{.Config.Healthcheck.Interval}}", name).line == "100ms"
    podlike("update", "--no-healthcheck", name)
    assert "Health" not in state(podlike, name)
    assert inspect(podlike, name)["Config"]["Healthcheck"] == {"Test": ["NONE"]}
    podlike("update", "--health-cmd", "false", "--health-interval=100ms", "--health-retries=1", "--health-on-failure=kill", name)
    wait_for(lambda: state(podlike, name)["Status"] == "exited", "the action")
    assert "health" in state(podlike, name)["EndReason"]


@pytest.mark.parametrize(("flags", "words"), [
    (("--health-interval=1s",), "healthcheck command is not set"),
    (("--health-startup-retries=1",), "startup healthcheck command is not set"),
    (("--health-cmd=true", "--no-healthcheck"), "cannot specify both --no-healthcheck and other HealthCheck flags"),
    (("--health-on-failure=kill",), "without a health check"),
    (("--health-on-failure=explode", "--health-cmd=true"), "invalid on-failure action"),
    (("--health-startup-cmd=true",), "no regular healthcheck"),
    (("--health-cmd=true", "--health-timeout=0s"), "at least 1 second"),
    (("--restart=sometimes",), "is not valid"),
    (("--cpus=1", "--cpu-quota=5"), "cannot be set together"),
    (("--memory=lots",), "invalid value for memory"),
    (("--ulimit=nofile=2:1",), "soft limit"),
    (("--blkio-weight=9",), "range of blkio weight is from 10 to 1000"),
    (("--device-read-bps=/dev/zero:1mb",), "/dev/zero: not a block device"),
    (("--memory-swappiness=5",), "cannot set memory swappiness with cgroupv2"),
])
def test_what_is_refused_changes_nothing(podlike: Engine, image: str, name: str, flags: tuple[str, ...], words: str) -> None:
    podlike("run", "-d", "--name", name, *QUIET, image, "sleep", "100")
    before = inspect(podlike, name)
    refused = podlike("update", *flags, name, check=False)
    assert refused.code == 125
    assert words in refused.stderr
    assert inspect(podlike, name) == before


def test_rm_and_a_policy_exclude_each_other(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--rm", "--name", name, *QUIET, image, "sleep", "100")
    refused = podlike("update", "--restart=always", name, check=False)
    assert "--rm option conflicts with --restart" in refused.stderr
    assert state(podlike, name)["Status"] == "running"


def test_without_its_monitor(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, *QUIET, image, "sleep", "100")
    os.kill(state(podlike, name)["ConmonPid"], signal.SIGKILL)
    done = podlike("update", "--restart=always", name)
    assert "from its next start on" in done.stderr
    podlike("restart", "-t", "0", name)
    restarted(podlike, name)


def test_ulimits_hold_from_the_next_start_on(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, *QUIET, image, "sh", "-c", "ulimit -n; sleep 100")
    podlike("update", "--ulimit=nofile=321:321", name)
    podlike("restart", "-t", "0", name)
    wait_for(lambda: podlike("logs", name).stdout.split()[1:] == ["321"], "the second run")


def test_limits(podlike: Engine, image: str, name: str) -> None:
    with open("/proc/self/cgroup") as f:
        own = "/sys/fs/cgroup" + f.read().rpartition("0::")[2].strip()
    controllers = ""
    if os.path.exists(f"{own}/cgroup.controllers"):
        with open(f"{own}/cgroup.controllers") as f:
            controllers = f.read()
    need({"memory", "pids"} <= set(controllers.split()), "no delegated cgroup with memory and pids", optional=True)
    podlike("run", "-d", "--name", name, *QUIET, "--pids-limit=100", image, "sleep", "100")
    podlike("update", "--memory=100m", "--restart=always", name)

    def limits() -> tuple[str, str]:
        first, second = podlike("exec", name, "cat", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids.max").stdout.split()
        return first, second

    assert limits() == ("104857600", "100")
    restarted(podlike, name)
    assert limits() == ("104857600", "100"), "the monitor starts it again with the new limits"
    podlike("update", "--pids-limit=-1", name)
    assert limits() == ("104857600", "max")
    podlike("restart", "-t", "0", name)
    assert limits() == ("104857600", "max")
