"""Requests to the monitor of a tended container: BUNDLE/control.

Source: docs/ARCHITECTURE.md, "Tended containers".
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_ANSWER_LIMIT: "Final" = 4096
_CONNECT_SECONDS: "Final" = 10.0


def ask(bundle: str, request: str, *, timeout: float | None = None) -> str | None:
    """Send one request, wait for its answer: "ok ...", "error WORDS", "timeout".

    None: there is no such monitor (any more), it ended without an answer, or it said nothing for timeout seconds.
    """
    import socket  # 1 ms, which those who only might ask do not pay

    try:
        fd = os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(_CONNECT_SECONDS)  # a monitor that is stopped takes only so many
            sock.connect(f"/proc/self/fd/{fd}/control")
            sock.send(request.encode())
            sock.settimeout(timeout)
            return sock.recv(_ANSWER_LIMIT).decode(errors="replace") or None
    except OSError:
        return None
    finally:
        os.close(fd)
