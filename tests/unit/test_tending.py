"""Health checks as they are asked for, and what the engine concludes from a monitor's state file."""

import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from podlike import procs
from podlike.engine import psrows, query, tending
from podlike.engine.core import Engine
from podlike.engine.wait import wait
from podlike.errors import ConflictError, UsageError
from podlike.paths import Roots
from podlike.runtime import statefile
from podlike.spec.container import ContainerSpec, HealthCheck
from podlike.spec.health import argv, check_from_flags, check_from_image, complete, document, parse_test
from podlike.store.containers import Container, RunState

SECOND = 1_000_000_000


# --- specs ---


@pytest.mark.parametrize(("text", "test", "words"), [
    ("curl -f http://x || exit 1", ["CMD-SHELL", "curl -f http://x || exit 1"], ["/bin/sh", "-c",
     "curl -f http://x || exit 1"]),
    ("CMD curl -f", ["CMD", "curl", "-f"], ["curl", "-f"]),
    ("cmd-shell a b", ["CMD-SHELL", "a b"], ["/bin/sh", "-c", "a b"]),
    ('["curl", "-f x"]', ["CMD", "curl", "-f x"], ["curl", "-f x"]),
    ('["one word"]', ["CMD-SHELL", "one word"], ["/bin/sh", "-c", "one word"]),
    ('["CMD", "a b", "c"]', ["CMD", "a b", "c"], ["a b", "c"]),
    ("none", ["NONE"], []),
    ('["NONE"]', ["NONE"], []),
    ('{"a": 1}', ["CMD-SHELL", '{"a": 1}'], ["/bin/sh", "-c", '{"a": 1}']),
])
def test_commands(text: str, test: list[str], words: list[str]) -> None:
    assert parse_test(text) == test
    assert argv(HealthCheck(test=test)) == words


def test_empty_list_is_no_command() -> None:
    with pytest.raises(UsageError, match="must define"):
        parse_test("[]")


def test_times_of_flags() -> None:
    check = check_from_flags("x", interval="1m30s", timeout="500ms", retries=2, start_period="1s", start_interval="100ms")
    assert (check.interval, check.timeout, check.start_period, check.start_interval) == \
        (90 * SECOND, SECOND // 2, SECOND, SECOND // 10)
    assert check_from_flags("x", interval="disable", timeout="", retries=1).interval == 0
    assert check_from_flags("x", interval="0", timeout="", retries=1).interval == 0


@pytest.mark.parametrize("bad", [{"interval": "x"}, {"interval": "-1s"}, {"timeout": "0"}, {"retries": 0},
                         {"start_period": "-1s"}])
def test_flags_that_are_refused(bad: "dict[str, Any]") -> None:
    given: dict[str, Any] = {"interval": "30s", "timeout": "30s", "retries": 3} | bad
    with pytest.raises(UsageError, match="healthcheck-"):
        check_from_flags("x", **given)


def test_image_check_gets_defaults_and_changes() -> None:
    assert check_from_image(None) is None
    assert check_from_image({"Test": []}) is None
    spec = ContainerSpec(health_changes={"interval": "5s", "retries": "9"})
    complete(spec, {"Healthcheck": {"Test": ["CMD", "x"], "Timeout": 2 * SECOND}})
    assert spec.health == HealthCheck(test=["CMD", "x"], interval=5 * SECOND, timeout=2 * SECOND, retries=9)
    assert document(spec.health) == {"Test": ["CMD", "x"], "Interval": 5 * SECOND, "Timeout": 2 * SECOND, "Retries": 9}


def test_none_takes_the_image_check_away() -> None:
    spec = ContainerSpec(health=HealthCheck(test=["NONE"]))
    complete(spec, {"Healthcheck": {"Test": ["CMD", "x"]}})
    assert spec.health is None


def test_checks_survive_the_database() -> None:
    spec = ContainerSpec(health=HealthCheck(test=["CMD", "x"], interval=1), startup_health=HealthCheck(successes=2),
                         health_log_count=0)
    assert ContainerSpec.from_dict(spec.to_dict()) == spec


def test_who_is_tended() -> None:
    assert not tending.needs_tending(ContainerSpec())
    assert not tending.needs_tending(ContainerSpec(restart_policy="no"))
    assert tending.needs_tending(ContainerSpec(restart_policy="on-failure:2"))
    assert tending.needs_tending(ContainerSpec(health=HealthCheck(test=["CMD", "x"])))
    assert tending.needs_tending(ContainerSpec(notify_socket="/run/x"))


# --- the state file ---


@pytest.fixture
def engine(tmp_path: object) -> Engine:
    return Engine(roots=Roots(data=f"{tmp_path}/data", run=f"{tmp_path}/run"))


@pytest.fixture
def process() -> Iterator[tuple[int, int]]:
    child = subprocess.Popen(["sleep", "60"])
    yield child.pid, procs.start_time(child.pid)
    child.kill()
    child.wait()


def tended(engine: Engine, told: str = "", *, monitor: tuple[int, int] = (0, 0), **state: Any) -> Container:
    """A container whose first process has ended."""
    container = Container(id="ab" * 32, name="one", image=None, created=time.time(), spec=ContainerSpec(name="one"),
                          state=RunState(phase="started", boot_id=query.this_boot(), tended=True, pid=1 << 22, start_time=1,
                                         conmon_pid=monitor[0], conmon_start_time=monitor[1], **state))
    engine.containers.add(container)
    bundle = engine.roots.bundle(container.id)
    os.makedirs(bundle)
    os.makedirs(engine.roots.exits)
    if told:
        with open(statefile.path_of(engine.roots, container.id), "w") as f:
            f.write(told)
    return container


WAITING = "phase waiting\npid 0 0\nrestarts 3\nstarted 100.5\nfinished 101.25\nexit 7\noom 0\nend exit\nhealth unhealthy 2\n"


def test_state_file_is_read(engine: Engine) -> None:
    told = statefile.read(statefile.path_of(engine.roots, tended(engine, WAITING).id))
    assert told is not None
    assert (told.phase, told.restarts, told.started_at, told.finished_at, told.exit_code, told.end, told.health,
            told.streak) == \
        ("waiting", 3, 100.5, 101.25, 7, "exit", "unhealthy", 2)


@pytest.mark.parametrize("text", ["", "pid x y\n", "phase waiting\nrestarts many\n"])
def test_state_file_that_is_none(engine: Engine, text: str) -> None:
    container = tended(engine, text or "\0")
    told = statefile.read(statefile.path_of(engine.roots, container.id))
    assert told is None or told.phase == ""
    assert query.status(engine, container).state == "exited"


def test_newest_process_counts(engine: Engine, process: tuple[int, int]) -> None:
    container = tended(engine, f"phase running\npid {process[0]} {process[1]}\nrestarts 2\nstarted 5.0\nhealth healthy 0\n")
    assert query.process_of(engine, container) == process
    now = query.status(engine, container)
    assert (now.state, now.restarts, now.started_at, now.health) == ("running", 2, 5.0, "healthy")


def test_restarting_needs_a_monitor(engine: Engine, process: tuple[int, int]) -> None:
    container = tended(engine, WAITING, monitor=process)
    now = query.status(engine, container)
    assert (now.state, now.exit_code, now.running, now.restarts) == ("restarting", 7, True, 3)
    container.state.conmon_start_time += 1
    now = query.status(engine, container)
    assert (now.state, now.exit_code, now.finished_at, now.running) == ("exited", 7, 101.25, False)


def test_monitor_that_died_while_it_ran(engine: Engine) -> None:
    container = tended(engine, "phase running\npid 4194303 1\nrestarts 1\nexit 7\n")
    assert query.status(engine, container).exit_code == query.UNWATCHED_EXIT


def test_container_that_was_made_by_a_monitor_that_died(engine: Engine, process: tuple[int, int]) -> None:
    container = tended(engine, "phase creating\npid 0 0\nrestarts 1\nexit 7\n")
    with open(f"{engine.roots.bundle(container.id)}/pidfile", "w") as f:
        f.write(str(process[0]))
    assert query.status(engine, container).state == "initialized"
    assert query.process_of(engine, container) == process


def test_words_of_ps(engine: Engine, process: tuple[int, int]) -> None:
    tended(engine, WAITING, monitor=process)
    (row,) = psrows.rows(engine)
    assert psrows.status_words(row, now=104.25) == "Restarting (7) 3 seconds ago (unhealthy)"
    row.status = query.Status("running", started_at=time.time() - 5, health="starting")
    assert psrows.status_words(row) == "Up 5 seconds (starting)"
    assert psrows.docker_status_words(row) == "Up 5 seconds (health: starting)"
    row.status = query.Status("exited", finished_at=time.time() - 5, health="healthy")
    assert psrows.docker_status_words(row) == "Exited (0) 5 seconds ago"


def test_wait_ends_with_a_run_that_a_restart_follows(engine: Engine, process: tuple[int, int]) -> None:
    assert wait(engine, tended(engine, WAITING, monitor=process)) == 7


def test_wait_for_health_needs_a_check(engine: Engine) -> None:
    with pytest.raises(ConflictError, match="has no healthcheck"):
        wait(engine, tended(engine), conditions=("healthy",))
