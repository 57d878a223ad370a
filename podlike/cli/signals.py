"""Signals that ask a command to end, for commands that have to clean up."""

import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn


class unwinding:
    """Within `with unwinding():` SIGTERM and SIGHUP end the command as ctrl-c does: every `finally` on the way runs."""

    def __enter__(self) -> None:
        self._old = [(s, signal.signal(s, _end)) for s in (signal.SIGTERM, signal.SIGHUP)
                     if signal.getsignal(s) == signal.SIG_DFL]

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._old:
            signal.signal(number, handler)


def _end(number: int, frame: "FrameType | None") -> "NoReturn":
    raise SystemExit(128 + number)
