"""Credentials: which file, which key, helpers."""

import base64
import json
import os
from pathlib import Path

import pytest

from podlike.errors import RegistryError, UsageError
from podlike.registry.auth import Credentials, auth_files, find_credentials, parse_creds


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path


def put(path: Path, doc: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(doc))


def test_files_are_read_in_order_and_the_environment_names_the_only_one(
        home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert auth_files() == [f"{home}/run/containers/auth.json", f"{home}/.config/containers/auth.json",
                            f"{home}/.docker/config.json", f"{home}/.dockercfg"]
    for n, path in enumerate(reversed(auth_files())):
        table = {"q.example": {"auth": b64(f"user{n}:pw")}}
        put(Path(path), table if path.endswith("cfg") else {"auths": table})
        found = find_credentials("q.example/x")
        assert found and found.username == f"user{n}"
    put(home / "only.json", {})
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(home / "only.json"))
    assert find_credentials("q.example/x") is None


def test_the_most_specific_key_wins(home: Path) -> None:
    put(home / "run/containers/auth.json", {"auths": {
        "q.example": {"auth": b64("host:1")}, "q.example/team": {"auth": b64("team:2")},
        "q.example/team/app": {"auth": b64("app:a:b")}, "other.example": {}}})
    assert find_credentials("q.example/team/app") == Credentials("app", "a:b")
    assert find_credentials("q.example/team/x") == Credentials("team", "2")
    assert find_credentials("q.example/teams/x") == Credentials("host", "1")
    assert find_credentials("other.example/x") is None
    assert find_credentials("q.example:5000/x") is None


def test_the_hub_is_found_under_its_old_key(home: Path) -> None:
    put(home / ".docker/config.json", {"auths": {"https://index.docker.io/v1/": {
        "auth": b64("me:"), "identitytoken": "tok"}}})
    assert find_credentials("docker.io/library/x") == Credentials("me", "", "tok")
    assert find_credentials("quay.io/x") is None


@pytest.mark.parametrize("doc", ["[", {"auths": []}, {"auths": {"q.example": {"auth": "###"}}},
                                 {"auths": {"q.example": {"auth": b64("nocolon")}}}, []])
def test_broken_files_are_named(home: Path, doc: object) -> None:
    path = home / "run/containers/auth.json"
    put(path, doc)
    if doc == "[":
        path.write_text("[")
    if doc == []:
        path.write_text("[]")
    if doc == {"auths": []}:
        path.write_text('{"auths": ["x"]}')
    with pytest.raises(RegistryError, match=r"read credentials .*auth\.json"):
        find_credentials("q.example/x")


def helper(home: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = home / "bin/docker-credential-fake"
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


def test_helpers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home / ".docker/config.json", {"credHelpers": {"q.example": "fake"}, "credsStore": "fake"})
    helper(home, monkeypatch, 'read s || :; printf \'{"Username":"u","Secret":"%s"}\' "$s"')
    assert find_credentials("q.example/x") == Credentials("u", "q.example")
    assert find_credentials("docker.io/library/x") == Credentials("u", "https://index.docker.io/v1/")
    helper(home, monkeypatch, 'echo \'{"Username":"<token>","Secret":"refresh"}\'')
    assert find_credentials("q.example/x") == Credentials("<token>", "", "refresh")
    helper(home, monkeypatch, "echo credentials not found in native keychain; exit 1")
    assert find_credentials("q.example/x") is None
    helper(home, monkeypatch, "echo locked; exit 1")
    with pytest.raises(RegistryError, match="docker-credential-fake for q.example: locked"):
        find_credentials("q.example/x")
    put(home / ".docker/config.json", {"credHelpers": {"q.example": "missing"}})
    with pytest.raises(RegistryError, match="docker-credential-missing"):
        find_credentials("q.example/x")


def test_creds_option() -> None:
    assert parse_creds("a:b:c") == Credentials("a", "b:c")
    with pytest.raises(UsageError):
        parse_creds(":x")
    assert "secret" not in repr(Credentials("u", "secret", "secret"))
    with pytest.raises(UsageError, match="credential file is not accessible: stat /nowhere"):
        find_credentials("q.example/x", authfile="/nowhere")
