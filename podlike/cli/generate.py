"""podlike generate systemd: units that run containers."""

import os
import sys

from podlike.cli.command import Call, Command, Flag, exactly
from podlike.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.spec.unittext import UnitOptions

_DEPRECATED = """
DEPRECATED command:
It is recommended to use Quadlets for running containers and pods under systemd.

Please refer to podman-systemd.unit(5) for details.
"""


def systemd(call: Call) -> None:
    sys.stderr.write(_DEPRECATED)  # podman's words, which scripts filter out
    options = _options(call)
    if call.opts.format not in ("", "json"):
        raise UsageError(f"unknown --format argument: {call.opts.format}", hint="Use json, or leave --format out.")
    units = _units(call, options)
    if call.opts.files:
        from podlike.engine.units import write_units

        units = write_units(os.getcwd(), units)
        _tell_linger(call)
    if call.opts.format:
        call.out(_go_json(units))
    else:
        for text in units.values():
            call.out(text, end="\n" if call.opts.files else "")


def _go_json(units: dict[str, str]) -> str:
    import json

    text = json.dumps(dict(sorted(units.items())), indent=1, ensure_ascii=False)
    return text.translate({ord(c): f"\\u{ord(c):04x}" for c in "<>&"})


def _units(call: Call, options: "UnitOptions") -> dict[str, str]:
    from podlike.cli.createcommand import read_create, read_pod_create
    from podlike.cli.options import container_name
    from podlike.engine import query
    from podlike.engine.pods.members import find
    from podlike.engine.units import container_units, pod_units

    name, prog = call.args[0], call.session.prog
    try:
        container = query.find(call.engine, container_name(name))
    except NotFoundError as no_container:
        try:
            pod = find(call.engine, name)
        except NotFoundError as no_pod:
            raise NotFoundError(f"{name} does not refer to a container or pod: {no_pod.message}: "
                                f"{no_container.message}") from None
        return pod_units(call.engine, pod, options=options, read=read_create, read_pod=read_pod_create, prog=prog)
    return container_units(call.engine, container, options=options, read=read_create, prog=prog)


def _options(call: Call) -> "UnitOptions":
    """Raises: UsageError."""
    from podlike.spec.environ import environment
    from podlike.spec.unittext import UnitOptions

    o = call.opts
    if call.changed("new") and not o.new and o.template:
        raise UsageError("--template cannot be set with --new=false")
    if call.changed("stop-timeout") and call.changed("time"):
        raise UsageError("stop-timeout and time are redundant and cannot be used together")
    stop = o.stop_timeout if call.changed("stop-timeout") else o.time if call.changed("time") else None
    return UnitOptions(
        new=o.new or o.template, template=o.template, names=o.name, header=not o.no_header,
        restart_policy=o.restart_policy if call.changed("restart-policy") else None, restart_sec=o.restart_sec,
        start_timeout=o.start_timeout, stop_timeout=stop, container_prefix=o.container_prefix, pod_prefix=o.pod_prefix,
        separator=o.separator, wants=o.wants, after=o.after, requires=o.requires,
        environment=[f"{k}={v}" for k, v in environment(o.env, [], os.environ).items()])


def _tell_linger(call: Call) -> None:
    """Units of a user who does not linger do not start at boot and end with the last session."""
    from podlike.engine.startup import Startup

    if sys.stderr.isatty() and not Startup(call.engine.roots).lingering:
        sys.stderr.write("Hint: your units start when you log in and end when you log out, as your user does not linger: "
                         "run `loginctl enable-linger`.\n")


systemd_command = Command(
    "systemd", systemd, usage="{CONTAINER|POD}", args=exactly(1), summary="[DEPRECATED] Generate systemd units",
    description="Generate systemd units for a pod or container.\n  The generated units can later be controlled via "
                "systemctl(1).\n" + _DEPRECATED.rstrip("\n"),
    flags=(Flag("after", "", "array", "Add dependencies order to the generated unit file"),
           Flag("container-prefix", "", "string", "Systemd unit name prefix for containers", "container"),
           Flag("env", "e", "array", "Set environment variables to the systemd unit files"),
           Flag("files", "f", "bool", "Generate .service files instead of printing to stdout"),
           Flag("format", "", "string", "Print the created units in specified format (json)"),
           Flag("name", "n", "bool", "Use container/pod names instead of IDs"),
           Flag("new", "", "bool", "Create a new container or pod instead of starting an existing one"),
           Flag("no-header", "", "bool", "Skip header generation"),
           Flag("pod-prefix", "", "string", "Systemd unit name prefix for pods", "pod"),
           Flag("requires", "", "array", "Similar to wants, but declares stronger requirement dependencies"),
           Flag("restart-policy", "", "string", "Systemd restart-policy", "on-failure"),
           Flag("restart-sec", "", "uint", "Systemd restart-sec"),
           Flag("separator", "", "string", "Systemd unit name separator between name/id and prefix", "-"),
           Flag("start-timeout", "", "uint", "Start timeout override"),
           Flag("stop-timeout", "", "uint", "Stop timeout override", 10),
           Flag("template", "", "bool", "Make it a template file and use %i and %I specifiers. Working only for containers"),
           Flag("time", "t", "uint", "Backwards alias for --stop-timeout", 10, hidden=True, aliases=("timeout",)),
           Flag("wants", "", "array", "Add (weak) requirement dependencies to the generated unit file")),
    examples=("generate systemd CTR", "generate systemd --new --time 10 CTR", "generate systemd --files --name POD"))
