"""Paths of /proc and /sys that a container may not see or not write."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Unreadable: they tell about the host's kernel and hardware, or let their reader watch other containers
# (keys, timers, interrupts; powercap's energy counters are a side channel, CVE-2020-8694). thermal_throttle
# directories depend on the host's processors and are passed in.
MASKED = (
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
    "/proc/interrupts",
)
# Glob for the caller: one directory per processor; it shows the load of the neighbours.
MASKED_GLOB = "/sys/devices/system/cpu/cpu*/thermal_throttle"

# Readable only: writing them changes the host, not the container.
READONLY = (
    "/proc/asound",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)


def masked_paths(*, mask: "Iterable[str]", unmask: "Iterable[str]", privileged: bool,
                 host_paths: "Sequence[str]" = ()) -> "list[str]":
    """linux.maskedPaths. mask, unmask: as given to --security-opt, several paths joined by ":" too.

    host_paths: matches of MASKED_GLOB on this host.
    """
    patterns = split(unmask)
    paths = [] if privileged else [p for p in (*MASKED, *host_paths) if not _matches(p, patterns)]
    return list(dict.fromkeys((*paths, *(p for p in split(mask) if p.startswith("/")))))


def readonly_paths(*, unmask: "Iterable[str]", privileged: bool) -> "list[str]":
    """linux.readonlyPaths."""
    patterns = split(unmask)
    return [] if privileged else [p for p in READONLY if not _matches(p, patterns)]


def split(options: "Iterable[str]") -> "list[str]":
    return [path for option in options for path in option.split(":") if path]


def unmasks(path: str, options: "Iterable[str]") -> bool:
    """Whether --security-opt unmask uncovers this very path."""
    patterns = split(options)
    return bool(patterns) and _matches(path, patterns)


def _matches(path: str, patterns: "Sequence[str]") -> bool:
    for pattern in patterns:
        if pattern == path or pattern.rstrip("/") == path or pattern.upper() == "ALL":
            return True
        if any(ch in pattern for ch in "*?[") and _glob(path, pattern):
            return True
    return False


def _glob(path: str, pattern: str) -> bool:
    """Shell pattern in which no wildcard stands for a slash."""
    from fnmatch import fnmatchcase

    names, parts = path.split("/"), pattern.split("/")
    return len(names) == len(parts) and all(fnmatchcase(n, p) for n, p in zip(names, parts, strict=True))
