"""Every command: wrong numbers of arguments are refused before anything is done, in words that podman's users know."""

import io
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from podlike.cli.command import Command
from podlike.cli.commands import COMMANDS
from podlike.cli.complete import find
from podlike.cli.later import refuse_later


def commands() -> Iterator[tuple[str, Command]]:
    for level, rows in COMMANDS.items():
        for name in rows:
            found = find(level, name)
            if isinstance(found, Command):
                yield f"{level} {name}".strip(), found


ALL = dict(commands())


@pytest.fixture(autouse=True)
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODLIKE_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("PODLIKE_RUNROOT", str(tmp_path / "run"))


def run(*words: str) -> tuple[int, str, str]:
    from podlike.__main__ import run

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(list(words), "podlike")
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("path", ALL)
def test_there_is_an_example(path: str) -> None:
    assert ALL[path].examples


@pytest.mark.parametrize("path", [p for p, c in ALL.items() if p != "help" and "..." not in c.usage])
def test_too_many_arguments(path: str) -> None:
    usage = ALL[path].usage
    count = len(usage.split())
    code, _, err = run(*path.split(), *(f"x{n}" for n in range(count + 1)))
    assert code == 125
    words = "takes no arguments" if not count else (
        r"requires exactly|accepts at most|too many arguments|accepts \d+ arg\(s\), received|"
        r"accepts between .* arg\(s\), received ")
    assert re.match(f"Error: .*({words})", err), err


@pytest.mark.parametrize("level", [level for level in COMMANDS if level])
def test_groups_want_a_command(level: str) -> None:
    code, out, err = run(*level.split())
    assert code == 125 and "Usage:\n" in out and err.startswith(f"Error: missing command 'podlike {level} COMMAND'")
    code, _, err = run(*level.split(), "NoSuchCommand")
    assert code == 125 and err.startswith(f"Error: unrecognized command `podlike {level} NoSuchCommand`")


def test_a_slip_of_the_fingers_is_guessed() -> None:
    code, _, err = run("imagse")
    assert code == 125 and "Did you mean this?\n\timage\n\timages\n" in err
    assert "\tvolume\n" in run("volumes")[2] and "\tinspect\n" in run("volume", "inspct")[2]


def test_no_command_is_both_there_and_refused() -> None:
    for level, rows in COMMANDS.items():
        for name in rows:
            refuse_later(level, name, "podlike")
