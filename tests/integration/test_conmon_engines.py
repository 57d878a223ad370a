"""The monitor's protocol: with a real runtime, and under podman."""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from typing import Any

import pytest

from tests.support.conmon import CID, WAIT, Monitor, New, packets, stream
from tests.support.need import need


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> str:
    busybox = shutil.which("busybox")
    if not busybox:
        need(False, "no busybox for a root file system")
    assert busybox
    top = str(tmp_path_factory.mktemp("rootfs"))
    for d in ("bin", "proc", "dev", "sys", "tmp"):
        os.mkdir(f"{top}/{d}")
    shutil.copy(busybox, f"{top}/bin/busybox")
    for name in subprocess.run(
        [busybox, "--list"], capture_output=True, text=True, check=True
    ).stdout.split():
        if name != "busybox":
            os.symlink("busybox", f"{top}/bin/{name}")
    return top


def oci_config(rootfs: str, *argv: str, terminal: bool = False) -> dict[str, Any]:
    def one(host: int) -> list[dict[str, int]]:
        return [{"containerID": 0, "hostID": host, "size": 1}]

    return {
        "ociVersion": "1.0.0",
        "process": {
            "terminal": terminal,
            "user": {"uid": 0, "gid": 0},
            "args": list(argv),
            "cwd": "/",
            "env": ["PATH=/bin"],
            "noNewPrivileges": True,
        },
        "root": {"path": rootfs, "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
            },
        ],
        "linux": {
            "namespaces": [{"type": t} for t in ("pid", "ipc", "uts", "mount", "user")],
            "uidMappings": one(os.getuid()),
            "gidMappings": one(os.getgid()),
        },
    }


class Crun:
    def __init__(self, m: Monitor) -> None:
        self.m = m
        self.base = [shutil.which("crun") or "", "--root", f"{m.top}/crun", "--cgroup-manager=disabled"]
        if not self.base[0]:
            need(False, "crun is not installed")

    def __call__(self, *args: str) -> None:
        r = subprocess.run(
            [*self.base, *args],
            capture_output=True,
            text=True,
            timeout=WAIT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "XDG_RUNTIME_DIR": self.m.top},
        )
        assert r.returncode == 0, r.stderr

    def args(self, *more: str) -> list[str]:
        args = self.m.args(*(f"--runtime-arg={a}" for a in self.base[1:]), *more)
        args[args.index("-r") + 1] = self.base[0]
        return args


@pytest.mark.parametrize("terminal", [False, True])
def test_crun(new: New, rootfs: str, terminal: bool) -> None:
    m = new()
    crun = Crun(m)
    with open(f"{m.bundle}/config.json", "w") as f:
        json.dump(oci_config(rootfs, "sh", "-c", "echo hello; read x; echo $x; exit 7", terminal=terminal), f)
    m.start(args=crun.args("-i", *(["-t"] if terminal else [])))
    m.pid = m.report()["data"]
    try:
        with m.attach() as s:
            crun("start", CID)
            s.send(b"line\n")
            text = stream(packets(s), 2).replace(b"\r", b"")
        assert text.startswith(b"hello\n") or b"hello\n" in text
        assert text.endswith(b"line\n")
        assert m.exit_file() == "7"
    finally:
        crun("delete", "-f", CID)


def test_crun_says_what_is_wrong(new: New, rootfs: str) -> None:
    m = new()
    crun = Crun(m)
    with open(f"{m.bundle}/config.json", "w") as f:
        json.dump(oci_config(rootfs, "no-such-command"), f)
    m.start(args=crun.args())
    report = m.report()
    assert report["data"] == -1
    assert "no-such-command" in report["message"]


def podman_run(conmon: str, *args: str, **kw: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["podman", "--conmon", conmon, *args], capture_output=True, timeout=60, **kw)


@pytest.fixture(scope="session")
def podman_image(rootfs: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    if not shutil.which("podman"):
        need(False, "podman is not installed", optional=True)
    tar = str(tmp_path_factory.mktemp("image") / "rootfs.tar")
    subprocess.run(["tar", "-C", rootfs, "-cf", tar, "."], check=True)
    r = subprocess.run(
        ["podman", "import", tar, "podlike-conmon-test"], capture_output=True, text=True, timeout=120
    )
    if r.returncode != 0:
        need(False, f"podman does not work here: {r.stderr}", optional=True)
    return "podlike-conmon-test"


RUN = ("run", "--rm", "--network=none")


def test_podman_foreground(conmon: str, podman_image: str) -> None:
    r = podman_run(conmon, *RUN, podman_image, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (r.returncode, r.stdout, r.stderr) == (3, b"out\n", b"err\n")
    r = podman_run(conmon, *RUN, podman_image, "no-such-command")
    assert r.returncode == 127


def test_podman_large_output_and_input(conmon: str, podman_image: str) -> None:
    size = 100 << 20
    r = podman_run(conmon, *RUN, podman_image, "head", "-c", str(size), "/dev/zero")
    assert (r.returncode, len(r.stdout)) == (0, size)
    r = podman_run(conmon, *RUN, "-i", podman_image, "wc", "-c", input=bytes(size))
    assert (r.returncode, r.stdout.strip()) == (0, b"%d" % size)


def test_podman_detached(conmon: str, podman_image: str) -> None:
    script = "echo start; trap 'echo term; exit 3' TERM; while :; do sleep 0.05; done"
    cid = (
        podman_run(conmon, "run", "-d", "--network=none", podman_image, "sh", "-c", script)
        .stdout.decode()
        .strip()
    )
    try:
        assert podman_run(conmon, "exec", cid, "sh", "-c", "echo in; exit 4").returncode == 4
        assert podman_run(conmon, "exec", cid, "no-such-command").returncode == 127
        assert podman_run(conmon, "exec", "-i", cid, "cat", input=b"piped").stdout == b"piped"
        assert podman_run(conmon, "exec", "-t", cid, "tty").stdout.startswith(b"/dev/pts/")
        with subprocess.Popen(
            ["podman", "attach", "--no-stdin", "--sig-proxy=false", cid], stdout=subprocess.PIPE
        ) as client:
            time.sleep(0.5)
            assert podman_run(conmon, "stop", cid).returncode == 0
            out, _ = client.communicate(timeout=WAIT)
        assert out.rstrip() == b"term"
        assert podman_run(conmon, "logs", cid).stdout == b"start\nterm\n"
        state = podman_run(conmon, "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", cid).stdout
        assert state == b"exited 3\n"
    finally:
        podman_run(conmon, "rm", "-f", "-t0", cid)


def test_podman_terminal_and_resize(conmon: str, podman_image: str) -> None:
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 91, 0, 0))
    script = "sleep 0.5; stty size; read x; stty size; exit 6"
    p = subprocess.Popen(
        ["podman", "--conmon", conmon, *RUN, "-it", podman_image, "sh", "-c", script],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    out = b""

    def read_until(words: bytes) -> None:
        nonlocal out
        end = time.monotonic() + WAIT
        while words not in out and time.monotonic() < end:
            if select.select([master], [], [], 0.2)[0]:
                with contextlib.suppress(OSError):
                    out += os.read(master, 4096)
        assert words in out, out

    read_until(b"31 91\r\n")
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 17, 71, 0, 0))
    os.kill(p.pid, signal.SIGWINCH)
    time.sleep(0.3)
    os.write(master, b"\n")
    read_until(b"17 71\r\n")
    assert p.wait(WAIT) == 6
    os.close(master)
