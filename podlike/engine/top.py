"""The processes of a container, read from /proc on the host: works for images without a ps."""

import os

from podlike.engine import query
from podlike.engine.core import Engine
from podlike.errors import ConflictError, UsageError
from podlike.files import read_text
from podlike.spec.durations import format_duration
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

DEFAULT: "Final" = ("user", "pid", "ppid", "pcpu", "etime", "tty", "time", "args")


class Process:
    """What /proc/PID says, read once. pid: in the container; hpid: on the host."""

    def __init__(self, hpid: int, uptime: float) -> None:
        self.hpid = hpid
        self.status = dict(line.split(":\t", 1) for line in read_text(f"/proc/{hpid}/status").split("\n") if ":\t" in line)
        stat = read_text(f"/proc/{hpid}/stat")
        self.stat = stat[stat.rindex(")") + 2:].split()  # from field 3 on; the name before may hold blanks
        self.comm = stat[stat.index("(") + 1:stat.rindex(")")]
        words = read_text(f"/proc/{hpid}/cmdline").split("\0")
        self.args = " ".join(w for w in words if w) or f"[{self.comm}]"
        ticks = os.sysconf("SC_CLK_TCK")
        self.elapsed = max(uptime - int(self.stat[19]) / ticks, 0.0)
        self.cpu = (int(self.stat[11]) + int(self.stat[12])) / ticks

    @property
    def pid(self) -> int:
        return int(self.status["NSpid"].split()[-1])


def _tty(p: Process) -> str:
    number = int(p.stat[4])
    major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
    return f"pts/{minor}" if 136 <= major <= 143 else f"tty{minor}" if major == 4 else "?"


def _mask(p: Process, key: str) -> str:
    from podlike.spec.capabilities import from_mask

    names = from_mask(int(p.status[key], 16))
    if not names:
        return "none"
    return "full" if len(names) >= 41 else ",".join(n.removeprefix("CAP_") for n in names)


# descriptor: (heading, ps(1)'s code, value)
COLUMNS: "Final[dict[str, tuple[str, str, Callable[[Process], str]]]]" = {
    "args": ("COMMAND", "%a", lambda p: p.args),
    "capamb": ("AMBIENT CAPS", "", lambda p: _mask(p, "CapAmb")),
    "capbnd": ("BOUNDING CAPS", "", lambda p: _mask(p, "CapBnd")),
    "capeff": ("EFFECTIVE CAPS", "", lambda p: _mask(p, "CapEff")),
    "capinh": ("INHERITED CAPS", "", lambda p: _mask(p, "CapInh")),
    "capprm": ("PERMITTED CAPS", "", lambda p: _mask(p, "CapPrm")),
    "comm": ("COMMAND", "%c", lambda p: p.comm),
    "etime": ("ELAPSED", "%t", lambda p: format_duration(p.elapsed)),
    "hgroup": ("HGROUP", "", lambda p: p.status["Gid"].split()[1]),
    "hpid": ("HPID", "", lambda p: str(p.hpid)),
    "huser": ("HUSER", "", lambda p: p.status["Uid"].split()[1]),
    "nice": ("NI", "%n", lambda p: p.stat[16]),
    "pcpu": ("%CPU", "%C", lambda p: f"{100 * p.cpu / p.elapsed if p.elapsed else 0:.3f}"),
    "pgid": ("PGID", "%r", lambda p: p.status["NSpgid"].split()[-1]),
    "pid": ("PID", "%p", lambda p: str(p.pid)),
    "ppid": ("PPID", "%P", lambda p: ""),  # needs the other processes: see _row
    "rss": ("RSS", "", lambda p: p.status.get("VmRSS", "0").split()[0]),
    "seccomp": ("SECCOMP", "", lambda p: ("disabled", "strict", "filter")[int(p.status["Seccomp"])]),
    "state": ("STATE", "", lambda p: p.stat[0]),
    "stime": ("STIME", "", lambda p: format_duration(p.elapsed)),
    "time": ("TIME", "%x", lambda p: format_duration(round(p.cpu, 2))),
    "tty": ("TTY", "%y", _tty),
    "user": ("USER", "%U", lambda p: ""),  # needs the container's passwd: see _row
    "vsz": ("VSZ", "%z", lambda p: p.status.get("VmSize", "0").split()[0]),
}


def processes(engine: Engine, container: Container, columns: list[str]) -> tuple[list[str], list[list[str]]]:
    """(headings, rows), sorted by pid. Raises: ConflictError when it does not run, UsageError for a bad column."""
    by_code = {code: name for name, (_, code, _) in COLUMNS.items() if code}
    names = [by_code.get(c, c) for c in columns]
    for name in names:
        if name not in COLUMNS:
            raise UsageError(f"unknown descriptor: {name}", hint=f"Descriptors are {', '.join(sorted(COLUMNS))}.")
    pid, _ = query.process_of(engine, container)
    if not pid:
        raise ConflictError(f"top can only be used on running containers: {container.name} is not running",
                            hint=f"Start it: `podlike start {container.name}`.")
    engine.enter_session()
    found = _inside(pid)
    users = _users(pid)
    return [COLUMNS[n][0] for n in names], [[_cell(p, n, found, users) for n in names] for p in found]


def _cell(p: Process, name: str, everyone: list[Process], users: "dict[int, str]") -> str:
    if name == "ppid":
        parent = int(p.status["PPid"])
        return next((str(other.pid) for other in everyone if other.hpid == parent), "0")
    if name == "user":
        uid = _inner_id(p.hpid, int(p.status["Uid"].split()[1]))
        return users.get(uid, str(uid))
    return COLUMNS[name][2](p)


def _inside(pid: int) -> list[Process]:
    """All processes of the pid namespace of pid."""
    namespace = os.readlink(f"/proc/{pid}/ns/pid")
    uptime = float(read_text("/proc/uptime").split()[0])
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if os.readlink(f"/proc/{name}/ns/pid") == namespace:
                found.append(Process(int(name), uptime))
        except OSError:
            continue  # ended meanwhile, or somebody else's
    return sorted(found, key=lambda p: p.pid)


def _inner_id(pid: int, uid: int) -> int:
    """The id inside the process's user namespace of an id that we see."""
    try:
        lines = read_text(f"/proc/{pid}/uid_map").split("\n")
    except OSError:
        return uid
    for line in lines:
        fields = line.split()
        if len(fields) == 3:
            inside, outside, count = map(int, fields)
            if outside <= uid < outside + count:
                return inside + uid - outside
    return uid


def _users(pid: int) -> "dict[int, str]":
    """Names of the container's /etc/passwd by id."""
    try:
        text = read_text(f"/proc/{pid}/root/etc/passwd", limit=4 << 20)
    except OSError:
        return {}
    out: dict[int, str] = {}
    for line in text.split("\n"):
        fields = line.split(":")
        if len(fields) > 2 and fields[2].isdigit():
            out.setdefault(int(fields[2]), fields[0])
    return out
