"""podlike create: a new container that is not started."""

from podlike.cli.command import Call, Command, at_least
from podlike.cli.creating import create_container
from podlike.cli.fillspec import fill_spec
from podlike.cli.options import CREATE_ONLY, CREATE_TABLE, DOCKER_TABLE, create_flags


def create(call: Call) -> None:
    table = (*CREATE_ONLY, *DOCKER_TABLE) if call.docker else CREATE_ONLY
    call.out(create_container(call, fill_spec(call, table)).id)


def _command(*, docker: bool) -> Command:
    tables = (CREATE_TABLE, CREATE_ONLY, DOCKER_TABLE) if docker else (CREATE_TABLE, CREATE_ONLY)
    return Command(
        "create", create, usage="IMAGE [COMMAND [ARG...]]", args=at_least(1), interspersed=False,
        summary="Create but do not start a container",
        description="Creates a new container from the given image or storage and prepares it for running the specified "
                    "command.\n\nThe container ID is then printed to stdout. You can then start it at any time with the "
                    "start command. The container will be created with the initial state 'created'.",
        flags=create_flags(*tables, docker=docker),
        examples=("create alpine ls", "create --annotation HELLO=WORLD alpine ls", "create -t -i --name myctr alpine ls"))


def __getattr__(name: str) -> Command:
    if name in ("command", "docker_command"):
        return _command(docker=name == "docker_command")
    raise AttributeError(name)
