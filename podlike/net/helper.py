"""Helper programs of the network (slirp4netns, pasta): find, probe, spawn, wait, kill.

On the start path: no subprocess, no tempfile, no signal handlers; a helper is one posix_spawn away.
"""

import fcntl
import os
import select

from podlike import procs
from podlike.errors import NetworkError
from podlike.paths import find_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

# A helper is ready in 10 to 30 ms; a machine that swaps needs longer, one that hangs must not hang us.
READY_TIMEOUT_S = 20.0

# SIGKILL takes effect when the kernel next schedules the helper.
KILL_TIMEOUT_S = 5.0

# Lines of a helper's log that an error quotes.
LOG_LINES = 4

# What we ignore, a helper must not inherit as ignored: Python ignores SIGPIPE, which pasta of 2023 takes for
# a failure ("Couldn't install signal handlers"), and slirp4netns waits for a child. HUP, INT, QUIT, PIPE,
# TERM, CHLD as numbers (signal(7)): the signal module would cost the start path 0.7 ms.
DEFAULT_SIGNALS = (1, 2, 3, 13, 15, 17)


def find(name: str, directories: "Iterable[str]" = ()) -> str | None:
    """Absolute path of a helper program, or None; directories are looked at before PATH."""
    for d in directories:
        path = f"{d}/{name}"
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return find_program(name)


def spawn(argv: "list[str]", *, log: str, fds: "Mapping[int, int]") -> int:
    """Start argv in a session of its own and return its pid.

    log: file that gets its standard output and error; standard input is /dev/null.
    fds: number in the helper -> our fd. It inherits nothing else: an fd that our caller's shell left open
    (a lock, the end of a pipe) would otherwise stay open as long as the container runs.
    Raises: NetworkError.
    """
    moved: list[int] = []
    actions: list[Any] = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        for target, fd in fds.items():
            # Out of the way of the targets first: dup2 in sequence could overwrite a source.
            moved.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64))
            actions.append((os.POSIX_SPAWN_DUP2, moved[-1], target))
        actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable() if fd not in fds]
        # setsid: Ctrl-C at our terminal, or its end, is not meant for the container's network.
        return os.posix_spawn(argv[0], argv, _environment(), file_actions=actions, setsid=True,
                              setsigmask=(), setsigdef=DEFAULT_SIGNALS)
    except OSError as e:
        raise NetworkError(f"start {argv[0]}: {e.strerror}",
                           hint=f"Reinstall {os.path.basename(argv[0])}, and check that {log} can be "
                                "written.") from e
    finally:
        for fd in moved:
            os.close(fd)


def _environment() -> "dict[str, str]":
    """Ours may hold secrets, and is of no use to a helper."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}


def _inheritable() -> list[int]:
    """Open fds above 2 that an exec would keep."""
    out = []
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            if fd > 2 and os.get_inheritable(fd):
                out.append(fd)
        except OSError:  # the fd of the listing itself
            pass
    return out


def record(pid: int, name: str) -> "dict[str, Any]":
    """What the container's state keeps of a helper; start_time 0 when it is gone already."""
    return {"pid": pid, "start_time": procs.start_time(pid), "name": name}


def kill(helper: "Mapping[str, Any]", *, wait: bool = True, group: bool = False) -> None:
    """Kill a helper if it is still the recorded process.

    wait: until it is gone, some 20 ms in which the kernel takes the tap device down. Only then are its
    ports free.
    group: also what it has forked. Only its parent may ask so: an unreaped child keeps its number.
    SIGKILL: helpers have nothing to save, and pasta is pid 1 of a pid namespace, where SIGTERM means nothing.
    Raises: NetworkError when it cannot be killed.
    """
    import signal

    pid = int(helper["pid"])
    if not pid or not procs.alive(pid, helper["start_time"]):
        _reap(pid)
        return
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The pidfd pins the process: asked again, the answer is about the one that will be killed.
        if procs.alive(pid, helper["start_time"]):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            if group:
                os.killpg(pid, signal.SIGKILL)
            if wait and not readable(pidfd, KILL_TIMEOUT_S):
                raise NetworkError(f"stop {helper['name']} (pid {pid}): it is still there after "
                                   f"{KILL_TIMEOUT_S:.0f} s",
                                   hint=f"Look at /proc/{pid}/stack for what the kernel waits for.")
    except ProcessLookupError:
        pass
    except OSError as e:
        raise NetworkError(f"stop {helper['name']} (pid {pid}): {e.strerror}",
                           hint=f"Kill process {pid} by hand.") from e
    finally:
        os.close(pidfd)
        _reap(pid)


def _reap(pid: int) -> None:
    """Take the exit status if the process is a child of ours, so that no zombie stays."""
    if pid:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass


def readable(fd: int, timeout_s: float) -> bool:
    """Wait until fd is readable or has hung up. Works for fds above 1023, unlike select(2)."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(timeout_s * 1000))


def read_log(path: str, *, without: "tuple[str, ...]" = ()) -> str:
    """What a helper complained about, in one line.

    The first lines are the cause, later ones its consequences. Lines that begin with one of `without` are
    left out, and so is a usage text.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            text = f.read(65536)
    except OSError:
        return ""
    lines: list[str] = []
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("Usage:") or len(lines) == LOG_LINES:
            break
        if line and not line.startswith(without):
            lines.append(line)
    return "; ".join(lines)


def supported(program: str, switches: "tuple[str, ...]", cache_dir: str | None) -> "frozenset[str]":
    """Those of the switches that the program's --help mentions.

    The answer is kept in cache_dir under the program's name together with its path, mtime and size.
    """
    st = os.stat(program)
    key = f"{program} {st.st_mtime_ns} {st.st_size} {' '.join(switches)}"
    cache = f"{cache_dir}/{os.path.basename(program)}.switches" if cache_dir else ""
    if cache:
        try:
            with open(cache, encoding="utf-8") as f:
                first, _, rest = f.read().partition("\n")
            if first == key:
                return frozenset(rest.split())
        except (OSError, UnicodeDecodeError):
            pass
    text = _help_text(program)
    # A switch is a whole word of the text: --mtu must not be found in --mtu-probe.
    words = frozenset(text.replace(",", " ").replace("=", " ").replace("[", " ").split())
    found = frozenset(s for s in switches if s in words)
    if cache:
        temporary = f"{cache}.{os.getpid()}"
        try:
            with open(temporary, "w", encoding="utf-8") as f:
                f.write(key + "\n" + " ".join(sorted(found)) + "\n")
            os.rename(temporary, cache)
        except OSError:  # only the next start is slower
            pass
    return found


def _help_text(program: str) -> str:
    """Standard output and error of PROGRAM --help. Raises: NetworkError.

    On a terminal: pasta ends with _exit(2), and what a pipe had buffered of its help (of 2025: all after 4096 bytes) is lost.
    """
    try:
        r, w = os.openpty()
    except OSError:  # no devpts here
        r, w = os.pipe()
    try:
        try:
            pid = os.posix_spawn(program, [program, "--help"], _environment(),
                                 file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                                               (os.POSIX_SPAWN_DUP2, w, 1), (os.POSIX_SPAWN_DUP2, w, 2)],
                                 setsigdef=DEFAULT_SIGNALS)
        except OSError as e:
            raise NetworkError(f"start {program}: {e.strerror}",
                               hint=f"Reinstall {os.path.basename(program)}.") from e
        os.close(w)
        w = -1
        chunks = []
        while readable(r, READY_TIMEOUT_S):
            try:
                chunk = os.read(r, 65536)
            except OSError:  # EIO: the terminal is closed
                break
            if not chunk:
                break
            chunks.append(chunk)
        else:
            os.kill(pid, 9)
        os.waitpid(pid, 0)
        return b"".join(chunks).decode(errors="replace")
    finally:
        os.close(r)
        if w >= 0:
            os.close(w)
