"""RUN --mount: files that a step sees and that do not become part of the image.

Source: docs.docker.com/reference/dockerfile, "RUN --mount".
"""

import hashlib
import os
from contextlib import ExitStack

from podlike.build import cachedirs
from podlike.errors import NotFoundError, UsageError
from podlike.spec.container import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final, NamedTuple

    from podlike.engine.core import Engine
else:
    from podlike.spec.record import NamedTuple

_TYPES: "Final" = ("bind", "cache", "tmpfs", "secret", "ssh")
_KEYS: "Final" = {
    "bind": ("type", "target", "dst", "destination", "source", "src", "from", "rw", "readwrite", "ro", "readonly", "z", "Z",
             "relabel"),
    "cache": ("type", "target", "dst", "destination", "source", "src", "from", "id", "ro", "readonly", "rw", "readwrite",
              "sharing", "mode", "uid", "gid", "z", "Z"),
    "tmpfs": ("type", "target", "dst", "destination", "size", "mode"),
    "secret": ("type", "id", "target", "dst", "destination", "required", "mode", "uid", "gid", "env"),
    "ssh": ("type", "id", "target", "dst", "destination", "required", "mode", "uid", "gid"),
}
_FLAGS: "Final" = ("rw", "readwrite", "ro", "readonly", "required", "z", "Z")


class MountRequest(NamedTuple):
    """One --mount, its variables replaced. values: key -> value; a flag's is "true" or "false"."""

    kind: str
    values: "Mapping[str, str]"

    def get(self, *names: str) -> str:
        return next((self.values[name] for name in names if name in self.values), "")

    def flag(self, *names: str) -> bool:
        return any(self.values.get(name) == "true" for name in names)


class Secret(NamedTuple):
    """--secret: a file's or a variable's content, read when it is needed."""

    id: str
    path: str = ""
    variable: str = ""

    def read(self) -> bytes:
        if self.variable:
            if self.variable not in os.environ:
                raise NotFoundError(f"secret {self.id}: the variable {self.variable} is not set", hint="Set it, or use src=FILE.")
            return os.environb[os.fsencode(self.variable)]
        try:
            with open(self.path, "rb") as f:
                return f.read()
        except OSError as e:
            raise NotFoundError(f"secret {self.id}: open {self.path}: {(e.strerror or '').lower()}") from e


class Sources(NamedTuple):
    """Where mounts come from. directory: of what `from` names ("": the context), a path that the session sees; it lives
    as long as the stack. secrets, agents: by id. workdir: that relative targets begin at."""

    directory: "Callable[[ExitStack, str], str]"
    secrets: "Mapping[str, Secret]"
    agents: "Mapping[str, str]"
    workdir: str


class Prepared(NamedTuple):
    mounts: "Sequence[Mount]"
    env: "Mapping[str, str]"


def parse(text: str) -> MountRequest:
    """Raises: UsageError."""
    import csv

    values: "dict[str, str]" = {}
    for word in next(csv.reader([text]), []):
        key, equals, value = word.strip().partition("=")
        if not equals and key not in _FLAGS:
            raise UsageError(f"--mount={text[:80]}: {key[:40]} has no value")
        values[key] = value if equals else "true"
    kind = values.get("type", "bind")
    if kind not in _TYPES:
        raise UsageError(f"--mount={text[:80]}: unknown type {kind[:40]}", hint=f"Use one of {', '.join(_TYPES)}.")
    for key in values:
        if key not in _KEYS[kind]:
            from difflib import get_close_matches

            near = get_close_matches(key, _KEYS[kind], 1)
            raise UsageError(f"--mount={text[:80]}: a {kind} mount has no {key[:40]}",
                             hint=f"Did you mean {near[0]}?" if near else f"It has {', '.join(_KEYS[kind])}.")
    if kind in ("bind", "cache", "tmpfs") and not any(values.get(k) for k in ("target", "dst", "destination")):
        raise UsageError(f"--mount={text[:80]}: it has no target", hint="Add target=PATH.")
    return MountRequest(kind, values)


def prepare(stack: ExitStack, engine: "Engine", requests: "Sequence[MountRequest]", sources: Sources) -> Prepared:
    """The mounts of a container; what was made for them goes with the stack. Raises: UsageError, NotFoundError."""
    mounts: list[Mount] = []
    env: "dict[str, str]" = {}
    for n, one in enumerate(requests):
        if one.kind == "bind":
            mounts.append(_bind(stack, one, sources))
        elif one.kind == "cache":
            mounts.append(_cache(stack, engine, one, sources))
        elif one.kind == "tmpfs":
            size = one.get("size")
            mounts.append(Mount(type="tmpfs", target=_target(one, sources), options=[f"size={size}"] if size else []))
        elif one.kind == "secret":
            mounts += _secret(stack, engine, one, sources, env)
        else:
            mounts += _ssh(one, sources, env, n)
    return Prepared(mounts, env)


def _target(one: MountRequest, sources: Sources, default: str = "") -> str:
    return os.path.normpath(os.path.join(sources.workdir, one.get("target", "dst", "destination") or default))


def _beneath(directory: str, path: str, shown: str) -> str:
    """A path in a directory that no link leads out of. Raises: NotFoundError."""
    from podlike.runtime import spawn

    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = spawn.open_in_root(root, path.lstrip("/") or ".", os.O_PATH)
    except spawn.SpawnError as e:
        raise NotFoundError(f"mount {shown}: {os.strerror(e.errno).lower()}") from e
    finally:
        os.close(root)
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def _bind(stack: ExitStack, one: MountRequest, sources: Sources) -> Mount:
    source = one.get("source", "src") or "."
    path = _beneath(sources.directory(stack, one.get("from")), source, source)
    writable = one.flag("rw", "readwrite")
    # What is written to it is thrown away, as the reference has it.
    return Mount(type="bind", source=path, target=_target(one, sources), options=["O"] if writable else ["ro"])


def _cache(stack: ExitStack, engine: "Engine", one: MountRequest, sources: Sources) -> Mount:
    target = _target(one, sources)
    sharing = one.get("sharing") or "shared"
    if sharing not in ("shared", "private", "locked"):
        raise UsageError(f"--mount=type=cache: sharing={sharing[:40]}: it must be shared, private or locked")
    name = hashlib.sha256((one.get("id") or target).encode()).hexdigest()[:24]
    path = cachedirs.claim(stack, engine, name, sharing)
    fresh = not os.path.isdir(path)
    os.makedirs(path, exist_ok=True)
    if fresh:
        if one.get("from"):
            _fill(_beneath(sources.directory(stack, one.get("from")), one.get("source", "src") or ".", one.get("from")), path)
        os.chmod(path, _octal(one.get("mode") or "0755"))
        os.chown(path, _number(one.get("uid") or "0"), _number(one.get("gid") or "0"))
    return Mount(type="bind", source=path, target=target, options=["ro"] if one.flag("ro", "readonly") else [])


def _fill(source: str, path: str) -> None:
    import shutil

    shutil.copytree(source, path, symlinks=True, dirs_exist_ok=True)


def _secret(stack: ExitStack, engine: "Engine", one: MountRequest, sources: Sources, env: "dict[str, str]") -> list[Mount]:
    name = one.get("id") or os.path.basename(one.get("target", "dst", "destination"))
    secret = sources.secrets.get(name)
    if secret is None:
        if one.flag("required"):
            raise NotFoundError(f"secret {name} is required, and was not given", hint=f"Give --secret id={name},src=FILE.")
        return []
    content = secret.read()
    if variable := one.get("env"):
        env[variable] = content.decode(errors="surrogateescape")
        if not one.get("target", "dst", "destination"):
            return []
    # In the runtime directory, which is memory, and never in the image.
    path = f"{engine.roots.run}/builds/{os.getpid()}-{os.urandom(4).hex()}-secret"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    stack.callback(os.unlink, path)
    with open(fd, "wb") as f:
        f.write(content)
    os.chmod(path, _octal(one.get("mode") or "0400"))
    os.chown(path, _number(one.get("uid") or "0"), _number(one.get("gid") or "0"))
    return [Mount(type="bind", source=path, target=_target(one, sources, f"/run/secrets/{name}"), options=["ro"])]


def _ssh(one: MountRequest, sources: Sources, env: "dict[str, str]", n: int) -> list[Mount]:
    name = one.get("id") or "default"
    agent = sources.agents.get(name)
    if agent is None:
        if one.flag("required"):
            raise NotFoundError(f"ssh agent {name} is required, and was not given",
                                hint=f"Give --ssh {name}, with an agent running.")
        return []
    target = _target(one, sources, f"/run/buildkit/ssh_agent.{n}")
    env.setdefault("SSH_AUTH_SOCK", target)
    return [Mount(type="bind", source=agent, target=target)]


def _octal(text: str) -> int:
    try:
        return int(text, 8) & 0o7777
    except ValueError:
        raise UsageError(f"--mount: mode={text[:40]}: write it in octal, such as 0755") from None


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise UsageError(f"--mount: {text[:40]} is no user or group id")
    return int(text)
