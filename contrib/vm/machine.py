"""The test VM: one QEMU process, and ssh into it."""

import fcntl
import hashlib
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence

HERE = os.path.dirname(os.path.realpath(__file__))
SHARES = 3  # directories shown at their own path, besides /src and /out
# Emulated without features that cost a check at each memory access or system call and show a test nothing.
EMULATED_CPU = "max,la57=off,smap=off,smep=off,erms=off,fsrm=off"
KERNEL = (
    "root=/dev/vda console=ttyS0 quiet panic=-1 mitigations=off nokaslr audit=0 nowatchdog net.ifnames=0 "
    "tsc=reliable no_timer_check cryptomgr.notests systemd.show_status=error"
)
SSH = (
    "ssh -q -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes "
    "-o GSSAPIAuthentication=no -o ConnectTimeout=60 -o ServerAliveInterval=60 -o LogLevel=ERROR"
).split()


class Trouble(Exception):
    """The VM could not be made, started or reached: nothing is known about the command."""


class Timeout(Exception):
    """The time limit is over."""


def build(*options: str) -> str:
    """Make the disk unless it is there; return the directory that it lies in."""
    p = subprocess.run([f"{HERE}/build", *options], stdout=subprocess.PIPE, text=True)
    if p.returncode:
        raise Trouble("the VM was not built")
    return p.stdout.split()[-1]


def kvm() -> bool:
    """Whether this machine can run the VM itself. A nested one may have /dev/kvm without the processor's help."""
    with open("/proc/cpuinfo") as f:
        flags = next((set(line.split()) for line in f if line.startswith("flags")), set())
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and not flags.isdisjoint({"vmx", "svm"})


# The modules are not found by themselves.
P9_OPTIONS = "trans=virtio,version=9p2000.L,msize=512000,x-systemd.requires=systemd-modules-load.service"


class Machine:
    """A VM that runs. Leaving the `with` block ends it, and with it all that was written to its disk.

    base: from build(). src: shown as /src. out: shown as /out, writable. shares: shown at the same path as here.
    deadline: time.monotonic() at which everything is over. cold: boot; without it an emulated VM goes on from a saved state.
    disk: QEMU's options of a disk to boot from and write to, instead of base's.
    """

    def __init__(
        self, base: str, *, deadline: float, src: str = "", out: str = "", shares: Sequence[str] = (), cold: bool = False,
        disk: str = "",
    ) -> None:  # fmt: skip
        self.deadline, self._boot = deadline, ""  # _boot: id of the last boot that was waited for
        if len(shares) > SHARES:
            raise Trouble(f"at most {SHARES} directories can be shared")
        mounts = [("src", src, "/src", "ro,cache=loose")] if src else []
        mounts += [("out", out, "/out", "rw,cache=none")] if out else []
        mounts += [(f"share{i}", path, path, "ro,cache=loose") for i, path in enumerate(shares)]
        state = "" if disk or cold or kvm() else saved_state(base)
        if not disk:
            disk = (f"file={state}/disk,format=qcow2" if state else f"file={base}/disk,format=raw") + ",snapshot=on"
        incoming = ["-incoming", f"exec:cat {shlex.quote(state)}/state"] if state else []
        self.qemu = Qemu(base, disk, {tag: path for tag, path, _, _ in mounts}, incoming)
        self.ssh = [*SSH, "-i", f"{base}/key", "-p", str(self.qemu.port)]
        # In fstab, so that after a reboot they are there before the units that start what lies in them.
        self._mounts = [
            f"mkdir -p {point}; mountpoint -q {point} || {{ printf '%s\\n' {shlex.quote(row)} >> /etc/fstab; mount {point}; }}"
            for tag, _, where, how in mounts
            for point in [shlex.quote(where)]
            for row in [f"{tag} {where.replace(' ', chr(92) + '040')} 9p {P9_OPTIONS},{how} 0 0"]
        ]
        try:
            self._wait_for_boot(resumed=bool(state))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.qemu.kill()

    def run(self, command: str, *, user: str = "tester", tty: bool = False, quiet: bool = False) -> int:
        """Run a shell command line in a login session of this user; return its exit code, 255 also when ssh fails."""
        argv = [*self.ssh, "-tt" if tty else "-T", *([] if tty else ["-n"]), f"{user}@127.0.0.1", command]
        silence = subprocess.DEVNULL if quiet else None
        p = subprocess.Popen(argv, stdout=silence, stderr=silence)
        try:
            return p.wait(self._left())
        except subprocess.TimeoutExpired:
            raise Timeout from None
        finally:
            p.kill()
            p.wait()

    def reboot(self) -> None:
        """Shut down and boot as `systemctl reboot` does; return when the user manager is up again."""
        self.run("systemctl reboot", user="root", quiet=True)
        self._wait_for_boot()

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Timeout
        return left

    def _wait_for_boot(self, *, resumed: bool = False) -> None:
        """sshd starts after the user manager, so an answer that is not the last boot's means that the system is up."""
        while True:
            # A resumed VM has the time of when it was saved. (The same random numbers it has not: QEMU's vmgenid sees to that.)
            # One that has booted took it from its clock, and what started with it must not see time go back.
            clock = [f"date -s @{time.time():.3f} >/dev/null"] if resumed else []
            script = ["id=$(cat /proc/sys/kernel/random/boot_id)", f'[ "$id" != "{self._boot}" ] || exit 0', "set -e",
                      *clock, *self._mounts, "echo $id"]  # fmt: skip
            self.qemu.check()
            try:
                p = subprocess.run([*self.ssh, "-n", "root@127.0.0.1", "\n".join(script)], capture_output=True, text=True,
                                   timeout=self._left())  # fmt: skip
            except subprocess.TimeoutExpired:
                raise Timeout from None
            if p.stdout.strip():
                self._boot = p.stdout.strip()
                return
            if p.returncode not in (0, 255):
                raise Trouble(f"the VM could not be prepared: {p.stderr.strip()}")
            time.sleep(0.1)


class Qemu:
    """The process. shown: 9p tag -> directory of the host; what is not in it is there too, for a state fixes all devices."""

    def __init__(self, base: str, disk: str, shown: "dict[str, str]", more: "list[str]") -> None:
        self.console = tempfile.NamedTemporaryFile(prefix="podlike-vm-", suffix=".console")
        self.port = _free_port()
        accel = ["-accel", "kvm", "-cpu", "host"] if kvm() else ["-accel", "tcg,thread=multi", "-cpu", EMULATED_CPU]
        argv = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-monitor", "stdio",
            *accel, "-machine", "pc", "-smp", "2", "-m", "2G",
            "-kernel", f"{base}/vmlinuz", "-initrd", f"{base}/initramfs", "-append", KERNEL,
            "-serial", f"file:{self.console.name}",
            "-drive", f"if=none,id=disk,cache=unsafe,{disk}", "-device", "virtio-blk-pci,drive=disk",
            "-netdev", f"user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:{self.port}-:22",
            "-device", "virtio-net-pci,netdev=net,romfile=",
            "-device", "virtio-rng-pci", "-device", "vmgenid,guid=auto",
        ]  # fmt: skip
        for tag in ("src", "out", *(f"share{i}" for i in range(SHARES))):
            path, readonly = shown.get(tag, HERE), "off" if tag == "out" and tag in shown else "on"
            path = path.replace(",", ",,")
            argv += ["-fsdev", f"local,id={tag},path={path},security_model=none,multidevs=remap,readonly={readonly}"]
            argv += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
        if not shutil.which(argv[0]):
            raise Trouble("qemu-system-x86_64 is missing: install qemu-system-x86")
        # setpriv: no VM outlives what started it.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *argv, *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def check(self) -> None:
        if self.process.poll() is not None:
            raise Trouble("QEMU ended: " + self.process.communicate()[1].strip())

    def monitor(self, *commands: str) -> str:
        """Send the last commands; return all that QEMU said until it ended."""
        return self.process.communicate("".join(f"{c}\n" for c in commands))[0]

    def last_words(self) -> str:
        """The end of the VM's console."""
        with open(self.console.name, errors="replace") as f:
            return "".join(f.readlines()[-40:])

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def saved_state(base: str) -> str:
    """Directory of a booted VM's disk and memory. Made once: booting takes an emulated VM half a minute, resuming one second."""
    with open(__file__, "rb") as me:
        version = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True).stdout
        folder = f"{base}/state-{hashlib.sha256(me.read() + version).hexdigest()[:12]}"
    with open(f"{base}/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(f"{folder}/state"):
            return folder
        for name in os.listdir(base):
            if name.startswith("state-"):
                shutil.rmtree(f"{base}/{name}")
        os.mkdir(folder)
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", f"{base}/disk", f"{folder}/disk"], check=True
        )
        with Machine(base, disk=f"file={folder}/disk,format=qcow2", deadline=time.monotonic() + 600) as machine:
            # The user's login and a Python are in the page cache of every resumed VM.
            machine.run("systemctl is-system-running --wait", user="root", quiet=True)
            machine.run("python3 -c 'import json, subprocess'; systemctl --user is-system-running --wait", quiet=True)
            machine.run("sync; sleep 3", user="root")
            said = machine.qemu.monitor(
                "migrate_set_parameter max-bandwidth 10G", f'migrate "exec:cat >{folder}/part"', "info migrate", "quit"
            )
            if "completed" not in said:
                raise Trouble(f"QEMU did not save the VM: {said}")
            os.rename(f"{folder}/part", f"{folder}/state")
    return folder


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as s:
        port: int = s.getsockname()[1]
        return port
