"""Removing what nobody uses: containers that have ended, images, volumes, and what interrupted commands left."""

import os

from podlike.engine import images as image_engine
from podlike.engine import query
from podlike.engine.core import Engine
from podlike.errors import PodlikeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NamedTuple

    from podlike.store.containers import Container
    from podlike.store.images import Image
else:
    from podlike.spec.record import NamedTuple

_ENDED = ("created", "initialized", "exited")


class Pruned(NamedTuple):
    """What went; freed: bytes. failed: what was tried and could not be removed."""

    pods: "list[str]"
    containers: "list[str]"
    images: "list[Image]"
    volumes: "list[str]"
    freed: int
    failed: "list[PodlikeError]"


def system(engine: Engine, *, every: bool = False, volumes: bool = False, anonymous_only: bool = False,
           filters: "Sequence[str]" = ()) -> Pruned:
    """every: also images that have names. volumes: also volumes; anonymous_only: only those without a name of their own.

    Raises: UsageError for a bad filter, before anything has gone.
    """
    _check_filters(filters)
    pods, pod_failures = ([], []) if filters else _prune_pods(engine)
    containers, freed, failed = prune_containers(engine, filters=filters)
    gone, more = image_engine.prune(engine, every=every, filters=filters)
    freed += more
    names: "list[str]" = []
    if volumes:
        from podlike.engine.volumelist import prune_volumes

        names, more, errors = prune_volumes(engine, anonymous_only=anonymous_only, filters=filters)
        freed, failed = freed + more, failed + errors
    if every:
        from podlike.build import cachedirs

        freed += cachedirs.prune(engine)
    sweep(engine)
    return Pruned(pods, containers, gone, names, freed, [*pod_failures, *failed])


def _prune_pods(engine: Engine) -> "tuple[list[str], list[PodlikeError]]":
    from podlike.engine.pods.remove import prune

    return prune(engine)


def prune_containers(engine: Engine, *, filters: "Sequence[str]" = ()) -> "tuple[list[str], int, list[PodlikeError]]":
    """(ids that went, bytes, failures). Containers that others depend on stay."""
    from podlike.engine.dependents import dependents_first
    from podlike.engine.psrows import filtered
    from podlike.engine.remove import remove
    from podlike.engine.sizes import container_size
    from podlike.engine.sweep import sweep as finish_what_was_killed

    finish_what_was_killed(engine)
    ended = [c for c in filtered(engine, filters) if not c.spec.infra
             and query.status(engine, c).state in _ENDED and not _is_starting(c)]
    gone, freed, failed = [], 0, []
    for container in dependents_first(engine, ended) if len(ended) > 1 else ended:
        size = container_size(engine, container)[0]
        try:
            remove(engine, container)
        except PodlikeError as e:
            failed.append(e)
        else:
            gone.append(container.id)
            freed += size
    return gone, freed, failed


def sweep(engine: Engine) -> int:
    """Remove files that no record names, left by commands that were killed; return how many entries went.

    Nothing is touched while another command builds on the store; the next sweep comes back to it.
    """
    from podlike.engine.volumes import empty_trash
    from podlike.store.locks import StoreLock

    engine.enter_session()
    lock = StoreLock(engine.roots.tmp)
    if not lock.try_exclusive():
        return 0
    try:
        removed = engine.layers.sweep(partial_age=0.0, everything=True)[0] + _container_directories(engine)
        removed += empty_trash(engine.volumes_root)
    finally:
        lock.release()
    engine.db.compact()
    return removed


def _container_directories(engine: Engine) -> int:
    """Of containers that have no record: `create` makes the record first, `rm` deletes it last."""
    from podlike.engine.cleanup import lock_of
    from podlike.runtime import spawn
    from podlike.store.trees import remove_tree

    parent, removed = f"{engine.roots.data}/containers", 0
    try:
        names = os.listdir(parent)
    except FileNotFoundError:
        return 0
    for cid in names:
        lock = lock_of(engine, cid)
        if not lock.acquire(blocking=False):
            continue
        try:
            if engine.containers.get(cid) is None:
                spawn.umount(f"{parent}/{cid}/merged")
                remove_tree(f"{parent}/{cid}")
                removed += 1
        except OSError:
            continue  # the next one tries again
        finally:
            lock.release()
    return removed


def _is_starting(container: "Container") -> bool:
    """A `run` is about to start it."""
    from podlike.engine.cleanup import is_abandoned

    return container.state.phase == "created" and bool(container.state.starter) and not is_abandoned(container)


def _check_filters(filters: "Sequence[str]") -> None:
    from podlike.spec.filters import parse_filters

    for key in parse_filters(filters):
        if key not in ("label", "label!", "until"):
            raise UsageError(f'"{key}" is an invalid filter: system prune knows label and until',
                             hint="Use `image prune` for filters of images.")
