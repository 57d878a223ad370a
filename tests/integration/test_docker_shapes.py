"""Called as docker: the shapes, words and codes that its scripts read."""

import json
import subprocess
import sys

import pytest

from tests.support.engine import Engine, Result


class Docker:
    """podlike with docker's name."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __call__(self, *args: str, code: int = 0) -> Result:
        script = f"from podlike.__main__ import main; main(['docker', *{list(args)!r}])"
        done = subprocess.run([sys.executable, "-c", script], env=self.engine.env, capture_output=True, text=True, timeout=60,
                              check=False)
        assert done.returncode == code, done
        return Result(list(args), done.stdout, done.stderr, done.returncode)


@pytest.fixture
def docker(podlike: Engine) -> Docker:
    return Docker(podlike)


def test_a_container(docker: Docker, image: str, name: str) -> None:
    cid = docker("run", "-d", "--name", name, "--network", "none", "-l", "a=b", "--tmpfs", "/d:size=1m", image,
                 "sleep", "100").line
    assert docker("ps", "--filter", f"name={name}").stdout.splitlines()[0].split() == [
        "CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    row = json.loads(docker("ps", "--no-trunc", "--format", "json", "--filter", f"name={name}").stdout)
    assert (row["ID"], row["Names"], row["Command"], row["Labels"], row["State"], row["LocalVolumes"]) == (
        cid, name, '"sleep 100"', "a=b", "running", "0")
    doc = json.loads(docker("inspect", name).stdout)[0]
    assert doc["Name"] == f"/{name}" and doc["Image"].startswith("sha256:") and doc["Platform"] == "linux"
    assert doc["State"]["Status"] == "running" and "ConmonPid" not in doc["State"]
    assert doc["HostConfig"]["Tmpfs"] == {"/d": "size=1m"}  # as it was asked for; podman shows all
    assert json.loads(docker.engine("inspect", name).stdout)[0]["HostConfig"]["Tmpfs"] == {
        "/d": "size=1m,rprivate,nosuid,nodev,tmpcopyup"}
    assert doc["HostConfig"]["PidMode"] == "" and doc["HostConfig"]["CgroupnsMode"] and doc["Config"]["Labels"]["a"] == "b"
    assert docker("inspect", "-f", "{{.State.Running}} {{.Name}} {{.HostConfig.NetworkMode}}", name).line == f"true /{name} none"
    assert docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}{{json .Mounts}}", name).line == "[]"
    running = docker("rm", name, code=1).stderr
    assert running.startswith(f'Error response from daemon: cannot remove container "{cid}": container is running')
    again = docker("create", "--name", name, image, code=125).stderr
    assert f'Conflict. The container name "/{name}" is already in use by container "{cid}"' in again
    docker("kill", name)


@pytest.mark.parametrize("command", ["start", "stop", "kill", "rm", "logs", "wait", "port", "top", "restart", "pause"])
def test_nothing_of_that_name(docker: Docker, command: str) -> None:
    assert docker(command, "nosuch", code=1).stderr == "Error response from daemon: No such container: nosuch\n"


def test_errors(docker: Docker, image: str) -> None:
    assert docker("inspect", "nosuch", code=1).stdout.strip() == "[]"
    assert "No such object: nosuch" in docker("inspect", "nosuch", code=1).stderr
    assert docker("bogus", code=1).stderr.startswith("docker: unknown command: docker bogus\n")
    assert docker("ps", "--bogus", code=125).stderr.startswith("unknown flag: --bogus\n\nUsage:  docker ps [OPTIONS]\n")
    assert docker("run", code=1).stderr.startswith("docker: 'docker run' requires at least 1 argument\n")
    missing = docker("run", "--pull", "never", "nosuch:1", code=125).stderr
    assert missing.startswith("docker: Error response from daemon: No such image: nosuch:1\n") and "docker run --help" in missing
    assert docker("rmi", "nosuch", code=1).stderr.startswith("Error response from daemon: No such image: nosuch:latest")
    assert docker("volume", "rm", "nosuch", code=1).stderr.startswith("Error response from daemon: get nosuch: no such volume")
    docker("run", "--rm", "--network", "none", image, "nosuch", code=127)
    docker("run", "--rm", "--network", "none", image, "/etc", code=126)
    docker("run", "--rm", "--network", "none", image, "sh", "-c", "exit 42", code=42)


def test_info_and_version(docker: Docker) -> None:
    doc = json.loads(docker("info", "--format", "json").stdout)
    assert doc["OSType"] == "linux" and doc["Containers"] == doc["ContainersRunning"] + doc["ContainersStopped"]
    lines = docker("info").stdout.splitlines()
    assert "Server:" in lines and f" Storage Driver: {doc['Driver']}" in lines and f" CPUs: {doc['NCPU']}" in lines
    assert docker("info", "--format", "{{.ServerVersion}} {{.Driver}}").line == f"{doc['ServerVersion']} {doc['Driver']}"
    version = json.loads(docker("version", "--format", "json").stdout)
    assert version["Server"]["Os"] == "linux" and version["Client"]["Context"] == "default"
    assert docker("version", "--format", "{{.Server.Version}} {{.Client.APIVersion}}").line == (
        f"{version['Server']['Version']} {version['Client']['ApiVersion']}")
    assert docker("version").stdout.startswith("Client:\n Version:           ")


def test_flags_of_its_own(docker: Docker, image: str) -> None:
    shown = docker("run", "--help").stdout
    for flag in ("--domainname", "--link", "--runtime", "--storage-opt", "--use-api-socket", "--volume-driver"):
        assert f" {flag} " in shown
    assert "is not supported" in docker("run", "--storage-opt", "size=1g", image, code=125).stderr
    for option in ("--host=tcp://x:1", "--context=other", "--tlsverify"):
        assert f"use {option.partition('=')[0]}" in docker(option, "ps", code=1).stderr
    docker("--context=default", "ps")


def test_stop_and_remove(docker: Docker, image: str, name: str) -> None:
    docker("run", "-d", "--name", name, "--network", "none", image, "sh", "-c", "trap 'exit 9' USR1; while :; do sleep 0.1; done")
    docker("exec", name, "true")
    assert docker("stop", "--signal", "USR1", "--timeout", "20", name).line == name
    assert docker("inspect", "-f", "{{.State.ExitCode}}", name).line == "9"
    assert docker("restart", "-s", "USR1", "-t", "20", name).line == name
    assert "invalid signal: BOGUS" in docker("stop", "-s", "BOGUS", name, code=1).stderr
    assert "--link is not supported" in docker("rm", "--link", name, code=1).stderr
    assert docker("rm", "--force", name).line == name  # at once: the program does not end by SIGTERM
