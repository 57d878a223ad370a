"""Real containers, as an ordinary user: one engine with private storage, checked for leaks after each test."""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from types import FrameType

import pytest

from tests.support import oci
from tests.support.conmon import conmon, new, session
from tests.support.engine import Engine

__all__ = ["conmon", "new", "session"]  # fixtures of test_conmon_*.py

IMAGE = "localhost/podlike-test:latest"


@pytest.fixture(scope="session")
def session_engine() -> Iterator[Engine]:
    engine = Engine(os.environ.get("PODLIKE_BIN", "podlike"))
    try:
        yield engine
    finally:
        engine.destroy()


@pytest.fixture(scope="session")
def image(session_engine: Engine) -> str:
    """Name of an image around busybox, loaded from an OCI archive made here; oci.busybox_layer says what is in it."""
    archive = f"{session_engine.dir}/image.tar"
    oci.write_oci_archive(archive, {IMAGE: oci.busybox_image()})
    session_engine("load", "-i", archive)
    os.unlink(archive)
    return IMAGE


TEST_SECONDS = int(os.environ.get("PODLIKE_TEST_SECONDS", "60"))


@pytest.fixture(autouse=True)
def time_limit() -> Iterator[None]:
    """A test that hangs fails, wherever it waits."""

    def too_long(signum: int, frame: FrameType | None) -> None:
        raise AssertionError(f"the test hung for {TEST_SECONDS} s")

    previous = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(TEST_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def podlike(session_engine: Engine, image: str) -> Iterator[Engine]:
    """The engine, with the test image loaded. After the test its containers are removed and nothing may remain."""
    before = session_engine.leftovers()
    yield session_engine
    session_engine("rm", "--all", "--force", "--time", "0")
    deadline = time.monotonic() + 10
    while new := session_engine.leftovers().beyond(before):
        if time.monotonic() > deadline:
            raise AssertionError("left behind:\n  " + "\n  ".join(new))
        time.sleep(0.05)


@pytest.fixture
def name() -> str:
    """A container name that no other test has."""
    return f"t-{uuid.uuid4().hex[:12]}"
