"""A registry that knows one index and answers nothing else: it remembers who asked for what."""

import hashlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PLATFORMS = ("linux/amd64", "linux/arm64/v8", "linux/arm/v6", "linux/arm/v7", "windows/amd64")


def digest_of(platform: str) -> str:
    return "sha256:" + hashlib.sha256(platform.encode()).hexdigest()


class FakeRegistry:
    """asked: (method, path, Authorization) of every request. user: NAME:PASSWORD in base64 that it wants, "" for none.
    failing: answers everything with 503.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.wants_login = False
        self.failing = False
        self.host = ""

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.asked]

    def answer(self, path: str, authorization: str) -> tuple[int, str, bytes]:
        if self.failing:
            return 503, "text/plain", b""
        if self.wants_login and not authorization:
            return 401, "text/plain", b""
        if path == "/v2/":
            return 200, "application/json", b"{}"
        if path.endswith("/manifests/latest"):
            entries = [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 100, "digest": digest_of(p),
                        "platform": dict(zip(("os", "architecture", "variant"), p.split("/"), strict=False))} for p in PLATFORMS]
            doc: dict[str, Any] = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                                   "manifests": entries}
            return 200, doc["mediaType"], json.dumps(doc).encode()
        return 404, "application/json", b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"gone"}]}'


@contextmanager
def fake_registry(*, certificate: str = "") -> Iterator[FakeRegistry]:
    """certificate: a PEM file with key and certificate, to speak TLS."""
    registry = FakeRegistry()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            authorization = self.headers.get("Authorization", "")
            registry.asked.append((self.command, self.path, authorization))
            status, kind, body = registry.answer(self.path, authorization)
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="fake"')
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    registry.host = f"localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
