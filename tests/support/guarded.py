"""Registries that ask who comes: docker-registry with TLS, passwords, client certificates, behind a token server."""

import base64
import hashlib
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.registry import free_port

# tester:secret, bcrypt as docker-registry asks for
HTPASSWD = "tester:$2b$04$g4wI2q3YlaMSzSm7JMxAq.D6xJQifWTJA.9Uf.ymgNWjrTvpoEuJa"
SERVICE = "podlike-test"


def openssl(*arguments: str, cwd: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True, timeout=60)


class Authority:
    """A certificate authority of our own in a directory: ca.crt, and what it has signed."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                "-out", "ca.crt", "-days", "10", "-subj", "/CN=podlike test CA", cwd=directory)

    @property
    def crt(self) -> Path:
        return self.directory / "ca.crt"

    def directory_of_ca(self, where: Path) -> Path:
        """A certs.d directory with the authority alone."""
        folder = where / "certs"
        folder.mkdir(exist_ok=True)
        (folder / "ca.crt").write_bytes(self.crt.read_bytes())
        return folder

    def issue(self, name: str, names: str = "DNS:localhost,IP:127.0.0.1", *, expired: bool = False) -> tuple[Path, Path]:
        """(certificate, key) called name.cert and name.key, for these subjectAltNames."""
        d = self.directory
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out",
                f"{name}.csr", "-subj", f"/CN={name}", cwd=d)
        (d / f"{name}.ext").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
        # A negative number of days ends before it begins, which is expired for everybody.
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out",
                f"{name}.cert", "-days", "-1" if expired else "10", "-extfile", f"{name}.ext", cwd=d)
        return d / f"{name}.cert", d / f"{name}.key"


@contextmanager
def docker_registry(directory: Path, data: str, *, address: str = "127.0.0.1", tls: tuple[Path, Path] | None = None,
                    clients: Path | None = None, htpasswd: bool = False, token: str = "") -> Iterator[str]:
    """host:port of docker-registry over what another one has in data.

    clients: CA of the client certificates that it wants. token: YAML of its section auth.token.
    """
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    http_: dict[str, Any] = {"addr": f"{address}:{port}"}
    if tls:
        http_["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
        if clients:
            http_["tls"]["clientcas"] = [str(clients)]
    auth: dict[str, Any] = {}
    if htpasswd:
        (directory / "htpasswd").write_text(HTPASSWD + "\n")
        auth = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
    if token:
        auth = {"token": json.loads(token)}
    config = {"version": 0.1, "log": {"level": "error", "accesslog": {"disabled": True}}, "http": http_,
              "storage": {"filesystem": {"rootdirectory": data}}, **({"auth": auth} if auth else {})}
    (directory / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    program = shutil.which("docker-registry")
    assert program
    process = subprocess.Popen([program, "serve", str(directory / "config.yml")], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env={**os.environ, "OTEL_TRACES_EXPORTER": "none"})
    try:
        for _ in range(200):
            if process.poll() is not None:
                raise RuntimeError(f"docker-registry ended with {process.returncode}")
            with socket.socket() as s:
                if s.connect_ex((address, port)) == 0:
                    break
            time.sleep(0.05)
        yield f"{address}:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


@dataclass
class TokenServer:
    """A token server for docker-registry: GET with a password, POST with an identity token.

    Users: tester with secret, who may pull and push below "team/" and read the catalog; everybody may pull "public/".
    asked: (method, fields) of each request. lifetime: of tokens, seconds.
    """

    authority: Authority
    url: str = ""
    lifetime: int = 300
    identity: str = "identity-token-of-tester"
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)

    @property
    def section(self) -> str:
        """auth.token of the registry's configuration."""
        return json.dumps({"realm": self.url, "service": SERVICE, "issuer": "podlike-test-issuer",
                           "rootcertbundle": str(self.authority.crt)})

    def token(self, user: str, scopes: list[str]) -> str:
        from cryptography.hazmat.primitives.asymmetric import ec, utils
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        d = self.authority.directory
        key = load_pem_private_key((d / "signer.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        der = ssl.PEM_cert_to_DER_cert((d / "signer.cert").read_text())
        now = int(time.time())
        head = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        claims = {"iss": "podlike-test-issuer", "sub": user, "aud": SERVICE, "exp": now + self.lifetime, "nbf": now - 10,
                  "iat": now, "jti": hashlib.sha256(os.urandom(8)).hexdigest(),
                  "access": [a for scope in scopes if (a := _access(user, scope))]}
        signed = b".".join(_b64(json.dumps(part).encode()) for part in (head, claims))
        r, s = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(SHA256())))
        return (signed + b"." + _b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))).decode()


def _access(user: str, scope: str) -> dict[str, Any] | None:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    wanted = actions.split(",")
    if kind == "registry":
        return {"type": kind, "name": name, "actions": ["*"]} if user == "tester" else None
    allowed = ["pull"] if name.startswith("public/") else []
    if user == "tester" and name.startswith("team/"):
        allowed = ["pull", "push"]
    return {"type": kind, "name": name, "actions": [a for a in wanted if a in allowed]}


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@contextmanager
def token_server(authority: Authority, *, tls: tuple[Path, Path] | None = None) -> Iterator[TokenServer]:
    """A token server on loopback. authority: signs its key; tls: its own certificate."""
    authority.issue("signer")
    state = TokenServer(authority)

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            state.asked.append(("GET", query))
            user = ""
            if self.headers.get("Authorization"):
                user, _, password = base64.b64decode(self.headers["Authorization"].split()[1]).decode().partition(":")
                if (user, password) != ("tester", "secret"):
                    self.answer(401, {"details": "incorrect username or password"})
                    return
            scopes = [s for value in query.get("scope", []) for s in value.split()]
            self.answer(200, {"token": state.token(user, scopes), "expires_in": state.lifetime,
                              "issued_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            state.asked.append(("POST", form))
            if form.get("refresh_token") != [state.identity]:
                self.answer(401, {"error": "invalid_grant", "error_description": "identity token is not known"})
                return
            self.answer(200, {"access_token": state.token("tester", form.get("scope", [""])[0].split()),
                              "expires_in": state.lifetime})

        def answer(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    state.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}/token"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def socks_proxy(*, user: str = "", password: str = "",
                names: dict[str, tuple[str, int]] | None = None) -> Iterator[tuple[str, list[str]]]:
    """(host:port, names that were asked for) of a SOCKS5 proxy on loopback. names: NAME:PORT -> where that leads."""
    import socketserver

    asked: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            take = self.rfile.read
            methods = take(take(2)[1])
            method = 2 if user else 0
            if method not in methods:
                self.wfile.write(b"\x05\xff")
                return
            self.wfile.write(bytes((5, method)))
            if user:
                take(1)
                got = take(take(1)[0]).decode(), take(take(1)[0]).decode()
                self.wfile.write(b"\x01\x00" if got == (user, password) else b"\x01\x01")
                if got != (user, password):
                    return
            kind = take(4)[3]
            name = take(take(1)[0]).decode() if kind == 3 else socket.inet_ntoa(take(4))
            port = int.from_bytes(take(2), "big")
            asked.append(f"{name}:{port}")
            target = (names or {}).get(f"{name}:{port}")
            if target is None:
                self.wfile.write(b"\x05\x04\x00\x01" + bytes(6))
                return
            with socket.create_connection(target) as there:
                self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
                _relay(self.connection, there)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def _relay(one: socket.socket, other: socket.socket) -> None:
    import select

    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            (other if ready is one else one).sendall(data)
