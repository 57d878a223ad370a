"""Containers that run out of memory, on a machine that can limit it: what inspect and events tell.

Needs the memory controller: of systemd's user manager, of a cgroup that is delegated to who runs this, or root.
Self-contained: storage of its own, an image made here.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import oci
from tests.support.engine import Engine, wait_for
from tests.support.need import need

IMAGE = "localhost/podlike-oom:latest"
LIMIT = ("--memory", "20m", "--memory-swap", "20m")
EATER = ("tail", "/dev/zero")  # keeps what it reads until a line ends
SLOW = 120  # seconds that something may take on an emulated machine
WORDS = "out of memory: its limit of 20.97MB was used up"


def memory_can_be_limited() -> bool:
    if os.path.exists(f"{os.environ.get('XDG_RUNTIME_DIR', '')}/systemd/private"):
        return True
    own = next((line[3:].strip() for line in Path("/proc/self/cgroup").read_text().splitlines() if line[:3] == "0::"), "")
    parent = Path("/sys/fs/cgroup" + os.path.dirname(own))
    controllers = parent / "cgroup.controllers"
    return os.access(parent, os.W_OK) and controllers.exists() and "memory" in controllers.read_text().split()


def has_journal() -> bool:
    """Whether there is a journal that we may read."""
    if not os.path.exists("/run/systemd/journal/socket") or not shutil.which("journalctl"):
        return False
    return subprocess.run(["journalctl", "-n1", "-q"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    need(memory_can_be_limited(), "neither systemd --user nor a cgroup with the memory controller is there", optional=True)
    engine = Engine(os.environ.get("PODLIKE_BIN", "podlike"))
    try:
        archive = f"{engine.dir}/image.tar"
        oci.write_oci_archive(archive, {IMAGE: oci.busybox_image()})
        engine("load", "-i", archive, timeout=SLOW)
        yield engine
    finally:
        engine("rm", "--all", "--force", "--time", "0", check=False, timeout=SLOW)
        engine.destroy()


@pytest.fixture(params=["file", "journald"])
def podlike(request: pytest.FixtureRequest, engine: Engine) -> Iterator["Podlike"]:
    if request.param == "journald":
        need(has_journal(), "no systemd journal", optional=True)
    podlike = Podlike(engine, ("--events-backend", request.param))
    yield podlike
    engine("rm", "--all", "--force", "--time", "0", timeout=SLOW)


class Podlike:
    """The command line with one of the places where events are kept."""

    def __init__(self, engine: Engine, flags: tuple[str, ...]) -> None:
        self.engine = engine
        self.flags = flags

    def __call__(self, *args: str, check: bool = True) -> Any:
        return self.engine(*self.flags, *args, check=check, timeout=SLOW)

    def state(self, name: str) -> "dict[str, Any]":
        found: dict[str, Any] = json.loads(self("container", "inspect", name).stdout)[0]["State"]
        return found

    def events(self, cid: str) -> "list[tuple[str, int | None]]":
        """(state, exit code), oldest first."""
        text = self("events", "--stream=false", "--filter", f"container={cid}", "--format", "json").stdout
        return [(e["Status"], e.get("ContainerExitCode")) for e in map(json.loads, text.splitlines())]

    def await_event(self, cid: str, status: str) -> None:
        wait_for(lambda: status in dict(self.events(cid)), f"{status} in the events", timeout=SLOW)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return "oom-" + "".join(c for c in request.node.name if c.isalnum())[-40:]


@pytest.mark.parametrize(("flags", "deaths"), [((), 1), (("--restart", "on-failure:1"), 2), (("--init",), 1)],
                         ids=["plain", "restart", "init"])
def test_its_end_is_told(podlike: Podlike, name: str, flags: tuple[str, ...], deaths: int) -> None:
    started = podlike("run", "-d", "--name", name, "--network", "none", *LIMIT, *flags, IMAGE, *EATER, check=False)
    assert started.code == 0, started.stderr
    cid = started.line
    state: dict[str, Any] = wait_for(lambda: (s := podlike.state(name))["Status"] == "exited" and s, "its end", timeout=SLOW)
    assert (state["OOMKilled"], state["ExitCode"], state["EndReason"]) == (True, 137, WORDS)
    podlike.await_event(cid, "cleanup")
    told = podlike.events(cid)
    ends = [event for event in told if event[0] in ("oom", "died")]
    assert ends == [("oom", None), ("died", 137)] * deaths, told
    # The monitor may notice before the command that started it has written so.
    assert [word for word, _ in told if word not in ("oom", "attach")][:3] == ["create", "init", "start"]
    assert [word for word, _ in told].count("start") == deaths


def test_who_waits_for_it_gets_137(podlike: Podlike, name: str) -> None:
    done = podlike("run", "--name", name, "--network", "none", *LIMIT, IMAGE, *EATER, check=False)
    assert done.code == 137, done.stderr
    assert podlike.state(name)["OOMKilled"] is True


def test_a_child_that_is_killed_is_told_while_the_container_goes_on(podlike: Podlike, name: str) -> None:
    cid = podlike("run", "-d", "--name", name, "--network", "none", *LIMIT, IMAGE, "sh", "-c", "tail /dev/zero; sleep 1000").line
    podlike.await_event(cid, "oom")
    assert podlike.state(name)["Running"] is True
    assert podlike("exec", name, "true").code == 0
    podlike("stop", "-t", "0", name)
    state = podlike.state(name)
    assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)
    told = podlike.events(cid)
    assert [event for event in told if event[0] in ("oom", "died")] == [("oom", None), ("died", 137)], told


def test_enough_memory_is_no_oom(podlike: Podlike, name: str) -> None:
    cid = podlike("run", "-d", "--name", name, "--network", "none", *LIMIT, IMAGE, "sh", "-c", "exit 3").line
    podlike.await_event(cid, "cleanup")
    state = podlike.state(name)
    assert (state["OOMKilled"], state["ExitCode"], state["EndReason"]) == (False, 3, "its program ended with 3")
    assert "oom" not in dict(podlike.events(cid))
