"""Where a container's cgroup can be: the delegated cgroup v2 subtree that the caller sits in, if there is one."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ROOT: "Final" = "/sys/fs/cgroup"


def unified() -> bool:
    """Whether /sys/fs/cgroup is a pure cgroup v2 mount."""
    return os.path.exists(f"{ROOT}/cgroup.controllers")


def own_path() -> str | None:
    """Path of the caller's cgroup below the v2 root, as in /proc/self/cgroup, or None on v1 and hybrid hosts."""
    if not unified():
        return None
    try:
        with open("/proc/self/cgroup") as f:
            for line in f:
                if line.startswith("0::"):
                    return line[3:].rstrip("\n")
    except OSError:
        pass
    return None


def delegated_parent() -> str | None:
    """The cgroup in which new ones can be made, as a path below the v2 root; None: there is none.

    The parent of our own cgroup is better than our own: only a cgroup without processes can hand controllers on
    (cgroups(7), "no internal processes").
    """
    own = own_path()
    if own is None:
        return None
    if own == "/":
        return own if _can_make(own) else None
    for candidate in (os.path.dirname(own), own):
        if candidate != "/" and _can_make(candidate):
            return candidate
    return "/" if os.geteuid() == 0 and _can_make("/") else None


def _can_make(path: str) -> bool:
    directory = ROOT + path
    return os.access(directory, os.W_OK) and os.access(f"{directory}/cgroup.procs", os.W_OK)


def controllers(path: str) -> list[str]:
    """Controllers that a cgroup made in path could use."""
    try:
        with open(f"{ROOT}{path}/cgroup.controllers") as f:
            return f.read().split()
    except OSError:
        return []
