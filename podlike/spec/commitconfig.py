"""The config of the image that `commit` makes of a container: its image's, what the container was asked to be, the changes.

Source: podman-commit(1), docker-container-commit(1), OCI image-spec 1.1 (config.md), Docker's image specification 1.2.
"""

import json

from podlike.errors import UsageError
from podlike.spec.changes import apply_changes
from podlike.spec.resolve import PATH, PROXY_VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final, NamedTuple

    from podlike.spec.container import ContainerSpec
else:
    from podlike.spec.record import NamedTuple

# What we put into every environment, and nobody asked for. Proxies may hold passwords.
_OURS: "Final" = frozenset(("container", "TERM", "HOME", "HOSTNAME", *PROXY_VARIABLES))
# Members of Docker's config that are always there, with their empty values, in its order.
_DOCKER: "Final[tuple[tuple[str, Any], ...]]" = (
    ("Hostname", ""), ("Domainname", ""), ("User", ""), ("AttachStdin", False), ("AttachStdout", False), ("AttachStderr", False),
    ("ExposedPorts", None), ("Tty", False), ("OpenStdin", False), ("StdinOnce", False), ("Env", []), ("Cmd", None),
    ("Healthcheck", None), ("ArgsEscaped", None), ("Image", ""), ("Volumes", None), ("WorkingDir", ""), ("Entrypoint", None),
    ("NetworkDisabled", None), ("MacAddress", None), ("OnBuild", []), ("Labels", {}), ("StopSignal", None),
    ("StopTimeout", None), ("Shell", None))
_LEFT_OUT_WHEN_EMPTY: "Final" = frozenset(("ExposedPorts", "Healthcheck", "ArgsEscaped", "NetworkDisabled", "MacAddress",
                                           "StopSignal", "StopTimeout", "Shell"))
_OCI: "Final" = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal",
                 "ArgsEscaped",
                 # Docker's own, which everybody reads in OCI images as well
                 "Healthcheck", "OnBuild", "Shell")
_EXAMPLE: "Final" = 'Write an object such as {"Env": ["A=1"], "Cmd": ["sh"]}.'
# What --config may set, and the type of it.
_OVERRIDES: "Final" = {
    "Hostname": str, "Domainname": str, "User": str, "Image": str, "WorkingDir": str, "StopSignal": str, "MacAddress": str,
    "Env": list, "Cmd": list, "Entrypoint": list, "OnBuild": list, "Shell": list, "ExposedPorts": dict, "Volumes": dict,
    "Labels": dict, "Healthcheck": dict, "AttachStdin": bool, "AttachStdout": bool, "AttachStderr": bool, "Tty": bool,
    "OpenStdin": bool, "StdinOnce": bool, "ArgsEscaped": bool, "NetworkDisabled": bool, "StopTimeout": int}


class Request(NamedTuple):
    """docker_format: Docker's config, else OCI's. override: the text of --config. volumes: paths that become volumes of the
    image. created: RFC 3339. created_by, comment: of the new layer in the history. squash: the image's layers are one."""

    created: str
    created_by: str
    docker_format: bool = False
    author: str = ""
    message: str = ""
    comment: str = ""
    changes: "Sequence[str]" = ()
    override: str = ""
    volumes: "Sequence[str]" = ()
    squash: bool = False
    container: str = ""  # its id


def build(base: "Mapping[str, Any]", spec: "ContainerSpec", diff_ids: "Sequence[str]", request: Request) -> "dict[str, Any]":
    """The config document. base: the image's; spec: the container's, resolved; diff_ids: all, lowest first.

    Raises: UsageError.
    """
    run = _of_container(base.get("config") or {}, spec)
    if request.volumes:
        run["Volumes"] = {**(run.get("Volumes") or {}), **{path: {} for path in request.volumes}}
    asked = _shaped(run, request)  # Docker keeps how it was before the changes
    run = _overridden(run, request.override)
    run = _changed(run, request.changes)
    author = request.author or base.get("author") or ""
    doc: "dict[str, Any]" = {"created": request.created, "author": author, "architecture": base.get("architecture"),
                             "variant": base.get("variant"), "os": base.get("os"), "os.version": base.get("os.version"),
                             "os.features": base.get("os.features"), "config": _shaped(run, request),
                             "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
                             "history": _history(base, request, author)}
    if request.docker_format:
        doc = {"comment": request.message, "created": doc.pop("created"), "container": request.container,
               "container_config": asked, "docker_version": base.get("docker_version"), **doc}
    return {key: value for key, value in doc.items() if value or key in ("config", "rootfs", "history", "created")}


def _of_container(base: "Mapping[str, Any]", spec: "ContainerSpec") -> "dict[str, Any]":
    run = dict(base)
    if spec.entrypoint is not None:
        run["Entrypoint"] = [word for word in spec.entrypoint if word] or None
    run["Cmd"] = list(spec.command) or None
    run["Env"] = _environment(base, spec)
    run["User"] = spec.user if not spec.user_ns.startswith("keep-id") or spec.user == base.get("User") else base.get("User") or ""
    run["WorkingDir"] = spec.workdir if spec.workdir != "/" or base.get("WorkingDir") else ""
    ports = [f"{p.container_port + n}/{p.protocol}" for p in spec.ports for n in range(p.count)]
    run["ExposedPorts"] = {**(base.get("ExposedPorts") or {}), **{port: {} for port in (*ports, *spec.expose)}}
    run["Labels"] = {**(base.get("Labels") or {}), **spec.labels}
    return run


def _environment(base: "Mapping[str, Any]", spec: "ContainerSpec") -> list[str]:
    """The image's in its order, then the user's."""
    image = dict(item.partition("=")[::2] for item in base.get("Env") or [] if isinstance(item, str))
    kept = {name: value for name, value in spec.env.items()
            if name in image or not (name in _OURS or (name == "PATH" and value == PATH))}
    first = [name for name in image if name in kept]
    return [f"{name}={kept[name]}" for name in (*first, *(n for n in kept if n not in image))]


def _overridden(run: "dict[str, Any]", text: str) -> "dict[str, Any]":
    """--config: maps and environments are merged, all else replaces what was there."""
    if not text.strip():
        return run
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise UsageError(f"--config: it is no JSON: {e}", hint=_EXAMPLE) from None
    if not isinstance(given, dict):
        raise UsageError("--config: it is no JSON object", hint=_EXAMPLE)
    known = {name.lower(): name for name in _OVERRIDES}
    out = dict(run)
    for key, value in given.items():
        name = known.get(key.lower())
        if name is None or value is None:
            continue
        _check(name, value)
        if name == "Env":
            out[name] = _merged_environment(out.get(name) or [], value)
        elif isinstance(value, dict) and name != "Healthcheck":
            out[name] = {**(out.get(name) or {}), **value}
        elif value or isinstance(value, bool):
            out[name] = value
    if out.get("Entrypoint") != run.get("Entrypoint") and not any(key.lower() == "cmd" for key in given):
        out["Cmd"] = None
    return out


def _check(name: str, value: object) -> None:
    kind = _OVERRIDES[name]
    good = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if good and isinstance(value, list):
        good = all(isinstance(item, str) for item in value)
    if not good:
        words = {str: "a text", list: "a list of texts", dict: "an object", bool: "true or false", int: "a number"}
        raise UsageError(f"--config: {name} must be {words[kind]}")


def _merged_environment(have: "Sequence[str]", more: "Sequence[str]") -> list[str]:
    out = dict(item.partition("=")[::2] for item in (*have, *more))
    return [f"{name}={value}" for name, value in out.items()]


def _changed(run: "dict[str, Any]", changes: "Sequence[str]") -> "dict[str, Any]":
    """A new entrypoint goes without the old command (Dockerfile reference, "ENTRYPOINT")."""
    out = dict(run)
    apply_changes(out, changes)
    words = {change.lstrip().replace("=", " ").split(" ")[0].upper() for change in changes}
    if "ENTRYPOINT" in words and "CMD" not in words:
        out["Cmd"] = None
    return out


def _shaped(run: "Mapping[str, Any]", request: Request) -> "dict[str, Any]":
    if not request.docker_format:
        return {name: run[name] for name in _OCI if run.get(name)}
    out = {name: run.get(name) or empty for name, empty in _DOCKER}
    return {name: value for name, value in out.items() if value or name not in _LEFT_OUT_WHEN_EMPTY}


def _history(base: "Mapping[str, Any]", request: Request, author: str) -> "list[dict[str, Any]]":
    entry: "dict[str, Any]" = {"created": request.created, "created_by": request.created_by}
    if author:
        entry["author"] = author
    if comment := " ".join(filter(None, (request.message, request.comment))):
        entry["comment"] = comment
    return [entry] if request.squash else [*(base.get("history") or []), entry]
