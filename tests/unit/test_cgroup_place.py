"""Where containers' cgroups go."""

import os

import pytest

from podlike.errors import UsageError
from podlike.runtime import cgroup

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
        (SESSION, "", "", "user.slice:podlike:c"),
        (DELEGATED, "", "", "user.slice:podlike:c"),  # around us is app.slice, which is systemd's although it is writable
        (f"{DELEGATED}/leaf", "", "", f"{DELEGATED}/podlike-c"),
        (f"{DELEGATED}/leaf", "systemd", "", "user.slice:podlike:c"),
        (SESSION, "cgroupfs", "", ""),
        (SESSION, "", "/a/b/", "/a/b/podlike-c"),
        (f"{DELEGATED}/leaf", "", "my.slice", "my.slice:podlike:c"),
        (None, "", "", ""),
    ],
)
def test_place(host: pytest.MonkeyPatch, own: str | None, manager: str, parent: str, want: str) -> None:
    sits(host, own)
    assert cgroup.place("c", manager=manager, parent=parent) == want


def test_root_has_machine_slice(host: pytest.MonkeyPatch) -> None:
    sits(host, "/system.slice/ssh.service")
    host.setattr(cgroup, "host_uid", lambda: 0)
    assert cgroup.place("c") == "machine.slice:podlike:c"
    assert cgroup.path_of("machine.slice:podlike:c") == "/machine.slice/podlike-c.scope"


def test_without_systemd_what_is_writable_is_taken(host: pytest.MonkeyPatch) -> None:
    sits(host, DELEGATED)
    host.setattr(cgroup, "scopes_to_be_had", lambda: False)
    assert cgroup.place("c") == f"{os.path.dirname(DELEGATED)}/podlike-c"


def test_paths_of_scopes(host: pytest.MonkeyPatch) -> None:
    top = "/user.slice/user-1000.slice/user@1000.service"
    assert cgroup.path_of("a-b.slice:podlike:c") == f"{top}/a.slice/a-b.slice/podlike-c.scope"
    assert cgroup.path_of("/x/podlike-c") == "/x/podlike-c"
    assert [cgroup.manager_of(w) for w in ("a.slice:podlike:c", "/x", "")] == ["systemd", "cgroupfs", "disabled"]


@pytest.mark.parametrize(("manager", "parent"), [("systemd", "/a"), ("cgroupfs", "a.slice")])
def test_parent_of_the_other_kind(host: pytest.MonkeyPatch, manager: str, parent: str) -> None:
    sits(host, SESSION)
    with pytest.raises(UsageError, match="slice"):
        cgroup.place("c", manager=manager, parent=parent)
