"""The container's hosts, resolv.conf and hostname."""

import os
from pathlib import Path
from typing import Any

import pytest

from podlike.config import Config
from podlike.engine.create import hostname_of
from podlike.errors import NetworkError
from podlike.net import files
from podlike.net.files import hosts_text, parse_resolv_conf, resolv_conf_text
from podlike.net.plan import NetworkPlan, NetworkSetup
from podlike.net.ports import ip_version
from podlike.spec.container import ContainerSpec

SLIRP = NetworkSetup(ip="10.0.2.100", gateway="10.0.2.2", dns=["10.0.2.3"], ipv6=True)
CID = "0123456789abcdef" * 4


def plan(kind: str = "slirp4netns", **kw: Any) -> NetworkPlan:
    return NetworkPlan(kind, **kw)


def test_hosts_with_an_empty_base() -> None:
    text = hosts_text(base="", add_hosts=[], own_ip="10.0.2.100", names=["web1", "web"], host_ip="192.0.2.2")
    assert text == (
        "127.0.0.1\tlocalhost\n"
        "::1\tlocalhost\n"
        "192.0.2.2\thost.containers.internal host.docker.internal\n"
        "10.0.2.100\tweb1 web\n"
    )


def test_hosts_names_of_the_user_and_the_base_file_come_first_and_stay() -> None:
    text = hosts_text(
        base="127.0.0.1 localhost localhost.localdomain # us\n\n# no\n10.9.9.9\n127.0.1.1\tweb\n",
        add_hosts=[
            "db:10.0.0.5",
            "a;b:10.0.0.6",
            "six:::1",
            "seven:[fe80::7]",
            "eq=10.0.0.8",
            "gw:host-gateway",
        ],
        own_ip="10.0.2.100",
        names=["web", "web"],
        host_ip="192.0.2.2",
    )
    assert text.splitlines() == [
        "10.0.0.5\tdb",
        "10.0.0.6\ta b",
        "::1\tsix",
        "fe80::7\tseven",
        "10.0.0.8\teq",
        "192.0.2.2\tgw",
        "127.0.0.1\tlocalhost localhost.localdomain",
        "127.0.1.1\tweb",
        "192.0.2.2\thost.containers.internal host.docker.internal",
    ]


@pytest.mark.parametrize(
    "word", ["db", "db:", ":10.0.0.1", "db:ten", "a b:10.0.0.1", "db:10.0.0.256", "x\n1.1.1.1 y:1.1.1.1"]
)
def test_hosts_bad_entries_are_refused(word: str) -> None:
    with pytest.raises(NetworkError) as e:
        hosts_text(base="", add_hosts=[word], own_ip="", names=[], host_ip="")
    assert e.value.message.startswith(f"add host {word!r}:") and e.value.hint


def test_hosts_host_gateway_without_a_host_address() -> None:
    with pytest.raises(NetworkError, match="no address that the container could reach"):
        hosts_text(base="", add_hosts=["gw:host-gateway"], own_ip="", names=[], host_ip="")


def test_hosts_base_file_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config()
    config.containers.host_containers_internal_ip = "none"
    spec = ContainerSpec(name="web", domainname="example.org")

    def made(source: str) -> str:
        config.containers.base_hosts_file = source
        return files.hosts(spec, plan(), SLIRP, config, name="h1", image_hosts="10.1.1.1 fromimage\n")

    own = "127.0.0.1\tlocalhost\n::1\tlocalhost\n10.0.2.100\th1.example.org h1 web\n"
    assert made("none") == own
    assert made("image") == "10.1.1.1\tfromimage\n" + own
    base = tmp_path / "hosts"
    base.write_text("10.2.2.2 fromfile\n")
    assert made(str(base)) == "10.2.2.2\tfromfile\n" + own
    with pytest.raises(NetworkError, match="read /nonexistent: No such file"):
        made("/nonexistent")
    monkeypatch.setattr(
        files, "_read", lambda path, must_exist: f"10.3.3.3 {path}\n" if not must_exist else ""
    )
    assert made("") == "10.3.3.3\t/etc/hosts\n" + own


def test_hosts_without_a_network_own_name_is_loopback() -> None:
    config = Config()
    config.containers.base_hosts_file = "none"
    text = files.hosts(ContainerSpec(), plan("none"), NetworkSetup(), config, name="h1")
    assert "127.0.0.1\th1\n" in text


def test_host_address_prefers_configuration_then_gateway_then_an_address_that_is_not_the_containers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "host_addresses", lambda: ["192.0.2.2", "10.7.7.7"])
    config = Config()
    assert files.host_address(NetworkSetup(ip="10.0.2.100"), config) == "192.0.2.2"
    assert files.host_address(NetworkSetup(ip="192.0.2.2"), config) == "10.7.7.7"
    assert files.host_address(NetworkSetup(host_ip="10.0.2.2"), config) == "10.0.2.2"
    config.containers.host_containers_internal_ip = "1.2.3.4"
    assert files.host_address(NetworkSetup(host_ip="10.0.2.2"), config) == "1.2.3.4"
    config.containers.host_containers_internal_ip = "none"
    assert files.host_address(NetworkSetup(host_ip="10.0.2.2"), config) == ""


def test_host_addresses_are_real_addresses() -> None:
    for ip in files.host_addresses():
        assert ip_version(ip) == 4 and not ip.startswith("127.")


HOST = """# comment
; comment
domain old.example
search a.example b.example
nameserver 127.0.0.53
nameserver 10.1.1.1 # trailing
nameserver ::1
nameserver 2001:db8::1
nameserver fe80::1%eth0
nameserver
options edns0
options trust-ad edns0
"""


def made(**kw: Any) -> str:
    given: dict[str, Any] = {"host": HOST, "forwarders": [], "own_netns": True, "ipv6": True}
    given |= {"servers": [], "searches": [], "options": []} | kw
    return resolv_conf_text(**given)


def test_resolv_conf_parse() -> None:
    assert parse_resolv_conf(HOST) == (
        ["127.0.0.53", "10.1.1.1", "::1", "2001:db8::1", "fe80::1%eth0"],
        ["a.example", "b.example"],
        ["edns0", "trust-ad"],
    )
    assert parse_resolv_conf("search a\ndomain d e\n")[1] == ["d"]


def test_resolv_conf_forwarder_first_then_reachable_servers() -> None:
    assert made(forwarders=["10.0.2.3"]) == (
        "search a.example b.example\n"
        "nameserver 10.0.2.3\n"
        "nameserver 10.1.1.1\n"
        "nameserver 2001:db8::1\n"
        "options edns0 trust-ad\n"
    )
    assert "2001:db8::1" not in made(ipv6=False)


def test_resolv_conf_of_the_host_network_is_the_hosts() -> None:
    assert [w for w in made(own_netns=False).split() if w[0] in "127f:" or w == "::1"] == [
        "127.0.0.53",
        "10.1.1.1",
        "::1",
        "2001:db8::1",
        "fe80::1%eth0",
    ]


def test_resolv_conf_wishes_replace() -> None:
    assert made(
        forwarders=["10.0.2.3"], servers=["9.9.9.9", "9.9.9.9"], searches=["x"], options=["ndots:1"]
    ) == ("search x\nnameserver 9.9.9.9\noptions ndots:1\n")
    assert "search" not in made(searches=["."])


def test_resolv_conf_only_a_loopback_server_leaves_the_forwarder() -> None:
    assert made(host="nameserver 127.0.0.1\n", forwarders=["10.0.2.3"]) == "nameserver 10.0.2.3\n"
    assert made(host="") == ""


@pytest.fixture
def host_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    stub, real = tmp_path / "stub", tmp_path / "real"
    monkeypatch.setattr(files, "RESOLV_CONF", str(stub))
    monkeypatch.setattr(files, "REAL_RESOLV_CONFS", (str(real),))
    return stub, real


def test_resolv_conf_looks_behind_a_local_resolver(host_files: tuple[Path, Path]) -> None:
    stub, real = host_files
    stub.write_text("nameserver 127.0.0.53\nsearch stub\n")
    real.write_text("nameserver 10.5.5.5\nsearch real\n")
    spec, config = ContainerSpec(), Config()
    assert (
        files.resolv_conf(spec, plan("none"), NetworkSetup(), config) == "search real\nnameserver 10.5.5.5\n"
    )
    host = files.resolv_conf(spec, plan("host"), NetworkSetup(), config)
    assert host == "search stub\nnameserver 127.0.0.53\n"
    stub.write_text("nameserver 127.0.0.53\nnameserver 10.6.6.6\n")
    assert files.resolv_conf(spec, plan("none"), NetworkSetup(), config) == "nameserver 10.6.6.6\n"


def test_resolv_conf_missing_on_the_host(host_files: tuple[Path, Path]) -> None:
    assert files.resolv_conf(ContainerSpec(), plan(), SLIRP, Config()) == "nameserver 10.0.2.3\n"


def test_resolv_conf_dns_flags(host_files: tuple[Path, Path]) -> None:
    config = Config()
    config.containers.dns_servers = ("10.8.8.8",)
    spec = ContainerSpec(dns=["9.9.9.9"], dns_search=["s"], dns_option=["o"])
    text = files.resolv_conf(spec, plan(), SLIRP, config)
    assert text == "search s\nnameserver 10.8.8.8\nnameserver 9.9.9.9\noptions o\n"
    assert files.resolv_conf(ContainerSpec(dns=["none"]), plan(), SLIRP, config) is None
    with pytest.raises(NetworkError, match="--dns none"):
        files.resolv_conf(ContainerSpec(dns=["none", "9.9.9.9"]), plan(), SLIRP, config)
    with pytest.raises(NetworkError, match="--dns one.one: it is no IP address"):
        files.resolv_conf(ContainerSpec(dns=["one.one"]), plan(), SLIRP, config)


def test_hostname_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: type("U", (), {"nodename": "thehost"}))
    config = Config()

    def name(kind: str = "slirp4netns", **kw: Any) -> str:
        return files.hostname(ContainerSpec(**kw), plan(kind), config, CID)

    assert name(hostname="asked", uts_ns="host") == "asked"
    assert name() == CID[:12]
    assert name("host") == name(uts_ns="host") == "thehost"
    assert [hostname_of(n) for n in ("my_web.1", "___", "-a.")] == ["myweb.1", "", "a"]  # container_name_as_hostname
