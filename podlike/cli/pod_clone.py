"""podlike pod clone: a copy of a pod and of its containers, as they were asked for."""

import sys

from podlike.cli.command import Call, Command, Flag, Options, between, print_error
from podlike.cli.options import CREATE_TABLE, create_flags
from podlike.cli.pod_create import INFRA_FLAGS, template_of
from podlike.errors import PodlikeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from podlike.store.pods import Pod

_TAKEN: "Final" = frozenset((
    "blkio-weight", "blkio-weight-device", "cgroup-parent", "cpu-shares", "cpus", "cpuset-cpus", "cpuset-mems", "device",
    "device-read-bps", "device-write-bps", "gidmap", "gpus", "hostname", "label", "label-file", "memory", "memory-swap", "pid",
    "restart", "security-opt", "shm-size", "shm-size-systemd", "subgidname", "subuidname", "sysctl", "uidmap", "userns", "uts",
    "volume", "volumes-from"))
_ROWS: "Final" = tuple(row for row in CREATE_TABLE if row[0] in _TAKEN)


def clone(call: Call) -> int:
    from podlike.engine.pods.clone import clone as make
    from podlike.engine.pods.members import find

    opts = call.opts
    old = find(call.engine, call.args[0])
    name = call.args[1] if len(call.args) > 1 else opts.name
    made = make(call.engine, old, name=name, asked=_asked(call), infra=_infra(call))
    try:
        failed = _finish(call, old, made)
    except PodlikeError as e:
        failed = [e]
    for error in failed:
        print_error(error)
    if failed:
        call.out(f"pod {made.id} created but error after creation")
        return failed[-1].exit_code
    call.out(made.id)
    return 0


def _finish(call: Call, old: "Pod", made: "Pod") -> "list[PodlikeError]":
    """--destroy and --start. Raises: PodlikeError."""
    if call.opts.destroy:
        from podlike.engine.pods.remove import remove

        remove(call.engine, old, force=True)
    if call.opts.start:
        from podlike.engine.pods.actions import start

        return list(start(call.engine, made).values())
    return []


def _asked(call: Call) -> "dict[str, Any]":
    """Fields of the pod's ContainerSpec that flags change: where it differs from one without any. Raises: UsageError."""
    opts = vars(call.opts) | {"infra_conmon_pidfile": ""}
    blank = opts | {flag.dest: flag.initial() for flag in create_flags(_ROWS)}
    plain = template_of(Call(call.command, call.path, Options(blank), [""], set(), call.session))
    found = template_of(call)
    fields = (name for name in type(found).__dataclass_fields__ if getattr(found, name) != getattr(plain, name))
    return {name: getattr(found, name) for name in fields if name not in ("labels", "given")}


def _infra(call: Call) -> "dict[str, Any]":
    """Fields of the PodSpec that flags change. Raises: UsageError."""
    from podlike.cli.fillspec import restart_policy

    opts = call.opts
    changes: "dict[str, Any]" = {"create_command": list(sys.argv)}
    if opts.infra_name:
        changes["infra_name"] = opts.infra_name
    if call.changed("infra-command"):
        changes["infra_command"] = opts.infra_command.split()
    if opts.restart:
        changes["restart_policy"] = restart_policy(opts.restart)
    if opts.label or opts.label_file:
        from podlike.spec.environ import key_values

        changes["labels"] = key_values(opts.label, opts.label_file)
    return changes


command = Command(
    "clone", clone, usage="POD NAME", args=between(1, 2), summary="Clone an existing pod",
    description="Create an exact copy of a pod and the containers within it",
    flags=(*create_flags(_ROWS), *INFRA_FLAGS,
           Flag("destroy", "", "bool", "destroy the original pod"),
           Flag("name", "n", "string", "name the new pod"),
           Flag("start", "", "bool", "start the new pod")),
    examples=("pod clone pod_name new_name", "pod clone --destroy --start old_name"))
