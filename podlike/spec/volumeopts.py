"""`volume create --opt KEY=VALUE`: what the drivers local and image understand, and the mount that comes of it.

Shown are the options as typed, with UID, GID, SIZE, INODES and NOQUOTA taken out of o=, as podman shows them.
Source: podman-volume-create(1), mount(8).
"""

import os.path

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

DRIVERS: "Final" = ("local", "image")
_LOCAL_KEYS: "Final" = frozenset(("device", "o", "type", "uid", "gid", "size", "inodes", "noquota", "copy", "nocopy"))
# What a user namespace may mount. Source: FS_USERNS_MOUNT in the kernel's file systems.
_FOR_USERS: "Final" = frozenset(("bind", "tmpfs", "ramfs", "overlay", "fuse"))
_BINDS: "Final" = frozenset(("bind", "rbind"))


class VolumeOptions(NamedTuple):
    """owned: an owner was asked for. size, inodes: as typed, "": no limit. timeout: seconds, of plugins; 0: none."""

    shown: "dict[str, str]"
    uid: int = 0
    gid: int = 0
    owned: bool = False
    size: str = ""
    inodes: str = ""
    noquota: bool = False
    timeout: int = 0


class MountPlan(NamedTuple):
    """The arguments of mount(8). type: "bind" for every kind of bind; "": mount finds out."""

    type: str
    device: str
    options: "list[str]"


def parse_pairs(items: "Iterable[str]", what: str) -> "dict[str, str]":
    """["a=b", "c"] -> {"a": "b", "c": ""}; of two values for a key the last counts. Raises: UsageError."""
    out: "dict[str, str]" = {}
    for item in items:
        key, _, value = item.partition("=")
        if not key:
            raise UsageError(f'unable to process {what}: invalid label format: "{item}"', hint="Write KEY=VALUE.")
        out[key] = value
    return out


def parse_options(given: "Mapping[str, str]") -> VolumeOptions:
    """Take the words of o= apart. Raises: UsageError."""
    shown: "dict[str, str]" = {}
    found = VolumeOptions(shown)
    for key, value in given.items():
        if key == "o":
            kept, found = _parse_words(value, shown, found)
            if kept:
                shown[key] = ",".join(kept)
        elif key.lower() in ("uid", "gid", "size", "inodes", "noquota"):
            _, found = _parse_words(f"{key}={value}" if value else key, shown, found)
        else:
            shown[key] = value
    return found


def _parse_words(text: str, shown: "dict[str, str]", found: VolumeOptions) -> "tuple[list[str], VolumeOptions]":
    kept = []
    for word in text.split(","):
        name, equals, value = word.partition("=")
        name = name.lower()
        if name in ("uid", "gid"):
            number = _number(name, value, bool(equals))
            found = found._replace(owned=True, uid=number) if name == "uid" else found._replace(owned=True, gid=number)
        elif name == "size":
            from podlike.spec.sizes import parse_size

            try:
                parse_size(value)
            except UsageError as e:
                raise UsageError(f"cannot convert size {value} to integer: {e.message}", hint=e.hint) from None
            found = found._replace(size=value)
        elif name == "inodes":
            if not value.isdigit():
                raise UsageError(f'cannot convert inodes {value} to integer: invalid syntax: "{value}"')
            found = found._replace(inodes=value)
        elif name == "noquota":
            found, value, word = found._replace(noquota=True), "true", ""
        elif name == "timeout":
            found, value, word = found._replace(timeout=_number(name, value, bool(equals))), "", ""
        else:
            name = ""
        if word:
            kept.append(word)
        if name and value and name != "timeout":
            shown[name.upper()] = value
    return kept, found


def _number(name: str, text: str, has_value: bool) -> int:
    what = {"uid": "a UID", "gid": "a GID", "timeout": "a valid timeout in seconds"}[name]
    if not has_value:
        raise UsageError(f"{name} option must provide {what}: invalid argument")
    try:
        value = int(text)
    except ValueError:
        raise UsageError(f'cannot convert {name if name == "timeout" else name.upper()} {text} to integer: invalid syntax: '
                         f'"{text}"') from None
    if value < 0:
        raise UsageError(f"volume {name} cannot be negative (got {value})")
    return value


def check_options(driver: str, options: VolumeOptions, *, rootless: bool) -> None:
    """What can be said without looking at the disk. Raises: UsageError."""
    if driver == "image":
        unknown = next((key for key in options.shown if key.lower() != "image"), None)
        if unknown is not None:
            raise UsageError(f"invalid mount option {unknown} for driver 'image': invalid argument",
                             hint="Its one option is image=NAME.")
        if not options.shown.get("image"):
            raise UsageError("must provide an image name when creating a volume with the image driver: invalid argument",
                             hint="Add --opt image=NAME.")
        return
    for key in options.shown:
        if key.lower() not in _LOCAL_KEYS:
            raise UsageError(f"invalid mount option {key} for driver 'local': invalid argument",
                             hint="Options are type, device, o, copy and nocopy.")
    _check_quota(options)
    plan = mount_plan(options.shown)
    if plan is None:
        return
    if rootless and plan.type.partition(".")[0] not in _FOR_USERS:
        what = f"a file system of type {plan.type}" if plan.type else f"the device {plan.device}"
        raise UsageError(f"create a volume of {what}: the kernel lets only root mount it",
                         hint="Have root mount it and make a volume of type=bind of it; an ordinary user can use bind, "
                              "tmpfs, ramfs, overlay and fuse.")
    if plan.type == "bind" and not plan.device:
        raise UsageError("invalid volume option device for driver 'local': type=bind needs one",
                         hint="Add --opt device=DIRECTORY.")


def _check_quota(options: VolumeOptions) -> None:
    if not (options.size or options.inodes):
        return
    if options.noquota:
        raise UsageError("volume options size and inodes cannot be used without quota")
    if options.shown.get("type") == "tmpfs":
        if options.inodes:
            raise UsageError("volume option inodes not supported on tmpfs filesystem", hint="Use o=nr_inodes=N.")
        return
    raise UsageError("volume options size and inodes not supported. Filesystem does not support Project Quota",
                     hint="Limit a volume in memory: --opt type=tmpfs --opt device=tmpfs --opt o=size=100m.")


def mount_plan(shown: "Mapping[str, str]") -> MountPlan | None:
    """What must be mounted for a local volume with these options; None: it is a plain directory."""
    lower = {key.lower(): value for key, value in shown.items()}
    kind, device = lower.get("type", ""), lower.get("device", "")
    words = [word for word in lower.get("o", "").split(",") if word]
    if kind == "bind" or (kind in ("", "none") and _BINDS & set(words)):
        recursive = ["rbind"] if "rbind" in words else ["bind"]
        more = [word for word in words if word not in _BINDS and not word.startswith(("uid=", "gid="))]
        return MountPlan("bind", _absolute(device), recursive + more)
    if not kind and not device and all(word.lower().startswith(("uid=", "gid=")) for word in words):
        return None
    return MountPlan("" if kind == "none" else kind, device or kind, words)


def _absolute(path: str) -> str:
    if not path:
        return ""
    path = os.path.abspath(path)
    return path[1:] if path.startswith("//") else path
