"""OCI hook files: which programs of the host are told about a container. Source: oci-hooks(5), version 1.0.0."""

import re

from podlike.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, NamedTuple
else:
    from podlike.spec.record import NamedTuple

STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


class HookFile(NamedTuple):
    """hook: an entry of config.json's hooks. The rest says for which containers: None is not asked about."""

    hook: "dict[str, Any]"
    stages: "tuple[str, ...]"
    always: bool | None
    annotations: "dict[str, str]"
    commands: "tuple[str, ...]"
    bind_mounts: bool | None

    def wants(self, *, command: str, annotations: "Mapping[str, str]", bind_mounts: bool) -> bool:
        """Whether all conditions that the file has are met; one without conditions is for nobody."""
        asked = [answer for answer in (
            self.always,
            None if self.bind_mounts is None else bind_mounts and self.bind_mounts,
            any(re.search(p, command) for p in self.commands) if self.commands else None,
            all(_annotated(k, v, annotations) for k, v in self.annotations.items()) if self.annotations else None,
        ) if answer is not None]
        return bool(asked) and all(asked)


def _annotated(key: str, value: str, annotations: "Mapping[str, str]") -> bool:
    return any(re.search(key, k) and re.search(value, v) for k, v in annotations.items())


def parse_hook_file(doc: object, where: str) -> HookFile:
    """One file's document. where: its path, for errors. Raises: ConfigError."""
    top = _table(doc, where, "")
    if top.get("version") != "1.0.0":
        raise ConfigError(f"read OCI hook {where}: version: {top.get('version')!r} is not 1.0.0",
                          hint="Write the file as oci-hooks(5) says.")
    hook, when = _table(top.get("hook"), where, "hook"), _table(top.get("when", {}), where, "when")
    if not isinstance(hook.get("path"), str) or not hook["path"].startswith("/"):
        raise _wrong(where, "hook.path", "an absolute path")
    stages = _strings(top.get("stages"), where, "stages")
    for stage in stages:
        if stage not in STAGES:
            raise ConfigError(f"read OCI hook {where}: stages: unknown stage {stage!r}", hint=f"Use {', '.join(STAGES)}.")
    annotations = _table(when.get("annotations", {}), where, "when.annotations")
    commands = _strings(when.get("commands", []), where, "when.commands")
    for pattern in (*commands, *annotations, *annotations.values()):
        _check_pattern(pattern, where)
    return HookFile({k: hook[k] for k in ("path", "args", "env", "timeout") if k in hook}, stages,
                    _flag(when, "always", where), annotations, commands, _flag(when, "hasBindMounts", where))


def hooks_for(files: "Iterable[HookFile]", *, command: str, annotations: "Mapping[str, str]",
              bind_mounts: bool) -> "dict[str, list[dict[str, Any]]]":
    """config.json's hooks: by stage, in the order of the files; {} when there are none."""
    out: "dict[str, list[dict[str, Any]]]" = {}
    for file in files:
        if file.wants(command=command, annotations=annotations, bind_mounts=bind_mounts):
            for stage in file.stages:
                out.setdefault(stage, []).append(file.hook)
    return out


def _check_pattern(pattern: object, where: str) -> None:
    if not isinstance(pattern, str):
        raise _wrong(where, "when", "regular expressions")
    try:
        re.compile(pattern)
    except re.error as e:
        raise ConfigError(f"read OCI hook {where}: when: {pattern!r}: {e}", hint="Write a regular expression.") from None


def _table(value: object, where: str, key: str) -> "dict[str, Any]":
    if not isinstance(value, dict):
        raise _wrong(where, key or "document", "an object")
    return value


def _strings(value: object, where: str, key: str) -> "tuple[str, ...]":
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(where, key, "a list of strings")
    return tuple(value)


def _flag(when: "dict[str, Any]", key: str, where: str) -> bool | None:
    value = when.get(key)
    if value is not None and not isinstance(value, bool):
        raise _wrong(where, f"when.{key}", "true or false")
    return value


def _wrong(where: str, key: str, wanted: str) -> ConfigError:
    return ConfigError(f"read OCI hook {where}: {key}: expected {wanted}", hint="Write the file as oci-hooks(5) says.")
