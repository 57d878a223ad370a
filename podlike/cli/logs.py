"""podlike logs: what containers wrote."""

import sys

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import LATEST, latest_container, one_container
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from podlike.engine.core import Engine
    from podlike.engine.logs import LogLine
    from podlike.store.containers import Container

_COLORS = (31, 32, 33, 34, 35, 36)


def logs(call: Call) -> None:
    from podlike.spec.durations import parse_time

    opts = call.opts
    if opts.latest and call.args:
        raise UsageError("--latest and containers cannot be used together")
    if not opts.latest and not call.args:
        raise UsageError("specify at least one container name or ID to log")
    since = parse_time(opts.since) if opts.since else 0.0
    until = parse_time(opts.until, ahead=True) if opts.until else 0.0
    containers = [latest_container(call)] if opts.latest else [one_container(call, a) for a in call.args]
    writer = _Writer(call, containers)
    from podlike.engine.logs import logs as read_logs

    def stream(number: int, engine: "Engine") -> "Iterator[LogLine]":
        return read_logs(engine, containers[number], follow=opts.follow, since=since, until=until, tail=opts.tail)

    if len(containers) == 1:
        for line in stream(0, call.engine):
            writer.write(containers[0], line)
    elif opts.follow:
        _follow_all(writer, containers, lambda n: stream(n, call.session.new_engine()))
    else:
        merged = [(line.time, n, line) for n in range(len(containers)) for line in stream(n, call.engine)]
        for _, n, line in sorted(merged, key=lambda item: item[:2]):
            writer.write(containers[n], line)


class _Writer:
    """Formats lines; one writer for all containers, so that lines never mix."""

    def __init__(self, call: Call, containers: "list[Container]") -> None:
        self._opts = call.opts
        self._several = len(containers) > 1
        self._width = max((len(c.name) if call.opts.names else 12) for c in containers)
        self._color = {c.id: _COLORS[n % len(_COLORS)] for n, c in enumerate(containers)}
        self._mid_line: "dict[tuple[str, str], bool]" = {}
        self._last = sys.stdout

    def write(self, container: "Container", line: "LogLine") -> None:
        opts = self._opts
        # A line longer than the monitor's buffer comes in pieces; only its first piece gets a prefix.
        key = (container.id, line.stream)
        begins = not self._mid_line.get(key, False)
        self._mid_line[key] = line.partial
        head = self._prefix(container, line) if begins else ""
        out = sys.stderr if line.stream == "stderr" else sys.stdout
        if out is not self._last:  # both may be the same file or terminal: keep the order
            self._last.buffer.flush()
            self._last = out
        out.buffer.write(head.encode() + line.text + (b"" if line.partial else b"\n"))
        if opts.follow:
            out.buffer.flush()

    def _prefix(self, container: "Container", line: "LogLine") -> str:
        opts = self._opts
        name = ""
        if opts.names or self._several:
            name = f"{(container.name if opts.names else container.id[:12]).ljust(self._width)} "
            if opts.color:
                name = f"\x1b[{self._color[container.id]}m{name}\x1b[0m"
        return name + (f"{line.time} " if opts.timestamps else "")


def _follow_all(writer: _Writer, containers: "list[Container]", stream: "Callable[[int], Iterator[LogLine]]") -> None:
    """A thread per container reads, this one writes; the first failure ends all."""
    import queue
    import threading

    lines: "queue.SimpleQueue[tuple[int, LogLine | Exception | None]]" = queue.SimpleQueue()

    def read(number: int) -> None:
        try:
            for line in stream(number):
                lines.put((number, line))
        except Exception as e:
            lines.put((number, e))
        else:
            lines.put((number, None))

    for n in range(len(containers)):
        threading.Thread(target=read, args=(n,), daemon=True).start()
    open_streams = len(containers)
    while open_streams:
        number, item = lines.get()
        if item is None:
            open_streams -= 1
        elif isinstance(item, Exception):
            raise item
        else:
            writer.write(containers[number], item)


command = Command(
    "logs", logs, usage="CONTAINER [CONTAINER...]", summary="Fetch the logs of one or more containers",
    description="Retrieves logs for one or more containers.\n\nThis does not guarantee execution order when combined "
                "with podlike run (i.e., your run may not have generated any logs at the time you execute podlike logs).",
    flags=(Flag("color", "", "bool", "Output the containers with different colors in the log."),
           Flag("details", "", "bool", "Show extra details provided to the logs", hidden=True),
           Flag("follow", "f", "bool", "Follow log output.  The default is false"), LATEST,
           Flag("names", "n", "bool", "Output the container name in the log"),
           Flag("since", "", "string", "Show logs since TIMESTAMP"),
           Flag("tail", "", "int", "Output the specified number of LINES at the end of the logs.  Defaults to -1, which "
                                   "prints all lines", -1),
           Flag("timestamps", "t", "bool", "Output the timestamps in the log"),
           Flag("until", "", "string", "Show logs until TIMESTAMP")),
    examples=("logs ctrID", "logs --names ctrID1 ctrID2", "logs --tail 2 mywebserver",
              "logs --follow=true --since 10m ctrID"))
