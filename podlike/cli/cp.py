"""podlike cp: files between containers and the host."""

import sys

from podlike.cli.command import Call, Command, Flag, exactly
from podlike.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.copying.transfer import Location


def cp(call: Call) -> None:
    _copy(call, chown=call.opts.archive, overwrite=call.opts.overwrite, follow=True)


def docker_cp(call: Call) -> None:
    """docker's -a keeps the owners, and a link as source is copied as one unless -L is given."""
    size = _copy(call, chown=not call.opts.archive, overwrite=False, follow=call.opts.follow_link)
    if sys.stderr.isatty() and not call.opts.quiet and "-" not in call.args:
        from podlike.spec.sizes import human_size

        sys.stderr.write(f"Successfully copied {human_size(size, precision=3, blank='')} to {call.args[1]}\n")


def _copy(call: Call, *, chown: bool, overwrite: bool, follow: bool) -> int:
    from podlike.cli.signals import unwinding
    from podlike.engine.copying.transfer import copy

    (source_name, source), (target_name, target) = (_place(call, text) for text in call.args)
    if not source or not target:
        raise UsageError(f'invalid arguments "{call.args[0]}", "{call.args[1]}": you must specify paths')
    with unwinding():
        return copy(call.engine, _location(call, source_name, source), _location(call, target_name, target), chown=chown,
                    overwrite=overwrite, follow=follow, stdin=sys.stdin.buffer, stdout=sys.stdout.buffer)


def _place(call: Call, text: str) -> tuple[str, str]:
    from podlike.engine.copying.transfer import parse

    return parse(text)


def _location(call: Call, name: str, path: str) -> "Location":
    from podlike.engine.copying.transfer import Location
    from podlike.engine.query import find

    if not name:
        return Location(None, path)
    try:
        return Location(find(call.engine, name), path, name)
    except NotFoundError:
        raise NotFoundError(f'container "{name}" does not exist', hint="See `podlike ps --all`.") from None


_USAGE = "[CONTAINER:]SRC_PATH [CONTAINER:]DEST_PATH"
_ABOUT = ("Copy the contents of SRC_PATH to the DEST_PATH.\n\nYou can copy from the container's file system to the local "
          'machine or the reverse, from the local filesystem to the container. If "-" is specified for either the SRC_PATH or '
          'DEST_PATH, you can also stream a tar archive from STDIN or to STDOUT. The CONTAINER can be a running or stopped '
          'container. The SRC_PATH or DEST_PATH can be a file or a directory.')
_EXAMPLES = ("cp [CONTAINER:]SRC_PATH [CONTAINER:]DEST_PATH",)

command = Command(
    "cp", cp, usage=_USAGE, args=exactly(2), summary="Copy files/folders between a container and the local filesystem",
    description=_ABOUT, examples=_EXAMPLES,
    flags=(Flag("archive", "a", "bool", "Chown copied files to the primary uid/gid of the destination container.", True),
           Flag("extract", "", "bool", "Deprecated...", hidden=True),
           # Of docker's command line: here links are always followed, and nothing is said.
           Flag("follow-link", "L", "bool", "Always follow symbol link in SRC_PATH", hidden=True),
           Flag("quiet", "q", "bool", "Suppress progress output during copy", hidden=True),
           Flag("overwrite", "", "bool", "Allow to overwrite directories with non-directories and vice versa"),
           Flag("pause", "", "bool", "Deprecated", True, hidden=True)))

docker_command = Command(
    "cp", docker_cp, usage=_USAGE, args=exactly(2), summary="Copy files/folders between a container and the local filesystem",
    description=_ABOUT, examples=_EXAMPLES,
    flags=(Flag("archive", "a", "bool", "Archive mode (copy all uid/gid information)"),
           Flag("follow-link", "L", "bool", "Always follow symbol link in SRC_PATH"),
           Flag("quiet", "q", "bool", "Suppress progress output during copy. Progress output is automatically suppressed if no "
                "terminal is attached")))
