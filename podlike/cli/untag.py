"""podlike untag: take names from an image."""

from podlike.cli.command import Call, Command, at_least


def untag(call: Call) -> None:
    call.api.images.untag(call.args[0], *call.args[1:])


command = Command(
    "untag", untag, usage="IMAGE [IMAGE...]", args=at_least(1), summary="Remove a name from a local image",
    description="Removes one or more names from a locally-stored image; all of them when none is given.",
    examples=("untag 0e3bbc2", "untag imageID:latest otherImageName:latest",
              "untag httpd myregistryhost:5000/fedora/httpd:v2"))
