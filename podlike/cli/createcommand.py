"""The recorded command line of a container or pod, taken apart by the flags that it was typed with."""

from podlike.cli.app import GLOBAL_FLAGS
from podlike.cli.command import PERSISTENT, Flag
from podlike.errors import UsageError
from podlike.spec.typedflags import CommandLine, Known, take_apart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def read_create(words: "Sequence[str]") -> CommandLine:
    """Of a `run` or `create`; words: with the program. Raises: UsageError for anything else."""
    from podlike.cli.options import CREATE_ONLY, CREATE_TABLE, RUN_TABLE, create_flags

    return read_line(words, create_flags(CREATE_TABLE, RUN_TABLE, CREATE_ONLY), verbs=("run", "create"), group="container")


def read_pod_create(words: "Sequence[str]") -> CommandLine:
    """Of a `pod create`; without that word pod. Raises: UsageError for anything else, such as `run --pod new:NAME`."""
    from podlike.cli.pod_create import command

    try:
        line = read_line(words, command.flags, verbs=("create",), group="pod")
    except UsageError:
        line = CommandLine([], [], [])
    if line.root[-1:] != ["pod"]:
        raise UsageError(f"pod does not appear to be created via `podlike pod create`: [{' '.join(words)}]",
                         hint="Make the pod so, or leave --new out.")
    return line._replace(root=line.root[:-1])


def read_line(words: "Sequence[str]", flags: "Iterable[Flag]", *, verbs: "Sequence[str]", group: str) -> CommandLine:
    """words: with the program. group: the word that may stand before the verb; it counts as one of the root words.

    Raises: UsageError when none of the verbs is called.
    """
    typed, rest = take_apart(words[1:], _known(GLOBAL_FLAGS))
    root = [word for one in typed for word in one.words]
    if rest[:1] == [group]:
        root.append(rest.pop(0))
    if not rest or rest[0] not in verbs:
        raise UsageError(f"{group}'s create command is too short or invalid: [{' '.join(words)}]",
                         hint=f"Make the {group} with `podlike {verbs[0]}`, or leave --new out.")
    known = _known([*(f for f in GLOBAL_FLAGS if f.dest in PERSISTENT), *flags])
    options, arguments = take_apart(rest[1:], known)
    return CommandLine(root, options, arguments)


def _known(flags: "Iterable[Flag]") -> Known:
    long, short = dict[str, tuple[str, bool]](), dict[str, tuple[str, bool]]()
    for flag in flags:
        entry = (flag.name, flag.kind == "bool")
        for spelling in (flag.name, *flag.aliases):
            long[spelling] = entry
        if flag.short:
            short[flag.short] = entry
    return Known(long, short)
