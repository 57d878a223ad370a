"""podlike-layer and gzip: members, padding, cuts and damage, by ISA-L and by zlib alike."""

import ctypes.util
import gzip
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from podlike.paths import libexec
from tests.support.need import need
from tests.support.oci import File, digest, layer

PROGRAM = libexec("podlike-layer")
RNG = random.Random(7)
TAR = layer([File("text", b"to be or not to be " * 40_000), File("noise", RNG.randbytes(700_000))])


@pytest.fixture(params=["isal", "zlib"])
def inflater(request: pytest.FixtureRequest) -> str:
    need(os.access(PROGRAM, os.X_OK), "podlike-layer is not built")
    need(request.param == "zlib" or ctypes.util.find_library("isal") is not None, "libisal2 is not installed")
    return str(request.param)


def unpack(tmp_path: Path, inflater: str, *pieces: bytes) -> dict[str, Any]:
    """Feed the pieces one write each."""
    root = tmp_path / f"root{len(list(tmp_path.iterdir()))}"
    root.mkdir()
    with subprocess.Popen(["unshare", "-r", PROGRAM, "unpack", "--dest", str(root)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, env={**os.environ, "PODLIKE_LAYER_INFLATE": inflater}) as p:
        assert p.stdin is not None and p.stdout is not None
        try:
            for piece in pieces:
                p.stdin.write(piece)
                p.stdin.flush()
            p.stdin.close()
        except BrokenPipeError:
            pass
        answer: dict[str, Any] = json.loads(p.stdout.read())
    return answer


def members(data: bytes, size: int) -> bytes:
    """data as gzip members of size bytes each, with empty ones in between."""
    empty = gzip.compress(b"", mtime=0)
    return b"".join(gzip.compress(data[i:i + size], 1, mtime=0) + empty for i in range(0, len(data), size))


@pytest.mark.parametrize("data", [
    pytest.param(gzip.compress(TAR, 6), id="one member"),
    pytest.param(gzip.compress(TAR, 0), id="stored"),
    pytest.param(members(TAR, 100), id="members of 100 bytes, which end anywhere in the input buffer"),
    pytest.param(members(TAR, 1_000_003), id="large members"),
    pytest.param(gzip.compress(TAR) + bytes(5000), id="zeros at the end"),
])
def test_forms_of_gzip(tmp_path: Path, inflater: str, data: bytes) -> None:
    assert unpack(tmp_path, inflater, data)["diff_id"] == digest(TAR)


def test_bytes_that_come_one_by_one(tmp_path: Path, inflater: str) -> None:
    small = layer([File("a", b"b" * 300)])
    data = gzip.compress(small) + gzip.compress(b"")
    assert unpack(tmp_path, inflater, *(data[i:i + 1] for i in range(len(data))))["diff_id"] == digest(small)


@pytest.mark.parametrize("left", [1, 4, 7, 8, 9, 20, 70_000])
def test_data_that_ends_too_early(tmp_path: Path, inflater: str, left: int) -> None:
    assert "ends too early" in unpack(tmp_path, inflater, gzip.compress(TAR, 6)[:-left])["error"]


@pytest.mark.parametrize("at", [3, 40, 5000, 400_000, -7, -3])
def test_damage_is_found(tmp_path: Path, inflater: str, at: int) -> None:
    data = bytearray(gzip.compress(TAR, 6))
    data[at] ^= 0x55
    answer = unpack(tmp_path, inflater, bytes(data))
    assert "error" in answer or answer["diff_id"] != digest(TAR)


def test_what_follows_must_be_gzip_too(tmp_path: Path, inflater: str) -> None:
    assert "gzip" in unpack(tmp_path, inflater, gzip.compress(TAR), b"PK\x03\x04 something else")["error"]
