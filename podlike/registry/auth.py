"""Credentials for registries: auth.json, docker's config.json, credential helpers.

Source: containers-auth.json(5).
"""

import base64
import binascii
import json
import os
from typing import NamedTuple

from podlike.errors import RegistryError, UsageError
from podlike.paths import real_uid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

# The key under which docker has always kept the hub's password.
_HUB_KEY: "Final" = "https://index.docker.io/v1/"
_HUB_HOSTS: "Final" = ("docker.io", "index.docker.io", "registry-1.docker.io")
_HELPER_TIMEOUT_S = 30


class Credentials(NamedTuple):
    """A user and password, or an identity token (an OAuth2 refresh token) with an empty password."""

    username: str
    password: str = ""
    identity_token: str = ""

    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def __repr__(self) -> str:
        # A traceback or a debug line must not carry the password.
        return f"Credentials({self.username!r})"


def parse_creds(text: str) -> Credentials:
    """--creds USER[:PASSWORD]. Raises: UsageError."""
    user, _, password = text.partition(":")
    if not user:
        raise UsageError("read --creds: credentials can't be empty", hint="Write it as USER:PASSWORD.")
    return Credentials(user, password)


def auth_files(authfile: str | None = None) -> list[str]:
    """Files in which credentials are looked up, first one first.

    authfile: --authfile; like $REGISTRY_AUTH_FILE it is then the only one.
    """
    only = authfile or os.environ.get("REGISTRY_AUTH_FILE")
    if only:
        return [only]
    home = os.path.expanduser("~")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    uid = real_uid()
    first = f"{runtime or f'/run/user/{uid}'}/containers/auth.json" if runtime or uid else "/run/containers/0/auth.json"
    config = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    docker = os.environ.get("DOCKER_CONFIG") or f"{home}/.docker"
    return [first, f"{config}/containers/auth.json", f"{docker}/config.json", f"{home}/.dockercfg"]


def find_credentials(repository: str, *, authfile: str | None = None) -> Credentials | None:
    """Credentials for domain/path: the most specific key wins; None when there are none.

    Raises: UsageError when a named --authfile is missing, RegistryError when a file or helper is broken.
    """
    if authfile and not os.path.exists(authfile):
        raise UsageError(f"read --authfile {authfile}: no such file or directory",
                         hint="Make it with: podlike login --authfile FILE REGISTRY.")
    for path in auth_files(authfile):
        found = _from_file(path, repository)
        if found:
            return found
    return None


def _from_file(path: str, repository: str) -> Credentials | None:
    doc = _read(path)
    if doc is None:
        return None
    # ~/.dockercfg is the auths table itself.
    auths = doc if path.endswith("/.dockercfg") else _table(doc, "auths", path)
    domain = repository.partition("/")[0]
    helper = _table(doc, "credHelpers", path).get(domain)
    if isinstance(helper, str) and helper:
        return _ask_helper(helper, domain)
    for key in _keys(repository):
        entry = auths.get(key)
        # With a credential store the entries are there but empty.
        found = _entry(entry, key, path) if isinstance(entry, dict) else None
        if found:
            return found
    store = doc.get("credsStore")
    if isinstance(store, str) and store:
        return _ask_helper(store, _HUB_KEY if domain in _HUB_HOSTS else domain)
    return None


def _keys(repository: str) -> list[str]:
    """Keys of auths that fit domain/a/b, most specific first: domain/a/b, domain/a, domain, and old URLs."""
    parts = repository.split("/")
    keys = ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    domain = parts[0]
    if domain in _HUB_HOSTS:
        keys += [h for h in _HUB_HOSTS if h != domain]
        keys.append(_HUB_KEY)
    return keys + [f"https://{domain}", f"http://{domain}", f"https://{domain}/v1/", f"https://{domain}/v2/"]


def _entry(entry: "dict[str, Any]", key: str, path: str) -> Credentials | None:
    auth, token = entry.get("auth"), entry.get("identitytoken")
    if not isinstance(auth, str) or not auth:
        name, secret = entry.get("username"), entry.get("password")
        return Credentials(name, secret) if isinstance(name, str) and isinstance(secret, str) else None
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise RegistryError(f"read credentials {path}: auths[{key!r}].auth is not base64 of user:password",
                            hint=f"Log in again: podlike login {key.partition('/')[0]}.")
    # Some tools pad the password with NULs.
    return Credentials(user, password.rstrip("\0"), token if isinstance(token, str) else "")


def _read(path: str) -> "dict[str, Any] | None":
    try:
        with open(path, encoding="utf-8") as f:
            doc = json.load(f)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, ValueError) as e:
        raise RegistryError(f"read credentials {path}: {e}", hint="Correct or remove the file.") from e
    if not isinstance(doc, dict):
        raise RegistryError(f"read credentials {path}: not a JSON object", hint="Correct or remove the file.")
    return doc


def _table(doc: "dict[str, Any]", key: str, path: str) -> "dict[str, Any]":
    value = doc.get(key) or {}
    if not isinstance(value, dict):
        raise RegistryError(f"read credentials {path}: {key} is not an object", hint="Correct the file.")
    return value


def _ask_helper(name: str, server: str) -> Credentials | None:
    """Run docker-credential-NAME get. None when the helper does not know the server.

    Raises: RegistryError.
    """
    import subprocess

    program = f"docker-credential-{name}"
    try:
        r = subprocess.run([program, "get"], input=server.encode(), capture_output=True, timeout=_HELPER_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as e:
        raise RegistryError(f"ask credential helper {program} for {server}: {e}",
                            hint=f"Install {program}, or remove it from credHelpers or credsStore.") from e
    out = r.stdout.decode(errors="replace").strip()
    if r.returncode:
        # The protocol has this one sentence for "unknown"; it comes on stdout.
        if "credentials not found" in out:
            return None
        raise RegistryError(f"ask credential helper {program} for {server}: {out or f'exit code {r.returncode}'}",
                            hint="Run it by hand to see why.")
    try:
        doc = json.loads(out)
        user, secret = str(doc["Username"]), str(doc["Secret"])
    except (ValueError, KeyError, TypeError) as e:
        raise RegistryError(f"ask credential helper {program} for {server}: its answer is not understood",
                            hint="Run it by hand to see why.") from e
    return Credentials(user, "", secret) if user == "<token>" else Credentials(user, secret)
