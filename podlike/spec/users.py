"""Who a container's process is: `--user`, `--group-add` and the container's own passwd and group files.

The files come out of an untrusted image. They are read line by line up to a bound, lines that make no sense
are passed over, and an id that is no number never counts as 0 (which would be root).
"""

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import NamedTuple
else:
    from podlike.spec.record import NamedTuple

MAX_ID = 2**31 - 1  # the limit of runc and podman; the kernel itself would take 2^32 - 2
MAX_FILE = (
    4 * 1024 * 1024
)  # bytes that the caller should read at most; a passwd file of 100,000 users has this size
MAX_GROUPS = 65536  # NGROUPS_MAX, setgroups(2)
KEEP_GROUPS = "keep-groups"  # --group-add: the caller's own supplementary groups are kept


class ResolvedUser(NamedTuple):
    """additional_gids: sorted, without duplicates; what setgroups(2) gets."""

    uid: int = 0
    gid: int = 0
    additional_gids: "tuple[int, ...]" = ()
    home: str = "/"


def resolve(user: str, *, passwd: str, group: str, groups: "Sequence[str]" = ()) -> ResolvedUser:
    """Who `user[:group]` is in a container.

    user: names or numbers; "" is root. Numbers need no entry in the files; an entry gives them group and
        home.
    passwd, group: texts of the container's /etc/passwd and /etc/group, "" where there is none.
    groups: --group-add, names or numbers.
    Raises: UsageError in podman's words.
    """
    name, _, group_name = user.partition(":")
    uid, gid, home, login = _find_user(name, passwd)
    extra: "set[int]" = {gid} if user else set()
    if group_name:
        gid = _find_group(group_name, group)
        extra = {gid}
    elif login:
        extra.update(_memberships(login, group))
    extra.update(_find_group(g, group) for g in groups if g != KEEP_GROUPS)
    return ResolvedUser(uid, gid, tuple(sorted(extra)[:MAX_GROUPS]), home)


def missing_entries(user: str, *, passwd: str, group: str, home: str) -> "tuple[str, str]":
    """Lines to append to passwd and group so that a numeric --user has a name; "" where none is needed.

    Programs such as ssh and git refuse to run for a user without an entry. home: the working directory.
    Raises: UsageError.
    """
    name, _, group_name = user.partition(":")
    uid = _id(name)
    if uid is None or any(_id(fields[2]) == uid for fields in _lines(passwd, 6)):
        passwd_line = ""
    else:
        gid = _find_group(group_name, group) if group_name else 0
        passwd_line = f"{uid}:*:{uid}:{gid}:container user:{home}:/bin/sh\n"
    gid_asked = _id(group_name or "0") if user else None
    if gid_asked is None or any(_id(fields[2]) == gid_asked for fields in _lines(group, 3)):
        return passwd_line, ""
    return passwd_line, f"{gid_asked}:x:{gid_asked}:{name}\n"


def has_id(text: str, number: int) -> bool:
    """Whether a passwd or group file has an entry for this id."""
    return any(_id(fields[2]) == number for fields in _lines(text, 3))


PASSWD_FIELDS = ("USERNAME", "", "UID", "GID", "NAME", "HOME")
GROUP_FIELDS = ("GROUPNAME", "", "GID", "USERLIST")


def fill_entry(template: str, names: "Sequence[str]", line: str) -> str:
    """--passwd-entry or --group-entry in the place of a line that is added: $UID and the like are taken from it.

    names: of the line's fields. The line itself when the template is empty.
    """
    if not template:
        return line
    for name, value in zip(names, line.rstrip("\n").split(":"), strict=False):
        if name:
            template = template.replace(f"${name}", value)
    return template.rstrip("\n") + "\n"


def is_root(user: str) -> bool:
    """Whether --user names root without a look into the container's files; capabilities depend on it."""
    return user.partition(":")[0] in ("", "root", "0")


def _find_user(name: str, passwd: str) -> "tuple[int, int, str, str]":
    """(uid, gid, home, login name); the login name is "" for a number without an entry."""
    number = _id(name) if name else 0
    for fields in _lines(passwd, 6):
        uid, gid = _id(fields[2]), _id(fields[3])
        if uid is not None and (uid == number if number is not None else fields[0] == name):
            return uid, gid if gid is not None else 0, fields[5] or "/", fields[0]
    if number is None:
        if _is_number(name):
            raise UsageError(
                f"uids and gids must be in range 0-{MAX_ID}", hint="Give --user a smaller number."
            )
        raise UsageError(f"unable to find user {name}: no matching entries in passwd file",
                         hint="Give a number, or a user of the image's /etc/passwd.")
    return number, 0, "/", ""


def _find_group(name: str, group: str) -> int:
    number = _id(name)
    if number is not None:
        return number
    if _is_number(name):
        raise UsageError(f"uids and gids must be in range 0-{MAX_ID}", hint="Give a smaller group number.")
    for fields in _lines(group, 3):
        gid = _id(fields[2])
        if fields[0] == name and gid is not None:
            return gid
    raise UsageError(f"unable to find group {name}: no matching entries in group file",
                     hint="Give a number, or a group of the image's /etc/group.")


def _memberships(login: str, group: str) -> "Iterator[int]":
    for fields in _lines(group, 4):
        # The test before the split keeps a line of a million members cheap for everyone who is not in it.
        if login in fields[3] and login in fields[3].split(","):
            gid = _id(fields[2])
            if gid is not None:
                yield gid


def _lines(text: str, least: int) -> "Iterator[list[str]]":
    """Fields of each line that has at least so many, without + and - lines of NIS and comments."""
    for line in text[:MAX_FILE].split("\n"):
        fields = line.strip().split(":")
        if len(fields) >= least and fields[0] and fields[0][0] not in "+-#":
            yield fields


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdigit() and text.isascii()


def _id(text: str) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= 10:
        number = int(text)
        if number <= MAX_ID:
            return number
    return None
