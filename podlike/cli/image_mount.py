"""podlike image mount, podlike image unmount: look into images."""

from podlike.cli.command import Call, Command, Flag
from podlike.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.store.images import Image


def image_mount(call: Call) -> None:
    from podlike.cli.output import is_json, print_json
    from podlike.engine import imagemount
    from podlike.spec.table import align

    opts = call.opts
    if call.args and opts.all:
        raise UsageError("when using the --all switch, you may not pass any image names or IDs")
    imagemount.require_inside()
    if call.args or opts.all:
        wanted = _every(call) if opts.all else _named(call)
        rows = [(image, imagemount.mount(call.engine, image)) for image in wanted]
    else:
        rows = imagemount.mounted(call.engine, call.engine.images.all())
    if opts.format and not is_json(opts.format):
        raise UsageError(f'unknown --format argument: "{opts.format}"', hint="The one format is json.")
    if opts.format:
        print_json([{"id": image.id, "Names": [image.manifest_digest], "Repositories": image.tags, "mountpoint": path}
                    for image, path in rows], indent=1)
    elif len(call.args) == 1:
        call.out(rows[0][1])
    else:
        lines = "".join(f"{image.tags[0] if image.tags else image.id}\t{path}\n" for image, path in rows)
        call.out(align(lines), end="")


def image_unmount(call: Call) -> int:
    from podlike.engine import imagemount

    opts = call.opts
    if not call.args and not opts.all:
        raise UsageError("image name or ID must be specified")
    if call.args and opts.all:
        raise UsageError("when using the --all switch, you may not pass any image names or IDs")

    def one(image: "Image") -> str | None:
        return image.id if imagemount.unmount(call.engine, image, force=opts.force) else None

    return call.each(_every(call) if opts.all else _named(call), one)


def _named(call: Call) -> "list[Image]":
    from podlike.engine.images import resolve

    found = []
    for name in call.args:
        try:
            found.append(resolve(call.engine, name))
        except NotFoundError as e:
            e.hint = None
            raise
    return found


def _every(call: Call) -> "list[Image]":
    return [image for image in call.engine.images.all() if image.index is None]


mount = Command(
    "mount", image_mount, usage="[IMAGE...]", summary="Mount an image's root filesystem",
    description="podlike image mount\n  Lists all mounted images mount points if no images is specified\n\n"
                "podlike image mount IMAGE-NAME-OR-ID\n  Mounts the specified image and prints the mountpoint\n\n"
                "An ordinary user does this inside `podlike unshare`.",
    flags=(Flag("all", "a", "bool", "Mount all images"),
           Flag("format", "", "string", "Print the mounted images in specified format (json)")),
    examples=("image mount imgID", "image mount imgID1 imgID2 imgID3", "image mount", "image mount --all"))

unmount = Command(
    "unmount", image_unmount, usage="IMAGE [IMAGE...]", summary="Unmount an image's root filesystem",
    description="Counts down how often an image was mounted; it is physically unmounted when nobody needs it any more, "
                "or at once with --force.",
    flags=(Flag("all", "a", "bool", "Unmount all of the currently mounted images"),
           Flag("force", "f", "bool", "Force the complete unmount of the specified mounted images")),
    examples=("image unmount imgID", "image unmount imgID1 imgID2 imgID3", "image unmount --all"))

