"""spec.resolve: what the image and the configuration add to the command line."""

from typing import Any

import pytest

from podlike.errors import CommandNotFoundError, PodlikeError, UsageError
from podlike.spec.container import ContainerSpec, Mount
from podlike.spec.resolve import Defaults, clean, default_hostname, resolve, uses_systemd

IMAGE: dict[str, Any] = {
    "architecture": "amd64",
    "config": {
        "Env": ["PATH=/opt/bin:/bin", "LANG=C", "EMPTY="],
        "Entrypoint": ["/entry"],
        "Cmd": ["a", "b"],
        "User": "web",
        "WorkingDir": "/srv",
        "StopSignal": "SIGQUIT",
        "Labels": {"x": "image", "y": "image"},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Volumes": {"/data/": {}, "/logs": {}},
    },
}


NOTHING = Defaults()


def done(config: Any = IMAGE, defaults: Defaults = NOTHING, host_env: dict[str, str] | None = None,
         **spec: Any) -> ContainerSpec:
    return resolve(ContainerSpec(**spec), config, defaults, name="n", cid="f" * 64, host_env=host_env or {})


@pytest.mark.parametrize(("spec", "args"), [
    ({}, ["/entry", "a", "b"]),
    ({"command": ["c"]}, ["/entry", "c"]),
    ({"entrypoint": ["/mine"]}, ["/mine"]),  # the image's command was meant for the image's entrypoint
    ({"entrypoint": ["/mine", "-x"], "command": ["c"]}, ["/mine", "-x", "c"]),
    ({"entrypoint": [""], "command": ["c"]}, ["c"]),  # --entrypoint ""
    ({"entrypoint": [], "command": ["c"]}, ["c"]),  # --entrypoint "" and '[]', as the command line gives them
    ({"init": True}, ["/run/podman-init", "--", "/entry", "a", "b"]),
])
def test_args(spec: dict[str, Any], args: list[str]) -> None:
    assert done(**spec).args == args


@pytest.mark.parametrize(("image", "spec"), [(None, {}), ({}, {}), ({"config": {"Cmd": None}}, {}),
                                             (IMAGE, {"entrypoint": [""]}), (IMAGE, {"entrypoint": []})])
def test_nothing_to_run(image: Any, spec: dict[str, Any]) -> None:
    with pytest.raises(PodlikeError) as e:
        done(image, **spec)
    assert e.value.message == "no command or entrypoint provided, and no CMD or ENTRYPOINT from image"
    assert e.value.exit_code == 125


def test_env_precedence() -> None:
    out = done(defaults=Defaults(env=["LANG=conf", "CONF=1"]), env={"EMPTY": "no"},
               host_env={"http_proxy": "http://p", "SECRET": "x"}).env
    assert out == {"PATH": "/opt/bin:/bin", "container": "podman", "LANG": "C", "CONF": "1", "EMPTY": "no",
                   "http_proxy": "http://p"}
    assert "http_proxy" not in done(host_env={"http_proxy": "p"}, http_proxy=False).env
    assert done(host_env={"http_proxy": "p"}, env={"http_proxy": "mine"}).env["http_proxy"] == "mine"
    assert done(host_env={"LANG": "host", "SECRET": "x"}, env_host=True).env["SECRET"] == "x"
    plain = done({}, command=["x"]).env
    assert plain == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "container": "podman",
    }


def test_term_only_with_a_terminal() -> None:
    assert "TERM" not in done().env
    assert done(terminal=True).env["TERM"] == "xterm"
    assert done({"config": {"Cmd": ["x"], "Env": ["TERM=vt100"]}}, terminal=True).env["TERM"] == "vt100"


def test_the_rest_of_the_image() -> None:
    out = done(labels={"x": "mine"}, expose=["8080"])
    assert (out.user, out.workdir, out.stop_signal, out.name) == ("web", "/srv", "SIGQUIT", "n")
    assert out.labels == {"x": "mine", "y": "image"}
    assert out.expose == ["8080/tcp", "80/tcp", "53/udp"]
    assert out.image_volumes == ["/data", "/logs"]
    mounted = done(mounts=[Mount(type="bind", source="/x", target="/data")], tmpfs={"/logs/": ""})
    assert mounted.image_volumes == []
    mine = done(user="0", workdir="/w", stop_signal="2")
    assert (mine.user, mine.workdir, mine.stop_signal) == ("0", "/w", "SIGINT")
    assert done({"config": {"Cmd": ["x"], "WorkingDir": "app"}}).workdir == "/app"


def test_the_asked_spec_is_left_alone() -> None:
    spec = ContainerSpec(env={"A": "1"}, labels={"l": "1"})
    resolve(spec, IMAGE, name="n", cid="f" * 64, host_env={})
    assert spec == ContainerSpec(env={"A": "1"}, labels={"l": "1"})


def test_a_resolved_spec_survives_the_database() -> None:
    out = done(init=True)
    assert ContainerSpec.from_dict(out.to_dict()) == out


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        {
            "Env": {"a": 1},
            "Labels": [],
            "Volumes": ["/x"],
            "Cmd": "sh",
            "ExposedPorts": 80,
            "User": 5,
            "WorkingDir": None,
            "StopSignal": 9,
        },
    ],
)
def test_hostile_image_config(config: Any) -> None:
    assert done(config, command=["x"]).args == ["x"]
    out = done({"config": config}, command=["x"] if not isinstance(config, dict) else [])
    assert out.labels == {} and out.image_volumes == [] and out.user == "" and out.workdir == "/"


def test_bad_stop_signal_of_image() -> None:
    with pytest.raises(UsageError, match="invalid signal: WHAT"):
        done({"config": {"Cmd": ["x"], "StopSignal": "WHAT"}})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"hostname": "h", "uts_ns": "host"},
            "cannot set hostname when running in the host UTS namespace: invalid configuration",
        ),
        ({"shm_size": 5, "ipc_ns": "host"}, "cannot set shmsize when running in the host IPC Namespace"),
        ({"shm_size": 5, "ipc_ns": "none"}, "cannot set shmsize when running in the none IPC Namespace"),
        ({"init": True, "pid_ns": "host"}, "cannot add init binary as PID 1 (PID namespace isn't private)"),
        ({"init": True, "systemd": "always"}, "cannot use container-init binary with systemd=always"),
        (
            {"systemd": "maybe"},
            '--systemd values must be one of "true, false, always": invalid configuration',
        ),
        ({"pid_ns": "container:"}, "namespace mode container requires a value"),
        ({"uts_ns": "ns"}, "namespace mode ns requires a value"),
        ({"pid_ns": "weird"}, "invalid namespace type weird specified for --pid"),
        ({"pid_ns": "host:1"}, "namespace value 1 cannot be provided with namespace mode host"),
        ({"cpus": 1, "cpu_period": 1000}, "--cpus and --cpu-period cannot be set together"),
        (
            {"memory": 10, "memory_swap": 5},
            "minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        ({"memory_swap": 5}, "you should always set a memory limit when using a memoryswap limit, see usage"),
        (
            {"memory": 5, "memory_reservation": 6},
            "minimum memory limit cannot be less than memory reservation limit, see usage",
        ),
        (
            {"image": "i", "rootfs": "/r"},
            "both image and rootfs cannot be simultaneously: invalid configuration",
        ),
        (
            {"network": "container:x", "add_hosts": ["a:1.1.1.1"]},
            "cannot set extra host entries when the container is joined to another containers network "
            "namespace: invalid configuration",
        ),
        ({"workdir": "rel"}, "the working directory 'rel' is invalid, it needs to be an absolute path"),
    ],
)
def test_contradictions_in_podmans_words(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as e:
        done(**spec)
    assert e.value.message == message


@pytest.mark.parametrize(("spec", "expected"), [
    ({"args": ["/sbin/init"]}, True), ({"args": ["/lib/systemd/systemd"]}, True), ({"args": ["bash"]}, False),
    ({"args": ["/bin/sh", "-c", "/sbin/init"]}, True), ({"args": ["/sbin/init"], "systemd": "false"}, False),
    ({"args": ["bash"], "systemd": "always"}, True), ({"args": []}, False),
])
def test_systemd(spec: dict[str, Any], expected: bool) -> None:
    assert uses_systemd(ContainerSpec(**spec)) is expected


def test_systemd_stops_with_its_own_signal() -> None:
    assert done({"config": {"Cmd": ["/sbin/init"]}}).stop_signal == "SIGRTMIN+3"
    assert done({"config": {"Cmd": ["x"]}}).stop_signal == "SIGTERM"


def test_hostname() -> None:
    cid = "0123456789abcdef" * 4
    for spec, expected in (
        ({}, "0123456789ab"),
        ({"network": "host"}, "vm"),
        ({"uts_ns": "host"}, "vm"),
        ({"hostname": "h", "network": "host"}, "h"),
        ({"network": "none"}, "0123456789ab"),
    ):
        assert default_hostname(ContainerSpec(**spec), cid, host="vm") == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "expected"), [("/", "/"), ("/a//b/./c/", "/a/b/c"), ("/a/../../b", "/b"), ("", "/")]
)
def test_clean(path: str, expected: str) -> None:
    assert clean(path) == expected


def test_unset_environment_takes_defaults_only() -> None:
    spec: dict[str, Any] = {"unset_env": ["LANG", "PATH", "MINE", "NOSUCH"], "env": {"MINE": "1"}}
    assert done(**spec).env == {"container": "podman", "EMPTY": "", "MINE": "1"}
    assert done(unset_env_all=True, env={"TERM": "abc"}, terminal=True).env == {"TERM": "abc"}
    proxied = done(unset_env_all=True, host_env={"http_proxy": "p"})
    assert proxied.env == {"http_proxy": "p"}


def test_a_rootfs_without_a_command_is_a_command_not_found() -> None:
    with pytest.raises(CommandNotFoundError) as e:
        done(None, rootfs="/r")
    assert e.value.exit_code == 127
    with pytest.raises(PodlikeError) as other:
        done(None, image="i")
    assert other.value.exit_code == 125
