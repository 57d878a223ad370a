"""What `update` makes of a configuration."""

import pytest

from podlike.engine.update import Changes, changed_spec
from podlike.errors import PodlikeError
from podlike.spec.container import ContainerSpec, HealthCheck
from podlike.spec.limits import changed_resources

SECOND = 1_000_000_000


def test_only_what_is_named_changes() -> None:
    old = ContainerSpec(memory=1 << 20, pids_limit=7, env={"A": "1", "B": "2"}, cpu_quota=5, cpu_period=9)
    before = old.to_dict()
    new = changed_spec(old, Changes(fields={"cpus": 2.0, "restart_policy": "always"}, env={"C": "3"}, unset_env=["A"]))
    assert (new.memory, new.pids_limit, new.cpus, new.cpu_quota, new.cpu_period) == (1 << 20, 7, 2.0, 0, 0)
    assert new.env == {"B": "2", "C": "3"}
    assert old.to_dict() == before
    assert changed_spec(new, Changes(fields={"cpu_quota": 4})).cpus == 0


def test_health_checks_keep_what_is_not_named() -> None:
    spec = changed_spec(ContainerSpec(), Changes(health={"cmd": "true", "interval": "1s"},
                                                 startup_health={"cmd": "x", "successes": "2"}))
    assert spec.health is not None
    assert spec.startup_health is not None
    assert (spec.health.interval, spec.health.timeout, spec.health.retries) == (SECOND, 30 * SECOND, 3)
    assert (spec.startup_health.retries, spec.startup_health.successes) == (0, 2)
    spec = changed_spec(spec, Changes(health={"retries": "5", "start_period": "2s"}))
    assert spec.health == HealthCheck(test=["CMD-SHELL", "true"], interval=SECOND, timeout=30 * SECOND, retries=5,
                                      start_period=2 * SECOND)
    for changes in (Changes(no_health=True), Changes(health={"cmd": "none"})):
        bare = changed_spec(spec, changes)
        assert (bare.health, bare.startup_health, bare.no_health) == (None, None, True)
    again = changed_spec(bare, Changes(health={"cmd": "false"}))
    assert again.health is not None
    assert not again.no_health


@pytest.mark.parametrize(("spec", "changes"), [
    (ContainerSpec(), Changes(health={"interval": "1s"})),
    (ContainerSpec(health=HealthCheck(test=["CMD", "x"], retries=1)), Changes(startup_health={"retries": "1"})),
    (ContainerSpec(health=HealthCheck(test=["CMD", "x"], retries=1)), Changes(health={"retries": "0"})),
    (ContainerSpec(remove=True), Changes(fields={"restart_policy": "always"})),
    (ContainerSpec(sdnotify="healthy", health=HealthCheck(test=["CMD", "x"], retries=1)), Changes(no_health=True)),
])
def test_refused(spec: ContainerSpec, changes: Changes) -> None:
    with pytest.raises(PodlikeError):
        changed_spec(spec, changes)


@pytest.mark.parametrize(("spec", "changed", "wanted"), [
    (ContainerSpec(memory=100, pids_limit=5, cpus=1.0), ["memory"], {"memory": {"limit": 100, "swap": 200}}),
    (ContainerSpec(memory=100, memory_swap=-1), ["memory_swap"], {"memory": {"limit": 100, "swap": -1}}),
    (ContainerSpec(), ["memory"], {"memory": {"limit": -1}}),
    (ContainerSpec(pids_limit=-1), ["pids_limit"], {"pids": {"limit": -1}}),
    (ContainerSpec(pids_limit=9, memory=5), ["pids_limit"], {"pids": {"limit": 9}}),
    (ContainerSpec(cpus=1.5, cpuset_cpus="0"), ["cpus"], {"cpu": {"period": 100000, "quota": 150000, "cpus": "0"}}),
    (ContainerSpec(cpuset_cpus="1"), ["cpuset_cpus"], {"cpu": {"cpus": "1"}}),
    (ContainerSpec(cpu_quota=-1), ["cpu_quota"], {"cpu": {"quota": -1}}),
    (ContainerSpec(device_read_bps={"/dev/a": 5, "/dev/b": 0}, memory=5), ["device_read_bps"], {"blockIO": {
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}, {"major": 8, "minor": 16, "rate": 0}]}}),
    (ContainerSpec(blkio_weight=20), ["blkio_weight"], {"blockIO": {"weight": 20}}),
])
def test_limits_for_a_running_container(spec: ContainerSpec, changed: list[str], wanted: object) -> None:
    found = changed_resources(spec, changed, controllers=frozenset(("memory", "pids", "cpu", "cpuset", "io")), swap=True,
                              devices={"/dev/a": (8, 0), "/dev/b": (8, 16)}, warnings=[])
    assert found == wanted
