"""When the last container of a pod has ended: with the exit policy `stop` its infra container is stopped too."""

from podlike.engine import query
from podlike.engine.core import Engine
from podlike.engine.pods.members import members
from podlike.store.pods import Pod

_ENDED = ("exited", "removing", "stopping")


def apply(engine: Engine, pod_id: str) -> None:
    """After a container of the pod has been cleaned up, holding no container's lock."""
    if engine.held_pod == pod_id:
        return  # whoever stops the pod is at it
    pod = engine.pods.get(pod_id)
    if pod is None or pod.spec.exit_policy != "stop" or not _only_infra_is_left(engine, pod):
        return
    from podlike.engine.pods.actions import Holding, stop_members
    from podlike.engine.pods.create import tell

    with Holding(engine, pod):
        if engine.pods.get(pod_id) is not None and _only_infra_is_left(engine, pod):
            tell(engine, pod, "stop")
            stop_members(engine, pod)


def _only_infra_is_left(engine: Engine, pod: Pod) -> bool:
    return all(c.spec.infra or query.status(engine, c).state in _ENDED for c in members(engine, pod))
