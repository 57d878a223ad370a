"""podlike-spawn alone, as an ordinary user: a container's life from create to delete, and the commands about it."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.support.box import Box, own_cgroup, reap
from tests.support.need import need


def test_lifecycle(box: Box) -> None:
    pid = box.create("sh", "-c", "echo started; exec sleep 100")
    state = box.state()
    assert (state["id"], state["status"], state["pid"], state["bundle"]) == ("c", "created", pid, box.bundle)
    assert box.output() == ""
    box.ok("start", "c")
    assert box.state()["status"] == "running"
    again = box("start", "c")
    assert again.returncode == 1 and "it is running, not created" in again.stderr
    refused = box("delete", "c")
    assert refused.returncode == 1 and "not in `created` or `stopped` state" in refused.stderr
    box.ok("kill", "c", "KILL")
    assert reap(pid) == -signal.SIGKILL
    state = box.state()
    assert (state["status"], state["pid"]) == ("stopped", 0)
    dead = box("kill", "c")
    assert dead.returncode == 1 and "container not running" in dead.stderr
    box.ok("delete", "c")
    gone = box("state", "c")
    assert gone.returncode == 1 and gone.stderr == "container `c` does not exist\n"
    assert box.output() == "started\n"


@pytest.mark.parametrize(("sig", "number"), [("TERM", 15), ("SIGUSR1", 10), ("9", 9), ("rtmin+1", 35)])
def test_kill_signals(box: Box, sig: str, number: int) -> None:
    pid = box.start(
        "sh", "-c", f"trap 'exit {40 + number}' {number}; echo ready; while true; do sleep 0.01; done"
    )
    while "ready" not in box.output():
        time.sleep(0.005)
    box.ok("kill", "c", sig)
    assert reap(pid) == (-9 if number == 9 else 40 + number)


def test_kill_unknown_signal(box: Box) -> None:
    box.create("true")
    p = box("kill", "c", "NOPE")
    assert p.returncode == 1 and p.stderr == "unknown signal `NOPE`\n"


def test_same_id_twice(box: Box) -> None:
    pid = box.create("true")
    p = box("create", "-b", box.bundle, "c")
    assert p.returncode == 1 and p.stderr == "container with id `c` already exists\n"
    assert box.state()["pid"] == pid


@pytest.mark.parametrize("bad", ["", "../x", "a/b", ".x", "a b", "x" * 300])
def test_bad_ids(box: Box, bad: str) -> None:
    box.write("true")
    for command in (["create", "-b", box.bundle], ["state"], ["delete", "--force"]):
        p = box(*command, bad)
        assert p.returncode == 1 and "container ID" in p.stderr


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["nope"], 127, "executable file `nope` not found in $PATH: no such file or directory"),
        (["/no/such"], 127, "executable file `/no/such` not found in $PATH: no such file or directory"),
        (["/etc"], 126, "open executable: permission denied"),
        (["/plain"], 126, "open executable: permission denied"),
    ],
)
def test_command_that_cannot_run(box: Box, args: list[str], code: int, words: str) -> None:
    with open(f"{box.rootfs}/plain", "w") as f:
        f.write("text")
    box.write(*args)
    p = box(
        "--log",
        f"{box.dir}/log",
        "--log-format=json",
        "create",
        "--bundle",
        box.bundle,
        "--pid-file",
        f"{box.dir}/pid",
        "c",
    )
    assert p.returncode == code and words in p.stderr
    with open(f"{box.dir}/log") as f:
        entry = json.loads(f.read())
    assert entry["msg"] == p.stderr.rstrip("\n") and entry["level"] == "error" and entry["time"].endswith("Z")
    assert box.ids() == [] and not os.path.exists(f"{box.dir}/pid")


def test_missing_interpreter_is_told_by_start(box: Box) -> None:
    with open(f"{box.rootfs}/script", "w") as f:
        f.write("#!/no/interpreter\n")
    os.chmod(f"{box.rootfs}/script", 0o755)
    pid = box.create("/script")
    p = box("start", "c")
    assert p.returncode == 127
    assert (
        p.stderr == "exec container process (missing dynamic library?) `/script`: no such file or directory\n"
    )
    assert reap(pid) == 127


def test_configuration_errors_name_the_place(box: Box) -> None:
    box.spec["process"]["capabilities"]["bounding"] = ["CAP_KILL", "CAP_FOO"]
    p = box.run("true")
    assert (p.returncode, p.stderr) == (1, 'process.capabilities.bounding[1]: unknown capability "CAP_FOO"\n')
    assert box.ids() == []


def test_killed_creator_leaves_nothing_in_the_way(box: Box) -> None:
    box.spec["hooks"] = {
        "createRuntime": [
            {
                "path": "/bin/sh",
                "args": ["sh", "-c", f"echo $PPID > {box.dir}/creator; sleep 100"],
                "env": ["PATH=/bin:/usr/bin"],
            }
        ]
    }
    box.write("sleep", "100")
    p = subprocess.Popen(box.argv("create", "-b", box.bundle, "c"), stderr=subprocess.DEVNULL)
    while not os.path.exists(f"{box.dir}/creator") or not os.path.getsize(f"{box.dir}/creator"):
        time.sleep(0.005)
    children = box.inside("sh", "-c", f"cat /proc/{p.pid}/task/{p.pid}/children").stdout.split()
    p.kill()
    p.wait()
    for child in children:  # the container's process ends by itself; the hook is a stranger that goes on
        with open(f"/proc/{child}/cmdline") as f:
            if f.read().startswith("sh"):
                os.kill(int(child), signal.SIGKILL)
        reap(int(child))
    assert box.state()["status"] == "stopped"
    del box.spec["hooks"]
    assert box.sh("echo again") == "again\n"


def test_force_delete_while_it_is_created(box: Box) -> None:
    sleep = {"path": "/bin/sleep", "args": ["sleep", "0.3"]}
    box.spec["hooks"] = {"createRuntime": [sleep]}
    box.write("true")
    with subprocess.Popen(box.argv("create", "-b", box.bundle, "c"), stdout=subprocess.DEVNULL) as p:
        while box.ids() != ["c"]:
            time.sleep(0.005)
        assert json.loads(box.ok("list", "-f", "json"))[0]["status"] == "creating"
        asked = box("state", "c")
        assert (asked.returncode, asked.stderr) == (1, "container `c` is being created\n")
        refused = box("delete", "c")
        assert (refused.returncode, refused.stderr) == (1, "container `c` is being created\n")
        box.ok("delete", "--force", "c")
    assert p.returncode == 0 and box.ids() == []


def test_state_after_the_process_was_killed(box: Box) -> None:
    pid = box.start("sleep", "100")
    os.kill(pid, signal.SIGKILL) if box.inside("sh", "-c", f"kill -9 {pid}").returncode else None
    reap(pid)
    assert box.state()["status"] == "stopped"
    p = box("exec", "c", "true")
    assert p.returncode == 1 and p.stderr == "the container `c` is not running\n"


def test_reused_pid_is_not_the_container(box: Box) -> None:
    pid = box.start("sleep", "100")
    path = f"{box.root}/c/state.json"
    with open(path) as f:
        state = json.load(f)
    state["startTime"] += 1
    with open(path, "w") as f:
        json.dump(state, f)
    assert box.state()["status"] == "stopped"
    assert box("kill", "c", "KILL").returncode == 1
    box.ok("delete", "c")
    assert os.path.exists(f"/proc/{pid}")
    box.inside("sh", "-c", f"kill -9 {pid}")
    assert reap(pid) == -9


def test_run_forwards_signals(box: Box) -> None:
    box.write("sh", "-c", "trap 'echo got; exit 23' TERM; echo ready; while true; do sleep 0.01; done")
    p = subprocess.Popen(box.argv("run", "-b", box.bundle, "c"), stdout=subprocess.PIPE, text=True)
    assert p.stdout is not None and p.stdout.readline() == "ready\n"
    p.send_signal(signal.SIGTERM)
    assert p.communicate(timeout=10)[0] == "got\n" and p.returncode == 23


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 200", 200), ("kill -15 $$; sleep 1", 0), ("sh -c 'kill -9 $$'; exit $?", 137)],
)
def test_run_exit_codes(box: Box, script: str, code: int) -> None:
    # Process 1 of a pid namespace does not die of a signal that it does not handle (pid_namespaces(7)).
    assert box.run("sh", "-c", script).returncode == code


def test_list_and_forms_of_options(box: Box) -> None:
    assert box.ok("list", "--format=json") == "[]\n" if os.path.isdir(box.root) else True
    box.create("true", name="one")
    box.create("true", name="two")
    assert sorted(box.ids()) == ["one", "two"]
    rows = json.loads(box.ok("list", "-f", "json"))
    assert {r["id"]: r["status"] for r in rows} == {"one": "created", "two": "created"}
    assert box.ok("list").splitlines()[0].split()[:3] == ["NAME", "PID", "STATUS"]


def test_damaged_state_of_one_container(box: Box) -> None:
    box.create("true", name="good")
    box.create("true", name="bad")
    pid = box.state("bad")["pid"]
    with open(f"{box.root}/bad/state.json", "w") as f:
        f.write("{")
    assert box.ids() == ["good"]
    p = box("state", "bad")
    assert p.returncode == 1 and "read the state of container `bad`" in p.stderr
    box.ok("delete", "--force", "bad")
    box.inside("sh", "-c", f"kill -9 {pid}")


def test_missing_container(box: Box) -> None:
    for command in (["start"], ["kill"], ["delete"], ["exec"], ["ps"], ["pause"]):
        p = box(*command, "none", *(["true"] if command == ["exec"] else []))
        assert (p.returncode, p.stderr) == (1, "container `none` does not exist\n")
    box.ok("delete", "--force", "none")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["frob"], "unknown command `frob`"),
        (["create"], "usage: podlike-spawn create"),
        (["create", "--nope", "c"], "unknown option --nope"),
        (["--cgroup-manager", "x", "list"], "unknown cgroup manager `x`"),
        (["--root"], "option --root requires an argument"),
        (["create", "-b", "/no/such", "c"], "open bundle `/no/such`: No such file or directory"),
    ],
)
def test_usage_errors(box: Box, args: list[str], words: str) -> None:
    p = box(*args)
    assert p.returncode == 1 and words in p.stderr and p.stderr.count("\n") == 1


def test_version_help_features_spec(box: Box) -> None:
    version = box.ok("--version")
    assert version.startswith("podlike-spawn version ") and "spec: 1.2.0\n" in version
    commands = [
        line.split()[0] for line in box.ok("--help").split("Commands:\n")[1].split("\n\n")[0].splitlines()
    ]
    assert {"create", "start", "exec", "delete"} <= set(commands)
    for c in commands:
        assert box.ok(c, "--help").startswith(f"Usage: podlike-spawn {c}")
    features = json.loads(box.ok("features"))
    assert "rbind" in features["mountOptions"] and "CAP_CHOWN" in features["linux"]["capabilities"]
    os.unlink(f"{box.bundle}/config.json") if os.path.exists(f"{box.bundle}/config.json") else None
    box.ok("spec", "--rootless", "-b", box.bundle)
    with open(f"{box.bundle}/config.json") as f:
        box.spec = json.load(f)
    box.spec["process"]["terminal"] = False
    box.spec["linux"]["uidMappings"][0]["hostID"] = box.spec["linux"]["gidMappings"][0]["hostID"] = 0
    assert box.sh("hostname") == "podlike\n"


def test_cgroup(box: Box) -> None:
    parent = os.path.dirname(own_cgroup())
    need(
        os.path.exists("/sys/fs/cgroup/cgroup.controllers")
        and parent not in ("", "/")
        and os.access(f"/sys/fs/cgroup{parent}", os.W_OK),
        "optional: no cgroup v2 subtree that belongs to this user",
        optional=True,
    )
    path = f"{parent}/podlike-test-{os.getpid()}"
    box.spec["linux"]["cgroupsPath"] = path
    pid = box.start("sh", "-c", "sleep 100 & sleep 100")
    with open(f"/proc/{pid}/cgroup") as f:
        assert f"0::{path}\n" in f.read()
    p = box("exec", "c", "sh", "-c", "cat /proc/self/cgroup")
    assert "0::/\n" in p.stdout
    assert len(json.loads(box.ok("ps", "-f", "json", "c"))) == 2
    box.ok("pause", "c")
    assert box.state()["status"] == "paused"
    p = box("exec", "c", "true")
    assert p.returncode == 1 and "is paused" in p.stderr
    box.ok("resume", "c")
    assert box.state()["status"] == "running"
    box.ok("kill", "--all", "c", "KILL")
    assert reap(pid) == -9
    box.ok("delete", "c")
    assert not os.path.exists(f"/sys/fs/cgroup{path}")
    box.spec["linux"]["resources"] = {"memory": {"limit": 50 << 20}}
    with open(f"/sys/fs/cgroup{parent}/cgroup.controllers") as f:
        if "memory" not in f.read().split():
            p = box.run("true")
            assert p.returncode == 1 and "the requested cgroup controller `memory` is not available" in p.stderr
            assert not os.path.exists(f"/sys/fs/cgroup{path}")
