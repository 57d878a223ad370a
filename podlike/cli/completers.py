"""Candidates for arguments, by the word in the usage line, which may offer several kinds: {CONTAINER|IMAGE}.

What is a path of this machine is the shell's to complete.
"""

import os

from podlike.cli.complete import NO_FILES, NO_SPACE, Line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

    Candidates = list[tuple[str, str]]
    Answer = tuple[Candidates, int]

# Commands that only make sense for containers in some states; all others offer every container.
_RUNNING: "Final" = ("running",)
_STATES: "Final[dict[str, tuple[str, ...]]]" = {
    "attach": _RUNNING, "checkpoint": _RUNNING, "exec": _RUNNING, "healthcheck run": _RUNNING, "init": ("created",),
    "kill": ("running", "paused", "restarting"), "pause": _RUNNING, "port": _RUNNING, "stats": _RUNNING,
    "start": ("created", "exited", "initialized"), "stop": ("running", "paused", "restarting"), "top": _RUNNING,
    "unpause": ("paused",)}
_PATHS: "Final" = ("PATH", "CONTEXT", "FILE", "COMMAND", "ARG...", "URI", "SOURCE", "DIRECTORY")


# --- arguments ---

def for_argument(line: Line) -> "Answer":
    """For the argument that is being typed."""
    command = line.command
    assert command is not None
    if line.level in ("cp", "container cp"):
        return _copy_ends(line)
    if line.level == "help":
        return _help_topics(line)
    if line.level == "completion":
        return ([(name, "") for name in ("bash", "fish", "zsh")] if not line.args else [], NO_FILES)
    if line.level in ("quadlet install", "quadlet check"):
        return [], 0  # files that may be anywhere
    word = _usage_word(command.usage, len(line.args))
    if not word:
        return [], NO_FILES
    if _is_path(word):
        return _inside(line) if "COMMAND" in word or "ARG" in word else ([], 0)
    out: "Candidates" = []
    directive = NO_FILES
    for kind, provide in KINDS.items():
        if kind in word:
            found, more = provide(line)
            out += found
            directive |= more
    return [pair for pair in out if pair[0] not in line.args], directive


def _usage_word(usage: str, number: int) -> str:
    """What the usage line says about argument number n; "" when there is none. The last one may be repeated."""
    words = usage.split()
    if number < len(words):
        return words[number]
    return words[-1] if words and "..." in words[-1] else ""


def _is_path(word: str) -> bool:
    return any(path in word for path in _PATHS) and not any(kind in word for kind in KINDS)


def _help_topics(line: Line) -> "Answer":
    from podlike.cli.commands import COMMANDS

    level = " ".join(line.args)
    rows = COMMANDS.get(level, {})
    return [(name, row[1]) for name, row in sorted(rows.items()) if name[0] != "."], NO_FILES


# --- names of what there is ---

def _rows(line: Line, sql: str) -> "list[tuple[Any, ...]]":
    """None where there is no store yet: asking makes none."""
    from podlike.errors import StoreError

    engine = line.session.engine
    if not os.path.exists(engine.roots.database):
        return []
    try:
        return engine.db.query(sql)
    except StoreError:
        return []  # a table that this version does not have


def containers(line: Line) -> "Answer":
    name = line.level.removeprefix("container ")
    states = _STATES.get(name, ())
    rows = _rows(line, "SELECT id, name, json_extract(spec, '$.image_name'), json_extract(state, '$.phase') FROM containers "
                       "ORDER BY created DESC")
    if states:
        rows = [row for row in rows if _fits(line, row[0], row[3], states)]
    out = [(row[1], row[2] or "") for row in rows]
    if len(line.last) > 1:
        out += [(row[0][:12], row[1]) for row in rows]
    return out, NO_FILES


def _fits(line: Line, cid: str, phase: str, states: "Sequence[str]") -> bool:
    """Whether it is in one of the states; only what may run has to be looked at."""
    if phase == "created" or (phase == "exited" and "restarting" not in states):
        return phase in states
    from podlike.engine.query import status

    container = line.session.engine.containers.get(cid)
    return container is not None and status(line.session.engine, container).state in states


def _images(line: Line) -> "Answer":
    """Full names; once something is typed also shorter spellings of them, and ids."""
    rows = _rows(line, "SELECT name, image FROM image_names ORDER BY name")
    out: "Candidates" = []
    for name, image in rows:
        out.append((name, image[:12]))
        if line.last:
            short = _shorter(name)
            out += [(text, image[:12]) for text in short if text.startswith(line.last)]
    if len(line.last) > 1:
        out += [(row[0][:12], "") for row in _rows(line, "SELECT id FROM images")]
    return list(dict.fromkeys(out)), NO_FILES


def _shorter(name: str) -> "list[str]":
    """docker.io/library/alpine:latest -> library/alpine:latest, alpine:latest, alpine."""
    parts = name.split("/")
    out = ["/".join(parts[n:]) for n in range(1, len(parts))]
    if parts[-1].endswith(":latest"):
        out.append(parts[-1].removesuffix(":latest"))
    return out


def from_table(table: str, column: str = "name") -> "Callable[[Line], Answer]":
    return lambda line: ([(row[0], "") for row in _rows(line, f"SELECT {column} FROM {table} ORDER BY {column}")], NO_FILES)


def networks(line: Line) -> "Answer":
    names = {"podman", "bridge", "host", "none"} if line.session.docker else {"podman"}
    found, _ = from_table("networks")(line)
    return sorted({*((name, "") for name in names), *found}), NO_FILES


def _registries(line: Line) -> "Answer":
    from podlike.registries_conf import load_registries_conf

    found = load_registries_conf().search_registries
    return [(name, "") for name in found], NO_FILES


def _quadlets(line: Line) -> "Answer":
    """Files of Quadlets, and applications."""
    from podlike.engine.quadlet.listing import Apps
    from podlike.engine.quadlet.search import find_directories
    from podlike.engine.quadlet.systemctl import caller

    names = {name for directory in find_directories(caller(), lambda text: None) for name in directory.quadlets()}
    apps = set(Apps().app_of.values()) if line.level == "quadlet rm" else set()
    return [(name, "") for name in sorted(names | apps)], NO_FILES


KINDS: "Final[dict[str, Callable[[Line], Answer]]]" = {
    "CONTAINER": containers, "POD": from_table("pods"), "IMAGE": _images, "NETWORK": networks,
    "VOLUME": from_table("volumes"), "REGISTRY": _registries, "SECRET": from_table("secrets"),
    "ARTIFACT": from_table("artifacts"), "LIST": _images, "MANIFEST": _images,
    "QUADLET": _quadlets}


# --- paths inside of images and containers ---

def _inside(line: Line) -> "Answer":
    """A program for `run IMAGE` and `exec CONTAINER`; nothing where the image or container is not there."""
    from podlike.cli.completepaths import of_container, of_image

    if not line.args:
        return [], 0
    subject = line.args[0]
    usage = line.command.usage if line.command is not None else ""
    paths = of_container(line, subject, line.last) if "CONTAINER" in usage else of_image(line, subject, line.last)
    return paths, NO_SPACE if paths else 0


def _copy_ends(line: Line) -> "Answer":
    from podlike.cli.completepaths import of_container

    if len(line.args) > 1:
        return [], NO_FILES
    name, colon, path = line.last.partition(":")
    if colon and "/" not in name:
        return [(f"{name}:{inside}", text) for inside, text in of_container(line, name, path)], NO_SPACE
    return [(f"{name}:", text) for name, text in containers(line)[0]], NO_SPACE
