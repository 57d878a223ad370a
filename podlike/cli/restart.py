"""podlike restart: stop, then start again."""

from podlike.cli.command import Call, Command, Flag, at_least
from podlike.cli.options import ALL_CIDFILE, DOCKER_STOP, FILTER, LATEST, TIME, check_selection, select_each, stop_options
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.store.containers import Container


def restart(call: Call) -> int:
    opts = call.opts
    running = not call.docker and opts.running
    if running and (opts.latest or opts.all):
        raise UsageError("--running and --all or --latest cannot be used together")
    if not running:
        check_selection(call, cidfile=True)
    options = stop_options(call)

    def one(container: "Container") -> None:
        call.api.containers.restart(container, **options)

    if running and not call.args:
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
docker_command = Command("restart", restart, usage="CONTAINER [CONTAINER...]", summary="Restart one or more containers",
                         flags=DOCKER_STOP, args=at_least(1))
