"""`system reset`, `system migrate`, and what podlike says to commands that it does not have."""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import oci
from tests.support.engine import Engine

IMAGE = "localhost/reset:latest"


@pytest.fixture
def store() -> Iterator[Engine]:
    engine = Engine(os.environ.get("PODLIKE_BIN", "podlike"))
    try:
        yield engine
    finally:
        engine.destroy()


def load(store: Engine, where: Path) -> None:
    oci.write_oci_archive(where / "a.tar", {IMAGE: oci.busybox_image()})
    store("load", "-q", "-i", str(where / "a.tar"))


def test_reset_removes_everything_and_nothing_else(store: Engine, tmp_path: Path) -> None:
    load(store, tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/kept").write_text("kept")
    store("volume", "create", "-o", "type=bind", "-o", f"device={tmp_path}/mine", "bound")
    store("--volumepath", f"{tmp_path}/far", "volume", "create", "far")
    store("run", "-d", "--name", "c", "-v", "bound:/b", "-v", f"{tmp_path}/mine:/m", "-v", "/anonymous", IMAGE, "sleep", "100")
    store("run", "--name", "other", "--user", "1234", "-v", "vol:/v", IMAGE, "touch", "/v/f")
    store("unshare", store.bin, "image", "mount", IMAGE)
    asked = store("system", "reset", input="n\n").stdout
    assert asked.startswith("WARNING! This will remove:\n        - all containers\n") and store.data in asked
    assert len(store("ps", "-aq").stdout.split()) == 2
    assert store("system", "reset", "--force").stdout == ""
    assert not os.path.exists(store.data) and not os.path.exists(f"{store.run_dir}/session")
    assert store.processes() == {} and store.mounts() == set()
    assert os.listdir(tmp_path / "mine") == ["kept"] and os.listdir(tmp_path / "far") == []
    # And it can be used again at once.
    load(store, tmp_path)
    assert store("run", "--rm", "--network", "none", IMAGE, "echo", "again").line == "again"


def test_reset_killed_at_any_moment(store: Engine, tmp_path: Path) -> None:
    rng = random.Random(3)
    load(store, tmp_path)
    for n in range(3):
        store("run", "-d", "--network", "none", "-v", f"v{n}:/v", IMAGE, "sleep", "100")
    for _ in range(4):
        with store.popen("system", "reset", "--force", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as command:
            time.sleep(rng.random() * 0.5)
            command.kill()
        store("ps", "-a")  # whatever is left, it is a store
    store("system", "reset", "--force")
    assert not os.path.exists(store.data) and store.processes() == {} and store.mounts() == set()


def test_migrate_stops_containers_and_ends_the_session(store: Engine, tmp_path: Path) -> None:
    load(store, tmp_path)
    cid = store("run", "-d", "--name", "c", "--stop-timeout", "0", "--network", "none", IMAGE, "sleep", "100").line
    before = store("unshare", "readlink", "/proc/self/ns/user").line
    refused = store("system", "migrate", "--new-runtime", "no-such-runtime", check=False)
    assert refused.code == 125 and store("inspect", "--format", "{{.State.Status}}", "c").line == "running"
    assert store("system", "migrate").line == f"stopped {cid}"
    assert store.processes() == {}
    assert store("unshare", "readlink", "/proc/self/ns/user").line != before
    assert store("start", "c").line == "c"
    assert store("system", "renumber").stdout == ""


@pytest.mark.parametrize(("words", "answer"), [
    (["generate", "spec", "c"], "podman's REST service"),
    (["kube", "play", "x.yaml"], "Kubernetes YAML is not there yet"),
    (["compose", "up", "-d"], "compose is not there yet"),
    (["secret", "create", "a", "b"], "secrets are not there yet"),
    (["machine", "init"], "needs no machine"),
    (["farm", "build"], "podlike builds on this host only"),
    (["system", "service", "-t", "0", "unix:///tmp/x"], "podlike has no daemon"),
    (["system", "connection", "add", "a", "ssh://b"], "podlike talks to no services"),
    (["system", "connection", "rm", "a"], 'no connection "a" is there'),
])
def test_what_is_not_there_is_said(store: Engine, words: list[str], answer: str) -> None:
    said = store(*words, check=False)
    first, hint = said.stderr.splitlines()
    assert said.code == 125 and said.stdout == "" and answer in first and hint.startswith("Hint: ")
