"""Manifest lists and artifacts as an ordinary user, to a real registry and back, with skopeo looking at what came of it."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import oci
from tests.support.engine import Engine
from tests.support.registry import (
    DOCKER,
    OCI,
    Image,
    RealRegistry,
    digest_of,
    make_image,
    make_index,
    make_layer,
    tar_of,
)

ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
OTHER = "arm64" if ARCH != "arm64" else "amd64"
INDEX, LIST = OCI["index"], DOCKER["index"]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    e = Engine(os.environ.get("PODLIKE_BIN", "podlike"), env={"REGISTRY_AUTH_FILE": ""})
    try:
        yield e
    finally:
        e.destroy()


@pytest.fixture(autouse=True)
def emptied(engine: Engine) -> Iterator[None]:
    yield
    engine("artifact", "rm", "--all")
    engine("rmi", "--all", "--force")
    engine("image", "prune", "--force")
    blobs = f"{engine.data}/blobs/sha256"
    assert not os.path.isdir(blobs) or os.listdir(blobs) == []


def image_of(text: str, arch: str = ARCH, *, types: dict[str, str] = OCI) -> Image:
    return make_image([make_layer(tar_of({"who": f"{text} {arch}\n".encode()}), types=types)], types=types, arch=arch,
                      config={"Labels": {"text": text}})


def pulled(engine: Engine, registry: RealRegistry, text: str, arch: str, *, types: dict[str, str] = OCI) -> Image:
    """An image in the store under a name that no registry knows, localhost/TEXT-ARCH."""
    image = image_of(text, arch, types=types)
    source = registry.push(f"src/{text}", arch, image)
    engine("pull", "-q", "--platform", f"linux/{arch}", source)
    engine("tag", source, f"{text}-{arch}")
    engine("rmi", source)
    return image


def raw(name: str) -> Any:
    out = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"], capture_output=True,
                         check=True).stdout
    return json.loads(out)


def inspect(engine: Engine, name: str, *more: str) -> Any:
    return json.loads(engine("manifest", "inspect", *more, name).stdout)


def test_a_list_of_two_platforms(engine: Engine, registry: RealRegistry, tmp_path: Path) -> None:
    images = {arch: pulled(engine, registry, "two", arch) for arch in (ARCH, OTHER)}
    list_id = engine("manifest", "create", "mylist:1").line
    assert len(list_id) == 64 and inspect(engine, "mylist:1") == {"schemaVersion": 2, "mediaType": LIST, "manifests": []}
    for arch in images:
        assert engine("manifest", "add", "mylist:1", f"two-{arch}").line == list_id
    doc = inspect(engine, list_id[:12])
    assert doc["mediaType"] == INDEX
    assert [(m["digest"], m["platform"]) for m in doc["manifests"]] == [
        (images[a].digest, {"architecture": a, "os": "linux"}) for a in (ARCH, OTHER)]
    target = f"{registry.host}/pushed/two:1"
    engine("manifest", "push", "--digestfile", str(tmp_path / "digest"), "mylist:1", f"docker://{target}")
    assert raw(target) == doc
    subprocess.run(["skopeo", "copy", "-q", "--all", "--insecure-policy", "--src-tls-verify=false", f"docker://{target}",
                    f"dir:{tmp_path}/copy"], check=True)
    assert digest_of((tmp_path / "copy/manifest.json").read_bytes()) == (tmp_path / "digest").read_text()
    # the name of a list stands for this machine's image
    assert engine("image", "inspect", "--format", "{{.Architecture}} {{.Digest}}", "mylist:1").line == \
        f"{ARCH} {images[ARCH].digest}"
    engine("manifest", "rm", "mylist:1")
    assert engine("manifest", "exists", "mylist:1", check=False).code == 1
    assert engine("image", "exists", f"two-{ARCH}").code == 0


def test_run_picks_the_platform(engine: Engine) -> None:
    archive = f"{engine.dir}/box.tar"
    oci.write_oci_archive(archive, {"localhost/box:latest": oci.busybox_image()})
    engine("load", "-q", "-i", archive)
    engine("manifest", "create", "boxes", "containers-storage:localhost/box")
    assert engine("run", "--rm", "boxes", "echo", "hi").line == "hi"
    engine("rmi", "localhost/box")
    result = engine("run", "--rm", "--pull=never", "boxes", "true", check=False)
    assert result.code == 125 and "could not find image instance" in result.stderr


def test_annotate_and_remove(engine: Engine, registry: RealRegistry) -> None:
    image = pulled(engine, registry, "notes", ARCH)
    other = pulled(engine, registry, "notes", OTHER)
    engine("manifest", "create", "--annotation", "global=yes", "noted", f"notes-{ARCH}", f"notes-{OTHER}")
    engine("manifest", "annotate", "--arch", "arm", "--variant", "v7", "--os-version", "1.2", "--os-features", "a,b",
           "--annotation", "left=right", "noted", image.digest)
    engine("manifest", "annotate", "--features", "sse", "noted", f"notes-{OTHER}")
    engine("manifest", "annotate", "--index", "--annotation", "more=1", "--subject", f"notes-{ARCH}", "noted")
    doc = inspect(engine, "noted")
    assert doc["annotations"] == {"global": "yes", "more": "1"}
    assert doc["subject"]["digest"] == image.digest
    assert doc["manifests"][0]["platform"] == {"architecture": "arm", "os": "linux", "os.version": "1.2",
                                               "os.features": ["a", "b"], "variant": "v7"}
    assert doc["manifests"][0]["annotations"] == {"left": "right"}
    assert doc["manifests"][1]["platform"]["features"] == ["sse"]
    engine("manifest", "remove", "noted", other.digest)
    assert [m["digest"] for m in inspect(engine, "noted")["manifests"]] == [image.digest]
    for args, words in ((("remove", "noted", other.digest), "removing from manifest list noted: no instance matching"),
                        (("remove", "noted", "nonsense"), "invalid image digest"),
                        (("annotate", "noted"), "expected an instance digest"),
                        (("annotate", "--index", "noted", image.digest), "did not expect image"),
                        (("annotate", "--annotation", "x", "noted", image.digest), "key=value"),
                        (("inspect", "--tls-verify=false", "localhost:1/x:y"), "reading image \"docker://localhost:1/x:y\""),
                        (("add", "--artifact-type", "x", "noted", "y"), "--artifact-type requires --artifact"),
                        (("add", f"notes-{ARCH}", f"notes-{OTHER}"), "image is not a manifest list"),
                        (("create", "noted"), "that name is already in use"),
                        (("create", f"notes-{ARCH}", "--amend"), "that name is already in use")):
        result = engine("manifest", *args, check=False)
        assert result.code == 125 and words in result.stderr, (args, result.stderr)
    assert engine("manifest", "create", "--amend", "noted", f"notes-{OTHER}").code == 0
    assert len(inspect(engine, "noted")["manifests"]) == 2
    engine("rmi", "noted")


def test_all_of_a_registrys_list(engine: Engine, registry: RealRegistry) -> None:
    images = {f"linux/{arch}": image_of("remote", arch) for arch in (ARCH, OTHER)}
    for image in images.values():
        registry.push("multi", image.digest.replace(":", "-"), image)
    name = registry.push_manifest("multi", "1", make_index(images), INDEX)
    engine("manifest", "create", "own")
    engine("manifest", "add", "own", f"docker://{name}")
    assert [m["platform"]["architecture"] for m in inspect(engine, "own")["manifests"]] == [ARCH]
    engine("manifest", "add", "--all", "own", name)
    doc = inspect(engine, "own")
    assert {m["platform"]["architecture"] for m in doc["manifests"]} == {ARCH, OTHER}
    target = f"{registry.host}/elsewhere/multi:1"
    engine("manifest", "push", "-q", "--all", "--rm", "own", target)
    assert raw(target) == doc
    assert engine("manifest", "exists", "own", check=False).code == 1
    subprocess.run(["skopeo", "copy", "-q", "--all", "--insecure-policy", "--src-tls-verify=false", f"docker://{target}",
                    f"dir:{engine.dir}/multi"], check=True)
    assert inspect(engine, target) == doc


def test_formats_and_compressions(engine: Engine, registry: RealRegistry) -> None:
    for arch in (ARCH, OTHER):
        pulled(engine, registry, "kinds", arch)
    engine("manifest", "create", "kinds", f"kinds-{ARCH}", f"kinds-{OTHER}")
    target = f"{registry.host}/kinds"
    engine("manifest", "push", "-q", "--format", "v2s2", "kinds", f"{target}:docker")
    doc = raw(f"{target}:docker")
    assert doc["mediaType"] == LIST and {m["mediaType"] for m in doc["manifests"]} == {DOCKER["manifest"]}
    assert raw(f"{target}@{doc['manifests'][1]['digest']}")["layers"][0]["mediaType"] == DOCKER["gzip"]
    engine("manifest", "push", "-q", "--compression-format", "gzip", "--add-compression", "zstd:chunked", "kinds",
           f"{target}:both")
    doc = raw(f"{target}:both")
    assert [m["platform"]["architecture"] for m in doc["manifests"]] == [ARCH, OTHER, ARCH, OTHER]
    assert ["annotations" in m for m in doc["manifests"]] == [False, False, True, True]
    zstd = raw(f"{target}@{doc['manifests'][2]['digest']}")
    assert zstd["layers"][0]["mediaType"] == OCI["zstd"]
    refused = engine("manifest", "push", "--add-compression", "lzma", "kinds", f"{target}:x", check=False)
    assert refused.code == 125 and "not supported" in refused.stderr
    engine("rmi", "kinds")


def test_files_in_a_list(engine: Engine, registry: RealRegistry, tmp_path: Path) -> None:
    (tmp_path / "listed.txt").write_text("oh yeah\n")
    (tmp_path / "zeroes").write_bytes(bytes(100_000))
    engine("manifest", "create", "files")
    engine("manifest", "add", "--artifact", "--os=linux", "--arch=amd64", "files", str(tmp_path / "listed.txt"))
    engine("manifest", "add", "--artifact", "--artifact-type=text/x", "--artifact-exclude-titles", "files",
           str(tmp_path / "zeroes"))
    doc = inspect(engine, "files")
    assert doc["manifests"][0]["files"] == [str(tmp_path / "listed.txt")]
    (tmp_path / "listed.txt").unlink()  # what was added stays
    target = f"{registry.host}/files:1"
    engine("manifest", "push", "-q", "files", target)
    pushed = raw(target)
    assert pushed["manifests"][0]["platform"] == {"architecture": "amd64", "os": "linux"}
    assert [m["artifactType"] for m in pushed["manifests"]] == ["application/vnd.unknown.artifact.v1", "text/x"]
    first, second = (raw(f"{registry.host}/files@{m['digest']}") for m in pushed["manifests"])
    assert first["layers"][0] == {"mediaType": "text/plain", "digest": digest_of(b"oh yeah\n"), "size": 8,
                                  "annotations": {"org.opencontainers.image.title": "listed.txt"}}
    assert second["layers"][0]["mediaType"] == "application/octet-stream" and "annotations" not in second["layers"][0]
    assert first["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    engine("manifest", "rm", "files")


def test_artifacts_to_a_registry_and_back(engine: Engine, registry: RealRegistry, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first\n")
    (tmp_path / "b.gz").write_bytes(b"\x1f\x8b\x08rest")
    name = f"{registry.host}/artifacts/one:1"
    engine("artifact", "add", "--type", "application/x-test", "--annotation", "k=v", name, str(tmp_path / "a.txt"))
    digest = engine("artifact", "add", "--append", name, str(tmp_path / "b.gz")).line
    shown = json.loads(engine("artifact", "inspect", name).stdout)
    layers = shown["Manifest"]["layers"]
    assert shown["Digest"] == f"sha256:{digest}" and shown["Manifest"]["artifactType"] == "application/x-test"
    assert [(x["mediaType"], x["annotations"]["org.opencontainers.image.title"]) for x in layers] == [
        ("text/plain; charset=utf-8", "a.txt"), ("application/x-gzip", "b.gz")]
    assert layers[0]["annotations"]["k"] == "v"
    engine("artifact", "push", "-q", name)
    assert digest_of(subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"],
                                    capture_output=True, check=True).stdout) == f"sha256:{digest}"
    assert engine("artifact", "rm", digest[:10]).line == digest
    assert os.listdir(f"{engine.data}/blobs/sha256") == []
    engine("artifact", "pull", "-q", name)
    assert engine("artifact", "ls", "--noheading", "--no-trunc", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}").line == \
        f"{registry.host}/artifacts/one 1 {digest}"
    (tmp_path / "out").mkdir()
    engine("artifact", "extract", name, str(tmp_path / "out"))
    assert (tmp_path / "out/a.txt").read_text() == "first\n" and (tmp_path / "out/b.gz").read_bytes() == b"\x1f\x8b\x08rest"
    engine("artifact", "extract", "--title", "a.txt", name, str(tmp_path / "single"))
    assert (tmp_path / "single").read_text() == "first\n"
    engine("artifact", "extract", "--digest", layers[1]["digest"], name, str(tmp_path / "out"))
    assert (tmp_path / "out" / layers[1]["digest"].replace(":", "-")).exists()


@pytest.mark.parametrize("args, words", [
    (("add", "localhost/x:1", "/no/such/file"), "open /no/such/file: no such file or directory"),
    (("add", "localhost/x:1", "/"), "read /: is a directory"),
    (("add", "localhost/UPPER:1", "/etc/hostname"), "repository name must be lowercase"),
    (("add", "--append", "localhost/none:1", "/etc/hostname"), "artifact does not exist"),
    (("add", "--append", "--type", "x", "localhost/none:1", "/etc/hostname"), "not compatible with type"),
    (("add", "--annotation", "x", "localhost/x:1", "/etc/hostname"), "key=value"),
    (("add", "localhost/x:1", "/etc/hostname", "/etc/hostname"), "file already exists in artifact"),
    (("rm", "localhost/none:1"), "artifact does not exist"), (("rm",), "at least one artifact name or digest"),
    (("extract", "localhost/none:1", "/tmp"), "artifact does not exist"),
    (("pull", "--decryption-key", "k", "localhost:1/x"), "encrypted layers are not supported"),
    (("push", "--sign-by-sq-fingerprint", "me", "x"), "signing with Sequoia-PGP is not supported"),
])
def test_what_artifacts_refuse(engine: Engine, args: tuple[str, ...], words: str) -> None:
    result = engine("artifact", *args, check=False)
    assert result.code == 125 and words in result.stderr
    assert engine("artifact", "ls", "--noheading").stdout == ""


def test_a_title_leads_nowhere_else(engine: Engine, registry: RealRegistry, tmp_path: Path) -> None:
    """The manifest comes from a stranger: its title must not choose the directory."""
    data, config = b"evil", b"{}"
    for blob in (data, config):
        registry.push_blob("evil", blob)
    for title in ("../escaped", "/abs", ".."):
        manifest = {"schemaVersion": 2, "mediaType": OCI["manifest"], "artifactType": "x",
                    "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(config), "size": 2},
                    "layers": [{"mediaType": "x/y", "digest": digest_of(data), "size": 4,
                                "annotations": {"org.opencontainers.image.title": title}}]}
        name = registry.push_manifest("evil", "1", json.dumps(manifest).encode(), OCI["manifest"])
        engine("artifact", "pull", "-q", name)
        (tmp_path / "in").mkdir(exist_ok=True)
        result = engine("artifact", "extract", name, str(tmp_path / "in"), check=False)
        assert result.code == 125 and "invalid name" in result.stderr
        assert os.listdir(tmp_path) == ["in"] and os.listdir(tmp_path / "in") == []
        engine("artifact", "rm", name)
