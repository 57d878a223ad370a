"""Sizes as people write and read them."""

import re

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_FACTORS: "Final" = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_DECIMAL: "Final" = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY: "Final" = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def parse_size(text: str) -> int:
    """Bytes from "512", "64m", "1.5g", "2GiB", "100MB": every unit is a power of 1024, as for docker and podman.

    Raises: UsageError.
    """
    value, unit = _split(text)
    factor = _FACTORS[unit]
    return int(value) * factor if "." not in value else int(float(value) * factor)


def parse_decimal_size(text: str) -> int:
    """Bytes from "10m" = 10,000,000: units are powers of 1000, which is how sizes of logs are meant.

    Raises: UsageError.
    """
    value, unit = _split(text)
    factor = int(1000 ** "bkmgtp".index(unit or "b"))
    return int(value) * factor if "." not in value else round(float(value) * factor)


def _split(text: str) -> tuple[str, str]:
    """(digits, unit in lower case or "")."""
    m = re.fullmatch(r"(\d+(?:\.\d+)?) ?(?:([bkmgtp])(?:i?b)?)?", text, re.I)
    if m is None:
        raise UsageError(f"invalid size: '{text}'", hint="Write a number with a unit: b, k, m or g, for example 512m.")
    return m.group(1), (m.group(2) or "").lower()


def human_size(count: float, *, precision: int = 4, blank: str = "") -> str:
    """1234567 -> "1.235MB": powers of 1000, that many digits."""
    return _scaled(count, 1000.0, _DECIMAL, precision, blank)


def human_bytes(count: float, *, precision: int = 4, blank: str = "") -> str:
    """1536 -> "1.5KiB": powers of 1024."""
    return _scaled(count, 1024.0, _BINARY, precision, blank)


def _scaled(count: float, base: float, units: tuple[str, ...], precision: int, blank: str) -> str:
    at = 0
    while count >= base and at < len(units) - 1:
        count /= base
        at += 1
    return f"{count:.{precision}g}{blank}{units[at]}"
