"""podlike history: the steps that an image was made in."""

from podlike.cli.command import Call, Command, Flag, exactly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from podlike.engine.imageinspect import Step
    from podlike.spec.govalues import View

_WIDTH: "Final" = 45  # of CREATED BY, unless --no-trunc
_PODMAN: "Final" = ("ID", "Created", "CreatedBy", "Size", "Comment")
_DOCKER: "Final" = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")


def history(call: Call) -> None:
    from podlike.cli.output import check_format, is_json, print_rows
    from podlike.engine.imageinspect import history as steps_of
    from podlike.engine.images import resolve

    opts = call.opts
    check_format(opts.format)
    image = resolve(call.engine, call.args[0])
    if call.docker and opts.platform:
        from podlike.cli.platform import require_platform

        image = require_platform(call, call.args[0], opts.platform)
    steps = steps_of(call.engine, image)
    if is_json(opts.format) and not call.docker:
        _print_json(call, steps)
        return
    views = [_view(call, step) for step in steps]
    if opts.quiet:
        for view in views:
            call.out(view.fields["ID"])
        return
    cells = _DOCKER if call.docker else _PODMAN
    heads = {"CreatedBy": "CREATED BY", "Created": "CREATED", "CreatedSince": "CREATED"}
    if call.docker:
        heads["ID"] = "IMAGE"
        if not opts.human:
            cells, heads = ("ID", "CreatedAt", *_DOCKER[2:]), {**heads, "CreatedAt": "CREATED AT"}
    print_rows(call, views, "\t".join(f"{{{{.{c}}}}}" for c in cells), format=opts.format, heads=heads)


def _print_json(call: Call, steps: "list[Step]") -> None:
    from podlike.spec.govalues import to_json

    docs = []
    for step in steps:
        doc: "dict[str, Any]" = {"id": step.id, "created": step.created or "0001-01-01T00:00:00Z"}
        if step.created_by:
            doc["CreatedBy"] = step.created_by
        if step.tags:
            doc["tags"] = step.tags
        doc["size"] = step.size
        if step.comment:
            doc["comment"] = step.comment
        docs.append(doc | {"Created": _seconds(step)})
    call.out(to_json(docs))


def _seconds(step: "Step") -> str:
    """The time of a step without its fraction, as it was written."""
    head, dot, rest = step.created.partition(".")
    return head + rest.lstrip("0123456789") if dot else step.created or "0001-01-01T00:00:00Z"


def _view(call: Call, step: "Step") -> "View":
    from podlike.engine.imageinspect import MISSING
    from podlike.spec import durations
    from podlike.spec.govalues import View
    from podlike.spec.image import parse_time
    from podlike.spec.sizes import human_size

    opts = call.opts
    when = parse_time(step.created)
    image_id = step.id
    if image_id != MISSING:
        image_id = image_id[:12] if not opts.no_trunc else f"sha256:{image_id}" if call.docker else image_id
    by = step.created_by.replace("\t", " ") if call.docker else step.created_by
    if not opts.no_trunc and len(by) > _WIDTH:
        by = by[:_WIDTH - 1] + "…" if call.docker else by[:_WIDTH - 3] + "..."
    since = durations.ago(when) if when else "N/A"
    at = durations.rfc3339(float(int(when))) if when else durations.NEVER
    size = human_size(step.size, precision=3) if opts.human or not call.docker else str(step.size)
    fields = {"ID": image_id, "Created": since if opts.human else _seconds(step), "CreatedSince": since if opts.human
              or call.docker else _seconds(step), "CreatedAt": at, "CreatedBy": by, "Size": size, "Comment": step.comment,
              "Tags": step.tags}
    shown = ("Comment", "CreatedAt", "CreatedBy", "CreatedSince", "ID", "Size")
    return View(fields, {key: fields[key] for key in shown})


_FLAGS = (
    Flag("format", "", "string", "Change the output to JSON or a Go template"),
    Flag("human", "H", "bool", "Display sizes and dates in human readable format", True),
    Flag("no-trunc", "", "bool", "Do not truncate the output", aliases=("notruncate",)),
    Flag("quiet", "q", "bool", "Display the numeric IDs only"))

command = Command(
    "history", history, usage="IMAGE", args=exactly(1), summary="Show history of a specified image",
    description="Displays the history of an image.\n\nThe information can be printed out in an easy to read, or user "
                "specified format, and can be truncated.",
    flags=_FLAGS, examples=("history quay.io/fedora/fedora",))

docker_command = Command(
    "history", history, usage="IMAGE", args=exactly(1), summary="Show the history of an image",
    flags=(*_FLAGS, Flag("platform", "", "string", 'Show history for the given platform (e.g., "linux/amd64")')),
    examples=("history alpine",))
