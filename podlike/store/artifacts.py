"""Artifact records: names of OCI manifests whose blobs are kept as they are, never unpacked."""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from podlike.store.db import Database
else:
    from podlike.spec.record import NamedTuple


class Artifact(NamedTuple):
    """name: as it was given, with registry and tag. digest: of its manifest, a blob."""

    name: str
    digest: str


class ArtifactStore:
    """The artifacts table. Blobs that no record needs are collected by engine/images.py."""

    __slots__ = ("_db",)

    def __init__(self, db: "Database") -> None:
        self._db = db

    def all(self) -> list[Artifact]:
        """In the order in which they came."""
        return [Artifact(*row) for row in self._db.query("SELECT name, digest FROM artifacts ORDER BY added, name")]

    def put(self, name: str, digest: str) -> None:
        """Record an artifact whose blobs are complete; one of the same name is replaced."""
        self._db.execute("INSERT INTO artifacts (name, digest, added) VALUES (?,?,?) "
                         "ON CONFLICT (name) DO UPDATE SET digest=excluded.digest", (name, digest, time.time()))

    def remove(self, name: str) -> None:
        self._db.execute("DELETE FROM artifacts WHERE name=?", (name,))
