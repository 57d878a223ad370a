"""The networks there are. None can be made yet: what is listed is what every engine has from the start.

Called podman: its default network `podman`. Called docker: `bridge`, `host` and `none`, docker's three.
Source: podman-network-ls(1), podman-network-inspect(1); docker's reference of `network ls` and `network inspect`.
"""

import hashlib
import os
import time

from podlike.engine import query
from podlike.engine.core import Engine
from podlike.errors import ConflictError, NotFoundError
from podlike.spec.durations import parse_time, rfc3339
from podlike.spec.filters import apply_filters, name_matches, parse_filters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final

    from podlike.store.containers import Container

DEFAULT: "Final" = "podman"
# What slirp4netns and pasta give a container that has a network of its own: slirp4netns(1), --cidr.
_HELPER_SUBNET: "Final" = ("10.0.2.0/24", "10.0.2.2")


class Network:
    """One network. created: Unix seconds. id: 64 hex digits, the same on every machine, as podman's are.

    subnets: (subnet, gateway). containers: those that run in it.
    """

    __slots__ = ("containers", "created", "driver", "id", "interface", "name", "subnets")

    def __init__(self, name: str, driver: str, *, interface: str = "", subnets: "tuple[tuple[str, str], ...]" = (),
                 created: float = 0.0, containers: "Iterable[Container]" = ()) -> None:
        self.name = name
        self.id = hashlib.sha256(name.encode()).hexdigest()  # as podman makes that of its default network
        self.driver = driver
        self.interface = interface
        self.subnets = subnets
        self.created = created
        self.containers = list(containers)

    def __repr__(self) -> str:
        return f"<network {self.id[:12]} {self.name}: {self.driver}>"


def all_networks(engine: Engine, *, docker: bool = False) -> list[Network]:
    """Sorted by name. docker: docker's."""
    born = _born(engine)
    if not docker:
        return [Network(DEFAULT, "bridge", interface="podman0", subnets=(("10.88.0.0/16", "10.88.0.1"),), created=born)]
    running: "dict[str, list[Container]]" = {"bridge": [], "host": [], "none": []}
    for container in query.all_containers(engine):
        kind = container.spec.network.partition(":")[0]
        kind = "bridge" if kind in ("", "default", "private", "slirp4netns", "pasta") else kind
        if kind in running and query.status(engine, container).running:
            running[kind].append(container)
    return [Network("bridge", "bridge", interface="docker0", subnets=(_HELPER_SUBNET,), created=born,
                    containers=running["bridge"]),
            Network("host", "host", created=born, containers=running["host"]),
            Network("none", "null", created=born, containers=running["none"])]


def _born(engine: Engine) -> float:
    """As old as the store; podman's default network is as old as the command that shows it."""
    try:
        return os.stat(f"{engine.roots.data}/driver").st_mtime
    except OSError:
        return time.time()


def find(engine: Engine, name: str, *, docker: bool = False) -> Network:
    """By name, id, or a unique beginning of an id. Raises: NotFoundError, ConflictError."""
    known = all_networks(engine, docker=docker)
    for network in known:
        if name in (network.name, network.id):
            return network
    found = [network for network in known if name and network.id.startswith(name)]
    if len(found) > 1:
        raise ConflictError(f"more than one result for network ID {name}", hint="Give more digits of the id, or the name.")
    if not found:
        raise NotFoundError(f"network {name} not found" if docker
                            else f"unable to find network with name or ID {name}: network not found")
    return found[0]


def select(networks: "Iterable[Network]", filters: "Iterable[str]") -> list[Network]:
    """Those that pass --filter. Raises: UsageError."""
    return apply_filters(networks, parse_filters(filters), {
        "dangling": lambda n, v: (not n.containers) == (v.lower() in ("1", "t", "true")),
        "driver": lambda n, v: n.driver == v,
        "id": lambda n, v: name_matches(f"^(?:{v})", n.id),
        "label": lambda n, v: False,
        "label!": lambda n, v: True,
        "name": lambda n, v: name_matches(v, n.name),
        "scope": lambda n, v: v == "local",
        "type": lambda n, v: v == "builtin",
        "until": lambda n, v: n.created < parse_time(v),
    })


def document(network: Network, *, containers: bool) -> "dict[str, Any]":
    """As podman shows it. containers: also those in it, as `inspect` does."""
    doc: "dict[str, Any]" = {
        "name": network.name, "id": network.id, "driver": network.driver, "network_interface": network.interface,
        "created": rfc3339(network.created), "subnets": [{"subnet": s, "gateway": g} for s, g in network.subnets],
        "ipv6_enabled": False, "internal": False, "dns_enabled": False, "ipam_options": {"driver": "host-local"}}
    if containers:
        doc["containers"] = {c.id: {"name": c.name, "interfaces": {}} for c in network.containers}
    return doc


def docker_document(network: Network) -> "dict[str, Any]":
    """As `docker network inspect` shows it."""
    config = [{"Subnet": subnet, "Gateway": gateway} for subnet, gateway in network.subnets]
    return {
        "Name": network.name, "Id": network.id, "Created": rfc3339(network.created), "Scope": "local", "Driver": network.driver,
        "EnableIPv4": True, "EnableIPv6": False, "IPAM": {"Driver": "default", "Options": None, "Config": config or None},
        "Internal": False, "Attachable": False, "Ingress": False, "ConfigFrom": {"Network": ""}, "ConfigOnly": False,
        "Containers": {c.id: {"Name": c.name, "EndpointID": "", "MacAddress": "",
                              "IPv4Address": f"{c.state.ip}/24" if c.state.ip else "", "IPv6Address": ""}
                       for c in network.containers},
        "Options": {}, "Labels": {}}


def refuse_removal(engine: Engine, name: str, *, docker: bool = False) -> None:
    """Every network that exists is one that cannot be removed. Raises: NotFoundError, ConflictError."""
    network = find(engine, name, docker=docker)
    if docker:
        raise ConflictError(f"{network.name} is a pre-defined network and cannot be removed")
    raise ConflictError(f"default network {network.name} cannot be removed")


