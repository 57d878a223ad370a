"""Volume records: what was asked for, and what has happened to the files since."""

import json

from podlike.errors import ConflictError, NotFoundError
from podlike.store.db import Database, UniqueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import asdict, field
    from dataclasses import dataclass as record
    from typing import Any
else:
    from podlike.spec.record import asdict, field, record


@record(slots=True, kw_only=True)
class VolumeState:
    """Beside names and labels. A key that is not there has the default; a later version may add some.

    needs_copy_up: no container has filled it from its image yet. copying: one is doing so, or was killed while it did.
    needs_chown: the next container may still give it to its user. layers: of the image driver, lowest first.
    """

    root: str = ""  # directory of all volumes, where it is not the usual one
    uid: int = 0
    gid: int = 0
    needs_copy_up: bool = True
    copying: bool = False
    needs_chown: bool = True
    timeout: int = 0
    image: str = ""  # id
    layers: "list[str]" = field(default_factory=list)


@record(slots=True, kw_only=True)
class Volume:
    """options: as `volume inspect` shows them (spec/volumeopts.py). created: Unix seconds."""

    name: str
    driver: str = "local"
    created: float
    anonymous: bool = False
    labels: "dict[str, str]" = field(default_factory=dict)
    options: "dict[str, str]" = field(default_factory=dict)
    state: VolumeState


_COLUMNS = "name, driver, created, anonymous, labels, options, state"


class VolumeStore:
    """The volumes table."""

    __slots__ = ("_db",)

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, volume: Volume) -> None:
        """Raises: ConflictError when the name is taken."""
        v = volume
        try:
            self._db.execute(f"INSERT INTO volumes ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)",
                             (v.name, v.driver, v.created, int(v.anonymous), json.dumps(v.labels), json.dumps(v.options),
                              json.dumps(asdict(v.state))))
        except UniqueError:
            raise ConflictError(f"volume with name {v.name} already exists: volume already exists",
                                hint="Choose another name, or use --ignore to go on with the volume that is there.") from None

    def save_state(self, volume: Volume) -> None:
        self._db.execute("UPDATE volumes SET state=? WHERE name=?", (json.dumps(asdict(volume.state)), volume.name))

    def get(self, name: str) -> Volume | None:
        """By its full name."""
        row = self._db.row(f"SELECT {_COLUMNS} FROM volumes WHERE name=?", (name,))
        return _from_row(row) if row else None

    def find(self, name: str) -> Volume:
        """By its name or a beginning of it that no other has. Raises: NotFoundError, ConflictError."""
        exact = self.get(name)
        if exact is not None:
            return exact
        rows = self._db.query(f"SELECT {_COLUMNS} FROM volumes WHERE ?<>'' AND substr(name, 1, ?)=? LIMIT 2",
                              (name, len(name), name))
        if len(rows) > 1:
            raise ConflictError(f'more than one result for volume name "{name}": volume already exists',
                                hint="Give the whole name.")
        if not rows:
            raise NotFoundError(f'no volume with name "{name}" found: no such volume')
        return _from_row(rows[0])

    def all(self) -> list[Volume]:
        """By name."""
        return [_from_row(row) for row in self._db.query(f"SELECT {_COLUMNS} FROM volumes ORDER BY name")]

    def delete(self, name: str) -> bool:
        """Whether it was there."""
        return bool(self._db.execute("DELETE FROM volumes WHERE name=?", (name,)))

    def users(self) -> dict[str, list[str]]:
        """Name -> ids of the containers that mount it, of every volume that has any."""
        out: "dict[str, list[str]]" = {}
        for name, cid in self._db.query(
                "SELECT DISTINCT json_extract(m.value, '$.source'), containers.id FROM containers, "
                "json_each(containers.spec, '$.mounts') AS m WHERE json_extract(m.value, '$.type')='volume' ORDER BY created"):
            out.setdefault(name, []).append(cid)
        return out

    def users_of(self, name: str) -> list[tuple[str, str]]:
        """(id, phase) of the containers that mount one volume, oldest first."""
        return self._db.query(
            "SELECT DISTINCT containers.id, json_extract(containers.state, '$.phase') FROM containers, "
            "json_each(containers.spec, '$.mounts') AS m WHERE instr(containers.spec, ?) > 0 "
            "AND json_extract(m.value, '$.type')='volume' AND json_extract(m.value, '$.source')=? ORDER BY created",
            (json.dumps(name), name))


def _from_row(row: "tuple[Any, ...]") -> Volume:
    known = {k: v for k, v in json.loads(row[6]).items() if k in VolumeState.__slots__}
    return Volume(name=row[0], driver=row[1], created=row[2], anonymous=bool(row[3]), labels=json.loads(row[4]),
                  options=json.loads(row[5]), state=VolumeState(**known))
