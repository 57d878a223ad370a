"""Fields for --format: {{.Na -> {{.Name}}."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final

    from podlike.cli.complete import Line

_FIELDS: "Final" = {
    "container":
        "AppArmorProfile Args BoundingCaps Config ConmonPidFile Created Dependencies Driver EffectiveCaps ExecIDs "
        "GraphDriver HostConfig HostnamePath HostsPath Id Image ImageDigest ImageName IsInfra IsService MountLabel "
        "Mounts Name Namespace NetworkSettings OCIConfigPath OCIRuntime Path PidFile Pod ProcessLabel ResolvConfPath "
        "RestartCount Rootfs SizeRootFs SizeRw State StaticDir",
    "ps":
        "AutoRemove CIDFile Command Created CreatedAt CreatedHuman ExitCode Exited ExitedAt ExposedPorts ID Image "
        "ImageID IsInfra Labels Mounts Names Namespaces Networks Pid Pod PodName Ports Restarts RunningFor Size "
        "StartedAt State Status",
    "images":
        "Containers Created CreatedAt CreatedSince Dangling Digest History ID Labels Names ReadOnly Repository "
        "SharedSize Size Tag VirtualSize",
    "volume":
        "Anonymous CreatedAt Driver GID Labels LockNumber MountCount Mountpoint Name NeedsChown NeedsCopyUp Options "
        "Scope Status StorageID Timeout UID",
    "image":
        "Annotations Architecture Author Comment Config Created Digest GraphDriver History Id Labels ManifestType "
        "NamesHistory Os Parent RepoDigests RepoTags RootFS Size User Version VirtualSize",
    "network":
        "Containers Created DNSEnabled Driver ID Internal IPAMOptions IPv6Enabled Labels Name NetworkDNSServers "
        "NetworkInterface Options Routes Subnets",
    "pod":
        "BlkioDeviceReadBps BlkioWeight CgroupParent CgroupPath Containers CPUPeriod CPUQuota CPUSetCPUs CPUSetMems "
        "CPUShares Created CreateCommand CreateCgroup CreateInfra Devices ExitPolicy Hostname ID InfraConfig "
        "InfraContainerID Labels LockNumber MemoryLimit MemorySwap Mounts Name Namespace NumContainers RestartPolicy "
        "SecurityOpts SharedNamespaces State VolumesFrom",
    "df": "Active Reclaimable RawReclaimable RawSize Size Total Type",
    "events":
        "Attributes ContainerExitCode ContainerInspectData Error HealthStatus ID Image Name Network PodID Status Time "
        "TimeNano Type",
    "version": "Client Server",
    "history": "Comment Created CreatedAt CreatedBy CreatedSince ID Size Tags",
    "search": "Automated Description Index Name Official Stars Tag",
    "stats":
        "AvgCPU BlockIO BlockInput BlockOutput CPU CPUNano CPUPerc ContainerID ID MemLimit MemPerc MemUsage "
        "MemUsageBytes Name NetIO PIDs PIDS Up UpTime",
}
_WHICH: "Final" = {"ps": "ps", "container list": "ps", "images": "images", "image list": "images", "volume ls": "volume",
                   "volume inspect": "volume", "container inspect": "container", "image inspect": "image",
                   "image history": "history",
                   "network inspect": "network", "network ls": "network", "pod inspect": "pod", "system df": "df",
                   "system events": "events", "image search": "search", "container stats": "stats"}


def fields(line: "Line") -> "list[tuple[str, str]]":
    """Candidates for the template as it is typed; beginning with {{. they name fields, else json and table."""
    head, braces, start = line.last.rpartition("{{.")
    if not braces:
        return [(word, "") for word in ("json", "table ", "{{.")]
    return [(f"{head}{{{{.{path}", "") for path in _paths(_document(line), start)]


def _document(line: "Line") -> "Any":
    """What the template is used on: of inspect the object itself, if there is one."""
    if line.level == "info" or line.level == "system info":
        from podlike.engine.info import describe

        return describe(line.session.engine, runtime="")
    if line.level == "inspect":
        return _inspected(line)
    return dict.fromkeys(_FIELDS.get(_WHICH.get(line.level, line.level), "").split(), None)


def _inspected(line: "Line") -> "Any":
    """Of the first name: a container's, image's, volume's, network's or pod's; a container's where nothing is named."""
    kind = "container"
    if line.args:
        from podlike.cli.completers import KINDS

        for word in ("CONTAINER", "IMAGE", "VOLUME", "POD", "NETWORK"):
            names = {name for name, _ in KINDS[word](_typed(line, line.args[0]))[0]}
            if line.args[0] in names:
                kind = word.lower()
                break
    kind = line.given.get("type", kind) if line.given.get("type", "all") != "all" else kind
    if kind == "container":
        return {**dict.fromkeys(_FIELDS["container"].split()), **_container(line)}
    return dict.fromkeys(_FIELDS.get(kind, "").split())


def _typed(line: "Line", word: str) -> "Line":
    """The same line with another word being typed."""
    import copy

    other = copy.copy(line)
    other.last = word
    return other


def _container(line: "Line") -> "dict[str, Any]":
    """The document of the named container, or of any, for what is below its fields."""
    from podlike.engine.inspect import inspect_container
    from podlike.errors import PodlikeError

    engine = line.session.engine
    try:
        if line.args:
            return inspect_container(engine, engine.containers.find(line.args[0]))
        row = engine.db.row("SELECT id FROM containers LIMIT 1")
        return inspect_container(engine, engine.containers.find(row[0])) if row else {}
    except PodlikeError:
        return {}


def _paths(doc: "Any", start: str) -> "Iterable[str]":
    """Field paths that begin so: a struct's go on with a dot, others end the action."""
    above, dot, _ = start.rpartition(".")
    for part in above.split(".") if above else ():
        doc = doc.get(part) if isinstance(doc, dict) else None
    if not isinstance(doc, dict):
        return []
    ends = {key: "." if isinstance(value, dict) and value else "}}" for key, value in doc.items() if key.isidentifier()}
    return [f"{above}{dot}{key}{end}" for key, end in ends.items()]
