"""podlike pod rm and prune: remove pods with their containers."""

import os
import sys

from podlike.cli.command import Call, Command, Flag, no_args, print_error
from podlike.cli.pod import ID_FILES, IGNORE, LATEST, check_selection, read_id_file, select
from podlike.errors import NotFoundError, PodlikeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.store.pods import Pod


def rm(call: Call) -> int:
    """Exit code: 0; 1 when a pod did not exist; 125 otherwise (podman-pod-rm(1))."""
    check_selection(call)
    opts = call.opts
    if call.changed("time") and not opts.force:
        raise UsageError("--force option must be specified to use the --time option")
    opts.ignore = opts.ignore or opts.force
    files, opts.pod_id_file = opts.pod_id_file, []
    code = 0
    if call.args or opts.all or opts.latest:
        try:
            pods = select(call)
        except NotFoundError as e:
            e.exit_code = 1
            raise
        code = max((_remove(call, pod) for pod in pods), default=0)
    for path in files:
        code = max(code, _remove_by_file(call, path))
    return code


def _remove_by_file(call: Call, path: str) -> int:
    from podlike.engine.pods.members import find

    try:
        pod = find(call.engine, read_id_file(path))
    except NotFoundError as e:
        if call.opts.ignore:
            _forget(path)
            return 0
        e.exit_code = 1
        print_error(e)
        return 1
    except PodlikeError as e:
        print_error(e)
        return e.exit_code
    code = _remove(call, pod)
    if not code:
        _forget(path)
    return code


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # the file that `pod create` wrote goes with the pod


def _remove(call: Call, pod: "Pod") -> int:
    from podlike.engine.pods.remove import NotAllRemovedError, remove

    opts = call.opts
    try:
        remove(call.engine, pod, force=opts.force, timeout=opts.time if call.changed("time") else None)
    except NotFoundError:
        return 0  # somebody else removed it meanwhile
    except PodlikeError as e:
        print_error(e)
        for cause in e.causes if isinstance(e, NotAllRemovedError) else ():
            print_error(cause)
        return e.exit_code
    if pod.spec.id_file:
        _forget(pod.spec.id_file)
    call.out(pod.id)
    return 0


def prune(call: Call) -> int:
    if not call.opts.force:
        call.out("WARNING! This will remove all stopped/exited pods..")
        call.out("Are you sure you want to continue? [y/N] ", end="")
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 0
    from podlike.engine.pods.remove import prune as prune_pods

    gone, failed = prune_pods(call.engine)
    for pod_id in gone:
        call.out(pod_id)
    for error in failed:
        print_error(error)
    return failed[-1].exit_code if failed else 0


command = Command(
    "rm", rm, usage="POD [POD...]", summary="Remove one or more pods",
    description="podlike pod rm will remove one or more stopped pods and their containers from the host.\n\nThe pod name or ID "
                "can be used. A pod with running containers will not be removed without --force. If --force is specified, all "
                "containers will be stopped, then removed.",
    flags=(Flag("all", "a", "bool", "Remove all pods"),
           Flag("force", "f", "bool", "Force removal of a running pod by first stopping all containers, then removing all "
                                      "containers in the pod"), IGNORE, LATEST, ID_FILES,
           Flag("time", "t", "int", "Seconds to wait for pod stop before killing the container", 10, aliases=("timeout",))),
    examples=("pod rm mywebserverpod", "pod rm -f 860a4b23", "pod rm -f -a"))

prune_command = Command(
    "prune", prune, args=no_args, summary="Remove all stopped pods and their containers",
    description="podlike pod prune removes all exited pods", flags=(
        Flag("force", "f", "bool", "Do not prompt for confirmation"),), examples=("pod prune",))
