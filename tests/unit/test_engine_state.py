"""What the engine concludes from records and the kernel, without starting anything."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from podlike import procs
from podlike.engine import query
from podlike.engine.core import Engine
from podlike.engine.dependents import dependents, dependents_first
from podlike.engine.remove import remove
from podlike.engine.restart import wants_restart
from podlike.engine.sweep import sweep
from podlike.errors import ConflictError, NotFoundError
from podlike.paths import Roots
from podlike.spec.container import ContainerSpec, Mount, PortMapping
from podlike.store.containers import Container, RunState


@pytest.fixture
def engine(tmp_path: object) -> Engine:
    return Engine(roots=Roots(data=f"{tmp_path}/data", run=f"{tmp_path}/run"))


@pytest.fixture
def process() -> Iterator[tuple[int, int]]:
    child = subprocess.Popen(["sleep", "60"])
    yield child.pid, procs.start_time(child.pid)
    child.kill()
    child.wait()


def add(engine: Engine, cid: str = "ab" * 32, name: str = "one", **state: object) -> Container:
    container = Container(id=cid, name=name, image=None, created=time.time(), spec=ContainerSpec(name=name),
                          state=RunState(**state))  # type: ignore[arg-type]
    engine.containers.add(container)
    return container


def test_spec_survives_the_database(engine: Engine) -> None:
    spec = ContainerSpec(image="x", env={"A": "b"}, ports=[PortMapping(container_port=80, host_port=8080)],
                         mounts=[Mount(type="bind", source="/a", target="/b", options=["ro"])], entrypoint=[], remove=True)
    engine.containers.add(Container(id="cd" * 32, name="n", image=None, created=1.0, spec=spec, state=RunState()))
    assert engine.containers.find("n").spec == spec


def test_find_by_name_id_and_beginning(engine: Engine) -> None:
    add(engine)
    add(engine, "abcd" + "0" * 60, "two")
    assert engine.containers.find("one").id == "ab" * 32
    assert engine.containers.find("abcd").name == "two"
    with pytest.raises(ConflictError, match="more than one"):
        engine.containers.find("ab")
    for unknown in ("nope", "", "ab_", "ffff", "AB"):
        with pytest.raises(NotFoundError):
            engine.containers.find(unknown)


def test_a_name_belongs_to_one(engine: Engine) -> None:
    add(engine)
    with pytest.raises(ConflictError, match='the container name "one" is already in use by abab'):
        add(engine, "ef" * 32)


def test_running_needs_pid_start_time_and_boot(engine: Engine, process: tuple[int, int]) -> None:
    pid, started = process
    boot = query.this_boot()
    running = add(engine, phase="started", pid=pid, start_time=started, boot_id=boot, started_at=5.0)
    assert query.status(engine, running).state == "running"
    changes: list[dict[str, Any]] = [{"start_time": started + 1}, {"boot_id": "another"}, {"pid": 2**22 - 1}]
    for change in changes:
        state = RunState(**{"phase": "started", "pid": pid, "start_time": started, "boot_id": boot, **change})
        other = Container(id="ee" * 32, name="e", image=None, created=1.0, spec=ContainerSpec(), state=state)
        now = query.status(engine, other)
        assert (now.state, now.exit_code) == ("exited", query.UNWATCHED_EXIT)
        assert "exit code is unknown" in now.error


def test_the_monitors_exit_file_is_believed_in_this_boot_only(engine: Engine) -> None:
    os.makedirs(engine.roots.exits)
    with open(f"{engine.roots.exits}/{'ab' * 32}", "w") as f:
        f.write("7")
    ended = add(engine, phase="started", pid=2**22 - 1, start_time=1, boot_id=query.this_boot())
    assert (query.status(engine, ended).state, query.status(engine, ended).exit_code) == ("exited", 7)
    ended.state.boot_id = "another"
    assert query.status(engine, ended).exit_code == query.UNWATCHED_EXIT


def test_a_monitor_that_still_drains_output_is_waited_for(engine: Engine, process: tuple[int, int]) -> None:
    draining = add(engine, phase="started", pid=2**22 - 1, start_time=1, boot_id=query.this_boot(),
                   conmon_pid=process[0], conmon_start_time=process[1])
    assert query.status(engine, draining).state == "stopping"


def test_an_end_that_was_recorded_meanwhile_is_seen(engine: Engine, process: tuple[int, int]) -> None:
    """The record was read while it ran; then its clean-up moved the code from the exit file to the database."""
    read = add(engine, phase="started", pid=2**22 - 1, start_time=1, boot_id=query.this_boot(),
               conmon_pid=process[0], conmon_start_time=process[1])
    recorded = engine.containers.find(read.id)
    recorded.state = RunState(phase="exited", exit_code=9)
    engine.containers.save_state(recorded)
    assert (query.status(engine, read).state, query.status(engine, read).exit_code) == ("exited", 9)


def test_stopping_while_a_stop_lives(engine: Engine, process: tuple[int, int]) -> None:
    pid, started = process
    c = add(engine, phase="started", pid=pid, start_time=started, boot_id=query.this_boot(), stopper=[pid, started])
    assert query.status(engine, c).state == "stopping" and query.status(engine, c).running
    c.state.stopper = [2**22 - 1, 1]  # that stop was killed
    assert query.status(engine, c).state == "running"


def test_dependents(engine: Engine) -> None:
    ids = {name: f"{n:x}" * 64 for n, name in enumerate("abcde", 1)}
    specs = {"a": ContainerSpec(), "b": ContainerSpec(network="container:a"), "c": ContainerSpec(volumes_from=["b:ro"]),
             "d": ContainerSpec(pid_ns=f"container:{ids['a'][:12]}"), "e": ContainerSpec(network="host", command=["container:a"])}
    made = {name: Container(id=ids[name], name=name, image=None, created=n, spec=spec, state=RunState())
            for n, (name, spec) in enumerate(specs.items())}
    for container in made.values():
        engine.containers.add(container)

    def names(found: list[Container]) -> str:
        return "".join(c.name for c in found)

    assert names(dependents(engine, made["a"])) == "cbd"
    assert names(dependents(engine, made["b"])) == "c"
    assert names(dependents(engine, made["e"])) == ""
    assert names(dependents_first(engine, [made["a"], made["e"], made["b"]])) == "bae"
    with pytest.raises(ConflictError) as e:
        remove(engine, made["b"])
    assert e.value.message == (f"container {ids['b']} has dependent containers which must be removed before it: "
                               f"{ids['c']}: container already exists")


@pytest.mark.parametrize(("policy", "code", "restarts", "stopped", "expected"), [
    ("", 1, 0, False, False), ("no", 1, 0, False, False), ("always", 0, 0, False, True), ("always", 0, 0, True, False),
    ("unless-stopped", 3, 9, False, True), ("on-failure", 0, 0, False, False), ("on-failure", 1, 99, False, True),
    ("on-failure:2", 1, 1, False, True), ("on-failure:2", 1, 2, False, False),
])
def test_restart_policies(policy: str, code: int, restarts: int, stopped: bool, expected: bool) -> None:
    container = Container(id="a", name="a", image=None, created=0.0, spec=ContainerSpec(restart_policy=policy),
                          state=RunState(phase="exited", exit_code=code, restarts=restarts, stopped_by_user=stopped))
    assert wants_restart(container) is expected


def test_exit_codes_outlive_containers_and_are_bounded(engine: Engine) -> None:
    for n in range(1100):
        engine.containers.record_exit(f"{n:064x}", n % 256, float(n))
    assert engine.containers.exit_code(f"{1099:064x}") == 1099 % 256
    assert engine.containers.exit_code(f"{5:064x}") is None
    assert engine.db.row("SELECT count(*) FROM exits") == (1000,)


def test_a_newer_schema_is_refused_and_left_alone(engine: Engine) -> None:
    engine.db.execute("PRAGMA user_version=999")
    engine.db.close()
    with pytest.raises(Exception, match="newer than this podlike knows"):
        _ = Engine(roots=engine.roots).db


def test_a_file_that_is_no_database_is_named(tmp_path: object) -> None:
    os.makedirs(f"{tmp_path}/data")
    with open(f"{tmp_path}/data/db.sqlite", "w") as f:
        f.write("rubbish " * 1000)
    with pytest.raises(Exception, match="open database .*db.sqlite"):
        _ = Engine(roots=Roots(data=f"{tmp_path}/data", run=f"{tmp_path}/run")).db


def test_many_first_users_of_a_store(tmp_path: object) -> None:
    os.makedirs(f"{tmp_path}/data")
    script = (f"from podlike.store.db import Database; db = Database({f'{tmp_path}/data/db.sqlite'!r}); "
              "print(db.row('PRAGMA journal_mode')[0])")
    running = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(12)]
    assert [p.communicate(timeout=30) for p in running] == [("wal\n", "")] * 12


def test_a_run_that_died_before_its_start_is_swept(engine: Engine, process: tuple[int, int]) -> None:
    pid, started = process
    add(engine, "aa" * 32, "alive", starter=[pid, started])
    add(engine, "bb" * 32, "dead", starter=[pid, started + 1])
    add(engine, "cc" * 32, "created")
    engine.enter_session = lambda: None  # type: ignore[method-assign]
    sweep(engine)
    assert {c.name for c in engine.containers.all()} == {"alive", "created"}
