"""What config.json depends on of this host and session: read once per command, cheaply."""

import os
import resource

from podlike.runtime.idmap import ranges
from podlike.spec import capabilities, devices
from podlike.spec.oci import HostFacts
from podlike.spec.oci_mounts import BoundPath
from podlike.spec.userns import Caller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LIMITS = {name.removeprefix("RLIMIT_").lower(): getattr(resource, name)
           for name in dir(resource) if name.startswith("RLIMIT_")}
_SKIPPED = frozenset(("pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", "console"))


def gather(*, controllers: "frozenset[str] | None" = None, swap: bool = True) -> HostFacts:
    """Facts of the calling process; to be called inside the session, whose capabilities and ids count.

    controllers, swap: of the cgroup that the container will get, from runtime.cgroup.
    """
    uname = os.uname()
    return HostFacts(
        hostname=uname.nodename, machine=uname.machine, kernel=_kernel(uname.release), bounding=_bounding(),
        limits={name: _limit(number) for name, number in _LIMITS.items()},
        oom_score_adj=int(_read("/proc/self/oom_score_adj") or 0),
        apparmor=os.geteuid() == 0 and _read("/sys/module/apparmor/parameters/enabled").startswith("Y")
        and _maps_everything(),
        cgroup_v2=os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
        gid5=_mapped(_read("/proc/self/gid_map"), 5), mqueue=os.path.isdir("/dev/mqueue"),
        thermal=_thermal(), controllers=controllers, swap=swap)


def caller() -> Caller:
    """Who the session belongs to and how many ids it has; to be called inside of it."""
    uids, gids = ranges("uid"), ranges("gid")
    return Caller(uids[0][1], gids[0][1], sum(n for _, _, n in uids), sum(n for _, _, n in gids),
                  tuple(inside for inside, _, _ in uids), tuple(inside for inside, _, _ in gids))


def bound_path(source: str, target: str, options: "Sequence[str]") -> BoundPath:
    """A bind mount with what the source's file system forbids. Raises: OSError when source cannot be
    reached."""
    return BoundPath(source, target, options, os.statvfs(source).f_flag)


def device_node(source: str, target: str, access: str = "rwm") -> devices.DeviceNode:
    """Look a device up, through symbolic links. Raises: OSError; ValueError when it is no device."""
    import stat

    real = os.path.realpath(source)
    st = os.stat(real)
    kind = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}.get(stat.S_IFMT(st.st_mode))
    if kind is None:
        raise ValueError(f"{source} is not a valid device")
    return devices.DeviceNode(real, target, access, kind, os.major(st.st_rdev), os.minor(st.st_rdev),
                              stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid)


def all_devices(path: str = "/dev") -> "Iterator[devices.DeviceNode]":
    """Every device beneath path, for privileged containers; what cannot be read is left out."""
    try:
        entries = sorted(os.scandir(path), key=lambda e: e.name)
    except OSError:
        return
    for entry in entries:
        if entry.name in _SKIPPED or entry.is_symlink():
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from all_devices(entry.path)
            continue
        try:
            yield device_node(entry.path, entry.path)
        except (OSError, ValueError):
            continue


def _kernel(release: str) -> "tuple[int, int]":
    """(6, 1) of "6.1.0-13-amd64", "6.1+" or "6.1"."""
    major, _, rest = release.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return int(major), int(digits or 0)


def _bounding() -> "tuple[str, ...]":
    for line in _read("/proc/self/status").splitlines():
        if line.startswith("CapBnd:"):
            return capabilities.from_mask(int(line.split()[1], 16))
    return capabilities.KNOWN


def _limit(number: int) -> "tuple[int, int]":
    soft, hard = resource.getrlimit(number)
    return soft & 2**64 - 1, hard & 2**64 - 1  # RLIM_INFINITY is -1 in Python


def _maps_everything() -> bool:
    return _read("/proc/self/uid_map").split() == ["0", "0", "4294967295"]


def _mapped(gid_map: str, gid: int) -> bool:
    ranges = (line.split() for line in gid_map.splitlines())
    return any(int(first) <= gid < int(first) + int(count) for first, _, count in ranges)


def _thermal() -> "tuple[str, ...]":
    base = "/sys/devices/system/cpu"
    try:
        names = os.listdir(base)
    except OSError:
        return ()
    paths = (
        f"{base}/{name}/thermal_throttle"
        for name in sorted(names)
        if name[:3] == "cpu" and name[3:].isdigit()
    )
    return tuple(path for path in paths if os.path.isdir(path))


def _read(path: str) -> str:
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""
