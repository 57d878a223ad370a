"""policy.json and registries.d: which requirement applies, which names fit, what is a mistake."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlike.errors import ConfigError, RegistryError
from podlike.spec.reference import parse_reference
from podlike.trust.check import Candidate, RejectedError, Signature, check
from podlike.trust.identity import Identity, scopes
from podlike.trust.payload import COSIGN, SIMPLE, digest_matches, make_payload, read_payload
from podlike.trust.policy import ACCEPT, Requirement, load_policy, parse_policy, policy_path
from podlike.trust.registries_d import load_registries_d

DIGEST = "sha256:" + "a" * 64
ACCEPTS, REJECTS = {"type": "insecureAcceptAnything"}, {"type": "reject"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "CONTAINERS_POLICY_JSON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("podlike.trust.policy.SYSTEM_FILES", (f"{tmp_path}/etc/policy.json",))
    monkeypatch.setattr("podlike.trust.registries_d.SYSTEM_DIR", f"{tmp_path}/etc/registries.d")
    return tmp_path


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def parse(document: Any) -> Any:
    return parse_policy(json.dumps(document).encode(), "/p.json")


def test_without_a_file_everything_is_accepted_and_the_users_comes_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_policy() == ACCEPT and policy_path() == ""
    system = put(home / "etc/policy.json", json.dumps({"default": [REJECTS]}))
    assert load_policy().default == (Requirement("reject"),)
    own = put(home / ".config/containers/policy.json", json.dumps({"default": [ACCEPTS]}))
    assert load_policy().path == str(own)
    monkeypatch.setenv("CONTAINERS_POLICY_JSON", str(system))
    assert load_policy().path == str(system) and load_policy(str(own)).path == str(own)
    with pytest.raises(ConfigError, match="open /nowhere: no such file"):
        load_policy("/nowhere")


def test_scopes_from_the_most_specific_to_the_least() -> None:
    assert scopes(parse_reference("a.b.example.com:5000/x/y:1")) == [
        "a.b.example.com:5000/x/y:1", "a.b.example.com:5000/x/y", "a.b.example.com:5000/x", "a.b.example.com:5000",
        "*.b.example.com", "*.example.com", "*.com"]
    assert scopes(parse_reference("nginx"))[:3] == ["docker.io/library/nginx:latest", "docker.io/library/nginx",
                                                    "docker.io/library"]
    assert scopes(parse_reference(f"q.example/x@{DIGEST}"))[0] == f"q.example/x@{DIGEST}"


@pytest.mark.parametrize(("scope", "name", "applies"), [
    ("q.example/x:1", "q.example/x:1", True), ("q.example/x:1", "q.example/x:2", False), ("q.example/x", "q.example/x:2", True),
    ("q.example", "q.example/x/y", True), ("q.example/x", "q.example/xy", False), ("q.example", "q.example:5000/x", False),
    ("*.example", "q.example/x", True), ("*.example", "q.example:5000/x", True), ("*.q.example", "q.example/x", False),
    ("docker.io/library", "nginx", True), ("nginx", "nginx", False), ("", "any.example/x", True),
])
def test_the_longest_scope_wins(scope: str, name: str, applies: bool) -> None:
    policy = parse({"default": [ACCEPTS], "transports": {"docker": {scope: [REJECTS], "zzz.invalid": [ACCEPTS]},
                                                         "dir": {"": [REJECTS]}}})
    found = policy.requirements("docker", scopes(parse_reference(name)))
    assert (found[0].type == "reject") == applies
    assert not policy.accepts_everything and parse({"default": [ACCEPTS]}).accepts_everything


NAME = "q.example/team/app:1"


@pytest.mark.parametrize(("kind", "intended", "signed", "fits"), [
    (("matchRepoDigestOrExact",), NAME, NAME, True), (("matchRepoDigestOrExact",), NAME, "q.example/team/app:2", False),
    (("matchRepoDigestOrExact",), NAME, "q.example/team/app", False),
    (("matchRepoDigestOrExact",), f"q.example/team/app@{DIGEST}", NAME, True),
    (("matchRepoDigestOrExact",), f"q.example/team/app@{DIGEST}", "q.example/team/other:1", False),
    (("matchRepoDigestOrExact",), "nginx", "docker.io/library/nginx:latest", True),
    (("matchExact",), NAME, NAME, True), (("matchExact",), f"q.example/team/app@{DIGEST}", NAME, False),
    (("matchExact",), f"q.example/x@{DIGEST}", f"q.example/x@{DIGEST}", True),
    (("matchRepository",), NAME, "q.example/team/app:9", True), (("matchRepository",), NAME, "q.example/team/b:1", False),
    (("exactReference", "r.example/x:1"), NAME, "r.example/x:1", True),
    (("exactReference", "r.example/x:1"), NAME, "r.example/x:2", False),
    (("exactRepository", "r.example/x"), NAME, "r.example/x:2", True),
    (("exactRepository", "r.example/x"), NAME, "r.example/y:2", False),
    (("remapIdentity", "q.example", "vendor.example/a"), NAME, "vendor.example/a/team/app:1", True),
    (("remapIdentity", "q.example/team", "vendor.example"), NAME, "vendor.example/app:1", True),
    (("remapIdentity", "q.example/te", "vendor.example"), NAME, "vendor.exampleam/app:1", False),
    (("remapIdentity", "other.example", "vendor.example"), NAME, NAME, True),
    (("remapIdentity", "q.example/team/app", "vendor.example"), NAME, "vendor.example:1", False),
    (("matchRepoDigestOrExact",), NAME, "", False), (("matchRepoDigestOrExact",), NAME, "Not A Name", False),
])
def test_identities(kind: tuple[str, ...], intended: str, signed: str, fits: bool) -> None:
    assert Identity(*kind).accepts(parse_reference(intended), signed) == fits
    if not kind[0].startswith("exact"):
        assert not Identity(*kind).accepts(None, signed)


KEY = base64.b64encode(b"key").decode()
SIGNED = {"type": "signedBy", "keyType": "GPGKeys", "keyData": KEY}


@pytest.mark.parametrize(("document", "words"), [
    ({}, "Default policy is missing"), ([], "must be an object"), ({"default": {}}, "default must be a list"),
    ({"default": []}, "default is empty"), ({"default": [5]}, r"default\[0\] must be an object"),
    ({"default": [{}]}, r"default\[0\]\.type is missing"), ({"default": [{"type": 5}]}, "type must be a string"),
    ({"default": [{"type": "acceptAnything"}]}, "unknown policy requirement type"),
    ({"default": [{"type": "rejct"}]}, 'did you mean "reject"'),
    ({"default": [{**REJECTS, "keyPath": "x"}]}, r"default\[0\] has the unknown key 'keyPath'"),
    ({"defualt": [ACCEPTS]}, 'unknown key \'defualt\': did you mean "default"'),
    ({"default": [ACCEPTS], "transports": {"docker": {"q.example": []}}}, r"transports\.docker\['q\.example'\] is empty"),
    ({"default": [ACCEPTS], "transports": {"docker": []}}, r"transports\.docker must be an object"),
    ({"default": [{**SIGNED, "keyPath": "/x"}]}, "must have exactly one of keyPath, keyPaths, keyData"),
    ({"default": [{"type": "signedBy", "keyType": "GPGKeys"}]}, "must have exactly one of"),
    ({"default": [{**SIGNED, "keyType": "gpg"}]}, 'keyType is "gpg", not one of GPGKeys'),
    ({"default": [{**SIGNED, "keyData": "###"}]}, r"keyData is not base64"),
    ({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": []}]}, "keyPaths must be a list of strings"),
    ({"default": [{**SIGNED, "signedIdentity": {"type": "matchAny"}}]}, 'signedIdentity has the type "matchAny"'),
    ({"default": [{**SIGNED, "signedIdentity": {"type": "matchExact", "prefix": "x"}}]}, "must have the keys type and no others"),
    ({"default": [{**SIGNED, "signedIdentity": {"type": "exactReference", "dockerReference": "q.example/x"}}]},
     "no complete name with a tag or digest"),
    ({"default": [{**SIGNED, "signedIdentity": {"type": "remapIdentity", "prefix": "a b", "signedPrefix": "c"}}]},
     "has prefix 'a b'"),
    ({"default": [{"type": "sigstoreSigned", "keyData": KEY, "fulcio": {}}]}, "exactly one of keyPath, .* fulcio"),
])
def test_mistakes_are_named(document: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as e:
        parse(document)
    assert "/p.json" in e.value.message and e.value.hint


@pytest.mark.parametrize(("text", "words"), [
    (b'{\n"default": [}', r"p\.json:2"), (b'{"default": [{"type": "reject", "type": "insecureAcceptAnything"}]}', "'type' twice"),
    (b'{"default": [{"type": "reject"}], "default": []}', "'default' twice"),
    (b"\xff", "invalid policy"), (b"[" * 100_000, "invalid policy"),
])
def test_a_policy_that_two_readers_could_read_differently(text: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_policy(text, "/p.json")


def candidate(name: str = NAME, signatures: list[Signature] | None = None) -> Candidate:
    reference = parse_reference(name)
    return Candidate("docker", f"docker://{name}", scopes(reference), reference, b"{}", lambda: signatures or [])


@pytest.mark.parametrize(("requirements", "words"), [
    ([REJECTS], "Running image docker://q.example/team/app:1 is rejected by policy"), ([ACCEPTS, REJECTS], "is rejected"),
    ([SIGNED], "A signature was required, but no signature exists"),
    ([ACCEPTS, SIGNED], "A signature was required"), ([{**SIGNED, "keyType": "X509Certificates"}], "cannot check"),
    ([{"type": "sigstoreSigned", "keyData": KEY}], "no sigstore signature exists"),
    ([{"type": "sigstoreSigned", "fulcio": {}, "rekorPublicKeyPath": "/r"}], "sigstoreSigned with fulcio, which this version"),
    ([{"type": "sigstoreSigned", "keyData": KEY, "rekorPublicKeyPath": "/r"}], "with rekorPublicKeyPath, which"),
    ([{"type": "signedBaseLayer", "baseLayerIdentity": {}}], "signedBaseLayer"),
])
def test_refusals(requirements: list[Any], words: str) -> None:
    with pytest.raises(RejectedError, match=f"Source image rejected: .*{words}"):
        check(parse({"default": requirements}), candidate())


def test_a_key_that_is_not_there() -> None:
    policy = parse({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/nowhere"}]})
    with pytest.raises(ConfigError, match="open /nowhere: no such file"):
        check(policy, candidate(signatures=[Signature(b"x")]))


def test_payloads() -> None:
    for kind in (SIMPLE, COSIGN):
        assert read_payload(make_payload(kind, digest=DIGEST, name=NAME), kind) == (DIGEST, NAME)
    good = json.loads(make_payload(COSIGN, digest=DIGEST, name=NAME))
    assert read_payload(json.dumps({**good, "optional": None}).encode(), COSIGN)
    for bad in ({**good, "optional": 5}, {**good, "more": 1}, {"critical": good["critical"]}, [good], 5,
                {**good, "critical": {**good["critical"], "type": SIMPLE}}, {**good, "critical": {**good["critical"], "x": 1}},
                {**good, "critical": {**good["critical"], "image": {"docker-manifest-digest": 5}}}):
        with pytest.raises(RegistryError, match="invalid signature"):
            read_payload(json.dumps(bad).encode(), COSIGN)
    for text in (b"", b"{", b"\xff", b"[" * 100_000, b'{"critical": 1, "critical": 2, "optional": {}}'):
        with pytest.raises(RegistryError, match="invalid signature"):
            read_payload(text, SIMPLE)
    assert digest_matches(b"", "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
                               "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e")
    assert not digest_matches(b"", "md5:d41d8cd98f00b204e9800998ecf8427e") and not digest_matches(b"", "sha256:")


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=10), lambda x: st.lists(x, max_size=3)
                    | st.dictionaries(st.sampled_from(("default", "transports", "type", "docker", "keyType", "x")), x)))
def test_any_document_is_a_policy_or_a_mistake(document: Any) -> None:
    try:
        assert parse(document).default
    except ConfigError:
        pass


# registries.d


def test_places_of_signatures(home: Path) -> None:
    folder = home / ".config/containers/registries.d"
    reference = parse_reference("q.example:5000/team/app:1")
    assert load_registries_d().lookaside(reference).startswith("file:///")
    put(folder / "a.yaml", "default-docker:\n  sigstore: https://old.example/sigs/\n  lookaside-staging: file:///stage\n")
    put(folder / "b.yaml", "docker:\n  q.example:5000/team:\n    lookaside: https://l.example/x\n    "
        "use-sigstore-attachments: true\n  q.example:5000:\n    lookaside: https://no.example\n  '*.w.example':\n"
        "    lookaside: file:///w\n")
    put(folder / "notes.txt", "{")
    conf = load_registries_d()
    assert conf.lookaside(reference) == "https://l.example/x/team/app" and conf.attachments(reference)
    other = parse_reference("r.example/app")
    assert conf.lookaside(other) == "https://old.example/sigs/app" and not conf.attachments(other)
    assert conf.lookaside(other, write=True) == "file:///stage/app"
    assert conf.lookaside(parse_reference("a.w.example/x")) == "file:///w/x"
    scope = conf.of_scope("q.example:5000/team/app")
    assert scope and scope.read == "https://l.example/x"


@pytest.mark.parametrize(("files", "words"), [
    (["x: 1\na: }"], r"a0\.yaml:2"), (["docker: 5"], "docker must be a table"),
    (["docker:\n  x: 5"], r"docker\['x'\] must be a table"),
    (["dokcer: {}"], 'dokcer is an unknown key: did you mean "docker"'),
    (["docker:\n  x:\n    lookasid: file:///x"], 'did you mean "lookaside"'),
    (["docker:\n  x:\n    lookaside: 5"], "must be a string"),
    (["docker:\n  x:\n    lookaside: ftp://x"], "no file, http or https URL"),
    (["docker:\n  x:\n    use-sigstore-attachments: 'yes'"], "must be true or false"), (["- x"], "must be a table"),
    (["default-docker: {}", "default-docker: {}"], "default-docker defined both in"),
    (["docker:\n  x: {}", "docker:\n  x: {}"], '"docker" namespace "x" defined both in'),
    (["!!python/object/apply:os.system ['false']"], "parsing .*a0.yaml"),
])
def test_mistakes_in_registries_d(home: Path, files: list[str], words: str) -> None:
    for n, text in enumerate(files):
        put(home / f"etc/registries.d/a{n}.yaml", text)
    with pytest.raises(ConfigError, match=words):
        load_registries_d()
