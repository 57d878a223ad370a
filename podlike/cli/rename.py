"""podlike rename: another name for a container."""

from podlike.cli.command import Call, Command, exactly
from podlike.cli.options import one_container


def rename(call: Call) -> None:
    call.api.containers.rename(one_container(call, call.args[0]), call.args[1].removeprefix("/"))


command = Command("rename", rename, usage="CONTAINER NAME", args=exactly(2), summary="Rename an existing container",
                  description="The podlike rename command allows you to rename an existing container",
                  examples=("rename containerA newName",))
