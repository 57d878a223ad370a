"""Pods: clone, stats, logs, and by which names their containers find each other."""

import json

from tests.integration.test_pods import SLEEP, inspect, pods
from tests.support.engine import Engine, wait_for

__all__ = ["pods"]  # the fixture


def test_clone(pods: Engine, image: str) -> None:
    """Its containers with their needs among each other, what it has for all; changes; --destroy and --start."""
    pods("pod", "create", "--name", "p", "--label", "a=1", "--shm-size", "5m", "-v", "/etc:/host:ro", "--infra-name", "own")
    pods("create", "--pod", "p", "--name", "first", "--init-ctr", "always", image, "true")
    pods("create", "--pod", "p", "--name", "one", "-e", "WHO=me", image, *SLEEP)
    pods("create", "--pod", "p", "--name", "two", "--requires", "one", image, *SLEEP)
    copy = pods("pod", "clone", "p").line
    doc = inspect(pods, "p-clone")
    assert (doc["Id"], doc["State"], doc["Labels"]) == (copy, "Created", {"a": "1"})
    names = {c["Name"] for c in doc["Containers"]}
    assert names == {"first-clone", "one-clone", "two-clone", f"{copy[:12]}-infra"}
    last = pods("pod", "clone", "--start", "--destroy", "--label", "b=2", "-v", "/usr:/more:ro", "p-clone", "q").line
    assert pods("pod", "exists", "p-clone", check=False).code == 1
    doc = inspect(pods, "q")
    assert (doc["Id"], doc["State"], doc["Labels"]) == (last, "Running", {"a": "1", "b": "2"})
    seen = pods("exec", "one-clone1", "sh", "-c", "hostname; echo $WHO; ls -d /host /more; df -k /dev/shm | tail -1")
    assert seen.stdout.split()[:5] == ["q", "me", "/host", "/more", "tmpfs"] and " 5120 " in seen.stdout
    pods("stop", "-t", "0", "one-clone1", "two-clone1")
    pods("start", "two-clone1")
    assert pods("inspect", "-f", "{{.State.Status}}", "one-clone1").line == "running", "two needs the copy of one"
    assert inspect(pods, "p")["State"] == "Created"
    failed = pods("pod", "clone", "--infra-name", "own", "p", "bad", check=False)
    assert failed.code == 125 and "own" in failed.stderr
    assert pods("pod", "exists", "bad", check=False).code == 1


def test_names_in_hosts(pods: Engine, image: str) -> None:
    """Who runs in the pod is 127.0.0.1 there; who has ended is not."""
    pods("pod", "create", "--name", "p")
    pods("run", "-d", "--pod", "p", "--name", "one", image, *SLEEP)
    pods("run", "-d", "--pod", "p", "--name", "two", image, *SLEEP)

    def found() -> list[str]:
        lines = pods("exec", "one", "cat", "/etc/hosts").stdout.splitlines()
        return [line.split()[1] for line in lines if line.startswith("127.0.0.1\t") and line.split()[1] in ("one", "two")]

    assert found() == ["one", "two"]
    pods("restart", "-t", "0", "two")
    assert found() == ["one", "two"]
    pods("rm", "-f", "-t", "0", "two")
    assert found() == ["one"]


def test_stats(pods: Engine, image: str) -> None:
    nothing = pods("pod", "stats", "--no-stream").stdout.splitlines()
    assert nothing[0].split()[:3] == ["POD", "CID", "NAME"] and set(nothing[1].split()) == {"--"}
    pod = pods("pod", "create", "--name", "p").line
    busy = pods("run", "-d", "--pod", "p", "--name", "busy", image, "sh", "-c", "while :; do :; done").line
    pods("create", "--pod", "p", "--name", "idle", image, "true")
    rows = json.loads(pods("pod", "stats", "--no-stream", "--format", "json", "p").stdout)
    assert {row["Name"] for row in rows} == {"busy", f"{pod[:12]}-infra"}, "only what runs"
    row = next(row for row in rows if row["Name"] == "busy")
    assert (row["Pod"], row["CID"], row["PIDS"]) == (pod[:12], busy[:12], "1")
    assert float(row["CPU"].rstrip("%")) > 1
    assert set(row) == {"CPU", "MemUsage", "MemUsageBytes", "Mem", "NetIO", "BlockIO", "PIDS", "Pod", "CID", "Name"}
    table = pods("pod", "stats", "--no-stream", "--latest", "--format", "table {{.Name}} {{.PIDS}}").stdout
    assert table.splitlines()[0].split() == ["NAME", "PIDS"] and "busy" in table
    with pods.popen("pod", "stats", "--no-reset", "p") as stream:
        wait_for(lambda: b"busy" in stream.stdout.readline(), "the first row")
        stream.kill()
    assert pods("pod", "stats", "nope", check=False).code == 125


def test_logs(pods: Engine, image: str) -> None:
    pods("pod", "create", "--name", "p", "--network", "none")
    for name in ("one", "two"):
        pods("run", "--pod", "p", "--name", name, image, "sh", "-c", f"echo first; echo {name}")
    both = pods("pod", "logs", "--names", "p").stdout.splitlines()
    assert sorted(both) == ["one first", "one one", "two first", "two two"]
    assert pods("pod", "logs", "--latest", "-c", "two", "--tail", "1").stdout == "two\n"
    assert pods("pod", "logs", "--until", "2020-01-01T00:00:00Z", "-c", "one", "p").stdout == ""
    assert "\033[" in pods("pod", "logs", "--color", "p").stdout
