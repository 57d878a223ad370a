"""The process of config.json: does it get what it says? Users, rights, limits, terminals, descriptors."""

import json
import os
import socket
import subprocess
from typing import Any

import pytest

from tests.support.box import Box, Console, read_all, reap, user_namespace
from tests.support.need import need


def test_working_directory(box: Box) -> None:
    box.spec["process"]["cwd"] = "/new/deep"
    assert box.sh("pwd") == "/new/deep\n"
    box.spec["process"]["cwd"] = "/etc/passwd"
    with open(f"{box.rootfs}/etc/passwd", "w"):
        pass
    p = box.run("true")
    assert p.returncode == 1 and p.stderr == "chdir to `/etc/passwd`: Not a directory\n"


def test_working_directory_outside(box: Box) -> None:
    """CVE-2024-21626: a leaked descriptor of the host as working directory."""
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    outside = False
    try:
        for n in range(3, 24):
            box.spec["process"]["cwd"] = f"/proc/self/fd/{n}"
            box.write("sh", "-c", "cd ../../../../../../../..; stat -c %d:%i . /")
            p = box("run", "-b", box.bundle, "c", pass_fds=(fd,))
            if p.returncode == 0:  # a descriptor of the container's own root
                here, root = p.stdout.split()
                assert here == root, n
            else:
                assert p.stderr.startswith(
                    (f"chdir to `/proc/self/fd/{n}`: ", f"create working directory `/proc/self/fd/{n}`: ")
                )
                outside = outside or "the directory is outside of the container" in p.stderr
        assert outside
    finally:
        os.close(fd)


def test_descriptors(box: Box) -> None:
    fd = os.open("/etc", os.O_RDONLY)
    try:
        box.write("sh", "-c", "ls /proc/self/fd")
        p = box("run", "-b", box.bundle, "c", pass_fds=(fd,))
        assert p.stdout.split() == ["0", "1", "2", "3"]  # 3: ls reading the directory
    finally:
        os.close(fd)
    box.write("sh", "-c", "cat <&3; [ -e /proc/self/fd/4 ] || echo no 4")
    box.enter = ["sh", "-c", 'exec 3<<END 4</etc/passwd\nthree\nEND\nexec "$@"', "sh", *box.enter]
    assert box.ok("run", "--preserve-fds", "1", "-b", box.bundle, "c") == "three\nno 4\n"


def status_field(text: str, name: str) -> str:
    return next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith(name + ":"))


def test_capabilities(box: Box) -> None:
    caps = box.spec["process"]["capabilities"]
    caps.update(
        bounding=["CAP_CHOWN", "CAP_KILL"], effective=["CAP_KILL"], permitted=["CAP_KILL", "CAP_CHOWN"]
    )
    text = box.sh("cat /proc/self/status")
    assert [int(status_field(text, f), 16) for f in ("CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb")] == [
        0x21,
        0x21,
        0x21,
        0,
        0,
    ]
    box.spec["process"]["user"] = {"uid": 33, "gid": 34, "additionalGids": [5, 6]}
    text = box.sh("cat /proc/self/status")
    assert [int(status_field(text, f), 16) for f in ("CapBnd", "CapEff", "CapPrm")] == [0x21, 0, 0]
    assert status_field(text, "Uid").split() == ["33"] * 4 and status_field(text, "Groups").split() == [
        "5",
        "6",
    ]
    caps.update(inheritable=["CAP_KILL"], ambient=["CAP_KILL"])
    text = box.sh("cat /proc/self/status")
    assert [int(status_field(text, f), 16) for f in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [0x20] * 4


def test_process_attributes(box: Box) -> None:
    box.spec["process"].update(
        noNewPrivileges=True, oomScoreAdj=500, rlimits=[{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}]
    )
    box.spec["process"]["user"]["umask"] = 0o027
    out = box.sh(
        "grep NoNewPrivs /proc/self/status; cat /proc/self/oom_score_adj; ulimit -Sn; ulimit -Hn; umask; hostname; echo $A;"
    )
    assert out.split() == ["NoNewPrivs:", "1", "500", "10", "20", "0027", "boxed", "base"]


def test_rlimit_that_is_refused(box: Box) -> None:
    box.spec["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 1 << 40}]
    p = box.run("true")
    assert p.returncode == 1 and p.stderr == "setrlimit `RLIMIT_NOFILE`: Operation not permitted\n"
    assert box.ids() == []


def test_home(box: Box) -> None:
    with open(f"{box.rootfs}/etc/passwd", "w") as f:
        f.write("broken\nroot:x:0:0:root:/tmp/root:/bin/sh\nu:x:7:7::relative\n")
    assert box.sh("echo $HOME") == "/tmp/root\n"
    box.spec["process"]["user"] = {"uid": 7, "gid": 7}
    assert box.sh("echo $HOME") == "/\n"
    box.spec["process"]["env"].append("HOME=/given")
    assert box.sh("echo $HOME") == "/given\n"


def test_terminal(box: Box) -> None:
    box.spec["process"].update(terminal=True, consoleSize={"height": 33, "width": 99})
    box.spec["process"]["user"] = {"uid": 5, "gid": 5}
    console = Console(f"{box.dir}/console.sock")
    pid = box.create(
        "sh",
        "-c",
        "tty; stty size; [ -c /dev/console ] && echo console; echo x > /dev/tty; stat -c %u /dev/pts/0",
        options=("--console-socket", console.path),
    )
    master = console.master()
    box.ok("start", "c")
    assert read_all(master).split() == ["/dev/pts/0", "33", "99", "console", "x", "5"]
    assert reap(pid) == 0


def test_terminal_without_a_socket(box: Box) -> None:
    box.spec["process"]["terminal"] = True
    box.write("true")
    p = box("create", "-b", box.bundle, "c")
    assert p.returncode == 1 and "--console-socket" in p.stderr


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
