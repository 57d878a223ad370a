#!/usr/bin/python3 -IS
"""An OCI runtime that only starts a process, for tests of the monitor.

`create` and `exec` fork the process, write its pid and end. What the process is stands in the bundle's
fake.json (exec: in the --process file): argv, and for faults: stderr, status, no_pidfile, no_terminal, sleep,
reap_first. `wait`: the process runs only when the bundle's file "go" appears (what `start` would do).
Every call appends its own command line, open fds and some environment to calls.jsonl beside the file.
"""

import array
import json
import os
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def option(name: str) -> str | None:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None


def open_fds() -> dict[int, str]:
    found = {}
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            pass
    return found


def send_terminal(path: str) -> int:
    import termios

    master, slave = os.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.ONLCR
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.connect(path)
        s.sendmsg([b"/dev/ptmx"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [master]))])
    os.close(master)
    return slave


def run(spec: "dict[str, Any]", slave: int | None, go: str) -> "NoReturn":
    os.setsid()
    if slave is not None:
        import fcntl
        import termios

        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
    while spec.get("wait") and not os.path.exists(go):
        time.sleep(0.005)
    for fd in open_fds():
        if fd > 2:
            try:
                os.close(fd)
            except OSError:
                pass
    os.execvp(spec["argv"][0], spec["argv"])


def main() -> "NoReturn":
    bundle = option("--bundle")
    path = option("--process") or f"{bundle}/fake.json"
    with open(path) as f:
        spec = json.load(f)
    directory = os.path.dirname(path)
    environment = {
        k: v for k, v in os.environ.items() if k.startswith(("_OCI", "_PODLIKE", "LISTEN", "NOTIFY", "XDG"))
    }
    with open("/proc/self/oom_score_adj") as f:
        adj = f.read().strip()
    with open(f"{directory}/calls.jsonl", "a") as f:
        print(
            json.dumps(
                {"argv": sys.argv[1:], "fds": open_fds(), "env": environment, "pid": os.getpid(), "adj": adj}
            ),
            file=f,
        )
    time.sleep(spec.get("sleep", 0))
    sys.stderr.write(spec.get("stderr", ""))
    sys.stderr.flush()
    console = option("--console-socket")
    slave = send_terminal(console) if console and not spec.get("no_terminal") else None
    if not spec.get("no_pidfile"):
        pid = os.fork()
        if pid == 0:
            run(spec, slave, f"{directory}/go")
        if spec.get("reap_first"):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        pid_file = option("--pid-file")
        assert pid_file is not None
        with open(pid_file, "w") as f:
            f.write(str(pid))
    os._exit(spec.get("status", 0))


main()
