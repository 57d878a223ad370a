"""Restart policies: containers that come back by themselves, and stay away when somebody says so."""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine, wait_for
from tests.support.need import need

QUIET = ("--network", "none")
# Fails at once, every time.
CRASH = ("sh", "-c", "exit 7")


def state(podlike: Engine, name: str) -> "dict[str, Any]":
    doc: dict[str, Any] = json.loads(podlike("container", "inspect", name).stdout)[0]
    return {**doc["State"], "RestartCount": doc["RestartCount"]}


def detached(podlike: Engine, image: str, name: str, policy: str, *command: str, flags: tuple[str, ...] = ()) -> str:
    return podlike("run", "-d", "--name", name, f"--restart={policy}", *QUIET, *flags, image, *command).line


def monitor_of(podlike: Engine, name: str) -> int:
    return int(podlike("inspect", "-f", "{{.State.ConmonPid}}", name).line)


def await_state(podlike: Engine, name: str, wanted: str) -> "dict[str, Any]":
    found: dict[str, Any] = wait_for(lambda: (s := state(podlike, name))["Status"] == wanted and s, wanted, timeout=30)
    return found


def stays_down(podlike: Engine, name: str, seconds: float = 0.5) -> None:
    assert state(podlike, name)["Status"] == "exited"
    count = state(podlike, name)["RestartCount"]
    time.sleep(seconds)
    after = state(podlike, name)
    assert (after["Status"], after["Pid"], after["RestartCount"]) == ("exited", 0, count)


# --- policies ---


def test_on_failure_counts(podlike: Engine, image: str, name: str) -> None:
    before = time.time()
    detached(podlike, image, name, "on-failure:3", "sh", "-c", "echo run; exit 7")
    end = await_state(podlike, name, "exited")
    assert (end["RestartCount"], end["ExitCode"], end["Restarting"], end["EndReason"]) == \
        (3, 7, False, "its program ended with 7")
    assert podlike("logs", name).stdout == "run\n" * 4
    # 100, 200 and 400 ms between the runs
    assert time.time() - before >= 0.7
    assert podlike("ps", "-a", "--filter", f"name={name}", "--format", "{{.Status}}").line.startswith("Exited (7)")
    assert podlike("ps", "-a", "--filter", f"name={name}", "--format", "{{.Restarts}}").line == "3"
    assert end["StartedAt"] < end["FinishedAt"]


@pytest.mark.parametrize(("policy", "command"), [("no", CRASH), ("on-failure", ("true",)), ("on-failure:3", ("true",))])
def test_no_restart(podlike: Engine, image: str, name: str, policy: str, command: tuple[str, ...]) -> None:
    detached(podlike, image, name, policy, *command)
    await_state(podlike, name, "exited")
    stays_down(podlike, name)
    assert state(podlike, name)["RestartCount"] == 0


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_restarts_without_end(podlike: Engine, image: str, name: str, policy: str) -> None:
    detached(podlike, image, name, policy, "sh", "-c", "echo run")
    wait_for(lambda: podlike("logs", name).stdout.count("run") >= 3, "three runs")
    podlike("stop", "-t", "0", name)
    stays_down(podlike, name)


def test_what_is_seen_of_the_back_off(podlike: Engine, image: str, name: str) -> None:
    detached(podlike, image, name, "always", *CRASH)
    now = wait_for(lambda: (s := state(podlike, name))["Restarting"] and s["RestartCount"] >= 3 and s, "a longer wait")
    assert (now["Status"], now["Running"], now["Pid"], now["ExitCode"]) == ("restarting", False, 0, 7)
    wait_for(lambda: podlike("ps", "--filter", f"name={name}", "--format", "{{.Status}}").line.startswith("Restarting (7) "),
             "ps to look while it waits")
    assert podlike("ps", "-q", "--filter", "status=restarting").line in now["CgroupPath"]
    for command in (("exec", name, "true"), ("pause", name), ("top", name), ("attach", name), ("rm", name),
                    ("kill", "-s", "HUP", name)):
        before = state(podlike, name)
        refused = podlike(*command, check=False)
        after = state(podlike, name)
        assert "Traceback" not in refused.stderr
        if before["Restarting"] and after["Restarting"] and before["RestartCount"] == after["RestartCount"]:
            assert refused.code not in (0, 127), command


def test_a_long_run_resets_nothing_but_the_wait(podlike: Engine, image: str, name: str) -> None:
    """The monitor of a container that ran through its restarts still has the count."""
    detached(podlike, image, name, "on-failure", "sh", "-c",
             "[ -e /three ] && sleep 100; [ -e /two ] && touch /three; touch /two; exit 1")
    await_state(podlike, name, "running")
    wait_for(lambda: state(podlike, name)["RestartCount"] == 2, "the run that stays")
    up = state(podlike, name)
    assert up["Status"] == "running"
    assert os.path.exists(f"/proc/{up['Pid']}")
    assert podlike("exec", name, "cat", "/proc/1/cmdline").stdout.startswith("sh\0")
    assert podlike("top", name).stdout.count("root") == 2
    podlike("restart", "-t", "0", name)
    assert state(podlike, name)["RestartCount"] == 0


def test_wait_ends_with_the_first_run(podlike: Engine, image: str, name: str) -> None:
    detached(podlike, image, name, "always", "sh", "-c", "sleep 0.5; exit 4")
    assert podlike("wait", name).line == "4"


# --- what goes through a restart ---


def test_attached_client_stays(podlike: Engine, image: str, name: str) -> None:
    done = podlike("run", "--name", name, "--restart=on-failure:2", *QUIET, image, "sh", "-c",
                   "echo out; echo err >&2; exit 5", check=False)
    assert (done.code, done.stdout, done.stderr) == (5, "out\n" * 3, "err\n" * 3)
    assert state(podlike, name)["Status"] == "exited"


def test_stdin_goes_to_the_run_of_the_time(podlike: Engine, image: str, name: str) -> None:
    with podlike.popen("run", "-i", "--name", name, "--restart=on-failure:1", *QUIET, image, "sh", "-c",
                       "echo up; read word; echo got $word; exit 3", stdin=-1) as p:
        assert p.stdin and p.stdout
        for word in (b"one", b"two"):
            assert p.stdout.readline() == b"up\n"
            p.stdin.write(word + b"\n")
            p.stdin.flush()
            assert p.stdout.readline() == b"got " + word + b"\n"
        assert p.wait(20) == 3


def test_stdin_that_has_ended_stays_so(podlike: Engine, image: str, name: str) -> None:
    done = podlike("run", "-i", "--name", name, "--restart=on-failure:2", *QUIET, image, "sh", "-c",
                   "cat; echo .; exit 3", input="text\n", check=False)
    assert (done.code, done.stdout) == (3, "text\n.\n.\n.\n")


def test_terminal_is_made_anew(podlike: Engine, image: str, name: str) -> None:
    with podlike.terminal("run", "-it", "--name", name, "--restart=on-failure:2", *QUIET, image, "sh", "-c",
                          "test -t 0 && stty size; sleep 0.3; exit 3", rows=33, cols=99) as terminal:
        for _ in range(3):
            terminal.expect("33 99")
        assert terminal.wait() == 3


def test_network_and_files_stay(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, "--restart=on-failure:1", "--network", "slirp4netns", image, "sh", "-c",
            "cat /etc/hosts | md5sum; readlink /proc/self/ns/net; echo x >> /kept; wc -l < /kept; "
            "ls /dev/shm | wc -l; echo z > /dev/shm/z; exit 1")
    await_state(podlike, name, "exited")
    hosts1, net1, kept1, shm1, hosts2, net2, kept2, shm2 = podlike("logs", name).stdout.splitlines()
    assert (hosts1, net1) == (hosts2, net2)
    assert (kept1, kept2) == ("1", "2")
    assert (shm1, shm2) == ("0", "0"), "memory of the last run is gone"


def test_followed_log_goes_on(podlike: Engine, image: str, name: str) -> None:
    detached(podlike, image, name, "on-failure:2", "sh", "-c", "echo run; sleep 0.2; exit 1")
    assert podlike("logs", "-f", name, timeout=30).stdout == "run\n" * 3


# --- ends that win ---


@pytest.mark.parametrize("command", [("stop", "-t", "0"), ("kill",), ("rm", "-f", "-t", "0")])
def test_end_at_any_instant(podlike: Engine, image: str, name: str, command: tuple[str, ...]) -> None:
    """Whatever the monitor is about: waiting, making, starting, running."""
    chance = random.Random(1)
    for n in range(8):
        one = f"{name}-{n}"
        detached(podlike, image, one, "always", "sh", "-c", "exit 1")
        time.sleep(chance.random() * 0.6)
        podlike(*command, one)
        if command[0] == "rm":
            assert podlike("container", "exists", one, check=False).code == 1
        else:
            await_state(podlike, one, "exited")
            stays_down(podlike, one, 0.3)
            podlike("rm", one)


def test_short_runs_and_a_long_row_of_stops(podlike: Engine, image: str, name: str) -> None:
    """The same container again and again: no stop is lost, no run goes on behind one."""
    chance = random.Random(2)
    podlike("create", "--name", name, "--restart=always", *QUIET, image, "sh", "-c", "usleep 20000")
    for _ in range(15):
        podlike("start", name)
        time.sleep(chance.random() * 0.5)
        podlike("stop", "-t", "0", name)
        assert state(podlike, name)["Status"] == "exited"
        assert state(podlike, name)["Pid"] == 0
    stays_down(podlike, name)


def test_pause_among_restarts(podlike: Engine, image: str, name: str) -> None:
    detached(podlike, image, name, "always", "sh", "-c", "sleep 0.1")
    paused = 0
    for _ in range(40):
        if podlike("pause", name, check=False).code == 0:
            paused += 1
            now = state(podlike, name)
            assert now["Status"] == "paused"
            time.sleep(0.3)
            after = state(podlike, name)
            assert (after["Status"], after["RestartCount"]) == ("paused", now["RestartCount"])
            podlike("unpause", name)
        if paused == 3:
            break
    need(paused, "a cgroup that can be frozen")
    podlike("stop", "-t", "0", name)
    stays_down(podlike, name)


def test_start_during_the_back_off_is_a_new_start(podlike: Engine, image: str, name: str) -> None:
    detached(podlike, image, name, "always", "sh", "-c", "[ -e /go ] && sleep 100; exit 1")
    wait_for(lambda: (s := state(podlike, name))["Restarting"] and s["RestartCount"] >= 4, "a longer wait")
    upper = podlike("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", name).line
    podlike("unshare", "touch", f"{upper}/go")
    podlike("start", name)
    now = state(podlike, name)
    assert (now["Status"], now["RestartCount"]) == ("running", 0)
    podlike("restart", "-t", "0", name)
    assert state(podlike, name)["Status"] == "running"


def test_ctrl_c_ends_a_foreground_container(podlike: Engine, image: str, name: str) -> None:
    with podlike.popen("run", "--name", name, "--restart=always", *QUIET, image, "sh", "-c",
                       "trap 'exit 9' INT; echo up; sleep 100 & wait") as p:
        assert p.stdout
        assert p.stdout.readline() == b"up\n"
        p.send_signal(signal.SIGINT)
        assert p.wait(20) == 9
    stays_down(podlike, name)


def test_ctrl_c_in_the_back_off(podlike: Engine, image: str, name: str) -> None:
    with podlike.popen("run", "--name", name, "--restart=always", *QUIET, image, *CRASH) as p:
        wait_for(lambda: podlike("container", "exists", name, check=False).code == 0
                 and state(podlike, name)["RestartCount"] >= 3, "some restarts")
        p.send_signal(signal.SIGTERM)
        assert p.wait(20) == 7
    stays_down(podlike, name)


def test_detached_client_leaves_it_alone(podlike: Engine, image: str, name: str) -> None:
    """A CLI that is killed takes nothing with it: restarts go on without."""
    with podlike.popen("run", "--name", name, "--restart=on-failure:5", *QUIET, image, "sh", "-c",
                       "echo run; sleep 0.1; exit 1") as p:
        assert p.stdout
        p.stdout.readline()
        p.kill()
    assert await_state(podlike, name, "exited")["RestartCount"] == 5
    assert podlike("logs", name).stdout == "run\n" * 6


# --- monitors that are killed or stopped ---


def test_monitor_is_killed_in_the_back_off(podlike: Engine, image: str, name: str) -> None:
    detached(podlike, image, name, "always", *CRASH)
    wait_for(lambda: (s := state(podlike, name))["Restarting"] and s["RestartCount"] >= 4, "a longer wait")
    os.kill(monitor_of(podlike, name), signal.SIGKILL)
    end = await_state(podlike, name, "exited")
    assert (end["ExitCode"], end["Restarting"]) == (7, False)
    assert end["RestartCount"] >= 4
    podlike("start", name)
    podlike("rm", "-f", "-t", "0", name)


def test_monitor_is_killed_while_a_later_run_goes_on(podlike: Engine, image: str, name: str) -> None:
    detached(podlike, image, name, "always", "sh", "-c", "[ -e /two ] && sleep 100; touch /two; exit 1")
    wait_for(lambda: (s := state(podlike, name))["RestartCount"] == 1 and s["Status"] == "running", "the second run")
    os.kill(monitor_of(podlike, name), signal.SIGKILL)
    now = state(podlike, name)
    assert (now["Status"], now["RestartCount"]) == ("running", 1)
    assert podlike("exec", name, "echo", "alive").line == "alive"
    podlike("stop", "-t", "0", name)
    assert state(podlike, name)["Status"] == "exited"
    podlike("start", name)
    assert state(podlike, name)["Status"] == "running"


def test_stop_wins_over_a_monitor_that_is_stopped(podlike: Engine, image: str, name: str) -> None:
    detached(podlike, image, name, "always", *CRASH)
    wait_for(lambda: (s := state(podlike, name))["Restarting"] and s["RestartCount"] >= 3, "a longer wait")
    monitor = monitor_of(podlike, name)
    os.kill(monitor, signal.SIGSTOP)
    try:
        with podlike.popen("stop", "-t", "0", name) as stop:
            time.sleep(1)
            os.kill(monitor, signal.SIGCONT)
            assert stop.wait(30) == 0
    finally:
        if os.path.exists(f"/proc/{monitor}"):
            os.kill(monitor, signal.SIGCONT)
    stays_down(podlike, name, 2)


def test_monitor_that_is_asked_to_end_restarts_nothing(podlike: Engine, image: str, name: str) -> None:
    detached(podlike, image, name, "always", "sh", "-c", "trap 'exit 3' TERM; echo up; sleep 100 & wait")
    wait_for(lambda: "up" in podlike("logs", name).stdout, "the trap")
    os.kill(monitor_of(podlike, name), signal.SIGTERM)
    assert await_state(podlike, name, "exited")["ExitCode"] == 3
    stays_down(podlike, name)


def test_a_restart_that_fails_is_tried_again(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    tmp_path.chmod(0o755)
    detached(podlike, image, name, "always", "sh", "-c", "sleep 0.5; exit 1", flags=("-v", f"{source}:/bound"))
    source.rename(tmp_path / "away")
    failed = wait_for(lambda: (s := state(podlike, name))["Error"] and s, "a failed restart", timeout=20)
    assert failed["Status"] == "restarting"
    assert "source" in failed["Error"]
    (tmp_path / "away").rename(source)
    assert wait_for(lambda: (s := state(podlike, name))["Status"] == "running" and s, "a run", timeout=20)["Error"] == ""


# --- the other monitor ---


def test_conmon_restarts_through_the_exit_command(podlike: Engine, image: str, name: str) -> None:
    conmon = shutil.which("conmon", path="/usr/bin:/usr/libexec/podman:/usr/lib/podman")
    need(conmon, "conmon, from the package of that name")
    podlike("--conmon", str(conmon), "run", "-d", "--name", name, "--restart=on-failure:2", *QUIET, image, "sh", "-c",
            "echo run; exit 7")
    # Between two runs it is exited, too.
    wait_for(lambda: (s := state(podlike, name))["RestartCount"] == 2 and s["Status"] == "exited"
             and podlike("logs", name).stdout == "run\n" * 3, "restarts", timeout=30)


# --- why it ended ---


def end_of(podlike: Engine, image: str, name: str, *command: str, flags: tuple[str, ...] = ()) -> "dict[str, Any]":
    podlike("run", "--name", name, *QUIET, *flags, image, *command, check=False)
    return state(podlike, name)


def test_reason_exit(podlike: Engine, image: str, name: str) -> None:
    end = end_of(podlike, image, name, *CRASH)
    assert (end["EndReason"], end["OOMKilled"], end["Error"]) == ("its program ended with 7", False, "")


def test_reason_signal(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, *QUIET, image, "sleep", "100")
    podlike("kill", name)
    end = await_state(podlike, name, "exited")
    assert (end["EndReason"], end["ExitCode"]) == ("killed by SIGKILL", 137)


def test_reason_seccomp(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW",
               "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}]}
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    tmp_path.chmod(0o755)
    end = end_of(podlike, image, name, "mkdir", "/new", flags=("--security-opt", f"seccomp={tmp_path}/profile.json"))
    assert end["ExitCode"] == 128 + signal.SIGSYS
    assert "seccomp" in end["EndReason"]


def test_reason_timeout(podlike: Engine, image: str, name: str) -> None:
    end = end_of(podlike, image, name, "sleep", "100", flags=("--timeout", "1"))
    assert end["EndReason"] == "it ran longer than its timeout of 1 seconds"


def test_timeout_counts_for_each_run(podlike: Engine, image: str, name: str) -> None:
    detached(podlike, image, name, "on-failure:1", "sh", "-c", "echo run; sleep 100", flags=("--timeout", "1"))
    assert await_state(podlike, name, "exited")["RestartCount"] == 1
    assert podlike("logs", name).stdout == "run\nrun\n"


def test_reason_out_of_memory(podlike: Engine, image: str, name: str) -> None:
    controllers = Path("/sys/fs/cgroup/cgroup.controllers")
    need(controllers.exists() and "memory" in controllers.read_text(),
         "no delegated cgroup with the memory controller", optional=True)
    end = end_of(podlike, image, name, "tail", "/dev/zero", flags=("--memory", "20m", "--memory-swap", "20m"))
    assert (end["OOMKilled"], end["ExitCode"]) == (True, 137)
    assert end["EndReason"] == "out of memory: its limit of 20.97MB was used up"
