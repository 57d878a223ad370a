"""Published ports: free, taken, forbidden, chosen; with real sockets on loopback."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podlike.errors import NetworkError
from podlike.net import ports
from podlike.net.ports import check_ports, choose_ports
from podlike.spec.container import PortMapping


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        yield s.getsockname()[1]


def mapping(port: int = 0, ip: str = "127.0.0.1", **kw: Any) -> PortMapping:
    return PortMapping(host_ip=ip, host_port=port, container_port=80, **kw)


def test_ip_version() -> None:
    assert [ports.ip_version(t) for t in ("1.2.3.4", "::1", "1.2.3", "x", "", "::1%eth0", "1.2.3.4\0")] == [
        4,
        6,
        0,
        0,
        0,
        0,
        0,
    ]


@pytest.mark.parametrize("word", [
    "/run/user/1000/podlike/containers/ID/net.sock", "/very/long/podlike/netns/ID",
])
def test_the_container_of_a_helper_that_listens(word: str) -> None:
    program = "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); " \
              "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    cid = "c0ffee" * 10
    with subprocess.Popen([sys.executable, "-c", program, word.replace("ID", cid)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as p:
        assert p.stdout is not None
        assert ports.holder("127.0.0.1", int(p.stdout.readline()), "tcp") == f"container {cid[:12]}"
        p.communicate()


def test_a_taken_tcp_port_names_its_holder(listener: int) -> None:
    with pytest.raises(NetworkError) as e:
        check_ports([mapping(listener)])
    with open("/proc/self/comm") as f:
        comm = f.read().strip()
    assert e.value.message == (
        f"publish port 127.0.0.1:{listener}/tcp: address already in use by {comm} (pid {os.getpid()})"
    )
    assert e.value.hint and "another host port" in e.value.hint


def test_a_wildcard_listener_takes_the_port_of_every_address(listener: int) -> None:
    with pytest.raises(NetworkError, match="0.0.0.0.*already in use"):
        check_ports([mapping(listener, ip="")])


def test_udp_and_tcp_do_not_disturb_each_other(listener: int) -> None:
    check_ports([mapping(listener, protocol="udp")])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        with pytest.raises(NetworkError, match="/udp: address already in use by"):
            check_ports([mapping(s.getsockname()[1], protocol="udp")])


def test_the_taken_port_of_a_range_is_named(listener: int) -> None:
    with pytest.raises(NetworkError, match=f"127.0.0.1:{listener}/tcp: address already in use"):
        check_ports([mapping(listener - 2, count=4)])


def test_checking_leaves_the_port_free() -> None:
    port = choose_ports([mapping()])[0].host_port
    check_ports([mapping(port)])
    check_ports([mapping(port)])


@pytest.mark.parametrize(
    ("a", "b", "clash"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "127.0.0.2", False),
    ],
)
def test_the_same_port_twice(a: str, b: str, clash: bool) -> None:
    port = choose_ports([mapping(ip="")])[0].host_port
    wanted = [mapping(port, ip=a), mapping(port, ip=b)]
    if clash:
        with pytest.raises(NetworkError, match="published twice"):
            check_ports(wanted)
    else:
        check_ports(wanted)


def test_a_foreign_address() -> None:
    with pytest.raises(NetworkError, match="no interface of this host has the address 203.0.113.9"):
        check_ports([mapping(8080, ip="203.0.113.9")])


def test_a_privileged_port_tells_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "try_bind", lambda *a: errno.EACCES)
    monkeypatch.setattr(ports, "unprivileged_port_start", lambda: 1024)
    with pytest.raises(NetworkError) as e:
        check_ports([mapping(80, ip="")])
    assert e.value.message == (
        "publish port 0.0.0.0:80/tcp: permission denied, only root may use ports below 1024"
    )
    assert e.value.hint and "1024 or above" in e.value.hint
    assert e.value.hint and "sudo sysctl net.ipv4.ip_unprivileged_port_start=80" in e.value.hint


@pytest.mark.parametrize(
    "p",
    [
        PortMapping(container_port=80, protocol="sctp"),
        PortMapping(container_port=0),
        PortMapping(container_port=65535, count=2),
        PortMapping(container_port=80, host_port=65530, count=10),
        PortMapping(container_port=80, host_port=-1),
        PortMapping(container_port=80, count=0),
        PortMapping(container_port=80, host_ip="localhost"),
    ],
)
def test_nonsense_is_refused_before_any_bind(p: PortMapping) -> None:
    for attempt in (check_ports, choose_ports):
        with pytest.raises(NetworkError) as e:
            attempt([p])
        assert e.value.hint


def test_choosing_keeps_given_ports_and_fills_the_rest() -> None:
    chosen = choose_ports([mapping(8080), mapping(), mapping(count=5), mapping(protocol="udp")])
    assert chosen[0].host_port == 8080
    assert all(p.host_port > 0 for p in chosen)
    spans = [set(range(p.host_port, p.host_port + p.count)) for p in chosen]
    assert len(set().union(*spans)) == sum(p.count for p in chosen)
    check_ports(chosen[1:])


def test_holder_in_a_container_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cid = "f" * 64
    proc = tmp_path / "77"
    proc.mkdir()
    (proc / "comm").write_text("slirp4netns\n")
    (proc / "cmdline").write_text(
        f"slirp4netns\0--api-socket\0/run/user/1/podlike/containers/{cid}/net.sock\0"
    )
    real = open
    monkeypatch.setattr(
        "builtins.open", lambda p, *a, **k: real(str(p).replace("/proc", str(tmp_path)), *a, **k)
    )
    assert ports._describe("77") == "container ffffffffffff"
