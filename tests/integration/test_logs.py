"""podlike logs, and the log drivers behind it."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.engine import Engine, wait_for

COUNT = "i=0; while [ $i -lt {0} ]; do echo line $i; i=$((i+1)); done"
DRIVERS = pytest.mark.parametrize("driver", ["k8s-file", "json-file"])


def run(podlike: Engine, name: str, image: str, script: str, *flags: str) -> None:
    podlike("run", "--name", name, "--network", "none", "--attach", "stdin", *flags, image, "sh", "-c", script)


def raw(podlike: Engine, *args: str, stderr: int | None = None) -> bytes:
    """What `logs` prints, byte for byte."""
    argv = [podlike.bin, "logs", *args]
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=stderr, env=podlike.env, timeout=60, check=True).stdout


def path_of(podlike: Engine, name: str) -> Path:
    return Path(podlike("inspect", "-f", "{{.HostConfig.LogConfig.Path}}", name).line)


def numbers(text: str) -> list[int]:
    return [int(line.split()[1]) for line in text.splitlines()]


def called(podlike: Engine, tmp_path: Path, name: str) -> Callable[..., str]:
    """The engine under another program's name."""
    link = tmp_path / name
    link.symlink_to(podlike.bin)

    def call(*args: str) -> str:
        done = subprocess.run([link, *args], env=podlike.env, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    return call


# --- drivers ---


def test_json_file_is_dockers(podlike: Engine, image: str, name: str) -> None:
    run(podlike, name, image, "echo 'a \"b\"'; echo err >&2", "--log-driver", "json-file", "--label", "team=x y",
        "--log-opt", "labels=team,none", "--log-opt", "tag={{.Name}}/{{slice .ID 0 12}}",
        "--log-opt", "label=at={{.Config.Hostname}}")
    records = [json.loads(line) for line in path_of(podlike, name).read_text().splitlines()]
    short = podlike("inspect", "-f", "{{.Id}}", name).line[:12]
    attrs = {"team": "x y", "at": short, "tag": f"{name}/{short}"}
    assert {(r["log"], r["stream"]) for r in records} == {('a "b"\n', "stdout"), ("err\n", "stderr")}
    assert all(r["attrs"] == attrs and re.fullmatch(r"[0-9T:.-]+Z", r["time"]) for r in records)
    found = podlike("logs", name)
    assert (found.stdout, found.stderr) == ('a "b"\n', "err\n")
    assert podlike("logs", "--details", name).stdout == f'at={short},tag={name}%2F{short},team=x+y a "b"\n'
    form = "{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Tag}}"
    assert podlike("inspect", "-f", form, name).line == "json-file {{.Name}}/{{slice .ID 0 12}}"


def test_json_file_is_podmans_alias_when_called_podman(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    podman = called(podlike, tmp_path, "podman")
    podman("run", "--name", name, "--network", "none", "--log-driver", "json-file", image, "echo", "line")
    assert re.fullmatch(r"[0-9T:.+-]+ stdout F line\n", path_of(podlike, name).read_text())
    assert podman("inspect", "-f", "{{.HostConfig.LogConfig.Type}}", name) == "json-file\n"
    assert podlike("logs", name).stdout == "line\n"


def test_docker_flags(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    docker = called(podlike, tmp_path, "docker")
    run(podlike, name, image, COUNT.format(5))
    assert docker("logs", "-n", "2", name) == "line 3\nline 4\n"
    assert docker("logs", "--tail", "all", name) == docker("logs", name)
    assert podlike("logs", "-n", "--tail", "1", name).stdout == f"{name} line 4\n"


def test_path_of_a_log(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    run(podlike, name, image, "echo x", "--log-opt", f"path={tmp_path}/own.log")
    assert path_of(podlike, name) == tmp_path / "own.log"
    assert podlike("logs", name).stdout == "x\n" and (tmp_path / "own.log").read_text().endswith(" stdout F x\n")
    podlike("rm", name)
    run(podlike, name, image, "echo y", "--log-opt", f"path={tmp_path}")
    cid = podlike("inspect", "-f", "{{.Id}}", name).line
    assert path_of(podlike, name) == tmp_path / cid / "ctr.log"
    assert podlike("logs", name).stdout == "y\n"


def test_configured_defaults(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    conf = tmp_path / "containers.conf"
    conf.write_text('[containers]\nlog_driver = "json-file"\nlog_size_max = 12000\n')
    env = {"CONTAINERS_CONF_OVERRIDE": str(conf)}
    podlike("create", "--name", name, image, env=env)
    form = "{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Size}}"
    assert podlike("inspect", "-f", form, name).line == "json-file 12kB"
    podlike("create", "--replace", "--name", name, "--log-driver", "k8s-file", "--log-opt", "max-size=8k", image, env=env)
    assert podlike("inspect", "-f", form, name).line == "k8s-file 8kB"
    conf.write_text('[containers]\nlog_driver = "journald"\nlog_tag = "{{.Name}}"\n')
    podlike("create", "--replace", "--name", name, image, env=env)
    assert podlike("inspect", "-f", "{{.HostConfig.LogConfig.Tag}}", name).line == "{{.Name}}"
    conf.write_text('[containers]\nlog_driver = "floppy"\n')
    failed = podlike("create", image, env=env, check=False)
    assert (failed.code, "invalid log driver" in failed.stderr) == (125, True)


@pytest.mark.parametrize(("flags", "words"), [
    (["--log-driver", "floppy"], "invalid log driver: invalid argument"),
    (["--log-opt", "driver=floppy"], "invalid log driver: invalid argument"),
    (["--log-opt", "max-size=big"], "invalid size: 'big'"),
    (["--log-opt", "max-file=0"], "invalid max-file '0'"),
    (["--log-opt", "max-file=many"], "invalid max-file 'many'"),
    (["--log-opt", "max-size"], 'invalid log option "max-size"'),
    (["--log-opt", "colour=red"], 'unknown log option "colour"'),
    (["--log-opt", "tag=x"], 'log tags can only be used with the journald log driver but driver is "k8s-file": invalid argument'),
    (["--log-opt", "label=A=x"], "log labels can only be used with the journald log driver"),
    (["--log-driver", "journald", "--log-opt", "label=A"], 'invalid log label "label=A"'),
    (["--log-driver", "journald", "--log-opt", "label=a=x"], 'log label "a" contains invalid characters'),
    (["--log-driver", "journald", "--log-opt", "tag={{.Nothing}}"], "can't evaluate field Nothing"),
    (["--log-driver", "journald", "--log-opt", "tag={{"], "unclosed action"),
    (["--log-opt", "path=/not/there/x.log"], "there is no directory /not/there"),
    (["--log-opt", "path=/proc/version"], "permission denied"),
    (["--log-opt", "path=/dev/null", "--log-opt", "max-size=1m", "--log-opt", "max-file=2"], "it is not a regular file"),
    (["--log-opt", "mode=sometimes"], 'invalid log mode "sometimes"'),
])
def test_wrong_values_are_refused_before_anything_exists(podlike: Engine, image: str, flags: list[str], words: str) -> None:
    failed = podlike("create", *flags, image, check=False)
    assert failed.code == 125 and words in failed.stderr, failed.stderr
    assert podlike("ps", "-aq").stdout == ""


def test_passthrough(podlike: Engine, image: str, name: str) -> None:
    flags = ("--name", name, "--network", "none", "--log-driver", "passthrough")
    done = podlike("run", *flags, image, "sh", "-c", "cat; echo err >&2; exit 3", input="in\n", check=False)
    assert (done.code, done.stdout, done.stderr) == (3, "in\n", "err\n")
    assert "this container is using the 'passthrough' log driver, cannot read logs" in podlike("logs", name, check=False).stderr
    refused = podlike("run", *flags, "--replace", "--attach", "stdout", image, "true", check=False)
    assert "cannot specify --attach with --log-driver=passthrough" in refused.stderr
    script = "trap 'exit 7' INT; echo up; while :; do sleep 0.05; done"
    with podlike.popen("run", *flags, "--replace", image, "sh", "-c", script) as p:
        assert p.stdout is not None and p.stdout.readline() == b"up\n"
        p.send_signal(signal.SIGINT)
        assert p.wait(20) == 7


def test_passthrough_and_terminals(podlike: Engine, image: str) -> None:
    flags = ("run", "--rm", "--network", "none", "--log-driver")
    with podlike.terminal(*flags, "passthrough", image, "true") as terminal:
        terminal.expect("cannot be used on a TTY")
        assert terminal.wait() == 125
    with podlike.terminal(*flags, "passthrough-tty", image, "sh", "-c", "test -t 1 && echo yes") as terminal:
        terminal.expect("yes")
        assert terminal.wait() == 0


# --- rotation ---


@DRIVERS
def test_rotation_keeps_a_whole_window(podlike: Engine, image: str, name: str, driver: str) -> None:
    run(podlike, name, image, COUNT.format(60000), "--log-driver", driver, "--log-opt", "max-size=1m", "--log-opt", "max-file=3")
    path = path_of(podlike, name)
    files = sorted(f for f in os.listdir(path.parent) if f.startswith("ctr.log"))
    assert files == ["ctr.log", "ctr.log.1", "ctr.log.2"]
    assert all((path.parent / f).stat().st_size <= 1_000_000 for f in files)
    found = numbers(podlike("logs", name).stdout)
    assert found == list(range(found[0], 60000)) and len(found) > 20000
    assert numbers(podlike("logs", "--tail", str(len(found) - 1), name).stdout) == found[1:]
    stamps = podlike("logs", "-t", "--tail", "25000", name).stdout.splitlines()
    assert len(stamps) == min(25000, len(found))
    middle = stamps[len(stamps) // 3].split(" ")
    since = numbers(podlike("logs", "--since", middle[0], name).stdout)
    assert since[-1] == 59999 and int(middle[2]) - 7000 <= since[0] <= int(middle[2])
    until = numbers(podlike("logs", "--until", middle[0], name).stdout)
    assert until[0] == found[0] and int(middle[2]) <= until[-1] <= int(middle[2]) + 7000


@DRIVERS
def test_follow_through_rotation(podlike: Engine, image: str, name: str, driver: str) -> None:
    script = ("while [ ! -e /go ]; do sleep 0.02; done; i=0; while [ $i -lt 60000 ]; do echo line $i; i=$((i+1)); "
              "case $i in *00) sleep 0.002;; esac; done")
    podlike("run", "-d", "--name", name, "--network", "none", "--log-driver", driver, "--log-opt", "max-size=500k",
            "--log-opt", "max-file=3", image, "sh", "-c", script)
    with podlike.popen("logs", "-f", name) as early, podlike.popen("logs", "-f", "-t", name) as other:
        podlike("exec", name, "touch", "/go")
        results: dict[str, bytes] = {}
        readers = [threading.Thread(target=lambda k=key, p=proc: results.update({k: p.communicate(timeout=50)[0]}))
                   for key, proc in (("early", early), ("other", other))]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert numbers(results["early"].decode()) == list(range(60000))
    assert [int(line.split()[2]) for line in results["other"].splitlines()] == list(range(60000))


def test_one_file_of_a_limited_size(podlike: Engine, image: str, name: str) -> None:
    run(podlike, name, image, COUNT.format(20000), "--log-opt", "max-size=200k")
    path = path_of(podlike, name)
    assert sorted(f for f in os.listdir(path.parent) if f.startswith("ctr.log")) == ["ctr.log"]
    assert path.stat().st_size <= 200_000
    found = numbers(podlike("logs", name).stdout)
    assert found == list(range(found[0], 20000))


# --- reading ---


def test_several_containers_are_merged_by_time(podlike: Engine, image: str, name: str) -> None:
    one, two = f"{name}-1", f"{name}-2"
    run(podlike, one, image, "echo a1; printf half")
    run(podlike, two, image, "echo b1; echo b2", "--log-driver", "json-file")
    podlike("start", "-a", one)
    text = podlike("logs", "--names", one, two).stdout
    # A line has the time of its beginning, and that was before the restart.
    assert text == f"{one} a1\n{one} halfa1\n{two} b1\n{two} b2\n{one} half\n"
    ids = [podlike("inspect", "-f", "{{slice .Id 0 12}}", n).line for n in (one, two)]
    followed = podlike("logs", "-f", "--tail", "1", one, two).stdout
    assert sorted(followed.splitlines()) == sorted([f"{ids[0]} half", f"{ids[1]} b2"])
    colored = podlike("logs", "--color", "--tail", "1", one, two).stdout
    assert f"\x1b[31m{ids[1]} b2\x1b[0m\n" in colored
    assert podlike("logs", "--latest", "--tail", "1").stdout == "b2\n"


@DRIVERS
def test_long_lines_and_carriage_returns(podlike: Engine, image: str, name: str, driver: str) -> None:
    size = 10_000_000
    script = f"echo first; head -c {size} /dev/zero | tr '\\0' x; echo; printf 'cr\\r\\nlast'"
    run(podlike, name, image, script, "--log-driver", driver)
    whole = b"first\n" + b"x" * size + b"\ncr\r\nlast"
    assert raw(podlike, name) == whole
    assert raw(podlike, "--tail", "3", name) == whole[6:]
    assert [len(line.split(b" ", 1)[1]) for line in raw(podlike, "-t", name).split(b"\n")] == [5, size, 3, 4]


def test_every_byte_comes_back(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * 400
    (tmp_path / "data").write_bytes(data)
    podlike("run", "--name", name, "--network", "none", "--attach", "stdin", "-v", f"{tmp_path}:/d", image, "cat", "/d/data")
    assert raw(podlike, name) == data


def test_streams_are_kept_apart_and_in_order(podlike: Engine, image: str, name: str) -> None:
    run(podlike, name, image, "for i in 1 2 3; do echo o$i; sleep 0.05; echo e$i >&2; sleep 0.05; done")
    found = podlike("logs", name)
    assert (found.stdout, found.stderr) == ("o1\no2\no3\n", "e1\ne2\ne3\n")
    assert raw(podlike, name, stderr=subprocess.STDOUT).split() == [b"o1", b"e1", b"o2", b"e2", b"o3", b"e3"]


def test_follow_goes_on_through_restarts(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, "--network", "none", "--restart", "on-failure:2", image,
            "sh", "-c", "echo begin; sleep 0.3; echo end; exit 1")
    followed = podlike("logs", "-f", name, timeout=50)
    assert followed.stdout == "begin\nend\n" * 3


def test_follow_until_a_time(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, "--network", "none", image, "sh", "-c", "while :; do echo x; sleep 0.1; done")
    started = time.monotonic()
    assert set(podlike("logs", "-f", "--until", "2s", name, timeout=30).stdout.split()) == {"x"}
    assert 1.5 < time.monotonic() - started < 6


def test_follow_shows_what_has_no_newline_yet(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, "--network", "none", image, "sh", "-c", "printf 'password: '; sleep 30")
    with podlike.popen("logs", "-f", name) as p:
        assert p.stdout is not None
        assert p.stdout.read(10) == b"password: "
        p.kill()


def test_a_log_is_read_while_it_is_written(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, "--network", "none", "--log-opt", "max-size=1m", "--log-opt", "max-file=3", image,
            "sh", "-c", "i=0; while :; do echo line $i; i=$((i+1)); done")
    for _ in range(10):
        found = numbers(podlike("logs", name).stdout)
        assert found == list(range(found[0], found[0] + len(found))) if found else True
    wait_for(lambda: numbers(podlike("logs", "--tail", "1", name).stdout)[0] > 30000, "some rotations")


def test_log_without_a_journal(podlike: Engine, image: str, name: str) -> None:
    if os.path.exists("/run/systemd/journal/socket"):
        pytest.skip("optional: there is a journal; test_logs_journal.py has its tests")
    assert podlike("run", "--name", name, "--network", "none", "--log-driver", "journald", image, "echo", "hi").stdout == "hi\n"
    failed = podlike("logs", name, check=False)
    assert failed.code == 125 and "they are in the systemd journal, and there is none here" in failed.stderr
    assert "journal: output is not being logged" in podlike("inspect", "-f", "{{.State.Error}}", name).stdout
