"""Small file operations for every floor, without the imports of shutil and tempfile."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Enough for any hosts, passwd or exit file; more is somebody's attempt to fill our memory.
TEXT_LIMIT: "Final" = 1 << 20


def read_text(path: str, *, limit: int = TEXT_LIMIT) -> str:
    """The file's text, at most limit bytes of it. Raises: OSError."""
    with open(path, "rb", buffering=0) as f:
        return (f.read(limit) or b"").decode(errors="replace")


def write_text(path: str, text: str, *, mode: int = 0o644) -> None:
    """Write a new or existing file in one go; mode is set whatever the umask. Raises: OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)
        view = memoryview(text.encode())
        while view:
            view = view[os.write(fd, view):]
    finally:
        os.close(fd)


def make_directory(parent: str, prefix: str) -> str:
    """A new directory with a name of its own, for us alone; its path. Raises: OSError."""
    while True:
        path = f"{parent}/{prefix}{os.urandom(8).hex()}"
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            continue
        return path


def replace_text(path: str, text: str, *, mode: int = 0o600) -> None:
    """Like write_text, but readers see the old or the new text and never a part. Raises: OSError."""
    tmp = f"{path}.{os.getpid()}"
    write_text(tmp, text, mode=mode)
    os.rename(tmp, path)
