"""podlike network create, connect, disconnect, reload, update: not there yet, and told so after the flags were read."""

from podlike.cli.command import Call, Command, Flag, at_most, exactly
from podlike.cli.options import LATEST, check_selection
from podlike.errors import UsageError

_HINT = ("Containers of this version have the default network, slirp4netns, pasta, the host's, another container's, or none: "
         "see --network of `podlike run`.")


def refuse(call: Call) -> None:
    raise UsageError(f"{call.path.partition(' ')[2]}: networks of your own are not there yet in this version of podlike",
                     hint=_HINT)


def reload(call: Call) -> None:
    check_selection(call)
    raise UsageError("network reload: there are no firewall rules: a container's ports are served by its network helper",
                     hint="Restart the container if its ports do not answer: `podlike restart`.")


_CREATE = (
    Flag("disable-dns", "", "bool", "disable dns plugin"),
    Flag("dns", "", "strings", "DNS servers this network will use"),
    Flag("driver", "d", "string", "driver to manage the network", "bridge"),
    Flag("gateway", "", "strings", "IPv4 or IPv6 gateway for the subnet"),
    Flag("ignore", "", "bool", "Don't fail if network already exists"),
    Flag("interface-name", "", "string", "interface name which is used by the driver"),
    Flag("internal", "", "bool", "restrict external access from this network"),
    Flag("ip-range", "", "array", "allocate container IP from range"),
    Flag("ipam-driver", "", "string", "IP Address Management Driver"),
    Flag("ipv6", "", "bool", "enable IPv6 networking"),
    Flag("label", "", "array", "set metadata on a network"),
    Flag("opt", "o", "array", "Set driver specific options"),
    Flag("route", "", "array", "static routes"),
    Flag("subnet", "", "array", "subnets in CIDR format"))
create_command = Command(
    "create", refuse, usage="[NAME]", args=at_most(1), summary="Create networks for containers and pods", flags=_CREATE,
    examples=("network create podman1",))
docker_create_command = Command(
    "create", refuse, usage="NETWORK", args=exactly(1), summary="Create a network", examples=("network create mynet",),
    flags=(*(f for f in _CREATE if f.name in ("driver", "gateway", "internal", "ip-range", "ipam-driver", "ipv6", "label", "opt",
                                              "subnet")),
           Flag("attachable", "", "bool", "Enable manual container attachment"),
           Flag("aux-address", "", "array", "Auxiliary IPv4 or IPv6 addresses used by Network driver"),
           Flag("config-from", "", "string", "The network from which to copy the configuration"),
           Flag("config-only", "", "bool", "Create a configuration only network"),
           Flag("ingress", "", "bool", "Create swarm routing-mesh network"),
           Flag("ipam-opt", "", "array", "Set IPAM driver specific options"),
           Flag("ipv4", "", "bool", "Enable or disable IPv4 address assignment", True),
           Flag("scope", "", "string", "Control the network's scope")))

_CONNECT = (Flag("alias", "", "strings", "network scoped alias for container"),
            Flag("ip", "", "string", "set a static ipv4 address for this container network", metavar="ip"),
            Flag("ip6", "", "string", "set a static ipv6 address for this container network", metavar="ip"))
connect_command = Command(
    "connect", refuse, usage="NETWORK CONTAINER", args=exactly(2), summary="Add container to a network",
    flags=(*_CONNECT, Flag("mac-address", "", "string", "set a static mac address for this container network")),
    examples=("network connect web secondary",))
docker_connect_command = Command(
    "connect", refuse, usage="NETWORK CONTAINER", args=exactly(2), summary="Connect a container to a network",
    flags=(*_CONNECT, Flag("driver-opt", "", "array", "driver options for the network"),
           Flag("gw-priority", "", "int", "Highest gw-priority provides the default gateway. Accepts positive and negative "
                                          "values"),
           Flag("link", "", "array", "Add link to another container"),
           Flag("link-local-ip", "", "array", "Add a link-local address for the container")),
    examples=("network connect mynet web",))

disconnect_command = Command(
    "disconnect", refuse, usage="NETWORK CONTAINER", args=exactly(2), summary="Disconnect a container from a network",
    flags=(Flag("force", "f", "bool", "force removal of container from network"),),
    examples=("network disconnect web secondary",))

reload_command = Command(
    "reload", reload, usage="[CONTAINER...]", summary="Reload firewall rules for one or more containers",
    description="Reload container networks, recreating firewall rules",
    flags=(Flag("all", "a", "bool", "Reload network configuration of all containers"), LATEST),
    examples=("network reload 3c13ef6dd843", "network reload --all"))

update_command = Command(
    "update", refuse, usage="NETWORK", args=exactly(1), summary="Update an existing network",
    flags=(Flag("dns-add", "", "strings", "add network level nameservers"),
           Flag("dns-drop", "", "strings", "remove network level nameservers")),
    examples=("network update web --dns-add 8.8.8.8,1.1.1.1",))
