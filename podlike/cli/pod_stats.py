"""podlike pod stats: what the containers of pods use, once or again and again."""

import os
import sys
import time

from podlike.cli.command import Call, Command, Flag
from podlike.cli.pod import LATEST
from podlike.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from podlike.engine.stats import Sampler, Stats
    from podlike.spec.govalues import View
    from podlike.store.containers import Container
    from podlike.store.pods import Pod

_CLEAR: "Final" = "\033[2J\033[1;1H"
_FIELDS: "Final" = ("Pod", "CID", "Name", "CPU", "MemUsage", "Mem", "NetIO", "BlockIO", "PIDS")
_ROW: "Final" = "\t".join(f"{{{{.{f}}}}}" for f in _FIELDS)
_HEADS: "Final" = {"Pod": "POD", "CID": "CID", "CPU": "CPU %", "MemUsage": "MEM USAGE/ LIMIT", "Mem": "MEM %", "NetIO": "NET IO",
                   "MemUsageBytes": "MEM USAGE/ LIMIT", "BlockIO": "BLOCK IO", "PIDS": "PIDS"}
_INTERVAL: "Final" = 1.0  # seconds


def stats(call: Call) -> None:
    from podlike.cli.output import check_format
    from podlike.engine.stats import Sampler

    opts = call.opts
    if opts.all + opts.latest + bool(call.args) > 1:
        raise UsageError("--all, --latest and arguments cannot be used together")
    check_format(opts.format)
    sampler = Sampler(call.engine)
    clear = not opts.no_reset and os.isatty(1)
    while True:
        show(call, _sample(call, sampler), clear=clear)
        if opts.no_stream:
            return
        sys.stdout.flush()
        time.sleep(_INTERVAL)


def _sample(call: Call, sampler: "Sampler") -> "list[tuple[Pod, Stats]]":
    """Of the containers that run in the pods that are meant, looked up anew each time. Raises: NotFoundError."""
    from podlike.engine.pods.members import members

    rows: "list[tuple[Pod, Container]]" = []
    for pod in _pods(call):
        rows += [(pod, c) for c in sampler.running(members(call.engine, pod), paused=True)]
    return list(zip((pod for pod, _ in rows), sampler.sample(c for _, c in rows), strict=True))


def _pods(call: Call) -> "list[Pod]":
    """Without a name: all, and a stopped one has no rows."""
    from podlike.engine.pods.members import find, latest

    if call.opts.latest:
        return [latest(call.engine)]
    try:
        return [find(call.engine, name) for name in call.args] or call.engine.pods.all()
    except NotFoundError as e:
        e.message = f"unable to get list of pods: {e.message}"
        raise


def show(call: Call, found: "list[tuple[Pod, Stats]]", *, clear: bool) -> None:
    """Print one round."""
    from podlike.cli.output import is_json, print_json, print_rows

    if is_json(call.opts.format):
        print_json([document(pod, s) for pod, s in found], indent=5)
        return
    if clear:
        sys.stdout.write(_CLEAR)
    views = [_view(document(pod, s)) for pod, s in found]
    if call.opts.format:
        if views:
            print_rows(call, views, _ROW, format=call.opts.format, heads=_HEADS)
        return
    print_rows(call, views or [_view(dict.fromkeys(_FIELDS, "--"))], _ROW, format="", heads=_HEADS, indent=2)


def document(pod: "Pod", s: "Stats") -> "dict[str, str]":
    """Podman's row, all of it words."""
    network = [(n["RxBytes"], n["TxBytes"]) for n in s.network.values()]
    return {"CPU": f"{s.cpu:.2f}%", "MemUsage": _pair(s.memory, s.memory_limit),
            "MemUsageBytes": _pair(s.memory, s.memory_limit, binary=True), "Mem": f"{s.memory_percent:.2f}%",
            "NetIO": _pair(sum(n[0] for n in network), sum(n[1] for n in network)),
            "BlockIO": _pair(s.block_input, s.block_output), "PIDS": str(s.pids) if s.pids else "--", "Pod": pod.id[:12],
            "CID": s.container.id[:12], "Name": s.container.name}


def _pair(first: int, second: int, *, binary: bool = False) -> str:
    from podlike.spec.sizes import human_bytes, human_size

    if not first and not second:
        return "-- / --"
    size = human_bytes if binary else human_size
    return f"{size(first, precision=4)} / {size(second, precision=4)}"


def _view(doc: "dict[str, str]") -> "View":
    from podlike.spec.govalues import View

    return View(dict(doc), doc)


command = Command(
    "stats", stats, usage="[POD...]",
    summary="Display a live stream of resource usage statistics for the containers in one or more pods",
    description="Display the containers' resource-usage statistics of one or more running pod",
    flags=(Flag("all", "a", "bool", "Provide stats for all pods"),
           Flag("format", "", "string", "Pretty-print container statistics to JSON or using a Go template"), LATEST,
           Flag("no-reset", "", "bool", "Disable resetting the screen when streaming"),
           Flag("no-stream", "", "bool", "Disable streaming stats and only pull the first result")),
    examples=("pod stats", "pod stats a69b23034235 named-pod", "pod stats --all"))
