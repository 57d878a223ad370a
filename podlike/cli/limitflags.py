"""The flags of cgroup limits that `run`, `create`, `update` and pods share, as fields of ContainerSpec."""

from podlike import log
from podlike.cli.options import LIMIT_FLAGS
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.cli.command import Call

_MODES = ("strict", "best-effort")


def limit_fields(call: "Call") -> "dict[str, Any]":
    """Fields and their values of those of LIMIT_FLAGS that were given; a command may have fewer. Raises: UsageError."""
    given = [name for name in LIMIT_FLAGS if call.changed(name)]
    return {name.replace("-", "_"): value for name in given if (value := _value(call, name)) is not None}


def _value(call: "Call", name: str) -> "Any":
    value = getattr(call.opts, name.replace("-", "_"))
    if name in ("cpu-rt-period", "cpu-rt-runtime"):
        if value:
            log.warning(f"Realtime {name.rpartition('-')[2]} not supported on cgroups V2 systems")
        return None
    if name == "memory-swappiness" and not -1 <= value <= 100:
        raise UsageError(f"invalid value: {value}, valid memory swappiness range is 0-100")
    if name == "limits" and value not in _MODES:
        raise UsageError(f'invalid --limits "{value}"', hint=f"Use {' or '.join(_MODES)}.")
    if name == "cgroup-conf":
        return cgroup_conf(value)
    if name == "blkio-weight":
        from podlike.spec.iolimits import parse_weight

        return parse_weight(value)
    if isinstance(value, list):
        from podlike.spec.iolimits import parse_devices

        return parse_devices(name.replace("-", "_"), value)
    return value


def cgroup_conf(texts: "list[str]") -> "dict[str, str]":
    """{file: text} of --cgroup-conf KEY=VALUE. Raises: UsageError."""
    out = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError("--cgroup-conf must be formatted KEY=VALUE", hint="For example memory.high=1073741824.")
        head, dot, tail = key.partition(".")
        if not (head and dot and tail) or "/" in key:
            raise UsageError(f'invalid --cgroup-conf "{key}": it is not the name of a cgroup v2 file',
                             hint="Write CONTROLLER.FILE=TEXT, for example memory.high=1073741824.")
        out[key] = value
    return out
