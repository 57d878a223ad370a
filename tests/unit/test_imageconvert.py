"""Manifests between Docker's format and OCI's."""

import json
from typing import Any

import pytest

from podlike.errors import StoreError
from podlike.spec import image
from podlike.spec.imageconvert import Recompressed, compression_of, convert, layer_type

A, B, C = (f"sha256:{c * 64}" for c in "abc")


def manifest(kind: str, config: str, *layers: str, **more: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": kind, "config": {"mediaType": config, "digest": C, "size": 3},
                       "layers": [{"mediaType": t, "digest": d, "size": 9} for t, d in zip(layers, (A, B), strict=False)],
                       **more}, indent=3).encode()


DOCKER = manifest(image.DOCKER_MANIFEST, image.DOCKER_CONFIG, image.DOCKER_LAYER_GZIP, image.DOCKER_FOREIGN_LAYER)
OCI = manifest(image.OCI_MANIFEST, image.OCI_CONFIG, image.OCI_LAYER_GZIP, image.OCI_LAYER, annotations={"k": "v"},
               subject={"digest": A})


@pytest.mark.parametrize(("raw", "kind"), [(DOCKER, image.DOCKER_MANIFEST), (OCI, image.OCI_MANIFEST)])
def test_nothing_to_do_changes_no_byte(raw: bytes, kind: str) -> None:
    assert convert(raw, media_type=kind, target=kind, changed={}) is raw


def test_to_oci_and_back() -> None:
    oci = convert(DOCKER, media_type=image.DOCKER_MANIFEST, target=image.OCI_MANIFEST, changed={})
    doc = json.loads(oci)
    assert doc["mediaType"] == image.OCI_MANIFEST and doc["config"]["mediaType"] == image.OCI_CONFIG
    assert [d["mediaType"] for d in doc["layers"]] == [
        image.OCI_LAYER_GZIP, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"]
    back = convert(oci, media_type=image.OCI_MANIFEST, target=image.DOCKER_MANIFEST, changed={})
    assert json.loads(back) == json.loads(DOCKER)


def test_docker_has_no_annotations() -> None:
    doc = json.loads(convert(OCI, media_type=image.OCI_MANIFEST, target=image.DOCKER_MANIFEST, changed={}))
    assert set(doc) == {"schemaVersion", "mediaType", "config", "layers"}
    assert [d["mediaType"] for d in doc["layers"]] == [image.DOCKER_LAYER_GZIP, image.DOCKER_LAYER]


def test_layers_that_have_changed() -> None:
    changed = {B: Recompressed(C, 77, "zstd")}
    doc = json.loads(convert(OCI, media_type=image.OCI_MANIFEST, target=image.OCI_MANIFEST, changed=changed))
    assert doc["layers"][1] == {"mediaType": image.OCI_LAYER_ZSTD, "digest": C, "size": 77}
    assert doc["layers"][0]["digest"] == A and doc["annotations"] == {"k": "v"} and doc["subject"] == {"digest": A}
    with pytest.raises(StoreError, match="no zstd layers"):
        convert(OCI, media_type=image.OCI_MANIFEST, target=image.DOCKER_MANIFEST, changed=changed)


def test_types() -> None:
    assert [compression_of(t) for t in (image.OCI_LAYER_GZIP, image.DOCKER_LAYER_GZIP, image.OCI_LAYER_ZSTD, image.OCI_LAYER,
                                        image.DOCKER_LAYER + ".zstd")] == ["gzip", "gzip", "zstd", "", "zstd"]
    assert layer_type(image.DOCKER_LAYER, compression="gzip", oci=False) == image.DOCKER_LAYER_GZIP
