"""What the network of a container is to be (NetworkPlan) and what it became (NetworkSetup)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.net.pasta import PastaOptions
    from podlike.net.slirp4netns import SlirpOptions
    from podlike.spec.container import PortMapping


class NetworkPlan:
    """A validated network of one container; making it has touched nothing.

    kind: host, none, join, slirp4netns, pasta.
    target: with join, "container:ID" or "ns:PATH" as given.
    program: the helper's absolute path, "" without one.
    ports: published ports, host ports chosen; empty where nothing can be published.
    warnings: sentences for the user.
    """

    __slots__ = ("_pasta", "_slirp", "kind", "ports", "program", "target", "warnings")

    def __init__(self, kind: str, *, target: str = "", program: str = "",
                 ports: "list[PortMapping] | None" = None, slirp: "SlirpOptions | None" = None,
                 pasta: "PastaOptions | None" = None) -> None:
        self.kind = kind
        self.target = target
        self.program = program
        self.ports = ports or []
        self.warnings: list[str] = []
        self._slirp = slirp
        self._pasta = pasta

    @property
    def needs_netns(self) -> bool:
        """Whether the container gets a network namespace of its own, to be pinned before start()."""
        return self.kind in ("none", "slirp4netns", "pasta")

    @property
    def slirp(self) -> "SlirpOptions":
        assert self._slirp is not None
        return self._slirp

    @property
    def pasta(self) -> "PastaOptions":
        assert self._pasta is not None
        return self._pasta


class NetworkSetup:
    """A network that works.

    helpers: for the container's state: {"pid", "start_time", "name"}.
    ip, gateway: of the container, "" where there is none of its own or it is not known.
    dns: forwarders to put first in resolv.conf.
    host_ip: where the container reaches services of the host's loopback, "" for nowhere.
    warnings: what was asked for and could not be had.
    """

    __slots__ = ("dns", "gateway", "helpers", "host_ip", "ip", "ipv6", "ports", "warnings")

    def __init__(self, *, helpers: "list[dict[str, Any]] | None" = None, ip: str = "", gateway: str = "",
                 dns: "list[str] | None" = None, ports: "list[PortMapping] | None" = None, host_ip: str = "",
                 ipv6: bool = False, warnings: "list[str] | None" = None) -> None:
        self.helpers = helpers or []
        self.ip = ip
        self.gateway = gateway
        self.dns = dns or []
        self.ports = ports or []
        self.host_ip = host_ip
        self.ipv6 = ipv6
        self.warnings = warnings or []
