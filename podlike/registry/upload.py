"""The OCI distribution protocol, writing side: blobs and manifests into one repository.

A blob goes up as one PATCH between POST and PUT, as every registry takes it. When the connection breaks the
registry is asked how far it got: one that tells goes on from there, another one gets the blob again.
Source: OCI distribution spec 1.1, "Pushing Blobs".
"""

import hashlib
import re
from urllib.parse import urlencode

from urllib3.exceptions import HTTPError

from podlike import log
from podlike.errors import NotFoundError, PodlikeError, RegistryError
from podlike.registry.transport import Body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from urllib3 import BaseHTTPResponse

    from podlike.registry.client import Client

    # Called with an offset: the blob's bytes from there on.
    Source = Callable[[int], Iterator[bytes]]

_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")
_OCTETS: "Final" = "application/octet-stream"
# Answers to a PATCH after which the same bytes may well be taken.
_LATER: "Final" = (401, 404, 408, 416, 429, 500, 502, 503, 504)
# Broken uploads one after another that moved nothing.
MAX_STALLS: "Final" = 5


class Repository:
    """One repository to push to. Threads may share it."""

    def __init__(self, client: "Client", path: str) -> None:
        self._client = client
        self._path = self.path = path
        self._access = (f"repository:{path}:pull,push",)

    def has_blob(self, digest: str) -> bool:
        """Whether the blob is there already. Raises: RegistryError."""
        what = f"trying to reuse blob {digest} at destination: checking whether a blob {digest} exists in " \
            f"{self._client.host}/{self._path}"
        try:
            response = self._request("HEAD", f"/v2/{self._path}/blobs/{digest}", what)
        except NotFoundError:
            return False
        self._client.finish(response)
        return True

    def mount(self, digest: str, origin: str) -> bool:
        """Take the blob over from another repository of this registry; False where that is not done.

        origin: path of the repository. Raises: RegistryError.
        """
        what = f"mounting blob {digest} from {origin}"
        query = urlencode({"mount": digest, "from": origin})
        access = (*self._access, f"repository:{origin}:pull")
        try:
            response = self._client.request(self._path, f"/v2/{self._path}/blobs/uploads/?{query}", what,
                                            {"Content-Length": "0"}, method="POST", ok=(201, 202), access=access)
        except (NotFoundError, RegistryError) as e:
            # The other repository may be closed to us or gone: then the blob is sent.
            self._client.check()
            log.debug(e.message)
            return False
        self._client.finish(response)
        if response.status == 202:
            self._cancel(response.headers.get("Location", ""))
        return response.status == 201

    def upload(self, digest: str, size: int, source: "Source", *, sent: "Callable[[int], None]") -> None:
        """Send a blob. sent: told how many bytes are there now, which may also go back.

        Raises: RegistryError, Cancelled.
        """
        clean = self._upload(digest, size, source, sent)
        if clean or self.has_blob(digest):
            return
        # What was put together from parts is not what it should be, or it is lost: once more in one piece.
        log.debug(f"upload of {digest} did not come out right, sending it again")
        sent(0)
        if not self._upload(digest, size, source, sent):
            raise RegistryError(f"writing blob {digest} to {self._client.host}/{self._path}: the registry lost it twice",
                                hint="Try again later; if it stays, tell the registry's administrator.")

    def _upload(self, digest: str, size: int, source: "Source", sent: "Callable[[int], None]") -> bool:
        """One upload with its resumptions. False: it was broken on the way, and the registry refuses the result."""
        location, at, stalls, broken = self._begin(), 0, 0, False
        while at < size:
            before = at
            location, at, why = self._patch(location, at, size, source, sent)
            if at < size:
                broken = True
                stalls = 0 if at > before else stalls + 1
                if stalls >= MAX_STALLS:
                    raise RegistryError(f"writing blob {digest} to {self._client.host}/{self._path}: the upload broke "
                                        f"{stalls} times at byte {at} of {size}: {why}",
                                        hint="Try again later; --retry and --retry-delay wait longer.")
                self._client.pause(stalls, f"upload of {digest} broke at byte {at} of {size}: {why}")
                location, at = self._where(location)
                sent(at)
        return self._finish(location, digest, broken=broken)

    def put_manifest(self, identifier: str, data: bytes, media_type: str) -> str:
        """Give a manifest its name; return its digest. identifier: tag or digest.

        Raises: RegistryError, ManifestRefused.
        """
        what = f"uploading manifest {identifier} to {self._client.host}/{self._path}"
        response = self._request("PUT", f"/v2/{self._path}/manifests/{identifier}", what, body=data,
                                 headers={"Content-Type": media_type}, ok=(200, 201, 202, 400, 415))
        if response.status in (400, 415):
            raise ManifestRefused(self._client.refusal(response, what))
        self._client.finish(response)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        told = response.headers.get("Docker-Content-Digest", digest)
        if told.startswith("sha256:") and told != digest:
            raise RegistryError(f"{what}: the registry stored {told[:80]}, it was sent {digest}",
                                hint="Report this to the registry's administrator.")
        return digest

    # One upload

    def _begin(self) -> str:
        url = f"/v2/{self._path}/blobs/uploads/"
        what = f"initiating layer upload to {url} in {self._client.host}"
        response = self._request("POST", url, what, headers={"Content-Length": "0"}, ok=(202,))
        self._client.finish(response)
        return self._next(response, "", what)

    def _patch(self, location: str, at: int, size: int, source: "Source",
               sent: "Callable[[int], None]") -> tuple[str, int, str]:
        """Send the rest; (where to go on, bytes that are surely there, why it ended before the end)."""
        what = f"writing blob to {self._client.host}/{self._path}"

        def pieces() -> "Iterator[bytes]":
            here = at
            for piece in source(at):
                yield piece
                here += len(piece)
                self._client.check()
                sent(here)

        headers = {"Content-Type": _OCTETS, "Content-Range": f"{at}-{size - 1}"}
        try:
            response = self._request("PATCH", location, what, headers=headers, body=Body(pieces, size - at),
                                     ok=(200, 201, 202, 204, *_LATER))
        except (HTTPError, OSError) as e:
            self._client.check()
            return location, at, self._client.reason(e) if isinstance(e, HTTPError) else str(e)
        if response.status in _LATER:
            error = self._client.refusal(response, what)
            return location, at, error.message
        self._client.finish(response)
        return self._next(response, location, what), self._reached(response, size), "the registry took only a part"

    def _where(self, location: str) -> tuple[str, int]:
        """(where to go on, at which byte); a new upload where the registry does not know the old one any more."""
        what = f"asking for the state of an upload to {self._client.host}/{self._path}"
        try:
            response = self._request("GET", location, what, ok=(200, 202, 204))
        except (NotFoundError, RegistryError) as e:
            self._client.check()
            log.debug(e.message)
            return self._begin(), 0
        self._client.finish(response)
        return self._next(response, location, what), self._reached(response, 0)

    def _reached(self, response: "BaseHTTPResponse", default: int) -> int:
        """Bytes that the registry has. "0-0" can be one byte and is what many say for none."""
        match = _RANGE.fullmatch(response.headers.get("Range", "").strip())
        if not match:
            return default
        last = int(match.group(1))
        return last + 1 if last else 0

    def _finish(self, location: str, digest: str, *, broken: bool) -> bool:
        what = f"finishing layer upload to {self._client.host}/{self._path}"
        url = f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': digest})}"
        # 404 also comes when the first answer was lost and this is the second time of asking.
        refusals = (400, 404, 416) if broken else (404,)
        response = self._request("PUT", url, what, body=b"", headers={"Content-Type": _OCTETS},
                                 ok=(201, 204, *refusals))
        if response.status in refusals:
            log.debug(self._client.refusal(response, what).message)
            return False
        self._client.finish(response)
        return True

    def _cancel(self, location: str) -> None:
        if not location:
            return
        try:
            self._client.finish(self._request("DELETE", location, "cancelling an upload", ok=(200, 202, 204)))
        except PodlikeError as e:
            self._client.check()
            log.debug(e.message)  # registries clear such uploads away by themselves

    def _next(self, response: "BaseHTTPResponse", location: str, what: str) -> str:
        """Where the upload goes on, as a whole URL."""
        found = response.headers.get("Location") or location
        if not found:
            raise RegistryError(f"{what}: the registry does not say where the upload goes on",
                                hint="Report this to the registry's administrator.")
        return self._client.absolute(found)

    def _request(self, method: str, url: str, what: str, *, headers: "dict[str, str] | None" = None,
                 body: "bytes | Body | None" = None, ok: tuple[int, ...] = (200,)) -> "BaseHTTPResponse":
        return self._client.request(self._path, url, what, headers or {}, method=method, ok=ok, access=self._access,
                                    body=body)


class ManifestRefused(RegistryError):
    """The registry does not take a manifest of this kind; another kind may do."""

    def __init__(self, cause: PodlikeError) -> None:
        super().__init__(cause.message, hint=cause.hint)
