"""Which containers there are and whether they run: derived from the kernel, never believed from a record."""

import os

from podlike import paths, procs
from podlike.engine.core import Engine
from podlike.errors import ConflictError
from podlike.files import read_text
from podlike.store.containers import Container, RunState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# What `inspect` and `ps` show for a container whose monitor could not see the end (killed, reboot).
UNWATCHED_EXIT: "Final" = 255


class Status:
    """state: created, initialized, running, paused, stopping, exited, removing. Times: Unix seconds, 0.0 never."""

    __slots__ = ("conmon_pid", "error", "exit_code", "finished_at", "health", "oom_killed", "pid", "started_at", "state")

    def __init__(self, state: str, *, pid: int = 0, conmon_pid: int = 0, exit_code: int = 0, started_at: float = 0.0,
                 finished_at: float = 0.0, oom_killed: bool = False, error: str = "", health: str = "") -> None:
        self.state = state
        self.pid = pid
        self.conmon_pid = conmon_pid
        self.exit_code = exit_code
        self.started_at = started_at
        self.finished_at = finished_at
        self.oom_killed = oom_killed
        self.error = error
        self.health = health

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused", "stopping")


_boot_id = ""


def this_boot() -> str:
    global _boot_id
    _boot_id = _boot_id or paths.boot_id()
    return _boot_id


def find(engine: Engine, name: str) -> Container:
    """By name, id or unique beginning of an id. Raises: NotFoundError, ConflictError."""
    return engine.containers.find(name)


def all_containers(engine: Engine) -> list[Container]:
    """Oldest first."""
    return engine.containers.all()


def process_of(engine: Engine, container: Container) -> tuple[int, int]:
    """(pid, start time) of the container's first process if it lives, else (0, 0)."""
    s = container.state
    if s.boot_id != this_boot():
        return 0, 0
    if s.phase == "started":
        return (s.pid, s.start_time) if procs.alive(s.pid, s.start_time) else (0, 0)
    if s.phase == "starting":
        # The CLI that started it died before it could record the pid; the runtime's pid file knows it.
        try:
            pid = int(read_text(f"{engine.roots.bundle(container.id)}/pidfile"))
        except (OSError, ValueError):
            return 0, 0
        started = procs.start_time(pid)
        return (pid, started) if started else (0, 0)
    return 0, 0


def exit_file(engine: Engine, cid: str) -> tuple[int, float] | None:
    """(exit code, Unix time) as the monitor wrote it, or None."""
    path = f"{engine.roots.exits}/{cid}"
    try:
        return int(read_text(path)), os.stat(path).st_mtime
    except (OSError, ValueError):
        return None


def log_error(engine: Engine, cid: str) -> str:
    """What the monitor says of output that it could not log in this run, "" if it logged all."""
    try:
        return f"log {read_text(f'{engine.roots.bundle(cid)}/log-error').strip()}"
    except OSError:
        return ""


def status(engine: Engine, container: Container) -> Status:
    """What the container is doing now."""
    s = container.state
    if s.phase not in ("starting", "started"):
        return Status(s.phase, exit_code=s.exit_code, started_at=s.started_at, finished_at=s.finished_at,
                      oom_killed=s.oom_killed, error=s.error)
    pid, _ = process_of(engine, container)
    if pid:
        state = "initialized" if s.phase == "starting" else "paused" if _frozen(pid) else _running_or_stopping(s)
        return Status(state, pid=pid, conmon_pid=s.conmon_pid, started_at=s.started_at)
    ended = exit_file(engine, container.id) if s.boot_id == this_boot() else None
    oom = os.path.exists(f"{engine.roots.bundle(container.id)}/oom")
    if ended:
        return Status("exited", exit_code=ended[0], started_at=s.started_at, finished_at=ended[1], oom_killed=oom)
    now = engine.containers.get(container.id) if s.phase == "started" else None
    if now and now.state.phase not in ("starting", "started"):
        return status(engine, now)  # cleaned up since the record was read: the code went from the file to the database
    if s.boot_id == this_boot() and procs.alive(s.conmon_pid, s.conmon_start_time):
        return Status("stopping", conmon_pid=s.conmon_pid, started_at=s.started_at)
    if s.phase == "starting":
        return Status("created", error=s.error)
    return Status("exited", exit_code=UNWATCHED_EXIT, started_at=s.started_at, finished_at=s.started_at,
                  error="the monitor was killed or the machine was rebooted: the exit code is unknown")


def _running_or_stopping(state: RunState) -> str:
    """A `stop` that was itself killed has no say any more."""
    return "stopping" if state.stopper and procs.alive(state.stopper[0], state.stopper[1]) else "running"


def _frozen(pid: int) -> bool:
    try:
        cgroup = read_text(f"/proc/{pid}/cgroup").rpartition("0::")[2].strip()
        return cgroup not in ("", "/") and read_text(f"/sys/fs/cgroup{cgroup}/cgroup.events").find("frozen 1") >= 0
    except OSError:
        return False


def namespace_path(engine: Engine, name: str, kind: str) -> str:
    """/proc/PID/ns/KIND of another container that must be running. Raises: NotFoundError, ConflictError."""
    other = find(engine, name)
    pid, _ = process_of(engine, other)
    if not pid:
        raise ConflictError(f"join the {kind} namespace of container {name}: it is not running: "
                            "container state improper", hint=f"Start it first: `podlike start {name}`.")
    return f"/proc/{pid}/ns/{kind}"
