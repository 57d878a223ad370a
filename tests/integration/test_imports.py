"""What whole commands import, from the first line to the last: each of these modules costs milliseconds on every call."""

import pytest

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


@pytest.mark.parametrize("command", [
    ("run", "--rm", "--network", "none", "IMAGE", "true"),
    ("exec", "-u", "0", "-e", "A=b", "one", "true"),
    ("create", "-v", "/a:/b", "-p", "8080:80", "-m", "64m", "--limits", "best-effort", "IMAGE", "true"),
    ("start", "two"),
    ("stop", "-t", "0", "one"),
    ("ps", "-a"),
    ("inspect", "one"),
    ("logs", "one"),
    ("rm", "-f", "-t", "0", "one"),
    ("pod", "create", "--name", "pod"),
    ("images",),
    ("version",),
])
def test_commands_load_no_heavy_module(podlike: Engine, image: str, command: tuple[str, ...]) -> None:
    podlike("run", "-d", "--name", "one", "--network", "none", image, "sleep", "100")
    podlike("create", "--name", "two", "--network", "none", image, "true")
    try:
        found = imported(podlike, *(image if word == "IMAGE" else word for word in command))
    finally:
        podlike("pod", "rm", "-a", "-f", "-t", "0")
    assert not sorted(found & HEAVY)


def test_a_container_of_a_pod_loads_no_heavy_module(podlike: Engine, image: str) -> None:
    podlike("pod", "create", "--name", "pod")
    try:
        found = imported(podlike, "run", "-d", "--pod", "pod", image, "sleep", "100")
    finally:
        podlike("pod", "rm", "-a", "-f", "-t", "0")
    assert not sorted(found & HEAVY)
