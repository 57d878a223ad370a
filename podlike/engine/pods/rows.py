"""Pods as `pod ps` shows them: filtered, sorted, with every field of podman's templates."""

from podlike.engine import query
from podlike.engine.core import Engine
from podlike.engine.pods.members import latest
from podlike.errors import UsageError
from podlike.runtime import podcgroup
from podlike.spec.durations import parse_time, rfc3339
from podlike.spec.filters import apply_filters, label_matches, name_matches, parse_filters
from podlike.spec.pod import state_of
from podlike.store.containers import Container
from podlike.store.pods import Pod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

SORT_KEYS = ("created", "id", "name", "number", "status")
_CONTAINER_STATES = ("created", "running", "paused", "stopped", "exited", "unknown")
_STATES = ("stopped", "running", "paused", "exited", "dead", "created", "degraded")


class Row:
    """One pod with its containers, the infra container among them, and what they do now."""

    def __init__(self, engine: Engine, pod: Pod, containers: list[Container]) -> None:
        self.pod = pod
        self.containers = containers
        self.statuses = [query.status(engine, c) for c in containers]
        self.state = state_of(s.state for c, s in zip(containers, self.statuses, strict=True) if not c.spec.init_ctr)

    @property
    def infra(self) -> Container | None:
        return next((c for c in self.containers if c.spec.infra), None)

    @property
    def cgroup(self) -> str:
        return podcgroup.path_of(self.pod.state.cgroup)


def pod_state(engine: Engine, containers: list[Container]) -> str:
    """Created, Running, Degraded, Paused, Exited, Stopped or Error."""
    return state_of(query.status(engine, c).state for c in containers if not c.spec.init_ctr)


def rows(engine: Engine, *, filters: "Iterable[str]" = (), last: bool = False, sort: str = "created") -> list[Row]:
    """The pods to list. last: only the one that was created last. Raises: UsageError, NotFoundError."""
    if sort not in SORT_KEYS:
        raise UsageError("invalid option for --sort, options are: created, id, name, number, or status")
    wanted = parse_filters(filters)
    by_pod: "dict[str, list[Container]]" = {}
    pods = [latest(engine)] if last else engine.pods.all()
    if len(pods) == 1:
        by_pod[pods[0].id] = engine.containers.in_pod(pods[0].id)
    elif pods:
        for c in query.all_containers(engine):
            if c.spec.pod:
                by_pod.setdefault(c.spec.pod, []).append(c)
    found = apply_filters([Row(engine, p, by_pod.get(p.id, [])) for p in pods], wanted, _predicates(wanted))
    return sorted(found, key=_sort_key(sort))


def _sort_key(name: str) -> "Callable[[Row], Any]":
    table: "dict[str, Callable[[Row], Any]]" = {
        "created": lambda r: -r.pod.created, "id": lambda r: r.pod.id, "name": lambda r: r.pod.name,
        "number": lambda r: len(r.containers), "status": lambda r: r.state}
    return table[name]


def _predicates(wanted: "dict[str, list[str]]") -> "dict[str, Callable[[Row, str], bool]]":
    for value in wanted.get("ctr-status", ()):
        if value not in _CONTAINER_STATES:
            raise UsageError(f"{value} is not a valid status", hint=f"One of {', '.join(_CONTAINER_STATES)}.")
    for value in wanted.get("status", ()):
        if value not in _STATES:
            raise UsageError(f"{value} is not a valid pod status", hint=f"One of {', '.join(_STATES)}.")
    return {
        "ctr-ids": lambda r, v: any(_id_matches(v, c.id) for c in r.containers),
        "ctr-names": lambda r, v: any(name_matches(v, c.name) for c in r.containers),
        "ctr-number": lambda r, v: v.isdigit() and int(v) == len(r.containers),
        "ctr-status": lambda r, v: any(s.state == ("exited" if v == "stopped" else v) for s in r.statuses),
        "id": lambda r, v: _id_matches(v, r.pod.id),
        "label": lambda r, v: label_matches(r.pod.spec.labels, v),
        "label!": lambda r, v: not label_matches(r.pod.spec.labels, v),
        "name": lambda r, v: name_matches(v, r.pod.name),
        "network": lambda r, v: v in networks(r),
        "status": lambda r, v: r.state.lower() == v,
        "until": lambda r, v: r.pod.created < parse_time(v),
    }


def _id_matches(wanted: str, whole: str) -> bool:
    """Hexadecimal digits are the beginning of an id, anything else is a regular expression."""
    if wanted and not wanted.strip("0123456789abcdefABCDEF"):
        return whole.startswith(wanted.lower())
    return name_matches(wanted, whole)


def networks(row: Row) -> list[str]:
    from podlike.engine.psrows import networks as networks_of

    infra = row.infra
    return networks_of(infra) if infra is not None else []


def document(row: Row) -> "dict[str, Any]":
    """The row as `pod ps --format json` gives it, keys as in podman."""
    pod, infra = row.pod, row.infra
    return {"Cgroup": podcgroup_parent(row), "Containers": [
                {"Id": c.id, "Names": c.name, "Status": s.state, "RestartCount": s.restarts}
                for c, s in zip(row.containers, row.statuses, strict=True)],
            "Created": rfc3339(pod.created), "Id": pod.id, "InfraId": infra.id if infra else "", "Name": pod.name,
            "Namespace": "", "Networks": networks(row), "Status": row.state, "Labels": pod.spec.labels}


def podcgroup_parent(row: Row) -> str:
    """What the pod's own cgroup was made in, as podman names it: a slice by its name, else a path."""
    import os

    where = row.pod.state.cgroup
    if where.endswith(".slice"):
        return where.rpartition("-podlike_pod_")[0] + ".slice"
    return os.path.dirname(where)
