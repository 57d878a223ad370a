"""The journald driver: what the monitor sends is what `podlike logs` reads back. Where there is a journal."""

import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from podlike.engine import logs
from podlike.engine.core import Engine
from podlike.engine.logs import Request
from podlike.paths import Roots
from podlike.spec.container import ContainerSpec
from podlike.spec.loglines import LogLine
from podlike.store.containers import Container, RunState
from tests.support.conmon import CID, Monitor, New, read_text, since_2_2, until
from tests.support.need import need

PAUSE = "while [ ! -e {}/go-on ]; do sleep 0.1; done"
SLOW = 60.0  # seconds that an entry may take to the journal and back, on a busy machine


@pytest.fixture(autouse=True)
def journal() -> None:
    found = os.path.exists("/run/systemd/journal/socket") and shutil.which("journalctl")
    need(found, "a systemd journal", optional=True)
    readable = subprocess.run(["journalctl", "-n1", "-q"], capture_output=True, text=True)
    need(readable.returncode == 0, "a readable journal", optional=True)


class Logged:
    """A container of the monitor's whose output goes to the journal."""

    def __init__(self, m: Monitor, top: Path) -> None:
        self.m = m
        self.id = os.urandom(32).hex()
        self.container = Container(id=self.id, name="some-name", image=None, created=time.time(), state=RunState(),
                                   spec=ContainerSpec(log_driver="journald", log_labels={"COLOR": "red"}))
        self.engine = Engine(roots=Roots(data=str(top / "data"), run=str(top / "run")))

    def start(self, *more: str) -> None:
        args = [self.id if a == CID else a for a in self.m.args("--log-label", "COLOR=red", *more, log="journald")]
        self.m.start(args=args)
        self.m.pid = self.m.report()["data"]

    def wait(self) -> None:
        until(self.ended, "exit file", SLOW)

    def ended(self) -> bool:
        return read_text(f"{self.m.exits}/{self.id}") is not None

    def lines(self, **request: Any) -> list[LogLine]:
        return list(logs.logs(self.engine, self.container, Request(**request)))

    def text(self, stream: str = "stdout", **request: Any) -> str:
        return "".join(t.decode() for s, t in logs.text(self.engine, self.container, Request(**request)) if s == stream)


def logged(new: New, tmp_path: Path, *argv: str, **more: Any) -> Logged:
    return Logged(new(*argv, **more), tmp_path)


@since_2_2("has no --log-label")
def test_lines_streams_and_labels(new: New, tmp_path: Path) -> None:
    script = "echo out; sleep 0.3; echo err >&2; sleep 0.3; printf 'b\\303\\244\\377\\n'; printf half"
    one = logged(new, tmp_path, "sh", "-c", script)
    one.start("--log-tag", "a-tag")
    one.wait()
    until(lambda: len(one.lines()) >= 4, "the journal has it", SLOW)
    found = [(e.stream, e.partial, e.text) for e in one.lines()]
    assert found == [("stdout", False, b"out"), ("stderr", False, b"err"), ("stdout", False, b"b\xc3\xa4\xff"),
                     ("stdout", True, b"half")]
    assert all(e.attrs == {"COLOR": "red"} for e in one.lines())
    fields = json.loads(subprocess.run(["journalctl", "-o", "json", "-n1", f"CONTAINER_ID_FULL={one.id}"], capture_output=True,
                                       check=True, timeout=SLOW).stdout)
    assert (fields["CONTAINER_ID"], fields["CONTAINER_NAME"]) == (one.id[:12], "some-name")
    assert fields["CONTAINER_TAG"] == fields["SYSLOG_IDENTIFIER"] == "a-tag"
    assert fields["CONTAINER_PARTIAL_MESSAGE"] == "true"


@since_2_2("has no --log-label")
def test_tail_since_and_until(new: New, tmp_path: Path) -> None:
    script = f"for i in 1 2 3; do echo $i; done; {PAUSE.format(tmp_path)}; head -c 20000 /dev/zero | tr '\\0' x; echo; echo last"
    one = logged(new, tmp_path, "sh", "-c", script)
    one.start()
    until(lambda: one.text() == "1\n2\n3\n", "the first lines", SLOW)
    middle = time.time()
    (tmp_path / "go-on").touch()
    one.wait()
    until(lambda: one.text().endswith("last\n"), "the last line", SLOW)
    assert one.text() == "1\n2\n3\n" + "x" * 20000 + "\nlast\n"
    assert one.text(tail=2) == "x" * 20000 + "\nlast\n", "the pieces of a line are one line"
    assert one.text(tail=0) == ""
    assert one.text(tail=4) == "2\n3\n" + "x" * 20000 + "\nlast\n"
    assert one.text(until=middle) == "1\n2\n3\n"
    assert one.text(since=middle) == "x" * 20000 + "\nlast\n"


@pytest.mark.parametrize("tail", [-1, 1])
@since_2_2("has no --log-label")
def test_follow_ends_with_the_container_and_has_all(new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: int) -> None:
    script = f"echo begin; {PAUSE.format(tmp_path)}; i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); done"
    one = logged(new, tmp_path, "sh", "-c", script)
    one.start()
    until(lambda: one.text() == "begin\n", "the first line", SLOW)
    monkeypatch.setattr(logs, "is_over", lambda *_: one.ended())
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(one.text(follow=True, tail=tail)))
    reader.start()
    time.sleep(1)
    (tmp_path / "go-on").touch()
    one.wait()
    reader.join(2 * SLOW)
    assert found == ["begin\n" + "".join(f"{i}\n" for i in range(300))]


@since_2_2("has no --log-label")
def test_a_prefix_chooses_the_priority(new: New, tmp_path: Path) -> None:
    one = logged(new, tmp_path, "sh", "-c", "echo '<2>bad'; echo '<5>fine'")
    one.start()
    one.wait()
    until(lambda: len(one.lines()) == 2, "the journal has it", SLOW)
    assert [(e.stream, e.text) for e in one.lines()] == [("stderr", b"bad"), ("stdout", b"fine")]
