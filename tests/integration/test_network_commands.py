"""`network` commands on the networks there are, and in words about those that are not."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.need import need

ID = "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9"  # of every podman's default network


@pytest.fixture
def docker(podlike: Engine, tmp_path: Path) -> Iterator[Engine]:
    """The same store by the name docker."""
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'import sys; sys.argv[0] = \"docker\"; "
                       "from podlike.__main__ import main; main()' \"$@\"\n")
    program.chmod(0o755)
    found = Engine(str(program))
    found.env = {**podlike.env, "PYTHONPATH": str(Path(__file__).parents[2])}
    yield found


def test_ls(podlike: Engine) -> None:
    assert podlike("network", "ls").stdout == "NETWORK ID    NAME        DRIVER\n2f259bab93aa  podman      bridge\n"
    assert podlike("network", "list", "-n").stdout == "2f259bab93aa  podman      bridge\n"
    assert podlike("network", "ls", "-q").stdout == "podman\n"
    assert podlike("network", "ls", "--format", "{{.Name}} {{.ID}} {{range .Subnets}}{{.Subnet}}{{end}}").line == \
        "podman 2f259bab93aa 10.88.0.0/16"
    assert podlike("network", "ls", "--no-trunc", "--format", "{{.ID}}").line == ID
    for wanted, given in ((True, "name=pod"), (True, "driver=bridge"), (True, "id=2f25"), (False, "name=x"), (False, "label=a"),
                          (False, "driver=macvlan")):
        assert podlike("network", "ls", "-q", "--filter", given).stdout == ("podman\n" if wanted else ""), given
    bad = podlike("network", "ls", "--filter", "x=y", check=False)
    assert bad.code == 125 and bad.stderr.startswith("Error: x is an invalid filter\n")


def test_the_documents_are_podmans(podlike: Engine) -> None:
    """But for the interface, which netavark and CNI name differently, and the time."""
    ours = json.loads(podlike("network", "inspect", "podman").stdout)
    podman = Engine("podman")
    need(podman.is_podman, "no podman: install podman")
    try:
        theirs = json.loads(podman("network", "inspect", "podman").stdout)
        listed = json.loads(podman("network", "ls", "--format", "json").stdout)
    finally:
        podman.destroy()
    for doc in (*ours, *theirs, *listed):
        doc.pop("created")
        doc.pop("network_interface")
        doc.pop("containers", None)
    assert ours == theirs
    found = json.loads(podlike("network", "ls", "--format", "json").stdout)
    assert {k: found[0][k] for k in listed[0]} == listed[0] and "containers" not in found[0]
    format = "{{.ID}} {{.Driver}} {{.DNSEnabled}} {{len .Containers}}"
    assert podlike("inspect", "--type", "network", "-f", format, "podman").line == f"{ID} bridge false 0"


def test_exists_rm_prune(podlike: Engine) -> None:
    assert podlike("network", "exists", "podman").code == 0
    assert podlike("network", "exists", "2f259").code == 0
    assert podlike("network", "exists", "nope", check=False).code == 1
    gone = podlike("network", "rm", "nope", check=False)
    assert (gone.code, gone.stderr) == (1, "Error: unable to find network with name or ID nope: network not found\n")
    assert podlike("network", "rm", "-f", "-t", "-1", "nope").stdout == ""
    kept = podlike("network", "rm", "podman", check=False)
    assert (kept.code, kept.stderr) == (125, "Error: default network podman cannot be removed\n")
    assert podlike("network", "inspect", "nope", check=False).stderr == \
        "Error: inspecting object: network nope: unable to find network with name or ID nope: network not found\n"
    assert podlike("network", "prune", "-f").stdout == ""
    assert "Are you sure" in podlike("network", "prune", input="n\n").stdout


@pytest.mark.parametrize("words", [
    ("create", "--subnet", "10.9.0.0/24", "-d", "bridge", "--label", "a=b", "mine"), ("connect", "--ip", "10.1.2.3", "mine", "c"),
    ("disconnect", "-f", "mine", "c"), ("update", "--dns-add", "1.1.1.1", "mine"), ("reload", "--all")])
def test_what_is_not_there_yet_says_so(podlike: Engine, words: tuple[str, ...]) -> None:
    said = podlike("network", *words, check=False)
    assert said.code == 125 and "Hint: " in said.stderr
    assert ("not there yet" in said.stderr) is (words[0] != "reload")
    unknown = podlike("network", words[0], "--nope", check=False)
    assert unknown.stderr.startswith("Error: unknown flag: --nope\n")


def test_dockers_shapes(docker: Engine, podlike: Engine, image: str, name: str) -> None:
    table = docker("network", "ls").stdout.splitlines()
    assert table[0].split() == ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]
    assert [line.split()[1:] for line in table[1:]] == [["bridge", "bridge", "local"], ["host", "host", "local"],
                                                        ["none", "null", "local"]]
    cid = podlike("run", "-d", "--name", name, "--network", "none", image, "sleep", "100").line
    doc = json.loads(docker("network", "inspect", "none").stdout)[0]
    assert doc["Driver"] == "null" and doc["Containers"][cid]["Name"] == name and doc["IPAM"]["Config"] is None
    assert docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "bridge").line == "10.0.2.2"
    missing = docker("network", "inspect", "nope", check=False)
    assert missing.code == 1 and "network nope not found" in missing.stderr
    kept = docker("network", "rm", "bridge", check=False)
    assert kept.code == 1 and "bridge is a pre-defined network and cannot be removed" in kept.stderr
