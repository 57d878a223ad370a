"""Finding the last lines of a k8s-file log, and taking records apart."""

import os
import random

import pytest

from podlike.engine import logs


def write_log(path: str, lines: list[list[str]]) -> None:
    """lines: each a list of pieces; all but the last piece are tagged P."""
    with open(path, "w") as f:
        for pieces in lines:
            for i, piece in enumerate(pieces):
                tag = "F" if i == len(pieces) - 1 else "P"
                f.write(f"2026-01-02T03:04:05.000000006+00:00 stdout {tag} {piece}\n")


def tail(path: str, count: int) -> str:
    offset = logs._tail_offset(path, count)
    with open(path, "rb") as f:
        f.seek(offset)
        records = [logs._parse(r) for r in f.read().split(b"\n") if r]
    return "".join(r.text.decode() + ("" if r.partial else "\n") for r in records if r)


@pytest.mark.parametrize("chunk", [64, 100, 1 << 16])
def test_tail_of_random_logs(tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(logs, "_CHUNK", chunk)
    rng = random.Random(7)
    path = f"{tmp_path}/log"
    for _ in range(60):
        lines = [["x" * rng.randrange(30) for _ in range(rng.choice((1, 1, 1, 3)))] for _ in range(rng.randrange(12))]
        write_log(path, lines)
        whole = ["".join(pieces) + "\n" for pieces in lines]
        for count in (0, 1, 2, 5, 20):
            assert tail(path, count) == "".join(whole[-count:] if count else [])


def test_tail_of_a_missing_log(tmp_path: os.PathLike[str]) -> None:
    assert logs._tail_offset(f"{tmp_path}/none", 3) == 0


def test_parse_keeps_blanks_and_empty_lines() -> None:
    line = logs._parse(b"2026-01-02T03:04:05.000000006+00:00 stderr F   a b ")
    assert line is not None
    assert (line.stream, line.partial, line.text) == ("stderr", False, b"  a b ")
    empty = logs._parse(b"2026-01-02T03:04:05.000000006+00:00 stdout F ")
    assert empty is not None
    assert empty.text == b""
    assert logs._parse(b"torn") is None


def test_times_keep_nanoseconds_and_zone() -> None:
    assert logs._unix_time("2026-01-02T03:04:05.500000000+01:00") == pytest.approx(1767319445.5)
    assert logs._unix_time("2026-01-02T02:04:05Z") == 1767319445
