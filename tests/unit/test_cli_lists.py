"""ps, inspect, port and the lists' printing, over containers that only exist in a database."""

import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from podlike.__main__ import run
from podlike.cli.inspect import as_structs
from podlike.cli.output import is_json, to_yaml
from podlike.engine import psrows, query
from podlike.engine.core import Engine
from podlike.paths import Roots
from podlike.spec.container import ContainerSpec, Mount, PortMapping
from podlike.spec.gotemplate import Template
from podlike.spec.govalues import Struct
from podlike.store.containers import Container, RunState

WEB, DB, OLD = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Three containers: one created, one that ended a minute ago, one whose monitor vanished in an earlier boot."""
    monkeypatch.setenv("PODLIKE_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("PODLIKE_RUNROOT", str(tmp_path / "run"))
    engine = Engine(roots=Roots(data=str(tmp_path / "data"), run=str(tmp_path / "run")))
    now = time.time()
    engine.containers.add(Container(
        id=OLD, name="old", image=None, created=now - 7200,
        spec=ContainerSpec(name="old", rootfs="/srv/tree", args=["/bin/init"]),
        state=RunState(phase="started", boot_id="another boot", pid=1, start_time=1, started_at=now - 7000)))
    engine.containers.add(Container(
        id=WEB, name="web", image="d" * 64, created=now - 600,
        spec=ContainerSpec(name="web", image_name="docker.io/library/nginx:1.27", args=["nginx", "-g", "daemon off;"],
                           command=["nginx", "-g", "daemon off;"], labels={"app": "web", "tier": "front"},
                           ports=[PortMapping(host_port=8080, container_port=80),
                                  PortMapping(host_ip="::1", host_port=9000, container_port=90, count=3)],
                           expose=["80/tcp", "443/tcp", "444/tcp", "53/udp"], restart_policy="always",
                           mounts=[Mount(type="volume", source="data", target="/data"),
                                   Mount(type="bind", source="/etc", target="/host", options=["ro"])]),
        state=RunState(phase="exited", exit_code=3, started_at=now - 500, finished_at=now - 61)))
    engine.containers.add(Container(
        id=DB, name="db", image="e" * 64, created=now - 60,
        spec=ContainerSpec(name="db", image_name="localhost/db:latest", args=["sh", "-c", "a very long command line"],
                           labels={"app": "db"}),
        state=RunState()))
    return engine


def cli(capsys: pytest.CaptureFixture[str], *args: str, prog: str = "podlike") -> tuple[int, str, str]:
    code = run(list(args), prog)
    out, err = capsys.readouterr()
    return code, out, err


def test_ps_table(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = cli(capsys, "ps", "-a")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split("  ") and lines[0].startswith("CONTAINER ID  IMAGE ")
    assert [line.split()[-1] for line in lines] == ["NAMES", "old", "web", "db"]
    assert "Exited (255) " in lines[1]
    assert "nginx -g daemon o..." in lines[2] and "Exited (3) About a minute ago" in lines[2]
    assert "0.0.0.0:8080->80/tcp, [::1]:9000-9002->90-92/tcp, 443-444/tcp, 53/udp" in lines[2]
    assert "Created" in lines[3] and "sh -c a very long..." in lines[3]
    assert cli(capsys, "ps")[1] == "CONTAINER ID  IMAGE       COMMAND     CREATED     STATUS      PORTS       NAMES\n"
    assert cli(capsys, "ps", "--noheading")[1] == ""


def test_ps_quiet_last_and_sort(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(capsys, "ps", "-aq")[1].split() == [OLD[:12], WEB[:12], DB[:12]]
    assert cli(capsys, "ps", "-aq", "--no-trunc", "--sort", "names")[1].split() == [DB, OLD, WEB]
    assert cli(capsys, "ps", "-q", "-n", "2")[1].split() == [WEB[:12], DB[:12]]
    assert cli(capsys, "ps", "-ql")[1].split() == [DB[:12]]
    assert cli(capsys, "ps", "--sort", "bogus")[0] == 125
    assert cli(capsys, "ps", "-l", "-n", "1")[2] == "Error: last and latest are mutually exclusive\n"


@pytest.mark.parametrize(("filters", "names"), [
    (["name=^w"], "web"), (["name=b$"], "web db"), (["id=aaa"], "web"), (["status=created"], "db"),
    (["status=exited"], "old web"), (["exited=3"], "web"), (["label=app"], "web db"), (["label=app=db"], "db"),
    (["label=app", "label=tier=front"], "web"), (["label!=app"], "old"), (["ancestor=nginx:1.27"], "web"),
    (["ancestor=nginx"], "web"), (["ancestor=docker.io/library/nginx"], "web"), (["ancestor=eee"], "db"),
    (["before=web"], "old"), (["since=web"], "db"), (["volume=data"], "web"), (["volume=/host"], "web"),
    (["publish=8080"], ""), (["publish=80/tcp"], "web"), (["expose=53/udp"], "web"), (["restart-policy=always"], "web"),
    (["restart-policy=no"], "old db"), (["until=1h"], "old"), (["command=sh"], "db"), (["health=none"], "old web db"),
    (["should-start-on-boot=true"], "web"), (["name=web", "status=created"], ""), (["name=web", "name=db"], "web db"),
])
def test_ps_filters(engine: Engine, filters: list[str], names: str) -> None:
    found = psrows.rows(engine, filters=filters, every=True)
    assert [r.c.name for r in found] == names.split()


@pytest.mark.parametrize(("text", "words"), [
    ("bogus=x", "bogus is an invalid filter"), ("novalue", 'invalid filter "novalue"'), ("status=x", "not a valid status"),
    ("exited=x", "not a number"), ("before=nosuch", "no such container"), ("name=[", "as a filter"),
])
def test_bad_filters(engine: Engine, capsys: pytest.CaptureFixture[str], text: str, words: str) -> None:
    code, out, err = cli(capsys, "ps", "-a", "--filter", text)
    assert (code, out) == (125, "")
    assert words in err


def test_ps_templates(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    def ps(form: str) -> str:
        code, out, err = cli(capsys, "ps", "-a", "--filter", "name=web", "--format", form)
        assert (code, err) == (0, "")
        return out

    assert ps('{{.Names}}\\t{{.Label "tier"}}|{{.State}}') == "web\tfront|exited\n"
    assert ps("{{.ID}} {{.Image}} {{.ExitCode}} {{.Labels.app}}") == f"{WEB[:12]} docker.io/library/nginx:1.27 3 web\n"
    assert ps("table {{.Names}}\\t{{.ID}} {{.RunningFor}}").splitlines()[0] == "NAMES       CONTAINER ID  CREATED"
    assert ps("{{range .}}{{.Names}}{{end}}") == "web\n"
    assert ps("{{.Mounts}}") == "[/data /host]\n"
    doc = json.loads(ps("{{json .}}"))
    assert (doc["Id"], doc["Names"], doc["ExitCode"], doc["Ports"][0]["host_port"]) == (WEB, ["web"], 3, 8080)
    rows = json.loads(ps("json"))
    assert rows[0] == doc and isinstance(doc["Created"], int)


def test_a_bad_template_fails_only_where_it_meets_a_row(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(capsys, "ps", "--format", "{{.Nope}}") == (0, "", "")
    code, _, err = cli(capsys, "ps", "-a", "--format", "{{.Nope}}")
    assert code == 125 and "can't evaluate field Nope" in err
    assert cli(capsys, "ps", "--format", "{{.Nope")[0] == 125


def test_docker_ps(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    out = cli(capsys, "ps", "-a", "--format", "{{.Names}} {{.Image}} {{.Command}} {{.Labels}}", prog="docker")[1]
    assert out.splitlines()[0].startswith('db localhost/db:latest "sh -c a very long c')
    assert out.splitlines()[1] == 'web nginx:1.27 "nginx -g daemon off;" app=web,tier=front'
    assert len(cli(capsys, "ps", "-a", "--format", "json", prog="docker")[1].splitlines()) == 3


def test_inspect_document(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = cli(capsys, "inspect", "web")
    assert code == 0
    assert out.startswith("[\n     {\n          ")
    doc = json.loads(out)[0]
    assert (doc["Id"], doc["Name"], doc["State"]["Status"], doc["State"]["ExitCode"]) == (WEB, "web", "exited", 3)
    assert (doc["Path"], doc["Args"]) == ("nginx", ["-g", "daemon off;"])
    assert doc["Config"]["Cmd"] == ["nginx", "-g", "daemon off;"] and doc["Config"]["Entrypoint"] is None
    assert doc["NetworkSettings"]["Ports"]["80/tcp"] == [{"HostIp": "0.0.0.0", "HostPort": "8080"}]
    assert doc["NetworkSettings"]["Ports"]["92/tcp"] == [{"HostIp": "::1", "HostPort": "9002"}]
    assert doc["NetworkSettings"]["Ports"]["53/udp"] is None
    assert [m["Type"] for m in doc["Mounts"]] == ["volume", "bind"] and doc["Mounts"][1]["RW"] is False
    assert doc["HostConfig"]["RestartPolicy"] == {"Name": "always", "MaximumRetryCount": 0}
    assert "CAP_CHOWN" in doc["EffectiveCaps"]


def test_inspect_templates(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    def inspect(form: str) -> str:
        code, out, err = cli(capsys, "container", "inspect", "--format", form, "web")
        assert (code, err) == (0, "")
        return out.rstrip("\n")

    assert inspect("{{.ID}} {{.State.Running}} {{.Config.Labels.app}}") == f"{WEB} false web"
    assert inspect('{{index .Config.Labels "gone"}}{{.Config.Labels.gone}}') == "<no value>"
    assert inspect('{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}') == "8080"
    assert inspect("{{range .Mounts}}{{.Destination}} {{end}}") == "/data /host "
    assert inspect("{{.Config.Entrypoint}} {{.HostConfig.Links}}") == "[] []"
    code, _, err = cli(capsys, "inspect", "--format", "{{.Nope}}", "web")
    assert code == 125 and "can't evaluate field Nope" in err


def test_inspect_of_nothing(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(capsys, "inspect", "--type", "container", "nosuch") == (125, "[]\n", 'Error: no such container "nosuch"\n')
    assert cli(capsys, "inspect", "--type", "bogus", "x")[0] == 125
    code, out, err = cli(capsys, "container", "inspect", "db", "nosuch")
    assert code == 125 and json.loads(out)[0]["Name"] == "db" and "nosuch" in err


def test_port(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(capsys, "port", "web")[1].splitlines() == ["80/tcp -> 0.0.0.0:8080", "90/tcp -> [::1]:9000",
                                                         "91/tcp -> [::1]:9001", "92/tcp -> [::1]:9002"]
    assert cli(capsys, "port", "web", "80")[1] == "0.0.0.0:8080\n"
    assert cli(capsys, "port", "web", "81")[::2] == (125, 'Error: failed to find published port "81"\n')


def test_exists_and_rm_of_nothing(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(capsys, "container", "exists", "web") == (0, "", "")
    assert cli(capsys, "container", "exists", "/web")[0] == 0
    assert cli(capsys, "container", "exists", "nosuch") == (1, "", "")
    code, out, err = cli(capsys, "rm", "nosuch")
    assert (code, out) == (1, "") and err == 'Error: no container with ID or name "nosuch" found: no such container\n'
    assert cli(capsys, "rm", "-f", "nosuch") == (0, "", "")
    assert cli(capsys, "rm", "--ignore", "nosuch") == (0, "", "")
    assert cli(capsys, "kill", "nosuch")[0] == 125
    assert cli(capsys, "kill", "-s", "bogus", "web")[::2] == (125, "Error: invalid signal: bogus\n")
    assert cli(capsys, "kill", "-s", "-SIGBAD", "web")[2] == "Error: invalid signal: SIGBAD\n"
    assert cli(capsys, "kill", "-s", "65", "web")[2] == "Error: valid signals are 1 through 64\n"
    assert cli(capsys, "wait", "--ignore", "nosuch") == (0, "-1\n", "")
    assert cli(capsys, "wait", "web") == (0, "3\n", "")
    assert cli(capsys, "wait", "--condition", "bogus", "web")[0] == 125
    assert cli(capsys, "stop", "--cidfile", "/nonexistent")[2] == \
        "Error: reading CIDFile: open /nonexistent: no such file or directory\n"
    assert cli(capsys, "stop", "-i", "--cidfile", "/nonexistent")[0] == 0


def test_state_is_derived(engine: Engine) -> None:
    assert query.status(engine, engine.containers.find("old")).state == "exited"


def test_structs_keep_maps() -> None:
    doc = as_structs({"Config": {"Labels": {"a": "b"}, "Cmd": None}, "State": {"Pid": 1}})
    assert isinstance(doc["State"], Struct) and not isinstance(doc["Config"]["Labels"], Struct)
    assert Template("{{.Config.Labels.none}}{{.Config.Cmd}}").execute(doc) == "<no value>[]"


def test_json_words() -> None:
    assert is_json("json") and is_json(" {{json}} ") and is_json("{{ json. }}")
    assert not is_json("{{json .}}") and not is_json("jsonx")


def test_yaml() -> None:
    doc = {"a": {"b": [], "c": {}, "d": [{"k": "v", "n": 1}, "x"]}, "yes": "true", "colon": "a: b", "none": None,
           "text": "one\ntwo\n", "num": "12", "f": 1.5, "flag": False, "empty": "", "path": "/x/y"}
    assert to_yaml(doc) == """\
a:
  b: []
  c: {}
  d:
  - k: v
    n: 1
  - x
"yes": "true"
colon: "a: b"
none: null
text: |
  one
  two
num: "12"
f: 1.5
flag: false
empty: ""
path: /x/y
"""


def test_logs_keep_the_order_of_two_streams_in_one_file(engine: Engine, tmp_path: Path) -> None:
    log = tmp_path / "data" / "containers" / WEB / "ctr.log"
    log.parent.mkdir(parents=True)
    stamp = "2026-01-02T03:04:0{}.000000000+00:00"
    log.write_text(f"{stamp.format(1)} stdout F one\n{stamp.format(2)} stderr F two\n{stamp.format(3)} stdout P th\n"
                   f"{stamp.format(3)} stdout F ree\n")
    env = {**os.environ, "PYTHONPATH": str(Path(query.__file__).parents[2])}

    def logs(*args: str) -> str:
        done = subprocess.run([sys.executable, "-m", "podlike", "logs", *args], env=env, text=True, timeout=60, check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.stdout

    assert logs("web") == "one\ntwo\nthree\n"
    assert logs("-t", "--tail", "2", "web").splitlines() == [f"{stamp.format(2)} two", f"{stamp.format(3)} three"]
    assert logs("-n", "web").splitlines()[0] == "web one"
    assert logs("--since", "2026-01-02T03:04:02Z", "web") == "two\nthree\n"
    assert sorted(logs("-f", "web", "web").splitlines()) == sorted(
        [f"{WEB[:12]} one", f"{WEB[:12]} two", f"{WEB[:12]} three"] * 2)


def test_filters_of_ps(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    def names(*filters: str) -> str:
        code, out, err = cli(capsys, "ps", "-a", "--format", "{{.Names}}", *(w for f in filters for w in ("--filter", f)))
        return out.replace("\n", " ").strip() if code == 0 else err

    assert names("id=A") == names("id=aaa") == names("id=^a") == "web"
    assert names("id=f") == "" and names("id=[ab]") == "web db" and names("id=[^a-f]") == ""
    assert names("restart-policy=always") == "web" and names("restart-policy=none") == names("restart-policy=no") == "old db"
    assert names("restart-policy=fake") == "Error: fake invalid restart policy\n"


def test_start_filter_selects_among_the_named(engine: Engine, capsys: pytest.CaptureFixture[str],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "podlike.engine.start", types.SimpleNamespace(start=lambda engine, container, **how: None))
    assert cli(capsys, "start", "--filter", "restart-policy=always") == (0, WEB + "\n", "")
    assert cli(capsys, "start", "--filter", "restart-policy=no", "web", "db") == (0, "db\n", "")
    assert cli(capsys, "start", "--filter", "restart-policy=on-failure", "--all") == (0, "", "")
    assert cli(capsys, "start", "--all", "web")[0] == 125


def test_limits_are_those_of_the_last_start(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    def shown() -> str:
        return cli(capsys, "inspect", "--format", "{{json .HostConfig.Ulimits}}", "db")[1].strip()

    assert shown() == "[]"
    db = engine.containers.find("db")
    db.spec.ulimits = ["nofile=3:-1"]
    engine.containers.save_spec(db)
    assert json.loads(shown()) == [{"Name": "RLIMIT_NOFILE", "Soft": 3, "Hard": -1}]
    db.state.limits = [("RLIMIT_NPROC", 5, 2**64 - 1)]
    engine.containers.save_state(db)
    assert json.loads(shown()) == [{"Name": "RLIMIT_NPROC", "Soft": 5, "Hard": -1}]
