"""cp and commit without containers: words, walks through trees with mounts and bad links, copies, configs."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podlike.engine.copying.transfer import parse
from podlike.engine.copying.tree import How, TreeCopy
from podlike.engine.copying.view import Place, View
from podlike.errors import NotFoundError, StoreError, UsageError
from podlike.spec.commitconfig import Request, build
from podlike.spec.container import ContainerSpec, PortMapping
from podlike.spec.runlabel import command_of, container_name, find_label


@pytest.mark.parametrize(("text", "expected"), [
    ("c:/a", ("c", "/a")), ("c:a:b", ("c", "a:b")), ("./c:/a", ("", "./c:/a")), ("/c:/a", ("", "/c:/a")), ("a", ("", "a")),
    ("c:", ("c", "")), ("-", ("", "-")), ("", ("", ""))])
def test_arguments(text: str, expected: tuple[str, str]) -> None:
    assert parse(text) == expected


# --- paths ---

class _Root(View):
    """A directory in the place of a container's root."""

    def __init__(self, root: Path, workdir: str = "/", mounts: dict[str, str] | None = None) -> None:
        class Fake:
            spec = ContainerSpec(workdir=workdir)

        self.container: Any = Fake()
        self._fds = []
        self._lock = None
        self.root = self._own(os.open(root, os.O_PATH | os.O_DIRECTORY))
        self._mounts = mounts or {}

    def __enter__(self) -> "_Root":
        return self


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/f").write_text("f")
    (root / "up").symlink_to("../../../..")
    (root / "abs").symlink_to("/a/b")
    (root / "host").symlink_to(str(tmp_path / "secret"))
    (root / "loop").symlink_to("loop")
    (root / "a/b/back").symlink_to("../f")
    (root / "nowhere").symlink_to("/a/new")
    (root / "lost").symlink_to("/none/new")
    (tmp_path / "secret").write_text("host")
    (tmp_path / "volume/sub").mkdir(parents=True)
    (tmp_path / "volume/out").symlink_to("/a")
    yield root


def found(view: View, path: str) -> Place:
    return view.find(path)


def test_paths_stay_in_the_root(tree: Path) -> None:
    with _Root(tree, workdir="/a") as view:
        assert found(view, "/up/a/f").path == "/a/f" and found(view, "../../../a/f").path == "/a/f"
        assert found(view, "/abs/back").path == "/a/f" and found(view, "b/.").path == "/a/b"
        assert found(view, "/").is_dir and found(view, "/up").path == "/"
        assert found(view, "b/../../a/./f").path == "/a/f"
        for path, why in (("/host/x", "no such file"), ("/loop", "too many levels"), ("/none/x", "no such file"),
                          ("/lost", "no such file"), ("/a/f/x", "not a directory")):
            with pytest.raises(NotFoundError, match=why):
                view.find(path)


def test_what_is_not_there_has_a_place(tree: Path) -> None:
    with _Root(tree) as view:
        place = view.find("/nowhere")
        assert (place.path, place.fd, place.name) == ("/a/new", -1, "new")
        assert view.find("/a/b/x").st is None and view.find_link("/nowhere").st is not None
        # The link's target is searched within: there is no such directory there.
        with pytest.raises(NotFoundError):
            view.find("/host")


def test_mounts_are_crossed(tree: Path, tmp_path: Path) -> None:
    with _Root(tree, mounts={"/a/b": str(tmp_path / "volume"), "/deep/er/v": str(tmp_path / "volume"),
                             "/a/f": str(tmp_path / "secret")}) as view:
        place = view.find("/abs/sub")  # the link leads into the volume
        assert place.path == "/a/b/sub" and place.st is not None
        assert place.st.st_ino == os.stat(tmp_path / "volume/sub").st_ino
        assert view.find("/a/b/../f").mount and view.find("/a/b/out/b/sub").path == "/a/b/sub"
        assert view.find("/deep/er/v/sub").is_dir and (tree / "deep/er").is_dir()
        os.lstat(tree / "a/b/back")
        with pytest.raises(FileNotFoundError):
            os.lstat(tree / "deep/er/v")


# --- trees ---

def copy(source: Path, target: Path, name: str, **how: Any) -> TreeCopy:
    made = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    fd = os.open(source, os.O_PATH)
    try:
        job = TreeCopy(made, How(lambda st: (os.getuid(), os.getgid()), to="container", **how))
        job.directory(fd, name) if source.is_dir() else job.file(fd, name)
        return job
    finally:
        os.close(fd)
        os.close(made)


def test_copies_are_faithful(tmp_path: Path) -> None:
    source = tmp_path / "s"
    (source / "d").mkdir(parents=True)
    (source / "d/f").write_bytes(b"x" * 100_000)
    os.link(source / "d/f", source / "h")
    (source / "l").symlink_to("/nowhere")
    os.mkfifo(source / "p", 0o640)
    with open(source / "holes", "wb") as f:
        f.seek(5_000_000)
        f.write(b"end")
        f.truncate(9_000_000)
    os.chmod(source / "d/f", 0o4751)
    os.setxattr(source / "d/f", "user.note", b"yes")
    os.utime(source / "d", ns=(1, 1_000_000_007))
    os.chmod(source / "d", 0o711)
    (tmp_path / "t").mkdir()
    job = copy(source, tmp_path / "t", "new")
    t = tmp_path / "t/new"
    assert job.size == 100_000 + 9_000_000 and sorted(os.listdir(t)) == ["d", "h", "holes", "l", "p"]
    assert (t / "d/f").read_bytes() == b"x" * 100_000 and os.stat(t / "h").st_ino == os.stat(t / "d/f").st_ino
    assert stat.S_IMODE(os.stat(t / "d/f").st_mode) == 0o4751 and os.getxattr(t / "d/f", "user.note") == b"yes"
    assert os.readlink(t / "l") == "/nowhere" and stat.S_IMODE(os.stat(t / "p").st_mode) == 0o640
    assert os.stat(t / "holes").st_blocks * 512 < 1_000_000 and (t / "holes").read_bytes() == (source / "holes").read_bytes()
    assert os.stat(t / "d").st_mtime_ns == 1_000_000_007 and stat.S_IMODE(os.stat(t / "d").st_mode) == 0o711


def test_contents_join_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "s/d").mkdir(parents=True)
    (tmp_path / "s/d/f").write_text("new")
    (tmp_path / "t/d").mkdir(parents=True)
    (tmp_path / "t/d/f").symlink_to("/etc/passwd")  # is replaced, never followed
    (tmp_path / "t/d/kept").write_text("kept")
    copy(tmp_path / "s", tmp_path / "t", "")
    assert (tmp_path / "t/d/f").read_text() == "new" and not (tmp_path / "t/d/f").is_symlink()
    assert (tmp_path / "t/d/kept").exists()


def test_kinds_do_not_replace_each_other(tmp_path: Path) -> None:
    (tmp_path / "s/x").mkdir(parents=True)
    (tmp_path / "s/x/y").write_text("y")
    (tmp_path / "t").mkdir()
    (tmp_path / "t/x").write_text("file")
    with pytest.raises(StoreError, match=r'copying to container: error creating "/in/x": mkdir /in/x: file exists'):
        copy(tmp_path / "s", tmp_path / "t", "", shown="/in")
    copy(tmp_path / "s", tmp_path / "t", "", overwrite=True)
    assert (tmp_path / "t/x/y").read_text() == "y"
    with pytest.raises(StoreError, match=r'error creating "/x": open /x: file exists'):
        copy(tmp_path / "s/x/y", tmp_path / "t", "x")
    copy(tmp_path / "s/x/y", tmp_path / "t", "x", overwrite=True)
    assert (tmp_path / "t/x").read_text() == "y"


def test_a_directory_into_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "s/d").mkdir(parents=True)
    (tmp_path / "s/f").write_text("f")
    copy(tmp_path / "s", tmp_path / "s", "copy")
    assert sorted(os.listdir(tmp_path / "s/copy")) == ["d", "f"]


def test_deep_trees(tmp_path: Path) -> None:
    """Deeper than Python's stack; PATH_MAX does not matter to descriptors."""
    (tmp_path / "s").mkdir()
    (tmp_path / "t").mkdir()
    at = os.open(tmp_path / "s", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d" * 10, dir_fd=at)
        below = os.open("d" * 10, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    try:
        copy(tmp_path / "s", tmp_path / "t", "c")
    except StoreError as e:
        assert os.strerror(errno.EMFILE).lower() in e.message  # a hard limit below 3000
    else:
        depth, at = 0, os.open(tmp_path / "t/c", os.O_RDONLY)
        while names := os.listdir(at):
            below = os.open(names[0], os.O_RDONLY, dir_fd=at)
            os.close(at)
            depth, at = depth + 1, below
        os.close(at)
        assert depth == 1500
    for name in "st":
        os.system(f"rm -rf '{tmp_path / name}'")


# --- commit ---

BASE: dict[str, Any] = {
    "architecture": "arm64", "os": "linux", "variant": "v8", "author": "base",
    "config": {"Env": ["PATH=/bin", "A=1"], "Cmd": ["sh"], "Entrypoint": ["/e"], "Labels": {"k": "v"}, "Volumes": {"/old": {}},
               "Healthcheck": {"Test": ["CMD", "x"]}, "StopSignal": "SIGINT"},
    "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "base"}]}


def spec(**fields: Any) -> ContainerSpec:
    return ContainerSpec(**{"command": ["run"], "env": {"PATH": "/bin", "A": "2", "container": "podman", "TERM": "xterm",
                                                        "http_proxy": "http://u:secret@p", "B": "b"},
                            "workdir": "/", "labels": {"k": "v", "l": "m"}, **fields})


def request(**fields: Any) -> Request:
    return Request("2026-01-01T00:00:00Z", "/bin/sh", **fields)


def test_config_of_a_commit() -> None:
    doc = build(BASE, spec(ports=[PortMapping(container_port=80, count=2)], expose=["53/udp"], user="me"),
                ["sha256:1", "sha256:2"], request(volumes=["/new"], comment="FROM base"))
    run = doc["config"]
    assert run["Env"] == ["PATH=/bin", "A=2", "B=b"]  # nothing of ours, no proxies
    assert run["Cmd"] == ["run"] and run["Entrypoint"] == ["/e"] and run["User"] == "me"
    assert list(run["ExposedPorts"]) == ["80/tcp", "81/tcp", "53/udp"] and run["Labels"] == {"k": "v", "l": "m"}
    assert run["Volumes"] == {"/old": {}, "/new": {}} and run["Healthcheck"] and run["StopSignal"] == "SIGINT"
    assert "WorkingDir" not in run and (doc["architecture"], doc["variant"], doc["author"]) == ("arm64", "v8", "base")
    assert doc["history"] == [*BASE["history"], {"created": "2026-01-01T00:00:00Z", "created_by": "/bin/sh", "author": "base",
                                                 "comment": "FROM base"}]
    assert list(doc)[:3] == ["created", "author", "architecture"] and doc["rootfs"]["diff_ids"] == ["sha256:1", "sha256:2"]


def test_config_in_dockers_format() -> None:
    doc = build(BASE, spec(), ["sha256:1"], request(docker_format=True, message="why", container="c" * 64, squash=True,
                                                  changes=["ENTRYPOINT [\"/new\"]", "ENV C=3", "EXPOSE 1"]))
    assert doc["comment"] == "why" and doc["container"] == "c" * 64 and len(doc["history"]) == 1
    assert doc["history"][0]["comment"] == "why"
    assert doc["config"]["Entrypoint"] == ["/new"] and doc["config"]["Cmd"] is None and doc["config"]["Env"][-1] == "C=3"
    assert doc["container_config"]["Cmd"] == ["run"] and "ExposedPorts" not in doc["container_config"]
    assert doc["config"]["Hostname"] == "" and doc["config"]["OpenStdin"] is False and doc["config"]["OnBuild"] == []
    both = build(BASE, spec(), [], request(changes=["CMD=[\"x\"]", "ENTRYPOINT=/y"]))["config"]
    assert both["Cmd"] == ["x"] and both["Entrypoint"] == ["/bin/sh", "-c", "/y"]


def test_config_from_a_file() -> None:
    override = '{"env": ["A=3"], "Labels": {"n": "o"}, "entrypoint": ["/f"], "User": "", "Unknown": 1, "Cmd": null}'
    run = build(BASE, spec(user="me"), [], request(override=override))["config"]
    assert run["Env"] == ["PATH=/bin", "A=3", "B=b"] and run["Labels"] == {"k": "v", "l": "m", "n": "o"}
    assert run["Entrypoint"] == ["/f"] and run["User"] == "me"
    for bad, why in (("[1]", "no JSON object"), ("{", "no JSON"), ('{"Env": "A=1"}', "Env must be a list of texts"),
                     ('{"StopTimeout": true}', "StopTimeout must be a number"), ("[" * 100_000, "no JSON")):
        with pytest.raises(UsageError, match=why):
            build(BASE, spec(), [], request(override=bad))


def test_commands_of_labels() -> None:
    label = "docker run --name ${NAME} -e NAME=NAME -v /:/x IMAGE $OPT1 $HOME/x ${GONE} sh -c 'echo $PWD'"
    done = command_of(label, image="i:1", name="n", more=["more"], variables={"HOME": "/h", "PWD": "/p", "OPT1": "", "OPT2": ""})
    assert done.program == "" and done.args == ["run", "--name", "n", "-e", "NAME=n", "-v", "/:/x", "i:1", "/h/x", "sh", "-c",
                                                "echo", "/p", "more"]
    assert command_of("/bin/x NAME", image="i", name="n", more=[], variables={}) == ("/bin/x", ["n"])
    assert find_label({"Install": "x"}, "INSTALL") == "x" and find_label({}, "x") == ""
    assert container_name("", image_id="abc", image_name="q.io/a/b:1", typed="ab") == "b"
    assert container_name("", image_id="abc", image_name="q.io/a/b:1", typed="short:2") == "short"
    with pytest.raises(UsageError, match="No closing quotation"):
        command_of("podman 'x", image="i", name="n", more=[], variables={})
    with pytest.raises(UsageError, match="holds no command"):
        command_of(" ", image="i", name="n", more=[], variables={})
