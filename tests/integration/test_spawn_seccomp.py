"""Filters of config.json: what they do, the cache of compiled ones, the listener."""

import array
import json
import os
import socket
from typing import Any

import pytest

from tests.support.box import NO_MKDIR, Box, reap

MKDIR = "mkdir /tmp/d 2>&1; grep Seccomp: /proc/self/status"
FILTERED = [
    "mkdir:",
    "can't",
    "create",
    "directory",
    "'/tmp/d':",
    "Operation",
    "not",
    "supported",
    "Seccomp:",
    "2",
]


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_seccomp(box: Box, no_new_privileges: bool) -> None:
    box.spec["linux"]["seccomp"] = NO_MKDIR
    box.spec["process"]["noNewPrivileges"] = no_new_privileges
    assert box.sh(MKDIR).split() == FILTERED
    cache = f"{box.root}/.cache/seccomp"
    (entry,) = os.listdir(cache)
    stamp = os.stat(f"{cache}/{entry}").st_mtime_ns
    assert box.sh(MKDIR).split() == FILTERED
    assert os.stat(f"{cache}/{entry}").st_mtime_ns == stamp
    with open(f"{cache}/{entry}", "wb") as f:
        f.write(b"damaged")
    assert box.sh(MKDIR).split() == FILTERED
    pid = box.start("sleep", "100")
    assert box("exec", "c", "sh", "-c", MKDIR).stdout.split() == FILTERED
    os.unlink(f"{cache}/{entry}")
    assert box("exec", "c", "sh", "-c", MKDIR).stdout.split() == FILTERED
    box.ok("delete", "--force", "c")
    assert reap(pid) == -9


def test_seccomp_cache_that_cannot_be_written(box: Box) -> None:
    box.spec["linux"]["seccomp"] = NO_MKDIR
    os.mkdir(box.root)
    with open(f"{box.root}/.cache", "w"):
        pass
    assert box.sh(MKDIR).split() == FILTERED


def test_seccomp_listener(box: Box) -> None:
    """The fd that answers for system calls reaches a socket of the host, with the container's state."""
    path = f"{box.dir}/listener.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    listener.settimeout(10)
    notify = {"names": ["sethostname"], "action": "SCMP_ACT_NOTIFY"}
    box.spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "meta"}
    box.spec["linux"]["seccomp"]["syscalls"] = [notify]
    assert box.sh("grep Seccomp: /proc/self/status").split()[1] == "2"
    peer, _ = listener.accept()
    data, anc, _, _ = peer.recvmsg(65536, socket.CMSG_SPACE(4))
    (fd,) = array.array("i", anc[0][2][:4])
    assert os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:seccomp notify"
    message = json.loads(data)
    assert (message["fds"], message["metadata"], message["state"]["id"]) == (["seccompFd"], "meta", "c")
    for closing in (peer, listener):
        closing.close()
    os.close(fd)
    box.spec["linux"]["seccomp"]["listenerPath"] = "/no/such.sock"
    p = box.run("true")
    words = "linux.seccomp.listenerPath: open seccomp listener `/no/such.sock`: No such file or directory\n"
    assert p.returncode == 1 and p.stderr == words


def rule(action: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


def seccomp(box: Box, *rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **more: Any) -> None:
    box.spec["linux"]["seccomp"] = {"defaultAction": default, "syscalls": list(rules), **more}


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("SCMP_ACT_KILL", 128 + 31),
        ("SCMP_ACT_KILL_THREAD", 128 + 31),
        ("SCMP_ACT_KILL_PROCESS", 128 + 31),
        ("SCMP_ACT_TRAP", 128 + 31),
        ("SCMP_ACT_ERRNO", 1),
        ("SCMP_ACT_TRACE", 1),
        ("SCMP_ACT_LOG", 0),
        ("SCMP_ACT_ALLOW", 0),
    ],
)
def test_seccomp_actions(any_box: Box, action: str, code: int) -> None:
    seccomp(any_box, rule(action, "mkdir", "mkdirat"))
    assert any_box.run("sh", "-c", "mkdir /tmp/x; exit $?").returncode == code


@pytest.mark.parametrize(
    ("op", "value", "two", "allowed"),
    [
        ("SCMP_CMP_EQ", 9, None, "not 9"),
        ("SCMP_CMP_NE", 9, None, "9"),
        ("SCMP_CMP_LT", 9, None, "9 15"),
        ("SCMP_CMP_LE", 9, None, "15"),
        ("SCMP_CMP_GT", 9, None, "9 1"),
        ("SCMP_CMP_GE", 9, None, "1"),
        ("SCMP_CMP_MASKED_EQ", 0xFF, 9, "not 9"),
    ],
)
def test_seccomp_operators(any_box: Box, op: str, value: int, two: int | None, allowed: str) -> None:
    """kill(2) with signal 1, 9 or 15 to a process that is not there: ESRCH if it is allowed, else our errno."""
    arg = {"index": 1, "value": value, "op": op, **({"valueTwo": two} if two is not None else {})}
    seccomp(any_box, rule("SCMP_ACT_ERRNO", "kill", errnoRet=95, args=[arg]))
    out = any_box.run("sh", "-c", "for s in 1 9 15; do kill -$s 30000; done").stderr.splitlines()
    free = [s for s, line in zip("1 9 15".split(), out, strict=True) if "No such process" in line]
    wanted = [s for s in "1 9 15".split() if s != "9"] if allowed == "not 9" else allowed.split()
    assert sorted(free) == sorted(wanted), out


def test_seccomp_errno(any_box: Box) -> None:
    seccomp(any_box, rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat"), rule("SCMP_ACT_ERRNO", "symlink", "symlinkat", errnoRet=28))
    p = any_box.run("sh", "-c", "mkdir /tmp/x; ln -s a /tmp/y")
    assert "Operation not permitted" in p.stderr and "No space left" in p.stderr


@pytest.mark.parametrize(
    "flags", [[], ["SECCOMP_FILTER_FLAG_LOG"], ["SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"]]
)
def test_seccomp_flags_and_architectures(any_box: Box, flags: list[str]) -> None:
    arches = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_RISCV64"]
    seccomp(any_box, rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat"), flags=flags, architectures=arches)
    assert any_box.sh("mkdir /tmp/x 2>/dev/null; grep Seccomp: /proc/self/status; ls /tmp").split() == ["Seccomp:", "2"]


def test_unknown_system_call(any_box: Box) -> None:
    seccomp(any_box, rule("SCMP_ACT_ERRNO", "no_such_call", "mkdir"))
    assert any_box.sh("echo fine") == "fine\n"
    any_box.spec["annotations"] = {"run.oci.seccomp_fail_unknown_syscall": "1"}
    p = any_box.run("true")
    assert p.stderr == 'linux.seccomp.syscalls[0].names[0]: unknown system call "no_such_call"\n'


def test_cache_of_filters_is_not_trusted_blindly(any_box: Box) -> None:
    """Cut, changed, somebody else's to write, or not a file: the filter is compiled again."""
    seccomp(any_box, rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat"))
    script = "mkdir /tmp/x 2>/dev/null && echo let through; grep Seccomp: /proc/self/status"
    assert any_box.sh(script).split() == ["Seccomp:", "2"]
    cache = f"{any_box.root}/.cache/seccomp"
    (name,) = os.listdir(cache)
    with open(f"{cache}/{name}", "rb") as f:
        good = f.read()

    def spoil(data: bytes, mode: int = 0o600) -> None:
        os.unlink(f"{cache}/{name}")
        with open(f"{cache}/{name}", "wb") as f:
            f.write(data)
        os.chmod(f"{cache}/{name}", mode)

    allow = b"\x06\0\0\0\0\0\xff\x7f"
    for data in (
        b"",
        good[:10],
        good[:-8],
        good + allow,
        good[: len(good) - 8] + allow,
        good[:24] + allow * ((len(good) - 24) // 8),
    ):
        spoil(data)
        assert any_box.sh(script).split() == ["Seccomp:", "2"]
    stamp = os.stat(f"{cache}/{name}").st_ino
    assert any_box.sh(script).split() == ["Seccomp:", "2"] and os.stat(f"{cache}/{name}").st_ino == stamp, "a good one is used"
    spoil(good, 0o666)
    assert any_box.sh(script).split() == ["Seccomp:", "2"] and os.stat(f"{cache}/{name}").st_mode & 0o777 == 0o600
    os.unlink(f"{cache}/{name}")
    os.mkfifo(f"{cache}/{name}")
    assert any_box.sh(script).split() == ["Seccomp:", "2"]


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_listener(any_box: Box, no_new_privileges: bool) -> None:
    path = f"{any_box.dir}/agent.sock"
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(path)
        agent.listen()
        agent.settimeout(10)
        seccomp(any_box, rule("SCMP_ACT_NOTIFY", "sethostname"), listenerPath=path, listenerMetadata='quote " and \\ back')
        any_box.spec["process"]["noNewPrivileges"] = no_new_privileges
        pid = any_box.start("sleep", "100")
        peer, _ = agent.accept()
        with peer:
            text, control, _, _ = peer.recvmsg(65536, socket.CMSG_SPACE(4))
            assert peer.recv(10) == b"", "one state a connection"
    (fd,) = array.array("i", control[0][2][:4])
    assert os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:seccomp notify"
    os.close(fd)
    message = json.loads(text)
    assert (message["fds"], message["metadata"]) == (["seccompFd"], 'quote " and \\ back')
    assert message["pid"] == message["state"]["pid"] == pid, "as the runtime sees it"
    assert (message["state"]["id"], message["state"]["status"]) == ("c", "creating")
