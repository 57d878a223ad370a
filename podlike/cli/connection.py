"""podlike system connection, podlike system service: podlike runs containers on this host only and serves nobody.

The list of connections is always empty; the others say why they cannot help, and what does.
"""

from podlike.cli.command import Call, Command, Flag, at_most, exactly, no_args
from podlike.cli.options import FORMAT
from podlike.errors import NotFoundError, UsageError

_ROW = "{{.Name}}\t{{.URI}}\t{{.Identity}}\t{{.Default}}\t{{.ReadWrite}}"
_REMOTE = "Run it there: `ssh HOST podlike ...`; images travel with `podlike image scp`."


def list_connections(call: Call) -> None:
    from podlike.cli.output import print_rows

    if not call.opts.quiet:
        print_rows(call, [], _ROW, format=call.opts.format,
                   heads={"URI": "URI", "Name": "Name", "Identity": "Identity", "Default": "Default", "ReadWrite": "ReadWrite"})


def add(call: Call) -> None:
    raise UsageError(f"add connection {call.args[0]}: podlike talks to no services, it runs containers on this host only",
                     hint=_REMOTE)


def default(call: Call) -> None:
    _refuse(call.args[0], "make it the default")


def rename(call: Call) -> None:
    _refuse(call.args[0], "rename it")


def remove(call: Call) -> None:
    if call.opts.all:
        return  # all of none
    if not call.args:
        raise UsageError("accepts 1 arg(s), received 0")
    _refuse(call.args[0], "remove it")


def _refuse(name: str, what: str) -> None:
    raise NotFoundError(f'{what}: no connection "{name}" is there, podlike runs containers on this host only', hint=_REMOTE)


def service(call: Call) -> None:
    raise UsageError("run a service: podlike has no daemon and answers no API; each command does its own work",
                     hint="Scripts call podlike itself, Python programs `from podlike import Engine`, other hosts "
                          "`ssh HOST podlike ...`.")


command = Command(
    "list", list_connections, args=no_args, summary="List destination for the podlike service(s)",
    description="List destination information for the podlike service(s) in podlike configuration.",
    flags=(FORMAT, Flag("quiet", "q", "bool", "Print the names only")),
    examples=("system connection list", "system connection ls --format=json"))

_ABOUT = "\n\npodlike runs containers on this host only: this says so and changes nothing."

add_command = Command(
    "add", add, usage="NAME DESTINATION", args=exactly(2), summary="Record destination for the podlike service",
    description="Add a destination to podlike configuration." + _ABOUT,
    flags=(Flag("default", "d", "bool", "Set connection to be default"),
           Flag("identity", "", "string", "path to SSH identity file", metavar="string"),
           Flag("port", "p", "int", "SSH port number for destination", 22),
           Flag("socket-path", "", "string", "path to podlike socket on remote host"),
           Flag("tls-ca", "", "string", "path to TLS certificate Authority"),
           Flag("tls-cert", "", "string", "path to TLS client certificate public key"),
           Flag("tls-key", "", "string", "path to TLS client certificate private key")),
    examples=("system connection add server ssh://user@server",))

default_command = Command(
    "default", default, usage="NAME", args=exactly(1), summary="Set named destination as default",
    description="Set named destination as default for the podlike service." + _ABOUT,
    examples=("system connection default testing",))

rename_command = Command(
    "rename", rename, usage="OLD NEW", args=exactly(2), summary="Rename \"old\" to \"new\"",
    description="Rename destination for the podlike service." + _ABOUT, examples=("system connection rename laptop devl",))

remove_command = Command(
    "remove", remove, usage="[NAME]", args=at_most(1), summary="Delete named destination",
    description="Delete named destination from podlike configuration." + _ABOUT,
    flags=(Flag("all", "a", "bool", "Remove all connections"),), examples=("system connection remove devl",))

service_command = Command(
    "service", service, usage="[URI]", args=at_most(1), summary="Run API service",
    description="podlike has no API service: this says so, and what to use instead.",
    flags=(Flag("cors", "", "string", "Set CORS Headers"),
           Flag("time", "t", "uint", "Time until the service session expires in seconds", 5),
           Flag("tls-cert", "", "string", "PEM file containing TLS serving certificate."),
           Flag("tls-client-ca", "", "string", "Only trust client connections with certificates signed by this CA PEM file"),
           Flag("tls-key", "", "string", "PEM file containing TLS serving certificate private key")),
    examples=("system service",))
