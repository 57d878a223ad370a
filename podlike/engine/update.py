"""podlike update: another configuration for a container that exists, and for its monitor and its cgroup if it runs."""

import json

from podlike import log, procs
from podlike.engine import eventorders, events, limits, query
from podlike.engine.cleanup import lock_of, runtime_of
from podlike.engine.core import Engine
from podlike.engine.tending import needs_tending, refuse_without_our_monitor, reload
from podlike.errors import ConflictError
from podlike.files import read_text, replace_text
from podlike.runtime import hostfacts
from podlike.spec import health, rlimits
from podlike.spec.container import ContainerSpec
from podlike.spec.limits import FIELDS, IO_DEVICES, changed_resources
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from dataclasses import field
    from typing import Any, Final
else:
    from podlike.spec.record import field, record

_DEVICES: "Final" = frozenset(field for field, _, _ in IO_DEVICES)
_TENDED: "Final" = ("restart_policy", "health", "startup_health", "no_health", "health_on_failure", "health_log_destination",
                    "health_log_count", "health_log_size")


@record(slots=True, kw_only=True)
class Changes:
    """What is to be different. fields: of ContainerSpec, with their values.

    health, startup_health: flags by their names without --health- and --health-startup-; see spec/health.py changed().
    """

    fields: "dict[str, Any]" = field(default_factory=dict)
    health: "dict[str, str]" = field(default_factory=dict)
    startup_health: "dict[str, str]" = field(default_factory=dict)
    no_health: bool = False
    env: "dict[str, str]" = field(default_factory=dict)
    unset_env: "list[str]" = field(default_factory=list)


def update(engine: Engine, container: Container, changes: Changes) -> None:
    """Change it now, and for every later start. Env and ulimits are for later starts only, as with podman.

    Raises: UsageError, ConflictError, RuntimeFailure; then nothing has changed.
    """
    engine.enter_session()
    with lock_of(engine, container.id):
        fresh = engine.containers.find(container.id)
        state = query.status(engine, fresh)
        if state.state == "removing":
            raise ConflictError(f"container {fresh.id} is being removed, cannot update: container state improper")
        old, new = fresh.spec, changed_spec(fresh.spec, changes)
        if not state.running and state.state != "initialized":
            fresh.state.warnings = limits.check(engine, new)
        fresh.spec = new
        if state.running:
            if fresh.state.conmon:
                refuse_without_our_monitor(new, fresh.state.conmon)
            _update_running(engine, fresh, old)
        engine.containers.save_spec(fresh)
        engine.containers.save_warnings(fresh)
        events.container(engine, fresh, "update")


def changed_spec(old: ContainerSpec, changes: Changes) -> ContainerSpec:
    """Raises: UsageError."""
    spec = ContainerSpec.from_dict(json.loads(json.dumps(old.to_dict())))
    for name, value in changes.fields.items():
        # Devices that are not named keep their limits, as with podman.
        setattr(spec, name, getattr(spec, name) | value if name in _DEVICES else value)
    if "cpus" in changes.fields:
        spec.cpu_period = spec.cpu_quota = 0
    elif "cpu_period" in changes.fields or "cpu_quota" in changes.fields:
        spec.cpus = 0.0
    spec.env = {k: v for k, v in (spec.env | changes.env).items() if k not in changes.unset_env}
    if spec.remove and spec.restart_policy not in ("", "no"):
        raise ConflictError("the --rm option conflicts with --restart, when the restartPolicy is not \"\" and \"no\"")
    _change_health(spec, changes)
    return spec


def _change_health(spec: ContainerSpec, changes: Changes) -> None:
    if changes.no_health:
        spec.health = spec.startup_health = None
        spec.no_health, spec.health_on_failure = True, ""
    if changes.health:
        spec.health = health.changed(spec.health, changes.health)
        spec.no_health = spec.health is None
        if spec.no_health:
            spec.startup_health = None
    if changes.startup_health:
        spec.startup_health = health.changed(spec.startup_health, changes.startup_health, startup=True)
    if spec.health is None:
        health.refuse_without_check(spec)


def _update_running(engine: Engine, container: Container, old: ContainerSpec) -> None:
    new, path = container.spec, f"{engine.roots.bundle(container.id)}/config.json"
    text = read_text(path)
    config: "dict[str, Any]" = json.loads(text)
    changed = [name for name in FIELDS if getattr(new, name) != getattr(old, name)]
    resources = _change_limits(engine, container, changed) if changed else {}
    # The monitor starts it again with this document.
    for section, values in resources.items():
        config["linux"].setdefault("resources", {}).setdefault(section, {}).update(values)
    _change_process(config["process"], new, old)
    now = json.dumps(config)
    if now != json.dumps(json.loads(text)):
        replace_text(path, now)
    if any(getattr(new, name) != getattr(old, name) for name in _TENDED) or new.env != old.env and new.health is not None:
        _tend(engine, container, old, config)


def _change_limits(engine: Engine, container: Container, changed: "list[str]") -> "dict[str, Any]":
    """Have the runtime set them. Returns them as linux.resources."""
    can, changed = limits.update(container, changed)
    if not changed:
        return {}
    facts = hostfacts.gather(controllers=limits.controllers(can, container.state.cgroup))
    warnings: list[str] = []
    resources = changed_resources(can, changed, controllers=facts.controllers, swap=facts.swap,
                                  devices=limits.block_devices(can), warnings=warnings)
    for words in warnings:
        log.warning(words)
    if resources:
        path = f"{engine.roots.bundle(container.id)}/resources.json"
        replace_text(path, json.dumps(resources))
        runtime_of(engine, container).run("update", "--resources", path, container.id)
    return resources


def _change_process(process: "dict[str, Any]", new: ContainerSpec, old: ContainerSpec) -> None:
    if new.env != old.env:
        kept = [text for text in process["env"] if text.partition("=")[0] not in (old.env.keys() | new.env.keys())]
        process["env"] = kept + [f"{k}={v}" for k, v in new.env.items()]
    if new.ulimits != old.ulimits:
        facts = hostfacts.gather()
        from podlike.runtime.session import rootless

        process["rlimits"] = rlimits.to_oci(new.ulimits, own=facts.limits,
                                            rootless=rootless() or "CAP_SYS_RESOURCE" not in facts.bounding)


def _tend(engine: Engine, container: Container, old: ContainerSpec, config: "dict[str, Any]") -> None:
    """Have the monitor follow the new spec. Raises: ConflictError."""
    state = container.state
    if state.conmon:
        return  # its exit command reads the spec
    if not (state.tended or needs_tending(container.spec)):
        return
    if not procs.alive(state.conmon_pid, state.conmon_start_time):
        log.warning(f"the monitor of {container.name} was killed: restart policy and health check apply from its next start on")
        return
    engine.containers.set_tended(container.id)  # first: whoever looks from now on finds what the monitor tells
    state.tended = True
    eventorders.write_for_monitor(engine, container)
    try:
        if not reload(engine, container, config):
            log.warning(f"the monitor of {container.name} is of an older version: restart policy and health check apply from "
                        "its next start on")
    except ConflictError:
        container.spec = old
        from podlike.engine.tending import write_orders

        write_orders(engine, container, config)
        raise
