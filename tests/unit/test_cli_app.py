"""The command table, help, errors and exit codes of the program."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import podlike
from podlike.__main__ import program_name, run
from podlike.cli.app import GLOBAL_FLAGS, find_command
from podlike.cli.command import Command
from podlike.cli.commands import ALIASES, COMMANDS

ROOT = Path(podlike.__file__).parent
PATHS = sorted((group, name) for group, rows in COMMANDS.items() for name, row in rows.items() if row[0])
PRESENT = [p for p in PATHS if (ROOT / "cli" / f"{COMMANDS[p[0]][p[1]][0].partition(':')[0]}.py").exists()]
IDS = [" ".join(filter(None, p)) for p in PRESENT]


def run_cli(capsys: pytest.CaptureFixture[str], *args: str, prog: str = "podlike") -> tuple[int, str, str]:
    code = run(list(args), prog)
    out, err = capsys.readouterr()
    return code, out, err


def load(group: str, name: str) -> Command:
    found = find_command(group, name)
    assert isinstance(found, Command)
    return found


def test_every_row_has_its_module() -> None:
    assert PRESENT == PATHS


def test_aliases_point_at_rows() -> None:
    for (group, alias), target in ALIASES.items():
        assert target in COMMANDS[group] and alias not in COMMANDS[group]


@pytest.mark.parametrize("path", PRESENT, ids=IDS)
def test_help_of_every_command(path: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    words = " ".join(path).split()
    code, out, err = run_cli(capsys, *words, "--help")
    assert (code, err) == (0, "")
    command = load(*path)
    assert command.summary == COMMANDS[path[0]][path[1]][1]
    usage = re.search(r"^Usage:\n  (.*)$", out, re.M)
    assert usage is not None
    line = usage.group(1)
    assert line.startswith("podlike " + " ".join(words))
    assert ("[options]" in line) == ("\nOptions:\n" in out)
    arguments = line.removeprefix("podlike " + " ".join(words)).replace("[options]", "")
    assert words == ["help"] or not re.search("[a-z]", arguments), "arguments are written in upper case"  # help: cobra's line
    assert not re.search(r"\[.*\] [A-Z]", arguments), "optional arguments stand behind required ones"


@pytest.mark.parametrize("path", PRESENT, ids=IDS)
def test_flags_of_every_command_are_sound(path: tuple[str, str]) -> None:
    flags = load(*path).flags
    names = [n for f in flags for n in (f.name, *f.aliases)]
    shorts = [f.short for f in flags if f.short]
    assert len(set(names)) == len(names) and len(set(shorts)) == len(shorts)
    assert all(f.help for f in flags)


BARE = [p for p in PRESENT if not load(*p).usage]


@pytest.mark.parametrize("path", BARE, ids=[" ".join(filter(None, p)) for p in BARE])
def test_commands_without_arguments_say_so(path: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    words = " ".join(path).split()
    code, _, err = run_cli(capsys, *words, "invalid-arg")
    assert (code, err) == (125, f"Error: `podlike {' '.join(words)}` takes no arguments\n")


REQUIRED = [p for p in PRESENT if re.match(r"[A-Z{]", load(*p).usage)]


@pytest.mark.parametrize("path", REQUIRED, ids=[" ".join(filter(None, p)) for p in REQUIRED])
def test_missing_arguments(path: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_cli(capsys, *" ".join(path).split())
    assert code == 125
    assert out == ""
    assert re.search(r"^Error: .*(require|specif|must|provide|need|choose|accepts)", err)


LATEST = [p for p in PRESENT if any(f.name == "latest" for f in load(*p).flags) and p[1] not in
          ("exec", "list", "port", "ps", "top")]


@pytest.mark.parametrize("level", COMMANDS)
def test_help_of_every_group(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_cli(capsys, *level.split(), "--help")
    assert (code, err) == (0, "") and "Available Commands:" in out


@pytest.mark.parametrize("path", LATEST, ids=[" ".join(filter(None, p)) for p in LATEST])
def test_latest_excludes_names_and_all(path: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    words = " ".join(path).split()
    code, _, err = run_cli(capsys, *words, "-l", "name")
    assert code == 125
    assert re.search("Error: .*--latest and (containers|pods|arguments) cannot be used together", err)
    code, _, err = run_cli(capsys, *words, "--all", "--latest")
    assert code == 125
    assert re.search("--all(,| and) --latest (and (containers|arguments) )?cannot be used together|unknown flag", err)


@pytest.mark.parametrize(("args", "message"), [
    (["run", "--foo"], "Error: unknown flag: --foo\nSee 'podlike run --help'\n"),
    (["run", "-h"], "Error: flag needs an argument: 'h' in -h\nSee 'podlike run --help'\n"),
    (["container", "ls", "-z"], "Error: unknown shorthand flag: 'z' in -z\nSee 'podlike container ls --help'\n"),
    (["bad", "--invalid"], "Error: unknown flag: --invalid\nSee 'podlike --help'\n"),
    (["--bad"], "Error: unknown flag: --bad\nSee 'podlike --help'\n"),
    (["NoSuchCommand"], "Error: unrecognized command `podlike NoSuchCommand`\nTry 'podlike --help' for more information\n"),
    (["image", "NoSuch"], "Error: unrecognized command `podlike image NoSuch`\nTry 'podlike image --help' for more "
                          "information\n"),
    (["version", "--remote"], "Error: unknown flag: --remote\nSee 'podlike version --help'\n"),
    (["rename", "a"], "Error: accepts 2 arg(s), received 1\n"),
    (["run"], "Error: requires at least 1 arg(s), only received 0\n"),
    (["rm", "-a", "x"], "Error: no arguments are needed with --all\n"),
])
def test_usage_errors(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(capsys, *args) == (125, "", message)


def test_mistyped_commands_get_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_cli(capsys, "contaner")
    assert code == 125
    assert "Did you mean this?\n\tcontainer\n" in err


@pytest.mark.parametrize("group", [[], ["container"], ["image"], ["system"]])
def test_groups_alone_print_help_and_fail(group: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_cli(capsys, *group)
    path = " ".join(["podlike", *group])
    assert code == 125
    assert "Usage:\n" in out and "Available Commands:\n" in out
    assert err == f"Error: missing command '{path} COMMAND'\n"
    assert run_cli(capsys, *group, prog="docker")[0] == 0


def test_help_lists_commands_without_importing_them(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["help"], ["-h"]):
        code, out, _ = run_cli(capsys, *words)
        assert code == 0
        assert out.startswith("Manage pods, containers and images\n\nUsage:\n  podlike [options] [command]\n")
        for name, (_, summary) in COMMANDS[""].items():
            assert re.search(rf"^  {re.escape(name)} +{re.escape(summary)}$", out, re.M)


def test_remote_is_offered_only_without_a_service(capsys: pytest.CaptureFixture[str],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    assert " --remote " in run_cli(capsys, "--help")[1]
    assert " --remote " not in run_cli(capsys, "--url", "x", "--help")[1]
    monkeypatch.setenv("CONTAINER_HOST", "x")
    assert " --remote " not in run_cli(capsys, "--help")[1]
    code, _, err = run_cli(capsys, "--remote", "version")
    assert code == 125 and "this host only" in err


def test_help_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(capsys, "help", "container", "ls")[1] == run_cli(capsys, "container", "ls", "--help")[1]
    code, _, err = run_cli(capsys, "help", "nope")
    assert code == 125 and 'unknown help topic "nope"' in err


def test_log_level(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_cli(capsys, "--log-level=telepathic", "version")
    assert (code, out) == (1, "")
    assert err.startswith('Log Level "telepathic" is not supported, choose from: trace, debug, info, warn')
    assert run_cli(capsys, "--debug", "--log-level=panic", "version")[::2] == \
        (1, "Setting --log-level and --debug is not allowed\n")
    assert " level=" not in run_cli(capsys, "version")[2]
    assert " level=info " in run_cli(capsys, "--log-level=info", "version")[2]
    assert " level=debug " in run_cli(capsys, "-D", "version")[2]
    assert " level=trace " in run_cli(capsys, "version", "--log-level=trace")[2]
    run_cli(capsys, "--log-level=warn", "version")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(capsys, "--version") == (0, f"podlike version {podlike.__version__}\n", "")
    assert run_cli(capsys, "-v", prog="podman")[1] == f"podman version {podlike.__version__}\n"
    assert run_cli(capsys, "--log-level=error", "--version")[1] == f"podlike version {podlike.__version__}\n"
    assert re.match(r"Docker version [\d.]+, build ", run_cli(capsys, "--version", prog="docker")[1])
    assert podlike.__version__ in run_cli(capsys, "version", "--format", "{{.Client.Version}}")[1]
    code, _, err = run_cli(capsys, "version", "-f", "{{.Nope}}")
    assert code == 125 and "can't evaluate field Nope" in err


def test_version_is_the_packages(request: pytest.FixtureRequest) -> None:
    import tomllib

    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())
    assert project["project"]["version"] == podlike.__version__


def test_docker_answers_1_where_podman_answers_125(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(capsys, "nosuch", prog="docker")[0] == 1
    assert run_cli(capsys, "rename", "a", prog="docker")[0] == 1
    assert run_cli(capsys, "ps", "--nope", prog="docker")[0] == 125
    assert run_cli(capsys, "run", "--pull=bogus", "x", prog="docker")[0] == 125


@pytest.mark.parametrize(("argv0", "name"), [
    ("/usr/bin/docker", "docker"), ("podman", "podman"), ("/x/podlike", "podlike"), ("/x/__main__.py", "podlike")])
def test_program_name(argv0: str, name: str) -> None:
    assert program_name(argv0) == name


def test_global_flags_that_cannot_be_met_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for args in (["--storage-driver", "btrfs"], ["--syslog"], ["--pull-option", "enable_partial_images=true"]):
        code, _, err = run_cli(capsys, *args, "images")
        assert code == 125 and "Hint: " in err
    assert all(f.help for f in GLOBAL_FLAGS)


def test_unforeseen_errors_are_short(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import podlike.cli.app as app

    def fails(kind: BaseException) -> None:
        def run_in(session: object, args: object) -> int:
            raise kind
        monkeypatch.setattr(app, "run_in", run_in)

    fails(RuntimeError("boom"))
    code, _, err = run_cli(capsys, "x")
    assert code == 125
    assert err.startswith("Error: podlike: internal error: RuntimeError: boom\nHint: ") and "Traceback" not in err
    monkeypatch.setenv("PODLIKE_DEBUG", "1")
    assert "Traceback" in run_cli(capsys, "x")[2]
    fails(KeyboardInterrupt())
    assert run_cli(capsys, "x") == (130, "", "")
    fails(PermissionError(13, "Permission denied", "/x/y"))
    assert run_cli(capsys, "x")[2].startswith("Error: podlike: /x/y Permission denied\n")


def podlike_process(*args: str, **kwargs: object) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    return subprocess.run([sys.executable, "-m", "podlike", *args], env=env, text=True, capture_output=True, timeout=60,
                          check=False)


def test_process_edge() -> None:
    done = podlike_process("--version")
    assert (done.returncode, done.stdout) == (0, f"podlike version {podlike.__version__}\n")
    done = podlike_process("run", "--nope")
    assert (done.returncode, done.stdout) == (125, "")


def test_closed_output_is_quiet() -> None:
    script = f"{sys.executable} -m podlike --help | head -1; {sys.executable} -m podlike version >&-"
    env = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    done = subprocess.run(["bash", "-c", script], env=env, text=True, capture_output=True, timeout=60, check=False)
    assert done.stdout == "Manage pods, containers and images\n"
    assert "Traceback" not in done.stderr


def test_out_and_noout(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    done = podlike_process("--out", str(target), "version", "-f", "json")
    assert (done.returncode, done.stdout) == (0, "")
    assert f'"Version": "{podlike.__version__}"' in target.read_text()
    assert podlike_process("--noout", "version").stdout == ""
