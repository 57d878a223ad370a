"""Dockerfile instructions as `import --change` and `commit --change` take them, applied to an image's config.

Source: podman-import(1) and docker-image-import(1). An instruction is `CMD value` or `CMD=value`.
"""

import json
import posixpath

from podlike.errors import UsageError
from podlike.spec import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Final

    Config = dict[str, Any]

_MAX_PORT: "Final" = 65535
_PROTOCOLS: "Final" = ("tcp", "udp", "sctp")


def apply_changes(config: "Config", changes: "Iterable[str]") -> None:
    """Change the "config" object of an image's config document, one instruction after the other. Raises: UsageError."""
    for change in changes:
        head, blank, value = change.lstrip().partition(" ")
        if not blank or "=" in head:
            head, equals, value = change.lstrip().partition("=")
            if not equals:
                raise _invalid(change, "must be formatted as KEY VALUE")
        act = _INSTRUCTIONS.get(head.strip().upper())
        if act is None:
            raise _invalid(change, f"invalid instruction {head.strip().upper()[:40]}",
                           hint=f"Use one of {', '.join(sorted(_INSTRUCTIONS))}.")
        act(config, value.strip(), change)


def _invalid(change: str, why: str, hint: str | None = None) -> UsageError:
    return UsageError(f"invalid change {json.dumps(change[:200], ensure_ascii=False)} - {why}", hint=hint)


def _user(config: "Config", value: str, change: str) -> None:
    if not value:
        raise _invalid(change, "must provide a value to USER")
    config["User"] = value


def _expose(config: "Config", value: str, change: str) -> None:
    if not value:
        raise _invalid(change, "must provide at least one argument to EXPOSE")
    ports = config.setdefault("ExposedPorts", {})
    for word in value.split():
        numbers, slash, protocol = word.partition("/")
        first, dash, last = numbers.partition("-")
        ends = [first, last] if dash else [first, first]
        if not all(e.isascii() and e.isdigit() and 0 < int(e[:9]) <= _MAX_PORT for e in ends) or int(ends[0]) > int(ends[1]):
            raise _invalid(change, "EXPOSE port must be a valid port number")
        protocol = protocol.lower() if slash else "tcp"
        if protocol not in _PROTOCOLS:
            raise _invalid(change, "EXPOSE protocol must be TCP, UDP or SCTP")
        ports.update({f"{n}/{protocol}": {} for n in range(int(ends[0]), int(ends[1]) + 1)})


def _env(config: "Config", value: str, change: str) -> None:
    known = [e for e in config.get("Env") or [] if isinstance(e, str)]
    for key, text in _pairs(value):
        if not key:
            raise _invalid(change, "ENV must have at least one argument")
        known = [e for e in known if e.partition("=")[0] != key]
        known.append(f"{key}={text}")
    config["Env"] = known


def _label(config: "Config", value: str, change: str) -> None:
    if "=" not in value:
        raise _invalid(change, "LABEL must be formatted key=value")
    labels = config["Labels"] = dict(config.get("Labels") or {})
    for key, text in _pairs(value):
        if not key:
            raise _invalid(change, "LABEL must have a non-empty key")
        labels[key] = text


def _pairs(value: str) -> "list[tuple[str, str]]":
    """KEY=VALUE ... with quotes; KEY VALUE; and for podman's sake KEY=WORDS, where a word is no pair."""
    import shlex

    try:
        words = shlex.split(value)
    except ValueError:
        words = []
    if words and all("=" in word for word in words):
        return [(key, text) for key, _, text in (word.partition("=") for word in words)]
    key, equals, text = value.partition("=")
    if not equals or " " in key:
        key, _, text = value.partition(" ")
    return [(_unquoted(key), _unquoted(text.strip()))]


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _words(value: str) -> "list[str] | None":
    """A JSON list of strings, or None for what is none."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) and all(isinstance(w, str) for w in found) else None


def _entrypoint(config: "Config", value: str, change: str) -> None:
    words = _words(value)
    config["Entrypoint"] = words if words is not None else ["/bin/sh", "-c", value] if value else []


def _cmd(config: "Config", value: str, change: str) -> None:
    words = _words(value)
    config["Cmd"] = words if words is not None else ["/bin/sh", "-c", *([value] if value else [])]


def _volume(config: "Config", value: str, change: str) -> None:
    words = _words(value)
    paths = words if words is not None else value.split(" ")
    if not paths:
        raise _invalid(change, "must provide at least one argument to VOLUME")
    if not all(paths):
        raise _invalid(change, "VOLUME paths must not be empty")
    config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in paths}}


def _workdir(config: "Config", value: str, change: str) -> None:
    if not value:
        raise _invalid(change, "must provide a non-empty WORKDIR")
    config["WorkingDir"] = posixpath.normpath(posixpath.join(config.get("WorkingDir") or "", value))


def _stopsignal(config: "Config", value: str, change: str) -> None:
    try:
        config["StopSignal"] = str(signals.parse(value))
    except UsageError as e:
        raise _invalid(change, f"STOPSIGNAL must be given a valid signal: {e.message}") from e


def _onbuild(config: "Config", value: str, change: str) -> None:
    if not value:
        raise _invalid(change, "ONBUILD must be given an argument")
    config["OnBuild"] = [*(config.get("OnBuild") or []), value]


_INSTRUCTIONS: "Final[dict[str, Callable[[Config, str, str], None]]]" = {
    "CMD": _cmd, "ENTRYPOINT": _entrypoint, "ENV": _env, "EXPOSE": _expose, "LABEL": _label, "ONBUILD": _onbuild,
    "STOPSIGNAL": _stopsignal, "USER": _user, "VOLUME": _volume, "WORKDIR": _workdir}
