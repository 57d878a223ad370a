"""What processes use, as /proc tells it: for containers whose cgroup lacks a controller, or that have none.

Source: proc_pid_stat(5), proc_pid_io(5). Memory is resident pages, shared ones counted with each process.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

_LIMIT: "Final" = 65536  # bytes; the longest of these files are some 5 kB
TICK: "Final" = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE: "Final" = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/PID/stat counted after the command name, which may hold blanks.
_PARENT, _UTIME, _STIME, _CUTIME, _CSTIME, _THREADS, _RSS = 1, 11, 12, 13, 14, 17, 21


class Usage(NamedTuple):
    """cpu, system: ns, with children that have ended. memory: bytes. block_*: bytes read from and written to disks."""

    cpu: int = 0
    system: int = 0
    memory: int = 0
    threads: int = 0
    block_input: int = 0
    block_output: int = 0


class Process(NamedTuple):
    """namespace: what /proc/PID/ns/pid points to, "" where we may not look."""

    parent: int
    namespace: str


def read(path: str) -> bytes:
    """A small file whole, b"" when it cannot be read. Unbuffered: this is done several times a container and second."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, _LIMIT)
    except OSError:
        return b""
    finally:
        os.close(fd)


def snapshot() -> "dict[int, Process]":
    """All processes there are, by pid."""
    out = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        fields = _stat(int(name))
        if fields:
            try:
                namespace = os.readlink(f"/proc/{name}/ns/pid")
            except OSError:
                namespace = ""
            out[int(name)] = Process(int(fields[_PARENT]), namespace)
    return out


def usage_of(pids: "Iterable[int]", *, io: bool = False) -> Usage:
    """Their sum. What has ended meanwhile counts as nothing; io: their disks' too."""
    cpu = system = memory = threads = got = put = 0
    for pid in pids:
        fields = _stat(pid)
        if not fields:
            continue
        kernel = int(fields[_STIME]) + int(fields[_CSTIME])
        cpu += int(fields[_UTIME]) + int(fields[_CUTIME]) + kernel
        system += kernel
        memory += int(fields[_RSS])
        threads += int(fields[_THREADS])
        if io:
            words = read(f"/proc/{pid}/io").split()
            numbers = dict(zip(words[::2], words[1::2], strict=False))
            got += int(numbers.get(b"read_bytes:", 0))
            put += int(numbers.get(b"write_bytes:", 0))
    return Usage(cpu * TICK, system * TICK, memory * _PAGE, threads, got, put)


def _stat(pid: int) -> "list[bytes]":
    return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
