"""The process of one verb, from inside: wait for the request, do it, send what came of it, end."""

import os
import pickle
import signal
import socket
import struct
import sys
import threading

from podlike import log
from podlike.errors import PodlikeError
from podlike.library.engine import Engine, core_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, NoReturn

_LENGTH = struct.Struct("!Q")


def main(fd: int) -> "NoReturn":
    """fd: our end of the socket to the program that wants something done."""
    sock = socket.socket(fileno=fd)
    sock.set_inheritable(False)
    _load_ahead()
    request = _receive(sock)
    if request is not None:
        _Wire(sock).serve(request)
    os._exit(0)


def _load_ahead() -> None:
    """What most verbs need, while nobody waits for it."""
    from podlike.engine import create, exec, inspect, psrows, remove, start, stop, wait  # noqa: A004, F401
    from podlike.library import images  # noqa: F401


def _receive(sock: socket.socket) -> "dict[str, Any] | None":
    """The request, with its descriptors in place as 0, 1 and 2. None: the program has ended."""
    head, fds, _, _ = socket.recv_fds(sock, _LENGTH.size, 3)
    if len(head) < _LENGTH.size:
        return None
    left, parts = _LENGTH.unpack(head)[0], []
    while left:
        data = sock.recv(min(left, 1 << 20))
        if not data:
            return None
        parts.append(data)
        left -= len(data)
    for n, fd in enumerate(fds):
        os.dup2(fd, n)
        os.close(fd)
    request: "dict[str, Any]" = pickle.loads(b"".join(parts))
    return request


class _Wire:
    """Messages to the program. Progress comes from several threads."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()

    def send(self, kind: str, value: "Any") -> None:
        data = pickle.dumps((kind, value))
        with self._lock:
            try:
                self._sock.sendall(_LENGTH.pack(len(data)) + data)
            except OSError:
                raise SystemExit(141) from None  # the program has gone: nobody waits for this any more

    def serve(self, request: "dict[str, Any]") -> None:
        signal.signal(signal.SIGTERM, _unwind)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.environ.clear()
        os.environ.update(request["env"])
        try:
            os.chdir(request["cwd"])
        except OSError:
            os.chdir("/")
        log.set_sink(lambda level, text: self.send("log", (level, text)))
        try:
            result = self._do(request)
        except PodlikeError as e:
            self._answer("error", e)
        except SystemExit:
            self._answer("error", PodlikeError("run a verb: it was interrupted"))
        except BaseException as e:
            self._answer("error", _plain(e))
        else:
            self._answer("result", result)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                pass

    def _do(self, request: "dict[str, Any]") -> "Any":
        from podlike.engine.core import Engine as Core

        engine = Engine.around(Core(**core_settings(request["settings"])))
        kwargs = request["kwargs"]
        if request["progress"]:
            kwargs["progress"] = _progress(self)
        if request["tell"]:
            kwargs["tell"] = lambda value: self.send("tell", value)
        verb = getattr(getattr(engine, request["group"]), request["verb"])
        return verb(*request["args"], **kwargs)

    def _answer(self, kind: str, value: "Any") -> None:
        try:
            self.send(kind, value)
        except SystemExit:
            pass
        except Exception as e:  # it cannot be pickled
            self.send("error", PodlikeError(f"send a result: {e}"))


def _unwind(number: int, frame: "FrameType | None") -> "NoReturn":
    raise SystemExit(128 + number)


def _plain(error: BaseException) -> PodlikeError:
    """An error that nobody foresaw, with the trace as its cause."""
    import traceback

    if isinstance(error, OSError) and error.strerror:
        where = f" {error.filename}" if error.filename else ""
        return PodlikeError(f"run a verb:{where} {error.strerror}")
    return PodlikeError(f"internal error: {type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}")


def _progress(wire: _Wire) -> "Any":
    from podlike.engine.fetch import Progress

    def method(name: str) -> "Any":
        return lambda self, *args: wire.send("progress", (name, args))

    names = [n for n in vars(Progress) if not n.startswith("_")]
    return type("Sent", (Progress,), {name: method(name) for name in names})()
