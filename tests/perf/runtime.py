"""Time podlike-spawn against other OCI runtimes: same bundle, same caller, same minute.

Settings: `root` (contrib/rig's view of cgroup v2, as root), `session` (a user namespace with subordinate ids, made
once, as podman and podlike keep it) and `user` (an ordinary user; each container gets a user namespace of its own).
A container lives as under a monitor: create, start, the reaping of its process by us, delete. Rounds are interleaved,
and all of it has real-time priority; ratios of medians are what to look at. Needs root, and busybox-static.
"""

import argparse
import ctypes
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from podlike.spec.capabilities import DEFAULT as DEFAULT_CAPS
from podlike.spec.seccomp import default_profile
from tests.perf.common import (
    REPO,
    add_cases,
    add_rounds,
    add_user,
    bench_argv,
    chosen,
    in_rig,
    interleave,
    machine,
    markdown,
    new_parser,
    pss,
    readable_copy,
)

SETTINGS = ("root", "session", "user")
CONFIGS = ("podman", "minimal")
CASES = ("lifecycle", "cold", "run", "exec", "memory", "many")
MANY, AT_ONCE = 200, 8
PARTS = ("create", "start", "delete", "create+start+delete", "whole life")
VOLUMES = 8  # beside podman's own 12 mounts
PR_SET_CHILD_SUBREAPER = 36
BUSYBOX = "/bin/busybox"

Config = dict[str, Any]


class Sample(NamedTuple):
    """One measurement of one runtime. kind: `create`, `run` ...; value: milliseconds, or KiB for memory."""

    setting: str
    config: str
    kind: str
    runtime: str
    value: float


class Usage(NamedTuple):
    wall: float  # milliseconds
    rss: int  # KiB, peak of the process and of those it waited for


# --- bundles -----------------------------------------------------------------------------------------------------


def minimal_config() -> Config:
    kinds = ("pid", "ipc", "uts", "mount")
    return {
        "ociVersion": "1.0.2",
        "process": {"args": ["true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
        ],
        "linux": {"namespaces": [{"type": kind} for kind in kinds]},
    }


def _bind(source: str, destination: str, *options: str) -> Config:
    return {"destination": destination, "type": "bind", "source": source, "options": [*options, "rprivate"]}


def podman_config(bundle: str) -> Config:
    """What podman 4.3 writes for `run -v` with 8 volumes: seccomp, capabilities, masks, 20 mounts, limits."""
    caps = sorted(DEFAULT_CAPS)
    c = minimal_config()
    c["process"] |= {
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", "container=podman"],
        "user": {"uid": 0, "gid": 0, "umask": 18},
        "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
    }
    c["hostname"] = "bench"
    strict = ["nosuid", "noexec", "nodev"]
    c["mounts"] = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": strict},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*strict, "ro"]},
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        },
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": strict},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rprivate", *strict, "ro"]},
        _bind(f"{bundle}/shm", "/dev/shm", "bind", *strict),
        *(
            _bind(f"{bundle}/files/{os.path.basename(name)}", name, "bind")
            for name in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv", "/etc/mtab")
        ),
        *(_bind(f"{bundle}/volumes/{i}", f"/srv/{i}", "rbind", "ro" if i % 2 else "rw") for i in range(VOLUMES)),
    ]
    kinds = ("pid", "network", "ipc", "uts", "mount", "cgroup")
    c["annotations"] = {
        "io.container.manager": "libpod",
        "io.podman.annotations.autoremove": "FALSE",
        "org.opencontainers.image.stopSignal": "15",
    }
    c["linux"] = {
        "sysctl": {"net.ipv4.ping_group_range": "0 0"},
        "resources": {},
        "namespaces": [{"type": kind} for kind in kinds],
        "seccomp": default_profile(caps, platform.machine()),
        "maskedPaths": [
            *(f"/proc/{n}" for n in ("acpi", "kcore", "keys", "latency_stats", "timer_list", "timer_stats")),
            *("/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/fs/selinux", "/sys/dev/block"),
        ],
        "readonlyPaths": [f"/proc/{n}" for n in ("asound", "bus", "fs", "irq", "sys", "sysrq-trigger")],
    }
    return c


def own_user_namespace() -> Config:
    """The caller as root of it, and subordinate ids from 1."""
    with open("/etc/subuid") as uids, open("/etc/subgid") as gids:
        found = [next(line.split(":") for line in f if line.startswith(f"{os.environ['USER']}:")) for f in (uids, gids)]
    maps = [
        [
            {"containerID": 0, "hostID": own, "size": 1},
            {"containerID": 1, "hostID": int(sub[1]), "size": int(sub[2])},
        ]
        for own, sub in zip((os.getuid(), os.getgid()), found, strict=True)
    ]
    return {"uidMappings": maps[0], "gidMappings": maps[1]}


def make_bundle(bundle: str, config: str, setting: str, cgroup: str) -> None:
    root = f"{bundle}/rootfs"
    for name in ("bin", "dev", "etc", "proc", "run", "sys", *(f"srv/{i}" for i in range(VOLUMES))):
        os.makedirs(f"{root}/{name}")
    for name in ("files", "shm", *(f"volumes/{i}" for i in range(VOLUMES))):
        os.makedirs(f"{bundle}/{name}")
    for name in ("hosts", "hostname", "resolv.conf", ".containerenv", "mtab"):
        with open(f"{bundle}/files/{name}", "w") as f:
            f.write("127.0.0.1 localhost\n")
    shutil.copy(BUSYBOX, f"{root}/bin/busybox")
    for applet in ("true", "sleep"):
        os.symlink("busybox", f"{root}/bin/{applet}")
    doc = podman_config(bundle) if config == "podman" else minimal_config()
    doc["linux"]["cgroupsPath"] = cgroup
    if setting == "user":
        doc["linux"]["namespaces"].append({"type": "user"})
        doc["linux"] |= own_user_namespace()
    for name, args in (("config.json", ["true"]), ("sleep.json", ["sleep", "1000"])):
        doc["process"]["args"] = args
        with open(f"{bundle}/{name}", "w") as f:
            json.dump(doc, f)


# --- one runtime -------------------------------------------------------------------------------------------------


def fail(what: str, code: int, log: str) -> SystemExit:
    with open(log) as f:
        return SystemExit(f"{what} ended with {code}: {f.read().strip()}")


class Runtime:
    """One program, with a bundle and state of its own in directory."""

    def __init__(self, path: str, label: str, directory: str, state: str, setting: str, config: str) -> None:
        self.path, self.label = path, label
        self.bundle = f"{directory}/{label.replace(' ', '-')}"
        self.log = f"{self.bundle}.log"
        self.pid_file = f"{self.bundle}.pid"
        with open("/proc/self/cgroup") as f:
            own = next(line[3:].strip() for line in f if line.startswith("0::"))
        # Beside the cgroup that we are in: contrib/rig's session.
        self.cgroup = f"{os.path.dirname(own)}/bench-{os.path.basename(self.bundle)}"
        self.state = f"{state}/{os.path.basename(self.bundle)}"
        self.argv = [path, "--root", self.state]
        if "runc" not in os.path.basename(path):
            self.argv += ["--cgroup-manager", "cgroupfs"]
        make_bundle(self.bundle, config, setting, self.cgroup)

    def spawn(self, argv: list[str], log: str = "") -> int:
        return os.posix_spawn(
            argv[0],
            argv,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, self.log + log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            ],
        )

    def __call__(self, *args: str) -> float:
        """Milliseconds of one command; a failure ends the benchmark, for its time means nothing."""
        started = time.perf_counter()
        _, status = os.waitpid(self.spawn([*self.argv, *args]), 0)
        wall = (time.perf_counter() - started) * 1000
        if status:
            raise fail(f"{self.label}: {args[0]}", os.waitstatus_to_exitcode(status), self.log)
        return wall

    def create(self, cid: str = "c", config: str = "config.json") -> float:
        return self("create", "--bundle", self.bundle, "--pid-file", self.pid_file, *self._config(config), cid)

    def _config(self, config: str) -> list[str]:
        if config == "config.json":
            return []
        if "runc" in os.path.basename(self.path):  # knows no --config: the file changes its name
            os.replace(f"{self.bundle}/{config}", f"{self.bundle}/config.json")
            return []
        return ["--config", f"{self.bundle}/{config}"]

    def pid(self) -> int:
        return read_pid(self.pid_file)

    def peak(self, *args: str) -> int:
        """ru_maxrss in KiB of one command. A shell starts it and ends: execve(2) hands the peak of the caller's memory
        on, and the shell's is smaller than Python's; as subreaper, we reap what it leaves."""
        read_fd, write_fd = os.pipe()
        script = '"$@" >/dev/null 2>&1 </dev/null & echo $!'
        argv = [BUSYBOX, "sh", "-c", script, "sh", *self.argv, *args]
        shell = os.posix_spawn(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, write_fd, 1)])
        os.close(write_fd)
        os.waitpid(shell, 0)
        with open(read_fd) as f:
            pid = int(f.read())
        _, status, used = os.wait4(pid, 0)
        if status:
            raise SystemExit(f"{self.label}: {args[0]} ended with {os.waitstatus_to_exitcode(status)}")
        return used.ru_maxrss


def read_pid(path: str) -> int:
    with open(path) as f:
        return int(f.read())


def reap(pid: int) -> None:
    os.waitpid(pid, 0)


def lifecycle(r: Runtime) -> dict[str, float]:
    begin = time.perf_counter()
    created = r.create()
    started = r("start", "c")
    reap(r.pid())
    deleted = r("delete", "c")
    whole = (time.perf_counter() - begin) * 1000
    return dict(zip(PARTS, (created, started, deleted, created + started + deleted, whole), strict=True))


def cold(r: Runtime) -> dict[str, float]:
    """The first container with this seccomp profile: podlike-spawn and newer crun keep filters in .cache."""
    shutil.rmtree(f"{r.state}/.cache", ignore_errors=True)
    created = r.create()
    r("delete", "--force", "c")
    reap(r.pid())
    return {"create, no filter cached": created}


def run(r: Runtime) -> dict[str, float]:
    return {"run": r("run", "--bundle", r.bundle, "c")}


def exec_(r: Runtime) -> dict[str, float]:
    return {"exec": r("exec", "c", "true")}


def memory(r: Runtime) -> dict[str, float]:
    peak = r.peak("create", "--bundle", r.bundle, "--pid-file", r.pid_file, "c")
    time.sleep(0.1)  # let it settle
    waiting = pss(r.pid())
    r("start", "c")
    reap(r.pid())
    r("delete", "c")
    return {"memory of create, peak": peak, "memory of the waiting init": waiting}


def many(r: Runtime) -> dict[str, float]:
    """A crowd of containers that wait to be started, made side by side."""
    running: set[int] = set()
    started = time.perf_counter()
    for i in range(MANY):
        while len(running) >= AT_ONCE:
            running.discard(finished(r))
        running.add(r.spawn([*r.argv, "create", "--bundle", r.bundle, "--pid-file", f"{r.pid_file}.{i}", f"c{i}"], f".{i}"))
    while running:
        running.discard(finished(r))
    wall = time.perf_counter() - started
    time.sleep(0.1)
    inits = [read_pid(f"{r.pid_file}.{i}") for i in range(MANY)]
    shares = sum(pss(pid) for pid in inits)
    for i, pid in enumerate(inits):
        r("delete", "--force", f"c{i}")
        reap(pid)
    return {f"{MANY} creates, {AT_ONCE} at once": wall * 1000, f"memory of {MANY} waiting inits": shares}


def finished(r: Runtime) -> int:
    pid, status = os.wait()
    if status:
        raise SystemExit(f"{r.label}: one of {MANY} ended with {os.waitstatus_to_exitcode(status)}")
    return pid


class Bubblewrap(Runtime):
    """bwrap, for orientation: no state, no cgroup, no seccomp, one process less."""

    def __call__(self, *args: str) -> float:
        root = f"{self.bundle}/rootfs"
        argv = [self.path, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--bind", root, "/", "--proc", "/proc"]
        started = time.perf_counter()
        _, status = os.waitpid(self.spawn([*argv, "true"]), 0)
        wall = (time.perf_counter() - started) * 1000
        if status:
            raise fail(self.label, os.waitstatus_to_exitcode(status), self.log)
        return wall


# --- rounds, in the setting --------------------------------------------------------------------------------------


def in_turn(
    runtimes: list[Runtime], rounds: int, measure: Callable[[Runtime], dict[str, float]]
) -> list[tuple[str, str, float]]:
    """(kind, runtime, value) of all rounds; the first three, with mount targets to make and caches to fill, do not count."""
    return [
        (kind, r.label, value)
        for r, found in zip(runtimes, interleave(runtimes, rounds, measure, warmups=3), strict=True)
        for sample in found
        for kind, value in sample.items()
    ]


def measure_exec(runtimes: list[Runtime], rounds: int) -> list[tuple[str, str, float]]:
    for r in runtimes:
        r.create(config="sleep.json")
        r("start", "c")
    found = in_turn(runtimes, rounds, exec_)
    for r in runtimes:
        os.kill(r.pid(), signal.SIGKILL)
        reap(r.pid())
        r("delete", "c")
    return found


def inside(args: argparse.Namespace) -> int:
    """All cases of one setting and configuration; samples as JSON to stdout."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    setting, config = args.inside.split(",")
    found: list[tuple[str, str, float]] = []
    # State lies in memory, as it does in /run.
    with (
        tempfile.TemporaryDirectory(prefix="podlike-bench-", dir="/var/tmp") as d,
        tempfile.TemporaryDirectory(prefix="podlike-bench-", dir="/dev/shm") as state,
    ):
        pairs = [pair.split("=", 1) for pair in args.runtime]
        every = [(Bubblewrap if label == "bwrap" else Runtime)(path, label, d, state, setting, config) for label, path in pairs]
        real = [r for r in every if r.label != "bwrap"]
        lean = [r for r in real if "runc" not in r.label]  # a program in Go plays in another league
        for case in args.cases.split(","):
            print(f"{setting}, {config}: {case} ...", file=sys.stderr, flush=True)
            if case == "lifecycle":
                found += in_turn(real, args.rounds, lifecycle)
            elif case == "cold" and config == "podman":
                found += in_turn(lean, args.rounds, cold)
            elif case == "run":
                found += in_turn(every, args.rounds, run)
            elif case == "memory" and setting != "user":  # the kernel lets nobody else read that init's
                found += in_turn(lean, 3, memory)
            elif case == "many" and setting != "user":
                found += [(kind, r.label, value) for r in lean for kind, value in many(r).items()]
            elif case == "exec":
                found += measure_exec(real, args.rounds)
        subprocess.run(["find", d, "-mindepth", "1", "-delete"], check=False)
    json.dump(found, sys.stdout)
    return 0


# --- the outside -------------------------------------------------------------------------------------------------


def in_setting(args: argparse.Namespace, setting: str, config: str, runtimes: list[tuple[str, str]]) -> list[Sample]:
    """Run ourselves in a setting, from a copy that an ordinary user can read."""
    with readable_copy("tests", "podlike") as copy:
        argv = [*bench_argv(copy, "runtime"), "--inside", f"{setting},{config}"]
        argv += ["--rounds", str(args.rounds), "--cases", args.cases]
        for label, path in runtimes:
            argv += ["--runtime", f"{label}={path}"]
        if setting == "session":
            argv = ["unshare", "--user", "--map-root-user", "--map-auto", "--mount", *argv]
        user = "root" if setting == "root" else args.user
        done = subprocess.run(in_rig(user, argv), check=False, stdout=subprocess.PIPE)
    if done.returncode:
        raise SystemExit(f"the setting {setting} ended with {done.returncode}")
    return [Sample(setting, config, *found) for found in json.loads(done.stdout)]


def table(samples: list[Sample], labels: list[str]) -> str:
    """Markdown: medians with minima in brackets, and the first runtime's over each other's."""
    first, others = labels[0], labels[1:]
    heads = ["setting", "config", "case", *labels, *(f"{first} / {other}" for other in others)]
    rows = []
    for key in dict.fromkeys((s.setting, s.config, s.kind) for s in samples):
        values = [[s.value for s in samples if s[:3] == key and s.runtime == label] for label in labels]
        memory_row = key[2].startswith("memory")
        cells = []
        for v in values:
            if not v:
                cells.append("")
            elif memory_row:
                cells.append(f"{statistics.median(v) / 1024:.2f} MiB")
            else:
                cells.append(f"{statistics.median(v):.2f} ms ({min(v):.2f})")
        for v in values[1:]:
            if not v or not values[0]:
                cells.append("")
            elif memory_row:
                cells.append(f"{statistics.median(values[0]) / statistics.median(v):.2f}")
            else:
                cells.append(f"{statistics.median(values[0]) / statistics.median(v):.2f} ({min(values[0]) / min(v):.2f})")
        rows.append([*key, *cells])
    return markdown(heads, rows, left=3)


def described(path: str, label: str) -> str:
    version = subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    return f"{label}: {path}: {version}; {os.path.getsize(os.path.realpath(path)) / 1024:.0f} KiB"


def default_runtimes() -> list[str]:
    ours = next((p for p in (f"{REPO}/build/libspawn/podlike-spawn",) if os.path.exists(p)), None)
    found = [ours or shutil.which("podlike-spawn"), *(shutil.which(n) for n in ("crun", "runc", "bwrap"))]
    return [path for path in found if path]


def labelled(paths: list[str]) -> list[tuple[str, str]]:
    """NAME=PATH, or a path, named by its program and version."""
    out: list[tuple[str, str]] = []
    for given in paths:
        label, _, path = given.rpartition("=")
        path = os.path.abspath(path)
        if not label:
            label = os.path.basename(path)
            text = subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout
            if label not in ("bwrap", "podlike-spawn"):
                label += f" {text.split()[2].split('+')[0]}"
        out.append((label, path))
    return out


def main(argv: list[str]) -> int:
    p = new_parser("runtime", __doc__)
    p.add_argument(
        "--runtime",
        action="append",
        metavar="[NAME=]PATH",
        help="may be repeated; the first is compared with each other (default: podlike-spawn, crun, runc, bwrap)",
    )
    add_rounds(p, 40)
    add_cases(p, SETTINGS, "--settings")
    add_cases(p, CONFIGS, "--configs")
    add_cases(p, CASES)
    p.add_argument("--json", metavar="FILE", help="write every sample to FILE")
    add_user(p)
    p.add_argument("--inside", help=argparse.SUPPRESS)
    args = p.parse_args(argv)
    settings, configs = chosen(p, args.settings, SETTINGS), chosen(p, args.configs, CONFIGS)
    chosen(p, args.cases, CASES)
    if args.inside:
        return inside(args)
    if os.geteuid() != 0:
        p.error("the settings are made by root")
    # Everything below inherits this: other work of the machine waits, instead of being measured.
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    runtimes = labelled(args.runtime or default_runtimes())
    samples: list[Sample] = []
    for setting in settings:
        for config in configs:
            # runc cannot make a cgroup as an ordinary user without systemd.
            fit = [(label, path) for label, path in runtimes if setting == "root" or "runc" not in label]
            samples += in_setting(args, setting, config, fit)
    print(table(samples, [label for label, _ in runtimes]))
    print(f"\n- {machine()}; {args.rounds} rounds, interleaved; medians, minima in brackets")
    print("\n".join(f"- {described(path, label)}" for label, path in runtimes))
    if args.json:
        with open(args.json, "w") as f:
            json.dump([s._asdict() for s in samples], f)
    return 0
