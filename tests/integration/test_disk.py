"""Disk: what `system df` says, what `system prune` frees, what `system check` finds and mends."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import oci
from tests.support.engine import Engine
from tests.support.need import need
from tests.support.oci import Dir, File, Image, layer
from tests.support.registry import real_registry

BASE = layer([Dir("bin"), File("bin/base", os.urandom(3_000_000)), File("etc/conf", b"x" * 5000)])


@pytest.fixture
def store() -> Iterator[Engine]:
    engine = Engine(os.environ.get("PODLIKE_BIN", "podlike"))
    try:
        yield engine
    finally:
        engine.destroy()


def load(store: Engine, where: Path, **images: Image) -> None:
    oci.write_oci_archive(where / "a.tar", {f"localhost/{name}:latest": image for name, image in images.items()})
    store("load", "-q", "-i", str(where / "a.tar"))


def two(store: Engine, where: Path) -> tuple[Image, Image]:
    """Two images on one base."""
    one = Image(layers=[BASE, layer([File("one", os.urandom(1_000_000))])], config={"Cmd": ["/bin/base"]})
    other = Image(layers=[BASE, layer([File("two", os.urandom(500_000))])], config={"Cmd": ["/bin/base"]})
    load(store, where, one=one, two=other)
    return one, other


def rows(store: Engine) -> dict[str, dict[str, Any]]:
    return {row["Type"]: row for row in json.loads(store("system", "df", "--format", "json").stdout)}


def du(store: Engine) -> int:
    """What du says, as somebody who may read all of it."""
    argv = ["unshare", "-r", "--map-auto", "du", "-s", "--apparent-size", "--block-size=1", store.data]
    return int(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[0])


def test_df_counts_shared_layers_once(store: Engine, tmp_path: Path) -> None:
    two(store, tmp_path)
    store("create", "--name", "c", "-v", "vol:/v", "one")
    found = rows(store)
    assert list(found) == ["Images", "Containers", "Local Volumes", "Compressed Layers"]
    images = found["Images"]
    assert images["Total"] == images["TotalCount"] == 2 and images["Active"] == 1
    assert images["RawSize"] == 3_005_000 + 1_500_000 and images["RawReclaimable"] == 500_000
    assert images["Size"] == "4.505MB" and images["Reclaimable"] == "500kB (11%)"
    assert found["Containers"]["Total"] == 1 and found["Containers"]["Active"] == 0
    assert found["Local Volumes"]["Total"] == found["Local Volumes"]["Active"] == 1
    lines = store("system", "df").stdout.splitlines()
    assert re.match(r"TYPE +TOTAL +ACTIVE +SIZE +RECLAIMABLE$", lines[0]) and len(lines) == 5
    assert re.match(r"Images +2 +1 +4\.505MB +500kB \(11%\)$", lines[1])
    verbose = store("system", "df", "-v").stdout
    assert re.search(r"localhost/one +latest +[0-9a-f]{12} +.* +4\.005MB +3\.005MB +1MB +1\n", verbose)
    assert re.search(r"localhost/two +latest +[0-9a-f]{12} +.* +3\.505MB +3\.005MB +500kB +0\n", verbose)
    assert re.search(r"VOLUME NAME +LINKS +SIZE\nvol +1 +0B\n", verbose)
    done = store("system", "df", "-v", "--format", "x", check=False)
    assert done.code == 125 and "cannot combine --format and --verbose" in done.stderr


def test_df_is_what_du_says(store: Engine, tmp_path: Path) -> None:
    two(store, tmp_path)
    store("create", "--name", "c", "-v", "vol:/v", "one")
    Path(store.data, "volumes/vol/_data/f").write_bytes(os.urandom(2_000_000))
    total, real = sum(row["RawSize"] for row in rows(store).values()), du(store)
    assert abs(total - real) < 0.05 * real, f"df says {total}, du {real}"


def docker(store: Engine, *args: str) -> str:
    script = f"from podlike.__main__ import main; main(['docker', *{list(args)!r}])"
    return subprocess.run([sys.executable, "-c", script], env=store.env, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_docker_sees_its_own_shape(store: Engine, tmp_path: Path) -> None:
    two(store, tmp_path)
    store("create", "--name", "c", "one")
    lines = docker(store, "system", "df").splitlines()
    assert re.match(r"TYPE +TOTAL +ACTIVE +SIZE +RECLAIMABLE$", lines[0]) and len(lines) == 5
    assert re.match(r"Images +2 +1 +9\.\d+MB +1\.\d+MB \(\d+%\)$", lines[1]) and re.match(r"Build Cache +0 +0 +0B +0B$", lines[4])
    row = json.loads(docker(store, "system", "df", "--format", "json").splitlines()[2])
    assert row == {"Active": "0", "Reclaimable": "0B", "Size": "0B", "TotalCount": "0", "Type": "Local Volumes"}
    assert "Build cache usage: 0B" in docker(store, "system", "df", "-v")
    detailed = json.loads(docker(store, "system", "df", "-v", "--format", "json"))
    assert list(detailed) == ["Images", "Containers", "Volumes", "BuildCache"] and len(detailed["Images"]) == 2
    out = docker(store, "system", "prune", "-a", "-f")
    assert out.startswith("Deleted Containers:\n") and "untagged: localhost/one:latest\ndeleted: sha256:" in out
    assert "Total reclaimed space: " in out


def test_prune_frees_what_it_says(store: Engine, tmp_path: Path) -> None:
    two(store, tmp_path)
    store("create", "--name", "c", "-v", "vol:/v", "one")
    Path(store.data, "volumes/vol/_data/f").write_bytes(bytes(10_000))
    asked = store("system", "prune", "--all", "--volumes", input="n\n").stdout
    assert asked == ("WARNING! This command removes:\n\t- all stopped containers\n"
                     "\t- all networks not used by at least one container\n"
                     "\t- all volumes not used by at least one container\n"
                     "\t- all images without at least one container associated with them\n\t- all build cache\n\n"
                     "Are you sure you want to continue? [y/N] ")
    assert len(rows(store)) == 4 and rows(store)["Images"]["Total"] == 2
    before = du(store)
    out = store("system", "prune", "--all", "--volumes", input="y\n").stdout
    freed = before - du(store)
    assert re.search(r"Deleted Containers\n[0-9a-f]{64}\nDeleted Volumes\nvol\nDeleted Images\n([0-9a-f]{64}\n){2}Total", out)
    said = float(out.rpartition(": ")[2].strip().removesuffix("MB")) * 1e6
    assert abs(said - freed) < 0.05 * freed, f"said {said}, freed {freed}"
    assert [row["Total"] for row in rows(store).values()] == [0, 0, 0, 0] and rows(store)["Images"]["Reclaimable"] == "0B (0%)"


def test_prune_by_label_and_age(store: Engine, tmp_path: Path) -> None:
    two(store, tmp_path)
    store("create", "--name", "keep", "one")
    store("create", "--name", "go", "--label", "x=1", "one")
    store("system", "prune", "-f", "--filter", "label=x=1")
    assert store("ps", "-aq", "--format", "{{.Names}}").stdout.split() == ["keep"]
    store("system", "prune", "-f", "--filter", "until=1h")
    assert store("ps", "-aq", "--format", "{{.Names}}").stdout.split() == ["keep"] and rows(store)["Images"]["Total"] == 2
    done = store("system", "prune", "-f", "--filter", "name=x", check=False)
    assert done.code == 125 and "invalid filter" in done.stderr
    assert "cannot be combined" in store("system", "prune", "--external", "--all", check=False).stderr


def test_leftovers_of_killed_commands_go(store: Engine, tmp_path: Path) -> None:
    two(store, tmp_path)
    before = du(store)
    for name in ("tmp/layer-dead/diff/deep", "containers/" + "0" * 64 + "/upper"):
        Path(store.data, name).mkdir(parents=True)
        Path(store.data, name, "f").write_bytes(bytes(100_000))
    Path(store.data, "tmp", "1" * 64 + ".partial").write_bytes(bytes(100_000))
    Path(store.data, "tmp/whatever").write_bytes(bytes(100_000))
    store("system", "prune", "-f")
    assert du(store) < before + 10_000 and os.listdir(f"{store.data}/tmp") == [".lock"]
    assert rows(store)["Images"]["Total"] == 2


# --- check --------------------------------------------------------------------------------------------------------------------


def layer_dir(store: Engine, data: bytes) -> Path:
    return Path(store.data, "layers/sha256", oci.digest(data)[7:])


def damage(store: Engine, script: str, *args: str) -> None:
    subprocess.run(["unshare", "-r", "--map-auto", "sh", "-euc", script, "sh", *args], check=True)


def test_a_whole_store_is_fine(store: Engine, tmp_path: Path) -> None:
    two(store, tmp_path)
    assert store("system", "check").stdout == "" and store("system", "check").stdout == ""  # the second with what it remembered
    assert store("system", "check", "--quick").stdout == ""


def test_changed_layers_are_found_and_mended(store: Engine, tmp_path: Path) -> None:
    two(store, tmp_path)
    damages = ('printf y > "$1/diff/etc/conf"', 'touch -r / "$1/diff/etc/conf"', 'echo more > "$1/diff/new"')
    for number, what in enumerate(damages):
        damage(store, what, str(layer_dir(store, BASE)))
        if number == 0:
            assert store("system", "check", "--quick").stdout == ""  # looks at sizes and records only
        done = store("system", "check", check=False)
        assert done.code == 125 and "damage detected in local storage" in done.stderr and "checksum failed" in done.stdout
        assert f"Damaged layer {oci.digest(BASE)}" in done.stdout and done.stdout.count("Damaged image") == 2
        mended = store("system", "check", "--repair")
        assert f"Repaired layer from its blob: {oci.digest(BASE)}" in mended.stdout
    assert store("system", "check").stdout == "" and rows(store)["Images"]["Total"] == 2


def test_missing_layers_are_found_at_once(store: Engine, tmp_path: Path) -> None:
    two(store, tmp_path)
    store("create", "--name", "c", "one")
    damage(store, 'rm -rf "$1"', str(layer_dir(store, BASE)))
    done = store("system", "check", "-q", check=False)
    assert done.code == 125 and "image layer is missing" in done.stdout and "Damaged container" in done.stdout
    store("system", "check", "-q", "-r")
    assert store("system", "check").stdout == ""
    assert store("image", "inspect", "one", "--format", "{{len .RootFS.Layers}}").line == "2"


def test_unused_layers(store: Engine, tmp_path: Path) -> None:
    two(store, tmp_path)
    extra = layer_dir(store, b"nobody's")
    (extra / "diff").mkdir(parents=True)
    record = {"diff_id": oci.digest(b"nobody's"), "size": 0, "blob": None, "media_type": ""}
    (extra / "layer.json").write_text(json.dumps(record))
    assert store("system", "check").stdout == ""
    done = store("system", "check", "-m", "0", check=False)
    assert done.code == 125 and "layer not referenced" in done.stdout
    store("system", "check", "-m", "0", "-r")
    assert store("system", "check", "-m", "0").stdout == "" and not extra.exists()


def test_damaged_blobs_are_pulled_again(store: Engine, tmp_path: Path) -> None:
    from tests.support.registry import make_image, make_layer, tar_of

    need(shutil.which("docker-registry"), "docker-registry: apt-get install docker-registry")
    (tmp_path / "registry").mkdir()
    with real_registry(tmp_path / "registry") as registry:
        image = make_image([make_layer(tar_of({"f": os.urandom(100_000)}))])
        store("pull", "-q", registry.push("check/base", "1", image))
        (part,) = json.loads(image.manifest)["layers"]
        blob = Path(store.data, "blobs/sha256", part["digest"][7:])
        blob.write_bytes(blob.read_bytes()[:-1] + b"?")
        assert "blob has incorrect content" in store("system", "check", check=False).stdout
        assert "Repaired image by pulling it again" in store("system", "check", "--repair").stdout
    assert store("system", "check").stdout == "" and oci.digest(blob.read_bytes())[7:] == blob.name


def test_what_cannot_be_mended_is_removed(store: Engine, tmp_path: Path) -> None:
    one, _ = two(store, tmp_path)
    blob = Path(store.data, "blobs/sha256", json.loads(one.blobs()[0])["layers"][1]["digest"][7:])
    blob.unlink()
    done = store("system", "check", "-r", check=False)  # it runs still
    assert done.code == 125 and "can be run" in done.stderr and rows(store)["Images"]["Total"] == 2
    damage(store, 'rm -rf "$1"', str(layer_dir(store, one.layers[1])))
    out = store("system", "check", "-r").stdout
    assert f"Deleted damaged image: {one.id}" in out and rows(store)["Images"]["Total"] == 1
    assert store("system", "check").stdout == ""


def test_containers_are_lost_with_force_only(store: Engine, tmp_path: Path) -> None:
    one, _ = two(store, tmp_path)
    store("create", "--name", "c", "one")
    for data in one.layers:
        damage(store, 'rm -rf "$1"', str(layer_dir(store, data)))
    damage(store, 'rm -rf "$1"', f"{store.data}/blobs/sha256")
    done = store("system", "check", "-r", check=False)
    assert done.code == 125 and "still present after repair" in done.stderr and store("ps", "-aq").stdout
    assert "Deleted damaged" in store("system", "check", "-r", "-f").stdout
    assert not store("ps", "-aq").stdout and store("system", "check").stdout == ""


# --- additional stores ----------------------------------------------------------------------------------------------------------


def test_additional_image_stores(store: Engine, tmp_path: Path) -> None:
    """Another store's images can be seen, run and saved, and not be changed; nothing of them is copied."""
    shared = Engine(os.environ.get("PODLIKE_BIN", "podlike"))
    try:
        two(shared, tmp_path)
        oci.write_oci_archive(tmp_path / "b.tar", {"localhost/run:latest": oci.busybox_image()})
        shared("load", "-q", "-i", str(tmp_path / "b.tar"))
        conf = tmp_path / "storage.conf"
        conf.write_text(f'[storage]\ndriver = "overlay"\n[storage.options]\nadditionalimagestores = ["{shared.data}"]\n')
        env = {"CONTAINERS_STORAGE_CONF": str(conf)}
        listed = store("images", "--format", "{{.Repository}}", env=env).stdout.split()
        assert sorted(listed) == ["localhost/one", "localhost/run", "localhost/two"]
        assert store("run", "--rm", "run", "echo", "hello", env=env).stdout == "hello\n"
        store("save", "-q", "-o", str(tmp_path / "s.tar"), "one", env=env)
        for args in (["rmi", "one"], ["tag", "one", "three"], ["untag", "one"]):
            done = store(*args, env=env, check=False)
            assert done.code == 125 and "read-only image store" in done.stderr
        store("system", "prune", "-a", "-f", env=env)
        assert len(json.loads(shared("images", "--format", "json").stdout)) == 3
        assert not os.path.isdir(f"{store.data}/layers/sha256") or os.listdir(f"{store.data}/layers/sha256") == []
        store("load", "-q", "-i", str(tmp_path / "a.tar"), env=env)  # an own image on the other store's layers
        assert len(store("images", "-q", env=env).stdout.split()) == 3
        conf.write_text('[storage]\ndriver = "overlay"\n[storage.options]\nadditionalimagestores = ["/nowhere"]\n')
        done = store("images", env=env, check=False)
        assert done.code == 125 and "additional image store /nowhere" in done.stderr
    finally:
        shared.destroy()
