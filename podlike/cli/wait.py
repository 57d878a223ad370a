"""podlike wait: block until containers reach a state, print their exit codes."""

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import LATEST, latest_container, one_container
from podlike.errors import NotFoundError, UsageError

CONDITIONS = ("configured", "created", "exited", "healthy", "initialized", "paused", "removing", "running", "stopped",
              "stopping", "unhealthy")


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

    def one(name: str | None) -> int | None:
        try:
            container = latest_container(call) if name is None else one_container(call, name)
        except NotFoundError:
            if not opts.ignore:
                raise
            return -1
        return wait_for(call.engine, container, conditions=conditions, interval=interval,
                        unstarted_ends=not (call.docker or opts.condition))

    return call.each([None] if opts.latest else call.args, one)


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
           Flag("ignore", "", "bool", "Ignore if a container does not exist"),
           Flag("interval", "i", "string", "Time Interval to wait before polling for completion", "250ms"), LATEST),
    examples=("wait --interval 5s ctrID", "wait ctrID1 ctrID2"))
