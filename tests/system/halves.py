"""What the programs reboot*.py share. Each has two halves, as the same ordinary user who lingers, with systemd --user:

    PODLIKE_BIN=podlike python3 -m tests.system.reboot before BUSYBOX
    ... reboot ...
    PODLIKE_BIN=podlike python3 -m tests.system.reboot after

BUSYBOX: a static busybox, for root file systems of their own: no image is needed. Each line that they print is something
that holds; they end with a failure at the first that does not. Containers of others are left alone.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

PODLIKE = os.environ.get("PODLIKE_BIN", "podlike")
# An emulated machine may be twenty times as slow as a real one.
PATIENCE = float(os.environ.get("PODLIKE_TEST_SECONDS", "300"))
IDLE = "trap 'exit 0' TERM; while :; do sleep 1; done"  # a script of a container that stays until it is stopped


def run(*words: str, check: bool = True, cwd: str | None = None) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE * 2, check=False, cwd=cwd)
    if check and done.returncode:
        raise SystemExit(f"FAILED: {' '.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def podlike(*words: str, check: bool = True, cwd: str | None = None) -> "subprocess.CompletedProcess[str]":
    return run(PODLIKE, *words, check=check, cwd=cwd)


def inspect(name: str) -> "dict[str, Any]":
    found: dict[str, Any] = json.loads(podlike("container", "inspect", name).stdout)[0]
    return found


def show(unit: str, key: str) -> str:
    """A property of a unit of the user's."""
    return run("systemctl", "--user", "show", "-P", key, unit).stdout.strip()


def holds(condition: object, what: str) -> None:
    if not condition:
        raise SystemExit(f"FAILED: {what}")
    print(f"ok  {what}", flush=True)


def in_time(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"FAILED, after {PATIENCE} s: {what}")
        time.sleep(0.5)
    print(f"ok  {what}", flush=True)


def make_root(top: str, busybox: str) -> str:
    """A root file system for one container; returns top."""
    os.makedirs(f"{top}/bin")
    shutil.copy(busybox, f"{top}/bin/busybox")
    for word in ("sh", "sleep", "true", "test", "touch"):
        os.symlink("busybox", f"{top}/bin/{word}")
    for word in ("proc", "sys", "dev", "etc", "run", "tmp"):
        os.mkdir(f"{top}/{word}")
    return top


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as f:
        return f.read()


def main(before: Callable[[str], None], after: Callable[[], None], usage: str | None) -> None:
    """Run the half that the command line names."""
    if sys.argv[1:2] == ["before"] and len(sys.argv) == 3:
        before(sys.argv[2])
    elif sys.argv[1:] == ["after"]:
        after()
    else:
        raise SystemExit(usage)
