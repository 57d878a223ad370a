#!/usr/bin/env python3
"""A Quadlet's service is up after a reboot. Two halves, as an ordinary user who lingers, with systemd --user:

    PODLIKE_BIN=podlike tests/system/reboot_quadlet.py before BUSYBOX
    ... reboot ...
    PODLIKE_BIN=podlike tests/system/reboot_quadlet.py after

BUSYBOX: a static busybox, for a root file system. Each line that it prints is something that holds.
"""

import os
import shutil
import subprocess
import sys
import time

PODLIKE = os.environ.get("PODLIKE_BIN", "podlike")
HERE = os.path.expanduser("~/podlike-reboot-quadlet")
QUADLETS = os.path.expanduser("~/.config/containers/systemd")
PATIENCE = float(os.environ.get("PODLIKE_TEST_SECONDS", "300"))


def run(*words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE * 2, check=False)
    if check and done.returncode:
        raise SystemExit(f"FAILED: {' '.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def holds(condition: object, what: str) -> None:
    print(f"{'ok' if condition else 'FAILED'}: {what}", flush=True)
    if not condition:
        raise SystemExit(1)


def state(service: str) -> str:
    return run("systemctl", "--user", "show", "-P", "ActiveState", service).stdout.strip()


def before(busybox: str) -> None:
    shutil.rmtree(HERE, ignore_errors=True)
    shutil.rmtree(QUADLETS, ignore_errors=True)
    os.makedirs(f"{HERE}/root/bin")
    shutil.copy(busybox, f"{HERE}/root/bin/busybox")
    for word in ("sh", "sleep"):
        os.symlink("busybox", f"{HERE}/root/bin/{word}")
    for word in ("proc", "sys", "dev", "etc", "run", "tmp"):
        os.mkdir(f"{HERE}/root/{word}")
    os.makedirs(QUADLETS)
    for name, install in (("up", "WantedBy=default.target"), ("down", "")):
        with open(f"{QUADLETS}/{name}.container", "w") as f:
            f.write(f"[Container]\nRootfs={HERE}/root\nNetwork=none\nStopTimeout=2\nExec=sh -c \"trap 'exit 0' TERM; "
                    f"while :; do sleep 1; done\"\n[Quadlet]\nDefaultDependencies=false\n[Install]\n{install}\n")
    run(PODLIKE, "quadlet", "generator", "install")
    holds(run(PODLIKE, "quadlet", "generator", "status").returncode == 0, "something makes services of Quadlets")
    holds(state("up") == state("down") == "inactive", "the services are there, and nobody started them")


def after() -> None:
    deadline = time.monotonic() + PATIENCE
    while state("up") != "active" and time.monotonic() < deadline:
        time.sleep(1)
    holds(state("up") == "active", "what default.target wants is up after a reboot")
    holds(state("down") == "inactive", "what nobody wants is not")
    names = run(PODLIKE, "ps", "--format", "{{.Names}}").stdout.split()
    holds("systemd-up" in names and "systemd-down" not in names, "and so is its container")
    holds(run(PODLIKE, "quadlet", "rm", "--all", "--force").stdout.split() == ["down.container", "up.container"],
          "all are removed, also what runs")
    left = run(PODLIKE, "ps", "--all", "--format", "{{.Names}}").stdout.split()
    holds(not {"systemd-up", "systemd-down"} & {*left}, "no container is left")
    run(PODLIKE, "quadlet", "generator", "remove")
    shutil.rmtree(HERE)


if __name__ == "__main__":
    if sys.argv[1:2] == ["before"] and len(sys.argv) == 3:
        before(sys.argv[2])
    elif sys.argv[1:] == ["after"]:
        after()
    else:
        raise SystemExit(__doc__)
