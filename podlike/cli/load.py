"""podlike load: images from an archive."""

import sys

from podlike.cli.command import Call, Command, Flag, no_args
from podlike.errors import UsageError


def load(call: Call) -> None:
    path = call.opts.input or "-"
    if path in ("-", "/dev/stdin") and sys.stdin.isatty():
        raise UsageError("cannot read from terminal, use command-line redirection or the --input flag")
    from podlike.cli.progress import make_progress
    from podlike.cli.signals import unwinding
    from podlike.engine.load import load as load_archive
    from podlike.spec.image import parse_platform

    platform = parse_platform(call.opts.platform) if call.opts.platform else None
    progress = make_progress(quiet=call.opts.quiet)
    try:
        with unwinding():
            names = load_archive(call.engine, path, platform=platform, progress=progress)
    finally:
        progress.close()
    for name in names:
        call.out(f"Loaded image{' ID' if name.startswith('sha256:') and call.docker else ''}: {name}")


command = Command(
    "load", load, args=no_args, summary="Load image(s) from a tar archive",
    description="Loads an image from a locally stored archive (tar file, OCI layout directory) into container storage.",
    flags=(Flag("input", "i", "string", "Load images from specified tar archive file", default_text="stdin"),
           Flag("platform", "", "string", "Load only the image of this platform (OS/ARCH/VARIANT)"),
           Flag("quiet", "q", "bool", "Suppress the output")),
    examples=("load < fedora.tar.gz", "load -q -i fedora.tar"))
