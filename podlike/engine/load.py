"""Images from archives: Docker's (manifest.json) and OCI's (index.json), as a tar, a directory or a stream."""

import os

from podlike.engine import events
from podlike.engine.core import Engine
from podlike.engine.trusting import Trust
from podlike.spec import image as spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from podlike.engine.fetch import Progress


def load(engine: Engine, path: str, *, names: "Sequence[str]" = (), platform: spec.Platform | None = None,
         progress: "Progress | None" = None) -> list[str]:
    """Load all images of an archive; return what they are called: full names, or sha256:ID without one.

    path: file, directory, http(s) URL, or "-" for standard input; PATH:NAME or PATH:@NUMBER means one image of PATH.
    names: given instead of those in the archive. platform: of indexes in it; the machine's own when None.
    Raises: StoreError; images recorded before stay, nothing else does.
    """
    from podlike.engine.download import download, is_url
    from podlike.engine.intake import Intake
    from podlike.transports.opening import OpenSource

    path, reference, index = _split(path)
    fd = download(engine, path) if is_url(path) else -1
    engine.enter_session()
    loaded: list[str] = []
    wanted = platform or spec.host_platform()
    with Intake(engine, progress) as intake, OpenSource(path, tmp=engine.roots.tmp, fd=fd) as source:
        if not names:
            Trust().check_source(source, path)
        chosen = [source.choose(reference, index, wanted)] if reference or index is not None else source.images(wanted)
        for found in chosen:
            called = list(names) or list(found.names)
            image = intake.take(source, found, called)
            loaded += called or [f"sha256:{image.id}"]
            if not names:  # with names: one of our own, on the way of another command
                events.image(engine, "loadfromarchive", id=image.id, name=path)
    return loaded


def _split(path: str) -> "tuple[str, str, int | None]":
    """(path, name of an image in it, its position). What exists as it is typed is a path."""
    from podlike.engine.download import is_url
    from podlike.spec.transport import parse_place

    if path in ("-", "/dev/stdin"):
        return "-", "", None
    if is_url(path):
        return path, "", None
    base, colon, rest = path.partition(":")
    if not colon or os.path.exists(path) or not os.path.exists(base):
        return path, "", None
    place = parse_place(f"docker-archive:{path}")
    assert place is not None
    return base, place.reference, place.position

