"""What running containers use, now: from their cgroups, and where a controller is missing from /proc of their processes.

A Sampler is asked again and again with the containers of interest, and remembers of each what a rate needs:

    sampler = Sampler(engine)
    for stats in sampler.sample(containers): ...
"""

import os
import time

from podlike.engine import query
from podlike.engine.core import Engine
from podlike.engine.procusage import TICK, Usage, read, snapshot, usage_of
from podlike.runtime import cgroup
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from dataclasses import dataclass as record
    from typing import Final

    from podlike.engine.procusage import Process
else:
    from podlike.spec.record import record

_INTERFACE: "Final" = ("RxBytes", "RxPackets", "RxErrors", "RxDropped", "TxBytes", "TxPackets", "TxErrors", "TxDropped")
# Their places in a line of /proc/net/dev (proc_pid_net(5)).
_COLUMNS: "Final" = (0, 1, 2, 3, 8, 9, 10, 11)


@record(slots=True, kw_only=True)
class Stats:
    """Of one container. cpu, average_cpu: percent of one processor, since the last sample and since its start.

    cpu_nanos, system_nanos: processor time, and what the kernel had of it. at: Unix time in ns. memory: bytes; cache: those of
    them that are files which nobody has used lately, if the sampler was asked for it. network: podman's numbers by the
    interface's name. All is 0 for a container that does not run.
    """

    container: Container
    running: bool = False
    cpu: float = 0.0
    average_cpu: float = 0.0
    cpu_nanos: int = 0
    system_nanos: int = 0
    at: int = 0
    memory: int = 0
    memory_limit: int = 0
    cache: int = 0
    pids: int = 0
    block_input: int = 0
    block_output: int = 0
    network: "dict[str, dict[str, int]]"

    @property
    def memory_percent(self) -> float:
        return 100 * self.memory / self.memory_limit if self.memory_limit else 0.0


class Containers:
    """All containers there are, read again only if somebody has written to the database since."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._version: object = None
        self._found: list[Container] = []

    def all(self) -> list[Container]:
        """Oldest first."""
        version = self._engine.db.row("PRAGMA data_version")
        if version != self._version:
            self._found, self._version = query.all_containers(self._engine), version
        return self._found


class Sampler:
    """cache: whether Stats.cache is wanted, which costs one more file a container."""

    def __init__(self, engine: Engine, *, cache: bool = False) -> None:
        self._engine = engine
        self._cache = cache
        self._last: "dict[str, tuple[int, int]]" = {}  # by id: processor time and Unix time of the last sample, in ns
        self._memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self._processes: "dict[int, Process] | None" = None

    def sample(self, containers: "Iterable[Container]") -> list[Stats]:
        """In their order."""
        self._processes = None
        return [self._one(container) for container in containers]

    def running(self, containers: "Iterable[Container]", *, paused: bool = False) -> list[Container]:
        """Those of them that run."""
        return [c for c in containers if self._process(c)[0] and (paused or not _frozen(c))]

    def _process(self, container: Container) -> "tuple[int, int]":
        if container.state.phase != "started":
            return 0, 0
        return query.process_of(self._engine, container)

    def _one(self, container: Container) -> Stats:
        out = Stats(container=container, network={})
        pid, born = self._process(container)
        if not pid:
            self._last.pop(container.id, None)
            return out
        out.running = True
        out.network = {} if container.spec.network == "host" else _network(pid)
        out.at = time.time_ns()
        directory = _directory(container)
        usage = self._from_cgroup(out, directory) if directory else self._of_namespace(container, pid)
        out.cpu_nanos = out.cpu_nanos or usage.cpu
        out.system_nanos = out.system_nanos or usage.system
        if not out.memory_limit:
            out.memory, out.memory_limit = usage.memory, self._memory
        out.pids = out.pids or usage.threads
        self._rates(out, out.at - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + born * TICK)
        return out

    def _rates(self, out: Stats, started: int) -> None:
        """Podman's: a first sample has the average since the start for a rate. started: Unix time in ns."""
        container = out.container
        cpu, at = self._last.get(container.id, (0, started))
        if cpu > out.cpu_nanos:  # it was started again since
            cpu, at = 0, started
        out.cpu = 100 * (out.cpu_nanos - cpu) / (out.at - at) if out.at > at else 0.0
        out.average_cpu = 100 * out.cpu_nanos / (out.at - started) if out.at > started else 0.0
        self._last[container.id] = out.cpu_nanos, out.at

    def _from_cgroup(self, out: Stats, directory: str) -> Usage:
        """Fill in what its controllers know; the rest is returned."""
        cpu = read(f"{directory}/cpu.stat").split()  # usage_usec N user_usec N system_usec N ...
        if len(cpu) >= 6:
            out.cpu_nanos, out.system_nanos = int(cpu[1]) * 1000, int(cpu[5]) * 1000
        memory, pids, io = read(f"{directory}/memory.current"), read(f"{directory}/pids.current"), _io(directory)
        if memory:
            out.memory, limit = int(memory), read(f"{directory}/memory.max").strip()
            out.memory_limit = min(int(limit), self._memory) if limit.isdigit() else self._memory
            if self._cache:
                out.cache = _inactive_files(directory)
        if pids:
            out.pids = int(pids)
        if io is not None:
            out.block_input, out.block_output = io
        if memory and pids and io is not None:
            return Usage()
        if io is None:
            self._engine.enter_session()  # /proc/PID/io is for those who could trace the process
        usage = usage_of(_members(directory), io=io is None)
        if io is None:
            out.block_input, out.block_output = usage.block_input, usage.block_output
        return usage

    def _of_namespace(self, container: Container, pid: int) -> Usage:
        """Of a container without a cgroup: its processes are those of its pid namespace, or else what descends from its first."""
        self._engine.enter_session()
        if self._processes is None:
            self._processes = snapshot()
        everyone = self._processes
        own = everyone[pid].namespace if pid in everyone and container.spec.pid_ns in ("", "private") else ""
        if own:
            return usage_of([p for p, process in everyone.items() if process.namespace == own], io=True)
        found, more = set(), [pid]
        while more:
            found |= set(more)
            more = [p for p, process in everyone.items() if process.parent in found and p not in found]
        return usage_of(found, io=True)


def _directory(container: Container) -> str:
    """Its cgroup's, or "" when it has none of its own."""
    where = container.state.cgroup
    path = f"{cgroup.ROOT}{cgroup.path_of(where)}" if where else ""
    return path if path and os.path.exists(f"{path}/cgroup.procs") else ""


def _frozen(container: Container) -> bool:
    directory = _directory(container)
    return bool(directory) and b"frozen 1" in read(f"{directory}/cgroup.events")


def _io(directory: str) -> "tuple[int, int] | None":
    """(bytes read, bytes written) of all devices; None without the io controller."""
    path = f"{directory}/io.stat"
    text = read(path)
    if not text:  # nobody has done any, or it is not there
        return (0, 0) if os.path.exists(path) else None
    words = text.split()
    got, put = (sum(int(w[7:]) for w in words if w.startswith(key)) for key in (b"rbytes=", b"wbytes="))
    return got, put


def _inactive_files(directory: str) -> int:
    _, found, rest = read(f"{directory}/memory.stat").partition(b"\ninactive_file ")
    return int(rest.split(None, 1)[0]) if found else 0


def _members(directory: str) -> list[int]:
    """Processes of a cgroup and of those below it."""
    found = [int(pid) for pid in read(f"{directory}/cgroup.procs").split()]
    if b"nr_descendants 0\n" not in read(f"{directory}/cgroup.stat"):
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found += _members(entry.path)
    return found


def _network(pid: int) -> "dict[str, dict[str, int]]":
    """What went over each interface of the process's network namespace but the loopback."""
    out = {}
    for line in read(f"/proc/{pid}/net/dev").split(b"\n")[2:]:
        name, colon, numbers = line.partition(b":")
        name = name.strip()
        if colon and name != b"lo":
            fields = numbers.split()
            out[name.decode()] = {key: int(fields[at]) for key, at in zip(_INTERFACE, _COLUMNS, strict=True)}
    return out
