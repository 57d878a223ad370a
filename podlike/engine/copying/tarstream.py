"""`cp` from standard input and to standard output: a directory of a container as a tar, by podlike-layer."""

import errno
import json
import os
import signal
import stat

from podlike.errors import StoreError, UsageError
from podlike.paths import libexec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, BinaryIO, Final

    Ids = Sequence[tuple[int, int, int]]

_PIECE: "Final" = 1 << 20  # bytes
_BLOCK: "Final" = 512  # of a tar (pax(1))


def id_words(ids: "Ids", *, inwards: bool) -> str:
    """Ranges (id in the container, id in the session, how many) for podlike-layer: FROM:TO:COUNT,..."""
    return ",".join(f"{o}:{i}:{n}" if inwards else f"{i}:{o}:{n}" for i, o, n in ids)


def write(fd: int, out: "BinaryIO", *, name: str, owner: tuple[int, int], exclude: "Sequence[str]" = (),
          live: bool = False) -> None:
    """What the fd stands for as a tar. name: of the directory or file; "": what is in the directory. live: a container runs
    there. Raises: StoreError.
    """
    args = ["--plain", "--no-holes", "--owner", f"{owner[0]}:{owner[1]}", *(["--prefix", name, "--root-entry"] if name else [])]
    args += [word for item in exclude for word in ("--exclude", item)]
    pack(fd, out.fileno(), [*args, *(["--skip-unreadable", "--live"] if live else [])], what="copying from container")


def pack(fd: int, out: int, args: "Sequence[str]", *, what: str) -> "dict[str, Any]":
    """podlike-layer pack of an fd's directory or file to another fd; its verdict. Raises: StoreError."""
    import subprocess

    program = libexec("podlike-layer")
    try:
        done = subprocess.run([program, "pack", "--source", f"/proc/self/fd/{fd}", *args], pass_fds=[fd],
                              stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE)
    except OSError as e:
        raise StoreError(f"{what}: start {program}: {e.strerror}") from e
    if done.returncode == -signal.SIGPIPE:
        raise BrokenPipeError  # who read our output has seen enough
    return _verdict(done.stderr, done.returncode, what)


def _verdict(text: bytes, status: int, what: str) -> "dict[str, Any]":
    try:
        doc: "dict[str, Any]" = json.loads(text)
    except ValueError:
        raise StoreError(f"{what}: podlike-layer ended with {status}") from None
    if status or "error" in doc:
        raise StoreError(f"{what}: {doc.get('error', status)}")
    return doc


def read(source: "BinaryIO", fd: int, *, shown: str, owner: tuple[int, int] | None, uid_map: "Ids", gid_map: "Ids",
         overwrite: bool) -> None:
    """Unpack a tar, plain or compressed, into the directory behind an fd.

    shown: its path, for messages. owner: of all, in the session's ids; None: the archive's, in the container's.
    Raises: UsageError for what is no tar, StoreError.
    """
    import subprocess

    head, stream = _opened(source.fileno())
    args = ["--plain", *([] if overwrite else ["--keep-kinds"])]
    if owner:
        args += ["--owner", f"{owner[0]}:{owner[1]}"]
    elif uid_map:
        args += ["--map-uids", id_words(uid_map, inwards=False), "--map-gids", id_words(gid_map, inwards=False)]
    with subprocess.Popen([libexec("podlike-layer"), "unpack", "--dest", f"/proc/self/fd/{fd}", *args], pass_fds=[fd],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdin is not None and child.stdout is not None
        try:
            _write_all(child.stdin.fileno(), head)
            if stream is None:
                _pass_on(source.fileno(), child.stdin.fileno())
            else:
                for piece in stream:
                    _write_all(child.stdin.fileno(), piece)
        except BrokenPipeError:
            pass  # it says why
        except BaseException:
            child.kill()
            raise
        child.stdin.close()
        _check_unpacked(child.stdout.read(), child.wait(), shown)


def _opened(fd: int) -> "tuple[bytes, Iterator[bytes] | None]":
    """The beginning of a tar, and what comes next; None: what is left in fd, which podlike-layer takes as it is.

    Raises: UsageError for what is no tar.
    """
    from podlike.transports.codec import HEAD, decompress, detect

    pieces = _pieces(fd)
    head = _first(pieces, max(HEAD, _BLOCK))
    how = detect(head)
    if how in ("gzip", "zstd"):
        return head, None
    if not how:
        _refuse_other_than_tar(head)
        return head, None
    plain = iter(decompress(_chain(head, pieces), how, "standard input"))
    head = _first(plain, _BLOCK)
    _refuse_other_than_tar(head)
    return head, plain


def _first(pieces: "Iterator[bytes]", size: int) -> bytes:
    """At least so many bytes, if there are."""
    head = b""
    while len(head) < size and (piece := next(pieces, b"")):
        head += piece
    return head


def _refuse_other_than_tar(head: bytes) -> None:
    """Before anything is unpacked. Raises: UsageError."""
    import tarfile

    try:
        if len(head) < _BLOCK:
            raise tarfile.HeaderError("shorter than a block")
        if head[:_BLOCK].strip(b"\0"):  # one without members is zeros
            tarfile.TarInfo.frombuf(head[:_BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        raise UsageError("source must be a (compressed) tar archive when copying from stdin") from None


def _pass_on(fd: int, pipe: int) -> None:
    """All that is left in fd, without its way through our memory where the kernel can do that."""
    try:
        while os.splice(fd, pipe, _PIECE):
            pass
    except OSError as e:
        if e.errno != errno.EINVAL:
            raise
        while piece := os.read(fd, _PIECE):
            _write_all(pipe, piece)


def _check_unpacked(text: bytes, status: int, shown: str) -> None:
    try:
        _verdict(text, status, "copying to container")
    except StoreError as e:
        where = e.message.partition('error creating "')[2]
        if where:
            raise StoreError(f'copying to container: error creating "{shown.rstrip("/")}{where}',
                             hint="Use --overwrite to let a directory take the place of something else, or the other way "
                                  "round.") from e
        if "corrupt" in e.message or "read layer" in e.message:
            raise UsageError("source must be a (compressed) tar archive when copying from stdin") from e
        raise


def _pieces(fd: int) -> "Iterator[bytes]":
    try:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            import fcntl

            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIECE)
    except OSError:
        pass  # fewer wake-ups, where it may be had
    while piece := os.read(fd, _PIECE):
        yield piece


def _chain(head: bytes, rest: "Iterator[bytes]") -> "Iterator[bytes]":
    yield head
    yield from rest


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]
