"""A command line means the same whether it goes straight to its command or through click's tree."""

import click
import pytest

from podlike.cli import app
from podlike.cli.app import GLOBAL_FLAGS, find_command
from podlike.cli.command import Call, Command
from podlike.cli.commands import ALIASES, COMMANDS
from podlike.cli.session import Session
from podlike.cli.tree import App, Leaf

PATHS = sorted((group, name) for group, rows in COMMANDS.items() for name, row in rows.items() if row[0])
PATHS += sorted((group, alias) for group, alias in ALIASES)


def some_words(command: Command) -> list[str]:
    """A few flags of every kind, and arguments that look like flags."""
    values = {"string": "text", "array": "a=b", "strings": "x,y", "int": "3", "uint": "3", "uints": "3,4", "float": "0.5",
              "duration": "2s"}
    words = []
    for flag in command.flags[:30]:
        words += [f"--{flag.name}"] if flag.kind == "bool" else [f"--{flag.name}", values[flag.kind]]
    return [*words, "first", "--log-level=error", "second", "--", "--third"]


def calls_of(monkeypatch: pytest.MonkeyPatch, command: Command, args: list[str], prog: str) -> list[object]:
    """What the command is called with: straight, then by click."""
    seen: list[object] = []

    def note(call: Call) -> int:
        seen.append((call.path, vars(call.opts), call.args, sorted(f.name for f in command.flags if call.changed(f.name)),
                     call.session.options, call.session.command_path))
        return 7

    command = Command(command.name, note, summary=command.summary, flags=command.flags, interspersed=command.interspersed)

    def only_this(*_: object, **__: object) -> Command:
        return command

    found = {}
    for group, name in PATHS:
        found[group, name] = only_this
    real = find_command
    for module in ("app", "tree"):
        monkeypatch.setattr(f"podlike.cli.{module}.find_command",
                            lambda level, name, *, docker=False: (only_this() if (level, name) in found
                                                                  else real(level, name, docker=docker)))
    assert app.run_in(Session(prog), args) == 7
    assert App().main(args=args, prog_name=prog, standalone_mode=False, obj=Session(prog)) == 7
    return seen


@pytest.mark.parametrize("path", PATHS, ids=[" ".join(filter(None, p)) for p in PATHS])
def test_both_ways_call_the_same(path: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    command = find_command(*path)
    assert isinstance(command, Command)
    words = " ".join(path).split()
    for prog in ("podlike", "docker"):
        straight, by_click = calls_of(monkeypatch, command, ["--log-level", "warning", *words, *some_words(command)], prog)
        assert straight == by_click
        monkeypatch.undo()


def test_click_sees_every_command_and_option() -> None:
    ctx = click.Context(App(), obj=Session("podlike"))

    def walk(group: App) -> int:
        count = 0
        for name in group.list_commands(ctx):
            found = group.get_command(ctx, name)
            if isinstance(found, App):
                count += walk(found)
            else:
                assert isinstance(found, Leaf)
                assert [o.name for o in found.get_params(ctx)] == [f.dest for f in found.command.flags]
                count += 1
        return count

    assert walk(App()) == sum(1 for rows in COMMANDS.values() for row in rows.values() if row[0])
    assert all(f.name for f in GLOBAL_FLAGS)
