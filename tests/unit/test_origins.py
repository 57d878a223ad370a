"""What is remembered of a blob on its file."""

import os
from pathlib import Path

import pytest

from podlike.store.origins import Variant, origins, remember_origin, remember_variant, variant
from tests.support.need import need

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def blob(tmp_path: Path) -> str:
    path = tmp_path / "blob"
    path.write_bytes(b"x")
    try:
        os.setxattr(path, "user.test", b"1")
    except OSError:
        need(False, "the file system of the tests has no user attributes")
    return str(path)


def test_repositories(blob: str) -> None:
    assert origins(blob, "h:1") == []
    for name in ("h:1/a", "h:1/b/c", "h/z", "h:1/a"):
        remember_origin(blob, name)
    assert origins(blob, "h:1") == ["a", "b/c"]
    assert origins(blob, "h") == ["z"]
    remember_origin(blob, "h:1/v", DIGEST)
    assert origins(blob, "h:1", DIGEST) == ["v"] and "v" not in origins(blob, "h:1")


def test_it_stays_small(blob: str) -> None:
    for n in range(100):
        remember_origin(blob, f"h/{'x' * 100}/{n}")
    found = origins(blob, "h")
    assert found[0].endswith("/99") and len(found) <= 8
    assert len(os.getxattr(blob, "user.podlike.origins")) < 2000


def test_variants(blob: str) -> None:
    assert variant(blob, "gzip") is None
    remember_variant(blob, Variant("gzip", DIGEST, 5))
    remember_variant(blob, Variant("zstd-19", DIGEST, 4))
    remember_variant(blob, Variant("gzip", DIGEST, 6))
    assert variant(blob, "gzip") == Variant("gzip", DIGEST, 6)
    assert variant(blob, "zstd-19") == Variant("zstd-19", DIGEST, 4)
    assert variant(blob, "zstd") is None


def test_damaged_or_missing_notes_are_no_notes(blob: str, tmp_path: Path) -> None:
    os.setxattr(blob, "user.podlike.variants", b"gzip onlyone\n\xff\xfe")
    assert variant(blob, "gzip") is None
    os.setxattr(blob, "user.podlike.variants", b"\n \ngzip a b\n")
    assert variant(blob, "gzip") is None
    remember_variant(blob, Variant("gzip", DIGEST, 1))
    assert variant(blob, "gzip") == Variant("gzip", DIGEST, 1)
    assert origins(str(tmp_path / "nothing"), "h") == []
    remember_origin(str(tmp_path / "nothing"), "h/a")
