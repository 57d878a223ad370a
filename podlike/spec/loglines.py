"""The two forms of a log in a file, taken apart.

k8s-file: `TIME STREAM TAG TEXT`; TAG F ends a line, P says that more of it follows. Source: the CRI logging format.
json-file: {"log":"TEXT\\n","stream":"stdout","attrs":{...},"time":"TIME"}; a text without newline is a piece. Source: docker.
Which form a record has, its first byte tells.
"""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class LogLine:
    """One piece of output. time: text as logged; stream: stdout or stderr; partial: no newline follows."""

    __slots__ = ("attrs", "partial", "stream", "text", "time")

    def __init__(self, time: str, stream: str, partial: bool, text: bytes, attrs: "dict[str, str] | None" = None) -> None:
        self.time = time
        self.stream = stream
        self.partial = partial
        self.text = text
        self.attrs = attrs


def parse(record: bytes) -> LogLine | None:
    """A record without its newline; None if it is none."""
    if record[:1] == b"{":
        return _parse_json(record)
    parts = record.split(b" ", 3)
    if len(parts) < 3 or parts[2] not in (b"F", b"P") or parts[1] not in (b"stdout", b"stderr"):
        return None
    return LogLine(parts[0].decode(errors="replace"), parts[1].decode(), parts[2] == b"P", parts[3] if len(parts) == 4 else b"")


def _parse_json(record: bytes) -> LogLine | None:
    import json

    try:
        doc = json.loads(record)
        text, stream, attrs = doc["log"], doc["stream"], doc.get("attrs")
        if stream not in ("stdout", "stderr"):
            return None
        data = text.encode(errors="replace")
        whole = data.endswith(b"\n")
        return LogLine(str(doc["time"]), stream, not whole, data[:-1] if whole else data, attrs)
    except (ValueError, LookupError, AttributeError):
        return None


_K8S_KIND: "Final" = re.compile(rb"[^ ]+ (stdout|stderr) ([FP])(?: |$)")
# What follows the text. A quote in it would be escaped, so the last place that looks like this is it.
_JSON_KIND: "Final" = re.compile(rb'","stream":"(stdout|stderr)",(?:"attrs":\{.*\},)?"time":"[^"]*"\}$')


def kind_of(record: bytes) -> tuple[str, bool] | None:
    """(stream, whether it ends a line) without looking at the rest; None if it is no record."""
    if record[:1] != b"{":
        m = _K8S_KIND.match(record)
        return (m.group(1).decode(), m.group(2) == b"F") if m else None
    m = _JSON_KIND.search(record)
    if m is None:
        line = _parse_json(record)  # written by somebody else, keys in another order
        return (line.stream, not line.partial) if line else None
    text = record[:m.start()]
    return m.group(1).decode(), text.endswith(b"\\n") and _backslashes(text[:-1]) % 2 == 1


def _backslashes(text: bytes) -> int:
    return len(text) - len(text.rstrip(b"\\"))


_K8S_PLAIN: "Final" = re.compile(rb"^[^ \n]+ stdout F ", re.M)
_JSON_PLAIN: "Final" = re.compile(rb'^\{"log":"([^"\\\n]*)\\n","stream":"stdout","time":"[^"\n]*"\}$', re.M)


def plain(block: bytes) -> bytes | None:
    """The output behind a block of whole records, if all of them are whole lines of stdout; None: look at each.

    Ten times as fast as taking each line apart: most logs are nothing else.
    """
    text, count = _JSON_PLAIN.subn(rb"\1", block) if block[:1] == b"{" else _K8S_PLAIN.subn(b"", block)
    return text if count == block.count(b"\n") else None


def unix_time(text: str) -> float:
    """Seconds since 1970 of a logged time, nanoseconds and zone kept. Raises: ValueError."""
    import datetime

    head, dot, rest = text.partition(".")
    if not dot:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    digits = len(rest) - len(rest.lstrip("0123456789"))
    fraction, zone = rest[:digits], rest[digits:]
    whole = datetime.datetime.fromisoformat(head + zone.replace("Z", "+00:00"))
    return whole.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)
