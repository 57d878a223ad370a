#!/usr/bin/env python3
"""Generated units and a reboot, as an ordinary user who lingers. Two halves, as reboot.py, beside which it works in a store
of its own:

    PODLIKE_BIN=podlike tests/system/reboot_units.py before BUSYBOX
    ... reboot ...
    PODLIKE_BIN=podlike tests/system/reboot_units.py after
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

PODLIKE = os.environ.get("PODLIKE_BIN", "podlike")
HERE = os.path.expanduser("~/podlike-reboot-units-test")
UNITS = os.path.expanduser("~/.config/systemd/user")
STORE = {"PODLIKE_ROOT": f"{HERE}/data", "PODLIKE_RUNROOT": f"/run/user/{os.getuid()}/podlike-units"}
PATIENCE = float(os.environ.get("PODLIKE_TEST_SECONDS", "300"))
# name -> flags of the container, flags of the unit
CONTAINERS = {"made": ((), ("--new",)), "started": (("--restart=always",), ())}


def run(*words: str, cwd: str | None = None) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE * 2, cwd=cwd, env={**os.environ, **STORE})
    if done.returncode:
        raise SystemExit(f"FAILED: {' '.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


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


def unit(name: str) -> str:
    return f"container-{name}.service"


def show(name: str, key: str) -> str:
    return run("systemctl", "--user", "show", "-P", key, unit(name))


def is_up(name: str) -> bool:
    return show(name, "ActiveState") == "active"


def inspect(name: str) -> "dict[str, Any]":
    found: dict[str, Any] = json.loads(run(PODLIKE, "container", "inspect", name))[0]
    return found


def root(busybox: str, name: str) -> str:
    top = f"{HERE}/{name}"
    os.makedirs(f"{top}/bin")
    shutil.copy(busybox, f"{top}/bin/busybox")
    for word in ("sh", "sleep"):
        os.symlink("busybox", f"{top}/bin/{word}")
    for word in ("proc", "sys", "dev", "etc", "run", "tmp"):
        os.mkdir(f"{top}/{word}")
    return top


def before(busybox: str) -> None:
    shutil.rmtree(HERE, ignore_errors=True)
    os.makedirs(UNITS, exist_ok=True)
    for name, (flags, how) in CONTAINERS.items():
        run(PODLIKE, "create", "--name", name, "--network=none", *flags, "--rootfs", root(busybox, name), "/bin/sh", "-c",
            "trap 'exit 0' TERM; while :; do sleep 1; done")
        run(PODLIKE, "generate", "systemd", "--files", "--name", *how, name, cwd=UNITS)
    run(PODLIKE, "rm", "made")
    run("systemctl", "--user", "daemon-reload")
    run("systemctl", "--user", "enable", "--now", *map(unit, CONTAINERS))
    for name in CONTAINERS:
        holds(is_up(name), f"{name} is up before the reboot")
    with open(f"{HERE}/ids", "w") as f:
        json.dump({name: inspect(name)["Id"] for name in CONTAINERS}, f)


def after() -> None:
    with open(f"{HERE}/ids") as f:
        ids = json.load(f)
    for name in CONTAINERS:
        in_time(partial(is_up, name), f"{name} is up again")
        now = inspect(name)
        holds(now["State"]["Status"] == "running" and str(now["State"]["ConmonPid"]) == show(name, "MainPID"),
              "its monitor is the unit's main process")
        holds((now["Id"] != ids[name]) == (name == "made"), "it was made anew" if name == "made" else "it is the same container")
        holds(show(name, "NRestarts") == "0", "nobody fought about it")
    with open(f"{STORE['PODLIKE_RUNROOT']}/session") as f:
        holder = f.read().split()[0]
    with open(f"/proc/{holder}/cgroup") as f:
        holds("/podlike-session-" in f.read(), "what all rely on is in none of the units")
    # The policy of `started` has brought podlike's own unit about, which leaves it alone.
    mine = run(PODLIKE, "system", "startup", "status", "--format", "{{.unit}} {{.containers}}").split()
    holds(mine[1:] == ["[]"], "podlike's own unit starts none of them")
    run("systemctl", "--user", "stop", os.path.basename(mine[0]))
    holds(all(is_up(name) for name in CONTAINERS), "nor does it stop them")
    run("systemctl", "--user", "disable", "--now", *map(unit, CONTAINERS))
    for name in CONTAINERS:
        holds(show(name, "Result") == "success", f"{name} has stopped well")
        os.unlink(f"{UNITS}/{unit(name)}")
    holds(run(PODLIKE, "ps", "-a", "--format", "{{.Names}}") == "started", "what a unit has made is gone")
    run(PODLIKE, "system", "startup", "remove")
    run(PODLIKE, "rm", "started")
    shutil.rmtree(HERE, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["before"] and len(sys.argv) == 3:
        before(sys.argv[2])
    elif sys.argv[1:] == ["after"]:
        after()
    else:
        raise SystemExit(__doc__)
