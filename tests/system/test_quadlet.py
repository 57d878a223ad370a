"""Quadlets through a real systemd: made into services, started, failing, stopped. As an ordinary user without a generator."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.engine import Engine, Result, wait_for
from tests.support.need import need
from tests.system.conftest import Host

PATIENCE = float(os.environ.get("PODLIKE_TEST_SECONDS", "300"))
HOME = os.path.expanduser("~/.config/containers/systemd")
LOOP = "trap 'exit 0' TERM; while :; do sleep 0.2; done"


class Quadlets:
    """Files in the user's directory, whose services use the storage of the tests."""

    def __init__(self, engine: Engine, host: Host, image: str) -> None:
        self.engine, self.host, self.image = engine, host, image
        self.services: list[str] = []
        settings = "".join(f'Environment="{k}={v}"\n' for k, v in engine.env.items() if k.startswith("PODLIKE_"))
        for kind in ("container", "volume", "pod"):
            self.write(f"{kind}.d/store.conf", f"[Service]\n{settings}[Quadlet]\nDefaultDependencies=false\n")

    def write(self, name: str, text: str) -> None:
        path = f"{HOME}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)

    def container(self, name: str, text: str = "", *, program: str = LOOP, more: str = "") -> None:
        self.write(f"{name}.container", f"[Container]\nImage={self.image}\nPull=never\n{text}"
                   f'Exec=sh -c "{program}"\n[Service]\n{more}')
        self.services.append(f"{name}.service")

    def __call__(self, *words: str, check: bool = True) -> Result:
        # `quadlet` looks where the caller's files are, whatever the storage.
        return self.engine("quadlet", *words, check=check, timeout=PATIENCE, env={"HOME": os.path.expanduser("~")})

    def state(self, service: str) -> str:
        return self.host.properties(service, "ActiveState")["ActiveState"]

    def await_state(self, service: str, state: str) -> None:
        wait_for(lambda: self.state(service) == state, f"{service} to be {state}", PATIENCE)

    def pid(self, container: str) -> int:
        """Of its main process; 0: it does not run."""
        found = self.engine("container", "inspect", container, check=False)
        state = json.loads(found.stdout)[0]["State"] if found.code == 0 else {}
        return int(state.get("Pid", 0)) if state.get("Running") else 0


@pytest.fixture
def quadlets(podlike: Engine, host: Host, image: str) -> Iterator[Quadlets]:
    need(not host.root, "as an ordinary user", optional=True)
    shutil.rmtree(HOME, ignore_errors=True)
    quadlets = Quadlets(podlike, host, image)
    yield quadlets
    host.systemctl("stop", *quadlets.services, check=False)
    shutil.rmtree(HOME)
    quadlets("generator", "remove")


def test_a_container_through_its_life(quadlets: Quadlets, podlike: Engine, host: Host) -> None:
    quadlets.container("life", "Network=none\nLabel=a=b\nStopTimeout=5\n", more="Restart=always\nRestartSec=100ms\n")
    quadlets("generator", "install")
    host.systemctl("start", "life")
    quadlets.await_state("life", "active")
    first = quadlets.pid("systemd-life")
    assert first and podlike("container", "inspect", "-f", "{{.Config.Labels.a}}", "systemd-life").line == "b"
    rows = json.loads(quadlets("list", "--format", "json").stdout)
    assert [(r["Name"], r["UnitName"], r["Status"]) for r in rows] == [("life.container", "life.service", "active/running")]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: quadlets.pid("systemd-life") not in (0, first), "systemd to start it again", PATIENCE)
    refused = quadlets("rm", "life.container", check=False)
    assert refused.code == 125 and "quadlet life.container is running and force is not set" in refused.stderr
    host.systemctl("stop", "life")
    assert host.properties("life", "ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}
    assert podlike("container", "exists", "systemd-life", check=False).code == 1
    assert quadlets("rm", "life.container").stdout == "life.container\n"
    assert host.properties("life", "LoadState") == {"LoadState": "not-found"}


def test_ready_when_healthy(quadlets: Quadlets, podlike: Engine, host: Host) -> None:
    quadlets.container("well", "Network=none\nNotify=healthy\nHealthCmd=test -e /ready\nHealthInterval=1s\nHealthRetries=1000\n"
                       "LogDriver=passthrough\n", program=f"echo hello; {LOOP}")
    quadlets("generator", "run")
    host.systemctl("start", "--no-block", "well")
    wait_for(lambda: quadlets.pid("systemd-well"), "its container", PATIENCE)
    wait_for(lambda: json.loads(podlike("container", "inspect", "systemd-well").stdout)[0]["State"]["Health"]["Log"],
             "a first check", PATIENCE)
    assert quadlets.state("well") == "activating"
    podlike("exec", "systemd-well", "touch", "/ready")
    quadlets.await_state("well", "active")
    # Its output is the unit's, and the journal has it soon.
    wait_for(lambda: podlike("logs", "systemd-well").stdout == "hello\n", "its output in the journal", PATIENCE)
    host.systemctl("stop", "well")


def test_what_a_container_needs_is_made_first(quadlets: Quadlets, podlike: Engine, host: Host) -> None:
    quadlets.write("data.volume", "[Volume]\nVolumeName=quadlet-data\nLabel=a=b\n")
    quadlets.container("user", "Network=none\nVolume=data.volume:/data\n", program=f"touch /data/here; {LOOP}")
    quadlets.services.append("data-volume.service")
    quadlets("generator", "run")
    assert podlike("volume", "exists", "quadlet-data", check=False).code == 1
    host.systemctl("start", "user")
    assert quadlets.state("data-volume") == "active" and quadlets.pid("systemd-user")
    mounted = json.loads(podlike("container", "inspect", "systemd-user").stdout)[0]["Mounts"]
    assert [(m["Type"], m["Name"], m["Destination"]) for m in mounted] == [("volume", "quadlet-data", "/data")]
    host.systemctl("stop", "user", "data-volume")
    podlike("volume", "rm", "quadlet-data")


def test_a_pod_starts_and_stops_its_containers(quadlets: Quadlets, podlike: Engine, host: Host) -> None:
    quadlets.write("group.pod", "[Pod]\nNetwork=none\nStopTimeout=3\n")
    for name in ("one", "two"):
        quadlets.container(name, "Pod=group.pod\nStopTimeout=3\n")
    quadlets.services.append("group-pod.service")
    quadlets("generator", "run")
    host.systemctl("start", "group-pod")
    for name in ("one", "two"):
        quadlets.await_state(name, "active")
    pod = podlike("pod", "inspect", "-f", "{{.Id}}", "systemd-group").line
    assert {podlike("container", "inspect", "-f", "{{.Pod}}", f"systemd-{n}").line for n in ("one", "two")} == {pod}
    host.systemctl("stop", "group-pod")
    for name in ("one", "two"):
        quadlets.await_state(name, "inactive")
    assert podlike("pod", "exists", "systemd-group", check=False).code == 1


def test_a_mistake_is_told_with_its_place(quadlets: Quadlets, host: Host) -> None:
    quadlets.container("wrong", "Imgae=x\nNetwork=none\n")
    place = f"{HOME}/wrong.container:4"
    quadlets("generator", "install")
    ran = quadlets("generator", "run", check=False)
    assert ran.code == 1 and f"{place} (did you mean Image?)" in ran.stderr
    assert host.properties("wrong", "LoadState") == {"LoadState": "not-found"}
    checked = quadlets("check", check=False)
    assert checked.code == 1
    assert f"{place}: error: unsupported key 'Imgae' in group 'Container': did you mean Image?" in checked.stdout
    assert f"{place}: unsupported key 'Imgae'" in quadlets("list").stderr
    host.systemctl("restart", "podlike-quadlet", check=False)
    wait_for(lambda: f"{place} (did you mean Image?)" in _journal("podlike-quadlet"), "the journal to have it", timeout=60)


def _journal(service: str) -> str:
    """What a service has said so far; journald takes its time."""
    argv = ["journalctl", "--user", "-b", "-u", service, "--no-pager", "-o", "cat"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
