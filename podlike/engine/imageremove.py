"""Removing images: which names go, which image goes with its last name, and what goes along.

The rules are podman's: a name of an image that has others only loses that name; an image goes with its last name, and
its unnamed parents (the steps of its build) go with it; an image that another one was made from only loses its record,
since its layers stay, and is not reported as deleted.
"""

from podlike.engine.core import Engine
from podlike.engine.images import Garbage, blobs_of, check_own, collect_garbage, find, known_digest, tell_removed, untag_names
from podlike.errors import InUseError, NotFoundError, PodlikeError, StoreError
from podlike.store.images import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NamedTuple

    from podlike.engine.kinship import Kinship
    from podlike.store.containers import Container
else:
    from podlike.spec.record import NamedTuple


class Removed(NamedTuple):
    """What removals did: names taken away, ids of images that are gone, and what could not be done."""

    untagged: list[str]
    deleted: list[str]
    errors: list[PodlikeError]


def remove(engine: Engine, name: str, *, force: bool = False) -> Removed:
    """Take a name from an image, and delete the image with its last name. Raises what prevents it."""
    done = remove_all(engine, [name], force=force)
    if done.errors:
        raise done.errors[0]
    return done


def remove_all(engine: Engine, names: "Iterable[str]", *, force: bool = False, ignore: bool = False, prune: bool = True,
               lists_only: bool = False) -> Removed:
    """Remove what the names stand for, going on after failures; all that goes is collected as garbage once, at the end.

    force: containers that use an image go too, and an id may stand for an image of several names. ignore: a name that
    leads nowhere is fine. prune: unnamed parents go too. lists_only: only manifest lists are taken.
    """
    remover = _Remover(engine, force=force, prune=prune)
    for name in names:
        try:
            image, full = find(engine, name)
            if lists_only and image.index is None:
                raise StoreError(f"{name}: image is not a manifest list", hint=f"Use `podlike rmi {name}`.")
            remover.one(name, image, full)
        except NotFoundError as e:
            if not ignore:
                remover.result.errors.append(e)
        except PodlikeError as e:
            remover.result.errors.append(e)
    remover.finish()
    return remover.result


def remove_image(engine: Engine, image: Image, *, force: bool = False) -> Removed:
    """Delete an image with all its names. Raises: InUseError."""
    remover = _Remover(engine, force=force, prune=True)
    remover.whole(image)
    remover.finish()
    return remover.result


def remove_every(engine: Engine, *, force: bool = False) -> Removed:
    """Remove all images that can be: those in additional stores stay."""
    remover = _Remover(engine, force=force, prune=True)
    for image in engine.images.all():
        if image.read_only:
            continue
        try:
            fresh = engine.images.get(image.id)
            if fresh is not None:  # it may have gone as another one's parent
                remover.whole(fresh)
        except PodlikeError as e:
            remover.result.errors.append(e)
    remover.finish()
    return remover.result


class _Remover:
    """One call: what it did, and the garbage it made."""

    def __init__(self, engine: Engine, *, force: bool, prune: bool) -> None:
        self._engine = engine
        self._force = force
        self._prune = prune
        self._garbage = Garbage(set(), set())
        self._known: "Kinship | None" = None
        self.result = Removed([], [], [])

    def one(self, typed: str, image: Image, full: str | None) -> None:
        """full: the name it was found under, None for an id or a digest."""
        engine = self._engine
        check_own(image, typed)
        digest = known_digest(engine, image, typed) if full is None and "@" in typed else None
        if digest is not None and (image.names or len(image.digests) > 1):
            engine.images.forget_digests(image.id, [digest])
            self.result.untagged.append(digest)
            return
        if full is not None and len(image.names) > 1:
            untag_names(engine, image, [full])
            self.result.untagged.append(full)
            return
        if full is None and len(image.names) > 1 and not self._force:
            how = "digest" if typed.startswith("sha256:") else "ID"
            raise StoreError(f'unable to delete image "{image.id}" by {how} with more than one tag '
                             f"([{' '.join(image.names)}]): please force removal",
                             hint="Use --force, or remove one name after the other.")
        self.whole(image, typed)

    def whole(self, image: Image, typed: str = "") -> None:
        """The image with all its names, and the unnamed parents that nothing else needs. typed: what it was called."""
        engine = self._engine
        users = engine.containers.using_image(image.id)
        if users and not self._force:
            raise InUseError(f"image used by {users[0].id}: image is in use by a container: consider listing external "
                             "containers and force-removing image",
                             hint=f"Remove the container first (`podlike rm {users[0].name}`), or use --force.")
        for container in _with_dependents(engine, users):
            _remove_container(engine, container)
        parent = self._kinship.parent(image)
        self._delete(image, typed or image.id)
        if self._prune:
            self._delete_parents(parent)

    @property
    def _kinship(self) -> "Kinship":
        """As it was at the first removal, less what went since."""
        if self._known is None:
            from podlike.engine.kinship import Kinship

            self._known = Kinship(self._engine.images.all())
        return self._known

    def _delete_parents(self, parent: Image | None) -> None:
        while parent is not None and not self._engine.containers.using_image(parent.id):
            fresh = self._engine.images.get(parent.id)
            if fresh is None or not self._kinship.is_dangling(fresh):
                return
            above = self._kinship.parent(fresh)
            self._delete(fresh, fresh.id)
            parent = above

    def _delete(self, image: Image, typed: str) -> None:
        from podlike.engine.imagemount import forget

        forget(self._engine, image)
        self._garbage.layers.update(image.layers)
        self._garbage.blobs.update(blobs_of(self._engine, image))
        self._engine.images.remove(image.id)
        tell_removed(self._engine, image, typed)
        self.result.untagged.extend(image.names)
        if not self._kinship.children(image):
            self.result.deleted.append(image.id)
        self._kinship.forget(image)

    def finish(self) -> None:
        if self._garbage.layers or self._garbage.blobs:
            collect_garbage(self._engine, self._garbage)


def _with_dependents(engine: Engine, users: "list[Container]") -> "list[Container]":
    if not users:
        return []
    from podlike.engine.dependents import dependents, dependents_first

    return dependents_first(engine, [*users, *(d for user in users for d in dependents(engine, user))])


def _remove_container(engine: Engine, container: "Container") -> None:
    from podlike.engine.remove import remove as remove_container

    pod = engine.pods.get(container.spec.pod) if container.spec.infra else None
    if pod is not None:  # it goes with its pod alone
        from podlike.engine.pods.remove import remove as remove_pod

        remove_pod(engine, pod, force=True, timeout=0)
        return
    remove_container(engine, container, force=True, volumes=True, timeout=0)
