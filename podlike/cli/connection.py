"""podlike system connection: podlike runs containers on this host only, so the list is always empty."""

from podlike.cli.command import Call, Command, Flag, no_args
from podlike.cli.options import FORMAT

_ROW = "{{.Name}}\t{{.URI}}\t{{.Identity}}\t{{.Default}}\t{{.ReadWrite}}"


def list_connections(call: Call) -> None:
    from podlike.cli.output import print_rows

    if not call.opts.quiet:
        print_rows(call, [], _ROW, format=call.opts.format,
                   heads={"URI": "URI", "Name": "Name", "Identity": "Identity", "Default": "Default", "ReadWrite": "ReadWrite"})


command = Command(
    "list", list_connections, args=no_args, summary="List destination for the podlike service(s)",
    description="List destination information for the podlike service(s) in podlike configuration.",
    flags=(FORMAT, Flag("quiet", "q", "bool", "Print the names only")),
    examples=("system connection list", "system connection ls --format=json"))
