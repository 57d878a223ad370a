"""Image records: the images table and the names that lead to them."""

import json
import time

from podlike.errors import ConflictError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from dataclasses import dataclass as record
    from dataclasses import field
    from typing import Any, Final

    from podlike.store.db import Database
else:
    from podlike.spec.record import field, record

_COLUMNS: "Final" = "id, manifest_digest, config, layers, size, created, pulled, digests, history, list"
_HEX: "Final" = frozenset("0123456789abcdef")
_HISTORY: "Final" = 50  # former names kept; `latest` of a busy repository would otherwise grow without bound


@record(slots=True, kw_only=True)
class Image:
    """One image of the store.

    id: hex digits of its config's sha256. names: full names, oldest first: domain/path:tag, and domain/path@digest for
    a pull by digest. manifest_digest: of the platform's manifest, a blob. config: the whole config document as received.
    layers: diff IDs, lowest first. size: bytes of all layers' files. created, pulled: Unix seconds.
    digests: repository@digest for every digest it was pulled by. history: former names, newest first.
    read_only: it lies in an additional store, and is nobody's to change here.
    index: the document of a manifest list (spec.manifestlist), whose id is random, config {} and manifest_digest that
    of the list as it would be pushed; None for an image.
    """

    id: str
    manifest_digest: str
    config: "dict[str, Any]"
    layers: "list[str]"
    size: int
    created: float
    pulled: float
    names: "list[str]" = field(default_factory=list)
    digests: "list[str]" = field(default_factory=list)
    read_only: bool = False
    history: "list[str]" = field(default_factory=list)
    index: "dict[str, Any] | None" = None

    @property
    def tags(self) -> "list[str]":
        """The names that are not digests."""
        return [name for name in self.names if "@" not in name]


class ImageStore:
    """The images and image_names tables. Deleting layers and blobs is engine/images.py's work."""

    __slots__ = ("_additional", "_db", "_read_only")

    def __init__(self, db: "Database", *, additional: "Callable[[], list[ImageStore]]" = list, read_only: bool = False) -> None:
        """additional: read-only stores, asked for what is not here. read_only: this is one of them."""
        self._db = db
        self._additional = additional
        self._read_only = read_only

    def add(self, *, image_id: str, manifest_digest: str, config: bytes, layers: "Sequence[str]", size: int,
            names: "Iterable[str]" = (), digests: "Iterable[str]" = ()) -> Image:
        """Record an image whose blobs and layers are complete, in one transaction.

        A name that led to another image leads to this one now. An image that is known gains names and digests.
        config: the document, valid UTF-8 JSON; image_id is its sha256 in hex.
        """
        from podlike.spec.image import parse_time

        text = config.decode()
        created = parse_time(str(json.loads(text).get("created") or ""))
        with self._db.transaction():
            row = self._db.row("SELECT digests FROM images WHERE id=?", (image_id,))
            known = json.loads(row[0]) if row else []
            merged = json.dumps(list(dict.fromkeys([*known, *digests])))
            self._db.execute(
                f"INSERT INTO images ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,'[]',NULL) ON CONFLICT (id) DO UPDATE "
                "SET manifest_digest=excluded.manifest_digest, pulled=excluded.pulled, digests=excluded.digests",
                (image_id, manifest_digest, text, json.dumps(list(layers)), size, created, time.time(), merged))
            for name in names:
                self._point(name, image_id)
        image = self.get(image_id)
        assert image is not None
        return image

    def put_list(self, image_id: str, *, manifest_digest: str, document: "dict[str, Any]", size: int,
                 names: "Iterable[str]" = ()) -> None:
        """Record a manifest list, or its new content; size: bytes of the list. Names are only added."""
        now = time.time()
        with self._db.transaction():
            self._db.execute(
                f"INSERT INTO images ({_COLUMNS}) VALUES (?,?,'{{}}','[]',?,?,?,'[]','[]',?) ON CONFLICT (id) DO UPDATE "
                "SET manifest_digest=excluded.manifest_digest, size=excluded.size, list=excluded.list",
                (image_id, manifest_digest, size, now, now, json.dumps(document)))
            for name in names:
                self._point(name, image_id)

    def get(self, image_id: str) -> Image | None:
        """By full id."""
        row = self._db.row(f"SELECT {_COLUMNS} FROM images WHERE id=?", (image_id,))
        if row:
            return self._from_row(row)
        return next((image for store in self._additional() if (image := store.get(image_id))), None)

    def lookup(self, names: "Iterable[str]", *, prefix: str = "") -> Image | None:
        """The image of the first name that is known, else the one whose id begins with prefix.

        names: full, in order of preference; domain/path[:tag]@digest finds an image pulled by that digest.
        Raises: ConflictError when several ids begin so.
        """
        names = list(names)
        for name in names:
            image_id = self._by_digest(name) if "@" in name else self._by_name(name)
            if image_id:
                return self.get(image_id)
        for store in self._additional():
            if image := store.lookup(names):
                return image
        prefix = prefix.removeprefix("sha256:")
        if not prefix or len(prefix) > 64 or not _HEX.issuperset(prefix):
            return None
        rows = self._db.query(f"SELECT {_COLUMNS} FROM images WHERE id >= ? AND id < ? LIMIT 2", (prefix, prefix + "g"))
        if len(rows) > 1:
            raise ConflictError(f"looking up image {prefix}: more than one image has an id that begins so",
                                hint="Give more digits of the id, or a name.")
        if rows:
            return self._from_row(rows[0])
        return next((image for store in self._additional() if (image := store.lookup([], prefix=prefix))), None)

    def repositories_named(self, path: str) -> list[str]:
        """Names (with tags) whose repository ends in /path, whatever the registry: to see if a short name is clear."""
        rows = self._db.query("SELECT name FROM image_names WHERE instr(name, ?) > 0", (f"/{path}:",))
        return [row[0] for row in rows if row[0].rpartition(":")[0].endswith(f"/{path}")]

    def all(self) -> list[Image]:
        """Newest first."""
        names: "dict[str, list[str]]" = {}
        for name, image_id in self._db.query("SELECT name, image FROM image_names ORDER BY rowid"):
            names.setdefault(image_id, []).append(name)
        rows = self._db.query(f"SELECT {_COLUMNS} FROM images ORDER BY created DESC, pulled DESC")
        own = {row[0]: self._from_row(row, names.get(row[0], [])) for row in rows}
        others = {image.id: image for store in self._additional() for image in store.all() if image.id not in own}
        return [*own.values(), *others.values()]

    def tag(self, image_id: str, name: str) -> None:
        """Give the image a further name, taking it from whoever has it."""
        with self._db.transaction():
            self._point(name, image_id)

    def untag(self, image_id: str, names: "Iterable[str]") -> None:
        """Take names from the image; they go into its history."""
        with self._db.transaction():
            for name in names:
                if self._db.execute("DELETE FROM image_names WHERE name=? AND image=?", (name, image_id)):
                    self._remember(image_id, name)

    def forget_digests(self, image_id: str, digests: "Iterable[str]") -> None:
        """The image is no longer found by these repository@digest names."""
        doomed = set(digests)
        with self._db.transaction():
            row = self._db.row("SELECT digests FROM images WHERE id=?", (image_id,))
            if row:
                left = [d for d in json.loads(row[0]) if d not in doomed]
                self._db.execute("UPDATE images SET digests=? WHERE id=?", (json.dumps(left), image_id))

    def remove(self, image_id: str) -> None:
        """Forget the image and its names. Its layers and blobs stay until somebody collects them."""
        self._db.execute("DELETE FROM images WHERE id=?", (image_id,))

    def layers_in_use(self) -> set[str]:
        """Diff IDs that an image, a container or a volume needs."""
        rows = self._db.query(
            "SELECT value FROM images, json_each(images.layers) "
            "UNION SELECT value FROM containers, json_each(containers.spec, '$.layers') "
            "UNION SELECT value FROM volumes, json_each(volumes.state, '$.layers')")
        return {row[0] for row in rows}

    def _point(self, name: str, image_id: str) -> None:
        old = self._by_name(name)
        if old == image_id:
            return
        if old:
            self._remember(old, name)
            self._db.execute("DELETE FROM image_names WHERE name=?", (name,))
        self._db.execute("INSERT INTO image_names (name, image) VALUES (?,?)", (name, image_id))

    def _remember(self, image_id: str, name: str) -> None:
        row = self._db.row("SELECT history FROM images WHERE id=?", (image_id,))
        if row:
            history = [name, *(n for n in json.loads(row[0]) if n != name)][:_HISTORY]
            self._db.execute("UPDATE images SET history=? WHERE id=?", (json.dumps(history), image_id))

    def _by_name(self, name: str) -> str | None:
        row = self._db.row("SELECT image FROM image_names WHERE name=?", (name,))
        return row[0] if row else None

    def _by_digest(self, name: str) -> str | None:
        """domain/path@digest, or the same with a tag, which then says nothing more.

        Known by what it was pulled by, or by its manifest if it has a name in that repository.
        """
        repository, _, digest = name.partition("@")
        head, _, last = repository.rpartition("/")
        repository = f"{head}/{last.partition(':')[0]}"
        row = self._db.row("SELECT images.id FROM images, json_each(images.digests) WHERE value=? "
                           "ORDER BY pulled DESC", (f"{repository}@{digest}",))
        if row is None:
            row = self._db.row("SELECT images.id FROM images JOIN image_names ON image=images.id WHERE manifest_digest=? "
                               "AND substr(name, 1, ?)=? ORDER BY pulled DESC",
                               (digest, len(repository) + 1, f"{repository}:"))
        return row[0] if row else None

    def _from_row(self, row: "tuple[Any, ...]", names: "list[str] | None" = None) -> Image:
        if names is None:
            found = self._db.query("SELECT name FROM image_names WHERE image=? ORDER BY rowid", (row[0],))
            names = [name for (name,) in found]
        return Image(id=row[0], manifest_digest=row[1], config=json.loads(row[2]), layers=json.loads(row[3]),
                     size=row[4], created=row[5], pulled=row[6], digests=json.loads(row[7]),
                     history=json.loads(row[8]), index=json.loads(row[9]) if row[9] else None, names=names,
                     read_only=self._read_only)
