"""podlike info: the host, the store, the versions."""

from podlike.cli.command import Call, Command, Flag, no_args
from podlike.cli.options import FORMAT


def info(call: Call) -> None:
    from podlike.cli.output import format_document, to_yaml
    from podlike.engine.info import describe

    if call.changed("format") and not call.opts.format:
        return  # an empty template
    doc = describe(call.engine, runtime=call.session.options["runtime"], debug=call.opts.debug)
    if call.docker:
        from podlike.cli import dockershape

        doc = dockershape.info(doc)
    if not call.opts.format:
        call.out("\n".join(dockershape.info_lines(doc)) + "\n" if call.docker else to_yaml(doc), end="")
        return
    from podlike.cli.inspect import as_structs
    from podlike.cli.output import is_json

    if call.docker and is_json(call.opts.format):
        from podlike.spec.govalues import to_json

        call.out(to_json(doc))
        return
    format_document(call, as_structs(doc), call.opts.format, indent=2)


command = Command(
    "info", info, args=no_args, summary="Display podlike system information",
    description="Display information pertaining to the host, current storage stats, and build of podlike.\n\n"
                "Useful for the user and when reporting issues.",
    flags=(Flag("debug", "D", "bool", "Display additional debug information", hidden=True), FORMAT), examples=("info",))
