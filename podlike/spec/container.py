"""What a container is asked to be: pure values, stored as JSON in the database.

The CLI (or the API) fills a ContainerSpec; engine/ resolves it against the image; spec/oci.py turns the
resolved one into config.json. Names follow podman's flags.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import asdict, field
    from dataclasses import dataclass as record
    from typing import Any, Self
else:
    from podlike.spec.record import asdict, field, record


@record(slots=True, kw_only=True)
class Mount:
    """One mount of a container.

    type: bind, volume, image, artifact, tmpfs, ramfs, devpts, mqueue.
    source: absolute host path (bind), volume name (volume; empty = anonymous), name of an image or artifact, unused otherwise.
    options: mount options as typed, without those that spec/mounts.py has consumed.
    """

    type: str
    source: str = ""
    target: str
    options: "list[str]" = field(default_factory=list)


@record(slots=True, kw_only=True)
class PortMapping:
    """A published range of ports.

    host_ip: "" = every address. host_port: 0 = chosen by the engine at create time. count: ports in the range.
    protocol: tcp or udp.
    """

    host_ip: str = ""
    host_port: int = 0
    container_port: int
    count: int = 1
    protocol: str = "tcp"


@record(slots=True, kw_only=True)
class HealthCheck:
    """A command that tells whether the container is well. Times are nanoseconds, as in images.

    test: ["CMD", WORD...] or ["CMD-SHELL", TEXT]. interval: 0 runs it on request only. successes: of a startup check,
    how many it takes.
    """

    test: "list[str]" = field(default_factory=list)
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0
    successes: int = 0


@record(slots=True, kw_only=True)
class ContainerSpec:
    """Everything `create` was asked for. Empty or None means: not given, take the image's or the default."""

    # identity
    name: str = ""
    hostname: str = ""
    domainname: str = ""
    labels: "dict[str, str]" = field(default_factory=dict)
    annotations: "dict[str, str]" = field(default_factory=dict)
    create_command: "list[str]" = field(default_factory=list)  # argv as typed
    given: "list[str]" = field(default_factory=list)  # fields that the user set to what is their default anyway
    cidfile: str = ""  # absolute path that --cidfile wrote; goes with the container
    pod: str = ""  # id; before `create` a name too
    infra: bool = False  # it is its pod's infra container; without an image and a rootfs it is our pause program
    init_ctr: str = ""  # once, always: runs to its end before the pod's other containers start

    # image and root file system
    image: str = ""  # name as the user typed it
    image_id: str = ""  # hex
    image_name: str = ""  # full name that it resolved to
    rootfs: str = ""  # absolute path, with --rootfs
    rootfs_overlay: bool = False  # DIR:O: changes go to a layer above it, and with the run
    layers: "list[str]" = field(default_factory=list)  # diff ids, lowest first
    read_only: bool = False
    read_only_tmpfs: bool = True

    # process
    entrypoint: "list[str] | None" = None  # None: image's; []: none
    command: "list[str]" = field(default_factory=list)  # after the image, or the image's CMD once resolved
    args: "list[str]" = field(default_factory=list)  # resolved argv
    env: "dict[str, str]" = field(default_factory=dict)
    unset_env: "list[str]" = field(default_factory=list)  # variables of the image, the configuration or ours to drop
    unset_env_all: bool = False
    env_merge: "list[str]" = field(default_factory=list)  # NAME=VALUE, ${OTHER} stands for what the image has
    env_host: bool = False
    http_proxy: bool = True
    workdir: str = ""
    workdir_given: bool = False  # by --workdir: must exist; the image's is made when it is missing
    user: str = ""
    groups: "list[str]" = field(default_factory=list)
    host_users: "list[str]" = field(default_factory=list)  # of the host, to be added to passwd
    passwd: bool = True  # passwd and group may be completed
    passwd_entry: str = ""  # templates for what is added
    group_entry: str = ""
    umask: str = "0022"
    personality: str = ""  # LINUX, LINUX32
    terminal: bool = False
    stdin_open: bool = False
    stop_signal: str = ""
    stop_timeout: int = 10  # seconds
    timeout: int = 0  # seconds the container may run; 0: no limit
    init: bool = False
    init_path: str = ""  # "": the configured one, else podlike-init
    systemd: str = ""

    # isolation
    cap_add: "list[str]" = field(default_factory=list)
    cap_drop: "list[str]" = field(default_factory=list)
    privileged: bool = False
    no_new_privileges: bool = False
    seccomp_profile: str = ""  # "" default, "unconfined", or a path
    apparmor_profile: str = ""
    masked_paths: "list[str]" = field(default_factory=list)  # beyond the default
    unmasked_paths: "list[str]" = field(default_factory=list)  # "ALL" or paths
    proc_options: "list[str]" = field(default_factory=list)  # of the mount at /proc: hidepid=2 ...
    seccomp_by_image: bool = False  # the image's label has the profile, if there is one
    devices: "list[str]" = field(default_factory=list)  # SRC[:DST[:rwm]], or a CDI device VENDOR/CLASS=NAME
    device_rules: "list[str]" = field(default_factory=list)  # of the device cgroup: "c 10:200 rwm"
    cdi_dirs: "list[str]" = field(default_factory=list)  # --cdi-spec-dir, instead of the configured ones
    ulimits: "list[str]" = field(default_factory=list)  # NAME=SOFT[:HARD]
    sysctls: "dict[str, str]" = field(default_factory=dict)
    oom_score_adj: int | None = None
    # "" default, host, private, container:ID, ns:PATH; ipc also shareable, none; net also none, slirp4netns[:opts], pasta[:opts]
    pid_ns: str = ""
    ipc_ns: str = ""
    uts_ns: str = ""
    cgroup_ns: str = ""
    user_ns: str = ""
    uidmap: "list[str]" = field(default_factory=list)  # --uidmap and --gidmap as typed
    gidmap: "list[str]" = field(default_factory=list)
    # resolved: (id in the container, id in the session, how many); [] is the session's own namespace
    uid_map: "list[tuple[int, int, int]]" = field(default_factory=list)
    gid_map: "list[tuple[int, int, int]]" = field(default_factory=list)
    network: str = ""

    # files
    mounts: "list[Mount]" = field(default_factory=list)
    tmpfs: "dict[str, str]" = field(default_factory=dict)  # target -> options
    mounts_file: str = ""  # --default-mounts-file, instead of the usual mounts.conf
    shm_size: int = 65536 * 1024  # bytes
    shm_size_systemd: int = 0  # bytes of what systemd gets as /run, /run/lock ...; 0: no limit
    volumes_from: "list[str]" = field(default_factory=list)
    image_volumes: "list[str]" = field(default_factory=list)  # resolved from the image's VOLUME
    image_volume_mode: str = ""  # what becomes of them: anonymous, tmpfs, ignore; "": as configured
    chroot_dirs: "list[str]" = field(default_factory=list)  # get the engine's files too
    add_hosts: "list[str]" = field(default_factory=list)  # HOST:IP
    dns: "list[str]" = field(default_factory=list)
    dns_search: "list[str]" = field(default_factory=list)
    dns_option: "list[str]" = field(default_factory=list)
    no_hosts: bool = False
    hosts_file: str = ""  # what /etc/hosts begins with: "none", "image" or a path; "": as configured
    no_hostname: bool = False
    timezone: str = ""

    # network
    ports: "list[PortMapping]" = field(default_factory=list)
    publish_all: bool = False
    expose: "list[str]" = field(default_factory=list)

    # resources; what cannot be had is refused in words
    memory: int = 0  # bytes
    memory_swap: int = 0
    memory_reservation: int = 0
    cpus: float = 0.0
    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int | None = None
    blkio_weight: int = 0  # 10 to 1000
    blkio_weight_device: "dict[str, int]" = field(default_factory=dict)  # by the device's path
    device_read_bps: "dict[str, int]" = field(default_factory=dict)  # bytes, or operations, a second; 0: no limit
    device_write_bps: "dict[str, int]" = field(default_factory=dict)
    device_read_iops: "dict[str, int]" = field(default_factory=dict)
    device_write_iops: "dict[str, int]" = field(default_factory=dict)
    memory_swappiness: int = -1  # of cgroup v1, as is the next
    oom_kill_disable: bool = False
    cgroup_conf: "dict[str, str]" = field(default_factory=dict)  # files of cgroup v2 and their texts
    limits: str = ""  # best-effort: go without limits that cannot be had, with a warning
    cgroups: str = "enabled"  # enabled, disabled, no-conmon, split
    cgroup_parent: str = ""

    # life
    remove: bool = False  # --rm
    bound: bool = False  # it goes with the process that made it, as the containers of a build do
    requires: "list[str]" = field(default_factory=list)  # ids of containers that must run before this one starts
    remove_image: bool = False  # --rmi: the image goes with the container, unless others use it
    restart_policy: str = ""  # no, always, on-failure[:n], unless-stopped
    log_driver: str = ""
    log_options: "dict[str, str]" = field(default_factory=dict)
    log_labels: "dict[str, str]" = field(default_factory=dict)  # templates, for drivers whose entries have fields
    log_json_is_k8s: bool = False  # json-file is podman's alias, not docker's format
    runtime: str = ""  # "" = podlike-spawn, a name on PATH, or a path
    hooks_dirs: "list[str]" = field(default_factory=list)  # --hooks-dir, instead of the configured ones
    runtime_flags: "list[str]" = field(default_factory=list)  # without the leading dashes
    conmon_pidfile: str = ""
    pidfile: str = ""
    preserve_fds: int = 0
    preserve_fd: "list[int]" = field(default_factory=list)  # single ones, by number
    sdnotify: str = ""  # container, conmon, healthy, ignore
    notify_socket: str = ""  # the service manager's, as create found it in its environment

    # health
    health: HealthCheck | None = None
    startup_health: HealthCheck | None = None
    health_changes: "dict[str, str]" = field(default_factory=dict)  # flags given without a command: for the image's check
    no_health: bool = False
    health_on_failure: str = ""  # kill, restart, stop; "": none
    health_log_destination: str = ""  # local, events_logger, or a directory
    health_log_count: int | None = None  # 0: no limit
    health_log_size: int | None = None  # characters; 0: no limit

    def to_dict(self) -> "dict[str, Any]":
        """JSON-ready; values equal to the default are left out."""
        default = _DEFAULT
        out: "dict[str, Any]" = {}
        for name in _FIELDS:
            value = getattr(self, name)
            if value != getattr(default, name):
                out[name] = value
        for name in ("mounts", "ports"):
            if name in out:
                out[name] = [asdict(item) for item in out[name]]
        for name in ("health", "startup_health"):
            if name in out:
                out[name] = asdict(out[name])
        return out

    @classmethod
    def from_dict(cls, doc: "dict[str, Any]") -> "Self":
        """The inverse of to_dict; keys that a later version wrote are ignored."""
        known = {k: v for k, v in doc.items() if k in _FIELDS}
        known["mounts"] = [Mount(**m) for m in doc.get("mounts", ())]
        known["ports"] = [PortMapping(**p) for p in doc.get("ports", ())]
        for name in ("health", "startup_health"):
            if name in known:
                known[name] = HealthCheck(**known[name])
        return cls(**known)


_FIELDS = frozenset(ContainerSpec.__slots__)
_DEFAULT = ContainerSpec()
