"""Where containers' cgroups go."""

import os
from pathlib import Path

import pytest

from podlike.errors import ConflictError, UsageError
from podlike.runtime import cgroup, cgrouplack, monitorscope

SESSION = "/user.slice/user-1000.slice/session-3.scope"
DELEGATED = "/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(cgroup, "host_uid", lambda: 1000)
    monkeypatch.setattr(cgroup, "scopes_to_be_had", lambda: True)
    monkeypatch.setattr(cgroup, "_is_delegated", lambda path: path == DELEGATED)
    monkeypatch.setattr(cgroup, "_can_make", lambda path: path.startswith(os.path.dirname(DELEGATED)))
    return monkeypatch


def sits(host: pytest.MonkeyPatch, path: str | None) -> None:
    host.setattr(cgroup, "own_path", lambda: path)


@pytest.mark.parametrize(
    ("own", "manager", "parent", "want"),
    [
        (SESSION, "", "", "user.slice:libpod:c"),
        (DELEGATED, "", "", "user.slice:libpod:c"),  # around us is app.slice, which is systemd's although it is writable
        (f"{DELEGATED}/leaf", "", "", f"{DELEGATED}/podlike-c"),
        (f"{DELEGATED}/leaf", "systemd", "", "user.slice:libpod:c"),
        (SESSION, "cgroupfs", "", ""),
        (SESSION, "", "/a/b/", "/a/b/podlike-c"),
        (f"{DELEGATED}/leaf", "", "my.slice", "my.slice:libpod:c"),
        (None, "", "", ""),
    ],
)
def test_place(host: pytest.MonkeyPatch, own: str | None, manager: str, parent: str, want: str) -> None:
    sits(host, own)
    assert cgroup.place("c", manager=manager, parent=parent) == want


def test_root_has_machine_slice(host: pytest.MonkeyPatch) -> None:
    sits(host, "/system.slice/ssh.service")
    host.setattr(cgroup, "host_uid", lambda: 0)
    assert cgroup.place("c") == "machine.slice:libpod:c"
    assert cgroup.path_of("machine.slice:libpod:c") == "/machine.slice/libpod-c.scope"


def test_without_systemd_what_is_writable_is_taken(host: pytest.MonkeyPatch) -> None:
    sits(host, DELEGATED)
    host.setattr(cgroup, "scopes_to_be_had", lambda: False)
    assert cgroup.place("c") == f"{os.path.dirname(DELEGATED)}/podlike-c"


def test_paths_of_scopes(host: pytest.MonkeyPatch) -> None:
    top = "/user.slice/user-1000.slice/user@1000.service"
    assert cgroup.path_of("a-b.slice:libpod:c") == f"{top}/a.slice/a-b.slice/libpod-c.scope"
    assert cgroup.path_of("/x/podlike-c") == "/x/podlike-c"
    assert [cgroup.manager_of(w) for w in ("a.slice:libpod:c", "/x", "")] == ["systemd", "cgroupfs", "disabled"]


def test_who_has_a_scope_for_the_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    scope = "user.slice:libpod:c"
    assert monitorscope.wanted(scope, "enabled")
    assert not any((monitorscope.wanted("/a/podlike-c", "enabled"), monitorscope.wanted("", "disabled"),
                    monitorscope.wanted(scope, "no-conmon"), monitorscope.wanted("/a/podlike-payload-c", "split")))
    monkeypatch.setenv("INVOCATION_ID", "f" * 32)  # a service, which would lose its monitor
    assert not monitorscope.wanted(scope, "enabled")
    assert monitorscope.annotation("c", [7, 8]) == "podlike-conmon-c.scope 7 8"


@pytest.mark.parametrize(
    ("own", "want"),
    [(DELEGATED, f"{DELEGATED}/podlike-payload-c"), (f"{DELEGATED}/runtime", f"{DELEGATED}/podlike-payload-c"),
     (f"{DELEGATED}/.control", f"{DELEGATED}/podlike-payload-c"), ("/", "/podlike-payload-c")],
)
def test_split(host: pytest.MonkeyPatch, own: str, want: str) -> None:
    sits(host, own)
    assert cgroup.place("c", manager="systemd", split=True) == want
    sits(host, None)
    with pytest.raises(ConflictError, match="no cgroup v2 tree"):
        cgroup.place("c", split=True)


class Tree:
    """A made-up cgroup tree: /u holds io and memory and hands on memory, /u/p has a process."""

    def __init__(self, top: Path) -> None:
        for path, has, hands in (("", "cpu io memory pids", "io memory"), ("u", "io memory", "memory"), ("u/p", "memory", "")):
            (top / path).mkdir(exist_ok=True)
            (top / path / "cgroup.controllers").write_text(has)
            (top / path / "cgroup.subtree_control").write_text(hands)
            (top / path / "cgroup.procs").write_text("1\n" if path == "u/p" else "")


def test_what_a_place_can_have_and_why_not(host: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Tree(tmp_path)
    host.setattr(cgroup, "ROOT", str(tmp_path))
    host.setattr(os.path, "isdir", lambda path, real=os.path.isdir: path != "/run/systemd/system" and real(path))
    assert cgroup.available("/u/podlike-c") == {"io", "memory"}
    assert cgroup.available("/u/new/er/podlike-c") == {"io", "memory"}, "what is not there yet gets them from around it"
    assert cgroup.available("/u/p/podlike-c") == set(), "memory cannot be handed on beside processes"
    assert cgroup.available("/u/p/podlike-c", emptied=True) == {"memory"}
    where, remedy = cgrouplack.explain("/u/podlike-c", "cpu")
    assert (where, remedy) == ("cgroup /u", f"As root, run `echo +cpu > {tmp_path}/cgroup.subtree_control`")
    assert cgrouplack.explain("/u/p/podlike-c", "io")[0] == "cgroup /u/p"
    assert cgrouplack.explain("/u/p/podlike-c", "memory")[0] == "a cgroup below /u/p, which has processes of its own"
    assert cgrouplack.explain("/u/podlike-c", "hugetlb")[0] == "cgroup /"


@pytest.mark.parametrize(("manager", "parent"), [("systemd", "/a"), ("cgroupfs", "a.slice")])
def test_parent_of_the_other_kind(host: pytest.MonkeyPatch, manager: str, parent: str) -> None:
    sits(host, SESSION)
    with pytest.raises(UsageError, match="slice"):
        cgroup.place("c", manager=manager, parent=parent)
