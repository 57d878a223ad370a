"""What `run` and `exec` return."""

from typing import NamedTuple

from podlike.errors import PodlikeError


class Finished(NamedTuple):
    """A command that has ended. args: what ran. container: its container's id (it may be gone, with remove=True).

    exit_code: of the command; 125, 126 and 127 are raised as errors when podlike means them. stdout, stderr: what it wrote, b""
    where the output went to a file of the caller's. With a terminal all is in stdout.
    """

    args: "list[str]"
    container: str
    exit_code: int
    stdout: bytes
    stderr: bytes


class CommandFailed(PodlikeError):
    """With check=True: the command ended with another code than 0. finished: all about it."""

    def __init__(self, message: str, *, hint: str | None = None, finished: Finished | None = None) -> None:
        super().__init__(message, hint=hint)
        self.finished = finished
        self.exit_code = finished.exit_code if finished else 1


def checked(finished: Finished) -> Finished:
    """Raises: CommandFailed."""
    if finished.exit_code:
        words = finished.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise CommandFailed(f"run {' '.join(finished.args)}: exit code {finished.exit_code}{f': {words}' if words else ''}",
                            finished=finished)
    return finished
