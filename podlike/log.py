"""Messages to stderr in five levels, in the form that scripts know from logrus.

    time="2026-01-02T03:04:05+01:00" level=warning msg="text"
"""

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS = ("trace", "debug", "info", "warning", "error")
_threshold = LEVELS.index("warning")
_sink: "Callable[[str, str], None] | None" = None


def set_sink(sink: "Callable[[str, str], None]") -> None:
    """Give messages (level, text) to a function, instead of writing them."""
    global _sink
    _sink = sink


def set_level(name: str) -> bool:
    """Show messages of this level and above; "warn", "fatal" and "panic" are taken too. False: unknown."""
    global _threshold
    name = {"warn": "warning", "fatal": "error", "panic": "error"}.get(name.lower(), name.lower())
    if name not in LEVELS:
        return False
    _threshold = LEVELS.index(name)
    return True


def enabled(level: str) -> bool:
    return LEVELS.index(level) >= _threshold


def _emit(level: str, text: str) -> None:
    if LEVELS.index(level) < _threshold:
        return
    if _sink is not None:
        _sink(level, text)
        return
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    sys.stderr.write(f'time="{now[:-2]}:{now[-2:]}" level={level} msg="{quoted}"\n')


def trace(text: str) -> None:
    _emit("trace", text)


def debug(text: str) -> None:
    _emit("debug", text)


def info(text: str) -> None:
    _emit("info", text)


def warning(text: str) -> None:
    _emit("warning", text)


def error(text: str) -> None:
    _emit("error", text)
