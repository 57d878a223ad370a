"""The events log and `podlike events`, with real containers."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import oci
from tests.support.engine import Engine, wait_for
from tests.support.need import need

QUIET = ("--network", "none")
READ = ("events", "--stream=false")


def told(podlike: Engine, *flags: str, log: dict[str, str] | None = None) -> "list[dict[str, Any]]":
    return [json.loads(line) for line in podlike(*READ, "--format", "json", *flags, env=log).stdout.splitlines()]


def words(podlike: Engine, cid: str, *flags: str) -> list[str]:
    return [e["Status"] for e in told(podlike, "--filter", f"container={cid}", *flags)]


def await_words(podlike: Engine, cid: str, wanted: list[str], timeout: float = 20) -> None:
    have: list[str] = []

    def arrived() -> bool:
        have[:] = words(podlike, cid)
        return have == wanted

    try:
        wait_for(arrived, "events", timeout=timeout)
    except AssertionError:
        assert have == wanted
        raise


def newest(podlike: Engine, kind: str, count: int) -> "list[dict[str, Any]]":
    return told(podlike, "--filter", f"type={kind}")[-count:]


def configured(tmp_path: Path, **engine: str | int | bool) -> dict[str, str]:
    tmp_path.chmod(0o755)
    conf = tmp_path / "containers.conf"
    conf.write_text("[engine]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in engine.items()))
    return {"CONTAINERS_CONF_OVERRIDE": str(conf)}


# --- what is told ---


def test_the_life_of_a_container(podlike: Engine, image: str, name: str) -> None:
    started = time.time()
    done = podlike("run", "--name", name, "--label", "a=b c", *QUIET, image, "sh", "-c", "exit 3", check=False)
    assert done.code == 3
    cid = podlike("inspect", "-f", "{{.Id}}", name).line
    podlike("rm", name)
    all_ = told(podlike, "--filter", f"container={name}")
    assert [e["Status"] for e in all_] == ["create", "init", "start", "attach", "died", "cleanup", "remove"]
    died = all_[4]
    assert (died["ID"], died["Image"], died["Name"], died["Type"]) == (cid, image, name, "container")
    assert died["ContainerExitCode"] == 3 and died["Attributes"]["a"] == "b c"
    times = [e["timeNano"] for e in all_]
    assert times == sorted(times) and started < times[0] / 1e9 < time.time()
    assert [e["time"] for e in all_] == [t // 1_000_000_000 for t in times]
    assert newest(podlike, "image", 1)[0]["Status"] == "pull", "podman says so of an image that is here too"


def test_what_people_do_to_a_container(podlike: Engine, image: str, name: str) -> None:
    cid = podlike("run", "-d", "--name", name, *QUIET, image, "sleep", "100").line
    podlike("kill", "-s", "HUP", name)
    podlike("rename", name, f"{name}-2")
    podlike("exec", name + "-2", "true")
    podlike("restart", "-t", "0", cid)
    podlike("stop", "-t", "0", cid)
    podlike("rm", cid)
    assert words(podlike, cid) == ["create", "init", "start", "kill", "rename", "exec", "exec_died", "restart", "stop", "died",
                                   "cleanup", "init", "start", "stop", "died", "cleanup", "remove"]
    names = [e["Name"] for e in told(podlike, "--filter", f"container={cid}")]
    assert names == [name] * 4 + [f"{name}-2"] * 13


def test_pause(podlike: Engine, image: str, name: str) -> None:
    cid = podlike("run", "-d", "--name", name, *QUIET, image, "sleep", "100").line
    podlike("pause", name)
    podlike("unpause", name)
    assert words(podlike, cid) == ["create", "init", "start", "pause", "unpause"]


@pytest.mark.parametrize("flags", [(), ("-d",)], ids=["attached", "detached"])
def test_exec_sessions(podlike: Engine, image: str, name: str, flags: tuple[str, ...]) -> None:
    cid = podlike("run", "-d", "--name", name, *QUIET, image, "sleep", "100").line
    podlike("exec", *flags, name, "sh", "-c", "exit 4", check=False)
    wait_for(lambda: "exec_died" in words(podlike, cid), "the end of the session")
    started, died = told(podlike, "--filter", f"container={cid}")[3:]
    assert (started["Status"], died["Status"], died["ContainerExitCode"]) == ("exec", "exec_died", 4)
    assert len(died["Attributes"]["execID"]) == 64
    assert told(podlike, "--filter", f"label=execID={died['Attributes']['execID']}", "--filter", "event=exec_died") == [died]


def test_removed_by_the_monitors_exit_command(podlike: Engine, image: str, name: str) -> None:
    cid = podlike("run", "-d", "--rm", "--name", name, *QUIET, image, "sh", "-c", "exit 5").line
    await_words(podlike, cid, ["create", "init", "start", "died", "remove"])
    assert told(podlike, "--filter", f"container={cid}")[-1]["ContainerExitCode"] == 5


def test_restarts_are_told_by_the_monitor(podlike: Engine, image: str, name: str) -> None:
    cid = podlike("run", "-d", "--restart", "on-failure:2", "--name", name, *QUIET, image, "sh", "-c", "exit 7").line
    run = ["init", "start", "died"]
    await_words(podlike, cid, ["create", *run, "restart", *run, "restart", *run, "cleanup"])
    codes = [e.get("ContainerExitCode") for e in told(podlike, "--filter", f"container={cid}", "--filter", "event=died")]
    assert codes == [7, 7, 7]


def test_a_monitor_that_was_killed_leaves_the_end_to_the_next_command(podlike: Engine, image: str, name: str) -> None:
    cid = podlike("run", "-d", "--restart", "always", "--name", name, *QUIET, image, "sleep", "100").line
    state = json.loads(podlike("container", "inspect", name).stdout)[0]["State"]
    for pid in (state["ConmonPid"], state["Pid"]):
        os.kill(pid, 9)
    wait_for(lambda: podlike("inspect", "-f", "{{.State.Status}}", name).line == "exited", "its end")
    podlike("rm", name)
    assert words(podlike, cid) == ["create", "init", "start", "died", "remove"]


def test_a_start_that_fails(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "--name", name, *QUIET, image, "/no/such/program", check=False)
    assert words(podlike, name) in (["create", "remove"], ["create", "init", "remove"])


def test_health(podlike: Engine, image: str, name: str) -> None:
    cid = podlike("run", "-d", "--name", name, *QUIET, "--health-cmd", "echo so; test -e /well", "--health-interval", "disable",
                  "--health-retries", "1", image, "sleep", "100").line
    podlike("healthcheck", "run", name, check=False)
    podlike("exec", name, "touch", "/well")
    podlike("healthcheck", "run", name)
    health = told(podlike, "--filter", f"container={cid}", "--filter", "event=health_status")
    assert [e["health_status"] for e in health] == ["unhealthy", "healthy"]
    assert told(podlike, "--filter", f"container={cid}", "--filter", "health_status=healthy") == health[1:]
    line = podlike(*READ, "--filter", f"container={cid}", "--filter", "health_status=unhealthy").line
    assert f"(image={image}, name={name}, health_status=unhealthy, health_failing_streak=1, health_log=" in line


def test_health_log_in_the_events(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, *QUIET, "--health-cmd", "echo so it is", "--health-interval", "disable",
            "--health-log-destination", "events_logger", image, "sleep", "100")
    podlike("healthcheck", "run", name)
    line = podlike(*READ, "--filter", f"container={name}", "--filter", "event=health_status").line
    log = json.loads(line.partition("health_log=")[2].partition("}")[0] + "}")
    assert (log["Output"], log["ExitCode"]) == ("so it is\n", 0)


def test_health_events_can_be_switched_off(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    conf = configured(tmp_path, healthcheck_events=False)
    podlike("run", "-d", "--name", name, *QUIET, "--health-cmd", "true", "--health-interval", "disable", image, "sleep", "100",
            env=conf)
    podlike("healthcheck", "run", name)
    assert words(podlike, name) == ["create", "init", "start"]


def test_images(podlike: Engine, tmp_path: Path) -> None:
    archive = str(tmp_path / "image.tar")
    oci.write_oci_archive(archive, {"localhost/events:1": oci.Image(layers=[oci.layer([oci.File("a", b"a")])], config={})})
    podlike("load", "-i", archive)
    image_id = podlike("image", "inspect", "-f", "{{.Id}}", "localhost/events:1").line
    podlike("tag", "localhost/events:1", "registry.example/other:2", "third")
    podlike("untag", "localhost/events:1", "third")
    podlike("rmi", "registry.example/other:2")
    podlike("rmi", "localhost/events:1")
    found = newest(podlike, "image", 7)
    assert {e["ID"] for e in found} == {image_id}
    assert [(e["Status"], e["Name"]) for e in found] == [
        ("loadfromarchive", archive), ("tag", "registry.example/other:2"), ("tag", "third"),
        ("untag", "localhost/third:latest"), ("untag", "registry.example/other:2"), ("untag", "localhost/events:1"),
        ("remove", "localhost/events:1")]
    assert found[0]["Attributes"] is None


def test_a_pull_that_fails(podlike: Engine) -> None:
    podlike("pull", "--retry", "0", "localhost:1/none", check=False)
    event = newest(podlike, "image", 1)[0]
    assert (event["Status"], event["Name"]) == ("pull-error", "localhost:1/none")
    assert "refused" in event["Error"]


def test_volumes(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "--rm", "--name", name, *QUIET, "-v", "/data", image, "true")
    made, gone = newest(podlike, "volume", 2)
    assert (made["Status"], gone["Status"]) == ("create", "remove")
    assert made["Name"] == gone["Name"] and len(made["Name"]) == 64


def test_inspection_in_the_event(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    conf = configured(tmp_path, events_container_create_inspect_data=True)
    podlike("create", "--name", name, *QUIET, image, "true", env=conf)
    text = podlike(*READ, "--filter", f"container={name}", "--format", "{{.ContainerInspectData}}").line
    assert json.loads(text) == json.loads(podlike("container", "inspect", "--size", name).stdout)[0]
    assert "EffectiveCaps" not in podlike(*READ, "--filter", f"container={name}").stdout


# --- reading ---


def test_since_and_until(podlike: Engine, image: str, name: str) -> None:
    podlike("create", "--name", f"{name}-1", image)
    between = time.time()
    podlike("create", "--name", f"{name}-2", image)
    assert words(podlike, f"{name}-1", "--since", "1h") == ["create"]
    assert words(podlike, f"{name}-1", "--since", f"{between:.6f}") == []
    assert words(podlike, f"{name}-2", "--since", f"{between:.6f}") == ["create"]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(between - 60)) + "Z"
    assert words(podlike, f"{name}-2", "--until", stamp) == []
    assert words(podlike, f"{name}-2", "--since", stamp) == ["create"]
    # An end in the past ends it though it streams; one in the future when it comes.
    assert f"{name}-1" in podlike("events", "--since", "1h", "--until", f"{between:.6f}").stdout
    began = time.monotonic()
    podlike("events", "--since", "0s", "--until", "1s")
    assert 0.8 < time.monotonic() - began < 20


def test_streaming_shows_what_happens_now(podlike: Engine, image: str, name: str) -> None:
    podlike("create", "--name", f"{name}-old", image)
    with podlike.popen("events", "--format", "{{.Status}} {{.Name}}", "--filter", "type=container") as stream:
        assert stream.stdout is not None
        try:
            wait_for(lambda: f"{podlike.run_dir}/events/events.log" in opened(stream.pid), "the stream")
            podlike("run", "-d", "--name", name, "--restart", "on-failure:1", *QUIET, image, "sh", "-c", "exit 1")
            wanted = ["create", "init", "start", "died", "restart", "init", "start", "died", "cleanup"]
            assert [stream.stdout.readline().decode().strip() for _ in wanted] == [f"{word} {name}" for word in wanted]
        finally:
            stream.kill()


def opened(pid: int) -> list[str]:
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            continue
    return found


def test_formats(podlike: Engine, image: str, name: str) -> None:
    podlike("create", "--name", name, image)
    line = podlike(*READ, "--filter", f"container={name}").line
    cid = podlike("inspect", "-f", "{{.Id}}", name).line
    assert line.endswith(f" container create {cid} (image={image}, name={name})")
    short = podlike(*READ, "--no-trunc=false", "--filter", f"container={name}").line
    assert f" container create {cid[:12]} (" in short
    form = "{{.ID}} {{.Image}} {{.ContainerExitCode}}"
    assert podlike("system", *READ, "--filter", f"container={name}", "--format", form).line == f"{cid} {image} <nil>"
    doc = json.loads(podlike(*READ, "--filter", f"container={name}", "--format", "{{json .}}").line)
    assert doc == told(podlike, "--filter", f"container={name}")[0]


def test_docker_sees_dockers_events(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    podlike("run", "--rm", "--name", name, *QUIET, image, "sh", "-c", "exit 3", check=False)
    tmp_path.chmod(0o755)
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'import sys; sys.argv[0] = \"docker\"; "
                      "from podlike.__main__ import main; main()' \"$@\"\n")
    docker.chmod(0o755)
    env = {**podlike.env, "PYTHONPATH": str(Path(__file__).parents[2])}

    def run(*args: str) -> list[str]:
        done = subprocess.run([str(docker), "events", "--since", "1h", "--until", "0s", "--filter", f"container={name}", *args],
                              env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    docs = [json.loads(line) for line in run("--format", "{{json .}}")]
    assert [d["Action"] for d in docs] == ["create", "start", "attach", "die", "destroy"]
    assert docs[3]["Actor"]["Attributes"] == {"exitCode": "3", "image": image, "name": name}
    assert run("--filter", "event=die", "--format", "{{.Action}} {{.Actor.Attributes.exitCode}}") == ["die 3"]
    assert " container destroy " in run("--filter", "event=destroy")[0]


@pytest.mark.parametrize(("args", "words"), [
    (("--since", "the dawn of time"), "failed to parse event filters"),
    (("--filter", "colour=red"), "colour is an invalid filter"),
    (("--filter", "nothing"), "nothing is an invalid filter"), (("--format", "{{.Nope}}"), "Nope")])
def test_bad_questions_are_refused(podlike: Engine, args: tuple[str, ...], words: str) -> None:
    done = podlike(*READ, *args, check=False)
    assert done.code == 125 and words in done.stderr, done


# --- where it is kept ---


def test_none_keeps_nothing(podlike: Engine, image: str, name: str) -> None:
    podlike("--events-backend", "none", "run", "--rm", "--name", name, *QUIET, image, "true")
    podlike("--events-backend", "none", "run", "-d", "--restart", "on-failure:1", "--name", f"{name}-2", *QUIET, image, "false")
    wait_for(lambda: podlike("inspect", "-f", "{{.State.Status}}", f"{name}-2").line == "exited", "its end")
    assert words(podlike, name) == words(podlike, f"{name}-2") == []
    done = podlike("--events-backend", "none", "events", check=False)
    assert (done.code, done.stderr) == (125, 'Error: cannot read events with the "none" backend\n')
    assert "unknown event logger" in podlike("--events-backend", "pigeon", "ps", check=False).stderr


def test_the_file_is_where_it_is_wanted_and_stays_small(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    log = tmp_path / "deep" / "events.txt"
    conf = configured(tmp_path, events_logfile_path=str(log), events_logfile_max_size="4k")
    # All of it is the monitor's: no command runs meanwhile.
    podlike("run", "-d", "--name", name, *QUIET, "--health-cmd", "true", "--health-interval", "50ms", image, "sleep", "100",
            env=conf)
    wait_for(lambda: "log-rotation" in log.read_text(), "a rotation", timeout=30)
    seen = [json.loads(line)["Status"] for line in log.read_text().splitlines()]
    assert seen.count("log-rotation") == 2 and set(seen[-2:]) <= {"health_status", "log-rotation"}
    assert log.stat().st_size < 4000
    assert log.stat().st_mode & 0o777 == 0o600
    assert words(podlike, name) == [], "the usual place knows nothing of it"
    assert told(podlike, "--filter", f"container={name}", log=conf)
    podlike("rm", "-f", "-t", "0", name, env=conf)


def test_a_log_that_cannot_be_written_stops_nothing(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    conf = configured(tmp_path, events_logfile_path="/proc/nowhere/events.log")
    done = podlike("run", "--rm", "--name", name, *QUIET, image, "echo", "hi", env=conf)
    assert done.line == "hi"
    assert "Unable to write container event" in done.stderr


def test_podman_reads_our_log_and_we_read_its(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    podman = shutil.which("podman", path="/usr/bin")
    need(podman, "podman, from the package of that name")
    conf = configured(tmp_path, events_logger="file", events_logfile_path=str(tmp_path / "events.log"))
    podlike("run", "-d", "--name", name, "--label", "a=b c", "--restart", "on-failure:1", "--health-cmd", "true", *QUIET, image,
            "sh", "-c", "exit 3", env=conf)
    wait_for(lambda: "cleanup" in [e["Status"] for e in told(podlike, log=conf)], "its end")
    podlike("rm", name, env=conf)
    storage = tmp_path / "storage.conf"
    storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/graph"\nrunroot = "{tmp_path}/run"\n')
    env = {**podlike.env, "CONTAINERS_CONF": conf["CONTAINERS_CONF_OVERRIDE"], "CONTAINERS_STORAGE_CONF": str(storage)}

    def theirs(*args: str) -> str:
        argv = [str(podman), "--cgroup-manager", "cgroupfs", "--tmpdir", f"{tmp_path}/tmp", *args]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    theirs("volume", "create", "one")
    shown = [line for line in theirs(*READ).splitlines() if " health_status " not in line]  # 4.3 says less of those
    assert [line.split()[5] for line in shown if f"name={name}" in line] == [
        "create", "init", "start", "died", "restart", "init", "start", "died", "cleanup", "remove"]
    ours = [line for line in podlike(*READ, env=conf).stdout.splitlines() if " health_status " not in line]
    assert ours == shown
    assert " volume create one" in ours[-1]
    theirs("system", "migrate")  # ends the process that holds its namespaces
