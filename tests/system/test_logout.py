"""Logging out where that ends all processes of a session (KillUserProcesses=yes) leaves containers of a lingering user alone.

As root, who logs the ordinary user in.
"""

import json
import os
import pwd
import shlex
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.support import oci
from tests.support.engine import wait_for
from tests.support.need import need

USER = "tester"
IMAGE = "localhost/logout:latest"
LOGIND = "/etc/systemd/logind.conf.d/podlike-test.conf"
PATIENCE = float(os.environ.get("PODLIKE_TEST_SECONDS", "60"))


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout.strip()


class Account:
    """An ordinary user, who logs in anew for each command."""

    def __init__(self, home: str) -> None:
        self.home = home

    def __call__(self, *argv: str) -> str:
        podlike = [os.environ["PODLIKE_BIN"], "--root", f"{self.home}/data", *argv]
        return run("su", "-l", USER, "-c", f"PYTHONDONTWRITEBYTECODE=1 exec {shlex.join(podlike)}")


@pytest.fixture
def account() -> Iterator[Account]:
    need(os.geteuid() == 0 and os.path.isdir("/run/systemd/system"), "only root can log somebody in", optional=True)
    need(any(entry.pw_name == USER for entry in pwd.getpwall()), f"no user {USER}: contrib/vm/system runs this", optional=True)
    need(run("loginctl", "show-user", USER, "-P", "Linger") == "yes", f"{USER} does not linger", optional=True)
    os.makedirs(os.path.dirname(LOGIND), exist_ok=True)
    with open(LOGIND, "w") as f:
        f.write("[Login]\nKillUserProcesses=yes\n")
    run("systemctl", "restart", "systemd-logind")
    account = Account(run("su", USER, "-c", "mktemp -d /var/tmp/plo.XXXXXX"))
    archive = f"{account.home}/image.tar"
    oci.write_oci_archive(archive, {IMAGE: oci.busybox_image()})
    os.chmod(archive, 0o644)
    yield account
    account("rm", "--all", "--force", "--time", "0")
    os.unlink(LOGIND)
    run("systemctl", "restart", "systemd-logind")
    run("rm", "-rf", account.home)


def await_logout() -> None:
    wait_for(lambda: run("loginctl", "show-user", USER, "-P", "Sessions") == "", "the end of all sessions", PATIENCE)


def test_containers_outlive_the_session(account: Account) -> None:
    account("load", "-i", f"{account.home}/image.tar")
    # What stays behind in a session is ended: else this test shows nothing.
    pid = int(run("su", "-l", USER, "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"))
    await_logout()
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the end of a process that was left in the session", PATIENCE)
    account("run", "-d", "--name", "c", IMAGE, "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.2; done")
    await_logout()
    time.sleep(1)  # that a killed process would be gone
    state = json.loads(account("inspect", "c"))[0]["State"]
    assert state["Status"] == "running"
    for what in ("Pid", "ConmonPid"):
        assert os.path.exists(f"/proc/{state[what]}"), what
    assert "tap0" in run("nsenter", "-t", str(state["Pid"]), "-n", "cat", "/proc/net/dev")
    assert subprocess.run(["pgrep", "-u", USER, "slirp4netns"], capture_output=True, check=False).returncode == 0
    account("stop", "-t", "30", "c")
    assert json.loads(account("inspect", "c"))[0]["State"]["ExitCode"] == 5
