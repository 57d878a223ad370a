"""podlike start: start containers that exist."""

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import DETACH_KEYS, FILTER, LATEST, container_name, select, select_each
from podlike.cli.run import detach_keys
from podlike.errors import RuntimeFailure, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.store.containers import Container


def start(call: Call) -> int:
    opts = call.opts
    _check(call)
    if opts.attach or opts.interactive:
        return _start_attached(call)
    if opts.filter:
        return call.each(_filtered(call), lambda pair: _start_printing(call, *pair))
    # --all leaves those alone that a restart policy would bring up by itself
    states = ("created", "exited", "stopped", "initialized") if opts.all else ()
    return select_each(call, lambda c: _start(call, c), default_states=states)


def _filtered(call: Call) -> "list[tuple[str, Container]]":
    """(what to print, container) of those that pass --filter, among the named ones if there are any."""
    from podlike.engine.psrows import filtered
    from podlike.engine.query import find

    found = filtered(call.engine, call.opts.filter)
    if not call.args:
        return [(c.id, c) for c in found]
    passed = {c.id for c in found}
    named = [(name, find(call.engine, container_name(name))) for name in call.args]
    return [(name, c) for name, c in named if c.id in passed]


def _start_printing(call: Call, typed: str, container: "Container") -> str:
    _start(call, container)
    return typed


def _start(call: Call, container: "Container") -> None:
    """Start it in the background. 126 and 127 are for those who wait for the command: here a failure is 125."""
    try:
        call.api.containers.start(container)
    except RuntimeFailure as e:
        e.exit_code = RuntimeFailure.exit_code
        raise


def _check(call: Call) -> None:
    opts = call.opts
    named = len(call.args)
    if opts.all and opts.latest:
        raise UsageError("--all and --latest cannot be used together")
    if named and opts.latest:
        raise UsageError("--latest and containers cannot be used together")
    if named and opts.all:
        raise UsageError("either start all containers or the container(s) provided in the arguments")
    if not (named or opts.all or opts.latest or opts.filter):
        raise UsageError("start requires at least one argument")
    if named > 1 and (opts.attach or opts.interactive):
        raise UsageError("you cannot start and attach multiple containers at once")
    if opts.attach and opts.all:
        raise UsageError("you cannot start and attach all containers at once")
    if opts.sig_proxy and call.changed("sig-proxy") and not (opts.attach or opts.interactive):
        raise UsageError("you cannot use sig-proxy without --attach: invalid argument")


def _start_attached(call: Call) -> int:
    from podlike.spec.attach import Attach

    opts = call.opts
    keys = detach_keys(call)
    container: Container = select(call)[0][1]
    tty = container.spec.terminal
    proxy = opts.sig_proxy if call.changed("sig-proxy") else opts.attach
    attach = Attach(stdin=opts.interactive and container.spec.stdin_open, tty=tty, sig_proxy=proxy,
                    stdout=opts.attach, stderr=opts.attach, detach_keys=keys)
    return call.api.containers.start(container, attach=attach) or 0


command = Command(
    "start", start, usage="CONTAINER [CONTAINER...]", summary="Start one or more containers",
    description="Starts one or more containers.  The container name or ID can be used.",
    flags=(Flag("all", "", "bool", "Start all containers regardless of their state or configuration"),
           Flag("attach", "a", "bool", "Attach container's STDOUT and STDERR"), DETACH_KEYS, FILTER,
           Flag("interactive", "i", "bool", "Make STDIN available to the contained process"), LATEST,
           Flag("sig-proxy", "", "bool", "Proxy received signals to the process (default true if attaching, false "
                                         "otherwise)")),
    examples=("start --latest", "start 860a4b231279 5421ab43b45", "start --interactive --attach imageID"))
