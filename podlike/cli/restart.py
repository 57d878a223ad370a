"""podlike restart: stop, then start again."""

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import ALL_CIDFILE, FILTER, LATEST, TIME, check_selection, select_each
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.store.containers import Container


def restart(call: Call) -> int:
    opts = call.opts
    if opts.running and (opts.latest or opts.all):
        raise UsageError("--running and --all or --latest cannot be used together")
    if not opts.running:
        check_selection(call, cidfile=True)
    timeout = opts.time if call.changed("time") else None

    def one(container: "Container") -> None:
        call.api.containers.restart(container, timeout=timeout)

    if opts.running and not call.args:
        opts.all = True
        return select_each(call, one, default_states=("running",))
    return select_each(call, one)


command = Command(
    "restart", restart, usage="CONTAINER [CONTAINER...]", summary="Restart one or more containers",
    description="Restarts one or more running containers. The container ID or name can be used.\n\n"
                "A timeout before forcibly stopping can be set, but defaults to 10 seconds.",
    flags=(Flag("all", "a", "bool", "Restart all non-running containers"), ALL_CIDFILE, FILTER, LATEST,
           Flag("running", "", "bool", "Restart only running containers"), TIME),
    examples=("restart ctrID", "restart --latest", "restart ctrID1 ctrID2"))
