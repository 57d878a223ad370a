"""Completion as shells ask for it, and manual pages: from the tables that commands are made of."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from podlike.cli.command import Command
from podlike.cli.commands import COMMANDS
from podlike.cli.complete import find
from tests.support.engine import Engine
from tests.support.need import need

DEFAULT, NO_SPACE, NO_FILES = "Default", "NoSpace", "NoFileComp"


@pytest.fixture(scope="module")
def names(session_engine: Engine, image: str) -> Iterator[dict[str, str]]:
    """Containers in four states, and one of each other thing."""
    e = session_engine
    e("create", "--name", "created-c", image)
    e("run", "-d", "--name", "running-c", "--network", "none", image, "sleep", "1000")
    e("run", "-d", "--name", "again-c", "--network", "none", "--stop-timeout", "0", image, "sleep", "1000")
    e("stop", "again-c")
    e("run", "-d", "--name", "paused-c", "--network", "none", image, "sleep", "1000")
    e("pause", "paused-c")
    e("volume", "create", "v-one")
    e("tag", image, "i-short:5")
    yield {"CONTAINER": "-c", "IMAGE": "localhost/i-short:5", "VOLUME": "v-one"}
    e("rm", "-f", "-t", "0", "created-c", "running-c", "again-c", "paused-c")
    e("volume", "rm", "v-one")
    e("rmi", "localhost/i-short:5")


def complete(engine: Engine, *words: str) -> tuple[list[str], list[str]]:
    """(candidates without their descriptions, directives)"""
    done = engine("__completeNoDesc", *words)
    *candidates, number = done.stdout.splitlines()
    last = done.stderr.splitlines()[-1].removeprefix("Completion ended with directive: ")
    directives = [word.removeprefix("ShellCompDirective") for word in last.split(", ")]
    assert re.fullmatch(r":\d+", number) and (number == ":0") == (directives == [DEFAULT])
    return candidates, directives


def commands() -> Iterator[tuple[str, Command]]:
    for level, rows in COMMANDS.items():
        for name in rows:
            found = find(level, name)
            if isinstance(found, Command) and name != "help":
                yield f"{level} {name}".strip(), found


def test_every_word_of_every_usage_line(session_engine: Engine, names: dict[str, str]) -> None:
    """As podman's own test: what a usage line names is offered, and nothing behind its end."""
    from podlike.cli.complete import NO_FILES as NONE
    from podlike.cli.complete import answer
    from podlike.cli.session import Session

    def ask(*words: str) -> tuple[list[str], int]:
        roots = ["--root", session_engine.data, "--runroot", session_engine.run_dir]
        found, directive = answer(Session("podlike"), [*roots, *words])
        return [value for value, _ in found], directive

    for path, command in commands():
        words = path.split()
        before: list[str] = []
        if any(not f.hidden for f in command.flags):
            flags, directive = ask(*words, "--")
            assert directive == NONE and len(flags) > 2 and all(f.startswith("--") for f in flags), path
        for word in command.usage.split():
            for _ in range(2 if "..." in word else 1):
                if "COMMAND" not in word and "ARG" not in word and not path.endswith("cp"):
                    offered, directive = ask(*words, *before, "")
                    for kind, name in names.items():
                        if kind in word:
                            assert any(o.endswith(name) for o in offered), (path, word, offered)
                            assert directive == NONE, path
                before.append("arg")
        if "..." not in command.usage:
            assert ask(*words, *before, "") == ([], NONE), path


def test_states(session_engine: Engine, names: dict[str, str]) -> None:
    assert complete(session_engine, "start", "")[0] == ["again-c", "created-c"]
    assert complete(session_engine, "exec", "-it", "")[0] == ["running-c"]
    assert complete(session_engine, "unpause", "")[0] == ["paused-c"]
    assert complete(session_engine, "container", "stop", "-t", "5", "running-c", "")[0] == ["paused-c"]
    assert complete(session_engine, "rm", "-f", "again-c", "c")[0] == ["created-c"]


def test_options_and_their_values(session_engine: Engine, names: dict[str, str]) -> None:
    assert complete(session_engine, "run", "--pul") == (["--pull"], [NO_FILES])
    assert complete(session_engine, "run", "--pull", "") == (["always", "missing", "never", "newer"], [NO_FILES])
    assert complete(session_engine, "run", "--pull=ne")[0] == ["never", "newer"]
    assert complete(session_engine, "run", "-v", "")[0] == ["v-one:"]
    assert complete(session_engine, "load", "--input", "") == ([], [DEFAULT])
    assert complete(session_engine, "ps", "--filter", "status=ru")[0] == ["status=running"]
    assert complete(session_engine, "volume", "ls", "-f", "dang") == (["dangling="], [NO_SPACE, NO_FILES])
    assert complete(session_engine, "stop", "--time", "") == ([], [NO_FILES])
    assert "net.ipv4." in complete(session_engine, "run", "--sysctl", "net.")[0]
    assert "--all" not in complete(session_engine, "ps", "--all", "--a")[0]  # given already
    assert complete(session_engine, "run", "i-short:5", "sh", "--pul") == ([], [DEFAULT])  # the container's own
    assert complete(session_engine, "inspect", "v-one", "-f", "{{.Ano")[0] == ["{{.Anonymous}}"]
    assert complete(session_engine, "inspect", "running-c", "-f", "{{.State.Pi")[0] == ["{{.State.Pid}}"]


def test_images_by_name_and_id(session_engine: Engine, names: dict[str, str]) -> None:
    iid = session_engine("images", "-q", "i-short").line
    assert "localhost/i-short:5" in complete(session_engine, "run", "")[0]
    assert "i-short:5" in complete(session_engine, "run", "--rm", "i")[0]
    assert complete(session_engine, "rmi", iid[:2])[0] == [iid]


def test_paths_inside(session_engine: Engine, names: dict[str, str]) -> None:
    assert {"/bin/", "/etc/"} <= set(complete(session_engine, "run", "i-short:5", "")[0])
    assert "/etc/passwd" in complete(session_engine, "run", "i-short:5", "/etc")[0]
    assert complete(session_engine, "create", "i-short:5", "/etc/pass") == (["/etc/passwd"], [NO_SPACE])
    assert "etc/" in complete(session_engine, "run", "i-short:5", "e")[0]
    assert "../../etc/" in complete(session_engine, "run", "i-short:5", "../../")[0]
    session_engine("exec", "running-c", "sh", "-c", "mkdir /new && touch /new/file && rm /etc/group; ln -s new /link")
    assert complete(session_engine, "exec", "running-c", "/new/f")[0] == ["/new/file"]
    assert complete(session_engine, "exec", "running-c", "/link/")[0] == ["/link/file"]
    assert "/etc/group" not in complete(session_engine, "exec", "running-c", "/etc/")[0]


def test_asking_makes_nothing_and_takes_no_time(session_engine: Engine, tmp_path: Path) -> None:
    begin = time.monotonic()
    assert complete(session_engine, "--root", f"{tmp_path}/none", "volume", "rm", "") == ([], [NO_FILES])
    assert time.monotonic() - begin < 2 and not (tmp_path / "none").exists()
    assert complete(session_engine, "nosuch", "") == ([], [DEFAULT])
    assert complete(session_engine, "rm", "--nosuch", "x") == ([], [NO_FILES])


# --- shells ---

def shell(engine: Engine, *argv: str, script: str) -> str:
    need(shutil.which(argv[0]), f"{argv[0]}: apt-get install {argv[0]}")
    env = {**engine.env, "PATH": f"{os.path.dirname(engine.bin)}:{os.environ['PATH']}", "PROG": os.path.basename(engine.bin)}
    done = subprocess.run([*argv, script], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


BASH = """
source <(podlike completion bash)
compopt() { :; }
try() {
    COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9; shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    __podlike_complete
    printf '%s|' "${COMPREPLY[@]}"; echo
}
try 'podlike volume in' podlike volume in
try 'podlike rmi localhost/i-short:' podlike rmi localhost/i-short : ''
try 'podlike run --pull=ne' podlike run --pull = ne
try 'podlike volume rm "v-' podlike volume rm '"v-'
try 'podlike ps --filter status=ru' podlike ps --filter status = ru
try 'podlike system re' podlike system re
"""


def test_bash(session_engine: Engine, names: dict[str, str]) -> None:
    need(os.path.basename(session_engine.bin) == "podlike", "the program under test must be called podlike", optional=True)
    assert shell(session_engine, "bash", "-c", script=BASH).splitlines() == [
        "inspect|", "5|", "never|newer|", "v-one|", "running|",
        "renumber  (Migrate lock numbers)|reset     (Reset podlike storage back to default state)|"]


FISH = """
podlike completion fish | source
complete -C 'podlike volume in'; complete -C 'podlike run --pull=ne'; complete -C 'podlike volume rm v-'
complete -C 'podlike ps --filter status=ru'; complete -C 'podlike load -i /etc/passw'
"""


def test_fish(session_engine: Engine, names: dict[str, str]) -> None:
    need(os.path.basename(session_engine.bin) == "podlike", "the program under test must be called podlike", optional=True)
    said = shell(session_engine, "fish", "-c", script=FISH).splitlines()
    assert said[0].startswith("inspect\tDisplay") and said[1:5] == ["--pull=never", "--pull=newer", "v-one", "status=running"]
    assert "/etc/passwd" in said


# What is asked of zsh's completion system is printed instead.
ZSH = """
compdef() { :; }
_describe() { print -rl -- "${(@P)3}"; }
_files() { print files; }
source <(podlike completion zsh)
try() { words=("$@"); CURRENT=$#; _podlike; print -; }
try podlike volume in; try podlike run --pull=ne; try podlike rmi localhost/i-; try podlike load -i ''; true
"""


def test_zsh(session_engine: Engine, names: dict[str, str]) -> None:
    need(os.path.basename(session_engine.bin) == "podlike", "the program under test must be called podlike", optional=True)
    said = shell(session_engine, "zsh", "-fc", script=ZSH).splitlines()
    assert said[0] == "inspect:Display detailed information on one or more volumes"
    assert said[1:5] == ["", "--pull=never", "--pull=newer", ""]
    assert said[5].startswith("localhost/i-short\\:5:") and said[6:] == ["", "files", ""]


def test_scripts_for_other_names(session_engine: Engine, tmp_path: Path) -> None:
    session_engine("completion", "--no-desc", "--file", str(tmp_path / "x"), "bash")
    assert "__completeNoDesc" in (tmp_path / "x").read_text()
    refused = session_engine("completion", "tcsh", check=False)
    assert refused.code == 125 and 'invalid argument "tcsh"' in refused.stderr
    assert session_engine("completion", "powershell", check=False).code == 125


# --- manual pages ---

def test_manual_pages(tmp_path: Path) -> None:
    need(shutil.which("mandoc"), "mandoc: apt-get install mandoc")
    from podlike.cli.manpages import main

    assert main([str(tmp_path)]) == 0
    pages = {p.name for p in tmp_path.iterdir()}
    assert {f"podlike-{path.replace(' ', '-')}.1" for path, _ in commands()} | {"podlike.1", "podlike-container-ls.1"} <= pages
    assert all(p.exists() for p in tmp_path.iterdir())  # no link leads nowhere
    texts = sorted(str(p) for p in tmp_path.iterdir() if not p.is_symlink())
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *texts], capture_output=True, text=True)
    assert (lint.returncode, lint.stdout) == (0, "")
    shown = subprocess.run(["mandoc", "-T", "ascii", f"{tmp_path}/podlike-run.1"], capture_output=True, text=True).stdout
    plain = re.sub(".\b", "", shown)
    assert "podlike run [options] IMAGE [COMMAND [ARG...]]" in plain and "-v, --volume stringArray" in plain
