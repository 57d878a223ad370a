"""podlike image trust show, podlike image trust set."""

from podlike.cli.command import Call, Command, Flag, at_most, exactly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.engine.imagetrust import Row

_HEADS = {"Transport": "TRANSPORT", "RepoName": "NAME", "Type": "TYPE", "GPGId": "ID", "SignatureStore": "STORE"}
_POLICY = Flag("signature-policy", "", "string", "Path to a signature-policy file", aliases=("policypath",))


def trust_show(call: Call) -> None:
    from podlike.cli.output import print_json, print_rows
    from podlike.engine import imagetrust
    from podlike.spec.govalues import View

    o = call.opts
    named = o.signature_policy or None
    if o.raw:
        call.out(imagetrust.raw(named).removesuffix("\n"))
        return
    rows = [row for row in imagetrust.show(named, registries_d=o.registrypath) if _wanted(row, call.args)]
    if o.json:
        print_json([_document(row) for row in rows], indent=2)
        return
    views = [View({"Transport": r.transport, "RepoName": r.scope, "Type": r.type, "GPGId": r.gpg_id,
                   "SignatureStore": r.store}) for r in rows]
    print_rows(call, views, "\t".join(f"{{{{.{cell}}}}}" for cell in _HEADS), heads=_HEADS, heading=not o.noheading)


def _wanted(row: "Row", registries: "list[str]") -> bool:
    """Whether a row tells something about the registry that was named."""
    return not registries or row.scope in ("default", registries[0]) or row.scope.startswith(registries[0] + "/")


def _document(row: "Row") -> "dict[str, Any]":
    doc = {"transport": row.transport, "name": row.name, "repo_name": row.scope, "sigstore": row.store, "type": row.type,
           "gpg_id": row.gpg_id}
    return {key: value for key, value in doc.items() if value or key in ("transport", "type")}


def trust_set(call: Call) -> None:
    from podlike.engine.imagetrust import set_trust

    o = call.opts
    set_trust(call.args[0], kind=o.type, keys=o.pubkeysfile, named=o.signature_policy or None)


show = Command(
    "show", trust_show, usage="[REGISTRY]", args=at_most(1), summary="Display trust policy for the system",
    description="Display trust policy for the system",
    flags=(Flag("json", "j", "bool", "Output as json"), Flag("noheading", "n", "bool", "Do not print column headings"),
           Flag("raw", "", "bool", "Output raw policy file"), _POLICY,
           Flag("registrypath", "", "string", "Path to a directory as registries.d", hidden=True)),
    examples=("image trust show", "image trust show --raw"))

set_ = Command(
    "set", trust_set, usage="REGISTRY", args=exactly(1), summary="Set default trust policy or a new trust policy for a "
    "registry",
    description="Set default trust policy or add a new trust policy for a registry.\n\n"
                "An ordinary user's policy is a file of its own, which begins as a copy of the system's.",
    flags=(Flag("pubkeysfile", "f", "array", "Path of installed public key(s) to trust for TARGET.\nAbsolute path to keys "
                "is added to policy.json. May\nused multiple times to define multiple public keys.\nFile(s) must exist "
                "before using this command"), _POLICY,
           Flag("type", "t", "string", "Trust type, accept values: signedBy(default), accept, reject, sigstoreSigned",
                "signedBy")),
    examples=("image trust set -t reject default", "image trust set -f /etc/pki/key.gpg registry.example.com/team"))
