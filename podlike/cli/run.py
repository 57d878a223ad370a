"""podlike run: a new container, followed to its end."""

import os

from podlike import log
from podlike.cli.command import Call, Command, at_least
from podlike.cli.fillspec import create_container, fill_spec
from podlike.cli.options import CREATE_TABLE, RUN_TABLE, create_flags
from podlike.errors import ConflictError, NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.spec.attach import Attach
    from podlike.spec.container import ContainerSpec


def run(call: Call) -> int:
    opts = call.opts
    if opts.rmi:
        if call.changed("rm") and not opts.rm:
            raise UsageError("the --rmi option does not work without --rm")
        if opts.detach:
            raise UsageError("--rmi with --detach is not supported by this version of podlike",
                             hint="Remove the image with `podlike rmi` when the container has ended.")
        opts.rm = True
    spec = fill_spec(call, RUN_TABLE)
    attach = None if opts.detach else make_attach(call, spec)
    _check_descriptors(opts.preserve_fds)
    if opts.tty and opts.interactive and not opts.detach and not os.isatty(0):
        log.warning("The input device is not a TTY. The --tty and --interactive flags might not work properly")
    container = create_container(call, spec)
    from podlike.engine.start import start

    code = start(call.engine, container, attach=attach, discard=True)
    if opts.detach:
        if not spec.log_driver.startswith("passthrough"):
            call.out(container.id)
        return 0
    if opts.rmi:
        _remove_image(call, spec.image)
    return code or 0


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
    check_detach_keys(opts.detach_keys)
    return Attach(stdin=opts.interactive or "stdin" in streams, stdout=not streams or "stdout" in streams,
                  stderr=not streams or "stderr" in streams, tty=opts.tty, sig_proxy=opts.sig_proxy,
                  detach_keys=opts.detach_keys)


def check_detach_keys(text: str) -> None:
    """Raises: UsageError."""
    from podlike.spec.attach import parse_detach_keys

    try:
        parse_detach_keys(text)
    except ValueError as e:
        raise UsageError(str(e), hint="Write letters or ctrl-X, separated by commas: ctrl-p,ctrl-q.") from None


def _check_descriptors(count: int) -> None:
    for fd in range(3, 3 + count):
        try:
            os.fstat(fd)
        except OSError:
            raise UsageError(f"file descriptor {fd} is not available - the preserve-fds option requires that file "
                             "descriptors must be passed") from None


def _remove_image(call: Call, name: str) -> None:
    from podlike.engine.images import remove

    try:
        remove(call.engine, name)
    except (ConflictError, NotFoundError) as e:
        log.warning(f"Failed to remove image: {e.message}")


command = Command(
    "run", run, usage="IMAGE [COMMAND [ARG...]]", args=at_least(1), interspersed=False,
    summary="Run a command in a new container", description="Runs a command in a new container from the given image",
    flags=create_flags(CREATE_TABLE, RUN_TABLE),
    examples=("run imageID ls -alF /etc", "run --network=host imageID dnf -y install java",
              "run --volume /var/hostdir:/var/ctrdir -i -t fedora /bin/bash"))
