"""`from podlike import Engine` in the programs that people write: threads, forks, interruptions. docs/LIBRARY.md."""

import contextlib
import io
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import podlike as library
from podlike import (
    CommandFailed,
    CommandNotFoundError,
    ConflictError,
    InUseError,
    Mount,
    NotFoundError,
    Progress,
    RegistryError,
    UsageError,
)
from podlike import Engine as Library
from podlike.spec.container import ContainerSpec
from tests.support.engine import Engine, wait_for

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def lib(podlike: Engine) -> Iterator[Library]:
    """The library on the store of the tests' engine."""
    with Library(root=podlike.data, runroot=podlike.run_dir) as engine:
        yield engine


def namespaces() -> list[str]:
    return [os.readlink(f"/proc/self/ns/{kind}") for kind in ("user", "mnt", "net", "pid")]


def test_run_returns_what_the_command_line_prints(podlike: Engine, lib: Library, image: str) -> None:
    before = namespaces(), os.getuid()
    done = lib.containers.run(image, ["sh", "-c", "cat; echo err >&2; exit 3"], input=b"in\n", network="none", remove=True)
    assert (done.exit_code, done.stdout, done.stderr) == (3, b"in\n", b"err\n")
    assert done.args == ["sh", "-c", "cat; echo err >&2; exit 3"]
    with pytest.raises(NotFoundError):
        lib.containers.get(done.container)
    assert (namespaces(), os.getuid()) == before  # our process is as it was
    with pytest.raises(CommandFailed, match="exit code 7: no") as failed:
        lib.containers.run(image, ["sh", "-c", "echo no >&2; exit 7"], network="none", remove=True, check=True)
    assert failed.value.finished is not None and failed.value.exit_code == 7
    assert podlike("ps", "-aq").stdout == ""


def test_the_verbs_from_create_to_remove(podlike: Engine, lib: Library, image: str, name: str) -> None:
    made = lib.containers.create(image, ["sh", "-c", "echo $A; sleep 100"], name=name, network="none", env={"A": "b"},
                                 labels={"kind": "test"}, stop_signal="KILL")
    info = lib.containers.get(name)
    assert (info.id, info.state, info.labels, info.running) == (made.id, "created", {"kind": "test"}, False)
    lib.containers.start(made)
    info = lib.containers.get(made)
    assert info.running and info.pid > 0
    assert [c.id for c in lib.containers.list(filters={"name": f"^{name}$"})] == [made.id]
    assert lib.containers.inspect(name)["State"]["Pid"] == info.pid == int(podlike("inspect", "-f", "{{.State.Pid}}", name).line)
    wait_for(lambda: list(lib.containers.logs(name)), "its output")
    line = next(lib.containers.logs(name, tail=1))
    assert (line.text, line.stream) == (b"b", "stdout")
    assert "sleep" in str(lib.containers.top(name)[1])
    lib.containers.pause(name)
    assert lib.containers.get(name).state == "paused"
    lib.containers.unpause(name)
    lib.containers.exec(name, ["touch", "/new"], check=True)
    assert "/new" in [change.path for change in lib.containers.diff(name)]
    with pytest.raises(InUseError):
        lib.containers.remove(name)
    lib.containers.restart(name, timeout=0)
    assert lib.containers.get(name).pid != info.pid
    lib.containers.rename(name, f"{name}-2")
    lib.containers.kill(made, "KILL")
    assert lib.containers.wait(made) == 137
    with pytest.raises(ConflictError, match="is exited"):
        lib.containers.exec(made, ["true"])
    lib.containers.remove(made)
    assert not lib.containers.exists(made.id)


def test_exec(lib: Library, image: str, name: str, tmp_path: Path) -> None:
    box = lib.containers.run(image, ["sleep", "100"], detach=True, name=name, network="none", stop_timeout=0)
    done = lib.containers.exec(box, ["sh", "-c", "pwd; echo $X; cat"], env={"X": "y"}, workdir="/tmp", input=b"z" * 300_000)
    assert done.stdout == b"/tmp\ny\n" + b"z" * 300_000
    with open(tmp_path / "out", "wb") as out:
        assert lib.containers.exec(box, ["sh", "-c", "echo to a file; echo and here >&2"], stdout=out).stderr == b"and here\n"
    assert (tmp_path / "out").read_text() == "to a file\n"
    with pytest.raises(CommandNotFoundError):
        lib.containers.exec(box, ["no-such-program"])
    session = lib.containers.exec(box, ["sleep", "50"], detach=True)
    assert re.fullmatch("[0-9a-f]{64}", session)
    lib.containers.remove(box, force=True)


def test_options_have_the_names_of_the_flags(lib: Library, image: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("bound")
    tmp_path.chmod(0o755)
    done = lib.containers.run(image, ["sh", "-c", "cat /a/file /b/file; hostname; id -u; touch /a/x; df /c | tail -1"],
                              network="none", remove=True, volumes=[f"{tmp_path}:/a:ro"], hostname="box", user="7",
                              tmpfs={"/c": "size=1m"},
                              mounts=[Mount(type="bind", source=str(tmp_path), target="/b", options=["ro"])])
    assert done.stdout.startswith(b"boundboundbox\n7\n") and b"tmpfs" in done.stdout and b"Read-only" in done.stderr
    with pytest.raises(UsageError, match="nmae") as error:
        lib.containers.create(image, nmae="x")
    assert error.value.hint == "Did you mean name?"
    with pytest.raises(UsageError, match="a list of words"):
        lib.containers.run(image, "echo hello")
    with pytest.raises(UsageError, match="invalid port number"):
        lib.containers.create(image, ports=["80:http"])
    spec = ContainerSpec(image=image, command=["echo", "from a spec"], network="none", remove=True)
    assert lib.containers.run(spec).stdout == b"from a spec\n"
    with pytest.raises(CommandNotFoundError) as failed:
        lib.containers.run(image, ["no-such-program"], network="none")
    assert failed.value.exit_code == 127
    assert lib.containers.list(all=True) == []


def test_images_volumes_networks_system(podlike: Engine, lib: Library, image: str, name: str, tmp_path: Path) -> None:
    found = lib.images.get(image)
    assert found.id == podlike("inspect", "-f", "{{.Id}}", image).line
    lib.images.tag(image, f"localhost/{name}:1", f"localhost/{name}:2")
    assert {f"localhost/{name}:1", f"localhost/{name}:2"} <= {n for i in lib.images.list() for n in i.names}
    lib.images.save([f"localhost/{name}:1"], tmp_path / "image.tar")
    removed = lib.images.remove(f"localhost/{name}:1")
    assert removed.untagged == [f"localhost/{name}:1"] and removed.deleted == []
    assert lib.images.load(tmp_path / "image.tar") == [f"localhost/{name}:1"]
    lib.images.untag(image, f"localhost/{name}:1")
    lib.images.remove(f"localhost/{name}:2")
    assert not lib.images.exists(f"localhost/{name}:2")
    assert lib.images.history(image) and lib.images.inspect(image)["Id"] == found.id
    lib.volumes.create(name)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("in a volume")
    subprocess.run(["tar", "-C", tmp_path / "data", "-cf", tmp_path / "data.tar", "."], check=True, timeout=60)
    lib.volumes.load(name, tmp_path / "data.tar")
    read = lib.containers.run(image, ["cat", "/v/file"], network="none", remove=True, volumes=[f"{name}:/v"])
    assert read.stdout == b"in a volume"
    assert lib.volumes.exists(name) and lib.volumes.inspect(name)["Name"] == name
    lib.volumes.remove(name)
    assert name not in [v.name for v in lib.volumes.list()]
    assert [n.name for n in lib.networks.list()] == ["podman"] and not lib.networks.exists("nope")
    assert lib.system.info()["host"]["security"]["rootless"] is (os.getuid() != 0)
    assert lib.system.df().image_sum.total >= 1
    assert any(e.type == "volume" and e.name == name for e in lib.system.events(since=1, stream=False))


def test_pods(podlike: Engine, lib: Library, image: str, name: str) -> None:
    pod = lib.pods.create(name, labels={"a": "b"}, network="none")
    lib.containers.create(image, ["sleep", "100"], pod=name, name=f"{name}-c", stop_signal="KILL")
    lib.pods.start(pod)
    assert [(row.pod.id, row.state) for row in lib.pods.list(filters={"name": name})] == [(pod.id, "Running")]
    assert lib.pods.inspect(name)["Id"] == pod.id == podlike("pod", "inspect", "-f", "{{.Id}}", name).line
    with pytest.raises(library.PodlikeError):
        lib.pods.remove(pod)
    lib.pods.stop(pod, timeout=0)
    lib.pods.remove(pod, force=True, timeout=0)
    assert not lib.pods.exists(name) and not lib.containers.exists(f"{name}-c")


def test_pull_tells_its_progress_in_the_callers_thread(lib: Library, tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []

    class Noted(Progress):
        def trying(self, name: str) -> None:
            told.append((name, threading.get_ident()))

    with pytest.raises(RegistryError):
        lib.images.pull("localhost:1/nobody/there", options=library.PullOptions(retries=0), progress=Noted())
    assert told == [("localhost:1/nobody/there:latest", threading.get_ident())]


def test_threads_run_side_by_side(lib: Library, image: str) -> None:
    """As in a web application: many threads, one engine."""
    def work(number: int) -> tuple[bytes, bool]:
        done = lib.containers.run(image, ["echo", str(number)], network="none", remove=True, check=True)
        return done.stdout, lib.images.exists(image)

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(work, range(8))] == [(f"{n}\n".encode(), True) for n in range(8)]
    assert lib.containers.list(all=True) == []


def test_both_sides_of_a_fork_go_on(lib: Library, image: str) -> None:
    """As in pytest-xdist's or gunicorn's workers that are forked from a program that used the engine before."""
    assert lib.containers.run(image, ["true"], network="none", remove=True).exit_code == 0
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            done = lib.containers.run(image, ["echo", "child"], network="none", remove=True)
            os.write(write, done.stdout + str(len(lib.containers.list(all=True))).encode())
        os._exit(0)
    os.close(write)
    mine = lib.containers.run(image, ["echo", "parent"], network="none", remove=True)
    with open(read, "rb") as f:
        answer = f.read()
    os.waitpid(pid, 0)
    assert mine.stdout == b"parent\n" and answer.startswith(b"child\n")
    assert lib.containers.list(all=True) == []


def test_an_interrupted_run_stops_its_container(lib: Library, image: str, name: str) -> None:
    def interrupt() -> None:
        wait_for(lambda: [c for c in lib.containers.list() if c.name == name], "the container")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        lib.containers.run(image, ["sleep", "1000"], name=name, network="none", remove=True)
    thread.join()
    assert not lib.containers.exists(name)
    assert lib.containers.run(image, ["echo", "again"], network="none", remove=True).stdout == b"again\n"


def test_follow_and_wait(lib: Library, image: str, name: str) -> None:
    box = lib.containers.run(image, ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done; exit 4"], detach=True, name=name,
                             network="none")
    assert [line.text for line in lib.containers.logs(box, follow=True)] == [b"1", b"2", b"3"]
    assert lib.containers.wait(box) == 4
    assert lib.containers.get(box).exit_code == 4
    lib.containers.remove(box)


def test_nothing_is_left_behind(podlike: Engine, image: str, caplog: pytest.LogCaptureFixture) -> None:
    def children() -> set[str]:
        with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children") as f:
            return set(f.read().split())

    before, fds = children(), set(os.listdir("/proc/self/fd"))
    with caplog.at_level(logging.WARNING, "podlike"), Library(root=podlike.data, runroot=podlike.run_dir) as engine:
        engine.containers.run(image, ["true"], network="host", remove=True, ports=["8080:80"])
        assert children() - before  # the one that waits for the next verb
    assert children() == before
    assert "published ports are ignored" in caplog.text
    engine.close()
    del engine
    assert len(os.listdir("/proc/self/fd")) <= len(fds) + 2  # this thread's database, until the engine is collected


def test_the_example_of_the_manual(podlike: Engine, lib: Library, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/LIBRARY.md").read_text()
    program, expected = (re.findall(r"```(?:python)?\n(.*?)```", text, re.S) + ["", ""])[:2]
    lib.images.tag(image, "docker.io/library/alpine:latest")
    monkeypatch.setenv("PODLIKE_ROOT", podlike.data)
    monkeypatch.setenv("PODLIKE_RUNROOT", podlike.run_dir)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(program, "LIBRARY.md", "exec"), {})
    assert out.getvalue() == expected
    lib.images.untag(image, "docker.io/library/alpine:latest")
    assert lib.images.exists(image)


def test_a_verb_costs_no_more_than_a_command(podlike: Engine, lib: Library, image: str, name: str) -> None:
    box = lib.containers.run(image, ["sleep", "100"], detach=True, name=name, network="none", stop_timeout=0)
    ours, theirs = [], []
    for _ in range(3):
        started = time.perf_counter()
        podlike("exec", name, "true")
        theirs.append(time.perf_counter() - started)
        time.sleep(0.1)
        started = time.perf_counter()
        lib.containers.exec(box, ["true"], check=True)
        ours.append(time.perf_counter() - started)
        time.sleep(0.1)
    lib.containers.remove(box, force=True)
    assert min(ours) < 1.5 * min(theirs)


def test_importing_is_cheap() -> None:
    code = ("import sys, podlike; assert not [m for m in sys.modules if m.startswith('podlike.')]; "
            "podlike.Engine; print(sorted(m for m in ('click', 'sqlite3', 'urllib3', 'dataclasses') if m in sys.modules))")
    done = subprocess.run([sys.executable, "-S", "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
                          capture_output=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
