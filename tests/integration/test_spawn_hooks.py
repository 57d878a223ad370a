"""Hooks: their order, places, state and environment, and those that fail."""

import json
import os
from typing import Any

import pytest

from tests.support.box import Box, Config, reap


def hook(box: Box, name: str, extra: str = "") -> Config:
    script = f'echo {name} $(sed \'s/.*"status":"\\([a-z]*\\)".*/\\1/\') >> {box.dir}/hooks; {extra}'
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}


def test_hooks(box: Box) -> None:
    names = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    box.spec["hooks"] = {n: [hook(box, n)] for n in names}
    # This one runs in the container, which has no sed.
    box.spec["hooks"]["startContainer"] = [
        {"path": "/bin/sh", "args": ["sh", "-c", "cat > /tmp/state"], "env": ["PATH=/bin"]}
    ]
    assert json.loads(box.sh("cat /tmp/state"))["id"] == "c"
    with open(f"{box.dir}/hooks") as f:
        assert f.read().split("\n")[:-1] == [
            "prestart creating",
            "createRuntime creating",
            "createContainer creating",
            "poststart running",
            "poststop stopped",
        ]


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_failing_hook_aborts(box: Box, kind: str) -> None:
    box.spec["hooks"] = {kind: [hook(box, kind, "exit 7")]}
    p = box.run("true")
    assert p.returncode == 1 and p.stderr == f"error executing hook `/bin/sh` ({kind}, exit code: 7)\n"
    assert box.ids() == []


KINDS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]


def shell_hook(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin", "H=hook"], **more}


def test_hooks_in_order_with_the_state(any_box: Box) -> None:
    """Each kind in its place, in its namespaces, with the state that the specification gives it there."""
    log = directory = f"{any_box.dir}/log"
    os.mkdir(directory)
    os.chmod(directory, 0o777)
    any_box.spec["annotations"] = {"a.b": "c"}
    any_box.spec["mounts"].append({"destination": log, "options": ["bind"], "source": log})
    any_box.spec["hooks"] = {
        kind: [shell_hook(f"cat > {log}/{kind}; echo {kind}{i} $H $(readlink /proc/self/ns/mnt) >> {log}/order") for i in (1, 2)]
        for kind in KINDS
    }
    container = any_box.sh("readlink /proc/self/ns/mnt").strip()
    host = any_box.inside("readlink", "/proc/self/ns/mnt").stdout.strip()
    with open(f"{log}/order") as f:
        rows = [line.split() for line in f]
    assert [r[0] for r in rows] == [f"{k}{i}" for k in KINDS for i in (1, 2)] and {r[1] for r in rows} == {"hook"}
    where = {r[0][:-1]: "container" if r[2] == container else "host" if r[2] == host else "?" for r in rows}
    assert where == {k: "container" if k in ("createContainer", "startContainer") else "host" for k in KINDS}
    states = {}
    for kind in KINDS:
        with open(f"{log}/{kind}") as f:
            states[kind] = json.load(f)
    status = {k: s["status"] for k, s in states.items()}
    assert status == {
        "prestart": "creating",
        "createRuntime": "creating",
        "createContainer": "creating",
        "startContainer": "created",
        "poststart": "running",
        "poststop": "stopped",
    }
    for state in states.values():
        assert (state["id"], state["bundle"], state["annotations"]) == ("c", any_box.bundle, {"a.b": "c"})
        assert state["ociVersion"] == "1.2.0"
    assert states["createContainer"]["pid"] == states["startContainer"]["pid"] == 1, "as seen in the container"
    assert states["prestart"]["pid"] == states["createRuntime"]["pid"] == states["poststart"]["pid"] > 1


@pytest.mark.parametrize("kind", KINDS[:5])
@pytest.mark.parametrize("how", ["exit 7", "kill -9 $$", "exec sleep 100"])
def test_hook_that_fails(any_box: Box, kind: str, how: str) -> None:
    """An error, no container, no process; poststop hooks run where there was one to stop."""
    bad = shell_hook(how, **({"timeout": 1} if "sleep" in how else {}))
    any_box.spec["hooks"] = {kind: [bad, shell_hook(f"touch {any_box.dir}/second")]}
    words = {
        "exit 7": f"error executing hook `/bin/sh` ({kind}, exit code: 7)\n",
        "kill -9 $$": f"error executing hook `/bin/sh` ({kind}): killed by signal 9\n",
        "exec sleep 100": "hook `/bin/sh` did not end within 1 seconds\n",
    }[how]
    any_box.write("sleep", "100")
    p = any_box("run", "-b", any_box.bundle, "c")
    assert (p.returncode, p.stderr) == (1, words)
    assert any_box.ids() == [] and not os.path.exists(f"{any_box.dir}/second")


def test_start_whose_poststart_hook_fails_destroys_the_container(any_box: Box) -> None:
    log = f"{any_box.dir}/stopped"
    any_box.spec["hooks"] = {"poststart": [shell_hook("exit 3")], "poststop": [shell_hook(f"touch {log}")]}
    pid = any_box.create("sleep", "100")
    p = any_box("start", "c")
    assert p.returncode == 1 and "(poststart, exit code: 3)" in p.stderr
    assert reap(pid) == -9 and any_box.ids() == [] and os.path.exists(log)


def test_poststop_hooks_all_run(any_box: Box) -> None:
    log = f"{any_box.dir}/log"
    any_box.spec["hooks"] = {"poststop": [shell_hook("exit 3"), shell_hook(f"touch {log}"), {"path": "/no/such"}]}
    p = any_box.run("true")
    assert p.returncode == 0 and os.path.exists(log)
    warnings = p.stderr.splitlines()
    assert warnings[0] == "warning: poststop hook failed with exit code 3: `/bin/sh`"
    assert warnings[-1].startswith("warning: error executing hook `/no/such` (poststop, exit code: 127): No such")


def test_environment_and_output_of_hooks(any_box: Box) -> None:
    out, err = f"{any_box.dir}/out.log", f"{any_box.dir}/err.log"
    any_box.spec["annotations"] = {"run.oci.hooks.stdout": out, "run.oci.hooks.stderr": err}
    script = "echo $0 $MINE $HOME; echo oops >&2; ls /proc/self/fd"
    inherit = {"path": "/bin/sh", "args": ["name", "-c", script]}
    any_box.spec["hooks"] = {"createRuntime": [inherit], "createContainer": [{**inherit, "env": ["MINE=1"]}]}
    any_box.enter = ["env", "MINE=caller", "HOME=/h", *any_box.enter]
    assert any_box.run("true").returncode == 0
    with open(out) as f:
        assert f.read().split() == ["name", "caller", "/h", "0", "1", "2", "3", "name", "1", "0", "1", "2", "3"]
    with open(err) as f:
        assert f.read() == "oops\noops\n"
