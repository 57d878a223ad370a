"""The mounts of config.json: the kernel's file systems, the engine's files, volumes, tmpfs, devices.

Later mounts hide earlier ones beneath them, so the list is sorted by depth at the end; of two for the same
target the user's wins.
"""

from podlike.errors import UsageError
from podlike.spec import masks
from podlike.spec.resolve import INIT_PATH, clean, namespace, uses_systemd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, NamedTuple

    from podlike.spec.container import ContainerSpec
    from podlike.spec.devices import DeviceNode

    OciMount = dict[str, Any]
else:
    from podlike.spec.record import NamedTuple

# f_flag of statvfs(3). A user namespace cannot clear these on a mount that came from outside of it.
ST_NOSUID, ST_NODEV, ST_NOEXEC = 2, 4, 8
NAMED_VOLUME_FLAGS = ST_NOSUID | ST_NODEV

_PROPAGATION = frozenset(
    ("private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable")
)
# What is obeyed by the engine before the mount, or means nothing on Linux.
_CONSUMED = frozenset(("z", "Z", "U", "copy", "nocopy", "consistency", "consistent", "cached", "delegated",
                       "notmpcopyup"))
_TMPFS_ONLY = frozenset(("size", "mode", "tmpcopyup", "notmpcopyup", "uid", "gid", "nr_inodes", "nr_blocks",
                         "huge", "noswap"))
# Options of which only one may be given, by the name that stands for the group in the message.
_EXCLUSIVE: "dict[str, str]" = {
    "exec": "'noexec' and 'exec'", "noexec": "'noexec' and 'exec'",
    "suid": "'nosuid' and 'suid'", "nosuid": "'nosuid' and 'suid'",
    "dev": "'nodev' and 'dev'", "nodev": "'nodev' and 'dev'",
    "rw": "'rw' and 'ro'", "ro": "'rw' and 'ro'",
    "bind": "'rbind' and 'bind'", "rbind": "'rbind' and 'bind'",
    "z": "'z' and 'Z'", "Z": "'z' and 'Z'",
    "copy": "'nocopy' and 'copy'", "nocopy": "'nocopy' and 'copy'",
    "tmpcopyup": "'tmpcopyup' and 'notmpcopyup'", "notmpcopyup": "'tmpcopyup' and 'notmpcopyup'",
    **dict.fromkeys(_PROPAGATION, "propagation modes"),
}
_ANYWHERE = ("no-dereference", "noatime", "relatime", "strictatime", "nodiratime", "idmap")
_KNOWN = frozenset((*_EXCLUSIVE, *_CONSUMED, *_TMPFS_ONLY, *_ANYWHERE))


class BoundPath(NamedTuple):
    """A file or directory of the host that appears in the container: a bind mount, or a volume's data.

    options: as typed (ro, z, rshared ...). flags: f_flag of statvfs(3) of source; NAMED_VOLUME_FLAGS for
        volumes.
    """

    source: str
    target: str
    options: "Sequence[str]" = ()
    flags: int = 0


class MountInput(NamedTuple):
    """What the mounts depend on besides the spec; see spec.oci.build."""

    binds: "Mapping[str, str]"
    volumes: "Sequence[BoundPath]"
    devices: "Sequence[DeviceNode]"
    host_devices: "Sequence[DeviceNode]"
    init_path: str
    uid: int
    gid: int
    rootless: bool
    cgroup_v2: bool
    gid5: bool
    mqueue: bool


def build_mounts(spec: "ContainerSpec", given: MountInput) -> "list[OciMount]":
    """config.json's mounts in the order in which a runtime must make them. Raises: UsageError."""
    users = _user_mounts(spec, given)
    targets = {m["destination"] for m in users}
    mounts = list(users)
    if spec.read_only and spec.read_only_tmpfs:
        # Programs expect to write here even on a read-only root file system.
        mounts += [_tmpfs(t, "rw", "rprivate", "nosuid", "nodev", "tmpcopyup")
                   for t in ("/tmp", "/var/tmp", "/run") if t not in targets]
        targets.update(m["destination"] for m in mounts)
    base = [m for m in _kernel_mounts(spec, given) if _wanted(m, targets)]
    if given.rootless:
        base += [m for m in (d.bind_mount() for d in given.devices) if _wanted(m, targets)]
    mounts = [*_privileged_devices(spec, given, targets, base), *base, *mounts]
    targets = {m["destination"] for m in mounts}
    mounts += [m for m in _engine_files(spec, given) if m["destination"] not in targets]
    if uses_systemd(spec):
        mounts = _for_systemd(spec, mounts)
    mounts.sort(key=lambda m: m["destination"].count("/") if m["destination"] != "/" else 0)
    return mounts


def propagation(mounts: "Iterable[OciMount]") -> str:
    """linux.rootfsPropagation: what the mounts need of the mount that they hang on; "" = the default,
    private."""
    found = ""
    for mount in mounts:
        for option in mount["options"]:
            if option in ("shared", "rshared"):
                return "shared"
            if option in ("slave", "rslave"):
                found = "rslave"
    return found


def finish_options(options: "Iterable[str]", *, tmpfs: bool, flags: int) -> "list[str]":
    """Mount options as a runtime takes them, completed with the defaults: rprivate, nosuid, nodev, rbind.

    flags: f_flag of the source's file system: what it forbids stays forbidden, or the kernel refuses the
        mount.
    Raises: UsageError in podman's words.
    """
    out: "list[str]" = []
    seen: "set[str]" = set()
    for option in options:
        if not option:
            continue
        key = option.partition("=")[0]
        if key not in _KNOWN:
            raise UsageError(f'unknown mount option "{option}": invalid mount option',
                             hint="See podlike-run(1), --mount, for the options.")
        if tmpfs and key in ("bind", "rbind", "z", "Z"):
            raise UsageError(f"the '{key}' option is not allowed with tmpfs mounts: invalid mount option")
        if not tmpfs and key in _TMPFS_ONLY:
            raise UsageError(f"the '{key}' option is only allowed with tmpfs mounts: invalid mount option")
        group = _EXCLUSIVE.get(key, key)
        if group in seen:
            raise UsageError(
                f"only one of {group} can be used: duplicate mount option passed"
                if key in _EXCLUSIVE
                else f"the '{key}' option can only be set once: duplicate mount option passed"
            )
        seen.add(group)
        if key not in _CONSUMED:
            out.append("copy-symlink" if key == "no-dereference" else option)
    if "propagation modes" not in seen:
        out.append("private" if "bind" in out else "rprivate")
    for flag, name in ((ST_NOEXEC, "noexec"), (ST_NOSUID, "nosuid"), (ST_NODEV, "nodev")):
        if flags & flag and _EXCLUSIVE[name] not in seen:
            out.append(name)
    if tmpfs and _EXCLUSIVE["tmpcopyup"] not in seen:
        out.append("tmpcopyup")
    if not tmpfs and _EXCLUSIVE["rbind"] not in seen:
        out.append("rbind")
    return out


def _kernel_mounts(spec: "ContainerSpec", given: MountInput) -> "list[OciMount]":
    in_host_pid = given.rootless and spec.pid_ns == "host"
    # A user namespace may mount a new proc or sysfs only for pid and network namespaces that it owns (EPERM).
    host_sys = given.rootless and spec.network == "host"
    mounts = [
        _mount("/proc", "bind", "/proc", "rbind", "rprivate", "nosuid", "noexec", "nodev")
        if in_host_pid
        else _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev", *spec.proc_options),
        _mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            "nosuid",
            "strictatime",
            "mode=755",
            "size=65536k",
            *(("ro",) if spec.read_only and not spec.read_only_tmpfs else ()),
        ),
        _sys_mount(privileged=spec.privileged, host_sys=host_sys),
        # gid 5 is tty: grantpt(3) expects it. Not every session maps it.
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            *(("gid=5",) if given.gid5 else ()),
        ),
    ]
    if not (given.rootless and spec.ipc_ns == "host"):
        mounts.append(_mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"))
    elif given.mqueue:
        mounts.append(
            _mount("/dev/mqueue", "bind", "/dev/mqueue", "bind", "rprivate", "nosuid", "noexec", "nodev")
        )
    writable = spec.privileged or (given.cgroup_v2 and masks.unmasks("/sys/fs/cgroup", spec.unmasked_paths))
    mounts.append(
        _mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            "rprivate",
            "nosuid",
            "noexec",
            "nodev",
            "relatime",
            "rw" if writable else "ro",
        )
    )
    return mounts


def _sys_mount(*, privileged: bool, host_sys: bool) -> "OciMount":
    access = "rw" if privileged else "ro"
    if host_sys:
        return _mount("/sys", "bind", "/sys", "rprivate", "nosuid", "noexec", "nodev", access, "rbind")
    return _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", access)


def _user_mounts(spec: "ContainerSpec", given: MountInput) -> "list[OciMount]":
    mounts = [
        _mount(clean(v.target), "bind", v.source, *finish_options(v.options, tmpfs=False, flags=v.flags))
        for v in given.volumes
    ]
    for target, text in spec.tmpfs.items():
        options = text.split(",") if text else []
        if not {"rw", "ro"} & set(options):
            options.insert(0, "rw")
        mounts.append(_user_tmpfs(target, options, given))
    for m in spec.mounts:
        if m.type in ("tmpfs", "ramfs"):
            mounts.append(_user_tmpfs(m.target, m.options, given, kind=m.type))
        elif m.type == "devpts":
            mounts.append(_mount(clean(m.target), "devpts", "devpts", *(m.options or _DEVPTS)))
        elif m.type == "mqueue":
            mounts.append(_mount(clean(m.target), "mqueue", "mqueue", "nosuid", "noexec", "nodev"))
    if spec.init:
        if not given.init_path:
            raise UsageError("please specify a path to the container-init binary",
                             hint="Install catatonit or tini, or give --init-path.")
        mounts.append(_mount(INIT_PATH, "bind", given.init_path, "bind", "rprivate", "ro"))
    _refuse_duplicates(mounts)
    return mounts


_DEVPTS = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")


def shown_tmpfs(spec: "ContainerSpec") -> "dict[str, str]":
    """The tmpfs mounts that were asked for, target -> all their options, as `inspect` shows them."""
    asked = [(target, text.split(",")) for target, text in spec.tmpfs.items()]
    asked += [(m.target, list(m.options)) for m in spec.mounts if m.type == "tmpfs"]
    return {clean(target): ",".join(finish_options(options, tmpfs=True, flags=ST_NOSUID | ST_NODEV))
            for target, options in asked}


def _user_tmpfs(target: str, options: "Sequence[str]", given: MountInput, *, kind: str = "tmpfs") -> "OciMount":
    out = finish_options(options, tmpfs=True, flags=ST_NOSUID | ST_NODEV)
    if "U" in options:
        out += [f"uid={given.uid}", f"gid={given.gid}"]
    return _mount(clean(target), kind, kind, *out)


def _refuse_duplicates(mounts: "Sequence[OciMount]") -> None:
    seen: "set[str]" = set()
    for mount in mounts:
        target = mount["destination"]
        if target == "/":
            raise UsageError("invalid container path \"/\": it cannot be the root of the container",
                             hint="Mount it on a directory below /.")
        if target in seen:
            raise UsageError(
                f"{target}: duplicate mount destination", hint="Leave one of the two mounts away."
            )
        seen.add(target)


def _wanted(mount: "OciMount", targets: "set[str]") -> bool:
    """The user's mounts replace ours; one on /dev also takes what we would put beneath it."""
    target = mount["destination"]
    return target not in targets and not ("/dev" in targets and target.startswith("/dev/"))


def _privileged_devices(spec: "ContainerSpec", given: MountInput, targets: "set[str]",
                        base: "Sequence[OciMount]") -> "list[OciMount]":
    if not (spec.privileged and given.rootless):
        return []
    taken = {m["destination"] for m in base}
    mounts = (d.bind_mount() for d in given.host_devices)
    return [m for m in mounts if m["destination"] not in taken and _wanted(m, targets)]


def _engine_files(spec: "ContainerSpec", given: MountInput) -> "list[OciMount]":
    """/etc/hosts and the like, from the bundle; and /dev/shm."""
    mounts = []
    locked = ("ro", "nosuid", "noexec", "nodev") if spec.read_only else ()
    for target, source in given.binds.items():
        if target == "/dev/shm":
            mounts.append(_mount(target, "bind", source, "bind", "rprivate", *_shm_access(spec)))
        else:
            mounts.append(_mount(target, "bind", source, "bind", "rprivate", *locked))
    if "/dev/shm" not in given.binds:
        if spec.ipc_ns == "host":
            mounts.append(_mount("/dev/shm", "bind", "/dev/shm", "rbind", "rprivate", *_shm_access(spec)))
        elif spec.ipc_ns != "none":
            mounts.append(_mount("/dev/shm", "tmpfs", "shm", *_shm_access(spec), "mode=1777",
                                 f"size={spec.shm_size}"))
    return mounts


def _shm_access(spec: "ContainerSpec") -> "tuple[str, ...]":
    ro = ("ro",) if spec.read_only and not spec.read_only_tmpfs else ()
    return (*ro, "nosuid", "noexec", "nodev")


def _for_systemd(spec: "ContainerSpec", mounts: "list[OciMount]") -> "list[OciMount]":
    """What systemd needs as a container's init: writable /run, /tmp and a cgroup tree of its own to
    manage."""
    targets = {m["destination"] for m in mounts}
    mounts = [m for m in mounts if m["destination"] != "/sys/fs/cgroup"]
    size = (f"size={spec.shm_size_systemd}",) if spec.shm_size_systemd else ()
    mounts += [_tmpfs(t, "rw", "rprivate", "nosuid", "nodev", "tmpcopyup", *size)
               for t in ("/run", "/run/lock", "/tmp", "/var/log/journal") if t not in targets]
    if namespace(spec.cgroup_ns)[0] == "host":
        mounts.append(_mount("/sys/fs/cgroup", "bind", "/sys/fs/cgroup", "bind", "private", "rw"))
    else:
        mounts.append(_mount("/sys/fs/cgroup", "cgroup", "cgroup", "private", "rw"))
    return mounts


def _mount(destination: str, kind: str, source: str, *options: str) -> "OciMount":
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def _tmpfs(destination: str, *options: str) -> "OciMount":
    return _mount(destination, "tmpfs", "tmpfs", *options)
