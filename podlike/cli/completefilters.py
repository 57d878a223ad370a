"""Keys and values of --filter, by command."""

from podlike.cli.complete import NO_FILES, NO_SPACE, Line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from podlike.cli.completers import Answer

_CONTAINER: "Final" = ("ancestor", "before", "command", "exited", "expose", "health", "id", "label", "name", "network", "pod",
                       "publish", "restart-policy", "should-start-on-boot", "since", "status", "until", "volume")
_PRUNE: "Final" = ("label", "until")
_KEYS: "Final" = {
    "images": ("before", "containers", "dangling", "digest", "id", "intermediate", "label", "manifest", "readonly", "reference",
               "since", "until"),
    "events": ("container", "event", "image", "label", "pod", "type", "volume"),
    "volume": ("dangling", "driver", "label", "name", "opt", "scope", "since", "until"),
    "network": ("dangling", "driver", "id", "label", "name", "until"),
    "pod": ("ctr-ids", "ctr-names", "ctr-number", "ctr-status", "id", "label", "name", "network", "status", "until"),
    "search": ("is-automated", "is-official", "stars"), "secret": ("id", "name"),
    "quadlet": ("name", "pod", "status"), "prune": _PRUNE, "container": _CONTAINER}
_VALUES: "Final" = {
    "status": ("configured", "created", "dead", "exited", "initialized", "paused", "removing", "restarting", "running", "stopped",
               "stopping", "unknown"),
    "dangling": ("true", "false"), "readonly": ("true", "false"), "intermediate": ("true", "false"),
    "manifest": ("true", "false"), "containers": ("true", "false", "external"), "should-start-on-boot": ("true", "false"),
    "health": ("healthy", "none", "starting", "unhealthy"), "driver": ("local", "image"), "scope": ("local",),
    "type": ("artifact", "container", "image", "network", "pod", "secret", "system", "volume"), "is-official": ("true", "false"),
    "restart-policy": ("always", "no", "on-failure", "unless-stopped"), "is-automated": ("true", "false"),
    "event": ("attach", "create", "died", "exec", "exec_died", "health_status", "init", "kill", "mount", "oom", "pause", "prune",
              "pull", "push", "remove", "rename", "restart", "start", "stop", "tag", "unpause", "untag", "update")}
_NAMES: "Final" = {"ancestor": "IMAGE", "before": "", "since": "", "volume": "VOLUME", "network": "NETWORK", "pod": "POD",
                   "container": "CONTAINER", "image": "IMAGE", "reference": "IMAGE"}


def filters(line: Line) -> "Answer":
    key, equals, _ = line.last.partition("=")
    kind = _kind(line)
    if not equals:
        return [(f"{name}=", "") for name in _KEYS[kind]], NO_FILES | NO_SPACE
    key = key.removesuffix("!")
    head = line.last[:line.last.index("=") + 1]
    if key in _VALUES:
        return [(head + value, "") for value in _VALUES[key]], NO_FILES
    what = _NAMES.get(key)
    if key == "name":
        what = {"container": "CONTAINER", "volume": "VOLUME", "network": "NETWORK", "pod": "POD"}.get(kind, "")
    elif key in ("before", "since"):
        what = {"images": "IMAGE", "container": "CONTAINER", "volume": "VOLUME"}.get(kind, "")
    if not what:
        return [], NO_FILES
    from podlike.cli.completers import KINDS

    return [(head + value, text) for value, text in KINDS[what](line)[0]], NO_FILES


def _kind(line: Line) -> str:
    level = line.level
    if level in ("images", "image list", "image prune"):
        return "images" if level != "image prune" else "prune"
    if level.endswith("events"):
        return "events"
    if level in ("system prune", "container prune"):
        return "prune"
    first = level.split(" ")[0]
    return first if first in _KEYS else "search" if level.endswith("search") else "container"
