"""The ground floor: paths, files, locks, processes."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from podlike import files, paths, procs
from podlike.errors import PodlikeError
from podlike.locks import Lock
from podlike.paths import Roots


def roots(tmp_path: object) -> Roots:
    return Roots(data=f"{tmp_path}/data", run=f"{tmp_path}/run")


def test_replace_text_is_whole_and_private(tmp_path: object) -> None:
    path = f"{tmp_path}/f"
    files.replace_text(path, "one")
    files.replace_text(path, "two")
    assert files.read_text(path) == "two"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(str(tmp_path)) == ["f"]


def test_read_text_is_bounded(tmp_path: object) -> None:
    files.write_text(f"{tmp_path}/f", "x" * 100)
    assert files.read_text(f"{tmp_path}/f", limit=10) == "x" * 10


def test_a_lock_excludes_and_is_freed_by_death(tmp_path: object) -> None:
    r = roots(tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", "import time; from podlike.locks import Lock; from podlike.paths import Roots\n"
         f"lock = Lock(Roots(data='', run={r.run!r}), 'x'); lock.acquire(blocking=True)\n"
         "print('held', flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    mine = Lock(r, "x")
    assert mine.acquire(blocking=False) is False
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert mine.acquire(blocking=True) is True
    mine.release(remove=True)
    assert os.listdir(f"{r.run}/locks") == []


def test_a_removed_lock_file_is_made_again(tmp_path: object) -> None:
    r = roots(tmp_path)
    with Lock(r, "x") as first:
        first.release(remove=True)
        with Lock(r, "x"):
            assert os.listdir(f"{r.run}/locks") == ["x"]


def test_processes_are_known_by_start_time() -> None:
    child = subprocess.Popen(["sleep", "60"])
    started = procs.start_time(child.pid)
    assert procs.alive(child.pid, started)
    assert not procs.alive(child.pid, started + 1)
    assert procs.wait_gone(child.pid, started, 0.01) is False
    assert procs.send_signal(child.pid, started + 1, signal.SIGKILL) is False
    assert procs.alive(child.pid, started)
    assert procs.send_signal(child.pid, started, signal.SIGKILL) is True
    assert procs.wait_gone(child.pid, started, 5) is True
    assert procs.start_time(child.pid) == 0, "a zombie does not count as running"
    child.wait()


def test_roots_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    monkeypatch.setenv("XDG_DATA_HOME", "/d")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/r")
    monkeypatch.delenv("PODLIKE_ROOT", raising=False)
    monkeypatch.delenv("PODLIKE_RUNROOT", raising=False)
    assert (paths.default_roots().data, paths.default_roots().run) == ("/d/podlike", "/r/podlike")
    monkeypatch.setenv("PODLIKE_ROOT", "/elsewhere")
    assert paths.default_roots().data == "/elsewhere"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert paths.default_roots().run == f"/tmp/podlike-4242-{paths.boot_id()[:8]}"


def test_a_runtime_directory_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    os.makedirs(f"{tmp_path}/run")
    if os.stat(f"{tmp_path}/run").st_uid == 0:
        os.chown(f"{tmp_path}/run", 4243, 4243)
    with pytest.raises(PodlikeError, match="it belongs to user"):
        paths.ensure_private_dir(f"{tmp_path}/run")
