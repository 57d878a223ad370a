"""A verb in a process of its own, seen from the program that uses the library.

One process a verb: it is a fresh interpreter (posix_spawn, never fork: the program may have threads), joins the
session, does its work and ends, as the command line does. After the first verb one is started ahead and kept waiting,
so that the next verb does not wait for the interpreter.

Over a socketpair go pickles, each behind its length: the request with the descriptors for standard input, output and
error; back come what `progress` is told, log messages, and in the end the result or the error.
"""

import os
import pickle
import selectors
import signal
import socket
import struct
import sys
import threading
import time
import weakref

from podlike import log
from podlike.errors import PodlikeError, RuntimeFailure, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any, Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

_LENGTH: "Final" = struct.Struct("!Q")
_CHUNK: "Final" = 1 << 16
_TERM_SECONDS: "Final" = 10.0  # that an interrupted verb has for undoing what it began
_PROGRAM: "Final" = "import sys; sys.path.insert(0, sys.argv[1]); from podlike.library.worker import main; main(3)"


class Streams(NamedTuple):
    """Of a verb with input and output. input: all of the input, None: none, or a file to read from.

    stdout, stderr: a file or descriptor to write to, None: collect.
    """

    input: "bytes | IO[Any] | int | None" = None
    stdout: "IO[Any] | int | None" = None
    stderr: "IO[Any] | int | None" = None


class _Child(NamedTuple):
    pid: int
    sock: socket.socket
    owner: int  # the process that started it


class Children:
    """The processes of one Engine's verbs. Any thread may call."""

    def __init__(self, settings: "dict[str, Any]") -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._spare: _Child | None = None
        _everyone.add(self)

    def call(self, group: str, verb: str, args: "tuple[Any, ...]", kwargs: "dict[str, Any]", *, progress: "Any" = None,
             tell: "Callable[[Any], None] | None" = None) -> "Any":
        """Run a verb and return its result. Raises: what it raises."""
        return self.attached(group, verb, args, kwargs, None, progress=progress, tell=tell)[0]

    def attached(self, group: str, verb: str, args: "tuple[Any, ...]", kwargs: "dict[str, Any]", streams: Streams | None, *,
                 progress: "Any" = None, tell: "Callable[[Any], None] | None" = None,
                 interrupted: "Callable[[], None] | None" = None) -> "tuple[Any, bytes, bytes]":
        """The same for a verb with input and output: (result, stdout, stderr).

        interrupted: called when this thread is (ctrl-c, an exception of progress), to make the verb end.
        """
        child = self._take()
        talk = _Talk(child, streams, progress, tell)
        try:
            request = {"settings": self._settings, "group": group, "verb": verb, "args": args, "kwargs": kwargs,
                       "env": dict(os.environ), "cwd": _cwd(), "progress": progress is not None, "tell": tell is not None}
            try:
                talk.send(pickle.dumps(request))
            except (TypeError, AttributeError, pickle.PicklingError) as e:
                raise UsageError(f"{group}.{verb}: an argument cannot be sent to another process: {e}") from None
            result = talk.run()
        except BaseException:
            if interrupted is not None:
                interrupted()
            _end(child)
            raise
        finally:
            talk.close()
        _reap(child.pid)
        self._keep_one_ready()
        if isinstance(result, BaseException):
            raise result
        return result, bytes(talk.collected["stdout"]), bytes(talk.collected["stderr"])

    def close(self) -> None:
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None and spare.owner == os.getpid():
            spare.sock.close()
            try:
                os.kill(spare.pid, signal.SIGKILL)  # it waits for a request, or is still on its way there
            except ProcessLookupError:
                pass
            _reap(spare.pid)

    def _take(self) -> _Child:
        with self._lock:
            spare, self._spare = self._spare, None
        return spare if spare is not None and spare.owner == os.getpid() else _spawn()

    def _keep_one_ready(self) -> None:
        with self._lock:
            if self._spare is None:
                self._spare = _spawn()

    def __del__(self) -> None:
        if self._spare is not None and self._spare.owner == os.getpid():
            self._spare.sock.close()

    def after_fork(self) -> None:
        """In the child of a fork: the waiting process is the parent's."""
        self._lock = threading.Lock()
        if self._spare is not None:
            self._spare.sock.close()
            self._spare = None


_everyone: "weakref.WeakSet[Children]" = weakref.WeakSet()


def _forked() -> None:
    for children in list(_everyone):
        children.after_fork()


os.register_at_fork(after_in_child=_forked)


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "/"


def _spawn() -> _Child:
    """Raises: RuntimeFailure."""
    ours, theirs = socket.socketpair()
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        pid = os.posix_spawn(
            _python(), [_python(), "-P", "-c", _PROGRAM, home], os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3), (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                          (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)],
            # Its own process group and session: ctrl-c is for the program, which decides what becomes of the verb.
            setsid=True, setsigmask=(), setsigdef=(signal.SIGINT, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD))
    except OSError as e:
        ours.close()
        raise RuntimeFailure(f"start {_python()}: {e.strerror}", hint="Set sys.executable to a Python interpreter.") from e
    finally:
        theirs.close()
    return _Child(pid, ours, os.getpid())


def _python() -> str:
    """The interpreter; in a program that embeds one, sys.executable may be that program."""
    if os.path.basename(sys.executable or "").startswith("python"):
        return sys.executable
    return os.path.join(sys.prefix, "bin", "python3")


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # the program's own handler of SIGCHLD was faster


def _end(child: _Child) -> None:
    """A verb whose caller has gone: SIGTERM makes it undo what it began, SIGKILL comes if it does not end."""
    try:
        os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + _TERM_SECONDS
        while os.waitpid(child.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(child.pid, signal.SIGKILL)
                deadline += 3600
            time.sleep(0.005)
    except (ChildProcessError, ProcessLookupError):
        pass


class _Talk:
    """One request to one child."""

    def __init__(self, child: _Child, streams: Streams | None, progress: "Any",
                 tell: "Callable[[Any], None] | None") -> None:
        self._child = child
        self._progress = progress
        self._tell = tell
        self._input = b""
        self._opened: "list[int]" = []
        self._read: "dict[int, str]" = {}
        self._write = -1
        self.collected = {"stdout": bytearray(), "stderr": bytearray()}
        self._theirs = [] if streams is None else [self._input_end(streams.input), self._output_end("stdout", streams.stdout),
                                                   self._output_end("stderr", streams.stderr)]
        self._buffer = bytearray()
        self._result: "list[Any]" = []

    def _input_end(self, source: "Any") -> int:
        if source is not None and not isinstance(source, (bytes, bytearray)):
            return source if isinstance(source, int) else int(source.fileno())
        self._input = bytes(source or b"")
        read, self._write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._write, False)
        self._opened += [read, self._write]
        return read

    def _output_end(self, name: str, target: "Any") -> int:
        if target is not None:
            return target if isinstance(target, int) else int(target.fileno())
        read, write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read, False)
        self._opened += [read, write]
        self._read[read] = name
        return write

    def send(self, data: bytes) -> None:
        head = _LENGTH.pack(len(data))
        try:
            if self._theirs:
                socket.send_fds(self._child.sock, [head], self._theirs)
            else:
                self._child.sock.sendall(head)
            self._child.sock.sendall(data)
        except OSError as e:
            raise RuntimeFailure(f"reach the process of a verb: {e.strerror}", hint="Try again.") from e
        for fd in self._theirs:
            if fd in self._opened:  # the child has its copy
                self._opened.remove(fd)
                os.close(fd)

    def run(self) -> "Any":
        """Move bytes until the result is there; the result, or the exception that the verb ended with."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.sock, selectors.EVENT_READ, self._messages)
            for fd in self._read:
                selector.register(fd, selectors.EVENT_READ, self._output)
            if self._write >= 0:
                selector.register(self._write, selectors.EVENT_WRITE, self._more_input)
            while not self._result:
                for key, _ in selector.select():
                    if not key.data(key.fd):
                        selector.unregister(key.fileobj)
        for fd in self._read:  # all that the command wrote is in the pipe by now
            while self._output(fd):
                pass
        return self._result[0]

    def _messages(self, fd: int) -> bool:
        data = self._child.sock.recv(_CHUNK)
        if not data:
            self._result.append(PodlikeError("run a verb: its process died",
                                             hint="Look for what kills processes of this user (ulimit, OOM killer)."))
            return False
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                break
            kind, value = pickle.loads(self._buffer[_LENGTH.size:end])
            del self._buffer[:end]
            self._take(kind, value)
        return True

    def _take(self, kind: str, value: "Any") -> None:
        if kind in ("result", "error"):
            self._result.append(value)
        elif kind == "log":
            getattr(log, value[0])(value[1])
        elif kind == "progress":
            getattr(self._progress, value[0])(*value[1])
        elif self._tell is not None:
            self._tell(value)

    def _output(self, fd: int) -> bool:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return not self._result  # nothing more for now
        self.collected[self._read[fd]] += data
        return bool(data)

    def _more_input(self, fd: int) -> bool:
        try:
            written = os.write(fd, self._input[:_CHUNK]) if self._input else 0
        except BlockingIOError:
            return True
        except BrokenPipeError:
            self._input = b""  # it reads no more
        else:
            self._input = self._input[written:]
        if self._input:
            return True
        self._opened.remove(fd)
        os.close(fd)
        self._write = -1
        return False

    def close(self) -> None:
        for fd in self._opened:
            os.close(fd)
        self._opened.clear()
        self._child.sock.close()
