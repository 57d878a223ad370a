"""podlike events: what happened, and what happens."""

import sys

from podlike.cli.command import Call, Command, Flag, no_args
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from podlike.spec.events import Event


def events(call: Call) -> None:
    from podlike.spec.eventfilters import event_filter

    opts = call.opts
    since, until = _time("since", opts.since), _time("until", opts.until)
    passes = event_filter(opts.filter, since=since, until=until)
    show = _docker(call) if call.docker else _podman(call)
    for event in call.api.system.events_that(passes, since=since, until=until, stream=call.docker or opts.stream):
        text = show(event)
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()


def _time(name: str, text: str) -> float:
    from podlike.spec.durations import parse_time

    try:
        return parse_time(text, ahead=name == "until") if text else 0.0
    except UsageError as e:
        raise UsageError(f"failed to parse event filters: unable to convert {name} time of {text}: {e.message}",
                         hint=e.hint) from None


def _podman(call: Call) -> "Callable[[Event], str]":
    from podlike.cli.output import is_json, row_template
    from podlike.spec import eventview
    from podlike.spec.govalues import View, to_json

    opts = call.opts
    if not call.changed("format"):
        return lambda event: eventview.human(event, truncate=not opts.no_trunc) + "\n"
    if is_json(opts.format):
        return lambda event: to_json(eventview.document(event)) + "\n"
    template = row_template(call, opts.format)
    return lambda event: template.execute(View(eventview.fields(event), lambda: eventview.document(event)))


def _docker(call: Call) -> "Callable[[Event], str]":
    from podlike.cli.output import row_template
    from podlike.spec import dockerevents
    from podlike.spec.govalues import View, to_json

    def told(show: "Callable[[Event], str]") -> "Callable[[Event], str]":
        return lambda event: show(event) if dockerevents.action(event) else ""

    if not call.opts.format:
        return told(lambda event: dockerevents.human(event) + "\n")
    if call.opts.format == "json":
        return told(lambda event: to_json(dockerevents.document(event)) + "\n")
    template = row_template(call, call.opts.format)
    return told(lambda event: template.execute(View(dockerevents.fields(event), lambda: dockerevents.document(event))))


_COMMON = (Flag("filter", "f", "array", "filter output"),
           Flag("format", "", "string", "format the output using a Go template"),
           Flag("since", "", "string", "show all events created since timestamp"),
           Flag("until", "", "string", "show all events until timestamp"))
_EXAMPLES = ("events", "events --filter event=create", "events --format {{.Image}}", "events --since 1h30s")

command = Command(
    "events", events, args=no_args, summary="Show podlike system events",
    description="Monitor podlike system events.\n\nBy default, streaming mode is used, printing new events as they occur.  "
                "Previous events can be listed via --since and --until.",
    flags=(*_COMMON, Flag("no-trunc", "", "bool", "do not truncate the output", True),
           Flag("stream", "", "bool", "stream events and do not exit when returning the last known event", True)),
    examples=_EXAMPLES)

docker_command = Command(
    "events", events, args=no_args, summary="Get real time events from the server",
    description="Get real time events from the server", flags=_COMMON, examples=_EXAMPLES)
