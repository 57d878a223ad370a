"""Credential helpers: docker-credential-NAME, the programs that keep passwords in key rings.

One word says what to do (get, store, erase, list), standard input has the server or a JSON document, standard output
the answer; errors come on standard output with exit code 1.
Source: docker-credential-helpers, its protocol.
"""

import json
import subprocess

from podlike.errors import RegistryError
from podlike.registry.credentials import Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

# Key rings ask their user to unlock them.
TIMEOUT_S: "Final" = 120
# The sentence by which helpers say that they know nothing; other errors are errors.
_UNKNOWN: "Final" = "credentials not found"
# The user name that marks the secret as an identity token.
TOKEN_USER: "Final" = "<token>"


def get(name: str, server: str) -> Credentials | None:
    """What the helper knows about the server, or None. Raises: RegistryError."""
    out = _run(name, "get", server, f"for {server}")
    if out is None:
        return None
    doc = _object(out, name, f"for {server}")
    user, secret = doc.get("Username"), doc.get("Secret")
    if not isinstance(user, str) or not isinstance(secret, str):
        raise _not_understood(name, f"for {server}")
    return Credentials(user, "", secret) if user == TOKEN_USER else Credentials(user, secret)


def store(name: str, server: str, credentials: Credentials) -> None:
    """Raises: RegistryError."""
    user, secret = credentials.username, credentials.password
    if credentials.identity_token:
        user, secret = TOKEN_USER, credentials.identity_token
    _run(name, "store", json.dumps({"ServerURL": server, "Username": user, "Secret": secret}), f"to store {server}")


def erase(name: str, server: str) -> bool:
    """Whether the helper had something about the server. Raises: RegistryError."""
    return _run(name, "erase", server, f"to erase {server}") is not None


def servers(name: str) -> list[str]:
    """All servers that the helper knows. Raises: RegistryError."""
    out = _run(name, "list", "unused", "for its list")
    return list(_object(out, name, "for its list")) if out else []


def _run(name: str, action: str, text: str, what: str) -> str | None:
    """The helper's output; None when it says that it knows no such server."""
    program = f"docker-credential-{name}"
    if "/" in name:
        raise RegistryError(f"ask credential helper {program} {what}: a helper's name has no slash",
                            hint="Correct credHelpers or credsStore in your auth file.")
    try:
        done = subprocess.run([program, action], input=text.encode(), capture_output=True, timeout=TIMEOUT_S)
    except FileNotFoundError as e:
        raise RegistryError(f"ask credential helper {program} {what}: executable file not found in $PATH",
                            hint=f"Install {program}, or remove it from credHelpers, credsStore or "
                                 "credential-helpers.") from e
    except (OSError, subprocess.SubprocessError) as e:
        raise RegistryError(f"ask credential helper {program} {what}: {e}", hint="Run it by hand to see why.") from e
    out = done.stdout.decode(errors="replace").strip()
    if done.returncode == 0:
        return out
    if _UNKNOWN in out:
        return None
    why = out or done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
    raise RegistryError(f"ask credential helper {program} {what}: {why}", hint="Run it by hand to see why.")


def _object(out: str, name: str, what: str) -> "dict[str, Any]":
    try:
        doc = json.loads(out)
    except (ValueError, RecursionError):
        doc = None
    if not isinstance(doc, dict):
        raise _not_understood(name, what)
    return doc


def _not_understood(name: str, what: str) -> RegistryError:
    return RegistryError(f"ask credential helper docker-credential-{name} {what}: its answer is not understood",
                         hint="Run it by hand to see why.")
