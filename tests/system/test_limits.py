"""Limits of `podlike run`, set and enforced, and who made the cgroup."""

import json
import os
import time

from tests.support.engine import Engine, wait_for
from tests.support.need import need
from tests.system.conftest import TOP, Container, Host, Starter, moves

MB = 1 << 20
PATIENCE = float(os.environ.get("PODLIKE_TEST_SECONDS", "60"))


def test_it_has_a_cgroup_where_one_is_to_be_had(start: Starter, podlike: Engine, host: Host) -> None:
    c = start()
    assert c.doc["HostConfig"]["CgroupManager"] == host.manager == podlike("info", "-f", "{{.Host.CgroupManager}}").line
    path = c.doc["State"]["CgroupPath"]
    if host.manager == "systemd":
        assert path.endswith(f".slice/{c.scope}") and c.cgroup == f"{path}/container"
        assert host.properties(c.scope, "ActiveState", "Delegate", "ControlGroup") == {
            "ActiveState": "active", "Delegate": "yes", "ControlGroup": path}  # fmt: skip
    else:
        assert c.cgroup == path == f"{os.path.dirname(host.own)}/podlike-{c.doc['Id']}"
    assert c.file("pids.max") == "2048"  # what every container gets
    # exec is in it as well
    podlike("exec", "-d", c.name, "sleep", "999")
    wait_for(lambda: len(c.file("cgroup.procs").split()) == 2, "a second process in its cgroup", PATIENCE)
    podlike("stop", "-t", "0", c.name)
    assert not os.path.exists(TOP + path)
    if host.manager == "systemd":
        assert host.properties(c.scope, "LoadState") == {"LoadState": "not-found"}
    podlike("start", c.name)
    assert Container(podlike, host, c.name).cgroup == c.cgroup


def test_memory(start: Starter, podlike: Engine) -> None:
    c = start("--memory", "32m", "--memory-reservation", "16m")
    assert (c.file("memory.max"), c.file("memory.low")) == (str(32 * MB), str(16 * MB))
    # tail keeps what it reads until a line ends.
    assert podlike("exec", c.name, "tail", "/dev/zero", check=False).code == 137
    assert c.table("memory.events")["oom_kill"] == 1
    podlike("stop", "-t", "0", c.name)
    assert podlike("inspect", "-f", "{{.State.OOMKilled}}", c.name).line == "true"


def test_processes(start: Starter, podlike: Engine) -> None:
    c = start("--pids-limit", "9")
    many = podlike("exec", c.name, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 & done", check=False)
    assert many.code != 0 and "can't fork" in many.stderr
    assert c.file("pids.max") == "9" and c.table("pids.events")["max"] > 0
    assert int(c.file("pids.current")) <= 9


def test_processor_time(start: Starter, podlike: Engine) -> None:
    c = start("--cpus", "0.2", "--memory", "64m", program="sleep 1000 & while :; do :; done")
    assert c.file("cpu.max") == "20000 100000"
    wait_for(lambda: c.table("cpu.stat")["nr_throttled"] > 5, "throttling", PATIENCE)
    before, began = c.table("cpu.stat"), time.monotonic()
    wait_for(lambda: c.table("cpu.stat")["nr_periods"] > before["nr_periods"] + 30, "30 periods", PATIENCE)
    after, ended = c.table("cpu.stat"), time.monotonic()
    used = (after["usage_usec"] - before["usage_usec"]) / 1e6 / (ended - began)
    assert used < 0.25, used  # without the limit it is 1, or what else a loaded machine gives
    assert after["nr_throttled"] > before["nr_throttled"]
    stats = json.loads(podlike("stats", "--no-stream", "--format", "{{json .}}", c.name).stdout)
    assert stats["MemLimit"] == 64 * MB and 0 < stats["MemUsage"] < 64 * MB and stats["PIDs"] == 2
    assert 0 < stats["CPU"] < 40, stats  # it may have begun before its limit held
    assert after["usage_usec"] * 1000 <= stats["CPUNano"] <= c.table("cpu.stat")["usage_usec"] * 1000


def test_processor_weight_and_set(start: Starter, podlike: Engine) -> None:
    c = start("--cpuset-cpus", "1", "--cpu-shares", "512")
    assert (c.file("cpuset.cpus"), c.file("cpu.weight")) == ("1", "59")
    assert os.sched_getaffinity(c.doc["State"]["Pid"]) == {1}
    assert "Cpus_allowed_list:\t1\n" in podlike("exec", c.name, "cat", "/proc/self/status").stdout


def disk_of(path: str) -> str:
    """The disk that a file system is on."""
    number = os.stat(path).st_dev
    device = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
    whole = os.path.exists(device) and not os.path.exists(f"{device}/partition")
    need(whole, f"{path} is not on a disk of its own", optional=True)
    with open(f"{device}/uevent") as f:
        return next(f"/dev/{line[8:].strip()}" for line in f if line.startswith("DEVNAME="))


def test_disk_and_files_of_the_cgroup(start: Starter, podlike: Engine) -> None:
    disk = disk_of(podlike.dir)
    number = os.stat(disk).st_rdev
    c = start("--device-read-bps", f"{disk}:1mb", "--device-write-iops", f"{disk}:500", "--blkio-weight", "100",
              "--cgroup-conf", "memory.high=50331648", "--limits=best-effort", "--cgroup-conf", "hugetlb.2MB.max=4194304")
    line = f"{os.major(number)}:{os.minor(number)} rbps=1048576 wbps=max riops=max wiops=500"
    assert (c.file("io.max"), c.file("io.weight"), c.file("memory.high")) == (line, "default 910", "50331648")
    warnings = c.doc["State"].get("LimitWarnings", [])
    if warnings:
        assert "controller `hugetlb` is not available in cgroup" in warnings[0]
    else:
        assert c.file("hugetlb.2MB.max") == "4194304"
    script = "dd if=/dev/zero of=/f bs=64k count=48; sync; time dd if=/f of=/dev/null bs=64k iflag=direct"
    took = podlike("exec", c.name, "sh", "-c", script).stderr.split("real\t0m ")[1]
    assert float(took.split("s")[0]) > 1.5, took  # three MiB, of which the first may come in one go
    podlike("update", "--device-read-bps", f"{disk}:0", "--device-read-iops", f"{disk}:70", c.name)
    assert c.file("io.max") == line.replace("rbps=1048576", "rbps=max").replace("riops=max", "riops=70")
    now = Container(podlike, c.host, c.name).doc["HostConfig"]
    assert now["BlkioDeviceReadIOps"] == [{"Path": disk, "Rate": 70}] and now["BlkioWeight"] == 100


def test_pause(start: Starter, podlike: Engine) -> None:
    c = start(program="i=0; while :; do i=$((i + 1)); echo $i > /n; sleep 0.05; done")

    def count() -> str:
        with open(f"/proc/{c.doc['State']['Pid']}/root/n") as f:
            return f.read()

    def usage() -> int:
        return c.table("cpu.stat")["usage_usec"]

    assert moves(usage, PATIENCE)
    podlike("pause", c.name)
    assert "frozen 1" in c.file("cgroup.events")
    assert podlike("inspect", "-f", "{{.State.Status}}", c.name).line == "paused"
    assert not moves(usage, 2)
    podlike("unpause", c.name)
    assert moves(usage, PATIENCE)


def test_scope_of_systemd(start: Starter, podlike: Engine, host: Host) -> None:
    """Its properties hold the limits, so that systemd restores them whenever it is reloaded."""
    limits = ("--memory", "64m", "--memory-reservation", "16m", "--pids-limit", "30", "--cpus", "0.5", "--cpu-shares", "512",
              "--cpuset-cpus", "0")  # fmt: skip
    c = start(*limits, before=("--cgroup-manager", "systemd"))
    assert c.doc["HostConfig"]["CgroupManager"] == "systemd"
    slice_ = "machine.slice" if host.root else "user.slice"
    want = {"MemoryMax": str(64 * MB), "MemoryLow": str(16 * MB), "TasksMax": "30", "CPUQuotaPerSecUSec": "500ms",
            "CPUWeight": "59", "AllowedCPUs": "0", "Slice": slice_, "Delegate": "yes"}  # fmt: skip
    assert host.properties(c.scope, *want) == want
    host.systemctl("daemon-reload")
    assert (c.file("memory.max"), c.file("pids.max"), c.file("cpu.max")) == (str(64 * MB), "30", "50000 100000")
    assert host.properties(c.scope, *want) == want
    podlike("pause", c.name)
    assert "frozen 1" in c.file("cgroup.events")
    podlike("unpause", c.name)
    podlike("exec", c.name, "true")
    podlike("rm", "-f", "-t", "0", c.name)
    assert host.properties(c.scope, "LoadState") == {"LoadState": "not-found"}


def test_slice_as_parent(start: Starter, podlike: Engine, host: Host, image: str) -> None:
    c = start("--cgroup-parent", "pltest-inner.slice", before=("--cgroup-manager", "systemd"))
    assert c.cgroup.endswith(f"/pltest.slice/pltest-inner.slice/{c.scope}/container")
    assert c.doc["State"]["CgroupPath"] == os.path.dirname(c.cgroup)
    wrong = podlike("--cgroup-manager", "systemd", "run", "--cgroup-parent", "/some/path", image, "true", check=False)
    assert wrong.code == 125 and "did not receive systemd slice" in wrong.stderr


def test_files_where_nothing_is_delegated(podlike: Engine, host: Host, image: str) -> None:
    need(not os.access(TOP + os.path.dirname(host.own), os.W_OK), "cgroups can be made beside our own", optional=True)
    refused = podlike("--cgroup-manager", "cgroupfs", "run", "--memory", "32m", image, "true", check=False)
    assert refused.code == 125
    assert f"set --memory: the requested cgroup controller `memory` is not available in cgroup {host.own}" in refused.stderr
