"""Networks of a single container: modes, published ports, names, and what must stay out of reach."""

import contextlib
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine, wait_for
from tests.support.need import need
from tests.support.registry import free_port

SERVE = "mkdir /w; echo served > /w/index.html; exec httpd -f -p 8080 -h /w"


@contextlib.contextmanager
def listener(address: str = "127.0.0.1") -> Iterator[tuple[int, list[str]]]:
    """A server on the host that answers `host`: its port, and the addresses of who came."""
    peers: list[str] = []
    with contextlib.closing(socket.create_server((address, 0))) as server:

        def serve() -> None:
            while True:
                try:
                    client, peer = server.accept()
                except OSError:
                    return
                peers.append(peer[0])
                with client:
                    client.sendall(b"host\n")

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], peers
        server.shutdown(socket.SHUT_RDWR)


def get(port: int, host: str = "127.0.0.1") -> str:
    """Body of http://host:port/, or "" while nobody answers there."""
    try:
        with socket.create_connection((host, port), timeout=5) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b"".join(iter(lambda: s.recv(4096), b""))
    except OSError:
        return ""
    return data.decode().partition("\r\n\r\n")[2].strip()


def test_published_port(podlike: Engine, image: str, name: str) -> None:
    port = free_port()
    podlike("run", "-d", "--name", name, "-p", f"{port}:8080", image, "sh", "-c", SERVE)
    wait_for(lambda: get(port) == "served", f"port {port}")
    assert f"0.0.0.0:{port}->8080/tcp" in podlike("ps").stdout
    binding = podlike("inspect", "-f", '{{(index (index .NetworkSettings.Ports "8080/tcp") 0).HostPort}}', name).line
    assert binding == str(port)
    podlike("rm", "-f", "-t", "0", name)
    assert get(port) == ""
    with contextlib.closing(socket.create_server(("127.0.0.1", port))):
        pass  # free again


def test_published_on_one_address(podlike: Engine, image: str, name: str) -> None:
    port = free_port()
    podlike("run", "-d", "--name", name, "-p", f"127.0.0.1:{port}:8080/tcp", image, "sh", "-c", SERVE)
    wait_for(lambda: get(port) == "served", f"port {port}")
    assert f"127.0.0.1:{port}->8080/tcp" in podlike("ps").stdout
    assert get(port, "127.0.0.2") == ""


def test_published_range_and_a_port_of_the_engines_choice(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, "-p", "8080", image, "sh", "-c", SERVE)
    found = re.search(r":(\d+)->8080/tcp", podlike("ps").stdout)
    assert found, podlike("ps").stdout
    wait_for(lambda: get(int(found[1])) == "served", f"port {found[1]}")


def test_published_udp(podlike: Engine, image: str, name: str) -> None:
    port = free_port()
    podlike("run", "-d", "--name", name, "-p", f"{port}:5000/udp", image, "sleep", "100")
    assert f"0.0.0.0:{port}->5000/udp" in podlike("ps").stdout

    def unclaimed() -> int:
        """Datagrams that reached the container, where nobody listens."""
        rows = [line.split() for line in podlike("exec", name, "cat", "/proc/net/snmp").stdout.splitlines()]
        heads, values = (row for row in rows if row[0] == "Udp:")
        return int(values[heads.index("NoPorts")])

    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as s:
        before = unclaimed()

        def arrived() -> bool:
            s.sendto(b"datagram", ("127.0.0.1", port))
            return unclaimed() > before

        wait_for(arrived, "a datagram")


@pytest.mark.parametrize("remove", [True, False])
def test_port_in_use(podlike: Engine, image: str, name: str, remove: bool) -> None:
    with listener("0.0.0.0") as (port, _):
        flags = ["--rm"] if remove else []
        result = podlike("run", *flags, "--name", name, "-p", f"{port}:8080", image, "true", check=False)
        assert result.code in (125, 126), result
        assert str(port) in result.stderr and result.stdout == ""
    if not podlike.is_podman:
        assert "in use" in result.stderr, result
        podlike("rm", "-f", name)
        assert podlike("ps", "-aq").stdout == ""


def test_privileged_port(podlike: Engine, image: str) -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    need(first > 80, "users may bind port 80 here", optional=True)
    need(os.geteuid() != 0, "root may bind port 80", optional=True)
    result = podlike("run", "--rm", "-p", "80:8080", image, "true", check=False)
    assert result.code in (125, 126), result
    assert "ip_unprivileged_port_start" in result.stderr, result
    assert podlike("ps", "-aq").stdout == "" or podlike.is_podman


def test_low_ports_can_be_bound_inside(podlike: Engine, image: str) -> None:
    assert (
        podlike("run", "--rm", image, "sh", "-c", "timeout 1 nc -l -p 80; [ $? -ge 124 ] && echo bound").line == "bound"
    )


def test_default_network(podlike: Engine, image: str) -> None:
    text = podlike("run", "--rm", image, "sh", "-c", "ip -o addr; ip route").stdout
    assert re.search(r"inet 10\.0\.2\.\d+/24|inet \d+\.\d+\.\d+\.\d+/\d+ .* scope global", text), text
    assert "default via" in text


def test_slirp4netns(podlike: Engine, image: str) -> None:
    text = podlike(
        "run", "--rm", "--network", "slirp4netns", image, "sh", "-c", "ip -o addr show tap0; ip route"
    ).stdout
    assert "inet 10.0.2.100/24" in text
    assert "default via 10.0.2.2" in text
    mtu = podlike("run", "--rm", "--network", "slirp4netns:mtu=1400", image, "cat", "/sys/class/net/tap0/mtu").line
    assert mtu == "1400"


def test_hosts_loopback_is_out_of_reach_unless_allowed(podlike: Engine, image: str) -> None:
    with listener() as (port, peers):
        ask = f"nc -w 2 10.0.2.2 {port} </dev/null"
        assert "host" not in podlike("run", "--rm", image, "sh", "-c", ask, check=False).stdout
        assert peers == []
        mode = "slirp4netns:allow_host_loopback=true"
        assert podlike("run", "--rm", "--network", mode, image, "sh", "-c", ask, check=False).line == "host"


def test_network_none(podlike: Engine, image: str) -> None:
    assert podlike("run", "--rm", "--network", "none", image, "ls", "/sys/class/net").stdout.split() == ["lo"]
    assert "UP" in podlike("run", "--rm", "--network", "none", image, "ip", "link", "show", "lo").stdout


def test_network_host(podlike: Engine, image: str) -> None:
    with listener() as (port, _):
        result = podlike(
            "run", "--rm", "--network", "host", image, "sh", "-c", f"nc 127.0.0.1 {port} </dev/null; hostname"
        )
    assert result.stdout.splitlines() == ["host", socket.gethostname()]
    refused = podlike("run", "--rm", "--network", "host", image, "ip", "link", "set", "lo", "down", check=False)
    assert refused.code != 0


def test_names_inside(podlike: Engine, image: str) -> None:
    shown = podlike(
        "run", "--rm", "--hostname", "castle", "--add-host", "tower:10.1.2.3", image, "cat", "/etc/hosts"
    ).stdout
    entries = {
        word: line.split()[0] for line in shown.splitlines() if line and line[0] != "#" for word in line.split()[1:]
    }
    assert entries["tower"] == "10.1.2.3"
    assert entries["localhost"] in ("127.0.0.1", "::1")
    assert "castle" in entries
    assert "host.containers.internal" in entries
    assert "10.1.2.3" not in podlike("run", "--rm", "--network", "none", image, "cat", "/etc/hosts").stdout


def test_resolver(podlike: Engine, image: str) -> None:
    shown = podlike("run", "--rm", image, "cat", "/etc/resolv.conf").stdout
    assert "nameserver" in shown
    assert not re.search(r"nameserver\s+127\.", shown), "the host's own loopback resolver is of no use inside"
    flags = ["--dns", "1.2.3.4", "--dns-search", "example.org", "--dns-option", "ndots:3"]
    shown = podlike("run", "--rm", *flags, image, "cat", "/etc/resolv.conf").stdout
    assert re.search(r"^nameserver 1\.2\.3\.4$", shown, re.M)
    assert re.search(r"^search example\.org$", shown, re.M)
    assert re.search(r"^options ndots:3$", shown, re.M)


def test_no_hosts(podlike: Engine, image: str) -> None:
    result = podlike("run", "--rm", "--no-hosts", image, "cat", "/etc/hosts", check=False)
    assert result.code == 1 or result.stdout == ""


def test_port_needs_a_network_of_its_own(podlike: Engine, image: str) -> None:
    """podman drops the port with a warning under --network host, and refuses it with none of its own."""
    result = podlike("run", "--rm", "--network", "host", "-p", "8081:80", image, "true", check=False)
    assert result.code in (0, 125), result
    assert result.stderr, "a port that is not published must be told"


def test_container_keeps_its_network_through_a_restart(podlike: Engine, image: str, name: str) -> None:
    port = free_port()
    podlike("run", "-d", "--name", name, "-p", f"{port}:8080", image, "sh", "-c", SERVE.replace("mkdir", "mkdir -p"))
    wait_for(lambda: get(port) == "served", "the first life")
    podlike("stop", "-t", "0", name)
    assert get(port) == ""
    podlike("start", name)
    wait_for(lambda: get(port) == "served", "the second life")
