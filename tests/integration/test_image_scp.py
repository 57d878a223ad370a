"""`image scp` over a real ssh server on loopback, between two stores of one user."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import oci
from tests.support.engine import Engine
from tests.support.need import need
from tests.support.sshd import Sshd, sshd


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[Engine, Engine]]:
    """(here, over there)."""
    pair = tuple(Engine(os.environ.get("PODLIKE_BIN", "podlike")) for _ in range(2))
    try:
        archive = f"{pair[0].dir}/image.tar"
        oci.write_oci_archive(archive, {"localhost/ours:1": oci.Image(layers=[oci.layer([oci.File("f", b"text\n")])])})
        pair[0]("load", "-q", "-i", archive)
        yield pair[0], pair[1]
    finally:
        for engine in pair:
            engine.destroy()


@pytest.fixture(scope="module")
def server(engines: tuple[Engine, Engine], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    need(shutil.which("sshd", path="/usr/sbin:/usr/bin"), "sshd: apt-get install openssh-server")
    need(shutil.which("ssh"), "ssh: apt-get install openssh-client")
    here, there = engines
    directory = tmp_path_factory.mktemp("ssh")
    (directory / "bin").mkdir()
    (directory / "bin/podlike").symlink_to(there.bin)
    with sshd(directory, env={"PATH": f"{directory}/bin:/usr/bin:/bin", "PODLIKE_ROOT": there.data,
                              "PODLIKE_RUNROOT": there.run_dir}) as s:
        config = Path(here.dir, "containers.conf")
        config.write_text(f'[engine]\nssh_config = "{s.config}"\n[engine.service_destinations.friend]\n'
                          f'uri = "ssh://{s.address}/run/podman.sock"\n')
        here.env["CONTAINERS_CONF"] = str(config)
        yield s


def digest(engine: Engine, name: str) -> str:
    return engine("image", "inspect", "--format", "{{.Id}} {{.Digest}}", name).line


def test_to_a_host_and_back(engines: tuple[Engine, Engine], server: Sshd) -> None:
    here, there = engines
    assert here("image", "scp", "-q", "ours:1", f"{server.address}::").stdout == "Loaded image: localhost/ours:1\n"
    assert digest(there, "ours:1") == digest(here, "ours:1")
    here("image", "scp", "-q", "ours:1", "friend::quay.io/x/renamed:2")  # a connection of containers.conf
    there("tag", "ours:1", "theirs:3")
    here("image", "scp", "-q", f"{server.address}::theirs:3", "mine:4")
    assert digest(here, "mine:4") == digest(here, "ours:1") == digest(there, "quay.io/x/renamed:2")
    here("rmi", "mine:4", "theirs:3")


def test_by_podmans_connections(engines: tuple[Engine, Engine], server: Sshd, tmp_path: Path) -> None:
    here, there = engines
    doc = {"Connection": {"Default": "pal", "Connections": {"pal": {"URI": f"ssh://{server.address}/run/x.sock"}}}}
    (tmp_path / "connections.json").write_text(json.dumps(doc))
    env = {"PODMAN_CONNECTIONS_CONF": str(tmp_path / "connections.json")}
    image_id = digest(here, "ours:1").split()[0]
    here("image", "scp", image_id, "pal::byid:5", env=env)
    assert digest(there, "byid:5") == digest(here, "ours:1")


@pytest.mark.parametrize("args, code, words", [
    (("nope:1", "{}::"), 125, "Error: nope:1: image not known"), (("{}::nope:1",), 125, "nope:1: image not known"),
    (("ours:1",), 125, "must specify a destination"), (("{}::",), 125, "no source image specified"),
    (("{}::", "{}::"), 125, "a source image must be specified"), (("-oProxyCommand=x::ours:1",), 125, "unknown shorthand"),
    (("ours:1", "-oProxyCommand=x y::"), 125, "unknown shorthand"), (("ours:1", "a b::"), 125, "neither a host"),
    (("ours:1", "nobody-here@localhost::"), 125, "user nobody-here is not known"),
    (("ours:1", "127.0.0.1:1::"), 125, "load the image at 127.0.0.1:1"),
])
def test_what_cannot_be_copied(engines: tuple[Engine, Engine], server: Sshd, args: tuple[str, ...], code: int,
                               words: str) -> None:
    result = engines[0]("image", "scp", *(a.format(server.address) for a in args), check=False)
    assert result.code == code and words in result.stderr


def test_to_oneself_under_another_name(engines: tuple[Engine, Engine]) -> None:
    import getpass

    here = engines[0]
    here("image", "scp", "-q", "ours:1", f"{getpass.getuser()}@localhost::again:1")
    assert digest(here, "again:1") == digest(here, "ours:1")
    here("rmi", "again:1")
