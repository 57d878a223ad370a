""".network, .volume, .image, .artifact and .build files: services that make something once."""

from podlike.quadlet import options
from podlike.quadlet.translation import Translation, oneshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_FETCH: "Final" = (("AuthFile", "--authfile"), ("CertDir", "--cert-dir"), ("Creds", "--creds"),
                   ("DecryptionKey", "--decryption-key"), ("Retry", "--retry"), ("RetryDelay", "--retry-delay"))
_IMAGE: "Final" = (("Arch", "--arch"), ("OS", "--os"), ("Policy", "--policy"), ("Variant", "--variant"))
_BUILD: "Final" = (("Arch", "--arch"), ("AuthFile", "--authfile"), ("IgnoreFile", "--ignorefile"), ("Target", "--target"),
                   ("Variant", "--variant"), ("Retry", "--retry"), ("RetryDelay", "--retry-delay"))
_BUILD_REPEATED: "Final" = (("DNS", "--dns"), ("DNSOption", "--dns-option"), ("DNSSearch", "--dns-search"),
                            ("GroupAdd", "--group-add"), ("ImageTag", "--tag"))
_BUILD_PAIRS: "Final" = (("BuildArg", "--build-arg"), ("Environment", "--env"), ("Label", "--label"),
                         ("Annotation", "--annotation"))
_NETWORK_FLAGS: "Final" = (("DisableDNS", "--disable-dns"), ("Internal", "--internal"), ("IPv6", "--ipv6"))
_NETWORK: "Final" = (("Driver", "--driver"), ("IPAMDriver", "--ipam-driver"), ("InterfaceName", "--interface-name"))


def network(t: Translation) -> None:
    """Raises: RefusedUnit."""
    name = t.entry.resource
    if t.flag("NetworkDeleteOnStop"):
        t.execute("ExecStopPost", t.command("network", "rm", name))
    create = t.command("network", "create", "--ignore", *t.booleans(_NETWORK_FLAGS), *t.strings(_NETWORK))
    create += t.repeated((("DNS", "--dns"),)) + _subnets(t)
    create += t.repeated_pairs((("Options", "--opt"), ("Label", "--label"))) + t.extra()
    t.execute("ExecStart", [*create, name])
    oneshot(t, stays=True)


def _subnets(t: Translation) -> list[str]:
    """The first gateway and the first range belong to the first subnet, and so on."""
    subnets, gateways, ranges = t.all("Subnet"), t.all("Gateway"), t.all("IPRange")
    if not subnets and (gateways or ranges):
        t.refuse("cannot set gateway or range without subnet", "Gateway", "IPRange")
    if len(gateways) > len(subnets):
        t.refuse("cannot set more gateways than subnets", "Gateway")
    if len(ranges) > len(subnets):
        t.refuse("cannot set more ranges than subnets", "IPRange")
    out = []
    for i, subnet in enumerate(subnets):
        out += ["--subnet", subnet]
        out += ["--gateway", gateways[i]] if i < len(gateways) else []
        out += ["--ip-range", ranges[i]] if i < len(ranges) else []
    return out


def volume(t: Translation) -> None:
    """Raises: RefusedUnit."""
    create = t.command("volume", "create", "--ignore")
    for key, flag in (("UID", "--uid"), ("GID", "--gid"), ("Driver", "--driver")):
        value = t.given(key)
        create += [] if value is None else [flag, value]
    if t.text("Driver") == "image":
        image = t.given("Image")
        if image is None:
            t.refuse("the key Image is mandatory when using the image driver", "Driver")
        create += ["--opt", f"image={options.image_source(t, image)}"]
    else:
        create += _volume_options(t)
    create += t.repeated_pairs((("Label", "--label"),)) + t.extra()
    t.execute("ExecStart", [*create, t.entry.resource])
    oneshot(t, stays=True)


def _volume_options(t: Translation) -> list[str]:
    """--opt for what mount(8) is told."""
    out = []
    if t.line("Copy") is not None:
        out += ["--opt", "copy" if t.flag("Copy") else "nocopy"]
    device, kind = t.text("Device"), t.text("Type")
    if device:
        out += ["--opt", f"device={device}"]
    if kind:
        if not device:
            t.refuse("key Type can't be used without Device", "Type")
        out += ["--opt", f"type={kind}"]
        if kind == "bind":
            t.need_mount(device)
    given = [f"{word}={options.unsigned(t.text(key))}" for key, word in (("User", "uid"), ("Group", "gid"))
             if t.line(key) is not None]
    given += [t.text("Options")] if t.text("Options") else []
    return [*out, "--opt", f"o={','.join(given)}"] if given else out


def image(t: Translation) -> None:
    """Raises: RefusedUnit."""
    name = t.text("Image")
    if not name:
        t.refuse("no Image key specified", "Image")
    pull = t.command("image", "pull", *t.strings((*_IMAGE, *_FETCH)))
    pull += t.booleans((("AllTags", "--all-tags"), ("TLSVerify", "--tls-verify"))) + t.extra()
    t.execute("ExecStart", [*pull, name])
    oneshot(t, stays=True)
    t.entry.resource = t.text("ImageTag") or name


def artifact(t: Translation) -> None:
    """Raises: RefusedUnit."""
    name = t.text("Artifact")
    if not name:
        t.refuse("no Artifact key specified", "Artifact")
    pull = t.command("artifact", "pull", *t.strings(_FETCH))
    pull += t.booleans((("Quiet", "--quiet"), ("TLSVerify", "--tls-verify"))) + t.extra()
    t.execute("ExecStart", [*pull, name])
    oneshot(t, stays=True)
    t.entry.resource = name


def build(t: Translation) -> None:
    """Raises: RefusedUnit."""
    if not t.entry.resource:
        t.refuse("no ImageTag key specified", "ImageTag")
    command = t.command("build")
    if t.text("Pull"):
        command.append(f"--pull={t.text('Pull')}")
    command += t.strings(_BUILD) + t.booleans((("TLSVerify", "--tls-verify"), ("ForceRM", "--force-rm")))
    command += t.repeated(_BUILD_REPEATED) + t.repeated_pairs(_BUILD_PAIRS) + options.networks(t)
    command += t.repeated_arguments((("Secret", "--secret"),)) + options.volumes(t)
    context = options.working_directory(t)
    directory, file = t.setting("WorkingDirectory"), t.text("File")
    if not directory and not file and not context:
        t.refuse("neither SetWorkingDirectory, nor File key specified", "ImageTag")
    command += (["--file", file] if file else []) + t.extra()
    if context:
        command.append(context)
    elif not (file.startswith("/") or file[:1] == "%" != file[1:2] or options.is_url(file)):
        if not directory:
            t.refuse("relative path in File key requires SetWorkingDirectory key to be set", "File")
        command.append(directory)
    t.execute("ExecStart", command)
    oneshot(t, stays=False)
