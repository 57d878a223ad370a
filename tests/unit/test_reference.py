"""Image names: grammar, normalisation, look-up order."""

import random
import re

import pytest

from podlike.errors import UsageError
from podlike.spec.reference import Reference, candidates, check_digest, is_short, parse_reference, split_short

D = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(("text", "name"), [
    ("nginx", "docker.io/library/nginx:latest"),
    ("nginx:1.25", "docker.io/library/nginx:1.25"),
    ("library/nginx", "docker.io/library/nginx:latest"),
    ("user/app:v1", "docker.io/user/app:v1"),
    ("docker.io/nginx", "docker.io/library/nginx:latest"),
    ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
    ("index.docker.io/user/app", "docker.io/user/app:latest"),
    ("localhost/x", "localhost/x:latest"),
    ("localhost:5000/x/y:t", "localhost:5000/x/y:t"),
    ("127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"),
    ("[::1]:5000/x:t", "[::1]:5000/x:t"),
    ("quay.io/a/b/c/d", "quay.io/a/b/c/d:latest"),
    ("UPPER/x", "UPPER/x:latest"),
    (f"x@{D}", f"docker.io/library/x@{D}"),
    (f"quay.io/x:t@{D}", f"quay.io/x:t@{D}"),
    ("a__b/c-d---e.f_g", "docker.io/a__b/c-d---e.f_g:latest"),
    ("x:5000", "docker.io/library/x:5000"),
    ("ghcr.io/x:_T.-9", "ghcr.io/x:_T.-9"),
])
def test_normalised(text: str, name: str) -> None:
    assert parse_reference(text).name == name


@pytest.mark.parametrize("text", [
    "", " ", "x y", ":tag", "@" + D, "x:", "x@", "x:-t", "x:" + "t" * 129, "/x", "x/", "a//b", "a..b",
    "-x", "x-", "a___b", "x@sha256:abc", "x@md5:" + "0" * 32, "x@" + D.upper(), "x@" + D + "0",
    "https://quay.io/x", "x:t:u", "x\n", "a/" + "b" * 256, "quay.io/", "http:/x", "x@" + D + "@" + D,
    "ünï", "[::1/x", "a.b:port/x", "0" * 64, "x;y", "../x",
])
def test_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text)


def test_refusals_use_the_known_words() -> None:
    with pytest.raises(UsageError, match="repository name must be lowercase") as e:
        parse_reference("foo/Bar:1")
    assert e.value.hint and "foo/bar" in e.value.hint
    with pytest.raises(UsageError, match="invalid reference format"):
        parse_reference("foo/bar:-x")
    with pytest.raises(UsageError, match="64-byte hexadecimal"):
        parse_reference("a" * 64)
    with pytest.raises(UsageError, match="unsupported digest algorithm md5"):
        parse_reference("x@md5:" + "0" * 32)


@pytest.mark.parametrize(("text", "familiar"), [
    ("nginx", "nginx:latest"), ("docker.io/user/app:1", "user/app:1"), ("quay.io/x", "quay.io/x:latest"),
    ("docker.io/library/a/b", "library/a/b:latest"), (f"x@{D}", f"x@{D}"),
])
def test_familiar(text: str, familiar: str) -> None:
    r = parse_reference(text)
    assert r.familiar == familiar
    assert parse_reference(r.familiar) == r  # docker's rule reads it back


def test_parts() -> None:
    r = parse_reference(f"quay.io/a/b:t@{D}")
    assert r == Reference("quay.io", "a/b", "t", D)
    assert (r.repository, r.identifier, r.with_digest(D).name) == ("quay.io/a/b", D, f"quay.io/a/b@{D}")


@pytest.mark.parametrize(("text", "short"), [
    ("x", True), ("x:5000", True), ("a/b", True), ("x.y", True), ("localhost/x", False), ("localhost", True),
    ("h:1/x", False), ("quay.io/x", False), (f"x@{D}", True),
])
def test_is_short(text: str, short: bool) -> None:
    assert is_short(text) is short


def test_split_short() -> None:
    assert split_short(f"a/b:t@{D}") == ("a/b", f":t@{D}")
    assert split_short("x") == ("x", "")


def test_candidates_order() -> None:
    assert candidates("quay.io/x") == ["quay.io/x:latest"]
    assert candidates("x") == ["localhost/x:latest", "docker.io/library/x:latest"]
    assert candidates("a/x:1", search=["quay.io", "docker.io"]) == [
        "localhost/a/x:1", "quay.io/a/x:1", "docker.io/a/x:1"]
    assert candidates("fedora:40", alias="reg.example.org/fedora")[0] == "reg.example.org/fedora:40"
    with pytest.raises(UsageError):
        candidates("X")


def test_random_names_survive_a_round_trip() -> None:
    rng = random.Random(7)

    def word() -> str:
        parts = (["a", "0", "b2"], ["", "-", "--", ".", "_", "__"], ["z", "9x"])
        return "".join(rng.choice(p) for p in parts)

    for _ in range(2000):
        text = "/".join(word() for _ in range(rng.randint(1, 4)))
        if rng.random() < 0.5:
            domain = rng.choice(["quay.io", "localhost", "h:5000", "[fe80::1]:1", "index.docker.io"])
            text = f"{domain}/{text}"
        text += rng.choice(["", ":T-1._x", f"@{D}", f":t@{D}"])
        r = parse_reference(text)
        assert parse_reference(r.name) == r
        assert not is_short(r.name)
        assert r.tag or r.digest


def test_random_noise_is_parsed_or_refused_and_never_lets_odd_characters_through() -> None:
    rng = random.Random(8)
    alphabet = "aA0.-_/:@[]% \n\0é" + D[:9]
    safe = re.compile(r"[A-Za-z0-9._/:@\[\]-]+")
    for _ in range(20000):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randint(0, 12)))
        try:
            r = parse_reference(text)
        except UsageError:
            continue
        assert safe.fullmatch(r.name) and ".." not in r.path and not r.path.startswith("/")


def test_check_digest() -> None:
    check_digest(D)
    check_digest("sha512:" + "0" * 128)
    with pytest.raises(UsageError, match="invalid checksum digest format"):
        check_digest(D[:-1])
