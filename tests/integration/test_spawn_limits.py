"""What linux.resources asks for, set and enforced: needs controllers (a virtual machine, a login session of systemd)."""

import ctypes
import json
import os
import subprocess

import pytest

from tests.support.box import reap
from tests.support.cgroupbox import (
    MB,
    PATIENCE,
    ROOT,
    TOP,
    CgroupBox,
    cgroup_of,
    controllers,
    delegated,
    until,
)
from tests.support.need import need


def test_limits_are_in_the_files(managed: CgroupBox) -> None:
    controllers("memory", "cpu", "pids")
    managed.limit(
        memory={"limit": 64 * MB, "swap": 96 * MB, "reservation": 16 * MB},
        cpu={"shares": 512, "quota": 50000, "period": 200000, "burst": 1000},
        pids={"limit": 30},
        unified={"memory.high": str(48 * MB), "memory.oom.group": "1"},
    )
    pid = managed.start("sleep", "100")
    want = {
        "memory.max": str(64 * MB),
        "memory.swap.max": str(32 * MB),
        "memory.low": str(16 * MB),
        "memory.high": str(48 * MB),
        "memory.oom.group": "1",
        "cpu.weight": "59",
        "cpu.max": "50000 200000",
        "cpu.max.burst": "1000",
        "pids.max": "30",
    }
    assert {name: managed.file(pid, name) for name in want} == want
    # Only one of quota and period: the other stays.
    managed.ok("update", "--cpu-quota", "60000", "c")
    assert managed.file(pid, "cpu.max") == "60000 200000"
    managed.ok("update", "--cpu-period", "100000", "c")
    assert managed.file(pid, "cpu.max") == "60000 100000"
    # Quota and burst hold each other: from either side to the other.
    managed.ok("update", "--cpu-quota", "2000", "--cpu-burst", "500", "c")
    assert (managed.file(pid, "cpu.max"), managed.file(pid, "cpu.max.burst")) == ("2000 100000", "500")
    managed.ok("update", "--cpu-quota", "90000", "--cpu-burst", "80000", "c")
    assert (managed.file(pid, "cpu.max"), managed.file(pid, "cpu.max.burst")) == ("90000 100000", "80000")
    managed.ok("update", "--cpu-quota", "-1", "--cpu-burst", "0", "--cpu-share", "1024", "c")
    assert (managed.file(pid, "cpu.max"), managed.file(pid, "cpu.weight")) == ("max 100000", "100")
    managed.ok("update", "--memory", "128m", "--memory-swap", "-1", "--memory-reservation", "8m", "--pids-limit", "-1", "c")
    assert [managed.file(pid, f"memory.{n}") for n in ("max", "swap.max", "low")] == [str(128 * MB), "max", str(8 * MB)]
    assert managed.file(pid, "pids.max") == "max"
    managed.ok("update", "--cpu-idle", "1", "c")
    assert managed.file(pid, "cpu.idle") == "1"
    p = subprocess.run(
        managed.argv("update", "--resources", "-", "--pids-limit", "9", "c"),
        input=json.dumps({"pids": {"limit": 8}, "memory": {"limit": 100 * MB}}),
        text=True,
        timeout=PATIENCE,
    )
    assert p.returncode == 0
    assert (managed.file(pid, "pids.max"), managed.file(pid, "memory.max")) == ("9", str(100 * MB))


def test_memory_in_use_is_checked(cbox: CgroupBox) -> None:
    controllers("memory")
    cbox.use("cgroupfs")
    pid = cbox.start("sh", "-c", "dd if=/dev/zero of=/dev/shm-x bs=1M count=8; echo written; exec sleep 100")
    until(lambda: "written" in cbox.output(), "memory is used")
    current = int(cbox.file(pid, "memory.current"))
    doc = json.dumps({"memory": {"limit": current // 2, "checkBeforeUpdate": True}})
    p = subprocess.run(cbox.argv("update", "-r", "-", "c"), input=doc, capture_output=True, text=True, timeout=PATIENCE)
    assert p.returncode == 1 and p.stderr.startswith("linux.resources.memory.limit: ") and "checkBeforeUpdate" in p.stderr
    assert cbox.file(pid, "memory.max") == "max"


def test_cpuset(managed: CgroupBox) -> None:
    controllers("cpuset")
    managed.limit(cpu={"cpus": "1", "mems": "0"})
    assert "Cpus_allowed_list:\t1\n" in managed.sh("cat /proc/self/status")
    pid = managed.start("sleep", "100")
    managed.ok("update", "--cpuset-cpus", "0", "c")
    assert managed.file(pid, "cpuset.cpus") == "0"
    assert os.sched_getaffinity(pid) == {0}


def disk() -> dict[str, int]:
    with open("/proc/partitions") as f:
        found = [line.split() for line in f.read().splitlines()[2:]]
    found = [words for words in found if not words[3].startswith(("ram", "loop"))]
    need(found, "no disk", optional=True)
    return {"major": int(found[0][0]), "minor": int(found[0][1])}


def test_io(managed: CgroupBox) -> None:
    controllers("io")
    device = disk()
    number = f"{device['major']}:{device['minor']}"
    managed.limit(
        blockIO={
            "weight": 500,
            "throttleReadBpsDevice": [{**device, "rate": 1 << 20}],
            "throttleWriteIOPSDevice": [{**device, "rate": 100}],
        }
    )
    pid = managed.start("sleep", "100")
    assert managed.file(pid, "io.max") == f"{number} rbps=1048576 wbps=max riops=max wiops=100"
    if os.path.exists(f"{TOP}{cgroup_of(pid)}/io.bfq.weight"):
        assert managed.file(pid, "io.bfq.weight").splitlines()[0] == "default 500"
    else:
        assert managed.file(pid, "io.weight").splitlines()[0] == "default 4950"
    p = subprocess.run(
        managed.argv("update", "-r", "-", "c"),
        input=json.dumps({"blockIO": {"throttleReadBpsDevice": [{"major": 99, "minor": 99, "rate": 1}]}}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert p.returncode == 1 and "linux.resources.blockIO.throttleReadBpsDevice[0]: no such block device" in p.stderr


def test_hugepages(cbox: CgroupBox) -> None:
    controllers("hugetlb")
    cbox.use("cgroupfs")
    cbox.limit(hugepageLimits=[{"pageSize": "2MB", "limit": 4 * MB}])
    pid = cbox.start("sleep", "100")
    assert cbox.file(pid, "hugetlb.2MB.max") == str(4 * MB)


def test_rdma(cbox: CgroupBox) -> None:
    controllers("rdma")
    cbox.use("cgroupfs")
    cbox.start("sleep", "100")
    p = subprocess.run(
        cbox.argv("update", "-r", "-", "c"),
        input='{"rdma":{"nodevice":{"hcaHandles":2}}}',
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert p.returncode == 1 and p.stderr.startswith("linux.resources.rdma.nodevice: write `nodevice hca_handle=2` to ")


def test_out_of_memory(managed: CgroupBox) -> None:
    controllers("memory")
    managed.limit(memory={"limit": 16 * MB, "swap": 16 * MB})
    pid = managed.create("sh", "-c", "dd if=/dev/zero of=/dev/null bs=64M count=1; echo code $?; exec sleep 100")
    with open(f"{managed.dir}/events", "w+") as out:
        events = subprocess.Popen(managed.argv("events", "--interval", "200ms", "c"), stdout=out)
        managed.ok("start", "c")
        until(lambda: "code 137" in managed.output(), "dd was killed")

        def seen() -> list[dict[str, object]]:
            with open(f"{managed.dir}/events") as f:
                return [json.loads(line) for line in f.read().splitlines()]

        until(lambda: {"type": "oom", "id": "c"} in seen(), "the event")
        until(lambda: any(e["type"] == "stats" for e in seen()), "statistics")
        managed.ok("kill", "c", "KILL")
        assert reap(pid, PATIENCE) == -9
        assert events.wait(PATIENCE) == 0


def test_number_of_processes(managed: CgroupBox) -> None:
    controllers("pids")
    managed.limit(pids={"limit": 4})
    p = managed.run("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all")
    assert "can't fork" in p.stderr and "all" not in p.stdout


def test_statistics(managed: CgroupBox) -> None:
    managed.start("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; exec sleep 100")
    until(lambda: "done" in managed.output(), "work is done")
    line = json.loads(managed.ok("events", "--stats", "c"))
    assert (line["type"], line["id"]) == ("stats", "c")
    data = line["data"]
    usage = data["cpu"]["usage"]
    assert usage["total"] >= usage["user"] > 0 and set(data["cpu"]["throttling"]) == {
        "periods",
        "throttledPeriods",
        "throttledTime",
    }
    with open(f"{TOP}{delegated()}/cgroup.controllers") as f:
        have = f.read().split()
    if "memory" in have:
        memory = data["memory"]
        assert memory["usage"]["usage"] > 0 and memory["usage"]["limit"] == (1 << 64) - 1
        assert memory["raw"]["anon"] > 0 and memory["swap"]["usage"] >= memory["usage"]["usage"]
    if "pids" in have:
        assert data["pids"] == {"current": 1, "limit": 0}
    if "io" in have:
        assert isinstance(data["blkio"]["ioServiceBytesRecursive"], list)


@pytest.mark.parametrize("bad", ["x", "0s", "-1s", "5y", "", "1s2"])
def test_intervals(cbox: CgroupBox, bad: str) -> None:
    p = cbox("events", "--interval", bad, "c")
    assert (p.returncode, p.stderr) == (1, f"option --interval needs a duration such as 5s, not `{bad}`\n")


# --- devices --------------------------------------------------------------------------------------------------------


def bpf_works() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(321, 5, 0, 0) < 0 and ctypes.get_errno() != 1)  # BPF_PROG_LOAD of nothing: EPERM or not


def usable_device() -> dict[str, int]:
    """A block device that we may open: whether a container may is then its rules' doing."""
    for path in ("/dev/loop0", "/dev/vda", "/dev/sda", "/dev/nvme0n1"):
        try:
            os.close(os.open(path, os.O_RDONLY))
        except OSError:
            continue
        number = os.stat(path).st_rdev
        return {"major": os.major(number), "minor": os.minor(number)}
    need(False, "no block device that can be opened", optional=True)
    raise AssertionError


def test_devices(managed: CgroupBox) -> None:
    need(ROOT, "only root can load device programs", optional=True)
    need(bpf_works(), "bpf(2) is forbidden here", optional=True)
    rules: list[dict[str, object]] = [{"allow": False, "access": "rwm"}]
    managed.limit(devices=rules)
    numbers = usable_device()
    managed.spec["linux"]["devices"] = [{"path": "/dev/d", "type": "b", **numbers, "fileMode": 0o600}]
    read = "(exec 3</dev/d) 2>&1 && echo read; (exec 3>>/dev/d) 2>&1 && echo write; echo >/dev/null && echo null"
    denied = managed.sh(read)
    assert denied.count("Operation not permitted") == 2 and denied.endswith("null\n")
    allow: dict[str, object] = {"allow": True, "type": "b", **numbers}
    managed.limit(devices=[*rules, {**allow, "access": "r"}])
    managed.start("sleep", "100")
    half = managed("exec", "c", "sh", "-c", read).stdout
    assert "read\n" in half and "write" not in half and half.count("Operation not permitted") == 1

    def update(*more: dict[str, object]) -> str:
        doc = json.dumps({"devices": [*rules, *more]})
        p = subprocess.run(managed.argv("update", "-r", "-", "c"), input=doc, capture_output=True, text=True, timeout=PATIENCE)
        assert (p.returncode, p.stderr) == (0, "")
        return managed("exec", "c", "sh", "-c", read).stdout

    assert update({**allow, "access": "rw"}) == "read\nwrite\nnull\n"
    assert update().count("Operation not permitted") == 2
    assert update({**allow, "access": "w"}).count("Operation not permitted") == 1

