"""An ssh server of the test's own: loopback, a high port, the calling user, one key."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.registry import free_port


class Sshd(NamedTuple):
    """address: USER@127.0.0.1:PORT. config: for `ssh -F`, with the key and the server's own in it."""

    address: str
    config: str


@contextmanager
def sshd(directory: Path, *, env: dict[str, str]) -> Iterator[Sshd]:
    """env: of every session."""
    program = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not program:
        raise FileNotFoundError("sshd is not installed (apt-get install openssh-server)")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
    shutil.copy(directory / "user.pub", directory / "authorized")
    port = free_port()
    variables = " ".join(f'"{key}={value}"' for key, value in env.items())
    (directory / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nAuthorizedKeysFile {directory}/authorized\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nSetEnv {variables}\n")
    (directory / "ssh_config").write_text(
        f"Host *\n  IdentityFile {directory}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {directory}/known\n"
        "  StrictHostKeyChecking accept-new\n  BatchMode yes\n")
    server = subprocess.Popen([program, "-D", "-e", "-f", str(directory / "sshd_config")], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, server)
        yield Sshd(f"{getpass.getuser()}@127.0.0.1:{port}", str(directory / "ssh_config"))
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(100):
        if server.poll() is not None:
            raise RuntimeError(f"sshd ended with {server.returncode}")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("sshd does not listen")
