"""Looking up users in a container's own passwd and group files."""

import os

from podlike.files import TEXT_LIMIT
from podlike.runtime import spawn
from podlike.spec import users


def lookup_user(root_fd: int, text: str, *, groups: list[str]) -> users.ResolvedUser:
    """Resolve "user[:group]" and further groups against the files below root_fd.

    Raises: PodlikeError when the name is not there.
    """
    return users.resolve(text, passwd=_read_in_root(root_fd, "/etc/passwd"), group=_read_in_root(root_fd, "/etc/group"),
                         groups=groups)


def completed_files(root_fd: int, text: str, *, home: str) -> dict[str, str]:
    """passwd and group with an entry added for a numeric user that has none, by their path; {} when complete.

    Images without these files do not get any.
    """
    passwd, group = _read_in_root(root_fd, "/etc/passwd"), _read_in_root(root_fd, "/etc/group")
    more_passwd, more_group = users.missing_entries(text, passwd=passwd, group=group, home=home)
    out = {}
    for path, have, more in (("/etc/passwd", passwd, more_passwd), ("/etc/group", group, more_group)):
        if have and more:
            out[path] = (have if have.endswith("\n") else have + "\n") + more
    return out


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
