"""A container's own user namespace: --userns=keep-id, --uidmap and --gidmap.

Ids are those of the user's session, where the caller is 0 and the subordinate ids follow from 1: the container's
namespace is one below. A range is (id in the container, id in the session, how many), as in uid_map.
"""

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NamedTuple

    Range = tuple[int, int, int]
else:
    from podlike.spec.record import NamedTuple


class Caller(NamedTuple):
    """Who runs the command: ids in the initial namespace's terms, how many ids the session has, and where its ranges begin."""

    uid: int
    gid: int
    uids: int
    gids: int
    uid_starts: "tuple[int, ...]" = ()
    gid_starts: "tuple[int, ...]" = ()


class UserNamespace(NamedTuple):
    """uids, gids: ranges. user: "UID:GID" that the container runs as if nobody says otherwise, "" for the image's."""

    uids: "list[Range]"
    gids: "list[Range]"
    user: str = ""


def plan(mode: str, uidmap: "Sequence[str]", gidmap: "Sequence[str]", caller: Caller) -> UserNamespace | None:
    """The namespace that was asked for; None: the session's own. Raises: UsageError."""
    found = _plan(mode, uidmap, gidmap, caller)
    if found is None:
        return None
    return found._replace(uids=split(found.uids, caller.uid_starts), gids=split(found.gids, caller.gid_starts))


def split(ranges: "Iterable[Range]", starts: "Sequence[int]") -> "list[Range]":
    """The same ids in ranges that each lie in one of the session's: the kernel takes no other (EPERM, user_namespaces(7))."""
    out: "list[Range]" = []
    for inside, outside_, count in ranges:
        edges = [outside_, *sorted(s for s in starts if outside_ < s < outside_ + count), outside_ + count]
        out += [(inside + first - outside_, first, last - first) for first, last in zip(edges, edges[1:], strict=False)]
    return out


def _plan(mode: str, uidmap: "Sequence[str]", gidmap: "Sequence[str]", caller: Caller) -> UserNamespace | None:
    kind, _, options = mode.partition(":")
    if uidmap or gidmap:
        if kind not in ("", "private"):
            raise UsageError("--userns and --uidmap/--gidmap are mutually exclusive")
        return UserNamespace(_given(uidmap or gidmap, caller.uids, "uidmap"), _given(gidmap or uidmap, caller.gids, "gidmap"))
    if kind == "keep-id":
        uid, gid = _keep_options(options, caller)
        return UserNamespace(keep(uid, caller.uids), keep(gid, caller.gids), f"{uid}:{gid}")
    return None


def keep(number: int, size: int) -> "list[Range]":
    """The session's id 0 appears as `number`, the others in their order around it; size: ids of the session."""
    low = min(number, size - 1)
    ranges = [(0, 1, low), (number, 0, 1), (number + 1, number + 1, size - number - 1)]
    return [r for r in ranges if r[2] > 0]


def outside(ranges: "Iterable[Range]", number: int) -> int | None:
    """The session's id behind an id of the container, None if it has none."""
    return next((o + number - i for i, o, n in ranges if i <= number < i + n), None)


def _keep_options(text: str, caller: Caller) -> "tuple[int, int]":
    found = {"uid": caller.uid, "gid": caller.gid}
    for part in text.split(",") if text else ():
        key, _, value = part.partition("=")
        if key not in found:
            raise UsageError(f'unknown option "{part}" for --userns=keep-id', hint="Options are uid=N and gid=N.")
        if not (value.isascii() and value.isdigit() and int(value) < 2**31):
            raise UsageError(f"--userns=keep-id:{part}: not an id", hint="Write a number, such as uid=1000.")
        found[key] = int(value)
    return found["uid"], found["gid"]


def _given(items: "Sequence[str]", size: int, flag: str) -> "list[Range]":
    ranges = []
    for text in items:
        parts = text.split(":")
        if not 2 <= len(parts) <= 3 or not all(p.isascii() and p.isdigit() for p in parts):
            raise UsageError(f"invalid mapping {text} for --{flag}",
                             hint="Write CONTAINER-ID:ID:COUNT; IDs are counted in your own range, you are 0.")
        inside, first, count = int(parts[0]), int(parts[1]), int(parts[2]) if len(parts) == 3 else 1
        if not count or first + count > size:
            raise UsageError(f"--{flag} {text}: your user namespace has the ids 0 to {size - 1}",
                             hint="Map fewer ids, or have more granted in /etc/subuid and /etc/subgid.")
        ranges.append((inside, first, count))
    if outside([(o, i, n) for i, o, n in ranges], 0) is None:
        raise UsageError(f"--{flag} {','.join(items)}: your own id, 0, is not in it",
                         hint="Map it somewhere: your files, and the container's in your store, are reached by it.")
    return ranges
