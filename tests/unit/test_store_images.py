"""Image records: names that move, ids by their beginning, digests, what is in use."""

import hashlib
import json
from pathlib import Path

import pytest

from podlike.engine import images
from podlike.engine.core import Engine
from podlike.engine.imagefilters import name_matches_reference
from podlike.engine.imageremove import Removed, remove
from podlike.errors import ConflictError, NotFoundError
from podlike.paths import Roots
from podlike.spec.container import ContainerSpec
from podlike.store.containers import Container, ContainerStore, RunState
from podlike.store.db import Database
from podlike.store.images import Image, ImageStore

L1, L2, L3 = (f"sha256:{c * 64}" for c in "123")


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return Database(str(tmp_path / "db.sqlite"))


@pytest.fixture
def store(db: Database) -> ImageStore:
    return ImageStore(db)


def add(store: ImageStore, key: str, *names: str, layers: tuple[str, ...] = (L1,), digests: tuple[str, ...] = ()) -> Image:
    config = json.dumps({"created": "1970-01-01T00:00:10Z", "config": {"Labels": {"key": key}}}).encode()
    return store.add(image_id=hashlib.sha256(config).hexdigest(), manifest_digest="sha256:" + "f" * 64, config=config,
                     layers=layers, size=5, names=names, digests=digests)


def test_add_and_find(store: ImageStore) -> None:
    image = add(store, "a", "localhost/a:latest", "docker.io/library/a:1")
    assert image.names == ["localhost/a:latest", "docker.io/library/a:1"]
    assert (image.size, image.created, image.layers) == (5, 10.0, [L1])
    assert image.config["config"]["Labels"] == {"key": "a"}
    assert store.lookup(["nope:latest", "docker.io/library/a:1"]) == image
    assert store.lookup(["nope:latest"]) is None
    assert store.lookup([], prefix=image.id[:7]) == image
    assert store.lookup([], prefix="sha256:" + image.id) == image
    assert store.all() == [image]


@pytest.mark.parametrize("prefix", ["", "zz", "%", "_", "g", "A", "0" * 65, "sha256:"])
def test_no_prefix_matches_by_accident(store: ImageStore, prefix: str) -> None:
    add(store, "a", "x:1")
    assert store.lookup([], prefix=prefix) is None


def test_ambiguous_prefix(store: ImageStore) -> None:
    ids = sorted(add(store, str(n)).id for n in range(20))
    double = next(a[0] for a, b in zip(ids, ids[1:], strict=False) if a[0] == b[0])
    with pytest.raises(ConflictError):
        store.lookup([], prefix=double)


def test_names_win_over_prefixes(store: ImageStore) -> None:
    first = add(store, "a")
    second = add(store, "b", f"localhost/{first.id[:4]}:latest")
    assert store.lookup([f"localhost/{first.id[:4]}:latest"], prefix=first.id[:4]) == second


def test_a_name_moves_and_is_remembered(store: ImageStore) -> None:
    old = add(store, "a", "r/x:latest")
    new = add(store, "b", "r/x:latest")
    assert store.lookup(["r/x:latest"]) == new
    again = store.get(old.id)
    assert again is not None and again.names == [] and again.history == ["r/x:latest"]


def test_add_again_gains_names_and_digests(store: ImageStore) -> None:
    add(store, "a", "r/x:1", digests=("r/x@sha256:1",))
    image = add(store, "a", "r/x:2", digests=("r/x@sha256:2", "r/x@sha256:1"))
    assert image.names == ["r/x:1", "r/x:2"] and image.digests == ["r/x@sha256:1", "r/x@sha256:2"]
    assert len(store.all()) == 1


def test_by_digest(store: ImageStore) -> None:
    image = add(store, "a", "localhost:5000/r/x:1", digests=("localhost:5000/r/x@" + L3,))
    assert store.lookup(["localhost:5000/r/x@" + L3]) == image
    assert store.lookup(["localhost:5000/r/x:other@" + L3]) == image
    assert store.lookup(["localhost:5000/r/y@" + L3]) is None
    assert store.lookup(["localhost:5000/r/x@" + L2]) is None


def test_forget_digests(store: ImageStore) -> None:
    image = add(store, "a", "r/x:1", digests=("r/x@" + L2, "r/x@" + L3))
    store.forget_digests(image.id, ["r/x@" + L2, "r/y@" + L3])
    now = store.get(image.id)
    assert now is not None and now.digests == ["r/x@" + L3] and now.names == ["r/x:1"]
    assert store.lookup(["r/x@" + L2]) is None


def test_tag_untag_remove(store: ImageStore, db: Database) -> None:
    image = add(store, "a", "r/x:1")
    store.tag(image.id, "r/y:1")
    store.untag(image.id, ["r/x:1", "unknown:1"])
    now = store.get(image.id)
    assert now is not None and now.names == ["r/y:1"] and now.history == ["r/x:1"]
    store.remove(image.id)
    assert store.all() == [] and db.query("SELECT * FROM image_names") == []


def test_layers_in_use_by_images_and_containers(store: ImageStore, db: Database) -> None:
    image = add(store, "a", layers=(L1, L2))
    for cid, layers in (("c1", [L2, L3]), ("c2", [])):
        ContainerStore(db).add(Container(id=cid, name=cid, image=image.id, created=0.0, spec=ContainerSpec(layers=layers),
                                         state=RunState()))
    assert store.layers_in_use() == {L1, L2, L3}
    store.remove(image.id)
    assert store.layers_in_use() == {L2, L3}


def test_repositories_named(store: ImageStore) -> None:
    add(store, "a", "quay.io/x/app:1", "localhost/app:2", "docker.io/library/myapp:1", "localhost:5000/x/app:3")
    assert sorted(store.repositories_named("app")) == ["localhost/app:2", "localhost:5000/x/app:3", "quay.io/x/app:1"]
    assert sorted(store.repositories_named("x/app")) == ["localhost:5000/x/app:3", "quay.io/x/app:1"]


@pytest.mark.parametrize("pattern, matches", [
    ("app", True), ("x/app", True), ("quay.io/x/app", True), ("app:1", True), ("app:2", False), ("ap", False), ("a*", True),
    ("*", True), ("quay.io/*", False), ("quay.io/*/*", True), ("*:1", True), ("x/*:1", True), ("x/*:2", False),
    ("y/app", False), ("quay.io/x/app:*", True), ("a?p", True),
])
def test_reference_patterns(pattern: str, matches: bool) -> None:
    assert name_matches_reference("quay.io/x/app:1", pattern) is matches


def test_remove_and_untag_by_digest(tmp_path: Path) -> None:
    engine = Engine(roots=Roots(data=str(tmp_path / "d"), run=str(tmp_path / "r")))
    digests = tuple(f"quay.io/r/x@{d}" for d in (L1, L2, L3))
    image = add(engine.images, "a", "quay.io/r/x:1", digests=digests)
    assert remove(engine, "quay.io/r/x:1@" + L1) == Removed([digests[0]], [], [])
    images.untag(engine, "quay.io/r/x:1", ["quay.io/r/x:1@" + L2])
    now = engine.images.get(image.id)
    assert now is not None and (now.names, now.digests) == (["quay.io/r/x:1"], [digests[2]])
    with pytest.raises(NotFoundError, match="tag not known"):
        images.untag(engine, "quay.io/r/x:1", ["quay.io/r/x@" + L2])
