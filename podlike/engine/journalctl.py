"""Reading the systemd journal through journalctl: its entries as they come.

Source: journalctl(1), systemd.journal-fields(7).
"""

import json
import os
import select
import signal

from podlike import procs
from podlike.errors import NotFoundError, PodlikeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final

SOCKET: "Final" = "/run/systemd/journal/socket"
_CHUNK: "Final" = 1 << 16


class Journalctl:
    """A running journalctl. Iterating reads to its end."""

    def __init__(self, what: str, args: "Sequence[str]") -> None:
        """what: what is read, for errors. args: beyond the common ones. Raises: NotFoundError without journalctl."""
        self._what = what
        self._rest = b""
        self._fd, self._pid = _spawn(["journalctl", "--output=json", "--all", "--quiet", "--no-pager", *args])

    def __iter__(self) -> "Iterator[dict[str, Any]]":
        while (entries := self._read()) is not None:
            yield from entries

    def ready(self, milliseconds: int) -> "list[dict[str, Any]] | None":
        """What has come, after a wait for it (-1: as long as it takes); None when journalctl has ended."""
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        return self._read() if poller.poll(milliseconds) else []

    def ended(self) -> PodlikeError:
        """What to raise when it has ended though it was to follow."""
        return PodlikeError(f"read {self._what}: journalctl has ended", hint="See what `journalctl --follow` says.")

    def stop(self) -> None:
        """Before its end; it may be called after it too."""
        if self._pid:
            os.kill(self._pid, signal.SIGTERM)
            self._reap()

    def _read(self) -> "list[dict[str, Any]] | None":
        if not self._pid:
            return None
        data = os.read(self._fd, _CHUNK)
        if not data:
            code = self._reap()
            if code:
                raise PodlikeError(f"read {self._what}: journalctl ended with {code}",
                                   hint="See what `journalctl -n1` says: you may need to be in the group systemd-journal.")
            return None
        *records, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(record) for record in records if record]

    def _reap(self) -> int:
        os.close(self._fd)
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return os.waitstatus_to_exitcode(status)


def _spawn(argv: list[str]) -> tuple[int, int]:
    """(its stdout, its pid). The fd is the caller's."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.posix_spawnp(argv[0], argv, os.environ, setsigdef=procs.PYTHON_SIGNALS,
                              file_actions=[(os.POSIX_SPAWN_DUP2, theirs, 1)])
    except OSError as e:
        os.close(ours)
        raise NotFoundError(f"read the systemd journal: {argv[0]}: {e.strerror}",
                            hint="Install journalctl; it comes with systemd.") from e
    finally:
        os.close(theirs)
    return ours, pid
