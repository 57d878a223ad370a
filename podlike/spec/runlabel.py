"""The command that an image's label holds, with its placeholders filled in.

Source: podman-container-runlabel(1). NAME, IMAGE, $NAME, ${IMAGE} and the like stand for the container's and the image's name;
$OPT1 to $OPT3, $PWD and $HOME come from the caller; any other variable is empty.
"""

import re
import shlex

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

_VARIABLE: "Final" = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z_][A-Za-z0-9_]*))")
VARIABLES: "Final" = ("OPT1", "OPT2", "OPT3", "PWD", "HOME")


class LabelCommand(NamedTuple):
    """program: "" for podlike itself. args: behind it."""

    program: str
    args: list[str]


def find_label(labels: "Mapping[str, str]", wanted: str) -> str:
    """The label's text, whatever the case of its name; "" if there is none."""
    return next((value for key, value in labels.items() if key.lower() == wanted.lower()), "")


def container_name(given: str, *, image_id: str, image_name: str, typed: str) -> str:
    """--name, or the last word of the image's name without its tag."""
    if given:
        return given
    name = image_name if image_id.startswith(typed) else typed
    return name.rpartition("/")[2].partition(":")[0]


def command_of(label: str, *, image: str, name: str, more: "Sequence[str]", variables: "Mapping[str, str]") -> LabelCommand:
    """What is to be run. more: arguments of the user's own. Raises: UsageError for a label that is no command."""
    words = _split(" ".join([label, *more]))
    if not words:
        raise UsageError("run the label: it holds no command")
    program = "" if words[0] in ("podman", "podlike") or words[0].rpartition("/")[2] == "docker" else words[0]
    filled = [_named(word, name, image) for word in words[1:]]
    text = _VARIABLE.sub(lambda m: variables.get(m[1] or m[2], ""), " ".join([program or "podlike", *filled]))
    done = _split(text)
    return LabelCommand(program and done[0], done[1:])


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as e:
        raise UsageError(f"read the label's command: {e}", hint="Look at it with `podlike image inspect --format "
                         "'{{.Labels}}' IMAGE`.") from None


def _named(word: str, name: str, image: str) -> str:
    for key, value in (("NAME", name), ("IMAGE", image)):
        if word == key:
            return value
        if word == f"{key}={key}":
            return f"{key}={value}"
        word = word.replace(f"${key}", value).replace(f"${{{key}}}", value)
        if word.endswith(f"={key}"):
            word = word.replace(f"={key}", f"={value}")
    return word
