"""Finishing what a killed command left half done, on the way of the next one.

Two phases are only ever seen under the container's lock: "starting" and "removing". A record in one of them whose
lock is free belongs to a command that died. So does a created container whose `run` is gone: state.starter; and a
container of a build that is gone, whatever it does (spec.bound).
"""

from podlike.engine.core import Engine


def sweep(engine: Engine) -> None:
    """End half-started containers and finish half-done removals. One query when there is nothing to do."""
    rows = engine.db.query("SELECT id FROM containers WHERE json_extract(state, '$.phase') IN ('starting', 'removing') "
                           "OR (json_extract(state, '$.phase')='created' AND json_extract(state, '$.starter[0]') > 0) "
                           "OR json_extract(spec, '$.bound')")
    for (cid,) in rows:
        from podlike.engine.cleanup import lock_of

        lock = lock_of(engine, cid)
        if not lock.acquire(blocking=False):
            continue  # somebody is at it
        try:
            if _finish(engine, cid):
                lock.release(remove=True)
        finally:
            lock.release()
    _sweep_pods(engine)


def _sweep_pods(engine: Engine) -> None:
    if engine.db.row("SELECT 1 FROM pods WHERE json_extract(state, '$.phase') != 'created' LIMIT 1"):
        from podlike.engine.pods.remove import sweep as sweep_pods

        sweep_pods(engine)


def _finish(engine: Engine, cid: str) -> bool:
    """Under the container's lock. Returns whether the container is gone."""
    from podlike.engine import query
    from podlike.engine.cleanup import delete, is_abandoned, kill_now, take_down

    container = engine.containers.get(cid)
    if container is None:
        return False
    if container.state.phase not in ("starting", "removing") and not is_abandoned(container):
        return False
    engine.enter_session()
    removing = container.state.phase == "removing" or container.spec.remove
    if query.process_of(engine, container)[0]:
        kill_now(engine, container)
    take_down(engine, container)
    abandoned = is_abandoned(container)
    if removing or abandoned:
        delete(engine, container, volumes=abandoned or container.spec.remove)
    return removing or abandoned
