"""Pods: what their containers share, what they cost, how they start, end and go."""

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine, wait_for

QUIET = ("--network", "none")
SLEEP = ("sleep", "1000")


@pytest.fixture
def pods(podlike: Engine) -> Iterator[Engine]:
    yield podlike
    podlike("pod", "rm", "--all", "--force", "--time", "0")
    assert podlike("pod", "ps", "-q").stdout == ""


def inspect(podlike: Engine, pod: str) -> "dict[str, Any]":
    doc: dict[str, Any] = json.loads(podlike("pod", "inspect", pod).stdout)[0]
    return doc


def states(podlike: Engine, pod: str) -> "dict[str, str]":
    rows = json.loads(podlike("ps", "-a", "--filter", f"pod={pod}", "--format", "json").stdout)
    return {"infra" if row["IsInfra"] else row["Names"][0]: row["State"] for row in rows}


def test_they_share(pods: Engine, image: str) -> None:
    """Network, IPC with /dev/shm, host name and hosts; process ids on request."""
    pods("pod", "create", "--name", "p", "--share", "+pid", "--add-host", "other:10.1.2.3", "-p",
         "127.0.0.1:18345:80")
    pods("run", "-d", "--pod", "p", "--name", "a", image, "sh", "-c",
         "touch /dev/shm/seen; echo hello | nc -l -p 80; sleep 1000")
    seen = pods("run", "--rm", "--pod", "p", image, "sh", "-c",
                "hostname; ls /dev/shm; cat /proc/1/cmdline; grep other /etc/hosts")
    assert seen.stdout.splitlines()[:3] == ["p", "seen", "/pause\0" + "10.1.2.3\tother"]
    assert pods("port", "a").line == "80/tcp -> 127.0.0.1:18345"
    look = ("sh", "-c", "ls -l /proc/self/ns | grep -o '[a-z]*:.[0-9]*.$'")
    spaces = [set(pods(*words, *look).stdout.split()) for words in (("exec", "a"), ("run", "--rm", "--pod", "p", image))]
    assert sorted(one.partition(":")[0] for one in spaces[0] - spaces[1]) == ["cgroup", "mnt"]
    answer = pods("exec", "a", "sh", "-c", "echo x | nc 127.0.0.1 80")
    assert answer.line == "hello"
    refused = pods("run", "--pod", "p", "-p", "81:81", image, "true", check=False)
    assert refused.code == 125 and "must be defined when the pod is created" in refused.stderr and "Hint: " in refused.stderr


def test_an_idle_pod_is_one_process(pods: Engine, image: str) -> None:
    """No monitor for the infra container; the network helper goes with it however it ends."""
    pods("pod", "create", "--name", "p")
    before = pods.processes()
    pods("pod", "start", "p")
    new = {pid: cmd for pid, cmd in pods.processes().items() if pid not in before and "podlike-session" not in cmd}
    assert sorted(os.path.basename(cmd.split()[0]) for cmd in new.values()) == ["pause", "slirp4netns"]
    pause = next(pid for pid, cmd in new.items() if cmd == "/pause")
    os.kill(pause, signal.SIGKILL)
    wait_for(lambda: not set(new) & set(pods.processes()), "the helper's end")
    assert inspect(pods, "p")["State"] == "Exited"
    pods("run", "-d", "--pod", "p", "--name", "a", image, *SLEEP)
    assert inspect(pods, "p")["State"] == "Running"


def test_from_start_to_removal(pods: Engine, image: str) -> None:
    def state() -> str:
        return pods("pod", "ps", "--format", "{{.Status}}").line

    pods("pod", "create", "--name", "p", *QUIET)
    pods("create", "--pod", "p", "--name", "a", "--stop-timeout", "0", image, *SLEEP)
    pods("create", "--pod", "p", "--name", "b", "--requires", "a", image, *SLEEP)
    assert state() == "Created"
    assert pods("pod", "start", "p").line == "p" and state() == "Running"
    group = "/sys/fs/cgroup" + inspect(pods, "p")["CgroupPath"]
    if group != "/sys/fs/cgroup":
        assert len([n for n in os.listdir(group) if n.startswith("podlike-")]) == 3
        pods("pod", "pause", "p")
        assert state() == "Paused" and states(pods, "p") == {"infra": "paused", "a": "paused", "b": "paused"}
        pods("pod", "unpause", "p")
    pods("kill", "b")
    wait_for(lambda: state() == "Degraded", "the end of b")
    refused = pods("pod", "rm", "p", check=False)
    assert refused.code == 125 and "not all containers could be removed from pod" in refused.stderr
    assert states(pods, "p") == {"infra": "running", "a": "running", "b": "exited"}
    pods("pod", "restart", "p")
    assert state() == "Running"
    assert pods("pod", "stop", "-t", "0", "p").line == "p" and state() == "Exited"
    assert group == "/sys/fs/cgroup" or not os.path.exists(group)
    pods("start", "b")  # after a, and both after the infra container
    assert state() == "Running"
    pods("pod", "kill", "p")
    wait_for(lambda: state() == "Exited", "the end of all")
    assert pods("pod", "rm", "p").line == pods("events", "--stream=false", "--filter", "event=remove", "--filter", "type=pod",
                                               "--format", "{{.ID}}").stdout.split()[-1]
    assert pods("ps", "-aq").stdout == ""


def test_init_containers_and_exit_policy(pods: Engine, image: str) -> None:
    pods("pod", "create", "--name", "p", *QUIET, "--exit-policy", "stop")
    pods("create", "--pod", "p", "--name", "once", "--init-ctr", "once", image, "sh", "-c", "echo first > /dev/shm/x")
    pods("create", "--pod", "p", "--name", "always", "--init-ctr", "always", image, "sh", "-c", "echo then >> /dev/shm/x")
    pods("create", "--pod", "p", "--name", "a", image, "sh", "-c", "cat /dev/shm/x; usleep 300000")
    pods("pod", "start", "p")
    wait_for(lambda: inspect(pods, "p")["State"] == "Exited", "the pod's end")
    assert pods("pod", "logs", "-c", "a", "p").stdout == "first\nthen\n"
    assert set(states(pods, "p")) == {"infra", "always", "a"}
    pods("create", "--pod", "p", "--name", "bad", "--init-ctr", "once", image, "sh", "-c", "exit 3")
    failed = pods("pod", "start", "p", check=False)
    assert failed.code == 125 and "exited with code 3" in failed.stderr and states(pods, "p")["a"] == "exited"


def test_users(pods: Engine, image: str) -> None:
    pods("pod", "create", "--name", "p", *QUIET, "--userns", "keep-id", "--pid", "private", "--share", "+pid")
    assert pods("run", "--rm", "--pod", "p", image, "id", "-u").line == str(os.getuid())
    pods("run", "-d", "--pod", "p", "--name", "a", "--user", "0", image, *SLEEP)
    inner = pods("exec", "a", "sh", "-c", "cat /proc/self/uid_map; touch /mine /dev/shm/mine; stat -c %u /mine").stdout.split()
    assert str(os.getuid()) in inner and inner[-1] == "0"
    assert inspect(pods, "p")["SharedNamespaces"] == ["ipc", "net", "pid", "user", "uts"]
    rows = pods("pod", "top", "p", "user", "args").stdout.splitlines()[1:]
    assert sorted(row.split(None, 1) for row in rows) == [["root", "/pause"], ["root", " ".join(SLEEP)]]


def test_the_infra_container_is_the_pods(pods: Engine, image: str) -> None:
    pods("run", "-d", "--pod", "new:p", "--name", "a", "--hostname", "there", *QUIET, image, *SLEEP)
    infra = inspect(pods, "p")["InfraContainerID"]
    assert pods("exec", "a", "hostname").line == "there"
    for flags in ((), ("--force",)):
        refused = pods("rm", *flags, infra, check=False)
        assert refused.code == 125 and "cannot be removed without removing the pod" in refused.stderr
    ids = set(pods("ps", "-aq", "--no-trunc").stdout.split())
    assert infra in ids and set(pods("rm", "--force", "--depend", "-t", "0", infra).stdout.split()) == ids
    assert pods("pod", "exists", "p", check=False).code == 1
    assert pods("ps", "-aq").stdout == ""


def test_another_infra_image_and_a_monitor(pods: Engine, image: str, tmp_path: Path) -> None:
    pods("pod", "create", "--name", "p", *QUIET, "--infra-image", image, "--infra-command", "sleep 999", "--infra-name", "i")
    pods("pod", "start", "p")
    assert pods("container", "inspect", "-f", "{{.IsInfra}} {{.Config.Entrypoint}} {{.State.Running}}", "i").line == \
        "true [sleep 999] true"
    pidfile = f"{pods.dir}/infra.pid"
    pods("pod", "create", "--name", "q", *QUIET, "--infra-conmon-pidfile", pidfile, "--pod-id-file", f"{pods.dir}/pod.id")
    pods("pod", "start", "--pod-id-file", f"{pods.dir}/pod.id")
    with open(pidfile) as f:
        assert "podlike-conmon" in Path(f"/proc/{f.read()}/cmdline").read_text()
    pods("run", "--rm", "--pod-id-file", f"{pods.dir}/pod.id", image, "true")
    pods("pod", "rm", "-f", "-t", "0", "--pod-id-file", f"{pods.dir}/pod.id")
    assert not os.path.exists(f"{pods.dir}/pod.id")


def test_what_fails_leaves_nothing(pods: Engine, image: str) -> None:
    pods("pod", "create", "--name", "p")
    for args, words in ((("pod", "create", "--name", "p"), "is in use: pod already exists"),
                        (("pod", "create", "--infra-image", "localhost/none:x"), "localhost/none:x"),
                        (("pod", "create", "--infra-name", "p", "--name", "x"), "already in use by a pod"),
                        (("pod", "create", "--network", "nowhere"), "unable to find network with name or ID nowhere"),
                        (("pod", "create", "--infra=false", "--dns", "1.1.1.1"), "with --infra=false"),
                        (("run", "--pod", "new:x", "localhost/none:x"), "localhost/none:x"),
                        (("run", "--pod", "nope", image, "true"), "no such pod"),
                        (("pod", "start", "nope"), "no such pod")):
        failed = pods(*args, check=False)
        assert failed.code == 125 and words in failed.stderr, failed
    assert pods("pod", "ps", "--format", "{{.Name}}").line == "p"
    assert pods("pod", "rm", "nope", check=False).code == 1


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment(pods: Engine, image: str, seed: int) -> None:
    """A creation, start or removal that was killed is undone or finished by the next command that makes something."""
    rng = random.Random(seed)
    for n in range(4):
        name = f"k{seed}-{n}"
        with pods.popen("pod", "create", "--name", name, *QUIET) as command:
            time.sleep(0.12 + rng.random() * 0.15)
            command.kill()
        pods("run", "-d", "--replace", "--name", f"c{seed}-{n}", "--pod", f"new:{name}x", *QUIET, image, *SLEEP)
        pods("pod", "stop", "-t", "0", f"{name}x")
        with pods.popen("pod", "start", f"{name}x") as command:
            time.sleep(0.1 + rng.random() * 0.2)
            command.kill()
        with pods.popen("pod", "rm", "-f", "-t", "0", f"{name}x") as command:
            time.sleep(0.12 + rng.random() * 0.25)
            command.kill()
    pods("run", "--rm", *QUIET, image, "true")
    for row in json.loads(pods("pod", "ps", "--format", "json").stdout):
        # All or nothing of the one; the other is there until its removal has begun.
        assert len(row["Containers"]) == 2 - (not row["Name"].endswith("x")), row
        pods("pod", "rm", "-f", "-t", "0", row["Id"])
    assert pods("ps", "-aq").stdout == ""
