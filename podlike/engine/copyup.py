"""A new volume starts with what the image has at its mount point."""

import os
import stat

from podlike.files import TEXT_LIMIT


def copy_directory(source: int, target: str) -> None:
    """Copy what is in the directory `source` into the empty directory `target`, owners and modes included, and the
    directory's own. source: a descriptor, which stays the caller's. Raises: OSError.
    """
    st = os.fstat(source)
    with os.scandir(source) as entries:
        for entry in entries:
            _copy_entry(source, entry.name, f"{target}/{entry.name}")
    _copy_metadata(source, target, st)


def _copy_entry(directory: int, name: str, target: str) -> None:
    st = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISLNK(st.st_mode):
        os.symlink(os.readlink(name, dir_fd=directory), target)
        os.chown(target, st.st_uid, st.st_gid, follow_symlinks=False)
    elif stat.S_ISDIR(st.st_mode):
        os.mkdir(target)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            copy_directory(fd, target)
        finally:
            os.close(fd)
    elif stat.S_ISREG(st.st_mode):
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            _copy_file(fd, target, st)
        finally:
            os.close(fd)
    elif stat.S_ISFIFO(st.st_mode):
        os.mkfifo(target, stat.S_IMODE(st.st_mode))
        os.chown(target, st.st_uid, st.st_gid)


def _copy_file(source: int, target: str, st: os.stat_result) -> None:
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        while os.sendfile(out, source, None, TEXT_LIMIT):
            pass
    finally:
        os.close(out)
    _copy_metadata(source, target, st)


def _copy_metadata(source: int, target: str, st: os.stat_result) -> None:
    os.chown(target, st.st_uid, st.st_gid)
    os.chmod(target, stat.S_IMODE(st.st_mode))
    for name in os.listxattr(source):
        if name.startswith(("user.overlay.", "trusted.")):
            continue  # marks of the file system that the image lies on
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError:
            pass  # the volume's file system does not take it
    os.utime(target, ns=(st.st_atime_ns, st.st_mtime_ns))
