"""podlike top: the processes of a container."""

from podlike.cli.command import Call, Command
from podlike.cli.options import LATEST, take_container


def top(call: Call) -> int:
    container, words = take_container(call)
    from podlike.engine.top import DEFAULT, processes
    from podlike.spec.table import table

    columns = _columns_of_ps(words)
    if words and words[0].startswith("-") and not columns:
        return _run_ps(call, container.id, words)
    columns = columns or [w for word in words for w in word.split(",") if w] or list(DEFAULT)
    heads, rows = processes(call.engine, container, columns)
    call.out(table(heads, rows), end="")
    return 0


def _columns_of_ps(words: list[str]) -> list[str]:
    """The columns of `-o LIST` and `-eo LIST`, if all are ours: no ps(1) is needed then. Not every image has one, and not
    every one knows lists with blanks."""
    from podlike.engine.top import COLUMNS

    if not words or words[0] not in ("-o", "-eo"):
        return []
    columns = [w for word in words[1:] for part in word.split() for w in part.split(",") if w]
    return columns if all(w in COLUMNS for w in columns) else []


def _run_ps(call: Call, cid: str, words: list[str]) -> int:
    """ps options: the container's own ps answers."""
    from podlike.engine.exec import exec_
    from podlike.engine.query import find
    from podlike.spec.attach import Attach
    from podlike.spec.exec import ExecSpec

    code = exec_(call.engine, find(call.engine, cid), ExecSpec(args=["ps", *words]), attach=Attach())
    return code if isinstance(code, int) else 0


command = Command(
    "top", top, usage="CONTAINER [FORMAT-DESCRIPTORS|ARGS...]", interspersed=False,
    summary="Display the running processes of a container",
    description="Display the running processes of a container.\n\nWords after the container choose columns, for example "
                "pid, user, args, hpid; words with a dash in front are given to ps(1) inside the container, unless -o or -eo "
                "chooses columns that are known here.",
    flags=(LATEST,), examples=("top ctrID", "top --latest", "top ctrID pid seccomp args", "top ctrID -eo user,pid,comm"))
