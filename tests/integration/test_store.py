"""Images from archives to the store and back to nothing, through the command line."""

import hashlib
import io
import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import oci
from tests.support.engine import Engine
from tests.support.oci import Dir, File, Hardlink, Image, Whiteout, layer


@pytest.fixture
def store() -> Iterator[Engine]:
    """An engine with an empty store of its own, which must be empty again after `rmi --all` and a prune."""
    engine = Engine(os.environ.get("PODLIKE_BIN", "podlike"))
    try:
        yield engine
        engine("rmi", "--all", "--force")
        engine("image", "prune", "--force")
        assert files_of(engine) == []
    finally:
        engine.destroy()


def files_of(engine: Engine) -> list[str]:
    """What is in the store apart from the database, its empty folders, its lock and what starts containers after a reboot."""
    found = []
    for directory, _, files in os.walk(engine.data):
        found += [f"{directory}/{f}" for f in files if not f.startswith("db.sqlite") and f not in (".lock", "startup")]
    layers = f"{engine.data}/layers/sha256"
    return found + (os.listdir(layers) if os.path.isdir(layers) else [])


def small(text: str = "1", **config: object) -> Image:
    return Image(layers=[layer([File("f", text.encode())]), layer([File("g", b"2"), Whiteout("f")])], config=dict(config))


def ids(engine: Engine) -> list[str]:
    return engine("images", "-q", "--no-trunc").stdout.split()


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_oci_archive(store: Engine, tmp_path: Path, compression: str) -> None:
    image = small(Cmd=["/x"], Labels={"a": "b"})
    image.compression = compression
    oci.write_oci_archive(tmp_path / "a.tar", {"localhost/app:1": image})
    assert store("load", "-i", str(tmp_path / "a.tar")).line == "Loaded image: localhost/app:1"
    (doc,) = json.loads(store("image", "inspect", "app:1").stdout)
    assert doc["Id"] == image.id and doc["RepoTags"] == ["localhost/app:1"]
    assert doc["Digest"] == oci.digest(image.blobs()[0])
    assert doc["RootFS"]["Layers"] == [oci.digest(data) for data in image.layers]
    assert doc["Config"]["Cmd"] == ["/x"] and doc["Labels"] == {"a": "b"} and doc["Size"] == 2
    for wanted, data in image.blobs()[1].items():  # kept byte for byte
        assert Path(store.data, "blobs", wanted.replace(":", "/")).read_bytes() == data


def test_docker_archive_twice_and_from_a_pipe(store: Engine, tmp_path: Path) -> None:
    one, two = small("1"), small("2")
    oci.write_docker_archive(tmp_path / "a.tar", {"app:1": one, "quay.io/x/app:2": two})
    data = (tmp_path / "a.tar").read_bytes()
    expected = ["Loaded image: docker.io/library/app:1", "Loaded image: quay.io/x/app:2"]
    assert store("load", input=data).stdout.splitlines() == expected
    before = files_of(store)
    assert store("load", "-q", "-i", str(tmp_path / "a.tar")).stdout.splitlines() == expected
    assert files_of(store) == before
    assert sorted(ids(store)) == sorted(f"sha256:{i.id}" for i in (one, two))
    assert len(os.listdir(f"{store.data}/layers/sha256")) == 3  # the upper layer is shared


def test_layout_directory(store: Engine, tmp_path: Path) -> None:
    oci.write_oci_layout(tmp_path / "dir", {"": small()})
    assert store("load", "-i", str(tmp_path / "dir")).line == "Loaded image: localhost/dir:latest"


def test_index_of_platforms(store: Engine, tmp_path: Path) -> None:
    own, other = small("own"), small("other")
    other.arch = "s390x" if own.arch != "s390x" else "amd64"
    files = oci.layout({"x": own}) | {}
    inner = json.loads(oci.layout({"x": own})["index.json"])
    inner["manifests"] = json.loads(oci.layout({"x": other})["index.json"])["manifests"] + inner["manifests"]
    for entry in inner["manifests"]:
        del entry["annotations"]
    files |= {k: v for k, v in oci.layout({"x": other}).items() if k.startswith("blobs/")}
    data = json.dumps(inner).encode()
    files["blobs/" + oci.digest(data).replace(":", "/")] = data
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [{
        "mediaType": oci.INDEX, "digest": oci.digest(data), "size": len(data),
        "annotations": {"io.containerd.image.name": "docker.io/library/multi:1",
                        "org.opencontainers.image.ref.name": "1"}}]}).encode()
    for name, content in files.items():
        (tmp_path / "l" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "l" / name).write_bytes(content)
    assert store("load", "-i", str(tmp_path / "l")).line == "Loaded image: docker.io/library/multi:1"
    assert ids(store) == [f"sha256:{own.id}"]
    assert store("load", "-i", str(tmp_path / "l"), "--platform", f"linux/{other.arch}").code == 0
    assert json.loads(store("image", "inspect", "multi:1").stdout)[0]["Id"] == other.id
    refused = store("load", "-i", str(tmp_path / "l"), "--platform", "linux/mips", check=False)
    assert refused.code == 125 and other.arch in refused.stderr


def broken(tmp_path: Path, kind: str) -> Path:
    """An archive with one thing wrong."""
    files = oci.layout({"x": small()})
    manifest = next(json.loads(v) for k, v in files.items() if k.startswith("blobs/") and b'"schemaVersion"' in v)
    last = "blobs/" + manifest["layers"][-1]["digest"].replace(":", "/")
    if kind == "changed layer":
        files[last] = files[last][:-1] + b"?"
    elif kind == "missing layer":
        del files[last]
    elif kind == "cut layer":
        files[last] = files[last][:-5]
    elif kind == "changed config":
        files["blobs/" + manifest["config"]["digest"].replace(":", "/")] += b" "
    elif kind == "evil layer":
        files = oci.layout({"x": Image(layers=[layer([File("a", b"1")]), layer([Hardlink("h", "../../../x")])])})
    elif kind == "foreign ids":
        files = oci.layout({"x": Image(layers=[layer([File("a", b"1")]), layer([File("a", b"1", uid=900_000_000)])])})
    elif kind == "index is no JSON":
        files["index.json"] = b"{"
    elif kind == "empty index":
        files["index.json"] = b'{"schemaVersion": 2, "manifests": []}'
    elif kind == "bad name":
        files["index.json"] = files["index.json"].replace(b'"x"', b'"UPPER case"')
    path = tmp_path / "broken"
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize("kind, words", [
    ("changed layer", "verify blob"), ("missing layer", "No such file"), ("cut layer", "verify blob"),
    ("changed config", "verify sha256:"), ("evil layer", "leads out of the layer"), ("foreign ids", "900000000"),
    ("index is no JSON", "no JSON"), ("empty index", "names no image"), ("bad name", "invalid reference|lowercase"),
])
def test_broken_archives_leave_nothing(store: Engine, tmp_path: Path, kind: str, words: str) -> None:
    import re

    done = store("load", "-i", str(broken(tmp_path, kind)), check=False)
    assert done.code == 125 and done.stdout == "" and re.search(words, done.stderr), done
    assert files_of(store) == [] and ids(store) == []


def test_docker_archive_with_wrong_layer(store: Engine, tmp_path: Path) -> None:
    oci.write_docker_archive(tmp_path / "a.tar", {"app:1": small()})
    out = io.BytesIO()
    with tarfile.open(tmp_path / "a.tar") as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old:
            data = old.extractfile(member).read()  # type: ignore[union-attr]
            if member.name.endswith("layer.tar"):
                data = data[:600] + b"!" + data[601:]
            new.addfile(member, io.BytesIO(data))
    done = store("load", input=out.getvalue(), check=False)
    assert done.code == 125 and "digest" in done.stderr or "verify" in done.stderr
    assert files_of(store) == []


def test_names_move_and_go(store: Engine, tmp_path: Path) -> None:
    one, two = small("1"), small("2")
    for n, image in enumerate((one, two)):
        oci.write_oci_archive(tmp_path / f"{n}.tar", {"localhost/app:latest": image})
        store("load", "-i", str(tmp_path / f"{n}.tar"))
    assert store("images", "--filter", "dangling=true", "-q", "--no-trunc").line == f"sha256:{one.id}"
    store("tag", "app", "quay.io/z/app:3", "other")
    assert store("rmi", "app").stdout == "Untagged: localhost/app:latest\n"
    refused = store("rmi", two.id[:12], check=False)
    assert refused.code == 125 and "more than one tag" in refused.stderr
    store("untag", "other")
    assert store("images", "--filter", "dangling=true", "-q").stdout.count("\n") == 2
    assert sorted(store("image", "prune", "-f").stdout.split()) == sorted([one.id, two.id])
    gone = store("rmi", "app", check=False)
    assert gone.code == 1 and gone.stderr.startswith("Error: app: image not known")
    assert store("rmi", "--force", "app").stderr == ""
    assert files_of(store) == []


def test_two_loads_at_once(store: Engine, tmp_path: Path) -> None:
    image = Image(layers=[layer([File(f"d/{n}", os.urandom(20_000)) for n in range(200)])], compression="none")
    oci.write_oci_archive(tmp_path / "a.tar", {"localhost/big:1": image})
    running = [store.popen("load", "-q", "-i", str(tmp_path / "a.tar")) for _ in range(4)]
    for p in running:
        out, err = p.communicate(timeout=60)
        assert (p.returncode, out, err) == (0, b"Loaded image: localhost/big:1\n", b"")
    assert len(ids(store)) == 1 and len(os.listdir(f"{store.data}/layers/sha256")) == 1


@pytest.mark.parametrize("delay", [0.05, 0.12, 0.2, 0.3, 0.4])
def test_killed_at_any_instant(store: Engine, tmp_path: Path, delay: float) -> None:
    """What a SIGKILL leaves is not an image, does no harm, and goes with a prune."""
    image = Image(layers=[layer([File(f"d/{n}", os.urandom(30_000)) for n in range(700)])])
    oci.write_oci_archive(tmp_path / "a.tar", {"localhost/big:1": image})
    p = store.popen("load", "-i", str(tmp_path / "a.tar"))
    time.sleep(delay)
    p.send_signal(signal.SIGKILL)
    p.wait()
    for stream in (p.stdout, p.stderr):
        if stream:
            stream.close()
    found = ids(store)
    assert found in ([], [f"sha256:{image.id}"])
    if not found:
        deadline = time.monotonic() + 10
        while True:  # podlike-layer sees the end of its input and lets go of its directory
            store("image", "prune", "--force")
            if files_of(store) == [] or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert files_of(store) == []
    assert store("load", "-i", str(tmp_path / "a.tar")).line == "Loaded image: localhost/big:1"
    assert ids(store) == [f"sha256:{image.id}"]


def test_owners_and_modes_as_the_image_says(store: Engine, tmp_path: Path) -> None:
    image = Image(layers=[layer([Dir("home", 0o700, 1000, 2000), File("home/s", b"x", 0o4755, 0, 5),
                                 File("w", b"", 0o600, 65534, 1)])])
    oci.write_oci_archive(tmp_path / "a.tar", {"localhost/own:1": image})
    store("load", "-i", str(tmp_path / "a.tar"))
    diff = json.loads(store("image", "inspect", "own:1").stdout)[0]["GraphDriver"]["Data"]["UpperDir"]
    if os.geteuid() == 0:
        base = 0
    else:
        with open("/etc/subuid") as f:
            import pwd

            name = pwd.getpwuid(os.getuid()).pw_name
            base = next(int(line.split(":")[1]) for line in f if line.split(":")[0] == name) - 1
    home, w = os.lstat(f"{diff}/home"), os.lstat(f"{diff}/w")
    assert (home.st_uid, home.st_mode & 0o7777, w.st_uid) == (base + 1000, 0o700, base + 65534)


def test_embedded_image_needs_no_network(store: Engine) -> None:
    assert store("image", "exists", "podlike/hello", check=False).code == 1
    (doc,) = json.loads(store("image", "inspect", "podlike/hello").stdout)
    assert doc["RepoTags"] == ["localhost/podlike/hello:latest"]
    assert "Hello from a container" in store("run", "--rm", "podlike/hello").stdout


def test_a_layer_twice_in_one_image(store: Engine, tmp_path: Path) -> None:
    """Builders repeat the empty layer; overlayfs takes no directory twice, and the topmost one decides."""
    again = layer([File("x", b"from the top")])
    image = Image(layers=[oci.busybox_layer(), again, layer([Whiteout("x")]), again], config={"Cmd": ["/bin/cat", "/x"]})
    oci.write_oci_archive(tmp_path / "a.tar", {"localhost/twice:1": image})
    store("load", "-i", str(tmp_path / "a.tar"))
    assert store("run", "--rm", "twice:1").line == "from the top"
    assert len(json.loads(store("image", "inspect", "twice:1").stdout)[0]["RootFS"]["Layers"]) == 4


def test_whiteouts_hide_lower_layers(store: Engine, tmp_path: Path) -> None:
    image = Image(layers=[oci.busybox_layer(), layer([File("x", b"1"), File("d/old", b"")]),
                          layer([Whiteout("x"), Whiteout("d"), File("d/new", b"")])],
                  config={"Cmd": ["/bin/sh", "-c", "ls /d; ls /x 2>/dev/null || echo gone"]})
    oci.write_oci_archive(tmp_path / "a.tar", {"localhost/white:1": image})
    store("load", "-i", str(tmp_path / "a.tar"))
    assert store("run", "--rm", "white:1").stdout == "new\ngone\n"


def test_image_in_use(store: Engine) -> None:
    cid = store("create", "podlike/hello").line
    refused = store("rmi", "podlike/hello", check=False)
    assert refused.code == 2
    assert f"image used by {cid}: image is in use by a container: consider listing external containers" in refused.stderr
    assert store("image", "prune", "--all", "--force").stdout == ""
    assert store("rmi", "--force", "podlike/hello").stdout.startswith("Untagged: localhost/podlike/hello:latest\nDeleted: ")
    assert store("container", "exists", cid, check=False).code == 1


def test_skopeo_reads_what_we_keep(store: Engine, tmp_path: Path) -> None:
    """The kept blobs make a valid layout again."""
    from tests.support.need import need

    image = small()
    oci.write_oci_archive(tmp_path / "a.tar", {"localhost/app:1": image})
    store("load", "-i", str(tmp_path / "a.tar"))
    layout = tmp_path / "layout"
    (layout / "blobs").mkdir(parents=True)
    os.symlink(f"{store.data}/blobs/sha256", layout / "blobs/sha256")
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    manifest = image.blobs()[0]
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [{
        "mediaType": oci.MANIFEST, "digest": "sha256:" + hashlib.sha256(manifest).hexdigest(), "size": len(manifest)}]}))
    try:
        done = subprocess.run(["skopeo", "inspect", f"oci:{layout}"], capture_output=True)
    except FileNotFoundError:
        need(False, "skopeo is not installed")
        raise
    assert done.returncode == 0 and json.loads(done.stdout)["Layers"] == [
        layer["digest"] for layer in json.loads(manifest)["layers"]], done.stderr
