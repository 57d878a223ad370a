"""Options that several kinds of Quadlets have: networks, volumes, users and their mappings, images, directories."""

import os.path

from podlike.quadlet import words
from podlike.quadlet.translation import Translation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_REMAP_KEYS: "Final" = ("RemapUid", "RemapGid", "RemapUsers")


def networks(t: Translation) -> list[str]:
    """--network for each Network; NAME.network and NAME.container are other Quadlets."""
    out = []
    for network in t.all("Network"):
        name, colon, options = network.partition(":")
        if name.endswith((".network", ".container")):
            entry = t.other(name, f"requested Quadlet unit {name} was not found", "Network")
            resource = t.resource(entry, "Network")
            t.need(entry.service)
            if name.endswith(".container"):
                if colon:
                    t.refuse("extra options are not supported when joining another container's network", "Network")
                network = f"container:{resource}"
            else:
                network = resource + colon + options
        out += ["--network", network]
    return out


def volumes(t: Translation) -> list[str]:
    """-v for each Volume."""
    out = []
    for volume in t.all("Volume"):
        source, colon, rest = volume.partition(":")
        if not colon:
            out += ["-v", source]
        elif not source:
            out += ["-v", rest.partition(":")[0]]
        else:
            out += ["-v", f"{storage_source(t, source, 'Volume')}:{rest}"]
    return out


def storage_source(t: Translation, source: str, key: str, *, images: bool = False) -> str:
    """A path of the host made absolute, or what another Quadlet makes; anything else as it is.

    images: NAME.image is a Quadlet too.
    """
    if not source:
        t.refuse("source cannot be empty", key)
    if source[0] == ".":
        source = t.absolute(source)
    if source[0] == "/":
        t.need_mount(source)
    elif source.endswith((".volume", ".artifact")) or (images and source.endswith(".image")):
        entry = t.other(source, f"requested Quadlet source {source} was not found", key)
        t.need(entry.service)
        return t.resource(entry, key)
    return source


def image_source(t: Translation, name: str) -> str:
    """NAME.image and NAME.build are other Quadlets, whose image it is."""
    if name.endswith((".build", ".image")):
        entry = t.other(name, f"requested Quadlet image {name} was not found", "Image")
        t.need(entry.service)
        return t.resource(entry, "Image")
    return name


def mounts(t: Translation) -> list[str]:
    """--mount for each Mount."""
    out = []
    for line, mount in t.placed_arguments("Mount"):
        try:
            fields = words.split_fields(mount)
        except words.WordError as e:
            t.refuse(f"parse {line.value}: {e}", "Mount", about_text=True)
        out += ["--mount", _mount(t, mount, fields)]
    return out


def _mount(t: Translation, mount: str, fields: list[str]) -> str:
    kinds = [f for f in fields if f.startswith("type=") and f.count("=") == 1]
    kind = kinds[0].removeprefix("type=") if kinds else "volume"
    if kind not in ("volume", "bind", "glob", "image", "artifact"):
        return mount
    if kinds:
        fields.remove(kinds[0])
    source = ""
    at = -1
    for i, field in enumerate(fields):
        name, equals, value = field.partition("=")
        if name in ("source", "src"):
            if not equals:
                t.refuse("source parameter does not include a value", "Mount")
            at, source = i, value
    if source:
        fields[at] = f"source={storage_source(t, source, 'Mount', images=True)}"
    elif kind == "volume" and not any(f.startswith(("destination=", "dst=", "target=")) for f in fields):
        t.refuse("source cannot be empty", "Mount", about_text=True)
    elif kind != "volume":
        t.refuse(f"source parameter is required for mount type {kind}", "Mount")
    return words.join_fields([f"type={kind}", *fields])


def user(t: Translation) -> list[str]:
    name, group = t.text("User"), t.text("Group")
    if not name:
        if group:
            t.refuse("invalid Group set without User", "Group")
        return []
    return ["--user", f"{name}:{group}" if group else name]


def user_mappings(t: Translation, *, manual: bool) -> list[str]:
    """--userns, --uidmap and so on. manual: RemapUsers=manual makes sense for this kind."""
    out = [*t.strings((("UserNS", "--userns"),)),
           *t.repeated_names((("UIDMap", "--uidmap"), ("GIDMap", "--gidmap"))),
           *t.strings((("SubUIDMap", "--subuidname"), ("SubGIDMap", "--subgidname")))]
    if not out:
        return _remap(t, manual=manual)
    if any(t.line(key) is not None for key in _REMAP_KEYS):
        t.refuse("deprecated Remap keys are set along with explicit mapping keys", *_REMAP_KEYS)
    return out


def _remap(t: Translation, *, manual: bool) -> list[str]:
    """The keys that UserNS, UIDMap and GIDMap have taken the place of."""
    uids, gids, how = t.names("RemapUid"), t.names("RemapGid"), t.text("RemapUsers")
    if not how:
        for name, values, key in (("UidMap", uids, "RemapUid"), ("GidMap", gids, "RemapGid")):
            if values:
                t.refuse(f"{name} set without RemapUsers", key)
        return []
    if how == "manual":
        if not manual:
            t.refuse("RemapUsers=manual is not supported", "RemapUsers")
        return [*(w for uid in uids for w in ("--uidmap", uid)), *(w for gid in gids for w in ("--gidmap", gid))]
    if how == "auto":
        size = unsigned(t.text("RemapUidSize"))
        options = [*(f"uidmapping={u}" for u in uids), *(f"gidmapping={g}" for g in gids), *([f"size={size}"] if size else ())]
    elif how == "keep-id":
        for values, word, key in ((uids, "UID", "RemapUid"), (gids, "GID", "RemapGid")):
            if len(values) > 1:
                t.refuse(f"RemapUsers=keep-id supports only a single value for {word} mapping", key)
        options = [*(f"uid={u}" for u in uids), *(f"gid={g}" for g in gids)]
    else:
        t.refuse(f"unsupported RemapUsers option '{how}'", "RemapUsers", about_text=True)
    return ["--userns", f"{how}:{','.join(options)}" if options else how]


def unsigned(text: str) -> int:
    """A number in decimal, octal (0...) or hexadecimal (0x...); 0 for what is none, or does not fit 32 bits."""
    base = 16 if text[:2].lower() == "0x" else 8 if text[:1] == "0" else 10
    try:
        value = int(text, base)
    except ValueError:
        return 0
    return value if 0 <= value < 1 << 32 else 0


def is_url(text: str) -> bool:
    """What `build` fetches its context from."""
    return text.startswith(("http", "git://")) or bool(text.partition("github.com/")[2])


def working_directory(t: Translation) -> str:
    """Set WorkingDirectory as SetWorkingDirectory wants it; returns the build context that it names instead, or ""."""
    value = t.text("SetWorkingDirectory")
    if not value:
        return ""
    context, beside = "", t.unit.path.replace("%", "%%")
    word = value.lower()
    if word == "yaml":
        beside = _yaml(t, value)
    elif word == "file":
        if t.group != "Build":
            t.refuse(f"SetWorkingDirectory={value} is only supported in .build files", "SetWorkingDirectory")
        if t.line("File") is None:
            t.refuse("no File key specified", "SetWorkingDirectory")
        beside = t.text("File")
    elif word != "unit":
        if t.group != "Build":
            t.refuse(f"unsupported value for WorkingDirectory: {value} ", "SetWorkingDirectory", about_text=True)
        context = value
        if value.startswith("/"):
            beside = ""
    if not beside or is_url(context):
        return context
    if t.unit.text("Service", "WorkingDirectory"):
        return ""
    t.service.add("Service", "WorkingDirectory", os.path.dirname(t.absolute(beside)))
    return context


def _yaml(t: Translation, value: str) -> str:
    """The one YAML file whose directory is meant."""
    if t.group != "Kube":
        t.refuse(f"SetWorkingDirectory={value} is only supported in .kube files", "SetWorkingDirectory")
    paths = t.names("Yaml")
    if not paths:
        t.refuse("no Yaml key specified", "SetWorkingDirectory")
    if len(paths) != 1:
        t.refuse("SetWorkingDirectory=yaml is only supported when a single Yaml key is provided", "SetWorkingDirectory")
    return paths[0]
