"""podlike pod ps: list pods."""

from podlike.cli.command import Call, Command, Flag, no_args
from podlike.cli.options import FILTER
from podlike.cli.pod import LATEST
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.engine.pods.rows import Row
    from podlike.spec.govalues import View

_HEADS = {"Id": "POD ID", "ID": "POD ID", "InfraID": "INFRA ID", "InfraId": "INFRA ID", "NumberOfContainers": "# OF CONTAINERS",
          "ContainerIds": "IDS", "ContainerNames": "NAMES", "ContainerStatuses": "STATUS", "Namespace": "NAMESPACES"}


def ps(call: Call) -> None:
    from podlike.cli.output import print_rows
    from podlike.engine.pods.rows import rows

    opts = call.opts
    if opts.quiet and opts.format:
        raise UsageError("quiet and format cannot be used together")
    found = rows(call.engine, filters=opts.filter, last=opts.latest, sort=opts.sort)
    if opts.quiet:
        for row in found:
            call.out(row.pod.id)
        return
    print_rows(call, [view(call, row) for row in found], _default(call), format=opts.format, heads=_HEADS,
               heading=not opts.noheading, indent=2)


def _default(call: Call) -> str:
    opts = call.opts
    fields = ["Id", "Name", "Status", "Created", "InfraID"]
    asked = [name for flag, name in ((opts.ctr_ids, "ContainerIds"), (opts.ctr_names, "ContainerNames"),
                                     (opts.ctr_status, "ContainerStatuses")) if flag]
    fields += [*asked, *(("Cgroup", "Namespace") if opts.ns else ()), *(() if asked else ("NumberOfContainers",))]
    return "\t".join(f"{{{{.{name}}}}}" for name in fields)


def view(call: Call, row: "Row") -> "View":
    """All fields of podman's templates."""
    from podlike.engine.pods import rows
    from podlike.spec.durations import ago
    from podlike.spec.govalues import View

    pod, infra, full = row.pod, row.infra, call.opts.no_trunc

    def short(text: str) -> str:
        return text if full else text[:12]

    labels = pod.spec.labels
    infra_id = short(infra.id) if infra else ""
    fields: "dict[str, Any]" = {
        "Id": short(pod.id), "ID": short(pod.id), "Name": pod.name, "Status": row.state, "Created": lambda: ago(pod.created),
        "Labels": labels, "Label": lambda name: labels.get(name, ""),
        "InfraID": infra_id, "InfraId": infra_id, "NumberOfContainers": len(row.containers),
        "ContainerIds": lambda: ",".join(short(c.id) for c in row.containers),
        "ContainerNames": lambda: ",".join(c.name for c in row.containers),
        "ContainerStatuses": lambda: ",".join(s.state for s in row.statuses),
        "Cgroup": lambda: rows.podcgroup_parent(row), "Namespace": "", "Networks": lambda: ",".join(rows.networks(row)),
        "Restarts": lambda: str(sum(s.restarts for s in row.statuses)),
        "Containers": lambda: rows.document(row)["Containers"]}
    return View(fields, lambda: rows.document(row))


command = Command(
    "ps", ps, args=no_args, summary="List pods",
    description="List all pods on system including their names, ids and current state.",
    flags=(Flag("ctr-ids", "", "bool", "Display the container UUIDs. If no-trunc is not set they will be truncated"),
           Flag("ctr-names", "", "bool", "Display the container names"),
           Flag("ctr-status", "", "bool", "Display the container status"), FILTER,
           Flag("format", "", "string", "Pretty-print pods to JSON or using a Go template"), LATEST,
           Flag("no-trunc", "", "bool", "Do not truncate pod and container IDs", aliases=("notruncate",)),
           Flag("noheading", "n", "bool", "Do not print headers"),
           Flag("ns", "", "bool", "Display namespace information of the pod", aliases=("namespace",)),
           Flag("quiet", "q", "bool", "Print the numeric IDs of the pods only"),
           Flag("sort", "", "string", "Sort output by created, id, name, or number", "created")),
    examples=("pod ps", "pod ps --ctr-names --format '{{.Name}}: {{.ContainerNames}}'", "pod ps --filter status=running"))
