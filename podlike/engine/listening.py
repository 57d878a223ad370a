"""Socket activation: the sockets that systemd, or whoever speaks its protocol, has opened for the container's program.

They are our descriptors from 3 on, LISTEN_FDS says how many, LISTEN_FDNAMES how they are called; the monitor keeps them
and hands them to every run of the container. Source: sd_listen_fds(3).
"""

import fcntl
import os

from podlike import log
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.spec.container import ContainerSpec

_FIRST = 3  # SD_LISTEN_FDS_START


def count(spec: "ContainerSpec") -> int:
    """How many sockets the container gets; 0 where the user hands over descriptors by --preserve-fds.

    Nobody but the monitor gets copies of them. Raises: UsageError.
    """
    text = os.environ.get("LISTEN_FDS", "")
    if not text:
        return 0
    if spec.preserve_fds:
        log.warning("Ignoring LISTEN_FDS to preserve custom user-specified FDs")
        return 0
    if not text.isascii() or not text.isdigit() or int(text) > 1000:
        raise UsageError(f"converting LISTEN_FDS={text}: it is not a number of sockets", hint="Unset LISTEN_FDS.")
    number = int(text)
    for fd in range(_FIRST, _FIRST + number):
        try:
            fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        except OSError:
            if os.environ.get("LISTEN_PID") != str(os.getpid()):
                return 0  # what a program further up was given, and has not passed on
            raise UsageError(f"pass {number} sockets on (LISTEN_FDS): file descriptor {fd} is not open",
                             hint="Let nothing between systemd and podlike close them, or unset LISTEN_FDS.") from None
    return number


def environment(spec: "ContainerSpec", *, ours: bool) -> dict[str, str]:
    """What the program finds. ours: the runtime is podlike-spawn."""
    if not os.environ.get("LISTEN_FDS") or not (spec.preserve_fds or count(spec)):
        return {}
    found = {name: os.environ[name] for name in ("LISTEN_FDS", "LISTEN_FDNAMES") if name in os.environ}
    # In a pid namespace of its own the program is the first process; podlike-init sees to it where that one is it. In
    # another's the pid is known to the runtime only: podlike-spawn puts it in place of 0.
    return {**found, "LISTEN_PID": "0" if ours and spec.pid_ns not in ("", "private") else "1"}
