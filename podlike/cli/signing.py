"""The signing flags of pushes that do not sign: taken, so that they can be refused in words."""

from podlike.cli.command import Call, Flag
from podlike.errors import UsageError

SIGNING_FLAGS = (
    Flag("sign-by", "", "string", "sign the image using a GPG key with the specified FINGERPRINT", metavar="FINGERPRINT"),
    Flag("sign-by-sigstore", "", "string", "Sign the image using a sigstore parameter file at PATH", metavar="PATH"),
    Flag("sign-by-sigstore-private-key", "", "string", "Sign the image using a sigstore private key at PATH", metavar="PATH"),
    Flag("sign-by-sq-fingerprint", "", "string", "Sign the image using a Sequoia-PGP key with the specified FINGERPRINT",
         metavar="FINGERPRINT"),
    Flag("sign-passphrase-file", "", "string", "Read a passphrase for signing an image from PATH", metavar="PATH"))


def refuse_signing(call: Call) -> None:
    """Raises: UsageError when one of them is given."""
    for flag in SIGNING_FLAGS:
        if call.changed(flag.name):
            raise UsageError(f"--{flag.name}: signing while pushing this is not supported",
                             hint="Push without the flag, and sign what is in the registry with cosign or skopeo.")
