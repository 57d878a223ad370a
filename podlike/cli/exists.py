"""podlike container exists: exit code 0 or 1."""

from podlike.cli.command import Call, Command, Flag, exactly
from podlike.cli.options import one_container
from podlike.errors import NotFoundError


def exists(call: Call) -> int:
    try:
        one_container(call, call.args[0])
    except NotFoundError:
        return 1
    return 0


command = Command(
    "exists", exists, usage="CONTAINER", args=exactly(1), summary="Check if a container exists in local storage",
    description="If the named container exists in local storage, podlike container exists exits with 0, otherwise the "
                "exit code will be 1.",
    flags=(Flag("external", "", "bool", "Check external storage containers as well as podlike containers"),),
    examples=("container exists myctr || podlike run --name myctr [etc...]",))
