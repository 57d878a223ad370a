"""The database: one SQLite file, WAL mode, short transactions, schema versions.

The only module that imports sqlite3. Other modules of store/ hold the SQL of their own tables.
"""

import os
import sqlite3
import time

from podlike.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

# One script per schema version; PRAGMA user_version says how many have run. Never edit a released one.
MIGRATIONS = (
    """
    CREATE TABLE images (
        id TEXT PRIMARY KEY,              -- hex of the config blob's sha256
        manifest_digest TEXT NOT NULL,    -- sha256:... of the platform's manifest, a blob in the store
        config TEXT NOT NULL,             -- OCI image config, JSON as received
        layers TEXT NOT NULL,             -- JSON list of diff ids, lowest first
        size INTEGER NOT NULL,            -- bytes of the unpacked layers
        created REAL NOT NULL,            -- Unix time from the config
        pulled REAL NOT NULL,
        digests TEXT NOT NULL DEFAULT '[]',  -- JSON list of name@digest
        history TEXT NOT NULL DEFAULT '[]'   -- JSON list of former names, newest first
    ) STRICT;
    CREATE TABLE image_names (
        name TEXT PRIMARY KEY,            -- registry/repository:tag
        image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE
    ) STRICT;
    CREATE INDEX image_names_image ON image_names(image);
    CREATE TABLE layers (
        diff_id TEXT PRIMARY KEY,         -- sha256:... of the uncompressed tar
        blob TEXT,                        -- sha256:... of the (compressed) blob it came from
        media_type TEXT,
        size INTEGER NOT NULL             -- bytes unpacked
    ) STRICT;
    CREATE TABLE containers (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        image TEXT,                       -- images.id, NULL with --rootfs
        created REAL NOT NULL,
        spec TEXT NOT NULL,               -- spec.container.ContainerSpec as JSON
        state TEXT NOT NULL DEFAULT '{}'  -- store.containers.RunState as JSON
    ) STRICT;
    CREATE INDEX containers_image ON containers(image);
    CREATE TABLE exits (                  -- outlives the container, for `wait` after --rm
        container TEXT PRIMARY KEY,
        code INTEGER NOT NULL,
        at REAL NOT NULL
    ) STRICT;
    CREATE TABLE volumes (
        name TEXT PRIMARY KEY,
        driver TEXT NOT NULL DEFAULT 'local',
        created REAL NOT NULL,
        anonymous INTEGER NOT NULL DEFAULT 0,
        labels TEXT NOT NULL DEFAULT '{}',
        options TEXT NOT NULL DEFAULT '{}'
    ) STRICT;
    """,
    """
    ALTER TABLE images ADD COLUMN list TEXT;  -- of a manifest list: spec.manifestlist.ManifestList as JSON
    CREATE TABLE artifacts (
        name TEXT PRIMARY KEY,            -- registry/repository:tag as it was given
        digest TEXT NOT NULL,             -- sha256:... of its manifest, a blob in the store
        added REAL NOT NULL
    ) STRICT;
    """,
    """
    ALTER TABLE volumes ADD COLUMN state TEXT NOT NULL DEFAULT '{}';  -- store.volumes.VolumeState as JSON
    """,
    """
    CREATE TABLE pods (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,        -- pods and containers have one namespace of names: the stores see to it
        created REAL NOT NULL,
        spec TEXT NOT NULL,               -- spec.pod.PodSpec as JSON
        state TEXT NOT NULL DEFAULT '{}'  -- store.pods.PodState as JSON
    ) STRICT;
    ALTER TABLE containers ADD COLUMN pod TEXT REFERENCES pods(id);
    CREATE INDEX containers_pod ON containers(pod);
    """,
)

# Longer than any transaction of ours by three orders; parallel starts wait instead of failing.
BUSY_TIMEOUT_S = 60.0


class Database:
    """A connection. Statements autocommit; `with db.transaction():` groups several."""

    __slots__ = ("_conn", "path")

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        """Open or create the file and bring its schema up to date. read_only: of somebody else's store; nothing changes.

        Raises: StoreError when it cannot be opened, is corrupt, or is from a newer podlike.
        """
        self.path = path
        if read_only:
            self._conn = _open_read_only(path)
            return
        try:
            self._conn = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            if self._version() != len(MIGRATIONS):
                self._migrate_alone()
            # NORMAL is durable against a crash of any process; only a power cut can lose the last commit.
            self._conn.execute("PRAGMA synchronous=NORMAL")
            self._conn.execute("PRAGMA foreign_keys=ON")
        except sqlite3.Error as e:
            raise StoreError(f"open database {path}: {e}",
                             hint="Check free space and permissions; move the file away to start with an empty store.") from e

    def _version(self) -> int:
        return int(self._conn.execute("PRAGMA user_version").fetchone()[0])

    def _migrate_alone(self) -> None:
        """One process at a time: changing the journal mode fails at once, whatever the busy timeout says."""
        import fcntl

        fd = os.open(f"{self.path}.migrate", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if self._version() != len(MIGRATIONS):  # again: another process may have done it meanwhile
                self._migrate()
        finally:
            os.close(fd)

    def _migrate(self) -> None:
        os.chmod(self.path, 0o600)
        self._enter_wal()
        with self.transaction():
            version = self._version()
            if version > len(MIGRATIONS):
                raise StoreError(f"open database {self.path}: schema {version} is newer than this podlike knows",
                                 hint="Upgrade podlike, or set PODLIKE_ROOT to another directory.")
            for script in MIGRATIONS[version:]:
                for statement in script.split(";"):
                    self._conn.execute(statement)
            self._conn.execute(f"PRAGMA user_version={len(MIGRATIONS)}")

    def _enter_wal(self) -> None:
        """Needs the file for itself for an instant; others may be reading its version just now."""
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                self._conn.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)

    def transaction(self) -> "Transaction":
        """Context manager: BEGIN IMMEDIATE ... COMMIT, or ROLLBACK on an exception."""
        return Transaction(self._conn)

    def execute(self, sql: str, args: "Sequence[Any]" = ()) -> int:
        """Run one statement; return the number of rows it changed. Raises: StoreError, UniqueError."""
        try:
            return self._conn.execute(sql, args).rowcount
        except sqlite3.IntegrityError as e:
            raise UniqueError(str(e)) from e
        except sqlite3.Error as e:
            raise StoreError(f"write database {self.path}: {e}", hint="Check free space on its file system.") from e

    def query(self, sql: str, args: "Sequence[Any]" = ()) -> "list[tuple[Any, ...]]":
        """All rows of one SELECT. Raises: StoreError."""
        try:
            return self._conn.execute(sql, args).fetchall()
        except sqlite3.Error as e:
            raise StoreError(f"read database {self.path}: {e}",
                             hint="Move the file away to start with an empty store.") from e

    def row(self, sql: str, args: "Iterable[Any]" = ()) -> "tuple[Any, ...] | None":
        """The first row of a SELECT, or None."""
        rows = self.query(sql, tuple(args))
        return rows[0] if rows else None

    def compact(self) -> None:
        """Give the file system back what deleted rows and the write-ahead log hold; not while another command writes."""
        try:
            self._conn.execute("PRAGMA busy_timeout=200")
            if self._conn.execute("PRAGMA freelist_count").fetchone()[0] > 64:  # pages of 4 KiB
                self._conn.execute("VACUUM")
            self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            pass  # busy: it is only about space
        finally:
            self._conn.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000)}")

    def close(self) -> None:
        self._conn.close()


def _open_read_only(path: str) -> sqlite3.Connection:
    """Raises: StoreError."""
    from urllib.parse import quote

    problem: object = "no such file"
    # Reading beside a writer needs its -shm file, which is not to be had on a read-only file system: then nobody writes.
    for how in ("mode=ro", "immutable=1"):
        try:
            conn = sqlite3.connect(f"file:{quote(path)}?{how}", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            version = int(conn.execute("PRAGMA user_version").fetchone()[0])
            conn.execute("SELECT count(*) FROM images").fetchone()
        except sqlite3.Error as e:
            problem = e
            continue
        if version == len(MIGRATIONS):
            return conn
        problem = f"its schema is {version}, this podlike's {len(MIGRATIONS)}"
    raise StoreError(f"open additional image store {path}: {problem}",
                     hint="Take it out of additionalimagestores, or use it once with its own podlike.")


class UniqueError(StoreError):
    """A UNIQUE or PRIMARY KEY constraint said no."""


class Transaction:
    __slots__ = ("_conn",)

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    def __enter__(self) -> None:
        self._conn.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        self._conn.execute("COMMIT" if kind is None else "ROLLBACK")
