"""From a path or a place to its source."""

import os

from podlike.errors import StoreError
from podlike.transports.archive import open_archive, open_fd
from podlike.transports.docker_archive import DockerArchive
from podlike.transports.oci_layout import OciLayout, directory_name
from podlike.transports.plain_dir import PlainDir, check_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from podlike.transports.archive import Archive
    from podlike.transports.found import Source

_HINT: "Final" = "Give an archive made by `save` in OCI or Docker format, or an OCI layout directory."


class OpenSource:
    """`with OpenSource(...) as source:`; what had to be copied to tmp is gone at the end."""

    def __init__(self, path: str, *, tmp: str, kind: str = "", fd: int = -1) -> None:
        """path: "-" is standard input. tmp: of the store. kind: the transport it must be; "": what it looks like.

        fd: what is to be read instead of path, which only names it; ours from now on.
        """
        self._path = path
        self._fd = fd
        self._tmp = tmp
        self._kind = kind
        self._archive: "Archive | None" = None

    def __enter__(self) -> "Source":
        if self._kind in ("oci", "dir") and os.path.exists(self._path) and not os.path.isdir(self._path):
            raise StoreError(f"read {self._path}: it is no directory",
                             hint=f"For a file write {'oci-archive' if self._kind == 'oci' else 'docker-archive'}:{self._path}.")
        if self._fd >= 0:
            try:
                self._archive = open_fd(self._fd, self._path, tmp=self._tmp)
            finally:
                os.close(self._fd)
        else:
            self._archive = open_archive(self._path, tmp=self._tmp)
        self._archive.__enter__()
        try:
            return self._source(self._archive)
        except BaseException:
            self._archive.__exit__()
            raise

    def __exit__(self, *exc: object) -> None:
        assert self._archive is not None
        self._archive.__exit__()

    def _source(self, archive: "Archive") -> "Source":
        kind = self._kind
        directory = self._path != "-" and self._fd < 0 and os.path.isdir(self._path)
        if kind in ("oci", "oci-archive") or not kind and archive.has("index.json"):
            return OciLayout(archive, fallback_name=directory_name(self._path) if directory and not kind else "")
        if kind == "dir" or not kind and directory and archive.has("version"):
            check_version(archive)
            return PlainDir(archive)
        if kind == "docker-archive" or archive.has("manifest.json"):
            return DockerArchive(archive)
        raise StoreError(f"read {archive.shown}: payload does not match any of the supported image formats: "
                         "it has neither index.json nor manifest.json", hint=_HINT)

