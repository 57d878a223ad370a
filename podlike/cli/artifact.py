"""podlike artifact add, ls, inspect, pull, rm, extract: files in registries."""

from podlike.cli.command import Call, Command, Flag, at_least, exactly, no_args
from podlike.cli.manifest import key_values, reach_of
from podlike.cli.signing import SIGNING_FLAGS, signer
from podlike.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from podlike.engine.artifacts import Entry
    from podlike.spec.govalues import View

_ROW: "Final" = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.Created}}\t{{.Size}}"


def add(call: Call) -> None:
    from podlike.engine import artifacts

    opts = call.opts
    if opts.append and opts.replace:
        raise UsageError("--append and --replace options cannot be used together")
    annotations = key_values(opts.annotation, 'invalid annotation format "{}": annotations must be in the form key=value')
    digest = artifacts.add(call.engine, call.args[0], call.args[1:], kind=opts.type, file_kind=opts.file_type,
                           annotations=annotations, append=opts.append, replace=opts.replace)
    call.out(digest.partition(":")[2])


def ls(call: Call) -> None:
    from podlike.cli.output import check_format, print_rows
    from podlike.engine import artifacts

    check_format(call.opts.format)
    views = [_view(call, entry) for entry in artifacts.list_artifacts(call.engine)]
    print_rows(call, views, _ROW, format=call.opts.format, heading=not call.opts.noheading)


def _view(call: Call, entry: "Entry") -> "View":
    from podlike.engine.artifacts import CREATED
    from podlike.spec import durations
    from podlike.spec.govalues import View
    from podlike.spec.image import parse_time
    from podlike.spec.sizes import human_size

    name = entry.name.partition("@")[0]
    tag = name.rpartition("/")[2].partition(":")[2]
    digits = entry.digest.partition(":")[2]
    when = parse_time((entry.manifest.get("annotations") or {}).get(CREATED, ""))
    doc = {"Digest": digits if call.opts.no_trunc else digits[:12], "Repository": name.removesuffix(f":{tag}") if tag
           else name, "Size": human_size(entry.size), "Tag": tag, "VirtualSize": str(entry.size)}
    times = {"Created": durations.ago(when) if when else "", "CreatedAt": durations.go_time(when, utc=True) if when else ""}
    return View({**doc, **times, "Name": entry.name}, {**doc, **times})


def inspect(call: Call) -> None:
    from podlike.cli.output import format_document, is_json, print_json
    from podlike.engine import artifacts

    entry = artifacts.find(call.engine, call.args[0])
    shape = call.opts.format
    if not shape or is_json(shape):
        print_json({"Manifest": entry.manifest, "Name": entry.name, "Digest": entry.digest}, indent=5)
        return
    format_document(call, _as_go(entry), shape)


def _as_go(entry: "Entry") -> "Any":
    """The document with the names that Go templates know its fields by."""
    from podlike.spec.govalues import Struct

    def descriptor(doc: "dict[str, Any]") -> "Any":
        return Struct({"MediaType": doc.get("mediaType", ""), "Digest": doc.get("digest", ""), "Size": doc.get("size", 0),
                       "URLs": doc.get("urls") or [], "Annotations": doc.get("annotations") or {},
                       "Data": doc.get("data") or "", "Platform": doc.get("platform"),
                       "ArtifactType": doc.get("artifactType", "")})

    raw = entry.manifest
    manifest = Struct({"SchemaVersion": raw.get("schemaVersion", 0), "MediaType": raw.get("mediaType", ""),
                       "ArtifactType": raw.get("artifactType", ""), "Config": descriptor(raw["config"]),
                       "Layers": [descriptor(layer) for layer in raw["layers"]],
                       "Subject": descriptor(raw["subject"]) if raw.get("subject") else None,
                       "Annotations": raw.get("annotations") or {}})
    return Struct({"Manifest": manifest, "Name": entry.name, "Digest": entry.digest})


def pull(call: Call) -> None:
    from podlike.engine import artifacttransfer

    if call.opts.decryption_key:
        raise UsageError("decrypt an artifact: encrypted layers are not supported by this version of podlike",
                         hint="Leave --decryption-key out and decrypt the files after `artifact extract`.")
    digest = artifacttransfer.pull(call.engine, call.args[0], reach=reach_of(call))
    if not call.opts.quiet:
        call.out(digest.partition(":")[2])


def push(call: Call) -> None:
    from podlike.cli.manifest_push import write_digest
    from podlike.cli.progress import make_progress
    from podlike.engine import artifacttransfer

    by = signer(call)
    progress = make_progress(quiet=call.opts.quiet)
    try:
        digest = artifacttransfer.push(call.engine, call.args[0], options=reach_of(call), signer=by, progress=progress)
    finally:
        progress.close()
    if call.opts.digestfile:
        write_digest(call.opts.digestfile, digest)


def rm(call: Call) -> int:
    from podlike.engine import artifacts

    opts = call.opts
    if opts.all and call.args:
        raise UsageError("when using the --all switch, you may not pass any artifact names or digests")
    if not opts.all and not call.args:
        raise UsageError("at least one artifact name or digest must be specified")

    def one(name: str) -> str | None:
        try:
            return artifacts.remove(call.engine, name).partition(":")[2]
        except NotFoundError:
            if opts.ignore:
                return None
            raise

    return call.each([a.name for a in call.engine.artifacts.all()] if opts.all else call.args, one)


def extract(call: Call) -> None:
    from podlike.engine import artifacts

    artifacts.extract(call.engine, call.args[0], call.args[1], digest=call.opts.digest, title=call.opts.title)


REGISTRY_FLAGS = (
    Flag("authfile", "", "string", "Path of the authentication file. Use REGISTRY_AUTH_FILE environment variable to override"),
    Flag("cert-dir", "", "string", "Pathname of a directory containing TLS certificates and keys", metavar="Pathname"),
    Flag("creds", "", "string", "Credentials (USERNAME:PASSWORD) to use for authenticating to a registry",
         metavar="Credentials"),
    Flag("tls-verify", "", "bool", "Require HTTPS and verify certificates when contacting registries", True))

add_command = Command(
    "add", add, usage="ARTIFACT PATH [...PATH]", args=at_least(2), summary="Add an OCI artifact to the local store",
    description="Add an OCI artifact to the local store from the local filesystem",
    flags=(Flag("annotation", "", "array", "set an annotation for the specified files of artifact", metavar="annotation"),
           Flag("append", "a", "bool", "Append files to an existing artifact"),
           Flag("file-type", "", "string", "Set file type to use for the artifact (layer)"),
           Flag("replace", "", "bool", "Replace an existing artifact"),
           Flag("type", "", "string", "Use type to describe an artifact")),
    examples=("artifact add quay.io/myimage/myartifact:latest /tmp/foobar.txt",
              "artifact add --file-type text/yaml quay.io/myimage/myartifact:latest /tmp/foobar.yaml",
              "artifact add --append quay.io/myimage/myartifact:latest /tmp/foobar.tar.gz"))

ls_command = Command(
    "ls", ls, args=no_args, summary="List OCI artifacts", description="List OCI artifacts in local store",
    flags=(Flag("format", "", "string", "Format artifact output using JSON or a Go template"),
           Flag("no-trunc", "", "bool", "Do not truncate output"),
           Flag("noheading", "n", "bool", "Do not print column headings")),
    examples=("artifact ls",))

inspect_command = Command(
    "inspect", inspect, usage="ARTIFACT", args=exactly(1), summary="Inspect an OCI artifact",
    description="Provide details on an OCI artifact",
    flags=(Flag("format", "f", "string", "Format artifact output using JSON or a Go template", "json"),),
    examples=("artifact inspect quay.io/myimage/myartifact:latest",))

pull_command = Command(
    "pull", pull, usage="ARTIFACT", args=exactly(1), summary="Pull an OCI artifact",
    description="Pulls an artifact from a registry and stores it locally.",
    flags=(*REGISTRY_FLAGS,
           Flag("decryption-key", "", "array", "Key needed to decrypt the image (e.g. /path/to/key.pem)"),
           Flag("quiet", "q", "bool", "Suppress output information when pulling images"),
           Flag("retry", "", "uint", "number of times to retry in case of failure when performing pull", 3),
           Flag("retry-delay", "", "duration", "delay between retries in case of pull failures")),
    examples=("artifact pull quay.io/myimage/myartifact:latest",))

push_command = Command(
    "push", push, usage="ARTIFACT", args=exactly(1), summary="Push an OCI artifact",
    description="Push an OCI artifact from local storage to an image registry",
    flags=(*REGISTRY_FLAGS, *SIGNING_FLAGS,
           Flag("digestfile", "", "string", "Write the digest of the pushed image to the specified file"),
           Flag("quiet", "q", "bool", "Suppress output information when pushing images"),
           Flag("retry", "", "uint", "number of times to retry in case of failure when performing push", 3),
           Flag("retry-delay", "", "duration", "delay between retries in case of push failures"),
           Flag("signature-policy", "", "string", "Path to a signature-policy file", hidden=True)),
    examples=("artifact push quay.io/myimage/myartifact:latest",))

rm_command = Command(
    "rm", rm, usage="ARTIFACT [ARTIFACT...]", summary="Remove one or more OCI artifacts",
    description="Remove one or more OCI artifacts from local storage",
    flags=(Flag("all", "a", "bool", "Remove all artifacts"),
           Flag("ignore", "i", "bool", "Ignore error if artifact does not exist")),
    examples=("artifact rm quay.io/myimage/myartifact:latest", "artifact rm -a",
              "artifact rm c4dfb1609ee2 93fd78260bd1 c0ed59d05ff7"))

extract_command = Command(
    "extract", extract, usage="ARTIFACT PATH", args=exactly(2), summary="Extract an OCI artifact to a local path",
    description="Extract the blobs of an OCI artifact to a local file or directory",
    flags=(Flag("digest", "", "string", "Only extract blob with the given digest"),
           Flag("title", "", "string", "Only extract blob with the given title")),
    examples=("artifact extract quay.io/myimage/myartifact:latest /tmp/foobar.txt",
              "artifact extract quay.io/myimage/myartifact:latest /home/paul/mydir"))
