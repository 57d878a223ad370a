"""Published ports on the host: whether they are free, who holds them, and choosing free ones.

_socket, the C half of the socket module, is used directly: socket.py itself costs 2.3 ms on the start path.
"""

import _socket
import errno
import os

from podlike.errors import NetworkError
from podlike.spec.container import PortMapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# How often a contiguous range of free ports is looked for before giving up.
RANGE_TRIES = 64


def ip_version(text: str) -> int:
    """4 or 6 for an IP address, 0 for anything else (names, zones, ports)."""
    for family, version in ((_socket.AF_INET, 4), (_socket.AF_INET6, 6)):
        try:
            _socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return version
    return 0


def show(ip: str, port: int, protocol: str) -> str:
    """An address as users write it: 0.0.0.0:80/tcp, [::1]:80/udp."""
    host = f"[{ip}]" if ":" in ip else ip or "0.0.0.0"
    return f"{host}:{port}/{protocol}"


def check_ports(ports: "Iterable[PortMapping]") -> None:
    """Bind every published port for a moment: a taken or forbidden one is told before anything is made.

    Ports whose host_port is 0 are still to be chosen and pass. Must run in the host's network namespace.
    Raises: NetworkError.
    """
    seen: dict[tuple[str, int], list[str]] = {}
    for p in ports:
        _validate(p)
        if not p.host_port:
            continue
        for port in range(p.host_port, p.host_port + p.count):
            others = seen.setdefault((p.protocol, port), [])
            if any(_overlap(p.host_ip, other) for other in others):
                raise NetworkError(f"publish port {show(p.host_ip, port, p.protocol)}: it is published twice",
                                   hint="Give each published port its own host port.")
            others.append(p.host_ip)
            code = try_bind(p.host_ip, port, p.protocol)
            if code:
                raise bind_error(p.host_ip, port, p.protocol, code)


def choose_ports(ports: "Iterable[PortMapping]") -> list[PortMapping]:
    """The same mappings with a free host port in place of every 0. Raises: NetworkError."""
    out: list[PortMapping] = []
    for p in ports:
        _validate(p)
        if not p.host_port:
            p = PortMapping(host_ip=p.host_ip, host_port=_free_range(p, out), container_port=p.container_port,
                            count=p.count, protocol=p.protocol)
        out.append(p)
    return out


def bind_error(ip: str, port: int, protocol: str, code: int) -> NetworkError:
    """Words for the errno with which publishing failed."""
    what = f"publish port {show(ip, port, protocol)}"
    if code == errno.EADDRINUSE:
        who = holder(ip, port, protocol)
        return NetworkError(f"{what}: address already in use{f' by {who}' if who else ''}",
                            hint="Stop what uses it, or publish another host port.")
    if code in (errno.EACCES, errno.EPERM):
        lowest = unprivileged_port_start()
        return NetworkError(f"{what}: permission denied, only root may use ports below {lowest}",
                            hint=f"Publish a host port of {lowest} or above, or allow this one with: "
                                 f"sudo sysctl net.ipv4.ip_unprivileged_port_start={port}")
    if code == errno.EADDRNOTAVAIL:
        return NetworkError(f"{what}: no interface of this host has the address {ip}",
                            hint="Use an address that `ip address` shows, or none for every address.")
    return NetworkError(f"{what}: {os.strerror(code)}", hint="Publish another host port.")


def unprivileged_port_start() -> int:
    """The first port that an ordinary user may bind (ip-sysctl.rst)."""
    try:
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as f:
            return int(f.read())
    except (OSError, ValueError):
        return 1024


def holder(ip: str, port: int, protocol: str) -> str:
    """Who holds a port: "NAME (pid N)", "container ID", or "" if nobody we may look at does."""
    inodes = _socket_inodes(port, protocol)
    if not inodes:
        return ""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for name in os.listdir("/proc"):
        if name.isdigit() and _has_fd(name, wanted):
            return _describe(name)
    return ""


def _validate(p: PortMapping) -> None:
    if p.protocol not in ("tcp", "udp"):
        raise NetworkError(f"publish port {p.container_port}/{p.protocol}: only tcp and udp can be published",
                           hint="Write /tcp or /udp behind the port.")
    if p.host_ip and not ip_version(p.host_ip):
        raise NetworkError(f"publish port {p.container_port}/{p.protocol}: {p.host_ip} is no IP address",
                           hint="Write the host's address as digits, such as 127.0.0.1.")
    highest = 65536 - p.count
    if p.count < 1 or not 1 <= p.container_port <= highest or not 0 <= p.host_port <= highest:
        raise NetworkError(
            f"publish port {p.host_port}:{p.container_port}/{p.protocol}: ports go from 1 to 65535",
            hint="Correct the port or the range.")


def _overlap(a: str, b: str) -> bool:
    """Whether two addresses cannot both bind a port: equal, or one is every address of the other's family."""
    if (":" in a) != (":" in b):
        return False
    return a == b or any(ip in ("", "0.0.0.0", "::") for ip in (a, b))


def try_bind(ip: str, port: int, protocol: str) -> int:
    """Bind and close; 0 or an errno."""
    sock, code = _bind(ip, port, protocol)
    if sock:
        sock.close()
    return code


def _bind(ip: str, port: int, protocol: str) -> "tuple[_socket.socket | None, int]":
    family = _socket.AF_INET6 if ":" in ip else _socket.AF_INET
    try:
        sock = _socket.socket(family, _socket.SOCK_STREAM if protocol == "tcp" else _socket.SOCK_DGRAM)
    except OSError as e:
        return None, e.errno or errno.EIO
    try:
        if protocol == "tcp":
            # As the helpers bind: connections in TIME_WAIT do not matter. With UDP it would hide a conflict.
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if family == _socket.AF_INET6:
            sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        sock.bind((ip or "0.0.0.0", port))
    except OSError as e:
        sock.close()
        return None, e.errno or errno.EIO
    return sock, 0


def _free_range(p: PortMapping, before: list[PortMapping]) -> int:
    """First of p.count free ports in a row that no earlier mapping uses."""
    used = {port for b in before for port in range(b.host_port, b.host_port + b.count)}
    for _ in range(RANGE_TRIES):
        sock, code = _bind(p.host_ip, 0, p.protocol)
        if not sock:
            raise bind_error(p.host_ip, 0, p.protocol, code)
        first = int(sock.getsockname()[1])
        sock.close()
        wanted = range(first, first + p.count)
        if wanted[-1] < 65536 and used.isdisjoint(wanted) \
                and not any(try_bind(p.host_ip, n, p.protocol) for n in wanted[1:]):
            return first
    raise NetworkError(f"publish port {p.container_port}/{p.protocol}: no {p.count} free host ports in a row",
                       hint="Give the host ports yourself.")


def _socket_inodes(port: int, protocol: str) -> set[str]:
    """Inodes of the sockets that are bound to a port (for TCP: listen on it); proc_net_tcp.rst."""
    out = set()
    for name in (protocol, protocol + "6"):
        try:
            with open(f"/proc/net/{name}") as f:
                lines = f.readlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and (protocol == "udp" or fields[3] == "0A"):
                out.add(fields[9])
    return out


def _has_fd(pid: str, wanted: set[str]) -> bool:
    try:
        fds = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for fd in fds:
        try:
            if os.readlink(f"/proc/{pid}/fd/{fd}") in wanted:
                return True
        except OSError:
            continue
    return False


def _describe(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm") as f:
            name = f.read().strip()
        with open(f"/proc/{pid}/cmdline") as f:
            words = f.read().split("\0")
    except OSError:
        return f"process {pid}"
    cid = _container_of(words)
    return f"container {cid[:12]}" if cid else f"{name} (pid {pid})"


def _container_of(words: "list[str]") -> str:
    """Whose helper a command line is: it names the container in the path of its API socket or pid file, and where that is too
    long for a socket in the path of the network namespace."""
    for word in words:
        for marker in ("/podlike/containers/", "/podlike/netns/"):
            _, found, rest = word.partition(marker)
            if found:
                return rest.partition("/")[0]
    return ""
