"""Real containers, as an ordinary user: one engine with private storage, checked for leaks after each test."""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from types import FrameType

import pytest

from podlike import paths
from tests.support import oci
from tests.support.box import BUSYBOX, Box
from tests.support.cgroupbox import CgroupBox
from tests.support.conmon import conmon, new, session
from tests.support.engine import Engine, leaving_nothing
from tests.support.faultproxy import FaultProxy, fault_proxy
from tests.support.need import need
from tests.support.registry import RealRegistry, real_registry

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
    with leaving_nothing(session_engine) as engine:
        yield engine


@pytest.fixture(scope="module")
def engine(session_engine: Engine, image: str) -> Iterator[Engine]:
    """The same with one look after all tests of a file: for tables with a test a row, which are many."""
    with leaving_nothing(session_engine) as engine:
        yield engine


@pytest.fixture
def name() -> str:
    """A container name that no other test has."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def holder() -> Iterator[int]:
    """A process that holds the namespaces."""
    need(BUSYBOX, "no busybox: install busybox-static")
    need(os.geteuid() != 0, "the integration step runs this as an ordinary user", optional=True)
    p = subprocess.Popen(
        ["unshare", "-Urm", "--map-auto", "sh", "-c", "echo ready; exec sleep 100000"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert p.stdout is not None
    need(p.stdout.readline() == "ready\n", "unshare -Urm --map-auto fails: no subordinate ids for this user")
    yield p.pid
    p.kill()
    p.wait()
    p.stdout.close()


@pytest.fixture(scope="module", autouse=True)
def adopts_no_longer() -> Iterator[None]:
    """Tests of the runtime adopt its processes; those of the engine must not: what has ended would stay as a zombie."""
    yield
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


@pytest.fixture(scope="session")
def runtime() -> str:
    path = paths.libexec("podlike-spawn")
    need(os.access(path, os.X_OK), f"{path} is missing: build it")
    return path


@pytest.fixture
def box(holder: int, runtime: str) -> Iterator[Box]:
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: containers become children of this process
    directory = tempfile.mkdtemp(prefix="podlike-spawn-")
    b = Box(holder, directory, runtime)
    b.make()
    try:
        yield b
        b.clear()
    finally:
        b.inside("rm", "-rf", directory)


@pytest.fixture
def any_box(request: pytest.FixtureRequest) -> Box:
    """root_box for root, box for everybody else: for what must work for both."""
    chosen: Box = request.getfixturevalue("root_box" if os.geteuid() == 0 else "box")
    return chosen


@pytest.fixture
def root_box(runtime: str) -> Iterator[Box]:
    """The same for root, in the machine's own namespaces."""
    need(os.geteuid() == 0, "the root step of contrib/check runs this", optional=True)
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    directory = tempfile.mkdtemp(prefix="podlike-spawn-")
    b = Box(None, directory, runtime)
    b.make()
    try:
        yield b
        b.clear()
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def cbox(request: pytest.FixtureRequest, runtime: str) -> Iterator[CgroupBox]:
    """A box that knows its container's cgroup: root's as it is, a user's in namespaces of its own."""
    holder = None if os.geteuid() == 0 else request.getfixturevalue("holder")
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    directory = tempfile.mkdtemp(prefix="podlike-spawn-")
    b = CgroupBox(holder, directory, runtime)
    b.manager = "cgroupfs"
    b.make()
    try:
        yield b
        left = [i for i in b.ids() if b("delete", "--force", i).returncode != 0]
        assert left == []
        b.nothing_left()
    finally:
        b.inside("rm", "-rf", directory)


@pytest.fixture(params=["cgroupfs", "systemd"])
def managed(cbox: CgroupBox, request: pytest.FixtureRequest) -> CgroupBox:
    cbox.use(request.param)
    return cbox


@pytest.fixture
def direct_box(runtime: str) -> Iterator[Box]:
    """A box of an ordinary user with no namespace around it: the runtime makes what is needed."""
    need(os.geteuid() != 0, "the integration step runs this as an ordinary user", optional=True)
    need(shutil.which("newuidmap"), "no newuidmap: install uidmap")
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    directory = tempfile.mkdtemp(prefix="podlike-spawn-")
    b = Box(None, directory, runtime)
    b.make()
    try:
        yield b
        b.clear()
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """A real registry that all tests share: repositories of their own keep them apart."""
    need(shutil.which("docker-registry"), "docker-registry: apt-get install docker-registry")
    with real_registry(tmp_path_factory.mktemp("registry")) as r:
        yield r


@pytest.fixture
def proxy(registry: RealRegistry) -> Iterator[FaultProxy]:
    with fault_proxy(registry.host) as p:
        yield p
