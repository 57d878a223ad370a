"""podlike-spawn exec: options, what a process file leaves out, sockets, paused and stopped containers."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.box import CAPS, Box, Console, own_cgroup, read_all, reap
from tests.support.need import need


def status(text: str) -> dict[str, str]:
    return {k: v.strip() for k, _, v in (line.partition(":") for line in text.splitlines())}


def process_file(box: Box, **fields: Any) -> str:
    path = f"{box.dir}/process.json"
    with open(path, "w") as f:
        json.dump({"cwd": "/", "env": ["PATH=/bin"], "args": ["cat", "/proc/self/status"]} | fields, f)
    return path


def test_rights_that_a_process_file_leaves_out_are_the_containers(box: Box) -> None:
    box.spec["process"]["user"] = {"uid": 5, "gid": 6, "additionalGids": [7]}
    box.start("sleep", "100")
    s = status(box.ok("exec", "--process", process_file(box), "c"))
    assert (s["Uid"].split()[0], s["Gid"].split()[0], s["Groups"]) == ("5", "6", "7")
    container = status(box.ok("exec", "c", "cat", "/proc/self/status"))
    assert int(s["CapBnd"], 16) == int(container["CapBnd"], 16) != 0
    s = status(box.ok("exec", "--process", process_file(box, user={"uid": 0, "gid": 0}), "c"))
    assert s["Uid"].split()[0] == "0" and bin(int(s["CapEff"], 16)).count("1") == len(CAPS)
    s = status(box.ok("exec", "-p", process_file(box, user={"uid": 0}, capabilities={}), "c"))
    assert int(s["CapEff"], 16) == int(s["CapBnd"], 16) == 0


def test_options_change_a_process_file(box: Box) -> None:
    box.start("sleep", "100")
    path = process_file(box, noNewPrivileges=True)
    s = status(box.ok("exec", "-p", path, "--user", "3:4", "-g", "20", "--additional-gids=30", "c"))
    assert (s["Uid"].split()[1], s["Groups"], s["NoNewPrivs"]) == ("3", "20 30", "1")
    assert box.ok("exec", "-p", path, "c", "echo", "other") == "other\n"


def test_no_new_privs_is_only_given_by_the_option(box: Box) -> None:
    box.spec["process"]["noNewPrivileges"] = True
    box.start("sleep", "100")
    assert status(box.ok("exec", "c", "cat", "/proc/self/status"))["NoNewPrivs"] == "0"
    assert status(box.ok("exec", "--no-new-privs", "c", "cat", "/proc/self/status"))["NoNewPrivs"] == "1"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--user", "root", "c", "true"], "invalid user `root`: give numbers, UID[:GID]\n"),
        (["--user", "1:x", "c", "true"], "invalid user `1:x`: give numbers, UID[:GID]\n"),
        (["-g", "wheel", "c", "true"], "invalid group `wheel`: give a number\n"),
        (["-e", "NAME", "c", "true"], "invalid environment `NAME`: give NAME=VALUE\n"),
        (["--cap", "CAP_NOPE", "c", "true"], "unknown capability `CAP_NOPE`\n"),
        (["--cgroup", "sub", "c", "true"], "--cgroup `sub`: container `c` has no cgroup of its own\n"),
        (["--tty", "-d", "c", "true"], "a terminal and --detach need --console-socket\n"),
        (["--cwd", "/etc/none/../../bin/sh", "c", "true"], "chdir to `/etc/none/../../bin/sh`: "),
        (["--process", "/no/such.json", "c"], "open `/no/such.json`: No such file or directory\n"),
    ],
)
def test_refused(box: Box, args: list[str], words: str) -> None:
    box.runtime_options = ["--cgroup-manager", "disabled"]
    box.start("sleep", "100")
    p = box("exec", *args)
    assert p.returncode == 1 and (p.stderr.startswith(words) or "create working directory" in p.stderr)
    assert p.stderr.count("\n") == 1


def test_not_started_and_ended(box: Box) -> None:
    pid = box.create("true")
    p = box("exec", "c", "true")
    assert (p.returncode, p.stderr) == (1, "the container `c` is not running\n")
    box.ok("start", "c")
    assert reap(pid) == 0
    p = box("exec", "c", "true")
    assert (p.returncode, p.stderr) == (1, "the container `c` is not running\n")


def test_descriptors_and_sockets_of_activation(box: Box) -> None:
    box.start("sleep", "100")
    r, w = os.pipe()
    os.write(w, b"through\n")
    os.close(w)
    try:
        move = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execvp(sys.argv[2], sys.argv[2:])"
        wrap = ["env", "LISTEN_FDS=1", sys.executable, "-c", move, str(r)]
        script = "cat <&3; echo $LISTEN_FDS $((LISTEN_PID == $$)); [ -e /proc/self/fd/4 ] || echo no 4"
        p = subprocess.run(
            [*wrap, *box.argv("exec", "c", "sh", "-c", script)], pass_fds=(r,), capture_output=True, text=True
        )
    finally:
        os.close(r)
    assert p.stdout == "through\n1 1\nno 4\n"


def test_tty_with_a_value(box: Box) -> None:
    box.start("sleep", "100")
    assert box("exec", "--tty=false", "c", "tty").stdout == "not a tty\n"
    console = Console(f"{box.dir}/c.sock")
    box.ok("exec", "--tty=true", "-d", "--console-socket", console.path, "--pid-file", f"{box.dir}/x.pid", "c", "tty")
    assert read_all(console.master()) == "/dev/pts/0\n"
    with open(f"{box.dir}/x.pid") as f:
        assert reap(int(f.read())) == 0


def test_label_where_there_is_no_module_for_it(box: Box) -> None:
    need(not os.path.exists("/sys/fs/selinux/enforce"), "SELinux is on", optional=True)
    box.start("sleep", "100")
    p = box("exec", "--process-label", "system_u:system_r:container_t:s0", "c", "echo", "ran")
    assert (p.returncode, p.stdout) == (1, "") and p.stderr.endswith("SELinux is not enabled on this system\n")


def with_cgroup(box: Box) -> str:
    """Give the container a cgroup below the one that the tests may use; its directory."""
    parent = os.path.dirname(own_cgroup())
    need(
        os.path.exists("/sys/fs/cgroup/cgroup.controllers")
        and parent not in ("", "/")
        and os.access(f"/sys/fs/cgroup{parent}", os.W_OK),
        "no cgroup v2 subtree that belongs to this user",
        optional=True,
    )
    box.spec["linux"]["cgroupsPath"] = f"{parent}/podlike-test-{os.getpid()}"
    return f"/sys/fs/cgroup{box.spec['linux']['cgroupsPath']}"


def test_cgroup_below(box: Box) -> None:
    path = with_cgroup(box)
    box.start("sleep", "100")
    p = box("exec", "--cgroup", "sub", "c", "true")
    words = "open cgroup `sub` below that of container `c`: No such file or directory\n"
    assert (p.returncode, p.stderr) == (1, words)
    os.makedirs(f"{path}/sub/deep")
    assert "0::/sub/deep\n" in box.ok("exec", "--cgroup", "/sub/deep", "c", "cat", "/proc/self/cgroup")
    assert "0::/\n" in box.ok("exec", "--cgroup=/", "c", "cat", "/proc/self/cgroup")
    for bad in ("../x", "sub/..", "sub/../../x"):
        p = box("exec", "--cgroup", bad, "c", "true")
        assert (p.returncode, p.stderr) == (1, f"--cgroup `{bad}`: `..` components are not allowed\n")


def test_paused(box: Box) -> None:
    with_cgroup(box)
    box.start("sleep", "100")
    box.ok("pause", "c")
    p = box("exec", "c", "true")
    assert (p.returncode, p.stderr) == (1, "the container `c` is paused\n")
    with subprocess.Popen(box.argv("exec", "--ignore-paused", "c", "echo", "thawed"), stdout=subprocess.PIPE) as late:
        assert late.stdout is not None
        box.ok("resume", "c")
        assert late.stdout.read() == b"thawed\n" and late.wait() == 0


def test_exec_terminal(box: Box) -> None:
    box.start("sleep", "100")
    console = Console(f"{box.dir}/console.sock")
    box.ok(
        "exec",
        "--tty",
        "--detach",
        "--console-socket",
        console.path,
        "--pid-file",
        f"{box.dir}/x.pid",
        "c",
        "tty",
    )
    assert read_all(console.master()) == "/dev/pts/0\n"
    with open(f"{box.dir}/x.pid") as f:
        assert reap(int(f.read())) == 0


def test_exec(box: Box) -> None:
    box.start("sleep", "100")
    p = box(
        "exec",
        "c",
        "sh",
        "-c",
        "id -u; echo $A $B; pwd; readlink /proc/self/ns/pid; readlink /proc/1/ns/pid; exit 7",
    )
    lines = p.stdout.split("\n")
    assert p.returncode == 7 and lines[:3] == ["0", "base", "/"] and lines[3] == lines[4]
    p = box(
        "exec",
        "--env",
        "A=new",
        "-eB=b",
        "--cwd",
        "/tmp",
        "--user=5:6",
        "c",
        "sh",
        "-c",
        "id -u; id -g; echo $A $B; pwd",
    )
    assert p.stdout.split() == ["5", "6", "new", "b", "/tmp"]
    assert box("exec", "c", "sh", "-c", "kill -9 $$").returncode == 137
    assert (
        box("exec", "-c", "CAP_SYS_CHROOT", "c", "grep", "CapEff", "/proc/self/status").stdout.split()[1]
        == "00000000000400e3"
    )
    assert box("exec", "c", "ls", "/proc/self/fd").stdout.split() == ["0", "1", "2", "3"]


def test_exec_process_file(box: Box) -> None:
    box.start("sleep", "100")
    process = {
        "args": ["sh", "-c", "id -u; pwd; env; grep NoNew /proc/self/status"],
        "cwd": "/bin",
        "env": ["PATH=/bin", "X=1"],
        "user": {"uid": 7, "gid": 7},
        "noNewPrivileges": True,
    }
    with open(f"{box.dir}/p.json", "w") as f:
        json.dump(process, f)
    words = box("exec", "--process", f"{box.dir}/p.json", "c").stdout.split()
    assert (
        words[:2] == ["7", "/bin"]
        and {"PATH=/bin", "X=1"} <= set(words)
        and words[-2:] == ["NoNewPrivs:", "1"]
    )
    process["args"] = [7]
    with open(f"{box.dir}/p.json", "w") as f:
        json.dump(process, f)
    p = box("exec", "--process", f"{box.dir}/p.json", "c")
    assert p.returncode == 1 and p.stderr == "args[0]: expected a string, found int\n"


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("nope", 127, "executable file `nope` not found in $PATH: no such file or directory"),
        ("/etc", 126, "open executable: permission denied"),
    ],
)
def test_exec_of_what_cannot_run(box: Box, command: str, code: int, words: str) -> None:
    box.start("sleep", "100")
    for options in ((), ("--detach", "--pid-file", f"{box.dir}/x.pid")):
        p = box("exec", *options, "c", command)
        assert p.returncode == code and words in p.stderr
    assert not os.path.exists(f"{box.dir}/x.pid")


def test_exec_detached(box: Box) -> None:
    box.start("sleep", "100")
    with open(f"{box.dir}/out", "w") as out:
        p = subprocess.run(
            box.argv(
                "exec", "-d", "--pid-file", f"{box.dir}/x.pid", "c", "sh", "-c", "echo up; sleep 0.1; exit 9"
            ),
            stdout=out,
            timeout=10,
        )
    assert p.returncode == 0
    with open(f"{box.dir}/x.pid") as f:
        pid = int(f.read())
    assert reap(pid) == 9 and box.output() == "up\n"
