"""The pasta driver: the container gets a copy of the host's addresses, packets are translated to sockets.

Source: pasta(1), passt's man page. pasta goes to the background when it is ready and ends by itself when the
namespace's pin is removed, so it needs neither a ready fd nor an exit fd.
"""

import os
import time

from podlike.errors import NetworkError
from podlike.net import helper, ports
from podlike.net.files import host_addresses
from podlike.net.plan import NetworkSetup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.net.plan import NetworkPlan

# Link-local addresses inside the container, as podman has them: unlikely to be in use, the same everywhere.
DNS_FORWARD = "169.254.1.1"
MAP_GUEST = "169.254.1.2"

# --map-guest-addr came in August 2024, --config-net in late 2022; Debian 12 has neither name of the first.
SWITCHES = ("--config-net", "--dns-forward", "--map-guest-addr", "--no-map-gw", "--quiet", "--pid", "--netns")

# podman's options that stand for pasta's, and whether a forwarding rule of that kind was given.
FORWARDS = (("-t", "--tcp-ports"), ("-u", "--udp-ports"), ("-T", "--tcp-ns"), ("-U", "--udp-ns"))

# It goes to the background in 30 ms; one that does not within this time is killed where it stands.
CANCEL_TIMEOUT_S = 2.0

CHATTER = ("Failed to send", "No external routable interface for IPv6", "Couldn't get any nameserver address")

INSTALL_HINT = "Install it (package passt), or use --network slirp4netns, host or none."


class PastaOptions:
    """Words for pasta's command line: pasta_options of containers.conf, then those of --network pasta:..."""

    __slots__ = ("map_gw", "words")

    def __init__(self, words: "list[str]") -> None:
        # --map-gw is podman's word for leaving --no-map-gw out.
        self.map_gw = "--map-gw" in words
        self.words = [w for w in words if w != "--map-gw"]

    def value(self, *names: str) -> str:
        """The value of the last of these options, "" if it is not given."""
        found = ""
        for i, word in enumerate(self.words):
            option, equals, value = word.partition("=")
            if option in names:
                found = value if equals else "".join(self.words[i + 1:i + 2])
        return found

    def given(self, names: "tuple[str, ...]") -> bool:
        return any(w.partition("=")[0] in names for w in self.words)


def arguments(plan: "NetworkPlan", have: "frozenset[str]", *, netns_path: str, pid_file: str) -> "list[str]":
    """The command line for what this version of the program supports. Raises: NetworkError."""
    o = plan.pasta
    if "--config-net" not in have:
        raise NetworkError(f"start {plan.program}: this version has no --config-net",
                           hint="Install passt of 2023 or newer, or use --network slirp4netns.")
    argv = [plan.program, "--config-net", *o.words]
    for p in plan.ports:
        rule = (f"{p.host_port}-{p.host_port + p.count - 1}:"
                f"{p.container_port}-{p.container_port + p.count - 1}")
        argv += ["-t" if p.protocol == "tcp" else "-u", f"{p.host_ip}/{rule}" if p.host_ip else rule]
    # Without a rule pasta forwards whatever is listened on, in both directions.
    published = {"-t": "tcp", "-u": "udp"}
    for names in FORWARDS:
        if not o.given(names) and not any(p.protocol == published.get(names[0]) for p in plan.ports):
            argv += [names[0], "none"]
    if not o.value("--dns-forward") and "--dns-forward" in have:
        argv += ["--dns-forward", DNS_FORWARD]
    if not o.map_gw:
        argv.append("--no-map-gw")
    if "--quiet" in have and not o.given(("-d", "--debug", "--trace")):
        argv.append("--quiet")
    if not o.value("--map-guest-addr") and "--map-guest-addr" in have:
        argv += ["--map-guest-addr", MAP_GUEST]
    return [*argv, "--pid", pid_file, "--netns", netns_path]


class PastaPending:
    """A pasta that was started and is not yet known to be ready.

    setup: what the network will be, for the container's files; true once wait_ready has returned.
    """

    __slots__ = ("_child", "_plan", "_run_dir", "helper", "setup")

    def __init__(self, plan: "NetworkPlan", *, netns_path: str, run_dir: str, cache_dir: str | None) -> None:
        """Spawn it; returns at once. Raises: NetworkError."""
        self._plan = plan
        self._run_dir = run_dir
        have = helper.supported(plan.program, SWITCHES, cache_dir)
        argv = arguments(plan, have, netns_path=netns_path, pid_file=self.pid_file)
        try:
            os.unlink(self.pid_file)  # of an earlier start
        except FileNotFoundError:
            pass
        self._child = helper.spawn(argv, log=self.log, fds={})
        self.helper: "dict[str, Any]" = helper.record(self._child, "pasta")
        o = plan.pasta
        # It copies the address of the interface with the default route, unless told another.
        own = o.value("-a", "--address") or "".join(host_addresses()[:1])
        mapped = o.value("--map-guest-addr") or (MAP_GUEST if "--map-guest-addr" in have else "")
        self.setup = NetworkSetup(
            helpers=[self.helper], ip=own, gateway=o.value("-g", "--gateway"),
            dns=[o.value("--dns-forward") or DNS_FORWARD], ports=plan.ports, host_ip=mapped,
            ipv6=not o.given(("-4", "--ipv4-only")))

    @property
    def log(self) -> str:
        return f"{self._run_dir}/pasta.log"

    @property
    def pid_file(self) -> str:
        return f"{self._run_dir}/pasta.pid"

    def wait_ready(self) -> NetworkSetup:
        """Wait until pasta has gone to the background.

        On failure nothing of it stays. Raises: NetworkError with its words.
        """
        try:
            status = self._wait_child()
            if status != 0:
                raise self._failure(status)
            self.helper = self._daemon()
        except BaseException:
            self.cancel()
            raise
        self.setup.helpers = [self.helper]
        return self.setup

    def _wait_child(self) -> int:
        """Exit status of the foreground process. Raises: NetworkError after READY_TIMEOUT_S."""
        pidfd = os.pidfd_open(self._child)
        try:
            if not helper.readable(pidfd, helper.READY_TIMEOUT_S):
                raise NetworkError(f"start pasta: it was not ready within {helper.READY_TIMEOUT_S:.0f} s: "
                                   f"{helper.read_log(self.log, without=CHATTER) or 'it said nothing'}",
                                   hint=f"Look at {self.log}, and at the load of this machine.")
            status = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
            self._child = 0
            return status
        finally:
            os.close(pidfd)

    def _daemon(self) -> "dict[str, Any]":
        """The process that its pid file names. Raises: NetworkError."""
        for _ in range(100):
            pid = self._written_pid()
            if pid:
                return helper.record(pid, "pasta")
            time.sleep(0.005)  # older versions write it just after the foreground process has ended
        raise NetworkError(f"start pasta: it wrote no pid to {self.pid_file}",
                           hint=f"Look at {self.log}.")

    def _failure(self, status: int) -> NetworkError:
        reason = helper.read_log(self.log, without=CHATTER)
        for p in self._plan.ports:
            for port in range(p.host_port, p.host_port + p.count):
                code = ports.try_bind(p.host_ip, port, p.protocol)
                if code:
                    return ports.bind_error(p.host_ip, port, p.protocol, code)
        return NetworkError(f"start pasta: {reason or f'it ended with status {status}'}",
                            hint="Correct its options, or use --network slirp4netns.")

    def _written_pid(self) -> int:
        """The pid in its pid file, 0 as long as there is none."""
        try:
            with open(self.pid_file) as f:
                text = f.read().strip()
        except FileNotFoundError:
            return 0
        return int(text) if text.isascii() and text.isdigit() else 0

    def cancel(self) -> None:
        """Kill what was started; for a start that failed elsewhere. Does nothing the second time."""
        # Killed between its fork and its pid file, it would leave a process behind that nobody knows.
        if self._child:
            self._await_background()
        helper.kill(self.helper, group=bool(self._child))
        self._child = 0
        pid = self._written_pid()
        if pid and _is_pasta(pid):
            helper.kill(helper.record(pid, "pasta"))

    def _await_background(self) -> None:
        pidfd = os.pidfd_open(self._child)  # not waited for, so it is there, if only as a zombie
        helper.readable(pidfd, CANCEL_TIMEOUT_S)
        os.close(pidfd)


def _is_pasta(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/comm") as f:
            # It executes passt.avx2 where the processor has AVX2.
            return f.read().startswith(("pasta", "passt"))
    except OSError:
        return False
