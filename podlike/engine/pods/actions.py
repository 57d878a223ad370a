"""What is done to all containers of a pod: start, stop, restart, kill, pause, unpause.

Each returns the failures by the container's id; one does not keep the others from being tried.
"""

from podlike.engine import events, query
from podlike.engine.boot import in_order, stop_in_waves
from podlike.engine.core import Engine
from podlike.engine.dependents import must_run
from podlike.engine.pods.create import tell
from podlike.engine.pods.members import lock_of, members
from podlike.errors import ConflictError, NotFoundError, PodlikeError
from podlike.runtime import podcgroup
from podlike.spec.pod import INIT_ONCE
from podlike.store.containers import Container
from podlike.store.pods import Pod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Failures = dict[str, PodlikeError]


def start(engine: Engine, pod: Pod) -> "Failures":
    """Run the init containers, then start what does not run, each after those that it needs.

    Raises: ConflictError when an init container fails, or there is nothing to start.
    """
    with Holding(engine, pod):
        every = members(engine, pod)
        if not every:
            raise ConflictError(f"no containers in pod {pod.id} have no dependencies, cannot start pod: no such container",
                                hint=f"Make one: `podlike create --pod {pod.name} IMAGE`.")
        _run_init_containers(engine, [c for c in every if c.spec.init_ctr])
        failed = _start_each(engine, [c for c in every if not c.spec.init_ctr])
        if not failed:
            tell(engine, pod, "start")
        return failed


def _start_each(engine: Engine, containers: "Iterable[Container]") -> "Failures":
    from podlike.engine.start import start as start_container

    failed: Failures = {}
    for container in in_order(containers):
        needed = [name for name in must_run(container.spec) if name in failed]
        try:
            if needed:
                raise ConflictError(f"a dependency of container {container.id} failed to start: container state improper")
            if query.status(engine, container).state not in ("running", "paused", "restarting"):
                start_container(engine, container)
        except PodlikeError as e:
            failed[container.id] = e
    return failed


def _run_init_containers(engine: Engine, containers: "Iterable[Container]") -> None:
    """One after the other, each to its end. Raises: ConflictError when one fails, and what a start raises."""
    from podlike.engine.remove import remove
    from podlike.engine.start import start as start_container
    from podlike.engine.wait import wait

    for container in containers:
        start_container(engine, container)
        code = wait(engine, container)
        if code:
            raise ConflictError(f"init container {container.id} exited with code {code}",
                                hint=f"`podlike logs {container.name}` may say why.")
        if container.spec.init_ctr == INIT_ONCE:
            try:
                remove(engine, engine.containers.find(container.id), volumes=True)
            except NotFoundError:
                pass  # --rm


def stop(engine: Engine, pod: Pod, *, timeout: int | None = None) -> "Failures":
    """Stop everything that runs, what depends on others first. timeout: seconds, None: each container's own."""
    with Holding(engine, pod):
        tell(engine, pod, "stop")
        return stop_members(engine, pod, timeout=timeout)


def stop_members(engine: Engine, pod: Pod, *, timeout: int | None = None) -> "Failures":
    """Holding the pod."""
    failed: Failures = {}
    running = [c for c in members(engine, pod) if query.status(engine, c).running or query.process_of(engine, c)[0]]
    stop_in_waves(engine, running, lambda container, e: failed.__setitem__(container.id, e), timeout=timeout, by_user=True)
    podcgroup.remove(pod.state.cgroup)
    return failed


def restart(engine: Engine, pod: Pod) -> "Failures":
    """Stop what runs, then start everything."""
    with Holding(engine, pod):
        every = members(engine, pod)
        if not every:
            raise ConflictError(f"no containers in pod {pod.id} have no dependencies, cannot start pod: no such container",
                                hint=f"Make one: `podlike create --pod {pod.name} IMAGE`.")
        for container in every:
            events.container(engine, container, "restart")
        failed: Failures = {}
        running = [c for c in every if query.status(engine, c).running]
        stop_in_waves(engine, running, lambda container, e: failed.__setitem__(container.id, e), timeout=None, by_user=True,
                      keep=True)
        tell(engine, pod, "stop")
        fresh = (engine.containers.get(c.id) for c in every if c.id not in failed and not c.spec.init_ctr)
        failed |= _start_each(engine, [c for c in fresh if c is not None])
        tell(engine, pod, "start")
        return failed


def kill(engine: Engine, pod: Pod, signum: int) -> "Failures":
    """Send one signal to every container that runs."""
    from podlike.engine.stop import kill as kill_container

    return _each_in(engine, pod, "kill", ("running", "paused", "stopping"), lambda c: kill_container(engine, c, signum))


def pause(engine: Engine, pod: Pod) -> "Failures":
    """Freeze every container that runs."""
    from podlike.engine.stop import pause as pause_container

    return _each_in(engine, pod, "pause", ("running",), lambda c: pause_container(engine, c))


def unpause(engine: Engine, pod: Pod) -> "Failures":
    """Thaw every container that is paused."""
    from podlike.engine.stop import unpause as unpause_container

    return _each_in(engine, pod, "unpause", ("paused",), lambda c: unpause_container(engine, c))


def _each_in(engine: Engine, pod: Pod, word: str, states: "tuple[str, ...]",
             action: "Callable[[Container], None]") -> "Failures":
    failed: Failures = {}
    with Holding(engine, pod):
        tell(engine, pod, word)
        for container in reversed(in_order(members(engine, pod))):  # the infra container last
            if query.status(engine, container).state not in states:
                continue
            try:
                action(container)
            except PodlikeError as e:
                if query.status(engine, container).state in states:  # else it ended meanwhile
                    failed[container.id] = e
    return failed


class Holding:
    """`with Holding(engine, pod):` holds the pod's lock; what its containers' ends mean for the pod waits until then."""

    def __init__(self, engine: Engine, pod: Pod) -> None:
        self._engine = engine
        self._id = pod.id
        self._lock = lock_of(engine, pod.id)

    def __enter__(self) -> "Holding":
        self._lock.acquire(blocking=True)
        self._engine.held_pod = self._id
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        self._engine.held_pod = ""
        self._lock.release()
