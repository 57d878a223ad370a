"""podlike pause and unpause: freeze and thaw."""

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import ALL_CIDFILE, FILTER, LATEST, check_selection, select_each


def pause(call: Call) -> int:
    check_selection(call, cidfile=True)
    return select_each(call, lambda c: call.api.containers.pause(c), default_states=("running",))


def unpause_(call: Call) -> int:
    check_selection(call, cidfile=True)
    return select_each(call, lambda c: call.api.containers.unpause(c), default_states=("paused",))


command = Command(
    "pause", pause, usage="CONTAINER [CONTAINER...]", summary="Pause all the processes in one or more containers",
    description="Pauses one or more running containers.  The container name or ID can be used.",
    flags=(Flag("all", "a", "bool", "Pause all running containers"), ALL_CIDFILE, FILTER, LATEST),
    examples=("pause mywebserver", "pause 860a4b23", "pause --all"))

unpause = Command(
    "unpause", unpause_, usage="CONTAINER [CONTAINER...]",
    summary="Unpause the processes in one or more containers",
    description="Unpauses one or more previously paused containers.  The container name or ID can be used.",
    flags=(Flag("all", "a", "bool", "Unpause all paused containers"), ALL_CIDFILE, FILTER, LATEST),
    examples=("unpause ctrID", "unpause --all"))
