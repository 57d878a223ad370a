"""podlike stats: numbers that fit what containers do, in podman's and docker's shapes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine, wait_for

QUIET = ("--network", "none")


def rows(podlike: Engine, *args: str) -> dict[str, dict[str, Any]]:
    lines = podlike("stats", "--no-stream", "--format", "{{json .}}", *args).stdout.splitlines()
    return {doc["Name"]: doc for doc in map(json.loads, lines)}


@pytest.mark.parametrize("flags", [(), ("--cgroups=disabled",), ("--cgroups=disabled", "--pid=host")],
                         ids=["cgroup", "none", "host"])
def test_numbers(podlike: Engine, image: str, name: str, flags: tuple[str, ...]) -> None:
    """Of two processes, one of which is busy; by a cgroup, by a pid namespace, by who descends from whom."""
    script = "trap 'kill $(jobs -p); exit' TERM; sleep 1000 & while :; do :; done & wait"
    podlike("run", "-d", "--name", name, *QUIET, *flags, image, "sh", "-c", script)
    first = rows(podlike, name)[name]
    wait_for(lambda: rows(podlike, name)[name]["CPUNano"] > first["CPUNano"] + 200_000_000, "processor time")
    now = rows(podlike, name)[name]
    assert now["ContainerID"] == podlike("inspect", "-f", "{{.Id}}", name).line
    assert now["PIDs"] == 3
    assert now["CPU"] == now["AvgCPU"] > 1
    assert 50_000 < now["MemUsage"] < 100 << 20 and now["MemLimit"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert now["SystemNano"] > first["SystemNano"] > 1.7e18
    assert now["UpTime"] == now["Duration"] == now["CPUNano"] >= now["CPUSystemNano"]
    assert now["Network"] == {}
    podlike("stop", name)  # in the host's pid namespace nobody else ends the children


def test_which_and_how(podlike: Engine, image: str, name: str) -> None:
    up, paused, made, bare = (f"{name}{word}" for word in ("up", "paused", "made", "bare"))
    podlike("run", "-d", "--name", up, image, "sleep", "1000")
    podlike("run", "-d", "--name", paused, *QUIET, image, "sleep", "1000")
    podlike("run", "-d", "--name", bare, *QUIET, "--cgroups=disabled", image, "sleep", "1000")
    podlike("create", "--name", made, image)
    can_pause = podlike("pause", paused, check=False).code == 0
    listed = rows(podlike)
    assert up in listed and not {made, bare} & set(listed) and (paused in listed) != can_pause
    everything = rows(podlike, "--all")
    assert {up, paused, made} <= set(everything) and bare not in everything, "as with podman"
    assert bare in rows(podlike, bare)
    assert (everything[made]["MemLimit"], everything[made]["PIDs"]) == (0, 0)
    assert set(everything[up]["Network"]) == {"tap0"} and everything[up]["Network"]["tap0"]["TxBytes"] >= 0
    assert made in rows(podlike, "--latest")

    head, line = podlike("stats", "--no-stream", up).stdout.splitlines()
    assert re.split(r" {2,}", head.strip()) == ["ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET IO", "BLOCK IO", "PIDS",
                                               "CPU TIME", "AVG CPU %"]
    cells = re.split(r" {2,}", line.strip())
    assert cells[0] == everything[up]["ContainerID"][:12] and cells[7] == "1"
    assert all(re.fullmatch(r"\d+\.\d\d%", cells[n]) for n in (2, 4, 9))
    assert all(re.fullmatch(r"[\d.]+[kMG]?B / [\d.]+[kMG]?B", cells[n]) for n in (3, 5, 6))
    assert re.fullmatch(r"([\d.]+(s|ms|µs)|0s)", cells[8])

    doc = json.loads(podlike("stats", "--no-stream", "--no-trunc", "--format", "json", up).stdout)
    assert [" ".join(row) for row in doc] == [
        "id name cpu_time cpu_percent avg_cpu mem_usage mem_percent net_io block_io pids"]
    assert doc[0]["id"] == everything[up]["ContainerID"]
    table = podlike("stats", "--no-stream", "--format", "table {{.Name}} {{.MemUsageBytes}}", up).stdout.splitlines()
    assert table[0].split() == ["NAME", "MEM", "USAGE", "/", "LIMIT"] and "iB" in table[1]


def test_docker(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'import sys; sys.argv[0] = \"docker\"; "
                      "from podlike.__main__ import main; main()' \"$@\"\n")
    docker.chmod(0o755)
    podlike("run", "-d", "--name", name, *QUIET, image, "sh", "-c", "while :; do :; done")

    def stats(*args: str) -> list[str]:
        done = subprocess.run([str(docker), "stats", "--no-stream", *args, name], env=podlike.env, capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    head, line = stats()
    assert head.split("  ") and re.split(r" {2,}", head.strip()) == [
        "CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"]
    cells = re.split(r" {2,}", line.strip())
    assert cells[1] == name and cells[7] == "1" and "iB" in cells[3] and 1 < float(cells[2][:-1]) < 150
    row = json.loads(stats("--format", "json")[0])
    assert list(row) == ["BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs"]
    assert row["Container"] == row["Name"] == name and cells[0] == row["ID"]


def test_a_stream(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, *QUIET, image, "sh", "-c", "while :; do :; done")
    with podlike.popen("stats", "--interval", "1", "--format", "{{.CPUNano}} {{.CPU}}", name) as p:
        assert p.stdout is not None
        found = [[float(word) for word in p.stdout.readline().split()] for _ in range(3)]
        p.kill()
    assert found[0][0] < found[1][0] < found[2][0]
    assert 0 < found[2][1] < 150, "the share of the last second, not of the whole life"


@pytest.mark.parametrize(("args", "words"), [
    (("--interval", "0"), "invalid interval, must be a positive number greater zero"),
    (("--all", "x"), "--all, --latest and containers cannot be used together"),
    (("no-such-container",), 'no container with name or ID "no-such-container" found: no such container'),
])
def test_refused(podlike: Engine, args: tuple[str, ...], words: str) -> None:
    refused = podlike("stats", "--no-stream", *args, check=False)
    assert refused.code == 125 and words in refused.stderr
