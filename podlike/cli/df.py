"""podlike system df: how much disk is used."""

from podlike.cli.command import Call, Command, Flag, no_args
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.engine.usage import ContainerUse, ImageUse, Sum, Usage
    from podlike.spec.govalues import View

_SUMMARY = "{{.Type}}\t{{.Total}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
_DOCKER_SUMMARY = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
_IMAGES = ("{{.Repository}}\t{{.Tag}}\t{{.ImageID}}\t{{.Created}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t"
           "{{.Containers}}")
_CONTAINERS = ("{{.ContainerID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.Created}}\t{{.Status}}\t"
               "{{.Names}}")
_VOLUMES = "{{.VolumeName}}\t{{.Links}}\t{{.Size}}"
_HEADS = {"ImageID": "IMAGE ID", "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE", "ContainerID": "CONTAINER ID",
          "LocalVolumes": "LOCAL VOLUMES", "VolumeName": "VOLUME NAME", "TotalCount": "TOTAL"}


def df(call: Call) -> None:
    from podlike.cli.output import check_format, print_rows
    from podlike.engine.usage import measure

    opts = call.opts
    if opts.format and opts.verbose and not call.docker:
        raise UsageError("cannot combine --format and --verbose flags")
    check_format(opts.format)
    usage = measure(call.engine)
    if opts.verbose:
        if opts.format:
            from podlike.cli.output import format_document

            format_document(call, _docker_document(call, usage), opts.format)
        else:
            _verbose(call, usage)
        return
    views = [_docker_view(*row) for row in _docker_sums(usage)] if call.docker else [_view(*row) for row in _sums(usage)]
    print_rows(call, views, _DOCKER_SUMMARY if call.docker else _SUMMARY, format=opts.format, heads=_HEADS)


def _sums(usage: "Usage") -> "list[tuple[str, Sum]]":
    return [("Images", usage.image_sum), ("Containers", usage.container_sum), ("Local Volumes", usage.volume_sum),
            ("Compressed Layers", usage.blob_sum)]


def _docker_sums(usage: "Usage") -> "list[tuple[str, Sum]]":
    """Docker's images are their content and what is unpacked of it."""
    images, blobs = usage.image_sum, usage.blob_sum
    both = images._replace(size=images.size + blobs.size, free=images.free + blobs.free)
    return [("Images", both), ("Containers", usage.container_sum), ("Local Volumes", usage.volume_sum),
            ("Build Cache", type(images)(0, 0, 0, 0))]


def _percent(of: "Sum") -> int:
    return round(100 * of.free / of.size) if of.size > 0 else 0


def _view(kind: str, of: "Sum") -> "View":
    from podlike.spec.govalues import View
    from podlike.spec.sizes import human_size

    size, free = human_size(of.size), f"{human_size(of.free)} ({_percent(of)}%)"
    fields: "dict[str, Any]" = {"Type": kind, "Total": of.total, "Active": of.active, "RawSize": of.size,
                                "RawReclaimable": of.free, "TotalCount": of.total, "Size": size, "Reclaimable": free}
    return View(fields, fields)


def _docker_view(kind: str, of: "Sum") -> "View":
    from podlike.spec.govalues import View
    from podlike.spec.sizes import human_size

    free = human_size(of.free, precision=4) + (f" ({_percent(of)}%)" if of.size > 0 and kind != "Build Cache" else "")
    fields = {"Active": str(of.active), "Reclaimable": free, "Size": human_size(of.size, precision=4),
              "TotalCount": str(of.total), "Type": kind}
    return View(fields, fields)


def _verbose(call: Call, usage: "Usage") -> None:
    from podlike.cli.output import print_rows

    call.out("Images space usage:\n")
    print_rows(call, [view for use in usage.images for view in _image_views(call, use)], _IMAGES, heads=_HEADS)
    call.out("\nContainers space usage:\n")
    print_rows(call, [_container_view(call, use) for use in usage.containers], _CONTAINERS, heads=_HEADS)
    call.out("\nLocal Volumes space usage:\n")
    print_rows(call, _volume_views(usage), _VOLUMES, heads=_HEADS)
    if call.docker:
        call.out("\nBuild cache usage: 0B\n")
        print_rows(call, [], "{{.ID}}\t{{.Type}}\t{{.Size}}\t{{.Created}}\t{{.LastUsed}}\t{{.Usage}}\t{{.Shared}}", heads={
            "ID": "CACHE ID", "Type": "CACHE TYPE", "LastUsed": "LAST USED"})
    else:
        from podlike.spec.sizes import human_size

        blobs = usage.blob_sum
        call.out(f"\nCompressed layers kept for push and save: {human_size(blobs.size)}, "
                 f"{human_size(blobs.free)} of it reclaimable")


def _image_views(call: Call, use: "ImageUse") -> "list[View]":
    """One for each name."""
    import time

    from podlike.spec.durations import ago, human_duration
    from podlike.spec.govalues import View
    from podlike.spec.sizes import human_size

    image, out = use.image, []
    for name in image.names or [""]:
        repository, _, tag = name.rpartition(":")
        if call.docker and repository:
            from podlike.spec.reference import parse_reference

            repository = parse_reference(repository)._replace(tag=None).familiar
        fields: "dict[str, Any]" = {
            "Repository": repository or "<none>", "Tag": tag or "<none>", "ImageID": image.id[:12], "ID": image.id[:12],
            "Created": ago(image.created) if call.docker else human_duration(max(0.0, time.time() - image.created)),
            "Size": human_size(use.size), "SharedSize": human_size(use.shared), "UniqueSize": human_size(use.unique),
            "Containers": use.containers}
        out.append(View(fields, {k: str(v) for k, v in fields.items() if k != "ImageID"}))
    return out


def _container_view(call: Call, use: "ContainerUse") -> "View":
    import time

    from podlike.spec.durations import ago, human_duration
    from podlike.spec.govalues import View
    from podlike.spec.sizes import human_size

    c = use.container
    command = " ".join(c.spec.args)
    if call.docker:
        command = f'"{command[:19]}\u2026"' if len(command) > 20 else f'"{command}"'
    fields: "dict[str, Any]" = {
        "ContainerID": c.id[:12], "ID": c.id[:12], "Image": c.spec.image_name if call.docker else (c.image or "")[:12],
        "Command": command, "LocalVolumes": len({m.source for m in c.spec.mounts if m.type == "volume"}),
        "Size": human_size(use.own), "RWSize": human_size(use.own),
        "Created": ago(c.created) if call.docker else human_duration(max(0.0, time.time() - c.created)),
        "Status": use.status.state, "Names": c.name}
    return View(fields, {k: str(v) for k, v in fields.items() if k not in ("ContainerID", "RWSize")})


def _volume_views(usage: "Usage") -> "list[View]":
    from podlike.spec.govalues import View
    from podlike.spec.sizes import human_size

    rows: "list[dict[str, Any]]" = [
        {"VolumeName": v.name, "Name": v.name, "Links": v.links, "Size": human_size(v.size)} for v in usage.volumes]
    return [View(row, {k: str(v) for k, v in row.items() if k != "VolumeName"}) for row in rows]


def _docker_document(call: Call, usage: "Usage") -> "dict[str, Any]":
    return {"Images": [v.doc for use in usage.images for v in _image_views(call, use)],
            "Containers": [_container_view(call, use).doc for use in usage.containers],
            "Volumes": [v.doc for v in _volume_views(usage)], "BuildCache": []}


command = Command(
    "df", df, args=no_args, summary="Show podlike disk usage", description="Show podlike disk usage.",
    flags=(Flag("format", "", "string", "Pretty-print images using a Go template"),
           Flag("verbose", "v", "bool", "Show detailed information on disk usage")),
    examples=("system df", "system df --verbose", "system df --format json"))
