"""Pulls through a proxy that spoils what a real registry says: each ends well, or in words and with nothing kept."""

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.support.engine import Engine, wait_for
from tests.support.faultproxy import Fault, FaultProxy, fault_proxy
from tests.support.registry import (
    OCI,
    Image,
    RealRegistry,
    digest_of,
    make_image,
    make_index,
    make_layer,
    tar_of,
)

MB = 1_000_000
FILE = "data"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    e = Engine(os.environ.get("PODLIKE_BIN", "podlike"), env={"REGISTRY_AUTH_FILE": "", "PODLIKE_REGISTRY_TIMEOUT": "3s"})
    try:
        yield e
    finally:
        e.destroy()


def put(registry: RealRegistry, repository: str, *, size: int = 3 * MB) -> Image:
    image = make_image([make_layer(tar_of({FILE: random.Random(repository).randbytes(size)}))])
    registry.push(repository, "1", image)
    return image


def kept(engine: Engine) -> set[str]:
    """Files of the store, without the database and what is unfinished but can be gone on with."""
    return {str(p) for top in ("blobs", "layers", "tmp") for p in (Path(engine.data) / top).rglob("*")
            if p.is_file() and p.name != ".lock" and p.suffix != ".partial"}


def pull(engine: Engine, name: str, *flags: str) -> None:
    engine("pull", "-q", "--retry-delay", "10ms", *flags, name, timeout=40)


def check_whole(engine: Engine, image: Image) -> None:
    layer = image.layers[0]
    blob = Path(engine.data) / "blobs/sha256" / layer.digest.partition(":")[2]
    assert blob.read_bytes() == layer.blob
    assert (Path(engine.data) / "layers/sha256" / layer.diff_id.partition(":")[2] / "diff" / FILE).exists()
    assert image.id in engine("images", "-q", "--no-trunc").stdout


@pytest.mark.parametrize(("name", "faults"), [
    ("cuts", [Fault("GET", "/blobs/", 4, cut_after=700_000)]),
    ("stall", [Fault("GET", "/blobs/", 1, stall=30, stall_at=2 * MB)]),
    ("corrupt", [Fault("GET", "/blobs/", 2, corrupt=500_000, cut_after=MB)]),
    ("answers", [Fault("GET", "/manifests/", 2, status=500), Fault("GET", "/blobs/", 2, status=503)]),
    ("mute", [Fault("GET", "/manifests/", 2, mute=True), Fault("GET", "/blobs/", 2, mute=True)]),
    ("no-length", [Fault("GET", "/blobs/", 2, headers={"Content-Length": None})]),
    ("short-length", [Fault("GET", "/blobs/", 1, cut_after=MB, headers={"Content-Length": None})]),
    ("range-not-kept", [Fault("GET", "/blobs/", 1, cut_after=MB), Fault("GET", "/blobs/", 1, status=416)]),
])
def test_it_gets_through(engine: Engine, registry: RealRegistry, proxy: FaultProxy, name: str, faults: list[Fault]) -> None:
    image = put(registry, f"through/{name}")
    if name == "corrupt":  # found at the end: what came first is dropped and fetched anew
        proxy.spoil(Fault("GET", f"/blobs/{image.layers[0].digest}", 1, corrupt=500_000, cut_after=MB))
        assert engine("pull", "-q", "--retry-delay", "10ms", f"{proxy.host}/through/{name}:1", check=False).code
        proxy.spoil()
    else:
        proxy.spoil(*faults)
    pull(engine, f"{proxy.host}/through/{name}:1")
    assert name == "corrupt" or all(fault.times == 0 for fault in faults), "every fault was met"
    check_whole(engine, image)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_kept_to(engine: Engine, registry: RealRegistry, proxy: FaultProxy, form: str) -> None:
    put(registry, f"later/{form}", size=1000)
    due = time.monotonic() + 4
    value = "2" if form == "seconds" else formatdate(time.time() + 4, usegmt=True)
    proxy.spoil(Fault("GET", "/manifests/", 1, status=429, headers={"Retry-After": value}))
    pull(engine, f"{proxy.host}/later/{form}:1")
    first, second = proxy.seen("GET", "/manifests/")
    if form == "seconds":
        assert second.at - first.at >= 2
    else:  # a date has whole seconds
        assert second.at >= due - 1


def test_connections_that_end_after_20_percent(engine: Engine, registry: RealRegistry, proxy: FaultProxy) -> None:
    """At most a tenth is sent in vain."""
    image = put(registry, "cut/often", size=20 * MB)
    proxy.spoil(Fault("GET", "/blobs/", cut_after=2 * MB))
    pull(engine, f"{proxy.host}/cut/often:1")
    check_whole(engine, image)
    assert proxy.sent(image.layers[0].digest) <= 1.1 * len(image.layers[0].blob)


def test_redirect_to_another_host_without_credentials(engine: Engine, registry: RealRegistry, proxy: FaultProxy) -> None:
    image = put(registry, "redirect")
    with fault_proxy(registry.host, address="127.0.0.2") as other:
        digest = image.layers[0].digest
        proxy.spoil(Fault("GET", f"/blobs/{digest}", location=f"http://{other.host}/v2/redirect/blobs/{digest}"))
        pull(engine, f"{proxy.host}/redirect:1", "--creds", "me:secret")
        assert other.seen("GET", digest) and all("authorization" not in seen.headers for seen in other.log)
    check_whole(engine, image)


def lies(image: Image) -> dict[str, tuple[Fault, str]]:
    layer = image.layers[0]
    manifest = json.loads(image.manifest)
    wrong = {**manifest, "layers": [{**manifest["layers"][0], "size": len(layer.blob) + 7}]}
    huge = {**manifest, "layers": [{**manifest["layers"][0], "size": 1 << 60}]}
    other = {**manifest, "layers": [{**manifest["layers"][0], "digest": digest_of(image.config), "size": len(image.config)}]}
    kind = {**manifest, "layers": [{**manifest["layers"][0], "mediaType": "application/x-shockwave"}]}

    def document(doc: object) -> Fault:
        return Fault("GET", "/manifests/", body=json.dumps(doc).encode(), headers={"Docker-Content-Digest": None})

    blob = f"/blobs/{layer.digest}"
    return {
        "size": (document(wrong), "the manifest says"),
        "huge-size": (document(huge), "it needs at least"),
        "digest": (document(other), "unpack layer"),
        "media-type": (document(kind), "no layer"),
        "schema1": (document({"schemaVersion": 1, "signatures": []}), "schema 1"),
        "deep": (Fault("GET", "/manifests/", body=b'{"a":' * 5000 + b"1" + b"}" * 5000,
                       headers={"Docker-Content-Digest": None}), "Error: "),
        "endless-manifest": (Fault("GET", "/manifests/", endless=True), "larger than"),
        "endless-blob": (Fault("GET", blob, endless=True), "the manifest says"),
        "endless-chunks": (Fault("GET", blob, endless=True, body=layer.blob + b"more"), "the manifest says"),
        "corrupt": (Fault("GET", blob, corrupt=1_000_000), "expected"),
        "other-manifest": (Fault("GET", "/manifests/", corrupt=30), "digest did not match"),
        "always-500": (Fault("GET", blob, status=500), "unexpected status 500"),
        "too-many": (Fault("GET", "/manifests/", status=429, headers={"Retry-After": "7200"}), "toomanyrequests"),
        "always-cut": (Fault("GET", blob, cut_after=100), "the connection broke"),
        "circles": (Fault("GET", blob, location=blob), "redirects"),
        "to-a-file": (Fault("GET", blob, location="file:///etc/passwd"), "redirects from http to file"),
        "short": (Fault("GET", blob, body=layer.blob[:1000]), "the manifest says"),
        "gone": (Fault("GET", blob, status=404), "blob unknown"),
    }


@pytest.mark.parametrize("lie", list(lies(make_image([make_layer(tar_of({"a": b""}))]))))
def test_it_fails_in_words(engine: Engine, registry: RealRegistry, proxy: FaultProxy, lie: str) -> None:
    image = put(registry, f"lies/{lie}", size=2 * MB)
    before = kept(engine)
    fault, words = lies(image)[lie]
    proxy.spoil(fault)
    result = engine("pull", "-q", "--retry-delay", "10ms", f"{proxy.host}/lies/{lie}:1", check=False, timeout=40)
    assert result.code == 125 and words in result.stderr, result.stderr
    assert "Traceback" not in result.stderr and result.stdout == ""
    assert kept(engine) == before, "nothing stays but what can be gone on with"
    if lie not in ("huge-size",):
        assert sum(seen.sent for seen in proxy.log) < 30 * MB, "it does not drink from a fire hose"


def test_platforms_that_there_are(engine: Engine, registry: RealRegistry) -> None:
    images = {"linux/s390x": put(registry, "platforms", size=10), "linux/arm64/v8": put(registry, "platforms", size=11)}
    for n, image in enumerate(images.values()):
        registry.push("platforms", f"{n}", image)
    registry.push_manifest("platforms", "index", make_index(images), OCI["index"])
    result = engine("pull", f"{registry.host}/platforms:index", "--platform", "linux/riscv64", check=False)
    assert result.code == 125 and "linux/riscv64: it has linux/s390x, linux/arm64/v8" in result.stderr
    bad = engine("pull", "--platform", "linux/arm64", "--arch", "arm64", "x/y", check=False)
    assert bad.code == 125 and "--platform option can not be specified" in bad.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_pull_that_is_ended_goes_on(engine: Engine, registry: RealRegistry, proxy: FaultProxy, how: int) -> None:
    name = f"ended/{how}"
    image = put(registry, name, size=20 * MB)
    blob = f"/blobs/{image.layers[0].digest}"
    proxy.spoil(Fault("GET", blob, 1, stall=30, stall_at=15 * MB))
    before = kept(engine)
    with engine.popen("pull", f"{proxy.host}/{name}:1", env={"PODLIKE_REGISTRY_TIMEOUT": "60s"}) as p:
        wait_for(lambda: proxy.sent(blob) >= 14 * MB, "three quarters of the layer")
        time.sleep(0.5)
        p.send_signal(how)
        assert p.wait(10) != 0
    half = {f for f in kept(engine) - before if "/tmp/layer-" not in f}
    assert half == set()
    pull(engine, f"{proxy.host}/{name}:1")
    check_whole(engine, image)
    assert proxy.sent(blob) <= 1.1 * len(image.layers[0].blob)
    assert proxy.seen("GET", blob)[1].headers["range"].startswith("bytes=")


def test_two_pulls_fetch_once(engine: Engine, registry: RealRegistry, proxy: FaultProxy) -> None:
    image = put(registry, "twice", size=10 * MB)
    proxy.spoil(Fault("GET", "/blobs/", 1, stall=0.5, stall_at=5 * MB))
    both = [engine.popen("pull", "-q", f"{proxy.host}/twice:1") for _ in range(2)]
    for p in both:
        assert p.communicate(timeout=40)[0].decode().strip() == image.id
    assert proxy.sent(image.layers[0].digest) == len(image.layers[0].blob)


def test_another_compression_of_the_same_layers(engine: Engine, registry: RealRegistry) -> None:
    """The layers are unpacked already; what came compressed otherwise is fetched, so that it can be pushed as it is."""
    tar = tar_of({FILE: b"the same" * 1000})
    images = [make_image([make_layer(tar, compression=how)], config={"Cmd": [how]}) for how in ("gzip", "zstd")]
    for n, image in enumerate(images):
        registry.push("forms", str(n), image)
        pull(engine, f"{registry.host}/forms:{n}")
        check_whole(engine, image)


def test_progress_in_json(engine: Engine, registry: RealRegistry) -> None:
    image = put(registry, "progress")
    result = engine("pull", "--progress", "json", f"{registry.host}/progress:1")
    events = [json.loads(line) for line in result.stderr.splitlines()]
    layer = image.layers[0]
    assert events[0] == {"event": "trying", "name": f"{registry.host}/progress:1"}
    assert {"event": "started", "digest": layer.digest, "total": len(layer.blob)} in events
    assert {"event": "done", "digest": layer.digest, "current": len(layer.blob), "total": len(layer.blob)} in events
    assert events[-1] == {"event": "writing"}
    assert "Use auto, plain or json" in engine("pull", "--progress", "no", "x/y", check=False).stderr
