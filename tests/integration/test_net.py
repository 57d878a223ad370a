"""The network drivers with real helpers, as an ordinary user in namespaces like those of a session.

Each test runs in a forked child, which makes these; no subordinate ids are needed.
"""

import ctypes
import fcntl
import functools
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import pytest

from podlike import procs
from podlike.config import Config
from podlike.errors import NetworkError
from podlike.net import helper
from podlike.net.driver import NoHelper, check_ports, prepare, start, teardown
from podlike.net.files import host_addresses
from podlike.net.pasta import PastaPending
from podlike.net.ports import choose_ports
from podlike.net.slirp4netns import SlirpPending
from podlike.spec.container import ContainerSpec, PortMapping

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x1000, 0x4000, 0x40000, 2
SIOCGIFMTU, SIOCSIFFLAGS, IFF_UP = 0x8921, 0x8914, 1
MUST_WORK = os.environ.get("PODLIKE_MUST_WORK") == "1"
WAIT_S = 5

libc = ctypes.CDLL(None, use_errno=True)


def missing() -> str:
    if os.geteuid() == 0:
        return "it must run as an ordinary user"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "this user may not open /dev/net/tun"
    if not helper.find("slirp4netns"):
        return "slirp4netns is not installed"
    return ""


pytestmark = pytest.mark.skipif(bool(missing()) and not MUST_WORK, reason=missing() or "-")
needs_pasta = pytest.mark.skipif(not helper.find("pasta") and not MUST_WORK, reason="pasta is not installed")


def checked(name: str, *args: int | bytes | None) -> None:
    if getattr(libc, name)(*args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def mount(source: str, target: str, flags: int) -> None:
    checked("mount", source.encode(), target.encode(), None, flags, None)


def forked(function: Callable[[], bytes | None]) -> bytes:
    """Run function in a child; its result is bytes, its failure fails the test."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        code = 1
        try:
            os.write(w, b"ok" + (function() or b""))
            code = 0
        except BaseException:
            os.write(w, traceback.format_exc().encode()[-60000:])
        finally:
            sys.stdout.flush()
            os._exit(code)
    os.close(w)
    with os.fdopen(r, "rb") as f:
        out = f.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0 or not out.startswith(b"ok"):
        pytest.fail(out.decode() or f"the child ended with {status}", pytrace=False)
    return out[2:]


class Session:
    """A directory, and namespaces pinned in it."""

    def __init__(self, directory: str) -> None:
        self.run = directory
        self.count = 0

    def pin(self) -> str:
        """A network namespace with loopback up, kept by a bind mount; its path."""
        self.count += 1
        path = f"{self.run}/ns{self.count}"
        open(path, "w").close()

        def make() -> None:
            checked("unshare", CLONE_NEWNET)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
            mount("/proc/self/ns/net", path, MS_BIND)

        forked(make)
        return path

    def start(
        self,
        network: str = "slirp4netns",
        ports: Sequence[PortMapping] = (),
        run_dir: str | None = None,
        **kw: Any,
    ) -> tuple[SlirpPending | PastaPending, str]:
        plan = prepare(ContainerSpec(network=network, ports=list(ports)), Config())
        check_ports(plan.ports)
        given: dict[str, Any] = {"netns_path": self.pin(), "cache_dir": self.run} | kw
        pending = start(plan, run_dir=run_dir or self.run, **given)
        assert not isinstance(pending, NoHelper)
        return pending, given["netns_path"]


def in_session(test: Callable[[Session], None]) -> Callable[[], None]:
    """The test gets a Session; it runs as uid 0 of a user namespace of its own."""

    @functools.wraps(test)
    def wrapper() -> None:
        base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        with tempfile.TemporaryDirectory(dir=base, prefix="podlike-net-") as directory:
            forked(lambda: enter(test, directory))

    del wrapper.__wrapped__  # pytest would take the parameter for a fixture
    return wrapper


def enter(test: Callable[[Session], None], directory: str) -> None:
    uid, gid = os.getuid(), os.getgid()
    # Helpers that a failed test leaves behind become ours.
    checked("prctl", 36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    checked("unshare", CLONE_NEWUSER | CLONE_NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as f:
            f.write(text)
    mount("none", "/", MS_REC | MS_PRIVATE)
    before = set(os.listdir("/proc/self/fd"))
    try:
        test(Session(directory))
        assert set(os.listdir("/proc/self/fd")) == before, "file descriptors were left open"
        assert no_children(), f"processes were left behind: {children()}"
    finally:
        for pid in children():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as f:
        return [int(p) for p in f.read().split()]


def no_children() -> bool:
    """Reap what was killed; a helper that was forgotten stays."""
    for _ in range(100):
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            return True
    return False


def in_netns(path: str, function: Callable[[], bytes]) -> bytes:
    """Run function inside the pinned namespace; its bytes come back."""

    def enter_netns() -> bytes:
        with open(path) as f:
            checked("setns", f.fileno(), CLONE_NEWNET)
        return function()

    return forked(enter_netns)


def serve_in(path: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A server in the namespace that answers one request with "PEER got REQUEST"; its pid."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with open(path) as f:
                checked("setns", f.fileno(), CLONE_NEWNET)
            s = socket.socket(socket.AF_INET, kind)
            s.bind(("0.0.0.0", port))
            if kind == socket.SOCK_STREAM:
                s.listen()
            os.write(w, b"1")
            s.settimeout(WAIT_S)
            if kind == socket.SOCK_STREAM:
                conn, peer = s.accept()
                conn.sendall(f"{peer[0]} got ".encode() + conn.recv(100))
            else:
                data, peer = s.recvfrom(100)
                s.sendto(f"{peer[0]} got ".encode() + data, peer)
        finally:
            os._exit(0)
    os.close(w)
    assert os.read(r, 1) == b"1"
    os.close(r)
    return pid


def ask(address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> bytes:
    with socket.socket(socket.AF_INET, kind) as s:
        s.settimeout(WAIT_S)
        s.connect((address, port))
        s.sendall(b"hello")
        return s.recv(100)


def reach(netns: str, address: str, port: int) -> bytes:
    """From the namespace: connect and read. b"" when that fails."""

    def client() -> bytes:
        with socket.socket() as s:
            s.settimeout(2)
            try:
                s.connect((address, port))
                return s.recv(100)
            except OSError:
                return b""

    return in_netns(netns, client)


class HostServer:
    """Accepts on the host in a child, and says welcome."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket()
        self.socket.bind((address, 0))
        self.socket.listen()
        self.port = self.socket.getsockname()[1]

    def __enter__(self) -> Self:
        self.pid = os.fork()
        if self.pid == 0:
            while True:
                conn, _ = self.socket.accept()
                conn.sendall(b"welcome")
                conn.close()
        return self

    def __exit__(self, *exc: object) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.socket.close()


def gone(record: Mapping[str, Any]) -> bool:
    """Wait for a helper to end; reap it if it is our child."""
    for _ in range(WAIT_S * 100):
        if not procs.start_time(record["pid"]):
            try:
                os.waitpid(record["pid"], 0)
            except ChildProcessError:
                pass
            return True
        time.sleep(0.01)
    return False


def port(container_port: int, **kw: Any) -> PortMapping:
    return choose_ports([PortMapping(host_ip="127.0.0.1", container_port=container_port, **kw)])[0]


@in_session
def test_a_container_reaches_a_server_on_a_host_address(session: Session) -> None:
    addresses = host_addresses()
    if not addresses:
        return  # this host has loopback only
    pending, netns = session.start()
    setup = pending.wait_ready()
    assert setup is pending.setup
    assert (setup.ip, setup.gateway, setup.dns) == ("10.0.2.100", "10.0.2.2", ["10.0.2.3"])
    with HostServer(addresses[0]) as server:
        assert reach(netns, addresses[0], server.port) == b"welcome"
    teardown(setup.helpers)


@in_session
def test_host_loopback_is_shut_unless_asked_for(session: Session) -> None:
    with HostServer("127.0.0.1") as server:
        for network, answer in (("slirp4netns", b""), ("slirp4netns:allow_host_loopback=true", b"welcome")):
            pending, netns = session.start(network)
            setup = pending.wait_ready()
            assert reach(netns, "10.0.2.2", server.port) == answer
            assert setup.host_ip == ("10.0.2.2" if answer else "")
            teardown(setup.helpers)


@in_session
def test_published_ports_and_a_range(session: Session) -> None:
    wanted = [port(80), port(8000, count=3)]
    pending, netns = session.start(ports=wanted)
    setup = pending.wait_ready()
    servers = [serve_in(netns, 80), serve_in(netns, 8002)]
    assert ask("127.0.0.1", setup.ports[0].host_port) == b"10.0.2.2 got hello"
    assert ask("127.0.0.1", setup.ports[1].host_port + 2) == b"10.0.2.2 got hello"
    teardown(setup.helpers)
    for pid in servers:
        os.waitpid(pid, 0)
    check_ports(setup.ports)  # free again


def ask_udp(session: Session, network: str, address: str) -> bytes:
    wanted = choose_ports([PortMapping(container_port=53, protocol="udp")])
    pending, netns = session.start(network, ports=wanted)
    setup = pending.wait_ready()
    server = serve_in(netns, 53, socket.SOCK_DGRAM)
    try:
        return ask(address, setup.ports[0].host_port, socket.SOCK_DGRAM)
    except TimeoutError:
        return b""
    finally:
        os.waitpid(server, 0)
        teardown(setup.helpers)


@in_session
def test_published_udp(session: Session) -> None:
    """A libslirp that answers loopback clients makes the second line fail: drop check()'s refusal then."""
    assert ask_udp(session, "slirp4netns:allow_host_loopback=true", "127.0.0.1") == b"10.0.2.2 got hello"
    assert ask_udp(session, "slirp4netns", "127.0.0.1") == b""
    for address in host_addresses()[:1]:
        assert ask_udp(session, "slirp4netns", address) == f"{address} got hello".encode()


@in_session
def test_a_client_keeps_its_address(session: Session) -> None:
    addresses = host_addresses()
    if not addresses:
        return
    wanted = choose_ports([PortMapping(container_port=80)])
    pending, netns = session.start(ports=wanted)
    setup = pending.wait_ready()
    server = serve_in(netns, 80)
    assert ask(addresses[0], setup.ports[0].host_port) == f"{addresses[0]} got hello".encode()
    teardown(setup.helpers)
    os.waitpid(server, 0)


@in_session
def test_a_port_taken_after_the_check_kills_the_helper_and_names_the_holder(session: Session) -> None:
    wanted = port(80)
    pending, _ = session.start(ports=[wanted])
    with socket.socket() as s:
        s.bind(("127.0.0.1", wanted.host_port))
        s.listen()
        with pytest.raises(NetworkError) as e:
            pending.wait_ready()
    what = f"publish port 127.0.0.1:{wanted.host_port}/tcp: address already in use by "
    assert e.value.message.startswith(what)
    assert f"(pid {os.getpid()})" in e.value.message
    assert gone(pending.helper)


@in_session
def test_a_privileged_port_is_told_before_anything_is_made(session: Session) -> None:
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as f:
        lowest = int(f.read())
    if lowest < 2:
        return  # every port is allowed here
    with pytest.raises(NetworkError, match=f"permission denied, only root may use ports below {lowest}"):
        session.start(ports=[PortMapping(container_port=80, host_port=lowest - 1)])
    assert os.listdir(session.run) == []


@in_session
def test_a_helper_that_dies_at_once_is_quoted(session: Session) -> None:
    path = f"{session.run}/no-netns"
    open(path, "w").close()
    pending, _ = session.start(netns_path=path)
    with pytest.raises(NetworkError) as e:
        pending.wait_ready()
    assert "start slirp4netns: " in e.value.message
    assert "setns(CLONE_NEWNET): Invalid argument" in e.value.message
    assert "Starting slirp" not in e.value.message
    pending.cancel()


@in_session
def test_without_the_tun_device_the_hint_is_to_load_it(session: Session) -> None:
    mount("/dev/null", "/dev/net/tun", MS_BIND)
    pending, _ = session.start()
    with pytest.raises(NetworkError, match="start slirp4netns: ") as e:
        pending.wait_ready()
    assert "TUNSETIFF" in e.value.message
    checked("umount2", b"/dev/net/tun", 0)
    mount(session.run, "/dev/net", MS_BIND)
    pending, _ = session.start()
    with pytest.raises(NetworkError, match="/dev/net/tun") as e:
        pending.wait_ready()
    assert e.value.hint and "modprobe tun" in e.value.hint


@in_session
def test_the_helper_ends_with_the_monitor(session: Session) -> None:
    r, w = os.pipe()
    pending, _ = session.start(exit_read_fd=r)
    setup = pending.wait_ready()
    os.close(r)
    time.sleep(0.1)
    assert procs.start_time(setup.helpers[0]["pid"]) == setup.helpers[0]["start_time"]
    os.close(w)
    assert gone(setup.helpers[0])
    teardown(setup.helpers)


@in_session
def test_mtu_and_cidr_are_really_set(session: Session) -> None:
    def mtu() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            raw = fcntl.ioctl(s, SIOCGIFMTU, struct.pack("16sI20x", b"tap0", 0))
            s.connect(("192.0.2.1", 9))
            return f"{struct.unpack('16xI20x', raw)[0]} {s.getsockname()[0]}".encode()

    for network, seen in (
        ("", b"65520 10.0.2.100"),
        ("slirp4netns:mtu=1400,cidr=10.41.0.0/16", b"1400 10.41.0.100"),
    ):
        pending, netns = session.start(network)
        setup = pending.wait_ready()
        assert in_netns(netns, mtu) == seen
        assert seen.endswith(setup.ip.encode())
        teardown(setup.helpers)


def status(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


@in_session
def test_the_sandbox_is_on(session: Session) -> None:
    pending, _ = session.start()
    setup = pending.wait_ready()
    assert setup.warnings == []
    s = status(setup.helpers[0]["pid"])
    assert (s["Seccomp"], s["NoNewPrivs"], s["CapEff"]) == ("2", "1", "0000000000000400")
    with open(f"/proc/{setup.helpers[0]['pid']}/mountinfo") as f:
        root = [line for line in f if line.split()[4] == "/"]
    assert " tmpfs " in root[0]
    teardown(setup.helpers)


@in_session
def test_without_a_sandbox_it_works_and_says_so(session: Session) -> None:
    with open("/proc/sys/user/max_mnt_namespaces", "w") as f:
        f.write("0")
    pending, netns = session.start(ports=[port(80)])
    setup = pending.wait_ready()
    assert len(setup.warnings) == 1
    assert "slirp4netns runs without its sandbox: " in setup.warnings[0]
    assert "cannot unshare new mount namespace" in setup.warnings[0]
    assert procs.start_time(setup.helpers[0]["pid"]) == setup.helpers[0]["start_time"]
    server = serve_in(netns, 80)
    assert ask("127.0.0.1", setup.ports[0].host_port).endswith(b"got hello")
    teardown(setup.helpers)
    os.waitpid(server, 0)


@in_session
def test_a_long_run_directory(session: Session) -> None:
    run_dir = f"{session.run}/{'x' * 100}"
    os.mkdir(run_dir)
    pending, netns = session.start(ports=[port(80)], run_dir=run_dir)
    setup = pending.wait_ready()
    server = serve_in(netns, 80)
    assert ask("127.0.0.1", setup.ports[0].host_port).endswith(b"got hello")
    teardown(setup.helpers)
    os.waitpid(server, 0)


@in_session
def test_cancel_before_ready(session: Session) -> None:
    pending, _ = session.start()
    pending.cancel()
    pending.cancel()
    assert gone(pending.helper)


@in_session
def test_removing_a_pin_frees_it_in_the_sandbox_of_another_helper(session: Session) -> None:
    """Its sandbox has a copy of all mounts below /run; a namespace must not live on in there."""
    first = session.pin()
    pending, _ = session.start()
    setup = pending.wait_ready()
    path = f"/proc/{setup.helpers[0]['pid']}/mountinfo"
    if first.startswith("/run/"):
        assert first in open(path).read()
    checked("umount2", first.encode(), MNT_DETACH)
    os.unlink(first)
    with open(path) as f:
        assert first not in f.read()
    teardown(setup.helpers)


@needs_pasta
@in_session
def test_pasta_publishes_and_ends_with_its_pin(session: Session) -> None:
    wanted = [port(80), port(8000, count=2)]
    pending, netns = session.start("pasta", ports=wanted)
    setup = pending.wait_ready()
    assert setup.dns == ["169.254.1.1"]
    server = serve_in(netns, 80)
    assert ask("127.0.0.1", setup.ports[0].host_port).endswith(b"got hello")
    os.waitpid(server, 0)
    checked("umount2", netns.encode(), MNT_DETACH)
    os.unlink(netns)
    assert gone(setup.helpers[0])
    teardown(setup.helpers)


@needs_pasta
@in_session
def test_pasta_teardown(session: Session) -> None:
    pending, _ = session.start("pasta")
    setup = pending.wait_ready()
    teardown(setup.helpers)
    assert gone(setup.helpers[0])
    teardown(setup.helpers)


@needs_pasta
@in_session
def test_pasta_that_fails_is_quoted_and_gone(session: Session) -> None:
    pending, _ = session.start("pasta:--no-such-option")
    with pytest.raises(NetworkError, match="start pasta: .*no-such-option"):
        pending.wait_ready()
    wanted = port(80)
    pending, _ = session.start("pasta", ports=[wanted])
    pending.cancel()
    with socket.socket() as s:
        s.bind(("127.0.0.1", wanted.host_port))
        s.listen()
        plan = prepare(ContainerSpec(network="pasta", ports=[wanted]), Config())
        late = start(plan, netns_path=session.pin(), run_dir=session.run, cache_dir=session.run)
        with pytest.raises(NetworkError, match="already in use by"):
            late.wait_ready()


@in_session
def test_networks_without_a_helper(session: Session) -> None:
    for network in ("host", "none", "container:x"):
        plan = prepare(ContainerSpec(network=network), Config())
        setup = start(plan, netns_path="", run_dir=session.run).wait_ready()
        assert setup.helpers == [] and setup.ip == ""


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("podlike.paths.HELPER_DIRS", ())
    with pytest.raises(NetworkError, match="slirp4netns is not installed") as e:
        prepare(ContainerSpec(), Config())
    assert e.value.hint and "Install" in e.value.hint
    assert shutil.which("slirp4netns") is None
