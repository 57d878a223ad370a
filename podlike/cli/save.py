"""podlike save: images to archives and directories."""

import sys

from podlike.cli.command import Call, Command, Flag
from podlike.errors import UsageError

_FORMATS = ("oci-archive", "oci-dir", "docker-dir", "docker-archive")


def save(call: Call) -> int:
    from podlike.cli.progress import make_progress
    from podlike.cli.signals import unwinding
    from podlike.engine.save import own_form
    from podlike.engine.save import save as save_images
    from podlike.spec.image import parse_platform

    o = call.opts
    _check(call)
    compression = "none" if o.uncompressed and o.format.startswith("oci") else "gzip" if o.compress else ""
    wanted = own_form(o.format)._replace(compression=compression) if compression else None
    several = _several(call)
    progress = make_progress(quiet=o.quiet or not o.output)
    sys.stdout.flush()
    try:
        with unwinding():
            save_images(call.engine, _names(call) if several else call.args[:1], format=o.format, output=o.output,
                        fd=-1 if o.output else 1, tags=() if several else call.args[1:], wanted=wanted, progress=progress,
                        platform=parse_platform(o.platform) if o.platform else None)
    except BrokenPipeError:
        return 141  # 128 + SIGPIPE: whoever reads has left (click would make it a 1)
    finally:
        progress.close()
    return 0


def _check(call: Call) -> None:
    o = call.opts
    if o.compress and o.format != "docker-dir":
        raise UsageError("--compress can only be set when --format is 'docker-dir'")
    if o.output:
        if ":" in o.output:
            raise UsageError(f'invalid filename (should not contain ":") "{o.output}"')
        return
    if o.format.endswith("-dir"):
        raise UsageError(f"save in format {o.format}: a directory cannot go to standard output",
                         hint="Name the directory with --output.")
    if sys.stdout.isatty():
        raise UsageError("refusing to save to terminal. Use -o flag or redirect")


def _several(call: Call) -> bool:
    """Whether further arguments are images; for podman they are further names of the first one."""
    if call.changed("multi-image-archive"):
        return bool(call.opts.multi_image_archive)
    return call.docker or bool(call.engine.config.engine.multi_image_archive)


def _names(call: Call) -> list[str]:
    """docker saves all tags of a name without one."""
    if not call.docker:
        return call.args
    from podlike.engine.images import find

    names: list[str] = []
    for name in call.args:
        image, full = find(call.engine, name)
        if full is None or ":" in name.rpartition("/")[2] or "@" in name:
            names.append(name)
            continue
        repository = full.rpartition(":")[0]
        names += sorted(n for i in call.engine.images.all() for n in i.names if n.rpartition(":")[0] == repository)
    return names


def _arguments(call: Call) -> None:
    if not call.args:
        raise UsageError("need at least 1 argument")
    if call.opts.format not in _FORMATS:
        raise UsageError(f"format value must be one of {' '.join(_FORMATS)}")


command = Command(
    "save", save, usage="IMAGE [IMAGE...]", args=_arguments, summary="Save image(s) to an archive",
    description="Save an image to docker-archive or oci-archive on the local machine. Default is docker-archive.",
    flags=(Flag("compress", "", "bool", "Compress tarball image layers when saving to a directory using the 'dir' transport. "
                "(default is same compression type as source)"),
           Flag("format", "", "string", "Save image to oci-archive, oci-dir (directory with oci manifest type), "
                "docker-archive, docker-dir (directory with v2s2 manifest type)", "docker-archive"),
           Flag("multi-image-archive", "m", "bool", "Interpret additional arguments as images not tags and create a "
                "multi-image-archive (only for docker-archive)"),
           Flag("output", "o", "string", "Write to a specified file (default: stdout, which must be redirected)"),
           Flag("quiet", "q", "bool", "Suppress the output"),
           Flag("platform", "", "string", "Save only the image of this platform (OS/ARCH/VARIANT)"),
           Flag("uncompressed", "", "bool", "Accept uncompressed layers when copying OCI images")),
    examples=("save --quiet -o myimage.tar imageID", "save --format docker-dir -o ubuntu-dir ubuntu",
              "save > alpine-all.tar alpine:latest"))
