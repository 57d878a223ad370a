"""podlike pod top: the processes of all containers of a pod."""

from podlike.cli.command import Call, Command, Flag
from podlike.cli.pod import LATEST
from podlike.errors import UsageError


def top(call: Call) -> int:
    from podlike.engine.pods.members import find, latest
    from podlike.engine.pods.top import processes
    from podlike.engine.top import COLUMNS, DEFAULT
    from podlike.spec.table import table

    if call.opts.list_descriptors:
        call.out("\n".join(COLUMNS))
        return 0
    if not call.args and not call.opts.latest:
        raise UsageError("you must provide the name or id of a running pod")
    pod = latest(call.engine) if call.opts.latest else find(call.engine, call.args[0])
    words = call.args if call.opts.latest else call.args[1:]
    if words and words[0].startswith("-"):
        raise UsageError(f"use {words[0]} with pod top: the containers may have no ps(1), or different ones",
                         hint="Name columns instead, for example user,pid,args.")
    columns = [w for word in words for w in word.split(",") if w] or list(DEFAULT)
    heads, rows = processes(call.engine, pod, columns)
    call.out(table(heads, rows), end="")
    return 0


command = Command(
    "top", top, usage="POD [FORMAT-DESCRIPTORS|ARGS...]", interspersed=False,
    summary="Display the running processes of containers in a pod",
    description="Specify format descriptors to alter the output.\n\nYou may run \"podlike pod top -l pid pcpu seccomp\" to print "
                "the process ID, the CPU percentage and the seccomp mode of each process of the latest pod.",
    flags=(LATEST, Flag("list-descriptors", "", "bool", "List the columns that there are", hidden=True)),
    examples=("pod top podID", "pod top podID pid seccomp args %C"))
