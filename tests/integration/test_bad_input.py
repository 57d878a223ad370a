"""Bad input: one clear error, exit code 125, nothing left behind, never a traceback."""

import json
import os
import signal
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import oci
from tests.support.engine import Engine, Result
from tests.support.need import need


def refused(result: Result, *words: str) -> None:
    assert result.code == 125, result
    assert result.stdout == "", result
    assert "Traceback" not in result.stderr, result
    for word in words:
        assert word in result.stderr, (word, result)
    message = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(message) == 1, result


@pytest.fixture
def strict(podlike: Engine) -> Engine:
    need(not podlike.is_podman, "podlike's own words", optional=True)
    return podlike


def stored(podlike: Engine) -> set[str]:
    """Everything on disk that a failed command could have added to the store."""
    found = set()
    for top in ("blobs/sha256", "layers/sha256", "containers", "tmp", "volumes"):
        path = f"{podlike.data}/{top}"
        if os.path.isdir(path):
            found |= {f"{top}/{n}" for n in os.listdir(path) if n[0] != "."}  # hidden: lock files
    return found


# --- options ---


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--memory", "lots"], "lots"),
        (["--memory", "-5m"], "-5m"),
        (["--cpus", "many"], "many"),
        (["--pids-limit", "x"], "x"),
        (["--shm-size", "1x"], "1x"),
        (["--ulimit", "nosuch=1"], "nosuch"),
        (["--ulimit", "nofile=9:8"], "nofile"),
        (["--stop-signal", "NOSUCH"], "NOSUCH"),
        (["--stop-timeout", "soon"], "soon"),
        (["--timeout", "soon"], "soon"),
        (["--publish", "1:2:3:4:5"], "port"),
        (["--publish", "80:80/icmp"], "icmp"),
        (["--publish", "0-70000:1"], "port"),
        (["--publish", "8000-8002:80-81"], "port"),
        (["--publish", "999.1.1.1:80:80"], "999.1.1.1"),
        (["--expose", "nope"], "nope"),
        (["--mount", "type=nosuch,target=/x"], "nosuch"),
        (["--mount", "type=bind,target=/no/such/place"], "/no/such/place"),
        (["--mount", "type=bind,source=/tmp"], "destination"),
        (["--mount", "target=relative,type=tmpfs"], "relative"),
        (["--volume", "/tmp:relative"], "relative"),
        (["--volume", "/tmp:/x:nosuchoption"], "nosuchoption"),
        (["--volume", "/no/such/dir:/x"], "/no/such/dir"),
        (["--volume", "/tmp:/x", "--volume", "/var:/x"], "/x"),
        (["--tmpfs", "relative"], "relative"),
        (["--device", "/dev/nosuch"], "/dev/nosuch"),
        (["--sysctl", "novalue"], "novalue"),
        (["--security-opt", "nosuch=1"], "nosuch"),
        (["--security-opt", "seccomp=/no/such.json"], "/no/such.json"),
        (["--cap-add", "NOSUCH"], "NOSUCH"),
        (["--cap-drop", "NOSUCH"], "NOSUCH"),
        (["--network", "nosuch"], "nosuch"),
        (["--network", "container:nosuch"], "nosuch"),
        (["--network", "slirp4netns:nosuch=1"], "nosuch"),
        (["--pid", "nosuch"], "nosuch"),
        (["--ipc", "container:nosuch"], "nosuch"),
        (["--add-host", "noaddress"], "noaddress"),
        (["--add-host", "name:999.9.9.9"], "999.9.9.9"),
        (["--dns", "not-an-address"], "not-an-address"),
        (["--env-file", "/no/such/env"], "/no/such/env"),
        (["--label-file", "/no/such/labels"], "/no/such/labels"),
        (["--log-driver", "nosuch"], "log driver"),
        (["--restart", "sometimes"], "sometimes"),
        (["--pull", "perhaps"], "perhaps"),
        (["--name", "-leading-dash"], "-leading-dash"),
        (["--name", "a/b"], "a/b"),
        (["--workdir", "relative"], "relative"),
        (["--umask", "rwx"], "rwx"),
        (["--runtime", "/no/such/runtime"], "/no/such/runtime"),
        (["--cidfile", "/no/such/dir/cid"], "/no/such/dir/cid"),
        (["--detach-keys", "ctrl-"], "ctrl-"),
        (["--volumes-from", "nosuch"], "nosuch"),
        (["--no-such-flag"], "--no-such-flag"),
        (["--rm", "--restart", "always"], "--rm"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_option(strict: Engine, image: str, args: list[str], word: str) -> None:
    before = stored(strict)
    refused(strict("run", *args, image, "true", check=False), word)
    assert strict("ps", "-aq").stdout == ""
    assert stored(strict) == before


BAD_NAMES = ["UPPER/case", "a//b", "x@sha256:short", ":tag", "-x", "a:b:c", "x" * 300, "name with blanks", ""]


@pytest.mark.parametrize("reference", BAD_NAMES)
def test_bad_image_name(strict: Engine, reference: str) -> None:
    refused(strict("run", "--pull", "never", "--", reference, "true", check=False))


@pytest.mark.parametrize("args", [["--user", "no-such-user"], ["--group-add", "no-such-group"]], ids=lambda args: args[0])
def test_unknown_user_or_group(strict: Engine, image: str, args: list[str]) -> None:
    """126, as podman has it: the container is there, but its process cannot be started."""
    result = strict("run", "--rm", *args, image, "true", check=False)
    assert result.code in (125, 126) and args[1] in result.stderr and "Traceback" not in result.stderr, result
    assert strict("ps", "-aq").stdout == ""


def test_unknown_flag_suggests_the_nearest(strict: Engine, image: str) -> None:
    result = strict("run", "--hostnam", "x", image, check=False)
    refused(result, "--hostnam")


def test_not_utf8(strict: Engine, image: str) -> None:
    """config.json is UTF-8, so that such bytes cannot arrive unchanged; podman replaces them too."""
    result = strict("run", "--rm", "--network", "none", image, "printf", "%s", "\udcff\udcfe", check=False)
    assert result.code in (0, 125) and "Traceback" not in result.stderr, result


# --- archives ---


def pack(path: Path, files: dict[str, bytes]) -> None:
    path.write_bytes(oci.layer([oci.File(name, data) for name, data in files.items()]))


def good() -> dict[str, bytes]:
    return oci.layout({"localhost/bad:latest": oci.Image(layers=[oci.layer([oci.File("f", b"x" * 10000)])])})


def edited(change: Callable[[dict[str, bytes]], None]) -> dict[str, bytes]:
    files = good()
    change(files)
    return files


def blob_of(files: dict[str, bytes], media: str) -> str:
    """Path of the manifest, config or layer of the only image."""
    digest: str = json.loads(files["index.json"])["manifests"][0]["digest"]
    if media != "manifest":
        doc = json.loads(files["blobs/" + digest.replace(":", "/")])
        digest = (doc["config"] if media == "config" else doc["layers"][0])["digest"]
    return "blobs/" + digest.replace(":", "/")


def flip(media: str) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        path = blob_of(files, media)
        data = files[path]
        files[path] = data[:-20] + bytes(b ^ 1 for b in data[-20:])

    return change


def drop(media: str) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        del files[blob_of(files, media)]

    return change


ARCHIVES: dict[str, bytes | dict[str, bytes]] = {
    "empty file": b"",
    "no archive": b"this is no archive at all\n" * 100,
    "truncated": oci.layer([oci.File("index.json", b"x" * 5000)])[:3000],
    "empty tar": {},
    "nothing known in it": {"readme": b"hello"},
    "index is no JSON": edited(lambda f: f.update({"index.json": b"{nonsense"})),
    "index of a wrong shape": edited(lambda f: f.update({"index.json": b'{"manifests": {"a": 1}}'})),
    "index without images": edited(lambda f: f.update({"index.json": b'{"schemaVersion": 2, "manifests": []}'})),
    "manifest missing": edited(drop("manifest")),
    "config missing": edited(drop("config")),
    "layer missing": edited(drop("layer")),
    "manifest changed": edited(flip("manifest")),
    "config changed": edited(flip("config")),
    "layer changed": edited(flip("layer")),
    "docker archive without files": {
        "manifest.json": b'[{"Config": "x.json", "RepoTags": ["localhost/bad:latest"], "Layers": ["y/layer.tar"]}]'
    },
    "docker manifest of a wrong shape": {"manifest.json": b'{"Config": 7}'},
}


@pytest.mark.parametrize("case", list(ARCHIVES))
def test_bad_archive(strict: Engine, tmp_path: Path, case: str) -> None:
    content = ARCHIVES[case]
    archive = tmp_path / "bad.tar"
    if isinstance(content, bytes):
        archive.write_bytes(content)
    else:
        pack(archive, content)
    before = stored(strict)
    refused(strict("load", "-i", str(archive), check=False))
    assert strict("image", "exists", "localhost/bad", check=False).code == 1
    assert {n for n in stored(strict) - before if not n.startswith("blobs/")} == set()


def test_missing_archive(strict: Engine, tmp_path: Path) -> None:
    refused(strict("load", "-i", str(tmp_path / "nosuch.tar"), check=False), "nosuch.tar")
    refused(strict("load", "-i", str(tmp_path), check=False), str(tmp_path))


HOSTILE: dict[str, list[oci.Entry]] = {
    "parent": [oci.File("../../../../escaped", b"x")],
    "absolute": [oci.File("/escaped", b"x")],
    "through a symlink": [oci.Symlink("out", "/tmp"), oci.File("out/escaped", b"x")],
    "through a relative symlink": [oci.Symlink("out", "../../../../../../../../tmp"), oci.File("out/escaped", b"x")],
    "hard link to the host": [oci.Hardlink("passwd", "/etc/passwd"), oci.Hardlink("passwd2", "../../../../../../etc/passwd")],
    "symlink replaced by a directory": [oci.Symlink("d", "/tmp"), oci.Dir("d"), oci.File("d/escaped", b"x")],
    "whiteout above the root": [oci.File("../.wh.escaped", b"")],
    "a whiteout of dots": [oci.File(".wh...", b""), oci.File(".wh..", b"")],
}


@pytest.mark.parametrize("case", list(HOSTILE))
def test_hostile_layer_stays_inside(strict: Engine, tmp_path: Path, case: str) -> None:
    """Refused, or unpacked beneath its root; the host has nothing new either way."""
    archive = tmp_path / "hostile.tar"
    name = "localhost/hostile:latest"
    base = oci.busybox_layer()
    oci.write_oci_archive(archive, {name: oci.Image(layers=[base, oci.layer(HOSTILE[case])], config={"Cmd": ["sh"]})})
    result = strict("load", "-i", str(archive), check=False)
    try:
        assert not os.path.lexists("/tmp/escaped") and not os.path.lexists("/escaped")
        found = [os.path.join(d, "escaped") for d, _, names in os.walk(strict.dir) if "escaped" in names]
        assert [path for path in found if "/diff/" not in path] == []
        if result.code:
            refused(result)
        else:
            shown = strict("run", "--rm", "--network", "none", name, "sh", "-c", "cat /passwd 2>/dev/null; echo end").stdout
            assert "daemon:" not in shown, "the host's /etc/passwd came in"
    finally:
        strict("rmi", "-f", name)


def test_archive_of_a_directory_bomb(strict: Engine, tmp_path: Path) -> None:
    """A path deeper than PATH_MAX neither crashes nor leaves what cannot be removed."""
    deep = "/".join(["d" * 100] * 60)
    archive = tmp_path / "deep.tar"
    oci.write_oci_archive(archive, {"localhost/deep:latest": oci.Image(layers=[oci.layer([oci.File(deep + "/f", b"x")])])})
    result = strict("load", "-i", str(archive), check=False)
    if result.code:
        refused(result)
    strict("rmi", "-f", "localhost/deep")
    assert not any(n.startswith("tmp/") for n in stored(strict))


def test_layer_that_lies_about_its_size(strict: Engine, tmp_path: Path) -> None:
    files = good()
    path = blob_of(files, "manifest")
    doc = json.loads(files.pop(path))
    doc["layers"][0]["size"] = 5
    manifest = json.dumps(doc).encode()
    files["blobs/" + oci.digest(manifest).replace(":", "/")] = manifest
    index = json.loads(files["index.json"])
    index["manifests"][0] |= {"digest": oci.digest(manifest), "size": len(manifest)}
    files["index.json"] = json.dumps(index).encode()
    archive = tmp_path / "liar.tar"
    pack(archive, files)
    refused(strict("load", "-i", str(archive), check=False))
    with tarfile.open(archive) as tar:
        assert "index.json" in tar.getnames()


# --- the user's files ---


def test_broken_configuration_is_named(strict: Engine, image: str, tmp_path: Path) -> None:
    conf = tmp_path / "containers.conf"
    conf.write_text('[engine]\nruntime = "unterminated\n')
    refused(strict("run", "--rm", "--network", "none", image, "true", env={"CONTAINERS_CONF": str(conf)}, check=False), str(conf))


FIRST = [["ps"], ["load", "-i", "IMAGE"], ["pull", "--tls-verify=false", "127.0.0.1:1/x"]]


@pytest.mark.parametrize("args", FIRST, ids=lambda args: args[0])
def test_new_directories_are_private(strict: Engine, tmp_path: Path, args: list[str]) -> None:
    """Whichever command comes first: nobody else may look into the data or the volatile directory."""
    oci.write_oci_archive(tmp_path / "i.tar", {"localhost/x:latest": oci.Image(layers=[])})
    env = {"PODLIKE_ROOT": str(tmp_path / "data"), "PODLIKE_RUNROOT": str(tmp_path / "run")}
    strict(*(str(tmp_path / "i.tar") if a == "IMAGE" else a for a in args), env=env, check=False)
    for pid, command in strict.processes().items():
        if str(tmp_path) in command:  # this test's own session
            os.kill(pid, signal.SIGKILL)
    modes = {name: os.stat(tmp_path / name).st_mode & 0o777 for name in ("data", "run") if (tmp_path / name).exists()}
    assert set(modes.values()) <= {0o700}, modes


def test_broken_database_is_named(strict: Engine, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir(mode=0o700)
    (root / "db.sqlite").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    refused(strict("ps", "-a", env={"PODLIKE_ROOT": str(root)}, check=False), "db.sqlite")


def test_closed_streams(strict: Engine, image: str) -> None:
    """With no standard streams at all, as under some init systems, nothing of ours may land in descriptor 0 to 2."""
    script = 'exec "$0" run --rm --network none "$1" true <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", script, strict.bin, image], env=strict.env, timeout=30, check=False)
    assert done.returncode == 0


def test_full_disk_for_output(strict: Engine, image: str) -> None:
    need(os.path.exists("/dev/full"), "no /dev/full", optional=True)
    with open("/dev/full", "wb") as full:
        p = strict.popen("ps", "-a", stdout=full)
        _, err = p.communicate(timeout=20)
    assert p.returncode != 0 and b"Traceback" not in err, err
