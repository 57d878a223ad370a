"""The relay between our stdio and a monitor's attach socket.

Source: conmon's attach protocol: SOCK_SEQPACKET; a packet from the monitor is one byte of stream (2 stdout,
3 stderr) and at most 8192 bytes; what we send is raw input; the end of the container is the end of the socket.
"""

import errno
import os
import select
import signal
import socket

from podlike.errors import RuntimeFailure
from podlike.spec.attach import Attach, parse_detach_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, Final

_PACKET: "Final" = 8193
_INPUT: "Final" = 8192  # bytes read at once from our stdin
_STDOUT_STREAM: "Final" = 2


def connect(bundle: str) -> socket.socket:
    """Connect to BUNDLE/attach, whatever the length of the path (unix(7) allows 107 bytes)."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    fd = os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sock.connect(f"/proc/self/fd/{fd}/attach")
    except OSError as e:
        sock.close()
        raise RuntimeFailure(f"attach to {bundle}: {e.strerror}",
                             hint="The monitor may have ended: see `podlike ps -a`.") from e
    finally:
        os.close(fd)
    return sock


def unconnected() -> socket.socket:
    """A socket at its end, for a container that has our own stdio: nothing is left to relay but signals."""
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours


def resize(bundle: str, fd: int) -> None:
    """Tell the monitor the size of the terminal fd."""
    import fcntl
    import struct
    import termios

    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
        ctl = os.open(f"{bundle}/ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(ctl, f"1 {rows} {columns}\n".encode())
    except OSError:
        pass  # the container is ending
    finally:
        os.close(ctl)


class Relay:
    """Copies until the container ends or the user detaches.

    on_signal: called with a signal number that the user sent us, when sig_proxy is on.
    """

    def __init__(self, sock: socket.socket, attach: Attach, *, bundle: str,
                 on_signal: "Callable[[int], None] | None") -> None:
        self._sock = sock
        self._attach = attach
        self._bundle = bundle
        self._on_signal = on_signal
        self._keys = parse_detach_keys(attach.detach_keys) if attach.tty else b""
        self._held = b""  # a beginning of the detach sequence that was typed so far
        self._pending = b""  # input that the socket has not taken yet
        self._stdin_open = attach.stdin
        self._saved_tty: "list[Any] | None" = None
        self._old_handlers: "dict[int, Any]" = {}

    def run(self) -> bool:
        """Relay to the end. True: the container's side closed; False: the user detached."""
        try:
            self.enter()
            return self._loop()
        finally:
            self.leave()

    def enter(self) -> None:
        """Raw terminal, first resize, signal handlers. Undone by leave()."""
        if self._old_handlers or self._saved_tty is not None:
            return
        if self._attach.tty and os.isatty(0):
            import termios
            import tty

            if self._attach.stdin:
                self._saved_tty = termios.tcgetattr(0)
                tty.setraw(0, termios.TCSANOW)
            resize(self._bundle, 0)
            self._handle(signal.SIGWINCH, lambda signum, frame: resize(self._bundle, 0))
        if self._attach.sig_proxy and self._on_signal is not None:
            for signum in _PROXIED:
                self._handle(signum, self._proxy)

    def leave(self) -> None:
        if self._saved_tty is not None:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._saved_tty)
            self._saved_tty = None
        for signum, old in self._old_handlers.items():
            signal.signal(signum, old)
        self._old_handlers.clear()

    def _handle(self, signum: int, handler: "Callable[[int, FrameType | None], Any]") -> None:
        self._old_handlers[signum] = signal.signal(signum, handler)

    def _proxy(self, signum: int, frame: "FrameType | None") -> None:
        if self._on_signal is not None:
            self._on_signal(signum)

    def _loop(self) -> bool:
        sock = self._sock
        sock.setblocking(False)
        poller = select.poll()
        while True:
            poller.register(sock, select.POLLIN | (select.POLLOUT if self._pending else 0))
            if self._stdin_open and not self._pending:
                poller.register(0, select.POLLIN)
            for fd, _ in poller.poll():
                if fd == 0:
                    poller.unregister(0)
                    if not self._read_stdin():
                        return False
                elif not self._read_socket():
                    return True
            if self._pending:
                self._flush()

    def _read_socket(self) -> bool:
        """Copy all packets that are there. False: end of the stream."""
        while True:
            try:
                packet = self._sock.recv(_PACKET)
            except BlockingIOError:
                return True
            except ConnectionError:
                return False
            if not packet:
                return False
            if packet[0] == _STDOUT_STREAM:
                if self._attach.stdout:
                    write_all(1, packet[1:])
            elif self._attach.stderr:
                write_all(2, packet[1:])

    def _read_stdin(self) -> bool:
        """False: the detach keys were typed."""
        try:
            data = os.read(0, _INPUT)
        except OSError:
            data = b""
        if not data:
            self._stdin_open = False
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            return True
        if self._keys:
            data, detached = self._filter_keys(data)
            if detached:
                return False
        self._pending = data
        return True

    def _filter_keys(self, data: bytes) -> tuple[bytes, bool]:
        """Take the detach sequence out of the input; keys that only begin it are held back, not lost."""
        out = bytearray()
        for i in range(len(data)):
            self._held += data[i : i + 1]
            if self._held == self._keys:
                return bytes(out), True
            while self._held and not self._keys.startswith(self._held):
                out += self._held[:1]
                self._held = self._held[1:]
        return bytes(out), False

    def _flush(self) -> None:
        try:
            sent = self._sock.send(self._pending, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return
        except OSError as e:
            if e.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                raise
            self._stdin_open = False
            sent = len(self._pending)
        self._pending = self._pending[sent:]


# What a user or a supervisor sends to a program; the rest stays with us (KILL and STOP cannot be caught, CHLD
# and WINCH are about us, PIPE is about our own output, TSTP TTIN TTOU are the shell's job control).
_PROXIED: "Final" = tuple(
    s for s in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
                signal.SIGALRM, signal.SIGCONT, signal.SIGTRAP, signal.SIGABRT, signal.SIGVTALRM, signal.SIGPROF,
                signal.SIGIO, signal.SIGPWR))


def write_all(fd: int, data: bytes) -> None:
    """Write everything, waiting on a non-blocking descriptor; a reader that has gone is no error here."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view):]
        except BlockingIOError:
            poller = select.poll()
            poller.register(fd, select.POLLOUT)
            poller.poll()
        except BrokenPipeError:
            return
