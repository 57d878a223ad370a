"""The monitor's protocol: exec sessions."""

import json
import os
import socket
import time

import pytest

from tests.support.conmon import CID, FAKE_RUNTIME, WAIT, Exec, New, ctl, owner_pipe, packets, stream


def test_exec_session(session: Exec) -> None:
    session.process_spec("sh", "-c", "echo out; echo err >&2; exit 42")
    session.begin()
    with session.attach() as s:
        time.sleep(0.1)
        assert session.calls() == [], "nothing runs before the second byte"
        session.release()
        assert session.report()["data"] > 0
        found = packets(s)
    assert stream(found, 2) == b"out\n"
    assert stream(found, 3) == b"err\n"
    assert session.report() == {"data": 42}
    assert session.exit_file() == "42"
    assert session.calls()[0]["argv"] == [
        "exec",
        "--pid-file",
        session.pidfile,
        "--process",
        f"{session.bundle}/process.json",
        "--detach",
        CID,
    ]
    session.gone()


@pytest.mark.parametrize("terminal", [False, True])
def test_exec_that_is_over_before_its_runtime(session: Exec, terminal: bool) -> None:
    session.process_spec("sh", "-c", "echo quick; exit 11", reap_first=True)
    session.begin(*(["-t"] if terminal else []))
    with session.attach() as s:
        session.release()
        assert session.report()["data"] > 0
        assert stream(packets(s), 2).split() == [b"quick"]
    assert session.report() == {"data": 11}


def test_exec_that_fails(session: Exec) -> None:
    session.process_spec(
        "x", no_pidfile=True, status=1, stderr="exec failed: `x` executable file not found in $PATH"
    )
    session.begin()
    session.release()
    report = session.report()
    assert report["data"] < 0
    assert "executable file not found in" in report["message"]
    assert session.sync and session.sync.recv(100) == b""


def test_exec_stdin(session: Exec) -> None:
    session.process_spec("wc", "-c")
    session.begin("-i")
    with session.attach() as s:
        session.release()
        for _ in range(50):
            s.send(bytes(10000))
        s.shutdown(socket.SHUT_WR)
        assert stream(packets(s), 2).strip() == b"500000"
    session.report()
    assert session.report() == {"data": 0}


def test_exec_terminal_is_resized_before_it_runs(session: Exec) -> None:
    session.process_spec("sh", "-c", "sleep 0.2; stty size")  # the monitor has to get the terminal first
    session.begin("-t")
    ctl(session, "1 20 30\n")
    with session.attach() as s:
        session.release()
        assert stream(packets(s), 2) == b"20 30\r\n"


def test_exec_timeout(session: Exec) -> None:
    session.process_spec("sleep", "100")
    session.begin("--timeout", "1")
    session.release()
    session.pid = session.report()["data"]
    assert session.report() == {"data": -1, "message": "command timed out"}


def test_old_exec_api(new: New) -> None:
    m = new()
    with open(f"{m.bundle}/process.json", "w") as f:
        json.dump({"argv": ["sh", "-c", "exit 12"]}, f)
    args = [
        m.conmon,
        "-c",
        CID,
        "-r",
        FAKE_RUNTIME,
        "-p",
        m.pidfile,
        "-l",
        "none",
        "-e",
        "--exec-process-spec",
        f"{m.bundle}/process.json",
        "-P",
        m.monitor_pidfile,
        "--exit-dir",
        m.exits,
    ]
    m.start(args=args)
    assert m.report() == {"exit_code": 12}
    assert m.exit_file() == "12"


@owner_pipe
def test_exec_with_owner(session: Exec) -> None:
    mine, theirs = socket.socketpair()
    session.process_spec("sh", "-c", "exit 9")
    session.begin(
        "--exit-command",
        "/bin/touch",
        "--exit-command-arg",
        f"{session.top}/cleaned",
        env={"_PODLIKE_OWNERPIPE": str(theirs.fileno())},
        fds=(theirs.fileno(),),
    )
    theirs.close()
    session.release()
    mine.settimeout(WAIT)
    assert mine.recv(10) == b"9\n"
    mine.send(b"k")
    session.gone()
    assert not os.path.exists(f"{session.top}/cleaned")
