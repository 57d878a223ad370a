"""Drive a program on a terminal of its own."""

import fcntl
import os
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self


class Terminal:
    """A program whose standard streams are one pseudo-terminal, which is its controlling terminal.

    with Terminal([...], rows=24, cols=80) as t:
        t.expect("# "); t.send("exit 3\\n"); assert t.wait() == 3

    Owns the master's fd and the process; leaving the block kills and reaps it.
    """

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, rows: int = 24, cols: int = 80
    ) -> None:
        self.output = b""  # everything read so far
        self._seen = 0  # up to where expect() has consumed it
        self._code: int | None = None
        self.master, slave = os.openpty()
        self.resize(rows, cols)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.master)
                os.login_tty(slave)
                os.execvpe(argv[0], list(argv), dict(os.environ if env is None else env))
            finally:
                os._exit(127)
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)

    def send(self, text: str | bytes) -> None:
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def resize(self, rows: int, cols: int) -> None:
        """Change the window; the kernel sends SIGWINCH to the foreground group."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def is_raw(self) -> bool:
        """Whether echo and line editing are switched off, as a client that relays keys does."""
        local = termios.tcgetattr(self.master)[3]
        return not local & (termios.ECHO | termios.ICANON)

    def expect(self, text: str | bytes, timeout: float = 20) -> bytes:
        """Read until text appears after what was consumed so far; return all up to its end."""
        want = text.encode() if isinstance(text, str) else text
        deadline = time.monotonic() + timeout
        while True:
            at = self.output.find(want, self._seen)
            if at >= 0:
                found = self.output[self._seen : at + len(want)]
                self._seen = at + len(want)
                return found
            if not self._read(deadline - time.monotonic()):
                tail = self.output[self._seen :][-2000:]
                raise AssertionError(f"{want!r} did not appear on the terminal; there was {tail!r}")

    def wait(self, timeout: float = 20) -> int:
        """Exit code (128+n after signal n); output that arrives meanwhile is kept."""
        deadline = time.monotonic() + timeout
        while self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
                break
            if time.monotonic() > deadline:
                raise AssertionError(f"the program did not end; its terminal showed {self.output[-2000:]!r}")
            if not self._read(0.02):
                time.sleep(0.01)  # a closed terminal is always "readable"
        while self._read(0.05):
            pass
        return self._code if self._code >= 0 else 128 - self._code

    def _read(self, timeout: float) -> bool:
        """False: nothing came in time, or the other side is closed."""
        if timeout <= 0 or not select.select([self.master], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: nobody has the slave open any more
            return False
        self.output += data
        return bool(data)
