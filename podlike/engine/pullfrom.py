"""Pull from other places than registries: archives, layouts, directories, podman's store."""

from podlike.errors import UsageError
from podlike.spec import image as spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from podlike.engine.core import Engine
    from podlike.engine.fetch import Progress
    from podlike.spec.transport import Place
    from podlike.store.images import Image
    from podlike.transports.found import Source


def pull_from(engine: "Engine", place: "Place", *, platform: str | None = None,
              progress: "Progress | None" = None) -> "Image":
    """Make the image at a place available; what has no name there has none here. Raises: StoreError, NotFoundError."""
    from podlike.engine.intake import Intake

    wanted = spec.parse_platform(platform) if platform else spec.host_platform()
    engine.enter_session()
    with Intake(engine, progress) as intake, _opened(engine, place) as source:
        found = source.choose(place.reference, place.position, wanted)
        return intake.take(source, found, found.names)


def _opened(engine: "Engine", place: "Place") -> "AbstractContextManager[Source]":
    if place.transport == "containers-storage":
        return _storage(engine, place)
    if place.transport == "docker":
        raise UsageError(f"read {place}: this is a registry's")  # whoever calls has sorted these out
    from podlike.transports.opening import OpenSource

    path = "-" if place.path == "/dev/stdin" else place.path
    return OpenSource(path, tmp=engine.roots.tmp, kind=place.transport)


def _storage(engine: "Engine", place: "Place") -> "AbstractContextManager[Source]":
    from contextlib import nullcontext

    from podlike.transports.container_storage import ContainerStorage, default_root

    configured = engine.config.storage
    root = place.store.root or default_root(configured.rootless_storage_path or configured.graphroot)
    return nullcontext(ContainerStorage(root, place.store.driver))
