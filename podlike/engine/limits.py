"""Limits that cannot be had: refused before anything is made, or with --limits=best-effort left out and told."""

import os

from podlike import log
from podlike.engine.core import Engine
from podlike.errors import ConflictError, UsageError
from podlike.runtime import cgroup
from podlike.spec import limits
from podlike.spec.container import ContainerSpec
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.spec.limits import Lacking

_NOTHING = ContainerSpec()


def check(engine: Engine, spec: ContainerSpec) -> list[str]:
    """What a container with this spec would have to go without, in words; printed as warnings.

    Raises: UsageError, without --limits=best-effort; for devices that are none; for a --cgroup-parent that cannot be.
    """
    if spec.cgroups == "disabled":
        limits.refuse_without_cgroup(spec)
        return []
    if spec.cgroups == "split":
        from podlike.runtime.cgroupsplit import is_delegated

        if not is_delegated():
            return []  # it is the start that needs to be in a unit
    block_devices(spec)
    where = place(engine, spec, "")
    return _tell(spec, _lacking(spec, where), where, known=[])


def place(engine: Engine, spec: ContainerSpec, cid: str, *, manager: str = "", parent: str = "") -> str:
    """Where its cgroup goes, in the words of runtime/cgroup.py. manager, parent: instead of what was asked for.

    Raises: UsageError.
    """
    if spec.cgroups == "disabled":
        return ""
    return cgroup.place(cid, manager=manager or engine.cgroup_manager, parent=parent or spec.cgroup_parent,
                        split=spec.cgroups == "split" and not parent)


def enter(engine: Engine, container: Container, *, manager: str = "", parent: str = "") -> str:
    """At a start: place(), and we have left the cgroup that is to be split. Raises: UsageError, ConflictError."""
    where = place(engine, container.spec, container.id, manager=manager, parent=parent)
    if container.spec.cgroups == "split":
        from podlike.runtime.cgroupsplit import move_aside

        move_aside()
    return where


def obtainable(container: Container) -> ContainerSpec:
    """The spec of a container that is about to start, without what its place cannot give; that is recorded in its state.

    What was told when it was created is not printed again. Raises: UsageError, without --limits=best-effort.
    """
    spec, state = container.spec, container.state
    if spec.cgroups == "disabled":
        return spec
    missing = _lacking(spec, state.cgroup)
    state.warnings = _tell(spec, missing, state.cgroup, known=state.warnings)
    return limits.without(spec, missing, _NOTHING) if missing else spec


def _lacking(spec: ContainerSpec, where: str) -> "list[Lacking]":
    return limits.lacking(spec, controllers(spec, where))


def controllers(spec: ContainerSpec, where: str) -> "frozenset[str]":
    """Those that a container can have there."""
    return cgroup.available(where, emptied=spec.cgroups == "split")


def _tell(spec: ContainerSpec, missing: "list[Lacking]", where: str, *, known: list[str]) -> list[str]:
    told = []
    for limit in missing:
        from podlike.runtime.cgrouplack import explain

        lacks, remedy = explain(where, limit[2]) if limit[2] else ("", "Leave it away")
        words = limits.words_for(limit, where=lacks)
        if spec.limits != limits.BEST_EFFORT:
            raise UsageError(words, hint=f"{remedy}; or use --limits=best-effort to go without.")
        told.append(words)
    for words in told:
        if words not in known:
            log.warning(f"{words}; going on without it")
    return told


def block_devices(spec: ContainerSpec) -> "dict[str, tuple[int, int]]":
    """(major, minor) of the devices whose io is limited, by path. Raises: UsageError."""
    out = {}
    for field, _, _ in limits.IO_DEVICES:
        for path in getattr(spec, field):
            out[path] = _block_device(path, flag=f"--{field.replace('_', '-')}")
    return out


def _block_device(path: str, *, flag: str) -> "tuple[int, int]":
    import stat

    try:
        found = os.stat(path)
    except OSError as e:
        raise UsageError(f"set {flag}: stat {path}: {(e.strerror or str(e)).lower()}",
                         hint="Name a disk, such as /dev/sda; `lsblk -p` lists them.") from None
    if not stat.S_ISBLK(found.st_mode):
        raise UsageError(f"set {flag}: {path}: not a block device",
                         hint="Name a disk, such as /dev/sda; `lsblk -p` lists them.")
    return os.major(found.st_rdev), os.minor(found.st_rdev)


def update(container: Container, changed: "list[str]") -> "tuple[ContainerSpec, list[str]]":
    """Of a container that runs: (the spec without what cannot be had, the fields in changed that can be set now).

    Raises: UsageError for devices that are none; without --limits=best-effort also UsageError, ConflictError.
    """
    spec = container.spec
    block_devices(spec)
    if not container.state.cgroup and spec.limits != limits.BEST_EFFORT:
        from podlike.runtime.cgrouplack import explain

        raise ConflictError(f"update container {container.name}: it has no cgroup of its own that could limit it",
                            hint=f"{explain('', '')[1]}; then start it again.")
    can = obtainable(container)
    if not container.state.cgroup:
        return can, []
    return can, [name for name in changed if getattr(can, name) == getattr(spec, name)]
