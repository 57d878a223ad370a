"""podlike port: which host port leads to which container port."""

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import LATEST, take_container
from podlike.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from podlike.store.containers import Container


def port(call: Call) -> None:
    opts = call.opts
    if opts.all and opts.latest:
        raise UsageError("--all and --latest cannot be used together")
    if opts.all:
        if call.args:
            raise UsageError("no additional arguments can be used with --all")
        _print_all(call)
        return
    most = 1 if opts.latest else 2
    if len(call.args) > most:
        raise UsageError(f"`{call.path}` accepts at most {most} arguments")
    container, rest = take_container(call)
    wanted = rest[0] if rest else ""
    if wanted:
        number, _, protocol = wanted.partition("/")
        if not number.isdigit() or protocol not in ("", "tcp", "udp", "sctp"):
            raise UsageError(f'invalid port "{wanted}"', hint="Write it like 80 or 53/udp.")
        wanted = f"{number}/{protocol or 'tcp'}"
    found = False
    for inside, outside in _mappings(call, container):
        if not wanted:
            call.out(f"{inside} -> {outside}")
        elif inside == wanted:
            call.out(outside)
            found = True
    if wanted and not found:
        raise NotFoundError(f'failed to find published port "{rest[0]}"')


def _print_all(call: Call) -> None:
    from podlike.engine.query import all_containers, status

    for container in all_containers(call.engine):
        if status(call.engine, container).running:
            for inside, outside in _mappings(call, container):
                call.out(f"{container.id[:12]}\t{inside} -> {outside}")


def _mappings(call: Call, container: "Container") -> "Iterator[tuple[str, str]]":
    from podlike.engine.inspect import port_bindings
    from podlike.engine.psrows import port_owner

    for inside, places in port_bindings(port_owner(call.engine, container)).items():
        for place in places or ():
            host = place["HostIp"]
            yield inside, f"[{host}]:{place['HostPort']}" if ":" in host else f"{host}:{place['HostPort']}"


command = Command(
    "port", port, usage="CONTAINER [PORT]", summary="List port mappings or a specific mapping for the container",
    description="List port mappings for the CONTAINER, or look up the public-facing port that is NAT-ed to the "
                "PRIVATE_PORT",
    flags=(Flag("all", "a", "bool", "Display port information for all containers"), LATEST),
    examples=("port --all", "port ctrID 80/tcp", "port --latest 80"))
