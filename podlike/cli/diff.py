"""podlike diff: what changed in the files of a container or an image."""

from podlike.cli.command import Call, Command, Flag, between
from podlike.cli.options import LATEST, latest_container, one_container
from podlike.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.diff import Change, Thing


def diff(call: Call) -> None:
    _run(call, kinds=("container", "image"))


def diff_containers(call: Call) -> None:
    _run(call, kinds=("container",))


def diff_images(call: Call) -> None:
    _run(call, kinds=("image",))


def _run(call: Call, *, kinds: tuple[str, ...]) -> None:
    from podlike.cli.output import is_json
    from podlike.engine.diff import changes_of

    shape = getattr(call.opts, "format", "")
    if shape and not is_json(shape):
        raise UsageError("only supported value for '--format' is 'json'")
    if getattr(call.opts, "latest", False):
        if call.args:
            raise UsageError("--latest and containers cannot be used together")
        found: "list[Thing]" = [latest_container(call)]
    else:
        if "container" in kinds and not call.args:
            raise UsageError(f'"{call.path}" requires a name, id, or the "--latest" flag')
        between(1, 2)(call)
        found = [_find(call, name, kinds) for name in call.args]
    changes = changes_of(call.engine, found)
    if shape:
        _print_json(changes)
    else:
        for change in changes:
            call.out(f"{change.kind} {change.path}")


def _find(call: Call, name: str, kinds: tuple[str, ...]) -> "Thing":
    from podlike.engine.images import resolve

    if "container" in kinds:
        try:
            return one_container(call, name)
        except NotFoundError:
            if "image" not in kinds:
                raise
    try:
        return resolve(call.engine, name)
    except NotFoundError as e:
        if "container" in kinds:
            raise NotFoundError(f"{name} not found: no such container or image",
                                hint="See `podlike ps --all` and `podlike images`.") from e
        raise


def _print_json(changes: "list[Change]") -> None:
    from podlike.cli.output import print_json

    named = (("C", "changed"), ("A", "added"), ("D", "deleted"))
    doc = {word: [c.path for c in changes if c.kind == kind] for kind, word in named}
    print_json({word: paths for word, paths in doc.items() if paths}, indent=5)


_FORMAT = Flag("format", "", "string", "Change the output format (json)")
_ABOUT = "Displays changes on {}'s filesystem.  {} will be compared to its parent layer or the second argument when given."

command = Command(
    "diff", diff, usage="{CONTAINER|IMAGE} [{CONTAINER|IMAGE}]", summary="Display the changes to the object's file system",
    description=_ABOUT.format("a container or image", "The container or image"), flags=(_FORMAT, LATEST),
    examples=("diff imageID", "diff ctrID", "diff --format json redis:alpine"))

container = Command(
    "diff", diff_containers, usage="CONTAINER [CONTAINER]", summary="Inspect changes to the container's file systems",
    description=_ABOUT.format("a container", "The container"), flags=(_FORMAT, LATEST),
    examples=("container diff myCtr", "container diff -l --format json myCtr"))

image = Command(
    "diff", diff_images, usage="IMAGE [IMAGE]", args=between(1, 2), summary="Inspect changes to the image's file systems",
    description=_ABOUT.format("an image", "The image"), flags=(_FORMAT,),
    examples=("image diff myImage", "image diff --format json redis:alpine"))
