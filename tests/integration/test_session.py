"""The user's session namespaces: made, joined, healed, and refused with a way out."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.support.engine import Engine
from tests.support.need import need

pytestmark = pytest.mark.skipif(os.geteuid() == 0, reason="optional: root needs no session")


@pytest.fixture
def fresh() -> Iterator[Engine]:
    """An engine with a session of its own."""
    engine = Engine(os.environ.get("PODLIKE_BIN", "podlike"))
    try:
        yield engine
    finally:
        engine.destroy()


def holder(engine: Engine) -> int:
    with open(f"{engine.run_dir}/session") as f:
        return int(f.read().split()[0])


def load(engine: Engine, image: str) -> str:
    """The embedded image is enough where a container only has to run."""
    return engine("run", "--rm", "--network", "none", image).stdout


def test_two_commands_share_one_session(fresh: Engine) -> None:
    load(fresh, "podlike/hello")
    first = holder(fresh)
    load(fresh, "podlike/hello")
    assert holder(fresh) == first
    with open(f"/proc/{first}/uid_map") as f:
        assert f.read().split()[:3] == ["0", str(os.geteuid()), "1"]


def test_many_first_commands_make_one_session(fresh: Engine) -> None:
    running = [fresh.popen("run", "--rm", "--network", "none", "podlike/hello") for _ in range(6)]
    for p in running:
        _, err = p.communicate(timeout=60)
        assert (p.returncode, err) == (0, b"")
    assert sum("podlike-session" in c for c in fresh.processes().values()) == 1


def test_a_killed_holder_is_replaced(fresh: Engine) -> None:
    load(fresh, "podlike/hello")
    first = holder(fresh)
    os.kill(first, signal.SIGKILL)
    load(fresh, "podlike/hello")
    assert holder(fresh) != first


def test_a_killed_holder_does_not_lose_running_containers(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, "--network", "none", image, "sleep", "300")
    os.kill(holder(podlike), signal.SIGKILL)
    time.sleep(0.1)
    assert podlike("exec", name, "echo", "still here").line == "still here"
    podlike("stop", "-t", "0", name)
    podlike("rm", name)


def test_a_damaged_state_file_heals(fresh: Engine) -> None:
    load(fresh, "podlike/hello")
    os.kill(holder(fresh), signal.SIGKILL)
    with open(f"{fresh.run_dir}/session", "w") as f:
        f.write("rubbish\n")
    load(fresh, "podlike/hello")


def test_a_pid_that_was_reused_is_not_joined(fresh: Engine) -> None:
    load(fresh, "podlike/hello")
    os.kill(holder(fresh), signal.SIGKILL)
    other = subprocess.Popen(["sleep", "60"])
    try:
        with open(f"{fresh.run_dir}/session", "w") as f:
            f.write(f"{other.pid} 12345\n")
        load(fresh, "podlike/hello")
        assert other.poll() is None, "a process that is not ours was killed"
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize(("files", "program", "hint"), [
    ({"/etc/subuid": "", "/etc/subgid": ""}, "", "usermod --add-subuids"),
    ({}, "newuidmap", "uidmap"),
])
def test_what_the_user_lacks_is_said(fresh: Engine, files: dict[str, str], program: str, hint: str) -> None:
    """In a mount namespace of our own the id files are empty, or the helper is hidden."""
    need(subprocess.run(["unshare", "-Urm", "true"]).returncode == 0, "unshare -Urm must work")
    script = ["set -e"]
    for path, text in files.items():
        script.append(f"printf '%s' '{text}' > {fresh.dir}/empty && mount --bind {fresh.dir}/empty {path}")
    if program:
        script.append(f"touch {fresh.dir}/hidden && chmod 000 {fresh.dir}/hidden && "
                      f"mount --bind {fresh.dir}/hidden $(readlink -f /usr/bin/{program})")
    # Back to our own uid, so that podlike sees an ordinary user again.
    script.append(f"exec unshare -U --map-user={os.geteuid()} {fresh.bin} run --rm podlike/hello")
    got = subprocess.run(["unshare", "-Urm", "sh", "-c", "\n".join(script)], env=fresh.env, capture_output=True, text=True)
    assert got.returncode == 125
    assert hint in got.stderr
    assert got.stdout == ""
    assert not os.path.exists(f"{fresh.run_dir}/session")
