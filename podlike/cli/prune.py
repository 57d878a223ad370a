"""podlike system prune: remove everything that nobody uses."""

import sys

from podlike.cli.command import Call, Command, Flag, no_args, print_error
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.prune import Pruned


def prune(call: Call) -> int:
    from podlike.engine.prune import sweep, system

    opts = call.opts
    if opts.external:
        if opts.all or opts.volumes or opts.filter or opts.build:
            raise UsageError("system prune --external cannot be combined with other options")
        sweep(call.engine)
        return 0
    if not opts.force and not confirmed(_docker_warning(call) if call.docker else _warning(call)):
        return 0
    done = system(call.engine, every=opts.all, volumes=opts.volumes, anonymous_only=call.docker, filters=opts.filter)
    (_print_docker if call.docker else _print)(call, done)
    for error in done.failed:
        print_error(error)
    return done.failed[0].exit_code if done.failed else 0


def confirmed(warning: str) -> bool:
    """Ask on the terminal, or whatever standard input is."""
    sys.stdout.write(warning)
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _warning(call: Call) -> str:
    opts = call.opts
    lines = ["all stopped containers", "all networks not used by at least one container"]
    lines += ["all volumes not used by at least one container"] if opts.volumes else []
    lines += ["all build containers"] if opts.build else []
    lines += (["all images without at least one container associated with them", "all build cache"] if opts.all
              else ["all dangling images", "all dangling build cache"])
    items = "".join(f"\t- {line}\n" for line in lines)
    return f"WARNING! This command removes:\n{items}\nAre you sure you want to continue? [y/N] "


def _docker_warning(call: Call) -> str:
    opts = call.opts
    lines = ["all stopped containers", "all networks not used by at least one container"]
    lines += ["all anonymous volumes not used by at least one container"] if opts.volumes else []
    lines += (["all images without at least one container associated to them", "all build cache"] if opts.all
              else ["all dangling images", "unused build cache"])
    items = "".join(f"  - {line}\n" for line in lines)
    if opts.filter:
        items += "\n  Items to be pruned will be filtered with:\n" + "".join(f"  - {f}\n" for f in opts.filter)
    return f"WARNING! This will remove:\n{items}\nAre you sure you want to continue? [y/N] "


def _print(call: Call, done: "Pruned") -> None:
    from podlike.spec.sizes import human_size

    for title, names in (("Pods", done.pods), ("Containers", done.containers), ("Volumes", done.volumes),
                         ("Images", [i.id for i in done.images])):
        if names:
            call.out("\n".join([f"Deleted {title}", *names]))
    call.out(f"Total reclaimed space: {human_size(done.freed)}")


def _print_docker(call: Call, done: "Pruned") -> None:
    from podlike.spec.sizes import human_size

    images = [line for i in done.images for line in (*(f"untagged: {n}" for n in i.names), f"deleted: sha256:{i.id}")]
    for title, lines in (("Containers", done.containers), ("Volumes", done.volumes), ("Images", images)):
        if lines:
            call.out("\n".join([f"Deleted {title}:", *lines, ""]))
    call.out(f"Total reclaimed space: {human_size(done.freed)}")


command = Command(
    "prune", prune, args=no_args, summary="Remove unused data",
    description="Removes unused containers, images and, with --volumes, volumes, and what interrupted commands left behind.",
    flags=(Flag("all", "a", "bool", "Remove all unused data"), Flag("build", "", "bool", "Remove build containers"),
           Flag("external", "", "bool", "Remove container data in storage not controlled by podlike"),
           Flag("filter", "", "array", "Provide filter values (e.g. 'label=<key>=<value>')"),
           Flag("force", "f", "bool", "Do not prompt for confirmation"), Flag("volumes", "", "bool", "Prune volumes")),
    examples=("system prune", "system prune --all --force --volumes"))
