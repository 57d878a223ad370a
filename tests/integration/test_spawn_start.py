"""podlike-spawn start beside a creation that is still under way."""

import json
import os
import subprocess
import time

from tests.support.box import Box


def begin(box: Box, hook: str) -> "subprocess.Popen[bytes]":
    """A create that its createRuntime hook holds up; returns when its state directory is there."""
    box.spec["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", hook]}]}
    box.write("sh", "-c", "echo started > /out")
    with open("/dev/null", "r+") as null:
        p = subprocess.Popen(box.argv("create", "-b", box.bundle, "c"), stdin=null, stdout=null, stderr=null)
    deadline = time.monotonic() + 10
    while not os.path.isdir(f"{box.root}/c"):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return p


def test_start_waits_for_the_creation(any_box: Box) -> None:
    creator = begin(any_box, "sleep 0.7")
    before = time.monotonic()
    any_box.ok("start", "c")
    assert time.monotonic() - before > 0.3 and creator.wait(10) == 0
    deadline = time.monotonic() + 10
    while any_box.state()["status"] != "stopped":
        assert time.monotonic() < deadline
        time.sleep(0.005)
    with open(f"{any_box.rootfs}/out") as f:
        assert f.read() == "started\n"


def test_start_of_a_creation_that_fails(any_box: Box) -> None:
    creator = begin(any_box, "sleep 0.3; false")
    p = any_box("start", "c")
    assert creator.wait(10) == 1
    assert p.returncode == 1 and "`c`" in p.stderr and p.stderr.count("\n") == 1
    assert any_box.ids() == []


def test_version_says_what_is_built_in(any_box: Box) -> None:
    lines = any_box.ok("--version").splitlines()
    assert f"rundir: {any_box.root}" in lines
    built_in = set(next(line for line in lines if line.startswith("+")).split())
    features = json.loads(any_box.ok("features"))
    for name, there in (
        ("SYSTEMD", features["linux"]["cgroup"]["systemd"]),
        ("SECCOMP", features["linux"]["seccomp"]["enabled"]),
        ("APPARMOR", features["linux"]["apparmor"]["enabled"]),
        ("SELINUX", features["linux"]["selinux"]["enabled"]),
    ):
        assert (f"+{name}" in built_in) == there
    assert "MPOL_BIND" in features["linux"]["memoryPolicy"]["modes"]
    assert {"rro", "rrelatime", "copy-symlink"} <= set(features["mountOptions"])
