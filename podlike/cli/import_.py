"""podlike import: an image from the files of a tar."""

import sys

from podlike.cli.command import Call, Command, Flag
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.spec.image import Platform

_CHANGES = "CMD | ENTRYPOINT | ENV | EXPOSE | LABEL | ONBUILD | STOPSIGNAL | USER | VOLUME | WORKDIR"


def import_(call: Call) -> None:
    from podlike.cli.progress import make_progress
    from podlike.cli.signals import unwinding
    from podlike.engine.importing import import_tar

    source, name = call.args[0], call.args[1] if len(call.args) > 1 else ""
    if source in ("-", "/dev/stdin"):
        source = "-"
        if sys.stdin.isatty():
            raise UsageError("cannot read from terminal, use command-line redirection or a file's name")
    progress = make_progress(quiet=call.docker or call.opts.quiet)
    try:
        with unwinding():
            image = import_tar(call.engine, source, name=name, changes=call.opts.change, message=call.opts.message,
                               platform=_platform(call), progress=progress)
    finally:
        progress.close()
    call.out(f"sha256:{image.id}")


def _platform(call: Call) -> "Platform | None":
    from podlike.spec.image import Platform, host_platform, parse_platform

    o = call.opts
    if o.platform:
        if o.os or o.arch or o.variant:
            raise UsageError("--platform option can not be specified with --arch, --os or --variant")
        return parse_platform(o.platform)
    if not (o.os or o.arch or o.variant):
        return None
    host = host_platform()
    return Platform(o.os or host.os, o.arch or host.architecture, o.variant or ("" if o.arch else host.variant))


def _arguments(call: Call) -> None:
    if not call.args:
        raise UsageError("need to give the path to the tarball, or must specify a tarball of '-' for stdin")
    if len(call.args) > 2:
        raise UsageError("too many arguments. Usage TARBALL [REFERENCE]")


command = Command(
    "import", import_, usage="PATH [REFERENCE]", args=_arguments,
    summary="Import a tarball to create a filesystem image",
    description="Create a container image from the contents of the specified tarball (.tar, .tar.gz, .tgz, .bzip, .tar.xz, "
                ".txz, .tar.zst).\n\n  Note remote tar balls can be specified, via web address.\n"
                "  Optionally tag the image. You can specify the instructions using the --change option.",
    flags=(Flag("arch", "", "string", "Set the architecture of the imported image"),
           Flag("change", "c", "array", f"Apply the following possible instructions to the created image (default []): "
                f"{_CHANGES}"),
           Flag("message", "m", "string", "Set commit message for imported image"),
           Flag("os", "", "string", "Set the OS of the imported image"),
           Flag("platform", "", "string", "Set the platform of the imported image (OS/ARCH/VARIANT)"),
           Flag("quiet", "q", "bool", "Suppress output"),
           Flag("variant", "", "string", "Set the variant of the imported image")),
    examples=("import https://example.com/ctr.tar url-image",
              'cat ctr.tar | podlike -q import --message "importing the ctr.tar tarball" - image-imported',
              "cat ctr.tar | podlike import -"))
