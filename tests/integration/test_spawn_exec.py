"""podlike-spawn exec: options, what a process file leaves out, sockets, paused and stopped containers."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.box import CAPS, Box, Console, read_all, reap
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


def own_cgroup() -> str:
    with open("/proc/self/cgroup") as f:
        return next((line.rstrip("\n")[3:] for line in f if line.startswith("0::")), "")


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
