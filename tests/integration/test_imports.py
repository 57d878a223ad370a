"""What whole commands import, from the first line to the last: each of these modules costs milliseconds on every call."""

from tests.support.engine import Engine

HEAVY = {"argparse", "asyncio", "click", "ctypes", "dataclasses", "email", "http", "importlib.metadata", "inspect", "logging",
         "multiprocessing", "pathlib", "pyroute2", "shutil", "ssl", "subprocess", "tempfile", "threading", "tomllib", "typing",
         "urllib.request", "yaml"}


def imported(podlike: Engine, *args: str) -> set[str]:
    """Modules that one command imports itself; those that site brings along for everybody come before them."""
    done = podlike(*args, env={"PYTHONPROFILEIMPORTTIME": "1"})
    names = [line.split("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert "podlike.cli.app" in names
    return set(names[names.index("podlike"):])


def test_commands_load_no_heavy_module(podlike: Engine, image: str) -> None:
    podlike("run", "-d", "--name", "one", "--network", "none", image, "sleep", "100")
    podlike("create", "--name", "two", "--network", "none", image, "true")
    try:
        found = {" ".join(command): sorted(imported(podlike, *command) & HEAVY) for command in (
            ("run", "--rm", "--network", "none", image, "true"),
            ("exec", "-u", "0", "-e", "A=b", "one", "true"),
            ("create", "-v", "/a:/b", "-p", "8080:80", "-m", "64m", "--limits", "best-effort", image, "true"),
            ("start", "two"),
            ("ps", "-a"),
            ("inspect", "one"),
            ("logs", "one"),
            ("stop", "-t", "0", "one"),
            ("rm", "-f", "-t", "0", "one"),
            ("pod", "create", "--name", "pod"),
            ("run", "-d", "--pod", "pod", image, "sleep", "100"),
            ("images",),
            ("version",),
        )}
    finally:
        podlike("pod", "rm", "-a", "-f", "-t", "0")
    assert not {command: heavy for command, heavy in found.items() if heavy}
