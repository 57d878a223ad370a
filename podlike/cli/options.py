"""Flags that several commands share, and the one table of everything that `run` and `create` take.

CREATE_TABLE has a row for each flag of podman's run and create: name, letter, kind, default, how it is met, help.
How it is met: the name of the ContainerSpec field that takes the value as it is; "*" when cli/fillspec.py or its
neighbours work it out; "-" when it makes no difference here and is taken quietly; "!" when this version cannot do it and says so.
Other commands' helpers at the end: which containers a command means (selection).
"""

from podlike.cli.command import Flag
from podlike.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.cli.command import Call
    from podlike.store.containers import Container

LATEST = Flag("latest", "l", "bool", "Act on the latest container podlike is aware of")
ALL_CIDFILE = Flag("cidfile", "", "array", "Read the container ID from the file")
FILTER = Flag("filter", "f", "array", "Filter output based on conditions given")
FORMAT = Flag("format", "f", "string", "Change the output format to JSON or a Go template")
DETACH_KEYS = Flag("detach-keys", "", "string",
                   "Select the key sequence for detaching a container: a single letter or a comma separated list of "
                   "ctrl-<value>, where <value> is one of a-z, @, ^, [, \\, ] or _",
                   "ctrl-p,ctrl-q", metavar="[a-Z]")
TIME = Flag("time", "t", "int", "Seconds to wait for stop before killing the container", 10, aliases=("timeout",))
# docker's stop and restart
DOCKER_STOP = (Flag("signal", "s", "string", "Signal to send to the container"),
               Flag("timeout", "t", "int", "Seconds to wait before killing the container", dest="time", aliases=("time",)))

# In the order of the manual's sections; help sorts by name.
CREATE_TABLE: "tuple[tuple[str, str, str, Any, str, str], ...]" = (
    # identity
    ("name", "", "string", None, "*", "Assign a name to the container"),
    ("hostname", "h", "string", None, "hostname", "Set container hostname"),
    ("domainname", "", "string", None, "domainname", "Set container NIS domain name"),
    ("no-hostname", "", "bool", None, "no_hostname", "Do not create /etc/hostname within the container, instead use "
                                                    "the version from the image"),
    ("label", "l", "array", None, "*", "Set metadata on container"),
    ("label-file", "", "array", None, "*", "Read in a line delimited file of labels"),
    ("annotation", "", "array", None, "*", "Add annotations to container (key=value)"),
    ("cidfile", "", "string", None, "*", "Write the container ID to the file"),
    ("replace", "", "bool", None, "*", "If a container with the same name exists, replace it"),
    ("pod", "", "string", None, "*", "Run container in an existing pod"),
    ("pod-id-file", "", "string", None, "*", "Read the pod ID from the file"),
    ("requires", "", "strings", None, "requires", "Add one or more requirement containers that must be started before this "
                                          "container will start"),
    # image
    ("pull", "", "string", "missing", "*", 'Pull image policy ("always"|"missing"|"never"|"newer")'),
    ("quiet", "q", "bool", None, "*", "Suppress output information when pulling images"),
    ("platform", "", "string", None, "*", "Specify the platform for selecting the image.  (Conflicts with --arch and "
                                         "--os)"),
    ("arch", "", "string", None, "*", "use ARCH instead of the architecture of the machine for choosing images"),
    ("os", "", "string", None, "*", "use OS instead of the running OS for choosing images"),
    ("variant", "", "string", None, "*", "Use VARIANT instead of the running architecture variant for choosing images"),
    ("authfile", "", "string", None, "*", "Path of the authentication file. Use REGISTRY_AUTH_FILE environment "
                                         "variable to override"),
    ("creds", "", "string", None, "*", "credentials (USERNAME:PASSWORD) to use for authenticating to a registry"),
    ("cert-dir", "", "string", None, "*", "Pathname of a directory containing TLS certificates and keys"),
    ("tls-verify", "", "bool", True, "*", "Require HTTPS and verify certificates when contacting registries for "
                                         "pulling images"),
    ("retry", "", "uint", 3, "*", "number of times to retry in case of failure when performing pull"),
    ("retry-delay", "", "duration", None, "*", "delay between retries in case of pull failures"),
    ("decryption-key", "", "array", None, "!", "Key needed to decrypt the image (e.g. /path/to/key.pem)"),
    ("signature-policy", "", "string", None, "*", "Pathname of signature policy file (not usually used)"),
    ("disable-content-trust", "", "bool", None, "-", "This is a Docker specific option and is a NOOP"),
    ("rootfs", "", "bool", None, "*", "The first argument is not an image but the rootfs to the exploded container"),
    ("read-only", "", "bool", None, "read_only", "Make containers root filesystem read-only"),
    ("read-only-tmpfs", "", "bool", True, "read_only_tmpfs", "When running --read-only containers mount read-write "
                                                            "tmpfs on /dev, /dev/shm, /run, /tmp and /var/tmp"),
    ("image-volume", "", "string", None, "*", 'Tells podlike how to handle the builtin image volumes '
                                             '("bind"|"tmpfs"|"ignore")'),
    # process
    ("entrypoint", "", "string", None, "*", "Overwrite the default ENTRYPOINT of the image"),
    ("env", "e", "array", None, "*", "Set environment variables in container"),
    ("env-file", "", "array", None, "*", "Read in a file of environment variables"),
    ("env-host", "", "bool", None, "env_host", "Use all current host environment variables in container"),
    ("env-merge", "", "array", None, "*", "Preprocess environment variables from image before injecting them into the "
                                         "container"),
    ("unsetenv", "", "array", None, "unset_env", "Unset environment default variables in container"),
    ("unsetenv-all", "", "bool", None, "unset_env_all", "Unset all default environment variables in container"),
    ("http-proxy", "", "bool", True, "http_proxy", "Set proxy environment variables in the container based on the host "
                                                  "proxy vars"),
    ("workdir", "w", "string", None, "*", "Working directory inside the container"),
    ("user", "u", "string", None, "user", "Username or UID (format: <name|uid>[:<group|gid>])"),
    ("group-add", "", "strings", None, "*", "Add additional groups to the primary container process. 'keep-groups' "
                                           "allows container processes to use supplementary groups."),
    ("passwd", "", "bool", True, "passwd", "add entries to /etc/passwd and /etc/group"),
    ("passwd-entry", "", "string", None, "passwd_entry", "Entry to write to /etc/passwd"),
    ("group-entry", "", "string", None, "group_entry", "Entry to write to /etc/group"),
    ("hostuser", "", "strings", None, "host_users", "Host user account to add to /etc/passwd within container"),
    ("umask", "", "string", "0022", "*", "Set umask in container"),
    ("tty", "t", "bool", None, "terminal", "Allocate a pseudo-TTY for container"),
    ("interactive", "i", "bool", None, "stdin_open", "Make STDIN available to the contained process"),
    ("stop-signal", "", "string", None, "*", "Signal to stop a container. Default is SIGTERM"),
    ("stop-timeout", "", "uint", 10, "stop_timeout", "Timeout (in seconds) that containers stopped by user command have "
                                                    "to exit. If exceeded, the container will be forcibly stopped via "
                                                    "SIGKILL."),
    ("timeout", "", "uint", None, "timeout", "Maximum length of time a container is allowed to run. The container will "
                                            "be killed automatically after the time expires."),
    ("init", "", "bool", None, "init", "Run an init binary inside the container that forwards signals and reaps "
                                      "processes"),
    ("init-path", "", "string", None, "init_path", "Path to the container-init binary"),
    ("systemd", "", "string", "true", "*", 'Run container in systemd mode ("true"|"false"|"always")'),
    ("personality", "", "string", None, "*", "Configure execution domain using personality (e.g., LINUX/LINUX32)"),
    ("secret", "", "array", None, "!", "Add secret to container"),
    # isolation
    ("cap-add", "", "strings", None, "cap_add", "Add capabilities to the container"),
    ("cap-drop", "", "strings", None, "cap_drop", "Drop capabilities from the container"),
    ("privileged", "", "bool", None, "privileged", "Give extended privileges to container"),
    ("security-opt", "", "array", None, "*", "Security Options"),
    ("seccomp-policy", "", "string", "default", "*", "Policy for selecting a seccomp profile (experimental)"),
    ("device", "", "array", None, "*", "Add a host device to the container"),
    ("device-cgroup-rule", "", "strings", None, "*", "Add a rule to the cgroup allowed devices list"),
    ("gpus", "", "strings", None, "*", "GPU devices to add to the container ('all' to pass all GPUs)"),
    ("ulimit", "", "strings", None, "*", "Ulimit options"),
    ("sysctl", "", "strings", None, "*", "Sysctl options"),
    ("oom-score-adj", "", "int", None, "*", "Tune the host's OOM preferences (-1000 to 1000)"),
    ("pid", "", "string", None, "*", "PID namespace to use"),
    ("ipc", "", "string", None, "*", "IPC namespace to use"),
    ("uts", "", "string", None, "*", "UTS namespace to use"),
    ("cgroupns", "", "string", None, "*", "cgroup namespace to use"),
    ("userns", "", "string", None, "*", "User namespace to use"),
    ("uidmap", "", "strings", None, "uidmap", "UID map to use for the user namespace"),
    ("gidmap", "", "strings", None, "gidmap", "GID map to use for the user namespace"),
    ("subuidname", "", "string", None, "!", "Name of range listed in /etc/subuid for use in user namespace"),
    ("subgidname", "", "string", None, "!", "Name of range listed in /etc/subgid for use in user namespace"),
    ("chrootdirs", "", "array", None, "*", "Chroot directories inside the container"),
    # files
    ("volume", "v", "array", None, "*", "Bind mount a volume into the container"),
    ("mount", "", "array", None, "*", "Attach a filesystem mount to the container"),
    ("tmpfs", "", "array", None, "*", "Mount a temporary filesystem (tmpfs) into a container"),
    ("volumes-from", "", "array", None, "volumes_from", "Mount volumes from the specified container(s)"),
    ("shm-size", "", "string", "65536k", "*", "Size of /dev/shm <number>[<unit>], where unit = b (bytes), k (kibibytes), "
                                             "m (mebibytes), or g (gibibytes)"),
    ("shm-size-systemd", "", "string", None, "*", "Size of systemd specific tmpfs mounts (/run, /run/lock)"),
    ("tz", "", "string", None, "timezone", "Set timezone in container"),
    ("volume-driver", "", "string", None, "*", "Volume driver for anonymous volumes"),
    # network
    ("network", "", "array", None, "*", "Connect a container to a network"),
    ("network-alias", "", "strings", None, "!", "Add network-scoped alias for the container"),
    ("ip", "", "string", None, "!", "Specify a static IPv4 address for the container"),
    ("ip6", "", "string", None, "!", "Specify a static IPv6 address for the container"),
    ("mac-address", "", "string", None, "!", "Container MAC address (e.g. 92:d0:c6:0a:29:33)"),
    ("link-local-ip", "", "strings", None, "!", "Container IPv4/IPv6 link-local addresses"),
    ("link", "", "array", None, "!", "Add link to another container"),
    ("publish", "p", "strings", None, "*", "Publish a container's port, or a range of ports, to the host"),
    ("publish-all", "P", "bool", None, "publish_all", "Publish all exposed ports to random ports on the host interface"),
    ("expose", "", "strings", None, "*", "Expose a port or a range of ports"),
    ("add-host", "", "strings", None, "*", "Add a custom host-to-IP mapping (host:ip)"),
    ("no-hosts", "", "bool", None, "no_hosts", "Do not create /etc/hosts within the container, instead use the version "
                                              "from the image"),
    ("hosts-file", "", "string", None, "*", "Base file to create the /etc/hosts file inside the container"),
    ("dns", "", "strings", None, "*", "Set custom DNS servers"),
    ("dns-option", "", "strings", None, "dns_option", "Set custom DNS options"),
    ("dns-search", "", "strings", None, "dns_search", "Set custom DNS search domains"),
    # resources
    ("memory", "m", "string", None, "*", "Memory limit <number>[<unit>]"),
    ("memory-swap", "", "string", None, "*", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
    ("memory-reservation", "", "string", None, "*", "Memory soft limit <number>[<unit>]"),
    ("memory-swappiness", "", "int", -1, "*", "Tune container memory swappiness (0 to 100, or -1 for system default)"),
    ("kernel-memory", "", "string", None, "-", "Kernel memory limit, without effect on today's kernels"),
    ("oom-kill-disable", "", "bool", None, "*", "Disable OOM Killer"),
    ("cpus", "", "float", None, "cpus", "Number of CPUs. The default is 0.000 which means no limit"),
    ("cpu-shares", "c", "uint", None, "cpu_shares", "CPU shares (relative weight)"),
    ("cpu-quota", "", "int", None, "cpu_quota", "Limit the CPU CFS (Completely Fair Scheduler) quota"),
    ("cpu-period", "", "uint", None, "cpu_period", "Limit the CPU CFS (Completely Fair Scheduler) period"),
    ("cpu-rt-period", "", "uint", None, "*", "Limit the CPU real-time period in microseconds"),
    ("cpu-rt-runtime", "", "int", None, "*", "Limit the CPU real-time runtime in microseconds"),
    ("cpuset-cpus", "", "string", None, "cpuset_cpus", "CPUs in which to allow execution (0-3, 0,1)"),
    ("cpuset-mems", "", "string", None, "cpuset_mems", "Memory nodes (MEMs) in which to allow execution (0-3, 0,1). Only "
                                                      "effective on NUMA systems."),
    ("pids-limit", "", "int", None, "*", "Tune container pids limit (set -1 for unlimited)"),
    ("blkio-weight", "", "string", None, "*", "Block IO weight (relative weight) accepts a weight value between 10 and "
                                             "1000."),
    ("blkio-weight-device", "", "array", None, "*", "Block IO weight (relative device weight, format: "
                                                   "DEVICE_NAME:WEIGHT)"),
    ("device-read-bps", "", "array", None, "*", "Limit read rate (bytes per second) from a device (e.g. "
                                               "--device-read-bps=/dev/sda:1mb)"),
    ("device-read-iops", "", "array", None, "*", "Limit read rate (IO per second) from a device (e.g. "
                                                "--device-read-iops=/dev/sda:1000)"),
    ("device-write-bps", "", "array", None, "*", "Limit write rate (bytes per second) to a device (e.g. "
                                                "--device-write-bps=/dev/sda:1mb)"),
    ("device-write-iops", "", "array", None, "*", "Limit write rate (IO per second) to a device (e.g. "
                                                 "--device-write-iops=/dev/sda:1000)"),
    ("cgroups", "", "string", "enabled", "*", 'control container cgroup configuration '
                                             '("enabled"|"disabled"|"no-conmon"|"split")'),
    ("cgroup-parent", "", "string", None, "cgroup_parent", "Optional parent cgroup for the container"),
    ("cgroup-conf", "", "strings", None, "*", "Configure cgroup v2 (key=value)"),
    ("limits", "", "string", "strict", "*", 'What becomes of limits that cannot be had here: refused, or left out with a '
                                            'warning ("strict"|"best-effort")'),
    ("rdt-class", "", "string", None, "!", "Class of Service (COS) that the container should be assigned to"),
    # life
    ("rm", "", "bool", None, "remove", "Remove container and any anonymous unnamed volume associated with the container "
                                      "after exit"),
    ("restart", "", "string", None, "*", 'Restart policy to apply when a container exits '
                                        '("always"|"no"|"never"|"on-failure"|"unless-stopped")'),
    ("log-driver", "", "string", None, "*", "Logging driver for the container"),
    ("log-opt", "", "array", None, "*", "Logging driver options"),
    ("conmon-pidfile", "", "string", None, "*", "Path to the file that will receive the PID of conmon"),
    ("pidfile", "", "string", None, "*", "Write the container process ID to the file"),
    ("sdnotify", "", "string", "container", "*", 'control sd-notify behavior ("container"|"conmon"|"healthy"|"ignore")'),
    # health
    ("no-healthcheck", "", "bool", None, "no_health", "Disable healthchecks on container"),
    ("health-cmd", "", "string", None, "*", "set a healthcheck command for the container ('none' disables the existing "
                                           "healthcheck)"),
    ("health-interval", "", "string", "30s", "*", "set an interval for the healthcheck. (a value of disable results in no "
                                                "automatic timer setup)"),
    ("health-log-destination", "", "string", "local", "*", "set the destination of the HealthCheck log. Directory path, "
                                                       "local or events_logger"),
    ("health-max-log-count", "", "uint", 5, "*", "set maximum number of attempts in the HealthCheck log file. ('0' "
                                                   "value means an infinite number of attempts in the log file)"),
    ("health-max-log-size", "", "uint", 500, "*", "set maximum length in characters of stored HealthCheck log. ('0' "
                                                  "value means an infinite log length)"),
    ("health-on-failure", "", "string", "none", "*", "action to take once the container turns unhealthy"),
    ("health-retries", "", "uint", 3, "*", "the number of retries allowed before a healthcheck is considered to be "
                                             "unhealthy"),
    ("health-start-interval", "", "string", None, "*", "the interval between checks during the start period"),
    ("health-start-period", "", "string", "0s", "*", "the initialization time needed for a container to bootstrap"),
    ("health-startup-cmd", "", "string", None, "*", "Set a startup healthcheck command for the container"),
    ("health-startup-interval", "", "string", "30s", "*", "Set an interval for the startup healthcheck."),
    ("health-startup-retries", "", "uint", None, "*", "Set the maximum number of retries before the startup healthcheck "
                                                     "will restart the container"),
    ("health-startup-success", "", "uint", None, "*", "Set the number of consecutive successes before the startup "
                                                     "healthcheck is marked as successful and the normal healthcheck "
                                                     "begins"),
    ("health-startup-timeout", "", "string", "30s", "*", "Set the maximum amount of time that the startup healthcheck may "
                                                       "take before it is considered failed"),
    ("health-timeout", "", "string", "30s", "*", "the maximum time allowed to complete the healthcheck before an interval "
                                               "is considered failed"),
)

# Only `run` has these, because only `run` starts and attaches.
RUN_TABLE: "tuple[tuple[str, str, str, Any, str, str], ...]" = (
    ("detach", "d", "bool", None, "*", "Run container in background and print container ID"),
    ("detach-keys", "", "string", "ctrl-p,ctrl-q", "*", DETACH_KEYS.help),
    ("sig-proxy", "", "bool", True, "*", "Proxy received signals to the process"),
    ("rmi", "", "bool", None, "remove_image", "Remove image unless used by other containers, implies --rm"),
    ("preserve-fds", "", "uint", None, "preserve_fds", "Pass a number of additional file descriptors into the container"),
    ("preserve-fd", "", "uints", None, "preserve_fd", "Pass a file descriptor into the container"),
    ("attach", "a", "strings", None, "*", "Attach to STDIN, STDOUT or STDERR"),
)
CREATE_ONLY: "tuple[tuple[str, str, str, Any, str, str], ...]" = (
    ("init-ctr", "", "string", None, "*", "Run this container as an init container in a pod"),
    ("attach", "a", "strings", None, "-", "Attach to STDIN, STDOUT or STDERR"),
)

# Those that cli/limitflags.py reads.
LIMIT_FLAGS = ("blkio-weight", "blkio-weight-device", "device-read-bps", "device-write-bps", "device-read-iops",
               "device-write-iops", "memory-swappiness", "oom-kill-disable", "cgroup-conf", "limits", "cpu-rt-period",
               "cpu-rt-runtime")

# What docker's run and create have beyond podman's.
DOCKER_TABLE: "tuple[tuple[str, str, str, Any, str, str], ...]" = (
    ("isolation", "", "string", None, "*", "Container isolation technology"),
    ("runtime", "", "string", None, "*", "Runtime to use for this container"),
    ("storage-opt", "", "array", None, "!", "Storage driver options for the container"),
    ("use-api-socket", "", "bool", None, "!", "Bind mount Docker API socket and required auth"),
)

# Spellings of old scripts that no help shows.
_ALIASES = {"network": ("net",), "dns-option": ("dns-opt",), "network-alias": ("net-alias",),
            "health-cmd": ("healthcheck-command",), "health-interval": ("healthcheck-interval",),
            "health-retries": ("healthcheck-retries",), "health-start-period": ("healthcheck-start-period",),
            "health-timeout": ("healthcheck-timeout",), "arch": ("override-arch",), "os": ("override-os",),
            "variant": ("override-variant",)}
_METAVARS = {"memory": "<number>[<unit>]", "memory-reservation": "<number>[<unit>]", "shm-size": "<number>[<unit>]",
             "shm-size-systemd": "<number>[<unit>]", "tmpfs": "tmpfs", "arch": "ARCH", "os": "OS", "variant": "VARIANT",
             "blkio-weight-device": "DEVICE_NAME:WEIGHT", "creds": "credentials", "cert-dir": "Pathname",
             "detach-keys": "[a-Z]", "signature-policy": "Pathname"}
# docker's, which podman takes for its scripts' sake, and podman's own that its help keeps back.
_DOCKERS = frozenset(("kernel-memory", "link-local-ip", "link", "volume-driver", "domainname", "health-start-interval"))
_HIDDEN = _DOCKERS | {"signature-policy"}


def create_flags(*tables: "tuple[tuple[str, str, str, Any, str, str], ...]", docker: bool = False) -> tuple[Flag, ...]:
    """Flag objects of the rows of these tables. docker: its own flags are shown in help."""
    hidden = _HIDDEN - _DOCKERS if docker else _HIDDEN
    return tuple(Flag(name, short, kind, help_, default, metavar=_METAVARS.get(name, ""), hidden=name in hidden,
                      aliases=_ALIASES.get(name, ()))
                 for table in tables for name, short, kind, default, _, help_ in table)


# --- which containers a command means ---------------------------------------------------------------------------

def check_selection(call: "Call", *, cidfile: bool = False) -> None:
    """Names, --all, --latest, --filter and --cidfile exclude each other; one of them must be there."""
    opts, given = call.opts, call.args
    every = bool(getattr(opts, "all", False))
    latest = bool(getattr(opts, "latest", False))
    files = bool(getattr(opts, "cidfile", None)) if cidfile else False
    if getattr(opts, "filter", None):
        if given:
            raise UsageError("--filter takes no arguments")
        return
    if files and (every or latest):
        raise UsageError("--all, --latest, and --cidfile cannot be used together")
    if every and latest:
        raise UsageError("--all and --latest cannot be used together")
    if given and every:
        raise UsageError("no arguments are needed with --all")
    if given and latest:
        raise UsageError("--latest and containers cannot be used together")
    if given and files:
        raise UsageError("no arguments are needed with --latest or --cidfile")
    if not (given or every or latest or files):
        raise UsageError("you must provide at least one name or id")


def select(call: "Call", *, default_states: "tuple[str, ...]" = ()) -> "list[tuple[str, Container]]":
    """The containers that names, --all, --latest, --filter or --cidfile stand for.

    Returns (what to print for it, container): the name as typed, else the full id. With --all only those in
    default_states are taken, if it is given. A name that does not exist is an error, unless --ignore.
    Raises: NotFoundError, UsageError.
    """
    from podlike.engine.query import all_containers, find

    opts = call.opts
    if getattr(opts, "filter", None):
        from podlike.engine.psrows import filtered

        return [(c.id, c) for c in filtered(call.engine, opts.filter)]
    if getattr(opts, "latest", False):
        c = latest_container(call)
        return [(c.id, c)]
    if getattr(opts, "all", False):
        found = all_containers(call.engine)
        if default_states:
            from podlike.engine.query import status

            found = [c for c in found if status(call.engine, c).state in default_states]
        return [(c.id, c) for c in found]
    names = [*call.args, *(_read_cidfile(call, path) for path in getattr(opts, "cidfile", None) or ())]
    out = []
    for name in names:
        if not name:
            continue
        try:
            out.append((name, find(call.engine, container_name(name))))
        except NotFoundError:
            if not getattr(opts, "ignore", False):
                raise
    return out


def select_each(call: "Call", action: "Any", *, default_states: "tuple[str, ...]" = ()) -> int:
    """Do action(container) on what select() finds and print what was typed; a missing name does not stop the rest."""
    if not call.args or getattr(call.opts, "filter", None):
        return call.each(select(call, default_states=default_states), lambda pair: _done(pair, action))
    from podlike.engine.query import find

    def one(name: str) -> str | None:
        try:
            container = find(call.engine, container_name(name))
        except NotFoundError:
            if getattr(call.opts, "ignore", False):
                return None
            raise
        return _done((name, container), action)

    return call.each(call.args, one)


def _done(pair: "tuple[str, Container]", action: "Any") -> str | None:
    typed, container = pair
    return None if action(container) is False else typed


def container_name(typed: str) -> str:
    """docker's API writes names with a slash in front; scripts copy them from there."""
    return typed[1:] if typed[:1] == "/" else typed


def latest_container(call: "Call") -> "Container":
    """The container that was created last. Raises: NotFoundError."""
    from podlike.engine.query import all_containers

    found = all_containers(call.engine)
    if not found:
        raise NotFoundError("no containers found: no such container")
    return max(found, key=lambda c: c.created)


def one_container(call: "Call", name: str | None) -> "Container":
    """The container called name, or the latest when it is None."""
    if name is None:
        return latest_container(call)
    from podlike.engine.query import find

    return find(call.engine, container_name(name))


def stop_options(call: "Call") -> "dict[str, Any]":
    """What --time and docker's --timeout and --signal say, for engine/stop.py. Raises: UsageError."""
    given = call.changed("time") or call.changed("timeout")
    out: "dict[str, Any]" = {"timeout": call.opts.time if given else None}
    name = getattr(call.opts, "signal", "")
    if name:
        from podlike.spec.signals import parse

        parse(name)
        out["signal_name"] = name
    return out


def take_container(call: "Call") -> "tuple[Container, list[str]]":
    """The container of a command that takes one, and the arguments behind it (--latest shifts them)."""
    if getattr(call.opts, "latest", False):
        return latest_container(call), call.args
    if not call.args:
        raise UsageError(f'"{call.path}" requires a name, id, or the "--latest" flag')
    return one_container(call, call.args[0]), call.args[1:]


def _read_cidfile(call: "Call", path: str) -> str:
    try:
        with open(path) as f:
            return f.readline().strip()
    except OSError as e:
        if getattr(call.opts, "ignore", False):
            return ""
        raise UsageError(f"reading CIDFile: open {path}: {(e.strerror or '').lower()}") from None
