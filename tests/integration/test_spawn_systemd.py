"""Containers in scopes of systemd, by podlike-spawn itself and below podman."""

import json
import os
import shutil
import subprocess
import tarfile

import pytest

from podlike import paths
from tests.support.box import reap
from tests.support.cgroupbox import (
    MB,
    PATIENCE,
    ROOT,
    CgroupBox,
    controllers,
    show,
    systemctl,
    systemd,
    until,
)
from tests.support.need import need

PROPERTIES = ("MemoryMax", "MemoryLow", "MemoryHigh", "TasksMax", "CPUWeight", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec")


def test_systemd_knows_the_limits(cbox: CgroupBox) -> None:
    """So that reloading it does not undo them."""
    controllers("memory", "cpu", "pids")
    cbox.use("systemd")
    cbox.limit(
        memory={"limit": 64 * MB, "reservation": 16 * MB},
        cpu={"shares": 512, "quota": 50000, "period": 200000},
        pids={"limit": 30},
        unified={"memory.high": str(48 * MB)},
    )
    pid = cbox.start("sleep", "100")
    want = dict(
        zip(PROPERTIES, [str(64 * MB), str(16 * MB), str(48 * MB), "30", "59", "250ms", "200ms"], strict=True)
    )
    assert show(cbox.scope, *PROPERTIES) == want

    def files() -> list[str]:
        names = ("memory.max", "memory.low", "memory.high", "pids.max", "cpu.weight", "cpu.max")
        return [cbox.file(pid, name, up) for name in names for up in (0, 1)]

    before = files()
    assert before[0] == before[1] == str(64 * MB) and before[-1] == before[-2] == "50000 200000"
    systemctl("daemon-reload")
    assert files() == before and show(cbox.scope, *PROPERTIES) == want
    cbox.ok("update", "--memory", "32m", "--cpu-quota", "100000", "--pids-limit", "40", "--cpu-share", "1024", "c")
    want.update(MemoryMax=str(32 * MB), TasksMax="40", CPUWeight="100", CPUQuotaPerSecUSec="500ms")
    assert show(cbox.scope, *PROPERTIES) == want
    before = files()
    assert before[0] == before[1] == str(32 * MB) and before[-1] == before[-2] == "100000 200000"
    systemctl("daemon-reload")
    assert files() == before


def test_systemd_knows_processors_and_disks(cbox: CgroupBox) -> None:
    controllers("cpuset", "io")
    cbox.use("systemd")
    cbox.limit(cpu={"cpus": "1"}, blockIO={"weight": 500})
    pid = cbox.start("sleep", "100")
    assert show(cbox.scope, "AllowedCPUs", "IOWeight") == {"AllowedCPUs": "1", "IOWeight": "4500"}
    assert cbox.file(pid, "cpuset.cpus", 1) == "1"
    cbox.ok("update", "--cpuset-cpus", "0-1", "c")
    assert show(cbox.scope, "AllowedCPUs") == {"AllowedCPUs": "0-1"}
    cbox.ok("update", "--cpu-idle", "1", "c")
    assert show(cbox.scope, "CPUWeight") == {"CPUWeight": "idle"}


def test_systemd_properties_by_annotation(cbox: CgroupBox) -> None:
    cbox.use("systemd")
    prefix = "org.systemd.property."
    cbox.spec["annotations"] = {
        f"{prefix}Description": "'some words'",
        f"{prefix}TimeoutStopUSec": "uint64 7000000",
        f"{prefix}RuntimeMaxSec": "uint64 900",
        f"{prefix}KillSignal": "int32 10",
        f"{prefix}SendSIGHUP": "true",
        f"{prefix}Documentation": "['man:a(1)', \"man:b(1)\"]",
    }
    cbox.start("sleep", "100")
    names = ("Description", "TimeoutStopUSec", "RuntimeMaxUSec", "KillSignal", "SendSIGHUP", "Documentation")
    got = {name: text.replace('"', "") for name, text in show(cbox.scope, *names).items()}
    assert got == dict(zip(names, ["some words", "7s", "15min", "10", "yes", "man:a(1) man:b(1)"], strict=True))


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "true"), ("Description", "words"), ("Description", "'open"), ("KillSignal", "int32 99999999999"),
     ("TimeoutStopSec", "uint64 18446744073709551615"), ("Documentation", "['a'"), ("desc-ription", "true")],
)
def test_bad_systemd_annotations(cbox: CgroupBox, name: str, value: str) -> None:
    cbox.use("systemd")
    cbox.spec["annotations"] = {f"org.systemd.property.{name}": value}
    p = cbox.run("true")
    assert p.returncode == 1 and p.stderr.startswith(f'annotations.org.systemd.property.{name}: "{value}" is not a property')
    cbox.nothing_left()


def test_systemd_refuses(cbox: CgroupBox) -> None:
    cbox.use("systemd")
    cbox.spec["annotations"] = {"org.systemd.property.NoSuchThing": "true"}
    p = cbox.run("true")
    assert p.returncode == 1
    assert p.stderr.startswith(f"systemd: start unit `{cbox.scope}`: ") and "NoSuchThing" in p.stderr
    cbox.nothing_left()


def test_systemd_scope_of_that_name_lives(cbox: CgroupBox) -> None:
    """Somebody else's scope is not touched."""
    cbox.use("systemd")
    argv = ["systemd-run", *([] if ROOT else ["--user"]), "--scope", f"--unit={cbox.scope}", "sleep", "1000"]
    other = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    try:
        until(lambda: show(cbox.scope, "ActiveState")["ActiveState"] == "active", "the other scope runs")
        p = cbox.run("true")
        assert p.returncode == 1 and p.stderr.startswith(f"systemd: start unit `{cbox.scope}`: ")
        assert cbox.ids() == [] and show(cbox.scope, "ActiveState")["ActiveState"] == "active"
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_systemd_scope_that_was_stopped_from_outside(cbox: CgroupBox) -> None:
    cbox.use("systemd")
    pid = cbox.start("sleep", "1000")
    systemctl("kill", "-s", "KILL", cbox.scope)
    assert reap(pid, PATIENCE) == -9
    until(lambda: show(cbox.scope, "LoadState")["LoadState"] == "not-found", "systemd has dropped it")
    assert cbox.state()["status"] == "stopped"
    cbox.ok("delete", "c")


# --- podman ---------------------------------------------------------------------------------------------------------


def test_podman_with_limits(cbox: CgroupBox) -> None:
    podman = shutil.which("podman")
    need(podman, "no podman: install podman")
    assert podman is not None
    systemd()
    controllers("memory", "cpu", "pids")
    runtime = paths.libexec("podlike-spawn")
    name = f"podlike-test-{os.getpid()}"

    def call(*args: str) -> str:
        p = subprocess.run([podman, "--runtime", runtime, *args], capture_output=True, text=True, timeout=300)
        assert p.returncode == 0, (args, p.stderr)
        return p.stdout.strip()

    try:
        with tarfile.open(f"{cbox.dir}/image.tar", "w") as tar:
            tar.add(cbox.rootfs, arcname=".")
        call("import", f"{cbox.dir}/image.tar", name)
        call("run", "-d", "--name", name, "--network", "none", "--memory", "32m", "--pids-limit", "20", "--cpus", "0.5", name,
             "sleep", "1000")
        read = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max"
        assert call("exec", name, "sh", "-c", read).split() == [str(32 * MB), "20", "50000", "100000"]
        call("update", "--memory", "48m", "--cpus", "0.25", name)
        assert call("exec", name, "sh", "-c", read).split() == [str(48 * MB), "20", "25000", "100000"]
        stats = json.loads(call("stats", "--no-stream", "--format", "json", name))[0]
        assert stats["name"] == name and stats["pids"] == "1"
        if not call("--version").startswith("podman version 4."):  # which shows the limit of the start
            assert "50.33MB" in stats["mem_usage"]
        call("pause", name)
        assert call("inspect", "-f", "{{.State.Status}}", name) == "paused"
        call("unpause", name)
        assert call("inspect", "-f", "{{.State.Status}} {{.OCIRuntime}}", name) == f"running {runtime}"
        scope = f"libpod-{call('inspect', '-f', '{{.Id}}', name)}.scope"
        assert show(scope, "MemoryMax", "TasksMax") == {"MemoryMax": str(48 * MB), "TasksMax": "20"}
        call("stop", "-t", "0", name)
        until(lambda: show(scope, "LoadState")["LoadState"] == "not-found", "the scope is gone")
    finally:
        subprocess.run([podman, "--runtime", runtime, "rm", "-f", "-t", "0", name], capture_output=True)
        subprocess.run([podman, "rmi", "-f", name], capture_output=True)
