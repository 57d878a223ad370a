"""Attacks on podlike-spawn: links that change under its hands, images that lie, fakes where the host's files should be.

As an ordinary user, and as root in the root step, where a failure would be the machine's.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.box import Box, Console

SWAP = """
import ctypes, sys
rename = ctypes.CDLL(None).renameat2
a, b = (p.encode() for p in sys.argv[1:])
print(flush=True)
while True:
    rename(-100, a, -100, b, 2)  # RENAME_EXCHANGE
"""


@contextmanager
def swapping(a: str, b: str) -> Iterator[None]:
    """Another process exchanges two names as fast as it can."""
    with subprocess.Popen([sys.executable, "-c", SWAP, a, b], stdout=subprocess.PIPE) as p:
        assert p.stdout is not None and p.stdout.readline()
        try:
            yield
        finally:
            p.kill()


@pytest.fixture
def outside(any_box: Box) -> Iterator[str]:
    """A directory of the host that no container may touch, looked at afterwards."""
    path = f"{any_box.dir}/outside"
    os.makedirs(f"{path}/sub")
    with open(f"{path}/file", "w") as f:
        f.write("host")
    before = any_box.inside("cat", "/proc/self/mountinfo").stdout
    yield path
    seen = {d: sorted(dirs + files) for d, dirs, files in os.walk(path)}
    assert seen == {path: ["file", "sub"], f"{path}/sub": []}
    with open(f"{path}/file") as f:
        assert f.read() == "host"
    assert os.stat(path).st_mode & 0o777 == 0o755
    assert any_box.inside("cat", "/proc/self/mountinfo").stdout == before, "a mount has reached the host"


def race(box: Box, outside: str, target: str, rounds: int = 30) -> set[str]:
    """Start containers while TARGET is now a directory, now a link out of the container. What they said."""
    evil = f"{box.dir}/evil"
    os.symlink(outside, evil)
    os.makedirs(f"{box.rootfs}{target}/sub", exist_ok=True)
    said = set()
    with swapping(f"{box.rootfs}{target}", evil):
        for _ in range(rounds):
            p = box.run("true")
            assert p.returncode in (0, 1), p.stderr
            assert p.stderr.count("\n") <= 1
            said.add(p.stderr)
    return said


# --- links that change while the container is made ---------------------------------------------------------------------


def test_swapped_mount_targets(any_box: Box, outside: str) -> None:
    vol = f"{any_box.dir}/vol"
    os.mkdir(vol)
    with open(f"{any_box.dir}/plain", "w"):
        pass
    any_box.spec["mounts"] += [
        {"destination": "/t/a", "type": "tmpfs"},
        {"destination": "/t/sub", "type": "tmpfs", "options": ["ro"]},
        {"destination": "/t/b", "source": vol, "options": ["bind", "ro"]},
        {"destination": "/t/c", "source": f"{any_box.dir}/plain", "options": ["bind"]},
        {"destination": "/t/d", "source": f"{any_box.dir}/plain", "options": ["bind", "dest-nofollow"]},
        {"destination": "/t/e", "type": "tmpfs", "options": ["rprivate", "tmpcopyup"]},
    ]
    race(any_box, outside, "/t")


def test_swapped_masked_and_readonly_paths(any_box: Box, outside: str) -> None:
    any_box.spec["linux"].update(maskedPaths=["/t/sub", "/t/file"], readonlyPaths=["/t", "/t/sub"])
    race(any_box, outside, "/t")


def test_swapped_place_of_a_device(any_box: Box, outside: str) -> None:
    any_box.spec["linux"]["devices"] = [
        {"path": "/t/null", "type": "c", "major": 1, "minor": 3},
        {"path": "/t/sub/pipe", "type": "p"},
    ]
    any_box.spec["mounts"] = [m for m in any_box.spec["mounts"] if not m["destination"].startswith("/dev")]
    any_box.spec["linux"]["devices"][0]["path"] = "/t/null" if os.geteuid() == 0 else "/dev/null"
    race(any_box, outside, "/t")


def test_swapped_dev(any_box: Box, outside: str) -> None:
    """/dev of the image itself: default devices and links go into it."""
    any_box.spec["mounts"] = [m for m in any_box.spec["mounts"] if not m["destination"].startswith("/dev")]
    said = race(any_box, outside, "/dev")
    assert any("/dev must not be a symbolic link" in s for s in said)


def test_swapped_proc(any_box: Box, outside: str) -> None:
    said = race(any_box, outside, "/proc")
    assert "mounts[0]: mount `proc` to `/proc`: the target must not be a symbolic link\n" in said


def test_swapped_working_directory(any_box: Box, outside: str) -> None:
    any_box.spec["process"]["cwd"] = "/t/sub/made/here"
    race(any_box, outside, "/t")


def test_swapped_source_of_tmpcopyup(any_box: Box, outside: str) -> None:
    """What is copied up lies beneath the root: the secret of the host does not show up."""
    any_box.spec["mounts"].append({"destination": "/t", "type": "tmpfs", "options": ["tmpcopyup"]})
    evil = f"{any_box.dir}/evil"
    os.symlink(outside, evil)
    os.mkdir(f"{any_box.rootfs}/t")
    with swapping(f"{any_box.rootfs}/t", evil):
        for _ in range(30):
            p = any_box.run("cat", "/t/file")
            assert "host" not in p.stdout


# --- images that lie -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "index"), [("proc", 0), ("sys", 3)])
def test_trusted_places_are_no_links(any_box: Box, place: str, index: int) -> None:
    os.rmdir(f"{any_box.rootfs}/{place}")
    os.symlink("tmp", f"{any_box.rootfs}/{place}")
    p = any_box.run("true")
    kind = "proc" if place == "proc" else "sysfs"
    assert p.stderr == f"mounts[{index}]: mount `{kind}` to `/{place}`: the target must not be a symbolic link\n"


def test_dev_is_no_link(any_box: Box, outside: str) -> None:
    any_box.spec["mounts"] = [m for m in any_box.spec["mounts"] if not m["destination"].startswith("/dev")]
    os.rmdir(f"{any_box.rootfs}/dev")
    os.symlink(outside, f"{any_box.rootfs}/dev")
    p = any_box.run("true")
    assert (p.returncode, p.stderr) == (1, "create `/dev/null`: /dev must not be a symbolic link\n")


def test_passwd_that_never_ends(any_box: Box) -> None:
    """The home directory is looked up there; neither a pipe nor a huge file may keep us."""
    path = f"{any_box.rootfs}/etc/passwd"
    os.mkfifo(path)
    assert any_box.sh("echo $HOME") == "/\n"
    os.unlink(path)
    os.symlink("/dev/zero", path)
    assert any_box.sh("echo $HOME") == "/\n"
    os.unlink(path)
    with open(path, "w") as f:
        f.write("root:x:0:0::" + "/x" * 5000 + ":\n" + "x:" * 400000)
    assert len(any_box.sh("echo $HOME")) < 6000


def terminal(box: Box) -> str:
    box.spec["process"]["terminal"] = True
    console = Console(f"{box.dir}/console.sock")
    box.write("true")
    p = box("create", "-b", box.bundle, "--console-socket", console.path, "c")
    console.socket.close()
    return p.stderr


def image_dev(box: Box) -> str:
    """The image's own /dev, with what it likes in it."""
    box.spec["mounts"] = [m for m in box.spec["mounts"] if not m["destination"].startswith("/dev")]
    return f"{box.rootfs}/dev"


def test_console_that_is_a_link(any_box: Box, outside: str) -> None:
    """CVE-2025-52565: the terminal would be bound over a file that the image chose."""
    dev = image_dev(any_box)
    any_box.spec["mounts"].append({"destination": "/dev/pts", "type": "devpts", "options": ["newinstance", "ptmxmode=0666"]})
    os.symlink("../proc/sys/kernel/core_pattern", f"{dev}/console")
    assert terminal(any_box) == "bind the terminal on `/dev/console`: it must not be a symbolic link\n"


@pytest.mark.parametrize("kind", ["file", "link", "fifo"])
def test_ptmx_that_is_none(any_box: Box, outside: str, kind: str) -> None:
    """CVE-2025-52565: a terminal of the image's making."""
    dev = image_dev(any_box)
    if kind == "file":
        with open(f"{dev}/ptmx", "w"):
            pass
    elif kind == "link":
        os.symlink(f"{outside}/file", f"{dev}/ptmx")
    else:
        os.mkfifo(f"{dev}/ptmx")
    words = terminal(any_box)
    assert words.startswith("open `/dev/ptmx`: ") and words.count("\n") == 1


def test_exec_with_a_ptmx_of_the_containers(any_box: Box) -> None:
    """The container has changed its /dev since: a terminal is only taken from the multiplexer."""
    any_box.start("sh", "-c", "rm /dev/ptmx 2>/dev/null; mv /dev/ptmx /dev/old; echo fake > /dev/ptmx; echo done; sleep 100")
    while "done" not in any_box.output():
        time.sleep(0.01)
    console = Console(f"{any_box.dir}/console.sock")
    p = any_box("exec", "--tty", "--console-socket", console.path, "c", "true")
    console.socket.close()
    assert p.returncode == 1 and p.stderr == "open `/dev/ptmx`: it is not the pseudo-terminal multiplexer\n"


# --- fakes where the host's files should be ------------------------------------------------------------------------------


def with_mounts(box: Box, script: str) -> subprocess.CompletedProcess[str]:
    """The runtime in a mount namespace in which somebody has mounted something."""
    box.write()
    argv = box.argv("run", "-b", box.bundle, "c")[len(box.enter) :]
    enter = [*box.enter, "unshare", "-m", "--propagation", "private", "sh", "-c", f'{script} && exec "$@"', "sh", *argv]
    return subprocess.run(enter, capture_output=True, text=True, timeout=20)


def test_null_that_is_none(any_box: Box, outside: str) -> None:
    """CVE-2025-31133: a mask is made of the real /dev/null or not at all."""
    any_box.spec["linux"]["maskedPaths"] = ["/etc/secret"]
    any_box.spec["mounts"] = [m for m in any_box.spec["mounts"] if not m["destination"].startswith("/dev")]
    with open(f"{any_box.rootfs}/etc/secret", "w") as f:
        f.write("secret")
    p = with_mounts(any_box, f"mount --bind {outside}/file /dev/null")
    assert p.returncode == 1 and p.stdout == ""
    if os.geteuid() == 0:  # a user's container gets the host's own device, and that is missed first
        assert p.stderr == "linux.maskedPaths: mask `/etc/secret`: No such device or address\n"
    else:
        assert p.stderr.startswith("create device `/dev/null`: ") and p.stderr.count("\n") == 1


def test_null_of_the_image_is_no_mask(any_box: Box) -> None:
    """The image's /dev/null is a file with something in it, or a link: masks do not come from there."""
    dev = image_dev(any_box)
    with open(f"{any_box.rootfs}/etc/secret", "w") as f:
        f.write("secret")
    os.symlink("../etc/secret", f"{dev}/null")
    any_box.spec["linux"]["maskedPaths"] = ["/etc/secret"]
    p = any_box.run("sh", "-c", "cat /etc/secret; [ -c /etc/secret ] && echo masked")
    assert p.stdout == "masked\n" or (p.returncode == 1 and "secret" not in p.stdout)


def test_sysctl_that_was_covered(any_box: Box, outside: str) -> None:
    """CVE-2025-52881: a write to /proc/sys goes to procfs or nowhere."""
    any_box.spec["linux"]["sysctl"] = {"kernel.domainname": "x"}
    any_box.spec["process"]["args"] = ["true"]
    for covered, fake in (("/proc/sys/kernel/domainname", f"{outside}/file"), ("/proc/sys/kernel", f"{outside}/sub")):
        p = with_mounts(any_box, f"mount --bind {fake} {covered}")
        assert p.returncode == 1
        assert p.stderr == "linux.sysctl.kernel.domainname: open `/proc/sys/kernel/domainname`: Invalid cross-device link\n"


def test_score_and_maps_that_were_covered(any_box: Box, outside: str) -> None:
    """The same for what is written of the process itself."""
    fake = f"{any_box.dir}/fake"
    os.makedirs(f"{fake}/self")
    os.makedirs(f"{fake}/sys/kernel")
    for name in ("self/oom_score_adj", "self/uid_map"):
        with open(f"{fake}/{name}", "w"):
            pass
    shutil.copy(any_box.runtime, f"{fake}/self/exe")
    any_box.spec["process"].update(args=["true"], oomScoreAdj=100)
    p = with_mounts(any_box, f"mount --rbind {fake} /proc")
    assert p.returncode == 1 and p.stderr.count("\n") == 1
    assert os.path.getsize(f"{fake}/self/oom_score_adj") == 0


def test_label_goes_to_procfs_through_the_hosts_descriptor(any_box: Box) -> None:
    """The image's /proc is a bare directory with a fake in it: nothing is written there."""
    any_box.spec["mounts"] = [m for m in any_box.spec["mounts"] if m["destination"] != "/proc"]
    fake = f"{any_box.rootfs}/proc/self"
    os.makedirs(f"{fake}/attr")
    for name in ("attr/exec", "oom_score_adj", "setgroups", "timens_offsets"):
        with open(f"{fake}/{name}", "w"):
            pass
    any_box.spec["process"]["oomScoreAdj"] = 200
    assert any_box.sh("wc -c /proc/self/attr/exec /proc/self/oom_score_adj").split()[-2] == "0"


# --- descriptors ---------------------------------------------------------------------------------------------------------


def test_working_directory_of_exec_outside(any_box: Box) -> None:
    """CVE-2024-21626, by exec: a descriptor of the host as working directory."""
    any_box.start("sleep", "100")
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        refused = 0
        for n in range(3, 24):
            script = "cd ../../../../../../../..; stat -c %d:%i . /"
            p = any_box("exec", "--cwd", f"/proc/self/fd/{n}", "c", "sh", "-c", script, pass_fds=(fd,))
            if p.returncode == 0:
                here, root = p.stdout.split()
                assert here == root, n
            refused += "outside of the container" in p.stderr
        assert refused >= 1
    finally:
        os.close(fd)


def test_nothing_is_open_in_the_container(any_box: Box) -> None:
    """Whatever the caller has open, and what the runtime itself opens: the program and exec get 0, 1, 2."""
    vol = f"{any_box.dir}/vol"
    os.mkdir(vol)
    any_box.spec["mounts"] += [
        {"destination": "/a", "source": vol, "options": ["rbind", "rshared"]},
        {"destination": "/b", "type": "tmpfs", "options": ["ro"]},
        {"destination": "/c", "type": "tmpfs", "options": ["tmpcopyup", "rprivate"]},
    ]
    any_box.spec["linux"].update(maskedPaths=["/etc", "/proc/keys"], readonlyPaths=["/proc/sys"])
    any_box.spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    any_box.spec["hooks"] = {"createContainer": [{"path": "/bin/true"}]}
    with open("/etc/passwd") as a, socket.socket() as b:
        fds = (a.fileno(), b.fileno())
        any_box.write("ls", "/proc/self/fd")
        assert any_box("run", "-b", any_box.bundle, "c", pass_fds=fds).stdout.split() == ["0", "1", "2", "3"]  # 3: ls itself
        any_box.start("sleep", "100")
        assert any_box("exec", "c", "ls", "/proc/self/fd", pass_fds=fds).stdout.split() == ["0", "1", "2", "3"]
    with open(f"{any_box.dir}/c.pid") as f:
        pid = f.read()
    assert any_box.inside("ls", f"/proc/{pid}/fd").stdout.split() == ["0", "1", "2"]


def test_runtime_cannot_be_looked_at_from_inside(any_box: Box) -> None:
    """exec: between joining and execve(2) the process is not dumpable, so its descriptors are out of reach."""
    # What can be listed is one thing (who is root owns that directory); what can be followed, another.
    script = "while true; do for f in /proc/[0-9]*/fd/[3-9] /proc/[0-9]*/cwd; do readlink $f; done; done 2>/dev/null"
    any_box.start("sh", "-c", script)
    for _ in range(40):
        assert any_box("exec", "c", "true").returncode == 0
    seen = set(any_box.output().split())
    assert {s for s in seen if not s.startswith("/proc")} <= {"/"}, "nothing but working directories, and ls reading /proc"


def test_state_is_out_of_reach(any_box: Box) -> None:
    any_box.start("sleep", "100")
    assert os.stat(f"{any_box.root}/c").st_mode & 0o777 == 0o700
    assert any_box("exec", "c", "ls", any_box.root).returncode != 0
