"""HTTP to one registry: scheme, TLS, proxies, redirects, retries, and errors in words.

urllib3 gives connection pools, TLS and proxies; redirects and retries are ours, because the first must drop
credentials between hosts and the second must know what may be tried again.
"""

import random
import threading
import time
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from podlike import __version__, log
from podlike.errors import RegistryError
from podlike.registry import tls
from podlike.registry.proxy import is_loopback, make_pool, no_password, proxy_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Final, NamedTuple
    from urllib.parse import SplitResult

    from urllib3 import BaseHTTPResponse
else:
    from podlike.spec.record import NamedTuple

USER_AGENT: "Final" = f"podlike/{__version__}"
# Go's client gives up after as many.
MAX_REDIRECTS: "Final" = 10
# docker hub's Retry-After can be hours: waiting is for hiccups, longer limits are reported.
MAX_RETRY_AFTER_S: "Final" = 60.0
# An error page is read no further than this.
ERROR_BODY_MAX: "Final" = 64 * 1024
# Reading so much costs less than a new connection: the bodies of redirects and of 401.
DRAIN_MAX: "Final" = 4096
_REDIRECTS: "Final" = (301, 302, 303, 307, 308)
_TRANSIENT: "Final" = (408, 429, 500, 502, 503, 504)
_HOST_ALIASES: "Final" = {"docker.io": "registry-1.docker.io"}


class Options(NamedTuple):
    """How to talk.

    verify: True: only HTTPS with a valid certificate. False: any certificate, and plain HTTP where there is no
    TLS. None: True, except that registries on loopback need no TLS, because nobody is in between.
    cert_dir: instead of certs.d/HOST. retries: further tries after a transient failure; retry_delay: seconds
    before the first, None: half a second, doubled each time. persist: also try again when nobody listens.
    timeout: seconds without a byte.
    """

    verify: bool | None = None
    cert_dir: str | None = None
    retries: int = 3
    retry_delay: float | None = None
    persist: bool = False
    timeout: float = 60.0


class Cancelled(RegistryError):
    """Another part of the same operation failed, or the user interrupted it."""


class Body:
    """What is sent in one request: size bytes, read anew for each sending.

    pieces: called at each sending, yields bytes.
    """

    __slots__ = ("pieces", "size")

    def __init__(self, pieces: "Callable[[], Iterator[bytes]]", size: int) -> None:
        self.pieces = pieces
        self.size = size


class Transport:
    """HTTP to one registry host and to where it redirects. Safe for threads; close() ends it, abort() at once."""

    def __init__(self, host: str, options: Options | None = None, *, cancel: threading.Event | None = None) -> None:
        self.host = host
        self.options = options or Options()
        self._cancel = threading.Event() if cancel is None else cancel
        self._lock = threading.Lock()
        self._finding = threading.Lock()
        self._active: set[BaseHTTPResponse] = set()
        self._managers: dict[str, urllib3.PoolManager] = {}
        verify = self.options.verify
        self.loopback = is_loopback(host)
        self._strict = verify if verify is not None else not self.loopback
        # Asking loopback in clear first saves loading the TLS roots; a TLS server says so at once.
        self._schemes = ["https"] if self._strict else ["http", "https"] if self.loopback else ["https", "http"]
        self._reached = False

    @property
    def base(self) -> str:
        """https://host or http://host, as far as it is known by now."""
        return f"{self._schemes[0]}://{_HOST_ALIASES.get(self.host, self.host)}"

    def get(self, path: str, headers: "Mapping[str, str]", *, method: str = "GET") -> "BaseHTTPResponse":
        """Ask the registry for a path; the body is not read yet. Redirects are followed.

        Returns any answer that is not transient, 4xx included. Pass it to finish() in the end.
        Raises: RegistryError in podman's words.
        """
        try:
            return self._ask(method, path, headers)
        except HTTPError as e:
            raise self.explain(e) from e

    def fetch(self, url: str, headers: "Mapping[str, str]", *, method: str = "GET",
              body: bytes | None = None) -> "BaseHTTPResponse":
        """The same for any URL: a token server, or where a foreign layer lies. Raises: RegistryError."""
        try:
            return self._retrying(method, url, headers, body)
        except HTTPError as e:
            raise self.explain(e, url=url) from e

    def send(self, method: str, url: str, headers: "Mapping[str, str]",
             body: "bytes | Body | None" = None) -> "BaseHTTPResponse":
        """get() for any method and for the whole URLs that a registry's answers name.

        A Body is tried once: how much of it arrived is the caller's to find out. HTTPError is raised as it is then.
        Raises: RegistryError, for a Body also HTTPError.
        """
        if isinstance(body, Body):
            return self._once(method, self.absolute(url), headers, body)
        try:
            if not self._reached and url.startswith("/"):
                return self._ask(method, url, headers, body)
            return self._retrying(method, self.absolute(url), headers, body)
        except HTTPError as e:
            raise self.explain(e) from e

    def absolute(self, url: str) -> str:
        """A whole URL of one that may be relative to the registry. Raises: RegistryError for what is no http URL."""
        try:
            whole = urljoin(self.base + "/", url)
            parts = urlsplit(whole)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise RegistryError(f"registry {self.host} names no usable place: {url[:200]!r}",
                                hint="Report this to the registry's administrator.")
        if parts.scheme == "http" and self._strict:
            raise RegistryError(f"registry {self.host} sends to {parts.netloc}, which has no TLS",
                                hint="Use --tls-verify=false if you trust the network in between.")
        return whole

    def is_own(self, url: str) -> bool:
        """Whether a URL leads to the registry itself: to its scheme, host and port."""
        return _origin(urlsplit(self.base)) == _origin(urlsplit(urljoin(self.base + "/", url)))

    def finish(self, response: "BaseHTTPResponse") -> None:
        """Give the connection back; it is used again if little or nothing of the body is left to read."""
        with self._lock:
            self._active.discard(response)
        left = response.length_remaining
        if left is not None and left <= DRAIN_MAX and not self._cancel.is_set():
            response.drain_conn()
            response.release_conn()
        else:
            response.close()

    def read(self, response: "BaseHTTPResponse", limit: int) -> bytes:
        """The body, at most limit + 1 bytes of it, so that the caller sees when there was more."""
        parts, size = [], 0
        try:
            while size <= limit and (data := response.read(limit + 1 - size, decode_content=False)):
                parts.append(data)
                size += len(data)
        except HTTPError as e:
            raise self.explain(e) from e
        finally:
            self.finish(response)
        return b"".join(parts)

    def sleep(self, seconds: float) -> None:
        """Wait; Raises: Cancelled when abort() is called meanwhile."""
        if self._cancel.wait(seconds):
            raise Cancelled("cancelled")

    def check(self) -> None:
        """Raises: Cancelled after abort()."""
        if self._cancel.is_set():
            raise Cancelled("cancelled")

    def abort(self) -> None:
        """Make every thread that reads or waits here stop with Cancelled or a broken connection."""
        self._cancel.set()
        with self._lock:
            active, self._active = self._active, set()
        for response in active:
            try:
                # shutdown(2) wakes a thread that sleeps in recv(2); close(2) would not.
                response.shutdown()
            except (AttributeError, ValueError, RuntimeError, OSError):
                pass

    def close(self) -> None:
        for manager in self._managers.values():
            manager.clear()

    def back_off(self, attempt: int) -> None:
        """Wait before the try after failure number `attempt`, counted from 1. Raises: Cancelled."""
        first = self.options.retry_delay
        # The jitter keeps many machines that failed together from coming back together.
        self.sleep(first if first is not None else 0.5 * 2 ** (attempt - 1) * random.uniform(0.8, 1.2))

    def reason(self, e: HTTPError) -> str:
        """Only the cause, in Go's words."""
        return _words(e, urlsplit(self.base).netloc, self.host)[0]

    def explain(self, e: HTTPError, *, url: str = "") -> RegistryError:
        """The error in podman's words, with what to do about it."""
        target = url or f"{self.base}/v2/"
        words, hint = _words(e, urlsplit(target).netloc, self.host)
        prefix = f"pinging container registry {self.host}: " if not url and not self._reached else ""
        return RegistryError(f'{prefix}Get "{target.partition("?")[0]}": {words}', hint=hint)

    def _ask(self, method: str, path: str, headers: "Mapping[str, str]", body: bytes | None = None) -> "BaseHTTPResponse":
        """The first request of all finds out whether the registry speaks TLS; the others wait for it."""
        if not self._reached:
            with self._finding:
                if not self._reached:
                    return self._find(method, path, headers, body)
        return self._retrying(method, self.base + path, headers, body)

    def _find(self, method: str, path: str, headers: "Mapping[str, str]", body: bytes | None) -> "BaseHTTPResponse":
        attempt = 0
        while True:
            try:
                return self._try_schemes(method, path, headers, body)
            except NewConnectionError as e:
                # With one scheme left _retrying() has tried as often as is allowed.
                if attempt >= self.options.retries or len(self._schemes) < 2 or not self._may_retry(e):
                    raise
                attempt += 1
                self._pause(attempt, e)

    def _try_schemes(self, method: str, path: str, headers: "Mapping[str, str]",
                     body: bytes | None) -> "BaseHTTPResponse":
        if len(self._schemes) > 1:
            first: HTTPError | None = None
            try:
                response = self._once(method, self.base + path, headers, body)
            except (SSLError, ProtocolError, NewConnectionError, ConnectTimeoutError) as e:
                first = e
            else:
                # What Go, nginx and others answer to clear text on a TLS port is a 400 without JSON.
                if self.base.startswith("https") or response.status != 400 or _is_json(response):
                    self._settle()
                    return self._transient(response, method, self.base + path, headers, body)
                self.finish(response)
            if isinstance(first, (NewConnectionError, ConnectTimeoutError)) and ":" in self.host:
                raise first  # The port is the same for both schemes.
            log.debug(f"registry {self.host} does not answer as {self._schemes[0]}: {first}")
            scheme = self._schemes.pop(0)
            try:
                response = self._retrying(method, self.base + path, headers, body)
            except SSLError as e:
                if not isinstance(first, ProtocolError) or not tls.speaks_no_tls(str(e)):
                    raise
                # The connection broke by accident, not because clear text is not understood.
                self._schemes[:] = [scheme]
            else:
                self._settle()
                return response
        response = self._retrying(method, self.base + path, headers, body)
        self._settle()
        return response

    def _settle(self) -> None:
        del self._schemes[1:]
        self._reached = True

    def _retrying(self, method: str, url: str, headers: "Mapping[str, str]",
                  body: bytes | None = None) -> "BaseHTTPResponse":
        attempt = 0
        while True:
            try:
                return self._transient(self._once(method, url, headers, body), method, url, headers, body)
            except HTTPError as e:
                self.check()
                if attempt >= self.options.retries or not self._may_retry(e):
                    raise
                attempt += 1
                self._pause(attempt, e)

    def _transient(self, response: "BaseHTTPResponse", method: str, url: str, headers: "Mapping[str, str]",
                   body: bytes | None) -> "BaseHTTPResponse":
        """Ask again while the answer says "later"; the last answer is returned whatever it is."""
        for attempt in range(1, self.options.retries + 1):
            if response.status not in _TRANSIENT:
                break
            wait = _retry_after(response.headers.get("Retry-After"))
            if wait is not None and wait > MAX_RETRY_AFTER_S:
                break
            self.finish(response)
            self._pause(attempt, f"HTTP status {response.status}", wait)
            response = self._once(method, url, headers, body)
        return response

    def _pause(self, attempt: int, why: HTTPError | str, wait: float | None = None) -> None:
        """Before try number `attempt` + 1. Who asked to be patient with a registry that is away is told of it."""
        if isinstance(why, NewConnectionError) and self.options.persist:
            delay = f"in {self.options.retry_delay:g}s " if self.options.retry_delay else ""
            log.warning(f"Failed, retrying {delay}... ({attempt}/{self.options.retries}). "
                        f"Error: initializing: {self.explain(why).message}")
        else:
            log.debug(f"registry {self.host}: {why}; retry {attempt} of {self.options.retries}")
        if wait is None:
            self.back_off(attempt)
        else:
            self.sleep(wait)

    def _may_retry(self, e: HTTPError) -> bool:
        if isinstance(e, (NewConnectionError, NameResolutionError)):
            return self.options.persist
        return not isinstance(e, (SSLError, ProxyError))

    def _once(self, method: str, url: str, headers: "Mapping[str, str]",
              body: "bytes | Body | None") -> "BaseHTTPResponse":
        """One request with its redirects."""
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        if isinstance(body, Body):
            headers["Content-Length"] = str(body.size)
        start = url
        for _ in range(MAX_REDIRECTS + 1):
            self.check()
            response = self._manager(url).urlopen(
                method, url, headers=headers, body=body.pieces() if isinstance(body, Body) else body,
                redirect=False, retries=False,
                preload_content=False, decode_content=False,
                timeout=urllib3.Timeout(connect=min(15.0, self.options.timeout), read=self.options.timeout))
            with self._lock:
                self._active.add(response)
            self.check()  # abort() may have come before the response was known to it
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response
            self.finish(response)
            url, headers = self._redirected(url, location, headers, body=body is not None and method == "POST")
            if method == "POST" and response.status in (301, 302, 303):
                method, body = "GET", None
        raise RegistryError(f'Get "{start.partition("?")[0]}": stopped after {MAX_REDIRECTS} redirects',
                            hint=f"The registry {self.host} sends its clients in circles: tell its administrator.")

    def _redirected(self, url: str, location: str, headers: "dict[str, str]", *,
                    body: bool) -> "tuple[str, dict[str, str]]":
        """Where a Location leads from url, and the headers to go there with. body: a form, which may be secret."""
        try:
            target = urljoin(url, location)
            old, new = urlsplit(url), urlsplit(target)
            same = _origin(old) == _origin(new)
        except ValueError as e:
            raise RegistryError(f"registry {self.host} redirects to an address that is none: "
                                f"{''.join(c if c.isprintable() else '?' for c in location)[:200]!r}",
                                hint="Report this to the registry's administrator.") from e
        if new.scheme not in ("http", "https") or not new.hostname or (new.scheme == "http" and self._strict):
            raise RegistryError(f"registry {self.host} redirects from {old.scheme} to {new.scheme}://{new.netloc}",
                                hint="Use --tls-verify=false if you trust the network in between.")
        if same:
            return target, headers
        if body:
            raise RegistryError(f"registry {self.host} redirects a request that has credentials in it from {old.netloc} "
                                f"to {new.netloc}", hint="Report this to the registry's administrator.")
        return target, {k: v for k, v in headers.items() if k.lower() not in ("authorization", "cookie")}

    def _manager(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = proxy_for(parts.scheme, parts.hostname or "", parts.port) or ""
        with self._lock:
            # A registry on loopback may do without TLS; one that has it must prove who it is, as any other.
            strict = self.options.verify is not False
            key = f"{parts.scheme} {strict} {proxy}"
            if key not in self._managers:
                context = tls.make_context(self.host, cert_dir=self.options.cert_dir, strict=strict) \
                    if parts.scheme == "https" else None
                self._managers[key] = make_pool(proxy, context, self.host)
            return self._managers[key]


def _origin(parts: "SplitResult") -> tuple[str, str | None, int | None]:
    """Who answers for a URL. Raises: ValueError."""
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _is_json(response: "BaseHTTPResponse") -> bool:
    return "json" in response.headers.get("Content-Type", "")


def _retry_after(value: str | None) -> float | None:
    """Seconds: the header has a number of them or a date. Source: RFC 9110 10.2.3."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _words(e: HTTPError, address: str, host: str) -> tuple[str, str]:
    """(Go's words, hint) for a failure below HTTP."""
    again = "Check the network and try again: what was received is kept."
    if isinstance(e, NameResolutionError):
        name = urlsplit(f"//{address}").hostname
        return f"dial tcp: lookup {name}: no such host", \
            "Check the spelling of the registry and your DNS; behind a proxy set HTTPS_PROXY."
    if isinstance(e, ProxyError):
        return f"proxyconnect: {no_password(str(e.original_error))}", "Check HTTPS_PROXY and NO_PROXY."
    if isinstance(e, SSLError):
        return tls.explain(str(e), host)
    if isinstance(e, ConnectTimeoutError) and not isinstance(e, NewConnectionError):
        return f"dial tcp {address}: i/o timeout", "Check that the address is right and no firewall is in between."
    if isinstance(e, NewConnectionError):
        cause = e.__cause__ or e.__context__
        if type(cause).__module__ == "socks":
            return f"proxyconnect: {no_password(str(cause))}", "Check HTTPS_PROXY and NO_PROXY."
        why = getattr(cause, "strerror", None) or str(e).rpartition(": ")[2]
        return f"dial tcp {address}: connect: {why[:1].lower()}{why[1:]}", \
            f"Check that a registry listens on {address}."
    if isinstance(e, ReadTimeoutError):
        return "timeout awaiting response", again
    return f"connection broken: {_root(e)}", again


def _root(e: BaseException) -> str:
    """The words at the bottom of urllib3's nested exceptions."""
    while True:
        inner = e.__cause__ or e.__context__ or next((a for a in e.args if isinstance(a, BaseException)), None)
        if inner is None:
            return getattr(e, "strerror", None) or str(e)
        e = inner
