"""podlike volume export, podlike volume import."""

import sys

from podlike.cli.command import Call, Command, Flag, between, exactly
from podlike.errors import StoreError, UsageError


def export(call: Call) -> None:
    from podlike.engine.volumetar import export as write

    path = call.opts.output
    if not path and call.changed("output"):
        raise UsageError("must provide valid path for file to write to")
    if not path and sys.stdout.isatty():
        raise UsageError("cannot write to terminal, use command-line redirection or the --output flag")
    volume = call.engine.volumes.find(call.args[0])
    sys.stdout.flush()
    write(call.engine, volume, path or 1)


def import_(call: Call) -> None:
    from podlike.engine.volumetar import load

    volume = call.engine.volumes.find(call.args[0])
    source = call.args[1] if len(call.args) > 1 else "-"
    if source == "-":
        if sys.stdin.isatty():
            raise UsageError("cannot read from terminal, use command-line redirection or name a file")
        load(call.engine, volume, sys.stdin.buffer, shown="standard input")
        return
    try:
        file = open(source, "rb")
    except OSError as e:
        raise StoreError(f"unable open input file: open {source}: {(e.strerror or '').lower()}") from None
    with file:
        load(call.engine, volume, file, shown=source)


export_command = Command(
    "export", export, usage="VOLUME", args=exactly(1), summary="Export volumes",
    description="Export the content of a volume as a tar archive to a file or to standard output.",
    flags=(Flag("output", "o", "string", "Write to a specified file (default: stdout, which must be redirected)"),),
    examples=("volume export --output backup.tar myvol", "volume export myvol | gzip > backup.tar.gz"))

import_command = Command(
    "import", import_, usage="VOLUME [SOURCE]", args=between(1, 2), summary="Import a tarball contents into a podlike volume",
    description="Imports the contents of a tarball, compressed or not, into an existing volume, over what is in it. The "
                "source - is standard input, as is none.",
    examples=("volume import my_vol /home/user/import.tar", "volume export oldmyvol | podlike volume import myvol -"))
