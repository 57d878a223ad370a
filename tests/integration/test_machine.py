"""What users meet on machines that lack something.

Needs root, to take things away inside contrib/rig; the engine runs as a user. Each case runs one shell script as the
user, with files of the machine covered for that script alone.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import oci
from tests.support.engine import Engine, Result
from tests.support.need import need

RIG = Path(__file__).parents[2] / "contrib" / "rig"
USER = os.environ.get("PODLIKE_TEST_USER", "podlike-test")
IMAGE = "localhost/podlike-test:latest"


class Machine:
    """Runs scripts as USER with an engine whose storage is private to one test."""

    def __init__(self, engine: Engine, archive: Path) -> None:
        self.engine = engine
        self.archive = archive

    def __call__(self, script: str, *, cover: dict[str, str] | None = None, timeout: float = 60) -> Result:
        """cover: path -> file or directory that is seen there instead. The image is loaded; $P is the engine."""
        binds = [word for path, by in (cover or {}).items() for word in ("-b", f"{by}:{path}")]
        env = {
            k: v
            for k, v in self.engine.env.items()
            if k in ("PODLIKE_ROOT", "PODLIKE_RUNROOT", "HOME", "PODLIKE_TEST_TOKEN")
        }
        words = [f"{k}={v}" for k, v in env.items()]
        full = f'P={self.engine.bin}; "$P" load -q -i {self.archive} >/dev/null || exit 99\n{script}'
        argv = [str(RIG), "-u", USER, *binds, "--", "env", *words, "sh", "-c", full]
        p = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL)
        return Result(argv, p.stdout, p.stderr, p.returncode)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    need(
        os.geteuid() == 0,
        "taking things away from a machine needs root; contrib/check runs this step as root",
        optional=True,
    )
    engine = Engine(os.environ.get("PODLIKE_BIN", "podlike"))
    need(not engine.is_podman, "podlike's own words", optional=True)
    archive = Path(engine.dir) / "image.tar"
    oci.write_oci_archive(archive, {IMAGE: oci.busybox_image()})
    subprocess.run(["chown", "-R", f"{USER}:", engine.dir], check=True)
    os.chmod(engine.dir, 0o755)
    yield Machine(engine, archive)
    engine.destroy()


@pytest.fixture
def absent(tmp_path: Path) -> str:
    """An empty file that cannot be executed: a program covered with it is as good as not installed."""
    file = tmp_path / "absent"
    file.touch(0o644)
    os.chmod(tmp_path, 0o755)
    return str(file)


def program(name: str) -> str:
    """Real path of a program of the machine, where a cover has to be put."""
    found = next((p for p in (f"/usr/bin/{name}", f"/usr/sbin/{name}") if os.path.exists(p)), None)
    need(found, f"{name} is not installed")
    assert found is not None
    return os.path.realpath(found)


def refused(result: Result, *words: str, code: int = 125) -> None:
    """One clear error with something to do, the exit code, and no traceback."""
    assert result.code == code, result
    assert "Traceback" not in result.stderr, result
    for word in words:
        assert word in result.stderr, (word, result)


def test_no_subordinate_ids(machine: Machine, absent: str) -> None:
    """Either the single-id mode works, or the error names the file and the command that fixes it."""
    cover = {"/etc/subuid": absent, "/etc/subgid": absent}
    result = machine(f'"$P" run --rm --network none {IMAGE} id -u', cover=cover)
    if result.code == 0:
        assert result.line == "0", result
    else:
        assert result.code in (99, 125), result
        assert "subuid" in result.stderr and "usermod" in result.stderr and "Traceback" not in result.stderr, result


def test_no_newuidmap(machine: Machine, absent: str) -> None:
    result = machine(f'"$P" run --rm --network none {IMAGE} id -u', cover={program("newuidmap"): absent})
    if result.code == 0:
        assert result.line == "0", result
    else:
        assert result.code in (99, 125), result
        assert "newuidmap" in result.stderr and "uidmap" in result.stderr and "Traceback" not in result.stderr, result


def test_no_slirp4netns(machine: Machine, absent: str) -> None:
    cover = {program("slirp4netns"): absent}
    refused(machine(f'"$P" run --rm --network slirp4netns {IMAGE} true', cover=cover), "slirp4netns", "install")
    result = machine(f'"$P" run --rm --network none {IMAGE} echo fine; "$P" ps -aq', cover=cover)
    assert (result.code, result.line) == (0, "fine"), result


def test_no_tun_device(machine: Machine, absent: str) -> None:
    result = machine(f'"$P" run --rm --network slirp4netns {IMAGE} true', cover={"/dev/net/tun": absent})
    # Known only when the container starts: podman's code for a container that cannot run.
    refused(result, "/dev/net/tun", code=126)


def test_no_runtime_directory(machine: Machine) -> None:
    """As under su, cron, or in a container: no XDG_RUNTIME_DIR and no bus."""
    unset = "unset XDG_RUNTIME_DIR PODLIKE_RUNROOT DBUS_SESSION_BUS_ADDRESS"
    result = machine(f'{unset}; "$P" run --rm --network none {IMAGE} echo fine')
    assert (result.code, result.line, result.stderr) == (0, "fine", ""), result


def test_no_home(machine: Machine) -> None:
    result = machine(f'unset HOME; "$P" run --rm --network none {IMAGE} echo fine')
    assert (result.code, result.line) == (0, "fine"), result


def test_data_directory_of_somebody_else(machine: Machine) -> None:
    result = machine(f'PODLIKE_ROOT=/root/data "$P" run --rm --network none {IMAGE} true')
    refused(result, "/root/data")


def test_read_only_data_directory(machine: Machine) -> None:
    result = machine(f'chmod 500 "$PODLIKE_ROOT"; "$P" create {IMAGE} true; rc=$?; chmod 700 "$PODLIKE_ROOT"; exit $rc')
    assert result.code in (0, 125), result
    assert "Traceback" not in result.stderr, result


def test_another_users_runtime_directory(machine: Machine) -> None:
    """A directory that another user planted in /tmp is refused: sockets in it could be theirs."""
    planted = tempfile.mkdtemp(prefix="planted-", dir="/tmp")
    try:
        os.chmod(planted, 0o777)
        os.chown(planted, 65534, 65534)
        result = machine(f'PODLIKE_RUNROOT={planted} "$P" run --rm --network none {IMAGE} true')
        refused(result, planted)
    finally:
        shutil.rmtree(planted)


def test_full_disk_while_unpacking(machine: Machine) -> None:
    """A store on a file system that is too small for the image: told in words, nothing kept, and usable afterwards."""
    data = Path(machine.engine.data)
    data.mkdir(mode=0o700, exist_ok=True)
    options = f"size=24m,mode=700,uid={pwd.getpwnam(USER).pw_uid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small", data], check=True)
    try:
        big = Path(machine.engine.dir) / "big.tar"
        # Zeros compress to nothing: the archive fits, what it unpacks to does not.
        files = [oci.File(f"zeros-{n}", bytes(8 << 20)) for n in range(6)]
        oci.write_oci_archive(big, {"localhost/big:latest": oci.Image(layers=[oci.layer(files)])})
        os.chmod(big, 0o644)
        result = machine(f'"$P" load -i {big}; echo code $?; "$P" images -q --no-trunc | wc -l; '
                         f'"$P" run --rm --network none {IMAGE} echo still usable')
        assert result.stdout.split("\n")[:2] == ["code 125", "1"], result
        assert "still usable" in result.stdout, result
        assert "no space left" in result.stderr.lower() and "Hint: " in result.stderr, result
        assert "Traceback" not in result.stderr, result
        kept = sum(f.stat().st_size for f in data.rglob("*") if f.is_file() and not f.is_symlink())
        assert kept < 8 << 20, f"{kept} bytes are kept of an image that did not fit"
    finally:
        subprocess.run(["umount", "-l", data], check=True)
