"""The id maps of this process (user_namespaces(7)): who we are outside of the session."""

import os


def host_uid() -> int:
    """Our user id as the host knows it, inside the session or not."""
    uid = os.getuid()
    return next((outside + uid - inside for inside, outside, count in ranges("uid") if inside <= uid < inside + count), uid)


def ranges(kind: str) -> "list[tuple[int, int, int]]":
    """(inside, outside, count), by the ids inside. kind: uid or gid. Empty where /proc cannot be read."""
    try:
        with open(f"/proc/self/{kind}_map") as f:
            fields = [tuple(map(int, line.split())) for line in f]
    except OSError:
        return []
    return sorted((f[0], f[1], f[2]) for f in fields)
