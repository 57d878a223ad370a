"""Files with credentials: auth.json, docker's config.json, ~/.dockercfg. Looking up and changing.

Source: containers-auth.json(5), docker login.
"""

import base64
import binascii
import json
import os
from contextlib import contextmanager

from podlike import log
from podlike.errors import ConfigError, RegistryError
from podlike.paths import real_uid
from podlike.registry import authhelper
from podlike.registry.credentials import Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

# The key under which docker has always kept the hub's password.
HUB_KEY: "Final" = "https://index.docker.io/v1/"
_HUB_HOSTS: "Final" = ("docker.io", "index.docker.io", "registry-1.docker.io")


def named_file(authfile: str | None = None) -> str | None:
    """The only file to be used, if --authfile or the environment names one."""
    only = authfile or os.environ.get("REGISTRY_AUTH_FILE")
    docker = os.environ.get("DOCKER_CONFIG")
    return only or (f"{docker}/config.json" if docker else None)


def auth_files(authfile: str | None = None) -> list[str]:
    """Files in which credentials are looked up, first one first."""
    only = named_file(authfile)
    if only:
        return [only]
    home = os.path.expanduser("~")
    config = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    return [_runtime_file(), f"{config}/containers/auth.json", f"{home}/.docker/config.json", f"{home}/.dockercfg"]


def file_to_write(authfile: str | None = None) -> str:
    """Where logins go."""
    return named_file(authfile) or _runtime_file()


def docker_file() -> str:
    """docker's own."""
    return (os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")) + "/config.json"


def _runtime_file() -> str:
    """Passwords that are kept in a runtime directory are gone after the next boot."""
    uid = real_uid()
    runtime = os.environ.get("XDG_RUNTIME_DIR") or (f"/run/user/{uid}" if uid else "/run/containers/0")
    return f"{runtime}/containers/auth.json"


def find(path: str, repository: str) -> Credentials | None:
    """What one file (or the helper that it names) knows about domain/path: the most specific key wins.

    Raises: RegistryError when the file or a helper is broken.
    """
    doc = read(path)
    if doc is None:
        return None
    # ~/.dockercfg is the auths table itself.
    auths = doc if path.endswith("/.dockercfg") else table(doc, "auths", path)
    domain = repository.partition("/")[0]
    helper = table(doc, "credHelpers", path).get(domain)
    if isinstance(helper, str) and helper:
        return authhelper.get(helper, domain)
    for key in _keys(repository):
        entry = auths.get(key)
        # With a credential store the entries are there but empty.
        found = _entry(entry, key, path) if isinstance(entry, dict) else None
        if found:
            return found
    store = doc.get("credsStore")
    return authhelper.get(store, helper_key(domain)) if isinstance(store, str) and store else None


def helper_key(domain: str) -> str:
    """How a credential store of docker's calls a registry."""
    return HUB_KEY if domain in _HUB_HOSTS else domain


def _keys(repository: str) -> list[str]:
    """Keys of auths that fit domain/a/b, most specific first: domain/a/b, domain/a, domain, and old URLs."""
    parts = repository.split("/")
    keys = ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    domain = parts[0]
    if domain in _HUB_HOSTS:
        keys += [h for h in _HUB_HOSTS if h != domain]
        keys.append(HUB_KEY)
    return keys + [f"https://{domain}", f"http://{domain}", f"https://{domain}/v1/", f"https://{domain}/v2/"]


def _entry(entry: "dict[str, Any]", key: str, path: str) -> Credentials | None:
    auth, token = entry.get("auth"), entry.get("identitytoken")
    if not isinstance(auth, str) or not auth:
        name, secret = entry.get("username"), entry.get("password")
        if isinstance(name, str) and isinstance(secret, str):
            return Credentials(name, secret)
        return Credentials("", "", token) if isinstance(token, str) and token else None
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise RegistryError(f"read credentials {path}: auths[{key!r}].auth is not base64 of user:password",
                            hint=f"Log in again: podlike login {key.partition('/')[0]}.")
    # Some tools pad the password with NULs.
    return Credentials(user, password.rstrip("\0"), token if isinstance(token, str) else "")


def read(path: str) -> "dict[str, Any] | None":
    """The document, or None when there is no file that we may read. Raises: RegistryError."""
    try:
        with open(path, encoding="utf-8") as f:
            doc = json.load(f)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        log.warning(f"credentials in {path} are not used: permission denied")
        return None
    except (OSError, ValueError, RecursionError) as e:
        raise RegistryError(f"read credentials {path}: {e}", hint="Correct or remove the file.") from e
    if not isinstance(doc, dict):
        raise RegistryError(f"read credentials {path}: not a JSON object", hint="Correct or remove the file.")
    return doc


def table(doc: "dict[str, Any]", key: str, path: str) -> "dict[str, Any]":
    """doc[key], a table; made if it is not there. Raises: RegistryError."""
    value = doc.get(key)
    if value is None:
        value = doc[key] = {}
    if not isinstance(value, dict):
        raise RegistryError(f"read credentials {path}: {key} is not an object", hint="Correct the file.")
    return value


@contextmanager
def editing(path: str) -> "Iterator[dict[str, Any]]":
    """The document to be changed; what is in it at the end of the block replaces the file, whole, mode 0600.

    Others who write meanwhile wait. A file that is a symbolic link stays one.
    Raises: ConfigError, RegistryError.
    """
    import fcntl

    path = os.path.realpath(path)
    directory = os.path.dirname(path)
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        lock = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        raise _cannot_write(path, e) from e
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        doc = read(path) or {}
        before, had = json.dumps(doc), set(doc)
        yield doc
        for key in {"auths", "credHelpers"} & (set(doc) - had):
            if not doc[key]:
                del doc[key]
        if json.dumps(doc) != before:
            _replace(path, json.dumps(doc, indent="\t", ensure_ascii=False) + "\n")
    finally:
        os.close(lock)


def _replace(path: str, text: str) -> None:
    from podlike.files import replace_text

    try:
        replace_text(path, text, mode=0o600)
    except OSError as e:
        try:
            os.unlink(f"{path}.{os.getpid()}")
        except OSError:
            pass
        raise _cannot_write(path, e) from e


def _cannot_write(path: str, e: OSError) -> ConfigError:
    return ConfigError(f"write credentials {path}: {(e.strerror or str(e)).lower()}",
                       hint="Make the directory writable, or name another file with --authfile.")
