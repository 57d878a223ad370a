"""podlike logs: what containers wrote."""

import sys

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import LATEST, latest_container, one_container
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from podlike.engine.logs import Request
    from podlike.spec.loglines import LogLine
    from podlike.store.containers import Container

_COLORS = (37, 31, 33, 34, 35, 36, 32)  # podman's, in its order
_PIECES_MAX = 8192  # of one line that are kept until its end comes: 64 MiB at least


def logs(call: Call) -> None:
    opts = call.opts
    if opts.latest and call.args:
        raise UsageError("--latest and containers cannot be used together")
    if not opts.latest and not call.args:
        raise UsageError("specify at least one container name or ID to log")
    show(call, [latest_container(call)] if opts.latest else [one_container(call, a) for a in call.args])


def show(call: Call, containers: "list[Container]") -> None:
    """What these containers wrote, as the options ask for it."""
    opts, request = call.opts, _request(call)
    if len(containers) == 1 and not (opts.timestamps or opts.names or opts.color or getattr(opts, "details", False)):
        writer = _Writer(call, containers)
        for stream, text in call.api.containers.log_text(containers[0], request):
            writer.put(stream, text)
    elif len(containers) == 1:
        _print(_Writer(call, containers), containers[0], call.api.containers.log_lines(containers[0], request))
    elif opts.follow:
        from podlike.library.engine import Engine

        _follow_all(_Writer(call, containers), containers,
                    lambda n: Engine.around(call.session.new_engine()).containers.log_lines(containers[n], request))
    else:
        from heapq import merge

        from podlike.spec.loglines import unix_time

        def lines(number: int) -> "Iterator[tuple[float, int, LogLine]]":
            for line in _joined(call.api.containers.log_lines(containers[number], request)):
                yield unix_time(line.time), number, line

        writer = _Writer(call, containers)
        for _, n, line in merge(*map(lines, range(len(containers))), key=lambda item: item[:2]):
            writer.write(containers[n], line)


def _request(call: Call) -> "Request":
    from podlike.engine.logs import Request
    from podlike.spec.durations import parse_time

    opts = call.opts
    return Request(follow=opts.follow, since=parse_time(opts.since) if opts.since else 0.0,
                   until=parse_time(opts.until, ahead=True) if opts.until else 0.0, tail=_tail(opts.tail))


def _tail(text: str | int) -> int:
    """docker says "all"; any negative number means it too."""
    if text == "all":
        return -1
    try:
        return int(text)
    except ValueError:
        raise UsageError(f'invalid argument "{text}" for "--tail" flag: not a number of lines') from None


def _joined(pieces: "Iterator[LogLine]") -> "Iterator[LogLine]":
    """Lines out of pieces, so that those of several containers can be mixed. What has no end yet comes last."""
    held: "dict[str, tuple[LogLine, list[bytes]]]" = {}
    for piece in pieces:
        first, parts = held.setdefault(piece.stream, (piece, []))
        parts.append(piece.text)
        if not piece.partial or len(parts) > _PIECES_MAX:
            del held[piece.stream]
            first.text, first.partial = b"".join(parts), piece.partial
            yield first
    for first, parts in held.values():
        first.text, first.partial = b"".join(parts), False  # another container's line comes next
        yield first


def _print(writer: "_Writer", container: "Container", lines: "Iterator[LogLine]") -> None:
    for line in lines:
        writer.write(container, line)


class _Writer:
    """Formats lines; one writer for all containers, so that lines never mix."""

    def __init__(self, call: Call, containers: "list[Container]") -> None:
        self._opts = call.opts
        self._several = len(containers) > 1
        self._color = {c.id: f"\x1b[{_COLORS[n % len(_COLORS)]}m" for n, c in enumerate(containers)}
        self._mid_line: "dict[tuple[str, str], bool]" = {}
        self._last = sys.stdout

    def put(self, stream: str, data: bytes) -> None:
        out = sys.stderr if stream == "stderr" else sys.stdout
        if out is not self._last:  # both may be the same file or terminal: keep the order
            self._last.buffer.flush()
            self._last = out
        out.buffer.write(data)
        if self._opts.follow:
            out.buffer.flush()

    def write(self, container: "Container", line: "LogLine") -> None:
        # A line longer than the monitor's buffer comes in pieces; only its first piece gets a prefix.
        key = (container.id, line.stream)
        text = line.text
        if not self._mid_line.get(key, False):
            text = self._prefix(container, line).encode() + text
        self._mid_line[key] = line.partial
        if self._opts.color:
            text = self._color[container.id].encode() + text + b"\x1b[0m"
        self.put(line.stream, text if line.partial else text + b"\n")

    def _prefix(self, container: "Container", line: "LogLine") -> str:
        opts = self._opts
        head = ""
        if self._several or opts.names:
            head = f"{container.name if opts.names else container.id[:12]} "
        if opts.timestamps:
            head += f"{line.time} "
        if getattr(opts, "details", False):
            from urllib.parse import quote_plus

            head += ",".join(f"{quote_plus(k)}={quote_plus(v)}" for k, v in sorted((line.attrs or {}).items())) + " "
        return head


def _follow_all(writer: _Writer, containers: "list[Container]", stream: "Callable[[int], Iterator[LogLine]]") -> None:
    """A thread per container reads, this one writes; the first failure ends all."""
    import queue
    import threading

    # Bounded, so that a slow terminal does not make us hold all logs.
    lines: "queue.Queue[tuple[int, LogLine | Exception | None]]" = queue.Queue(1000)

    def read(number: int) -> None:
        try:
            for line in _joined(stream(number)):
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


_ABOUT = ("Retrieves logs for one or more containers.\n\nThis does not guarantee execution order when combined with podlike run "
          "(i.e., your run may not have generated any logs at the time you execute podlike logs).")
_TAIL = "Output the specified number of LINES at the end of the logs.  Defaults to -1, which prints all lines"
_COMMON = (Flag("color", "", "bool", "Output the containers with different colors in the log."),
           Flag("follow", "f", "bool", "Follow log output.  The default is false"), LATEST,
           Flag("since", "", "string", "Show logs since TIMESTAMP"),
           Flag("timestamps", "t", "bool", "Output the timestamps in the log"),
           Flag("until", "", "string", "Show logs until TIMESTAMP"))
_DETAILS = "Show the tag and the labels that each line of the log carries"

command = Command(
    "logs", logs, usage="CONTAINER [CONTAINER...]", summary="Fetch the logs of one or more containers", description=_ABOUT,
    flags=(*_COMMON, Flag("details", "", "bool", _DETAILS, hidden=True),
           Flag("names", "n", "bool", "Output the container name in the log"), Flag("tail", "", "int", _TAIL, -1)),
    examples=("logs ctrID", "logs --names ctrID1 ctrID2", "logs --tail 2 mywebserver",
              "logs --follow=true --since 10m ctrID"))

# docker's -n is --tail.
docker_command = Command(
    "logs", logs, usage="CONTAINER", summary="Fetch the logs of a container", description=_ABOUT,
    flags=(*_COMMON, Flag("details", "", "bool", _DETAILS), Flag("names", "", "bool", "Output the container name in the log"),
           Flag("tail", "n", "string", "Number of lines to show from the end of the logs", "all")),
    examples=("logs -f web", "logs -n 20 -t web"))
