"""Drivers and options of the store: storage.conf, the environment, the command line."""

from pathlib import Path

import pytest

from podlike.config import load_config
from podlike.errors import ConfigError, PodlikeError, StoreError, UsageError
from podlike.storage_conf import StorageConfig
from podlike.store.options import StoreOptions, choose, made_with, record_driver


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STORAGE_DRIVER", "STORAGE_OPTS", "CONTAINERS_STORAGE_CONF"):
        monkeypatch.delenv(name, raising=False)


def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> StorageConfig:
    (tmp_path / "storage.conf").write_text(text)
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "storage.conf"))
    return load_config().storage


def test_nothing_said(tmp_path: Path) -> None:
    assert choose(StorageConfig(), str(tmp_path)) == StoreOptions()
    assert StoreOptions().unpack_arguments() == [] and StoreOptions().shown() == {}


def test_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = choose(conf(tmp_path, monkeypatch, """
        [storage]
        driver = "overlay"
        [storage.options]
        additionalimagestores = ["/a", "/b"]
        pull_options = {enable_partial_images = "true"}
        ignore_chown_errors = "false"
        [storage.options.overlay]
        ignore_chown_errors = "true"
        mount_program = "/bin/true"
        mountopt = "nodev"
        sync = "filesystem"
        [storage.options.podlike]
        max_layer_size = "2g"
        max_layer_entries = 5
        """), str(tmp_path))
    assert found == StoreOptions("overlay", "/bin/true", True, "filesystem", 2 << 30, 5, ("/a", "/b"))
    assert found.unpack_arguments() == ["--ignore-chown-errors", "--sync", "--max-size", str(2 << 30), "--max-entries", "5"]
    assert found.shown()["overlay.imagestore"] == "/a,/b"


def test_the_command_line_lies_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = conf(tmp_path, monkeypatch, '[storage]\ndriver="overlay"\n[storage.options]\nignore_chown_errors="true"\n')
    data = str(tmp_path / "data")
    assert choose(storage, data).ignore_chown_errors
    assert not choose(storage, data, options=["overlay.ignore_chown_errors=false"]).ignore_chown_errors
    assert not choose(storage, data, options=[""]).ignore_chown_errors  # an empty one forgets the file
    assert choose(storage, data, driver="vfs").driver == "vfs"
    monkeypatch.setenv("STORAGE_DRIVER", "vfs")
    monkeypatch.setenv("STORAGE_OPTS", "podlike.max_layer_size=1k,vfs.ignore_chown_errors=false")
    found = choose(storage, data)
    assert (found.driver, found.max_layer_size, found.ignore_chown_errors) == ("vfs", 1024, False)


def test_drivers_of_another_engines_store_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(conf(tmp_path, monkeypatch, '[storage]\ndriver="btrfs"\n'), str(tmp_path)).driver == "overlay"


def test_a_store_keeps_its_driver(tmp_path: Path) -> None:
    data = str(tmp_path)
    assert made_with(data) == ""
    record_driver(data, "vfs")
    assert made_with(data) == "vfs" and choose(StorageConfig(), data).driver == "vfs"
    with pytest.raises(StoreError, match="made with the storage driver vfs, not with overlay"):
        choose(StorageConfig(), data, driver="overlay")
    old = tmp_path / "old"
    old.mkdir()
    (old / "db.sqlite").touch()
    record_driver(str(old), "overlay")
    assert made_with(str(old)) == "overlay" and not (old / "driver").exists()


@pytest.mark.parametrize(("option", "words", "kind"), [
    ("overlay.size=1g", "no quota", UsageError), ("nonsense=1", "unknown option", UsageError),
    ("overlay.sync", "no value", UsageError),
    ("overlay.mount_program=/nope", "no such program", ConfigError), ("sync=maybe", "neither none nor filesystem", ConfigError),
    ("podlike.max_layer_size=lots", "is no size", ConfigError), ("ignore_chown_errors=x", "neither true nor false", ConfigError)])
def test_what_cannot_be_is_said(tmp_path: Path, option: str, words: str, kind: type[PodlikeError]) -> None:
    with pytest.raises(kind, match=words) as e:
        choose(StorageConfig(), str(tmp_path), options=[option])
    assert e.value.hint
