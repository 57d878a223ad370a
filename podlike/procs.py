"""Processes by pid and start time, so that a reused pid is never taken for the old process."""

import os
import select
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# The interpreter ignores these; a program we start must get the kernel's default back, or it would pass the
# ignorance on to the container.
PYTHON_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)

# Field numbers of /proc/PID/stat (proc_pid_stat(5)) counted after the command name, which may hold blanks.
_STATE, _START_TIME = 0, 19


def start_time(pid: int) -> int:
    """Clock ticks since boot when the process started; 0 when there is none, or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as f:
            fields = f.read(1024).rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[_STATE] in (b"Z", b"X") else int(fields[_START_TIME])


def state_of(pid: int) -> str:
    """One letter as in ps(1): R, S, D, T ...; "Z" when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as f:
            return f.read(1024).rpartition(b")")[2].split()[_STATE].decode()
    except OSError:
        return "Z"


def alive(pid: int, started: int) -> bool:
    """Whether exactly this process still runs."""
    return pid > 0 and started > 0 and start_time(pid) == started


def open_pidfd(pid: int, started: int) -> int | None:
    """A pidfd of exactly this process, owned by the caller, or None when it is gone."""
    if pid <= 0:
        return None
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return None
    if started and start_time(pid) != started:
        os.close(fd)
        return None
    return fd


def send_signal(pid: int, started: int, signum: int) -> bool:
    """Signal exactly this process. False: it is gone."""
    fd = open_pidfd(pid, started)
    if fd is None:
        return False
    try:
        signal.pidfd_send_signal(fd, signum)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def sender(pid: int, started: int) -> "Callable[[int], None]":
    """A function that passes a signal on to exactly this process."""

    def send(signum: int) -> None:
        send_signal(pid, started, signum)

    return send


def wait_gone(pid: int, started: int, timeout: float | None) -> bool:
    """Wait until the process has ended (also a zombie counts). False: still there after timeout seconds."""
    fd = open_pidfd(pid, started)
    if fd is None:
        return True
    try:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        return bool(poller.poll(None if timeout is None else max(0, int(timeout * 1000))))
    finally:
        os.close(fd)


def command_name(pid: int) -> str:
    """Base name of the program it runs, by argv[0]; empty when it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as f:
            return os.path.basename(f.read(4096).partition(b"\0")[0]).decode(errors="replace")
    except OSError:
        return ""
