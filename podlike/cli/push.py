"""podlike push: copy images to registries."""

import sys

from podlike.cli.command import Call, Command, Flag, between, exactly
from podlike.cli.retries import retry_flags
from podlike.errors import StoreError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.push import Pushed, PushOptions
    from podlike.engine.signing import Signer
    from podlike.spec.transport import Place

# Flags that this version refuses, and why. "" as value: not given.
_REFUSED = {
    "encryption-key": "encrypted images are not supported",
    "encrypt-layer": "encrypted images are not supported",
    "sign-by-sq-fingerprint": "signing with Sequoia-PGP is not supported",
}
_HINTS = {"encrypt": "Push the image without this flag; nothing of it will be encrypted.",
          "sign": "Sign with a GPG key: --sign-by KEY."}


def push(call: Call) -> int:
    from podlike.spec.transport import parse_place

    _check_platform(call, call.args[0])
    place = parse_place(call.args[1]) if len(call.args) > 1 else None
    if place is not None and call.opts.all_tags:
        raise UsageError("--all-tags pushes each image to where its name says", hint="Leave the destination out.")
    if place is not None and place.transport != "docker":
        return _push_to(call, place)
    done = _push(call, call.args[1] if len(call.args) > 1 else None)
    if call.opts.digestfile:
        _write_digest(call.opts.digestfile, done[-1].digest)
    return 0


def _push(call: Call, destination: str | None) -> "list[Pushed]":
    from podlike.cli.progress import make_progress
    from podlike.engine import push as engine

    options, name = _options(call), call.args[0]
    progress = make_progress(quiet=call.opts.quiet, form="auto" if call.docker else call.opts.progress)
    try:
        if call.opts.all_tags:
            return engine.push_all_tags(call.engine, name, options=options, progress=progress)
        return [engine.push(call.engine, name, destination, options=options, progress=progress)]
    finally:
        progress.close()


def _push_to(call: Call, place: "Place") -> int:
    """An archive or a directory instead of a registry."""
    from podlike.cli.progress import make_progress
    from podlike.cli.signals import unwinding
    from podlike.engine.pushto import push_to

    compress, call.opts.compress = call.opts.compress, False
    progress = make_progress(quiet=call.opts.quiet, form=call.opts.progress)
    try:
        with unwinding():
            done = push_to(call.engine, call.args[0], place, _options(call), compress=compress, progress=progress)
    finally:
        progress.close()
    if call.opts.digestfile:
        _write_digest(call.opts.digestfile, done.digest)
    return 0


def docker_push_(call: Call) -> int:
    """docker's spelling: one NAME[:TAG], or all its tags; what was pushed goes to standard output."""
    from podlike.spec.reference import parse_reference

    name = call.args[0]
    reference = parse_reference(name)
    if not call.opts.quiet:
        if ":" not in name.rpartition("/")[2] and not call.opts.all_tags:
            call.out("Using default tag: latest")
        call.out(f"The push refers to repository [{reference.repository}]")
        sys.stdout.flush()
    _check_platform(call, name)
    done = _push(call, reference.name)
    for pushed in done:
        call.out(pushed.name if call.opts.quiet else _docker_line(pushed))
    return 0


def _docker_line(pushed: "Pushed") -> str:
    from podlike.spec.reference import parse_reference

    return f"{parse_reference(pushed.name).tag}: digest: {pushed.digest} size: {pushed.size}"


def _check_platform(call: Call, name: str) -> None:
    if not call.opts.platform:
        return
    from podlike.engine.images import find
    from podlike.spec.image import parse_platform, platform_rank

    config = find(call.engine, name)[0].config
    have = parse_platform("/".join(str(config.get(k)) for k in ("os", "architecture", "variant") if config.get(k)))
    if platform_rank(parse_platform(call.opts.platform), have) != 0:
        raise StoreError(f"push {name}: the image here is of the platform {have}, not {call.opts.platform}",
                         hint=f"Get the other one first: podlike pull --platform {call.opts.platform} {name}.")


def _options(call: Call) -> "PushOptions":
    from podlike.cli.pull import registry_options
    from podlike.engine.push import PushOptions

    o = call.opts
    common = registry_options(call)
    if call.docker:
        return PushOptions(**common)
    for flag, why in _REFUSED.items():
        if call.changed(flag):
            raise UsageError(f"--{flag}: {why}", hint=_HINTS["encrypt" if flag.startswith("encr") else "sign"])
    if o.compress:
        raise UsageError("--compress can only be set when pushing to a directory (dir:PATH)",
                         hint="Layers are compressed on their way to a registry anyway.")
    if o.format == "v2s1":
        raise UsageError("--format v2s1: Docker's schema 1 has been withdrawn", hint="Use oci or v2s2.")
    if o.format and o.format not in ("oci", "v2s2", "docker"):
        raise UsageError(f'unknown format "{o.format}". Choose on of the supported formats: "oci", "v2s1", or "v2s2"')
    if call.changed("compression-format") and o.compression_format not in ("gzip", "zstd"):
        raise UsageError(f"--compression-format {o.compression_format}: not supported", hint="Use gzip or zstd.")
    chosen = call.changed("compression-format")
    return PushOptions(
        format={"docker": "v2s2"}.get(o.format, o.format) or None, compression=o.compression_format if chosen else None,
        level=o.compression_level if call.changed("compression-level") else None,
        force=o.force_compression if call.changed("force-compression") else chosen, signer=signer_of(call), **common)


def signer_of(call: Call) -> "Signer | None":
    """Who the flags say is to sign. Raises: UsageError, ConfigError."""
    o = call.opts
    if not (o.sign_by or o.sign_by_sigstore or o.sign_by_sigstore_private_key):
        return None
    from podlike.engine.signing import Signer

    return Signer(gpg_key=o.sign_by, sigstore_key=o.sign_by_sigstore_private_key, passphrase_file=o.sign_passphrase_file,
                  parameters=o.sign_by_sigstore, ask=_ask_passphrase if sys.stdin.isatty() else None)


def _ask_passphrase(path: str) -> str:
    import getpass

    return getpass.getpass(f"Passphrase for key {path}: ")


def _write_digest(path: str, digest: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as f:
            f.write(digest)
    except OSError as e:
        raise StoreError(f"write --digestfile {path}: {e.strerror}") from e


command = Command(
    "push", push, usage="IMAGE [DESTINATION]", args=between(1, 2), summary="Push an image to a specified destination",
    description="Pushes an image to a registry. The destination is a name with its registry, with or without "
                "docker:// before it; without one the image goes to where its name says.",
    flags=(Flag("all-tags", "a", "bool", "Push all tags of an image to the repository"),
           Flag("authfile", "", "string", "Path of the authentication file. Use REGISTRY_AUTH_FILE environment "
                "variable to override"),
           Flag("cert-dir", "", "string", "Path to a directory containing TLS certificates and keys"),
           Flag("compress", "", "bool", "Compress tarball image layers when pushing to a directory using the 'dir' "
                "transport. (default is same compression type as source)"),
           Flag("compression-format", "", "string", "compression format to use", "gzip"),
           Flag("compression-level", "", "int", "compression level to use"),
           Flag("creds", "", "string", "Credentials (USERNAME:PASSWORD) to use for authenticating to a registry",
                metavar="Credentials"),
           Flag("digestfile", "", "string", "Write the digest of the pushed image to the specified file"),
           Flag("disable-content-trust", "", "bool", "This is a Docker specific option and is a NOOP"),
           Flag("encrypt-layer", "", "array", "Layers to encrypt (refused: not supported)", metavar="ints"),
           Flag("encryption-key", "", "array", "Key to encrypt the image with (refused: not supported)"),
           Flag("force-compression", "", "bool", "Use the specified compression algorithm even if the layers are "
                "compressed differently already"),
           Flag("format", "f", "string", "Manifest type (oci or v2s2) to use in the destination (default is manifest "
                "type of source, with fallbacks)"),
           Flag("platform", "", "string", "Push only if the image is of this platform"),
           Flag("progress", "", "string", "Show progress as auto, plain or json", "auto"),
           Flag("quiet", "q", "bool", "Suppress output information when pushing images"),
           Flag("remove-signatures", "", "bool", "Discard any pre-existing signatures in the image"),
           *retry_flags("push"),
           Flag("sign-by", "", "string", "Add a signature at the destination using the specified key"),
           Flag("sign-by-sigstore", "", "string", "Sign the image using a sigstore parameter file", metavar="PATH"),
           Flag("sign-by-sigstore-private-key", "", "string", "Sign the image using a sigstore private key",
                metavar="PATH"),
           Flag("sign-by-sq-fingerprint", "", "string", "Sign the image using a Sequoia-PGP key", metavar="FINGERPRINT"),
           Flag("sign-passphrase-file", "", "string", "Read a passphrase for signing an image from PATH",
                metavar="PATH"),
           Flag("tls-verify", "", "bool", "Require HTTPS and verify certificates when contacting registries", True)),
    examples=("push imageID docker://registry.example.com/repository:tag", "push localhost:5000/app:1.2"))

docker_command = Command(
    "push", docker_push_, usage="NAME[:TAG]", args=exactly(1), summary="Upload an image to a registry",
    flags=(Flag("all-tags", "a", "bool", "Push all tags of an image to the repository"),
           Flag("disable-content-trust", "", "bool", "Skip image signing", True),
           Flag("platform", "", "string", "Push only if the image is of this platform"),
           Flag("quiet", "q", "bool", "Suppress verbose output")),
    examples=("push localhost:5000/app:1.2",))
