"""What a container's monitor knows, as it last wrote it: exits/ID.state, lines of "KEY VALUE", replaced at each change.

The same container may have had several processes since the engine started it: the newest is here. podlike-conmon
only; conmon writes no such file. Source: docs/ARCHITECTURE.md, "Tended containers".
"""

from podlike.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.paths import Roots


class Told:
    """phase: creating, created, running, waiting (for a restart), ended. Times: Unix seconds, 0.0 never.

    pid, start_time: the container's process now, 0 when there is none. end: why the last run ended, as words: "exit",
    "signal 9", "oom 67108864", "seccomp", "health", "timeout", "unknown"; "" while the first run goes on.
    health: starting, healthy, unhealthy, stopped; "" without a check.
    """

    __slots__ = ("end", "error", "exit_code", "finished_at", "health", "oom_killed", "phase", "pid", "restarts", "start_time",
                 "started_at", "streak")

    def __init__(self, lines: "dict[str, str]") -> None:
        """Raises: ValueError for what is not such a file."""
        pid, _, start_time = lines.get("pid", "0 0").partition(" ")
        self.phase = lines.get("phase", "")
        self.pid = int(pid)
        self.start_time = int(start_time or 0)
        self.restarts = int(lines.get("restarts", "0"))
        self.started_at = float(lines.get("started", "0"))
        self.finished_at = float(lines.get("finished", "0"))
        self.exit_code = int(lines.get("exit", "0"))
        self.oom_killed = lines.get("oom") == "1"
        self.end = lines.get("end", "")
        self.error = lines.get("error", "")
        self.health, _, streak = lines.get("health", "").partition(" ")
        self.streak = int(streak or 0)


def path_of(roots: "Roots", cid: str) -> str:
    """Beside the exit file, and as long-lived: the bundle goes before the database has what stands there."""
    return f"{roots.exits}/{cid}.state"


def read(path: str) -> Told | None:
    """The newest state; None when the monitor has told nothing."""
    try:
        text = read_text(path)
        return Told(dict(line.split(" ", 1) for line in text.splitlines() if " " in line))
    except (OSError, ValueError):
        return None
