"""Images of the store to archives and directories: `save`, and `push` to other places than registries."""

from podlike import log
from podlike.engine import events
from podlike.engine.images import choose_instance, find
from podlike.engine.reshape import Wanted, shaped, with_layers
from podlike.errors import StoreError, UsageError
from podlike.spec import image as spec
from podlike.spec.events import Event
from podlike.transports.output import OutputFile
from podlike.transports.sending import Item, Packed
from podlike.transports.writing import TarOutput, write_dir, write_docker_archive, write_oci_archive, write_oci_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from podlike.engine.core import Engine
    from podlike.engine.fetch import Progress
    from podlike.store.images import Image

FORMATS: "Final" = ("docker-archive", "oci-archive", "oci-dir", "docker-dir")


def save(engine: "Engine", names: "Sequence[str]", *, format: str = "docker-archive", output: str = "", fd: int = -1,
         tags: "Sequence[str]" = (), wanted: Wanted | None = None, platform: spec.Platform | None = None,
         progress: "Progress | None" = None) -> "list[Image]":
    """Write images to a file or directory, or to an open fd; return them.

    names: of images; several names of one image stay together. tags: further names for the first image.
    fd: instead of output, for the two archives. wanted: the form of the layers; None: the format's own.
    platform: what the images must be of.
    Raises: UsageError, NotFoundError, StoreError; nothing is left of an output that was not completed.
    """
    from podlike.engine.images import local_name
    from podlike.store.locks import StoreLock

    extra = tuple(local_name(tag) for tag in tags)
    with StoreLock(engine.roots.tmp):
        images, items = _items(engine, names, extra)
        if platform is not None:
            _check_platform(images, platform)
        if format == "docker-dir" and len(items) > 1:
            raise UsageError('"docker-dir" does not support saving multiple images',
                             hint="Save them one by one, or use --format oci-dir.")
        write(engine, items, format, output=output, fd=fd, wanted=wanted or own_form(format), progress=progress)
    events.emit(engine, *(Event("image", "save", id=image.id, name=output or "/dev/stdout") for image in images))
    return images


def _check_platform(images: "Sequence[Image]", wanted: spec.Platform) -> None:
    for image in images:
        config = spec.ImageConfig.from_dict(image.config)
        have = spec.Platform(config.os, config.architecture, config.variant)
        if spec.platform_rank(wanted, have) is None:
            raise StoreError(f"save image {image.id[:12]}: it is for {have} and not for {wanted}",
                             hint=f"Pull it again with --platform {wanted}.")


def own_form(format: str) -> Wanted:
    """What a format asks for when the user asks for nothing."""
    if format.startswith("oci"):
        return Wanted(family="oci", pack_plain=True)
    return Wanted(family="docker") if format == "docker-dir" else Wanted()


def write(engine: "Engine", items: "list[Item]", format: str, *, output: str, fd: int = -1, wanted: Wanted,
          progress: "Progress | None" = None) -> "list[Item]":
    """Write images in a format (one of FORMATS, or dir) and return them as they were written. The caller holds the store."""
    tmp = engine.roots.tmp
    if format != "docker-archive":  # an archive of docker's has nothing but tars, whatever the manifest says
        items = [shaped(item, wanted, tmp) for item in items]
    advance = _begin(items, progress)
    if format == "oci-dir":
        write_oci_dir(output, items, advance)
    elif format in ("docker-dir", "dir"):
        write_dir(output, items[0], advance)
    else:
        write = write_docker_archive if format == "docker-archive" else write_oci_archive
        if fd >= 0:
            write(TarOutput(fd, "standard output", tmp), items, advance)
        else:
            with OutputFile(output) as out:
                write(TarOutput(out, output, tmp), items, advance)
    if progress is not None:
        for item in items:
            progress.config(item.manifest.config.digest)
        progress.writing()
    return items


def _begin(items: "Sequence[Item]", progress: "Progress | None") -> "Callable[[str, int], None]":
    if progress is None:
        return lambda digest, count: None
    progress.reading()
    sizes = {layer.descriptor.digest: layer.descriptor.size for item in items for layer in item.layers}
    started: set[str] = set()

    def advance(digest: str, count: int) -> None:
        if digest not in started:
            started.add(digest)
            progress.started(digest, sizes[digest])
        progress.advanced(digest, count)

    return advance


def _items(engine: "Engine", names: "Sequence[str]", extra: tuple[str, ...]) -> "tuple[list[Image], list[Item]]":
    images: "dict[str, Image]" = {}
    called: dict[str, list[str]] = {}
    for name in names:
        image, full = find(engine, name)
        if image.index is not None:
            image = choose_instance(engine, image)
        images[image.id] = image
        wanted = called.setdefault(image.id, [])
        for one in (full, *(extra if len(images) == 1 else ())):
            if one and one not in wanted:
                wanted.append(one)
    return list(images.values()), [item_of(engine, image, called[image.id]) for image in images.values()]


def item_of(engine: "Engine", image: "Image", names: "Sequence[str]" = ()) -> Item:
    """An image of the store as destinations take it. Raises: StoreError."""
    document = engine.blobs.read(image.manifest_digest, limit=spec.MAX_MANIFEST)
    manifest = spec.parse_manifest(document)
    if not isinstance(manifest, spec.Manifest) or len(manifest.layers) != len(image.layers):
        raise StoreError(f"read manifest of image {image.id[:12]}: it does not fit the image",
                         hint="The store is damaged. Pull the image again after `podlike rmi --force`.")
    config = engine.blobs.read(f"sha256:{image.id}", limit=spec.MAX_CONFIG)
    item = Item(tuple(names), document, manifest, config, ())
    layers = [_layer(engine, d, diff_id) for d, diff_id in zip(manifest.layers, image.layers, strict=True)]
    if all(layer.descriptor is d for layer, d in zip(layers, manifest.layers, strict=True)):
        return item._replace(layers=tuple(layers))
    log.warning(f"image {image.id[:12]}: its layers are here in another compression than its manifest says; "
                "it goes out with another digest")
    return with_layers(item, layers)


def _layer(engine: "Engine", descriptor: spec.Descriptor, diff_id: str) -> Packed:
    """The layer's blob; if that is not here, what its files were unpacked from."""
    blobs = engine.blobs
    if not blobs.has(descriptor.digest):
        record = engine.layers.record(diff_id)
        if not record["blob"] or not blobs.has(record["blob"]):
            raise StoreError(f"read layer {descriptor.digest}: it is not in the store",
                             hint="Pull or load the image again after `podlike rmi --force`.")
        descriptor = descriptor._replace(media_type=record["media_type"], digest=record["blob"],
                                         size=blobs.size(record["blob"]))
    digest = descriptor.digest
    return Packed(descriptor, diff_id, lambda: blobs.open(digest))
