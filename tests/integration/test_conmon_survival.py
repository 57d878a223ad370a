"""What a monitor has to live through: being stopped, being many, mountains of output."""

import os
import signal
import time
from typing import Any

from tests.support.conmon import CID, Monitor, New, alive, packets, read_text, stream, texts, until


def test_stopped_and_continued(new: New) -> None:
    m = new("sh", "-c", "i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done; exit 5", wait=True)
    m.run()
    with m.attach() as s:
        m.go()
        for _ in range(5):
            os.kill(m.monitor_pid, signal.SIGSTOP)
            time.sleep(0.1)
            os.kill(m.monitor_pid, signal.SIGCONT)
            time.sleep(0.02)
        out = stream(packets(s), 2)
    assert m.exit_file() == "5"
    m.gone()
    assert texts(m) == out.decode().splitlines() == [f"line {i}" for i in range(30000)]


def test_stopped_while_the_container_ends(new: New) -> None:
    m = new("sh", "-c", "sleep 0.3; echo last words; exit 6")
    m.run()
    os.kill(m.monitor_pid, signal.SIGSTOP)
    until(lambda: not alive(m.pid or 0), "container ends")
    assert read_text(f"{m.exits}/{CID}") is None
    os.kill(m.monitor_pid, signal.SIGCONT)
    assert m.exit_file() == "6"
    m.gone()
    assert texts(m) == ["last words"]


def test_mountains_of_output_to_a_client(new: New) -> None:
    size = 300 << 20
    m = new("head", "-c", str(size), "/dev/zero", wait=True)
    m.run(log="none")
    got = 0
    with m.attach() as s:
        m.go()
        while data := s.recv(65536):
            got += len(data) - 1
    assert got == size
    assert m.exit_file() == "0"


def test_two_hundred_at_once(new: New, tmp_path: Any) -> None:
    made: list[Monitor] = []
    for i in range(200):
        m = new("sh", "-c", f"echo hello {i}; exit {i}", name=f"b{i}", wait=True)
        m.exits = str(tmp_path / f"exits{i}")
        os.mkdir(m.exits)
        m.start()
        made.append(m)
    for m in made:
        m.pid = m.report()["data"]
    assert all(alive(m.monitor_pid) for m in made)
    for m in made:
        m.go()
    for i, m in enumerate(made):
        assert m.exit_file() == str(i)
        m.gone()
        assert texts(m) == [f"hello {i}"]
