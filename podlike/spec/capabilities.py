"""Linux capabilities of a container: the default set, --cap-add and --cap-drop, and the five sets of a
process."""

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NamedTuple
else:
    from podlike.spec.record import NamedTuple

# In the order of the kernel's numbers (capabilities(7)); a number is an index.
KNOWN = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)

# What a container's root may do by default: podman's eleven. Docker also grants AUDIT_WRITE, MKNOD and
# NET_RAW.
DEFAULT = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)

# Either label of an image lists the capabilities that it needs; the container gets no others.
IMAGE_LABELS = ("io.containers.capabilities",)


class CapabilitySets(NamedTuple):
    """The five sets of process.capabilities, each sorted by name."""

    bounding: "list[str]"
    effective: "list[str]"
    permitted: "list[str]"
    inheritable: "list[str]"
    ambient: "list[str]"

    def to_oci(self) -> "dict[str, list[str]]":
        """Empty sets are left out, as the runtime specification allows."""
        return {name: caps for name, caps in zip(self._fields, self, strict=True) if caps}


def from_mask(mask: int) -> "tuple[str, ...]":
    """Names of the bits of a kernel mask (CapBnd of /proc/PID/status), sorted; bits without a name are left
    out."""
    return tuple(sorted(name for bit, name in enumerate(KNOWN) if mask >> bit & 1))


def normalize(caps: "Iterable[str]") -> "list[str]":
    """Sorted full names for names in any case, with or without CAP_; "ALL" stays "ALL".

    Raises: UsageError.
    """
    out = set()
    for cap in caps:
        name = cap.upper()
        if name != "ALL":
            if not name.startswith("CAP_"):
                name = f"CAP_{name}"
            if name not in KNOWN:
                raise UsageError(f'"{name}": unknown capability',
                                 hint="See capabilities(7) for the names; ALL stands for all of them.")
        out.add(name)
    return sorted(out)


def merge(base: "Sequence[str]", add: "Sequence[str]", drop: "Sequence[str]",
          *, bounding: "Sequence[str]") -> "list[str]":
    """The capabilities that --cap-add and --cap-drop make of base.

    ALL in drop leaves what add names; ALL in add means everything in bounding but what drop names.
    Raises: UsageError.
    """
    if not add and not drop:
        return sorted(base)
    adds, drops = normalize(add), normalize(drop)
    if "ALL" in drops:
        if "ALL" in adds:
            raise UsageError("adding all caps and removing all caps not allowed")
        return adds
    if "ALL" in adds:
        return [cap for cap in sorted(bounding) if cap not in drops]
    for cap in adds:
        if cap in drops:
            raise UsageError(f'capability "{cap}" cannot be dropped and added')
    return sorted((set(base) - set(drops)) | set(adds))


def container_sets(*, add: "Sequence[str]", drop: "Sequence[str]", privileged: bool, root: bool,
                   bounding: "Sequence[str]", base: "Sequence[str]" = DEFAULT,
                   image_wants: str | None = None) -> CapabilitySets:
    """The five sets of a container's first process.

    root: the user is given as nothing, "root" or "0". Any other user starts with the added capabilities only,
        ambient so that they survive execve(2), and may regain the bounding set through set-user-ID programs.
    bounding: what this process itself can pass on (CapBnd); nothing outside it is asked for.
    image_wants: value of an image label in IMAGE_LABELS: obeyed when it asks for no more than the user
        grants.
    Raises: UsageError.
    """
    possible = set(bounding)
    if privileged:
        normalize((*add, *drop))
        caps = sorted(possible)
    else:
        caps = [cap for cap in merge(base, add, drop, bounding=bounding) if cap in possible]
        if image_wants is not None:
            caps = _as_image_wants(caps, image_wants)
    if root:
        return CapabilitySets(caps, caps, caps, [], [])
    wanted = merge((), add, (), bounding=bounding)
    own = [cap for cap in wanted if cap in possible]
    return CapabilitySets(caps, own, own, own, own)


def _as_image_wants(granted: "list[str]", label: str) -> "list[str]":
    wanted = normalize(name.strip() for name in label.split(",") if name.strip())
    return wanted if set(wanted) <= set(granted) else granted
