"""podlike-spawn's command line: help, what is refused, logs, list, kill and delete by pattern, spec, features."""

import json
import os
import signal
import socket
import subprocess
import time
from typing import Any

import pytest

from tests.support.box import Box, reap
from tests.support.need import need
from tests.support.pty import Terminal


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["stat"], "unknown command `stat`, did you mean `state`?"),
        (["craete"], "unknown command `craete`, did you mean `create`?"),
        (["frobnicate"], "unknown command `frobnicate`, see podlike-spawn --help"),
        (["create", "--bundel", "x", "c"], "unknown option --bundel, did you mean --bundle?"),
        (["create", "--detach", "c"], "unknown option --detach"),
        (["run", "--keeep", "c"], "unknown option --keeep, did you mean --keep?"),
        (["exec", "c"], "exec needs a command, or --process FILE"),
        (["exec", "--tty=perhaps", "c", "true"], "option --tty is true or false, not `perhaps`"),
        (["restore", "--lsm-mount-context"], "option --lsm-mount-context requires an argument"),
        (["checkpoint", "--parent-path", "/abs", "c"], "option --parent-path is relative to --image-path"),
        (["ps", "c", "-ef"], "unknown option -e"),
        (["kill", "--regex", "(", "KILL"], "invalid regular expression `(`: "),
        (["--log", "xyz:/path", "list"], "unknown log destination `xyz:/path`"),
        (["--log", "journald:", "list"], "unknown log destination `journald:`"),
        (["--log-format", "xml", "list"], "unknown log format `xml`: text or json"),
        (["--log-level", "loud", "list"], "unknown log level `loud`: error, warning or debug"),
        (["--log", "/no/such/dir/log", "list"], "open log file `/no/such/dir/log`: No such file or directory"),
    ],
)
def test_words_that_are_not_understood(box: Box, args: list[str], words: str) -> None:
    p = box(*args)
    assert (p.returncode, p.stdout) == (1, "") and p.stderr.startswith(words) and p.stderr.count("\n") == 1


def test_help_of_every_command(box: Box) -> None:
    listed = box.ok("--help").split("Commands:\n")[1].split("\n\n")[0].splitlines()
    for command in (line.split()[0] for line in listed):
        text = box.ok(command, "--help")
        assert text.startswith(f"Usage: podlike-spawn {command}")
        assert box.ok(command, "-h") == text
    text = box.ok("run", "-b", "x", "--help")
    assert "  -b, --bundle DIR" in text and "--keep" in text and "--keep" not in box.ok("create", "--help")


def test_list_fits_the_longest_name(box: Box) -> None:
    long = "n" * 40
    box.create("true", name="a")
    box.create("true", name=long)
    head, *rows = sorted(box.ok("list").splitlines(), key=lambda line: not line.startswith("NAME"))
    column = head.index("PID")
    assert column == 41
    assert {row[:column].strip(): row[column:].split()[1] for row in rows} == {"a": "created", long: "created"}
    assert sorted(box.ok("list", "-q", "--format", "json").split()) == ["a", long]


def test_kill_and_delete_by_pattern(box: Box) -> None:
    pids = {name: box.start("sleep", "100", name=name) for name in ("web-1", "web-2", "db-1")}
    box.ok("kill", "--regex", "^web-[0-9]$", "KILL")
    assert [reap(pids[n]) for n in ("web-1", "web-2")] == [-9, -9]
    assert box.state("db-1")["status"] == "running"
    p = box("delete", "--regex", "[-]1$")
    assert p.returncode == 0 and sorted(box.ids()) == ["db-1", "web-2"]
    assert p.stderr.startswith("warning: the container `db-1` is not in `created` or `stopped` state")
    box.ok("delete", "--force", "-r", ".")
    assert box.ids() == [] and reap(pids["db-1"]) == -9


def test_processes_without_a_cgroup(box: Box) -> None:
    """Those of the container's pid namespace are listed; of a namespace that it shares only its own."""
    box.runtime_options = ["--cgroup-manager", "disabled"]
    pid = box.start("sh", "-c", "sleep 100 & sleep 100 & wait")
    while len(json.loads(box.ok("ps", "-f", "json", "c"))) < 3:
        time.sleep(0.005)
    table = box.ok("ps", "c").split()
    assert table[0] == "PID" and str(pid) in table[1:] and len(table) == 4
    for ns in box.spec["linux"]["namespaces"]:
        if ns["type"] == "pid":
            ns["path"] = f"/proc/{pid}/ns/pid"
    guest = box.start("sleep", "100", name="guest")
    assert json.loads(box.ok("ps", "-f", "json", "guest")) == [guest]
    box.ok("delete", "-f", "guest")
    assert reap(guest) == -9


def log_lines(path: str) -> list[dict[str, str]]:
    with open(path) as f:
        return [json.loads(line) for line in f]


def test_debug_log(box: Box) -> None:
    log = f"{box.dir}/log"
    box.write("true")
    p = box("--debug", "--log", f"file:{log}", "--log-format", "json", "run", "-b", box.bundle, "c")
    assert (p.returncode, p.stderr) == (0, "")
    lines = log_lines(log)
    assert {line["level"] for line in lines} == {"debug"} and all(set(x) == {"msg", "level", "time"} for x in lines)
    text = "\n".join(line["msg"] for line in lines)
    for words in (
        "namespaces: new pid, network, mount, ipc, uts, cgroup; joined none",
        "stage: pivot",
        "rootfs: mount proc on /proc",
        "container `c` is created, its process is ",
        "delete: container `c` is stopped",
    ):
        assert words in text
    assert [x["time"] for x in lines] == sorted(x["time"] for x in lines)


def test_debug_on_stderr_does_not_reach_the_terminal_of_the_container(box: Box) -> None:
    box.write("sh", "-c", "echo out; echo err >&2")
    p = box("--log-level", "debug", "run", "-b", box.bundle, "c")
    assert p.stdout == "out\n"
    assert "debug: stage: become the program\n" in p.stderr and p.stderr.count("err\n") == 1


def test_nothing_of_the_log_is_open_in_the_container(box: Box) -> None:
    box.write("ls", "/proc/self/fd")
    p = box("--debug", "--log", f"{box.dir}/log", "run", "-b", box.bundle, "c")
    assert p.stdout.split() == ["0", "1", "2", "3"]  # 3: ls reading the directory


def test_levels(box: Box) -> None:
    """A hook that fails after the fact is a warning: told by default, not with --log-level error."""
    box.spec["hooks"] = {"poststop": [{"path": "/bin/false"}]}
    log = f"{box.dir}/log"
    assert box.run("true").stderr == "warning: poststop hook failed with exit code 1: `/bin/false`\n"
    p = box("--log-level=error", "--log", log, "run", "-b", box.bundle, "c")
    assert p.stderr == "" and os.path.getsize(log) == 0
    # podman reads a JSON file as one object: a warning before the error would hide it.
    p = box("--log", log, "--log-format=json", "run", "-b", box.bundle, "c")
    assert "poststop hook failed" in p.stderr and os.path.getsize(log) == 0
    box("--log", log, "--log-format=json", "--log-level=warning", "run", "-b", box.bundle, "c")
    (line,) = log_lines(log)
    assert line["level"] == "warning"
    p = box("--log-format=json", "state", "none")
    assert json.loads(p.stderr)["msg"] == "container `none` does not exist"


def test_text_log(box: Box) -> None:
    log = f"{box.dir}/log"
    box("--log", log, "state", "none")
    box("--debug", "--log", log, "list")
    with open(log) as f:
        first, second = f.read().splitlines()
    assert first[19] == "." and first.endswith("Z: container `none` does not exist")
    assert "Z: debug: podlike-spawn " in second


@pytest.mark.parametrize(("target", "path"), [("journald", "/run/systemd/journal/socket"), ("syslog", "/dev/log")])
def test_system_logs(box: Box, target: str, path: str) -> None:
    """The datagram that the journal or syslog gets, at a socket of ours in a mount namespace of its own."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(f"{box.dir}/log.sock")
    listener.settimeout(10)
    # The directories belong to root: they are covered.
    top = "/run" if path.startswith("/run") else "/dev"
    script = f'mount -t tmpfs x {top}; mkdir -p {os.path.dirname(path)}; ln -s "$0" {path}; exec "$@"'
    argv = box.argv("--log", f"{target}:me", "state", "none")
    enter, command = argv[: len(box.enter)], argv[len(box.enter) :]
    p = subprocess.run(
        [*enter, "unshare", "-m", "sh", "-c", script, f"{box.dir}/log.sock", *command],
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert p.returncode == 1 and p.stderr == "container `none` does not exist\n"
    data = listener.recv(4096)
    listener.close()
    if target == "journald":
        words = b"container `none` does not exist"
        assert data == (
            b"SYSLOG_IDENTIFIER=me\nPRIORITY=3\nID=me\nMESSAGE\n" + len(words).to_bytes(8, "little") + words + b"\n"
        )
    else:
        assert data.startswith(b"<11>") and data.endswith(b"]: container `none` does not exist") and b" me[" in data


def test_system_log_that_is_not_there(box: Box) -> None:
    need(not os.path.exists("/run/systemd/journal/socket"), "the journal runs here", optional=True)
    p = box("--log", "journald:me", "list")
    words = "connect to the log `/run/systemd/journal/socket`: No such file or directory\n"
    assert (p.returncode, p.stderr) == (1, words)


def test_spec_runs_at_once(runtime: str, box: Box) -> None:
    """What `spec --rootless` writes is run by an ordinary user, in no namespace of anybody's, on a terminal."""
    box.enter = []
    box.ok("spec", "--rootless", "--bundle", box.bundle)
    p = box("spec", "--rootless", "--bundle", box.bundle)
    assert p.returncode == 1 and p.stderr == f"create `{box.bundle}/config.json`: File exists\n"
    box.ok("spec", "--rootless", "-b", box.bundle, "--file", "other.json")
    with open(f"{box.bundle}/config.json") as a, open(f"{box.bundle}/other.json") as b:
        assert a.read() == b.read()
    with Terminal([runtime, "--root", box.root, "run", "-b", box.bundle, "c"]) as t:
        t.expect("# ")
        t.send("id -u; hostname; tty; touch /x; exit 5\n")
        t.expect("podlike\r\n/dev/pts/0\r\ntouch: /x: Read-only file system")
        assert t.wait() == 5


def test_features_are_what_the_parser_takes(box: Box) -> None:
    """Every mount option and seccomp name that is listed is accepted, and one that is not is not."""
    features: dict[str, Any] = json.loads(box.ok("features"))
    assert features["ociVersionMin"] == "1.0.0" and features["hooks"][0] == "prestart"
    lin = features["linux"]
    assert sorted(lin["namespaces"]) == ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]
    assert {"CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"} <= set(lin["capabilities"])
    assert (lin["cgroup"]["v1"], lin["cgroup"]["v2"]) == (False, True)
    seccomp = lin["seccomp"]
    assert {"rro", "ro", "rbind", "rrelatime", "tmpcopyup"} <= set(features["mountOptions"])
    whole = [o for o in features["mountOptions"] if o[:1] == "r" and o[1:] in features["mountOptions"]]
    os.mkdir(f"{box.dir}/volume")
    box.spec["mounts"] += [
        {"destination": f"/secret/{o}", "type": "bind", "source": f"{box.dir}/volume", "options": ["rbind", o]}
        for o in whole
        if o not in ("rbind", "ridmap", "rdev", "rsuid")
    ]
    assert lin["netDevices"]["enabled"] and "MPOL_BIND" in lin["memoryPolicy"]["modes"]
    box.spec["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": seccomp["archs"][:2],
        "flags": [f for f in seccomp["supportedFlags"] if "WAIT" not in f],
        "syscalls": [{"names": ["mkdir"], "action": a} for a in seccomp["actions"] if a == "SCMP_ACT_ERRNO"],
    }
    for op in seccomp["operators"]:
        box.spec["linux"]["seccomp"]["syscalls"].append(
            {"names": ["acct"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "valueTwo": 1, "op": op}]}
        )
    assert box.run("true").stderr == ""
    box.spec["linux"]["seccomp"]["syscalls"][0]["action"] = "SCMP_ACT_NONE"
    assert "SCMP_ACT_NONE" not in seccomp["actions"] and box.run("true").returncode == 1
    assert features["annotations"]["org.opencontainers.runc.checkpoint.enabled"] in ("true", "false")
    assert "run.oci." in features["potentiallyUnsafeConfigAnnotations"]


def test_null_is_the_containers_own(box: Box) -> None:
    """A stream that is the host's /dev/null is opened anew in the container: its device is the one in /dev there."""
    box.spec["process"]["args"] = ["sh", "-c", "[ /proc/self/fd/0 -ef /dev/null ] && readlink /proc/self/fd/0"]
    box.write()
    p = box("run", "-b", box.bundle, "c")
    assert p.stdout == "/dev/null\n"


@pytest.mark.parametrize("option", ["TERM", "9"])
def test_kill_all_without_a_cgroup(box: Box, option: str) -> None:
    box.runtime_options = ["--cgroup-manager", "disabled"]
    pid = box.start("sh", "-c", "trap 'exit 3' TERM; echo ready; while true; do sleep 0.01; done")
    while "ready" not in box.output():
        time.sleep(0.005)
    box.ok("kill", "--all", "c", option)
    assert reap(pid) == (3 if option == "TERM" else -signal.SIGKILL)
