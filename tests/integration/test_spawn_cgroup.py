"""podlike-spawn and cgroups: as an ordinary user in a delegated subtree or under systemd --user, and as root.

What needs controllers or a systemd says so with need(..., optional=True): containers that test this often have neither.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator

import pytest

from podlike import paths
from tests.support.box import APPLETS, BUSYBOX, Box, reap
from tests.support.need import need

ROOT = os.geteuid() == 0
TOP = "/sys/fs/cgroup"
MB = 1 << 20
PATIENCE = int(os.environ.get("PODLIKE_TEST_SECONDS", "60")) / 3  # for one state to come true


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not so: {what}"
        time.sleep(0.01)


def cgroup_of(pid: int | str = "self") -> str:
    with open(f"/proc/{pid}/cgroup") as f:
        return next((line.rstrip("\n")[3:] for line in f if line.startswith("0::")), "")


def delegated() -> str:
    """The cgroup below which containers' can be made: the root's, or the one around our own."""
    need(os.path.exists(f"{TOP}/cgroup.controllers"), "optional: /sys/fs/cgroup is not cgroup v2", optional=True)
    parent = "" if ROOT else os.path.dirname(cgroup_of())
    need(
        parent != "/" and os.access(f"{TOP}{parent}", os.W_OK),
        "optional: no cgroup v2 subtree that belongs to this user",
        optional=True,
    )
    return parent


def controllers(*names: str) -> None:
    parent = delegated()
    with open(f"{TOP}{parent}/cgroup.controllers") as f:
        have = f.read().split()
    for name in names:
        need(name in have, f"optional: the controller {name} is not available in {parent or '/'}", optional=True)


def systemctl(*args: str) -> str:
    argv = ["systemctl", *([] if ROOT else ["--user"]), *args]
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


def systemd() -> None:
    try:
        ready = bool(systemctl("show", "-P", "Version"))
    except (OSError, subprocess.CalledProcessError):
        ready = False
    need(ready, "optional: no systemd to make scopes with", optional=True)


def show(scope: str, *properties: str) -> dict[str, str]:
    lines = systemctl("show", scope, *(f"-p{p}" for p in properties)).splitlines()
    return dict(line.split("=", 1) for line in lines)


class CgroupBox(Box):
    """A Box that knows its container's cgroup."""

    manager = "cgroupfs"
    where = ""

    def argv(self, *args: str) -> list[str]:
        return [*self.enter, self.runtime, "--root", self.root, "--cgroup-manager", self.manager, *args]

    def __call__(self, *args: str, pass_fds: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*args),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            pass_fds=pass_fds,
        )

    def use(self, manager: str, name: str = "c") -> None:
        """Put the next container where this manager can make cgroups."""
        if manager == "systemd":
            systemd()
            self.where = f"{'system' if ROOT else 'user'}.slice:podlike-test:{os.getpid()}-{name}"
        else:
            self.where = f"{delegated()}/podlike-test-{os.getpid()}-{name}"
        self.manager = manager
        self.spec["linux"]["cgroupsPath"] = self.where

    @property
    def scope(self) -> str:
        return self.where.split(":", 1)[1].replace(":", "-") + ".scope"

    def limit(self, **resources: object) -> None:
        self.spec["linux"]["resources"] = resources

    def file(self, pid: int, name: str, up: int = 0) -> str:
        with open(f"{TOP}{cgroup_of(pid)}/{'../' * up}{name}") as f:
            return f.read().strip()

    def nothing_left(self) -> None:
        assert self.ids() == []
        if self.where == "":
            return
        if self.manager == "systemd":
            until(lambda: show(self.scope, "LoadState")["LoadState"] == "not-found", "the scope is gone")
        else:
            assert not os.path.exists(f"{TOP}{self.where}")


@pytest.fixture(scope="module")
def namespaces() -> Iterator[list[str]]:
    """Words before a command that give a user namespaces in which it is root; none for root."""
    need(BUSYBOX, "no busybox: install busybox-static")
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    if ROOT:
        yield []
        return
    p = subprocess.Popen(
        ["unshare", "-Urm", "--map-auto", "sh", "-c", "echo ready; exec sleep 100000"], stdout=subprocess.PIPE, text=True
    )
    assert p.stdout is not None
    need(p.stdout.readline() == "ready\n", "unshare -Urm --map-auto fails: no subordinate ids for this user")
    yield ["nsenter", "-t", str(p.pid), "-U", "-m", "--preserve-credentials"]
    p.kill()
    p.wait()
    p.stdout.close()


def fill_rootfs(rootfs: str) -> None:
    for d in ("bin", "proc", "dev", "sys", "tmp", "etc"):
        os.makedirs(f"{rootfs}/{d}")
    assert BUSYBOX is not None
    shutil.copy(BUSYBOX, f"{rootfs}/bin/busybox")
    for a in [*APPLETS, "dd", "usleep"]:
        os.symlink("busybox", f"{rootfs}/bin/{a}")


@pytest.fixture
def box(namespaces: list[str]) -> Iterator[CgroupBox]:
    runtime = paths.libexec("podlike-spawn")
    need(os.access(runtime, os.X_OK), f"{runtime} is missing: build it")
    directory = tempfile.mkdtemp(prefix="podlike-spawn-")
    b = CgroupBox(0, directory, runtime)
    b.enter = namespaces
    fill_rootfs(b.rootfs)
    try:
        yield b
        left = [i for i in b.ids() if b("delete", "--force", i).returncode != 0]
        assert left == []
        b.nothing_left()
    finally:
        b.inside("rm", "-rf", directory)


@pytest.fixture(params=["cgroupfs", "systemd"])
def managed(box: CgroupBox, request: pytest.FixtureRequest) -> CgroupBox:
    box.use(request.param)
    return box


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


def test_a_user_gets_a_cgroup_beside_its_own(box: CgroupBox) -> None:
    need(not ROOT, "optional: root's containers have a cgroup of their own below the root", optional=True)
    parent = delegated()
    pid = box.start("sleep", "100")
    assert cgroup_of(pid) == f"{parent}/c"
    box.ok("delete", "--force", "c")
    assert reap(pid, PATIENCE) == -9
    assert not os.path.exists(f"{TOP}{parent}/c")


def test_root_gets_a_cgroup_below_the_root(box: CgroupBox) -> None:
    need(ROOT, "optional: needs root", optional=True)
    delegated()
    pid = box.start("sleep", "100")
    assert cgroup_of(pid) == "/c"


def test_processes_left_behind_and_nested_cgroups(box: CgroupBox) -> None:
    """Without a pid namespace others live on; what the container made below its cgroup goes with it."""
    box.use("cgroupfs")
    box.spec["linux"]["namespaces"] = [n for n in box.spec["linux"]["namespaces"] if n["type"] != "pid"]
    pid = box.start("sh", "-c", "sleep 1000 & echo $! ; exec sleep 1000")
    until(box.output, "the pid of the other")
    other = int(box.output())
    nested = f"{TOP}{box.where}/a/b"
    os.makedirs(nested)
    with open(f"{nested}/cgroup.procs", "w") as f:
        f.write(str(other))
    box.ok("kill", "c", "KILL")
    assert reap(pid, PATIENCE) == -9
    assert cgroup_of(other) == f"{box.where}/a/b"
    box.ok("delete", "c")
    assert reap(other, PATIENCE) == -9
    box.nothing_left()


def test_exec_where_the_container_has_moved_down(box: CgroupBox) -> None:
    """As systemd does inside of a container: nothing may be in the cgroup above any more."""
    box.use("cgroupfs")
    pid = box.start("sleep", "100")
    os.mkdir(f"{TOP}{box.where}/init")
    with open(f"{TOP}{box.where}/init/cgroup.procs", "w") as f:
        f.write(str(pid))
    with open(f"{TOP}{box.where}/cgroup.controllers") as f:
        names = f.read().split()
    if names:
        with open(f"{TOP}{box.where}/cgroup.subtree_control", "w") as f:
            f.write(f"+{names[0]}")
    second = subprocess.Popen(box.argv("exec", "c", "sleep", "77"), stderr=subprocess.PIPE)
    try:
        until(lambda: len(json.loads(box.ok("ps", "-f", "json", "c"))) == 2, "two processes")
        places = {cgroup_of(p) for p in json.loads(box.ok("ps", "-f", "json", "c"))}
        assert places == ({f"{box.where}/init"} if names else {f"{box.where}/init", box.where})
    finally:
        box("kill", "--all", "c", "KILL")
        assert second.communicate(timeout=PATIENCE)[1] == b""
    assert second.returncode == 137


def test_threaded_parent(box: CgroupBox) -> None:
    box.use("cgroupfs")
    parent = box.where
    os.makedirs(f"{TOP}{parent}/first")
    try:
        with open(f"{TOP}{parent}/first/cgroup.type", "w") as f:
            f.write("threaded")
        box.spec["linux"]["cgroupsPath"] = f"{parent}/second"
        pid = box.start("sleep", "100")
        assert cgroup_of(pid) == f"{parent}/second"
        with open(f"{TOP}{parent}/second/cgroup.type") as f:
            assert f.read() == "threaded\n"
        box.ok("delete", "--force", "c")
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
def test_delegated_cgroup_outside(box: CgroupBox, bad: str) -> None:
    box.use("cgroupfs")
    box.spec["annotations"] = {"run.oci.delegate-cgroup": bad}
    p = box.run("true")
    assert (p.returncode, p.stderr) == (
        1,
        f'annotations.run.oci.delegate-cgroup: "{bad}": `..` is not allowed\n',
    )
    box.nothing_left()


def test_systemd_subgroup(box: CgroupBox) -> None:
    box.use("systemd")
    box.spec["annotations"] = {"run.oci.systemd.subgroup": "payload"}
    pid = box.start("sleep", "100")
    assert cgroup_of(pid).endswith(f"/{box.scope}/payload")
    box.ok("delete", "--force", "c")
    assert reap(pid, PATIENCE) == -9
    box.spec["annotations"] = {"run.oci.systemd.subgroup": ""}
    pid = box.start("sleep", "100")
    assert cgroup_of(pid).endswith(f"/{box.scope}")


def test_nested_slice_and_default_scope(box: CgroupBox) -> None:
    box.use("systemd")
    box.where = f"podlike-testing.slice:podlike-test:{os.getpid()}"
    box.spec["linux"]["cgroupsPath"] = box.where
    pid = box.start("sleep", "100")
    assert f"/podlike.slice/podlike-testing.slice/{box.scope}/" in cgroup_of(pid)
    box.ok("delete", "--force", "c")
    assert reap(pid, PATIENCE) == -9
    box.nothing_left()
    del box.spec["linux"]["cgroupsPath"]
    pid = box.start("sleep", "100")
    assert cgroup_of(pid).endswith("/podlike-c.scope/container")


def test_user_namespace_owns_its_cgroup(managed: CgroupBox) -> None:
    need(ROOT, "optional: needs root", optional=True)
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


def test_update_words(box: CgroupBox) -> None:
    box.use("cgroupfs")
    pid = box.start("sleep", "100")
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
        p = box("update", *argv, "c")
        assert (p.returncode, p.stderr) == (1, words + "\n")
    p = subprocess.run(box.argv("update", "-r", "-", "c"), input="{", capture_output=True, text=True, timeout=10)
    assert p.returncode == 1 and "parse `stdin`: document ends too early" in p.stderr
    box.ok("update", "--memory", "-1", "--pids-limit", "-1", "c")  # no limit is always to be had
    box.ok("kill", "c", "KILL")
    assert reap(pid, PATIENCE) == -9
    p = box("update", "--pids-limit", "5", "c")
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


def test_parent_with_processes(box: CgroupBox) -> None:
    """It cannot hand down controllers but those that work beside processes, in threaded cgroups: only if asked to."""
    controllers("memory", "pids")
    box.use("cgroupfs")
    parent = box.where
    os.mkdir(f"{TOP}{parent}")
    sleeper = subprocess.Popen(["sleep", "1000"])
    try:
        with open(f"{TOP}{parent}/cgroup.procs", "w") as f:
            f.write(str(sleeper.pid))
        box.spec["linux"]["cgroupsPath"] = f"{parent}/below"
        box.limit(memory={"limit": 20 * MB})
        p = box.run("true")
        assert p.returncode == 1
        assert p.stderr == (
            f"linux.resources.memory.limit: the requested cgroup controller `memory` is not available in `{parent}/below`: "
            f"`{TOP}{parent}` cannot hand it down while it has processes of its own, move them into a cgroup below it\n"
        )
        assert not os.path.exists(f"{TOP}{parent}/below")
        box.limit()
        pid = box.start("sleep", "100")
        assert box.file(pid, "cgroup.type") == "domain"
        box.ok("delete", "--force", "c")
        assert reap(pid, PATIENCE) == -9
        box.limit(pids={"limit": 20})
        pid = box.start("sh", "-c", "sleep 100 & sleep 100")
        assert (box.file(pid, "cgroup.type"), box.file(pid, "pids.max")) == ("threaded", "20")
        until(lambda: len(json.loads(box.ok("ps", "-f", "json", "c"))) == 2, "two processes")
        box.ok("pause", "c")
        box.ok("resume", "c")
        box.ok("kill", "--all", "c", "KILL")
        assert reap(pid, PATIENCE) == -9
        box.ok("delete", "c")
    finally:
        sleeper.kill()
        sleeper.wait()
        os.rmdir(f"{TOP}{parent}")


def test_limits_without_a_cgroup(box: CgroupBox) -> None:
    """A path that was asked for and cannot be had is an error; nothing asked for is none."""
    need(not ROOT, "optional: root can make any cgroup", optional=True)
    delegated()
    box.limit(pids={"limit": 20})
    box.spec["linux"]["cgroupsPath"] = "/podlike-not-ours"
    p = box.run("true")
    assert p.returncode == 1
    assert p.stderr == (
        "linux.resources.pids.limit needs linux.cgroupsPath: create cgroup `/sys/fs/cgroup/podlike-not-ours`: Permission"
        " denied\n"
    )
    box.limit(devices=[{"allow": False, "access": "rwm"}])
    assert box.sh("echo fine") == "fine\n"
    assert box.ids() == []


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


def test_too_many_settings(box: CgroupBox) -> None:
    box.use("cgroupfs")
    one = {"major": 8, "minor": 0, "rate": 1}
    box.limit(blockIO={"throttleReadBpsDevice": [one] * 5000})
    p = box.run("true")
    assert (p.returncode, p.stderr) == (
        1,
        "linux.resources.blockIO.throttleReadBpsDevice[4096]: more than 4096 settings\n",
    )
    box.nothing_left()


@pytest.mark.parametrize("path", ["a:b", "/a/b", "no-slice:x:y", "a--b.slice:x:y"])
def test_bad_systemd_paths(box: CgroupBox, path: str) -> None:
    delegated()
    box.manager = "systemd"
    box.spec["linux"]["cgroupsPath"] = path
    p = box.run("true")
    assert p.returncode == 1 and p.stderr.startswith("linux.cgroupsPath: ")
    assert box.ids() == []


def test_no_bus(box: CgroupBox) -> None:
    """What to do is said, and nothing is left."""
    need(not ROOT, "optional: root has no user bus", optional=True)
    delegated()
    box.manager = "systemd"
    box.write("true")
    for setting, words in [
        ([], "neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set"),
        (["XDG_RUNTIME_DIR=/nowhere"], "enable lingering (loginctl enable-linger)"),
    ]:
        argv = ["env", "-u", "DBUS_SESSION_BUS_ADDRESS", "-u", "XDG_RUNTIME_DIR", *setting]
        p = subprocess.run([*argv, *box.argv("run", "-b", box.bundle, "c")], capture_output=True, text=True, timeout=PATIENCE)
        assert p.returncode == 1
        assert "connect to the user bus for the systemd cgroup manager" in p.stderr or "needs libsystemd" in p.stderr
        assert words in p.stderr or "needs libsystemd" in p.stderr
        assert "--cgroup-manager cgroupfs" in p.stderr and p.stderr.count("\n") == 1
    assert box.ids() == []


def test_no_libsystemd(box: CgroupBox) -> None:
    delegated()
    box.manager = "systemd"
    box.write("true")
    with open(f"{box.dir}/libsystemd.so.0", "w"):
        pass
    argv = ["env", f"LD_LIBRARY_PATH={box.dir}", *box.argv("run", "-b", box.bundle, "c")]
    p = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
    assert p.returncode == 1 and p.stderr.count("\n") == 1
    assert p.stderr.startswith("the systemd cgroup manager needs libsystemd, which cannot be loaded (")
    assert box.ids() == []


@pytest.mark.parametrize("manager", ["cgroupfs", "systemd"])
def test_not_a_cgroup2_tree(box: CgroupBox, manager: str) -> None:
    """As on a host with v1 or a hybrid tree: containers run, limits are not set, and that is told."""
    box.manager = manager
    box.enter = [*box.enter, "unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh"]
    p = box.run("echo", "fine")
    assert (p.returncode, p.stdout, p.stderr) == (0, "fine\n", "")
    box.limit(memory={"limit": MB}, pids={"limit": 5})
    p = box.run("echo", "fine")
    assert (p.returncode, p.stdout) == (0, "fine\n")
    assert "linux.resources.memory.limit: no limits are set, as `/sys/fs/cgroup` is not a cgroup v2 tree" in p.stderr


def test_user_without_delegation_and_without_path(box: CgroupBox) -> None:
    """Runs without limits and says so, as engines rely on; see docs/ARCHITECTURE.md."""
    need(not ROOT, "optional: root can make any cgroup", optional=True)
    need(os.path.exists(f"{TOP}/cgroup.controllers"), "optional: /sys/fs/cgroup is not cgroup v2", optional=True)
    box.enter = [*box.enter, "unshare", "-m", "sh", "-c", 'mount -o bind,ro /sys/fs/cgroup /sys/fs/cgroup && exec "$@"', "sh"]
    p = box.run("echo", "fine")
    assert (p.returncode, p.stdout, p.stderr) == (0, "fine\n", "")
    box.limit(memory={"limit": MB}, pids={"limit": 5})
    p = box.run("echo", "fine")
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


def test_disabled(box: CgroupBox) -> None:
    box.manager = "disabled"
    pid = box.start("sleep", "100")
    assert cgroup_of(pid) == cgroup_of()
    p = box("pause", "c")
    assert (p.returncode, p.stderr) == (1, "container `c` has no cgroup of its own\n")
    p = box("events", "--stats", "c")
    assert p.returncode == 1 and "has no cgroup of its own" in p.stderr
    box.ok("delete", "--force", "c")
    assert reap(pid, PATIENCE) == -9


# --- limits ---------------------------------------------------------------------------------------------------------


def test_limits_are_in_the_files(managed: CgroupBox) -> None:
    controllers("memory", "cpu", "pids")
    managed.limit(
        memory={"limit": 64 * MB, "swap": 96 * MB, "reservation": 16 * MB},
        cpu={"shares": 512, "quota": 50000, "period": 200000, "burst": 1000},
        pids={"limit": 30},
        unified={"memory.high": str(48 * MB), "memory.oom.group": "1"},
    )
    pid = managed.start("sleep", "100")
    want = {
        "memory.max": str(64 * MB),
        "memory.swap.max": str(32 * MB),
        "memory.low": str(16 * MB),
        "memory.high": str(48 * MB),
        "memory.oom.group": "1",
        "cpu.weight": "59",
        "cpu.max": "50000 200000",
        "cpu.max.burst": "1000",
        "pids.max": "30",
    }
    assert {name: managed.file(pid, name) for name in want} == want
    # Only one of quota and period: the other stays.
    managed.ok("update", "--cpu-quota", "60000", "c")
    assert managed.file(pid, "cpu.max") == "60000 200000"
    managed.ok("update", "--cpu-period", "100000", "c")
    assert managed.file(pid, "cpu.max") == "60000 100000"
    # Quota and burst hold each other: from either side to the other.
    managed.ok("update", "--cpu-quota", "2000", "--cpu-burst", "500", "c")
    assert (managed.file(pid, "cpu.max"), managed.file(pid, "cpu.max.burst")) == ("2000 100000", "500")
    managed.ok("update", "--cpu-quota", "90000", "--cpu-burst", "80000", "c")
    assert (managed.file(pid, "cpu.max"), managed.file(pid, "cpu.max.burst")) == ("90000 100000", "80000")
    managed.ok("update", "--cpu-quota", "-1", "--cpu-burst", "0", "--cpu-share", "1024", "c")
    assert (managed.file(pid, "cpu.max"), managed.file(pid, "cpu.weight")) == ("max 100000", "100")
    managed.ok("update", "--memory", "128m", "--memory-swap", "-1", "--memory-reservation", "8m", "--pids-limit", "-1", "c")
    assert [managed.file(pid, f"memory.{n}") for n in ("max", "swap.max", "low")] == [str(128 * MB), "max", str(8 * MB)]
    assert managed.file(pid, "pids.max") == "max"
    managed.ok("update", "--cpu-idle", "1", "c")
    assert managed.file(pid, "cpu.idle") == "1"
    p = subprocess.run(
        managed.argv("update", "--resources", "-", "--pids-limit", "9", "c"),
        input=json.dumps({"pids": {"limit": 8}, "memory": {"limit": 100 * MB}}),
        text=True,
        timeout=PATIENCE,
    )
    assert p.returncode == 0
    assert (managed.file(pid, "pids.max"), managed.file(pid, "memory.max")) == ("9", str(100 * MB))


def test_memory_in_use_is_checked(box: CgroupBox) -> None:
    controllers("memory")
    box.use("cgroupfs")
    pid = box.start("sh", "-c", "dd if=/dev/zero of=/dev/shm-x bs=1M count=8; echo written; exec sleep 100")
    until(lambda: "written" in box.output(), "memory is used")
    current = int(box.file(pid, "memory.current"))
    doc = json.dumps({"memory": {"limit": current // 2, "checkBeforeUpdate": True}})
    p = subprocess.run(box.argv("update", "-r", "-", "c"), input=doc, capture_output=True, text=True, timeout=PATIENCE)
    assert p.returncode == 1 and p.stderr.startswith("linux.resources.memory.limit: ") and "checkBeforeUpdate" in p.stderr
    assert box.file(pid, "memory.max") == "max"


def test_cpuset(managed: CgroupBox) -> None:
    controllers("cpuset")
    managed.limit(cpu={"cpus": "1", "mems": "0"})
    assert "Cpus_allowed_list:\t1\n" in managed.sh("cat /proc/self/status")
    pid = managed.start("sleep", "100")
    managed.ok("update", "--cpuset-cpus", "0", "c")
    assert managed.file(pid, "cpuset.cpus") == "0"
    assert os.sched_getaffinity(pid) == {0}


def disk() -> dict[str, int]:
    with open("/proc/partitions") as f:
        found = [line.split() for line in f.read().splitlines()[2:]]
    found = [words for words in found if not words[3].startswith(("ram", "loop"))]
    need(found, "optional: no disk", optional=True)
    return {"major": int(found[0][0]), "minor": int(found[0][1])}


def test_io(managed: CgroupBox) -> None:
    controllers("io")
    device = disk()
    number = f"{device['major']}:{device['minor']}"
    managed.limit(
        blockIO={
            "weight": 500,
            "throttleReadBpsDevice": [{**device, "rate": 1 << 20}],
            "throttleWriteIOPSDevice": [{**device, "rate": 100}],
        }
    )
    pid = managed.start("sleep", "100")
    assert managed.file(pid, "io.max") == f"{number} rbps=1048576 wbps=max riops=max wiops=100"
    if os.path.exists(f"{TOP}{cgroup_of(pid)}/io.bfq.weight"):
        assert managed.file(pid, "io.bfq.weight").splitlines()[0] == "default 500"
    else:
        assert managed.file(pid, "io.weight").splitlines()[0] == "default 4950"
    p = subprocess.run(
        managed.argv("update", "-r", "-", "c"),
        input=json.dumps({"blockIO": {"throttleReadBpsDevice": [{"major": 99, "minor": 99, "rate": 1}]}}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert p.returncode == 1 and "linux.resources.blockIO.throttleReadBpsDevice[0]: no such block device" in p.stderr


def test_hugepages(box: CgroupBox) -> None:
    controllers("hugetlb")
    box.use("cgroupfs")
    box.limit(hugepageLimits=[{"pageSize": "2MB", "limit": 4 * MB}])
    pid = box.start("sleep", "100")
    assert box.file(pid, "hugetlb.2MB.max") == str(4 * MB)


def test_rdma(box: CgroupBox) -> None:
    controllers("rdma")
    box.use("cgroupfs")
    box.start("sleep", "100")
    p = subprocess.run(
        box.argv("update", "-r", "-", "c"),
        input='{"rdma":{"nodevice":{"hcaHandles":2}}}',
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert p.returncode == 1 and p.stderr.startswith("linux.resources.rdma.nodevice: write `nodevice hca_handle=2` to ")


def test_out_of_memory(managed: CgroupBox) -> None:
    controllers("memory")
    managed.limit(memory={"limit": 16 * MB, "swap": 16 * MB})
    pid = managed.create("sh", "-c", "dd if=/dev/zero of=/dev/null bs=64M count=1; echo code $?; exec sleep 100")
    with open(f"{managed.dir}/events", "w+") as out:
        events = subprocess.Popen(managed.argv("events", "--interval", "200ms", "c"), stdout=out)
        managed.ok("start", "c")
        until(lambda: "code 137" in managed.output(), "dd was killed")

        def seen() -> list[dict[str, object]]:
            with open(f"{managed.dir}/events") as f:
                return [json.loads(line) for line in f.read().splitlines()]

        until(lambda: {"type": "oom", "id": "c"} in seen(), "the event")
        until(lambda: any(e["type"] == "stats" for e in seen()), "statistics")
        managed.ok("kill", "c", "KILL")
        assert reap(pid, PATIENCE) == -9
        assert events.wait(PATIENCE) == 0


def test_number_of_processes(managed: CgroupBox) -> None:
    controllers("pids")
    managed.limit(pids={"limit": 4})
    p = managed.run("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all")
    assert "can't fork" in p.stderr and "all" not in p.stdout


def test_statistics(managed: CgroupBox) -> None:
    managed.start("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; exec sleep 100")
    until(lambda: "done" in managed.output(), "work is done")
    line = json.loads(managed.ok("events", "--stats", "c"))
    assert (line["type"], line["id"]) == ("stats", "c")
    data = line["data"]
    usage = data["cpu"]["usage"]
    assert usage["total"] >= usage["user"] > 0 and set(data["cpu"]["throttling"]) == {
        "periods",
        "throttledPeriods",
        "throttledTime",
    }
    with open(f"{TOP}{delegated()}/cgroup.controllers") as f:
        have = f.read().split()
    if "memory" in have:
        memory = data["memory"]
        assert memory["usage"]["usage"] > 0 and memory["usage"]["limit"] == (1 << 64) - 1
        assert memory["raw"]["anon"] > 0 and memory["swap"]["usage"] >= memory["usage"]["usage"]
    if "pids" in have:
        assert data["pids"] == {"current": 1, "limit": 0}
    if "io" in have:
        assert isinstance(data["blkio"]["ioServiceBytesRecursive"], list)


@pytest.mark.parametrize("bad", ["x", "0s", "-1s", "5y", "", "1s2"])
def test_intervals(box: CgroupBox, bad: str) -> None:
    p = box("events", "--interval", bad, "c")
    assert (p.returncode, p.stderr) == (1, f"option --interval needs a duration such as 5s, not `{bad}`\n")


# --- devices --------------------------------------------------------------------------------------------------------


def bpf_works() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(321, 5, 0, 0) < 0 and ctypes.get_errno() != 1)  # BPF_PROG_LOAD of nothing: EPERM or not


def usable_device() -> dict[str, int]:
    """A block device that we may open: whether a container may is then its rules' doing."""
    for path in ("/dev/loop0", "/dev/vda", "/dev/sda", "/dev/nvme0n1"):
        try:
            os.close(os.open(path, os.O_RDONLY))
        except OSError:
            continue
        number = os.stat(path).st_rdev
        return {"major": os.major(number), "minor": os.minor(number)}
    need(False, "optional: no block device that can be opened", optional=True)
    raise AssertionError


def test_devices(managed: CgroupBox) -> None:
    need(ROOT, "optional: only root can load device programs", optional=True)
    need(bpf_works(), "optional: bpf(2) is forbidden here", optional=True)
    rules: list[dict[str, object]] = [{"allow": False, "access": "rwm"}]
    managed.limit(devices=rules)
    numbers = usable_device()
    managed.spec["linux"]["devices"] = [{"path": "/dev/d", "type": "b", **numbers, "fileMode": 0o600}]
    read = "(exec 3</dev/d) 2>&1 && echo read; (exec 3>>/dev/d) 2>&1 && echo write; echo >/dev/null && echo null"
    denied = managed.sh(read)
    assert denied.count("Operation not permitted") == 2 and denied.endswith("null\n")
    allow: dict[str, object] = {"allow": True, "type": "b", **numbers}
    managed.limit(devices=[*rules, {**allow, "access": "r"}])
    managed.start("sleep", "100")
    half = managed("exec", "c", "sh", "-c", read).stdout
    assert "read\n" in half and "write" not in half and half.count("Operation not permitted") == 1

    def update(*more: dict[str, object]) -> str:
        doc = json.dumps({"devices": [*rules, *more]})
        p = subprocess.run(managed.argv("update", "-r", "-", "c"), input=doc, capture_output=True, text=True, timeout=PATIENCE)
        assert (p.returncode, p.stderr) == (0, "")
        return managed("exec", "c", "sh", "-c", read).stdout

    assert update({**allow, "access": "rw"}) == "read\nwrite\nnull\n"
    assert update().count("Operation not permitted") == 2
    assert update({**allow, "access": "w"}).count("Operation not permitted") == 1


# --- systemd --------------------------------------------------------------------------------------------------------

PROPERTIES = ("MemoryMax", "MemoryLow", "MemoryHigh", "TasksMax", "CPUWeight", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec")


def test_systemd_knows_the_limits(box: CgroupBox) -> None:
    """So that reloading it does not undo them."""
    controllers("memory", "cpu", "pids")
    box.use("systemd")
    box.limit(
        memory={"limit": 64 * MB, "reservation": 16 * MB},
        cpu={"shares": 512, "quota": 50000, "period": 200000},
        pids={"limit": 30},
        unified={"memory.high": str(48 * MB)},
    )
    pid = box.start("sleep", "100")
    want = dict(
        zip(PROPERTIES, [str(64 * MB), str(16 * MB), str(48 * MB), "30", "59", "250ms", "200ms"], strict=True)
    )
    assert show(box.scope, *PROPERTIES) == want

    def files() -> list[str]:
        names = ("memory.max", "memory.low", "memory.high", "pids.max", "cpu.weight", "cpu.max")
        return [box.file(pid, name, up) for name in names for up in (0, 1)]

    before = files()
    assert before[0] == before[1] == str(64 * MB) and before[-1] == before[-2] == "50000 200000"
    systemctl("daemon-reload")
    assert files() == before and show(box.scope, *PROPERTIES) == want
    box.ok("update", "--memory", "32m", "--cpu-quota", "100000", "--pids-limit", "40", "--cpu-share", "1024", "c")
    want.update(MemoryMax=str(32 * MB), TasksMax="40", CPUWeight="100", CPUQuotaPerSecUSec="500ms")
    assert show(box.scope, *PROPERTIES) == want
    before = files()
    assert before[0] == before[1] == str(32 * MB) and before[-1] == before[-2] == "100000 200000"
    systemctl("daemon-reload")
    assert files() == before


def test_systemd_knows_processors_and_disks(box: CgroupBox) -> None:
    controllers("cpuset", "io")
    box.use("systemd")
    box.limit(cpu={"cpus": "1"}, blockIO={"weight": 500})
    pid = box.start("sleep", "100")
    assert show(box.scope, "AllowedCPUs", "IOWeight") == {"AllowedCPUs": "1", "IOWeight": "4500"}
    assert box.file(pid, "cpuset.cpus", 1) == "1"
    box.ok("update", "--cpuset-cpus", "0-1", "c")
    assert show(box.scope, "AllowedCPUs") == {"AllowedCPUs": "0-1"}
    box.ok("update", "--cpu-idle", "1", "c")
    assert show(box.scope, "CPUWeight") == {"CPUWeight": "idle"}


def test_systemd_properties_by_annotation(box: CgroupBox) -> None:
    box.use("systemd")
    prefix = "org.systemd.property."
    box.spec["annotations"] = {
        f"{prefix}Description": "'some words'",
        f"{prefix}TimeoutStopUSec": "uint64 7000000",
        f"{prefix}RuntimeMaxSec": "uint64 900",
        f"{prefix}KillSignal": "int32 10",
        f"{prefix}SendSIGHUP": "true",
        f"{prefix}Documentation": "['man:a(1)', \"man:b(1)\"]",
    }
    box.start("sleep", "100")
    names = ("Description", "TimeoutStopUSec", "RuntimeMaxUSec", "KillSignal", "SendSIGHUP", "Documentation")
    got = {name: text.replace('"', "") for name, text in show(box.scope, *names).items()}
    assert got == dict(zip(names, ["some words", "7s", "15min", "10", "yes", "man:a(1) man:b(1)"], strict=True))


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "true"), ("Description", "words"), ("Description", "'open"), ("KillSignal", "int32 99999999999"),
     ("TimeoutStopSec", "uint64 18446744073709551615"), ("Documentation", "['a'"), ("desc-ription", "true")],
)
def test_bad_systemd_annotations(box: CgroupBox, name: str, value: str) -> None:
    box.use("systemd")
    box.spec["annotations"] = {f"org.systemd.property.{name}": value}
    p = box.run("true")
    assert p.returncode == 1 and p.stderr.startswith(f'annotations.org.systemd.property.{name}: "{value}" is not a property')
    box.nothing_left()


def test_systemd_refuses(box: CgroupBox) -> None:
    box.use("systemd")
    box.spec["annotations"] = {"org.systemd.property.NoSuchThing": "true"}
    p = box.run("true")
    assert p.returncode == 1
    assert p.stderr.startswith(f"systemd: start unit `{box.scope}`: ") and "NoSuchThing" in p.stderr
    box.nothing_left()


def test_systemd_scope_of_that_name_lives(box: CgroupBox) -> None:
    """Somebody else's scope is not touched."""
    box.use("systemd")
    argv = ["systemd-run", *([] if ROOT else ["--user"]), "--scope", f"--unit={box.scope}", "sleep", "1000"]
    other = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    try:
        until(lambda: show(box.scope, "ActiveState")["ActiveState"] == "active", "the other scope runs")
        p = box.run("true")
        assert p.returncode == 1 and p.stderr.startswith(f"systemd: start unit `{box.scope}`: ")
        assert box.ids() == [] and show(box.scope, "ActiveState")["ActiveState"] == "active"
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_systemd_scope_that_was_stopped_from_outside(box: CgroupBox) -> None:
    box.use("systemd")
    pid = box.start("sleep", "1000")
    systemctl("kill", "-s", "KILL", box.scope)
    assert reap(pid, PATIENCE) == -9
    until(lambda: show(box.scope, "LoadState")["LoadState"] == "not-found", "systemd has dropped it")
    assert box.state()["status"] == "stopped"
    box.ok("delete", "c")


# --- podman ---------------------------------------------------------------------------------------------------------


def test_podman_with_limits(namespaces: list[str]) -> None:
    podman = shutil.which("podman")
    need(podman, "optional: no podman", optional=True)
    assert podman is not None
    systemd()
    controllers("memory", "cpu", "pids")
    runtime = paths.libexec("podlike-spawn")
    directory = tempfile.mkdtemp(prefix="podlike-spawn-")
    name = f"podlike-test-{os.getpid()}"

    def call(*args: str) -> str:
        p = subprocess.run([podman, "--runtime", runtime, *args], capture_output=True, text=True, timeout=300)
        assert p.returncode == 0, (args, p.stderr)
        return p.stdout.strip()

    try:
        fill_rootfs(f"{directory}/rootfs")
        with tarfile.open(f"{directory}/image.tar", "w") as tar:
            tar.add(f"{directory}/rootfs", arcname=".")
        call("import", f"{directory}/image.tar", name)
        call("run", "-d", "--name", name, "--network", "none", "--memory", "32m", "--pids-limit", "20", "--cpus", "0.5", name,
             "sleep", "1000")
        read = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max"
        assert call("exec", name, "sh", "-c", read).split() == [str(32 * MB), "20", "50000", "100000"]
        call("update", "--memory", "48m", "--cpus", "0.25", name)
        assert call("exec", name, "sh", "-c", read).split() == [str(48 * MB), "20", "25000", "100000"]
        stats = json.loads(call("stats", "--no-stream", "--format", "json", name))[0]
        assert stats["name"] == name and stats["pids"] == "1" and "50.33MB" in stats["mem_usage"]
        call("pause", name)
        assert call("inspect", "-f", "{{.State.Status}}", name) == "paused"
        call("unpause", name)
        assert call("inspect", "-f", "{{.State.Status}} {{.OCIRuntime}}", name) == f"running {runtime}"
        scope = f"libpod-{call('inspect', '-f', '{{.Id}}', name)}.scope"
        assert show(scope, "MemoryMax", "TasksMax") == {"MemoryMax": str(48 * MB), "TasksMax": "20"}
        call("stop", "-t", "0", name)
        until(lambda: show(scope, "LoadState")["LoadState"] == "not-found", "the scope is gone")
    finally:
        subprocess.run([podman, "--runtime", runtime, "rm", "-f", "-t", "0", name], capture_output=True)
        subprocess.run([podman, "rmi", "-f", name], capture_output=True)
        shutil.rmtree(directory)
