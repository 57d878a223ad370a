"""Small file operations for every floor, without the imports of shutil and tempfile."""

import os
import stat

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


def replace_text(path: str, text: str, *, mode: int = 0o600) -> None:
    """Like write_text, but readers see the old or the new text and never a part. Raises: OSError."""
    tmp = f"{path}.{os.getpid()}"
    write_text(tmp, text, mode=mode)
    os.rename(tmp, path)


def remove_tree(path: str) -> None:
    """Remove path and everything below it; gone already is fine.

    Follows no symbolic link and opens unreadable directories of our own. Raises: OSError for what cannot go.
    """
    try:
        st = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(st.st_mode):
        os.unlink(path)
        return
    if st.st_mode & 0o700 != 0o700:
        try:
            os.chmod(path, 0o700)
        except OSError:
            pass  # the removal below says what is wrong
    # Two passes, because scandir must not be disturbed by what it lists.
    with os.scandir(path) as entries:
        found = [(e.path, e.is_dir(follow_symlinks=False)) for e in entries]
    for name, is_dir in found:
        if is_dir:
            remove_tree(name)
        else:
            try:
                os.unlink(name)
            except FileNotFoundError:
                pass
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
