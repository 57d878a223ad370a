"""podlike buildx, podlike builder: docker's other names for build, and its cache."""

from podlike import __version__
from podlike.cli.command import Call, Command, Flag, no_args
from podlike.errors import UsageError


def version(call: Call) -> None:
    call.out(f"buildah {__version__}")


def prune(call: Call) -> None:
    from podlike.build import cachedirs
    from podlike.cli.prune import confirmed
    from podlike.engine import images
    from podlike.spec.sizes import human_size

    if call.opts.keep_storage:
        raise UsageError("builder prune --keep-storage: how much to keep cannot be said", hint="Use --filter until=24h.")
    if not call.opts.force and not confirmed("WARNING! This will remove all dangling build cache. Are you sure you want to "
                                             "continue? [y/N] "):
        return
    call.engine.enter_session()
    gone, freed = images.prune(call.engine, every=False, filters=call.opts.filter)
    freed += cachedirs.prune(call.engine)
    for image in gone:
        call.out(image.id)
    call.out(f"Total:\t{human_size(freed)}")


version_command = Command("version", version, args=no_args, summary="Show buildx version information",
                          description="Shows what takes buildx's place.", examples=("buildx version",))
prune_command = Command(
    "prune", prune, args=no_args, summary="Remove build cache",
    description="Removes steps of earlier builds that no image needs, and the directories of RUN --mount=type=cache that no "
                "build uses.",
    flags=(Flag("all", "a", "bool", "Taken for docker's sake: what has a name goes with image prune -a"),
           Flag("filter", "", "array", "Provide filter values"),
           Flag("keep-storage", "", "string", "Amount of disk space to keep for cache (refused)"),
           Flag("force", "f", "bool", "Do not prompt for confirmation")),
    examples=("builder prune", "builder prune -f"))
