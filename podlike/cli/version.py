"""podlike version: what this is and when it was built."""

import os
import sys
import time

from podlike import __version__
from podlike.cli.command import Call, Command, no_args
from podlike.cli.options import FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def version(call: Call) -> None:
    from podlike.cli.output import format_document
    from podlike.spec.govalues import Struct

    if call.docker:
        _docker_version(call)
        return
    client = describe()
    document: "dict[str, Any]" = Struct(Client=Struct(client))
    if call.opts.format:
        format_document(call, document, call.opts.format, indent=2)
        return
    for part, doc in document.items():
        rows = [("Version", doc["Version"]), ("API Version", doc["APIVersion"]), ("Go Version", doc["GoVersion"]),
                ("Built", doc["BuiltTime"]), ("OS/Arch", doc["OsArch"])]
        call.out(f"{part + ':':<14}podlike Engine")
        for name, value in rows:
            call.out(f"{name + ':':<14}{value}")


def _docker_version(call: Call) -> None:
    from podlike.cli import dockershape
    from podlike.cli.inspect import as_structs
    from podlike.cli.output import format_document, is_json
    from podlike.spec.govalues import to_json

    document = dockershape.version(describe())
    if is_json(call.opts.format):
        call.out(to_json(document))
        return
    if call.opts.format:
        format_document(call, as_structs(document), call.opts.format)
        return
    for line in dockershape.version_lines(document):
        call.out(line)


def describe() -> "dict[str, Any]":
    """The Client part, keys as podman's."""
    import podlike

    built = int(os.stat(podlike.__file__ or __file__).st_mtime)
    uname = os.uname()
    python = ".".join(map(str, sys.version_info[:3]))
    return {"APIVersion": __version__, "Version": __version__, "GoVersion": f"none (Python {python})", "GitCommit": "",
            "BuiltTime": time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(built)), "Built": built, "BuildOrigin": "",
            "OsArch": f"linux/{_MACHINES.get(uname.machine, uname.machine)}", "Os": "linux"}


command = Command("version", version, args=no_args, summary="Display the podlike version information", flags=(FORMAT,),
                  examples=("version", "version --format '{{.Client.Version}}'"))
