"""podlike create: a new container that is not started."""

from podlike.cli.command import Call, Command, at_least
from podlike.cli.fillspec import create_container, fill_spec
from podlike.cli.options import CREATE_ONLY, CREATE_TABLE, create_flags


def create(call: Call) -> None:
    call.out(create_container(call, fill_spec(call, CREATE_ONLY)).id)


command = Command(
    "create", create, usage="IMAGE [COMMAND [ARG...]]", args=at_least(1), interspersed=False,
    summary="Create but do not start a container",
    description="Creates a new container from the given image or storage and prepares it for running the specified "
                "command.\n\nThe container ID is then printed to stdout. You can then start it at any time with the "
                "start command. The container will be created with the initial state 'created'.",
    flags=create_flags(CREATE_TABLE, CREATE_ONLY),
    examples=("create alpine ls", "create --annotation HELLO=WORLD alpine ls", "create -t -i --name myctr alpine ls"))
