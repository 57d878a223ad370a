"""The small parsers behind config.json: signals, capabilities, devices, rlimits, sysctls, masked paths."""

import signal
from typing import Any

import pytest

from podlike.errors import UsageError
from podlike.spec import capabilities, devices, masks, rlimits, signals, sysctls
from podlike.spec.capabilities import DEFAULT, KNOWN


@pytest.mark.parametrize(("text", "number"), [
    ("TERM", 15), ("SIGTERM", 15), ("sigterm", 15), ("15", 15), ("-9", 9), ("-KILL", 9), ("RTMIN", 34),
    ("SIGRTMIN+3", 37), ("rtmax-1", 63), ("RTMAX", 64), ("64", 64), ("POLL", 29), ("SYS", 31),
])
def test_signal(text: str, number: int) -> None:
    assert signals.parse(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "65",
        "-",
        "SIG",
        "WHAT",
        "RTMIN+31",
        "RTMIN-1",
        "RTMAX+1",
        "RTMIN+",
        "RTMINX",
        "1.5",
        "٣",
        "RTMIN+٣",
        "999999999999",
    ],
)
def test_bad_signal(text: str) -> None:
    with pytest.raises(UsageError, match="^(invalid signal: |valid signals are 1 through 64$)"):
        signals.parse(text)


def test_signal_names_agree_with_the_system() -> None:
    for sig in signal.Signals:
        if sig.name not in ("SIGRTMIN", "SIGRTMAX"):
            assert signals.parse(sig.name) == sig.value
            assert signals.parse(signals.name_of(sig.value)) == sig.value
    assert (
        signals.name_of(15) == "SIGTERM"
        and signals.name_of(34) == "SIGRTMIN"
        and signals.name_of(37) == "SIGRTMIN+3"
    )


def sets(**kw: Any) -> capabilities.CapabilitySets:
    args: dict[str, Any] = {"add": (), "drop": (), "privileged": False, "root": True, "bounding": KNOWN, **kw}
    return capabilities.container_sets(**args)


def test_default_capabilities() -> None:
    s = sets()
    assert s.bounding == s.effective == s.permitted == sorted(DEFAULT)
    assert s.inheritable == s.ambient == []
    assert set(s.to_oci()) == {"bounding", "effective", "permitted"}


@pytest.mark.parametrize(("add", "drop", "expected"), [
    (["net_raw"], [], {*DEFAULT, "CAP_NET_RAW"}),
    (["CAP_NET_RAW"], ["chown"], {*DEFAULT, "CAP_NET_RAW"} - {"CAP_CHOWN"}),
    (["chown", "Net_Raw"], ["all"], {"CAP_CHOWN", "CAP_NET_RAW"}),
    (["ALL"], [], set(KNOWN)),
    (["all"], ["SYS_ADMIN"], set(KNOWN) - {"CAP_SYS_ADMIN"}),
    ([], ["ALL"], set()),
    ([], ["setuid", "SETUID"], set(DEFAULT) - {"CAP_SETUID"}),
])
def test_add_and_drop(add: list[str], drop: list[str], expected: set[str]) -> None:
    assert set(sets(add=add, drop=drop).bounding) == expected


@pytest.mark.parametrize(("add", "drop", "message"), [
    (["nope"], [], '"CAP_NOPE": unknown capability'),
    ([], ["nope"], '"CAP_NOPE": unknown capability'),
    (["all"], ["ALL"], "adding all caps and removing all caps not allowed"),
    (["chown"], ["CAP_CHOWN"], 'capability "CAP_CHOWN" cannot be dropped and added'),
])
def test_capability_errors(add: list[str], drop: list[str], message: str) -> None:
    with pytest.raises(UsageError) as e:
        sets(add=add, drop=drop)
    assert e.value.message == message


def test_other_users_capabilities() -> None:
    plain = sets(root=False)
    assert plain.bounding == sorted(DEFAULT)
    assert plain.effective == plain.permitted == plain.inheritable == plain.ambient == []
    added = sets(root=False, add=["net_admin"])
    assert added.effective == added.permitted == added.inheritable == added.ambient == ["CAP_NET_ADMIN"]
    assert "CAP_NET_ADMIN" in added.bounding
    assert sets(root=False, privileged=True).effective == []
    assert len(sets(root=False, privileged=True).bounding) == len(KNOWN)


def test_nothing_outside_the_bounding_set() -> None:
    few = ("CAP_CHOWN", "CAP_KILL")
    for more in (
        {},
        {"add": ["all"]},
        {"add": ["net_admin"]},
        {"privileged": True},
        {"drop": ["all"], "add": ["bpf"]},
    ):
        s = sets(bounding=few, **more)
        assert all(set(part) <= set(few) for part in s), more


def test_image_label_only_takes_away() -> None:
    assert sets(image_wants="setuid,CHOWN").bounding == ["CAP_CHOWN", "CAP_SETUID"]
    assert sets(image_wants="").bounding == []
    assert sets(image_wants="sys_admin").bounding == sorted(DEFAULT)
    assert len(sets(image_wants="chown", privileged=True).bounding) == len(KNOWN)


def test_mask_of_the_kernel() -> None:
    assert capabilities.from_mask(0x800405FB) == tuple(sorted(DEFAULT))
    assert capabilities.from_mask(1 << 60) == ()


@pytest.mark.parametrize(("text", "expected"), [
    ("/dev/fuse", ("/dev/fuse", "/dev/fuse", "rwm")), ("/dev/fuse:rw", ("/dev/fuse", "/dev/fuse", "rw")),
    ("/dev/a:/dev/b", ("/dev/a", "/dev/b", "rwm")), ("/dev/a:/dev/b:r", ("/dev/a", "/dev/b", "r")),
    ("/dev/a::r", ("/dev/a", "/dev/a", "r")),
])
def test_device(text: str, expected: tuple[str, str, str]) -> None:
    assert devices.parse(text) == expected


@pytest.mark.parametrize("text", ["", ":/x", "/a:/b:", "/a:/b:x", "/a:/b:rr", "/a:b", "/a:/b:r:w"])
def test_bad_device(text: str) -> None:
    with pytest.raises(UsageError):
        devices.parse(text)


def test_privileged_devices_are_not_the_hosts_terminals() -> None:
    assert all(map(devices.is_for_privileged, ("/dev/null", "/dev/ttyUSB0", "/dev/fuse", "/dev/net/tun")))
    assert not any(
        map(devices.is_for_privileged, ("/dev/tty", "/dev/tty0", "/dev/tty63", "/dev/ptmx", "/dev/console"))
    )


def limits(*asked: str, rootless: bool = True, **own: tuple[int, int]) -> dict[str, tuple[int, int]]:
    out = rlimits.to_oci(asked, own=own, rootless=rootless)
    return {str(r["type"]): (r["soft"], r["hard"]) for r in out}  # type: ignore[misc]


def test_rlimits() -> None:
    mib = rlimits.DEFAULT
    assert limits(rootless=False) == {"RLIMIT_NOFILE": (mib, mib), "RLIMIT_NPROC": (mib, mib)}
    assert limits(nofile=(1024, 4096), nproc=(10, rlimits.UNLIMITED)) == {
        "RLIMIT_NOFILE": (1024, 4096), "RLIMIT_NPROC": (10, mib)}
    assert limits("nofile=5:6", "RLIMIT_core=0", nproc=(1, 2)) == {
        "RLIMIT_NOFILE": (5, 6), "RLIMIT_CORE": (0, 0), "RLIMIT_NPROC": (1, 2)}
    assert limits("core=-1", core=(0, 77))["RLIMIT_CORE"] == (77, 77)
    assert limits("core=-1", rootless=False)["RLIMIT_CORE"] == (rlimits.UNLIMITED,) * 2
    assert limits("nofile=5", "host", nofile=(8, 9), nproc=(1, 2)) == {
        "RLIMIT_NOFILE": (8, 9),
        "RLIMIT_NPROC": (1, 2),
    }


@pytest.mark.parametrize(
    "text",
    ["", "nofile", "nofile=", "nofile=x", "files=1", "nofile=2:1", "nofile=-1:5", "nofile=1:2:3", "=1"],
)
def test_bad_rlimit(text: str) -> None:
    with pytest.raises(UsageError):
        rlimits.parse(text)


def test_ulimit_beyond_the_own_one_is_refused_early() -> None:
    with pytest.raises(UsageError, match="set ulimit nofile=5:20: the hard limit of your user is 10"):
        limits("nofile=5:20", nofile=(5, 10))
    assert limits("nofile=5:20", nofile=(5, 10), rootless=False)["RLIMIT_NOFILE"] == (5, 20)


def params(
    asked: dict[str, str], *, net: bool = True, ipc: bool = True, uts: bool = True, host: str = ""
) -> dict[str, str]:
    return sysctls.to_oci(asked, default=sysctls.DEFAULT, own_net=net, own_ipc=ipc, own_uts=uts,
                          host={host: True} if host else {})


def test_sysctls() -> None:
    assert params({}) == {"net.ipv4.ping_group_range": "0 0"}
    assert params({}, net=False) == {}
    assert params(
        {"net.ipv4.ping_group_range": "0 5", "fs.mqueue.msg_max": "9", "kernel.sem": "1 2 3 4"}
    ) == {"net.ipv4.ping_group_range": "0 5", "fs.mqueue.msg_max": "9", "kernel.sem": "1 2 3 4"}


@pytest.mark.parametrize(
    ("asked", "host", "message"),
    [
        ({"vm.swappiness": "1"}, "", "sysctl 'vm.swappiness' is not allowed"),
        ({"kernel.core_pattern": "|x"}, "", "sysctl 'kernel.core_pattern' is not allowed"),
        (
            {"net.x": "1"},
            "net",
            "sysctl net.x=1 can't be set since Network Namespace set to host: invalid argument",
        ),
        (
            {"fs.mqueue.x": "1"},
            "ipc",
            "sysctl fs.mqueue.x=1 can't be set since IPC Namespace set to host: invalid argument",
        ),
        (
            {"kernel.domainname": "x"},
            "uts",
            "sysctl kernel.domainname=x can't be set since UTS Namespace set to host: invalid argument",
        ),
    ],
)
def test_sysctl_errors(asked: dict[str, str], host: str, message: str) -> None:
    with pytest.raises(UsageError) as e:
        params(asked, host=host)
    assert e.value.message == message


def masked(*unmask: str, mask: tuple[str, ...] = (), privileged: bool = False) -> list[str]:
    return masks.masked_paths(mask=mask, unmask=unmask, privileged=privileged, host_paths=["/sys/t"])


def test_masks() -> None:
    assert masked() == [*masks.MASKED, "/sys/t"]
    assert masked("ALL") == masked("all") == masked(privileged=True) == []
    assert set(masked()) - set(masked("/proc/kcore:/sys/firmware/")) == {"/proc/kcore", "/sys/firmware"}
    assert set(masked()) - set(masked("/proc/*")) == {p for p in masks.MASKED if p.startswith("/proc/")}
    assert "/sys/fs/selinux" in masked("/sys/*")  # a wildcard does not cross a slash
    assert masked("ALL", mask=("/a:/b", "rel", "/a")) == ["/a", "/b"]
    assert masked(privileged=True, mask=("/a",)) == ["/a"]
    assert masks.readonly_paths(unmask=["/proc/sys"], privileged=False) == [
        p for p in masks.READONLY if p != "/proc/sys"
    ]
    assert masks.readonly_paths(unmask=[], privileged=True) == []


def test_ulimit_order_in_podmans_words() -> None:
    begin = 'ulimit option "{}" requires name=SOFT:HARD, failed to be parsed: '
    for text, words in (("core=-1:1000", "soft: -1 (unlimited), hard: 1000"), ("nofile=20:10", "20 > 10")):
        with pytest.raises(UsageError) as e:
            rlimits.parse(text)
        assert e.value.message == (begin.format(text) + "ulimit soft limit must be less than or equal to hard limit: "
                                   + words)
        assert e.value.hint is None
