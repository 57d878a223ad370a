"""Limits of a cgroup: which controller each needs, and what they are in config.json (linux.resources of runtime-spec 1.2).

A ContainerSpec carries them, also those of a pod. Nothing here looks at the host: controllers and device numbers are given.
"""

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from dataclasses import replace
    from typing import Any

    from podlike.spec.container import ContainerSpec

    Lacking = tuple[str, str, str]  # flag, field of ContainerSpec, controller; the controller is "" for what v2 has not at all
else:
    from podlike.spec.record import replace

# Settings of single devices: the field, its list in linux.resources.blockIO, the number's name there.
IO_DEVICES = (
    ("blkio_weight_device", "weightDevice", "weight"), ("device_read_bps", "throttleReadBpsDevice", "rate"),
    ("device_write_bps", "throttleWriteBpsDevice", "rate"), ("device_read_iops", "throttleReadIOPSDevice", "rate"),
    ("device_write_iops", "throttleWriteIOPSDevice", "rate"),
)
# (flag, field, controller, section of linux.resources)
_LIMITS = (
    ("--memory", "memory", "memory", "memory"), ("--memory-swap", "memory_swap", "memory", "memory"),
    ("--memory-reservation", "memory_reservation", "memory", "memory"), ("--cpus", "cpus", "cpu", "cpu"),
    ("--cpu-shares", "cpu_shares", "cpu", "cpu"), ("--cpu-period", "cpu_period", "cpu", "cpu"),
    ("--cpu-quota", "cpu_quota", "cpu", "cpu"), ("--cpuset-cpus", "cpuset_cpus", "cpuset", "cpu"),
    ("--cpuset-mems", "cpuset_mems", "cpuset", "cpu"), ("--pids-limit", "pids_limit", "pids", "pids"),
    ("--blkio-weight", "blkio_weight", "io", "blockIO"),
    *((f"--{field.replace('_', '-')}", field, "io", "blockIO") for field, _, _ in IO_DEVICES),
)
FIELDS = (*(field for _, field, _, _ in _LIMITS), "cgroup_conf", "memory_swappiness", "oom_kill_disable")
# What was in cgroup v1 only. In crun's words, which podman's users see when the container starts.
_GONE = (("--memory-swappiness", "memory_swappiness", "cannot set memory swappiness with cgroupv2"),
         ("--oom-kill-disable", "oom_kill_disable", "cannot disable OOM killer with cgroupv2"))
BEST_EFFORT = "best-effort"


def lacking(spec: "ContainerSpec", controllers: "frozenset[str]") -> "list[Lacking]":
    """The limits that were asked for and that a cgroup with these controllers cannot have."""
    out = []
    for flag, field, controller, _ in _LIMITS:
        value = getattr(spec, field)
        if value and value != -1 and controller not in controllers:
            out.append((flag, field, controller))
    for key in spec.cgroup_conf:
        controller = key.partition(".")[0]
        if controller not in controllers and controller != "cgroup":  # cgroup.max.depth and its like need none
            out.append((f"--cgroup-conf {key}", "cgroup_conf", controller))
    if spec.memory_swappiness >= 0:
        out.append(("--memory-swappiness", "memory_swappiness", ""))
    if spec.oom_kill_disable:
        out.append(("--oom-kill-disable", "oom_kill_disable", ""))
    return out


def words_for(limit: "Lacking", *, where: str = "") -> str:
    """Why it cannot be had. where: the cgroup that lacks the controller."""
    flag, field, controller = limit
    gone = next((words for _, name, words in _GONE if name == field), "")
    if gone:
        return f"set {flag}: {gone}"
    return f"set {flag}: the requested cgroup controller `{controller}` is not available" + (f" in {where}" if where else "")


def without(spec: "ContainerSpec", limits: "list[Lacking]", default: "ContainerSpec") -> "ContainerSpec":
    """The same without these limits. default: a spec that asks for nothing."""
    changes: "dict[str, Any]" = {field: getattr(default, field) for _, field, _ in limits if field != "cgroup_conf"}
    dropped = {flag.removeprefix("--cgroup-conf ") for flag, field, _ in limits if field == "cgroup_conf"}
    if dropped:
        changes["cgroup_conf"] = {k: v for k, v in spec.cgroup_conf.items() if k not in dropped}
    return replace(spec, **changes)


def refuse_without_cgroup(spec: "ContainerSpec") -> None:
    """Raises: UsageError for a limit together with --cgroups=disabled."""
    asked = lacking(spec, frozenset())
    if asked:
        raise UsageError(f"cannot specify resource limits when cgroups are disabled: {asked[0][0]}",
                         hint="Leave --cgroups=disabled or the limit away.")


def resources(spec: "ContainerSpec", *, controllers: "frozenset[str] | None", swap: bool, default_pids_limit: int,
              devices: "Mapping[str, tuple[int, int]]", warnings: "list[str]") -> "dict[str, Any]":
    """linux.resources without its device rules.

    controllers: those that can be had, None: unknown. swap: memory.swap.max exists. devices: (major, minor) by path.
    Raises: UsageError for a limit that cannot be had.
    """
    if spec.cgroups == "disabled":
        refuse_without_cgroup(spec)
        return {}
    if controllers is not None:
        missing = lacking(spec, controllers)
        if missing:
            raise UsageError(words_for(missing[0]), hint="Leave the limit away, or use --limits=best-effort.")
    pids = spec.pids_limit
    if pids is None and (controllers is None or "pids" in controllers):
        pids = default_pids_limit
    sections = {
        "memory": _memory(spec, swap=swap, warnings=warnings), "cpu": _cpu(spec),
        "pids": {"limit": pids} if pids is not None and pids > 0 else {},  # 0 and -1: unlimited, the cgroup's default
        "blockIO": _block_io(spec, devices), "unified": dict(spec.cgroup_conf)}
    return {name: values for name, values in sections.items() if values}


def changed_resources(spec: "ContainerSpec", changed: "Iterable[str]", *, controllers: "frozenset[str] | None", swap: bool,
                      devices: "Mapping[str, tuple[int, int]]", warnings: "list[str]") -> "dict[str, Any]":
    """linux.resources for an update of a container that runs: what this spec, as it is to be, says of the fields in changed.

    What had a limit and is to have none is said too. Raises: UsageError.
    """
    names = set(changed)
    full = resources(spec, controllers=controllers, swap=swap, default_pids_limit=0, devices=devices, warnings=warnings)
    out = {section: values for section, values in full.items()
           if any(field in names for _, field, _, name in _LIMITS if name == section)}
    unlimited = (("memory", "memory", "limit", spec.memory == 0), ("memory", "memory_swap", "swap", spec.memory_swap == -1),
                 ("memory", "memory_reservation", "reservation", spec.memory_reservation == 0),
                 ("cpu", "cpus", "quota", spec.cpus == 0), ("cpu", "cpu_quota", "quota", spec.cpu_quota <= 0),
                 ("pids", "pids_limit", "limit", (spec.pids_limit or 0) <= 0))
    for section, field, key, applies in unlimited:
        if field in names and applies:
            out.setdefault(section, {})[key] = 0 if key == "reservation" else -1
    return out


def _memory(spec: "ContainerSpec", *, swap: bool, warnings: "list[str]") -> "dict[str, Any]":
    memory: "dict[str, int]" = {}
    if spec.memory:
        memory["limit"] = spec.memory
        if spec.memory_swap >= 0:  # below: -1, unlimited, which is the cgroup's default
            memory["swap"] = spec.memory_swap or 2 * spec.memory
    if spec.memory_reservation:
        memory["reservation"] = spec.memory_reservation
    if "swap" in memory and not swap:
        del memory["swap"]
        if spec.memory_swap:
            warnings.append(
                "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
                "Memory limited without swap."
            )
    return memory


def _cpu(spec: "ContainerSpec") -> "dict[str, Any]":
    cpu: "dict[str, Any]" = {}
    if spec.cpus:
        # 100 ms, the kernel's default period (cgroup-v2.rst, cpu.max)
        cpu["period"], cpu["quota"] = 100_000, round(spec.cpus * 100_000)
    for key, value in (("shares", spec.cpu_shares), ("period", spec.cpu_period), ("quota", spec.cpu_quota),
                       ("cpus", spec.cpuset_cpus), ("mems", spec.cpuset_mems)):
        if value:
            cpu[key] = value
    return cpu


def _block_io(spec: "ContainerSpec", devices: "Mapping[str, tuple[int, int]]") -> "dict[str, Any]":
    out: "dict[str, Any]" = {"weight": spec.blkio_weight} if spec.blkio_weight else {}
    for field, key, name in IO_DEVICES:
        found = [{"major": devices[path][0], "minor": devices[path][1], name: number}
                 for path, number in getattr(spec, field).items()]
        if found:
            out[key] = found
    return out
