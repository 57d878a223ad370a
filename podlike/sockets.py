"""Sockets that systemd, or whoever speaks its protocol, hands to a program when it starts it. Source: sd_listen_fds(3)."""

import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

FIRST: "Final" = 3  # SD_LISTEN_FDS_START
_MOST: "Final" = 1000
NAMES: "Final" = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")

# How many this process was given, its descriptors from FIRST on.
given = 0


def take() -> None:
    """Note what there is, before a descriptor of ours could be taken for a socket; what we start gets none of them.

    Variables that a program further up was given and has left behind go: without the sockets they mean nothing.
    """
    global given
    text = os.environ.get("LISTEN_FDS", "")
    number = int(text) if text.isascii() and text.isdigit() else 0
    try:
        for fd in range(FIRST, FIRST + min(number, _MOST)):
            fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError:
        number = 0
    if not 0 < number <= _MOST:
        for name in NAMES:
            os.environ.pop(name, None)
        return
    for fd in range(FIRST, FIRST + number):
        fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    given = number


def variables() -> dict[str, str]:
    """LISTEN_FDS and LISTEN_FDNAMES for whoever gets them next."""
    return {name: os.environ[name] for name in ("LISTEN_FDS", "LISTEN_FDNAMES") if given and name in os.environ}
