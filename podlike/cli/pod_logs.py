"""podlike pod logs: what the containers of a pod wrote."""

from podlike.cli.command import Call, Command, Flag
from podlike.cli.logs import show
from podlike.cli.pod import LATEST
from podlike.errors import NotFoundError, UsageError


def logs(call: Call) -> None:
    from podlike.engine.pods.members import find, latest, members
    from podlike.engine.pods.pause import is_unwatched

    opts = call.opts
    if opts.latest and call.args:
        raise UsageError("--latest and pods cannot be used together")
    if not opts.latest and len(call.args) != 1:
        raise UsageError("specify at least one pod name or ID to log" if not call.args else
                         f"accepts at most 1 arg(s), received {len(call.args)}")
    pod = latest(call.engine) if opts.latest else find(call.engine, call.args[0])
    containers = [c for c in members(call.engine, pod) if not is_unwatched(c.spec)]
    if opts.container:
        containers = [c for c in containers if opts.container in (c.id, c.name)]
        if not containers:
            raise NotFoundError(f"container {opts.container} is not in pod {call.args[0] if call.args else pod.name}: "
                                "no such container")
    if containers:
        show(call, containers)


command = Command(
    "logs", logs, usage="POD", summary="Fetch logs for pod with one or more containers",
    description="Displays logs for pod with one or more containers.",
    flags=(Flag("color", "", "bool", "Output the containers within a pod with different colors in the log"),
           Flag("container", "c", "string", "Filter logs by container name or id which belongs to pod"),
           Flag("follow", "f", "bool", "Follow log output."), LATEST,
           Flag("names", "n", "bool", "Output container names instead of container IDs in the log"),
           Flag("since", "", "string", "Show logs since TIMESTAMP"),
           Flag("tail", "", "int", "Output the specified number of LINES at the end of the logs.", -1),
           Flag("timestamps", "t", "bool", "Output the timestamps in the log"),
           Flag("until", "", "string", "Show logs until TIMESTAMP")),
    examples=("pod logs podID", "pod logs -c ctrname podName", "pod logs --tail 2 mywebserver",
              "pod logs --follow=true --since 10m podID"))
