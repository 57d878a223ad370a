"""Protocol tests of the monitor, run against podlike-conmon and, where it is installed, conmon itself.

The monitor: PODLIKE_LIBEXEC/podlike-conmon, or the one that is installed with podlike. The reference: CONMON,
or /usr/bin/conmon. Tests marked ours_only or since_2_2 say why conmon is left out.
"""

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from podlike.paths import libexec
from tests.support.need import OPTIONAL, need

OURS = libexec("podlike-conmon")
REAL = os.environ.get("CONMON", "/usr/bin/conmon")
HERE = os.path.dirname(os.path.abspath(__file__))
FAKE_RUNTIME = f"{HERE}/fake_runtime.py"
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


class Monitor:
    """One monitor with its bundle; `start` runs it as podman does."""

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
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fd = os.open(self.bundle, os.O_PATH)
        try:
            s.connect(f"/proc/self/fd/{fd}/attach")
        finally:
            os.close(fd)
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


# --- the command line ---


def cli(conmon: str, *args: str, cwd: Any = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [conmon, *args], capture_output=True, text=True, timeout=WAIT, cwd=cwd, stdin=subprocess.DEVNULL
    )


def test_version(conmon: str) -> None:
    r = cli(conmon, "--version")
    assert r.returncode == 0
    # podman parses this and refuses a monitor older than 2.0.1
    assert re.match(r"conmon version (?!0|1)\d+\.\d+\.\d+\ncommit: .*\n$", r.stdout)


def test_help(conmon: str) -> None:
    r = cli(conmon, "--help")
    assert r.returncode == 0
    assert "--exec-process-spec" in r.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "conmon: Container ID not provided. Use --cid"),
        (["--cid", "x"], "Container UUID not provided. Use --cuuid"),
        (["-c", "x", "-u", "x"], "Runtime path not provided. Use --runtime"),
        (["-c", "x", "-u", "x", "-r", "/not/there"], "Runtime path /not/there is not valid"),
        (["-c", "x", "-u", "x", "-r", "/bin/true"], "Log driver not provided. Use --log-path"),
        (["-c", "x", "-u", "x", "-r", "/bin/true", "-l", ""], "log-path must not be empty"),
        (["-c", "x", "-u", "x", "-r", "/bin/true", "-l", ":"], "log-path must not be empty"),
        (["-c", "x", "-u", "x", "-r", "/bin/true", "-l", "k8s-file"], "k8s-file requires a filename"),
        (["-c", "x", "-u", "x", "-r", "/bin/true", "-l", "k8s-file:"], "k8s-file requires a filename"),
        (["-c", "x", "-u", "x", "-r", "/bin/true", "-l", "floppy:/x"], "No such log driver floppy"),
        (["-c", "x", "-u", "x", "-r", "/bin/true", "-l", "k8s-file:/not/there/x"], "Failed to open log file"),
        (
            ["-c", "x", "-u", "x", "-r", "/bin/true", "-l", "none", "--exec-attach"],
            "Attach can only be specified with exec",
        ),
        (
            ["-c", "x", "-u", "x", "-r", "/bin/true", "-l", "none", "-e"],
            "Exec process spec path not provided",
        ),
        (
            ["-c", "x", "-r", "/bin/true", "-l", "none", "-e", "--exec-attach", "--exec-process-spec", "x"],
            "Attach can only be specified for a non-legacy exec session",
        ),
        (
            ["-c", "x", "-u", "x", "-r", "/bin/true", "-e", "--restore", "x", "--exec-process-spec", "x"],
            "Cannot use 'exec' and 'restore' at the same time",
        ),
        (
            ["-c", "x", "-u", "x", "-r", "/bin/true", "-l", "none", "--exit-delay", "-1"],
            "Delay before invoking exit command",
        ),
        (
            ["-c", "x", "-u", "x", "-r", "/bin/true", "-l", "journald"],
            "Container ID must be longer than 12 characters",
        ),
        (["--no-such"], "conmon: option parsing failed: Unknown option --no-such"),
        (["--cid"], "conmon: option parsing failed: Missing argument for --cid"),
        (["--timeout", "soon"], "conmon: option parsing failed: Cannot parse integer value"),
    ],
)
def test_refusals(conmon: str, args: list[str], words: str, tmp_path: Any) -> None:
    r = cli(conmon, *args, cwd=tmp_path)
    assert r.returncode == 1
    assert words in (r.stderr or r.stdout), "before 2.2, some go to stdout"


@since_2_2("has no --log-rotate")
@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("-1", "log-max-files must be non-negative"),
        ("2147483648", "out of range"),
        ("0", "log-max-files must be at least 1 when log-rotate is enabled"),
    ],
)
def test_log_max_files_is_checked(conmon: str, number: str, words: str) -> None:
    r = cli(conmon, "-c", "x", "--log-rotate", "--log-max-files", number)
    assert r.returncode == 1
    assert words in r.stderr


@since_2_2("takes no words that are not options")
def test_option_spellings(new: New) -> None:
    m = new("true")
    args = [
        m.conmon,
        f"--cid={CID}",
        "--cuuid",
        CID,
        "-r",
        FAKE_RUNTIME,
        f"--bundle={m.bundle}",
        "stray",
        "-p",
        m.pidfile,
        "-P",
        m.monitor_pidfile,
        "-l",
        "none",
        "--exit-dir",
        m.exits,
        "--full-attach",
        "--runtime-arg",
        "--odd",
        "--runtime-arg=",
        "-si",
    ]
    m.start(args=args)
    assert m.report()["pid"] > 0
    assert m.exit_file() == "0"
    assert m.calls()[0]["argv"][:4] == ["--systemd-cgroup", "--odd", "", "create"]


def test_log_is_opened_before_anything_is_forked(new: New, tmp_path: Any) -> None:
    m = new("true")
    m.start(log="k8s-file:/not/there", wait=False)
    assert m.process
    _, err = m.process.communicate(timeout=WAIT)
    assert m.process.returncode == 1
    assert b"Failed to open log file" in err
    assert m.calls() == []


# --- start-up ---


def test_start_pipe_holds_everything_back(new: New) -> None:
    m = new("true")
    r, w = os.pipe()
    m.start(env={"_OCI_STARTPIPE": str(r)}, fds=(r,), wait=False)
    os.close(r)
    time.sleep(0.15)
    assert m.process and m.process.poll() is None
    assert not os.path.exists(m.monitor_pidfile)
    assert m.calls() == []
    os.write(w, b"\0")
    assert m.report()["data"] > 0
    assert m.exit_file() == "0"
    os.close(w)


def test_first_process_ends_at_once_and_leaves_a_pidfile(new: New) -> None:
    m = new("sleep", "100", sleep=0.3)
    m.start()
    assert m.process and m.process.returncode == 0
    text = read_text(m.monitor_pidfile)
    assert text and text.isdigit()
    assert int(text) != m.process.pid
    assert alive(int(text))
    m.pid = m.report()["data"]
    assert read_text(m.pidfile) == str(m.pid)
    with open(f"/proc/{text}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    assert fields[3] == text, "leads a session of its own"
    assert os.readlink(f"/proc/{text}/fd/2") == "/dev/null"


def test_sync_stays_in_the_foreground(new: New) -> None:
    m = new("sh", "-c", "exit 9")
    m.start("--sync", wait=False)
    assert m.process
    m.process.communicate(timeout=WAIT)
    assert m.process.returncode == 9
    assert not os.path.exists(m.monitor_pidfile)
    assert m.exit_file() == "9"


def test_runtime_command_line(new: New) -> None:
    m = new("true")
    m.run(
        "-s", "--runtime-arg", "--log-format=json", "--runtime-opt", "--odd", "--no-pivot", "--no-new-keyring"
    )
    assert m.calls()[0]["argv"] == [
        "--systemd-cgroup",
        "--log-format=json",
        "create",
        "--bundle",
        m.bundle,
        "--pid-file",
        m.pidfile,
        "--no-pivot",
        "--no-new-keyring",
        "--odd",
        CID,
    ]


def test_restore_command_line(new: New) -> None:
    m = new("true")
    m.run("--restore", "/some/image")
    assert m.calls()[0]["argv"] == [
        "restore",
        "--bundle",
        m.bundle,
        "--pid-file",
        m.pidfile,
        "--detach",
        "--image-path",
        "/some/image",
        "--work-path",
        m.bundle,
        CID,
    ]


def test_runtime_gets_inherited_fds_but_no_pipes_of_the_monitor(new: New) -> None:
    m = new("true")
    with socket.socket() as s:
        m.run("-i", fds=(s.fileno(),))
        fds = {int(k): v for k, v in m.calls()[0]["fds"].items()}
        assert fds[s.fileno()].startswith("socket:")
        assert all(fds[fd].startswith("pipe:") for fd in (0, 1, 2))
        others = [
            path
            for fd, path in fds.items()
            if fd > 2 and path.startswith(("pipe:", "socket:", "anon_inode:"))
        ]
        assert others == [fds[s.fileno()]]
    assert m.sync
    assert m.exit_file() == "0"


def test_ports_are_free_when_the_exit_is_known(new: New) -> None:
    m = new("sleep", "0.2")
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    port = s.getsockname()[1]
    m.run(fds=(s.fileno(),))
    s.close()
    with socket.socket() as again, pytest.raises(OSError):
        again.bind(("127.0.0.1", port))
    m.exit_file()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


@since_2_2("does not change the mode of the pipes")
def test_container_may_open_dev_stdout(new: New) -> None:
    m = new("sh", "-c", "stat -L -c %a /dev/stdout > /dev/stderr; echo again > /dev/stdout")
    m.run()
    m.exit_file()
    m.gone()
    assert texts(m, "stderr") == ["777"]
    assert texts(m) == ["again"]


def test_listen_pid_names_the_runtime(new: New) -> None:
    m = new("true")
    m.run("--replace-listen-pid", env={"LISTEN_PID": "77", "LISTEN_FDS": "1"})
    call = m.calls()[0]
    assert call["env"]["LISTEN_PID"] == str(call["pid"])


def test_notify_socket_is_not_the_runtimes(new: New) -> None:
    m = new("true")
    args = m.args()
    m.start(args=args, env={"NOTIFY_SOCKET": "/some/where"} if m.conmon == OURS else {})
    m.report()
    env = m.calls()[0]["env"]
    assert "NOTIFY_SOCKET" not in env
    assert env["XDG_RUNTIME_DIR"] == m.top


# --- the sync pipe ---


def test_old_api_calls_it_pid(new: New) -> None:
    m = new("true")
    m.start(api=False)
    assert m.report()["pid"] > 0


@since_2_2("does not escape control characters")
def test_failed_create_tells_what_the_runtime_said(new: New, tmp_path: Any) -> None:
    words = 'boom: "quoted" \\ back/slash\ttab\nünï \x01\x1f\n'
    m = new("true", stderr=words, status=1, no_pidfile=True)
    m.start(
        "--exit-command",
        "/bin/sh",
        "--exit-command-arg",
        "-c",
        "--exit-command-arg",
        f"touch {tmp_path}/cleaned",
    )
    assert m.report() == {"data": -1, "message": words}
    assert m.sync and m.sync.recv(100) == b""
    until(lambda: os.path.exists(f"{tmp_path}/cleaned"), "exit command after a failed create")
    m.gone()
    assert not os.path.exists(f"{m.exits}/{CID}")


@since_2_2("reports nothing when the runtime said nothing")
def test_failed_create_without_words(new: New) -> None:
    m = new("true", status=3, no_pidfile=True)
    m.start()
    report = m.report()
    assert report["data"] == -1
    assert not report.get("message")


@ours_only("tells nothing but a failure to execute")
def test_runtime_that_cannot_be_executed(new: New, tmp_path: Any) -> None:
    bad = tmp_path / "runtime"
    bad.write_text("#!/not/there\n")
    bad.chmod(0o755)
    m = new("true")
    args = m.args()
    args[args.index("-r") + 1] = str(bad)
    m.start(args=args)
    report = m.report()
    assert report["data"] == -1
    assert f"execute runtime {bad}: No such file or directory" in report["message"]


@ours_only("waits for the runtime, which waits for it")
def test_runtime_that_says_more_than_a_pipe_holds(new: New) -> None:
    m = new("echo", "done", stderr="w" * 60 + "\n" + "x" * 300_000 + "\n")
    m.run()
    assert m.exit_file() == "0"
    m.gone()
    assert texts(m) == ["done"]
    assert [len(t) for t in texts(m, "stderr")] == [60, 300_000]


@since_2_2("reports nothing")
def test_runtime_without_terminal(new: New) -> None:
    m = new("true", no_terminal=True)
    m.start("-t")
    report = m.report()
    assert report["data"] == -1
    assert "Runtime did not set up terminal" in report["message"]


@since_2_2("dies of it")
def test_closed_sync_pipe_is_no_harm(new: New) -> None:
    m = new("sleep", "0.1", sleep=0.1)
    m.start()
    assert m.sync
    m.sync.close()
    assert m.exit_file() == "0"


# --- logs ---

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d\d:\d\d (stdout|stderr) ([FP]) (.*)")


@since_2_2("makes the file with mode 0600")
def test_log_lines(new: New) -> None:
    m = new("sh", "-c", "echo out; echo err >&2; sleep 0.05; echo; printf 'no end'")
    m.run()
    m.exit_file()
    m.gone()
    found = [STAMP.fullmatch(line) for line in m.lines()]
    assert all(found), m.lines()
    parts = [f.groups() for f in found if f]
    assert ("stderr", "F", "err") in parts
    assert [p for p in parts if p[0] == "stdout"] == [
        ("stdout", "F", "out"),
        ("stdout", "F", ""),
        ("stdout", "P", "no end"),
    ]
    assert stat.S_IMODE(os.stat(m.log).st_mode) == 0o640


def test_log_has_the_local_zone(new: New) -> None:
    m = new("echo", "x")
    m.run(env={"TZ": "XXX-05:45"})
    m.exit_file()
    m.gone()
    assert "+05:45 stdout F x" in m.lines()[0]


def test_log_keeps_every_byte(new: New, tmp_path: Any) -> None:
    text = "".join(f"{i} {'x' * (i % 300)}\n" for i in range(5000)) + "y" * 70000 + "\n"
    (tmp_path / "data").write_text(text)
    m = new("cat", str(tmp_path / "data"))
    m.run()
    m.exit_file()
    m.gone()
    assert texts(m) == text.splitlines()
    assert max(len(line) for line in m.lines()) < 8192 + 100


def test_log_appends(new: New) -> None:
    m = new("echo", "new")
    with open(m.log, "w") as f:
        f.write("old\n")
    m.run()
    m.exit_file()
    m.gone()
    assert m.lines()[0] == "old"
    assert m.lines()[1].endswith(" F new")


def test_log_size_max_keeps_the_newest(new: New) -> None:
    m = new("sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done")
    m.run("--log-size-max", "4096")
    m.exit_file()
    m.gone()
    assert 0 < os.path.getsize(m.log) <= 4096
    assert m.lines()[-1].endswith(" F line 2999")
    numbers = [int(line.rsplit(" ", 1)[1]) for line in m.lines()]
    assert numbers == list(range(numbers[0], 3000))


@since_2_2("has no --log-rotate")
def test_log_rotate(new: New) -> None:
    m = new("sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done")
    m.run("--log-size-max", "8192", "--log-rotate", "--log-max-files", "2")
    m.exit_file()
    m.gone()
    files = [f"{m.log}.2", f"{m.log}.1", m.log]
    assert not os.path.exists(f"{m.log}.3")
    numbers = [int(line.rsplit(" ", 1)[1]) for f in files for line in (read_text(f) or "").splitlines()]
    assert numbers == list(range(numbers[0], 3000)), "in order, nothing lost, nothing twice"
    for f in files:
        assert 0 < os.path.getsize(f) <= 8192
        assert stat.S_IMODE(os.stat(f).st_mode) == 0o640


@since_2_2("has no --log-rotate")
def test_log_rotate_does_not_follow_symlinks(new: New, tmp_path: Any) -> None:
    m = new("sh", "-c", "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done")
    target = tmp_path / "target"
    target.write_text("")
    os.symlink(target, m.log)
    m.run("--log-size-max", "4096", "--log-rotate")
    m.exit_file()
    m.gone()
    assert os.path.islink(m.log)
    assert not os.path.lexists(f"{m.log}.1")
    if m.conmon == OURS:  # conmon lets it grow
        assert target.stat().st_size <= 4096, "the limit holds all the same"


def test_log_global_size_max(new: New) -> None:
    m = new("sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; exit 3")
    m.run("--log-global-size-max", "5000")
    assert m.exit_file() == "3"
    m.gone()
    assert 4900 < os.path.getsize(m.log) <= 5100, (
        "conmon looks before it writes, and so may go over it by a line"
    )
    assert m.lines()[0].endswith("line 0")


def test_several_logs(new: New, tmp_path: Any) -> None:
    m = new("echo", "both")
    m.run("-l", "none", "-l", "journald")
    m.exit_file()
    m.gone()
    assert texts(m) == ["both"]


def test_log_none(new: New) -> None:
    m = new("echo", "nothing")
    m.run(log="none")
    assert m.exit_file() == "0"
    assert not os.path.exists(m.log)


@ours_only("has no json-file")
def test_json_file(new: New) -> None:
    m = new("sh", "-c", r"""printf 'a\tb "q" \\ ü \377\n'; printf rest >&2""")
    m.run(log=f"json-file:{m.log}")
    m.exit_file()
    m.gone()
    entries = [json.loads(line) for line in m.lines()]
    assert {(e["stream"], e["log"]) for e in entries} == {("stdout", 'a\tb "q" \\ ü �\n'), ("stderr", "rest")}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", e["time"]) for e in entries)


def test_full_disk_does_not_stop_the_container(new: New) -> None:
    m = new("sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' '\\n'; exit 4")
    m.run(log="k8s-file:/dev/full")
    assert m.exit_file() == "4"


@ours_only("replaces the device by a file")
def test_log_size_max_leaves_devices_alone(new: New, tmp_path: Any) -> None:
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    fd = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    m = new("sh", "-c", "for i in 1 2 3 4 5; do echo line $i; done")
    m.run("--log-size-max", "60", log=f"k8s-file:{fifo}")
    m.exit_file()
    m.gone()
    assert stat.S_ISFIFO(os.lstat(fifo).st_mode)
    assert os.read(fd, 4096).count(b"\n") == 5
    os.close(fd)


def test_passthrough(new: New, tmp_path: Any) -> None:
    m = new("sh", "-c", "echo out; echo err >&2; exit 5")
    args = [*m.args(log="passthrough"), "--sync"]
    r = subprocess.run(args, capture_output=True, timeout=WAIT, stdin=subprocess.DEVNULL)
    assert r.returncode == 5
    assert r.stdout == b"out\n"
    assert r.stderr == b"err\n"
    assert not os.path.exists(f"{m.bundle}/attach")
    assert not os.path.exists(f"{m.bundle}/ctl")


# --- attach ---


def test_attached_client_gets_every_byte_from_the_first(new: New) -> None:
    m = new("sh", "-c", "echo first; echo err >&2; head -c 300000 /dev/zero; echo last", wait=True)
    m.run()
    with m.attach() as s:
        m.go()
        found = packets(s)
    assert {p[0] for p in found} == {2, 3}
    assert max(map(len, found)) <= 8193, "podman reads with a buffer of 8193"
    assert stream(found, 2) == b"first\n" + bytes(300000) + b"last\n"
    assert stream(found, 3) == b"err\n"


def test_attach_socket_is_private_and_goes_away(new: New) -> None:
    m = new("sleep", "0.2")
    m.run()
    st = os.stat(f"{m.bundle}/attach")
    assert stat.S_ISSOCK(st.st_mode)
    assert stat.S_IMODE(st.st_mode) == 0o700
    for name in ("ctl", "winsz"):
        assert stat.S_ISFIFO(os.stat(f"{m.bundle}/{name}").st_mode)
    m.exit_file()
    m.gone()
    assert not os.path.exists(f"{m.bundle}/attach")


@since_2_2("leaves the symlink behind")
def test_attach_through_a_symlink(new: New, tmp_path: Any) -> None:
    m = new("sleep", "0.3")
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    os.symlink("/old", sockets / CID)
    args = [a for a in m.args("--socket-dir-path", str(sockets)) if a != "--full-attach"]
    m.start(args=args)
    m.report()
    assert os.readlink(sockets / CID) == m.bundle
    assert stat.S_ISSOCK(os.stat(sockets / CID / "attach").st_mode)
    m.exit_file()
    m.gone()
    assert not os.path.lexists(sockets / CID)


def test_long_bundle_path(new: New, tmp_path: Any) -> None:
    m = new()
    m.bundle = str(tmp_path / ("d" * 120))
    os.mkdir(m.bundle)
    m.spec("echo", "far", wait=True)
    m.run()
    with m.attach() as s:
        m.go()
        assert stream(packets(s), 2) == b"far\n"


def test_stdin_reaches_the_container_and_ends(new: New) -> None:
    m = new("cat")
    m.run("-i")
    with m.attach() as s:
        s.send(b"hello ")
        s.send(b"world\n")
        s.shutdown(socket.SHUT_WR)
        assert stream(packets(s), 2) == b"hello world\n"
    assert m.exit_file() == "0"


def test_no_stdin_is_dev_null(new: New) -> None:
    m = new("cat")
    m.run()
    assert m.exit_file() == "0"


def test_input_without_stdin_is_dropped(new: New) -> None:
    m = new("sleep", "0.3")
    m.run()
    with m.attach() as s:
        s.send(b"x" * 1000)
        assert packets(s) == []


def test_leave_stdin_open(new: New) -> None:
    m = new("sh", "-c", "read a; read b; echo $a $b")
    m.run("-i", "--leave-stdin-open")
    with m.attach() as s:
        s.send(b"one\n")
    time.sleep(0.1)
    with m.attach() as s:
        s.send(b"two\n")
        assert stream(packets(s), 2) == b"one two\n"


def test_many_clients(new: New) -> None:
    m = new("sh", "-c", "read x; echo got $x; seq 1 2000")
    m.run("-i")
    clients = [m.attach() for _ in range(20)]
    clients[7].send(b"it\n")
    wanted = b"got it\n" + b"".join(b"%d\n" % i for i in range(1, 2001))
    for s in clients:
        assert stream(packets(s), 2) == wanted
        s.close()


def test_large_input_to_a_slow_reader(new: New) -> None:
    m = new("sh", "-c", "sleep 0.5; wc -c")
    m.run("-i")
    size = 3_000_000
    with m.attach() as s:
        data = bytes(32768)
        sent = 0
        while sent < size:
            sent += s.send(data[: size - sent])
        s.shutdown(socket.SHUT_WR)
        assert stream(packets(s), 2).strip() == b"%d" % size


def test_input_of_a_client_that_is_gone_arrives(new: New) -> None:
    m = new("sh", "-c", "sleep 0.3; wc -c")
    m.run("-i")
    with m.attach() as s:
        for _ in range(10):
            s.send(bytes(16000))
    m.exit_file()
    m.gone()
    assert texts(m) == ["160000"]


@ours_only("cuts off a client whose input nobody reads")
def test_container_that_closes_its_stdin(new: New) -> None:
    m = new("sh", "-c", "exec 0<&-; sleep 0.3; echo done")
    m.run("-i")
    with m.attach() as s:
        for _ in range(40):
            s.send(bytes(32000))
        s.shutdown(socket.SHUT_WR)
        assert stream(packets(s), 2) == b"done\n"
    assert m.exit_file() == "0"


@ours_only("closes the socket with input unread, so that its client may see a reset")
def test_end_of_file_and_not_a_reset_when_input_is_unread(new: New) -> None:
    m = new("sleep", "0.3")
    m.run("-i")
    with m.attach() as s:
        s.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                s.send(bytes(32000))
        s.settimeout(WAIT)
        assert packets(s) == []


def test_slow_reader_loses_nothing(new: New) -> None:
    size = 1_000_000
    m = new("sh", "-c", f"head -c {size} /dev/zero", wait=True)
    m.run(env={"PODLIKE_ATTACH_PATIENCE_MS": "1000"})
    with m.attach() as s:
        m.go()
        time.sleep(0.5)
        got = 0
        while data := s.recv(65536):
            got += len(data) - 1
            if got < 400_000:
                time.sleep(0.03)
    assert got == size


@ours_only("a stuck client stalls the container for ever")
def test_stuck_client_does_not_stop_the_container(new: New) -> None:
    m = new("sh", "-c", "head -c 2000000 /dev/zero; exit 6", wait=True)
    m.run(env={"PODLIKE_ATTACH_PATIENCE_MS": "500"})
    with m.attach() as stuck, m.attach() as good:
        m.go()
        assert len(stream(packets(good), 2)) == 2_000_000
        assert m.exit_file() == "6"
        got = len(stream(packets(stuck), 2))
        assert 0 < got < 2_000_000


@ours_only("the exit file waits for its clients")
def test_stuck_client_does_not_hold_back_log_and_exit_code(new: New) -> None:
    # What the sockets' and the pipe's buffers do not hold together is still unsent when the container ends.
    m = new("sh", "-c", "head -c 330000 /dev/zero | tr '\\0' '\\n'; exit 6", wait=True)
    m.run(env={"PODLIKE_ATTACH_PATIENCE_MS": "0"})
    with m.attach() as s:
        m.go()
        time.sleep(0.3)
        if alive(m.pid or 0):
            # It still waits for room in the pipe: make some, then leave the rest alone.
            while alive(m.pid or 0):
                s.recv(65536)
                time.sleep(0.01)
        assert m.exit_file() == "6"
        assert alive(m.monitor_pid)
        assert len(m.lines()) == 330000
        packets(s)
    m.gone()


def test_client_that_vanishes_is_no_harm(new: New) -> None:
    m = new("sh", "-c", "seq 1 100000; sleep 0.2; seq 1 100000; exit 2", wait=True)
    m.run()
    s = m.attach()
    m.go()
    s.recv(100)
    s.close()
    assert m.exit_file() == "2"
    m.gone()
    assert len(texts(m)) == 200000


def test_grandchild_that_keeps_stdout_does_not_hold_back_the_exit(new: New) -> None:
    m = new("sh", "-c", "echo hi; sleep 30 & echo $! >&2; exit 3", wait=True)
    m.run()
    with m.attach() as s:
        m.go()
        packets(s)
    assert m.exit_file() == "3"
    m.gone()
    assert texts(m) == ["hi"]
    os.kill(int(texts(m, "stderr")[0]), signal.SIGKILL)


# --- exit ---


@pytest.mark.parametrize(
    ("command", "code"), [("exit 0", "0"), ("exit 255", "255"), ("kill -9 $$", "137"), ("kill -15 $$", "143")]
)
def test_exit_files(new: New, command: str, code: str) -> None:
    m = new("sh", "-c", command)
    m.run()
    assert m.exit_file() == code
    assert read_text(f"{m.persist}/exit") == code
    assert os.listdir(m.exits) == [CID]


@ours_only("closes its clients before it writes the file")
def test_exit_file_is_there_when_the_clients_see_the_end(new: New) -> None:
    for i in range(20):
        m = new("sh", "-c", "exit 3", wait=True, name=f"b{i}")
        m.run()
        with m.attach() as s:
            m.go()
            assert packets(s) == []
            assert read_text(f"{m.exits}/{CID}") == "3"
        os.unlink(f"{m.exits}/{CID}")


def test_exit_command(new: New, tmp_path: Any) -> None:
    m = new("sh", "-c", "exit 3")
    script = tmp_path / "cleanup"
    script.write_text(
        f'#!/bin/sh\ncd {tmp_path}\nfor a in "$@"; do echo "[$a]"; done > args.tmp\n'
        f"cat {m.exits}/{CID} >> args.tmp\nls /proc/self/fd >> args.tmp\nmv args.tmp args\n"
    )
    script.chmod(0o755)
    m.run(
        "--exit-command",
        str(script),
        "--exit-command-arg",
        "container",
        "--exit-command-arg",
        "",
        "--exit-command-arg",
        "--rm",
    )
    text = until(lambda: read_text(str(tmp_path / "args")), "exit command")
    words = text.split("\n")
    assert words[:4] == ["[container]", "[]", "[--rm]", "30"], "the code is written before: " + text
    assert words[4:7] == ["1", "2", "3"], "no fds but stdio and ls's own"
    m.gone()


@ours_only("forgets the status when it has other children to wait for")
def test_exit_command_failure_is_the_monitors(new: New) -> None:
    m = new("true")
    m.start(
        "--sync",
        "--exit-command",
        "/bin/sh",
        "--exit-command-arg=-c",
        "--exit-command-arg=exit 8",
        wait=False,
    )
    assert m.process
    m.process.communicate(timeout=WAIT)
    assert m.process.returncode == 8


def test_exit_delay(new: New, tmp_path: Any) -> None:
    m = new("true")
    m.run("--exit-delay", "1", "--exit-command", "/bin/touch", "--exit-command-arg", str(tmp_path / "late"))
    m.exit_file()
    time.sleep(0.5)
    assert not (tmp_path / "late").exists()
    until((tmp_path / "late").exists, "exit command after its delay")


def test_timeout_kills(new: New) -> None:
    m = new("sleep", "100")
    m.run("--timeout", "1")
    start = time.monotonic()
    assert m.exit_file() == "-1"
    assert time.monotonic() - start < 3
    until(lambda: not alive(m.pid or 0), "container is killed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_signals_are_passed_on(new: New, number: int) -> None:
    m = new("sh", "-c", f"trap 'exit {number + 20}' TERM INT QUIT; echo ready; while :; do sleep 0.02; done")
    m.run()
    until(m.lines, "container runs")
    os.kill(m.monitor_pid, number)
    assert m.exit_file() == str(number + 20)


@ours_only("leaves SIGPIPE ignored")
def test_runtime_has_default_signals(new: New, tmp_path: Any) -> None:
    runtime = tmp_path / "runtime"
    runtime.write_text(f"#!/bin/sh\ngrep -E 'Sig(Ign|Blk)' /proc/self/status > {tmp_path}/signals\nexit 1\n")
    runtime.chmod(0o755)
    m = new("true")
    args = m.args()
    args[args.index("-r") + 1] = str(runtime)
    m.start(args=args)
    m.report()
    text = (tmp_path / "signals").read_text()
    assert [int(line.split()[1], 16) for line in text.splitlines()] == [0, 0], text


# --- the owner pipe ---


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


@owner_pipe
def test_owner_cleans_up_itself(new: New, tmp_path: Any) -> None:
    m = new("sh", "-c", "echo last words; exit 3", wait=True)
    mine = with_owner(m, tmp_path)
    m.report()
    with m.attach() as s:
        m.go()
        assert mine.recv(100) == b"3\n"
        assert read_text(f"{m.exits}/{CID}") == "3"
        s.setblocking(False)
        assert stream(packets(s), 2) == b"last words\n", "all output has been sent by then"
    assert alive(m.monitor_pid), "waits for the answer"
    mine.send(b"k")
    m.gone()
    assert not (tmp_path / "cleaned").exists()


@owner_pipe
@pytest.mark.parametrize("answer", [b"", b"x"])
def test_without_owner_the_exit_command_runs(new: New, tmp_path: Any, answer: bytes) -> None:
    m = new("true", wait=True)
    mine = with_owner(m, tmp_path)
    m.report()
    m.go()
    assert mine.recv(100) == b"0\n"
    if answer:
        mine.send(answer)
    mine.close()
    until((tmp_path / "cleaned").exists, "exit command")


@owner_pipe
def test_owner_that_died_long_ago(new: New, tmp_path: Any) -> None:
    m = new("true", wait=True)
    mine = with_owner(m, tmp_path)
    m.report()
    mine.close()
    m.go()
    until((tmp_path / "cleaned").exists, "exit command")
    assert m.exit_file() == "0"


@owner_pipe
def test_owner_is_not_passed_on(new: New, tmp_path: Any) -> None:
    m = new("true")
    mine = with_owner(m, tmp_path)
    m.report()
    assert not [k for k in m.calls()[0]["env"] if k.startswith(("_PODLIKE", "_OCI"))]
    assert mine.recv(100) == b"0\n"
    mine.send(b"k")
    m.gone()


@owner_pipe
def test_owners_own_client_may_read_late(new: New, tmp_path: Any) -> None:
    """`run ... | less`: the container waits for the reader, however long it takes."""
    m = new("sh", "-c", "head -c 1000000 /dev/zero; exit 1", wait=True)
    mine, theirs = socket.socketpair()
    m.start(
        env={"_PODLIKE_OWNERPIPE": str(theirs.fileno()), "PODLIKE_ATTACH_PATIENCE_MS": "300"},
        fds=(theirs.fileno(),),
    )
    theirs.close()
    m.report()
    with m.attach() as s:
        m.go()
        time.sleep(1)
        assert len(stream(packets(s), 2)) == 1_000_000
    mine.close()


@owner_pipe
def test_owner_of_a_failed_create(new: New, tmp_path: Any) -> None:
    m = new("true", status=1, no_pidfile=True)
    mine = with_owner(m, tmp_path)
    assert m.report()["data"] == -1
    assert mine.recv(100) == b"-1\n"
    mine.send(b"k")
    m.gone()
    assert not (tmp_path / "cleaned").exists()


# --- terminal ---


def test_terminal(new: New) -> None:
    m = new("sh", "-c", "tty; echo two; stty size; read x; echo got $x", wait=True)
    m.run("-t", "-i")
    with m.attach() as s:
        m.go()
        s.send(b"abc\n")
        found = packets(s)
    text = stream(found, 2)
    assert {p[0] for p in found} == {2}
    assert text.startswith(b"/dev/pts/") or b"/dev/pts/" in text
    assert b"two\r\n" in text, "ONLCR is set, whatever the runtime left"
    assert b"0 0\r\n" in text, "the size is what the runtime left"
    assert b"got abc\r\n" in text
    assert m.exit_file() == "0"
    assert not [n for n in os.listdir(m.top) if n.startswith("conmon-term")]


def ctl(m: Monitor, text: str) -> None:
    fd = os.open(f"{m.bundle}/ctl", os.O_WRONLY | os.O_NONBLOCK)
    os.write(fd, text.encode())
    os.close(fd)


def test_resize(new: New) -> None:
    m = new("sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done")
    m.run("-t")
    until(lambda: texts(m), "container runs")
    ctl(m, "1 24 8")
    ctl(m, "0\n")
    until(lambda: "24 80\r" in texts(m), "resized")
    ctl(m, "1 0010 0020 7\n")
    until(lambda: "10 20\r" in texts(m), "leading zeros are decimal, more numbers are no harm")


def test_resize_before_the_terminal_is_there(new: New) -> None:
    m = new("sh", "-c", "stty size", sleep=0.4)
    m.start("-t")
    until(lambda: os.path.exists(f"{m.bundle}/winsz"), "fifos")
    ctl(m, "1 33 44\n")
    m.report()
    m.exit_file()
    m.gone()
    assert texts(m) == ["33 44\r"]


@pytest.mark.parametrize("line", ["foo", "1", "1 2", "999 2 2", "1 x y", "1 10.5 20.3", "1 0x10 0x20"])
def test_bad_control_lines(new: New, line: str) -> None:
    m = new("sh", "-c", "sleep 0.2; stty size")
    m.run("-t")
    ctl(m, line + "\n")
    m.exit_file()
    m.gone()
    assert texts(m) == ["0 0\r"]


@ours_only("loses its place after a bad line: the next one is not understood")
@pytest.mark.parametrize(
    "line", ["1 -1 -1", "1 1001 5", "1 5 1001", "1 100000 100000", "1 2 2 " + "#" * 3000]
)
def test_bad_sizes(new: New, line: str) -> None:
    m = new("sh", "-c", "sleep 0.2; stty size; sleep 0.3; stty size")
    m.run("-t")
    ctl(m, line + "\n")
    until(lambda: texts(m), "first size")
    ctl(m, "1 5 6\n")
    m.exit_file()
    m.gone()
    assert texts(m) == ["0 0\r", "5 6\r"]


def test_reopen_log(new: New) -> None:
    m = new("sh", "-c", 'echo before; while [ ! -e "$1" ]; do sleep 0.02; done; echo after', "sh")
    flag = f"{m.top}/flag"
    m.spec("sh", "-c", f"echo before; while [ ! -e {flag} ]; do sleep 0.02; done; echo after")
    m.run()
    until(lambda: texts(m), "first line")
    os.rename(m.log, f"{m.log}.old")
    ctl(m, "2 0 0\n")
    until(lambda: os.path.exists(m.log), "new log")
    open(flag, "w").close()
    m.exit_file()
    m.gone()
    assert texts(m) == ["after"]
    assert "before" in (read_text(f"{m.log}.old") or "")


@ours_only("polls ten times a second")
def test_terminal_that_nobody_has_open_costs_nothing(new: New) -> None:
    m = new(
        "sh",
        "-c",
        "t=$(tty); echo one; exec 0<&- 1>&- 2>&-; sleep 1; echo two > $t; sleep 0.5; echo 3 > $t; sleep 0.2",
    )
    m.run("-t")
    until(lambda: texts(m), "first line")

    def ticks() -> int:
        with open(f"/proc/{m.monitor_pid}/status") as f:
            text = f.read()
        return sum(int(x) for x in re.findall(r"ctxt_switches:\s+(\d+)", text))

    time.sleep(0.2)
    before = ticks()
    time.sleep(0.5)
    assert ticks() - before <= 4
    m.exit_file()
    m.gone()
    assert texts(m) == ["one\r", "two\r", "3\r"]


# --- exec sessions ---


class Exec(Monitor):
    """An exec session the way podman starts it: start pipe, attach pipe, sync pipe."""

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


def test_exec_session(session: Exec) -> None:
    session.process_spec("sh", "-c", "echo out; echo err >&2; exit 42")
    session.begin()
    with session.attach() as s:
        time.sleep(0.1)
        assert session.calls() == [], "nothing runs before the second byte"
        session.release()
        assert session.report()["data"] > 0
        found = packets(s)
    assert stream(found, 2) == b"out\n"
    assert stream(found, 3) == b"err\n"
    assert session.report() == {"data": 42}
    assert session.exit_file() == "42"
    assert session.calls()[0]["argv"] == [
        "exec",
        "--pid-file",
        session.pidfile,
        "--process",
        f"{session.bundle}/process.json",
        "--detach",
        CID,
    ]
    session.gone()


@pytest.mark.parametrize("terminal", [False, True])
def test_exec_that_is_over_before_its_runtime(session: Exec, terminal: bool) -> None:
    session.process_spec("sh", "-c", "echo quick; exit 11", reap_first=True)
    session.begin(*(["-t"] if terminal else []))
    with session.attach() as s:
        session.release()
        assert session.report()["data"] > 0
        assert stream(packets(s), 2).split() == [b"quick"]
    assert session.report() == {"data": 11}


def test_exec_that_fails(session: Exec) -> None:
    session.process_spec(
        "x", no_pidfile=True, status=1, stderr="exec failed: `x` executable file not found in $PATH"
    )
    session.begin()
    session.release()
    report = session.report()
    assert report["data"] < 0
    assert "executable file not found in" in report["message"]
    assert session.sync and session.sync.recv(100) == b""


def test_exec_stdin(session: Exec) -> None:
    session.process_spec("wc", "-c")
    session.begin("-i")
    with session.attach() as s:
        session.release()
        for _ in range(50):
            s.send(bytes(10000))
        s.shutdown(socket.SHUT_WR)
        assert stream(packets(s), 2).strip() == b"500000"
    session.report()
    assert session.report() == {"data": 0}


def test_exec_terminal_is_resized_before_it_runs(session: Exec) -> None:
    session.process_spec("stty", "size")
    session.begin("-t")
    ctl(session, "1 20 30\n")
    with session.attach() as s:
        session.release()
        assert stream(packets(s), 2) == b"20 30\r\n"


def test_exec_timeout(session: Exec) -> None:
    session.process_spec("sleep", "100")
    session.begin("--timeout", "1")
    session.release()
    session.pid = session.report()["data"]
    assert session.report() == {"data": -1, "message": "command timed out"}


def test_old_exec_api(new: New) -> None:
    m = new()
    with open(f"{m.bundle}/process.json", "w") as f:
        json.dump({"argv": ["sh", "-c", "exit 12"]}, f)
    args = [
        m.conmon,
        "-c",
        CID,
        "-r",
        FAKE_RUNTIME,
        "-p",
        m.pidfile,
        "-l",
        "none",
        "-e",
        "--exec-process-spec",
        f"{m.bundle}/process.json",
        "-P",
        m.monitor_pidfile,
        "--exit-dir",
        m.exits,
    ]
    m.start(args=args)
    assert m.report() == {"exit_code": 12}
    assert m.exit_file() == "12"


@owner_pipe
def test_exec_with_owner(session: Exec) -> None:
    mine, theirs = socket.socketpair()
    session.process_spec("sh", "-c", "exit 9")
    session.begin(
        "--exit-command",
        "/bin/touch",
        "--exit-command-arg",
        f"{session.top}/cleaned",
        env={"_PODLIKE_OWNERPIPE": str(theirs.fileno())},
        fds=(theirs.fileno(),),
    )
    theirs.close()
    session.release()
    mine.settimeout(WAIT)
    assert mine.recv(10) == b"9\n"
    mine.send(b"k")
    session.gone()
    assert not os.path.exists(f"{session.top}/cleaned")


# --- readiness, memory ---


def test_readiness_is_passed_on(new: New, tmp_path: Any) -> None:
    m = new("sleep", "1")
    os.mkdir(f"{m.bundle}/notify")
    host = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    host.bind(str(tmp_path / "host"))
    host.settimeout(WAIT)
    m.run("--sdnotify-socket", str(tmp_path / "host"))
    path = f"{m.bundle}/notify/notify.sock"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o777
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(b"MAINPID=1\nEVIL=1\nREADY=1\nSTATUS=fine", path)
        lines = host.recv(1000).split(b"\n")
    assert b"READY=1" in lines
    assert not [line for line in lines if line.startswith((b"EVIL", b"MAINPID"))]
    host.close()


def memory_cgroup() -> str | None:
    """A cgroup with the memory controller that we may make children in."""
    text = read_text("/proc/self/cgroup") or ""
    for line in text.splitlines():
        if line.startswith("0::"):
            path = "/sys/fs/cgroup" + os.path.dirname(line[3:])
            if os.access(path, os.W_OK) and "memory" in (read_text(f"{path}/cgroup.subtree_control") or ""):
                return path
    return None


def test_running_out_of_memory_is_noticed(new: New) -> None:
    parent = memory_cgroup()
    if not parent:
        need(False, "no delegated cgroup with the memory controller", optional=True)
    group = f"{parent}/conmon-oom-{os.getpid()}"
    os.mkdir(group)
    try:
        for name, value in (("memory.max", "30M"), ("memory.swap.max", "0")):
            if os.path.exists(f"{group}/{name}"):
                with open(f"{group}/{name}", "w") as f:
                    f.write(value)
        m = new("tail", "/dev/zero", wait=True)
        # A runtime would put the container there; here it inherits the cgroup from its monitor.
        m.start(args=["/bin/sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *m.args()])
        m.pid = m.report()["data"]
        m.go()
        assert m.exit_file() == "137"
        m.gone()
        assert os.path.exists(f"{m.persist}/oom")
        assert os.path.exists(f"{m.bundle}/oom")
    finally:
        with contextlib.suppress(AssertionError):
            until(lambda: not os.path.exists(group) or not remove(group), "cgroup is empty")


def remove(group: str) -> bool:
    """Remove a cgroup; true while it is still there."""
    with contextlib.suppress(OSError):
        os.rmdir(group)
    return os.path.exists(group)


# --- real runtimes and engines ---


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
