"""containers.conf: where it is read, how files add up, what is refused; the plain TOML reader."""

import os
import random
import sys
import tomllib
from pathlib import Path

import pytest

from podlike import config as config_module
from podlike.config import load_config
from podlike.config_tables import ContainersTable
from podlike.errors import ConfigError
from podlike.toml_plain import plain_toml


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No file of this machine is read: the system directories and the home are below tmp_path."""
    for name in ("CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "CONTAINERS_STORAGE_CONF", "STORAGE_DRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(config_module, "USR_DIR", f"{tmp_path}/usr")
    monkeypatch.setattr(config_module, "ETC_DIR", f"{tmp_path}/etc")
    monkeypatch.setenv("XDG_CONFIG_HOME", f"{tmp_path}/xdg")
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    return tmp_path


def write(root: Path, path: str, text: str) -> str:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return str(target)


def test_no_file_gives_the_defaults() -> None:
    c = load_config()
    assert c.files == [] and c.unknown == []
    assert c.engine.stop_timeout == 10
    assert c.engine.detach_keys == "ctrl-p,ctrl-q"
    assert c.containers.pids_limit == 2048
    assert c.containers.shm_size == "65536k"
    assert len(c.containers.default_capabilities) == 11
    assert c.network.default_rootless_network_cmd == "slirp4netns"


def test_search_order_later_files_win(home: Path) -> None:
    order = [
        "usr/containers.conf",
        "etc/containers.conf",
        "etc/containers.conf.d/10-a.conf",
        "etc/containers.conf.d/20-b.conf",
        "etc/containers.rootless.conf",
        "etc/containers.rootless.conf.d/x.conf",
        "etc/containers.rootless.conf.d/1234/x.conf",
        "xdg/containers/containers.conf",
        "xdg/containers/containers.conf.d/z.conf",
    ]
    paths = [write(home, p, f'[containers]\ntz = "{i}"\n') for i, p in enumerate(order)]
    write(home, "etc/containers.conf.d/30-not.txt", '[containers]\ntz = "no"\n')
    write(home, "etc/containers.rootful.conf", '[containers]\ntz = "no"\n')
    c = load_config()
    assert c.files == paths
    assert c.containers.tz == str(len(order) - 1)


def test_root_reads_the_rootful_drop_ins(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    write(home, "etc/containers.rootless.conf", '[containers]\ntz = "rootless"\n')
    write(home, "etc/containers.rootful.conf.d/a.conf", '[containers]\ntz = "rootful"\n')
    assert load_config().containers.tz == "rootful"


def test_containers_conf_names_the_only_file_and_override_comes_last(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, "usr/containers.conf", "[engine]\nretry = 7\n")
    monkeypatch.setenv("CONTAINERS_CONF", write(home, "only.conf", "[engine]\nstop_timeout = 3\n"))
    c = load_config()
    assert (c.engine.stop_timeout, c.engine.retry) == (3, 3)
    monkeypatch.setenv("CONTAINERS_CONF_OVERRIDE", write(home, "over.conf", "[engine]\nstop_timeout = 4\n"))
    assert load_config().engine.stop_timeout == 4
    monkeypatch.delenv("CONTAINERS_CONF")
    c = load_config()
    assert (c.engine.stop_timeout, c.engine.retry) == (4, 7)


@pytest.mark.parametrize("name", ["CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE"])
def test_a_named_file_must_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "/nonexistent/x.conf")
    with pytest.raises(ConfigError, match="read /nonexistent/x.conf: no such file"):
        load_config()


def test_dev_null_is_an_empty_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINERS_CONF", "/dev/null")
    assert load_config().engine.stop_timeout == 10


def test_arrays_replace_unless_append(home: Path) -> None:
    write(home, "usr/containers.conf", '[containers]\nenv = ["A=1"]\nvolumes = ["/a:/a"]\n')
    write(home, "etc/containers.conf", '[containers]\nenv = ["B=2", {append=true}]\nvolumes = ["/b:/b"]\n')
    c = load_config()
    assert c.containers.env == ("A=1", "B=2")
    assert c.containers.volumes == ("/b:/b",)


def test_append_holds_for_later_files_until_it_is_unset(home: Path) -> None:
    write(home, "usr/containers.conf", '[containers]\nenv = ["A=1", {append=true}]\n')
    write(home, "etc/containers.conf", '[containers]\nenv = ["B=2"]\n')
    default = ContainersTable.env
    assert load_config().containers.env == (*default, "A=1", "B=2")
    write(home, "xdg/containers/containers.conf", '[containers]\nenv = ["C=3", {append=false}]\n')
    assert load_config().containers.env == ("C=3",)


def test_files_do_not_change_the_defaults(home: Path) -> None:
    write(
        home,
        "etc/containers.conf",
        '[containers]\nenv = ["X=1", {append=true}]\n[engine.runtimes]\nr = ["/r"]\n',
    )
    load_config()
    fresh = config_module.Config()
    assert "X=1" not in fresh.containers.env and fresh.engine.runtimes == {}


def test_tables_merge_key_by_key(home: Path) -> None:
    write(home, "usr/containers.conf", '[engine.runtimes]\na = ["/a"]\nb = ["/b"]\n')
    write(home, "etc/containers.conf", '[engine.runtimes]\nb = ["/b2", "/b3"]\n')
    assert load_config().engine.runtimes == {"a": ("/a",), "b": ("/b2", "/b3")}


def test_capabilities_get_their_prefix(home: Path) -> None:
    write(
        home,
        "etc/containers.conf",
        '[containers]\ndefault_capabilities = ["chown", "CAP_KILL", "cap_setuid"]\n',
    )
    assert load_config().containers.default_capabilities == ("CAP_CHOWN", "CAP_KILL", "CAP_SETUID")


def test_unknown_keys_are_collected_with_their_file(home: Path) -> None:
    path = write(
        home,
        "etc/containers.conf",
        "[engine]\nno_such = 1\n_appending = 2\n[nowhere]\na = 1\n[machine]\ncpus = 1\n",
    )
    assert load_config().unknown == [
        (path, "engine.no_such"),
        (path, "engine._appending"),
        (path, "nowhere"),
    ]


@pytest.mark.parametrize(
    ("text", "dotted", "what"),
    [
        ('[engine]\nstop_timeout = "10"\n', "engine.stop_timeout", "a whole number, not '10'"),
        ("[engine]\nstop_timeout = true\n", "engine.stop_timeout", "a whole number, not true"),
        ("[engine]\nretry = -1\n", "engine.retry", "0 or more"),
        ("[containers]\ninit = 1\n", "containers.init", "true or false"),
        ("[containers]\ntz = 1\n", "containers.tz", "a string"),
        ('[containers]\nenv = "A=1"\n', "containers.env", "an array of strings"),
        ('[containers]\nenv = ["A=1", 2]\n', "containers.env[1]", "a string or {append=true}"),
        ('[containers]\nenv = [{append="yes"}]\n', "containers.env[0]", "a string or {append=true}"),
        ('[engine.runtimes]\ncrun = "/usr/bin/crun"\n', "engine.runtimes.crun", "an array of strings"),
        ("engine = 3\n", "engine", "a table"),
    ],
)
def test_wrong_type_names_file_and_key(home: Path, text: str, dotted: str, what: str) -> None:
    path = write(home, "etc/containers.conf", text)
    with pytest.raises(ConfigError) as e:
        load_config()
    assert f"read {path}: {dotted} must be" in e.value.message
    assert what in e.value.message
    assert e.value.hint


def test_bad_toml_and_bad_utf8(home: Path) -> None:
    path = write(home, "etc/containers.conf", "[engine\nx=")
    with pytest.raises(ConfigError, match=f"read {path}:"):
        load_config()
    with open(path, "wb") as f:
        f.write(b'[engine]\nruntime = "\xff"\n')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config()


def test_every_numeric_and_special_key_is_taken(home: Path) -> None:
    write(
        home,
        "etc/containers.conf",
        "\n".join(
            (
                "[containers]",
                "log_size_max = -1",
                "oom_score_adj = -500",
                "pids_limit = -1",
                "[engine]",
                "compression_level = 3",
                "events_logfile_max_size = 1000",
                "num_locks = 4096",
                "[network]",
                'default_subnet_pools = [{"base" = "10.89.0.0/16", "size" = 24}]',
                "dns_bind_port = 5300",
            )
        ),
    )
    c = load_config()
    assert c.unknown == []
    assert (c.containers.log_size_max, c.containers.oom_score_adj, c.containers.pids_limit) == (-1, -500, -1)
    assert (c.engine.compression_level, c.engine.events_logfile_max_size, c.engine.num_locks) == (
        3,
        "1000",
        4096,
    )
    assert c.network.default_subnet_pools == ({"base": "10.89.0.0/16", "size": 24},)


def test_storage_conf_is_read_lazily_and_first_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        home, "etc/storage.conf", '[storage]\ndriver = "overlay"\ngraphroot = "/g"\n[storage.options]\nx=1\n'
    )
    write(home, "usr/storage.conf", '[storage]\ndriver = "vfs"\n')
    c = load_config()
    assert (c.storage.driver, c.storage.graphroot, c.storage.path) == ("overlay", "/g", path)
    monkeypatch.setenv("STORAGE_DRIVER", "btrfs")
    assert load_config().storage.driver == "btrfs"
    write(home, "etc/storage.conf", "[storage]\ndriver = 3\n")
    c = load_config()
    with pytest.raises(ConfigError, match=r"storage.driver must be a string"):
        _ = c.storage


SHIPPED = """# The containers configuration file
[containers]
# comment
#annotations = []
default_capabilities = [
  "CHOWN",
  "KILL"   # why
]
default_sysctls = [
 "net.ipv4.ping_group_range=0 0",
]
init = true  # yes
tz = "a # b"
\tindented = "x"

[network]
[engine.runtimes]
crun = ["/usr/bin/crun", "/usr/sbin/crun"]
[engine]
num_locks = 2048
zero = 0
empty = []
"""


def test_plain_toml_reads_what_distributions_ship() -> None:
    assert plain_toml(SHIPPED) == tomllib.loads(SHIPPED)
    assert plain_toml(SHIPPED.replace("\n", "\r\n")) == tomllib.loads(SHIPPED)
    assert plain_toml("# only\n\n  # comments\n[containers]\n") == {"containers": {}}


def test_plain_files_do_not_import_tomllib(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, "etc/containers.conf", SHIPPED)
    monkeypatch.delitem(sys.modules, "tomllib")
    load_config()
    assert "tomllib" not in sys.modules
    write(home, "etc/containers.conf", '[containers]\nenv = ["A", {append=true}]\n')
    load_config()
    assert "tomllib" in sys.modules


@pytest.mark.parametrize(
    "text",
    [
        'a = "x\\ty"',
        "a = 'x'",
        "a = 1.5",
        "a = 0x1",
        "a = 01",
        "a = +1",
        "a = 1_0",
        "a.b = 1",
        '"a" = 1',
        "a = {}",
        "a = 1\na = 2",
        "[a]\n[a]",
        "[[a]]",
        "[a]\nb = 1\n[a.b]",
        'a = """x"""',
        'a = "x" y',
        'a = ["x" "y"]',
        'a = ["x"\n, "y"]',
        'a = ["x"\n"y"]',
        'a = ["x",, "y"]',
        'a = ["x"',
        "a = [1]",
        "a =",
        "= 1",
        "a",
        "a = true1",
        'a = ["x"] y',
        "[a b]",
        "[]",
        "[a]x",
        'a = "x\x01"',
        "a = 2020-01-01",
    ],
)
def test_plain_toml_leaves_the_rest_to_tomllib(text: str) -> None:
    assert plain_toml(text) is None


def test_plain_toml_never_disagrees_with_tomllib() -> None:
    """Random documents of likely pieces: what the plain reader reads, tomllib reads alike."""
    rng = random.Random(20260101)
    pieces = [
        "[a]",
        "[a.b]",
        "[b]",
        "x = ",
        "y=",
        '"s"',
        '"t#u"',
        "[",
        "]",
        ",",
        "\n",
        "\n",
        "\n",
        " ",
        "\t",
        "#c\n",
        "1",
        "0",
        "true",
        "false",
        "[]",
        '["p"]',
        '["p", "q",]',
        "{append=true}",
        "=",
        '"',
        "\r\n",
        "é",
    ]
    read = 0
    for _ in range(30000):
        text = "".join(rng.choices(pieces, k=rng.randint(1, 12)))
        doc = plain_toml(text)
        if doc is not None:
            read += 1
            assert doc == tomllib.loads(text), repr(text)
    assert read > 1000
