"""The command line of run and create becomes a ContainerSpec."""

import os
from pathlib import Path

import pytest

from podlike.cli.app import find_command, read_level
from podlike.cli.command import Call, Command
from podlike.cli.fillspec import fill_spec, is_address, parse_entrypoint, platform_of, pull_policy
from podlike.cli.options import CREATE_ONLY, CREATE_TABLE, RUN_TABLE
from podlike.cli.run import make_attach
from podlike.cli.session import Session
from podlike.errors import UsageError
from podlike.spec.container import ContainerSpec, Mount, PortMapping


def call_of(*args: str, command: str = "run") -> Call:
    session = Session("podlike")
    read_level(session, "", "podlike", [command, *args])
    found = find_command("", command)
    assert isinstance(found, Command)
    call = found.read(session, "podlike run", list(args))
    assert call is not None
    return call


def spec_of(*args: str) -> ContainerSpec:
    return fill_spec(call_of(*args), RUN_TABLE)


def test_plain_run_asks_for_nothing() -> None:
    spec = spec_of("alpine", "sh", "-c", "echo --rm")
    spec.create_command = []
    assert spec == ContainerSpec(image="alpine", command=["sh", "-c", "echo --rm"])


def test_table_rows_are_sound() -> None:
    fields = set(ContainerSpec.__dataclass_fields__)
    for name, short, kind, _, how, text in CREATE_TABLE + RUN_TABLE + CREATE_ONLY:
        assert len(short) <= 1 and text
        assert kind in ("bool", "string", "int", "uint", "float", "array", "strings", "uints", "duration")
        assert how in ("*", "-", "!") or how in fields, name


@pytest.mark.parametrize(("args", "field", "value"), [
    (["--rm"], "remove", True),
    (["-it"], "terminal", True),
    (["-i"], "stdin_open", True),
    (["--name", "/web"], "name", "web"),
    (["-h", "box"], "hostname", "box"),
    (["-e", "A=1", "-e", "B="], "env", {"A": "1", "B": ""}),
    (["-l", 'true="false"', "--label", "x"], "labels", {"true": '"false"', "x": ""}),
    (["--annotation", "a=b=c"], "annotations", {"a": "b=c"}),
    (["-w", "/srv"], "workdir", "/srv"),
    (["-u", "1000:100"], "user", "1000:100"),
    (["--entrypoint", '["a", "b c"]'], "entrypoint", ["a", "b c"]),
    (["--entrypoint", ""], "entrypoint", []),
    (["--entrypoint=/bin/sh"], "entrypoint", ["/bin/sh"]),
    (["-m", "64m"], "memory", 64 << 20),
    (["--memory-swap=-1"], "memory_swap", -1),
    (["--cpus", "1.5"], "cpus", 1.5),
    (["-c", "512"], "cpu_shares", 512),
    (["--pids-limit=0"], "pids_limit", 0),
    (["--shm-size", "1g"], "shm_size", 1 << 30),
    (["--cap-add", "net_admin,SYS_TIME", "--cap-add=ALL"], "cap_add", ["net_admin", "SYS_TIME", "ALL"]),
    (["--security-opt", "no-new-privileges"], "no_new_privileges", True),
    (["--security-opt", "no-new-privileges:false"], "no_new_privileges", False),
    (["--security-opt=seccomp=unconfined"], "seccomp_profile", "unconfined"),
    (["--security-opt", "unmask=/proc/a:/proc/b"], "unmasked_paths", ["/proc/a", "/proc/b"]),
    (["--security-opt", "unmask=all"], "unmasked_paths", ["ALL"]),
    (["--security-opt", "mask=/proc/a"], "masked_paths", ["/proc/a"]),
    (["--security-opt", "label=disable"], "masked_paths", []),
    (["--security-opt", "systempaths=unconfined"], "unmasked_paths", ["ALL"]),
    (["--device", "/dev/fuse:/dev/x:rw"], "devices", ["/dev/fuse:/dev/x:rw"]),
    (["--ulimit", "nofile=10:20"], "ulimits", ["nofile=10:20"]),
    (["--sysctl", "net.core.somaxconn=9"], "sysctls", {"net.core.somaxconn": "9"}),
    (["--oom-score-adj=-5"], "oom_score_adj", -5),
    (["--pid", "host"], "pid_ns", "host"),
    (["--userns=keep-id"], "user_ns", "keep-id"),
    (["-v", "/a:/b:ro"], "mounts", [Mount(type="bind", source="/a", target="/b", options=["ro"])]),
    (["--mount", "type=tmpfs,dst=/t"], "mounts", [Mount(type="tmpfs", target="/t")]),
    (["--tmpfs", "/t:size=1m"], "tmpfs", {"/t": "size=1m"}),
    (["--net=host"], "network", "host"),
    (["--network", "default"], "network", ""),
    (["-p", "80:8080,81:8081"], "ports", [PortMapping(host_port=80, container_port=8080),
                                          PortMapping(host_port=81, container_port=8081)]),
    (["--expose", "53/udp"], "expose", ["53/udp"]),
    (["-P"], "publish_all", True),
    (["--add-host", "a:1.2.3.4", "--add-host=b:::1"], "add_hosts", ["a:1.2.3.4", "b:::1"]),
    (["--add-host", "gw:host-gateway"], "add_hosts", ["gw:host-gateway"]),
    (["--dns", "1.1.1.1"], "dns", ["1.1.1.1"]),
    (["--dns-opt", "ndots:1"], "dns_option", ["ndots:1"]),
    (["--restart", "on-failure:3"], "restart_policy", "on-failure:3"),
    (["--restart=never"], "restart_policy", "no"),
    (["--log-driver=none"], "log_driver", "none"),
    (["--log-opt", "max-size=10m", "--log-opt", "tag=x"], "log_options", {"max-size": "10m", "tag": "x"}),
    (["--umask", "077"], "umask", "077"),
    (["--stop-timeout", "0"], "stop_timeout", 0),
    (["--group-add", "1,wheel"], "groups", ["1", "wheel"]),
    (["--tz=local"], "timezone", "local"),
    (["--read-only", "--read-only-tmpfs=false"], "read_only_tmpfs", False),
    (["--http-proxy=false"], "http_proxy", False),
    (["--preserve-fds", "2"], "preserve_fds", 2),
    (["--systemd", "Always"], "systemd", "always"),
    (["--cgroups=disabled"], "cgroups", "disabled"),
    (["--timeout", "5"], "timeout", 5),
])
def test_flag_becomes_field(args: list[str], field: str, value: object) -> None:
    assert getattr(spec_of(*args, "img"), field) == value


@pytest.mark.parametrize(("args", "words"), [
    (["--cpu-period=1", "--cpus=2"], "--cpu-period and --cpus cannot be set together"),
    (["--cpus=2", "--cpu-quota=1"], "--cpu-quota and --cpus cannot be set together"),
    (["--no-hosts", "--add-host=foo:1.1.1.1"], "--no-hosts and --add-host cannot be set together"),
    (["--platform=foo", "--arch=bar"], "--platform option can not be specified with --arch or --os"),
    (["--replace"], "cannot replace container without --name being set"),
    (["--rm", "--restart=always"], "the --rm option conflicts with --restart"),
    (["--group-add", "keep-groups,1"], "keep-groups' option is not allowed with any other"),
    (["--memory", "lots"], "invalid value for memory: invalid size"),
    (["--shm-size", "x"], "unable to translate --shm-size"),
    (["-w", "rel"], "needs to be an absolute path"),
    (["--umask", "999"], "invalid umask"),
    (["--security-opt", "bogus"], "invalid --security-opt 1"),
    (["--security-opt", "foo=bar"], "invalid --security-opt 2"),
    (["--security-opt", "label=type:x"], "--security-opt label=type:x is not supported"),
    (["--sysctl", "nokey"], 'invalid sysctl value "nokey"'),
    (["--annotation", "x"], "annotations must be formatted KEY=VALUE"),
    (["--restart", "sometimes"], 'restart policy "sometimes" is not valid'),
    (["--restart", "always:3"], "only on-failure takes a number"),
    (["--log-driver=InvalidDriver"], "running container create option: invalid log driver: invalid argument"),
    (["--log-opt", "x"], 'invalid log option "x"'),
    (["--device", "/a:/b:/c:/d"], "invalid device specification"),
    (["--device", "/a:/b:q"], "invalid device mode: q"),
    (["--dns", "localhost"], "localhost is not an ip address"),
    (["--dns", "1.1.1.1", "--network=none"], "conflicting options: dns and the network mode: none"),
    (["--add-host", "x"], "invalid host entry"),
    (["--add-host", "x:y"], "invalid IP address in add-host"),
    (["--oom-score-adj", "2000"], "between -1000 and 1000"),
    (["--authfile", "/nonexistent"], "credential file is not accessible: faccessat /nonexistent: no such file or directory"),
    (["--cgroups", "x"], "invalid cgroup mode"),
    (["--sdnotify", "x"], "invalid sdnotify value"),
    (["-v", "/a:/x", "--tmpfs", "/x"], "/x: duplicate mount destination"),
    (["--network=a", "--network=b"], "not supported"),
    (["--cpus=-1"], "must not be negative"),
])
def test_refused(args: list[str], words: str) -> None:
    with pytest.raises(UsageError) as e:
        spec_of(*args, "img")
    assert words in e.value.message
    assert e.value.exit_code == 125


@pytest.mark.parametrize("row", [r for r in CREATE_TABLE + RUN_TABLE if r[4] == "!"], ids=lambda r: str(r[0]))
def test_what_cannot_be_done_is_said(row: tuple[str, str, str, object, str, str]) -> None:
    value = {"bool": [], "int": ["1"], "uint": ["1"], "uints": ["3"]}.get(row[2], ["x"])
    with pytest.raises(UsageError, match=f"--{row[0]} is not supported by this version of podlike"):
        spec_of(f"--{row[0]}", *value, "img")


def test_relative_paths_are_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = spec_of("-v", "./data:/data", "--cidfile", "cid", "--pidfile=p", "--rootfs", "tree", "true")
    assert spec.mounts[0].source == f"{tmp_path}/data"
    assert (spec.cidfile, spec.pidfile, spec.rootfs) == (f"{tmp_path}/cid", f"{tmp_path}/p", f"{tmp_path}/tree")
    assert (spec.image, spec.command) == ("", ["true"])


def test_environment_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"PREFIX_A": "1", "ONE": "x"})
    assert spec_of("-e", "PREFIX_*", "-e", "ONE", "-e", "UNSET", "img").env == {"PREFIX_A": "1", "ONE": "x"}
    monkeypatch.setattr(os, "environ", {"PODMAN_USERNS": "keep-id"})
    assert spec_of("img").user_ns == "keep-id"


def test_ports_are_dropped_with_the_hosts_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert spec_of("--network=host", "-p", "80", "img").ports == []
    assert capsys.readouterr().err == ('Port mappings have been discarded because "host" network namespace mode does not '
                                       "support them\n")


def test_attach_streams() -> None:
    def attach(*args: str) -> tuple[bool, bool, bool, bool, bool]:
        call = call_of(*args, "img")
        a = make_attach(call, fill_spec(call, RUN_TABLE))
        return a.stdin, a.stdout, a.stderr, a.tty, a.sig_proxy

    assert attach() == (False, True, True, False, True)
    assert attach("-it") == (True, True, True, True, True)
    assert attach("-a", "stdout") == (False, True, False, False, True)
    assert attach("-a", "stdin,STDERR", "--sig-proxy=false") == (True, False, True, False, False)
    with pytest.raises(UsageError, match='invalid stream "bogus" for --attach'):
        attach("-a", "bogus")
    with pytest.raises(UsageError, match="invalid detach keys"):
        attach("--detach-keys", "ctrl-")


def test_small_parsers() -> None:
    assert parse_entrypoint("[not json") == ["[not json"]
    assert pull_policy(call_of("--pull=Always", "img")) == "always"
    with pytest.raises(UsageError, match='unsupported pull policy "bogus"'):
        pull_policy(call_of("--pull=bogus", "img"))
    assert platform_of(call_of("img")) == ""
    assert platform_of(call_of("--platform=linux/arm64", "img")) == "linux/arm64"
    assert platform_of(call_of("--arch", "arm", "--variant", "v7", "img")) == "linux/arm/v7"
    assert is_address("::1") and is_address("10.0.0.1") and not is_address("10.0.0") and not is_address("a\0b")


def test_create_takes_the_same_flags_as_run() -> None:
    names = {}
    for name in ("run", "create"):
        command = find_command("", name)
        assert isinstance(command, Command)
        names[name] = {f.name for f in command.flags}
    assert names["run"] - names["create"] == {"detach", "detach-keys", "sig-proxy", "rmi", "preserve-fds", "preserve-fd"}
    assert names["create"] - names["run"] == {"init-ctr"}


def test_given_defaults_beat_the_configuration() -> None:
    from podlike.config import Config
    from podlike.engine.defaults import apply_config

    config = Config()
    config.containers.read_only, config.containers.umask, config.engine.stop_timeout = True, "0077", 3
    silent, given = spec_of("img"), spec_of("--read-only=false", "--umask", "0022", "--stop-timeout=10", "img")
    assert silent.given == []
    for spec in (silent, given):
        apply_config(spec, config)
    assert (silent.read_only, silent.umask, silent.stop_timeout) == (True, "0077", 3)
    assert (given.read_only, given.umask, given.stop_timeout) == (False, "0022", 10)
    assert spec_of("--read-only", "img").given == []  # says something else than the default: needs no mark


@pytest.mark.parametrize(("words", "driver"), [
    ((), "journald"), (("--log-driver", "none"), "none"), (("--log-driver", "k8s-file"), "k8s-file"),
    (("--log-opt", "max-size=1m"), "k8s-file"),
])
def test_what_a_unit_starts_logs_to_the_journal(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], driver: str) -> None:
    from podlike.config import Config
    from podlike.engine import defaults

    monkeypatch.setattr("os.path.exists", lambda path: path == "/run/systemd/journal/socket")
    for unit in ("", "web.service"):
        monkeypatch.delenv("PODMAN_SYSTEMD_UNIT", raising=False)
        if unit:
            monkeypatch.setenv("PODMAN_SYSTEMD_UNIT", unit)
        spec = spec_of(*words, "img")
        defaults.apply_config(spec, Config())
        assert spec.log_driver == (driver if unit or driver == "none" else "k8s-file")


@pytest.mark.parametrize("mode", ["none", "container:abc"])
def test_discarded_ports_are_said_in_bare_words(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert spec_of(f"--net={mode}", "-p", "8080", "img").ports == []
    assert capsys.readouterr().err.startswith(f'Port mappings have been discarded because "{mode.partition(":")[0]}" ')


def test_kernel_memory_is_ignored_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    spec_of("--kernel-memory", "100", "img")
    assert "The --kernel-memory flag is no longer supported. This flag is a noop." in capsys.readouterr().err
    spec_of("img")
    assert capsys.readouterr().err == ""


def test_device_cgroup_rules_need_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError) as e:
        spec_of("--device-cgroup-rule", "b 7:* rmw", "img")
    assert e.value.message == "device cgroup rules are not supported in rootless mode or in a user namespace"
    assert e.value.hint is None


def test_bad_ulimits_are_refused_before_anything_is_made() -> None:
    with pytest.raises(UsageError, match="failed to be parsed"):
        spec_of("--ulimit", "core=-1:1000", "img")
    assert spec_of("--ulimit", "host", "--ulimit", "core=-1:-1", "img").ulimits == ["host", "core=-1:-1"]
