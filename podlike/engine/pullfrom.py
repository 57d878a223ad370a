"""Pull from other places than registries: archives, layouts, directories, podman's store."""

import os

from podlike.errors import UsageError
from podlike.spec import image as spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from podlike.engine.core import Engine
    from podlike.engine.fetch import Progress
    from podlike.engine.trusting import Trust
    from podlike.spec.transport import Place
    from podlike.store.images import Image
    from podlike.transports.found import Source


def pull_from(engine: "Engine", place: "Place", *, platform: str | None = None, trust: "Trust | None" = None,
              progress: "Progress | None" = None) -> "Image":
    """Make the image at a place available; what has no name there has none here.

    Raises: StoreError, NotFoundError, RejectedError, ConfigError.
    """
    from podlike.engine.intake import Intake

    wanted = spec.parse_platform(platform) if platform else spec.host_platform()
    if trust is not None:
        trust.check_local(place.transport, place.path or place.reference)
    opened = _opened(engine, place)  # says who podman's user is: inside the session everybody is root
    engine.enter_session()
    with Intake(engine, progress) as intake, opened as source:
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

    from podlike.transports.container_storage import ContainerStorage

    root = place.store.root or _storage_root(engine)
    return nullcontext(ContainerStorage(root, place.store.driver))


def _storage_root(engine: "Engine") -> str:
    """Where podman keeps the caller's images (containers-storage.conf(5)); the machine's graphroot is root's alone."""
    configured = engine.config.storage
    home, user = os.environ.get("HOME", ""), os.geteuid()
    own = not configured.path.startswith(("/etc/", "/usr/"))
    if user == 0:
        return configured.graphroot or "/var/lib/containers/storage"
    root = configured.graphroot if own else configured.rootless_storage_path
    for variable, value in (("$HOME", home), ("$UID", str(user)), ("$USER", os.environ.get("USER", ""))):
        root = root.replace(variable, value)
    data = os.environ.get("XDG_DATA_HOME") or f"{home}/.local/share"
    usual = f"{data}/containers/storage"
    # podman before 5 does not look at every storage.conf of the user's
    return root if root and (os.path.isdir(root) and os.listdir(root) or not os.path.isdir(usual)) else usual
