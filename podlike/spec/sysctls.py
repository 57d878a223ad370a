"""`--sysctl`: which kernel parameters belong to a namespace, and so to a container."""

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Lets the root group of the container use ICMP echo sockets, so that ping needs no CAP_NET_RAW (icmp(7)). A
# wider range would not fit a user namespace with fewer groups: the kernel refuses ids that are not mapped.
DEFAULT = {"net.ipv4.ping_group_range": "0 0"}

_IPC = frozenset(
    (
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    )
)
_UTS = frozenset(("kernel.domainname", "kernel.hostname"))


def to_oci(
    asked: "Mapping[str, str]",
    *,
    default: "Mapping[str, str]",
    own_net: bool,
    own_ipc: bool,
    own_uts: bool,
    host: "Mapping[str, bool]",
) -> "dict[str, str]":
    """linux.sysctl. default: from the configuration, left out where the namespace is not the container's own.

    own_*: the container has a namespace of its own. host: by "net", "ipc", "uts": it lives in the host's.
    Raises: UsageError in podman's words.
    """
    own = {"net": own_net, "ipc": own_ipc, "uts": own_uts}
    out = {key: value for key, value in default.items() if own.get(_kind(key) or "", False)}
    for key, value in asked.items():
        kind = _kind(key)
        if kind is None:
            raise UsageError(
                f"sysctl '{key}' is not allowed",
                hint="Only net.*, fs.mqueue.* and the kernel.* "
                "parameters of the IPC and UTS namespaces belong to a container.",
            )
        if host.get(kind):
            raise UsageError(
                f"sysctl {key}={value} can't be set since {_TITLES[kind]} Namespace set to host: "
                "invalid argument",
                hint="Give the container a namespace of its own.",
            )
        out[key] = value
    return out


_TITLES = {"net": "Network", "ipc": "IPC", "uts": "UTS"}


def _kind(key: str) -> str | None:
    if key.startswith("net."):
        return "net"
    if key.startswith("fs.mqueue.") or key in _IPC:
        return "ipc"
    return "uts" if key in _UTS else None
