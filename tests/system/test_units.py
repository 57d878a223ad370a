"""Generated units under a real systemd: they start, fail, are killed and stop; sockets, readiness, auto-update.

As few commands as will do: each takes seconds under emulation.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import oci
from tests.support.engine import SECONDS, Engine, wait_for
from tests.system.conftest import Host

QUIET = ("--network", "none")
FOREVER = "trap 'exit 0' TERM; while :; do sleep 0.3; done"
# The VM's own programs, for containers that need more than busybox.
PROGRAMS = ("-v", "/usr:/usr:ro", "-v", "/usr/lib:/lib:ro", "-v", "/usr/lib64:/lib64:ro")


class Unit:
    """The unit of one container or pod, in the directory of units that are gone after a reboot."""

    def __init__(self, engine: Engine, host: Host, name: str, prefix: str = "container") -> None:
        self.engine, self.host, self.name = engine, host, name
        self.full = f"{prefix}-{name}"
        self.service = f"{self.full}.service"
        self.directory = "/run/systemd/system" if host.root else f"{os.environ['XDG_RUNTIME_DIR']}/systemd/user"
        os.makedirs(self.directory, exist_ok=True)

    def generate(self, *flags: str, stop: int = 0) -> None:
        """stop: seconds that the container has to end by itself."""
        self.engine("generate", "systemd", "--files", "--name", "--new", f"--stop-timeout={stop}", *flags, self.name,
                    cwd=self.directory)

    def write(self, suffix: str, text: str) -> None:
        Path(f"{self.directory}/{self.full}.{suffix}").write_text(text)

    def load(self) -> None:
        self.host.systemctl("daemon-reload")

    def state(self) -> dict[str, str]:
        return self.host.properties(self.service, "ActiveState", "SubState", "MainPID", "NRestarts", "Result")

    def await_restart(self, number: int) -> dict[str, str]:
        def up() -> dict[str, str] | None:
            now = self.state()
            return now if (now["NRestarts"], now["ActiveState"]) == (str(number), "active") else None

        found: dict[str, str] = wait_for(up, f"restart {number}, it is {self.state()}", timeout=SECONDS)
        return found

    def destroy(self) -> None:
        for suffix in ("socket", "service"):
            self.host.systemctl("stop", f"{self.full}.{suffix}", check=False)
        self.host.systemctl("reset-failed", self.service, check=False)
        for suffix in ("socket", "service"):
            Path(f"{self.directory}/{self.full}.{suffix}").unlink(missing_ok=True)
        self.load()


@pytest.fixture
def unit(podlike: Engine, host: Host, name: str) -> Iterator[Unit]:
    unit = Unit(podlike, host, name)
    yield unit
    unit.destroy()


def kill(pid: str | int) -> None:
    os.kill(int(pid), signal.SIGKILL)


def test_a_unit_that_makes_its_container(unit: Unit, podlike: Engine, host: Host, image: str, name: str) -> None:
    podlike("create", "--name", name, "-e", "WORDS=100% of $HOME, \"as they are\"", *QUIET, image, "sh", "-c", FOREVER)
    unit.generate(stop=60)
    podlike("rm", name)
    flags = [] if host.root else ["--user"]
    assert subprocess.run(["systemd-analyze", *flags, "verify", f"{unit.directory}/{unit.service}"],
                          capture_output=True).stderr == b""
    unit.load()
    host.systemctl("start", unit.service)
    first = unit.state()
    assert first["ActiveState"] == "active"
    assert Path(f"/proc/{first['MainPID']}/comm").read_text() == "podlike-conmon\n"
    form = "{{.State.Pid}} {{.ID}} {{index .Config.Labels \"PODMAN_SYSTEMD_UNIT\"}} {{.Config.Env}}"
    pid, cid, label, words = podlike("inspect", "--format", form, name).line.split(" ", 3)
    assert label == unit.service
    assert 'WORDS=100% of $HOME, "as they are"' in words
    kill(pid)  # the container fails, and is made anew
    second = unit.await_restart(1)
    assert podlike("inspect", "--format", "{{.ID}}", name).line != cid
    kill(second["MainPID"])  # nobody watches it any more
    third = unit.await_restart(2)
    assert third["MainPID"] not in (first["MainPID"], second["MainPID"])
    assert podlike("ps", "-a", "--format", "{{.Names}} {{.State}}").line == f"{name} running"
    host.systemctl("stop", unit.service)
    last = unit.state()
    assert (last["ActiveState"], last["Result"]) == ("inactive", "success")
    assert podlike("container", "exists", name, check=False).code == 1


SERVER = """
import os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid())
listening = socket.socket(fileno=3)
while True:
    client, _ = listening.accept()
    client.sendall(f"{os.environ['LISTEN_FDS']} {os.environ['LISTEN_FDNAMES']} {os.path.exists('/bin/busybox')}".encode())
    client.close()
"""


def test_socket_activation(unit: Unit, podlike: Engine, host: Host, image: str, name: str) -> None:
    podlike("create", "--name", name, *QUIET, *PROGRAMS, image, "/usr/bin/python3", "-c", SERVER)
    unit.generate()
    podlike("rm", name)
    path = f"{podlike.dir}/activated"
    unit.write("socket", f"[Socket]\nListenStream={path}\nFileDescriptorName=web\n")
    unit.load()
    host.systemctl("start", f"container-{name}.socket")
    assert unit.state()["ActiveState"] == "inactive"

    def ask() -> bytes:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(SECONDS)
            s.connect(path)
            return s.recv(100)

    assert ask() == b"1 web True"
    pid = podlike("inspect", "--format", "{{.State.Pid}}", name).line
    kill(pid)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "its end")
    assert ask() == b"1 web True", "systemd keeps the socket, and the next container gets it"


READY = {
    "container": ((), "until test -e /go/go; do sleep 0.3; done; /usr/bin/systemd-notify --ready; exec sleep 1000"),
    "healthy": (("--health-cmd", "test -e /go/go", "--health-interval", "1s", "--health-retries", "1000"), "exec sleep 1000"),
}


@pytest.mark.parametrize("mode", READY)
def test_the_start_waits_until_it_is_ready(unit: Unit, podlike: Engine, host: Host, image: str, name: str, mode: str,
                                           tmp_path: Path) -> None:
    flags, program = READY[mode]
    podlike("create", "--name", name, *QUIET, *PROGRAMS, "-v", f"{tmp_path}:/go", f"--sdnotify={mode}", *flags, image, "sh", "-c",
            program)
    unit.generate()
    podlike("rm", name)
    unit.load()
    host.systemctl("start", "--no-block", unit.service)
    pid = wait_for(lambda: int(unit.state()["MainPID"]) or 0, "its main process", timeout=SECONDS)
    monitor = wait_for(lambda: int(podlike("inspect", "--format", "{{.State.ConmonPid}}", name, check=False).stdout or 0),
                       "the container", timeout=SECONDS)
    wait_for(lambda: int(unit.state()["MainPID"]) == monitor, f"the monitor instead of {pid}", timeout=SECONDS)
    assert unit.state()["ActiveState"] == "activating"
    (tmp_path / "go").touch()
    wait_for(lambda: unit.state()["ActiveState"] == "active", "its readiness", timeout=SECONDS)


def test_a_pod(podlike: Engine, host: Host, image: str, name: str) -> None:
    """The pod's unit starts and stops those of its containers."""
    pod, one = Unit(podlike, host, name, prefix="pod"), Unit(podlike, host, f"{name}-1")
    podlike("pod", "create", "--name", name, "--network", "none")
    podlike("create", "--pod", name, "--name", one.name, image, "sh", "-c", FOREVER)
    pod.generate(stop=60)
    podlike("pod", "rm", "-f", name)
    try:
        pod.load()
        host.systemctl("start", pod.service)
        wait_for(lambda: one.state()["ActiveState"] == "active", "its container", timeout=SECONDS)
        first = pod.state()
        assert first["ActiveState"] == "active"
        assert Path(f"/proc/{first['MainPID']}/comm").read_text() == "podlike-conmon\n"
        assert f"{one.name} {name}" in podlike("ps", "--format", "{{.Names}} {{.PodName}}").stdout.splitlines()
        host.systemctl("stop", pod.service)
        assert [unit.state()["ActiveState"] for unit in (pod, one)] == ["inactive", "inactive"]
        assert podlike("pod", "exists", name, check=False).code == 1
    finally:
        one.destroy()
        pod.destroy()
        podlike("pod", "rm", "-f", "--ignore", name)


def test_auto_update(unit: Unit, podlike: Engine, host: Host, name: str) -> None:
    """One that does not start, and one that does; which are newer is tests/integration/test_autoupdate.py's."""
    archive, now = f"{podlike.dir}/versions.tar", f"localhost/{name}:now"
    images = {"one": oci.busybox_image(Labels={"version": "1"}), "two": oci.busybox_image(Labels={"version": "2"}),
              "broken": oci.busybox_image(Entrypoint=["/no/such/program"])}
    oci.write_oci_archive(archive, {f"localhost/{name}:{tag}": image for tag, image in images.items()})
    podlike("load", "-i", archive)
    podlike("tag", f"localhost/{name}:one", now)
    podlike("create", "--name", name, *QUIET, "--label", "io.containers.autoupdate=local", now, "sh", "-c", FOREVER)
    unit.generate()
    podlike("rm", name)
    unit.load()
    host.systemctl("start", unit.service)
    running = ("inspect", "--format", "{{index .Config.Labels \"version\"}} {{.State.Running}}", name)
    for version, status, left in (("broken", "rolled back", "1"), ("two", "true", "2")):
        podlike("tag", f"localhost/{name}:{version}", now)
        told = podlike("auto-update", "--format", "{{.Unit}} {{.Policy}} {{.Updated}}").line
        assert told == f"{unit.service} local {status}"
        assert podlike(*running).line == f"{left} true"
