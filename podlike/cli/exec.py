"""podlike exec: a further process in a running container."""

import os

from podlike import log
from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import DETACH_KEYS, LATEST, latest_container, one_container
from podlike.cli.run import check_detach_keys
from podlike.errors import RuntimeFailure, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.store.containers import Container


def exec_(call: Call) -> int:
    opts = call.opts
    check_detach_keys(opts.detach_keys)
    container, args = _target(call)
    from podlike.spec.attach import Attach
    from podlike.spec.exec import ExecSpec

    if opts.interactive and opts.tty and not opts.detach and not os.isatty(0):
        log.warning("The input device is not a TTY. The --tty and --interactive flags might not work properly")
    env: dict[str, str] = {}
    if opts.env or opts.env_file:
        from podlike.spec.environ import environment

        env = environment(opts.env, opts.env_file, os.environ)
    spec = ExecSpec(args=args, env=env, user=opts.user, workdir=opts.workdir, tty=opts.tty,
                    interactive=opts.interactive and not opts.detach, privileged=opts.privileged,
                    preserve_fds=opts.preserve_fds, detach=opts.detach)
    if opts.detach:
        try:
            call.out(str(call.api.containers.exec_spec(container, spec, attach=None)))
        except RuntimeFailure as e:
            if not call.docker:
                e.exit_code = RuntimeFailure.exit_code  # podman keeps 126 and 127 for those that wait for the command
            raise
        return 0
    attach = Attach(stdin=opts.interactive, tty=opts.tty, sig_proxy=True, detach_keys=opts.detach_keys)
    code = call.api.containers.exec_spec(container, spec, attach=attach)
    assert isinstance(code, int)
    return code


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
           Flag("preserve-fds", "", "uint", "Pass N additional file descriptors to the container"),
           Flag("privileged", "", "bool", "Give the process extended Linux capabilities inside the container.  The "
                                          "default is false"),
           Flag("tty", "t", "bool", "Allocate a pseudo-TTY. The default is false"),
           Flag("user", "u", "string", "Sets the username or UID used and optionally the groupname or GID for the "
                                       "specified command"),
           Flag("workdir", "w", "string", "Working directory inside the container")),
    examples=("exec -it ctrID ls", "exec -it -w /tmp myCtr pwd", "exec --user root ctrID ls"))
