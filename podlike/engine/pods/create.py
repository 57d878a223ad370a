"""Making a pod: its name taken, its record and that of its infra container written. Nothing runs yet.

The pod's record comes first and says who is at it; a `pod create` that is killed is undone by the next command's sweep.
"""

import os
import time

from podlike import procs
from podlike.engine import events
from podlike.engine.core import Engine
from podlike.engine.names import random_name
from podlike.engine.sweep import sweep
from podlike.errors import ConflictError, NotFoundError, UsageError
from podlike.runtime import podcgroup
from podlike.spec import limits
from podlike.spec.container import ContainerSpec
from podlike.spec.events import Event
from podlike.spec.pod import DEFAULT_SHARE, PodSpec, check_exit_policy
from podlike.store.containers import Container, RunState
from podlike.store.pods import Pod, PodState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import replace
    from typing import Any, Final
else:
    from podlike.spec.record import replace

# The pod's cgroup has them; its infra container has none.
LIMITS: "Final" = (*limits.FIELDS, "cgroup_parent")
_UNSET: "Final" = ContainerSpec()


def create(engine: Engine, spec: PodSpec, *, replace_old: bool = False, progress: "Any" = None) -> Pod:
    """Record a new pod and its infra container. replace_old: remove a pod of that name first, running or not.

    Raises: ConflictError, UsageError, and what a pull of the infra image raises; nothing is left behind then.
    """
    sweep(engine)
    _check(engine, spec)
    if replace_old:
        _replace(engine, spec.name)
    pod_id = os.urandom(32).hex()
    parent = spec.container.cgroup_parent
    pod = Pod(id=pod_id, name=spec.name or random_name(), created=time.time(), spec=spec,
              state=PodState(worker=[os.getpid(), procs.start_time(os.getpid())],
                             cgroup=podcgroup.place(pod_id, manager=engine.cgroup_manager, parent=parent)))
    _refuse_bad_limits(engine, pod)
    _add(engine, pod, generated=not spec.name)
    try:
        if spec.infra:
            pod.state.infra = _add_infra(engine, pod, progress).id
        pod.state.phase, pod.state.worker = "created", []
        engine.pods.save_state(pod)
    except BaseException:
        from podlike.engine.pods.remove import discard

        discard(engine, pod)
        raise
    tell(engine, pod, "create")
    return pod


def tell(engine: Engine, pod: Pod, status: str) -> None:
    """The event of a pod."""
    events.emit(engine, Event("pod", status, id=pod.id, name=pod.name, attributes=dict(pod.spec.labels)))


def for_container(engine: Engine, spec: ContainerSpec, name: str) -> Pod:
    """The pod of `run --pod new:NAME`: what a pod is asked for moves there from the container's spec. Raises: as create."""
    if not name:
        raise UsageError("new pod name must be at least one character", hint="Write --pod new:NAME.")
    template = ContainerSpec()
    for field in ("network", "ports", "publish_all", "add_hosts", "no_hosts", "dns", "dns_search", "dns_option", "hostname",
                  "user_ns", "uidmap", "gidmap"):
        setattr(template, field, getattr(spec, field))
        setattr(spec, field, getattr(ContainerSpec(), field))
    template.publish_all = False  # that is about the container's image
    return create(engine, PodSpec(name=name, share=list(DEFAULT_SHARE), create_command=spec.create_command, container=template,
                                  exit_policy=check_exit_policy(engine.config.engine.pod_exit_policy)))


def _check(engine: Engine, spec: PodSpec) -> None:
    """Raises: UsageError."""
    from podlike.engine.create import check_name
    from podlike.spec.resolve import validate

    if spec.name:
        try:
            check_name(spec.name)
        except UsageError as e:
            raise UsageError(e.message.replace("container create", "pod create")) from None
    template = spec.container
    if not spec.infra:
        _refuse_without_infra(spec)
    elif template.ports and "net" not in spec.share:
        raise UsageError("publish ports of a pod whose containers do not share their network",
                         hint="Give --share net too, or publish the ports of the containers.")
    validate(template)
    if spec.infra_command is not None and not (spec.infra_image or engine.config.engine.infra_image):
        raise UsageError("use --infra-command without --infra-image: the built-in infra container has no other program",
                         hint="Name an image that has the command.")


def _refuse_without_infra(spec: PodSpec) -> None:
    template = spec.container
    for flag, given in (("--publish", template.ports), ("--network", template.network), ("--dns", template.dns),
                        ("--dns-option", template.dns_option), ("--dns-search", template.dns_search),
                        ("--add-host", template.add_hosts), ("--no-hosts", template.no_hosts),
                        ("--infra-command", spec.infra_command), ("--infra-image", spec.infra_image),
                        ("--infra-conmon-pidfile", template.conmon_pidfile), ("--userns", template.user_ns),
                        ("--uidmap", template.uidmap), ("--gidmap", template.gidmap), ("--hostname", template.hostname),
                        ("--sysctl", template.sysctls)):
        if given:
            raise UsageError(f"use {flag} with --infra=false: it is about what the infra container holds",
                             hint=f"Leave {flag} or --infra=false away.")


def _refuse_bad_limits(engine: Engine, pod: Pod) -> None:
    """Raises: UsageError for a limit whose controller is not to be had here."""
    from podlike.engine.create import refuse_bad_limits

    template = pod.spec.container
    if not pod.spec.share_parent and limits.lacking(template, frozenset()):
        raise UsageError("limit a pod with --share-parent=false: its containers are not in its cgroup",
                         hint="Leave --share-parent=false away, or limit the containers.")
    refuse_bad_limits(engine, template)


def _replace(engine: Engine, name: str) -> None:
    from podlike.engine.pods.remove import remove

    try:
        old = engine.pods.find(name)
    except NotFoundError:
        return
    if old.name == name:
        remove(engine, old, force=True, timeout=0)


def _add(engine: Engine, pod: Pod, *, generated: bool) -> None:
    for _ in range(8 if generated else 0):
        try:
            engine.pods.add(pod)
            return
        except ConflictError:
            pod.name = random_name()
    engine.pods.add(pod)


def infra_spec(engine: Engine, pod: Pod) -> ContainerSpec:
    """What is asked of the infra container: the pod's own request without its limits, and a name."""
    spec, asked = pod.spec, pod.spec.container
    host_name = asked.hostname or ("" if "host" in (asked.uts_ns, asked.network) else _as_hostname(pod.name))
    out = replace(asked, name=spec.infra_name or f"{pod.id[:12]}-infra", pod=pod.id, infra=True, hostname=host_name,
                  image=spec.infra_image or engine.config.engine.infra_image, create_command=list(spec.create_command),
                  **{name: getattr(_UNSET, name) for name in LIMITS})
    if spec.infra_command is not None:
        out.entrypoint = list(spec.infra_command)
    if "net" not in spec.share and asked.network != "host":
        out.network = "none"  # nobody would see it
    return out


def _as_hostname(name: str) -> str:
    return name.replace("_", "-").strip("-.")[:64] if len(name) > 64 else name


def _add_infra(engine: Engine, pod: Pod, progress: "Any") -> Container:
    from podlike.engine import create as containers

    spec = infra_spec(engine, pod)
    if spec.image:
        return containers.create(engine, spec, progress=progress)
    containers.check_name(spec.name)
    cid = os.urandom(32).hex()
    from podlike.engine.defaults import apply_namespaces

    apply_namespaces(spec, engine.config)
    spec.workdir = "/"
    spec.stop_signal = "SIGTERM"
    if spec.uidmap or spec.gidmap or spec.user_ns not in ("", "host"):
        # The user that keep-id finds is for the members: members.join
        containers.plan_user_namespace(engine, spec, asked_user="")
    containers.take_volumes(engine, spec)
    containers.refuse_bad_requests(engine, spec)
    container = Container(id=cid, name=spec.name, image=None, created=time.time(), spec=spec, state=RunState())
    containers.name_volumes(container)
    engine.containers.add(container)
    containers.make_volumes(engine, container)
    events.emit(engine, events.created(engine, container))
    return container


def refuse_cgroup_share(share: "list[str]", *, share_parent: bool) -> None:
    """Raises: UsageError."""
    if "cgroup" in share and share_parent:
        raise UsageError("cannot define the pod as the cgroup parent at the same time as joining the infra container's "
                         "cgroupNS: invalid argument", hint="Give --share-parent=false too.")


