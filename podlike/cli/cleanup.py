"""podlike container cleanup: take down what a run left behind. The monitor calls it when a container ends."""

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import LATEST, latest_container
from podlike.errors import NotFoundError, UsageError


def cleanup(call: Call) -> int:
    opts = call.opts
    for first, second in (("all", "exec"), ("exec", "rmi")):
        if getattr(opts, first) and getattr(opts, second):
            raise UsageError(f"--{first} and --{second} cannot be set together")
    if opts.exec and len(call.args) > 1:
        raise UsageError("cannot use exec option when more than one container is given")
    if opts.all and opts.latest:
        raise UsageError("--all and --latest cannot be used together")
    if call.args and opts.latest:
        raise UsageError("--latest and containers cannot be used together")
    if call.args and opts.all:
        raise UsageError("no arguments are needed with --all")
    if not (call.args or opts.all or opts.latest):
        raise UsageError("you must provide at least one name or id")
    from podlike.engine.cleanup import find_and_cleanup

    ids = call.args
    if opts.all:
        ids = [c.id for c in call.engine.containers.all()]
    elif opts.latest:
        ids = [latest_container(call).id]

    def one(cid: str) -> str:
        if opts.exec:
            from podlike.engine.exec import forget
            from podlike.engine.query import find

            forget(call.engine, find(call.engine, cid), opts.exec)
            return cid
        image = call.engine.containers.find(cid).image if opts.rmi else None
        if not (opts.stopped_only and _runs(call, cid)):
            find_and_cleanup(call.engine, cid, remove=opts.rm)
        if image:
            from podlike.engine.imageremove import remove

            remove(call.engine, image)
        return cid

    return call.each(ids, one)


def _runs(call: Call, cid: str) -> bool:
    """Its cleaning up is another command's, which waits for its end."""
    from podlike.engine.query import find, status

    try:
        return status(call.engine, find(call.engine, cid)).running
    except NotFoundError:
        return False


command = Command(
    "cleanup", cleanup, usage="CONTAINER [CONTAINER...]",
    summary="Clean up network and mountpoints of one or more containers",
    description="Cleans up mount points and network stacks on one or more containers from the host. The container name "
                "or ID can be used. This command is used internally when running containers, but can also be used if "
                "container cleanup has failed when a container exits.",
    flags=(Flag("all", "a", "bool", "Cleans up all containers"),
           Flag("exec", "", "string", "Clean up the given exec session instead of the container"), LATEST,
           Flag("rm", "", "bool", "After cleanup, remove the container entirely"),
           Flag("rmi", "", "bool", "After cleanup, remove the image entirely"),
           Flag("stopped-only", "", "bool", "Only cleanup when the container is in the stopped state", hidden=True)),
    examples=("container cleanup --latest", "container cleanup ctrID1 ctrID2 ctrID3", "container cleanup --all"))
