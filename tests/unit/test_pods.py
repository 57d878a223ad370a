"""Pods: what is asked for, its record, its cgroup's limits, what its containers share."""

from pathlib import Path

import pytest

from podlike.cli.pod_create import fill_pod_spec
from podlike.engine.core import Engine
from podlike.engine.pods.create import infra_spec
from podlike.engine.pods.members import join
from podlike.errors import ConflictError, NotFoundError, UsageError
from podlike.paths import Roots
from podlike.runtime import cgroup, podcgroup
from podlike.spec.container import ContainerSpec, Mount, PortMapping
from podlike.spec.pod import PodSpec, parse_share, state_of
from podlike.store.containers import Container, ContainerStore, RunState
from podlike.store.db import Database, UniqueError
from podlike.store.pods import Pod, PodState, PodStore
from tests.unit.test_cli_fillspec import call_of


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(roots=Roots(data=str(tmp_path / "data"), run=str(tmp_path / "run")))


def pod_of(name: str, spec: PodSpec | None = None, infra: str = "") -> Pod:
    return Pod(id=name.ljust(64, "0"), name=name, created=1.0, spec=spec or PodSpec(),
               state=PodState(phase="created", infra=infra))


def container_of(name: str, **fields: object) -> Container:
    spec = ContainerSpec(**fields)  # type: ignore[arg-type]
    return Container(id=name.ljust(64, "f"), name=name, image=None, created=1.0, spec=spec, state=RunState())


@pytest.mark.parametrize(("text", "want"), [
    ("ipc,net,uts", ["ipc", "net", "uts"]), ("net", ["net"]), ("+pid", ["ipc", "net", "pid", "uts"]), ("", []), ("none", []),
    ("net,net,pid", ["net", "pid"]),
])
def test_share(text: str, want: list[str]) -> None:
    assert parse_share(text) == want


def test_share_of_what_is_no_namespace() -> None:
    with pytest.raises(UsageError, match="namespace to share: bogus. Options are: cgroup, ipc, net, pid, uts or none"):
        parse_share("net,bogus")


@pytest.mark.parametrize(("states", "want"), [
    ([], "Created"), (["created", "created"], "Created"), (["running", "running"], "Running"),
    (["running", "exited"], "Degraded"),
    (["running", "created"], "Degraded"), (["paused", "paused"], "Paused"), (["exited", "exited"], "Exited"),
    (["exited", "created"], "Stopped"), (["paused", "created"], "Created"), (["removing"], "Error"),
    (["paused", "running"], "Degraded"), (["paused", "exited"], "Stopped"),
])
def test_state(states: list[str], want: str) -> None:
    assert state_of(states) == want


def test_a_spec_is_read_as_it_was_written() -> None:
    spec = PodSpec(name="p", labels={"a": "b"}, share=["net"], share_parent=False, exit_policy="stop", infra_command=["x"],
                   container=ContainerSpec(ports=[PortMapping(container_port=80)],
                                           mounts=[Mount(type="bind", source="/a", target="/b")]))
    assert PodSpec.from_dict(spec.to_dict()) == spec
    assert PodSpec().to_dict() == {}


# --- the record ---

def test_one_namespace_of_names(tmp_path: Path) -> None:
    db = Database(str(tmp_path / "db.sqlite"))
    pods, containers = PodStore(db), ContainerStore(db)
    pods.add(pod_of("abc"))
    containers.add(container_of("def"))
    with pytest.raises(ConflictError, match='name "def" is in use: container already exists'):
        pods.add(pod_of("def"))
    with pytest.raises(ConflictError, match='name "abc" is in use: pod already exists'):
        pods.add(Pod(id="1" * 64, name="abc", created=2.0, spec=PodSpec(), state=PodState()))
    with pytest.raises(ConflictError, match='"abc" is already in use by a pod'):
        containers.add(container_of("abc"))
    renamed = container_of("def")
    renamed.name = "abc"
    with pytest.raises(UniqueError):
        containers.save_spec(renamed)
    assert [p.name for p in pods.all()] == ["abc"] and [c.name for c in containers.all()] == ["def"]


def test_a_pod_with_containers_stays(tmp_path: Path) -> None:
    db = Database(str(tmp_path / "db.sqlite"))
    pods, containers = PodStore(db), ContainerStore(db)
    pod = pod_of("abc")
    with pytest.raises(NotFoundError, match="no such pod"):
        containers.add(container_of("early", pod=pod.id))
    pods.add(pod)
    member = container_of("member", pod=pod.id)
    containers.add(member)
    assert [c.name for c in containers.in_pod(pod.id)] == ["member"]
    with pytest.raises(UniqueError):
        pods.delete(pod.id)
    containers.delete(member.id)
    pods.delete(pod.id)
    with pytest.raises(NotFoundError, match="no pod with name or ID abc found: no such pod"):
        pods.find("abc")


# --- the command line ---

def asked(*args: str) -> PodSpec:
    from podlike.cli.app import find_command, read_level
    from podlike.cli.command import Command
    from podlike.cli.session import Session

    session = Session("podlike")
    read_level(session, "", "podlike", ["pod", "create", *args])
    found = find_command("pod", "create")
    assert isinstance(found, Command)
    call = found.read(session, "podlike pod create", list(args))
    assert call is not None
    return fill_pod_spec(call)


def test_create_plain() -> None:
    spec = asked("web")
    assert (spec.name, spec.infra, spec.share, spec.exit_policy) == ("web", True, ["ipc", "net", "uts"], "continue")
    assert spec.container == ContainerSpec()


def test_create_with_what_containers_can_be_asked_for_too() -> None:
    spec = asked("-n", "web", "-p", "8080:80", "--dns", "10.0.0.1", "--add-host", "a:10.0.0.2", "-m", "64m", "--cpus", "0.5",
                 "-l", "a=b", "--restart", "on-failure:3", "--shm-size", "1m", "-v", "/tmp:/x", "--security-opt",
                 "no-new-privileges", "--infra-conmon-pidfile", "/a/pid", "--uts", "host")
    template = spec.container
    assert (spec.labels, spec.restart_policy, template.labels, template.restart_policy) == ({"a": "b"}, "on-failure:3", {}, "")
    assert [p.host_port for p in template.ports] == [8080]
    assert template.dns == ["10.0.0.1"] and template.add_hosts == ["a:10.0.0.2"]
    assert (template.memory, template.cpus, template.shm_size) == (64 << 20, 0.5, 1 << 20)
    assert template.mounts == [Mount(type="bind", source="/tmp", target="/x")] and template.no_new_privileges
    assert (template.conmon_pidfile, template.uts_ns) == ("/a/pid", "host")


@pytest.mark.parametrize(("args", "want"), [
    (("--exit-policy", "x"), 'running pod create option: invalid pod exit policy: "x"'),
    (("--name", "a", "b"), "cannot specify --name and NAME at the same time"),
    (("--replace",), "cannot replace pod without --name being set"),
    (("--infra=false", "--share", "net"), r"cannot set share\(net\) namespaces without an infra container"),
    (("--infra=false", "--infra-name", "x"), "cannot set infra-name without an infra container"),
    (("--infra=false", "-p", "80"), "you must have an infra container to publish port bindings"),
    (("--infra=false", "--no-hosts"), "cannot specify --no-hosts without an infra container"),
    (("--share", "+cgroup"), "cannot define the pod as the cgroup parent at the same time"),
    (("--no-hosts", "--add-host", "a:1.1.1.1"), "--no-hosts and --add-host cannot be set together"),
])
def test_create_refuses(args: tuple[str, ...], want: str) -> None:
    with pytest.raises(UsageError, match=want):
        asked(*args)


def test_no_infra_where_nothing_is_shared() -> None:
    assert not asked("--share", "none").infra and not asked("--share", "").infra
    assert asked("--share", "none", "--infra").infra


# --- members ---

def member(engine: Engine, pod: Pod, **fields: object) -> ContainerSpec:
    engine.pods.add(pod)
    spec = ContainerSpec(pod=pod.name, **fields)  # type: ignore[arg-type]
    join(engine, spec)
    return spec


def test_what_a_member_shares(engine: Engine) -> None:
    pod = pod_of("p", PodSpec(share=["ipc", "net", "pid", "uts"], container=ContainerSpec(uts_ns="host")), infra="f" * 64)
    spec = member(engine, pod, ipc_ns="private")
    whole = f"container:{'f' * 64}"
    assert (spec.pod, spec.network, spec.pid_ns, spec.ipc_ns, spec.uts_ns, spec.cgroup_ns) == (
        pod.id, whole, whole, "private", "host", "")


def test_what_a_member_inherits(engine: Engine) -> None:
    template = ContainerSpec(mounts=[Mount(type="bind", source="/a", target="/x"), Mount(type="bind", source="/b", target="/y")],
                             devices=["/dev/fuse"], no_new_privileges=True, seccomp_profile="unconfined")
    pod = pod_of("p", PodSpec(restart_policy="always", container=template))
    spec = member(engine, pod, mounts=[Mount(type="bind", source="/own", target="/x")], given=["seccomp_profile"])
    assert [(m.source, m.target) for m in spec.mounts] == [("/own", "/x"), ("/b", "/y")]
    assert spec.devices == ["/dev/fuse"] and spec.no_new_privileges and spec.seccomp_profile == ""
    assert spec.restart_policy == "always" and spec.network == ""


@pytest.mark.parametrize(("fields", "want"), [
    ({"ports": [PortMapping(container_port=80)]}, "published or exposed ports must be defined when the pod is created"),
    ({"add_hosts": ["a:1.1.1.1"]}, "extra host entries must be specified on the pod"),
    ({"hostname": "h"}, "cannot set hostname when joining the pod UTS namespace: invalid configuration"),
    ({"user_ns": "keep-id"}, "cannot set user namespace mode when joining pod with infra container"),
])
def test_what_only_the_pod_can_be_asked_for(engine: Engine, fields: dict[str, object], want: str) -> None:
    with pytest.raises(UsageError, match=want):
        member(engine, pod_of("p", PodSpec(share=["net", "uts"]), infra="f" * 64), **fields)


def test_infra_has_no_limits(engine: Engine) -> None:
    asked_of_pod = ContainerSpec(memory=1 << 20, cpus=1.0, dns=["1.1.1.1"])
    spec = infra_spec(engine, pod_of("pod", PodSpec(share=["ipc"], container=asked_of_pod)))
    assert (spec.memory, spec.cpus, spec.dns, spec.infra, spec.network) == (0, 0.0, ["1.1.1.1"], True, "none")
    assert spec.name == f"{'pod'.ljust(64, '0')[:12]}-infra" and spec.hostname == "pod"


def test_pod_flags_of_run() -> None:
    from podlike.cli.fillspec import fill_spec
    from podlike.cli.options import CREATE_ONLY, RUN_TABLE

    assert fill_spec(call_of("--pod", "new:x", "i"), RUN_TABLE).pod == "new:x"
    assert fill_spec(call_of("--pod", "x", "--init-ctr", "once", "i", command="create"), CREATE_ONLY).init_ctr == "once"
    for args, want in (((*("--pod", "x"), "--pod-id-file", "y", "i"), "cannot specify both --pod and --pod-id-file"),
                       (("--init-ctr", "once", "i"), "must specify pod value with init-ctr"),
                       (("--pod", "x", "--init-ctr", "twice", "i"), "init-ctr value must be 'always' or 'once'")):
        with pytest.raises(UsageError, match=want):
            fill_spec(call_of(*args, command="create"), CREATE_ONLY)


# --- its cgroup ---

def test_limits_as_files() -> None:
    spec = ContainerSpec(memory=5 << 20, memory_swap=1 << 30, cpus=5.0, cpu_shares=1000, cpuset_cpus="0", pids_limit=10)
    assert podcgroup.limits(spec) == {"memory.max": "5242880", "memory.swap.max": "1068498944", "cpu.max": "500000 100000",
                                      "cpu.weight": "39", "cpuset.cpus": "0", "pids.max": "10"}
    assert podcgroup.limits(ContainerSpec(memory=1 << 20))["memory.swap.max"] == str(1 << 20)
    assert "memory.swap.max" not in podcgroup.limits(ContainerSpec(memory=1 << 20, memory_swap=-1))
    assert podcgroup.limits(ContainerSpec()) == {}


def test_limits_as_systemd_has_them() -> None:
    assert podcgroup.properties({"memory.max": "1048576", "cpu.max": "50000 100000", "pids.max": "3"}) == [
        "MemoryMax=1048576", "TasksMax=3", "CPUQuota=50.00%", "CPUQuotaPeriodSec=100000us"]
    assert podcgroup.properties({"cpu.max": "max 100000"}) == []


def test_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "host_uid", lambda: 1000)
    monkeypatch.setattr(cgroup, "delegated_parent", lambda: "/x")
    assert podcgroup.place("p", manager="cgroupfs") == "/x/podlike_pod_p"
    where = podcgroup.place("p", manager="systemd")
    assert where == "user-podlike_pod_p.slice" and podcgroup.manager_of(where) == "systemd"
    assert podcgroup.path_of(where).endswith("/user@1000.service/user.slice/user-podlike_pod_p.slice")
    assert cgroup.path_of(cgroup.place("c", manager="systemd", parent=where)).startswith(podcgroup.path_of(where) + "/")
    monkeypatch.setattr(cgroup, "delegated_parent", lambda: None)
    assert podcgroup.place("p", manager="cgroupfs") == "" == podcgroup.manager_of("")
