"""Removing pods with their containers; and finishing what a killed `pod create` or `pod rm` began."""

import os

from podlike import log, procs
from podlike.engine import query
from podlike.engine.core import Engine
from podlike.engine.dependents import dependents_first
from podlike.engine.pods.actions import Holding, stop_members
from podlike.engine.pods.create import tell
from podlike.engine.pods.members import members
from podlike.errors import ConflictError, NotFoundError, PodlikeError
from podlike.runtime import podcgroup
from podlike.store.containers import Container
from podlike.store.db import UniqueError
from podlike.store.pods import Pod

_RUNNING = ("running", "paused", "stopping", "restarting")


class NotAllRemovedError(ConflictError):
    """causes: what kept the containers, each with its own words."""

    def __init__(self, pod: Pod, causes: "dict[str, PodlikeError]") -> None:
        super().__init__(f"not all containers could be removed from pod {pod.id}: removing pod containers")
        self.causes = [ConflictError(f"error removing container {cid} from pod {pod.id}: {e.message}", hint=e.hint)
                       for cid, e in causes.items()]


def remove(engine: Engine, pod: Pod, *, force: bool = False, timeout: int | None = None) -> list[str]:
    """Remove a pod and its containers; return their ids. force: also those that run, stopped first.

    Raises: NotAllRemovedError; without force nothing has gone then. NotFoundError when somebody else removed it.
    """
    with Holding(engine, pod):
        every = members(engine, pod)
        if not force:
            _refuse_running(engine, pod, every)
        if engine.pods.get(pod.id) is None:
            raise NotFoundError(f"no pod with name or ID {pod.id} found: no such pod")
        failed = stop_members(engine, pod, timeout=timeout)
        if failed:
            raise NotAllRemovedError(pod, failed)
        gone = _finish(engine, pod)
    _unlock(engine, pod)
    return gone


def _unlock(engine: Engine, pod: Pod) -> None:
    try:
        os.unlink(f"{engine.roots.run}/locks/pod-{pod.id}")
    except FileNotFoundError:
        pass


def _refuse_running(engine: Engine, pod: Pod, every: list[Container]) -> None:
    """An infra container alone is none of the user's. Raises: NotAllRemovedError."""
    causes: "dict[str, PodlikeError]" = {}
    for c in every:
        state = query.status(engine, c).state
        if not c.spec.infra and state in _RUNNING:
            causes[c.id] = ConflictError(f"cannot remove container {c.id} as it is {state} - running or paused containers "
                                         "cannot be removed without force: container state improper")
    if causes:
        raise NotAllRemovedError(pod, causes)


def _finish(engine: Engine, pod: Pod) -> list[str]:
    """Holding the pod, with nothing running: containers, cgroup, record, --pod-id-file. Returns the containers' ids."""
    from podlike.engine.remove import remove as remove_container

    pod.state.phase, pod.state.worker = "removing", [os.getpid(), procs.start_time(os.getpid())]
    engine.pods.save_state(pod)
    gone: list[str] = []
    failed: "dict[str, PodlikeError]" = {}
    for container in dependents_first(engine, members(engine, pod)):
        try:
            remove_container(engine, container, force=True, volumes=True, timeout=0, with_pod=True)
        except NotFoundError:
            pass
        except PodlikeError as e:
            failed[container.id] = e
            continue
        gone.append(container.id)
    podcgroup.remove(pod.state.cgroup)
    try:
        if not failed:
            engine.pods.delete(pod.id)
    except UniqueError:  # somebody has just made a container in it
        failed[pod.id] = ConflictError(f"pod {pod.id} contains containers and cannot be removed: container already exists")
    if failed:
        pod.state.phase, pod.state.worker = "created", []
        if not any(c.id == pod.state.infra for c in members(engine, pod)):
            pod.state.infra = ""
        engine.pods.save_state(pod)
        raise NotAllRemovedError(pod, failed)
    tell(engine, pod, "remove")
    return gone


def discard(engine: Engine, pod: Pod) -> None:
    """Undo a creation that failed, whatever there is of it."""
    try:
        with Holding(engine, pod):
            _finish(engine, pod)
    except (PodlikeError, OSError) as e:
        log.warning(f"remove pod {pod.name}: {e}")
    _unlock(engine, pod)


def sweep(engine: Engine) -> None:
    """Remove pods whose `pod create` or `pod rm` was killed. One query when there are none."""
    for pod in engine.pods.unfinished():
        if not procs.alive(*(pod.state.worker or (0, 0))):
            discard(engine, pod)


def prune(engine: Engine) -> "tuple[list[str], list[PodlikeError]]":
    """Remove pods of which something has run and nothing runs. Returns the ids of those that went, and the failures."""
    from podlike.engine.pods.rows import pod_state

    sweep(engine)
    gone: list[str] = []
    failed: list[PodlikeError] = []
    for pod in engine.pods.all():
        if pod_state(engine, members(engine, pod)) not in ("Exited", "Stopped"):
            continue
        try:
            remove(engine, pod)
            gone.append(pod.id)
        except NotFoundError:
            continue
        except PodlikeError as e:
            failed.append(e)
    return gone, failed
