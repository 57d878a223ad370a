"""podlike quadlet: install, list, print, check, rm, as an ordinary user; and what systemd thinks of the units."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.engine import Engine, Result
from tests.support.need import need

C = "[Container]\nImage=quay.io/a/b\nNetwork=none\n"


class Commands:
    """`podlike quadlet ...` with a configuration directory of its own; no systemd is there to be asked."""

    def __init__(self, engine: Engine, top: Path) -> None:
        self.engine, self.top = engine, top
        self.env = {"XDG_CONFIG_HOME": str(top / "config"), "XDG_RUNTIME_DIR": str(top / "run"), "HOME": str(top)}
        (top / "run").mkdir()
        self.home = top / "config/containers/systemd"

    def __call__(self, *words: str, code: int = 0) -> Result:
        done = self.engine("quadlet", *words, check=False, env=self.env)
        assert done.code == code, f"{words}: {done.code}\n{done.stdout}\n{done.stderr}"
        return done

    def put(self, name: str, text: str = C) -> str:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def installed(self) -> list[str]:
        return sorted(os.listdir(self.home)) if self.home.exists() else []


@pytest.fixture
def quadlet(session_engine: Engine, tmp_path: Path) -> Iterator[Commands]:
    yield Commands(session_engine, tmp_path)


def test_the_paths_come_behind_what_is_said_of_the_files(quadlet: Commands) -> None:
    path = quadlet.put("odd.container", C + "NoSuchKey=1\n")
    both = quadlet.engine.popen("quadlet", "install", path, env=quadlet.env, stderr=subprocess.STDOUT)
    said = both.communicate()[0].decode().splitlines()
    assert both.returncode == 0 and said[-1] == f"{quadlet.home}/odd.container"
    assert any("NoSuchKey" in line for line in said[:-1])


def test_one_file_through_its_life(quadlet: Commands) -> None:
    path = quadlet.put("web.container")
    assert quadlet("install", path).stdout == f"{quadlet.home}/web.container\n"
    assert quadlet.installed() == ["web.container"]
    again = quadlet("install", path, code=125)
    assert again.stderr.startswith(f'Error: quadlet "{path}" failed to install: ')
    assert "a Quadlet with name web.container already exists, refusing to overwrite" in again.stderr
    quadlet.put("web.container", C + "# new\n")
    quadlet("install", "--replace", path)
    assert quadlet("print", "web.container").stdout == quadlet("cat", "web.container").stdout == C + "# new\n"
    assert quadlet("list").stdout.split("\n")[:2] == [
        f"NAME           UNIT NAME    {'PATH ON DISK'.ljust(len(str(quadlet.home)) + 16)}STATUS      APPLICATION",
        f"web.container  web.service  {quadlet.home}/web.container  Not loaded  "]
    assert quadlet("rm", "web.container").stdout == "web.container\n" and quadlet.installed() == []


def test_list_filters_and_formats(quadlet: Commands) -> None:
    quadlet("install", quadlet.put("a.container"), quadlet.put("b.container", C + "Pod=p.pod\n"), quadlet.put("p.pod", "[Pod]\n"))
    assert quadlet("ls", "--format", "{{.Name}} {{.UnitName}}").stdout == (
        "NAME UNIT NAME\na.container a.service\nb.container b.service\np.pod p-pod.service\n")
    assert quadlet("list", "-n", "--format", '{{range .}}{{.Name}}{{"\\n"}}{{end}}', "-f", "name=container$").stdout == (
        "a.container\nb.container\n")
    assert [d["Name"] for d in json.loads(quadlet("list", "-f", "pod=p.pod", "--format", "json").stdout)] == ["b.container"]
    assert quadlet("list", "-n", "-f", "status=active", "--format", "{{.Name}}").stdout == ""
    words = ("__completeNoDesc", "quadlet", "print", "b")
    assert quadlet.engine(*words, env=quadlet.env).stdout.splitlines()[0] == "b.container"
    for word, said in (("name", 'invalid filter "name"'), ("x=y", "x is not a valid filter"), ("name=(", "filter")):
        assert said in quadlet("list", "--filter", word, code=125).stderr


def test_an_app_is_removed_as_a_whole(quadlet: Commands) -> None:
    for name in ("app/front.container", "app/data.volume", "app/app.conf"):
        quadlet.put(name, "[Volume]\n" if name.endswith("volume") else C)
    quadlet.put("app/more.quadlets", f"# FileName=api\n{C}\n---\n\n---\n# FileName=net\n[Network]\n")
    extra = quadlet.put("extra.txt", "x")
    written = quadlet("install", str(quadlet.top / "app"), extra).stdout.split()
    assert sorted(os.path.basename(w) for w in written) == [
        "api.container", "app.conf", "data.volume", "extra.txt", "front.container", "net.network"]
    assert (quadlet.home / ".app.app").read_text().split() == [
        "app.conf", "data.volume", "front.container", "api.container", "net.network", "extra.txt"]
    rows = quadlet("list", "-n", "--format", "{{.Name}} {{.App}}").stdout.splitlines()
    assert rows == [f"{n} .app.app" for n in ("api.container", "data.volume", "front.container", "net.network")]
    assert sorted(quadlet("rm", "data.volume").stdout.split()) == ["api.container", "data.volume", "front.container",
        "net.network"]
    assert quadlet.installed() == []
    quadlet("install", str(quadlet.top / "app"))
    quadlet("rm", ".app.app")
    assert quadlet.installed() == []
    assert "no such application" in quadlet("rm", ".app.app", code=125).stderr


def test_files_that_come_along(quadlet: Commands) -> None:
    quadlet("install", quadlet.put("a.container"), quadlet.put("a.txt", "x"), quadlet.put("b.container"))
    assert quadlet.installed() == [".a.container.asset", "a.container", "a.txt", "b.container"]
    quadlet("rm", "a.container")
    assert quadlet.installed() == ["b.container"]
    assert '".txt" is not a supported Quadlet file type' in quadlet("install", str(quadlet.top / "a.txt"), code=125).stderr


@pytest.mark.parametrize(("text", "said"), [
    ("[Container]\nImage=a\n", "missing required '# FileName=<name>'"), ("# FileName=a\nx=y\n", "unable to detect quadlet type"),
    (f"# FileName=good\n{C}---\n{C}", "section 2: missing required"),
])
def test_bad_collections_leave_nothing(quadlet: Commands, text: str, said: str) -> None:
    assert said in quadlet("install", quadlet.put("x.quadlets", text), code=125).stderr
    assert quadlet.installed() == []


def test_bad_sources_leave_nothing_and_hold_up_no_other(quadlet: Commands) -> None:
    (quadlet.top / "empty").mkdir()
    good = quadlet.put("good.container")
    done = quadlet("install", "/nowhere/x.container", str(quadlet.top / "empty"), good, code=125)
    assert done.stdout == f"{quadlet.home}/good.container\n"
    assert 'quadlet "/nowhere/x.container" failed to install: stat' in done.stderr and "there is no file in it" in done.stderr
    assert "must provide at least one argument" in quadlet("install", code=125).stderr
    quadlet("rm", "--all")
    quadlet.put("app/a.container")
    quadlet.put("app/good.container")
    quadlet("install", good)
    assert "refusing to overwrite" in quadlet("install", str(quadlet.top / "app"), code=125).stderr
    assert quadlet.installed() == ["good.container"], "an app comes whole or not at all"


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/gone"):
            self.send_error(404)
            return
        self.send_response(200)
        if self.path == "/named":
            self.send_header("Content-Disposition", 'attachment; filename="../named.container"')
        self.send_header("Content-Length", str(len(C)))
        self.end_headers()
        self.wfile.write(C.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_from_the_web(quadlet: Commands) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        assert quadlet("install", f"{url}/x/web.container?raw=1").stdout == f"{quadlet.home}/web.container\n"
        quadlet("install", f"{url}/named")
        assert quadlet("print", "named.container").stdout == C
        assert "404" in quadlet("install", f"{url}/gone.container", code=125).stderr
        assert "is not a supported Quadlet file type" in quadlet("install", f"{url}/index.html", code=125).stderr
    finally:
        server.shutdown()
        server.server_close()
    assert quadlet.installed() == ["named.container", "web.container"]


def test_rm_of_what_is_not_there(quadlet: Commands) -> None:
    done = quadlet("rm", "gone.container", code=125)
    assert 'unable to remove Quadlet gone.container: could not locate quadlet "gone.container" in any supported' in done.stderr
    assert quadlet("rm", "--ignore", "gone.container").stdout == "gone.container\n"
    assert '".txt" is not a supported quadlet file type' in quadlet("rm", "a.txt", code=125).stderr
    assert "at least one quadlet file must be selected" in quadlet("rm", code=125).stderr
    assert quadlet("rm", "--all").stdout == ""


def test_a_mistake_is_told_by_every_command_with_its_place(quadlet: Commands) -> None:
    path = quadlet.put("web.container", C + "Imgae=x\nReadOnly=ja\n")
    told = f"{quadlet.home}/web.container:4: unsupported key 'Imgae' in group 'Container': did you mean Image?"
    for words in (("install", path), ("list",), ("print", "web.container")):
        done = quadlet(*words)
        assert told in done.stderr and "web.container:5: ReadOnly=ja: ja is no boolean" in done.stderr, words
    done = quadlet("check", code=1)
    place = f"{quadlet.home}/web.container"
    assert done.stdout.splitlines() == [
        f"{place}:4: error: unsupported key 'Imgae' in group 'Container': did you mean Image?",
        f"{place}:5: warning: ReadOnly=ja: ja is no boolean, and counts as false"]
    assert json.loads(quadlet("check", "--format", "json", "web.container", code=1).stdout)[0] == {
        "Path": f"{quadlet.home}/web.container", "Line": 4, "Level": "error",
        "Message": "unsupported key 'Imgae' in group 'Container'", "Suggestion": "Image"}
    assert told in quadlet("rm", "--all", "--ignore").stderr or quadlet.installed() == []
    assert quadlet("check").stdout == ""


@pytest.mark.parametrize(("line", "said"), [
    ("PodmanArgs=--nonsense", "PodmanArgs: unknown flag: --nonsense"), ("PublishPort=99999:1", "PublishPort: "),
    ("Volume=/a:/b:wrong", "Volume: "), ("Ulimit=nonsense", "Ulimit: "), ("Memory=%i", ""),
    ("GlobalArgs=--log-level=nonsense --frob", "GlobalArgs: unknown flag: --frob"), ("HostName=%n", ""),
])
def test_check_knows_what_podlike_will_say(quadlet: Commands, line: str, said: str) -> None:
    path = quadlet.put("q/web.container", f"{C}{line}\n")
    done = quadlet("check", path, code=1 if said else 0)
    assert f"{path}:4: warning: {said}" in done.stdout if said else not done.stdout, done.stdout


def test_check_looks_at_files_in_their_directory(quadlet: Commands) -> None:
    path = quadlet.put("q/web.container", C + "Volume=data.volume:/x\n")
    assert "q/web.container:4: error: requested Quadlet source data.volume was not found" in quadlet("check", path, code=1).stdout
    quadlet.put("q/data.volume", "[Volume]\n")
    quadlet.put("q/other.container", "[Container]\nX=y\n")
    assert quadlet("check", path).stdout == ""
    assert "other.container:2: error" in quadlet("check", str(quadlet.top / "q"), code=1).stdout
    assert "no such file" in quadlet("check", "/nowhere/a.container", code=125).stderr
    assert "not a supported" in quadlet("check", quadlet.put("x.txt"), code=125).stderr


def test_a_file_that_another_hides(quadlet: Commands) -> None:
    quadlet.put("run/containers/systemd/web.container")
    quadlet("install", quadlet.put("web.container"))
    rows = quadlet("list", "-n", "--format", "{{.Path}} {{.Status}}").stdout.splitlines()
    assert rows == [f"{quadlet.top}/run/containers/systemd/web.container Not loaded",
                    f"{quadlet.home}/web.container Hidden by {quadlet.top}/run/containers/systemd/web.container"]


def generator(quadlet: Commands) -> str:
    """The program of the installed package."""
    path = f"{os.path.dirname(quadlet.engine.bin)}/podlike-quadlet"
    need(os.access(path, os.X_OK), f"{path}: the installed program", optional=True)
    return path


def test_the_generators_state(quadlet: Commands) -> None:
    generator(quadlet)
    if quadlet("generator", "status", code=1 if not _has_generator() else 0).stdout.endswith("install\n"):
        path = quadlet("generator", "install").stdout.strip()
        assert path == str(quadlet.top / "config/systemd/user/podlike-quadlet.service")
        verify = shutil.which("systemd-analyze", path="/usr/bin:/bin")
        if verify:
            done = subprocess.run([verify, "--user", "verify", path], capture_output=True, text=True, check=False)
            assert done.returncode == 0 and "podlike" not in done.stderr, done.stderr
        assert quadlet("generator", "status").stdout == f"Services are made of Quadlets by: {path}\n"
        assert quadlet("generator", "remove").stdout.split()[-1] == path and not os.path.lexists(path)


def _has_generator() -> bool:
    return any(os.path.exists(f"{d}/podlike-user-generator") for d in (
        "/run/systemd/user-generators", "/etc/systemd/user-generators", "/usr/lib/systemd/user-generators"))


def test_systemd_verifies_the_units(quadlet: Commands) -> None:
    verify = shutil.which("systemd-analyze", path="/usr/bin:/bin")
    need(verify, "systemd-analyze, from the package systemd", optional=True)
    program = generator(quadlet)
    for name, text in (
            ("web.container",
                C + 'Exec=sh -c "echo \\"a b\\" $$HOME; exit 1" \'\' %n\nEnvironment="A=b c" D=\nNotify=healthy\nHealthCmd=true\n'
             "Volume=data.volume:/d\nPod=p.pod\nReloadSignal=HUP\n[Service]\nRestart=always\n[Install]\nWantedBy=default.target\n"),
            ("data.volume", "[Volume]\nDevice=/tmp/a b\nType=bind\nOptions=bind\n"),
            ("net.network", "[Network]\nSubnet=10.9.0.0/24\n"),
            ("p.pod", "[Pod]\nNetwork=net.network\nPublishPort=80:80\n"), ("i.image", "[Image]\nImage=quay.io/a/b\n"),
            ("b.build", "[Build]\nImageTag=a\nSetWorkingDirectory=unit\n"), ("k.kube", "[Kube]\nYaml=x.yaml\n"),
            ("a.artifact", "[Artifact]\nArtifact=quay.io/a/b\n"), ("t@.container", C + "Exec=sleep %i\n")):
        quadlet.put(f"q/{name}", text)
    out = quadlet.top / "units"
    env = {"PATH": os.environ["PATH"], "QUADLET_UNIT_DIRS": str(quadlet.top / "q"), "PODMAN": "/bin/true"}
    late = quadlet.top / "late"
    late.mkdir()
    subprocess.run([program, "-user", "-no-kmsg-log", str(out), str(late), str(late)], env=env, check=True)
    units = [str(p) for p in sorted((*out.glob("*.service"), *late.glob("*.service"))) if "@" not in p.name]
    assert len(units) == 9
    done = subprocess.run([str(verify), "--user", "--man=no", "verify", *units], capture_output=True, text=True, check=False,
                          env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(quadlet.top / "run"),
                              "SYSTEMD_UNIT_PATH": f"{out}:"})
    ours = [line for line in done.stderr.splitlines() if str(quadlet.top) in line]
    assert done.returncode == 0 and not ours, done.stderr
