"""podlike kill: send a signal."""

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import ALL_CIDFILE, LATEST, check_selection, select_each


def kill(call: Call) -> int:
    check_selection(call, cidfile=True)
    from podlike.spec.signals import parse

    parse(call.opts.signal)  # a bad one is complained about once
    return select_each(call, lambda c: call.api.containers.kill(c, call.opts.signal), default_states=("running", "paused"))


command = Command(
    "kill", kill, usage="CONTAINER [CONTAINER...]",
    summary="Kill one or more running containers with a specific signal",
    description="The main process inside each container specified will be sent SIGKILL, or any signal specified with "
                "option --signal.",
    flags=(Flag("all", "a", "bool", "Signal all running containers"), ALL_CIDFILE, LATEST,
           Flag("signal", "s", "string", "Signal to send to the container", "KILL")),
    examples=("kill mywebserver", "kill 860a4b23", "kill --signal TERM ctrID"))
