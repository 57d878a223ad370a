"""Limits that cannot be had are refused before anything is created, naming what is missing."""

from podlike.errors import UsageError
from podlike.runtime import cgroup
from podlike.spec.container import ContainerSpec


def wanted_controllers(spec: ContainerSpec) -> dict[str, str]:
    """cgroup v2 controller -> the flag that asks for it."""
    asked = (("memory", "--memory", spec.memory or spec.memory_reservation or spec.memory_swap),
             ("cpu", "--cpus", spec.cpus or spec.cpu_shares or spec.cpu_quota or spec.cpu_period),
             ("cpuset", "--cpuset-cpus", spec.cpuset_cpus or spec.cpuset_mems),
             ("pids", "--pids-limit", (spec.pids_limit or 0) > 0))
    return {controller: flag for controller, flag, value in asked if value}


def refuse_missing_limits(spec: ContainerSpec) -> None:
    """Raises: UsageError when a limit was asked for whose controller is not delegated to us."""
    wanted = wanted_controllers(spec)
    if not wanted or spec.cgroups == "disabled":
        return
    parent = spec.cgroup_parent or cgroup.delegated_parent()
    have = cgroup.controllers(parent) if parent else []
    for controller, flag in wanted.items():
        if controller in have:
            continue
        where = f"cgroup {parent}" if parent else f"cgroup {cgroup.own_path() or '(no cgroup v2 here)'}"
        raise UsageError(
            f"apply {flag}: the cgroup controller {controller!r} is not available to you: {where} does not have it",
            hint="Delegate it: as root, write `[Service]\\nDelegate=cpu cpuset io memory pids` to "
                 "/etc/systemd/system/user@.service.d/delegate.conf, run `systemctl daemon-reload`, log in again.")
