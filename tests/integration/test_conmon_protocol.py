"""The monitor's protocol: the command line, the start, the reports to the caller, readiness and memory."""

import contextlib
import os
import re
import socket
import stat
import time
from typing import Any

import pytest

from tests.support.conmon import (
    CID,
    FAKE_RUNTIME,
    OURS,
    WAIT,
    New,
    alive,
    cli,
    ours_only,
    read_text,
    since_2_2,
    texts,
    until,
)
from tests.support.need import need

# --- the command line ---


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
