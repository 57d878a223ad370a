"""cp: both ways, between containers, streams; into every state; and nothing leads out of the container."""

import io
import os
import shutil
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import pytest

from tests.support.engine import Engine, wait_for

SLEEP = ("sh", "-c", "sleep 1000")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/one").write_text("one\n")
    (tmp_path / "tree/sub/two").write_text("two\n")
    (tmp_path / "tree/link").symlink_to("/etc/passwd")
    os.chmod(tmp_path / "tree/one", 0o4750)
    os.utime(tmp_path / "tree/one", (1, 86400))
    return tmp_path / "tree"


def tar_of(path: Path) -> bytes:
    return subprocess.run(["tar", "-C", str(path.parent), "-c", path.name], capture_output=True, check=True).stdout


def test_into_every_state_and_back(podlike: Engine, image: str, name: str, tree: Path, tmp_path: Path) -> None:
    podlike("create", "--name", name, "--workdir", "/srv", image, *SLEEP)
    podlike("cp", str(tree), f"{name}:/tmp")
    podlike("start", name)
    podlike("cp", f"{tree}/.", f"{name}:new")  # relative to the working directory
    said = podlike("exec", name, "stat", "-c", "%n %a %u:%g %Y %F", "/tmp/tree/one", "/srv/new/one", "/srv/new/link").stdout
    assert said.splitlines() == ["/tmp/tree/one 4750 0:0 86400 regular file", "/srv/new/one 4750 0:0 86400 regular file",
                                 said.splitlines()[2]] and said.endswith("symbolic link\n")
    podlike("pause", name)
    podlike("cp", f"{name}:/srv/new/sub/two", str(tmp_path / "renamed"))
    podlike("cp", str(tree / "one"), f"{name}:/paused")
    podlike("unpause", name)
    assert (tmp_path / "renamed").read_text() == "two\n" and podlike("exec", name, "cat", "/paused").stdout == "one\n"
    podlike("stop", "--time", "0", name)
    podlike("cp", f"{name}:/tmp/tree", str(tmp_path / "back"))
    assert sorted(os.listdir(tmp_path / "back")) == ["link", "one", "sub"] and (tmp_path / "back/sub/two").read_text() == "two\n"
    assert os.readlink(tmp_path / "back/link") == "/etc/passwd" and os.stat(tmp_path / "back/one").st_uid == os.getuid()
    podlike("cp", str(tree / "sub/two"), f"{name}:/stopped")
    podlike("start", name)
    assert podlike("exec", name, "cat", "/stopped").stdout == "two\n"


def test_who_owns_copies(podlike: Engine, image: str, name: str, tree: Path, tmp_path: Path) -> None:
    podlike("run", "-d", "--name", name, "--user", "12:34", image, *SLEEP)
    podlike("cp", str(tree / "one"), f"{name}:/tmp/mine")
    podlike("cp", "--archive=false", str(tree / "one"), f"{name}:/tmp/theirs")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("made/in")
        member.uid, member.gid = 77, 78
        tar.addfile(member)
    podlike("cp", "-a=false", "-", f"{name}:/tmp", input=buffer.getvalue())
    stat = ("exec", name, "stat", "-c", "%u:%g")
    assert podlike(*stat, "/tmp/mine", "/tmp/theirs", "/tmp/made/in").stdout.split() == ["12:34", "0:0", "77:78"]
    podlike("cp", "-", f"{name}:/tmp", input=buffer.getvalue())
    assert podlike(*stat, "/tmp/made/in", "/tmp/made").stdout.split() == ["12:34", "0:0"]
    podlike("run", "-d", "--name", f"{name}-k", "--userns=keep-id", image, *SLEEP)
    podlike("cp", f"{name}:/tmp/mine", f"{name}-k:/tmp")
    podlike("cp", "-a=false", "-", f"{name}-k:/tmp", input=buffer.getvalue())
    me = f"{os.getuid()}:{os.getgid()}"
    assert podlike("exec", f"{name}-k", "stat", "-c", "%u:%g", "/tmp/mine", "/tmp/made/in").stdout.split() == [me, "77:78"]
    podlike("cp", f"{name}-k:/tmp/made", str(tmp_path))
    assert os.stat(tmp_path / "made/in").st_uid == os.getuid()


def test_streams(podlike: Engine, image: str, name: str, tree: Path, tmp_path: Path) -> None:
    podlike("run", "-d", "--name", name, image, *SLEEP)
    raw = tar_of(tree)
    for n, data in enumerate((raw, subprocess.run(["gzip"], input=raw, capture_output=True).stdout,
                              subprocess.run(["xz"], input=raw, capture_output=True).stdout)):
        podlike("exec", name, "mkdir", f"/{n}")
        podlike("cp", "-", f"{name}:/{n}", input=data)
        assert podlike("exec", name, "cat", f"/{n}/tree/sub/two").stdout == "two\n"
    for path, members in (("/0/tree", {"tree", "tree/one", "tree/sub", "tree/sub/two", "tree/link"}),
                          ("/0/tree/.", {"one", "sub", "sub/two", "link"}), ("/0/tree/one", {"one"})):
        with podlike.popen("cp", f"{name}:{path}", "-") as p:
            out, err = p.communicate()
        assert err == b"" and {m.name for m in tarfile.open(fileobj=io.BytesIO(out))} == members
    for data, target, why in ((b"no tar\n", "/tmp", "source must be a (compressed) tar archive when copying from stdin"),
                              (b"", "/tmp", "source must be a (compressed) tar archive when copying from stdin"),
                              (raw, "/bin/busybox", "destination must be a directory when copying from stdin"),
                              (raw, "/tmp/none", "destination must be a directory when copying from stdin")):
        done = podlike("cp", "-", f"{name}:{target}", input=data, check=False)
        assert (done.code, done.stderr.splitlines()[0]) == (125, f"Error: {why}")


def test_hostile_streams_stay_inside(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("host")
    podlike("run", "-d", "--name", name, image, "sh", "-c", f"mkdir -p {tmp_path}; ln -s {tmp_path} /tmp/out; sleep 1000")
    wait_for(lambda: podlike("exec", name, "ls", "/tmp", check=False).stdout, "the link")
    for member in ("../../../../../../../../../../tmp/x", "out/secret"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            info = tarfile.TarInfo(member)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"evil"))
        podlike("cp", "-", f"{name}:/tmp", input=buffer.getvalue(), check=False)
    assert secret.read_text() == "host" and os.listdir(tmp_path) == ["secret"]


def test_swapped_links_lead_nowhere(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    """A process of the container puts links to the host's paths in the way while cp is at work, in both directions."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "f").write_text("host")
    os.chmod(secret / "f", 0o600)
    script = (f"mkdir -p /w/d {secret}; echo ctr > {secret}/f; echo ctr > /w/d/f; cd /w; while true; do "
              f"mv d e; ln -s {secret} d; rm d; mv e d; rm d/f; ln -s {secret}/f d/f; rm d/f; echo ctr > d/f; done")
    podlike("run", "-d", "--name", name, image, "sh", "-c", script)
    wait_for(lambda: podlike("exec", name, "ls", "/w", check=False).stdout, "the directory")
    (tmp_path / "source/d").mkdir(parents=True)
    (tmp_path / "source/d/f").write_text("evil")
    (tmp_path / "plain").write_text("evil")
    done = 0
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        for args in ((str(tmp_path / "plain"), f"{name}:/w/d/f"), (f"{tmp_path}/source/.", f"{name}:/w"),
                     (f"{name}:/w/d/f", str(tmp_path / "got")), (f"{name}:/w", str(tmp_path / "all"))):
            done += podlike("cp", "--overwrite", *args, check=False).code == 0
        assert (secret / "f").read_text() == "host" and os.stat(secret / "f").st_mode & 0o777 == 0o600
        for path in (tmp_path / "got", tmp_path / "all/d/f"):
            # A link that was copied as such leads to the host's file when it is read here.
            if path.is_file() and not path.is_symlink() and not path.parent.is_symlink():
                assert path.read_text() in ("ctr\n", "evil", "")
        shutil.rmtree(tmp_path / "all", ignore_errors=True)
    assert done > 1  # some got through: the test did meet the moment


def test_links_of_the_container_are_its_own(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "host").write_text("host")
    (tmp_path / "f").write_text("new\n")
    podlike("run", "--name", name, image, "sh", "-c", f"ln -s {tmp_path}/host /bad; ln -s ../../../../../etc/x /tmp/up; "
            "echo in > /etc/x; ln -s /tmp/made /dangling")
    lost = podlike("cp", f"{name}:/bad", str(tmp_path / "got"), check=False)
    assert lost.code == 125 and lost.stderr.startswith(f'Error: "/bad" could not be found on container {name}: no such file')
    podlike("cp", f"{name}:/tmp/up", str(tmp_path / "up"))
    podlike("cp", str(tmp_path / "f"), f"{name}:/dangling")
    podlike("cp", f"{name}:/tmp/made", str(tmp_path / "made"))
    assert (tmp_path / "up").read_text() == "in\n" and (tmp_path / "made").read_text() == "new\n"
    done = podlike("cp", str(tmp_path / "f"), f"{name}:/bad", check=False)  # its directory is not there
    assert done.code == 125 and (tmp_path / "host").read_text() == "host"


def test_volumes_and_mounts(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "bound").mkdir()
    (tmp_path / "file").write_text("old\n")
    (tmp_path / "f").write_text("new\n")
    podlike("create", "--name", name, "-v", f"{name}:/v", "-v", f"{tmp_path}/bound:/v/deep", "-v", f"{tmp_path}/file:/one",
            "--tmpfs", "/t", image, *SLEEP)
    inode = os.stat(tmp_path / "file").st_ino
    for target in ("/v", "/v/deep", "/one", "/v/../v/deep/renamed"):
        podlike("cp", str(tmp_path / "f"), f"{name}:{target}")
    volume = Path(podlike.data, "volumes", name, "_data")
    assert os.listdir(volume) == ["f"] and sorted(os.listdir(tmp_path / "bound")) == ["f", "renamed"]
    assert (tmp_path / "file").read_text() == "new\n" and os.stat(tmp_path / "file").st_ino == inode
    podlike("start", name)
    (tmp_path / "f").write_text("newer\n")
    for target in ("/v/deep/f", "/one", "/t", "/etc/hosts"):
        podlike("cp", str(tmp_path / "f"), f"{name}:{target}")
    assert podlike("exec", name, "cat", "/v/f", "/v/deep/f", "/one", "/t/f", "/etc/hosts").stdout == "new\n" + "newer\n" * 4
    podlike("cp", f"{name}:/proc/sys/kernel/ostype", str(tmp_path / "ostype"))
    podlike("cp", f"{name}:/", str(tmp_path / "all"))
    assert (tmp_path / "ostype").read_text() == "Linux\n" and (tmp_path / "all/v/deep/renamed").exists()
    assert not (tmp_path / "all/proc").exists() and not (tmp_path / "all/dev").exists()
    podlike("rm", "-f", "-t", "0", name)


def test_words(podlike: Engine, image: str, name: str, tree: Path, tmp_path: Path) -> None:
    podlike("create", "--name", name, image, "true")
    (tmp_path / "f").write_text("")
    (tmp_path / "d/f").mkdir(parents=True)
    cases = (
        ((f"{tmp_path}/none", f"{name}:/"), f'"{tmp_path}/none" could not be found on the host: no such file or directory'),
        ((str(tree), f"{name}:/no/where"), f'"/no/where" could not be found on container {name}: no such file or directory'),
        ((str(tree), f"{name}:/none/"), f'"/none/" could not be found on container {name}: no such file or directory'),
        ((str(tree), f"{name}:/bin/busybox"), "destination must be a directory when copying a directory"),
        ((f"{name}:/bin/*", str(tmp_path)), f'"/bin/*" could not be found on container {name}: no such file or directory'),
        ((f"{name}:/bin", f"{tmp_path}/f"), "destination must be a directory when copying a directory"),
        ((f"{name}:/bin/busybox", "/dev/stdout"), 'invalid destination: "/dev/stdout" must be a directory or a regular file'),
        ((f"{name}:/bin/busybox", f"{tmp_path}/no/x"),
         f'"{tmp_path}/no/x" could not be found on the host: no such file or directory'),
        ((f"{tmp_path}/f", f"{tmp_path}/g"), f'copy "{tmp_path}/f" to "{tmp_path}/g": neither is in a container'),
        ((f"{tmp_path}/f", "none:/"), 'container "none" does not exist'),
        ((f"{tmp_path}/f", f"{name}:"), f'invalid arguments "{tmp_path}/f", "{name}:": you must specify paths'),
        ((f"{tmp_path}/f",), "accepts 2 arg(s), received 1"))
    for args, why in cases:
        done = podlike("cp", *args, check=False)
        assert (done.code, done.stderr.splitlines()[0]) == (125, f"Error: {why}"), args
    podlike("cp", f"{tmp_path}/f", f"{name}:/tmp/f")
    done = podlike("cp", f"{name}:/tmp/f", f"{tmp_path}/d", check=False)
    assert done.code == 125 and 'copying to host: error creating "/f": open /f: file exists' in done.stderr
    podlike("container", "cp", "--overwrite", f"{name}:/tmp/f", f"{tmp_path}/d")
    assert (tmp_path / "d/f").is_file()


def test_between_containers_in_both_directions_at_once(podlike: Engine, image: str, name: str) -> None:
    """Neither runs: the locks are taken in one order."""
    for n in "ab":
        podlike("create", "--name", f"{name}-{n}", image, "true")
    results: list[int] = []

    def run(a: str, b: str) -> None:
        results.append(podlike("cp", f"{name}-{a}:/bin", f"{name}-{b}:/tmp/x{a}{b}").code)

    threads = [threading.Thread(target=run, args=pair) for pair in ("ab", "ba", "ab", "ba")]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert results == [0, 0, 0, 0]


def test_killed_copy_leaves_no_mount(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    podlike("create", "--name", name, image, *SLEEP)
    with podlike.popen("cp", "-", f"{name}:/tmp", stdin=subprocess.PIPE) as p:
        assert p.stdin is not None
        p.stdin.write(bytes(2048))
        p.stdin.flush()
        time.sleep(0.3)
        p.kill()
    podlike("start", name)
    podlike("exec", name, "true")


def test_docker_way(podlike: Engine, image: str, name: str, tree: Path, tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/bash\nexec -a docker {podlike.bin} \"$@\"\n")
    if b"python" in Path(podlike.bin).read_bytes()[:200]:
        docker.write_text(Path(podlike.bin).read_text().replace("-m podlike", "-c 'import sys; sys.argv[0] = \"docker\"; "
                                                                "from podlike.__main__ import main; main()'"))
    docker.chmod(0o755)
    podlike("run", "--name", name, image, "sh", "-c", "ln -s /bin/busybox /link")

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([docker, *args], env=podlike.env, text=True, capture_output=True, check=True)

    assert run("cp", f"{name}:/link", str(tmp_path)).stderr == ""
    assert os.readlink(tmp_path / "link") == "/bin/busybox"
    run("cp", "-L", f"{name}:/link", str(tmp_path / "followed"))
    assert os.stat(tmp_path / "followed").st_size > 100_000
    assert run("commit", "-m", "note", name, "dockerly").stdout.startswith("sha256:")
    assert podlike("image", "inspect", "--format", "{{.Comment}} {{.ManifestType}}", "dockerly").line.endswith(
        "note application/vnd.docker.distribution.manifest.v2+json")
    podlike("rmi", "dockerly")
