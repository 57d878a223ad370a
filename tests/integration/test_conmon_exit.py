"""The monitor's protocol: the end: exit files, exit command, signals, the owner."""

import os
import signal
import socket
import time
from typing import Any

import pytest

from tests.support.conmon import (
    CID,
    WAIT,
    New,
    alive,
    ours_only,
    owner_pipe,
    packets,
    read_text,
    stream,
    until,
    with_owner,
)

# --- exit ---


@pytest.mark.parametrize(
    ("command", "code"), [("exit 0", "0"), ("exit 255", "255"), ("kill -9 $$", "137"), ("kill -15 $$", "143")]
)
def test_exit_files(new: New, command: str, code: str) -> None:
    m = new("sh", "-c", command)
    m.run()
    assert m.exit_file() == code
    assert read_text(f"{m.persist}/exit") == code
    assert os.listdir(m.exits) == [CID]


@ours_only("closes its clients before it writes the file")
def test_exit_file_is_there_when_the_clients_see_the_end(new: New) -> None:
    for i in range(20):
        m = new("sh", "-c", "exit 3", wait=True, name=f"b{i}")
        m.run()
        with m.attach() as s:
            m.go()
            assert packets(s) == []
            assert read_text(f"{m.exits}/{CID}") == "3"
        os.unlink(f"{m.exits}/{CID}")


@ours_only("a service manager kills conmon's exit command with the unit")
def test_exit_command_outlives_the_unit(new: New, tmp_path: Any) -> None:
    """systemd sends SIGTERM to all of a unit when it stops it: what cleans up goes on."""
    m = new("sh", "-c", "exit 0")
    script = tmp_path / "cleanup"
    script.write_text(f"#!/bin/sh\ncd {tmp_path}\necho $$ > pid.tmp; mv pid.tmp pid\nuntil test -e go; do sleep 0.1; done\n"
                      "touch done\n")
    script.chmod(0o755)
    m.run("--exit-command", str(script))
    pid = int(until(lambda: read_text(str(tmp_path / "pid")), "exit command"))
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.2)
    (tmp_path / "go").touch()
    until(lambda: os.path.exists(tmp_path / "done"), "its end")


def test_exit_command(new: New, tmp_path: Any) -> None:
    m = new("sh", "-c", "exit 3")
    script = tmp_path / "cleanup"
    script.write_text(
        f'#!/bin/sh\ncd {tmp_path}\nfor a in "$@"; do echo "[$a]"; done > args.tmp\n'
        f"cat {m.exits}/{CID} >> args.tmp\nls /proc/self/fd >> args.tmp\nmv args.tmp args\n"
    )
    script.chmod(0o755)
    m.run(
        "--exit-command",
        str(script),
        "--exit-command-arg",
        "container",
        "--exit-command-arg",
        "",
        "--exit-command-arg",
        "--rm",
    )
    text = until(lambda: read_text(str(tmp_path / "args")), "exit command")
    words = text.split("\n")
    assert words[:4] == ["[container]", "[]", "[--rm]", "30"], "the code is written before: " + text
    assert words[4:7] == ["1", "2", "3"], "no fds but stdio and ls's own"
    m.gone()


@ours_only("forgets the status when it has other children to wait for")
def test_exit_command_failure_is_the_monitors(new: New) -> None:
    m = new("true")
    m.start(
        "--sync",
        "--exit-command",
        "/bin/sh",
        "--exit-command-arg=-c",
        "--exit-command-arg=exit 8",
        wait=False,
    )
    assert m.process
    m.process.communicate(timeout=WAIT)
    assert m.process.returncode == 8


def test_exit_delay(new: New, tmp_path: Any) -> None:
    m = new("true")
    m.run("--exit-delay", "1", "--exit-command", "/bin/touch", "--exit-command-arg", str(tmp_path / "late"))
    m.exit_file()
    time.sleep(0.5)
    assert not (tmp_path / "late").exists()
    until((tmp_path / "late").exists, "exit command after its delay")


def test_timeout_kills(new: New) -> None:
    m = new("sleep", "100")
    m.run("--timeout", "1")
    start = time.monotonic()
    assert m.exit_file() == "-1"
    assert time.monotonic() - start < 3
    until(lambda: not alive(m.pid or 0), "container is killed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_signals_are_passed_on(new: New, number: int) -> None:
    m = new("sh", "-c", f"trap 'exit {number + 20}' TERM INT QUIT; echo ready; while :; do sleep 0.02; done")
    m.run()
    until(m.lines, "container runs")
    os.kill(m.monitor_pid, number)
    assert m.exit_file() == str(number + 20)


@ours_only("leaves SIGPIPE ignored")
def test_runtime_has_default_signals(new: New, tmp_path: Any) -> None:
    runtime = tmp_path / "runtime"
    runtime.write_text(f"#!/bin/sh\ngrep -E 'Sig(Ign|Blk)' /proc/self/status > {tmp_path}/signals\nexit 1\n")
    runtime.chmod(0o755)
    m = new("true")
    args = m.args()
    args[args.index("-r") + 1] = str(runtime)
    m.start(args=args)
    m.report()
    text = (tmp_path / "signals").read_text()
    assert [int(line.split()[1], 16) for line in text.splitlines()] == [0, 0], text


# --- the owner pipe ---


@owner_pipe
def test_owner_cleans_up_itself(new: New, tmp_path: Any) -> None:
    m = new("sh", "-c", "echo last words; exit 3", wait=True)
    mine = with_owner(m, tmp_path)
    m.report()
    with m.attach() as s:
        m.go()
        assert mine.recv(100) == b"3\n"
        assert read_text(f"{m.exits}/{CID}") == "3"
        s.setblocking(False)
        assert stream(packets(s), 2) == b"last words\n", "all output has been sent by then"
    assert alive(m.monitor_pid), "waits for the answer"
    mine.send(b"k")
    m.gone()
    assert not (tmp_path / "cleaned").exists()


@owner_pipe
@pytest.mark.parametrize("answer", [b"", b"x"])
def test_without_owner_the_exit_command_runs(new: New, tmp_path: Any, answer: bytes) -> None:
    m = new("true", wait=True)
    mine = with_owner(m, tmp_path)
    m.report()
    m.go()
    assert mine.recv(100) == b"0\n"
    if answer:
        mine.send(answer)
    mine.close()
    until((tmp_path / "cleaned").exists, "exit command")


@owner_pipe
def test_owner_that_died_long_ago(new: New, tmp_path: Any) -> None:
    m = new("true", wait=True)
    mine = with_owner(m, tmp_path)
    m.report()
    mine.close()
    m.go()
    until((tmp_path / "cleaned").exists, "exit command")
    assert m.exit_file() == "0"


@owner_pipe
def test_owner_is_not_passed_on(new: New, tmp_path: Any) -> None:
    m = new("true")
    mine = with_owner(m, tmp_path)
    m.report()
    assert not [k for k in m.calls()[0]["env"] if k.startswith(("_PODLIKE", "_OCI"))]
    assert mine.recv(100) == b"0\n"
    mine.send(b"k")
    m.gone()


@owner_pipe
def test_owners_own_client_may_read_late(new: New, tmp_path: Any) -> None:
    """`run ... | less`: the container waits for the reader, however long it takes."""
    m = new("sh", "-c", "head -c 1000000 /dev/zero; exit 1", wait=True)
    mine, theirs = socket.socketpair()
    m.start(
        env={"_PODLIKE_OWNERPIPE": str(theirs.fileno()), "PODLIKE_ATTACH_PATIENCE_MS": "300"},
        fds=(theirs.fileno(),),
    )
    theirs.close()
    m.report()
    with m.attach() as s:
        m.go()
        time.sleep(1)
        assert len(stream(packets(s), 2)) == 1_000_000
    mine.close()


@owner_pipe
def test_owner_of_a_failed_create(new: New, tmp_path: Any) -> None:
    m = new("true", status=1, no_pidfile=True)
    mine = with_owner(m, tmp_path)
    assert m.report()["data"] == -1
    assert mine.recv(100) == b"-1\n"
    mine.send(b"k")
    m.gone()
    assert not (tmp_path / "cleaned").exists()
