"""podlike init: make containers ready without starting their programs."""

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import LATEST, check_selection, select_each
from podlike.errors import ConflictError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.store.containers import Container


def init(call: Call) -> int:
    check_selection(call)
    from podlike.engine.init import init as make_ready

    def one(container: "Container") -> "bool | None":
        try:
            make_ready(call.engine, container)
        except ConflictError:
            if not call.opts.all:
                raise
            return False  # it is made already, which is what was asked for
        return None

    return select_each(call, one)


command = Command(
    "init", init, usage="CONTAINER [CONTAINER...]", summary="Initialize one or more containers",
    description="Initialize one or more containers, creating the OCI spec and mounts for inspection. Container names or IDs can "
                "be used.",
    flags=(Flag("all", "a", "bool", "Initialize all containers"), LATEST), examples=("init 3c45ef19d893", "init test1"))
