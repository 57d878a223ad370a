"""Where a container's cgroup can be: a scope of systemd's, or below a delegated cgroup v2 subtree that the caller sits in.

A place is what linux.cgroupsPath says: SLICE:PREFIX:NAME of a scope, or a path below the v2 root, or "": nowhere.
"""

import os

from podlike.errors import UsageError
from podlike.runtime.idmap import host_uid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ROOT: "Final" = "/sys/fs/cgroup"
_THREADED: "Final" = frozenset(("cpu", "cpuset", "pids"))


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


def place(cid: str, *, manager: str = "", parent: str = "", split: bool = False) -> str:
    """Where the cgroup of a new container shall be.

    manager: systemd, cgroupfs, or "", which chooses: the subtree that systemd has delegated around our own cgroup, else a
    scope of systemd's where it can be asked, else whatever we may write to.
    parent: --cgroup-parent, a slice or a path. split: in our own cgroup, as --cgroups=split has it.
    Raises: UsageError.
    """
    if split:
        from podlike.runtime.cgroupsplit import payload

        return payload(cid)
    if not manager:
        manager = "systemd" if _prefers_scope(parent) else "cgroupfs"
    if manager == "systemd":
        if parent and not parent.endswith(".slice"):
            raise UsageError(f"did not receive systemd slice as cgroup parent when using systemd to manage cgroups: {parent}",
                             hint="Name a slice (--cgroup-parent my.slice), or use --cgroup-manager cgroupfs.")
        # podman's prefix: monitoring tools know the scopes of containers by it.
        slice_ = os.path.basename(parent) or ("user.slice" if host_uid() else "machine.slice")
        return f"{slice_}:libpod:{cid}"
    if parent.endswith(".slice"):
        raise UsageError(f"systemd slice received as cgroup parent when using cgroupfs: {parent}",
                         hint="Give a path, or use --cgroup-manager systemd.")
    above = parent or delegated_parent()
    return f"{above.rstrip('/')}/podlike-{cid}" if above else ""


def _prefers_scope(parent: str) -> bool:
    if parent:
        return parent.endswith(".slice")
    own = own_path()
    return own is not None and not _is_delegated(os.path.dirname(own)) and scopes_to_be_had()


def scopes_to_be_had() -> bool:
    """Whether there is a systemd that makes scopes for us: the system's for root, a user's own else."""
    if not unified():
        return False
    if host_uid() == 0:
        return os.path.isdir("/run/systemd/system")
    return os.path.exists(f"{os.environ.get('XDG_RUNTIME_DIR') or f'/run/user/{host_uid()}'}/systemd/private")


def _is_delegated(path: str) -> bool:
    """Whether systemd has handed this cgroup over to us; it marks such ones since version 251.

    What lies around our own cgroup else is systemd's, even where the files are ours: it may take the controllers away.
    """
    try:
        return os.getxattr(ROOT + path, "user.delegate") == b"1" and _can_make(path)
    except OSError:
        return False


def manager_of(where: str) -> str:
    """The runtime's cgroup manager for that place."""
    return "disabled" if not where else "systemd" if ":" in where else "cgroupfs"


def path_of(where: str) -> str:
    """The cgroup's path below the v2 root. A scope's is above the cgroup in which the container's processes are."""
    if manager_of(where) != "systemd":
        return where
    slice_, prefix, name = where.split(":")
    parts = slice_.removesuffix(".slice").split("-")
    nested = "/".join("-".join(parts[:n]) + ".slice" for n in range(1, len(parts) + 1))
    return f"{systemd_top()}/{nested}/{prefix}-{name}.scope"


def systemd_top() -> str:
    """The cgroup of the systemd that makes our scopes."""
    uid = host_uid()
    return f"/user.slice/user-{uid}.slice/user@{uid}.service" if uid else ""


def available(where: str, *, emptied: bool = False) -> "frozenset[str]":
    """Controllers that a container there can have.

    emptied: the processes in the cgroup above it will have left by then.
    """
    if not where:
        return frozenset()
    if manager_of(where) == "systemd":
        return controllers(systemd_top() or "/")
    above = existing_parent(where)
    found = controllers(above)
    if above == "/" or emptied or not found:
        return found
    handed = _words(above, "cgroup.subtree_control")
    if not os.access(f"{ROOT}{above}/cgroup.subtree_control", os.W_OK):
        return found & handed
    # "No internal processes" (cgroups(7)): beside processes only these work, in threaded cgroups.
    return found & (handed | _THREADED) if _words(above, "cgroup.procs") else found


def existing_parent(where: str) -> str:
    """The innermost cgroup that exists around a place below the v2 root."""
    path = os.path.dirname(where) or "/"
    while path != "/" and not os.path.isdir(ROOT + path):
        path = os.path.dirname(path)
    return path


def _words(path: str, name: str) -> "frozenset[str]":
    try:
        with open(f"{ROOT}{path}/{name}") as f:
            return frozenset(f.read().split())
    except OSError:
        return frozenset()


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
    return "/" if host_uid() == 0 and _can_make("/") else None


def _can_make(path: str) -> bool:
    directory = ROOT + path
    return os.access(directory, os.W_OK) and os.access(f"{directory}/cgroup.procs", os.W_OK)


def controllers(path: str) -> "frozenset[str]":
    """Controllers that a cgroup made in path could use."""
    return _words(path, "cgroup.controllers")
