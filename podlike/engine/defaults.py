"""containers.conf's say in what a container is, where the command line was silent."""

import os

from podlike.config import Config
from podlike.errors import UsageError
from podlike.spec.container import ContainerSpec
from podlike.spec.mounts import parse_volume
from podlike.spec.resolve import Defaults
from podlike.spec.sizes import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from podlike.spec.container import Mount

# Fields of [containers] that mean the same as the ContainerSpec field of that name.
_SAME = ("cgroups", "env_host", "http_proxy", "init", "log_driver", "no_hosts", "oom_score_adj", "privileged",
         "read_only", "umask")
_NAMESPACES = (("pidns", "pid_ns"), ("utsns", "uts_ns"), ("cgroupns", "cgroup_ns"), ("userns", "user_ns"),
               ("netns", "network"))
_UNSET = ContainerSpec()


def apply_config(spec: ContainerSpec, config: Config) -> None:
    """Fill what still has its built-in default from the configuration. Raises: UsageError for bad values there."""
    table = config.containers
    journal = _silent(spec, "log_driver") and not spec.log_options and table.log_driver == "k8s-file" and _has_journal_of_a_unit()
    for name in _SAME:
        if _silent(spec, name):
            setattr(spec, name, getattr(table, name))
    if not spec.limits and config.podlike.limits != "strict":
        spec.limits = config.podlike.limits
    if _silent(spec, "cgroup_conf") and table.cgroup_conf:
        spec.cgroup_conf = {key: value for key, _, value in (text.partition("=") for text in table.cgroup_conf)}
    if journal:
        spec.log_driver = "journald"
    apply_namespaces(spec, config)
    spec.image_volume_mode = spec.image_volume_mode or config.engine.image_volume_mode
    if spec.image_volume_mode not in ("", "anonymous", "bind", "tmpfs", "ignore"):
        raise UsageError(f'use image_volume_mode = "{spec.image_volume_mode}" of containers.conf: there is none of that name',
                         hint="Write anonymous, tmpfs or ignore.")
    if _silent(spec, "shm_size") and table.shm_size != "65536k":
        spec.shm_size = parse_size(table.shm_size)
    if _silent(spec, "stop_timeout"):
        spec.stop_timeout = config.engine.stop_timeout
    if "max-size" not in spec.log_options and table.log_size_max > 0:
        spec.log_options = {**spec.log_options, "max-size": str(table.log_size_max)}
    if "path" not in spec.log_options and table.log_path and spec.log_driver in ("k8s-file", "json-file"):
        spec.log_options = {**spec.log_options, "path": table.log_path}
    if "tag" not in spec.log_options and table.log_tag and spec.log_driver == "journald":
        spec.log_options = {**spec.log_options, "tag": table.log_tag}
    spec.devices = [*table.devices, *spec.devices]
    if table.volumes or table.mounts:
        taken = {m.target for m in spec.mounts} | set(spec.tmpfs)
        configured = [*map(parse_volume, table.volumes), *_mounts(table.mounts)]
        spec.mounts += [m for m in configured if m.target not in taken]


def _mounts(texts: "Sequence[str]") -> "list[Mount]":
    """Raises: UsageError."""
    from podlike.runtime.session import rootless
    from podlike.spec.mounts import parse_mount

    def matches(pattern: str) -> list[str]:
        from glob import glob

        return glob(pattern)

    try:
        return [m for text in texts for m in parse_mount(text, rootless=rootless(), glob=matches)]
    except UsageError as e:
        raise UsageError(f"parsing containers.conf mounts: {e.message}") from None  # scripts compare these words


def _has_journal_of_a_unit() -> bool:
    """Whether a Quadlet's service or one of `generate systemd` calls: its user looks for output in the unit's journal."""
    return "PODMAN_SYSTEMD_UNIT" in os.environ and os.path.exists("/run/systemd/journal/socket")


def apply_namespaces(spec: ContainerSpec, config: Config) -> None:
    """Which namespaces it gets where nothing was said."""
    for key, name in _NAMESPACES:
        if not getattr(spec, name):
            value = getattr(config.containers, key)
            setattr(spec, name, "" if value == "private" else value)
    if not spec.ipc_ns and config.containers.ipcns != "shareable":  # here private is not the default, but says who may join
        spec.ipc_ns = config.containers.ipcns


def _silent(spec: ContainerSpec, name: str) -> bool:
    """Whether the command line says nothing about this field."""
    return name not in spec.given and bool(getattr(spec, name) == getattr(_UNSET, name))


def defaults_for(config: Config) -> Defaults:
    """What spec.resolve takes from the configuration."""
    table = config.containers
    return Defaults(env=table.env, annotations=table.annotations, ulimits=table.default_ulimits, timezone=table.tz)
