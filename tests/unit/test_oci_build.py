"""spec.oci and spec.oci_exec: config.json, by what it says rather than letter by letter."""

import json
import time
from typing import Any

import pytest

from podlike.errors import UsageError
from podlike.spec import capabilities, masks
from podlike.spec.container import ContainerSpec, Mount
from podlike.spec.devices import DeviceNode
from podlike.spec.oci import HostFacts, build
from podlike.spec.oci_exec import ExecRequest, exec_process
from podlike.spec.oci_mounts import NAMED_VOLUME_FLAGS, ST_NODEV, ST_NOEXEC, BoundPath, finish_options, shown_tmpfs
from podlike.spec.resolve import resolve
from podlike.spec.users import ResolvedUser

CID = "0123456789abcdef" * 4
ROOT = ResolvedUser(home="/root")
HOST = HostFacts(hostname="vm", limits={"nofile": (1024, 4096), "nproc": (100, 200)})
FILES = {"/etc/hosts": "/b/hosts", "/etc/resolv.conf": "/b/resolv.conf", "/run/.containerenv": "/b/env"}
IN_BUILD = (
    "host",
    "rootless",
    "binds",
    "volumes",
    "device_nodes",
    "host_devices",
    "netns_path",
    "ns_paths",
    "cgroups_path",
    "init_path",
    "seccomp_profile",
    "default_pids_limit",
    "extra_env",
    "warnings",
    "user_is",
)


def config(**given: Any) -> dict[str, Any]:
    how = {k: given.pop(k) for k in IN_BUILD if k in given}
    spec = resolve(ContainerSpec(**{"command": ["true"], **given}), None, name="n", cid=CID, host_env={})
    user = how.pop("user_is", ResolvedUser(home="/root"))
    args: dict[str, Any] = {"host": HOST, "rootless": True, "binds": FILES, **how}
    doc = build(spec, cid=CID, rootfs="/merged", user=user, **args)
    return json.loads(json.dumps(doc))  # type: ignore[no-any-return]


def mount(doc: dict[str, Any], target: str) -> dict[str, Any]:
    found = [m for m in doc["mounts"] if m["destination"] == target]
    assert len(found) == 1, (target, found)
    return found[0]  # type: ignore[no-any-return]


def targets(doc: dict[str, Any]) -> list[str]:
    return [m["destination"] for m in doc["mounts"]]


def namespaces(doc: dict[str, Any]) -> dict[str, str | None]:
    return {n["type"]: n.get("path") for n in doc["linux"]["namespaces"]}


def test_default_container() -> None:
    doc = config(netns_path="/ns/x", cgroups_path="/cg/c")
    assert doc["root"] == {"path": "/merged"} and doc["hostname"] == CID[:12]
    p = doc["process"]
    assert p["args"] == ["true"] and p["cwd"] == "/" and p["terminal"] is False
    assert p["user"] == {"uid": 0, "gid": 0, "umask": 0o22}
    assert {"HOME=/root", f"HOSTNAME={CID[:12]}", "container=podman"} <= set(p["env"])
    assert p["rlimits"] == [{"type": "RLIMIT_NOFILE", "hard": 4096, "soft": 1024},
                            {"type": "RLIMIT_NPROC", "hard": 200, "soft": 100}]
    assert p["capabilities"]["bounding"] == sorted(capabilities.DEFAULT)
    assert namespaces(doc) == {
        "pid": None,
        "network": "/ns/x",
        "ipc": None,
        "uts": None,
        "mount": None,
        "cgroup": None,
    }
    linux = doc["linux"]
    assert linux["maskedPaths"] == list(masks.MASKED) and linux["readonlyPaths"] == list(masks.READONLY)
    assert linux["sysctl"] == {"net.ipv4.ping_group_range": "0 0"}
    assert linux["cgroupsPath"] == "/cg/c" and linux["resources"] == {}
    assert linux["seccomp"]["defaultErrnoRet"] == 38
    assert "rootfsPropagation" not in linux and "apparmorProfile" not in p and "oomScoreAdj" not in p
    assert doc["annotations"]["io.container.manager"] == "podlike"
    assert doc["annotations"]["org.opencontainers.image.stopSignal"] == "15"


def test_default_mounts() -> None:
    doc = config()
    assert set(targets(doc)) == {
        "/proc",
        "/dev",
        "/sys",
        "/dev/pts",
        "/dev/mqueue",
        "/sys/fs/cgroup",
        "/dev/shm",
        *FILES,
    }
    assert mount(doc, "/dev")["options"] == ["nosuid", "strictatime", "mode=755", "size=65536k"]
    assert "gid=5" in mount(doc, "/dev/pts")["options"]
    assert mount(doc, "/sys") == {"destination": "/sys", "type": "sysfs", "source": "sysfs",
                                  "options": ["nosuid", "noexec", "nodev", "ro"]}
    assert mount(doc, "/sys/fs/cgroup")["options"][-1] == "ro"
    assert mount(doc, "/dev/shm")["options"] == ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]
    assert mount(doc, "/etc/hosts")["options"] == ["bind", "rprivate"]


def test_gid_5_is_left_out_where_it_is_not_mapped() -> None:
    doc = config(host=HOST._replace(gid5=False))
    assert not any(o.startswith("gid=") for o in mount(doc, "/dev/pts")["options"])


def test_parents_come_before_what_lies_beneath() -> None:
    doc = config(volumes=[BoundPath("/s1", "/a/b/c"), BoundPath("/s2", "/a"), BoundPath("/s3", "/a/b/")],
                 tmpfs={"/a/b/c/d": ""})
    order = targets(doc)
    assert [t for t in order if t.startswith("/a")] == ["/a", "/a/b", "/a/b/c", "/a/b/c/d"]
    assert order.index("/dev") < order.index("/dev/pts") and order.index("/sys") < order.index(
        "/sys/fs/cgroup"
    )


def test_users_mounts_win() -> None:
    doc = config(volumes=[BoundPath("/mine", "/etc/hosts"), BoundPath("/dev", "/dev", ["rslave"]),
                          BoundPath("/s", "/sys/fs/cgroup/", ["ro"])])
    assert mount(doc, "/etc/hosts")["source"] == "/mine"
    assert mount(doc, "/dev")["source"] == "/dev"
    assert "/dev/pts" not in targets(doc) and "/dev/mqueue" not in targets(doc)
    assert mount(doc, "/sys/fs/cgroup")["source"] == "/s"
    assert doc["linux"]["rootfsPropagation"] == "rslave"


def test_same_target_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="/a: duplicate mount destination"):
        config(volumes=[BoundPath("/x", "/a")], tmpfs={"/a/": ""})
    with pytest.raises(UsageError, match="cannot be the root"):
        config(volumes=[BoundPath("/x", "/..")])


@pytest.mark.parametrize(("options", "flags", "expected"), [
    ([], 0, ["rprivate", "rbind"]),
    (["ro", "z"], ST_NODEV | ST_NOEXEC, ["ro", "rprivate", "noexec", "nodev", "rbind"]),
    (["exec", "dev"], ST_NODEV | ST_NOEXEC, ["exec", "dev", "rprivate", "rbind"]),
    (["bind"], 0, ["bind", "private"]),
    (["rshared", "rbind", "U", "cached"], 0, ["rshared", "rbind"]),
    (["rw", "nocopy"], NAMED_VOLUME_FLAGS, ["rw", "rprivate", "nosuid", "nodev", "rbind"]),
    (["noatime"], 0, ["noatime", "rprivate", "rbind"]),
    (["no-dereference"], 0, ["copy-symlink", "rprivate", "rbind"]),
])
def test_bind_options(options: list[str], flags: int, expected: list[str]) -> None:
    assert finish_options(options, tmpfs=False, flags=flags) == expected


@pytest.mark.parametrize(
    ("options", "tmpfs", "message"),
    [
        (["wat"], False, 'unknown mount option "wat": invalid mount option'),
        (["ro", "rw"], False, "only one of 'rw' and 'ro' can be used: duplicate mount option passed"),
        (
            ["rshared", "rprivate"],
            False,
            "only one of propagation modes can be used: duplicate mount option passed",
        ),
        (["size=1m"], False, "the 'size' option is only allowed with tmpfs mounts: invalid mount option"),
        (["size=1", "size=2"], True, "the 'size' option can only be set once: duplicate mount option passed"),
        (["rbind"], True, "the 'rbind' option is not allowed with tmpfs mounts: invalid mount option"),
    ],
)
def test_bad_mount_options(options: list[str], tmpfs: bool, message: str) -> None:
    with pytest.raises(UsageError) as e:
        finish_options(options, tmpfs=tmpfs, flags=0)
    assert e.value.message == message


def test_tmpfs() -> None:
    doc = config(tmpfs={"/d": "size=1m,mode=700", "/e": "ro,notmpcopyup"}, user_is=ResolvedUser(5, 6),
                 mounts=[Mount(type="tmpfs", target="/f", options=["U"])])
    assert mount(doc, "/d")["options"] == [
        "rw",
        "size=1m",
        "mode=700",
        "rprivate",
        "nosuid",
        "nodev",
        "tmpcopyup",
    ]
    assert mount(doc, "/e")["options"] == ["ro", "rprivate", "nosuid", "nodev"]
    assert mount(doc, "/f")["options"][-2:] == ["uid=5", "gid=6"]


def test_shown_tmpfs_has_what_was_added_and_no_more() -> None:
    spec = ContainerSpec(tmpfs={"/d/": "", "/e": "ro", "/f": "size=1m,suid,private,notmpcopyup"},
                         mounts=[Mount(type="tmpfs", target="/g", options=["mode=700"]), Mount(type="ramfs", target="/h")])
    assert shown_tmpfs(spec) == {
        "/d": "rprivate,nosuid,nodev,tmpcopyup", "/e": "ro,rprivate,nosuid,nodev,tmpcopyup", "/f": "size=1m,suid,private,nodev",
        "/g": "mode=700,rprivate,nosuid,nodev,tmpcopyup"}


def test_read_only() -> None:
    doc = config(read_only=True, tmpfs={"/run": "size=1k"})
    assert doc["root"]["readonly"] is True
    assert {"/tmp", "/var/tmp"} <= set(targets(doc)) and "size=1k" in mount(doc, "/run")["options"]
    assert mount(doc, "/etc/hosts")["options"] == ["bind", "rprivate", "ro", "nosuid", "noexec", "nodev"]
    assert "ro" not in mount(doc, "/dev/shm")["options"] and "ro" not in mount(doc, "/dev")["options"]
    doc = config(read_only=True, read_only_tmpfs=False)
    assert "/tmp" not in targets(doc)
    assert "ro" in mount(doc, "/dev/shm")["options"] and "ro" in mount(doc, "/dev")["options"]


def test_host_namespaces() -> None:
    doc = config(network="host", pid_ns="host", ipc_ns="host", uts_ns="host", cgroup_ns="host")
    assert namespaces(doc) == {"mount": None}
    assert "hostname" not in doc and "HOSTNAME=vm" in doc["process"]["env"]
    assert (
        mount(doc, "/sys")["type"]
        == mount(doc, "/proc")["type"]
        == mount(doc, "/dev/mqueue")["type"]
        == "bind"
    )
    assert mount(doc, "/dev/shm")["source"] == "/dev/shm"
    assert "/sys/kernel" in doc["linux"]["maskedPaths"] and "sysctl" not in doc["linux"]
    rootful = config(network="host", pid_ns="host", rootless=False)
    assert mount(rootful, "/sys")["type"] == "sysfs" and mount(rootful, "/proc")["type"] == "proc"
    assert "/dev/mqueue" not in targets(config(ipc_ns="host", host=HOST._replace(mqueue=False)))


def test_cgroup_v1_shares_the_cgroup_namespace() -> None:
    v1 = HOST._replace(cgroup_v2=False)
    assert "cgroup" not in namespaces(config(host=v1))
    assert "cgroup" in namespaces(config(host=v1, cgroup_ns="private"))


def test_shared_namespaces() -> None:
    doc = config(
        pid_ns="container:x",
        uts_ns="ns:/proc/1/ns/uts",
        ipc_ns="container:x",
        network="container:x",
        netns_path="/ns/n",
        ns_paths={"pid": "/p", "ipc": "/i"},
        binds={"/dev/shm": "/other/shm"},
    )
    assert namespaces(doc) == {
        "pid": "/p",
        "uts": "/proc/1/ns/uts",
        "ipc": "/i",
        "network": "/ns/n",
        "mount": None,
        "cgroup": None,
    }
    assert mount(doc, "/dev/shm")["source"] == "/other/shm"
    assert "hostname" not in doc and "sysctl" not in doc["linux"]
    with pytest.raises(UsageError, match="cannot find specified PID namespace path"):
        config(pid_ns="container:x")
    with pytest.raises(UsageError, match="cannot find specified UTS namespace path"):
        config(uts_ns="ns:relative")
    with pytest.raises(UsageError, match="user namespace mode keep-id"):
        config(user_ns="keep-id")


def test_network_namespace_is_never_forgotten() -> None:
    for network in ("", "none", "private", "slirp4netns", "pasta:-x", "somenet"):
        assert namespaces(config(network=network)).get("network", "host") is None, network


def test_no_shm() -> None:
    assert "/dev/shm" not in targets(config(ipc_ns="none"))
    assert namespaces(config(ipc_ns="none"))["ipc"] is None


def test_privileged() -> None:
    nodes = [
        DeviceNode("/dev/fuse", "/dev/fuse"),
        DeviceNode("/dev/tty1", "/dev/tty1"),
        DeviceNode("/dev/x", "/dev/x"),
    ]
    doc = config(privileged=True, host_devices=nodes, device_nodes=[DeviceNode("/dev/y", "/dev/x")])
    linux = doc["linux"]
    assert not {"maskedPaths", "readonlyPaths", "seccomp"} & set(linux)
    assert len(doc["process"]["capabilities"]["bounding"]) == len(capabilities.KNOWN)
    assert mount(doc, "/sys")["options"][-1] == "rw" and mount(doc, "/sys/fs/cgroup")["options"][-1] == "rw"
    assert mount(doc, "/dev/fuse")["options"] == ["slave", "nosuid", "noexec", "rw", "rbind"]
    assert mount(doc, "/dev/x")["source"] == "/dev/y" and "/dev/tty1" not in targets(doc)
    assert doc["annotations"]["io.podman.annotations.privileged"] == "TRUE"


def test_seccomp_choice() -> None:
    profile = {"defaultAction": "SCMP_ACT_LOG", "syscalls": []}
    assert "seccomp" not in config_seccomp("unconfined", profile)
    assert config_seccomp("/p.json", profile)["seccomp"]["defaultAction"] == "SCMP_ACT_LOG"
    assert config_seccomp("", profile)["seccomp"]["defaultAction"] == "SCMP_ACT_LOG"  # of the configuration
    with pytest.raises(UsageError, match="/p.json"):
        config_seccomp("/p.json", None)


def config_seccomp(path: str, doc: object, **more: Any) -> dict[str, Any]:
    spec = resolve(
        ContainerSpec(command=["x"], seccomp_profile=path, **more), None, name="n", cid=CID, host_env={}
    )
    linux: dict[str, Any] = build(
        spec, cid=CID, rootfs="/m", user=ResolvedUser(), host=HOST, rootless=True, seccomp_profile=doc
    )["linux"]
    return linux


def test_privileged_keeps_a_profile_that_was_asked_for() -> None:
    assert "seccomp" in config_seccomp("/p", {"defaultAction": "SCMP_ACT_LOG"}, privileged=True)
    assert "seccomp" not in config_seccomp("", {"defaultAction": "SCMP_ACT_LOG"}, privileged=True)


def test_devices_rootless_and_rootful() -> None:
    node = DeviceNode("/dev/zero", "/dev/xzero", "r", "c", 1, 5)
    doc = config(device_nodes=[node])
    assert mount(doc, "/dev/xzero")["options"] == ["slave", "nosuid", "noexec", "ro", "rbind"]
    assert "devices" not in doc["linux"] and doc["linux"]["rootfsPropagation"] == "rslave"
    doc = config(device_nodes=[node], rootless=False)
    assert "/dev/xzero" not in targets(doc)
    assert doc["linux"]["devices"] == [
        {"path": "/dev/xzero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666, "uid": 0, "gid": 0}
    ]
    assert doc["linux"]["resources"]["devices"] == [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "r"},
    ]
    assert config(privileged=True, rootless=False)["linux"]["resources"]["devices"] == [
        {"allow": True, "access": "rwm"}
    ]


def test_resources() -> None:
    doc = config(
        memory=100, memory_reservation=50, cpus=0.5, cpu_shares=512, cpuset_cpus="0-1", pids_limit=10
    )
    assert doc["linux"]["resources"] == {
        "memory": {"limit": 100, "swap": 200, "reservation": 50},
        "cpu": {"period": 100000, "quota": 50000, "shares": 512, "cpus": "0-1"}, "pids": {"limit": 10}}
    assert config(memory=100, memory_swap=150)["linux"]["resources"]["memory"]["swap"] == 150
    assert "swap" not in config(memory=100, memory_swap=-1)["linux"]["resources"]["memory"]
    assert config(default_pids_limit=2048)["linux"]["resources"] == {"pids": {"limit": 2048}}
    for unlimited in (0, -1):
        assert config(pids_limit=unlimited, default_pids_limit=2048)["linux"]["resources"] == {}
    told: list[str] = []
    without = HOST._replace(swap=False)
    assert config(memory=100, host=without, warnings=told)["linux"]["resources"]["memory"] == {"limit": 100}
    assert told == []
    config(memory=100, memory_swap=150, host=without, warnings=told)
    assert len(told) == 1 and "swap" in told[0]


@pytest.mark.parametrize(
    ("limit", "controller"),
    [
        ({"memory": 1}, "memory"),
        ({"cpus": 1.0}, "cpu"),
        ({"cpuset_mems": "0"}, "cpuset"),
        ({"pids_limit": 5}, "pids"),
    ],
)
def test_limits_without_a_controller_are_refused(limit: dict[str, Any], controller: str) -> None:
    with pytest.raises(UsageError, match=f"controller `{controller}` is not available"):
        config(host=HOST._replace(controllers=frozenset()), **limit)
    with pytest.raises(UsageError, match="cgroups are disabled"):
        config(cgroups="disabled", **limit)
    everything = frozenset(("memory", "cpu", "cpuset", "pids"))
    assert config(host=HOST._replace(controllers=everything), **limit)["linux"]["resources"]


def test_default_pids_limit_yields_to_the_host() -> None:
    none = HOST._replace(controllers=frozenset())
    assert config(default_pids_limit=2048, host=none)["linux"]["resources"] == {}
    assert config(default_pids_limit=2048, cgroups="disabled")["linux"]["resources"] == {}


def test_oom_score_is_clamped_for_ordinary_users() -> None:
    told: list[str] = []
    host = HOST._replace(oom_score_adj=200)
    assert config(oom_score_adj=100, host=host, warnings=told)["process"]["oomScoreAdj"] == 200 and told
    assert config(oom_score_adj=300, host=host)["process"]["oomScoreAdj"] == 300
    assert config(oom_score_adj=100, host=host, rootless=False)["process"]["oomScoreAdj"] == 100


def test_apparmor() -> None:
    with pytest.raises(
        UsageError, match='apparmor profile "p" specified, but Apparmor is not enabled on this system'
    ):
        config(apparmor_profile="p")
    assert "apparmorProfile" not in config(apparmor_profile="unconfined")["process"]
    enabled = HOST._replace(apparmor=True)
    assert config(apparmor_profile="p", host=enabled)["process"]["apparmorProfile"] == "p"


def test_user_and_groups() -> None:
    doc = config(
        user="web",
        umask="027",
        groups=["keep-groups"],
        user_is=ResolvedUser(1000, 1001, (44, 1001), "/home/web"),
    )
    assert doc["process"]["user"] == {"uid": 1000, "gid": 1001, "additionalGids": [44, 1001], "umask": 0o27}
    assert "HOME=/home/web" in doc["process"]["env"]
    assert doc["annotations"]["run.oci.keep_original_groups"] == "1"
    assert "effective" not in doc["process"]["capabilities"]
    with pytest.raises(UsageError, match="invalid umask"):
        config(umask="8")


def test_own_values_of_environment_win() -> None:
    env = config(env={"HOME": "/h", "HOSTNAME": "x"}, extra_env={"LISTEN_FDS": "1"})["process"]["env"]
    assert {"HOME=/h", "HOSTNAME=x", "LISTEN_FDS=1"} <= set(env) and len(env) == len(
        {e.split("=")[0] for e in env}
    )


def test_init() -> None:
    doc = config(init=True, init_path="/usr/bin/tini")
    assert doc["process"]["args"] == ["/run/podman-init", "--", "true"]
    assert mount(doc, "/run/podman-init")["source"] == "/usr/bin/tini"
    with pytest.raises(UsageError, match="container-init binary"):
        config(init=True)


def test_systemd() -> None:
    doc = config(systemd="always", tmpfs={"/tmp": "size=5m"})
    assert {"/run", "/run/lock", "/tmp", "/var/log/journal"} <= set(targets(doc))
    assert "size=5m" in mount(doc, "/tmp")["options"]
    assert mount(doc, "/sys/fs/cgroup")["options"] == ["private", "rw"]
    assert f"container_uuid={CID[:32]}" in doc["process"]["env"]
    assert doc["annotations"]["org.opencontainers.image.stopSignal"] == "37"


def test_unmask_opens_the_cgroup_tree() -> None:
    for paths in (["ALL"], ["/sys/fs/cgroup"], ["/x:/sys/fs/cgroup"]):
        assert mount(config(unmasked_paths=paths), "/sys/fs/cgroup")["options"][-1] == "rw"
    assert mount(config(unmasked_paths=["/sys"]), "/sys/fs/cgroup")["options"][-1] == "ro"


def test_annotations_and_domain() -> None:
    doc = config(annotations={"io.container.manager": "me", "a": "b"}, remove=True, volumes_from=["x", "y"],
                 domainname="d", stop_timeout=3)
    a = doc["annotations"]
    assert (a["io.container.manager"], a["a"], a["io.podman.annotations.autoremove"]) == ("me", "b", "TRUE")
    assert (
        a["io.podman.annotations.volumes-from"] == "x;y"
        and a["org.systemd.property.TimeoutStopUSec"] == "uint64 3000000"
    )
    assert doc["domainname"] == "d"


def test_build_takes_less_than_a_millisecond() -> None:
    spec = resolve(ContainerSpec(command=["true"]), None, name="n", cid=CID, host_env={})
    best = 1.0
    for _ in range(30):
        start = time.perf_counter()
        build(spec, cid=CID, rootfs="/m", user=ResolvedUser(), host=HOST, rootless=True, binds=FILES)
        best = min(best, time.perf_counter() - start)
    assert best < 0.001


def exec_in(
    request: ExecRequest, who: ResolvedUser = ROOT, **given: Any
) -> dict[str, Any]:
    doc = config(**given)
    spec = resolve(
        ContainerSpec(**{"command": ["true"], **{k: v for k, v in given.items() if k not in IN_BUILD}}),
        None,
        name="n",
        cid=CID,
        host_env={},
    )
    return exec_process(request, spec, doc, user=who)


def test_exec_inherits_the_container() -> None:
    p = exec_in(
        ExecRequest(["sh", "-c", "x"]),
        env={"A": "1"},
        workdir="/w",
        no_new_privileges=True,
        umask="0077",
        ulimits=["core=1"],
    )
    assert p["args"] == ["sh", "-c", "x"] and p["cwd"] == "/w" and p["noNewPrivileges"] is True
    assert {"A=1", "HOME=/root", f"HOSTNAME={CID[:12]}"} <= set(p["env"])
    assert p["user"] == {"uid": 0, "gid": 0, "additionalGids": [0], "umask": 0o77}
    assert {r["type"] for r in p["rlimits"]} == {"RLIMIT_CORE", "RLIMIT_NOFILE", "RLIMIT_NPROC"}
    assert p["capabilities"]["effective"] == sorted(capabilities.DEFAULT)


def test_exec_overrides() -> None:
    web = ResolvedUser(1000, 1001, (44,), "/home/web")
    p = exec_in(
        ExecRequest(["x"], user="web", workdir="/o", env={"A": "2"}, terminal=True), web, env={"A": "1"}
    )
    assert p["cwd"] == "/o" and p["terminal"] is True
    assert {"A=2", "HOME=/home/web", "TERM=xterm"} <= set(p["env"])
    assert p["user"]["additionalGids"] == [44, 1001]
    assert set(p["capabilities"]) == {"bounding"}
    kept = exec_in(ExecRequest(["x"], user="web"), web, env={"HOME": "/mine"})
    assert "HOME=/mine" in kept["env"]


def test_exec_capabilities() -> None:
    web = ResolvedUser(1000, 1000, (), "/home/web")
    own = exec_in(ExecRequest(["x"]), web, user="web", cap_add=["net_admin"], user_is=web)["capabilities"]
    assert own["effective"] == own["ambient"] == own["inheritable"] == ["CAP_NET_ADMIN"]
    root = exec_in(ExecRequest(["x"], user="0"), user="web", user_is=web)["capabilities"]
    assert root["effective"] == sorted(capabilities.DEFAULT)
    full = exec_in(ExecRequest(["x"], privileged=True))["capabilities"]
    assert len(full["effective"]) == len(full["bounding"]) == len(capabilities.KNOWN)
