"""The drivers: overlay by the kernel, by fuse-overlayfs, and plain copies. A container sees the same files with each."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import oci
from tests.support.engine import Engine, leaving_nothing
from tests.support.need import need
from tests.support.oci import Dir, File, Hardlink, Image, Opaque, Symlink, Whiteout, busybox_layer, layer

NAME = "localhost/drivers:latest"


def image() -> Image:
    """Layers that delete, replace and hide."""
    return Image(config={"Cmd": ["sh"]}, layers=[
        busybox_layer(),
        layer([Dir("data"), File("data/gone"), File("data/stays", b"1\n"), Dir("hidden"), File("hidden/old"),
               Symlink("turns", "/etc"), File("becomes/dir/x"), Dir("keeps", 0o2750, 0, 1000), File("file-then-dir", b"x"),
               Dir("dir-then-file"), File("dir-then-file/x")]),
        layer([Whiteout("data/gone"), Dir("hidden"), Opaque("hidden"), File("hidden/new", b"n"), Dir("turns"),
               File("turns/x", b"x"), Whiteout("becomes/dir"), File("data/one", b"link", 0o4755),
               Hardlink("data/two", "data/one"),
               File("own", b"", 0o600, 1000, 1000), Dir("file-then-dir"), File("file-then-dir/y"),
               File("dir-then-file", b"f\n")])])


@pytest.fixture(scope="module", params=["overlay", "fuse-overlayfs", "vfs"])
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "fuse-overlayfs":
        need(shutil.which(name), "fuse-overlayfs is not installed")
        need(os.access("/dev/fuse", os.W_OK), "/dev/fuse is not for this user")
    return name


@pytest.fixture(scope="module")
def loaded(driver: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    e = Engine(os.environ.get("PODLIKE_BIN", "podlike"), env={"STORAGE_DRIVER": driver})
    try:
        archive = tmp_path_factory.mktemp("drivers") / "a.tar"
        oci.write_oci_archive(archive, {NAME: image()})
        e("load", "-i", str(archive))
        yield e
    finally:
        e.destroy()


@pytest.fixture
def engine(loaded: Engine) -> Iterator[Engine]:
    with leaving_nothing(loaded):
        yield loaded


LOOK = """cd /; cat data/stays; ls data hidden turns becomes file-then-dir; cat dir-then-file
stat -c '%a %u:%g' keeps own data/one /; stat -c %h data/one
[ $(stat -c %i data/one) = $(stat -c %i data/two) ] && echo same; test -e etc/x || echo clean"""


def test_a_container_sees_the_image(engine: Engine, driver: str) -> None:
    out = engine("run", "--rm", NAME, "sh", "-c", LOOK).stdout
    assert out.split() == ("1 becomes: data: one stays two file-then-dir: y hidden: new turns: x "
                           "f 2750 0:1000 600 1000:1000 4755 0:0 555 0:0 2 same clean").split()


def test_what_a_container_writes_stays_its_own(engine: Engine, driver: str) -> None:
    script = "echo changed > /data/stays; rm -f /own; dd if=/dev/zero of=/big bs=1k count=100"
    engine("run", "--name", "w", NAME, "sh", "-c", script)
    assert engine("start", "--attach", "w").code == 0
    assert engine("run", "--rm", NAME, "cat", "/data/stays").line == "1"
    (row,) = json.loads(engine("ps", "--all", "--size", "--format", "json").stdout)
    assert row["Size"]["rwSize"] >= 100 * 1024
    info = json.loads(engine("info", "--format", "json").stdout)["store"]
    assert info["graphDriverName"] == ("vfs" if driver == "vfs" else "overlay")
    assert ("overlay.mount_program" in info["graphOptions"]) == (driver == "fuse-overlayfs")


def test_taking_down_needs_no_agreement(engine: Engine, driver: str, tmp_path: Path) -> None:
    """The monitor's exit command, which gets no --storage-driver, goes by the store and not by storage.conf."""
    conf = tmp_path / "storage.conf"
    conf.write_text(f'[storage]\ndriver = "{"overlay" if driver == "vfs" else "vfs"}"\n')
    env = {"STORAGE_DRIVER": "", "CONTAINERS_STORAGE_CONF": str(conf)}
    cid = engine("--storage-driver", driver, "run", "-d", "--rm", NAME, "true", env=env).line
    deadline = time.monotonic() + 20
    while os.path.exists(f"{engine.data}/containers/{cid}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(f"{engine.data}/containers/{cid}")


def test_another_driver_is_told_in_words(engine: Engine, driver: str) -> None:
    other = "overlay" if driver == "vfs" else "vfs"
    done = engine("images", env={"STORAGE_DRIVER": other}, check=False)
    own = "vfs" if driver == "vfs" else "overlay"
    assert done.code == 125 and f"made with the storage driver {own}, not with {other}" in done.stderr and "--root" in done.stderr
    assert engine("images", "-q", env={"STORAGE_DRIVER": ""}).stdout  # nothing asked for: what the store was made with


def test_unknown_drivers_and_options() -> None:
    e = Engine(os.environ.get("PODLIKE_BIN", "podlike"))
    try:
        for args, words in ((["--storage-driver", "btrfs"], "podlike knows overlay, fuse-overlayfs and vfs"),
                            (["--storage-opt", "overlay.size=1g"], "no quota"), (["--storage-opt", "x=1"], "unknown option"),
                            (["--storage-opt", "overlay.mount_program=/nope"], "no such program"),
                            (["--storage-opt", "overlay.ignore_chown_errors=maybe"], "neither true nor false")):
            done = e(*args, "images", check=False)
            assert done.code == 125 and words in done.stderr and "Hint:" in done.stderr, done.stderr
            assert not os.path.exists(f"{e.data}/db.sqlite")
    finally:
        e.destroy()


def test_commit_and_copies(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("copied\n")
    engine("create", "--name", "c", NAME, "sh", "-c", "rm /data/stays; rm -r /hidden; mkdir /hidden; echo 2 > /hidden/own; "
           "chown 3:4 /hidden/own; echo more >> /own")
    engine("cp", str(tmp_path / "f"), "c:/data")
    engine("start", "--attach", "c")
    engine("cp", "c:/data/f", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "copied\n"
    engine("commit", "-q", "c", "made")
    look = "cat /data/f /own; stat -c %u:%g /hidden/own /own; ls /hidden; test ! -e /data/stays && cat /data/two"
    assert engine("run", "--rm", "made", "sh", "-c", look).stdout.split() == ["copied", "more", "3:4", "1000:1000", "own", "link"]
    engine("commit", "-q", "--squash", "c", "flat")
    assert engine("run", "--rm", "flat", "sh", "-c", look).stdout.split() == ["copied", "more", "3:4", "1000:1000", "own", "link"]
    engine("rmi", "made", "flat")
