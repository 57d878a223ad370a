"""Each system call of podlike-spawn fails once, or its process is killed there: nothing may be left, nothing unguarded.

tests/support/fault.c says which calls are left out and how they are counted. Every call of `create`, `run`, `start`,
`exec`, `kill` and `delete` is addressed as PROCESS:NUMBER. By default a sample of them is tried, small enough for each
change; PODLIKE_FAULTS=all tries every call with every error, and the processes of `create` and `exec` are killed at
every call.

What must hold after each: the command succeeds and the container is as without a fault, or it says why not in one line.
A program that ran at all ran with every restriction of its configuration.
"""

import contextlib
import errno
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.support.box import CAPS, Box
from tests.support.need import need

FULL = os.environ.get("PODLIKE_FAULTS") == "all"
THIN = 3 if os.geteuid() == 0 else 1  # root's way is mostly the same
SOURCE = os.path.join(os.path.dirname(__file__), "..", "support", "fault.c")
UNREACHED, TOOL_FAILED = 98, 99

# Calls that may be interrupted (signal(7)), or fail for reasons of a device.
INTERRUPTIBLE = set(
    "open openat openat2 read write pread64 pwrite64 sendto recvfrom sendmsg recvmsg accept4 connect wait4 "
    "waitid poll ppoll flock nanosleep clock_nanosleep dup2 dup3 statfs fstatfs".split()
)
IO = set("read write pread64 pwrite64 openat openat2 mkdirat unlinkat rename renameat readlink statfs".split())

REPORT = r"""
grep -E '^(Uid|Gid|Groups|NoNewPrivs|Seccomp|Cap)' /proc/self/status
hostname; pwd; ulimit -n; umask; cat /proc/self/cgroup /proc/self/oom_score_adj
cut -d' ' -f4,5,6 /proc/self/mountinfo
for ns in net ipc uts pid mnt cgroup; do
    test "$(readlink /proc/self/ns/$ns)" = "$(grep ^$ns: /hostns)" && echo $ns is the host; done
ls /proc/self/fd /dev /; cat /secret/file; ls /masked; echo x 2>&1 > /ro/file
mkdir /tmp/forbidden 2>&1; rm -rf /tmp/forbidden
grep -q _ses.c /proc/keys && echo a keyring of its own; cat /proc/sys/net/ipv4/ip_unprivileged_port_start
stat -c '%t:%T' /dev/null /dev/fuse; echo "$A"; echo complete
"""


class Call(NamedTuple):
    process: int
    number: int
    name: str
    first: int  # argument

    def tells(self) -> bool:
        """Words on their way out: when they are lost there is nobody to tell."""
        return self.name == "write" and self.first == 2

    def __str__(self) -> str:
        return f"{self.process}:{self.number} {self.name}"


def own_cgroup() -> str:
    with open("/proc/self/cgroup") as f:
        return next((line[3:].rstrip("\n") for line in f if line.startswith("0::")), "/")


def syscall_names() -> dict[int, str]:
    path = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
    need(os.path.exists(path), f"{path} is missing: install linux-libc-dev")
    with open(path) as f:
        return {int(n): name for name, n in re.findall(r"#define __NR_(\w+) (\d+)", f.read())}


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> str:
    need(platform.machine() == "x86_64", "optional: system calls are counted on x86_64 only")
    need(shutil.which("cc"), "no C compiler")
    path = str(tmp_path_factory.mktemp("fault") / "fault")
    subprocess.run(["cc", "-O1", "-o", path, SOURCE], check=True)
    return path


@pytest.fixture(autouse=True)
def time_limit() -> Iterator[None]:
    """Instead of the usual one: every command here has a limit of its own."""
    yield


def children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as f:
        return [int(p) for p in f.read().split()]


class Bench:
    """One box with a bundle as podman makes it, and the fault tool."""

    def __init__(self, box: Box, tool: str) -> None:
        self.box = box
        self.tool = tool
        self.holder = int(box.enter[2]) if box.enter else 0
        self.before = children()  # the holder of the namespaces, and what other tests keep
        self.names = syscall_names()
        self.findings: list[str] = []
        self.out, self.err = f"{box.dir}/out", f"{box.dir}/err"
        self.pid_file = f"{box.dir}/pid"
        parent = os.path.dirname(own_cgroup())
        self.cgroup = ""
        if os.access(f"/sys/fs/cgroup{parent}", os.W_OK) and parent != "/":
            self.cgroup = f"{parent}/faults-{os.getpid()}"
        self.write_bundle()
        self.mounts = self.read_mounts()

    def write_bundle(self) -> None:
        box, rootfs = self.box, self.box.rootfs
        for d in ("masked", "ro", "data", "lib"):
            os.makedirs(f"{rootfs}/{d}", exist_ok=True)
        for applet in ("rm", "test", "["):
            with contextlib.suppress(FileExistsError):
                os.symlink("busybox", f"{rootfs}/bin/{applet}")
        with open(f"{rootfs}/secret/file", "w") as f:
            f.write("secret\n")
        with open(f"{rootfs}/masked/hidden", "w") as f:
            f.write("secret\n")
        with open(f"{rootfs}/ro/file", "w") as f:
            f.write("old\n")
        with open(f"{rootfs}/hostns", "w") as f:
            f.writelines(os.readlink(f"/proc/self/ns/{n}") + "\n" for n in ("net", "ipc", "uts", "pid", "mnt", "cgroup"))
        with open(f"{rootfs}/report", "w") as f:
            f.write(REPORT)
        with open(f"{box.dir}/hosts", "w") as f:
            f.write("127.0.0.1 localhost\n")
        spec = box.spec
        process = spec["process"]
        process["user"]["additionalGids"] = [7]
        process["noNewPrivileges"] = True
        process["oomScoreAdj"] = 500
        process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 512}]
        process["capabilities"]["inheritable"] = []
        spec["mounts"] += [
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "size=64k"]},
            {
                "destination": "/etc/hosts",
                "type": "bind",
                "source": f"{box.dir}/hosts",
                "options": ["bind", "rprivate", "ro", "nosuid"],
            },
            {"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "ro"]},
            {
                "destination": "/sys/fs/cgroup",
                "type": "cgroup",
                "source": "cgroup",
                "options": ["rprivate", "nosuid", "noexec", "nodev", "ro"],
            },
        ]
        linux = spec["linux"]
        linux["maskedPaths"] = ["/secret/file", "/masked", "/proc/kcore", "/not/there"]
        linux["readonlyPaths"] = ["/ro", "/proc/sys"]
        linux["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "99"}
        linux["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}]
        if self.cgroup:
            linux["cgroupsPath"] = self.cgroup
        linux["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
        }
        true = [{"path": "/bin/true", "args": ["true"]}]
        spec["hooks"] = dict.fromkeys(("createRuntime", "createContainer", "poststart", "poststop"), true)
        spec["hooks"]["startContainer"] = true
        process["args"] = ["sh", "/report"]
        box.write()
        with open(f"{box.dir}/process.json", "w") as f:
            json.dump({**process, "capabilities": {"bounding": CAPS[:2], "effective": CAPS[:2], "permitted": CAPS[:2]}}, f)

    def read_mounts(self) -> list[str]:
        with open(f"/proc/{self.holder or 'self'}/mountinfo") as f:
            return sorted(line.split(" ", 1)[1] for line in f)

    # --- one command ------------------------------------------------------------------------------------------------

    def call(self, *command: str, fault: tuple[str, ...] = ()) -> int:
        """Run the runtime, with a fault; its output goes to files."""
        argv = self.box.argv(*command)
        if fault:
            argv = [self.tool, *fault, "--", *argv]
        with open(self.out, "w") as out, open(self.err, "w") as err:
            try:
                return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=20).returncode
            except subprocess.TimeoutExpired:
                return -1

    def report(self) -> list[str]:
        with open(self.out) as f:
            return f.read().splitlines()

    def words(self) -> str:
        with open(self.err) as f:
            return f.read()

    def calls(self, *command: str, code: int = 0) -> list[Call]:
        """What the command does without a fault."""
        path = f"{self.box.dir}/calls"
        assert self.call(*command, fault=("--list", path)) == code, self.words()
        found = []
        with open(path) as f:
            for line in f:
                process, number, nr, first = (int(w) for w in line.split()[:4])
                found.append(Call(process, number, self.names.get(nr, str(nr)), first))
        return sorted(found)

    # --- what must hold ---------------------------------------------------------------------------------------------

    def bad(self, what: object, why: str) -> None:
        self.findings.append(f"{what}: {why}")

    def check_words(self, what: object, code: int) -> None:
        words = self.words().splitlines()
        if code < 0 or code >= 128:
            self.bad(what, f"ended by a signal or the time limit: {code} {words}")
        elif len(words) != 1:
            self.bad(what, f"exit code {code} with {len(words)} lines of error: {words}")
        elif re.search(r"Success$|^podlike-spawn: |^$", words[0]) or " " not in words[0]:
            self.bad(what, f"poor words: {words[0]}")

    def check_report(self, what: object, reference: list[str], *, whole: bool) -> None:
        """A program that ran was guarded as it should be."""
        got = self.report()
        if (whole and got != reference) or got != reference[: len(got)]:
            difference = [f"{a!r} not {b!r}" for a, b in zip(got, reference, strict=False) if a != b]
            self.bad(what, f"the program ran otherwise ({len(got)} of {len(reference)} lines): {difference[:4]}")

    def reap(self, seconds: float = 3, keep: int = 0) -> list[int]:
        """Take in ended children; those that live after this time are returned, but for `keep`."""
        deadline = time.monotonic() + seconds
        known = (*self.before, keep)
        while True:
            with contextlib.suppress(ChildProcessError):
                while (os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                    os.waitpid(-1, os.WNOHANG)
            left = [p for p in children() if p not in known]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.002)

    def check_clean(self, what: object, *, seconds: float = 3) -> None:
        if left := self.reap(seconds):
            self.bad(what, f"processes are left: {[describe(p) for p in left]}")
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        if ids := [n for n in os.listdir(self.box.root) if n != ".cache"]:
            self.bad(what, f"state is left: {ids} {os.listdir(f'{self.box.root}/{ids[0]}')}")
        if self.cgroup and os.path.exists(f"/sys/fs/cgroup{self.cgroup}"):
            self.bad(what, "the cgroup is left")
        if self.read_mounts() != self.mounts:
            self.bad(what, "mounts are left")
        if os.path.exists(self.pid_file):
            self.bad(what, "the pid file is left")

    def tidy(self, what: object) -> None:
        """delete --force, after which nothing may be left whatever happened."""
        code = self.call("delete", "--force", "c")
        if code != 0 or self.words():
            self.bad(what, f"delete --force: {code} {self.words()}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.pid_file)
        self.check_clean(f"{what}, delete --force")


def describe(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline") as c, open(f"/proc/{pid}/wchan") as w:
            return f"{pid} {c.read()!r} in {w.read()}"
    except OSError:
        return str(pid)


@pytest.fixture
def bench(any_box: Box, tool: str) -> Iterator[Bench]:
    b = Bench(any_box, tool)
    yield b
    b.reap()


REFUSED_BY_NAMESPACE = ("mount", "mknodat", "fsopen", "fsconfig", "fsmount")


def errors(call: Call) -> list[int]:
    """Not EPERM for mounts and mknod(2): it means that a namespace is not ours, and another way is taken."""
    found = [errno.EIO if call.name in REFUSED_BY_NAMESPACE else errno.EPERM, errno.ENOMEM]
    if call.tells():
        return [errno.EINTR]
    if call.name in INTERRUPTIBLE:
        found.append(errno.EINTR)
    if call.name in IO:
        found.append(errno.EIO)
    return found


def sample(calls: list[Call], every: int) -> Iterator[tuple[Call, int]]:
    """Calls with the errors they are to give: all of both, or every n-th with one error each."""
    for i, call in enumerate(calls):
        if FULL:
            yield from ((call, e) for e in errors(call))
        elif i % (every * THIN if every > 1 else 1) == 0:
            possible = errors(call)
            yield call, possible[i // every % len(possible)]


def fault(call: Call, error: int | None = None) -> tuple[str, ...]:
    how = ("--kill",) if error is None else ("--errno", str(error))
    return ("--at", f"{call.process}:{call.number}", *how)


CREATE = ("create", "--pid-file", "{pid}", "-b", "{bundle}", "c")
RUN = ("run", "--pid-file", "{pid}", "-b", "{bundle}", "c")


def command(bench: Bench, words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(w.format(pid=bench.pid_file, bundle=bench.box.bundle) for w in words)


def reference_run(bench: Bench) -> list[str]:
    assert bench.call(*command(bench, RUN)) == 0, bench.words()
    reference = bench.report()
    assert reference[-1] == "complete" and bench.words() == "", bench.words()
    os.unlink(bench.pid_file)
    bench.check_clean("without a fault")
    assert bench.findings == []
    return reference


def finish(bench: Bench, tried: int) -> None:
    print(f"{tried} faults tried, {len(bench.findings)} findings")
    assert tried > 10
    assert not bench.findings, "\n".join(bench.findings)


def test_create(bench: Bench) -> None:
    reference = reference_run(bench)
    calls = bench.calls(*command(bench, CREATE))
    bench.tidy("list")
    tried = 0
    for call, error in sample(calls, 6):
        what = f"create, {call} fails with {errno.errorcode[error]}"
        code = bench.call(*command(bench, CREATE), fault=fault(call, error))
        if code == UNREACHED:
            bench.tidy(what)
            continue
        tried += 1
        if code == 0:
            log = bench.words()
            with open(bench.pid_file) as f:
                pid = int(f.read())
            if started := bench.box("start", "c").stderr:
                bench.bad(what, f"start says {started}")
            if left := [p for p in bench.reap(10) if p == pid]:
                bench.bad(what, f"the container does not end: {left}")
            bench.check_report(what, reference, whole=True)
            if log:
                bench.bad(what, f"success, but: {log}")
        else:
            bench.check_words(what, code)
            bench.check_report(what, [], whole=True)
            bench.check_clean(what)
        bench.tidy(what)
    finish(bench, tried)


def test_run(bench: Bench) -> None:
    reference = reference_run(bench)
    tried = 0
    for call, error in sample(bench.calls(*command(bench, RUN)), 4):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(bench.pid_file)
        what = f"run, {call} fails with {errno.errorcode[error]}"
        code = bench.call(*command(bench, RUN), fault=fault(call, error))
        if code == UNREACHED:
            continue
        tried += 1
        bench.check_report(what, reference, whole=code == 0)
        if code != 0:
            bench.check_words(what, code)
        bench.tidy(what)
    finish(bench, tried)


def test_start(bench: Bench) -> None:
    reference = reference_run(bench)
    assert bench.call(*command(bench, CREATE)) == 0
    calls = bench.calls("start", "c")
    bench.reap()
    bench.tidy("list")
    tried = 0
    for call, error in sample(calls, 1):
        what = f"start, {call} fails with {errno.errorcode[error]}"
        assert bench.call(*command(bench, CREATE)) == 0, bench.words()
        os.rename(bench.out, f"{bench.out}.c")  # the container's, which `start` must not overwrite
        code = bench.call("start", "c", fault=fault(call, error))
        tried += 1
        if code == 0:
            bench.reap(10)
            words = bench.words()
        else:
            bench.check_words(what, code)
            words = ""
            gone = bench.box.ids() == []  # a poststart hook that fails ends the container
            if gone and "hook" not in bench.words():
                bench.bad(what, "the container is gone")
            if not gone and (status := bench.box.state()["status"]) not in ("created", "stopped"):
                bench.bad(what, f"failed, but the container is {status}")
        os.rename(f"{bench.out}.c", bench.out)
        bench.check_report(what, reference, whole=code == 0)
        if words and not words.startswith("warning: "):
            bench.bad(what, f"success, but: {words}")
        bench.tidy(what)
    finish(bench, tried)


def running(bench: Bench) -> int:
    """A container that sleeps, under the configuration of the bundle."""
    bench.box.spec["process"]["args"] = ["sleep", "1000"]
    pid = bench.box.create(name="c")
    bench.box.ok("start", "c")
    return pid


def test_exec(bench: Bench) -> None:
    pid = running(bench)
    words = ("exec", "--process", f"{bench.box.dir}/process.json", "c")
    assert bench.call(*words) == 0, bench.words()
    reference = bench.report()
    assert reference[-1] == "complete"
    tried = 0
    for call, error in sample(bench.calls(*words), 2):
        what = f"exec, {call} fails with {errno.errorcode[error]}"
        code = bench.call(*words, fault=fault(call, error))
        if code == UNREACHED:
            continue
        tried += 1
        bench.check_report(what, reference, whole=code == 0)
        if code != 0:
            bench.check_words(what, code)
        if left := bench.reap(keep=pid):
            bench.bad(what, f"processes are left: {[describe(p) for p in left]}")
        inside = bench.box.ok("ps", "c").split()[1:]
        if inside != [str(pid)]:
            bench.bad(what, f"in the container there are {inside}, not {pid}")
        bench.reap(keep=pid)
    bench.tidy("exec")
    finish(bench, tried)


@pytest.mark.parametrize(
    "words", ["kill c KILL", "kill --all c KILL", "delete --force c", "delete c", "delete live", "state c", "create c"]
)
def test_others(bench: Bench, words: str) -> None:
    """`create c` is of an ID that there is; `delete live` is of a running container, without --force."""
    refused = words in ("create c", "delete live")
    argv = words.replace("create", f"create -b {bench.box.bundle}").replace("live", "c").split()

    def prepare() -> int:
        pid = running(bench)
        if words == "delete c":
            bench.box.ok("kill", "c", "KILL")
            bench.reap()
        return pid

    prepare()
    calls = bench.calls(*argv, code=int(refused))
    bench.tidy("list")
    tried = 0
    for call, error in sample(calls, 1):
        what = f"{words}, {call} fails with {errno.errorcode[error]}"
        pid = prepare()
        code = bench.call(*argv, fault=fault(call, error))
        tried += 1
        if code != 0:
            bench.check_words(what, code)
        elif argv[0] == "delete" and not refused:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{bench.box.dir}/c.pid")
            bench.check_clean(what)
        elif argv[0] == "kill" and pid in bench.reap():
            bench.bad(what, "success, but it lives")
        if refused and (code == 0 or bench.box.ids() != ["c"] or bench.box.state()["pid"] != pid):
            bench.bad(what, f"exit code {code}, and the container is lost")
        bench.tidy(what)
    finish(bench, tried)


def test_creator_is_killed(bench: Bench) -> None:
    """Any process of `create` is killed at any call: the ID is free after delete --force, at once."""
    reference = reference_run(bench)
    calls = bench.calls(*command(bench, CREATE))
    bench.tidy("list")
    tried = 0
    for call in calls[:: 1 if FULL else 10]:
        what = f"create, killed at {call}"
        code = bench.call(*command(bench, CREATE), fault=fault(call))
        tried += 1
        # Killed when all was told, the container is a stopped one.
        if code == 0 and (call.process == 0 or bench.box.state()["status"] != "stopped"):
            bench.bad(what, "success")
        if call.process > 0 and code not in (UNREACHED, 0):
            bench.check_words(what, code)
            bench.check_clean(what)
        bench.tidy(what)
        if tried % 10 == 0:
            bench.call(*command(bench, RUN))
            bench.check_report(f"{what}, run again", reference, whole=True)
            os.unlink(bench.pid_file)
    finish(bench, tried)


def test_exec_is_killed(bench: Bench) -> None:
    pid = running(bench)
    words = ("exec", "--process", f"{bench.box.dir}/process.json", "c")
    calls = bench.calls(*words)
    assert bench.call(*words) == 0
    reference = bench.report()
    tried = 0
    for call in calls[:: 1 if FULL else 10]:
        what = f"exec, killed at {call}"
        code = bench.call(*words, fault=fault(call))
        tried += 1
        bench.check_report(what, reference, whole=False)
        if call.process > 0 and code not in (UNREACHED, 137):
            bench.check_words(what, code)  # 137: the new process died, before or after it became the program
        deadline = time.monotonic() + 5
        while (inside := bench.box.ok("ps", "c").split()[1:]) != [str(pid)] and time.monotonic() < deadline:
            bench.reap(0.01, keep=pid)
        if inside != [str(pid)]:
            bench.bad(what, f"in the container there are {inside}, not {pid}")
        bench.reap(keep=pid)
    bench.tidy("exec")
    finish(bench, tried)


@pytest.mark.parametrize("words", ["create", "exec"])
def test_without_memory(bench: Bench, words: str) -> None:
    """Address space runs out (setrlimit), from too little to start the program up to enough for all."""
    need(shutil.which("prlimit"), "no prlimit: install util-linux")
    # It is to end while the document is read: before what matters comes much that does not.
    bench.box.spec = {"annotations": {f"key{i}": "value" for i in range(1000)}, **bench.box.spec}
    bench.box.write()
    reference = reference_run(bench)
    argv = command(bench, CREATE)
    if words == "exec":
        argv = ("exec", "--process", f"{bench.box.dir}/process.json", "c")
        running(bench)
        assert bench.call(*argv) == 0, bench.words()
        reference = bench.report()
    real = bench.box.enter
    tried, succeeded, size = 0, 0, 1 << 20
    while succeeded < 5:
        what = f"{words}, with {size} bytes"
        # The runtime is the last program that is held to it, so that the container's is not.
        bench.box.enter = [*real, "prlimit", f"--as={size}:unlimited"]
        code = bench.call(*argv)
        bench.box.enter = real
        size += (4 if FULL else 128) << 10
        assert size < 64 << 20, bench.words()
        if "error while loading shared libraries" in bench.words():
            continue
        tried += 1
        succeeded += code == 0
        if code != 0:
            bench.check_words(what, code)
            bench.check_report(what, [] if words == "create" else reference, whole=words == "create")
        elif words == "exec":
            bench.check_report(what, reference, whole=True)
        if words == "create" and code != 0:
            bench.check_clean(what)
        elif words == "create":
            with open(bench.pid_file) as f:
                pid = int(f.read())
            if started := bench.box("start", "c").stderr:
                bench.bad(what, f"start says {started}")
            if pid in bench.reap(10):
                bench.bad(what, "the container does not end")
            bench.check_report(what, reference, whole=True)
        if words == "create":
            bench.tidy(what)
    bench.tidy(words)
    print(f"{tried} sizes tried up to {size}, {len(bench.findings)} findings")
    assert tried > succeeded and not bench.findings, "\n".join(bench.findings)
