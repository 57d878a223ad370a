"""podlike pod start, stop, restart, kill, pause, unpause, exists: what is done to whole pods. Which pods a command means."""

from podlike.cli.command import Call, Command, Flag, exactly, print_error
from podlike.errors import NotFoundError, PodlikeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from podlike.store.pods import Pod

LATEST = Flag("latest", "l", "bool", "Act on the latest pod podlike is aware of")
ID_FILES = Flag("pod-id-file", "", "array", "Read the pod ID from the file")
IGNORE = Flag("ignore", "i", "bool", "Ignore errors when a specified pod is missing")


def check_selection(call: Call) -> None:
    """Names, --all, --latest and --pod-id-file exclude each other; one of them must be there. Raises: UsageError."""
    opts, files = call.opts, getattr(call.opts, "pod_id_file", None)
    if files and (opts.all or opts.latest):
        raise UsageError("--all, --latest, and --pod-id-file cannot be used together")
    if opts.all and opts.latest:
        raise UsageError("--all and --latest cannot be used together")
    if call.args and opts.all:
        raise UsageError("no arguments are needed with --all")
    if call.args and opts.latest:
        raise UsageError("--latest and containers cannot be used together")
    if call.args and files:
        raise UsageError("no arguments are needed with --latest or --pod-id-file")
    if not (call.args or opts.all or opts.latest or files):
        raise UsageError("you must provide at least one name or id")


def select(call: Call) -> "list[Pod]":
    """The pods that are meant, all looked up before anything is done. Raises: NotFoundError, UsageError."""
    from podlike.engine.pods.members import find, latest

    opts, engine = call.opts, call.engine
    if opts.all:
        return engine.pods.all()
    if opts.latest:
        return [latest(engine)]
    names = [*call.args, *(read_id_file(path) for path in getattr(opts, "pod_id_file", None) or ())]
    found = []
    for name in names:
        try:
            found.append(find(engine, name))
        except NotFoundError:
            if not getattr(opts, "ignore", False):
                raise
    return found


def read_id_file(path: str) -> str:
    """Raises: UsageError."""
    try:
        with open(path) as f:
            return f.readline().strip()
    except OSError as e:
        raise UsageError(f"reading pod ID file: open {path}: {(e.strerror or '').lower()}") from None


def act(call: Call, action: "Callable[[Pod], dict[str, PodlikeError]]", *, doing: str, by_name: bool = False) -> int:
    """Do it to each pod; print those where all went well, by id or name, then what failed. doing: "starting"."""
    code = 0
    for pod in select(call):
        try:
            failed = action(pod)
        except PodlikeError as e:
            print_error(e)
            code = e.exit_code
            continue
        for cid, error in failed.items():
            error.message = f"{doing} container {cid}: {error.message}"
            print_error(error)
            code = 125
        if not failed:
            call.out(pod.name if by_name else pod.id)
    return code


def start(call: Call) -> int:
    check_selection(call)
    from podlike.engine.pods import actions

    return act(call, lambda pod: actions.start(call.engine, pod), doing="starting", by_name=True)


def stop(call: Call) -> int:
    check_selection(call)
    from podlike.engine.pods import actions

    timeout = call.opts.time if call.changed("time") else None
    return act(call, lambda pod: actions.stop(call.engine, pod, timeout=timeout), doing="stopping", by_name=True)


def restart(call: Call) -> int:
    check_selection(call)
    from podlike.engine.pods import actions

    return act(call, lambda pod: actions.restart(call.engine, pod), doing="restarting")


def kill(call: Call) -> int:
    check_selection(call)
    from podlike.engine.pods import actions
    from podlike.spec.signals import parse

    signum = parse(call.opts.signal)
    return act(call, lambda pod: actions.kill(call.engine, pod, signum), doing="killing")


def pause(call: Call) -> int:
    check_selection(call)
    from podlike.engine.pods import actions

    return act(call, lambda pod: actions.pause(call.engine, pod), doing="pausing")


def unpause(call: Call) -> int:
    check_selection(call)
    from podlike.engine.pods import actions

    return act(call, lambda pod: actions.unpause(call.engine, pod), doing="unpausing")


def exists(call: Call) -> int:
    from podlike.engine.pods.members import find

    try:
        find(call.engine, call.args[0])
    except NotFoundError:
        return 1
    return 0


_EITHER = "The pod name or ID can be used."

start_command = Command(
    "start", start, usage="POD [POD...]", summary="Start one or more pods",
    description=f"{_EITHER}\n\nAll containers defined in the pod will be started.",
    flags=(Flag("all", "a", "bool", "Start all pods"), LATEST, ID_FILES),
    examples=("pod start podID", "pod start --all"))

stop_command = Command(
    "stop", stop, usage="POD [POD...]", summary="Stop one or more pods",
    description=f"{_EITHER}\n\nThis command will stop all running containers in each of the specified pods.",
    flags=(Flag("all", "a", "bool", "Stop all running pods"), IGNORE, LATEST, ID_FILES,
           Flag("time", "t", "int", "Seconds to wait for pod stop before killing the container", 10, aliases=("timeout",))),
    examples=("pod stop mywebserverpod", "pod stop --time 0 490eb 3557fb"))

restart_command = Command(
    "restart", restart, usage="POD [POD...]", summary="Restart one or more pods",
    description=f"{_EITHER}\n\nAll of the containers within each of the specified pods will be restarted. If a container in a "
                "pod is not currently running it will be started.",
    flags=(Flag("all", "a", "bool", "Restart all pods"), LATEST),
    examples=("pod restart podID1 podID2", "pod restart --all"))

kill_command = Command(
    "kill", kill, usage="POD [POD...]", summary="Send the specified signal or SIGKILL to containers in pod",
    description="Signals are sent to the main process of each container inside the specified pod.\n\n"
                "The default signal is SIGKILL, or any signal specified with option --signal.",
    flags=(Flag("all", "a", "bool", "Kill all containers in all pods"), LATEST,
           Flag("signal", "s", "string", "Signal to send to the containers in the pod", "KILL")),
    examples=("pod kill podID", "pod kill --signal TERM mywebserver"))

pause_command = Command(
    "pause", pause, usage="POD [POD...]", summary="Pause one or more pods",
    description=f"{_EITHER}\n\nAll running containers within each specified pod will then be paused.",
    flags=(Flag("all", "a", "bool", "Pause all running pods"), LATEST),
    examples=("pod pause podID1 podID2", "pod pause --all"))

unpause_command = Command(
    "unpause", unpause, usage="POD [POD...]", summary="Unpause one or more pods",
    description=f"{_EITHER}\n\nAll paused containers within each specified pod will be unpaused.",
    flags=(Flag("all", "a", "bool", "Unpause all running pods"), LATEST),
    examples=("pod unpause podID1 podID2", "pod unpause --all"))

exists_command = Command(
    "exists", exists, usage="POD", args=exactly(1), summary="Check if a pod exists in local storage",
    description="If the named pod exists in local storage, podlike pod exists exits with 0, otherwise the exit code will be 1.",
    examples=("pod exists podID", "pod exists mypod || podlike pod create --name mypod"))
