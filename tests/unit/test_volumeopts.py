"""Options of volumes: what they say, what must be mounted for them, what is refused."""

import os

import pytest

from podlike.errors import UsageError
from podlike.spec.volumeopts import MountPlan, check_options, mount_plan, parse_options, parse_pairs


def test_owners_and_sizes_are_taken_out_of_o() -> None:
    found = parse_options({"type": "tmpfs", "o": "uid=5,gid=6,size=2M,noexec"})
    assert found.shown == {"type": "tmpfs", "UID": "5", "GID": "6", "SIZE": "2M", "o": "uid=5,gid=6,size=2M,noexec"}
    assert (found.uid, found.gid, found.owned, found.size) == (5, 6, True, "2M")


def test_noquota_and_timeout_do_not_reach_the_mount() -> None:
    found = parse_options({"o": "noquota,timeout=10"})
    assert found.shown == {"NOQUOTA": "true"} and found.noquota and found.timeout == 10
    assert mount_plan(found.shown) is None


def test_later_values_win_and_labels_need_no_value() -> None:
    assert parse_pairs(["a=1", "b", "a=2=3"], "labels") == {"a": "2=3", "b": ""}


@pytest.mark.parametrize(("options", "plan"), [
    ({}, None),
    ({"o": "uid=1,gid=2"}, None),
    ({"copy": ""}, None),
    ({"type": "tmpfs"}, MountPlan("tmpfs", "tmpfs", [])),
    ({"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=3"}, MountPlan("tmpfs", "tmpfs", ["size=1m", "uid=3"])),
    ({"type": "bind", "device": "/srv"}, MountPlan("bind", "/srv", ["bind"])),
    ({"type": "none", "o": "bind", "device": "//srv/"}, MountPlan("bind", "/srv", ["bind"])),
    ({"type": "none", "o": "rbind,ro,uid=5", "device": "x"}, MountPlan("bind", os.path.abspath("x"), ["rbind", "ro"])),
    ({"device": ":/export", "type": "nfs", "o": "addr=1.2.3.4"}, MountPlan("nfs", ":/export", ["addr=1.2.3.4"])),
    ({"type": "fuse.sshfs", "device": "h:/d"}, MountPlan("fuse.sshfs", "h:/d", [])),
])
def test_what_is_mounted(options: dict[str, str], plan: MountPlan | None) -> None:
    assert mount_plan(parse_options(options).shown) == plan


@pytest.mark.parametrize(("driver", "options", "words"), [
    ("local", {"type": "nfs", "device": ":/x"}, "of type nfs: the kernel lets only root mount it"),
    ("local", {"device": "/dev/sdb1"}, "the device /dev/sdb1"),
    ("local", {"type": "bind"}, "type=bind needs one"),
    ("local", {"o": "size=1m"}, "does not support Project Quota"),
    ("local", {"o": "size=1m,noquota"}, "cannot be used without quota"),
    ("local", {"type": "tmpfs", "o": "inodes=5"}, "inodes not supported on tmpfs"),
    ("local", {"colour": "red"}, "invalid mount option colour for driver 'local'"),
    ("image", {"image": "a", "type": "tmpfs"}, "invalid mount option type for driver 'image'"),
    ("image", {}, "must provide an image name"),
])
def test_what_an_ordinary_user_cannot_have(driver: str, options: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_options(driver, parse_options(options), rootless=True)


@pytest.mark.parametrize(("options", "words"), [
    ({"o": "uid"}, "uid option must provide a UID"),
    ({"o": "gid=x"}, "cannot convert GID x to integer"),
    ({"o": "uid=-1"}, "cannot be negative"),
    ({"o": "size=lots"}, "cannot convert size lots to integer"),
    ({"o": "inodes=-3"}, "cannot convert inodes -3 to integer"),
    ({"uid": "x"}, "cannot convert UID x to integer"),
])
def test_bad_values(options: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_options(options)


def test_root_may_mount_what_the_kernel_lets_it() -> None:
    check_options("local", parse_options({"type": "nfs", "device": ":/x"}), rootless=False)
    check_options("local", parse_options({"type": "fuse.sshfs", "device": "h:/d"}), rootless=True)
