"""The user's systemd (root's: the system's), asked by systemctl(1): it speaks the D-Bus of its own release."""

import os

from podlike.errors import PodlikeError
from podlike.paths import find_program, real_uid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# What systemctl says of a job that did not end well, and the job's result by systemd's own name.
_RESULTS: "Final" = (("canceled", "canceled"), ("timed out", "timeout"), ("timeout was exceeded", "timeout"),
                     ("dependency job", "dependency"), ("skipped", "skipped"))


def restart(unit: str) -> None:
    """Restart a unit and wait until it is up. Raises: PodlikeError when it does not come up."""
    # A unit that failed too often to be started again would not be.
    _run("reset-failed", unit)
    code, words = _run("restart", unit)
    if code == 0:
        return
    result = next((result for text, result in _RESULTS if text in words), "failed")
    if "bus" in words and "connect" in words.lower():
        raise PodlikeError(f"unable to connect to systemd: {words}", hint="Log in through systemd (not su), or set "
                           f"XDG_RUNTIME_DIR=/run/user/{real_uid()}.")
    raise PodlikeError(f'error restarting systemd unit "{unit}" expected "done" but received "{result}"',
                       hint=f"`journalctl {'' if real_uid() == 0 else '--user '}-u {unit}` says why.")


def _run(*words: str) -> tuple[int, str]:
    """(exit code, what it said on standard error)."""
    import subprocess

    program = find_program("systemctl")
    if program is None or not os.path.isdir("/run/systemd/system"):
        raise PodlikeError("unable to connect to systemd: it does not run here",
                           hint="Units are restarted by systemd only; --dry-run tells what is to be updated.")
    argv = [program, *([] if real_uid() == 0 else ["--user"]), "--no-ask-password", *words]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          errors="replace", check=False)
    return done.returncode, " ".join(done.stderr.split())
