"""podlike image scp: copy an image to another user or another host, or from there."""

import sys

from podlike.cli.command import Call, Command, Flag, between


def image_scp(call: Call) -> None:
    from podlike.engine.imagescp import copy_image
    from podlike.spec.scp import parse_sides

    source, target = parse_sides(call.args[0], call.args[1] if len(call.args) > 1 else "")
    sys.stdout.flush()
    call.out(copy_image(call.engine, source, target, quiet=call.opts.quiet), end="")


command = Command(
    "scp", image_scp, usage="IMAGE [HOST::]", args=between(1, 2), summary="Securely copy images",
    description="Securely copy an image from one host to another.\n\nA side is IMAGE in this store, [USER@]HOST[:PORT]::IMAGE "
                "on another host, or USER@localhost::IMAGE of another user; the name may be left out where it is copied to.",
    flags=(Flag("quiet", "q", "bool", "Suppress the output"),),
    examples=("image scp myimage:latest otherhost::", "image scp user@otherhost::myimage newname",
              "image scp myimage root@localhost::"))
