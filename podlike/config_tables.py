"""The tables of containers.conf with their defaults, which are podman 5.8's except where a comment says why not.

Source: containers.conf(5). The attributes carry the names of the keys. engine/configreport.py knows which of them have no
meaning here.
"""

class ContainersTable:
    """[containers]: how containers run. Lists are tuples because the defaults are shared."""

    annotations: tuple[str, ...] = ()
    apparmor_profile: str = ""
    base_hosts_file: str = ""  # "": the host's /etc/hosts; "image", "none", or a path
    cgroup_conf: tuple[str, ...] = ()
    cgroupns: str = "private"
    cgroups: str = "enabled"
    container_name_as_hostname: bool = False
    default_capabilities: tuple[str, ...] = (
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE",
        "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT")
    default_sysctls: tuple[str, ...] = ()
    default_ulimits: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_searches: tuple[str, ...] = ()
    dns_servers: tuple[str, ...] = ()
    env: tuple[str, ...] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    env_host: bool = False
    host_containers_internal_ip: str = ""  # "": chosen; "none": no such entry
    http_proxy: bool = True
    init: bool = False
    init_path: str = ""
    interface_name: str = ""
    ipcns: str = "shareable"
    keyring: bool = True
    label: bool = True
    label_users: bool = False
    # podman takes journald where a systemd journal is readable; our monitor's own files need no systemd.
    log_driver: str = "k8s-file"
    log_path: str = ""
    log_size_max: int = -1  # bytes; negative: no limit
    log_tag: str = ""
    mounts: tuple[str, ...] = ()
    netns: str = "private"
    no_hosts: bool = False
    oom_score_adj: int | None = None
    pidns: str = "private"
    pids_limit: int = 2048
    prepare_volume_on_create: bool = False
    privileged: bool = False
    read_only: bool = False
    seccomp_profile: str = ""
    shm_size: str = "65536k"
    tz: str = ""
    umask: str = "0022"
    userns: str = ""
    userns_size: int = 65536
    utsns: str = "private"
    volumes: tuple[str, ...] = ()


class NetworkTable:
    """[network]."""

    default_host_ips: tuple[str, ...] = ()
    default_network: str = "podman"
    # podman 5 says pasta. slirp4netns is ready sooner, is present where pasta is missing or too old to know
    # --map-guest-addr, and its API tells which published port failed.
    default_rootless_network_cmd: str = "slirp4netns"
    default_subnet: str = "10.88.0.0/16"
    default_subnet_pools: tuple[object, ...] = ()
    dns_bind_port: int = 0
    firewall_driver: str = ""
    cni_plugin_dirs: tuple[str, ...] = ()
    netavark_plugin_dirs: tuple[str, ...] = ()
    network_backend: str = ""
    network_config_dir: str = ""
    pasta_options: tuple[str, ...] = ()


class EngineTable:
    """[engine]."""

    active_service: str = ""
    add_compression: tuple[str, ...] = ()
    cdi_spec_dirs: tuple[str, ...] = ("/etc/cdi", "/var/run/cdi")
    cgroup_check: bool = False
    cgroup_manager: str = ""  # "": runtime/cgroup chooses by what the user's session offers
    chown_copied_files: bool = True
    compat_api_enforce_docker_hub: bool = True
    compose_providers: tuple[str, ...] = ()
    compose_warning_logs: bool = True
    compression_format: str = "gzip"
    compression_level: int | None = None
    conmon_env_vars: tuple[str, ...] = ()
    conmon_path: tuple[str, ...] = ()  # (): podlike-conmon
    conmonrs_path: tuple[str, ...] = ()
    database_backend: str = ""
    detach_keys: str = "ctrl-p,ctrl-q"
    enable_port_reservation: bool = True
    env: tuple[str, ...] = ()
    events_container_create_inspect_data: bool = False
    events_logfile_max_size: str = "1m"
    events_logfile_path: str = ""
    events_logger: str = "file"  # podman: journald where there is one
    exit_command_delay: int = 300  # seconds
    healthcheck_events: bool = True
    helper_binaries_dir: tuple[str, ...] = (
        "/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/libexec/podman", "/usr/lib/podman")
    hooks_dir: tuple[str, ...] = ("/usr/share/containers/oci/hooks.d",)
    image_build_format: str = "oci"
    image_copy_tmp_dir: str = ""  # "": $TMPDIR or /var/tmp
    image_default_format: str = ""
    image_default_transport: str = "docker://"
    image_parallel_copies: int = 0  # 0: the puller's default
    image_volume_mode: str = "anonymous"
    infra_command: str = ""
    infra_image: str = ""
    init_path: str = ""
    kube_generate_type: str = "pod"
    lock_type: str = "shm"
    multi_image_archive: bool = False
    namespace: str = ""
    network_cmd_options: tuple[str, ...] = ()
    network_cmd_path: str = ""
    no_pivot_root: bool = False
    num_locks: int = 2048
    platform_to_oci_runtime: "dict[str, str]" = {}
    pod_exit_policy: str = "continue"
    podmansh_timeout: int = 30
    pull_policy: str = "missing"
    remote: bool = False
    remote_identity: str = ""
    remote_uri: str = ""
    retry: int = 3
    retry_delay: str = ""
    runtime: str = ""  # "": podlike-spawn
    runtime_path: tuple[str, ...] = ()
    runtime_supports_json: tuple[str, ...] = ()
    runtime_supports_kvm: tuple[str, ...] = ()
    runtime_supports_nocgroup: tuple[str, ...] = ()
    runtimes: "dict[str, tuple[str, ...]]" = {}  # name -> paths; a name that is not here is looked up on PATH
    runtimes_flags: "dict[str, tuple[str, ...]]" = {}
    service_destinations: "dict[str, object]" = {}
    service_timeout: int = 5
    ssh_config: str = ""
    static_dir: str = ""
    stop_timeout: int = 10
    tmp_dir: str = ""
    volume_path: str = ""
    volume_plugin_timeout: int = 5
    volume_plugins: "dict[str, str]" = {}


class PodlikeTable:
    """[podlike]: what only podlike knows; podman leaves the table alone."""

    limits: str = "strict"  # best-effort: limits that cannot be had are left out, with a warning
