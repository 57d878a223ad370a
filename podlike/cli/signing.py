"""The signing flags of `manifest push` and `artifact push`, and who they say is to sign."""

from podlike.cli.command import Call, Flag
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.signing import Signer

SIGNING_FLAGS = (
    Flag("sign-by", "", "string", "sign the image using a GPG key with the specified FINGERPRINT", metavar="FINGERPRINT"),
    Flag("sign-by-sigstore", "", "string", "Sign the image using a sigstore parameter file at PATH", metavar="PATH"),
    Flag("sign-by-sigstore-private-key", "", "string", "Sign the image using a sigstore private key at PATH", metavar="PATH"),
    Flag("sign-by-sq-fingerprint", "", "string", "Sign the image using a Sequoia-PGP key with the specified FINGERPRINT",
         metavar="FINGERPRINT"),
    Flag("sign-passphrase-file", "", "string", "Read a passphrase for signing an image from PATH", metavar="PATH"))


def signer(call: Call) -> "Signer | None":
    """Raises: UsageError for what is not supported, ConfigError for a key that cannot be used."""
    from podlike.cli.push import signer_of

    if call.opts.sign_by_sq_fingerprint:
        raise UsageError("--sign-by-sq-fingerprint: signing with Sequoia-PGP is not supported",
                         hint="Sign with --sign-by and a key that gpg knows.")
    return signer_of(call)
