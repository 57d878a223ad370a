"""systemd units that run a container or a pod: their text, byte by byte what podman generates, calling another program.

Pure: values in, text out. Source: podman-generate-systemd(1) and podman 5.8's output; systemd.unit(5), systemd.service(5),
"Command lines"; systemd.exec(5), Environment=.
"""

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final, NamedTuple

    from podlike.spec.typedflags import CommandLine, Typed
else:
    from podlike.spec.record import NamedTuple

RESTART_POLICIES: "Final" = ("no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always")
# Every unit sets it to its own name; `run` makes a label of it, by which auto-update finds the unit again.
UNIT_VARIABLE: "Final" = "PODMAN_SYSTEMD_UNIT"
_DEFAULT_POLICY: "Final" = "on-failure"
# What systemd waits on top of the container's own time before it kills: as podman has it.
_STOP_MARGIN: "Final" = 60
# `run` sets these itself in a unit, so those that were typed go.
_REPLACED: "Final" = ("rm", "cgroups", "cidfile", "restart")
_OF_PODS: "Final" = ("pod", "pod-id-file", "infra-conmon-pidfile")
_ID_FILE: "Final" = "%t/%n.ctr-id"


class Program(NamedTuple):
    """Who is called. words: the program and the words that every call begins with. title: as people write its name.

    manual: of Documentation=, "" to leave it out. environment: KEY=VALUE without which the program does not run.
    written: the line of the header that says when, "" to leave it out.
    """

    words: "Sequence[str]"
    title: str
    version: str
    manual: str = ""
    environment: "Sequence[str]" = ()
    written: str = ""


class UnitOptions(NamedTuple):
    """What `generate systemd` was asked for. Times in seconds; None: not given."""

    new: bool = False
    template: bool = False
    names: bool = False
    header: bool = True
    restart_policy: str | None = None
    restart_sec: int = 0
    start_timeout: int = 0
    stop_timeout: int | None = None
    container_prefix: str = "container"
    pod_prefix: str = "pod"
    separator: str = "-"
    wants: "Sequence[str]" = ()
    after: "Sequence[str]" = ()
    requires: "Sequence[str]" = ()
    environment: "Sequence[str]" = ()


class ContainerUnit(NamedTuple):
    """A container that gets a unit.

    typed: the `run` or `create` that made it, None if that is not known. env: of the container. pidfile: of its monitor.
    run_root: the directory that must be mounted. bound_to: services that it goes down with. pod_id_file: of its pod's unit.
    """

    id: str
    name: str
    typed: "CommandLine | None"
    stop_timeout: int
    pidfile: str
    run_root: str
    env: "dict[str, str]"
    bound_to: "Sequence[str]" = ()
    pod_id_file: str = ""


class PodUnit(NamedTuple):
    """A pod that gets a unit; infra: name or id of its infra container by `names`. required: services of its containers.

    typed: the `pod create` that made it, its root words without `pod`; None if something else did.
    """

    id: str
    name: str
    infra_id: str
    infra_name: str
    typed: "CommandLine | None"
    stop_timeout: int
    pidfile: str
    run_root: str
    required: "Sequence[str]" = ()


def check_options(options: UnitOptions) -> None:
    """Raises: UsageError."""
    if options.restart_policy is not None and options.restart_policy not in RESTART_POLICIES:
        raise UsageError(f"{options.restart_policy} is not a valid restart policy",
                         hint=f"systemd's policies are {', '.join(RESTART_POLICIES)}.")


def service_name(prefix: str, separator: str, name: str) -> str:
    return f"{prefix}{separator}{name}" if prefix else name


def container_service(cid: str, name: str, options: UnitOptions) -> str:
    """Without .service."""
    return service_name(options.container_prefix, options.separator, name if options.names else cid)


def pod_service(pod_id: str, name: str, options: UnitOptions) -> str:
    """Without .service."""
    return service_name(options.pod_prefix, options.separator, name if options.names else pod_id)


# --- words of a unit ---

def argument(text: str) -> str:
    """One word of a command line in a unit, whatever is in it."""
    return _word(text.replace("$", "$$"))


def assignment(text: str) -> str:
    """One KEY=VALUE of Environment=, where a dollar sign is one."""
    return _word(text)


def _word(text: str) -> str:
    text = text.replace("%", "%%")
    if not text or text == ";" or any(c in " \"'" or ord(c) < 32 or ord(c) == 127 for c in text):
        return quoted(text)
    return text.replace("\\", "\\\\")


_ESCAPES: "Final" = {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
                     "\v": "\\v"}


def quoted(text: str) -> str:
    """In double quotes, with escapes that systemd reads as Go writes them."""
    return '"' + "".join(_ESCAPES.get(c) or (f"\\x{ord(c):02x}" if ord(c) < 32 or ord(c) == 127 else c) for c in text) + '"'


def _lines(words: "Sequence[str]") -> str:
    """A command line with each flag on a line of its own."""
    return words[0] + "".join((" \\\n\t" if w.startswith("-") else " ") + w for w in words[1:])


# --- containers ---

def container_text(unit: ContainerUnit, options: UnitOptions, program: Program) -> str:
    """The unit's file. Raises: UsageError for a container that cannot be made anew from what is known."""
    service = container_service(unit.id, unit.name, options)
    timeout = unit.stop_timeout if options.stop_timeout is None else options.stop_timeout
    policy, burst, extra = options.restart_policy or _DEFAULT_POLICY, "", list[str]()
    if options.new:
        typed = _typed(unit, options)
        start = _start_new(unit, typed, options, program, service)
        if options.restart_policy is None:
            policy, burst = _own_policy(typed.last("restart") or "", policy)
        extra = [assignment(f"{key}={unit.env[key]}") for key in typed.values("env") if "=" not in key and key in unit.env]
        run = _call(program, [word for word in typed.root if word != "container"])
        stop = f"{run} stop \\\n\t--ignore -t {timeout} \\\n\t--cidfile={_ID_FILE}"
        after = f"{run} rm \\\n\t-f \\\n\t--ignore -t {timeout} \\\n\t--cidfile={_ID_FILE}"
        kind = ["Type=notify", "NotifyAccess=all"]
    else:
        run, who = _call(program), unit.name if options.names else unit.id
        start = f"{run} start {who}"
        stop = after = f"{run} stop  \\\n\t-t {timeout} {who}"
        kind = [f"PIDFile={unit.pidfile}", "Type=forking"]
    bound = " ".join(f"{name}.service" for name in sorted(unit.bound_to))
    return _text([
        *_head(service, options, program, unit.run_root),
        *([f"BindsTo={bound}", f"After={bound}"] if bound else []), *_dependencies(options), "", "[Service]",
        f"Environment={UNIT_VARIABLE}=%n{'-%i' if options.template else ''}",
        *([f"Environment={' '.join(extra)}"] if extra else []),
        *(f"Environment={assignment(text)}" for text in (*options.environment, *program.environment)),
        f"Restart={policy}", *_seconds("RestartSec", options.restart_sec),
        *([f"StartLimitBurst={burst}"] if burst else []), *_seconds("TimeoutStartSec", options.start_timeout),
        f"TimeoutStopSec={timeout + _STOP_MARGIN}", f"ExecStart={start}", f"ExecStop={stop}", f"ExecStopPost={after}", *kind,
        *_INSTALL])


def _typed(unit: ContainerUnit, options: UnitOptions) -> "CommandLine":
    if unit.typed is None:
        raise UsageError(f'cannot use --new on container "{unit.id}": no create command found: only works on containers created '
                         "directly with podlike", hint="Leave --new out: the unit then starts this container.")
    return unit.typed


def _call(program: Program, root: "Sequence[str]" = ()) -> str:
    return " ".join(argument(word) for word in (*program.words, *root))


def _start_new(unit: ContainerUnit, typed: "CommandLine", options: UnitOptions, program: Program, service: str) -> str:
    """`run` with what was typed, made fit for a unit: in the background, replacing what a crash has left behind."""
    own = [f"--cidfile={_ID_FILE}", "--cgroups=no-conmon", "--rm"]
    flags = [flag for flag in typed.flags if not flag.has(_REPLACED)]
    if unit.pod_id_file:
        own += ["--pod-id-file", unit.pod_id_file]
        flags = [flag for flag in flags if not flag.has(_OF_PODS)]
    if typed.last("sdnotify") in (None, "ignore"):  # a Type=notify service must be told by somebody
        own.append("--sdnotify=conmon")
        flags = [flag for flag in flags if not flag.has(("sdnotify",))]
    if not typed.is_set("detach"):
        own.append("-d")
        flags = [flag for flag in flags if not flag.has(("detach",))]
    if typed.last("name") is not None and not typed.is_set("replace"):
        own.append("--replace")
        flags = [flag for flag in flags if not flag.has(("replace",))]
    words = [argument(word) for flag in flags for word in (_instance(flag) if options.template else flag.words)]
    if options.template:
        words = [word.replace(_INSTANCE, "%i") for word in words]
        if typed.last("name") is None:
            own.insert(0, f"--name={argument(service)}-%i")
    start = [*(argument(word) for word in (*program.words, *typed.root)), "run", *own, *words]
    return _lines([*start, *(argument(word) for word in typed.arguments)])


_INSTANCE: "Final" = "\ue000i"  # of the private use area: stands for %i until the percent signs are escaped


def _instance(flag: "Typed") -> tuple[str, ...]:
    """--name NAME with the instance's name behind it."""
    return (*flag.words[:-1], f"{flag.words[-1]}-{_INSTANCE}") if flag.has(("name",)) else flag.words


def _own_policy(policy: str, default: str) -> tuple[str, str]:
    """(systemd's policy, StartLimitBurst) for a container's."""
    name, _, count = policy.partition(":")
    return {"": default, "unless-stopped": "always", "never": "no"}.get(name, name), count


# --- pods ---

def pod_text(unit: PodUnit, options: UnitOptions, program: Program) -> str:
    """The file of the pod's own unit. Raises: UsageError."""
    service = pod_service(unit.id, unit.name, options)
    timeout = unit.stop_timeout if options.stop_timeout is None else options.stop_timeout
    before: list[str] = []
    if options.new:
        typed, id_file, pidfile = _typed_pod(unit), pod_id_file(service), f"%t/{service}.pid"
        run = f"{_call(program, typed.root)} pod"
        before = [f"ExecStartPre={_create_pod(typed, program, id_file=id_file, pidfile=pidfile)}"]
        start = f"{run} start \\\n\t--pod-id-file {id_file}"
        stop = f"{run} stop \\\n\t--ignore \\\n\t--pod-id-file {id_file}  \\\n\t-t {timeout}"
        after = f"{run} rm \\\n\t--ignore \\\n\t-f \\\n\t--pod-id-file {id_file}"
    else:
        run, who, pidfile = _call(program), unit.infra_name if options.names else unit.infra_id, unit.pidfile
        start = f"{run} start {who}"
        stop = after = f"{run} stop  \\\n\t-t {timeout} {who}"
    required = " ".join(f"{name}.service" for name in sorted(unit.required))
    return _text([
        *_head(service, options, program, unit.run_root), f"Wants={required}", f"Before={required}", *_dependencies(options), "",
        "[Service]", f"Environment={UNIT_VARIABLE}=%n", *(f"Environment={assignment(text)}" for text in program.environment),
        f"Restart={options.restart_policy or _DEFAULT_POLICY}", *_seconds("RestartSec", options.restart_sec),
        f"TimeoutStopSec={timeout + _STOP_MARGIN}", *before, f"ExecStart={start}", f"ExecStop={stop}", f"ExecStopPost={after}",
        f"PIDFile={pidfile}", "Type=forking", *_INSTALL])


def pod_id_file(service: str) -> str:
    """Where the unit of a pod keeps its id, and the units of its containers look for it."""
    return f"%t/{service}.pod-id"


def _typed_pod(unit: PodUnit) -> "CommandLine":
    if unit.typed is None:
        raise UsageError(f'cannot use --new on pod "{unit.id}": no create command found',
                         hint="Make the pod with `podlike pod create`, or leave --new out.")
    return unit.typed


def _create_pod(typed: "CommandLine", program: Program, *, id_file: str, pidfile: str) -> str:
    own = ["--infra-conmon-pidfile", pidfile, "--pod-id-file", id_file]
    flags = [flag for flag in typed.flags if not flag.has(_OF_PODS)]
    replace = typed.last("name") is not None and not typed.is_set("replace")
    if replace:
        flags = [flag for flag in flags if not flag.has(("replace",))]
    if typed.last("exit-policy") is None:
        own.append("--exit-policy=stop")
    words = [argument(word) for flag in flags for word in flag.words] + [argument(word) for word in typed.arguments]
    start = [argument(word) for word in (*program.words, *typed.root)]
    return _lines([*start, "pod", "create", *own, *words, *(["--replace"] if replace else [])])


# --- both ---

_INSTALL: "Final" = ("", "[Install]", "WantedBy=default.target")


def _head(service: str, options: UnitOptions, program: Program, run_root: str) -> list[str]:
    at, instance = ("@", " for %I") if options.template else ("", "")
    header = [f"# autogenerated by {program.title} {program.version}", *([f"# {program.written}"] if program.written else [])]
    return [f"# {service}{at}.service", *(header if options.header else []), "", "[Unit]",
            f"Description={program.title} {service}.service{instance}",
            *([f"Documentation={program.manual}"] if program.manual else []),
            "Wants=network-online.target", "After=network-online.target", f"RequiresMountsFor={run_root}"]


def _dependencies(options: UnitOptions) -> list[str]:
    lines = [f"{key}={' '.join(units)}" for key, units in
             (("Wants", options.wants), ("After", options.after), ("Requires", options.requires)) if units]
    return ["", "# User-defined dependencies", *lines] if lines else []


def _seconds(key: str, value: int) -> list[str]:
    return [f"{key}={value}"] if value else []


def _text(lines: "Sequence[str]") -> str:
    return "\n".join(lines) + "\n"
