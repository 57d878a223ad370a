"""auto-update: what is found to be newer, and what is said of containers that cannot be updated. Restarts of units are
tests/system/test_units.py's."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import oci
from tests.support.engine import Engine
from tests.support.registry import RealRegistry, real_registry

UNIT = {"PODMAN_SYSTEMD_UNIT": "web.service"}
FORM = ("--format", "{{.Unit}},{{.Image}},{{.Policy}},{{.Updated}}")
# "tester" with the password "secret"; docker-registry takes bcrypt only.
HTPASSWD = "tester:$2b$04$g4wI2q3YlaMSzSm7JMxAq.D6xJQifWTJA.9Uf.ymgNWjrTvpoEuJa"


@pytest.fixture
def add_image(podlike: Engine) -> Callable[..., str]:
    """Another image under this name; its id."""
    def add(name: str, **config: object) -> str:
        archive = f"{podlike.dir}/another.tar"
        oci.write_oci_archive(archive, {name: oci.busybox_image(**config)})
        podlike("load", "-i", archive)
        return podlike("image", "inspect", "--format", "{{.Id}}", name).line

    return add


def run(podlike: Engine, name: str, policy: str, image: str, *flags: str, env: dict[str, str] = UNIT) -> None:
    podlike("run", "-d", "--name", name, "--network", "none", "--label", f"io.containers.autoupdate={policy}", *flags, image,
            "sleep", "1000", env=env)


def test_a_registry_is_asked_and_nothing_is_pulled(podlike: Engine, image: str, registry: RealRegistry, name: str,
                                                    add_image: Callable[..., str]) -> None:
    remote = f"{registry.host}/{name}:now"
    podlike("push", image, remote)
    podlike("pull", remote)
    run(podlike, name, "registry", remote)
    assert podlike("auto-update", "--dry-run", *FORM).line == f"web.service,{remote},registry,false"
    add_image(f"localhost/{name}:2", Labels={"version": "2"})
    podlike("push", f"localhost/{name}:2", remote)
    before = podlike("image", "inspect", "--format", "{{.Id}}", remote).line
    assert podlike("auto-update", "--dry-run", *FORM).line == f"web.service,{remote},registry,pending"
    assert podlike("image", "inspect", "--format", "{{.Id}}", remote).line == before
    rows = json.loads(podlike("auto-update", "--dry-run", "--format", "json").stdout)
    cid = podlike("inspect", "--format", "{{.ID}}", name).line
    assert rows == [{"Unit": "web.service", "Container": f"{cid[:12]} ({name})", "ContainerName": name, "ContainerID": cid,
                     "Image": remote, "Policy": "registry", "Updated": "pending"}]
    table = podlike("auto-update", "--dry-run").stdout.splitlines()
    assert [line.split() for line in table] == [["UNIT", "CONTAINER", "IMAGE", "POLICY", "UPDATED"],
                                                ["web.service", cid[:12], f"({name})", remote, "registry", "pending"]]
    told = podlike("events", "--stream=false", "--since", "1m", "--filter", "type=system", "--format", "{{.Status}}").stdout
    assert "auto-update\n" in told


def test_a_recompressed_image_is_the_same(podlike: Engine, image: str, registry: RealRegistry, name: str) -> None:
    remote = f"{registry.host}/{name}:now"
    podlike("push", "--compression-format", "gzip", image, remote)
    podlike("pull", remote)
    run(podlike, name, "image", remote)
    podlike("push", "--compression-format", "zstd", "--force-compression", image, remote)
    assert podlike("auto-update", "--dry-run", *FORM).line == f"web.service,{remote},registry,false"


def test_credentials(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD + "\n")
    with real_registry(tmp_path, htpasswd=f"{tmp_path}/htpasswd") as guarded:
        remote, auth = f"{guarded.host}/x:1", f"{tmp_path}/auth.json"
        podlike("login", "--authfile", auth, "-u", "tester", "-p", "secret", guarded.host)
        podlike("push", "--authfile", auth, image, remote)
        podlike("pull", "--authfile", auth, remote)
        run(podlike, f"{name}-1", "registry", remote)
        refused = podlike("auto-update", "--dry-run", *FORM, check=False)
        assert (refused.code, refused.line) == (125, f"web.service,{remote},registry,failed")
        assert "Error: checking image updates for container " in refused.stderr
        assert "authentication required" in refused.stderr
        wanted = f"web.service,{remote},registry,false"
        assert podlike("auto-update", "--dry-run", "--authfile", auth, *FORM).line == wanted
        assert podlike("auto-update", "--dry-run", *FORM, env={"REGISTRY_AUTH_FILE": auth}).line == wanted
        podlike("rm", "-f", "-t0", f"{name}-1")
        run(podlike, f"{name}-2", "registry", remote, "--label", f"io.containers.autoupdate.authfile={auth}")
        assert podlike("auto-update", "--dry-run", "--authfile", "/dev/null", *FORM).line == wanted


def test_a_unit_that_cannot_be_restarted_goes_back(podlike: Engine, name: str, add_image: Callable[..., str]) -> None:
    """No such unit, or no systemd at all: all the same, the name stands for the old image again."""
    tag = f"localhost/{name}:now"
    old = add_image(tag, Labels={"version": "1"})
    run(podlike, name, "local", tag, env={"PODMAN_SYSTEMD_UNIT": f"no-such-unit-{name}.service"})
    new = add_image(tag, Labels={"version": "2"})
    kept = podlike("auto-update", "--rollback=false", "--format", "{{.Updated}}", check=False)
    assert (kept.code, kept.line) == (125, "failed")
    assert f"restarting unit no-such-unit-{name}.service during update: " in kept.stderr
    assert podlike("image", "inspect", "--format", "{{.Id}}", tag).line == new
    failed = podlike("auto-update", "--format", "{{.Updated}}", check=False)
    assert (failed.code, failed.line) == (125, "failed")
    assert f"restarting unit no-such-unit-{name}.service during rollback: " in failed.stderr
    assert podlike("image", "inspect", "--format", "{{.Id}}", tag).line == old
    assert podlike("inspect", "--format", "{{.State.Running}}", name).line == "true"


def test_who_is_not_updated(podlike: Engine, image: str, name: str) -> None:
    assert podlike("auto-update").stdout == ""
    run(podlike, f"{name}-off", "disabled", image)
    run(podlike, f"{name}-empty", "", image)
    run(podlike, f"{name}-quotes", "''", image)
    podlike("create", "--name", f"{name}-created", "--label", "io.containers.autoupdate=local", image, env=UNIT)
    assert podlike("auto-update").stdout == ""
    run(podlike, f"{name}-odd", "fakevalue", image)
    odd = podlike("auto-update", check=False)
    cid = podlike("inspect", "--format", "{{.ID}}", f"{name}-odd").line
    words = f'auto-updating container "{cid}": invalid auto-update policy "fakevalue": valid policies are ' \
            '["disabled" "image" "local" "registry"]'
    assert (odd.code, odd.stdout, odd.stderr.splitlines()[0]) == (125, "", f"Error: {words}")
    run(podlike, f"{name}-nobodys", "local", image, env={})
    run(podlike, f"{name}-fine", "local", image)
    both = podlike("auto-update", *FORM, check=False)
    assert (both.code, both.line) == (125, f"web.service,{image},local,false")
    other = podlike("inspect", "--format", "{{.ID}}", f"{name}-nobodys").line
    assert both.stderr.splitlines()[:3] == ["Error: 2 errors occurred:", f"\t* {words}",
                                            f'\t* auto-updating container "{other}": no PODMAN_SYSTEMD_UNIT label found']


def test_bad_input(podlike: Engine, image: str, name: str) -> None:
    assert podlike("auto-update", "x", check=False).stderr.splitlines()[0] == "Error: `podlike auto-update` takes no arguments"
    assert "credential file is not accessible" in podlike("auto-update", "--authfile", "/no/such", check=False).stderr
    label = ("--label", "io.containers.autoupdate=registry")
    podlike("tag", image, f"{name}:1")
    short = podlike("create", *label, f"{name}:1", check=False)
    assert (short.code, short.stderr) == (
        125, f'Error: short name: auto updates require fully-qualified image reference: "{name}:1"\n')
    place = podlike("create", *label, "docker-archive:/no/such", check=False)
    assert 'auto updates require the docker image transport but image is of transport "docker-archive"' in place.stderr


def test_generated_files(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    """generate systemd --files for a pod: whole files, which systemd finds no fault with."""
    podlike("pod", "create", "--name", f"{name}-pod")
    try:
        for n in "12":
            podlike("create", "--pod", f"{name}-pod", "--name", f"{name}-{n}", image, "sh", "-c", "echo $HOME \"a\tb\" '%i'")
        for flags in ((), ("--new",)):
            paths = podlike("generate", "systemd", "--files", "--name", *flags, f"{name}-pod", cwd=str(tmp_path)).stdout.split()
            assert paths == [f"{tmp_path}/{unit}.service" for unit in
                             (f"pod-{name}-pod", f"container-{name}-1", f"container-{name}-2")]
            done = subprocess.run(["systemd-analyze", "--user", "verify", *paths], capture_output=True, text=True,
                                  env={**podlike.env, "XDG_RUNTIME_DIR": podlike.run_dir})
            assert (done.returncode, done.stderr) == (0, "")
        (tmp_path / "full").mkdir(mode=0o500)
        refused = podlike("generate", "systemd", "--files", "--name", f"{name}-1", cwd=f"{tmp_path}/full", check=False)
        assert refused.code == 125
        assert f"write unit {tmp_path}/full/container-{name}-1.service: permission denied" in refused.stderr
        assert not list((tmp_path / "full").iterdir())
    finally:
        podlike("pod", "rm", "-f", f"{name}-pod")


@pytest.mark.parametrize(("flags", "words"), [
    (("--restart-policy=never",), "never is not a valid restart policy"),
    (("--template", "--new=false"), "--template cannot be set with --new=false"),
    (("--stop-timeout=1", "--time=2"), "stop-timeout and time are redundant and cannot be used together"),
    (("--format=xml",), "unknown --format argument: xml"),
    (("--restart-sec=-1",), "invalid argument \"-1\" for \"--restart-sec\" flag"),
    (("--files", "--separator=/"), "makes no file name"),
])
def test_flags_that_are_refused(podlike: Engine, image: str, name: str, tmp_path: Path, flags: tuple[str, ...],
                                words: str) -> None:
    podlike("create", "--name", name, image)
    refused = podlike("generate", "systemd", *flags, name, check=False, cwd=str(tmp_path))
    assert (refused.code, refused.stdout) == (125, "")
    assert words in refused.stderr
    assert not list(tmp_path.iterdir())
