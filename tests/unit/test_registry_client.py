"""The distribution client against a registry that lies, on loopback."""

import base64
import json
import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from podlike.errors import NotFoundError, RegistryError
from podlike.registry import transport
from podlike.registry.auth import Credentials
from podlike.registry.client import Cancelled, Client, Options, parse_challenges
from podlike.registry.proxy import is_loopback, proxy_for
from tests.support.registry import (
    Handler,
    LyingRegistry,
    digest_of,
    free_port,
    lying_registry,
    make_image,
    make_layer,
    tar_of,
)

IMAGE = make_image([make_layer(tar_of({"a": b"hello"}))])
BIG = random.Random(1).randbytes(3_000_000)
FAST = Options(retry_delay=0.01, timeout=3.0)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[LyingRegistry]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with lying_registry() as r:
        r.add(IMAGE)
        r.blobs[digest_of(BIG)] = BIG
        yield r


def client(registry: LyingRegistry, creds: Credentials | None = None, options: Options = FAST) -> Client:
    return Client(registry.host, credentials=creds, options=options)


def big(c: Client, offset: int = 0) -> bytes:
    return b"".join(c.blob("x", digest_of(BIG), size=len(BIG), offset=offset))


def test_manifest_and_blob(registry: LyingRegistry) -> None:
    c = client(registry)
    for identifier in ("latest", IMAGE.digest):
        m = c.manifest("x", identifier)
        assert (m.data, m.media_type, m.digest) == (IMAGE.manifest, IMAGE.media_type, IMAGE.digest)
    assert c.manifest_digest("x", "latest") == IMAGE.digest
    assert c.small_blob("x", digest_of(IMAGE.config), len(IMAGE.config)) == IMAGE.config
    assert big(c) == BIG
    assert big(c, 1_000_001) == BIG[1_000_001:]
    assert registry.paths()[0] == "/v2/x/manifests/latest", "no request was wasted on a probe"
    assert registry.requests[0][2]["user-agent"].startswith("podlike/")


def test_unknown_image(registry: LyingRegistry) -> None:
    with pytest.raises(NotFoundError) as e:
        client(registry).manifest("x/y", "nope")
    assert e.value.message == f"reading manifest nope in {registry.host}/x/y: manifest unknown: manifest unknown"
    assert e.value.hint and "podlike login" in e.value.hint


def test_a_manifest_that_does_not_fit_its_digest(registry: LyingRegistry) -> None:
    registry.manifests[IMAGE.digest] = (IMAGE.manifest + b" ", IMAGE.media_type)
    with pytest.raises(RegistryError, match="digest did not match"):
        client(registry).manifest("x", IMAGE.digest)


def test_a_manifest_that_does_not_fit_its_header(registry: LyingRegistry) -> None:
    def before(h: Handler) -> bool:
        h.answer(200, IMAGE.manifest, {"Content-Type": IMAGE.media_type, "Docker-Content-Digest": digest_of(b"other")})
        return True

    registry.before = before
    with pytest.raises(RegistryError, match="digest did not match"):
        client(registry).manifest("x", "latest")


@pytest.mark.parametrize(("body", "content_type", "words"), [
    (b"<!DOCTYPE html><p>Welcome", "text/html; charset=utf-8", "answered with a web page, not a registry"),
    (b"  <html>", "application/octet-stream", "answered with a web page, not a registry"),
    (b"hello", "text/plain", "is not JSON"),
    (b"[" * 100000, "application/json", "is not JSON"),
    (b"[]", "application/json", "not a JSON object"),
    (b"{}", "application/json", "neither a manifest nor an index"),
    (b'{"schemaVersion":1,"signatures":[]}', "application/json", "schema 1"),
    (b'{"a":1}', "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
    (b'{"mediaType":"application/vnd.cncf.helm\\u001b[2J"}', "application/json", r"unsupported .*helm\?\[2J"),
    (b" " * (4 * 1024 * 1024 + 1), "application/json", "larger than 4194304 bytes"),
])
def test_answers_that_are_no_manifest(registry: LyingRegistry, body: bytes, content_type: str, words: str) -> None:
    registry.manifests["latest"] = (body, content_type)
    with pytest.raises(RegistryError, match=words) as e:
        client(registry).manifest("x", "latest")
    assert e.value.hint and registry.host in e.value.message


def test_media_type_is_found_without_help_of_the_header(registry: LyingRegistry) -> None:
    document = json.loads(IMAGE.manifest)
    del document["mediaType"]
    registry.manifests["latest"] = (json.dumps(document).encode(), "text/plain")
    assert client(registry).manifest("x", "latest").media_type == IMAGE.media_type
    registry.manifests["latest"] = (b'{"manifests":[]}', "application/json")
    assert client(registry).manifest("x", "latest").media_type == "application/vnd.oci.image.index.v1+json"


def test_a_web_page_with_an_error_status(registry: LyingRegistry) -> None:
    def before(h: Handler) -> bool:
        h.answer(403, b"<html>login", {"Content-Type": "text/html"})
        return True

    registry.before = before
    with pytest.raises(RegistryError, match="web page"):
        client(registry).manifest("x", "latest")


# Resuming


def test_a_registry_that_cuts_every_connection(registry: LyingRegistry) -> None:
    registry.cut_after = 300_000
    assert big(client(registry)) == BIG
    assert registry.sent <= 1.1 * len(BIG)


def test_a_registry_without_ranges_is_read_again_from_the_start(registry: LyingRegistry) -> None:
    registry.ranges = False
    cuts = iter([1_500_000, None])

    def before(h: Handler) -> bool:
        if "/blobs/" in h.path:
            registry.cut_after = next(cuts)
        return False

    registry.before = before
    assert big(client(registry)) == BIG


def test_a_body_that_always_breaks_off_at_once_ends_in_an_error(registry: LyingRegistry) -> None:
    registry.cut_after = 0
    with pytest.raises(RegistryError, match=r"broke 5 times at byte 0 of 3000000") as e:
        big(client(registry))
    assert e.value.hint and "kept" in e.value.hint
    assert len(registry.paths()) == 5


def test_a_blob_of_another_size(registry: LyingRegistry) -> None:
    c = client(registry)
    with pytest.raises(RegistryError, match="has 3000000 bytes, the manifest says 2999999"):
        list(c.blob("x", digest_of(BIG), size=len(BIG) - 1))
    with pytest.raises(RegistryError, match="the manifest says 3000001"):
        list(c.blob("x", digest_of(BIG), size=len(BIG) + 1))

    def before(h: Handler) -> bool:
        h.send_response(200)
        h.end_headers()
        h.wfile.write(b"x" * 2000)
        h.close_connection = True
        return True

    registry.before = before  # no Content-Length: too much is only seen while reading
    with pytest.raises(RegistryError, match="sends more than the 1000 bytes"):
        list(c.blob("x", digest_of(BIG), size=1000))


def test_a_range_that_was_not_asked_for(registry: LyingRegistry) -> None:
    def before(h: Handler) -> bool:
        h.answer(206, b"abc", {"Content-Range": f"bytes 0-2/{len(BIG)}"})
        return True

    registry.before = before
    with pytest.raises(RegistryError, match="asked for byte 5"):
        big(client(registry), 5)


def test_small_blobs_are_verified_and_bounded(registry: LyingRegistry) -> None:
    registry.blobs["sha256:" + "0" * 64] = b"abc"
    with pytest.raises(RegistryError, match="digest did not match"):
        client(registry).small_blob("x", "sha256:" + "0" * 64, 3)
    with pytest.raises(RegistryError, match="not between 0 and"):
        client(registry).small_blob("x", "sha256:" + "0" * 64, 1 << 40)
    with pytest.raises(RegistryError, match="unsupported digest algorithm 'md5'"):
        registry.blobs["md5:0"] = b"abc"
        client(registry).small_blob("x", "md5:0", 3)


def test_foreign_layers(registry: LyingRegistry) -> None:
    with lying_registry() as other:
        other.blobs["far"] = BIG
        got = client(registry).blob("x", "sha256:none", size=len(BIG), urls=["ftp://x", f"http://{other.host}/blobs/far"])
        assert b"".join(got) == BIG
    with pytest.raises(NotFoundError, match="blob unknown"):
        list(client(registry).blob("x", "sha256:none", size=1))


# Redirects, retries


def test_an_endless_redirect(registry: LyingRegistry) -> None:
    registry.before = lambda h: h.redirect(h.path + "x")
    with pytest.raises(RegistryError, match="stopped after 10 redirects"):
        client(registry).manifest("x", "latest")
    assert len(registry.paths()) == 11


@pytest.mark.parametrize("same_host", [True, False])
def test_credentials_do_not_follow_a_redirect_to_another_host(registry: LyingRegistry, same_host: bool) -> None:
    with lying_registry() as other:
        other.blobs.update(registry.blobs)
        target = registry if same_host else other

        def before(h: Handler) -> bool:
            if "Authorization" not in h.headers and "moved" not in h.path:
                h.error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="r"'})
                return True
            if "/blobs/" in h.path and "moved" not in h.path:
                return h.redirect(f"http://{target.host}/moved/blobs/{h.path.rpartition('/')[2]}")
            return False

        registry.before = before
        assert big(client(registry, Credentials("u", "p"))) == BIG
        assert ("authorization" in target.requests[-1][2]) is same_host


def test_redirects_to_other_protocols_are_refused(registry: LyingRegistry) -> None:
    registry.before = lambda h: h.redirect("file:///etc/passwd")
    with pytest.raises(RegistryError, match="redirects from http to file"):
        client(registry).manifest("x", "latest")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_transient_answers_are_tried_again(registry: LyingRegistry, status: int) -> None:
    left = [status, status]

    def before(h: Handler) -> bool:
        if left:
            h.error(left.pop(), "X", "later", {"Retry-After": "0"})
            return True
        return False

    registry.before = before
    assert client(registry).manifest("x", "latest").digest == IMAGE.digest
    assert len(registry.paths()) == 3


def test_retry_after_is_waited_for(registry: LyingRegistry) -> None:
    left = [1]

    def before(h: Handler) -> bool:
        if left:
            h.error(429, "X", "later", {"Retry-After": str(left.pop())})
            return True
        return False

    registry.before = before
    start = time.monotonic()
    client(registry).manifest("x", "latest")
    assert 1.0 <= time.monotonic() - start < 3.0


def test_a_long_rate_limit_is_reported_at_once(registry: LyingRegistry) -> None:
    def before(h: Handler) -> bool:
        h.error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.", {"Retry-After": "3600"})
        return True

    registry.before = before
    with pytest.raises(RegistryError, match="toomanyrequests: You have reached your pull rate limit") as e:
        client(registry).manifest("x", "latest")
    assert e.value.hint and "3600 seconds" in e.value.hint and "podlike login" in e.value.hint
    assert len(registry.paths()) == 1


def test_a_reset_connection_is_tried_again(registry: LyingRegistry) -> None:
    c = client(registry)
    c.manifest("x", "latest")
    left = [1, 1]

    def before(h: Handler) -> bool:
        if left:
            left.pop()
            h.cut()
            return True
        return False

    registry.before = before
    assert c.manifest("x", "latest").digest == IMAGE.digest


def test_a_registry_that_says_nothing(registry: LyingRegistry) -> None:
    stop = threading.Event()

    def before(h: Handler) -> bool:
        stop.wait(5)
        return True

    registry.before = before
    with pytest.raises(RegistryError, match="timeout awaiting response"):
        client(registry, options=Options(retries=0, timeout=0.2)).manifest("x", "latest")
    stop.set()


# Unreachable, TLS


def test_nobody_listens() -> None:
    host = f"127.0.0.1:{free_port()}"
    start = time.monotonic()
    with pytest.raises(RegistryError) as e:
        Client(host, options=Options()).manifest("x", "latest")
    assert e.value.message == (f'pinging container registry {host}: Get "http://{host}/v2/": '
                               f'dial tcp {host}: connect: connection refused')
    assert time.monotonic() - start < 1, "nobody is waited for who does not listen"


def test_no_such_host() -> None:
    with pytest.raises(RegistryError, match=r"lookup nowhere\.invalid: no such host") as e:
        Client("nowhere.invalid", options=FAST).manifest("x", "latest")
    assert e.value.message.startswith("pinging container registry nowhere.invalid: ")
    assert e.value.hint and "DNS" in e.value.hint


def test_plain_http_must_be_allowed_explicitly_when_verification_is_asked_for(registry: LyingRegistry) -> None:
    with pytest.raises(RegistryError, match="server gave HTTP response to HTTPS client") as e:
        client(registry, options=Options(verify=True, retries=0)).manifest("x", "latest")
    assert e.value.hint and "--tls-verify=false" in e.value.hint


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", "key.pem", "-out", "ca.crt", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1"], cwd=directory, check=True, capture_output=True)
    return directory


@pytest.fixture
def tls(certificate: Path, registry: LyingRegistry) -> Iterator[str]:
    """The same registry behind TLS: a thread per connection relays."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "ca.crt", certificate / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    backend = ("127.0.0.1", int(registry.host.partition(":")[2]))

    def pipe(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                front = context.wrap_socket(plain, server_side=True)
            except (ssl.SSLError, OSError):
                plain.close()
                continue
            back = socket.create_connection(backend)
            for pair in ((front, back), (back, front)):
                threading.Thread(target=pipe, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_loopback_speaks_tls_too_and_proves_itself_then(tls: str) -> None:
    with pytest.raises(RegistryError, match="x509"):
        Client(tls, options=FAST).manifest("x", "latest")
    assert Client(tls, options=FAST._replace(verify=False)).manifest("x", "latest").digest == IMAGE.digest


def test_many_threads_find_out_about_tls_once(tls: str) -> None:
    for _ in range(5):
        c = Client(tls, options=FAST._replace(verify=False))
        failed: list[BaseException] = []

        def ask(c: Client = c, failed: list[BaseException] = failed) -> None:
            try:
                c.manifest("x", "latest")
            except BaseException as e:  # whatever it is, the test must see it
                failed.append(e)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert failed == []


def test_an_unknown_authority(tls: str) -> None:
    with pytest.raises(RegistryError, match="x509: certificate signed by unknown authority") as e:
        Client(tls, options=FAST._replace(verify=True)).manifest("x", "latest")
    assert e.value.hint and f"certs.d/{tls}/ca.crt" in e.value.hint


def test_certificates_of_certs_d(tls: str, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    directory = tmp_path / "containers/certs.d" / tls
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes((certificate / "ca.crt").read_bytes())
    strict = FAST._replace(verify=True)
    assert Client(tls, options=strict).manifest("x", "latest").digest == IMAGE.digest
    (directory / "client.cert").write_text("")
    with pytest.raises(RegistryError, match=r"missing key client\.key"):
        Client(tls, options=strict).manifest("x", "latest")
    (directory / "client.cert").unlink()
    (directory / "ca.crt").write_text("rubbish")
    with pytest.raises(RegistryError, match="read certificates"):
        Client(tls, options=strict).manifest("x", "latest")
    named = strict._replace(cert_dir=str(certificate))
    assert Client(tls, options=named).manifest("x", "latest").digest == IMAGE.digest


# Authentication


def guard(registry: LyingRegistry, *, accept: str = "Bearer good") -> None:
    def before(h: Handler) -> bool:
        if h.path.startswith("/token"):
            h.answer(200, json.dumps({"token": "good"}).encode())
            return True
        if h.headers.get("Authorization") == accept:
            return False
        h.error(401, "UNAUTHORIZED", "authentication required", {
            "WWW-Authenticate": f'Bearer realm="http://{registry.host}/token",service="reg,istry",'
                                f'scope="repository:x:pull"'})
        return True

    registry.before = before


def test_bearer_tokens_are_fetched_once(registry: LyingRegistry) -> None:
    guard(registry)
    c = client(registry, Credentials("me", "pw"))
    c.manifest("x", "latest")
    assert big(c) == BIG
    tokens = [(path, headers) for _, path, headers in registry.requests if path.startswith("/token")]
    assert len(tokens) == 1
    assert tokens[0][0] == "/token?service=reg%2Cistry&scope=repository%3Ax%3Apull&account=me"
    assert tokens[0][1]["authorization"] == "Basic " + base64.b64encode(b"me:pw").decode()


def test_anonymous_tokens(registry: LyingRegistry) -> None:
    guard(registry)
    client(registry).manifest("x", "latest")
    assert not any("authorization" in h for _, p, h in registry.requests if p.startswith("/token"))


def test_identity_tokens(registry: LyingRegistry) -> None:
    guard(registry)
    client(registry, Credentials("<token>", "", "refresh")).manifest("x", "latest")
    assert ("POST", "/token") in [(m, p) for m, p, _ in registry.requests]


def test_an_expired_token_is_renewed(registry: LyingRegistry) -> None:
    guard(registry)
    c = client(registry)
    c.manifest("x", "latest")
    stale = c._auth._answers["repository:x:pull"]
    c._auth._answers["repository:x:pull"] = stale._replace(header="Bearer stale")
    assert c.manifest("x", "latest").digest == IMAGE.digest


def test_threads_share_a_renewed_token(registry: LyingRegistry) -> None:
    guard(registry)
    c = client(registry)
    threads = [threading.Thread(target=big, args=(c,)) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len([p for p in registry.paths() if p.startswith("/token")]) == 1


def test_wrong_passwords(registry: LyingRegistry) -> None:
    def before(h: Handler) -> bool:
        if h.path.startswith("/token"):
            h.answer(401, b'{"details":"incorrect username or password"}')
        else:
            h.error(401, "UNAUTHORIZED", "no", {"WWW-Authenticate": f'Bearer realm="http://{registry.host}/token"'})
        return True

    registry.before = before
    with pytest.raises(RegistryError, match="invalid username/password: incorrect username or password") as e:
        client(registry, Credentials("me", "hunter2")).manifest("x", "latest")
    assert e.value.hint == f"Log in first: podlike login {registry.host}."
    assert "hunter2" not in e.value.message


def test_a_token_that_does_not_help(registry: LyingRegistry) -> None:
    guard(registry, accept="Bearer other")
    with pytest.raises(RegistryError, match="authentication required") as e:
        client(registry).manifest("x", "latest")
    assert e.value.hint and "podlike login" in e.value.hint


@pytest.mark.parametrize("token", ['{"token":"a\\r\\nX-Evil: 1"}', "{}", '{"token":5}', "[]", "<html>"])
def test_odd_tokens(registry: LyingRegistry, token: str) -> None:
    def before(h: Handler) -> bool:
        if h.path.startswith("/token"):
            h.answer(200, token.encode())
        else:
            h.error(401, "X", "", {"WWW-Authenticate": f'Bearer realm="http://{registry.host}/token"'})
        return True

    registry.before = before
    with pytest.raises(RegistryError):
        client(registry).manifest("x", "latest")


@pytest.mark.parametrize("realm", ["file:///etc/passwd", "", "/token", "http://"])
def test_odd_realms(registry: LyingRegistry, realm: str) -> None:
    def before(h: Handler) -> bool:
        h.error(401, "X", "", {"WWW-Authenticate": f'Bearer realm="{realm}"'})
        return True

    registry.before = before
    with pytest.raises(RegistryError, match="no usable token server"):
        client(registry).manifest("x", "latest")


def test_basic(registry: LyingRegistry) -> None:
    def before(h: Handler) -> bool:
        if h.headers.get("Authorization") == Credentials("u", "p").basic():
            return False
        h.error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="r"'})
        return True

    registry.before = before
    assert client(registry, Credentials("u", "p")).manifest("x", "latest")
    for creds in (None, Credentials("u", "wrong")):
        with pytest.raises(RegistryError, match="x: authentication required"):
            client(registry, creds).manifest("x", "latest")


def test_challenges() -> None:
    assert parse_challenges(['Basic realm="a, Bearer b", Bearer realm="https://x/t", service=s']) == {
        "basic": {"realm": "a, Bearer b"}, "bearer": {"realm": "https://x/t", "service": "s"}}
    assert parse_challenges(['BEARER realm="q\\"q"', "Negotiate"]) == {"bearer": {"realm": 'q"q'}}


# The rest


def test_tags_follow_pages(registry: LyingRegistry) -> None:
    def before(h: Handler) -> bool:
        if "last=b" in h.path:
            h.answer(200, b'{"tags":["c"]}')
        else:
            h.answer(200, b'{"tags":["a","b"]}', {"Link": '</v2/x/tags/list?last=b>; rel="next"'})
        return True

    registry.before = before
    assert client(registry).tags("x") == ["a", "b", "c"]


def test_abort_wakes_a_reader(registry: LyingRegistry) -> None:
    registry.chunk_delay = 0.5
    c = client(registry, options=Options(timeout=30))
    c.manifest("x", "latest")
    caught: list[BaseException] = []

    def read() -> None:
        try:
            big(c)
        except RegistryError as e:
            caught.append(e)

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.3)
    start = time.monotonic()
    c.abort()
    thread.join(5)
    assert time.monotonic() - start < 0.5 and isinstance(caught[0], Cancelled)


def test_memory_does_not_grow_with_the_blob(registry: LyingRegistry) -> None:
    import tracemalloc

    c = client(registry)
    c.manifest("x", "latest")
    blob = bytes(40_000_000)
    registry.blobs["zero"] = blob
    tracemalloc.start()
    total = sum(len(part) for part in c.blob("x", "zero", size=len(blob)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == len(blob) and peak < 6_000_000


@pytest.mark.parametrize(("host", "loopback"), [
    ("localhost", True), ("localhost:5000", True), ("127.1.2.3:5", True), ("[::1]:5000", True), ("10.0.0.1", False),
    ("localhost.example.com", False), ("docker.io", False), ("0.0.0.0:5000", False), ("127.0.0.1.example.com", False),
])
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    assert proxy_for("https", "quay.io", None) is None
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", "internal.example, .corp,10.0.0.0/8,host:5000,*.star.example")
    assert proxy_for("https", "quay.io", None) == "http://proxy:3128"
    assert proxy_for("http", "quay.io", None) is None
    for direct in ("internal.example", "a.internal.example", "x.corp", "10.1.2.3", "localhost", "127.0.0.9", "::1",
                   "a.star.example"):
        assert proxy_for("https", direct, None) is None, direct
    for proxied in ("notinternal.example", "corp", "11.1.2.3", "host"):
        assert proxy_for("https", proxied, None), proxied
    assert proxy_for("https", "host", 5000) is None
    monkeypatch.setenv("NO_PROXY", "*")
    assert proxy_for("https", "quay.io", None) is None


def test_requests_go_through_the_proxy(registry: LyingRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def before(h: Handler) -> bool:
        seen.append(h.path)
        h.path = h.path.removeprefix("http://far.invalid")
        return False

    registry.before = before
    monkeypatch.setenv("http_proxy", f"http://{registry.host}")
    c = Client("far.invalid", options=FAST._replace(verify=False))
    c._http._schemes = ["http"]
    assert c.manifest("x", "latest").digest == IMAGE.digest
    assert seen == ["http://far.invalid/v2/x/manifests/latest"]
    for proxy, words in (("ftp://user:secret@x:1", "of no known kind"), ("http://[", "of no known kind"),
                         (f"socks5://user:secret@127.0.0.1:{free_port()}", "proxyconnect: .*Error connecting to SOCKS5 proxy")):
        monkeypatch.setenv("http_proxy", proxy)
        c = Client("far.invalid", options=FAST._replace(verify=False))
        c._http._schemes = ["http"]
        with pytest.raises(RegistryError, match=words) as e:
            c.manifest("x", "latest")
        assert "secret" not in e.value.message


def test_retry_after_dates() -> None:
    assert transport._retry_after("7") == 7.0
    assert transport._retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert transport._retry_after("soon") is None
