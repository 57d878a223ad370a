"""config.json made by spec.oci, run by a real OCI runtime in a user namespace of an ordinary user.

Needs: an ordinary user with subordinate ids (as root: PODLIKE_TEST_USER), crun, a static busybox.
PODLIKE_MUST_WORK=1 turns a missing one into a failure.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BUSYBOX = "/bin/busybox"
ROOT = Path(__file__).resolve().parents[2]
PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n"
GROUP = "root:x:0:\nweb:x:1000:\nextra:x:44:web\n"

# Runs inside the namespaces, where the facts of the session are true.
MAKE = """
import json, sys
from podlike.runtime import hostfacts
from podlike.spec import devices, oci, oci_exec, resolve, users
from podlike.spec.container import ContainerSpec
from tests.support.need import need
ask = json.load(open(sys.argv[1]))
spec = resolve.resolve(ContainerSpec.from_dict(ask["spec"]), None, name="t", cid="c" * 64, host_env={})
user = users.resolve(spec.user, passwd=ask["passwd"], group=ask["group"], groups=spec.groups)
volumes = [hostfacts.bound_path(m.source, m.target, m.options) for m in spec.mounts if m.type == "bind"]
nodes = [hostfacts.device_node(*devices.parse(d)) for d in spec.devices]
doc = oci.build(spec, cid="c" * 64, rootfs=ask["rootfs"], user=user, host=hostfacts.gather(), rootless=True,
                volumes=volumes, device_nodes=nodes,
                host_devices=list(hostfacts.all_devices()) if spec.privileged else [],
                binds=ask["binds"])
json.dump(doc, open(sys.argv[2] + "/config.json", "w"))
if "exec" in ask:
    request = oci_exec.ExecRequest(**ask["exec"])
    who = request.user or spec.user
    user = users.resolve(who, passwd=ask["passwd"], group=ask["group"], groups=spec.groups)
    process = oci_exec.exec_process(request, spec, doc, user=user)
    json.dump(process, open(sys.argv[2] + "/process.json", "w"))
"""

# $1 python, $2 directory, $3 runtime, $4 container id. strict/: a file system that forbids something.
PREPARE = """
set -e
mkdir -p "$2/strict"; mount -t tmpfs -o nosuid,nodev,noexec tmpfs "$2/strict"
"$1" "$2/make.py" "$2/ask.json" "$2"
runtime() { "$RUNTIME" --root "$DIR/state" --cgroup-manager=disabled "$@"; }
RUNTIME=$3 DIR=$2
"""
SCRIPT = PREPARE + 'runtime run --bundle "$2" "$4"'
SCRIPT_EXEC = PREPARE + """
runtime create --bundle "$2" "$4" </dev/null >/dev/null
trap 'runtime delete --force "$4"' EXIT
runtime start "$4"
runtime exec --process "$2/process.json" "$4"
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """run(command, **spec) -> output of the command in a container; it must succeed.

    inside: fields of ExecRequest: the command runs by `exec`, beside the container's own process.
    """
    if os.geteuid() == 0:
        need(False, "runs as an ordinary user with subordinate ids, not as root")
    crun = os.environ.get("PODLIKE_TEST_RUNTIME") or shutil.which("crun")
    if not crun or not os.path.exists(BUSYBOX):
        need(False, "needs an OCI runtime (crun or PODLIKE_TEST_RUNTIME) and a static /bin/busybox")
    rootfs = tmp_path / "rootfs"
    for d in ("bin", "etc", "tmp", "home/web", "var/tmp"):
        (rootfs / d).mkdir(parents=True)
    shutil.copy(BUSYBOX, rootfs / "bin/busybox")
    (rootfs / "bin/sh").symlink_to("busybox")
    (rootfs / "etc/passwd").write_text(PASSWD)
    (rootfs / "etc/group").write_text(GROUP)
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    (tmp_path / "make.py").write_text(MAKE)

    def run(command: str, *, inside: dict[str, Any] | None = None, **spec: Any) -> str:
        shell = ["/bin/busybox", "sh", "-c", f"PATH=/bin; {command}"]
        ask = {
            "spec": {"command": ["/bin/busybox", "sleep", "60"] if inside is not None else shell, **spec},
            "rootfs": str(rootfs),
            "passwd": PASSWD,
            "group": GROUP,
            "binds": {"/etc/hosts": str(tmp_path / "hosts")},
        }
        if inside is not None:
            ask["exec"] = {"args": shell, **inside}
        (tmp_path / "ask.json").write_text(json.dumps(ask))
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--map-auto", "--mount", "sh", "-c",
             SCRIPT_EXEC if inside is not None else SCRIPT,
             "sh", sys.executable, str(tmp_path), str(crun), f"oci-config-{os.getpid()}"],
            capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    return run


def status(text: str) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def mounts(text: str) -> dict[str, set[str]]:
    """Options by target of /proc/mounts, with the type among them."""
    fields = [line.split() for line in text.splitlines()]
    return {f[1]: {f[2], *f[3].split(",")} for f in fields if len(f) == 6}


def test_default_root_has_eleven_capabilities_and_a_filter(run: Callable[..., str]) -> None:
    s = status(run("busybox cat /proc/self/status"))
    assert s["CapBnd"] == s["CapEff"] == s["CapPrm"] == "00000000800405fb"
    assert s["CapInh"].strip("0") == s["CapAmb"].strip("0") == ""
    assert s["Seccomp"] == "2"
    assert s["NoNewPrivs"] == "0"


def test_other_user_has_none_but_the_added_ones(run: Callable[..., str]) -> None:
    s = status(run("busybox cat /proc/self/status", user="web"))
    assert int(s["CapEff"], 16) == int(s["CapPrm"], 16) == 0
    assert s["CapBnd"] == "00000000800405fb"
    assert s["Uid"].split()[0] == "1000"
    assert s["Groups"].split() == ["44", "1000"]
    assert run("echo $HOME; cd; busybox pwd", user="web").split() == ["/home/web", "/home/web"]
    s = status(run("busybox cat /proc/self/status", user="web", cap_add=["net_admin"]))
    assert s["CapEff"] == s["CapAmb"] == s["CapInh"] == "0000000000001000"


def test_privileged_has_all_capabilities_and_no_filter(run: Callable[..., str]) -> None:
    out = run("busybox cat /proc/self/status; busybox cat /proc/mounts; busybox ls /dev", privileged=True)
    s = status(out)
    assert s["Seccomp"] == "0"
    assert int(s["CapBnd"], 16) & 0xFFFFFFFF == 0xFFFFFFFF
    m = mounts(out)
    assert "rw" in m["/sys"]
    assert "/proc/kcore" not in m


def test_mounts_of_the_kernel(run: Callable[..., str]) -> None:
    m = mounts(run("busybox cat /proc/mounts"))
    assert {"proc", "nosuid", "nodev", "noexec"} <= m["/proc"]
    assert {"tmpfs", "nosuid", "size=65536k", "mode=755"} <= m["/dev"]
    assert {"devpts", "mode=620", "ptmxmode=666", "noexec"} <= m["/dev/pts"]
    assert any(
        o.startswith("gid=") for o in m["/dev/pts"]
    )  # the kernel shows the id of the initial namespace
    assert {"mqueue", "nosuid", "nodev", "noexec"} <= m["/dev/mqueue"]
    assert {"tmpfs", "nosuid", "nodev", "noexec"} <= m["/dev/shm"]
    assert {"sysfs", "ro", "nosuid"} <= m["/sys"]
    assert "ro" in m["/proc/sys"]


def test_masked_and_readonly_paths(run: Callable[..., str]) -> None:
    out = run("busybox cat /proc/interrupts | busybox wc -c; busybox ls /sys/firmware | busybox wc -l; "
              "echo 1 > /proc/sys/kernel/hostname || echo refused")
    assert out.split() == ["0", "0", "refused"]
    out = run("busybox cat /proc/interrupts | busybox wc -c", unmasked_paths=["/proc/interr*"])
    assert int(out) > 0


def test_hostname_and_environment(run: Callable[..., str]) -> None:
    out = run("busybox hostname; echo $HOSTNAME $HOME $container", env={"A": "b"})
    assert out.split() == ["c" * 12, "c" * 12, "/root", "podman"]
    assert run("busybox hostname", hostname="alpha").split() == ["alpha"]


def test_read_only_root_with_writable_tmp(run: Callable[..., str]) -> None:
    out = run(
        "busybox touch /x || echo ro; busybox touch /tmp/x && echo rw; busybox touch /dev/shm/x && echo shm; "
        "busybox touch /etc/hosts 2>/dev/null || echo hosts",
        read_only=True,
    )
    assert out.split() == ["ro", "rw", "shm", "hosts"]
    out = run(
        "for f in /tmp/x /dev/shm/x /dev/x; do busybox touch $f || echo ro; done",
        read_only=True,
        read_only_tmpfs=False,
    )
    assert out.split() == ["ro", "ro", "ro"]


def test_bind_mounts_nest_and_keep_what_their_source_forbids(run: Callable[..., str], tmp_path: Path) -> None:
    for name in ("outer", "inner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(name)
    (tmp_path / "outer/deep").mkdir()
    binds = [{"type": "bind", "source": str(tmp_path / "inner"), "target": "/a/deep", "options": ["ro"]},
             {"type": "bind", "source": str(tmp_path / "outer"), "target": "/a/", "options": []},
             {"type": "bind", "source": str(tmp_path / "strict"), "target": "/strict", "options": ["ro"]}]
    out = run("busybox cat /a/outer.txt /a/deep/inner.txt; busybox touch /a/new && echo -rw; "
              "busybox touch /a/deep/new || echo ro; busybox cat /proc/mounts", mounts=binds)
    assert out.startswith("outerinner-rw\nro\n")
    assert {"ro", "nosuid", "nodev", "noexec"} <= mounts(out)["/strict"]


def test_tmpfs_options(run: Callable[..., str]) -> None:
    m = mounts(run("busybox cat /proc/mounts", tmpfs={"/data": "size=1m,mode=700", "/plain": ""}))
    assert {"tmpfs", "size=1024k", "mode=700", "nosuid", "nodev", "rw"} <= m["/data"]
    assert {"tmpfs", "nosuid", "nodev"} <= m["/plain"]


def test_shm_size(run: Callable[..., str]) -> None:
    m = mounts(run("busybox cat /proc/mounts", shm_size=1 << 20))
    assert "size=1024k" in m["/dev/shm"]


def test_device(run: Callable[..., str]) -> None:
    assert run("busybox test -c /dev/xzero && busybox head -c 3 /dev/xzero | busybox wc -c",
               devices=["/dev/zero:/dev/xzero:r"]).split() == ["3"]


def test_limits_and_signals(run: Callable[..., str]) -> None:
    out = run(
        "ulimit -n; ulimit -Hn; umask; busybox cat /proc/self/oom_score_adj",
        ulimits=["nofile=100:200"],
        umask="0027",
        oom_score_adj=500,
    )
    assert out.split() == ["100", "200", "0027", "500"]


def test_ping_group_range_is_set(run: Callable[..., str]) -> None:
    assert run("busybox cat /proc/sys/net/ipv4/ping_group_range").split() == ["0", "0"]


def test_host_namespaces(run: Callable[..., str]) -> None:
    own = {k: os.readlink(f"/proc/self/ns/{k}") for k in ("net", "uts", "pid", "ipc")}
    out = run(
        "for n in net uts pid ipc; do busybox readlink /proc/self/ns/$n; done; busybox ls /sys/class/net",
        network="host",
        uts_ns="host",
        pid_ns="host",
        ipc_ns="host",
    ).split()
    assert out[:4] == [own[k] for k in ("net", "uts", "pid", "ipc")]
    out = run("for n in net uts pid ipc; do busybox readlink /proc/self/ns/$n; done").split()
    assert not set(out) & set(own.values())


def test_seccomp_refuses_vsock_and_audit_sockets(run: Callable[..., str], tmp_path: Path) -> None:
    """The rules for socket(2) overlap; this is what libseccomp makes of them."""
    probe = tmp_path / "rootfs/bin/probe"
    (tmp_path / "probe.c").write_text(PROBE)
    cc = shutil.which("cc") or shutil.which("gcc")
    if not cc:
        need(False, "needs a C compiler")
    subprocess.run([str(cc), "-static", "-o", str(probe), str(tmp_path / "probe.c")], check=True)
    default = dict(line.split("=") for line in run("probe").split())
    # 0: allowed; EPERM 1, EBADF 9 (allowed, but the argument is wrong), EINVAL 22, ENOSYS 38
    assert default == {
        "vsock": "1",
        "audit": "22",
        "route": "0",
        "inet": "0",
        "unshare": "0",
        "setns": "9",
        "chroot": "0",
        "acct": "1",
        "persona": "0",
        "noaslr": "38",
        "uring": "38",
        "kexec": "1",
    }
    more = dict(line.split("=") for line in run("probe", cap_add=["AUDIT_WRITE", "SYS_PACCT"]).split())
    assert more["vsock"] == "1" and more["audit"] == "0" and more["acct"] != "38"
    free = dict(line.split("=") for line in run("probe", seccomp_profile="unconfined").split())
    assert free["vsock"] != "1" and free["noaslr"] == "0"


PROBE = """
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
static void say(const char *name, long ret) { printf("%s=%d\\n", name, ret < 0 ? errno : 0); }
int main(void) {
        say("vsock", socket(40, SOCK_STREAM, 0));
        say("audit", socket(16, SOCK_RAW, 9));
        say("route", socket(16, SOCK_RAW, 0));
        say("inet", socket(2, SOCK_STREAM, 0));
        say("setns", setns(-1, 0));
        say("chroot", chroot("/"));
        say("acct", syscall(SYS_acct, "/nonexistent/x"));
        say("persona", personality(0xffffffff));
        say("noaslr", personality(ADDR_NO_RANDOMIZE));
        say("uring", syscall(425, 1, 0));
        say("kexec", syscall(SYS_kexec_load, 0, 0, 0, 0));
        say("unshare", unshare(CLONE_NEWUSER));
        return 0;
}
"""


def test_no_new_privileges(run: Callable[..., str]) -> None:
    assert status(run("busybox cat /proc/self/status", no_new_privileges=True))["NoNewPrivs"] == "1"


def test_systemd_mode_gives_writable_run_and_cgroups(run: Callable[..., str]) -> None:
    out = run(
        "busybox touch /run/x && echo ok; busybox cat /proc/mounts; echo $container_uuid", systemd="always"
    )
    assert out.startswith("ok\n") and out.rstrip().endswith("c" * 32)
    assert "rw" in mounts(out)["/sys/fs/cgroup"]


def test_exec_as_the_containers_user(run: Callable[..., str]) -> None:
    s = status(run("busybox cat /proc/self/status", inside={}, user="web", cap_add=["net_admin"]))
    assert s["CapEff"] == s["CapPrm"] == s["CapAmb"] == "0000000000001000"
    assert s["CapBnd"] == "00000000800415fb" and s["Seccomp"] == "2"
    assert s["Uid"].split()[0] == "1000" and s["Groups"].split() == ["44", "1000"]


def test_exec_as_somebody_else(run: Callable[..., str]) -> None:
    out = run("busybox cat /proc/self/status; busybox pwd; echo $HOME $A", inside={
        "user": "web", "workdir": "/tmp", "env": {"A": "1"}})
    s = status(out)
    assert int(s["CapEff"], 16) == 0 and s["CapBnd"] == "00000000800405fb"
    assert out.split()[-3:] == ["/tmp", "/home/web", "1"]
    s = status(run("busybox cat /proc/self/status", inside={"user": "root"}, user="web"))
    assert s["CapEff"] == "00000000800405fb"


def test_privileged_exec(run: Callable[..., str]) -> None:
    s = status(run("busybox cat /proc/self/status", inside={"privileged": True}))
    assert int(s["CapEff"], 16) & 0xFFFFFFFF == 0xFFFFFFFF
