"""podlike manifest create, add, annotate, inspect, remove, rm, exists: lists of images for several platforms."""

import sys

from podlike.cli.command import Call, Command, Flag, at_least, between, exactly
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.lists import Annotations, Artifact
    from podlike.engine.remote import Reach

_ARTIFACT_FLAGS = ("artifact-type", "artifact-config", "artifact-config-type", "artifact-layer-type", "artifact-subject",
                   "artifact-exclude-titles")


def create(call: Call) -> None:
    from podlike.engine import lists

    opts = call.opts
    reach = reach_of(call)
    annotations = key_values(opts.annotation, 'expected --annotation "{}" to be in key=value format')
    image = lists.create(call.engine, call.args[0], amend=opts.amend, annotations=annotations)
    for name in call.args[1:]:
        lists.add(call.engine, image, name, every=opts.all, reach=reach)
    call.out(image.id)


def docker_create(call: Call) -> None:
    """docker's prints what the list is called."""
    from podlike.engine import lists

    reach = reach_of(call)
    image = lists.create(call.engine, call.args[0], amend=call.opts.amend)
    for name in call.args[1:]:
        lists.add(call.engine, image, name, reach=reach)
    call.out(f"Created manifest list {image.names[0] if image.names else image.id}")


def add(call: Call) -> None:
    from podlike.engine import lists

    opts = call.opts
    reach, notes = reach_of(call), _notes(call)
    given = [f"--{name}" for name in _ARTIFACT_FLAGS if call.changed(name)]
    if given and not opts.artifact:
        raise UsageError(f"{'/'.join(given)} {'requires' if len(given) == 1 else 'require'} --artifact")
    image = lists.lookup(call.engine, call.args[0])
    if opts.artifact:
        lists.add_artifact(call.engine, image, call.args[1:], _artifact(call), notes=notes, reach=reach)
    else:
        for name in call.args[1:]:
            lists.add(call.engine, image, name, every=opts.all, notes=notes, reach=reach)
    call.out(image.id)


def _artifact(call: Call) -> "Artifact":
    from podlike.engine.lists import Artifact

    opts = call.opts
    config = None
    if opts.artifact_config:
        try:
            with open(opts.artifact_config, "rb") as f:
                config = f.read((8 << 20) + 1)
        except OSError as e:
            raise UsageError(f"open {opts.artifact_config}: {(e.strerror or '').lower()}") from None
        if len(config) > 8 << 20:
            raise UsageError(f"read {opts.artifact_config}: a config is at most 8 MiB")
    return Artifact(type=opts.artifact_type if call.changed("artifact-type") else None, config=config,
                    config_type=opts.artifact_config_type, layer_type=opts.artifact_layer_type,
                    exclude_titles=opts.artifact_exclude_titles, subject=opts.artifact_subject)


def _notes(call: Call) -> "Annotations":
    """What add says about its entries."""
    from podlike.engine.lists import Annotations

    opts = call.opts
    return Annotations(annotations=key_values(opts.annotation, 'no value given for annotation "{}"'), arch=opts.arch,
                       os=opts.os, variant=opts.variant, os_version=opts.os_version, features=tuple(opts.features),
                       os_features=tuple(opts.os_features))


def annotate(call: Call) -> None:
    from podlike.engine import lists
    from podlike.engine.lists import Annotations

    opts = call.opts
    name, entry = call.args[0], call.args[1] if len(call.args) > 1 else None
    annotations = key_values(opts.annotation, 'expected --annotation "{}" to be in key=value format')
    _check_target(call, entry)
    notes = Annotations(annotations={} if opts.index else annotations, arch=opts.arch, os=opts.os, variant=opts.variant,
                        os_version=opts.os_version, features=tuple(opts.features), os_features=tuple(opts.os_features),
                        index_annotations=annotations if opts.index else {}, subject=opts.subject)
    image = lists.lookup(call.engine, name)
    lists.annotate(call.engine, image, entry, notes)
    call.out(image.id)


def _check_target(call: Call, entry: str | None) -> None:
    """--index changes the list, everything else one of its entries."""
    opts = call.opts
    if not call.args[0]:
        raise UsageError('invalid image name ""')
    if entry is None:
        if not opts.index:
            raise UsageError("expected an instance digest, image name, or artifact name")
        for flag, words in (("arch", "architecture"), ("features", "features"), ("os", "OS"), ("os-features", "OS features"),
                            ("os-version", "OS version"), ("variant", "variant")):
            if call.changed(flag):
                raise UsageError(f"setting {words} on an item in a manifest list requires an instance digest")
    elif opts.index:
        raise UsageError(f'did not expect image or artifact name "{entry}" when modifying the entire index')
    elif not entry:
        raise UsageError('invalid instance digest, image name, or artifact name ""')
    elif opts.subject:
        raise UsageError("setting subject for a manifest list requires no instance digest")


def inspect(call: Call) -> None:
    from podlike.cli.output import print_json
    from podlike.engine import lists
    from podlike.log import warning

    doc, words = lists.inspect(call.engine, call.args[0], reach=reach_of(call))
    if words:
        warning(words)
    print_json(doc)


def docker_inspect(call: Call) -> None:
    """docker's --verbose shows the manifests that a list names, each with its descriptor."""
    from podlike.cli.output import print_json
    from podlike.engine import lists

    reach = reach_of(call)
    if call.opts.verbose:
        print_json(lists.inspect_each(call.engine, call.args[0], reach=reach), indent=4)
    else:
        print_json(lists.inspect(call.engine, call.args[0], reach=reach)[0], indent=3)


def remove(call: Call) -> None:
    from podlike.engine import lists
    from podlike.errors import PodlikeError

    name, digest = call.args
    try:
        image = lists.lookup(call.engine, name)
        lists.remove_entry(call.engine, image, digest)
    except PodlikeError as e:
        e.message = f"removing from manifest list {name}: {e.message}"
        e.args = (e.message,)
        raise
    call.out(image.id)


def rm(call: Call) -> int:
    from podlike.cli.rmi import report
    from podlike.engine.imageremove import remove_all

    return report(call, remove_all(call.engine, call.args, ignore=getattr(call.opts, "ignore", False), lists_only=True))


def exists(call: Call) -> int:
    from podlike.engine import lists

    return 0 if lists.exists(call.engine, call.args[0]) else 1


# --- shared with push and with artifacts ---

def key_values(items: list[str], complaint: str) -> dict[str, str]:
    """["a=b"] -> {"a": "b"}. complaint: with {} for what has no "=". Raises: UsageError."""
    out = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(complaint.format(item))
        out[key] = value
    return out


def reach_of(call: Call) -> "Reach":
    """How the flags of a command say that registries are to be reached; not every command has all of them."""
    from podlike.engine.remote import Reach
    from podlike.spec.durations import parse_duration

    opts = call.opts
    verify: "bool | None" = opts.tls_verify if call.changed("tls-verify") else None
    if call.changed("insecure") and (opts.insecure or not call.docker):
        if verify is not None and call.command.name != "inspect":
            raise UsageError("--insecure may not be used with --tls-verify")
        verify = verify if verify is not None else not opts.insecure
    authfile = getattr(opts, "authfile", "")
    if call.changed("authfile"):
        _check_authfile(authfile)
    delay = getattr(opts, "retry_delay", "")
    return Reach(tls_verify=verify, creds=_creds(getattr(opts, "creds", "")), authfile=authfile or None,
                 cert_dir=getattr(opts, "cert_dir", "") or None, retries=opts.retry if call.changed("retry") else None,
                 retry_delay=parse_duration(delay) if delay else None)


def _check_authfile(path: str) -> None:
    import os

    try:
        os.stat(path)
    except OSError as e:
        raise UsageError(f"credential file is not accessible: faccessat {path}: {(e.strerror or '').lower()}",
                         hint="Log in first with --authfile, or leave the option out.") from None


def _creds(text: str) -> str | None:
    if text and ":" not in text and sys.stdin.isatty():
        import click

        text += ":" + click.prompt("Password", hide_input=True, err=True)
    return text or None


AUTHFILE = Flag("authfile", "", "string", "path of the authentication file. Use REGISTRY_AUTH_FILE environment variable to "
                "override")
CERT_DIR = Flag("cert-dir", "", "string", "use certificates at the specified path to access the registry")
CREDS = Flag("creds", "", "string", "use [username[:password]] for accessing the registry", metavar="[username[:password]]")
INSECURE = Flag("insecure", "", "bool", "neither require HTTPS nor verify certificates when accessing the registry",
                hidden=True)
DOCKER_INSECURE = Flag("insecure", "", "bool", "Allow communication with an insecure registry")
TLS_VERIFY = Flag("tls-verify", "", "bool", "require HTTPS and verify certificates when accessing the registry", True)
_ALL = Flag("all", "", "bool", "add all of the lists' images if the images to add are lists")
_AMEND = Flag("amend", "a", "bool", "modify an existing list if one with the desired name already exists")


def _entry_flags(what: str) -> tuple[Flag, ...]:
    return (Flag("annotation", "", "array", f"set an annotation for the specified {what}", metavar="annotation"),
            Flag("arch", "", "string", f"override the architecture of the specified {what}", metavar="architecture"),
            Flag("features", "", "strings", f"override the features of the specified {what}", metavar="features"),
            Flag("os", "", "string", f"override the OS of the specified {what}", metavar="OS"),
            Flag("os-features", "", "strings", f"override the OS features of the specified {what}", metavar="features"),
            Flag("os-version", "", "string", f"override the OS version of the specified {what}", metavar="version"),
            Flag("variant", "", "string", f"override the Variant of the specified {what}", metavar="Variant"))


create_command = Command(
    "create", create, usage="LIST [IMAGE...]", args=at_least(1), summary="Create manifest list or image index",
    description="Creates manifest lists or image indexes.",
    flags=(_ALL, _AMEND, Flag("annotation", "", "array", "set annotations on the new list"), INSECURE, TLS_VERIFY),
    examples=("manifest create mylist:v1.11", "manifest create mylist:v1.11 arch-specific-image-to-add",
              "manifest create --all mylist:v1.11 transport:tagged-image-to-add"))

docker_create_command = Command(
    "create", docker_create, usage="MANIFEST_LIST MANIFEST [MANIFEST...]", args=at_least(2),
    summary="Create a local manifest list for annotating and pushing to a registry", flags=(_AMEND, DOCKER_INSECURE),
    examples=("manifest create example.com/app:1 example.com/app:1-amd64 example.com/app:1-arm64",))

add_command = Command(
    "add", add, usage="LIST IMAGEORARTIFACT [IMAGEORARTIFACT...]", args=at_least(2),
    summary="Add images or artifacts to a manifest list or image index",
    description="Adds an image or artifact to a manifest list or image index.",
    flags=(_ALL, *_entry_flags("image"),
           Flag("artifact", "", "bool", "add all arguments as artifact files rather than as images"),
           Flag("artifact-config", "", "string", "artifact configuration file"),
           Flag("artifact-config-type", "", "string", "artifact configuration media type"),
           Flag("artifact-exclude-titles", "", "bool", 'refrain from setting "org.opencontainers.image.title" annotations '
                                                       'on "layers"'),
           Flag("artifact-layer-type", "", "string", "artifact layer media type"),
           Flag("artifact-subject", "", "string", "artifact subject reference"),
           Flag("artifact-type", "", "string", "override the artifactType value"),
           AUTHFILE, CERT_DIR, CREDS, INSECURE, TLS_VERIFY),
    examples=("manifest add mylist:v1.11 image:v1.11-amd64", "manifest add mylist:v1.11 transport:imageName"))

annotate_command = Command(
    "annotate", annotate, usage="LIST IMAGEORARTIFACT", args=between(1, 2),
    summary="Add or update information about an entry in a manifest list or image index",
    description="Adds or updates information about an entry in a manifest list or image index.",
    flags=(*_entry_flags("image or artifact"),
           Flag("index", "", "bool", "apply --annotation values to the image index itself"),
           Flag("subject", "", "string", "set the subject to which the image index refers", metavar="subject")),
    examples=("manifest annotate --annotation left=right mylist:v1.11 "
              "sha256:15352d97781ffdf357bf3459c037be3efac4133dc9070c2dce7eca7c05c3e736",))

inspect_command = Command(
    "inspect", inspect, usage="IMAGE", args=exactly(1), summary="Display the contents of a manifest list or image index",
    flags=(AUTHFILE, INSECURE, TLS_VERIFY,
           Flag("verbose", "v", "bool", "Added for Docker compatibility", hidden=True)),
    examples=("manifest inspect localhost/list",))

docker_inspect_command = Command(
    "inspect", docker_inspect, usage="[MANIFEST_LIST] MANIFEST", args=exactly(1),
    summary="Display an image manifest, or manifest list",
    flags=(DOCKER_INSECURE, Flag("verbose", "v", "bool", "Output additional info including layers and platform")),
    examples=("manifest inspect alpine",))

remove_command = Command(
    "remove", remove, usage="LIST DIGEST", args=exactly(2), summary="Remove an item from a manifest list or image index",
    description="Removes an item from a manifest list or image index.",
    examples=("manifest remove mylist:v1.11 "
              "sha256:15352d97781ffdf357bf3459c037be3efac4133dc9070c2dce7eca7c05c3e736",))

rm_command = Command(
    "rm", rm, usage="LIST [LIST...]", args=at_least(1), summary="Remove manifest list or image index from local storage",
    flags=(Flag("ignore", "i", "bool", "Ignore errors when a specified manifest is missing"),),
    examples=("manifest rm mylist:v1.11",))

exists_command = Command(
    "exists", exists, usage="MANIFEST", args=exactly(1), summary="Check if a manifest list exists in local storage",
    description="If the manifest list exists in local storage, podlike manifest exists exits with 0, otherwise the exit "
                "code will be 1.",
    examples=("manifest exists mylist",))
