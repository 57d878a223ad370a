"""Registries for tests: a real one (docker-registry), one that lies, and images made with plain Python."""

import gzip
import hashlib
import http.server
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OCI = {"index": "application/vnd.oci.image.index.v1+json", "manifest": "application/vnd.oci.image.manifest.v1+json",
       "config": "application/vnd.oci.image.config.v1+json", "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
       "zstd": "application/vnd.oci.image.layer.v1.tar+zstd", "plain": "application/vnd.oci.image.layer.v1.tar"}
DOCKER = {"index": "application/vnd.docker.distribution.manifest.list.v2+json",
          "manifest": "application/vnd.docker.distribution.manifest.v2+json",
          "config": "application/vnd.docker.container.image.v1+json",
          "gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
          "zstd": "application/vnd.docker.image.rootfs.diff.tar.zstd",
          "plain": "application/vnd.docker.image.rootfs.diff.tar"}


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


# Images


@dataclass
class Layer:
    blob: bytes
    diff_id: str
    media_type: str

    @property
    def digest(self) -> str:
        return digest_of(self.blob)


@dataclass
class Image:
    manifest: bytes
    media_type: str
    config: bytes
    layers: list[Layer]

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    @property
    def id(self) -> str:
        return hashlib.sha256(self.config).hexdigest()

    @property
    def blobs(self) -> dict[str, bytes]:
        return {digest_of(self.config): self.config, **{layer.digest: layer.blob for layer in self.layers}}


def tar_of(files: dict[str, bytes], *, uid: int = 0) -> bytes:
    """A tar of regular files; a name that ends in / is a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.uid = info.gid = uid
            info.mode = 0o755 if name.endswith("/") else 0o644
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def make_layer(tar: bytes, *, compression: str = "gzip", types: dict[str, str] = OCI) -> Layer:
    if compression == "gzip":
        blob = gzip.compress(tar, 1, mtime=0)
    elif compression == "zstd":
        blob = subprocess.run(["zstd", "-q", "-1", "-c"], input=tar, capture_output=True, check=True).stdout
    else:
        blob = tar
    return Layer(blob, digest_of(tar), types[compression])


def make_image(layers: list[Layer], *, types: dict[str, str] = OCI, arch: str = "amd64",
               config: dict[str, Any] | None = None) -> Image:
    document = {"architecture": arch, "os": "linux", "created": "2024-01-02T03:04:05Z", "config": config or {},
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
                "history": [{"created": "2024-01-02T03:04:05Z", "created_by": "test"} for _ in layers]}
    raw = json.dumps(document).encode()
    manifest = {"schemaVersion": 2, "mediaType": types["manifest"],
                "config": {"mediaType": types["config"], "digest": digest_of(raw), "size": len(raw)},
                "layers": [{"mediaType": x.media_type, "digest": x.digest, "size": len(x.blob)} for x in layers]}
    return Image(json.dumps(manifest).encode(), types["manifest"], raw, layers)


def make_index(images: dict[str, Image], *, types: dict[str, str] = OCI) -> bytes:
    """images: by platform, "linux/arm64/v8"."""
    rows = []
    for platform, image in images.items():
        system, arch, *variant = platform.split("/")
        rows.append({"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest),
                     "platform": {"os": system, "architecture": arch, **({"variant": variant[0]} if variant else {})}})
    return json.dumps({"schemaVersion": 2, "mediaType": types["index"], "manifests": rows}).encode()


# A real registry


@dataclass
class RealRegistry:
    """authorization: header for the pushes of the tests, where it is guarded."""

    host: str
    root: str
    authorization: str = ""

    def push_blob(self, repository: str, data: bytes) -> None:
        location = self._send("POST", f"http://{self.host}/v2/{repository}/blobs/uploads/", b"")
        url = f"{location}{'&' if '?' in location else '?'}digest={digest_of(data)}"
        self._send("PUT", url, data, "application/octet-stream")

    def push_manifest(self, repository: str, tag: str, data: bytes, media_type: str) -> str:
        self._send("PUT", f"http://{self.host}/v2/{repository}/manifests/{tag}", data, media_type)
        return f"{self.host}/{repository}:{tag}"

    def _send(self, method: str, url: str, data: bytes, media_type: str = "") -> str:
        headers = {"Content-Type": media_type, "Authorization": self.authorization}
        request = urllib.request.Request(url, method=method, data=data, headers={k: v for k, v in headers.items() if v})
        with urllib.request.urlopen(request) as r:
            return str(r.headers["Location"])

    def push(self, repository: str, tag: str, image: Image) -> str:
        for data in image.blobs.values():
            self.push_blob(repository, data)
        return self.push_manifest(repository, tag, image.manifest, image.media_type)


@contextmanager
def real_registry(directory: Path, *, htpasswd: str = "") -> Iterator[RealRegistry]:
    """docker-registry on loopback over plain HTTP. htpasswd: a file (bcrypt) that guards it."""
    program = shutil.which("docker-registry")
    if not program:
        raise FileNotFoundError("docker-registry is not installed (apt-get install docker-registry)")
    port = free_port()
    auth = f"auth:\n  htpasswd:\n    realm: test\n    path: {htpasswd}\n" if htpasswd else ""
    (directory / "config.yml").write_text(
        f"version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\n{auth}"
        f"storage:\n  filesystem:\n    rootdirectory: {directory}/data\n  delete:\n    enabled: true\n"
        f"http:\n  addr: 127.0.0.1:{port}\n")
    process = subprocess.Popen([program, "serve", str(directory / "config.yml")], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env={**os.environ, "OTEL_TRACES_EXPORTER": "none"})
    try:
        _wait_for(port, process)
        yield RealRegistry(f"127.0.0.1:{port}", f"{directory}/data")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(f"docker-registry ended with {process.returncode}")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("docker-registry does not listen")


# A registry that lies


Answer = Callable[["Handler"], bool]


@dataclass
class LyingRegistry:
    """Serves what it was given; `before` may answer a request in its own way.

    before(handler): True when it has answered. ranges: whether Range is honoured. cut_after: bytes of a blob after
    which every connection is cut. headers: of all requests that came. sent: bytes of blobs that were written.
    """

    host: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    before: Answer | None = None
    ranges: bool = True
    cut_after: int | None = None
    chunk_delay: float = 0.0
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    sent: int = 0

    def add(self, image: Image, tag: str = "latest") -> None:
        self.blobs.update(image.blobs)
        for key in (tag, image.digest):
            self.manifests[key] = (image.manifest, image.media_type)

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.requests]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: LyingRegistry

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def do_GET(self) -> None:
        registry = self.registry
        registry.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        if registry.before and registry.before(self):
            return
        kind, name = ["", "", *self.path.split("/")][-2:]
        if kind == "manifests" and name in registry.manifests:
            data, media_type = registry.manifests[name]
            self.answer(200, data, {"Content-Type": media_type, "Docker-Content-Digest": digest_of(data)})
        elif kind == "blobs" and name in registry.blobs:
            self.blob(registry.blobs[name])
        elif self.path == "/v2/":
            self.answer(200, b"{}")
        else:
            code = "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN"
            self.error(404, code, code.lower().replace("_", " "))

    def error(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.answer(status, body, {"Content-Type": "application/json", **(headers or {})})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def redirect(self, location: str) -> bool:
        self.answer(307, b"", {"Location": location})
        return True

    def blob(self, data: bytes) -> None:
        registry = self.registry
        start = 0
        wanted = self.headers.get("Range", "")
        if wanted and registry.ranges:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            if start >= len(data):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = len(data) if registry.cut_after is None else min(len(data), start + registry.cut_after)
        for at in range(start, end, 65536):
            part = data[at:min(end, at + 65536)]
            self.wfile.write(part)
            registry.sent += len(part)
            if registry.chunk_delay:
                time.sleep(registry.chunk_delay)
        if end < len(data):
            self.cut()

    def cut(self) -> None:
        """End the connection in the middle of an answer."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that go away are part of the tests


@contextmanager
def lying_registry(*, address: str = "127.0.0.1") -> Iterator[LyingRegistry]:
    registry = LyingRegistry()
    handler = type("BoundHandler", (Handler,), {"registry": registry})
    server = _Server((address, 0), handler)
    registry.host = f"{address}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
