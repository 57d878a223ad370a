"""What a container is asked to be, completed by its image and the user's configuration."""

from podlike.errors import CommandNotFoundError, PodlikeError, UsageError
from podlike.spec import signals
from podlike.spec.container import ContainerSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from dataclasses import replace
    from typing import Any, NamedTuple
else:
    from podlike.spec.record import NamedTuple, replace

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT_PATH = "/run/podman-init"  # where --init's program appears in the container; scripts look for this name
PROXY_VARIABLES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy",
                   "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY")
SYSTEMD_PROGRAMS = frozenset(("/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init"))
SYSTEMD_VALUES = ("true", "false", "always")
_DEFAULT_STOP_SIGNAL = "SIGTERM"
_SYSTEMD_STOP_SIGNAL = "SIGRTMIN+3"  # systemd(1): a clean shutdown of a container


class Defaults(NamedTuple):
    """What containers.conf says about every container; the names are its keys in [containers] and
    [engine]."""

    env: "Sequence[str]" = ()
    annotations: "Sequence[str]" = ()
    ulimits: "Sequence[str]" = ()
    timezone: str = ""


def resolve(spec: ContainerSpec, image_config: "Mapping[str, Any] | None",
            defaults: "Defaults | None" = None, *, name: str, cid: str,
            host_env: "Mapping[str, str]") -> ContainerSpec:
    """A new spec with nothing left to the image: args, env, workdir, user, labels, signals, volumes, ports.

    image_config: the image's configuration (image-spec, config.md), untrusted; None with --rootfs.
    host_env: environment of the caller, for proxies, --env-host and `--env NAME`.
    HOME is left to spec.oci.build, which knows the container's passwd file.
    Raises: PodlikeError when there is nothing to run; UsageError for flags that contradict each other.
    """
    image = _section(image_config)
    defaults = defaults or Defaults()
    if spec.image and spec.rootfs:
        raise UsageError("both image and rootfs cannot be simultaneously: invalid configuration",
                         hint="Give an image name, or --rootfs and a directory.")
    command = _command(spec, image)
    out = replace(
        spec,
        name=name,
        command=command,
        args=_args(spec, image, command),
        env=_env(spec, image, defaults, host_env),
        workdir=spec.workdir or clean(_text(image, "WorkingDir")),
        user=spec.user or _text(image, "User"),
        labels={**_strings(image, "Labels"), **spec.labels},
        annotations={**_pairs(defaults.annotations), **spec.annotations},
        ulimits=list(spec.ulimits or defaults.ulimits),
        timezone=spec.timezone or defaults.timezone,
        expose=_exposed(spec, image),
        image_volumes=_volumes(spec, image),
    )
    if out.image_volume_mode in ("tmpfs", "ignore"):
        if out.image_volume_mode == "tmpfs":
            out.tmpfs = {**out.tmpfs, **dict.fromkeys(out.image_volumes, "rprivate,rw,nodev,exec")}
        out.image_volumes = []
    if not out.workdir.startswith("/"):
        raise UsageError(f"the working directory {out.workdir!r} is invalid, it needs to be an absolute path",
                         hint="Give --workdir a path that begins with /.")
    if not spec.no_health and (spec.health or image.get("Healthcheck") or spec.health_on_failure or spec.startup_health
                               or spec.sdnotify == "healthy"):
        from podlike.spec.health import complete

        complete(out, image)
    out.stop_signal = _stop_signal(spec, image, systemd=uses_systemd(out))
    validate(out)
    return out


def default_hostname(spec: ContainerSpec, cid: str, *, host: str) -> str:
    """The name that the container sees: its own, the host's where it shares the host's network or UTS
    namespace, else the first twelve characters of its id."""
    if spec.hostname:
        return spec.hostname
    return host if "host" in (spec.uts_ns, spec.network) else cid[:12]


def uses_systemd(spec: ContainerSpec) -> bool:
    """Whether the container is prepared for systemd as its first process: asked for, or the command is
    systemd."""
    mode = spec.systemd.lower()
    if mode in ("false", "always"):
        return mode == "always"
    args = spec.args
    if args[:2] == ["/bin/sh", "-c"] and len(args) > 2:
        args = args[2:]
    return bool(args) and (args[0] in SYSTEMD_PROGRAMS or args[0].rpartition("/")[2] == "systemd")


def namespace(text: str) -> "tuple[str, str]":
    """("container", "ID") for "container:ID", ("", "") for the default."""
    mode, _, value = text.partition(":")
    return mode, value


def validate(spec: ContainerSpec) -> None:
    """Refuse flags that contradict each other. Raises: UsageError."""
    for flag, text, modes in _NAMESPACES:
        mode, value = namespace(getattr(spec, text))
        if mode not in modes:
            raise UsageError(f"invalid namespace type {mode} specified for {flag}",
                             hint=f"Use one of {', '.join(m for m in modes if m)}.")
        if mode in ("container", "ns") and not value:
            raise UsageError(f"namespace mode {mode} requires a value", hint=f"Write {flag}={mode}:VALUE.")
        if value and mode not in ("container", "ns", "slirp4netns", "pasta"):
            raise UsageError(f"namespace value {value} cannot be provided with namespace mode {mode}")
    if spec.hostname and spec.uts_ns not in ("", "private"):
        where = "host" if spec.uts_ns == "host" else "other container's"
        raise UsageError(
            f"cannot set hostname when running in the {where} UTS namespace: invalid configuration",
            hint="Leave --hostname or --uts away.",
        )
    if spec.add_hosts and namespace(spec.network)[0] == "container":
        raise UsageError("cannot set extra host entries when the container is joined to another containers "
                         "network namespace: invalid configuration",
                         hint="Give --add-host to the container whose network is shared.")
    if spec.shm_size != _DEFAULT_SHM and spec.ipc_ns in ("host", "none"):
        raise UsageError(f"cannot set shmsize when running in the {spec.ipc_ns} IPC Namespace",
                         hint="Leave --shm-size or --ipc away.")
    if spec.systemd and spec.systemd.lower() not in SYSTEMD_VALUES:
        raise UsageError(
            f'--systemd values must be one of "{", ".join(SYSTEMD_VALUES)}": invalid configuration'
        )
    if spec.init:
        if spec.pid_ns not in ("", "private"):
            raise UsageError("cannot add init binary as PID 1 (PID namespace isn't private)",
                             hint="Leave --init or --pid away.")
        if spec.systemd.lower() == "always":
            raise UsageError("cannot use container-init binary with systemd=always",
                             hint="Leave --init or --systemd away.")
    _validate_resources(spec)


def _validate_resources(spec: ContainerSpec) -> None:
    if spec.cgroups == "split" and spec.cgroup_parent:
        raise UsageError("cannot specify --cgroup-mode=split with a cgroup-parent: invalid argument",
                         hint="Split is the cgroup of the unit that the container is started in: leave one of the two away.")
    if spec.cpus and (spec.cpu_period or spec.cpu_quota):
        flag = "cpu-period" if spec.cpu_period else "cpu-quota"
        raise UsageError(f"--cpus and --{flag} cannot be set together", hint="--cpus sets period and quota.")
    if spec.memory_swap > 0:
        if not spec.memory:
            raise UsageError("you should always set a memory limit when using a memoryswap limit, see usage",
                             hint="Give --memory too.")
        if spec.memory_swap < spec.memory:
            raise UsageError("minimum memoryswap limit should be larger than memory limit, see usage",
                             hint="--memory-swap counts memory and swap together.")
    if spec.memory and spec.memory_reservation > spec.memory:
        raise UsageError("minimum memory limit cannot be less than memory reservation limit, see usage")
    if spec.cpu_period and not 1000 <= spec.cpu_period <= 1_000_000:
        raise UsageError(
            "CPU cfs period cannot be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if spec.cpu_quota and 0 < spec.cpu_quota < 1000:
        raise UsageError("CPU cfs quota cannot be less than 1ms (i.e. 1000)")


_DEFAULT_SHM = ContainerSpec().shm_size
_COMMON = ("", "host", "private", "container", "ns")
_NAMESPACES = (
    ("--pid", "pid_ns", _COMMON),
    ("--ipc", "ipc_ns", (*_COMMON, "shareable", "none")),
    ("--uts", "uts_ns", _COMMON),
    ("--cgroupns", "cgroup_ns", _COMMON),
)


def _section(image_config: "Mapping[str, Any] | None") -> "Mapping[str, Any]":
    section = image_config.get("config") if isinstance(image_config, dict) else None
    return section if isinstance(section, dict) else {}


def _command(spec: ContainerSpec, image: "Mapping[str, Any]") -> "list[str]":
    """An entrypoint of the user's own, even an empty one, drops the image's command."""
    if spec.command or spec.entrypoint is not None:
        return list(spec.command)
    return _list(image, "Cmd")


def _args(spec: ContainerSpec, image: "Mapping[str, Any]", command: "list[str]") -> "list[str]":
    entrypoint = _list(image, "Entrypoint") if spec.entrypoint is None else spec.entrypoint
    if entrypoint == [""]:
        entrypoint = []
    args = [*entrypoint, *command]
    if not args and spec.rootfs:
        raise CommandNotFoundError("executable file `` not found in $PATH: No such file or directory: "
                                   "OCI runtime attempted to invoke a command that was not found",
                                   hint="Add a command after the directory.")
    if not args:
        raise PodlikeError("no command or entrypoint provided, and no CMD or ENTRYPOINT from image",
                           hint="Add a command after the image's name, or give --entrypoint.")
    return [INIT_PATH, "--", *args] if spec.init else args


def _env(spec: ContainerSpec, image: "Mapping[str, Any]", defaults: Defaults,
         host_env: "Mapping[str, str]") -> "dict[str, str]":
    """Weakest first: built in, containers.conf, image, --env-merge, terminal, host or proxies, command line.

    --unsetenv and --unsetenv-all take from the first four; what the user asks for stays.
    """
    env = {"PATH": PATH, "container": "podman"}  # the value that systemd and scripts test for
    env.update(_pairs(defaults.env))
    env.update(_pairs(_list(image, "Env")))
    if spec.env_merge:
        from podlike.spec.environ import expand

        env.update({key: expand(value, env) for key, _, value in (text.partition("=") for text in spec.env_merge)})
    if spec.terminal:
        env.setdefault("TERM", "xterm")
    for name in list(env) if spec.unset_env_all else spec.unset_env:
        env.pop(name, None)
    if spec.env_host:
        env.update(host_env)
    elif spec.http_proxy:
        env.update((key, host_env[key]) for key in PROXY_VARIABLES if key in host_env)
    env.update(spec.env)
    return env


def _stop_signal(spec: ContainerSpec, image: "Mapping[str, Any]", *, systemd: bool) -> str:
    text = spec.stop_signal or _text(image, "StopSignal")
    if text:
        return signals.name_of(signals.parse(text))
    return _SYSTEMD_STOP_SIGNAL if systemd else _DEFAULT_STOP_SIGNAL


def _exposed(spec: ContainerSpec, image: "Mapping[str, Any]") -> "list[str]":
    """"80/tcp", each once, the user's first."""
    ports = (*spec.expose, *_keys(image, "ExposedPorts"))
    return list(dict.fromkeys(port if "/" in port else f"{port}/tcp" for port in ports))


def _volumes(spec: ContainerSpec, image: "Mapping[str, Any]") -> "list[str]":
    """Targets of the image's VOLUMEs that no mount of the user's replaces."""
    taken = {clean(mount.target) for mount in spec.mounts} | {clean(target) for target in spec.tmpfs}
    return sorted(
        # A VOLUME without its slash is from "/" on, as docker has it.
        {clean(v) for v in (*_keys(image, "Volumes"), *spec.image_volumes) if v} - taken - {"/"}
    )


def clean(path: str) -> str:
    """An absolute path without empty, "." and ".." parts; ".." of "/" is "/"."""
    parts: "list[str]" = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part and part != ".":
            parts.append(part)
    return "/" + "/".join(parts)


def _pairs(items: "Iterable[str]") -> "dict[str, str]":
    return {key: value for key, _, value in (item.partition("=") for item in items) if key}


def _list(image: "Mapping[str, Any]", key: str) -> "list[str]":
    value = image.get(key)
    if isinstance(value, str):
        return [value]  # some builders write a lone string
    return [str(item) for item in value] if isinstance(value, list) else []


def _text(image: "Mapping[str, Any]", key: str) -> str:
    value = image.get(key)
    return value if isinstance(value, str) else ""


def _keys(image: "Mapping[str, Any]", key: str) -> "list[str]":
    value = image.get(key)
    return [str(k) for k in value] if isinstance(value, dict) else []


def _strings(image: "Mapping[str, Any]", key: str) -> "dict[str, str]":
    value = image.get(key)
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}
