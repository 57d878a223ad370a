"""The table of commands, the global options, and how a command line finds its module.

Conventions for a command module podlike/cli/NAME.py (see command.py for the classes):
  - it defines `command`, a Command (tree.py makes click's of it); more than one only where an image and a container command
    differ in nothing but a word, then the row says "module:attribute";
  - one function parses nothing, calls the engine and prints: `def NAME(call: Call) -> int | None`;
  - imports at the top: podlike.cli.command, podlike.cli.options, podlike.errors, nothing heavy; engine modules are
    imported inside the function, so that --help costs nothing and the start path stays short;
  - tables, --format and JSON go through podlike.cli.output;
  - errors are raised; several objects are handled with call.each(), which prints each failure and goes on;
  - one row in COMMANDS, so that `podlike --help` needs no import of the module.

Usage lines: `podlike CMD [options] ARGS` with ARGS in upper case, required ones first, "..." when repeatable.
"""

import sys

from podlike import __version__, log
from podlike.cli.command import Command, Flag, Parser, flag_error
from podlike.cli.session import Session
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.engine.core import Engine

# Row: (module below podlike.cli, summary). "" as module: a group, whose rows are in COMMANDS[its path].
# A row whose name begins with "." is hidden from help.
_LIST = ("ps", "List containers")

COMMANDS: "dict[str, dict[str, tuple[str, str]]]" = {
    "": {
        "artifact": ("", "Manage OCI artifacts"),
        "attach": ("attach", "Attach to a running container"),
        "auto-update": ("autoupdate", "Auto update containers according to their auto-update policy"),
        "completion": ("completion", "Generate shell completion scripts"),
        "build": ("build", "Build an image using instructions from Containerfiles"),
        "builder": ("", "Manage builds"),
        "buildx": ("", "Build images"),
        "container": ("", "Manage containers"),
        "commit": ("commit", "Create new image based on the changed container"),
        "cp": ("cp", "Copy files/folders between a container and the local filesystem"),
        "create": ("create", "Create but do not start a container"),
        "diff": ("diff", "Display the changes to the object's file system"),
        "events": ("events", "Show podlike system events"),
        "exec": ("exec", "Run a process in a running container"),
        "export": ("export", "Export container's filesystem contents as a tar archive"),
        "generate": ("", "Generate structured data based on containers, pods or volumes"),
        "healthcheck": ("", "Manage health checks on containers"),
        "help": ("help", "Help about any command"),
        "history": ("history", "Show history of a specified image"),
        "image": ("", "Manage images"),
        "images": ("images", "List images in local storage"),
        "info": ("info", "Display podlike system information"),
        "init": ("init", "Initialize one or more containers"),
        "inspect": ("inspect", "Display the configuration of object denoted by ID"),
        "import": ("import_", "Import a tarball to create a filesystem image"),
        "kill": ("kill", "Kill one or more running containers with a specific signal"),
        "load": ("load", "Load image(s) from a tar archive"),
        "login": ("login", "Log in to a container registry"),
        "logout": ("logout", "Log out of a container registry"),
        "logs": ("logs", "Fetch the logs of one or more containers"),
        "manifest": ("", "Manipulate manifest lists and image indexes"),
        "mount": ("mount", "Mount a working container's root filesystem"),
        "network": ("", "Manage networks"),
        "pause": ("pause", "Pause all the processes in one or more containers"),
        "pod": ("", "Manage pods"),
        "port": ("port", "List port mappings or a specific mapping for the container"),
        "ps": _LIST,
        "pull": ("pull", "Pull an image from a registry"),
        "push": ("push", "Push an image to a specified destination"),
        "quadlet": ("", "Allows users to manage Quadlets"),
        "rename": ("rename", "Rename an existing container"),
        "restart": ("restart", "Restart one or more containers"),
        "rm": ("rm", "Remove one or more containers"),
        "rmi": ("rmi", "Remove one or more images from local storage"),
        "run": ("run", "Run a command in a new container"),
        "save": ("save", "Save image(s) to an archive"),
        "search": ("search", "Search registry for image"),
        "start": ("start", "Start one or more containers"),
        "stats": ("stats", "Display a live stream of container resource usage statistics"),
        "stop": ("stop", "Stop one or more containers"),
        "system": ("", "Manage podlike"),
        "tag": ("tag", "Add an additional name to a local image"),
        "top": ("top", "Display the running processes of a container"),
        "unmount": ("mount:unmount_command", "Unmount working container's root filesystem"),
        "unpause": ("pause:unpause", "Unpause the processes in one or more containers"),
        "unshare": ("unshare", "Run a command in a modified user namespace"),
        "untag": ("untag", "Remove a name from a local image"),
        "update": ("update", "Update an existing container"),
        "version": ("version", "Display the podlike version information"),
        "volume": ("", "Manage volumes"),
        "wait": ("wait", "Block on one or more containers"),
    },
    "artifact": {
        "add": ("artifact:add_command", "Add an OCI artifact to the local store"),
        "extract": ("artifact:extract_command", "Extract an OCI artifact to a local path"),
        "inspect": ("artifact:inspect_command", "Inspect an OCI artifact"),
        "ls": ("artifact:ls_command", "List OCI artifacts"),
        "pull": ("artifact:pull_command", "Pull an OCI artifact"),
        "push": ("artifact:push_command", "Push an OCI artifact"),
        "rm": ("artifact:rm_command", "Remove one or more OCI artifacts"),
    },
    "builder": {
        "build": ("build", "Build an image using instructions from Containerfiles"),
        "prune": ("buildx:prune_command", "Remove build cache"),
    },
    "buildx": {
        "build": ("build", "Build an image using instructions from Containerfiles"),
        "prune": ("buildx:prune_command", "Remove build cache"),
        "version": ("buildx:version_command", "Show buildx version information"),
    },
    "container": {
        "attach": ("attach", "Attach to a running container"),
        "checkpoint": ("checkpoint:checkpoint_command", "Checkpoint one or more containers"),
        "cleanup": ("cleanup", "Clean up network and mountpoints of one or more containers"),
        "clone": ("clone", "Clone an existing container"),
        "commit": ("commit", "Create new image based on the changed container"),
        "cp": ("cp", "Copy files/folders between a container and the local filesystem"),
        "create": ("create", "Create but do not start a container"),
        "diff": ("diff:container", "Inspect changes to the container's file systems"),
        "exec": ("exec", "Run a process in a running container"),
        "exists": ("exists", "Check if a container exists in local storage"),
        "export": ("export", "Export container's filesystem contents as a tar archive"),
        "init": ("init", "Initialize one or more containers"),
        "inspect": ("inspect:container_inspect", "Display the configuration of a container"),
        "kill": ("kill", "Kill one or more running containers with a specific signal"),
        "list": _LIST,
        "logs": ("logs", "Fetch the logs of one or more containers"),
        "mount": ("mount", "Mount a working container's root filesystem"),
        "pause": ("pause", "Pause all the processes in one or more containers"),
        "port": ("port", "List port mappings or a specific mapping for the container"),
        "prune": ("container_prune", "Remove all non running containers"),
        "rename": ("rename", "Rename an existing container"),
        "restart": ("restart", "Restart one or more containers"),
        "restore": ("checkpoint:restore_command", "Restore one or more containers from a checkpoint"),
        "rm": ("rm", "Remove one or more containers"),
        "run": ("run", "Run a command in a new container"),
        "runlabel": ("runlabel", "Execute the command described by an image label"),
        "start": ("start", "Start one or more containers"),
        "stats": ("stats", "Display a live stream of container resource usage statistics"),
        "stop": ("stop", "Stop one or more containers"),
        "top": ("top", "Display the running processes of a container"),
        "unmount": ("mount:unmount_command", "Unmount working container's root filesystem"),
        "unpause": ("pause:unpause", "Unpause the processes in one or more containers"),
        "update": ("update", "Update an existing container"),
        "wait": ("wait", "Block on one or more containers"),
    },
    "generate": {
        "systemd": ("generate:systemd_command", "[DEPRECATED] Generate systemd units"),
    },
    "healthcheck": {
        "run": ("healthcheck", "Run the health check of a container"),
    },
    "image": {
        "build": ("build", "Build an image using instructions from Containerfiles"),
        "diff": ("diff:image", "Inspect changes to the image's file systems"),
        "exists": ("image:exists", "Check if an image exists in local storage"),
        "history": ("history", "Show history of a specified image"),
        "import": ("import_", "Import a tarball to create a filesystem image"),
        "inspect": ("inspect:image_inspect", "Display the configuration of an image"),
        "list": ("images", "List images in local storage"),
        "load": ("load", "Load image(s) from a tar archive"),
        "mount": ("image_mount:mount", "Mount an image's root filesystem"),
        "prune": ("image:prune", "Remove unused images"),
        "pull": ("pull", "Pull an image from a registry"),
        "push": ("push", "Push an image to a specified destination"),
        "rm": ("rmi", "Remove one or more images from local storage"),
        "save": ("save", "Save image(s) to an archive"),
        "scp": ("image_scp", "Securely copy images"),
        "search": ("search", "Search registry for image"),
        "sign": ("sign", "Sign an image"),
        "tag": ("tag", "Add an additional name to a local image"),
        "tree": ("image_tree", "Print layer hierarchy of an image in a tree format"),
        "trust": ("", "Manage container image trust policy"),
        "unmount": ("image_mount:unmount", "Unmount an image's root filesystem"),
        "untag": ("untag", "Remove a name from a local image"),
    },
    "manifest": {
        "add": ("manifest:add_command", "Add images or artifacts to a manifest list or image index"),
        "annotate": ("manifest:annotate_command", "Add or update information about an entry in a manifest list or image index"),
        "create": ("manifest:create_command", "Create manifest list or image index"),
        "exists": ("manifest:exists_command", "Check if a manifest list exists in local storage"),
        "inspect": ("manifest:inspect_command", "Display the contents of a manifest list or image index"),
        "push": ("manifest_push", "Push a manifest list or image index to a registry"),
        "remove": ("manifest:remove_command", "Remove an item from a manifest list or image index"),
        "rm": ("manifest:rm_command", "Remove manifest list or image index from local storage"),
    },
    "network": {
        "connect": ("network_later:connect_command", "Add container to a network"),
        "create": ("network_later:create_command", "Create networks for containers and pods"),
        "disconnect": ("network_later:disconnect_command", "Disconnect a container from a network"),
        "exists": ("network:exists_command", "Check if network exists"),
        "inspect": ("network:inspect_command", "Inspect network"),
        "ls": ("network:ls_command", "List networks"),
        "prune": ("network:prune_command", "Prune unused networks"),
        "reload": ("network_later:reload_command", "Reload firewall rules for one or more containers"),
        "rm": ("network:rm_command", "Remove networks"),
        "update": ("network_later:update_command", "Update an existing network"),
    },
    "pod": {
        "clone": ("pod_clone", "Clone an existing pod"),
        "create": ("pod_create", "Create a new empty pod"),
        "exists": ("pod:exists_command", "Check if a pod exists in local storage"),
        "inspect": ("pod_inspect", "Display a pod configuration"),
        "kill": ("pod:kill_command", "Send the specified signal or SIGKILL to containers in pod"),
        "logs": ("pod_logs", "Fetch logs for pod with one or more containers"),
        "pause": ("pod:pause_command", "Pause one or more pods"),
        "prune": ("pod_rm:prune_command", "Remove all stopped pods and their containers"),
        "ps": ("pod_ps", "List pods"),
        "restart": ("pod:restart_command", "Restart one or more pods"),
        "rm": ("pod_rm", "Remove one or more pods"),
        "start": ("pod:start_command", "Start one or more pods"),
        "stats": ("pod_stats", "Display a live stream of resource usage statistics for the containers in one or more pods"),
        "stop": ("pod:stop_command", "Stop one or more pods"),
        "top": ("pod_top", "Display the running processes of containers in a pod"),
        "unpause": ("pod:unpause_command", "Unpause one or more pods"),
    },
    "quadlet": {
        "check": ("quadlet_check", "Report what is wrong in Quadlets"),
        "generator": ("", "Manage what makes services of Quadlets"),
        "install": ("quadlet:install_command", "Install a quadlet file or quadlet application"),
        "list": ("quadlet:list_command", "List Quadlets"),
        "print": ("quadlet:print_command", "Display the contents of a quadlet"),
        "rm": ("quadlet:rm_command", "Remove Quadlets"),
    },
    "quadlet generator": {
        "install": ("quadlet_generator:install_command", "Have services made of Quadlets"),
        "remove": ("quadlet_generator:remove_command", "Have no services made of Quadlets"),
        "run": ("quadlet_generator:run_command", "Make services of Quadlets now"),
        "status": ("quadlet_generator:status_command", "Show what makes services of Quadlets"),
    },
    "image trust": {
        "set": ("trust:set_", "Set default trust policy or a new trust policy for a registry"),
        "show": ("trust:show", "Display trust policy for the system"),
    },
    "system": {
        "connection": ("", "Manage remote service destinations"),
        "check": ("check", "Check storage consistency"),
        "events": ("events", "Show podlike system events"),
        "df": ("df", "Show podlike disk usage"),
        "info": ("info", "Display podlike system information"),
        "startup": ("", "Manage how containers come back after a reboot"),
        "migrate": ("reset:migrate_command", "Migrate containers"),
        "prune": ("prune", "Remove unused data"),
        "renumber": ("reset:renumber_command", "Migrate lock numbers"),
        "reset": ("reset", "Reset podlike storage back to default state"),
        "service": ("connection:service_command", "Run API service"),
    },
    "system connection": {
        "add": ("connection:add_command", "Record destination for the podlike service"),
        "default": ("connection:default_command", "Set named destination as default"),
        "list": ("connection", "List destination for the podlike service(s)"),
        "remove": ("connection:remove_command", "Delete named destination"),
        "rename": ("connection:rename_command", 'Rename "old" to "new"'),
    },
    "system startup": {
        "install": ("startup:install_command", "Have containers started after a reboot"),
        "remove": ("startup:remove_command", "Have no containers started after a reboot"),
        "run": ("startup:run_command", "Start the containers that come back after a reboot"),
        "status": ("startup:status_command", "Show how containers are started after a reboot"),
        "stop": ("startup:stop_command", "Stop all containers because the machine goes down"),
    },
    "volume": {
        "create": ("volume:create_command", "Create a new volume"),
        "exists": ("volume:exists_command", "Check if volume exists"),
        "export": ("volume_tar:export_command", "Export volumes"),
        "import": ("volume_tar:import_command", "Import a tarball contents into a podlike volume"),
        "inspect": ("volume_ls:inspect_command", "Display detailed information on one or more volumes"),
        "ls": ("volume_ls:ls_command", "List volumes"),
        "mount": ("volume:mount_command", "Mount volume"),
        "prune": ("volume:prune_command", "Remove all unused volumes"),
        "reload": ("volume:reload_command", "Reload all volumes from volume plugins"),
        "rm": ("volume:rm_command", "Remove one or more volumes"),
        "unmount": ("volume:unmount_command", "Unmount volume"),
    },
}

# Other spellings of a row in the same group; podman shows them in the row's help only.
ALIASES = {("container", "ls"): "list", ("container", "ps"): "list", ("container", "remove"): "rm",
           ("system connection", "ls"): "list", ("system connection", "rm"): "remove", ("system connection", "mv"): "rename",
           ("image", "ls"): "list", ("image", "remove"): "rm",
           ("quadlet", "cat"): "print", ("quadlet", "ls"): "list",
           ("", "umount"): "unmount", ("container", "umount"): "unmount", ("image", "umount"): "unmount",
           ("network", "list"): "ls", ("network", "remove"): "rm",
           ("pod", "ls"): "ps", ("pod", "list"): "ps",
           ("artifact", "list"): "ls", ("artifact", "remove"): "rm", ("volume", "list"): "ls", ("volume", "remove"): "rm"}

LOG_LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")

GLOBAL_FLAGS = (
    Flag("cdi-spec-dir", "", "array", "Set the CDI spec directory path (may be set multiple times)"),
    Flag("cgroup-manager", "", "string", 'Cgroup manager to use ("cgroupfs"|"systemd")'),
    Flag("config", "", "string", "Path to directory containing authentication config file"),
    Flag("conmon", "", "string", "Path of the conmon binary"),
    Flag("connection", "c", "string", "Connection to use for remote podlike service (CONTAINER_CONNECTION)"),
    Flag("context", "", "string", "Name of the context to use for the connection", hidden=True),
    Flag("cpu-profile", "", "string", "Path for the cpu-profiling results", hidden=True),
    Flag("db-backend", "", "string", "Database backend to use", hidden=True),
    Flag("debug", "D", "bool", "Docker compatibility, force setting of log-level", hidden=True),
    Flag("default-mounts-file", "", "string", "Path to default mounts file", hidden=True),
    Flag("events-backend", "", "string", 'Events backend to use ("file"|"journald"|"none")'),
    Flag("hooks-dir", "", "array", "Set the OCI hooks directory path (may be set multiple times)"),
    Flag("host", "H", "string", "Used for Docker compatibility", hidden=True),
    Flag("identity", "", "string", "path to SSH identity file, (CONTAINER_SSHKEY)"),
    Flag("imagestore", "", "string", "Path to the 'image store', different from 'graph root', use this to split storing the "
                                     "image into a separate 'image store'"),
    Flag("log-level", "", "string", f"Log messages above specified level ({', '.join(LOG_LEVELS)})", "warn"),
    Flag("max-workers", "", "int", "The maximum number of workers for parallel operations", hidden=True),
    Flag("memory-profile", "", "string", "Path for the memory-profiling results", hidden=True),
    Flag("module", "", "array", "Load the containers.conf(5) module"),
    Flag("namespace", "", "string", "Set the libpod namespace", hidden=True),
    Flag("network-backend", "", "string", "Network backend to use", hidden=True),
    Flag("network-cmd-path", "", "string", "Path to the command for configuring the network"),
    Flag("network-config-dir", "", "string", "Path of the configuration directory for networks",
         aliases=("cni-config-dir",)),
    Flag("noout", "", "bool", "do not output to stdout", hidden=True),
    Flag("out", "", "string", "Send output (stdout) from podlike to a file"),
    Flag("pull-option", "", "array", "Specify an option to change how the image is pulled", hidden=True),
    Flag("registries-conf", "", "string", "Path to a registries.conf to use for image processing", hidden=True),
    Flag("remote", "r", "bool", "Access remote podlike service"),
    Flag("root", "", "string", "Path to the root directory where images, containers, etc. are stored"),
    Flag("runroot", "", "string", "Path to the 'run directory' where all state information is stored"),
    Flag("runtime", "", "string", "Path to the OCI-compatible binary used to run containers."),
    Flag("runtime-flag", "", "array", "add global flags for the container runtime"),
    Flag("ssh", "", "string", "define the ssh mode", "golang"),
    Flag("storage-driver", "", "string",
         "Select which storage driver is used to manage storage of images and containers"),
    Flag("storage-opt", "", "array", "Used to pass an option to the storage driver"),
    Flag("syslog", "", "bool", "Output internal logs to syslog as well as the console (default false)"),
    Flag("tls", "", "bool", "Use TLS; implied by --tlsverify", hidden=True),
    Flag("tls-ca", "", "string", "path to TLS certificate Authority PEM file for remote."),
    Flag("tls-cert", "", "string", "path to TLS client certificate PEM file for remote."),
    Flag("tls-details", "", "string", "path to a file with details of TLS"),
    Flag("tls-key", "", "string", "path to TLS client certificate private key PEM file for remote."),
    Flag("tlscacert", "", "string", "Trust certs signed only by this CA", hidden=True),
    Flag("tlscert", "", "string", "Path to TLS certificate file", hidden=True),
    Flag("tlskey", "", "string", "Path to TLS key file", hidden=True),
    Flag("tlsverify", "", "bool", "Use TLS and verify the remote", hidden=True),
    Flag("tmpdir", "", "string", "Path to the tmp directory for state content"),
    Flag("trace", "", "bool", "Enable opentracing output (default false)", hidden=True),
    Flag("transient-store", "", "bool", "Enable transient container storage"),
    Flag("url", "", "string", "URL to access podlike service (CONTAINER_HOST)"),
    Flag("version", "v", "bool", "version for podlike"),
    Flag("volumepath", "", "string", "Path to the volume directory in which volume data is stored"),
)

# Shown in docker's help instead.
_DOCKERS = ("context", "debug", "host", "tls", "tlscacert", "tlscert", "tlskey", "tlsverify")
_DOCKER_KEEPS = ("config", "log-level", "version")

_GROUP_ABOUT = {"": "Manage pods, containers and images", "artifact": "Manage OCI artifacts", "builder": "Manage builds",
                "buildx": "Build images", "container": "Manage containers",
                "generate": "Generate structured data based on containers, pods or volumes",
                "healthcheck": "Manage health checks on containers", "image": "Manage images",
                "image trust": "Manage container image trust policy",
                "manifest": "Creates, modifies, and pushes manifest lists and image indexes",
                "network": "Manage networks",
                "pod": "Manage pods",
                "quadlet": "Allows users to manage Quadlets", "quadlet generator": "Manage what makes services of Quadlets",
                "system": "Manage podlike", "system connection": "Manage remote service destinations",
                "system startup": "Manage how containers come back after a reboot",
                "volume": "Manage volumes"}


def version_line(prog: str) -> str:
    return f"Docker version {__version__}, build podlike" if prog == "docker" else f"{prog} version {__version__}"


def find_command(level: str, name: str, *, docker: bool = False) -> "Command | str | None":
    """The command of that name in a group ("": the program itself), its module loaded; a group's path; or None.

    docker: docker's own command, where its flags are others, or mean something else.
    """
    name = ALIASES.get((level, name), name)
    row = COMMANDS[level].get(name)
    if row is None:
        return None
    if not row[0]:
        return f"{level} {name}" if level else name
    module, _, attribute = row[0].partition(":")
    loaded: Any = __import__(f"podlike.cli.{module}", fromlist=("command",))
    found = getattr(loaded, f"docker_{attribute or 'command'}", None) if docker else None
    if found is None:
        found = getattr(loaded, attribute or "command")
    assert isinstance(found, Command)
    return found


def read_level(session: Session, level: str, path: str, args: list[str]) -> "list[str] | None":
    """Take the options of the program or of a group; the words from the command's name on, None when help is asked for.

    Raises: UsageError.
    """
    session.command_path = path
    flags = () if level else GLOBAL_FLAGS
    parser = Parser(flags, session.options if level else None)
    try:
        rest = parser.parse(list(args), interspersed=False)
        if rest and rest[0] not in COMMANDS[level] and (level, rest[0]) not in ALIASES:
            _refuse_later(level, rest[0], path)
            # podman complains about a bad flag before it complains about a bad command
            Parser(flags).parse(rest[1:], interspersed=True)
    except UsageError as e:
        if e.hint:
            raise
        flag_error(e, path)
    if not level:
        session.options = parser.values
        _check_log_level(session)
        if session.options["module"]:
            from podlike.cli.globaloptions import check_modules

            check_modules(session)
    return None if parser.help else rest


def _refuse_later(level: str, name: str, path: str) -> None:
    from podlike.cli.later import refuse_later

    refuse_later(level, name, path)


class StartupError(UsageError):
    """A global option is wrong in a way that podman answers with exit code 1 and bare words."""

    exit_code = 1


def _check_log_level(session: Session) -> None:
    level = session.options["log_level"]
    if session.options["debug"]:
        if level != "warn":
            raise StartupError("Setting --log-level and --debug is not allowed")
        level = "debug"
    if level.lower() not in LOG_LEVELS or not log.set_level(level):
        raise StartupError(f'Log Level "{level}" is not supported, choose from: {", ".join(LOG_LEVELS)}')


def apply_globals(session: Session) -> None:
    """Act on the global options, once all of them are known (some may follow the command's name)."""
    options = session.options
    _check_log_level(session)
    if log.enabled("info"):
        log.info(f"{sys.argv[0]} filtering at log level {options['log_level']}")
        log.debug(f"Called {session.command_path}: {sys.argv!r}")
        log.trace(f"Options: {options!r}")
    if any(options.get(f.dest) != f.initial() for f in GLOBAL_FLAGS if f.dest not in _QUIET):
        from podlike.cli.globaloptions import act

        act(session)
    session.make_engine = make_engine


# Options that only make_engine() and the commands look at.
_QUIET = frozenset(("log_level", "debug", "root", "runroot", "conmon", "storage_driver", "storage_opt", "runtime", "runtime_flag",
                    "hooks_dir", "cdi_spec_dir", "default_mounts_file", "version", "module", "tmpdir", "volumepath"))


def make_engine(session: Session) -> "Engine":
    """The engine with the roots that the global options name."""
    import os

    from podlike.engine.core import Engine
    from podlike.paths import Roots, default_roots

    options = session.options
    data, run = options["root"], options["runroot"] or options["tmpdir"]
    roots = None
    if data or run:
        usual = default_roots()
        roots = Roots(data=os.path.abspath(data) if data else usual.data, run=os.path.abspath(run) if run else usual.run)
    return Engine(roots=roots, conmon=options["conmon"], events=options["events_backend"], cgroups=options["cgroup_manager"],
                  storage_driver=options["storage_driver"], storage_opts=options["storage_opt"], modules=options["module"],
                  settings={key: value for key, value in (
                      ("engine.network_cmd_path", options["network_cmd_path"]),
                      ("network.network_config_dir", options["network_config_dir"])) if value},
                  volumes_root=options["volumepath"])


def __getattr__(name: str) -> "Any":
    if name == "App":  # click's view of the tables
        from podlike.cli.tree import App

        return App
    raise AttributeError(name)


def run(args: list[str], prog: str) -> int:
    """Run one command line and return its exit code. Raises whatever the command raises."""
    return run_in(Session(prog), args)


def run_in(session: Session, args: list[str]) -> int:
    """Straight to the command; click's tree answers all else: help, no command, an unknown one."""
    level, path, words = "", session.prog, args
    while True:
        rest = read_level(session, level, path, words)
        found = find_command(level, rest[0], docker=session.docker) if rest else None
        if rest is None or found is None or session.options["version"]:
            break
        path, words = f"{path} {rest[0]}", rest[1:]
        if isinstance(found, str):
            level = found
            continue
        call = found.read(session, path, words)
        if call is None:
            break
        apply_globals(session)
        code = found.invoke(call)
        return code if isinstance(code, int) else 0
    from podlike.cli.tree import App

    code = App().main(args=args, prog_name=session.prog, standalone_mode=False, obj=session)
    return code if isinstance(code, int) else 0
