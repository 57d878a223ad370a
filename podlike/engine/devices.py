"""Device nodes of the host that containers get."""

import os
import stat

from podlike.errors import UsageError
from podlike.spec import devices

_PRIVILEGED_SKIPS = ("/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/.lxc", "/dev/.udev", "/dev/console")


def look_up_devices(asked: list[str]) -> list[devices.DeviceNode]:
    """--device values as nodes; a directory stands for all devices below it. Raises: UsageError."""
    found = []
    for text in asked:
        source, target, access = devices.parse(text)
        try:
            st = os.stat(source)
        except OSError as e:
            raise UsageError(f"stat {source}: {(e.strerror or str(e)).lower()}",
                             hint="Give --device the path of a device that exists on this host.") from e
        if stat.S_ISDIR(st.st_mode):
            found += [devices.DeviceNode(**(d._asdict() | {"target": target + d.source[len(source):], "access": access}))
                      for d in _below(source)]
        elif stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
            found.append(_node(source, target, access, st))
        else:
            raise UsageError(f"use device {source}: not a device node", hint="Mount files and directories with -v.")
    return found


def host_devices() -> list[devices.DeviceNode]:
    """All of /dev that a privileged container can see."""
    return [d for d in _below("/dev") if devices.is_for_privileged(d.target)]


def _below(directory: str) -> list[devices.DeviceNode]:
    found: list[devices.DeviceNode] = []
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return found
    for entry in entries:
        try:
            st = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISDIR(st.st_mode):
            if entry.path not in _PRIVILEGED_SKIPS:
                found += _below(entry.path)
        elif (stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode)) and entry.path not in _PRIVILEGED_SKIPS:
            found.append(_node(entry.path, entry.path, "rwm", st))
    return found


def _node(source: str, target: str, access: str, st: os.stat_result) -> devices.DeviceNode:
    return devices.DeviceNode(source=source, target=target, access=access,
                              kind="c" if stat.S_ISCHR(st.st_mode) else "b", major=os.major(st.st_rdev),
                              minor=os.minor(st.st_rdev), mode=stat.S_IMODE(st.st_mode), uid=st.st_uid, gid=st.st_gid)
