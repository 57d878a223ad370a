"""Pod records. Pods and containers have one namespace of names; containers' rows name their pod (column pod)."""

import json

from podlike.errors import ConflictError, NotFoundError
from podlike.spec.pod import PodSpec
from podlike.store.db import Database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import asdict, field
    from dataclasses import dataclass as record
    from typing import Any
else:
    from podlike.spec.record import asdict, field, record


@record(slots=True, kw_only=True)
class PodState:
    """phase: creating, created, removing; the first and the last belong to the process `worker`, [pid, start time].

    infra: id of the infra container, "" for none. cgroup: the pod's place, as runtime/podcgroup.py has it.
    """

    phase: str = "creating"
    worker: "list[int]" = field(default_factory=list)
    infra: str = ""
    cgroup: str = ""


@record(slots=True, kw_only=True)
class Pod:
    id: str
    name: str
    created: float
    spec: PodSpec
    state: PodState


_COLUMNS = "id, name, created, spec, state"


class PodStore:
    """The pods table."""

    __slots__ = ("_db",)

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, pod: Pod) -> None:
        """Record a new pod; its name and id become taken. Raises: ConflictError."""
        p = pod
        added = self._db.execute(
            f"INSERT INTO pods ({_COLUMNS}) SELECT ?,?,?,?,? WHERE NOT EXISTS (SELECT 1 FROM containers WHERE name=?) "
            "AND NOT EXISTS (SELECT 1 FROM pods WHERE name=?)",
            (p.id, p.name, p.created, json.dumps(p.spec.to_dict()), json.dumps(asdict(p.state)), p.name, p.name))
        if not added:
            what = "pod" if self._db.row("SELECT 1 FROM pods WHERE name=?", (p.name,)) else "container"
            raise ConflictError(f'adding pod to state: name "{p.name}" is in use: {what} already exists',
                                hint="Choose another name, or use --replace." if what == "pod" else "Choose another name.")

    def save_state(self, pod: Pod) -> None:
        """Nothing happens if it was removed meanwhile."""
        self._db.execute("UPDATE pods SET state=? WHERE id=?", (json.dumps(asdict(pod.state)), pod.id))

    def get(self, pod_id: str) -> Pod | None:
        """By full id."""
        row = self._db.row(f"SELECT {_COLUMNS} FROM pods WHERE id=?", (pod_id,))
        return _from_row(row) if row else None

    def find(self, name: str) -> Pod:
        """By name, full id, or a unique beginning of an id. Raises: NotFoundError, ConflictError."""
        row = self._db.row(f"SELECT {_COLUMNS} FROM pods WHERE name=? OR id=?", (name, name))
        if row:
            return _from_row(row)
        rows = self._db.query(f"SELECT {_COLUMNS} FROM pods WHERE id >= ? AND id < ? LIMIT 2", (name, name + "g")) \
            if name and all(ch in "0123456789abcdef" for ch in name) else []
        if len(rows) > 1:
            raise ConflictError(f'looking up pod "{name}": more than one pod has an id that begins so',
                                hint="Give more digits of the id, or the name.")
        if not rows:
            raise NotFoundError(f'no pod with name or ID {name} found: no such pod')
        return _from_row(rows[0])

    def all(self) -> list[Pod]:
        """Oldest first."""
        return [_from_row(r) for r in self._db.query(f"SELECT {_COLUMNS} FROM pods ORDER BY created")]

    def names(self) -> dict[str, str]:
        """Names by id."""
        return dict(self._db.query("SELECT id, name FROM pods"))

    def unfinished(self) -> list[Pod]:
        """Those whose creation or removal is under way, or was killed."""
        return [_from_row(r) for r in self._db.query(
            f"SELECT {_COLUMNS} FROM pods WHERE json_extract(state, '$.phase') != 'created'")]

    def delete(self, pod_id: str) -> None:
        """Raises: UniqueError while containers name it."""
        self._db.execute("DELETE FROM pods WHERE id=?", (pod_id,))


def _from_row(row: "tuple[Any, ...]") -> Pod:
    known = {k: v for k, v in json.loads(row[4]).items() if k in PodState.__slots__}
    return Pod(id=row[0], name=row[1], created=row[2], spec=PodSpec.from_dict(json.loads(row[3])), state=PodState(**known))
