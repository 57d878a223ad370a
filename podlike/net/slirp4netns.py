"""The slirp4netns driver: user-mode network over a tap device, ports published through its API socket.

Source: slirp4netns(1). It exits when the write end of its exit pipe is gone, so a container's network ends
with its monitor and needs no clean-up command.
"""

import _socket
import os

from podlike.errors import NetworkError
from podlike.net import helper, ports
from podlike.net.plan import NetworkSetup
from podlike.paths import find_program, real_uid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.net.plan import NetworkPlan

# podman's. Throughput grows with it, and no packet of this size leaves the host: slirp hands out streams.
DEFAULT_MTU = 65520
MAX_MTU = 65521

DEFAULT_CIDR = "10.0.2.0/24"

# Longest path of a Unix socket, without its NUL (unix(7)).
MAX_SOCKET_PATH = 107

# Numbers of the fds in slirp4netns.
READY_FD, EXIT_FD, DIR_FD = 3, 4, 5

SWITCHES = ("--disable-host-loopback", "--mtu", "--enable-sandbox", "--enable-seccomp", "--enable-ipv6",
            "--cidr", "--outbound-addr", "--outbound-addr6", "--api-socket", "--exit-fd", "--ready-fd",
            "--netns-type")

# Lines that it writes when all is well, or after the one that tells why it failed.
CHATTER = ("WARNING: Support for", "sent tapfd", "received tapfd", "Starting slirp", "* ",
           "seccomp: The following", "api_handler: got request", "apifd event", "do_slirp is exiting",
           "do_slirp failed", "parent failed", "child failed")

INSTALL_HINT = "Install it (package slirp4netns), or use --network pasta, host or none."


class SlirpOptions:
    """Options of --network slirp4netns:... and of network_cmd_options in containers.conf."""

    __slots__ = ("allow_host_loopback", "cidr", "enable_ipv6", "mtu", "outbound_addr", "outbound_addr6")

    def __init__(self) -> None:
        self.allow_host_loopback = False
        self.cidr = ""
        self.enable_ipv6 = True
        self.mtu = DEFAULT_MTU
        self.outbound_addr = ""
        self.outbound_addr6 = ""


def parse_options(words: "list[str]") -> SlirpOptions:
    """KEY=VALUE words, later ones win. Raises: NetworkError."""
    out = SlirpOptions()
    for word in words:
        key, equals, value = word.partition("=")
        problem = _set(out, key, value) if equals else "it must be KEY=VALUE"
        if problem:
            raise NetworkError(f"read slirp4netns option {word!r}: {problem}",
                               hint="Use allow_host_loopback, cidr, enable_ipv6, mtu, outbound_addr, "
                                    "outbound_addr6 or port_handler; see slirp4netns in podman-run(1).")
    if out.outbound_addr6 and not out.enable_ipv6:
        raise NetworkError("read slirp4netns option 'outbound_addr6': IPv6 is switched off",
                           hint="Drop enable_ipv6=false.")
    return out


def _set(out: SlirpOptions, key: str, value: str) -> str:
    """Set one option; the problem in words, or ""."""
    if key in ("allow_host_loopback", "enable_ipv6"):
        if value not in ("true", "false"):
            return "it must be true or false"
        setattr(out, key, value == "true")
    elif key == "mtu":
        if not (value.isascii() and value.isdigit() and 68 <= int(value) <= MAX_MTU):
            return f"it must be a number from 68 to {MAX_MTU}"
        out.mtu = int(value)
    elif key == "cidr":
        if not _parse_cidr(value):
            return "it must be an IPv4 network such as 10.0.2.0/24, no smaller than /25"
        out.cidr = value
    elif key in ("outbound_addr", "outbound_addr6"):
        wanted = 6 if key.endswith("6") else 4
        if ports.ip_version(value) != wanted and not (
                value and "/" not in value and os.path.exists(f"/sys/class/net/{value}")):
            return f"it must be an IPv{wanted} address or the name of an interface"
        setattr(out, key, value)
    elif key == "port_handler":
        # rootlesskit is podman's other forwarder; ports work the same here, and with true client addresses.
        if value not in ("slirp4netns", "rootlesskit"):
            return "it must be slirp4netns or rootlesskit"
    else:
        return "there is no such option"
    return ""


_PREFIX_LENGTHS = frozenset(map(str, range(1, 26)))


def _parse_cidr(text: str) -> "tuple[int, int] | None":
    """(network, prefix length); None unless it holds .100, which slirp4netns gives to the container."""
    address, _, length = text.partition("/")
    if ports.ip_version(address) != 4 or length not in _PREFIX_LENGTHS:
        return None
    number = int.from_bytes(_socket.inet_pton(_socket.AF_INET, address), "big")
    return number >> (32 - int(length)) << (32 - int(length)), int(length)


def address(options: SlirpOptions, host: int) -> str:
    """An address of slirp4netns's network: 2 the gateway, 3 its DNS forwarder, 100 the container."""
    parsed = _parse_cidr(options.cidr or DEFAULT_CIDR)
    assert parsed  # parse_options has checked
    return _socket.inet_ntop(_socket.AF_INET, (parsed[0] + host).to_bytes(4, "big"))


def check(plan: "NetworkPlan") -> None:
    """Refuse or warn of what slirp4netns cannot do. Raises: NetworkError.

    With the host's loopback shut, libslirp drops the container's UDP answers to clients on 127.0.0.1, because
    it shows those clients as 10.0.2.2; clients elsewhere, and TCP, are served. A test watches for the change.
    """
    for p in plan.ports:
        what = ports.show(p.host_ip, p.host_port, p.protocol)
        if ports.ip_version(p.host_ip) == 6:
            raise NetworkError(f"publish port {what}: slirp4netns forwards from IPv4 only",
                               hint="Publish on an IPv4 address, or use --network pasta.")
        if p.protocol == "udp" and not plan.slirp.allow_host_loopback:
            if p.host_ip.startswith("127."):
                raise NetworkError(
                    f"publish port {what}: slirp4netns drops UDP answers to the host's loopback",
                    hint="Publish on another address of this host, or open its loopback to the container: "
                         "--network slirp4netns:allow_host_loopback=true")
            plan.warnings.append(
                f"UDP port {what} answers every client but those that use 127.0.0.1: on this host, use one "
                "of its other addresses, or --network slirp4netns:allow_host_loopback=true")


def in_own_mounts(argv: "list[str]") -> "list[str]":
    """The command line for root, whose mounts the sandbox would take away from the whole system.

    It makes "/" private, but nothing below, and lets go of its old root: where /sys is shared, as systemd has it, that unmounts
    /sys/fs/cgroup everywhere. In a user namespace the kernel keeps it from doing so.
    """
    unshare = find_program("unshare")
    if unshare is None:
        return [word for word in argv if word != "--enable-sandbox"]
    return [unshare, "--mount", "--propagation", "slave", *argv]


def arguments(plan: "NetworkPlan", have: "frozenset[str]", *, netns_path: str, api_socket: str, exit_fd: bool,
              sandbox: bool) -> "list[str]":
    """The command line for what this version of the program supports. Raises: NetworkError."""
    o: SlirpOptions = plan.slirp
    argv = [plan.program]
    if not o.allow_host_loopback:
        # An old version that cannot shut the host's loopback off must not silently leave it open.
        argv.append(_need("--disable-host-loopback", have, "allow_host_loopback=false"))
    if "--mtu" in have:
        argv.append(f"--mtu={o.mtu}")
    if sandbox:
        argv += [s for s in ("--enable-sandbox", "--enable-seccomp") if s in have]
    if o.cidr:
        argv.append(f"{_need('--cidr', have, 'cidr')}={o.cidr}")
    if o.enable_ipv6 and "--enable-ipv6" in have:
        argv.append("--enable-ipv6")
    if o.outbound_addr:
        argv.append(f"{_need('--outbound-addr', have, 'outbound_addr')}={o.outbound_addr}")
    if o.outbound_addr6:
        argv.append(f"{_need('--outbound-addr6', have, 'outbound_addr6')}={o.outbound_addr6}")
    argv += ["-c", f"{_need('--ready-fd', have, 'podlike')}={READY_FD}"]
    if exit_fd:
        argv.append(f"{_need('--exit-fd', have, 'podlike')}={EXIT_FD}")
    if api_socket:
        argv += [_need("--api-socket", have, "a published port"), api_socket]
    return [*argv, f"{_need('--netns-type', have, 'podlike')}=path", netns_path, "tap0"]


def _need(switch: str, have: "frozenset[str]", purpose: str) -> str:
    if switch not in have:
        raise NetworkError(f"start slirp4netns: this version has no {switch}, which {purpose} needs",
                           hint="Install slirp4netns 1.0 or newer, or use --network pasta.")
    return switch


class SlirpPending:
    """A slirp4netns that was started and is not yet known to be ready.

    setup: what the network will be, for the container's files; true once wait_ready has returned.
    """

    __slots__ = ("_args", "_plan", "_ready_fd", "_run_dir", "helper", "setup")

    def __init__(self, plan: "NetworkPlan", *, netns_path: str, run_dir: str, exit_read_fd: int | None,
                 cache_dir: str | None) -> None:
        """Spawn it; returns at once. exit_read_fd stays the caller's. Raises: NetworkError."""
        self._plan = plan
        self._run_dir = run_dir
        self._ready_fd = -1
        have = helper.supported(plan.program, SWITCHES, cache_dir)
        # Only a retry without the sandbox needs these again.
        self._args = (have, netns_path, exit_read_fd)
        self.helper: "dict[str, Any]" = self._spawn(sandbox=True)
        o = plan.slirp
        gateway = address(o, 2)
        self.setup = NetworkSetup(
            helpers=[self.helper], ip=address(o, 100), gateway=gateway, dns=[address(o, 3)], ports=plan.ports,
            host_ip=gateway if o.allow_host_loopback else "", ipv6=o.enable_ipv6)

    @property
    def log(self) -> str:
        return f"{self._run_dir}/slirp4netns.log"

    @property
    def api_socket(self) -> str:
        return f"{self._run_dir}/net.sock"

    def _spawn(self, *, sandbox: bool) -> "dict[str, Any]":
        have, netns_path, exit_read_fd = self._args
        api, dir_fd = "", -1
        if self._plan.ports:
            api, dir_fd = self._socket_path(DIR_FD)
        argv = arguments(self._plan, have, netns_path=netns_path, api_socket=api,
                         exit_fd=exit_read_fd is not None, sandbox=sandbox)
        if sandbox and not real_uid():
            argv = in_own_mounts(argv)
        self._ready_fd, ready_w = os.pipe()
        fds = {READY_FD: ready_w}
        if exit_read_fd is not None:
            fds[EXIT_FD] = exit_read_fd
        if dir_fd >= 0:
            fds[DIR_FD] = dir_fd
        try:
            pid = helper.spawn(argv, log=self.log, fds=fds)
        except NetworkError:
            self._close()
            raise
        finally:
            # Ours must go: with it open, the end of the helper would never be seen.
            os.close(ready_w)
            if dir_fd >= 0:
                os.close(dir_fd)
        return helper.record(pid, "slirp4netns")

    def _socket_path(self, fd_number: int | None) -> "tuple[str, int]":
        """The API socket's path as seen by a process, and an fd that is to be open there (-1: none).

        A path that is too long for a socket's address is reached through a directory fd.
        """
        if len(os.fsencode(self.api_socket)) <= MAX_SOCKET_PATH:
            return self.api_socket, -1
        fd = os.open(self._run_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{fd if fd_number is None else fd_number}/net.sock", fd

    def wait_ready(self) -> NetworkSetup:
        """Wait until the tap device is up and every port is published.

        On failure the helper is killed. Raises: NetworkError with its words.
        """
        try:
            if not self._ready():
                reason = helper.read_log(self.log, without=CHATTER)
                if "sandbox" not in reason and "seccomp" not in reason:
                    raise self._failure(reason)
                # Its own hardening failed (kernel or LSM): the container's isolation does not depend on it.
                self.setup.warnings.append(f"slirp4netns runs without its sandbox: {reason}")
                self._close()
                helper.kill(self.helper, group=True)
                self.helper = self._spawn(sandbox=False)
                self.setup.helpers = [self.helper]
                if not self._ready():
                    raise self._failure(helper.read_log(self.log, without=CHATTER))
            for p in self._plan.ports:
                for i in range(p.count):
                    self._publish(p.protocol, p.host_ip, p.host_port + i, p.container_port + i)
        except BaseException:
            self.cancel()
            raise
        self._close()
        return self.setup

    def _ready(self) -> bool:
        """True: it wrote its byte; False: it ended instead. Raises: NetworkError after READY_TIMEOUT_S."""
        if not helper.readable(self._ready_fd, helper.READY_TIMEOUT_S):
            raise NetworkError(f"start slirp4netns: it was not ready within {helper.READY_TIMEOUT_S:.0f} s: "
                               f"{helper.read_log(self.log, without=CHATTER) or 'it said nothing'}",
                               hint=f"Look at {self.log}, and at the load of this machine.")
        return bool(os.read(self._ready_fd, 16))

    def _failure(self, reason: str) -> NetworkError:
        hint = f"Run it by hand to see more, or use --network pasta; its log was {self.log}."
        if "/dev/net/tun" in reason:
            hint = "Load the tun module (sudo modprobe tun) and let users open /dev/net/tun (mode 0666)."
        return NetworkError(f"start slirp4netns: {reason or 'it ended without a word'}", hint=hint)

    def _publish(self, protocol: str, ip: str, port: int, guest_port: int) -> None:
        """One add_hostfwd; the API takes one request per connection."""
        # Nothing here needs quoting: the address is checked, the rest is numbers and one of two words.
        request = (f'{{"execute":"add_hostfwd","arguments":{{"proto":"{protocol}",'
                   f'"host_addr":"{ip or "0.0.0.0"}","host_port":{port},"guest_port":{guest_port}}}}}')
        what = f"publish port {ports.show(ip, port, protocol)}"
        path, dir_fd = self._socket_path(None)
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            sock.settimeout(helper.READY_TIMEOUT_S)
            sock.connect(path)
            sock.send(request.encode())
            sock.shutdown(_socket.SHUT_WR)
            answer = b""
            while chunk := sock.recv(4096):
                answer += chunk
        except OSError as e:
            reason = helper.read_log(self.log, without=CHATTER)
            raise NetworkError(f"{what}: ask slirp4netns: {e.strerror or e}{f'; {reason}' if reason else ''}",
                               hint="Start the container again.") from e
        finally:
            sock.close()
            if dir_fd >= 0:
                os.close(dir_fd)
        if b'"return"' not in answer:
            # It does not tell the errno: bind once more to learn it.
            code = ports.try_bind(ip, port, protocol)
            if code:
                raise ports.bind_error(ip, port, protocol, code)
            raise NetworkError(f"{what}: slirp4netns says {answer.decode(errors='replace') or 'nothing'}",
                               hint="Publish another host port.")

    def cancel(self) -> None:
        """Kill the helper; for a start that failed elsewhere. Does nothing the second time."""
        self._close()
        # While it starts, a child of its own is in the container's namespace and makes the tap device.
        helper.kill(self.helper, group=True)

    def _close(self) -> None:
        if self._ready_fd >= 0:
            os.close(self._ready_fd)
            self._ready_fd = -1
