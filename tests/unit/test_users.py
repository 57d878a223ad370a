"""spec.users: --user and --group-add against the container's files."""

import time

import pytest

from podlike.errors import UsageError
from podlike.spec.users import MAX_FILE, ResolvedUser, is_root, missing_entries, resolve

PASSWD = """root:x:0:0:root:/root:/bin/ash
# comment:x:5:5::/:/bin/sh
daemon:x:2:2:daemon:/sbin:/sbin/nologin
web:x:1000:1001:Web,,,:/home/web:/bin/sh
web:x:7:7::/second:/bin/sh
broken:x:zero:0::/:/bin/sh
overflow:x:99999999999:0::/:/bin/sh
short:x:8
123:x:9:9:numeric name:/nine:/bin/sh
nohome:x:10:10:::
+nis:x:0:0:::
"""
GROUP = (
    "root:x:0:\nweb:x:1001:\nextra:x:44:web,daemon\nother:x:45:webmaster\nbad:x:no:web\nlast:x:46:daemon,web"
)


def who(user: str, *groups: str) -> ResolvedUser:
    return resolve(user, passwd=PASSWD, group=GROUP, groups=groups)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", ResolvedUser(0, 0, (), "/root")),
        ("root", ResolvedUser(0, 0, (0,), "/root")),
        ("0", ResolvedUser(0, 0, (0,), "/root")),
        (
            "web",
            ResolvedUser(1000, 1001, (44, 46, 1001), "/home/web"),
        ),  # first entry wins; webmaster is someone else
        ("1000", ResolvedUser(1000, 1001, (44, 46, 1001), "/home/web")),
        ("web:extra", ResolvedUser(1000, 44, (44,), "/home/web")),
        ("web:77", ResolvedUser(1000, 77, (77,), "/home/web")),
        ("4242", ResolvedUser(4242, 0, (0,), "/")),
        ("4242:44", ResolvedUser(4242, 44, (44,), "/")),
        ("123", ResolvedUser(123, 0, (0,), "/")),  # digits are an id, never a name
        ("nohome", ResolvedUser(10, 10, (10,), "/")),
        (":44", ResolvedUser(0, 44, (44,), "/root")),
    ],
)
def test_resolve(user: str, expected: ResolvedUser) -> None:
    assert who(user) == expected


def test_no_files_at_all() -> None:
    assert resolve("", passwd="", group="") == ResolvedUser(0, 0, (), "/")
    assert resolve("5:6", passwd="", group="") == ResolvedUser(5, 6, (6,), "/")


def test_group_add() -> None:
    assert who("web", "other", "9", "keep-groups").additional_gids == (9, 44, 45, 46, 1001)
    assert who("", "extra").additional_gids == (44,)


@pytest.mark.parametrize(("user", "message"), [
    ("nobody", "unable to find user nobody: no matching entries in passwd file"),
    ("nis", "unable to find user nis: no matching entries in passwd file"),
    ("broken", "unable to find user broken: no matching entries in passwd file"),  # not root!
    ("overflow", "unable to find user overflow: no matching entries in passwd file"),
    ("short", "unable to find user short: no matching entries in passwd file"),
    ("web:none", "unable to find group none: no matching entries in group file"),
    ("web:bad", "unable to find group bad: no matching entries in group file"),
    ("-1", "uids and gids must be in range 0-2147483647"),
    ("4294967296", "uids and gids must be in range 0-2147483647"),
    ("1:99999999999999", "uids and gids must be in range 0-2147483647"),
])
def test_errors_in_podmans_words(user: str, message: str) -> None:
    with pytest.raises(UsageError) as e:
        who(user)
    assert e.value.message == message
    assert e.value.hint


def test_unknown_group_add_is_refused() -> None:
    with pytest.raises(UsageError, match="unable to find group nix"):
        who("web", "nix")


def test_hostile_files_are_bounded() -> None:
    huge = "a:b:c\n" * 200_000 + "x" * 5_000_000 + "\nlate:x:0:0::/:/bin/sh\n"
    start = time.process_time()
    with pytest.raises(UsageError):
        resolve("late", passwd=huge, group="")
    members = "g:x:5:" + ",".join("m" * 20 for _ in range(MAX_FILE // 30))
    assert resolve("web", passwd=PASSWD, group=members).additional_gids == (1001,)
    assert time.process_time() - start < 2


def test_missing_entries() -> None:
    def lines(user: str) -> tuple[str, str]:
        return missing_entries(user, passwd=PASSWD, group=GROUP, home="/srv")

    assert lines("4242") == ("4242:*:4242:0:container user:/srv:/bin/sh\n", "")
    assert lines("4242:900") == ("4242:*:4242:900:container user:/srv:/bin/sh\n", "900:x:900:4242\n")
    assert lines("4242:extra") == ("4242:*:4242:44:container user:/srv:/bin/sh\n", "")
    for user in ("", "web", "1000", "root:root"):
        assert lines(user) == ("", ""), user


def test_is_root() -> None:
    assert all(map(is_root, ("", "root", "0", "root:5", ":5")))
    assert not any(map(is_root, ("web", "1000", "00", "rooty")))
