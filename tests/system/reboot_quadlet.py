"""A Quadlet's service is up after a reboot. halves.py says how to run the two halves:

    PODLIKE_BIN=podlike python3 -m tests.system.reboot_quadlet before BUSYBOX
    ... reboot ...
    PODLIKE_BIN=podlike python3 -m tests.system.reboot_quadlet after
"""

import os
import shutil

from tests.system.halves import IDLE, holds, in_time, main, make_root, podlike, show

HERE = os.path.expanduser("~/podlike-reboot-quadlet")
QUADLETS = os.path.expanduser("~/.config/containers/systemd")


def state(service: str) -> str:
    return show(service, "ActiveState")


def before(busybox: str) -> None:
    shutil.rmtree(HERE, ignore_errors=True)
    shutil.rmtree(QUADLETS, ignore_errors=True)
    make_root(f"{HERE}/root", busybox)
    os.makedirs(QUADLETS)
    for name, install in (("up", "WantedBy=default.target"), ("down", "")):
        with open(f"{QUADLETS}/{name}.container", "w") as f:
            f.write(f"[Container]\nRootfs={HERE}/root\nNetwork=none\nStopTimeout=2\nExec=sh -c \"{IDLE}\"\n"
                    f"[Quadlet]\nDefaultDependencies=false\n[Install]\n{install}\n")
    podlike("quadlet", "generator", "install")
    holds(podlike("quadlet", "generator", "status").returncode == 0, "something makes services of Quadlets")
    holds(state("up") == state("down") == "inactive", "the services are there, and nobody started them")


def after() -> None:
    in_time(lambda: state("up") == "active", "what default.target wants is up after a reboot")
    holds(state("down") == "inactive", "what nobody wants is not")
    names = podlike("ps", "--format", "{{.Names}}").stdout.split()
    holds("systemd-up" in names and "systemd-down" not in names, "and so is its container")
    holds(podlike("quadlet", "rm", "--all", "--force").stdout.split() == ["down.container", "up.container"],
          "all are removed, also what runs")
    left = podlike("ps", "--all", "--format", "{{.Names}}").stdout.split()
    holds(not {"systemd-up", "systemd-down"} & {*left}, "no container is left")
    podlike("quadlet", "generator", "remove")
    shutil.rmtree(HERE)


if __name__ == "__main__":
    main(before, after, __doc__)
