"""Looking up users in a container's own passwd and group files."""

import os
import stat

from podlike.errors import CannotExecuteError, UsageError
from podlike.files import TEXT_LIMIT
from podlike.runtime import spawn
from podlike.spec import users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.spec.container import ContainerSpec


def lookup_user(root_fd: int, text: str, *, groups: list[str]) -> users.ResolvedUser:
    """Resolve "user[:group]" and further groups against the files below root_fd.

    Raises: PodlikeError when the name is not there.
    """
    return users.resolve(text, passwd=_read_in_root(root_fd, "/etc/passwd"), group=_read_in_root(root_fd, "/etc/group"),
                         groups=groups)


def identify(root_fd: int, spec: "ContainerSpec") -> tuple[users.ResolvedUser, dict[str, str]]:
    """Who the container's process is, and the texts of passwd and group that replace the image's, by their path.

    Entries are added for --hostuser, and for a numeric user that has none. Images without these files do not get any.
    Raises: CannotExecuteError (exit code 126) for a user or group that does not exist.
    """
    passwd, group = _read_in_root(root_fd, "/etc/passwd"), _read_in_root(root_fd, "/etc/group")
    try:
        kept, kept_group = _kept_entries(spec, passwd, group)
        hosted = "".join(host_entry(name) for name in spec.host_users) + kept
        everyone, groups = _append(passwd, hosted), _append(group, kept_group)
        user = users.resolve(spec.user, passwd=everyone, group=groups, groups=spec.groups)
        entry, group_entry = users.missing_entries(spec.user, passwd=everyone, group=groups, home=spec.workdir)
    except UsageError as e:
        raise CannotExecuteError(e.message, hint=e.hint) from e
    if not spec.passwd:
        return user, {}
    if entry:
        user = user._replace(home=spec.workdir)
        entry = users.fill_entry(spec.passwd_entry, users.PASSWD_FIELDS, entry)
    group_entry = group_entry and users.fill_entry(spec.group_entry, users.GROUP_FIELDS, group_entry)
    more = (("/etc/passwd", passwd, hosted + entry), ("/etc/group", group, kept_group + group_entry))
    return user, {path: _append(have, add) for path, have, add in more if have and add}


def _kept_entries(spec: "ContainerSpec", passwd: str, group: str) -> tuple[str, str]:
    """passwd and group lines of the caller, who is the same inside with --userns=keep-id."""
    if not spec.user_ns.startswith("keep-id"):
        return "", ""
    import grp
    import pwd

    from podlike.paths import real_uid

    uid = next(inside for inside, session, _ in spec.uid_map if session == 0)
    gid = next(inside for inside, session, _ in spec.gid_map if session == 0)
    try:
        me = pwd.getpwuid(real_uid())
        group_name = grp.getgrgid(me.pw_gid).gr_name
    except KeyError:
        return "", ""
    home = me.pw_dir if any(m.target == me.pw_dir for m in spec.mounts) else spec.workdir
    passwd_line = "" if users.has_id(passwd, uid) else f"{me.pw_name}:*:{uid}:{gid}:{me.pw_gecos}:{home}:/bin/sh\n"
    return passwd_line, "" if users.has_id(group, gid) else f"{group_name}:x:{gid}:{me.pw_name}\n"


def host_entry(name: str) -> str:
    """The passwd line of one of the host's users, by name or number. Raises: UsageError."""
    import pwd

    try:
        found = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        raise UsageError(f"unable to find user {name}: no such user on the host",
                         hint="Give --hostuser a name or a number of the host's /etc/passwd.") from None
    return f"{found.pw_name}:*:{found.pw_uid}:{found.pw_gid}:{found.pw_gecos}:{found.pw_dir}:/bin/sh\n"


def write_in_root(root_fd: int, path: str, text: str) -> bool:
    """Write an existing file of the container's own; False when it is none, or cannot be written."""
    try:
        fd = spawn.open_in_root(root_fd, path, os.O_PATH)
    except spawn.SpawnError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        with open(f"/proc/self/fd/{fd}", "w") as f:
            f.write(text)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def read_file(rootfs: str, path: str) -> str:
    """The text of a file beneath a mounted root file system, "" when there is none."""
    root_fd = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _read_in_root(root_fd, path)
    finally:
        os.close(root_fd)


def _append(text: str, more: str) -> str:
    return (text if not text or text.endswith("\n") else text + "\n") + more


def _read_in_root(root_fd: int, path: str) -> str:
    """The file's text, "" when there is none; never follows a link out of the root, never blocks on a fifo."""
    try:
        fd = spawn.open_in_root(root_fd, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except spawn.SpawnError:
        return ""
    with open(fd, "rb", buffering=0) as f:
        try:
            return (f.read(TEXT_LIMIT) or b"").decode(errors="replace")
        except OSError:
            return ""
