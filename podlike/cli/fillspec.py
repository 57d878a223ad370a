"""The flags of `run` and `create` as a ContainerSpec.

What a flag can get wrong by itself is refused here, before anything is pulled or made; what depends on the image
or on other flags is spec/resolve.py's.
"""

import os
import sys

from podlike import log
from podlike.cli.options import CREATE_TABLE
from podlike.errors import UsageError
from podlike.spec.container import ContainerSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from podlike.cli.command import Call
    from podlike.engine.fetch import Progress
    from podlike.store.containers import Container
    from podlike.store.pods import Pod

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
                refuse(name)
        elif how not in ("*", "-"):
            setattr(spec, how, getattr(opts, name.replace("-", "_")))
    _identity(call, spec)
    _process(call, spec)
    _isolation(call, spec)
    _files(call, spec)
    _network(call, spec)
    _resources(call, spec)
    _life(call, spec)
    _health(call, spec)
    spec.given = _given_defaults(call, spec, table)
    return spec


def _given_defaults(call: "Call", spec: ContainerSpec, table: "tuple[Row, ...]") -> list[str]:
    """Fields whose flag was given but says what is the default: `--read-only=false` beats the configuration too."""
    changed = ((name, how) for name, _, _, _, how, _ in CREATE_TABLE + table if how not in ("!", "-") and call.changed(name))
    fields = [name.replace("-", "_") if how == "*" else how for name, how in changed]
    return [name for name in fields if hasattr(spec, name) and getattr(spec, name) == getattr(_DEFAULTS, name)]


def refuse(flag: str) -> "NoReturn":
    raise UsageError(f"--{flag} is not supported by this version of podlike",
                     hint="Leave it out, if the container can do without.")


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
        spec.rootfs = os.path.abspath(call.args[0])
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


def _process(call: "Call", spec: ContainerSpec) -> None:
    opts = call.opts
    if call.changed("entrypoint"):
        spec.entrypoint = parse_entrypoint(opts.entrypoint)
    if opts.env or opts.env_file:
        from podlike.spec.environ import environment

        spec.env = environment(opts.env, opts.env_file, os.environ)
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
    if opts.device_cgroup_rule:
        if os.geteuid() != 0:
            raise UsageError("device cgroup rules are not supported in rootless mode or in a user namespace")
        refuse("device-cgroup-rule")
    for text in opts.security_opt:
        _security_option(text, spec)
    if opts.seccomp_policy != "default":
        refuse(f"seccomp-policy={opts.seccomp_policy}")
    if opts.device:
        spec.devices = [_device(text) for text in opts.device]
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
    spec.pid_ns, spec.ipc_ns, spec.uts_ns = opts.pid, opts.ipc, opts.uts
    spec.cgroup_ns = opts.cgroupns
    spec.user_ns = opts.userns or ("" if opts.pod or opts.pod_id_file else os.environ.get("PODMAN_USERNS", ""))


def _security_option(text: str, spec: ContainerSpec) -> None:
    for separator in ("=", ":"):
        key, found, value = text.partition(separator)
        if found and key in _SECURITY:
            break
    else:
        key, found, value = text, "", ""
    if key == "no-new-privileges":
        if value not in ("", "true", "false"):
            raise UsageError(f'invalid --security-opt 2: "{text}"')
        spec.no_new_privileges = value != "false"
    elif not found or key not in _SECURITY:
        raise UsageError(f'invalid --security-opt {"2" if found or "=" in text else "1"}: "{text}"',
                         hint="Options are no-new-privileges, seccomp=, apparmor=, label=, mask=, unmask=.")
    elif key == "seccomp":
        spec.seccomp_profile = value if value in ("", "unconfined") else os.path.abspath(value)
    elif key == "apparmor":
        spec.apparmor_profile = value
    elif key == "label":
        # Containers have no SELinux label here, which is what label=disable asks for; the rest would need one.
        if value not in ("disable", "nested"):
            refuse(f"security-opt label={value}")
    elif key == "mask":
        spec.masked_paths += value.split(":")
    elif key == "unmask":
        spec.unmasked_paths += ["ALL"] if value.upper() == "ALL" else value.split(":")
    elif key == "systempaths":
        if value != "unconfined":
            raise UsageError(f'invalid systempaths option "{value}", only `unconfined` is supported')
        spec.unmasked_paths.append("ALL")
    else:
        refuse(f"security-opt {key}")


_SECURITY = frozenset(("no-new-privileges", "seccomp", "apparmor", "label", "mask", "unmask", "systempaths",
                       "proc-opts"))


def _device(text: str) -> str:
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise UsageError(f"invalid device specification: {text}", hint="Write HOST-DEVICE[:CONTAINER-DEVICE][:rwm].")
    if len(parts) == 3 and parts[2].strip("rwm"):
        raise UsageError(f"invalid device mode: {parts[2]}", hint="The mode is made of r, w and m.")
    if not parts[0].startswith("/") and "=" in parts[0]:
        refuse(f"device {text} (CDI)")
    return text


def _files(call: "Call", spec: ContainerSpec) -> None:
    opts = call.opts
    if opts.volume or opts.mount or opts.tmpfs:
        _mounts(call, spec)
    if call.changed("shm-size"):
        from podlike.spec.sizes import parse_size

        try:
            spec.shm_size = parse_size(opts.shm_size)
        except UsageError as e:
            raise UsageError(f"unable to translate --shm-size: {e.message}", hint=e.hint) from None
    if opts.image_volume not in ("", "bind", "anonymous"):
        refuse(f"image-volume={opts.image_volume}")


def _mounts(call: "Call", spec: ContainerSpec) -> None:
    from podlike.spec import mounts

    opts, cwd = call.opts, os.getcwd()

    def glob(pattern: str) -> list[str]:
        import glob as globbing

        return globbing.glob(pattern)

    for text in opts.tmpfs:
        target, options = mounts.parse_tmpfs(text)
        if target in spec.tmpfs:
            raise UsageError(f"{target}: duplicate mount destination")
        spec.tmpfs[target] = options
    found = [mounts.parse_volume(text, cwd=cwd) for text in opts.volume]
    rootless = os.geteuid() != 0
    for text in opts.mount:
        found += mounts.parse_mount(text, cwd=cwd, rootless=rootless, glob=glob)
    spec.mounts = mounts.check_duplicates(found, spec.tmpfs)


def _network(call: "Call", spec: ContainerSpec) -> None:
    opts = call.opts
    if len(opts.network) > 1:
        refuse("network given more than once")
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
    world = call.session.options
    spec.runtime = world["runtime"]
    spec.runtime_flags = world["runtime_flag"]
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


_HEALTH_TIMES = ("interval", "timeout", "start_period", "start_interval")


def _health(call: "Call", spec: ContainerSpec) -> None:
    opts = call.opts
    if opts.health_cmd or opts.health_startup_cmd:
        _health_commands(call, spec)
    spec.health_on_failure = health_action(opts.health_on_failure)
    if not opts.health_cmd:
        spec.health_changes = {name: getattr(opts, f"health_{name}") for name in _HEALTH_TIMES
                               if call.changed(f"health-{name.replace('_', '-')}")}
        if call.changed("health-retries"):
            if opts.health_retries < 1:
                raise UsageError("healthcheck-retries must be greater than 0")
            spec.health_changes["retries"] = str(opts.health_retries)
    if call.changed("health-log-destination"):
        spec.health_log_destination = health_log(opts.health_log_destination)
    if call.changed("health-max-log-count"):
        spec.health_log_count = opts.health_max_log_count
    if call.changed("health-max-log-size"):
        spec.health_log_size = opts.health_max_log_size


def _health_commands(call: "Call", spec: ContainerSpec) -> None:
    from podlike.spec.health import check_from_flags

    opts = call.opts
    if opts.no_healthcheck:
        flag = "health-cmd" if opts.health_cmd else "health-startup-cmd"
        raise UsageError(f"cannot specify both --no-healthcheck and --{flag}")
    if opts.health_cmd:
        spec.health = check_from_flags(
            opts.health_cmd, interval=opts.health_interval, timeout=opts.health_timeout, retries=opts.health_retries,
            start_period=opts.health_start_period, start_interval=opts.health_start_interval)
    if opts.health_startup_cmd:
        spec.startup_health = check_from_flags(
            opts.health_startup_cmd, interval=opts.health_startup_interval, timeout=opts.health_startup_timeout,
            retries=opts.health_startup_retries, successes=opts.health_startup_success, startup=True)


def health_action(text: str) -> str:
    """What --health-on-failure asks for, "" for none. Raises: UsageError."""
    if text not in ("", "none", "kill", "restart", "stop"):
        raise UsageError(f'invalid on-failure action "{text}" for health check: supported actions are none,kill,restart,stop')
    return "" if text == "none" else text


def health_log(destination: str) -> str:
    """Raises: UsageError unless it is a word that podman knows, or a directory."""
    if destination in ("local", "events_logger"):
        return destination
    try:
        os.stat(destination)
    except OSError as e:
        raise UsageError(f"HealthCheck Log '{destination}' destination error: stat {destination}: "
                         f"{(e.strerror or '').lower()}") from None
    if not os.path.isdir(destination):
        raise UsageError(f"HealthCheck Log '{destination}' destination must be directory")
    return os.path.abspath(destination)


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
    policy = PULL_POLICIES.get(call.opts.pull.lower())
    if policy is None:
        raise UsageError(f'unsupported pull policy "{call.opts.pull}"',
                         hint="Policies are always, missing, never and newer.")
    return policy


class LazyProgress:
    """Stands for cli/progress.py's display until something is really pulled: a run of a local image pays nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._real: "Progress | None" = None

    def __getattr__(self, name: str) -> "Any":
        if self._real is None:
            from podlike.cli.progress import make_progress

            self._real = make_progress(quiet=self._quiet)
        return getattr(self._real, name)

    def close(self) -> None:
        if self._real is not None:
            self._real.close()


def create_container(call: "Call", spec: ContainerSpec, *, for_run: bool = False) -> "Container":
    """Make the container that spec describes and write its --cidfile."""
    policy = pull_policy(call)
    progress: "Any" = LazyProgress(quiet=call.opts.quiet)
    startup = new_pod = None
    try:
        if spec.restart_policy not in ("", "no"):
            from podlike.cli.startup import set_up_once

            startup = set_up_once(call, spec.restart_policy)  # first: cron is out of reach from inside the session
        if spec.image and policy != "never" and _pulls_in_its_own_way(call):
            _pull(call, spec.image, policy, progress)
            policy = "missing"
        if spec.pod.startswith("new:"):
            new_pod = _new_pod(call, spec)
        container = call.api.containers.create(spec, pull=policy, replace=call.opts.replace, for_run=for_run, progress=progress)
    except BaseException:
        if new_pod is not None:
            _discard_pod(call, new_pod)
        if startup is not None:
            startup.forget()
        raise
    finally:
        progress.close()
    if spec.cidfile:
        write_cidfile(call, spec.cidfile, container)
    return container


def _new_pod(call: "Call", spec: ContainerSpec) -> "Pod":
    from podlike.engine.pods.create import for_container

    pod = for_container(call.engine, spec, spec.pod.removeprefix("new:"))
    spec.pod = pod.id
    return pod


def _discard_pod(call: "Call", pod: "Pod") -> None:
    from podlike.engine.pods.remove import discard

    discard(call.engine, pod)


def _pulls_in_its_own_way(call: "Call") -> bool:
    """Whether a flag says how to pull, so that the engine's plain pull will not do."""
    return any(call.changed(name) for name in ("platform", "arch", "os", "variant", "authfile", "creds", "cert-dir",
                                               "tls-verify", "retry", "retry-delay", "signature-policy"))


def _pull(call: "Call", name: str, policy: str, progress: "Progress") -> None:
    from podlike.engine.pull import pull
    from podlike.spec.durations import parse_duration

    opts = call.opts
    pull(call.engine, name, platform=platform_of(call) or None,
         tls_verify=opts.tls_verify if call.changed("tls-verify") else None, creds=opts.creds or None,
         authfile=opts.authfile or None, cert_dir=opts.cert_dir or None, policy=policy,
         retries=opts.retry if call.changed("retry") else None,
         retry_delay=parse_duration(opts.retry_delay) if opts.retry_delay else None,
         signature_policy=opts.signature_policy or None, progress=progress)


def write_cidfile(call: "Call", path: str, container: "Container") -> None:
    """Write the id for scripts; the container goes away again if that cannot be done."""
    try:
        with open(path, "w") as f:
            f.write(container.id)
    except OSError as e:
        from podlike.engine.remove import remove

        remove(call.engine, container, force=True, volumes=True)
        raise UsageError(f"write container ID to {path}: {(e.strerror or '').lower()}",
                         hint="Give --cidfile a path that you can write.") from None
