"""What docker's command line says when something fails, and with which exit code. Source: docker/cli v28, cli/command, opts."""

import re

from podlike.errors import PodlikeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_FLAGS: "Final" = ("unknown flag", "unknown shorthand flag", "flag needs an argument", "invalid argument")
# podman's words -> docker's daemon's.
_DAEMON: "Final" = tuple((re.compile(pattern, re.DOTALL), words) for pattern, words in (
    (r'no container with (?:name or ID|ID or name) "([^"]*)" found: no such container', r"No such container: \1"),
    (r'no such container "?([^"\n]*)"?', r"No such container: \1"),
    (r"(?:No such image: )?(\S+@\S+|\S+:[^/\s]+)(?:: image not known)?", r"No such image: \1"),
    (r"(?:No such image: )?((?:\S*/)?[^\s:/]+)(?:: image not known)?", r"No such image: \1:latest"),
    (r'no volume with name "?([^"\s]*)"? found: no such volume', r"get \1: no such volume"),
    (r'creating container storage: the container name "([^"]*)" is already in use by (\w+)\..*',
     r'Conflict. The container name "/\1" is already in use by container "\2". You have to remove (or rename) that container to '
     r"be able to reuse that name."),
    (r"cannot remove container (\w+) as it is running.*",
     r'cannot remove container "\1": container is running: stop the container before removing or force remove'),
))
_NEEDS: "Final" = re.compile(r"requires at least (\d+) arg\(s\).*|accepts (\d+) arg\(s\), received \d+|accepts at most (\d+) .*",
                             re.DOTALL)


def code_of(error: PodlikeError, command: str) -> int:
    """docker keeps 125 for `run`, `create` and bad flags, 126 and 127 as everybody; other failures are 1."""
    if error.exit_code not in (2, 125, 255):
        return error.exit_code
    if _NEEDS.fullmatch(error.message):
        return 1
    return 125 if error.message.startswith(_FLAGS) or command in ("run", "create") else 1


def text_of(error: PodlikeError, path: str) -> str:
    """The message as docker writes it, with our hint. path: the command as typed, "docker run"."""
    command = path.rpartition(" ")[2]
    hint = f"\nHint: {error.hint}" if error.hint else ""
    more = f"\n\nRun '{path} --help' for more information"
    if error.message.startswith("unrecognized command"):
        typed = error.message.partition("`")[2].partition("`")[0]
        guess = error.message.partition("\n\n")[2].partition("\nTry")[0].rstrip()
        return f"docker: unknown command: {typed}" + (f"\n\n{guess}" if guess else "") + more
    if error.message.startswith(_FLAGS):
        return error.message.partition("\nSee")[0] + f"\n\nUsage:  {path} [OPTIONS]{more}"
    needs = _NEEDS.fullmatch(error.message)
    if needs:
        at_least, exactly, at_most = needs.groups()
        number = at_least or exactly or at_most
        rule = "requires at least" if at_least else "requires" if exactly else "requires at most"
        return f"docker: '{path}' {rule} {number} argument{'' if number == '1' else 's'}{more}"
    words = daemon_words(error.message)
    if command == "run":
        return f"docker: {words}{hint}{more}"
    return f"{words}{hint}" if words.startswith("Error ") else f"Error: {words}{hint}"


def daemon_words(message: str) -> str:
    """podman's words for what is not there, or is in the way, as docker's daemon says it; others stay."""
    if not message.startswith(("no ", "No such image", "creating container storage", "cannot remove container")) and (
            not message.endswith(": image not known")):
        return message
    for pattern, words in _DAEMON:
        match = pattern.fullmatch(message)
        if match:
            return f"Error response from daemon: {match.expand(words)}"
    return message
