"""Container records: what was asked for (ContainerSpec) and what the last start left behind (RunState)."""

import json

from podlike.errors import ConflictError, NotFoundError
from podlike.spec.container import ContainerSpec
from podlike.store.db import Database, UniqueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import asdict, field
    from dataclasses import dataclass as record
    from typing import Any
else:
    from podlike.spec.record import asdict, field, record


@record(slots=True, kw_only=True)
class RunState:
    """The last start and its end, as recorded. Whether the container runs now is engine/query.py's to derive.

    phase: created, initialized (by `init`), started, exited, removing. Times are Unix seconds, 0.0: never.
    start_time: field 22 of /proc/PID/stat, in clock ticks since boot.
    """

    phase: str = "created"
    pid: int = 0
    start_time: int = 0
    conmon_pid: int = 0
    conmon_start_time: int = 0
    boot_id: str = ""
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    restarts: int = 0
    stopped_by_user: bool = False
    stopper: "list[int]" = field(default_factory=list)  # pid and start time of the `stop` that waits for its end
    helpers: "list[dict[str, Any]]" = field(default_factory=list)  # network helpers: {"pid", "start_time", "name"}
    ports: "list[dict[str, Any]]" = field(default_factory=list)  # published ports with chosen host ports
    ip: str = ""
    limits: "list[tuple[str, int, int]]" = field(default_factory=list)  # of the last start: (RLIMIT_X, soft, hard)
    cgroup: str = ""  # below the cgroup v2 root; "": the container has none of its own
    netns: str = ""  # path of the pinned network namespace, or of the joined one
    starter: "list[int]" = field(default_factory=list)  # pid, start time of the `run` that is about to start it
    execs: "list[str]" = field(default_factory=list)
    conmon: str = ""  # the monitor's path, where it is not podlike-conmon
    unit: str = ""  # the systemd unit that started it last: what brings it back, and stops it when the machine goes down
    unwatched: bool = False  # a pod's pause program, which has no monitor
    tended: bool = False  # its monitor has orders, and starts it again by itself
    end: str = ""  # why the last run ended, in runtime/statefile.py's words
    health: str = ""
    health_streak: int = 0
    checkpointed_at: float = 0.0
    restored_at: float = 0.0
    warnings: "list[str]" = field(default_factory=list)  # limits that it goes without, with --limits=best-effort


@record(slots=True, kw_only=True)
class Container:
    id: str
    name: str
    image: str | None
    created: float
    spec: ContainerSpec
    state: RunState


_COLUMNS = "id, name, image, created, spec, state"


class ContainerStore:
    """The containers table."""

    __slots__ = ("_db",)

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, container: Container) -> None:
        """Record a new container; its name and id become taken. Raises: ConflictError."""
        c = container
        try:
            added = self._db.execute(
                f"INSERT INTO containers ({_COLUMNS}, pod) SELECT ?,?,?,?,?,?,? "
                "WHERE NOT EXISTS (SELECT 1 FROM pods WHERE name=?)",
                (c.id, c.name, c.image, c.created, json.dumps(c.spec.to_dict()), json.dumps(asdict(c.state)),
                 c.spec.pod or None, c.name))
        except UniqueError:
            owner = self._db.row("SELECT id FROM containers WHERE name=?", (c.name,))
            if owner is None and c.spec.pod:
                raise NotFoundError(f"add container {c.name} to pod {c.spec.pod}: no such pod") from None
            raise ConflictError(
                f'creating container storage: the container name "{c.name}" is already in use by '
                f"{owner[0] if owner else 'another container'}. You have to remove that container to be able to reuse "
                f"that name: that name is already in use, or use --replace to instruct podlike to do so.") from None
        if not added:
            raise ConflictError(f'creating container storage: the container name "{c.name}" is already in use by a pod: '
                                "that name is already in use", hint="Choose another name.")

    def save_state(self, container: Container) -> None:
        """Write the state of a container that exists; nothing happens if it was removed meanwhile."""
        self._db.execute("UPDATE containers SET state=? WHERE id=?", (json.dumps(asdict(container.state)), container.id))

    def save_spec(self, container: Container) -> None:
        """Raises: UniqueError when the name is another container's or a pod's."""
        if not self._db.execute("UPDATE containers SET name=?1, spec=?2 WHERE id=?3 AND NOT EXISTS "
                                "(SELECT 1 FROM pods WHERE name=?1)",
                                (container.name, json.dumps(container.spec.to_dict()), container.id)) \
                and self._db.row("SELECT 1 FROM pods WHERE name=?", (container.name,)):
            raise UniqueError(f"{container.name} is the name of a pod")

    def set_tended(self, cid: str) -> None:
        """Only this field: others, as that it is being stopped, may change at the same time."""
        self._db.execute("UPDATE containers SET state=json_set(state, '$.tended', json('true')) WHERE id=?", (cid,))

    def save_warnings(self, container: Container) -> None:
        """Only this field, as above."""
        self._db.execute("UPDATE containers SET state=json_set(state, '$.warnings', json(?)) WHERE id=?",
                         (json.dumps(container.state.warnings), container.id))

    def get(self, cid: str) -> Container | None:
        """By full id."""
        row = self._db.row(f"SELECT {_COLUMNS} FROM containers WHERE id=?", (cid,))
        return _from_row(row) if row else None

    def find(self, name: str) -> Container:
        """By name, full id, or a unique beginning of an id. Raises: NotFoundError, ConflictError."""
        row = self._db.row(f"SELECT {_COLUMNS} FROM containers WHERE name=? OR id=?", (name, name))
        if row:
            return _from_row(row)
        rows = self._db.query(f"SELECT {_COLUMNS} FROM containers WHERE id >= ? AND id < ? LIMIT 2", (name, name + "g")) \
            if name and all(ch in "0123456789abcdef" for ch in name) else []
        if len(rows) > 1:
            raise ConflictError(f'looking up container "{name}": more than one container has an id that begins so',
                                hint="Give more digits of the id, or the name.")
        if not rows:
            raise NotFoundError(f'no container with name or ID "{name}" found: no such container')
        return _from_row(rows[0])

    def all(self) -> list[Container]:
        """Oldest first."""
        return [_from_row(r) for r in self._db.query(f"SELECT {_COLUMNS} FROM containers ORDER BY created")]

    def joining(self) -> list[Container]:
        """Those that name another container in their spec, oldest first; a few more may be among them."""
        return [_from_row(r) for r in self._db.query(
            f"SELECT {_COLUMNS} FROM containers WHERE instr(spec, '\"container:') > 0 OR instr(spec, '\"volumes_from\"') > 0 "
            "OR instr(spec, '\"requires\"') > 0 ORDER BY created")]

    def in_pod(self, pod_id: str) -> list[Container]:
        """Oldest first."""
        return [_from_row(r) for r in
                self._db.query(f"SELECT {_COLUMNS} FROM containers WHERE pod=? ORDER BY created", (pod_id,))]

    def count_by_image(self) -> "dict[str, int]":
        """How many containers each image has, by its id."""
        return dict(self._db.query("SELECT image, count(*) FROM containers WHERE image IS NOT NULL GROUP BY image"))

    def using_image(self, image_id: str) -> list[Container]:
        """Those made from it, and those that mount it (their requests have its id among the mount's options)."""
        return [_from_row(r) for r in
                self._db.query(f"SELECT {_COLUMNS} FROM containers WHERE image=? OR spec LIKE ? ORDER BY created",
                               (image_id, f'%"image-id={image_id}"%'))]

    def delete(self, cid: str) -> None:
        self._db.execute("DELETE FROM containers WHERE id=?", (cid,))

    def record_exit(self, cid: str, code: int, at: float) -> None:
        """Keep the exit code for `wait`, also after the container is gone; the newest thousand are kept."""
        self._db.execute("INSERT OR REPLACE INTO exits (container, code, at) VALUES (?,?,?)", (cid, code, at))
        self._db.execute("DELETE FROM exits WHERE at < (SELECT min(at) FROM (SELECT at FROM exits ORDER BY at DESC LIMIT 1000))")

    def exit_code(self, cid: str) -> int | None:
        row = self._db.row("SELECT code FROM exits WHERE container=?", (cid,))
        return int(row[0]) if row else None


def _from_row(row: "tuple[Any, ...]") -> Container:
    known = {k: v for k, v in json.loads(row[5]).items() if k in RunState.__slots__}
    return Container(id=row[0], name=row[1], image=row[2], created=row[3],
                     spec=ContainerSpec.from_dict(json.loads(row[4])), state=RunState(**known))
