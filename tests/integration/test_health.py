"""Health checks, run by the monitor."""

import json
import os
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import oci
from tests.support.engine import Engine, wait_for
from tests.support.need import need

QUIET = ("--network", "none")
# Well while /well is there.
WELL = "test -e /well"


def inspect(podlike: Engine, name: str) -> "dict[str, Any]":
    doc: dict[str, Any] = json.loads(podlike("container", "inspect", name).stdout)[0]
    return doc


def health(podlike: Engine, name: str) -> "dict[str, Any]":
    found: dict[str, Any] = inspect(podlike, name)["State"]["Health"]
    return found


def state(podlike: Engine, name: str) -> "dict[str, Any]":
    found: dict[str, Any] = inspect(podlike, name)["State"]
    return found


def start(podlike: Engine, image: str, name: str, *flags: str, command: tuple[str, ...] = ("sleep", "100")) -> None:
    podlike("run", "-d", "--name", name, *QUIET, *flags, image, *command)


def await_health(podlike: Engine, name: str, wanted: str, timeout: float = 20) -> "dict[str, Any]":
    found: dict[str, Any] = wait_for(lambda: (h := health(podlike, name))["Status"] == wanted and h, wanted, timeout=timeout)
    return found


# --- what checks tell ---


def test_well_and_unwell(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", f"echo looking; {WELL}", "--health-interval", "200ms", "--health-retries", "2")
    unwell = await_health(podlike, name, "unhealthy")
    assert unwell["FailingStreak"] >= 2
    assert unwell["Log"][-1] == unwell["Log"][-1] | {"ExitCode": 1, "Output": "looking\n"}
    assert podlike("ps", "--filter", f"name={name}", "--format", "{{.Status}}").line.endswith(" (unhealthy)")
    podlike("exec", name, "touch", "/well")
    well = await_health(podlike, name, "healthy")
    assert well["FailingStreak"] == 0
    assert well["Log"][-1]["ExitCode"] == 0
    assert well["Log"][-1]["Start"] < well["Log"][-1]["End"]
    assert podlike("ps", "--filter", "health=healthy", "--format", "{{.Names}}").line == name
    assert podlike("ps", "--filter", "health=unhealthy", "-q").line == ""
    assert state(podlike, name)["Status"] == "running", "no action was asked for"


def test_wait_for_health(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", WELL, "--health-interval", "200ms", "--health-retries", "1")
    assert podlike("wait", "--condition", "unhealthy", name).line == "-1"
    with podlike.popen("wait", "--condition", "healthy", name) as waiting:
        time.sleep(0.5)
        assert waiting.poll() is None
        podlike("exec", name, "touch", "/well")
        assert waiting.wait(20) == 0
    podlike("stop", "-t", "0", name)
    gone = podlike("wait", "--condition", "unhealthy", name, check=False)
    assert gone.code == 125
    assert "is stopped" in gone.stderr


def test_templates_can_ask_for_health(podlike: Engine, image: str, name: str) -> None:
    form = "{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{.config.sdnotifymode}}"
    start(podlike, image, name, "--health-cmd", "true", "--health-interval", "disable")
    assert podlike("inspect", "-f", form, name).line == "starting container"
    assert podlike("inspect", "-f", "{{.State.Healthcheck.FailingStreak}} {{.Config.HealthMaxLogCount}}", name).line == "0 5"
    start(podlike, image, f"{name}-2")
    assert podlike("inspect", "-f", form, f"{name}-2").line == "none container"


def test_wait_needs_a_check(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name)
    refused = podlike("wait", "--condition", "healthy", name, check=False)
    assert refused.code == 125
    assert "has no healthcheck" in refused.stderr


@pytest.mark.parametrize(("test", "healthy"), [
    (["CMD", "test", "-e", "/bin/sh"], True),
    (["CMD-SHELL", "exit 1"], False),
    (["NONE"], None),
])
def test_check_of_the_image(podlike: Engine, name: str, tmp_path: Path, test: list[str], healthy: bool | None) -> None:
    image = f"localhost/health-{name}:latest"
    check = {"Test": test, "Interval": 200_000_000, "Retries": 1}
    oci.write_oci_archive(tmp_path / "image.tar", {image: oci.busybox_image(Healthcheck=check)})
    podlike("load", "-i", str(tmp_path / "image.tar"))
    start(podlike, image, name)
    if healthy is None:
        assert "Health" not in state(podlike, name)
        assert podlike("healthcheck", "run", name, check=False).code == 125
    else:
        await_health(podlike, name, "healthy" if healthy else "unhealthy")
        assert inspect(podlike, name)["Config"]["Healthcheck"] == check | {"Timeout": 30_000_000_000}
        other = f"{name}-2"
        start(podlike, image, other, "--no-healthcheck")
        assert "Health" not in state(podlike, other)
        third = f"{name}-3"
        start(podlike, image, third, "--health-interval", "disable", "--health-retries", "7")
        assert inspect(podlike, third)["Config"]["Healthcheck"]["Retries"] == 7
        time.sleep(0.5)
        assert health(podlike, third)["Log"] == []
    podlike("rm", "-af", "-t", "0")
    podlike("rmi", image)


# --- healthcheck run ---


def test_run_by_hand(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", WELL, "--health-interval", "disable", "--health-retries", "2")
    fresh = health(podlike, name)
    assert (fresh["Status"], fresh["FailingStreak"], fresh["Log"]) == ("starting", 0, [])
    first = podlike("healthcheck", "run", name, check=False)
    assert (first.code, first.stdout) == (1, "unhealthy\n")
    now = health(podlike, name)
    assert (now["Status"], now["FailingStreak"]) == ("starting", 1)
    ignored = podlike("healthcheck", "run", "--ignore-result", name)
    assert ignored.stdout == "unhealthy\n"
    assert health(podlike, name)["Status"] == "unhealthy"
    podlike("exec", name, "touch", "/well")
    assert podlike("healthcheck", "run", name).stdout == ""
    assert health(podlike, name)["Status"] == "healthy"
    podlike("restart", "-t", "0", name)
    fresh = health(podlike, name)
    assert (fresh["Status"], fresh["FailingStreak"], fresh["Log"]) == ("starting", 0, [])


def test_run_by_hand_that_cannot(podlike: Engine, image: str, name: str) -> None:
    podlike("create", "--name", name, *QUIET, "--health-cmd", "true", image, "sleep", "100")
    stopped = podlike("healthcheck", "run", name, check=False)
    assert stopped.code == 125
    assert "is not running" in stopped.stderr
    missing = podlike("healthcheck", "run", "nobody", check=False)
    assert missing.code == 125
    assert "no such container" in missing.stderr
    start(podlike, image, f"{name}-2")
    without = podlike("healthcheck", "run", f"{name}-2", check=False)
    assert without.code == 125
    assert "has no defined healthcheck" in without.stderr


@pytest.mark.parametrize(("flags", "words"), [
    (("--health-on-failure=kill",), "cannot set on-failure action to kill without a health check"),
    (("--health-cmd=true", "--health-on-failure=shout"), 'invalid on-failure action "shout"'),
    (("--health-cmd=true", "--no-healthcheck"), "cannot specify both --no-healthcheck and --health-cmd"),
    (("--health-cmd=true", "--health-interval=soon"), "invalid healthcheck-interval"),
    (("--health-cmd=true", "--health-retries=0"), "healthcheck-retries must be greater than 0"),
    (("--health-cmd=true", "--health-timeout=0s"), "healthcheck-timeout must be at least 1 second"),
    (("--health-cmd=true", "--health-start-period=-1s"), "healthcheck-start-period must be 0 seconds or greater"),
    (("--health-startup-cmd=true",), "cannot set a startup healthcheck when there is no regular healthcheck"),
    (("--health-cmd=true", "--health-log-destination=/nowhere"), "destination error"),
    (("--sdnotify=healthy",), "requires a healthcheck to be set"),
])
def test_flags_that_are_refused(podlike: Engine, image: str, name: str, flags: tuple[str, ...], words: str) -> None:
    refused = podlike("create", "--name", name, *flags, image, "true", check=False)
    assert refused.code == 125
    assert words in refused.stderr
    assert podlike("container", "exists", name, check=False).code == 1


# --- how a check runs ---


def test_who_and_where_a_check_is(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, *QUIET, "-u", "1000:1001", "-e", "COLOUR=blue", "-w", "/tmp", "--cap-drop=chown",
            "--health-cmd", "id -u; id -g; pwd; echo $COLOUR; grep Cap /proc/self/status; cat; test -t 0 || echo no tty",
            "--health-interval", "disable", "--health-max-log-size", "0", "-t", image, "sh", "-c",
            "grep Cap /proc/self/status; sleep 100")
    podlike("healthcheck", "run", name)
    said = health(podlike, name)["Log"][0]["Output"].splitlines()
    assert said[:4] == ["1000", "1001", "/tmp", "blue"]
    assert said[4:-1] == podlike("logs", name).stdout.splitlines()[:5], "the container's own capabilities"
    assert said[-1] == "no tty"


@pytest.mark.parametrize(("text", "output"), [
    ("echo $0 a b", "/bin/sh a b\n"), ("CMD echo x y", "x y\n"), ('["echo", "a  b"]', "a  b\n"), ('["CMD", "echo", "c  d"]',
                                                                                                  "c  d\n"),
    ('["CMD-SHELL", "echo e; echo f"]', "e\nf\n"), ('["echo g; echo h"]', "g\nh\n"),
])
def test_forms_of_a_command(podlike: Engine, image: str, name: str, text: str, output: str) -> None:
    start(podlike, image, name, "--health-cmd", text, "--health-interval", "disable")
    podlike("healthcheck", "run", name)
    assert health(podlike, name)["Log"][0]["Output"] == output


def test_command_that_is_not_there(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", '["CMD", "/no/such"]', "--health-interval", "disable")
    assert podlike("healthcheck", "run", name, check=False).code == 1
    assert "/no/such" in health(podlike, name)["Log"][0]["Output"]


def test_never_two_at_once(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", "mkdir /busy || echo two >> /two; sleep 0.5; rmdir /busy; echo x >> /done",
          "--health-interval", "200ms")
    by_hand = [podlike.popen("healthcheck", "run", name) for _ in range(3)]
    assert [p.wait(30) for p in by_hand] == [0, 0, 0]
    wait_for(lambda: podlike("exec", name, "wc", "-l", "/done", check=False).stdout.startswith("4 "), "four checks")
    assert podlike("exec", name, "test", "-e", "/two", check=False).code == 1


def test_too_slow(podlike: Engine, image: str, name: str) -> None:
    """SIGTERM, then SIGKILL, for all that belongs to the check."""
    start(podlike, image, name, "--health-cmd",
          "trap 'echo asked' TERM; setsid sleep 777 & sleep 778 & echo begun; while :; do sleep 779; done",
          "--health-interval", "disable", "--health-timeout", "1s", "--health-retries", "1")
    refused = podlike("healthcheck", "run", name, check=False)
    assert refused.code == 125
    assert "healthcheck command exceeded timeout of 1s" in refused.stderr
    entry = health(podlike, name)["Log"][0]
    assert entry["ExitCode"] == -1
    assert entry["Output"].startswith("begun\n")
    assert health(podlike, name)["Status"] == "unhealthy"
    assert "77" not in podlike("top", name).stdout


def test_interval_is_kept(podlike: Engine, image: str, name: str) -> None:
    """Loosely: tests/perf measures it."""
    start(podlike, image, name, "--health-cmd", "true", "--health-interval", "500ms", "--health-max-log-count", "0")
    wait_for(lambda: len(health(podlike, name)["Log"]) >= 7, "seven checks")
    from datetime import datetime

    begun = [datetime.fromisoformat(e["Start"]).timestamp() for e in health(podlike, name)["Log"]][:7]
    gaps = [b - a for a, b in zip(begun[1:], begun[2:], strict=False)]
    assert 2.2 < sum(gaps) < 2.8
    assert max(gaps) < 1.5


def test_no_check_while_paused(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", "true", "--health-interval", "200ms", "--health-max-log-count", "0")
    await_health(podlike, name, "healthy")
    need(podlike("pause", name, check=False).code == 0, "a cgroup that can be frozen")
    time.sleep(0.3)
    before = len(health(podlike, name)["Log"])
    time.sleep(1)
    assert len(health(podlike, name)["Log"]) == before
    assert podlike("healthcheck", "run", name, check=False).code == 125
    podlike("unpause", name)
    wait_for(lambda: len(health(podlike, name)["Log"]) > before + 2, "more checks")
    assert all(e["ExitCode"] == 0 for e in health(podlike, name)["Log"])


def test_a_check_under_way_stands_still_in_a_pause(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", "touch /begun; sleep 1; echo over", "--health-interval", "1h",
          "--health-timeout", "3s")
    wait_for(lambda: podlike("exec", name, "test", "-e", "/begun", check=False).code == 0, "the check")
    need(podlike("pause", name, check=False).code == 0, "a cgroup that can be frozen")
    time.sleep(3.5)
    podlike("unpause", name)
    assert await_health(podlike, name, "healthy")["Log"][0]["Output"] == "over\n"


# --- starting ---


def test_start_period(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", WELL, "--health-interval", "200ms", "--health-retries", "1",
          "--health-start-period", "2s")
    time.sleep(1)
    early = health(podlike, name)
    assert (early["Status"], early["FailingStreak"]) == ("starting", 0)
    assert len(early["Log"]) >= 3
    await_health(podlike, name, "unhealthy")


def test_success_ends_the_start_period_for_the_status_only(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", WELL, "--health-interval", "200ms", "--health-retries", "1",
          "--health-start-period", "1h")
    podlike("exec", name, "touch", "/well")
    await_health(podlike, name, "healthy")
    podlike("exec", name, "rm", "/well")
    wait_for(lambda: health(podlike, name)["Log"][-1]["ExitCode"] == 1, "a failure")
    assert health(podlike, name)["Status"] == "healthy"


def test_start_interval(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", WELL, "--health-interval", "1h", "--health-start-period", "1m",
          "--health-start-interval", "200ms",
          "--health-max-log-count", "0")
    wait_for(lambda: len(health(podlike, name)["Log"]) >= 3, "checks of the start")
    podlike("exec", name, "touch", "/well")
    await_health(podlike, name, "healthy")
    time.sleep(0.3)
    seen = len(health(podlike, name)["Log"])
    time.sleep(1)
    assert len(health(podlike, name)["Log"]) == seen, "the long interval holds now"


def test_startup_check_comes_first(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", "echo regular", "--health-interval", "200ms", "--health-startup-cmd",
          f"echo startup; {WELL}",
          "--health-startup-interval", "200ms", "--health-startup-success", "2", "--health-max-log-count", "0")
    wait_for(lambda: len(health(podlike, name)["Log"]) >= 3, "startup checks")
    assert health(podlike, name)["Status"] == "starting"
    by_hand = podlike("healthcheck", "run", name, check=False)
    assert (by_hand.code, by_hand.stdout) == (1, "starting\n")
    podlike("exec", name, "touch", "/well")
    wait_for(lambda: health(podlike, name)["Log"][-1]["Output"] == "regular\n", "a regular check")
    log = [e["Output"].split()[0] for e in health(podlike, name)["Log"] if e["ExitCode"] == 0]
    assert log[:3] == ["startup", "startup", "regular"]
    assert "startup" not in log[3:]
    assert inspect(podlike, name)["Config"]["StartupHealthCheck"]["Successes"] == 2


def test_startup_check_restarts(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", "true", "--health-startup-cmd", "test -e /second",
          "--health-startup-interval", "200ms",
          "--health-startup-retries", "2", "--stop-timeout", "0",
          command=("sh", "-c", "[ -e /first ] && touch /second; touch /first; sleep 100"))
    wait_for(lambda: inspect(podlike, name)["RestartCount"] == 1, "the restart")
    await_health(podlike, name, "healthy")
    assert inspect(podlike, name)["RestartCount"] == 1


# --- what follows ---


@pytest.mark.parametrize("action", ["kill", "stop"])
def test_action_ends_it(podlike: Engine, image: str, name: str, action: str) -> None:
    start(podlike, image, name, "--health-cmd", WELL, "--health-interval", "disable", "--health-retries", "1",
          f"--health-on-failure={action}",
          "--restart=always", command=("sh", "-c", "trap 'echo asked; exit 5' TERM; echo up; while :; do sleep 0.05; done"))
    wait_for(lambda: "up" in podlike("logs", name).stdout, "the trap")
    assert podlike("healthcheck", "run", name, check=False).code == 1
    end = state(podlike, name)
    assert (end["Status"], end["ExitCode"]) == ("exited", 5 if action == "stop" else 137)
    assert end["EndReason"] == f"its health check failed, and the action for that is {action}"
    assert end["Health"]["Status"] == "unhealthy"
    time.sleep(0.5)
    end = state(podlike, name)
    assert (end["Status"], end["StoppedByUser"]) == ("exited", True), "no policy brings it up again"


def test_action_stop_insists(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", "false", "--health-interval", "disable", "--health-retries", "1",
          "--health-on-failure=stop",
          "--stop-timeout", "1", command=("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"))
    assert podlike("healthcheck", "run", name, check=False).code == 1
    assert (state(podlike, name)["Status"], state(podlike, name)["ExitCode"]) == ("exited", 137)


def test_action_restart(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", "! test -e /dev/shm/bad", "--health-interval", "200ms", "--health-retries", "2",
          "--health-on-failure=restart", "--stop-timeout", "0")
    await_health(podlike, name, "healthy")
    podlike("exec", name, "touch", "/dev/shm/bad")
    wait_for(lambda: inspect(podlike, name)["RestartCount"] == 1, "the restart", timeout=30)
    await_health(podlike, name, "healthy")
    assert inspect(podlike, name)["RestartCount"] == 1
    assert health(podlike, name)["FailingStreak"] == 0


def test_stop_during_a_check(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", "sleep 20", command=("sh", "-c",
          "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"))
    wait_for(lambda: "up" in podlike("logs", name).stdout, "the trap")
    with podlike.popen("healthcheck", "run", name) as by_hand:
        time.sleep(0.3)
        podlike("stop", name)
        assert by_hand.stdout
        assert by_hand.stdout.read() == b"stopped\n"
        assert by_hand.wait(20) == 1
    end = health(podlike, name)
    assert (end["Status"], end["FailingStreak"]) == ("stopped", 0)


def test_health_outlives_the_container(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", "echo fine", "--health-interval", "200ms")
    await_health(podlike, name, "healthy")
    podlike("stop", "-t", "0", name)
    end = health(podlike, name)
    assert end["Status"] in ("healthy", "stopped")
    assert end["Log"][0]["Output"] == "fine\n"
    assert podlike("ps", "-a", "--filter", f"name={name}", "--format", "{{.Status}}").line.endswith(f"({end['Status']})")


# --- the log ---


def test_log_limits(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", "echo 0123456789abcdef", "--health-interval", "disable",
          "--health-max-log-count", "3",
          "--health-max-log-size", "10")
    for _ in range(7):
        podlike("healthcheck", "run", name)
    log = health(podlike, name)["Log"]
    assert [e["Output"] for e in log] == ["0123456789"] * 3
    config = inspect(podlike, name)["Config"]
    assert (config["HealthcheckMaxLogCount"], config["HealthcheckMaxLogSize"], config["HealthLogDestination"]) == (3, 10,
                                                                                                                   "local")


def test_log_of_any_bytes(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd",
          r"""printf 'a\377"\\\033\n'; head -c 100000 /dev/zero""", "--health-interval", "disable")
    podlike("healthcheck", "run", name)
    output = health(podlike, name)["Log"][0]["Output"]
    assert output.startswith('a�"\\\x1b\n\0\0')
    assert len(output) == 500


def test_log_in_a_directory(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    start(podlike, image, name, "--health-cmd", "echo there", "--health-interval", "disable", "--health-log-destination",
          str(tmp_path))
    podlike("healthcheck", "run", name)
    (path,) = tmp_path.iterdir()
    assert path.name == f"{inspect(podlike, name)['Id']}-healthcheck.log"
    doc = json.loads(path.read_text())
    assert doc.keys() == {"Status", "FailingStreak", "Log"}, "podman's document"
    assert (doc["Status"], doc["FailingStreak"]) == ("healthy", 0)
    assert doc["Log"][0].keys() == {"Start", "End", "ExitCode", "Output"}
    assert doc["Log"][0]["Output"] == "there\n"
    assert health(podlike, name)["Log"][0]["Output"] == "there\n"


# --- monitors ---


def test_monitor_is_killed(podlike: Engine, image: str, name: str) -> None:
    start(podlike, image, name, "--health-cmd", "true", "--health-interval", "200ms")
    await_health(podlike, name, "healthy")
    os.kill(state(podlike, name)["ConmonPid"], signal.SIGKILL)
    assert state(podlike, name)["Status"] == "running"
    alone = podlike("healthcheck", "run", name, check=False)
    assert alone.code == 125
    assert "its monitor is gone" in alone.stderr
    podlike("restart", "-t", "0", name)
    await_health(podlike, name, "healthy")


def test_conmon_is_refused_in_words(podlike: Engine, image: str, name: str) -> None:
    conmon = shutil.which("conmon", path="/usr/bin:/usr/libexec/podman:/usr/lib/podman")
    need(conmon, "conmon, from the package of that name")
    refused = podlike("--conmon", str(conmon), "run", "-d", "--name", name, "--health-cmd", "true", image, "true", check=False)
    assert refused.code == 125
    assert "health checks need podlike-conmon" in refused.stderr
    assert podlike("container", "exists", name, check=False).code == 1


# --- readiness ---


class Manager:
    """The service manager's end of sd_notify(3)."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.socket.settimeout(20)

    def heard(self) -> list[str]:
        return self.socket.recv(4096).decode().split()

    def silent(self, seconds: float) -> bool:
        self.socket.settimeout(seconds)
        try:
            return not self.heard()
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(20)


@pytest.fixture
def manager(tmp_path: Path) -> Manager:
    tmp_path.chmod(0o755)
    return Manager(tmp_path)


def notified(podlike: Engine, image: str, name: str, manager: Manager, *flags: str, command: tuple[str, ...] = ("sleep",
             "100")) -> str:
    podlike("run", "-d", "--name", name, *QUIET, *flags, image, *command, env={"NOTIFY_SOCKET": manager.path})
    return f"MAINPID={state(podlike, name)['ConmonPid']}"


def test_notify_conmon(podlike: Engine, image: str, name: str, manager: Manager) -> None:
    pid = notified(podlike, image, name, manager, "--sdnotify=conmon")
    assert manager.heard() == [pid, "READY=1"]


def test_notify_healthy(podlike: Engine, image: str, name: str, manager: Manager) -> None:
    with podlike.popen("run", "-d", "--name", name, *QUIET, "--sdnotify=healthy", "--health-cmd", WELL, "--health-interval",
                       "200ms", image, "sleep", "100", env={"NOTIFY_SOCKET": manager.path}) as running:
        assert manager.heard() == [f"MAINPID={state(podlike, name)['ConmonPid']}"]
        assert manager.silent(0.6)
        assert running.poll() is None, "it waits as well"
        podlike("exec", name, "touch", "/well")
        assert manager.heard() == ["READY=1"]
        assert running.wait(20) == 0
        assert manager.silent(0.6), "told once"


@pytest.mark.parametrize("flags", [(), ("--rm",)], ids=["kept", "rm"])
def test_wait_for_healthy_that_ends_first(podlike: Engine, image: str, name: str, flags: tuple[str, ...]) -> None:
    made = podlike("create", "--name", name, *QUIET, *flags, "--sdnotify=healthy", "--health-cmd", "false", image, "sleep", "0.5")
    started = podlike("start", made.line, check=False)
    assert started.code == 125
    assert "to be healthy: container is stopped" in started.stderr
    assert "It ended before it was" in started.stderr


def test_notify_container(podlike: Engine, image: str, name: str, manager: Manager) -> None:
    pid = notified(podlike, image, name, manager, command=(
        "sh", "-c", "echo socket is $NOTIFY_SOCKET; test -S $NOTIFY_SOCKET && sleep 0.5; sleep 100"))
    assert manager.heard() == [pid]
    wait_for(lambda: "socket is" in podlike("logs", name).stdout, "the container")
    assert podlike("logs", name).line == "socket is /run/notify/notify.sock"
    # busybox sends no datagrams; somebody on this side of the same socket does
    fd = os.open(os.path.dirname(inspect(podlike, name)["OCIConfigPath"]), os.O_PATH)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"READY=1\nMAINPID=1\nSTATUS=up", f"/proc/self/fd/{fd}/notify/notify.sock")
    os.close(fd)
    assert manager.heard() == ["READY=1", "STATUS=up"]


def test_notify_ignore(podlike: Engine, image: str, name: str, manager: Manager) -> None:
    notified(podlike, image, name, manager, "--sdnotify=ignore")
    assert manager.silent(0.5)
