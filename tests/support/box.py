"""podlike-spawn with a bundle to run: for tests of the OCI runtime alone."""

import array
import json
import os
import shutil
import socket
import subprocess
import time
from typing import Any

from tests.support.need import need

BUSYBOX = shutil.which("busybox", path="/bin:/usr/bin")
APPLETS = (
    "sh cat ls sleep true false id echo mkdir touch pwd readlink tty stty kill hostname "
    "grep env head ln stat mount wc cut sort dd usleep"
).split()
PATIENCE = max(10, int(os.environ.get("PODLIKE_TEST_SECONDS", "60")) // 6)  # seconds that one call may take
CAPS = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE"]
Config = dict[str, Any]
# A filter without mkdir(2), for config.json.
NO_MKDIR: Config = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
}


def base_config() -> Config:
    return {
        "ociVersion": "1.2.0",
        "process": {
            "args": ["true"],
            "cwd": "/",
            "env": ["PATH=/bin:/usr/bin", "A=base"],
            "user": {"uid": 0, "gid": 0},
            "capabilities": {"bounding": CAPS, "effective": CAPS, "permitted": CAPS},
        },
        "root": {"path": "rootfs"},
        "hostname": "boxed",
        "mounts": [
            {
                "destination": "/proc",
                "type": "proc",
                "source": "proc",
                "options": ["nosuid", "noexec", "nodev"],
            },
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=64k"],
            },
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
            },
            {
                "destination": "/sys",
                "type": "sysfs",
                "source": "sysfs",
                "options": ["nosuid", "noexec", "nodev", "ro"],
            },
        ],
        "linux": {"namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount", "cgroup")]},
    }


class Box:
    """A user and mount namespace with a directory in it, and podlike-spawn called there; holder None: right here."""

    def __init__(self, holder: int | None, directory: str, runtime: str) -> None:
        self.enter = ["nsenter", "-t", str(holder), "-U", "-m", "--preserve-credentials"] if holder else []
        self.dir = directory
        self.root = f"{directory}/state"
        self.bundle = f"{directory}/bundle"
        self.rootfs = f"{self.bundle}/rootfs"
        self.runtime = runtime
        self.runtime_options: list[str] = []  # before the command
        self.spec = base_config()

    def make(self) -> None:
        """The bundle with its root file system."""
        need(BUSYBOX, "no busybox: install busybox-static")
        assert BUSYBOX is not None
        for d in ("bin", "proc", "dev", "sys", "tmp", "etc", "secret"):
            os.makedirs(f"{self.rootfs}/{d}")
        shutil.copy(BUSYBOX, f"{self.rootfs}/bin/busybox")
        for a in APPLETS:
            os.symlink("busybox", f"{self.rootfs}/bin/{a}")

    def clear(self) -> None:
        """Delete what is left of containers; nothing of their state may remain."""
        left = [i for i in self.ids() if self("delete", "--force", i).returncode != 0]
        assert left == []
        assert not os.path.exists(self.root) or [n for n in os.listdir(self.root) if n != ".cache"] == []

    def inside(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the host in the namespaces."""
        return subprocess.run([*self.enter, *argv], capture_output=True, text=True, timeout=30)

    def write(self, *args: str) -> None:
        """config.json with these arguments (none: as they are)."""
        if args:
            self.spec["process"]["args"] = list(args)
        with open(f"{self.bundle}/config.json", "w") as f:
            json.dump(self.spec, f)

    def argv(self, *args: str) -> list[str]:
        return [*self.enter, self.runtime, "--root", self.root, *self.runtime_options, *args]

    def __call__(self, *args: str, pass_fds: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Call the runtime; whoever inherits its output must have ended too."""
        return subprocess.run(
            self.argv(*args),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            pass_fds=pass_fds,
        )

    def ok(self, *args: str) -> str:
        p = self(*args)
        assert p.returncode == 0, (args, p.returncode, p.stderr)
        return p.stdout

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        self.write(*args)
        return self("run", "-b", self.bundle, "c")

    def sh(self, script: str) -> str:
        """Output of a shell in a new container; it must succeed in silence."""
        p = self.run("sh", "-c", script)
        assert (p.returncode, p.stderr) == (0, "")
        return p.stdout

    def create(self, *args: str, name: str = "c", options: tuple[str, ...] = ()) -> int:
        """Create; the container's output goes to DIR/out. Returns its pid."""
        self.write(*args)
        pid_file = f"{self.dir}/{name}.pid"
        with (
            open(f"{self.dir}/out", "a") as out,
            open(f"{self.dir}/err", "w+") as err,
        ):  # no pipes: it keeps them open
            p = subprocess.run(
                self.argv("create", "-b", self.bundle, "--pid-file", pid_file, *options, name),
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                timeout=30,
            )
            err.seek(0)
            assert p.returncode == 0, err.read()
        with open(pid_file) as f:
            return int(f.read())

    def start(self, *args: str, name: str = "c") -> int:
        pid = self.create(*args, name=name)
        self.ok("start", name)
        return pid

    def output(self) -> str:
        with open(f"{self.dir}/out") as f:
            return f.read()

    def state(self, name: str = "c") -> Config:
        result: Config = json.loads(self.ok("state", name))
        return result

    def ids(self) -> list[str]:
        return self.ok("list", "-q").split()


def reap(pid: int, seconds: float = 10) -> int:
    """Exit code of a container's process, which is ours since the runtime has ended (we are a subreaper)."""
    deadline = time.monotonic() + seconds
    while True:
        got, status = os.waitpid(pid, os.WNOHANG)
        if got:
            return os.waitstatus_to_exitcode(status)
        assert time.monotonic() < deadline, f"process {pid} did not end"
        time.sleep(0.005)


class Console:
    """A console socket, as a monitor has one."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen()
        self.socket.settimeout(10)

    def master(self) -> int:
        peer, _ = self.socket.accept()
        with peer:
            fds = array.array("i")
            _, anc, _, _ = peer.recvmsg(100, socket.CMSG_SPACE(4))
            fds.frombytes(anc[0][2][:4])
        self.socket.close()
        return fds[0]


def read_all(master: int) -> str:
    out = b""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        if not data:
            os.close(master)
            return out.decode().replace("\r\n", "\n")
        out += data


def user_namespace(box: Box, *ranges: tuple[int, int, int]) -> None:
    """Add one to the configuration. ranges: (id inside, id outside, how many); the first maps the owner of the root."""
    maps = [{"containerID": i, "hostID": o, "size": n} for i, o, n in ranges]
    box.spec["linux"]["namespaces"].append({"type": "user"})
    box.spec["linux"].update(uidMappings=maps, gidMappings=maps)
    first = ranges[0][1]
    assert box.inside("chown", "-R", f"{first}:{first}", box.rootfs).returncode == 0
    for path in (box.dir, box.bundle):
        os.chmod(path, 0o711)


def own_cgroup() -> str:
    """Path of the cgroup v2 that we are in; "" where there is none."""
    with open("/proc/self/cgroup") as f:
        return next((line.rstrip("\n")[3:] for line in f if line.startswith("0::")), "")
