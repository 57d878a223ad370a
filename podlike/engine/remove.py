"""Removing containers."""

from podlike.engine import query
from podlike.engine.cleanup import delete, kill_now, lock_of, take_down
from podlike.engine.core import Engine
from podlike.engine.dependents import dependents
from podlike.engine.stop import stop
from podlike.errors import ConflictError, InUseError
from podlike.store.containers import Container


def remove(engine: Engine, container: Container, *, force: bool = False, volumes: bool = False,
           timeout: int | None = None, with_pod: bool = False) -> None:
    """Remove a container; force: stop it first if it runs. volumes: its anonymous volumes too. with_pod: its pod goes too.

    Raises: InUseError (exit code 2) when it runs and force is not given; ConflictError when others depend on it.
    """
    if container.spec.infra and not with_pod:
        raise ConflictError(f"container {container.id} is the infra container of pod {container.spec.pod} and cannot be removed "
                            "without removing the pod", hint=f"Remove the pod: `podlike pod rm {container.spec.pod[:12]}`.")
    needed_by = dependents(engine, container)
    if needed_by:
        raise ConflictError(f"container {container.id} has dependent containers which must be removed before it: "
                            f"{', '.join(c.id for c in needed_by)}: container already exists",
                            hint="Remove those first, or use `podlike rm --depend`.")
    state = query.status(engine, container).state
    if state in ("running", "paused", "stopping", "restarting"):
        if not force:
            raise InUseError(f"cannot remove container {container.id} as it is {state} - running or paused containers "
                             "cannot be removed without force: container state improper")
        stop(engine, container, timeout=timeout)
    engine.enter_session()
    with lock_of(engine, container.id) as lock:
        fresh = engine.containers.get(container.id)
        if fresh is None:
            return
        if query.process_of(engine, fresh)[0]:
            kill_now(engine, fresh)
        take_down(engine, fresh)
        delete(engine, fresh, volumes=volumes or fresh.spec.remove)
        lock.release(remove=True)
