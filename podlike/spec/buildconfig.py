"""The config of an image while it is built: what the instructions that only describe it do to it.

Source: docs.docker.com/reference/dockerfile; Docker's image specification 1.2 for the fields.
"""

import json
import posixpath
import re

from podlike.errors import UsageError
from podlike.spec import shellwords
from podlike.spec.changes import apply_changes
from podlike.spec.durations import parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from podlike.spec.dockerfile import Instruction

    Config = dict[str, Any]

DEFAULT_SHELL: "Final" = ("/bin/sh", "-c")
# Instructions in which variables are replaced before anything else is done with them.
EXPANDED: "Final" = frozenset(("ADD", "COPY", "ENV", "EXPOSE", "FROM", "LABEL", "MAINTAINER", "STOPSIGNAL", "USER", "VOLUME",
                               "WORKDIR", "ARG"))
_MAX_RETRIES: "Final" = 1 << 31


class BuildConfig:
    """run: the "config" object of the document. author: of MAINTAINER. triggers: ONBUILD of the base, not yet run."""

    def __init__(self, run: "Config") -> None:
        self.run: "Config" = json.loads(json.dumps(run))
        self.author = ""
        self.triggers: list[str] = [t for t in self.run.pop("OnBuild", None) or [] if isinstance(t, str)]
        self._own_command = False  # CMD was set in this stage, so that ENTRYPOINT must not take it away

    @property
    def env(self) -> "dict[str, str]":
        return dict(item.partition("=")[::2] for item in self.run.get("Env") or [] if isinstance(item, str))

    @property
    def shell(self) -> "tuple[str, ...]":
        return tuple(self.run.get("Shell") or DEFAULT_SHELL)

    @property
    def workdir(self) -> str:
        return str(self.run.get("WorkingDir") or "/")

    @property
    def user(self) -> str:
        return str(self.run.get("User") or "")

    def set_env(self, name: str, value: str) -> None:
        kept = [item for item in self.run.get("Env") or [] if item.partition("=")[0] != name]
        before = [item.partition("=")[0] for item in self.run.get("Env") or []]
        if name in before:
            kept.insert(before.index(name), f"{name}={value}")
        else:
            kept.append(f"{name}={value}")
        self.run["Env"] = kept

    def apply(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        """Do what the instruction says; returns it as the history shows it. Raises: UsageError without a place."""
        act = _ACTS[one.name]
        return act(self, one, variables, escape)

    # --- one instruction each ---

    def _env(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        said = []
        # All of one ENV see the variables as they were before it.
        for key, raw in shellwords.pairs(one.text, escape=escape):
            name, value = shellwords.expand(key, variables, escape=escape), shellwords.expand(raw, variables, escape=escape)
            if not name:
                raise UsageError("ENV names cannot be blank")
            self.set_env(name, value)
            said.append(f"{name}={_quoted(value)}")
        return f"ENV {' '.join(said)}"

    def _label(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        labels, said = dict(self.run.get("Labels") or {}), []
        for key, raw in shellwords.pairs(one.text, escape=escape):
            name, value = shellwords.expand(key, variables, escape=escape), shellwords.expand(raw, variables, escape=escape)
            if not name:
                raise UsageError("LABEL names cannot be blank")
            labels[name] = value
            said.append(f"{_quoted(name)}={_quoted(value)}")
        self.run["Labels"] = labels
        return f"LABEL {' '.join(said)}"

    def _maintainer(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        self.author = shellwords.expand(one.text, variables, escape=escape)
        return f"MAINTAINER {self.author}"

    def _user(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        user = shellwords.expand(one.text, variables, escape=escape)
        if not user:
            raise UsageError("USER needs a name or a number")
        self.run["User"] = user
        return f"USER {user}"

    def _workdir(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        path = shellwords.expand(one.text, variables, escape=escape)
        if not path:
            raise UsageError("WORKDIR needs a path")
        self.run["WorkingDir"] = posixpath.normpath(posixpath.join(self.workdir, path))
        return f"WORKDIR {path}"

    def _words(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        """EXPOSE, VOLUME."""
        if one.words is not None:
            words = [shellwords.expand(word, variables, escape=escape) for word in one.words]
        else:
            words = shellwords.expand_words(one.text, variables, escape=escape)
        if not all(words):
            raise UsageError(f"{one.name} needs an argument")
        value = json.dumps(words) if one.name == "VOLUME" else " ".join(words)
        apply_changes(self.run, [f"{one.name} {value}"])
        return f"{one.name} {value if one.words is not None or one.name == 'EXPOSE' else ' '.join(words)}"

    def _stopsignal(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        from podlike.spec import signals

        name = shellwords.expand(one.text, variables, escape=escape)
        signals.parse(name)
        self.run["StopSignal"] = name
        return f"STOPSIGNAL {name}"

    def _cmd(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        self.run["Cmd"] = self._command(one)
        self._own_command = True
        return str(one)

    def _entrypoint(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        self.run["Entrypoint"] = self._command(one)
        if not self._own_command:
            self.run.pop("Cmd", None)  # what the base's own entrypoint was given
        return str(one)

    def _command(self, one: "Instruction") -> list[str]:
        return list(one.words) if one.words is not None else [*self.shell, one.text]

    def _shell(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        self.run["Shell"] = list(one.words or ())
        return str(one)

    def _onbuild(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        self.run["OnBuild"] = [*(self.run.get("OnBuild") or []), one.text]
        return str(one)

    def _healthcheck(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        self.run["Healthcheck"] = _health(one)
        return str(one)

    def _nothing(self, one: "Instruction", variables: "Mapping[str, str]", escape: str) -> str:
        return str(one)


_ACTS: "Final" = {
    "ENV": BuildConfig._env, "LABEL": BuildConfig._label, "MAINTAINER": BuildConfig._maintainer, "USER": BuildConfig._user,
    "WORKDIR": BuildConfig._workdir, "EXPOSE": BuildConfig._words, "VOLUME": BuildConfig._words,
    "STOPSIGNAL": BuildConfig._stopsignal, "CMD": BuildConfig._cmd, "ENTRYPOINT": BuildConfig._entrypoint,
    "SHELL": BuildConfig._shell, "ONBUILD": BuildConfig._onbuild, "HEALTHCHECK": BuildConfig._healthcheck,
    "ARG": BuildConfig._nothing}


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if re.search(r"[\s\"'\\$]", text) or not text else text


def _health(one: "Instruction") -> "dict[str, Any]":
    """The document that images have: durations in ns."""
    kind, _, rest = one.text.partition(" ")
    rest = rest.strip()
    if kind.upper() == "NONE":
        if rest or one.flags:
            raise UsageError("HEALTHCHECK NONE takes no arguments")
        return {"Test": ["NONE"]}
    if kind.upper() != "CMD" or not rest:
        raise UsageError(f"unknown type of HEALTHCHECK: {kind[:40]}", hint="Write HEALTHCHECK CMD command, or HEALTHCHECK NONE.")
    words = _json_words(rest)
    out: "dict[str, Any]" = {"Test": ["CMD", *words] if words is not None else ["CMD-SHELL", rest]}
    for flag, key in (("interval", "Interval"), ("timeout", "Timeout"), ("start-period", "StartPeriod"),
                      ("start-interval", "StartInterval")):
        if text := one.flag(flag):
            out[key] = _duration(flag, text)
    if text := one.flag("retries"):
        if not text.isdecimal() or not text.isascii() or int(text) > _MAX_RETRIES:
            raise UsageError(f"HEALTHCHECK --retries={text[:40]}: it must be a number of 0 or more")
        out["Retries"] = int(text)
    return out


def _duration(flag: str, text: str) -> int:
    nanoseconds = round(parse_duration(text) * 1e9)
    if 0 < nanoseconds < 1_000_000 or nanoseconds < 0:
        raise UsageError(f"HEALTHCHECK --{flag}={text[:40]}: it must be 1ms or more, or 0")
    return nanoseconds


def _json_words(text: str) -> "list[str] | None":
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) and all(isinstance(w, str) for w in found) else None
