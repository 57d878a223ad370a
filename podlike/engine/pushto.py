"""Push to other places than registries: archives, layouts, directories."""

from podlike.engine import events
from podlike.engine.images import find
from podlike.engine.reshape import Wanted
from podlike.engine.save import item_of, write
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NamedTuple

    from podlike.engine.core import Engine
    from podlike.engine.fetch import Progress
    from podlike.engine.push import PushOptions
    from podlike.spec.transport import Place
else:
    from podlike.spec.record import NamedTuple

_FORMATS: "Final" = {"docker-archive": "docker-archive", "oci-archive": "oci-archive", "oci": "oci-dir", "dir": "dir"}
_FAMILIES: "Final" = {"oci": "oci", "v2s2": "docker", None: ""}


class Stored(NamedTuple):
    """digest: of the manifest that was written."""

    digest: str


def push_to(engine: "Engine", name: str, place: "Place", options: "PushOptions", *, compress: bool = False,
            progress: "Progress | None" = None) -> Stored:
    """Write an image to a place; an archive is replaced, a layout gains an image, a directory has this one only.

    compress: gzip for the plain layers of a directory.
    Raises: UsageError, NotFoundError, StoreError; nothing is left of what was not completed.
    """
    from podlike.store.locks import StoreLock

    wanted = _wanted(place, options, compress)
    image, full = find(engine, name)
    called = place.reference or (full if place.transport == "docker-archive" else "")
    with StoreLock(engine.roots.tmp):
        item = item_of(engine, image, [called] if called else [])
        (written,) = write(engine, [item], _FORMATS[place.transport], output=place.path, wanted=wanted, progress=progress)
    events.image(engine, "push", id=image.id, name=str(place))
    return Stored(written.digest)


def _wanted(place: "Place", options: "PushOptions", compress: bool) -> Wanted:
    """What the flags ask for. Raises: UsageError for what the place cannot hold."""
    kind = place.transport
    if kind not in _FORMATS:
        raise UsageError(f"push to {place}: {kind} is a source only",
                         hint="Use docker-archive:, oci-archive:, oci: or dir: with a path.")
    if place.position is not None:
        raise UsageError(f"push to {place}: a position is for reading only", hint="Give a name, or none.")
    if compress and kind != "dir":
        raise UsageError("--compress can only be set when pushing to a directory (dir:PATH)")
    if kind == "docker-archive":
        if options.format == "oci" or options.compression == "zstd":
            raise UsageError(f"push to {place}: docker's archives hold plain layers and no manifest of OCI's",
                             hint="Use oci-archive: instead.")
        return Wanted()
    if kind != "dir" and options.format == "v2s2":
        raise UsageError(f"push to {place}: an OCI layout holds no manifest of docker's", hint="Use dir: or docker-archive:.")
    if options.format == "v2s2" and options.compression == "zstd":
        raise UsageError("push as v2s2 with zstd: Docker's manifest format has no zstd layers",
                         hint="Use --format oci, or --compression-format gzip.")
    compression = options.compression or ("gzip" if compress else "")
    return Wanted(family="oci" if kind != "dir" else _FAMILIES[options.format], compression=compression, pack_plain=kind != "dir",
                  level=options.level, force=options.force)
