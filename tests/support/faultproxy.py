"""A proxy that stands in front of a real registry and spoils what passes.

    with real_registry(tmp) as registry, fault_proxy(registry.host) as proxy:
        proxy.spoil(Fault("GET", "/blobs/", cut_after=20 << 20))
        ... clients talk to proxy.host

A fault meets the requests whose method and path fit, `times` times; the first one that fits acts. Everything else
goes through untouched, and `proxy.log` has every request with the bytes that went each way.
"""

import http.client
import http.server
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_CHUNK = 64 << 10
_HOP = {"connection", "transfer-encoding", "keep-alive"}
ENDLESS = 1 << 40


@dataclass
class Fault:
    """What to do to requests of a method ("" for all) whose path the pattern is found in.

    times: how often. Instead of asking the registry: status with headers and body; location: a redirect. To what the
    registry answers: headers to replace (None: leave out), body to replace, cut_after bytes, stall seconds
    after stall_at bytes, flip the byte at corrupt, endless: filler without end after the body.
    mute: cut instead of answering. To what the client sends: cut_upload_after bytes.
    """

    method: str = ""
    path: str = ""
    times: int = 1 << 30
    status: int | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    body: bytes | None = None
    location: str = ""
    cut_after: int | None = None
    stall: float = 0.0
    stall_at: int = 0
    corrupt: int | None = None
    endless: bool = False
    mute: bool = False
    cut_upload_after: int | None = None

    def meets(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in ("", method) and re.search(self.path, path) is not None


@dataclass
class Seen:
    """One request. sent: bytes of the body that went to the client; received: of its own."""

    method: str
    path: str
    headers: dict[str, str]
    at: float
    status: int = 0
    sent: int = 0
    received: int = 0


class FaultProxy:
    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.host = ""
        self.log: list[Seen] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.stopping = threading.Event()

    def spoil(self, *faults: Fault) -> None:
        """From now on, instead of what was asked for before."""
        with self._lock:
            self._faults = list(faults)

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.meets(method, path):
                    fault.times -= 1
                    return fault
        return None

    def sent(self, path: str = "/blobs/") -> int:
        """Bytes of bodies that went to clients for such paths."""
        return sum(seen.sent for seen in self.log if path in seen.path and seen.method == "GET")

    def seen(self, method: str, path: str) -> list[Seen]:
        return [seen for seen in self.log if seen.method == method and re.search(path, seen.path)]


class _Cut(Exception):
    pass


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultProxy

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle_any(self) -> None:
        seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, time.monotonic())
        self.proxy.log.append(seen)
        fault = self.proxy.fault_for(self.command, self.path) or Fault()
        try:
            if fault.location:
                self._drain(seen)
                self._answer(seen, fault, 307, {"Location": fault.location, "Content-Length": "0"}, b"")
            elif fault.status is not None:
                self._drain(seen)
                body = fault.body or b""
                self._answer(seen, fault, fault.status, {"Content-Length": str(len(body))}, body)
            else:
                self._forward(seen, fault)
        except (_Cut, OSError, http.client.HTTPException):
            self._cut()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def _upload(self, seen: Seen, fault: Fault) -> Iterator[bytes]:
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            size = min(left, _CHUNK)
            if fault.cut_upload_after is not None:
                size = min(size, fault.cut_upload_after - seen.received)
                if size <= 0:
                    raise _Cut
            piece = self.rfile.read(size)
            if not piece:
                raise _Cut
            seen.received += len(piece)
            left -= len(piece)
            yield piece

    def _drain(self, seen: Seen) -> None:
        for _ in self._upload(seen, Fault()):
            pass

    def _forward(self, seen: Seen, fault: Fault) -> None:
        upstream = http.client.HTTPConnection(self.proxy.upstream, timeout=60)
        try:
            # The registry names itself in Location: by the Host of the request, so that uploads stay with us.
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
            upstream.request(self.command, self.path, headers=headers,
                             body=self._upload(seen, fault) if "Content-Length" in self.headers else None)
            response = upstream.getresponse()
            answer = {k: v for k, v in response.getheaders() if k.lower() not in _HOP}
            if fault.body is not None:
                answer["Content-Length"] = str(len(fault.body))
                self._answer(seen, fault, response.status, answer, fault.body)
            else:
                self._answer(seen, fault, response.status, answer, response)
        finally:
            upstream.close()

    def _answer(self, seen: Seen, fault: Fault, status: int, headers: dict[str, str],
                body: "bytes | http.client.HTTPResponse") -> None:
        wanted: dict[str, str | None] = {k.title(): v for k, v in headers.items()}
        wanted |= {k.title(): v for k, v in fault.headers.items()}
        if fault.endless:
            wanted["Content-Length"] = str(ENDLESS)
        seen.status = status
        if fault.mute:
            raise _Cut
        self.send_response(status)
        for key, value in wanted.items():
            if value is not None:
                self.send_header(key, value)
        if wanted.get("Content-Length") is None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            for piece in self._spoiled(_pieces(body), fault, seen):
                self.wfile.write(piece)
                seen.sent += len(piece)
        if str(wanted.get("Content-Length")) != str(seen.sent) and self.command != "HEAD":
            raise _Cut

    def _spoiled(self, pieces: Iterator[bytes], fault: Fault, seen: Seen) -> Iterator[bytes]:
        for piece in pieces:
            start, end = seen.sent, seen.sent + len(piece)
            if fault.corrupt is not None and start <= fault.corrupt < end:
                at = fault.corrupt - start
                piece = piece[:at] + bytes([piece[at] ^ 0xff]) + piece[at + 1:]
            if fault.stall and start <= fault.stall_at < end:
                yield piece[:fault.stall_at - start]
                piece = piece[fault.stall_at - start:]
                self.wfile.flush()
                self.proxy.stopping.wait(fault.stall)
            if fault.cut_after is not None and end > fault.cut_after:
                yield piece[:max(0, fault.cut_after - start)]
                raise _Cut
            yield piece
        while fault.endless and not self.proxy.stopping.is_set():
            yield bytes(_CHUNK)

    def _cut(self) -> None:
        self.close_connection = True
        try:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        except (OSError, ValueError):
            pass


def _pieces(body: "bytes | http.client.HTTPResponse") -> Iterator[bytes]:
    if isinstance(body, bytes):
        if body:
            yield body
        return
    while piece := body.read(_CHUNK):
        yield piece


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that go away are part of the tests


@contextmanager
def fault_proxy(upstream: str, *, address: str = "127.0.0.1") -> Iterator[FaultProxy]:
    """upstream: HOST:PORT of a registry without TLS."""
    proxy = FaultProxy(upstream)
    server = _Server((address, 0), type("BoundHandler", (_Handler,), {"proxy": proxy}))
    proxy.host = f"{address}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
