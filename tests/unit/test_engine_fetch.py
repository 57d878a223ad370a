"""Fetching layers: what is kept after each kind of failure. The unpacker and the registry are played."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import pytest

from podlike.engine.fetch import Fetcher, Job, Progress, check_space
from podlike.errors import RegistryError, StoreError
from podlike.registry.client import Client
from podlike.store.blobs import BlobStore, disk_error
from podlike.store.layers import LayerStore
from tests.support.registry import digest_of


class Unpack:
    """write() and finish() call `fail` with what has come so far."""

    def __init__(self, store: "Layers", diff_id: str) -> None:
        self.store, self.diff_id, self.data = store, diff_id, b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def write(self, chunk: bytes) -> None:
        self.data += chunk
        self.store.fail(self.data, False)

    def finish(self) -> None:
        self.store.fail(self.data, True)
        self.store.unpacked[self.diff_id] = self.data


class Layers:
    def __init__(self) -> None:
        self.unpacked: dict[str, bytes] = {}
        self.fail: Callable[[bytes, bool], None] = lambda data, last: None

    def has(self, diff_id: str) -> bool:
        return diff_id in self.unpacked

    def unpack(self, diff_id: str, *, blob: str | None, media_type: str) -> Unpack:
        return Unpack(self, diff_id)


class Registry:
    """Serves blobs in pieces of 1000 bytes; `before` is called with (digest, offset) ahead of each."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.asked: list[tuple[str, int]] = []
        self.cancel = threading.Event()
        self.before: Callable[[str, int], None] = lambda digest, at: None

    def blob(self, path: str, digest: str, *, size: int, offset: int = 0,
             urls: Sequence[str] = ()) -> Iterator[bytes]:
        self.asked.append((digest, offset))
        for at in range(offset, size, 1000):
            self.check()
            self.before(digest, at)
            yield self.blobs[digest][at:at + 1000]

    def check(self) -> None:
        if self.cancel.is_set():
            raise RegistryError("cancelled")

    def abort(self) -> None:
        self.cancel.set()


class World(NamedTuple):
    blobs: BlobStore
    layers: Layers
    registry: Registry
    tmp: Path

    def job(self, data: bytes) -> Job:
        digest = digest_of(data)
        self.registry.blobs[digest] = data
        return Job(digest, len(data), "sha256:" + digest[7:][::-1], "")

    def run(self, *jobs: Job, **how: Any) -> None:
        self.registry.cancel.clear()
        Fetcher(cast(Client, self.registry), "x", blobs=self.blobs, layers=cast(LayerStore, self.layers),
                progress=how.pop("progress", Progress()), **how).run(jobs)

    def partial(self, job: Job) -> Path:
        return self.tmp / f"{job.digest[7:]}.partial"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(BlobStore(str(tmp_path / "blobs"), tmp=str(tmp_path / "tmp")), Layers(), Registry(), tmp_path / "tmp")


def test_layers_are_stored_and_unpacked(world: World) -> None:
    jobs = [world.job(os.urandom(n * 1500)) for n in range(1, 8)]
    world.run(*jobs)
    for job in jobs:
        assert world.layers.unpacked[job.diff_id] == Path(world.blobs.path(job.digest)).read_bytes() \
            == world.registry.blobs[job.digest]
    world.registry.asked.clear()
    world.run(*jobs)
    assert world.registry.asked == []


def test_a_stored_blob_is_unpacked_without_being_fetched(world: World) -> None:
    job = world.job(b"a" * 5000)
    world.blobs.write(b"a" * 5000)
    world.run(job)
    assert world.registry.asked == [] and world.layers.unpacked[job.diff_id] == b"a" * 5000


def test_layers_come_side_by_side(world: World) -> None:
    """Each of the four waits until all four have begun."""
    barrier = threading.Barrier(4)
    jobs = [world.job(bytes([n]) * 500) for n in range(4)]

    def before(digest: str, at: int) -> None:
        barrier.wait(5)

    world.registry.before = before
    world.run(*jobs, parallel=4)
    assert len(world.layers.unpacked) == 4


def test_a_full_disk_while_unpacking_keeps_what_was_fetched(world: World) -> None:
    job = world.job(os.urandom(5000))

    def fail(data: bytes, last: bool) -> None:
        if len(data) >= 3000:
            raise StoreError(f"unpack layer: write file: {os.strerror(errno.ENOSPC)}")

    world.layers.fail = fail
    with pytest.raises(StoreError, match="No space left"):
        world.run(job)
    assert world.partial(job).stat().st_size == 3000
    world.layers.fail = lambda data, last: None
    world.run(job)
    assert world.registry.asked == [(job.digest, 0), (job.digest, 3000)]
    assert world.layers.unpacked[job.diff_id] == world.registry.blobs[job.digest]


def test_a_full_disk_keeps_finished_blobs(world: World) -> None:
    first, second = world.job(b"1" * 2000), world.job(b"2" * 4000)

    def before(digest: str, at: int) -> None:
        if digest == second.digest and at == 2000:
            raise disk_error("write blob", digest, OSError(errno.ENOSPC, "No space left on device"))

    world.registry.before = before
    with pytest.raises(StoreError, match="No space left") as e:
        world.run(first, second, parallel=1)
    assert e.value.hint and "Free space" in e.value.hint
    assert world.blobs.has(first.digest) and first.diff_id in world.layers.unpacked
    assert world.partial(second).stat().st_size == 2000


def test_a_wrong_digest_keeps_nothing(world: World) -> None:
    job = world.job(b"a" * 5000)
    world.registry.blobs[job.digest] = b"b" * 5000
    with pytest.raises(StoreError, match="verify blob"):
        world.run(job)
    assert not world.partial(job).exists() and not world.blobs.has(job.digest) and not world.layers.unpacked


@pytest.mark.parametrize("last", [False, True])
def test_a_layer_that_cannot_be_unpacked_keeps_nothing(world: World, last: bool) -> None:
    job = world.job(os.urandom(5000))

    def fail(data: bytes, finishing: bool) -> None:
        if finishing is last:
            raise StoreError("unpack layer: not a tar")

    world.layers.fail = fail
    with pytest.raises(StoreError, match="not a tar"):
        world.run(job)
    assert not world.partial(job).exists() and not world.blobs.has(job.digest)


def test_damage_left_by_an_earlier_pull_costs_one_more_try_only(world: World) -> None:
    job = world.job(os.urandom(5000))
    world.tmp.mkdir()
    world.partial(job).write_bytes(b"x" * 1500)
    world.run(job)
    assert world.registry.asked == [(job.digest, 1500), (job.digest, 0)]
    assert world.layers.unpacked[job.diff_id] == world.registry.blobs[job.digest]


def test_a_broken_line_keeps_what_came(world: World) -> None:
    job = world.job(os.urandom(5000))

    def before(digest: str, at: int) -> None:
        if at == 3000:
            raise RegistryError("the connection broke")

    world.registry.before = before
    with pytest.raises(RegistryError):
        world.run(job)
    assert world.partial(job).stat().st_size == 3000


def test_the_first_error_is_the_one_that_is_raised(world: World) -> None:
    jobs = [world.job(bytes([n]) * 200_000) for n in range(4)]

    def before(digest: str, at: int) -> None:
        if digest == jobs[2].digest and at == 3000:
            raise RegistryError("the real reason")
        time.sleep(0.02)

    world.registry.before = before
    start = time.monotonic()
    with pytest.raises(RegistryError, match="the real reason"):
        world.run(*jobs, parallel=4)
    assert time.monotonic() - start < 2, "the others, of 4 s each, were stopped"


def test_progress_adds_up(world: World) -> None:
    class Count(Progress):
        def __init__(self) -> None:
            self.sizes: dict[str, int] = {}
            self.got: dict[str, int] = {}
            self.ends: list[str] = []

        def started(self, digest: str, size: int) -> None:
            self.sizes[digest] = size

        def advanced(self, digest: str, count: int) -> None:
            self.got[digest] = self.got.get(digest, 0) + count

        def done(self, digest: str) -> None:
            self.ends.append(f"done {digest}")

        def skipped(self, digest: str) -> None:
            self.ends.append(f"skipped {digest}")

    resumed, new, here = world.job(os.urandom(5000)), world.job(os.urandom(2000)), world.job(b"here")
    world.blobs.write(b"here")
    world.tmp.mkdir(exist_ok=True)
    world.partial(resumed).write_bytes(world.registry.blobs[resumed.digest][:2500])
    world.layers.unpacked[here.diff_id] = b""
    count = Count()
    world.run(resumed, new, here, progress=count)
    assert count.got == count.sizes == {resumed.digest: 5000, new.digest: 2000}
    assert sorted(count.ends) == sorted([f"done {resumed.digest}", f"done {new.digest}", f"skipped {here.digest}"])


def test_a_layer_that_came_in_another_form_is_fetched_and_not_unpacked(world: World) -> None:
    job = world.job(b"the same files")
    world.layers.unpacked[job.diff_id] = b"as they were"
    world.run(job)
    assert Path(world.blobs.path(job.digest)).read_bytes() == b"the same files"
    assert world.layers.unpacked[job.diff_id] == b"as they were"


def test_missing_space_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    check_space(str(tmp_path), 1, "x")
    with pytest.raises(StoreError, match=r"pull x: it needs at least 1000000000\.00 GB .* are missing") as e:
        check_space(str(tmp_path), 10**18, "x")
    assert e.value.hint and "PODLIKE_ROOT" in e.value.hint
