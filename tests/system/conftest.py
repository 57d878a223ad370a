"""In the test VM (contrib/vm/system): the same tests in a login session, in a delegated subtree, and as root."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import image, name, podlike, session_engine, time_limit
from tests.support.engine import Engine
from tests.support.need import need

__all__ = ["image", "name", "podlike", "session_engine", "time_limit"]  # fixtures

TOP = "/sys/fs/cgroup"
CONTROLLERS = {"cpu", "cpuset", "io", "memory", "pids"}


class Host:
    """Where the tests run, and what they look at from outside of containers."""

    def __init__(self) -> None:
        self.root = os.geteuid() == 0
        with open("/proc/self/cgroup") as f:
            self.own = f.read().strip().rpartition("0::")[2]
        try:
            self.delegated = os.getxattr(TOP + os.path.dirname(self.own), "user.delegate") == b"1"
        except OSError:
            self.delegated = False
        # What podlike has to choose here by itself.
        self.manager = "cgroupfs" if self.delegated else "systemd"

    def systemctl(self, *args: str, check: bool = True) -> str:
        argv = ["systemctl", *([] if self.root else ["--user"]), *args]
        return subprocess.run(argv, capture_output=True, text=True, check=check).stdout

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        lines = self.systemctl("show", unit, *(f"-p{n}" for n in names)).splitlines()
        return dict(line.split("=", 1) for line in lines)


class Container:
    """One that runs, seen from outside."""

    def __init__(self, engine: Engine, host: Host, name: str) -> None:
        self.engine, self.host, self.name = engine, host, name
        self.doc: dict[str, Any] = json.loads(engine("inspect", name).stdout)[0]
        with open(f"/proc/{self.doc['State']['Pid']}/cgroup") as f:
            self.cgroup = f.read().strip().rpartition("0::")[2]

    @property
    def scope(self) -> str:
        return f"libpod-{self.doc['Id']}.scope"

    def file(self, name: str) -> str:
        with open(f"{TOP}{self.cgroup}/{name}") as f:
            return f.read().strip()

    def table(self, name: str) -> dict[str, int]:
        """cpu.stat, memory.events, ..."""
        return {key: int(value) for key, value in (line.split() for line in self.file(name).splitlines())}


class Starter:
    """`start("--memory", "32m", program=...)` runs a container in the background."""

    def __init__(self, engine: Engine, host: Host, image: str, name: str) -> None:
        self.engine, self.host, self.image, self.name = engine, host, image, name

    def __call__(self, *flags: str, program: str = "exec sleep 1000", before: tuple[str, ...] = ()) -> Container:
        # Without a network: its helper is none of what is tested here, and takes seconds to start under emulation.
        self.engine(*before, "run", "-d", "--name", self.name, "--network", "none", *flags, self.image, "sh", "-c", program)
        return Container(self.engine, self.host, self.name)


@pytest.fixture(scope="session")
def host() -> Host:
    need(os.path.exists(f"{TOP}/cgroup.controllers"), "no cgroup v2 here: contrib/vm/system runs this", optional=True)
    need(os.path.isdir("/run/systemd/system"), "no systemd here: contrib/vm/system runs this", optional=True)
    host = Host()
    have = f"{TOP}{os.path.dirname(host.own)}" if host.delegated else TOP
    if not host.delegated and not host.root:
        have += f"/user.slice/user-{os.getuid()}.slice/user@{os.getuid()}.service"
    with open(f"{have}/cgroup.controllers") as f:
        missing = CONTROLLERS - set(f.read().split())
    need(not missing, f"controllers are not delegated: {missing}: contrib/vm/system runs this", optional=True)
    return host


@pytest.fixture
def start(podlike: Engine, host: Host, image: str, name: str) -> Iterator[Starter]:
    yield Starter(podlike, host, image, name)


def moves(read: Any, seconds: float) -> bool:
    """Whether what read() returns changes within so many seconds."""
    before, deadline = read(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        if read() != before:
            return True
        time.sleep(0.1)
    return False
