"""A Dockerfile (Containerfile) as a tree: stages and their instructions, nothing replaced and nothing done yet.

Source: docs.docker.com/reference/dockerfile. Each mistake is told as FILE:LINE.
"""

import json
import re

from podlike.errors import UsageError
from podlike.spec import shellwords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

# The flags that each instruction takes; RUN's --mount and COPY's --exclude may be repeated.
FLAGS: "Final[dict[str, tuple[str, ...]]]" = {
    "ADD": ("chown", "chmod", "checksum", "keep-git-dir", "link", "exclude", "unpack"),
    "ARG": (), "CMD": (), "ENTRYPOINT": (), "ENV": (), "EXPOSE": (), "LABEL": (), "MAINTAINER": (), "ONBUILD": (),
    "COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
    "FROM": ("platform",),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "start-interval", "retries"),
    "RUN": ("mount", "network", "security", "device"),
    "SHELL": (), "STOPSIGNAL": (), "USER": (), "VOLUME": (), "WORKDIR": (),
}
_BARE_FLAGS: "Final" = ("link", "parents", "keep-git-dir", "unpack")  # --link means --link=true
_REPEATABLE: "Final" = ("mount", "exclude", "device")
_WITH_HEREDOCS: "Final" = ("RUN", "COPY", "ADD")
_NOT_IN_TRIGGERS: "Final" = ("ONBUILD", "FROM", "MAINTAINER")
_HEREDOC: "Final" = re.compile(r"\d*<<(-?)(['\"]?)([^\s'\"<]+)\2")
_DIRECTIVE: "Final" = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.*?)\s*$")
_DIRECTIVES: "Final" = ("syntax", "escape", "check")
_STAGE_NAME: "Final" = re.compile(r"[a-z][a-z0-9_.-]*")
_MAX_BYTES: "Final" = 16 << 20
_MAX_STAGES: "Final" = 1000


class Heredoc(NamedTuple):
    """name: of the delimiter. content: its lines, without the tabs where that was asked for. expand: variables in it are
    replaced (the delimiter was not quoted)."""

    name: str
    content: str
    expand: bool


class Instruction(NamedTuple):
    """line: where it begins. name: in capitals. flags: (name, value) as written, without the dashes. text: what follows,
    with continued lines joined. words: the JSON form, None where it is not that. heredocs: what followed it."""

    line: int
    name: str
    flags: "tuple[tuple[str, str], ...]"
    text: str
    words: "tuple[str, ...] | None"
    heredocs: "tuple[Heredoc, ...]"

    def flag(self, name: str) -> str:
        return next((value for key, value in self.flags if key == name), "")

    def repeated(self, name: str) -> list[str]:
        return [value for key, value in self.flags if key == name]

    def __str__(self) -> str:
        return " ".join([self.name, *(f"--{k}={v}" for k, v in self.flags), *([self.text] if self.text else [])])


class Stage(NamedTuple):
    """base: the image or stage, variables not replaced. name: lower case, "" without AS. platform: FROM's --platform."""

    line: int
    base: str
    name: str
    platform: str
    instructions: "tuple[Instruction, ...]"


class Dockerfile(NamedTuple):
    """path: for errors. escape: the escape character. arguments: the ARGs before the first FROM."""

    path: str
    escape: str
    arguments: "tuple[Instruction, ...]"
    stages: "tuple[Stage, ...]"

    def wrong(self, line: int, why: str, *, hint: str | None = None) -> UsageError:
        return UsageError(f"{self.path}:{line}: {why}", hint=hint)


def parse(text: str, path: str = "Dockerfile") -> Dockerfile:
    """Raises: UsageError with path and line."""
    return _Parser(text, path).dockerfile()


def parse_trigger(text: str, path: str, line: int = 0) -> Instruction:
    """One instruction of an image's ONBUILD. Raises: UsageError."""
    return _Parser(text, path).trigger(line)


class _Parser:
    def __init__(self, text: str, path: str) -> None:
        self.path, self.escape = path, "\\"
        if len(text) > _MAX_BYTES:
            raise UsageError(f"read {path}: it is larger than {_MAX_BYTES >> 20} MiB")
        if "\0" in text:
            raise UsageError(f"read {path}: it is no text: there is a zero byte in it")
        self.lines = text.removeprefix("\ufeff").splitlines()
        self.at = 0  # index of the line to be read next

    def wrong(self, line: int, why: str, *, hint: str | None = None) -> UsageError:
        return UsageError(f"{self.path}:{line}: {why}", hint=hint)

    def dockerfile(self) -> Dockerfile:
        self._directives()
        arguments: list[Instruction] = []
        stages: list[Stage] = []
        for one in self._instructions():
            if one.name == "FROM":
                stages.append(self._stage(one, stages))
            elif stages:
                last = stages[-1]
                stages[-1] = last._replace(instructions=(*last.instructions, one))
            elif one.name == "ARG":
                arguments.append(one)
            else:
                raise self.wrong(one.line, f"{one.name} stands before the first FROM",
                                 hint="Begin with FROM IMAGE; only ARG may precede it.")
        if not stages:
            raise self.wrong(max(1, len(self.lines)), "there is no FROM",
                             hint="Begin with FROM IMAGE, or FROM scratch for an empty one.")
        return Dockerfile(self.path, self.escape, tuple(arguments), tuple(stages))

    def trigger(self, line: int) -> Instruction:
        found = list(self._instructions())
        if len(found) != 1 or found[0].name in _NOT_IN_TRIGGERS:
            raise self.wrong(line, f"ONBUILD {self.lines[0][:60] if self.lines else ''}: this cannot be a trigger")
        return found[0]._replace(line=line)

    # --- lines ---

    def _directives(self) -> None:
        """They stand before all else, and what is not known ends them."""
        seen: set[str] = set()
        for number, line in enumerate(self.lines, 1):
            found = _DIRECTIVE.match(line.strip())
            if found is None or found.group(1).lower() not in _DIRECTIVES:
                return
            name, value = found.group(1).lower(), found.group(2)
            if name in seen:
                raise self.wrong(number, f"{name} is set twice", hint="Keep one of the lines.")
            seen.add(name)
            if name == "escape":
                if value not in ("\\", "`"):
                    raise self.wrong(number, f"escape={value}: it must be \\ or `")
                self.escape = value
            self.at = number

    def _instructions(self) -> "Iterator[Instruction]":
        while True:
            found = self._logical_line()
            if found is None:
                return
            if found[1].strip():  # nothing but continuations
                yield self._instruction(*found)

    def _logical_line(self) -> "tuple[int, str] | None":
        """(number of its first line, the line with its continuations). Comments and empty lines in between go."""
        parts: list[str] = []
        begin = 0
        while self.at < len(self.lines):
            raw = self.lines[self.at]
            self.at += 1
            stripped = raw.strip()
            if not stripped or stripped.startswith("#"):
                continue
            begin = begin or self.at
            line = raw if parts else raw.lstrip()
            body = line.rstrip()
            if not body.endswith(self.escape):
                return begin, "".join([*parts, line]).rstrip()
            parts.append(body[:-1])
        return (begin, "".join(parts).rstrip()) if parts else None

    # --- one instruction ---

    def _instruction(self, line: int, text: str) -> Instruction:
        word = text.split(None, 1)[0]
        name, rest = word.upper(), text[len(word):].strip()
        if name not in FLAGS:
            raise self._unknown(line, word, FLAGS, "instruction")
        heredocs = self._heredocs(line, rest) if name in _WITH_HEREDOCS else ()
        flags, rest = self._flags(line, name, rest)
        if not rest:
            raise self.wrong(line, f"{name} needs an argument")
        one = Instruction(line, name, flags, rest, None if heredocs else self._json(rest), heredocs)
        self._check(one)
        return one

    def _check(self, one: Instruction) -> None:
        if one.name == "SHELL" and not one.words:
            raise self.wrong(one.line, "SHELL needs the JSON form", hint='Write SHELL ["/bin/bash", "-c"].')
        if one.name == "MAINTAINER" and not one.text:
            raise self.wrong(one.line, "MAINTAINER needs a name")
        if one.name == "ONBUILD":
            inner = one.text.split(None, 1)[0].upper()
            if inner in _NOT_IN_TRIGGERS:
                raise self.wrong(one.line, f"{inner} cannot be a trigger of ONBUILD")
            if inner not in FLAGS:
                raise self._unknown(one.line, inner, FLAGS, "instruction")
        if one.name in ("COPY", "ADD") and one.words is None and not one.heredocs and len(self._split(one)) < 2:
            raise self.wrong(one.line, f"{one.name} needs at least a source and a destination")
        if one.name in ("ENV", "LABEL"):
            try:
                shellwords.pairs(one.text, escape=self.escape)
            except UsageError as e:
                raise self.wrong(one.line, f"{one.name}: {e.message}", hint=e.hint) from e

    def _split(self, one: Instruction) -> list[str]:
        try:
            return shellwords.split(one.text, escape=self.escape)
        except UsageError as e:
            raise self.wrong(one.line, f"{one.name}: {e.message}", hint=e.hint) from e

    def _unknown(self, line: int, word: str, known: "dict[str, tuple[str, ...]] | tuple[str, ...]", what: str) -> UsageError:
        from difflib import get_close_matches

        shown = word[:40]
        near = get_close_matches(shown.upper() if what == "instruction" else shown, known, 1, 0.5)
        dashes = "--" if what.startswith("flag") else ""
        return self.wrong(line, f"unknown {what} {dashes}{shown}", hint=f"Did you mean {dashes}{near[0]}?" if near else
                          f"Known are {', '.join(dashes + k for k in known)}." if known else None)

    def _flags(self, line: int, name: str, rest: str) -> "tuple[tuple[tuple[str, str], ...], str]":
        """The --flags in front of everything else, and what follows them."""
        flags: list[tuple[str, str]] = []
        while rest.startswith("--"):
            word = _first_word(rest, self.escape)
            rest = rest[len(word):].lstrip()
            if word == "--":
                break
            key, equals, value = word[2:].partition("=")
            if key not in FLAGS[name]:
                raise self._unknown(line, key, FLAGS[name], f"flag of {name}:")
            if not equals and key not in _BARE_FLAGS:
                raise self.wrong(line, f"{name} --{key} needs a value", hint=f"Write --{key}=VALUE.")
            if key not in _REPEATABLE and any(key == known for known, _ in flags):
                raise self.wrong(line, f"{name} --{key} is given twice")
            flags.append((key, value if equals else "true"))
        return tuple(flags), rest

    def _json(self, text: str) -> "tuple[str, ...] | None":
        if not text.startswith("["):
            return None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return tuple(found) if isinstance(found, list) and all(isinstance(w, str) for w in found) else None

    # --- here-documents ---

    def _heredocs(self, line: int, text: str) -> "tuple[Heredoc, ...]":
        """The lines after the instruction that belong to it."""
        return tuple(self._heredoc(line, dash == "-", not quote, name) for dash, quote, name in _openers(text, self.escape))

    def _heredoc(self, line: int, chomp: bool, expand: bool, name: str) -> Heredoc:
        lines: list[str] = []
        while self.at < len(self.lines):
            raw = self.lines[self.at]
            self.at += 1
            shown = raw.lstrip("\t") if chomp else raw
            if shown == name:
                return Heredoc(name, "".join(f"{one}\n" for one in lines), expand)
            lines.append(shown)
        raise self.wrong(line, f"no line {name} ends the here-document", hint=f"Add a line with {name} alone.")

    # --- stages ---

    def _stage(self, one: Instruction, before: "list[Stage]") -> Stage:
        words = one.text.split()
        name = ""
        if len(words) == 3 and words[1].upper() == "AS":
            name = words[2].lower()
            if not _STAGE_NAME.fullmatch(name):
                raise self.wrong(one.line, f"FROM ... AS {words[2][:60]}: a stage's name has letters, digits, '_', '.' and '-' "
                                 "and begins with a letter")
            if any(stage.name == name for stage in before):
                raise self.wrong(one.line, f"a stage named {name} is there already", hint="Give it another name.")
        elif len(words) != 1:
            raise self.wrong(one.line, "FROM takes an image, or an image AS name")
        if len(before) >= _MAX_STAGES:
            raise self.wrong(one.line, f"more than {_MAX_STAGES} stages")
        return Stage(one.line, words[0], name, one.flag("platform"), ())


def _first_word(text: str, escape: str) -> str:
    """Up to a blank that is neither quoted nor escaped."""
    at, quote = 0, ""
    while at < len(text):
        letter = text[at]
        if letter == escape and at + 1 < len(text):
            at += 1
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter.isspace():
            return text[:at]
        at += 1
    return text


def _openers(text: str, escape: str) -> "Iterator[tuple[str, str, str]]":
    """(dash, quote, name) of each word <<NAME; within a word, as in $((1<<2)), it means something else."""
    try:
        words = shellwords.split(text, escape=escape)
    except UsageError:
        return  # a shell's quotes are not ours: if they are wrong it will say so
    for word in words:
        found = _HEREDOC.fullmatch(word)
        if found is not None:
            yield found.group(1), found.group(2), found.group(3)
