"""Registries that ask who comes: login and logout, tokens, TLS, client certificates, proxies, search."""

import base64
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.guarded import Authority, TokenServer, docker_registry, socks_proxy, token_server
from tests.support.need import need
from tests.support.registry import (
    Handler,
    Image,
    RealRegistry,
    lying_registry,
    make_image,
    make_layer,
    real_registry,
    tar_of,
)


@pytest.fixture(scope="module")
def shared() -> Iterator[Engine]:
    engine = Engine(os.environ.get("PODLIKE_BIN", "podlike"))
    engine.env = {k: v for k, v in engine.env.items() if not k.lower().endswith("_proxy")}
    try:
        yield engine
    finally:
        engine.destroy()


@pytest.fixture
def engine(shared: Engine) -> Iterator[Engine]:
    """The engine with an empty home."""
    shared.env |= {"XDG_RUNTIME_DIR": f"{shared.home}/xdg"}
    os.makedirs(f"{shared.home}/xdg", exist_ok=True)
    yield shared
    for name in os.listdir(shared.home):
        shutil.rmtree(f"{shared.home}/{name}")


def auth_file(engine: Engine) -> Path:
    return Path(f"{engine.home}/xdg/containers/auth.json")


def put(path: str, text: str) -> Path:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_text(text)
    return Path(path)


def image_of(text: str) -> Image:
    return make_image([make_layer(tar_of({"etc/": b"", "etc/motd": text.encode()}))])


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """An open registry; what is pushed here is served by the guarded ones too."""
    need(shutil.which("docker-registry"), "docker-registry: apt-get install docker-registry")
    with real_registry(tmp_path_factory.mktemp("open")) as r:
        for repository in ("team/app", "team/other", "public/app", "secret/app"):
            r.push(repository, "1", image_of(repository))
        r.push("team/app", "2", image_of("two"))
        yield r


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    need(shutil.which("openssl"), "openssl: apt-get install openssl")
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def guarded(open_registry: RealRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("guarded"), open_registry.root, htpasswd=True) as host:
        yield host


@pytest.fixture(scope="module")
def tls(open_registry: RealRegistry, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """TLS with a password."""
    with docker_registry(tmp_path_factory.mktemp("tls"), open_registry.root, htpasswd=True,
                         tls=authority.issue("server")) as host:
        yield host


@pytest.fixture(scope="module")
def tokens(authority: Authority, open_registry: RealRegistry,
           tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, TokenServer]]:
    with ExitStack() as stack:
        server = stack.enter_context(token_server(authority))
        host = stack.enter_context(docker_registry(tmp_path_factory.mktemp("token"), open_registry.root,
                                                   token=server.section))
        yield host, server


def login(engine: Engine, host: str, *args: str, password: str = "secret", check: bool = True) -> str:
    done = engine("login", "-u", "tester", "--password-stdin", *args, host, input=password + "\n", check=check)
    return done.stdout + done.stderr


def test_a_password_is_tried_and_kept(engine: Engine, guarded: str) -> None:
    put(str(auth_file(engine)), json.dumps({"auths": {"other.example": {"auth": "bzpw"}}}))
    assert login(engine, guarded, password="wrong", check=False) == \
        f'Error: logging into "{guarded}": invalid username/password\n'
    assert "127" not in auth_file(engine).read_text()
    assert engine("pull", f"{guarded}/team/app:1", check=False).code == 125
    assert login(engine, guarded, "-v") == f"Used:  {auth_file(engine)}\nLogin Succeeded!\n"
    assert json.loads(auth_file(engine).read_text())["auths"] == {
        "other.example": {"auth": "bzpw"}, guarded: {"auth": base64.b64encode(b"tester:secret").decode()}}
    assert auth_file(engine).stat().st_mode & 0o777 == 0o600
    assert engine("login", "--get-login", guarded).line == "tester"
    assert engine("login", guarded).line.splitlines() == [
        f"Authenticating with existing credentials for {guarded}",
        f"Existing credentials are valid. Already logged in to {guarded}"]
    engine("pull", "-q", f"{guarded}/team/app:1")
    assert engine("logout", guarded).line == f"Removed login credentials for {guarded}"
    again = engine("logout", guarded, check=False)
    assert again.code == 125 and f"not logged into {guarded}" in again.stderr
    assert engine("login", "--get-login", guarded, check=False).code == 125
    engine("logout", "--all")
    assert json.loads(auth_file(engine).read_text()) == {"auths": {}}


def test_skopeo_reads_what_we_write_and_we_what_it_writes(engine: Engine, guarded: str) -> None:
    need(shutil.which("skopeo"), "skopeo: apt-get install skopeo")

    def skopeo(*args: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(["skopeo", *args], env=engine.env, capture_output=True, text=True, timeout=60)

    login(engine, guarded)
    assert skopeo("inspect", "--tls-verify=false", f"docker://{guarded}/team/app:1").returncode == 0
    engine("logout", guarded)
    assert skopeo("inspect", "--tls-verify=false", f"docker://{guarded}/team/app:1").returncode != 0
    assert skopeo("login", "--tls-verify=false", "-u", "tester", "-p", "secret", guarded).returncode == 0
    assert engine("login", "--get-login", guarded).line == "tester"
    engine("pull", "-q", f"{guarded}/team/app:1")
    engine("logout", guarded)
    assert "not logged in" in skopeo("logout", guarded).stderr


def test_credentials_of_a_repository(engine: Engine, guarded: str) -> None:
    login(engine, f"{guarded}/team")
    engine("pull", "-q", f"{guarded}/team/app:1")
    assert engine("pull", "-q", f"{guarded}/public/app:1", check=False).code == 125
    for bad in (f"{guarded}/team:1", f"{guarded}/team@sha256:{'a' * 64}"):
        refused = login(engine, bad, check=False)
        assert "contains tag or digest" in refused
    assert "lowercase" in login(engine, f"{guarded}/Team", check=False)
    assert list(json.loads(auth_file(engine).read_text())["auths"]) == [f"{guarded}/team"]


@pytest.mark.parametrize("how", ["--authfile", "REGISTRY_AUTH_FILE", "--compat-auth-file", "DOCKER_CONFIG", "--config"])
def test_other_auth_files(engine: Engine, guarded: str, tmp_path: Path, how: str) -> None:
    named = tmp_path / "config.json"
    env = {how: str(tmp_path if how == "DOCKER_CONFIG" else named)} if how.isupper() else {}
    before = ["--config", str(tmp_path)] if how == "--config" else []
    after = [how, str(named)] if how in ("--authfile", "--compat-auth-file") else []
    engine(*before, "login", *after, "-u", "tester", "-p", "secret", guarded, env=env)
    assert guarded in json.loads(named.read_text())["auths"] and not auth_file(engine).exists()
    pull = after if how == "--authfile" else []
    if how != "--compat-auth-file":
        engine(*before, "pull", "-q", *pull, f"{guarded}/team/app:1", env=env)
    engine(*before, "logout", *after, guarded, env=env)
    assert json.loads(named.read_text()) == {"auths": {}}


def test_bad_command_lines(engine: Engine, guarded: str) -> None:
    for args, words in ((("--authfile", "/a", "--compat-auth-file", "/b", guarded), "can not be set simultaneously"),
                        (("--password-stdin", guarded), "must provide --username with --password-stdin"),
                        (("-u", "x", "-p", "y", "--password-stdin", guarded), "can't specify both"),
                        (("-u", "x", "--secret", "s", guarded), "--secret"), ((guarded,), "reading username: EOF"),
                        (("-u", "x", guarded), "standard input is not a terminal")):
        done = engine("login", *args, check=False)
        assert done.code == 125 and words in done.stderr, done.stderr
    assert "--all takes no arguments" in engine("logout", "--all", guarded, check=False).stderr
    assert "is not accessible" in engine("logout", "--authfile", "/nowhere", guarded, check=False).stderr
    refused = engine("pull", "--authfile", "/nowhere", f"{guarded}/team/app:1", check=False)
    assert refused.code == 125 and "credential file is not accessible" in refused.stderr
    assert not auth_file(engine).exists()


def test_on_a_terminal(engine: Engine, guarded: str) -> None:
    with engine.terminal("login", guarded) as t:
        t.expect("Username: ")
        t.send("tester\n")
        t.expect("Password: ")
        t.send("secret\n")
        t.expect("Login Succeeded!")
        assert t.wait() == 0
    assert b"secret" not in t.output
    with engine.terminal("login", "-p", "wrong", guarded) as t:
        t.expect("Username (tester): ")
        t.send("\n")
        t.expect("invalid username/password")
        assert t.wait() == 125
    assert engine("login", "--get-login", guarded).line == "tester"


def test_docker_keeps_its_own_file(engine: Engine, guarded: str, tmp_path: Path) -> None:
    link = tmp_path / "docker"
    link.symlink_to(engine.bin)

    def docker(*args: str, password: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run([link, *args], env=engine.env, capture_output=True, text=True, timeout=60, input=password)

    done = docker("login", "-u", "tester", "--password-stdin", guarded, password="secret")
    assert done.stdout == "Login Succeeded\n" and "stored unencrypted" in done.stderr
    config = Path(f"{engine.home}/.docker/config.json")
    assert list(json.loads(config.read_text())["auths"]) == [guarded] and not auth_file(engine).exists()
    engine("pull", "-q", f"{guarded}/team/app:1")
    assert "established via docker login" in engine("logout", guarded).stdout
    assert "Using --password via the CLI is insecure" in docker("login", "-u", "tester", "-p", "secret", guarded).stderr
    assert docker("logout", guarded).stdout == f"Removing login credentials for {guarded}\n"
    assert json.loads(config.read_text()) == {"auths": {}}
    again = docker("logout", guarded)
    assert again.returncode == 0
    assert docker("login", "-u", "tester", "-p", "wrong", guarded).returncode == 1


# Tokens


def test_tokens(engine: Engine, tokens: tuple[str, TokenServer]) -> None:
    host, server = tokens
    engine("pull", "-q", f"{host}/public/app:1")  # anonymous
    refused = engine("pull", f"{host}/team/app:1", check=False)
    assert refused.code == 125 and f"podlike login {host}" in refused.stderr
    assert f'logging into "{host}": invalid username/password' in login(engine, host, password="wrong", check=False)
    server.asked.clear()
    assert "Login Succeeded!" in login(engine, host)
    assert server.asked == [("GET", {"service": ["podlike-test"], "account": ["tester"]})]
    server.asked.clear()
    engine("pull", "-q", f"{host}/team/app:1")
    assert server.asked == [("GET", {"service": ["podlike-test"], "account": ["tester"],
                                     "scope": ["repository:team/app:pull"]})]
    server.asked.clear()
    engine("push", "-q", f"{host}/team/app:1", f"{host}/team/pushed:1")
    assert all("repository:team/pushed:pull,push" in fields["scope"] for _, fields in server.asked)
    refused = engine("push", f"{host}/team/app:1", f"{host}/elsewhere/app:1", check=False)
    assert refused.code == 125 and "denied" in refused.stderr or "authentication required" in refused.stderr
    assert f"{host}/team/app" in engine("search", f"{host}/team").stdout
    assert server.asked[-1][1]["scope"] == ["registry:catalog:*"]
    tags = engine("search", "--list-tags", "--format", "{{.Tag}}", f"{host}/team/app").stdout.split()
    assert sorted(tags) == ["1", "2"]


def test_an_identity_token(engine: Engine, tokens: tuple[str, TokenServer]) -> None:
    host, server = tokens
    entry = {"auth": base64.b64encode(b"<token>:").decode(), "identitytoken": server.identity}
    put(str(auth_file(engine)), json.dumps({"auths": {host: entry}}))
    server.asked.clear()
    engine("pull", "-q", f"{host}/team/app:2")
    method, form = server.asked[0]
    assert method == "POST" and form["scope"] == ["repository:team/app:pull"] and form["grant_type"] == ["refresh_token"]
    assert "contains an Identity token" in login(engine, host, check=False)
    put(str(auth_file(engine)), json.dumps({"auths": {host: {**entry, "identitytoken": "old"}}}))
    refused = engine("pull", f"{host}/team/other:1", check=False)
    assert refused.code == 125 and "identity token is not known" in refused.stderr and "old" not in refused.stderr


# TLS


def test_self_made_certificates(engine: Engine, tls: str, authority: Authority, tmp_path: Path) -> None:
    name = f"{tls}/team/app:1"
    refused = engine("pull", "--tls-verify=true", "--creds", "tester:secret", name, check=False)
    assert refused.code == 125 and "certificate signed by unknown authority" in refused.stderr
    assert f"certs.d/{tls}/ca.crt" in refused.stderr and tls in refused.stderr
    assert "unknown authority" in login(engine, tls, "--tls-verify=true", check=False)
    engine("pull", "-q", "--tls-verify=false", "--creds", "tester:secret", name)
    assert "Login Succeeded!" in login(engine, tls, "--tls-verify=true", "--cert-dir", str(authority.directory_of_ca(tmp_path)))
    put(f"{engine.home}/.config/containers/certs.d/{tls}/ca.crt", authority.crt.read_text())
    engine("pull", "-q", "--tls-verify", name)
    assert f"{tls}/team/app" in engine("search", "--tls-verify", f"{tls}/app").stdout


@pytest.mark.parametrize(("names", "expired", "words"), [
    ("DNS:localhost,IP:127.0.0.1", True, "certificate has expired or is not yet valid"),
    ("DNS:other.example", False, "IP address mismatch"),
])
def test_bad_certificates(engine: Engine, open_registry: RealRegistry, authority: Authority, tmp_path: Path, names: str,
                          expired: bool, words: str) -> None:
    pair = authority.issue(f"bad{expired}", names, expired=expired)
    with docker_registry(tmp_path / "r", open_registry.root, tls=pair) as host:
        ca = str(authority.directory_of_ca(tmp_path))
        done = engine("pull", "--tls-verify", "--cert-dir", ca, f"{host}/team/app:1", check=False)
        assert done.code == 125 and f"pinging container registry {host}" in done.stderr
        assert words.lower() in done.stderr.lower() and "Hint: " in done.stderr
        engine("pull", "-q", "--tls-verify=false", f"{host}/team/app:1")


def test_client_certificates(engine: Engine, open_registry: RealRegistry, authority: Authority, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "r", open_registry.root, tls=authority.issue("server2"), clients=authority.crt) as host:
        folder = f"{engine.home}/.config/containers/certs.d/{host}"
        put(f"{folder}/ca.crt", authority.crt.read_text())
        refused = engine("pull", "--tls-verify", f"{host}/team/app:1", check=False)
        assert refused.code == 125 and f"pinging container registry {host}" in refused.stderr
        assert "remote error: tls: " in refused.stderr and "certificate" in refused.stderr
        assert "put its .cert and .key in" in refused.stderr
        cert, key = authority.issue("client")
        put(f"{folder}/client.cert", cert.read_text())
        missing = engine("pull", "--tls-verify", f"{host}/team/app:1", check=False)
        assert missing.code == 125 and "missing key client.key" in missing.stderr
        put(f"{folder}/client.key", key.read_text())
        engine("pull", "-q", "--tls-verify", f"{host}/team/app:1")
        put(f"{folder}/ca.crt", "rubbish")
        broken = engine("pull", "--tls-verify", f"{host}/team/app:1", check=False)
        assert broken.code == 125 and f"read certificates {folder}/ca.crt" in broken.stderr


# Ways to a registry


def test_credentials_are_not_for_mirrors(engine: Engine, guarded: str) -> None:
    with lying_registry() as mirror:
        def before(h: Handler) -> bool:
            h.error(401, "UNAUTHORIZED", "x", {"WWW-Authenticate": 'Basic realm="give"'})
            return True

        mirror.before = before
        put(f"{engine.home}/.config/containers/registries.conf", f"""
[[registry]]
location = "{guarded}"
[[registry.mirror]]
location = "{mirror.host}"
""")
        engine("pull", "-q", "--creds", "tester:secret", f"{guarded}/team/app:1")
        assert mirror.requests and not any("authorization" in headers for _, _, headers in mirror.requests)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_socks(engine: Engine, open_registry: RealRegistry, scheme: str) -> None:
    address = ("127.0.0.1", int(open_registry.host.rpartition(":")[2]))
    with socks_proxy(user="me", password="p@ss", names={"far.invalid:5000": address}) as (proxy, asked):
        env = {"https_proxy": f"{scheme}://me:p%40ss@{proxy}", "http_proxy": f"{scheme}://me:p%40ss@{proxy}"}
        engine("pull", "-q", "--tls-verify=false", "far.invalid:5000/team/app:1", env=env)
        assert set(asked) == {"far.invalid:5000"}
        asked.clear()
        refused = engine("pull", "--tls-verify=false", "far.invalid:5000/team/app:1", check=False,
                         env={k: v.replace("p%40ss", "wrong") for k, v in env.items()})
        assert refused.code == 125 and "proxyconnect" in refused.stderr and "wrong" not in refused.stderr and not asked
        engine("pull", "-q", "--tls-verify=false", f"{open_registry.host}/team/app:2", env=env)
        spared = engine("pull", "--tls-verify=false", "far.invalid:5000/team/app:1", check=False,
                        env={**env, "no_proxy": "x,.invalid:5000"})
        assert spared.code == 125 and "no such host" in spared.stderr and not asked


# Search


def test_search(engine: Engine, open_registry: RealRegistry) -> None:
    host = open_registry.host
    assert engine("search", f"{host}/secret").stdout.split() == ["NAME", "DESCRIPTION", f"{host}/secret/app"]
    assert engine("search", "--format", "{{.Name}}", "--limit", "1", f"{host}/").line == f"{host}/public/app"
    rows = json.loads(engine("search", "--format", "json", f"{host}/secret").stdout)
    assert rows == [{"Index": host, "Name": f"{host}/secret/app", "Description": "", "Stars": 0, "Official": "",
                     "Automated": "", "Tag": ""}]
    assert json.loads(engine("search", "--list-tags", "--format", "json", f"{host}/secret/app").stdout) == [
        {"Name": f"{host}/secret/app", "Tags": ["1"]}]
    assert engine("search", f"{host}/nothing").stdout == ""
    for args, words in ((("--filter", "stars=x"), "incorrect value type for stars filter"),
                        (("--filter", "a=b"), 'invalid filter type "a=b"'), (("--limit", "-1"), "negative"),
                        (("--list-tags", "--filter", "stars=1"), "filters are not applicable")):
        done = engine("search", *args, f"{host}/team", check=False)
        assert done.code == 125 and words in done.stderr
    gone = engine("search", "--list-tags", f"{host}/no/such", check=False)
    assert gone.code == 125 and "getting repository tags" in gone.stderr


def test_search_by_the_first_protocol(engine: Engine) -> None:
    rows = [{"name": "nginx", "description": "d" * 60, "star_count": 9, "is_official": True, "is_automated": False},
            {"name": "me/nginx", "description": "mine", "star_count": 1, "is_automated": True}]

    def before(h: Handler) -> bool:
        if not h.path.startswith("/v1/search?"):
            return False
        h.answer(200, json.dumps({"results": rows}).encode(), {"Content-Type": "application/json"})
        return True

    with lying_registry() as liar:
        liar.before = before
        put(f"{engine.home}/.config/containers/registries.conf", f'unqualified-search-registries = ["{liar.host}"]')
        table = engine("search", "--compatible", "nginx").stdout.splitlines()
        assert table[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL", "AUTOMATED"]
        assert table[1].split() == [f"{liar.host}/nginx", "d" * 44 + "...", "9", "[OK]"]
        assert "d" * 60 in engine("search", "--no-trunc", "nginx").stdout
        for filters, names in ((["is-official"], ["nginx"]), (["is-automated=true"], ["me/nginx"]), (["stars=5"], ["nginx"]),
                               (["is-official=false"], ["me/nginx"]), (["stars=1", "is-official=true"], ["nginx"])):
            args = [a for f in filters for a in ("--filter", f)]
            found = engine("search", *args, "--format", "{{.Name}}", "nginx").stdout.split()
            assert found == [f"{liar.host}/{n}" for n in names]


def test_one_of_two_search_registries_is_enough(engine: Engine, open_registry: RealRegistry) -> None:
    with lying_registry() as liar:
        put(f"{engine.home}/.config/containers/registries.conf",
            f'unqualified-search-registries = ["{liar.host}", "{open_registry.host}"]\n[[registry]]\nlocation = "b.example"\n'
            "blocked = true\n")
        assert open_registry.host in engine("search", "team").stdout
        blocked = engine("search", "b.example/x", check=False)
        assert blocked.code == 125 and "registry b.example is blocked" in blocked.stderr


def test_two_logins_at_once(engine: Engine, guarded: str) -> None:
    keys = [f"{guarded}/k{n}" for n in range(4)]
    threads = [threading.Thread(target=login, args=(engine, key)) for key in keys]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(json.loads(auth_file(engine).read_text())["auths"]) == set(keys)
