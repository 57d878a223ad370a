"""What a pod is asked to be: pure values, stored as JSON in the database.

What its containers share (network, ports, hosts, user namespace ...) and inherit (mounts, devices, security options, sysctls)
is a ContainerSpec: that of its infra container. Its limits are in there too, and become those of the pod's cgroup.
"""

from podlike.errors import UsageError
from podlike.spec.container import ContainerSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from dataclasses import dataclass as record
    from dataclasses import field
    from typing import Any, Final, Self
else:
    from podlike.spec.record import field, record

DEFAULT_SHARE: "Final" = ("ipc", "net", "uts")
NAMESPACES: "Final" = ("cgroup", "ipc", "net", "pid", "uts")
EXIT_POLICIES: "Final" = ("continue", "stop")
# kind of namespace -> the field of a ContainerSpec that says which one a container gets
NAMESPACE_FIELDS: "Final" = {"cgroup": "cgroup_ns", "ipc": "ipc_ns", "net": "network", "pid": "pid_ns", "user": "user_ns",
                             "uts": "uts_ns"}
INIT_ONCE, INIT_ALWAYS = "once", "always"
INIT_KINDS: "Final" = (INIT_ONCE, INIT_ALWAYS)


@record(slots=True, kw_only=True)
class PodSpec:
    """Everything `pod create` was asked for. Empty means: not given.

    share: kinds of namespaces that the containers share with the infra container, by NAMESPACE_FIELDS' names.
    infra_image, infra_command: instead of our own pause program. id_file: absolute path that --pod-id-file wrote.
    share_parent: the containers' cgroups are made in the pod's.
    """

    name: str = ""
    labels: "dict[str, str]" = field(default_factory=dict)
    create_command: "list[str]" = field(default_factory=list)
    infra: bool = True
    infra_name: str = ""
    infra_image: str = ""
    infra_command: "list[str] | None" = None
    share: "list[str]" = field(default_factory=list)
    share_parent: bool = True
    exit_policy: str = "continue"
    restart_policy: str = ""
    id_file: str = ""
    container: ContainerSpec = field(default_factory=ContainerSpec)

    def to_dict(self) -> "dict[str, Any]":
        """JSON-ready; values equal to the default are left out."""
        out = {name: value for name in _FIELDS if name != "container"
               and (value := getattr(self, name)) != getattr(_DEFAULT, name)}
        container = self.container.to_dict()
        return {**out, "container": container} if container else out

    @classmethod
    def from_dict(cls, doc: "dict[str, Any]") -> "Self":
        """The inverse of to_dict; keys that a later version wrote are ignored."""
        known = {k: v for k, v in doc.items() if k in _FIELDS}
        known["container"] = ContainerSpec.from_dict(doc.get("container", {}))
        return cls(**known)


_FIELDS = frozenset(PodSpec.__slots__)
_DEFAULT = PodSpec()


def parse_share(text: str) -> list[str]:
    """What --share means, sorted: "net,ipc", "+pid" for one more than usual, "" or "none". Raises: UsageError."""
    extra = text.startswith("+")
    words = [word for word in text.removeprefix("+").split(",") if word]
    for word in words:
        if word not in (*NAMESPACES, "none"):
            raise UsageError(f"invalid kernel namespace to share: {word}. Options are: {', '.join(NAMESPACES)} or none")
    if "none" in words:
        return []
    return sorted({*words, *(DEFAULT_SHARE if extra else ())})


def check_exit_policy(text: str) -> str:
    """Raises: UsageError."""
    if text not in EXIT_POLICIES:
        raise UsageError(f'running pod create option: invalid pod exit policy: "{text}"',
                         hint=f"Policies are {' and '.join(EXIT_POLICIES)}.")
    return text


def state_of(states: "Iterable[str]") -> str:
    """The state of a pod whose containers (without init containers) are in these states, in podman's words."""
    every = list(states)
    running, paused = every.count("running"), every.count("paused")
    ended = every.count("exited") + every.count("stopped")
    known = running + paused + ended + sum(s in ("created", "initialized", "configured") for s in every)
    if not every:
        return "Created"
    for count, all_of, some in ((running, "Running", "Degraded"), (paused, "Paused", ""), (ended, "Exited", "Stopped")):
        if count == len(every):
            return all_of
        if count and some:
            return some
    return "Created" if known == len(every) else "Error"
