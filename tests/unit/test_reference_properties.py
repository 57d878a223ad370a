"""Names of images, by properties: what is read is complete, reads the same again, and nothing else comes out than an error."""

from hypothesis import given, settings
from hypothesis import strategies as st

from podlike.errors import UsageError
from podlike.registries_conf import Endpoint, RegistriesConf, Registry
from podlike.registry.proxy import _excluded, is_loopback
from podlike.spec.reference import Reference, is_short, parse_reference
from podlike.trust.identity import Identity, scopes

_LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
_HOST = st.one_of(st.just("localhost"), st.lists(_LABEL, min_size=2, max_size=4).map(".".join),
                  st.sampled_from(("127.0.0.1", "[::1]", "[2001:db8::5]")))
_DOMAIN = st.tuples(_HOST, st.one_of(st.just(""), st.integers(1, 65535).map(lambda n: f":{n}"))).map("".join)
_PART = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
_PATH = st.lists(_PART, min_size=1, max_size=4).map("/".join)
_TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
_DIGEST = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
_TAIL = st.one_of(_TAG.map(lambda t: f":{t}"), _DIGEST.map(lambda d: f"@{d}"),
                  st.tuples(_TAG, _DIGEST).map(lambda p: f":{p[0]}@{p[1]}"))
NAMES = st.tuples(_DOMAIN, st.just("/"), _PATH, _TAIL).map("".join)
SHORT = st.tuples(_PART, st.one_of(st.just(""), _TAIL)).map("".join)


@settings(max_examples=150, deadline=None)
@given(NAMES)
def test_a_complete_name_is_read_as_it_is(name: str) -> None:
    assert parse_reference(name).name == name and not is_short(name)


@settings(max_examples=100, deadline=None)
@given(SHORT)
def test_a_short_name_is_the_hubs(name: str) -> None:
    found = parse_reference(name)
    assert found.domain == "docker.io" and found.path.startswith("library/") and (found.tag or found.digest)
    assert parse_reference(found.name) == found and parse_reference(found.familiar) == found and is_short(name)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(max_size=80), st.text(st.sampled_from("aZ0./:@-_[]% \n\x00é"), max_size=40)))
def test_any_text_is_a_name_or_a_usage_error(text: str) -> None:
    try:
        found = parse_reference(text)
    except UsageError as e:
        assert e.message
        return
    assert found.name.isascii() and not set(found.name) & set(" \n\x00%\\")
    assert parse_reference(found.name) == found
    assert ".." not in found.path.split("/") and not found.path.startswith("/")


@settings(max_examples=100, deadline=None)
@given(NAMES)
def test_every_scope_of_a_name_is_a_part_of_it(name: str) -> None:
    found = parse_reference(name)
    plain = [s for s in scopes(found) if not s.startswith("*.")]
    assert plain[1] == found.repository and all(found.repository.startswith(s) for s in plain[1:])
    assert plain[-1] == found.domain
    assert Identity("matchRepository").accepts(found, name)
    assert Identity("matchExact").accepts(found, name)


@settings(max_examples=100, deadline=None)
@given(NAMES, _DOMAIN, st.one_of(st.just(""), _PATH.map(lambda p: f"/{p}")))
def test_a_rewritten_name_keeps_what_follows_the_prefix(name: str, host: str, path: str) -> None:
    reference = parse_reference(name)
    conf = RegistriesConf()
    conf.registries = {reference.domain: Registry(reference.domain, Endpoint(host + path))}
    (source,) = conf.pull_sources(reference.repository, by_digest=False)
    assert source.repository == f"{host}{path}/{reference.path}"
    untouched = Reference(f"x{reference.domain}".replace("x[", "["), reference.path)
    if untouched.domain != reference.domain:
        assert conf.pull_sources(untouched.repository, by_digest=False)[0].repository == untouched.repository


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.integers(1, 65535))
def test_no_proxy_takes_any_text(entry: str, host: str, port: int) -> None:
    assert _excluded(entry, host, port) in (True, False) and is_loopback(host) in (True, False)


@settings(max_examples=100, deadline=None)
@given(_LABEL, _LABEL, st.integers(1, 65535))
def test_no_proxy_covers_a_domain_and_what_is_below_it(name: str, below: str, port: int) -> None:
    domain = f"{name}.example"
    assert _excluded(domain, domain, port) and _excluded(domain, f"{below}.{domain}", port)
    assert _excluded(f".{domain}", f"{below}.{domain}", port) and not _excluded(f".{domain}", domain, port)
    assert not _excluded(domain, f"{below}{domain}", port) and not _excluded(f"{domain}:{port % 65535 + 1}", domain, port)
