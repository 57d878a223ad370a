"""The image commands over images that only exist in a database, and the values behind them."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from podlike.__main__ import run
from podlike.engine import diff
from podlike.engine.core import Engine
from podlike.engine.imageinspect import chain_id
from podlike.engine.kinship import Kinship
from podlike.errors import NotFoundError, StoreError, UsageError
from podlike.paths import Roots
from podlike.spec import manifestlist
from podlike.spec.filetypes import sniff
from podlike.spec.globs import path_match
from podlike.spec.image import DOCKER_LIST, OCI_INDEX, OCI_MANIFEST
from podlike.spec.scp import Place, parse_sides
from podlike.store.images import Image

L1, L2 = (f"sha256:{c * 64}" for c in "12")
D1, D2 = (f"sha256:{c * 64}" for c in "ab")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("PODLIKE_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("PODLIKE_RUNROOT", str(tmp_path / "run"))
    return Engine(roots=Roots(data=str(tmp_path / "data"), run=str(tmp_path / "run")))


def add(engine: Engine, *names: str, layers: tuple[str, ...] = (L1,), steps: int = 1, digests: tuple[str, ...] = (),
        key: str = "", arch: str = "amd64") -> Image:
    history = [{"created": "2024-01-02T03:04:05Z", "created_by": f"step\t{n} " + "x" * 60} for n in range(steps)]
    config = json.dumps({"created": "2024-01-02T03:04:05Z", "history": history, "architecture": arch, "os": "linux",
                         "config": {"Labels": {"key": key}}}).encode()
    return engine.images.add(image_id=hashlib.sha256(config).hexdigest(), manifest_digest=D1, config=config, layers=layers,
                             size=1_234_567, names=names, digests=digests)


def cli(capsys: pytest.CaptureFixture[str], *args: str, prog: str = "podlike") -> tuple[int, str, str]:
    code = run(list(args), prog)
    out, err = capsys.readouterr()
    return code, out, err


def test_rows_of_images(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    tagged = add(engine, "docker.io/library/app:1", "quay.io/x/app:2", key="tagged")
    by_digest = add(engine, f"quay.io/x/app@{D2}", key="digest", digests=(f"quay.io/x/app@{D2}",))
    none = add(engine, key="none")
    out = cli(capsys, "images", "--sort", "repository", "--format", "{{.Repository}} {{.Tag}} {{.ID}} {{.Dangling}}")[1]
    assert out.splitlines() == [
        f"<none> <none> {none.id[:12]} true", f"docker.io/library/app 1 {tagged.id[:12]} false",
        *sorted((f"quay.io/x/app 2 {tagged.id[:12]} false", f"quay.io/x/app <none> {by_digest.id[:12]} false"),
                key=lambda row: row.split()[1] != "2")]
    docs = {doc["Id"]: doc for doc in json.loads(cli(capsys, "images", "--format", "json")[1])}
    assert docs[by_digest.id]["Names"] == [f"quay.io/x/app@{D2}"]
    assert docs[by_digest.id]["RepoDigests"] == [f"quay.io/x/app@{D1}", f"quay.io/x/app@{D2}"]
    assert "Names" not in docs[none.id] and docs[none.id]["Dangling"] is True and docs[none.id]["RepoDigests"] == []
    assert cli(capsys, "images", "-n", "--format", "table {{.Size}}", "app:1")[1].split("\n")[0].strip() == "1.23 MB"


@pytest.fixture
def family(engine: Engine) -> dict[str, str]:
    """base (unnamed), child and side (localhost/NAME:1), made from it."""
    base = add(engine, key="base")
    child = add(engine, "localhost/child:1", layers=(L1, L2), steps=2, key="child")
    side = add(engine, "localhost/side:1", layers=(L1, L2), steps=2, key="side")
    return {"base": base.id, "child": child.id, "side": side.id}


def test_filters(engine: Engine, family: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    engine.images.tag(family["child"], "quay.io/x/app:2")

    def names(*filters: str) -> list[str]:
        args = [word for f in filters for word in ("--filter", f)]
        code, out, err = cli(capsys, "images", "--format", "{{.Repository}}:{{.Tag}}", *args)
        assert (code, err) == (0, "")
        return sorted(out.split())

    everything = ["localhost/child:1", "localhost/side:1", "quay.io/x/app:2"]
    assert names() == everything
    assert names("reference=app") == ["localhost/child:1", "quay.io/x/app:2"]  # all names of what matches
    assert names("reference=quay.io/x/app:2") == ["quay.io/x/app:2"]  # a whole name is a question for itself
    assert names("reference=quay.io/*/a*", "reference=side") == everything
    assert names("reference!=side") == ["localhost/child:1", "quay.io/x/app:2"]
    assert names("label=key=side") == names("id=" + family["side"][:9]) == ["localhost/side:1"]
    assert names("label!=key=side", "containers=false") == ["localhost/child:1", "quay.io/x/app:2"]
    assert names("readonly=true") == names("manifest=true") == names("label=a", "label=key") == []
    assert names("until=2000-01-01T00:00:00Z") == [] and names("until=1m") == everything
    assert names("digest=" + D1[:20]) == everything and names("digest=" + D2) == []
    assert names("intermediate=true") == ["<none>:<none>"] and names("dangling=true") == []
    assert names("since=side:1") == [] == names("before=side:1")
    assert cli(capsys, "images", "-n", "side")[1] == cli(capsys, "images", "-n", family["side"])[1] != ""
    assert len(cli(capsys, "images", "-aq")[1].split()) == 3 and len(cli(capsys, "images", "-q")[1].split()) == 2
    for bad, words in (("json", 'invalid image filter "json": must be in the format "filter=value or filter!=value"'),
                       ("nope=1", 'invalid image filter "nope"'), ("dangling=maybe", "non-boolean value"),
                       ("digest=x", "for digest filter"), ("containers=x", "unsupported value"),
                       ("before=nope", 'could not find local image for filter "before"="nope"')):
        code, _, err = cli(capsys, "images", "--filter", bad)
        assert code == 125 and words in err
    assert cli(capsys, "images", "--filter", "dangling=true", "--filter", "dangling=false")[0] == 125
    assert cli(capsys, "images", "--filter", "id=a", "x")[0] == 125


def test_sorting(engine: Engine, family: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("r/x:3", "r/x:1", "r/a:2"):
        engine.images.tag(family["child"], f"localhost/{name}")

    def column(sort: str, cell: str) -> list[str]:
        return cli(capsys, "images", "--sort", sort, "--format", cell)[1].split()

    names = column("repository", "{{.Repository}}:{{.Tag}}")
    assert names == ["localhost/child:1", "localhost/r/a:2", "localhost/r/x:1", "localhost/r/x:3", "localhost/side:1"]
    for key, cell in (("tag", "{{.Tag}}"), ("id", "{{.ID}}"), ("size", "{{.VirtualSize}}")):
        assert column(key, cell) == sorted(column(key, cell))
    assert cli(capsys, "images", "--sort", "nope")[0] == 125


def test_shapes_of_docker(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    image = add(engine, "docker.io/library/app:1", "quay.io/x/other:2")
    code, out, _ = cli(capsys, "images", "app", prog="docker")
    assert (code, [" ".join(line.split()[:3]) for line in out.splitlines()]) == \
        (0, ["REPOSITORY TAG IMAGE", f"app 1 {image.id[:12]}"])
    row = json.loads(cli(capsys, "images", "--format", "json", "other", prog="docker")[1])
    assert row["Repository"] == "quay.io/x/other" and row["Size"] == "1.23MB" and row["Digest"] == "<none>"
    assert "└─ linux/amd64" in cli(capsys, "images", "--tree", prog="docker")[1]
    out = cli(capsys, "history", "--human=false", "app:1", prog="docker")[1]
    assert out.startswith("IMAGE          CREATED AT ") and "step 0 " in out and "x…" in out
    assert cli(capsys, "history", "--platform", "linux/arm64", "app:1", prog="docker")[0] == 1
    doc = json.loads(cli(capsys, "image", "inspect", "--platform", "linux/amd64", "app:1", prog="docker")[1])[0]
    assert doc["Id"] == f"sha256:{image.id}" and doc["RepoTags"] == ["app:1", "quay.io/x/other:2"]
    assert doc["RepoDigests"] == [f"app@{D1}", f"quay.io/x/other@{D1}"]
    code, _, err = cli(capsys, "rmi", "nope", prog="docker")
    assert code == 1 and err.startswith("Error response from daemon: No such image: nope:latest\n")
    assert cli(capsys, "rmi", "app:1", prog="docker")[1] == "Untagged: app:1\n"


def test_kinship() -> None:
    def image(key: str, names: list[str], layers: list[str], steps: int, **more: Any) -> Image:
        history = [{"created_by": f"step {n}"} for n in range(steps)]
        return Image(id=key, manifest_digest=f"sha256:{key}", config={"history": history}, layers=layers, size=0, created=0,
                     pulled=0, names=names, **more)

    base, meta = image("base", [], [L1], 1), image("meta", [], [L1], 2)
    child, other = image("child", ["x:1"], [L1, L2], 3), image("other", [], [L2], 2)
    listed, index = image("listed", [], [L2], 5), image("list", ["l:1"], [], 0)
    index.index = {"manifests": [{"digest": "sha256:listed"}]}
    kin = Kinship([base, meta, child, other, listed, index])
    assert [kin.parent(i) for i in (base, meta, child, other, index)] == [None, base, meta, None, None]
    assert [i.id for i in (base, meta, other, listed) if kin.is_intermediate(i)] == ["base", "meta"]
    assert [i.id for i in (base, meta, child, other, listed) if kin.is_dangling(i)] == ["other"]


def test_differences_between_stacks(tmp_path: Path) -> None:
    """Whiteouts and opaque directories in the form that needs no privilege: what fuse-overlayfs writes as a user."""
    def tree(name: str, files: dict[str, str]) -> str:
        for path, text in files.items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return str(tmp_path / name)

    low = tree("low", {"a": "1", "d/kept": "2", "d/gone": "3", "o/x": "4", "same": "5"})
    top = tree("top", {"a": "changed", "d/.wh.gone": "", "d/new": "6", "o/.wh..wh..opq": "", "o/y": "7", ".wh.nothing": ""})
    expected = [("/a", "C"), ("/d", "C"), ("/d/gone", "D"), ("/d/new", "A"), ("/o", "C"), ("/o/x", "D"), ("/o/y", "A")]
    assert diff._compare_top([top, low]) == expected
    changes: list[diff.Change] = []
    diff._compare_trees(diff._View([top, low]), diff._View([low]), "", changes)
    assert sorted(changes) == expected
    changes.clear()
    diff._compare_trees(diff._View([low]), diff._View([top, low]), "", changes)
    assert {c.path: c.kind for c in changes} == {p: {"A": "D", "D": "A"}.get(k, k) for p, k in expected}


def test_chain_ids() -> None:
    """Of OCI's config.md: the chain of two is the digest of both, with a blank between."""
    assert chain_id((L1,)) == "1" * 64
    assert chain_id((L1, L2)) == hashlib.sha256(f"{L1} {L2}".encode()).hexdigest()


@pytest.mark.parametrize("pattern, name, matches", [
    ("*", "abc", True), ("*", "a/c", False), ("a?c", "abc", True), ("a?c", "a/c", False), ("[a-c]x", "bx", True),
    ("[^a-c]x", "bx", False), ("a\\*", "a*", True), ("a\\*", "ab", False), ("[", "[", False), ("[]", "x", False),
    ("a\\", "a", False), ("[z-a]", "b", False), ("", "", True), ("a.c", "abc", False), ("a/*", "a/b", True),
])
def test_path_match(pattern: str, name: str, matches: bool) -> None:
    assert path_match(pattern, name) is matches


@pytest.mark.parametrize("head, kind", [
    (b"", "text/plain; charset=utf-8"), (b"plain\n", "text/plain; charset=utf-8"), (b"\x00\x01", "application/octet-stream"),
    (b"\x1f\x8b\x08", "application/x-gzip"), (b"PK\x03\x04", "application/zip"), (b" \n<html>", "text/html; charset=utf-8"),
    (b"<htmlx", "text/plain; charset=utf-8"), (b"<?xml ?>", "text/xml; charset=utf-8"), (b"%PDF-1", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"), (b"RIFF1234WEBPVP", "image/webp"), (b"RIFF1234WAVE", "audio/wave"),
    (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "video/mp4"), (b"\x00asm", "application/wasm"),
    (b"\xef\xbb\xbftext", "text/plain; charset=utf-8"), (b"x" * 600 + b"\x00", "text/plain; charset=utf-8"),
])
def test_types_by_content(head: bytes, kind: str) -> None:
    assert sniff(head) == kind


def test_types_agree_with_names_of_the_specification() -> None:
    """"{}" in base64, as descriptors carry it."""
    assert base64.b64encode(b"{}") == b"e30="
    assert sniff(b"{}") == "text/plain; charset=utf-8"


def entry(digest: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": OCI_MANIFEST, "digest": digest, "size": 7, "platform": {"os": "linux", "architecture": "arm"}, **more}


def test_a_list_chooses_its_form() -> None:
    doc = manifestlist.new_list()
    assert manifestlist.list_type(doc) == DOCKER_LIST
    manifestlist.add_entry(doc, entry(D1))
    assert manifestlist.list_type(doc) == OCI_INDEX
    doc["manifests"][0]["platform"]["features"] = ["sse"]
    assert manifestlist.list_type(doc) == DOCKER_LIST
    doc["annotations"]["a"] = "b"
    assert manifestlist.list_type(doc) == OCI_INDEX
    assert json.loads(manifestlist.serialize(doc))["manifests"][0]["platform"] == {"architecture": "arm", "os": "linux"}
    docker = json.loads(manifestlist.serialize(doc, DOCKER_LIST))
    assert docker["manifests"][0]["platform"]["features"] == ["sse"] and "annotations" not in docker


def test_a_list_goes_through_its_forms_unchanged() -> None:
    doc = manifestlist.new_list()
    for one in (entry(D1, annotations={"k": "v"}, artifactType="x", urls=["https://u"]), entry(D2), entry(D1, size=8)):
        manifestlist.add_entry(doc, one)
    assert [(e["digest"], e["size"]) for e in doc["manifests"]] == [(D2, 7), (D1, 8)]
    again = manifestlist.from_index(manifestlist.serialize(doc))
    assert manifestlist.serialize(again) == manifestlist.serialize(doc)
    manifestlist.remove_entry(doc, D2)
    assert [e["digest"] for e in doc["manifests"]] == [D1]
    with pytest.raises(NotFoundError):
        manifestlist.remove_entry(doc, D2)
    with pytest.raises(StoreError):
        manifestlist.serialize(doc, OCI_MANIFEST)
    with pytest.raises(StoreError):
        manifestlist.from_index(b'{"schemaVersion":2,"manifests":[{"digest":"x","size":1,"mediaType":"y"}]}')


@pytest.mark.parametrize("args, sides", [
    (("img", "h::"), (Place(image="img"), Place(host="h"))),
    (("img:1", "u@h:22::new:2"), (Place(image="img:1"), Place(host="u@h:22", image="new:2"))),
    (("u@localhost::img", ""), (Place(user="u", image="img"), Place())),
    (("a::img", "b::"), (Place(host="a", image="img"), Place(host="b"))),
    (("img", "localhost::"), (Place(image="img"), Place(host="localhost"))),
    (("img", "new"), (Place(image="img"), Place(image="new"))),
])
def test_sides_of_scp(args: tuple[str, str], sides: tuple[Place, Place]) -> None:
    assert parse_sides(*args) == sides


@pytest.mark.parametrize("args", [("img", ""), ("h::", ""), ("h::", "img"), ("-oX=y::img", ""), ("img", "a b::"),
                                  ("h::-x", ""), ("img", "::"), ("img", "a\x1b::")])
def test_sides_that_make_no_sense(args: tuple[str, str]) -> None:
    with pytest.raises(UsageError):
        parse_sides(*args)
