"""Containers as `ps` shows them: filtered, sorted, as rows with every field of podman's templates."""

import time

from podlike.engine import query
from podlike.engine.boot import comes_back
from podlike.engine.core import Engine
from podlike.errors import NotFoundError, UsageError
from podlike.spec.durations import ago, go_time, human_duration, parse_time
from podlike.spec.filters import apply_filters, label_matches, name_matches, parse_filters
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

SORT_KEYS = ("command", "created", "id", "image", "names", "runningfor", "size", "status")
_RUNNING = ("running", "paused", "stopping", "restarting")
_SHORT = 12  # digits of an id, where nobody asks for all
_COMMAND_WIDTH = 17


class Row:
    """One container with its derived state; what a filter, a sort or a template may ask is computed once.

    c: its record; status: query.Status. The library calls it ContainerInfo.
    """

    def __init__(self, engine: Engine, container: Container) -> None:
        self.engine = engine
        self.c = container
        self.status = query.status(engine, container)
        self._size: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"<container {self.c.id[:_SHORT]} {self.name}: {self.state}>"

    def __reduce__(self) -> "tuple[object, ...]":
        return _row_again, (self.c, self.status)

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self.c.id

    @property
    def name(self) -> str:
        return self.c.name

    @property
    def image(self) -> str:
        """The full name of its image, or the directory with --rootfs."""
        return self.c.spec.image_name or self.c.spec.rootfs

    @property
    def command(self) -> "list[str]":
        return self.c.spec.args

    @property
    def labels(self) -> "dict[str, str]":
        return self.c.spec.labels

    @property
    def created(self) -> float:
        """Unix seconds."""
        return self.c.created

    @property
    def state(self) -> str:
        """created, initialized, running, paused, stopping, restarting, exited, removing."""
        return self.status.state

    @property
    def running(self) -> bool:
        """Whether there is something to stop."""
        return self.status.running

    @property
    def pid(self) -> int:
        """Of its first process as the host sees it, 0 when it does not run."""
        return self.status.pid

    @property
    def exit_code(self) -> int:
        """Of the last end."""
        return self.status.exit_code

    @property
    def health(self) -> str:
        """starting, healthy, unhealthy, stopped, or "" without a check."""
        return self.status.health

    @property
    def ports(self) -> "list[dict[str, Any]]":
        """Published ports: host_ip, host_port, container_port, count, protocol."""
        return ports(self.c)

    @property
    def port_owner(self) -> Container:
        """The container whose published ports lead to it: of a pod's member its infra container."""
        return port_owner(self.engine, self.c)

    @property
    def pod_name(self) -> str:
        pod = self.engine.pods.get(self.c.spec.pod) if self.c.spec.pod else None
        return pod.name if pod else ""

    def size(self) -> tuple[int, int]:
        """(writable layer, all layers), bytes."""
        if self._size is None:
            from podlike.engine.sizes import container_size

            self._size = container_size(self.engine, self.c)
        return self._size


def _row_again(container: Container, status: "query.Status") -> Row:
    """A row that came from another process: without an engine, so without size()."""
    row = Row.__new__(Row)
    row.c, row.status, row._size = container, status, None
    return row


def rows(engine: Engine, *, filters: "Iterable[str]" = (), every: bool = False, last: int = -1,
         sort: str = "created") -> list[Row]:
    """The containers to list. every: also those that do not run. last: only so many, the newest, running or not.

    Raises: UsageError for a bad filter or sort key.
    """
    if sort not in SORT_KEYS:
        raise UsageError(f'"{sort}" is not a valid sort key', hint=f"Keys are {', '.join(SORT_KEYS)}.")
    wanted = parse_filters(filters)
    found = apply_filters([Row(engine, c) for c in query.all_containers(engine)], wanted, _predicates(engine))
    if last >= 0:
        found = sorted(found, key=lambda r: r.c.created)[max(len(found) - last, 0):]
    elif not (every or "status" in wanted or "exited" in wanted):
        found = [r for r in found if r.status.state in _RUNNING]
    return sorted(found, key=_sort_key(sort))


def filtered(engine: Engine, filters: "Iterable[str]") -> list[Container]:
    """The containers that pass --filter, in any state."""
    return [r.c for r in rows(engine, filters=filters, every=True)]


def _sort_key(name: str) -> "Callable[[Row], Any]":
    table: "dict[str, Callable[[Row], Any]]" = {
        "command": lambda r: " ".join(r.c.spec.args),
        "created": lambda r: r.c.created,
        "id": lambda r: r.c.id,
        "image": lambda r: r.c.spec.image_name,
        "names": lambda r: r.c.name,
        "runningfor": lambda r: r.status.started_at,
        "size": lambda r: r.size()[1],
        "status": lambda r: r.status.state,
    }
    return table[name]


def _predicates(engine: Engine) -> "dict[str, Callable[[Row, str], bool]]":
    pod_names: "dict[str, str]" = {}
    return {
        "ancestor": lambda r, v: _descends(r.c, v),
        "before": lambda r, v: r.c.created < query.find(engine, v).created,
        "command": lambda r, v: bool(r.c.spec.args) and name_matches(v, r.c.spec.args[0]),
        "exited": lambda r, v: r.status.state == "exited" and r.status.exit_code == _number("exited", v),
        "expose": lambda r, v: _with_protocol(v) in r.c.spec.expose,
        "health": lambda r, v: (r.status.health or "none") == v,
        "id": lambda r, v: _id_matches(v, r.c.id),
        "label": lambda r, v: label_matches(r.c.spec.labels, v),
        "label!": lambda r, v: not label_matches(r.c.spec.labels, v),
        "name": lambda r, v: name_matches(v, r.c.name, f"/{r.c.name}"),
        "network": lambda r, v: v in networks(r.c),
        "pod": lambda r, v: _in_pod(engine, r.c, v, pod_names),
        "publish": lambda r, v: any(f"{p['container_port']}/{p['protocol']}" == _with_protocol(v) for p in ports(r.c)),
        "restart-policy": lambda r, v: _has_policy(r.c, v),
        "should-start-on-boot": lambda r, v: comes_back(r.c) == _truth("should-start-on-boot", v),
        "since": lambda r, v: r.c.created > query.find(engine, v).created,
        "status": lambda r, v: _has_state(r, v),
        "until": lambda r, v: r.c.created < parse_time(v),
        "volume": lambda r, v: _has_volume(r.c, v),
    }


def _id_matches(wanted: str, cid: str) -> bool:
    """Hexadecimal digits are the beginning of an id, anything else is a regular expression."""
    if wanted and not wanted.strip("0123456789abcdefABCDEF"):
        return cid.startswith(wanted.lower())
    return name_matches(wanted, cid)


def _in_pod(engine: Engine, c: Container, wanted: str, names: "dict[str, str]") -> bool:
    """By name, id or its beginning. names: of pods by id, filled when they are needed."""
    if c.spec.pod and not names:
        names.update(engine.pods.names())
    return bool(c.spec.pod) and (c.spec.pod.startswith(wanted) or names.get(c.spec.pod) == wanted)


def _number(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f'invalid filter "{key}={text}": not a number') from None


def _truth(key: str, text: str) -> bool:
    if text.lower() not in ("1", "t", "true", "0", "f", "false"):
        raise UsageError(f'invalid filter "{key}={text}": not a truth value', hint="Say true or false.")
    return text.lower() in ("1", "t", "true")


def _with_protocol(text: str) -> str:
    return text if "/" in text else f"{text}/tcp"


_STATES = ("created", "initialized", "running", "paused", "stopping", "stopped", "exited", "removing", "configured",
           "restarting", "dead", "unknown")


def _has_state(row: Row, wanted: str) -> bool:
    if wanted not in _STATES:
        raise UsageError(f"{wanted} is not a valid status: invalid argument", hint=f"One of {', '.join(_STATES)}.")
    state = row.status.state
    return state == {"stopped": "exited", "configured": "created"}.get(wanted, wanted)


def _has_policy(c: Container, wanted: str) -> bool:
    if wanted not in ("no", "none", "always", "on-failure", "unless-stopped"):
        raise UsageError(f"{wanted} invalid restart policy")
    return (c.spec.restart_policy or "no").partition(":")[0] == ("no" if wanted == "none" else wanted)


def _descends(c: Container, wanted: str) -> bool:
    """By image id or its beginning, full name, or a name without registry or tag."""
    name = c.spec.image_name
    image_id = wanted.removeprefix("sha256:")
    if c.image and len(image_id) >= 3 and c.image.startswith(image_id):
        return True
    bare = _without_tag(name)
    ways = {name, bare, c.spec.image}
    for text in (name, bare):
        parts = text.split("/")
        ways.update("/".join(parts[n:]) for n in range(1, len(parts)))
    return wanted in ways


def _without_tag(name: str) -> str:
    head, _, tail = name.rpartition("/")
    tail = tail.partition("@")[0].partition(":")[0]
    return f"{head}/{tail}" if head else tail


def _has_volume(c: Container, wanted: str) -> bool:
    name, colon, target = wanted.partition(":")
    return any((m.source == name or m.target == name) and (not colon or m.target == target) for m in c.spec.mounts)


def networks(c: Container) -> list[str]:
    """Names of the networks a container is in; pasta, slirp4netns and host are modes, not networks."""
    if c.spec.network == "bridge":
        return ["podman"]
    mode = c.spec.network.partition(":")[0]
    return [] if mode in ("", "host", "none", "private", "pasta", "slirp4netns", "container", "ns") \
        else c.spec.network.split(",")


def port_owner(engine: Engine, c: Container) -> Container:
    """The container whose published ports lead to this one: of a pod's member its infra container."""
    kind, _, name = c.spec.network.partition(":")
    owner = engine.containers.get(name) if c.spec.pod and kind == "container" else None
    return c if owner is None else owner


def ports(c: Container) -> "list[dict[str, Any]]":
    """Published ports, with the host ports that were chosen at the last start."""
    if c.state.ports:
        return c.state.ports
    return [{"host_ip": p.host_ip, "host_port": p.host_port, "container_port": p.container_port, "count": p.count,
             "protocol": p.protocol} for p in c.spec.ports]


# --- fields -----------------------------------------------------------------------------------------------------

def status_words(row: Row, *, now: float | None = None) -> str:
    """Up 5 minutes (healthy), Exited (0) 2 hours ago, Created ..."""
    now = time.time() if now is None else now
    s = row.status
    if s.state == "running":
        words = f"Up {human_duration(now - s.started_at)}"
    elif s.state == "restarting":
        words = f"Restarting ({s.exit_code}) {ago(s.finished_at, now=now)}"
    elif s.state == "exited":
        words = f"Exited ({s.exit_code}) {ago(s.finished_at, now=now)}"
    else:
        words = s.state.title()
    return f"{words} ({s.health})" if s.health else words


def docker_status_words(row: Row) -> str:
    s = row.status
    if s.state == "paused":
        return f"Up {human_duration(time.time() - s.started_at)} (Paused)"
    if s.state == "removing":
        return "Removal In Progress"
    words = status_words(row)
    if s.health == "starting":
        return words.replace(" (starting)", " (health: starting)")
    return words if s.state == "running" else words.removesuffix(f" ({s.health})")


def port_words(c: Container, owner: Container | None = None) -> str:
    """0.0.0.0:8080->80/tcp, 8000-8002/tcp: published ones first, then those only exposed, ranges together.

    owner: of the published ports, if it is another container.
    """
    out: list[str] = []
    taken: set[str] = set()
    for p in ports(owner or c):
        host = p["host_ip"] or "0.0.0.0"
        host = f"[{host}]" if ":" in host else host
        first, count, inner = p["host_port"], p["count"], p["container_port"]
        taken.update(f"{inner + n}/{p['protocol']}" for n in range(count))
        if count > 1:
            out.append(f"{host}:{first}-{first + count - 1}->{inner}-{inner + count - 1}/{p['protocol']}")
        else:
            out.append(f"{host}:{first}->{inner}/{p['protocol']}")
    exposed = sorted((protocol, int(port)) for port, _, protocol in
                     (e.partition("/") for e in c.spec.expose if e not in taken) if port.isdigit())
    out += _ranges(exposed)
    return ", ".join(out)


def _ranges(exposed: list[tuple[str, int]]) -> list[str]:
    """[("tcp", 80), ("tcp", 81)] -> ["80-81/tcp"]."""
    runs: list[list[Any]] = []
    for protocol, port in exposed:
        if runs and runs[-1][0] == protocol and runs[-1][2] == port - 1:
            runs[-1][2] = port
        else:
            runs.append([protocol, port, port])
    return [f"{first}/{protocol}" if first == last else f"{first}-{last}/{protocol}" for protocol, first, last in runs]


def short_command(args: list[str], *, full: bool) -> str:
    text = " ".join(args)
    return text if full or len(text) <= _COMMAND_WIDTH else text[:_COMMAND_WIDTH] + "..."


def mount_targets(c: Container) -> list[str]:
    return [m.target for m in c.spec.mounts]


def namespaces(pid: int) -> "dict[str, str]":
    """Inode numbers of a process's namespaces, by podman's names; empty for one that does not run."""
    import os

    out = {}
    for name, kind in (("MNT", "mnt"), ("Cgroup", "cgroup"), ("IPC", "ipc"), ("NET", "net"), ("PIDNS", "pid"),
                       ("UTS", "uts"), ("User", "user")):
        try:
            out[name] = os.readlink(f"/proc/{pid}/ns/{kind}").partition("[")[2].rstrip("]") if pid else ""
        except OSError:
            out[name] = ""
    return out


def document(row: Row, *, size: bool) -> "dict[str, Any]":
    """The row as `ps --format json` gives it, types as in podman."""
    c, s = row.c, row.status
    doc: "dict[str, Any]" = {
        "AutoRemove": c.spec.remove, "CIDFile": c.spec.cidfile, "Command": c.spec.args or None,
        "CreatedAt": ago(c.created), "Exited": s.state == "exited", "ExitedAt": int(s.finished_at) if s.finished_at
        else -62135596800, "ExitCode": s.exit_code, "ExposedPorts": _exposed(c), "Id": c.id,
        "Image": c.spec.image_name or c.spec.rootfs, "ImageID": c.image or "", "IsInfra": c.spec.infra,
        "Labels": c.spec.labels or None, "Mounts": mount_targets(c), "Names": [c.name],
        "Namespaces": {k: v for k, v in namespaces(s.pid).items() if v and k != "Cgroup"}, "Networks": networks(c),
        "Pid": s.pid, "Pod": c.spec.pod, "PodName": row.pod_name,
        "Ports": _port_docs(row.port_owner), "Restarts": row.status.restarts, "Size": None,
        "StartedAt": int(s.started_at) if s.started_at else -62135596800, "State": s.state,
        "Status": status_words(row), "Created": int(c.created)}
    if size:
        own, everything = row.size()
        doc["Size"] = {"rootFsSize": everything, "rwSize": own}
    return doc


def _port_docs(c: Container) -> "list[dict[str, Any]] | None":
    return [{"host_ip": p["host_ip"], "container_port": p["container_port"], "host_port": p["host_port"],
             "range": p["count"], "protocol": p["protocol"]} for p in ports(c)] or None


def _exposed(c: Container) -> "dict[str, list[str]] | None":
    out: dict[str, list[str]] = {}
    for text in c.spec.expose:
        port, _, protocol = text.partition("/")
        out.setdefault(port, []).append(protocol or "tcp")
    return out or None


def created_at(c: Container) -> str:
    return go_time(c.created)


def latest(engine: Engine) -> Container:
    """The container that was created last. Raises: NotFoundError."""
    found = query.all_containers(engine)
    if not found:
        raise NotFoundError("no containers found: no such container")
    return max(found, key=lambda c: c.created)
