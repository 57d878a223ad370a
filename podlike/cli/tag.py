"""podlike tag: give an image further names."""

from podlike.cli.command import Call, Command, at_least


def tag(call: Call) -> None:
    call.api.images.tag(call.args[0], *call.args[1:])


command = Command(
    "tag", tag, usage="IMAGE TARGET_NAME [TARGET_NAME...]", args=at_least(2),
    summary="Add an additional name to a local image",
    description="Adds one or more additional names to locally-stored image.",
    examples=("tag 0e3bbc2 fedora:latest", "tag imageID:latest myNewImage:newTag",
              "tag httpd myregistryhost:5000/fedora/httpd:v2"))
