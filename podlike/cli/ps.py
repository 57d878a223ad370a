"""podlike ps: list containers."""

import time

from podlike.cli.command import Call, Command, Flag, no_args
from podlike.cli.options import FILTER, LATEST
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.engine.psrows import Row
    from podlike.spec.govalues import View

_HEADS = {"Cgroup": "CGROUPNS", "CreatedHuman": "CREATED", "ID": "CONTAINER ID", "IPC": "IPC", "MNT": "MNT", "NET": "NET",
          "Networks": "NETWORKS", "PIDNS": "PIDNS", "Pod": "POD ID", "PodName": "PODNAME", "Restarts": "RESTARTS",
          "RunningFor": "CREATED", "UTS": "UTS", "User": "USERNS"}
_NAMESPACE_ROW = "\t".join(f"{{{{.{f}}}}}" for f in ("ID", "Names", "Pid", "Cgroup", "IPC", "MNT", "NET", "PIDNS", "User",
                                                     "UTS"))


def ps(call: Call) -> None:
    _check(call)
    _print(call)
    while call.opts.watch:
        time.sleep(call.opts.watch)
        call.out("\x1b[2J\x1b[H", end="")
        _print(call)


def _check(call: Call) -> None:
    opts = call.opts
    if opts.last >= 0 and opts.latest:
        raise UsageError("last and latest are mutually exclusive")
    if opts.quiet and (opts.size or opts.ns):
        raise UsageError("quiet conflicts with size and namespace")
    if opts.size and opts.ns:
        raise UsageError("size and namespace options conflict")
    if opts.watch and opts.latest:
        raise UsageError("the watch and latest flags cannot be used together")


def _print(call: Call) -> None:
    from podlike.cli.output import print_rows

    opts = call.opts
    last = 1 if opts.latest else opts.last
    found = call.api.containers.list(filters=opts.filter, all=opts.all, last=last, sort=opts.sort or "created")
    if call.docker and not opts.sort:
        found.reverse()
    if opts.quiet and not opts.format:
        for row in found:
            call.out(row.c.id if opts.no_trunc else row.c.id[:12])
        return
    row_format = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.CreatedHuman}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
    if opts.ns:
        row_format = _NAMESPACE_ROW
    elif opts.pod:
        row_format += "\t{{.Pod}}\t{{.PodName}}"
    if opts.size:
        row_format += "\t{{.Size}}"
    print_rows(call, [view(call, row) for row in found], row_format, format=opts.format.replace(".Namespaces.", "."),
               heads=_HEADS, heading=not opts.noheading, indent=2)


def view(call: Call, row: "Row") -> "View":
    """All fields of podman's and docker's templates; what costs something is computed when it is asked for."""
    from podlike.engine import psrows
    from podlike.spec import durations
    from podlike.spec.govalues import View

    c, s, full, docker = row.c, row.status, call.opts.no_trunc, call.docker
    spec = c.spec
    image = spec.image_name or spec.rootfs

    def created() -> str:
        return durations.ago(c.created)

    def labels() -> "Any":
        return ",".join(f"{k}={v}" for k, v in spec.labels.items()) if docker else spec.labels

    fields: "dict[str, Any]" = {
        "AutoRemove": spec.remove, "CIDFile": spec.cidfile, "Created": lambda: durations.go_time(c.created),
        "CreatedAt": lambda: durations.go_time(float(int(c.created)) if docker else c.created), "CreatedHuman": created,
        "RunningFor": created,
        "Command": lambda: _command(spec.args, full, docker), "ExitCode": s.exit_code, "Exited": s.state == "exited",
        "ExitedAt": lambda: int(s.finished_at), "ExposedPorts": lambda: psrows.document(row, size=False)["ExposedPorts"],
        "ID": c.id if full else c.id[:12], "Id": c.id, "Image": _familiar(image) if docker else image,
        "ImageID": (c.image or "") if full else (c.image or "")[:12], "IsInfra": spec.infra,
        "Label": lambda name: spec.labels.get(name, ""), "Labels": labels,
        "LocalVolumes": lambda: sum(m.type == "volume" for m in spec.mounts),
        "Mounts": lambda: ",".join(m.source or m.target for m in spec.mounts) if docker else psrows.mount_targets(c),
        "Names": c.name, "Networks": lambda: ",".join(psrows.networks(c)), "Pid": s.pid, "Platform": "linux",
        "Pod": spec.pod if full else spec.pod[:12], "PodName": lambda: row.pod_name,
        "Ports": lambda: psrows.port_words(c, row.port_owner), "Restarts": row.status.restarts, "Size": lambda: _size(row),
        "StartedAt": int(s.started_at), "State": s.state,
        "Status": lambda: psrows.docker_status_words(row) if docker else psrows.status_words(row)}
    for name in ("Cgroup", "IPC", "MNT", "NET", "PIDNS", "UTS", "User"):
        fields[name] = lambda name=name: psrows.namespaces(s.pid)[name]
    fields["Namespaces"] = lambda: psrows.namespaces(s.pid)
    return View(fields, lambda: _docker_document(call, fields) if docker else psrows.document(row, size=call.opts.size))


_DOCKERS = ("Command", "CreatedAt", "ID", "Image", "Labels", "LocalVolumes", "Mounts", "Names", "Networks", "Platform", "Ports",
            "RunningFor", "Size", "State", "Status")


def _docker_document(call: Call, fields: "dict[str, Any]") -> "dict[str, Any]":
    """What docker writes of a container for --format json: words, but for the platform. Sizes cost time: 0B without -s."""
    out = {}
    for name in _DOCKERS:
        value = "0B" if name == "Size" and not call.opts.size else fields[name]
        out[name] = str(value() if callable(value) else value)
    return out | {"Platform": None}


def _familiar(name: str) -> str:
    from podlike.cli.dockershape import familiar

    return familiar(name)


def _command(args: list[str], full: bool, docker: bool) -> str:
    from podlike.engine.psrows import short_command

    if not docker:
        return short_command(args, full=full)
    text = " ".join(args)
    return f'"{text if full or len(text) <= 20 else text[:19] + "…"}"'


def _size(row: "Row") -> str:
    from podlike.spec.sizes import human_size

    own, everything = row.size()
    return f"{human_size(own, precision=3)} (virtual {human_size(everything, precision=3)})"


command = Command(
    "ps", ps, args=no_args, summary="List containers", description="Prints out information about the containers",
    flags=(Flag("all", "a", "bool", "Show all the containers, default is only running containers"),
           Flag("external", "", "bool", "Show containers in storage not controlled by podlike", aliases=("storage",)), FILTER,
           Flag("format", "", "string", "Pretty-print containers to JSON or using a Go template"),
           Flag("last", "n", "int", "Print the n last created containers (all states)", -1), LATEST,
           Flag("no-trunc", "", "bool", "Display the extended information", aliases=("notruncate",)),
           Flag("noheading", "", "bool", "Do not print headers"),
           Flag("ns", "", "bool", "Display namespace information", aliases=("namespace",)),
           Flag("pod", "p", "bool", "Print the ID and name of the pod the containers are associated with"),
           Flag("quiet", "q", "bool", "Print the numeric IDs of the containers only"),
           Flag("size", "s", "bool", "Display the total file sizes"),
           Flag("sort", "", "string", "Sort output by: command, created, id, image, names, runningfor, size, status",
                metavar="choice"),
           Flag("sync", "", "bool", "Sync container state with OCI runtime"),
           Flag("watch", "w", "uint", "Watch the ps output on an interval in seconds")),
    examples=("ps -a", 'ps -a --format "{{.ID}}  {{.Image}}  {{.Labels}}  {{.Mounts}}"', "ps --size --sort names"))
