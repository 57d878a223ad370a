"""Limits: what their flags take, which cannot be had, and what they are in config.json."""

from typing import Any

import pytest

from podlike.config import Config
from podlike.engine.defaults import apply_config
from podlike.errors import ConfigError, UsageError
from podlike.spec import limits
from podlike.spec.container import ContainerSpec
from podlike.spec.groupio import io_files, io_properties
from podlike.spec.iolimits import parse_devices, parse_weight

EVERYTHING = frozenset(("cpu", "cpuset", "io", "memory", "pids", "hugetlb"))


def resources(spec: ContainerSpec, **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"controllers": EVERYTHING, "swap": True, "default_pids_limit": 0, "warnings": [],
                             "devices": {"/dev/sda": (8, 0)}, **more}
    return limits.resources(spec, **given)


def test_io_and_files_in_config_json() -> None:
    spec = ContainerSpec(blkio_weight=300, blkio_weight_device={"/dev/sda": 20}, device_read_bps={"/dev/sda": 1024},
                         device_write_bps={"/dev/sda": 0}, device_read_iops={"/dev/sda": 7}, device_write_iops={"/dev/sda": 8},
                         cgroup_conf={"hugetlb.2MB.max": "4194304", "memory.high": "max"})
    assert resources(spec) == {
        "blockIO": {"weight": 300, "weightDevice": [{"major": 8, "minor": 0, "weight": 20}],
                    "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1024}],
                    "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 0}],
                    "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 7}],
                    "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 8}]},
        "unified": {"hugetlb.2MB.max": "4194304", "memory.high": "max"}}
    assert resources(ContainerSpec()) == {}


@pytest.mark.parametrize(("asked", "controllers", "words"), [
    ({"blkio_weight": 10}, EVERYTHING - {"io"}, "set --blkio-weight: the requested cgroup controller `io` is not available"),
    ({"device_read_iops": {"/dev/sda": 1}}, EVERYTHING - {"io"}, "set --device-read-iops: the requested cgroup controller `io`"),
    ({"cgroup_conf": {"hugetlb.2MB.max": "0"}}, EVERYTHING - {"hugetlb"}, "set --cgroup-conf hugetlb.2MB.max: the requested"),
    ({"memory_swappiness": 0}, EVERYTHING, "cannot set memory swappiness with cgroupv2"),
    ({"oom_kill_disable": True}, EVERYTHING, "cannot disable OOM killer with cgroupv2"),
])
def test_what_cannot_be_had(asked: dict[str, Any], controllers: frozenset[str], words: str) -> None:
    spec = ContainerSpec(pids_limit=5, **asked)
    with pytest.raises(UsageError) as e:
        resources(spec, controllers=controllers)
    assert e.value.message.startswith("set --") and words in e.value.message
    missing = limits.lacking(spec, controllers)
    assert [field for _, field, _ in missing] == list(asked)
    assert limits.without(spec, missing, ContainerSpec()) == ContainerSpec(pids_limit=5)
    with pytest.raises(UsageError, match="when cgroups are disabled"):
        resources(ContainerSpec(cgroups="disabled", **asked))


def test_only_the_files_that_lack_a_controller_go() -> None:
    spec = ContainerSpec(cgroup_conf={"memory.high": "5", "cgroup.max.depth": "3", "io.weight": "50"})
    missing = limits.lacking(spec, frozenset(("memory",)))
    assert [limits.words_for(m, where="cgroup /x") for m in missing] == [
        "set --cgroup-conf io.weight: the requested cgroup controller `io` is not available in cgroup /x"]
    assert limits.without(spec, missing, ContainerSpec()).cgroup_conf == {"memory.high": "5", "cgroup.max.depth": "3"}


@pytest.mark.parametrize(("field", "text", "wanted"), [
    ("blkio_weight_device", "/dev/sda:100", {"/dev/sda": 100}), ("blkio_weight_device", "/dev/sda:0", {"/dev/sda": 0}),
    ("device_read_bps", "/dev/sda:1mb", {"/dev/sda": 1 << 20}), ("device_write_bps", "/dev/sda:5", {"/dev/sda": 5}),
    ("device_read_iops", "/dev/sda:2000", {"/dev/sda": 2000}),
])
def test_limits_of_devices(field: str, text: str, wanted: dict[str, int]) -> None:
    assert parse_devices(field, [text]) == wanted


@pytest.mark.parametrize(("field", "text", "words"), [
    ("device_read_bps", "/dev/sda", "bad format: /dev/sda"), ("device_read_bps", "sda:1", "bad format for device path: sda:1"),
    ("device_read_bps", "/dev/sda:fast", "invalid rate for device: /dev/sda:fast. The correct format is"),
    ("device_read_bps", "/dev/sda:-1", "invalid rate"), ("device_read_iops", "/dev/sda:1mb", "invalid rate"),
    ("blkio_weight_device", "/dev/sda:9", "invalid weight for device: /dev/sda:9"),
    ("blkio_weight_device", "/dev/sda:1001", "invalid weight"), ("blkio_weight_device", "/dev/sda:²", "invalid weight"),
])
def test_bad_limits_of_devices(field: str, text: str, words: str) -> None:
    with pytest.raises(UsageError) as e:
        parse_devices(field, [text])
    assert words in e.value.message


@pytest.mark.parametrize("text", ["9", "1001", "-1", "x", "1.5"])
def test_bad_weights(text: str) -> None:
    with pytest.raises(UsageError):
        parse_weight(text)


def test_weights() -> None:
    assert [parse_weight(text) for text in ("0", "10", "1000")] == [0, 10, 1000]


def test_configuration() -> None:
    config = Config()
    config.merge({"podlike": {"limits": "best-effort"}, "containers": {"cgroup_conf": ["memory.high=5"]}}, "FILE")
    spec = ContainerSpec()
    apply_config(spec, config)
    assert (spec.limits, spec.cgroup_conf) == ("best-effort", {"memory.high": "5"})
    spec = ContainerSpec(limits="strict", cgroup_conf={"memory.high": "9"})
    apply_config(spec, config)
    assert (spec.limits, spec.cgroup_conf) == ("strict", {"memory.high": "9"})
    with pytest.raises(ConfigError, match=r"podlike\.limits must be strict or best-effort"):
        config.merge({"podlike": {"limits": "sometimes"}}, "FILE")


def test_a_spec_survives_the_database() -> None:
    spec = ContainerSpec(device_read_bps={"/dev/sda": 5}, cgroup_conf={"a.b": "c"}, limits="best-effort", memory_swappiness=3)
    assert ContainerSpec.from_dict(spec.to_dict()) == spec


def test_io_of_a_group() -> None:
    spec = ContainerSpec(blkio_weight=100, blkio_weight_device={"/dev/sda": 1000}, device_read_bps={"/dev/sda": 5, "/dev/sdb": 0},
                         device_write_iops={"/dev/sda": 7})
    files = io_files(spec, {"/dev/sda": (8, 0), "/dev/sdb": (8, 16)})
    assert files == {"io.weight": "default 910\n8:0 10000", "io.max": "8:0 rbps=5 wiops=7\n8:16 rbps=max"}
    assert io_properties(files) == [
        "IOWeight=910", "IODeviceWeight=/dev/block/8:0 10000", "IOReadBandwidthMax=/dev/block/8:0 5",
        "IOWriteIOPSMax=/dev/block/8:0 7", "IOReadBandwidthMax=/dev/block/8:16 infinity"]
    assert io_files(ContainerSpec(), {}) == {} and io_properties({"memory.max": "5"}) == []
