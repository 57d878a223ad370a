"""What can be done with images that are in the store: find, list, inspect, name, remove."""

from podlike.engine import events
from podlike.engine.core import Engine
from podlike.errors import InUseError, NotFoundError, PodlikeError, StoreError
from podlike.spec.events import Event
from podlike.store.images import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Final, NamedTuple

    from podlike.store.containers import Container
else:
    from typing import NamedTuple

# In the wheel as podlike/libexec/hello.tar; loaded when it is first asked for.
EMBEDDED: "Final" = {"localhost/podlike/hello:latest": "hello.tar"}


class Removed(NamedTuple):
    """What a removal did: names taken away, and the image's id if it is gone."""

    untagged: list[str]
    deleted: str | None


class Garbage(NamedTuple):
    """Layers (diff IDs) and blobs (digests) that may have lost their last user."""

    layers: set[str]
    blobs: set[str]


def resolve(engine: Engine, name: str) -> Image:
    """The image meant by a name, name@digest, or the beginning of an id; an embedded image is loaded for it.

    Raises: NotFoundError, ConflictError, UsageError for what cannot be a name.
    """
    image, names = _lookup(engine, name)
    if image is not None:
        return image
    for full in names:
        if full in EMBEDDED:
            return embedded(engine, full)
    raise NotFoundError(f"{name}: image not known",
                        hint=f"See `podlike images` for what is here, or get it with `podlike pull {name}`.")


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
    image = engine.images.lookup(names)
    if is_short(name):
        repository = split_short(name)[0]
        # Reading registries.conf costs more than all the rest here: only where it can matter.
        known = engine.images.repositories_named(repository)
        if image is None or any(n not in names for n in known):
            names = _configured(name, repository)
            image = engine.images.lookup(names)
    return image or engine.images.lookup([], prefix=prefix), names


def _configured(name: str, repository: str) -> list[str]:
    """Full names for a short one, with the user's aliases and search registries."""
    from podlike.registries_conf import load_registries_conf
    from podlike.spec.reference import candidates

    conf = load_registries_conf()
    return candidates(name, alias=conf.aliases.get(repository), search=conf.search_registries)


def list_images(engine: Engine, *, filters: "Iterable[str]" = ()) -> list[Image]:
    """Newest first. filters: KEY=VALUE as typed after --filter."""
    found = engine.images.all()
    if filters:
        from podlike.engine.imagefilters import select

        return select(engine, found, filters)
    return found


def tag(engine: Engine, name: str, targets: "Iterable[str]") -> None:
    """Give an image further names; a name without registry is put below localhost.

    Raises: NotFoundError, UsageError before anything has changed.
    """
    image, _ = find(engine, name)
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
    names, digests = [], []
    for target in targets:
        full = next((n for n in _lookup(engine, target)[1] if n in image.names), None)
        digest = _known_digest(engine, image, target)
        if full is not None:
            names.append(full)
        elif digest is not None:
            digests.append(digest)
        else:
            raise NotFoundError(f"{target}: tag not known")
    if digests:
        engine.images.forget_digests(image.id, digests)
    if names or not digests:
        _untag(engine, image, names or image.names)


def _untag(engine: Engine, image: Image, names: "Sequence[str]") -> None:
    engine.images.untag(image.id, names)
    for name in names:
        events.image(engine, "untag", id=image.id, name=name)


def _known_digest(engine: Engine, image: Image, typed: str) -> str | None:
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


def remove(engine: Engine, name: str, *, force: bool = False) -> Removed:
    """Take a name from an image, and delete the image with its last name.

    By id it goes with its only name; with several it needs force. A name@digest goes alone while others are left.
    force: containers that use it go too.
    Layers and blobs that nothing else needs are deleted.
    Raises: NotFoundError, InUseError (exit code 2), StoreError.
    """
    image, full = find(engine, name)
    digest = _known_digest(engine, image, name) if full is None and "@" in name else None
    if digest is not None and (image.names or len(image.digests) > 1):
        engine.images.forget_digests(image.id, [digest])
        return Removed([digest], None)
    if full is not None and len(image.names) > 1:
        _untag(engine, image, [full])
        return Removed([full], None)
    if full is None and len(image.names) > 1 and not force:
        raise StoreError(f'unable to delete image "{image.id}" by ID with more than one tag '
                         f"([{' '.join(image.names)}]): please force removal",
                         hint="Use --force, or remove one name after the other.")
    return remove_image(engine, image, force=force, typed=name)


def remove_image(engine: Engine, image: Image, *, force: bool = False, typed: str = "") -> Removed:
    """Delete an image with all its names; see remove(). typed: what it was called."""
    users = engine.containers.using_image(image.id)
    if users and not force:
        raise InUseError(f"image used by {users[0].id}: image is in use by a container: consider listing external "
                         "containers and force-removing image",
                         hint=f"Remove the container first (`podlike rm {users[0].name}`), or use --force.")
    for container in _with_dependents(engine, users):
        _remove_container(engine, container)
    blobs = _blobs_of(engine, image)
    engine.images.remove(image.id)
    collect_garbage(engine, Garbage(set(image.layers), blobs))
    _tell_removed(engine, image, typed or image.id)
    return Removed(image.names, image.id)


def _tell_removed(engine: Engine, image: Image, typed: str) -> None:
    events.emit(engine, *(Event("image", "untag", id=image.id, name=name) for name in image.names),
                Event("image", "remove", id=image.id, name=typed))


def _with_dependents(engine: Engine, users: "list[Container]") -> "list[Container]":
    if not users:
        return []
    from podlike.engine.dependents import dependents, dependents_first

    return dependents_first(engine, [*users, *(d for user in users for d in dependents(engine, user))])


def _remove_container(engine: Engine, container: "Container") -> None:
    from podlike.engine.remove import remove as remove_container

    remove_container(engine, container, force=True, volumes=True, timeout=0)


def prune(engine: Engine, *, every: bool = False, filters: "Iterable[str]" = ()) -> tuple[list[Image], int]:
    """Delete images without a name, or all that no container uses; return them and the bytes that became free.

    Unfinished downloads and the leftovers of crashed commands go too.
    """
    doomed = [image for image in list_images(engine, filters=filters)
              if (every or not image.names) and not engine.containers.using_image(image.id)]
    for image in doomed:
        engine.images.remove(image.id)
        _tell_removed(engine, image, image.id)
    freed = collect_garbage(engine)
    engine.layers.sweep(partial_age=0.0)
    return doomed, freed


def collect_garbage(engine: Engine, suspects: Garbage | None = None) -> int:
    """Delete layers and blobs that no image and no container needs; return the bytes that became free.

    suspects: look only at these. None: at everything, so that what an interrupted pull has finished goes too.
    Does nothing while another command builds on the store; `image prune` comes back to it.
    """
    from podlike.engine.shifted import remove_unused
    from podlike.store.locks import StoreLock

    engine.enter_session()  # layers hold files of subordinate ids
    lock = StoreLock(engine.roots.tmp)
    if not lock.try_exclusive():
        return 0
    try:
        layers = suspects.layers if suspects else set(engine.layers.all())
        freed = sum(engine.layers.remove(diff_id) for diff_id in layers - engine.images.layers_in_use())
        blobs = suspects.blobs if suspects else set(engine.blobs.all())
        used: set[str] = set().union(*(_blobs_of(engine, image) for image in engine.images.all()))
        freed += sum(engine.blobs.delete(digest) for digest in blobs - used)
        remove_unused(engine, {image.id for image in engine.images.all()} | {c.spec.image_id for c in engine.containers.all()})
        return freed
    finally:
        lock.release()


def _blobs_of(engine: Engine, image: Image) -> set[str]:
    """Manifest, config and layers. Where the manifest is damaged, what the layers were unpacked from."""
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
    """repository@digest for every digest that the image was pulled by, and for its manifest under each name."""
    repositories = dict.fromkeys(name.rpartition(":")[0] for name in image.names)
    return sorted({*image.digests, *(f"{r}@{image.manifest_digest}" for r in repositories)})


def inspect(engine: Engine, image: Image) -> "dict[str, Any]":
    """The document of `image inspect`."""
    config = image.config
    run = config.get("config") or {}
    try:
        manifest = read_manifest(engine, image)
        kind, annotations = manifest.media_type, manifest.annotations
    except StoreError:
        kind, annotations = "", {}
    doc: "dict[str, Any]" = {
        "Id": image.id, "Digest": image.manifest_digest, "RepoTags": image.names, "RepoDigests": repo_digests(image),
        "Parent": "", "Comment": _comment(config), "Created": config.get("created") or "0001-01-01T00:00:00Z",
        "Config": {key: value for key, value in run.items() if value not in (None, "", [], {}, False)},
        "Version": config.get("docker_version") or "", "Author": config.get("author") or "",
        "Architecture": config.get("architecture") or "", "Os": config.get("os") or "",
        "Size": image.size, "VirtualSize": image.size, "GraphDriver": _graph_driver(engine, image),
        "RootFS": {"Type": "layers", "Layers": image.layers}, "Labels": run.get("Labels"), "Annotations": annotations,
        "ManifestType": kind, "User": run.get("User") or "", "History": config.get("history") or [],
        "NamesHistory": list(dict.fromkeys([*image.names, *image.history]))}
    if config.get("variant"):
        doc["Variant"] = config["variant"]
    if run.get("Healthcheck"):
        doc["Healthcheck"] = run["Healthcheck"]
    return doc


def _comment(config: "dict[str, Any]") -> str:
    history = config.get("history") or [{}]
    return str(history[-1].get("comment") or "")


def _graph_driver(engine: Engine, image: Image) -> "dict[str, Any]":
    paths = [engine.layers.path(diff_id) for diff_id in reversed(image.layers)]
    data = {"UpperDir": paths[0]} if paths else {}
    if len(paths) > 1:
        data["LowerDir"] = ":".join(paths[1:])
    return {"Name": "overlay", "Data": data}
