"""From a repository's name and the user's options to a client of its registry."""

from podlike.engine.access import Access, open_client

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


def connect(engine: "Engine", repository: str, options: "RegistryOptions", *, insecure: bool,
            primary: str = "") -> "tuple[Client, str]":
    """(client of the registry, path of the repository there); nothing is sent yet.

    repository: domain/path. insecure: what registries.conf says, where the user has said nothing.
    primary: the host that serves what the user named, where repository is on a mirror: --creds are for nobody else.
    Raises: UsageError, RegistryError for credentials that cannot be read.
    """
    from podlike.registries_conf import load_registries_conf
    from podlike.spec.durations import parse_duration

    access = Access(options.tls_verify, options.creds, options.authfile, options.cert_dir)
    settings = engine.config.engine
    retries = settings.retry if options.retries is None else options.retries
    delay = options.retry_delay
    if delay is None and settings.retry_delay:
        delay = parse_duration(settings.retry_delay)
    return open_client(load_registries_conf(), repository, access=access, insecure=insecure, primary=primary,
                       retries=retries, retry_delay=delay, persist=options.retries is not None)
