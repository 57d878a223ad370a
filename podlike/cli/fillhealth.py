"""The flags of health checks as fields of a ContainerSpec."""

import os

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.cli.command import Call
    from podlike.spec.container import ContainerSpec

_HEALTH_TIMES = ("interval", "timeout", "start_period", "start_interval")


def fill_health(call: "Call", spec: "ContainerSpec") -> None:
    """Raises: UsageError."""
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


def _health_commands(call: "Call", spec: "ContainerSpec") -> None:
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
