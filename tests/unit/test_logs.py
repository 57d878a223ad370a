"""Logs in files: records taken apart, the last lines and a time found, files followed through rotation."""

import json
import os
import random
from pathlib import Path

import pytest

from podlike.engine import logfiles, logs, logseek
from podlike.engine.logfiles import LogFiles
from podlike.spec import loglines
from podlike.spec.loglines import LogLine

Piece = tuple[str, bool, str]  # stream, whether it ends the line, text
STAMP = "2026-01-02T03:04:{:02d}.{:09d}+00:00"


def stamp(number: int) -> str:
    return STAMP.format(number // 1000 % 60, number % 1000 * 1000000)


def k8s(number: int, piece: Piece) -> str:
    stream, ends, text = piece
    return f"{stamp(number)} {stream} {'F' if ends else 'P'} {text}\n"


def docker(number: int, piece: Piece) -> str:
    stream, ends, text = piece
    doc = {"log": text + ("\n" if ends else ""), "stream": stream, "time": stamp(number)}
    return json.dumps(doc, separators=(",", ":"), ensure_ascii=False) + "\n"


FORMS = pytest.mark.parametrize("form", [k8s, docker])


def random_pieces(rng: random.Random, count: int) -> list[Piece]:
    """Lines of both streams whose pieces lie between each other."""
    pieces: list[Piece] = []
    for _ in range(count):
        stream = "stdout" if rng.random() < 0.7 else "stderr"
        text = "".join(rng.choice(('x', ' ', '"', "\\", "\\n", "ä", "\r", "stdout F ", '","stream":"stderr"'))
                       for _ in range(rng.randrange(6)))
        pieces.append((stream, rng.random() < 0.75, text))
    return pieces


def write_files(path: Path, records: list[str], rng: random.Random, files: int) -> None:
    """Cut the records into PATH.n ... PATH.1, PATH."""
    cuts = sorted(rng.randrange(len(records) + 1) for _ in range(files - 1))
    for number, (begin, end) in enumerate(zip([0, *cuts], [*cuts, len(records)], strict=True)):
        name = files - 1 - number
        Path(f"{path}.{name}" if name else path).write_text("".join(records[begin:end]))


def read_from(path: Path, files: int, start: dict[str, logseek.Position]) -> list[LogLine]:
    found = []
    with LogFiles(str(path), files) as chain:
        for index, file in enumerate(chain.files):
            offset = 0
            while block := file.read():
                found += list(logs._lines(logs._drop(block, (index, offset), start), 0.0))
                offset += len(block)
    return found


def last_lines(pieces: list[Piece], count: int) -> list[Piece]:
    """What `tail` should find, the slow way: number the lines by their ends, keep the last ones."""
    line_of: list[tuple[int, str]] = []
    current: dict[str, int] = {}
    ends: dict[int, int] = {}
    number = 0
    for at, (stream, done, _) in enumerate(pieces):
        if stream not in current:
            current[stream] = number
            number += 1
        line_of.append((current[stream], stream))
        ends[current[stream]] = at
        if done:
            del current[stream]
    wanted = set(sorted(ends, key=lambda line: ends[line])[-count:] if count else [])
    return [p for p, (line, _) in zip(pieces, line_of, strict=True) if line in wanted]


@FORMS
@pytest.mark.parametrize("block", [40, 150, 1 << 16])
def test_tail_of_random_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: object, block: int) -> None:
    monkeypatch.setattr(logseek, "_BLOCK", block)
    monkeypatch.setattr(logfiles, "CHUNK", 100)
    rng = random.Random(7)
    for round_ in range(40):
        path = tmp_path / f"log{round_}"
        pieces = random_pieces(rng, rng.randrange(25))
        files = rng.randrange(1, 4)
        write_files(path, [form(n, p) for n, p in enumerate(pieces)], rng, files)  # type: ignore[operator]
        for count in (0, 1, 2, 5, 50):
            with LogFiles(str(path), files) as chain:
                start = logseek.find_tail(chain.files, count)
            found = [(r.stream, not r.partial, r.text.decode()) for r in read_from(path, files, start)]
            assert found == last_lines(pieces, count), (round_, count)


@FORMS
def test_since_of_random_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: object) -> None:
    monkeypatch.setattr(logseek, "_BLOCK", 200)
    rng = random.Random(8)
    for round_ in range(30):
        path = tmp_path / f"log{round_}"
        pieces = random_pieces(rng, rng.randrange(60))
        files = rng.randrange(1, 4)
        write_files(path, [form(n, p) for n, p in enumerate(pieces)], rng, files)  # type: ignore[operator]
        for first in (0, 1, len(pieces) // 2, len(pieces) - 1, len(pieces) + 3):
            since = loglines.unix_time(stamp(max(0, first)))
            with LogFiles(str(path), files) as chain:
                start = logseek.find_time(chain.files, since)
            found = read_from(path, files, {"stdout": start, "stderr": start})
            assert [r.text.decode() for r in found] == [p[2] for p in pieces[max(0, first):]], (round_, first)


def test_tail_reads_little_of_a_large_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_text("".join(k8s(n % 60000, ("stdout", True, f"line {n}")) for n in range(60_000)))
    read = 0
    pread = os.pread

    def counted(fd: int, size: int, offset: int) -> bytes:
        nonlocal read
        data = pread(fd, size, offset)
        read += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    with LogFiles(str(path), 1) as chain:
        logseek.find_tail(chain.files, 10)
        assert read < 200_000
        logseek.find_time(chain.files, loglines.unix_time(stamp(40_000)))
        assert read < 2_000_000


def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    with LogFiles(f"{tmp_path}/none", 3) as chain:
        assert not chain.files
        assert logseek.find_tail(chain.files, 3) == {"stdout": (0, 0), "stderr": (0, 0)}
        assert logseek.find_time(chain.files, 5.0) == (0, 0)
        assert not chain.look_for_newer()


# --- records ---


def test_parse_keeps_blanks_and_empty_lines() -> None:
    line = loglines.parse(b"2026-01-02T03:04:05.000000006+00:00 stderr F   a b ")
    assert line is not None
    assert (line.stream, line.partial, line.text) == ("stderr", False, b"  a b ")
    empty = loglines.parse(b"2026-01-02T03:04:05.000000006+00:00 stdout F ")
    assert empty is not None
    assert empty.text == b""


@pytest.mark.parametrize("record", [b"torn", b"", b"2026 stdout X text", b"2026 stdnil F text", b"{", b"{}", b'{"log":"x"}',
                                    b'{"log":1,"stream":"stdout","time":""}', b'{"log":"x","stream":"tape","time":""}', b"[]"])
def test_what_is_no_record_is_none(record: bytes) -> None:
    assert loglines.parse(record) is None
    assert loglines.kind_of(record) is None


def test_json_of_others() -> None:
    """Keys in another order, with attributes, escapes that we do not write."""
    record = b'{"time":"2026-01-02T03:04:05Z", "attrs": {"tag": "x"}, "stream":"stderr", "log":"\\u00e4\\u003c\\ud83d\\ude00\\n"}'
    line = loglines.parse(record)
    assert line is not None
    assert (line.stream, line.partial, line.text.decode(), line.attrs) == ("stderr", False, "ä<😀", {"tag": "x"})
    assert loglines.kind_of(record) == ("stderr", True)


@FORMS
def test_the_fast_ways_say_the_same_as_the_slow_one(form: object) -> None:
    rng = random.Random(9)
    plain = 0
    for _ in range(1500):
        pieces = random_pieces(rng, rng.randrange(1, 4))
        if rng.random() < 0.5:
            pieces = [("stdout", True, text) for _, _, text in pieces]
        block = "".join(form(n, p) for n, p in enumerate(pieces)).encode()  # type: ignore[operator]
        slow = [loglines.parse(record) for record in block.split(b"\n")[:-1]]
        for record, line in zip(block.split(b"\n")[:-1], slow, strict=True):
            assert line is not None
            assert loglines.kind_of(record) == (line.stream, not line.partial)
        fast = loglines.plain(block)
        if fast is not None:
            plain += 1
            assert all(r is not None and r.stream == "stdout" and not r.partial for r in slow)
            assert fast == b"".join(r.text + b"\n" for r in slow if r)
    assert plain > 100


def test_times_keep_nanoseconds_and_zone() -> None:
    assert loglines.unix_time("2026-01-02T03:04:05.500000000+01:00") == pytest.approx(1767319445.5)
    assert loglines.unix_time("2026-01-02T02:04:05Z") == 1767319445
    assert loglines.unix_time("2026-01-02T02:04:05.25Z") == 1767319445.25


# --- rotation ---


class Rotating:
    """Writes as the monitor does, a file of so many lines at a time."""

    def __init__(self, path: Path, files: int) -> None:
        self.path, self.files, self.written = path, files, 0
        path.write_text("")

    def write(self, count: int) -> None:
        with open(self.path, "a") as f:
            for _ in range(count):
                f.write(k8s(self.written % 60000, ("stdout", True, str(self.written))))
                self.written += 1

    def rotate(self) -> None:
        for n in range(self.files - 1, 1, -1):
            if os.path.exists(f"{self.path}.{n - 1}"):
                os.rename(f"{self.path}.{n - 1}", f"{self.path}.{n}")
        if self.files > 1:
            Path(f"{self.path}.1").unlink(missing_ok=True)
            os.link(self.path, f"{self.path}.1")
        fresh = Path(f"{self.path}.tmp")
        fresh.write_text("")
        fresh.rename(self.path)


def drain(chain: LogFiles) -> list[int]:
    """All that is there now, as the reader that follows does it."""
    found: list[int] = []
    while True:
        block = chain.files[0].read()
        if block:
            found += [int(line.text) for line in logs._lines(block, 0.0)]
        elif len(chain.files) > 1:
            chain.drop_oldest()
        elif not chain.look_for_newer():
            return found


@pytest.mark.parametrize("files", [1, 2, 3, 5])
def test_a_reader_in_time_sees_every_line_once(tmp_path: Path, files: int) -> None:
    rng = random.Random(files)
    log = Rotating(tmp_path / "log", files)
    with LogFiles(str(log.path), files) as chain:
        found: list[int] = []
        for _ in range(200):
            for _ in range(rng.randrange(files) if files > 1 else 1):  # fewer rotations than there are old files
                log.write(rng.randrange(5))
                log.rotate()
            log.write(rng.randrange(5))
            found += drain(chain)
        assert found == list(range(log.written))


def test_a_reader_that_is_late_goes_on_with_what_is_left(tmp_path: Path) -> None:
    log = Rotating(tmp_path / "log", 3)
    with LogFiles(str(log.path), 3) as chain:
        log.write(2)
        for _ in range(6):
            log.rotate()
            log.write(2)
        assert drain(chain) == [0, 1, 8, 9, 10, 11, 12, 13]


def test_files_are_opened_once_while_they_are_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation between any two opens: nothing twice, nothing of the window missing."""
    real = os.open
    for moment in range(4):
        log = Rotating(tmp_path / f"log{moment}", 4)
        for _ in range(4):
            log.write(2)
            log.rotate()
        calls = 0

        def racing(path: str, *args: int, at: int = moment, writer: Rotating = log) -> int:
            nonlocal calls
            if path.startswith(str(writer.path)) and "tmp" not in path:
                if calls == at:
                    calls = 100
                    writer.rotate()
                calls += 1
            return real(path, *args)

        monkeypatch.setattr(os, "open", racing)
        with LogFiles(str(log.path), 4) as chain:
            monkeypatch.setattr(os, "open", real)
            assert [n for n in drain(chain) if n >= 4] == [4, 5, 6, 7], moment


def test_an_emptied_file_is_read_from_its_start(tmp_path: Path) -> None:
    log = Rotating(tmp_path / "log", 1)
    with LogFiles(str(log.path), 1) as chain:
        log.write(3)
        assert drain(chain) == [0, 1, 2]
        os.truncate(log.path, 0)
        log.write(1)
        assert drain(chain) == [3]


def test_half_a_record_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    record = k8s(1, ("stdout", True, "1"))
    path.write_text(k8s(0, ("stdout", True, "0")) + record[:20])
    with LogFiles(str(path), 1) as chain:
        assert drain(chain) == [0]
        with open(path, "a") as f:
            f.write(record[20:])
        assert drain(chain) == [1]


def test_what_is_no_file_has_no_lines(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    with LogFiles(str(tmp_path / "log"), 2) as chain:
        assert not chain.files
