"""podlike image tree: the layers of an image."""

from podlike.cli.command import Call, Command, Flag, exactly


def image_tree(call: Call) -> None:
    from podlike.engine.imageinspect import tree
    from podlike.engine.images import resolve

    call.out(tree(call.engine, resolve(call.engine, call.args[0]), children=call.opts.whatrequires))


command = Command(
    "tree", image_tree, usage="IMAGE", args=exactly(1), summary="Print layer hierarchy of an image in a tree format",
    flags=(Flag("whatrequires", "", "bool", "Show all child images and layers of the specified image"),),
    examples=("image tree alpine:latest",))
