"""From a repository's name and the user's options to a client of its registry."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from podlike.engine.core import Engine
    from podlike.registry.client import Client

    class RegistryOptions(Protocol):
        """What PullOptions and PushOptions share: how to reach a registry and as whom."""

        @property
        def tls_verify(self) -> bool | None: ...
        @property
        def creds(self) -> str | None: ...
        @property
        def authfile(self) -> str | None: ...
        @property
        def cert_dir(self) -> str | None: ...
        @property
        def retries(self) -> int | None: ...
        @property
        def retry_delay(self) -> float | None: ...


def connect(engine: "Engine", repository: str, options: "RegistryOptions", *, insecure: bool) -> "tuple[Client, str]":
    """(client of the registry, path of the repository there); nothing is sent yet.

    repository: domain/path. insecure: what registries.conf says, where the user has said nothing.
    Raises: UsageError, RegistryError for credentials that cannot be read.
    """
    from podlike.registry.auth import find_credentials, parse_creds
    from podlike.registry.client import Client, Options

    domain, _, path = repository.partition("/")
    creds = parse_creds(options.creds) if options.creds else find_credentials(repository, authfile=options.authfile)
    verify = options.tls_verify if options.tls_verify is not None else False if insecure else None
    settings = engine.config.engine
    return Client(domain, credentials=creds, options=Options(
        verify=verify, cert_dir=options.cert_dir, persist=options.retries is not None,
        retry_delay=options.retry_delay, retries=settings.retry if options.retries is None else options.retries)), path
