"""What users type about images: listing, filters, removal, history, tree, diff, mount."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import oci
from tests.support.engine import Engine

BASE = [oci.File("base", b"base\n"), oci.Dir("dir"), oci.File("dir/kept", b"kept\n"), oci.File("dir/gone", b"gone\n")]
TOP = [oci.File("dir/new", b"new\n"), oci.File("dir/.wh.gone"), oci.File("base", b"other\n")]


@pytest.fixture(scope="module")
def own() -> Iterator[Engine]:
    e = Engine(os.environ.get("PODLIKE_BIN", "podlike"))
    try:
        yield e
    finally:
        e.destroy()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Three images, two made from the first; and their ids."""
    tops = {"base": [], "child": TOP, "side": [oci.File("side", b"side\n")]}
    images = {name: oci.Image(layers=[oci.layer(BASE), *([oci.layer(top)] if top else [])], config={"Labels": {"name": name}})
              for name, top in tops.items()}
    path = tmp_path_factory.mktemp("family") / "family.tar"
    oci.write_oci_archive(path, {f"localhost/{name}:1": image for name, image in images.items()})
    return path, {name: image.id for name, image in images.items()}


@pytest.fixture
def family(own: Engine, archive: tuple[Path, dict[str, str]]) -> Iterator[dict[str, str]]:
    """base (unnamed), child (localhost/child:1) and side (localhost/side:1) are in the store; after the test nothing is."""
    own("load", "-q", "-i", str(archive[0]))
    own("untag", "base:1")
    yield archive[1]
    own("rmi", "--all", "--force")
    assert own("ps", "-aq").stdout == own("images", "-aq").stdout == ""


def lines(result: Any) -> list[str]:
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_intermediate_images_hide(own: Engine, family: dict[str, str]) -> None:
    assert set(own("images", "-q", "--no-trunc").line.split()) == {f"sha256:{family[n]}" for n in ("child", "side")}
    assert len(own("images", "-aq").line.split()) == 3
    assert own("images", "-q", "--no-trunc", "--filter", "intermediate=true").line == f"sha256:{family['base']}"
    assert own("images", "-aq", "--filter", "dangling=true").line == ""
    row = next(r for r in json.loads(own("images", "--format", "json").stdout) if r["Names"] == ["localhost/child:1"])
    assert row["ParentId"] == family["base"] and row["Labels"] == {"name": "child"} and row["RepoTags"] is None
    assert own("image", "inspect", "--format", "{{.Parent}}", "child:1").line == family["base"]


def test_short_names_are_found_in_any_registry(own: Engine, family: dict[str, str]) -> None:
    own("tag", "child:1", "reg.example:5000/deep/er:2")
    for name in ("er:2", "deep/er:2"):
        assert own("image", "inspect", "--format", "{{.Id}}", name).line == family["child"]
    for name in ("er", "r:2", "other/er:2", "reg.example/deep/er:2"):
        assert own("image", "exists", name, check=False).code == 1
    own("tag", "side:1", "localhost/er:2")
    assert own("image", "inspect", "--format", "{{.Id}}", "er:2").line == family["side"]  # what the configuration says is first


def test_history_and_tree(own: Engine, family: dict[str, str]) -> None:
    heads = lines(own("history", "child:1"))
    assert heads[0] == "ID CREATED CREATED BY SIZE COMMENT" and heads[1].startswith(family["child"][:12])
    assert heads[2].startswith(family["base"][:12])
    steps = json.loads(own("history", "--format", "json", "child:1").stdout)
    assert [s["id"] for s in steps] == [family["child"], family["base"]]
    assert steps[0]["tags"] == ["localhost/child:1"] and steps[0]["size"] == len(b"new\nother\n")
    assert own("history", "-q", "--no-trunc", "child:1").line.split() == [family["child"], family["base"]]
    assert own("history", "--human=false", "--format", "{{.Created}}", "child:1").line.splitlines()[0].endswith("Z")
    tree = own("image", "tree", "child:1").stdout.splitlines()
    assert tree[1:4] == ["Tags:     [localhost/child:1]", f"Size:     {len(b'base kept gone new other') + 1}B", "Image Layers"]
    assert tree[4].startswith("├── ID: ") and tree[5].endswith("Top Layer of: [localhost/child:1]")
    grown = own("image", "tree", "--whatrequires", family["base"]).stdout.splitlines()
    assert [line[:7] for line in grown[4:7]] == ["├── ID:"] * 2 + ["└── ID:"]
    assert {line.partition("Top Layer of: ")[2] for line in grown[5:7]} == {"[localhost/child:1]", "[localhost/side:1]"}


def test_removal_takes_unnamed_parents(own: Engine, family: dict[str, str]) -> None:
    own("tag", "child:1", "second")
    assert own("rmi", "second").stdout == "Untagged: localhost/second:latest\n"
    assert own("rmi", "--no-prune", "child:1").stdout == f"Untagged: localhost/child:1\nDeleted: {family['child']}\n"
    assert own("rmi", "side:1").stdout == f"Untagged: localhost/side:1\nDeleted: {family['side']}\nDeleted: {family['base']}\n"
    assert own("images", "-aq").stdout == ""


def test_removal_of_a_parent_keeps_its_layers(own: Engine, family: dict[str, str]) -> None:
    own("tag", family["base"], "base")
    assert own("rmi", "base").stdout == "Untagged: localhost/base:latest\n"  # nothing was deleted but the record
    assert own("diff", "child:1").stdout.splitlines() == ["C /base", "C /dir", "D /dir/gone", "A /dir/new"]


def test_what_removal_refuses(own: Engine, family: dict[str, str]) -> None:
    own("tag", "child:1", "second")
    cid = own("create", "child:1", "/x").line
    several = own("rmi", family["child"], check=False)
    assert several.code == 125 and "by ID with more than one tag" in several.stderr
    used = own("rmi", "side:1", "nope", "localhost/second", "localhost/child:1", check=False)
    assert used.code == 2 and used.stdout.splitlines()[:2] == ["Untagged: localhost/side:1", f"Deleted: {family['side']}"] \
        or used.stdout.splitlines()[0] == "Untagged: localhost/side:1"
    assert "2 errors occurred:\n\t* nope: image not known\n\t* image used by" in used.stderr
    missing = own("rmi", "nope", check=False)
    assert missing.code == 1 and "nope: image not known" in missing.stderr
    assert own("rmi", "--ignore", "nope").stdout == own("image", "rm", "--force", "nope").stdout == ""
    assert own("rmi", "--all", "x", check=False).code == own("rmi", check=False).code == 125
    forced = own("rmi", "--force", family["child"])
    assert f"Deleted: {family['child']}" in forced.stdout
    assert cid not in own("ps", "-aq", "--no-trunc").stdout


def test_diff(own: Engine, family: dict[str, str]) -> None:
    assert own("diff", "child:1").stdout.splitlines() == ["C /base", "C /dir", "D /dir/gone", "A /dir/new"]
    doc = json.loads(own("image", "diff", "--format", "json", "child:1").stdout)
    assert doc == {"changed": ["/base", "/dir"], "added": ["/dir/new"], "deleted": ["/dir/gone"]}
    assert own("diff", "child:1", "side:1").stdout.splitlines() == ["C /base", "C /dir", "D /dir/gone", "A /dir/new",
                                                                    "D /side"]
    assert own("image", "diff", family["base"]).stdout.splitlines() == ["A /base", "A /dir", "A /dir/gone", "A /dir/kept"]
    result = own("diff", "--format", "table", "child:1", check=False)
    assert result.code == 125 and "only supported value for '--format' is 'json'" in result.stderr
    assert own("diff", "nope", check=False).code == 125


def test_diff_of_a_container(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "--name", name, "--tmpfs", "/scratch", image, "sh", "-c",
            "touch /new; rm -r /etc/group; mkdir /d; echo x > /d/f; touch /scratch/none")
    changes = podlike("container", "diff", name).stdout.splitlines()
    assert changes == sorted(changes, key=lambda c: c[2:])
    assert {"A /new", "A /d", "A /d/f", "C /etc", "D /etc/group"} <= set(changes)
    assert not any(word in c for c in changes for word in ("scratch", "resolv", "/proc", "/dev"))
    assert json.loads(podlike("diff", "-l", "--format", "json").stdout)["deleted"] == ["/etc/group"]


def test_mount(own: Engine, family: dict[str, str]) -> None:
    outside = own("image", "mount", "child:1", check=False)
    assert outside.code == 125 and "in rootless mode" in outside.stderr and "podlike unshare" in outside.stderr

    def inside(*args: str) -> str:
        return own("unshare", own.bin, "image", *args).stdout

    path = inside("mount", "child:1").rstrip("\n")
    assert inside("mount", "child:1").rstrip("\n") == path
    seen = own("unshare", "sh", "-c", f"cat {path}/base; ls {path}/dir; touch {path}/x 2>&1 || stat -c %a {path}").stdout
    assert seen.splitlines()[:3] == ["other", "kept", "new"] and "Read-only file system" in seen and seen.endswith("555\n")
    assert inside("mount").split() == ["localhost/child:1", path]
    assert json.loads(inside("mount", "--format", "json"))[0]["mountpoint"] == path
    assert inside("unmount", "child:1").strip() == family["child"]
    assert inside("mount").split() == ["localhost/child:1", path]  # it was asked for twice
    assert own("image", "umount", "child:1").line == family["child"]
    assert inside("mount") == own("image", "umount", "child:1").stdout == ""
    assert len(inside("mount", "--all").splitlines()) == 3
    own("rmi", "--force", "child:1")
    assert set(inside("unmount", "--all", "--force").split()) == {family["base"], family["side"]}




def test_mount_of_a_container(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "--name", name, image, "sh", "-c", "echo left > /left")

    def inside(*args: str) -> str:
        return podlike("unshare", podlike.bin, *args).line

    assert "in rootless mode" in podlike("mount", name, check=False).stderr
    path = inside("mount", name)
    assert podlike("unshare", "cat", f"{path}/left").line == "left"
    podlike("unshare", "sh", "-c", f"echo changed > {path}/left")
    cid = podlike("container", "inspect", "--format", "{{.Id}}", name).line
    assert inside("container", "mount", "--no-trunc").split() == [cid, path]
    assert podlike("umount", name).line == name and inside("mount") == podlike("unmount", name).line == ""
    inside("mount", "--latest")
    assert podlike("start", "--attach", name).code == 0  # it takes the mount over
    assert inside("mount") == ""
    inside("mount", "--all")
    podlike("rm", name)
    running = podlike("run", "-d", "--name", name, image, "sleep", "100").line
    assert inside("mount", "--no-trunc").split()[0] == running
    refused = podlike("unmount", name, check=False)
    assert refused.code == 125 and "is running or paused" in refused.stderr
