"""podlike mount, podlike unmount: the files of containers."""

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import LATEST, check_selection, latest_container, one_container
from podlike.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.store.containers import Container


def mount(call: Call) -> int:
    from podlike.engine import containermount
    from podlike.engine.imagemount import require_inside

    opts = call.opts
    if call.args or opts.latest or opts.all:
        check_selection(call)
    require_inside()
    if call.args or opts.latest or opts.all:
        if opts.all:
            return call.each(_every(call), lambda c: containermount.mount(call.engine, c))
        if opts.latest:
            call.out(containermount.mount(call.engine, latest_container(call)))
            return 0
        return call.each(call.args, lambda name: containermount.mount(call.engine, _one(call, name)))
    _list(call)
    return 0


def _one(call: Call, name: str) -> "Container":
    try:
        return one_container(call, name)
    except NotFoundError as e:
        raise NotFoundError(f"no container with name or ID \"{name}\" found: no such container", hint=e.hint) from None


def _every(call: Call) -> "list[Container]":
    from podlike.engine.query import all_containers

    return all_containers(call.engine)


def _list(call: Call) -> None:
    from podlike.cli.output import is_json, print_json
    from podlike.engine import containermount
    from podlike.spec.table import align

    opts = call.opts
    if opts.format and not is_json(opts.format):
        raise UsageError(f'unknown --format argument: "{opts.format}"', hint="The one format is json.")
    found = [(c, path) for c in _every(call) if (path := containermount.mounted(call.engine, c))]
    if opts.format:
        print_json([{"id": c.id, "Names": [c.name], "mountpoint": path} for c, path in found], indent=1)
        return
    rows = "".join(f"{c.id if opts.no_trunc else c.id[:12]}\t{path}\n" for c, path in found)
    call.out(align(rows), end="")


def unmount(call: Call) -> int:
    from podlike.engine import containermount
    from podlike.engine.query import status

    check_selection(call)
    opts = call.opts
    if opts.all:
        mounted = [c for c in _every(call) if status(call.engine, c).state not in ("running", "paused", "restarting")]
        return call.each(mounted, lambda c: c.id if containermount.unmount(call.engine, c) else None)
    if opts.latest:
        latest = latest_container(call)
        return call.each([latest], lambda c: c.id if containermount.unmount(call.engine, c) else None)
    return call.each(call.args, lambda name: name if containermount.unmount(call.engine, _one(call, name)) else None)


command = Command(
    "mount", mount, usage="[CONTAINER...]", summary="Mount a working container's root filesystem",
    description="podlike mount\n  Lists all mounted containers mount points if no container is specified\n\n"
                "podlike mount CONTAINER-NAME-OR-ID\n  Mounts the specified container and outputs the mountpoint\n\n"
                "An ordinary user does this inside `podlike unshare`.",
    flags=(Flag("all", "a", "bool", "Mount all containers"),
           Flag("format", "", "string", "Print the mounted containers in specified format (json)"), LATEST,
           Flag("no-trunc", "", "bool", "Do not truncate output", aliases=("notruncate",))),
    examples=("mount ctrID", "mount ctrID1 ctrID2 ctrID3", "mount", "mount --all"))

unmount_command = Command(
    "unmount", unmount, usage="CONTAINER [CONTAINER...]", summary="Unmount working container's root filesystem",
    description="Takes back what `podlike mount` did. The files of a container that runs stay mounted.",
    flags=(Flag("all", "a", "bool", "Unmount all of the currently mounted containers"),
           Flag("force", "f", "bool", "Force the complete unmount of the specified mounted containers"), LATEST),
    examples=("unmount ctrID", "unmount ctrID1 ctrID2 ctrID3", "unmount --all"))
