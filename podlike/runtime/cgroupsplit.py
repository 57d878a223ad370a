"""--cgroups=split: the cgroup that we are in, a unit's, is divided into one for the container and one for everything else.

The container's is podlike-payload-ID. The monitor, and whoever started it, go to `runtime`, because a cgroup with processes
of its own cannot hand on controllers (cgroups(7)). So the unit holds all of the container, and ends with it.
"""

import os

from podlike.errors import ConflictError
from podlike.runtime import cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_RUNTIME: "Final" = "runtime"  # podman's name
_ROUNDS: "Final" = 2  # the second for what was forked during the first
_OURS: "Final" = (_RUNTIME, ".control")  # the latter is where systemd puts ExecStop= and its like in a delegated unit


def payload(cid: str) -> str:
    """The container's place. Raises: ConflictError where there is no cgroup v2 tree."""
    return f"{_unit()}/podlike-payload-{cid}"


def is_delegated() -> bool:
    """Whether our own cgroup can be divided at all."""
    return cgroup.own_path() is not None and _writable(_unit())


def move_aside() -> None:
    """Move all processes of our own cgroup to its part for the runtime. Raises: ConflictError."""
    unit = _unit()
    directory = f"{cgroup.ROOT}{unit}"
    if not _writable(unit):
        raise ConflictError(f"split cgroup {unit}: it is not delegated to you",
                            hint="Start the container in a unit with Delegate=yes (`systemd-run --user -p Delegate=yes ...`), "
                                 "or leave --cgroups=split away.")
    try:
        os.makedirs(f"{directory}/{_RUNTIME}", exist_ok=True)
        for _ in range(_ROUNDS):
            for pid in _processes(directory):
                _move(pid, f"{directory}/{_RUNTIME}/cgroup.procs")
    except OSError as e:
        raise ConflictError(f"split cgroup {unit}: move its processes to {_RUNTIME}: {e.strerror}",
                            hint="Start the container in a unit of its own with Delegate=yes.") from e


def _unit() -> str:
    own = cgroup.own_path()
    if own is None:
        raise ConflictError("use --cgroups=split: there is no cgroup v2 tree here",
                            hint="Boot with systemd.unified_cgroup_hierarchy=1, or leave --cgroups=split away.")
    return os.path.dirname(own) if os.path.basename(own) in _OURS else own.rstrip("/")


def _writable(unit: str) -> bool:
    directory = f"{cgroup.ROOT}{unit}"
    return all(os.access(f"{directory}{name}", os.W_OK) for name in ("", "/cgroup.procs", "/cgroup.subtree_control"))


def _processes(directory: str) -> list[str]:
    with open(f"{directory}/cgroup.procs") as f:
        return [pid for pid in f.read().split() if pid != "0"]  # 0: of another pid namespace


def _move(pid: str, target: str) -> None:
    try:
        with open(target, "w") as f:
            f.write(pid)
    except ProcessLookupError:
        pass  # it has ended
