"""Pushes as an ordinary user: to a real registry, directly and through a proxy that spoils them."""

import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import oci
from tests.support.engine import Engine
from tests.support.faultproxy import Fault, FaultProxy
from tests.support.registry import (
    DOCKER,
    OCI,
    Image,
    RealRegistry,
    digest_of,
    make_image,
    make_layer,
    tar_of,
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    e = Engine(os.environ.get("PODLIKE_BIN", "podlike"), env={"REGISTRY_AUTH_FILE": ""})
    try:
        yield e
    finally:
        e.destroy()


def image_of(text: str, *, types: dict[str, str] = OCI, size: int = 100_000) -> Image:
    """Two layers that no other test has, in this format."""
    layers = [make_layer(tar_of({f"{text}-{n}": random.Random(f"{text}{n}").randbytes(size)}), types=types)
              for n in range(2)]
    return make_image(layers, types=types)


def raw(name: str) -> bytes:
    return subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"],
                          capture_output=True, check=True).stdout


def readable(name: str, tmp_path: Path) -> None:
    """skopeo verifies digests and sizes of all that it copies."""
    subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", f"docker://{name}",
                    f"oci:{tmp_path}/layout:latest"], check=True)


def test_a_pulled_image_goes_out_as_it_came(engine: Engine, registry: RealRegistry, tmp_path: Path) -> None:
    for types in (OCI, DOCKER):
        kind = "oci" if types is OCI else "docker"
        image = image_of(f"same-{kind}", types=types)
        source = registry.push("same", kind, image)
        engine("pull", "-q", source)
        target = f"{registry.host}/other/{kind}:copy"
        result = engine("push", "--digestfile", str(tmp_path / "digest"), source, f"docker://{target}")
        assert result.stdout == ""
        lines = result.stderr.splitlines()
        assert lines[0] == "Getting image source signatures" and lines[-1] == "Writing manifest to image destination"
        assert f"Copying config {digest_of(image.config)}" in lines
        assert (tmp_path / "digest").read_text() == image.digest
        assert raw(target) == image.manifest


def test_only_what_is_missing_is_sent(engine: Engine, registry: RealRegistry, proxy: FaultProxy) -> None:
    image = image_of("missing")
    registry.push("missing/source", "1", image)
    name = f"{proxy.host}/missing/source:1"
    engine("pull", "-q", name)
    engine("push", "-q", name)
    assert not proxy.seen("POST", "uploads"), "the registry has all of it"
    engine("push", "-q", name, f"{proxy.host}/missing/target:1")
    mounts = proxy.seen("POST", "mount=sha256")
    assert len(mounts) == 3 and all("from=missing%2Fsource" in s.path and s.status == 201 for s in mounts)
    sent = sum(s.received for s in proxy.log if s.method in ("PATCH", "PUT") and "uploads" in s.path)
    assert sent == 0


def test_destinations(engine: Engine, registry: RealRegistry) -> None:
    image = image_of("destinations")
    name = registry.push("destinations", "1", image)
    engine("pull", "-q", name)
    ours = f"{registry.host}/destinations/ours:2"
    engine("tag", name, ours)
    engine("push", "-q", ours)
    assert raw(ours) == image.manifest
    engine("push", "-q", image.id[:12], f"{registry.host}/destinations/byid")
    assert raw(f"{registry.host}/destinations/byid:latest") == image.manifest
    bad = engine("push", image.id[:12], check=False)
    assert bad.code == 125 and "Hint: Name the destination" in bad.stderr
    bad = engine("push", "-q", name, f"{registry.host}/destinations/ours@sha256:{'0' * 64}", check=False)
    assert bad.code == 125 and f"the image has the digest {image.digest}" in bad.stderr
    assert "image not known" in engine("push", "no/such:image", check=False).stderr


@pytest.fixture(scope="module")
def plain(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image whose layers were never compressed."""
    archive = tmp_path_factory.mktemp("plain") / "image.tar"
    text = b"to be or not to be, that is the question " * 10_000
    oci.write_docker_archive(archive, {"localhost/plain:1": oci.Image(layers=[oci.layer([oci.File("text", text)])])})
    engine("load", "-q", "-i", str(archive))
    return "localhost/plain:1"


@pytest.mark.parametrize(("flags", "manifest", "layer"), [
    ((), "docker", "gzip"), (("--format", "oci"), "oci", "gzip"), (("--compression-format", "zstd"), "oci", "zstd"),
    (("--format", "v2s2", "--compression-level", "9"), "docker", "gzip"),
    (("--format", "oci", "--compression-format", "zstd", "--compression-level", "19"), "oci", "zstd"),
])
def test_formats(engine: Engine, registry: RealRegistry, plain: str, flags: tuple[str, ...], manifest: str, layer: str,
                 tmp_path: Path) -> None:
    name = f"{registry.host}/formats/f:{'-'.join(flags).strip('-') or 'default'}"
    types = OCI if manifest == "oci" else DOCKER
    for _ in range(2):  # the second time it is known what the layer becomes
        engine("push", "-q", *flags, plain, name)
        doc: dict[str, Any] = json.loads(raw(name))
        assert doc["mediaType"] == types["manifest"] and doc["config"]["mediaType"] == types["config"]
        assert [d["mediaType"] for d in doc["layers"]] == [types[layer]]
        assert doc["config"]["digest"] == "sha256:" + engine("images", "-q", "--no-trunc", plain).line.removeprefix("sha256:")
    readable(name, tmp_path)


def test_what_a_layer_became_is_mounted_elsewhere(engine: Engine, proxy: FaultProxy, plain: str) -> None:
    for n in range(2):
        engine("push", "-q", "--format", "oci", "--compression-level", "4", plain, f"{proxy.host}/became/{n}:1")
    mount, = proxy.seen("POST", r"/v2/became/1/.*mount=.*from=became%2F0")[:1]
    assert mount.status == 201
    assert not [seen for seen in proxy.seen("PATCH", "/v2/became/1/") if seen.received > 3000]


def test_layers_are_compressed_anew_on_demand(engine: Engine, registry: RealRegistry, tmp_path: Path) -> None:
    image = image_of("anew")
    name = registry.push("anew", "1", image)
    engine("pull", "-q", name)
    target = f"{registry.host}/anew/out"
    engine("push", "-q", "--compression-format", "zstd", name, f"{target}:zstd")
    assert {d["mediaType"] for d in json.loads(raw(f"{target}:zstd"))["layers"]} == {OCI["zstd"]}
    engine("push", "-q", "--compression-format", "zstd", "--force-compression=false", name, f"{target}:kept")
    assert raw(f"{target}:kept") == image.manifest
    readable(f"{target}:zstd", tmp_path)
    engine("rmi", "-f", name)
    engine("pull", "-q", f"{target}:zstd")
    assert image.id in engine("images", "-q", "--no-trunc", f"{target}:zstd").stdout
    engine("push", "-q", "--format", "v2s2", f"{target}:zstd", f"{target}:back")
    back = json.loads(raw(f"{target}:back"))
    assert back["mediaType"] == DOCKER["manifest"] and {d["mediaType"] for d in back["layers"]} == {DOCKER["gzip"]}


@pytest.mark.parametrize(("flags", "words"), [
    (("--format", "v2s1"), "schema 1 has been withdrawn"), (("--format", "tar"), 'unknown format "tar"'),
    (("--compression-format", "zstd:chunked"), "not supported"), (("--compression-format", "xz"), "not supported"),
    (("--compression-format", "zstd", "--format", "v2s2"), "has no zstd layers"),
    (("--compression-level", "10"), "invalid level 10"), (("--encryption-key", "jwe:k"), "not supported"),
    (("--compress",), "can only be set"), (("--creds", ":x"), "credentials can't be empty"),
    (("--authfile", "/no/such/file"), "no such file"),
])
def test_what_is_refused(engine: Engine, registry: RealRegistry, plain: str, flags: tuple[str, ...], words: str) -> None:
    result = engine("push", *flags, plain, f"{registry.host}/refused:1", check=False)
    assert result.code == 125 and words in result.stderr and "Hint:" in result.stderr or "Choose on of" in result.stderr


def test_docker_spelling(engine: Engine, registry: RealRegistry, tmp_path: Path) -> None:
    images = {tag: image_of(f"docker-{tag}") for tag in ("a", "b")}
    repository = f"{registry.host}/docker/all"
    for tag, image in images.items():
        source = registry.push("docker/source", tag, image)
        engine("pull", "-q", source)
        engine("tag", source, f"{repository}:{tag}")
    link = tmp_path / "docker"
    link.symlink_to(engine.bin)

    def docker(*args: str) -> list[str]:
        done = subprocess.run([link, *args], env=engine.env, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.splitlines()

    assert docker("push", f"{repository}:a") == [f"The push refers to repository [{repository}]",
                                              f"a: digest: {images['a'].digest} size: {len(images['a'].manifest)}"]
    assert docker("push", "-q", "--all-tags", repository) == [f"{repository}:a", f"{repository}:b"]
    for tag, image in images.items():
        assert raw(f"{repository}:{tag}") == image.manifest


# Faults


def pushed(engine: Engine, proxy: FaultProxy, registry: RealRegistry, text: str, *, size: int = 3_000_000,
           ) -> tuple[Image, str]:
    image = image_of(text, size=size)
    with_source = registry.push(f"{text}/source", "1", image)
    engine("pull", "-q", with_source)
    return image, with_source


@pytest.mark.parametrize(("text", "faults"), [
    ("cut-upload", [Fault("PATCH", "", 2, cut_upload_after=1_000_000)]),
    ("no-answer", [Fault("PATCH", "", 1, mute=True), Fault("PUT", "/blobs/", 1, mute=True)]),
    ("busy", [Fault("HEAD", "", 1, status=503), Fault("POST", "", 1, status=429, headers={"Retry-After": "0"}),
              Fault("PATCH", "", 1, status=500), Fault("PUT", "", 2, status=502)]),
])
def test_a_push_gets_through(engine: Engine, registry: RealRegistry, proxy: FaultProxy, text: str,
                             faults: list[Fault]) -> None:
    image, source = pushed(engine, proxy, registry, text)
    proxy.spoil(*faults)
    engine("push", "-q", "--retry-delay", "10ms", source, f"{proxy.host}/{text}/target:1", timeout=30)
    assert all(fault.times == 0 for fault in faults), "every fault was met"
    assert raw(f"{registry.host}/{text}/target:1") == image.manifest


@pytest.mark.parametrize(("text", "fault", "words"), [
    ("denied", Fault("POST", status=403), "denied"),
    ("unauthorized", Fault("", status=401, headers={"Www-Authenticate": "Basic realm=x"}), "authentication required"),
    ("always-cut", Fault("PATCH", cut_upload_after=1000), "the upload broke 5 times at byte 0"),
    ("nowhere", Fault("POST", headers={"Location": None}), "does not say where the upload goes on"),
    ("elsewhere", Fault("POST", headers={"Location": "file:///etc/passwd"}), "names no usable place"),
    ("manifest", Fault("PUT", "/manifests/", status=400, body=b'{"errors":[{"code":"MANIFEST_INVALID"}]}'),
     "uploading manifest 1"),
    ("other-digest", Fault("PUT", "/manifests/", headers={"Docker-Content-Digest": "sha256:" + "1" * 64}),
     "the registry stored sha256:1111"),
])
def test_a_push_that_fails_says_why(engine: Engine, registry: RealRegistry, proxy: FaultProxy, text: str, fault: Fault,
                                    words: str) -> None:
    _, source = pushed(engine, proxy, registry, text, size=50_000)
    proxy.spoil(fault)
    result = engine("push", "-q", "--retry-delay", "10ms", source, f"{proxy.host}/{text}/target:1", check=False)
    assert result.code == 125 and words in result.stderr, result.stderr
    assert "Traceback" not in result.stderr
    proxy.spoil()
    engine("push", "-q", source, f"{proxy.host}/{text}/target:1")


def test_a_registry_that_wants_dockers_format(engine: Engine, registry: RealRegistry, proxy: FaultProxy) -> None:
    image, source = pushed(engine, proxy, registry, "picky", size=1000)
    proxy.spoil(Fault("PUT", "/manifests/", 1, status=415))
    engine("push", "-q", source, f"{proxy.host}/picky/target:1")
    assert json.loads(raw(f"{registry.host}/picky/target:1"))["mediaType"] == DOCKER["manifest"]
    assert image.media_type == OCI["manifest"]
