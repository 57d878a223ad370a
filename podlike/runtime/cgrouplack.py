"""Why a limit cannot be had, and what would grant it: asked when one is refused."""

import os

from podlike.runtime import cgroup
from podlike.runtime.idmap import host_uid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_ALL: "Final" = "cpu cpuset io memory pids"  # what systemd hands on when it is asked to delegate
_DROP_IN: "Final" = (f"As root, write `[Service]\\nDelegate={_ALL}` to /etc/systemd/system/user@.service.d/delegate.conf, run "
                     "`systemctl daemon-reload`, and log in again")


def explain(where: str, controller: str) -> "tuple[str, str]":
    """(the cgroup that lacks the controller, what to do) for a container at this place."""
    if not cgroup.unified():
        return f"{cgroup.ROOT}, which is not a cgroup v2 tree", "Boot with systemd.unified_cgroup_hierarchy=1"
    if not where:
        return f"cgroup {cgroup.own_path() or '/'}, which is not delegated to you", _no_delegation()
    top = cgroup.systemd_top() or "/" if cgroup.manager_of(where) == "systemd" else cgroup.existing_parent(where)
    previous = "/"
    for path in _way(top):
        if controller not in cgroup.controllers(path):
            if path == "/":
                return "cgroup /", _kernel(controller)
            known = controller in _ALL.split()
            return f"cgroup {path}", _handed_down(previous, path, controller) if known else _by_hand(top, controller)
        previous = path
    # It has the controller and cannot hand it on.
    if not os.access(f"{cgroup.ROOT}{top}/cgroup.subtree_control", os.W_OK):
        return f"a cgroup below {top}", _handed_down(top, f"{top}/x", controller)
    return (f"a cgroup below {top}, which has processes of its own",
            "Move them into a cgroup below it (`systemd-run --user --scope -p Delegate=yes ...` gives you a tree of your own)")


def _way(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    return ["/" + "/".join(parts[:n]) for n in range(len(parts) + 1)]


def _kernel(controller: str) -> str:
    return (f"Boot a kernel that has it, without cgroup_disable={controller}; or release it from a cgroup v1 hierarchy "
            "(`cat /proc/cgroups` shows which)")


def _handed_down(giver: str, taker: str, controller: str) -> str:
    """How the cgroup `giver` is made to hand a controller down to `taker`."""
    if os.path.isdir("/run/systemd/system"):
        if host_uid() and "/user@" in taker and giver.count("/") <= 3:
            return _DROP_IN
        unit = next((part for part in reversed(taker.split("/")) if part.endswith((".service", ".scope"))), "")
        if unit:
            return f"Give the unit {unit} `Delegate={_ALL}`"
        if host_uid():
            return _DROP_IN
    return f"As root, run `echo +{controller} > {cgroup.ROOT}{giver.rstrip('/')}/cgroup.subtree_control`"


def _by_hand(top: str, controller: str) -> str:
    """For a controller that systemd neither hands down nor takes away: all cgroups on the way to top."""
    files = " ".join(f".{path.rstrip('/')}/cgroup.subtree_control" for path in _way(os.path.dirname(top)))
    return f"As root, run `cd {cgroup.ROOT} && for f in {files}; do echo +{controller} > $f; done`"


def _no_delegation() -> str:
    uid = host_uid()
    if os.path.isdir("/run/systemd/system"):
        return (f"Have a systemd of your own that delegates: `sudo loginctl enable-linger {uid}` and "
                f"`export XDG_RUNTIME_DIR=/run/user/{uid}`")
    own = f"{cgroup.ROOT}/podlike-{uid}"
    return (f"As root, run `mkdir -p {own}/leaf && chown -R {uid} {own} && echo '{' '.join(f'+{c}' for c in _ALL.split())}' > "
            f"{cgroup.ROOT}/cgroup.subtree_control && echo PID > {own}/leaf/cgroup.procs` with the PID of your shell")
