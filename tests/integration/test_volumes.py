"""Volumes: what they keep, what they are mounted from, who owns them, and what happens when something is killed."""

import gzip
import io
import json
import os
import random
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine

RUN = ("run", "--rm", "--network", "none")


@pytest.fixture
def engine(podlike: Engine) -> Iterator[Engine]:
    """After the test no volume, and nothing of one, is left."""
    yield podlike
    podlike("volume", "rm", "--all", "--force", "--time", "0")
    assert os.listdir(f"{podlike.data}/volumes") == []
    assert [m for m in podlike.mounts() if "/volumes/" in m] == []


def sh(engine: Engine, image: str, volume: str, script: str, *flags: str) -> str:
    return engine(*RUN, "-v", f"{volume}:/v", *flags, image, "sh", "-c", script).line


def inspected(engine: Engine, name: str) -> dict[str, object]:
    doc: dict[str, object] = json.loads(engine("volume", "inspect", name).stdout)[0]
    return doc


def docker(engine: Engine, *args: str, code: int = 0) -> str:
    script = f"from podlike.__main__ import main; main(['docker', *{list(args)!r}])"
    done = subprocess.run([sys.executable, "-c", script], env=engine.env, text=True, capture_output=True)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_made_listed_inspected_removed(engine: Engine) -> None:
    assert engine("volume", "create", "--label", "a=b", "--label", "c", "one").line == "one"
    assert engine("volume", "ls").stdout.split() == ["DRIVER", "VOLUME", "NAME", "local", "one"]
    doc = inspected(engine, "one")
    assert doc["Labels"] == {"a": "b", "c": ""} and doc["Scope"] == "local" and doc["Driver"] == "local"
    assert doc["Mountpoint"] == f"{engine.data}/volumes/one/_data" and "Anonymous" not in doc
    shown = engine("volume", "inspect", "--format", "{{.Name}} {{.Labels.a}} {{.UID}} {{.Anonymous}}", "on").line
    assert shown == "one b 0 false"
    assert json.loads(engine("inspect", "one").stdout) == [doc]
    assert json.loads(engine("volume", "ls", "--format", "json").stdout) == [doc]
    assert engine("volume", "exists", "one", check=False).code == 0
    assert engine("volume", "exists", "on", check=False).code == 1
    again = engine("volume", "create", "one", check=False)
    assert again.code == 125 and "volume with name one already exists: volume already exists" in again.stderr
    assert engine("volume", "create", "--ignore", "--label", "x=y", "one").line == "one"
    assert inspected(engine, "one") == doc
    assert engine("volume", "rm", "one").line == "one"
    gone = engine("volume", "rm", "one", check=False)
    assert gone.code == 1 and gone.stderr == 'Error: no volume with name "one" found: no such volume\n'
    assert engine("volume", "rm", "--force", "one").stdout == ""


def test_unnamed_one_is_anonymous(engine: Engine, image: str) -> None:
    name = engine("volume", "create").line
    assert len(name) == 64 and inspected(engine, name)["Anonymous"] is True
    # `rm --volumes` takes those that were made for the container, not one that was named.
    engine("create", "--name", "c", "-v", f"{name}:/a", "-v", "/b", image, "true")
    assert len(engine("volume", "ls", "-q").stdout.split()) == 2
    engine("rm", "--volumes", "c")
    assert engine("volume", "ls", "-q").line == name


@pytest.mark.parametrize(("args", "words"), [
    (["-o", "type=nfs", "-o", "device=:/srv", "x"], "only root mount it"),
    (["-o", "device=/dev/sda1", "x"], "only root mount it"),
    (["-o", "type=bind", "-o", "device=/no/such", "x"], "for driver 'local': faccessat /no/such: no such file or directory"),
    (["-o", "o=size=10m", "x"], "does not support Project Quota"),
    (["-o", "nosuch=1", "x"], "invalid mount option nosuch for driver 'local': invalid argument"),
    (["-o", "o=uid=nobody", "x"], "cannot convert UID nobody to integer"),
    (["-d", "image", "x"], "must provide an image name"),
    (["-d", "image", "-o", "image=localhost/no/such", "x"], "looking up image localhost/no/such to create volume failed"),
    (["-d", "sshfs", "x"], "no volume plugin with name sshfs available: required plugin missing"),
    (["a/b"], "names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*"),
    (["--label", "=x", "x"], "unable to process labels"),
])
def test_refused_in_words(engine: Engine, args: list[str], words: str) -> None:
    refused = engine("volume", "create", *args, check=False)
    assert refused.code == 125 and words in refused.stderr
    assert engine("volume", "ls", "-q").stdout == ""


def test_bound_directory_is_never_removed(engine: Engine, image: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    engine("volume", "create", "-o", "type=none", "-o", "o=bind,ro", "-o", f"device={tmp_path}", "b")
    assert sh(engine, image, "b", "cat /v/precious; touch /v/x 2>/dev/null || echo read-only") == "keptread-only"
    engine("run", "-d", "--name", "c", "--network", "none", "-v", "b:/v", image, "sleep", "100")
    in_use = engine("volume", "rm", "b", check=False)
    cid = engine("inspect", "--format", "{{.Id}}", "c").line
    assert in_use.code == 2
    assert in_use.stderr == f"Error: volume b is being used by the following container(s): {cid}: volume is being used\n"
    assert inspected(engine, "b")["MountCount"] == 1
    assert engine("volume", "rm", "--force", "--time", "0", "b").line == "b"
    assert engine("ps", "-aq").stdout == "" and (tmp_path / "precious").read_text() == "kept"
    engine("volume", "create", "-o", "type=bind", "-o", f"device={tmp_path}", "b")
    assert engine("unshare", engine.bin, "volume", "mount", "b").line == f"{engine.data}/volumes/b/_data"
    engine("volume", "rm", "b")
    assert (tmp_path / "precious").read_text() == "kept"


def test_memory_is_shared_and_forgotten(engine: Engine, image: str) -> None:
    engine("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=2M,noexec", "m")
    engine("run", "-d", "--name", "c", "--network", "none", "-v", "m:/v", image, "sh", "-c", "echo here > /v/f; sleep 100")
    deadline = time.monotonic() + 10
    while (seen := sh(engine, image, "m", "cat /v/f 2>/dev/null; grep ' /v ' /proc/mounts")).split()[0] != "here":
        assert time.monotonic() < deadline
    assert "tmpfs" in seen and "size=2048k" in seen and "noexec" in seen
    engine("stop", "-t", "0", "c")
    assert sh(engine, image, "m", "ls /v") == ""
    # One that `volume mount` has asked for stays, however many containers come and go.
    assert engine("volume", "mount", "m", check=False).code == 125
    path = engine("unshare", engine.bin, "volume", "mount", "m").line
    sh(engine, image, "m", "echo there > /v/g")
    assert engine("unshare", "cat", f"{path}/g").line == "there" and inspected(engine, "m")["MountCount"] == 1
    assert engine("volume", "unmount", "m").line == "m"
    assert sh(engine, image, "m", "ls /v") == ""


def test_image_driver(engine: Engine, image: str) -> None:
    engine("volume", "create", "-d", "image", "-o", f"image={image}", "i")
    assert sh(engine, image, "i", "test -x /v/bin/busybox && echo more > /v/new && rm /v/etc/passwd && echo ok") == "ok"
    assert sh(engine, image, "i", "cat /v/new; ls /v/etc/passwd 2>/dev/null || true") == "more"
    doc = inspected(engine, "i")
    assert doc["Driver"] == "image" and doc["StorageID"] and "NeedsCopyUp" not in doc


def test_filled_once_and_owned(engine: Engine, image: str) -> None:
    engine("volume", "create", "u")
    sh(engine, image, "u", "true")
    doc = inspected(engine, "u")
    assert doc["NeedsCopyUp"] is True and doc["NeedsChown"] is True  # the image had nothing at /v
    assert engine(*RUN, "-v", "u:/etc", image, "cat", "/etc/passwd").stdout.startswith("root")
    assert not {"NeedsCopyUp", "NeedsChown"} & inspected(engine, "u").keys()
    sh(engine, image, "u", "rm -rf /v/*")
    assert engine(*RUN, "-v", "u:/etc", image, "ls", "/etc/passwd", check=False).code != 0  # emptied by its owner: it stays so
    engine("volume", "create", "-o", "nocopy", "n")
    engine(*RUN, "-v", "n:/etc", image, "true")
    assert inspected(engine, "n")["NeedsCopyUp"] is True
    # Nothing at the mount point: the container's user owns it. With an owner asked for, that one does.
    assert sh(engine, image, "new", "stat -c %u:%g /v", "--user", "1234:99") == "1234:99"
    engine("volume", "create", "--uid", "7", "--gid", "8", "mine")
    assert sh(engine, image, "mine", "stat -c %u:%g /v", "--user", "1234:99") == "7:8"
    engine("volume", "create", "-o", "o=uid=9", "his")
    assert sh(engine, image, "his", "stat -c %u:%g /v") == "9:0"


def test_option_u_gives_everything_away(engine: Engine, image: str, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    flags = [*RUN, "--user", "100:200", "-v", f"{tmp_path}:/v:U", image]
    assert engine(*flags, "stat", "-c", "%u:%g", "/v", "/v/d", "/v/d/f").stdout.split() == ["100:200"] * 3
    engine("unshare", "chown", "-R", "0:0", str(tmp_path))


def test_interrupted_copy_is_done_again(engine: Engine, image: str) -> None:
    engine("volume", "create", "half")
    data = Path(engine.data, "volumes/half/_data")
    (data / "passwd").write_text("ro")  # as a start that was killed in the middle of it leaves it
    with sqlite3.connect(f"{engine.data}/db.sqlite") as db:
        db.execute("UPDATE volumes SET state=json_set(state, '$.copying', json('true')) WHERE name='half'")
    db.close()
    assert engine(*RUN, "-v", "half:/etc", image, "cat", "/etc/passwd").stdout.startswith("root")


def test_many_containers_fill_one_volume(engine: Engine, image: str) -> None:
    wanted = engine(*RUN, image, "sh", "-c", "ls /bin | wc -l").line
    runs = [engine.popen(*RUN, "-v", "shared:/bin", "-v", "shared:/x", image, "sh", "-c", "ls /x | wc -l", stdout=subprocess.PIPE)
            for _ in range(4)]
    assert [run.communicate()[0].strip() for run in runs] == [wanted.encode() if isinstance(wanted, str) else wanted] * 4


def test_removal_killed_at_any_moment(engine: Engine) -> None:
    rng = random.Random(5)
    for _ in range(4):
        engine("volume", "create", "--ignore", "big")
        data = Path(engine.data, "volumes/big/_data")
        for i in range(300):
            (data / f"f{i}").write_bytes(b"x")
        with engine.popen("volume", "rm", "big", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as command:
            time.sleep(0.05 + rng.random() * 0.15)
            command.kill()
        # All of it, or nothing: never a volume with some of its files.
        if engine("volume", "exists", "big", check=False).code == 0 and data.exists():
            assert len(os.listdir(data)) in (0, 300)
    engine("volume", "create", "--ignore", "big")
    engine("volume", "rm", "big")  # takes along what those that were killed have left


def test_there_and_back_as_a_tar(engine: Engine, image: str, tmp_path: Path) -> None:
    sh(engine, image, "from", "cd /v && mkdir -m 750 d && echo hello > d/f && ln d/f hard && ln -s d/f soft && chmod 4711 d/f && "
       "chown 5:6 d/f && truncate -s 100M hole && mkfifo pipe && touch -d '2001-02-03 04:05:06' d/f && echo x > 'a b'")
    engine("volume", "export", "-o", str(tmp_path / "v.tar"), "from")
    with tarfile.open(tmp_path / "v.tar") as archive:
        assert {"d", "d/f", "hard", "soft", "hole", "pipe", "a b"} <= {m.name.removeprefix("./").rstrip("/") for m in archive}
    assert (tmp_path / "v.tar").stat().st_size < 100_000
    (tmp_path / "v.tar.gz").write_bytes(gzip.compress((tmp_path / "v.tar").read_bytes()))
    engine("volume", "create", "to")
    (Path(engine.data) / "volumes/to/_data/old").write_text("stays")
    engine("volume", "import", "to", str(tmp_path / "v.tar.gz"))
    look = "cd /v && stat -c '%n %f %u:%g %s %h %Y' 'a b' d d/f hard soft hole pipe && readlink soft"
    assert sh(engine, image, "to", look) == sh(engine, image, "from", look)
    assert sh(engine, image, "to", "cat /v/old; du -k /v/hole | cut -f1") in ("stays0", "stays4")
    engine("volume", "import", "to", "-", input=(tmp_path / "v.tar").read_bytes())  # over what is there
    assert sh(engine, image, "to", look) == sh(engine, image, "from", look)
    assert engine("volume", "import", "nosuch", str(tmp_path / "v.tar"), check=False).code == 125


@pytest.mark.parametrize("how", ["climbs", "through a link", "hard link out", "cut"])
def test_hostile_archives(engine: Engine, tmp_path: Path, how: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        if how == "through a link":
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
            archive.addfile(link)
        if how == "hard link out":
            hard = tarfile.TarInfo("x")
            hard.type, hard.linkname = tarfile.LNKTYPE, "../../db.sqlite"
            archive.addfile(hard)
        file = tarfile.TarInfo({"climbs": "../../escaped", "through a link": "link/escaped"}.get(how, "fine"))
        file.size = 5000
        archive.addfile(file, io.BytesIO(b"x" * 5000))
    engine("volume", "create", "h")
    data = out.getvalue()[:3000] if how == "cut" else out.getvalue()
    refused = engine("volume", "import", "h", "-", input=data, check=False)
    assert refused.code == 125 and "Hint" not in refused.stderr.splitlines()[0] and len(refused.stderr.splitlines()) <= 2
    assert not (tmp_path / "escaped").exists() and not (Path(engine.data) / "escaped").exists()
    assert not (Path(engine.data) / "volumes/escaped").exists()


def test_filters_and_pruning(engine: Engine, image: str) -> None:
    for name, *labels in (("v1",), ("v2", "stage=test"), ("w3", "stage=test", "x")):
        engine("volume", "create", *(f"--label={label}" for label in labels), name)
    engine("create", "--name", "c", "-v", "v1:/v", image, "true")

    def names(*filters: str) -> str:
        return " ".join(engine("volume", "ls", "-q", *(f"--filter={f}" for f in filters)).stdout.split())

    assert names("name=^v") == "v1 v2" and names("name=3", "name=1") == "v1 w3"
    assert names("label=stage=test", "label=x") == "w3" and names("label!=x") == "v1 v2"
    assert names("dangling=true") == "v2 w3" and names("dangling=false") == "v1"
    assert names("since=v1") == "v2 w3" and names("until=1h") == "" and names("driver=local", "scope=local") == "v1 v2 w3"
    assert engine("volume", "ls", "--filter", "nosuch=1", check=False).stderr.startswith(
        'Error: "nosuch" is an invalid volume filter\n')
    asked = engine("volume", "prune", "--filter", "label=x", input="n\n").stdout
    assert asked.splitlines()[1] == "w3" and names() == "v1 v2 w3"
    assert engine("volume", "prune", "--dry-run").stdout.split() == ["v2", "w3"]
    assert engine("volume", "prune", "-f", "--filter", "label=x").line == "w3"
    assert engine("volume", "prune", "--force").line == "v2" and names() == "v1"
    assert engine("volume", "prune", input="y\n").stdout.splitlines()[1:] == ["No dangling volumes found"]
    told = engine("events", "--stream=false", "--since", "1m", "--filter", "volume=v2", "--format", "{{.Status}}").stdout.split()
    assert told == ["create", "remove", "prune"]


def test_dockers_shapes(engine: Engine, image: str) -> None:
    docker(engine, "volume", "create", "--label", "k=v", "named")
    unnamed = docker(engine, "volume", "create").strip()
    assert docker(engine, "volume", "create", "named") == "named\n"  # docker gives what is there
    rows = [json.loads(line) for line in docker(engine, "volume", "ls", "--format", "json", "--filter", "name=ame").splitlines()]
    assert rows == [{"Availability": "N/A", "Driver": "local", "Group": "N/A", "Labels": "k=v", "Links": "N/A", "Mountpoint":
                     f"{engine.data}/volumes/named/_data", "Name": "named", "Scope": "local", "Size": "N/A", "Status": "N/A"}]
    doc = json.loads(docker(engine, "volume", "inspect", "named"))[0]
    assert list(doc) == ["CreatedAt", "Driver", "Labels", "Mountpoint", "Name", "Options", "Scope"] and doc["Options"] is None
    assert docker(engine, "volume", "inspect", "nosuch", code=1) == "[]\n"
    assert docker(engine, "volume", "prune", "-f") == f"Deleted Volumes:\n{unnamed}\n\nTotal reclaimed space: 0B\n"
    assert docker(engine, "volume", "prune", "-f", "-a").startswith("Deleted Volumes:\nnamed\n")
    docker(engine, "volume", "rm", "named", code=1)


def test_another_place(engine: Engine, image: str, tmp_path: Path) -> None:
    place = str(tmp_path / "elsewhere")
    engine("--volumepath", place, "volume", "create", "far")
    assert inspected(engine, "far")["Mountpoint"] == f"{place}/far/_data"
    sh(engine, image, "far", "echo x > /v/f")  # whoever uses it finds it
    assert (tmp_path / "elsewhere/far/_data/f").read_text() == "x\n"
    engine("volume", "rm", "far")
    assert os.listdir(place) == []
