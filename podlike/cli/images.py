"""podlike images: list images."""

from podlike.cli.command import Call, Command, Flag, at_most
from podlike.cli.options import FILTER
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, NamedTuple

    from podlike.engine.kinship import Kinship
    from podlike.spec.govalues import View
    from podlike.store.images import Image
else:
    from podlike.spec.record import NamedTuple

_SORTS: "Final" = ("created", "id", "repository", "size", "tag")
_HEADS: "Final" = {"ID": "IMAGE ID", "CreatedSince": "CREATED", "ReadOnly": "R/O"}
_NONE: "Final" = "<none>"


class _Row(NamedTuple):
    """One line: an image under one of its names. repository and tag: "" where there is none."""

    image: "Image"
    repository: str
    tag: str


def images(call: Call) -> None:
    from podlike.cli.output import check_format, is_json, print_rows
    from podlike.engine.kinship import Kinship

    opts = call.opts
    check_format(opts.format)
    sort = opts.sort or "created"
    if sort not in _SORTS:
        raise UsageError(f'"{sort}" is not a valid value.  Choose from: "{", ".join(_SORTS)}"')
    if opts.filter and call.args:
        raise UsageError("cannot specify an image and a filter(s)")
    kinship = Kinship(call.engine.images.all())
    rows = _sorted(_rows(call, _found(call, kinship)), sort)
    if opts.quiet and not is_json(opts.format):
        for image_id in dict.fromkeys(row.image.id for row in rows):
            call.out(f"sha256:{image_id}" if opts.no_trunc else image_id[:12])
        return
    if call.docker and opts.tree:
        _print_tree(call, rows)
        return
    views = _views(call, rows, kinship)
    cells = ["Repository", "Tag", *(["Digest"] if opts.digests else []), "ID", "CreatedSince", "Size"]
    cells += ["History"] if opts.history else []
    cells += ["ReadOnly"] if any(view.fields["ReadOnly"] for view in views) else []
    default = "\t".join(f"{{{{.{c}}}}}" for c in cells)
    print_rows(call, views, default, format=opts.format, heads=_HEADS, heading=not opts.noheading)


def _found(call: Call, kinship: "Kinship") -> "list[Image]":
    filters = [*call.opts.filter, *(f"reference={name}" for name in call.args)]
    return call.api.images.list(all=call.opts.all, filters=filters, kinship=kinship)


def _rows(call: Call, found: "list[Image]") -> list[_Row]:
    from podlike.engine.imagefilters import name_matches_reference
    from podlike.engine.images import repository_of

    rows = []
    for image in found:
        tags = image.tags
        if call.docker and call.args:
            # docker's argument chooses among names, podman's among images
            tags = [name for name in tags if name_matches_reference(name, call.args[0])] or tags
        if tags:
            rows += [_Row(image, *name.rpartition(":")[::2]) for name in tags]
        else:
            rows.append(_Row(image, repository_of(image.names[0]) if image.names else "", ""))
    return rows


def _sorted(rows: list[_Row], sort: str) -> list[_Row]:
    keys: "dict[str, Any]" = {
        "created": lambda r: -int(r.image.created), "id": lambda r: r.image.id, "size": lambda r: r.image.size,
        "repository": lambda r: (r.repository or _NONE, r.tag or _NONE), "tag": lambda r: r.tag or _NONE}
    return sorted(rows, key=keys[sort])


def _views(call: Call, rows: list[_Row], kinship: "Kinship") -> "list[View]":
    count = call.engine.containers.count_by_image()
    return [_view(call, row, kinship, count.get(row.image.id, 0)) for row in rows]


def _view(call: Call, row: _Row, kinship: "Kinship", containers: int) -> "View":
    """All fields of podman's and docker's templates."""
    from podlike.engine.imageinspect import names_history
    from podlike.engine.images import repo_digests
    from podlike.spec import durations
    from podlike.spec.govalues import View
    from podlike.spec.sizes import human_size

    image = row.image
    repository = _familiar(row.repository) if call.docker else row.repository
    size = human_size(image.size, precision=3, blank="" if call.docker else " ")
    labels = (image.config.get("config") or {}).get("Labels")
    created_at = durations.go_time(float(int(image.created)), utc=not call.docker)
    since = durations.ago(image.created) if image.created else "N/A"
    dangling, read_only = kinship.is_dangling(image), image.read_only
    parent = kinship.parent(image)
    history = names_history(image)

    def document() -> "dict[str, Any]":
        doc: "dict[str, Any]" = {
            "Id": image.id, "ParentId": parent.id if parent else "", "RepoTags": None, "RepoDigests": repo_digests(image),
            "Size": image.size, "SharedSize": 0, "VirtualSize": image.size, "Labels": labels, "Containers": containers,
            **({"ReadOnly": True} if read_only else {}), **({"Dangling": True} if dangling else {}),
            "Digest": image.manifest_digest, **({"History": history} if history else {}),
            **({"Names": image.names} if image.names else {})}
        return doc | {"Created": int(image.created),
                      "CreatedAt": durations.rfc3339(float(int(image.created)), utc=True) if image.created
                      else "1970-01-01T00:00:00Z"}

    fields: "dict[str, Any]" = {
        "Repository": repository or _NONE, "Tag": row.tag or _NONE, "Digest": image.manifest_digest or _NONE,
        "ID": f"sha256:{image.id}" if call.opts.no_trunc else image.id[:12], "Id": image.id, "CreatedSince": since,
        "CreatedAt": created_at, "Created": since, "CreatedTime": created_at, "Size": size,
        "VirtualSize": size if call.docker else image.size, "SharedSize": "N/A" if call.docker else 0,
        "UniqueSize": "N/A", "Containers": "N/A" if call.docker else containers, "Dangling": dangling,
        "IsDangling": dangling, "ReadOnly": read_only, "IsReadOnly": read_only, "IsManifestList": image.index is not None,
        "Labels": labels or {}, "Names": image.names, "ParentId": parent.id if parent else "",
        "RepoDigests": lambda: repo_digests(image), "RepoTags": image.names, "History": ", ".join(history) or _NONE,
        "Arch": image.config.get("architecture") or "", "Os": image.config.get("os") or ""}
    return View(fields, document if not call.docker else lambda: {
        "Containers": "N/A", "CreatedAt": created_at, "CreatedSince": since,
        "Digest": image.manifest_digest if call.opts.digests else _NONE, "ID": fields["ID"],
        "Repository": fields["Repository"], "SharedSize": "N/A", "Size": size, "Tag": fields["Tag"],
        "UniqueSize": "N/A", "VirtualSize": size})


def _familiar(repository: str) -> str:
    from podlike.spec.reference import parse_reference

    return parse_reference(repository)._replace(tag=None).familiar if repository else ""


def _print_tree(call: Call, rows: list[_Row]) -> None:
    """docker's --tree: an image with the platforms that are here below it."""
    from podlike.spec.sizes import human_size
    from podlike.spec.table import DOCKER, table

    used = call.engine.containers.count_by_image()
    cells = []
    for row in rows:
        image = row.image
        name = f"{_familiar(row.repository)}:{row.tag}" if row.tag else "<untagged>"
        disk = human_size(image.size, precision=3)
        content = human_size(sum(_blob_sizes(call, image)), precision=3)
        extra = "U" if image.id in used else ""
        config = image.config
        platform = "/".join(p for p in (config.get("os"), config.get("architecture"), config.get("variant")) if p)
        cells.append([name, image.id[:12], disk, content, extra])
        if platform:
            cells.append([f"└─ {platform}", image.manifest_digest.partition(":")[2][:12], disk, content, extra])
    call.out(table(["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"], cells, style=DOCKER), end="")


def _blob_sizes(call: Call, image: "Image") -> list[int]:
    from podlike.engine.images import blobs_of
    from podlike.errors import StoreError

    sizes = []
    for digest in blobs_of(call.engine, image):
        try:
            sizes.append(call.engine.blobs.size(digest))
        except StoreError:
            continue  # `system check` is who complains about missing blobs
    return sizes


_FLAGS = (
    Flag("all", "a", "bool", "Show all images (default hides intermediate images)"),
    Flag("digests", "", "bool", "Show digests"), FILTER,
    Flag("format", "", "string", "Change the output format to JSON or a Go template"),
    Flag("history", "", "bool", "Display the image name history"),
    Flag("no-trunc", "", "bool", "Do not truncate output", aliases=("notruncate",)),
    Flag("noheading", "n", "bool", "Do not print column headings"),
    Flag("quiet", "q", "bool", "Display only image IDs"),
    Flag("sort", "", "string", f"Sort by {', '.join(_SORTS)}", "created", metavar="choice"))
_EXAMPLES = ("images --format json", "images --sort repository --format \"table {{.ID}} {{.Repository}} {{.Tag}}\"",
             "images --filter dangling=true")

command = Command(
    "images", images, usage="[IMAGE]", args=at_most(1), summary="List images in local storage",
    description="Lists images previously pulled to the system or created on the system.", flags=_FLAGS, examples=_EXAMPLES)

docker_command = Command(
    "images", images, usage="[REPOSITORY[:TAG]]", args=at_most(1), summary="List images",
    description="Lists images previously pulled to the system or created on the system.",
    flags=(*_FLAGS, Flag("tree", "", "bool", "List multi-platform images as a tree (EXPERIMENTAL)")), examples=_EXAMPLES)
