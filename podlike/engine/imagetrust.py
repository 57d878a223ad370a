"""`image trust`: what the policy says, and changing it."""

import json
import os
import re

from podlike.errors import ConfigError, PodlikeError, UsageError
from podlike.paths import real_uid
from podlike.trust.policy import DEFAULT_TEXT, SYSTEM_FILES, parse_policy, policy_path, read_policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, NamedTuple

    from podlike.trust.policy import Requirement
    from podlike.trust.registries_d import RegistriesD
else:
    from podlike.spec.record import NamedTuple

_WORDS: "Final" = {"insecureAcceptAnything": "accept", "signedBy": "signed", "sigstoreSigned": "sigstoreSigned",
                   "reject": "reject"}
TYPES: "Final" = ("accept", "insecureAcceptAnything", "reject", "signedBy", "sigstoreSigned")
_REGISTRY = re.compile(r"[A-Za-z0-9_.*-]+(?::[0-9]+)?(?:/[a-z0-9._/:-]*)?")


class Row(NamedTuple):
    """One requirement of one scope, as podman shows it."""

    transport: str
    name: str
    scope: str
    type: str
    gpg_id: str
    store: str


def show(named: str | None = None, *, registries_d: str = "") -> list[Row]:
    """named: a policy instead of the user's or the system's; registries_d: another folder. Raises: ConfigError."""
    from podlike.trust.policy import load_policy
    from podlike.trust.registries_d import load_registries_d

    policy, conf = load_policy(named), load_registries_d(registries_d)
    rows = _rows(policy.default, Row("all", "* (default)", "default", "", "", ""), conf, "")
    for transport in sorted(policy.transports):
        shown = "repository" if transport == "docker" else transport
        for scope in sorted(policy.transports[transport]):
            rows += _rows(policy.transports[transport][scope], Row(shown, scope, scope, "", "", ""), conf, scope)
    return rows


def raw(named: str | None = None) -> str:
    """The policy's text. Raises: ConfigError."""
    path = policy_path(named)
    return read_policy(path).decode(errors="replace") if path else DEFAULT_TEXT


def _rows(requirements: "tuple[Requirement, ...]", row: Row, conf: "RegistriesD", scope: str) -> list[Row]:
    place = conf.of_scope(scope)
    return [row._replace(type=_WORDS.get(r.type, ""), gpg_id=_key_names(r), store=place.read if place else "")
            for r in requirements]


def _key_names(requirement: "Requirement") -> str:
    """Mail addresses of the keys; a key that cannot be read has none."""
    if requirement.type == "sigstoreSigned":
        return "N/A"
    if requirement.type != "signedBy":
        return ""
    from podlike import log
    from podlike.trust.check import read_keys
    from podlike.trust.gpg import Keyring

    try:
        with Keyring(read_keys(requirement)) as ring:
            return ", ".join(ring.users())
    except PodlikeError as e:
        log.error(f"getting key identity: {e.message}")
        return ""


def set_trust(scope: str, *, kind: str, keys: "list[str]", named: str | None = None) -> str:
    """Write what is required of images of a scope ("default": of all others); returns the file.

    kind: one of TYPES. keys: files with public keys. named: another policy.
    Raises: UsageError, ConfigError.
    """
    if not _REGISTRY.fullmatch(scope):
        raise UsageError(f"invalid image uri: {scope}", hint="Name a registry or a repository, or say default.")
    requirements = _requirements(kind, keys)
    path, text = _to_edit(named)
    if text:
        parse_policy(text.encode(), path)
    document = json.loads(text) if text else {}
    if scope == "default":
        document = {"default": requirements, **{k: v for k, v in document.items() if k != "default"}}
    else:
        if not document.get("default"):
            raise ConfigError("default trust policy must be set",
                              hint="Set it first: podlike image trust set -t accept default.")
        transports = document.setdefault("transports", {})
        table = next((t for t in transports.values() if scope in t), None)
        if table is None:
            table = transports.setdefault("docker", {})
        table[scope] = requirements
    new = json.dumps(document, indent=4, ensure_ascii=False) + "\n"
    parse_policy(new.encode(), path)
    _write(path, new)
    return path


def _requirements(kind: str, keys: "list[str]") -> "list[dict[str, Any]]":
    if kind not in TYPES:
        raise UsageError(f"invalid choice: {kind} (choose from 'accept', 'reject', 'signedBy', 'sigstoreSigned')")
    if kind in ("accept", "insecureAcceptAnything", "reject"):
        if keys:
            raise UsageError(f"{len(keys)} public keys unexpectedly provided for trust type {kind}",
                             hint="Leave --pubkeysfile out.")
        return [{"type": "reject" if kind == "reject" else "insecureAcceptAnything"}]
    if not keys:
        raise UsageError(f"at least one public key must be defined for type '{kind}'", hint="Add --pubkeysfile FILE.")
    for key in keys:
        if not os.path.isfile(key):
            raise UsageError(f"read public key {key}: no such file", hint="Name a file that exists.")
    more = {"keyType": "GPGKeys"} if kind == "signedBy" else {}
    return [{"type": kind, **more, "keyPath": os.path.abspath(key)} for key in keys]


def _to_edit(named: str | None) -> tuple[str, str]:
    """(file to be written, text to begin with)."""
    path = policy_path(named)
    if named:
        return named, read_policy(named).decode(errors="replace") if os.path.exists(named) else ""
    text = read_policy(path).decode(errors="replace") if path else DEFAULT_TEXT
    if path in ("", *SYSTEM_FILES):
        if real_uid() == 0:
            return SYSTEM_FILES[0], text
        # The user's own file replaces the system's, so it begins as a copy of it.
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        return f"{home}/containers/policy.json", text
    return path, text


def _write(path: str, text: str) -> None:
    from podlike.files import replace_text

    path = os.path.realpath(path)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        replace_text(path, text, mode=0o644)
    except OSError as e:
        raise ConfigError(f"write trust policy {path}: {(e.strerror or str(e)).lower()}",
                          hint="Name a file that you can write: --signature-policy FILE.") from e
