"""podlike pull: copy images from registries."""

import sys

from podlike.cli.command import Call, Command, Flag, at_least
from podlike.cli.retries import retry_flags
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from podlike.engine.fetch import Progress
    from podlike.engine.pull import PullOptions


def pull(call: Call) -> int:
    from podlike.cli.progress import make_progress

    if call.changed("decryption-key"):
        raise UsageError("--decryption-key: encrypted images are not supported",
                         hint="Ask for the image without encryption, or decrypt it with skopeo copy --decryption-key.")
    options = _options(call)
    progress = make_progress(quiet=call.opts.quiet, form=call.opts.progress)
    return call.each(call.args, lambda name: _one(call, name, options, progress))


def _one(call: Call, name: str, options: "PullOptions", progress: "Progress") -> str:
    """Pull one name; what is to be printed: full ids, one a line, or the full name when called as docker."""
    try:
        if call.opts.all_tags:
            images = call.api.images.pull_all_tags(name, options=options, progress=progress)
            return "\n".join(image.id for image in images)
        image = call.api.images.pull(name, policy=call.opts.policy.lower(), options=options, progress=progress)
    finally:
        progress.close()
    if not call.docker:
        return image.id
    from podlike.engine.pull import shown_name

    return shown_name(image, name)


def _options(call: Call) -> "PullOptions":
    from podlike.engine.pull import PullOptions

    return PullOptions(
        platform=platform_words(call), **registry_options(call),
        choose=_choose if sys.stdin.isatty() and sys.stderr.isatty() and not call.opts.quiet else None,
        signature_policy=call.opts.signature_policy or None)


def registry_options(call: Call) -> "dict[str, Any]":
    """What pull and push have in common, by the names of their options; docker's push has none of the flags."""
    if not hasattr(call.opts, "tls_verify"):
        return {}
    o = call.opts
    return {"tls_verify": o.tls_verify if call.changed("tls-verify") else None, "creds": _creds(o.creds),
            "authfile": o.authfile or None, "cert_dir": o.cert_dir or None,
            "retries": o.retry if call.changed("retry") else None,
            "retry_delay": _delay(o.retry_delay)}


def _delay(text: str) -> float | None:
    from podlike.spec.durations import parse_duration

    try:
        return parse_duration(text) if text else None
    except UsageError as e:
        raise UsageError(e.message) from None  # podman's line, and nothing below it, is what scripts compare


def platform_words(call: Call) -> str | None:
    """OS/ARCH[/VARIANT] as --platform, or --os, --arch and --variant say it; None: this machine's."""
    from podlike.spec.image import host_platform

    o = call.opts
    if not (o.arch or o.os or o.variant):
        return str(o.platform) or None
    if o.platform:
        raise UsageError("--platform option can not be specified with --arch or --os")
    host = host_platform()
    parts = [o.os or host.os, o.arch or host.architecture, o.variant or ("" if o.arch else host.variant)]
    return "/".join(p for p in parts if p)


def _creds(text: str) -> str | None:
    if text and ":" not in text and sys.stdin.isatty():
        import click

        text += ":" + click.prompt("Password", hide_input=True, err=True)
    return text or None


def _choose(names: "Sequence[str]") -> str:
    """Ask which registry a short name means."""
    import click

    for n, name in enumerate(names, 1):
        click.echo(f"  {n}) {name}", err=True)
    return names[int(click.prompt("Please select an image", type=click.IntRange(1, len(names)), err=True)) - 1]


command = Command(
    "pull", pull, usage="IMAGE [IMAGE...]", args=at_least(1), summary="Pull an image from a registry",
    description="Pulls an image from a registry and stores it locally.\n\n"
                "An image can be pulled by tag or digest. If a tag is not specified, the image with the 'latest' tag "
                "is pulled.",
    flags=(Flag("all-tags", "a", "bool", "All tagged images in the repository will be pulled"),
           Flag("arch", "", "string", "Use ARCH instead of the architecture of the machine for choosing images",
                metavar="ARCH", aliases=("override-arch",)),
           Flag("authfile", "", "string", "Path of the authentication file. Use REGISTRY_AUTH_FILE environment "
                "variable to override"),
           Flag("cert-dir", "", "string", "Path of a directory containing TLS certificates and keys",
                metavar="Pathname"),
           Flag("creds", "", "string", "Credentials (USERNAME:PASSWORD) to use for authenticating to a registry",
                metavar="Credentials"),
           Flag("decryption-key", "", "array", "Key needed to decrypt the image (refused: not supported)"),
           Flag("disable-content-trust", "", "bool", "This is a Docker specific option and is a NOOP"),
           Flag("os", "", "string", "Use OS instead of the running OS for choosing images", metavar="OS",
                aliases=("override-os",)),
           Flag("platform", "", "string", "Specify the platform for selecting the image.  (Conflicts with arch and "
                "os)"),
           Flag("policy", "", "string", 'Pull image policy ("always"|"missing"|"never"|"newer")', "always"),
           Flag("progress", "", "string", "Show progress as auto, plain or json", "auto"),
           Flag("quiet", "q", "bool", "Suppress output information when pulling images"),
           *retry_flags("pull"),
           Flag("signature-policy", "", "string", "Pathname of signature policy file (not usually used)", hidden=True),
           Flag("tls-verify", "", "bool", "Require HTTPS and verify certificates when contacting registries", True),
           Flag("variant", "", "string", "Use VARIANT instead of the running architecture variant for choosing "
                "images", aliases=("override-variant",))),
    examples=("pull imageName", "pull fedora:latest"))
