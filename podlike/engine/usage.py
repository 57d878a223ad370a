"""How much disk everything takes: `system df`.

Sizes are bytes of files, as `du --apparent-size` counts them. Layers count once, however many images have them.
What can be freed is what no container needs; podman counts layers as free that a used image shares with others.
"""

import os

from podlike.engine import query
from podlike.engine.core import Engine
from podlike.engine.sizes import container_size, tree_directories, tree_size
from podlike.errors import PodlikeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from podlike.engine.query import Status
    from podlike.store.containers import Container
    from podlike.store.images import Image
else:
    from podlike.spec.record import NamedTuple


class ImageUse(NamedTuple):
    """shared: bytes of layers that other images have too. containers: how many were made of it."""

    image: "Image"
    size: int
    shared: int
    containers: int

    @property
    def unique(self) -> int:
        return self.size - self.shared


class ContainerUse(NamedTuple):
    """own: bytes of the writable layer with its directories, and the logs. total: with the layers below."""

    container: "Container"
    status: "Status"
    own: int
    total: int


class VolumeUse(NamedTuple):
    """links: containers that mount it."""

    name: str
    links: int
    size: int


class Sum(NamedTuple):
    """One line of the summary, bytes."""

    total: int
    active: int
    size: int
    free: int


class Usage(NamedTuple):
    """blobs: what was downloaded, compressed, and kept for pushing and saving."""

    images: "list[ImageUse]"
    containers: "list[ContainerUse]"
    volumes: "list[VolumeUse]"
    image_sum: Sum
    blob_sum: Sum

    @property
    def container_sum(self) -> Sum:
        running = [c for c in self.containers if c.status.running]
        size = sum(c.own for c in self.containers)
        return Sum(len(self.containers), len(running), size, size - sum(c.own for c in running))

    @property
    def volume_sum(self) -> Sum:
        used = [v for v in self.volumes if v.links]
        size = sum(v.size for v in self.volumes)
        return Sum(len(self.volumes), len(used), size, size - sum(v.size for v in used))


def measure(engine: Engine) -> Usage:
    """Look at everything. Joins the session: files belong to its ids."""
    engine.enter_session()
    images, containers = _own_images(engine), query.all_containers(engine)
    count: "dict[str, int]" = {}
    for container in containers:
        if container.image:
            count[container.image] = count.get(container.image, 0) + 1
    layers = _layer_sizes(engine, images)
    uses = [_image_use(image, images, layers, count.get(image.id, 0)) for image in images]
    return Usage(uses, [_container_use(engine, c) for c in containers], _volumes(engine),
                 _image_sum(uses, containers, layers), _blob_sum(engine, uses))


def _own_images(engine: Engine) -> "list[Image]":
    """Without those of additional stores, and without lists of images, which have no files."""
    return [image for image in engine.images.all() if not image.read_only and image.index is None]


def _layer_sizes(engine: Engine, images: "list[Image]") -> "dict[str, int]":
    """Of every layer that is here, also of those that no image has any more."""
    out: "dict[str, int]" = {}
    for diff_id in {*engine.layers.all(), *(d for image in images for d in image.layers)}:
        try:
            out[diff_id] = engine.layers.size(diff_id)
        except PodlikeError:
            out[diff_id] = 0  # damaged: `system check` tells
    return out


def _image_use(image: "Image", images: "list[Image]", layers: "dict[str, int]", containers: int) -> ImageUse:
    others = {d for other in images if other.id != image.id for d in other.layers}
    own = set(image.layers)
    return ImageUse(image, sum(layers[d] for d in own), sum(layers[d] for d in own & others), containers)


def _image_sum(uses: "list[ImageUse]", containers: "list[Container]", layers: "dict[str, int]") -> Sum:
    needed = {d for use in uses if use.containers for d in use.image.layers} | {d for c in containers for d in c.spec.layers}
    size = sum(layers.values())
    return Sum(len(uses), sum(1 for use in uses if use.containers), size, size - sum(layers.get(d, 0) for d in needed))


def _blob_sum(engine: Engine, uses: "list[ImageUse]") -> Sum:
    from podlike.engine.artifacts import blobs_in_use
    from podlike.engine.images import blobs_of

    sizes: "dict[str, int]" = {}
    for digest in engine.blobs.all():
        try:
            sizes[digest] = engine.blobs.size(digest)
        except PodlikeError:
            continue  # removed meanwhile
    used: set[str] = blobs_in_use(engine).union(*(blobs_of(engine, use.image) for use in uses if use.containers))
    partial = tree_size(engine.roots.tmp)
    size = sum(sizes.values()) + partial
    return Sum(len(sizes), len(used & sizes.keys()), size, size - sum(sizes.get(d, 0) for d in used))


def _container_use(engine: Engine, container: "Container") -> ContainerUse:
    base = engine.roots.container(container.id)
    own, total = container_size(engine, container)
    more = tree_directories(f"{base}/upper")
    try:
        with os.scandir(base) as entries:
            more += sum(e.stat(follow_symlinks=False).st_size for e in entries if e.is_file(follow_symlinks=False))
    except OSError:
        pass  # it was never started, or is being removed
    return ContainerUse(container, query.status(engine, container), own + more, total + more)


def _volumes(engine: Engine) -> "list[VolumeUse]":
    from podlike.engine.volumelist import size_of

    users = engine.volumes.users()
    return [VolumeUse(v.name, len(users.get(v.name, ())), size_of(engine, v)) for v in engine.volumes.all()]
