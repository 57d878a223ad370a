"""podlike pod create: a new pod, without containers but its infra container."""

import os
import sys

from podlike.cli.command import Call, Command, Flag, Options, at_most
from podlike.cli.creating import LazyProgress
from podlike.cli.fillspec import fill_spec, restart_policy
from podlike.cli.options import CREATE_TABLE, create_flags
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.spec.container import ContainerSpec
    from podlike.spec.pod import PodSpec
    from podlike.store.pods import Pod

# Those flags of `create` that speak of what the containers of a pod share, inherit, or are limited to together.
_SHARED = frozenset((
    "add-host", "blkio-weight", "blkio-weight-device", "cgroup-parent", "cpu-shares", "cpus", "cpuset-cpus", "cpuset-mems",
    "device", "device-read-bps", "device-write-bps", "dns", "dns-option", "dns-search", "gidmap", "gpus", "hostname",
    "hosts-file", "ip", "ip6", "label", "label-file", "mac-address", "memory", "memory-swap", "network", "network-alias",
    "no-hostname", "no-hosts", "pid", "pids-limit", "publish", "restart", "security-opt", "shm-size",
    "shm-size-systemd", "subgidname", "subuidname", "sysctl", "uidmap", "userns", "uts", "volume", "volumes-from"))
_ROWS = tuple(row for row in CREATE_TABLE if row[0] in _SHARED)


def create(call: Call) -> None:
    from podlike.engine.pods.create import create as create_pod

    spec = fill_pod_spec(call)
    progress: "Any" = LazyProgress(quiet=True)
    startup = None
    try:
        if spec.restart_policy not in ("", "no"):
            from podlike.cli.startup import set_up_once

            startup = set_up_once(call, spec.restart_policy)  # first: cron is out of reach from inside the session
        pod = create_pod(call.engine, spec, replace_old=call.opts.replace, progress=progress)
    except BaseException:
        if startup is not None:
            startup.forget()
        raise
    finally:
        progress.close()
    if spec.id_file:
        _write_id_file(call, spec.id_file, pod)
    call.out(pod.id)


def fill_pod_spec(call: Call) -> "PodSpec":
    """What the command line asks for. Raises: UsageError."""
    from podlike.engine.pods.create import refuse_cgroup_share
    from podlike.spec.pod import PodSpec, check_exit_policy, parse_share

    opts = call.opts
    if call.args and opts.name:
        raise UsageError("cannot specify --name and NAME at the same time")
    name = call.args[0] if call.args else opts.name
    if opts.replace and not name:
        raise UsageError("cannot replace pod without --name being set")
    infra = opts.infra if call.changed("infra") else opts.share not in ("", "none")
    if not infra:
        _refuse_without_infra(call)
    share = parse_share(opts.share) if infra else []
    if infra:
        refuse_cgroup_share(share, share_parent=opts.share_parent)
    policy = opts.exit_policy if call.changed("exit-policy") else call.engine.config.engine.pod_exit_policy
    template = template_of(call)
    command = opts.infra_command.split() if call.changed("infra-command") else None
    return PodSpec(name=name, labels=template.labels, create_command=list(sys.argv), infra=infra, infra_name=opts.infra_name,
                   infra_image=opts.infra_image, infra_command=command, share=share, share_parent=opts.share_parent,
                   exit_policy=check_exit_policy(policy), restart_policy=restart_policy(opts.restart) if opts.restart else "",
                   id_file=os.path.abspath(opts.pod_id_file) if opts.pod_id_file else "", container=_unlabelled(template))


def _refuse_without_infra(call: Call) -> None:
    if call.changed("no-hosts"):
        raise UsageError("cannot specify --no-hosts without an infra container")
    if call.opts.infra_name:
        raise UsageError("cannot set infra-name without an infra container")
    if call.changed("share") and call.opts.share not in ("none", ""):
        raise UsageError(f"cannot set share({call.opts.share}) namespaces without an infra container")
    if call.opts.publish:
        raise UsageError("you must have an infra container to publish port bindings to the host")


def template_of(call: Call) -> "ContainerSpec":
    """What the flags that `create` has too ask for, through the same code. Raises: UsageError."""
    values = {flag.dest: flag.initial() for flag in create_flags(CREATE_TABLE)} | vars(call.opts)
    values |= {"name": "", "replace": False, "pod_id_file": "", "conmon_pidfile": call.opts.infra_conmon_pidfile, "restart": ""}
    given = {name for name in call.given if name in _SHARED}
    as_container = Call(call.command, call.path, Options(values), [""], given, call.session)
    spec = fill_spec(as_container)
    spec.create_command, spec.notify_socket = [], ""
    return spec


def _unlabelled(template: "ContainerSpec") -> "ContainerSpec":
    template.labels = {}
    return template


def _write_id_file(call: Call, path: str, pod: "Pod") -> None:
    try:
        with open(path, "w") as f:
            f.write(pod.id)
    except OSError as e:
        from podlike.engine.pods.remove import remove

        remove(call.engine, pod, force=True)
        raise UsageError(f"failed to write pod ID to file: open {path}: {(e.strerror or '').lower()}",
                         hint="Give --pod-id-file a path that you can write.") from None


INFRA_FLAGS = (
    Flag("infra-command", "", "string", "The command to run on the infra container when the pod is started"),
    Flag("infra-conmon-pidfile", "", "string", "Path to the file that will receive the PID of the infra container's conmon"),
    Flag("infra-name", "", "string", "The name used as infra container name"))
command = Command(
    "create", create, usage="[NAME]", args=at_most(1), interspersed=False, summary="Create a new empty pod",
    description="After creating the pod, the pod ID is printed to stdout.\n\nYou can then start it at any time with the podlike "
                "pod start <pod_id> command. The pod will be created with the initial state 'created'.",
    flags=(*create_flags(_ROWS),
           Flag("exit-policy", "", "string", "Behaviour when the last container exits", "continue"),
           Flag("infra", "", "bool", "Create an infra container associated with the pod to share namespaces with", True),
           *INFRA_FLAGS,
           Flag("infra-image", "", "string", "Image to use to override builtin infra container"),
           Flag("name", "n", "string", "Assign a name to the pod"),
           Flag("pod-id-file", "", "string", "Write the pod ID to the file"),
           Flag("replace", "", "bool", "If a pod with the same name exists, replace it"),
           Flag("share", "", "string", "A comma delimited list of kernel namespaces the pod will share", "ipc,net,uts"),
           Flag("share-parent", "", "bool", "Set the pod's cgroup as the cgroup parent for all containers joining the pod",
                True)),
    examples=("pod create", "pod create --label foo=bar mypod"))
