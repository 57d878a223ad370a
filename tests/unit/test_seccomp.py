"""spec.seccomp: our profile against the one that is installed, and profile files."""

import json
import os
import time
from typing import Any

import pytest

from podlike.errors import UsageError
from podlike.spec import capabilities, seccomp

INSTALLED = "/usr/share/containers/seccomp.json"
ALL_CAPS = capabilities.KNOWN

# Names on which the installed profile may differ, because it was made for another release. Newer kernels'
# calls and the decisions of 2023 to 2025: AF_VSOCK refused, fanotify_init left to the kernel, syscall()
# refused.
EXPLAINED = {
    "cachestat",
    "fchmodat2",
    "futex_requeue",
    "futex_wait",
    "futex_waitv",
    "futex_wake",
    "io_pgetevents_time64",
    "map_shadow_stack",
    "quotactl_fd",  # not yet known in 2022
    "fanotify_init",
    "syscall",
    "socket",
    "swapcontext",  # decided anew since
    "readdir",
    "sigaction",
    "sigpending",
    "sigsuspend",
    "timerfd",  # dropped: no libseccomp architecture has them
    "bpf",
    "perf_event_open",  # CAP_BPF and CAP_PERFMON did not count yet
    # listed twice there, allowed and refused without CAP_SYS_ADMIN; libseccomp takes the first, and so do we
    "setns",
    "riscv_flush_icache",
    "riscv_hwprobe",  # riscv64 came later; glibc asks for hwprobe at every start
}


def effect(profile: dict[str, Any]) -> dict[str, set[str]]:
    out: dict[str, set[str]] = {}
    for rule in profile["syscalls"]:
        for name in rule["names"]:
            what = [rule["action"], rule.get("errnoRet"), [sorted(a.items()) for a in rule.get("args", ())]]
            out.setdefault(name, set()).add(json.dumps(what))
    return out


@pytest.mark.parametrize("arch", ["x86_64", "aarch64", "riscv64", "s390x", "ppc64le"])
@pytest.mark.parametrize("caps", [(), capabilities.DEFAULT, ALL_CAPS, ("CAP_BPF",), ("CAP_SYS_ADMIN",)])
def test_same_effect_as_the_installed_profile(arch: str, caps: tuple[str, ...]) -> None:
    if not os.path.exists(INSTALLED):
        pytest.skip("optional: containers-common is not installed")
    with open(INSTALLED) as f:
        theirs = seccomp.from_profile(json.load(f), caps=caps, arch=arch)
    assert theirs is not None
    ours = seccomp.default_profile(caps, arch)
    a, b = effect(ours), effect(theirs)
    differences = {name for name in a.keys() | b.keys() if a.get(name) != b.get(name)}
    assert differences - EXPLAINED == set()
    assert (ours["defaultAction"], ours["defaultErrnoRet"]) == (
        theirs["defaultAction"],
        theirs["defaultErrnoRet"],
    )
    if arch in ("x86_64", "aarch64", "s390x"):
        assert list(ours["architectures"]) == theirs["architectures"]


def allowed(caps: tuple[str, ...] = capabilities.DEFAULT, arch: str = "x86_64") -> set[str]:
    return {n for r in seccomp.default_profile(caps, arch)["syscalls"]
            if r["action"] == seccomp.ALLOW and "args" not in r for n in r["names"]}


def test_no_name_is_both_allowed_and_refused() -> None:
    for caps in ((), capabilities.DEFAULT, ALL_CAPS):
        rules = seccomp.default_profile(caps, "x86_64")["syscalls"]
        names = [n for r in rules if "args" not in r for n in r["names"]]
        assert len(names) == len(set(names)), {n for n in names if names.count(n) > 1}


def test_capabilities_open_calls() -> None:
    base = allowed(())
    for cap, name in (
        ("CAP_SYS_ADMIN", "bpf"),
        ("CAP_BPF", "bpf"),
        ("CAP_PERFMON", "perf_event_open"),
        ("CAP_SYS_MODULE", "init_module"),
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_TIME", "settimeofday"),
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
        ("CAP_SYS_PTRACE", "kcmp"),
    ):
        assert name not in base
        assert name in allowed((cap,)), cap


@pytest.mark.parametrize(
    "name",
    [
        "kexec_load",
        "userfaultfd",
        "io_uring_setup",
        "add_key",
        "request_key",
        "swapon",
        "open_by_handle_at",
        "bpf",
        "perf_event_open",
        "init_module",
        "personality",
    ],
)
def test_dangerous_calls_are_not_allowed(name: str) -> None:
    assert name not in allowed()


@pytest.mark.parametrize(
    "name",
    [
        "mount",
        "unshare",
        "clone3",
        "pivot_root",
        "openat2",
        "rseq",
        "memfd_create",
        "chroot",
        "setns",
        "ptrace",
        "statx",
        "epoll_pwait2",
        "fchmodat2",
        "landlock_create_ruleset",
    ],
)
def test_calls_that_programs_need_are_allowed(name: str) -> None:
    assert name in allowed()


def test_architectures() -> None:
    assert "arch_prctl" in allowed() and "arch_prctl" not in allowed(arch="aarch64")
    assert seccomp.default_profile((), "x86_64")["architectures"][0] == "SCMP_ARCH_X86_64"
    assert seccomp.default_profile((), "amd64") == seccomp.default_profile((), "x86_64")
    assert "architectures" not in seccomp.default_profile((), "vax")  # the runtime takes its native one


def test_is_cheap_and_ready_for_json() -> None:
    best = 1.0
    for _ in range(20):
        start = time.perf_counter()
        json.dumps(seccomp.default_profile(capabilities.DEFAULT, "x86_64"))
        best = min(best, time.perf_counter() - start)
    assert best < 0.0005


def profile(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules), **more}


def names(doc: dict[str, Any], *, caps: tuple[str, ...] = (), arch: str = "x86_64",
          kernel: tuple[int, int] = (6, 1)) -> list[str]:
    out = seccomp.from_profile(doc, caps=caps, arch=arch, kernel=kernel)
    assert out is not None
    return [n for r in out["syscalls"] for n in r["names"]]


def rule(name: str, **more: Any) -> dict[str, Any]:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", **more}


def test_profile_conditions() -> None:
    doc = profile(
        rule("inc", includes={"caps": ["CAP_A", "CAP_B"]}),
        rule("exc", excludes={"caps": ["CAP_A", "CAP_B"]}),
        rule("arm", includes={"arches": ["arm64"]}),
        rule("notarm", excludes={"arches": ["arm64"]}),
        rule("new", includes={"minKernel": "4.8"}),
        rule("old", excludes={"minKernel": "4.8"}),
    )
    assert names(doc) == ["exc", "notarm", "new"]
    assert names(doc, caps=("CAP_A",)) == ["notarm", "new"]
    assert names(doc, caps=("CAP_A", "CAP_B"), arch="aarch64", kernel=(4, 7)) == ["inc", "arm", "old"]
    assert names(doc, kernel=(4, 10))[-1] == "new"  # 4.10 is newer than 4.8


def test_profile_forms() -> None:
    doc = profile({"name": "one", "action": "SCMP_ACT_ERRNO", "errno": "EINVAL"},
                  rule("two", args=[{"index": 1, "value": 7, "valueTwo": 8, "op": "SCMP_CMP_MASKED_EQ"}]),
                  defaultErrno="ENOSYS", flags=["SECCOMP_FILTER_FLAG_LOG"],
                  archMap=[{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                           {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": None}])
    out = seccomp.from_profile(doc, caps=(), arch="x86_64")
    assert out == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [
            {"names": ["one"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22},
            {
                "names": ["two"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 1, "value": 7, "op": "SCMP_CMP_MASKED_EQ", "valueTwo": 8}],
            },
        ],
    }
    assert seccomp.from_profile({}, caps=(), arch="x86_64") is None
    assert seccomp.from_profile({"defaultAction": "SCMP_ACT_ALLOW"}, caps=(), arch="x86_64") == {
        "defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}


@pytest.mark.parametrize(("doc", "path"), [
    ([], "profile"),
    ({"defaultAction": "ALLOW"}, "defaultAction"),
    ({"syscalls": [rule("x")]}, "defaultAction"),
    (profile({"names": ["x"]}), "syscalls[0].action"),
    (profile(rule("a"), "b"), "syscalls[1]"),  # type: ignore[arg-type]
    (profile({"name": "x", "names": ["y"], "action": "SCMP_ACT_ALLOW"}), "syscalls[0]"),
    (profile(rule("x", args=[{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}])), "syscalls[0].args[0].index"),
    (profile(rule("x", args=[{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}])), "syscalls[0].args[0].value"),
    (profile(rule("x", args=[{"index": 0, "value": 1, "op": "EQ"}])), "syscalls[0].args[0].op"),
    (profile(rule("x", includes={"minKernel": "six"})), "syscalls[0].includes.minKernel"),
    (profile(rule("x", errno="EWHAT")), "syscalls[0].errno"),
    (profile(rule("x", includes=[1])), "syscalls[0].includes"),
    (profile(architectures=["A"], archMap=[{}]), "architectures"),
])
def test_bad_profiles_say_where(doc: object, path: str) -> None:
    with pytest.raises(UsageError) as e:
        seccomp.from_profile(doc, caps=(), arch="x86_64")
    assert e.value.message.startswith(f"loading seccomp profile failed: {path}: ")
