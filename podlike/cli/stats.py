"""podlike stats: what containers use, once or again and again."""

import os
import sys
import time

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import LATEST, container_name, latest_container
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from podlike.engine.stats import Sampler, Stats
    from podlike.spec.govalues import View
    from podlike.store.containers import Container

_CLEAR = "\033[2J\033[1;1H"
_HEADS = {"ID": "ID", "UpTime": "CPU TIME", "CPUPerc": "CPU %", "AVGCPU": "AVG CPU %", "MemUsage": "MEM USAGE / LIMIT",
          "MemUsageBytes": "MEM USAGE / LIMIT", "MemPerc": "MEM %", "NetIO": "NET IO", "BlockIO": "BLOCK IO", "PIDS": "PIDS"}
_DOCKER_HEADS = {"ID": "CONTAINER ID", "Container": "CONTAINER", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT",
                 "MemPerc": "MEM %", "NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS"}
_ROW = "\t".join(f"{{{{.{f}}}}}" for f in ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDS", "UpTime",
                                           "AVGCPU"))
_DOCKER_ROW = "\t".join(f"{{{{.{f}}}}}" for f in ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"))


def stats(call: Call) -> None:
    from podlike.cli.output import check_format
    from podlike.engine.stats import Sampler

    opts = call.opts
    if opts.all + opts.latest + bool(call.args) > 1:
        raise UsageError("--all, --latest and containers cannot be used together")
    if opts.interval < 1:
        raise UsageError("invalid interval, must be a positive number greater zero")
    check_format(opts.format)
    sampler = Sampler(call.engine, cache=call.docker)
    which = _selection(call, sampler)
    interval = 1 if call.docker and not call.changed("interval") else opts.interval
    clear = not opts.no_reset and not (call.docker and opts.no_stream) and os.isatty(1)
    if call.docker:  # its rates are of the last second, also the first ones
        sampler.sample(which())
        time.sleep(1)
    due = time.monotonic()
    while True:
        show(call, sampler.sample(which()), clear=clear)
        if opts.no_stream:
            return
        sys.stdout.flush()
        due = max(due + interval, time.monotonic())
        time.sleep(due - time.monotonic() if due > time.monotonic() else 0)


def _selection(call: Call, sampler: "Sampler") -> "Callable[[], list[Container]]":
    """A function that finds the containers anew each time."""
    from podlike.engine.query import find
    from podlike.engine.stats import Containers

    if call.opts.latest:
        return lambda: [latest_container(call)]
    if call.args:
        return lambda: [find(call.engine, container_name(name)) for name in call.args]
    containers = Containers(call.engine)

    def every() -> "list[Container]":
        # Who asked for no cgroup is listed only by name, as with podman.
        found = [c for c in containers.all() if c.spec.cgroups != "disabled"]
        if call.docker:
            found.reverse()
        return found if call.opts.all else sampler.running(found, paused=call.docker)

    return every


def show(call: Call, found: "list[Stats]", *, clear: bool) -> None:
    """Print one round."""
    from podlike.cli.output import is_json, print_json, print_rows

    if clear:
        sys.stdout.write(_CLEAR)
    if call.docker:
        views = [_docker_view(call, s) for s in found]
        print_rows(call, views, _DOCKER_ROW, format=call.opts.format, heads=_DOCKER_HEADS)
    elif is_json(call.opts.format):
        print_json([_document(call, s) for s in found], indent=1)
    else:
        print_rows(call, [_view(call, s) for s in found], _ROW, format=call.opts.format, heads=_HEADS)


def _percent(value: float) -> str:
    return f"{value:.2f}%"


def _pair(first: int, second: int, *, binary: bool = False, precision: int = 4) -> str:
    from podlike.spec.sizes import human_bytes, human_size

    size = human_bytes if binary else human_size
    return f"{size(first, precision=precision)} / {size(second, precision=precision)}"


def _traffic(s: "Stats") -> "tuple[int, int]":
    return sum(n["RxBytes"] for n in s.network.values()), sum(n["TxBytes"] for n in s.network.values())


def _id(call: Call, s: "Stats") -> str:
    return s.container.id if call.opts.no_trunc else s.container.id[:12]


def _document(call: Call, s: "Stats") -> "dict[str, str]":
    """Podman's row of --format json."""
    from podlike.spec.durations import format_duration

    return {"id": _id(call, s), "name": s.container.name, "cpu_time": format_duration(s.cpu_nanos / 1e9),
            "cpu_percent": _percent(s.cpu), "avg_cpu": _percent(s.average_cpu), "mem_usage": _pair(s.memory, s.memory_limit),
            "mem_percent": _percent(s.memory_percent), "net_io": _pair(*_traffic(s)),
            "block_io": _pair(s.block_input, s.block_output), "pids": str(s.pids)}


def _view(call: Call, s: "Stats") -> "View":
    from podlike.spec.govalues import Nanoseconds, View

    used = Nanoseconds(s.cpu_nanos)
    doc = {"AvgCPU": s.average_cpu, "ContainerID": s.container.id, "Name": s.container.name, "PerCPU": None, "CPU": s.cpu,
           "CPUNano": s.cpu_nanos, "CPUSystemNano": s.system_nanos, "SystemNano": s.at, "MemUsage": s.memory,
           "MemLimit": s.memory_limit, "MemPerc": s.memory_percent, "Network": s.network, "BlockInput": s.block_input,
           "BlockOutput": s.block_output, "PIDs": s.pids, "UpTime": used, "Duration": s.cpu_nanos}
    fields: "dict[str, Any]" = {
        **doc, "ID": _id(call, s), "CPUPerc": _percent(s.cpu), "AVGCPU": _percent(s.average_cpu),
        "Up": lambda: _document(call, s)["cpu_time"], "MemUsage": lambda: _pair(s.memory, s.memory_limit),
        "MemUsageBytes": lambda: _pair(s.memory, s.memory_limit, binary=True), "MemPerc": _percent(s.memory_percent),
        "NetIO": lambda: _pair(*_traffic(s)), "BlockIO": lambda: _pair(s.block_input, s.block_output), "PIDS": str(s.pids)}
    return View(fields, doc)


def _docker_view(call: Call, s: "Stats") -> "View":
    from podlike.spec.govalues import View

    memory = s.memory - s.cache if s.cache < s.memory else s.memory
    share = 100 * memory / s.memory_limit if s.memory_limit else 0.0
    typed = next((word for word in call.args if word.lstrip("/") == s.container.name or s.container.id.startswith(word)), "")
    fields = {"BlockIO": _pair(s.block_input, s.block_output, precision=3), "CPUPerc": _percent(s.cpu),
              "Container": typed or _id(call, s), "ID": _id(call, s), "MemPerc": _percent(share),
              "MemUsage": _pair(memory, s.memory_limit, binary=True), "Name": s.container.name,
              "NetIO": _pair(*_traffic(s), precision=3), "PIDs": str(s.pids)}
    return View(dict(fields), fields)


command = Command(
    "stats", stats, usage="[CONTAINER...]", summary="Display a live stream of container resource usage statistics",
    description="Display percentage of CPU, memory, network I/O, block I/O and PIDs for one or more containers.",
    flags=(Flag("all", "a", "bool", "Show all containers. Only running containers are shown by default. The default is false"),
           Flag("format", "", "string", "Pretty-print container statistics to JSON or using a Go template"),
           Flag("interval", "i", "int", "Time in seconds between stats reports", 5), LATEST,
           Flag("no-reset", "", "bool", "Disable resetting the screen between intervals"),
           Flag("no-stream", "", "bool", "Disable streaming stats and only pull the first result, default setting is false"),
           Flag("no-trunc", "", "bool", "Do not truncate output")),
    examples=("stats --all --no-stream", "stats ctrID",
              'stats --no-stream --format "table {{.ID}} {{.Name}} {{.MemUsage}}" ctrID'))
