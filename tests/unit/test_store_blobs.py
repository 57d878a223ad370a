"""Blobs: verified, resumable, and one writer at a time."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from podlike.errors import StoreError
from podlike.store.blobs import BlobStore
from podlike.store.locks import StoreLock
from podlike.store.trees import remove_tree

DATA = b"hello" * 1000
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(str(tmp_path / "blobs"), tmp=str(tmp_path / "tmp"))


def leftovers(tmp_path: Path) -> list[str]:
    return sorted(os.listdir(tmp_path / "tmp"))


def test_write_read_delete(store: BlobStore, tmp_path: Path) -> None:
    assert store.write(DATA) == DIGEST
    assert store.write(DATA) == DIGEST
    assert store.read(DIGEST, limit=len(DATA)) == DATA
    assert list(store.all()) == [DIGEST]
    assert leftovers(tmp_path) == []
    assert store.delete(DIGEST) == len(DATA)
    assert store.delete(DIGEST) == 0
    with pytest.raises(StoreError, match="No such file"):
        store.read(DIGEST, limit=10)


def test_damage_is_noticed(store: BlobStore) -> None:
    store.write(DATA)
    Path(store.path(DIGEST)).write_bytes(DATA[:-1] + b"!")
    with pytest.raises(StoreError, match="its content has the digest"):
        store.read(DIGEST, limit=1 << 20)
    with pytest.raises(StoreError, match="larger than 10 bytes"):
        store.read(DIGEST, limit=10)


def test_wrong_digest_leaves_nothing(store: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as e, store.partial(DIGEST) as blob:
        blob.write(b"other")
        blob.finish()
    assert DIGEST in e.value.message and hashlib.sha256(b"other").hexdigest() in e.value.message
    assert leftovers(tmp_path) == [] and not store.has(DIGEST)


def test_wrong_size_leaves_nothing(store: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="5000 bytes, expected 5001"), store.partial(DIGEST) as blob:
        blob.write(DATA)
        blob.finish(5001)
    assert leftovers(tmp_path) == []


def test_resumes_where_it_ended(store: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError), store.partial(DIGEST) as blob:
        blob.write(DATA[:1234])
        raise ConnectionError
    assert leftovers(tmp_path) == [DIGEST[7:] + ".partial"]
    with store.partial(DIGEST) as blob:
        assert blob.offset == 1234
        assert b"".join(blob.read_back()) == DATA[:1234]
        blob.write(DATA[1234:])
        blob.finish(len(DATA))
    assert store.read(DIGEST, limit=1 << 20) == DATA


def test_reset_starts_again(store: BlobStore) -> None:
    with store.partial(DIGEST) as blob:
        blob.write(b"rubbish")
        blob.reset()
        blob.write(DATA)
        blob.finish()
    assert store.has(DIGEST)


def test_nothing_written_leaves_nothing(store: BlobStore, tmp_path: Path) -> None:
    with store.partial(DIGEST):
        pass
    assert leftovers(tmp_path) == []


def test_second_writer_waits_and_finds_it_done(store: BlobStore) -> None:
    seen: list[bool] = []
    entered = threading.Event()

    def second() -> None:
        entered.set()
        with store.partial(DIGEST) as blob:
            seen.append(blob.done)

    with store.partial(DIGEST) as blob:
        thread = threading.Thread(target=second)
        thread.start()
        entered.wait(5)
        blob.write(DATA)
        thread.join(0.1)
        assert thread.is_alive() and seen == []
        blob.finish()
    thread.join(5)
    assert seen == [True]


@pytest.mark.parametrize("digest", ["sha256:../../../etc/passwd", "", "x"])
def test_no_path_for_a_bad_digest(store: BlobStore, digest: str) -> None:
    with pytest.raises(StoreError):
        store.path(digest)


def test_store_lock(tmp_path: Path) -> None:
    tmp = str(tmp_path / "tmp")
    with StoreLock(tmp), StoreLock(tmp):
        assert not StoreLock(tmp).try_exclusive()
    alone = StoreLock(tmp)
    assert alone.try_exclusive()
    assert not StoreLock(tmp).try_exclusive()
    alone.release()
    assert StoreLock(tmp).try_exclusive()


def test_remove_tree_any_depth_and_mode(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("x")
    top = tmp_path / "top"
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for i in range(1500):
        os.mkdir("d", dir_fd=fd)
        os.symlink(str(outside), "link", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        if i % 7 == 0:
            os.fchmod(fd, 0o500)
        os.close(fd)
        fd = below
    os.close(fd)
    remove_tree(str(top))
    assert sorted(os.listdir(tmp_path)) == ["outside"]
    assert (outside / "keep").exists()
    remove_tree(str(top))
