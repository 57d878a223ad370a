"""podlike wait: block until containers reach a state, print their exit codes."""

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import LATEST, latest_container, one_container
from podlike.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from podlike.engine.core import Engine
    from podlike.store.containers import Container

CONDITIONS = ("configured", "created", "exited", "healthy", "initialized", "paused", "removing", "running", "stopped",
              "stopping", "unhealthy", "unknown")


def wait(call: Call) -> int:
    opts = call.opts
    if opts.latest and call.args:
        raise UsageError("--latest and containers cannot be used together")
    if not opts.latest and not call.args:
        raise UsageError(f'"{call.path}" requires a name, id, or the "--latest" flag')
    interval = parse_interval(opts.interval)
    for condition in opts.condition:
        if condition not in CONDITIONS:
            raise UsageError(f'unknown container state: {condition}: invalid argument',
                             hint=f"States are {', '.join(CONDITIONS)}.")
    conditions = tuple("created" if c == "configured" else c for c in opts.condition) or ("stopped",)
    from podlike.engine.wait import wait as wait_for

    def find(name: str | None) -> "Container | None":
        try:
            return latest_container(call) if name is None else one_container(call, name)
        except NotFoundError:
            if not opts.ignore:
                raise
            return None

    def wait_one(engine: "Engine", container: "Container | None") -> int:
        if container is None:
            return -1
        return wait_for(engine, container, conditions=conditions, interval=interval,
                        unstarted_ends=not (call.docker or opts.condition))

    names = [None] if opts.latest else call.args
    if opts.exit_first_match:
        found = [c for c in map(find, names) if c is not None]
        if found:
            call.out(str(_first(call, found, wait_one)))
        return 0
    return call.each(names, lambda name: wait_one(call.engine, find(name)))


def _first(call: Call, containers: "list[Container]", wait_one: "Callable[[Engine, Container], int]") -> int:
    """The code of whichever reaches its state first; the others are waited for no longer. Raises: its error."""
    import queue
    import threading

    results: "queue.Queue[int | Exception]" = queue.Queue()

    def follow(container: "Container") -> None:
        try:
            results.put(wait_one(call.session.new_engine(), container))
        except Exception as e:
            results.put(e)

    for container in containers:
        threading.Thread(target=follow, args=(container,), daemon=True).start()
    first = results.get()
    if isinstance(first, Exception):
        raise first
    return first


def parse_interval(text: str) -> float:
    """Seconds from a Go duration, or from a bare number of milliseconds. Raises: UsageError."""
    if text.isascii() and text.isdigit():
        return int(text) / 1000
    from podlike.spec.durations import parse_duration

    return parse_duration(text)


command = Command(
    "wait", wait, usage="CONTAINER [CONTAINER...]", summary="Block on one or more containers",
    description="Block until one or more containers stop and then print their exit codes.",
    flags=(Flag("condition", "", "strings", "Condition to wait on"),
           Flag("exit-first-match", "", "bool", "Wait for exit of first container which matches conditions, ignore other ones"),
           Flag("ignore", "", "bool", "Ignore if a container does not exist"),
           Flag("interval", "i", "string", "Time Interval to wait before polling for completion", "250ms"), LATEST),
    examples=("wait --interval 5s ctrID", "wait ctrID1 ctrID2"))
