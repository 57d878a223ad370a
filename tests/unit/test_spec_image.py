"""Image documents: what is taken, what is refused, and how the error names the place."""

import json

import pytest

from podlike.errors import StoreError
from podlike.spec import image
from podlike.spec.image import Descriptor, Index, Manifest, Platform

D = "sha256:" + "a" * 64


def manifest(**changes: object) -> bytes:
    doc: dict[str, object] = {
        "schemaVersion": 2, "mediaType": image.OCI_MANIFEST,
        "config": {"mediaType": image.OCI_CONFIG, "digest": D, "size": 2},
        "layers": [{"mediaType": image.OCI_LAYER_GZIP, "digest": D, "size": 3, "annotations": None}]}
    doc.update(changes)
    return json.dumps(doc).encode()


def test_manifest_is_read() -> None:
    doc = image.parse_manifest(manifest(annotations={"a": "b"}))
    assert isinstance(doc, Manifest)
    assert doc.config.size == 2
    assert doc.layers[0] == Descriptor(image.OCI_LAYER_GZIP, D, 3, {})
    assert doc.annotations == {"a": "b"}


@pytest.mark.parametrize("changes, words", [
    ({"layers": [{"mediaType": image.OCI_LAYER, "digest": D, "size": 1}, {"digest": D, "size": 1}]}, "layers[1].mediaType"),
    ({"layers": [{"mediaType": image.OCI_LAYER, "digest": "sha256:../../x", "size": 1}]}, "layers[0].digest"),
    ({"layers": [{"mediaType": image.OCI_LAYER, "digest": D, "size": -1}]}, "layers[0].size"),
    ({"layers": [{"mediaType": image.OCI_LAYER, "digest": D, "size": True}]}, "layers[0].size"),
    ({"layers": {}}, "layers"),
    ({"layers": ["x"]}, "layers[0]"),
    ({"layers": [{"mediaType": "application/x-helm", "digest": D, "size": 1}]}, "no layer"),
    ({"config": None}, "config"),
    ({"config": {"mediaType": 1, "digest": D, "size": 1}}, "config.mediaType"),
    ({"annotations": {"k": 1}}, "annotations.k"),
    ({"schemaVersion": 1}, "schema 1"),
    ({"schemaVersion": 3}, "schemaVersion"),
    ({"manifests": []}, "two ways"),
    ({"mediaType": image.OCI_INDEX}, "does not fit"),
    ({"layers": [{"mediaType": image.OCI_LAYER, "digest": D, "size": 1}] * 1001}, "more than 1000"),
])
def test_bad_manifest_names_the_place(changes: dict[str, object], words: str) -> None:
    with pytest.raises(StoreError) as e:
        image.parse_manifest(manifest(**changes))
    assert words in e.value.message


@pytest.mark.parametrize("data, words", [
    (b"{", "no JSON"), (b"[]", "no JSON object"), (b"\xff\xfe\x00", "no JSON"), (b" " * (image.MAX_MANIFEST + 1), "larger"),
    (b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}", "JSON"), (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "levels deep"),
])
def test_bad_json(data: bytes, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        image.parse_manifest(data)


def index_of(*platforms: tuple[str, str, str] | None) -> Index:
    entries = []
    for i, p in enumerate(platforms):
        entry: dict[str, object] = {"mediaType": image.OCI_MANIFEST, "digest": "sha256:" + f"{i:064x}", "size": 1}
        if p:
            entry["platform"] = {"os": p[0], "architecture": p[1], "variant": p[2]}
        entries.append(entry)
    doc = image.parse_manifest(json.dumps({"schemaVersion": 2, "manifests": entries}).encode())
    assert isinstance(doc, Index)
    return doc


@pytest.mark.parametrize("wanted, expected", [
    ("linux/amd64", 1), ("amd64", 1), ("x86_64", 1), ("linux/arm64", 2), ("aarch64", 2), ("linux/arm/v6", 4), ("linux/arm/v7", 3),
    ("arm", 3), ("linux/arm/v8", 3), ("linux/amd64/v3", 1),
])
def test_platform_is_chosen(wanted: str, expected: int) -> None:
    index = index_of(("unknown", "unknown", ""), ("linux", "amd64", ""), ("linux", "arm64", "v8"), ("linux", "arm", "v7"),
                     ("linux", "arm", "v6"), ("linux", "arm", "v5"))
    assert image.choose_platform(index.manifests, image.parse_platform(wanted)) == index.manifests[expected]


def test_no_platform_lists_what_there_is() -> None:
    index = index_of(("linux", "amd64", ""), ("unknown", "unknown", ""))
    with pytest.raises(StoreError, match="it has linux/amd64$"):
        image.choose_platform(index.manifests, Platform("linux", "s390x"))
    with pytest.raises(StoreError):  # a v5 request cannot run v7 code
        image.choose_platform(index_of(("linux", "arm", "v7")).manifests, Platform("linux", "arm", "v5"))


def test_entry_without_platform_is_the_last_choice() -> None:
    index = index_of(None, ("linux", "amd64", ""))
    assert image.choose_platform(index.manifests, Platform("linux", "amd64")) == index.manifests[1]
    assert image.choose_platform(index.manifests, Platform("linux", "s390x")) == index.manifests[0]


@pytest.mark.parametrize("text", ["", "linux/", "a/b/c/d", "/amd64"])
def test_bad_platform(text: str) -> None:
    with pytest.raises(StoreError):
        image.parse_platform(text)


def test_config_is_read() -> None:
    doc = {"architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05.123456789Z", "config": {
        "Env": ["A=b"], "Cmd": ["sh"], "Entrypoint": None, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}},
        "Labels": {"k": "v"}, "User": "1:2", "WorkingDir": "/w", "StopSignal": "SIGINT", "Shell": ["/bin/sh", "-c"],
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5}}, "rootfs": {"type": "layers", "diff_ids": [D]},
        "history": [{"created_by": "x", "empty_layer": True}]}
    c = image.parse_config(json.dumps(doc).encode())
    assert (c.env, c.cmd, c.entrypoint, c.exposed_ports, c.volumes) == (["A=b"], ["sh"], None, ["80/tcp"], ["/data"])
    assert (c.labels, c.user, c.working_dir, c.stop_signal) == ({"k": "v"}, "1:2", "/w", "SIGINT")
    assert c.healthcheck == {"Test": ["CMD", "true"], "Interval": 5}
    assert c.diff_ids == [D]
    assert c.history[0].empty_layer and c.history[0].created_by == "x"
    assert image.parse_time(c.created) == pytest.approx(1704164645.123456)


@pytest.mark.parametrize("doc, words", [
    ({"config": {"Env": "A=b"}}, "config.Env"), ({"config": {"Env": ["a", 1]}}, "config.Env[1]"),
    ({"config": {"Labels": {"x": None}}}, "config.Labels.x"), ({"config": []}, "config:"),
    ({"rootfs": {"diff_ids": ["md5:0"]}}, "rootfs.diff_ids[0]"), ({"history": [{"empty_layer": 1}]}, "history[0].empty_layer"),
    ({"config": {"Healthcheck": {"Retries": -1}}}, "config.Healthcheck.Retries"),
])
def test_bad_config_names_the_place(doc: dict[str, object], words: str) -> None:
    with pytest.raises(StoreError) as e:
        image.ImageConfig.from_dict(doc)
    assert words in e.value.message


@pytest.mark.parametrize("text, seconds", [
    ("", 0.0), ("0001-01-01T00:00:00Z", 0.0), ("nonsense", 0.0), ("1970-01-01T01:00:00+01:00", 0.0),
    ("1970-01-01T00:00:10Z", 10.0), ("1970-01-01T00:00:10.5Z", 10.5), ("1970-01-01T02:00:10.123456789+02:00", 10.123456),
])
def test_times(text: str, seconds: float) -> None:
    assert image.parse_time(text) == pytest.approx(seconds)


@pytest.mark.parametrize("digest", [
    "", "sha256", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 65, "md5:" + "a" * 32,
    "sha512:" + "a" * 64, "sha256:" + "../" * 21 + "a", "sha256:" + "\u0660" * 64, ":", "a" * 64,
])
def test_bad_digest(digest: str) -> None:
    with pytest.raises(StoreError):
        image.split_digest(digest)


def test_good_digest() -> None:
    assert image.split_digest("sha512:" + "0" * 128) == ("sha512", "0" * 128)
