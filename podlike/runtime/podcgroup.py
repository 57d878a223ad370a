"""The cgroup of a pod, in which those of its containers are made: a directory, or a slice of systemd's.

A place is a path below the v2 root, the name of a slice, or "": nowhere. All may be used as a container's parent.
"""

import os

from podlike import log
from podlike.errors import RuntimeFailure
from podlike.runtime import cgroup, spawn
from podlike.runtime.idmap import host_uid
from podlike.runtime.oci import run_program
from podlike.spec.groupio import io_properties

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.spec.container import ContainerSpec

_PERIOD = 100_000  # microseconds, the kernel's default


def place(pod_id: str, *, manager: str = "", parent: str = "") -> str:
    """Where the cgroup of a new pod shall be: where a container's would be. Raises: UsageError for a bad parent."""
    sample = cgroup.place("x", manager=manager, parent=parent)
    if cgroup.manager_of(sample) == "systemd":
        return f"{sample.partition(':')[0].removesuffix('.slice')}-podlike_pod_{pod_id}.slice"
    return f"{os.path.dirname(sample).rstrip('/')}/podlike_pod_{pod_id}" if sample else ""


def manager_of(where: str) -> str:
    """The cgroup manager of a pod that is there, to be used for its containers."""
    return "systemd" if where.endswith(".slice") else "cgroupfs" if where else ""


def path_of(where: str) -> str:
    """Its path below the v2 root."""
    return os.path.dirname(cgroup.path_of(f"{where}:libpod:x")) if where.endswith(".slice") else where


def limits(spec: "ContainerSpec") -> "dict[str, str]":
    """The files of a cgroup and what the limits of this spec are there. Source: the kernel's cgroup-v2.rst."""
    out: "dict[str, str]" = {}
    if spec.memory:
        out["memory.max"] = str(spec.memory)
        if spec.memory_swap >= 0:
            out["memory.swap.max"] = str((spec.memory_swap or 2 * spec.memory) - spec.memory)
    if spec.memory_reservation:
        out["memory.low"] = str(spec.memory_reservation)
    if spec.cpus:
        out["cpu.max"] = f"{round(spec.cpus * _PERIOD)} {_PERIOD}"
    elif spec.cpu_quota or spec.cpu_period:
        out["cpu.max"] = f"{spec.cpu_quota if spec.cpu_quota > 0 else 'max'} {spec.cpu_period or _PERIOD}"
    if spec.cpu_shares:
        shares = min(max(spec.cpu_shares, 2), 262144)
        out["cpu.weight"] = str(1 + (shares - 2) * 9999 // 262142)
    if spec.cpuset_cpus:
        out["cpuset.cpus"] = spec.cpuset_cpus
    if spec.cpuset_mems:
        out["cpuset.mems"] = spec.cpuset_mems
    if spec.pids_limit is not None and spec.pids_limit > 0:
        out["pids.max"] = str(spec.pids_limit)
    return out


def ensure(where: str, files: "dict[str, str]") -> None:
    """Make it with these limits, unless it is there. Raises: RuntimeFailure."""
    if not where or os.path.isdir(cgroup.ROOT + path_of(where)):
        return
    if where.endswith(".slice"):
        _start_slice(where, files)
        return
    try:
        spawn.cgroup_create(cgroup.ROOT + where)
        for name, value in files.items():
            _write(where, name, value)
    except (OSError, spawn.SpawnError) as e:
        remove(where)
        raise RuntimeFailure(f"make the pod's cgroup {where}: {e}",
                             hint="Run podlike where a cgroup v2 subtree is delegated to you "
                                  "(a systemd user session does that).") from e


def _write(where: str, name: str, value: str) -> None:
    if name == "memory.swap.max" and not os.path.exists(f"{cgroup.ROOT}{where}/{name}"):
        log.warning("Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
                    "Memory limited without swap.")
        return
    for line in value.splitlines():
        spawn.cgroup_write(cgroup.ROOT + where, name, line)


def remove(where: str) -> None:
    """Remove it once nothing runs in it; with processes in it, it stays. It may be gone already."""
    if where.endswith(".slice"):
        _systemctl("stop", where)
        _systemctl("revert", where)  # its limits
        return
    if where:
        try:
            os.rmdir(cgroup.ROOT + where)
        except OSError:
            pass  # in use, or gone


_PROPERTIES = {"memory.max": "MemoryMax", "memory.swap.max": "MemorySwapMax", "memory.low": "MemoryLow",
               "cpu.weight": "CPUWeight", "cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes",
               "pids.max": "TasksMax"}


def properties(files: "dict[str, str]") -> list[str]:
    """The same limits as systemd has them. Source: systemd.resource-control(5)."""
    out = [f"{_PROPERTIES[name]}={value}" for name, value in files.items() if name in _PROPERTIES]
    out += io_properties(files)
    quota, _, period = files.get("cpu.max", "max").partition(" ")
    if quota != "max":
        out += [f"CPUQuota={100 * int(quota) / int(period):.2f}%", f"CPUQuotaPeriodSec={period}us"]
    return out


def _start_slice(name: str, files: "dict[str, str]") -> None:
    if files:
        _systemctl("set-property", "--runtime", name, *properties(files), must=True)
    _systemctl("start", name, must=True)


def _systemctl(*words: str, must: bool = False) -> None:
    """Raises: RuntimeFailure if it must succeed."""
    from podlike.paths import find_program

    program = find_program("systemctl")
    code, text = run_program([program, *(["--user"] if host_uid() else []), *words]) if program else (1, "there is no systemctl")
    if code and must:
        raise RuntimeFailure(f"make the pod's slice: {text or f'systemctl ended with code {code}'}",
                             hint="Use --cgroup-manager cgroupfs where a cgroup v2 subtree is delegated to you.")
