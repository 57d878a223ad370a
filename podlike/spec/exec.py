"""What a further process in a running container is asked to be: a pure value."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from dataclasses import field
else:
    from podlike.spec.record import field, record


@record(slots=True, kw_only=True)
class ExecSpec:
    """args: the command line. env: added to the container's. user, workdir: "" takes the container's.

    privileged: all capabilities. preserve_fds: how many descriptors from 3 on are passed on; preserve_fd: further ones, by
    number.
    """

    args: "list[str]"
    env: "dict[str, str]" = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    tty: bool = False
    interactive: bool = False
    privileged: bool = False
    preserve_fds: int = 0
    preserve_fd: "list[int]" = field(default_factory=list)
    detach: bool = False
    session: bool = True  # whether other commands and the events see it
