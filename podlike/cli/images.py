"""podlike images: list images."""

from podlike.cli.command import Call, Command, Flag, at_most
from podlike.cli.options import FILTER
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from podlike.spec.govalues import View
    from podlike.store.images import Image

_SORTS: "Final" = ("created", "id", "repository", "size", "tag")
_HEADS: "Final" = {"ID": "IMAGE ID", "CreatedSince": "CREATED", "ReadOnly": "R/O"}
_NONE: "Final" = "<none>"


def images(call: Call) -> None:
    from podlike.cli.output import check_format, print_rows
    from podlike.engine.images import list_images

    opts = call.opts
    check_format(opts.format)
    sort = opts.sort or "created"
    if sort not in _SORTS:
        raise UsageError(f'"{sort}" is not a valid field for sorting. Choose from: {", ".join(_SORTS)}')
    if opts.quiet and opts.format:
        raise UsageError("quiet and format flags cannot be used together")
    pattern = call.args[0] if call.args else ""
    found = list_images(call.engine, filters=opts.filter)
    if opts.quiet:
        ids = dict.fromkeys(image.id for image, _ in _rows(found, pattern, sort))
        for image_id in ids:
            call.out(f"sha256:{image_id}" if opts.no_trunc else image_id[:12])
        return
    cells = ["Repository", "Tag", *(["Digest"] if opts.digests else []), "ID", "CreatedSince", "Size"]
    cells += ["History"] if opts.history else []
    used = _users(call)
    views = [view(call, image, name, used) for image, name in _rows(found, pattern, sort)]
    print_rows(call, views, "\t".join(f"{{{{.{c}}}}}" for c in cells), format=opts.format, heads=_HEADS,
               heading=not opts.noheading)


def _rows(found: "list[Image]", pattern: str, sort: str) -> "list[tuple[Image, str]]":
    """One row a name; "" for an image without one."""
    from podlike.engine.imagefilters import name_matches_reference

    rows = [(image, name) for image in found for name in image.names or [""]
            if not pattern or name_matches_reference(name, pattern)]
    keys: "dict[str, Any]" = {
        "created": lambda r: -r[0].created, "id": lambda r: r[0].id, "size": lambda r: -r[0].size,
        "repository": lambda r: r[1].rpartition(":")[::2], "tag": lambda r: r[1].rpartition(":")[2]}
    return sorted(rows, key=keys[sort])


def _users(call: Call) -> "dict[str, int]":
    """Image id -> how many containers it has."""
    count: "dict[str, int]" = {}
    for container in call.engine.containers.all():
        if container.image:
            count[container.image] = count.get(container.image, 0) + 1
    return count


def view(call: Call, image: "Image", name: str, used: "dict[str, int]") -> "View":
    """All fields of podman's and docker's templates."""
    from podlike.engine.images import repo_digests
    from podlike.spec import durations
    from podlike.spec.govalues import View
    from podlike.spec.sizes import human_size

    repository, _, tag = name.rpartition(":")
    if call.docker:
        repository = _familiar(repository)
    size = human_size(image.size, precision=3, blank="" if call.docker else " ")
    labels = (image.config.get("config") or {}).get("Labels")
    full_id = f"sha256:{image.id}"
    created_at = durations.go_time(float(int(image.created)), utc=True)
    since = durations.ago(image.created) if image.created else "N/A"
    dangling = not image.names
    containers = used.get(image.id, 0)

    def document() -> "dict[str, Any]":
        doc: "dict[str, Any]" = {
            "Id": image.id, "ParentId": "", "RepoTags": image.names, "RepoDigests": repo_digests(image),
            "Size": image.size, "SharedSize": 0, "VirtualSize": image.size, "Labels": labels, "Containers": containers}
        if dangling:
            doc["Dangling"] = True
        return doc | {"Names": image.names, "Digest": image.manifest_digest, "History": image.history,
                      "Created": int(image.created), "CreatedAt": durations.rfc3339(float(int(image.created)), utc=True)}

    fields: "dict[str, Any]" = {
        "Repository": repository or _NONE, "Tag": tag or _NONE, "Digest": image.manifest_digest or _NONE,
        "ID": full_id if call.opts.no_trunc else image.id[:12], "Id": image.id, "CreatedSince": since,
        "CreatedAt": created_at, "Created": since, "CreatedTime": created_at, "Size": size,
        "VirtualSize": size if call.docker else image.size, "SharedSize": "N/A" if call.docker else 0,
        "UniqueSize": "N/A", "Containers": containers, "Dangling": dangling, "IsDangling": dangling,
        "ReadOnly": False, "IsReadOnly": False, "Labels": labels or {}, "Names": image.names, "ParentId": "",
        "RepoDigests": lambda: repo_digests(image), "RepoTags": image.names,
        "History": ", ".join(dict.fromkeys([*image.names, *image.history]))}
    return View(fields, document if not call.docker else lambda: {
        "Containers": "N/A", "CreatedAt": created_at, "CreatedSince": since, "Digest": _NONE, "ID": fields["ID"],
        "Repository": fields["Repository"], "SharedSize": "N/A", "Size": size, "Tag": fields["Tag"],
        "UniqueSize": "N/A", "VirtualSize": size})


def _familiar(repository: str) -> str:
    from podlike.spec.reference import parse_reference

    return parse_reference(repository)._replace(tag=None).familiar if repository else ""


command = Command(
    "images", images, usage="[IMAGE]", args=at_most(1), summary="List images in local storage",
    description="Lists images previously pulled to the system or created on the system.",
    flags=(Flag("all", "a", "bool", "Show all images (default hides intermediate images)"),
           Flag("digests", "", "bool", "Show digests"), FILTER,
           Flag("format", "", "string", "Change the output format to JSON or a Go template"),
           Flag("history", "", "bool", "Display the image name history"),
           Flag("no-trunc", "", "bool", "Do not truncate output", aliases=("notruncate",)),
           Flag("noheading", "n", "bool", "Do not print column headings"),
           Flag("quiet", "q", "bool", "Display only image IDs"),
           Flag("sort", "", "string", f"Sort by {', '.join(_SORTS)}", "created", metavar="choice")),
    examples=("images --format json", "images --sort repository --format \"table {{.ID}} {{.Repository}} {{.Tag}}\"",
              "images --filter dangling=true"))
