"""A container's root file system: its layers and its own writable layer, as one overlay."""

import os
import stat

from podlike.engine.core import Engine
from podlike.errors import StoreError
from podlike.runtime import spawn
from podlike.runtime.session import rootless
from podlike.store.containers import Container
from podlike.store.layers import NO_ROOT_ENTRY


def mount_rootfs(engine: Engine, container: Container) -> str:
    """Mount it and return its path; --rootfs directories are used as they are.

    Raises: StoreError when a layer is gone or the mount is refused.
    """
    spec = container.spec
    base = engine.roots.container(container.id)
    os.makedirs(base, mode=0o700, exist_ok=True)  # the log lies here too
    if spec.rootfs:
        return spec.rootfs
    # Builders repeat the empty layer; overlayfs takes a directory once (ELOOP), and the topmost counts.
    lower = [engine.layers.path(diff_id) for diff_id in dict.fromkeys(reversed(spec.layers))]
    if not lower:
        os.makedirs(f"{base}/empty", exist_ok=True)  # an image without layers: overlayfs wants one
        lower = [f"{base}/empty"]
    if spec.uid_map:
        from podlike.engine.shifted import shifted_lower

        lower = [shifted_lower(engine, spec, lambda work: _overlay(lower, work, name=spec.image_name, volatile=True))]
    return _overlay(lower, base, name=container.name, volatile=spec.remove)


def _overlay(lower: list[str], base: str, *, name: str, volatile: bool) -> str:
    """Mount upper, work and merged of base over the lower directories; the path of the result.

    volatile: what goes with its container needs no sync at its end (overlayfs.rst, "Volatile mount").
    """
    for part in ("upper", "work", "merged"):
        os.makedirs(f"{base}/{part}", exist_ok=True)
    copy_root_attributes(lower, f"{base}/upper")
    options = ["userxattr"] if rootless() else []
    if volatile:
        options.append("volatile")
    try:
        spawn.overlay_mount(f"{base}/merged", lower=lower, upper=f"{base}/upper", work=f"{base}/work",
                            options=",".join(options))
    except spawn.SpawnError as e:
        raise StoreError(f"mount root file system of {name}: {e.message}", hint=_hint(lower, e.errno)) from e
    return f"{base}/merged"


def copy_root_attributes(lower: list[str], upper: str) -> None:
    """The merged root directory shows owner and mode of the writable layer's: they must be the image's.

    They are those of the topmost layer that has an entry for "/". An image without any gets root's 0555, as with
    every other engine.
    """
    uid, gid, mode = 0, 0, 0o555
    for layer in lower:
        try:
            st = os.stat(layer)
        except OSError:
            return  # the mount will say what is wrong
        if stat.S_IMODE(st.st_mode) != NO_ROOT_ENTRY:
            uid, gid, mode = st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)
            break
    os.chown(upper, uid, gid)
    os.chmod(upper, mode)


def _hint(lower: list[str], code: int) -> str:
    missing = next((path for path in lower if not os.path.isdir(path)), None)
    if missing:
        return f"A layer is missing ({missing}): pull the image again."
    return ("Native overlay mounts in a user namespace need kernel 5.13 or later and a store on ext4, xfs, btrfs or "
            "tmpfs; set PODLIKE_ROOT to a directory on one of them.")
