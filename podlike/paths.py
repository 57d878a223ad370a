"""Where things lie: data, volatile state, helper programs.

Rootless: $XDG_DATA_HOME/podlike and $XDG_RUNTIME_DIR/podlike (XDG Base Directory Specification).
Root: /var/lib/podlike and /run/podlike.
"""

import os
import stat

from podlike.errors import PodlikeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

LIBEXEC: "Final" = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libexec")

# Distributions put helper programs here; newuidmap and slirp4netns are sometimes not on a service's PATH.
HELPER_DIRS: "Final" = ("/usr/local/libexec/podlike", "/usr/libexec/podlike", "/usr/local/bin", "/usr/bin",
                        "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/libexec/podman", "/usr/lib/podman")


class Roots:
    """The two directories of one user's podlike.

    data: durable (database, blobs, layers, containers' writable layers).
    run: volatile, lost at reboot (sockets, pid files, network namespaces).
    """

    __slots__ = ("data", "run")

    def __init__(self, *, data: str, run: str) -> None:
        self.data = data
        self.run = run

    @property
    def database(self) -> str:
        return f"{self.data}/db.sqlite"

    @property
    def blobs(self) -> str:
        return f"{self.data}/blobs"

    @property
    def layers(self) -> str:
        return f"{self.data}/layers"

    @property
    def tmp(self) -> str:
        """Unfinished downloads and layers; on the same file system as blobs and layers."""
        return f"{self.data}/tmp"

    def container(self, cid: str) -> str:
        """Durable directory of a container: upper/ work/ merged/ and its log."""
        return f"{self.data}/containers/{cid}"

    def bundle(self, cid: str) -> str:
        """Volatile directory of a container: config.json, attach, ctl, pid files."""
        return f"{self.run}/containers/{cid}"

    @property
    def exits(self) -> str:
        """Files named by container id that hold an exit code, written by the monitor."""
        return f"{self.run}/exits"

    @property
    def netns(self) -> str:
        return f"{self.run}/netns"


def boot_id() -> str:
    """The kernel's random id of this boot, 36 characters (random(4))."""
    with open("/proc/sys/kernel/random/boot_id") as f:
        return f.read().strip()


def default_roots() -> Roots:
    """Data and run roots of the calling user; neither is created.

    Honours PODLIKE_ROOT (data) and PODLIKE_RUNROOT (volatile) before the XDG variables.
    """
    uid = os.geteuid()
    env = os.environ.get
    if uid == 0:
        data, run = "/var/lib/podlike", "/run/podlike"
    else:
        home = env("HOME") or _home_from_passwd(uid)
        data = (env("XDG_DATA_HOME") or f"{home}/.local/share") + "/podlike"
        runtime = env("XDG_RUNTIME_DIR")
        if not runtime and _is_private_dir(f"/run/user/{uid}", uid):
            runtime = f"/run/user/{uid}"
        # Without a runtime directory the boot id in the name makes stale state invisible after a reboot.
        run = f"{runtime}/podlike" if runtime else f"/tmp/podlike-{uid}-{boot_id()[:8]}"
    return Roots(data=env("PODLIKE_ROOT") or data, run=env("PODLIKE_RUNROOT") or run)


def ensure_private_dir(path: str) -> str:
    """Create path (mode 0700) with its parents; refuse one that another user owns.

    Raises: PodlikeError.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as e:
        raise PodlikeError(
            f"create directory {path}: {e.strerror}",
            hint="Check that its parent belongs to you, or set PODLIKE_ROOT and PODLIKE_RUNROOT to directories that do.",
        ) from e
    st = os.lstat(path)
    if not stat.S_ISDIR(st.st_mode) or st.st_uid not in (os.geteuid(), 0):
        raise PodlikeError(f"use directory {path}: it belongs to user {st.st_uid}",
                           hint="Remove it, or set XDG_RUNTIME_DIR to a directory of your own.")
    if st.st_mode & 0o077 and st.st_uid == os.geteuid():
        os.chmod(path, 0o700)  # made as the parent of something else
    return path


def libexec(name: str) -> str:
    """Absolute path of one of our own helper programs (podlike-spawn, podlike-conmon ...)."""
    override = os.environ.get("PODLIKE_LIBEXEC")
    return f"{override or LIBEXEC}/{name}"


def real_uid() -> int:
    """The user's id in the initial namespace's terms, also after the session was joined (then geteuid() is 0)."""
    uid = os.geteuid()
    if uid == 0:
        with open("/proc/self/uid_map") as f:
            first = f.readline().split()
        if first[:1] == ["0"]:
            return int(first[1])
    return uid


def find_program(name: str) -> str | None:
    """Absolute path of a program of the system, or None. PATH first, then HELPER_DIRS."""
    for d in (*os.environ.get("PATH", "").split(":"), *HELPER_DIRS):
        p = f"{d}/{name}"
        if d and os.access(p, os.X_OK) and os.path.isfile(p):
            return p
    return None


def _home_from_passwd(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        raise PodlikeError(f"find the home directory of user {uid}: not in /etc/passwd",
                           hint="Set HOME to a directory that you can write.") from None


def _is_private_dir(path: str, uid: int) -> bool:
    try:
        st = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(st.st_mode) and st.st_uid == uid and os.access(path, os.W_OK)
