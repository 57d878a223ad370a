"""Starting podlike-conmon (or conmon) and talking to it.

Source: conmon(8) and what podman hands over: sync, start and attach pipes as inherited descriptors.
"""

import fcntl
import json
import os
import socket

from podlike import procs
from podlike.errors import RuntimeFailure
from podlike.runtime.oci import OciRuntime, failure_from_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

_HIGH: "Final" = 200  # our ends live here while posix_spawn puts copies at their final numbers
_SYNC_LIMIT: "Final" = 65536  # bytes of one message; conmon sends at most 8 KiB of words


class MonitorRequest:
    """What one monitor is to do. Paths are absolute; args are conmon options beyond the common ones."""

    __slots__ = ("args", "cid", "conmon", "cwd", "env", "exec_session", "exit_command", "inherit", "owned",
                 "passthrough", "preserved", "runtime", "uid")

    def __init__(self, *, conmon: str, runtime: OciRuntime, cid: str, args: "Sequence[str]", cwd: str,
                 exit_command: "Sequence[str]" = (), inherit: "Sequence[int]" = (), preserved: "Sequence[int]" = (),
                 owned: bool = False, exec_session: bool = False, uid: str = "", passthrough: bool = False,
                 env: "Mapping[str, str] | None" = None) -> None:
        self.conmon = conmon
        self.runtime = runtime
        self.cid = cid
        self.uid = uid or cid
        self.args = args
        self.cwd = cwd
        self.exit_command = exit_command
        self.inherit = inherit  # fds that the monitor shall hold until it ends
        self.preserved = sorted(set(preserved))  # fds from 3 on that go on to the container under the same number
        self.owned = owned  # hand over an owner pipe
        self.exec_session = exec_session
        self.env = env or {}  # on top of ours
        self.passthrough = passthrough


class Monitor:
    """A monitor that was started. The fds are ours until close()."""

    __slots__ = ("_attach", "_buffer", "_owner", "_request", "_start", "_sync", "pid")

    def __init__(self, request: MonitorRequest, *, sync: int, start: int, attach: int, owner: "socket.socket | None",
                 pid: int) -> None:
        self._request = request
        self._sync = sync
        self._start = start
        self._attach = attach
        self._owner = owner
        self._buffer = b""
        self.pid = pid

    def proceed(self) -> None:
        """Send the one byte that the monitor waits for."""
        os.write(self._start, b"\0")

    def wait_created(self) -> int:
        """Wait until the runtime has made the container (or exec process); return its pid as we see it.

        Raises: CommandNotFoundError, CannotExecuteError, RuntimeFailure.
        """
        doc = self._message(self._sync)
        if doc is None:
            raise RuntimeFailure(f"create container {self._request.cid[:12]}: the monitor died without a word",
                                 hint="Run again with --log-level=debug; check free memory and process limits.")
        pid = int(doc.get("data", -1))
        if pid < 0:
            raise failure_from_words(str(doc.get("message") or "create failed without a word").strip(),
                                     runtime=self._request.runtime.name)
        return pid

    def wait_attach_ready(self) -> None:
        """Exec sessions only: wait until the attach socket exists."""
        self._message(self._attach)

    def wait_exec_exit(self) -> int:
        """Exec sessions only: wait for the exit code."""
        doc = self._message(self._sync)
        return int(doc.get("data", -1)) if doc else -1

    def wait_exit(self) -> int | None:
        """Owned monitors only: wait for the exit code. None: the monitor died or knows no owner pipe."""
        if self._owner is None:
            return None
        text = b""
        while not text.endswith(b"\n"):
            try:
                chunk = self._owner.recv(64)
            except OSError:
                return None
            if not chunk:
                return None
            text += chunk
        return int(text)

    def cleaned_up(self) -> None:
        """Owned monitors only: tell that the exit command is not needed."""
        if self._owner is not None:
            try:
                self._owner.send(b"k", socket.MSG_NOSIGNAL)
            except OSError:
                pass

    def close(self) -> None:
        for name in ("_sync", "_start", "_attach"):
            fd = getattr(self, name)
            if fd >= 0:
                os.close(fd)
                setattr(self, name, -1)
        if self._owner is not None:
            self._owner.close()
            self._owner = None

    def _message(self, fd: int) -> "dict[str, Any] | None":
        while b"\n" not in self._buffer:
            chunk = os.read(fd, _SYNC_LIMIT)
            if not chunk or len(self._buffer) > _SYNC_LIMIT:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        doc = json.loads(line)
        return doc if isinstance(doc, dict) else None


class _Inheritance:
    """Descriptors for the child, placed from `first` on; environment variables tell it the numbers."""

    def __init__(self, first: int) -> None:
        self.next = first
        self.actions: "list[tuple[int, ...]]" = []
        # Sockets go on by number (preserve_fds): a runtime that counted them once more would pass on our pipes, too.
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("LISTEN_")}
        self._sources: list[int] = []

    def add(self, fd: int, variable: str = "") -> None:
        """Give the child fd under the next number. fd stays the caller's."""
        # A source below the targets could be overwritten before its turn.
        source = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
        self._sources.append(source)
        self.actions.append((os.POSIX_SPAWN_DUP2, source, self.next))
        if variable:
            self.env[variable] = str(self.next)
        self.next += 1

    def leave_free_until(self, fd: int) -> None:
        """The numbers before fd are closed in the child: what the caller has there is nobody's business."""
        self.actions += [(os.POSIX_SPAWN_CLOSE, n) for n in range(self.next, fd)]
        self.next = max(self.next, fd)

    def close(self) -> None:
        for fd in self._sources:
            os.close(fd)


def launch(request: MonitorRequest, *, pidfile: str) -> Monitor:
    """Start the monitor; it waits for proceed(). pidfile: where the monitor writes its own pid."""
    given = _Inheritance(3)
    given.env.update(request.env)
    for fd in request.preserved:
        given.leave_free_until(fd)
        given.add(fd)
    sync, their_sync = os.pipe2(os.O_CLOEXEC)
    their_start, start = os.pipe2(os.O_CLOEXEC)
    close_after = [their_sync, their_start]
    given.add(their_sync, "_OCI_SYNCPIPE")
    given.add(their_start, "_OCI_STARTPIPE")
    attach, owner = -1, None
    if request.exec_session:
        attach, their_attach = os.pipe2(os.O_CLOEXEC)
        close_after.append(their_attach)
        given.add(their_attach, "_OCI_ATTACHPIPE")
    if request.owned:
        owner, their_owner = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        close_after.append(their_owner.fileno())
        given.add(their_owner.fileno(), "_PODLIKE_OWNERPIPE")
        their_owner.detach()
    for fd in request.inherit:
        given.add(fd)
    argv = _command_line(request, pidfile)
    try:
        first = _spawn(argv, given, request)
    except OSError as e:
        raise RuntimeFailure(f"start monitor {argv[0]}: {e.strerror}",
                             hint="Reinstall podlike, or set conmon_path in containers.conf.") from e
    finally:
        given.close()
        for fd in close_after:
            os.close(fd)
    monitor = Monitor(request, sync=sync, start=start, attach=attach, owner=owner, pid=0)
    monitor.proceed()
    _, status = os.waitpid(first, 0)
    if status != 0:
        monitor.close()
        raise RuntimeFailure(f"start monitor for {request.cid[:12]}: it refused its options or its log "
                             f"(exit code {os.waitstatus_to_exitcode(status)})",
                             hint="Read the line above; check that the log's directory exists and has space.")
    with open(pidfile) as f:
        monitor.pid = int(f.read())
    return monitor


def _spawn(argv: list[str], given: _Inheritance, request: MonitorRequest) -> int:
    actions = list(given.actions)
    if not request.passthrough:
        actions += [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),  # type: ignore[list-item]
                    (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]  # type: ignore[list-item]
    cwd = os.open(".", os.O_PATH | os.O_CLOEXEC)
    os.chdir(request.cwd)  # posix_spawn cannot change directory
    try:
        return os.posix_spawn(argv[0], argv, given.env, file_actions=actions, setsigdef=procs.PYTHON_SIGNALS)
    finally:
        os.fchdir(cwd)
        os.close(cwd)


def _command_line(request: MonitorRequest, pidfile: str) -> list[str]:
    argv = [request.conmon, "--api-version", "1", "-c", request.cid, "-u", request.uid, "-r", request.runtime.path,
            "-P", pidfile]
    argv += request.args
    for word in request.runtime.args:
        argv.append(f"--runtime-arg={word}")
    if request.preserved:  # the runtime keeps all up to a number; those between that are not wanted are closed by now
        argv += ["--runtime-opt=--preserve-fds", f"--runtime-opt={request.preserved[-1] - 2}"]
    if request.exit_command:
        argv += ["--exit-command", request.exit_command[0]]
        for word in request.exit_command[1:]:
            argv += ["--exit-command-arg", word]
    return argv
