"""Containers with cgroups: where they can be, what is in their files, and whether systemd knows of them."""

import os
import subprocess
import time
from collections.abc import Callable

from tests.support.box import Box
from tests.support.need import need

ROOT = os.geteuid() == 0
TOP = "/sys/fs/cgroup"
MB = 1 << 20
PATIENCE = int(os.environ.get("PODLIKE_TEST_SECONDS", "60")) / 3  # for one state to come true


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not so: {what}"
        time.sleep(0.01)


def cgroup_of(pid: int | str = "self") -> str:
    with open(f"/proc/{pid}/cgroup") as f:
        return next((line.rstrip("\n")[3:] for line in f if line.startswith("0::")), "")


def delegated() -> str:
    """The cgroup below which containers' can be made: the root's, or the one around our own."""
    need(os.path.exists(f"{TOP}/cgroup.controllers"), "/sys/fs/cgroup is not cgroup v2", optional=True)
    parent = "" if ROOT else os.path.dirname(cgroup_of())
    need(
        parent != "/" and os.access(f"{TOP}{parent}", os.W_OK),
        "no cgroup v2 subtree that belongs to this user",
        optional=True,
    )
    return parent


def controllers(*names: str) -> None:
    parent = delegated()
    with open(f"{TOP}{parent}/cgroup.controllers") as f:
        have = f.read().split()
    for name in names:
        need(name in have, f"the controller {name} is not available in {parent or '/'}", optional=True)


def systemctl(*args: str) -> str:
    argv = ["systemctl", *([] if ROOT else ["--user"]), *args]
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


def systemd() -> None:
    try:
        ready = bool(systemctl("show", "-P", "Version"))
    except (OSError, subprocess.CalledProcessError):
        ready = False
    need(ready, "no systemd to make scopes with", optional=True)


def show(scope: str, *properties: str) -> dict[str, str]:
    lines = systemctl("show", scope, *(f"-p{p}" for p in properties)).splitlines()
    return dict(line.split("=", 1) for line in lines)


class CgroupBox(Box):
    """A Box that knows its container's cgroup."""

    where = ""

    @property
    def manager(self) -> str:
        return self.runtime_options[1]

    @manager.setter
    def manager(self, name: str) -> None:
        self.runtime_options = ["--cgroup-manager", name]

    def use(self, manager: str, name: str = "c") -> None:
        """Put the next container where this manager can make cgroups."""
        if manager == "systemd":
            systemd()
            self.where = f"{'system' if ROOT else 'user'}.slice:podlike-test:{os.getpid()}-{name}"
        else:
            self.where = f"{delegated()}/podlike-test-{os.getpid()}-{name}"
        self.manager = manager
        self.spec["linux"]["cgroupsPath"] = self.where

    @property
    def scope(self) -> str:
        return self.where.split(":", 1)[1].replace(":", "-") + ".scope"

    def limit(self, **resources: object) -> None:
        self.spec["linux"]["resources"] = resources

    def file(self, pid: int, name: str, up: int = 0) -> str:
        with open(f"{TOP}{cgroup_of(pid)}/{'../' * up}{name}") as f:
            return f.read().strip()

    def nothing_left(self) -> None:
        assert self.ids() == []
        if self.where == "":
            return
        if self.manager == "systemd":
            until(lambda: show(self.scope, "LoadState")["LoadState"] == "not-found", "the scope is gone")
        else:
            assert not os.path.exists(f"{TOP}{self.where}")
