"""Talking to the service manager that has started us, before there is a monitor that does. Source: sd_notify(3)."""

import os
import select
import socket

from podlike import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Self

_STEP: "Final" = 30  # seconds that are asked for at a time: podman's figure
_EVERY: "Final" = 25.0  # seconds: sooner, so that no gap is left
_STEPS: "Final" = 10
LIMIT_SECONDS: "Final" = _STEP * _STEPS


def send(path: str, text: str) -> bool:
    """One message to the manager's socket; False: it did not take it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
        try:
            s.sendto(text.encode(), "\0" + path[1:] if path.startswith("@") else path)
        except OSError as e:
            log.warning(f"tell the service manager at {path}: {e.strerror or e}")
            return False
    return True


class MoreTime:
    """While this is entered the manager waits longer for the start of the service, five minutes at most.

    A process of its own asks again and again: a thread would keep us from joining namespaces.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._end = -1
        self._pid = 0

    def __enter__(self) -> "Self":
        if not send(self._path, f"EXTEND_TIMEOUT_USEC={_STEP}000000"):
            return self
        read_fd, self._end = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._end)
            _ask_on(self._path, read_fd)
        os.close(read_fd)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._pid:
            os.close(self._end)
            os.waitpid(self._pid, 0)
            self._pid = 0


def _ask_on(path: str, until: int) -> None:
    """Ends with the process when the other end of the pipe is closed, also by the parent's death."""
    try:
        for _ in range(_STEPS - 1):
            if select.select([until], [], [], _EVERY)[0]:
                break
            send(path, f"EXTEND_TIMEOUT_USEC={_STEP}000000")
    finally:
        os._exit(0)
