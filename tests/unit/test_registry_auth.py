"""Credentials: which file, which key, helpers."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from podlike.errors import NotFoundError, RegistryError, UsageError
from podlike.registry.auth import (
    Credentials,
    auth_files,
    find_credentials,
    parse_creds,
    remove_all_credentials,
    remove_credentials,
    save_credentials,
)


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


def read(path: Path) -> dict[str, object]:
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def test_what_others_wrote_is_kept(home: Path) -> None:
    path = home / "run/containers/auth.json"
    put(path, {"auths": {"other.example": {"auth": b64("o:1"), "email": "x"}}, "HttpHeaders": {"a": "b"}, "psFormat": "t"})
    path.chmod(0o644)
    save_credentials("q.example/team", Credentials("u", "p:w"), path=str(path))
    assert read(path) == {"auths": {"other.example": {"auth": b64("o:1"), "email": "x"},
                                    "q.example/team": {"auth": b64("u:p:w")}}, "HttpHeaders": {"a": "b"}, "psFormat": "t"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert find_credentials("q.example/team/app") == Credentials("u", "p:w")
    remove_credentials("q.example/team", path=str(path))
    assert find_credentials("q.example/team/app") is None and find_credentials("other.example/x")
    with pytest.raises(NotFoundError, match="not logged into q.example"):
        remove_credentials("q.example", path=str(path))
    remove_all_credentials(path=str(path))
    assert read(path) == {"auths": {}, "HttpHeaders": {"a": "b"}, "psFormat": "t"}
    assert os.listdir(path.parent) == ["auth.json"]


def test_a_link_stays_a_link_and_a_broken_file_is_not_touched(home: Path) -> None:
    put(home / "real.json", {})
    (home / "run/containers").mkdir(parents=True)
    link = home / "run/containers/auth.json"
    link.symlink_to(home / "real.json")
    save_credentials("q.example", Credentials("u", "p"), path=str(link))
    assert link.is_symlink() and "q.example" in (home / "real.json").read_text()
    for text in ("{", "[]", '{"auths": 5}'):
        link.write_text(text)
        with pytest.raises(RegistryError, match="read credentials"):
            save_credentials("q.example", Credentials("u", "p"), path=str(link))
        assert link.read_text() == text


def test_logins_at_the_same_time_do_not_lose_each_other(home: Path) -> None:
    path = home / "run/containers/auth.json"
    script = ("import sys\nfrom podlike.registry.auth import Credentials, save_credentials\n"
              "for n in range(20): save_credentials(f'h{sys.argv[1]}-{n}.example', Credentials('u', 'p'), path=sys.argv[2])")
    running = [subprocess.Popen([sys.executable, "-c", script, str(n), str(path)]) for n in range(4)]
    assert [p.wait(30) for p in running] == [0] * 4
    auths = read(path)["auths"]
    assert isinstance(auths, dict) and len(auths) == 80


STORE = """
d="$HOME/store"; mkdir -p "$d"; in=$(cat)
file() { printf '%s' "$1" | tr '/:' '__'; }
case $1 in
store) s=$(printf '%s' "$in" | sed 's/.*"ServerURL": "\\([^"]*\\)".*/\\1/'); printf '%s' "$in" > "$d/$(file "$s")" ;;
get) f="$d/$(file "$in")"; [ -e "$f" ] || { echo 'credentials not found in native keychain'; exit 1; }; cat "$f" ;;
erase) f="$d/$(file "$in")"; [ -e "$f" ] || { echo 'credentials not found in native keychain'; exit 1; }; rm "$f" ;;
list) printf '{'; c=; for f in "$d"/*; do [ -e "$f" ] || continue
      printf '%s"%s": "u"' "$c" "$(sed 's/.*"ServerURL": "\\([^"]*\\)".*/\\1/' "$f")"; c=,; done; printf '}' ;;
esac
"""


def test_helpers_keep_and_forget(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(home, monkeypatch, STORE)
    path = home / "run/containers/auth.json"
    put(path, {"credHelpers": {"q.example": "fake"}})
    assert save_credentials("q.example", Credentials("u", "p"), path=str(path)) == "credential helper: fake"
    assert read(path) == {"credHelpers": {"q.example": "fake"}}
    assert find_credentials("q.example/x") == Credentials("u", "p")
    with pytest.raises(RegistryError, match="namespaced key is not supported for credential helper fake"):
        save_credentials("q.example/team", Credentials("u", "p"), path=str(path), helpers=["fake"])
    remove_credentials("q.example", path=str(path))
    assert find_credentials("q.example/x") is None and not list((home / "store").iterdir())


def test_a_credential_store_of_dockers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(home, monkeypatch, STORE)
    path = home / ".docker/config.json"
    put(path, {"credsStore": "fake"})
    hub = "https://index.docker.io/v1/"
    for key in (hub, "q.example:5000"):
        save_credentials(key, Credentials("u", key), path=str(path))
    assert read(path) == {"credsStore": "fake", "auths": {hub: {}, "q.example:5000": {}}}
    assert find_credentials("docker.io/library/x") == Credentials("u", hub)
    assert find_credentials("q.example:5000/x") == Credentials("u", "q.example:5000")
    remove_credentials(hub, path=str(path))
    assert find_credentials("docker.io/library/x") is None
    save_credentials("q.example", Credentials("", "", "refresh"), path=str(path))
    assert find_credentials("q.example/x") == Credentials("<token>", "", "refresh")
    remove_all_credentials(path=str(path))
    assert find_credentials("q.example/x") is None and read(path)["auths"] == {}


def test_helpers_of_registries_conf_are_asked_in_their_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(home, monkeypatch, STORE)
    path = home / "run/containers/auth.json"
    put(path, {"auths": {"q.example": {"auth": b64("file:1")}}})
    order = ["fake", "containers-auth.json"]
    assert find_credentials("q.example/x", helpers=order) == Credentials("file", "1")
    assert save_credentials("q.example", Credentials("store", "2"), path=str(path), helpers=order) == "credential helper: fake"
    assert find_credentials("q.example/x", helpers=order) == Credentials("store", "2")
    assert find_credentials("q.example/x", helpers=order[::-1]) == Credentials("file", "1")
    remove_credentials("q.example", path=str(path), helpers=order)
    assert find_credentials("q.example/x", helpers=order) is None
    # A helper that is missing does not hide what the next one knows, but is told when nobody knows.
    put(path, {"auths": {"q.example": {"auth": b64("file:1")}}})
    assert find_credentials("q.example/x", helpers=["gone", "containers-auth.json"]) == Credentials("file", "1")
    with pytest.raises(RegistryError, match=r"docker-credential-gone for r\.example: executable file not found"):
        find_credentials("r.example/x", helpers=["gone", "containers-auth.json"])


@pytest.mark.parametrize("name", ["../../bin/sh", "a/b"])
def test_a_helpers_name_is_no_path(home: Path, name: str) -> None:
    put(home / "run/containers/auth.json", {"credHelpers": {"q.example": name}})
    with pytest.raises(RegistryError, match="a helper's name has no slash"):
        find_credentials("q.example/x")
