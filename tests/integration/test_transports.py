"""Archives, layouts and directories in and out, judged by skopeo, umoci and podman."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_store import files_of, store
from tests.support import oci
from tests.support.engine import Engine
from tests.support.need import need

__all__ = ["store"]  # a fixture

FORMATS = {"docker-archive": "docker-archive", "oci-archive": "oci-archive", "oci-dir": "oci", "docker-dir": "dir"}


def run(*argv: str, env: dict[str, str] | None = None, check: bool = True) -> "subprocess.CompletedProcess[str]":
    need(shutil.which(argv[0]), f"{argv[0]} is not installed")
    done = subprocess.run(argv, capture_output=True, text=True, env=(dict(os.environ) | env) if env else None, check=False)
    assert not check or done.returncode == 0, (argv, done.stdout, done.stderr)
    return done


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    need(shutil.which("podman"), "podman is not installed")
    engine = Engine("podman", env={"TMPDIR": "/tmp"})
    os.makedirs(f"{engine.home}/.config/containers")
    Path(f"{engine.home}/.config/containers/policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    try:
        yield engine
        engine("rmi", "--all", "--force")
    finally:
        engine.destroy()


def skopeo(*args: str) -> str:
    return run("skopeo", "--insecure-policy", *args, env={"TMPDIR": "/tmp"}).stdout


def raw_manifest(place: str) -> dict[str, Any]:
    doc: dict[str, Any] = json.loads(skopeo("inspect", "--raw", place))
    return doc


def digest_at(place: str) -> str:
    return "sha256:" + hashlib.sha256(skopeo("inspect", "--raw", place).encode()).hexdigest()


IMAGE = oci.Image(layers=[oci.layer([oci.File("f", b"1" * 100_000), oci.Dir("d")]),
                          oci.layer([oci.File("d/g", os.urandom(50_000))])],
                  config={"Cmd": ["/f"], "Labels": {"a": "ü"}}, annotations={"org.example.a": "b"})
MANIFEST = oci.digest(IMAGE.blobs()[0])


@pytest.fixture
def filled(store: Engine, tmp_path: Path) -> Engine:
    """localhost/app:1 is IMAGE, from an OCI archive."""
    oci.write_oci_archive(tmp_path / "in.tar", {"localhost/app:1": IMAGE})
    store("load", "-q", "-i", str(tmp_path / "in.tar"))
    return store


def digest_of(engine: Engine, name: str) -> str:
    doc: str = json.loads(engine("image", "inspect", name).stdout)[0]["Digest"]
    return doc


@pytest.mark.parametrize("format", FORMATS)
def test_saved_read_by_all_and_loaded_again(filled: Engine, podman: Engine, tmp_path: Path, format: str) -> None:
    out = tmp_path / "out"
    assert filled("save", "-q", "--format", format, "-o", str(out), "app:1").stdout == ""
    place = f"{FORMATS[format]}:{out}"
    if format.startswith("oci"):
        assert digest_at(place) == MANIFEST
    else:
        assert raw_manifest(place)["config"]["digest"] == f"sha256:{IMAGE.id}"
    skopeo("copy", place, f"oci:{tmp_path}/copy:x")
    if format.startswith("oci"):  # skopeo writes docker's configs anew on their way to OCI
        assert digest_at(f"oci:{tmp_path}/copy:x") == MANIFEST
    plain = f"/tmp/podlike-out-{os.getpid()}"  # podman makes a name of a layout's path: no capitals
    os.symlink(out, plain)
    try:
        assert IMAGE.id in podman("load", "-q", "-i", plain).stdout + podman("images", "-q", "--no-trunc").stdout
    finally:
        os.unlink(plain)
    podman("rmi", "--all", "--force")
    filled("rmi", "--force", "app:1")
    called = filled("load", "-q", "-i", str(out)).line.removeprefix("Loaded image: ")
    assert called == (f"sha256:{IMAGE.id}" if format == "docker-dir" else "localhost/app:1")
    (doc,) = json.loads(filled("image", "inspect", IMAGE.id).stdout)
    assert doc["RootFS"]["Layers"] == [oci.digest(data) for data in IMAGE.layers]
    if format.startswith("oci"):
        assert digest_of(filled, "app:1") == MANIFEST


@pytest.mark.parametrize("format", FORMATS)
def test_what_podman_saves_is_loaded(store: Engine, podman: Engine, tmp_path: Path, format: str) -> None:
    oci.write_oci_archive(tmp_path / "in.tar", {"localhost/app:1": IMAGE})
    podman("load", "-q", "-i", str(tmp_path / "in.tar"))
    podman("save", "-q", "--format", format, "-o", str(tmp_path / "out"), "localhost/app:1")
    store("load", "-q", "-i", str(tmp_path / "out"))
    assert store("images", "-q", "--no-trunc").line == f"sha256:{IMAGE.id}"
    podman("rmi", "--all", "--force")
    if format.endswith("archive"):
        for pack in ("gzip", "xz", "zstd", "bzip2"):
            store("rmi", "--all", "--force")
            data = run_bytes(pack, (tmp_path / "out").read_bytes())
            assert store("load", "-q", input=data).line == "Loaded image: localhost/app:1"


def run_bytes(program: str, data: bytes) -> bytes:
    need(shutil.which(program), f"{program} is not installed")
    return subprocess.run([program, "-1", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


def test_layout_is_what_umoci_takes(filled: Engine, tmp_path: Path) -> None:
    """umoci reads every blob against its digest and unpacks the layers."""
    layout = tmp_path / "layout"
    filled("push", "-q", "app:1", f"oci:{layout}:one")
    filled("push", "-q", "--compression-format", "zstd", "app:1", f"oci:{layout}:two")
    filled("push", "-q", "app:1", f"oci:{layout}:one")  # replaces the first
    assert sorted(run("umoci", "ls", "--layout", str(layout)).stdout.split()) == ["one", "two"]
    run("umoci", "unpack", "--rootless", "--image", f"{layout}:one", str(tmp_path / "bundle"))
    assert (tmp_path / "bundle/rootfs/f").read_bytes() == b"1" * 100_000
    run("umoci", "gc", "--layout", str(layout))  # removes what nothing refers to: both images must survive it
    assert digest_at(f"oci:{layout}:one") == MANIFEST
    types = [layer["mediaType"] for layer in raw_manifest(f"oci:{layout}:two")["layers"]]
    assert types == [oci.LAYER + "+zstd"] * 2
    check_layout(layout)


def check_layout(layout: Path) -> None:
    """image-layout.md: every blob is what its name says; every descriptor fits."""
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((layout / "index.json").read_bytes())
    assert index["schemaVersion"] == 2 and index["mediaType"] == oci.INDEX
    todo = list(index["manifests"])
    seen = set()
    while todo:
        entry = todo.pop()
        data = (layout / "blobs" / entry["digest"].replace(":", "/")).read_bytes()
        assert len(data) == entry["size"] and oci.digest(data) == entry["digest"]
        seen.add(entry["digest"].partition(":")[2])
        if entry["mediaType"] == oci.MANIFEST:
            doc = json.loads(data)
            assert doc["mediaType"] == oci.MANIFEST
            todo += [doc["config"], *doc["layers"]]
    assert seen == set(os.listdir(layout / "blobs/sha256"))


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "dir", "docker-archive"])
def test_push_pull_and_skopeo(filled: Engine, tmp_path: Path, transport: str) -> None:
    place = f"{transport}:{tmp_path}/x" + ("" if transport == "dir" else ":localhost/new:2")
    filled("push", "-q", "--digestfile", str(tmp_path / "digest"), "app:1", place)
    other = f"{transport}:{tmp_path}/y" + ("" if transport == "dir" else ":localhost/new:2")
    skopeo("copy", place, other)
    if transport != "docker-archive":
        assert (tmp_path / "digest").read_text() == digest_at(place) == digest_at(other) == MANIFEST
    for source in (place, other):
        filled("rmi", "--all", "--force")
        assert filled("pull", "-q", source).line == IMAGE.id
        name = filled("images", "--format", "{{.Repository}}:{{.Tag}}").line
        assert name == ("<none>:<none>" if transport == "dir" else "localhost/new:2")
        if transport != "docker-archive":
            assert digest_of(filled, IMAGE.id) == MANIFEST


def test_docker_manifest_goes_round(store: Engine, tmp_path: Path) -> None:
    """A v2s2 image keeps its digest in dir:, and gets an OCI manifest with the same blobs in a layout."""
    manifest, blobs = IMAGE.blobs()
    doc = json.loads(manifest)
    docker: dict[str, Any] = {
              "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
              "config": {**doc["config"], "mediaType": "application/vnd.docker.container.image.v1+json"},
              "layers": [{**d, "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"} for d in doc["layers"]]}
    source = tmp_path / "src"
    source.mkdir()
    raw = json.dumps(docker, indent=3).encode()
    (source / "manifest.json").write_bytes(raw)
    (source / "version").write_bytes(b"Directory Transport Version: 1.1\n")
    for digest, data in blobs.items():
        (source / digest[7:]).write_bytes(data)
    assert store("pull", "-q", f"dir:{source}").line == IMAGE.id
    store("push", "-q", IMAGE.id, f"dir:{tmp_path}/out")
    assert (tmp_path / "out/manifest.json").read_bytes() == raw
    store("save", "-q", "--format", "docker-dir", "-o", str(tmp_path / "saved"), IMAGE.id)
    assert (tmp_path / "saved/manifest.json").read_bytes() == raw
    store("push", "-q", IMAGE.id, f"oci:{tmp_path}/lay:x")
    layers = raw_manifest(f"oci:{tmp_path}/lay:x")["layers"]
    assert [d["digest"] for d in layers] == [d["digest"] for d in doc["layers"]]
    check_layout(tmp_path / "lay")
    store("tag", IMAGE.id, "zstd:1")
    store("push", "-q", "--compression-format", "zstd", "zstd:1", f"oci:{tmp_path}/z:x")
    store("rmi", "-af")
    store("pull", "-q", f"oci:{tmp_path}/z:x")  # docker's manifests know no zstd: gzip again, and skopeo reads it
    store("save", "-q", "--format", "docker-dir", "-o", str(tmp_path / "again"), "x")
    assert {d["mediaType"] for d in raw_manifest(f"dir:{tmp_path}/again")["layers"]} == {docker["layers"][0]["mediaType"]}
    skopeo("copy", f"dir:{tmp_path}/again", f"oci:{tmp_path}/again-oci:x")


def test_several_images_and_names(store: Engine, podman: Engine, tmp_path: Path) -> None:
    other = oci.Image(layers=[IMAGE.layers[0]], config={"Cmd": ["b"]})
    oci.write_docker_archive(tmp_path / "in.tar", {"a:1": IMAGE, "b:1": other})
    store("load", "-q", "-i", str(tmp_path / "in.tar"))
    out = str(tmp_path / "out.tar")
    store("save", "-q", "-m", "-o", out, "a:1", "b:1")
    with tarfile.open(out) as tar:
        names = tar.getnames()
        assert len(names) == len(set(names)) == 5  # manifest, two configs, two layers: the shared one once
        items = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert [item["RepoTags"] for item in items] == [["docker.io/library/a:1"], ["docker.io/library/b:1"]]
    loaded = podman("load", "-q", "-i", out).stdout
    assert "docker.io/library/a:1" in loaded and "docker.io/library/b:1" in loaded
    podman("rmi", "--all", "--force")
    assert store("pull", "-q", f"docker-archive:{out}:b:1").line == other.id
    assert store("pull", "-q", f"docker-archive:{out}:@0").line == IMAGE.id
    for source, words in ((f"docker-archive:{out}", "expected 1 item, got 2"), (f"docker-archive:{out}:c", "not found"),
                          (f"docker-archive:{out}:@2", "only 2 manifest items"), (f"oci-archive:{out}", "no such file"),
                          (f"oci:{out}", "no directory")):
        failed = store("pull", "-q", source, check=False)
        assert failed.code == 125 and words in failed.stderr, failed
    store("save", "-q", "-o", out, "a:1", "c:9", "d")  # further words are names for the first image
    assert sorted(store("load", "-q", "-i", out).stdout.split("\n")[:3]) == [
        f"Loaded image: {n}" for n in ("docker.io/library/a:1", "localhost/c:9", "localhost/d:latest")]
    layout = str(tmp_path / "layout")
    store("save", "-q", "-m", "--format", "oci-dir", "-o", layout, "a:1", "b:1")
    check_layout(Path(layout))
    store("rmi", "--all", "--force")
    assert sorted(store("load", "-q", "-i", layout).stdout.split()) == sorted(
        ["Loaded", "image:", "docker.io/library/a:1", "Loaded", "image:", "docker.io/library/b:1"])


def test_uncompressed_and_compressed(filled: Engine, tmp_path: Path) -> None:
    filled("save", "-q", "--format", "oci-archive", "--uncompressed", "-o", str(tmp_path / "plain.tar"), "app:1")
    plain = raw_manifest(f"oci-archive:{tmp_path}/plain.tar")
    assert [d["digest"] for d in plain["layers"]] == [oci.digest(data) for data in IMAGE.layers]
    assert {d["mediaType"] for d in plain["layers"]} == {oci.LAYER} and plain["annotations"] == IMAGE.annotations
    filled("save", "-q", "-o", str(tmp_path / "docker.tar"), "app:1")
    filled("rmi", "--all", "--force")
    filled("load", "-q", "-i", str(tmp_path / "docker.tar"))
    for compress in ([], ["--compress"]):
        filled("save", "-q", "--format", "docker-dir", *compress, "-o", str(tmp_path / f"dir{len(compress)}"), "app:1")
        types = {d["mediaType"] for d in raw_manifest(f"dir:{tmp_path}/dir{len(compress)}")["layers"]}
        assert types == {"application/vnd.docker.image.rootfs.diff.tar" + (".gzip" if compress else "")}
    for _ in range(2):  # plain layers are packed on their way into an OCI archive, each time to the same bytes
        filled("save", "-q", "--format", "oci-archive", "-o", str(tmp_path / "packed.tar"), "app:1")
        made = digest_at(f"oci-archive:{tmp_path}/packed.tar")
    filled("save", "-q", "--format", "oci-archive", "-o", str(tmp_path / "packed2.tar"), "app:1")
    assert made == digest_at(f"oci-archive:{tmp_path}/packed2.tar")
    assert (tmp_path / "packed.tar").read_bytes() == (tmp_path / "packed2.tar").read_bytes()
    assert {d["mediaType"] for d in raw_manifest(f"oci-archive:{tmp_path}/packed.tar")["layers"]} == {oci.LAYER + "+gzip"}


def test_pipes_and_terminals(filled: Engine, tmp_path: Path) -> None:
    filled("save", "-q", "-o", str(tmp_path / "file.tar"), "app:1")
    command = f"{filled.bin} save app:1 | cat > {tmp_path}/pipe.tar; {filled.bin} save app:1 >> {tmp_path}/appended.tar"
    subprocess.run(["sh", "-ec", command], env=filled.env, check=True)
    assert len({(tmp_path / f"{n}.tar").read_bytes() for n in ("file", "pipe", "appended")}) == 1
    with filled.terminal("save", "app:1") as terminal:
        terminal.expect("refusing to save to terminal")
        assert terminal.wait() == 125
    dead = filled.popen("save", "app:1", stdout=subprocess.PIPE)
    assert dead.stdout is not None
    dead.stdout.close()  # whoever reads has left
    assert dead.wait() == 141
    refusals: dict[tuple[str, ...], str] = {
        ("--compress", "app:1"): "only be set when --format is 'docker-dir'", ("--format", "zip", "a"): "one of",
        (): "at least 1", ("nope",): "image not known", ("--format", "oci-dir", "app:1"): "cannot go to standard",
        ("-o", "a:b", "app:1"): 'should not contain ":"'}
    for args, words in refusals.items():
        failed = filled("save", *args, check=False)
        assert failed.code == 125 and words in failed.stderr, failed


@pytest.mark.parametrize(("format", "how"), [
    ("docker-archive", signal.SIGTERM), ("oci-archive", signal.SIGKILL), ("oci-dir", signal.SIGINT),
    ("docker-dir", signal.SIGKILL)])
def test_ended_saves_leave_nothing(store: Engine, tmp_path: Path, format: str, how: signal.Signals) -> None:
    big = oci.Image(layers=[oci.layer([oci.File("f", os.urandom(40 << 20))])])
    oci.write_oci_archive(tmp_path / "in.tar", {"localhost/big:1": big})
    store("load", "-q", "-i", str(tmp_path / "in.tar"))
    where = tmp_path / "where"
    where.mkdir()
    for delay in (0.15, 0.35):
        with store.popen("save", "-q", "--format", format, "-o", str(where / "out"), "big:1") as p:
            time.sleep(delay)
            p.send_signal(how)
        if p.returncode == 0:  # it was faster
            assert os.listdir(where) == ["out"]
        elif how != signal.SIGKILL or format.endswith("archive"):
            assert os.listdir(where) == []
        else:
            assert not (where / "out").exists()
        shutil.rmtree(where / "out", ignore_errors=True)
        (where / "out").unlink(missing_ok=True)
    store("save", "-q", "--format", format, "-o", str(where / "out"), "big:1")
    assert os.listdir(where) == ["out"]  # what killed ones left is gone, too


def test_errors_leave_no_output(filled: Engine, tmp_path: Path) -> None:
    """A damaged blob is seen, and what was there before stays."""
    blob = IMAGE.blobs()[1]
    layer = json.loads(IMAGE.blobs()[0])["layers"][1]["digest"]
    path = Path(filled.data, "blobs", layer.replace(":", "/"))
    path.write_bytes(blob[layer][:-1] + b"X")
    (tmp_path / "old.tar").write_bytes(b"old")
    for format in FORMATS:
        out = tmp_path / ("old.tar" if format.endswith("archive") else "newdir")
        failed = filled("save", "-q", "--format", format, "-o", str(out), "app:1", check=False)
        assert failed.code == 125 and "damaged" in failed.stderr, failed
        assert (tmp_path / "old.tar").read_bytes() == b"old" and not (tmp_path / "newdir").exists()
    path.write_bytes(blob[layer])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis").write_bytes(b"years")
    for format in ("oci-dir", "docker-dir"):
        failed = filled("save", "-q", "--format", format, "-o", str(tmp_path / "mine"), "app:1", check=False)
        assert failed.code == 125 and os.listdir(tmp_path / "mine") == ["thesis"], failed
    assert not [n for n in os.listdir(tmp_path) if n.startswith(".")]


def test_from_podmans_store(store: Engine, podman: Engine, tmp_path: Path) -> None:
    """Layers come byte for byte: their diff IDs fit, and the image keeps its id. podman's store stays as it is."""
    entries = [oci.Dir("home", uid=1000, gid=1000), oci.File("home/mine", b"m" * 70_000, 0o600, 1000, 1000),
               oci.File("empty"), oci.Hardlink("link", "home/mine"), oci.Symlink("s", "home/mine"),
               oci.File("n" * 150, b"long"), oci.Fifo("pipe"),
               oci.File("x", b"x", xattrs={"user.a": "b"})]
    image = oci.Image(layers=[oci.busybox_layer(), oci.layer(entries),
                              oci.layer([oci.Whiteout("home/mine"), oci.File("last", b"1")])])
    oci.write_oci_archive(tmp_path / "in.tar", {"localhost/p:1": image})
    podman("load", "-q", "-i", str(tmp_path / "in.tar"))
    root = podman("info", "--format", "{{.Store.GraphRoot}}").line
    place = f"containers-storage:[{root}]"
    before = sorted(os.listdir(f"{root}/overlay-layers"))
    for name in ("p:1", "localhost/p:1", image.id, image.id[:10], f"@{image.id}"):
        assert store("pull", "-q", f"{place}{name}").line == image.id
    assert sorted(os.listdir(f"{root}/overlay-layers")) == before
    assert "localhost/p:1" in store("images", "--format", "{{.Repository}}:{{.Tag}}").stdout
    assert store("pull", "-q", "containers-storage:p:1", env={"HOME": podman.home}).line == image.id
    doc = json.loads(store("image", "inspect", image.id).stdout)[0]
    assert doc["RootFS"]["Layers"] == [oci.digest(data) for data in image.layers]
    for args, words in ((f"{place}nope", "image not known"), ("containers-storage:[/nonexistent]x", "no images of podman's"),
                        (f"containers-storage:[zfs@{root}]x", "driver is zfs")):
        failed = store("pull", "-q", args, check=False)
        assert failed.code == 125 and words in failed.stderr, failed
    assert store("push", "p:1", f"{place}q", check=False).code == 125
    podman("rmi", "--all", "--force")


def test_hostile_and_damaged_archives_leave_nothing(store: Engine, tmp_path: Path) -> None:
    """The readers' own tests are in tests/unit/test_transports_hostile.py; here is what meets the store."""
    files = oci.layout({"localhost/x:1": IMAGE})
    layer = json.loads(IMAGE.blobs()[0])["layers"][1]["digest"].replace(":", "/")
    data = files[f"blobs/{layer}"]
    cases = {"cut": data[:-5], "other": data[:-1] + bytes([data[-1] ^ 1]), "longer": data + b"x",
             "garbage": os.urandom(len(data))}
    for what, content in cases.items():
        path = tmp_path / f"{what}.tar"
        path.write_bytes(oci.layer([oci.File(n, content if n == f"blobs/{layer}" else d) for n, d in files.items()]))
        for done in (store("load", "-i", str(path), check=False), store("load", input=path.read_bytes(), check=False),
                     store("pull", f"oci-archive:{path}", check=False)):
            assert done.code == 125 and "Error: " in done.stderr and "Traceback" not in done.stderr, (what, done)
            assert files_of(store) == [], what


def test_import(store: Engine, podman: Engine, tmp_path: Path) -> None:
    tar = tmp_path / "fs.tar"
    tar.write_bytes(oci.busybox_layer())
    os.utime(tar, (oci.EPOCH, oci.EPOCH))
    ids = {store("import", "-q", str(tar)).line}
    for pack in ("gzip", "xz", "zstd", "bzip2"):
        packed = tmp_path / f"fs.{pack}"
        packed.write_bytes(run_bytes(pack, tar.read_bytes()))
        os.utime(packed, (oci.EPOCH, oci.EPOCH))
        ids.add(store("import", "-q", str(packed)).line)
    assert len(ids) == 1  # equal files, equal image
    store("import", "-q", "-m", "words", "--arch", oci.architecture(), "-c", 'CMD ["echo", "from the image"]',
          "--change", "ENV A=b", "-", "app:2", input=tar.read_bytes())
    assert store("run", "--rm", "--network", "none", "app:2").line == "from the image"
    (doc,) = json.loads(store("image", "inspect", "app:2").stdout)
    assert doc["Comment"] == "words" and doc["Config"]["Env"] == ["A=b"] and doc["RepoTags"] == ["localhost/app:2"]
    store("save", "-q", "-o", str(tmp_path / "out.tar"), "app:2")
    assert podman("load", "-q", "-i", str(tmp_path / "out.tar")).line == "Loaded image: localhost/app:2"
    podman("rmi", "--all", "--force")
    kept = ids_of(store)
    refusals: list[tuple[tuple[str, ...], str, bytes]] = [
        ((str(tmp_path),), "it is a directory", b""), (("-",), "it is empty", b""), (("-",), "unpack layer", b"no tar"),
        ((str(tar), "x", "-c", "NOPE 1"), "invalid instruction", b""), ((), "need to give the path", b""),
        (("a", "b", "c"), "too many arguments", b""), ((str(tar), "UP:PER:case"), "invalid reference", b""),
        (("-",), "unpack layer", tar.read_bytes()[:70_000])]
    for args, words, stdin in refusals:
        failed = store("import", "-q", *args, input=stdin, check=False)
        assert failed.code == 125 and words in failed.stderr, failed
    assert ids_of(store) == kept


def ids_of(engine: Engine) -> set[str]:
    return set(engine("images", "-aq", "--no-trunc").stdout.split())
