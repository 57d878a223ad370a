"""Choose the network driver of a container, and run it: prepare, start, wait_ready, teardown.

    plan = prepare(spec, config)           validates; ports with host_port 0 get one
    check_ports(plan.ports)                before anything is created
    pending = start(plan, netns_path=..)   spawns the helper and returns at once;
                                           pending.setup is enough for hosts and resolv.conf
    setup = pending.wait_ready()           just before the container starts
    teardown(setup.helpers)                idempotent

All but teardown must run in the host's network namespace; start also where netns_path can be opened.
"""

from podlike.errors import NetworkError
from podlike.net import helper
from podlike.net.plan import NetworkPlan, NetworkSetup
from podlike.net.ports import check_ports, choose_ports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, TypeAlias

    from podlike.config import Config
    from podlike.net.pasta import PastaPending
    from podlike.net.slirp4netns import SlirpPending
    from podlike.spec.container import ContainerSpec, PortMapping

    Pending: TypeAlias = "SlirpPending | PastaPending | NoHelper"

__all__ = ["NetworkPlan", "NetworkSetup", "NoHelper", "check_ports", "parse_network", "prepare", "start",
           "teardown"]

HELPERS = ("slirp4netns", "pasta")


def parse_network(text: str) -> tuple[str, str]:
    """(kind, argument) of --network: kind is default, host, none, join, slirp4netns or pasta.

    argument: with join, "container:ID" or "ns:PATH"; with a helper, its options. Raises: NetworkError.
    """
    kind, colon, argument = text.partition(":")
    if kind in ("", "default", "private", "bridge", "podman") and not colon:
        return "default", ""  # bridge and podman: the default network by its names, see engine/networks.py
    if kind in ("host", "none") and not colon:
        return kind, ""
    if kind in HELPERS and (argument or not colon):
        return kind, argument
    if kind in ("container", "ns"):
        if not argument:
            missing = "a container" if kind == "container" else "a path"
            raise NetworkError(f"use network {text!r}: {missing} is missing",
                               hint="Write container:NAME or ns:/path/of/a/network/namespace.")
        if kind == "ns" and not argument.startswith("/"):
            raise NetworkError(f"use network {text!r}: the path is not absolute",
                               hint="Write ns:/run/netns/NAME.")
        return "join", text
    raise NetworkError(f"unable to find network with name or ID {text}: network not found",
                       hint="Use --network private, host, none, slirp4netns, pasta, container:ID or ns:PATH.")


def prepare(spec: "ContainerSpec", config: "Config") -> NetworkPlan:
    """Turn a container's wishes into a plan.

    Touches nothing, but for a host port of 0 it asks the kernel for a free one. Raises: NetworkError.
    """
    kind, argument = parse_network(spec.network or config.containers.netns)
    if kind in ("host", "none", "join"):
        plan = NetworkPlan(kind, target=argument)
        if spec.ports:
            plan.warnings.append(f"published ports are ignored: with network {spec.network or kind!r} the "
                                 "container has none of its own")
        return plan
    kind, program = _choose_helper(kind, config)
    wanted = choose_ports(_on_default_addresses(spec.ports, config))
    words = [w for w in argument.split(",") if w]
    if kind == "pasta":
        from podlike.net.pasta import PastaOptions

        return NetworkPlan(kind, program=program, ports=wanted,
                           pasta=PastaOptions([*config.network.pasta_options, *words]))
    from podlike.net.slirp4netns import check, parse_options

    plan = NetworkPlan(kind, program=program, ports=wanted,
                       slirp=parse_options([*config.engine.network_cmd_options, *words]))
    check(plan)
    return plan


def start(plan: NetworkPlan, *, netns_path: str, run_dir: str, exit_read_fd: int | None = None,
          cache_dir: str | None = None) -> "Pending":
    """Spawn the plan's helper; does not wait for it.

    netns_path: the pinned namespace ("" where the plan needs none).
    run_dir: gets the helper's log and socket.
    exit_read_fd: read end of a pipe whose write end only the monitor holds; the helper ends with it. Stays
    the caller's, who closes it.
    cache_dir: where it is remembered what the program supports.
    Raises: NetworkError.
    """
    if plan.kind == "slirp4netns":
        from podlike.net.slirp4netns import SlirpPending

        return SlirpPending(plan, netns_path=netns_path, run_dir=run_dir, exit_read_fd=exit_read_fd,
                            cache_dir=cache_dir)
    if plan.kind == "pasta":
        from podlike.net.pasta import PastaPending

        return PastaPending(plan, netns_path=netns_path, run_dir=run_dir, cache_dir=cache_dir)
    return NoHelper(plan)


def teardown(helpers: "Iterable[Mapping[str, Any]]", *, wait: bool = True) -> None:
    """Kill the helpers that still are the processes that were recorded; all are tried.

    wait: until they are gone, which matters when ports were published, for those are free only then.
    Raises: ExceptionGroup of NetworkError.
    """
    errors: list[Exception] = []
    for h in helpers:
        try:
            helper.kill(h, wait=wait)
        except NetworkError as e:
            errors.append(e)
    if errors:
        raise ExceptionGroup("stop network helpers", errors)


class NoHelper:
    """The pending set-up of a network that no helper serves: host, none, or another container's."""

    __slots__ = ("setup",)

    def __init__(self, plan: NetworkPlan) -> None:
        host = plan.kind == "host"
        self.setup = NetworkSetup(host_ip="127.0.0.1" if host else "", ipv6=host)

    def wait_ready(self) -> NetworkSetup:
        return self.setup

    def cancel(self) -> None:
        pass


def _choose_helper(kind: str, config: "Config") -> tuple[str, str]:
    """(helper, its path). One that nobody asked for gives way to the other. Raises: NetworkError."""
    wanted = config.network.default_rootless_network_cmd if kind == "default" else kind
    if wanted not in HELPERS:
        raise NetworkError(f"choose the network helper: default_rootless_network_cmd is {wanted!r}",
                           hint="Set it to slirp4netns or pasta in containers.conf.")
    program = _find(wanted, config)
    if program:
        return wanted, program
    if kind == "default":
        for other in HELPERS:
            program = _find(other, config)
            if program:
                return other, program
    from podlike.net import pasta, slirp4netns

    raise NetworkError(f"set up the network: {wanted} is not installed",
                       hint=(slirp4netns if wanted == "slirp4netns" else pasta).INSTALL_HINT)


def _find(name: str, config: "Config") -> str | None:
    if name == "slirp4netns" and config.engine.network_cmd_path:
        return config.engine.network_cmd_path
    return helper.find(name, config.engine.helper_binaries_dir)


def _on_default_addresses(wanted: "list[PortMapping]", config: "Config") -> "list[PortMapping]":
    """Ports without a host address go to each of default_host_ips, if containers.conf has any."""
    ips = config.network.default_host_ips
    if not ips:
        return wanted
    from podlike.spec.container import PortMapping

    return [PortMapping(host_ip=ip, host_port=p.host_port, container_port=p.container_port, count=p.count,
                        protocol=p.protocol) for p in wanted for ip in ((p.host_ip,) if p.host_ip else ips)]
