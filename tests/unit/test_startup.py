"""After a reboot: who calls us, who comes back, in which order."""

import json
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from podlike.cli import startup as cli
from podlike.engine import startup
from podlike.engine.boot import comes_back, in_order
from podlike.engine.startup import Startup
from podlike.paths import Roots
from podlike.spec.container import ContainerSpec
from podlike.store.containers import Container, RunState


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home on a machine with systemd, where nobody lingers."""
    for name in ("systemd", "linger", "home", "bin"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(startup, "_RUNNING_SYSTEMD", str(tmp_path / "systemd"))
    monkeypatch.setattr(startup, "_LINGER", str(tmp_path / "linger"))
    monkeypatch.setattr("podlike.paths.real_uid", lambda: 65534)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "PYTHONPATH", "PODLIKE_LIBEXEC", "CONTAINERS_CONF"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def usual(home: Path) -> Startup:
    return Startup(Roots(data=f"{home}/.local/share/podlike", run="/run/user/65534/podlike"))


def test_systemd(home: Path, tmp_path: Path) -> None:
    s = usual(home)
    assert (s.done, s.enabled) == ("", False)
    assert s.install() == "systemd"
    unit = home / ".config/systemd/user/podlike-restart.service"
    assert s.unit == str(unit)
    assert os.readlink(home / ".config/systemd/user/default.target.wants/podlike-restart.service") == str(unit)
    lines = unit.read_text().splitlines()
    command = f"-m podlike --root {home}/.local/share/podlike system startup"
    assert any(line.startswith("ExecStart=-") and line.endswith(f"{command} run") for line in lines)
    assert any(line.startswith("ExecStop=") and line.endswith(f"{command} stop") for line in lines)
    assert s.enabled
    assert "loginctl enable-linger" in s.hint()
    (tmp_path / "linger" / pwd.getpwuid(65534).pw_name).touch()
    assert s.hint() == ""
    assert s.install() == "systemd", "twice is as good"
    s.remove()
    assert (s.done, s.enabled, unit.exists(), s.hint()) == ("off", False, False, "")
    assert not os.listdir(home / ".config/systemd/user/default.target.wants")
    s.install()
    s.forget()
    assert (s.done, unit.exists()) == ("", False)


def test_a_store_of_its_own_has_a_unit_of_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", '/a b/50%/$x"y')
    s = Startup(Roots(data=f"{home}/other", run=f"{home}/run"))
    s.install()
    text = Path(s.unit).read_text()
    assert os.path.basename(s.unit).startswith("podlike-restart-")
    assert f"--root {home}/other --runroot {home}/run system" in text
    assert 'Environment="PYTHONPATH=/a b/50%%/' in text
    assert s.unit != usual(home).unit


def test_neither_systemd_nor_cron(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "_RUNNING_SYSTEMD", "/nowhere")
    monkeypatch.setattr("podlike.paths.find_program", lambda name: None)
    s = usual(home)
    assert s.install() == "none"
    assert "neither systemd nor cron" in s.hint()
    assert "system startup run" in s.hint()
    assert not (home / ".config").exists()


CRONTAB = """#!/bin/sh
tab=$(dirname "$0")/tab
case $1 in
-l) [ -e "$tab" ] || { echo "no crontab for nobody" >&2; exit 1; }; cat "$tab" ;;
-) [ ! -e "$tab.forbidden" ] || { echo "You (nobody) are not allowed to use this program" >&2; exit 1; }; cat > "$tab" ;;
esac
"""


@pytest.fixture
def tab(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(startup, "_RUNNING_SYSTEMD", "/nowhere")
    program = tmp_path / "bin/crontab"
    program.write_text(CRONTAB)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return tmp_path / "bin/tab"


def test_cron(home: Path, tab: Path) -> None:
    s = Startup(Roots(data=f"{home}/a%b c", run="/tmp/podlike-65534-12345678"))
    assert s.install() == "cron"
    (line,) = tab.read_text().splitlines()
    assert line.startswith("@reboot cd / && ")
    assert f"--root '{home}/a\\%b c' system startup run >/dev/null # podlike-restart " in line
    assert s.enabled
    tab.write_text(f"# first\n{line}\n1 2 3 4 5 last\n")
    s.install()
    assert tab.read_text() == f"# first\n1 2 3 4 5 last\n{line}\n"
    s.remove()
    assert tab.read_text() == "# first\n1 2 3 4 5 last\n"
    assert s.done == "off"


def test_cron_that_is_forbidden(home: Path, tab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tab.parent / "tab.forbidden").touch()
    call = SimpleNamespace(engine=SimpleNamespace(roots=usual(home).roots), session=SimpleNamespace(prog="podlike"))
    assert cli.set_up_once(call, "always") is not None  # type: ignore[arg-type]
    err = capsys.readouterr().err
    assert "You (nobody) are not allowed to use this program" in err
    assert cli.set_up_once(call, "always") is None, "told once"  # type: ignore[arg-type]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_the_hint_comes_once_and_to_a_terminal(
        home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    call = SimpleNamespace(engine=SimpleNamespace(roots=usual(home).roots), session=SimpleNamespace(prog="podlike"))
    assert cli.set_up_once(call, "on-failure:3") is None  # type: ignore[arg-type]
    assert cli.set_up_once(call, "unless-stopped") is not None  # type: ignore[arg-type]
    out, err = capsys.readouterr()
    assert (out, "enable-linger" in err) == ("", terminal)
    assert cli.set_up_once(call, "always") is None  # type: ignore[arg-type]
    usual(home).remove()
    assert cli.set_up_once(call, "always") is None, "what the user took away stays away"  # type: ignore[arg-type]
    assert capsys.readouterr().err == ""


# --- who comes back ---


def container(name: str, *, ran: bool = True, stopped: bool = False, policy: str = "always", **spec: object) -> Container:
    doc = {"restart_policy": policy, **spec}
    return Container(id=name * 8, name=name, image=None, created=0.0, spec=ContainerSpec.from_dict(json.loads(json.dumps(doc))),
                     state=RunState(started_at=1.0 if ran else 0.0, stopped_by_user=stopped, phase="exited"))


@pytest.mark.parametrize(("policy", "ran", "stopped", "wanted"), [
    ("always", True, False, True), ("always", True, True, True), ("always", False, False, False),
    ("unless-stopped", True, False, True), ("unless-stopped", True, True, False), ("unless-stopped", False, False, False),
    ("on-failure", True, False, False), ("on-failure:3", True, False, False), ("no", True, False, False),
    ("", True, False, False),
])
def test_who_comes_back(policy: str, ran: bool, stopped: bool, wanted: bool) -> None:
    assert comes_back(container("a", policy=policy, ran=ran, stopped=stopped)) is wanted


def test_order() -> None:
    a = container("a", network="container:c")
    b = container("b", volumes_from=["a:ro"], requires=["dddddddd"])
    c, d = container("c", ipc_ns="container:dddddddd"), container("d")
    assert [x.name for x in in_order([a, b, c, d])] == ["d", "c", "a", "b"]
    around = container("e", network="container:f"), container("f", network="container:e")
    assert sorted(x.name for x in in_order(around)) == ["e", "f"]
