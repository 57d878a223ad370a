"""`pod clone`: another pod that is asked to be what one is, with copies of its containers."""

import json

from podlike.engine.boot import in_order
from podlike.engine.clone import copied, free_name, make_copy
from podlike.engine.core import Engine
from podlike.engine.pods import create as pods
from podlike.engine.pods.members import members
from podlike.spec.container import ContainerSpec
from podlike.spec.pod import NAMESPACE_FIELDS, PodSpec
from podlike.store.containers import Container
from podlike.store.pods import Pod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

# What a change is added to; the rest it takes the place of.
_ADDED: "Final" = ("mounts", "devices", "volumes_from", "security_opt")
_UNSET: "Final" = ContainerSpec()


def clone(engine: Engine, pod: Pod, *, name: str = "", asked: "Mapping[str, Any]", infra: "Mapping[str, Any]") -> Pod:
    """Make it, with containers that are called as the original's with -clone. Files of their own are not copied, volumes shared.

    asked: fields of the pod's ContainerSpec that change, by name. infra: fields of the PodSpec: infra_name, infra_command,
    restart_policy, labels. Raises: what making a pod and containers raises; nothing is left behind then.
    """
    spec = _copied_pod(pod.spec, asked, infra)
    spec.name = name or free_name(engine, pod.name)
    made = pods.create(engine, spec)
    try:
        known = {pod.state.infra: made.state.infra}
        for container in in_order(members(engine, pod)):
            if not container.spec.infra:
                known[container.id] = _copy_member(engine, pod, made, container, known).id
    except BaseException:
        from podlike.engine.pods.remove import discard

        discard(engine, made)
        raise
    return made


def _copied_pod(old: PodSpec, asked: "Mapping[str, Any]", infra: "Mapping[str, Any]") -> PodSpec:
    spec = PodSpec.from_dict(json.loads(json.dumps(old.to_dict())))
    spec.id_file = spec.infra_name = ""  # the original's
    template = spec.container
    template.conmon_pidfile = ""
    if "cpus" in asked:
        template.cpu_period = template.cpu_quota = 0
    for field, value in asked.items():
        before = getattr(template, field)
        if isinstance(value, dict):
            value = {**before, **value}
        elif field in _ADDED:
            value = [*before, *value]
        setattr(template, field, value)
    for field, value in infra.items():
        setattr(spec, field, {**spec.labels, **value} if field == "labels" else value)
    return spec


def _copy_member(engine: Engine, pod: Pod, made: Pod, container: Container, known: "dict[str, str]") -> Container:
    """known: the copies' ids by those of the originals."""
    spec = copied(container.spec, {"pod": made.id})
    _disinherit(spec, pod)
    for field in NAMESPACE_FIELDS.values():
        kind, _, target = getattr(spec, field).partition(":")
        if kind == "container" and target == pod.state.infra:
            setattr(spec, field, "")  # joined anew
        elif kind == "container" and target in known:
            setattr(spec, field, f"container:{known[target]}")
    spec.requires = [known.get(cid, cid) for cid in spec.requires]
    spec.name = free_name(engine, container.name)
    return make_copy(engine, container, spec)


def _disinherit(spec: ContainerSpec, pod: Pod) -> None:
    """Drop what the original has from its pod: the copy gets what the new pod has."""
    template, infra = pod.spec.container, pod.state.infra
    spec.mounts = [m for m in spec.mounts if m not in template.mounts]
    spec.devices = [d for d in spec.devices if d not in template.devices]
    for name in ("seccomp_profile", "apparmor_profile", "masked_paths", "unmasked_paths", "no_new_privileges"):
        if name not in spec.given and getattr(spec, name) == getattr(template, name):
            setattr(spec, name, getattr(_UNSET, name))
    if spec.restart_policy == pod.spec.restart_policy:
        spec.restart_policy = ""
    if spec.uts_ns == f"container:{infra}":
        spec.hostname = ""
    if spec.user_ns == f"container:{infra}":
        spec.uid_map, spec.gid_map = [], []
