"""policy.json: which images may be used, by where they come from and who signed them.

The first that exists is read: $CONTAINERS_POLICY_JSON, $XDG_CONFIG_HOME/containers/policy.json, /etc/containers/policy.json,
/usr/share/containers/policy.json. With none of them every image is accepted: that is what a machine without podman's
packages has, and what docker does; a policy is a decision that somebody has to take.
The file is read strictly: a key that is not known, or there twice, might be the one that was to protect.
Source: containers-policy.json(5).
"""

import base64
import binascii
import json
import os

from podlike.errors import ConfigError, UsageError
from podlike.trust.identity import MATCH_REPO_DIGEST_OR_EXACT, Identity, parse_identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import Any, Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

SYSTEM_FILES: "Final" = ("/etc/containers/policy.json", "/usr/share/containers/policy.json")
# What counts where there is no file, also for `image trust show --raw`.
DEFAULT_TEXT: "Final" = '{\n    "default": [\n        {\n            "type": "insecureAcceptAnything"\n        }\n    ]\n}\n'
_KEY_TYPES: "Final" = ("GPGKeys", "signedByGPGKeys", "X509Certificates", "signedByX509CAs")
_SIGNED_BY: "Final" = ("type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity")
_KEY_SOURCES: "Final" = ("keyPath", "keyPaths", "keyData", "keyDatas")
_REKOR: "Final" = ("rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas")
_SIGSTORE: "Final" = ("type", *_KEY_SOURCES, "signedIdentity", "fulcio", "pki", *_REKOR)


class Requirement(NamedTuple):
    """One thing that an image must fulfil.

    type: insecureAcceptAnything, reject, signedBy, sigstoreSigned, signedBaseLayer.
    key_paths, keys: files with public keys, or the keys themselves. unsupported: a part of it that we cannot check.
    """

    type: str
    key_type: str = ""
    key_paths: tuple[str, ...] = ()
    keys: tuple[bytes, ...] = ()
    identity: Identity = Identity(MATCH_REPO_DIGEST_OR_EXACT)
    unsupported: str = ""


class Policy(NamedTuple):
    """path: the file, "" for the built-in default. transports: transport -> scope -> requirements, all to be met."""

    path: str
    default: tuple[Requirement, ...]
    transports: "dict[str, dict[str, tuple[Requirement, ...]]]"

    def requirements(self, transport: str, scopes: "Iterable[str]") -> tuple[Requirement, ...]:
        """Those of the first scope that there is; scopes: the most specific first."""
        table = self.transports.get(transport, {})
        return next((table[scope] for scope in (*scopes, "") if scope in table), self.default)

    @property
    def accepts_everything(self) -> bool:
        """Whether there is nothing to look up for any image."""
        lists = [self.default, *(r for table in self.transports.values() for r in table.values())]
        return all(r.type == "insecureAcceptAnything" for requirements in lists for r in requirements)


ACCEPT: "Final" = Policy("", (Requirement("insecureAcceptAnything"),), {})


def policy_path(named: str | None = None) -> str:
    """The file that counts; named: --signature-policy; "" where there is none."""
    only = named or os.environ.get("CONTAINERS_POLICY_JSON")
    if only:
        return only
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return next((p for p in (f"{home}/containers/policy.json", *SYSTEM_FILES) if os.path.exists(p)), "")


def load_policy(named: str | None = None) -> Policy:
    """named: --signature-policy. Raises: ConfigError."""
    path = policy_path(named)
    return parse_policy(read_policy(path), path) if path else ACCEPT


def read_policy(path: str) -> bytes:
    """Raises: ConfigError."""
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as e:
        raise ConfigError(f"read trust policy: open {path}: {(e.strerror or str(e)).lower()}",
                          hint="Name a file that exists, or write one: podlike image trust set.") from e


def parse_policy(data: bytes, path: str) -> Policy:
    """Raises: ConfigError."""
    try:
        document = json.loads(data, object_pairs_hook=_unique)
    except _DuplicateError as e:
        raise _wrong(path, "", str(e)) from None
    except json.JSONDecodeError as e:
        raise ConfigError(f'invalid policy in "{path}:{e.lineno}": {e.msg} (column {e.colno})',
                          hint="Correct the file: it must be JSON.") from e
    except (UnicodeDecodeError, RecursionError) as e:
        raise ConfigError(f'invalid policy in "{path}": {e}', hint="Correct the file: it must be JSON.") from e
    return _Reader(path).policy(document)


class _DuplicateError(ValueError):
    pass


def _unique(pairs: "list[tuple[str, Any]]") -> "dict[str, Any]":
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _DuplicateError(f"has the key {next(k for k in keys if keys.count(k) > 1)!r} twice")
    return found


def _wrong(path: str, where: str, what: str) -> ConfigError:
    return ConfigError(f'invalid policy in "{path}": {where + " " if where else ""}{what}',
                       hint="Correct the file; see containers-policy.json(5).")


class _Reader(NamedTuple):
    path: str

    def policy(self, document: "Any") -> Policy:
        self._table(document, "", ("default", "transports"))
        if "default" not in document:
            raise _wrong(self.path, "", "Default policy is missing")
        transports = self._table(document.get("transports", {}), "transports")
        return Policy(self.path, self._requirements(document["default"], "default"), {
            name: {scope: self._requirements(value, f"transports.{name}[{scope!r}]")
                   for scope, value in self._table(scopes, f"transports.{name}").items()}
            for name, scopes in transports.items()})

    def _requirements(self, value: "Any", where: str) -> tuple[Requirement, ...]:
        if not isinstance(value, list):
            raise _wrong(self.path, where, "must be a list of requirements")
        if not value:
            raise _wrong(self.path, where, "is empty: List of verification policy requirements must not be empty")
        return tuple(self._requirement(item, f"{where}[{n}]") for n, item in enumerate(value))

    def _requirement(self, item: "Any", where: str) -> Requirement:
        kind = self._string(self._table(item, where), "type", where)
        if kind in ("insecureAcceptAnything", "reject"):
            self._table(item, where, ("type",))
            return Requirement(kind)
        if kind == "signedBaseLayer":
            self._table(item, where, ("type", "baseLayerIdentity"))
            return Requirement(kind, unsupported="signedBaseLayer")
        if kind == "signedBy":
            return self._signed_by(item, where)
        if kind == "sigstoreSigned":
            return self._sigstore_signed(item, where)
        raise _wrong(self.path, f"{where}.type", f'is "{kind}": unknown policy requirement type' + _near(
            kind, ("insecureAcceptAnything", "reject", "signedBy", "sigstoreSigned")))

    def _signed_by(self, item: "dict[str, Any]", where: str) -> Requirement:
        self._table(item, where, _SIGNED_BY)
        key_type = self._string(item, "keyType", where)
        if key_type not in _KEY_TYPES:
            raise _wrong(self.path, f"{where}.keyType", f'is "{key_type}", not one of {", ".join(_KEY_TYPES)}')
        paths, keys = self._keys(item, where, _KEY_SOURCES[:3])
        return Requirement("signedBy", key_type, paths, keys, self._identity(item, where),
                           "" if key_type == "GPGKeys" else f"keyType {key_type}")

    def _sigstore_signed(self, item: "dict[str, Any]", where: str) -> Requirement:
        self._table(item, where, _SIGSTORE)
        other = next((key for key in ("fulcio", "pki", *_REKOR) if key in item), "")
        if "fulcio" in item or "pki" in item:
            if any(key in item for key in _KEY_SOURCES):
                raise _wrong(self.path, where, "must have exactly one of keyPath, keyPaths, keyData, keyDatas, fulcio, pki")
            return Requirement("sigstoreSigned", unsupported=other)
        paths, keys = self._keys(item, where, _KEY_SOURCES)
        return Requirement("sigstoreSigned", "", paths, keys, self._identity(item, where), other)

    def _keys(self, item: "dict[str, Any]", where: str,
              sources: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
        given = [key for key in sources if key in item]
        if len(given) != 1:
            raise _wrong(self.path, where, f"must have exactly one of {', '.join(sources)}")
        source, there = given[0], f"{where}.{given[0]}"
        plural = source.endswith("s")
        values = item[source] if plural else [item[source]]
        if not isinstance(values, list) or not values or not all(isinstance(v, str) and v for v in values):
            raise _wrong(self.path, there, "must be a list of strings" if plural else "must be a string that is not empty")
        if "Path" in source:
            return tuple(values), ()
        try:
            return (), tuple(base64.b64decode(v, validate=True) for v in values)
        except binascii.Error as e:
            raise _wrong(self.path, there, f"is not base64: {e}") from e

    def _identity(self, item: "dict[str, Any]", where: str) -> Identity:
        if "signedIdentity" not in item:
            return Identity(MATCH_REPO_DIGEST_OR_EXACT)
        there = f"{where}.signedIdentity"
        table = self._table(item["signedIdentity"], there)
        for key in table:
            self._string(table, key, there)
        try:
            return parse_identity(table)
        except UsageError as e:
            raise _wrong(self.path, there, e.message) from e

    def _table(self, value: "Any", where: str, known: "Collection[str] | None" = None) -> "dict[str, Any]":
        if not isinstance(value, dict):
            raise _wrong(self.path, where, "must be an object")
        for key in value:
            if known is not None and key not in known:
                raise _wrong(self.path, where, f"has the unknown key {key!r}{_near(key, known)}")
        return value

    def _string(self, table: "dict[str, Any]", key: str, where: str) -> str:
        value = table.get(key)
        if not isinstance(value, str):
            raise _wrong(self.path, f"{where}.{key}", "is missing" if value is None else "must be a string")
        return value


def _near(word: str, known: "Collection[str]") -> str:
    import difflib

    near = difflib.get_close_matches(word, known, n=1)
    return f': did you mean "{near[0]}"?' if near else f"; known are {', '.join(known)}"
