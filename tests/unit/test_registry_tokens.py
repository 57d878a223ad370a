"""Tokens: what is asked for, how long they are used, hostile challenges, realms, answers and redirects."""

import json
import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlike.errors import RegistryError
from podlike.registry.authtoken import UnauthorizedError, _lifetime, _scopes, parse_challenges
from podlike.registry.client import Client, Options
from podlike.registry.credentials import Credentials
from podlike.registry.search import search
from podlike.registry.transport import Transport
from tests.support.registry import Answer, Handler, LyingRegistry, lying_registry, make_image, make_layer, tar_of

IMAGE = make_image([make_layer(tar_of({"a": b"hello"}))])
FAST = Options(retry_delay=0.01, retries=1, timeout=3.0)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[LyingRegistry]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with lying_registry() as r:
        r.add(IMAGE)
        yield r


class TokenServer:
    """Guards a registry with tokens of its own, which it also hands out.

    valid: the token that is taken now. answer: what the token server says.
    """

    def __init__(self, registry: LyingRegistry, *, scope: str = "repository:x:pull", **answer: Any) -> None:
        self.valid = "t0"
        self.count = 0
        self.answer = answer
        self.asked: list[dict[str, list[str]]] = []
        self.scope = scope
        self.registry = registry
        registry.before = self.before

    def before(self, h: Handler) -> bool:
        if h.path.startswith("/token"):
            self.asked.append(parse_qs(urlsplit(h.path).query))
            self.count += 1
            self.valid = f"t{self.count}"
            h.answer(200, json.dumps({"token": self.valid, **self.answer}).encode(), {"Content-Type": "application/json"})
            return True
        if h.headers.get("Authorization") == f"Bearer {self.valid}":
            return False
        scope = f',scope="{self.scope}"' if self.scope else ""
        h.error(401, "UNAUTHORIZED", "authentication required", {
            "WWW-Authenticate": f'Bearer realm="http://{self.registry.host}/token",service="s v"{scope}'})
        return True


def always(status: int, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    """Every request gets this answer."""
    def before(h: Handler) -> bool:
        h.answer(status, body, headers)
        return True

    return before


def client(registry: LyingRegistry, creds: Credentials | None = None) -> Client:
    return Client(registry.host, credentials=creds, options=FAST)


def test_what_is_asked_for(registry: LyingRegistry) -> None:
    server = TokenServer(registry)
    client(registry, Credentials("me", "pw")).manifest("x", "latest")
    assert server.asked == [{"service": ["s v"], "scope": ["repository:x:pull"], "account": ["me"]}]
    assert registry.requests[1][2]["authorization"] == Credentials("me", "pw").basic()


def test_the_registrys_scope_and_ours_are_both_asked_for(registry: LyingRegistry) -> None:
    server = TokenServer(registry, scope="repository:x:pull registry:catalog:*")
    client(registry).request("x", "/v2/x/manifests/latest", "x", {}, access=["repository:x:pull,push"])
    assert server.asked == [{"service": ["s v"], "scope": ["repository:x:pull,push", "registry:catalog:*"]}]


@pytest.mark.parametrize(("asked", "ours", "want"), [
    ("", "", []), ("a:b:c", "", ["a:b:c"]), ("", "a:b:c a:b:d", ["a:b:c", "a:b:d"]),
    ("repository:x:pull", "repository:x:pull,push", ["repository:x:pull,push"]),
    ("repository:y:pull", "repository:x:pull", ["repository:x:pull", "repository:y:pull"]),
    ("repository:h:5/x:push", "repository:h:5/x:pull", ["repository:h:5/x:pull", "repository:h:5/x:push"]),
    ("odd", "odd", ["odd"]),
])
def test_scopes(asked: str, ours: str, want: list[str]) -> None:
    assert _scopes(asked, ours) == want


def test_a_token_is_renewed_before_its_end_without_asking_the_registry(registry: LyingRegistry,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    server = TokenServer(registry, expires_in=300)
    now = 1000.0
    monkeypatch.setattr("podlike.registry.authtoken.time.monotonic", lambda: now)
    c = client(registry)
    c.manifest("x", "latest")
    now += 290
    c.manifest("x", "latest")
    assert server.count == 1
    now += 6
    c.manifest("x", "latest")
    assert server.count == 2
    refused = [path for _, path, headers in registry.requests if "manifests" in path and "authorization" not in headers]
    assert len(refused) == 1


def test_a_token_that_is_revoked_during_a_pull_is_renewed(registry: LyingRegistry) -> None:
    server = TokenServer(registry)
    layer = IMAGE.layers[0]
    c = client(registry)
    c.manifest("x", "latest")
    server.valid = "revoked"
    assert b"".join(c.blob("x", layer.digest, size=len(layer.blob))) == layer.blob
    assert server.count == 2


@pytest.mark.parametrize(("answer", "low", "high"), [
    ({}, 54, 60), ({"expires_in": 300}, 294, 296), ({"expires_in": 2}, 1.7, 2), ({"expires_in": 10**400}, 86000, 86400),
    ({"expires_in": -5}, 54, 60), ({"expires_in": "300"}, 54, 60), ({"expires_in": True}, 54, 60),
    ({"expires_in": float("nan")}, 54, 60), ({"expires_in": None, "issued_at": 5}, 54, 60),
    ({"expires_in": 300, "issued_at": "1999-01-01T00:00:00Z"}, 294, 296),
    ({"expires_in": 300, "issued_at": "2999-01-01T00:00:00Z"}, 294, 296), ({"expires_in": 300, "issued_at": "x" * 999}, 294, 296),
])
def test_lifetimes(answer: dict[str, Any], low: float, high: float) -> None:
    assert low <= _lifetime(answer) <= high


def test_a_token_that_the_server_had_in_store_is_used_for_the_rest_of_its_life() -> None:
    issued = time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime(time.time() - 100))
    assert 190 <= _lifetime({"expires_in": 300, "issued_at": issued}) <= 196


def test_identity_tokens_are_posted_and_may_be_exchanged(registry: LyingRegistry) -> None:
    forms: list[bytes] = []

    def before(h: Handler) -> bool:
        if h.path == "/token":
            h.answer(200, json.dumps({"access_token": f"a{len(forms)}", "refresh_token": "next"}).encode())
            return True
        if h.headers.get("Authorization", "").startswith("Bearer a"):
            return False
        h.error(401, "UNAUTHORIZED", "x", {"WWW-Authenticate": f'Bearer realm="http://{registry.host}/token",service="s"'})
        return True

    registry.before = before
    c = client(registry, Credentials("", "", "first"))
    original = c._http.fetch

    def spy(url: str, headers: Any, *, method: str = "GET", body: bytes | None = None) -> Any:
        forms.append(body or b"")
        return original(url, headers, method=method, body=body)

    c._http.fetch = spy  # type: ignore[method-assign]
    c.manifest("x", "latest")
    c.request("x", "/v2/x/manifests/latest", "x", {}, access=["repository:x:pull,push"])
    first, second = (parse_qs(form.decode()) for form in forms)
    assert first["refresh_token"] == ["first"] and first["grant_type"] == ["refresh_token"]
    assert first["scope"] == ["repository:x:pull"] and second["refresh_token"] == ["next"]


@pytest.mark.parametrize("realm", [
    "", "ftp://h/t", "http://", "http://[/", "//h/t", "http://u:p@h/t", "http://h:99999/t", "http://h/\u00e4", "javascript:x", "http://h:0/",
])
def test_realms_that_are_none(registry: LyingRegistry, realm: str) -> None:
    def before(h: Handler) -> bool:
        h.send_response(401)
        h.send_header("WWW-Authenticate", f'Bearer realm="{realm}"'.encode().decode("latin-1"))
        h.send_header("Content-Length", "0")
        h.end_headers()
        return True

    registry.before = before
    with pytest.raises(RegistryError, match="names no usable token server"):
        client(registry, Credentials("u", "secret")).manifest("x", "latest")


@pytest.mark.parametrize(("body", "words"), [
    (b"[]", "not a JSON object"), (b"<html>", "not a JSON object"), (b"[" * 100_000, "not a JSON object"),
    (b"{}", "without a token"), (b'{"token": 5}', "without a token"), (b'{"token": "a\\nb: c"}', "without a token"),
    (json.dumps({"token": "x" * 70_000}).encode(), "without a token"),
    (json.dumps({"token": "x", "more": "y" * 2_000_000}).encode(), "not a JSON object"),
])
def test_token_servers_that_lie(registry: LyingRegistry, body: bytes, words: str) -> None:
    def before(h: Handler) -> bool:
        if h.path.startswith("/token"):
            h.answer(200, body)
        else:
            h.error(401, "UNAUTHORIZED", "x", {"WWW-Authenticate": f'Bearer realm="http://{registry.host}/token"'})
        return True

    registry.before = before
    with pytest.raises(RegistryError, match=words) as e:
        client(registry).manifest("x", "latest")
    assert "\n" not in e.value.message


def test_a_password_that_the_token_server_refuses(registry: LyingRegistry) -> None:
    def before(h: Handler) -> bool:
        if h.path.startswith("/token"):
            h.answer(401, b'{"details": "incorrect\\u0007 name"}')
        else:
            h.error(401, "UNAUTHORIZED", "x", {"WWW-Authenticate": f'Bearer realm="http://{registry.host}/token"'})
        return True

    registry.before = before
    with pytest.raises(UnauthorizedError, match=r"invalid username/password: incorrect\? name"):
        client(registry, Credentials("u", "secret")).manifest("x", "latest")


@pytest.mark.parametrize("status", [307, 308])
def test_an_identity_token_does_not_follow_a_redirect_to_another_host(registry: LyingRegistry, status: int) -> None:
    with lying_registry(address="127.0.0.2") as thief:
        def before(h: Handler) -> bool:
            if h.path == "/token":
                h.answer(status, b"", {"Location": f"http://{thief.host}/token"})
            else:
                h.error(401, "UNAUTHORIZED", "x", {"WWW-Authenticate": f'Bearer realm="http://{registry.host}/token"'})
            return True

        registry.before = before
        with pytest.raises(RegistryError, match="redirects a request that has credentials in it"):
            client(registry, Credentials("", "", "secret")).manifest("x", "latest")
        assert thief.requests == []


def test_a_password_does_not_follow_the_token_servers_redirect(registry: LyingRegistry) -> None:
    with lying_registry(address="127.0.0.2") as thief:
        thief.before = always(200, b'{"token": "t"}')

        def before(h: Handler) -> bool:
            if h.path.startswith("/token"):
                return h.redirect(f"http://{thief.host}/token")
            if h.headers.get("Authorization") == "Bearer t":
                return False
            h.error(401, "UNAUTHORIZED", "x", {"WWW-Authenticate": f'Bearer realm="http://{registry.host}/token"'})
            return True

        registry.before = before
        client(registry, Credentials("u", "secret")).manifest("x", "latest")
        assert "authorization" not in thief.requests[0][2]


@pytest.mark.parametrize("location", ["http://[", "http://:80/", "file:///etc/passwd", "http://h:x/", "data:,x", "//[::1/"])
def test_locations_that_are_none(registry: LyingRegistry, location: str) -> None:
    registry.before = lambda h: h.redirect(location)
    with pytest.raises(RegistryError, match=r"redirects (from|to)"):
        client(registry).manifest("x", "latest")


@pytest.mark.parametrize("header", ["WWW-Authenticate", "Location", "Docker-Content-Digest", "X-Any"])
def test_giant_headers(registry: LyingRegistry, header: str) -> None:
    registry.before = always(401 if header[0] == "W" else 307, b"", {header: "Bearer realm=" + "x" * 200_000})
    with pytest.raises(RegistryError):
        client(registry).manifest("x", "latest")
    registry.before = always(200, b"{}", {f"X-{n}": "y" for n in range(500)})
    with pytest.raises(RegistryError):
        client(registry).manifest("x", "latest")


@pytest.mark.parametrize("header", ['a="' * 20_000, '="' * 30_000, 'Bearer realm="' + "\\" * 60_000, "a " * 30_000,
                                    '\\"' * 30_000, "a=" * 30_000])
def test_challenges_are_read_in_a_moment(header: str) -> None:
    begin = time.monotonic()
    parse_challenges([header])
    assert time.monotonic() - begin < 0.5


_WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
_TOKENS = st.text(st.sampled_from("abcXYZ09-._~!#$%&'*+^`|"), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(max_size=200), max_size=4))
def test_any_text_is_read_as_some_challenge(headers: list[str]) -> None:
    found = parse_challenges(headers)
    assert set(found) <= {"bearer", "basic"}
    assert all(isinstance(v, str) for table in found.values() for v in table.values())


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_TOKENS.map(str.lower), _WORDS, max_size=5), st.sampled_from(("Bearer", "BEARER", "bearer")),
       st.sampled_from((",", ", ", " , ")), st.booleans())
def test_challenges_are_read_as_they_were_written(parameters: dict[str, str], scheme: str, comma: str, basic: bool) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = f"{scheme} " + comma.join(f"{k}={quoted(v)}" for k, v in parameters.items())
    found = parse_challenges([header, *(['Basic realm="r"'] if basic else [])])
    assert found["bearer"] == parameters
    assert ("basic" in found) == basic


def catalog(registry: LyingRegistry, pages: dict[str, tuple[Any, str]]) -> None:
    def before(h: Handler) -> bool:
        names, link = pages.get(h.path, (None, ""))
        if names is None:
            h.error(404, "NAME_UNKNOWN", "no")
        else:
            h.answer(200, json.dumps({"repositories": names}).encode(), {"Link": link} if link else {})
        return True

    registry.before = before


def test_catalogs_are_read_page_by_page_up_to_the_limit(registry: LyingRegistry) -> None:
    catalog(registry, {"/v2/_catalog": (["a", "xa", 5], '</v2/_catalog?n=3&last=c>; rel="next"'),
                       "/v2/_catalog?n=3&last=c": (["bx", "x"], "<http://evil.invalid/v2/_catalog?last=d>; rel=next"),
                       "/v2/_catalog?last=d": (["x2"], "")})
    assert [f.name for f in search(client(registry), "x", 25)] == ["x", "xa", "bx", "x2"]
    assert [f.name for f in search(client(registry), "x", 1)] == ["xa"]
    assert len(search(client(registry), "", 25)) == 5


@pytest.mark.parametrize(("names", "link"), [("a", ""), ({}, ""), (None, "")])
def test_odd_catalogs(registry: LyingRegistry, names: Any, link: str) -> None:
    registry.before = always(200, json.dumps({"repositories": names}).encode())
    if names is None:
        assert search(client(registry), "", 5) == []
    else:
        with pytest.raises(RegistryError, match="no list of"):
            search(client(registry), "x" if names == "a" else "", 5)


def test_a_catalog_without_end_ends(registry: LyingRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    def before(h: Handler) -> bool:
        h.answer(200, b'{"repositories": ["b"]}', {"Link": f'</v2/_catalog?p={len(registry.requests)}>; rel="next"'})
        return True

    monkeypatch.setattr("podlike.registry.search.MAX_PAGES", 20)
    registry.before = before
    assert [f.name for f in search(client(registry), "", 5)] == ["b"]
    assert len(registry.requests) == 20
    registry.requests.clear()
    registry.before = always(200, b'{"repositories": ["b"]}', {"Link": '</v2/_catalog>; rel="next"'})
    search(client(registry), "", 5)
    assert len(registry.requests) == 1


def test_the_first_protocol(registry: LyingRegistry) -> None:
    rows = [{"name": "alpine", "description": "a\nb\x1b[31m", "star_count": 7, "is_official": True, "is_automated": False},
            {"name": 5}, "x", {"name": "other/alpine", "star_count": "many"}]
    registry.before = always(200, json.dumps({"results": rows}).encode())
    first, second = search(client(registry), "alp ine&", 25)
    assert first == ("alpine", "a b [31m", 7, True, False) and second == ("other/alpine", "", 0, False, False)
    assert registry.paths() == ["/v1/search?q=alp+ine%26&n=25"]


@pytest.mark.parametrize(("verify", "url", "strict"), [
    (None, "https://127.0.0.1:5/t", True), (None, "https://localhost/t", True), (None, "https://tokens.example/t", True),
    (None, "https://127.0.0.1.example/t", True), (None, "https://localhost@tokens.example/t", True),
    (True, "https://127.0.0.1:5/t", True), (False, "https://tokens.example/t", False),
])
def test_what_a_registry_on_loopback_names_must_prove_itself(verify: bool | None, url: str, strict: bool) -> None:
    import ssl

    context = Transport("127.0.0.1:5", Options(verify=verify))._manager(url).connection_pool_kw["ssl_context"]
    assert (context.verify_mode == ssl.CERT_REQUIRED) == strict and context.check_hostname == strict
