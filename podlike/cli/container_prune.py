"""podlike container prune: remove containers that do not run."""

import sys

from podlike.cli.command import Call, Command, Flag, no_args, print_error
from podlike.errors import UsageError


def prune(call: Call) -> int:
    from podlike.engine.prune import prune_containers
    from podlike.spec.filters import parse_filters
    from podlike.spec.sizes import human_size

    opts = call.opts
    for key in parse_filters(opts.filter):
        if key not in ("label", "label!", "until"):
            raise UsageError(f"{key} is an invalid filter", hint="Filters here are label, label! and until.")
    if not opts.force and not _confirmed():
        return 0
    gone, freed, failed = prune_containers(call.engine, filters=opts.filter)
    if call.docker and gone:
        call.out("Deleted Containers:")
    for cid in gone:
        call.out(cid)
    if call.docker:
        call.out("\n" * bool(gone) + f"Total reclaimed space: {human_size(freed, precision=4)}")
    for error in failed:
        print_error(error)
    return failed[0].exit_code if failed else 0


def _confirmed() -> bool:
    sys.stdout.write("WARNING! This will remove all non running containers.\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline()[:1].lower() == "y"


command = Command(
    "prune", prune, args=no_args, summary="Remove all non running containers",
    description="podlike container prune\n\nRemoves all non running containers",
    flags=(Flag("filter", "", "array", "Provide filter values (e.g. 'label=<key>=<value>')"),
           Flag("force", "f", "bool", "Do not prompt for confirmation.  The default is false")),
    examples=("container prune",))
