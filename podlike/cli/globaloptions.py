"""What the rarer global options do, or why they cannot do it: loaded only when one is given."""

import os

from podlike.cli.session import Session
from podlike.errors import ConfigError, UsageError

_HERE = "podlike runs containers on this host only"
# What a global option would need and this version has not; said instead of being ignored.
_REFUSED = {
    **dict.fromkeys(("connection", "host", "identity", "remote", "ssh", "tls", "tls_ca", "tls_cert", "tls_details", "tls_key",
                     "tlscacert", "tlscert", "tlskey", "tlsverify", "url"), _HERE),
    "syslog": "messages go to standard error only",
    "imagestore": "images and containers are in one store; additionalimagestores of storage.conf adds others to read from",
    "transient_store": "containers are recorded for good; --rm removes one at its end",
    "cpu_profile": "there is no profiler; PODLIKE_DEBUG=1 tells where an error comes from",
    "memory_profile": "there is no profiler; PODLIKE_DEBUG=1 tells where an error comes from",
    "trace": "there is no tracing; --log-level=trace tells what is done",
    "namespace": "all containers are in one namespace; --root gives others a store of their own",
    "max_workers": "each command chooses how much it does at a time",
}


def check_modules(session: Session) -> None:
    """Before the command is looked at: the modules' absolute paths for everybody who is told of them.

    Raises: StartupError.
    """
    from podlike.cli.app import StartupError
    from podlike.config import load_config

    try:
        session.options["module"] = load_config(session.options["module"]).modules
    except ConfigError as e:
        raise StartupError(f"Failed to obtain podman configuration: {e.message}") from e


def act(session: Session) -> None:
    """Raises: UsageError."""
    options = session.options
    for name, why in _REFUSED.items():
        if options.get(name) and not (name == "ssh" and options[name] == "golang"):
            raise UsageError(f"use --{name.replace('_', '-')}: {why}", hint="Leave the option out.")
    for name, only, what in (("context", "default", "context"), ("db_backend", "sqlite", "database backend"),
                             ("network_backend", "podlike", "network backend")):
        if options.get(name) not in ("", None, only):
            raise UsageError(f"use --{name.replace('_', '-')} {options[name]}: the only {what} is {only}",
                             hint="Leave the option out.")
    if options["config"]:
        os.environ["DOCKER_CONFIG"] = options["config"]  # as docker does, for credential helpers too
    if options["registries_conf"]:
        os.environ["CONTAINERS_REGISTRIES_CONF"] = os.path.abspath(options["registries_conf"])
    if options["noout"] or options["out"]:
        _redirect(options["out"] or "/dev/null")
    if options["events_backend"] not in ("", "file", "journald", "none"):
        raise UsageError(f'create an events logger "{options["events_backend"]}": unknown event logger type',
                         hint="Use file, journald or none.")
    if options["cgroup_manager"] not in ("", "cgroupfs", "systemd"):
        raise UsageError(f'use cgroup manager "{options["cgroup_manager"]}": there is none of that name',
                         hint="Use cgroupfs or systemd.")
    for word in options["pull_option"]:
        if word.partition("=")[2].lower() not in ("", "false"):
            raise UsageError(f"use --pull-option {word}: images are pulled whole and as they are", hint="Leave the option out.")


def _redirect(path: str) -> None:
    """Send standard output to a file, for ourselves and what we start."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    except OSError as e:
        raise UsageError(f"open {path} for output: {e.strerror}") from None
    os.dup2(fd, 1)
    os.close(fd)
