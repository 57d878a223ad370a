"""Names in the hosts file that containers share: each that joins another's network is found there as 127.0.0.1.

The file is bound into containers, so it is changed in place, under a lock of its own.
"""

import fcntl
import os

from podlike.engine.core import Engine
from podlike.spec.resolve import namespace
from podlike.store.containers import Container


def add(path: str, name: str) -> None:
    """Have name in it, once."""
    _change(path, _line(name), wanted=True)


def forget(engine: Engine, container: Container) -> None:
    """Take a container's name out of the file of the one whose network it has joined, if that is still there."""
    from podlike.engine.query import find
    from podlike.errors import NotFoundError

    kind, target = namespace(container.spec.network)
    if kind != "container":
        return
    try:
        path = f"{engine.roots.bundle(find(engine, target).id)}/etc/hosts"
        _change(path, _line(container.name), wanted=False)
    except (NotFoundError, FileNotFoundError):
        pass


def _line(name: str) -> bytes:
    return f"127.0.0.1\t{name}\n".encode()


def _change(path: str, line: bytes, *, wanted: bool) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        lines = os.pread(fd, os.fstat(fd).st_size, 0).splitlines(keepends=True)
        if (line in lines) == wanted:
            return
        if wanted:
            gap = b"" if not lines or lines[-1].endswith(b"\n") else b"\n"
            os.pwrite(fd, gap + line, sum(map(len, lines)))
            return
        rest = b"".join(other for other in lines if other != line)
        os.pwrite(fd, rest, 0)
        os.ftruncate(fd, len(rest))
    finally:
        os.close(fd)
