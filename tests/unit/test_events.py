"""Events: the lines of the log, what is shown of them, which pass a filter, and the log file under many writers."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podlike.engine import eventread
from podlike.engine.core import Engine
from podlike.engine.eventfile import append
from podlike.engine.events import backend, max_size
from podlike.errors import UsageError
from podlike.paths import Roots
from podlike.spec import dockerevents, eventview
from podlike.spec.eventfilters import event_filter
from podlike.spec.events import Event, to_line

WHEN = 1_649_237_202_723_667_984  # 2022-04-06T09:26:42.723667984Z


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def died(**more: Any) -> Event:
    return Event("container", "died", **{"id": "ab" * 32, "name": "web", "image": "quay.io/x:1", "exit_code": 3,
                                         "attributes": {"a": "b"}, "time": WHEN, **more})


# --- lines ---


def test_line_has_podmans_members_in_podmans_order() -> None:
    assert to_line(died()) == (
        f'{{"ContainerExitCode":3,"ID":"{"ab" * 32}","Image":"quay.io/x:1","Name":"web","Status":"died",'
        '"Time":"2022-04-06T11:26:42.723667984+02:00","Type":"container","Attributes":{"a":"b"}}')
    pulled = Event("image", "pull", name="busybox", time=WHEN - 984)
    assert to_line(pulled) == ('{"Name":"busybox","Status":"pull","Time":"2022-04-06T11:26:42.723667+02:00","Type":"image",'
                               '"Attributes":null}')


@pytest.mark.parametrize("event", [
    died(), died(exit_code=None, attributes={"l": 'q"\n\\ü'}), Event("volume", "create", name="v", time=WHEN),
    Event("image", "pull-error", name="x", error="refused", time=WHEN),
    Event("network", "connect", id="c" * 64, network="podman", time=WHEN),
    Event("container", "health_status", id="c" * 64, health_status="unhealthy", health_streak=2, health_log='{"Output":"a\\n"}',
          attributes={}, time=WHEN)])
def test_what_is_written_is_read(event: Event) -> None:
    read = eventview.parse_line(to_line(event))
    assert {k: getattr(read, k) for k in Event.__slots__ if k != "zone"} == \
        {k: getattr(event, k) for k in Event.__slots__ if k != "zone"}


@pytest.mark.parametrize("line", ["", "nonsense", "[]", '{"Type":"image"}', '{"Status":"pull","Type":"image","Time":"noon"}',
                                  '{"Status":"pull","Type":"image","Time":"2022-04-06T11:26:42"}'])
def test_what_is_no_event_is_said_so(line: str) -> None:
    with pytest.raises(ValueError):
        eventview.parse_line(line)


@pytest.mark.parametrize(("text", "nanos", "east"), [
    ("2022-04-06T09:26:42.723667984Z", 723667984, 0), ("2022-04-06T11:26:42.72+02:00", 720000000, 7200),
    ("2022-04-06T04:56:42-04:30", 0, -16200)])
def test_times_are_exact(text: str, nanos: int, east: int) -> None:
    assert eventview.parse_stamp(text) == (WHEN - 723667984 + nanos, east)


# --- shown ---


def test_lines_for_people_are_podmans() -> None:
    at = "2022-04-06 11:26:42.723667984 +0200 CEST"
    cid = "ab" * 32
    assert eventview.human(died()) == f"{at} container died {cid} (image=quay.io/x:1, name=web, a=b)"
    assert eventview.human(died(), truncate=True) == f"{at} container died {cid[:12]} (image=quay.io/x:1, name=web, a=b)"
    assert eventview.human(Event("image", "pull", id="1", name="x", time=WHEN)) == f"{at} image pull 1 x"
    assert eventview.human(Event("image", "pull-error", name="x", error="no", time=WHEN)) == f"{at} image pull-error  x no"
    assert eventview.human(Event("volume", "remove", name="v", time=WHEN)) == f"{at} volume remove v"
    assert eventview.human(Event("system", "refresh", time=WHEN)) == f"{at} system refresh"
    assert eventview.human(Event("network", "create", id="n", network="net", attributes={"driver": "bridge"}, time=WHEN)) == \
        f"{at} network create n (name=net, type=bridge)"
    assert eventview.human(Event("network", "connect", id=cid, network="net", time=WHEN)) == \
        f"{at} network connect {cid} (container={cid}, name=net)"
    health = Event("container", "health_status", id="1", name="n", image="i", health_status="healthy", time=WHEN)
    assert eventview.human(health) == (f"{at} container health_status 1 (image=i, name=n, health_status=healthy, "
                                       "health_failing_streak=0, health_log=)")


def test_times_are_shown_in_the_zone_they_were_written_in() -> None:
    foreign = eventview.parse_line('{"Name":"x","Status":"pull","Time":"2022-04-06T04:26:42.5-05:00","Type":"image"}')
    assert eventview.human(foreign).startswith("2022-04-06 04:26:42.5 -0500 -0500 image pull")
    utc = eventview.parse_line('{"Name":"x","Status":"pull","Time":"2022-04-06T09:26:42Z","Type":"image"}')
    assert eventview.human(utc).startswith("2022-04-06 09:26:42 +0000 UTC image pull")


def test_json_is_podmans() -> None:
    assert json.dumps(eventview.document(died())) == (
        f'{{"ContainerExitCode": 3, "ID": "{"ab" * 32}", "Image": "quay.io/x:1", "Name": "web", "Status": "died", '
        f'"time": 1649237202, "timeNano": {WHEN}, "Type": "container", "Attributes": {{"a": "b"}}}}')


def test_docker_hears_its_own_words() -> None:
    doc = dockerevents.document(died())
    assert doc["Action"] == doc["status"] == "die"
    assert doc["Actor"] == {"ID": "ab" * 32, "Attributes": {"a": "b", "exitCode": "3", "image": "quay.io/x:1", "name": "web"}}
    assert doc["scope"] == "local" and doc["time"] == 1649237202 and doc["timeNano"] == WHEN
    assert dockerevents.human(died()) == (f"2022-04-06T11:26:42.723667984+02:00 container die {'ab' * 32} "
                                          "(a=b, exitCode=3, image=quay.io/x:1, name=web)")
    words = {s: dockerevents.action(Event("container", s)) for s in ("start", "remove", "init", "cleanup", "exec_died", "oom")}
    assert words == {"start": "start", "remove": "destroy", "init": "", "cleanup": "", "exec_died": "exec_die", "oom": "oom"}
    assert dockerevents.action(Event("container", "health_status", health_status="healthy")) == "health_status: healthy"
    assert dockerevents.document(Event("image", "remove", id="1", name="x"))["Actor"]["ID"] == "sha256:1"
    assert dockerevents.document(Event("volume", "create", name="v"))["Actor"] == {"ID": "v", "Attributes": {"name": "v"}}


# --- filters ---


@pytest.mark.parametrize(("filters", "passes"), [
    ([], True), (["container=web"], True), (["container=abab"], True), (["container=we"], False), (["CONTAINER=web"], True),
    (["event=died"], True), (["status=die"], True), (["event=start"], False), (["event=start", "event=died"], True),
    (["event=start", "status=died"], True), (["type=container", "event=died", "label=a"], True), (["label=a=b"], True),
    (["label=a=c"], False), (["label=b"], False), (["image=quay.io/x:1"], False), (["pod=web"], False), (["volume=w"], False),
    (["type=image"], False), (["event=start", "container=web"], False), (["scope=local"], True), (["daemon=x"], False)])
def test_filters(filters: list[str], passes: bool) -> None:
    assert event_filter(filters)(died()) is passes


def test_filters_of_other_types() -> None:
    volume = Event("volume", "remove", name="volume-1")
    assert event_filter(["volume=vol"])(volume) and event_filter(["event=destroy"])(volume)
    assert event_filter(["network=net"])(Event("network", "create", id="1", network="net"))
    healthy = Event("container", "health_status", health_status="healthy")
    assert event_filter(["health_status=healthy"])(healthy) and event_filter(["event=health_status: healthy"])(healthy)
    assert not event_filter(["event=health_status: unhealthy"])(healthy)


def test_filters_of_time() -> None:
    second = WHEN / 1e9
    assert event_filter([], since=second - 1, until=second + 1)(died())
    assert not event_filter([], since=second + 1)(died())
    assert not event_filter([], until=second - 1)(died())


@pytest.mark.parametrize("item", ["colour=red", "container", "="])
def test_a_bad_filter_is_refused(item: str) -> None:
    with pytest.raises(UsageError, match="is an invalid filter"):
        event_filter([item])


# --- the file ---


def read_statuses(path: Path) -> list[str]:
    return [json.loads(line)["Status"] for line in path.read_text().splitlines()]


def test_rotation_keeps_the_younger_half(tmp_path: Path) -> None:
    log = tmp_path / "sub" / "events.log"
    for n in range(100):
        append(str(log), [Event("image", "pull", name=f"name-{n:02d}", time=WHEN + n * 1000)], limit=0)
    size = log.stat().st_size
    before = log.read_text().splitlines()
    append(str(log), [Event("volume", "create", name="one"), Event("volume", "remove", name="one")], limit=size)
    after = log.read_text().splitlines()
    assert after[1:50] == before[51:]
    marks = [json.loads(after[0]), json.loads(after[50])]
    assert [m["Attributes"] for m in marks] == [{"io.podman.event.rotate": "begin"}, {"io.podman.event.rotate": "end"}]
    assert {m["Name"] for m in marks} == {str(log)} and {m["Status"] for m in marks} == {"log-rotation"}
    assert read_statuses(log)[51:] == ["create", "remove"]
    assert sorted(p.name for p in log.parent.iterdir()) == ["events.log"]


WRITER = """
import sys, time
from podlike.engine.eventfile import append
from podlike.spec.events import Event
path, who, count, limit = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for n in range(count):
    if limit:
        time.sleep(0.001)
    append(path, [Event("volume", "create", name=f"{who}-{n}")], limit=limit)
"""


def writers(path: Path, *, many: int, count: int, limit: int) -> "list[subprocess.Popen[bytes]]":
    env = {**os.environ, "PYTHONPATH": str(Path(eventread.__file__).parents[2])}
    return [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(who), str(count), str(limit)], env=env)
            for who in range(many)]


def test_many_writers_lose_and_mix_nothing(tmp_path: Path) -> None:
    log = tmp_path / "events.log"
    for process in writers(log, many=4, count=200, limit=0):
        assert process.wait(60) == 0
    names = [json.loads(line)["Name"] for line in log.read_text().splitlines()]
    assert sorted(names) == sorted(f"{who}-{n}" for who in range(4) for n in range(200))


def test_a_reader_follows_through_rotations_and_sees_all_once(tmp_path: Path) -> None:
    log = tmp_path / "events.log"
    append(str(log), [Event("volume", "create", name="old")], limit=0)
    reader = eventread._LogFile(str(log))
    reader.to_end()
    # 100 bytes a line: a rotation every 300 lines; a reader that sleeps through two of them has missed something
    running = writers(log, many=3, count=700, limit=60_000)
    seen: list[dict[str, Any]] = []
    while any(p.poll() is None for p in running):
        seen += [json.loads(line) for line in reader.lines()]
    seen += [json.loads(line) for line in reader.lines()]
    reader.close()
    assert [p.wait() for p in running] == [0, 0, 0]
    names = [e["Name"] for e in seen if e["Type"] == "volume"]
    assert len(names) == len(set(names)) == 2100, "each once"
    for who in range(3):
        assert [n for n in names if n.startswith(f"{who}-")] == [f"{who}-{n}" for n in range(700)], "and in its order"
    marks = [e["Attributes"]["io.podman.event.rotate"] for e in seen if e["Type"] == "system"]
    assert marks and set(marks) == {"end"}, "what was kept is not told again"
    assert log.stat().st_size < 60_000


def test_a_stopped_rotation_stops_nobody_for_long(tmp_path: Path) -> None:
    import fcntl

    log = tmp_path / "events.log"
    append(str(log), [Event("volume", "create", name="a")], limit=0)
    with log.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        started = time.monotonic()
        append(str(log), [Event("volume", "create", name="b")], limit=10)
        assert 0.9 < time.monotonic() - started < 5
    assert read_statuses(log) == ["create", "create"]
    # One who only appends just now keeps the file from being replaced, but not from being written to.
    with log.open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        append(str(log), [Event("volume", "create", name="c")], limit=10)
    assert read_statuses(log) == ["create", "create", "create"]


def test_reading_says_what_is_no_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine(roots=Roots(data=str(tmp_path), run=str(tmp_path)))
    (tmp_path / "events").mkdir()
    log = tmp_path / "events" / "events.log"
    log.write_text(f"nonsense\n{to_line(died())}\n")
    found = list(eventread.read(engine, passes=lambda e: True, stream=False))
    assert [e.status for e in found] == ["died"]
    assert f"event type is not valid in {log}" in capsys.readouterr().err


# --- configuration ---


def test_the_backend_is_chosen_by_flag_then_configuration(tmp_path: Path) -> None:
    roots = Roots(data=str(tmp_path), run=str(tmp_path))
    engine = Engine(roots=roots)
    engine.config.engine.events_logger = "none"
    assert backend(engine) == "none"
    flagged = Engine(roots=roots, config=engine.config, events="journald")
    assert backend(flagged) == "journald"
    engine.config.engine.events_logger = "carrier-pigeon"
    with pytest.raises(UsageError, match="carrier-pigeon"):
        backend(engine)
    for text, size in (("1m", 1_000_000), ("4750", 4750), ("0", 0), ("2k", 2000)):
        engine.config.engine.events_logfile_max_size = text
        assert max_size(engine) == size


def test_no_backend_cannot_be_read(tmp_path: Path) -> None:
    engine = Engine(roots=Roots(data=str(tmp_path), run=str(tmp_path)), events="none")
    with pytest.raises(UsageError, match='cannot read events with the "none" backend'):
        list(eventread.read(engine, passes=lambda e: True))
