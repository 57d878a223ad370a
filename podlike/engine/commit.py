"""`commit`: a container's changes become a layer, and the container an image.

podlike-layer packs the writable directory itself, whiteouts and all, into a nameless file; that is then taken in as any other
layer is, and becomes the blob. Equal changes give equal layers.
"""

import os
import stat
import time

from podlike.engine import events, query
from podlike.engine.core import Engine
from podlike.engine.newimage import NewLayer, put_together
from podlike.errors import PodlikeError, StoreError, UsageError
from podlike.spec import image as spec
from podlike.spec.commitconfig import Request, build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NamedTuple

    from podlike.engine.fetch import Progress
    from podlike.store.containers import Container
    from podlike.store.images import Image
else:
    from podlike.spec.record import NamedTuple


class Options(NamedTuple):
    """name: what the image is called, "": nothing. format: oci or docker. config: the text of --config.
    created_by: of the layer in the history."""

    name: str = ""
    format: str = "oci"
    author: str = ""
    message: str = ""
    changes: "Sequence[str]" = ()
    config: str = ""
    pause: bool = False
    squash: bool = False
    include_volumes: bool = False
    created_by: str = "/bin/sh"
    from_comment: bool = True  # the history says of which image it was made


def commit(engine: Engine, container: "Container", options: Options, *, progress: "Progress | None" = None) -> "Image":
    """Make an image of a container. Raises: UsageError, StoreError, ConflictError; nothing is left then."""
    from podlike.engine.images import local_name

    if options.format not in ("oci", "docker"):
        raise UsageError(f'unrecognized image format "{options.format}"', hint="Use oci or docker.")
    if options.message and options.format == "oci":
        raise UsageError("messages are only compatible with the docker image format (-f docker)")
    if container.spec.rootfs:
        raise UsageError("cannot commit a container that uses an exploded rootfs",
                         hint="Its files are in the directory of --rootfs: `tar -C DIR -c . | podlike import -`.")
    names = [local_name(options.name)] if options.name else []
    base = engine.images.get(container.spec.image_id)
    request = _request(engine, container, base, options)
    build(base.config if base else {}, container.spec, [], request)  # refuses what is wrong before anything is paused
    engine.enter_session()
    from podlike.transports.sending import nameless

    kept = nameless(engine.roots.tmp)
    try:
        layer = NewLayer(kept, _pack_paused(engine, container, kept, options), f"layer of container {container.name}")
        diff_ids = [*([] if request.squash else container.spec.layers), layer.digest]
        config = _with_platform(build(base.config if base else {}, container.spec, diff_ids, request))
        found = put_together(engine, None if request.squash else base, layer, config, oci=not request.docker_format, names=names)
        from podlike.engine.intake import Intake

        with Intake(engine, progress) as intake:
            image = intake.take(layer, found, names)
    finally:
        os.close(kept)
    events.container(engine, container, "commit")
    return image


def _request(engine: Engine, container: "Container", base: "Image | None", options: Options) -> Request:
    from datetime import UTC, datetime

    created = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    origin = container.spec.image_name if base and base.names and container.spec.image_name else ""
    return Request(created, options.created_by, docker_format=options.format == "docker", author=options.author,
                   message=options.message, comment=f"FROM {origin}" if origin and options.from_comment else "",
                   changes=options.changes, override=options.config, volumes=_volumes(container, options),
                   squash=options.squash, container=container.id)


def _volumes(container: "Container", options: Options) -> list[str]:
    """The paths of all that the user has mounted, or of the user's anonymous volumes alone."""
    ours = set(container.spec.image_volumes)
    return [m.target for m in container.spec.mounts if m.type in ("bind", "volume") and m.target not in ours
            and (options.include_volumes or "anonymous" in m.options)]


# the layer

def _pack_paused(engine: Engine, container: "Container", kept: int, options: Options) -> str:
    """Diff ID of the layer, packed into `kept` while the container stands still, if that was asked for."""
    if not options.pause or query.status(engine, container).state != "running":
        return pack_changes(engine, container, kept, squash=options.squash)
    from podlike.engine.stop import pause, unpause

    pause(engine, container)
    try:
        return pack_changes(engine, container, kept, squash=options.squash)
    finally:
        try:
            unpause(engine, container)
        except PodlikeError as e:
            from podlike import log

            log.warning(f"Unpausing container {container.id}: {e.message}")


def pack_changes(engine: Engine, container: "Container", kept: int, *, squash: bool = False) -> str:
    """Write what the container has changed, or with squash all of its files, as a layer into the fd; return its diff ID.

    Raises: StoreError.
    """
    from podlike.engine.copying.tarstream import pack
    from podlike.engine.copying.view import View
    from podlike.engine.export import owner_words

    what = f"commit {container.name}"
    args = ["--no-holes", *owner_words(container)]
    with View(engine, container, own_files=True) as view:
        args += ["--live"] if view.running else []
        if squash:
            doc = pack(view.root, kept, [*args, "--root-entry"], what=what)
        elif engine.storage.driver == "vfs":
            from podlike.engine.vfschanges import changes_as_upper

            with changes_as_upper(engine, container) as upper:
                doc = pack(upper, kept, args, what=what)
        else:
            doc = _pack_upper(engine, container, kept, args, what)
    return str(doc["diff_id"])


def _pack_upper(engine: Engine, container: "Container", kept: int, args: "list[str]", what: str) -> "dict[str, Any]":
    from podlike.engine.copying.tarstream import pack

    path = f"{engine.roots.container(container.id)}/upper"
    try:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as e:
        raise StoreError(f"{what}: {path}: {e.strerror}", hint="The container's files are gone; remove it.") from e
    try:
        args = [*args, *(["--root-entry"] if _root_changed(engine, container, fd) else []),
                *(["--marks"] if engine.storage.mount_program else [])]
        return pack(fd, kept, args, what=what)
    finally:
        os.close(fd)


def _root_changed(engine: Engine, container: "Container", upper: int) -> bool:
    """Whether "/" itself got another owner or mode than the image gives it."""
    from podlike.engine.rootfs import root_attributes
    from podlike.spec.userns import outside

    lower = [engine.layers.path(diff_id) for diff_id in dict.fromkeys(reversed(container.spec.layers))]
    uid, gid, mode = root_attributes(lower)
    if container.spec.uid_map:
        uid, gid = outside(container.spec.uid_map, uid) or 0, outside(container.spec.gid_map, gid) or 0
    st = os.fstat(upper)
    return (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) != (uid, gid, mode)


# the image

def _with_platform(config: "dict[str, Any]") -> "dict[str, Any]":
    """Of an image that is gone nothing is known but that it ran here."""
    if config.get("os") and config.get("architecture"):
        return config
    host = spec.host_platform()
    return {**config, "os": config.get("os") or host.os, "architecture": config.get("architecture") or host.architecture}
