"""Every key of containers.conf(5) is obeyed, or listed by `info --debug`: one row each, held against the list of names.

Keys that go together share a file and a container: what each does is looked for in that one container.
"""

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from podlike import paths
from podlike.config_tables import ContainersTable, EngineTable, NetworkTable
from podlike.engine.configreport import NO_MEANING, OTHER_TABLES
from tests.support import oci
from tests.support.engine import Engine
from tests.support.fakeregistry import fake_registry
from tests.support.rows import Words

HERE = Path(__file__).parent
KEYS = [line for line in (HERE / "data" / "conf_keys.txt").read_text().splitlines() if not line.startswith("#")]
TABLES = {"containers": ContainersTable, "engine": EngineTable, "network": NetworkTable}

# key -> (value in TOML, shell words in the container, pattern of what they write). @TMP: a directory of the host.
INSIDE: dict[str, dict[str, tuple[str, str, str]]] = {
    "own": {  # a container with namespaces of its own
        "containers.devices": ('["/dev/null:/dev/conf"]', "test -c /dev/conf && echo device", "^device$"),
        "containers.volumes": ('["@TMP:/confvolume"]', "cat /confvolume/marker", "^marked$"),
        "containers.mounts": ('["type=tmpfs,dst=/confmount,tmpfs-size=1m"]', "mount | grep ' /confmount '", "size=1024k"),
        "containers.base_hosts_file": ('"@TMP/hosts"', "cat /etc/hosts", r"^10\.9\.9\.9\s+base"),
        "containers.container_name_as_hostname": ("true", "hostname; cat /etc/hostname", "^conf-inside\nconf-inside$"),
        "containers.default_capabilities": ('["CHOWN", "KILL", "SETFCAP"]', "grep CapBnd /proc/self/status", "80000021$"),
        "containers.default_sysctls": ('["net.ipv4.ip_default_ttl=98"]', "cat /proc/sys/net/ipv4/ip_default_ttl", "^98$"),
        "containers.default_ulimits": ('["nofile=101:101"]', "ulimit -n", "^101$"),
        "containers.dns_servers": ('["10.1.2.3"]', "cat /etc/resolv.conf", "nameserver 10.1.2.3"),
        "containers.dns_options": ('["ndots:7"]', "cat /etc/resolv.conf", "options ndots:7"),
        "containers.dns_searches": ('["conf.example"]', "cat /etc/resolv.conf", "search conf.example"),
        "containers.env": ('["CONF=set"]', "echo $CONF", "^set$"),
        "containers.host_containers_internal_ip": ('"10.7.7.7"', "cat /etc/hosts", r"^10\.7\.7\.7\s+host.containers.internal"),
        "containers.http_proxy": ("false", "echo [$http_proxy]", r"^\[\]$"),
        "containers.init": ("true", "cat /proc/1/comm", "init"),
        "containers.oom_score_adj": ("998", "cat /proc/self/oom_score_adj", "^998$"),
        "containers.shm_size": ('"3m"', "mount | grep ' /dev/shm '", "size=3072k"),
        "containers.tz": ('"Europe/Berlin"', "date +%Z", "^CES?T$"),
        "containers.umask": ('"0077"', "umask", "^0077$"),
        "containers.seccomp_profile": ('"@TMP/seccomp.json"', "mkdir /made 2>&1", "(?i)not supported"),
        "engine.env": ('["OF_ENGINE=1"]', "echo $OF_ENGINE", "^1$"),
    },
    "shared": {  # one that is in the host's, as far as a user may
        "containers.cgroupns": ('"host"', "readlink /proc/self/ns/cgroup", "@NS_CGROUP"),
        "containers.pidns": ('"host"', "readlink /proc/self/ns/pid", "@NS_PID"),
        "containers.utsns": ('"host"', "readlink /proc/self/ns/uts", "@NS_UTS"),
        "containers.netns": ('"none"', "ls /sys/class/net", "^lo$"),
        "containers.userns": ('"keep-id"', "id -u", "^@UID$"),
        "containers.env_host": ("true", "echo $CONF_OF_HOST", "^seen$"),
        "containers.no_hosts": ("true", "test -s /etc/hosts || echo none", "^none$"),
        "containers.read_only": ("true", "touch /x 2>&1", "Read-only file system"),
        "containers.privileged": ("true", "grep CapBnd /proc/self/status", "[13]ffffffffff$"),
        "engine.hooks_dir": ('["@TMP/hooks"]', "test -e /tmp/x; echo", ""),
    },
}
# key -> (value in TOML, template of inspect, pattern)
SHOWN = {
    "containers.annotations": ('["conf=annotated"]', '{{index .Config.Annotations "conf"}}', "^annotated$"),
    "containers.cgroups": ('"disabled"', "{{.HostConfig.Cgroups}}", "^disabled$"),
    "containers.ipcns": ('"private"', "{{.HostConfig.IpcMode}}", "^private$"),
    "containers.log_driver": ('"k8s-file"', "{{.HostConfig.LogConfig.Type}}", "^k8s-file$"),
    "containers.log_path": ('"@TMP/logs"', "{{.HostConfig.LogConfig.Path}}", "^@TMP/logs"),
    "containers.log_size_max": ("10000", "{{.HostConfig.LogConfig.Size}}", "10kB|9.766KiB|10 kB"),
    "engine.stop_timeout": ("77", "{{.Config.StopTimeout}}", "^77$"),
    "engine.runtime": ('"confruntime"', "{{.OCIRuntime}}", "^confruntime$"),
    "engine.runtimes": ('{ confruntime = ["@SPAWN"] }', "{{.OCIRuntime}}", "^confruntime$"),
}
RUN = ["run", "--rm", "--network", "none"]
# key -> (value in TOML, arguments, pattern of the error): what cannot be had is refused in words.
REFUSED = {
    "containers.cgroup_conf": ('["bogus.max=1"]', [*RUN, "@IMAGE"], "set --cgroup-conf bogus.max: "),
    "containers.init_path": ('"/no/such/init"', [*RUN, "--init", "@IMAGE"], "container-init binary not found"),
    "containers.pids_limit": ("-7000", [*RUN, "@IMAGE", "sh", "-c", "exit 9"], "^$"),  # below zero: no limit at all
    "engine.init_path": ('"/no/such/init"', [*RUN, "--init", "@IMAGE"], "/no/such/init"),
    "engine.cdi_spec_dirs": ('["/no/such/cdi"]', ["create", "--device", "v.example/c=d", "@IMAGE"], "No file in /no/such/cdi"),
    "engine.pull_policy": ('"never"', ["create", "localhost/no-such"], "^Error: localhost/no-such: image not known\n$"),
    "engine.platform_to_oci_runtime": ('{ "linux/amd64" = "/no/such/runtime", "linux/arm64" = "/no/such/runtime" }',
                                       ["create", "@IMAGE"], "/no/such/runtime"),
    "engine.remote": ("true", ["ps"], "engine.remote is true"),
    "engine.image_volume_mode": ('"bogus"', ["create", "@IMAGE"], "image_volume_mode"),
    "engine.cgroup_manager": ('"bogus"', ["run", "--rm", "@IMAGE"], "bogus"),
    "network.default_rootless_network_cmd": ('"bogus"', ["create", "@IMAGE"], "default_rootless_network_cmd is 'bogus'"),
    "engine.network_cmd_options": ('["bogus=1"]', ["create", "--network", "slirp4netns", "@IMAGE"], "bogus"),
    "network.pasta_options": ('["--bogus-pasta"]', ["run", "--rm", "--network", "pasta", "@IMAGE"], "pasta"),
    "engine.network_cmd_path": ('"/no/such/slirp"', ["run", "--rm", "--network", "slirp4netns", "@IMAGE"], "/no/such/slirp"),
    "engine.pod_exit_policy": ('"bogus"', ["pod", "create"], "bogus"),
    "engine.events_logger": ('"bogus"', ["create", "@IMAGE"], "bogus"),
}
# Their effects have tests of their own, in files that name them.
ELSEWHERE = {
    "containers.apparmor_profile": "unit/test_oci_build.py", "containers.log_tag": "integration/test_logs.py",
    "containers.keyring": "", "containers.prepare_volume_on_create": "", "engine.no_pivot_root": "", "engine.conmon_env_vars": "",
    "engine.conmon_path": "", "engine.runtimes_flags": "", "engine.detach_keys": "", "engine.compression_format": "",
    "engine.compression_level": "", "engine.add_compression": "", "engine.retry": "", "engine.retry_delay": "",
    "engine.volume_path": "", "engine.events_container_create_inspect_data": "integration/test_events.py",
    "engine.events_logfile_path": "integration/test_events.py", "engine.events_logfile_max_size": "integration/test_events.py",
    "engine.healthcheck_events": "integration/test_events.py", "engine.helper_binaries_dir": "unit/test_net_driver.py",
    "engine.image_parallel_copies": "", "engine.multi_image_archive": "",
    "engine.service_destinations": "integration/test_image_scp.py", "engine.ssh_config": "support/sshd.py",
}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("conf")
    (path / "marker").write_text("marked\n")
    (path / "hosts").write_text("10.9.9.9 base\n")
    (path / "logs").mkdir()
    (path / "hooks").mkdir()
    (path / "hooks" / "told.json").write_text(json.dumps({
        "version": "1.0.0", "hook": {"path": "/bin/sh", "args": ["sh", "-c", f"echo told > {path}/hooks/told"]},
        "when": {"always": True}, "stages": ["createRuntime"]}))
    (path / "seccomp.json").write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}))
    return path


def fill(text: str, scratch: Path) -> str:
    return Words(scratch, SPAWN=paths.libexec("podlike-spawn")).fill(text)


def configure(scratch: Path, values: dict[str, str], name: str) -> dict[str, str]:
    """The environment for a file with these keys, laid over the others."""
    lines: dict[str, list[str]] = {}
    for dotted, value in values.items():
        table, _, key = dotted.partition(".")
        lines.setdefault(table, []).append(f"{key} = {fill(value, scratch)}")
    path = scratch / f"{name}.conf"
    path.write_text("".join(f"[{table}]\n" + "\n".join(rows) + "\n" for table, rows in lines.items()))
    return {"CONTAINERS_CONF_OVERRIDE": str(path)}


@pytest.fixture(scope="module")
def probes(engine: Engine, image: str, scratch: Path) -> dict[str, str]:
    """What the containers of INSIDE wrote, by key."""
    said: dict[str, str] = {}
    for group, rows in INSIDE.items():
        env = configure(scratch, {key: value for key, (value, _, _) in rows.items()}, group)
        script = "\n".join(f"echo '== {key}'; {words}" for key, (_, words, _) in rows.items())
        network = ["--network", "slirp4netns"] if group == "own" else []
        out = engine("run", "--rm", "--name", f"conf-{group if group != 'own' else 'inside'}", *network, "-e", "OF_ENGINE", image,
                     "sh", "-c", f"{script}\ntrue", env=env | {"CONF_OF_HOST": "seen", "http_proxy": "http://x.example"}).stdout
        for part in out.split("== ")[1:]:
            key, _, text = part.partition("\n")
            said[key] = text
    return said


@pytest.fixture(scope="module")
def document(engine: Engine, image: str, scratch: Path) -> tuple[str, dict[str, str]]:
    env = configure(scratch, {key: value for key, (value, _, _) in SHOWN.items()}, "shown")
    return engine("create", image, env=env).line, env


def test_every_key_has_a_row() -> None:
    rows = [*(key for group in INSIDE.values() for key in group), *SHOWN, *REFUSED, *ELSEWHERE, *NO_MEANING]
    assert sorted(rows) == sorted({*rows}), "a key has two rows"
    other = {key for key in KEYS if key.partition(".")[0] in OTHER_TABLES}
    assert sorted({*rows} - {"network.default_host_ips"}) == sorted({*KEYS} - other - {"network.default_host_ips"})
    known = {f"{table}.{key}" for table, kind in TABLES.items() for key in vars(kind) if key[0] != "_"}
    assert known - {*rows} <= {"network.default_host_ips"} and {*rows} <= known


@pytest.mark.parametrize("key", [key for rows in INSIDE.values() for key in rows])
def test_inside(key: str, probes: dict[str, str], scratch: Path) -> None:
    pattern = next(rows[key][2] for rows in INSIDE.values() if key in rows)
    assert re.search(fill(pattern, scratch), probes[key], re.MULTILINE), probes[key]
    if key == "engine.hooks_dir":
        assert (scratch / "hooks" / "told").read_text() == "told\n"


@pytest.mark.parametrize("key", SHOWN)
def test_shown(key: str, engine: Engine, scratch: Path, document: tuple[str, dict[str, str]]) -> None:
    _, template, pattern = SHOWN[key]
    said = engine("inspect", "--type", "container", "--format", template, document[0], env=document[1]).line
    assert re.search(fill(pattern, scratch), said), said


@pytest.mark.parametrize("key", REFUSED)
def test_refused(key: str, engine: Engine, image: str, scratch: Path) -> None:
    value, args, pattern = REFUSED[key]
    env = configure(scratch, {key: value}, "refused")
    done = engine(*(image if a == "@IMAGE" else a for a in args), env=env, check=False)
    assert re.search(pattern, done.stderr), done
    assert done.code or key == "engine.events_logger", done  # whoever cannot write events still does what was asked


@pytest.mark.parametrize("key", [key for key, path in ELSEWHERE.items() if path])
def test_elsewhere(key: str) -> None:
    assert key.partition(".")[2] in (HERE.parent / ELSEWHERE[key]).read_text()


def test_monitor_and_runtime(engine: Engine, image: str, scratch: Path) -> None:
    env = configure(scratch, {"containers.keyring": "false", "engine.conmon_env_vars": '["OF_CONMON=1"]',
                              "engine.no_pivot_root": "true", "containers.prepare_volume_on_create": "true",
                              "engine.conmon_path": '["/no/such/conmon"]', "engine.volume_path": '"@TMP/volumes"',
                              "engine.runtimes_flags": '{ podlike-spawn = ["log-format=json"] }'}, "monitor")
    create = ["create", "--name", "conf-monitor", "--network", "none", "-v", "confvolume:/etc"]
    name = engine(*create, image, "sleep", "100", env=env).line
    assert (scratch / "volumes" / "confvolume" / "_data" / "passwd").exists()  # volume_path, prepare_volume_on_create
    engine("start", name, env=env)
    pid = engine("inspect", "--format", "{{.State.ConmonPid}}", name, env=env).line
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    assert {"--no-new-keyring", "--no-pivot", "--runtime-arg=--log-format=json"} <= {*words}
    assert "OF_CONMON=1" in Path(f"/proc/{pid}/environ").read_text().split("\0")
    engine("rm", "-f", "-t", "0", "-v", name, env=env)
    engine("volume", "rm", "confvolume", env=env)


def test_defaults_of_flags(engine: Engine, scratch: Path) -> None:
    env = configure(scratch, {"engine.detach_keys": '"ctrl-x"', "engine.compression_format": '"zstd"',
                              "engine.compression_level": "3", "engine.add_compression": '["gzip"]', "engine.retry": "7",
                              "engine.retry_delay": '"9s"'}, "defaults")
    push, run = (engine(command, "--help", env=env).stdout for command in ("push", "run"))
    assert 'compression format to use (default "zstd")' in push and "(default 3)" in push
    assert '(default "ctrl-x")' in run and "(default 7)" in run and '(default "9s")' in run
    assert '(default "gzip")' in engine("manifest", "push", "--help", env=env).stdout


def test_retries(engine: Engine, scratch: Path) -> None:
    counts = []
    for number in ("0", "2"):
        env = configure(scratch, {"engine.retry": number, "engine.retry_delay": '"10ms"',
                                  "engine.image_parallel_copies": "1"}, "retry")
        with fake_registry() as registry:
            registry.failing = True
            engine("pull", f"{registry.host}/conf", env=env, check=False)
            counts.append(len(registry.asked))
    assert counts[1] == 3 * counts[0] > 0


def test_archives_of_many_images(engine: Engine, image: str, scratch: Path) -> None:
    env = configure(scratch, {"engine.multi_image_archive": "true"}, "many")
    archive = scratch / "other.tar"
    oci.write_oci_archive(archive, {"localhost/conf-other:latest": oci.busybox_image(Labels={"conf": "other"})})
    engine("load", "-q", "-i", str(archive))
    counts = []
    for how in (env, {}):  # without it, further names are further tags of the first image
        path = scratch / f"saved{len(how)}.tar"
        engine("save", "-q", "-o", str(path), image, "localhost/conf-other", env=how)
        with tarfile.open(path) as tar:
            member = tar.extractfile("manifest.json")
            assert member is not None
            counts.append(len(json.load(member)))
    assert counts == [2, 1]
    engine("rmi", "localhost/conf-other")


def test_what_has_no_meaning_is_listed(engine: Engine, scratch: Path) -> None:
    env = configure(scratch, {"engine.num_locks": "5", "network.default_subnet": '"10.1.0.0/16"'}, "listed")
    doc: dict[str, Any] = json.loads(engine("info", "--debug", "--format", "json", env=env).stdout)["containersConf"]
    path = env["CONTAINERS_CONF_OVERRIDE"]
    assert [e["key"] for e in doc["ignored"] if e["file"] == path] == ["engine.num_locks", "network.default_subnet"]
    assert doc["files"][-1] == path and doc["withoutMeaning"] == NO_MEANING | OTHER_TABLES


def test_unknown_keys_are_told_with_their_place(engine: Engine, scratch: Path) -> None:
    path = scratch / "unknown.conf"
    path.write_text("# a comment\n[engine]\nnum_lockz = 5\n[containerz]\n")
    err = engine("ps", env={"CONTAINERS_CONF_OVERRIDE": str(path)}).stderr.replace('\\"', '"')
    assert f'{path}:3: unknown key engine.num_lockz has no effect: did you mean "num_locks"?' in err
    assert f'{path}:4: unknown key containerz has no effect: did you mean "containers"?' in err
