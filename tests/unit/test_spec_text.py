"""Durations, times, sizes, tables: what people read and write."""

import os
import time

import pytest

from podlike.errors import UsageError
from podlike.spec import durations, sizes, table


@pytest.mark.parametrize(("text", "seconds"), [
    ("10s", 10), ("1h30m", 5400), ("1.5h", 5400), ("300ms", 0.3), ("-5m", -300), ("0", 0), ("1h0m0.5s", 3600.5),
    (".5s", 0.5), ("2us", 2e-6), ("+3s", 3),
])
def test_parse_duration(text: str, seconds: float) -> None:
    assert durations.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "words"), [
    ("", "invalid duration"), ("x", "invalid duration"), ("10", "missing unit"), ("10y", 'unknown unit "y"'),
    ("s", "invalid duration"), ("-", "invalid duration"),
])
def test_bad_durations(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        durations.parse_duration(text)


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0s"), (0.25, "250ms"), (1, "1s"), (90, "1m30s"), (3600, "1h0m0s"), (5400.5, "1h30m0.5s"), (-1.5, "-1.5s"),
    (2e-6, "2µs"),
])
def test_format_duration_is_read_back(seconds: float, text: str) -> None:
    assert durations.format_duration(seconds) == text
    assert durations.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("seconds", "text"), [
    (0.5, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (119, "About a minute"),
    (120, "2 minutes"), (3599, "59 minutes"), (3600, "About an hour"), (7200, "2 hours"), (47 * 3600, "47 hours"),
    (48 * 3600, "2 days"), (13 * 86400, "13 days"), (14 * 86400, "2 weeks"), (60 * 86400, "2 months"),
    (729 * 86400, "24 months"), (731 * 86400, "2 years"),
])
def test_human_duration(seconds: float, text: str) -> None:
    assert durations.human_duration(seconds) == text


def test_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "CET-1")
    time.tzset()
    try:
        when = durations.parse_time("2026-01-02T03:04:05.5Z")
        assert when == 1767323045.5
        assert durations.parse_time("2026-01-02T04:04:05.5") == when
        assert durations.parse_time("2026-01-02T05:04:05.5+02:00") == when
        assert durations.parse_time("1767323045.5") == when
        assert durations.parse_time("2026-01-02") == durations.parse_time("2026-01-02T00:00:00+01:00")
        assert durations.parse_time("10m", now=1000.0) == 400.0
        assert durations.rfc3339(when) == "2026-01-02T04:04:05.5+01:00"
        assert durations.rfc3339(when, utc=True) == "2026-01-02T03:04:05.5Z"
        assert durations.go_time(when) == "2026-01-02 04:04:05.5 +0100 CET"
        assert durations.rfc3339(0.0) == "0001-01-01T00:00:00Z"
    finally:
        monkeypatch.undo()
        time.tzset()
    with pytest.raises(UsageError, match="neither a time nor a duration"):
        durations.parse_time("yesterday")


@pytest.mark.parametrize(("text", "count"), [
    ("512", 512), ("1k", 1024), ("64M", 64 << 20), ("1.5g", 3 << 29), ("2GiB", 2 << 30), ("100mb", 100 << 20), ("3 kb", 3072),
    ("0", 0), ("1t", 1 << 40), ("7b", 7),
])
def test_parse_size(text: str, count: int) -> None:
    assert sizes.parse_size(text) == count


@pytest.mark.parametrize("text", ["", "x", "-1", "1q", "1.2.3", "k", "1kk", "0x10"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="invalid size"):
        sizes.parse_size(text)


def test_human_sizes() -> None:
    assert sizes.human_size(1234567) == "1.235MB"
    assert sizes.human_size(0) == "0B"
    assert sizes.human_size(999, precision=3) == "999B"
    assert sizes.human_size(7340032, precision=3, blank=" ") == "7.34 MB"
    assert sizes.human_bytes(1536) == "1.5KiB"


def test_table_has_podmans_columns() -> None:
    text = table.table(["ID", "IMAGE", "NAMES"], [["abc", "docker.io/library/x", "n"], ["d", "", "longer"]])
    assert text.split("\n") == ["ID          IMAGE                NAMES",
                                "abc         docker.io/library/x  n",
                                "d                                longer", ""]


def test_docker_style_and_lines_without_cells() -> None:
    assert table.align("A\tB\nlong name here\tx\n", style=table.DOCKER) == "A                B\nlong name here   x\n"
    assert table.align("no cells\n") == "no cells\n"


def test_a_column_ends_where_a_line_has_no_cell_in_it() -> None:
    wide = "x" * 20
    assert table.align(f"{wide}\ta\nplain\nb\tc\n") == f"{wide}  a\nplain\nb           c\n"


@pytest.mark.parametrize(("text", "count"), [("10", 10), ("9.045m", 9_045_000), ("1.001MB", 1_001_000), ("2k", 2000),
                                             ("1 g", 10**9)])
def test_parse_decimal_size(text: str, count: int) -> None:
    assert sizes.parse_decimal_size(text) == count
    with pytest.raises(UsageError):
        sizes.parse_decimal_size(text + "x")


def test_time_with_a_comma_and_ahead() -> None:
    from podlike.spec.durations import parse_time

    assert parse_time("2026-01-02T02:04:05,500000000+00:00") == parse_time("2026-01-02T02:04:05.5Z") == 1767319445.5
    assert parse_time("3s", now=100.0) == 97.0 and parse_time("3s", now=100.0, ahead=True) == 103.0
