"""podlike network ls, inspect, exists, rm, prune: the networks there are."""

import sys

from podlike.cli.command import Call, Command, Flag, at_least, exactly, no_args, print_error
from podlike.cli.options import FILTER
from podlike.errors import NotFoundError, PodlikeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.engine.networks import Network
    from podlike.spec.govalues import View

_HEADS = {"ID": "NETWORK ID"}
_GO_NAMES = {"IPv6Enabled": "ipv6_enabled", "DNSEnabled": "dns_enabled", "NetworkInterface": "network_interface",
             "IPAMOptions": "ipam_options"}


def ls(call: Call) -> None:
    from podlike.cli.output import check_format, print_rows

    opts = call.opts
    check_format(opts.format)
    found = call.api.networks.list(filters=opts.filter, docker=call.docker)
    if opts.quiet:
        for network in found:
            call.out((network.id if opts.no_trunc else network.id[:12]) if call.docker else network.name)
        return
    cells = ("ID", "Name", "Driver", *(("Scope",) if call.docker else ()))
    print_rows(call, [_docker_view(call, n) if call.docker else _view(call, n) for n in found],
               "\t".join(f"{{{{.{c}}}}}" for c in cells), format=opts.format, heads=_HEADS,
               heading=not getattr(opts, "noheading", False), indent=2)


def _view(call: Call, network: "Network") -> "View":
    from podlike.engine.networks import document
    from podlike.spec.govalues import View

    short = network.id if call.opts.no_trunc else network.id[:12]
    return View({**_fields(network), "ID": short, "Labels": ""}, lambda: document(network, containers=False))


def _fields(network: "Network") -> "dict[str, Any]":
    """By the names of podman's templates."""
    from podlike.engine.networks import document
    from podlike.spec.durations import go_time
    from podlike.spec.govalues import Struct

    doc = document(network, containers=True)
    return {"Name": network.name, "ID": network.id, "Id": network.id, "Driver": network.driver,
            **{name: doc[key] for name, key in _GO_NAMES.items()}, "Internal": False,
            "Created": go_time(network.created, utc=True), "Labels": {}, "Options": {}, "Routes": [], "NetworkDNSServers": [],
            "Subnets": [Struct({"Subnet": s, "Gateway": g, "LeaseRange": None}) for s, g in network.subnets],
            "Containers": {cid: Struct({"Name": c["name"], "Interfaces": c["interfaces"]})
                           for cid, c in doc["containers"].items()}}


def _docker_view(call: Call, network: "Network") -> "View":
    from podlike.spec.durations import go_time
    from podlike.spec.govalues import View

    fields: "dict[str, Any]" = {
        "CreatedAt": go_time(network.created, utc=True), "Driver": network.driver,
        "ID": network.id if call.opts.no_trunc else network.id[:12], "IPv4": "true", "IPv6": "false", "Internal": "false",
        "Labels": "", "Name": network.name, "Scope": "local"}
    return View({**fields, "Label": lambda name: ""}, fields)


def inspect(call: Call) -> int:
    """Print what was found, then complain about what was not."""
    from podlike.cli.output import format_document, is_json, print_json
    from podlike.engine.networks import docker_document, document

    found: "list[Network]" = []
    errors: list[PodlikeError] = []
    for name in call.args:
        try:
            found.append(call.api.networks.get(name, docker=call.docker))
        except PodlikeError as e:
            if not call.docker:
                e.message = f"inspecting object: network {name}: {e.message}"
            errors.append(e)
    text = call.opts.format
    if not text or is_json(text):
        docs = [docker_document(n) if call.docker else document(n, containers=True) for n in found]
        print_json(docs, indent=4 if call.docker else 5)
    else:
        for network in found:
            format_document(call, shown(call, network), text)
    for error in errors:
        print_error(error)
    return 0 if not errors else 1 if call.docker else errors[-1].exit_code


def shown(call: Call, network: "Network") -> "Any":
    """A network as templates see it."""
    from podlike.engine.networks import docker_document, document
    from podlike.spec.govalues import View

    if call.docker:
        from podlike.cli.inspect import as_structs

        return as_structs(docker_document(network))
    return View(_fields(network), document(network, containers=True))


def exists(call: Call) -> int:
    return 0 if call.api.networks.exists(call.args[0]) else 1


def rm(call: Call) -> int:
    """Every network there is was there from the start and stays. Exit code 1 for one that does not exist."""
    from podlike.engine.networks import refuse_removal

    opts = call.opts
    if call.changed("time") and not opts.force:
        raise UsageError("--force option must be specified to use the --time option")
    code = 0
    for name in call.args:
        try:
            refuse_removal(call.engine, name, docker=call.docker)
        except NotFoundError as e:
            if not opts.force:
                print_error(e)
                code = code or 1
        except PodlikeError as e:
            print_error(e)
            code = 1 if call.docker else e.exit_code
    return code


def prune(call: Call) -> None:
    """Nothing to remove, as long as no network can be made."""
    from podlike.engine.networks import select

    if not call.opts.force:
        call.out("WARNING! This will remove all networks not used by at least one container.")
        call.out("Are you sure you want to continue? [y/N] ", end="")
        sys.stdout.flush()
        if not sys.stdin.readline().lower().startswith("y"):
            return
    select((), call.opts.filter)  # a bad filter is one here too
    if call.docker:
        call.out("Total reclaimed space: 0B")


_FORMAT = Flag("format", "", "string", "Pretty-print networks to JSON or using a Go template")
_NO_TRUNC = Flag("no-trunc", "", "bool", "Do not truncate the network ID")
_LS = "Display a summary of networks"

ls_command = Command(
    "ls", ls, args=no_args, summary="List networks", description=_LS,
    flags=(FILTER, _FORMAT, _NO_TRUNC, Flag("noheading", "n", "bool", "Do not print headers"),
           Flag("quiet", "q", "bool", "display only names")),
    examples=("network list", "network ls --filter driver=bridge --format {{.Name}}"))
docker_ls_command = Command(
    "ls", ls, args=no_args, summary="List networks",
    flags=(FILTER, Flag("format", "", "string", "Format output using a custom template"), _NO_TRUNC,
           Flag("quiet", "q", "bool", "Only display network IDs")), examples=("network ls",))

inspect_command = Command(
    "inspect", inspect, usage="NETWORK [NETWORK...]", args=at_least(1), summary="Inspect network",
    description="Displays the configuration of one or more networks.",
    flags=(Flag("format", "f", "string", "Pretty-print network to JSON or using a Go template"),),
    examples=("network inspect podman",))
docker_inspect_command = Command(
    "inspect", inspect, usage="NETWORK [NETWORK...]", args=at_least(1),
    summary="Display detailed information on one or more networks",
    flags=(Flag("format", "f", "string", "Format output using a custom template"),
           Flag("verbose", "v", "bool", "Verbose output for diagnostics")), examples=("network inspect bridge",))

exists_command = Command(
    "exists", exists, usage="NETWORK", args=exactly(1), summary="Check if network exists",
    description="If the named network exists, podlike network exists exits with 0, otherwise the exit code will be 1.",
    examples=("network exists podman",))

_FORCE = Flag("force", "f", "bool", "remove any containers using network")
rm_command = Command(
    "rm", rm, usage="NETWORK [NETWORK...]", args=at_least(1), summary="Remove networks",
    flags=(_FORCE, Flag("time", "t", "int", "Seconds to wait for running containers to stop before killing the container", 10)),
    examples=("network rm podman",))
docker_rm_command = Command(
    "rm", rm, usage="NETWORK [NETWORK...]", args=at_least(1), summary="Remove one or more networks",
    flags=(Flag("force", "f", "bool", "Do not error if the network does not exist"),), examples=("network rm mynet",))

prune_command = Command(
    "prune", prune, args=no_args, summary="Prune unused networks",
    flags=(Flag("filter", "", "array", "Provide filter values (e.g. 'label=<key>=<value>')"),
           Flag("force", "f", "bool", "do not prompt for confirmation")), examples=("network prune",))
