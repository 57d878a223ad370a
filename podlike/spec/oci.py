"""A resolved container as the OCI runtime's config.json (runtime-spec 1.2). Values in, a plain dict out: no
I/O."""

from podlike.errors import UsageError
from podlike.spec import capabilities, limits, masks, rlimits, seccomp, signals, sysctls, users
from podlike.spec.oci_mounts import BoundPath, MountInput, build_mounts, propagation
from podlike.spec.resolve import default_hostname, namespace, uses_systemd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NamedTuple

    from podlike.spec.container import ContainerSpec
    from podlike.spec.devices import DeviceNode
else:
    from podlike.spec.record import NamedTuple

# The document follows runtime-spec 1.2 but uses nothing that 1.0 lacks, and says so: the version is a demand
# on the runtime, and crun before 1.9 (Debian 12) and runc before 1.1 refuse to run anything newer.
VERSION = "1.0.2"
KEEP_GROUPS_ANNOTATION = "run.oci.keep_original_groups"  # crun's, podlike-spawn's too


class HostFacts(NamedTuple):
    """What config.json depends on of the host and the session; runtime/hostfacts.py gathers it.

    machine: of uname(2). kernel: major, minor. bounding: capabilities that can be passed on, by name.
    limits: own resource limits by name, (soft, hard). oom_score_adj: own.
    gid5: group 5 is mapped. mqueue: /dev/mqueue exists. thermal: matches of masks.MASKED_GLOB.
    controllers: cgroup controllers that the container's cgroup can have; None: unknown, the runtime finds
        out.
    swap: memory.swap.max exists.
    """

    hostname: str
    machine: str = "x86_64"
    kernel: "tuple[int, int]" = (9999, 0)
    bounding: "Sequence[str]" = capabilities.KNOWN
    limits: "Mapping[str, tuple[int, int]]" = {}
    oom_score_adj: int = 0
    apparmor: bool = False
    cgroup_v2: bool = True
    gid5: bool = True
    mqueue: bool = True
    thermal: "Sequence[str]" = ()
    controllers: "frozenset[str] | None" = None
    swap: bool = True


def build(
    spec: "ContainerSpec",
    *,
    cid: str,
    rootfs: str,
    user: users.ResolvedUser,
    host: HostFacts,
    rootless: bool,
    binds: "Mapping[str, str] | None" = None,
    volumes: "Sequence[BoundPath]" = (),
    device_nodes: "Sequence[DeviceNode]" = (),
    host_devices: "Sequence[DeviceNode]" = (),
    block_devices: "Mapping[str, tuple[int, int]] | None" = None,
    netns_path: str | None = None,
    ns_paths: "Mapping[str, str] | None" = None,
    cgroups_path: str | None = None,
    init_path: str = "",
    seccomp_profile: object = None,
    default_capabilities: "Sequence[str]" = capabilities.DEFAULT,
    default_sysctls: "Mapping[str, str]" = sysctls.DEFAULT,
    default_pids_limit: int = 0,
    default_apparmor: str = "",
    extra_env: "Mapping[str, str] | None" = None,
    warnings: "list[str] | None" = None,
) -> "dict[str, Any]":
    """config.json of a container whose spec went through spec.resolve.

    user: from users.resolve with the mounted root file system's passwd and group.
    binds: files of the engine's own by target: /etc/hosts, /etc/resolv.conf, /etc/hostname,
        /run/.containerenv, /etc/localtime ...; /dev/shm too where another container's is shared, otherwise it
        is made here.
    volumes: bind mounts, volumes and image mounts with their sources found; spec.mounts of other types is
        read here.
    device_nodes: spec.devices with their nodes looked up; host_devices: all of /dev, for privileged
        containers.
    block_devices: (major, minor) of the devices that the spec's io limits name.
    netns_path: pinned or shared network namespace; None: the runtime makes one (unless the host's is used).
    ns_paths: by "pid", "ipc", "uts", "cgroup", "user": namespace files for container:ID.
    seccomp_profile: parsed profile file, when the spec or the configuration names one.
    extra_env: LISTEN_FDS and the like, and secrets; stronger than the spec's.
    warnings: sentences for the user are added to it.
    Raises: UsageError.
    """
    warnings = [] if warnings is None else warnings
    if spec.user_ns not in ("", "host", "private") and not spec.uid_map and "user" not in (ns_paths or {}):
        raise UsageError(f"user namespace mode {spec.user_ns} has not been prepared",
                         hint="Leave --userns away to use the session's user namespace.")
    bounding_sets = _capabilities(spec, host, default_capabilities)
    mounts = build_mounts(
        spec,
        MountInput(
            binds=binds or {},
            volumes=volumes,
            devices=device_nodes,
            host_devices=_shareable(host_devices),
            init_path=init_path,
            uid=user.uid,
            gid=user.gid,
            rootless=rootless,
            cgroup_v2=host.cgroup_v2,
            gid5=host.gid5,
            mqueue=host.mqueue,
        ),
    )
    namespaces = _namespaces(spec, netns_path, ns_paths or {}, host.cgroup_v2)
    doc: "dict[str, Any]" = {
        "ociVersion": VERSION,
        "process": _process(spec, cid, user, host, bounding_sets, rootless, extra_env or {}, warnings,
                            spec.apparmor_profile or ("" if spec.privileged or not host.apparmor else default_apparmor)),
        "root": {"path": rootfs, "readonly": True} if spec.read_only else {"path": rootfs},
    }
    if {"type": "uts"} in namespaces:
        doc["hostname"] = default_hostname(spec, cid, host=host.hostname)
        if spec.domainname:
            doc["domainname"] = spec.domainname
    doc["mounts"] = mounts
    doc["annotations"] = _annotations(spec)
    linux = doc["linux"] = _linux(spec, host, namespaces, mounts, default_sysctls, rootless)
    linux["resources"] = limits.resources(spec, controllers=host.controllers, swap=host.swap, devices=block_devices or {},
                                          default_pids_limit=default_pids_limit, warnings=warnings)
    if not rootless:
        _rootful_devices(spec, linux, device_nodes, host_devices)
    if cgroups_path is not None:
        linux["cgroupsPath"] = cgroups_path
    profile = _seccomp(spec, host, bounding_sets.bounding, seccomp_profile)
    if profile is not None:
        linux["seccomp"] = profile
    return doc


def _shareable(nodes: "Sequence[DeviceNode]") -> "Sequence[DeviceNode]":
    if not nodes:
        return ()
    from podlike.spec.devices import is_for_privileged

    return [node for node in nodes if is_for_privileged(node.target)]


def _capabilities(
    spec: "ContainerSpec", host: HostFacts, base: "Sequence[str]"
) -> capabilities.CapabilitySets:
    wants = next((spec.labels[key] for key in capabilities.IMAGE_LABELS if key in spec.labels), None)
    return capabilities.container_sets(
        add=spec.cap_add, drop=spec.cap_drop, privileged=spec.privileged, root=users.is_root(spec.user),
        bounding=host.bounding, base=capabilities.normalize(base), image_wants=wants)


def _process(spec: "ContainerSpec", cid: str, user: users.ResolvedUser, host: HostFacts,
             caps: capabilities.CapabilitySets, rootless: bool, extra_env: "Mapping[str, str]",
             warnings: "list[str]", profile: str) -> "dict[str, Any]":
    process: "dict[str, Any]" = {
        "terminal": spec.terminal,
        "user": oci_user(user, umask=spec.umask),
        "args": spec.args,
        "env": _env(spec, cid, user, host, extra_env),
        "cwd": spec.workdir,
        "capabilities": caps.to_oci(),
        "rlimits": rlimits.to_oci(spec.ulimits, own=host.limits, rootless=rootless or "CAP_SYS_RESOURCE" not in host.bounding),
        "noNewPrivileges": spec.no_new_privileges,
    }
    if spec.oom_score_adj is not None:
        process["oomScoreAdj"] = _oom_score_adj(spec.oom_score_adj, host, rootless, warnings)
    if profile and profile != "unconfined" and not host.apparmor:
        raise UsageError(
            f'apparmor profile "{profile}" specified, but Apparmor is not enabled on this system',
            hint="Leave --security-opt apparmor away.",
        )
    if profile and host.apparmor:
        process["apparmorProfile"] = profile
    return process


def oci_user(user: users.ResolvedUser, *, umask: str) -> "dict[str, Any]":
    """process.user. umask: octal digits. Raises: UsageError."""
    out: "dict[str, Any]" = {"uid": user.uid, "gid": user.gid}
    if user.additional_gids:
        out["additionalGids"] = list(user.additional_gids)
    if umask:
        if not (len(umask) <= 5 and umask.isascii() and umask.isdigit() and umask.strip("01234567") == ""):
            raise UsageError(
                f"invalid umask string {umask}: invalid argument", hint="Give octal digits, such as 0022."
            )
        out["umask"] = int(umask, 8) & 0o777
    return out


def _env(spec: "ContainerSpec", cid: str, user: users.ResolvedUser, host: HostFacts,
         extra: "Mapping[str, str]") -> "list[str]":
    env = dict(spec.env)
    env.setdefault("HOME", user.home)
    env.setdefault("HOSTNAME", default_hostname(spec, cid, host=host.hostname))
    if uses_systemd(spec):
        env.setdefault("container_uuid", cid[:32])
    env.update(extra)
    return [f"{key}={value}" for key, value in env.items()]


def _oom_score_adj(asked: int, host: HostFacts, rootless: bool, warnings: "list[str]") -> int:
    if rootless and asked < host.oom_score_adj:
        # Lowering one's own score needs CAP_SYS_RESOURCE in the initial user namespace (proc(5)).
        warnings.append(
            f"Requested oom_score_adj={asked} is lower than the current one, changing to {host.oom_score_adj}"
        )
        return host.oom_score_adj
    return asked


def _namespaces(
    spec: "ContainerSpec", netns_path: str | None, ns_paths: "Mapping[str, str]", cgroup_v2: bool
) -> "list[dict[str, str]]":
    out: "list[dict[str, str]]" = []
    if "user" in ns_paths:
        out.append({"type": "user", "path": ns_paths["user"]})
    elif spec.uid_map:
        out.append({"type": "user"})
    out += _namespace("pid", spec.pid_ns, ns_paths)
    if netns_path:
        out.append({"type": "network", "path": netns_path})
    elif spec.network != "host":
        shared = spec.network.startswith(("container:", "ns:"))
        out += _namespace("network", spec.network if shared else "", ns_paths)
    out += _namespace("ipc", spec.ipc_ns, ns_paths)
    out += _namespace("uts", spec.uts_ns, ns_paths)
    out.append({"type": "mount"})
    # On cgroup v1 a namespace of its own would only hide the paths that tools look for.
    out += _namespace("cgroup", spec.cgroup_ns or ("" if cgroup_v2 else "host"), ns_paths)
    return out


def _namespace(kind: str, text: str, paths: "Mapping[str, str]") -> "list[dict[str, str]]":
    mode, value = namespace(text)
    if mode == "host":
        return []
    if mode not in ("container", "ns"):
        return [{"type": kind}]
    path = paths.get(kind) or (value if mode == "ns" else "")
    if not path.startswith("/"):
        raise UsageError(f"cannot find specified {kind.upper()} namespace path: {text} has none",
                         hint="Start that container first, or give the absolute path of a namespace file.")
    return [{"type": kind, "path": path}]


def _linux(
    spec: "ContainerSpec",
    host: HostFacts,
    namespaces: "list[dict[str, str]]",
    mounts: "list[dict[str, Any]]",
    default_sysctls: "Mapping[str, str]",
    rootless: bool,
) -> "dict[str, Any]":
    linux: "dict[str, Any]" = {"namespaces": namespaces}
    for key, ranges in (("uidMappings", spec.uid_map), ("gidMappings", spec.gid_map)):
        if ranges and {"type": "user"} in namespaces:  # not that of another container
            linux[key] = [{"containerID": inside, "hostID": outside, "size": count} for inside, outside, count in ranges]
    own_ipc = {"type": "ipc"} in namespaces
    if spec.uid_map:
        # The network namespace was pinned by the session: root of a namespace below may not set its parameters.
        default_sysctls = {k: v for k, v in default_sysctls.items() if not k.startswith("net.")}
    parameters = sysctls.to_oci(
        spec.sysctls, default=default_sysctls, own_ipc=own_ipc, own_uts={"type": "uts"} in namespaces,
        own_net=spec.network != "host" and not spec.network.startswith(("container:", "ns:")),
        host={"net": spec.network == "host", "ipc": spec.ipc_ns == "host", "uts": spec.uts_ns == "host"})
    if parameters:
        linux["sysctl"] = parameters
    mask = list(spec.masked_paths)
    if rootless and spec.network == "host" and not spec.privileged:
        mask.append("/sys/kernel")  # the host's /sys is bound then, with the host's debugging files
    masked = masks.masked_paths(mask=mask, unmask=spec.unmasked_paths, privileged=spec.privileged,
                                host_paths=host.thermal)
    readonly = masks.readonly_paths(unmask=spec.unmasked_paths, privileged=spec.privileged)
    if masked:
        linux["maskedPaths"] = masked
    if readonly:
        linux["readonlyPaths"] = readonly
    if spec.personality:
        linux["personality"] = {"domain": spec.personality}
    needed = propagation(mounts)
    if needed:
        linux["rootfsPropagation"] = needed
    return linux


def _rootful_devices(spec: "ContainerSpec", linux: "dict[str, Any]", nodes: "Sequence[DeviceNode]",
                     host_devices: "Sequence[DeviceNode]") -> None:
    """Device nodes and the device cgroup, which only root of the initial user namespace can have."""
    wanted = [*host_devices, *nodes] if spec.privileged else nodes
    if wanted:
        linux["devices"] = [node.node() for node in {node.target: node for node in wanted}.values()]
    rules: "list[dict[str, Any]]" = [{"allow": spec.privileged, "access": "rwm"}]
    if not spec.privileged:
        rules += [node.cgroup_rule() for node in nodes]
        if spec.device_rules:
            from podlike.spec.devices import parse_rule

            rules += [parse_rule(text) for text in spec.device_rules]
    linux["resources"]["devices"] = rules


def _annotations(spec: "ContainerSpec") -> "dict[str, str]":
    number = signals.parse(spec.stop_signal or "TERM")
    out = {
        "io.container.manager": "podlike",
        "org.opencontainers.image.stopSignal": str(number),
        # Of systemd's scope, when the cgroup is made by systemd: what a shutdown of the host sends, and
        # waits.
        "org.systemd.property.KillSignal": str(number),
    }
    if spec.stop_timeout > 0:
        out["org.systemd.property.TimeoutStopUSec"] = f"uint64 {spec.stop_timeout * 1_000_000}"
    for key, value in (("autoremove", spec.remove), ("autoremove-image", spec.remove_image),
                       ("privileged", spec.privileged), ("init", spec.init),
                       ("publish-all", spec.publish_all)):
        if value:
            out[f"io.podman.annotations.{key}"] = "TRUE"
    if spec.volumes_from:
        out["io.podman.annotations.volumes-from"] = ";".join(spec.volumes_from)
    if spec.seccomp_profile:
        out["io.podman.annotations.seccomp"] = spec.seccomp_profile
    if users.KEEP_GROUPS in spec.groups:
        out[KEEP_GROUPS_ANNOTATION] = "1"
    out.update(spec.annotations)
    return out


def _seccomp(spec: "ContainerSpec", host: HostFacts, bounding: "Sequence[str]",
             profile: object) -> "dict[str, Any] | None":
    if spec.seccomp_profile == "unconfined" or (spec.privileged and not spec.seccomp_profile):
        return None
    if profile is None:
        if spec.seccomp_profile:
            raise UsageError(f"loading seccomp profile ({spec.seccomp_profile}) failed: it was not read",
                             hint="Give --security-opt seccomp the path of a JSON file.")
        return seccomp.default_profile(bounding, host.machine)
    return seccomp.from_profile(profile, caps=bounding, arch=host.machine, kernel=host.kernel)
