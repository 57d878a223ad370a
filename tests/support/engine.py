"""An engine under test: its command line with private storage, and a look at what it leaves behind."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

from tests.support.pty import Terminal

TOKEN = "PODLIKE_TEST_TOKEN"
SECONDS = float(os.environ.get("PODLIKE_TEST_SECONDS", "60"))  # that one command may take


class Result(NamedTuple):
    """What one command said. stdout and stderr are decoded with surrogates for what is not UTF-8."""

    argv: list[str]
    stdout: str
    stderr: str
    code: int

    @property
    def line(self) -> str:
        """stdout without its last newline."""
        return self.stdout.rstrip("\n")


class Engine:
    """`engine("run", ...)` runs the command line.

    bin: program, from PODLIKE_BIN or PATH. Also drives podman, to check the tests themselves against the original.
    dir: private directory, short because sockets lie below it (their paths hold 107 bytes at most).
    """

    def __init__(self, binary: str, *, env: Mapping[str, str] | None = None) -> None:
        found = shutil.which(binary)
        if found is None:
            raise FileNotFoundError(f"{binary}: no such program; set PODLIKE_BIN to the podlike to be tested")
        self.bin = os.path.abspath(found)
        self.is_podman = "podman" in os.path.basename(self.bin)
        self.dir = tempfile.mkdtemp(prefix="plt-", dir="/tmp")
        self.token = os.path.basename(self.dir)
        self.data, self.run_dir, self.home = f"{self.dir}/data", f"{self.dir}/run", f"{self.dir}/home"
        for d in (self.run_dir, self.home):
            os.mkdir(d, 0o700)
        base = {
            k: v for k, v in os.environ.items() if not k.startswith(("XDG_CONFIG", "XDG_DATA", "CONTAINER", "DOCKER"))
        }
        self.env = base | {
            "HOME": self.home,
            "PODLIKE_ROOT": self.data,
            "PODLIKE_RUNROOT": self.run_dir,
            TOKEN: self.token,
        }
        if self.is_podman:
            self.env |= self._podman_env()
        else:  # the crontab and the units of whoever runs the tests are not ours
            os.mkdir(self.data, 0o700)
            with open(f"{self.data}/startup", "w") as f:
                f.write("off\n")
        self.env |= env or {}

    def _podman_env(self) -> dict[str, str]:
        conf = f"{self.dir}/storage.conf"
        with open(conf, "w") as f:
            f.write(f'[storage]\ndriver = "overlay"\ngraphroot = "{self.data}"\nrunroot = "{self.run_dir}/storage"\n')
        return {"CONTAINERS_STORAGE_CONF": conf, "XDG_RUNTIME_DIR": self.run_dir}

    def __call__(
        self,
        *args: str,
        input: bytes | str | None = None,
        check: bool = True,
        timeout: float = SECONDS,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: int | IO[bytes] | None = None,
    ) -> Result:
        """Run to the end.

        check: fail the test unless the exit code is 0. env: on top of the engine's own; an empty value unsets.
        """
        argv = [self.bin, *args]
        data = input.encode() if isinstance(input, str) else input
        with self.popen(
            *args,
            env=env,
            cwd=cwd,
            stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL if stdin is None else stdin,
        ) as p:
            try:
                out, err = p.communicate(data, timeout=timeout)
            except subprocess.TimeoutExpired:
                p.kill()
                out, err = p.communicate()
                raise AssertionError(
                    f"{argv} did not end in {timeout} s\nstdout: {out[-2000:]!r}\nstderr: {err[-2000:]!r}"
                ) from None
        result = Result(argv, out.decode(errors="surrogateescape"), err.decode(errors="surrogateescape"), p.returncode)
        if check and result.code:
            raise AssertionError(
                f"{argv} ended with {result.code}\nstdout: {result.stdout[-2000:]}\nstderr: {result.stderr[-2000:]}"
            )
        return result

    def popen(self, *args: str, env: Mapping[str, str] | None = None, **how: Any) -> "subprocess.Popen[bytes]":
        """Start and leave running; the caller waits for it. Streams are pipes unless said otherwise."""
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        child: subprocess.Popen[bytes] = subprocess.Popen([self.bin, *args], env=self._merged(env), **(streams | how))
        return child

    def terminal(self, *args: str, env: Mapping[str, str] | None = None, rows: int = 24, cols: int = 80) -> Terminal:
        return Terminal([self.bin, *args], env=self._merged(env), rows=rows, cols=cols)

    def _merged(self, env: Mapping[str, str] | None) -> dict[str, str]:
        return {k: v for k, v in (self.env | dict(env or {})).items() if v != ""}

    # --- what is left behind ---

    def processes(self) -> dict[int, str]:
        """Every process that this engine has brought about: pid -> command line."""
        all_: dict[int, tuple[int, str, str, bool]] = {}
        spaces = set()
        for pid in (int(n) for n in os.listdir("/proc") if n.isdigit()):
            try:
                cmdline = _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
                if not cmdline or pid == os.getpid():
                    continue  # kernel threads and zombies are nobody's
                marked = f"{TOKEN}={self.token}" in _read(f"/proc/{pid}/environ") or self.dir in cmdline
                space = os.readlink(f"/proc/{pid}/ns/user")
                # A container's first process has no environment of ours, but its root is one of our overlays.
                marked = marked or self.dir in _read(f"/proc/{pid}/mountinfo") and space != _OWN_SPACE
                all_[pid] = (_parent(pid), cmdline, space, marked)
                if marked and space != _OWN_SPACE:
                    spaces.add(space)
            except OSError:
                continue  # gone meanwhile, or another user's
        own = {pid for pid, (_, _, space, marked) in all_.items() if marked or space in spaces}
        grown = True
        while grown:  # whatever they started
            more = {pid for pid, (parent, *_) in all_.items() if parent in own} - own
            own |= more
            grown = bool(more)
        return {pid: all_[pid][1] for pid in sorted(own)}

    def mounts(self) -> set[str]:
        """Mount points below the data and run directories, in this namespace and in those of the processes left."""
        found = set()
        seen = set()
        for pid in (os.getpid(), *self.processes()):
            try:
                space = os.readlink(f"/proc/{pid}/ns/mnt")
                if space in seen:
                    continue
                seen.add(space)
                found |= {line.split()[4] for line in _read(f"/proc/{pid}/mountinfo").splitlines()}
            except OSError:
                continue
        # The directory of network namespace pins may be a mount point itself, made once per session.
        return {
            point
            for point in found
            if point.startswith((self.data + "/", self.run_dir + "/")) and point != f"{self.run_dir}/netns"
        }

    def files(self) -> set[str]:
        """Names below the volatile directory that belong to single containers."""
        found = set()
        for name in ("containers", "exits", "netns", "spawn"):
            try:
                # Hidden files serve all containers, as the runtime's cache of compiled filters.
                found |= {f"run/{name}/{n}" for n in os.listdir(f"{self.run_dir}/{name}") if n[0] != "."}
            except OSError:
                continue
        try:
            found |= {f"data/containers/{n}" for n in os.listdir(f"{self.data}/containers")}
        except OSError:
            pass
        return found

    def cgroups(self) -> set[str]:
        """Cgroups beside our own, in the subtree that is delegated to us."""
        own = next((line[3:].strip() for line in _read("/proc/self/cgroup").splitlines() if line.startswith("0::")), "")
        parent = os.path.dirname("/sys/fs/cgroup" + own)
        if own in ("", "/") or not os.access(parent, os.W_OK):
            return set()
        return {f"{parent}/{n}" for n in os.listdir(parent) if os.path.isdir(f"{parent}/{n}")}

    def leftovers(self) -> "Leftovers":
        return Leftovers(processes=self.processes(), mounts=self.mounts(), files=self.files(), cgroups=self.cgroups())

    def destroy(self) -> None:
        """End everything and delete the private directory."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + 5
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        shutil.rmtree(self.dir, ignore_errors=True)
        if os.path.exists(self.dir) and os.geteuid() != 0:
            # Files of subordinate ids: only a user namespace with the same map can delete them.
            subprocess.run(_mapped(["rm", "-rf", self.dir]), check=False, stderr=subprocess.DEVNULL)


class Leftovers(NamedTuple):
    processes: dict[int, str]
    mounts: set[str]
    files: set[str]
    cgroups: set[str]

    def beyond(self, before: "Leftovers") -> list[str]:
        """What is here and was not there before; the holder of the session may be another one than before."""
        new = [
            f"process {pid}: {cmd}"
            for pid, cmd in self.processes.items()
            if pid not in before.processes and not _is_holder(cmd)
        ]
        new += [f"mount {m}" for m in sorted(self.mounts - before.mounts)]
        new += [f"file {f}" for f in sorted(self.files - before.files)]
        new += [f"cgroup {c}" for c in sorted(self.cgroups - before.cgroups)]
        holders = [pid for pid, cmd in self.processes.items() if _is_holder(cmd)]
        if len(holders) > max(1, sum(_is_holder(cmd) for cmd in before.processes.values())):
            new.append(f"{len(holders)} session holders: {holders}")
        return new


@contextmanager
def leaving_nothing(engine: Engine) -> Iterator[Engine]:
    """The engine; afterwards its containers and new volumes are removed, and nothing may remain that was not there before."""
    before, volumes = engine.leftovers(), _entries(f"{engine.data}/volumes")
    yield engine
    engine("rm", "--all", "--force", "--time", "0")
    if made := _entries(f"{engine.data}/volumes") - volumes:
        engine("volume", "rm", "--force", *sorted(made))
    deadline = time.monotonic() + 10
    while new := engine.leftovers().beyond(before):
        if time.monotonic() > deadline:
            raise AssertionError("left behind:\n  " + "\n  ".join(new))
        time.sleep(0.05)


def _entries(path: str) -> set[str]:
    return set(os.listdir(path)) if os.path.isdir(path) else set()


def wait_for(condition: Any, what: str, timeout: float = 10) -> Any:
    """Poll until condition() is true, and return its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s for {what}")
        time.sleep(0.05)


def lines(text: str) -> Iterator[list[str]]:
    """Words of each line that is not empty."""
    return (line.split() for line in text.splitlines() if line.strip())


def _is_holder(cmdline: str) -> bool:
    words = cmdline.split()
    name = os.path.basename(words[0]) if words else ""
    # podman's own: a "pause" process, or catatonit -P
    return name == "podlike-session" or name.startswith("podman") and words[1:] == [] or name == "catatonit"


def _mapped(argv: Sequence[str]) -> list[str]:
    """argv in a user namespace with the caller as root and its subordinate ids from 1."""
    return ["unshare", "--user", "--map-auto", "--map-root-user", "--setuid", "0", "--setgid", "0", "--", *argv]


def _parent(pid: int) -> int:
    return int(_read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])


def _read(path: str) -> str:
    with open(path, errors="replace") as f:
        return f.read()


_OWN_SPACE = os.readlink("/proc/self/ns/user")
