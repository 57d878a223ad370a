"""A container as `inspect` shows it: podman's document, from the record and the kernel."""

from podlike.engine import psrows, query
from podlike.engine.core import Engine
from podlike.engine.dependents import must_run
from podlike.runtime import cgroup
from podlike.spec.container import ContainerSpec, Mount
from podlike.spec.durations import rfc3339
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OCI_VERSION = "1.2.0"


def inspect_container(engine: Engine, container: Container, *, size: bool = False) -> "dict[str, Any]":
    """The document, JSON-ready, keys in podman's order. size: with SizeRw and SizeRootFs."""
    c, spec = container, container.spec
    status = query.status(engine, c)
    bundle, data = engine.roots.bundle(c.id), engine.roots.container(c.id)
    effective, bounding = _capabilities(spec)
    doc: "dict[str, Any]" = {
        "Id": c.id,
        "Created": rfc3339(c.created),
        "Path": spec.args[0] if spec.args else "",
        "Args": spec.args[1:],
        "State": _state(engine, c, status, status.error or query.log_error(engine, c.id)),
        "Image": c.image or "",
        "ImageDigest": _image_digest(engine, c),
        "ImageName": spec.image_name,
        "Rootfs": spec.rootfs,
        "Pod": spec.pod,
        "ResolvConfPath": f"{bundle}/etc/resolv.conf",
        "HostnamePath": f"{bundle}/etc/hostname",
        "HostsPath": f"{bundle}/etc/hosts",
        "StaticDir": data,
        "OCIConfigPath": f"{bundle}/config.json",
        "OCIRuntime": _runtime_name(engine, spec),
        "ConmonPidFile": spec.conmon_pidfile or f"{bundle}/conmon.pid",
        "PidFile": spec.pidfile or f"{bundle}/pidfile",
        "Name": c.name,
        "RestartCount": status.restarts,
        "Driver": engine.storage.driver,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "" if spec.apparmor_profile == "unconfined" else spec.apparmor_profile,
        "EffectiveCaps": effective,
        "BoundingCaps": bounding,
        "ExecIDs": _exec_ids(engine, c) if status.running else [],
        "GraphDriver": {"Name": engine.storage.driver, "Data": _graph_data(engine, c)},
    }
    if size:
        from podlike.engine.sizes import container_size

        doc["SizeRw"], doc["SizeRootFs"] = container_size(engine, c)
    doc |= {
        "Mounts": mounts_of(engine, spec),
        "Dependencies": _dependencies(spec),
        "NetworkSettings": _network(c, status),
        "Namespace": "",
        "IsInfra": spec.infra,
        "IsService": False,
        "KubeExitCodePropagation": "invalid",
        "lockNumber": 0,
        "Config": _config(c),
        "HostConfig": _host_config(engine, c),
        "UseImageHosts": spec.no_hosts,
        "UseImageHostname": False,
    }
    return doc


def _exec_ids(engine: Engine, c: Container) -> list[str]:
    from podlike.engine.exec import sessions

    return sessions(engine, c)


def _state(engine: Engine, c: Container, s: query.Status, error: str) -> "dict[str, Any]":
    out: "dict[str, Any]" = {
        "OciVersion": _OCI_VERSION, "Status": s.state, "Running": s.state in ("running", "stopping"),
        "Paused": s.state == "paused", "Restarting": s.state == "restarting", "OOMKilled": s.oom_killed,
        "Dead": False, "Pid": s.pid, "ConmonPid": s.conmon_pid, "ExitCode": s.exit_code, "Error": error,
        "StartedAt": rfc3339(s.started_at), "FinishedAt": rfc3339(s.finished_at)}
    if s.end:
        out["EndReason"] = _end_words(c, s)
    if c.spec.health is not None:
        from podlike.engine.tending import read_log

        out["Health"] = {"Status": s.health, "FailingStreak": s.streak, "Log": read_log(engine, c)}
    if getattr(c.state, "cgroup", ""):
        out["CgroupPath"] = cgroup.path_of(c.state.cgroup)
    if c.state.warnings:
        out["LimitWarnings"] = c.state.warnings
    return out | {"CheckpointedAt": rfc3339(c.state.checkpointed_at), "RestoredAt": rfc3339(c.state.restored_at),
                  "StoppedByUser": c.state.stopped_by_user}


def _end_words(c: Container, s: query.Status) -> str:
    """Why the last run ended, for people."""
    word, _, detail = s.end.partition(" ")
    if word == "signal":
        from podlike.spec.signals import name_of

        return f"killed by {name_of(int(detail))}"
    if word == "oom":
        if not detail.isdigit():
            return "out of memory: the limit of a group above its own, or all of the machine's, was used up"
        from podlike.spec.sizes import human_size

        return f"out of memory: its limit of {human_size(int(detail))} was used up"
    action = c.spec.health_on_failure or "restart"  # a startup check restarts without being told to
    return {"exit": f"its program ended with {s.exit_code}",
            "seccomp": "killed by SIGSYS: its seccomp profile forbids a system call that it made",
            "health": f"its health check failed, and the action for that is {action}",
            "timeout": f"it ran longer than its timeout of {c.spec.timeout} seconds",
            "unknown": "its runtime gave it another parent: nobody knows"}.get(word, s.end)


def _image_digest(engine: Engine, c: Container) -> str:
    """The digest of the image's manifest; empty when the image is gone."""
    if not c.image:
        return ""
    image = engine.images.get(c.image)
    return image.manifest_digest if image else ""


def _runtime_name(engine: Engine, spec: ContainerSpec) -> str:
    """As the user named it, the path in full; else the configured one."""
    return spec.runtime or engine.config.engine.runtime or "podlike-spawn"


def _capabilities(spec: ContainerSpec) -> "tuple[list[str] | None, list[str]]":
    """(effective, bounding), as CAP_ names."""
    from podlike.spec.capabilities import KNOWN, container_sets

    root = spec.user.partition(":")[0] in ("", "0", "root")
    sets = container_sets(add=spec.cap_add, drop=spec.cap_drop, privileged=spec.privileged, root=root, bounding=KNOWN)
    return list(sets.effective) or None, list(sets.bounding)


def _graph_data(engine: Engine, c: Container) -> "dict[str, str]":
    data = engine.roots.container(c.id)
    if engine.storage.driver == "vfs":
        return {"UpperDir": f"{data}/root"}
    out = {"UpperDir": f"{data}/upper", "WorkDir": f"{data}/work"}
    if c.spec.layers:
        out["LowerDir"] = ":".join(engine.layers.path(d) for d in reversed(c.spec.layers))
    if c.state.phase in ("started", "starting", "initialized"):
        out["MergedDir"] = f"{data}/merged"
    return dict(sorted(out.items()))


def mounts_of(engine: Engine, spec: ContainerSpec) -> "list[dict[str, Any]]":
    return [_mount(engine, m) for m in spec.mounts if m.type in ("bind", "volume", "image")]


def _mount(engine: Engine, m: Mount) -> "dict[str, Any]":
    propagation = next((o for o in m.options if o.lstrip("r") in ("shared", "slave", "private")), "rprivate")
    options = [o for o in m.options if o not in ("ro", "rw", propagation, "anonymous") and not o.startswith("image-id=")]
    out: "dict[str, Any]" = {"Type": m.type}
    driver = ""
    if m.type == "volume":
        from podlike.engine.volumes import driver_and_path

        driver, path = driver_and_path(engine, m.source)
        out |= {"Name": m.source, "Source": path}
        options = options or ["nosuid", "nodev", "rbind"]
    else:
        out["Source"] = m.source
        options = [*options, "rbind"] if "bind" not in options and "rbind" not in options else options
    out |= {"Destination": m.target, "Driver": driver,
            "Mode": "", "Options": options, "RW": "ro" not in m.options and (m.type != "image" or "rw" in m.options),
            "Propagation": propagation}
    subpath = next((o[len("subpath="):] for o in m.options if o.startswith("subpath=")), "")
    return out | {"SubPath": subpath} if subpath else out


def _dependencies(spec: ContainerSpec) -> list[str]:
    return sorted(set(must_run(spec)))


def port_bindings(c: Container) -> "dict[str, list[dict[str, str]] | None]":
    """{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}, one entry for each port of a range."""
    out: "dict[str, list[dict[str, str]] | None]" = {}
    for p in psrows.ports(c):
        for n in range(p["count"]):
            entry = {"HostIp": p["host_ip"] or "0.0.0.0", "HostPort": str(p["host_port"] + n if p["host_port"] else 0)}
            key = f"{p['container_port'] + n}/{p['protocol']}"
            out[key] = [*(out.get(key) or []), entry]
    return dict(sorted(out.items()))


def _network(c: Container, status: query.Status) -> "dict[str, Any]":
    running = status.running
    ports = port_bindings(c)
    for text in c.spec.expose:
        ports.setdefault(text, None)
    endpoint: "dict[str, Any]" = {
        "EndpointID": "", "Gateway": "", "IPAddress": c.state.ip if running else "", "IPPrefixLen": 0,
        "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "MacAddress": ""}
    return {**endpoint, "Bridge": "", "SandboxID": "", "HairpinMode": False, "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0, "Ports": ports,
            "SandboxKey": _sandbox(c, status),
            "Networks": {name: {**endpoint, "NetworkID": name, "DriverOpts": None, "IPAMConfig": None, "Links": None,
                                "Aliases": [c.id[:12]]} for name in _network_names(c)}}


def _sandbox(c: Container, status: query.Status) -> str:
    """Where its network namespace is to be found."""
    if not status.running:
        return ""
    return f"/proc/{status.pid}/ns/net" if c.spec.network == "none" else c.state.netns


def _network_names(c: Container) -> list[str]:
    """Also the modes that podman shows as if they were networks."""
    mode = c.spec.network.partition(":")[0] or "pasta"
    return [mode] if mode in ("pasta", "slirp4netns", "host", "none") else psrows.networks(c)


def _entrypoint(spec: ContainerSpec) -> list[str]:
    """What stands in front of the command in the resolved argument list, without --init's program."""
    head = spec.args[:len(spec.args) - len(spec.command)] if spec.command else spec.args
    return head[2:] if spec.init and head[1:2] == ["--"] else head


def _config(c: Container) -> "dict[str, Any]":
    spec = c.spec
    out: "dict[str, Any]" = {
        "Hostname": spec.hostname or c.id[:12], "Domainname": spec.domainname, "User": spec.user,
        "AttachStdin": False, "AttachStdout": False, "AttachStderr": False, "Tty": spec.terminal,
        "OpenStdin": spec.stdin_open, "StdinOnce": False, "Env": [f"{k}={v}" for k, v in spec.env.items()],
        "Cmd": spec.command or None, "Image": spec.image_name or spec.image,
        "Volumes": {v: {} for v in spec.image_volumes} or None, "WorkingDir": spec.workdir or "/",
        "Entrypoint": _entrypoint(spec) or None, "OnBuild": None, "Labels": spec.labels or None,
        "Annotations": _annotations(spec), "StopSignal": spec.stop_signal or "SIGTERM",
        **_health_config(spec), "CreateCommand": spec.create_command}
    if spec.timezone:
        out["Timezone"] = spec.timezone
    out |= {"Umask": spec.umask, "Timeout": spec.timeout, "StopTimeout": spec.stop_timeout, "Passwd": spec.passwd,
            "sdNotifyMode": spec.sdnotify or "container"}
    if spec.notify_socket:
        out["sdNotifySocket"] = spec.notify_socket
    if spec.expose:
        out["ExposedPorts"] = {p: {} for p in spec.expose}
    return out


def _health_config(spec: ContainerSpec) -> "dict[str, Any]":
    out: "dict[str, Any]" = {}
    if spec.health is not None or spec.startup_health is not None:
        from podlike.spec.health import document

        if spec.startup_health is not None:
            out["StartupHealthCheck"] = document(spec.startup_health)
        if spec.health is not None:
            out["Healthcheck"] = document(spec.health)
    elif spec.no_health:
        out["Healthcheck"] = {"Test": ["NONE"]}
    return out | {"HealthcheckOnFailureAction": spec.health_on_failure or "none",
                  "HealthLogDestination": spec.health_log_destination or "local",
                  "HealthcheckMaxLogCount": 5 if spec.health_log_count is None else spec.health_log_count,
                  "HealthcheckMaxLogSize": 500 if spec.health_log_size is None else spec.health_log_size}


def _annotations(spec: ContainerSpec) -> "dict[str, str] | None":
    out = dict(spec.annotations)
    if spec.remove:
        out["io.podman.annotations.autoremove"] = "TRUE"
    if spec.remove_image:
        out["io.podman.annotations.autoremove-image"] = "TRUE"
    if spec.privileged:
        out["io.podman.annotations.privileged"] = "TRUE"
    if spec.init:
        out["io.podman.annotations.init"] = "TRUE"
    return out or None


def _log_config(engine: Engine, c: Container) -> "dict[str, Any]":
    from podlike.engine.logconf import log_path
    from podlike.spec.sizes import human_size, parse_decimal_size

    spec = c.spec
    size = spec.log_options.get("max-size", "")
    # Config as docker shows it: what podman has no field for is there.
    config = {k: v for k, v in sorted(spec.log_options.items()) if k not in ("path", "tag")}
    config |= {f"label.{name}": text for name, text in spec.log_labels.items()}
    return {"Type": spec.log_driver or "k8s-file", "Config": config or None, "Path": log_path(engine, c),
            "Tag": spec.log_options.get("tag", ""),
            "Size": human_size(parse_decimal_size(size) if size else 0)}


def _host_config(engine: Engine, c: Container) -> "dict[str, Any]":
    from podlike.spec.oci_mounts import shown_tmpfs

    spec = c.spec
    policy, _, retries = spec.restart_policy.partition(":")
    add, drop = _changed_caps(spec)
    return {
        "Binds": [_bind_text(m) for m in spec.mounts if m.type in ("bind", "volume")],
        "CgroupManager": "systemd" if cgroup.manager_of(getattr(c.state, "cgroup", "")) == "systemd" else "cgroupfs",
        "CgroupMode": spec.cgroup_ns or "private", "ContainerIDFile": spec.cidfile,
        "LogConfig": _log_config(engine, c),
        "NetworkMode": spec.network or "pasta", "PortBindings": port_bindings(c),
        "RestartPolicy": {"Name": policy or "no", "MaximumRetryCount": int(retries or 0)},
        "AutoRemove": spec.remove, "AutoRemoveImage": spec.remove_image, "Annotations": _annotations(spec), "VolumeDriver": "",
        "VolumesFrom": spec.volumes_from or None, "CapAdd": add, "CapDrop": drop, "Dns": spec.dns,
        "DnsOptions": spec.dns_option, "DnsSearch": spec.dns_search, "ExtraHosts": spec.add_hosts, "HostsFile": "",
        "GroupAdd": spec.groups, "IpcMode": spec.ipc_ns or "shareable", "Cgroup": "",
        "Cgroups": "default" if spec.cgroups == "enabled" else spec.cgroups, "Links": None,
        "OomScoreAdj": spec.oom_score_adj or 0, "PidMode": spec.pid_ns or "private", "Privileged": spec.privileged,
        "PublishAllPorts": spec.publish_all, "ReadonlyRootfs": spec.read_only, "SecurityOpt": security_of(spec),
        "Tmpfs": shown_tmpfs(spec), "UTSMode": spec.uts_ns or "private", "UsernsMode": spec.user_ns, **_id_mappings(spec),
        "ShmSize": spec.shm_size, "Runtime": "oci", "ConsoleSize": [0, 0], "Isolation": "", **_resources(c),
        "CgroupConf": spec.cgroup_conf or None,
    }


def _id_mappings(spec: ContainerSpec) -> "dict[str, Any]":
    """Only for containers with a user namespace of their own."""
    if not spec.uid_map:
        return {}
    return {"IDMappings": {key: [":".join(map(str, r)) for r in ranges]
                           for key, ranges in (("UidMap", spec.uid_map), ("GidMap", spec.gid_map))}}


def _changed_caps(spec: ContainerSpec) -> tuple[list[str], list[str]]:
    """(added, dropped): what differs from the default set."""
    from podlike.spec.capabilities import DEFAULT

    _, merged = _capabilities(spec)
    return [c for c in merged if c not in DEFAULT], [c for c in DEFAULT if c not in merged]


def _bind_text(m: Mount) -> str:
    access = [] if "rw" in m.options or "ro" in m.options else ["rw"]
    return f"{m.source}:{m.target}:{','.join([*access, *m.options, 'rprivate', 'rbind'])}"


def security_of(spec: ContainerSpec) -> list[str]:
    out = ["no-new-privileges"] if spec.no_new_privileges else []
    if spec.seccomp_profile:
        out.append(f"seccomp={spec.seccomp_profile}")
    if spec.apparmor_profile:
        out.append(f"apparmor={spec.apparmor_profile}")
    if spec.masked_paths:
        out.append(f"mask={':'.join(spec.masked_paths)}")
    if spec.unmasked_paths:
        out.append(f"unmask={':'.join(spec.unmasked_paths)}")
    return out


def _resources(c: Container) -> "dict[str, Any]":
    spec = c.spec
    period, quota = spec.cpu_period, spec.cpu_quota
    if spec.cpus:
        period, quota = 100000, round(spec.cpus * 100000)
    return {
        "CpuShares": spec.cpu_shares, "Memory": spec.memory,
        "NanoCpus": round(quota / period * 1e9) if period and quota > 0 else 0,
        "CgroupParent": spec.cgroup_parent, "BlkioWeight": spec.blkio_weight, **block_io(spec), "CpuPeriod": period,
        "CpuQuota": quota, "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": spec.cpuset_cpus,
        "CpusetMems": spec.cpuset_mems, "Devices": devices_of(spec), "DiskQuota": 0,
        "KernelMemory": 0, "MemoryReservation": spec.memory_reservation, "MemorySwap": spec.memory_swap,
        "MemorySwappiness": spec.memory_swappiness, "OomKillDisable": spec.oom_kill_disable, "Init": spec.init,
        "PidsLimit": 0 if spec.pids_limit is None else spec.pids_limit, "Ulimits": _ulimits(c),
        "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0}


_BLKIO = (("BlkioWeightDevice", "blkio_weight_device", "Weight"), ("BlkioDeviceReadBps", "device_read_bps", "Rate"),
          ("BlkioDeviceWriteBps", "device_write_bps", "Rate"), ("BlkioDeviceReadIOps", "device_read_iops", "Rate"),
          ("BlkioDeviceWriteIOps", "device_write_iops", "Rate"))


def block_io(spec: ContainerSpec) -> "dict[str, Any]":
    """As podman shows them: lists when there is any of them, else null."""
    lists = {key: [{"Path": path, name: number} for path, number in getattr(spec, field).items()] for key, field, name in _BLKIO}
    return lists if spec.blkio_weight or any(lists.values()) else dict.fromkeys(lists)


def devices_of(spec: ContainerSpec) -> "list[dict[str, str]]":
    return [_device(d) for d in spec.devices]


def _device(text: str) -> "dict[str, str]":
    parts = text.split(":")
    inside = parts[1] if len(parts) > 1 and parts[1].startswith("/") else parts[0]
    return {"PathOnHost": parts[0], "PathInContainer": inside, "CgroupPermissions": ""}


def _ulimits(c: Container) -> "list[dict[str, Any]]":
    """Those of the last start, which include what every container gets; before it what was asked for."""
    from podlike.spec.rlimits import UNLIMITED, parse

    texts = () if "host" in c.spec.ulimits else c.spec.ulimits
    asked = ((f"RLIMIT_{name.upper()}", soft, hard) for name, soft, hard in map(parse, texts))
    return [{"Name": name, "Soft": -1 if soft == UNLIMITED else soft, "Hard": -1 if hard == UNLIMITED else hard}
            for name, soft, hard in c.state.limits or asked]
