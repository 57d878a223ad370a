"""podlike-spawn checkpoint and restore: with CRIU for root, refused in words elsewhere."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.support.box import Box, Console, read_all, reap
from tests.support.need import need
from tests.support.pty import Terminal

COUNT = "i=0; while true; do i=$((i+1)); echo $i >> /tmp/count; sleep 0.02; done"


def test_refused_for_an_ordinary_user(box: Box) -> None:
    pid = box.start("sleep", "100")
    p = box("checkpoint", "--image-path", f"{box.dir}/images", "c")
    assert (p.returncode, p.stderr) == (1, "checkpoint needs root: CRIU cannot do it for an ordinary user\n")
    os.mkdir(f"{box.dir}/images")
    p = box("restore", "-b", box.bundle, "--image-path", f"{box.dir}/images", "d")
    assert (p.returncode, p.stderr) == (1, "restore needs root: CRIU cannot do it for an ordinary user\n")
    assert box.ids() == ["c"] and box.state()["pid"] == pid


def test_refused_where_criu_is_missing(root_box: Box) -> None:
    pid = root_box.start("sleep", "100")
    p = root_box("--criu", "no-criu", "checkpoint", "c")
    words = "the program `no-criu` is not installed: install the package criu\n"
    assert (p.returncode, p.stderr) == (1, words) and root_box.state()["pid"] == pid
    p = root_box("checkpoint", "none")
    assert (p.returncode, p.stderr) == (1, "container `none` does not exist\n")
    root_box.ok("delete", "-f", "c")
    assert reap(pid) == -9


@pytest.fixture
def criu_box(root_box: Box) -> Iterator[Box]:
    """A counter in a container of root's; PODLIKE_CRIU names the program where that in PATH is too old for the kernel."""
    program = os.environ.get("PODLIKE_CRIU") or shutil.which("criu")
    need(program, "no criu (apt-get install criu)", optional=True)
    assert program is not None
    check = subprocess.run([program, "check"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    need(check.returncode == 0, f"{program} check fails: {check.stderr[-200:]}", optional=True)
    root_box.runtime_options = ["--criu", program]
    root_box.spec["process"]["args"] = ["sh", "-c", COUNT]
    yield root_box


def images(box: Box) -> str:
    return f"{box.dir}/images"


def count(box: Box) -> int:
    try:
        with open(f"{box.rootfs}/tmp/count") as f:
            return len(f.readlines())
    except FileNotFoundError:
        return 0


def counts_on(box: Box) -> None:
    """The counter goes on, and every number is there once: nothing began anew."""
    before = count(box)
    deadline = time.monotonic() + 10
    while count(box) < before + 5:
        assert time.monotonic() < deadline, "the counter stands still"
        time.sleep(0.01)
    with open(f"{box.rootfs}/tmp/count") as f:
        numbers = [int(line) for line in f.read().splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))


def restore(box: Box, *options: str, name: str = "c") -> int:
    box.ok("restore", "-d", "-b", box.bundle, "--image-path", images(box), "--pid-file", f"{box.dir}/r.pid", *options, name)
    with open(f"{box.dir}/r.pid") as f:
        return int(f.read())


def end(box: Box, pid: int, name: str = "c") -> None:
    box.ok("delete", "--force", name)
    assert reap(pid) == -9


def quiet_create(box: Box) -> int:
    """Start a container whose streams are /dev/null."""
    box.write()
    p = subprocess.run(
        box.argv("run", "-d", "-b", box.bundle, "--pid-file", f"{box.dir}/c.pid", "c"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert p.returncode == 0
    with open(f"{box.dir}/c.pid") as f:
        return int(f.read())


def test_counter_survives(criu_box: Box) -> None:
    box = criu_box
    os.makedirs(f"{box.dir}/vol")
    os.symlink("/tmp", f"{box.rootfs}/link")
    box.spec["mounts"] += [
        {"destination": "/data", "type": "bind", "source": f"{box.dir}/vol", "options": ["rbind", "ro"]},
        {"destination": "/link/inner", "type": "bind", "source": f"{box.dir}/vol", "options": ["rbind"]},
        {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"},
    ]
    box.spec["linux"].update(maskedPaths=["/secret", "/proc/keys", "/proc/none"], readonlyPaths=["/proc/sys"])
    box.spec["process"]["args"][2] = "echo kept > /scratch/a; " + COUNT
    pid = quiet_create(box)
    counts_on(box)
    before = box.ok("exec", "c", "sh", "-c", "sort /proc/self/mounts; hostname; cat /scratch/a")
    box.ok("checkpoint", "--image-path", images(box), "--work-path", f"{box.dir}/work", "c")
    assert reap(pid) == -9 and box.ids() == []
    assert "dump.log" in os.listdir(f"{box.dir}/work")
    assert {"descriptors.json", "inventory.img"} <= set(os.listdir(images(box)))
    stopped = count(box)
    time.sleep(0.1)
    assert count(box) == stopped
    pid = restore(box, "--work-path", f"{box.dir}/work")
    assert (box.state()["status"], box.state()["pid"]) == ("running", pid)
    counts_on(box)
    assert box.ok("exec", "c", "sh", "-c", "sort /proc/self/mounts; hostname; cat /scratch/a") == before
    refused = box("exec", "c", "touch", "/data/x")
    assert "Read-only file system" in refused.stderr
    p = box("start", "c")
    assert p.returncode == 1 and "it is running, not created" in p.stderr
    end(box, pid)
    assert not [line for line in open("/proc/self/mounts") if box.dir in line]


def test_leave_running(criu_box: Box) -> None:
    box = criu_box
    pid = quiet_create(box)
    counts_on(box)
    box.ok("checkpoint", "--leave-running", "--image-path", images(box), "c")
    assert box.state()["pid"] == pid
    counts_on(box)
    end(box, pid)
    os.unlink(f"{box.rootfs}/tmp/count")
    pid = restore(box, name="again")
    assert box.state("again")["status"] == "running"
    while count(box) < 3:
        time.sleep(0.01)
    end(box, pid, "again")


def test_pre_dump(criu_box: Box) -> None:
    """The memory first, then what has changed since; a kernel that does not track memory is told of in words."""
    box = criu_box
    pid = quiet_create(box)
    counts_on(box)
    p = box("checkpoint", "--pre-dump", "--image-path", f"{box.dir}/pre", "c")
    counts_on(box)
    if p.returncode != 0:
        assert "Tracking memory is not available" in p.stderr and p.stderr.count("\n") == 1
        end(box, pid)
        return
    box.ok("checkpoint", "--parent-path", "../pre", "--image-path", images(box), "c")
    assert reap(pid) == -9 and os.readlink(f"{images(box)}/parent") == "../pre"
    pid = restore(box)
    counts_on(box)
    end(box, pid)


def test_streams_that_are_pipes(criu_box: Box) -> None:
    """What the restored program prints comes out at the restorer's streams, and its exit code is told."""
    box = criu_box
    box.write("sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.01; done; echo went on; exit 7")
    first = subprocess.Popen(
        box.argv("run", "-b", box.bundle, "c"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while box.ids() != ["c"] or box.state()["status"] != "running":
        time.sleep(0.01)
    box.ok("checkpoint", "--image-path", images(box), "c")
    assert first.communicate(timeout=10)[0] == b""
    with open(f"{box.rootfs}/tmp/go", "w"):
        pass
    p = box("restore", "--bundle", box.bundle, "--image-path", images(box), "c")
    assert (p.returncode, p.stdout, p.stderr) == (7, "went on\n", "") and box.ids() == []


def test_terminal(criu_box: Box) -> None:
    """With a console socket the terminal's new master is sent; in the foreground it is relayed."""
    box = criu_box
    box.spec["process"].update(terminal=True, args=["sh", "-c", "while read x; do echo got $x; tty; done"])
    console = Console(f"{box.dir}/first.sock")
    box.ok("spec", "-b", box.dir, "-f", "unused.json")
    box.write()
    with open(f"{box.dir}/null", "w") as null:
        subprocess.run(
            box.argv("run", "-d", "-b", box.bundle, "--console-socket", console.path, "--pid-file", f"{box.dir}/c.pid", "c"),
            check=True,
            stdin=null,
            stdout=null,
            stderr=null,
        )
    master = console.master()
    os.write(master, b"one\n")
    seen = b""
    while b"/dev/pts/0" not in seen:
        seen += os.read(master, 4096)
    with open(f"{box.dir}/c.pid") as f:
        pid = int(f.read())
    box.ok("checkpoint", "--image-path", images(box), "--leave-running", "c")
    box.ok("delete", "--force", "c")
    assert reap(pid) == -9
    os.close(master)
    console = Console(f"{box.dir}/second.sock")
    pid = restore(box, "--console-socket", console.path)
    master = console.master()
    os.write(master, b"two\n\x04")
    assert "got two\n/dev/pts/0\n" in read_all(master)
    assert reap(pid) == 0
    box.ok("delete", "c")
    with Terminal(box.argv("restore", "-b", box.bundle, "--image-path", images(box), "c")) as t:
        t.send("three\n")
        t.expect("got three\r\n/dev/pts/0")
        t.send("\x04")
        assert t.wait() == 0


def test_network_namespace_of_somebody_else(criu_box: Box) -> None:
    box = criu_box
    with subprocess.Popen(["unshare", "-n", "sh", "-c", "echo ready; read x"], stdin=-1, stdout=-1) as owner:
        assert owner.stdin is not None and owner.stdout is not None
        owner.stdout.readline()
        net = f"/proc/{owner.pid}/ns/net"
        for ns in box.spec["linux"]["namespaces"]:
            if ns["type"] == "network":
                ns["path"] = net
        pid = quiet_create(box)
        counts_on(box)
        box.ok("checkpoint", "--image-path", images(box), "c")
        assert reap(pid) == -9
        pid = restore(box)
        counts_on(box)
        assert os.readlink(f"/proc/{pid}/ns/net") == os.readlink(net)
        end(box, pid)
        owner.stdin.close()


def test_cgroup_and_limits_after_restore(criu_box: Box) -> None:
    box = criu_box
    need(os.path.exists("/sys/fs/cgroup/cgroup.controllers"), "/sys/fs/cgroup is not cgroup v2", optional=True)
    box.spec["linux"]["cgroupsPath"] = f"/podlike-test-{os.getpid()}"
    pid = quiet_create(box)
    counts_on(box)
    box.ok("checkpoint", "--image-path", images(box), "c")
    assert reap(pid) == -9
    pid = restore(box)
    with open(f"/proc/{pid}/cgroup") as f:
        assert f"0::{box.spec['linux']['cgroupsPath']}\n" in f.read()
    assert "0::/\n" in box.ok("exec", "c", "cat", "/proc/self/cgroup")
    assert "0::/\n" in box.ok("exec", "c", "cat", "/proc/1/cgroup")
    assert pid in json.loads(box.ok("ps", "-f", "json", "c"))
    box.ok("pause", "c")
    box.ok("resume", "c")
    counts_on(box)
    end(box, pid)
    assert not os.path.exists(f"/sys/fs/cgroup{box.spec['linux']['cgroupsPath']}")


def test_failures_leave_nothing(criu_box: Box) -> None:
    box = criu_box
    box.write()
    p = box("restore", "-b", box.bundle, "--image-path", "/no/such", "c")
    assert (p.returncode, p.stderr) == (1, "open the directory `/no/such` of the images: No such file or directory\n")
    os.mkdir(images(box))
    p = box("restore", "-b", box.bundle, "--image-path", images(box), "c")
    assert p.returncode == 1 and p.stderr.startswith("restore container `c`: CRIU: ") and p.stderr.count("\n") == 1
    assert box.ids() == [] and not [line for line in open("/proc/self/mounts") if box.dir in line]
    pid = box.create("true")
    p = box("checkpoint", "c")
    words = "cannot checkpoint container `c`: it is created, not running\n"
    assert (p.returncode, p.stderr) == (1, words)
    box.ok("delete", "--force", "c")
    assert reap(pid) == -9
    with open(f"{box.dir}/log", "w") as out:  # a file of the host that CRIU cannot find in the container
        box.write("sh", "-c", "while true; do sleep 0.1; done")  # CRIU ends a sleep that it interrupts
        argv = box.argv("run", "-d", "-b", box.bundle, "--pid-file", f"{box.dir}/c.pid", "c")
        assert subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out).returncode == 0
    p = box("checkpoint", "--image-path", images(box), "c")
    assert p.returncode == 1 and p.stderr.startswith("checkpoint container `c`: CRIU: Can't lookup mount")
    assert box.state()["status"] == "running"
    with open(f"{box.dir}/c.pid") as f:
        pid = int(f.read())
    end(box, pid)
