"""Clients for registries: which credentials, certificates and trust in the network go with which host."""

import os

from podlike.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from podlike.registries_conf import RegistriesConf
    from podlike.registry.client import Client
    from podlike.registry.credentials import Credentials
else:
    from podlike.spec.record import NamedTuple


class Access(NamedTuple):
    """What the command line says about reaching registries.

    tls_verify: None: as registries.conf says. creds: USER[:PASSWORD] instead of what is in authfile.
    """

    tls_verify: bool | None = None
    creds: str | None = None
    authfile: str | None = None
    cert_dir: str | None = None


def open_client(conf: "RegistriesConf", repository: str, *, access: Access, insecure: bool = False, primary: str = "",
                credentials: "Credentials | None" = None, retries: int = 3, retry_delay: float | None = None,
                persist: bool = False) -> "tuple[Client, str]":
    """(client of the registry, path of the repository in it) for domain/path; a domain alone has the path "".

    insecure: what registries.conf says of this place. primary: the host that serves what the user named, where
    repository is on a mirror: --creds are for nobody else. credentials: instead of any others.
    Raises: UsageError, RegistryError.
    """
    from podlike.registry.auth import find_credentials, parse_creds
    from podlike.registry.client import Client, Options

    domain, _, path = repository.partition("/")
    if credentials is not None:
        creds: Credentials | None = credentials
    elif access.creds and domain == (primary or domain):
        creds = parse_creds(access.creds)
    else:
        creds = find_credentials(repository, authfile=access.authfile, helpers=conf.credential_helpers)
    verify = access.tls_verify if access.tls_verify is not None else False if insecure else None
    return Client(domain, credentials=creds, options=Options(
        verify=verify, cert_dir=access.cert_dir, persist=persist, retries=retries, retry_delay=retry_delay,
        timeout=_timeout())), path


def _timeout() -> float:
    """Seconds for which a registry may say nothing: $PODLIKE_REGISTRY_TIMEOUT, a duration. Raises: UsageError."""
    from podlike.registry.client import Options
    from podlike.spec.durations import parse_duration

    given = os.environ.get("PODLIKE_REGISTRY_TIMEOUT", "")
    return parse_duration(given) if given else Options().timeout


def open_registry(conf: "RegistriesConf", domain: str, *, access: Access,
                  credentials: "Credentials | None" = None) -> "Client":
    """A client for a registry as a whole: login, search. Raises: ConfigError when it is blocked; as open_client()."""
    registry = conf.find(domain)
    if registry is not None and registry.blocked:
        raise ConfigError(f"registry {registry.prefix} is blocked in {registry.source}",
                          hint=f'Set "blocked = false" for it in {registry.source}, or use another registry.')
    return open_client(conf, domain, access=access, insecure=registry is not None and registry.primary.insecure,
                       credentials=credentials)[0]
