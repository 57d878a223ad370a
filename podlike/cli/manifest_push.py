"""podlike manifest push: a manifest list, and what it names, to a registry."""

from podlike.cli.command import Call, Command, Flag, between, exactly
from podlike.cli.manifest import AUTHFILE, CERT_DIR, CREDS, DOCKER_INSECURE, INSECURE, TLS_VERIFY, reach_of
from podlike.cli.signing import SIGNING_FLAGS, signer
from podlike.errors import StoreError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.engine.listpush import PushedList


def manifest_push(call: Call) -> None:
    opts = call.opts
    if not call.args[-1]:
        raise UsageError('invalid destination ""')
    if opts.format not in ("", "oci", "v2s2", "docker"):
        raise UsageError(f"unknown format \"{opts.format}\". Choose one of the supported formats: 'oci' or 'v2s2'")
    chosen = call.changed("compression-format")
    done = _push(call, call.args[-1], every=opts.all, add=opts.add_compression if call.changed("add-compression")
                 else list(call.engine.config.engine.add_compression), options={
        "format": opts.format or None, "compression": opts.compression_format if chosen else None,
        "level": opts.compression_level if call.changed("compression-level") else None,
        "force": opts.force_compression if call.changed("force-compression") else chosen, "signer": signer(call)})
    if opts.digestfile:
        write_digest(opts.digestfile, done.digest)


def docker_manifest_push(call: Call) -> None:
    """docker's goes to where the list's name says, and prints the digest."""
    call.out(_push(call, call.args[0], every=True, add=[], options={}).digest)


def _push(call: Call, destination: str, *, every: bool, add: "list[str]", options: "dict[str, Any]") -> "PushedList":
    from podlike.cli.progress import make_progress
    from podlike.engine import lists
    from podlike.engine.imageremove import remove_all
    from podlike.engine.listpush import push_list
    from podlike.engine.push import PushOptions

    image = lists.lookup(call.engine, call.args[0])
    if destination == call.args[0] and image.names and not call.args[0].startswith("docker://"):
        destination = next((n for n in image.names if n.startswith(f"{destination}:") or n == destination), destination)
    progress = make_progress(quiet=getattr(call.opts, "quiet", False))
    try:
        done = push_list(call.engine, image, destination, every=every, add_compression=add, progress=progress,
                         options=PushOptions(**options, **reach_of(call)._asdict()))
    finally:
        progress.close()
    if getattr(call.opts, "rm", False) or call.opts.purge:
        removed = remove_all(call.engine, [image.id], force=True, lists_only=True)
        if removed.errors:
            raise removed.errors[0]
    return done


def write_digest(path: str, digest: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as f:
            f.write(digest)
    except OSError as e:
        raise StoreError(f"write --digestfile {path}: {e.strerror}") from e


_PURGE = Flag("purge", "p", "bool", "remove the local manifest list after push", hidden=True)

command = Command(
    "push", manifest_push, usage="LIST [DESTINATION]", args=between(1, 2),
    summary="Push a manifest list or image index to a registry",
    description="Pushes manifest lists and image indexes to registries.",
    flags=(Flag("add-compression", "", "strings", "add instances with selected compression while pushing"),
           Flag("all", "", "bool", "also push the images in the list", True),
           Flag("compression-format", "", "string", "compression format to use"),
           Flag("compression-level", "", "int", "compression level to use"),
           Flag("digestfile", "", "string", "after copying the image, write the digest of the resulting digest to the file"),
           Flag("force-compression", "", "bool", "Use the specified compression algorithm even if the destination contains "
                "a differently-compressed variant already"),
           Flag("format", "f", "string", "manifest type (oci or v2s2) to attempt to use when pushing the manifest list "
                "(default is manifest type of source)"),
           Flag("quiet", "q", "bool", "don't output progress information when pushing lists"),
           Flag("remove-signatures", "", "bool", "don't copy signatures when pushing images"),
           Flag("rm", "", "bool", "remove the manifest list if push succeeds"),
           _PURGE, AUTHFILE, CERT_DIR, CREDS, INSECURE, TLS_VERIFY, *SIGNING_FLAGS),
    examples=("manifest push mylist:v1.11 docker://quay.io/myuser/image:v1.11",))

docker_command = Command(
    "push", docker_manifest_push, usage="MANIFEST_LIST", args=exactly(1), summary="Push a manifest list to a repository",
    flags=(DOCKER_INSECURE, Flag("purge", "p", "bool", "Remove the local manifest list after push")),
    examples=("manifest push example.com/app:1",))
