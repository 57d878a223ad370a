"""Pulls as an ordinary user: from a real registry, and from one that lies, cuts, stalls."""

import base64
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.need import need
from tests.support.registry import (
    DOCKER,
    OCI,
    Handler,
    Image,
    Layer,
    LyingRegistry,
    RealRegistry,
    digest_of,
    lying_registry,
    make_image,
    make_index,
    make_layer,
    real_registry,
    tar_of,
)

# "tester" with the password "secret"; docker-registry takes bcrypt only.
HTPASSWD = "tester:$2b$04$g4wI2q3YlaMSzSm7JMxAq.D6xJQifWTJA.9Uf.ymgNWjrTvpoEuJa"


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A store of its own for each test: what is kept and what is not is the question here."""
    e = Engine(os.environ.get("PODLIKE_BIN", "podlike"), env={"REGISTRY_AUTH_FILE": ""})
    try:
        yield e
    finally:
        e.destroy()


@pytest.fixture
def liar() -> Iterator[LyingRegistry]:
    with lying_registry() as r:
        yield r


def files(text: str) -> dict[str, bytes]:
    return {"etc/": b"", "etc/name": text.encode(), "usr/": b"", "usr/data": text.encode() * 1000}


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def path_of(engine: Engine, kind: str, digest: str) -> Path:
    algorithm, _, digits = digest.partition(":")
    return Path(engine.data) / kind / algorithm / digits


def has(engine: Engine, layer: Layer) -> bool:
    return path_of(engine, "layers", layer.diff_id).exists()


def check_stored(engine: Engine, image: Image) -> None:
    """Every blob is there byte for byte, every layer unpacked with its files."""
    for digest, data in [*image.blobs.items(), (image.digest, image.manifest)]:
        assert path_of(engine, "blobs", digest).read_bytes() == data
    for layer in image.layers:
        record = json.loads((path_of(engine, "layers", layer.diff_id) / "layer.json").read_bytes())
        assert record["diff_id"] == layer.diff_id
    assert image.id in engine("images", "-q", "--no-trunc").stdout


def check_nothing_kept(engine: Engine) -> None:
    """No image, no layer, no blob, nothing unfinished."""
    assert engine("images", "-q", "-a").stdout == ""
    found = [str(p) for top in ("blobs", "layers", "tmp") for p in (Path(engine.data) / top).rglob("*")
             if p.is_file() and p.name != ".lock"]
    assert found == []


def unfinished_layers(engine: Engine) -> list[str]:
    return [n for n in os.listdir(f"{engine.data}/tmp") if n.startswith("layer-")]


# A real registry over plain HTTP


@pytest.mark.parametrize("types", [OCI, DOCKER], ids=["oci", "docker"])
@pytest.mark.parametrize("compression", ["gzip", "zstd", "plain"])
def test_formats(engine: Engine, registry: RealRegistry, types: dict[str, str], compression: str) -> None:
    kind = f"{'oci' if types is OCI else 'docker'}-{compression}"
    layers = [make_layer(tar_of(files(f"{kind} {n}")), compression=compression, types=types) for n in range(3)]
    image = make_image(layers, types=types)
    name = registry.push("formats", kind, image)
    result = engine("pull", name)
    assert result.stdout == image.id + "\n"
    assert result.stderr.splitlines()[:2] == [f"Trying to pull {name}...", "Getting image source signatures"]
    assert result.stderr.splitlines()[-2:] == [f"Copying config {digest_of(image.config)}",
                                               "Writing manifest to image destination"]
    check_stored(engine, image)
    assert (path_of(engine, "layers", layers[1].diff_id) / "diff/etc/name").read_text() == f"{kind} 1"


def test_quiet_says_only_the_id(engine: Engine, registry: RealRegistry) -> None:
    image = make_image([make_layer(tar_of(files("quiet")))])
    result = engine("pull", "-q", registry.push("quiet", "latest", image))
    assert (result.stdout, result.stderr) == (image.id + "\n", "")


def test_an_index_gives_the_wanted_platform(engine: Engine, registry: RealRegistry) -> None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    other = "arm64" if machine == "amd64" else "amd64"
    images = {arch: make_image([make_layer(tar_of(files(arch)))], arch=arch) for arch in (machine, other)}
    for arch, image in images.items():
        registry.push("index", arch, image)
    index = make_index({f"linux/{arch}": image for arch, image in images.items()})
    name = registry.push_manifest("index", "all", index, OCI["index"])
    assert engine("pull", "-q", name).line == images[machine].id
    assert engine("pull", "-q", "--platform", f"linux/{other}", name).line == images[other].id
    assert engine("pull", "-q", "--arch", machine, name).line == images[machine].id
    repository = name.rpartition(":")[0]
    digests = json.loads(engine("image", "inspect", images[machine].id).stdout)[0]["RepoDigests"]
    assert set(digests) == {f"{repository}@{digest_of(index)}", f"{repository}@{images[machine].digest}"}
    missing = engine("pull", "--platform", "linux/s390x", name, check=False)
    assert missing.code == 125 and "s390x" in missing.stderr and f"linux/{other}" in missing.stderr
    both = engine("pull", "--platform", "linux/amd64", "--arch", "arm64", name, check=False)
    assert both.code == 125 and "can not be specified with" in both.stderr


def test_by_digest(engine: Engine, registry: RealRegistry) -> None:
    image = make_image([make_layer(tar_of(files("digest")))])
    repository = registry.push("bydigest", "latest", image).rpartition(":")[0]
    assert engine("pull", "-q", f"{repository}@{image.digest}").line == image.id
    assert engine("image", "exists", f"{repository}@{image.digest}", check=False).code == 0
    assert engine("image", "exists", f"{repository}:latest", check=False).code == 1


def test_several_names_one_of_them_unknown(engine: Engine, registry: RealRegistry) -> None:
    images = [make_image([make_layer(tar_of(files(f"several {n}")))]) for n in range(2)]
    names = [registry.push("several", f"v{n}", image) for n, image in enumerate(images)]
    unknown = f"{registry.host}/several:nope"
    result = engine("pull", names[0], unknown, names[1], check=False)
    assert result.code == 125
    assert result.stdout == f"{images[0].id}\n{images[1].id}\n"
    assert (f"Error: initializing source docker://{unknown}: reading manifest nope in {registry.host}/several: "
            "manifest unknown") in result.stderr


def test_all_tags(engine: Engine, registry: RealRegistry) -> None:
    images = [make_image([make_layer(tar_of(files(f"tags {n}")))]) for n in range(3)]
    for n, image in enumerate(images):
        registry.push("tags", f"v{n}", image)
    result = engine("pull", "-q", "--all-tags", f"{registry.host}/tags")
    assert sorted(result.stdout.split()) == sorted(i.id for i in images)
    assert engine("pull", "-a", f"{registry.host}/tags:v1", check=False).code == 125


def test_a_guarded_registry(engine: Engine, tmp_path: Path) -> None:
    need(shutil.which("docker-registry"), "docker-registry: apt-get install docker-registry")
    (tmp_path / "htpasswd").write_text(HTPASSWD + "\n")
    with real_registry(tmp_path, htpasswd=str(tmp_path / "htpasswd")) as guarded:
        guarded.authorization = "Basic " + base64.b64encode(b"tester:secret").decode()
        image = make_image([make_layer(tar_of(files("private")))])
        name = guarded.push("private", "v1", image)
        refused = engine("pull", name, check=False)
        assert refused.code == 125
        assert "authentication required" in refused.stderr
        assert f"podlike login {guarded.host}" in refused.stderr
        wrong = engine("pull", "--creds", "tester:wrong", name, check=False)
        assert wrong.code == 125 and "does not take these credentials" in wrong.stderr and "wrong" not in wrong.stderr
        assert engine("pull", "-q", "--creds", "tester:secret", name).line == image.id
        auth = tmp_path / "auth.json"
        auth.write_text(json.dumps({"auths": {guarded.host: {"auth": base64.b64encode(b"tester:secret").decode()}}}))
        assert engine("pull", "-q", "--authfile", str(auth), name).line == image.id
        assert engine("pull", "-q", name, env={"REGISTRY_AUTH_FILE": str(auth)}).line == image.id


def test_policies(engine: Engine, registry: RealRegistry) -> None:
    first, second = (make_image([make_layer(tar_of(files(f"policy {n}")))]) for n in range(2))
    name = f"{registry.host}/policy:latest"
    never = engine("pull", "--policy", "never", name, check=False)
    assert never.code == 125 and "image not known" in never.stderr
    registry.push("policy", "latest", first)
    assert engine("pull", "-q", "--policy", "newer", name).line == first.id
    registry.push("policy", "latest", second)
    assert engine("pull", "-q", "--policy", "missing", name).line == first.id
    assert engine("pull", "-q", "--policy", "never", name).line == first.id
    assert engine("pull", "-q", "--policy", "newer", name).line == second.id
    assert engine("pull", "-q", "--policy", "newer", name).line == second.id
    assert engine("pull", "--policy", "maybe", name, check=False).code == 125


def test_two_pulls_at_once(engine: Engine, registry: RealRegistry) -> None:
    image = make_image([make_layer(tar_of({"a": noise(8_000_000, n)})) for n in range(3)])
    name = registry.push("twice", "latest", image)
    both = [engine.popen("pull", "-q", name) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out.decode()) == (0, image.id + "\n"), err
    check_stored(engine, image)
    assert [n for n in os.listdir(f"{engine.data}/tmp") if n != ".lock"] == []


# Names


def configure(engine: Engine, text: str) -> None:
    directory = Path(engine.home) / ".config/containers"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "registries.conf").write_text(text)


def test_short_names_follow_registries_conf(engine: Engine, registry: RealRegistry) -> None:
    image = make_image([make_layer(tar_of(files("short")))])
    registry.push("team/short", "v1", image)
    configure(engine, f'unqualified-search-registries = ["127.0.0.1:1", "{registry.host}"]\n'
                      f'[aliases]\n"nick" = "{registry.host}/team/short"\n')
    found = engine("pull", "team/short:v1")
    assert found.line == image.id
    assert f"Trying to pull {registry.host}/team/short:v1..." in found.stderr
    alias = engine("pull", "nick:v1")
    assert alias.line == image.id and 'Resolved "nick" as an alias' in alias.stderr
    lost = engine("pull", "team/lost", check=False)
    assert lost.code == 125 and "2 errors occurred while pulling" in lost.stderr
    configure(engine, 'short-name-mode = "enforcing"\nunqualified-search-registries = ["a.example", "b.example"]\n')
    assert "cannot prompt without a TTY" in engine("pull", "lost", check=False).stderr
    configure(engine, "unqualified-search-registries = []\n")
    none = engine("pull", "lost", check=False)
    assert 'short-name "lost" did not resolve to an alias' in none.stderr and "docker.io/library/lost" in none.stderr


def test_mirrors_are_asked_first(engine: Engine, registry: RealRegistry, liar: LyingRegistry) -> None:
    image = make_image([make_layer(tar_of(files("mirror")))])
    registry.push("mirrored/x", "v1", image)
    configure(engine, f'[[registry]]\nprefix = "far.example/x"\nlocation = "{registry.host}/mirrored/x"\n'
                      f'[[registry.mirror]]\nlocation = "{liar.host}/empty"\n')
    assert engine("pull", "-q", "far.example/x:v1").line == image.id
    assert liar.paths() == ["/v2/empty/manifests/v1"]
    assert "far.example/x:v1" in engine("images", "--format", "{{.Repository}}:{{.Tag}}").stdout
    configure(engine, '[[registry]]\nlocation = "bad.example"\nblocked = true\n')
    assert "is blocked" in engine("pull", "bad.example/x", check=False).stderr


@pytest.mark.parametrize(("name", "words"), [
    ("UPPER/case", "repository name must be lowercase"), ("x:-y", "invalid reference format"),
    ("docker-daemon:x", "not supported"), ("https://quay.io/x", "invalid reference format"),
])
def test_bad_names(engine: Engine, name: str, words: str) -> None:
    result = engine("pull", name, check=False)
    assert result.code == 125 and words in result.stderr and "Hint:" in result.stderr
    assert not os.path.exists(f"{engine.data}/blobs")


# A registry that lies, cuts, stalls


def test_nothing_is_fetched_twice(engine: Engine, liar: LyingRegistry) -> None:
    shared = make_layer(tar_of(files("shared")))
    first, second = make_image([shared]), make_image([shared, make_layer(tar_of(files("own")))])
    liar.add(first, "first")
    liar.add(second, "second")
    engine("pull", "-q", f"{liar.host}/x:first")
    liar.requests.clear()
    result = engine("pull", f"{liar.host}/x:second")
    assert f"/v2/x/blobs/{shared.digest}" not in liar.paths()
    assert f"Copying blob {shared.digest} skipped: already exists" in result.stderr
    liar.requests.clear()
    engine("pull", "-q", f"{liar.host}/x:second")
    assert liar.paths() == ["/v2/x/manifests/second"]


def test_a_layer_that_is_listed_twice(engine: Engine, liar: LyingRegistry) -> None:
    layer = make_layer(tar_of(files("double")))
    image = make_image([layer, make_layer(tar_of(files("between"))), layer])
    liar.add(image)
    assert engine("pull", "-q", f"{liar.host}/x").line == image.id
    assert liar.paths().count(f"/v2/x/blobs/{layer.digest}") == 1


def test_every_connection_is_cut(engine: Engine, liar: LyingRegistry) -> None:
    image = make_image([make_layer(tar_of({"a": noise(20_000_000)}))])
    liar.add(image)
    liar.cut_after = 2_000_000
    assert engine("pull", "-q", f"{liar.host}/x").line == image.id
    check_stored(engine, image)
    assert liar.sent <= 1.1 * len(image.layers[0].blob)


def interrupt_midway(engine: Engine, liar: LyingRegistry, name: str, how: int) -> "subprocess.Popen[bytes]":
    """Start a pull and send it a signal while its layer arrives."""
    process = engine.popen("pull", "-q", name)
    deadline = time.monotonic() + 20
    while liar.sent < 3_000_000:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(how)
    return process


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_and_taken_up_again(engine: Engine, liar: LyingRegistry, how: int) -> None:
    """What arrived is not fetched again, the image is whole, nothing is left over."""
    image = make_image([make_layer(tar_of({"a": noise(12_000_000)}), compression="plain")])
    liar.add(image)
    liar.chunk_delay = 0.02
    process = interrupt_midway(engine, liar, f"{liar.host}/x", how)
    start = time.monotonic()
    _, err = process.communicate(timeout=20)
    if how == signal.SIGINT:
        assert process.returncode == 130 and b"Traceback" not in err
        assert time.monotonic() - start < 3
        assert unfinished_layers(engine) == []
    assert engine("images", "-q", "-a").stdout == ""
    partial = Path(engine.data) / "tmp" / f"{image.layers[0].digest.partition(':')[2]}.partial"
    kept = partial.stat().st_size
    assert kept >= 1_000_000
    liar.requests.clear()
    liar.chunk_delay = 0
    assert engine("pull", "-q", f"{liar.host}/x").line == image.id
    ranges = [h.get("range") for _, p, h in liar.requests if p.endswith(image.layers[0].digest)]
    assert ranges == [f"bytes={kept}-"]
    check_stored(engine, image)


def test_rubbish_left_by_an_earlier_pull_does_not_stay_for_ever(engine: Engine, liar: LyingRegistry) -> None:
    image = make_image([make_layer(tar_of({"a": noise(3_000_000)}))])
    liar.add(image)
    os.makedirs(f"{engine.data}/tmp", 0o700)
    partial = Path(engine.data) / "tmp" / f"{image.layers[0].digest.partition(':')[2]}.partial"
    partial.write_bytes(b"x" * 100_000)
    assert engine("pull", "-q", f"{liar.host}/x").line == image.id
    check_stored(engine, image)


def test_a_layer_with_another_digest(engine: Engine, liar: LyingRegistry) -> None:
    good = make_image([make_layer(tar_of(files("good")))])
    liar.add(good)
    evil = make_layer(tar_of(files("evil"))).blob
    blob = bytearray(evil[:len(good.layers[0].blob)].ljust(len(good.layers[0].blob), b"\0"))
    liar.blobs[good.layers[0].digest] = bytes(blob)
    result = engine("pull", f"{liar.host}/x", check=False)
    assert result.code == 125 and "Error: " in result.stderr
    del liar.blobs[digest_of(good.config)]
    check_nothing_kept(engine)


def test_a_layer_that_unpacks_but_is_not_what_the_manifest_says(engine: Engine, liar: LyingRegistry) -> None:
    """Only the digest tells: the tar is fine and of the same length."""
    good = make_layer(tar_of({"a": b"x" * 5000}), compression="plain")
    liar.add(make_image([good]))
    liar.blobs[good.digest] = tar_of({"a": b"y" * 5000})
    result = engine("pull", f"{liar.host}/x", check=False)
    assert result.code == 125 and good.digest in result.stderr
    check_nothing_kept(engine)


def test_a_config_that_lies_about_a_layer(engine: Engine, liar: LyingRegistry) -> None:
    layer = make_layer(tar_of(files("honest")))
    liar.add(make_image([Layer(layer.blob, "sha256:" + "0" * 64, layer.media_type)]))
    result = engine("pull", f"{liar.host}/x", check=False)
    assert result.code == 125 and "0" * 64 in result.stderr
    check_nothing_kept(engine)


def test_one_bad_layer_stops_the_others_at_once(engine: Engine, liar: LyingRegistry) -> None:
    bad, slow = make_layer(tar_of(files("bad"))), make_layer(tar_of({"a": noise(9_000_000)}), compression="plain")
    image = make_image([slow, bad])
    liar.add(image)
    del liar.blobs[bad.digest]
    liar.chunk_delay = 0.1  # the slow layer would take 14 s
    start = time.monotonic()
    result = engine("pull", f"{liar.host}/x", check=False)
    assert result.code == 125 and "blob unknown" in result.stderr and "cancelled" not in result.stderr
    assert time.monotonic() - start < 8
    assert unfinished_layers(engine) == []


def test_a_web_page(engine: Engine, liar: LyingRegistry) -> None:
    def before(h: Handler) -> bool:
        h.answer(200, b"<html>Welcome to the hotel", {"Content-Type": "text/html"})
        return True

    liar.before = before
    result = engine("pull", f"{liar.host}/x", check=False)
    assert result.code == 125 and "the server answered with a web page, not a registry" in result.stderr
    assert "Traceback" not in result.stderr


def test_nobody_listens(engine: Engine) -> None:
    start = time.monotonic()
    result = engine("pull", "127.0.0.1:1/foo:bar", check=False)
    assert result.code == 125
    assert "Error: initializing source docker://127.0.0.1:1/foo:bar: pinging container registry 127.0.0.1:1: " \
        in result.stderr
    assert "connect: connection refused" in result.stderr and time.monotonic() - start < 5


def test_memory_does_not_grow_with_the_image(engine: Engine, liar: LyingRegistry) -> None:
    image = make_image([make_layer(tar_of({"a": bytes(60_000_000) + noise(1, n)}), compression="plain")
                        for n in range(3)])
    liar.add(image)
    process = engine.popen("pull", "-q", f"{liar.host}/x")
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        peak = max([peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
        time.sleep(0.005)
    out, err = process.communicate()
    assert out.decode().strip() == image.id, err
    assert 10_000 < peak < 64_000, f"{peak} kB for an image of 180 MB"


def test_bars_on_a_terminal(engine: Engine, liar: LyingRegistry) -> None:
    image = make_image([make_layer(tar_of({"a": noise(2_000_000)}))])
    liar.add(image)
    with engine.terminal("pull", f"{liar.host}/x", cols=140) as terminal:
        terminal.expect(f"Copying blob {image.layers[0].digest.partition(':')[2][:12]}")
        terminal.expect("MB")
        terminal.expect(image.id)
        assert terminal.wait() == 0
