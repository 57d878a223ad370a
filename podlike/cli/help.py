"""podlike help [COMMAND...]."""

from podlike.cli.command import Call, Command
from podlike.errors import UsageError


def help_(call: Call) -> None:
    import click

    from podlike.cli.tree import App

    command: click.Command = App()
    ctx = click.Context(command, info_name=call.session.prog, obj=call.session)
    for word in call.args:
        found = command.get_command(ctx, word) if isinstance(command, App) else None
        if found is None:
            raise UsageError(f'unknown help topic "{" ".join(call.args)}"',
                             hint=f"`{call.session.prog} --help` lists the commands.")
        command = found
        ctx = click.Context(command, info_name=word, parent=ctx, obj=call.session)
    call.out(command.get_help(ctx))


command = Command("help", help_, usage="[command]", summary="Help about any command",
                  description="Help provides help for any command in the application.",
                  examples=("help run", "help container ls"))
