"""Published and exposed ports: [[HOST-IP:][HOST-PORT[-END]]:]PORT[-END][/PROTOCOL]."""

from podlike.errors import UsageError
from podlike.spec.container import PortMapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NoReturn

_HINT: "Final" = "Write it like 8080:80, 127.0.0.1:8080:80/tcp, 8000-8010:80-90/udp or [::1]:8080:80."
_PROTOCOLS: "Final" = ("tcp", "udp", "sctp")


def parse_publish(text: str) -> PortMapping:
    """One -p value. Host port 0: the engine chooses. Raises: UsageError."""
    rest, slash, protocol = text.partition("/")
    if "/" in protocol:
        _fail("invalid port format - protocol can only be specified once")
    if slash and not protocol:
        _fail("must provide a non-empty protocol to publish")
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        _fail(f"publish {text}: unknown protocol {protocol}")
    host_ip, rest = _take_ipv6(rest)
    parts = rest.split(":")
    if host_ip:
        if len(parts) == 1:
            _fail("invalid port format - must provide host and destination port if specifying an IP")
        if len(parts) != 2:
            _fail("invalid port format - when v6 address specified, must be [ipv6]:hostPort:ctrPort")
    elif len(parts) == 3:
        host_ip = _checked_ip(parts.pop(0))
    elif len(parts) > 3:
        _fail("invalid port format - format is [[hostIP:]hostPort:]containerPort")
    if not parts[-1]:
        _fail("must provide a non-empty container port to publish")
    start, count = _range(parts[-1], "parsing container port")
    host = _host_port(parts[0], count) if len(parts) == 2 else 0
    return PortMapping(host_ip="" if host_ip == "0.0.0.0" else host_ip, host_port=host, container_port=start, count=count,
                       protocol=protocol)


def _take_ipv6(rest: str) -> tuple[str, str]:
    head, bracket, tail = rest.partition("]")
    if not bracket:
        return "", rest
    if not head.startswith("["):
        _fail("invalid port format - IPv6 addresses must be enclosed by []")
    if not tail.startswith(":"):
        _fail("invalid port format - IPv6 address must be followed by a colon (':')")
    if "]" in tail:
        _fail("invalid port format - at most one IPv6 address can be specified in a --publish")
    return _checked_ip(head[1:]), tail[1:]


def _checked_ip(text: str) -> str:
    """The address in its usual spelling."""
    import socket

    if not text:
        _fail("must provide a non-empty container host IP to publish")
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, text))
        except OSError:
            continue
    return _fail(f'cannot parse "{text}" as an IP address')


def _host_port(text: str, count: int) -> int:
    if text in ("", "0"):
        return 0
    start, length = _range(text, "parsing host port")
    if length != count:
        _fail(f"host and container port ranges have different lengths: {length} vs {count}")
    return start


def _range(text: str, what: str) -> tuple[int, int]:
    """(first, how many)."""
    parts = text.split("-")
    if len(parts) > 2:
        _fail(f"{what}: invalid port format - port ranges are formatted as startPort-stopPort")
    if not parts[0]:
        _fail(f"{what}: port numbers cannot be negative")
    start = _port(parts[0], what)
    if len(parts) == 1:
        return start, 1
    if not parts[1]:
        _fail(f"{what}: must provide ending number for port range")
    end = _port(parts[1], what)
    if end <= start:
        _fail(f"{what}: the end port of a range must be higher than the start port - {end} is not higher than {start}")
    return start, end - start + 1


def _port(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit()):
        _fail(f'{what}: invalid port number: strconv.Atoi: parsing "{text}": invalid syntax')
    number = int(text)
    if not 1 <= number <= 65535:
        _fail(f"{what}: port numbers must be between 1 and 65535 (inclusive), got {number}")
    return number


def _fail(message: str) -> "NoReturn":
    raise UsageError(message, hint=_HINT)


def parse_expose(text: str) -> list[str]:
    """ "80-82/udp" -> ["80/udp", "81/udp", "82/udp"]. Raises: UsageError."""
    rest, _, protocol = text.partition("/")
    if "/" in protocol:
        _fail("invalid expose format - protocol can only be specified once")
    start, count = _range(rest, f"expose {text}")
    return [f"{port}/{protocol or 'tcp'}" for port in range(start, start + count)]
