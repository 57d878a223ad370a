"""export, commit, clone, init, container prune, runlabel: what comes of a container."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine
from tests.support.need import need


@pytest.fixture
def made(podlike: Engine) -> Iterator[Engine]:
    """Images of the test go with it."""
    before = set(podlike("images", "-aq", "--no-trunc").stdout.split())
    yield podlike
    podlike("rm", "-af", "-t", "0")
    for image in set(podlike("images", "-aq", "--no-trunc").stdout.split()) - before:
        podlike("rmi", "-f", image)


def config(engine: Engine, image: str) -> dict[str, Any]:
    doc: dict[str, Any] = json.loads(engine("image", "inspect", image).stdout)[0]
    return doc


def test_export(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    podlike("run", "-d", "--name", name, "-v", f"{name}:/vol", image, "sh", "-c",
            "echo x > /vol/x; mkdir /.wh.odd; echo 1 > /new; chown 3:4 /new; rm /bin/ls; sleep 1000")
    podlike("exec", name, "sh", "-c", "while ! test -e /new; do :; done; sleep 0.1")
    podlike("export", "-o", str(tmp_path / "a.tar"), name)
    with podlike.popen("container", "export", name) as p:
        data, err = p.communicate()
    assert p.returncode == 0 and err == b"" and data == (tmp_path / "a.tar").read_bytes()
    members = {m.name: m for m in tarfile.open(fileobj=io.BytesIO(data))}
    assert (members["new"].uid, members["new"].gid) == (3, 4) and "bin/ls" not in members and ".wh.odd" in members
    assert "vol" in members and "vol/x" not in members and not any(n.startswith("proc/") for n in members)
    podlike("stop", "-t", "0", name)
    podlike("export", "-o", str(tmp_path / "b.tar"), name)
    assert (tmp_path / "b.tar").read_bytes() == data
    with podlike.popen("export", name) as p:
        assert p.stdout is not None
        p.stdout.read(100)
        p.stdout.close()
        assert p.wait(20) in (141, 0) and p.stderr is not None and p.stderr.read() == b""
    with podlike.terminal("export", name) as terminal:
        terminal.expect("refusing to export to terminal. Use -o flag or redirect")
    bad = podlike("export", "-o", "/nowhere/x", name, check=False)
    assert bad.code == 125 and bad.stderr.startswith("Error: write /nowhere/x: No such file")
    podlike("rm", name)
    podlike("export", name, check=False)


def test_commit_keeps_changes(made: Engine, image: str, name: str) -> None:
    made("run", "--name", name, "-e", "MINE=1", "--label", "l=m", "--env", "http_proxy=", image, "sh", "-c",
         "rm /bin/ls; rm -r /usr/share 2>/dev/null; mkdir -p /opt/d; echo new > /opt/d/f; chown 7:8 /opt/d/f; "
         "chmod 4711 /opt/d/f; "
         "rm -rf /var; mkdir /var; chmod 700 /")
    iid = made("commit", name, "mine").line
    check = ("sh", "-c", "test ! -e /bin/ls && stat -c '%u:%g %a' /opt/d/f / && echo $MINE && ls -A /var | wc -l")
    said = made("run", "--rm", "mine", *(c.replace("ls -A", "busybox ls -A") for c in check)).stdout.split()
    assert said == ["7:8", "4711", "0:0", "700", "1", "0"]
    doc = config(made, "mine")
    assert doc["Id"] == iid and doc["RepoTags"] == ["localhost/mine:latest"] and doc["Config"]["Labels"]["l"] == "m"
    # Which image it was is told by layers and history alone: others of the store may have the same.
    assert config(made, doc["Parent"])["RootFS"] == config(made, image)["RootFS"]
    assert len(doc["RootFS"]["Layers"]) == len(doc["History"])
    assert doc["History"][-1]["created_by"] == "/bin/sh" and doc["History"][-1]["comment"] == f"FROM {image}"
    # The same changes give the same layer.
    again = config(made, made("commit", "-q", name).line)
    assert again["RootFS"] == doc["RootFS"] and again["RepoTags"] == []


def test_commit_squashed_and_in_dockers_format(made: Engine, image: str, name: str, tmp_path: Path) -> None:
    need(subprocess.run(["skopeo", "--version"], capture_output=True).returncode == 0, "skopeo is not installed")
    made("run", "-d", "--name", name, "-v", f"{name}:/named", "-v", "/anonymous", "-v", f"{tmp_path}:/bound", image,
         "sleep", "1000")
    made("exec", name, "rm", "/bin/ls")
    assert made("commit", "-m", "x", name, check=False).stderr == (
        "Error: messages are only compatible with the docker image format (-f docker)\n")
    done = made("commit", "-f", "docker", "-m", "note", "-a", "me", "--squash", "--pause", "--include-volumes", "-c",
                "CMD [\"a\"]", "--change", "ENV Q=1 R=2", "--iidfile", str(tmp_path / "iid"), name, "sq:1")
    assert "Getting image source signatures\n" in done.stderr and "Writing manifest to image destination" in done.stderr
    assert (tmp_path / "iid").read_text() == done.line
    assert made("inspect", "--format", "{{.State.Status}}", name).line == "running"
    doc = config(made, "sq:1")
    assert len(doc["RootFS"]["Layers"]) == len(doc["History"]) == 1 and doc["Author"] == "me"
    assert doc["History"][0]["comment"] == f"note FROM {image}" and doc["Config"]["Env"][-2:] == ["Q=1", "R=2"]
    assert sorted(doc["Config"]["Volumes"]) == ["/anonymous", "/bound", "/named"]
    made("commit", "-q", name, "plain:1")
    assert list(config(made, "plain:1")["Config"]["Volumes"]) == ["/anonymous"]
    for ref in ("sq:1", "plain:1"):
        made("save", "-q", "--format", "oci-archive", "-o", str(tmp_path / "o.tar"), ref)
        seen = json.loads(subprocess.run(["skopeo", "inspect", f"oci-archive:{tmp_path}/o.tar"], capture_output=True,
                                         check=True).stdout)
        assert seen["Layers"] and seen["Labels"] is None or isinstance(seen["Labels"], dict)
    (tmp_path / "cfg").write_text('{"Cmd": ["z"], "Env": ["Z=1"]}')
    made("commit", "-q", "--config", str(tmp_path / "cfg"), name, "cfg:1")
    assert config(made, "cfg:1")["Config"]["Cmd"] == ["z"]
    made("volume", "rm", name, check=False)


@pytest.mark.parametrize(("args", "why"), [
    (("--format", "v1"), 'unrecognized image format "v1"'), (("-c", "FROM x"), "invalid instruction FROM"),
    (("--config", "/none"), "--config: open /none: no such file or directory")])
def test_commit_refuses_before_it_does_anything(made: Engine, image: str, name: str, args: tuple[str, ...], why: str) -> None:
    made("create", "--name", name, image, "true")
    before = made("images", "-aq").stdout
    done = made("commit", *args, name, "x", check=False)
    assert done.code == 125 and why in done.stderr and made("images", "-aq").stdout == before
    bad = made("commit", name, "UPPER", check=False)
    assert bad.code == 125 and made("images", "-aq").stdout == before


def test_commit_with_ids_of_its_own(made: Engine, image: str, name: str) -> None:
    made("run", "--name", name, "--userns=keep-id", "--user", "root", image, "sh", "-c", "echo > /f; echo > /g; chown 5:6 /g")
    made("commit", "-q", name, "ids")
    assert made("run", "--rm", "ids", "stat", "-c", "%u:%g", "/f", "/g", "/bin/busybox").stdout.split() == ["0:0", "5:6", "0:0"]


def test_clone(made: Engine, image: str, name: str) -> None:
    made("run", "-d", "--name", name, "--stop-timeout", "0", "-e", "X=1", "-v", f"{name}:/v", "--label", "a=b", image, "sleep",
         "1000")
    first = made("container", "clone", name).line
    made("container", "clone", name)
    doc = json.loads(made("inspect", f"{name}-clone").stdout)[0]
    old = json.loads(made("inspect", name).stdout)[0]
    assert doc["Id"] == first and doc["State"]["Status"] == "created" and doc["Config"]["Env"] == old["Config"]["Env"]
    for key in ("Mounts", "HostConfig"):
        assert doc[key] == old[key] or key == "HostConfig" and doc[key]["Binds"] == old[key]["Binds"]
    assert made("inspect", "--format", "{{.Name}}", f"{name}-clone1").line == f"{name}-clone1"
    busy = made("container", "clone", "--destroy", name, "other", check=False)
    assert busy.code in (2, 125) and "is running" in busy.stderr and made("container", "exists", "other", check=False).code == 1
    made("container", "clone", "--destroy", "-f", "--run", name, "other", image)
    assert made("ps", "--format", "{{.Names}}").line == "other" and made("container", "exists", name, check=False).code == 1
    for args, why in ((("--force", "other"), "cannot set --force without --destroy: invalid argument"),
                      (("none",), 'no container with name or ID "none" found: no such container'),
                      (("--cpus", "1", "--cpu-quota", "5000", "other"), "--cpu-quota and --cpus cannot be set together")):
        assert made("container", "clone", *args, check=False).stderr.startswith(f"Error: {why}")


def test_init_then_start(made: Engine, image: str, name: str) -> None:
    made("create", "--name", name, image, "sh", "-c", "echo out; exit 3")
    made("create", "--name", f"{name}-r", "--restart", "on-failure:1", image, "sh", "-c", "exit 4")
    assert made("init", name).line == name
    again = made("container", "init", name, check=False)
    assert again.code == 125 and "has already been created in runtime: container state improper" in again.stderr
    pid = made("inspect", "--format", "{{.State.Status}} {{.State.Pid}}", name).line.split()
    assert pid[0] == "initialized" and int(pid[1]) > 0
    made("init", "--all")
    done = made("start", "--attach", name, check=False)
    assert (done.code, done.stdout) == (3, "out\n")
    made("start", f"{name}-r")
    assert made("wait", f"{name}-r").line == "4"
    for act in (("stop",), ("rm",), ("rm", "-f")):
        if made("container", "exists", name, check=False).code:
            made("create", "--name", name, image, "true")
        made("init", name)
        made(*act, name)
    events = made("events", "--stream=false", "--filter", f"container={name}", "--format", "{{.Status}}").stdout.split()
    assert events[:4] == ["create", "init", "start", "attach"] or events[:3] == ["create", "init", "start"]


def test_container_prune(made: Engine, image: str, name: str) -> None:
    made("run", "--name", f"{name}-old", "--label", f"who={name}", image, "true")
    made("run", "--name", f"{name}-kept", image, "true")
    made("run", "-d", "--name", f"{name}-up", "--label", f"who={name}", image, "sleep", "1000")
    asked = made("container", "prune", "--filter", f"label=who={name}", input="n\n")
    assert asked.stdout == ("WARNING! This will remove all non running containers.\n"
                            "Are you sure you want to continue? [y/N] ")
    gone = made("container", "prune", "--force", "--filter", f"label=who={name}").stdout.split()
    assert len(gone) == 1 and made("container", "exists", gone[0], check=False).code == 1
    bad = made("container", "prune", "-f", "--filter", "color=red", check=False)
    assert bad.code == 125 and bad.stderr.startswith("Error: color is an invalid filter")
    assert made("container", "prune", input="y\n").stdout.count("\n") == 2
    assert made("ps", "-a", "--format", "{{.Names}}").line == f"{name}-up"


def test_runlabel(made: Engine, image: str, name: str) -> None:
    made("create", "--name", name, image, "true")
    made("commit", "-q", "-c", "LABEL Install=\"podman run --name NAME IMAGE echo \\${OPT1} \\$NONE is \\$HOME\"", name, "lab")
    shown = made("container", "runlabel", "--opt1", "o", "--name", "n1", "--display", "install", "lab", "more").line
    assert shown.startswith("command: ") and shown.endswith(f" run --name n1 localhost/lab:latest echo o is {made.home} more")
    assert made("container", "runlabel", "INSTALL", "lab").line == f"is {made.home}"
    taken = made("container", "runlabel", "INSTALL", "lab", check=False)
    assert taken.code == 125 and "already in use" in taken.stderr
    assert made("container", "runlabel", "--replace", "-q", "INSTALL", "lab").stdout == ""
    lost = made("container", "runlabel", "run", "lab", check=False)
    assert (lost.code, lost.stderr) == (125, "Error: cannot find the value of label: run in image: lab\n")


def test_diff_id_is_that_of_the_plain_layer(made: Engine, image: str, name: str, tmp_path: Path) -> None:
    made("run", "--name", name, image, "sh", "-c", "echo 1 > /f")
    made("commit", "-q", name, "plain")
    doc = config(made, "plain")
    blob = Path(made.data, "blobs/sha256", doc["RootFS"]["Layers"][-1].removeprefix("sha256:"))
    assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    names = [m.name for m in tarfile.open(blob)]
    assert "f" in names and os.path.exists(f"{made.data}/layers/sha256/{blob.name}/diff/f")


def test_checkpoints_are_roots(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, image, "sleep", "1000")
    for args, why in (((name,), "checkpointing a container requires root"),
                      (("--compress", "gzip", name), "--compress can only be used with --export"),
                      (("-e", "x", "--compress", "lzma", name), 'selected compression algorithm ("lzma") not supported.'),
                      ((), "you must provide at least one name or id")):
        done = podlike("container", "checkpoint", *args, check=False)
        assert done.code == 125 and done.stderr.startswith(f"Error: {why}"), args
    done = podlike("container", "restore", name, check=False)
    assert done.code == 125 and done.stderr.startswith("Error: restoring a container requires root")
    assert podlike("exec", name, "true").code == 0


def test_cleanup_of_exec_sessions_and_images(made: Engine, image: str, name: str) -> None:
    made("create", "--name", name, image, "true")
    made("commit", "-q", name, "own")
    made("run", "-d", "--name", f"{name}-o", "own", "sleep", "1000")
    session = made("exec", "-d", f"{name}-o", "sleep", "1000").line
    busy = made("container", "cleanup", "--exec", session, f"{name}-o", check=False)
    assert busy.code == 125 and "as it is running: exec session state improper" in busy.stderr
    lost = made("container", "cleanup", "--exec", "none", f"{name}-o", check=False)
    assert (lost.code, lost.stderr) == (125, "Error: no exec session with ID none found: no such exec session\n")
    made("stop", "-t", "0", f"{name}-o")
    assert made("container", "cleanup", "--rm", "--rmi", f"{name}-o").line == f"{name}-o"
    assert made("container", "exists", f"{name}-o", check=False).code == made("image", "exists", "own", check=False).code == 1
