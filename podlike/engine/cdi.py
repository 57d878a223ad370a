"""--device VENDOR/CLASS=NAME: the files that describe such devices, and what they put into config.json.

The directories are searched in their order; of two devices of the same name that in the later directory counts, and two in
one directory are an error, as the CDI specification has it.
"""

import os

from podlike.engine.core import Engine
from podlike.errors import ConfigError, UsageError
from podlike.files import read_text
from podlike.runtime import hostfacts
from podlike.spec import cdi
from podlike.spec.container import ContainerSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_ANEW: "Final" = "Correct the file, or make it anew with its vendor's tool."
_LIMIT: "Final" = 16 << 20  # bytes of one file; those of vendors' tools list every node of a machine's devices


def plain_devices(spec: ContainerSpec) -> list[str]:
    """The --device values that are paths."""
    return [d for d in spec.devices if not cdi.is_qualified(d)]


def check(engine: Engine, spec: ContainerSpec) -> None:
    """Raises: UsageError for a device that no file describes, ConfigError."""
    _edits(engine, spec)


def inject(engine: Engine, spec: ContainerSpec, config: "dict[str, Any]", *, rootless: bool) -> None:
    """Lay what the devices need over config.json. Raises: UsageError, ConfigError."""
    for edits in _edits(engine, spec):
        _set_env(config["process"]["env"], edits.env)
        for node in edits.nodes:
            _add_node(config, node, rootless=rootless)
        for mount in edits.mounts:
            config["mounts"].append({"destination": mount["containerPath"], "type": mount.get("type") or "bind",
                                     "source": mount["hostPath"],
                                     "options": mount.get("options") or ["ro", "nosuid", "nodev", "rbind", "rprivate"]})
        for hook in edits.hooks:
            entry = {key: hook[key] for key in ("path", "args", "env", "timeout") if hook.get(key)}
            config.setdefault("hooks", {}).setdefault(hook["hookName"], []).append(entry)
        user = config["process"]["user"]
        groups = {*user.get("additionalGids", ()), *edits.gids}
        if groups:
            user["additionalGids"] = sorted(groups)


def _edits(engine: Engine, spec: ContainerSpec) -> "list[cdi.Edits]":
    names = [d for d in spec.devices if cdi.is_qualified(d)]
    if not names:
        return []
    directories = spec.cdi_dirs or engine.config.engine.cdi_spec_dirs
    known = _read(directories)
    missing = [name for name in names if name not in known]
    if missing:
        raise UsageError(f"setting up CDI devices: unresolvable CDI devices {', '.join(missing)}",
                         hint=f"No file in {', '.join(directories)} describes it; make one with the vendor's tool, or give "
                              "--cdi-spec-dir.")
    out: "list[cdi.Edits]" = []
    for name in dict.fromkeys(names):
        kind, edits = known[name]
        if kind.common not in out:
            out.append(kind.common)
        out.append(edits)
    return out


def _read(directories: "Any") -> "dict[str, tuple[cdi.Kind, cdi.Edits]]":
    known: "dict[str, tuple[cdi.Kind, cdi.Edits]]" = {}
    for directory in directories:
        here: "dict[str, str]" = {}
        try:
            files = sorted(os.listdir(directory))
        except OSError:
            continue
        for name in files:
            if not name.endswith((".json", ".yaml", ".yml")):
                continue
            path = f"{directory}/{name}"
            kind = cdi.parse(_document(path), path)
            for device, edits in kind.devices.items():
                full = f"{kind.kind}={device}"
                if full in here:
                    raise ConfigError(f"read {path}: device {full} is in {here[full]} too", hint="Remove one of the two files.")
                here[full] = path
                known[full] = (kind, edits)
    return known


def _document(path: str) -> object:
    try:
        text = read_text(path, limit=_LIMIT)
    except OSError as e:
        raise ConfigError(f"read {path}: {(e.strerror or str(e)).lower()}", hint="Check the permissions of this file.") from e
    if path.endswith(".json"):
        import json

        try:
            return json.loads(text)
        except ValueError as e:
            raise ConfigError(f"read {path}: {e}", hint=_ANEW) from e
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise ConfigError(f"read {path}: {e}", hint=_ANEW) from e


def _set_env(env: "list[str]", new: "list[str]") -> None:
    for text in new:
        name = text.partition("=")[0]
        env[:] = [old for old in env if old.partition("=")[0] != name]
        env.append(text)


def _add_node(config: "dict[str, Any]", node: "dict[str, Any]", *, rootless: bool) -> None:
    source = node.get("hostPath") or node["path"]
    try:
        found = hostfacts.device_node(source, node["path"], node.get("permissions") or "rwm")
    except (OSError, ValueError) as e:
        words = e.strerror.lower() if isinstance(e, OSError) and e.strerror else str(e)
        raise UsageError(f"stat {source}: {words}", hint="The file that describes the device is out of date.") from e
    if rootless:
        config["mounts"].append(found.bind_mount())
        return
    found = found._replace(mode=node.get("fileMode") or found.mode, uid=node.get("uid") or found.uid,
                           gid=node.get("gid") or found.gid)
    linux = config["linux"]
    linux["devices"] = [d for d in linux.get("devices", ()) if d["path"] != found.target] + [found.node()]
    linux["resources"].setdefault("devices", []).append(found.cgroup_rule())
