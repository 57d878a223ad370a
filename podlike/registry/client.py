"""The OCI distribution protocol, reading side: tokens, manifests, blobs, tags.

Everything that comes back is untrusted: sizes are bounded, digests checked, texts cleaned before they are shown.
Source: OCI distribution spec 1.1, docker's token authentication specification.
"""

import hashlib
import json
import re
import threading
from urllib.parse import urljoin, urlsplit

from urllib3.exceptions import HTTPError

from podlike import log
from podlike.errors import NotFoundError, RegistryError
from podlike.registry.authtoken import LOGIN_HINT, Authorizer, UnauthorizedError, clean, error_words, parse_challenges
from podlike.registry.credentials import Credentials
from podlike.registry.transport import ERROR_BODY_MAX, Body, Cancelled, Options, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Final, NamedTuple

    from urllib3 import BaseHTTPResponse
else:
    from podlike.spec.record import NamedTuple

OCI_INDEX: "Final" = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: "Final" = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST: "Final" = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: "Final" = "application/vnd.docker.distribution.manifest.v2+json"
_ACCEPT: "Final" = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))
_SCHEMA1: "Final" = "application/vnd.docker.distribution.manifest.v1+"
# The distribution spec asks registries to take manifests of up to 4 MiB.
MANIFEST_MAX: "Final" = 4 * 1024 * 1024
# Big enough that a thread switch a chunk costs nothing, small enough that four layers at once stay in cache.
CHUNK: "Final" = 1024 * 1024
# Broken connections one after another that brought next to nothing each.
MAX_STALLS: "Final" = 5
PROGRESS: "Final" = 64 * 1024
_LINK_MAX: "Final" = 8192
_LINK_NEXT = re.compile(r'<([^>]*)>\s*;.*\brel="?next"?')
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Manifest(NamedTuple):
    """A manifest or an index as it was received; digest is computed from data."""

    data: bytes
    media_type: str
    digest: str


class Client:
    """One registry host. Threads may share it."""

    def __init__(self, host: str, *, credentials: Credentials | None = None, options: Options | None = None,
                 cancel: threading.Event | None = None) -> None:
        self.host = host
        self._http = Transport(host, options, cancel=cancel)
        self._auth = Authorizer(self._http, credentials)

    def manifest(self, path: str, identifier: str) -> Manifest:
        """Fetch a manifest by tag or digest; a digest is verified.

        Raises: NotFoundError, RegistryError.
        """
        what = f"reading manifest {identifier} in {self.host}/{path}"
        response = self._get(path, f"/v2/{path}/manifests/{identifier}", what, {"Accept": _ACCEPT})
        header = response.headers.get("Docker-Content-Digest", "")
        content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        data = self._http.read(response, MANIFEST_MAX)
        if len(data) > MANIFEST_MAX:
            raise RegistryError(f"{what}: it is larger than {MANIFEST_MAX} bytes",
                                hint="Report this to the owner of the image.")
        digest = _check_manifest_digest(data, identifier, header, what)
        return Manifest(data, _media_type(data, content_type, what), digest)

    def manifest_digest(self, path: str, tag: str) -> str:
        """The digest that a tag has now, without its manifest where the registry allows (HEAD)."""
        what = f"reading manifest {tag} in {self.host}/{path}"
        response = self._get(path, f"/v2/{path}/manifests/{tag}", what, {"Accept": _ACCEPT}, method="HEAD")
        digest = response.headers.get("Docker-Content-Digest", "")
        self._http.finish(response)
        return digest if digest.startswith("sha256:") else self.manifest(path, tag).digest

    def tags(self, path: str) -> list[str]:
        """All tags of a repository. Raises: NotFoundError, RegistryError."""
        what = f"fetching tags list of {self.host}/{path}"
        found: list[str] = []
        url: str | None = f"/v2/{path}/tags/list?n=1000"
        for _ in range(1000):  # a registry that always names a next page must not hold us for ever
            if url is None:
                break
            response = self._get(path, url, what, {"Accept": "application/json"})
            following = next_page(url, response.headers)
            doc = _json_object(self._http.read(response, MANIFEST_MAX), what)
            found += [t for t in doc.get("tags") or [] if isinstance(t, str)]
            url = following
        return found

    def small_blob(self, path: str, digest: str, size: int, *, limit: int = MANIFEST_MAX) -> bytes:
        """A blob that is read into memory: an image's config. Its digest is verified.

        Raises: RegistryError.
        """
        what = f"reading blob {digest} in {self.host}/{path}"
        if not 0 <= size <= limit:
            raise RegistryError(f"{what}: its size of {size} bytes is not between 0 and {limit}",
                                hint="Report this to the owner of the image.")
        data = b"".join(self.blob(path, digest, size=size))
        _check_digest(data, digest, what)
        return data

    def blob(self, path: str, digest: str, *, size: int, offset: int = 0,
             urls: "Sequence[str]" = ()) -> "Iterator[bytes]":
        """The bytes of a blob from offset on, to exactly size; the caller verifies the digest.

        A connection that breaks is taken up again where it broke, as long as it goes forward.
        urls: where a foreign layer may be had if the registry does not keep it.
        Raises: NotFoundError, RegistryError, Cancelled.
        """
        what = f"reading blob {digest} in {self.host}/{path}"
        at, stalls = offset, 0
        while at < size:
            before, broken = at, ""
            response = self._open_blob(path, digest, at, size, urls, what)
            try:
                while at < size:
                    data = response.read(CHUNK, decode_content=False)
                    self._http.check()
                    if not data:
                        break
                    if at + len(data) > size:
                        raise RegistryError(f"{what}: the registry sends more than the {size} bytes of its manifest",
                                            hint="Report this to the registry's administrator.")
                    at += len(data)
                    yield data
            except (HTTPError, OSError) as e:
                self._http.check()
                broken = self._http.reason(e) if isinstance(e, HTTPError) else str(e)
            finally:
                self._http.finish(response)
            if at < size:
                stalls = 0 if at - before >= PROGRESS else stalls + 1
                self._resume_later(stalls, at, size, broken, what)

    def read(self, url: str, what: str, *, scope: str = "", limit: int = MANIFEST_MAX) -> "tuple[bytes, Mapping[str, str]]":
        """(body, headers) of what the registry has at a path, for everything that has no method of its own.

        scope: as token servers call it, "registry:catalog:*". what: for messages. Raises: NotFoundError, RegistryError.
        """
        response = self.request("", url, what, {"Accept": "application/json"}, access=[scope] if scope else [])
        data = self._http.read(response, limit)
        if len(data) > limit:
            raise RegistryError(f"{what}: the answer is larger than {limit} bytes",
                                hint="Report this to the registry's administrator.")
        return data, response.headers

    def fetch(self, url: str, what: str, *, limit: int) -> bytes | None:
        """What lies at any URL, asked for without credentials; None when there is nothing (404). Raises: RegistryError."""
        response = self._http.fetch(url, {})
        if response.status == 404:
            self._http.finish(response)
            return None
        if response.status != 200:
            raise self._refused(response, what)
        data = self._http.read(response, limit)
        if len(data) > limit:
            raise RegistryError(f"{what}: it is larger than {limit} bytes", hint="Report this to the server's administrator.")
        return data

    def abort(self) -> None:
        """Make all threads that use this client stop soon."""
        self._http.abort()

    def check(self) -> None:
        """Raises: Cancelled after abort()."""
        self._http.check()

    def close(self) -> None:
        self._http.close()

    # For upload.py, which writes where this reads

    def finish(self, response: "BaseHTTPResponse") -> None:
        """The answer is not needed any more."""
        self._http.finish(response)

    def refusal(self, response: "BaseHTTPResponse", what: str) -> RegistryError | NotFoundError:
        """The error for an answer; its body is read."""
        return self._refused(response, what)

    def reason(self, e: HTTPError) -> str:
        return self._http.reason(e)

    def absolute(self, url: str) -> str:
        """A whole URL of one that an answer named. Raises: RegistryError."""
        return self._http.absolute(url)

    def pause(self, stalls: int, why: str) -> None:
        """Wait longer with every failure in a row. Raises: Cancelled."""
        log.debug(f"registry {self.host}: {why}")
        if stalls:
            self._http.back_off(stalls)
        else:
            self._http.check()

    # Blobs

    def _open_blob(self, path: str, digest: str, at: int, size: int, urls: "Sequence[str]",
                   what: str) -> "BaseHTTPResponse":
        """A response whose body begins at byte `at` of the blob."""
        headers = {"Range": f"bytes={at}-"} if at else {}
        try:
            response = self._get(path, f"/v2/{path}/blobs/{digest}", what, headers, ok=(200, 206, 416))
            if response.status == 416:  # a server that does not count as we do may still have all of it
                self._http.finish(response)
                response = self._get(path, f"/v2/{path}/blobs/{digest}", what, {}, ok=(200, 206))
        except NotFoundError:
            if not urls:
                raise
            response = self._open_foreign(urls, headers, what)
        try:
            start = _body_start(response, at, size, what)
            while start < at:
                skipped = response.read(min(CHUNK, at - start), decode_content=False)
                self._http.check()
                if not skipped:
                    raise RegistryError(f"{what}: the registry cannot go on at byte {at} and broke off before",
                                        hint="Try again; what was received is kept.")
                start += len(skipped)
        except HTTPError as e:
            self._http.finish(response)
            raise self._http.explain(e) from e
        except BaseException:
            self._http.finish(response)
            raise
        return response

    def _open_foreign(self, urls: "Sequence[str]", headers: "dict[str, str]", what: str) -> "BaseHTTPResponse":
        tried = []
        for url in urls:
            if not url.startswith(("https://", "http://")):
                continue
            response = self._http.fetch(url, headers)
            if response.status in (200, 206):
                return response
            self._http.finish(response)
            tried.append(f"{urlsplit(url).netloc}: status {response.status}")
        raise NotFoundError(f"{what}: foreign layer is not available ({', '.join(tried) or 'no usable URL'})",
                            hint="Ask the owner of the image where its foreign layers are.")

    def _resume_later(self, stalls: int, at: int, size: int, broken: str, what: str) -> None:
        if stalls >= MAX_STALLS:
            raise RegistryError(f"{what}: the connection broke {stalls} times at byte {at} of {size}"
                                + (f": {broken}" if broken else ""),
                                hint="Try again later: what was received is kept and the pull goes on from there.")
        log.debug(f"{what}: broke off at byte {at} of {size}, resuming: {broken or 'end of data'}")
        if stalls:
            self._http.back_off(stalls)
        else:
            self._http.check()

    # Requests and tokens

    def request(self, path: str, url: str, what: str, headers: "dict[str, str]", *, method: str = "GET",
                ok: tuple[int, ...] = (200,), access: "Sequence[str] | None" = None, body: "bytes | Body | None" = None,
                ) -> "BaseHTTPResponse":
        """A response with one of the wanted statuses; authenticates when asked to.

        url: beneath the registry, or whole where an answer named it. access: token scopes; to pull from path
        if it is None. body: bytes are sent again where that helps, a Body is sent at most once a request.
        Raises: NotFoundError, RegistryError; HTTPError of a Body that did not get through.
        """
        scope = f"repository:{path}:pull" if access is None else " ".join(access)
        for attempt in range(2):
            used = self._auth.header(scope)
            # A whole URL may lead to another host, which credentials of this one do not concern.
            auth = {"Authorization": used} if used and self._http.is_own(url) else {}
            response = self._http.send(method, url, {**headers, **auth}, body)
            if response.status != 401 or attempt:
                break
            challenges = response.headers.getlist("WWW-Authenticate")
            self._http.finish(response)
            self._auth.challenged(challenges, scope, used, what)
        if response.status in ok:
            return response
        error = self._refused(response, what)
        if response.status == 401 and not self._auth.anonymous:
            error.hint = f"The registry does not take these credentials: podlike login {self.host}."
        raise error

    def _get(self, path: str, url: str, what: str, headers: "dict[str, str]", *, method: str = "GET",
             ok: tuple[int, ...] = (200,)) -> "BaseHTTPResponse":
        return self.request(path, url, what, headers, method=method, ok=ok)

    def _refused(self, response: "BaseHTTPResponse", what: str) -> RegistryError | NotFoundError:
        """The error for an answer that is not what was asked for."""
        html = "html" in response.headers.get("Content-Type", "")
        wait = response.headers.get("Retry-After", "")
        code, words = error_words(self._http.read(response, ERROR_BODY_MAX))
        status = response.status
        if html and not code:
            return _web_page(f"{what}: status {status}", self.host)
        if status == 404:
            kind = "blob unknown" if "blob" in what[:14] else "manifest unknown"
            words = f"{code}: {words}" if code and words else words or code or kind
            return NotFoundError(f"{what}: {words}",
                                 hint="Check the spelling of name and tag; private images may need: "
                                      f"podlike login {self.host}.")
        if status in (401, 403):
            default = "authentication required" if status == 401 else "requested access to the resource is denied"
            code = "" if status == 401 and code in ("", "unauthorized") else f"{code or 'denied'}: "
            refusal = UnauthorizedError if status == 401 else RegistryError
            return refusal(f"{what}: {code}{words or default}",
                           hint="It does not exist or is private. " + LOGIN_HINT.format(self.host))
        if status == 429:
            return RegistryError(f"{what}: toomanyrequests: {words or 'too many requests to registry'}",
                                 hint=(f"Wait {clean(wait)} seconds" if wait.isdigit() else "Wait")
                                 + f", or log in for a higher limit: podlike login {self.host}.")
        return RegistryError(f"{what}: unexpected status {status}" + (f": {words}" if words else ""),
                             hint="Try again later; if it stays, tell the registry's administrator.")


def next_page(url: str, headers: "Mapping[str, str]") -> str | None:
    """Path and query of the page after url, by its Link header; always at the same registry."""
    link = _LINK_NEXT.search(headers.get("Link", "")[:_LINK_MAX])
    try:
        following = urlsplit(urljoin(url, link.group(1))) if link else None
    except ValueError:
        return None
    page = following._replace(scheme="", netloc="", fragment="").geturl() if following else url
    return page if page != url and page.startswith("/") else None


def _body_start(response: "BaseHTTPResponse", at: int, size: int, what: str) -> int:
    """At which byte of the blob the body begins; checks what the headers say about the size."""
    if response.status == 200:
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) != size:
            raise RegistryError(f"{what}: the registry has {length} bytes, the manifest says {size}",
                                hint="Report this to the registry's administrator.")
        return 0
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if not match or int(match.group(1)) != at or match.group(3) not in ("*", str(size)):
        raise RegistryError(f"{what}: asked for byte {at} of {size}, the registry answers with "
                            f"{clean(response.headers.get('Content-Range', 'no range'))!r}",
                            hint="Report this to the registry's administrator.")
    return at


def _check_digest(data: bytes, digest: str, what: str) -> None:
    algorithm, _, value = digest.partition(":")
    if algorithm not in ("sha256", "sha384", "sha512"):
        raise RegistryError(f"{what}: unsupported digest algorithm {clean(algorithm)!r}",
                            hint="Report this to the owner of the image.")
    have = hashlib.new(algorithm, data).hexdigest()
    if have != value:
        raise RegistryError(f"{what}: digest did not match, expected {digest}, got {algorithm}:{have}",
                            hint="The registry or the network changed the data: nothing was kept. Try again.")


def _check_manifest_digest(data: bytes, identifier: str, header: str, what: str) -> str:
    for wanted in (identifier if ":" in identifier else "", header.strip()):
        if wanted:
            _check_digest(data, wanted, what)
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _media_type(data: bytes, content_type: str, what: str) -> str:
    """The manifest's type: its own word, else the header's. Raises: RegistryError when it is no manifest."""
    host = what.partition(" in ")[2].partition("/")[0]
    if "html" in content_type or data.lstrip()[:1] == b"<":
        raise _web_page(what, host)
    doc = _json_object(data, what)
    if doc.get("schemaVersion") == 1 or content_type.startswith(_SCHEMA1):
        raise RegistryError(f"{what}: it is of the old form \"schema 1\", which is no longer supported",
                            hint="Ask the owner to push the image again with any engine since 2017.")
    known = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)
    own = doc.get("mediaType")
    if own in known:
        return str(own)
    if content_type in known:
        return content_type
    if isinstance(own, str) and own:
        raise RegistryError(f"{what}: unsupported manifest media type {clean(own)!r}",
                            hint="It is not a container image, or it needs a newer podlike.")
    # OCI does not ask for mediaType; the keys tell.
    if isinstance(doc.get("manifests"), list):
        return OCI_INDEX
    if isinstance(doc.get("layers"), list):
        return OCI_MANIFEST
    raise RegistryError(f"{what}: the answer is neither a manifest nor an index",
                        hint="Check that the address is a registry's.")


def _json_object(data: bytes, what: str) -> "dict[str, Any]":
    try:
        doc = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise RegistryError(f"{what}: the answer is not JSON",
                            hint="Check that the address is a registry's and no proxy answers for it.") from e
    if not isinstance(doc, dict):
        raise RegistryError(f"{what}: the answer is not a JSON object",
                            hint="Check that the address is a registry's.")
    return doc


def _web_page(what: str, host: str) -> RegistryError:
    return RegistryError(f"{what}: the server answered with a web page, not a registry",
                         hint=f"Check that {host} is the address of a registry and no login page is in between.")


__all__ = ["Cancelled", "Client", "Manifest", "Options", "parse_challenges"]
