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


@pytest.fixture
def family(own: Engine, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Three images, each made from the one before: base (unnamed), child (localhost/child:1), side (localhost/side:1)."""
    own("rmi", "--all", "--force")
    layers = [oci.layer(BASE), oci.layer(TOP)]
    ids = {}
    for name, count in (("base", 1), ("child", 2), ("side", 2)):
        used = layers[:count] if name != "side" else [layers[0], oci.layer([oci.File("side", b"side\n")])]
        image = oci.Image(layers=used, config={"Labels": {"name": name}})
        path = tmp_path / f"{name}.tar"
        oci.write_oci_archive(path, {f"localhost/{name}:1": image})
        own("load", "-q", "-i", str(path))
        ids[name] = own("image", "inspect", "--format", "{{.Id}}", f"{name}:1").line
    own("untag", "base:1")
    yield ids
    own("rm", "--all", "--force", "--time", "0")
    own("rmi", "--all", "--force")
    assert own("images", "--all", "--quiet").stdout == ""


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


def test_filters(own: Engine, family: dict[str, str]) -> None:
    own("tag", "child:1", "quay.io/x/app:2")

    def names(*filters: str) -> list[str]:
        args = [word for f in filters for word in ("--filter", f)]
        return sorted(own("images", "--format", "{{.Repository}}:{{.Tag}}", *args).line.split())

    everything = ["localhost/child:1", "localhost/side:1", "quay.io/x/app:2"]
    assert names() == everything
    assert names("reference=app") == ["localhost/child:1", "quay.io/x/app:2"]  # all names of what matches
    assert names("reference=quay.io/x/app:2") == ["quay.io/x/app:2"]  # a whole name is a question for itself
    assert names("reference=quay.io/*/a*", "reference=side") == everything
    assert names("reference!=side") == ["localhost/child:1", "quay.io/x/app:2"]
    assert names("label=name=side") == names("id=" + family["side"][:9]) == ["localhost/side:1"]
    assert names("label!=name=side", "containers=false") == ["localhost/child:1", "quay.io/x/app:2"]
    assert names("readonly=true") == names("manifest=true") == names("label=a", "label=name") == []
    assert names("until=2000-01-01T00:00:00Z") == [] and names("until=1m") == everything
    digest = own("image", "inspect", "--format", "{{.Digest}}", "side:1").line
    assert names("digest=" + digest[:20]) == ["localhost/side:1"]
    assert lines(own("images", "-n", "side")) == lines(own("images", "-n", family["side"]))
    for bad, words in (("json", 'invalid image filter "json": must be in the format "filter=value or filter!=value"'),
                       ("nope=1", 'invalid image filter "nope"'), ("dangling=maybe", "non-boolean value"),
                       ("digest=x", "for digest filter"), ("containers=x", "unsupported value"),
                       ("before=nope", 'could not find local image for filter "before"="nope"')):
        result = own("images", "--filter", bad, check=False)
        assert result.code == 125 and words in result.stderr
    assert own("images", "--filter", "id=a", "x", check=False).code == 125


def test_sorting(own: Engine, family: dict[str, str]) -> None:
    for name in ("r/x:3", "r/x:1", "r/a:2"):
        own("tag", "child:1", f"localhost/{name}")

    def column(sort: str, cell: str) -> list[str]:
        return own("images", "--sort", sort, "--format", cell).line.split()

    names = column("repository", "{{.Repository}}:{{.Tag}}")
    assert names == sorted(names) and names[-3:] == ["localhost/r/x:1", "localhost/r/x:3", "localhost/side:1"]
    assert column("tag", "{{.Tag}}") == sorted(column("tag", "{{.Tag}}"))
    assert column("id", "{{.ID}}") == sorted(column("id", "{{.ID}}"))
    assert column("size", "{{.VirtualSize}}") == sorted(column("size", "{{.VirtualSize}}"), key=int)
    assert own("images", "--sort", "nope", check=False).code == 125


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


