"""A pod as `pod inspect` shows it: podman's document."""

from podlike.engine import inspect as containers
from podlike.engine.core import Engine
from podlike.engine.pods.members import members
from podlike.engine.pods.rows import Row, networks, podcgroup_parent
from podlike.spec.container import ContainerSpec
from podlike.spec.durations import rfc3339
from podlike.store.containers import Container
from podlike.store.pods import Pod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PERIOD = 100_000  # microseconds


def inspect_pod(engine: Engine, pod: Pod) -> "dict[str, Any]":
    """The document, JSON-ready, keys in podman's order; what podman leaves out when it is empty is left out."""
    row = Row(engine, pod, members(engine, pod))
    infra, spec, asked = row.infra, pod.spec, pod.spec.container
    period, quota = _cpu(asked)
    shared = sorted({*spec.share, *(("user",) if infra is not None and infra.spec.uid_map else ())})
    pairs = sorted(zip(row.containers, row.statuses, strict=True), key=lambda pair: pair[0].id)
    doc: "dict[str, Any]" = {
        "Id": pod.id, "Name": pod.name, "Created": rfc3339(pod.created), "CreateCommand": spec.create_command,
        "ExitPolicy": spec.exit_policy, "State": row.state, "Hostname": asked.hostname, "Labels": spec.labels,
        "CreateCgroup": spec.share_parent, "CgroupParent": podcgroup_parent(row), "CgroupPath": row.cgroup,
        "CreateInfra": infra is not None, "InfraContainerID": infra.id if infra else "",
        "InfraConfig": _infra_config(engine, row, infra, asked) if infra is not None else None,
        "SharedNamespaces": shared, "NumContainers": len(row.containers),
        "Containers": [{"Id": c.id, "Name": c.name, "State": s.state} for c, s in pairs],
        "cpu_period": period, "cpu_quota": quota, "cpu_shares": asked.cpu_shares, "cpuset_cpus": asked.cpuset_cpus,
        "cpuset_mems": asked.cpuset_mems, "mounts": containers.mounts_of(engine, asked),
        "devices": containers.devices_of(asked), "volumes_from": asked.volumes_from,
        "security_opt": containers.security_of(asked), "memory_limit": asked.memory, "memory_swap": asked.memory_swap,
        **_block_io(asked), "RestartPolicy": spec.restart_policy.partition(":")[0],
    }
    return {k: v for k, v in doc.items() if v or k in _ALWAYS} | {"LockNumber": 0}


def _block_io(asked: ContainerSpec) -> "dict[str, Any]":
    shown = containers.block_io(asked)
    return {"blkio_weight": asked.blkio_weight, "blkio_weight_device": shown["BlkioWeightDevice"],
            "device_read_bps": shown["BlkioDeviceReadBps"], "device_write_bps": shown["BlkioDeviceWriteBps"]}


_ALWAYS = frozenset(("Id", "Name", "Created", "State", "Hostname", "CreateCgroup", "CreateInfra", "NumContainers"))
# What a template may ask for although it is empty.
EMPTY: "dict[str, Any]" = {
    "CreateCommand": [], "ExitPolicy": "", "Labels": {}, "CgroupParent": "", "CgroupPath": "", "InfraContainerID": "",
    "InfraConfig": None, "SharedNamespaces": [], "Containers": [], "cpu_period": 0, "cpu_quota": 0, "cpu_shares": 0,
    "cpuset_cpus": "", "cpuset_mems": "", "mounts": [], "devices": [], "volumes_from": [], "security_opt": [],
    "memory_limit": 0, "memory_swap": 0, "RestartPolicy": "", "Namespace": "", "LockNumber": 0, "blkio_weight": 0,
    "blkio_weight_device": [], "device_read_bps": [], "device_write_bps": []}
# Names of the fields in a Go template, where they are not those of the JSON document.
GO_NAMES = {"Id": "ID", "cpu_period": "CPUPeriod", "cpu_quota": "CPUQuota", "cpu_shares": "CPUShares",
            "cpuset_cpus": "CPUSetCPUs", "cpuset_mems": "CPUSetMems", "mounts": "Mounts", "devices": "Devices",
            "volumes_from": "VolumesFrom", "security_opt": "SecurityOpts", "memory_limit": "MemoryLimit",
            "memory_swap": "MemorySwap", "blkio_weight": "BlkioWeight", "blkio_weight_device": "BlkioWeightDevice",
            "device_read_bps": "BlkioDeviceReadBps", "device_write_bps": "BlkioDeviceWriteBps", "pid_ns": "PidNS",
            "userns": "UserNS", "uts_ns": "UtsNS"}


def _cpu(spec: ContainerSpec) -> tuple[int, int]:
    """(period, quota), microseconds."""
    if spec.cpus:
        return _PERIOD, round(spec.cpus * _PERIOD)
    return spec.cpu_period, spec.cpu_quota


def _infra_config(engine: Engine, row: Row, infra: Container, asked: ContainerSpec) -> "dict[str, Any]":
    doc: "dict[str, Any]" = {
        "PortBindings": containers.port_bindings(infra), "HostNetwork": asked.network == "host", "StaticIP": "",
        "StaticMAC": "", "NoManageResolvConf": "none" in asked.dns, "DNSServer": asked.dns or None,
        "DNSSearch": asked.dns_search or None, "DNSOption": asked.dns_option or None, "NoManageHostname": asked.no_hostname,
        "NoManageHosts": asked.no_hosts, "HostAdd": asked.add_hosts or None, "HostsFile": asked.hosts_file,
        "Networks": networks(row) or None, "NetworkOptions": None}
    period, quota = _cpu(asked)
    optional = {"cpu_period": period, "cpu_quota": quota, "cpuset_cpus": asked.cpuset_cpus,
                "pid_ns": asked.pid_ns or "private", "userns": asked.user_ns or "host", "uts_ns": asked.uts_ns or "private"}
    return doc | {k: v for k, v in optional.items() if v}
