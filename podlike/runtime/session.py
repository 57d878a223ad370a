"""The user's session namespaces: made once by podlike-session, joined by every command that needs them.

State file Roots.run/session: "PID STARTTIME" of the holder. A holder that was killed while containers live is
replaced by joining the namespaces of one of their monitors; so no command ever needs a repair.
"""

import json
import os
import signal

from podlike import log, procs
from podlike.errors import SessionError
from podlike.locks import Lock
from podlike.paths import Roots, ensure_private_dir, find_program, libexec
from podlike.runtime import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

# user_namespaces(7): the identity map of the initial user namespace.
_INITIAL_MAP: "Final" = ["0", "0", "4294967295"]


def in_initial_userns() -> bool:
    with open("/proc/self/uid_map") as f:
        return f.read().split() == _INITIAL_MAP


def rootless() -> bool:
    """Whether containers of this process get ids of a user namespace. True inside the session as well."""
    return os.geteuid() != 0 or not in_initial_userns()


def join_session(roots: Roots) -> None:
    """Enter the user's session, making it first if there is none. The working directory is kept.

    Does nothing for uid 0: that is root itself, or a process that is inside already.
    Raises: SessionError.
    """
    ensure_private_dir(roots.run)
    if os.geteuid() == 0:
        return
    cwd = os.getcwd()
    if not _join_recorded(roots):
        with Lock(roots, "session"):
            if not _join_recorded(roots) and not _join_through_monitor(roots):
                _make_session(roots)
                if not _join_recorded(roots):
                    raise SessionError("join session namespaces: the new holder is gone already",
                                       hint="Look for what kills processes of this user (ulimit -u, OOM killer).")
    try:
        os.chdir(cwd)
    except OSError:
        log.debug(f"{cwd} cannot be entered inside the session; continuing in /")


def holder(roots: Roots) -> tuple[int, int]:
    """(pid, start time) of the recorded holder if it lives, else (0, 0)."""
    try:
        with open(f"{roots.run}/session") as f:
            pid, started = map(int, f.read().split())
    except (OSError, ValueError):
        return 0, 0
    return (pid, started) if procs.alive(pid, started) else (0, 0)


def _join_recorded(roots: Roots) -> bool:
    pid, started = holder(roots)
    if not pid:
        return False
    if _map_is_stale(roots, pid):
        log.info("subordinate ids have changed: making a new session")
        procs.send_signal(pid, started, signal.SIGKILL)
        procs.wait_gone(pid, started, 5)
        return False
    return _join_process(pid, started)


def _join_process(pid: int, started: int) -> bool:
    """Enter the namespaces of a process. False: it is gone, or its namespaces are not the user's session."""
    fds: list[int] = []
    try:
        for kind in ("user", "mnt"):
            fds.append(os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC))
        ours = os.stat("/proc/self/ns/user")
        if os.fstat(fds[0]).st_ino == ours.st_ino or spawn.ns_owner(fds[0]) != os.geteuid():
            return False
        # Only now is it certain that the fds are of that process and not of a successor of its pid.
        if not procs.alive(pid, started):
            return False
        spawn.session_join(fds[0], fds[1])
        return True
    except OSError:
        return False
    except spawn.SpawnError as e:
        raise SessionError(f"{e.stage}: {e.message}", hint="Stop all containers and try again.") from e
    finally:
        for fd in fds:
            os.close(fd)


def _live_monitors(roots: Roots) -> "Iterator[tuple[int, int]]":
    try:
        ids = os.listdir(f"{roots.run}/containers")
    except FileNotFoundError:
        return
    for cid in ids:
        try:
            with open(f"{roots.bundle(cid)}/conmon.pid") as f:
                pid = int(f.read())
        except (OSError, ValueError):
            continue
        started = procs.start_time(pid)
        if started and procs.command_name(pid) == "podlike-conmon":
            yield pid, started


def _join_through_monitor(roots: Roots) -> bool:
    for pid, started in _live_monitors(roots):
        if _join_process(pid, started):
            _run_session_program(roots, ["--hold"])
            return True
    return False


def _map_is_stale(roots: Roots, pid: int) -> bool:
    """Whether /etc/subuid or /etc/subgid have changed since, and nothing runs that relies on the old map."""
    try:
        with open(f"/proc/{pid}/uid_map") as f:
            uid_map = f.read().split()
        with open(f"/proc/{pid}/gid_map") as f:
            gid_map = f.read().split()
    except OSError:
        return False
    try:
        stale = uid_map != _map_for("uid").split() or gid_map != _map_for("gid").split()
    except SessionError:
        return False  # the ids were taken away: what exists goes on
    return stale and next(_live_monitors(roots), None) is None


def _make_session(roots: Roots) -> None:
    helpers = []
    for name in ("newuidmap", "newgidmap"):
        path = find_program(name)
        if path is None:
            raise SessionError(f"create user namespace: {name} is not installed",
                               hint="Install it: `sudo apt install uidmap` (Debian, Ubuntu), "
                                    "`sudo dnf install shadow-utils` (Fedora).")
        helpers += [f"--{name}", path]
    _run_session_program(roots, ["--uid-map", _map_for("uid"), "--gid-map", _map_for("gid"), *helpers])


def _run_session_program(roots: Roots, args: list[str]) -> None:
    argv = [libexec("podlike-session"), "--state", f"{roots.run}/session", *args]
    scope = _own_scope()
    answer = _answer_of([*scope, *argv]) if scope else b""
    if not answer:  # systemd may be going down, or have no bus
        answer = _answer_of(argv)
    doc = json.loads(answer or b'{"stage": "create session", "errno": 5, "text": "podlike-session died"}')
    if "stage" in doc:
        raise SessionError(f"{doc['stage']}: {doc['text']}", hint=_hint_for(doc["stage"]))


def _own_scope() -> list[str]:
    """In a service of systemd's: words that put a program into a scope of its own. What one unit's `podlike run` has made must
    not go with that unit, as all others rely on it."""
    if not os.environ.get("INVOCATION_ID") or not os.path.isdir("/run/systemd/system"):
        return []
    program = find_program("systemd-run")
    if program is None:
        return []
    return [program, "--user", "--scope", "--quiet", "--collect", f"--unit=podlike-session-{os.getpid()}.scope",
            "--description=The user and mount namespace of podlike's containers", "--"]


def _answer_of(argv: list[str]) -> bytes:
    """Raises: SessionError."""
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, write_fd, 1)],
                             setsigdef=procs.PYTHON_SIGNALS)
    except OSError as e:
        os.close(read_fd)
        raise SessionError(f"start {argv[0]}: {e.strerror}", hint="Reinstall podlike.") from e
    finally:
        os.close(write_fd)
    with open(read_fd, "rb", buffering=0) as f:
        answer = f.read(4096) or b""
    os.waitpid(pid, 0)
    return answer


def _hint_for(stage: str) -> str:
    if stage == "create user namespace":
        return ("Allow user namespaces: check `sysctl user.max_user_namespaces kernel.unprivileged_userns_clone "
                "kernel.apparmor_restrict_unprivileged_userns`; the first must be above 0, the second 1, the third 0.")
    if stage == "map ids":
        return ("Check that newuidmap and newgidmap are set-uid root or have cap_setuid and cap_setgid, and that "
                "/etc/subuid and /etc/subgid grant you ranges that nobody else has.")
    return "Check that the runtime directory is writable (XDG_RUNTIME_DIR)."


def _map_for(kind: str) -> str:
    """"IN OUT COUNT ..." for newuidmap: the caller as 0, the subordinate ids from 1.

    kind: uid or gid. Raises: SessionError when nothing is granted. Source: subuid(5).
    """
    own = os.geteuid() if kind == "uid" else os.getegid()
    words = ["0", str(own), "1"]
    inside = 1
    for first, count in subordinate_ranges(kind):
        words += [str(inside), str(first), str(count)]
        inside += count
    if inside == 1:
        name = user_name()
        start = _free_range_start()
        raise SessionError(
            f"create user namespace: user {name} has no subordinate {kind}s in /etc/sub{kind}",
            hint=f"Grant some: `sudo usermod --add-subuids {start}-{start + 65535} --add-subgids {start}-{start + 65535} {name}`")
    return " ".join(words)


def subordinate_ranges(kind: str) -> list[tuple[int, int]]:
    """(first id, count) of every range that /etc/subuid or /etc/subgid grants the caller (subuid(5))."""
    keys = (user_name(), str(os.getuid()))
    ranges = []
    for owner, first, count in _subid_lines(kind):
        if owner in keys:
            ranges.append((first, count))
    return ranges


def _subid_lines(kind: str) -> "Iterator[tuple[str, int, int]]":
    try:
        with open(f"/etc/sub{kind}", errors="replace") as f:
            lines = f.read().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        parts = line.strip().split(":")
        if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit() and int(parts[2]) > 0:
            yield parts[0], int(parts[1]), int(parts[2])


def _free_range_start() -> int:
    ends = [first + count for kind in ("uid", "gid") for _, first, count in _subid_lines(kind)]
    return max([100000, *ends])


def user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
