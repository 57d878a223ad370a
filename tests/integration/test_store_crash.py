"""Pulls, saves and loads that are killed at any moment leave nothing that a prune does not take.

A few rounds here; PODLIKE_TEST_FULL=1 does a hundred of each.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.need import need
from tests.support.registry import RealRegistry, make_image, make_layer, real_registry, tar_of

FULL = bool(os.environ.get("PODLIKE_TEST_FULL"))
ROUNDS = 100 if FULL else 4
MB = 1_000_000


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    need(shutil.which("docker-registry"), "docker-registry: apt-get install docker-registry")
    with real_registry(tmp_path_factory.mktemp("registry")) as r:
        yield r


@pytest.fixture(scope="module")
def source(registry: RealRegistry) -> str:
    """Four layers, 12 MB: small files, large files, both compressions."""
    rng = random.Random(7)
    layers = [make_layer(tar_of({f"d{n}/f{i}": rng.randbytes(3_000 if n % 2 else 300_000) for i in range(600 if n % 2 else 10)}),
                         compression="zstd" if n > 1 else "gzip") for n in range(4)]
    return registry.push("crash", "1", make_image(layers))


def disk(engine: Engine) -> int:
    """Blocks, in bytes, of all that the engine has, wherever it keeps it."""
    argv = ["unshare", "-r", "--map-auto", "du", "-s", "--block-size=1", engine.dir]
    return int(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[0])


def killed(engine: Engine, *args: str, after: float) -> None:
    """Run it in a process group of its own and kill all of that: what the OOM killer or a power cut would do."""
    child = engine.popen(*args, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        child.wait(timeout=after)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def took(engine: Engine, *args: str) -> float:
    started = time.monotonic()
    engine(*args, timeout=120)
    return time.monotonic() - started


def test_killed_at_any_moment(source: str, tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    engine = Engine(os.environ.get("PODLIKE_BIN", "podlike"))
    archive, out = str(tmp_path / "a.tar"), str(tmp_path / "out.tar")
    try:
        engine("images")
        engine("system", "prune", "-a", "-f")  # the session, the database: what an empty store has
        empty = disk(engine)
        pull = took(engine, "pull", "-q", source)
        save = took(engine, "save", "-q", "-o", archive, source)
        engine("rmi", "-f", source)
        load = took(engine, "load", "-q", "-i", archive)
        for _ in range(ROUNDS):
            killed(engine, "save", "-q", "-o", out, source, after=rng.uniform(0, save * 1.1))
            if os.path.exists(out):
                os.unlink(out)
        engine("rmi", "-a", "-f")
        for _ in range(ROUNDS):
            killed(engine, "pull", "-q", source, after=rng.uniform(0, pull * 1.1))
            if rng.random() < 0.3:
                engine("rmi", "-a", "-f")
        for _ in range(ROUNDS):
            killed(engine, "load", "-q", "-i", archive, after=rng.uniform(0, load * 1.1))
            if rng.random() < 0.3:
                engine("rmi", "-a", "-f")
        before = disk(engine)
        engine("system", "prune", "-a", "-f")
        left = disk(engine) - empty
        print(f"{3 * ROUNDS} commands killed: {(before - empty) / MB:.1f} MB before, {left / MB:.3f} MB after the prune")
        assert left < MB, f"{left} bytes are left (seed {seed}): " + listing(engine)
        engine("pull", "-q", source)  # and everything still works
        engine("system", "check")
    finally:
        engine.destroy()


def listing(engine: Engine) -> str:
    return subprocess.run(["unshare", "-r", "--map-auto", "du", "-a", engine.dir], stdout=subprocess.PIPE, text=True).stdout
