"""podlike update: another configuration for a container that exists."""

import os

from podlike.cli.command import Call, Command
from podlike.cli.fillhealth import health_action, health_log
from podlike.cli.fillspec import memory_size, restart_policy
from podlike.cli.limitflags import limit_fields
from podlike.cli.options import CREATE_TABLE, LATEST, LIMIT_FLAGS, container_name, create_flags, take_container
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from podlike.engine.update import Changes
    from podlike.store.containers import Container

_LIMITS: "Final" = tuple(name for name in LIMIT_FLAGS if name not in ("cgroup-conf", "oom-kill-disable"))
_PLAIN: "Final" = ("cpus", "cpu-shares", "cpu-quota", "cpu-period", "cpuset-cpus", "cpuset-mems", "pids-limit")
_MEMORY: "Final" = ("memory", "memory-swap", "memory-reservation")
_HEALTH: "Final" = ("cmd", "interval", "retries", "timeout", "start-period")
_STARTUP: "Final" = ("cmd", "interval", "retries", "timeout", "success")
_OTHER: "Final" = ("restart", "env", "unsetenv", "ulimit", "no-healthcheck", "health-log-destination", "health-max-log-count",
                   "health-max-log-size", "health-on-failure")
_NAMES: "Final" = frozenset((*_LIMITS, *_PLAIN, *_MEMORY, *_OTHER, *(f"health-{name}" for name in _HEALTH),
                             *(f"health-startup-{name}" for name in _STARTUP)))


def update(call: Call) -> int:
    from podlike.engine.update import update as update_container

    opts, changes = call.opts, _changes(call)
    if call.docker:
        from podlike.engine.query import find

        named = [(name, find(call.engine, container_name(name))) for name in call.args]
    else:
        if opts.latest and call.args:
            raise UsageError("--latest and containers cannot be used together")
        if len(call.args) > 1:
            raise UsageError(f"accepts at most 1 arg(s), received {len(call.args)}")
        container, _ = take_container(call)
        named = [(container.id, container)]
    if "restart_policy" in changes.fields:
        from podlike.cli.startup import set_up_once

        set_up_once(call, changes.fields["restart_policy"])

    def one(pair: "tuple[str, Container]") -> str:
        update_container(call.engine, pair[1], changes)
        return pair[0]

    return call.each(named, one)


def _changes(call: Call) -> "Changes":
    """Raises: UsageError."""
    from podlike.engine.update import Changes

    opts, out = call.opts, Changes()
    out.fields |= limit_fields(call)
    if call.changed("cpus") and (call.changed("cpu-period") or call.changed("cpu-quota")):
        raise UsageError(f"--cpu-{'period' if call.changed('cpu-period') else 'quota'} and --cpus cannot be set together")
    for name in _PLAIN:
        if call.changed(name):
            out.fields[name.replace("-", "_")] = getattr(opts, name.replace("-", "_"))
    if out.fields.get("cpus", 0) < 0:
        raise UsageError(f"--cpus {opts.cpus:g}: must not be negative")
    for name in _MEMORY:
        if call.changed(name):
            out.fields[name.replace("-", "_")] = memory_size(name, getattr(opts, name.replace("-", "_")))
    if call.changed("restart"):
        out.fields["restart_policy"] = restart_policy(opts.restart)
    _process(call, out)
    _health(call, out)
    return out


def _process(call: Call, out: "Changes") -> None:
    opts = call.opts
    if opts.env:
        from podlike.spec.environ import environment

        out.env = {k: v for k, v in environment(opts.env, [], os.environ).items() if v is not None}
    out.unset_env = list(opts.unsetenv)
    if call.changed("ulimit"):
        from podlike.spec.rlimits import parse

        for text in opts.ulimit:
            if text != "host":
                parse(text)
        out.fields["ulimits"] = list(opts.ulimit)


def _health(call: Call, out: "Changes") -> None:
    opts = call.opts
    for prefix, names, texts in (("health", _HEALTH, out.health), ("health-startup", _STARTUP, out.startup_health)):
        for name in names:
            if call.changed(f"{prefix}-{name}"):
                value = getattr(opts, f"{prefix}-{name}".replace("-", "_"))
                texts["successes" if name == "success" else name.replace("-", "_")] = str(value)
    out.no_health = opts.no_healthcheck
    if out.no_health and (out.health or out.startup_health):
        raise UsageError("cannot specify both --no-healthcheck and other HealthCheck flags")
    if call.changed("health-on-failure"):
        out.fields["health_on_failure"] = health_action(opts.health_on_failure)
    if call.changed("health-log-destination"):
        out.fields["health_log_destination"] = health_log(opts.health_log_destination)
    for flag, field in (("health-max-log-count", "health_log_count"), ("health-max-log-size", "health_log_size")):
        if call.changed(flag):
            out.fields[field] = getattr(opts, flag.replace("-", "_"))


_FLAGS = (*create_flags(tuple(row for row in CREATE_TABLE if row[0] in _NAMES)), LATEST)
_ABOUT = ("Updates the configuration of an existing container, allowing changes to resource limits, the restart policy and "
          "health checks. They hold at once, also for a container that runs, and after it is started again; --env, --unsetenv "
          "and --ulimit hold from its next start on.")
command = Command("update", update, usage="CONTAINER", summary="Update an existing container", description=_ABOUT, flags=_FLAGS,
                  examples=("update --cpus=5 foobar_container", "update --restart=unless-stopped --health-cmd=/check ctrID"))
docker_command = Command("update", update, usage="CONTAINER [CONTAINER...]", summary="Update configuration of one or more "
                         "containers", description=_ABOUT, flags=_FLAGS, examples=("update --restart=always web db",))
