"""podlike-spawn and cgroups: as an ordinary user in a delegated subtree or under systemd --user, and as root.

What needs controllers or a systemd says so with need(..., optional=True): containers that test this often have neither.
"""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.support.box import reap
from tests.support.cgroupbox import (
    MB,
    PATIENCE,
    ROOT,
    TOP,
    CgroupBox,
    cgroup_of,
    controllers,
    delegated,
    show,
    until,
)
from tests.support.need import need

# --- places ---------------------------------------------------------------------------------------------------------


def test_place_and_end(managed: CgroupBox) -> None:
    pid = managed.start("sh", "-c", "sleep 100 & sleep 100")
    path = cgroup_of(pid)
    if managed.manager == "systemd":
        assert path.endswith(f"/{managed.scope}/container")
        assert managed.state()["systemd-scope"] == managed.scope
        assert show(managed.scope, "ActiveState", "Delegate") == {"ActiveState": "active", "Delegate": "yes"}
    else:
        assert path == managed.where
    assert "0::/\n" in managed("exec", "c", "cat", "/proc/self/cgroup").stdout
    until(lambda: len(json.loads(managed.ok("ps", "--format", "json", "c"))) == 2, "two processes")
    assert managed.ok("ps", "c").split()[1:] == [str(p) for p in json.loads(managed.ok("ps", "-f", "json", "c"))]
    managed.ok("kill", "--all", "c", "KILL")
    assert reap(pid, PATIENCE) == -9
    managed.ok("delete", "c")
    assert not os.path.exists(f"{TOP}{path}")
    managed.nothing_left()


def test_a_user_gets_a_cgroup_beside_its_own(cbox: CgroupBox) -> None:
    need(not ROOT, "root's containers have a cgroup of their own below the root", optional=True)
    parent = delegated()
    pid = cbox.start("sleep", "100")
    assert cgroup_of(pid) == f"{parent}/c"
    cbox.ok("delete", "--force", "c")
    assert reap(pid, PATIENCE) == -9
    assert not os.path.exists(f"{TOP}{parent}/c")


def test_root_gets_a_cgroup_below_the_root(cbox: CgroupBox) -> None:
    need(ROOT, "needs root", optional=True)
    delegated()
    pid = cbox.start("sleep", "100")
    assert cgroup_of(pid) == "/c"


def test_processes_left_behind_and_nested_cgroups(cbox: CgroupBox) -> None:
    """Without a pid namespace others live on; what the container made below its cgroup goes with it."""
    cbox.use("cgroupfs")
    cbox.spec["linux"]["namespaces"] = [n for n in cbox.spec["linux"]["namespaces"] if n["type"] != "pid"]
    pid = cbox.start("sh", "-c", "sleep 1000 & echo $! ; exec sleep 1000")
    until(cbox.output, "the pid of the other")
    other = int(cbox.output())
    nested = f"{TOP}{cbox.where}/a/b"
    os.makedirs(nested)
    with open(f"{nested}/cgroup.procs", "w") as f:
        f.write(str(other))
    cbox.ok("kill", "c", "KILL")
    assert reap(pid, PATIENCE) == -9
    assert cgroup_of(other) == f"{cbox.where}/a/b"
    cbox.ok("delete", "c")
    assert reap(other, PATIENCE) == -9
    cbox.nothing_left()


def test_exec_where_the_container_has_moved_down(cbox: CgroupBox) -> None:
    """As systemd does inside of a container: nothing may be in the cgroup above any more."""
    cbox.use("cgroupfs")
    pid = cbox.start("sleep", "100")
    os.mkdir(f"{TOP}{cbox.where}/init")
    with open(f"{TOP}{cbox.where}/init/cgroup.procs", "w") as f:
        f.write(str(pid))
    with open(f"{TOP}{cbox.where}/cgroup.controllers") as f:
        names = f.read().split()
    if names:
        with open(f"{TOP}{cbox.where}/cgroup.subtree_control", "w") as f:
            f.write(f"+{names[0]}")
    second = subprocess.Popen(cbox.argv("exec", "c", "sleep", "77"), stderr=subprocess.PIPE)
    try:
        until(lambda: len(json.loads(cbox.ok("ps", "-f", "json", "c"))) == 2, "two processes")
        places = {cgroup_of(p) for p in json.loads(cbox.ok("ps", "-f", "json", "c"))}
        assert places == ({f"{cbox.where}/init"} if names else {f"{cbox.where}/init", cbox.where})
    finally:
        cbox("kill", "--all", "c", "KILL")
        assert second.communicate(timeout=PATIENCE)[1] == b""
    assert second.returncode == 137


def test_threaded_parent(cbox: CgroupBox) -> None:
    cbox.use("cgroupfs")
    parent = cbox.where
    os.makedirs(f"{TOP}{parent}/first")
    try:
        with open(f"{TOP}{parent}/first/cgroup.type", "w") as f:
            f.write("threaded")
        cbox.spec["linux"]["cgroupsPath"] = f"{parent}/second"
        pid = cbox.start("sleep", "100")
        assert cgroup_of(pid) == f"{parent}/second"
        with open(f"{TOP}{parent}/second/cgroup.type") as f:
            assert f.read() == "threaded\n"
        cbox.ok("delete", "--force", "c")
        assert reap(pid, PATIENCE) == -9
    finally:
        os.rmdir(f"{TOP}{parent}/first")
        os.rmdir(f"{TOP}{parent}")


def test_delegated_cgroup(managed: CgroupBox) -> None:
    managed.spec["annotations"] = {"run.oci.delegate-cgroup": "inner/most"}
    pid = managed.start("sleep", "100")
    path = cgroup_of(pid)
    assert path.endswith("/container/inner/most" if managed.manager == "systemd" else f"{managed.where}/inner/most")
    # The namespace begins at the container's own cgroup.
    assert "0::/inner/most\n" in managed("exec", "c", "cat", "/proc/1/cgroup").stdout


@pytest.mark.parametrize("bad", ["../x", "x/..", "a/../../b"])
def test_delegated_cgroup_outside(cbox: CgroupBox, bad: str) -> None:
    cbox.use("cgroupfs")
    cbox.spec["annotations"] = {"run.oci.delegate-cgroup": bad}
    p = cbox.run("true")
    assert (p.returncode, p.stderr) == (
        1,
        f'annotations.run.oci.delegate-cgroup: "{bad}": `..` is not allowed\n',
    )
    cbox.nothing_left()


def test_systemd_subgroup(cbox: CgroupBox) -> None:
    cbox.use("systemd")
    cbox.spec["annotations"] = {"run.oci.systemd.subgroup": "payload"}
    pid = cbox.start("sleep", "100")
    assert cgroup_of(pid).endswith(f"/{cbox.scope}/payload")
    cbox.ok("delete", "--force", "c")
    assert reap(pid, PATIENCE) == -9
    cbox.spec["annotations"] = {"run.oci.systemd.subgroup": ""}
    pid = cbox.start("sleep", "100")
    assert cgroup_of(pid).endswith(f"/{cbox.scope}")


def test_nested_slice_and_default_scope(cbox: CgroupBox) -> None:
    cbox.use("systemd")
    cbox.where = f"podlike-testing.slice:podlike-test:{os.getpid()}"
    cbox.spec["linux"]["cgroupsPath"] = cbox.where
    pid = cbox.start("sleep", "100")
    assert f"/podlike.slice/podlike-testing.slice/{cbox.scope}/" in cgroup_of(pid)
    cbox.ok("delete", "--force", "c")
    assert reap(pid, PATIENCE) == -9
    cbox.nothing_left()
    del cbox.spec["linux"]["cgroupsPath"]
    pid = cbox.start("sleep", "100")
    assert cgroup_of(pid).endswith("/podlike-c.scope/container")


def test_user_namespace_owns_its_cgroup(managed: CgroupBox) -> None:
    need(ROOT, "needs root", optional=True)
    ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    managed.spec["linux"].update(uidMappings=ids, gidMappings=ids)
    managed.spec["linux"]["namespaces"].append({"type": "user"})
    for d, _, _ in os.walk(managed.dir):
        os.chmod(d, 0o755)
    pid = managed.start("sleep", "100")
    st = os.stat(f"{TOP}{cgroup_of(pid)}/cgroup.procs")
    assert (st.st_uid, st.st_gid) == (100000, 100000)
    assert os.stat(f"{TOP}{cgroup_of(pid)}").st_uid == 100000


# --- pause, kill, update without controllers ------------------------------------------------------------------------


def test_pause_and_resume(managed: CgroupBox) -> None:
    pid = managed.start("sh", "-c", "while true; do echo x; usleep 1000; done")
    until(managed.output, "the container runs")
    managed.ok("pause", "c")
    assert managed.state()["status"] == "paused"
    before = managed.output()
    time.sleep(0.2)
    assert managed.output() == before
    again = managed("pause", "c")
    assert (again.returncode, again.stderr) == (1, "cannot pause container `c`: it is paused\n")
    managed.ok("resume", "c")
    assert managed.state()["status"] == "running"
    until(lambda: managed.output() != before, "it runs on")
    managed.ok("pause", "c")
    managed.ok("delete", "--force", "c")
    assert reap(pid, PATIENCE) == -9


def test_update_words(cbox: CgroupBox) -> None:
    cbox.use("cgroupfs")
    pid = cbox.start("sleep", "100")
    for argv, words in [
        ([], "nothing to update: give --resources or a limit, see update --help"),
        (["--memory", "x"], "option --memory needs a size such as 104857600 or 100m, not `x`"),
        (["--pids-limit", "5m"], "option --pids-limit needs a number, not `5m`"),
        (["--memory", "9999999999g"], "option --memory needs a size such as 104857600 or 100m, not `9999999999g`"),
        (["--kernel-memory", "1"], "linux.resources.memory.kernel: cgroup v2 has no such setting, leave it out"),
        (["--cpu-rt-period", "1"], "linux.resources.cpu.realtimePeriod: cgroup v2 has no such setting, leave it out"),
        (["--blkio-weight", "5"], "linux.resources.blockIO.weight: must be between 10 and 1000"),
        (["--cpuset-cpus", "all"], 'linux.resources.cpu.cpus: "all" is not a list such as 0-3,7'),
        (["--l3-cache-schema", "x"], "option --l3-cache-schema: Intel RDT is not supported"),
    ]:
        p = cbox("update", *argv, "c")
        assert (p.returncode, p.stderr) == (1, words + "\n")
    p = subprocess.run(cbox.argv("update", "-r", "-", "c"), input="{", capture_output=True, text=True, timeout=10)
    assert p.returncode == 1 and "parse `stdin`: document ends too early" in p.stderr
    cbox.ok("update", "--memory", "-1", "--pids-limit", "-1", "c")  # no limit is always to be had
    cbox.ok("kill", "c", "KILL")
    assert reap(pid, PATIENCE) == -9
    p = cbox("update", "--pids-limit", "5", "c")
    assert (p.returncode, p.stderr) == (1, "cannot update container `c`: it is stopped\n")


def test_missing_controller_is_explained(managed: CgroupBox) -> None:
    managed.limit(unified={"foo.bar": "1"})
    p = managed.run("true")
    assert p.returncode == 1
    words = "linux.resources.unified.foo.bar: the requested cgroup controller `foo` is not available in `"
    assert p.stderr.startswith(words) and p.stderr.endswith(
        "`: this system has no such controller in its cgroup v2 tree (not in the kernel, or used by a v1 tree)\n"
    )
    managed.nothing_left()


def test_parent_with_processes(cbox: CgroupBox) -> None:
    """It cannot hand down controllers but those that work beside processes, in threaded cgroups: only if asked to."""
    controllers("memory", "pids")
    cbox.use("cgroupfs")
    parent = cbox.where
    os.mkdir(f"{TOP}{parent}")
    sleeper = subprocess.Popen(["sleep", "1000"])
    try:
        with open(f"{TOP}{parent}/cgroup.procs", "w") as f:
            f.write(str(sleeper.pid))
        cbox.spec["linux"]["cgroupsPath"] = f"{parent}/below"
        cbox.limit(memory={"limit": 20 * MB})
        p = cbox.run("true")
        assert p.returncode == 1
        assert p.stderr == (
            f"linux.resources.memory.limit: the requested cgroup controller `memory` is not available in `{parent}/below`: "
            f"`{TOP}{parent}` cannot hand it down while it has processes of its own, move them into a cgroup below it\n"
        )
        assert not os.path.exists(f"{TOP}{parent}/below")
        cbox.limit()
        pid = cbox.start("sleep", "100")
        assert cbox.file(pid, "cgroup.type") == "domain"
        cbox.ok("delete", "--force", "c")
        assert reap(pid, PATIENCE) == -9
        cbox.limit(pids={"limit": 20})
        pid = cbox.start("sh", "-c", "sleep 100 & sleep 100")
        assert (cbox.file(pid, "cgroup.type"), cbox.file(pid, "pids.max")) == ("threaded", "20")
        until(lambda: len(json.loads(cbox.ok("ps", "-f", "json", "c"))) == 2, "two processes")
        cbox.ok("pause", "c")
        cbox.ok("resume", "c")
        cbox.ok("kill", "--all", "c", "KILL")
        assert reap(pid, PATIENCE) == -9
        cbox.ok("delete", "c")
    finally:
        sleeper.kill()
        sleeper.wait()
        os.rmdir(f"{TOP}{parent}")


def test_limits_without_a_cgroup(cbox: CgroupBox) -> None:
    """A path that was asked for and cannot be had is an error; nothing asked for is none."""
    need(not ROOT, "root can make any cgroup", optional=True)
    delegated()
    cbox.limit(pids={"limit": 20})
    cbox.spec["linux"]["cgroupsPath"] = "/podlike-not-ours"
    p = cbox.run("true")
    assert p.returncode == 1
    assert p.stderr == (
        "linux.resources.pids.limit needs linux.cgroupsPath: create cgroup `/sys/fs/cgroup/podlike-not-ours`: Permission"
        " denied\n"
    )
    cbox.limit(devices=[{"allow": False, "access": "rwm"}])
    assert cbox.sh("echo fine") == "fine\n"
    assert cbox.ids() == []


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"memory": {"limit": "5"}}, "linux.resources.memory.limit: expected a whole number, found string"),
        ({"cpu": {"idle": 7}}, "linux.resources.cpu.idle: must be between 0 and 1"),
        ({"devices": [{"allow": True, "access": "rz"}]}, 'linux.resources.devices[0].access: "rz" is not made of r, w and m'),
        ({"unified": {"a/b.c": "1"}}, "linux.resources.unified.a/b.c: is not the name of a cgroup file"),
        ({"unified": {"cgroup.kill": "1"}}, "linux.resources.unified.cgroup.kill: is the runtime's own, only limits can be set"),
        ({"rdma": {"x": 5}}, "linux.resources.rdma.x: expected an object, found int"),
        ({"unified": {"memory.max": "9" * 400}}, "linux.resources.unified.memory.max: the value is too long"),
    ],
)
def test_bad_values_leave_nothing(managed: CgroupBox, resources: dict[str, object], words: str) -> None:
    managed.limit(**resources)
    p = managed.run("true")
    assert (p.returncode, p.stderr) == (1, words + "\n")
    managed.nothing_left()


def test_too_many_settings(cbox: CgroupBox) -> None:
    cbox.use("cgroupfs")
    one = {"major": 8, "minor": 0, "rate": 1}
    cbox.limit(blockIO={"throttleReadBpsDevice": [one] * 5000})
    p = cbox.run("true")
    assert (p.returncode, p.stderr) == (
        1,
        "linux.resources.blockIO.throttleReadBpsDevice[4096]: more than 4096 settings\n",
    )
    cbox.nothing_left()


@pytest.mark.parametrize("path", ["a:b", "/a/b", "no-slice:x:y", "a--b.slice:x:y"])
def test_bad_systemd_paths(cbox: CgroupBox, path: str) -> None:
    delegated()
    cbox.manager = "systemd"
    cbox.spec["linux"]["cgroupsPath"] = path
    p = cbox.run("true")
    assert p.returncode == 1 and p.stderr.startswith("linux.cgroupsPath: ")
    assert cbox.ids() == []


def test_no_bus(cbox: CgroupBox) -> None:
    """What to do is said, and nothing is left."""
    need(not ROOT, "root has no user bus", optional=True)
    delegated()
    cbox.manager = "systemd"
    cbox.write("true")
    for setting, words in [
        ([], "neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set"),
        (["XDG_RUNTIME_DIR=/nowhere"], "enable lingering (loginctl enable-linger)"),
    ]:
        argv = ["env", "-u", "DBUS_SESSION_BUS_ADDRESS", "-u", "XDG_RUNTIME_DIR", *setting]
        p = subprocess.run([*argv, *cbox.argv("run", "-b", cbox.bundle, "c")], capture_output=True, text=True, timeout=PATIENCE)
        assert p.returncode == 1
        assert "connect to the user bus for the systemd cgroup manager" in p.stderr or "needs libsystemd" in p.stderr
        assert words in p.stderr or "needs libsystemd" in p.stderr
        assert "--cgroup-manager cgroupfs" in p.stderr and p.stderr.count("\n") == 1
    assert cbox.ids() == []


def test_no_libsystemd(cbox: CgroupBox) -> None:
    delegated()
    cbox.manager = "systemd"
    cbox.write("true")
    with open(f"{cbox.dir}/libsystemd.so.0", "w"):
        pass
    argv = ["env", f"LD_LIBRARY_PATH={cbox.dir}", *cbox.argv("run", "-b", cbox.bundle, "c")]
    p = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
    assert p.returncode == 1 and p.stderr.count("\n") == 1
    assert p.stderr.startswith("the systemd cgroup manager needs libsystemd, which cannot be loaded (")
    assert cbox.ids() == []


@pytest.mark.parametrize("manager", ["cgroupfs", "systemd"])
def test_not_a_cgroup2_tree(cbox: CgroupBox, manager: str) -> None:
    """As on a host with v1 or a hybrid tree: containers run, limits are not set, and that is told."""
    cbox.manager = manager
    cbox.enter = [*cbox.enter, "unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh"]
    p = cbox.run("echo", "fine")
    assert (p.returncode, p.stdout, p.stderr) == (0, "fine\n", "")
    cbox.limit(memory={"limit": MB}, pids={"limit": 5})
    p = cbox.run("echo", "fine")
    assert (p.returncode, p.stdout) == (0, "fine\n")
    assert "linux.resources.memory.limit: no limits are set, as `/sys/fs/cgroup` is not a cgroup v2 tree" in p.stderr


# With all flags that may be locked: a remount that leaves one out is refused in a user namespace.
BIND_READ_ONLY = 'mount -o bind,ro,nosuid,nodev,noexec /sys/fs/cgroup /sys/fs/cgroup && exec "$@"'


def test_user_without_delegation_and_without_path(cbox: CgroupBox) -> None:
    """Runs without limits and says so, as engines rely on; see docs/ARCHITECTURE.md."""
    need(not ROOT, "root can make any cgroup", optional=True)
    need(os.path.exists(f"{TOP}/cgroup.controllers"), "/sys/fs/cgroup is not cgroup v2", optional=True)
    cbox.enter = [*cbox.enter, "unshare", "-m", "sh", "-c", BIND_READ_ONLY, "sh"]
    p = cbox.run("echo", "fine")
    assert (p.returncode, p.stdout, p.stderr) == (0, "fine\n", "")
    cbox.limit(memory={"limit": MB}, pids={"limit": 5})
    p = cbox.run("echo", "fine")
    assert (p.returncode, p.stdout) == (0, "fine\n")
    assert "no cgroup of its own, so no limits, linux.resources.memory.limit and 1 more are not set" in p.stderr


def test_creator_that_was_killed(managed: CgroupBox) -> None:
    """While a hook runs, the cgroup or scope is there and the container's process is not known yet."""
    with open(f"{managed.dir}/hook", "w") as f:
        f.write(f"#!/bin/sh\necho $$ > {managed.dir}/hooking\nmv {managed.dir}/hooking {managed.dir}/hooked\nexec sleep 300\n")
    os.chmod(f"{managed.dir}/hook", 0o755)
    managed.spec["hooks"] = {"createRuntime": [{"path": f"{managed.dir}/hook"}]}
    managed.write("sleep", "100")
    p = subprocess.Popen(
        managed.argv("create", "-b", managed.bundle, "c"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: os.path.exists(f"{managed.dir}/hooked"), "the hook runs")
    managed.spec.pop("hooks")
    p.kill()
    p.wait()
    with open(f"{managed.dir}/hooked") as f:
        hook = int(f.read())
    os.kill(hook, signal.SIGKILL)
    assert reap(hook, PATIENCE) == -9
    managed.ok("delete", "--force", "c")
    managed.nothing_left()


def test_disabled(cbox: CgroupBox) -> None:
    cbox.manager = "disabled"
    pid = cbox.start("sleep", "100")
    assert cgroup_of(pid) == cgroup_of()
    p = cbox("pause", "c")
    assert (p.returncode, p.stderr) == (1, "container `c` has no cgroup of its own\n")
    p = cbox("events", "--stats", "c")
    assert p.returncode == 1 and "has no cgroup of its own" in p.stderr
    cbox.ok("delete", "--force", "c")
    assert reap(pid, PATIENCE) == -9
