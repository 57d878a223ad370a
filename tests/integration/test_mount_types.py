"""--mount of every type, and the options of -v that make something: overlays, parts of trees, other owners."""

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import oci
from tests.support.engine import Engine


@pytest.fixture
def inside(podlike: Engine, image: str) -> "Callable[..., str]":
    """inside(FLAGS..., script="..."): what the script wrote."""

    def run(*flags: str, script: str) -> str:
        return podlike("run", "--rm", "--network", "none", *flags, image, "sh", "-c", f"{script} 2>&1; true").line

    return run


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "f").write_text("lower\n")
    (tmp_path / "out").symlink_to("/etc")
    return tmp_path


def refused(podlike: Engine, image: str, *flags: str) -> str:
    done = podlike("run", "--rm", "--network", "none", *flags, image, "true", check=False)
    assert done.code == 125, done
    return done.stderr


def test_overlay_of_a_directory_goes_with_the_run(podlike: Engine, inside: "Callable[..., str]", tree: Path, image: str) -> None:
    assert inside("-v", f"{tree}:/x:O", script="echo new > /x/n; cat /x/n /x/sub/f") == "new\nlower"
    assert not (tree / "n").exists()
    cid = podlike("create", "--network", "none", "-v", f"{tree}:/x:O", image, "sh", "-c", "ls /x; touch /x/n").line
    assert podlike("start", "-a", cid).line == podlike("start", "-a", cid).line == "out\nsub"
    assert not os.path.exists(f"{podlike.data}/containers/{cid}/mounts")


def test_overlay_keeps_its_changes_where_it_is_told(inside: "Callable[..., str]", tree: Path,
                                                    tmp_path_factory: pytest.TempPathFactory) -> None:
    kept = tmp_path_factory.mktemp("kept")
    for name in ("up", "work"):
        (kept / name).mkdir()
    option = f"{tree}:/x:O,upperdir={kept}/up,workdir={kept}/work"
    inside("-v", option, script="echo new > /x/n")
    assert (kept / "up" / "n").read_text() == "new\n"
    assert inside("-v", option, script="cat /x/n") == "new"


def test_bad_overlays(podlike: Engine, image: str, tree: Path) -> None:
    assert "cannot specify only upperdir or only workdir" in refused(podlike, image, "-v", f"{tree}:/x:O,upperdir=/tmp")
    assert "it is no directory" in refused(podlike, image, "-v", f"{tree}/sub/f:/x:O")


def test_image(podlike: Engine, inside: "Callable[..., str]", image: str) -> None:
    mount = f"type=image,src={image},dst=/i"
    assert "Read-only file system" in inside("--mount", mount, script="cat /i/etc/os-release | grep ^ID; touch /i/x")
    assert inside("--mount", f"{mount},rw=true", script="touch /i/x && ls -d /i/x") == "/i/x"
    assert inside("--mount", f"{mount},rw=true", script="ls -d /i/x") == "ls: /i/x: No such file or directory"
    assert "os-release" in inside("--mount", f"{mount},subpath=/etc", script="ls /i")
    assert inside("--userns", "keep-id", "--user", "0", "--mount", f"{mount},subpath=/home/user",
                  script="stat -c %u /i/mine") == "1000"
    assert "no such file or directory" in refused(podlike, image, "--mount", f"{mount},subpath=/nope")
    assert "image not known" in refused(podlike, image, "--mount", "type=image,src=localhost/no/such,dst=/i")
    assert "must set source and destination" in refused(podlike, image, "--mount", "type=image,dst=/i")


def test_image_is_inspected(podlike: Engine, image: str) -> None:
    cid = podlike("create", "--mount", f"type=image,src={image},dst=/i,subpath=/etc,rw=true", image).line
    found = json.loads(podlike("inspect", cid).stdout)[0]["Mounts"][0]
    assert (found["Type"], found["Source"], found["Destination"], found["RW"], found["SubPath"]) == (
        "image", image, "/i", True, "/etc")


def test_an_image_that_is_mounted_stays(podlike: Engine, image: str, tmp_path: Path) -> None:
    archive, other = tmp_path / "other.tar", "localhost/flag-mounted:latest"
    oci.write_oci_archive(archive, {other: oci.busybox_image(Labels={"mounted": "yes"})})
    podlike("load", "-q", "-i", str(archive))
    cid = podlike("create", "--network", "none", "--mount", f"type=image,src={other},dst=/i", image, "ls", "/i/etc/passwd").line
    assert podlike("rmi", other, check=False).code == 2
    assert podlike("start", "-a", cid).line == "/i/etc/passwd"
    podlike("rm", cid)
    podlike("rmi", other)


def test_volume_subpath(podlike: Engine, inside: "Callable[..., str]", image: str) -> None:
    name = f"v{uuid.uuid4().hex[:8]}"
    inside("-v", f"{name}:/v", script="mkdir -p /v/a/b; echo deep > /v/a/b/c; ln -s /etc /v/out")
    mount = f"type=volume,src={name},dst=/v,subpath="
    assert inside("--mount", f"{mount}a/b", script="ls /v; echo more >> /v/c") == "c"
    assert inside("--mount", f"{mount}a/b/c", script="cat /v") == "deep\nmore"
    # The link leads to /etc of the volume, which it does not have; never to the host's.
    assert "no such file or directory" in refused(podlike, image, "--mount", f"{mount}out")
    assert "no such file or directory" in refused(podlike, image, "--mount", f"{mount}a/nope")
    podlike("volume", "rm", name)


def test_owner_of_the_source(inside: "Callable[..., str]", tree: Path) -> None:
    assert inside("-v", f"{tree}:/x:U", "--user", "1000", script="stat -c %u /x /x/sub/f") == "1000\n1000"
    assert inside("-v", f"{tree}:/x:U", script="stat -c %u /x /x/sub/f") == "0\n0"
    assert tree.stat().st_uid == os.getuid()


def test_system_directories_keep_their_owner(podlike: Engine, image: str) -> None:
    assert "changing the owner of /usr is not allowed" in refused(podlike, image, "-v", "/usr:/x:U")


def test_idmap_is_roots(podlike: Engine, image: str, tree: Path) -> None:
    assert "shifted ids for root only" in refused(podlike, image, "-v", f"{tree}:/x:idmap")


def test_memory_file_systems(inside: "Callable[..., str]") -> None:
    assert inside("--mount", "type=ramfs,dst=/r", script="stat -f -c %T /r") == "ramfs"
    assert "passwd" in inside("--mount", "type=ramfs,dst=/etc", script="ls /etc")
    assert "passwd" not in inside("--mount", "type=tmpfs,dst=/etc,notmpcopyup", script="ls /etc")
    tmpfs = "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700"
    assert "size=1024k,mode=700" in inside("--mount", tmpfs, script="mount | grep ' /t '")


def test_devpts(inside: "Callable[..., str]") -> None:
    assert "mode=640" in inside("--mount", "type=devpts,dst=/pts,mode=640,max=7", script="mount | grep ' /pts '; ls /pts")


def test_glob(podlike: Engine, inside: "Callable[..., str]", image: str, tree: Path) -> None:
    for name in ("one", "other"):
        (tree / name).write_text(f"{name}\n")
    assert inside("--mount", f"type=glob,src={tree}/o*e*,dst=/g,ro", script="cat /g/one /g/other; touch /g/one").endswith(
        "one\nother\ntouch: /g/one: Read-only file system")
    assert "no file paths matching glob" in refused(podlike, image, "--mount", f"type=glob,src={tree}/z*,dst=/g")


def test_no_dereference(inside: "Callable[..., str]", tree: Path) -> None:
    mount = f"type=bind,src={tree}/out,dst=/l"
    assert inside("--mount", f"{mount},no-dereference", script="readlink /l") == "/etc"
    assert inside("--mount", mount, script="readlink /l || ls -d /l") == "/l"


def test_artifact(podlike: Engine, inside: "Callable[..., str]", image: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"{name}\n")
    podlike("artifact", "add", "localhost/flag/single:1", str(tmp_path / "one"))
    podlike("artifact", "add", "localhost/flag/multi:1", str(tmp_path / "one"), str(tmp_path / "two"))
    single, multi = (f"type=artifact,src=localhost/flag/{kind}:1,dst=" for kind in ("single", "multi"))
    assert "Read-only file system" in inside("--mount", f"{single}/new", script="cat /new; touch /new")
    assert inside("--mount", f"{single}/mnt", script="cat /mnt/one") == "one"
    assert inside("--mount", f"{single}/mnt,name=called", script="cat /mnt/called") == "one"
    assert inside("--mount", f"{multi}/new", script="cat /new/one /new/two") == "one\ntwo"
    assert inside("--mount", f"{multi}/mnt,name=n", script="cat /mnt/n-0 /mnt/n-1") == "one\ntwo"
    assert inside("--mount", f"{multi}/new,title=two", script="cat /new") == "two"
    assert inside("--user", "1000", "--mount", f"{single}/new", script="cat /new") == "one"
    assert "artifact does not exist" in refused(podlike, image, "--mount", "type=artifact,src=localhost/nope:1,dst=/x")
    assert "no blob with the title" in refused(podlike, image, "--mount", f"{multi}/new,title=nope")
    assert "container path \"/etc/passwd\" is a file" in refused(podlike, image, "--mount", f"{multi}/etc/passwd")
    podlike("artifact", "rm", "localhost/flag/single:1", "localhost/flag/multi:1")


CDI = """cdiVersion: 0.6.0
kind: vendor.example/device
devices:
- name: zero
  containerEdits:
    deviceNodes: [{path: /dev/flag, hostPath: /dev/zero}]
    env: [DEVICE=zero]
containerEdits:
  env: [VENDOR=example]
  mounts: [{hostPath: /etc/os-release, containerPath: /vendor/release}]
"""


def test_cdi_device(podlike: Engine, image: str, tmp_path: Path) -> None:
    (tmp_path / "vendor.yaml").write_text(CDI)
    run = ["--cdi-spec-dir", str(tmp_path), "run", "--rm", "--network", "none"]
    done = podlike(*run, "--device", "vendor.example/device=zero", image, "sh", "-c",
                   "test -c /dev/flag && echo $DEVICE $VENDOR && grep -c ^ID= /vendor/release")
    assert done.line == "zero example\n1"
    missing = podlike(*run, "--device", "vendor.example/device=one", image, "true", check=False)
    assert missing.code == 125 and "unresolvable CDI devices vendor.example/device=one" in missing.stderr
    (tmp_path / "vendor.yaml").write_text(CDI.replace("/dev/zero", "/dev/no-such"))
    broken = podlike(*run, "--device", "vendor.example/device=zero", image, "true", check=False)
    assert broken.code == 125 and "stat /dev/no-such" in broken.stderr
    (tmp_path / "vendor.yaml").write_text(CDI.replace("path: /dev/flag, ", ""))
    bad = podlike(*run, "--device", "vendor.example/device=zero", image, "true", check=False)
    assert bad.code == 125 and "devices[0].containerEdits.deviceNodes[0].path must be a string" in bad.stderr
