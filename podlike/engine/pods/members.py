"""Which containers a pod has, and what a container that is made in one shares with it and inherits from it."""

from podlike.engine.core import Engine
from podlike.engine.limits import block_devices
from podlike.errors import UsageError
from podlike.locks import Lock
from podlike.runtime import podcgroup
from podlike.spec.container import ContainerSpec
from podlike.spec.groupio import io_files
from podlike.spec.pod import NAMESPACE_FIELDS
from podlike.store.containers import Container
from podlike.store.pods import Pod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_UNSET: "Final" = ContainerSpec()
# Security options: a container's own beat the pod's.
_SECURITY: "Final" = ("seccomp_profile", "apparmor_profile", "masked_paths", "unmasked_paths", "no_new_privileges")
_ON_POD = "network cannot be configured when it is shared with a pod"


def find(engine: Engine, name: str) -> Pod:
    """By name, id or unique beginning of an id. Raises: NotFoundError, ConflictError."""
    return engine.pods.find(name[1:] if name[:1] == "/" else name)


def latest(engine: Engine) -> Pod:
    """The pod that was created last. Raises: NotFoundError."""
    from podlike.errors import NotFoundError

    found = engine.pods.all()
    if not found:
        raise NotFoundError("no pods found: no such pod")
    return found[-1]


def members(engine: Engine, pod: Pod) -> list[Container]:
    """All its containers, the infra container too, oldest first."""
    return engine.containers.in_pod(pod.id)


def lock_of(engine: Engine, pod_id: str) -> Lock:
    """The lock that start, stop, remove of one pod take, before those of its containers."""
    return Lock(engine.roots, f"pod-{pod_id}")


def join(engine: Engine, spec: ContainerSpec) -> Pod:
    """Make the spec of a new container that of a member of its pod; spec.pod (name or id) becomes the id.

    Raises: NotFoundError, UsageError for what only the pod can be asked for.
    """
    pod = find(engine, spec.pod)
    spec.pod = pod.id
    template = pod.spec.container
    if pod.state.infra:
        _refuse_what_is_shared(pod, spec)
        for kind in (*pod.spec.share, *(("user",) if _has_own_users(template) else ())):
            name = NAMESPACE_FIELDS[kind]
            if not getattr(spec, name):
                asked = getattr(template, name)
                setattr(spec, name, "host" if asked == "host" else f"container:{pod.state.infra}")
        if spec.user_ns == f"container:{pod.state.infra}":
            infra = engine.containers.get(pod.state.infra)
            if infra is not None:
                spec.uid_map, spec.gid_map = infra.spec.uid_map, infra.spec.gid_map
                if template.user_ns.startswith("keep-id"):
                    spec.user = spec.user or infra.spec.user
    _inherit(spec, template)
    if not spec.restart_policy and not spec.remove and not spec.init_ctr:
        spec.restart_policy = pod.spec.restart_policy
    return pod


def _has_own_users(template: ContainerSpec) -> bool:
    return bool(template.uidmap or template.gidmap) or template.user_ns not in ("", "host")


def _refuse_what_is_shared(pod: Pod, spec: ContainerSpec) -> None:
    share = pod.spec.share
    if "net" in share and not spec.network:
        if spec.ports or spec.publish_all:
            raise UsageError("invalid config provided: published or exposed ports must be defined when the pod is created: "
                             f"{_ON_POD}", hint="Give --publish to `podlike pod create`.")
        if spec.add_hosts:
            raise UsageError(f"invalid config provided: extra host entries must be specified on the pod: {_ON_POD}",
                             hint="Give --add-host to `podlike pod create`.")
    if "uts" in share and not spec.uts_ns and spec.hostname:
        raise UsageError("invalid config provided: cannot set hostname when joining the pod UTS namespace: "
                         "invalid configuration", hint="Give --hostname to `podlike pod create`.")
    if spec.user_ns not in ("", "host") or spec.uidmap or spec.gidmap:
        # Scripts compare these words: no hint.
        raise UsageError("cannot set user namespace mode when joining pod with infra container: invalid argument")


def _inherit(spec: ContainerSpec, template: ContainerSpec) -> None:
    taken = {m.target for m in spec.mounts} | set(spec.tmpfs)
    spec.mounts = [*spec.mounts, *(m for m in template.mounts if m.target not in taken)]
    spec.volumes_from = [*spec.volumes_from, *(v for v in template.volumes_from if v not in spec.volumes_from)]
    spec.devices = [*(d for d in template.devices if d not in spec.devices), *spec.devices]
    spec.no_hostname = spec.no_hostname or template.no_hostname
    for name in _SECURITY:
        if name not in spec.given and getattr(spec, name) == getattr(_UNSET, name):
            setattr(spec, name, getattr(template, name))


def take_hostname(engine: Engine, pod: Pod, resolved: ContainerSpec) -> None:
    """The host name that a member sees, once its own request has been found right."""
    infra = engine.containers.get(pod.state.infra) if pod.state.infra else None
    if infra is not None and resolved.uts_ns == f"container:{infra.id}":
        resolved.hostname = infra.spec.hostname


def cgroup_parent(engine: Engine, spec: ContainerSpec) -> "tuple[str, str]":
    """(parent, manager) for the cgroup of a container that is about to start, the pod's made if need be; ("", "") for one that is
    not to be in its pod's.

    Raises: RuntimeFailure.
    """
    pod = engine.pods.get(spec.pod)
    if pod is None or not pod.spec.share_parent or spec.cgroup_parent:
        return "", ""
    where = pod.state.cgroup
    files = podcgroup.limits(pod.spec.container) | io_files(pod.spec.container, block_devices(pod.spec.container))
    try:
        podcgroup.ensure(where, files)
    except Exception:
        # The place was chosen when the pod was created, perhaps in a login session that is gone.
        fresh = podcgroup.place(pod.id, manager=engine.cgroup_manager, parent=pod.spec.container.cgroup_parent)
        if fresh == where:
            raise
        podcgroup.ensure(fresh, files)
        pod.state.cgroup = where = fresh
        engine.pods.save_state(pod)
    return where, podcgroup.manager_of(where)
