"""Images between users and hosts: what `save` writes on one side is what `load` reads on the other.

Nothing is kept on the way: the archive goes through a pipe, over ssh where a side is another machine. There podlike is
used, or podman where it is not installed. Another user of this machine is root's to become, and sudo's for others.
"""

import os
import shlex
import sys

from podlike.engine.core import Engine
from podlike.errors import NotFoundError, PodlikeError, StoreError, UsageError
from podlike.spec.scp import Place
from podlike.store.blobs import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Any, Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

# Run by the other side's shell: whichever engine is there.
_REMOTE: "Final" = "if command -v podlike >/dev/null 2>&1; then exec podlike {0}; else exec podman {0}; fi"
_SSH: "Final" = "ssh"


class _Program(NamedTuple):
    """A command line, and what subprocess.Popen needs to run it as the right user."""

    argv: list[str]
    options: "dict[str, Any]"


def copy_image(engine: Engine, source: Place, target: Place, *, quiet: bool = False) -> str:
    """Copy an image and give it its name on the other side; what `load` there said.

    Raises: NotFoundError, StoreError with the other side's words, UsageError for a user or host that cannot be.
    """
    if not source.user and not source.host:
        from podlike.engine.images import find

        find(engine, source.image)  # its error is better than that of an empty pipe
    save = _program(engine, source, ["save", "--quiet", "--format", "oci-archive", source.image])
    load = _program(engine, target, ["load", *(["--quiet"] if quiet else [])])
    said = _transfer(save, load, source, target)
    if target.image:
        loaded = said.strip().rpartition(" ")[2]
        _run(_program(engine, target, ["tag", loaded.removeprefix("sha256:"), target.image]), target)
    return said


def _program(engine: Engine, place: Place, words: list[str]) -> _Program:
    if place.host:
        return _Program([*_ssh(engine, place.host), _REMOTE.format(shlex.join(words))], {})
    own = [sys.executable, "-m", "podlike"]
    if not place.user or _is_me(place.user):
        return _Program([*own, "--root", engine.roots.data, "--runroot", engine.roots.run, *words], {})
    if os.geteuid() != 0:
        return _Program(["sudo", "-u", place.user, "--", *own, *words], {})
    return _as_user(place.user, [*own, *words])


def _is_me(user: str) -> bool:
    from podlike.paths import real_uid

    return bool(_account(user).pw_uid == real_uid())


def _account(user: str) -> "Any":
    import pwd

    try:
        return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user.partition(":")[0])
    except (KeyError, OverflowError):
        raise UsageError(f"copy image: user {user} is not known here", hint="Check the name before @localhost.") from None


def _as_user(user: str, argv: list[str]) -> _Program:
    """Root becomes the user, with an environment as after a login: nothing of root's leaks into it."""
    account = _account(user)
    kept = {name: os.environ[name] for name in ("PATH", "TERM", "LANG", "PYTHONPATH") if name in os.environ}
    runtime = f"/run/user/{account.pw_uid}"
    env = kept | {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name}
    if os.path.isdir(runtime):
        env["XDG_RUNTIME_DIR"] = runtime
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    cwd = account.pw_dir if os.path.isdir(account.pw_dir) else "/"
    return _Program(argv, {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups, "env": env, "cwd": cwd})


# --- ssh ---

def _ssh(engine: Engine, host: str) -> list[str]:
    """The ssh command up to the remote one. host: a connection's name, else [USER@]HOST[:PORT]."""
    from urllib.parse import urlsplit

    uri, identity = _connection(engine, host) or (f"ssh://{host}", "")
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as e:
        raise UsageError(f"copy image: {host} is no address: {e}", hint="Write USER@HOST:PORT::.") from None
    if parts.scheme != "ssh" or not parts.hostname:
        raise UsageError(f"copy image: connection {host} leads to {uri}, which is not reached over ssh",
                         hint="Write USER@HOST::, or use a connection that begins with ssh://.")
    if parts.password:
        raise UsageError(f"copy image: the address of {host} holds a password, which ssh does not take",
                         hint="Use a key: ssh-copy-id USER@HOST.")
    argv = [_SSH, "-T"]
    if engine.config.engine.ssh_config:
        argv += ["-F", engine.config.engine.ssh_config]
    if identity:
        argv += ["-i", identity]
    if port:
        argv += ["-p", str(port)]
    return [*argv, "--", f"{parts.username}@{parts.hostname}" if parts.username else parts.hostname]


def _connection(engine: Engine, name: str) -> tuple[str, str] | None:
    """(URI, identity file) of a connection that podman or containers.conf knows."""
    found = _podman_connections().get(name) or engine.config.engine.service_destinations.get(name)
    if not isinstance(found, dict):
        return None
    fields = {str(key).lower(): str(value) for key, value in found.items()}
    return (fields["uri"], fields.get("identity", "")) if "uri" in fields else None


def _podman_connections() -> "dict[str, Any]":
    """What `podman system connection add` has written."""
    import json

    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    path = os.environ.get("PODMAN_CONNECTIONS_CONF") or f"{base}/containers/podman-connections.json"
    try:
        with open(path, "rb") as f:
            doc = json.load(f)
        found = doc["Connection"]["Connections"]
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


# --- the pipe ---

def _transfer(save: _Program, load: _Program, source: Place, target: Place) -> str:
    """Run both; the receiving side begins when the sending one has something to send."""
    import subprocess

    sender = _start(save, source, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    receiver = None
    try:
        assert sender.stdout is not None
        fd = sender.stdout.fileno()
        piece = os.read(fd, CHUNK)
        if not piece:
            raise _failure(sender, source, "save")
        receiver = _start(load, target, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        broken = _pump(piece, fd, receiver)
        said = receiver.stdout.read() if receiver.stdout is not None else b""
        if receiver.wait() != 0:
            raise StoreError(f"load the image at {target.shown}: the command there ended with {receiver.returncode}",
                             hint="Its own words are above.")
        if broken or sender.wait() != 0:
            raise _failure(sender, source, "save")
        return said.decode(errors="replace")
    finally:
        for child in (sender, receiver):
            if child is not None:
                _end(child)


def _start(program: _Program, place: Place, **streams: "Any") -> "subprocess.Popen[bytes]":
    import subprocess

    try:
        return subprocess.Popen(program.argv, bufsize=0, **streams, **program.options)
    except OSError as e:
        raise StoreError(f"start {program.argv[0]} for {place.shown}: {e.strerror}",
                         hint="Install it." if isinstance(e, FileNotFoundError) else None) from e


def _pump(piece: bytes, fd: int, receiver: "subprocess.Popen[bytes]") -> bool:
    """Move everything; True when the receiver stopped reading."""
    assert receiver.stdin is not None
    out = receiver.stdin.fileno()
    try:
        while piece:
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(out, rest):]
            piece = os.read(fd, CHUNK)
    except BrokenPipeError:
        return True
    finally:
        receiver.stdin.close()
    return False


def _failure(child: "subprocess.Popen[bytes]", place: Place, what: str) -> PodlikeError:
    """The error for a side that failed, in its own words."""
    words = child.stderr.read().decode(errors="replace") if child.stderr is not None else ""
    code = child.wait()
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    said = next((line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")), lines[-1] if lines else "")
    clean = "".join(c if c.isprintable() else "?" for c in said)[:500]
    if "image not known" in clean:
        return NotFoundError(clean)
    return StoreError(f"{what} the image at {place.shown}: {clean or f'the command there ended with {code}'}",
                      hint="Check that `ssh HOST podlike version` works." if place.host else None)


def _run(program: _Program, place: Place) -> None:
    import subprocess

    child = _start(program, place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        if child.wait() != 0:
            raise _failure(child, place, "name")
    finally:
        _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    import subprocess

    if child.poll() is None:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            stream.close()
