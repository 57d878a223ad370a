"""Commands of podman and docker that podlike does not have yet, or never will: what it says instead of "unrecognized"."""

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_KUBE = ("Kubernetes YAML is not there yet", "Write the containers with `podlike run`.")
_SECRET = ("secrets are not there yet", "Mount a file that only you can read: `-v ./secret:/run/secrets/NAME:ro`.")
_SWARM = ("podlike runs containers on this host only", "It has no cluster.")

# (group, name) -> (why, what to do)
_LATER: "Final[dict[tuple[str, str], tuple[str, str]]]" = {
    ("", "farm"): ("podlike builds on this host only", "Run `podlike build` on each, and `podlike manifest` over the results."),
    ("", "compose"): ("compose is not there yet", "Write the containers with `podlike run`; --requires orders them."),
    ("", "kube"): _KUBE, ("", "play"): _KUBE, ("generate", "kube"): _KUBE,
    ("generate", "spec"): ("it is for podman's REST service, which is not there", "See `podlike container inspect`."),
    ("", "secret"): _SECRET,
    ("", "machine"): ("podlike runs on Linux itself and needs no machine", "Elsewhere run it in a virtual machine of yours."),
    ("", "context"): ("podlike runs containers on this host only", "Elsewhere: `ssh HOST podlike ...`."),
    ("", "plugin"): ("there are no plugins", "See `podlike --help` for what there is."),
    ("", "trust"): ("signatures are checked by policy.json", "See `podlike image trust` and `podlike image sign`."),
    **{("", name): _SWARM for name in ("swarm", "node", "service", "stack", "config")}}


def refuse_later(level: str, name: str, path: str) -> None:
    """Raises: UsageError when the command is one of them."""
    found = _LATER.get((level, name))
    if found is not None:
        raise UsageError(f"{path} {name}: {found[0]}", hint=found[1])
