"""The global options, and how a command line finds its module. commands.py has the table of commands.

Conventions for a command module podlike/cli/NAME.py (see command.py for the classes):
  - it defines `command`, a Command (tree.py makes click's of it); more than one only where an image and a container command
    differ in nothing but a word, then the row says "module:attribute";
  - one function parses nothing, calls the engine and prints: `def NAME(call: Call) -> int | None`;
  - imports at the top: podlike.cli.command, podlike.cli.options, podlike.errors, nothing heavy; engine modules are
    imported inside the function, so that --help costs nothing and the start path stays short;
  - tables, --format and JSON go through podlike.cli.output;
  - errors are raised; several objects are handled with call.each(), which prints each failure and goes on;
  - one row in COMMANDS (commands.py), so that `podlike --help` needs no import of the module.

Usage lines: `podlike CMD [options] ARGS` with ARGS in upper case, required ones first, "..." when repeatable.
"""

import sys

from podlike import __version__, log
from podlike.cli.command import Command, Flag, Parser, flag_error
from podlike.cli.commands import ALIASES, COMMANDS
from podlike.cli.session import Session
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.engine.core import Engine

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
