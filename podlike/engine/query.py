"""Which containers there are and whether they run: derived from the kernel, never believed from a record."""

import os

from podlike import paths, procs
from podlike.engine.core import Engine
from podlike.errors import ConflictError
from podlike.files import read_text
from podlike.runtime import statefile
from podlike.store.containers import Container, RunState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from podlike.runtime.statefile import Told

# What `inspect` and `ps` show for a container whose monitor could not see the end (killed, reboot).
UNWATCHED_EXIT: "Final" = 255


class Status:
    """state: created, initialized, running, paused, stopping, restarting, exited, removing. Times: Unix seconds, 0.0 never.

    restarting: it has ended and its monitor will start it again; exit_code and finished_at are of the last run.
    end: why the last run ended, in runtime/statefile.py's words. health: starting, healthy, unhealthy, stopped, or "".
    """

    __slots__ = ("conmon_pid", "end", "error", "exit_code", "finished_at", "health", "oom_killed", "pid", "restarts",
                 "started_at", "state", "streak")

    def __init__(self, state: str, *, pid: int = 0, conmon_pid: int = 0, exit_code: int = 0, started_at: float = 0.0,
                 finished_at: float = 0.0, oom_killed: bool = False, error: str = "", health: str = "", streak: int = 0,
                 restarts: int = 0, end: str = "") -> None:
        self.state = state
        self.pid = pid
        self.conmon_pid = conmon_pid
        self.exit_code = exit_code
        self.started_at = started_at
        self.finished_at = finished_at
        self.oom_killed = oom_killed
        self.error = error
        self.health = health
        self.streak = streak
        self.restarts = restarts
        self.end = end

    @property
    def running(self) -> bool:
        """Whether there is something to stop."""
        return self.state in ("running", "paused", "stopping", "restarting")


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
    if s.phase in ("started", "initialized"):
        if procs.alive(s.pid, s.start_time):
            return s.pid, s.start_time
        return _restarted(engine, container) if s.tended else (0, 0)
    # In "starting" the CLI that started it died before it could record the pid.
    return _in_pidfile(engine, container) if s.phase == "starting" else (0, 0)


def _in_pidfile(engine: Engine, container: Container) -> tuple[int, int]:
    """The process that the runtime made last, as it wrote it down."""
    try:
        pid = int(read_text(f"{engine.roots.bundle(container.id)}/pidfile"))
    except (OSError, ValueError):
        return 0, 0
    started = procs.start_time(pid)
    return (pid, started) if started else (0, 0)


def _restarted(engine: Engine, container: Container) -> tuple[int, int]:
    """The process of a later run: the record names that of the first, the monitor knows the newest."""
    told = _told(engine, container)
    if told is None:
        return 0, 0
    if procs.alive(told.pid, told.start_time):
        return told.pid, told.start_time
    if told.phase == "creating" and not _watched(container.state):
        return _in_pidfile(engine, container)  # the monitor died before it could tell
    return 0, 0


def _told(engine: Engine, container: Container) -> "Told | None":
    return statefile.read(statefile.path_of(engine.roots, container.id))


def end_was_told(engine: Engine, container: Container) -> bool:
    """Whether the monitor itself has written the event of the last end; one that was killed while it ran has not."""
    told = _told(engine, container) if container.state.tended else None
    return told is not None and bool(told.end) and told.phase != "running"


def _watched(state: RunState) -> bool:
    return procs.alive(state.conmon_pid, state.conmon_start_time)


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
    if s.phase not in ("starting", "started", "initialized"):
        return Status(s.phase, exit_code=s.exit_code, started_at=s.started_at, finished_at=s.finished_at,
                      oom_killed=s.oom_killed, error=s.error, health=s.health, streak=s.health_streak, restarts=s.restarts,
                      end=s.end)
    told = _told(engine, container) if s.tended and s.boot_id == this_boot() else None
    pid, _ = process_of(engine, container)
    if pid:
        return _alive(s, pid, told)
    ended = exit_file(engine, container.id) if s.boot_id == this_boot() else None
    last = _told(engine, container) if ended else None
    if ended and last:
        return _ended(s, last)
    now = engine.containers.get(container.id) if s.phase == "started" else None
    if now and now.state.phase not in ("starting", "started"):
        return status(engine, now)  # cleaned up since the record was read: what files told is in the database
    if ended:  # by conmon
        return Status("exited", exit_code=ended[0], started_at=s.started_at, finished_at=ended[1],
                      oom_killed=os.path.exists(f"{engine.roots.bundle(container.id)}/oom"))
    if s.boot_id == this_boot() and _watched(s):
        if told and told.phase in ("waiting", "creating", "created"):
            return _restarting(s, told)
        return Status("stopping", conmon_pid=s.conmon_pid, started_at=s.started_at)
    if s.phase in ("starting", "initialized"):
        return Status("created", error=s.error)
    if s.unwatched:
        return Status("exited", started_at=s.started_at, end="unknown")
    if told and told.phase in ("waiting", "creating", "created", "ended"):
        return _ended(s, told)
    return Status("exited", exit_code=UNWATCHED_EXIT, started_at=s.started_at, finished_at=s.started_at,
                  error="the monitor was killed or the machine was rebooted: the exit code is unknown")


def _alive(s: RunState, pid: int, told: "Told | None") -> Status:
    """Of a container with a process."""
    if told and told.restarts and told.phase in ("creating", "created"):
        # Made again, but its program has not begun; without a monitor it never will.
        return _restarting(s, told) if _watched(s) else Status("initialized", pid=pid, restarts=told.restarts)
    state = "initialized" if s.phase in ("starting", "initialized") else "paused" if _frozen(pid) else _running_or_stopping(s)
    if told is None:
        return Status(state, pid=pid, conmon_pid=s.conmon_pid, started_at=s.started_at)
    return Status(state, pid=pid, conmon_pid=s.conmon_pid, started_at=told.started_at or s.started_at, restarts=told.restarts,
                  health=told.health, streak=told.streak)


def _restarting(s: RunState, told: "Told") -> Status:
    return Status("restarting", conmon_pid=s.conmon_pid, exit_code=told.exit_code, started_at=told.started_at,
                  finished_at=told.finished_at, oom_killed=told.oom_killed, error=told.error, health=told.health,
                  streak=told.streak, restarts=told.restarts, end=told.end)


def _ended(s: RunState, told: "Told") -> Status:
    """Of a container whose monitor has told how it ended."""
    return Status("exited", exit_code=told.exit_code, started_at=told.started_at or s.started_at,
                  finished_at=told.finished_at, oom_killed=told.oom_killed, error=told.error, health=told.health,
                  streak=told.streak, restarts=told.restarts, end=told.end)


def _running_or_stopping(state: RunState) -> str:
    """A `stop` that was itself killed has no say any more."""
    return "stopping" if state.stopper and procs.alive(state.stopper[0], state.stopper[1]) else "running"


def _frozen(pid: int) -> bool:
    try:
        cgroup = read_text(f"/proc/{pid}/cgroup").rpartition("0::")[2].strip()
        return cgroup not in ("", "/") and read_text(f"/sys/fs/cgroup{cgroup}/cgroup.events").find("frozen 1") >= 0
    except OSError:
        return False


def pid_namespace(pid: int) -> str:
    """What tells the pid namespace of a process from others; "" when it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def namespace_path(engine: Engine, name: str, kind: str) -> str:
    """/proc/PID/ns/KIND of another container that must be running. Raises: NotFoundError, ConflictError."""
    other = find(engine, name)
    pid, _ = process_of(engine, other)
    if not pid:
        raise ConflictError(f"join the {kind} namespace of container {name}: it is not running: "
                            "container state improper", hint=f"Start it first: `podlike start {name}`.")
    return f"/proc/{pid}/ns/{kind}"


def is_ours(path: str, kind: str) -> bool:
    """Whether a namespace file is that of a namespace that we are in: of a container with the host's, for example."""
    try:
        there, here = os.stat(path), os.stat(f"/proc/self/ns/{kind}")
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
