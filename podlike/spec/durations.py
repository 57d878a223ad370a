"""Durations and points in time, in the forms of Go programs."""

import re
import time

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_UNITS: "Final" = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: "Final" = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)")
# What Go prints for a time that was never set.
NEVER: "Final" = "0001-01-01T00:00:00Z"


def parse_duration(text: str) -> float:
    """Seconds from "10s", "1h30m", "1.5h", "300ms", "-5m", "0" (time.ParseDuration). Raises: UsageError."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    sign = -1.0 if text[:1] == "-" else 1.0
    if rest == "0":
        return 0.0
    total, pos = 0.0, 0
    while pos < len(rest):
        m = _PART.match(rest, pos)
        if m is None:
            break
        number, unit = m.groups()
        if not unit:
            raise UsageError(f'time: missing unit in duration "{text}"', hint="Add a unit, for example 10s or 1h30m.")
        if unit not in _UNITS:
            raise UsageError(f'time: unknown unit "{unit}" in duration "{text}"', hint="Units are ms, s, m and h.")
        total += float(number) * _UNITS[unit]
        pos = m.end()
    if pos == 0 or pos < len(rest):
        raise UsageError(f'time: invalid duration "{text}"', hint="Write it like 10s, 5m or 1h30m.")
    return sign * total


def format_duration(seconds: float) -> str:
    """90.0 -> "1m30s", 0.25 -> "250ms" (time.Duration's String)."""
    nanos = round(seconds * 1e9)
    if nanos == 0:
        return "0s"
    sign, nanos = ("-", -nanos) if nanos < 0 else ("", nanos)
    if nanos < 1_000_000_000:
        for unit, factor in (("ms", 1_000_000), ("µs", 1000), ("ns", 1)):
            if nanos >= factor:
                return f"{sign}{_trimmed(nanos, factor)}{unit}"
    minutes, rest = divmod(nanos, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_trimmed(rest, 1_000_000_000)}s"


def _trimmed(value: int, factor: int) -> str:
    whole, part = divmod(value, factor)
    digits = str(part).rjust(len(str(factor)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def human_duration(seconds: float) -> str:
    """"About a minute", "5 minutes", "2 hours", "3 days": what stands before "ago" and after "Up"."""
    whole = int(seconds)
    minutes, hours = whole // 60, int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for limit, unit, hours_each in ((24 * 14, "days", 24), (24 * 60, "weeks", 168), (24 * 730, "months", 720)):
        if hours < limit:
            return f"{hours // hours_each} {unit}"
    return f"{int(seconds / 3600) // 24 // 365} years"


def ago(then: float, *, now: float | None = None) -> str:
    return human_duration((time.time() if now is None else now) - then) + " ago"


def rfc3339(when: float, *, utc: bool = False) -> str:
    """2026-01-02T03:04:05.123456789+01:00; NEVER for 0.0."""
    if not when:
        return NEVER
    return _stamp(when, "%Y-%m-%dT%H:%M:%S", utc=utc, zero="Z", colon=True)


def go_time(when: float, *, utc: bool = False) -> str:
    """2026-01-02 03:04:05.123456789 +0100 CET (time.Time's String)."""
    if not when:
        return "0001-01-01 00:00:00 +0000 UTC"
    zone = "UTC" if utc else time.localtime(when).tm_zone
    return _stamp(when, "%Y-%m-%d %H:%M:%S", utc=utc, zero="", colon=False) + f" {zone}"


def _stamp(when: float, form: str, *, utc: bool, zero: str, colon: bool) -> str:
    nanos = round(when * 1e9)
    seconds, part = divmod(nanos, 1_000_000_000)
    broken = time.gmtime(seconds) if utc else time.localtime(seconds)
    digits = f"{part:09d}".rstrip("0")
    text = time.strftime(form, broken) + (f".{digits}" if digits else "")
    offset = broken.tm_gmtoff or 0
    if offset == 0 and zero:
        return text + zero
    hours, minutes = divmod(abs(offset) // 60, 60)
    sign = "-" if offset < 0 else "+"
    return f"{text}{sign}{hours:02d}:{minutes:02d}" if colon else f"{text} {sign}{hours:02d}{minutes:02d}"


def parse_time(text: str, *, now: float | None = None, ahead: bool = False) -> float:
    """A point in time, in Unix seconds.

    text: Unix seconds with or without a fraction; RFC 3339 in whole or in part (2026-01-02, 2026-01-02T03:04,
    ...05.5 or ...05,5, ...Z, ...+01:00; local time where no zone is given); or a Go duration back from now (10m).
    ahead: a duration is counted from now on, as in `logs --until 10s`.
    Raises: UsageError.
    """
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text)
    m = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)([.,]\d+)?)?)?)?(Z|[+-]\d\d:\d\d)?", text)
    if m is None:
        try:
            return (time.time() if now is None else now) + parse_duration(text) * (1 if ahead else -1)
        except UsageError:
            raise UsageError(f'parse time "{text}": neither a time nor a duration',
                             hint="Write 2026-01-31T12:00:00, seconds since 1970, or a duration back like 10m.") from None
    fields = tuple(int(g or 0) for g in m.groups()[:6])
    zone = m.group(8)
    fraction = float((m.group(7) or "0").replace(",", "."))
    if zone is None:
        return time.mktime((*fields, 0, 0, -1)) + fraction  # type: ignore[arg-type]
    import calendar

    offset = 0 if zone == "Z" else (int(zone[1:3]) * 60 + int(zone[4:6])) * (-60 if zone[0] == "-" else 60)
    return calendar.timegm((*fields, 0, 0, 0)) - offset + fraction
