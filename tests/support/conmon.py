"""The monitor under test: podlike-conmon and, where it is installed, conmon itself; driven as podman drives them.

The monitor: PODLIKE_LIBEXEC/podlike-conmon, or the one that is installed with podlike. The reference: CONMON,
or /usr/bin/conmon. Tests marked ours_only or since_2_2 say why conmon is left out.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from podlike.paths import libexec
from tests.support.need import OPTIONAL, need

OURS = libexec("podlike-conmon")
REAL = os.environ.get("CONMON", "/usr/bin/conmon")
FAKE_RUNTIME = f"{os.path.dirname(__file__)}/fake_runtime.py"
CID = "c0ffee" * 10
WAIT = 15.0


def ours_only(why: str) -> Callable[[Any], Any]:
    """Mark a test that conmon cannot pass."""

    def mark(function: Any) -> Any:
        function.ours_only = why
        return function

    return mark


def since_2_2(why: str) -> Callable[[Any], Any]:
    """Mark a test that conmon passes from version 2.2 on."""

    def mark(function: Any) -> Any:
        function.since_2_2 = why
        return function

    return mark


def real_version() -> tuple[int, ...]:
    try:
        text = subprocess.run([REAL, "--version"], capture_output=True, text=True, timeout=WAIT).stdout
    except FileNotFoundError:
        return ()
    return tuple(int(n) for n in re.findall(r"\d+", text.split("\n")[0]))


@pytest.fixture(params=["podlike-conmon", "conmon"])
def conmon(request: pytest.FixtureRequest) -> str:
    path = OURS if request.param == "podlike-conmon" else REAL
    if request.param == "conmon":
        why = getattr(request.function, "ours_only", None)
        if why:
            pytest.skip(f"{OPTIONAL}conmon {why}")
        why = getattr(request.function, "since_2_2", None)
        if why and real_version() < (2, 2):
            pytest.skip(f"{OPTIONAL}conmon before 2.2 {why}")
    if not os.access(path, os.X_OK):
        if request.param == "conmon":
            pytest.skip(f"{OPTIONAL}{path} is not installed")
        need(False, f"{path} is not built")
    return path


def until(condition: Callable[[], Any], what: str, timeout: float = WAIT) -> Any:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"timed out: {what}")


def read_text(path: str) -> str | None:
    try:
        with open(path, newline="\n") as f:
            return f.read()
    except FileNotFoundError:
        return None


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sockets_of(pid: int) -> int:
    """How many sockets a process has open; 0 when it has ended."""
    with contextlib.suppress(FileNotFoundError):
        links = [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
        return sum(os.readlink(link).startswith("socket:") for link in links if os.path.islink(link))
    return 0


class Monitor:
    """One monitor with its bundle; `start` runs it as podman does."""

    accepts = True  # clients as soon as it runs

    def __init__(self, conmon: str, top: str, name: str = "b") -> None:
        self.conmon = conmon
        self.bundle = f"{top}/{name}"
        self.top = top
        self.exits = f"{top}/exits"
        self.persist = f"{top}/{name}-persist"
        self.log = f"{top}/{name}.log"
        self.pidfile = f"{top}/{name}.pid"
        self.monitor_pidfile = f"{top}/{name}.conmon-pid"
        for d in (self.bundle, self.exits, self.persist):
            os.makedirs(d, exist_ok=True)
        self.sync: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None

    def spec(self, *argv: str, **more: Any) -> None:
        with open(f"{self.bundle}/fake.json", "w") as f:
            json.dump({"argv": argv, **more}, f)

    def args(self, *more: str, log: str | None = None, api: bool = True) -> list[str]:
        return [
            self.conmon,
            *(["--api-version", "1"] if api else []),
            "-c",
            CID,
            "-u",
            CID,
            "-n",
            "some-name",
            "-r",
            FAKE_RUNTIME,
            "-b",
            self.bundle,
            "-p",
            self.pidfile,
            "-P",
            self.monitor_pidfile,
            "--exit-dir",
            self.exits,
            "--persist-dir",
            self.persist,
            "-l",
            log or f"k8s-file:{self.log}",
            "--full-attach",
            *more,
        ]

    def start(
        self,
        *more: str,
        log: str | None = None,
        api: bool = True,
        env: dict[str, str] | None = None,
        fds: tuple[int, ...] = (),
        args: list[str] | None = None,
        wait: bool = True,
    ) -> "Monitor":
        """Run it; with wait: until the first process has ended, which is when the pidfile is there."""
        self.sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {
            "PATH": os.environ["PATH"],
            "XDG_RUNTIME_DIR": self.top,
            "TMPDIR": self.top,
            "_OCI_SYNCPIPE": str(theirs.fileno()),
            **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")},
            **(env or {}),
        }
        self.process = subprocess.Popen(
            args or self.args(*more, log=log, api=api),
            env=environment,
            pass_fds=(theirs.fileno(), *fds),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        theirs.close()
        if wait:
            out, err = self.process.communicate(timeout=WAIT)
            assert self.process.returncode == 0, err
        return self

    def report(self) -> dict[str, Any]:
        """The next message on the sync pipe."""
        assert self.sync
        self.sync.settimeout(WAIT)
        data = self.sync.recv(65536)
        assert data.endswith(b"\n"), data
        message: dict[str, Any] = json.loads(data)
        return message

    def run(self, *more: str, **kw: Any) -> "Monitor":
        """Start it and take the container's pid."""
        self.start(*more, **kw)
        self.pid = self.report()["data"]
        assert self.pid > 0
        return self

    def go(self) -> None:
        with open(f"{self.bundle}/go", "w"):
            pass

    @property
    def monitor_pid(self) -> int:
        return int(until(lambda: read_text(self.monitor_pidfile), "conmon pidfile"))

    def attach(self) -> socket.socket:
        """A client that the monitor has accepted: conmon may relay output before it looks at who waits, ours does not."""
        wait = self.accepts and self.conmon == REAL
        before = sockets_of(self.monitor_pid) if wait else 0
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fd = os.open(self.bundle, os.O_PATH)
        try:
            s.connect(f"/proc/self/fd/{fd}/attach")
        finally:
            os.close(fd)
        if wait:
            until(lambda: sockets_of(self.monitor_pid) != before, "conmon accepts the client")
        s.settimeout(WAIT)
        return s

    def exit_file(self) -> str:
        return str(until(lambda: read_text(f"{self.exits}/{CID}"), "exit file"))

    def gone(self) -> None:
        """Wait until the monitor has ended."""
        pid = self.monitor_pid
        until(lambda: not alive(pid), "monitor ends")

    def lines(self) -> list[str]:
        return (read_text(self.log) or "").split("\n")[:-1]

    def calls(self) -> list[dict[str, Any]]:
        text = read_text(f"{self.bundle}/calls.jsonl") or ""
        return [json.loads(line) for line in text.splitlines()]

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        text = read_text(self.monitor_pidfile)
        for pid in (self.pid, int(text) if text else None):
            if pid and pid > 1:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def new(conmon: str, tmp_path: Any) -> Iterator[Callable[..., Monitor]]:
    made: list[Monitor] = []

    def make(*argv: str, name: str = "b", **more: Any) -> Monitor:
        m = Monitor(conmon, str(tmp_path), name)
        if argv:
            m.spec(*argv, **more)
        made.append(m)
        return m

    yield make
    for m in made:
        m.kill()


New = Callable[..., Monitor]


def packets(s: socket.socket) -> list[bytes]:
    """All packets until the end of file."""
    found = []
    while data := s.recv(65536):
        found.append(data)
    return found


def stream(found: list[bytes], which: int) -> bytes:
    return b"".join(p[1:] for p in found if p[0] == which)


def texts(m: Monitor, which: str = "stdout") -> list[str]:
    """What the log holds for one stream, pieces joined to lines."""
    out, piece = [], ""
    for line in m.lines():
        _, name, tag, text = line.split(" ", 3)
        if name != which:
            continue
        piece += text
        if tag == "F":
            out.append(piece)
            piece = ""
    return [*out, piece] if piece else out


def cli(conmon: str, *args: str, cwd: Any = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [conmon, *args], capture_output=True, text=True, timeout=WAIT, cwd=cwd, stdin=subprocess.DEVNULL
    )


def with_owner(m: Monitor, tmp_path: Any) -> socket.socket:
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    m.start(
        "--exit-command",
        "/bin/touch",
        "--exit-command-arg",
        str(tmp_path / "cleaned"),
        env={"_PODLIKE_OWNERPIPE": str(theirs.fileno())},
        fds=(theirs.fileno(),),
    )
    theirs.close()
    mine.settimeout(WAIT)
    return mine


owner_pipe = ours_only("has no owner pipe")


def ctl(m: Monitor, text: str) -> None:
    fd = os.open(f"{m.bundle}/ctl", os.O_WRONLY | os.O_NONBLOCK)
    os.write(fd, text.encode())
    os.close(fd)


class Exec(Monitor):
    """An exec session the way podman starts it: start pipe, attach pipe, sync pipe."""

    accepts = False

    def __init__(self, conmon: str, top: str) -> None:
        super().__init__(conmon, top, "x")
        self.start_w = -1
        self.attach_r: socket.socket | None = None

    def process_spec(self, *argv: str, **more: Any) -> None:
        with open(f"{self.bundle}/process.json", "w") as f:
            json.dump({"argv": argv, **more}, f)

    def begin(self, *more: str, env: dict[str, str] | None = None, fds: tuple[int, ...] = ()) -> None:
        r, self.start_w = os.pipe()
        self.attach_r, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        args = self.args(
            "-e", "--exec-attach", "--exec-process-spec", f"{self.bundle}/process.json", *more, log="none"
        )
        args[args.index("-u") + 1] = "f00d" * 16
        self.start(
            args=args,
            wait=False,
            fds=(r, theirs.fileno(), *fds),
            env={"_OCI_STARTPIPE": str(r), "_OCI_ATTACHPIPE": str(theirs.fileno()), **(env or {})},
        )
        os.close(r)
        theirs.close()
        os.write(self.start_w, b"\0")
        self.attach_r.settimeout(WAIT)
        assert json.loads(self.attach_r.recv(100)) == {"data": 0}

    def release(self) -> None:
        os.write(self.start_w, b"\0")
        os.close(self.start_w)
        self.start_w = -1


@pytest.fixture
def session(conmon: str, tmp_path: Any) -> Iterator[Exec]:
    e = Exec(conmon, str(tmp_path))
    yield e
    if e.start_w >= 0:
        os.close(e.start_w)
    e.kill()
