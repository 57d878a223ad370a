"""podlike search: which images registries have."""

from podlike.cli.command import Call, Command, Flag, exactly
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.engine.search import Hit
    from podlike.spec.govalues import View

# Letters of a description in a table, as podman and docker cut it.
_DESCRIPTION = 44
_HEADS = {"Name": "NAME", "StarCount": "STARS", "IsOfficial": "OFFICIAL", "IsAutomated": "AUTOMATED"}


def search(call: Call) -> None:
    from podlike.cli.output import check_format, is_json, print_json, print_rows
    from podlike.engine.access import Access
    from podlike.engine.search import parse_filters, search

    o = call.opts
    check_format(o.format)
    if o.list_tags and o.filter:
        raise UsageError("filters are not applicable to list tags result", hint="Leave --filter or --list-tags out.")
    hits = search(call.args[0], limit=o.limit, filters=parse_filters(o.filter), tags=o.list_tags,
                  access=Access(o.tls_verify if call.changed("tls-verify") else None, o.creds or None, o.authfile or None,
                                o.cert_dir or None))
    if not hits and not call.docker:
        return
    if o.list_tags and is_json(o.format):
        print_json(_tags_document(hits))
        return
    cells = ["Name", "Tag"] if o.list_tags else ["Name", "Description"]
    if call.docker and not o.list_tags:
        cells += ["StarCount", "IsOfficial"]
    elif o.compatible and not o.list_tags:
        cells += ["Stars", "Official", "Automated"]
    cut = not o.no_trunc and not is_json(o.format)
    print_rows(call, [_view(call, hit, cut=cut) for hit in hits], "\t".join(f"{{{{.{c}}}}}" for c in cells),
               format=o.format, heads=_HEADS)


def _view(call: Call, hit: "Hit", *, cut: bool) -> "View":
    from podlike.spec.govalues import View

    name, description = hit.name, hit.description
    if call.docker:
        name = name.removeprefix("docker.io/").removeprefix("library/")
    if cut and len(description) > _DESCRIPTION:
        description = description[:_DESCRIPTION].strip() + "..." if not call.docker else description[:_DESCRIPTION] + "…"
    official, automated = "[OK]" if hit.official else "", "[OK]" if hit.automated else ""
    fields: "dict[str, Any]" = {"Index": hit.registry, "Name": name, "Description": description, "Stars": hit.stars,
                                "Official": official, "Automated": automated, "Tag": hit.tag}
    if not call.docker:
        return View(fields, lambda: dict(fields))
    fields |= {"StarCount": hit.stars, "IsOfficial": official, "IsAutomated": automated}
    return View(fields, lambda: {
        "Description": description, "IsAutomated": str(hit.automated).lower(), "IsOfficial": str(hit.official).lower(),
        "Name": name, "StarCount": str(hit.stars)})


def _tags_document(hits: "list[Hit]") -> "list[dict[str, Any]]":
    names = dict.fromkeys(hit.name for hit in hits)
    return [{"Name": name, "Tags": [hit.tag for hit in hits if hit.name == name]} for name in names]


command = Command(
    "search", search, usage="TERM", args=exactly(1), summary="Search registry for image",
    description="Search registries for a given image. Can search all the default registries or a specific registry.\n\n"
                "Users can limit the number of results, and filter the output based on certain conditions.",
    flags=(Flag("authfile", "", "string", "Path of the authentication file. Use REGISTRY_AUTH_FILE environment variable "
                "to override"),
           Flag("cert-dir", "", "string", "Pathname of a directory containing TLS certificates and keys",
                metavar="Pathname"),
           Flag("compatible", "", "bool", "List stars, official and automated columns (Docker compatibility)"),
           Flag("creds", "", "string", "Credentials (USERNAME:PASSWORD) to use for authenticating to a registry",
                metavar="Credentials"),
           Flag("filter", "f", "array", "Filter output based on conditions provided (default [])"),
           Flag("format", "", "string", "Change the output format to JSON or a Go template"),
           Flag("limit", "", "int", "Limit the number of results"),
           Flag("list-tags", "", "bool", "List the tags of the input registry"),
           Flag("no-trunc", "", "bool", "Do not truncate the output", aliases=("notruncate",)),
           Flag("tls-verify", "", "bool", "Require HTTPS and verify certificates when contacting registries", True)),
    examples=("search --filter=is-official --limit 3 alpine",
              "search registry.fedoraproject.org/  # only works with v2 registries",
              'search --format "table {{.Index}} {{.Name}}" registry.fedoraproject.org/fedora'))
