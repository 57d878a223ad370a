"""Containers come back after a reboot. halves.py says how to run the two halves:

    PODLIKE_BIN=podlike python3 -m tests.system.reboot before BUSYBOX
    ... reboot ...
    PODLIKE_BIN=podlike python3 -m tests.system.reboot after
"""

import json
import os
import shutil
import signal
import subprocess

from tests.system.halves import IDLE, PATIENCE, PODLIKE, boot_id, holds, in_time, inspect, main, make_root, podlike, run, show

HERE = os.path.expanduser("~/podlike-reboot-test")
UNIT = "podlike-restart.service"

RETURNS = ("always", "kept", "always-stopped", "unwatched", "updated", "checked", "base", "on-base", "on-plain", "plain-base",
           "required", "requiring")
STAYS_DOWN = ("stopped", "none", "on-failure", "never-started", "unhealthy", "broken", "on-broken")


def states() -> "dict[str, str]":
    """Of our containers: a machine that reboots may have others."""
    rows = json.loads(podlike("ps", "-a", "--format", "json").stdout)
    return {row["Names"][0]: row["State"] for row in rows if row["Names"][0] in (*RETURNS, *STAYS_DOWN)}


def container(name: str, *flags: str, verb: str = "run", program: str = IDLE) -> None:
    network = () if any(flag.startswith("--network") for flag in flags) else ("--network", "none")
    detach = ("-d",) if verb == "run" else ()
    podlike(verb, *detach, "--name", name, *network, *flags, "--rootfs", make_root(f"{HERE}/{name}", f"{HERE}/busybox"),
            "/bin/sh", "-c", program)


def before(busybox: str) -> None:
    podlike("rm", "--force", "--ignore", "--time", "0", "later", *RETURNS, *STAYS_DOWN)
    shutil.rmtree(HERE, ignore_errors=True)
    os.makedirs(HERE)
    shutil.copy(busybox, f"{HERE}/busybox")
    container("none")
    holds(not os.path.exists(os.path.expanduser(f"~/.config/systemd/user/{UNIT}")), "no policy, no unit")
    container("always", "--restart=always")
    holds(run("systemctl", "--user", "is-enabled", UNIT, check=False).stdout.strip() == "enabled", "systemd sees an enabled unit")
    container("kept", "--restart=unless-stopped")
    container("stopped", "--restart=unless-stopped")
    container("always-stopped", "--restart=always")
    container("on-failure", "--restart=on-failure")
    container("never-started", "--restart=always", verb="create")
    container("unwatched", "--restart=unless-stopped")
    container("updated")
    container("checked", "--restart=unless-stopped", "--health-cmd=true", "--health-interval=5s")
    container("unhealthy", "--restart=unless-stopped", "--health-cmd=false", "--health-interval=2s", "--health-retries=1",
              "--health-on-failure=kill", "--health-timeout=60s")
    container("plain-base")
    container("on-plain", "--restart=always", "--network=container:plain-base")
    container("base", "--restart=unless-stopped")
    container("on-base", "--restart=unless-stopped", "--network=container:base")
    container("required")
    container("requiring", "--restart=always", "--requires=required")
    os.mkdir(f"{HERE}/source")
    container("broken", "--restart=always", "-v", f"{HERE}/source:/mnt")
    container("on-broken", "--restart=always", "--network=container:broken")
    podlike("update", "--restart=always", "updated")
    podlike("stop", "-t", "1", "stopped", "always-stopped")
    os.rmdir(f"{HERE}/source")
    in_time(lambda: states()["unhealthy"] == "exited", "a failed health check kills its container")
    os.kill(inspect("unwatched")["State"]["ConmonPid"], signal.SIGKILL)
    now = states()
    up = {name for name, state in now.items() if state == "running"}
    wanted = {*RETURNS, *STAYS_DOWN} - {"stopped", "always-stopped", "never-started", "unhealthy"}
    holds(up == wanted, f"running before the reboot: {', '.join(sorted(up))}")
    with open(f"{HERE}/boot", "w") as f:
        f.write(boot_id())


def after() -> None:
    with open(f"{HERE}/boot") as f:
        holds(f.read() != boot_id(), "this is another boot")
    in_time(lambda: show(UNIT, "SubState") == "exited", "the unit has run")
    now = states()
    for name in RETURNS:
        holds(now[name] == "running", f"{name} is up")
    for name in STAYS_DOWN:
        holds(now[name] != "running", f"{name} is {now[name]}")
    started = {name: inspect(name)["State"]["StartedAt"] for name in RETURNS}
    for first, second in (("plain-base", "on-plain"), ("base", "on-base"), ("required", "requiring")):
        holds(started[first] < started[second], f"{first} came before {second}")
    again = [subprocess.Popen([PODLIKE, "system", "startup", "run"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
             for _ in range(2)]
    for p in again:
        out, err = p.communicate(timeout=PATIENCE * 2)
        holds(p.returncode == 125 and not out, "run once more, twice at once, it starts nothing")
        holds("broken: " in err and "on-broken: " in err and "needs broken" in err, f"and says what cannot start: {err.strip()}")
    holds({name: inspect(name)["State"]["StartedAt"] for name in RETURNS} == started, "none was started twice")
    in_time(lambda: inspect("checked")["State"]["Health"]["Status"] == "healthy", "checks run")
    os.kill(inspect("always")["State"]["Pid"], signal.SIGKILL)
    in_time(lambda: inspect("always")["RestartCount"] == 1 and states()["always"] == "running", "the restart policy holds")
    machine_goes_down(started)


def machine_goes_down(started: "dict[str, str]") -> None:
    run("systemctl", "--user", "stop", UNIT)
    holds("running" not in states().values(), "stopping the unit stops all containers")
    kept = inspect("kept")["State"]
    holds(not kept["StoppedByUser"] and kept["ExitCode"] == 0, "with their own signal, and not as the user's wish")
    run("systemctl", "--user", "start", UNIT)
    holds(all(states()[name] == "running" for name in started), "starting it brings them up again")
    podlike("system", "startup", "remove")
    holds(run("systemctl", "--user", "is-enabled", UNIT, check=False).returncode != 0, "remove takes the unit away")
    container("later", "--restart=always")
    holds(json.loads(podlike("system", "startup", "status", "--format", "json", check=False).stdout)["by"] == "off",
          "and no container brings it back")
    podlike("rm", "--force", "--ignore", "--time", "0", "later", *RETURNS, *STAYS_DOWN)
    shutil.rmtree(HERE)


if __name__ == "__main__":
    main(before, after, __doc__)
