"""Containers and units: --cgroups=split in one, and the monitor's own scope."""

import os
import subprocess
from collections.abc import Callable

import pytest

from tests.support.engine import Engine, wait_for
from tests.support.need import need
from tests.system.conftest import TOP, Container, Host, Starter

PATIENCE = float(os.environ.get("PODLIKE_TEST_SECONDS", "60"))


def cgroup_of(pid: int) -> str:
    with open(f"/proc/{pid}/cgroup") as f:
        return f.read().strip().rpartition("0::")[2]


def test_the_monitor_has_a_scope(start: Starter, podlike: Engine, host: Host) -> None:
    need(host.manager == "systemd", "this is a delegated cgroup", optional=True)
    c = start()
    monitor, scope = c.doc["State"]["ConmonPid"], f"podlike-conmon-{c.doc['Id']}.scope"
    wait_for(lambda: cgroup_of(monitor).endswith(f"/{scope}"), "its scope", PATIENCE)
    assert host.properties(scope, "Slice", "ActiveState") == {
        "Slice": "machine.slice" if host.root else "user.slice", "ActiveState": "active"}
    podlike("rm", "-f", "-t", "0", c.name)
    wait_for(lambda: host.properties(scope, "LoadState") == {"LoadState": "not-found"}, "its end", PATIENCE)


def test_the_monitor_stays_where_it_is(start: Starter, host: Host) -> None:
    need(host.manager == "systemd", "this is a delegated cgroup", optional=True)
    c = start("--cgroups=no-conmon")
    assert cgroup_of(c.doc["State"]["ConmonPid"]) == host.own
    assert c.cgroup.endswith(f"{c.scope}/container")


@pytest.fixture
def unit(host: Host, name: str) -> "Callable[..., str]":
    """Start a service in which a command runs; returns its name. It need not be stopped: it ends with its container."""

    def run(podlike: Engine, *argv: str) -> str:
        env = [f"--setenv={key}={value}" for key, value in podlike.env.items()]
        host.systemctl("reset-failed")
        subprocess.run(["systemd-run", *([] if host.root else ["--user"]), "-q", "--collect", "-p", "Delegate=yes",
                        f"--unit={name}", *env, podlike.bin, *argv], check=True)
        return f"{name}.service"

    return run


def test_split(podlike: Engine, host: Host, image: str, name: str, unit: "Callable[..., str]") -> None:
    flags = ("--name", name, "--network", "none", "--cgroups=split", "--memory", "48m")
    service = unit(podlike, "run", *flags, image, "sleep", "1000")

    def await_state(word: str) -> None:
        wait_for(lambda: podlike("inspect", "-f", "{{.State.Status}}", name, check=False).line == word, word, PATIENCE)

    await_state("running")
    top = host.properties(service, "ControlGroup")["ControlGroup"]
    c = Container(podlike, host, name)
    assert c.cgroup == c.doc["State"]["CgroupPath"] == f"{top}/podlike-payload-{c.doc['Id']}"
    assert cgroup_of(c.doc["State"]["ConmonPid"]) == f"{top}/runtime"
    assert c.file("memory.max") == str(48 << 20)
    assert c.doc["HostConfig"]["Cgroups"] == "split"
    podlike("exec", name, "true")
    podlike("update", "--memory", "50m", name)
    assert c.file("memory.max") == str(50 << 20)
    host.systemctl("stop", service)
    await_state("exited")
    assert not os.path.exists(TOP + top)
