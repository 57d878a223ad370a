"""libspawn through its Python binding, each call in a process that may throw its namespaces away."""

import ctypes
import errno
import os
import select
import signal
import socket
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypedDict

import pytest

from podlike.runtime import cgroup, session, spawn
from tests.support.need import need

pytestmark = pytest.mark.skipif(os.geteuid() == 0, reason="optional: an ordinary user's calls")

CLONE_NEWNET = 0x40000000  # unshare(2)


class Maps(TypedDict):
    uids: list[tuple[int, int, int]]
    gids: list[tuple[int, int, int]]


def in_child(work: Callable[[], None]) -> None:
    """Run work in a forked process; its exception, with the traceback, fails the test."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os.write(write_fd, traceback.format_exc().encode()[-60000:])
        finally:
            os._exit(1)
    os.close(write_fd)
    with open(read_fd) as f:
        words = f.read()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, words


@pytest.fixture
def maps() -> Maps:
    """The caller as 0, its subordinate ids from 1."""
    ranges = {kind: session.subordinate_ranges(kind) for kind in ("uid", "gid")}
    need(all(ranges.values()), "this user has no subordinate ids: see README")
    return {"uids": [(0, os.geteuid(), 1), (1, *ranges["uid"][0])], "gids": [(0, os.getegid(), 1), (1, *ranges["gid"][0])]}


@pytest.fixture
def holder(maps: Maps) -> Iterator[int]:
    pid = spawn.session_create(**maps)
    yield pid
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM


def join(pid: int) -> None:
    fds = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("user", "mnt")]
    spawn.session_join(*fds)


def children() -> list[str]:
    with open("/proc/thread-self/children") as f:
        return f.read().split()


# --- sessions and ids ---


def test_a_session_has_the_ids_and_keeps_nothing_open(holder: int) -> None:
    with open(f"/proc/{holder}/uid_map") as f:
        assert f.readline().split() == ["0", str(os.geteuid()), "1"]
    deadline = time.monotonic() + 10
    while len(os.listdir(f"/proc/{holder}/fd")) > 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(os.listdir(f"/proc/{holder}/fd")) == ["0", "1", "2"]
    fd = os.open(f"/proc/{holder}/ns/user", os.O_RDONLY)
    assert spawn.ns_owner(fd) == os.geteuid()
    os.close(fd)

    def work() -> None:
        join(holder)
        assert (os.geteuid(), os.getegid(), os.getcwd()) == (0, 0, "/")

    in_child(work)


def test_a_held_session_outlives_its_maker(holder: int) -> None:
    def work() -> None:
        join(holder)
        second = spawn.session_hold()
        assert os.stat(f"/proc/{second}/ns/mnt").st_ino == os.stat("/proc/self/ns/mnt").st_ino
        os.kill(second, signal.SIGTERM)
        fd = spawn.pidfd_open(second)
        assert spawn.pidfd_reap(fd) == 128 + signal.SIGTERM

    in_child(work)


def test_ids_that_are_not_granted(maps: Maps) -> None:
    before = children()
    with pytest.raises(spawn.SpawnError, match="newgidmap.*refused the id mappings.*/etc/subgid") as e:
        spawn.session_create(uids=maps["uids"], gids=[(0, 0, 1)])
    assert (e.value.errno, e.value.stage) == (errno.EPERM, "map ids")
    with pytest.raises(spawn.SpawnError, match="no-such-program.*not found|No such file.*uidmap"):
        spawn.session_create(uids=maps["uids"], gids=maps["gids"], newgidmap="no-such-program")
    with pytest.raises(spawn.SpawnError, match="1 to 340 ranges"):
        spawn.session_create(uids=[], gids=maps["gids"])
    assert children() == before


def test_one_id_needs_no_helper() -> None:
    pid = spawn.session_create(uids=[(0, os.geteuid(), 1)], gids=[(0, os.getegid(), 1)], newuidmap=None, newgidmap=None)
    with open(f"/proc/{pid}/gid_map") as f:
        assert f.read().split() == ["0", str(os.getegid()), "1"]
    with open(f"/proc/{pid}/setgroups") as f:
        assert f.read() == "deny\n"
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    with pytest.raises(spawn.SpawnError, match="set up session: Invalid argument"):
        spawn.session_create(uids=[(5, os.geteuid(), 1)], gids=[(0, os.getegid(), 1)], newuidmap=None, newgidmap=None)


def test_a_user_namespace_for_mounts(holder: int) -> None:
    def work() -> None:
        join(holder)
        fd = spawn.userns_open(uids=[(0, 1, 1)], gids=[(0, 1, 1)])
        assert os.readlink(f"/proc/self/fd/{fd}").startswith("user:")
        assert not os.get_inheritable(fd)
        assert children() == []

    in_child(work)


# --- mounts and paths ---


def test_overlay_bind_and_tmpfs(holder: int, tmp_path: Path) -> None:
    for name in ("low1", "low2", "upper", "work", "merged", "bound"):
        (tmp_path / name).mkdir()
    (tmp_path / "low1/file").write_text("top")
    (tmp_path / "low2/file").write_text("below")
    (tmp_path / "low2/other").write_text("other")

    def work() -> None:
        join(holder)
        merged = f"{tmp_path}/merged"
        spawn.overlay_mount(merged, lower=[f"{tmp_path}/low1", f"{tmp_path}/low2"], upper=f"{tmp_path}/upper",
                            work=f"{tmp_path}/work", options="userxattr")
        assert Path(f"{merged}/file").read_text() == "top"
        Path(f"{merged}/new").write_text("new")
        spawn.bind_mount(merged, f"{tmp_path}/bound")
        assert sorted(os.listdir(f"{tmp_path}/bound")) == ["file", "new", "other"]
        spawn.umount(f"{tmp_path}/bound")
        spawn.umount(f"{tmp_path}/bound")
        spawn.umount(merged)
        spawn.tmpfs_mount(merged, options="size=64k,mode=0700")
        with pytest.raises(OSError, match="No space"):
            Path(f"{merged}/big").write_bytes(b"x" * 100000)
        with pytest.raises(spawn.SpawnError, match="mount overlay: .*missing"):
            spawn.overlay_mount(merged, lower=[f"{tmp_path}/missing"], upper=None, work=None, options="")

    in_child(work)
    assert (tmp_path / "upper/new").read_text() == "new"
    assert os.listdir(tmp_path / "merged") == []


def test_no_link_leads_out_of_a_root(tmp_path: Path) -> None:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root/absolute").symlink_to(f"{tmp_path}/secret")
    (tmp_path / "root/up").symlink_to("../../../../../../secret")
    (tmp_path / "root/inside").symlink_to("/etc")
    (tmp_path / "root/magic").symlink_to("/proc/self/root")
    root = os.open(tmp_path / "root", os.O_PATH)
    for name in ("absolute", "up", "magic", "../secret"):
        with pytest.raises(spawn.SpawnError) as e:
            spawn.open_in_root(root, name, os.O_RDONLY)
        assert e.value.errno in (errno.ENOENT, errno.ELOOP)
    fd = spawn.open_in_root(root, "inside/new", os.O_WRONLY | os.O_CREAT, 0o600)
    assert not os.get_inheritable(fd)
    assert os.listdir(tmp_path / "root/etc") == ["new"]
    os.close(fd)
    os.close(root)


# --- network namespaces ---


def test_links_move_between_network_namespaces(holder: int, tmp_path: Path) -> None:
    ip = "/usr/sbin/ip" if os.path.exists("/usr/sbin/ip") else "/sbin/ip"
    need(os.path.exists(ip), "ip is not installed: apt install iproute2")

    def work() -> None:
        join(holder)
        first, second = f"{tmp_path}/first", f"{tmp_path}/second"
        spawn.netns_pin(first)
        spawn.netns_pin(second)
        with pytest.raises(spawn.SpawnError, match="File exists"):
            spawn.netns_pin(second)
        a, b = os.open(first, os.O_RDONLY), os.open(second, os.O_RDONLY)
        spawn.netns_enter(a)
        with open("/proc/thread-self/net/dev") as f:
            assert "lo:" in f.read()
        listener = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(listener.getsockname(), timeout=5).close()
        subprocess.run([ip, "link", "add", "one", "type", "veth", "peer", "name", "two"], check=True)
        spawn.netns_move_link("two", b, name="eth0")
        assert names() == ["lo", "one"]
        with pytest.raises(spawn.SpawnError, match="find `two`: No such device"):
            spawn.netns_move_link("two", b)
        with pytest.raises(spawn.SpawnError, match="`0123456789abcdef` must have 1 to 15 bytes"):
            spawn.netns_move_link("one", b, name="0123456789abcdef")
        with pytest.raises(spawn.SpawnError, match="Bad file descriptor|Invalid argument"):
            spawn.netns_move_link("one", 9999)
        assert names() == ["lo", "one"]
        with pytest.raises(spawn.SpawnError, match="File exists"):
            spawn.netns_move_link("one", b, name="eth0")
        spawn.netns_enter(b)
        assert names() == ["eth0", "lo", "one"]
        with pytest.raises(spawn.SpawnError, match="enter network namespace"):
            spawn.netns_enter(0)
        for path in (first, second, second):
            spawn.netns_unpin(path)
        assert not os.path.exists(first)

    def names() -> list[str]:
        return sorted(name for _, name in socket.if_nameindex())

    in_child(work)


def test_loopback_of_a_new_namespace(holder: int) -> None:
    def work() -> None:
        join(holder)
        # FIXME(Python 3.12): os.unshare.
        assert ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(OSError, match="unreachable"):
            socket.create_connection(listener.getsockname(), timeout=5)
        spawn.netns_loopback_up()
        socket.create_connection(listener.getsockname(), timeout=5).close()

    in_child(work)


# --- cgroups ---


def test_a_cgroup_and_what_is_in_it() -> None:
    parent = cgroup.delegated_parent()
    need(parent, "no delegated cgroup v2 subtree: run in contrib/rig, or in a login session of systemd")
    top = f"{cgroup.ROOT}{parent}/libspawn-test-{os.getpid()}"
    inner = f"{top}/a/b"
    assert spawn.cgroup_create(inner)
    try:
        assert not spawn.cgroup_create(inner)
        child = subprocess.Popen(["sleep", "60"])
        spawn.cgroup_add(inner, child.pid)
        assert spawn.cgroup_of(child.pid) == inner
        spawn.cgroup_freeze(top, True)
        with open(f"{top}/cgroup.events") as f:
            assert "frozen 1" in f.read()
        spawn.cgroup_freeze(top, False)
        spawn.cgroup_write(inner, "cgroup.max.descendants", "7")
        with open(f"{inner}/cgroup.max.descendants") as f:
            assert f.read() == "7\n"
        with pytest.raises(spawn.SpawnError, match="set limit: write `x` to .*cgroup.max.descendants`: Invalid argument"):
            spawn.cgroup_write(inner, "cgroup.max.descendants", "x")
        spawn.cgroup_kill(top)
        assert child.wait(10) == -signal.SIGKILL
    finally:
        spawn.cgroup_remove(top)
    assert not os.path.exists(top)
    spawn.cgroup_remove(top)


@pytest.mark.parametrize("path", ["", "/", "/sys/fs/cgroup", "/sys/fs/cgroup/", "/sys/fs/cgroup/a/..", "/sys/fs/cgroup/../x",
                                  "/sys/fs/cgroup/a/", "relative", "/tmp/x"])
def test_only_cgroups_are_touched(path: str) -> None:
    for call in (spawn.cgroup_create, spawn.cgroup_kill, spawn.cgroup_remove):
        with pytest.raises(spawn.SpawnError, match="is not a path below /sys/fs/cgroup"):
            call(path)
    for file in ("../cgroup.procs", "", ".", "a/b"):
        with pytest.raises(spawn.SpawnError, match="is not a (file of a cgroup|path below)"):
            spawn.cgroup_write("/sys/fs/cgroup/a", file, "1")


# --- processes ---


def test_waiting_for_any_process() -> None:
    child = subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait $!"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    grandchild = spawn.pidfd_open(int(child.stdout.readline()))
    assert not spawn.pidfd_wait(grandchild, timeout_ms=0)
    started = time.monotonic()
    assert not spawn.pidfd_wait(grandchild, timeout_ms=50)
    assert time.monotonic() - started >= 0.05
    spawn.pidfd_send_signal(grandchild, signal.SIGKILL)
    assert spawn.pidfd_wait(grandchild)
    fd = spawn.pidfd_open(child.pid)
    assert spawn.pidfd_wait(fd, timeout_ms=10000)
    assert spawn.pidfd_reap(fd) == 128 + signal.SIGKILL
    child.returncode = 128 + signal.SIGKILL
    with pytest.raises(spawn.SpawnError, match="No such process"):
        spawn.pidfd_send_signal(fd, 0)
    with pytest.raises(spawn.SpawnError, match="No child"):
        spawn.pidfd_reap(fd)
    assert select.select([fd], [], [], 0)[0] == [fd]
    for open_fd in (fd, grandchild):
        os.close(open_fd)
    with pytest.raises(spawn.SpawnError, match="Bad file descriptor"):
        spawn.pidfd_wait(fd, timeout_ms=10)
    with pytest.raises(spawn.SpawnError, match="process 999999999"):
        spawn.pidfd_open(999999999)
