"""After a reboot. The reboot is pretended: all is killed, the runtime directory is gone, and the boot id is another one.

tests/system/reboot.py is the same with a machine that really reboots, and with systemd.
"""

import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from podlike.engine.startup import Startup
from podlike.paths import Roots
from tests.support.engine import Engine, wait_for
from tests.support.need import need

QUIET = ("--network", "none")
BOOT_ID = "/proc/sys/kernel/random/boot_id"


def states(podlike: Engine) -> "dict[str, str]":
    return {row["Names"][0]: row["State"] for row in json.loads(podlike("ps", "-a", "--format", "json").stdout)}


def inspect(podlike: Engine, name: str) -> "dict[str, Any]":
    doc: dict[str, Any] = json.loads(podlike("container", "inspect", name).stdout)[0]
    return doc


@pytest.fixture
def machine(podlike: Engine) -> Iterator["Machine"]:
    need(os.access(BOOT_ID, os.W_OK), "the boot id cannot be changed here: run in contrib/rig -r")
    with open(BOOT_ID) as f:
        real = f.read()
    yield Machine(podlike)
    podlike("rm", "--all", "--force", "--time", "0")
    with open(BOOT_ID, "w") as f:
        f.write(real)


class Machine:
    def __init__(self, podlike: Engine) -> None:
        self.podlike = podlike

    def reboot(self) -> None:
        deadline = time.monotonic() + 10
        while processes := self.podlike.processes():
            assert time.monotonic() < deadline, processes
            for pid in processes:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)
        shutil.rmtree(self.podlike.run_dir)
        os.mkdir(self.podlike.run_dir, 0o700)
        with open(BOOT_ID, "w") as f:
            f.write(f"{uuid.uuid4()}\n")


def test_who_comes_back(machine: Machine, podlike: Engine, image: str, tmp_path: "os.PathLike[str]") -> None:
    def run(name: str, *flags: str) -> None:
        podlike("run", "-d", "--name", name, *(flags if any("network" in f for f in flags) else (*QUIET, *flags)), image, "sleep",
                "100")

    source = f"{os.fspath(tmp_path)}/source"
    os.mkdir(source)
    run("always", "--restart=always")
    run("kept", "--restart=unless-stopped", "--health-cmd=true", "--health-interval=200ms")
    run("stopped", "--restart=unless-stopped")
    run("always-stopped", "--restart=always")
    run("killed", "--restart=unless-stopped")
    run("none")
    run("failing", "--restart=on-failure")
    run("unwatched", "--restart=always")
    run("base")
    run("needing", "--restart=always", "--network=container:base")
    run("broken", "--restart=always", "-v", f"{source}:/mnt")
    run("needs-broken", "--restart=always", "--network=container:broken")
    podlike("create", "--name", "never", "--restart=always", *QUIET, image, "sleep", "100")
    podlike("stop", "-t", "0", "stopped", "always-stopped")
    podlike("kill", "killed")
    os.kill(inspect(podlike, "unwatched")["State"]["ConmonPid"], signal.SIGKILL)
    os.rmdir(source)

    machine.reboot()
    assert set(states(podlike).values()) == {"exited", "created"}
    done = podlike("system", "startup", "run", check=False)
    assert done.code == 125
    assert done.stdout.split() == ["always", "kept", "always-stopped", "unwatched", "needing"]
    assert "Error: broken: " in done.stderr
    assert "needs-broken: start container needs-broken: it needs broken, which could not be started" in done.stderr
    up = {name for name, state in states(podlike).items() if state == "running"}
    assert up == {"always", "kept", "always-stopped", "unwatched", "base", "needing"}
    assert inspect(podlike, "base")["State"]["StartedAt"] < inspect(podlike, "needing")["State"]["StartedAt"]
    wait_for(lambda: inspect(podlike, "kept")["State"]["Health"]["Status"] == "healthy", "checks")

    again = [podlike.popen("system", "startup", "run") for _ in range(2)]
    assert [p.communicate(timeout=60)[0] for p in again] == [b"", b""]

    os.mkdir(source)
    machine.reboot()
    assert podlike("system", "startup", "run").stdout.split()[-2:] == ["broken", "needs-broken"]


def test_a_pod_comes_back(machine: Machine, podlike: Engine, image: str) -> None:
    """Its containers have its policy, and need its infra container."""
    podlike("pod", "create", "--name", "p", "--restart=always", *QUIET)
    podlike("run", "-d", "--pod", "p", "--name", "member", image, "sleep", "100")
    podlike("pod", "create", "--name", "q", *QUIET)
    podlike("run", "-d", "--pod", "q", image, "sleep", "100")
    machine.reboot()
    assert podlike("system", "startup", "run").stdout.split() == ["member"]
    rows = podlike("pod", "ps", "--format", "{{.Name}} {{.Status}}").stdout.splitlines()
    assert sorted(rows) == ["p Running", "q Exited"]
    podlike("pod", "rm", "--all", "--force", "--time", "0")


def test_a_shutdown_is_nobodys_stop(machine: Machine, podlike: Engine, image: str) -> None:
    trap = ("sh", "-c", "trap 'exit 0' TERM; sleep 100 & wait")
    podlike("run", "-d", "--name", "kept", "--restart=unless-stopped", *QUIET, image, *trap)
    podlike("run", "-d", "--name", "other", "--network=container:kept", image, *trap)
    podlike("run", "-d", "--name", "stopped", "--restart=unless-stopped", *QUIET, image, *trap)
    podlike("stop", "stopped")
    podlike("system", "startup", "stop")
    assert set(states(podlike).values()) == {"exited"}
    kept = inspect(podlike, "kept")
    assert (kept["State"]["ExitCode"], kept["State"]["StoppedByUser"], kept["RestartCount"]) == (0, False, 0)
    machine.reboot()
    assert podlike("system", "startup", "run").stdout.split() == ["kept"]


def test_by_podmans_filter(machine: Machine, podlike: Engine, image: str) -> None:
    """podman-restart.service calls one or the other."""
    for name, policy in (("a", "always"), ("b", "unless-stopped"), ("c", "no")):
        podlike("run", "-d", "--name", name, f"--restart={policy}", *QUIET, image, "sleep", "100")
    podlike("create", "--name", "d", "--restart=always", *QUIET, image, "sleep", "100")
    machine.reboot()
    podlike("start", "--all", "--filter", "should-start-on-boot=true")
    assert states(podlike) == {"a": "running", "b": "running", "c": "exited", "d": "created"}
    machine.reboot()
    podlike("start", "--all", "--filter", "restart-policy=always")
    assert states(podlike) == {"a": "running", "b": "exited", "c": "exited", "d": "running"}


def test_requires(podlike: Engine, image: str, name: str) -> None:
    podlike("create", "--name", f"{name}-1", *QUIET, image, "sleep", "100")
    podlike("create", "--name", name, "--requires", f"{name}-1", *QUIET, image, "sleep", "100")
    cid = inspect(podlike, f"{name}-1")["Id"]
    assert inspect(podlike, name)["Dependencies"] == [cid]
    podlike("start", name)
    assert set(states(podlike).values()) == {"running"}
    assert podlike("rm", "-f", f"{name}-1", check=False).code != 0
    refused = podlike("create", "--requires", "nobody", image, "true", check=False)
    assert (refused.code, "no such container" in refused.stderr) == (125, True)


# --- who calls it ---


@pytest.fixture
def crontab(podlike: Engine) -> Iterator[None]:
    need(not os.path.isdir("/run/systemd/system"), "a machine without systemd, where cron is used", optional=True)
    need(shutil.which("crontab", path="/usr/bin"), "crontab, from the package cron")
    old = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False)
    os.unlink(f"{podlike.data}/startup")
    try:
        yield
    finally:
        with open(f"{podlike.data}/startup", "w") as f:
            f.write("off\n")
        if old.returncode:
            subprocess.run(["crontab", "-r"], stderr=subprocess.DEVNULL, check=False)
        else:
            subprocess.run(["crontab", "-"], input=old.stdout, text=True, check=True)


def cron_lines() -> list[str]:
    return subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False).stdout.splitlines()


def test_cron(crontab: None, machine: Machine, podlike: Engine, image: str) -> None:
    mine = ["# mine", "A=b", "5 4 * * * echo 100\\%"]
    subprocess.run(["crontab", "-"], input="\n".join(mine) + "\n", text=True, check=True)
    podlike("run", "-d", "--name", "none", *QUIET, image, "sleep", "100")
    failed = podlike("create", "--restart=always", "--volumes-from", "nobody", image, "true", check=False)
    assert failed.code == 125
    assert cron_lines() == mine
    podlike("run", "-d", "--name", "always", "--restart=always", *QUIET, image, "sleep", "100")
    podlike("run", "-d", "--name", "kept", "--restart=unless-stopped", *QUIET, image, "sleep", "100")
    *rest, line = cron_lines()
    assert rest == mine
    assert line.startswith("@reboot ")
    status = json.loads(podlike("system", "startup", "status", "--format", "json").stdout)
    assert (status["by"], status["enabled"], status["containers"]) == ("cron", True, ["always", "kept"])
    machine.reboot()
    # What cron does with it: crontab(5).
    subprocess.run(["/bin/sh", "-c", line.removeprefix("@reboot ").replace("\\%", "%")], check=True, timeout=60,
                   env={"HOME": podlike.home, "PATH": "/usr/bin:/bin", "LOGNAME": "x", "PODLIKE_TEST_TOKEN": podlike.token})
    assert states(podlike) == {"none": "exited", "always": "running", "kept": "running"}
    podlike("system", "startup", "remove")
    podlike("update", "--restart=always", "none")
    assert cron_lines() == mine, "what the user took away stays away"
    podlike("system", "startup", "install")
    assert cron_lines() == [*mine, line]
    podlike("system", "startup", "install")
    assert cron_lines() == [*mine, line]


def test_unit_text(tmp_path: "os.PathLike[str]", monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd's own parser reads what we wrote."""
    verify = shutil.which("systemd-analyze", path="/usr/bin:/bin")
    need(verify, "systemd-analyze, from the package systemd", optional=True)
    top = f"{os.fspath(tmp_path)}/a b%h$X"
    os.makedirs(top)
    monkeypatch.setenv("XDG_CONFIG_HOME", top)
    startup = Startup(Roots(data=f"{top}/data", run=f"{top}/run"))
    path = f"{top}/some.service"
    with open(path, "w") as f:
        f.write(startup.unit_text())
    done = subprocess.run([str(verify), "verify", "--user", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
