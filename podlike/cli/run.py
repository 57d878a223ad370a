"""podlike run: a new container, followed to its end."""

import os
import sys

from podlike import log
from podlike.cli.command import Call, Command, at_least
from podlike.cli.creating import create_container
from podlike.cli.fillspec import fill_spec
from podlike.cli.options import CREATE_TABLE, DOCKER_TABLE, RUN_TABLE, create_flags
from podlike.errors import CannotExecuteError, NetworkError, RuntimeFailure, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.spec.attach import Attach
    from podlike.spec.container import ContainerSpec
    from podlike.store.containers import Container


def run(call: Call) -> int:
    opts = call.opts
    if opts.rmi:
        if call.changed("rm") and not opts.rm:
            raise UsageError("the --rmi option does not work without --rm")
        opts.rm = True
    spec = fill_spec(call, (*RUN_TABLE, *DOCKER_TABLE) if call.docker else RUN_TABLE)
    attach = None if opts.detach else make_attach(call, spec)
    if opts.preserve_fds or opts.preserve_fd:
        check_descriptors(opts.preserve_fds, opts.preserve_fd)
    if opts.tty and opts.interactive and not opts.detach and not os.isatty(0):
        log.warning("The input device is not a TTY. The --tty and --interactive flags might not work properly")
    container = create_container(call, spec, for_run=True)
    if attach is not None and not (attach.stdout or attach.stderr):
        call.out(container.id)  # nothing else will be seen of it
        sys.stdout.flush()
    code = _start(call, container, attach)
    if opts.detach:
        if not spec.log_driver.startswith("passthrough"):
            call.out(container.id)
        return 0
    return code or 0


def _start(call: Call, container: "Container", attach: "Attach | None") -> int | None:
    """Start it. The network and the runtime that fail now are podman's 126, the container cannot run; docker's 125."""
    try:
        return call.api.containers.start(container, attach=attach, discard=True)
    except (NetworkError, RuntimeFailure) as e:
        if e.exit_code == 125 and not call.docker:
            e.exit_code = CannotExecuteError.exit_code
        raise


def make_attach(call: Call, spec: "ContainerSpec") -> "Attach":
    """The streams that -a, -i and -t ask for. Raises: UsageError."""
    from podlike.spec.attach import Attach

    opts = call.opts
    streams = {s.lower() for s in opts.attach}
    for stream in streams - {"stdin", "stdout", "stderr"}:
        raise UsageError(f'invalid stream "{stream}" for --attach - must be one of stdin, stdout, or stderr: '
                         "invalid argument")
    if streams and spec.log_driver.startswith("passthrough"):
        raise UsageError("cannot specify --attach with --log-driver=passthrough: invalid argument")
    keys = detach_keys(call)
    return Attach(stdin=opts.interactive or "stdin" in streams, stdout=not streams or "stdout" in streams,
                  stderr=not streams or "stderr" in streams, tty=opts.tty, sig_proxy=opts.sig_proxy,
                  detach_keys=keys)


def detach_keys(call: Call) -> str:
    """--detach-keys, or what containers.conf says. Raises: UsageError."""
    text = str(call.opts.detach_keys if call.changed("detach-keys") else call.engine.config.engine.detach_keys)
    from podlike.spec.attach import parse_detach_keys

    try:
        parse_detach_keys(text)
    except ValueError as e:
        raise UsageError(str(e), hint="Write letters or ctrl-X, separated by commas: ctrl-p,ctrl-q.") from None
    return text


def check_descriptors(count: int, single: "list[int]") -> None:
    """--preserve-fds and --preserve-fd. Raises: UsageError for one that is not open."""
    for flag, numbers in (("preserve-fds", list(range(3, 3 + count))), ("preserve-fd", single)):
        for fd in numbers:
            if fd < 3 and flag == "preserve-fd":
                raise UsageError(f"invalid file descriptor {fd} for --preserve-fd: 0, 1 and 2 are passed on anyway",
                                 hint="Give numbers from 3 on.")
            try:
                os.fstat(fd)
            except (OSError, OverflowError):
                raise UsageError(f"file descriptor {fd} is not available - the {flag} option requires that file "
                                 "descriptors must be passed") from None


def _command(*, docker: bool) -> Command:
    tables = (CREATE_TABLE, RUN_TABLE, DOCKER_TABLE) if docker else (CREATE_TABLE, RUN_TABLE)
    return Command(
        "run", run, usage="IMAGE [COMMAND [ARG...]]", args=at_least(1), interspersed=False,
        summary="Run a command in a new container", description="Runs a command in a new container from the given image",
        flags=create_flags(*tables, docker=docker),
        examples=("run imageID ls -alF /etc", "run --network=host imageID dnf -y install java",
                  "run --volume /var/hostdir:/var/ctrdir -i -t fedora /bin/bash"))


def __getattr__(name: str) -> Command:
    # One of the two is made, when it is asked for: 170 flags take their time.
    if name in ("command", "docker_command"):
        return _command(docker=name == "docker_command")
    raise AttributeError(name)
