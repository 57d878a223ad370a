"""podlike rmi: remove images."""

from podlike.cli.command import Call, Command, Flag
from podlike.errors import InUseError, NotFoundError, PodlikeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.imageremove import Removed


def rmi(call: Call) -> int:
    """Exit code: 0; 2 when one is in use; 1 when all that failed did not exist; 125 otherwise (podman-rmi(1))."""
    from podlike.engine.imageremove import remove_all, remove_every

    opts = call.opts
    if opts.all and call.args:
        raise UsageError("when using the --all switch, you may not pass any images names or IDs")
    if not opts.all and not call.args:
        raise UsageError("image name or ID must be specified")
    if call.docker and opts.platform:
        from podlike.cli.platform import require_platform

        for name in call.args:
            for platform in opts.platform:
                require_platform(call, name, platform)
    if opts.all:
        removed = remove_every(call.engine, force=opts.force)
    else:
        removed = remove_all(call.engine, call.args, force=opts.force, ignore=opts.ignore or opts.force,
                             prune=not opts.no_prune)
    return report(call, removed)


def report(call: Call, removed: "Removed") -> int:
    """Print what was removed and what could not be; the exit code."""
    for name in removed.untagged:
        call.out(f"Untagged: {_familiar(name) if call.docker else name}")
    for image_id in removed.deleted:
        call.out(f"Deleted: {'sha256:' if call.docker else ''}{image_id}")
    errors = [_in_dockers_words(e) for e in removed.errors] if call.docker else removed.errors
    if len(errors) == 1:
        call.complain(errors[0])
    elif errors:
        lines = "".join(f"\n\t* {e.message}" for e in errors)
        hints = list(dict.fromkeys(e.hint for e in errors if e.hint))
        call.complain(PodlikeError(f"{len(errors)} errors occurred:{lines}", hint=hints[0] if len(hints) == 1 else None))
    code = _code(errors)
    return min(code, 1) if call.docker else code


def _code(errors: list[PodlikeError]) -> int:
    if not errors:
        return 0
    if any(isinstance(e, InUseError) for e in errors):
        return 2
    return 1 if all(isinstance(e, NotFoundError) for e in errors) else 125


def _in_dockers_words(error: PodlikeError) -> PodlikeError:
    name, known, rest = error.message.partition(": image not known")
    if not isinstance(error, NotFoundError) or not known or rest:
        return error
    tagged = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    return NotFoundError(f"No such image: {tagged}", hint=error.hint)


def _familiar(name: str) -> str:
    from podlike.spec.reference import parse_reference

    return parse_reference(name).familiar


_FLAGS = (
    Flag("all", "a", "bool", "Remove all images"),
    Flag("force", "f", "bool", "Force Removal of the image and of the containers that use it"),
    Flag("ignore", "i", "bool", "Ignore errors if a specified image does not exist"),
    Flag("no-prune", "", "bool", "Do not remove dangling images"))
_ABOUT = "Removes one or more previously pulled or locally created images."
_EXAMPLES = ("rmi imageID", "rmi --force alpine", "rmi c4dfb1609ee2 93fd78260bd1 c0ed59d05ff7")

command = Command("rmi", rmi, usage="IMAGE [IMAGE...]", summary="Remove one or more images from local storage",
                  description=_ABOUT, flags=_FLAGS, examples=_EXAMPLES)
docker_command = Command(
    "rmi", rmi, usage="IMAGE [IMAGE...]", summary="Remove one or more images", description=_ABOUT, examples=_EXAMPLES,
    flags=(*_FLAGS, Flag("platform", "", "strings", 'Remove only the given platform variant. Formatted as '
                                                    '"os[/arch[/variant]]"')))
