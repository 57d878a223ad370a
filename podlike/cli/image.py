"""podlike image exists, podlike image prune."""

import sys

from podlike.cli.command import Call, Command, Flag, exactly, no_args
from podlike.errors import NotFoundError


def image_exists(call: Call) -> int:
    from podlike.engine.images import find

    try:
        find(call.engine, call.args[0])
    except NotFoundError:
        return 1
    return 0


def image_prune(call: Call) -> None:
    from podlike.engine.images import prune
    from podlike.spec.sizes import human_size

    opts = call.opts
    if not opts.force and not _confirmed(opts.all):
        return
    removed, freed = prune(call.engine, every=opts.all, filters=opts.filter)
    if opts.build_cache:
        from podlike.build import cachedirs

        call.engine.enter_session()
        freed += cachedirs.prune(call.engine)
    if call.docker and removed:
        call.out("Deleted Images:")
    for image in removed:
        for name in image.names if call.docker else ():
            call.out(f"untagged: {name}")
        call.out(f"deleted: sha256:{image.id}" if call.docker else image.id)
    if call.docker:
        call.out("\n" * bool(removed) + f"Total reclaimed space: {human_size(freed, precision=4)}")


def _confirmed(every: bool) -> bool:
    what = "all images without at least one container associated with them" if every else "all dangling images"
    sys.stdout.write(f"WARNING! This command removes {what}.\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


exists = Command(
    "exists", image_exists, usage="IMAGE", args=exactly(1), summary="Check if an image exists in local storage",
    description="If the named image exists in local storage, podlike image exists exits with 0, otherwise the exit "
                "code will be 1.",
    examples=("image exists ID", "image exists IMAGE && podlike pull IMAGE"))

prune = Command(
    "prune", image_prune, args=no_args, summary="Remove unused images",
    description="Removes dangling or unused images from local storage, and what interrupted commands left there.",
    flags=(Flag("all", "a", "bool", "Remove all images not in use by containers, not just dangling ones"),
           Flag("build-cache", "", "bool", "Remove persistent build cache created by --mount=type=cache"),
           Flag("external", "", "bool", "Remove images even when they are used by external containers"),
           Flag("filter", "", "array", "Provide filter values (e.g. 'label=<key>=<value>')"),
           Flag("force", "f", "bool", "Do not prompt for confirmation")),
    examples=("image prune", "image prune --all --force"))
