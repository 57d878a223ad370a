"""Layers made with ill will, through the engine: each is refused in words, and the store keeps nothing of it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_layer_hostile import ESCAPES
from tests.support import oci
from tests.support.engine import Engine
from tests.support.oci import File, Image, layer


@pytest.fixture
def store() -> Iterator[Engine]:
    engine = Engine(os.environ.get("PODLIKE_BIN", "podlike"))
    try:
        yield engine
    finally:
        engine.destroy()


@pytest.mark.parametrize("case", ["whiteout of ..", "whiteout through a link", "dotdot behind a link"])
def test_nothing_is_kept_of_an_image(store: Engine, tmp_path: Path, case: str) -> None:
    layers = [layer([File("good", b"x" * 100_000)]), layer(ESCAPES[case])]
    oci.write_oci_archive(tmp_path / "a.tar", {"evil:1": Image(layers=layers)})
    done = store("load", "-i", str(tmp_path / "a.tar"), check=False)
    assert done.code == 125 and "unpack layer sha256:" in done.stderr, done.stderr
    usual = (".lock", "startup", "db.sqlite", "db.sqlite-wal", "db.sqlite-shm", "db.sqlite.migrate")
    found = [f"{d}/{f}" for d, _, files in os.walk(store.data) for f in files if f not in usual]
    assert found == [] and os.listdir(f"{store.data}/layers/sha256") == []


def test_ids_outside_the_map(store: Engine, tmp_path: Path) -> None:
    image = Image(layers=[layer([File("far", b"x", uid=3_000_000_000, gid=5)])])
    oci.write_oci_archive(tmp_path / "a.tar", {"far:1": image})
    done = store("load", "-i", str(tmp_path / "a.tar"), check=False)
    assert done.code == 125 and "far: it belongs to 3000000000:5" in done.stderr and "usermod --add-subuids" in done.stderr
    assert "ignore_chown_errors" in done.stderr
    store("--storage-opt", "overlay.ignore_chown_errors=true", "load", "-i", str(tmp_path / "a.tar"))


def test_limits_can_be_set(store: Engine, tmp_path: Path) -> None:
    oci.write_oci_archive(tmp_path / "a.tar", {"big:1": Image(layers=[layer([File("f", bytes(2_000_000))])])})
    done = store("--storage-opt", "podlike.max_layer_size=1m", "load", "-i", str(tmp_path / "a.tar"), check=False)
    assert done.code == 125 and "more than 1048576 bytes" in done.stderr and "max_layer_size" in done.stderr
    conf = tmp_path / "storage.conf"
    conf.write_text('[storage]\ndriver = "overlay"\n[storage.options.podlike]\nmax_layer_entries = 0\n')
    done = store("load", "-i", str(tmp_path / "a.tar"), check=False, env={"CONTAINERS_STORAGE_CONF": str(conf)})
    assert done.code == 125 and "more than 0 entries" in done.stderr


