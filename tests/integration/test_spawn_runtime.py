"""podlike-spawn alone, as an ordinary user: one user and mount namespace, bundles around busybox, no engine."""

import array
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

from tests.support.box import Box, Config, Console, read_all, reap
from tests.support.need import need


def test_lifecycle(box: Box) -> None:
    pid = box.create("sh", "-c", "echo started; exec sleep 100")
    state = box.state()
    assert (state["id"], state["status"], state["pid"], state["bundle"]) == ("c", "created", pid, box.bundle)
    assert box.output() == ""
    box.ok("start", "c")
    assert box.state()["status"] == "running"
    again = box("start", "c")
    assert again.returncode == 1 and "it is running, not created" in again.stderr
    refused = box("delete", "c")
    assert refused.returncode == 1 and "not in `created` or `stopped` state" in refused.stderr
    box.ok("kill", "c", "KILL")
    assert reap(pid) == -signal.SIGKILL
    state = box.state()
    assert (state["status"], state["pid"]) == ("stopped", 0)
    dead = box("kill", "c")
    assert dead.returncode == 1 and "container not running" in dead.stderr
    box.ok("delete", "c")
    gone = box("state", "c")
    assert gone.returncode == 1 and gone.stderr == "container `c` does not exist\n"
    assert box.output() == "started\n"


@pytest.mark.parametrize(("sig", "number"), [("TERM", 15), ("SIGUSR1", 10), ("9", 9), ("rtmin+1", 35)])
def test_kill_signals(box: Box, sig: str, number: int) -> None:
    pid = box.start(
        "sh", "-c", f"trap 'exit {40 + number}' {number}; echo ready; while true; do sleep 0.01; done"
    )
    while "ready" not in box.output():
        time.sleep(0.005)
    box.ok("kill", "c", sig)
    assert reap(pid) == (-9 if number == 9 else 40 + number)


def test_kill_unknown_signal(box: Box) -> None:
    box.create("true")
    p = box("kill", "c", "NOPE")
    assert p.returncode == 1 and p.stderr == "unknown signal `NOPE`\n"


def test_same_id_twice(box: Box) -> None:
    pid = box.create("true")
    p = box("create", "-b", box.bundle, "c")
    assert p.returncode == 1 and p.stderr == "container with id `c` already exists\n"
    assert box.state()["pid"] == pid


@pytest.mark.parametrize("bad", ["", "../x", "a/b", ".x", "a b", "x" * 300])
def test_bad_ids(box: Box, bad: str) -> None:
    box.write("true")
    for command in (["create", "-b", box.bundle], ["state"], ["delete", "--force"]):
        p = box(*command, bad)
        assert p.returncode == 1 and "container ID" in p.stderr


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["nope"], 127, "executable file `nope` not found in $PATH: no such file or directory"),
        (["/no/such"], 127, "executable file `/no/such` not found in $PATH: no such file or directory"),
        (["/etc"], 126, "open executable: permission denied"),
        (["/plain"], 126, "open executable: permission denied"),
    ],
)
def test_command_that_cannot_run(box: Box, args: list[str], code: int, words: str) -> None:
    with open(f"{box.rootfs}/plain", "w") as f:
        f.write("text")
    box.write(*args)
    p = box(
        "--log",
        f"{box.dir}/log",
        "--log-format=json",
        "create",
        "--bundle",
        box.bundle,
        "--pid-file",
        f"{box.dir}/pid",
        "c",
    )
    assert p.returncode == code and words in p.stderr
    with open(f"{box.dir}/log") as f:
        entry = json.loads(f.read())
    assert entry["msg"] == p.stderr.rstrip("\n") and entry["level"] == "error" and entry["time"].endswith("Z")
    assert box.ids() == [] and not os.path.exists(f"{box.dir}/pid")


def test_missing_interpreter_is_told_by_start(box: Box) -> None:
    with open(f"{box.rootfs}/script", "w") as f:
        f.write("#!/no/interpreter\n")
    os.chmod(f"{box.rootfs}/script", 0o755)
    pid = box.create("/script")
    p = box("start", "c")
    assert p.returncode == 127
    assert (
        p.stderr == "exec container process (missing dynamic library?) `/script`: no such file or directory\n"
    )
    assert reap(pid) == 127


def test_configuration_errors_name_the_place(box: Box) -> None:
    box.spec["process"]["capabilities"]["bounding"] = ["CAP_KILL", "CAP_FOO"]
    p = box.run("true")
    assert (p.returncode, p.stderr) == (1, 'process.capabilities.bounding[1]: unknown capability "CAP_FOO"\n')
    assert box.ids() == []


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


def test_devices_and_links(box: Box) -> None:
    out = box.sh(
        "cd /dev; for d in null zero full random urandom tty; do [ -c $d ] || echo no $d; done; "
        "for l in fd stdin stdout stderr ptmx; do readlink $l; done; echo x > /dev/null; head -c 2 /dev/zero | wc -c"
    )
    assert out.split() == [
        "/proc/self/fd",
        "/proc/self/fd/0",
        "/proc/self/fd/1",
        "/proc/self/fd/2",
        "pts/ptmx",
        "2",
    ]


def test_home(box: Box) -> None:
    with open(f"{box.rootfs}/etc/passwd", "w") as f:
        f.write("broken\nroot:x:0:0:root:/tmp/root:/bin/sh\nu:x:7:7::relative\n")
    assert box.sh("echo $HOME") == "/tmp/root\n"
    box.spec["process"]["user"] = {"uid": 7, "gid": 7}
    assert box.sh("echo $HOME") == "/\n"
    box.spec["process"]["env"].append("HOME=/given")
    assert box.sh("echo $HOME") == "/given\n"


def test_mounts(box: Box) -> None:
    os.makedirs(f"{box.dir}/vol/sub")
    with open(f"{box.dir}/file", "w") as f:
        f.write("content")
    os.makedirs(f"{box.rootfs}/var/seed")
    with open(f"{box.rootfs}/var/seed/a", "w") as f:
        f.write("seeded")
    box.spec["mounts"] += [
        {
            "destination": "/mnt/vol",
            "type": "bind",
            "source": f"{box.dir}/vol",
            "options": ["rbind", "rprivate", "ro", "nosuid"],
        },
        {"destination": "/mnt/rw", "type": "bind", "source": f"{box.dir}/vol", "options": ["rbind", "rw"]},
        {"destination": "/a/b/file", "source": f"{box.dir}/file", "options": ["bind", "ro"]},
        {
            "destination": "/var",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["size=128k", "mode=711", "tmpcopyup", "nodev"],
        },
        {"destination": "/tmp/ro", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]},
    ]
    out = box.sh(
        "touch /mnt/vol/x 2>/dev/null || echo vol-ro; touch /mnt/rw/y && echo rw; cat /a/b/file; echo; "
        "echo z 2>/dev/null > /a/b/file || echo file-ro; cat /var/seed/a; echo; touch /var/new && echo var; "
        "touch /tmp/ro/x 2>/dev/null || echo tmp-ro; "
        "grep ' /var ' /proc/self/mountinfo | cut -d' ' -f6"
    )
    assert out.split() == [
        "vol-ro",
        "rw",
        "content",
        "file-ro",
        "seeded",
        "var",
        "tmp-ro",
        "rw,nodev,relatime",
    ]
    assert os.path.exists(f"{box.dir}/vol/y")
    missing = {"destination": "/m", "type": "bind", "source": "/no/such/thing", "options": ["bind"]}
    box.spec["mounts"].append(missing)
    p = box.run("true")
    assert p.returncode == 1 and p.stderr == "mounts[9]: mount `/no/such/thing` to `/m`: No such file or directory\n"


def test_mount_targets_stay_beneath_the_root(box: Box) -> None:
    """Links of the image that point out of it are resolved in it."""
    os.makedirs(f"{box.dir}/outside")
    os.symlink(f"{box.dir}/outside", f"{box.rootfs}/abs")
    os.symlink("../../outside", f"{box.rootfs}/rel")
    os.symlink("/run/resolve/stub.conf", f"{box.rootfs}/etc/resolv.conf")
    with open(f"{box.dir}/file", "w") as f:
        f.write("bound")
    for destination in ("/abs/x", "/rel/y", "/../../../outside/z", "/etc/resolv.conf"):
        box.spec["mounts"].append(
            {"destination": destination, "type": "bind", "source": f"{box.dir}/file", "options": ["bind"]}
        )
    out = box.sh("cat /abs/x /rel/y /outside/z /run/resolve/stub.conf /etc/resolv.conf")
    assert out == "bound" * 5
    assert os.listdir(f"{box.dir}/outside") == []


def test_proc_must_not_be_a_link(box: Box) -> None:
    os.rmdir(f"{box.rootfs}/proc")
    os.symlink("/tmp", f"{box.rootfs}/proc")
    p = box.run("true")
    assert (
        p.returncode == 1 and p.stderr == "mounts[0]: mount `proc` to `/proc`: the target must not be a symbolic link\n"
    )


def test_masked_and_readonly_paths(box: Box) -> None:
    with open(f"{box.rootfs}/secret/key", "w") as f:
        f.write("key")
    box.spec["linux"].update(
        maskedPaths=["/secret", "/proc/keys", "/proc/timer_list", "/no/such"],
        readonlyPaths=["/proc/sys", "/tmp", "/no/such"],
    )
    out = box.sh(
        "ls /secret; touch /secret/x 2>/dev/null || echo locked; [ -c /proc/timer_list ] && cat /proc/timer_list; "
        "touch /tmp/x 2>/dev/null || echo tmp-ro; "
        "echo 1 2>/dev/null >/proc/sys/net/ipv4/ip_forward || echo sys-ro"
    )
    assert out.split() == ["locked", "tmp-ro", "sys-ro"]


def test_readonly_root(box: Box) -> None:
    box.spec["root"]["readonly"] = True
    box.spec["mounts"].append({"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"})
    assert box.sh("touch /x 2>/dev/null || echo ro; touch /scratch/x && echo rw").split() == ["ro", "rw"]


def test_working_directory_is_made_before_the_root_is_readonly(box: Box) -> None:
    box.spec["root"]["readonly"] = True
    box.spec["process"]["cwd"] = "/made/for/it"
    assert box.sh("pwd") == "/made/for/it\n"


def test_sysctl_of_the_host(box: Box) -> None:
    box.spec["linux"]["sysctl"] = {"vm.swappiness": "1"}
    p = box.run("true")
    words = "linux.sysctl.vm.swappiness: is not of any namespace, it would change the host's\n"
    assert (p.returncode, p.stderr) == (1, words)


def test_root_is_all_there_is(box: Box) -> None:
    """Nothing of the host's mounts is left in the container."""
    points = box.sh("cut -d' ' -f5 /proc/self/mountinfo").split()
    assert points[0] == "/" and set(points) == {
        "/",
        "/proc",
        "/dev",
        "/dev/pts",
        "/sys",
        *(f"/dev/{d}" for d in "null zero full random urandom tty".split()),
    }


def test_sysctl_and_hostname(box: Box) -> None:
    box.spec["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/forwarding": "0"}
    box.spec["domainname"] = "dom"
    assert box.sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/domainname").split() == ["1", "dom"]
    box.spec["linux"]["sysctl"] = {"net.no.such": "1"}
    p = box.run("true")
    assert p.returncode == 1 and p.stderr == "linux.sysctl.net.no.such: open `/proc/sys/net/no/such`: No such file or directory\n"
    box.spec["linux"]["sysctl"] = {"net/../../../etc/passwd": "1"}
    p = box.run("true")
    assert p.returncode == 1 and p.stderr == "linux.sysctl.net/../../../etc/passwd: not the name of a sysctl\n"


def test_loopback_is_up(box: Box) -> None:
    assert box.sh("cat /sys/class/net/lo/operstate; cat /sys/class/net/lo/flags").split()[1] == "0x9"


SECCOMP = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
}
MKDIR = "mkdir /tmp/d 2>&1; grep Seccomp: /proc/self/status"
FILTERED = [
    "mkdir:",
    "can't",
    "create",
    "directory",
    "'/tmp/d':",
    "Operation",
    "not",
    "supported",
    "Seccomp:",
    "2",
]


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_seccomp(box: Box, no_new_privileges: bool) -> None:
    box.spec["linux"]["seccomp"] = SECCOMP
    box.spec["process"]["noNewPrivileges"] = no_new_privileges
    assert box.sh(MKDIR).split() == FILTERED
    cache = f"{box.root}/.cache/seccomp"
    (entry,) = os.listdir(cache)
    stamp = os.stat(f"{cache}/{entry}").st_mtime_ns
    assert box.sh(MKDIR).split() == FILTERED
    assert os.stat(f"{cache}/{entry}").st_mtime_ns == stamp
    with open(f"{cache}/{entry}", "wb") as f:
        f.write(b"damaged")
    assert box.sh(MKDIR).split() == FILTERED
    pid = box.start("sleep", "100")
    assert box("exec", "c", "sh", "-c", MKDIR).stdout.split() == FILTERED
    os.unlink(f"{cache}/{entry}")
    assert box("exec", "c", "sh", "-c", MKDIR).stdout.split() == FILTERED
    box.ok("delete", "--force", "c")
    assert reap(pid) == -9


def test_seccomp_cache_that_cannot_be_written(box: Box) -> None:
    box.spec["linux"]["seccomp"] = SECCOMP
    os.mkdir(box.root)
    with open(f"{box.root}/.cache", "w"):
        pass
    assert box.sh(MKDIR).split() == FILTERED


def test_seccomp_listener(box: Box) -> None:
    """The fd that answers for system calls reaches a socket of the host, with the container's state."""
    path = f"{box.dir}/listener.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    listener.settimeout(10)
    notify = {"names": ["sethostname"], "action": "SCMP_ACT_NOTIFY"}
    box.spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "meta"}
    box.spec["linux"]["seccomp"]["syscalls"] = [notify]
    assert box.sh("grep Seccomp: /proc/self/status").split()[1] == "2"
    peer, _ = listener.accept()
    data, anc, _, _ = peer.recvmsg(65536, socket.CMSG_SPACE(4))
    (fd,) = array.array("i", anc[0][2][:4])
    assert os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:seccomp notify"
    message = json.loads(data)
    assert (message["fds"], message["metadata"], message["state"]["id"]) == (["seccompFd"], "meta", "c")
    for closing in (peer, listener):
        closing.close()
    os.close(fd)
    box.spec["linux"]["seccomp"]["listenerPath"] = "/no/such.sock"
    p = box.run("true")
    words = "linux.seccomp.listenerPath: open seccomp listener `/no/such.sock`: No such file or directory\n"
    assert p.returncode == 1 and p.stderr == words


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


def hook(box: Box, name: str, extra: str = "") -> Config:
    script = f'echo {name} $(sed \'s/.*"status":"\\([a-z]*\\)".*/\\1/\') >> {box.dir}/hooks; {extra}'
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}


def test_hooks(box: Box) -> None:
    names = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    box.spec["hooks"] = {n: [hook(box, n)] for n in names}
    # This one runs in the container, which has no sed.
    box.spec["hooks"]["startContainer"] = [
        {"path": "/bin/sh", "args": ["sh", "-c", "cat > /tmp/state"], "env": ["PATH=/bin"]}
    ]
    assert json.loads(box.sh("cat /tmp/state"))["id"] == "c"
    with open(f"{box.dir}/hooks") as f:
        assert f.read().split("\n")[:-1] == [
            "prestart creating",
            "createRuntime creating",
            "createContainer creating",
            "poststart running",
            "poststop stopped",
        ]


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_failing_hook_aborts(box: Box, kind: str) -> None:
    box.spec["hooks"] = {kind: [hook(box, kind, "exit 7")]}
    p = box.run("true")
    assert p.returncode == 1 and p.stderr == f"error executing hook `/bin/sh` ({kind}, exit code: 7)\n"
    assert box.ids() == []


def test_killed_creator_leaves_nothing_in_the_way(box: Box) -> None:
    box.spec["hooks"] = {
        "createRuntime": [
            {
                "path": "/bin/sh",
                "args": ["sh", "-c", f"echo $PPID > {box.dir}/creator; sleep 100"],
                "env": ["PATH=/bin:/usr/bin"],
            }
        ]
    }
    box.write("sleep", "100")
    p = subprocess.Popen(box.argv("create", "-b", box.bundle, "c"), stderr=subprocess.DEVNULL)
    while not os.path.exists(f"{box.dir}/creator") or not os.path.getsize(f"{box.dir}/creator"):
        time.sleep(0.005)
    children = box.inside("sh", "-c", f"cat /proc/{p.pid}/task/{p.pid}/children").stdout.split()
    p.kill()
    p.wait()
    for child in children:  # the container's process ends by itself; the hook is a stranger that goes on
        with open(f"/proc/{child}/cmdline") as f:
            if f.read().startswith("sh"):
                os.kill(int(child), signal.SIGKILL)
        reap(int(child))
    assert box.state()["status"] == "stopped"
    del box.spec["hooks"]
    assert box.sh("echo again") == "again\n"


def test_force_delete_while_it_is_created(box: Box) -> None:
    sleep = {"path": "/bin/sleep", "args": ["sleep", "0.3"]}
    box.spec["hooks"] = {"createRuntime": [sleep]}
    box.write("true")
    with subprocess.Popen(box.argv("create", "-b", box.bundle, "c"), stdout=subprocess.DEVNULL) as p:
        while box.ids() != ["c"]:
            time.sleep(0.005)
        assert json.loads(box.ok("list", "-f", "json"))[0]["status"] == "creating"
        asked = box("state", "c")
        assert (asked.returncode, asked.stderr) == (1, "container `c` is being created\n")
        refused = box("delete", "c")
        assert (refused.returncode, refused.stderr) == (1, "container `c` is being created\n")
        box.ok("delete", "--force", "c")
    assert p.returncode == 0 and box.ids() == []


def test_state_after_the_process_was_killed(box: Box) -> None:
    pid = box.start("sleep", "100")
    os.kill(pid, signal.SIGKILL) if box.inside("sh", "-c", f"kill -9 {pid}").returncode else None
    reap(pid)
    assert box.state()["status"] == "stopped"
    p = box("exec", "c", "true")
    assert p.returncode == 1 and p.stderr == "the container `c` is not running\n"


def test_reused_pid_is_not_the_container(box: Box) -> None:
    pid = box.start("sleep", "100")
    path = f"{box.root}/c/state.json"
    with open(path) as f:
        state = json.load(f)
    state["startTime"] += 1
    with open(path, "w") as f:
        json.dump(state, f)
    assert box.state()["status"] == "stopped"
    assert box("kill", "c", "KILL").returncode == 1
    box.ok("delete", "c")
    assert os.path.exists(f"/proc/{pid}")
    box.inside("sh", "-c", f"kill -9 {pid}")
    assert reap(pid) == -9


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


def test_run_forwards_signals(box: Box) -> None:
    box.write("sh", "-c", "trap 'echo got; exit 23' TERM; echo ready; while true; do sleep 0.01; done")
    p = subprocess.Popen(box.argv("run", "-b", box.bundle, "c"), stdout=subprocess.PIPE, text=True)
    assert p.stdout is not None and p.stdout.readline() == "ready\n"
    p.send_signal(signal.SIGTERM)
    assert p.communicate(timeout=10)[0] == "got\n" and p.returncode == 23


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 200", 200), ("kill -15 $$; sleep 1", 0), ("sh -c 'kill -9 $$'; exit $?", 137)],
)
def test_run_exit_codes(box: Box, script: str, code: int) -> None:
    # Process 1 of a pid namespace does not die of a signal that it does not handle (pid_namespaces(7)).
    assert box.run("sh", "-c", script).returncode == code


def test_new_user_namespace(box: Box) -> None:
    box.spec["linux"]["namespaces"].append({"type": "user"})
    maps = [{"containerID": 0, "hostID": 100, "size": 50}]
    box.spec["linux"].update(uidMappings=maps, gidMappings=maps)
    box.inside("chown", "-R", "100:100", box.rootfs)
    box.inside("chmod", "711", box.dir)
    out = box.sh("cat /proc/self/uid_map; id -u; touch /tmp/x && stat -c %u /tmp/x")
    assert out.split() == ["0", "100", "50", "0", "0"]
    assert box.inside("stat", "-c", "%u", f"{box.rootfs}/tmp/x").stdout == "100\n"
    box.start("sleep", "100")
    assert box("exec", "--user", "3", "c", "sh", "-c", "id -u; cat /proc/self/uid_map").stdout.split() == [
        "3",
        "0",
        "100",
        "50",
    ]


def test_namespaces_by_path(box: Box) -> None:
    first = box.start("sleep", "100", name="a")
    kinds = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts"}
    for ns in box.spec["linux"]["namespaces"]:
        if ns["type"] in kinds:
            ns["path"] = f"/proc/{first}/ns/{kinds[ns['type']]}"
    del box.spec["hostname"]
    box.spec["linux"]["namespaces"] = [n for n in box.spec["linux"]["namespaces"] if n["type"] != "uts"]
    links = "for n in pid net ipc; do readlink /proc/self/ns/$n; done"
    assert box.sh(links) == box("exec", "a", "sh", "-c", links).stdout
    box.spec["linux"]["namespaces"][0] = {"type": "pid", "path": f"/proc/{first}/ns/net"}
    p = box.run("true")
    assert (
        p.returncode == 1
        and p.stderr == f"linux.namespaces[0].path: `/proc/{first}/ns/net` is not a pid namespace\n"
    )


def test_program_file_cannot_be_written(box: Box) -> None:
    """CVE-2019-5736: a program that the user owns is run where nobody can reopen it for writing."""
    mine = f"{box.dir}/podlike-spawn"
    shutil.copy(box.runtime, mine)
    box.runtime = mine
    pid = box.create("true")
    p = box.inside("sh", "-c", f"echo x > /proc/{pid}/exe")
    assert p.returncode != 0 and "Read-only file system" in p.stderr


def test_program_run_by_itself_in_the_container(box: Box) -> None:
    with open(f"{box.rootfs}/evil", "w") as f:
        f.write("#!/proc/self/exe\n")
    os.chmod(f"{box.rootfs}/evil", 0o755)
    mine = f"{box.dir}/podlike-spawn"
    shutil.copy(box.runtime, mine)
    box.runtime = mine
    with open(mine, "rb") as f:
        before = f.read()
    box.run("/evil")
    with open(mine, "rb") as f:
        assert f.read() == before


def test_list_and_forms_of_options(box: Box) -> None:
    assert box.ok("list", "--format=json") == "[]\n" if os.path.isdir(box.root) else True
    box.create("true", name="one")
    box.create("true", name="two")
    assert sorted(box.ids()) == ["one", "two"]
    rows = json.loads(box.ok("list", "-f", "json"))
    assert {r["id"]: r["status"] for r in rows} == {"one": "created", "two": "created"}
    assert box.ok("list").splitlines()[0].split()[:3] == ["NAME", "PID", "STATUS"]


def test_damaged_state_of_one_container(box: Box) -> None:
    box.create("true", name="good")
    box.create("true", name="bad")
    pid = box.state("bad")["pid"]
    with open(f"{box.root}/bad/state.json", "w") as f:
        f.write("{")
    assert box.ids() == ["good"]
    p = box("state", "bad")
    assert p.returncode == 1 and "read the state of container `bad`" in p.stderr
    box.ok("delete", "--force", "bad")
    box.inside("sh", "-c", f"kill -9 {pid}")


def test_missing_container(box: Box) -> None:
    for command in (["start"], ["kill"], ["delete"], ["exec"], ["ps"], ["pause"]):
        p = box(*command, "none", *(["true"] if command == ["exec"] else []))
        assert (p.returncode, p.stderr) == (1, "container `none` does not exist\n")
    box.ok("delete", "--force", "none")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["frob"], "unknown command `frob`"),
        (["create"], "usage: podlike-spawn create"),
        (["create", "--nope", "c"], "unknown option --nope"),
        (["--cgroup-manager", "x", "list"], "unknown cgroup manager `x`"),
        (["--root"], "option --root requires an argument"),
        (["create", "-b", "/no/such", "c"], "open bundle `/no/such`: No such file or directory"),
    ],
)
def test_usage_errors(box: Box, args: list[str], words: str) -> None:
    p = box(*args)
    assert p.returncode == 1 and words in p.stderr and p.stderr.count("\n") == 1


def test_version_help_features_spec(box: Box) -> None:
    version = box.ok("--version")
    assert version.startswith("podlike-spawn version ") and "spec: 1.2.0\n" in version
    commands = [
        line.split()[0] for line in box.ok("--help").split("Commands:\n")[1].split("\n\n")[0].splitlines()
    ]
    assert {"create", "start", "exec", "delete"} <= set(commands)
    for c in commands:
        assert box.ok(c, "--help").startswith(f"Usage: podlike-spawn {c}")
    features = json.loads(box.ok("features"))
    assert "rbind" in features["mountOptions"] and "CAP_CHOWN" in features["linux"]["capabilities"]
    os.unlink(f"{box.bundle}/config.json") if os.path.exists(f"{box.bundle}/config.json") else None
    box.ok("spec", "--rootless", "-b", box.bundle)
    with open(f"{box.bundle}/config.json") as f:
        box.spec = json.load(f)
    box.spec["process"]["terminal"] = False
    box.spec["linux"]["uidMappings"][0]["hostID"] = box.spec["linux"]["gidMappings"][0]["hostID"] = 0
    assert box.sh("hostname") == "podlike\n"


def own_cgroup() -> str:
    with open("/proc/self/cgroup") as f:
        return next((line.rstrip("\n")[3:] for line in f if line.startswith("0::")), "")


def test_cgroup(box: Box) -> None:
    parent = os.path.dirname(own_cgroup())
    need(
        os.path.exists("/sys/fs/cgroup/cgroup.controllers")
        and parent not in ("", "/")
        and os.access(f"/sys/fs/cgroup{parent}", os.W_OK),
        "optional: no cgroup v2 subtree that belongs to this user",
        optional=True,
    )
    path = f"{parent}/podlike-test-{os.getpid()}"
    box.spec["linux"]["cgroupsPath"] = path
    pid = box.start("sh", "-c", "sleep 100 & sleep 100")
    with open(f"/proc/{pid}/cgroup") as f:
        assert f"0::{path}\n" in f.read()
    p = box("exec", "c", "sh", "-c", "cat /proc/self/cgroup")
    assert "0::/\n" in p.stdout
    assert len(json.loads(box.ok("ps", "-f", "json", "c"))) == 2
    box.ok("pause", "c")
    assert box.state()["status"] == "paused"
    p = box("exec", "c", "true")
    assert p.returncode == 1 and "is paused" in p.stderr
    box.ok("resume", "c")
    assert box.state()["status"] == "running"
    box.ok("kill", "--all", "c", "KILL")
    assert reap(pid) == -9
    box.ok("delete", "c")
    assert not os.path.exists(f"/sys/fs/cgroup{path}")
    box.spec["linux"]["resources"] = {"memory": {"limit": 50 << 20}}
    with open(f"/sys/fs/cgroup{parent}/cgroup.controllers") as f:
        if "memory" not in f.read().split():
            p = box.run("true")
            assert p.returncode == 1 and "the requested cgroup controller `memory` is not available" in p.stderr
            assert not os.path.exists(f"/sys/fs/cgroup{path}")


@pytest.mark.parametrize(
    "script",
    [
        "grep -E '^(Cap|Uid|Gid|Groups|NoNewPrivs|Seccomp:|SigIgn|SigBlk)' /proc/self/status",
        "ulimit -a; umask; pwd; env; hostname; id",
        "ls /dev; ls -d /proc/self/fd; readlink /dev/fd; readlink /dev/ptmx; cat /proc/self/limits",
        "cut -d' ' -f5 /proc/self/mountinfo | sort; touch /x && echo rw",
        "cat /proc/self/uid_map /proc/self/setgroups; cat /proc/self/oom_score_adj",
    ],
)
def test_same_as_crun(box: Box, script: str) -> None:
    crun = shutil.which("crun")
    need(crun, "optional: no crun to compare with", optional=True)
    assert crun is not None
    box.spec["ociVersion"] = "1.0.2"  # all that older ones take
    box.spec["linux"].update(readonlyPaths=["/proc/sys"], seccomp=SECCOMP)
    mine = box.run("sh", "-c", script)
    box.runtime = crun
    theirs = box.run("sh", "-c", script)
    assert (mine.returncode, mine.stdout, mine.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
