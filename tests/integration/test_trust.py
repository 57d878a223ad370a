"""Which images are trusted: policies against signatures that skopeo made, and our signatures against skopeo's policy."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine
from tests.support.need import need
from tests.support.registry import (
    OCI,
    Image,
    RealRegistry,
    digest_of,
    lying_registry,
    make_image,
    make_index,
    make_layer,
    real_registry,
    tar_of,
)

PASSPHRASE = "correct horse"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a GPG home of two users, their public keys, and sigstore keys of each kind."""
    need(shutil.which("gpg"), "gpg: apt-get install gnupg")
    directory = tmp_path_factory.mktemp("keys")
    home = Path(f"/tmp/plt-gpg-{os.getpid()}")  # the agent's socket has a short path
    home.mkdir(mode=0o700, exist_ok=True)
    (directory / "gnupg").symlink_to(home)
    env = {**os.environ, "GNUPGHOME": str(home)}
    for user in ("alice", "mallory"):
        gpg(env, "--batch", "--passphrase", "", "--quick-gen-key", f"{user} <{user}@test.example>", "rsa2048", "default", "never")
        (directory / f"{user}.gpg").write_bytes(gpg(env, "--export", f"{user}@test.example"))
        (directory / f"{user}.asc").write_bytes(gpg(env, "--armor", "--export", f"{user}@test.example"))
    (directory / "phrase").write_text(PASSPHRASE + "\n")
    for kind in ("p256", "rsa", "ed25519", "other"):
        write_sigstore_key(directory, kind)
    return directory


@pytest.fixture(scope="module", autouse=True)
def no_agent_stays(keys: Path) -> Iterator[None]:
    yield
    env = {**os.environ, "GNUPGHOME": str((keys / "gnupg").resolve())}
    subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False)
    shutil.rmtree((keys / "gnupg").resolve(), ignore_errors=True)


def gpg(env: dict[str, str], *args: str) -> bytes:
    return subprocess.run(["gpg", *args], env=env, capture_output=True, check=True, timeout=60).stdout


def write_sigstore_key(directory: Path, kind: str) -> None:
    """KIND.key, encrypted as cosign does it, and KIND.pub."""
    from cryptography.hazmat.primitives import serialization as ser
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from nacl.secret import SecretBox

    key: Any = ec.generate_private_key(ec.SECP256R1())
    if kind == "rsa":
        key = rsa.generate_private_key(65537, 2048)
    elif kind == "ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
    der = key.private_bytes(ser.Encoding.DER, ser.PrivateFormat.PKCS8, ser.NoEncryption())
    salt, nonce = os.urandom(32), os.urandom(24)
    secret = hashlib.scrypt(PASSPHRASE.encode(), salt=salt, n=32768, r=8, p=1, dklen=32, maxmem=1 << 27)
    box = {"kdf": {"name": "scrypt", "params": {"N": 32768, "r": 8, "p": 1}, "salt": base64.b64encode(salt).decode()},
           "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(nonce).decode()},
           "ciphertext": base64.b64encode(SecretBox(secret).encrypt(der, nonce).ciphertext).decode()}
    body = base64.encodebytes(json.dumps(box).encode()).decode()
    (directory / f"{kind}.key").write_text(
        f"-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\n{body}-----END ENCRYPTED COSIGN PRIVATE KEY-----\n")
    (directory / f"{kind}.pem").write_bytes(key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption()))
    (directory / f"{kind}.pub").write_bytes(key.public_key().public_bytes(
        ser.Encoding.PEM, ser.PublicFormat.SubjectPublicKeyInfo))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    need(shutil.which("docker-registry"), "docker-registry: apt-get install docker-registry")
    with real_registry(tmp_path_factory.mktemp("registry")) as r:
        yield r


@pytest.fixture(scope="module")
def shared(keys: Path) -> Iterator[Engine]:
    engine = Engine(os.environ.get("PODLIKE_BIN", "podlike"), env={"GNUPGHOME": str((keys / "gnupg").resolve())})
    try:
        yield engine
    finally:
        engine.destroy()


@pytest.fixture
def engine(shared: Engine) -> Iterator[Engine]:
    """The engine with an empty home, a lookaside folder and sigstore attachments below */cosign."""
    put(f"{shared.home}/.config/containers/registries.d/test.yaml",
        f"default-docker:\n  lookaside: file://{shared.home}/sigs\n  use-sigstore-attachments: true\n")
    os.makedirs(f"{shared.home}/xdg")
    shared.env["XDG_RUNTIME_DIR"] = f"{shared.home}/xdg"
    yield shared
    for name in os.listdir(shared.home):
        shutil.rmtree(f"{shared.home}/{name}")


def put(path: str, text: str) -> Path:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_text(text)
    return Path(path)


def policy(engine: Engine, *requirements: dict[str, Any], scope: str = "") -> str:
    """Write the user's policy: reject, but these requirements for a scope of transport docker."""
    document = {"default": [{"type": "reject"}], "transports": {"docker": {scope: list(requirements)}}}
    return str(put(f"{engine.home}/.config/containers/policy.json", json.dumps(document)))


def by_gpg(keys: Path, user: str = "alice", **more: Any) -> dict[str, Any]:
    return {"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(keys / f"{user}.gpg"), **more}


def by_sigstore(keys: Path, kind: str = "p256", **more: Any) -> dict[str, Any]:
    return {"type": "sigstoreSigned", "keyPath": str(keys / f"{kind}.pub"), **more}


def image_of(text: str) -> Image:
    return make_image([make_layer(tar_of({"motd": text.encode()}))], types=OCI)


def skopeo(engine: Engine, *args: str, strict: bool = False) -> "subprocess.CompletedProcess[str]":
    """strict: obey the engine's policy."""
    need(shutil.which("skopeo"), "skopeo: apt-get install skopeo")
    how = ["--policy", f"{engine.home}/.config/containers/policy.json"] if strict else ["--insecure-policy"]
    command = ["skopeo", *how, "--registries.d", f"{engine.home}/.config/containers/registries.d", "copy",
               "--src-tls-verify=false", *args]
    return subprocess.run(command, env=engine.env, capture_output=True, text=True, timeout=60)


def refusal(engine: Engine, name: str, *args: str) -> str:
    done = engine("pull", *args, name, check=False)
    assert done.code == 125, done.stderr
    assert engine("image", "exists", name, check=False).code == 1
    return done.stderr


def test_skopeos_openpgp_signatures(engine: Engine, registry: RealRegistry, keys: Path) -> None:
    source, target = registry.push("plain", "1", image_of("gpg")), f"{registry.host}/signed/app:1"
    done = skopeo(engine, "--dest-tls-verify=false", "--sign-by", "alice@test.example", f"docker://{source}", f"docker://{target}")
    assert done.returncode == 0, done.stderr
    policy(engine, by_gpg(keys))
    assert "Source image rejected: A signature was required, but no signature exists" in refusal(engine, source)
    engine("pull", "-q", target)
    engine("rmi", target)
    for requirement, words in (
            (by_gpg(keys, "mallory"), "which the policy does not name"),
            (by_gpg(keys, signedIdentity={"type": "exactRepository", "dockerRepository": "q.example/x"}), "is not accepted"),
            (by_sigstore(keys), "no sigstore signature exists"), (by_gpg(keys) | {"keyType": "signedByGPGKeys"}, "cannot check")):
        policy(engine, requirement)
        assert words in refusal(engine, target)
    data = {"keyData": base64.b64encode((keys / "alice.asc").read_bytes()).decode()}
    for good in (by_gpg(keys, keyPath=str(keys / "alice.asc")),
                 {"type": "signedBy", "keyType": "GPGKeys", "keyPaths": [str(keys / "mallory.gpg"), str(keys / "alice.gpg")]},
                 {"type": "signedBy", "keyType": "GPGKeys", **data},
                 by_gpg(keys, signedIdentity={"type": "matchRepository"}),
                 by_gpg(keys, signedIdentity={"type": "exactReference", "dockerReference": target})):
        policy(engine, good)
        engine("pull", "-q", target)
        engine("rmi", target)
    registry.push("signed/app", "2", image_of("gpg"))
    policy(engine, by_gpg(keys))
    assert "is not accepted" in refusal(engine, f"{registry.host}/signed/app:2")  # a signature for another tag
    engine("pull", "-q", f"{registry.host}/signed/app@{image_of('gpg').digest}")


def test_signatures_that_were_tampered_with(engine: Engine, registry: RealRegistry, keys: Path) -> None:
    name = registry.push("tampered", "1", image_of("tampered"))
    digest = image_of("tampered").digest
    engine("image", "sign", "--sign-by", "alice@test.example", f"docker://{name}")
    folder = Path(f"{engine.home}/sigs/tampered@{digest.replace(':', '=')}")
    good = (folder / "signature-1").read_bytes()
    policy(engine, by_gpg(keys))
    engine("pull", "-q", name)
    engine("rmi", name)
    env = {**os.environ, "GNUPGHOME": str((keys / "gnupg").resolve())}
    other = subprocess.run(["gpg", "-u", "alice@test.example", "--sign"], input=b'{"critical":1}', env=env,
                           capture_output=True, check=True).stdout
    plain = subprocess.run(["gpg", "--store"], input=b"x", env=env, capture_output=True, check=True).stdout
    twice = subprocess.run(["gpg", "-u", "alice@test.example", "-u", "mallory@test.example", "--sign"], input=b"x", env=env,
                           capture_output=True, check=True).stdout
    flipped = good[:-30] + bytes([good[-30] ^ 1]) + good[-29:]
    for data in (b"", b"rubbish", good[:100], flipped, other, plain, twice, b"\0sigstore-json\n{}", plain + good):
        (folder / "signature-1").write_bytes(data)
        assert "Source image rejected" in refusal(engine, name), data[:20]
    (folder / "signature-2").write_bytes(good)
    engine("pull", "-q", name)  # one good signature is enough
    assert not [d for d in os.listdir("/tmp") if d.startswith("podlike-gpg-") and os.stat(f"/tmp/{d}").st_uid == os.getuid()]


def test_ours_are_good_for_skopeo(engine: Engine, registry: RealRegistry, keys: Path, tmp_path: Path) -> None:
    name = registry.push("ours", "1", image_of("ours"))
    policy(engine, by_gpg(keys))
    assert skopeo(engine, f"docker://{name}", f"dir:{tmp_path}/no", strict=True).returncode != 0
    engine("image", "sign", "--sign-by", "alice@test.example", f"docker://{name}")
    done = skopeo(engine, f"docker://{name}", f"dir:{tmp_path}/yes", strict=True)
    assert done.returncode == 0, done.stderr
    pushed = f"{registry.host}/ours/pushed:2"
    engine("pull", "-q", name)
    engine("push", "-q", "--sign-by", "alice@test.example", name, pushed)
    done = skopeo(engine, f"docker://{pushed}", f"dir:{tmp_path}/pushed", strict=True)
    assert done.returncode == 0, done.stderr
    refused = engine("push", "-q", "--sign-by", "nobody@test.example", name, f"{registry.host}/ours/unsigned:1", check=False)
    assert refused.code == 125 and "No secret key" in refused.stderr
    assert "1" not in engine("search", "--list-tags", f"{registry.host}/ours/unsigned", check=False).stdout


def test_image_sign(engine: Engine, registry: RealRegistry, keys: Path, tmp_path: Path) -> None:
    image = image_of("local")
    name = registry.push("local/app", "1", image)
    engine("pull", "-q", name)
    engine("image", "sign", "--sign-by", "alice@test.example", "-d", str(tmp_path), f"containers-storage:{name}")
    engine("image", "sign", "--sign-by", "alice@test.example", "-d", str(tmp_path), name)
    folder = tmp_path / f"local/app@{image.digest.replace(':', '=')}"
    assert sorted(os.listdir(folder)) == ["signature-1", "signature-2"]
    images = {f"linux/{arch}": make_image([make_layer(tar_of({"p": arch.encode()}))], arch=arch) for arch in ("amd64", "arm64")}
    for each in images.values():
        for data in each.blobs.values():
            registry.push_blob("multi", data)
        registry.push_manifest("multi", each.digest, each.manifest, each.media_type)
    index = make_index(images)
    registry.push_manifest("multi", "1", index, OCI["index"])
    engine("image", "sign", "--all", "--sign-by", "alice@test.example", "-d", str(tmp_path), f"docker://{registry.host}/multi:1")
    signed = {n for n in os.listdir(tmp_path) if n.startswith("multi@")}
    assert signed == {f"multi@{i.digest.replace(':', '=')}" for i in images.values()}
    engine("image", "sign", "--sign-by", "alice@test.example", "-d", str(tmp_path), f"docker://{registry.host}/multi:1")
    assert (tmp_path / f"multi@{digest_of(index).replace(':', '=')}" / "signature-1").exists()
    for args, words in (((name,), "no identity provided"), (("--sign-by", "x", "-d", "/nowhere", name), "stat /nowhere"),
                        (("--sign-by", "alice@test.example", "--all", f"docker://{name}"), "is not a multi-architecture image"),
                        (("--sign-by", "alice@test.example", "nosuch"), "nosuch")):
        done = engine("image", "sign", *args, check=False)
        assert done.code == 125 and words in done.stderr


def test_a_lookaside_server(engine: Engine, registry: RealRegistry, keys: Path) -> None:
    name = registry.push("web", "1", image_of("web"))
    digest = image_of("web").digest
    engine("image", "sign", "--sign-by", "alice@test.example", f"docker://{name}")
    data = Path(f"{engine.home}/sigs/web@{digest.replace(':', '=')}/signature-1").read_bytes()
    with lying_registry() as server:
        endless = False

        def before(h: Any) -> bool:
            if h.path == f"/s/web@{digest.replace(':', '=')}/signature-1" or endless:
                h.answer(200, data if not endless else b"x")
            else:
                h.answer(404, b"")
            return True

        def broken(h: Any) -> bool:
            h.answer(500, b"oh")
            return True

        server.before = before
        put(f"{engine.home}/.config/containers/registries.d/test.yaml", f"docker:\n  {registry.host}:\n    lookaside: http://{server.host}/s\n")
        policy(engine, by_gpg(keys))
        engine("pull", "-q", "--tls-verify=false", name)
        engine("rmi", name)
        assert not any("authorization" in headers for _, _, headers in server.requests)
        refused = engine("image", "sign", "--sign-by", "alice@test.example", f"docker://{name}", check=False)
        assert refused.code == 125 and "lookaside-staging" in refused.stderr
        endless = True
        assert "more than 128" in refusal(engine, name, "--tls-verify=false")
        server.before = broken
        assert "status 500" in refusal(engine, name, "--tls-verify=false", "--retry", "0")


# sigstore. Debian's skopeo has it switched off, so openssl is the second opinion, in the layout that cosign documents.


def openssl_sign(keys: Path, kind: str, payload: bytes) -> bytes:
    (keys / "payload").write_bytes(payload)
    how = ["pkeyutl", "-sign", "-rawin", "-inkey", f"{kind}.pem", "-in", "payload"] if kind == "ed25519" \
        else ["dgst", "-sha256", "-sign", f"{kind}.pem", "payload"]
    return subprocess.run(["openssl", *how], cwd=keys, capture_output=True, check=True).stdout


def openssl_verify(keys: Path, kind: str, payload: bytes, signature: bytes) -> bool:
    (keys / "payload").write_bytes(payload)
    (keys / "signature").write_bytes(signature)
    how = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", f"{kind}.pub", "-in", "payload", "-sigfile", "signature"] \
        if kind == "ed25519" else ["dgst", "-sha256", "-verify", f"{kind}.pub", "-signature", "signature", "payload"]
    return subprocess.run(["openssl", *how], cwd=keys, capture_output=True).returncode == 0


def cosign(registry: RealRegistry, repository: str, image: Image, layers: "list[tuple[bytes, bytes]]", **odd: Any) -> None:
    """Attach (payload, signature) pairs to an image, as cosign does."""
    described = []
    for payload, signature in layers:
        registry.push_blob(repository, payload)
        described.append({"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "size": len(payload),
                          "digest": digest_of(payload), "annotations": {
                              "dev.cosignproject.cosign/signature": base64.b64encode(signature).decode()}, **odd})
    config = json.dumps({"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    registry.push_blob(repository, config)
    manifest = {"schemaVersion": 2, "mediaType": OCI["manifest"], "layers": described, "config": {
        "mediaType": OCI["config"], "size": len(config), "digest": digest_of(config)}}
    registry.push_manifest(repository, image.digest.replace(":", "-") + ".sig", json.dumps(manifest).encode(), OCI["manifest"])


def cosign_payload(image: Image, name: str, **critical: Any) -> bytes:
    """What cosign signs: the name has no tag, and there are no annotations."""
    return json.dumps({"critical": {"identity": {"docker-reference": name}, "image": {"docker-manifest-digest": image.digest},
                                    "type": "cosign container image signature", **critical}, "optional": None}).encode()


@pytest.mark.parametrize("kind", ["p256", "rsa", "ed25519"])
def test_sigstore_signatures_of_others(engine: Engine, registry: RealRegistry, keys: Path, kind: str) -> None:
    image, repository = image_of(kind), f"cosign/{kind}"
    target = registry.push(repository, "1", image)
    loose = {"signedIdentity": {"type": "matchRepository"}}
    policy(engine, by_sigstore(keys, kind, **loose))
    assert "no sigstore signature exists" in refusal(engine, target)
    good = cosign_payload(image, f"{registry.host}/{repository}")
    bad = cosign_payload(image, f"{registry.host}/other")
    cosign(registry, repository, image, [(bad, openssl_sign(keys, kind, bad)), (good, openssl_sign(keys, kind, good))])
    engine("pull", "-q", target)
    engine("rmi", target)
    policy(engine, {"type": "sigstoreSigned", "keyData": base64.b64encode((keys / f"{kind}.pub").read_bytes()).decode(), **loose})
    engine("pull", "-q", target)
    engine("rmi", target)
    for requirement, words in ((by_sigstore(keys, "other", **loose), "cryptographic signature verification failed"),
                               (by_sigstore(keys, kind), "is not accepted"),  # cosign's name has no tag
                               (by_sigstore(keys, kind, **loose, rekorPublicKeyPath="/x"), "rekorPublicKeyPath, which")):
        policy(engine, requirement)
        assert words in refusal(engine, target)
    policy(engine, by_sigstore(keys, kind, **loose))
    other = cosign_payload(image_of("another image"), f"{registry.host}/{repository}")
    typed = cosign_payload(image, f"{registry.host}/{repository}", type="atomic container signature")
    tampered = [(good, openssl_sign(keys, kind, bad)), (other, openssl_sign(keys, kind, other)),
                (typed, openssl_sign(keys, kind, typed)), (good, openssl_sign(keys, kind, good)[:-1]), (good, b"")]
    for payload, signature in tampered if kind == "p256" else tampered[:1]:
        cosign(registry, repository, image, [(payload, signature)])
        assert "Source image rejected" in refusal(engine, target)
    cosign(registry, repository, image, [(good, openssl_sign(keys, kind, good))], size=5)
    assert "reading blob" in refusal(engine, target)
    cosign(registry, repository, image, [(good, openssl_sign(keys, kind, good))])
    put(f"{engine.home}/.config/containers/registries.d/test.yaml", "docker: {}\n")
    assert "no sigstore signature exists" in refusal(engine, target)


@pytest.mark.parametrize("kind", ["p256", "rsa", "ed25519"])
def test_our_sigstore_signatures(engine: Engine, registry: RealRegistry, keys: Path, kind: str) -> None:
    image, repository = image_of(f"our {kind}"), f"cosign/our-{kind}"
    name, target = registry.push("plain", "o", image), f"{registry.host}/{repository}:1"
    engine("pull", "-q", name)
    how = ("--sign-by-sigstore-private-key", str(keys / f"{kind}.key"), "--sign-passphrase-file", str(keys / "phrase"))
    engine("push", "-q", *how, name, target)
    engine("push", "-q", *how, name, target.replace(":1", ":2"))  # the same manifest: a second layer of signatures
    engine("rmi", name)
    policy(engine, by_sigstore(keys, kind))
    for tag in (target, target.replace(":1", ":2")):
        engine("pull", "-q", tag)
        engine("rmi", tag)
    tag = image.digest.replace(":", "-") + ".sig"
    listed = engine("search", "--list-tags", "--format", "{{.Tag}}", f"{registry.host}/{repository}").stdout.split()
    assert sorted(listed) == ["1", "2", tag]
    manifest = json.loads(fetch(registry, f"{repository}/manifests/{tag}"))
    assert [layer["mediaType"] for layer in manifest["layers"]] == ["application/vnd.dev.cosign.simplesigning.v1+json"] * 2
    config = json.loads(fetch(registry, f"{repository}/blobs/{manifest['config']['digest']}"))
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    for layer, shown in zip(manifest["layers"], (target, target.replace(":1", ":2")), strict=True):
        payload = fetch(registry, f"{repository}/blobs/{layer['digest']}")
        signature = base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"])
        assert openssl_verify(keys, kind, payload, signature) and not openssl_verify(keys, kind, payload + b" ", signature)
        assert json.loads(payload)["critical"] == {
            "identity": {"docker-reference": shown}, "image": {"docker-manifest-digest": image.digest},
            "type": "cosign container image signature"}


def fetch(registry: RealRegistry, path: str) -> bytes:
    request = urllib.request.Request(f"http://{registry.host}/v2/{path}", headers={"Accept": OCI["manifest"]})
    with urllib.request.urlopen(request) as r:
        return bytes(r.read())


def test_keys_and_places_that_do_not_serve_are_told_before_anything_is_sent(engine: Engine, registry: RealRegistry, keys: Path,
                                                                            tmp_path: Path) -> None:
    name, target = registry.push("plain", "k", image_of("keys")), f"{registry.host}/never/app:1"
    engine("pull", "-q", name)
    (tmp_path / "wrong").write_text("no\n")
    put(f"{tmp_path}/fulcio.yaml", "fulcio:\n  fulcioURL: https://f.example\n")
    put(f"{tmp_path}/good.yaml", f"privateKeyFile: {keys}/p256.key\nprivateKeyPassphraseFile: {keys}/phrase\n")
    key = str(keys / "p256.key")
    for args, words in ((("--sign-by-sigstore-private-key", key), "it is encrypted"),
                        (("--sign-by-sigstore-private-key", key, "--sign-passphrase-file", f"{tmp_path}/wrong"),
                         "decryption failed"),
                        (("--sign-by-sigstore-private-key", "/nowhere"), "no such file"),
                        (("--sign-by-sigstore-private-key", str(keys / "p256.pub")), "read private key"),
                        (("--sign-by-sigstore", str(tmp_path / "fulcio.yaml")), "fulcio is not supported"),
                        (("--sign-by-sq-fingerprint", "AA"), "not supported")):
        done = engine("push", *args, name, target, check=False)
        assert done.code == 125 and words in done.stderr, done.stderr
    engine("push", "-q", "--sign-by-sigstore", str(tmp_path / "good.yaml"), name, f"{registry.host}/cosign/params:1")
    put(f"{engine.home}/.config/containers/registries.d/test.yaml", "docker: {}\n")
    off = engine("push", "--sign-by-sigstore", str(tmp_path / "good.yaml"), name, target, check=False)
    assert off.code == 125 and "writing sigstore attachments is disabled by configuration" in off.stderr
    assert "never/app" not in engine("search", f"{registry.host}/never").stdout


def test_reject_and_the_named_policy(engine: Engine, registry: RealRegistry, keys: Path, tmp_path: Path) -> None:
    name = registry.push("rejected", "1", image_of("rejected"))
    engine("pull", "-q", name)  # no policy of the user's, and the system's, where there is one, accepts
    engine("save", "-q", "-o", str(tmp_path / "x.tar"), name)
    engine("rmi", name)
    put(f"{tmp_path}/p.json", '{"default": [{"type": "reject"}]}')
    words = f"Running image docker://{name} is rejected by policy"
    assert words in refusal(engine, name, "--signature-policy", str(tmp_path / "p.json"))
    ran = engine("run", "--rm", "--signature-policy", str(tmp_path / "p.json"), name, "true", check=False)
    assert ran.code == 125 and words in ran.stderr
    policy(engine, {"type": "reject"})
    loaded = engine("load", "-i", str(tmp_path / "x.tar"), check=False)
    assert loaded.code == 125 and "is rejected by policy" in loaded.stderr
    pulled = engine("pull", f"docker-archive:{tmp_path}/x.tar", check=False)
    assert pulled.code == 125 and f"docker-archive:{tmp_path}/x.tar is rejected by policy" in pulled.stderr
    assert engine("image", "exists", name, check=False).code == 1
    put(f"{engine.home}/.config/containers/policy.json", json.dumps({
        "default": [{"type": "reject"}], "transports": {"docker-archive": {"": [{"type": "insecureAcceptAnything"}]}}}))
    engine("load", "-q", "-i", str(tmp_path / "x.tar"))
    put(f"{engine.home}/.config/containers/policy.json", '{"default": [{"type": "rejct"}]}')
    broken = engine("pull", name, check=False)
    assert broken.code == 125 and 'did you mean "reject"' in broken.stderr
    assert "open /nowhere" in engine("pull", "--signature-policy", "/nowhere", name, check=False).stderr


def test_trust_show_and_set(engine: Engine, keys: Path, tmp_path: Path) -> None:
    own = Path(f"{engine.home}/.config/containers/policy.json")
    alice, mallory = str(keys / "alice.gpg"), str(keys / "mallory.asc")
    engine("image", "trust", "set", "-t", "reject", "default")
    engine("image", "trust", "set", "-f", alice, "-f", mallory, "q.example/team")
    engine("image", "trust", "set", "-t", "sigstoreSigned", "-f", str(keys / "p256.pub"), "*.w.example")
    engine("image", "trust", "set", "-t", "accept", "docker.io")
    rows = [line.split() for line in engine("image", "trust", "show", "-n").stdout.splitlines()]
    store = f"file://{engine.home}/sigs"
    assert rows[0] == ["all", "default", "reject", store]
    assert ["repository", "q.example/team", "signed", "alice@test.example", store] in rows
    assert ["repository", "q.example/team", "signed", "mallory@test.example", store] in rows
    assert ["repository", "*.w.example", "sigstoreSigned", "N/A", store] in rows
    document = json.loads(engine("image", "trust", "show", "-j").stdout)
    assert {"transport": "repository", "name": "docker.io", "repo_name": "docker.io", "sigstore": store,
            "type": "accept"} in document
    assert engine("image", "trust", "show", "--raw").stdout.strip() == own.read_text().strip()
    assert len(engine("image", "trust", "show", "-n", "q.example").stdout.splitlines()) == 3
    before = own.read_text()
    for args, words in ((("-t", "bogus", "default"), "invalid choice: bogus"), (("q.example",), "at least one public key"),
                        (("-t", "reject", "-f", alice, "q.example"), "1 public keys unexpectedly provided"),
                        (("-f", "/nowhere", "q.example"), "no such file"), (("-t", "accept", "a b"), "invalid image uri"),
                        (("--policypath", f"{tmp_path}/new.json", "-t", "accept", "q.example"),
                         "default trust policy must be set")):
        done = engine("image", "trust", "set", *args, check=False)
        assert done.code == 125 and words in done.stderr, done.stderr
    assert own.read_text() == before and not (tmp_path / "new.json").exists()
    engine("image", "trust", "set", "--signature-policy", f"{tmp_path}/new.json", "-t", "accept", "default")
    assert json.loads((tmp_path / "new.json").read_text()) == {"default": [{"type": "insecureAcceptAnything"}]}
