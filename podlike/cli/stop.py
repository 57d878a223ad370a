"""podlike stop: ask containers to end, then insist."""

from podlike.cli.command import Call, Command, Flag, at_least
from podlike.cli.options import ALL_CIDFILE, DOCKER_STOP, FILTER, LATEST, TIME, check_selection, select_each, stop_options


def stop(call: Call) -> int:
    check_selection(call, cidfile=True)
    options = stop_options(call)
    return select_each(call, lambda c: call.api.containers.stop(c, **options) or None,
                       default_states=("running", "paused", "stopping", "initialized"))


command = Command(
    "stop", stop, usage="CONTAINER [CONTAINER...]", summary="Stop one or more containers",
    description="Stops one or more running containers.  The container name or ID can be used.\n\n"
                "A timeout to forcibly stop the container can also be set but defaults to 10 seconds otherwise.",
    flags=(Flag("all", "a", "bool", "Stop all running containers"), ALL_CIDFILE, FILTER,
           Flag("ignore", "i", "bool", "Ignore errors when a specified container is missing"), LATEST, TIME),
    examples=("stop ctrID", "stop --latest", "stop --time 2 mywebserver 6e534f14da9d"))
docker_command = Command("stop", stop, usage="CONTAINER [CONTAINER...]", summary="Stop one or more running containers",
                         flags=DOCKER_STOP, args=at_least(1))
