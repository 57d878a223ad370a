"""Fields of config.json besides mounts: does the container get what it says? As a user, and as root in the root step."""

import array
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from typing import Any

import pytest

from tests.support.box import Box, reap
from tests.support.need import need


def without(box: Box, *types: str) -> None:
    box.spec["linux"]["namespaces"] = [n for n in box.spec["linux"]["namespaces"] if n["type"] not in types]


def user_namespace(box: Box, *ranges: tuple[int, int, int]) -> None:
    maps = [{"containerID": i, "hostID": o, "size": n} for i, o, n in ranges]
    box.spec["linux"]["namespaces"].append({"type": "user"})
    box.spec["linux"].update(uidMappings=maps, gidMappings=maps)
    first = ranges[0][1]
    assert box.inside("chown", "-R", f"{first}:{first}", box.rootfs).returncode == 0
    for path in (box.dir, box.bundle):
        os.chmod(path, 0o711)


NS = {
    "pid": "pid",
    "network": "net",
    "ipc": "ipc",
    "uts": "uts",
    "mount": "mnt",
    "cgroup": "cgroup",
    "time": "time",
    "user": "user",
}
ALL = f"for n in {' '.join(NS.values())}; do readlink /proc/self/ns/$n; done"


def own_namespaces(box: Box) -> list[str]:
    return box.inside("sh", "-c", ALL).stdout.split()


# --- namespaces ---------------------------------------------------------------------------------------------------------


def test_every_namespace_is_new(any_box: Box) -> None:
    any_box.spec["linux"]["namespaces"].append({"type": "time"})
    user_namespace(any_box, (0, 100, 50))
    assert set(any_box.sh(ALL).split()) & set(own_namespaces(any_box)) == set()


def test_a_namespace_that_is_not_listed_is_the_runtimes(any_box: Box) -> None:
    without(any_box, "pid", "network", "ipc", "uts", "cgroup")
    del any_box.spec["hostname"]
    inside = dict(zip(NS, any_box.sh(ALL).split(), strict=True))
    host = dict(zip(NS, own_namespaces(any_box), strict=True))
    assert {t for t in NS if inside[t] == host[t]} == set(NS) - {"mount"}


@pytest.mark.parametrize("user", [False, True])
def test_joining_every_namespace(any_box: Box, user: bool) -> None:
    """In the order that works: some belong to the user namespace that is joined, some to the caller's."""
    any_box.spec["linux"]["namespaces"].append({"type": "time"})
    if user:
        user_namespace(any_box, (0, 100, 50))
    pid = any_box.start("sleep", "100", name="first")
    kinds = set(NS) - {"mount"} - ({"user"} if not user else set())
    for n in any_box.spec["linux"]["namespaces"]:
        if n["type"] in kinds:
            n["path"] = f"/proc/{pid}/ns/{NS[n['type']]}"
    inside = dict(zip(NS, any_box.sh(ALL).split(), strict=True))
    first = dict(zip(NS, any_box("exec", "first", "sh", "-c", ALL).stdout.split(), strict=True))
    assert {t for t in NS if inside[t] == first[t]} >= kinds
    assert inside["mount"] != first["mount"]


def test_joining_namespaces_of_two_user_namespaces(any_box: Box) -> None:
    """A network namespace of the caller's user namespace, with a user namespace of its own."""
    pid = any_box.start("sleep", "100", name="net")
    for n in any_box.spec["linux"]["namespaces"]:
        if n["type"] == "network":
            n["path"] = f"/proc/{pid}/ns/net"
    user_namespace(any_box, (0, 100, 50))
    net = any_box("exec", "net", "readlink", "/proc/self/ns/net").stdout
    assert any_box.sh("readlink /proc/self/ns/net; cat /proc/self/uid_map").split() == [net.strip(), "0", "100", "50"]


def test_joined_mount_namespace(any_box: Box) -> None:
    with subprocess.Popen([*any_box.enter, "unshare", "-m", "sh", "-c", "echo up; exec sleep 100"], stdout=subprocess.PIPE) as p:
        try:
            assert p.stdout is not None and p.stdout.readline() == b"up\n"
            for n in any_box.spec["linux"]["namespaces"]:
                if n["type"] == "mount":
                    n["path"] = f"/proc/{p.pid}/ns/mnt"
            wanted = any_box.inside("readlink", f"/proc/{p.pid}/ns/mnt").stdout
            assert any_box.sh("readlink /proc/self/ns/mnt; ls /bin/busybox") == wanted + "/bin/busybox\n"
        finally:
            p.kill()


def test_time_offsets(any_box: Box) -> None:
    any_box.spec["linux"]["namespaces"].append({"type": "time"})
    any_box.spec["linux"]["timeOffsets"] = {"boottime": {"secs": 1000000, "nanosecs": 5}, "monotonic": {"secs": 7}}
    out = any_box.sh("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime").split()
    assert out[:6] == ["monotonic", "7", "0", "boottime", "1000000", "5"] and int(out[6]) >= 1000000


def test_sysctl_of_a_namespace_that_is_the_hosts(any_box: Box) -> None:
    for n in any_box.spec["linux"]["namespaces"]:
        if n["type"] == "network":
            n["path"] = "/proc/self/ns/net"
    any_box.spec["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    p = any_box.run("true")
    assert p.returncode == 1
    assert p.stderr == "linux.sysctl.net.ipv4.ip_forward: the network namespace `/proc/self/ns/net` is the host's\n"


def test_sysctls(any_box: Box) -> None:
    # Message queues and semaphores can only be set by who owns the IPC namespace: both cases.
    any_box.spec["linux"]["sysctl"] = {"net.ipv4.ping_group_range": "0 0", "kernel.msgmax": "12345", "kernel.sem": "1 2 3 4"}
    out = any_box.sh("cat /proc/sys/net/ipv4/ping_group_range /proc/sys/kernel/msgmax /proc/sys/kernel/sem")
    assert out.split() == ["0", "0", "12345", "1", "2", "3", "4"]


def test_names(any_box: Box) -> None:
    any_box.spec.update(hostname="h" * 64, domainname="d.example")
    assert any_box.sh("hostname; cat /proc/sys/kernel/domainname").split() == ["h" * 64, "d.example"]
    any_box.spec["linux"]["sysctl"] = {"kernel.domainname": "other"}
    p = any_box.run("true")
    assert p.stderr == 'linux.sysctl.kernel.domainname: contradicts domainname, which is "d.example"\n'


def test_several_ranges_of_ids(any_box: Box) -> None:
    user_namespace(any_box, (0, 100, 10), (10, 200, 20), (1000, 300, 1))
    out = any_box.sh("cat /proc/self/uid_map").split()
    assert out == ["0", "100", "10", "10", "200", "20", "1000", "300", "1"]


def test_an_id_that_is_not_mapped(any_box: Box) -> None:
    user_namespace(any_box, (0, 100, 10))
    any_box.spec["process"]["user"] = {"uid": 50, "gid": 0}
    p = any_box.run("true")
    assert (p.returncode, p.stderr) == (1, "setresuid to `50`: Invalid argument\n")


@pytest.fixture
def direct_box(runtime: str, tmp_path: Any) -> Any:
    """An ordinary user without any namespace: the runtime makes what is needed, newuidmap(1) maps the ids."""
    need(os.geteuid() != 0, "the integration step runs this as an ordinary user", optional=True)
    need(shutil.which("newuidmap"), "no newuidmap: install uidmap")
    box = Box(None, str(tmp_path), runtime)
    box.make()
    yield box
    box.clear()


def test_user_without_a_session(direct_box: Box) -> None:
    """A user namespace is added, the caller is its root, subordinate ids follow."""
    without(direct_box, "cgroup")
    out = direct_box.sh("cat /proc/self/uid_map; touch /tmp/mine; id -u").split()
    assert out[:3] == ["0", str(os.getuid()), "1"] and out[3] == "1" and int(out[5]) > 1000 and out[-1] == "0"
    assert os.stat(f"{direct_box.rootfs}/tmp/mine").st_uid == os.getuid()


def test_one_id_and_no_helper(direct_box: Box) -> None:
    """A map of one's own id is written directly, at the price of setgroups(2)."""
    without(direct_box, "cgroup")
    direct_box.spec["linux"]["namespaces"].append({"type": "user"})
    direct_box.spec["linux"]["uidMappings"] = [{"containerID": 0, "hostID": os.getuid(), "size": 1}]
    direct_box.spec["linux"]["gidMappings"] = [{"containerID": 0, "hostID": os.getgid(), "size": 1}]
    assert direct_box.sh("cat /proc/self/setgroups; cat /proc/self/uid_map").split() == ["deny", "0", str(os.getuid()), "1"]


def test_ids_that_are_not_lent(direct_box: Box) -> None:
    without(direct_box, "cgroup")
    direct_box.spec["linux"]["namespaces"].append({"type": "user"})
    maps = [{"containerID": 0, "hostID": 1, "size": 100}]
    direct_box.spec["linux"].update(uidMappings=maps, gidMappings=maps)
    p = direct_box.run("true")
    assert p.returncode == 1 and "refused the id mappings" in p.stderr and "/etc/subuid" in p.stderr


# --- the process --------------------------------------------------------------------------------------------------------


def test_user_and_groups(any_box: Box) -> None:
    any_box.spec["process"]["user"] = {"uid": 12, "gid": 34, "umask": 0o137, "additionalGids": [5, 6, 34]}
    out = any_box.sh("grep -E '^(Uid|Gid|Groups)' /proc/self/status; umask; touch /tmp/f 2>/dev/null; true").split()
    assert out == ["Uid:", *["12"] * 4, "Gid:", *["34"] * 4, "Groups:", "5", "6", "34", "0137"]


def test_five_sets_of_capabilities(any_box: Box) -> None:
    any_box.spec["process"]["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_KILL"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    }
    any_box.spec["process"]["user"] = {"uid": 5, "gid": 5}
    out = any_box.sh("grep ^Cap /proc/self/status").split()
    assert {out[i].rstrip(":"): int(out[i + 1], 16) for i in range(0, 10, 2)} == {
        "CapInh": 0x20,
        "CapPrm": 0x20,
        "CapEff": 0x20,
        "CapBnd": 0xA1,
        "CapAmb": 0x20,
    }


def test_repeated_variables(any_box: Box) -> None:
    """The last value counts, as in a shell; execve(2) would show the first."""
    any_box.spec["process"]["env"] = ["PATH=/bin", "A=1", "B=x=y", "A=2", "C=", "B=z"]
    assert sorted(any_box.sh("env").split()) == ["A=2", "B=z", "C=", "HOME=/", "PATH=/bin", "PWD=/", "SHLVL=1"]


LIMITS = "CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK AS".split()


def test_all_rlimits(any_box: Box) -> None:
    import resource

    given = {}
    for name in LIMITS:
        number = getattr(resource, f"RLIMIT_{name}", 10 if name == "LOCKS" else None)
        hard = resource.getrlimit(number)[1] if number is not None else resource.RLIM_INFINITY
        top = (1 << 64) - 1 if hard == resource.RLIM_INFINITY else hard
        soft = min(top, 1 << 33 if name in ("AS", "DATA", "STACK") else 7000)
        given[name] = (soft, top)
    any_box.spec["process"]["rlimits"] = [{"type": f"RLIMIT_{n}", "soft": s, "hard": h} for n, (s, h) in given.items()]
    out = any_box.sh("cat /proc/self/limits").splitlines()
    assert any(line.startswith("Max open files") and line.split()[3] == str(given["NOFILE"][0]) for line in out)
    assert any(line.startswith("Max core file size") and line.split()[4] == str(given["CORE"][0]) for line in out)


def sched(box: Box, **scheduler: Any) -> list[str]:
    """Policy, nice value and priority of the process: fields 41, 19 and 40 of /proc/self/stat."""
    box.spec["process"]["scheduler"] = scheduler
    return box.sh("cut -d' ' -f41 /proc/self/stat; cut -d' ' -f19 /proc/self/stat; cut -d' ' -f40 /proc/self/stat").split()


@pytest.mark.parametrize(("policy", "number"), [("SCHED_OTHER", "0"), ("SCHED_BATCH", "3"), ("SCHED_IDLE", "5")])
def test_scheduler(any_box: Box, policy: str, number: str) -> None:
    nice = os.nice(0) + 3
    assert sched(any_box, policy=policy, nice=nice)[:1] == [number]
    if policy != "SCHED_IDLE":
        assert sched(any_box, policy=policy, nice=nice)[1] == str(nice)


@pytest.mark.parametrize(("policy", "number"), [("SCHED_FIFO", "1"), ("SCHED_RR", "2")])
def test_real_time(root_box: Box, policy: str, number: str) -> None:
    assert sched(root_box, policy=policy, priority=7)[::2] == [number, "7"]
    # Not inherited: the shell's children are ordinary again.
    root_box.spec["process"]["scheduler"]["flags"] = ["SCHED_FLAG_RESET_ON_FORK"]
    assert root_box.sh("cut -d' ' -f41 /proc/1/stat; cut -d' ' -f41 /proc/self/stat; true").split() == [number, "0"]


def test_real_time_with_a_user_namespace(root_box: Box) -> None:
    """The rights are the caller's, and gone in the container."""
    user_namespace(root_box, (0, 100, 50))
    assert sched(root_box, policy="SCHED_FIFO", priority=3)[::2] == ["1", "3"]


def test_deadline(root_box: Box) -> None:
    need(os.path.exists("/proc/sys/kernel/sched_deadline_period_max_us"), "no SCHED_DEADLINE", optional=True)
    root_box.spec["process"]["scheduler"] = {"policy": "SCHED_DEADLINE", "runtime": 10000000, "deadline": 20000000}
    assert root_box.run("cut", "-d ", "-f41", "/proc/self/stat").stdout == "6\n"


def test_real_time_is_refused_to_an_ordinary_user(box: Box) -> None:
    box.spec["process"]["scheduler"] = {"policy": "SCHED_FIFO", "priority": 1}
    p = box.run("true")
    assert (p.returncode, p.stderr) == (1, "process.scheduler: set scheduler `SCHED_FIFO`: Operation not permitted\n")


@pytest.mark.parametrize(("cls", "number"), [("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)])
def test_io_priority(any_box: Box, cls: str, number: int) -> None:
    import ctypes

    any_box.spec["process"]["ioPriority"] = {"class": cls, "priority": 5}
    pid = any_box.create("sleep", "100")
    need(os.uname().machine == "x86_64", "the number of ioprio_get is known on x86_64", optional=True)
    value: int = ctypes.CDLL(None).syscall(252, 1, pid)  # ioprio_get, of a process
    assert (value >> 13, value & 7) == (number, 5)


def test_memory_policy(any_box: Box) -> None:
    need(os.path.exists("/proc/self/numa_maps"), "no NUMA in this kernel", optional=True)
    any_box.spec["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}
    assert "bind=static:0 " in any_box.sh("head -2 /proc/self/numa_maps")
    any_box.spec["linux"]["memoryPolicy"] = {"mode": "MPOL_INTERLEAVE"}
    p = any_box.run("true")
    assert p.stderr == "linux.memoryPolicy: set the policy `MPOL_INTERLEAVE`: Invalid argument\n"


def test_affinity_of_exec(any_box: Box) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    any_box.start("sleep", "100")
    process = {"args": ["grep", "Cpus_allowed_list", "/proc/self/status"], "cwd": "/", "env": ["PATH=/bin"]}

    def run(**affinity: str) -> str:
        with open(f"{any_box.dir}/p.json", "w") as f:
            json.dump({**process, "execCPUAffinity": affinity}, f)
        p = any_box("exec", "--process", f"{any_box.dir}/p.json", "c")
        return p.stdout.split()[1] if p.returncode == 0 else p.stderr

    assert run(final=str(cpus[-1])) == str(cpus[-1])
    assert run(initial=str(cpus[0]), final=f" {cpus[-1]} ,") == str(cpus[-1])
    assert run(initial=str(cpus[0])) == str(cpus[0])
    assert run(final="8000") == "process.execCPUAffinity.final: run on these processors: Invalid argument\n"


def test_personality(any_box: Box) -> None:
    any_box.spec["linux"]["personality"] = {"domain": "LINUX32"}
    assert any_box.sh("cat /proc/self/personality").strip() == "00000008"
    any_box.spec["linux"]["personality"] = {"domain": "LINUX"}
    assert any_box.sh("cat /proc/self/personality").strip() == "00000000"


@pytest.mark.parametrize(
    ("field", "module", "there"),
    [
        ("apparmorProfile", "AppArmor", "/sys/kernel/security/apparmor"),
        ("selinuxLabel", "SELinux", "/sys/fs/selinux/enforce"),
    ],
)
def test_labels_that_cannot_be_had(any_box: Box, field: str, module: str, there: str) -> None:
    need(not os.path.exists(there), f"{module} is enabled here", optional=True)
    any_box.spec["process"][field] = "some_profile"
    p = any_box.run("true")
    assert (p.returncode, p.stderr) == (1, f"process.{field}: {module} is not enabled on this system\n")
    any_box.spec["process"][field] = ""
    assert any_box.sh("echo fine") == "fine\n"


def test_keyring(any_box: Box) -> None:
    need(os.path.exists("/proc/keys"), "no keyrings in this kernel", optional=True)
    mine, other = f"mine{os.getpid()}", f"other{os.getpid()}"
    any_box.write("grep", "-c", "_ses.mine", "/proc/keys")
    p = any_box("run", "-b", any_box.bundle, mine)
    assert p.stdout.strip() == "1", "a session keyring of its own, named after it"
    any_box.write("grep", "-c", "_ses.other", "/proc/keys")
    p = any_box("run", "--no-new-keyring", "-b", any_box.bundle, other)
    assert p.stdout.strip() == "0"


def test_listen_fds(any_box: Box) -> None:
    """Socket activation: the sockets and the variables that sd_listen_fds(3) looks at."""
    script = "echo $LISTEN_FDS $LISTEN_PID $$; cd /proc/self/fd; readlink 3; readlink 4; ls /proc/self/fd"
    any_box.write("sh", "-c", script)
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        shell = f'exec 3<&{one.fileno()} 4<&{two.fileno()}; export LISTEN_FDS=2 LISTEN_PID=$$; exec "$@"'
        argv = ["bash", "-c", shell, "sh", *any_box.argv("run", "-b", any_box.bundle, "c")]
        p = subprocess.run(argv, capture_output=True, text=True, timeout=10, pass_fds=(one.fileno(), two.fileno()))
    out = p.stdout.split()
    assert out[:3] == ["2", "1", "1"] and out[3].startswith("socket:") and out[4].startswith("socket:")
    assert out[5:] == ["0", "1", "2", "3", "4", "5"], "5: ls reads the directory"


def test_devices_of_the_configuration(root_box: Box) -> None:
    root_box.spec["linux"]["devices"] = [
        {"path": "/dev/a", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4},
        {"path": "/deep/er/b", "type": "b", "major": 7, "minor": 200},
        {"path": "/dev/p", "type": "p", "fileMode": 0o600, "uid": 1, "gid": 2},
        {"path": "/dev/u", "type": "u", "major": 1, "minor": 3},
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600},
    ]
    script = "stat -c '%a %u:%g %t:%T' /dev/a /deep/er/b /dev/u /dev/null; stat -c '%a %u:%g %F' /dev/p"
    expected = "640 3:4 1:5\n666 0:0 7:c8\n666 0:0 1:3\n600 0:0 1:3\n600 1:2 fifo\n"
    assert root_box.sh(script) == expected
    # With a user namespace nobody in the container could make them.
    user_namespace(root_box, (0, 100, 50))
    shutil.rmtree(f"{root_box.rootfs}/deep")
    assert root_box.sh(script) == expected


def test_devices_of_an_ordinary_user(box: Box) -> None:
    box.spec["linux"]["devices"] = [
        {"path": "/dev/zero", "type": "c", "major": 1, "minor": 5},
        {"path": "/dev/pipe", "type": "p"},
    ]
    assert box.sh("head -c 3 /dev/zero | wc -c; [ -p /dev/pipe ] && echo p").split() == ["3", "p"]
    box.spec["linux"]["devices"] = [{"path": "/dev/x", "type": "c", "major": 240, "minor": 5}]
    p = box.run("true")
    assert p.returncode == 1 and p.stderr.startswith(
        "linux.devices[0]: create device `/dev/x`: it cannot be made in a user namespace"
    )
    with open(f"{box.rootfs}/occupied", "w") as f:
        f.write("text")
    box.spec["linux"]["devices"] = [{"path": "/occupied", "type": "c", "major": 1, "minor": 3}]
    p = box.run("true")
    assert p.stderr == "linux.devices[0]: create device `/occupied`: another file is there already\n"


def ip(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *argv], capture_output=True, text=True)


@pytest.mark.parametrize("name", [None, "inside0", "net%d"])
def test_network_devices(root_box: Box, name: str | None) -> None:
    need(shutil.which("ip"), "no ip: install iproute2")
    device = f"pl{os.getpid() % 100000}"
    made = ip("link", "add", device, "type", "veth", "peer", "name", f"{device}p")
    need(made.returncode == 0, "this kernel has no veth", optional=True)
    try:
        ip("addr", "add", "10.211.5.6/24", "brd", "10.211.5.99", "dev", device)
        ip("addr", "add", "fd00:211::7/64", "dev", device)
        root_box.spec["linux"]["netDevices"] = {device: {"name": name} if name else {}}
        pid = root_box.start("sleep", "100")
        p = subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "-j", "addr"], capture_output=True, text=True)
        links = {x["ifname"]: x for x in json.loads(p.stdout)}
        link = links["net0" if name == "net%d" else name or device]
        addresses = {a["local"]: a.get("broadcast") for a in link["addr_info"]}
        assert addresses["10.211.5.6"] == "10.211.5.99" and "fd00:211::7" in addresses
        assert "UP" in link["flags"] and ip("link", "show", device).returncode != 0
    finally:
        root_box("delete", "--force", "c")
        ip("link", "del", f"{device}p")


def test_network_device_that_is_not_there(any_box: Box) -> None:
    any_box.spec["linux"]["netDevices"] = {"nosuch0": {}}
    p = any_box.run("true")
    assert (p.returncode, p.stderr) == (1, "linux.netDevices.nosuch0: find the interface: No such device\n")


# --- hooks --------------------------------------------------------------------------------------------------------------

KINDS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]


def shell_hook(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin", "H=hook"], **more}


def test_hooks_in_order_with_the_state(any_box: Box) -> None:
    """Each kind in its place, in its namespaces, with the state that the specification gives it there."""
    log = directory = f"{any_box.dir}/log"
    os.mkdir(directory)
    os.chmod(directory, 0o777)
    any_box.spec["annotations"] = {"a.b": "c"}
    any_box.spec["mounts"].append({"destination": log, "options": ["bind"], "source": log})
    any_box.spec["hooks"] = {
        kind: [shell_hook(f"cat > {log}/{kind}; echo {kind}{i} $H $(readlink /proc/self/ns/mnt) >> {log}/order") for i in (1, 2)]
        for kind in KINDS
    }
    container = any_box.sh("readlink /proc/self/ns/mnt").strip()
    host = any_box.inside("readlink", "/proc/self/ns/mnt").stdout.strip()
    with open(f"{log}/order") as f:
        rows = [line.split() for line in f]
    assert [r[0] for r in rows] == [f"{k}{i}" for k in KINDS for i in (1, 2)] and {r[1] for r in rows} == {"hook"}
    where = {r[0][:-1]: "container" if r[2] == container else "host" if r[2] == host else "?" for r in rows}
    assert where == {k: "container" if k in ("createContainer", "startContainer") else "host" for k in KINDS}
    states = {}
    for kind in KINDS:
        with open(f"{log}/{kind}") as f:
            states[kind] = json.load(f)
    status = {k: s["status"] for k, s in states.items()}
    assert status == {
        "prestart": "creating",
        "createRuntime": "creating",
        "createContainer": "creating",
        "startContainer": "created",
        "poststart": "running",
        "poststop": "stopped",
    }
    for state in states.values():
        assert (state["id"], state["bundle"], state["annotations"]) == ("c", any_box.bundle, {"a.b": "c"})
        assert state["ociVersion"] == "1.2.0"
    assert states["createContainer"]["pid"] == states["startContainer"]["pid"] == 1, "as seen in the container"
    assert states["prestart"]["pid"] == states["createRuntime"]["pid"] == states["poststart"]["pid"] > 1


@pytest.mark.parametrize("kind", KINDS[:5])
@pytest.mark.parametrize("how", ["exit 7", "kill -9 $$", "exec sleep 100"])
def test_hook_that_fails(any_box: Box, kind: str, how: str) -> None:
    """An error, no container, no process; poststop hooks run where there was one to stop."""
    bad = shell_hook(how, **({"timeout": 1} if "sleep" in how else {}))
    any_box.spec["hooks"] = {kind: [bad, shell_hook(f"touch {any_box.dir}/second")]}
    words = {
        "exit 7": f"error executing hook `/bin/sh` ({kind}, exit code: 7)\n",
        "kill -9 $$": f"error executing hook `/bin/sh` ({kind}): killed by signal 9\n",
        "exec sleep 100": "hook `/bin/sh` did not end within 1 seconds\n",
    }[how]
    any_box.write("sleep", "100")
    p = any_box("run", "-b", any_box.bundle, "c")
    assert (p.returncode, p.stderr) == (1, words)
    assert any_box.ids() == [] and not os.path.exists(f"{any_box.dir}/second")


def test_start_whose_poststart_hook_fails_destroys_the_container(any_box: Box) -> None:
    log = f"{any_box.dir}/stopped"
    any_box.spec["hooks"] = {"poststart": [shell_hook("exit 3")], "poststop": [shell_hook(f"touch {log}")]}
    pid = any_box.create("sleep", "100")
    p = any_box("start", "c")
    assert p.returncode == 1 and "(poststart, exit code: 3)" in p.stderr
    assert reap(pid) == -9 and any_box.ids() == [] and os.path.exists(log)


def test_poststop_hooks_all_run(any_box: Box) -> None:
    log = f"{any_box.dir}/log"
    any_box.spec["hooks"] = {"poststop": [shell_hook("exit 3"), shell_hook(f"touch {log}"), {"path": "/no/such"}]}
    p = any_box.run("true")
    assert p.returncode == 0 and os.path.exists(log)
    warnings = p.stderr.splitlines()
    assert warnings[0] == "warning: poststop hook failed with exit code 3: `/bin/sh`"
    assert warnings[-1].startswith("warning: error executing hook `/no/such` (poststop, exit code: 127): No such")


def test_environment_and_output_of_hooks(any_box: Box) -> None:
    out, err = f"{any_box.dir}/out.log", f"{any_box.dir}/err.log"
    any_box.spec["annotations"] = {"run.oci.hooks.stdout": out, "run.oci.hooks.stderr": err}
    script = "echo $0 $MINE $HOME; echo oops >&2; ls /proc/self/fd"
    inherit = {"path": "/bin/sh", "args": ["name", "-c", script]}
    any_box.spec["hooks"] = {"createRuntime": [inherit], "createContainer": [{**inherit, "env": ["MINE=1"]}]}
    any_box.enter = ["env", "MINE=caller", "HOME=/h", *any_box.enter]
    assert any_box.run("true").returncode == 0
    with open(out) as f:
        assert f.read().split() == ["name", "caller", "/h", "0", "1", "2", "3", "name", "1", "0", "1", "2", "3"]
    with open(err) as f:
        assert f.read() == "oops\noops\n"


# --- seccomp ------------------------------------------------------------------------------------------------------------


def rule(action: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


def seccomp(box: Box, *rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **more: Any) -> None:
    box.spec["linux"]["seccomp"] = {"defaultAction": default, "syscalls": list(rules), **more}


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("SCMP_ACT_KILL", 128 + 31),
        ("SCMP_ACT_KILL_THREAD", 128 + 31),
        ("SCMP_ACT_KILL_PROCESS", 128 + 31),
        ("SCMP_ACT_TRAP", 128 + 31),
        ("SCMP_ACT_ERRNO", 1),
        ("SCMP_ACT_TRACE", 1),
        ("SCMP_ACT_LOG", 0),
        ("SCMP_ACT_ALLOW", 0),
    ],
)
def test_seccomp_actions(any_box: Box, action: str, code: int) -> None:
    seccomp(any_box, rule(action, "mkdir", "mkdirat"))
    assert any_box.run("sh", "-c", "mkdir /tmp/x; exit $?").returncode == code


@pytest.mark.parametrize(
    ("op", "value", "two", "allowed"),
    [
        ("SCMP_CMP_EQ", 9, None, "not 9"),
        ("SCMP_CMP_NE", 9, None, "9"),
        ("SCMP_CMP_LT", 9, None, "9 15"),
        ("SCMP_CMP_LE", 9, None, "15"),
        ("SCMP_CMP_GT", 9, None, "9 1"),
        ("SCMP_CMP_GE", 9, None, "1"),
        ("SCMP_CMP_MASKED_EQ", 0xFF, 9, "not 9"),
    ],
)
def test_seccomp_operators(any_box: Box, op: str, value: int, two: int | None, allowed: str) -> None:
    """kill(2) with signal 1, 9 or 15 to a process that is not there: ESRCH if it is allowed, else our errno."""
    arg = {"index": 1, "value": value, "op": op, **({"valueTwo": two} if two is not None else {})}
    seccomp(any_box, rule("SCMP_ACT_ERRNO", "kill", errnoRet=95, args=[arg]))
    out = any_box.run("sh", "-c", "for s in 1 9 15; do kill -$s 30000; done").stderr.splitlines()
    free = [s for s, line in zip("1 9 15".split(), out, strict=True) if "No such process" in line]
    wanted = [s for s in "1 9 15".split() if s != "9"] if allowed == "not 9" else allowed.split()
    assert sorted(free) == sorted(wanted), out


def test_seccomp_errno(any_box: Box) -> None:
    seccomp(any_box, rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat"), rule("SCMP_ACT_ERRNO", "symlink", "symlinkat", errnoRet=28))
    p = any_box.run("sh", "-c", "mkdir /tmp/x; ln -s a /tmp/y")
    assert "Operation not permitted" in p.stderr and "No space left" in p.stderr


@pytest.mark.parametrize(
    "flags", [[], ["SECCOMP_FILTER_FLAG_LOG"], ["SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"]]
)
def test_seccomp_flags_and_architectures(any_box: Box, flags: list[str]) -> None:
    arches = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_RISCV64"]
    seccomp(any_box, rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat"), flags=flags, architectures=arches)
    assert any_box.sh("mkdir /tmp/x 2>/dev/null; grep Seccomp: /proc/self/status; ls /tmp").split() == ["Seccomp:", "2"]


def test_unknown_system_call(any_box: Box) -> None:
    seccomp(any_box, rule("SCMP_ACT_ERRNO", "no_such_call", "mkdir"))
    assert any_box.sh("echo fine") == "fine\n"
    any_box.spec["annotations"] = {"run.oci.seccomp_fail_unknown_syscall": "1"}
    p = any_box.run("true")
    assert p.stderr == 'linux.seccomp.syscalls[0].names[0]: unknown system call "no_such_call"\n'


def test_cache_of_filters_is_not_trusted_blindly(any_box: Box) -> None:
    """Cut, changed, somebody else's to write, or not a file: the filter is compiled again."""
    seccomp(any_box, rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat"))
    script = "mkdir /tmp/x 2>/dev/null && echo let through; grep Seccomp: /proc/self/status"
    assert any_box.sh(script).split() == ["Seccomp:", "2"]
    cache = f"{any_box.root}/.cache/seccomp"
    (name,) = os.listdir(cache)
    with open(f"{cache}/{name}", "rb") as f:
        good = f.read()

    def spoil(data: bytes, mode: int = 0o600) -> None:
        os.unlink(f"{cache}/{name}")
        with open(f"{cache}/{name}", "wb") as f:
            f.write(data)
        os.chmod(f"{cache}/{name}", mode)

    allow = b"\x06\0\0\0\0\0\xff\x7f"
    for data in (
        b"",
        good[:10],
        good[:-8],
        good + allow,
        good[: len(good) - 8] + allow,
        good[:24] + allow * ((len(good) - 24) // 8),
    ):
        spoil(data)
        assert any_box.sh(script).split() == ["Seccomp:", "2"]
    stamp = os.stat(f"{cache}/{name}").st_ino
    assert any_box.sh(script).split() == ["Seccomp:", "2"] and os.stat(f"{cache}/{name}").st_ino == stamp, "a good one is used"
    spoil(good, 0o666)
    assert any_box.sh(script).split() == ["Seccomp:", "2"] and os.stat(f"{cache}/{name}").st_mode & 0o777 == 0o600
    os.unlink(f"{cache}/{name}")
    os.mkfifo(f"{cache}/{name}")
    assert any_box.sh(script).split() == ["Seccomp:", "2"]


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_listener(any_box: Box, no_new_privileges: bool) -> None:
    path = f"{any_box.dir}/agent.sock"
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(path)
        agent.listen()
        agent.settimeout(10)
        seccomp(any_box, rule("SCMP_ACT_NOTIFY", "sethostname"), listenerPath=path, listenerMetadata='quote " and \\ back')
        any_box.spec["process"]["noNewPrivileges"] = no_new_privileges
        pid = any_box.start("sleep", "100")
        peer, _ = agent.accept()
        with peer:
            text, control, _, _ = peer.recvmsg(65536, socket.CMSG_SPACE(4))
            assert peer.recv(10) == b"", "one state a connection"
    (fd,) = array.array("i", control[0][2][:4])
    assert os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:seccomp notify"
    os.close(fd)
    message = json.loads(text)
    assert (message["fds"], message["metadata"]) == (["seccompFd"], 'quote " and \\ back')
    assert message["pid"] == message["state"]["pid"] == pid, "as the runtime sees it"
    assert (message["state"]["id"], message["state"]["status"]) == ("c", "creating")


# --- NOTIFY_SOCKET --------------------------------------------------------------------------------------------------------


@pytest.fixture
def manager(any_box: Box) -> Any:
    """A service manager's socket, named in the environment of the runtime."""
    path = f"{any_box.dir}/manager.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(0.3)
        any_box.enter = ["env", f"NOTIFY_SOCKET={path}", *any_box.enter]
        yield s


READY = """
python3 -c "
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect('{path}')
s.send(b'{text}')"
"""


def say(box: Box, pid: int, text: str) -> None:
    """What sd_notify(3) does in the container: its root is our only way to the socket."""
    subprocess.run(
        [*box.enter, "sh", "-c", READY.format(path=f"/proc/{pid}/root{box.dir}/manager.sock/notify", text=text)], check=True
    )


def test_readiness_is_passed_on(any_box: Box, manager: socket.socket) -> None:
    pid = any_box.create("sh", "-c", "echo $NOTIFY_SOCKET; ls -l $NOTIFY_SOCKET; exec sleep 100")
    with subprocess.Popen(any_box.argv("start", "c")) as p:
        while f"{any_box.dir}/manager.sock/notify" not in any_box.output():
            time.sleep(0.01)
        say(any_box, pid, "STATUS=working\\nMAINPID=1")
        with pytest.raises(TimeoutError):
            manager.recv(1000)
        assert p.poll() is None, "start returns when the program is ready"
        say(any_box, pid, "STATUS=up\\nREADY=1\\nX=y")
        manager.settimeout(10)
        assert manager.recv(1000) == b"READY=1"
        assert p.wait(10) == 0
    assert "srwxrwxrwx" in any_box.output()


def test_program_that_ends_before_it_is_ready(any_box: Box, manager: socket.socket) -> None:
    any_box.create("true")
    assert any_box("start", "c").returncode == 0


def test_run_attends_to_the_container_meanwhile(any_box: Box, manager: socket.socket) -> None:
    any_box.write("sh", "-c", "trap 'exit 9' TERM; echo on; while true; do sleep 0.01; done")
    with subprocess.Popen(any_box.argv("run", "-b", any_box.bundle, "c"), stdout=subprocess.PIPE) as p:
        assert p.stdout is not None and p.stdout.readline() == b"on\n"
        p.send_signal(signal.SIGTERM)
        assert p.wait(10) == 9
