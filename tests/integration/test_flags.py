"""Every flag of run and create acts, or is refused in words: one row each in flagrows.py, held against the list of names."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.flagrows import ROWS
from tests.support.engine import Engine, Result, wait_for
from tests.support.fakeregistry import digest_of, fake_registry
from tests.support.registry import free_port
from tests.support.rows import Words

DATA = Path(__file__).parent / "data" / "run_flags.txt"
PODMANS, DOCKERS = ([line for line in part.splitlines() if not line.startswith("#")] for part in
                    DATA.read_text().rstrip().split("\n\n"))
OURS = ("limits",)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flags")
    (path / "labels").write_text("# comment\nfrom=file\n")
    (path / "env").write_text("FROM=file\n")
    (path / "hosts").write_text("10.9.9.9 base\n")
    return path


def call(engine: Engine, docker: bool, *args: str, check: bool = True) -> Result:
    env = {"FLAG_OF_HOST": "seen", "http_proxy": "http://proxy.example:1"}
    if not docker:
        return engine(*args, check=check, env=env)
    code = f"from podlike.__main__ import main; main(['docker', *{list(args)!r}])"
    done = subprocess.run([sys.executable, "-c", code], env=engine.env | env, capture_output=True, text=True, timeout=60,
                          check=False)
    return Result(list(args), done.stdout, done.stderr, done.returncode)


def test_every_flag_has_a_row() -> None:
    assert sorted(ROWS) == sorted([*PODMANS, *DOCKERS, *OURS])


def test_the_list_is_what_help_knows() -> None:
    """A flag that is added to podlike needs a row, too."""
    from podlike.cli.options import CREATE_ONLY, CREATE_TABLE, DOCKER_TABLE, RUN_TABLE

    rows = [row[0] for table in (CREATE_TABLE, RUN_TABLE, CREATE_ONLY, DOCKER_TABLE) for row in table]
    assert set(rows) <= set(ROWS)


@pytest.mark.parametrize("flag", sorted(ROWS))
def test_flag(flag: str, engine: Engine, image: str, scratch: Path, request: pytest.FixtureRequest) -> None:
    how, arguments, what = ROWS[flag]
    words = Words(scratch, PORT=str(free_port()), ZONE="Europe/Berlin")
    docker = flag in DOCKERS
    verb = "create" if "@CREATE" in arguments or (how != "in" and "@RUN" not in arguments) else "run"
    args = [words.fill(a) for a in arguments if a not in ("@RUN", "@CREATE")]
    quiet = ["--network", "none"] if not {"--network", "--net", "slirp4netns"} & set(args) and how in ("in", "show") else []
    if how == "test":
        name, _, detail = what.partition(":")
        EFFECTS[name](engine, image, scratch, args, detail)
    elif how == "in":
        script, pattern = what
        done = call(engine, docker, "run", "--rm", *quiet, *args, image, "sh", "-c", f"{words.fill(script)}; true")
        assert re.search(words.fill(pattern), done.stdout.replace("\r", ""), re.MULTILINE), done
    elif how == "no":
        done = call(engine, docker, verb, *args, image, "true", check=False)
        assert done.code == 125 and re.search(words.fill(what), done.stderr), done
        assert done.stdout == ""
    else:
        done = call(engine, docker, "create", *quiet, *args, image, "sleep", "100", check=how == "show")
        if how == "either" and done.code:
            assert done.code == 125 and any(word in done.stderr for word in args if word.startswith("--")), done
            return
        template, pattern = what
        shown = engine("inspect", "--type", "container", "--format", template, done.line)
        assert re.search(words.fill(pattern), shown.stdout, re.MULTILINE), shown
        engine("rm", done.line)


# --- rows that take more than one command ---

def cidfile(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    path = scratch / "cid"
    made = engine("create", "--cidfile", str(path), image)
    assert path.read_text() == made.line


def replace(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    first = engine("create", "--name", "flag-twice", image).line
    assert engine("create", "--name", "flag-twice", image, check=False).code == 125
    second = engine("create", "--replace", "--name", "flag-twice", image).line
    assert first != second and engine("container", "exists", first, check=False).code == 1


def pull(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    with fake_registry() as registry:
        never = engine("create", "--pull", "never", f"{registry.host}/flag", check=False)
        assert never.code == 125 and "image not known" in never.stderr and registry.asked == []
        assert engine("create", "--pull", "always", f"{registry.host}/flag", check=False).code == 125
        assert registry.asked


def quiet(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    with fake_registry() as registry:
        loud = engine("create", f"{registry.host}/flag", check=False)
        silent = engine("create", "--quiet", f"{registry.host}/flag", check=False)
    assert "Trying to pull" in loud.stderr and "Trying to pull" not in silent.stderr


def platform(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    with fake_registry() as registry:
        assert engine("create", *args, f"{registry.host}/flag", check=False).code == 125
        assert f"/v2/flag/manifests/{digest_of(detail)}" in registry.paths()


def creds(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    with fake_registry() as registry:
        registry.wants_login = True
        engine("create", "--creds", "me:secret", f"{registry.host}/flag", check=False)
        assert "Basic bWU6c2VjcmV0" in {authorization for _, _, authorization in registry.asked}


def certificates(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    """An unknown authority is refused, unless --cert-dir knows it or --tls-verify=false asks for nothing."""
    pem, certs = scratch / "server.pem", scratch / "certs"
    if not pem.exists():
        certs.mkdir()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(scratch / "key"),
                        "-out", str(certs / "ca.crt")], check=True, capture_output=True)
        pem.write_bytes((scratch / "key").read_bytes() + (certs / "ca.crt").read_bytes())
    with fake_registry(certificate=str(pem)) as registry:
        name = f"{registry.host}/flag"
        refused = engine("create", name, check=False)
        assert "certificate" in refused.stderr and registry.asked == []
        for flags in (["--cert-dir", str(certs)], ["--tls-verify=false"]):
            registry.asked.clear()
            engine("create", *flags, name, check=False)
            assert registry.asked, flags


def retries(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    counts = []
    for number in ("0", "2"):
        with fake_registry() as registry:
            registry.failing = True
            started = time.monotonic()
            engine("create", "--retry", number, "--retry-delay", "10ms", f"{registry.host}/flag", check=False)
            assert time.monotonic() - started < 10
            counts.append(len(registry.asked))
    assert counts[1] == 3 * counts[0] > 0


def signature_policy(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    policy = scratch / "policy.json"
    policy.write_text('{"default": [{"type": "reject"}]}')
    from tests.support import oci

    archive = scratch / "rejected.tar"
    oci.write_oci_archive(archive, {"localhost/rejected:latest": oci.busybox_image()})
    done = engine("create", "--signature-policy", str(policy), f"oci-archive:{archive}", check=False)
    assert done.code == 125 and "reject" in done.stderr


def rootfs(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    tree = scratch / "tree"
    if not tree.exists():
        for directory in ("bin", "dev", "proc", "sys", "etc", "run", "tmp"):
            (tree / directory).mkdir(parents=True)
        (tree / "bin" / "sh").write_bytes(Path("/bin/busybox").read_bytes())
        (tree / "bin" / "sh").chmod(0o755)
    assert engine("run", "--rm", "--network", "none", "--rootfs", f"{tree}:O", "/bin/sh", "-c", "echo $$ > /new; echo *").line
    assert not (tree / "new").exists()
    engine("run", "--rm", "--network", "none", "--rootfs", str(tree), "/bin/sh", "-c", "echo $$ > /new")
    assert (tree / "new").exists()
    refused = engine("create", "--rootfs", f"{tree}:idmap", "/bin/sh", check=False)
    assert refused.code == 125 and "--rootfs DIR:idmap is not supported" in refused.stderr


def image_volume(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    bad = engine("create", "--image-volume", "bogus", image, check=False)
    assert bad.code == 125 and 'invalid image-volume type "bogus"' in bad.stderr
    from tests.support import oci

    archive, name = scratch / "volume.tar", "localhost/flag-volume:latest"
    oci.write_oci_archive(archive, {name: oci.busybox_image(Volumes={"/srv": {}})})
    engine("load", "-i", str(archive))
    script = ["sh", "-c", "mount | grep ' /srv '; true"]
    seen = [engine("run", "--rm", "--network", "none", "--image-volume", mode, name, *script).stdout
            for mode in ("bind", "tmpfs", "ignore")]
    assert "tmpfs" not in seen[0] and " /srv " in seen[0]
    assert "type tmpfs" in seen[1] and seen[2] == ""
    engine("rmi", name)


def interactive(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    assert engine("run", "--rm", "--network", "none", "-i", image, "cat", input="said\n").line == "said"
    assert engine("run", "--rm", "--network", "none", image, "cat", input="said\n").line == ""


def timeout(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    started = time.monotonic()
    assert engine("run", "--rm", "--network", "none", "--timeout", "1", image, "sleep", "60", check=False).code != 0
    assert time.monotonic() - started < 30


def seccomp_policy(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    bad = engine("create", "--seccomp-policy", "bogus", image, check=False)
    assert bad.code == 125 and 'invalid seccomp policy "bogus"' in bad.stderr
    profile = ('{"defaultAction":"SCMP_ACT_ALLOW",'
               '"syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}]}')
    label = ["--label", f"io.containers.seccomp.profile={profile}"]
    script = ["sh", "-c", "mkdir /made 2>&1; true"]
    by_image = engine("run", "--rm", "--network", "none", "--seccomp-policy", "image", *label, image, *script)
    assert "not supported" in by_image.stdout.lower()
    assert engine("run", "--rm", "--network", "none", *label, image, *script).stdout == ""


def mounts(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    """test_mount_types.py has the types one by one."""
    done = engine("run", "--rm", "--network", "none", "--mount", f"type=bind,src={scratch},dst=/b,ro", image, "cat", "/b/env")
    assert done.line == "FROM=file"
    bad = engine("create", "--mount", "type=bogus,dst=/x", image, check=False)
    assert bad.code == 125 and 'invalid filesystem type "bogus"' in bad.stderr


def volumes_from(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    engine("create", "--name", "flag-donor", "-v", f"{scratch}:/donated", image)
    done = engine("run", "--rm", "--network", "none", "--volumes-from", "flag-donor", image, "cat", "/donated/env")
    assert done.line == "FROM=file"


def kernel_memory(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    done = engine("create", "--kernel-memory", "100", image)
    assert "The --kernel-memory flag is no longer supported. This flag is a noop." in done.stderr


def rm(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    engine("run", "--rm", "--name", "flag-rm", "--network", "none", image, "true")
    assert engine("container", "exists", "flag-rm", check=False).code == 1


def rmi(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    engine("tag", image, "localhost/flag-rmi")
    engine("run", "--rmi", "--network", "none", "localhost/flag-rmi", "true")
    assert engine("image", "exists", "localhost/flag-rmi", check=False).code == 1
    assert engine("image", "exists", image).code == 0


def pidfiles(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    engine("run", "-d", "--replace", "--name", "flag-pids", "--network", "none", "--pidfile", str(scratch / "pid"),
           "--conmon-pidfile", str(scratch / "conmon"), image, "sleep", "100")
    shown = engine("inspect", "--format", "{{.State.Pid}} {{.State.ConmonPid}}", "flag-pids").line
    assert shown == f"{(scratch / 'pid').read_text()} {(scratch / 'conmon').read_text()}"
    engine("rm", "-f", "-t", "0", "flag-pids")


def attach(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    done = engine("run", "--rm", "--network", "none", "--attach", "stderr", image, "sh", "-c", "echo out; echo err >&2")
    assert "out" not in done.stdout.split() and done.stderr == "err\n"


def detach(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    cid = engine("run", "--detach", "--network", "none", image, "sleep", "100").line
    assert engine("inspect", "--format", "{{.State.Running}}", cid).line == "true"
    engine("rm", "-f", "-t", "0", cid)


def sig_proxy(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    with engine.popen("run", "--name", "flag-sig", "--network", "none", "--sig-proxy=false", image, "sh", "-c",
                      "trap 'exit 3' TERM; while :; do sleep 0.1; done") as p:
        def running() -> bool:
            return engine("inspect", "--format", "{{.State.Running}}", "flag-sig", check=False).line == "true"

        wait_for(running, "the container")
        p.terminate()
        p.wait(30)
        assert running()
    engine("rm", "-f", "-t", "0", "flag-sig")


def descriptor(engine: Engine, image: str, scratch: Path, args: list[str], detail: str) -> None:
    with open(scratch / "env") as f:
        command = [engine.bin, "run", "--rm", "--network", "none", *args, image, "sh", "-c", f"cat <&{detail}"]
        done = subprocess.run(["sh", "-c", f'exec "$@" {detail}<&0 </dev/null', "sh", *command], stdin=f, env=engine.env,
                              capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "FROM=file\n", done
    missing = engine("run", "--rm", *args[:1], "100", image, check=False)
    assert missing.code == 125 and "is not available" in missing.stderr


EFFECTS = {f.__name__: f for f in (
    attach, certificates, cidfile, creds, descriptor, detach, image_volume, interactive, kernel_memory, mounts, pidfiles,
    platform, pull, quiet, replace, retries, rm, rmi, rootfs, seccomp_policy, sig_proxy, signature_policy, timeout, volumes_from)}
