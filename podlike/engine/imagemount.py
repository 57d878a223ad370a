"""Images mounted for reading: `image mount`, inside the user's session.

The mount is an overlay without a writable layer at Roots.run/images/ID/merged, in the session's mount namespace. How
often it was asked for stands beside it in `count`; whether it is there is derived from the kernel.
"""

import os

from podlike.engine import events
from podlike.engine.core import Engine
from podlike.errors import SessionError, StoreError
from podlike.store.images import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.locks import Lock


def mount(engine: Engine, image: Image) -> str:
    """Mount the image, or count once more that it is mounted; return the path. Raises: StoreError, SessionError."""
    require_inside()
    with _lock(engine, image):
        base = _base(engine, image.id)
        path = _where(base)
        if path:
            _write_count(base, _count(base) + 1)
            return path
        path = _mount(engine, image, base)
        _write_count(base, 1)
        events.image(engine, "mount", id=image.id)
        return path


def mounted(engine: Engine, images: "list[Image]") -> "list[tuple[Image, str]]":
    """Those that are mounted, with their paths."""
    require_inside()
    return [(image, path) for image in images if (path := _where(_base(engine, image.id)))]


def unmount(engine: Engine, image: Image, *, force: bool = False) -> bool:
    """Take one request back, or with force all of them; the last one unmounts. False: it was not mounted."""
    engine.enter_session()
    with _lock(engine, image):
        base = _base(engine, image.id)
        if not _where(base):
            return False
        count = _count(base) - 1
        if count > 0 and not force:
            _write_count(base, count)
        else:
            _unmount(base)
        events.image(engine, "unmount", id=image.id)
        return True


def forget(engine: Engine, image: Image) -> None:
    """Before its layers go."""
    if os.path.isdir(_base(engine, image.id)):
        unmount(engine, image, force=True)


def require_inside() -> None:
    """Raises: SessionError in a process whose mounts would be seen by nobody who asks for them."""
    from podlike.runtime.session import rootless

    if rootless() and os.geteuid() != 0:
        raise SessionError("cannot mount using driver overlay in rootless mode",
                           hint="Run it inside your session: `podlike unshare podlike image mount IMAGE`.")


def is_mounted(path: str) -> bool:
    """Whether something is mounted exactly there, in this mount namespace."""
    escaped = path.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("\n", "\\012")
    with open("/proc/self/mountinfo") as f:
        return any(line.split(" ", 5)[4] == escaped for line in f)


def _where(base: str) -> str:
    """Where the image is mounted, or where a driver without mounts has copied it to; "": nowhere."""
    if is_mounted(f"{base}/merged"):
        return f"{base}/merged"
    return f"{base}/root" if os.path.isdir(f"{base}/root") else ""


def _mount(engine: Engine, image: Image, base: str) -> str:
    from podlike.engine.rootfs import mount_read_only

    lower = [engine.layers.path(diff_id) for diff_id in dict.fromkeys(reversed(image.layers))]
    return mount_read_only(engine, lower, base, name=f"image {image.id[:12]}")


def _unmount(base: str) -> None:
    from podlike.runtime import spawn
    from podlike.store.trees import remove_tree

    try:
        if is_mounted(f"{base}/merged"):
            spawn.umount(f"{base}/merged")
    except spawn.SpawnError as e:
        raise StoreError(f"unmount {base}/merged: {e.message}") from e
    remove_tree(base)


def _base(engine: Engine, image_id: str) -> str:
    return f"{engine.roots.run}/images/{image_id}"


def _lock(engine: Engine, image: Image) -> "Lock":
    from podlike.locks import Lock

    return Lock(engine.roots, f"image-{image.id}")


def _count(base: str) -> int:
    try:
        with open(f"{base}/count") as f:
            return int(f.read())
    except (OSError, ValueError):
        return 1


def _write_count(base: str, count: int) -> None:
    from podlike.files import replace_text

    replace_text(f"{base}/count", f"{count}\n")
