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
    from podlike.engine import events
    from podlike.engine.start import start
    from podlike.engine.stop import stop

    timeout = opts.time if call.changed("time") else None

    def one(container: "Container") -> None:
        # --rm means until the container ends by itself; a restart is not its end
        events.container(call.engine, container, "restart")
        remove, container.spec.remove = container.spec.remove, False
        try:
            stop(call.engine, container, timeout=timeout)
        finally:
            container.spec.remove = remove
        start(call.engine, container)

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
