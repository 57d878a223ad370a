"""podlike image sign: OpenPGP signatures beside a registry."""

import os

from podlike.cli.command import Call, Command, Flag, at_least
from podlike.errors import UsageError


def sign(call: Call) -> None:
    from podlike.engine.access import Access
    from podlike.engine.signing import sign_image

    o = call.opts
    if not o.sign_by:
        raise UsageError("no identity provided", hint="Name the key: --sign-by KEY.")
    if o.directory and not os.path.isdir(o.directory):
        raise UsageError(f"stat {o.directory}: no such directory", hint="Make it first: mkdir DIRECTORY.")
    access = Access(authfile=o.authfile or None, cert_dir=o.cert_dir or None)
    for name in call.args:
        sign_image(call.engine, name, gpg_key=o.sign_by, directory=o.directory or None, every=o.all, access=access)


command = Command(
    "sign", sign, usage="IMAGE [IMAGE...]", args=at_least(1), summary="Sign an image",
    description="Create a signature file that can be used later to verify the image.\n\n"
                "An image in a registry is named docker://NAME; any other name is that of an image that is here.",
    flags=(Flag("all", "a", "bool", "Sign all the manifests of the multi-architecture image"),
           Flag("authfile", "", "string", "Path of the authentication file. Use REGISTRY_AUTH_FILE environment variable "
                "to override"),
           Flag("cert-dir", "", "string", "Pathname of a directory containing TLS certificates and keys",
                metavar="Pathname"),
           Flag("directory", "d", "string", "Define an alternate directory to store signatures"),
           Flag("sign-by", "", "string", "Name of the signing key")),
    examples=("image sign --sign-by mykey docker://registry.example.com/image:tag",
              "image sign --sign-by mykey --directory ./mykeydir imageID"))
