"""Contents of a container's /etc/hosts, /etc/resolv.conf and /etc/hostname.

The *_text functions are pure; hosts(), resolv_conf() and hostname() read the host's files for them. A
container that joins another's network namespace shares that one's files instead: the engine arranges it.
Source: hosts(5), resolv.conf(5).
"""

import _socket
import os

from podlike.errors import NetworkError
from podlike.net.ports import ip_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from podlike.config import Config
    from podlike.net.plan import NetworkPlan, NetworkSetup
    from podlike.spec.container import ContainerSpec

HOST_NAMES = ("host.containers.internal", "host.docker.internal")
HOST_GATEWAY = "host-gateway"

# A resolver on loopback cannot be reached from another network namespace; these name the servers behind it.
RESOLV_CONF = "/etc/resolv.conf"
REAL_RESOLV_CONFS = ("/run/systemd/resolve/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf")

SIOCGIFCONF = 0x8912


def hostname(spec: "ContainerSpec", plan: "NetworkPlan", config: "Config", cid: str) -> str:
    """The container's host name: as asked, the host's if its UTS or network is the host's, else of its id."""
    if spec.hostname:
        return spec.hostname
    if plan.kind == "host" or (spec.uts_ns or config.containers.utsns) == "host":
        return os.uname().nodename
    return cid[:12]


def hosts(spec: "ContainerSpec", plan: "NetworkPlan", setup: "NetworkSetup", config: "Config", *, name: str,
          image_hosts: str = "") -> str:
    """The text of /etc/hosts.

    name: the container's host name.
    image_hosts: the image's own file, for base_hosts_file = "image"; the caller reads it, who can do so
    beneath the root file system.
    Raises: NetworkError.
    """
    source = spec.hosts_file or config.containers.base_hosts_file
    if source == "image":
        base = image_hosts
    elif source == "none":
        base = ""
    else:
        base = _read(source or "/etc/hosts", must_exist=bool(source))
    names = [name, spec.name]
    if spec.domainname and "." not in name:
        names.insert(0, f"{name}.{spec.domainname}")
    own = "127.0.0.1" if plan.kind == "none" else setup.ip
    return hosts_text(base=base, add_hosts=spec.add_hosts, own_ip=own, names=names,
                      host_ip=host_address(setup, config))


def host_address(setup: "NetworkSetup", config: "Config") -> str:
    """The address under which the container finds the host, "" for none."""
    wanted = config.containers.host_containers_internal_ip
    if wanted:
        return "" if wanted == "none" else wanted
    if setup.host_ip:
        return setup.host_ip
    # pasta gives the container the host's own address, which then leads to the container itself.
    return next((a for a in host_addresses() if a != setup.ip), "")


def hosts_text(*, base: str, add_hosts: "Iterable[str]", own_ip: str, names: "Iterable[str]",
               host_ip: str) -> str:
    """Lay out a hosts file: what the user added, the base file, then whichever of our names is still free.

    add_hosts: NAME[;NAME...]:IP or NAME=IP, where IP may be host-gateway. Raises: NetworkError.
    """
    entries = [_parse_add_host(word, host_ip) for word in add_hosts]
    for line in base.splitlines():
        fields = line.partition("#")[0].split()
        if len(fields) > 1:
            entries.append((fields[0], fields[1:]))
    taken = {n for _, entry in entries for n in entry}
    own = [("127.0.0.1", ["localhost"]), ("::1", ["localhost"])]
    if host_ip:
        own.append((host_ip, list(HOST_NAMES)))
    if own_ip:
        own.append((own_ip, [n for n in names if n]))
    entries += [(ip, free) for ip, wanted in own if (free := [n for n in wanted if n not in taken])]
    return "".join(f"{ip}\t{' '.join(entry)}\n" for ip, entry in entries)


def resolv_conf(spec: "ContainerSpec", plan: "NetworkPlan", setup: "NetworkSetup",
                config: "Config") -> str | None:
    """The text of /etc/resolv.conf; None with --dns none: the image's own stays."""
    if "none" in spec.dns:
        if spec.dns != ["none"] or spec.dns_search or spec.dns_option:
            raise NetworkError("use --dns none: it excludes other --dns, --dns-search and --dns-option",
                               hint="Give either none or servers.")
        return None
    for ip in spec.dns:
        if not ip_version(ip.partition("%")[0]):
            raise NetworkError(f"use --dns {ip}: it is no IP address",
                               hint="Give the server's address as digits.")
    containers = config.containers
    return resolv_conf_text(host=_host_resolv_conf(plan), forwarders=setup.dns, own_netns=plan.kind != "host",
                            ipv6=setup.ipv6 or plan.kind == "join",
                            servers=[*containers.dns_servers, *spec.dns],
                            searches=[*containers.dns_searches, *spec.dns_search],
                            options=[*containers.dns_options, *spec.dns_option])


def resolv_conf_text(*, host: str, forwarders: "list[str]", own_netns: bool, ipv6: bool, servers: "list[str]",
                     searches: "list[str]", options: "list[str]") -> str:
    """Lay out a resolv.conf.

    host: the host's file. forwarders: the network helper's own servers, before the host's.
    Servers, searches and options that were asked for replace the host's; a search of "." means none.
    """
    host_servers, host_searches, host_options = parse_resolv_conf(host)
    if own_netns:
        host_servers = [s for s in host_servers if _reachable(s, ipv6=ipv6)]
    servers = servers or [*forwarders, *host_servers]
    searches = searches or host_searches
    if "." in searches:
        searches = []
    options = options or host_options
    lines = [f"search {' '.join(searches)}"] if searches else []
    lines += [f"nameserver {s}" for s in dict.fromkeys(servers)]
    if options:
        lines.append(f"options {' '.join(options)}")
    return "".join(line + "\n" for line in lines)


def parse_resolv_conf(text: str) -> tuple[list[str], list[str], list[str]]:
    """(nameservers, search domains, options); the last search or domain line counts, options add up."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        if line[:1] in ("#", ";"):
            continue
        words = line.partition("#")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            searches = words[1:] if words[0] == "search" else words[1:2]
        elif words[0] == "options":
            options += [w for w in words[1:] if w not in options]
    return servers, searches, options


def is_loopback(ip: str) -> bool:
    return ip.startswith("127.") or ip == "::1"


def host_addresses() -> list[str]:
    """IPv4 addresses of the host's interfaces but loopback, that of the default route first."""
    import fcntl
    from array import array
    from struct import calcsize, pack, unpack_from

    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    try:
        found: list[str] = []
        try:
            # Connecting a datagram socket sends nothing; it asks the routing table for the source address.
            sock.connect(("192.88.99.1", 9))
            found.append(sock.getsockname()[0])
        except OSError:  # no default route
            pass
        # struct ifreq: a name of 16 bytes, a sockaddr_in, padding to the widest member (netdevice(7)).
        size = 40 if calcsize("P") == 8 else 32
        buffer = array("B", bytes(256 * size))
        request = pack("iP", len(buffer), buffer.buffer_info()[0])
        length = unpack_from("i", fcntl.ioctl(sock, SIOCGIFCONF, request))[0]
        raw = buffer.tobytes()
        found += [_socket.inet_ntoa(raw[at + 20:at + 24]) for at in range(0, length, size)]
    finally:
        sock.close()
    return [ip for ip in dict.fromkeys(found) if not is_loopback(ip)]


def _parse_add_host(word: str, host_ip: str) -> tuple[str, list[str]]:
    # Docker also takes NAME=IP; a name holds neither sign, so the first one found splits.
    at = min((i for i in (word.find(":"), word.find("=")) if i >= 0), default=-1)
    names = [n for n in word[:max(at, 0)].split(";") if n]
    ip = word[at + 1:].strip("[]")
    if at < 0 or not names or any(c.isspace() or c == "#" for n in names for c in n):
        raise NetworkError(f"add host {word!r}: it must be NAME:IP",
                           hint="Write for example --add-host db:10.0.0.5.")
    if ip == HOST_GATEWAY:
        if not host_ip:
            raise NetworkError(f"add host {word!r}: the host has no address that the container could reach",
                               hint="Give the address, or host_containers_internal_ip in containers.conf.")
        ip = host_ip
    if not ip_version(ip):
        raise NetworkError(f"add host {word!r}: {ip or 'nothing'} is no IP address",
                           hint="Give the address as digits, or host-gateway.")
    return ip, names


def _reachable(server: str, *, ipv6: bool) -> bool:
    """Whether a server of the host can be one of the container: not on loopback, of no interface."""
    if is_loopback(server):
        return False
    if ":" in server:
        return ipv6 and "%" not in server and not server.lower().startswith("fe80:")
    return True


def _host_resolv_conf(plan: "NetworkPlan") -> str:
    if plan.kind == "join" and plan.target.startswith("ns:"):
        # ip-netns(8) keeps a namespace's own file there.
        own = f"/etc/netns/{os.path.basename(plan.target)}/resolv.conf"
        if os.path.exists(own):
            return _read(own)
    text = _read(RESOLV_CONF)
    servers = parse_resolv_conf(text)[0]
    if plan.kind != "host" and servers and all(is_loopback(s) for s in servers):
        for path in REAL_RESOLV_CONFS:
            real = _read(path)
            if not all(is_loopback(s) for s in parse_resolv_conf(real)[0]):
                return real
    return text


def _read(path: str, *, must_exist: bool = False) -> str:
    """A file's text, "" if there is none. Raises: NetworkError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError as e:
        if isinstance(e, FileNotFoundError) and not must_exist:
            return ""
        raise NetworkError(f"read {path}: {e.strerror}",
                           hint="Correct --hosts-file, or base_hosts_file in containers.conf." if must_exist else
                           "Check the permissions of this file.") from e
