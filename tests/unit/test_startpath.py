"""What `podlike run` imports until the engine is called: every module costs time on every command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import podlike

ROOT = Path(podlike.__file__).parent.parent
FORBIDDEN = {"argparse", "asyncio", "http", "http.client", "logging", "multiprocessing", "pathlib", "pyroute2", "requests",
             "rich", "shutil", "socketserver", "ssl", "subprocess", "tempfile", "urllib.request", "urllib3", "xml",
             "click", "inspect", "dataclasses", "typing", "importlib.metadata",
             "concurrent.futures", "ctypes", "decimal", "email", "csv", "glob", "tarfile", "tomllib"}
# Our own modules and those of the standard library.
ALLOWED = {
    "podlike", "podlike.__main__", "podlike.errors", "podlike.log", "podlike.paths",
    "podlike.cli", "podlike.cli.app", "podlike.cli.command", "podlike.cli.commands", "podlike.cli.options",
    "podlike.cli.fillspec", "podlike.cli.creating", "podlike.cli.fillfiles", "podlike.cli.run", "podlike.cli.session",
    "podlike.config", "podlike.config_tables",
    "podlike.toml_plain", "podlike.engine", "podlike.engine.core", "podlike.store", "podlike.store.options",
    "podlike.library", "podlike.library.calling", "podlike.library.containers", "podlike.library.engine",
    "podlike.spec", "podlike.spec.attach", "podlike.spec.container", "podlike.spec.environ", "podlike.spec.mounts",
    "podlike.spec.ports", "podlike.spec.record", "podlike.spec.sizes", "podlike.spec.durations",
    "gc", "signal", "select", "socket", "selectors", "_socket", "array", "math",
    # of re, for flags with sizes, ports and the like
    "re", "_sre", "re._casefix", "re._compiler", "re._constants", "re._parser", "enum", "functools", "_functools", "copyreg",
    "collections", "_collections", "itertools", "keyword", "operator", "_operator", "reprlib",
}

PROBE = """
import sys
base = set(sys.modules)
import types
import podlike.__main__ as main
stub = types.ModuleType("podlike.engine.create")
def create(engine, spec, **options):
    real.write(" ".join(sorted(set(sys.modules) - base - set(MINE))))
    real.flush()
    main.os._exit(0)
stub.create = create
MINE = ["podlike.engine.create", "types"]
real = sys.stdout
sys.modules["podlike.engine.create"] = stub
main.run(%r, "podlike")
"""


def modules(*args: str) -> set[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PROBE % (list(args),)], env=env, text=True, capture_output=True, timeout=60,
                          check=False)
    assert done.stdout, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("args", [
    ["run", "--rm", "alpine", "true"],
    ["run", "-d", "--name", "x", "-e", "A=b", "-v", "/a:/b", "-p", "8080:80", "-m", "64m", "--network", "pasta", "alpine"],
])
def test_run_imports_only_what_it_needs(args: list[str]) -> None:
    found = modules(*args)
    assert not found & FORBIDDEN
    assert found <= ALLOWED, f"new on the start path: {sorted(found - ALLOWED)}"


def loaded(code: str) -> set[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    script = f"import sys\n{code}\nsys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-S", "-c", script], env=env, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_version_needs_no_click() -> None:
    found = loaded("import podlike.__main__ as m; m.run(['--version'], 'podlike')")
    assert "podlike.__main__" in found
    assert not found & {"click", "re", "inspect", "podlike.cli", "podlike.errors"} | found & FORBIDDEN


def test_the_monitors_exit_command_needs_no_click() -> None:
    found = loaded("import types; stub = types.ModuleType('podlike.engine.cleanup'); called = []\n"
                   "stub.find_and_cleanup = lambda engine, cid, *, remove: called.append((engine.roots.data, cid, remove))\n"
                   "sys.modules['podlike.engine.cleanup'] = stub\n"
                   "import podlike.__main__ as m\n"
                   "base = ['--root', '/d', '--runroot', '/r', 'container', 'cleanup']\n"
                   "assert m.run([*base, '--rm', 'abc'], 'podlike') == 0 and m.run([*base, 'abc'], 'podlike') == 0\n"
                   "assert called == [('/d', 'abc', True), ('/d', 'abc', False)], called")
    assert not found & {"click", "inspect"}


def test_a_command_loads_no_other_command() -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = ("import sys, podlike.__main__ as m; m.run(['rename', '--help'], 'podlike');"
            "sys.stderr.write(' '.join(x for x in sys.modules if x.startswith('podlike')))")
    done = subprocess.run([sys.executable, "-c", code], env=env, text=True, capture_output=True, timeout=60, check=False)
    assert set(done.stderr.split()) == {"podlike", "podlike.__main__", "podlike.errors", "podlike.log", "podlike.cli",
                                        "podlike.cli.app", "podlike.cli.command", "podlike.cli.commands",
                                        "podlike.cli.options", "podlike.cli.session", "podlike.cli.tree",
                                        "podlike.cli.rename"}
