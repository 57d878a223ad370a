"""podlike inspect: everything about containers, images, networks and volumes."""

from podlike.cli.command import Call, Command, Flag, at_least
from podlike.cli.options import LATEST, latest_container, one_container
from podlike.errors import NotFoundError, PodlikeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TYPES = ("all", "container", "image", "network", "pod", "volume")
# Keys whose objects are maps, with names that users chose; every other object has fixed fields.
_MAPS = frozenset(("Annotations", "Config.Volumes", "Data", "Driver_opts", "ExposedPorts", "graphOptions", "Labels", "Networks",
                   "PortBindings", "Ports", "Tmpfs", "Volumes"))

# What Go prints for a map or a list that is not there is empty, not <nil>.
_LISTS = frozenset(("Aliases", "Args", "Binds", "BoundingCaps", "CapAdd", "CapDrop", "Cmd", "CreateCommand", "Devices",
                    "Dns", "DnsOptions", "DnsSearch", "EffectiveCaps", "Entrypoint", "Env", "ExecIDs", "ExtraHosts",
                    "GroupAdd", "Layers", "Links", "Mounts", "OnBuild", "RepoDigests", "RepoTags", "SecurityOpt",
                    "Ulimits", "VolumesFrom"))
# Fields of an image's Config, which its document leaves out when they are empty.
_IMAGE_CONFIG = {"User": "", "ExposedPorts": None, "Env": None, "Entrypoint": None, "Cmd": None, "Volumes": None,
                 "WorkingDir": "", "Labels": None, "StopSignal": "", "ArgsEscaped": False}
# The same of a container's State and Config, so that `{{if .State.Health}}` can be asked.
_CONTAINER_STATE = {"Health": None, "EndReason": ""}
_CONTAINER_CONFIG = {"Healthcheck": None, "StartupHealthCheck": None, "sdNotifySocket": "", "Timezone": "", "ExposedPorts": None}


def inspect(call: Call) -> int:
    kind = call.opts.type
    if kind not in TYPES:
        raise UsageError(f'unknown type "{kind}": must be one of {", ".join(TYPES)}')
    return _run(call, kind)


def inspect_containers(call: Call) -> int:
    return _run(call, "container")


def inspect_images(call: Call) -> int:
    return _run(call, "image")


def _run(call: Call, kind: str) -> int:
    """Print what was found, then complain about what was not."""
    latest = getattr(call.opts, "latest", False)
    if latest and call.args:
        raise UsageError("--latest and arguments cannot be used together")
    if not latest and not call.args:
        raise UsageError("no names or ids specified")
    docs: "list[Any]" = []
    errors: list[PodlikeError] = []
    for name in [None] if latest else call.args:
        try:
            docs.append(_document(call, name, kind))
        except PodlikeError as e:
            errors.append(e)
    _print(call, docs)
    codes = [call.complain(error) for error in errors]
    return codes[-1] if codes else 0


def _document(call: Call, name: str | None, kind: str) -> "Any":
    if kind == "pod":
        return _pod(call, name)
    if name is None:
        return _container(call, None)
    if kind in ("all", "container"):
        try:
            return _container(call, name)
        except NotFoundError:
            if kind == "container":
                raise NotFoundError(f'no such container "{name}"') from None
    if kind == "volume":
        return _volume(call, name)
    if kind == "network":
        return _network(call, name)
    from podlike.engine import imageinspect
    from podlike.engine.images import resolve

    try:
        image = resolve(call.engine, name)
        if getattr(call.opts, "platform", ""):
            from podlike.cli.platform import require_platform

            image = require_platform(call, name, call.opts.platform)
        doc = (imageinspect.docker_document if call.docker else imageinspect.inspect)(call.engine, image)
    except NotFoundError:
        if kind == "image":
            raise
        for find in (_volume, _network, _pod):
            try:
                return find(call, name)
            except NotFoundError:
                continue
        raise NotFoundError(f"No such object: {name}" if call.docker else f'no such object: "{name}"') from None
    return ImageDocument(doc)


def _pod(call: Call, name: str | None) -> "Any":
    from podlike.cli.pod_inspect import document

    return PodDocument(document(call, name))


class VolumeDocument(dict):  # type: ignore[type-arg]
    """A volume's; .volume is its record."""

    volume: "Any" = None


class NetworkDocument(dict):  # type: ignore[type-arg]
    """A network's; .network is what it describes."""

    network: "Any" = None


def _network(call: Call, name: str) -> "Any":
    from podlike.engine.networks import docker_document, document

    network = call.api.networks.get(name, docker=call.docker)
    doc = NetworkDocument(docker_document(network) if call.docker else document(network, containers=True))
    doc.network = network
    return doc


def _volume(call: Call, name: str) -> "Any":
    from podlike.cli.volume_ls import inspected

    volume = call.engine.volumes.get(name) or call.engine.volumes.find(name)
    doc = VolumeDocument(inspected(call, volume))
    doc.volume = volume
    return doc


class ImageDocument(dict):  # type: ignore[type-arg]
    """Tells an image's document from a container's."""


class PodDocument(dict):  # type: ignore[type-arg]
    """Tells a pod's document from the others."""


def _container(call: Call, name: str | None) -> "Any":
    container = latest_container(call) if name is None else one_container(call, name)
    doc = call.api.containers.inspect(container, size=getattr(call.opts, "size", False))
    if not call.docker:
        return doc
    from podlike.cli.dockershape import container as in_docker_shape

    return in_docker_shape(doc, tmpfs=container.spec.tmpfs)


def _print(call: Call, docs: "list[Any]") -> None:
    from podlike.cli.output import format_document, is_json, print_json

    text = call.opts.format
    if is_json(text):
        print_json(docs, indent=4 if call.docker else 5)
        return
    for doc in docs:
        if isinstance(doc, PodDocument):
            from podlike.cli.pod_inspect import go_struct

            format_document(call, go_struct(doc), text)
            continue
        if isinstance(doc, VolumeDocument):
            from podlike.cli.volume_ls import as_struct

            format_document(call, as_struct(call, doc.volume), text)
            continue
        if isinstance(doc, NetworkDocument):
            from podlike.cli.network import shown

            format_document(call, shown(call, doc.network), text)
            continue
        if isinstance(doc, ImageDocument):
            doc["Config"] = {**_IMAGE_CONFIG, **doc["Config"]}
        else:
            doc["State"], doc["Config"] = {**_CONTAINER_STATE, **doc["State"]}, {**_CONTAINER_CONFIG, **doc["Config"]}
        format_document(call, as_structs(doc), text)


def as_structs(doc: "Any", key: str = "") -> "Any":
    """The document with every object of fixed fields as a Struct, so that a misspelt field is an error."""
    from podlike.spec.govalues import Nanoseconds, Struct

    if doc is None:
        return {} if key in _MAPS else [] if key in _LISTS else None
    if isinstance(doc, list):
        return [as_structs(item, key) for item in doc]
    if not isinstance(doc, dict):
        return doc
    inside = {k: as_structs(v, k) for k, v in doc.items()}
    if "Test" in inside:  # a health check
        inside |= {k: Nanoseconds(v) for k, v in inside.items() if isinstance(v, int) and k not in ("Retries", "Successes")}
    return inside if key in _MAPS else Struct(inside)


_FORMAT = Flag("format", "f", "string", "Format the output to a Go template or json", "json")
_SIZE = Flag("size", "s", "bool", "Display total file size")

command = Command(
    "inspect", inspect, usage="{CONTAINER|IMAGE|NETWORK|VOLUME} [...]",
    summary="Display the configuration of object denoted by ID",
    description="Displays the low-level information on an object identified by name or ID.\nFor more inspection options, "
                "see:\n\n    podlike container inspect\n    podlike image inspect\n    podlike network inspect\n"
                "    podlike volume inspect",
    flags=(_FORMAT, LATEST, _SIZE, Flag("type", "t", "string", "Specify inspect-object type", "all")),
    examples=("inspect fedora", "inspect --type image fedora", "inspect CtrID ImgID",
              'inspect --format "imageId: {{.Id}} size: {{.Size}}" fedora'))

container_inspect = Command(
    "inspect", inspect_containers, usage="CONTAINER [CONTAINER...]", summary="Display the configuration of a container",
    description="Displays the low-level information on a container identified by name or ID.",
    flags=(_FORMAT, LATEST, _SIZE),
    examples=("container inspect myCtr", "container inspect -l --format '{{.Id}} {{.Config.Labels}}'"))

_IMAGE_EXAMPLES = ("image inspect alpine", 'image inspect --format "imageId: {{.Id}} size: {{.Size}}" alpine')

image_inspect = Command(
    "inspect", inspect_images, usage="IMAGE [IMAGE...]", args=at_least(1), summary="Display the configuration of an image",
    description="Displays the low-level information of an image identified by name or ID.", flags=(_FORMAT,),
    examples=_IMAGE_EXAMPLES)

docker_image_inspect = Command(
    "inspect", inspect_images, usage="IMAGE [IMAGE...]", args=at_least(1),
    summary="Display detailed information on one or more images",
    flags=(_FORMAT, Flag("platform", "", "string", "Inspect a specific platform of the multi-platform image")),
    examples=_IMAGE_EXAMPLES)
