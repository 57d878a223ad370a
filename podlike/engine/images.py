"""What can be done with images that are in the store: find, list, name, collect what nothing needs.

imageremove.py and imageinspect.py have the rest.
"""

from podlike.engine import events
from podlike.engine.core import Engine
from podlike.errors import NotFoundError, PodlikeError, StoreError
from podlike.spec.events import Event
from podlike.store.images import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Final, NamedTuple

    from podlike.spec.image import Platform
else:
    from podlike.spec.record import NamedTuple

# In the wheel as podlike/libexec/hello.tar; loaded when it is first asked for.
EMBEDDED: "Final" = {"localhost/podlike/hello:latest": "hello.tar"}


class Garbage(NamedTuple):
    """Layers (diff IDs) and blobs (digests) that may have lost their last user."""

    layers: set[str]
    blobs: set[str]


def resolve(engine: Engine, name: str) -> Image:
    """The image meant by a name, name@digest, or the beginning of an id; an embedded image is loaded for it.

    A manifest list stands for its image for this machine.
    Raises: NotFoundError, ConflictError, UsageError for what cannot be a name.
    """
    image, names = _lookup(engine, name)
    if image is not None:
        return image if image.index is None else choose_instance(engine, image)
    for full in names:
        if full in EMBEDDED:
            return embedded(engine, full)
    raise NotFoundError(f"{name}: image not known",
                        hint=f"See `podlike images` for what is here, or get it with `podlike pull {name}`.")


def choose_instance(engine: Engine, image: Image, platform: "Platform | None" = None) -> Image:
    """The image of a manifest list for a platform, None: this machine's. Raises: NotFoundError when it is not here."""
    from podlike.engine.imagefilters import digests_of
    from podlike.spec.image import choose_platform, host_platform
    from podlike.spec.manifestlist import descriptors

    assert image.index is not None
    shown = image.names[0] if image.names else image.id[:12]
    wanted = platform or host_platform()
    try:
        entry = choose_platform(descriptors(image.index), wanted)
    except StoreError as e:
        raise NotFoundError(f"{shown}: {e.message}: image not known",
                            hint=f"See `podlike manifest inspect {shown}` for what the list has.") from None
    for other in engine.images.all():
        if other.index is None and entry.digest in digests_of(other):
            return other
    raise NotFoundError(f"could not find image instance {entry.digest} of manifest list {image.id} in local containers "
                        "storage: image not known", hint="Pull that image first.")


def find(engine: Engine, name: str) -> tuple[Image, str | None]:
    """(image, the full name under which it was found, or None for an id); never loads anything.

    Raises: NotFoundError, ConflictError, UsageError.
    """
    image, names = _lookup(engine, name)
    if image is None:
        raise NotFoundError(f"{name}: image not known")
    return image, next((n for n in names if n in image.names), None)


def embedded(engine: Engine, name: str) -> Image:
    """Load one of EMBEDDED. Raises: StoreError."""
    from podlike.engine.load import load
    from podlike.paths import libexec

    load(engine, libexec(EMBEDDED[name]), names=[name])
    image = engine.images.lookup([name])
    if image is None:
        raise StoreError(f"load {name}: it is gone again")
    return image


def _lookup(engine: Engine, name: str) -> "tuple[Image | None, list[str]]":
    """(image, full names that were tried)."""
    from podlike.spec.reference import candidates, is_short, split_short

    prefix = name.removeprefix("sha256:")
    if len(prefix) == 64:  # a full id is never a name (distribution/reference)
        return engine.images.lookup([], prefix=prefix), []
    try:
        names = candidates(name)
    except PodlikeError:
        image = engine.images.lookup([], prefix=prefix)
        if image is None:
            raise
        return image, []
    image, elsewhere = engine.images.lookup(names), list[str]()
    if is_short(name):
        repository, tail = split_short(name)
        # Reading registries.conf costs more than all the rest here: only where it can matter.
        known = engine.images.repositories_named(repository)
        if image is None or any(n not in names for n in known):
            names = _configured(name, repository)
            image = engine.images.lookup(names)
        elsewhere = [n for n in known if n.endswith(f"/{repository}{tail or ':latest'}")]
    image = image or engine.images.lookup([], prefix=prefix)
    if image is None and elsewhere:  # podman's last resort: the same path in any registry
        return engine.images.lookup(elsewhere), elsewhere
    return image, names


def _configured(name: str, repository: str) -> list[str]:
    """Full names for a short one, with the user's aliases and search registries."""
    from podlike.registries_conf import load_registries_conf
    from podlike.spec.reference import candidates

    conf = load_registries_conf()
    return candidates(name, alias=conf.aliases.get(repository), search=conf.search_registries)


def tag(engine: Engine, name: str, targets: "Iterable[str]") -> None:
    """Give an image further names; a name without registry is put below localhost.

    Raises: NotFoundError, UsageError before anything has changed.
    """
    image, _ = find(engine, name)
    check_own(image, name)
    targets = list(targets)
    full = [local_name(target) for target in targets]
    for target, typed in zip(full, targets, strict=True):
        engine.images.tag(image.id, target)
        events.image(engine, "tag", id=image.id, name=typed)


def untag(engine: Engine, name: str, targets: "Iterable[str]" = ()) -> None:
    """Take names from an image; all of them when targets is empty.

    Raises: NotFoundError; also for a name that the image does not have, before anything has changed.
    """
    image, _ = find(engine, name)
    check_own(image, name)
    names, digests = [], []
    for target in targets:
        full = next((n for n in _lookup(engine, target)[1] if n in image.names), None)
        digest = known_digest(engine, image, target)
        if full is not None:
            names.append(full)
        elif digest is not None:
            digests.append(digest)
        else:
            raise NotFoundError(f"{target}: tag not known")
    if digests:
        engine.images.forget_digests(image.id, digests)
    if names or not digests:
        untag_names(engine, image, names or image.names)


def untag_names(engine: Engine, image: Image, names: "Sequence[str]") -> None:
    """Take names that it has from an image."""
    engine.images.untag(image.id, names)
    for name in names:
        events.image(engine, "untag", id=image.id, name=name)


def known_digest(engine: Engine, image: Image, typed: str) -> str | None:
    """The repository@digest that was meant, if the image was pulled by it."""
    return next((d for d in map(_without_tag, _lookup(engine, typed)[1]) if d in image.digests), None)


def _without_tag(name: str) -> str:
    """domain/path@digest of domain/path:tag@digest; the tag says nothing more than the digest."""
    repository, at, digest = name.partition("@")
    head, slash, last = repository.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}{at}{digest}" if at else name


def local_name(text: str) -> str:
    """A full name for what the user wants to call an image: without a registry it is localhost's.

    Raises: UsageError, also for a digest, which nobody can give.
    """
    from podlike.errors import UsageError
    from podlike.spec.reference import is_short, parse_reference

    if "@" in text:
        raise UsageError(f"{text}: an image can be named by a tag, not by a digest")
    parse_reference(text)
    return parse_reference(f"localhost/{text}" if is_short(text) else text).name


def check_own(image: Image, name: str) -> None:
    """Raises: StoreError for an image of an additional store."""
    if image.read_only:
        raise StoreError(f"change image {name}: it lies in a read-only image store",
                         hint="Pull it to have it in your own store too, or use the store that it is in.")


def tell_removed(engine: Engine, image: Image, typed: str) -> None:
    """The events of an image that is gone: its names, the newest first. typed: what it was called."""
    events.emit(engine, *(Event("image", "untag", id=image.id, name=name) for name in reversed(image.names)),
                Event("image", "remove", id=image.id, name=typed))


def prune(engine: Engine, *, every: bool = False, filters: "Iterable[str]" = ()) -> tuple[list[Image], int]:
    """Delete images without a name, or all that no container uses; return them and the bytes that became free.

    Unfinished downloads and the leftovers of crashed commands go too.
    """
    doomed: list[Image] = []
    while found := _prunable(engine, every=every, filters=filters):  # a parent may go when its last child has gone
        for image in found:
            engine.images.remove(image.id)
            tell_removed(engine, image, image.id)
        doomed += found
    return doomed, collect_garbage(engine)


def _prunable(engine: Engine, *, every: bool, filters: "Iterable[str]") -> list[Image]:
    from podlike.engine.imagefilters import select
    from podlike.engine.kinship import Kinship

    images = engine.images.all()
    kinship = Kinship(images)
    return [image for image in select(engine, images, filters, kinship=kinship)
            if (every or kinship.is_dangling(image)) and not image.read_only
            and not engine.containers.using_image(image.id)]


def collect_garbage(engine: Engine, suspects: Garbage | None = None) -> int:
    """Delete layers and blobs that no image and no container needs; return the bytes that became free.

    suspects: look only at these. None: at everything, so that what an interrupted pull has finished goes too.
    Does nothing while another command builds on the store; `image prune` comes back to it.
    """
    from podlike.engine.artifacts import blobs_in_use as artifact_blobs
    from podlike.engine.shifted import remove_unused
    from podlike.store.locks import StoreLock

    engine.enter_session()  # layers hold files of subordinate ids
    lock = StoreLock(engine.roots.tmp)
    if not lock.try_exclusive():
        return 0
    try:
        layers = suspects.layers if suspects else set(engine.layers.all())
        freed = sum(engine.layers.remove(diff_id) for diff_id in layers - engine.images.layers_in_use())
        if suspects is None:
            freed += engine.layers.sweep(partial_age=0.0, everything=True)[1]
        blobs = suspects.blobs if suspects else set(engine.blobs.all())
        used: set[str] = set().union(*(blobs_of(engine, image) for image in engine.images.all()))
        used |= artifact_blobs(engine)
        freed += sum(engine.blobs.delete(digest) for digest in blobs - used)
        remove_unused(engine, {image.id for image in engine.images.all()} | {c.spec.image_id for c in engine.containers.all()})
        return freed
    finally:
        lock.release()


def blobs_of(engine: Engine, image: Image) -> set[str]:
    """Manifest, config and layers. Where the manifest is damaged, what the layers were unpacked from."""
    if image.index is not None:
        return {image.manifest_digest, *image.index.get("blobs", ())}
    blobs = {image.manifest_digest, f"sha256:{image.id}"}
    try:
        return blobs | {layer.digest for layer in read_manifest(engine, image).layers}
    except StoreError:
        return blobs | _layer_sources(engine, image)


def _layer_sources(engine: Engine, image: Image) -> set[str]:
    sources: set[str] = set()
    for diff_id in image.layers:
        try:
            blob = engine.layers.record(diff_id)["blob"]
        except StoreError:
            continue
        if blob:
            sources.add(str(blob))
    return sources


def read_manifest(engine: Engine, image: Image) -> "Any":
    """The image's spec.image.Manifest. Raises: StoreError."""
    from podlike.spec.image import MAX_MANIFEST, Manifest, parse_manifest

    manifest = parse_manifest(engine.blobs.read(image.manifest_digest, limit=MAX_MANIFEST))
    if not isinstance(manifest, Manifest):
        raise StoreError(f"read manifest of image {image.id[:12]}: it is an index")
    return manifest


def repo_digests(image: Image) -> list[str]:
    """repository@digest for each name's repository and each digest of the image."""
    from podlike.engine.imagefilters import digests_of

    repositories = dict.fromkeys(repository_of(name) for name in image.names)
    return sorted(f"{r}@{d}" for r in repositories for d in digests_of(image))


def repository_of(name: str) -> str:
    """A full name without tag or digest."""
    return name.partition("@")[0] if "@" in name else name.rpartition(":")[0]
