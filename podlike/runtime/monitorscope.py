"""The scope of a container's monitor and network helper, where systemd makes the container's own.

podlike-spawn makes it, over the connection that it has anyway, when the annotation is in config.json.
"""

import os

from podlike.paths import find_program
from podlike.procs import PYTHON_SIGNALS
from podlike.runtime import cgroup
from podlike.runtime.idmap import host_uid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ANNOTATION: "Final" = "io.podlike.monitor-scope"


def wanted(where: str, mode: str) -> bool:
    """Whether a container at this place (runtime/cgroup.py), with this --cgroups, has one.

    A service keeps its monitor, as with podman: systemd sets INVOCATION_ID in services, not in login sessions.
    """
    return mode == "enabled" and cgroup.manager_of(where) == "systemd" and "INVOCATION_ID" not in os.environ


def name(cid: str) -> str:
    return f"podlike-conmon-{cid}.scope"


def annotation(cid: str, pids: "list[int]") -> str:
    """pids: of processes that go with the monitor."""
    return " ".join([name(cid), *map(str, pids)])


def add(cid: str, pid: int) -> None:
    """Have one more process moved there, without waiting for it: one that came into being after the scope."""
    busctl = find_program("busctl")
    if busctl is None:
        return
    manager = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
    argv = [busctl, "--system" if host_uid() == 0 else "--user", "call", *manager, "AttachProcessesToUnit", "ssau",
            name(cid), "", "1", str(pid)]
    actions = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in range(3)]
    os.posix_spawn(busctl, argv, os.environ, file_actions=actions, setsigdef=PYTHON_SIGNALS)
