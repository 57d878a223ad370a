"""podlike attach: connect to a running container's streams."""

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import DETACH_KEYS, LATEST, take_container
from podlike.cli.run import detach_keys
from podlike.errors import UsageError


def attach(call: Call) -> int:
    opts = call.opts
    if len(call.args) > 1 or (opts.latest and call.args):
        raise UsageError("--latest and containers cannot be used together" if opts.latest
                         else f"`{call.path}` accepts at most one argument")
    keys = detach_keys(call)
    container, _ = take_container(call)
    tty = container.spec.terminal
    from podlike.engine.attach import attach as attach_container
    from podlike.spec.attach import Attach

    how = Attach(stdin=not opts.no_stdin and container.spec.stdin_open, tty=tty, sig_proxy=opts.sig_proxy,
                 detach_keys=keys)
    return attach_container(call.engine, container, how) or 0


command = Command(
    "attach", attach, usage="CONTAINER", summary="Attach to a running container",
    description="The podlike attach command allows you to attach to a running container using the container's ID or "
                "name, either to view its ongoing output or to control it interactively.",
    flags=(DETACH_KEYS, LATEST, Flag("no-stdin", "", "bool", "Do not attach STDIN. The default is false"),
           Flag("sig-proxy", "", "bool", "Proxy received signals to the process", True)),
    examples=("attach ctrID", "attach 1234", "attach --no-stdin foobar"))
