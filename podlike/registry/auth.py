"""Credentials for registries: where they are looked up, kept and removed.

credential-helpers of registries.conf says which helpers are asked, in their order; without it that is the auth files
alone, which may name helpers of their own (credHelpers, credsStore).
Source: containers-auth.json(5), containers-registries.conf(5).
"""

import os

from podlike import log
from podlike.errors import NotFoundError, PodlikeError, RegistryError, UsageError
from podlike.registry import authfile as files
from podlike.registry import authhelper
from podlike.registry.authfile import auth_files
from podlike.registry.credentials import Credentials, parse_creds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

# The helper that is not a program: the auth files.
AUTH_FILES: "Final" = "containers-auth.json"
_BUILT_IN: "Final" = (AUTH_FILES,)


def find_credentials(repository: str, *, authfile: str | None = None,
                     helpers: "Sequence[str]" = _BUILT_IN) -> Credentials | None:
    """Credentials for domain/path: the most specific key wins; None when there are none.

    helpers: credential-helpers of registries.conf.
    Raises: UsageError when a named --authfile is missing, RegistryError when a file or helper is broken.
    """
    check_authfile(authfile)
    errors: list[RegistryError] = []
    for helper in helpers or _BUILT_IN:
        try:
            found = _from_files(repository, authfile) if helper == AUTH_FILES \
                else authhelper.get(helper, repository.partition("/")[0])
        except RegistryError as e:
            errors.append(e)
            continue
        if found:
            return found
    if errors:
        raise errors[0]
    return None


def _from_files(repository: str, authfile: str | None) -> Credentials | None:
    for path in auth_files(authfile):
        found = files.find(path, repository)
        if found:
            log.debug(f"credentials for {repository} found in {path}")
            return found
    return None


def check_authfile(path: str | None) -> None:
    """Raises: UsageError when a file that the user named does not exist."""
    if path and not os.path.exists(path):
        raise UsageError(f"credential file is not accessible: stat {path}: no such file or directory",
                         hint="Make it with: podlike login --authfile FILE REGISTRY.")


def save_credentials(key: str, credentials: Credentials, *, path: str, helpers: "Sequence[str]" = _BUILT_IN) -> str:
    """Keep credentials for a registry, or for registry/repository; returns where they went.

    path: the auth file. Raises: ConfigError, RegistryError.
    """
    errors: list[PodlikeError] = []
    for helper in helpers or _BUILT_IN:
        try:
            if helper == AUTH_FILES:
                return _save_in_file(key, credentials, path)
            _refuse_repository(key, helper)
            authhelper.store(helper, key, credentials)
            return f"credential helper: {helper}"
        except PodlikeError as e:
            errors.append(e)
    raise errors[0]


def _save_in_file(key: str, credentials: Credentials, path: str) -> str:
    with files.editing(path) as doc:
        auths = files.table(doc, "auths", path)
        helper, name = _helper_of(doc, key, path)
        if helper:
            _refuse_repository(key, helper)
            authhelper.store(helper, name, credentials)
            if name == files.HUB_KEY or helper == doc.get("credsStore"):
                auths[name] = {}  # docker's mark that the store has it
            return f"credential helper: {helper}"
        auths[key] = {"auth": credentials.basic().partition(" ")[2]}
        if credentials.identity_token:
            auths[key]["identitytoken"] = credentials.identity_token
    return path


def remove_credentials(key: str, *, path: str, helpers: "Sequence[str]" = _BUILT_IN) -> None:
    """Raises: NotFoundError when there are none to be removed; ConfigError, RegistryError."""
    removed = False
    for helper in helpers or _BUILT_IN:
        if helper == AUTH_FILES:
            removed |= _remove_from_file(key, path)
        elif not _namespaced(key):
            removed |= authhelper.erase(helper, key)
    if not removed:
        raise NotFoundError(f"not logged into {key}", hint="See who you are with: podlike login --get-login REGISTRY.")


def _remove_from_file(key: str, path: str) -> bool:
    if files.read(path) is None:
        return False
    with files.editing(path) as doc:
        auths = files.table(doc, "auths", path)
        helper, name = _helper_of(doc, key, path)
        removed = auths.pop(key, None) is not None
        if helper and not _namespaced(key):
            removed |= authhelper.erase(helper, name) | (auths.pop(name, None) is not None)
    return removed


def remove_all_credentials(*, path: str, helpers: "Sequence[str]" = _BUILT_IN) -> None:
    """Forget all that the auth file and the helpers have. Raises: ConfigError, RegistryError."""
    for helper in helpers or _BUILT_IN:
        if helper == AUTH_FILES:
            _empty_file(path)
        else:
            _erase_all(helper, lambda server: True)


def _empty_file(path: str) -> None:
    if files.read(path) is None:
        return
    with files.editing(path) as doc:
        for server, helper in files.table(doc, "credHelpers", path).items():
            authhelper.erase(str(helper), server)
        store, auths = doc.get("credsStore"), files.table(doc, "auths", path)
        if isinstance(store, str) and store:
            _erase_all(store, lambda server: server in auths)
        auths.clear()


def _erase_all(helper: str, wanted: "Callable[[str], bool]") -> None:
    for server in authhelper.servers(helper):
        if wanted(server):
            authhelper.erase(helper, server)


def _helper_of(doc: "dict[str, Any]", key: str, path: str) -> tuple[str, str]:
    """(helper that the file names for a key, or "", what the helper calls it)."""
    host = key.removeprefix("https://").partition("/")[0] if "://" in key else key
    own = files.table(doc, "credHelpers", path).get(host)
    if isinstance(own, str) and own:
        return own, host
    store = doc.get("credsStore")
    return (store, files.helper_key(host)) if isinstance(store, str) and store and "/" not in host else ("", key)


def _namespaced(key: str) -> bool:
    """Whether a key is for a part of a registry, which helpers do not know."""
    return "://" not in key and "/" in key


def _refuse_repository(key: str, helper: str) -> None:
    if _namespaced(key):
        raise RegistryError(f"store credentials for {key}: namespaced key is not supported for credential helper {helper}",
                            hint="Log in to the registry as a whole, or take it out of credHelpers.")


__all__ = ["AUTH_FILES", "Credentials", "auth_files", "check_authfile", "find_credentials", "parse_creds",
           "remove_all_credentials", "remove_credentials", "save_credentials"]
