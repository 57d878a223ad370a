"""Pods with limits: the cgroup of each manager, what is enforced, and that it goes and comes with the pod."""

import json
import os
from collections.abc import Iterator

import pytest

from tests.support.engine import Engine, wait_for
from tests.system.conftest import TOP, Container, Host
from tests.system.test_limits import PATIENCE

MB = 1 << 20


@pytest.fixture
def pods(podlike: Engine, host: Host) -> Iterator[Engine]:
    yield podlike
    podlike("pod", "rm", "--all", "--force", "--time", "0")


def test_limits_of_a_pod(pods: Engine, host: Host, image: str) -> None:
    pods("pod", "create", "--name", "p", "--network", "none", "--memory", "48m", "--cpus", "0.5", "--pids-limit", "40")
    pods("run", "-d", "--pod", "p", "--name", "a", image, "sleep", "1000")
    doc = json.loads(pods("pod", "inspect", "p").stdout)[0]
    path = doc["CgroupPath"]
    group = TOP + path

    def file(name: str) -> str:
        with open(f"{group}/{name}") as f:
            return f.read().strip()

    assert (file("memory.max"), file("cpu.max"), file("pids.max")) == (str(48 * MB), "50000 100000", "40")
    assert Container(pods, host, "a").cgroup.startswith(path + "/")
    if host.manager == "systemd":
        assert path.endswith(f"-podlike_pod_{doc['Id']}.slice")
        assert host.properties(os.path.basename(path), "ActiveState", "MemoryMax") == {
            "ActiveState": "active", "MemoryMax": str(48 * MB)}  # fmt: skip
    # What one container has not used, another one may: the limit is that of all together.
    assert pods("run", "--rm", "--pod", "p", "--name", "b", image, "tail", "/dev/zero", check=False).code == 137
    pods("pod", "stop", "-t", "0", "p")
    wait_for(lambda: not os.path.exists(group), "the end of the pod's cgroup", PATIENCE)
    pods("pod", "start", "p")
    assert (file("memory.max"), file("pids.max")) == (str(48 * MB), "40")
    pods("pod", "rm", "-f", "-t", "0", "p")
    wait_for(lambda: not os.path.exists(group), "the end of the pod's cgroup", PATIENCE)
    if host.manager == "systemd":
        assert host.properties(os.path.basename(path), "LoadState", "MemoryMax")["MemoryMax"] == "infinity"
