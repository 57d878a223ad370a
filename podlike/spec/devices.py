"""`--device` and what it becomes in config.json."""

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:
    from podlike.spec.record import NamedTuple


class DeviceNode(NamedTuple):
    """A device of the host that a container gets.

    kind: c or b (p: a fifo). major, minor, mode, uid, gid: of the host's node; needed by rootful containers
        only.
    access: letters of r, w, m for the device cgroup.
    """

    source: str
    target: str
    access: str = "rwm"
    kind: str = "c"
    major: int = 0
    minor: int = 0
    mode: int = 0o666
    uid: int = 0
    gid: int = 0

    def bind_mount(self) -> "dict[str, Any]":
        """The mount of a container that may not make device nodes (mknod(2) fails in a user namespace)."""
        return {"destination": self.target, "type": "bind", "source": self.source,
                "options": ["slave", "nosuid", "noexec", "rw" if "w" in self.access else "ro", "rbind"]}

    def node(self) -> "dict[str, Any]":
        """An entry of linux.devices."""
        return {"path": self.target, "type": self.kind, "major": self.major, "minor": self.minor,
                "fileMode": self.mode, "uid": self.uid, "gid": self.gid}

    def cgroup_rule(self) -> "dict[str, Any]":
        """An entry of linux.resources.devices."""
        return {
            "allow": True,
            "type": self.kind,
            "major": self.major,
            "minor": self.minor,
            "access": self.access,
        }


def parse(text: str) -> "tuple[str, str, str]":
    """(source, target, access) of SRC[:DST[:rwm]] or SRC:rwm.

    Raises: UsageError in podman's words.
    """
    parts = text.split(":")
    source = parts[0]
    if len(parts) > 3 or not source:
        raise UsageError(f"invalid device specification: {text}", hint="Write SRC[:DST[:rwm]].")
    target, access = source, "rwm"
    if len(parts) > 1:
        if _is_access(parts[1]):
            access = parts[1]
        elif parts[1] and not parts[1].startswith("/"):
            raise UsageError(f'invalid device mode "{parts[1]}" in device "{text}"',
                             hint="Use letters of r, w and m, each once, or an absolute path.")
        else:
            target = parts[1] or source
    if len(parts) > 2:
        if not parts[2]:
            raise UsageError(f"empty device mode in device specification: {text}")
        if not _is_access(parts[2]):
            raise UsageError(f'invalid device mode "{parts[2]}" in device "{text}"',
                             hint="Use letters of r, w and m, each once.")
        access = parts[2]
    return source, target, access


def parse_rule(text: str) -> "dict[str, Any]":
    """--device-cgroup-rule, "c 10:200 rwm", as an entry of linux.resources.devices. Raises: UsageError."""
    words = text.split()
    numbers = words[1].split(":") if len(words) == 3 else []
    if (len(numbers) != 2 or words[0] not in ("a", "b", "c") or not _is_access(words[2])
            or not all(n == "*" or (n.isascii() and n.isdigit()) for n in numbers)):
        raise UsageError(f"invalid device cgroup rule format: '{text}'",
                         hint="Write TYPE MAJOR:MINOR ACCESS, such as 'c 10:200 rwm'; * is any number.")
    rule: "dict[str, Any]" = {"allow": True, "type": words[0], "access": words[2]}
    rule |= {key: int(n) for key, n in zip(("major", "minor"), numbers, strict=True) if n != "*"}
    return rule


def is_for_privileged(path: str) -> bool:
    """Whether a rootless privileged container gets this device of the host.

    Not the terminals: /dev/ptmx is made by the runtime, /dev/tty and the virtual consoles are the host's own.
    """
    if path in ("/dev/ptmx", "/dev/tty", "/dev/console"):
        return False
    suffix = path.removeprefix("/dev/tty")
    return suffix == path or not suffix.isdigit()


def _is_access(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)
