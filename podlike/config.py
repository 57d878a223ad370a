"""containers.conf and storage.conf -> one Config.

Source: containers.conf(5), containers-storage.conf(5). The attributes carry the names of the keys, so
`engine.stop_timeout` in a file is `config.engine.stop_timeout` here; defaults are podman 5.8's except where a
comment says why not. Every command reads this, so it avoids tomllib (2.4 ms) for the plain files that
distributions ship: see _plain_toml.
"""

import os

from podlike.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

USR_DIR = "/usr/share/containers"
ETC_DIR = "/etc/containers"


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


class StorageConfig:
    """What storage.conf says that has a meaning here.

    options: of [storage.options] and its tables, by their key; lists as words between commas.
    The roots belong to podman's store, which has another format: they are shown, never used as ours.
    """

    __slots__ = ("driver", "graphroot", "options", "path", "rootless_storage_path", "runroot")

    def __init__(self) -> None:
        self.driver = ""
        self.graphroot = ""
        self.runroot = ""
        self.rootless_storage_path = ""
        self.options: "dict[str, str]" = {}
        self.path = ""  # the file that was read, "" for none


class Config:
    """One user's configuration. files: those that were read, in order. unknown: "FILE: dotted.key"."""

    __slots__ = ("_appending", "_storage", "containers", "engine", "files", "network", "podlike", "unknown")

    def __init__(self) -> None:
        self.containers = ContainersTable()
        self.network = NetworkTable()
        self.engine = EngineTable()
        self.podlike = PodlikeTable()
        self.files: list[str] = []
        self.unknown: list[str] = []
        self._appending: set[str] = set()  # arrays for which {append=true} holds, also in later files
        self._storage: StorageConfig | None = None

    @property
    def storage(self) -> StorageConfig:
        """storage.conf, read when first asked for. Raises: ConfigError."""
        if self._storage is None:
            self._storage = _load_storage()
        return self._storage

    def merge(self, doc: "dict[str, Any]", source: str) -> None:
        """Lay the tables of one file over what is there. Raises: ConfigError naming source and key."""
        for name, values in doc.items():
            if name in _OTHER_TABLES:
                continue
            table = getattr(self, name, None) if name in ("containers", "network", "engine", "podlike") else None
            if table is None:
                self.unknown.append(f"{source}: {name}")
                continue
            if not isinstance(values, dict):
                raise _wrong(source, name, "a table", values)
            for key, value in values.items():
                self._set(table, f"{name}.{key}", key, value, source)

    def _set(self, table: object, dotted: str, key: str, value: "Any", source: str) -> None:
        kind = type(table)
        if key.startswith("_") or not hasattr(kind, key):
            self.unknown.append(f"{source}: {dotted}")
            return
        default = getattr(kind, key)
        if dotted == "network.default_subnet_pools":
            value = tuple(_typed(value, list, source, dotted, "an array"))
        elif isinstance(default, tuple):
            value = self._array(value, getattr(table, key), source, dotted)
        elif isinstance(default, dict):
            value = getattr(table, key) | _table(value, source, dotted)
        elif isinstance(default, bool):
            value = _typed(value, bool, source, dotted, "true or false")
        elif isinstance(default, int) or default is None:
            value = _whole_number(value, source, dotted)
        elif dotted == "engine.events_logfile_max_size" and type(value) is int:
            value = str(value)
        else:
            value = _typed(value, str, source, dotted, "a string")
        if dotted == "podlike.limits" and value not in ("strict", "best-effort"):
            raise _wrong(source, dotted, "strict or best-effort", value)
        if dotted == "containers.default_capabilities":
            value = tuple(c.upper() if c.upper().startswith("CAP_") else "CAP_" + c.upper() for c in value)
        setattr(table, key, value)

    def _array(self, value: "Any", current: tuple[str, ...], source: str, dotted: str) -> tuple[str, ...]:
        """An array of strings in which a table {append=BOOL} may stand."""
        words: list[str] = []
        for i, item in enumerate(_typed(value, list, source, dotted, "an array of strings")):
            if isinstance(item, str):
                words.append(item)
            elif isinstance(item, dict) and list(item) == ["append"] and isinstance(item["append"], bool):
                (self._appending.add if item["append"] else self._appending.discard)(dotted)
            else:
                raise _wrong(source, f"{dotted}[{i}]", "a string or {append=true}", item)
        return (*current, *words) if dotted in self._appending else tuple(words)


# Tables of containers.conf that are of no use to podlike, or are read elsewhere.
_OTHER_TABLES = frozenset(("machine", "farms", "podmansh", "secrets", "configmaps"))

# Numbers that podman also takes below zero.
_SIGNED = frozenset(("containers.log_size_max", "containers.oom_score_adj", "containers.pids_limit",
                     "engine.compression_level"))


def load_config() -> Config:
    """Read containers.conf from everywhere podman looks, later files over earlier ones.

    CONTAINERS_CONF: only this file. CONTAINERS_CONF_OVERRIDE: after all others. Both must exist.
    To be called before the session is joined: there an ordinary user is uid 0.
    Raises: ConfigError.
    """
    config = Config()
    for path, must_exist in _search_path("containers"):
        doc = read_toml(path, must_exist=must_exist)
        if doc is not None:
            config.files.append(path)
            config.merge(doc, path)
    return config


def user_config_dir() -> str:
    """$XDG_CONFIG_HOME/containers, or its default; "" without a home directory."""
    home = os.environ.get("XDG_CONFIG_HOME")
    if not home:
        home = os.environ.get("HOME")
        home = f"{home}/.config" if home else ""
    return f"{home}/containers" if home else ""


def read_toml(path: str, *, must_exist: bool = False) -> "dict[str, Any] | None":
    """A TOML file as dicts; None if it does not exist. Raises: ConfigError."""
    try:
        with open(path, "rb", buffering=0) as f:
            raw = f.read()
    except FileNotFoundError:
        if not must_exist:
            return None
        raise ConfigError(f"read {path}: no such file",
                          hint="Correct CONTAINERS_CONF or CONTAINERS_CONF_OVERRIDE, or unset it.") from None
    except OSError as e:
        raise ConfigError(f"read {path}: {e.strerror}", hint="Check the permissions of this file.") from e
    try:
        text = raw.decode()
    except UnicodeDecodeError as e:
        raise ConfigError(f"read {path}: byte {e.start} is not UTF-8",
                          hint="Save the file in UTF-8, which TOML demands.") from e
    doc = _plain_toml(text)
    if doc is None:
        import tomllib

        try:
            doc = tomllib.loads(text)
        except tomllib.TOMLDecodeError as e:
            raise ConfigError(f"read {path}: {e}", hint="Correct the file; it must be TOML.") from e
    return doc


def _search_path(name: str) -> "Iterator[tuple[str, bool]]":
    """(path, must exist) of every NAME.conf, least important first."""
    only = os.environ.get("CONTAINERS_CONF")
    if only:
        yield only, True
    else:
        uid = str(os.getuid())
        special = "rootful" if uid == "0" else "rootless"
        yield f"{USR_DIR}/{name}.conf", False
        yield f"{ETC_DIR}/{name}.conf", False
        yield from _drop_ins(f"{ETC_DIR}/{name}.conf.d")
        yield f"{ETC_DIR}/{name}.{special}.conf", False
        yield from _drop_ins(f"{ETC_DIR}/{name}.{special}.conf.d")
        if uid != "0":
            yield from _drop_ins(f"{ETC_DIR}/{name}.{special}.conf.d/{uid}")
        user = user_config_dir()
        if user:
            yield f"{user}/{name}.conf", False
            yield from _drop_ins(f"{user}/{name}.conf.d")
    override = os.environ.get("CONTAINERS_CONF_OVERRIDE")
    if override:
        yield override, True


def _drop_ins(directory: str) -> "list[tuple[str, bool]]":
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as e:
        raise ConfigError(f"read directory {directory}: {e.strerror}",
                          hint="Check the permissions of this directory.") from e
    return [(f"{directory}/{n}", False) for n in sorted(names)
            if n.endswith(".conf") and not os.path.isdir(f"{directory}/{n}")]


def _load_storage() -> StorageConfig:
    """The first storage.conf found. CONTAINERS_STORAGE_CONF: only this. STORAGE_DRIVER beats its driver."""
    out = StorageConfig()
    only = os.environ.get("CONTAINERS_STORAGE_CONF")
    user = user_config_dir()
    paths = [only] if only else [f"{user}/storage.conf"] if user else []
    if not only:
        paths += [f"{ETC_DIR}/storage.conf", f"{USR_DIR}/storage.conf"]
    for path in paths:
        doc = read_toml(path, must_exist=bool(only))
        if doc is None:
            continue
        out.path = path
        table = _typed(doc.get("storage", {}), dict, path, "storage", "a table")
        for key in ("driver", "graphroot", "runroot", "rootless_storage_path"):
            if key in table:
                setattr(out, key, _typed(table[key], str, path, f"storage.{key}", "a string"))
        options = _typed(table.get("options", {}), dict, path, "storage.options", "a table")
        out.options = _storage_options(options, out.driver or "overlay")
        break
    out.driver = os.environ.get("STORAGE_DRIVER") or out.driver
    return out


def _storage_options(table: "dict[str, Any]", driver: str) -> "dict[str, str]":
    """The driver's own table over the common keys. Values that are no word are another version's business."""
    out = {key: _option_word(value) for key, value in table.items() if not isinstance(value, dict)}
    for name in (driver, "podlike"):
        own = table.get(name)
        if isinstance(own, dict):
            out |= {key: _option_word(value) for key, value in own.items()}
    return out


def _option_word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _typed(value: "Any", kind: type, source: str, dotted: str, what: str) -> "Any":
    if not isinstance(value, kind):
        raise _wrong(source, dotted, what, value)
    return value


def _whole_number(value: object, source: str, dotted: str) -> int:
    # bool is a subclass of int in Python, not in TOML.
    if type(value) is not int:
        raise _wrong(source, dotted, "a whole number", value)
    if value < 0 and dotted not in _SIGNED:
        raise _wrong(source, dotted, "0 or more", value)
    return value


def _table(value: "Any", source: str, dotted: str) -> "dict[str, Any]":
    """A table of strings or of arrays of strings, as its name demands."""
    out: "dict[str, Any]" = {}
    for key, item in _typed(value, dict, source, dotted, "a table").items():
        name = f"{dotted}.{key}"
        if dotted in ("engine.runtimes", "engine.runtimes_flags"):
            words = _typed(item, list, source, name, "an array of strings")
            out[key] = tuple(_typed(w, str, source, f"{name}[{i}]", "a string") for i, w in enumerate(words))
        elif dotted == "engine.service_destinations":
            out[key] = item
        else:
            out[key] = _typed(item, str, source, name, "a string")
    return out


def _wrong(source: str, dotted: str, what: str, value: object) -> ConfigError:
    shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return ConfigError(f"read {source}: {dotted} must be {what}, not {shown}",
                       hint="Correct the value; containers.conf(5) lists every key and its type.")


_BARE_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
# A string with one of these is no string of the plain subset.
_NOT_PLAIN = frozenset(chr(c) for c in range(32) if c != 9) | frozenset(('"', "\\", "\x7f"))


def _plain_toml(text: str) -> "dict[str, Any] | None":
    """Parse the part of TOML that shipped files use; None: it needs the whole language, ask tomllib.

    The part: comments, [bare.headers], bare keys, "strings without escapes", whole numbers, booleans, and
    arrays of such strings over any number of lines. Whatever is read here, tomllib reads alike, which the
    tests check; whatever is wrong or repeated is left to tomllib, for its errors.
    """
    doc: "dict[str, Any]" = {}
    table = doc
    headers: set[str] = set()
    array: list[str] | None = None  # the one that is open
    state = _ITEM
    strings: list[str]
    # split("\n"), not splitlines(): TOML knows no other line ends than LF and CRLF.
    for line in text.split("\n"):
        if not line or line[0] == "#":
            continue
        line = line.strip(" \t\r")
        if not line or line[0] == "#":
            continue
        if array is not None:
            state = _plain_array(line, array, state)
            if state == _NOT_OURS:
                return None
            if state == _ENDED:
                array = None
            continue
        if line[0] == "[":
            header = line[1:-1]
            if line[-1] != "]" or header in headers:
                return None
            headers.add(header)
            table = doc
            for part in header.split("."):
                if not part or not _BARE_KEY.issuperset(part):
                    return None
                table = table.setdefault(part, {})
                if not isinstance(table, dict):
                    return None
            continue
        key, equals, value = line.partition("=")
        key = key.rstrip(" \t")
        value = value.lstrip(" \t")
        if not equals or not key or key in table or not _BARE_KEY.issuperset(key) or not value:
            return None
        if value[0] == "[":
            table[key] = strings = []
            state = _plain_array(value[1:], strings, _ITEM)
            if state == _NOT_OURS:
                return None
            if state != _ENDED:
                array = strings
            continue
        scalar = _plain_scalar(value)
        if scalar is None:
            return None
        table[key] = scalar
    return doc if array is None else None


def _plain_scalar(value: str) -> "str | int | bool | None":
    if value[0] == '"':
        body, quote, rest = value[1:].partition('"')
        rest = rest.lstrip(" \t")
        return body if quote and not (rest and rest[0] != "#") and _NOT_PLAIN.isdisjoint(body) else None
    value = value.partition("#")[0].rstrip(" \t")
    if value in ("true", "false"):
        return value == "true"
    # No leading zeros, signs or underscores here: those have rules of their own.
    if value.isascii() and value.isdigit() and (value[0] != "0" or value == "0") and len(value) < 19:
        return int(value)
    return None


# What may come next in an array that is open: a string or the end, only the end. Or: it has ended, not plain.
_ITEM, _END, _ENDED, _NOT_OURS = range(4)


def _plain_array(line: str, into: list[str], state: int) -> int:
    """Append the strings of one line of an array; return the state after it."""
    line = line.lstrip(" \t")
    while line and line[0] != "#":
        if line[0] == "]":
            rest = line[1:].lstrip(" \t")
            return _ENDED if not rest or rest[0] == "#" else _NOT_OURS
        if line[0] != '"' or state == _END:
            return _NOT_OURS
        body, quote, line = line[1:].partition('"')
        if not quote or not _NOT_PLAIN.isdisjoint(body):
            return _NOT_OURS
        into.append(body)
        line = line.lstrip(" \t")
        if line and line[0] == ",":
            line = line[1:].lstrip(" \t")
        else:
            state = _END
    return state
