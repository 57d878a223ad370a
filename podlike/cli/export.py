"""podlike export: a container's files as a tar."""

import sys

from podlike.cli.command import Call, Command, Flag, exactly
from podlike.errors import UsageError


def export(call: Call) -> None:
    from podlike.cli.options import one_container
    from podlike.cli.signals import unwinding
    from podlike.engine.export import export as write

    path = call.opts.output
    if not path and sys.stdout.isatty():
        raise UsageError("refusing to export to terminal. Use -o flag or redirect")
    container = one_container(call, call.args[0])
    with unwinding():
        sys.stdout.flush()
        write(call.engine, container, path or sys.stdout.fileno())


command = Command(
    "export", export, usage="CONTAINER", args=exactly(1), summary="Export container's filesystem contents as a tar archive",
    description="Exports container's filesystem contents as a tar archive and saves it on the local machine.",
    flags=(Flag("output", "o", "string", "Write to a specified file (default: stdout, which must be redirected)"),),
    examples=("export ctrID > myCtr.tar", 'export --output="myCtr.tar" ctrID'))
