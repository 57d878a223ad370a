"""Volumes as they are listed, inspected and pruned."""

from podlike.engine import events
from podlike.engine.core import Engine
from podlike.engine.volumemount import mount_count, needs_mount
from podlike.engine.volumes import base_path, data_path, lock_of, remove_locked
from podlike.errors import PodlikeError, UsageError
from podlike.spec.events import Event
from podlike.spec.filters import label_matches, name_matches, parse_filters
from podlike.store.volumes import Volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

    Test = Callable[[Volume], bool]

KEYS: "Final" = ("after", "dangling", "driver", "label", "label!", "name", "opt", "scope", "since", "until")
_TRUE, _FALSE = ("true", "1"), ("false", "0")


def select(engine: Engine, filters: "Sequence[str]" = (), *, docker: bool = False) -> list[Volume]:
    """The volumes that pass all filters, by name. Raises: UsageError, NotFoundError for since=VOLUME."""
    tests = [_test(engine, key, values, docker=docker) for key, values in parse_filters(filters).items()]
    return [v for v in engine.volumes.all() if all(test(v) for test in tests)]


def _test(engine: Engine, key: str, values: "list[str]", *, docker: bool) -> "Test":
    if key in ("after", "since"):
        oldest = min(engine.volumes.find(value).created for value in values)
        return lambda v: v.created > oldest
    if key == "until":
        from podlike.spec.durations import parse_time

        if len(values) > 1:
            raise UsageError("specify exactly one timestamp for until")
        end = parse_time(values[0])
        return lambda v: v.created < end
    if key == "dangling":
        wanted = {_truth(key, value) for value in values}
        users = engine.volumes.users()
        return lambda v: (v.name not in users) in wanted
    if key == "name":
        if docker:  # a part of the name
            return lambda v: any(value in v.name for value in values)
        return lambda v: any(name_matches(value, v.name) for value in values)
    simple = _SIMPLE.get(key)
    if simple is None:
        raise UsageError(f'"{key}" is an invalid volume filter', hint=f"Filters here are {', '.join(KEYS)}.")
    return lambda v: simple(v, values)


def _truth(key: str, value: str) -> bool:
    if value.lower() not in _TRUE + _FALSE:
        raise UsageError(f'"{value}" is not a valid value for the "{key}" filter - must be true or false')
    return value.lower() in _TRUE


def _has_option(v: Volume, values: "list[str]") -> bool:
    for value in values:
        key, _, wanted = value.partition("=")
        if key in v.options and wanted in ("", v.options[key]):
            return True
    return False


_SIMPLE: "Final[dict[str, Callable[[Volume, list[str]], bool]]]" = {
    "driver": lambda v, values: v.driver in values,
    "scope": lambda v, values: "local" in values,
    "label": lambda v, values: all(label_matches(v.labels, value) for value in values),
    "label!": lambda v, values: not all(label_matches(v.labels, value) for value in values),
    "opt": _has_option,
}


def document(engine: Engine, volume: Volume, users: "Sequence[str] | None" = None) -> "dict[str, Any]":
    """What `volume inspect` shows, in podman's order, every field. users: ids of the containers that mount it, if known."""
    from podlike.spec.durations import rfc3339

    state = volume.state
    if users is None:
        users = [cid for cid, _ in engine.volumes.users_of(volume.name)]
    return {"Name": volume.name, "Driver": volume.driver, "Mountpoint": data_path(engine, volume),
            "CreatedAt": rfc3339(volume.created), "Status": {}, "Labels": dict(sorted(volume.labels.items())), "Scope": "local",
            "Options": dict(sorted(volume.options.items())), "UID": state.uid, "GID": state.gid, "Anonymous": volume.anonymous,
            "MountCount": mount_count(engine, volume, users), "NeedsCopyUp": state.needs_copy_up,
            "NeedsChown": state.needs_chown, "Timeout": state.timeout, "StorageID": state.image, "LockNumber": 0}


_LEFT_OUT: "Final" = ("Status", "UID", "GID", "Anonymous", "NeedsCopyUp", "NeedsChown", "Timeout", "StorageID")


def json_document(doc: "dict[str, Any]") -> "dict[str, Any]":
    """Without what podman leaves out when it says nothing."""
    return {key: value for key, value in doc.items() if value or key not in _LEFT_OUT}


def docker_document(engine: Engine, volume: Volume) -> "dict[str, Any]":
    """What docker's `volume inspect` shows."""
    from podlike.spec.durations import rfc3339

    labels = {**volume.labels, "com.docker.volume.anonymous": ""} if volume.anonymous else volume.labels
    return {"CreatedAt": rfc3339(float(int(volume.created))), "Driver": volume.driver, "Labels": labels or None,
            "Mountpoint": data_path(engine, volume), "Name": volume.name, "Options": volume.options or None, "Scope": "local"}


def size_of(engine: Engine, volume: Volume) -> int:
    """Bytes of its own files; what is mounted from elsewhere is not counted. In the session."""
    from podlike.engine.sizes import tree_size

    if volume.driver == "image":
        return tree_size(f"{base_path(engine, volume)}/upper")
    return 0 if needs_mount(volume) else tree_size(data_path(engine, volume))


def prunable(engine: Engine, filters: "Sequence[str]" = (), *, anonymous_only: bool = False,
             docker: bool = False) -> list[Volume]:
    """Volumes that no container mounts and that pass the filters. Raises: UsageError, NotFoundError."""
    rest = [f for f in filters if not f.startswith("all=")]
    for text in (f for f in filters if f.startswith("all=")):  # docker's spelling of --all
        anonymous_only = anonymous_only and not _truth("all", text[4:])
    users = engine.volumes.users()
    return [v for v in select(engine, rest, docker=docker) if v.name not in users and (v.anonymous or not anonymous_only)]


def prune_volumes(engine: Engine, *, anonymous_only: bool = False, filters: "Sequence[str]" = (),
                  docker: bool = False) -> "tuple[list[str], int, list[PodlikeError]]":
    """(names that went, bytes, failures). One that has found a user meanwhile stays."""
    gone, freed, failed = [], 0, []
    doomed = prunable(engine, filters, anonymous_only=anonymous_only, docker=docker)
    if doomed:
        engine.enter_session()
    for volume in doomed:
        with lock_of(engine, volume.name) as lock:
            if engine.volumes.get(volume.name) is None or engine.volumes.users_of(volume.name):
                continue
            size = size_of(engine, volume)
            try:
                remove_locked(engine, volume)
            except (PodlikeError, OSError) as e:
                failed.append(e if isinstance(e, PodlikeError) else PodlikeError(f"remove volume {volume.name}: {e}"))
                continue
            lock.release(remove=True)
        events.emit(engine, Event("volume", "prune", name=volume.name))
        gone.append(volume.name)
        freed += size
    return gone, freed, failed
