"""Generated units and a reboot, in a store of its own beside reboot.py's. halves.py says how to run the two halves:

    PODLIKE_BIN=podlike python3 -m tests.system.reboot_units before BUSYBOX
    ... reboot ...
    PODLIKE_BIN=podlike python3 -m tests.system.reboot_units after
"""

import json
import os
import shutil
from functools import partial

from tests.system.halves import IDLE, holds, in_time, inspect, main, make_root, podlike, run, show

HERE = os.path.expanduser("~/podlike-reboot-units-test")
UNITS = os.path.expanduser("~/.config/systemd/user")
RUNROOT = f"/run/user/{os.getuid()}/podlike-units"
# name -> flags of the container, flags of the unit
CONTAINERS = {"made": ((), ("--new",)), "started": (("--restart=always",), ())}


def unit(name: str) -> str:
    return f"container-{name}.service"


def is_up(name: str) -> bool:
    return show(unit(name), "ActiveState") == "active"


def before(busybox: str) -> None:
    shutil.rmtree(HERE, ignore_errors=True)
    os.makedirs(UNITS, exist_ok=True)
    for name, (flags, how) in CONTAINERS.items():
        podlike("create", "--name", name, "--network=none", *flags, "--rootfs", make_root(f"{HERE}/{name}", busybox),
                "/bin/sh", "-c", IDLE)
        podlike("generate", "systemd", "--files", "--name", *how, name, cwd=UNITS)
    podlike("rm", "made")
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
        holds(now["State"]["Status"] == "running" and str(now["State"]["ConmonPid"]) == show(unit(name), "MainPID"),
              "its monitor is the unit's main process")
        holds((now["Id"] != ids[name]) == (name == "made"), "it was made anew" if name == "made" else "it is the same container")
        holds(show(unit(name), "NRestarts") == "0", "nobody fought about it")
    with open(f"{RUNROOT}/session") as f:
        holder = f.read().split()[0]
    with open(f"/proc/{holder}/cgroup") as f:
        holds("/podlike-session-" in f.read(), "what all rely on is in none of the units")
    # The policy of `started` has brought podlike's own unit about, which leaves it alone.
    mine = podlike("system", "startup", "status", "--format", "{{.unit}} {{.containers}}").stdout.split()
    holds(mine[1:] == ["[]"], "podlike's own unit starts none of them")
    run("systemctl", "--user", "stop", os.path.basename(mine[0]))
    holds(all(is_up(name) for name in CONTAINERS), "nor does it stop them")
    run("systemctl", "--user", "disable", "--now", *map(unit, CONTAINERS))
    for name in CONTAINERS:
        holds(show(unit(name), "Result") == "success", f"{name} has stopped well")
        os.unlink(f"{UNITS}/{unit(name)}")
    holds(podlike("ps", "-a", "--format", "{{.Names}}").stdout.split() == ["started"], "what a unit has made is gone")
    podlike("system", "startup", "remove")
    podlike("rm", "started")
    shutil.rmtree(HERE, ignore_errors=True)


if __name__ == "__main__":
    os.environ |= {"PODLIKE_ROOT": f"{HERE}/data", "PODLIKE_RUNROOT": RUNROOT}  # every command has that store
    main(before, after, __doc__)
