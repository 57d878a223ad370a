"""The same engine as root: no session, no subordinate ids, the same commands."""

import os
import shutil
import subprocess
import urllib.request

import pytest

from tests.support.engine import Engine, wait_for
from tests.support.need import need


@pytest.fixture(autouse=True)
def as_root() -> None:
    need(os.geteuid() == 0, "the smoke test of root needs root; contrib/check runs this step as root", optional=True)


def test_hello(podlike: Engine) -> None:
    assert "Hello from a container" in podlike("run", "--rm", "podlike/hello").stdout
    assert not os.path.exists(f"{podlike.run_dir}/session"), "root needs no session"


def test_a_container_from_birth_to_removal(podlike: Engine, image: str, name: str) -> None:
    cid = podlike("run", "-d", "--name", name, image, "sh", "-c", "echo started; exec sleep 300").line
    assert podlike("ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}").line == f"{cid} {name}"
    assert podlike("exec", name, "id", "-u").line == "0"
    assert podlike("exec", name, "cat", "/proc/self/uid_map").line.split() == ["0", "0", "4294967295"]
    assert "00000000800405fb" in podlike("exec", name, "grep", "CapEff", "/proc/self/status").line
    assert podlike("logs", name).line == "started"
    podlike("stop", "-t", "0", name)
    assert podlike("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name).line == "exited 137"
    podlike("start", name)
    podlike("rm", "-f", "-t", "0", name)
    assert podlike("ps", "-aq").stdout == ""


def test_what_is_written_stays_in_the_writable_layer(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "--name", name, "--network", "none", image, "sh", "-c", "echo kept > /etc/mark; rm /bin/cat")
    assert podlike("start", "-a", name, check=False).code == 1, "the first run has removed it"
    assert podlike("run", "--rm", "--network", "none", image, "cat", "/etc/hostname").code == 0


def test_published_port(podlike: Engine, image: str, name: str) -> None:
    serve = "mkdir -p /www; echo served > /www/index.html; exec httpd -f -p 80 -h /www"
    podlike("run", "-d", "--name", name, "-p", "127.0.0.1:0:80", image, "sh", "-c", serve)
    address = podlike("port", name, "80/tcp").line
    for _ in range(50):
        try:
            with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
                assert answer.read() == b"served\n"
            break
        except OSError:
            podlike("exec", name, "sleep", "0.1")
    else:
        pytest.fail(f"nothing answers at {address}")


@pytest.mark.parametrize(("command", "code"), [("exit 7", 7), ("kill -9 $$; exit 3", 3)])
def test_exit_codes(podlike: Engine, image: str, command: str, code: int) -> None:
    assert podlike("run", "--rm", "--network", "none", image, "sh", "-c", command, check=False).code == code


def test_commands_that_cannot_run(podlike: Engine, image: str) -> None:
    assert podlike("run", "--rm", "--network", "none", image, "/no/such", check=False).code == 127
    assert podlike("run", "--rm", "--network", "none", image, "/etc", check=False).code == 126


def test_checkpoint_and_restore_or_the_reason_why_not(podlike: Engine, image: str, name: str) -> None:
    """Where CRIU knows the kernel a counter goes on from where it was; where it does not, the container runs on."""
    program = shutil.which("criu")
    works = program is not None and subprocess.run([program, "check"], capture_output=True, check=False).returncode == 0
    count = "i=0; while true; do i=$((i+1)); echo $i > /count; sleep 0.05; done"
    podlike("run", "-d", "--name", name, "--network", "none", image, "sh", "-c", count)
    wait_for(lambda: podlike("exec", name, "cat", "/count", check=False).stdout.strip() not in ("", "1"), "the counter")
    done = podlike("container", "checkpoint", name, check=False)
    if not works:
        why = "CRIU" if program else "requires CRIU: the program criu is not installed"
        assert done.code in (125, 126) and why in done.stderr and podlike("exec", name, "true").code == 0
        lost = podlike("container", "restore", name, check=False)
        assert lost.code == 125 and ("cannot restore" in lost.stderr or "requires CRIU" in lost.stderr)
        return
    assert (done.code, done.line) == (0, name), done.stderr
    assert podlike("inspect", "-f", "{{.State.Status}}", name).line == "exited"
    podlike("cp", f"{name}:/count", f"{podlike.dir}/count")
    with open(f"{podlike.dir}/count") as f:
        before = int(f.read())
    assert podlike("container", "restore", name).line == name
    wait_for(lambda: int(podlike("exec", name, "cat", "/count").line or 0) > before + 2, "the counter to go on")
    lost = podlike("container", "restore", name, check=False)
    assert lost.code == 125 and "is running or paused, cannot restore" in lost.stderr


def test_a_pod(podlike: Engine, image: str) -> None:
    podlike("pod", "create", "--name", "p", "--share", "+pid")
    podlike("run", "-d", "--pod", "p", "--name", "one", image, "sleep", "300")
    assert podlike("exec", "one", "sh", "-c", "hostname; cat /proc/1/cmdline").stdout == "p\n/pause\0"
    assert podlike("pod", "inspect", "-f", "{{.State}} {{.NumContainers}}", "p").line == "Running 2"
    assert podlike("pod", "clone", "--start", "p").code == 0
    podlike("pod", "rm", "-f", "-t", "0", "p", "p-clone")
    assert podlike("ps", "-aq").stdout == ""


def test_mounts_of_the_system_stay(podlike: Engine, image: str) -> None:
    """Where mounts are shared, as systemd has it, nothing that ends takes others' mounts along."""
    look = "grep -c ' /sys/fs/cgroup' /proc/self/mountinfo"
    script = f"mount --make-rshared /; {look}; {podlike.bin} run --rm {image} true; {look}"
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], env=podlike.env, check=True,
                          capture_output=True, text=True)
    before, after = done.stdout.split()
    assert before == after != "0", done.stderr
