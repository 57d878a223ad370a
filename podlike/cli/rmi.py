"""podlike rmi: remove images."""

from podlike.cli.command import Call, Command, Flag, print_error
from podlike.errors import NotFoundError, PodlikeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.images import Removed


def rmi(call: Call) -> int:
    """Exit code: 0; 1 when all that failed did not exist; 2 in use; 125 otherwise (podman-rmi(1))."""
    opts = call.opts
    if opts.all and call.args:
        raise UsageError("when using the --all switch, you may not pass any images names or IDs")
    if not opts.all and not call.args:
        raise UsageError("image name or ID must be specified")
    codes: list[int] = []
    for name in _every_id(call) if opts.all else call.args:
        try:
            _print(call, _remove(call, name))
        except NotFoundError as e:
            if not (opts.ignore or opts.force or opts.all):
                print_error(e)
                codes.append(1)
        except PodlikeError as e:
            print_error(e)
            codes.append(e.exit_code)
    code = max((c for c in codes if c != 1), default=1 if codes else 0)
    return min(code, 1) if call.docker else code


def _every_id(call: Call) -> list[str]:
    from podlike.engine.images import list_images

    return [image.id for image in list_images(call.engine)]


def _remove(call: Call, name: str) -> "Removed":
    from podlike.engine import images

    if call.opts.all:
        return images.remove_image(call.engine, images.find(call.engine, name)[0], force=call.opts.force)
    return images.remove(call.engine, name, force=call.opts.force)


def _print(call: Call, removed: "Removed") -> None:
    for name in removed.untagged:
        call.out(f"Untagged: {name}")
    if removed.deleted:
        call.out(f"Deleted: {'sha256:' if call.docker else ''}{removed.deleted}")


command = Command(
    "rmi", rmi, usage="IMAGE [IMAGE...]", summary="Remove one or more images from local storage",
    description="Removes one or more previously pulled or locally created images.",
    flags=(Flag("all", "a", "bool", "Remove all images"),
           Flag("force", "f", "bool", "Force removal of the image and of the containers that use it"),
           Flag("ignore", "i", "bool", "Ignore errors if a specified image does not exist"),
           Flag("no-prune", "", "bool", "Do not remove dangling images")),
    examples=("rmi imageID", "rmi --force alpine", "rmi c4dfb1609ee2 93fd78260bd1 c0ed59d05ff7"))
