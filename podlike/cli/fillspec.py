"""The flags of `run` and `create` as a ContainerSpec.

What a flag can get wrong by itself is refused here, before anything is pulled or made; what depends on the image
or on other flags is spec/resolve.py's.
"""

import os
import sys

from podlike import log
from podlike.cli.options import CREATE_TABLE, LIMIT_FLAGS
from podlike.errors import UsageError
from podlike.spec.container import ContainerSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.cli.command import Call

    Row = tuple[str, str, str, Any, str, str]

PULL_POLICIES = {"always": "always", "missing": "missing", "ifmissing": "missing", "ifnotpresent": "missing",
                 "never": "never", "newer": "newer", "ifnewer": "newer", "true": "always", "false": "never", "": "missing"}
_DEFAULTS = ContainerSpec()
_RESTART = ("no", "never", "always", "on-failure", "unless-stopped")


def fill_spec(call: "Call", table: "tuple[Row, ...]" = ()) -> ContainerSpec:
    """What the command line asks for. table: the rows that this command has beyond CREATE_TABLE.

    Raises: UsageError.
    """
    opts = call.opts
    _check_conflicts(call)
    spec = ContainerSpec(create_command=list(sys.argv))
    for name, _, _, _, how, _ in CREATE_TABLE + table:
        if how == "!":
            if call.changed(name):
                from podlike.cli.refused import refuse

                refuse(name)
        elif how not in ("*", "-"):
            setattr(spec, how, getattr(opts, name.replace("-", "_")))
    _identity(call, spec)
    _process(call, spec)
    _isolation(call, spec)
    if call.changed_any(_FILES):
        from podlike.cli.fillfiles import fill_files

        fill_files(call, spec)
    _network(call, spec)
    _resources(call, spec)
    _life(call, spec)
    if call.changed_any(_HEALTH):
        from podlike.cli.fillhealth import fill_health

        fill_health(call, spec)
    spec.given = _given_defaults(call, spec, table)
    return spec


# Flags whose file is loaded only for them.
_FILES = frozenset(("volume", "mount", "tmpfs", "shm-size", "shm-size-systemd", "image-volume", "chrootdirs", "volume-driver"))
_ISOLATION = frozenset(("security-opt", "device", "device-cgroup-rule", "gpus", "seccomp-policy"))
_HEALTH = frozenset(name for name, *_ in CREATE_TABLE if name.startswith("health-"))


def _given_defaults(call: "Call", spec: ContainerSpec, table: "tuple[Row, ...]") -> list[str]:
    """Fields whose flag was given but says what is the default: `--read-only=false` beats the configuration too."""
    changed = ((name, how) for name, _, _, _, how, _ in CREATE_TABLE + table if how not in ("!", "-") and call.changed(name))
    fields = [name.replace("-", "_") if how == "*" else how for name, how in changed]
    return [name for name in fields if hasattr(spec, name) and getattr(spec, name) == getattr(_DEFAULTS, name)]


def _check_conflicts(call: "Call") -> None:
    """Pairs of flags that podman refuses; its words, in the order of its checks."""
    opts = call.opts
    for first, second in (("cpu-period", "cpus"), ("cpu-quota", "cpus"), ("no-hosts", "add-host")):
        if call.changed(first) and call.changed(second):
            raise UsageError(f"--{first} and --{second} cannot be set together")
    if opts.platform and (opts.arch or opts.os):
        raise UsageError("--platform option can not be specified with --arch or --os")
    if opts.replace and not opts.name:
        raise UsageError("cannot replace container without --name being set")
    if opts.rm and opts.restart not in ("", "no", "never"):
        raise UsageError("the --rm option conflicts with --restart, when the restartPolicy is not \"\" and \"no\"")
    groups = opts.group_add
    if "keep-groups" in groups and len(groups) > 1:
        raise UsageError("the '--group-add keep-groups' option is not allowed with any other --group-add options")
    if opts.authfile:
        check_authfile(opts.authfile)


def check_authfile(path: str) -> None:
    """Raises: UsageError when a file of credentials that the user named cannot be read."""
    try:
        os.stat(path)
    except OSError as e:
        raise UsageError(f"credential file is not accessible: faccessat {path}: {(e.strerror or '').lower()}") from None


def _identity(call: "Call", spec: ContainerSpec) -> None:
    opts = call.opts
    spec.cidfile = os.path.abspath(opts.cidfile) if opts.cidfile else ""
    spec.name = opts.name[1:] if opts.name[:1] == "/" else opts.name
    if opts.label or opts.label_file:
        from podlike.spec.environ import key_values

        spec.labels = key_values(opts.label, opts.label_file)
    unit = os.environ.get("PODMAN_SYSTEMD_UNIT")  # set by the units of `generate systemd` and Quadlet
    if unit is not None:
        spec.labels["PODMAN_SYSTEMD_UNIT"] = unit
    if opts.annotation:
        from podlike.spec.environ import strict_key_values

        spec.annotations = strict_key_values(opts.annotation, "annotations must be formatted KEY=VALUE")
    if opts.rootfs:
        spec.rootfs, spec.rootfs_overlay = rootfs_argument(call.args[0])
    else:
        spec.image = call.args[0]
    spec.command = call.args[1:]
    if opts.pod or opts.pod_id_file or call.changed("init-ctr"):
        _pod(call, spec)


def _pod(call: "Call", spec: ContainerSpec) -> None:
    opts = call.opts
    if opts.pod and opts.pod_id_file:
        raise UsageError("cannot specify both --pod and --pod-id-file")
    if call.changed("init-ctr"):
        from podlike.spec.pod import INIT_KINDS

        if not opts.pod:
            raise UsageError("must specify pod value with init-ctr", hint="Give --pod too.")
        if opts.init_ctr not in INIT_KINDS:
            raise UsageError("init-ctr value must be 'always' or 'once'")
        spec.init_ctr = opts.init_ctr
    if opts.pod_id_file:
        from podlike.cli.pod import read_id_file

        spec.pod = read_id_file(opts.pod_id_file)
    else:
        spec.pod = opts.pod


def rootfs_argument(text: str) -> "tuple[str, bool]":
    """(absolute path, whether it is to be the lower directory of an overlay) of DIR[:O]. Raises: UsageError."""
    path, colon, option = text.rpartition(":")
    if not colon or os.path.exists(text):
        return os.path.abspath(text), False
    if option.partition("=")[0] == "idmap":
        from podlike.cli.refused import refuse

        refuse("rootfs DIR:idmap", "the kernel lets no user shift the ids of a directory",
               "Use an image, whose files are copied for --userns and --uidmap.")
    if option != "O":
        return os.path.abspath(text), False
    return os.path.abspath(path), True


def _process(call: "Call", spec: ContainerSpec) -> None:
    opts = call.opts
    if call.changed("entrypoint"):
        spec.entrypoint = parse_entrypoint(opts.entrypoint)
    if opts.env or opts.env_file:
        from podlike.spec.environ import environment

        _ = call.engine.config  # whose table [engine] may set variables that are passed on
        spec.env = environment(opts.env, opts.env_file, os.environ)
    for text in opts.env_merge:
        if not text.partition("=")[0]:
            raise UsageError(f'invalid variable: "{text}"', hint="Write NAME=VALUE, where VALUE may have ${NAME} in it.")
    spec.env_merge = list(opts.env_merge)
    spec.workdir = opts.workdir
    if spec.workdir and not spec.workdir.startswith("/"):
        raise UsageError(f'the working directory "{spec.workdir}" is invalid, it needs to be an absolute path')
    spec.groups = list(opts.group_add)
    if opts.umask != "0022":
        if not 1 <= len(opts.umask) <= 4 or opts.umask.strip("01234567"):
            raise UsageError(f"invalid umask {opts.umask}: must be one to four octal digits")
        spec.umask = opts.umask
    if opts.stop_signal:
        from podlike.spec.signals import parse

        parse(opts.stop_signal)
        spec.stop_signal = opts.stop_signal
    if call.changed("systemd"):
        spec.systemd = opts.systemd.lower()


def parse_entrypoint(text: str) -> list[str]:
    """A JSON list of words, or one word; an empty text takes the image's entrypoint away."""
    if not text:
        return []
    if text[0] == "[":
        import json

        try:
            words = json.loads(text)
        except ValueError:
            return [text]
        if isinstance(words, list) and all(isinstance(w, str) for w in words):
            return [str(w) for w in words]
    return [text]


def _isolation(call: "Call", spec: ContainerSpec) -> None:
    opts = call.opts
    if call.changed_any(_ISOLATION):
        from podlike.cli.fillisolation import fill_isolation

        fill_isolation(call, spec)
    if opts.ulimit:
        from podlike.spec.rlimits import parse as parse_limit

        for text in opts.ulimit:
            if text != "host":
                parse_limit(text)
        spec.ulimits = list(opts.ulimit)
    if opts.sysctl:
        from podlike.spec.environ import strict_key_values

        spec.sysctls = strict_key_values(opts.sysctl, 'invalid sysctl value "{}"')
    if call.changed("oom-score-adj"):
        if not -1000 <= opts.oom_score_adj <= 1000:
            raise UsageError(f"--oom-score-adj {opts.oom_score_adj}: must be between -1000 and 1000")
        spec.oom_score_adj = opts.oom_score_adj
    if opts.personality:
        if opts.personality not in ("LINUX", "LINUX32"):
            raise UsageError(f'use --personality "{opts.personality}": there is none of that name',
                             hint="Write LINUX or LINUX32.")
        spec.personality = opts.personality
    spec.pid_ns, spec.ipc_ns, spec.uts_ns = opts.pid, opts.ipc, opts.uts
    spec.cgroup_ns = opts.cgroupns
    spec.user_ns = opts.userns or ("" if opts.pod or opts.pod_id_file else os.environ.get("PODMAN_USERNS", ""))


def _network(call: "Call", spec: ContainerSpec) -> None:
    opts = call.opts
    if len(opts.network) > 1:
        from podlike.cli.refused import refuse

        refuse("network given more than once", "a container has one network")
    spec.network = opts.network[0] if opts.network else ""
    if spec.network == "default":
        spec.network = ""
    if opts.publish or opts.expose:
        from podlike.spec.ports import parse_expose, parse_publish

        spec.ports = [parse_publish(text) for text in opts.publish]
        spec.expose = [port for text in opts.expose for port in parse_expose(text)]
    mode = spec.network.partition(":")[0]
    if spec.ports and mode in ("host", "none", "container", "ns"):
        # Bare words as podman writes them, not a log line: --log-level does not silence it.
        sys.stderr.write(f'Port mappings have been discarded because "{mode}" network namespace mode does not support '
                         "them\n")
        spec.ports = []
    if opts.hosts_file:
        if opts.no_hosts:
            raise UsageError("--no-hosts and --hosts-file cannot be set together")
        spec.hosts_file = opts.hosts_file if opts.hosts_file in ("none", "image") else os.path.abspath(opts.hosts_file)
    for text in opts.add_host:
        _check_host_entry(text)
    spec.add_hosts = list(opts.add_host)
    if opts.dns:
        spec.dns = [_check_dns(text) for text in opts.dns]
    if (opts.dns or opts.dns_option or opts.dns_search) and spec.network.partition(":")[0] in ("none", "container"):
        raise UsageError(f"conflicting options: dns and the network mode: {spec.network.partition(':')[0]}")


def _check_host_entry(text: str) -> None:
    """NAME[;NAME]:ADDRESS, the address an IP or host-gateway."""
    name, colon, address = text.partition(":")
    if not name or not colon:
        raise UsageError(f'invalid host entry "{text}"', hint="Write --add-host NAME:ADDRESS.")
    if address != "host-gateway" and not is_address(address.strip("[]")):
        raise UsageError(f'invalid IP address in add-host: "{address}"')


def is_address(text: str) -> bool:
    import socket

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


def _check_dns(text: str) -> str:
    if text != "none" and not is_address(text):
        raise UsageError(f"{text} is not an ip address")
    return text


def _resources(call: "Call", spec: ContainerSpec) -> None:
    opts = call.opts
    if call.changed("kernel-memory"):
        log.warning("The --kernel-memory flag is no longer supported. This flag is a noop.")
    for field in ("memory", "memory_swap", "memory_reservation"):
        setattr(spec, field, memory_size(field.replace("_", "-"), getattr(opts, field)))
    if spec.cpus < 0:
        raise UsageError(f"--cpus {spec.cpus:g}: must not be negative")
    if call.changed("pids-limit"):
        spec.pids_limit = opts.pids_limit
    if opts.cgroups not in ("enabled", "disabled", "no-conmon", "split"):
        raise UsageError(f'invalid cgroup mode "{opts.cgroups}"',
                         hint="Modes are enabled, disabled, no-conmon and split.")
    spec.cgroups = opts.cgroups
    if any(call.changed(name) for name in LIMIT_FLAGS):
        from podlike.cli.limitflags import limit_fields

        for field, value in limit_fields(call).items():
            setattr(spec, field, value)


def fill_limits(call: "Call", spec: ContainerSpec) -> None:
    """The same for a command that takes only some of the flags, as `container clone`: the others are not given."""
    from podlike.cli.command import Call, Options, Parser
    from podlike.cli.options import create_flags

    given = {flag.name for flag in call.command.flags if call.changed(flag.name)}
    values = {**Parser(create_flags(CREATE_TABLE)).values, **vars(call.opts)}
    _resources(Call(call.command, call.path, Options(values), call.args, given, call.session), spec)


def memory_size(flag: str, text: str) -> int:
    """Bytes; 0 when it is not given, -1 for --memory-swap without limit. Raises: UsageError."""
    if not text:
        return 0
    if flag == "memory-swap" and text == "-1":
        return -1
    from podlike.spec.sizes import parse_size

    try:
        return int(parse_size(text))
    except UsageError as e:
        raise UsageError(f"invalid value for {flag}: {e.message}", hint=e.hint) from None


def _life(call: "Call", spec: ContainerSpec) -> None:
    opts = call.opts
    if opts.restart:
        spec.restart_policy = restart_policy(opts.restart)
    spec.log_driver = opts.log_driver
    _log(call, spec)
    for name in ("conmon_pidfile", "pidfile"):
        path = getattr(opts, name)
        setattr(spec, name, os.path.abspath(path) if path else "")
    if opts.sdnotify not in ("container", "conmon", "healthy", "ignore"):
        raise UsageError(f'invalid sdnotify value "{opts.sdnotify}": must be container, conmon, healthy or ignore')
    spec.sdnotify = opts.sdnotify if call.changed("sdnotify") else ""
    spec.notify_socket = "" if spec.sdnotify == "ignore" else os.environ.get("NOTIFY_SOCKET", "")
    if getattr(opts, "isolation", "") not in ("", "default"):
        from podlike.cli.refused import refuse

        refuse(f"isolation={opts.isolation}", "it is for containers of Windows", "Leave it out.")
    world = call.session.options
    spec.runtime = getattr(opts, "runtime", "") or world["runtime"]
    spec.runtime_flags = world["runtime_flag"]
    spec.cdi_dirs = [os.path.abspath(path) for path in world["cdi_spec_dir"]]
    spec.hooks_dirs = [os.path.abspath(path) for path in world["hooks_dir"]]
    spec.mounts_file = os.path.abspath(world["default_mounts_file"]) if world["default_mounts_file"] else ""


def restart_policy(text: str) -> str:
    """What --restart asks for. Raises: UsageError."""
    policy, colon, retries = text.partition(":")
    if policy not in _RESTART:
        raise UsageError(f'restart policy "{policy}" is not valid: invalid argument',
                         hint=f"Policies are {', '.join(_RESTART)}; on-failure may take a count, on-failure:3.")
    if colon and (policy != "on-failure" or not retries.isdigit()):
        raise UsageError(f"parse restart policy {text}: only on-failure takes a number of retries")
    return "no" if policy == "never" else text


def _log(call: "Call", spec: ContainerSpec) -> None:
    if call.opts.log_opt or call.opts.log_driver:
        from podlike.spec.logopts import check_driver, parse_log_options

        parse_log_options(spec, call.opts.log_opt)
        check_driver(spec.log_driver)
        if "path" in spec.log_options:
            spec.log_options["path"] = os.path.abspath(spec.log_options["path"])
    if spec.log_driver == "passthrough" and any(os.isatty(fd) for fd in (0, 1, 2)):
        raise UsageError("the '--log-driver passthrough' option cannot be used on a TTY.  If you really want it, use "
                         "'--log-driver passthrough-tty'")
    spec.log_json_is_k8s = call.session.prog == "podman"


def platform_of(call: "Call") -> str:
    """os/arch/variant as the flags ask for it, "" for this machine's."""
    opts = call.opts
    if opts.platform:
        return str(opts.platform)
    if not (opts.arch or opts.os or opts.variant):
        return ""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    parts = [opts.os or "linux", opts.arch or machine, *([opts.variant] if opts.variant else [])]
    return "/".join(parts)


def pull_policy(call: "Call") -> str:
    """Raises: UsageError for an unknown policy."""
    text = str(call.opts.pull if call.changed("pull") else call.engine.config.engine.pull_policy)
    policy = PULL_POLICIES.get(text.lower())
    if policy is None:
        raise UsageError(f'unsupported pull policy "{text}"',
                         hint="Policies are always, missing, never and newer.")
    return policy


