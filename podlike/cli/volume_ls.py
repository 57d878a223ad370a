"""podlike volume ls, podlike volume inspect."""

from podlike.cli.command import Call, Command, Flag, no_args
from podlike.errors import NotFoundError, PodlikeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from podlike.spec.govalues import View
    from podlike.store.volumes import Volume

_ROW = "{{.Driver}}\t{{.Name}}"
_HEADS = {"Name": "VOLUME NAME"}


def ls(call: Call) -> None:
    from podlike.cli.output import check_format, print_rows
    from podlike.engine.volumelist import select

    opts = call.opts
    if opts.quiet and call.changed("format") and not call.docker:
        raise UsageError("quiet and format flags cannot be used together")
    if getattr(opts, "cluster", False):
        raise UsageError("use --cluster: there are no volumes of a cluster, podlike runs on this machine only")
    check_format(opts.format)
    found = select(call.engine, opts.filter, docker=call.docker)
    if opts.quiet:
        for volume in found:
            call.out(volume.name)
        return
    if call.docker:
        views = [_docker_view(call, volume) for volume in found]
    else:
        users = call.engine.volumes.users()
        views = [_view(call, volume, users.get(volume.name, ())) for volume in found]
    print_rows(call, views, _ROW, format=opts.format, heads=_HEADS, heading=not opts.noheading, indent=2)


def _view(call: Call, volume: "Volume", users: "Sequence[str]") -> "View":
    from podlike.engine.volumelist import document, json_document
    from podlike.spec.govalues import View

    doc = document(call.engine, volume, users)
    return View(_fields(volume, doc), lambda: json_document(doc))


def _fields(volume: "Volume", doc: "dict[str, Any]") -> "dict[str, Any]":
    from podlike.spec.durations import go_time

    return {**doc, "CreatedAt": go_time(volume.created)}


def _docker_view(call: Call, volume: "Volume") -> "View":
    from podlike.engine.volumelist import docker_document
    from podlike.spec.govalues import View

    doc = docker_document(call.engine, volume)
    labels = doc["Labels"] or {}
    fields: "dict[str, Any]" = {
        "Availability": "N/A", "Driver": volume.driver, "Group": "N/A", "Labels": ",".join(f"{k}={v}" for k, v in labels.items()),
        "Links": "N/A", "Mountpoint": doc["Mountpoint"], "Name": volume.name, "Scope": "local", "Size": "N/A", "Status": "N/A"}
    return View({**fields, "Label": lambda name: labels.get(name, "")}, fields)


def inspect(call: Call) -> int:
    from podlike.cli.output import format_document, is_json, print_json

    opts = call.opts
    if bool(call.args) == bool(getattr(opts, "all", False)):
        raise UsageError("provide one or more volume names or use --all")
    found, errors = _find(call)
    if is_json(opts.format):
        print_json([inspected(call, volume) for volume in found], indent=4 if call.docker else 5)
    else:
        for volume in found:
            format_document(call, as_struct(call, volume), opts.format)
    codes = [call.complain(error) for error in errors]
    return codes[-1] if codes else 0


def _find(call: Call) -> "tuple[list[Volume], list[PodlikeError]]":
    if not call.args:
        return call.engine.volumes.all(), []
    found: "list[Volume]" = []
    errors: "list[PodlikeError]" = []
    for name in call.args:
        try:
            found.append(call.engine.volumes.find(name))
        except NotFoundError:
            errors.append(NotFoundError(f"no such volume {name}"))
        except PodlikeError as e:
            errors.append(e)
    return found, errors


def inspected(call: Call, volume: "Volume") -> "dict[str, Any]":
    """The document that `inspect` prints."""
    from podlike.engine.volumelist import docker_document, document, json_document

    return docker_document(call.engine, volume) if call.docker else json_document(document(call.engine, volume))


def as_struct(call: Call, volume: "Volume") -> "Any":
    """The document for templates, with every field that there can be."""
    from podlike.engine.volumelist import docker_document, document
    from podlike.spec.govalues import Struct

    if call.docker:
        doc = docker_document(call.engine, volume)
        return Struct({**doc, "Labels": doc["Labels"] or {}, "Options": doc["Options"] or {}})
    return Struct(_fields(volume, document(call.engine, volume)))


_FORMAT = Flag("format", "f", "string", "Format volume output using Go template", "json")

ls_command = Command(
    "ls", ls, args=no_args, summary="List volumes",
    description="podlike volume ls\n\nList all available volumes. The output of the volumes can be filtered and the output "
                "format can be changed to JSON or a user specified Go template.",
    flags=(Flag("cluster", "", "bool", "Display only cluster volumes", hidden=True),
           Flag("filter", "f", "array", "Filter volume output"),
           Flag("format", "", "string", "Format volume output using Go template",
                default_text='"{{range .}}{{.Driver}}\\t{{.Name}}\\n{{end -}}"'),
           Flag("noheading", "n", "bool", "Do not print headers"),
           Flag("quiet", "q", "bool", "Print volume output in quiet mode")),
    examples=("volume ls", "volume ls --format json", 'volume ls --format "{{.Driver}} {{.Scope}}"',
              "volume ls --filter name=foo,label=blue", "volume ls --filter label=key=value"))

inspect_command = Command(
    "inspect", inspect, usage="VOLUME [VOLUME...]", summary="Display detailed information on one or more volumes",
    description="Display detailed information on one or more volumes.\n\nUse a Go template to change the format from JSON.",
    flags=(Flag("all", "a", "bool", "Inspect all volumes"), _FORMAT),
    examples=("volume inspect myvol", "volume inspect --all", 'volume inspect --format "{{.Driver}} {{.Scope}}" myvol'))
