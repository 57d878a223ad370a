"""Choosing a driver, its options and its command line; no helper is started."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from podlike import procs
from podlike.config import Config
from podlike.errors import NetworkError
from podlike.net import driver, helper, pasta, slirp4netns
from podlike.net.driver import parse_network, prepare
from podlike.net.plan import NetworkPlan
from podlike.spec.container import ContainerSpec, PortMapping

Programs = Callable[..., Path]
ALL_SLIRP = frozenset(slirp4netns.SWITCHES)
ALL_PASTA = frozenset(pasta.SWITCHES)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A directory that is the only place where helpers are found."""
    monkeypatch.setattr("podlike.paths.HELPER_DIRS", ())
    monkeypatch.setenv("PATH", str(tmp_path))

    def install(*names: str) -> Path:
        for name in names:
            (tmp_path / name).write_text("#!/bin/sh\n")
            (tmp_path / name).chmod(0o755)
        return tmp_path

    return install


@pytest.fixture
def config() -> Config:
    c = Config()
    c.engine.helper_binaries_dir = ()
    return c


@pytest.mark.parametrize(
    ("text", "kind", "argument"),
    [
        ("", "default", ""),
        ("private", "default", ""),
        ("default", "default", ""),
        ("host", "host", ""),
        ("none", "none", ""),
        ("slirp4netns", "slirp4netns", ""),
        ("slirp4netns:mtu=1500,cidr=10.1.0.0/24", "slirp4netns", "mtu=1500,cidr=10.1.0.0/24"),
        ("pasta:-t,8080:80", "pasta", "-t,8080:80"),
        ("container:web", "join", "container:web"),
        ("ns:/run/netns/x", "join", "ns:/run/netns/x"),
    ],
)
def test_parse_network(text: str, kind: str, argument: str) -> None:
    assert parse_network(text) == (kind, argument)


@pytest.mark.parametrize(
    "text", ["mynet", "host:x", "none:x", "bridge:ip=1.2.3.4", "private:x", "podman:alias=x"]
)
def test_named_networks_are_refused_in_words(text: str) -> None:
    with pytest.raises(NetworkError, match="unable to find network with name or ID .*: network not found") as e:
        parse_network(text)
    assert e.value.hint and "slirp4netns" in e.value.hint


@pytest.mark.parametrize("text", ["container:", "ns:", "ns:relative", "slirp4netns:"])
def test_incomplete_networks_are_refused(text: str) -> None:
    with pytest.raises(NetworkError) as e:
        parse_network(text)
    assert e.value.hint


def test_the_default_helper_and_how_to_change_it(programs: Programs, config: Config) -> None:
    programs("slirp4netns", "pasta")
    assert prepare(ContainerSpec(), config).kind == "slirp4netns"
    config.network.default_rootless_network_cmd = "pasta"
    assert prepare(ContainerSpec(), config).kind == "pasta"
    config.containers.netns = "host"
    assert prepare(ContainerSpec(), config).kind == "host"
    assert prepare(ContainerSpec(network="private"), config).kind == "pasta"
    config.network.default_rootless_network_cmd = "vpnkit"
    with pytest.raises(NetworkError, match="default_rootless_network_cmd is 'vpnkit'"):
        prepare(ContainerSpec(network="private"), config)


def test_a_missing_default_gives_way_but_a_named_one_does_not(programs: Programs, config: Config) -> None:
    where = programs("pasta")
    plan = prepare(ContainerSpec(), config)
    assert (plan.kind, plan.program) == ("pasta", f"{where}/pasta")
    with pytest.raises(NetworkError, match="set up the network: slirp4netns is not installed") as e:
        prepare(ContainerSpec(network="slirp4netns"), config)
    assert e.value.hint and "package slirp4netns" in e.value.hint


def test_no_helper_at_all(programs: Programs, config: Config) -> None:
    with pytest.raises(NetworkError, match="slirp4netns is not installed") as e:
        prepare(ContainerSpec(), config)
    assert e.value.hint and "Install" in e.value.hint
    with pytest.raises(NetworkError, match="pasta is not installed") as e:
        prepare(ContainerSpec(network="pasta"), config)
    assert e.value.hint and "passt" in e.value.hint
    assert prepare(ContainerSpec(network="host"), config).needs_netns is False
    assert prepare(ContainerSpec(network="none"), config).needs_netns is True


def test_helper_directories_of_the_configuration_come_first(programs: Programs, config: Config, tmp_path: Path) -> None:
    programs("slirp4netns")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "slirp4netns").write_text("")
    (mine / "slirp4netns").chmod(0o755)
    config.engine.helper_binaries_dir = (str(mine),)
    assert prepare(ContainerSpec(), config).program == f"{mine}/slirp4netns"


@pytest.mark.parametrize("network", ["host", "none", "container:x", "ns:/x"])
def test_ports_of_a_container_without_its_own_network_are_ignored_aloud(network: str, config: Config) -> None:
    plan = prepare(ContainerSpec(network=network, ports=[PortMapping(container_port=80)]), config)
    assert plan.ports == []
    assert "published ports are ignored" in plan.warnings[0]


def test_default_host_ips(programs: Programs, config: Config) -> None:
    programs("slirp4netns")
    config.network.default_host_ips = ("127.0.0.1", "127.0.0.2")
    asked = [
        PortMapping(container_port=80, host_port=8080),
        PortMapping(container_port=81, host_ip="127.0.0.9"),
    ]
    plan = prepare(ContainerSpec(ports=asked), config)
    assert [p.host_ip for p in plan.ports] == ["127.0.0.1", "127.0.0.2", "127.0.0.9"]


def test_slirp_cannot_publish_on_ipv6(programs: Programs, config: Config) -> None:
    programs("slirp4netns")
    asked = [PortMapping(container_port=80, host_port=8080, host_ip="::1")]
    with pytest.raises(
        NetworkError, match=r"publish port \[::1\]:8080/tcp: slirp4netns forwards from IPv4 only"
    ):
        prepare(ContainerSpec(ports=asked), config)


def test_slirp_and_udp_clients_on_loopback(programs: Programs, config: Config) -> None:
    """What libslirp cannot answer is refused or told; tests/integration shows that it really cannot."""
    programs("slirp4netns")

    def made(ip: str, network: str = "slirp4netns") -> NetworkPlan:
        asked = [PortMapping(container_port=53, host_port=5353, host_ip=ip, protocol="udp")]
        return prepare(ContainerSpec(ports=asked, network=network), config)

    assert "but those that use 127.0.0.1" in made("").warnings[0]
    with pytest.raises(NetworkError, match="drops UDP answers") as e:
        made("127.0.0.1")
    assert e.value.hint and "allow_host_loopback=true" in e.value.hint
    assert made("127.0.0.1", "slirp4netns:allow_host_loopback=true").warnings == []


def test_slirp_options_of_the_command_line_win_over_the_configuration(programs: Programs, config: Config) -> None:
    programs("slirp4netns")
    config.engine.network_cmd_options = ("mtu=1500", "enable_ipv6=false")
    o = prepare(ContainerSpec(network="slirp4netns:mtu=9000,allow_host_loopback=true"), config).slirp
    assert (o.mtu, o.enable_ipv6, o.allow_host_loopback) == (9000, False, True)


@pytest.mark.parametrize(
    "word",
    [
        "mtu",
        "mtu=",
        "mtu=67",
        "mtu=65522",
        "mtu=x",
        "enable_ipv6=yes",
        "allow_host_loopback=1",
        "cidr=10.0.0.0",
        "cidr=10.0.0.0/26",
        "cidr=fd00::/64",
        "cidr=10.0.0.0/0",
        "cidr=10.0.0.0/٣",
        "outbound_addr=::1",
        "outbound_addr=nosuchif0",
        "outbound_addr=",
        "outbound_addr6=1.2.3.4",
        "port_handler=x",
        "nosuch=1",
        "mtu=٦٨٠",
    ],
)
def test_bad_slirp_options(word: str) -> None:
    with pytest.raises(NetworkError) as e:
        slirp4netns.parse_options([word])
    assert e.value.message.startswith(f"read slirp4netns option {word!r}: ") and e.value.hint


def test_outbound_addr6_needs_ipv6() -> None:
    with pytest.raises(NetworkError, match="IPv6 is switched off"):
        slirp4netns.parse_options(["outbound_addr6=::1", "enable_ipv6=false"])


def test_slirp_addresses_follow_the_cidr() -> None:
    def three(*words: str) -> list[str]:
        o = slirp4netns.parse_options(list(words))
        return [slirp4netns.address(o, n) for n in (2, 3, 100)]

    assert three() == ["10.0.2.2", "10.0.2.3", "10.0.2.100"]
    assert three("cidr=10.41.7.9/16") == ["10.41.0.2", "10.41.0.3", "10.41.0.100"]
    assert three("cidr=10.0.0.128/25") == ["10.0.0.130", "10.0.0.131", "10.0.0.228"]


def slirp_argv(*words: str, have: frozenset[str] = ALL_SLIRP, **kw: Any) -> list[str]:
    plan = NetworkPlan("slirp4netns", program="/s", slirp=slirp4netns.parse_options(list(words)))
    given: dict[str, Any] = {"netns_path": "/ns", "api_socket": "", "exit_fd": True, "sandbox": True} | kw
    return slirp4netns.arguments(plan, have, **given)


def test_slirp_command_line() -> None:
    assert slirp_argv(api_socket="/a") == [
        "/s",
        "--disable-host-loopback",
        "--mtu=65520",
        "--enable-sandbox",
        "--enable-seccomp",
        "--enable-ipv6",
        "-c",
        "--ready-fd=3",
        "--exit-fd=4",
        "--api-socket",
        "/a",
        "--netns-type=path",
        "/ns",
        "tap0",
    ]
    argv = slirp_argv(
        "allow_host_loopback=true",
        "enable_ipv6=false",
        "cidr=10.1.0.0/24",
        "outbound_addr=127.0.0.1",
        exit_fd=False,
        sandbox=False,
    )
    assert argv == [
        "/s",
        "--mtu=65520",
        "--cidr=10.1.0.0/24",
        "--outbound-addr=127.0.0.1",
        "-c",
        "--ready-fd=3",
        "--netns-type=path",
        "/ns",
        "tap0",
    ]


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("--disable-host-loopback", ()),
        ("--cidr", ("cidr=10.1.0.0/24",)),
        ("--netns-type", ()),
        ("--exit-fd", ()),
    ],
)
def test_an_old_slirp_is_refused_where_a_wish_needs_the_switch(gone: str, words: tuple[str, ...]) -> None:
    with pytest.raises(NetworkError, match=f"has no {gone}"):
        slirp_argv(*words, have=ALL_SLIRP - {gone})


def test_an_old_slirp_goes_without_what_is_only_nice() -> None:
    argv = slirp_argv(have=ALL_SLIRP - {"--enable-sandbox", "--enable-seccomp", "--enable-ipv6", "--mtu"})
    assert not {"--enable-sandbox", "--enable-seccomp", "--enable-ipv6"} & set(argv)


def pasta_argv(
    *words: str, have: frozenset[str] = ALL_PASTA, ports: Sequence[PortMapping] = ()
) -> list[str]:
    plan = NetworkPlan("pasta", program="/p", ports=list(ports), pasta=pasta.PastaOptions(list(words)))
    return pasta.arguments(plan, have, netns_path="/ns", pid_file="/pid")


def test_pasta_command_line() -> None:
    assert pasta_argv() == [
        "/p",
        "--config-net",
        "-t",
        "none",
        "-u",
        "none",
        "-T",
        "none",
        "-U",
        "none",
        "--dns-forward",
        "169.254.1.1",
        "--no-map-gw",
        "--quiet",
        "--map-guest-addr",
        "169.254.1.2",
        "--pid",
        "/pid",
        "--netns",
        "/ns",
    ]
    argv = pasta_argv(
        "--map-gw",
        "-T",
        "5432",
        "--dns-forward",
        "1.1.1.1",
        "--debug",
        have=ALL_PASTA - {"--map-guest-addr"},
        ports=[
            PortMapping(container_port=80, host_port=8080, count=3),
            PortMapping(container_port=53, host_port=5353, protocol="udp", host_ip="127.0.0.1"),
        ],
    )
    assert argv == [
        "/p",
        "--config-net",
        "-T",
        "5432",
        "--dns-forward",
        "1.1.1.1",
        "--debug",
        "-t",
        "8080-8082:80-82",
        "-u",
        "127.0.0.1/5353-5353:53-53",
        "-U",
        "none",
        "--pid",
        "/pid",
        "--netns",
        "/ns",
    ]


def test_pasta_options_values() -> None:
    o = pasta.PastaOptions(["-a", "10.0.0.1", "--dns-forward=9.9.9.9", "-g"])
    assert (o.value("-a", "--address"), o.value("--dns-forward"), o.value("-g")) == (
        "10.0.0.1",
        "9.9.9.9",
        "",
    )


def test_an_old_pasta_without_config_net_is_refused() -> None:
    with pytest.raises(NetworkError, match="no --config-net"):
        pasta_argv(have=frozenset())


def test_supported_is_asked_once_until_the_program_changes(tmp_path: Path) -> None:
    program, calls = tmp_path / "prog", tmp_path / "calls"
    program.write_text(
        f'#!/bin/sh\necho x >> {calls}\necho "  -m, --mtu=MTU  ... [--one|--two] --three-probe" >&2\nexit 1\n'
    )
    program.chmod(0o755)
    switches = ("--mtu", "--three", "--one")

    def ask() -> frozenset[str]:
        return helper.supported(str(program), switches, str(tmp_path))

    assert ask() == ask() == {"--mtu"}
    assert calls.read_text() == "x\n"
    assert helper.supported(str(program), ("--mtu",), str(tmp_path)) == {"--mtu"}
    assert calls.read_text() == "x\nx\n"
    program.write_text(f"#!/bin/sh\necho x >> {calls}\necho --three\n")
    assert ask() == {"--three"}
    (tmp_path / "prog.switches").write_bytes(b"\xff\xff")
    assert ask() == {"--three"}
    os.unlink(tmp_path / "prog.switches")
    assert helper.supported(str(program), switches, None) == {"--three"}
    assert not (tmp_path / "prog.switches").exists()


def test_spawn_passes_only_the_named_fds(tmp_path: Path) -> None:
    """Run ls in place of a helper: what it sees is what a helper would inherit."""
    r, w = os.pipe()
    leak = os.open("/dev/null", os.O_RDONLY)
    low = os.dup2(leak, 200, inheritable=True)
    try:
        pid = helper.spawn(["/bin/ls", "/proc/self/fd"], log=str(tmp_path / "log"), fds={3: w, 4: r})
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        for fd in (r, w, leak, low):
            os.close(fd)
    seen = (tmp_path / "log").read_text().split()
    assert seen == ["0", "1", "2", "3", "4", "5"]  # 5 is the listing's own


def test_spawn_keeps_the_environment_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    pid = helper.spawn(["/usr/bin/env"], log=str(tmp_path / "log"), fds={})
    os.waitpid(pid, 0)
    assert [line.partition("=")[0] for line in (tmp_path / "log").read_text().splitlines()] == ["PATH"]


def test_spawn_leads_a_session_of_its_own(tmp_path: Path) -> None:
    pid = helper.spawn(["/bin/sleep", "60"], log=str(tmp_path / "log"), fds={})
    assert os.getsid(pid) == os.getpgid(pid) == pid
    helper.kill(helper.record(pid, "sleep"))


def test_spawn_of_nothing(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(NetworkError, match="start /nonexistent/x: No such file"):
        helper.spawn(["/nonexistent/x"], log=str(tmp_path / "log"), fds={3: 0})
    assert len(os.listdir("/proc/self/fd")) == before


def test_teardown_kills_only_the_recorded_process(tmp_path: Path) -> None:
    pid = helper.spawn(["/bin/sleep", "60"], log=str(tmp_path / "log"), fds={})
    record = helper.record(pid, "sleep")
    driver.teardown([record | {"start_time": record["start_time"] + 1}])
    assert procs.start_time(pid) == record["start_time"]
    driver.teardown([record])
    assert procs.start_time(pid) == 0
    assert not os.path.exists(f"/proc/{pid}")  # no zombie
    driver.teardown([record, {"pid": 0, "start_time": 0, "name": "gone"}])


def test_teardown_goes_on_and_collects(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def fail(h: Mapping[str, Any], *, wait: bool) -> None:
        tried.append(h["pid"])
        raise NetworkError(f"stop {h['pid']}: no", hint="x")

    monkeypatch.setattr(helper, "kill", fail)
    with pytest.raises(ExceptionGroup) as e:
        driver.teardown([{"pid": 1}, {"pid": 2}])
    assert tried == [1, 2] and len(e.value.exceptions) == 2


def test_read_log_quotes_the_cause(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("WARNING: Support for x\n\n" + "\n".join(f"line {i}" for i in range(9)))
    assert helper.read_log(str(log), without=("WARNING",)) == "line 0; line 1; line 2; line 3"
    log.write_text("Starting slirp\nboom\ndo_slirp failed\n")
    assert helper.read_log(str(log), without=slirp4netns.CHATTER) == "boom"
    log.write_text("pasta: unrecognized option '--x'\nUsage: pasta [OPTION]...\n  more\n")
    assert helper.read_log(str(log)) == "pasta: unrecognized option '--x'"
    assert helper.read_log("/nonexistent") == ""


def test_help_that_is_lost_on_a_pipe_is_read(tmp_path: Path) -> None:
    """As pasta of 2025: output is buffered unless it goes to a terminal, and _exit loses the rest."""
    program = tmp_path / "forgetful"
    program.write_text(f"#!{sys.executable}\nimport os\nprint('--first')\nprint('x' * 9000, '--last')\n"
                       "os.isatty(1) and os.sys.stdout.flush()\nos._exit(0)\n")
    program.chmod(0o755)
    assert helper.supported(str(program), ("--first", "--last"), None) == {"--first", "--last"}


def test_roots_sandbox_has_mounts_of_its_own() -> None:
    """The sandbox would unmount what is below a shared mount everywhere."""
    argv = slirp4netns.in_own_mounts(["/usr/bin/slirp4netns", "--enable-sandbox", "-c"])
    assert argv[-3:] == ["/usr/bin/slirp4netns", "--enable-sandbox", "-c"]
    assert argv[0].endswith("/unshare") and argv[1:4] == ["--mount", "--propagation", "slave"]


def test_without_unshare_root_has_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slirp4netns, "find_program", lambda name: None)
    assert slirp4netns.in_own_mounts(["/usr/bin/slirp4netns", "--enable-sandbox", "-c"]) == ["/usr/bin/slirp4netns", "-c"]
