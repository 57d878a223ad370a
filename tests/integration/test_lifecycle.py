"""From create to rm: start, stop, kill, wait, exec, logs, attach, ps, inspect."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.engine import Engine, lines, wait_for
from tests.support.need import need
from tests.support.pty import Terminal


def press(t: Terminal, *keys: bytes) -> None:
    """One key after the other, as fingers do."""
    for key in keys:
        t.send(key)
        time.sleep(0.1)


def status(podlike: Engine, name: str) -> str:
    return podlike("inspect", "-f", "{{.State.Status}}", name).line


def running(podlike: Engine, image: str, name: str, *command: str, flags: tuple[str, ...] = ()) -> str:
    """Start a container in the background; its id."""
    return podlike("run", "-d", "--name", name, "--network", "none", *flags, image, *(command or ("sleep", "100"))).line


# --- states ---


def test_create_start_wait_rm(podlike: Engine, image: str, name: str) -> None:
    cid = podlike("create", "--name", name, "--network", "none", image, "sh", "-c", "echo once; exit 5").line
    assert re.fullmatch(r"[0-9a-f]{64}", cid)
    assert status(podlike, name) == "created"
    assert podlike("start", name).line == name
    assert podlike("wait", name).line == "5"
    assert status(podlike, name) == "exited"
    assert podlike("logs", name).stdout == "once\n"
    started = podlike("start", "--attach", name, check=False)
    assert (started.stdout, started.code) == ("once\n", 5)
    assert podlike("logs", name).stdout == "once\nonce\n"
    assert podlike("rm", name).line in (name, cid)
    assert podlike("inspect", name, check=False).code == 125


def test_writes_survive_a_stop(podlike: Engine, image: str, name: str) -> None:
    podlike("create", "--name", name, "--network", "none", image, "sh", "-c", "date >> /count; wc -l < /count")
    for n in (1, 2, 3):
        assert podlike("start", "-a", name).line == str(n)


def test_start_of_a_running_container_is_no_error(podlike: Engine, image: str, name: str) -> None:
    running(podlike, image, name)
    pid = podlike("inspect", "-f", "{{.State.Pid}}", name).line
    podlike("start", name)
    assert podlike("inspect", "-f", "{{.State.Pid}}", name).line == pid


def test_start_twice_at_once_starts_one(podlike: Engine, image: str, name: str) -> None:
    podlike("create", "--name", name, "--network", "none", image, "sh", "-c", "echo started; sleep 100")
    starts = [podlike.popen("start", name) for _ in range(4)]
    codes = [(p.communicate(timeout=60), p.returncode)[1] for p in starts]
    assert 0 in codes
    time.sleep(0.3)
    assert podlike("logs", name).stdout == "started\n"


def test_stop(podlike: Engine, image: str, name: str) -> None:
    running(podlike, image, name, "sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    wait_for(lambda: "ready" in podlike("logs", name).stdout, "the trap")
    started = time.monotonic()
    assert podlike("stop", name).line == name
    assert time.monotonic() - started < 5
    assert status(podlike, name) == "exited"
    assert podlike("inspect", "-f", "{{.State.ExitCode}}", name).line == "3"
    assert podlike("logs", name).stdout == "ready\nbye\n"
    assert podlike("stop", name).code == 0  # a second time


def test_stop_kills_what_ignores_it(podlike: Engine, image: str, name: str) -> None:
    running(podlike, image, name, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    wait_for(lambda: "ready" in podlike("logs", name).stdout, "the trap")
    started = time.monotonic()
    podlike("stop", "-t", "1", name)
    assert 0.8 < time.monotonic() - started < 8
    assert podlike("inspect", "-f", "{{.State.ExitCode}}", name).line == "137"


def test_stop_signal_of_the_user(podlike: Engine, image: str, name: str) -> None:
    running(
        podlike,
        image,
        name,
        "sh",
        "-c",
        "trap 'exit 4' USR1; echo ready; while :; do sleep 0.05; done",
        flags=("--stop-signal", "USR1"),
    )
    wait_for(lambda: "ready" in podlike("logs", name).stdout, "the trap")
    podlike("stop", "-t", "20", name)
    assert podlike("inspect", "-f", "{{.State.ExitCode}}", name).line == "4"


@pytest.mark.parametrize("spelling", ["USR1", "SIGUSR1", "10", "usr1"])
def test_kill_with_a_signal(podlike: Engine, image: str, name: str, spelling: str) -> None:
    running(podlike, image, name, "sh", "-c", "trap 'echo got' USR1; echo ready; while :; do sleep 0.05; done")
    wait_for(lambda: "ready" in podlike("logs", name).stdout, "the trap")
    assert podlike("kill", "--signal", spelling, name).line == name
    wait_for(lambda: "got" in podlike("logs", name).stdout, "the signal")
    assert status(podlike, name) == "running"


def test_wait_for_several(podlike: Engine, image: str, name: str) -> None:
    for i in (3, 4):
        running(podlike, image, f"{name}-{i}", "sh", "-c", f"sleep 0.3; exit {i}")
    assert podlike("wait", f"{name}-3", f"{name}-4").stdout.split() == ["3", "4"]


def test_wait_returns_when_the_container_is_killed(podlike: Engine, image: str, name: str) -> None:
    running(podlike, image, name)
    with podlike.popen("wait", name) as waiter:
        time.sleep(0.3)
        assert waiter.poll() is None
        podlike("kill", name)
        assert waiter.communicate(timeout=20)[0].strip() == b"137"


def test_rm_of_a_running_container(podlike: Engine, image: str, name: str) -> None:
    running(podlike, image, name)
    result = podlike("rm", name, check=False)
    assert result.code == 2 and "cannot remove container" in result.stderr or podlike.is_podman, result
    assert status(podlike, name) == "running"
    podlike("rm", "-f", "-t", "0", name)
    assert podlike("ps", "-aq").stdout == ""


def test_rm_by_short_id_and_several(podlike: Engine, image: str, name: str) -> None:
    ids = [podlike("create", "--name", f"{name}-{i}", image, "true").line for i in range(3)]
    podlike("rm", ids[0][:12], f"{name}-1", ids[2])
    assert podlike("ps", "-aq").stdout == ""


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["rm", "nosuch"], 1),
        (["rm", "-f", "nosuch"], 0),
        (["start", "nosuch"], 125),
        (["stop", "nosuch"], 125),
        (["kill", "nosuch"], 125),
        (["logs", "nosuch"], 125),
        (["wait", "nosuch"], 125),
        (["exec", "nosuch", "true"], 125),
        (["attach", "nosuch"], 125),
        (["inspect", "nosuch"], 125),
        (["container", "exists", "nosuch"], 1),
        (["rmi", "nosuch"], 1),
        (["rmi", "-f", "nosuch"], 0),
        (["no-such-command"], 125),
        (["rm"], 125),
        (["ps", "--filter", "nokey=x"], 125),
        (["ps", "--format", "{{.Nope"], 125),
    ],
)
def test_codes_for_what_is_not_there(podlike: Engine, argv: list[str], code: int) -> None:
    result = podlike(*argv, check=False)
    assert result.code == code, result
    assert bool(result.stderr) == (code != 0 and argv[0] != "container"), result
    assert "Traceback" not in result.stderr
    assert result.line == ("[]" if argv[0] == "inspect" else ""), result


def test_kill_of_a_stopped_container_is_125(podlike: Engine, image: str, name: str) -> None:
    podlike("create", "--name", name, image, "true")
    assert podlike("kill", name, check=False).code == 125


def test_ambiguous_and_exact_names(podlike: Engine, image: str, name: str) -> None:
    ids = [podlike("create", "--name", f"{name}{i}", image, "true").line for i in range(17)]
    first = next(c for c in "0123456789abcdef" if sum(i.startswith(c) for i in ids) > 1)
    result = podlike("inspect", first, check=False)
    assert result.code == 125 and result.stderr, result


# --- exec ---


@pytest.fixture
def busy(podlike: Engine, image: str, name: str) -> str:
    """A running container."""
    running(podlike, image, name, flags=("-e", "COLOUR=blue", "-w", "/etc"))
    return name


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 42"], 42),
        (["nosuch"], 127),
        (["/etc/not-executable"], 126),
        (["sh", "-c", "kill -9 $$"], 137),
    ],
)
def test_exec_code(podlike: Engine, busy: str, argv: list[str], code: int) -> None:
    result = podlike("exec", busy, *argv, check=False)
    assert result.code == code, result
    assert status(podlike, busy) == "running"


def test_exec_sees_the_container(podlike: Engine, busy: str) -> None:
    assert podlike("exec", busy, "sh", "-c", "echo $COLOUR $PWD $(id -u); cat /proc/1/comm").stdout.split() == [
        "blue",
        "/etc",
        "0",
        "sleep",
    ]
    pid = podlike("inspect", "-f", "{{.State.Pid}}", busy).line
    for kind in ("mnt", "pid", "net", "ipc", "uts", "user", "cgroup"):
        assert podlike("exec", busy, "readlink", f"/proc/self/ns/{kind}").line == os.readlink(
            f"/proc/{pid}/ns/{kind}"
        ), kind


def test_exec_flags(podlike: Engine, busy: str) -> None:
    script = "echo $A $COLOUR $PWD $(id -u):$(id -g)"
    assert (
        podlike("exec", "-e", "A=1", "-e", "COLOUR=red", "-w", "/tmp", "-u", "user", busy, "sh", "-c", script).line
        == "1 red /tmp 1000:1000"
    )
    bad = podlike("exec", "-u", "no-such-user", busy, "true", check=False)
    assert bad.code in (125, 126, 255) and bad.stderr, bad


def test_exec_has_the_containers_confinement(podlike: Engine, busy: str) -> None:
    def shown(*argv: str) -> list[str]:
        text = podlike("exec", *argv, "cat", "/proc/self/status").stdout
        return [line for line in text.splitlines() if line.startswith(("CapEff", "CapBnd", "Seccomp:", "NoNewPrivs"))]

    first = podlike("exec", busy, "cat", "/proc/1/status").stdout
    assert shown(busy) == [
        line for line in first.splitlines() if line.startswith(("CapEff", "CapBnd", "Seccomp:", "NoNewPrivs"))
    ]
    assert "CapEff:\t0000000000000000" in shown("-u", "user", busy)


def test_exec_streams(podlike: Engine, busy: str) -> None:
    result = podlike("exec", busy, "sh", "-c", "echo out; echo err >&2")
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    data = os.urandom(5 << 20)
    got = subprocess.run(
        [podlike.bin, "exec", "-i", busy, "cat"],
        input=data,
        stdout=subprocess.PIPE,
        env=podlike.env,
        timeout=30,
        check=True,
    ).stdout
    assert got == data
    assert podlike("exec", busy, "cat", input="lost").stdout == ""


def test_exec_detached(podlike: Engine, busy: str) -> None:
    assert re.fullmatch(
        r"[0-9a-f]{64}", podlike("exec", "-d", busy, "sh", "-c", "sleep 0.2; echo x > /tmp/made; sleep 100").line
    )
    wait_for(lambda: podlike("exec", busy, "ls", "/tmp").line == "made", "the command to run")


def test_exec_in_a_stopped_container(podlike: Engine, image: str, name: str) -> None:
    podlike("create", "--name", name, image, "true")
    result = podlike("exec", name, "true", check=False)
    assert result.code == 255 and result.stderr, result


def test_exec_ends_with_the_container(podlike: Engine, busy: str) -> None:
    with podlike.popen("exec", busy, "sleep", "77") as run:
        wait_for(lambda: "sleep 77" in podlike("exec", busy, "ps", "-o", "args").stdout, "exec to run")
        podlike("kill", busy)
        assert run.wait(20) == 137


def test_many_execs_leave_nothing(podlike: Engine, busy: str) -> None:
    before = podlike.processes()
    for _ in range(10):
        podlike("exec", busy, "true")
    wait_for(lambda: set(podlike.processes()) == set(before), "the execs' processes to end")


# --- logs ---


def test_logs(podlike: Engine, image: str, name: str) -> None:
    podlike(
        "run",
        "--name",
        name,
        "--network",
        "none",
        image,
        "sh",
        "-c",
        "for i in 1 2 3 4; do echo $i; done; sleep 0.3; echo e >&2; sleep 0.3; printf unfinished",
    )
    result = podlike("logs", name)
    assert result.stdout.split() == ["1", "2", "3", "4", "unfinished"]
    assert result.stderr == "e\n"
    assert podlike("logs", "--tail", "1", name).stdout.strip() == "unfinished" or podlike.is_podman
    assert "1" not in podlike("logs", "--tail", "3", name).stdout
    stamp = podlike("logs", "-t", name).line
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", stamp), stamp
    assert podlike("logs", "--since", "1h", name).stdout
    assert podlike("logs", "--until", "2020-01-01T00:00:00Z", name).stdout == ""


def test_logs_follow(podlike: Engine, image: str, name: str) -> None:
    running(podlike, image, name, "sh", "-c", "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done")
    with podlike.popen("logs", "-f", name, bufsize=0) as follow:  # communicate() does not know what readline() has buffered
        assert follow.stdout is not None
        assert follow.stdout.readline() == b"line 1\n"
        rest = follow.communicate(timeout=20)[0]
    assert rest.splitlines() == [b"line %d" % i for i in (2, 3, 4, 5)]
    assert follow.returncode == 0


def test_logs_of_long_lines_and_bytes(podlike: Engine, image: str, name: str) -> None:
    podlike(
        "run",
        "--name",
        name,
        "--network",
        "none",
        image,
        "sh",
        "-c",
        r"head -c 100000 /dev/zero | tr '\0' x; echo; printf '\377\376\n'",
    )
    out = subprocess.run([podlike.bin, "logs", name], stdout=subprocess.PIPE, env=podlike.env, check=True).stdout
    assert out == b"x" * 100000 + b"\n\xff\xfe\n"


def test_no_log_driver(podlike: Engine, image: str, name: str) -> None:
    result = podlike("run", "--name", name, "--network", "none", "--log-driver", "none", image, "echo", "seen")
    assert result.line == "seen"
    assert podlike("logs", name, check=False).stdout == ""


# --- ps and inspect ---


def test_ps(podlike: Engine, image: str, name: str) -> None:
    up = running(podlike, image, f"{name}-up", flags=("--label", "kind=up"))
    done = podlike("run", "-d", "--name", f"{name}-done", "--network", "none", image, "false").line
    made = podlike("create", "--name", f"{name}-made", image, "true").line
    wait_for(lambda: status(podlike, f"{name}-done") == "exited", "the end")

    heads = podlike("ps").stdout.splitlines()[0]
    assert re.split(r" {2,}", heads.strip()) == [
        "CONTAINER ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    ]
    assert podlike("ps", "-q").line == up[:12]
    assert podlike("ps", "-q", "--no-trunc").line == up
    assert set(podlike("ps", "-aq", "--no-trunc").stdout.split()) == {up, done, made}
    rows = {words[0]: " ".join(words) for words in lines(podlike("ps", "-a").stdout)}
    assert "Up " in rows[up[:12]] and "Exited (1)" in rows[done[:12]] and "Created" in rows[made[:12]]
    assert all(image in rows[i[:12]] for i in (up, done, made))

    def filtered(*filters: str) -> set[str]:
        flags = [word for f in filters for word in ("--filter", f)]
        return {
            n.removeprefix(name + "-") for n in podlike("ps", "-a", "--format", "{{.Names}}", *flags).stdout.split()
        }

    assert filtered("status=running") == {"up"}
    assert filtered("status=exited", "status=created") == {"done", "made"}
    assert filtered("label=kind") == filtered("label=kind=up") == {"up"}
    assert filtered("exited=1") == {"done"}
    assert filtered(f"name={name}-d") == {"done"}
    assert filtered(f"id={made[:12]}") == {"made"}
    assert filtered(f"ancestor={image}") == {"up", "done", "made"}
    assert filtered("status=running", "label=none") == set()

    found = {c["Id"]: c for c in json.loads(podlike("ps", "-a", "--format", "json").stdout)}
    assert set(found) == {up, done, made}
    assert (
        found[up]["State"] == "running" and found[up]["Names"] == [f"{name}-up"] and found[up]["Labels"]["kind"] == "up"
    )
    assert podlike("ps", "--noheading").stdout.splitlines()[0].startswith(up[:12])
    assert len(podlike("ps", "-a", "--last", "2", "-q").stdout.split()) == 2


def test_inspect(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    cid = podlike(
        "run",
        "-d",
        "--name",
        name,
        "--network",
        "none",
        "--hostname",
        "h",
        "-e",
        "A=1",
        "--label",
        "l=v",
        "-w",
        "/tmp",
        "-u",
        "user",
        "-v",
        f"{tmp_path}:/mnt:ro",
        "--stop-signal",
        "INT",
        "--stop-timeout",
        "3",
        image,
        "sleep",
        "100",
    ).line
    doc = json.loads(podlike("inspect", name).stdout)
    assert len(doc) == 1
    c = doc[0]
    assert (c["Id"], c["Name"]) == (cid, name)
    assert c["State"]["Status"] == "running" and c["State"]["Running"] is True and c["State"]["ExitCode"] == 0
    assert Path(f"/proc/{c['State']['Pid']}/comm").read_text() == "sleep\n"
    assert re.match(r"\d{4}-\d\d-\d\dT", c["State"]["StartedAt"])
    config = c["Config"]
    assert config["Hostname"] == "h" and "A=1" in config["Env"] and config["Labels"]["l"] == "v"
    assert (
        config["WorkingDir"] == "/tmp"
        and config["User"] == "user"
        and config["Cmd"] == ["sleep", "100"]
        and config["Image"] == image
    )
    assert c["Image"] == json.loads(podlike("image", "inspect", image).stdout)[0]["Id"]
    mount = next(m for m in c["Mounts"] if m["Destination"] == "/mnt")
    assert (mount["Type"], mount["Source"], mount["RW"]) == ("bind", str(tmp_path), False)
    assert c["HostConfig"]["NetworkMode"] == "none"
    assert podlike("inspect", "-f", "{{.State.Running}} {{.Config.Hostname}}", name).line == "true h"
    assert json.loads(podlike("inspect", "-f", "{{json .Config.Cmd}}", name).stdout) == ["sleep", "100"]
    several = podlike("inspect", name, "nosuch", check=False)
    assert several.code == 125 and len(json.loads(several.stdout)) == 1


def test_exists(podlike: Engine, image: str, name: str) -> None:
    podlike("create", "--name", name, image, "true")
    assert podlike("container", "exists", name, check=False).code == 0
    assert podlike("image", "exists", image, check=False).code == 0
    assert podlike("image", "exists", "localhost/nosuch", check=False).code == 1


# --- terminals ---


def test_terminal(podlike: Engine, image: str) -> None:
    with podlike.terminal("run", "-it", "--rm", "--network", "none", image, "sh", rows=31, cols=97) as t:
        t.expect("/ #")
        t.send("stty size; tty; echo T=$TERM\n")
        t.expect("31 97\r\n")
        t.expect("/dev/pts/0\r\n")
        t.expect("T=xterm")
        assert t.is_raw()
        t.send("exit 6\n")
        assert t.wait() == 6


def test_terminal_follows_the_window(podlike: Engine, image: str) -> None:
    script = "trap 'echo size $(stty size)' WINCH; trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    with podlike.terminal("run", "-it", "--rm", "--network", "none", image, "sh", "-c", script) as t:
        t.expect("ready\r\n")
        t.resize(40, 111)
        t.expect("size 40 111")
        os.kill(t.pid, signal.SIGTERM)
        assert t.wait() == 0
        assert not t.is_raw()


def test_interrupt_key_reaches_the_container(podlike: Engine, image: str) -> None:
    with podlike.terminal(
        "run",
        "-it",
        "--rm",
        "--network",
        "none",
        image,
        "sh",
        "-c",
        "trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done",
    ) as t:
        t.expect("ready")
        t.send(b"\x03")
        assert t.wait() == 9


def test_tty_without_a_terminal(podlike: Engine, image: str) -> None:
    result = podlike("run", "-t", "--rm", "--network", "none", image, "sh", "-c", "tty; echo err >&2")
    assert result.stdout == "/dev/pts/0\r\nerr\r\n"


def test_detach_and_attach(podlike: Engine, image: str, name: str) -> None:
    with podlike.terminal("run", "-it", "--name", name, "--network", "none", image, "sh") as t:
        t.expect("/ #")
        t.send("X=kept; echo s-et\n")
        t.expect("\ns-et")
        press(t, b"\x10", b"\x11")  # ctrl-p ctrl-q
        assert t.wait() == 0
        assert not t.is_raw()
    assert status(podlike, name) == "running"
    with podlike.terminal("attach", name, rows=22, cols=77) as t:
        wait_for(t.is_raw, "the attach")
        time.sleep(0.2)
        t.send("echo $X-$X; stty size\n")
        t.expect("kept-kept")
        t.expect("22 77")
        t.send("exit 8\n")
        assert t.wait() == 8 or podlike.is_podman  # podman 4.3 loses it now and then
    wait_for(lambda: status(podlike, name) == "exited", "the clean-up")


def test_own_detach_keys(podlike: Engine, image: str, name: str) -> None:
    with podlike.terminal(
        "run", "-it", "--name", name, "--detach-keys", "ctrl-a,d", "--network", "none", image, "sh"
    ) as t:
        t.expect("/ #")
        press(t, b"\x10", b"\x15")  # no detach: ctrl-p, then ctrl-u clears the line
        t.send("echo still-$((40+2))\n")
        t.expect("still-42\r\n")
        time.sleep(0.2)
        press(t, b"\x01", b"d")
        assert t.wait() == 0
    assert status(podlike, name) == "running"


def test_attach_without_a_terminal(podlike: Engine, image: str, name: str) -> None:
    running(podlike, image, name, "sh", "-c", "cat; exit 3", flags=("-i",))
    with podlike.popen("attach", name, stdin=subprocess.PIPE) as attach:
        assert attach.stdin is not None
        time.sleep(0.5)
        attach.stdin.write(b"hello\n")
        attach.stdin.flush()
        time.sleep(0.3)
        out, _ = attach.communicate(timeout=20)
    assert out == b"hello\n" or podlike.is_podman  # podman adds a newline of its own
    assert attach.returncode == 3 or podlike.is_podman


def test_attach_to_a_stopped_container(podlike: Engine, image: str, name: str) -> None:
    podlike("create", "--name", name, image, "true")
    assert podlike("attach", name, check=False).code == 125


def test_exec_on_a_terminal(podlike: Engine, image: str, name: str) -> None:
    running(podlike, image, name)
    with podlike.terminal("exec", "-it", name, "sh", rows=33, cols=99) as t:
        t.expect("/ #")
        t.send("stty size\n")
        t.expect("33 99")
        t.resize(20, 60)
        time.sleep(0.3)
        t.send("stty size\n")
        t.expect("20 60")
        t.send("exit 11\n")
        assert t.wait() == 11
    assert status(podlike, name) == "running"


# --- what must survive ---


def test_container_killed_from_outside(podlike: Engine, image: str, name: str) -> None:
    running(podlike, image, name)
    os.kill(int(podlike("inspect", "-f", "{{.State.Pid}}", name).line), signal.SIGKILL)
    wait_for(lambda: status(podlike, name) == "exited", "the state to follow")
    assert podlike("inspect", "-f", "{{.State.ExitCode}}", name).line == "137"


def killed(podlike: Engine, program: str) -> int:
    """SIGKILL every process of the engine whose program is this; how many."""
    pids = [pid for pid, cmd in podlike.processes().items() if os.path.basename(cmd.split()[0]) == program]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


def test_killed_monitor(podlike: Engine, image: str, name: str) -> None:
    """The state stays true, and stop and rm work without the monitor."""
    need(not podlike.is_podman, "podlike's own promise", optional=True)
    running(podlike, image, name)
    assert killed(podlike, "podlike-conmon") == 1
    assert status(podlike, name) in ("running", "exited")
    podlike("rm", "-f", "-t", "0", name)
    assert podlike("run", "--rm", "--network", "none", image, "echo", "fine").line == "fine"


def test_killed_session_holder(podlike: Engine, image: str, name: str) -> None:
    need(not podlike.is_podman and os.geteuid() != 0, "podlike's own promise, for users", optional=True)
    running(podlike, image, name)
    assert killed(podlike, "podlike-session") == 1
    assert podlike("ps", "-a", "--format", "{{.Names}}").line == name
    podlike("rm", "-f", "-t", "0", name)
    assert podlike("run", "--rm", "--network", "none", image, "echo", "fine").line == "fine"


def test_everything_killed_as_by_a_reboot(podlike: Engine, image: str, name: str) -> None:
    need(not podlike.is_podman and os.geteuid() != 0, "podlike's own promise, for users", optional=True)
    running(podlike, image, name)
    for pid in podlike.processes():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not podlike.processes(), "the processes to be gone")
    subprocess.run(["find", podlike.run_dir, "-mindepth", "1", "-delete"], check=False, stderr=subprocess.DEVNULL)
    started = time.monotonic()
    assert status(podlike, name) == "exited"
    assert time.monotonic() - started < 2
    podlike("start", name)
    assert status(podlike, name) == "running"
    podlike("rm", "-f", "-t", "0", name)


def test_wait_for_the_first_of_several(podlike: Engine, image: str, name: str) -> None:
    for n, command in enumerate(("sleep 100", "while [ ! -e /go ]; do sleep 0.05; done; exit 6")):
        podlike("run", "-d", "--name", f"{name}-{n}", "--network", "none", image, "sh", "-c", command)
    with podlike.popen("wait", "--exit-first-match", f"{name}-0", f"{name}-1") as waiting:
        time.sleep(0.3)
        assert waiting.poll() is None
        podlike("exec", f"{name}-1", "touch", "/go")
        assert waiting.communicate(timeout=30)[0] == b"6\n"
    assert podlike("wait", "--exit-first-match", "--condition", "paused", "--condition", "running", f"{name}-0").line == "-1"
    assert podlike("wait", "--exit-first-match", "--ignore", "nosuch").stdout == ""


def test_wait_for_what_a_removal_ends(podlike: Engine, image: str, name: str) -> None:
    """Who waits for the removal is content; who waits for something else hears that it will not come."""
    podlike("run", "-d", "--name", name, "--network", "none", image, "sleep", "100")
    with podlike.popen("wait", "--condition", "removing", name) as content, \
            podlike.popen("wait", "--condition", "paused", name) as others:
        time.sleep(0.5)
        assert content.poll() is None and others.poll() is None
        podlike("rm", "-f", "-t", "0", name)
        assert content.communicate(timeout=30)[0] in (b"137\n", b"-1\n")
        assert b"no such container" in others.communicate(timeout=30)[1]
        assert others.returncode == 125
