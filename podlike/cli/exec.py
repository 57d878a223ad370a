"""podlike exec: a further process in a running container."""

import os

from podlike import log
from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import DETACH_KEYS, LATEST, latest_container, one_container
from podlike.cli.run import check_descriptors, detach_keys
from podlike.errors import RuntimeFailure, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.store.containers import Container


def exec_(call: Call) -> int:
    opts = call.opts
    keys = detach_keys(call)
    if opts.no_session and (opts.detach or call.changed("detach-keys")):
        raise UsageError("--no-session cannot be used with --detach or --detach-keys")
    container, args = _target(call)
    if opts.preserve_fds or opts.preserve_fd:
        check_descriptors(opts.preserve_fds, opts.preserve_fd)
    if opts.wait:
        _await_start(call, container, opts.wait)
    from podlike.spec.attach import Attach
    from podlike.spec.exec import ExecSpec

    if opts.interactive and opts.tty and not opts.detach and not os.isatty(0):
        log.warning("The input device is not a TTY. The --tty and --interactive flags might not work properly")
    env: dict[str, str] = {}
    if opts.env or opts.env_file:
        from podlike.spec.environ import environment

        _ = call.engine.config  # whose table [engine] may set variables that are passed on
        env = environment(opts.env, opts.env_file, os.environ)
    privileged = opts.privileged if call.changed("privileged") else call.engine.config.containers.privileged
    spec = ExecSpec(args=args, env=env, user=opts.user, workdir=opts.workdir, tty=opts.tty,
                    interactive=opts.interactive and not opts.detach, privileged=privileged,
                    preserve_fds=opts.preserve_fds, preserve_fd=opts.preserve_fd, detach=opts.detach,
                    session=not opts.no_session)
    if opts.detach:
        try:
            call.out(str(call.api.containers.exec_spec(container, spec, attach=None)))
        except RuntimeFailure as e:
            if not call.docker:
                e.exit_code = RuntimeFailure.exit_code  # podman keeps 126 and 127 for those that wait for the command
            raise
        return 0
    attach = Attach(stdin=opts.interactive, tty=opts.tty, sig_proxy=True, detach_keys=keys)
    code = call.api.containers.exec_spec(container, spec, attach=attach)
    assert isinstance(code, int)
    return code


def _await_start(call: Call, container: "Container", seconds: int) -> None:
    """--wait. Raises: UsageError when the time is over."""
    import time

    from podlike.engine.query import find, status

    deadline = time.monotonic() + seconds
    while status(call.engine, find(call.engine, container.id)).state != "running":
        if time.monotonic() >= deadline:
            raise UsageError(f"timed out waiting for container: {container.name}",
                             hint=f"Start it: `podlike start {container.name}`.")
        time.sleep(0.05)


def _target(call: Call) -> "tuple[Container, list[str]]":
    opts, args = call.opts, call.args
    if opts.latest or opts.cidfile:
        if opts.latest and opts.cidfile:
            raise UsageError("--latest and --cidfile can not be used together")
        if not args:
            raise UsageError("must provide a non-empty command to start an exec session: invalid argument")
        if opts.latest:
            return latest_container(call), args
        try:
            with open(opts.cidfile) as f:
                return one_container(call, f.readline().strip()), args
        except OSError as e:
            raise UsageError(f"open {opts.cidfile}: {(e.strerror or '').lower()}") from None
    if not args:
        raise UsageError("exec requires the name or ID of a container or the --latest or --cidfile flag")
    if len(args) < 2:
        raise UsageError("must provide a non-empty command to start an exec session: invalid argument")
    return one_container(call, args[0]), args[1:]


command = Command(
    "exec", exec_, usage="CONTAINER COMMAND [ARG...]", interspersed=False,
    summary="Run a process in a running container",
    description="Execute the specified command inside a running container.",
    flags=(Flag("cidfile", "", "string", "File to read the container ID from"),
           Flag("detach", "d", "bool", "Run the exec session in detached mode (backgrounded)"), DETACH_KEYS,
           Flag("env", "e", "array", "Set environment variables"),
           Flag("env-file", "", "array", "Read in a file of environment variables"),
           Flag("interactive", "i", "bool", "Make STDIN available to the contained process"), LATEST,
           Flag("no-session", "", "bool", "Do not create a database session for the exec process"),
           Flag("preserve-fd", "", "uints", "Pass a list of additional file descriptors to the container"),
           Flag("preserve-fds", "", "uint", "Pass N additional file descriptors to the container"),
           Flag("privileged", "", "bool", "Give the process extended Linux capabilities inside the container.  The "
                                          "default is false"),
           Flag("tty", "t", "bool", "Allocate a pseudo-TTY. The default is false"),
           Flag("user", "u", "string", "Sets the username or UID used and optionally the groupname or GID for the "
                                       "specified command"),
           Flag("wait", "", "int", "Total seconds to wait for container to start", hidden=True),
           Flag("workdir", "w", "string", "Working directory inside the container")),
    examples=("exec -it ctrID ls", "exec -it -w /tmp myCtr pwd", "exec --user root ctrID ls"))
