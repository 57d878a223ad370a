"""The command line as click sees it: the tables of app.py as click groups, commands and options.

Help, completion and complaints about unknown commands come from here; a command that is simply run goes past it
(app.run_in), because click takes 22 ms to import. Both ways parse with the same code and must mean the same:
tests/unit/test_cli_tree.py.
"""

import sys

import click

from podlike.cli.app import _DOCKER_KEEPS, _DOCKERS, GLOBAL_FLAGS, apply_globals, find_command, read_level, version_line
from podlike.cli.command import Command, Flag, format_flags
from podlike.cli.commands import COMMANDS, GROUP_ABOUT
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.cli.session import Session


class App(click.Group):
    """A level of the command tree: the program itself ("") or one of its groups."""

    def __init__(self, level: str = "") -> None:
        super().__init__(level or "podlike", add_help_option=False, no_args_is_help=False)
        self.level = level
        self.rows = COMMANDS[level]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = find_command(self.level, cmd_name, docker=ctx.obj is not None and ctx.obj.docker)
        return App(found) if isinstance(found, str) else None if found is None else Leaf(found)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = read_level(ctx.obj, self.level, path_of(ctx), args)
        if rest is None:
            sys.stdout.write(self.get_help(ctx) + "\n")
            ctx.exit(0)
        ctx.args = rest
        return rest

    def invoke(self, ctx: click.Context) -> "Any":
        session: Session = ctx.obj
        if not self.level and session.options.get("version"):
            sys.stdout.write(version_line(session.prog) + "\n")
            return 0
        if not ctx.args:
            sys.stdout.write(self.get_help(ctx) + "\n")
            if session.docker:
                return 0
            raise UsageError(f"missing command '{path_of(ctx)} COMMAND'")
        name = ctx.args[0]
        command = self.get_command(ctx, name)
        if command is None:
            raise UsageError(self._unknown(name, path_of(ctx)))
        with command.make_context(name, ctx.args[1:], parent=ctx, obj=session) as sub:
            if not isinstance(command, App):
                apply_globals(session)
            return command.invoke(sub)

    def _unknown(self, name: str, path: str) -> str:
        import difflib

        near = difflib.get_close_matches(name, self.rows, n=3, cutoff=0.6)
        near += [n for n in sorted(self.rows) if n.startswith(name) and n not in near]
        guess = "\n\nDid you mean this?\n\t" + "\n\t".join(near) + "\n" if near else ""
        return f"unrecognized command `{path} {name}`{guess}\nTry '{path} --help' for more information"

    def get_help(self, ctx: click.Context) -> str:
        path = path_of(ctx)
        about = GROUP_ABOUT[self.level]
        shown = sorted(n for n in self.rows if not n.startswith("."))
        width = max(11, *(len(n) for n in shown))
        rows = "\n".join(f"  {n.ljust(width)} {self.rows[n][1]}" for n in shown)
        if self.level:
            return f"{about}\n\nDescription:\n  {about}\n\nUsage:\n  {path} [command]\n\nAvailable Commands:\n{rows}\n"
        flags = format_flags([f for f in GLOBAL_FLAGS if _shown(f, ctx)])
        return f"{about}\n\nUsage:\n  {path} [options] [command]\n\nAvailable Commands:\n{rows}\n\nOptions:\n{flags}\n"


def path_of(ctx: click.Context) -> str:
    """The command as typed: "podlike container ls"."""
    return f"{path_of(ctx.parent)} {ctx.info_name}" if ctx.parent else str(ctx.info_name)


def _shown(flag: Flag, ctx: click.Context) -> bool:
    if ctx.obj.docker:
        return flag.name in _DOCKERS + _DOCKER_KEEPS
    return not flag.hidden and not (flag.name == "remote" and _remote(ctx))


def _remote(ctx: click.Context) -> bool:
    """Whether a service is named already, so that help does not offer --remote."""
    import os

    options = ctx.obj.options
    return bool(options.get("url") or options.get("connection") or os.environ.get("CONTAINER_HOST")
                or os.environ.get("CONTAINER_CONNECTION"))


class Leaf(click.Command):
    """One Command of the tables."""

    def __init__(self, command: Command) -> None:
        super().__init__(command.name, help=command.description, short_help=command.summary, hidden=command.hidden,
                         add_help_option=False)
        self.command = command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        call = self.command.read(ctx.obj, path_of(ctx), args)
        if call is None:
            sys.stdout.write(self.get_help(ctx) + "\n")
            ctx.exit(0)
        ctx.meta["podlike.call"] = call
        ctx.params, ctx.args = vars(call.opts), call.args
        return call.args

    def invoke(self, ctx: click.Context) -> "Any":
        return self.command.invoke(ctx.meta["podlike.call"])

    def get_params(self, ctx: click.Context) -> "list[click.Parameter]":
        return [as_click_option(flag) for flag in self.command.flags]

    def get_help(self, ctx: click.Context) -> str:
        return self.command.help_text(path_of(ctx), modules=ctx.obj.options.get("module", ()) if ctx.obj else ())


def as_click_option(flag: Flag) -> click.Option:
    """The same flag for click's own machinery."""
    names = [f"--{flag.name}", *(f"--{a}" for a in flag.aliases), flag.dest]
    if flag.short:
        names.insert(0, f"-{flag.short}")
    kinds = {"int": click.INT, "uint": click.INT, "float": click.FLOAT}
    if flag.kind == "bool":
        return click.Option(names, is_flag=True, help=flag.help, hidden=flag.hidden)
    return click.Option(names, type=kinds.get(flag.kind, click.STRING), help=flag.help, hidden=flag.hidden,
                        multiple=flag.kind in ("array", "strings", "uints"))
