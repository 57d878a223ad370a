"""A directory tree as a layer: what commit and build make, and how the check knows a layer again.

podlike-layer writes the tar; equal trees give equal bytes. Only a process in the session sees the right owners.
"""

import json
import os

from podlike.errors import StoreError
from podlike.paths import libexec

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import IO, Any, Self


class LayerPack:
    """For `with`: read the uncompressed tar from .stream to its end, then call finish().

    source: a directory; of an overlay its upper directory, whose whiteouts become OCI's.
    root_entry: begin with an entry for the directory itself, when its owner or mode is part of the layer.
    holes: write sparse files as such (GNU sparse 1.0); False: as zeros, which any program reads.
    """

    __slots__ = ("_args", "_child", "_source", "stream")

    stream: "IO[bytes]"

    def __init__(self, source: str, *, root_entry: bool = False, holes: bool = True) -> None:
        self._source = source
        self._args = [*(["--root-entry"] if root_entry else []), *([] if holes else ["--no-holes"])]
        self._child: "subprocess.Popen[bytes] | None" = None

    def __enter__(self) -> "Self":
        import subprocess

        program = libexec("podlike-layer")
        try:
            self._child = subprocess.Popen([program, "pack", "--source", self._source, *self._args],
                                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        except OSError as e:
            raise StoreError(f"pack layer with {program}: {e.strerror}") from e
        assert self._child.stdout is not None
        self.stream = self._child.stdout
        return self

    def finish(self) -> "dict[str, Any]":
        """{"diff_id", "size", "entries", "skipped_sockets"}. Raises: StoreError; what was read is worth nothing then."""
        child = self._child
        assert child is not None and child.stderr is not None
        output = child.stderr.read()
        status = child.wait()
        try:
            doc: "dict[str, Any]" = json.loads(output)
        except ValueError:
            raise StoreError(f"pack {self._source}: podlike-layer ended with {status}") from None
        if status != 0 or "error" in doc:
            raise StoreError(f"pack {self._source}: {doc.get('error', status)}")
        return doc

    def __exit__(self, *exc: object) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            for pipe in (child.stdout, child.stderr):
                if pipe is not None:
                    pipe.close()
            child.wait()


def tree_digest(source: str, *, root_entry: bool) -> str:
    """What the tree would be as a layer: sha256:... of names, contents, modes, owners, attributes, times, links.

    Raises: StoreError.
    """
    with LayerPack(source, root_entry=root_entry, holes=False) as pack:
        sink = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        try:
            while os.splice(pack.stream.fileno(), sink, 1 << 20):
                pass
        finally:
            os.close(sink)
        return str(pack.finish()["diff_id"])
